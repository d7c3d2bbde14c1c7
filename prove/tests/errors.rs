//! A mode with an error is not proved: one with other rules than the library's is compared with it, as if the library had the
//! error.
//!
//! The libraries are those that `cargo xtask prove` links, and `PROVE_ELVES` names them.

mod common;

use common::libraries;
use prove::{
    claims::mode::{AdProcessing, Direction, Interface, Lengths, Messages},
    elf::Image,
    fault::Fault,
    isa::Isa,
    spec::otr::{PAPER, Rules},
    with_isa,
};
use std::sync::Arc;

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

fn check_counter<I: Isa>(image: &Arc<Image>, isa: I, name: &str) {
    let lengths = Lengths { text: 5, ad: 3 };
    let mut sealer = Messages::new(image, isa, 128, Interface::Sealer, AdProcessing::Parallel).unwrap();
    assert!(sealer.check(Direction::Seal, lengths).unwrap(), "{name}");
    assert!(sealer.check(Direction::Seal, lengths).unwrap(), "{name}: the second message");
    sealer.counter += 1;
    let wrong = sealer.check(Direction::Seal, lengths).unwrap_err().to_string();
    assert_eq!(wrong, "the nonce is not that of the counter", "{name}");
}

#[test]
fn a_sealer_that_counts_otherwise_is_not_proved() {
    for (image, target) in libraries() {
        with_isa!(target.processor, isa => check_counter(&image, isa, &target.name));
    }
}
