//! A mode with an error is not proved: one with other rules than the library's is compared with it, as if the library had the
//! error.
//!
//! The libraries are those that `cargo xtask prove` links, and `PROVE_ELVES` and `PROVE_MASKED` name them.

mod common;
#[path = "common/masked.rs"]
mod common_masked;

use common::libraries;
use common_masked::masked_libraries;
use prove::{
    bits,
    claims::{
        Claim, Job, Status, Subject, Target,
        blocks::{CONTEXT, context_size},
        counted::Counts,
        masked::{Masked, REFRESH},
        masked_mode::MaskedMessages,
        mode::{AdProcessing, Direction, Interface, Lengths, Messages},
    },
    elf::{Image, Segment},
    fault::Fault,
    graph::Lit,
    isa::{Isa, thumb::Core},
    spec::{
        otr::{PAPER, Rules},
        shared::Function,
    },
    with_isa,
};
use std::{collections::BTreeMap, sync::Arc};

/// Errors, with a message and data that show them.
fn errors(processing: AdProcessing) -> Vec<(&'static str, Rules, Lengths)> {
    let at = |text, ad| Lengths { text, ad };
    match processing {
        AdProcessing::Parallel => {}
        AdProcessing::Serial => {
            return vec![
                ("full data like a part", Rules { serial_full: PAPER.serial_part, ..PAPER }, at(5, 8)),
                (
                    "a part of data like full ones",
                    Rules { serial_part: PAPER.serial_full, ..PAPER },
                    at(5, 7),
                ),
                ("the mask not doubled", Rules { serial_mask: 1, ..PAPER }, at(5, 9)),
            ];
        }
        AdProcessing::Combined => {
            return vec![("data are sealed", Rules { combined: Direction::Seal, ..PAPER }, at(5, 17))];
        }
    }
    vec![
        ("another field", Rules { polynomial: &[0, 1, 3, 5], ..PAPER }, at(17, 0)),
        ("no reduction", Rules { polynomial: &[], ..PAPER }, at(0, 9)),
        ("padding by the lowest bit", Rules { padding: 0, ..PAPER }, at(3, 0)),
        ("no one before the nonce", Rules { nonce_mark: 0, ..PAPER }, at(8, 0)),
        ("the tag's size in the nonce", Rules { nonce_mark: 0x81, ..PAPER }, at(8, 0)),
        ("one mask for all pairs", Rules { step: 1, ..PAPER }, at(33, 0)),
        ("masks of pairs tripled", Rules { step: 3, ..PAPER }, at(33, 0)),
        ("one mask for both blocks", Rules { second: 1, ..PAPER }, at(17, 0)),
        ("the second mask doubled", Rules { second: 2, ..PAPER }, at(16, 0)),
        ("a full last block like a part", Rules { full: PAPER.part, ..PAPER }, at(8, 0)),
        ("a part like a full last block", Rules { part: PAPER.full, ..PAPER }, at(9, 0)),
        ("one mask for both sorts of last chunks", Rules { last_pair: 1, ..PAPER }, at(12, 0)),
        ("a checksum of first blocks", Rules { checksum_of_pair: [true, false], ..PAPER }, at(17, 0)),
        ("a checksum of all blocks", Rules { checksum_of_pair: [true, true], ..PAPER }, at(17, 0)),
        ("a checksum without the last plaintext", Rules { checksum_of_z: false, ..PAPER }, at(16, 0)),
        ("a checksum without the last ciphertext", Rules { checksum_of_last: false, ..PAPER }, at(9, 0)),
        ("the mask for a key stream", Rules { enciphers_last: false, ..PAPER }, at(1, 0)),
        ("the mask of data doubled at once", Rules { data_start: 2, ..PAPER }, at(0, 9)),
        ("one mask for all blocks of data", Rules { data_step: 1, ..PAPER }, at(0, 17)),
        ("full data like a part", Rules { data_full: PAPER.data_part, ..PAPER }, at(5, 8)),
        ("a part of data like full ones", Rules { data_part: PAPER.data_full, ..PAPER }, at(5, 7)),
        ("the sum of data not enciphered", Rules { data_enciphered: false, ..PAPER }, at(0, 3)),
        ("data without influence", Rules { data_in_tag: false, ..PAPER }, at(0, 3)),
        ("a last chunk of two full blocks as a pair", Rules { chunk: 15, ..PAPER }, at(16, 0)),
    ]
}

