//! Whether times depend on secrets, by statistics: `cargo xtask bench dudect`.
//!
//! For each operation, times with one fixed secret and with random ones are compared by Welch's t-test (Reparaz, Balasch and
//! Verbauwhede, "dude, is my code constant time?", 2017). A large |t| says that they differ; a small one that so many
//! samples on this machine do not show it. `control` leaks on purpose: what it gives is what a leak looks like.
#![allow(missing_docs, reason = "the macro makes undocumented items")]

use std::hint::black_box;

use dudect_bencher::{
    BenchRng, Class, CtRunner, ctbench_main,
    rand::{Rng, RngExt},
};
use operations::Leak;
use twine_otr_aead::{AeadInOut, Key, KeyInit, Nonce, Tag, Twine128Otr};

/// Samples of a run.
const SAMPLES: usize = 100_000;

/// Bytes of a message.
const MESSAGE: usize = 64;

const ASSOCIATED_DATA: &[u8] = b"sensor 7";

struct Secrets {
    class: Class,
    key: Key<Twine128Otr>,
    message: [u8; MESSAGE],
}

/// Zero secrets on the left and random ones on the right, mixed. All are there before the first is used.
fn secrets(rng: &mut BenchRng) -> Vec<Secrets> {
    let mut secrets = Vec::with_capacity(SAMPLES);
    for _ in 0..SAMPLES {
        let (mut key, mut message) = (Key::<Twine128Otr>::default(), [0; MESSAGE]);
        rng.fill_bytes(&mut key);
        rng.fill_bytes(&mut message);
        let class = if rng.random() { Class::Left } else { Class::Right };
        if let Class::Left = class {
            (key, message) = (Key::<Twine128Otr>::default(), [0; MESSAGE]);
        }
        secrets.push(Secrets { class, key, message });
    }
    secrets
}

fn control(runner: &mut CtRunner, rng: &mut BenchRng) {
    for secret in secrets(rng) {
        // A single one would drown in the resolution of the clock.
        runner.run_one(secret.class, || {
            for _ in 0..16 {
                Leak::Branch.leak(&secret.key.0);
            }
        });
    }
}

fn set_up(runner: &mut CtRunner, rng: &mut BenchRng) {
    for secret in secrets(rng) {
        runner.run_one(secret.class, || drop(black_box(<Twine128Otr>::new(black_box(&secret.key)))));
    }
}

fn seal(runner: &mut CtRunner, rng: &mut BenchRng) {
    let nonce = Nonce::<Twine128Otr>::default();
    for secret in secrets(rng) {
        let cipher = <Twine128Otr>::new(&secret.key);
        runner.run_one(secret.class, || {
            let mut message = secret.message;
            let tag = cipher.encrypt_inout_detached(&nonce, ASSOCIATED_DATA, message.as_mut_slice().into());
            (message, tag)
        });
    }
}

fn open(runner: &mut CtRunner, rng: &mut BenchRng) {
    run_open(runner, rng, |_, _| ());
}

/// The tag is wrong in its first bit on the left, and in all bits on the right.
///
/// Both are written alike, and whole: to load what was just stored in parts takes longer.
fn refuse(runner: &mut CtRunner, rng: &mut BenchRng) {
    run_open(runner, rng, |class, tag| {
        let error = match class {
            Class::Left => 0x80,
            Class::Right => u64::MAX,
        };
        let wrong = u64::from_le_bytes(tag.0) ^ black_box(error);
        tag.0 = wrong.to_le_bytes();
    });
}

fn run_open(runner: &mut CtRunner, rng: &mut BenchRng, change: fn(&Class, &mut Tag<Twine128Otr>)) {
    let nonce = Nonce::<Twine128Otr>::default();
    for mut secret in secrets(rng) {
        let cipher = <Twine128Otr>::new(&secret.key);
        let tag =
            cipher.encrypt_inout_detached(&nonce, ASSOCIATED_DATA, secret.message.as_mut_slice().into());
        let mut tag = tag.expect("the message is not too long");
        change(&secret.class, &mut tag);
        runner.run_one(secret.class, || {
            let mut message = secret.message;
            let buffer = message.as_mut_slice().into();
            let result = cipher.decrypt_inout_detached(&nonce, ASSOCIATED_DATA, buffer, &tag);
            (message, result)
        });
    }
}

ctbench_main!(control, set_up, seal, open, refuse);
