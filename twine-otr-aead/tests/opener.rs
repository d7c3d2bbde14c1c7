//! What an opener promises: no message twice, limits to the block, and zeros after whatever error.

use std::collections::HashSet;

use proptest::{collection::vec, prelude::*};
use twine_otr_aead::{
    AeadInOut, BlockLimit, InvalidState, Key, KeyInit, Nonce, OpenError, Opener, OpenerState, Otr, Sealer,
    StrictOpener, Tag, Twine128, Twine128Otr,
    aead::{Buffer, inout::InOutBuf},
    consts::{U4, U5, U6, U7},
    count_blocks,
};

const FIXED: [u8; 4] = [0xA0, 1, 2, 3];

fn key() -> Key<Twine128Otr> {
    [0x42; 16].into()
}

fn nonce<const F: usize>(fixed: [u8; F], counter: u64) -> Nonce<Twine128Otr> {
    let opener: Opener<Twine128Otr, F> = Opener::new(&key(), fixed);
    opener.nonce(&counter.to_be_bytes()[1 + F..]).unwrap()
}

struct Message {
    nonce: Nonce<Twine128Otr>,
    ciphertext: Vec<u8>,
    tag: Tag<Twine128Otr>,
}

impl Message {
    /// A genuine message, of any counter.
    fn new(nonce: Nonce<Twine128Otr>, len: usize) -> Self {
        let mut ciphertext = vec![0x55; len];
        let cipher = <Twine128Otr>::new(&key());
        let tag = cipher.encrypt_inout_detached(&nonce, b"ad", ciphertext.as_mut_slice().into()).unwrap();
        Self { nonce, ciphertext, tag }
    }

    fn forged(mut self) -> Self {
        self.tag[7] ^= 1;
        self
    }

    /// Opens it, in place or from one buffer to another. What is left must be the plaintext or zeros.
    fn open<const F: usize, const WORDS: usize>(
        &self,
        opener: &mut Opener<Twine128Otr, F, WORDS>,
    ) -> Result<(), OpenError> {
        let mut output = self.ciphertext.clone();
        let buffers = if self.nonce[6] % 2 == 0 {
            InOutBuf::from(output.as_mut_slice())
        } else {
            InOutBuf::new(&self.ciphertext, &mut output).unwrap()
        };
        let result = opener.open_inout_detached(&self.nonce, b"ad", buffers, &self.tag);
        let left = if result.is_ok() { 0x55 } else { 0 };
        assert!(output.iter().all(|byte| *byte == left), "{result:?} left {output:02x?}");
        result
    }
}

/// The window, as one would explain it.
struct Model {
    opened: HashSet<u64>,
    size: u64,
}

impl Model {
    fn check(&self, counter: u64) -> Result<(), OpenError> {
        match self.opened.iter().max() {
            _ if self.opened.contains(&counter) && self.is_within(counter) => Err(OpenError::Replayed),
            Some(_) if !self.is_within(counter) => Err(OpenError::TooOld),
            _ => Ok(()),
        }
    }

    fn is_within(&self, counter: u64) -> bool {
        self.opened.iter().max().is_none_or(|newest| counter.saturating_add(self.size) >= *newest)
    }
}

/// How a counter relates to the newest one, and whether the message is forged.
fn step() -> impl Strategy<Value = (i64, bool)> {
    let jump = prop_oneof![
        6 => -6..6i64,
        4 => -140..140i64,
        1 => any::<i32>().prop_map(i64::from),
        1 => any::<i64>(),
    ];
    (jump, prop::bool::weighted(0.2))
}

