//! AEADs of libraries that are tuned for the processor, in Rust, C and assembly, behind the traits of those in Rust. Keys and contexts are set up once, as a server does.

use std::marker::PhantomData;

use aead::{
    AeadCore, AeadInOut, Error, Key, KeyInit, KeySizeUser, Nonce, Tag, TagPosition,
    array::ArraySize,
    consts::{U12, U16, U32},
    inout::InOutBuf,
};

use super::{AES_GCM_GRAVIOLA, AES_GCM_RING, CHACHA_GRAVIOLA, CHACHA_RING, MESSAGES, add_aead_of};
use crate::Task;

pub(super) fn aead(tasks: &mut Vec<Task>) {
    add_aead_of::<Native<RingAes128>>(tasks, AES_GCM_RING, &MESSAGES, &[8]);
    add_aead_of::<Native<RingAes256>>(tasks, "AES-256-GCM, ring", &MESSAGES, &[8]);
    add_aead_of::<Native<RingChaCha>>(tasks, CHACHA_RING, &MESSAGES, &[8]);
    add_aead_of::<Native<GraviolaAes<U16>>>(tasks, AES_GCM_GRAVIOLA, &MESSAGES, &[8]);
    add_aead_of::<Native<GraviolaAes<U32>>>(tasks, "AES-256-GCM, graviola", &MESSAGES, &[8]);
    add_aead_of::<Native<GraviolaChaCha>>(tasks, CHACHA_GRAVIOLA, &MESSAGES, &[8]);
    #[cfg(feature = "openssl")]
    {
        add_aead_of::<Native<openssl::Aes128>>(tasks, super::AES_GCM_OPENSSL, &MESSAGES, &[8]);
        add_aead_of::<Native<openssl::ChaCha>>(tasks, super::CHACHA_OPENSSL, &MESSAGES, &[8]);
    }
}

/// An AEAD in place, with nonces of 12 bytes and tags of 16.
trait Library: Sized {
    type KeySize: ArraySize;

    fn new(key: &[u8]) -> Self;
    fn seal(&self, nonce: &[u8; 12], associated_data: &[u8], buffer: &mut [u8]) -> Result<[u8; 16], Error>;
    fn open(
        &self,
        nonce: &[u8; 12],
        associated_data: &[u8],
        buffer: &mut [u8],
        tag: &[u8; 16],
    ) -> Result<(), Error>;
}

struct Native<L>(L);

impl<L: Library> KeySizeUser for Native<L> {
    type KeySize = L::KeySize;
}

impl<L: Library> KeyInit for Native<L> {
    fn new(key: &Key<Self>) -> Self {
        Self(L::new(key))
    }
}

impl<L> AeadCore for Native<L> {
    type NonceSize = U12;
    type TagSize = U16;
    const TAG_POSITION: TagPosition = TagPosition::Postfix;
}

impl<L: Library> AeadInOut for Native<L> {
    #[inline]
    fn encrypt_inout_detached(
        &self,
        nonce: &Nonce<Self>,
        associated_data: &[u8],
        buffer: InOutBuf<'_, '_, u8>,
    ) -> Result<Tag<Self>, Error> {
        self.0.seal(&nonce.0, associated_data, buffer.into_out_with_copied_in()).map(Into::into)
    }

    #[inline]
    fn decrypt_inout_detached(
        &self,
        nonce: &Nonce<Self>,
        associated_data: &[u8],
        buffer: InOutBuf<'_, '_, u8>,
        tag: &Tag<Self>,
    ) -> Result<(), Error> {
        self.0.open(&nonce.0, associated_data, buffer.into_out_with_copied_in(), &tag.0)
    }
}

/// Which algorithm of `ring`.
trait RingAlgorithm {
    type KeySize: ArraySize;
    const ALGORITHM: &ring::aead::Algorithm;
}

struct Ring<A> {
    key: ring::aead::LessSafeKey,
    algorithm: PhantomData<A>,
}

macro_rules! ring_algorithm {
    ($alias:ident, $name:ident, $algorithm:ident, $key_size:ty) => {
        struct $name;

        impl RingAlgorithm for $name {
            type KeySize = $key_size;
            const ALGORITHM: &ring::aead::Algorithm = &ring::aead::$algorithm;
        }

        type $alias = Ring<$name>;
    };
}

ring_algorithm!(RingAes128, Aes128Gcm, AES_128_GCM, U16);
ring_algorithm!(RingAes256, Aes256Gcm, AES_256_GCM, U32);
ring_algorithm!(RingChaCha, ChaCha20Poly1305, CHACHA20_POLY1305, U32);

impl<A: RingAlgorithm> Library for Ring<A> {
    type KeySize = A::KeySize;

    fn new(key: &[u8]) -> Self {
        let key = ring::aead::UnboundKey::new(A::ALGORITHM, key).expect("the key has the right size");
        Self { key: ring::aead::LessSafeKey::new(key), algorithm: PhantomData }
    }

    #[inline]
    fn seal(&self, nonce: &[u8; 12], associated_data: &[u8], buffer: &mut [u8]) -> Result<[u8; 16], Error> {
        let nonce = ring::aead::Nonce::assume_unique_for_key(*nonce);
        let associated_data = ring::aead::Aad::from(associated_data);
        let tag = self.key.seal_in_place_separate_tag(nonce, associated_data, buffer).map_err(|_| Error)?;
        tag.as_ref().try_into().map_err(|_| Error)
    }

