//! Which instructions of RISC-V with 32 bits have a time that depends on their operands.
//!
//! No manual says it for all cores. What the extension Zkt lists takes the same time for all operands on cores that have Zkt; of
//! what it lists, multiplication is objected to as well, since small cores without Zkt multiply bit by bit and end early.

/// Why the instruction that starts `code` must not run on secrets, whatever its trace.
pub(crate) fn variable_latency(code: u32) -> Option<&'static str> {
    let [opcode, funct3, rs2, funct7] =
        [(0, 7), (12, 3), (20, 5), (25, 7)].map(|(shift, bits)| code >> shift & ((1 << bits) - 1));
    match (opcode, funct3, funct7) {
        (0x33, 0..=3, 1) => Some("multiplication, which ends early on some cores"),
        (0x33, _, 1) => Some("division"),
        (0x13, 1, 0x30) if rs2 <= 2 => Some("a count of bits, which Zkt does not list"),
        (0x07 | 0x27 | 0x43 | 0x47 | 0x4B | 0x4F | 0x53, ..) => Some("floating point"),
        // c.mul of Zcb.
        _ if code & 0xFC63 == 0x9C41 => Some("multiplication, which ends early on some cores"),
        _ => None,
    }
}

/// The code of the instruction that starts `bytes`: two bytes, or four if the two lowest bits are set.
pub(crate) fn code(bytes: &[u8]) -> Option<u32> {
    match *bytes {
        [b0, b1, b2, b3, ..] if b0 & 3 == 3 => Some(u32::from_le_bytes([b0, b1, b2, b3])),
        [b0, b1, ..] if b0 & 3 != 3 => Some(u32::from_le_bytes([b0, b1, 0, 0])),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{code, variable_latency};

    #[test]
    fn objections() {
        for (code, text) in [
            (0x02C5_8533, "mul a0, a1, a2"),
            (0x02C5_9533, "mulh a0, a1, a2"),
            (0x02C5_B533, "mulhu a0, a1, a2"),
            (0x02C5_C533, "div a0, a1, a2"),
            (0x02C5_D533, "divu a0, a1, a2"),
            (0x02C5_F533, "remu a0, a1, a2"),
            (0x6005_9513, "clz a0, a1"),
            (0x6025_9513, "cpop a0, a1"),
            (0x9D4D, "c.mul a0, a1"),
        ] {
            assert!(variable_latency(code).is_some(), "{text}");
        }
        for (code, text) in [
            (0x00C5_8533, "add a0, a1, a2"),
            (0x40C5_8533, "sub a0, a1, a2"),
            (0x00C5_9533, "sll a0, a1, a2"),
            (0x0015_9513, "slli a0, a1, 1"),
            (0x6985_D513, "rev8 a0, a1"),
            (0x6105_D513, "rori a0, a1, 16"),
            (0x6045_9513, "sext.b a0, a1"),
            (0x0005_A503, "lw a0, 0(a1)"),
            (0x8D2D, "c.xor a0, a1"),
        ] {
            assert_eq!(variable_latency(code), None, "{text}");
        }
    }

    #[test]
    fn codes_have_two_or_four_bytes() {
        assert_eq!(code(&[0x2D, 0x8D, 0x33, 0x85]), Some(0x8D2D));
        assert_eq!(code(&[0x33, 0x85, 0xC5, 0x02]), Some(0x02C5_8533));
        assert_eq!(code(&[0x33, 0x85]), None);
    }
}
