//! The sensor node on Nordic's nRF52840-DK.
//!
//! | what | where |
//! |---|---|
//! | line to the station | UART at 115,200 baud on P0.06 (out) and P0.08 (in): the debugger's USB serial port |
//! | thermometer | that of the chip, every ten seconds |
//! | flash | the last four pages |
//! | output | LED1 (P0.13), lit by a low level |
//! | log | RTT |
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
};
use embassy_time::{Duration, Ticker};
use sensor_node::{Board, NodeError, PAGES};

/// The time between two readings.
const PERIOD: Duration = Duration::from_secs(10);

/// Where the node's pages begin. The linker keeps the program off them.
const START: u32 = FLASH_SIZE as u32 - PAGES * PAGE_SIZE as u32;

bind_interrupts!(struct Interrupts {
    TEMP => temp::InterruptHandler;
    UARTE0 => buffered_uarte::InterruptHandler<peripherals::UARTE0>;
});

#[embassy_executor::main]
async fn main(_spawner: Spawner) {
    let p = embassy_nrf::init(Default::default());
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
        due: Ticker::every(PERIOD),
        led: Output::new(p.P0_13, Level::High, OutputDrive::Standard),
    };
    if let Err(error) = sensor_node::run(&mut flash, START, receive, send, &mut board).await {
        defmt::panic!("{}", error);
    }
}

struct Dk {
    thermometer: Temp<'static>,
    due: Ticker,
    led: Output<'static>,
}

impl Board for Dk {
    async fn reading(&mut self) -> i16 {
        self.due.next().await;
        // In quarters of a degree.
        let quarters = self.thermometer.read().await.to_bits();
        i16::try_from(quarters * 25).unwrap_or(i16::MAX)
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
