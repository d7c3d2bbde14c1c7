//! What a sealer promises: no nonce twice, whenever the power is lost, and no block beyond the limit.

use std::collections::HashSet;

use proptest::{collection::vec, prelude::*};
use twine_otr_aead::{
    AeadInOut, BlockLimit, Combined, InvalidState, KeyInit, Nonce, Opener, Otr, PieceError, SealError,
    Sealer, SealerState, Serial, StrictOpener, Twine80Otr, Twine128, Twine128Otr, TwineOtr,
    aead::{Buffer, Error},
    consts::{U4, U7},
    count_blocks,
};

const FIXED: [u8; 4] = [0xA0, 1, 2, 3];

fn limit(blocks: u32) -> BlockLimit {
    BlockLimit::new(blocks).unwrap()
}

fn key<C: KeyInit>() -> twine_otr_aead::Key<C> {
    let mut key = twine_otr_aead::Key::<C>::default();
    key.fill(0x42);
    key
}

/// A stored key under which nothing was sealed.
fn stored(limit: BlockLimit) -> Sealer {
    let state = <Sealer>::first_state(&key::<Twine128Otr>(), FIXED, limit);
    Sealer::with_stored_key(&key::<Twine128Otr>(), state, limit).unwrap()
}

fn ephemeral(blocks: u32) -> Sealer {
    Sealer::with_ephemeral_key(&key::<Twine128Otr>(), FIXED).with_block_limit(limit(blocks))
}

/// Seals a message of `len` bytes, and returns the counter.
fn seal<const F: usize>(sealer: &mut Sealer<Twine128Otr, F>, len: usize) -> Result<u64, SealError> {
    let next = sealer.next_nonce();
    let mut message = vec![0x55; len];
    let result = sealer.seal_inout_detached(b"ad", message.as_mut_slice().into());
    let (nonce, _) = result.inspect_err(|_| {
        assert_eq!(message, vec![0x55; len], "touched");
        assert_eq!(sealer.next_nonce(), next, "used a nonce");
    })?;
    assert_eq!(nonce, next);
    // A few bytes are the same by chance.
    assert!(len < 8 || message != vec![0x55; len], "not sealed");
    Ok(counter::<F>(&nonce))
}

fn counter<const F: usize>(nonce: &Nonce<Twine128Otr>) -> u64 {
    nonce[F..].iter().fold(0, |counter, byte| counter << 8 | u64::from(*byte))
}

/// A buffer for so many bytes.
struct Bounded(Vec<u8>, usize);

impl AsRef<[u8]> for Bounded {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl AsMut<[u8]> for Bounded {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl Buffer for Bounded {
    fn extend_from_slice(&mut self, other: &[u8]) -> Result<(), Error> {
        if self.0.len() + other.len() > self.1 {
            return Err(Error);
        }
        self.0.extend_from_slice(other);
        Ok(())
    }

