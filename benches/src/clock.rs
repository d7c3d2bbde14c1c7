//! A clock of core cycles.
//!
//! The time-stamp counter of x86 ticks at a constant rate, the core at another that changes with load and temperature.
//! So a chain of multiplications, each of which needs the result of the one before, is timed right before and right
//! after what is measured: it takes three cycles for each, whatever the rate. What lies between two chains that were not
//! both as fast as the fastest ever seen is discarded. The rest ran at the core's highest rate, and the fastest chain
//! tells how many ticks a cycle has then. A moment of that rate cannot make a result too small.
//!
//! Elsewhere, the clock is that of the operating system and counts nanoseconds.

#[cfg(target_arch = "x86_64")]
pub use x86::{Clock, fence};

#[cfg(not(target_arch = "x86_64"))]
pub use portable::{Clock, fence};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use core::arch::x86_64::{_mm_lfence, _rdtsc};
    use std::hint::black_box;

    /// The length of the chain: some 20 000 ticks, so that a counter that advances in steps of some tens of ticks is
    /// exact to about a thousandth.
    const MULTIPLICATIONS: u32 = 9_600;

    /// Of a 64-bit `imul` on every core from Nehalem and Zen on.
    const LATENCY: u32 = 3;

    /// Waits until all instructions before it have finished, before any after it starts.
    #[inline(always)]
    #[allow(unsafe_code, reason = "an instruction")]
    pub fn fence() {
        // SAFETY: SSE2 is part of x86-64.
        unsafe { _mm_lfence() }
    }

    /// The time-stamp counter, read when all before has finished and before any after starts.
    #[inline(always)]
    #[allow(unsafe_code, reason = "an instruction")]
    fn now() -> u64 {
        fence();
        // SAFETY: every x86-64 CPU has the counter; an operating system that denies it to programs ends this one.
        let ticks = unsafe { _rdtsc() };
        fence();
        ticks
    }

    /// Ticks of the chain.
    fn chain() -> u64 {
        const UNROLLED: u32 = 32;
        let start = now();
        let mut x = black_box(3_u64);
        for _ in 0..MULTIPLICATIONS / UNROLLED {
            for _ in 0..UNROLLED {
                x = x.wrapping_mul(x);
            }
        }
        black_box(x);
        now() - start
    }

    /// Times in ticks, and what they are in cycles.
    #[derive(Debug)]
    pub struct Clock {
        /// Ticks of the chain at the highest rate of the core so far.
        fastest: u64,
    }

    impl Clock {
        /// What [`Clock::units`] returns.
        pub const UNIT: &str = "cycles";

        /// A clock that knows the core's rate of now.
        #[must_use]
        pub fn new() -> Self {
            Self { fastest: (0..1000).map(|_| chain()).min().unwrap_or(u64::MAX) }
        }

        /// The ticks that `operation` takes; `None` if the core was not at its highest rate.
        pub fn time(&mut self, operation: impl FnOnce()) -> Option<u64> {
            let before = chain();
            let start = now();
            operation();
            let elapsed = now() - start;
            let after = chain();
            self.fastest = self.fastest.min(before).min(after);
            (before.max(after) * 100 <= self.fastest * 101).then_some(elapsed)
        }

        /// The cycles that so many ticks are.
        #[must_use]
        #[allow(clippy::cast_precision_loss, reason = "far below 2^53 ticks")]
        pub fn units(&self, ticks: f64) -> f64 {
            ticks * f64::from(MULTIPLICATIONS * LATENCY) / self.fastest as f64
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod portable {
    use std::time::Instant;

    /// Nothing here: successive operations may overlap.
    #[inline(always)]
    pub fn fence() {}

    /// Times in nanoseconds.
    #[derive(Debug)]
    pub struct Clock;

    impl Clock {
        /// What [`Clock::units`] returns.
        pub const UNIT: &str = "nanoseconds";

        /// A clock.
        #[must_use]
        pub fn new() -> Self {
            Self
        }

        /// The nanoseconds that `operation` takes.
        pub fn time(&mut self, operation: impl FnOnce()) -> Option<u64> {
            let start = Instant::now();
            operation();
            u64::try_from(start.elapsed().as_nanos()).ok()
        }

        /// The same.
        #[must_use]
        pub fn units(&self, nanoseconds: f64) -> f64 {
            nanoseconds
        }
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}
