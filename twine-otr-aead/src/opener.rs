//! Opening each message once, and a limit on failures.

use core::fmt;

#[cfg(feature = "zeroize")]
use otr_mode::cipher::zeroize::ZeroizeOnDrop;
use otr_mode::{
    Key, Nonce, Tag,
    aead::{Buffer, inout::InOutBuf},
};

use crate::{
    BlockLimit, OpenerState, Twine128Otr, TwineOtr,
    limits::{BlockCount, count_blocks},
    state,
    window::Window,
};

/// A key that opens what one [`Sealer`](crate::Sealer) seals: each message once, and only so many attempts that fail.
///
/// Messages may come out of order: up to `64 * WORDS` counters below the newest one (64 by default) are accepted, once each.
/// The window moves only when a tag was right. With `WORDS` = 0, as in [`StrictOpener`], every message must be newer than all before.
/// What was lost shows in the counters: see [`Opener::newest`].
///
/// **Whatever the error, the whole output is zero afterwards**, also where nothing was decrypted: a caller that overlooks an
/// error finds no bytes of an attacker's choice. Replays and limits are decided from the nonce and the lengths alone, before
/// anything is decrypted, and count as nothing.
/// ```
/// use twine_otr_aead::{OpenError, Opener, Sealer};
///
/// let key = [0x42; 16].into();
/// let mut sealer: Sealer = Sealer::with_ephemeral_key(&key, *b"up 7");
/// let mut opener: Opener = Opener::new(&key, *b"up 7");
///
/// let mut message = *b"21.5 C";
/// let (nonce, tag) = sealer.seal_inout_detached(b"sensor 7", message.as_mut_slice().into())?;
/// let mut copy = message;
/// opener.open_inout_detached(&nonce, b"sensor 7", message.as_mut_slice().into(), &tag)?;
/// assert_eq!(&message, b"21.5 C");
///
/// let replay = opener.open_inout_detached(&nonce, b"sensor 7", copy.as_mut_slice().into(), &tag);
/// assert_eq!((replay, copy), (Err(OpenError::Replayed), [0; 6]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Limits
/// Each attempt that is not refused beforehand counts its blocks, as in [the bound](Twine128Otr#limits), up to
/// [`BlockLimit::DEFAULT`]. Blocks that failed add to those that the sealer counts, so at worst an attacker has twice the
/// limit, 2^21 blocks and an advantage of 2^-19.4.
///
/// At most [`Opener::FAILURE_LIMIT`] attempts may fail. Each succeeds with probability 2^-t for tags of t bits, so all together with 2^-54
/// for tags of 8 bytes, and with 2^-22, no more than the bound for blocks, for the shortest tags, of 4 bytes. Whoever can
/// send to the opener can use the limits up and so force a new key; without limits they could try to forge forever.
///
/// # After a restart
/// An opener that starts anew with the same key accepts every replay. Either a restart brings a new key, or
/// [`Opener::state`] is stored after each message, before anything is done about it.
///
/// It is no `Clone`, as a copy would open a message again:
/// ```compile_fail,E0599
/// # use twine_otr_aead::Opener;
/// let opener: Opener = Opener::new(&[0x42; 16].into(), [0; 4]);
/// let copy = opener.clone();
/// ```
#[derive(Debug)]
pub struct Opener<C: TwineOtr = Twine128Otr, const F: usize = 4, const WORDS: usize = 1> {
    attempts: Attempts<C>,
    fixed: [u8; F],
    window: Window<WORDS>,
}

/// An [`Opener`] of messages in strict order: each must be newer than all before.
pub type StrictOpener<C = Twine128Otr, const F: usize = 4> = Opener<C, F, 0>;

impl<C: TwineOtr, const F: usize, const WORDS: usize> Opener<C, F, WORDS> {
    /// The attempts that may fail by default: 1024.
    pub const FAILURE_LIMIT: u32 = 1 << 10;

