//! Simulated NOR flash, over any memory of words. Pages are erased to ones. Words are programmed, which changes bits only from one to zero.
//!
//! Each change of a word is a step of its own. To erase or to program a word takes two steps, and between them only some of its bits have
//! changed. An erasure goes through the words of a page in any order. Words are programmed one after the other. Words of one byte, as in flash
//! behind a serial bus, are programmed together: all that is written at once has changed in part before any of it is complete.
//! If the memory is stopped between two steps, it has what a loss of power leaves: words that are programmed in part, and pages of
//! which some bits are still as they were. Bits that read differently each time, and wear, are not modelled.
#![no_std]

use core::fmt;
use embedded_storage::nor_flash::{
    ErrorType, MultiwriteNorFlash, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};

use fastrand::Rng;

/// The bytes of a word of the memory.
const CELL: usize = 4;

/// What holds the words.
pub trait Memory {
    /// The word at this index.
    ///
    /// # Errors
    /// The memory cannot be read.
    fn read(&self, index: usize) -> Result<u32, Failed>;

    /// Changes a word, in one step.
    ///
    /// # Errors
    /// The power is lost, or the memory is broken: the operation ends here.
    fn write(&mut self, index: usize, word: u32) -> Result<(), Failed>;
}

/// The memory does not change any more, or cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed;

/// `PAGES` pages of `PAGE` bytes in a memory, which are programmed in words of `WORD` bytes: 1, 2 or 4.
#[derive(Debug)]
pub struct Flash<M, const PAGES: usize, const PAGE: usize, const WORD: usize> {
    memory: M,
    /// Which bits change first.
    noise: Rng,
}

impl<M: Memory, const PAGES: usize, const PAGE: usize, const WORD: usize> Flash<M, PAGES, PAGE, WORD> {
    /// The flash in `memory`, as it is. The bits that change first depend on `seed`.
    pub fn new(memory: M, seed: u64) -> Self {
        const { assert!(CELL.is_multiple_of(WORD)) };
        const { assert!(PAGE.is_multiple_of(CELL) && (PAGE / CELL).is_power_of_two()) };
        Self { memory, noise: Rng::with_seed(seed) }
    }

    /// What holds the words.
    pub fn memory(&mut self) -> &mut M {
        &mut self.memory
    }

    fn check(offset: u32, len: usize, unit: usize) -> Result<usize, FlashError> {
        let offset = offset as usize;
        if !offset.is_multiple_of(unit) || !len.is_multiple_of(unit) {
            return Err(FlashError::Unaligned);
        }
        match offset.checked_add(len) {
            Some(end) if end <= PAGES * PAGE => Ok(offset),
            _ => Err(FlashError::OutOfBounds),
        }
    }
}

/// Why the flash did not do what it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlashError {
    /// An address or a length is not that of a whole word or page.
    Unaligned,
    /// It is not in the flash.
    OutOfBounds,
    /// See [`Failed`].
    Failed,
}

impl From<Failed> for FlashError {
    fn from(_: Failed) -> Self {
        Self::Failed
    }
}

impl fmt::Display for FlashError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unaligned => "not at the start of a word or page",
            Self::OutOfBounds => "outside of the flash",
            Self::Failed => "the memory has failed",
        })
    }
}

impl core::error::Error for FlashError {}

impl NorFlashError for FlashError {
    fn kind(&self) -> NorFlashErrorKind {
        match self {
            Self::Unaligned => NorFlashErrorKind::NotAligned,
            Self::OutOfBounds => NorFlashErrorKind::OutOfBounds,
            Self::Failed => NorFlashErrorKind::Other,
        }
    }
}

impl<M, const PAGES: usize, const PAGE: usize, const WORD: usize> ErrorType for Flash<M, PAGES, PAGE, WORD> {
    type Error = FlashError;
}

impl<M: Memory, const PAGES: usize, const PAGE: usize, const WORD: usize> ReadNorFlash
    for Flash<M, PAGES, PAGE, WORD>
{
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        let offset = Self::check(offset, bytes.len(), 1)?;
        for (address, byte) in (offset..).zip(bytes) {
            *byte = self.memory.read(address / CELL)?.to_le_bytes()[address % CELL];
        }
        Ok(())
    }

    fn capacity(&self) -> usize {
        PAGES * PAGE
    }
}