    fn truncate(&mut self, len: usize) {
        self.0.truncate(len);
    }
}

/// In pieces of 48 bytes and an end, as the AEAD does at once; counted as announced, whether it is finished or not.
#[test]
fn pieces_are_sealed_and_counted() {
    let cipher = <Twine128Otr>::new(&key::<Twine128Otr>());
    for (len, spare) in [(0, 0), (0, 9), (1, 0), (48, 1), (49, 0), (100, 0), (100, 60)] {
        let mut sealer = ephemeral(1000);
        assert_eq!(seal(&mut sealer, 8), Ok(0));
        let before = sealer.used_blocks();
        let mut message = vec![0x55; len];
        let (nonce, mut pieces) = sealer.seal_pieces(b"ad", len + spare).unwrap();
        let split = len.saturating_sub(1) / 48 * 48;
        let (start, end) = message.split_at_mut(split);
        for piece in start.chunks_mut(48) {
            pieces.update(piece.into()).unwrap();
        }
        let mut longer = vec![0x55; end.len() + spare + 1];
        assert_eq!(pieces.finalize(longer.as_mut_slice().into()), Err(PieceError::TooLong));
        assert_eq!(longer, vec![0x55; end.len() + spare + 1], "touched");
        let tag = pieces.finalize(end.into()).unwrap();
        drop(pieces);

        assert_eq!(nonce[..], [0xA0, 1, 2, 3, 0, 0, 1]);
        let mut whole = vec![0x55; len];
        assert_eq!(cipher.encrypt_inout_detached(&nonce, b"ad", whole.as_mut_slice().into()), Ok(tag));
        assert_eq!(message, whole, "{len}");
        assert_eq!(u64::from(sealer.used_blocks() - before), count_blocks(2, len + spare));
        assert_eq!(seal(&mut sealer, 8), Ok(2));
    }

    let mut sealer = ephemeral(20);
    assert_eq!(sealer.seal_pieces(b"ad", 18 * 8 + 1).err(), Some(SealError::LimitReached));
    assert_eq!(sealer.seal_pieces(b"ad", usize::MAX).err(), Some(SealError::LimitReached));
    assert_eq!((sealer.used_blocks(), counter::<4>(&sealer.next_nonce())), (0, 0));
    // Begun and given up.
    assert!(sealer.seal_pieces(b"ad", 15 * 8 + 1).is_ok());
    assert_eq!((sealer.used_blocks(), counter::<4>(&sealer.next_nonce())), (18, 1));

    let mut sealer = stored(BlockLimit::DEFAULT);
    assert_eq!(sealer.seal_pieces(b"ad", 0).err(), Some(SealError::NotReserved));
    assert_eq!(counter::<4>(&sealer.next_nonce()), 0);
}

fn seals_as_the_aead_does<C: TwineOtr, const F: usize>(fixed: [u8; F]) {
    let (key, cipher) = (key::<C>(), C::new(&key::<C>()));
    let mut sealer = Sealer::<C, F>::with_ephemeral_key(&key, fixed);
    let mut opener = Opener::<C, F>::new(&key, fixed);
    let mut strict = StrictOpener::<C, F>::new(&key, fixed);
    let mut blocks = 0;
    for i in 0..300u32 {
        let mut nonce = i.to_be_bytes().to_vec();
        nonce.splice(0..0, [0; 3]);
        nonce[..F].copy_from_slice(&fixed);
        let ad = vec![7; i as usize % 19];
        let message = vec![9; i as usize % 37];

        let mut expected = message.clone();
        let nonce: &Nonce<C> = nonce.as_slice().try_into().unwrap();
        let tag = cipher.encrypt_inout_detached(nonce, &ad, expected.as_mut_slice().into()).unwrap();
        expected.extend_from_slice(&tag);

        let mut sealed = Bounded(message.clone(), 100);
        assert_eq!(sealer.seal_in_place(&ad, &mut sealed).as_ref(), Ok(nonce));
        assert_eq!(sealed.0, expected);
        blocks += count_blocks(ad.len(), message.len());
        assert_eq!(u64::from(sealer.used_blocks()), blocks);

        assert_eq!(opener.nonce(&nonce[F..]).as_ref(), Some(nonce));
        opener.open_in_place(nonce, &ad, &mut Bounded(expected, 100)).unwrap();
        assert_eq!(opener.used_blocks(), sealer.used_blocks());
        strict.open_in_place(nonce, &ad, &mut sealed).unwrap();
        assert_eq!(sealed.0, message);
        assert_eq!(strict.newest(), Some(i.into()));
    }
}

#[test]
fn every_instance_seals_as_its_aead_does() {
    seals_as_the_aead_does::<Twine80Otr, 4>(FIXED);
    seals_as_the_aead_does::<Twine80Otr<Combined>, 1>([7]);
    seals_as_the_aead_does::<Twine128Otr, 2>([1, 2]);
    seals_as_the_aead_does::<Twine128Otr<Serial>, 0>([]);
    seals_as_the_aead_does::<Otr<Twine128, U7, U4>, 3>([1, 2, 3]);
}

#[cfg(feature = "alloc")]
#[test]
fn vectors_are_sealed_and_opened() {
    use twine_otr_aead::aead::Payload;
    let mut sealer = ephemeral(100);
    let mut opener: Opener = Opener::new(&key::<Twine128Otr>(), FIXED);
    for message in [&b""[..], b"a", b"a longer one than a block"] {
        let (nonce, sealed) = sealer.seal(Payload { msg: message, aad: b"ad" }).unwrap();
        assert_eq!(sealed.len(), message.len() + 8);
        assert_eq!(opener.open(&nonce, Payload { msg: &sealed, aad: b"ad" }).unwrap(), message);
    }
}

/// As in the theorem: one for the message, and the blocks of both strings, each at least one.
#[test]
fn blocks_are_counted() {
    for (ad, message, blocks) in
        [(0, 0, 3), (1, 0, 3), (0, 1, 3), (8, 8, 3), (9, 8, 4), (8, 9, 4), (16, 16, 5), (17, 64, 12)]
    {
        assert_eq!(count_blocks(ad, message), blocks, "{ad}, {message}");
    }
    assert_eq!(u128::from(count_blocks(usize::MAX, usize::MAX)), 1 + 2 * (usize::MAX as u128).div_ceil(8));
}

#[test]
fn limits_have_limits() {
    assert_eq!(BlockLimit::new(0), None);
    assert_eq!(BlockLimit::new(1).map(BlockLimit::get), Some(1));
    assert_eq!(BlockLimit::new(1 << 24), Some(BlockLimit::MAX));
    assert_eq!(BlockLimit::new((1 << 24) + 1), None);
    assert_eq!(BlockLimit::default().get(), 1 << 20);
}

/// The limit itself can be reached, and not one block more.
#[test]
fn the_limit_is_exact() {
    for blocks in 10..20 {
        let mut sealer = ephemeral(blocks);
        assert_eq!(seal(&mut sealer, 8), Ok(0));
        let fits = 8 * (blocks as usize - 5);
        assert_eq!(seal(&mut sealer, fits + 1), Err(SealError::LimitReached));
        assert_eq!((sealer.used_blocks(), sealer.remaining_blocks()), (3, blocks - 3));
        assert_eq!(seal(&mut sealer, fits), Ok(1));
        assert_eq!((sealer.used_blocks(), sealer.remaining_blocks()), (blocks, 0));
        assert_eq!(seal(&mut sealer, 0), Err(SealError::LimitReached));
        // A smaller limit than what was used is no way around it.
        let mut sealer = sealer.with_block_limit(limit(1));
        assert_eq!((sealer.remaining_blocks(), sealer.reserved_blocks()), (0, 0));
        assert_eq!(seal(&mut sealer, 0), Err(SealError::LimitReached));
    }
}

/// The default limit, message by message, and the largest limit with the shortest counter: it does not run out.
#[test]
fn whole_keys_are_used_up() {
    let mut sealer: Sealer = Sealer::with_ephemeral_key(&key::<Twine128Otr>(), FIXED);
    for i in 0..(1 << 20) / 3 {
        assert_eq!(seal(&mut sealer, 0), Ok(i));
    }
    assert_eq!(sealer.remaining_blocks(), (1 << 20) % 3);
    assert_eq!(seal(&mut sealer, 0), Err(SealError::LimitReached));

    let last = Fields { counter: (1 << 24) / 3 - 1, blocks: (1 << 24) - 4, limit: 1 << 24, ..FIRST };
    let mut sealer: Sealer =
        Sealer::restore(&key::<Twine128Otr>(), FIXED, BlockLimit::MAX, &[last.bytes()]).unwrap();
    sealer.reserve(1 << 24, |_| Ok::<_, ()>(())).unwrap();
    assert_eq!(seal(&mut sealer, 0), Ok((1 << 24) / 3 - 1));
    assert_eq!(seal(&mut sealer, 0), Err(SealError::LimitReached));
}

#[test]
fn full_buffers_are_refused() {
    let mut sealer = ephemeral(100);
    let mut buffer = Bounded(vec![1; 10], 17);
    assert_eq!(sealer.seal_in_place(b"", &mut buffer), Err(SealError::BufferFull));
    assert_eq!((&buffer.0, sealer.used_blocks()), (&vec![1; 10], 0));
    buffer.1 = 18;
    assert!(sealer.seal_in_place(b"", &mut buffer).is_ok());
    let mut buffer = Bounded(vec![1; 1000], 2000);
    assert_eq!(sealer.seal_in_place(b"", &mut buffer), Err(SealError::LimitReached));
    assert_eq!(buffer.0, vec![1; 1000]);
}

/// A buffer that has room for no whole tag, or for more, or loses the message, and does not say so.
struct Forgetful(Vec<u8>, usize);

impl AsRef<[u8]> for Forgetful {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl AsMut<[u8]> for Forgetful {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl Buffer for Forgetful {
    fn extend_from_slice(&mut self, _: &[u8]) -> Result<(), Error> {
        self.0.resize(self.1, 0);
        Ok(())
    }