fn check<I: Isa>(image: &Arc<Image>, isa: I, name: &str) {
    for processing in [AdProcessing::Parallel, AdProcessing::Serial, AdProcessing::Combined] {
        check_with(
            Messages::new(image, isa, 128, Interface::Context, processing).unwrap(),
            &errors(processing),
            name,
        );
    }
}

fn check_with<I: Isa>(mut messages: Messages<I>, errors: &[(&str, Rules, Lengths)], name: &str) {
    for (error, rules, lengths) in errors.iter().cloned() {
        messages.rules = PAPER;
        assert!(messages.check(Direction::Seal, lengths).unwrap(), "{name}: {lengths:?}");
        assert!(messages.check(Direction::Open, lengths).unwrap(), "{name}: {lengths:?}");
        messages.rules = rules;
        assert!(!messages.check(Direction::Seal, lengths).unwrap(), "{name}: {error} is proved");
        // The tag is another one, so that the decision is not whether it differs.
        let opened = messages.check(Direction::Open, lengths).expect_err(error);
        let fault: &Fault = opened.downcast_ref().expect(error);
        assert_eq!(fault.kind(), &Fault::Secret("a branch"), "{name}: {error}");
    }
}

#[test]
fn no_error_in_the_mode_is_proved() {
    for (image, target) in libraries() {
        with_isa!(target.processor, isa => check(&image, isa, &target.name));
    }
}

const LENGTHS: Lengths = Lengths { text: 5, ad: 3 };

