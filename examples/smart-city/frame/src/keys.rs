//! Keys, all derived from the root key of a device.

use core::fmt;

use cmac::{Cmac, KeyInit, Mac};
use twine_otr_aead::Twine128;
use zeroize::{Zeroize, Zeroizing};

use crate::{DeviceId, Epoch};

/// A 128-bit key that is erased when dropped.
pub(crate) type Secret = Zeroizing<[u8; 16]>;

/// The root key of one device: uniformly random, and known to the device and its gateway alone.
///
/// It derives other keys and is used for nothing else.
pub struct RootKey(Secret);

/// The key of a device's evidence and of its allowed values.
pub struct AttestKey(Secret);

/// Which way frames go; epoch requests have a direction, and so a key and nonces, of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Direction {
    Up = 1,
    Down = 2,
    Rekey = 3,
}

impl RootKey {
    /// Takes the key over. The caller should erase its copy.
    #[must_use]
    pub fn new(key: [u8; 16]) -> Self {
        Self(Secret::new(key))
    }

    /// The key of the evidence of `device`.
    #[must_use]
    pub fn attest_key(&self, device: DeviceId) -> AttestKey {
        AttestKey(self.derive(b"smart-city v1 attest", &device.0))
    }

    /// Tells the keys of `device` apart without telling anything of them: for records of what was done under a key.
    #[must_use]
    pub fn fingerprint(&self, device: DeviceId) -> [u8; 16] {
        *self.derive(b"smart-city v1 fingerprint", &device.0)
    }

    pub(crate) fn link_key(&self, direction: Direction, device: DeviceId, epoch: Epoch) -> Secret {
        let label: &[u8] = match direction {
            Direction::Up => b"smart-city v1 up",
            Direction::Down => b"smart-city v1 down",
            Direction::Rekey => b"smart-city v1 rekey",
        };
        let mut context = [0; 10];
        context[..8].copy_from_slice(&device.0);
        context[8..].copy_from_slice(&epoch.0.to_be_bytes());
        self.derive(label, &context)
    }

    /// SP 800-108r1, 4.1. No label has a zero byte, and each has one length of context, so no two inputs are alike.
    fn derive(&self, label: &[u8], context: &[u8]) -> Secret {
        let prf = <Cmac<Twine128> as KeyInit>::new((&*self.0).into());
        let mut key = Secret::default();
        for (counter, half) in (1u32..).zip(key.chunks_exact_mut(8)) {
            let mut prf = prf.clone();
            for part in [&counter.to_be_bytes(), label, &[0], context, &128u32.to_be_bytes()] {
                prf.update(part);
            }
            let mut output = prf.finalize().into_bytes();
            half.copy_from_slice(&output);
            output.as_mut_slice().zeroize();
        }
        key
    }
}

impl AttestKey {
    /// For a secure world that has no root key, and for tools. The caller should erase its copy.
    #[must_use]
    pub fn from_bytes(key: [u8; 16]) -> Self {
        Self(Secret::new(key))
    }

    /// The key, for the one that makes or verifies evidence.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for RootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RootKey { .. }")
    }
}

impl fmt::Debug for AttestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AttestKey { .. }")
    }
}
