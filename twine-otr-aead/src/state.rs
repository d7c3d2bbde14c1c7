//! The stored states of sealers and openers, and the layout of their nonces.

use core::fmt;

use crate::{
    CountedAead,
    limits::{BlockLimit, MIN_BLOCKS},
};

/// The length of a nonce in bytes.
const NONCE: usize = 7;

/// The length of a stored state in bytes.
const LEN: usize = 32;

/// The longest fixed part in bytes. With it the counter is still long enough for all messages that [`BlockLimit::MAX`] allows.
const MAX_FIXED: usize = 4;

/// The kind of a state. It makes the first byte, which differs from that of erased memory and for each length of the fixed part.
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

/// Makes the nonce of a message: the fixed part, then the counter.
pub(crate) fn nonce<const F: usize>(fixed: [u8; F], counter: u64) -> [u8; NONCE] {
    const { assert!(F <= MAX_FIXED, "the fixed part of a nonce has at most 4 bytes") };
    let [_, mut nonce @ ..] = counter.to_be_bytes();
    nonce[..F].copy_from_slice(&fixed);
    nonce
}

/// Returns the number of counters.
const fn counters<const F: usize>() -> u64 {
    const { assert!(F <= MAX_FIXED, "the fixed part of a nonce has at most 4 bytes") };
    1 << (8 * (NONCE - F))
}

/// Returns the counter in a nonce, or `None` if the nonce has another fixed part.
pub(crate) fn counter<const F: usize>(fixed: [u8; F], nonce: [u8; NONCE]) -> Option<u64> {
    const { assert!(F <= MAX_FIXED, "the fixed part of a nonce has at most 4 bytes") };
    let counter = nonce.strip_prefix(&fixed)?;
    Some(counter.iter().fold(0, |counter, byte| counter << 8 | u64::from(*byte)))
}

/// Why bytes are not a state, or why a state does not belong to a sealer or an opener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum InvalidState {
    /// The bytes were changed: they were erased, written only in part, or read wrongly. Or no place was given.
    Damaged,
    /// The state is of another kind, or has another fixed part of the nonce. Or it is not the state that was to be confirmed.
    Other,
    /// The state belongs to another key, to another length of the tag, or to another processing of associated data.
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

/// A check value that tells a key from others. It is the first half of the encryption of 8 zero bytes under the nonce whose counter is all
/// ones.
///
/// No sealer uses this nonce, because its counter stays below 2^23. So for OTR the check value is part of one more message with its own
/// nonce. This message has 3 blocks and is not counted. Its ciphertext is as good as random, whatever is sealed under the key. Its tag is
/// not shown, so nobody who reads a state can present the message. (The block cipher's output for a constant would not do: with
/// [`Serial`](crate::Serial) it would let an attacker exchange associated data.)
pub(crate) type KeyCheck = [u8; 4];

pub(crate) fn key_check<C: CountedAead, const F: usize>(keyed: &mut C::Keyed, fixed: [u8; F]) -> KeyCheck {
    let [check @ .., _, _, _, _] = C::encrypt_zeros(keyed, &nonce(fixed, u64::MAX).into());
    check
}

/// The limits of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) blocks: BlockLimit,
    /// The number of attempts that may fail. It is 0 for a sealer.
    pub(crate) failures: u32,
}

impl Limits {
    /// More attempts cannot fail, because their blocks exceed every limit.
    pub(crate) const MAX_FAILURES: u32 = (1 << 24) - 1;

    pub(crate) fn new(blocks: BlockLimit, failures: u32) -> Self {
        Self { blocks, failures: failures.min(Self::MAX_FAILURES) }
    }
}

/// The fields of both kinds of states.
#[derive(Debug, PartialEq, Eq)]
struct State<const F: usize> {
    /// The counter with which a sealer continues. An opener has opened only counters below it.
    next: u64,
    /// The number of blocks that may have been used.
    blocks: u32,
    /// The number of attempts that may have failed.
    failures: u32,
    limits: Limits,
    /// The sequence number, modulo 2^24. See [`Sequence`] for how far it is from that of the state in the other place.
    sequence: u32,
    check: KeyCheck,
    fixed: [u8; F],
}

const SEQUENCES: u32 = 1 << 24;

/// The sequence number of the next state, and how many states were begun since one was known to be stored.
///
/// A state that was begun is perhaps not stored. The one after it belongs in the same place, and its number, two greater, tells the two
/// apart. After [`Sequence::BEGUN`] of them the numbers repeat, so that no number is far from that of the state in the other place: else
/// a caller who begins again and again, because its memory is busy, would store a state that looks older than the other one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sequence {
    /// The number in the lower 24 bits, the count above it.
    packed: u32,
}

