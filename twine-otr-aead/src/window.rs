//! The replay window: which counters were opened before.

use crate::OpenError;

/// The newest counter, and which of the `64 * WORDS` counters below it were opened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window<const WORDS: usize> {
    /// One more than the newest counter, or zero if there is none. This is not an `Option`: one without a value would leave old bytes in
    /// the middle of memory that is to be erased.
    next: u64,
    /// Bit i, counted through all words, says whether counter `next - 2 - i` was opened.
    opened: [u64; WORDS],
}

impl<const WORDS: usize> Window<WORDS> {
    /// Makes a window at the start or after a restart. All counters below `next` count as opened.
    pub(crate) const fn new(next: u64) -> Self {
        Self { next, opened: [if next > 0 { u64::MAX } else { 0 }; WORDS] }
    }

    pub(crate) const fn next(&self) -> u64 {
        self.next
    }

    /// Checks that `counter` may be opened: it was not opened before, and it is not older than the window reaches.
    pub(crate) fn check(&self, counter: u64) -> Result<(), OpenError> {
        match self.next.checked_sub(1) {
            Some(newest) if counter == newest => Err(OpenError::Replayed),
            Some(newest) if counter < newest => {
                let (word, bit) = Self::place(newest, counter).ok_or(OpenError::TooOld)?;
                if self.opened[word] & bit == 0 { Ok(()) } else { Err(OpenError::Replayed) }
            }
            _ => Ok(()),
        }
    }

    /// Marks `counter`, of at most 56 bits, as opened. Moves the window if it is the newest.
    pub(crate) fn insert(&mut self, counter: u64) {
        let before = self.next.checked_sub(1);
        let newest = before.map_or(counter, |before| before.max(counter));
        let previous = before.unwrap_or(newest);
        self.next = newest + 1;
        self.shift(newest - previous);
        for opened in [previous, counter] {
            if let Some((word, bit)) = Self::place(newest, opened) {
                self.opened[word] |= bit;
            }
        }
    }

    /// Returns the word and the bit of a counter below `newest`, if the window reaches that far.
    fn place(newest: u64, counter: u64) -> Option<(usize, u64)> {
        let age = newest.checked_sub(counter)?.checked_sub(1)?;
        let word = usize::try_from(age / 64).ok().filter(|word| *word < WORDS)?;
        Some((word, 1 << (age % 64)))
    }

    /// Makes room for `distance` more counters.
    fn shift(&mut self, distance: u64) {
        let words = usize::try_from(distance / 64).unwrap_or(usize::MAX);
        let bits = distance % 64;
        for to in (0..WORDS).rev() {
            let word = |from: Option<usize>| from.map_or(0, |from| self.opened[from]);
            let high = word(to.checked_sub(words));
            let low = word(to.checked_sub(words).and_then(|from| from.checked_sub(1)));
            self.opened[to] = if bits == 0 { high } else { high << bits | low >> (64 - bits) };
        }
    }
}
