//! Packets on a serial line: COBS between zeros.

use std::io::{self, BufReader, Read, Write};

/// The longest packet, encoded: what is longer is none.
const MAX_LEN: usize = cobs::max_encoding_length(2 + smart_city_interface::FRAME_LEN);

/// The bytes of a packet on the line.
#[must_use]
pub fn encode(packet: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0];
    bytes.extend(cobs::encode_vec(packet));
    bytes.push(0);
    bytes
}

/// Finds packets in bytes that come one by one. What is no packet is left out.
#[derive(Debug, Default)]
pub struct Decoder {
    encoded: Vec<u8>,
}

impl Decoder {
    /// Takes the next byte of a line. Returns a packet if it ends there.
    pub fn take(&mut self, byte: u8) -> Option<Vec<u8>> {
        if byte != 0 {
            // One too many shows that it is too long.
            if self.encoded.len() <= MAX_LEN {
                self.encoded.push(byte);
            }
            return None;
        }
        let packet = if self.encoded.len() > MAX_LEN { None } else { cobs::decode_vec(&self.encoded).ok() };
        self.encoded.clear();
        packet.filter(|packet| !packet.is_empty())
    }
}

/// Passes each packet on that comes, until the line ends or `take` says that it wants no more.
///
/// # Errors
/// If the line cannot be read.
pub fn read_packets(line: impl Read, mut take: impl FnMut(Vec<u8>) -> bool) -> io::Result<()> {
    let mut decoder = Decoder::default();
    for byte in BufReader::new(line).bytes() {
        if let Some(packet) = decoder.take(byte?)
            && !take(packet)
        {
            break;
        }
    }
    Ok(())
}

/// A line of which somebody sees each packet before it goes on, in the direction in which this is used.
#[derive(Debug)]
pub struct Tap<L, S> {
    line: L,
    see: S,
    decoder: Decoder,
}

impl<L, S: FnMut(&[u8])> Tap<L, S> {
    /// Shows the packets of `line` to `see`.
    pub fn new(line: L, see: S) -> Self {
        Self { line, see, decoder: Decoder::default() }
    }

    fn show(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if let Some(packet) = self.decoder.take(*byte) {
                (self.see)(&packet);
            }
        }
    }
}

impl<L: Read, S: FnMut(&[u8])> Read for Tap<L, S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.line.read(buffer)?;
        self.show(&buffer[..len]);
        Ok(len)
    }
}

impl<L: Write, S: FnMut(&[u8])> Write for Tap<L, S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // All of them, as what was seen cannot be seen again.
        self.show(bytes);
        self.line.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.line.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::{Tap, encode, read_packets};

    fn read(bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut packets = Vec::new();
        read_packets(bytes, |packet| {
            packets.push(packet);
            true
        })
        .unwrap();
        packets
    }

    #[test]
    fn packets_come_as_they_went() {
        let packets: Vec<Vec<u8>> = (1..=257)
            .map(|len: usize| (0..len).map(|i| i.to_le_bytes()[0].wrapping_mul(7)).collect())
            .collect();
        let line: Vec<u8> = packets.iter().flat_map(|packet| encode(packet)).collect();
        assert_eq!(read(&line), packets);
    }

    #[test]
    fn what_is_no_packet_is_left_out() {
        let noise =
            [&[5, 1, 0][..], &vec![1; 10_000], &[0, 0, 0], &encode(b"a packet"), b"\x09cut off"].concat();
        assert_eq!(read(&noise), [b"a packet"]);
    }

    #[test]
    fn a_tap_shows_what_goes_by() {
        let line = [encode(b"one"), encode(b"two")].concat();
        let (mut seen, mut through) = (Vec::new(), Vec::new());
        Tap::new(&line[..], |packet: &[u8]| seen.push(packet.to_vec())).read_to_end(&mut through).unwrap();
        let mut written = Vec::new();
        let mut tap = Tap::new(&mut written, |packet: &[u8]| seen.push(packet.to_vec()));
        for part in line.chunks(3) {
            tap.write_all(part).unwrap();
        }
        assert_eq!([&through, &written], [&line; 2]);
        assert_eq!(seen, [b"one", b"two", b"one", b"two"]);
    }
}
