//! Sealers and openers do the same with masks as without: whatever is asked of both, they answer the same.
#![cfg(all(twine_masked, feature = "alloc"))]

#[path = "masked/random.rs"]
mod random;

use random::Random;
use twine_otr_aead::{
    AeadCore, BlockLimit, CountedAead, InvalidState, Nonce, OpenError, Opener, SealError, Sealer, Tag,
    Twine80Masked, Twine80Otr, Twine128Otr, TwineOtrMasked,
    aead::Payload,
    consts::{U7, U8},
    count_blocks,
    rand_core::Rng as _,
};

const FIXED: [u8; 4] = *b"up 7";

/// What is told apart: how a sealer and an opener get a key, of which all bytes are the same.
trait Kind {
    type Aead: CountedAead + AeadCore<NonceSize = U7, TagSize = U8>;
    /// The blocks that opening counts besides those of the message.
    const MORE: u32;

    fn sealer(key: u8, limit: BlockLimit) -> Sealer<Self::Aead>;
    fn opener(key: u8, limit: BlockLimit, failures: u32) -> Opener<Self::Aead>;
    fn set_sealer(
        sealer: &mut Sealer<Self::Aead>,
        key: u8,
        limit: BlockLimit,
        places: &[[u8; 32]],
    ) -> Result<(), InvalidState>;
    fn set_opener(
        opener: &mut Opener<Self::Aead>,
        key: u8,
        limit: BlockLimit,
        failures: u32,
        places: &[[u8; 32]],
    ) -> Result<(), InvalidState>;
}

/// Both shares of a key, of which one is random.
fn shares<const WORDS: usize>(key: u8) -> [[u32; WORDS]; 2] {
    let mut random = Random::new(u64::from(key));
    let share = [(); WORDS].map(|()| random.next_u32());
    [share.map(|word| word ^ u32::from_le_bytes([key; 4])), share]
}

macro_rules! kind {
    ($name:ident, $aead:ty, $more:literal, $sealer:expr, $opener:expr, $key:expr) => {
        struct $name;

        impl Kind for $name {
            type Aead = $aead;
            const MORE: u32 = $more;

            fn sealer(key: u8, limit: BlockLimit) -> Sealer<$aead> {
                let mut sealer = $sealer;
                sealer.set_ephemeral_key(&$key(key), FIXED, limit);
                sealer
            }

            fn opener(key: u8, limit: BlockLimit, failures: u32) -> Opener<$aead> {
                let mut opener = $opener;
                opener.set_ephemeral_key(&$key(key), FIXED, limit, failures);
                opener
            }

            fn set_sealer(
                sealer: &mut Sealer<$aead>,
                key: u8,
                limit: BlockLimit,
                places: &[[u8; 32]],
            ) -> Result<(), InvalidState> {
                sealer.set_stored_key(&$key(key), FIXED, limit, places)
            }

            fn set_opener(
                opener: &mut Opener<$aead>,
                key: u8,
                limit: BlockLimit,
                failures: u32,
                places: &[[u8; 32]],
            ) -> Result<(), InvalidState> {
                opener.set_stored_key(&$key(key), FIXED, limit, failures, places)
            }
        }
    };
}

kind!(Plain, Twine128Otr, 0, Sealer::without_key(), Opener::without_key(), |key| [key; 16].into());
kind!(
    Masked,
    TwineOtrMasked<Random>,
    2,
    Sealer::masked(Random::new(1)),
    Opener::masked(Random::new(2)),
    shares::<4>
);
kind!(PlainShort, Twine80Otr, 0, Sealer::without_key(), Opener::without_key(), |key| [key; 10].into());
kind!(
    MaskedShort,
    TwineOtrMasked<Random, Twine80Masked>,
    2,
    Sealer::masked(Random::new(3)),
    Opener::masked(Random::new(4)),
    shares::<3>
);

fn limit(blocks: u32) -> BlockLimit {
    BlockLimit::new(blocks).unwrap()
}

fn below(random: &mut Random, limit: u32) -> u32 {
    random.next_u32() % limit
}

/// Seals in one of three ways. What is left after an error must be what was there.
fn seal<K: Kind>(
    sealer: &mut Sealer<K::Aead>,
    way: u32,
    ad: &[u8],
    message: &[u8],
) -> Result<(Nonce<K::Aead>, Vec<u8>), SealError> {
    let next = sealer.next_nonce();
    let mut buffer = message.to_vec();
    let sealed = match way % 3 {
        0 => sealer.seal(Payload { msg: message, aad: ad }),
        1 => sealer.seal_in_place(ad, &mut buffer).map(|nonce| (nonce, buffer.clone())),
        _ => sealer.seal_inout_detached(ad, buffer.as_mut_slice().into()).map(|(nonce, tag)| {
            buffer.extend_from_slice(&tag);
            (nonce, buffer.clone())
        }),
    };
    match &sealed {
        Ok((nonce, _)) => assert_eq!(*nonce, next),
        Err(_) => assert_eq!((buffer.as_slice(), sealer.next_nonce()), (message, next)),
    }
    sealed
}

