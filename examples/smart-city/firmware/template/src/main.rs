//! A template of an application: one function that instructions start, a reading a second, and what every application does for the secure
//! world. `template-c` does the same in C.
//!
//! What it measures and does is to be replaced; what it does with frames is to stay. It keeps one reading until its receipt, and measures no
//! other meanwhile.
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU8, AtomicU32, Ordering::Relaxed};

use cortex_m::Peripherals;
use cortex_m_rt::{entry, exception};
use smart_city_interface::{Event, FRAME_LEN, Refusal};
use smart_city_street::{
    board,
    line::Receiver,
    sent::{Receipt, Said, Sent},
};

/// The stream of the readings, as the device's provisioning has it.
const STREAM: u16 = 1;

/// Tenths of a second between two readings.
const INTERVAL: u32 = 10;

/// A reading: its number (4 bytes, big-endian), the level (1).
type Reading = [u8; 5];

/// A frame is 14 bytes longer than what it says; evidence has 16.
const READING_LEN: usize = 5 + 14;
const EVIDENCE_LEN: usize = 16 + 14;

/// Tenths of a second since the start.
static TIME: AtomicU32 = AtomicU32::new(0);

/// What the function sets.
static LEVEL: AtomicU8 = AtomicU8::new(0);

/// Keeps the functions that instructions start in the image, as nothing here calls them.
#[used]
static FUNCTIONS: [unsafe extern "C" fn(*const u8, u32) -> u32; 1] = [set_level];

/// Sets the level: a byte. Only this function is measured before it runs, so that it calls nothing that is not inlined.
///
/// # Safety
/// `argument` is `len` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn set_level(argument: *const u8, len: u32) -> u32 {
    if len != 1 {
        return 1;
    }
    // SAFETY: it is a byte.
    let level = unsafe { argument.read() };
    LEVEL.store(level, Relaxed);
    board::switch(0, level > 0);
    0
}

#[entry]
fn main() -> ! {
    board::set_up_uart();
    if let Some(mut peripherals) = Peripherals::take() {
        board::start_timer(&mut peripherals.SYST, board::TENTH);
    }
    let mut receiver = Receiver::new();
    let mut kept =
        Kept { count: 0, measured_at: 0, reading: None, sent: None, evidence: None, start_evidence: None };
    kept.begin_epoch(0);
    loop {
        let now = TIME.load(Relaxed);
        while let Some(frame) = receiver.poll() {
            kept.obey(frame, now);
        }
        if now.wrapping_sub(kept.measured_at) >= INTERVAL && kept.reading.is_none() {
            kept.measure(now);
        }
        kept.send(now);
        // Also when there is nothing to say and nothing comes: a service tells the watchdog that the application is alive.
        let _ = smart_city_interface::epoch();
        board::wait();
    }
}

/// What has no receipt.
struct Kept {
    count: u32,
    measured_at: u32,
    reading: Option<Reading>,
    /// The frame of the reading, in this epoch.
    sent: Option<Sent<READING_LEN>>,
    /// That of the last instruction.
    evidence: Option<Sent<EVIDENCE_LEN>>,
    /// What the secure world has found at the start: it makes that once in an epoch, so no other evidence takes its place.
    start_evidence: Option<Sent<EVIDENCE_LEN>>,
}

impl Kept {
    fn measure(&mut self, now: u32) {
        let [a, b, c, d] = self.count.to_be_bytes();
        self.reading = Some([a, b, c, d, LEVEL.load(Relaxed)]);
        self.count = self.count.wrapping_add(1);
        self.measured_at = now;
    }

    /// Passes a frame from the gateway to the secure world, and sends what that answers.
    fn obey(&mut self, frame: &[u8], now: u32) {
        let mut buffer = [0; FRAME_LEN];
        let Ok((event, answer)) = smart_city_interface::receive(frame, &mut buffer) else { return };
        match event {
            Event::Receipt => {
                if let Some(receipt) = Receipt::parse(answer) {
                    self.receipt(&receipt);
                }
            }
            Event::NewEpoch => self.begin_epoch(now),
            Event::Restored => {
                // It was made beside altered code.
                (self.reading, self.sent) = (None, None);
                self.evidence = Sent::send(0, answer, now);
            }
            _ => self.evidence = Sent::send(0, answer, now),
        }
    }

    fn receipt(&mut self, receipt: &Receipt) {
        match self.sent.as_ref().map(|sent| receipt.of(sent)) {
            Some(Said::Stored) => (self.reading, self.sent) = (None, None),
            // It is sealed again.
            Some(Said::TooFarBehind) => self.sent = None,
            Some(Said::Nothing) | None => {}
        }
        // Evidence cannot be sealed again.
        for evidence in [&mut self.evidence, &mut self.start_evidence] {
            *evidence = evidence.filter(|sent| matches!(receipt.of(sent), Said::Nothing));
        }
    }

    /// What has no receipt is sealed again. What the secure world has found at the start is to be sent in each epoch.
    fn begin_epoch(&mut self, now: u32) {
        (self.sent, self.evidence, self.start_evidence) = (None, None, None);
        let mut buffer = [0; FRAME_LEN];
        if let Ok(frame @ [_, ..]) = smart_city_interface::start_evidence(&mut buffer) {
            self.start_evidence = Sent::send(0, frame, now);
        }
    }

    /// Sends what is new, and again what has no receipt.
    fn send(&mut self, now: u32) {
        for evidence in [&mut self.evidence, &mut self.start_evidence].into_iter().flatten() {
            evidence.send_again(now);
        }
        let Some(reading) = self.reading else { return };
        if let Some(sent) = &mut self.sent {
            sent.send_again(now);
            return;
        }
        let mut buffer = [0; FRAME_LEN];
        match smart_city_interface::seal_reading(STREAM, &reading, &mut buffer) {
            Ok(frame) => self.sent = Sent::send(STREAM, frame, now),
            Err(Refusal::NewEpoch) => self.begin_epoch(now),
            // There is no epoch, for now.
            Err(_) => {}
        }
    }
}

#[exception]
fn SysTick() {
    TIME.store(TIME.load(Relaxed).wrapping_add(1), Relaxed);
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
