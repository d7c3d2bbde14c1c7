//! A sealed message that was changed in any way never opens, and a failed open leaves nothing but zeros.
//!
//! The fuzzer does not know the tag that a forgery needs: it is compared without a branch, so that no instrumentation tells
//! it. A forgery found here would still have to be told from luck, which has probability 2^-64 for each attempt.

use arbitrary::Arbitrary;
use twine_otr_aead::{
    Combined, Parallel, Serial, Twine80Otr, Twine128Otr,
    aead::{Aead, AeadInOut, KeyInit, KeySizeUser, Nonce, Payload, Tag, inout::InOutBuf},
};

/// A message to seal and what happens to it.
#[derive(Arbitrary, Debug)]
pub struct Input<'a> {
    /// Modulo 6: which of the aliases.
    pub algorithm: u8,
    /// Made into the key, with the bytes.
    pub key: [u8; 16],
    /// The nonce.
    pub nonce: [u8; 7],
    /// What is changed, one after the other.
    pub changes: [Change; 3],
    /// How many of the bytes are associated data.
    pub ad_len: u16,
    /// The associated data, then the message.
    pub bytes: &'a [u8],
}

/// A change to one of the strings that a receiver works with.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Change {
    /// Modulo 4: key, nonce, associated data, or ciphertext with tag.
    pub field: u8,
    /// Modulo 8: none, or see [`Change::apply`].
    pub kind: u8,
    /// Where.
    pub at: u16,
    /// With what.
    pub value: u8,
}

/// What a receiver works with.
#[derive(Clone, PartialEq, Eq)]
struct Received {
    key: Vec<u8>,
    nonce: Vec<u8>,
    ad: Vec<u8>,
    /// With the tag.
    sealed: Vec<u8>,
}

impl Change {
    fn apply(self, received: &mut Received) {
        let Self { field, kind, at, value } = self;
        if kind % 8 == 7 {
            // The boundary between associated data and ciphertext moves.
            let mut joined = [received.ad.as_slice(), &received.sealed].concat();
            received.sealed = joined.split_off(usize::from(at) % (joined.len() + 1));
            received.ad = joined;
            return;
        }
        let (bytes, has_fixed_size) = match field % 4 {
            0 => (&mut received.key, true),
            1 => (&mut received.nonce, true),
            2 => (&mut received.ad, false),
            _ => (&mut received.sealed, false),
        };
        let len = bytes.len();
        let at = usize::from(at) % (len + 1);
        match kind % 8 {
            1 if at < len => bytes[at] ^= value,
            2 if at + usize::from(value) < len => bytes.swap(at, at + usize::from(value)),
            // Two blocks change places.
            3 if !has_fixed_size && len >= 16 => {
                let (first, second) = (at % (len / 8), usize::from(value) % (len / 8));
                (0..8).for_each(|i| bytes.swap(8 * first + i, 8 * second + i));
            }
            4 if !has_fixed_size => bytes.insert(at, value),
            5 if !has_fixed_size => bytes.truncate(at),
            6 if !has_fixed_size && at < len => drop(bytes.remove(at)),
            _ => {}
        }
    }
}

impl Input<'_> {
    /// Panics if something opens that was not sealed, or does not that was.
    pub fn check(&self) {
        match self.algorithm % 6 {
            0 => self.check_with::<Twine80Otr<Parallel>>(),
            1 => self.check_with::<Twine80Otr<Serial>>(),
            2 => self.check_with::<Twine80Otr<Combined>>(),
            3 => self.check_with::<Twine128Otr<Parallel>>(),
            4 => self.check_with::<Twine128Otr<Serial>>(),
            _ => self.check_with::<Twine128Otr<Combined>>(),
        }
    }

    fn check_with<C: Aead + AeadInOut + KeyInit>(&self) {
        let (ad, msg) = crate::split(self.bytes, self.ad_len);
        let key = crate::key_of(&[&self.key, self.bytes].concat());
        let key = &key[..<C as KeySizeUser>::key_size()];
        let cipher = C::new_from_slice(key).expect("the key's size");
        let nonce: &Nonce<C> = self.nonce.as_slice().try_into().expect("7 bytes");
        let sealed = cipher.encrypt(nonce, Payload { msg, aad: ad }).expect("short enough");
        let genuine = Received { key: key.to_vec(), nonce: self.nonce.to_vec(), ad: ad.to_vec(), sealed };
        let mut received = genuine.clone();
        for change in self.changes {
            change.apply(&mut received);
        }
        received.open::<C>((received == genuine).then_some(msg));

        // What somebody has made up opens no better.
        Received { sealed: msg.to_vec(), ..genuine }.open::<C>(None);
    }
}

impl Received {
    /// Opens in every way, which gives `expected`, or an error and zeros.
    fn open<C: Aead + AeadInOut + KeyInit>(&self, expected: Option<&[u8]>) {
        let Self { key, nonce, ad, sealed } = self;
        let cipher = C::new_from_slice(key).expect("the key's size");
        let nonce: &Nonce<C> = nonce.as_slice().try_into().expect("7 bytes");
        let opened = cipher.decrypt(nonce, Payload { msg: sealed, aad: ad });
        assert_eq!(opened.ok().as_deref(), expected, "opened into a new buffer");

        let Some((ciphertext, tag)) = sealed.split_last_chunk::<8>() else {
            return;
        };
        let tag: &Tag<C> = tag.as_slice().try_into().expect("8 bytes");
        let zeros = vec![0; ciphertext.len()];
        let mut output = vec![0xA5; ciphertext.len()];
        let buffers = InOutBuf::new(ciphertext, &mut output).expect("equal lengths");
        let opened = cipher.decrypt_inout_detached(nonce, ad, buffers, tag);
        assert_eq!(opened.is_ok(), expected.is_some(), "opened from buffer to buffer");
        assert_eq!(output, expected.unwrap_or(&zeros), "from buffer to buffer");

        let mut buffer = ciphertext.to_vec();
        let opened = cipher.decrypt_inout_detached(nonce, ad, buffer.as_mut_slice().into(), tag);
        assert_eq!(opened.is_ok(), expected.is_some(), "opened in place");
        assert_eq!(buffer, expected.unwrap_or(&zeros), "in place");
    }
}
