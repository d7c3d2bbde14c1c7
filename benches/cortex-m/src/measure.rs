//! What is measured.

use aead::{AeadInOut, Nonce, Tag};
use core::{
    fmt::{self, Write},
    hint::black_box,
};
use twine_cipher::{
    Twine128,
    cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit, consts::U8},
};

use twine_otr_aead::{Opener, Sealer};

use crate::{SetUp, TwineOtr, counter::Counter, set_up, stack};

/// Lengths of messages, in bytes.
const MESSAGES: [usize; 6] = [8, 16, 32, 64, 256, 1024];
const ASSOCIATED_DATA: [u8; 8] = *b"sensor 7";

/// Prints what everything costs, a line of JSON each. Where nothing counts cycles, they are null; then the operation is a
/// region of the trace, and lines with `"traced":true` are in the order of regions.
pub(crate) fn all(out: &mut dyn Write) -> fmt::Result {
    let report = &mut Report { out, counter: Counter::start(), is_warm: false };
    blocks(report)?;
    aead::<TwineOtr>(report, "TWINE-128-OTR")?;
    in_order(report, "TWINE-128-OTR, sealer")?;
    #[cfg(feature = "peers")]
    {
        aead::<crate::Ascon>(report, "Ascon-AEAD128")?;
        aead::<crate::ChaCha>(report, "ChaCha20-Poly1305")?;
        aead::<crate::AesGcm>(report, "AES-128-GCM")?;
        aead::<crate::AesCcm>(report, "AES-128-CCM")?;
    }
    Ok(())
}

struct Report<'a> {
    out: &'a mut dyn Write,
    counter: Counter,
    /// Whether the same ran immediately before, so that it is in the caches.
    is_warm: bool,
}

