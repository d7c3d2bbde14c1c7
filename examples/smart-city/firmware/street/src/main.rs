//! The street: a lamp, a crossing and a sensor of traffic.
//!
//! The functions in [`functions`] are what instructions start, by the secure world. The loop here measures, has readings sealed, and
//! keeps each until its receipt.
#![no_std]
#![no_main]

mod functions;
mod readings;

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use cortex_m::Peripherals;
use cortex_m_rt::{entry, exception};
use smart_city_interface::{Event, FRAME_LEN};
use smart_city_street::{
    board,
    line::{self, Receiver},
};

use crate::readings::Readings;

/// Tenths of a second since the start.
static TIME: AtomicU32 = AtomicU32::new(0);

#[entry]
fn main() -> ! {
    board::set_up_uart();
    if let Some(mut peripherals) = Peripherals::take() {
        board::start_timer(&mut peripherals.SYST, board::TENTH);
    }
    let (mut receiver, mut readings) = (Receiver::new(), Readings::new());
    let mut measured_at = 0;
    loop {
        while let Some(frame) = receiver.poll() {
            obey(frame, &mut readings);
        }
        let now = TIME.load(Relaxed);
        if now.wrapping_sub(measured_at) >= functions::interval() {
            measured_at = now;
            readings.keep(functions::measure());
        }
        readings.send_next(now);
        board::wait();
    }
}

/// Passes a frame from the gateway to the secure world, and sends what that answers.
fn obey(frame: &[u8], readings: &mut Readings) {
    let mut buffer = [0; FRAME_LEN];
    // What is refused was not from the gateway, or came before.
    let Ok((event, answer)) = smart_city_interface::receive(frame, &mut buffer) else { return };
    match event {
        Event::Receipt => readings.receipt(answer),
        Event::Ran | Event::Refused | Event::NotAltered => send_evidence(answer),
        Event::Restored => {
            // They were made beside altered code.
            readings.discard();
            send_evidence(answer);
        }
        Event::NewEpoch => readings.seal_again(),
    }
}

/// Evidence goes under the number 0, which is no stream's.
fn send_evidence(frame: &[u8]) {
    line::send(&[&[0, 0], frame]);
}

#[exception]
fn SysTick() {
    TIME.store(TIME.load(Relaxed).wrapping_add(1), Relaxed);
    functions::count_vehicles();
}

#[exception]
unsafe fn DefaultHandler(_: i16) {
    board::receive();
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // A fault: the secure world starts the device anew.
    cortex_m::asm::udf()
}
