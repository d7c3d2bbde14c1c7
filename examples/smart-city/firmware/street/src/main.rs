//! The street: a lamp, a crossing and a sensor of traffic.
//!
//! The functions in [`functions`] are what instructions start, by the secure world. The loop here measures, has readings sealed, and
//! keeps each of them, and evidence, until the receipt.
#![no_std]
#![no_main]

mod functions;
mod readings;

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use cortex_m::Peripherals;
use cortex_m_rt::{entry, exception};
use smart_city_interface::{Event, FRAME_LEN, Refusal};
use smart_city_street::{
    board,
    line::Receiver,
    sent::{Receipt, Said, Sent},
};

use crate::readings::Readings;

/// Tenths of a second since the start.
static TIME: AtomicU32 = AtomicU32::new(0);

/// A frame has evidence of 16 bytes and 14 more.
const EVIDENCE_LEN: usize = 30;

#[entry]
fn main() -> ! {
    board::set_up_uart();
    if let Some(mut peripherals) = Peripherals::take() {
        board::start_timer(&mut peripherals.SYST, board::TENTH);
    }
    let (mut receiver, mut kept) = (Receiver::new(), Kept::new());
    kept.send_start_evidence(TIME.load(Relaxed));
    let mut measured_at = 0;
    loop {
        let now = TIME.load(Relaxed);
        while let Some(frame) = receiver.poll() {
            kept.obey(frame, now);
        }
        if now.wrapping_sub(measured_at) >= functions::interval() {
            measured_at = now;
            kept.readings.keep(functions::measure());
        }
        kept.send_next(now);
        // Also when there is nothing to say and nothing comes: a service tells the watchdog that the application is alive.
        let _ = smart_city_interface::epoch();
        board::wait();
    }
}

/// What has no receipt.
struct Kept {
    readings: Readings,
    /// That of the last instruction, as the gateway waits for no other. The secure world makes it once.
    evidence: Option<Sent<EVIDENCE_LEN>>,
    /// What the secure world has found at the start: it makes that once in an epoch, so no other evidence takes its place.
    start_evidence: Option<Sent<EVIDENCE_LEN>>,
}

impl Kept {
    const fn new() -> Self {
        Self { readings: Readings::new(), evidence: None, start_evidence: None }
    }

    /// Passes a frame from the gateway to the secure world, and sends what that answers.
    fn obey(&mut self, frame: &[u8], now: u32) {
        let mut buffer = [0; FRAME_LEN];
        // What is refused was not from the gateway, or came before.
        let Ok((event, answer)) = smart_city_interface::receive(frame, &mut buffer) else { return };
        match event {
            Event::Receipt => {
                if let Some(receipt) = Receipt::parse(answer) {
                    self.receipt(&receipt);
                }
            }
            Event::Ran | Event::Refused | Event::NotAltered | Event::Examined => {
                self.evidence = Sent::send(0, answer, now);
            }
            Event::Restored => {
                // They were made beside altered code.
                self.readings.discard();
                self.evidence = Sent::send(0, answer, now);
            }
            Event::NewEpoch => self.begin_epoch(now),
        }
    }

    fn receipt(&mut self, receipt: &Receipt) {
        self.readings.receipt(receipt);
        // What gets no receipt any more the gateway does not open either.
        for evidence in [&mut self.evidence, &mut self.start_evidence] {
            *evidence = evidence.filter(|sent| matches!(receipt.of(sent), Said::Nothing));
        }
    }

    /// Sends what is due: one frame at most.
    fn send_next(&mut self, now: u32) {
        for evidence in [&mut self.evidence, &mut self.start_evidence].into_iter().flatten() {
            if evidence.send_again(now) {
                return;
            }
        }
        if self.readings.send_next(now) == Err(Refusal::NewEpoch) {
            self.begin_epoch(now);
        }
    }

    /// Frames of the epoch before are refused by the gateway, and evidence is not sealed again, but for that of the start.
    fn begin_epoch(&mut self, now: u32) {
        self.readings.seal_again();
        (self.evidence, self.start_evidence) = (None, None);
        self.send_start_evidence(now);
    }

    /// Sends what the secure world has found at the start, if it has found anything.
    fn send_start_evidence(&mut self, now: u32) {
        let mut buffer = [0; FRAME_LEN];
        if let Ok(frame @ [_, ..]) = smart_city_interface::start_evidence(&mut buffer) {
            self.start_evidence = Sent::send(0, frame, now);
        }
    }
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