impl Report<'_> {
    /// Runs `operations` as they come, and where cycles are counted once more: warm.
    fn each(&mut self, mut operations: impl FnMut(&mut Self) -> fmt::Result) -> fmt::Result {
        operations(self)?;
        if self.counter.counts() {
            self.is_warm = true;
            operations(self)?;
            self.is_warm = false;
        }
        Ok(())
    }

    /// Runs `operation` and prints what it costs.
    fn time(
        &mut self,
        algorithm: &str,
        name: &str,
        bytes: usize,
        associated_data: usize,
        operation: impl FnOnce(),
    ) -> fmt::Result {
        let cycles = self.counter.cycles(|| qemu_trace::region(operation));
        let fields = format_args!(
            r#"{{"algorithm":"{algorithm}","operation":"{name}","bytes":{bytes},"associated_data":{associated_data}"#
        );
        match cycles {
            Some(cycles) => writeln!(self.out, r#"{fields},"cycles":{cycles},"warm":{}}}"#, self.is_warm),
            None => writeln!(self.out, r#"{fields},"traced":true}}"#),
        }
    }

    fn memory(&mut self, algorithm: &str, name: &str, bytes: usize) -> fmt::Result {
        writeln!(
            self.out,
            r#"{{"algorithm":"{algorithm}","operation":"{name}","bytes":{bytes},"associated_data":0}}"#
        )
    }
}

fn blocks(report: &mut Report<'_>) -> fmt::Result {
    const NAME: &str = "TWINE-128";
    let mut cipher = Twine128::new(&Array([0x42; 16]));
    report
        .each(|report| report.time(NAME, "setup", 0, 0, || cipher.set_key(black_box(&Array([0x42; 16])))))?;
    let mut blocks = [Array::<u8, U8>([7; 8]); 4];
    for count in 1..=4 {
        let blocks = &mut blocks[..count];
        report.each(|report| {
            report.time(NAME, "encrypt", 8 * count, 0, || cipher.encrypt_blocks(blocks))?;
            report.time(NAME, "decrypt", 8 * count, 0, || cipher.decrypt_blocks(blocks))
        })?;
    }
    report.memory(NAME, "key", size_of::<Twine128>())
}

fn aead<A: AeadInOut + SetUp>(report: &mut Report<'_>, name: &str) -> fmt::Result {
    let key = aead::Key::<A>::default();
    let mut aead = A::new(&key);
    report.each(|report| report.time(name, "setup", 0, 0, || set_up(&mut aead, black_box(&key))))?;
    let nonce = Nonce::<A>::default();
    let mut buffer = [0x5A; MESSAGES[MESSAGES.len() - 1]];
    for bytes in MESSAGES {
        let buffer = &mut buffer[..bytes];
        let mut tag = Tag::<A>::default();
        report.each(|report| {
            let data = ASSOCIATED_DATA.len();
            report.time(name, "seal", bytes, data, || seal(&aead, &nonce, buffer, &mut tag))?;
            report.time(name, "open", bytes, data, || open(&aead, &nonce, buffer, &tag))
        })?;
    }
    report.memory(name, "key", size_of::<A>())?;
    let mut tag = Tag::<A>::default();
    let buffer = &mut buffer[..64];
    let used = [
        stack::used(|| set_up(&mut aead, &key)),
        stack::used(|| seal(&aead, &nonce, buffer, &mut tag)),
        stack::used(|| open(&aead, &nonce, buffer, &tag)),
    ];
    report.memory(name, "stack", used.into_iter().max().unwrap_or_default())
}

/// Counted nonces, each of which is prepared with the message before.
fn in_order(report: &mut Report<'_>, name: &str) -> fmt::Result {
    let key = aead::Key::<TwineOtr>::default();
    let mut sealer: Sealer = Sealer::with_ephemeral_key(&key, *b"up 7");
    let mut opener: Opener = Opener::new(&key, *b"up 7");
    let mut buffer = [0x5A; MESSAGES[MESSAGES.len() - 1]];
    // The first message finds nothing prepared.
    let mut sealed = Sealed::default();
    seal_next(&mut sealer, &mut [], &mut sealed);
    open_next(&mut opener, &mut [], &sealed);
    for bytes in MESSAGES {
        let buffer = &mut buffer[..bytes];
        report.each(|report| {
            let data = ASSOCIATED_DATA.len();
            report.time(name, "seal", bytes, data, || seal_next(&mut sealer, buffer, &mut sealed))?;
            report.time(name, "open", bytes, data, || open_next(&mut opener, buffer, &sealed))
        })?;
    }
    report.memory(name, "key", size_of::<Sealer>())?;
    let buffer = &mut buffer[..64];
    let used = [
        stack::used(|| seal_next(&mut sealer, buffer, &mut sealed)),
        stack::used(|| open_next(&mut opener, buffer, &sealed)),
    ];
    report.memory(name, "stack", used.into_iter().max().unwrap_or_default())
}

type Sealed = (Nonce<TwineOtr>, Tag<TwineOtr>);

fn seal_next(sealer: &mut Sealer, buffer: &mut [u8], sealed: &mut Sealed) {
    match sealer.seal_inout_detached(&ASSOCIATED_DATA, buffer.into()) {
        Ok(new) => *sealed = new,
        Err(_) => panic!("a message was not sealed"),
    }
}

fn open_next(opener: &mut Opener, buffer: &mut [u8], (nonce, tag): &Sealed) {
    if opener.open_inout_detached(nonce, &ASSOCIATED_DATA, buffer.into(), tag).is_err() {
        panic!("a message was not opened");
    }
}

fn seal<A: AeadInOut>(aead: &A, nonce: &Nonce<A>, buffer: &mut [u8], tag: &mut Tag<A>) {
    match aead.encrypt_inout_detached(nonce, &ASSOCIATED_DATA, buffer.into()) {
        Ok(new) => *tag = new,
        Err(_) => panic!("a message was not sealed"),
    }
}

fn open<A: AeadInOut>(aead: &A, nonce: &Nonce<A>, buffer: &mut [u8], tag: &Tag<A>) {
    if aead.decrypt_inout_detached(nonce, &ASSOCIATED_DATA, buffer.into(), tag).is_err() {
        panic!("a message was not opened");
    }
}
