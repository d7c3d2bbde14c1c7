//! Every known answer, valid and invalid, through every way of calling the mode.

use aead::{Aead, AeadInOut, Payload, Tag, inout::InOutBuf};
use aes::{Aes128, Aes256};
use otr_mode::{
    AdProcessing, BlockSize, Combined, KeyInit, NonceSize, Otr, Parallel, Serial, TagSize,
    cipher::BlockCipherEncrypt,
    consts::{U4, U6, U7, U8, U12, U16},
};
use test_vectors::{AeadFile, AeadGroup, AeadTest, Cipher, Validity};
use twine_cipher::{Twine80, Twine128};

/// Runs one test; the tag may be of another length than `C`'s, which no caller can get past the types.
fn run<C: AeadInOut + KeyInit>(test: &AeadTest) {
    let id = test.tc_id;
    let cipher = C::new_from_slice(&test.key).expect("key size");
    let nonce = test.iv.as_slice().try_into().expect("nonce size");
    let joined = [test.ct.as_slice(), test.tag.as_slice()].concat();
    let payload = Payload { msg: joined.as_slice(), aad: &test.aad };
    let tag: Option<&Tag<C>> = test.tag.as_slice().try_into().ok();

    if test.result == Validity::Invalid {
        assert!(cipher.decrypt(nonce, payload).is_err(), "{id} opened");
        if let Some(tag) = tag {
            let mut buffer = test.ct.clone();
            let opened = cipher.decrypt_inout_detached(nonce, &test.aad, buffer.as_mut_slice().into(), tag);
            assert!(opened.is_err(), "{id} opened in place");
            assert!(buffer.iter().all(|byte| *byte == 0), "{id} left plaintext in place");

            let mut output = vec![0xA5; test.ct.len()];
            let buffers = InOutBuf::new(&test.ct, &mut output).unwrap();
            assert!(cipher.decrypt_inout_detached(nonce, &test.aad, buffers, tag).is_err(), "{id} opened");
            assert!(output.iter().all(|byte| *byte == 0), "{id} left plaintext");
        }
        return;
    }
    let tag = tag.expect("tag size");

    let sealed = cipher.encrypt(nonce, Payload { msg: &test.msg, aad: &test.aad }).unwrap();
    assert_eq!(sealed, joined, "{id} seal");
    assert_eq!(cipher.decrypt(nonce, payload).unwrap(), test.msg, "{id} open");

    // Buffer to buffer; the output is dirty and must not be read.
    let mut output = vec![0xA5; test.msg.len()];
    let buffers = InOutBuf::new(&test.msg, &mut output).unwrap();
    assert_eq!(&cipher.encrypt_inout_detached(nonce, &test.aad, buffers).unwrap(), tag, "{id} tag");
    assert_eq!(output, test.ct, "{id} ciphertext");
    let mut output = vec![0xA5; test.msg.len()];
    let buffers = InOutBuf::new(&test.ct, &mut output).unwrap();
    cipher.decrypt_inout_detached(nonce, &test.aad, buffers, tag).unwrap();
    assert_eq!(output, test.msg, "{id} plaintext");
}

fn with_processing<C, N, T>(group: &AeadGroup)
where
    C: BlockCipherEncrypt<BlockSize: BlockSize> + KeyInit,
    N: NonceSize<C::BlockSize>,
    T: TagSize<C::BlockSize>,
{
    fn all<C, N, T, A>(group: &AeadGroup)
    where
        C: BlockCipherEncrypt<BlockSize: BlockSize> + KeyInit,
        N: NonceSize<C::BlockSize>,
        T: TagSize<C::BlockSize>,
        A: AdProcessing,
    {
        group.tests.iter().for_each(run::<Otr<C, N, T, A>>);
    }
    match group.ad_processing {
        test_vectors::AdProcessing::Parallel => all::<C, N, T, Parallel>(group),
        test_vectors::AdProcessing::Serial => all::<C, N, T, Serial>(group),
        test_vectors::AdProcessing::Combined => all::<C, N, T, Combined>(group),
    }
}

fn with_twine<C: BlockCipherEncrypt<BlockSize = U8> + KeyInit>(group: &AeadGroup) {
    match (group.iv_size / 8, group.tag_size / 8) {
        (7, 8) => with_processing::<C, U7, U8>(group),
        (4, 4) => with_processing::<C, U4, U4>(group),
        (4, 6) => with_processing::<C, U4, U6>(group),
        (4, 7) => with_processing::<C, U4, U7>(group),
        (6, 4) => with_processing::<C, U6, U4>(group),
        (6, 6) => with_processing::<C, U6, U6>(group),
        (6, 7) => with_processing::<C, U6, U7>(group),
        sizes => panic!("no test for nonce and tag sizes {sizes:?}"),
    }
}

fn check(file: &AeadFile, tests: usize) {
    for group in &file.test_groups {
        match group.cipher {
            Cipher::Twine80 => with_twine::<Twine80>(group),
            Cipher::Twine128 => with_twine::<Twine128>(group),
            Cipher::Aes128 => with_processing::<Aes128, U12, U16>(group),
            Cipher::Aes256 => with_processing::<Aes256, U12, U16>(group),
        }
    }
    assert_eq!(file.tests().count(), tests);
}

#[test]
fn published_aes_otr() {
    check(test_vectors::aes_otr_v3(), 1080);
}

#[test]
fn invalid_aes_otr() {
    let file = test_vectors::aes_otr_v3_invalid();
    check(file, file.number_of_tests);
}

#[test]
fn twine_otr() {
    check(test_vectors::twine_otr(), 216);
}

#[test]
fn twine_otr_with_short_nonces_and_tags() {
    check(test_vectors::twine_otr_short(), 360);
}

#[test]
fn long_twine_otr() {
    let file = test_vectors::twine_otr_long();
    check(file, file.number_of_tests);
}

#[test]
fn invalid_twine_otr() {
    let file = test_vectors::twine_otr_invalid();
    check(file, file.number_of_tests);
}
