//! The node's flash: NOR flash that is simulated over the board's PSRAM, which QEMU keeps in a file.
//!
//! QEMU has no flash for Cortex-M boards that outlives it. What the file holds outlives a kill: each change of a word is there or not.
//!
//! Behind the flash are three words for tests: how many more changes happen before the power is lost (all ones: it is not), how many happened, and
//! whether the power is lost now. Then nothing happens any more, and QEMU can be killed.

use cortex_m::asm;
use simulated_flash::{Failed, Flash, Memory};

/// Where the PSRAM is.
const BASE: usize = 0x2100_0000;

/// The pages, as the nRF52840 has them.
const PAGES: usize = sensor_node::PAGES as usize;
const PAGE: usize = 4096;

/// The words behind the flash.
const CHANGES_LEFT: usize = PAGES * PAGE / 4;
const CHANGES: usize = CHANGES_LEFT + 1;
const IS_LOST: usize = CHANGES_LEFT + 2;

const NO_LOSS: u32 = u32::MAX;

pub(crate) fn flash() -> Flash<Psram, PAGES, PAGE, 4> {
    Flash::new(Psram, read(CHANGES).into())
}

pub(crate) struct Psram;

impl Memory for Psram {
    fn read(&self, index: usize) -> Result<u32, Failed> {
        Ok(read(index))
    }

    fn write(&mut self, index: usize, word: u32) -> Result<(), Failed> {
        let left = read(CHANGES_LEFT);
        if left == 0 {
            write(IS_LOST, 1);
            loop {
                asm::wfi();
            }
        }
        if left != NO_LOSS {
            write(CHANGES_LEFT, left - 1);
        }
        write(CHANGES, read(CHANGES).wrapping_add(1));
        write(index, word);
        Ok(())
    }
}

#[allow(unsafe_code, reason = "memory that is a file")]
fn read(index: usize) -> u32 {
    // SAFETY: a word of the PSRAM, of which the indices are far below the 16 MiB; nothing else uses it.
    unsafe { ((BASE + 4 * index) as *const u32).read_volatile() }
}

#[allow(unsafe_code, reason = "memory that is a file")]
fn write(index: usize, word: u32) {
    // SAFETY: as above.
    unsafe { ((BASE + 4 * index) as *mut u32).write_volatile(word) }
}
