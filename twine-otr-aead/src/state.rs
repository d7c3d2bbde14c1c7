//! What is stored of a sealer or an opener, and the layout of their nonces.

use core::fmt;

use crate::{
    TwineOtr,
    limits::{Ahead, BlockLimit, MIN_BLOCKS},
};

/// The bytes of a nonce.
const NONCE: usize = 7;

/// The bytes of a stored state.
const LEN: usize = 32;

/// The longest fixed part: what it leaves to the counter is enough for all messages that [`BlockLimit::MAX`] allows.
const MAX_FIXED: usize = 4;

/// The first byte of a state. All differ from erased memory, and from those of other lengths of the fixed part.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Kind {
    Sealer = 0x50,
    NewOpener = 0x60,
    Opener = 0x70,
}

impl Kind {
    #[allow(clippy::cast_possible_truncation, reason = "at most MAX_FIXED")]
    const fn byte<const F: usize>(self) -> u8 {
        self as u8 | F as u8
    }
}

/// The nonce of a message: the fixed part, then the counter.
pub(crate) fn nonce<const F: usize>(fixed: [u8; F], counter: u64) -> [u8; NONCE] {
    const { assert!(F <= MAX_FIXED, "the fixed part of a nonce has at most 4 bytes") };
    let [_, mut nonce @ ..] = counter.to_be_bytes();
    nonce[..F].copy_from_slice(&fixed);
    nonce
}

/// How many counters there are.
const fn counters<const F: usize>() -> u64 {
    const { assert!(F <= MAX_FIXED, "the fixed part of a nonce has at most 4 bytes") };
    1 << (8 * (NONCE - F))
}

/// The counter in a nonce; none if it has another fixed part.
pub(crate) fn counter<const F: usize>(fixed: [u8; F], nonce: [u8; NONCE]) -> Option<u64> {
    const { assert!(F <= MAX_FIXED, "the fixed part of a nonce has at most 4 bytes") };
    let counter = nonce.strip_prefix(&fixed)?;
    Some(counter.iter().fold(0, |counter, byte| counter << 8 | u64::from(*byte)))
}

/// Why bytes are no state, or a state is not the one of a sealer or an opener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum InvalidState {
    /// The bytes were changed: erased, written in part, or read wrongly. Or there are none.
    Damaged,
    /// The state is of another kind, or of another fixed part of the nonce.
    Other,
    /// The state is of another key, or of another length of the tag or way to process associated data.
    OtherKey,
    /// The state has another limit.
    OtherLimit,
}

impl fmt::Display for InvalidState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Damaged => "the stored state is damaged",
            Self::Other => "the stored state is of another kind or of another fixed part of the nonce",
            Self::OtherKey => "the stored state is of another key or algorithm",
            Self::OtherLimit => "the stored state has another limit",
        })
    }
}

impl core::error::Error for InvalidState {}

/// What tells a key from others: the first half of what 8 bytes of zeros are encrypted to under the nonce that ends in ones.
///
/// No sealer gets there, as its counter stays below 2^23. So for OTR this is one more message under a nonce of its own,
/// counted nowhere, of 3 blocks: what is shown of it is as good as random, whatever is sealed under the key. Its tag is
/// not shown, so nobody who reads a state can present the message. (What the block cipher itself gives for some constant would not
/// do: with [`Serial`](crate::Serial) it would let associated data be exchanged.)
pub(crate) type KeyCheck = [u8; 4];

pub(crate) fn key_check<C: TwineOtr, const F: usize>(cipher: &Ahead<C>, fixed: [u8; F]) -> KeyCheck {
    let mut block = [0; 8];
    // One block is far from what OTR refuses.
    let _ = cipher.encrypt_apart(&nonce(fixed, u64::MAX).into(), b"", block.as_mut_slice().into());
    let [check @ .., _, _, _, _] = block;
    check
}

/// How much may go through a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) blocks: BlockLimit,
    /// The attempts that may fail; none for a sealer.
    pub(crate) failures: u32,
}

impl Limits {
    /// More attempts cannot fail: their blocks pass any limit.
    pub(crate) const MAX_FAILURES: u32 = (1 << 24) - 1;

    pub(crate) fn new(blocks: BlockLimit, failures: u32) -> Self {
        Self { blocks, failures: failures.min(Self::MAX_FAILURES) }
    }
}

