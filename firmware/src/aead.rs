//! OTR over TWINE, and over AES as a 128-bit cipher.

use crate::{
    report::Report,
    vectors::{AES_OTR_V3, AdProcessing, AeadVector, Cipher, TWINE_OTR, TWINE_OTR_INVALID, TWINE_OTR_SHORT},
};
use aes::{Aes128, Aes256};
use core::fmt;
use otr_mode::{
    Combined, Otr, Parallel, Serial,
    aead::{
        AeadInOut, Buffer, Error, KeyInit, Nonce, Tag,
        array::typenum::Unsigned,
        consts::{U4, U6, U7, U12, U16},
        inout::InOutBuf,
    },
};
use twine_cipher::{Twine80, Twine128};
use twine_otr_aead::{Twine80Otr, Twine128Otr};

pub(crate) fn twine(report: &mut Report<'_>) -> fmt::Result {
    file(report, "twine-otr", TWINE_OTR, twine_holds)?;
    file(report, "twine-otr-short", TWINE_OTR_SHORT, twine_holds)?;
    file(report, "twine-otr-invalid", TWINE_OTR_INVALID, twine_holds)
}

pub(crate) fn aes(report: &mut Report<'_>) -> fmt::Result {
    file(report, "aes-otr-v3", AES_OTR_V3, aes_holds)
}

fn file(
    report: &mut Report<'_>,
    name: &str,
    vectors: &[AeadVector],
    holds: fn(&AeadVector) -> bool,
) -> fmt::Result {
    for (processing_name, processing) in [
        ("parallel", AdProcessing::Parallel),
        ("serial", AdProcessing::Serial),
        ("combined", AdProcessing::Combined),
    ] {
        let mut checks = vectors
            .iter()
            .filter(|vector| vector.ad_processing == processing)
            .map(|vector| (vector.id, holds(vector)));
        report.group(format_args!("{name}, {processing_name}"), &mut checks)?;
    }
    Ok(())
}

/// Calls [`check`] for the instance of OTR that has the vector's cipher, sizes and processing of associated data.
macro_rules! dispatch {
    ($vector:expr, $($cipher:ident, $nonce:literal, $tag:literal => $otr:ident<$($parameter:ty),*>;)*) => {
        match ($vector.cipher, $vector.nonce.len(), $vector.tag_size) {
            $((Cipher::$cipher, $nonce, $tag) => match $vector.ad_processing {
                AdProcessing::Parallel => check::<$otr<$($parameter,)* Parallel>>($vector),
                AdProcessing::Serial => check::<$otr<$($parameter,)* Serial>>($vector),
                AdProcessing::Combined => check::<$otr<$($parameter,)* Combined>>($vector),
            },)*
            other => panic!("vectors of unexpected sizes: {other:?}"),
        }
    };
}

fn twine_holds(vector: &AeadVector) -> bool {
    dispatch! { vector,
        Twine80, 7, 8 => Twine80Otr<>;
        Twine80, 4, 4 => Otr<Twine80, U4, U4>;
        Twine80, 4, 6 => Otr<Twine80, U4, U6>;
        Twine80, 4, 7 => Otr<Twine80, U4, U7>;
        Twine80, 6, 4 => Otr<Twine80, U6, U4>;
        Twine80, 6, 6 => Otr<Twine80, U6, U6>;
        Twine80, 6, 7 => Otr<Twine80, U6, U7>;
        Twine128, 7, 8 => Twine128Otr<>;
        Twine128, 4, 4 => Otr<Twine128, U4, U4>;
        Twine128, 4, 6 => Otr<Twine128, U4, U6>;
        Twine128, 4, 7 => Otr<Twine128, U4, U7>;
        Twine128, 6, 4 => Otr<Twine128, U6, U4>;
        Twine128, 6, 6 => Otr<Twine128, U6, U6>;
        Twine128, 6, 7 => Otr<Twine128, U6, U7>;
    }
}

fn aes_holds(vector: &AeadVector) -> bool {
    dispatch! { vector,
        Aes128, 12, 16 => Otr<Aes128, U12, U16>;
        Aes256, 12, 16 => Otr<Aes256, U12, U16>;
    }
}