/// Opens in one of three ways. What is left after an error must be zeros.
fn open<K: Kind>(
    opener: &mut Opener<K::Aead>,
    way: u32,
    nonce: &Nonce<K::Aead>,
    ad: &[u8],
    sealed: &[u8],
) -> Result<Vec<u8>, OpenError> {
    let before = opener.used_blocks();
    let mut buffer = sealed.to_vec();
    let len = sealed.len() - 8;
    let opened = match way % 3 {
        0 => opener.open(nonce, Payload { msg: sealed, aad: ad }),
        1 => opener.open_in_place(nonce, ad, &mut buffer).map(|()| buffer.clone()),
        _ => {
            let tag: Tag<K::Aead> = sealed[len..].try_into().unwrap();
            buffer.truncate(len);
            opener.open_inout_detached(nonce, ad, buffer.as_mut_slice().into(), &tag).map(|()| buffer.clone())
        }
    };
    if opened.is_err() && way % 3 > 0 {
        assert!(buffer.iter().all(|byte| *byte == 0), "{opened:?} left {buffer:02x?}");
    }
    let counted = u64::from(opener.used_blocks() - before);
    if counted > 0 {
        assert_eq!(counted, count_blocks(ad.len(), len) + u64::from(K::MORE));
    }
    opened
}

/// A sealed message: its nonce, its associated data, and what came of it.
type Sent<K> = (Nonce<<K as Kind>::Aead>, Vec<u8>, Vec<u8>);

/// Does at random what one can do with a sealer and an opener, and says what came of it.
fn log<K: Kind>(seed: u64) -> Vec<String> {
    let random = &mut Random::new(seed);
    let mut log = Vec::new();
    let limits = (limit(if seed % 2 == 0 { 600 } else { 1 << 16 }), limit(1 << 16), 1 << 10);
    let mut sealer = K::sealer(1, limits.0);
    let mut opener = K::opener(1, limits.1, limits.2);
    let mut sent: Vec<Sent<K>> = Vec::new();
    for _ in 0..400 {
        let (what, way, pick) = (below(random, 16), random.next_u32(), random.next_u32() as usize);
        match what {
            0..6 => {
                let (ad, message) = (random.bytes::<40>(), random.bytes::<100>());
                let (ad, message) = (&ad[..pick % 41], &message[..pick / 64 % 101]);
                let sealed = seal::<K>(&mut sealer, way, ad, message);
                log.push(format!("{sealed:02x?}"));
                sent.extend(sealed.ok().map(|(nonce, sealed)| (nonce, ad.to_vec(), sealed)));
            }
            6..12 if !sent.is_empty() => {
                // A late one, or the newest.
                let number = if pick % 2 == 0 { pick / 2 % sent.len() } else { sent.len() - 1 };
                let (nonce, ad, sealed) = &sent[number];
                let (mut nonce, mut sealed) = (*nonce, sealed.clone());
                match what {
                    6 => {
                        let bit = way as usize % (8 * sealed.len());
                        sealed[bit / 8] ^= 1 << (bit % 8);
                    }
                    7 => nonce[way as usize % 7] ^= 1,
                    _ => {}
                }
                log.push(format!("{:02x?}", open::<K>(&mut opener, way, &nonce, ad, &sealed)));
            }
            12 => {
                let state = sealer.begin_reserve(way % 400).state().to_bytes();
                log.push(format!("{state:02x?} {:?}", sealer.confirm(&state)));
            }
            13 => {
                let state = opener.begin_reserve(way % 8, 1 << 10).state().to_bytes();
                log.push(format!("{:?}", opener.confirm(&state)));
            }
            14 => {
                let state = sealer.suspend_in_place().to_bytes();
                log.push(format!("{state:02x?} {:?}", seal::<K>(&mut sealer, way, b"", b"")));
                let other = K::set_sealer(&mut sealer, 2, limits.0, &[state]);
                log.push(format!("{other:?} {:?}", seal::<K>(&mut sealer, way, b"", b"")));
                K::set_sealer(&mut sealer, 1, limits.0, &[[0xFF; 32], state]).unwrap();
            }
            15 => {
                let state = opener.suspend_in_place().to_bytes();
                let other = K::set_opener(&mut opener, 2, limits.1, limits.2, &[state]);
                log.push(format!("{other:?}"));
                K::set_opener(&mut opener, 1, limits.1, limits.2, &[state]).unwrap();
            }
            _ => {}
        }
        log.push(format!(
            "{} {} {:?} {} {} {}",
            sealer.remaining_blocks(),
            sealer.reserved_blocks(),
            opener.newest(),
            opener.failures(),
            opener.remaining_failures(),
            opener.reserved_messages()
        ));
    }
    log
}

