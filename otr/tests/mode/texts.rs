//! What people read: names, errors, and values in logs, which show no secrets.

use std::{collections::HashSet, fmt, marker::PhantomData};

use otr_mode::{
    Combined, Key, KeyInit, Otr, OtrAhead, Parallel, PieceError, Serial,
    cipher::{
        AlgorithmName,
        consts::{U7, U8},
    },
};
use twine_cipher::{Twine80, Twine128};

type Twine128Otr<A = Parallel> = Otr<Twine128, U7, U8, A>;

struct Name<C>(PhantomData<C>);

impl<C: AlgorithmName> fmt::Display for Name<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        C::write_alg_name(f)
    }
}

#[test]
fn names_are_those_of_the_algorithms() {
    assert_eq!(Name::<Twine128Otr>(PhantomData).to_string(), "TWINE-128-OTR-p");
    assert_eq!(Name::<Twine128Otr<Serial>>(PhantomData).to_string(), "TWINE-128-OTR-s");
    assert_eq!(Name::<Otr<Twine80, U7, U8, Combined>>(PhantomData).to_string(), "TWINE-80-OTR-c");
}

#[test]
fn debug_shows_no_secret() {
    let key = Key::<Twine128Otr>::from([0x5A; 16]);
    let otr = <Twine128Otr>::new(&key);
    assert_eq!(format!("{otr:?}"), "Otr { .. }");
    let pieces = otr.encrypt_pieces(&[0; 7].into(), b"").unwrap().with_max_len(77);
    let text = format!("{pieces:?}");
    assert!(text.starts_with("PieceEncryptor { state: PieceState { len: 0, max_len: 77, stage: "), "{text}");
    assert!(text.ends_with(", .. }, .. }") && text.len() < 100, "{text}");
    assert_eq!(format!("{:?}", OtrAhead::from(otr)), "OtrAhead { .. }");
}

#[test]
fn each_error_says_what_is_wrong() {
    use PieceError::{EmptyEnd, Finished, Interrupted, NotPairs, TooLong};
    let errors = [NotPairs, EmptyEnd, TooLong, Finished, Interrupted];
    let texts = HashSet::from(errors.map(|error| error.to_string()));
    assert!(texts.len() == errors.len() && texts.iter().all(|text| text.len() > 10), "{texts:?}");
}
