//! How much a device sends, and when a frame is taken for lost: as TCP does it (RFC 5681, RFC 6298), with frames for segments and
//! receipts for acknowledgements.

use std::time::Duration;

use crate::sensors::Random;

/// The frames that may be on their way at first.
const FIRST_WINDOW: u32 = 4;

/// As many as a receipt speaks of.
pub(crate) const MAX_WINDOW: u32 = 64;

/// Until a receipt is missed, as long as nobody knows how long one takes; and the shortest such time.
const FIRST_TIMEOUT: Duration = Duration::from_secs(1);

/// The longest one, before jitter.
const MAX_TIMEOUT: Duration = Duration::from_secs(30);

/// The state of a link's load.
#[derive(Debug)]
pub(crate) struct Pace {
    /// The frames that may be on their way.
    window: u32,
    /// Below it the window grows by one for each receipt, from it on by one for each whole window.
    threshold: u32,
    /// The receipts since it grew by one.
    since_grown: u32,
    /// The time until a receipt comes, and its variation.
    round_trip: Option<(Duration, Duration)>,
    timeout: Duration,
    random: Random,
}

impl Pace {
    /// Nothing is known of the link. Devices with different seeds send again at different times.
    pub(crate) const fn new(seed: u64) -> Self {
        Self {
            window: FIRST_WINDOW,
            threshold: MAX_WINDOW,
            since_grown: 0,
            round_trip: None,
            timeout: FIRST_TIMEOUT,
            random: Random::new(seed),
        }
    }

    /// The frames that may be on their way.
    pub(crate) const fn window(&self) -> u32 {
        self.window
    }

    /// How long to wait for the next receipt: up to half as long again for jitter.
    pub(crate) fn timeout(&mut self) -> Duration {
        self.timeout.mul_f64(1.0 + self.random.unit() / 2.0)
    }

    /// So many frames have receipts. `sample` is how long that took, of one that was sent once only.
    pub(crate) fn received(&mut self, frames: u32, sample: Option<Duration>) {
        for _ in 0..frames {
            self.since_grown += 1;
            if self.window < self.threshold || self.since_grown >= self.window {
                self.window = (self.window + 1).min(MAX_WINDOW);
                self.since_grown = 0;
            }
        }
        let Some(sample) = sample else {
            // Of what was sent twice nobody knows which one was answered (Karn's algorithm). But the link is there.
            self.timeout = (self.timeout / 2).max(self.usual_timeout());
            return;
        };
        let (smoothed, variation) = match self.round_trip {
            None => (sample, sample / 2),
            Some((smoothed, variation)) => {
                ((smoothed * 7 + sample) / 8, (variation * 3 + smoothed.abs_diff(sample)) / 4)
            }
        };
        self.round_trip = Some((smoothed, variation));
        self.timeout = self.usual_timeout();
    }

    fn usual_timeout(&self) -> Duration {
        let time = self.round_trip.map(|(smoothed, variation)| smoothed + 4 * variation);
        time.unwrap_or(FIRST_TIMEOUT).clamp(FIRST_TIMEOUT, MAX_TIMEOUT)
    }

    /// A frame was lost, but later ones arrive.
    pub(crate) fn lost(&mut self) {
        self.threshold = (self.window / 2).max(2);
        self.window = self.threshold;
    }

    /// No receipt came in time.
    pub(crate) fn timed_out(&mut self) {
        self.lost();
        self.window = 1;
        self.timeout = (2 * self.timeout).min(MAX_TIMEOUT);
    }

    /// The connection is a new one.
    pub(crate) fn reconnected(&mut self) {
        (self.window, self.threshold, self.timeout) = (FIRST_WINDOW, MAX_WINDOW, FIRST_TIMEOUT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_grow_and_shrink() {
        let mut pace = Pace::new(1);
        assert_eq!(pace.window(), 4);
        pace.received(10, None);
        assert_eq!(pace.window(), 14, "by one for each receipt");
        pace.received(100, None);
        assert_eq!(pace.window(), 64, "never more than a receipt speaks of");
        pace.lost();
        assert_eq!(pace.window(), 32);
        pace.received(32, None);
        assert_eq!(pace.window(), 33, "by one for a whole window");
        pace.timed_out();
        assert_eq!(pace.window(), 1);
        pace.received(15, None);
        assert_eq!(pace.window(), 16);
        pace.received(15, None);
        assert_eq!(pace.window(), 16);
        pace.received(1, None);
        assert_eq!(pace.window(), 17);
        for _ in 0..9 {
            pace.lost();
        }
        assert_eq!(pace.window(), 2);
        pace.reconnected();
        assert_eq!(pace.window(), 4);
    }

    #[test]
    fn timeouts_follow_the_link_and_back_off() {
        let seconds = |pace: &mut Pace| pace.timeout().as_secs_f64();
        let mut pace = Pace::new(1);
        let mut last = 0.0;
        for expected in [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0] {
            let timeout = seconds(&mut pace);
            assert!(
                (expected..1.5 * expected).contains(&timeout) && timeout != last,
                "{expected}: {timeout}"
            );
            last = timeout;
            pace.timed_out();
        }
        // A receipt of a frame that was sent twice says nothing about the time, but that the link is there.
        for expected in [15.0, 7.5, 3.75, 1.875, 1.0, 1.0] {
            pace.received(1, None);
            let timeout = seconds(&mut pace);
            assert!((expected..1.5 * expected).contains(&timeout), "{expected}: {timeout}");
        }
        for _ in 0..50 {
            pace.received(1, Some(Duration::from_secs(5)));
        }
        assert!((5.0..7.6).contains(&seconds(&mut pace)));
        for _ in 0..50 {
            pace.received(1, Some(Duration::from_millis(5)));
        }
        assert!((1.0..1.5).contains(&seconds(&mut pace)), "never less than a second");
        assert_ne!(Pace::new(1).timeout(), Pace::new(2).timeout(), "devices do not send at the same time");
    }
}
