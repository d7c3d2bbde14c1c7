//! What holds for every key, nonce, associated data and message, whichever alias.
#![cfg(feature = "alloc")]

use std::collections::HashSet;

use proptest::{collection::vec, prelude::*, sample::Index};
use twine_otr_aead::{
    ChunkOpener, ChunkSealer, Combined, InvalidState, OpenError, Opener, OpenerState, OtrAhead, Parallel,
    PieceEncryptor, PieceState, SealError, Sealer, SealerState, Serial, StreamHeader, Twine80Otr, Twine128,
    Twine128Otr,
    aead::{Aead, AeadInOut, KeyInit, Nonce, Payload, Tag},
    consts::{U7, U8},
};

/// Calls a function for both ciphers and all ways of processing associated data.
macro_rules! of_every_instance {
    ($function:ident($($argument:expr),*)) => {
        $function::<Twine80Otr<Parallel>>($($argument),*);
        $function::<Twine80Otr<Serial>>($($argument),*);
        $function::<Twine80Otr<Combined>>($($argument),*);
        $function::<Twine128Otr<Parallel>>($($argument),*);
        $function::<Twine128Otr<Serial>>($($argument),*);
        $function::<Twine128Otr<Combined>>($($argument),*);
    };
}

/// One change to a sealed message.
#[derive(Clone, Debug)]
enum Change {
    Bit(Field, Index, u8),
    Insert(Field, Index, u8),
    Remove(Field, Index),
}

#[derive(Clone, Copy, Debug)]
enum Field {
    Key,
    Nonce,
    AssociatedData,
    /// With its tag.
    Ciphertext,
}

fn change() -> impl Strategy<Value = Change> {
    let field = || {
        prop_oneof![
            Just(Field::Key),
            Just(Field::Nonce),
            Just(Field::AssociatedData),
            Just(Field::Ciphertext)
        ]
    };
    let of_any_length = || prop_oneof![Just(Field::AssociatedData), Just(Field::Ciphertext)];
    prop_oneof![
        4 => (field(), any::<Index>(), 0..8u8).prop_map(|(field, index, bit)| Change::Bit(field, index, bit)),
        1 => (of_any_length(), any::<Index>(), any::<u8>())
            .prop_map(|(field, index, byte)| Change::Insert(field, index, byte)),
        1 => (of_any_length(), any::<Index>()).prop_map(|(field, index)| Change::Remove(field, index)),
    ]
}

/// Everything that an opening depends on.
#[derive(Clone)]
struct Sealed {
    /// In the order of [`Field`].
    fields: [Vec<u8>; 4],
}

impl Sealed {
    fn new<C: AeadInOut + KeyInit>(key: &[u8], nonce: &[u8], ad: &[u8], msg: &[u8]) -> Self {
        let key = &key[..C::key_size()];
        let cipher = C::new_from_slice(key).unwrap();
        let sealed = cipher.encrypt(nonce.try_into().unwrap(), Payload { msg, aad: ad }).unwrap();
        assert_eq!(sealed.len(), msg.len() + 8);
        Self { fields: [key.to_vec(), nonce.to_vec(), ad.to_vec(), sealed] }
    }

    /// The plaintext. If there is none, zeros are left in the place of it.
    fn open<C: AeadInOut + KeyInit>(&self) -> Option<Vec<u8>> {
        let [key, nonce, ad, sealed] = &self.fields;
        let cipher = C::new_from_slice(key).unwrap();
        let nonce: &Nonce<C> = nonce.as_slice().try_into().unwrap();
        let plaintext = cipher.decrypt(nonce, Payload { msg: sealed, aad: ad }).ok();
        if let Some((message, tag)) = sealed.split_last_chunk::<8>() {
            let mut message = message.to_vec();
            let tag: &Tag<C> = tag.as_slice().try_into().unwrap();
            let result = cipher.decrypt_inout_detached(nonce, ad, message.as_mut_slice().into(), tag);
            assert_eq!(result.is_ok(), plaintext.is_some());
            assert_eq!(message, plaintext.clone().unwrap_or(vec![0; message.len()]));
        }
        plaintext
    }