impl Sequence {
    pub(crate) const FIRST: Self = Self { packed: 0 };

    /// So many states that are begun in turn have different numbers.
    const BEGUN: u32 = u32::MAX / SEQUENCES + 1;

    const fn new(number: u32, begun: u32) -> Self {
        Self { packed: number % SEQUENCES + begun % Self::BEGUN * SEQUENCES }
    }

    /// Returns what comes after a state with this number, which is stored.
    pub(crate) const fn after(stored: u32) -> Self {
        Self::new(stored.wrapping_add(1), 0)
    }

    /// Returns what comes after the next state was begun.
    pub(crate) const fn after_begun(self) -> Self {
        let begun = self.begun() + 1;
        if begun == Self::BEGUN {
            Self::new(self.number().wrapping_sub(2 * (begun - 1)), 0)
        } else {
            Self::new(self.number() + 2, begun)
        }
    }

    /// Returns the number of the state that was begun last.
    pub(crate) const fn last_begun(self) -> u32 {
        let number = if self.begun() == 0 {
            self.number() + 2 * (Self::BEGUN - 1)
        } else {
            self.number().wrapping_sub(2)
        };
        number % SEQUENCES
    }

    /// Returns the number of the next state.
    pub(crate) const fn number(self) -> u32 {
        self.packed % SEQUENCES
    }

    const fn begun(self) -> u32 {
        self.packed / SEQUENCES
    }
}

impl<const F: usize> State<F> {
    /// Returns the bytes: kind plus length of the fixed part (1 byte) | nonce (7) | blocks (4) | limit of blocks, minus one (3) |
    /// failures (3) | limit of failures (3) | sequence number (3) | check value of the key (4) | CRC-32 of all these (4).
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

    /// Returns the kind, and the state with the counter of the nonce as `next`.
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

    /// Returns whether this state was stored after the other one. If both have the same sequence number, the one that allows less counts as
    /// the newer one.
    fn is_newer_than(&self, other: &Self) -> bool {
        match self.sequence.wrapping_sub(other.sequence) % SEQUENCES {
            0 => (self.next, self.blocks, self.failures) > (other.next, other.blocks, other.failures),
            distance => distance < SEQUENCES / 2,
        }
    }
}

/// Returns the CRC-32 of IEEE 802.3, computed bit by bit.
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

/// Returns the newest of the states of a key in these places.
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

/// The state with which a [`Sealer`](crate::Sealer) continues after a restart. It belongs to the sealer's key, and carries its limit.
///
/// A state makes one sealer and is not `Clone`, because two sealers of one state would use the same nonces. The state that
/// [`Sealer::reserve`](crate::Sealer::reserve) lends to be stored makes no sealer.
#[derive(Debug, PartialEq, Eq)]
pub struct SealerState<const F: usize>(State<F>);

impl<const F: usize> SealerState<F> {
    pub(crate) fn new(
        check: KeyCheck,
        fixed: [u8; F],
        limit: BlockLimit,
        blocks: u32,
        counter: u32,
        sequence: Sequence,
    ) -> Self {
        let limits = Limits::new(limit, 0);
        let sequence = sequence.number();
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

    /// Returns the counter and the blocks, if the state has this limit.
    #[allow(clippy::cast_possible_truncation, reason = "at most a third of the blocks")]
    pub(crate) fn used(&self, limit: BlockLimit) -> Result<[u32; 2], InvalidState> {
        let state = self.0.with_limits(Limits::new(limit, 0))?;
        Ok([state.next as u32, state.blocks])
    }

    /// Returns whether this state was begun last.
    pub(crate) fn was_begun_last(&self, sequence: Sequence) -> bool {
        self.0.sequence == sequence.last_begun()
    }

    /// Returns the sequence number of the state, modulo 2^24. The state that is stored after this one has another last bit.
    ///
    /// If the memory has two places, store the state in place `sequence % 2`. That place holds the older state, or one that was not
    /// confirmed.
    #[must_use]
    pub fn sequence(&self) -> u32 {
        self.0.sequence
    }

    /// Returns the state with another limit. Use it to change the limit of a key on purpose.
    #[must_use]
    pub fn with_block_limit(mut self, limit: BlockLimit) -> Self {
        self.0.limits.blocks = limit;
        self
    }

    /// Returns the state as bytes. A checksum detects accidental damage: an interrupted write goes undetected with a probability of 2^-32.
    ///
    /// The bytes are not secret, although they show whether two devices have the same key. Nobody else must be able to change them.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; LEN] {
        self.0.to_bytes(Kind::Sealer, self.0.next)
    }