    fn truncate(&mut self, _: usize) {}
}

#[test]
fn buffers_that_forget_are_refused() {
    let mut sealer = ephemeral(100);
    for len in [0, 9, 10, 17, 19] {
        let mut buffer = Forgetful(vec![1; 10], len);
        assert_eq!(sealer.seal_in_place(b"", &mut buffer), Err(SealError::BufferFull), "{len}");
        assert!(buffer.0.iter().all(|byte| *byte <= 1), "touched");
        assert_eq!((sealer.used_blocks(), counter::<4>(&sealer.next_nonce())), (0, 0), "used a nonce");
    }
    assert!(sealer.seal_in_place(b"", &mut Forgetful(vec![1; 10], 18)).is_ok());
}

#[test]
fn debug_shows_no_key() {
    let sealer = ephemeral(100);
    let text = format!("{sealer:?}");
    assert!(text.contains("used: 0") && !text.contains("cipher") && text.len() < 300, "{text}");
}

/// What a state of a sealer says.
#[derive(Clone, Copy, Debug)]
struct Fields {
    kind: u8,
    fixed: [u8; 4],
    counter: u32,
    blocks: u32,
    limit: u32,
    failures: [u32; 2],
    sequence: u32,
    key: u8,
}

const FIRST: Fields = Fields {
    kind: 0x54,
    fixed: FIXED,
    counter: 0,
    blocks: 0,
    limit: 1 << 20,
    failures: [0; 2],
    sequence: 0,
    key: 0x42,
};

impl Fields {
    /// The layout once more.
    fn bytes(self) -> [u8; 32] {
        let u24 = |number: u32| number.to_be_bytes()[1..].to_vec();
        let mut zeros = [0; 8];
        let nonce = [&self.fixed[..], &[0xFF; 3]].concat();
        let cipher = <Twine128Otr>::new(&[self.key; 16].into());
        let nonce = nonce.as_slice().try_into().unwrap();
        cipher.encrypt_inout_detached(nonce, b"", zeros.as_mut_slice().into()).unwrap();
        let bytes = [
            vec![self.kind],
            self.fixed.to_vec(),
            u24(self.counter),
            self.blocks.to_be_bytes().to_vec(),
            u24(self.limit - 1),
            u24(self.failures[0]),
            u24(self.failures[1]),
            u24(self.sequence),
            zeros[..4].to_vec(),
            vec![0; 4],
        ];
        summed(bytes.concat().try_into().unwrap())
    }