fn follows_the_model<const F: usize, const WORDS: usize>(steps: &[(i64, bool)]) {
    let fixed = [7; F];
    let max = u64::MAX >> (8 * (F + 1));
    let mut opener = Opener::<Twine128Otr, F, WORDS>::new(&key(), fixed);
    let mut model = Model { opened: HashSet::new(), size: 64 * WORDS as u64 };
    let mut failures = 0;
    for (jump, is_forged) in steps {
        let newest = opener.newest().unwrap_or(1000);
        let counter = newest.saturating_add_signed(*jump).min(max);
        let message = Message::new(nonce(fixed, counter), 3);
        let expected = model.check(counter);
        if *is_forged {
            let result = message.forged().open(&mut opener);
            assert_eq!(result, expected.and(Err(OpenError::Rejected)));
            assert_eq!(opener.newest(), model.opened.iter().max().copied(), "the window moved");
            failures += u32::from(result == Err(OpenError::Rejected));
        } else {
            assert_eq!(message.open(&mut opener), expected, "{counter} after {newest}");
            if expected.is_ok() {
                model.opened.insert(counter);
            }
        }
        assert_eq!(opener.failures(), failures);
        assert_eq!(opener.used_blocks(), 3 * (failures + u32::try_from(model.opened.len()).unwrap()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn replays_are_refused_as_the_model_says(steps in vec(step(), 0..60)) {
        follows_the_model::<4, 1>(&steps);
        follows_the_model::<0, 1>(&steps);
        follows_the_model::<4, 0>(&steps);
        follows_the_model::<1, 2>(&steps);
        follows_the_model::<2, 5>(&steps);
    }
}

/// 64 below the newest, by default, and not 65.
#[test]
fn the_window_is_exact() {
    let mut opener: Opener = Opener::new(&key(), FIXED);
    let mut open = |counter| Message::new(nonce(FIXED, counter), 5).open(&mut opener);
    assert_eq!(open(1000), Ok(()));
    for (counter, result) in [
        (935, Err(OpenError::TooOld)),
        (936, Ok(())),
        (936, Err(OpenError::Replayed)),
        (999, Ok(())),
        (1000, Err(OpenError::Replayed)),
        (1063, Ok(())),
        (998, Err(OpenError::TooOld)),
        (999, Err(OpenError::Replayed)),
        (1000, Err(OpenError::Replayed)),
        (1001, Ok(())),
        (0xFF_FFFF, Ok(())),
        (0xFF_FFFF, Err(OpenError::Replayed)),
        (0xFF_FFFE, Ok(())),
        (1063, Err(OpenError::TooOld)),
    ] {
        assert_eq!(open(counter), result, "{counter}");
    }
}

#[test]
fn order_can_be_strict() {
    let mut opener = StrictOpener::<Twine128Otr>::new(&key(), FIXED);
    let mut open = |counter| Message::new(nonce(FIXED, counter), 5).open(&mut opener);
    assert_eq!([0, 1, 3].map(&mut open), [Ok(()); 3]);
    assert_eq!([2, 3, 4].map(&mut open), [Err(OpenError::TooOld), Err(OpenError::Replayed), Ok(())]);
}

/// A forged message from far ahead does not shut the others out.
#[test]
fn forgeries_do_not_move_the_window() {
    let mut opener: Opener = Opener::new(&key(), FIXED);
    assert_eq!(Message::new(nonce(FIXED, 5), 9).forged().open(&mut opener), Err(OpenError::Rejected));
    assert_eq!(opener.newest(), None);
    assert_eq!(Message::new(nonce(FIXED, 5), 9).open(&mut opener), Ok(()));
    assert_eq!(Message::new(nonce(FIXED, 500), 9).forged().open(&mut opener), Err(OpenError::Rejected));
    assert_eq!(Message::new(nonce(FIXED, 4), 9).forged().open(&mut opener), Err(OpenError::Rejected));
    assert_eq!(Message::new(nonce(FIXED, 4), 9).open(&mut opener), Ok(()));
}

/// 2^20, or as many as leave 2^-22.
#[test]
fn the_limit_of_failures_depends_on_the_tag() {
    assert_eq!(<Opener>::FAILURE_LIMIT, 1 << 20);
    assert_eq!(StrictOpener::<Twine128Otr, 1>::FAILURE_LIMIT, 1 << 20);
    assert_eq!(Opener::<Otr<Twine128, U7, U7>>::FAILURE_LIMIT, 1 << 20);
    assert_eq!(Opener::<Otr<Twine128, U7, U6>>::FAILURE_LIMIT, 1 << 20);
    assert_eq!(Opener::<Otr<Twine128, U7, U5>>::FAILURE_LIMIT, 1 << 18);
    assert_eq!(Opener::<Otr<Twine128, U7, U4>>::FAILURE_LIMIT, 1 << 10);

    // Noise: more corrupt frames than a day brings, and the next one opens.
    let mut opener: Opener = Opener::new(&key(), FIXED);
    let forged = Message::new(nonce(FIXED, 9), 16).forged();
    for _ in 0..10_000 {
        assert_eq!(forged.open(&mut opener), Err(OpenError::Rejected));
    }
    assert_eq!((opener.failures(), opener.remaining_failures()), (10_000, (1 << 20) - 10_000));
    assert_eq!(Message::new(nonce(FIXED, 9), 16).open(&mut opener), Ok(()));

    type Short = Otr<Twine128, U7, U4>;
    let mut opener: Opener<Short> = Opener::new(&key(), FIXED);
    for i in 0..1025 {
        let result = opener.open_inout_detached(
            &nonce(FIXED, 9),
            b"",
            [0; 3].as_mut_slice().into(),
            &[0x5A; 4].into(),
        );
        assert_eq!(result, Err(if i < 1024 { OpenError::Rejected } else { OpenError::TooManyFailures }));
    }
    // Beyond what can fail: no more than what a state can hold.
    let opener = <Opener>::new(&key(), FIXED).with_failure_limit(u32::MAX);
    assert_eq!(opener.remaining_failures(), (1 << 24) - 1);
}

#[test]
fn the_limit_of_failures_is_exact() {
    type Default = Opener<Twine128Otr, 4>;
    for (failures, mut opener) in [
        (1024, Default::new(&key(), FIXED).with_failure_limit(1024)),
        (3, Default::new(&key(), FIXED).with_failure_limit(3)),
        (0, Default::new(&key(), FIXED).with_failure_limit(0)),
    ] {
        for i in 0..failures {
            assert_eq!(
                Message::new(nonce(FIXED, 5000), 0).forged().open(&mut opener),
                Err(OpenError::Rejected)
            );
            // What succeeds between is no excuse.
            assert_eq!(
                Message::new(nonce(FIXED, 2 + u64::from(i)), 0).open(&mut opener).is_ok(),
                i + 1 < failures
            );
        }
        let (blocks, newest) = (opener.used_blocks(), opener.newest());
        assert_eq!(opener.failures(), failures);
        for message in [Message::new(nonce(FIXED, 9999), 20), Message::new(nonce(FIXED, 9999), 20).forged()] {
            assert_eq!(message.open(&mut opener), Err(OpenError::TooManyFailures));
        }
        assert_eq!((opener.failures(), opener.used_blocks(), opener.newest()), (failures, blocks, newest));
    }
}

#[test]
fn the_limit_of_blocks_is_exact() {
    for blocks in 10..20 {
        let limit = BlockLimit::new(blocks).unwrap();
        let mut opener = Opener::<Twine128Otr, 4>::new(&key(), FIXED).with_block_limit(limit);
        // Failures count as well.
        assert_eq!(Message::new(nonce(FIXED, 1), 8).forged().open(&mut opener), Err(OpenError::Rejected));
        assert_eq!((opener.used_blocks(), opener.remaining_blocks()), (3, blocks - 3));
        let fits = 8 * (blocks as usize - 5);
        assert_eq!(u64::from(blocks), 3 + count_blocks(2, fits));
        assert_eq!(Message::new(nonce(FIXED, 1), fits + 1).open(&mut opener), Err(OpenError::LimitReached));
        assert_eq!(Message::new(nonce(FIXED, 1), fits).open(&mut opener), Ok(()));
        assert_eq!((opener.used_blocks(), opener.remaining_blocks()), (blocks, 0));
        assert_eq!(Message::new(nonce(FIXED, 2), 0).open(&mut opener), Err(OpenError::LimitReached));
    }
}

#[test]
fn only_the_own_sender_is_heard() {
    let mut opener: Opener = Opener::new(&key(), FIXED);
    for at in 0..4 {
        let mut fixed = FIXED;
        fixed[at] ^= 0x80;
        assert_eq!(Message::new(nonce(fixed, 1), 9).open(&mut opener), Err(OpenError::OtherFixedPart));
    }
    assert_eq!((opener.failures(), opener.used_blocks()), (0, 0));
    for len in [0, 2, 4, 7] {
        assert_eq!(opener.nonce(&[1; 7][..len]), None);
    }
    assert_eq!(opener.nonce(&[1, 2, 3]), Some([0xA0, 1, 2, 3, 1, 2, 3].into()));
}

/// Opens `given` in one buffer, its tag behind the message; a refusal must leave its length, and zeros.
fn open_in_place<B: Buffer>(
    opener: &mut Opener,
    nonce: &Nonce<Twine128Otr>,
    given: &[u8],
    mut buffer: B,
) -> Result<(), OpenError> {
    let result = opener.open_in_place(nonce, b"ad", &mut buffer);
    match result {
        Ok(()) => assert_eq!(buffer.as_ref(), vec![0x55; given.len() - 8]),
        Err(error) => assert_eq!(buffer.as_ref(), vec![0; given.len()], "{error:?}"),
    }
    result
}

/// Every error, at every length from 0, in a buffer that `new` makes.
fn refused_buffers_are_zeroed<B: Buffer>(new: impl Fn(&[u8]) -> B) {
    let expect = |opener: &mut Opener, message: &Message, expected| {
        let given = [&message.ciphertext[..], &message.tag].concat();
        assert_eq!(open_in_place(opener, &message.nonce, &given, new(&given)), expected);
    };
    for len in 0..8 {
        let mut opener: Opener = Opener::new(&key(), FIXED);
        let given = &b"ATTACKER"[..len];
        let opened = open_in_place(&mut opener, &nonce(FIXED, 0), given, new(given));
        assert_eq!(opened, Err(OpenError::Truncated));
        assert_eq!((opener.failures(), opener.used_blocks()), (0, 0));
    }
    for len in (0..70).chain([150]) {
        let mut opener: Opener = Opener::new(&key(), FIXED);
        expect(&mut opener, &Message::new(nonce(FIXED, 100), len).forged(), Err(OpenError::Rejected));
        expect(&mut opener, &Message::new(nonce(FIXED, 100), len), Ok(()));
        expect(&mut opener, &Message::new(nonce(FIXED, 100), len), Err(OpenError::Replayed));
        expect(&mut opener, &Message::new(nonce(FIXED, 1), len), Err(OpenError::TooOld));
        expect(&mut opener, &Message::new(nonce([0; 4], 101), len), Err(OpenError::OtherFixedPart));
        let mut opener = opener.with_failure_limit(1);
        expect(&mut opener, &Message::new(nonce(FIXED, 101), len), Err(OpenError::TooManyFailures));
        let mut opener = opener.with_failure_limit(2).with_block_limit(BlockLimit::new(1).unwrap());
        expect(&mut opener, &Message::new(nonce(FIXED, 101), len), Err(OpenError::LimitReached));
    }
}

#[cfg(feature = "alloc")]
#[test]
fn refused_vectors_are_zeroed() {
    refused_buffers_are_zeroed(<[u8]>::to_vec);
}

#[cfg(feature = "arrayvec")]
#[test]
fn refused_array_vectors_are_zeroed() {
    refused_buffers_are_zeroed(|bytes| bytes.iter().copied().collect::<arrayvec::ArrayVec<u8, 160>>());
}

#[cfg(feature = "bytes")]
#[test]
fn refused_bytes_are_zeroed() {
    refused_buffers_are_zeroed(|bytes| bytes::BytesMut::from(bytes));
}

/// Without any feature: memory of one's own.
#[test]
fn refused_buffers_of_other_types_are_zeroed() {
    struct Own(Vec<u8>);

    impl AsRef<[u8]> for Own {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }

    impl AsMut<[u8]> for Own {
        fn as_mut(&mut self) -> &mut [u8] {
            &mut self.0
        }
    }

    impl Buffer for Own {
        fn extend_from_slice(&mut self, _: &[u8]) -> Result<(), twine_otr_aead::Error> {
            Err(twine_otr_aead::Error)
        }

        fn truncate(&mut self, len: usize) {
            self.0.truncate(len);
        }
    }

    refused_buffers_are_zeroed(|bytes| Own(bytes.to_vec()));
}

#[cfg(feature = "alloc")]
#[test]
fn messages_with_tags_open_to_vectors() {
    use twine_otr_aead::aead::Payload;

    let mut opener: Opener = Opener::new(&key(), FIXED);
    let message = Message::new(nonce(FIXED, 3), 20);
    let sealed = [&message.ciphertext[..], &message.tag].concat();
    for len in 0..sealed.len() {
        let expected = if len < 8 { OpenError::Truncated } else { OpenError::Rejected };
        let payload = Payload { msg: &sealed[..len], aad: b"ad" };
        assert_eq!(opener.open(&message.nonce, payload), Err(expected));
    }
    assert_eq!(opener.open(&message.nonce, Payload { msg: &sealed, aad: b"ad" }), Ok(vec![0x55; 20]));
}

const LIMIT: BlockLimit = BlockLimit::DEFAULT;
const FAILURES: u32 = <Opener>::FAILURE_LIMIT;

fn first() -> OpenerState<4> {
    <Opener>::first_state(&key(), FIXED, LIMIT, FAILURES)
}

fn go_on(state: OpenerState<4>) -> Opener {
    Opener::with_stored_key(&key(), state, LIMIT, FAILURES).unwrap()
}

/// Reserves, and returns the state if it had to be stored.
fn reserve(opener: &mut Opener, messages: u32, blocks: u32) -> Option<[u8; 32]> {
    let mut stored = None;
    let store = |state: &OpenerState<4>| {
        stored = Some(state.to_bytes());
        Ok::<_, ()>(())
    };
    opener.reserve(messages, blocks, store).unwrap();
    stored
}

/// Everything that was not late opens after an orderly stop, and nothing that was opened.
#[test]
fn an_orderly_stop_goes_on() {
    let mut opener = go_on(first());
    assert_eq!(opener.newest(), None);
    assert!(reserve(&mut opener, 100, 1000).is_some());
    for counter in [0, 70] {
        assert_eq!(Message::new(nonce(FIXED, counter), 9).open(&mut opener), Ok(()));
    }
    assert_eq!(Message::new(nonce(FIXED, 71), 9).forged().open(&mut opener), Err(OpenError::Rejected));
    let state = opener.suspend();
    opener = go_on(OpenerState::from_bytes(&state.to_bytes(), FIXED).unwrap());
    assert_eq!((opener.newest(), opener.failures(), opener.used_blocks()), (Some(70), 1, 12));
    assert_eq!((opener.reserved_messages(), opener.reserved_blocks()), (0, 0));
    assert!(reserve(&mut opener, 3, 1000).is_some());
    for counter in [0, 5, 6, 69, 70] {
        let result = Message::new(nonce(FIXED, counter), 9).open(&mut opener);
        assert!(matches!(result, Err(OpenError::Replayed | OpenError::TooOld)), "{counter}");
    }
    assert_eq!(Message::new(nonce(FIXED, 72), 9).open(&mut opener), Ok(()));
    assert_eq!(Message::new(nonce(FIXED, 71), 9).open(&mut opener), Ok(()));
}

/// A state that was never used says so, and opens the first message of all.
#[test]
fn nothing_is_opened_unreserved() {
    let message = |counter| Message::new(nonce(FIXED, counter), 9);
    let mut opener = go_on(first());
    for message in [message(0), message(0).forged()] {
        assert_eq!(message.open(&mut opener), Err(OpenError::NotReserved));
    }
    assert_eq!((opener.failures(), opener.used_blocks()), (0, 0));
    assert_eq!(opener.reserve(9, 90, |_| Err("no flash")), Err("no flash"));
    drop(opener.begin_reserve(9, 90));
    assert_eq!(message(0).open(&mut opener), Err(OpenError::NotReserved));

    let one = reserve(&mut opener, 9, 90).expect("stored");
    // Two were begun before, for the same place.
    assert_eq!(OpenerState::from_bytes(&one, FIXED).unwrap().sequence(), 5);
    assert_eq!(reserve(&mut opener, 9, 90), None, "as much is reserved");
    assert_eq!((opener.reserved_messages(), opener.reserved_blocks()), (9, 90));
    assert_eq!(message(8).open(&mut opener), Ok(()));
    assert_eq!((opener.reserved_messages(), opener.reserved_blocks()), (0, 86));
    // Late ones need no more counters, new ones do; a forged one tells nothing.
    assert_eq!(message(7).open(&mut opener), Ok(()));
    assert_eq!(message(500).forged().open(&mut opener), Err(OpenError::Rejected));
    assert_eq!(message(9).open(&mut opener), Err(OpenError::NotReserved));
    assert_eq!((opener.newest(), opener.failures(), opener.used_blocks()), (Some(8), 1, 16));
    assert_eq!(opener.reserved_messages(), 0);
    assert!(reserve(&mut opener, 1, 0).is_some());
    assert_eq!(message(9).open(&mut opener), Ok(()));
    assert_eq!(message(10).open(&mut opener), Ok(()));
    assert_eq!(message(11).open(&mut opener), Err(OpenError::NotReserved));
    assert_eq!(message(8).open(&mut opener), Err(OpenError::Replayed));
}

/// A sender that jumps ahead, as after a restart, is followed: one reservation, and the message opens if there is a copy.
#[test]
fn jumps_are_followed() {
    let mut opener = go_on(first());
    reserve(&mut opener, 4, 1000);
    let far = Message::new(nonce(FIXED, 1365), 9);
    assert_eq!(far.open(&mut opener), Err(OpenError::NotReserved));
    assert_eq!((opener.reserved_messages(), opener.newest()), (0, None));
    let bytes = reserve(&mut opener, 4, 1000).expect("stored");
    assert_eq!(opener.reserved_messages(), 4);
    assert_eq!(far.open(&mut opener), Ok(()));
    assert_eq!(Message::new(nonce(FIXED, 1369), 9).open(&mut opener), Ok(()));
    assert_eq!(Message::new(nonce(FIXED, 1370), 9).open(&mut opener), Err(OpenError::NotReserved));
    // It refuses all of it after a restart.
    let mut opener = go_on(OpenerState::from_bytes(&bytes, FIXED).unwrap());
    reserve(&mut opener, 4, 1000);
    for (counter, expected) in [(1365, false), (1368, false), (1369, false), (1370, true), (1373, true)] {
        assert_eq!(Message::new(nonce(FIXED, counter), 9).open(&mut opener).is_ok(), expected, "{counter}");
    }
}

/// With the last counter of all, everything was opened.
#[test]
fn the_last_counter_can_be_reserved() {
    let mut opener = go_on(first());
    reserve(&mut opener, u32::MAX, 1000).unwrap();
    assert_eq!(Message::new(nonce(FIXED, 0xFF_FFFF), 9).open(&mut opener), Ok(()));
    let bytes = reserve(&mut opener, u32::MAX, 2000).unwrap();
    let mut opener = go_on(OpenerState::from_bytes(&bytes, FIXED).unwrap());
    reserve(&mut opener, 10, 1000).unwrap();
    assert_eq!(opener.newest(), Some(0xFF_FFFF));
    assert_eq!(Message::new(nonce(FIXED, 0xFF_FFFF), 9).open(&mut opener), Err(OpenError::Replayed));
    // A state of an opener that stores nothing covers all that it may have opened.
    let mut opener: Opener<Twine128Otr, 0> = Opener::new(&key(), []);
    let state = opener.begin_reserve(1, 1).state().to_bytes();
    let mut opener: Opener<Twine128Otr, 0> = Opener::restore(&key(), [], LIMIT, FAILURES, &[state]).unwrap();
    assert_eq!((opener.newest(), opener.remaining_blocks()), (Some((1 << 56) - 1), 0));
    assert_eq!(Message::new(nonce([], 77), 9).open(&mut opener), Err(OpenError::TooOld));
}

/// Failures are reserved with blocks, as large a part of them: the last one that is reserved ends both.
#[test]
fn failures_are_reserved() {
    let (limit, failures) = (BlockLimit::new(1000).unwrap(), 20);
    let start = |bytes: [u8; 32]| <Opener>::restore(&key(), FIXED, limit, failures, &[bytes]).unwrap();
    let mut bytes = <Opener>::first_state(&key(), FIXED, limit, failures).to_bytes();
    let mut starts = 0;
    loop {
        let mut opener = start(bytes);
        assert_eq!((opener.failures(), opener.used_blocks()), (2 * starts, 100 * starts));
        if starts == 10 {
            let message = Message::new(nonce(FIXED, 1000), 0);
            assert_eq!(message.open(&mut opener), Err(OpenError::TooManyFailures));
            break;
        }
        bytes = reserve(&mut opener, 5, 100).unwrap();
        for i in 0..4 {
            let result = Message::new(nonce(FIXED, 1000), 0).forged().open(&mut opener);
            let more = if starts == 9 { OpenError::TooManyFailures } else { OpenError::NotReserved };
            assert_eq!(result, Err(if i < 2 { OpenError::Rejected } else { more }));
        }
        assert_eq!(opener.reserved_blocks(), 0, "so that more are reserved");
        starts += 1;
    }
    // At least one, and never more than the limit leaves.
    let mut opener = start(<Opener>::first_state(&key(), FIXED, limit, failures).to_bytes());
    reserve(&mut opener, 5, 3).unwrap();
    assert_eq!(Message::new(nonce(FIXED, 1000), 0).forged().open(&mut opener), Err(OpenError::Rejected));
    for _ in 1..20 {
        reserve(&mut opener, 5, 9).unwrap();
        assert_eq!(Message::new(nonce(FIXED, 1000), 0).forged().open(&mut opener), Err(OpenError::Rejected));
    }
    reserve(&mut opener, 5, 20);
    assert_eq!(opener.failures(), 20);
    assert_eq!(Message::new(nonce(FIXED, 1), 0).open(&mut opener), Err(OpenError::TooManyFailures));
}

/// 32 bytes as they are documented, from a state of this key.
fn layout(state: &OpenerState<4>, change: impl Fn(&mut [u8; 32])) -> [u8; 32] {
    let mut bytes = state.to_bytes();
    change(&mut bytes);
    let mut sum = u32::MAX;
    for bit in (0..224).map(|bit| u32::from(bytes[bit / 8] >> (bit % 8) & 1)) {
        sum = if (sum ^ bit) & 1 == 1 { sum >> 1 ^ 0xEDB8_8320 } else { sum >> 1 };
    }
    bytes[28..].copy_from_slice(&(!sum).to_be_bytes());
    bytes
}

#[test]
fn only_states_are_states() {
    let read = |bytes: &[u8; 32]| OpenerState::from_bytes(bytes, FIXED);
    let mut opener = go_on(first());
    reserve(&mut opener, 0x0102, 0x0304);
    let used = opener.begin_reserve(0x0506, 0x0708);
    for state in [&first(), used.state()] {
        let good = state.to_bytes();
        assert_eq!(layout(state, |_| ()), good);
        assert_eq!(read(&good).as_ref(), Ok(state));
        for bit in 0..256 {
            let mut bytes = good;
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(read(&bytes), Err(InvalidState::Damaged), "bit {bit}");
        }
        assert_eq!(OpenerState::from_bytes(&good, [FIXED[0]]), Err(InvalidState::Other));
    }
    let state = used.state();
    let expected = [
        &[0x74, 0xA0, 1, 2, 3, 0, 0x05, 0x05, 0, 0, 0x07, 0x08, 0x0F, 0xFF, 0xFF, 0, 0x07, 0x08][..],
        &[0x10, 0, 0, 0, 0, 2],
    ]
    .concat();
    assert_eq!(state.to_bytes()[..24], expected);
    // A new opener has no counter; any other may have any.
    let new = layout(&first(), |_| ());
    assert_eq!(new[..12], [0x64, 0xA0, 1, 2, 3, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(read(&layout(&first(), |bytes| bytes[7] = 1)), Err(InvalidState::Damaged));
    assert_eq!(read(&layout(state, |bytes| bytes[0] = 0x64)), Err(InvalidState::Damaged));
    for (at, value) in [(5, 0xFF), (8, 1), (8, 0xFF)] {
        let bytes = layout(state, |bytes| bytes[at] = value);
        let expected = if at == 8 { Err(InvalidState::Damaged) } else { Ok(bytes) };
        assert_eq!(read(&bytes).map(|state| state.to_bytes()), expected, "byte {at}");
    }
    let full = layout(state, |bytes| bytes[8..12].copy_from_slice(&[1, 0, 0, 0]));
    assert_eq!(read(&full).map(|state| state.to_bytes()), Ok(full));
    let sealer = <Sealer>::first_state(&key(), FIXED, LIMIT).to_bytes();
    for (bytes, error) in
        [([0; 32], InvalidState::Damaged), ([0xFF; 32], InvalidState::Damaged), (sealer, InvalidState::Other)]
    {
        assert_eq!(read(&bytes), Err(error));
    }
}

/// A state is of its key, its algorithm and its limits, and the newest one is taken.
#[test]
fn states_belong_to_keys_and_limits() {
    type Short = Opener<Otr<Twine128, U7, U4>>;
    let bytes = first().to_bytes();
    for bit in 0..128 {
        let mut other = key();
        other[bit / 8] ^= 1 << (bit % 8);
        let refused = Some(InvalidState::OtherKey);
        assert_eq!(<Opener>::restore(&other, FIXED, LIMIT, FAILURES, &[bytes]).err(), refused);
        assert_eq!(<Opener>::with_stored_key(&other, first(), LIMIT, FAILURES).err(), refused);
    }
    let refused = Some(InvalidState::OtherKey);
    assert_eq!(Short::with_stored_key(&key(), first(), LIMIT, FAILURES).err(), refused);
    for (blocks, failures) in [(BlockLimit::SEGMENT, FAILURES), (LIMIT, FAILURES - 1), (BlockLimit::MAX, 0)] {
        let refused = Some(InvalidState::OtherLimit);
        assert_eq!(<Opener>::restore(&key(), FIXED, blocks, failures, &[bytes]).err(), refused);
        assert_eq!(<Opener>::with_stored_key(&key(), first(), blocks, failures).err(), refused);
        // On purpose.
        let state = first().with_limits(blocks, failures);
        let opener = <Opener>::with_stored_key(&key(), state, blocks, failures).unwrap();
        assert_eq!((opener.remaining_blocks(), opener.remaining_failures()), (blocks.get(), failures));
    }
    // Reserved ahead, then stopped in order, which is newer though it is less.
    let mut opener = go_on(first());
    let ahead = reserve(&mut opener, 50, 500).unwrap();
    Message::new(nonce(FIXED, 2), 9).open(&mut opener).unwrap();
    let stopped = opener.suspend().to_bytes();
    let mut damaged = stopped;
    damaged[9] ^= 1;
    for (places, newest) in [
        ([stopped, ahead], Ok(2)),
        ([ahead, stopped], Ok(2)),
        ([ahead, damaged], Ok(49)),
        ([damaged; 2], Err(InvalidState::Damaged)),
    ] {
        let opener = <Opener>::restore(&key(), FIXED, LIMIT, FAILURES, &places);
        assert_eq!(opener.map(|opener| opener.newest().unwrap()), newest);
    }
    // The same number: the one that allows for less.
    let mut opener = go_on(first());
    let less = opener.begin_reserve(5, 500).state().to_bytes();
    let more = opener.begin_reserve(50, 500).state().to_bytes();
    for places in [[less, more], [more, less]] {
        let opener = <Opener>::restore(&key(), FIXED, LIMIT, FAILURES, &places).unwrap();
        assert_eq!(opener.newest(), Some(49));
    }
}

/// What happens to an opener whose power is lost now and then.
#[derive(Clone, Debug)]
enum Event {
    /// The sender's next message, after so many that were lost; kept for later.
    Send {
        lost: u64,
        len: usize,
    },
    /// An older message, so many before the newest, perhaps for the first time.
    Replay {
        back: usize,
    },
    Forge {
        ahead: u64,
    },
    /// The state is written up to a byte: to its end and confirmed, or the power is lost, or the memory says that it failed.
    Reserve {
        messages: u32,
        blocks: u32,
        written: usize,
        is_lost: bool,
    },
    PowerLoss,
    Stop {
        written: usize,
    },
}

fn event() -> impl Strategy<Value = Event> {
    let written = || prop_oneof![6 => Just(32), 1 => 0..=32usize];
    let lost = prop_oneof![6 => Just(0), 2 => 0..20u64, 1 => 0..2000u64];
    let messages = prop_oneof![4 => 0..20u32, 1 => 0..3000u32, 1 => any::<u32>()];
    let blocks = prop_oneof![4 => 0..200u32, 1 => any::<u32>()];
    prop_oneof![
        8 => (lost, 0..60usize).prop_map(|(lost, len)| Event::Send { lost, len }),
        4 => (0..30usize).prop_map(|back| Event::Replay { back }),
        2 => (0..50u64).prop_map(|ahead| Event::Forge { ahead }),
        6 => (messages, blocks, written(), any::<bool>())
            .prop_map(|(messages, blocks, written, is_lost)| Event::Reserve { messages, blocks, written, is_lost }),
        1 => Just(Event::PowerLoss),
        1 => written().prop_map(|written| Event::Stop { written }),
    ]
}

/// Lives through the events: nothing opens twice, and whatever was counted is never forgotten. Returns how many messages were opened.
fn live(events: &[Event], limit: BlockLimit, failure_limit: u32) -> usize {
    let first = <Opener>::first_state(&key(), FIXED, limit, failure_limit);
    // What another key left.
    let other = <Opener>::first_state(&[0x43; 16].into(), FIXED, limit, failure_limit).to_bytes();
    let mut places = [first.to_bytes(), other];
    let write = |places: &mut [[u8; 32]; 2], state: &OpenerState<4>, written: usize| {
        places[state.sequence() as usize % 2][..written].copy_from_slice(&state.to_bytes()[..written]);
    };
    let start = |places: &[[u8; 32]; 2]| -> Opener {
        Opener::restore(&key(), FIXED, limit, failure_limit, places).expect("one is always whole")
    };
    let mut opener = start(&places);
    let mut sent: Vec<(u64, usize)> = Vec::new();
    let mut opened = HashSet::new();
    let (mut blocks, mut failures) = (0, 0);
    for event in events {
        let attempt = match *event {
            Event::Send { lost, len } => {
                let counter = sent.last().map_or(0, |(counter, _)| counter + 1) + lost;
                sent.push((counter, len));
                Some((counter, len, false))
            }
            Event::Replay { back } if sent.is_empty() => {
                let _ = back;
                None
            }
            Event::Replay { back } => {
                let (counter, len) = sent[sent.len() - 1 - back.min(sent.len() - 1)];
                Some((counter, len, false))
            }
            Event::Forge { ahead } => Some((sent.last().map_or(0, |(counter, _)| *counter) + ahead, 5, true)),
            Event::Reserve { messages, blocks, written, is_lost } => {
                let result = opener.reserve(messages, blocks, |state| {
                    write(&mut places, state, written);
                    if written == 32 && !is_lost { Ok(()) } else { Err(()) }
                });
                if is_lost {
                    opener = start(&places);
                } else if result.is_ok() {
                    assert!(opener.reserved_messages() >= messages.into());
                    let is_limited = opener.remaining_failures() == 0;
                    assert!(is_limited || opener.reserved_blocks() >= blocks.min(opener.remaining_blocks()));
                }
                None
            }
            Event::PowerLoss => {
                opener = start(&places);
                None
            }
            Event::Stop { written } => {
                let newest = opener.newest();
                write(&mut places, &opener.suspend(), written);
                opener = start(&places);
                assert!(written < 32 || opener.newest() == newest, "an orderly stop skipped");
                None
            }
        };
        let Some((counter, len, is_forged)) = attempt else { continue };
        let message = Message::new(nonce(FIXED, counter), len);
        let message = if is_forged { message.forged() } else { message };
        let needed = u32::try_from(count_blocks(2, len)).unwrap();
        let (reserved, can_take) = (opener.reserved_blocks(), opener.reserved_messages());
        match message.open(&mut opener) {
            Ok(()) => {
                assert!(!is_forged && opened.insert(counter), "{counter} twice");
                blocks += needed;
            }
            Err(OpenError::Rejected) => {
                assert!(is_forged);
                (failures, blocks) = (failures + 1, blocks + needed);
            }
            Err(OpenError::NotReserved) => assert!(reserved < needed || can_take == 0 || !is_forged),
            Err(OpenError::Replayed | OpenError::TooOld) => {
                assert!(counter <= opener.newest().unwrap());
            }
            Err(OpenError::LimitReached) => assert!(opener.remaining_blocks() < needed),
            Err(error) => {
                assert_eq!((error, opener.remaining_failures()), (OpenError::TooManyFailures, 0));
            }
        }
        assert!(blocks <= opener.used_blocks() && opener.used_blocks() <= limit.get(), "forgot blocks");
        assert!(failures <= opener.failures() && opener.failures() <= failure_limit, "forgot failures");
    }
    opened.len()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_loss_of_power_opens_a_message_twice(
        events in vec(event(), 0..80),
        blocks in 1..3000u32,
        failures in prop_oneof![0..30u32, Just(1 << 20)],
    ) {
        live(&events, BlockLimit::new(blocks).unwrap(), failures);
    }
}

/// One life, with the power lost at each of its steps and at each byte of each write, and old messages after it.
#[test]
fn power_can_be_lost_anywhere() {
    let reserve = Event::Reserve { messages: 2, blocks: 40, written: 32, is_lost: false };
    let life: Vec<_> = (0..20)
        .flat_map(|len| {
            let send = || Event::Send { lost: 0, len };
            [reserve.clone(), send(), Event::Forge { ahead: 1 }, send(), Event::Replay { back: 0 }]
        })
        .collect();
    assert_eq!(live(&life, LIMIT, FAILURES), 40);
    for at in 0..life.len() {
        let losses = match life[at] {
            Event::Reserve { messages, blocks, .. } => {
                (0..=32).map(|written| Event::Reserve { messages, blocks, written, is_lost: true }).collect()
            }
            _ => vec![Event::PowerLoss],
        };
        for loss in losses {
            let mut events = life.clone();
            let replays = [2, 1, 0].map(|back| Event::Replay { back });
            events.splice(
                at..=at,
                [loss, reserve.clone()].into_iter().chain(replays).chain([life[at].clone()]),
            );
            assert!(live(&events, LIMIT, FAILURES) >= 36);
        }
    }
}

#[test]
fn debug_shows_no_key() {
    let opener: Opener = Opener::new(&key(), FIXED);
    let text = format!("{opener:?}");
    assert!(text.contains("failures: 0") && !text.contains("cipher") && text.len() < 500, "{text}");
}

/// An opener that is made where it lies does what one does that is returned, whatever it was before.
#[test]
fn openers_are_made_in_place() {
    let mut opener: Opener = Opener::without_key();
    let open = |opener: &mut Opener, counter: u64| {
        let mut sealer: Sealer = Sealer::with_ephemeral_key(&key(), FIXED);
        let mut sealed = [7; 9];
        while sealer.next_nonce() != nonce(FIXED, counter) {
            sealer.seal_inout_detached(b"", (&mut [][..]).into()).unwrap();
        }
        let (nonce, tag) = sealer.seal_inout_detached(b"ad", sealed.as_mut_slice().into()).unwrap();
        opener.open_inout_detached(&nonce, b"ad", sealed.as_mut_slice().into(), &tag).map(|()| sealed)
    };
    assert_eq!(open(&mut opener, 0), Err(OpenError::OtherFixedPart));
    for i in 1..3 {
        opener.set_ephemeral_key(&key(), FIXED, LIMIT, 5);
        assert_eq!((opener.newest(), opener.used_blocks(), opener.remaining_failures()), (None, 0, 5));
        assert_eq!(open(&mut opener, i), Ok([7; 9]));
        assert_eq!((opener.newest(), opener.used_blocks()), (Some(i), 4));
        let state = opener.suspend_in_place().to_bytes();
        assert_eq!(open(&mut opener, i + 10), Err(OpenError::TooManyFailures));
        assert_eq!(opener.set_stored_key(&key(), FIXED, LIMIT, 5, &[[0; 32], state]), Ok(()));
        assert_eq!((opener.newest(), opener.used_blocks()), (Some(i), 4));
        assert_eq!(open(&mut opener, i + 20), Err(OpenError::NotReserved));
        opener.reserve(99, 99, |_| Ok::<_, ()>(())).unwrap();
        assert_eq!(open(&mut opener, i + 30), Ok([7; 9]));
        let stored = opener.set_stored_key(&key(), FIXED, LIMIT, 6, &[state]);
        assert_eq!(stored, Err(InvalidState::OtherLimit));
        assert_eq!(open(&mut opener, i + 40), Err(OpenError::TooManyFailures));
    }
}

/// Neither other limits nor a reservation revive an opener without a key, or one that has ended.
#[test]
fn an_ended_opener_stays_ended() {
    let sealed = || {
        let mut message = [7; 9];
        let mut sealer: Sealer = Sealer::with_ephemeral_key(&key(), FIXED);
        let (nonce, tag) = sealer.seal_inout_detached(b"ad", message.as_mut_slice().into()).unwrap();
        (nonce, message, tag)
    };
    let opens_nothing = |opener: Opener| {
        let mut opener = opener.with_failure_limit(9).with_block_limit(BlockLimit::MAX);
        for _ in 0..2 {
            let (nonce, mut message, tag) = sealed();
            let result = opener.open_inout_detached(&nonce, b"ad", message.as_mut_slice().into(), &tag);
            assert_ne!(result, Ok(()));
            assert_eq!((message, opener.remaining_blocks(), opener.reserved_blocks()), ([0; 9], 0, 0));
            opener.reserve(99, 99, |_| Ok::<_, ()>(())).unwrap();
        }
    };
    opens_nothing(Opener::without_key());
    let mut suspended: Opener = Opener::new(&key(), FIXED);
    let _ = suspended.suspend_in_place();
    opens_nothing(suspended);
    let mut refused: Opener = Opener::new(&key(), FIXED);
    assert_eq!(
        refused.set_stored_key(&key(), FIXED, LIMIT, FAILURES, &[[0; 32]]),
        Err(InvalidState::Damaged)
    );
    opens_nothing(refused);
}

/// However often a reservation is given up, what is stored then is taken for the newest state.
#[test]
fn given_up_reservations_make_no_state_older() {
    for given_up in [600, 257, 256, 255, 0] {
        let mut opener = go_on(first());
        let old = reserve(&mut opener, 1, 10).unwrap();
        for _ in 0..given_up {
            let _ = opener.begin_reserve(5, 50);
        }
        let new = reserve(&mut opener, 9, 90).unwrap();
        for places in [[old, new], [new, old]] {
            let restarted: Opener = Opener::restore(&key(), FIXED, LIMIT, FAILURES, &places).unwrap();
            assert_eq!(restarted.newest(), Some(9 - 1), "{given_up}");
        }
        let numbers = [old, new].map(|state| OpenerState::from_bytes(&state, FIXED).unwrap().sequence() % 2);
        assert_ne!(numbers[0], numbers[1], "they are in different places");
    }
}

/// A state that is read back reserves what it says, if it is the next one.
#[test]
fn states_are_confirmed() {
    let mut opener = go_on(first());
    let superseded = opener.begin_reserve(9, 90).state().to_bytes();
    let bytes = opener.begin_reserve(3, 30).state().to_bytes();
    let mut damaged = bytes;
    damaged[9] ^= 1;
    assert_eq!(opener.confirm(&damaged), Err(InvalidState::Damaged));
    assert_eq!(opener.confirm(&first().to_bytes()), Err(InvalidState::Other));
    let mut other: Opener = Opener::new(&[0x43; 16].into(), FIXED);
    let of_other = other.begin_reserve(3, 30).state().to_bytes();
    assert_eq!(opener.confirm(&of_other), Err(InvalidState::OtherKey));
    let of_limit = OpenerState::from_bytes(&bytes, FIXED).unwrap().with_limits(LIMIT, 7).to_bytes();
    assert_eq!(opener.confirm(&of_limit), Err(InvalidState::OtherLimit));
    assert_eq!((opener.reserved_messages(), opener.reserved_blocks()), (0, 0));
    assert_eq!(opener.confirm(&superseded), Err(InvalidState::Other));
    assert_eq!((opener.reserved_messages(), opener.reserved_blocks()), (0, 0));
    assert_eq!(opener.confirm(&bytes), Ok(()));
    for state in [bytes, superseded] {
        assert_eq!((opener.reserved_messages(), opener.reserved_blocks()), (3, 30));
        assert_eq!(opener.confirm(&state), Err(InvalidState::Other));
    }
    // States of other openers of the key, each of which covers less of one kind.
    let next = opener.begin_reserve(3, 30).state().to_bytes();
    for (messages, blocks) in [(2, 3000), (30, 29)] {
        let mut twin = go_on(first());
        for _ in 0..3 {
            twin.begin_reserve(0, 0).stored();
        }
        let twin = twin.begin_reserve(messages, blocks).state().to_bytes();
        assert_eq!(OpenerState::from_bytes(&twin, FIXED).unwrap().sequence(), 4);
        assert_eq!(opener.confirm(&twin), Err(InvalidState::Other));
    }
    assert_eq!((opener.reserved_messages(), opener.reserved_blocks()), (3, 30));
    // A restart goes on from the state that was begun last, wherever it lies.
    for places in [[bytes, next], [next, bytes]] {
        let mut restarted: Opener = Opener::without_key();
        restarted.set_stored_key(&key(), FIXED, LIMIT, FAILURES, &places).unwrap();
        let after = restarted.begin_reserve(0, 0).state().sequence();
        assert_eq!(after, OpenerState::from_bytes(&next, FIXED).unwrap().sequence() + 1);
    }
}
