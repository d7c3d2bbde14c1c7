//! What goes over the serial line: frames, each encoded by COBS and followed by a zero byte. One goes before, too, to end what was cut off.
//!
//! | first byte | from | then |
//! |---|---|---|
//! | [`REPORT`] | node | counter (3 bytes), sealed [`Report`] (7), tag (8) |
//! | [`INSTRUCTION`] | station | counter (3), sealed [`Instruction`] (1), tag (8) |
//! | [`NOTICE`] | node | [`Notice`] (1), in clear: nobody must trust it |
//! | [`PROVISION`] | station | [`Keys`] (37), twice, in clear: only where nobody listens |
//!
//! The first byte is the associated data of what is sealed.

use heapless::Vec;
use twine_otr_aead::{BlockLimit, count_blocks};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::STEP_UP;

/// The first byte of a report.
pub const REPORT: u8 = 0x01;
/// The first byte of a notice.
pub const NOTICE: u8 = 0x02;
/// The first byte of an instruction.
pub const INSTRUCTION: u8 = 0x11;
/// The first byte of keys.
pub const PROVISION: u8 = 0x12;

/// The longest frame, in bytes.
pub const MAX_FRAME: usize = 1 + 2 * Keys::LEN;

/// The same as it is on the line.
pub const MAX_ENCODED: usize = cobs::max_encoding_length(MAX_FRAME) + 1;

/// A frame. It may have keys, or what is to be sealed: it is erased when it is dropped.
pub type Frame = Zeroizing<Vec<u8, MAX_FRAME>>;

/// The bytes of a counter.
pub const COUNTER: usize = 3;

/// The bytes of a tag.
pub const TAG: usize = 8;

/// The blocks that a report counts, and an instruction.
pub const BLOCKS: u32 = {
    let blocks = count_blocks(1, Report::LEN);
    assert!(blocks == count_blocks(1, Instruction::LEN));
    assert!(blocks == 3);
    3
};

/// What nonces of reports start with. The keys differ by direction.
pub const UP: [u8; 4] = *b"up 1";
/// What nonces of instructions start with.
pub const DOWN: [u8; 4] = *b"down";

/// What a node gets once: a key for each direction, random and its own, and how many blocks may go through each.
///
/// **No pair of keys is ever given twice**, not to the same node either.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys {
    /// Of reports.
    pub up: [u8; 16],
    /// Of instructions.
    pub down: [u8; 16],
    /// For each of them.
    pub limit: BlockLimit,
}

impl Keys {
    /// The bytes that keys take.
    pub const LEN: usize = 37;

    /// A frame with a lower limit gives no keys: they would not bear one start.
    pub const LEAST_LIMIT: u32 = STEP_UP;

    /// The layout of the bytes.
    const VERSION: u8 = 1;

    /// Version (1 byte), limit (4, big-endian), both keys.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; Self::LEN]> {
        let mut bytes = Zeroizing::new([0; Self::LEN]);
        bytes[0] = Self::VERSION;
        bytes[1..5].copy_from_slice(&self.limit.get().to_be_bytes());
        bytes[5..21].copy_from_slice(&self.up);
        bytes[21..].copy_from_slice(&self.down);
        bytes
    }

    /// The keys that are these bytes; none if [`Keys::to_bytes`] does not make them.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Option<Self> {
        let (version, rest) = bytes.split_first()?;
        let (limit, rest) = rest.split_first_chunk()?;
        let (up, down) = rest.split_first_chunk()?;
        let limit = BlockLimit::new(u32::from_be_bytes(*limit))?;
        (*version == Self::VERSION).then_some(Self { up: *up, down: down.try_into().ok()?, limit })
    }

    /// The frame that gives them to a node.
    #[must_use]
    pub fn to_frame(&self) -> Zeroizing<[u8; MAX_FRAME]> {
        let mut frame = Zeroizing::new([PROVISION; MAX_FRAME]);
        let bytes = self.to_bytes();
        frame[1..=Self::LEN].copy_from_slice(&*bytes);
        frame[1 + Self::LEN..].copy_from_slice(&*bytes);
        frame
    }

    /// The keys in a frame; none if it has none, if its two copies differ (the line has no other check), or if the limit is below
    /// [`Keys::LEAST_LIMIT`].
    #[must_use]
    pub fn from_frame(frame: &[u8]) -> Option<Self> {
        let copies: &[u8; 2 * Self::LEN] = frame.strip_prefix(&[PROVISION])?.try_into().ok()?;
        let (one, other) = copies.split_first_chunk()?;
        if one != other {
            return None;
        }
        Self::from_bytes(one).filter(|keys| keys.limit.get() >= Self::LEAST_LIMIT)
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.up.zeroize();
        self.down.zeroize();
    }
}

impl ZeroizeOnDrop for Keys {}

impl core::fmt::Debug for Keys {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Keys").field("limit", &self.limit).finish_non_exhaustive()
    }
}

/// Why a report is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Reason {
    /// The node has started.
    Started = 0,
    /// There is a reading.
    Reading = 1,
    /// An instruction was opened.
    Answer = 2,
}

/// What a node says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Why it is sent.
    pub reason: Reason,
    /// The counter of the last instruction that was opened since the start. A node that has started anew does not know what it opened
    /// before.
    pub acknowledged: Option<u32>,
    /// Whether the output is on.
    pub output: bool,
    /// The last reading, in hundredths of a degree Celsius; none before the first one, or if it failed.
    ///
    /// What no thermometer shows, -327.68 degrees, comes as none.
    pub reading: Option<i16>,
}

impl Report {
    /// The bytes that a report takes.
    pub const LEN: usize = 7;

    const NOTHING_ACKNOWLEDGED: [u8; COUNTER] = [0xFF; COUNTER];

