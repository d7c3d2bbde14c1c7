//! The serial ports of the board: CMSDK APB UARTs. A byte that was received stays in its register until it is read, and QEMU waits as long.

use core::{convert::Infallible, future::poll_fn, task::Poll};

use cortex_m::{interrupt::InterruptNumber, peripheral::NVIC};
use embassy_sync::waitqueue::AtomicWaker;
use embedded_io_async::{ErrorType, Read, Write};

pub(crate) static LINE: Uart = Uart::new(0x4000_4000);
pub(crate) static THERMOMETER: Uart = Uart::new(0x4000_5000);

/// The interrupts for a byte that was received.
pub(crate) const LINE_INTERRUPT: i16 = 0;
pub(crate) const THERMOMETER_INTERRUPT: i16 = 2;

/// Registers, by their offset.
const DATA: usize = 0x00;
const STATE: usize = 0x04;
const CONTROL: usize = 0x08;
const INTERRUPT_STATUS: usize = 0x0C;
const BAUD_DIVIDER: usize = 0x10;

const STATE_SEND_FULL: u32 = 1;
const STATE_RECEIVED: u32 = 1 << 1;
const CONTROL_SEND: u32 = 1;
const CONTROL_RECEIVE: u32 = 1 << 1;
const CONTROL_RECEIVE_INTERRUPT: u32 = 1 << 3;
const INTERRUPT_RECEIVED: u32 = 1 << 1;

/// A serial port.
pub(crate) struct Uart {
    base: usize,
    waker: AtomicWaker,
}

impl Uart {
    const fn new(base: usize) -> Self {
        Self { base, waker: AtomicWaker::new() }
    }

    /// Makes it ready.
    pub(crate) fn open(&'static self) -> &'static Self {
        // The least that is allowed: QEMU takes no time anyway.
        self.write(BAUD_DIVIDER, 16);
        self.write(CONTROL, CONTROL_SEND | CONTROL_RECEIVE | CONTROL_RECEIVE_INTERRUPT);
        self
    }

    pub(crate) fn on_interrupt(&self) {
        self.write(INTERRUPT_STATUS, INTERRUPT_RECEIVED);
        self.waker.wake();
    }

    /// The next byte.
    pub(crate) async fn byte(&self) -> u8 {
        poll_fn(|context| {
            self.waker.register(context.waker());
            if self.read(STATE) & STATE_RECEIVED == 0 {
                return Poll::Pending;
            }
            let [byte, ..] = self.read(DATA).to_le_bytes();
            Poll::Ready(byte)
        })
        .await
    }

    #[allow(unsafe_code, reason = "registers")]
    fn read(&self, register: usize) -> u32 {
        // SAFETY: it is a register of the port, at an address of this board.
        unsafe { ((self.base + register) as *const u32).read_volatile() }
    }

    #[allow(unsafe_code, reason = "registers")]
    fn write(&self, register: usize, value: u32) {
        // SAFETY: as above; none of them makes the port touch memory.
        unsafe { ((self.base + register) as *mut u32).write_volatile(value) }
    }
}

impl ErrorType for &Uart {
    type Error = Infallible;
}

impl Read for &Uart {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        let Some(place) = buffer.first_mut() else { return Ok(0) };
        *place = self.byte().await;
        Ok(1)
    }
}

impl Write for &Uart {
    async fn write(&mut self, buffer: &[u8]) -> Result<usize, Infallible> {
        for byte in buffer {
            while Uart::read(self, STATE) & STATE_SEND_FULL != 0 {}
            Uart::write(self, DATA, (*byte).into());
        }
        Ok(buffer.len())
    }

    async fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// An interrupt of the board.
#[derive(Clone, Copy)]
struct Interrupt(i16);

// SAFETY: the numbers of this board's interrupts.
#[allow(unsafe_code, reason = "the numbers of interrupts")]
unsafe impl InterruptNumber for Interrupt {
    fn number(self) -> u16 {
        self.0.unsigned_abs()
    }
}

#[allow(unsafe_code, reason = "interrupts")]
pub(crate) fn enable_interrupts() {
    for interrupt in [LINE_INTERRUPT, THERMOMETER_INTERRUPT] {
        // SAFETY: no critical section relies on them being masked.
        unsafe { NVIC::unmask(Interrupt(interrupt)) };
    }
}
