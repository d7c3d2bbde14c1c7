//! Epochs in a flash whose power fails anywhere.

use proptest::prelude::*;
use smart_city_frame::Epoch;
use smart_city_store::{EpochError, Epochs, FlashError, Page, Pages};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

const WORDS: usize = 8;

/// The power has failed.
struct Cut;

/// Two small pages. Each operation takes steps; at the one where power fails, chance says which bits have changed, and whether some of
/// them read differently each time until they are written again.
struct Flash {
    words: [[u32; WORDS]; 2],
    /// Bits of a word that are between 0 and 1.
    weak: [[u32; WORDS]; 2],
    /// Operations until the power fails.
    left: Option<u32>,
    random: u64,
    erasures: u32,
}

impl Flash {
    fn new(seed: u64) -> Self {
        let mut flash =
            Self { words: [[0; WORDS]; 2], weak: [[0; WORDS]; 2], left: None, random: seed | 1, erasures: 0 };
        Epochs::new(&mut flash).provision(Epoch(0)).unwrap();
        flash
    }

    fn random(&mut self) -> u32 {
        // xorshift64*
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        (self.random.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32) as u32
    }

    /// Changes a word to `to`, or, if power fails, some of the bits that differ.
    fn change(&mut self, page: Page, word: usize, to: u32, is_cut: bool) {
        let i = page as usize;
        let from = self.words[i][word];
        let changed = if is_cut { self.random() } else { u32::MAX };
        self.words[i][word] = from & !changed | to & changed;
        // The others are not sure to be what they were.
        let unsure = if is_cut { self.random() & self.random() } else { 0 };
        self.weak[i][word] = (from ^ to) & unsure;
    }

    fn is_cut(&mut self) -> bool {
        match &mut self.left {
            Some(0) => true,
            Some(left) => {
                *left -= 1;
                false
            }
            None => false,
        }
    }
}

impl Pages for &mut Flash {
    const WORDS: usize = WORDS;

