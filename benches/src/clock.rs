//! A clock of core cycles.
//!
//! The time-stamp counter of x86 ticks at a constant rate, the core at another that changes with load and temperature.
//! So a chain of multiplications, each of which needs the result of the one before, is timed right before and right
//! after what is measured: it takes three cycles for each, whatever the rate. What lies between two chains that differ by
//! more than a hundredth is discarded, for the rate changed or something interrupted. The faster of the two tells how many cycles
//! a tick had: so a result is not made too small.
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

    /// Times in core cycles.
    #[derive(Clone, Copy, Debug, Default)]
    pub struct Clock;

    impl Clock {
        /// What [`Clock::time`] returns.
        pub const UNIT: &str = "cycles";

        /// The cycles that `operation` takes; `None` if the core's rate was not the same before and after.
        #[must_use]
        #[allow(clippy::cast_precision_loss, reason = "far below 2^53 ticks")]
        pub fn time(self, operation: impl FnOnce()) -> Option<f64> {
            let before = chain();
            let start = now();
            operation();
            let elapsed = now() - start;
            let after = chain();
            let (faster, slower) = (before.min(after), before.max(after));
            let cycles_per_tick = f64::from(MULTIPLICATIONS * LATENCY) / faster as f64;
            (slower * 100 <= faster * 101).then_some(elapsed as f64 * cycles_per_tick)
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
    #[derive(Clone, Copy, Debug, Default)]
    pub struct Clock;

    impl Clock {
        /// What [`Clock::time`] returns.
        pub const UNIT: &str = "nanoseconds";

        /// The nanoseconds that `operation` takes.
        #[must_use]
        #[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
        pub fn time(self, operation: impl FnOnce()) -> Option<f64> {
            let start = Instant::now();
            operation();
            Some(start.elapsed().as_nanos() as f64)
        }
    }
}
