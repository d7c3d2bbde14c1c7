//! Sampled: a short form of the fixed-against-random tests. `cargo run --release -- leakage` is the long one.

use masking::{
    ADD, ENCRYPT,
    kernel::Kernel,
    kernels,
    leakage::{
        Experiment, LIMIT, Lengths, Task, greatest, with_a_pad_that_keeps_its_register, with_a_share_left,
        with_a_share_over_the_other,
    },
};
use std::collections::BTreeSet;

const SHORT: Experiment = Experiment {
    key_len: 16,
    task: Task::Blocks,
    has_fixed_key: false,
    is_masked: true,
    unmasks_tag: false,
    secret: 1,
    traces: 16_384,
};

const LENGTHS: Lengths = Lengths { message: 44, data: 12 };

/// Of a whole message.
const MESSAGE: Experiment = Experiment { task: Task::Message(LENGTHS), ..SHORT };

/// Of one that is refused.
const FORGERY: Experiment = Experiment { task: Task::Forgery(LENGTHS), ..SHORT };

fn run(experiment: Experiment, change: impl FnOnce(&mut Kernel)) -> f64 {
    run_with(experiment, ENCRYPT, change)
}

fn run_with(experiment: Experiment, name: &str, change: impl FnOnce(&mut Kernel)) -> f64 {
    let mut kernels = kernels();
    change(kernels.iter_mut().find(|kernel| kernel.name == name).unwrap());
    greatest(&experiment.run(&kernels).unwrap())
}

#[test]
fn nothing_is_seen_of_secrets() {
    for (secret, key_len, has_fixed_key) in [(1, 10, false), (2, 10, true), (3, 16, false), (4, 16, true)] {
        let greatest = run(Experiment { secret, key_len, has_fixed_key, ..SHORT }, |_| ());
        assert!(greatest < LIMIT, "key of {key_len} bytes: {greatest}");
    }
}

#[test]
fn secrets_without_masks_are_seen() {
    assert!(run(Experiment { is_masked: false, traces: 512, ..SHORT }, |_| ()) > LIMIT);
}

#[test]
fn faults_are_seen() {
    for fault in [with_a_pad_that_keeps_its_register, with_a_share_over_the_other] {
        let greatest = run(SHORT, fault);
        assert!(greatest > LIMIT, "{greatest}");
    }
}

/// The loop of the kernel for blocks runs nine times, and each time this fault is seen once. One fixed secret alone shows some of these samples, and two
/// at least of these secrets show each.
#[test]
fn several_secrets_show_a_fault_each_time() {
    let mut kernels = kernels();
    kernels.iter_mut().filter(|kernel| kernel.name == ENCRYPT).for_each(with_a_pad_that_keeps_its_register);
    let mut seen = BTreeSet::new();
    for secret in [1, 2, 4, 5] {
        let samples = Experiment { secret, ..SHORT }.run(&kernels).unwrap();
        seen.extend((0..samples.len()).filter(|n| samples[*n].t.abs() > LIMIT));
    }
    assert_eq!(seen.len(), 9);
}

#[test]
fn nothing_is_seen_of_the_secrets_of_a_message() {
    let rows = [(44, 12, false), (36, 0, false), (100, 40, false), (44, 12, true)];
    for (secret, (message, data, has_fixed_key)) in (5..).zip(rows) {
        let task = Task::Message(Lengths { message, data });
        let greatest = run(Experiment { task, has_fixed_key, secret, ..MESSAGE }, |_| ());
        assert!(greatest < LIMIT, "{greatest}");
    }
}

#[test]
fn a_message_without_masks_is_seen() {
    for has_fixed_key in [false, true] {
        let without = Experiment { is_masked: false, has_fixed_key, traces: 512, ..MESSAGE };
        assert!(run(without, |_| ()) > LIMIT);
    }
}

#[test]
fn a_fault_in_the_mode_is_seen() {
    let greatest = run_with(Experiment { traces: 2_048, ..MESSAGE }, ADD, with_a_share_left);
    assert!(greatest > LIMIT, "{greatest}");
}

/// Where all that is public is the same in all traces, also what follows from the key and public bytes would be seen: the checksum, TE and TA.
#[test]
fn nothing_is_seen_of_a_forgery() {
    for (secret, message, data) in [(9, 44, 12), (10, 36, 0)] {
        let task = Task::Forgery(Lengths { message, data });
        let greatest = run(Experiment { task, secret, ..FORGERY }, |_| ());
        assert!(greatest < LIMIT, "{message} bytes: {greatest}");
    }
}

/// Without associated data, the expected tag is TE.
#[test]
fn an_expected_tag_without_masks_is_seen() {
    for (message, data) in [(44, 12), (36, 0)] {
        let task = Task::Forgery(Lengths { message, data });
        let greatest = run(Experiment { task, unmasks_tag: true, traces: 2_048, ..FORGERY }, |_| ());
        assert!(greatest > LIMIT, "{message} bytes: {greatest}");
    }
}
