//! What calls of the mode, and of what is built on it, leave on the stack. Unit tests of the cipher look for its round keys; but those of
//! the mode are not optimised, and without that a compiler keeps everything there.

use test_vectors::stack::{bytes_of, copies, left_by};
use twine_cipher::cipher::BlockCipherEncrypt;
use twine_otr_aead::{
    BlockLimit, ChunkOpener, ChunkSealer, Combined, Kdf, Key, KeyInit, Label, Opener, Sealer, Serial, SetKey,
    StreamHeader, Tag, Twine80, Twine80Otr, Twine128, Twine128Otr, TwineOtr, consts::U8,
};

const LIMIT: BlockLimit = BlockLimit::DEFAULT;
const FAILURES: u32 = 1 << 20;
const LENGTHS: [usize; 9] = [5, 8, 13, 16, 24, 40, 100, 257, 1000];

pub(crate) fn run() {
    look::<Twine80Otr>("TWINE-80-OTR");
    look::<Twine80Otr<Serial>>("TWINE-80-OTR, serial");
    look::<Twine80Otr<Combined>>("TWINE-80-OTR, combined");
    look::<Twine128Otr>("TWINE-128-OTR");
    look::<Twine128Otr<Serial>>("TWINE-128-OTR, serial");
    look::<Twine128Otr<Combined>>("TWINE-128-OTR, combined");
    key_derivation::<Twine80>("TWINE-80");
    key_derivation::<Twine128>("TWINE-128");
}

/// Bytes without a pattern.
fn secret(number: usize, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    operations::secret(operations::SECRETS + number, &mut bytes);
    bytes
}

fn secret_key<C: KeyInit>(number: usize) -> Key<C> {
    secret(number, C::key_size()).as_slice().try_into().expect("it has this size")
}

/// What must not be left: a key, and its round keys.
struct Keys {
    name: String,
    key: Vec<u8>,
    expanded: Vec<u8>,
}

impl Keys {
    /// The round keys are among the bytes of `value`.
    fn new<T>(name: &str, key: &[u8], value: &T) -> Self {
        Self { name: name.to_owned(), key: key.to_vec(), expanded: bytes_of(value) }
    }

    #[track_caller]
    fn are_not_in(&self, left: &[u8], what: &str) {
        assert_eq!(copies(left, &self.expanded, 32), 0, "{}: round keys, {what}", self.name);
        assert_eq!(copies(left, &self.key, 8), 0, "{}: the key, {what}", self.name);
    }
}

/// Round keys and keys must not be there. Of plaintext and the expected tag the compiler keeps what it likes: that is printed.
fn look<C: TwineOtr + SetKey>(name: &str) {
    let mut found = Found::default();
    alone::<C>(name, &mut found);
    counted::<C>(name, &mut found);
    pieces::<C>(name, &mut found);
    streams::<C>(name, &mut found);
    println!(
        "{name}: no keys; runs of 8 bytes of plaintext after sealing {}, opening {}, refusing {}; of the tag that was expected {}",
        found.sealing, found.opening, found.refusing, found.tags
    );
}

/// The most runs of 8 bytes after any call.
#[derive(Default)]
struct Found {
    sealing: usize,
    opening: usize,
    refusing: usize,
    tags: usize,
}

/// Seals a message, opens it, and refuses it with another tag.
fn exchange<C: TwineOtr>(
    keys: &[&Keys],
    found: &mut Found,
    message: &[u8],
    seal: impl FnOnce(&mut [u8]) -> Tag<C>,
    mut open: impl FnMut(&mut [u8], &Tag<C>) -> bool,
) {
    let mut text = message.to_vec();
    let mut tag = Tag::<C>::default();
    let sealing = left_by(|| tag = seal(&mut text));
    let mut forged = text.clone();
    let wrong = {
        let mut wrong = tag.clone();
        wrong[0] ^= 1;
        wrong
    };
    let refusing = left_by(|| assert!(!open(&mut forged, &wrong), "the tag is wrong"));
    let opening = left_by(|| assert!(open(&mut text, &tag), "it was sealed"));
    assert!(text == message && forged.iter().all(|byte| *byte == 0));
    for (left, what, most) in [
        (&sealing, "sealing", &mut found.sealing),
        (&opening, "opening", &mut found.opening),
        (&refusing, "refusing", &mut found.refusing),
    ] {
        for keys in keys {
            keys.are_not_in(left, &format!("after {what} {} bytes", message.len()));
        }
        *most = copies(left, message, 8).max(*most);
    }
    found.tags = copies(&refusing, &tag, 8).max(found.tags);
}

