//! Packets on the serial line: COBS, each behind a zero and before one.

use crate::board;

/// The longest packet: a stream's number and a frame.
pub const PACKET_LEN: usize = 2 + smart_city_interface::FRAME_LEN;

/// Sends a packet that is `parts` one after the other, [`PACKET_LEN`] bytes at most; what is beyond is left out.
pub fn send(parts: &[&[u8]]) {
    let mut encoded = [0; cobs::max_encoding_length(PACKET_LEN)];
    let mut encoder = cobs::CobsEncoder::new(&mut encoded);
    for part in parts {
        if encoder.push(part).is_err() {
            return;
        }
    }
    let len = encoder.finalize();
    board::send(0);
    encoded.iter().take(len).for_each(|byte| board::send(*byte));
    board::send(0);
}

/// What takes packets from the line.
pub struct Receiver {
    bytes: [u8; cobs::max_encoding_length(PACKET_LEN)],
    len: usize,
}

impl Receiver {
    /// One that has received nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: [0; cobs::max_encoding_length(PACKET_LEN)], len: 0 }
    }

    /// Takes all bytes that are there, up to the end of a packet, and returns that packet. What is no packet is left out.
    pub fn poll(&mut self) -> Option<&[u8]> {
        while let Some(byte) = board::received() {
            if byte != 0 {
                if let Some(free) = self.bytes.get_mut(self.len) {
                    *free = byte;
                }
                // One too many shows that it is too long.
                self.len = (self.len + 1).min(self.bytes.len() + 1);
                continue;
            }
            let encoded = self.bytes.get_mut(..self.len).unwrap_or_default();
            let len = cobs::decode_in_place(encoded).unwrap_or(0);
            self.len = 0;
            if len > 0 {
                return self.bytes.get(..len);
            }
        }
        None
    }
}

impl Default for Receiver {
    fn default() -> Self {
        Self::new()
    }
}
