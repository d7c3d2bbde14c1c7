//! The masked AEAD is that without masks.
#![cfg(all(twine_masked, feature = "alloc"))]

#[path = "masked/random.rs"]
mod random;

use random::Random;
use test_vectors::{AdProcessing, AeadTest, Cipher, Validity};
use twine_otr_aead::{
    AeadInOut, Key, KeyInit, MaskedCipher, Twine80Masked, Twine80Otr, Twine128Masked, Twine128Otr,
    TwineOtrMasked,
    aead::inout::InOutBuf,
    consts::{U7, U8},
    rand_core::Rng as _,
};

/// Seals and opens with both.
fn agree<C: MaskedCipher>(
    masked: &mut TwineOtrMasked<Random, C>,
    plain: &impl AeadInOut<NonceSize = U7, TagSize = U8>,
    random: &mut Random,
    ad: &[u8],
    message: &[u8],
) {
    let nonce = random.bytes::<7>().into();
    let what = format!("{} bytes and {} of associated data", message.len(), ad.len());
    let mut expected = message.to_vec();
    let tag = plain.encrypt_inout_detached(&nonce, ad, expected.as_mut_slice().into()).unwrap();
    // In place, and from one buffer to another.
    let mut buffer = message.to_vec();
    assert_eq!(
        masked.encrypt_inout_detached(&nonce, ad, buffer.as_mut_slice().into()).unwrap(),
        tag,
        "{what}"
    );
    assert_eq!(buffer, expected, "{what}");
    let mut other = vec![0xA5; message.len()];
    let in_out = InOutBuf::new(message, &mut other).unwrap();
    assert_eq!(masked.encrypt_inout_detached(&nonce, ad, in_out).unwrap(), tag, "{what}");
    assert_eq!(other, expected, "{what}");

    masked.decrypt_inout_detached(&nonce, ad, buffer.as_mut_slice().into(), &tag).unwrap();
    assert_eq!(buffer, message, "{what}");
    let in_out = InOutBuf::new(&expected, &mut other).unwrap();
    masked.decrypt_inout_detached(&nonce, ad, in_out, &tag).unwrap();
    assert_eq!(other, message, "{what}");

    let bit = random.next_u32() as usize;
    let mut wrong = tag;
    wrong[bit / 8 % 8] ^= 1 << (bit % 8);
    other.copy_from_slice(&expected);
    masked.decrypt_inout_detached(&nonce, ad, other.as_mut_slice().into(), &wrong).unwrap_err();
    assert!(other.iter().all(|byte| *byte == 0), "{what}");
    if !message.is_empty() {
        other.copy_from_slice(&expected);
        other[bit / 8 % message.len()] ^= 1 << (bit % 8);
        masked.decrypt_inout_detached(&nonce, ad, other.as_mut_slice().into(), &tag).unwrap_err();
        assert!(other.iter().all(|byte| *byte == 0), "{what}");
    }
}

/// Messages of all these lengths, with associated data around the boundaries of blocks and of calls, and the other way round.
fn agree_for_all_lengths<C: MaskedCipher, P>(seed: u64)
where
    P: AeadInOut<NonceSize = U7, TagSize = U8> + KeyInit,
    Key<P>: Into<Key<TwineOtrMasked<Random, C>>>,
{
    let mut random = Random::new(seed);
    let mut key = Key::<P>::default();
    random.fill_bytes(&mut key);
    let plain = P::new(&key);
    let mut masked = TwineOtrMasked::<_, C>::new(&key.into(), Random::new(seed + 1));
    let all = [random.bytes::<200>(), random.bytes::<200>()];
    for len in 0..=200 {
        for other in [0, 1, 7, 8, 9, 31, 32, 33, 40, 65] {
            agree(&mut masked, &plain, &mut random, &all[0][..other], &all[1][..len]);
            agree(&mut masked, &plain, &mut random, &all[0][..len], &all[1][..other]);
        }
    }
}

#[test]
fn agrees_for_all_lengths() {
    agree_for_all_lengths::<Twine128Masked, Twine128Otr>(1);
}

#[test]
fn agrees_with_short_keys() {
    agree_for_all_lengths::<Twine80Masked, Twine80Otr>(2);
}

