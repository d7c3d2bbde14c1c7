//! The return values of the functions, and sizes and limits.

use core::ffi::c_int;

use twine_otr_aead::{InvalidState, OpenError, PieceError, SealError};

/// Success.
pub const TWINE_OTR_OK: c_int = 0;

/// An argument is not as documented: a null pointer where there must be none, a null pointer with a length, a length that
/// no object can have, a limit out of range, or regions that overlap and must not.
pub const TWINE_OTR_ERR_ARGUMENT: c_int = -1;

/// The context, sealer, opener or message in pieces is not initialised, has been cleared, or is in use by a call that this one interrupts.
pub const TWINE_OTR_ERR_CONTEXT: c_int = -2;

/// The tag is wrong: the message, its tag, its associated data, the nonce or the key is not the one of the sealed message. An opener has
/// counted a failure.
pub const TWINE_OTR_ERR_AUTHENTICATION: c_int = -3;

/// The message would exceed the limit of blocks under this key. Use a new key. A shorter message may still fit. Or a message in pieces would
/// exceed its maximum length. Or a stream has no segments or chunks left.
pub const TWINE_OTR_ERR_LIMIT: c_int = -4;

/// More must be reserved first: store and confirm a state. An opener also returns this for a genuine message whose counter is not reserved.
/// After more is reserved, another copy of the message can be opened.
pub const TWINE_OTR_ERR_NOT_RESERVED: c_int = -5;

/// The message was opened before.
pub const TWINE_OTR_ERR_REPLAYED: c_int = -6;

/// The message is older than the replay window reaches, or than strict order allows.
pub const TWINE_OTR_ERR_TOO_OLD: c_int = -7;

/// The fixed part of the nonce is not the opener's.
pub const TWINE_OTR_ERR_OTHER_FIXED_PART: c_int = -8;

/// The limit of failed attempts under this key is reached. Use a new key.
pub const TWINE_OTR_ERR_FAILURES: c_int = -9;

/// The last chunk was already sealed or opened. Nothing can follow it.
pub const TWINE_OTR_ERR_FINISHED: c_int = -10;

/// A piece before the last one is not a multiple of TWINE_OTR_PAIR_SIZE bytes, or the last one is empty.
pub const TWINE_OTR_ERR_PIECE: c_int = -11;

/// No stored state was found: the bytes were erased, written only in part, or read wrongly.
pub const TWINE_OTR_ERR_STATE_DAMAGED: c_int = -12;

/// The stored state is of another kind, or has another fixed part of the nonce. Or it is not the state to confirm, which is the one that was
/// returned last.
pub const TWINE_OTR_ERR_STATE_OTHER: c_int = -13;

/// The stored state belongs to another key or to another processing of associated data.
pub const TWINE_OTR_ERR_STATE_KEY: c_int = -14;

/// The stored state has another limit.
pub const TWINE_OTR_ERR_STATE_LIMIT: c_int = -15;

/// The last chunk of the stream was not opened. The stream was cut short, or more chunks follow.
pub const TWINE_OTR_ERR_INCOMPLETE: c_int = -16;

/// The caller's function for random bytes failed. Only functions with masks return this, see twine-otr-masked.h.
pub const TWINE_OTR_ERR_RANDOM: c_int = -17;

/// Bytes of a key of 80 bits.
pub const TWINE80_KEY_SIZE: usize = 10;

/// Bytes of a key of 128 bits.
pub const TWINE128_KEY_SIZE: usize = 16;

/// Bytes of a block.
pub const TWINE_BLOCK_SIZE: usize = 8;

/// Bytes of a nonce.
pub const TWINE_OTR_NONCE_SIZE: usize = 7;

/// Bytes of a tag.
pub const TWINE_OTR_TAG_SIZE: usize = 8;

/// Bytes of the fixed part of a counted nonce. The counter takes the other three.
pub const TWINE_OTR_FIXED_SIZE: usize = 4;

/// Bytes of a stored state.
pub const TWINE_OTR_STATE_SIZE: usize = 32;

/// Bytes of the header of a stream.
pub const TWINE_OTR_STREAM_HEADER_SIZE: usize = 16;

/// Bytes of a pair of blocks. The length of each piece of a message except the last one is a multiple of this.
pub const TWINE_OTR_PAIR_SIZE: usize = 16;

/// Blocks under a key by default, 2^20: an attacker's advantage stays below 2^-21. A sealer and an opener of one key that both have this limit
/// allow 2^21 blocks together, and an advantage of up to 2^-19.4.
pub const TWINE_OTR_BLOCK_LIMIT_DEFAULT: u32 = 1_048_576;

/// Blocks under a key at most, 2^24: an advantage of up to 2^-13.4.
pub const TWINE_OTR_BLOCK_LIMIT_MAX: u32 = 16_777_216;

/// Blocks under the key of a segment of a stream, 2^16: 512 KiB.
pub const TWINE_OTR_BLOCK_LIMIT_SEGMENT: u32 = 65_536;

/// Attempts to open that may fail under a key, 2^20.
pub const TWINE_OTR_FAILURE_LIMIT_DEFAULT: u32 = 1_048_576;

/// The widest replay window: this many counters below the newest one.
pub const TWINE_OTR_WINDOW_MAX: u32 = 64;

