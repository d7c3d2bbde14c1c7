//! The command does what its usage says and refuses the rest.

use std::process::{Command, Output};

use test_vectors::generate::{self, Request};
use test_vectors::{AdProcessing, Cipher};

fn run(arguments: &str) -> Output {
    let command = env!("CARGO_BIN_EXE_generate-vectors");
    Command::new(command).args(arguments.split_whitespace()).output().unwrap()
}

fn stdout(arguments: &str) -> String {
    let output = run(arguments);
    assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn prints() {
    assert_eq!(stdout("check"), "");
    assert!(stdout("rust") == test_vectors::firmware_source());
    assert!(stdout("c") == test_vectors::c_header());
    assert!(stdout("help").starts_with("usage:"));

    let usual = Request::new(Cipher::Twine128, AdProcessing::Combined);
    assert_eq!(stdout("more --cipher TWINE-128 --ad combined"), generate::more(&usual).unwrap().to_json());
    let request = Request { nonce_size: 5, tag_size: 4, count: 3, seed: 9, ..usual };
    assert_eq!(
        stdout("more --seed 9 --count 3 --tag-size 4 --nonce-size 5 --ad combined --cipher TWINE-128"),
        generate::more(&request).unwrap().to_json()
    );
}

#[test]
fn refuses() {
    for arguments in [
        "",
        "check now",
        "more",
        "more --cipher TWINE-80",
        "more --ad serial",
        "more --cipher twine --ad serial",
        "more --cipher TWINE-80 --ad sequential",
        "more --cipher TWINE-80 --ad serial --count",
        "more --cipher TWINE-80 --ad serial --count -1",
        "more --cipher TWINE-80 --ad serial --seed 4294967296",
        "more --cipher TWINE-80 --ad serial --nonce-size 8",
        "more --cipher TWINE-80 --ad serial --size 8",
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments}");
        assert!(output.stdout.is_empty() && output.stderr.starts_with(b"generate-vectors: "), "{arguments}");
    }
}
