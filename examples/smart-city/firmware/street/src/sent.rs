//! Frames that were sent, each kept until its receipt.

use crate::line;

/// Tenths of a second after which a frame without a receipt is sent again.
const PATIENCE: u32 = 20;

/// The frames that a receipt speaks of.
const REACH: u32 = 64;

/// A frame of `N` bytes that was sent.
#[derive(Clone, Copy)]
pub struct Sent<const N: usize> {
    stream: u16,
    frame: [u8; N],
    at: u32,
}

impl<const N: usize> Sent<N> {
    /// Sends `frame` under the number of a stream, 0 for evidence. None if it has not `N` bytes.
    #[must_use]
    pub fn send(stream: u16, frame: &[u8], now: u32) -> Option<Self> {
        let sent = Self { stream, frame: frame.try_into().ok()?, at: now };
        sent.put_on_line();
        Some(sent)
    }

    /// Sends it again if that is due, and returns whether it was. It is the same bytes: the gateway opens them once.
    pub fn send_again(&mut self, now: u32) -> bool {
        let is_due = now.wrapping_sub(self.at) >= PATIENCE;
        if is_due {
            self.at = now;
            self.put_on_line();
        }
        is_due
    }

    fn put_on_line(&self) {
        line::send(&[&self.stream.to_be_bytes(), &self.frame]);
    }
}

/// What a receipt says of a frame.
pub enum Said {
    /// The gateway has it.
    Stored,
    /// Nothing yet.
    Nothing,
    /// Nothing, and no later receipt will: it is too far behind.
    TooFarBehind,
}

/// What the gateway has.
pub struct Receipt {
    newest: u32,
    stored: u64,
}

impl Receipt {
    /// The newest counter (3 bytes), the 64 frames up to it (8).
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let [a, b, c, stored @ ..] = <[u8; 11]>::try_from(bytes).ok()?;
        Some(Self { newest: u32::from_be_bytes([0, a, b, c]), stored: u64::from_be_bytes(stored) })
    }

    /// What it says of a frame.
    #[must_use]
    pub fn of<const N: usize>(&self, sent: &Sent<N>) -> Said {
        // The counter is in bytes 3 to 5 of a frame.
        let Some([a, b, c]) = sent.frame.get(3..6).and_then(|counter| <[u8; 3]>::try_from(counter).ok())
        else {
            return Said::Nothing;
        };
        match self.newest.checked_sub(u32::from_be_bytes([0, a, b, c])) {
            Some(REACH..) => Said::TooFarBehind,
            Some(back) if self.stored >> back & 1 == 1 => Said::Stored,
            _ => Said::Nothing,
        }
    }
}
