//! How often a device does what uses something up.
//!
//! Times are tenths of a second, of a clock that never goes back.

/// An hour.
const HOUR: u32 = 36_000;

/// Epochs for which no authentic frame asks: because too many frames were rejected, or because the application wants one.
///
/// Whoever has the network, or the application, makes as many of these causes as he likes. So they have no more than [`BURST`](Self::BURST)
/// epochs at once and then one an hour, by which 65,535 last for more than seven years. It is time alone that gives them back: if frames did,
/// an attack beside the frames of an honest gateway would have as many as it needs.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    epochs: u32,
    /// From when on the next epoch is waited for.
    since: u32,
}

impl Budget {
    /// How many epochs may be opened at once.
    pub const BURST: u32 = 8;

    /// After this time there is one more.
    pub const INTERVAL: u32 = HOUR;

    /// That of a device that has had no power.
    #[must_use]
    pub const fn full(now: u32) -> Self {
        Self { epochs: Self::BURST, since: now }
    }

    /// That of a device that has started anew by itself: or restarts would give epochs.
    #[must_use]
    pub const fn empty(now: u32) -> Self {
        Self { epochs: 0, since: now }
    }

    /// Whether an epoch may be opened now. If so, it counts as opened.
    pub fn take(&mut self, now: u32) -> bool {
        let earned = now.saturating_sub(self.since) / Self::INTERVAL;
        if self.epochs.saturating_add(earned) >= Self::BURST {
            *self = Self::full(now);
        } else {
            self.epochs += earned;
            self.since += earned * Self::INTERVAL;
        }
        let may = self.epochs > 0;
        self.epochs -= u32::from(may);
        may
    }
}

/// When to try again what has failed: a second later, then after twice as long each time, an hour at most.
#[derive(Clone, Copy, Debug, Default)]
pub struct Backoff {
    /// None if the last attempt did not fail.
    next: Option<(u32, u32)>,
}

impl Backoff {
    const FIRST: u32 = 10;

    /// Notes that an attempt has failed.
    pub fn failed(&mut self, now: u32) {
        let pause = self.next.map_or(Self::FIRST, |(_, pause)| (2 * pause).min(HOUR));
        self.next = Some((now.saturating_add(pause), pause));
    }

    /// Notes that an attempt was a success.
    pub fn succeeded(&mut self) {
        self.next = None;
    }

    /// Whether an attempt has failed and it is time for the next one.
    #[must_use]
    pub fn is_due(&self, now: u32) -> bool {
        self.next.is_some_and(|(time, _)| time <= now)
    }
}

/// A clock that does not go back, from a counter of 32 bits that wraps. It stops at its greatest time, after thirteen years.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    count: u32,
    ticks: u64,
}

impl Clock {
    /// Begins with 0, when the counter is at `count`.
    #[must_use]
    pub const fn start(count: u32) -> Self {
        Self { count, ticks: 0 }
    }

    /// Tenths of a second of a counter with `hz` ticks a second, which is at `count` now, and has wrapped at least once since it was read
    /// if `has_wrapped`. Of several rounds between two reads one is counted.
    pub fn read(&mut self, count: u32, has_wrapped: bool, hz: u32) -> u32 {
        // A round, or more than one.
        let round = u64::from(has_wrapped && count >= self.count) << 32;
        self.ticks = self.ticks.saturating_add(round + u64::from(count.wrapping_sub(self.count)));
        self.count = count;
        u32::try_from(self.ticks.saturating_mul(10) / u64::from(hz.max(1))).unwrap_or(u32::MAX)
    }
}
