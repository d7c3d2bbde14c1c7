//! Packets on a serial line: COBS between zeros.

use std::io::{self, BufReader, Read};

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

/// Passes each packet on that comes, until the line ends or `take` says that it wants no more. What is no packet is left out.
///
/// # Errors
/// If the line cannot be read.
pub fn read_packets(line: impl Read, mut take: impl FnMut(Vec<u8>) -> bool) -> io::Result<()> {
    let mut encoded = Vec::new();
    for byte in BufReader::new(line).bytes() {
        let byte = byte?;
        if byte != 0 {
            // One too many shows that it is too long.
            if encoded.len() <= MAX_LEN {
                encoded.push(byte);
            }
            continue;
        }
        let packet = if encoded.len() > MAX_LEN { None } else { cobs::decode_vec(&encoded).ok() };
        encoded.clear();
        if let Some(packet) = packet.filter(|packet| !packet.is_empty())
            && !take(packet)
        {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{encode, read_packets};

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
}
