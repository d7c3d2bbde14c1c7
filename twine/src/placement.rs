//! The lanes of nibbles in fixslicing, which leaves out the shuffle of the paper.
//!
//! The eight even nibbles of a block make one half, and the eight odd nibbles make the other. Each half has eight *lanes*. After each round
//! the paper moves nibble `h` to place `pi[h]`. `pi` moves even places to odd ones and odd places to even ones. So both halves stay where
//! they are and only swap roles: the odd half of one round is the even half of the next.
//!
//! What remains of the shuffle is the lanes of nibble `2j` and of its partner `2j + 1`. The lanes at the start and `pi` determine the lanes
//! of every round ([`NIBBLE_OF_LANE`]). The S-box output of a nibble in lane `p` of the even half has to reach its partner in lane `q` of the
//! odd half.
//!
//! Byte `j` of the block starts in lane `0 1 2 4 3 5 6 7`\[j\], which exchanges bytes 3 and 4. Then all eight pairs have the same `p XOR q`
//! in every round, and it runs through 0, 1, 4, 2 with period four ([`LANE_XOR`]). A search over all `8!` placements of the even half and 8
//! offsets of the odd half finds only this solution and those that a linear renumbering of the lanes or an offset makes of it. After four
//! rounds byte `j` is where `7 - j` was. After eight rounds all bytes are back. So round keys need eight different orders of their nibbles.

use crate::consts::SHUFFLE;

/// Byte `j` starts in lane `LANE_OF_BYTE[j]`. The permutation is its own inverse.
pub(crate) const LANE_OF_BYTE: [u8; 8] = [0, 1, 2, 4, 3, 5, 6, 7];

/// In round `r` the partner of the even nibble in lane `p` is in lane `p ^ LANE_XOR[r % 4]`.
pub(crate) const LANE_XOR: [u8; 4] = [0, 1, 4, 2];

/// The number of rounds until every nibble pair is back in its lanes.
pub(crate) const PERIOD: usize = 8;

/// `NIBBLE_OF_LANE[r % PERIOD][p]` is the `j` whose even nibble `2j` is in lane `p` of the even half of round `r`.
pub(crate) const NIBBLE_OF_LANE: [[u8; 8]; PERIOD] = {
    let mut even = [LANE_OF_BYTE; PERIOD];
    let mut odd = LANE_OF_BYTE;
    let mut r = 1;
    while r < PERIOD {
        let before = even[r - 1];
        let mut p = 0;
        while p < 8 {
            even[r][p] = SHUFFLE[2 * odd[p] as usize + 1] / 2;
            odd[p] = SHUFFLE[2 * before[p] as usize] / 2;
            p += 1;
        }
        r += 1;
    }
    even
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consts::ROUNDS;

    /// Returns the lane of nibble `j` in a half whose lane `p` holds nibble `places[p]`.
    fn lane_of(places: &[u8; 8], j: u8) -> u8 {
        u8::try_from(places.iter().position(|place| *place == j).unwrap()).unwrap()
    }

    /// Checks what the documentation of the module says of all 36 rounds, and the period.
    #[test]
    fn lanes_follow_the_shuffle() {
        let (mut even, mut odd) = (LANE_OF_BYTE, LANE_OF_BYTE);
        for round in 0..ROUNDS {
            assert_eq!(even, NIBBLE_OF_LANE[round % PERIOD], "even half, round {round}");
            for j in 0..8 {
                let xor = lane_of(&even, j) ^ lane_of(&odd, j);
                assert_eq!(xor, LANE_XOR[round % 4], "nibble pair {j}, round {round}");
            }
            // The shuffle, nibble by nibble, with the halves left where they are.
            let shuffled = |odd_nibble: u8, j: u8| SHUFFLE[usize::from(2 * j + odd_nibble)] / 2;
            (even, odd) = (odd.map(|j| shuffled(1, j)), even.map(|j| shuffled(0, j)));
        }
        assert_eq!(NIBBLE_OF_LANE[4], LANE_OF_BYTE.map(|j| 7 - j));
    }
}
