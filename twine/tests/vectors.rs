//! Published and generated known answers, in both directions.

use test_vectors::{BlockTest, Cipher};
use twine_cipher::{
    Twine80, Twine128,
    cipher::{BlockCipherDecrypt, BlockCipherEncrypt, BlockSizeUser, KeyInit, consts::U8},
};

fn check<C>(test: &BlockTest)
where
    C: KeyInit + BlockCipherEncrypt + BlockCipherDecrypt + BlockSizeUser<BlockSize = U8>,
{
    let cipher = C::new_from_slice(&test.key).unwrap();
    let mut block = test.pt.as_slice().try_into().unwrap();
    cipher.encrypt_block(&mut block);
    assert_eq!(block.as_slice(), test.ct, "encrypt {}", test.tc_id);
    cipher.decrypt_block(&mut block);
    assert_eq!(block.as_slice(), test.pt, "decrypt {}", test.tc_id);
}

#[test]
fn known_answers() {
    let mut published = 0;
    for group in &test_vectors::twine().test_groups {
        for test in &group.tests {
            match group.cipher {
                Cipher::Twine80 => check::<Twine80>(test),
                Cipher::Twine128 => check::<Twine128>(test),
                other => panic!("{other:?} among the vectors of TWINE"),
            }
        }
        published += if group.source.is_some() { group.tests.len() } else { 0 };
    }
    assert_eq!(published, 2, "the pairs of the paper's appendix");
}

/// Whoever forces a backend says in this variable which one must run.
#[test]
fn forced_backend_runs() {
    if let Ok(forced) = std::env::var("TWINE_FORCED_BACKEND") {
        assert_eq!(twine_cipher::backend(), forced);
    }
}

/// Lengths that a caller may get wrong.
#[test]
fn keys_of_other_sizes_are_refused() {
    for len in 0..40 {
        assert_eq!(Twine80::new_from_slice(&[0; 40][..len]).is_ok(), len == 10);
        assert_eq!(Twine128::new_from_slice(&[0; 40][..len]).is_ok(), len == 16);
    }
}

#[test]
fn debug_shows_no_key() {
    let debug = format!("{:?}", Twine128::new(&[0x5A; 16].into()));
    assert_eq!(debug, "Twine128 { .. }");
}
