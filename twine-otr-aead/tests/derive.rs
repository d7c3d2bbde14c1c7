//! Derived keys: as SP 800-108r1 and SP 800-38B say, from every label and context others.

use std::collections::HashMap;

use cmac::{
    Cmac,
    digest::{FixedOutput, InnerInit, Update},
};
use proptest::{collection::vec, prelude::*};
use twine_cipher::cipher::BlockCipherEncrypt;
use twine_otr_aead::{Kdf, Key, KeyInit, Label, Twine80, Twine128, consts::U8};

/// A key of `len` bytes, as the standard has it.
fn derive<B>(key: &Key<B>, label: &[u8], context: &[u8], len: usize) -> Vec<u8>
where
    B: BlockCipherEncrypt<BlockSize = U8> + KeyInit,
{
    let cmac = |input: Vec<u8>| {
        let mut cmac = Cmac::inner_init(B::new(key));
        cmac.update(&input);
        cmac.finalize_fixed()
    };
    let bits = u32::try_from(8 * len).unwrap().to_be_bytes();
    let blocks = (1u32..).take(len.div_ceil(8));
    let input = |n: u32| [&n.to_be_bytes()[..], label, &[0], context, &bits].concat();
    let mut derived = blocks.flat_map(|n| cmac(input(n))).collect::<Vec<_>>();
    derived.truncate(len);
    derived
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn keys_are_derived_as_the_standards_say(
        key: [u8; 16],
        label in vec(1..=255u8, 1..40),
        context in vec(any::<u8>(), 0..40),
    ) {
        let label = Label::new(&label).unwrap();
        let (mut long, mut short, mut odd) = ([0; 16], [0; 10], [0; 3]);
        let mut kdf: Kdf = Kdf::new(&key.into());
        kdf.derive(label, &context, &mut long);
        prop_assert_eq!(&long[..], derive::<Twine128>(&key.into(), label.as_bytes(), &context, 16));
        // The second key is not touched by the first, and lengths make keys differ.
        kdf.derive(label, &context, &mut short);
        prop_assert_eq!(&short[..], derive::<Twine128>(&key.into(), label.as_bytes(), &context, 10));
        prop_assert_ne!(&short[..], &long[..10]);

        let key = Key::<Twine80>::try_from(&key[..10]).unwrap();
        let mut kdf = Kdf::<Twine80>::new(&key);
        kdf.derive(label, &context, &mut short);
        prop_assert_eq!(&short[..], derive::<Twine80>(&key, label.as_bytes(), &context, 10));
        kdf.derive(label, &context, &mut odd);
        prop_assert_eq!(&odd[..], derive::<Twine80>(&key, label.as_bytes(), &context, 3));
    }
}

/// Cut anywhere into label and context, or with zeros moved over the border, bytes give other keys.
#[test]
fn no_two_inputs_are_alike() {
    let mut kdf: Kdf = Kdf::new(&[0x42; 16].into());
    let mut seen = HashMap::new();
    for bytes in [&b"abcab"[..], b"a\0b\0c", b"ab\0\0\0", b"abcd\0", b"\x01\0\0\x01\0"] {
        for (cut, end) in (1..=bytes.len()).flat_map(|end| (1..=end).map(move |cut| (cut, end))) {
            let (label, context) = bytes[..end].split_at(cut);
            let Some(label) = Label::new(label) else {
                assert!(label.contains(&0));
                continue;
            };
            let mut key = [0; 16];
            kdf.derive(label, context, &mut key);
            let input = (label.as_bytes().to_vec(), context.to_vec());
            if let Some(other) = seen.insert(key, input.clone()) {
                assert_eq!(other, input);
            }
        }
    }
    assert!(seen.len() > 30, "{}", seen.len());
}

#[test]
fn labels_are_checked() {
    for bytes in [&b""[..], b"\0", b"a\0", b"\0a", b"a\0b"] {
        assert_eq!(Label::new(bytes), None);
    }
    assert_eq!(Label::new(b"a\xff").map(Label::as_bytes), Some(&b"a\xff"[..]));
}

#[test]
fn debug_shows_no_key() {
    let kdf: Kdf = Kdf::new(&[0x42; 16].into());
    assert_eq!(format!("{kdf:?}"), "Kdf { .. }");
}
