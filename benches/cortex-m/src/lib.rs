//! What TWINE-OTR costs on Cortex-M beside other AEADs: one source for QEMU's boards and real ones.
//!
//! The image `measure` runs every operation once and prints a line of JSON for each. A cipher without secret-dependent
//! branches takes the same instructions each time, so once is enough. The images `size-*` only exist to be measured.
#![no_std]

#[cfg(target_os = "none")]
mod board;
#[cfg(target_os = "none")]
mod counter;
#[cfg(target_os = "none")]
mod measure;
mod size;
#[cfg(target_os = "none")]
mod stack;

pub use aead;
#[cfg(target_os = "none")]
pub use board::{fail, run};
#[doc(hidden)]
pub use size::{open, seal, setup};

/// TWINE-128-OTR.
pub type TwineOtr = twine_otr_aead::Twine128Otr;
/// Ascon-AEAD128.
#[cfg(feature = "peers")]
pub type Ascon = ascon_aead::AsconAead128;
/// ChaCha20-Poly1305.
#[cfg(feature = "peers")]
pub type ChaCha = chacha20poly1305::ChaCha20Poly1305;
/// AES-128-GCM.
#[cfg(feature = "peers")]
pub type AesGcm = aes_gcm::Aes128Gcm;
/// AES-128-CCM.
#[cfg(feature = "peers")]
pub type AesCcm = ccm::Ccm<aes::Aes128, aead::consts::U16, aead::consts::U12>;
