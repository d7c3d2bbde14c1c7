//! Why a frame was not sealed or not opened.

use core::fmt;

use crate::{Class, Epoch, Kind};

/// Why bytes are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeaderError {
    /// Shorter than a header and a tag.
    Truncated,
    /// Longer than the longest frame.
    TooLong,
    /// Of another version.
    UnknownVersion(u8),
    /// Of no known kind.
    UnknownKind(u8),
    /// Of no known class.
    UnknownClass,
}

/// Why an authentic payload is not what its kind says: the other end has another version, or a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ContentError {
    /// It has another length.
    Length(usize),
    /// Evidence with no known verdict.
    UnknownVerdict(u8),
}

/// Why a frame was not opened.
///
/// Down to `OtherEpoch` it is decided from the header and the receiver's registry: nothing was decrypted, nothing is counted,
/// and the frame is as it was. Whatever comes later leaves no ciphertext and no plaintext: the payload is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenError {
    /// It is no frame.
    Header(HeaderError),
    /// It came under the address of another device than this link's.
    ///
    /// What another device sealed and somebody sends under this device's address is [`OpenError::Rejected`]: frames do not say
    /// whose they are.
    OtherDevice,
    /// It is of another kind than was expected here, or goes the other way.
    OtherKind(Kind),
    /// The sender says another class than the registry.
    OtherClass {
        /// What the frame says.
        found: Class,
        /// What the registry says.
        registered: Class,
    },
    /// It says that it is of this epoch: see [`Header::epoch`](crate::Header::epoch).
    OtherEpoch(Epoch),
    /// It was opened before.
    Replayed,
    /// It is older than the replay window of 64 frames.
    TooOld,
    /// The tag is wrong: header, device, stream, class or ciphertext are not what was sealed under this epoch's key. Counted as a
    /// failure.
    Rejected,
    /// Too many frames were rejected in this epoch: a new one is needed.
    TooManyFailures,
    /// The limit of blocks of this epoch would be passed: a new one is needed.
    LimitReached,
    /// It is authentic and new, but its payload is not what its kind says.
    Content(ContentError),
}

/// Why a frame was not sealed. No counter was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SealError {
    /// The payload has more than [`MAX_PAYLOAD_LEN`](crate::MAX_PAYLOAD_LEN) bytes.
    TooLong,
    /// The buffer has less than the payload and [`OVERHEAD`](crate::OVERHEAD).
    BufferTooSmall,
    /// The limit of blocks of this epoch would be passed: a new one is needed.
    LimitReached,
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("the frame is shorter than a header and a tag"),
            Self::TooLong => f.write_str("the frame is too long"),
            Self::UnknownVersion(version) => write!(f, "frames of version {version} are unknown"),
            Self::UnknownKind(kind) => write!(f, "frames of kind {kind} are unknown"),
            Self::UnknownClass => f.write_str("the frame's class is unknown"),
        }
    }
}

impl fmt::Display for ContentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length(len) => write!(f, "the payload must not have {len} bytes"),
            Self::UnknownVerdict(verdict) => write!(f, "the verdict {verdict} is unknown"),
        }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(error) => error.fmt(f),
            Self::OtherDevice => f.write_str("the frame came under the address of another device"),
            Self::OtherKind(kind) => write!(f, "a frame of kind {kind:?} does not belong here"),
            Self::OtherClass { found, registered } => {
                write!(f, "the frame says class {found:?}, the registry {registered:?}")
            }
            Self::OtherEpoch(Epoch(epoch)) => write!(f, "the frame is of epoch {epoch}"),
            Self::Replayed => f.write_str("the frame was opened before"),
            Self::TooOld => f.write_str("the frame is older than the replay window"),
            Self::Rejected => f.write_str("the frame's tag is wrong"),
            Self::TooManyFailures => f.write_str("too many frames were rejected in this epoch"),
            Self::LimitReached => f.write_str("the frame would pass the limit of blocks of this epoch"),
            Self::Content(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "the payload is too long for a frame",
            Self::BufferTooSmall => "the buffer is too small for the frame",
            Self::LimitReached => "the frame would pass the limit of blocks of this epoch",
        })
    }
}

impl core::error::Error for HeaderError {}
impl core::error::Error for ContentError {}
impl core::error::Error for SealError {}

impl core::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Header(error) => Some(error),
            Self::Content(error) => Some(error),
            _ => None,
        }
    }
}

impl From<HeaderError> for OpenError {
    fn from(error: HeaderError) -> Self {
        Self::Header(error)
    }
}

impl From<ContentError> for OpenError {
    fn from(error: ContentError) -> Self {
        Self::Content(error)
    }
}
