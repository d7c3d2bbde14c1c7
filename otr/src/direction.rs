//! The direction: encryption or decryption.

/// Whether a message is encrypted or decrypted. Each direction is a type, so that the loops over pairs are compiled for each of
/// them. Where code must be small, the direction is a value.
pub(crate) trait Direction: Copy {
    fn encrypts(self) -> bool;
}

#[cfg(not(otr_small))]
mod directions {
    #[derive(Clone, Copy)]
    pub(crate) struct Encrypt;

    impl super::Direction for Encrypt {
        #[inline(always)]
        fn encrypts(self) -> bool {
            true
        }
    }

    #[derive(Clone, Copy)]
    pub(crate) struct Decrypt;

    impl super::Direction for Decrypt {
        #[inline(always)]
        fn encrypts(self) -> bool {
            false
        }
    }

    pub(crate) const ENCRYPT: Encrypt = Encrypt;
    pub(crate) const DECRYPT: Decrypt = Decrypt;
}

#[cfg(otr_small)]
mod directions {
    impl super::Direction for bool {
        #[inline(always)]
        fn encrypts(self) -> bool {
            self
        }
    }

    pub(crate) const ENCRYPT: bool = true;
    pub(crate) const DECRYPT: bool = false;
}

pub(crate) use directions::{DECRYPT, ENCRYPT};
