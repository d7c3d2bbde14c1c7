//! Counts cycles, where there is something that does.

/// The cycle counter of the core.
#[cfg(feature = "dwt")]
mod source {
    use cortex_m::peripheral::{DCB, DWT, Peripherals};

    pub(super) fn start() {
        if let Some(Peripherals { mut DCB, mut DWT, .. }) = Peripherals::take() {
            enable(&mut DCB, &mut DWT);
        }
    }

    fn enable(dcb: &mut DCB, dwt: &mut DWT) {
        dcb.enable_trace();
        DWT::unlock();
        dwt.enable_cycle_counter();
    }

    pub(super) fn now() -> Option<u32> {
        Some(DWT::cycle_count())
    }

    pub(super) const BITS: u32 = 32;
}

/// The timer of the core, which counts down.
#[cfg(feature = "rp2040")]
mod source {
    use cortex_m::peripheral::{Peripherals, SYST, syst::SystClkSource};

    pub(super) fn start() {
        if let Some(Peripherals { mut SYST, .. }) = Peripherals::take() {
            SYST.set_clock_source(SystClkSource::Core);
            SYST.set_reload(0x00FF_FFFF);
            SYST.clear_current();
            SYST.enable_counter();
        }
    }

    pub(super) fn now() -> Option<u32> {
        Some(SYST::get_current().wrapping_neg())
    }

    pub(super) const BITS: u32 = 24;
}

/// A timer of the nRF51, which has no timer in its core. It runs at 16 MHz, as the core does.
#[cfg(feature = "microbit-v1")]
#[allow(unsafe_code, reason = "registers")]
mod source {
    const TIMER0: usize = 0x4000_8000;
    const START: usize = TIMER0;
    const CAPTURE: usize = TIMER0 + 0x040;
    const BITMODE: usize = TIMER0 + 0x508;
    const PRESCALER: usize = TIMER0 + 0x510;
    const CAPTURED: usize = TIMER0 + 0x540;

    fn write(register: usize, value: u32) {
        // SAFETY: a register of the timer, which nothing else uses.
        unsafe { (register as *mut u32).write_volatile(value) }
    }

    pub(super) fn start() {
        const OF_32_BITS: u32 = 3;
        write(BITMODE, OF_32_BITS);
        write(PRESCALER, 0);
        write(START, 1);
    }

    pub(super) fn now() -> Option<u32> {
        write(CAPTURE, 1);
        // SAFETY: as above.
        Some(unsafe { (CAPTURED as *const u32).read_volatile() })
    }

    pub(super) const BITS: u32 = 32;
}

/// The cycle counter of a RISC-V core.
#[cfg(feature = "riscv-board")]
#[allow(unsafe_code, reason = "registers")]
mod source {
    use riscv::register::{mcountinhibit, mcycle};

    pub(super) fn start() {
        // Hazard3 starts with its counters inhibited.
        // SAFETY: nothing else uses the counters.
        unsafe { mcountinhibit::clear_cy() };
    }

    pub(super) fn now() -> Option<u32> {
        Some(mcycle::read() as u32)
    }

    pub(super) const BITS: u32 = 32;
}

/// QEMU models no cycles; its plugin counts instructions.
#[cfg(not(any(feature = "dwt", feature = "rp2040", feature = "microbit-v1", feature = "riscv-board")))]
mod source {
    pub(super) fn start() {}

    pub(super) fn now() -> Option<u32> {
        None
    }

    pub(super) const BITS: u32 = 32;
}

/// A running counter.
pub(crate) struct Counter {
    /// What reading it twice costs.
    overhead: u32,
}

impl Counter {
    /// Starts it.
    ///
    /// # Panics
    /// If it stands still.
    pub(crate) fn start() -> Self {
        source::start();
        let before = source::now();
        for turn in 0..100 {
            core::hint::black_box(turn);
        }
        assert!(before.is_none() || before != source::now(), "the cycle counter stands still");
        let mut counter = Self { overhead: 0 };
        // The second time what reads it is in the caches, if there are any.
        counter.cycles(|| {});
        counter.overhead = counter.cycles(|| {}).unwrap_or(0);
        counter
    }

    /// Whether there is something that counts.
    pub(crate) fn counts(&self) -> bool {
        source::now().is_some()
    }

    /// The cycles that `f` takes, if they can be counted.
    #[inline(never)]
    pub(crate) fn cycles(&self, f: impl FnOnce()) -> Option<u32> {
        let before = source::now();
        f();
        let cycles = source::now()?.wrapping_sub(before?) & (u32::MAX >> (32 - source::BITS));
        Some(cycles.saturating_sub(self.overhead))
    }
}
