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
    assert_eq!(message == vec![0x55; len], len == 0);
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

    let mut sealer =
        Sealer::<Twine128Otr, 4>::with_stored_key(&key::<Twine128Otr>(), SealerState::first(FIXED));
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

    let last = SealerState::from_bytes(&state_bytes((1 << 24) / 3 - 1, (1 << 24) - 4), FIXED).unwrap();
    let mut sealer = Sealer::<Twine128Otr, 4>::with_stored_key(&key::<Twine128Otr>(), last)
        .with_block_limit(BlockLimit::MAX);
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

#[test]
fn debug_shows_no_key() {
    let sealer = ephemeral(100);
    let text = format!("{sealer:?}");
    assert!(text.contains("used: 0") && !text.contains("cipher") && text.len() < 300, "{text}");
}

/// As [`SealerState::to_bytes`] is documented to lay it out.
fn state_bytes(counter: u32, blocks: u32) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[0] = 0x54;
    bytes[1..5].copy_from_slice(&FIXED);
    bytes[5..8].copy_from_slice(&counter.to_be_bytes()[1..]);
    bytes[8..12].copy_from_slice(&blocks.to_be_bytes());
    complement(&mut bytes);
    bytes
}

fn complement(bytes: &mut [u8; 32]) {
    for i in 0..16 {
        bytes[16 + i] = !bytes[i];
    }
}

#[test]
fn only_states_are_states() {
    let read = |bytes: &[u8; 32]| SealerState::from_bytes(bytes, FIXED);
    assert_eq!(SealerState::first(FIXED).to_bytes(), state_bytes(0, 0));
    let good = state_bytes(0x010203, 0x030609);
    assert_eq!(read(&good).map(SealerState::to_bytes), Ok(good));
    for bit in 0..256 {
        let mut bytes = good;
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(read(&bytes), Err(InvalidState), "bit {bit}");
    }
    for bytes in [[0; 32], [0xFF; 32], state_bytes(2, 5), state_bytes(0, (1 << 24) + 1)] {
        assert_eq!(read(&bytes), Err(InvalidState));
    }
    for (at, value) in [(0, 0x53), (0, 0x64), (0, 0x74), (1, 0), (4, 0), (15, 1)] {
        let mut bytes = good;
        bytes[at] = value;
        complement(&mut bytes);
        assert_eq!(read(&bytes), Err(InvalidState), "byte {at}");
    }
    assert_eq!(SealerState::from_bytes(&good, [FIXED[0], FIXED[1], FIXED[2]]), Err(InvalidState));
    let opener: Opener = Opener::new(&key::<Twine128Otr>(), FIXED);
    assert_eq!(read(&opener.state().to_bytes()), Err(InvalidState));
    // A counter of more bytes than any sealer counts to.
    let mut bytes = [0; 32];
    bytes[0] = 0x50;
    bytes[1] = 1;
    complement(&mut bytes);
    assert_eq!(SealerState::from_bytes(&bytes, []), Err(InvalidState));
}

#[test]
fn nothing_is_sealed_unreserved() {
    let state = SealerState::first(FIXED);
    let mut sealer = Sealer::<Twine128Otr, 4>::with_stored_key(&key::<Twine128Otr>(), state);
    assert_eq!(seal(&mut sealer, 0), Err(SealError::NotReserved));
    assert_eq!(sealer.reserve(9, |_| Err("no flash")), Err("no flash"));
    assert_eq!(seal(&mut sealer, 0), Err(SealError::NotReserved));
    drop(sealer.begin_reserve(9));
    assert_eq!(seal(&mut sealer, 0), Err(SealError::NotReserved));

    let mut stored = None;
    let mut reserve = |sealer: &mut Sealer, blocks| {
        stored = None;
        sealer
            .reserve(blocks, |bytes| {
                stored = Some(*bytes);
                Ok::<_, ()>(())
            })
            .unwrap();
        stored
    };
    assert_eq!(reserve(&mut sealer, 9), Some(state_bytes(3, 9)));
    assert_eq!(reserve(&mut sealer, 9), None, "as much is reserved");
    assert_eq!(seal(&mut sealer, 0), Ok(0));
    assert_eq!(seal(&mut sealer, 40), Err(SealError::NotReserved));
    assert_eq!(seal(&mut sealer, 32), Ok(1), "all six blocks that are left");
    assert_eq!((sealer.reserved_blocks(), seal(&mut sealer, 0)), (0, Err(SealError::NotReserved)));
    // Two counters were used instead of three.
    assert_eq!(reserve(&mut sealer, 9), Some(state_bytes(5, 18)));
    assert_eq!(reserve(&mut sealer, u32::MAX), Some(state_bytes(2 + ((1 << 20) - 9) / 3, 1 << 20)));
    assert_eq!(reserve(&mut sealer, u32::MAX), None, "the limit leaves no more");

    // An orderly stop skips nothing.
    let state = sealer.suspend();
    assert_eq!(state.to_bytes(), state_bytes(2, 9));
    let sealer = Sealer::<Twine128Otr, 4>::with_stored_key(&key::<Twine128Otr>(), state);
    assert_eq!((sealer.used_blocks(), sealer.reserved_blocks()), (9, 0));
    assert_eq!(counter::<4>(&sealer.next_nonce()), 2);
}

