//! How often a device does what uses something up.

use proptest::prelude::*;
use smart_city_store::{Backoff, Budget, Clock};

const HOUR: u32 = 36_000;
const YEAR: u64 = 365 * 24 * HOUR as u64;

/// Whoever asks all the time, for eight years, gets less than all epochs of a root key.
#[test]
fn epochs_last_for_years() {
    let mut budget = Budget::full(0);
    let mut taken = 0;
    let mut now = 0;
    while u64::from(now) < 7 * YEAR {
        // More often than any time is short.
        taken += u32::from(budget.take(now));
        taken += u32::from(budget.take(now));
        now += 600;
    }
    assert_eq!(u64::from(taken), u64::from(Budget::BURST) + 7 * 365 * 24 - 1);
    assert!(taken < 65_535);
}

#[test]
fn a_few_epochs_are_given_at_once() {
    let mut budget = Budget::full(5);
    assert!((0..Budget::BURST).all(|_| budget.take(5)));
    assert!(!budget.take(5) && !budget.take(5 + HOUR - 1));
    assert!(budget.take(5 + HOUR) && !budget.take(5 + HOUR));
    // What is not used is kept, up to the same number.
    assert!((0..2).all(|_| budget.take(5 + 3 * HOUR)) && !budget.take(5 + 3 * HOUR));
    assert!((0..Budget::BURST).all(|_| budget.take(1000 * HOUR)) && !budget.take(1000 * HOUR));

    let mut budget = Budget::empty(7);
    assert!(!budget.take(7) && !budget.take(6 + HOUR) && budget.take(7 + HOUR));
}

proptest! {
    /// In whatever order it is asked, and whatever the time is: no more than there may be.
    #[test]
    fn no_asking_gets_more(pauses in prop::collection::vec(0..3 * HOUR, 1..300)) {
        let mut budget = Budget::full(0);
        let (mut now, mut taken) = (0, 0);
        for pause in pauses {
            now += pause;
            taken += u32::from(budget.take(now));
            prop_assert!(taken <= Budget::BURST + now / HOUR);
        }
        prop_assert!((0..Budget::BURST + 1).any(|i| budget.take(now + i * HOUR)), "it gives one again");
    }
}

#[test]
fn an_attempt_that_fails_is_made_again_later_and_later() {
    let mut backoff = Backoff::default();
    assert!(!backoff.is_due(u32::MAX));
    let (mut now, mut attempts) = (0, 0);
    backoff.failed(now);
    while now < 24 * HOUR {
        if backoff.is_due(now) {
            attempts += 1;
            backoff.failed(now);
        }
        now += 1;
    }
    // 1, 2, 4, ... 2048 s, then each hour.
    assert_eq!(attempts, 12 + (24 * HOUR - 10 * 4095) / HOUR);
    backoff.succeeded();
    assert!(!backoff.is_due(u32::MAX));
    backoff.failed(0);
    assert!(!backoff.is_due(9) && backoff.is_due(10));
    // At the end of time it is not lost.
    backoff.failed(u32::MAX);
    assert!(backoff.is_due(u32::MAX));
}

#[test]
fn the_clock_goes_on_when_its_counter_wraps() {
    const HZ: u32 = 32_768;
    let mut clock = Clock::start(100);
    assert_eq!(clock.read(100 + HZ, false, HZ), 10);
    let round = (u64::from(u32::MAX) + 1) * 10 / u64::from(HZ);
    // Once around, and a little less than that.
    let mut other = clock;
    assert_eq!(u64::from(clock.read(100 + HZ, true, HZ)), round + 10);
    assert_eq!(u64::from(other.read(100, true, HZ)), round);
    let mut before = 0;
    for _ in 0..20_000 {
        let now = clock.read(100 + HZ, true, HZ);
        assert!(now >= before);
        before = now;
    }
    assert_eq!(before, u32::MAX, "it stops at its end");
    assert_eq!(clock.read(0, false, 0), u32::MAX);
}
