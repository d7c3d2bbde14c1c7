//! All but TWINE.

use aead::consts::{U12, U16};
use aes::Aes128;
use aes_gcm::Aes128Gcm;
use ascon_aead::AsconAead128;
use ccm::Ccm;
use chacha20poly1305::ChaCha20Poly1305;
use ocb3::Ocb3;
use otr_mode::Otr;
use speck_cipher::Speck64_128;

use super::{AES_CCM, AES_GCM, AES_OCB, AES_OTR, ASCON, CHACHA, MESSAGES, add_aead, add_block};
use crate::{Task, task};

type AesOtr = Otr<Aes128, U12, U16>;
type AesCcm = Ccm<Aes128, U16, U12>;
type AesOcb = Ocb3<Aes128, U12>;

const AES: &str = "AES-128";
const SPECK: &str = "Speck64/128";

pub(super) fn aead(tasks: &mut Vec<Task>) {
    add_aead::<AesOtr>(tasks, AES_OTR, &MESSAGES);
    add_aead::<AsconAead128>(tasks, ASCON, &MESSAGES);
    add_aead::<ChaCha20Poly1305>(tasks, CHACHA, &MESSAGES);
    add_aead::<Aes128Gcm>(tasks, AES_GCM, &MESSAGES);
    add_aead::<AesCcm>(tasks, AES_CCM, &MESSAGES);
    add_aead::<AesOcb>(tasks, AES_OCB, &MESSAGES);
}

pub(super) fn block(tasks: &mut Vec<Task>) {
    add_block::<Aes128>(tasks, AES);
    add_block::<Speck64_128>(tasks, SPECK);
}

pub(super) fn setup(tasks: &mut Vec<Task>) {
    tasks.extend([
        task::setup::<Aes128>(AES),
        task::setup::<Speck64_128>(SPECK),
        task::setup::<AesOtr>(AES_OTR),
        task::setup::<AsconAead128>(ASCON),
        task::setup::<ChaCha20Poly1305>(CHACHA),
        task::setup::<Aes128Gcm>(AES_GCM),
        task::setup::<AesCcm>(AES_CCM),
        task::setup::<AesOcb>(AES_OCB),
    ]);
}