    fn read(self) -> Result<SealerState<4>, InvalidState> {
        SealerState::from_bytes(&self.bytes(), FIXED)
    }
}

/// The bytes with their CRC-32 at the end, by division of polynomials: the highest power is the first bit, the lowest in a byte.
fn summed(mut bytes: [u8; 32]) -> [u8; 32] {
    let bits = bytes[..28].iter().flat_map(|byte| (0..8).map(move |bit| byte >> bit & 1 == 1));
    let mut bits: Vec<bool> = bits.chain([false; 32]).collect();
    bits[..32].iter_mut().for_each(|bit| *bit = !*bit);
    for at in 0..28 * 8 {
        if bits[at] {
            for power in [32, 26, 23, 22, 16, 12, 11, 10, 8, 7, 5, 4, 2, 1, 0] {
                bits[at + 32 - power] ^= true;
            }
        }
    }
    let rest = bits[28 * 8..].iter().enumerate().fold(0u32, |rest, (i, bit)| rest | u32::from(!bit) << i);
    bytes[28..].copy_from_slice(&rest.to_be_bytes());
    bytes
}

#[test]
fn sums_are_crc32() {
    // Of 28 zeros, as zlib has it.
    assert_eq!(summed([0; 32])[28..], 0x8070_77E9u32.to_be_bytes());
}

#[test]
fn only_states_are_states() {
    let read = |bytes: &[u8; 32]| SealerState::from_bytes(bytes, FIXED);
    let first = <Sealer>::first_state(&key::<Twine128Otr>(), FIXED, BlockLimit::DEFAULT);
    assert_eq!(first.to_bytes(), FIRST.bytes());
    let some = Fields { counter: 0x010203, blocks: 0x030609, limit: 0x090807, sequence: 0x0A0B0C, ..FIRST };
    let good = some.bytes();
    let state = read(&good).unwrap();
    assert_eq!((state.to_bytes(), state.sequence()), (good, 0x0A0B0C));
    for bit in 0..256 {
        let mut bytes = good;
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(read(&bytes), Err(InvalidState::Damaged), "bit {bit}");
    }
    assert_eq!(read(&[0; 32]), Err(InvalidState::Damaged));
    assert_eq!(read(&[0xFF; 32]), Err(InvalidState::Damaged));

    // Sums are right from here on.
    let max = 1 << 24;
    let most = Fields { counter: max / 3, blocks: max, limit: max, sequence: max - 1, ..FIRST };
    let least = Fields { limit: 1, ..FIRST };
    for fields in [some, most, least, Fields { counter: 1, blocks: 3, ..FIRST }] {
        assert_eq!(fields.read().map(|state| state.to_bytes()), Ok(fields.bytes()));
    }
    for fields in [
        Fields { counter: 1, blocks: 2, ..FIRST },
        Fields { counter: max / 3 + 1, ..most },
        Fields { counter: 0, blocks: max + 1, ..most },
        Fields { failures: [1, 0], ..some },
        Fields { failures: [0, 1], ..some },
        Fields { failures: [1, 1], ..some },
    ] {
        assert_eq!(fields.read(), Err(InvalidState::Damaged), "{fields:?}");
    }
    for kind in [0x53, 0x55, 0x64, 0x74, 0, 0xFF] {
        assert_eq!(Fields { kind, ..some }.read(), Err(InvalidState::Other));
    }
    for at in 0..4 {
        let mut fixed = FIXED;
        fixed[at] ^= 1;
        assert_eq!(Fields { fixed, ..some }.read(), Err(InvalidState::Other));
    }
    assert_eq!(SealerState::from_bytes(&good, [FIXED[0], FIXED[1], FIXED[2]]), Err(InvalidState::Other));
    let opener = <Opener>::first_state(&key::<Twine128Otr>(), FIXED, BlockLimit::DEFAULT, 3);
    assert_eq!(read(&opener.to_bytes()), Err(InvalidState::Other));
    // A counter of more bytes than any sealer counts to.
    let mut bytes = [0; 32];
    bytes[0] = 0x50;
    bytes[1] = 1;
    assert_eq!(SealerState::from_bytes(&summed(bytes), []), Err(InvalidState::Damaged));
}

/// A state is of its key, its algorithm and its limit.
#[test]
fn states_belong_to_keys_and_limits() {
    let limit = BlockLimit::DEFAULT;
    let fields = Fields { counter: 1, blocks: 5, sequence: 3, ..FIRST };
    let state = || fields.read().unwrap();
    let key = key::<Twine128Otr>();
    assert!(<Sealer>::with_stored_key(&key, state(), limit).is_ok());
    for bit in 0..128 {
        let mut other = key;
        other[bit / 8] ^= 1 << (bit % 8);
        let refused = Some(InvalidState::OtherKey);
        assert_eq!(<Sealer>::with_stored_key(&other, state(), limit).err(), refused);
        assert_eq!(<Sealer>::restore(&other, FIXED, limit, &[fields.bytes()]).err(), refused);
    }
    type Short = Sealer<Otr<Twine128, U7, U4>, 4>;
    assert_eq!(Short::with_stored_key(&key, state(), limit).err(), Some(InvalidState::OtherKey));

    for other in
        [1, 1 << 16, (1 << 20) - 1, (1 << 20) + 1, 1 << 24].map(|blocks| BlockLimit::new(blocks).unwrap())
    {
        let refused = Some(InvalidState::OtherLimit);
        assert_eq!(<Sealer>::with_stored_key(&key, state(), other).err(), refused);
        assert_eq!(<Sealer>::restore(&key, FIXED, other, &[fields.bytes()]).err(), refused);
        // On purpose.
        let sealer = <Sealer>::with_stored_key(&key, state().with_block_limit(other), other).unwrap();
        assert_eq!((sealer.used_blocks(), sealer.remaining_blocks()), (5, other.get().saturating_sub(5)));
        let own = Fields { limit: other.get(), sequence: 4, ..fields };
        assert_eq!(sealer.suspend().to_bytes(), own.bytes());
    }
}

/// Whatever the order of the places, whatever lies in the others.
#[test]
fn the_newest_state_of_the_key_is_taken() {
    let restore = |places: &[Fields]| {
        let places: Vec<_> = places.iter().map(|fields| fields.bytes()).collect();
        let sealer = <Sealer>::restore(&key::<Twine128Otr>(), FIXED, BlockLimit::DEFAULT, &places)?;
        let mut reversed = places.clone();
        reversed.reverse();
        let other = <Sealer>::restore(&key::<Twine128Otr>(), FIXED, BlockLimit::DEFAULT, &reversed)?;
        assert_eq!(other.next_nonce(), sealer.next_nonce());
        Ok(counter::<4>(&sealer.next_nonce()))
    };
    let state = |sequence, counter| Fields { sequence, counter, blocks: 99, ..FIRST };
    let end = (1 << 24) - 1;
    assert_eq!(restore(&[state(7, 20)]), Ok(20));
    assert_eq!(restore(&[state(7, 20), state(8, 9)]), Ok(9), "after an orderly stop");
    assert_eq!(restore(&[state(7, 20), state(8, 20), state(9, 1)]), Ok(1));
    assert_eq!(restore(&[state(end, 20), state(0, 9)]), Ok(9));
    assert_eq!(restore(&[state(end - 1, 20), state(end, 9)]), Ok(9));
    // The first one was not known to be stored: the one that skips more is safe.
    assert_eq!(restore(&[state(8, 20), state(8, 9)]), Ok(20));
    // Of other keys, kinds and limits.
    let of_another = Fields { key: 0x43, ..state(9, 3) };
    let torn = Fields { kind: 0x74, ..state(9, 3) };
    assert_eq!(restore(&[state(7, 20), of_another, torn]), Ok(20));
    assert_eq!(restore(&[of_another, torn]), Err(InvalidState::OtherKey));
    assert_eq!(restore(&[torn]), Err(InvalidState::Other));
    assert_eq!(restore(&[]), Err(InvalidState::Damaged));
    assert_eq!(
        restore(&[state(7, 20), Fields { limit: 5000, ..state(8, 9) }]),
        Err(InvalidState::OtherLimit)
    );
}

#[test]
fn nothing_is_sealed_unreserved() {
    let mut sealer = stored(BlockLimit::DEFAULT);
    assert_eq!(seal(&mut sealer, 0), Err(SealError::NotReserved));
    assert_eq!(sealer.reserve(9, |_| Err("no flash")), Err("no flash"));
    assert_eq!(seal(&mut sealer, 0), Err(SealError::NotReserved));
    drop(sealer.begin_reserve(9));
    assert_eq!(seal(&mut sealer, 0), Err(SealError::NotReserved));

    let mut stored = None;
    let mut reserve = |sealer: &mut Sealer, blocks| {
        stored = None;
        sealer
            .reserve(blocks, |state| {
                stored = Some(state.to_bytes());
                Ok::<_, ()>(())
            })
            .unwrap();
        stored
    };
    let state = |sequence, counter, blocks| Fields { counter, blocks, sequence, ..FIRST }.bytes();
    assert_eq!(
        reserve(&mut sealer, 9),
        Some(state(5, 3, 9)),
        "behind two for this place that were not stored"
    );
    assert_eq!(reserve(&mut sealer, 9), None, "as much is reserved");
    assert_eq!(seal(&mut sealer, 0), Ok(0));
    assert_eq!(seal(&mut sealer, 40), Err(SealError::NotReserved));
    assert_eq!(seal(&mut sealer, 32), Ok(1), "all six blocks that are left");
    assert_eq!((sealer.reserved_blocks(), seal(&mut sealer, 0)), (0, Err(SealError::NotReserved)));
    // Two counters were used instead of three.
    assert_eq!(reserve(&mut sealer, 9), Some(state(6, 5, 18)));
    // What was not stored is made again, for the same place.
    for sequence in [7, 9] {
        assert_eq!(sealer.begin_reserve(20).state().to_bytes(), state(sequence, 2 + 20 / 3, 29));
    }
    assert_eq!(reserve(&mut sealer, u32::MAX), Some(state(11, 2 + ((1 << 20) - 9) / 3, 1 << 20)));
    assert_eq!(reserve(&mut sealer, u32::MAX), None, "the limit leaves no more");

    // An orderly stop skips nothing.
    let suspended = sealer.suspend();
    assert_eq!(suspended.to_bytes(), state(12, 2, 9));
    let sealer: Sealer =
        Sealer::with_stored_key(&key::<Twine128Otr>(), suspended, BlockLimit::DEFAULT).unwrap();
    assert_eq!((sealer.used_blocks(), sealer.reserved_blocks()), (9, 0));
    assert_eq!(counter::<4>(&sealer.next_nonce()), 2);
}

/// A sealer that is made where it lies does what one does that is returned, whatever it was before.
#[test]
fn sealers_are_made_in_place() {
    let key = key::<Twine128Otr>();
    let limit = limit(100);
    let mut sealer: Sealer = Sealer::without_key();
    assert_eq!((sealer.remaining_blocks(), sealer.reserved_blocks()), (0, 0));
    assert_eq!(seal(&mut sealer, 0), Err(SealError::LimitReached));
    assert_eq!(seal(&mut <Sealer>::without_key().with_block_limit(limit), 0), Err(SealError::LimitReached));
    for _ in 0..2 {
        sealer.set_ephemeral_key(&key, FIXED, limit);
        let mut other: Sealer = Sealer::with_ephemeral_key(&key, FIXED).with_block_limit(limit);
        let (mut one, mut two) = (*b"a reading", *b"a reading");
        let sealed = sealer.seal_inout_detached(b"ad", one.as_mut_slice().into());
        assert_eq!(sealed, other.seal_inout_detached(b"ad", two.as_mut_slice().into()));
        assert_eq!((one, sealer.remaining_blocks()), (two, other.remaining_blocks()));
        assert_eq!(sealer.suspend_in_place(), other.suspend());
        assert_eq!(seal(&mut sealer, 0), Err(SealError::LimitReached));
    }
    let first = <Sealer>::first_state(&key, FIXED, limit).to_bytes();
    assert_eq!(sealer.set_stored_key(&key, FIXED, limit, &[[0; 32], first]), Ok(()));
    assert_eq!(seal(&mut sealer, 0), Err(SealError::NotReserved));
    sealer.reserve(9, |_| Ok::<_, ()>(())).unwrap();
    assert_eq!(seal(&mut sealer, 0), Ok(0));
    assert_eq!(sealer.set_stored_key(&key, FIXED, limit, &[[0; 32]]), Err(InvalidState::Damaged));
    assert_eq!(seal(&mut sealer, 0), Err(SealError::LimitReached));
    // Not even with another limit: its nonces are used.
    sealer.set_ephemeral_key(&key, FIXED, limit);
    let _ = sealer.suspend_in_place();
    let mut sealer = sealer.with_block_limit(BlockLimit::MAX);
    sealer.reserve(9, |_| Ok::<_, ()>(())).unwrap();
    assert_eq!(seal(&mut sealer, 0), Err(SealError::LimitReached));
}

/// However often a reservation is given up, what is stored then is taken for the newest state.
#[test]
fn given_up_reservations_make_no_state_older() {
    let limit = limit(1000);
    for given_up in [600, 257, 256, 255, 0] {
        let mut sealer = stored(limit);
        let old = sealer.begin_reserve(10).state().to_bytes();
        sealer.confirm(&old).unwrap();
        for _ in 0..given_up {
            let _ = sealer.begin_reserve(50);
        }
        let new = sealer.begin_reserve(90).state().to_bytes();
        sealer.confirm(&new).unwrap();
        for places in [[old, new], [new, old]] {
            let restarted: Sealer = Sealer::restore(&key::<Twine128Otr>(), FIXED, limit, &places).unwrap();
            assert_eq!(restarted.used_blocks(), 90, "{given_up}");
        }
        let numbers = [old, new].map(|state| SealerState::from_bytes(&state, FIXED).unwrap().sequence() % 2);
        assert_ne!(numbers[0], numbers[1], "they are in different places");
    }
}

/// A state that is read back reserves what it says, if it is the next one.
#[test]
fn states_are_confirmed() {
    let limit = limit(100);
    let mut sealer = stored(limit);
    let superseded = sealer.begin_reserve(30).state().to_bytes();
    let bytes = sealer.begin_reserve(9).state().to_bytes();
    assert_eq!(sealer.reserved_blocks(), 0);
    let mut damaged = bytes;
    damaged[9] ^= 1;
    assert_eq!(sealer.confirm(&damaged), Err(InvalidState::Damaged));
    let first = <Sealer>::first_state(&key::<Twine128Otr>(), FIXED, limit).to_bytes();
    assert_eq!(sealer.confirm(&first), Err(InvalidState::Other));
    let mut other: Sealer = Sealer::with_ephemeral_key(&[0x43; 16].into(), FIXED).with_block_limit(limit);
    let of_other = other.begin_reserve(9).state().to_bytes();
    assert_eq!(sealer.confirm(&of_other), Err(InvalidState::OtherKey));
    let of_limit =
        SealerState::from_bytes(&bytes, FIXED).unwrap().with_block_limit(BlockLimit::MAX).to_bytes();
    assert_eq!(sealer.confirm(&of_limit), Err(InvalidState::OtherLimit));
    // The one that was made behind it lies in its place: what it reserves would be forgotten at the next start.
    assert_eq!((sealer.confirm(&superseded), sealer.reserved_blocks()), (Err(InvalidState::Other), 0));
    assert_eq!((sealer.confirm(&bytes), sealer.reserved_blocks()), (Ok(()), 9));
    for state in [bytes, superseded] {
        assert_eq!((sealer.confirm(&state), sealer.reserved_blocks()), (Err(InvalidState::Other), 9));
    }
    // Messages may be sealed until then.
    let bytes = sealer.begin_reserve(30).state().to_bytes();
    for counter in 0..3 {
        assert_eq!(seal(&mut sealer, 0), Ok(counter));
    }
    assert_eq!((sealer.confirm(&bytes), sealer.reserved_blocks()), (Ok(()), 21));
    // A state that covers less than what is reserved, or counters than are needed, was made by another sealer of the key.
    let mut twin: Sealer = Sealer::restore(&key::<Twine128Otr>(), FIXED, limit, &[bytes]).unwrap();
    let ahead = twin.begin_reserve(30).state().to_bytes();
    let _ = sealer.begin_reserve(30);
    let mut unused = stored(limit);
    for _ in 0..4 {
        unused.begin_reserve(0).stored();
    }
    let unused = unused.begin_reserve(0).state().to_bytes();
    let mut long = stored(limit);
    long.begin_reserve(99).stored();
    assert_eq!(seal(&mut long, 8 * 88), Ok(0));
    for _ in 0..3 {
        long.begin_reserve(0).stored();
    }
    let long = long.begin_reserve(9).state().to_bytes();
    let sequence = |bytes: &[u8; 32]| SealerState::from_bytes(bytes, FIXED).unwrap().sequence();
    assert_eq!([ahead, unused, long].map(|bytes| sequence(&bytes)), [5; 3]);
    for state in [unused, long] {
        assert_eq!((sealer.confirm(&state), sealer.reserved_blocks()), (Err(InvalidState::Other), 21));
    }
    assert_eq!((sealer.confirm(&ahead), sealer.reserved_blocks()), (Ok(()), 51));
    // Enough counters, and fewer blocks than are used.
    let mut sealer = stored(limit);
    sealer.begin_reserve(99).stored();
    assert_eq!(seal(&mut sealer, 8 * 88), Ok(0));
    let _ = sealer.begin_reserve(9);
    let mut short = stored(limit);
    short.begin_reserve(0).stored();
    let short = short.begin_reserve(30).state().to_bytes();
    assert_eq!((sealer.confirm(&short), sealer.reserved_blocks()), (Err(InvalidState::Other), 9));
}

/// A message in pieces that lets go of its sealer between them.
#[test]
fn pieces_are_suspended() {
    let (mut one, mut whole) = (ephemeral(100), ephemeral(100));
    let (mut text, mut expected) = ([7; 40], [7; 40]);
    let (nonce, pieces) = one.seal_pieces(b"ad", 40).unwrap();
    let mut state = pieces.suspend();
    for (i, piece) in text[..32].chunks_mut(16).enumerate() {
        assert_eq!(seal(&mut one, 0), Ok(i as u64 + 1));
        let mut pieces = one.resume_pieces(state);
        pieces.update(piece.into()).unwrap();
        state = pieces.suspend();
    }
    assert!(!format!("{state:?}").contains("mask"));
    let tag = one.resume_pieces(state).finalize((&mut text[32..]).into()).unwrap();
    assert_eq!(whole.seal_inout_detached(b"ad", expected.as_mut_slice().into()), Ok((nonce, tag)));
    assert_eq!(text, expected);
}

/// What the documentation says of steps: so many writes, so many starts.
#[test]
fn steps_cost_what_is_documented() {
    let limit = BlockLimit::DEFAULT;
    // Messages of 16 blocks: a step ends with none left, or with 48 to 63.
    for (margin, expected) in [(16, 256), (64, 260)] {
        let mut sealer = stored(limit);
        let mut writes = 0;
        loop {
            if sealer.reserved_blocks() < margin {
                sealer
                    .reserve(1 << 12, |_| {
                        writes += 1;
                        Ok::<_, ()>(())
                    })
                    .unwrap();
            }
            if seal(&mut sealer, 8 * 14).is_err() {
                break;
            }
        }
        assert_eq!((sealer.remaining_blocks(), writes), (0, expected));
    }
    for step in [1 << 8, 1 << 10, 1 << 12] {
        let mut bytes = <Sealer>::first_state(&key::<Twine128Otr>(), FIXED, limit).to_bytes();
        let mut starts = 0;
        loop {
            let mut sealer: Sealer = Sealer::restore(&key::<Twine128Otr>(), FIXED, limit, &[bytes]).unwrap();
            let store = |state: &SealerState<4>| {
                bytes = state.to_bytes();
                Ok::<_, ()>(())
            };
            sealer.reserve(step, store).unwrap();
            if seal(&mut sealer, 0).is_err() {
                break;
            }
            starts += 1;
        }
        assert_eq!(starts, limit.get() / step);
    }
}

/// Two places in a memory that a loss of power can leave half written.
struct Memory {
    places: [[u8; 32]; 2],
}

impl Memory {
    fn write(&mut self, state: &SealerState<4>, len: usize) {
        let place = &mut self.places[state.sequence() as usize % 2];
        place[..len].copy_from_slice(&state.to_bytes()[..len]);
    }
}

#[derive(Clone, Debug)]
enum Event {
    Seal {
        len: usize,
    },
    Reserve {
        blocks: u32,
    },
    /// The power is lost when so many bytes of the state are written.
    TornReserve {
        blocks: u32,
        written: usize,
    },
    /// It is lost after the state is written, before the sealer knows.
    LateLoss {
        blocks: u32,
    },
    PowerLoss,
    /// The state is written, to its end or not, and the memory says that it failed: the sealer goes on.
    Untold {
        blocks: u32,
        written: usize,
    },
    /// An orderly stop, unless the power is lost in it; and the start after it.
    Stop {
        written: usize,
    },
}

fn event() -> impl Strategy<Value = Event> {
    let blocks = || prop_oneof![0..40u32, 0..2000u32, any::<u32>()];
    prop_oneof![
        8 => (0..100usize).prop_map(|len| Event::Seal { len }),
        4 => blocks().prop_map(|blocks| Event::Reserve { blocks }),
        1 => (blocks(), 0..32usize).prop_map(|(blocks, written)| Event::TornReserve { blocks, written }),
        1 => blocks().prop_map(|blocks| Event::LateLoss { blocks }),
        1 => Just(Event::PowerLoss),
        1 => (blocks(), 0..=32usize).prop_map(|(blocks, written)| Event::Untold { blocks, written }),
        1 => prop_oneof![Just(32), 0..32usize].prop_map(|written| Event::Stop { written }),
    ]
}

/// Lives through the events. Returns how many messages were sealed.
fn live(events: &[Event], limit: BlockLimit) -> usize {
    let key = key::<Twine128Otr>();
    // What another key left.
    let other = <Sealer>::first_state(&[0x43; 16].into(), FIXED, limit).to_bytes();
    let mut memory = Memory { places: [other; 2] };
    memory.write(&<Sealer>::first_state(&key, FIXED, limit), 32);
    let start = |memory: &Memory| -> Sealer {
        Sealer::restore(&key, FIXED, limit, &memory.places).expect("one is always whole")
    };
    let mut sealer = start(&memory);
    let mut nonces = HashSet::new();
    let mut blocks = 0;
    for event in events {
        match *event {
            Event::Seal { len } => match seal(&mut sealer, len) {
                Ok(counter) => {
                    assert!(nonces.insert(counter), "counter {counter} twice");
                    blocks += count_blocks(2, len);
                    assert!(blocks <= u64::from(limit.get()));
                    assert!(blocks <= u64::from(sealer.used_blocks()), "forgot blocks");
                }
                Err(SealError::NotReserved) => {
                    assert!(u64::from(sealer.reserved_blocks()) < count_blocks(2, len));
                }
                Err(error) => {
                    assert_eq!(error, SealError::LimitReached);
                    assert!(u64::from(sealer.remaining_blocks()) < count_blocks(2, len));
                }
            },
            Event::Reserve { blocks } => {
                let store = |state: &SealerState<4>| {
                    memory.write(state, 32);
                    Ok::<_, ()>(())
                };
                sealer.reserve(blocks, store).unwrap();
                assert!(sealer.reserved_blocks() >= blocks.min(sealer.remaining_blocks()));
            }
            Event::TornReserve { blocks, written } => {
                memory.write(sealer.begin_reserve(blocks).state(), written);
                sealer = start(&memory);
            }
            Event::LateLoss { blocks } => {
                memory.write(sealer.begin_reserve(blocks).state(), 32);
                sealer = start(&memory);
            }
            Event::PowerLoss => sealer = start(&memory),
            Event::Untold { blocks, written } => {
                let result = sealer.reserve(blocks, |state| {
                    memory.write(state, written);
                    Err(())
                });
                assert!(result.is_err() || sealer.reserved_blocks() >= blocks.min(sealer.remaining_blocks()));
            }
            Event::Stop { written } => {
                let next = sealer.next_nonce();
                memory.write(&sealer.suspend(), written);
                sealer = start(&memory);
                if written == 32 {
                    assert_eq!(sealer.next_nonce(), next, "an orderly stop skipped");
                }
            }
        }
    }
    nonces.len()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_loss_of_power_repeats_a_nonce(events in vec(event(), 0..60), blocks in 1..2000u32) {
        live(&events, limit(blocks));
    }
}

/// One life, with the power lost at each of its steps and at each byte of each write.
#[test]
fn power_can_be_lost_anywhere() {
    let life: Vec<_> = (0..30)
        .flat_map(|i| [Event::Reserve { blocks: 12 }, Event::Seal { len: i }, Event::Seal { len: 0 }])
        .collect();
    assert_eq!(live(&life, BlockLimit::DEFAULT), 60);
    for at in 0..life.len() {
        let losses = match life[at] {
            Event::Reserve { blocks } => (0..32)
                .map(|written| Event::TornReserve { blocks, written })
                .chain([Event::LateLoss { blocks }])
                .collect(),
            _ => vec![Event::PowerLoss],
        };
        for loss in losses {
            let mut events = life.clone();
            events.splice(at..=at, [loss, life[at].clone(), Event::Reserve { blocks: 12 }]);
            assert!(live(&events, BlockLimit::DEFAULT) >= 58);
        }
    }
}
