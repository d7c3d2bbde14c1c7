//! What the two worlds of a device agree on: where everything is, what the secure world does for the other one, and how it answers.
#![no_std]

pub mod memory;
#[cfg(target_os = "none")]
mod services;

#[cfg(target_os = "none")]
pub use services::{epoch, new_epoch, receive, seal_reading, start_evidence};

/// The longest frame, in bytes: what a buffer for one has.
pub const FRAME_LEN: usize = 255;

/// The longest reading, in bytes.
pub const READING_LEN: usize = 241;

/// What the secure world does for the other one. Its entry point is [`Service::address`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Service {
    /// `(stream, reading, length, frame) -> i32`: seals a reading into a buffer of [`FRAME_LEN`] bytes; the frame's length.
    SealReading = 0,
    /// `(frame, length, answer) -> i32`: obeys a frame from the gateway; an [`Answer`], with its bytes in a buffer of [`FRAME_LEN`].
    Receive = 1,
    /// `() -> i32`: the epoch.
    Epoch = 2,
    /// `() -> i32`: opens a new epoch and returns it; eight times at once, then once an hour.
    NewEpoch = 3,
    /// `(frame) -> i32`: evidence of a region that was altered when the device started, sealed into a buffer of [`FRAME_LEN`] bytes, once in
    /// an epoch; its length, or 0 if there is nothing to be said.
    StartEvidence = 4,
}

impl Service {
    /// How many there are.
    pub const COUNT: u32 = 5;

    /// The bytes of an entry point: SG and a branch.
    pub const ENTRY_LEN: u32 = 8;

    /// Its entry point, without the bit that says Thumb.
    #[must_use]
    pub const fn address(self) -> u32 {
        memory::VENEERS.start + Self::ENTRY_LEN * self as u32
    }
}

/// Why the secure world did nothing: what a service returns below 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Refusal {
    /// Called by an exception handler.
    Handler = -1,
    /// Called by a function that the secure world called.
    Busy = -2,
    /// A buffer is not as a whole memory that the caller may read, or write.
    Pointer = -3,
    /// A length is too great.
    Length = -4,
    /// The device has no such stream.
    Stream = -5,
    /// There is no epoch, so that nothing can be sealed or opened; or no new one, and the one that there is goes on.
    NoEpoch = -6,
    /// The frame is not authentic, not new, or not for this device; or it is an instruction, and a later one was obeyed.
    Frame = -7,
    /// The keys of the epoch were used up, and a new one was opened: what has no receipt is to be sealed again.
    NewEpoch = -8,
    /// A new epoch is needed, or asked for, and too many were opened already for which no authentic frame had asked: there is one more an
    /// hour. Before that only an authentic frame or a restart opens one.
    TooSoon = -9,
}

impl Refusal {
    /// What a service returned.
    ///
    /// # Errors
    /// The refusal, if it is one.
    pub const fn check(returned: i32) -> Result<u32, Self> {
        Err(match returned {
            -1 => Self::Handler,
            -2 => Self::Busy,
            -3 => Self::Pointer,
            -4 => Self::Length,
            -5 => Self::Stream,
            -6 => Self::NoEpoch,
            -8 => Self::NewEpoch,
            -9 => Self::TooSoon,
            0.. => return Ok(returned.unsigned_abs()),
            _ => Self::Frame,
        })
    }
}

/// What a frame from the gateway led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Event {
    /// A receipt. The answer is its newest counter (3 bytes, big-endian) and the 64 frames up to it (8), bit 0 the newest.
    Receipt = 1,
    /// An instruction was examined, and its function ran. The answer is a frame with evidence.
    Ran = 2,
    /// An instruction was examined, and its function did not run. The answer is a frame with evidence.
    Refused = 3,
    /// A region was examined that had been altered, and is restored, or several were: what was measured until then is to be discarded. The
    /// answer is a frame with evidence.
    Restored = 4,
    /// A region was to be restored and had its code as it was built, or is unknown. The answer is a frame with evidence.
    NotAltered = 5,
    /// A new epoch was opened: what has no receipt is to be sealed again. There is no answer.
    NewEpoch = 6,
    /// All regions were examined, and none was started. The answer is a frame with evidence.
    Examined = 7,
}

/// An event, and the length of the answer to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What happened.
    pub event: Event,
    /// The bytes in the buffer.
    pub len: u8,
}

impl Answer {
    /// What [`Service::Receive`] returns: the event in bits 8 to 15, the length in bits 0 to 7.
    #[must_use]
    pub const fn to_returned(self) -> i32 {
        (self.event as i32) << 8 | self.len as i32
    }

    /// None for what is no answer.
    #[must_use]
    pub const fn from_returned(returned: u32) -> Option<Self> {
        let [0, 0, event, len] = returned.to_be_bytes() else { return None };
        let event = match event {
            1 => Event::Receipt,
            2 => Event::Ran,
            3 => Event::Refused,
            4 => Event::Restored,
            5 => Event::NotAltered,
            6 => Event::NewEpoch,
            7 => Event::Examined,
            _ => return None,
        };
        Some(Self { event, len })
    }
}
