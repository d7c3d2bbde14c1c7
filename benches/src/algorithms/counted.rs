//! AEADs whose nonces are counted, so that each message prepares the one after it.

use aead::{Error, Nonce, Tag, inout::InOutBuf};
use twine_otr_aead::{Opener, Sealer, Twine128Otr};

use super::{MESSAGES, TWINE_OTR_COUNTED};
use crate::{
    Task,
    task::{self, Counted, Sealed},
};

pub(super) fn aead(tasks: &mut Vec<Task>) {
    for message in MESSAGES {
        tasks.extend(task::counted::<Twine>(TWINE_OTR_COUNTED, message, 8));
        #[cfg(feature = "peers")]
        tasks.extend(task::counted::<aes::Ahead>(super::AES_OTR_COUNTED, message, 8));
    }
}

/// The types that count, limits of a key and replays included.
struct Twine {
    sealer: Sealer,
    opener: Opener,
}

impl Counted for Twine {
    type Aead = Twine128Otr;

    fn new() -> Self {
        let key = Default::default();
        Self { sealer: Sealer::with_ephemeral_key(&key, [0; 4]), opener: Opener::new(&key, [0; 4]) }
    }

    #[inline]
    fn seal(
        &mut self,
        associated_data: &[u8],
        buffer: InOutBuf<'_, '_, u8>,
    ) -> Result<Sealed<Twine128Otr>, Error> {
        self.sealer.seal_inout_detached(associated_data, buffer).map_err(|_| Error)
    }

    #[inline]
    fn open(
        &mut self,
        nonce: &Nonce<Twine128Otr>,
        associated_data: &[u8],
        buffer: InOutBuf<'_, '_, u8>,
        tag: &Tag<Twine128Otr>,
    ) -> Result<(), Error> {
        self.opener.open_inout_detached(nonce, associated_data, buffer, tag).map_err(|_| Error)
    }
}

#[cfg(feature = "peers")]
mod aes {
    use ::aes::Aes128;
    use aead::{
        KeyInit,
        consts::{U12, U16},
    };
    use otr_mode::{Otr, OtrAhead};

    use super::{Counted, Error, InOutBuf, Nonce, Sealed, Tag};

    type AesOtr = Otr<Aes128, U12, U16>;

    /// A counter and what it serves; no limits.
    pub(super) struct Ahead {
        sealing: OtrAhead<Aes128, U12, U16>,
        opening: OtrAhead<Aes128, U12, U16>,
        counter: u64,
    }

    fn nonce(counter: u64) -> Nonce<AesOtr> {
        let mut nonce = Nonce::<AesOtr>::default();
        nonce[4..].copy_from_slice(&counter.to_be_bytes());
        nonce
    }

    impl Counted for Ahead {
        type Aead = AesOtr;

        fn new() -> Self {
            let otr = || AesOtr::new(&Default::default()).into();
            Self { sealing: otr(), opening: otr(), counter: 0 }
        }

        #[inline]
        fn seal(
            &mut self,
            associated_data: &[u8],
            buffer: InOutBuf<'_, '_, u8>,
        ) -> Result<Sealed<AesOtr>, Error> {
            let nonces = [nonce(self.counter), nonce(self.counter + 1)];
            self.counter += 1;
            let tag =
                self.sealing.encrypt_inout_detached(&nonces[0], Some(&nonces[1]), associated_data, buffer)?;
            Ok((nonces[0], tag))
        }

        #[inline]
        fn open(
            &mut self,
            received: &Nonce<AesOtr>,
            associated_data: &[u8],
            buffer: InOutBuf<'_, '_, u8>,
            tag: &Tag<AesOtr>,
        ) -> Result<(), Error> {
            let [.., b0, b1, b2, b3, b4, b5, b6, b7] = received.0;
            let next = nonce(u64::from_be_bytes([b0, b1, b2, b3, b4, b5, b6, b7]) + 1);
            self.opening.decrypt_inout_detached(received, Some(&next), associated_data, buffer, tag)
        }
    }
}