    /// Reads a state from stored `bytes`, for nonces that start with `fixed`. **Use each state once**, see
    /// [`Sealer::with_stored_key`](crate::Sealer::with_stored_key).
    ///
    /// # Errors
    /// [`InvalidState::Damaged`] for bytes that [`SealerState::to_bytes`] does not make, or [`InvalidState::Other`].
    pub fn from_bytes(bytes: &[u8; LEN], fixed: [u8; F]) -> Result<Self, InvalidState> {
        let (_, state) = State::from_bytes(bytes, fixed, &[Kind::Sealer])?;
        let is_possible = state.next <= u64::from(state.blocks / MIN_BLOCKS)
            && (state.failures, state.limits.failures) == (0, 0);
        if is_possible { Ok(Self(state)) } else { Err(InvalidState::Damaged) }
    }
}

/// The state with which an [`Opener`](crate::Opener) continues after a restart. It belongs to the opener's key, and carries its limits.
///
/// A state makes one opener and is not `Clone`, because two openers of one state would open a message twice.
#[derive(Debug, PartialEq, Eq)]
pub struct OpenerState<const F: usize>(State<F>);

impl<const F: usize> OpenerState<F> {
    pub(crate) fn new(
        check: KeyCheck,
        fixed: [u8; F],
        limits: Limits,
        [blocks, failures]: [u32; 2],
        next: u64,
        sequence: Sequence,
    ) -> Self {
        let sequence = sequence.number();
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

    /// Returns the blocks and the failures, if the state has these limits.
    pub(crate) fn used(&self, limits: Limits) -> Result<[u32; 2], InvalidState> {
        let state = self.0.with_limits(limits)?;
        Ok([state.blocks, state.failures])
    }

    /// Returns whether this state was begun last.
    pub(crate) fn was_begun_last(&self, sequence: Sequence) -> bool {
        self.0.sequence == sequence.last_begun()
    }

    /// Returns the sequence number of the state, as [`SealerState::sequence`] does.
    #[must_use]
    pub fn sequence(&self) -> u32 {
        self.0.sequence
    }

    /// Returns the state with other limits. Use it to change the limits of a key on purpose.
    #[must_use]
    pub fn with_limits(mut self, blocks: BlockLimit, failures: u32) -> Self {
        self.0.limits = Limits::new(blocks, failures);
        self
    }

    /// Returns the state as bytes, as [`SealerState::to_bytes`] does.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; LEN] {
        match self.0.next.checked_sub(1) {
            None => self.0.to_bytes(Kind::NewOpener, 0),
            Some(newest) => self.0.to_bytes(Kind::Opener, newest),
        }
    }

    /// Reads a state from stored `bytes`, for nonces that start with `fixed`. **Use each state once**, see
    /// [`Opener::with_stored_key`](crate::Opener::with_stored_key).
    ///
    /// # Errors
    /// [`InvalidState::Damaged`] for bytes that [`OpenerState::to_bytes`] does not make, or [`InvalidState::Other`].
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

#[cfg(test)]
mod tests {
    use super::{SEQUENCES, Sequence};

    /// However many states are begun and not stored, the next number is close to the stored one, has the other last bit, and differs
    /// from those before.
    #[test]
    fn begun_states_stay_close() {
        for stored in [0, 1, 77, SEQUENCES - 512, SEQUENCES - 2, SEQUENCES - 1] {
            let mut sequence = Sequence::after(stored);
            let mut numbers = [u32::MAX; Sequence::BEGUN as usize];
            for i in 0..3 * numbers.len() {
                let number = sequence.number();
                let distance = number.wrapping_sub(stored) % SEQUENCES;
                assert!(distance % 2 == 1 && distance < 2 * Sequence::BEGUN, "{stored}, {i}: {number}");
                let place = i % numbers.len();
                assert!(i >= numbers.len() || !numbers.contains(&number), "{stored}, {i}: {number}");
                assert!(i < numbers.len() || numbers[place] == number, "{stored}, {i}: {number}");
                numbers[place] = number;
                sequence = sequence.after_begun();
                assert_eq!(sequence.last_begun(), number);
            }
        }
    }
}
