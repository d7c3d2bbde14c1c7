//! What holds for every key, nonce, associated data and message, whichever alias.
#![cfg(feature = "alloc")]

use proptest::{collection::vec, prelude::*, sample::Index};
use twine_otr_aead::{
    Combined, Parallel, Serial, Twine80Otr, Twine128Otr,
    aead::{Aead, AeadInOut, KeyInit, Nonce, Payload, Tag},
};

/// One change to a sealed message.
#[derive(Clone, Debug)]
enum Change {
    Bit(Field, Index, u8),
    Append(Field, u8),
    Truncate(Field),
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
        1 => (of_any_length(), any::<u8>()).prop_map(|(field, byte)| Change::Append(field, byte)),
        1 => of_any_length().prop_map(Change::Truncate),
    ]
}

fn seal_and_open<C: AeadInOut + KeyInit>(key: &[u8], nonce: &[u8], ad: &[u8], msg: &[u8], change: &Change) {
    let cipher = C::new_from_slice(&key[..C::key_size()]).unwrap();
    let nonce: &Nonce<C> = nonce.try_into().unwrap();
    let sealed = cipher.encrypt(nonce, Payload { msg, aad: ad }).unwrap();
    assert_eq!(sealed.len(), msg.len() + 8);
    assert_eq!(cipher.decrypt(nonce, Payload { msg: &sealed, aad: ad }).unwrap(), msg);

    let mut fields = [key[..C::key_size()].to_vec(), nonce.to_vec(), ad.to_vec(), sealed];
    match change {
        Change::Bit(field, index, bit) => {
            let field = &mut fields[*field as usize];
            if field.is_empty() {
                return;
            }
            let index = index.index(field.len());
            field[index] ^= 1 << bit;
        }
        Change::Append(field, byte) => fields[*field as usize].push(*byte),
        Change::Truncate(field) => {
            if fields[*field as usize].pop().is_none() {
                return;
            }
        }
    }
    let [key, nonce, ad, mut sealed] = fields;
    let cipher = C::new_from_slice(&key).unwrap();
    let nonce: &Nonce<C> = nonce.as_slice().try_into().unwrap();
    assert!(cipher.decrypt(nonce, Payload { msg: &sealed, aad: &ad }).is_err());
    let Some(len) = sealed.len().checked_sub(8) else { return };
    let (ciphertext, tag) = sealed.split_at_mut(len);
    let tag: &Tag<C> = (&*tag).try_into().unwrap();
    assert!(cipher.decrypt_inout_detached(nonce, &ad, (&mut *ciphertext).into(), tag).is_err());
    assert!(ciphertext.iter().all(|byte| *byte == 0));
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
        seal_and_open::<Twine80Otr>(&key, &nonce, &ad, &msg, &change);
        seal_and_open::<Twine80Otr<Serial>>(&key, &nonce, &ad, &msg, &change);
        seal_and_open::<Twine80Otr<Combined>>(&key, &nonce, &ad, &msg, &change);
        seal_and_open::<Twine128Otr<Parallel>>(&key, &nonce, &ad, &msg, &change);
        seal_and_open::<Twine128Otr<Serial>>(&key, &nonce, &ad, &msg, &change);
        seal_and_open::<Twine128Otr<Combined>>(&key, &nonce, &ad, &msg, &change);
    }
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

/// A bound that the compiler checks: keys, round keys and masks are erased on drop.
#[cfg(feature = "zeroize")]
#[test]
fn ciphers_erase_themselves() {
    use otr_mode::cipher::zeroize::ZeroizeOnDrop;

    fn erases_itself<C: ZeroizeOnDrop>() {}
    erases_itself::<Twine80Otr<Combined>>();
    erases_itself::<Twine128Otr>();
}