    const NO_READING: i16 = i16::MIN;

    /// Reason (1 byte), acknowledged counter (3), output (1), reading (2), all big-endian.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let [a, b, c] = match self.acknowledged {
            None => Self::NOTHING_ACKNOWLEDGED,
            Some(counter) => counter_bytes(counter),
        };
        let [high, low] = self.reading.unwrap_or(Self::NO_READING).to_be_bytes();
        [self.reason as u8, a, b, c, self.output.into(), high, low]
    }

    /// The report that is these bytes; none if [`Report::to_bytes`] does not make them.
    #[must_use]
    pub fn from_bytes([reason, a, b, c, output, high, low]: [u8; Self::LEN]) -> Option<Self> {
        let reason = match reason {
            0 => Reason::Started,
            1 => Reason::Reading,
            2 => Reason::Answer,
            _ => return None,
        };
        let acknowledged = match [a, b, c] {
            Self::NOTHING_ACKNOWLEDGED => None,
            counter => Some(counter_of(counter)),
        };
        let output = match output {
            0 => false,
            1 => true,
            _ => return None,
        };
        let reading = Some(i16::from_be_bytes([high, low])).filter(|reading| *reading != Self::NO_READING);
        Some(Self { reason, acknowledged, output, reading })
    }
}

/// What a station wants. Each says what shall be, not what shall change: it may be carried out twice, as when the answer is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Instruction {
    /// The output shall be off.
    Off = 0,
    /// The output shall be on.
    On = 1,
    /// The node shall store what it has used and stop, before its power is taken: so that costs no blocks.
    Stop = 2,
    /// The node shall forget its keys. It takes new ones then.
    Forget = 3,
}

impl Instruction {
    /// The bytes that an instruction takes.
    pub const LEN: usize = 1;

    /// The instruction that is these bytes, if there is one.
    #[must_use]
    pub const fn from_bytes([byte]: [u8; Self::LEN]) -> Option<Self> {
        Some(match byte {
            0 => Self::Off,
            1 => Self::On,
            2 => Self::Stop,
            3 => Self::Forget,
            _ => return None,
        })
    }
}

/// What a node says without a key, or if it cannot seal. **Anybody can forge it**: it helps who installs or repairs a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum Notice {
    /// It has no keys and waits for them.
    NoKeys = 0,
    /// It has keys, but what it stored of their use is damaged or lost: it waits for new ones.
    NoState = 1,
    /// Its flash does not store: it seals and opens nothing.
    Flash = 2,
    /// As many blocks are sealed under its key as may be: it needs new keys.
    UsedUp = 3,
    /// It has stopped, as it was told.
    Stopped = 4,
    /// As many blocks of instructions are opened under its key as may be, or as many attempts have failed: it obeys no more, not even to forget its
    /// keys. Its flash must be erased by a debugger.
    Deaf = 5,
}

impl Notice {
    /// The frame with it.
    #[must_use]
    pub const fn to_frame(self) -> [u8; 2] {
        [NOTICE, self as u8]
    }

    /// The notice in a frame, if there is one.
    #[must_use]
    pub const fn from_frame(frame: &[u8]) -> Option<Self> {
        let [NOTICE, code] = frame else { return None };
        Some(match code {
            0 => Self::NoKeys,
            1 => Self::NoState,
            2 => Self::Flash,
            3 => Self::UsedUp,
            4 => Self::Stopped,
            5 => Self::Deaf,
            _ => return None,
        })
    }
}

/// A counter of 24 bits as it is in a frame.
#[must_use]
pub const fn counter_bytes(counter: u32) -> [u8; COUNTER] {
    let [_, bytes @ ..] = counter.to_be_bytes();
    bytes
}

/// The inverse of [`counter_bytes`].
#[must_use]
pub const fn counter_of([a, b, c]: [u8; COUNTER]) -> u32 {
    u32::from_be_bytes([0, a, b, c])
}

/// `frame` as it goes over the line, with the byte that ends it; empty if it is longer than [`MAX_FRAME`].
#[must_use]
pub fn encode(frame: &[u8]) -> Zeroizing<Vec<u8, MAX_ENCODED>> {
    let mut encoded = Zeroizing::new(Vec::new());
    if frame.len() <= MAX_FRAME && encoded.resize_default(MAX_ENCODED).is_ok() {
        let len = cobs::try_encode(frame, &mut encoded).unwrap_or(0);
        encoded.truncate(len);
        // There is room: it is part of MAX_ENCODED.
        let _ = encoded.push(0);
    }
    encoded
}

/// Finds frames among the bytes that come.
#[derive(Debug, Default)]
pub struct Decoder {
    encoded: Vec<u8, MAX_ENCODED>,
    /// Whether more came than a frame has: all is ignored until the next frame.
    is_too_long: bool,
}

impl Decoder {
    /// A decoder at the start of a frame.
    #[must_use]
    pub const fn new() -> Self {
        Self { encoded: Vec::new(), is_too_long: false }
    }

    /// Takes a byte, and returns the frame that it ends, if it does and what came is one. What came may be keys: it is erased.
    pub fn feed(&mut self, byte: u8) -> Option<Frame> {
        if byte != 0 {
            self.is_too_long |= self.encoded.push(byte).is_err();
            return None;
        }
        let is_frame = !self.is_too_long && !self.encoded.is_empty();
        let len = if is_frame { cobs::decode_in_place(&mut self.encoded).ok() } else { None };
        let frame = len.and_then(|len| Vec::from_slice(self.encoded.get(..len)?).ok()).map(Zeroizing::new);
        self.encoded.zeroize();
        self.is_too_long = false;
        frame
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        self.encoded.zeroize();
    }
}

impl ZeroizeOnDrop for Decoder {}
