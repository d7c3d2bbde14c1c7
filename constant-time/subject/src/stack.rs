//! What calls of the mode leave on the stack. Unit tests of the cipher look for its round keys; but those of the mode are not
//! optimised, and without that a compiler keeps everything there.

use test_vectors::stack::{bytes_of, copies, left_by};
use twine_cipher::cipher::{BlockCipherEncrypt, BlockSizeUser};
use twine_otr_aead::{
    AeadInOut, KeyInit, Otr, Twine80, Twine128,
    consts::{U7, U8},
};

/// A cipher whose key can be changed where it lies.
trait SetKey: BlockCipherEncrypt + BlockSizeUser<BlockSize = U8> + KeyInit {
    fn set(&mut self, key: &[u8]);
}

impl SetKey for Twine80 {
    fn set(&mut self, key: &[u8]) {
        self.set_key(key.try_into().expect("the size of the key"));
    }
}

impl SetKey for Twine128 {
    fn set(&mut self, key: &[u8]) {
        self.set_key(key.try_into().expect("the size of the key"));
    }
}

pub(crate) fn run() {
    look::<Twine80>("TWINE-80-OTR");
    look::<Twine128>("TWINE-128-OTR");
}

/// Bytes without a pattern.
fn secret(number: usize, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    operations::secret(operations::SECRETS + number, &mut bytes);
    bytes
}

fn look<B: SetKey>(name: &str) {
    let mut left_over = Vec::new();
    let mut note =
        |what: &str, copies: usize| left_over.extend((copies > 0).then(|| format!("{what}: {copies}")));
    let nonce = [7; 7].into();
    let key = secret(1, B::key_size());
    let mut otr = Box::new(Otr::<B, U7, U8>::new_from_slice(&secret(2, B::key_size())).expect("its size"));
    let left = left_by(|| otr.set_key_with(|cipher| cipher.set(&key)));
    let expanded = bytes_of(&*otr);
    note("round keys after set_key", copies(&left, &expanded, 32));
    note("the key after set_key", copies(&left, &key, 8));
    for len in [5, 8, 13, 16, 24, 40, 100, 257, 1000] {
        let message = secret(3, len);
        let mut text = message.clone();
        let mut tag = None;
        let left = left_by(|| tag = otr.encrypt_inout_detached(&nonce, b"header", text[..].into()).ok());
        note(&format!("round keys after sealing {len}"), copies(&left, &expanded, 32));
        note(&format!("plaintext after sealing {len}"), copies(&left, &message, 8));
        let tag = tag.expect("it is short");
        let sealed = text.clone();
        let left = left_by(|| otr.decrypt_inout_detached(&nonce, b"header", text[..].into(), &tag).unwrap());
        note(&format!("round keys after opening {len}"), copies(&left, &expanded, 32));
        note(&format!("plaintext after opening {len}"), copies(&left, &message, 8));
        let mut text = sealed;
        let wrong = [!tag[0]; 8].into();
        let left =
            left_by(|| otr.decrypt_inout_detached(&nonce, b"header", text[..].into(), &wrong).unwrap_err());
        note(&format!("round keys after refusing {len}"), copies(&left, &expanded, 32));
        note(&format!("plaintext after refusing {len}"), copies(&left, &message, 8));
        note(&format!("the tag after refusing {len}"), copies(&left, &tag, 8));
    }
    println!("{name}: {left_over:#?}");
}