    /// For a key that nothing was opened under, and nonces that start with `fixed`.
    #[must_use]
    pub fn new(key: &Key<C>, fixed: [u8; F]) -> Self {
        Self::with_state(key, OpenerState { newest: None, blocks: 0, failures: 0, fixed })
    }

    /// Goes on from a state. Whatever is not newer than the newest message before the restart is refused.
    #[must_use]
    pub fn with_state(key: &Key<C>, state: OpenerState<F>) -> Self {
        Self {
            attempts: Attempts::new(key, state.blocks, state.failures),
            fixed: state.fixed,
            window: Window::new(state.newest),
        }
    }

    /// With another limit than [`BlockLimit::DEFAULT`]. It is not part of the state.
    #[must_use]
    pub fn with_block_limit(mut self, limit: BlockLimit) -> Self {
        self.attempts.count.limit = limit;
        self
    }

    /// With another limit than [`Opener::FAILURE_LIMIT`]. It is not part of the state.
    #[must_use]
    pub fn with_failure_limit(mut self, failures: u32) -> Self {
        self.attempts.failure_limit = failures;
        self
    }

    /// The nonce of a message of which the counter was received, all bytes behind the fixed part; none if they are not
    /// `7 - F` bytes.
    #[must_use]
    pub fn nonce(&self, counter: &[u8]) -> Option<Nonce<C>> {
        let mut nonce = state::nonce(self.fixed, 0);
        let bytes = &mut nonce[F..];
        if bytes.len() != counter.len() {
            return None;
        }
        bytes.copy_from_slice(counter);
        Some(nonce.into())
    }

    /// The greatest counter that was opened. Messages between two of them were lost, or are late.
    #[must_use]
    pub fn newest(&self) -> Option<u64> {
        self.window.newest()
    }

    /// The attempts that have failed.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.attempts.failures
    }

    /// The blocks of all attempts, by [`count_blocks`].
    #[must_use]
    pub fn used_blocks(&self) -> u32 {
        self.attempts.count.used()
    }

    /// The blocks that can still be opened under this key.
    #[must_use]
    pub fn remaining_blocks(&self) -> u32 {
        self.attempts.count.remaining()
    }

    /// The state to go on from after a restart. It has no window: what is late then is lost.
    #[must_use]
    pub fn state(&self) -> OpenerState<F> {
        OpenerState {
            newest: self.newest(),
            blocks: self.used_blocks(),
            failures: self.failures(),
            fixed: self.fixed,
        }
    }

    /// Decrypts `buffer` if its nonce is new and its tag right.
    ///
    /// # Errors
    /// See [`OpenError`]. The whole output is zero then.
    pub fn open_inout_detached(
        &mut self,
        nonce: &Nonce<C>,
        associated_data: &[u8],
        buffer: InOutBuf<'_, '_, u8>,
        tag: &Tag<C>,
    ) -> Result<(), OpenError> {
        let counter = state::counter(self.fixed, nonce.0)
            .ok_or(OpenError::OtherSender)
            .and_then(|counter| self.window.check(counter).map(|()| counter));
        self.attempts.open(counter.map(|_| *nonce), associated_data, buffer, tag)?;
        counter.map(|counter| self.window.insert(counter))
    }

    /// Decrypts a message with its tag behind it, and cuts the tag off.
    ///
    /// # Errors
    /// As [`Opener::open_inout_detached`], and [`OpenError::Truncated`].
    pub fn open_in_place(
        &mut self,
        nonce: &Nonce<C>,
        associated_data: &[u8],
        buffer: &mut dyn Buffer,
    ) -> Result<(), OpenError> {
        let mut tag = Tag::<C>::default();
        let Some(len) = buffer.len().checked_sub(tag.len()) else {
            buffer.as_mut().fill(0);
            return Err(OpenError::Truncated);
        };
        let (message, received) = buffer.as_mut().split_at_mut(len);
        tag.copy_from_slice(received);
        self.open_inout_detached(nonce, associated_data, message.into(), &tag)?;
        buffer.truncate(len);
        Ok(())
    }

    /// Decrypts a message with its tag behind it.
    ///
    /// # Errors
    /// As [`Opener::open_in_place`].
    #[cfg(feature = "alloc")]
    pub fn open<'msg, 'aad>(
        &mut self,
        nonce: &Nonce<C>,
        ciphertext: impl Into<otr_mode::aead::Payload<'msg, 'aad>>,
    ) -> Result<alloc::vec::Vec<u8>, OpenError> {
        let payload = ciphertext.into();
        let mut buffer = alloc::vec::Vec::from(payload.msg);
        self.open_in_place(nonce, payload.aad, &mut buffer)?;
        Ok(buffer)
    }
}

