//! The epoch of a device, in two pages of flash.
//!
//! A page is a row of words, each programmed once between two erasures. An epoch is a word: its 16 bits, and their complement. A new one
//! goes into the first free word behind the newest; when a page is full, the other one is erased and goes on. So the newest epoch is
//! never in the page that is erased.
//!
//! # Power that fails
//!
//! Programming only clears bits, and erasing only sets them. A word that was cut off has only some of the changes: its number of set
//! bits is not 16, and it is no epoch, or it is one that was stored whole. What an erasure left is erased again before it is used.
//! So what is cut off costs an epoch at most, and none is used before its word was read back.

use core::fmt;

use smart_city_frame::Epoch;

/// One of the two pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// The first.
    A,
    /// The second.
    B,
}

impl Page {
    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

/// Two pages of flash.
pub trait Pages {
    /// The words of a page.
    const WORDS: usize;

    /// A word. What cannot be read, as errors beyond correction, is to be 0.
    fn read(&self, page: Page, word: usize) -> u32;

    /// Clears the bits of a word that are clear in `value`. It is called once for each word between two erasures.
    ///
    /// # Errors
    /// If the flash says that it could not.
    fn program(&mut self, page: Page, word: usize, value: u32) -> Result<(), FlashError>;

    /// Sets all bits of a page.
    ///
    /// # Errors
    /// If the flash says that it could not.
    fn erase(&mut self, page: Page) -> Result<(), FlashError>;
}

/// Flash says that it could not erase or program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlashError;

/// Why there is no new epoch. The device must not seal then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EpochError {
    /// [`Epoch::LAST`] was used: the device needs a new root key.
    UsedUp,
    /// No page has an epoch: the device was not provisioned, or its flash is damaged.
    Damaged,
    /// The flash does not keep what is written, or says that it cannot be erased.
    Worn,
}

impl fmt::Display for EpochError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UsedUp => "all epochs of the root key are used up",
            Self::Damaged => "no epoch is stored",
            Self::Worn => "the flash does not keep a new epoch",
        })
    }
}

impl core::error::Error for EpochError {}

/// A word of erased flash.
const BLANK: u32 = u32::MAX;

/// The epochs of a device.
#[derive(Debug)]
pub struct Epochs<F>(F);

impl<F: Pages> Epochs<F> {
    /// Takes two pages that [`provision`](Self::provision) was called with once.
    pub const fn new(flash: F) -> Self {
        Self(flash)
    }

    /// Makes the pages those of a device that has used the epochs up to `used`: 0 **only for a root key that was never used.**
    ///
    /// # Errors
    /// [`EpochError::Worn`]
    pub fn provision(&mut self, used: Epoch) -> Result<(), EpochError> {
        let erased = self.0.erase(Page::A).and_then(|()| self.0.erase(Page::B));
        erased.map_err(|FlashError| EpochError::Worn)?;
        if self.is_stored(Page::A, 0, used) { Ok(()) } else { Err(EpochError::Worn) }
    }

    /// Stores a new epoch and then returns it: 1 at first, and one more each time.
    ///
    /// # Errors
    /// See [`EpochError`].
    pub fn advance(&mut self) -> Result<Epoch, EpochError> {
        let (stored, newest) = self.newest().ok_or(EpochError::Damaged)?;
        let next = Epoch(stored.0.checked_add(1).ok_or(EpochError::UsedUp)?);
        let free = (0..F::WORDS).rev().take_while(|word| self.0.read(newest, *word) == BLANK).count();
        for word in F::WORDS - free..F::WORDS {
            if self.is_stored(newest, word, next) {
                return Ok(next);
            }
        }
        let page = newest.other();
        self.0.erase(page).map_err(|FlashError| EpochError::Worn)?;
        for word in 0..F::WORDS {
            if self.0.read(page, word) == BLANK && self.is_stored(page, word, next) {
                return Ok(next);
            }
        }
        Err(EpochError::Worn)
    }

    fn is_stored(&mut self, page: Page, word: usize, epoch: Epoch) -> bool {
        self.0.program(page, word, word_of(epoch)).is_ok() && self.0.read(page, word) == word_of(epoch)
    }

    /// The greatest epoch, and where it is.
    fn newest(&self) -> Option<(Epoch, Page)> {
        let words =
            [Page::A, Page::B].into_iter().flat_map(|page| (0..F::WORDS).map(move |word| (page, word)));
        let epochs = words.filter_map(|(page, word)| Some((epoch_in(self.0.read(page, word))?, page)));
        epochs.max_by_key(|(epoch, _)| *epoch)
    }
}

/// An epoch and its complement.
fn word_of(epoch: Epoch) -> u32 {
    u32::from(epoch.0) << 16 | u32::from(!epoch.0)
}

fn epoch_in(word: u32) -> Option<Epoch> {
    let [a, b, c, d] = word.to_be_bytes();
    let epoch = Epoch(u16::from_be_bytes([a, b]));
    (u16::from_be_bytes([c, d]) == !epoch.0).then_some(epoch)
}
