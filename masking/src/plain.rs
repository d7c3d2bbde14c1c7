//! Words that are numbers: many runs at once, each with its own.

use crate::machine::{Domain, Model};
use anyhow::Result;

/// How many runs there are at once.
pub const RUNS: usize = 64;

/// A word of each run.
pub type Word = [u32; RUNS];

/// Runs, and who looks at their words.
pub struct Plain<F>(pub F);

impl<F: FnMut(Model, u32, &Word)> Domain for Plain<F> {
    type Word = Word;

    fn constant(&mut self, value: u32) -> Word {
        [value; RUNS]
    }

    fn and(&mut self, a: &Word, b: &Word) -> Word {
        std::array::from_fn(|run| a[run] & b[run])
    }

    fn xor(&mut self, a: &Word, b: &Word) -> Word {
        std::array::from_fn(|run| a[run] ^ b[run])
    }

    fn moved(&mut self, a: &Word, from: impl Fn(u8) -> Option<u8>) -> Word {
        // The bits that move equally far, all at once.
        let mut masks = [0u32; 32];
        for i in 0..32 {
            if let Some(from) = from(i) {
                masks[usize::from(from.wrapping_sub(i) % 32)] |= 1 << i;
            }
        }
        let mut moved = [0; RUNS];
        for (by, mask) in (0..).zip(masks).filter(|(_, mask)| *mask != 0) {
            for run in 0..RUNS {
                moved[run] |= a[run].rotate_right(by) & mask;
            }
        }
        moved
    }

    fn seen(&mut self, model: Model, at: u32, word: &Word) -> Result<()> {
        (self.0)(model, at, word);
        Ok(())
    }
}
