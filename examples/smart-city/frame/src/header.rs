//! What is read before anything is decrypted.

use core::{fmt, num::NonZeroU16};

use crate::HeaderError;

/// The bytes before the ciphertext.
pub const HEADER_LEN: usize = 6;

/// The bytes behind it.
pub const TAG_LEN: usize = 8;

/// What a frame has more than its payload.
pub const OVERHEAD: usize = HEADER_LEN + TAG_LEN;

/// The longest payload. A frame then has 255 bytes.
pub const MAX_PAYLOAD_LEN: usize = 255 - OVERHEAD;

const VERSION: u8 = 1;

/// The EUI-64 of a device.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceId(pub [u8; 8]);

impl DeviceId {
    /// Which of `shards` equal parts of all devices it belongs to, for gateways that share the devices among them; 0 if there are none.
    ///
    /// It is the address, as a big-endian number, through the finalizer of SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom
    /// number generators", 2014; as `java.util.SplittableRandom` has it), modulo `shards`. So addresses that follow each other are spread.
    #[must_use]
    pub const fn shard(self, shards: u16) -> u16 {
        let mut bits = u64::from_be_bytes(self.0);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        match bits.checked_rem(shards as u64) {
            #[expect(clippy::cast_possible_truncation, reason = "it is less than `shards`")]
            Some(shard) => shard as u16,
            None => 0,
        }
    }
}

/// How topics begin under which a device sends: `up/{device}`, or `up/{shard}/{device}` if several gateways share the devices in so many
/// [shards](DeviceId::shard).
#[derive(Clone, Copy, Debug)]
pub struct Up {
    /// The device.
    pub device: DeviceId,
    /// None if there is one gateway.
    pub shards: Option<u16>,
}

impl fmt::Display for Up {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { device, shards } = *self;
        match shards {
            Some(shards) => write!(f, "up/{}/{device}", device.shard(shards)),
            None => write!(f, "up/{device}"),
        }
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceId({self})")
    }
}

/// The number of a pair of link keys. It only grows: after [`Epoch::LAST`] the device needs a new root key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u16);

impl Epoch {
    /// The last one of a root key.
    pub const LAST: Self = Self(u16::MAX);
}

/// Who may see a stream, as the registry says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Class {
    /// Open data.
    Public = 0,
    /// For the city's own departments.
    Internal = 1,
    /// For those with the level that the stream demands.
    Confidential = 2,
}

/// A series of readings of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stream {
    /// Its number. Frames that are no readings have 0.
    pub id: NonZeroU16,
    /// Who may see it.
    pub class: Class,
}

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// A reading, up.
    Reading = 0,
    /// Evidence of the code that an instruction addressed, up.
    Evidence = 1,
    /// A control instruction, down.
    Instruction = 2,
    /// What the gateway has stored, down.
    Receipt = 3,
    /// To open a new epoch, down.
    EpochRequest = 4,
}

/// The first six bytes of a frame. Nothing of them is authentic before the frame was opened.
///
/// The first byte is the version (1) in its upper three bits, the [`Kind`] in the next three, the [`Class`] in the lower two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What the frame is.
    pub kind: Kind,
    /// What the sender takes for the stream's class.
    pub class: Class,
    /// The epoch. A receiver for which it is a newer one makes a link of it, and keeps the link only if the frame opens.
    pub epoch: Epoch,
    /// The number of the frame in its epoch and direction.
    pub counter: [u8; 3],
}

impl Header {
    /// Reads the header of a whole frame and checks the frame's length.
    ///
    /// # Errors
    /// See [`HeaderError`].
    pub fn parse(frame: &[u8]) -> Result<Self, HeaderError> {
        let Some((&[first, high, low, a, b, c], rest)) = frame.split_first_chunk::<HEADER_LEN>() else {
            return Err(HeaderError::Truncated);
        };
        if rest.len() < TAG_LEN {
            return Err(HeaderError::Truncated);
        }
        if frame.len() > OVERHEAD + MAX_PAYLOAD_LEN {
            return Err(HeaderError::TooLong);
        }
        if first >> 5 != VERSION {
            return Err(HeaderError::UnknownVersion(first >> 5));
        }
        let kind = match first >> 2 & 7 {
            0 => Kind::Reading,
            1 => Kind::Evidence,
            2 => Kind::Instruction,
            3 => Kind::Receipt,
            4 => Kind::EpochRequest,
            other => return Err(HeaderError::UnknownKind(other)),
        };
        let class = match first & 3 {
            0 => Class::Public,
            1 => Class::Internal,
            2 => Class::Confidential,
            _ => return Err(HeaderError::UnknownClass),
        };
        Ok(Self { kind, class, epoch: Epoch(u16::from_be_bytes([high, low])), counter: [a, b, c] })
    }

    /// The six bytes.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; HEADER_LEN] {
        let ([high, low], [a, b, c]) = (self.epoch.0.to_be_bytes(), self.counter);
        [VERSION << 5 | (self.kind as u8) << 2 | self.class as u8, high, low, a, b, c]
    }
}