impl<M: Memory, const PAGES: usize, const PAGE: usize, const WORD: usize> NorFlash
    for Flash<M, PAGES, PAGE, WORD>
{
    const WRITE_SIZE: usize = WORD;
    const ERASE_SIZE: usize = PAGE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashError> {
        let len = to.checked_sub(from).ok_or(FlashError::OutOfBounds)?;
        let start = Self::check(from, len as usize, PAGE)?;
        for page in (start..to as usize).step_by(PAGE) {
            // Each word once, as the step is odd and the number of words a power of two.
            let (first, step) = (self.noise.usize(..), self.noise.usize(..) | 1);
            let order = (0..PAGE / CELL)
                .map(|i| page / CELL + first.wrapping_add(step.wrapping_mul(i)) % (PAGE / CELL));
            for index in order.clone() {
                let some = self.memory.read(index)? | self.noise.u32(..);
                self.memory.write(index, some)?;
            }
            for index in order {
                self.memory.write(index, u32::MAX)?;
            }
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), FlashError> {
        let start = Self::check(offset, bytes.len(), WORD)?;
        let together = if WORD == 1 { bytes.len().max(1) } else { WORD };
        for (start, words) in (start..).step_by(together).zip(bytes.chunks(together)) {
            for is_whole in [false, true] {
                for (address, word) in (start..).step_by(WORD).zip(words.as_chunks::<WORD>().0) {
                    let old = self.memory.read(address / CELL)?;
                    let mut new = old.to_le_bytes();
                    for (new, byte) in new[address % CELL..].iter_mut().zip(word) {
                        *new &= byte;
                    }
                    let new = u32::from_le_bytes(new);
                    let kept = if is_whole { 0 } else { self.noise.u32(..) };
                    self.memory.write(address / CELL, old & (new | kept))?;
                }
            }
        }
        Ok(())
    }
}

impl<M: Memory, const PAGES: usize, const PAGE: usize, const WORD: usize> MultiwriteNorFlash
    for Flash<M, PAGES, PAGE, WORD>
{
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;

    #[derive(Debug)]
    struct Words([u32; 8], usize);

    impl Memory for Words {
        fn read(&self, index: usize) -> Result<u32, Failed> {
            Ok(self.0[index])
        }

        fn write(&mut self, index: usize, word: u32) -> Result<(), Failed> {
            self.1 = self.1.checked_sub(1).ok_or(Failed)?;
            self.0[index] = word;
            Ok(())
        }
    }

    type Small = Flash<Words, 2, 16, 4>;

    #[test]
    fn bits_only_go_to_zero_until_the_page_is_erased() {
        let mut flash = Small::new(Words([u32::MAX; 8], usize::MAX), 1);
        flash.write(4, &[0xF0, 0, 1, 2, 3, 4, 5, 6]).unwrap();
        flash.write(4, &[0x30, 0, 1, 2]).unwrap();
        flash.write(4, &[0x31, 0xFF, 1, 2]).unwrap();
        let mut bytes = [0; 5];
        flash.read(4, &mut bytes).unwrap();
        assert_eq!(bytes, [0x30, 0, 1, 2, 3]);
        flash.erase(0, 16).unwrap();
        assert_eq!(flash.memory().0, [u32::MAX; 8]);
    }

    #[test]
    fn what_is_not_aligned_or_outside_is_refused() {
        let mut flash = Small::new(Words([0; 8], usize::MAX), 1);
        assert_eq!(flash.write(2, &[0; 4]), Err(FlashError::Unaligned));
        assert_eq!(flash.write(4, &[0; 3]), Err(FlashError::Unaligned));
        assert_eq!(flash.write(32, &[0; 4]), Err(FlashError::OutOfBounds));
        assert_eq!(flash.erase(4, 16), Err(FlashError::Unaligned));
        assert_eq!(flash.erase(16, 0), Err(FlashError::OutOfBounds));
        assert_eq!(flash.erase(16, 48), Err(FlashError::OutOfBounds));
        assert_eq!(flash.read(30, &mut [0; 3]), Err(FlashError::OutOfBounds));
    }

    #[test]
    fn a_loss_of_power_leaves_torn_words_and_pages() {
        let (mut torn, mut first) = (0, std::collections::HashSet::new());
        for seed in 0..100 {
            let mut flash = Small::new(Words([u32::MAX; 8], 1), seed);
            assert_eq!(flash.write(0, &[0; 8]), Err(FlashError::Failed));
            torn += u32::from(flash.memory().0[0] != 0 && flash.memory().0[0] != u32::MAX);
            assert_eq!(flash.memory().0[1], u32::MAX);
            let mut flash = Small::new(Words([0; 8], 5), seed);
            assert_eq!(flash.erase(0, 16), Err(FlashError::Failed));
            let (page, other) = flash.memory().0.split_at(4);
            assert!(page.contains(&u32::MAX));
            torn += u32::from(page.iter().any(|word| *word != 0 && *word != u32::MAX));
            assert_eq!(other, [0; 4]);
            first.insert(page.iter().position(|word| *word == u32::MAX));
        }
        assert!(torn > 150, "{torn}");
        // Which word is erased first is not always the same.
        assert_eq!(first.len(), 4);
    }

    #[test]
    fn words_of_one_byte_are_programmed_together() {
        type Serial = Flash<Words, 2, 16, 1>;
        let (before, after) = ([0xFFFF_FFF0, u32::MAX], [0x12FF_FFF0, 0xFF78_5634]);
        let mut together = 0;
        for seed in 0..100 {
            for changes in 0..=8 {
                let mut words = [u32::MAX; 8];
                words[..2].copy_from_slice(&before);
                let mut flash = Serial::new(Words(words, changes), seed);
                assert_eq!(flash.write(3, &[0x12, 0x34, 0x56, 0x78]).is_ok(), changes == 8);
                let [first, second, ..] = flash.memory().0;
                for ((found, before), after) in [first, second].into_iter().zip(before).zip(after) {
                    assert!(found & !before == 0 && after & !found == 0);
                }
                assert!([first, second] == after || changes < 8);
                together += u32::from(first != after[0] && second >> 16 != 0xFFFF);
            }
        }
        assert!(together > 0);
    }
}
