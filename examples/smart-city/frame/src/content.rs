//! What instructions and evidence say.

use crate::{ContentError, Epoch};

/// A control instruction: to call a function of the device with an argument.
///
/// Its payload is the region (2 bytes, big-endian), then the argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction<'a> {
    /// The code region of the function, as in the table of allowed values.
    pub region: u16,
    /// What the function gets: up to 240 bytes.
    pub argument: &'a [u8],
}

impl<'a> Instruction<'a> {
    pub(crate) fn parse(payload: &'a [u8]) -> Result<Self, ContentError> {
        let (region, argument) = payload.split_first_chunk().ok_or(ContentError::Length(payload.len()))?;
        Ok(Self { region: u16::from_be_bytes(*region), argument })
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
/// The verdict is for humans and logs: a verifier believes the tag alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The epoch of the instruction.
    pub epoch: Epoch,
    /// The counter of the instruction's frame.
    pub counter: [u8; 3],
    /// The region that the instruction addressed.
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