    /// Whether there was something to change.
    fn change(&mut self, change: &Change) -> bool {
        let (Change::Bit(field, ..) | Change::Insert(field, ..) | Change::Remove(field, _)) = *change;
        let field = &mut self.fields[field as usize];
        match *change {
            Change::Insert(_, index, byte) => field.insert(index.index(field.len() + 1), byte),
            _ if field.is_empty() => return false,
            Change::Bit(_, index, bit) => {
                let index = index.index(field.len());
                field[index] ^= 1 << bit;
            }
            Change::Remove(_, index) => drop(field.remove(index.index(field.len()))),
        }
        true
    }
}

fn seal_and_open<C: AeadInOut + KeyInit>(key: &[u8], nonce: &[u8], ad: &[u8], msg: &[u8], change: &Change) {
    let mut sealed = Sealed::new::<C>(key, nonce, ad, msg);
    assert_eq!(sealed.open::<C>().as_deref(), Some(msg));
    if sealed.change(change) {
        assert_eq!(sealed.open::<C>(), None);
    }
}

/// Every bit of everything.
fn single_bits_are_refused<C: AeadInOut + KeyInit>() {
    for (ad, msg) in [(0, 0), (1, 0), (0, 1), (8, 8), (13, 16), (16, 29), (5, 48)] {
        let sealed = Sealed::new::<C>(&[0x42; 16], &[7; 7], &vec![3; ad], &vec![5; msg]);
        for field in 0..sealed.fields.len() {
            for bit in 0..8 * sealed.fields[field].len() {
                let mut changed = sealed.clone();
                changed.fields[field][bit / 8] ^= 1 << (bit % 8);
                assert_eq!(changed.open::<C>(), None, "{ad}, {msg}: bit {bit} of field {field}");
            }
        }
    }
}

/// A longer message has the same ciphertext up to the last chunk, of one or two blocks, of the shorter one.
fn pairs_do_not_know_the_length<C: AeadInOut + KeyInit>(
    key: &[u8],
    nonce: &[u8],
    ad: &[u8],
    msg: &[u8],
    len: usize,
) {
    let ciphertext = |msg| Sealed::new::<C>(key, nonce, ad, msg).fields[Field::Ciphertext as usize].clone();
    let whole_pairs = len.saturating_sub(1) / 16 * 16;
    let (long, short) = (ciphertext(msg), ciphertext(&msg[..len]));
    assert_eq!(long[..whole_pairs], short[..whole_pairs]);
    if len < msg.len() {
        assert_ne!(long[msg.len()..], short[len..], "the tags");
    }
}