/// The AEAD alone.
fn alone<C: TwineOtr + SetKey>(name: &str, found: &mut Found) {
    let key = secret_key::<C>(1);
    let mut otr = Box::new(C::without_key());
    let left = left_by(|| otr.set_key(&key));
    let keys = Keys::new(name, &key, &*otr);
    keys.are_not_in(&left, "after a key is set");
    let nonce = [7; 7].into();
    for len in LENGTHS {
        exchange::<C>(
            &[&keys],
            found,
            &secret(3, len),
            |text| otr.encrypt_inout_detached(&nonce, b"header", text.into()).expect("it is short"),
            |text, tag| otr.decrypt_inout_detached(&nonce, b"header", text.into(), tag).is_ok(),
        );
    }
}

/// A sealer and an opener, with and without stored states.
fn counted<C: TwineOtr>(name: &str, found: &mut Found) {
    let (key, fixed) = (secret_key::<C>(4), *b"up 7");
    let mut sealer = Box::new(Sealer::<C>::without_key());
    let mut opener = Box::new(Opener::<C>::without_key());
    let ephemeral = left_by(|| {
        sealer.set_ephemeral_key(&key, fixed, LIMIT);
        opener.set_ephemeral_key(&key, fixed, LIMIT, FAILURES);
    });
    let keys = Keys::new(name, &key, &*sealer);
    keys.are_not_in(&ephemeral, "after a key for no stored state is set");
    for is_stored in [false, true] {
        if is_stored {
            let sealed = Sealer::<C>::first_state(&key, fixed, LIMIT).to_bytes();
            let opened = Opener::<C>::first_state(&key, fixed, LIMIT, FAILURES).to_bytes();
            let left = left_by(|| {
                sealer.set_stored_key(&key, fixed, LIMIT, &[sealed]).expect("its state");
                opener.set_stored_key(&key, fixed, LIMIT, FAILURES, &[opened]).expect("its state");
            });
            keys.are_not_in(&left, "after a key with a state is set");
            let left = left_by(|| {
                let stored = sealer.reserve(1 << 10, |_| Ok::<_, ()>(()));
                stored.and(opener.reserve(1 << 8, 1 << 12, |_| Ok(()))).expect("it is stored");
            });
            keys.are_not_in(&left, "after a reservation");
        }
        for len in LENGTHS {
            let nonce = sealer.next_nonce();
            exchange::<C>(
                &[&keys],
                found,
                &secret(5, len),
                |text| sealer.seal_inout_detached(b"header", text.into()).expect("it is reserved").1,
                |text, tag| opener.open_inout_detached(&nonce, b"header", text.into(), tag).is_ok(),
            );
        }
    }
    let suspended = left_by(|| {
        let _ = (sealer.suspend_in_place(), opener.suspend_in_place());
    });
    keys.are_not_in(&suspended, "after both are suspended");
}

