//! The sensor node on QEMU's board mps2-an386.
//!
//! | what | where |
//! |---|---|
//! | line to the station | first serial port |
//! | thermometer | second serial port: a line of text for each reading, in hundredths of a degree |
//! | flash | the board's 16 MiB of PSRAM, which QEMU keeps in a file: see `flash.rs` |
//! | output | none: reports show it |
#![no_std]
#![no_main]

mod flash;
mod uart;

use core::panic::PanicInfo;

use cortex_m_rt::exception;
use cortex_m_semihosting::debug;
use embassy_embedded_hal::adapter::BlockingAsync;
use embassy_executor::Spawner;
use sensor_node::Board;

use crate::uart::{LINE, THERMOMETER, Uart};

#[embassy_executor::main]
async fn main(_spawner: Spawner) {
    let mut flash = BlockingAsync::new(flash::flash());
    uart::enable_interrupts();
    let mut board = Qemu { thermometer: THERMOMETER.open(), number: Number::default(), reading: None };
    // It returns if the line fails, which this one does not.
    let _ = sensor_node::run(&mut flash, 0, LINE.open(), LINE.open(), &mut board).await;
    exit(false);
}

struct Qemu {
    thermometer: &'static Uart,
    number: Number,
    /// The last number.
    reading: Option<i16>,
}

impl Board for Qemu {
    async fn due(&mut self) {
        loop {
            if let Some(reading) = self.number.feed(self.thermometer.byte().await) {
                self.reading = Some(reading);
                return;
            }
        }
    }

    async fn measure(&mut self) -> Option<i16> {
        self.reading
    }

    fn set_output(&mut self, _: bool) {}

    fn stopped(&mut self) {
        exit(true);
    }
}

/// A number that comes as text.
#[derive(Default)]
struct Number {
    is_negative: bool,
    digits: Option<i16>,
}

impl Number {
    /// Takes a byte and returns the number that it ends. What is no number is none.
    fn feed(&mut self, byte: u8) -> Option<i16> {
        match byte {
            b'-' => self.is_negative = true,
            b'0'..=b'9' => {
                let digits = self.digits.unwrap_or(0).saturating_mul(10);
                self.digits = Some(digits.saturating_add(i16::from(byte - b'0')));
            }
            b'\r' | b'\n' => {
                let number = core::mem::take(self);
                return number.digits.map(|digits| if number.is_negative { -digits } else { digits });
            }
            _ => {}
        }
        None
    }
}

/// Ends QEMU.
fn exit(is_success: bool) {
    debug::exit(if is_success { debug::EXIT_SUCCESS } else { debug::EXIT_FAILURE });
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {
        exit(false);
    }
}

// SAFETY: it only touches the serial ports, and wakes.
#[allow(unsafe_code, reason = "as an exception it is called by the hardware")]
#[exception]
unsafe fn DefaultHandler(interrupt: i16) {
    match interrupt {
        uart::LINE_INTERRUPT => LINE.on_interrupt(),
        uart::THERMOMETER_INTERRUPT => THERMOMETER.on_interrupt(),
        _ => exit(false),
    }
}