/// No key, nonce, message or associated data but zeros and empty ones: all that differ have tags that differ.
fn empty_things_differ<C: AeadInOut + KeyInit>() {
    let mut seen = HashSet::new();
    for ad in 0..=17 {
        for msg in 0..=33 {
            let sealed = Sealed::new::<C>(&[0; 16], &[0; 7], &vec![0; ad], &vec![0; msg]);
            assert_eq!(sealed.open::<C>(), Some(vec![0; msg]));
            let tag = sealed.fields[Field::Ciphertext as usize][msg..].to_vec();
            assert_ne!(tag, [0; 8]);
            assert!(seen.insert(tag), "{ad} and {msg} zeros have the tag of others");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sealed_opens_and_any_change_is_refused(
        key: [u8; 16],
        nonce: [u8; 7],
        ad in vec(any::<u8>(), 0..100),
        msg in vec(any::<u8>(), 0..400),
        change in change(),
    ) {
        of_every_instance!(seal_and_open(&key, &nonce, &ad, &msg, &change));
    }

    #[test]
    fn ciphertext_does_not_depend_on_the_length(
        key: [u8; 16],
        nonce: [u8; 7],
        ad in vec(any::<u8>(), 0..30),
        msg in vec(any::<u8>(), 0..400),
        len: Index,
    ) {
        let len = len.index(msg.len() + 1);
        of_every_instance!(pairs_do_not_know_the_length(&key, &nonce, &ad, &msg, len));
    }
}

#[test]
fn any_single_bit_is_refused() {
    of_every_instance!(single_bits_are_refused());
}

#[test]
fn empty_everything() {
    of_every_instance!(empty_things_differ());
}

/// Sealed messages too short to have a tag.
#[test]
fn less_than_a_tag_is_refused() {
    let cipher = Twine128Otr::<Parallel>::new(&[1; 16].into());
    for len in 0..8 {
        assert!(cipher.decrypt(&[0; 7].into(), &[0; 8][..len]).is_err());
    }
}

#[test]
fn debug_shows_no_key() {
    assert_eq!(format!("{:?}", Twine128Otr::<Parallel>::new(&[0x5A; 16].into())), "Otr { .. }");
}

#[test]
fn names() {
    struct Name<C>(std::marker::PhantomData<C>);
    impl<C: otr_mode::cipher::AlgorithmName> std::fmt::Display for Name<C> {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            C::write_alg_name(f)
        }
    }
    assert_eq!(Name::<Twine80Otr<Serial>>(Default::default()).to_string(), "TWINE-80-OTR-s");
    assert_eq!(Name::<Twine128Otr>(Default::default()).to_string(), "TWINE-128-OTR-p");
}

#[test]
fn each_error_says_what_is_wrong() {
    use {InvalidState as I, OpenError as O, SealError as S};
    let seal = [S::LimitReached, S::NotReserved, S::BufferFull, S::Finished].map(|error| error.to_string());
    let state = [I::Damaged, I::Other, I::OtherKey, I::OtherLimit].map(|error| error.to_string());
    let open = [
        O::OtherFixedPart,
        O::Replayed,
        O::TooOld,
        O::TooManyFailures,
        O::LimitReached,
        O::NotReserved,
        O::Truncated,
        O::Finished,
        O::Rejected,
    ]
    .map(|error| error.to_string());
    for errors in [&seal[..], &state[..], &open[..]] {
        let texts: HashSet<&String> = errors.iter().collect();
        assert!(texts.len() == errors.len() && errors.iter().all(|text| text.len() > 10), "{errors:?}");
    }
}

/// A bound that the compiler checks: keys, round keys and masks are erased on drop.
#[cfg(feature = "zeroize")]
#[test]
fn ciphers_erase_themselves() {
    use otr_mode::cipher::zeroize::ZeroizeOnDrop;

    fn erases_itself<C: ZeroizeOnDrop>() {}
    erases_itself::<Twine80Otr<Combined>>();
    erases_itself::<Twine128Otr>();
}

/// Of what must exist once there is no copy: this does not compile if one of them is `Clone`.
#[test]
fn what_must_exist_once_is_no_clone() {
    trait NotClone<Which> {
        fn holds() {}
    }
    struct IsClone;
    impl<T> NotClone<()> for T {}
    impl<T: Clone> NotClone<IsClone> for T {}

    <Sealer as NotClone<_>>::holds();
    <Opener as NotClone<_>>::holds();
    <SealerState<4> as NotClone<_>>::holds();
    <OpenerState<4> as NotClone<_>>::holds();
    <StreamHeader as NotClone<_>>::holds();
    <ChunkSealer as NotClone<_>>::holds();
    <ChunkOpener as NotClone<_>>::holds();
    <OtrAhead<Twine128, U7, U8> as NotClone<_>>::holds();
    <PieceEncryptor<'_, Twine128, U7, U8> as NotClone<_>>::holds();
    <PieceState<Twine128> as NotClone<_>>::holds();
}