/// Messages in pieces, suspended between two of them.
fn pieces<C: TwineOtr>(name: &str, found: &mut Found) {
    let (key, fixed) = (secret_key::<C>(6), *b"up 8");
    let mut sealer = Box::new(Sealer::<C>::without_key());
    sealer.set_ephemeral_key(&key, fixed, LIMIT);
    let mut opener = Box::new(Opener::<C>::without_key());
    opener.set_ephemeral_key(&key, fixed, LIMIT, FAILURES);
    let keys = Keys::new(name, &key, &*sealer);
    for len in LENGTHS {
        let nonce = sealer.next_nonce();
        exchange::<C>(
            &[&keys],
            found,
            &secret(7, len),
            |text| {
                let (_, mut pieces) = sealer.seal_pieces(b"header", text.len()).expect("it is short");
                let (first, rest) = text.split_at_mut((text.len() - 1) / 32 * 16);
                pieces.update(first.into()).expect("whole pairs");
                let state = pieces.suspend();
                sealer.resume_pieces(state).finalize(rest.into()).expect("something is left")
            },
            |text, tag| opener.open_inout_detached(&nonce, b"header", text.into(), tag).is_ok(),
        );
    }
}

/// Streams, of which each segment has a key that is derived from one that is derived from the stream's.
fn streams<C: TwineOtr + SetKey>(name: &str, found: &mut Found) {
    let key = secret_key::<C>(8);
    let limit = BlockLimit::new(1 << 9).expect("more than none");
    let header = [0; StreamHeader::LEN];
    let mut sealer = Box::new(ChunkSealer::<C>::without_key());
    let mut opener = Box::new(ChunkOpener::<C>::without_key());
    let left = left_by(|| {
        sealer.start(&key, StreamHeader::counted([0; 8], 0), limit);
        opener.start(&key, &header, limit, FAILURES);
    });
    let mut otr = Box::new(C::without_key());
    let mut keys_of = |key: &[u8]| {
        otr.set_key(key.try_into().expect("its size"));
        Keys::new(name, key, &*otr)
    };
    let mut context = header.to_vec();
    context.extend(limit.get().to_be_bytes());
    let of_stream = derived(&key, b"TWINE-OTR stream v1", &context);
    let above = [keys_of(&key), keys_of(&of_stream)];
    for keys in &above {
        keys.are_not_in(&left, "after a stream begins");
    }
    // The last chunk begins a segment.
    for len in LENGTHS.into_iter().chain(LENGTHS[..8].iter().copied()).chain([1990]) {
        let segments = [sealer.segment(), sealer.segment() + 1]
            .map(|number| keys_of(&derived(&of_stream, b"TWINE-OTR segment v1", &number.to_be_bytes())));
        let keys: Vec<_> = above.iter().chain(&segments).collect();
        exchange::<C>(
            &keys,
            found,
            &secret(9, len),
            |text| sealer.seal_chunk(b"header", text.into()).expect("segments are left"),
            |text, tag| opener.open_chunk(b"header", text.into(), tag).is_ok(),
        );
    }
    assert_eq!(sealer.segment(), 1);
}

/// A derivation. The KDF itself is returned by value when it is made, so that copies of it may be left then.
fn key_derivation<B: BlockCipherEncrypt<BlockSize = U8> + KeyInit>(name: &str) {
    let key = secret(10, B::key_size());
    let mut kdf = Box::new(Kdf::<B>::new(key.as_slice().try_into().expect("its size")));
    let keys = Keys::new(name, &key, &*kdf);
    let label = Label::new(b"label").expect("without zeros");
    let mut derived = Box::new([0; 32]);
    let left = left_by(|| kdf.derive(label, b"context", &mut derived));
    keys.are_not_in(&left, "after a key is derived");
    assert_eq!(copies(&left, &*derived, 8), 0, "{name}: what was derived");
}

/// What the library derives, computed by its KDF.
fn derived(key: &[u8], label: &[u8], context: &[u8]) -> Vec<u8> {
    let label = Label::new(label).expect("without zeros");
    if let Ok(key) = key.try_into() {
        let mut derived = [0; 10];
        Kdf::<Twine80>::new(key).derive(label, context, &mut derived);
        derived.to_vec()
    } else {
        let mut derived = [0; 16];
        Kdf::<Twine128>::new(key.try_into().expect("one of two sizes")).derive(label, context, &mut derived);
        derived.to_vec()
    }
}