/// Two places in a memory that a loss of power can leave half written.
struct Memory {
    places: [[u8; 32]; 2],
    /// The place of the next write.
    next: usize,
}

impl Memory {
    fn write(&mut self, bytes: &[u8; 32], len: usize) {
        self.places[self.next][..len].copy_from_slice(&bytes[..len]);
    }

    /// The greatest state.
    fn read(&mut self) -> SealerState<4> {
        let states = self.places.map(|bytes| SealerState::from_bytes(&bytes, FIXED).ok());
        self.next = usize::from(states[0] >= states[1]);
        states.into_iter().flatten().max().expect("one is always whole")
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
    /// The state is written, in all places, and the sealer is never told.
    Untold {
        blocks: u32,
    },
    /// And the start after it.
    Stop,
}

fn event() -> impl Strategy<Value = Event> {
    let blocks = || prop_oneof![0..40u32, 0..2000u32, any::<u32>()];
    prop_oneof![
        8 => (0..100usize).prop_map(|len| Event::Seal { len }),
        4 => blocks().prop_map(|blocks| Event::Reserve { blocks }),
        1 => (blocks(), 0..32usize).prop_map(|(blocks, written)| Event::TornReserve { blocks, written }),
        1 => blocks().prop_map(|blocks| Event::LateLoss { blocks }),
        1 => Just(Event::PowerLoss),
        1 => blocks().prop_map(|blocks| Event::Untold { blocks }),
        1 => Just(Event::Stop),
    ]
}

/// Lives through the events. Returns how many messages were sealed.
fn live(events: &[Event], limit: BlockLimit) -> usize {
    let mut memory = Memory { places: [SealerState::first(FIXED).to_bytes(), [0xFF; 32]], next: 1 };
    let start = |memory: &mut Memory| {
        Sealer::<Twine128Otr, 4>::with_stored_key(&key::<Twine128Otr>(), memory.read())
            .with_block_limit(limit)
    };
    let mut sealer = start(&mut memory);
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
                let store = |bytes: &[u8; 32]| {
                    memory.write(bytes, 32);
                    memory.next ^= 1;
                    Ok::<_, ()>(())
                };
                sealer.reserve(blocks, store).unwrap();
                assert!(sealer.reserved_blocks() >= blocks.min(sealer.remaining_blocks()));
            }
            Event::TornReserve { blocks, written } => {
                memory.write(&sealer.begin_reserve(blocks).state().to_bytes(), written);
                sealer = start(&mut memory);
            }
            Event::LateLoss { blocks } => {
                memory.write(&sealer.begin_reserve(blocks).state().to_bytes(), 32);
                sealer = start(&mut memory);
            }
            Event::PowerLoss => sealer = start(&mut memory),
            Event::Untold { blocks } => {
                memory.places = [sealer.begin_reserve(blocks).state().to_bytes(); 2];
            }
            Event::Stop => {
                // Over both places, as the greater one would skip.
                memory.places = [sealer.suspend().to_bytes(); 2];
                sealer = start(&mut memory);
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