/// What both states hold.
#[derive(Debug, PartialEq, Eq)]
struct State<const F: usize> {
    /// A sealer goes on here; an opener has opened only what is below.
    next: u64,
    /// Blocks that may have been used.
    blocks: u32,
    /// Attempts that may have failed.
    failures: u32,
    limits: Limits,
    /// Its number, modulo 2^24: more than that of any before.
    sequence: u32,
    check: KeyCheck,
    fixed: [u8; F],
}

const SEQUENCES: u32 = 1 << 24;

/// The number of the state that comes after one that was begun, as long as that is not stored: its place is the same, and the number tells
/// the two apart.
pub(crate) const fn after_begun(sequence: u32) -> u32 {
    sequence.wrapping_add(2)
}

/// The inverse of [`after_begun`].
pub(crate) const fn last_begun(sequence: u32) -> u32 {
    sequence.wrapping_sub(2)
}

impl<const F: usize> State<F> {
    /// Kind plus length of the fixed part (1 byte) | nonce (7) | blocks (4) | limit of blocks, less one (3) | failures (3) | limit
    /// of failures (3) | sequence (3) | check of the key (4) | CRC-32 of all these (4).
    fn to_bytes(&self, kind: Kind, counter: u64) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        bytes[0] = kind.byte::<F>();
        bytes[1..8].copy_from_slice(&nonce(self.fixed, counter));
        bytes[8..12].copy_from_slice(&self.blocks.to_be_bytes());
        let numbers = [self.limits.blocks.get() - 1, self.failures, self.limits.failures, self.sequence];
        for (place, number) in bytes[12..24].chunks_exact_mut(3).zip(numbers) {
            place.copy_from_slice(&number.to_be_bytes()[1..]);
        }
        bytes[24..28].copy_from_slice(&self.check);
        let sum = crc32(&bytes[..28]);
        bytes[28..].copy_from_slice(&sum);
        bytes
    }

    /// The kind, and the state with the counter of the nonce as `next`.
    fn from_bytes(bytes: &[u8; LEN], fixed: [u8; F], kinds: &[Kind]) -> Result<(Kind, Self), InvalidState> {
        if crc32(&bytes[..28]) != bytes[28..] {
            return Err(InvalidState::Damaged);
        }
        let number = |place: core::ops::Range<usize>| {
            bytes[place].iter().fold(0, |number, byte| number << 8 | u32::from(*byte))
        };
        let kind = kinds.iter().find(|kind| kind.byte::<F>() == bytes[0]).ok_or(InvalidState::Other)?;
        let [_, nonce @ .., _] = bytes.first_chunk::<9>().ok_or(InvalidState::Damaged)?;
        let state = Self {
            next: counter(fixed, *nonce).ok_or(InvalidState::Other)?,
            blocks: number(8..12),
            failures: number(15..18),
            limits: Limits {
                blocks: BlockLimit::new(number(12..15) + 1).ok_or(InvalidState::Damaged)?,
                failures: number(18..21),
            },
            sequence: number(21..24),
            check: [bytes[24], bytes[25], bytes[26], bytes[27]],
            fixed,
        };
        if state.blocks > BlockLimit::MAX.get() { Err(InvalidState::Damaged) } else { Ok((*kind, state)) }
    }

    fn verify(&self, check: KeyCheck) -> Result<(), InvalidState> {
        if self.check == check { Ok(()) } else { Err(InvalidState::OtherKey) }
    }

    fn with_limits(&self, limits: Limits) -> Result<&Self, InvalidState> {
        if self.limits == limits { Ok(self) } else { Err(InvalidState::OtherLimit) }
    }

    /// Whether this state was stored after the other one. States that were made one for the other, as the first was perhaps not stored,
    /// are equally new: the one that allows for less is taken.
    fn is_newer_than(&self, other: &Self) -> bool {
        match self.sequence.wrapping_sub(other.sequence) % SEQUENCES {
            0 => (self.next, self.blocks, self.failures) > (other.next, other.blocks, other.failures),
            distance => distance < SEQUENCES / 2,
        }
    }
}

/// The CRC-32 of IEEE 802.3, bit by bit.
fn crc32(bytes: &[u8]) -> [u8; 4] {
    let mut sum = u32::MAX;
    for byte in bytes {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = sum >> 1 ^ 0xEDB8_8320 & (sum & 1).wrapping_neg();
        }
    }
    (!sum).to_be_bytes()
}