/// A key that opens, and counts.
pub(crate) struct Attempts<C> {
    cipher: C,
    pub(crate) count: BlockCount,
    pub(crate) failures: u32,
    pub(crate) failure_limit: u32,
}

impl<C: TwineOtr> Attempts<C> {
    pub(crate) fn new(key: &Key<C>, blocks: u32, failures: u32) -> Self {
        Self {
            cipher: C::new(key),
            count: BlockCount::new(blocks, BlockLimit::DEFAULT),
            failures,
            failure_limit: <Opener>::FAILURE_LIMIT,
        }
    }

    /// Decrypts `buffer` if there is a nonce, the limits allow for it, and the tag is right; otherwise its whole output is zero.
    pub(crate) fn open(
        &mut self,
        nonce: Result<Nonce<C>, OpenError>,
        associated_data: &[u8],
        mut buffer: InOutBuf<'_, '_, u8>,
        tag: &Tag<C>,
    ) -> Result<(), OpenError> {
        let nonce = nonce.and_then(|nonce| {
            if self.failures >= self.failure_limit {
                return Err(OpenError::TooManyFailures);
            }
            let blocks = count_blocks(associated_data.len(), buffer.len());
            self.count = self.count.with(blocks).ok_or(OpenError::LimitReached)?;
            Ok(nonce)
        });
        let nonce = nonce.inspect_err(|_| buffer.get_out().fill(0))?;
        self.cipher.decrypt_inout_detached(&nonce, associated_data, buffer, tag).map_err(|_| {
            self.failures += 1;
            OpenError::Rejected
        })
    }
}

impl<C> fmt::Debug for Attempts<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempts")
            .field("count", &self.count)
            .field("failures", &self.failures)
            .field("failure_limit", &self.failure_limit)
            .finish_non_exhaustive()
    }
}

#[cfg(feature = "zeroize")]
impl<C: TwineOtr + ZeroizeOnDrop, const F: usize, const WORDS: usize> ZeroizeOnDrop for Opener<C, F, WORDS> {}

/// Why a message was not opened. The whole output is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenError {
    /// The fixed part of the nonce is not the opener's.
    OtherSender,
    /// The message was opened before.
    Replayed,
    /// The counter is behind the window.
    TooOld,
    /// As many attempts as may fail have failed: take a new key.
    TooManyFailures,
    /// The message would pass the limit of blocks under this key: take a new key. A shorter message may still fit.
    LimitReached,
    /// The message is shorter than a tag.
    Truncated,
    /// The last chunk was opened: nothing can follow it.
    Finished,
    /// The tag is wrong: nonce, associated data or message are not what was sealed under this key. Counted as a failure.
    Rejected,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OtherSender => "the fixed part of the nonce is another one",
            Self::Replayed => "the message was opened before",
            Self::TooOld => "the counter is behind the replay window",
            Self::TooManyFailures => "too many attempts have failed under this key",
            Self::LimitReached => "the message would pass the limit of blocks under this key",
            Self::Truncated => "the message is shorter than a tag",
            Self::Finished => "nothing can follow the last chunk",
            Self::Rejected => "the tag is wrong",
        })
    }
}

impl core::error::Error for OpenError {}