/// Why a call failed: the return value for C.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub(crate) enum Failure {
    Argument = TWINE_OTR_ERR_ARGUMENT,
    Context = TWINE_OTR_ERR_CONTEXT,
    Authentication = TWINE_OTR_ERR_AUTHENTICATION,
    Limit = TWINE_OTR_ERR_LIMIT,
    NotReserved = TWINE_OTR_ERR_NOT_RESERVED,
    Replayed = TWINE_OTR_ERR_REPLAYED,
    TooOld = TWINE_OTR_ERR_TOO_OLD,
    OtherFixedPart = TWINE_OTR_ERR_OTHER_FIXED_PART,
    Failures = TWINE_OTR_ERR_FAILURES,
    Finished = TWINE_OTR_ERR_FINISHED,
    Piece = TWINE_OTR_ERR_PIECE,
    StateDamaged = TWINE_OTR_ERR_STATE_DAMAGED,
    StateOther = TWINE_OTR_ERR_STATE_OTHER,
    StateKey = TWINE_OTR_ERR_STATE_KEY,
    StateLimit = TWINE_OTR_ERR_STATE_LIMIT,
    Incomplete = TWINE_OTR_ERR_INCOMPLETE,
    #[cfg(twine_masked)]
    Random = TWINE_OTR_ERR_RANDOM,
}

/// The return value for C.
pub(crate) fn code(result: Result<(), Failure>) -> c_int {
    result.map_or_else(|failure| failure as c_int, |()| TWINE_OTR_OK)
}

impl From<SealError> for Failure {
    fn from(error: SealError) -> Self {
        match error {
            SealError::LimitReached => Self::Limit,
            SealError::NotReserved => Self::NotReserved,
            SealError::Finished => Self::Finished,
            // These belong to buffers that this interface does not have.
            _ => Self::Argument,
        }
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::OtherFixedPart => Self::OtherFixedPart,
            OpenError::Replayed => Self::Replayed,
            OpenError::TooOld => Self::TooOld,
            OpenError::TooManyFailures => Self::Failures,
            OpenError::LimitReached => Self::Limit,
            OpenError::NotReserved => Self::NotReserved,
            OpenError::Finished => Self::Finished,
            _ => Self::Authentication,
        }
    }
}

impl From<PieceError> for Failure {
    fn from(error: PieceError) -> Self {
        match error {
            PieceError::NotPairs | PieceError::EmptyEnd => Self::Piece,
            PieceError::TooLong => Self::Limit,
            // After the end and after a panic there is no message any more.
            _ => Self::Context,
        }
    }
}

impl From<InvalidState> for Failure {
    fn from(error: InvalidState) -> Self {
        match error {
            InvalidState::Other => Self::StateOther,
            InvalidState::OtherKey => Self::StateKey,
            InvalidState::OtherLimit => Self::StateLimit,
            _ => Self::StateDamaged,
        }
    }
}

#[cfg(test)]
mod tests {
    use twine_otr_aead::{InvalidState, OpenError, PieceError, SealError};

    use super::{Failure, TWINE_OTR_OK, code};

    #[test]
    fn each_failure_has_its_code() {
        for (failure, number) in [
            (Failure::Argument, -1),
            (Failure::Context, -2),
            (Failure::Authentication, -3),
            (Failure::Limit, -4),
            (Failure::NotReserved, -5),
            (Failure::Replayed, -6),
            (Failure::TooOld, -7),
            (Failure::OtherFixedPart, -8),
            (Failure::Failures, -9),
            (Failure::Finished, -10),
            (Failure::Piece, -11),
            (Failure::StateDamaged, -12),
            (Failure::StateOther, -13),
            (Failure::StateKey, -14),
            (Failure::StateLimit, -15),
            (Failure::Incomplete, -16),
            #[cfg(twine_masked)]
            (Failure::Random, -17),
        ] {
            assert_eq!(code(Err(failure)), number);
        }
        assert_eq!(code(Ok(())), TWINE_OTR_OK);
    }

    #[test]
    fn each_error_has_its_failure() {
        for (error, failure) in [
            (SealError::LimitReached, Failure::Limit),
            (SealError::NotReserved, Failure::NotReserved),
            (SealError::Finished, Failure::Finished),
            (SealError::BufferFull, Failure::Argument),
        ] {
            assert_eq!(Failure::from(error), failure, "{error:?}");
        }
        for (error, failure) in [
            (OpenError::OtherFixedPart, Failure::OtherFixedPart),
            (OpenError::Replayed, Failure::Replayed),
            (OpenError::TooOld, Failure::TooOld),
            (OpenError::TooManyFailures, Failure::Failures),
            (OpenError::LimitReached, Failure::Limit),
            (OpenError::NotReserved, Failure::NotReserved),
            (OpenError::Finished, Failure::Finished),
            (OpenError::Truncated, Failure::Authentication),
            (OpenError::Rejected, Failure::Authentication),
        ] {
            assert_eq!(Failure::from(error), failure, "{error:?}");
        }
        for (error, failure) in [
            (PieceError::NotPairs, Failure::Piece),
            (PieceError::EmptyEnd, Failure::Piece),
            (PieceError::TooLong, Failure::Limit),
            (PieceError::Finished, Failure::Context),
            (PieceError::Interrupted, Failure::Context),
        ] {
            assert_eq!(Failure::from(error), failure, "{error:?}");
        }
        for (error, failure) in [
            (InvalidState::Other, Failure::StateOther),
            (InvalidState::OtherKey, Failure::StateKey),
            (InvalidState::OtherLimit, Failure::StateLimit),
            (InvalidState::Damaged, Failure::StateDamaged),
        ] {
            assert_eq!(Failure::from(error), failure, "{error:?}");
        }
    }
}