/// The newest of the states that these places hold for a key.
fn newest<S, const F: usize>(
    places: &[[u8; LEN]],
    check: KeyCheck,
    from_bytes: impl Fn(&[u8; LEN]) -> Result<S, InvalidState>,
    inner: impl Fn(&S) -> &State<F>,
) -> Result<S, InvalidState> {
    let mut found = Err(InvalidState::Damaged);
    for place in places {
        let state = from_bytes(place).and_then(|state| inner(&state).verify(check).map(|()| state));
        found = match (found, state) {
            (Ok(one), Ok(other)) => Ok(if inner(&other).is_newer_than(inner(&one)) { other } else { one }),
            (Ok(state), Err(_)) | (Err(_), Ok(state)) => Ok(state),
            (Err(one), Err(other)) => Err(one.max(other)),
        };
    }
    found
}

/// Where a [`Sealer`](crate::Sealer) goes on after a restart. It belongs to the sealer's key, and carries its limit.
///
/// It is one for one sealer, and no `Clone`: two sealers of one state would have the same nonces.
/// ```compile_fail,E0382
/// # use twine_otr_aead::{BlockLimit, Sealer};
/// # let key = [0x42; 16].into();
/// let state = <Sealer>::first_state(&key, *b"up 7", BlockLimit::DEFAULT);
/// let sealer: Sealer = Sealer::with_stored_key(&key, state, BlockLimit::DEFAULT).unwrap();
/// let other: Sealer = Sealer::with_stored_key(&key, state, BlockLimit::DEFAULT).unwrap();
/// ```
/// A state that is only stored, as in [`Sealer::reserve`](crate::Sealer::reserve), makes no sealer:
/// ```compile_fail,E0507
/// # use twine_otr_aead::{BlockLimit, Sealer};
/// # let key = [0x42; 16].into();
/// # let mut sealer: Sealer = Sealer::with_ephemeral_key(&key, *b"up 7");
/// let reservation = sealer.begin_reserve(1 << 12);
/// let other: Sealer = Sealer::with_stored_key(&key, *reservation.state(), BlockLimit::DEFAULT).unwrap();
/// ```
#[derive(Debug, PartialEq, Eq)]
pub struct SealerState<const F: usize>(State<F>);

impl<const F: usize> SealerState<F> {
    pub(crate) fn new(
        check: KeyCheck,
        fixed: [u8; F],
        limit: BlockLimit,
        blocks: u32,
        counter: u32,
        sequence: u32,
    ) -> Self {
        let limits = Limits::new(limit, 0);
        let sequence = sequence % SEQUENCES;
        Self(State { next: counter.into(), blocks, failures: 0, limits, sequence, check, fixed })
    }

    pub(crate) fn newest(
        places: &[[u8; LEN]],
        fixed: [u8; F],
        check: KeyCheck,
    ) -> Result<Self, InvalidState> {
        newest(places, check, |bytes| Self::from_bytes(bytes, fixed), |state| &state.0)
    }

    pub(crate) fn verify(&self, check: KeyCheck) -> Result<(), InvalidState> {
        self.0.verify(check)
    }

    pub(crate) fn fixed(&self) -> [u8; F] {
        self.0.fixed
    }

    /// The counter and the blocks, if the state has this limit.
    #[allow(clippy::cast_possible_truncation, reason = "at most a third of the blocks")]
    pub(crate) fn used(&self, limit: BlockLimit) -> Result<[u32; 2], InvalidState> {
        let state = self.0.with_limits(Limits::new(limit, 0))?;
        Ok([state.next as u32, state.blocks])
    }

    /// Whether it is the state that a sealer with this number stores next.
    pub(crate) fn has_sequence(&self, sequence: u32) -> bool {
        self.0.sequence == sequence % SEQUENCES
    }

    /// The number of the state, modulo 2^24: of two states of a key that were stored, the later one has the greater number.
    ///
    /// It says where to store, if the memory has two places: in place `sequence % 2` is the older state, or one that was not
    /// confirmed.
    #[must_use]
    pub fn sequence(&self) -> u32 {
        self.0.sequence
    }

    /// The state with another limit, for a key of which the limit is changed on purpose.
    #[must_use]
    pub fn with_block_limit(mut self, limit: BlockLimit) -> Self {
        self.0.limits.blocks = limit;
        self
    }

