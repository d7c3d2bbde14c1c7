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

/// Round keys and keys must not be there. Of plaintext and the expected tag the compiler keeps what it likes: that is printed.
fn look<B: SetKey>(name: &str) {
    let nonce = [7; 7].into();
    let key = secret(1, B::key_size());
    let mut otr = Box::new(Otr::<B, U7, U8>::new_from_slice(&secret(2, B::key_size())).expect("its size"));
    let left = left_by(|| otr.set_key_with(|cipher| cipher.set(&key)));
    let expanded = bytes_of(&*otr);
    let no_keys = |left: &[u8], what: &str| {
        assert_eq!(copies(left, &expanded, 32), 0, "{name}: round keys, {what}");
        assert_eq!(copies(left, &key, 8), 0, "{name}: the key, {what}");
    };
    no_keys(&left, "after a key is set");
    let (mut blocks, mut tags) = ([0; 3], 0);
    for len in [5, 8, 13, 16, 24, 40, 100, 257, 1000] {
        let message = secret(3, len);
        let mut text = message.clone();
        let mut tag = None;
        let sealing = left_by(|| {
            tag = otr.encrypt_inout_detached(&nonce, b"header", text.as_mut_slice().into()).ok();
        });
        let tag = tag.expect("it is short");
        let mut sealed = text.clone();
        let opening = left_by(|| {
            let opened = otr.decrypt_inout_detached(&nonce, b"header", text.as_mut_slice().into(), &tag);
            opened.expect("it was sealed");
        });
        let wrong = [!tag[0]; 8].into();
        let refusing = left_by(|| {
            let refused = otr.decrypt_inout_detached(&nonce, b"header", sealed.as_mut_slice().into(), &wrong);
            refused.expect_err("the tag is wrong");
        });
        for (left, most) in [&sealing, &opening, &refusing].into_iter().zip(&mut blocks) {
            no_keys(left, &format!("after {len} bytes"));
            *most = copies(left, &message, 8).max(*most);
        }
        tags = copies(&refusing, &tag, 8).max(tags);
    }
    let [sealing, opening, refusing] = blocks;
    println!(
        "{name}: no keys; runs of 8 bytes of plaintext after sealing {sealing}, opening {opening}, refusing {refusing}; \
         of the tag that was expected {tags}"
    );
}