/// What must be reserved to open a message, to the block.
fn opens_with_so_many_blocks<K: Kind>() {
    let message = K::sealer(1, BlockLimit::MAX).seal(Payload { msg: &[7; 44], aad: &[8; 12] }).unwrap();
    let mut opener = K::opener(1, BlockLimit::MAX, 9);
    let state = opener.suspend_in_place().to_bytes();
    let blocks = u32::try_from(count_blocks(12, 44)).unwrap() + K::MORE;
    for (blocks, expected) in [(blocks - 1, Err(OpenError::NotReserved)), (blocks, Ok(vec![7; 44]))] {
        K::set_opener(&mut opener, 1, BlockLimit::MAX, 9, &[state]).unwrap();
        opener.reserve(1, blocks, |_| Ok::<_, ()>(())).unwrap();
        assert_eq!(opener.open(&message.0, Payload { msg: &message.1, aad: &[8; 12] }), expected);
    }
}

#[test]
fn an_opener_with_masks_needs_two_blocks_more() {
    opens_with_so_many_blocks::<Plain>();
    opens_with_so_many_blocks::<Masked>();
    opens_with_so_many_blocks::<MaskedShort>();
}

#[test]
fn with_masks_they_do_what_they_do_without() {
    let mut all = Vec::new();
    for seed in 0..40 {
        let plain = log::<Plain>(seed);
        assert_eq!(log::<Masked>(seed), plain, "{seed}");
        all.extend(plain);
    }
    for seed in 40..50 {
        assert_eq!(log::<MaskedShort>(seed), log::<PlainShort>(seed), "{seed}");
    }
    // All that can happen did.
    for expected in [
        "Ok([",
        "Err(Replayed)",
        "Err(TooOld)",
        "Err(OtherFixedPart)",
        "Err(Rejected)",
        "Err(NotReserved)",
        "Err(LimitReached)",
        "Err(OtherKey)",
    ] {
        assert!(all.iter().any(|line| line.contains(expected)), "{expected}");
    }
}

/// The state that one kind of sealer stores is that with which another one goes on, and so with openers.
fn go_on<K: Kind, L: Kind>() {
    let mut sealer = K::sealer(1, limit(1000));
    seal::<K>(&mut sealer, 0, b"ad", b"message").unwrap();
    let state = sealer.suspend().to_bytes();
    let mut other = L::sealer(1, limit(1000));
    L::set_sealer(&mut other, 1, limit(1000), &[state]).unwrap();
    other.reserve(10, |_| Ok::<_, ()>(())).unwrap();
    let (nonce, sealed) = seal::<L>(&mut other, 0, b"ad", b"message").unwrap();
    assert_eq!(nonce[..], *b"up 7\0\0\x01");

    let state = K::opener(1, limit(1000), 5).suspend().to_bytes();
    let mut opener = L::opener(1, limit(1000), 5);
    L::set_opener(&mut opener, 1, limit(1000), 5, &[state]).unwrap();
    let reserve = |opener: &mut Opener<L::Aead>| opener.reserve(4, 100, |_| Ok::<_, ()>(())).unwrap();
    reserve(&mut opener);
    assert_eq!(open::<L>(&mut opener, 0, &nonce, b"ad", &sealed).unwrap(), b"message");
}

#[test]
fn states_are_the_same_with_masks() {
    go_on::<Plain, Masked>();
    go_on::<Masked, Plain>();
    go_on::<MaskedShort, PlainShort>();
}

/// The last message that the limit allows is sealed and opened, and not one more.
fn limits_are_exact<K: Kind>() {
    let each = u32::try_from(count_blocks(2, 20)).unwrap();
    let mut sealer = K::sealer(1, limit(3 * each + each - 1));
    let mut opener = K::opener(1, limit(3 * (each + K::MORE) + each + K::MORE - 1), 2);
    let mut many = K::sealer(1, limit(1000));
    for number in 0..4 {
        let sealed = seal::<K>(&mut sealer, number, b"ad", &[7; 20]);
        let (nonce, message) = seal::<K>(&mut many, number, b"ad", &[7; 20]).unwrap();
        let opened = open::<K>(&mut opener, number, &nonce, b"ad", &message);
        if number < 3 {
            assert_eq!((sealed.unwrap().1, opened.unwrap()), (message, vec![7; 20]));
        } else {
            assert_eq!(
                (sealed.unwrap_err(), opened.unwrap_err()),
                (SealError::LimitReached, OpenError::LimitReached)
            );
        }
    }
    let (nonce, mut message) = seal::<K>(&mut many, 0, b"", b"").unwrap();
    let mut opener = K::opener(1, limit(1000), 2);
    message[0] ^= 1;
    for expected in [OpenError::Rejected, OpenError::Rejected, OpenError::TooManyFailures] {
        assert_eq!(open::<K>(&mut opener, 1, &nonce, b"", &message), Err(expected));
    }
}

#[test]
fn limits_are_exact_with_masks() {
    limits_are_exact::<Plain>();
    limits_are_exact::<Masked>();
    limits_are_exact::<MaskedShort>();
}