    #[inline]
    fn open(
        &self,
        nonce: &[u8; 12],
        associated_data: &[u8],
        buffer: &mut [u8],
        tag: &[u8; 16],
    ) -> Result<(), Error> {
        let nonce = ring::aead::Nonce::assume_unique_for_key(*nonce);
        let associated_data = ring::aead::Aad::from(associated_data);
        self.key
            .open_in_place_separate_tag(nonce, associated_data, (*tag).into(), buffer, 0..)
            .map(|_| ())
            .map_err(|_| Error)
    }
}

macro_rules! graviola {
    ($name:ty, $key_size:ty, $new:expr) => {
        impl Library for $name {
            type KeySize = $key_size;

            fn new(key: &[u8]) -> Self {
                $new(key)
            }

            #[inline]
            fn seal(
                &self,
                nonce: &[u8; 12],
                associated_data: &[u8],
                buffer: &mut [u8],
            ) -> Result<[u8; 16], Error> {
                let mut tag = [0; 16];
                self.0.encrypt(nonce, associated_data, buffer, &mut tag);
                Ok(tag)
            }

            #[inline]
            fn open(
                &self,
                nonce: &[u8; 12],
                associated_data: &[u8],
                buffer: &mut [u8],
                tag: &[u8; 16],
            ) -> Result<(), Error> {
                self.0.decrypt(nonce, associated_data, buffer, tag).map_err(|_| Error)
            }
        }
    };
}

/// With keys of `K` bytes.
struct GraviolaAes<K>(graviola::aead::AesGcm, PhantomData<K>);

graviola!(GraviolaAes<U16>, U16, |key: &[u8]| Self(graviola::aead::AesGcm::new(key), PhantomData));
graviola!(GraviolaAes<U32>, U32, |key: &[u8]| Self(graviola::aead::AesGcm::new(key), PhantomData));

struct GraviolaChaCha(graviola::aead::ChaCha20Poly1305);

graviola!(GraviolaChaCha, U32, |key: &[u8]| {
    let key = key.try_into().expect("the key has the right size");
    Self(graviola::aead::ChaCha20Poly1305::new(key))
});

#[cfg(feature = "openssl")]
mod openssl {
    use std::{cell::RefCell, marker::PhantomData};

    use aead::{
        Error,
        array::ArraySize,
        consts::{U16, U32},
    };
    use openssl::{
        cipher::{Cipher, CipherRef},
        cipher_ctx::{CipherCtx, CipherCtxRef},
    };

    use super::Library;

    pub(super) trait Algorithm {
        type KeySize: ArraySize;

        fn cipher() -> &'static CipherRef;
    }

    pub(super) struct Aes128Gcm;

    impl Algorithm for Aes128Gcm {
        type KeySize = U16;

        fn cipher() -> &'static CipherRef {
            Cipher::aes_128_gcm()
        }
    }

    pub(super) struct ChaCha20Poly1305;

    impl Algorithm for ChaCha20Poly1305 {
        type KeySize = U32;

        fn cipher() -> &'static CipherRef {
            Cipher::chacha20_poly1305()
        }
    }

    /// A context for each direction, with the key, which only takes another nonce for each message.
    pub(super) struct OpenSsl<A> {
        sealing: RefCell<CipherCtx>,
        opening: RefCell<CipherCtx>,
        algorithm: PhantomData<A>,
    }

    pub(super) type Aes128 = OpenSsl<Aes128Gcm>;
    pub(super) type ChaCha = OpenSsl<ChaCha20Poly1305>;

    impl<A: Algorithm> Library for OpenSsl<A> {
        type KeySize = A::KeySize;

        fn new(key: &[u8]) -> Self {
            const REASON: &str = "OpenSSL has the algorithm and memory";
            let (mut sealing, mut opening) =
                (CipherCtx::new().expect(REASON), CipherCtx::new().expect(REASON));
            sealing.encrypt_init(Some(A::cipher()), Some(key), None).expect(REASON);
            opening.decrypt_init(Some(A::cipher()), Some(key), None).expect(REASON);
            Self { sealing: sealing.into(), opening: opening.into(), algorithm: PhantomData }
        }

        #[inline]
        fn seal(
            &self,
            nonce: &[u8; 12],
            associated_data: &[u8],
            buffer: &mut [u8],
        ) -> Result<[u8; 16], Error> {
            let context = &mut **self.sealing.borrow_mut();
            let mut tag = [0; 16];
            context
                .encrypt_init(None, None, Some(nonce))
                .and_then(|()| process(context, associated_data, buffer))
                .and_then(|()| context.tag(&mut tag))
                .map_err(|_| Error)?;
            Ok(tag)
        }

        #[inline]
        fn open(
            &self,
            nonce: &[u8; 12],
            associated_data: &[u8],
            buffer: &mut [u8],
            tag: &[u8; 16],
        ) -> Result<(), Error> {
            let context = &mut **self.opening.borrow_mut();
            context
                .decrypt_init(None, None, Some(nonce))
                .and_then(|()| context.set_tag(tag))
                .and_then(|()| process(context, associated_data, buffer))
                .map_err(|_| Error)
        }
    }

    #[inline]
    fn process(
        context: &mut CipherCtxRef,
        associated_data: &[u8],
        buffer: &mut [u8],
    ) -> Result<(), openssl::error::ErrorStack> {
        context.cipher_update(associated_data, None)?;
        context.cipher_update_inplace(buffer, buffer.len())?;
        context.cipher_final(&mut [])?;
        Ok(())
    }
}
