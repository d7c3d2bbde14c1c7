//! The sensor node on a Raspberry Pi Pico.
//!
//! | what | where |
//! |---|---|
//! | line to the station | UART0 at 115,200 baud on GP0 (out) and GP1 (in) |
//! | thermometer | that of the chip, every ten seconds |
//! | flash | the last four pages of 2 MiB |
//! | output | the LED on GP25, lit by a high level |
//! | log | RTT |
//! | watchdog | eight seconds; it stands still as long as a debugger halts the core |
#![no_std]
#![no_main]

use defmt_rtt as _;
use panic_probe as _;

use embassy_embedded_hal::adapter::BlockingAsync;
use embassy_executor::Spawner;
use embassy_rp::{
    adc::{self, Adc, Channel},
    bind_interrupts,
    flash::{Blocking, ERASE_SIZE, Flash},
    gpio::{Level, Output},
    peripherals::{FLASH, UART0},
    uart::{self, BufferedInterruptHandler, BufferedUart},
    watchdog::Watchdog,
};
use embassy_time::{Duration, Ticker};
use sensor_node::{Board, NodeError, PAGES, thermometer};

/// The time between two readings, in seconds.
const PERIOD: u32 = 10;

/// The watchdog resets the chip when it has not been fed for so long: if the node hangs, and if it has panicked.
const WATCHDOG: Duration = Duration::from_secs(8);

/// The board's flash.
const FLASH_SIZE: usize = 2 << 20;

/// Where the node's pages begin. The linker keeps the program off them.
const START: u32 = FLASH_SIZE as u32 - PAGES * ERASE_SIZE as u32;

bind_interrupts!(struct Interrupts {
    ADC_IRQ_FIFO => adc::InterruptHandler;
    UART0_IRQ => BufferedInterruptHandler<UART0>;
});

#[embassy_executor::main]
async fn main(_spawner: Spawner) {
    let p = embassy_rp::init(Default::default());
    let mut watchdog = Watchdog::new(p.WATCHDOG);
    watchdog.pause_on_debug(true);
    watchdog.start(WATCHDOG);
    let (mut received, mut sent) = ([0; 256], [0; 256]);
    let line = BufferedUart::new(
        p.UART0,
        p.PIN_0,
        p.PIN_1,
        Interrupts,
        &mut sent,
        &mut received,
        uart::Config::default(),
    );
    let (send, receive) = line.split();
    let mut flash = BlockingAsync::new(Flash::<'_, FLASH, Blocking, FLASH_SIZE>::new_blocking(p.FLASH));
    let mut board = Pico {
        adc: Adc::new(p.ADC, Interrupts, adc::Config::default()),
        thermometer: Channel::new_temp_sensor(p.ADC_TEMP_SENSOR),
        second: Ticker::every(Duration::from_secs(1)),
        seconds: 0,
        watchdog,
        led: Output::new(p.PIN_25, Level::Low),
    };
    if let Err(error) = sensor_node::run(&mut flash, START, receive, send, &mut board).await {
        defmt::panic!("{}", error);
    }
}

struct Pico {
    adc: Adc<'static, adc::Async>,
    thermometer: Channel<'static>,
    second: Ticker,
    /// Since the last reading.
    seconds: u32,
    watchdog: Watchdog,
    led: Output<'static>,
}

impl Board for Pico {
    async fn due(&mut self) {
        while self.seconds < PERIOD {
            self.second.next().await;
            self.watchdog.feed(WATCHDOG);
            self.seconds += 1;
        }
        self.seconds = 0;
    }

    async fn measure(&mut self) -> Option<i16> {
        thermometer::of_rp2040(self.adc.read(&mut self.thermometer).await.ok()?)
    }

    fn set_output(&mut self, is_on: bool) {
        self.led.set_level(if is_on { Level::High } else { Level::Low });
    }

    fn stopped(&mut self) {
        defmt::info!("stopped");
    }

    fn refused(&mut self, error: NodeError) {
        defmt::warn!("{}", error);
    }
}