/// An error in what a sealer or an opener counts, and what is told of it.
type CountError = (fn(&mut Counts), &'static str);

/// Of the counter also bits of the second and third byte, whatever it is.
const SEALER_ERRORS: [CountError; 4] = [
    (|counts| counts.counter[0] = !counts.counter[0], "the nonce is not that of the counter"),
    (|counts| counts.counter[15] = Lit::ZERO, "the nonce is not that of the counter"),
    (|counts| counts.counter[23] = Lit::ONE, "the nonce is not that of the counter"),
    (|counts| counts.used += 1, "the count of blocks is not as specified"),
];

/// The window is that after an opener has skipped two messages.
const OPENER_ERRORS: [CountError; 3] = [
    (|counts| counts.used += 1, "the count of blocks is not as specified"),
    (|counts| counts.failures += 1, "the count of failures is not as specified"),
    (|counts| assert!(counts.opened.insert(1)), "the window is not as specified"),
];

fn check_counted<I: Isa>(image: &Arc<Image>, isa: I, name: &str) {
    for (interface, direction, errors, writable) in [
        (Interface::Context, Direction::Seal, &[][..], 0),
        // The mark, the counter, the count of blocks, and the prepared nonce.
        (Interface::Sealer, Direction::Seal, &SEALER_ERRORS, 8 + 4 + 4 + 16),
        // The mark, the counts, the limit of blocks, the next counter, the window, and the prepared nonce.
        (Interface::Opener, Direction::Open, &OPENER_ERRORS, 8 + 4 + 4 + 4 + 8 + 8 + 16),
    ] {
        let name = format!("{name}, {interface:?}");
        let mut messages = Messages::new(image, isa, 128, interface, AdProcessing::Parallel).unwrap();
        for (make, expected) in errors {
            messages.restart().unwrap();
            assert!(messages.check(direction, LENGTHS).unwrap(), "{name}");
            assert!(messages.check(direction, LENGTHS).unwrap(), "{name}: the second message");
            make(messages.counts().expect("it has counts"));
            let wrong = messages.check(direction, LENGTHS).expect_err(expected).to_string();
            assert!(wrong.starts_with(expected), "{name}: {wrong} for {expected}");
        }

        messages.restart().unwrap();
        if interface != Interface::Context {
            // A round key that a call would change, even if it were allowed to.
            let m = &mut messages.machine;
            let bytes: BTreeMap<u64, _> = m.memory.bytes("context").collect();
            let is_fixed = |(at, byte): (&u64, &[Lit; 8])| {
                let depends = byte.iter().any(|bit| bit.value().is_none());
                depends && m.memory.write(*at, byte).is_err()
            };
            let fixed: Vec<bool> = bytes.iter().map(is_fixed).collect();
            // Fewer bytes in a row are the fixed part of the nonces.
            let middle = fixed.windows(17).position(|bytes| bytes.iter().all(|&fixed| fixed)).unwrap() + 8;
            let (&at, byte) = bytes.iter().nth(middle).unwrap();
            m.memory.set(at, &byte.map(|bit| !bit));
            let wrong = messages.check(direction, LENGTHS).unwrap_err().to_string();
            assert!(wrong.starts_with("the context is not as specified, at byte"), "{name}: {wrong}");
        }

        let m = &mut messages.machine;
        let size = context_size(image, Some(interface)) as u64;
        let byte = bits::constant(0, 8);
        assert_eq!(
            (0..size).filter(|at| m.memory.write(CONTEXT + at, &byte).is_ok()).count(),
            writable,
            "{name}"
        );
        assert!(m.memory.read(&mut m.graph, CONTEXT, size as usize).is_ok(), "{name}");
        assert!(m.memory.read(&mut m.graph, CONTEXT + size, 1).is_err(), "{name}");
        assert!(m.memory.read(&mut m.graph, CONTEXT - 1, 1).is_err(), "{name}");
    }
}

#[test]
fn contexts_that_change_otherwise_are_not_proved() {
    for (image, target) in libraries() {
        with_isa!(target.processor, isa => check_counted(&image, isa, &target.name));
    }
}

/// A library that takes another backend than the one that a claim is about.
#[test]
fn another_backend_is_not_proved() {
    for (image, target) in libraries() {
        for (_, other) in libraries().iter().filter(|(other, _)| other.symbols == image.symbols) {
            if other.name == target.name {
                continue;
            }
            let wrong = Target { processor: other.processor, ..target.clone() };
            let job = Job { subject: Subject::Blocks, target: wrong, key_bits: 128, found_only: false };
            for claim in job.run(&image).claims {
                let Status::Failed(why) = claim.status else {
                    panic!("{} is proved of {}", claim.claim, other.name);
                };
                assert!(why.contains("which is not one of"), "{why}");
            }
        }
        let smaller = Target { batch: target.batch / 2, ..target.clone() };
        let job = Job { subject: Subject::Blocks, target: smaller, key_bits: 128, found_only: false };
        let is_proved = |claim: &Claim| claim.status == Status::Proved;
        let found = job.run(&image);
        assert!(!found.claims.iter().all(is_proved), "{} with half a batch", target.name);
    }
}

/// Another image, in which the function `name` is this code.
fn with_function(image: &Image, name: &str, code: &[u16], word: u32) -> Arc<Image> {
    const ADDRESS: u64 = 0x7300_0000;
    let bytes: Vec<u8> = code.iter().flat_map(|half| half.to_le_bytes()).chain(word.to_le_bytes()).collect();
    let mut image = image.clone();
    image.symbols.insert(name.to_owned(), (ADDRESS, bytes.len() as u64));
    image.segments.push(Segment { address: ADDRESS, bytes, writable: false, executable: true });
    Arc::new(image)
}

/// Exchanges the first two words of share a of the first round key, and the words of share b that belong to them.
const EXCHANGE: [u16; 8] = [0x6802, 0x6843, 0x6003, 0x6042, 0x69c2, 0x6903, 0x61c3, 0x6102];
/// `bx lr`.
const RETURN: u16 = 0x4770;
/// Goes to the address that is in the next word.
const GO: [u16; 2] = [0x4b00, 0x4718];

#[test]
fn new_masks_that_change_or_leave_round_keys_are_not_proved() {
    for (image, core, name) in masked_libraries() {
        for key_bits in [128, 80] {
            for count in 0..3 {
                let mut masked = Masked::new(&image, core, key_bits);
                assert!(masked.schedule().unwrap(), "{name}");
                for _ in 0..count {
                    assert!(masked.refresh().unwrap(), "{name}");
                }
                assert!(masked.encrypt().unwrap(), "{name}, with new masks {count} times");
            }
        }
        let refresh = image.function(REFRESH).unwrap() as u32 | 1;
        let go = with_function(&image, REFRESH, &GO, refresh);
        let exchange = with_function(&image, REFRESH, &[&EXCHANGE[..], &GO].concat(), refresh);
        let nothing = with_function(&image, REFRESH, &[RETURN], 0);
        for (what, image, is_right) in [
            ("as it is", go, true),
            ("words are exchanged", exchange, false),
            ("no new masks", nothing, false),
        ] {
            let mut masked = Masked::<Core>::new(&image, core, 128);
            assert!(masked.schedule().unwrap(), "{name}");
            assert_eq!(masked.refresh().unwrap(), is_right, "{name}: {what}");
        }
    }
}

#[test]
fn no_error_in_a_masked_mode_is_proved() {
    // What is erased of the stack is looked at in the claims.
    let stacks: BTreeMap<Function, u64> =
        [Function::Schedule, Function::Refresh, Function::Encrypt].map(|function| (function, 0)).into();
    for (image, core, name) in masked_libraries() {
        for (direction, errors) in
            [(Direction::Seal, &SEALER_ERRORS[..]), (Direction::Open, &OPENER_ERRORS[..])]
        {
            let name = format!("{name}, {direction:?}");
            let mut messages = MaskedMessages::new(&image, core, 128, direction, stacks.clone()).unwrap();
            for (make, _) in errors {
                messages.restart().unwrap();
                make(messages.counts());
                let wrong = messages.check(LENGTHS).unwrap_err().to_string();
                assert!(
                    wrong.ends_with("of the context") || wrong.contains("nonce is not"),
                    "{name}: {wrong}"
                );
            }

            messages.restart().unwrap();
            let m = &mut messages.machine;
            let bytes: BTreeMap<u64, _> = m.memory.bytes("context").collect();
            // Of what depends on inputs only the fixed part of nonces must not be written.
            let mut is_fixed = |(at, byte): &(&u64, &[Lit; 8])| {
                byte.iter().any(|bit| bit.value().is_none()) && m.memory.write(**at, *byte).is_err()
            };
            let (&at, byte) = bytes.iter().find(|entry| is_fixed(entry)).unwrap();
            m.memory.set(at, &byte.map(|bit| !bit));
            let wrong = messages.check(LENGTHS).unwrap_err().to_string();
            assert!(wrong.starts_with("the context is not as specified, at byte"), "{name}: {wrong}");
        }
        let mut messages = MaskedMessages::new(&image, core, 128, Direction::Seal, stacks.clone()).unwrap();
        for (error, rules, lengths) in errors(AdProcessing::Parallel).into_iter().step_by(3) {
            messages.restart().unwrap();
            messages.rules = rules;
            assert!(!messages.check(lengths).unwrap(), "{name}: {error} is proved");
        }
        messages.rules = PAPER;
        messages.restart().unwrap();
        assert!(messages.check(LENGTHS).unwrap(), "{name}");
    }
}
