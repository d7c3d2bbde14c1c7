//! What instructions, evidence and receipts say.

use crate::{ContentError, Epoch};

/// The number that stands for all regions: no region has it.
pub const ALL_REGIONS: u16 = 0;

/// A control instruction: to call a function of the device with an argument.
///
/// Its payload is the region (2 bytes, big-endian), then the argument.
///
/// Region 0 is no function's. With the number of a region (2 bytes, big-endian) as its argument it tells the secure world to restore that
/// region's code from its own copy; the evidence that answers it is of the region restored. **Without an argument it is a challenge to
/// measure all regions**; evidence is of all of them, or of the first that is altered. To restore region 0 is to restore all regions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction<'a> {
    /// The code region of the function, as in the table of allowed values; or [`ALL_REGIONS`].
    pub region: u16,
    /// What the function gets: up to 239 bytes.
    pub argument: &'a [u8],
}

impl<'a> Instruction<'a> {
    /// A challenge to measure all regions.
    pub const EXAMINE_ALL: Self = Self { region: ALL_REGIONS, argument: &[] };

    /// An instruction to restore the region with these bytes as its number.
    #[must_use]
    pub const fn restore(region: &'a [u8; 2]) -> Self {
        Self { region: ALL_REGIONS, argument: region }
    }

    /// The region to restore, if that is what is instructed.
    #[must_use]
    pub fn restored_region(&self) -> Option<u16> {
        let region = self.argument.try_into().ok()?;
        (self.region == ALL_REGIONS).then(|| u16::from_be_bytes(region))
    }

    /// The region that evidence of this instruction is about, [`ALL_REGIONS`] if it is about all.
    #[must_use]
    pub fn examined_region(&self) -> u16 {
        self.restored_region().unwrap_or(self.region)
    }

    pub(crate) fn parse(payload: &'a [u8]) -> Result<Self, ContentError> {
        let length = ContentError::Length(payload.len());
        let (region, argument) = payload.split_first_chunk().ok_or(length)?;
        let instruction = Self { region: u16::from_be_bytes(*region), argument };
        if instruction.region == ALL_REGIONS && !matches!(argument.len(), 0 | 2) {
            return Err(length);
        }
        Ok(instruction)
    }
}

/// What a device has found before it followed an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Verdict {
    /// The code is what the table of allowed values says: the instruction may run.
    Intact = 0,
    /// It is not.
    Altered = 1,
    /// The table has no such region, or the code was not there as long as the table says.
    Unknown = 2,
}

/// What a device reports of the code that an instruction addressed.
///
/// Of all regions the tag is the sum (XOR) of what the evidence of each would have. If a region is altered the evidence is that region's
/// alone, the first one's.
///
/// The verdict is for humans and logs: a verifier believes the tag alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The epoch of the instruction.
    pub epoch: Epoch,
    /// The counter of the instruction's frame.
    pub counter: [u8; 3],
    /// The region that the instruction addressed, or of all the first that is altered; [`ALL_REGIONS`] if it addressed all and none is.
    pub region: u16,
    /// What the device found.
    pub verdict: Verdict,
    /// The measurement of the code under the instruction's nonce.
    pub tag: [u8; 8],
}

impl Evidence {
    /// Its bytes in a frame: two blocks.
    pub const LEN: usize = 16;

    /// Epoch (2 bytes), counter (3), region (2), verdict (1), tag (8), big-endian.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..2].copy_from_slice(&self.epoch.0.to_be_bytes());
        bytes[2..5].copy_from_slice(&self.counter);
        bytes[5..7].copy_from_slice(&self.region.to_be_bytes());
        bytes[7] = self.verdict as u8;
        bytes[8..].copy_from_slice(&self.tag);
        bytes
    }

    pub(crate) fn parse(payload: &[u8]) -> Result<Self, ContentError> {
        let bytes: &[u8; Self::LEN] = payload.try_into().map_err(|_| ContentError::Length(payload.len()))?;
        let [e0, e1, c0, c1, c2, r0, r1, verdict, tag @ ..] = *bytes;
        let verdict = match verdict {
            0 => Verdict::Intact,
            1 => Verdict::Altered,
            2 => Verdict::Unknown,
            other => return Err(ContentError::UnknownVerdict(other)),
        };
        Ok(Self {
            epoch: Epoch(u16::from_be_bytes([e0, e1])),
            counter: [c0, c1, c2],
            region: u16::from_be_bytes([r0, r1]),
            verdict,
            tag,
        })
    }
}

/// Which frames of an epoch the gateway has stored durably: a device keeps a reading until it has a receipt of it.
///
/// It speaks of the 64 frames up to the newest one stored. A device sends the same frame again until it has a receipt of it: that
/// is opened once, and answered each time. What is further behind, or has no receipt at the end of an epoch, it seals again,
/// under another counter. **A reading can therefore arrive twice**, and who must not count it twice needs to find its time or
/// number in the reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    newest: u32,
    /// Bit i stands for the frame i before the newest.
    stored: u64,
}

impl Receipt {
    /// Its bytes in a frame: the newest counter (3), the frames up to it (8), big-endian.
    pub const LEN: usize = 11;

    /// The receipt of one frame.
    #[must_use]
    pub const fn new(counter: [u8; 3]) -> Self {
        Self { newest: number(counter), stored: 1 }
    }

    /// Adds a frame. One that is too old for a receipt, 64 frames or more before the newest, changes nothing.
    pub fn add(&mut self, counter: [u8; 3]) {
        let counter = number(counter);
        if let Some(ahead) = counter.checked_sub(self.newest) {
            self.stored = self.stored.checked_shl(ahead).unwrap_or(0) | 1;
            self.newest = counter;
        } else {
            self.stored |= 1u64.checked_shl(self.newest - counter).unwrap_or(0);
        }
    }

    /// Whether a receipt can still say something about the frame with this counter: no later one can of a frame that is 64 or
    /// more before the newest.
    #[must_use]
    pub const fn reaches(&self, counter: [u8; 3]) -> bool {
        self.newest.saturating_sub(number(counter)) < u64::BITS
    }

    /// Whether it says that the frame with this counter is stored.
    #[must_use]
    pub fn has(&self, counter: [u8; 3]) -> bool {
        let bit = self.newest.checked_sub(number(counter)).and_then(|back| self.stored.checked_shr(back));
        bit.is_some_and(|bit| bit & 1 == 1)
    }

    /// See [`LEN`](Self::LEN).
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..3].copy_from_slice(&self.newest.to_be_bytes()[1..]);
        bytes[3..].copy_from_slice(&self.stored.to_be_bytes());
        bytes
    }

    /// What [`to_bytes`](Self::to_bytes) has made.
    #[must_use]
    pub const fn from_bytes([a, b, c, stored @ ..]: [u8; Self::LEN]) -> Self {
        Self { newest: number([a, b, c]), stored: u64::from_be_bytes(stored) }
    }

    pub(crate) fn parse(payload: &[u8]) -> Result<Self, ContentError> {
        let bytes: [u8; Self::LEN] = payload.try_into().map_err(|_| ContentError::Length(payload.len()))?;
        Ok(Self::from_bytes(bytes))
    }
}

const fn number([a, b, c]: [u8; 3]) -> u32 {
    u32::from_be_bytes([0, a, b, c])
}
