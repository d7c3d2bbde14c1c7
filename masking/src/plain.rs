//! Words that are numbers: many runs at once, each with its own.

use crate::machine::{Domain, Model};
use anyhow::Result;
use std::rc::Rc;

/// How many runs there are at once.
pub const RUNS: usize = 512;

/// A word of each run.
pub type Word = [u32; RUNS];

/// Runs, and who looks at their words.
pub struct Plain<F>(pub F);

impl<F: FnMut(Model, u32, &Word)> Domain for Plain<F> {
    type Word = Rc<Word>;

    fn constant(&mut self, value: u32) -> Rc<Word> {
        Rc::new([value; RUNS])
    }

    fn and(&mut self, a: &Rc<Word>, b: &Rc<Word>) -> Rc<Word> {
        Rc::new(std::array::from_fn(|run| a[run] & b[run]))
    }

    fn xor(&mut self, a: &Rc<Word>, b: &Rc<Word>) -> Rc<Word> {
        Rc::new(std::array::from_fn(|run| a[run] ^ b[run]))
    }

    fn moved(&mut self, a: &Rc<Word>, from: impl Fn(u8) -> Option<u8>) -> Rc<Word> {
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
        Rc::new(moved)
    }

    fn seen(&mut self, model: Model, at: u32, word: &Rc<Word>) -> Result<()> {
        (self.0)(model, at, word);
        Ok(())
    }

    fn differ(&mut self, model: Model, at: u32, old: &Rc<Word>, new: &Rc<Word>) -> Result<()> {
        (self.0)(model, at, &std::array::from_fn(|run| old[run] ^ new[run]));
        Ok(())
    }
}
