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
        let mut moved = [0; RUNS];
        for i in 0..32 {
            if let Some(from) = from(i) {
                for run in 0..RUNS {
                    moved[run] |= (a[run] >> from & 1) << i;
                }
            }
        }
        moved
    }

    fn seen(&mut self, model: Model, at: u32, word: &Word) -> Result<()> {
        (self.0)(model, at, word);
        Ok(())
    }
}
