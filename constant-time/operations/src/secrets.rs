//! Keys and messages, structured ones and some that look random, the same on every machine.

/// How many there are.
pub const SECRETS: usize = 64;

/// All zero and all one.
const CONSTANT: usize = 2;

/// A single bit.
const SINGLE_BITS: usize = 14;

/// Fills `bytes` with secret number `number`: all zero, all one, a single bit in every 16 bytes, so that keys and blocks
/// have one, then bytes that look random.
pub fn secret(number: usize, bytes: &mut [u8]) {
    for (byte, value) in bytes.iter_mut().zip(stream(number)) {
        *byte = value;
    }
}

/// Whether `bytes` are what [`secret`] gives.
pub(crate) fn is_secret(number: usize, bytes: &[u8]) -> bool {
    bytes.iter().copied().eq(stream(number).take(bytes.len()))
}

fn stream(number: usize) -> impl Iterator<Item = u8> {
    // 9 and 80 have no common divisor, so the bits are different ones. They are in the first 80, for the shorter key.
    let bit = number.wrapping_sub(CONSTANT).wrapping_mul(9) % 80;
    let mut state = (number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (0..).map(move |i: usize| match number {
        0 => 0,
        1 => 0xFF,
        _ if number < CONSTANT + SINGLE_BITS => u8::from(i % 16 == bit / 8) << (bit % 8),
        _ => {
            // xorshift64 (Marsaglia, 2003)
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 56) as u8
        }
    })
}