fn run<C: MaskedCipher>(test: &AeadTest) {
    let id = test.tc_id;
    let key = test.key.as_slice().try_into().unwrap();
    let mut masked = TwineOtrMasked::<_, C>::new(key, Random::new(id.into()));
    let nonce = test.iv.as_slice().try_into().unwrap();
    let sealed = [test.ct.as_slice(), test.tag.as_slice()].concat();
    let mut buffer = sealed.clone();
    let opened = masked.decrypt_in_place(nonce, &test.aad, &mut buffer);
    if test.result == Validity::Invalid {
        opened.unwrap_err();
        assert_eq!(buffer, vec![0; sealed.len()], "{id}");
        return;
    }
    opened.unwrap();
    assert_eq!(buffer, test.msg, "{id}");
    masked.encrypt_in_place(nonce, &test.aad, &mut buffer).unwrap();
    assert_eq!(buffer, sealed, "{id}");
}

#[test]
fn known_answers() {
    let mut counts = [0; 2];
    let files =
        [test_vectors::twine_otr(), test_vectors::twine_otr_long(), test_vectors::twine_otr_invalid()];
    for group in files.into_iter().flat_map(|file| &file.test_groups) {
        if group.ad_processing != AdProcessing::Parallel || (group.iv_size, group.tag_size) != (56, 64) {
            continue;
        }
        for test in &group.tests {
            match group.cipher {
                Cipher::Twine80 => run::<Twine80Masked>(test),
                _ => run::<Twine128Masked>(test),
            }
            counts[usize::from(test.result == Validity::Invalid)] += 1;
        }
    }
    assert!(counts[0] >= 72 && counts[1] >= 10, "{counts:?}");
}

#[test]
fn buffers_without_a_tag_are_refused() {
    let mut masked: TwineOtrMasked<_> = TwineOtrMasked::new(&[1; 16].into(), Random::new(3));
    for len in 0..8 {
        let mut short = vec![0xA5; len];
        masked.decrypt_in_place(&[0; 7].into(), b"", &mut short).unwrap_err();
        assert_eq!(short, vec![0; len]);
    }
}

#[cfg(feature = "arrayvec")]
#[test]
fn buffers_without_room_for_a_tag_are_refused() {
    let mut masked: TwineOtrMasked<_> = TwineOtrMasked::new(&[1; 16].into(), Random::new(3));
    let mut full = arrayvec::ArrayVec::from([0xA5; 9]);
    full.truncate(2);
    masked.encrypt_in_place(&[0; 7].into(), b"", &mut full).unwrap_err();
    assert_eq!(full.as_slice(), [0xA5; 2]);
}

#[test]
fn a_key_can_come_as_shares() {
    let mut random = Random::new(4);
    let [a, b] = [(); 2].map(|()| [(); 4].map(|()| random.next_u32()));
    let mut key = Key::<Twine128Otr>::default();
    for (bytes, (a, b)) in key.chunks_mut(4).zip(a.iter().zip(&b)) {
        bytes.copy_from_slice(&(a ^ b).to_le_bytes());
    }
    let mut masked: TwineOtrMasked<_> = TwineOtrMasked::from_shares(&[a, b], Random::new(5));
    agree(&mut masked, &<Twine128Otr>::new(&key), &mut random, b"associated", b"a message of some length");
}

/// The documentation has these numbers. Each message takes new masks, whatever its length.
#[test]
fn masks_are_taken() {
    let nonce = [0; 7].into();
    for (ad, more) in [(b"".as_slice(), 0), (b"associated data", 96)] {
        type Masked = TwineOtrMasked<Random>;
        assert_eq!(Masked::random_to_seal(ad.len()), 160 + more);
        assert_eq!(Masked::random_to_open(ad.len()), 320 + more);
        for len in [0, 1, 64, 200] {
            let (mut random, mut buffer) = (Random::new(6), vec![0; len]);
            let mut masked: TwineOtrMasked<_> = TwineOtrMasked::new(&[1; 16].into(), &mut random);
            let tag = masked.encrypt_inout_detached(&nonce, ad, buffer.as_mut_slice().into()).unwrap();
            masked.decrypt_inout_detached(&nonce, ad, buffer.as_mut_slice().into(), &tag).unwrap();
            drop(masked);
            // Those of the key are eight words.
            assert_eq!(random.taken, 32 + (160 + more) + (320 + more));
        }
    }
}

/// The documentation has these numbers too.
#[test]
fn sizes_are_as_documented() {
    assert_eq!(size_of::<TwineOtrMasked<()>>(), 1648);
    assert_eq!(size_of::<Twine128Masked>(), 1152);
}
