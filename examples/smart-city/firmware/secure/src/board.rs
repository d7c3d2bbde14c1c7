//! What is special to `mps2-an505`: its gates for memory and peripherals, UART0, and flash, which it has not.
//!
//! Registers are those of Arm's *SSE-200/IoT Kit* and *CMSDK* manuals, and of application note 505.

use core::ptr;

use smart_city_interface::memory::{CODE, EPOCHS, FUNCTION_STACK, Part, RAM};
use smart_city_store::{Clock, FlashError, Page, Pages};

/// The memory protection controller of SSRAM1, from which code runs, and the first address of its memory for the other world.
const CODE_GATE: (u32, u32) = (0x5800_7000, 0x0000_0000);
/// That of SSRAM2, the secure world's RAM.
const SECURE_RAM_GATE: u32 = 0x5800_8000;
/// That of SSRAM3, the other world's RAM, and its first address.
const RAM_GATE: (u32, u32) = (0x5800_9000, 0x2820_0000);

/// The control register of these.
const BUS_ERROR: u32 = 1 << 4;
const AUTO_INCREMENT: u32 = 1 << 8;

/// Whether code at 0x1000_0000 can be entered at all, and which peripherals are non-secure.
const NSC_CONFIGURATION: u32 = 0x5008_0014;
const APB_NON_SECURE_1: u32 = 0x5008_0084;
const APB_NON_SECURE_2: u32 = 0x5008_0088;
const UART1: u32 = 1 << 6;
const FPGAIO: u32 = 1 << 2;

const UART0: u32 = 0x5020_0000;
const UART_STATE: u32 = 4;
const UART_CONTROL: u32 = 8;
const UART_DIVIDER: u32 = 16;
const TX_FULL: u32 = 1;
const TX_ENABLE: u32 = 1;

/// 20 MHz for 115,200 baud.
const DIVIDER: u32 = 174;

/// Gives the other world its memory and its peripherals; all others stay secure.
pub(crate) fn set_up_gates() {
    for gate in [CODE_GATE.0, SECURE_RAM_GATE, RAM_GATE.0] {
        // What it refuses is a bus error. Its table is written a word at a time.
        write(gate, read(gate) & !AUTO_INCREMENT | BUS_ERROR);
    }
    give(CODE_GATE, CODE);
    give(RAM_GATE, FUNCTION_STACK);
    give(RAM_GATE, RAM);
    write(NSC_CONFIGURATION, 1);
    write(APB_NON_SECURE_1, UART1);
    write(APB_NON_SECURE_2, FPGAIO);
}

/// Makes `part` of the memory behind a gate non-secure.
fn give((gate, first): (u32, u32), part: Part) {
    let (index, table) = (gate + 0x18, gate + 0x1C);
    let block = 1 << ((read(gate + 0x14) & 0xF) + 5);
    // Of a block that is given in part all of it would be the other world's.
    assert!((part.start | part.end()).is_multiple_of(block), "a part of the memory is not whole blocks");
    for number in (part.start - first) / block..(part.end() - first) / block {
        write(index, number / 32);
        write(table, read(table) | 1 << (number % 32));
    }
}

/// The timer of the slow clock, of which the other world has nothing. It counts down.
const CLOCK: u32 = 0x5002_F000;
const CLOCK_VALUE: u32 = CLOCK + 4;
const CLOCK_RELOAD: u32 = CLOCK + 8;
const CLOCK_INTERRUPT: u32 = CLOCK + 12;
const CLOCK_HZ: u32 = 32_768;
const ENABLE: u32 = 1;
/// It notes when it begins anew. No interrupt comes of that: the processor does not take it.
const ENABLE_INTERRUPT: u32 = 1 << 3;

/// The watchdog of the slow clock: an NMI when it is not fed, and a reset if that does not help.
const WATCHDOG: u32 = 0x5002_E000;
const WATCHDOG_CONTROL: u32 = WATCHDOG + 8;
const WATCHDOG_CLEAR: u32 = WATCHDOG + 12;
const INTERRUPT_AND_RESET: u32 = 3;

/// What [`clock`] knows of the time. Only the secure world uses it, in one place at a time.
static mut TIME: Clock = Clock::start(0);

/// Counts from now on.
pub(crate) fn start_clock() {
    write(CLOCK, 0);
    write(CLOCK_RELOAD, u32::MAX);
    write(CLOCK_VALUE, u32::MAX);
    write(CLOCK_INTERRUPT, 1);
    write(CLOCK, ENABLE | ENABLE_INTERRUPT);
    // SAFETY: see TIME.
    unsafe { (&raw mut TIME).write(Clock::start(0)) };
}

