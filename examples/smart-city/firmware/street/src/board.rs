//! UART1, the lamps and SysTick of `mps2-an505`, as the other world has left them to this one.

use core::{
    ptr,
    sync::atomic::{AtomicU8, AtomicUsize, Ordering::Relaxed},
};

use cortex_m::peripheral::{NVIC, SYST, syst::SystClkSource};
use smart_city_interface::memory::{LEDS, UART, UART_INTERRUPTS};

const DATA: u32 = UART.start;
const STATE: u32 = UART.start + 4;
const CONTROL: u32 = UART.start + 8;
const INTERRUPT: u32 = UART.start + 12;
const DIVIDER: u32 = UART.start + 16;
const TX_FULL: u32 = 1;
const RX_FULL: u32 = 2;
const RX_INTERRUPT: u32 = 2;
/// Both directions, and an interrupt for each byte that comes.
const ENABLE: u32 = 1 | 2 | 8;

/// The clock of the processor, in Hz.
const CLOCK: u32 = 20_000_000;

/// What has come and was not taken: a ring, where it is read, and where it is written.
static RECEIVED: [AtomicU8; 1024] = [const { AtomicU8::new(0) }; 1024];
static TAKEN: AtomicUsize = AtomicUsize::new(0);
static COME: AtomicUsize = AtomicUsize::new(0);

#[derive(Clone, Copy)]
struct Interrupt(u16);

// SAFETY: the number is that of an interrupt of the board.
unsafe impl cortex_m::interrupt::InterruptNumber for Interrupt {
    fn number(self) -> u16 {
        self.0
    }
}

/// Before anything is sent or received, at 115,200 baud.
pub fn set_up_uart() {
    write(DIVIDER, CLOCK / 115_200);
    write(CONTROL, ENABLE);
    for number in UART_INTERRUPTS {
        // SAFETY: nothing relies on the interrupt being masked.
        unsafe { NVIC::unmask(Interrupt(number)) };
    }
}

/// Sends a byte, as soon as there is room for it.
pub fn send(byte: u8) {
    while read(STATE) & TX_FULL != 0 {}
    write(DATA, byte.into());
}

/// For every interrupt: takes what has come. What finds no room is lost.
pub fn receive() {
    write(INTERRUPT, RX_INTERRUPT);
    while read(STATE) & RX_FULL != 0 {
        let byte = read(DATA) as u8;
        let come = COME.load(Relaxed);
        if come.wrapping_sub(TAKEN.load(Relaxed)) < RECEIVED.len() {
            RECEIVED[come % RECEIVED.len()].store(byte, Relaxed);
            COME.store(come.wrapping_add(1), Relaxed);
        }
    }
}

/// A byte that has come, if there is one.
pub fn received() -> Option<u8> {
    let taken = TAKEN.load(Relaxed);
    (taken != COME.load(Relaxed)).then(|| {
        let byte = RECEIVED[taken % RECEIVED.len()].load(Relaxed);
        TAKEN.store(taken.wrapping_add(1), Relaxed);
        byte
    })
}

/// Sleeps until an interrupt, unless a byte is there.
pub fn wait() {
    cortex_m::interrupt::free(|_| {
        if TAKEN.load(Relaxed) == COME.load(Relaxed) {
            // An interrupt that is held ends it as well.
            cortex_m::asm::wfi();
        }
    });
}

/// Switches a lamp, 0 or 1. Inlined, so that it is measured with the function that calls it.
#[inline(always)]
pub fn switch(lamp: u32, is_on: bool) {
    let bit = 1 << (lamp & 1);
    write(LEDS.start, if is_on { read(LEDS.start) | bit } else { read(LEDS.start) & !bit });
}

/// Has the exception SysTick come every `cycles`, at most 2^24.
pub fn start_timer(timer: &mut SYST, cycles: u32) {
    timer.set_clock_source(SystClkSource::Core);
    timer.set_reload((cycles - 1) & 0xFF_FFFF);
    timer.clear_current();
    timer.enable_counter();
    timer.enable_interrupt();
}

/// A tenth of a second.
pub const TENTH: u32 = CLOCK / 10;

#[inline(always)]
fn read(address: u32) -> u32 {
    // SAFETY: the addresses above are registers of this world.
    unsafe { ptr::with_exposed_provenance::<u32>(address as usize).read_volatile() }
}

#[inline(always)]
fn write(address: u32, value: u32) {
    // SAFETY: as above.
    unsafe { ptr::with_exposed_provenance_mut::<u32>(address as usize).write_volatile(value) };
}