    /// The state as bytes, with a sum against damage by accident: a write that was interrupted anywhere passes it with a probability of
    /// 2^-32. They are not secret (they show whether two devices have the same key), but must not be changed by others.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; LEN] {
        self.0.to_bytes(Kind::Sealer, self.0.next)
    }

    /// The state that was stored as `bytes`, for nonces that start with `fixed`. **To be used once**, see
    /// [`Sealer::with_stored_key`](crate::Sealer::with_stored_key).
    ///
    /// # Errors
    /// [`InvalidState::Damaged`] for what [`SealerState::to_bytes`] does not make; [`InvalidState::Other`].
    pub fn from_bytes(bytes: &[u8; LEN], fixed: [u8; F]) -> Result<Self, InvalidState> {
        let (_, state) = State::from_bytes(bytes, fixed, &[Kind::Sealer])?;
        let is_possible = state.next <= u64::from(state.blocks / MIN_BLOCKS)
            && (state.failures, state.limits.failures) == (0, 0);
        if is_possible { Ok(Self(state)) } else { Err(InvalidState::Damaged) }
    }
}

/// Where an [`Opener`](crate::Opener) goes on after a restart. It belongs to the opener's key, and carries its limits.
///
/// It is one for one opener, and no `Clone`: two openers of one state would open a message twice.
/// ```compile_fail,E0382
/// # use twine_otr_aead::{BlockLimit, Opener};
/// # let key = [0x42; 16].into();
/// # let (blocks, failures) = (BlockLimit::DEFAULT, <Opener>::FAILURE_LIMIT);
/// let state = <Opener>::first_state(&key, *b"up 7", blocks, failures);
/// let opener: Opener = Opener::with_stored_key(&key, state, blocks, failures).unwrap();
/// let other: Opener = Opener::with_stored_key(&key, state, blocks, failures).unwrap();
/// ```
#[derive(Debug, PartialEq, Eq)]
pub struct OpenerState<const F: usize>(State<F>);

impl<const F: usize> OpenerState<F> {
    pub(crate) fn new(
        check: KeyCheck,
        fixed: [u8; F],
        limits: Limits,
        [blocks, failures]: [u32; 2],
        next: u64,
        sequence: u32,
    ) -> Self {
        let sequence = sequence % SEQUENCES;
        Self(State { next: next.min(counters::<F>()), blocks, failures, limits, sequence, check, fixed })
    }

    pub(crate) fn newest(
        places: &[[u8; LEN]],
        fixed: [u8; F],
        check: KeyCheck,
    ) -> Result<Self, InvalidState> {
        newest(places, check, |bytes| Self::from_bytes(bytes, fixed), |state| &state.0)
    }

    pub(crate) fn verify(&self, check: KeyCheck) -> Result<(), InvalidState> {
        self.0.verify(check)
    }

    pub(crate) fn fixed(&self) -> [u8; F] {
        self.0.fixed
    }

    pub(crate) fn next(&self) -> u64 {
        self.0.next
    }

    /// The blocks and the failures, if the state has these limits.
    pub(crate) fn used(&self, limits: Limits) -> Result<[u32; 2], InvalidState> {
        let state = self.0.with_limits(limits)?;
        Ok([state.blocks, state.failures])
    }

    /// Whether it is the state that an opener with this number stores next.
    pub(crate) fn has_sequence(&self, sequence: u32) -> bool {
        self.0.sequence == sequence % SEQUENCES
    }

    /// As [`SealerState::sequence`].
    #[must_use]
    pub fn sequence(&self) -> u32 {
        self.0.sequence
    }

    /// The state with other limits, for a key of which they are changed on purpose.
    #[must_use]
    pub fn with_limits(mut self, blocks: BlockLimit, failures: u32) -> Self {
        self.0.limits = Limits::new(blocks, failures);
        self
    }

    /// As [`SealerState::to_bytes`].
    #[must_use]
    pub fn to_bytes(&self) -> [u8; LEN] {
        match self.0.next.checked_sub(1) {
            None => self.0.to_bytes(Kind::NewOpener, 0),
            Some(newest) => self.0.to_bytes(Kind::Opener, newest),
        }
    }

    /// The state that was stored as `bytes`, for nonces that start with `fixed`. **To be used once**, see
    /// [`Opener::with_stored_key`](crate::Opener::with_stored_key).
    ///
    /// # Errors
    /// [`InvalidState::Damaged`] for what [`OpenerState::to_bytes`] does not make; [`InvalidState::Other`].
    pub fn from_bytes(bytes: &[u8; LEN], fixed: [u8; F]) -> Result<Self, InvalidState> {
        let (kind, mut state) = State::from_bytes(bytes, fixed, &[Kind::NewOpener, Kind::Opener])?;
        match kind {
            Kind::NewOpener if state.next == 0 => Ok(Self(state)),
            Kind::Opener => {
                state.next += 1;
                Ok(Self(state))
            }
            _ => Err(InvalidState::Damaged),
        }
    }
}