/// Tenths of a second since [`start_clock`]. It does not go back, and stops after thirteen years.
pub(crate) fn clock() -> u32 {
    let mut value = read(CLOCK_VALUE);
    let has_wrapped = read(CLOCK_INTERRUPT) & 1 != 0;
    if has_wrapped {
        // The flag may be of a round that began after the value was read.
        write(CLOCK_INTERRUPT, 1);
        value = read(CLOCK_VALUE);
        // The flag may come with the 0, a tick before the round begins: it would count twice.
        while value == 0 {
            value = read(CLOCK_VALUE);
        }
    }
    // SAFETY: see TIME.
    let time = unsafe { &mut *&raw mut TIME };
    time.read(u32::MAX - value, has_wrapped, CLOCK_HZ)
}

/// Has the watchdog wait for so many seconds, from now on and from each [`feed_watchdog`].
pub(crate) fn start_watchdog(seconds: u16) {
    write(WATCHDOG, u32::from(seconds) * CLOCK_HZ);
    write(WATCHDOG_CONTROL, INTERRUPT_AND_RESET);
}

/// If it is not started nothing happens.
pub(crate) fn feed_watchdog() {
    write(WATCHDOG_CLEAR, 1);
}

/// Before the first [`console_write`].
pub(crate) fn set_up_console() {
    write(UART0 + UART_DIVIDER, DIVIDER);
    write(UART0 + UART_CONTROL, TX_ENABLE);
}

pub(crate) fn console_write(byte: u8) {
    while read(UART0 + UART_STATE) & TX_FULL != 0 {}
    write(UART0, byte.into());
}

/// Two pages of RAM with the rules of flash: programming clears bits, erasing sets them, and both take time, a few bits after the
/// other, so that power can fail in between.
#[derive(Debug)]
pub(crate) struct Flash;

const PAGE_LEN: u32 = EPOCHS.len / 2;

impl Flash {
    fn address(page: Page, word: usize) -> u32 {
        let base = match page {
            Page::A => EPOCHS.start,
            Page::B => EPOCHS.start + PAGE_LEN,
        };
        base + word as u32 % (PAGE_LEN / 4) * 4
    }
}

impl Pages for Flash {
    const WORDS: usize = (PAGE_LEN / 4) as usize;

    fn read(&self, page: Page, word: usize) -> u32 {
        read(Self::address(page, word))
    }

    fn program(&mut self, page: Page, word: usize, value: u32) -> Result<(), FlashError> {
        program(Self::address(page, word), value);
        // RAM does not say that it fails; what it keeps is read back.
        Ok(())
    }

    fn erase(&mut self, page: Page) -> Result<(), FlashError> {
        // All words a little, then a little more.
        for bits in ERASURE {
            for word in 0..Self::WORDS {
                let address = Self::address(page, word);
                flash_step(address, read(address) | bits);
            }
        }
        Ok(())
    }
}

/// The bits that an erasure sets, one after the other.
const ERASURE: [u32; 4] = [0x1111_1111, 0x8888_8888, 0x4444_4444, 0x2222_2222];

/// Clears the bits that are clear in `value`.
fn program(address: u32, value: u32) {
    for bit in 0..32 {
        flash_step(address, read(address) & (value | !(1 << bit)));
    }
}

/// One change of flash. The tests stop here to cut the power off.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn flash_step(address: u32, value: u32) {
    write(address, value);
}

/// Replaces code of the other world: erases it, and programs it. If power fails meanwhile it is altered, and stays so until it is restored again.
pub(crate) fn restore(address: u32, code: &[u8]) {
    let first = address & !3;
    let words = || (first..address + code.len() as u32).step_by(4);
    // The bytes of a word that are of this code, and which bits those are.
    let part = |word: u32| {
        let bytes = [0, 1, 2, 3].map(|i| code.get((word + i).wrapping_sub(address) as usize).copied());
        let value = u32::from_le_bytes(bytes.map(Option::unwrap_or_default));
        (value, u32::from_le_bytes(bytes.map(|byte| if byte.is_some() { 0xFF } else { 0 })))
    };
    for bits in ERASURE {
        for word in words() {
            flash_step(word, read(word) | bits & part(word).1);
        }
    }
    for word in words() {
        let (value, mask) = part(word);
        program(word, value | !mask);
    }
    cortex_m::asm::dsb();
    cortex_m::asm::isb();
}

/// Reads a register, or a word that is no object of Rust's.
fn read(address: u32) -> u32 {
    // SAFETY: the addresses above are readable by the secure world, and aligned.
    unsafe { ptr::with_exposed_provenance::<u32>(address as usize).read_volatile() }
}

fn write(address: u32, value: u32) {
    // SAFETY: the addresses above are no memory that Rust knows of.
    unsafe { ptr::with_exposed_provenance_mut::<u32>(address as usize).write_volatile(value) };
}
