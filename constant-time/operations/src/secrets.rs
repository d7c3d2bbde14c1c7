//! Keys and messages, structured ones and some that look random, the same on every machine.

/// How many there are.
pub const SECRETS: usize = 64;

/// All zero and all one.
const CONSTANT: usize = 2;

/// One bit in all bytes of the key.
const SINGLE_BITS: usize = 14;

/// Fills `bytes` with secret number `number`: all zero, all one, a single bit (in the first 16 bytes, and again every 16
/// bytes, so that keys and blocks have one), then bytes that look random.
pub fn secret(number: usize, bytes: &mut [u8]) {
    match number {
        0 => bytes.fill(0),
        1 => bytes.fill(0xFF),
        _ if number < CONSTANT + SINGLE_BITS => {
            // 9 and 128 have no common divisor: the bits are in different bytes, and at different places in them.
            // The first 80 bits only, for the shorter key.
            let bit = (number - CONSTANT) * 9 % 80;
            for (i, byte) in bytes.iter_mut().enumerate() {
                *byte = if i % 16 == bit / 8 { 1 << (bit % 8) } else { 0 };
            }
        }
        _ => {
            // xorshift64 (Marsaglia, 2003)
            let mut state = (number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            for byte in bytes {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                *byte = (state >> 56) as u8;
            }
        }
    }
}
