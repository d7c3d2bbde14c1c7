//! What is stored of a sealer or an opener, and the layout of their nonces.

use core::fmt;

use crate::limits::{BlockLimit, MIN_BLOCKS};

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

/// The counter in a nonce; none if it has another fixed part.
pub(crate) fn counter<const F: usize>(fixed: [u8; F], nonce: [u8; NONCE]) -> Option<u64> {
    const { assert!(F <= MAX_FIXED, "the fixed part of a nonce has at most 4 bytes") };
    let counter = nonce.strip_prefix(&fixed)?;
    Some(counter.iter().fold(0, |counter, byte| counter << 8 | u64::from(*byte)))
}

/// A state that is damaged, of another kind, or of another fixed part of the nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidState;

impl fmt::Display for InvalidState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the stored state is damaged or belongs to something else")
    }
}

impl core::error::Error for InvalidState {}

/// 16 bytes and their complement, so that a write that was interrupted anywhere is noticed. The 16 bytes: kind plus length of
/// the fixed part (1) | nonce (7) | two numbers (4 each).
fn to_bytes<const F: usize>(kind: Kind, nonce: [u8; NONCE], numbers: [u32; 2]) -> [u8; LEN] {
    let mut bytes = [0; LEN];
    let (fields, complement) = bytes.split_at_mut(LEN / 2);
    fields[0] = kind.byte::<F>();
    fields[1..8].copy_from_slice(&nonce);
    fields[8..12].copy_from_slice(&numbers[0].to_be_bytes());
    fields[12..].copy_from_slice(&numbers[1].to_be_bytes());
    for (inverse, byte) in complement.iter_mut().zip(fields) {
        *inverse = !*byte;
    }
    bytes
}

fn from_bytes<const F: usize>(
    bytes: &[u8; LEN],
    fixed: [u8; F],
    kinds: &[Kind],
) -> Result<(Kind, u64, [u32; 2]), InvalidState> {
    let (fields, complement) = bytes.split_at(LEN / 2);
    if !fields.iter().zip(complement).all(|(byte, inverse)| *byte == !*inverse) {
        return Err(InvalidState);
    }
    let number = |at: usize| fields[at..at + 4].iter().fold(0, |number, byte| number << 8 | u32::from(*byte));
    let kind = kinds.iter().find(|kind| kind.byte::<F>() == fields[0]).ok_or(InvalidState)?;
    let nonce = fields[1..8].try_into().map_err(|_| InvalidState)?;
    let counter = counter(fixed, nonce).ok_or(InvalidState)?;
    Ok((*kind, counter, [number(8), number(12)]))
}

/// Where a [`Sealer`](crate::Sealer) goes on after a restart.
///
/// States that were stored one after the other compare as greater: with two places written in turn, take the greater one of
/// those that are valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SealerState<const F: usize> {
    /// Blocks that may have been sealed.
    pub(crate) blocks: u32,
    /// The least counter that was certainly not used.
    pub(crate) counter: u32,
    pub(crate) fixed: [u8; F],
}

impl<const F: usize> SealerState<F> {
    /// The state of a key under which nothing was ever sealed, for nonces that start with `fixed`.
    ///
    /// Store it once, with the key. Never put it in the place of a state that is lost: take a new key then.
    #[must_use]
    pub const fn first(fixed: [u8; F]) -> Self {
        Self { blocks: 0, counter: 0, fixed }
    }

    /// The state as bytes, with a check against damage by accident. It is not secret, but must not be changed by others.
    #[must_use]
    pub fn to_bytes(self) -> [u8; LEN] {
        to_bytes::<F>(Kind::Sealer, nonce(self.fixed, self.counter.into()), [self.blocks, 0])
    }

    /// The state that was stored as `bytes`, for nonces that start with `fixed`.
    ///
    /// # Errors
    /// If the bytes are damaged (erased, or written in part), or those of an opener, or of another fixed part.
    pub fn from_bytes(bytes: &[u8; LEN], fixed: [u8; F]) -> Result<Self, InvalidState> {
        let (_, counter, [blocks, zero]) = from_bytes(bytes, fixed, &[Kind::Sealer])?;
        let state = Self { blocks, counter: u32::try_from(counter).map_err(|_| InvalidState)?, fixed };
        let is_possible =
            zero == 0 && blocks <= BlockLimit::MAX.get() && state.counter <= blocks / MIN_BLOCKS;
        if is_possible { Ok(state) } else { Err(InvalidState) }
    }
}

/// Where an [`Opener`](crate::Opener) goes on after a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenerState<const F: usize> {
    pub(crate) newest: Option<u64>,
    pub(crate) blocks: u32,
    pub(crate) failures: u32,
    pub(crate) fixed: [u8; F],
}

impl<const F: usize> OpenerState<F> {
    /// The state as bytes, with a check against damage by accident. It is not secret, but must not be changed by others.
    #[must_use]
    pub fn to_bytes(self) -> [u8; LEN] {
        let kind = if self.newest.is_some() { Kind::Opener } else { Kind::NewOpener };
        let nonce = nonce(self.fixed, self.newest.unwrap_or(0));
        to_bytes::<F>(kind, nonce, [self.blocks, self.failures])
    }

    /// The state that was stored as `bytes`, for nonces that start with `fixed`.
    ///
    /// # Errors
    /// If the bytes are damaged (erased, or written in part), or those of a sealer, or of another fixed part.
    pub fn from_bytes(bytes: &[u8; LEN], fixed: [u8; F]) -> Result<Self, InvalidState> {
        let (kind, counter, [blocks, failures]) = from_bytes(bytes, fixed, &[Kind::NewOpener, Kind::Opener])?;
        let newest = (kind == Kind::Opener).then_some(counter);
        let is_possible = blocks <= BlockLimit::MAX.get() && (newest.is_some() || counter == 0);
        if is_possible { Ok(Self { newest, blocks, failures, fixed }) } else { Err(InvalidState) }
    }
}
