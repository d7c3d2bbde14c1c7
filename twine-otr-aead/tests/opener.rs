//! What an opener promises: no message twice, limits to the block, and zeros after whatever error.

use std::collections::HashSet;

use proptest::{collection::vec, prelude::*};
use twine_otr_aead::{
    AeadInOut, BlockLimit, InvalidState, Key, KeyInit, Nonce, OpenError, Opener, OpenerState, SealerState,
    Tag, Twine128Otr,
    aead::{Buffer, inout::InOutBuf},
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
            let before = opener.state();
            let result = message.forged().open(&mut opener);
            assert_eq!(result, expected.and(Err(OpenError::Rejected)));
            assert_eq!(opener.newest(), model.opened.iter().max().copied(), "the window moved");
            failures += u32::from(result == Err(OpenError::Rejected));
            assert_eq!(result == Err(OpenError::Rejected), opener.state() != before);
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
    let mut opener = twine_otr_aead::StrictOpener::<Twine128Otr>::new(&key(), FIXED);
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

#[test]
fn the_limit_of_failures_is_exact() {
    type Default = Opener<Twine128Otr, 4>;
    assert_eq!(Default::FAILURE_LIMIT, 1024);
    for (failures, mut opener) in [
        (1024, Default::new(&key(), FIXED)),
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
        assert_eq!(Message::new(nonce(fixed, 1), 9).open(&mut opener), Err(OpenError::OtherSender));
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
        expect(&mut opener, &Message::new(nonce([0; 4], 101), len), Err(OpenError::OtherSender));
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

#[test]
fn a_restart_goes_on() {
    let mut opener: Opener = Opener::new(&key(), FIXED);
    let restart = |opener: &Opener| -> Opener {
        let bytes = opener.state().to_bytes();
        Opener::with_state(&key(), OpenerState::from_bytes(&bytes, FIXED).unwrap())
    };
    // Nothing was opened: everything is new.
    opener = restart(&opener);
    assert_eq!(opener.newest(), None);
    assert_eq!(Message::new(nonce(FIXED, 0), 9).open(&mut opener), Ok(()));
    assert_eq!(Message::new(nonce(FIXED, 70), 9).open(&mut opener), Ok(()));
    assert_eq!(Message::new(nonce(FIXED, 71), 9).forged().open(&mut opener), Err(OpenError::Rejected));
    let before = opener.state();
    opener = restart(&opener);
    assert_eq!(opener.state(), before);
    assert_eq!((opener.newest(), opener.failures(), opener.used_blocks()), (Some(70), 1, 12));
    for counter in [0, 5, 6, 69, 70] {
        let result = Message::new(nonce(FIXED, counter), 9).open(&mut opener);
        assert!(matches!(result, Err(OpenError::Replayed | OpenError::TooOld)), "{counter}");
    }
    assert_eq!(Message::new(nonce(FIXED, 72), 9).open(&mut opener), Ok(()));
    assert_eq!(Message::new(nonce(FIXED, 71), 9).open(&mut opener), Ok(()));
}

#[test]
fn only_states_are_states() {
    let mut opener: Opener = Opener::new(&key(), FIXED);
    for counter in [0x010203, 0x010204] {
        let good = opener.state().to_bytes();
        assert_eq!(OpenerState::from_bytes(&good, FIXED), Ok(opener.state()));
        for bit in 0..256 {
            let mut bytes = good;
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(OpenerState::from_bytes(&bytes, FIXED), Err(InvalidState), "bit {bit}");
        }
        assert_eq!(OpenerState::from_bytes(&good, [FIXED[0]]), Err(InvalidState));
        Message::new(nonce(FIXED, counter), 9).open(&mut opener).unwrap();
    }
    let sealer = SealerState::first(FIXED).to_bytes();
    for bytes in [[0; 32], [0xFF; 32], sealer] {
        assert_eq!(OpenerState::from_bytes(&bytes, FIXED), Err(InvalidState));
    }
}

#[test]
fn debug_shows_no_key() {
    let opener: Opener = Opener::new(&key(), FIXED);
    let text = format!("{opener:?}");
    assert!(text.contains("failures: 0") && !text.contains("cipher") && text.len() < 300, "{text}");
}
