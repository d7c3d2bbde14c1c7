//! The link between a device and its gateway: TWINE-128-OTR frames with 14 bytes of overhead.
//!
//! Both ends share a [`RootKey`] of the device and agree on an [`Epoch`]. [`DeviceLink`] seals readings and evidence and opens
//! instructions and receipts; [`GatewayLink`] does the reverse. A gateway that has lost its link makes the device open a new
//! epoch with [`seal_epoch_request`]. Everything works in buffers of the caller, without allocation.
//!
//! # Frame
//!
//! | bytes | field | |
//! |--:|---|---|
//! | 1 | version, kind, class | 3 bits, 3 bits, 2 bits: see [`Header`] |
//! | 2 | epoch | big-endian: whatever was lost, the next frame tells it |
//! | 3 | counter | big-endian, from 0 in each epoch and direction |
//! | n | ciphertext | 0 to 241 bytes |
//! | 8 | tag | |
//!
//! Nonce: direction (1 byte: 1 up, 2 down, 3 epoch request), epoch (2), zero (1), counter (3).
//! Associated data: the six bytes before the ciphertext, the device's EUI-64 (8), stream (2): 16 bytes, two blocks.
//! The stream is that of the receiver's registry, not what the sender claims, and a class that is not the registry's is refused;
//! frames that are no readings have stream 0 and class confidential.
//!
//! An epoch request names the epoch that it ends: it is sealed in that one, has counter 0 and no payload. So there is one for
//! each device and epoch; to make it again repeats no nonce with other data, and to replay it does nothing, because a device
//! obeys only in the epoch that it names.
//!
//! # Keys
//!
//! SP 800-108r1 (section 4.1), counter mode, with CMAC-TWINE-128, a 32-bit counter and a 32-bit length:
//!
//! ```text
//! K(n)   = CMAC(root, [n]32 || label || 00 || context || [128]32),    n = 1, 2
//! key    = K(1) || K(2)
//! up          : label "smart-city v1 up",          context EUI-64 || epoch
//! down        : label "smart-city v1 down",        context EUI-64 || epoch
//! rekey       : label "smart-city v1 rekey",       context EUI-64 || epoch
//! attest      : label "smart-city v1 attest",      context EUI-64
//! fingerprint : label "smart-city v1 fingerprint", context EUI-64
//! ```
//!
//! # What keeps nonces from repeating
//!
//! Counters live in RAM. So **a device must store a new, greater epoch durably before it makes a link with it**, and at every
//! start it must make a new one. A receiver accepts any greater epoch, so those that were stored and not used do no harm. After
//! [`Epoch::LAST`] there is none: the device stops sealing and needs a new root key.
//!
//! # Limits
//!
//! Each key takes 2^20 blocks at most, counted at both ends, and 1,024 frames that do not open; see
//! [`twine_otr_aead`]. Then a new epoch is needed. Whoever can send to a receiver can use its limit up: that
//! costs an epoch, never a forgery.
//!
//! # What it does not do
//!
//! It hides neither the length of a message nor who sends when. A frame that was lost is not noticed unless a later one comes.
//! Who has the root key can forge everything of that device, in both directions.
#![no_std]
#![forbid(unsafe_code)]

mod content;
mod error;
mod header;
mod keys;
mod link;

pub use content::{ALL_REGIONS, Evidence, Instruction, Receipt, Verdict};
pub use error::{ContentError, HeaderError, OpenError, SealError};
pub use header::{
    Class, DeviceId, Epoch, HEADER_LEN, Header, Kind, MAX_PAYLOAD_LEN, OVERHEAD, Stream, TAG_LEN, Up,
};
pub use keys::{AttestKey, RootKey};
pub use link::{Challenge, DeviceLink, GatewayLink, LinkState, Opened, seal_epoch_request};
