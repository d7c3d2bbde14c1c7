#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]
// What the README links: here to the items, as the first of two definitions counts; elsewhere to the files.
//! [`Sealer`]: Sealer
//! [`Sealer::seal_pieces`]: Sealer::seal_pieces
//! [`Opener`]: Opener
//! [`ChunkSealer`]: ChunkSealer
//! [`ChunkOpener`]: ChunkOpener
//! [`Kdf`]: Kdf
//! [`Twine128Otr`]: Twine128Otr
//! [`Twine80Otr`]: Twine80Otr
//! [`StreamHeader`]: StreamHeader
//! [`Key`]: Key
//! [`otr-mode`]: otr_mode
//! [`twine-cipher`]: twine_cipher
//! [`twine-otr-capi`]: https://docs.rs/twine-otr-capi
//!
// Its listings are programs that take these features.
#![cfg_attr(
    any(not(doctest), all(feature = "alloc", feature = "getrandom")),
    doc = include_str!("../README.md")
)]

#[cfg(feature = "alloc")]
extern crate alloc;

mod chunks;
#[cfg(doctest)]
mod compile_fail;
mod derive;
mod in_place;
mod limits;
#[cfg(twine_masked)]
mod masked;
mod opener;
mod sealer;
mod secret;
mod state;
mod window;

pub use chunks::{ChunkOpener, ChunkSealer, StreamHeader};
pub use derive::{Kdf, Label};
#[doc(hidden)]
pub use in_place::SetKey;
pub use limits::{BlockLimit, CountedAead, TwineOtr, count_blocks};
#[cfg(twine_masked)]
pub use masked::{MaskedCipher, TwineOtrMasked};
pub use opener::{OpenError, Opener, OpenerReservation, StrictOpener};
#[cfg(feature = "rand_core")]
pub use otr_mode::Generate;
pub use otr_mode::{
    AdProcessing, AeadCore, AeadInOut, Combined, Error, Key, KeyInit, KeySizeUser, Nonce, Otr, OtrAhead,
    Parallel, PieceEncryptor, PieceError, PieceState, Serial, Tag, aead, consts,
};
pub use sealer::{Reservation, SealError, Sealer};
pub use state::{InvalidState, OpenerState, SealerState};
pub use twine_cipher::{Twine80, Twine128};
#[cfg(twine_masked)]
pub use twine_cipher::{Twine80Masked, Twine128Masked, rand_core};

use consts::{U7, U8};

/// TWINE-OTR with an 80-bit key, nonces of 7 bytes and tags of 8 bytes.
///
/// It is for devices that must speak to others with 80-bit keys. If in doubt, use [`Twine128Otr`]: it costs the same.
#[doc = include_str!("limits.md")]
pub type Twine80Otr<A = Parallel> = Otr<Twine80, U7, U8, A>;

/// TWINE-OTR with a 128-bit key, nonces of 7 bytes and tags of 8 bytes.
///
/// This is the AEAD alone. The caller makes the nonces and counts the blocks. [`Sealer`] and [`Opener`] do both.
///
/// With the feature `getrandom`, [`Generate`] makes a key of the system's random bytes:
/// ```
/// # #[cfg(all(feature = "alloc", feature = "getrandom"))] {
/// use twine_otr_aead::{Generate, Key, KeyInit, Twine128Otr, aead::{Aead, Payload}};
///
/// let key = Key::<Twine128Otr>::generate();
/// let cipher: Twine128Otr = Twine128Otr::new(&key);
/// let nonce = [0, 0, 0, 0, 0, 0, 1].into(); // a counter: it must never repeat under a key
/// let sealed = cipher.encrypt(&nonce, Payload { msg: b"21.5 C", aad: b"sensor 7" })?;
/// let opened = cipher.decrypt(&nonce, Payload { msg: &sealed, aad: b"sensor 7" })?;
/// assert_eq!(opened, b"21.5 C");
/// # }
/// # Ok::<(), twine_otr_aead::Error>(())
/// ```
#[doc = include_str!("limits.md")]
pub type Twine128Otr<A = Parallel> = Otr<Twine128, U7, U8, A>;
