//! What TWINE-OTR costs on Cortex-M and RISC-V beside other AEADs: one source for QEMU's boards and real ones.
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

/// Makes an expression the main program, which does not end.
#[cfg(target_arch = "arm")]
#[macro_export]
macro_rules! entry {
    ($main:expr) => {
        #[cortex_m_rt::entry]
        fn main() -> ! {
            $main
        }
    };
}

/// Makes an expression the main program, which does not end.
#[cfg(feature = "riscv-board")]
#[macro_export]
macro_rules! entry {
    ($main:expr) => {
        #[riscv_rt::entry]
        fn main() -> ! {
            $main
        }
    };
}

#[cfg(all(target_arch = "riscv32", not(feature = "riscv-board")))]
pub use qemu_virt::entry;

pub use aead;
use aead::{Key, KeyInit};
#[cfg(target_os = "none")]
pub use board::{fail, run};
#[doc(hidden)]
pub use size::{
    Kept, begin_reserve, confirm, open, open_next, restore, seal, seal_next, set_up, start, start_opener,
    start_sealer, suspend,
};

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

/// An AEAD that gets another key where it lies.
pub trait SetUp: KeyInit + Sized {
    /// Changes the key.
    fn set_up(&mut self, key: &Key<Self>) {
        *self = Self::new(key);
    }
}

impl SetUp for TwineOtr {
    fn set_up(&mut self, key: &Key<Self>) {
        self.set_key_with(|cipher| cipher.set_key(key));
    }
}

#[cfg(feature = "peers")]
impl SetUp for Ascon {}

#[cfg(feature = "peers")]
impl SetUp for ChaCha {}

#[cfg(feature = "peers")]
impl SetUp for AesGcm {}

#[cfg(feature = "peers")]
impl SetUp for AesCcm {}