/// Whether the vector is sealed and opened as it states, or refused if it is invalid.
fn check<A: AeadInOut + KeyInit>(vector: &AeadVector) -> bool {
    let Ok(otr) = A::new_from_slice(vector.key) else { return false };
    let Ok(nonce) = vector.nonce.try_into() else { return false };
    if !vector.valid {
        return refuses(&otr, nonce, vector, vector.tag);
    }
    let Ok(tag) = vector.tag.try_into() else { return false };
    let mut other_tag = Tag::<A>::clone(tag);
    other_tag[vector.id as usize % A::TagSize::USIZE] ^= 1 << (vector.id % 8);
    seals(&otr, nonce, vector) && opens(&otr, nonce, vector, tag) && refuses(&otr, nonce, vector, &other_tag)
}

#[inline(never)] // One copy for all tags of a size, for want of flash.
fn seals<A: AeadInOut>(otr: &A, nonce: &Nonce<A>, vector: &AeadVector) -> bool {
    let mut buffer = FixedBuffer::new();
    let mut out = [0; CAPACITY];
    let out = &mut out[..vector.msg.len()];
    let Ok(in_out) = InOutBuf::new(vector.msg, out) else { return false };
    let Ok(tag) = otr.encrypt_inout_detached(nonce, vector.ad, in_out) else { return false };
    buffer.extend_from_slice(vector.msg).is_ok()
        && otr.encrypt_in_place(nonce, vector.ad, &mut buffer).is_ok()
        && buffer.as_ref().split_at(out.len()) == (vector.ct, vector.tag)
        && (&*out, tag.as_slice()) == (vector.ct, vector.tag)
}

#[inline(never)]
fn opens<A: AeadInOut>(otr: &A, nonce: &Nonce<A>, vector: &AeadVector, tag: &Tag<A>) -> bool {
    let mut buffer = FixedBuffer::new();
    let mut out = [0; CAPACITY];
    let out = &mut out[..vector.ct.len()];
    let Ok(in_out) = InOutBuf::new(vector.ct, out) else { return false };
    otr.decrypt_inout_detached(nonce, vector.ad, in_out, tag).is_ok()
        && out == vector.msg
        && buffer.extend_from_slice(vector.ct).is_ok()
        && buffer.extend_from_slice(tag).is_ok()
        && otr.decrypt_in_place(nonce, vector.ad, &mut buffer).is_ok()
        && buffer.as_ref() == vector.msg
}

/// Whether opening the vector with `tag`, which may be too short, fails and leaves zeros where the plaintext would be.
#[inline(never)]
fn refuses<A: AeadInOut>(otr: &A, nonce: &Nonce<A>, vector: &AeadVector, tag: &[u8]) -> bool {
    let mut buffer = FixedBuffer::new();
    if buffer.extend_from_slice(vector.ct).and_then(|()| buffer.extend_from_slice(tag)).is_err()
        || otr.decrypt_in_place(nonce, vector.ad, &mut buffer).is_ok()
    {
        return false;
    }
    // What is too short for a tag is not decrypted at all.
    let text_len = (vector.ct.len() + tag.len()).saturating_sub(A::TagSize::USIZE);
    if buffer.as_ref()[..text_len].iter().any(|byte| *byte != 0) {
        return false;
    }

    let Ok(tag) = tag.try_into() else { return true };
    let mut out = [0xA5; CAPACITY];
    let out = &mut out[..vector.ct.len()];
    let Ok(in_out) = InOutBuf::new(vector.ct, out) else { return false };
    otr.decrypt_inout_detached(nonce, vector.ad, in_out, tag).is_err() && out.iter().all(|byte| *byte == 0)
}

/// The longest vector with its tag.
const CAPACITY: usize = 96;

/// A buffer without an allocator.
struct FixedBuffer {
    bytes: [u8; CAPACITY],
    len: usize,
}

impl FixedBuffer {
    const fn new() -> Self {
        Self { bytes: [0; CAPACITY], len: 0 }
    }
}

impl AsRef<[u8]> for FixedBuffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl AsMut<[u8]> for FixedBuffer {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.len]
    }
}

impl Buffer for FixedBuffer {
    fn extend_from_slice(&mut self, other: &[u8]) -> Result<(), Error> {
        let end = self.len + other.len();
        self.bytes.get_mut(self.len..end).ok_or(Error)?.copy_from_slice(other);
        self.len = end;
        Ok(())
    }

    fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }
}
