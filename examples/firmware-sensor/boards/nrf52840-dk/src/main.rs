//! The sensor node on Nordic's nRF52840-DK.
//!
//! | what | where |
//! |---|---|
//! | line to the station | UART at 115,200 baud on P0.06 (out) and P0.08 (in): the debugger's USB serial port |
//! | thermometer | that of the chip, every ten seconds |
//! | flash | the last four pages |
//! | output | LED1 (P0.13), lit by a low level |
//! | log | RTT |
//! | watchdog | eight seconds; it stands still as long as a debugger halts the core |
#![no_std]
#![no_main]

use defmt_rtt as _;
use panic_probe as _;

use embassy_embedded_hal::adapter::BlockingAsync;
use embassy_executor::Spawner;
use embassy_nrf::{
    bind_interrupts,
    buffered_uarte::{self, BufferedUarte},
    gpio::{Level, Output, OutputDrive},
    nvmc::{FLASH_SIZE, Nvmc, PAGE_SIZE},
    peripherals, temp,
    temp::Temp,
    uarte,
    wdt::{self, HaltConfig, Watchdog, WatchdogHandle},
};
use embassy_time::{Duration, Ticker};
use sensor_node::{Board, NodeError, PAGES};

/// The time between two readings, in seconds.
const PERIOD: u32 = 10;

/// The watchdog resets the chip when it has not been fed for so long: if the node hangs, and if it has panicked.
const WATCHDOG_TICKS: u32 = 8 * 32_768;

/// Where the node's pages begin. The linker keeps the program off them.
const START: u32 = FLASH_SIZE as u32 - PAGES * PAGE_SIZE as u32;

bind_interrupts!(struct Interrupts {
    TEMP => temp::InterruptHandler;
    UARTE0 => buffered_uarte::InterruptHandler<peripherals::UARTE0>;
});

#[embassy_executor::main]
async fn main(_spawner: Spawner) {
    let p = embassy_nrf::init(Default::default());
    let mut config = wdt::Config::default();
    config.timeout_ticks = WATCHDOG_TICKS;
    config.action_during_debug_halt = HaltConfig::Pause;
    let Ok((_, [watchdog])) = Watchdog::try_new(p.WDT, config) else {
        // It resets the chip, as nobody feeds it.
        defmt::panic!("another watchdog runs");
    };
    let (mut received, mut sent) = ([0; 256], [0; 256]);
    let mut config = uarte::Config::default();
    config.baudrate = uarte::Baudrate::Baud115200;
    let mut line = BufferedUarte::new(
        p.UARTE0,
        p.TIMER0,
        p.PPI_CH0,
        p.PPI_CH1,
        p.PPI_GROUP0,
        p.P0_08,
        p.P0_06,
        Interrupts,
        config,
        &mut received,
        &mut sent,
    );
    let (receive, send) = line.split_by_ref();
    let mut flash = BlockingAsync::new(Nvmc::new(p.NVMC));
    let mut board = Dk {
        thermometer: Temp::new(p.TEMP, Interrupts),
        second: Ticker::every(Duration::from_secs(1)),
        seconds: 0,
        watchdog,
        led: Output::new(p.P0_13, Level::High, OutputDrive::Standard),
    };
    if let Err(error) = sensor_node::run(&mut flash, START, receive, send, &mut board).await {
        defmt::panic!("{}", error);
    }
}

struct Dk {
    thermometer: Temp<'static>,
    second: Ticker,
    /// Since the last reading.
    seconds: u32,
    watchdog: WatchdogHandle,
    led: Output<'static>,
}

impl Board for Dk {
    async fn due(&mut self) {
        while self.seconds < PERIOD {
            self.second.next().await;
            self.watchdog.pet();
            self.seconds += 1;
        }
        self.seconds = 0;
    }

    async fn measure(&mut self) -> Option<i16> {
        // In quarters of a degree.
        let quarters = self.thermometer.read().await.to_bits();
        i16::try_from(quarters * 25).ok()
    }

    fn set_output(&mut self, is_on: bool) {
        self.led.set_level(if is_on { Level::Low } else { Level::High });
    }

    fn stopped(&mut self) {
        defmt::info!("stopped");
    }

    fn refused(&mut self, error: NodeError) {
        defmt::warn!("{}", error);
    }
}
