//! What is compared, each with its default features.

mod counted;
#[cfg(all(feature = "peers", target_arch = "x86_64"))]
mod native;
#[cfg(feature = "peers")]
mod peers;

use aead::{AeadInOut, KeyInit};
use cipher::{BlockCipherDecrypt, BlockCipherEncrypt};
use otr_mode::{Combined, Serial};
use twine_cipher::{Twine80, Twine128};
use twine_otr_aead::{Twine80Otr, Twine128Otr};

use crate::{Task, task};

/// TWINE-128-OTR with parallel processing of associated data.
pub const TWINE_OTR: &str = "TWINE-128-OTR";
/// The same with counted nonces: a `Sealer` and its `Opener`.
pub const TWINE_OTR_COUNTED: &str = "TWINE-128-OTR, counted nonces";
/// AES-128 in the same mode.
pub const AES_OTR: &str = "AES-128-OTR";
/// The same with counted nonces: `OtrAhead`.
pub const AES_OTR_COUNTED: &str = "AES-128-OTR, counted nonces";
/// NIST's lightweight standard.
pub const ASCON: &str = "Ascon-AEAD128";
/// RFC 8439.
pub const CHACHA: &str = "ChaCha20-Poly1305";
/// AES-128 in Galois/counter mode.
pub const AES_GCM: &str = "AES-128-GCM";
/// The same by libraries that are tuned for the processor, in Rust, C and assembly.
pub const AES_GCM_RING: &str = "AES-128-GCM, ring";
/// See [`AES_GCM_RING`].
pub const AES_GCM_GRAVIOLA: &str = "AES-128-GCM, graviola";
/// See [`AES_GCM_RING`].
pub const AES_GCM_OPENSSL: &str = "AES-128-GCM, OpenSSL";
/// See [`AES_GCM_RING`].
pub const CHACHA_RING: &str = "ChaCha20-Poly1305, ring";
/// See [`AES_GCM_RING`].
pub const CHACHA_GRAVIOLA: &str = "ChaCha20-Poly1305, graviola";
/// See [`AES_GCM_RING`].
pub const CHACHA_OPENSSL: &str = "ChaCha20-Poly1305, OpenSSL";
/// AES-128 in counter mode with CBC-MAC.
pub const AES_CCM: &str = "AES-128-CCM";
/// AES-128 in the mode of RFC 7253.
pub const AES_OCB: &str = "AES-128-OCB3";
/// The block cipher with a 128-bit key.
pub const TWINE_128: &str = "TWINE-128";

/// The crates behind the names here that are not of this repository.
pub const PEERS: [&str; 10] = [
    "aes",
    "aes-gcm",
    "ascon-aead",
    "ccm",
    "chacha20poly1305",
    "graviola",
    "ocb3",
    "openssl",
    "ring",
    "speck-cipher",
];

/// The library that the crate `openssl` calls: its version is that of the machine.
pub const OPENSSL: &str = "OpenSSL";

/// Lengths of messages.
pub const MESSAGES: [usize; 6] = [16, 32, 64, 256, 1500, 16384];

/// Lengths of associated data.
pub const ASSOCIATED_DATA: [usize; 3] = [0, 8, 64];

/// Numbers of blocks.
pub const BLOCKS: [usize; 5] = [1, 4, 16, 64, 1024];

fn add_aead<A: AeadInOut + KeyInit + 'static>(
    tasks: &mut Vec<Task>,
    algorithm: &'static str,
    messages: &[usize],
) {
    add_aead_of::<A>(tasks, algorithm, messages, &ASSOCIATED_DATA);
}

fn add_aead_of<A: AeadInOut + KeyInit + 'static>(
    tasks: &mut Vec<Task>,
    algorithm: &'static str,
    messages: &[usize],
    associated_data: &[usize],
) {
    for &message in messages {
        for &associated_data in associated_data {
            tasks.extend(task::aead::<A>(algorithm, message, associated_data));
        }
    }
}

fn add_block<C>(tasks: &mut Vec<Task>, algorithm: &'static str)
where
    C: BlockCipherEncrypt + BlockCipherDecrypt + KeyInit + 'static,
{
    tasks.extend(BLOCKS.into_iter().flat_map(|count| task::block::<C>(algorithm, count)));
}

/// All AEADs on all lengths; those that differ from another in the processing of associated data only, on fewer.
#[must_use]
pub fn aead() -> Vec<Task> {
    let mut tasks = Vec::new();
    let few = [16, 1500];
    add_aead::<Twine128Otr>(&mut tasks, TWINE_OTR, &MESSAGES);
    add_aead::<Twine128Otr<Combined>>(&mut tasks, "TWINE-128-OTR combined", &few);
    add_aead::<Twine128Otr<Serial>>(&mut tasks, "TWINE-128-OTR serial", &few);
    counted::aead(&mut tasks);
    #[cfg(feature = "peers")]
    peers::aead(&mut tasks);
    #[cfg(all(feature = "peers", target_arch = "x86_64"))]
    native::aead(&mut tasks);
    tasks
}

/// All block ciphers.
#[must_use]
pub fn block() -> Vec<Task> {
    let mut tasks = Vec::new();
    add_block::<Twine80>(&mut tasks, "TWINE-80");
    add_block::<Twine128>(&mut tasks, TWINE_128);
    #[cfg(feature = "peers")]
    peers::block(&mut tasks);
    tasks
}

/// Key set-up of all block ciphers and AEADs.
#[must_use]
#[cfg_attr(not(feature = "peers"), allow(unused_mut))]
pub fn setup() -> Vec<Task> {
    let mut tasks = vec![
        task::setup::<Twine80>("TWINE-80"),
        task::setup::<Twine128>(TWINE_128),
        task::setup::<Twine80Otr>("TWINE-80-OTR"),
        task::setup::<Twine128Otr>(TWINE_OTR),
    ];
    #[cfg(feature = "peers")]
    peers::setup(&mut tasks);
    tasks
}