    fn read(&self, page: Page, word: usize) -> u32 {
        let i = page as usize;
        // Another one at each read.
        let noise = NOISE.with(|noise| {
            noise.set(noise.get().wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
            (noise.get() >> 32) as u32
        });
        self.words[i][word] ^ self.weak[i][word] & noise
    }

    fn program(&mut self, page: Page, word: usize, value: u32) -> Result<(), FlashError> {
        let to = self.words[page as usize][word] & value;
        let is_cut = self.is_cut();
        self.change(page, word, to, is_cut);
        if is_cut {
            resume_unwind(Box::new(Cut));
        }
        Ok(())
    }

    fn erase(&mut self, page: Page) -> Result<(), FlashError> {
        self.erasures += 1;
        for word in 0..WORDS {
            let is_cut = self.is_cut();
            if is_cut {
                // All words are erased at once.
                (0..WORDS).for_each(|word| self.change(page, word, u32::MAX, true));
                resume_unwind(Box::new(Cut));
            }
            self.change(page, word, u32::MAX, false);
        }
        Ok(())
    }
}

thread_local! {
    static NOISE: std::cell::Cell<u64> = const { std::cell::Cell::new(1) };
}

/// A start of the device with power for `steps`: the epoch that it uses, if it comes so far.
fn start(flash: &mut Flash, steps: Option<u32>) -> Option<Epoch> {
    flash.left = steps;
    let result = catch_unwind(AssertUnwindSafe(|| Epochs::new(&mut *flash).advance()));
    flash.left = None;
    match result {
        Ok(epoch) => Some(epoch.expect("flash that keeps what is written")),
        Err(cut) => cut.downcast::<Cut>().map(|_| None).unwrap_or_else(|panic| resume_unwind(panic)),
    }
}

#[test]
fn epochs_follow_each_other_through_both_pages() {
    let mut flash = Flash::new(1);
    for epoch in 1..=100 {
        assert_eq!(start(&mut flash, None), Some(Epoch(epoch)));
    }
    // The first two by the provisioning.
    assert_eq!(flash.erasures, 2 + 100 / WORDS as u32);
}

/// At every step of everything that happens within two rounds through both pages, and again at each step of the start after that.
#[test]
fn power_fails_at_every_step() {
    for seed in 1..20 {
        for before in 0..4 * WORDS as u16 {
            for first in 0..=WORDS as u32 {
                for second in 0..=WORDS as u32 {
                    let mut flash = Flash::new(seed);
                    (0..before).for_each(|_| assert!(start(&mut flash, None).is_some()));
                    let mut used = Epoch(before);
                    let mut cuts = 0;
                    for steps in [Some(first), Some(second), None, None] {
                        match start(&mut flash, steps) {
                            Some(epoch) => {
                                assert!(epoch > used, "{seed} {before} {first} {second}");
                                used = epoch;
                            }
                            None => cuts += 1,
                        }
                    }
                    assert!(used.0 <= before + 4 && used.0 >= before + 2 && cuts <= 2);
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn no_history_repeats_an_epoch(seed: u64, cuts in prop::collection::vec(prop::option::of(0..12u32), 1..200)) {
        let mut flash = Flash::new(seed);
        let mut used = Epoch(0);
        let starts = cuts.len();
        for steps in cuts {
            if let Some(epoch) = start(&mut flash, steps) {
                prop_assert!(epoch > used);
                used = epoch;
            }
        }
        // What is cut off costs an epoch at most.
        prop_assert!(usize::from(used.0) <= starts);
        prop_assert!(start(&mut flash, None).is_some());
    }
}

#[test]
fn the_last_epoch_is_the_last() {
    let mut flash = Flash::new(1);
    Epochs::new(&mut flash).provision(Epoch(0xFFFE)).unwrap();
    assert_eq!(Epochs::new(&mut flash).advance(), Ok(Epoch::LAST));
    assert_eq!(Epochs::new(&mut flash).advance(), Err(EpochError::UsedUp));
    assert_eq!(Epochs::new(&mut flash).advance(), Err(EpochError::UsedUp));
}

#[test]
fn flash_without_an_epoch_is_damaged() {
    for content in [0, u32::MAX, 0x0001_0001, 0x0001_FFFF] {
        let mut flash = Flash::new(1);
        flash.words = [[content; WORDS]; 2];
        assert_eq!(Epochs::new(&mut flash).advance(), Err(EpochError::Damaged), "{content:x}");
    }
}

#[test]
fn a_word_that_keeps_nothing_is_passed_over() {
    /// Some words of both pages are worn: bits stay set.
    struct Worn(Flash, [bool; WORDS]);
    impl Pages for &mut Worn {
        const WORDS: usize = WORDS;
        fn read(&self, page: Page, word: usize) -> u32 {
            self.0.words[page as usize][word]
        }
        fn program(&mut self, page: Page, word: usize, value: u32) -> Result<(), FlashError> {
            let value = if self.1[word] { value | 0x10001 } else { value };
            (&mut self.0).program(page, word, value)
        }
        fn erase(&mut self, page: Page) -> Result<(), FlashError> {
            (&mut self.0).erase(page)
        }
    }
    let mut worn = Worn(Flash::new(1), [false, true, true, false, true, false, true, true]);
    for epoch in 1..50 {
        assert_eq!(Epochs::new(&mut worn).advance(), Ok(Epoch(epoch)));
    }
    worn.1 = [true; WORDS];
    let newest = worn.0.words;
    assert_eq!(Epochs::new(&mut worn).advance(), Err(EpochError::Worn));
    // It still knows the newest epoch.
    worn.1 = [false; WORDS];
    assert_eq!(Epochs::new(&mut worn).advance(), Ok(Epoch(50)), "{newest:x?}");
}

/// Flash that says that it fails: when it erases, or when it programs, though the word may read as it should. No epoch comes of that, and none
/// comes twice.
#[test]
fn flash_that_reports_a_failure_gives_no_epoch() {
    struct Failing {
        flash: Flash,
        erases: bool,
        programs: bool,
        attempts: u32,
    }
    impl Pages for &mut Failing {
        const WORDS: usize = WORDS;
        fn read(&self, page: Page, word: usize) -> u32 {
            self.flash.words[page as usize][word]
        }
        fn program(&mut self, page: Page, word: usize, value: u32) -> Result<(), FlashError> {
            self.attempts += 1;
            (&mut self.flash).program(page, word, value)?;
            if self.programs { Ok(()) } else { Err(FlashError) }
        }
        fn erase(&mut self, page: Page) -> Result<(), FlashError> {
            self.attempts += 1;
            if !self.erases {
                return Err(FlashError);
            }
            (&mut self.flash).erase(page)
        }
    }
    let mut failing = Failing { flash: Flash::new(1), erases: true, programs: true, attempts: 0 };
    let mut used = Epoch(0);
    for round in 0..40 {
        (failing.erases, failing.programs, failing.attempts) = (round % 3 != 0, round % 4 != 1, 0);
        match Epochs::new(&mut failing).advance() {
            Ok(epoch) => {
                assert!(failing.programs && epoch > used, "{epoch:?} after {used:?}");
                used = epoch;
            }
            Err(error) => assert!(error == EpochError::Worn && !(failing.erases && failing.programs)),
        }
        // It tries what there is once, and not for ever.
        assert!(failing.attempts <= 2 * WORDS as u32 + 1);
    }
    // An epoch whose word was written although that was reported as a failure may be given up, and is not used twice.
    (failing.erases, failing.programs) = (true, true);
    assert!(Epochs::new(&mut failing).advance().unwrap() > used);
    (failing.erases, failing.programs) = (false, false);
    assert_eq!(Epochs::new(&mut failing).provision(Epoch(0)), Err(EpochError::Worn));
}
