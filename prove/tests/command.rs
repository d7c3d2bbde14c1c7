//! What the command refuses.
//!
//! The libraries are those that `cargo xtask prove` links, and `PROVE_ELVES` names them.

mod common;

use common::libraries;
use std::{env, process::Command};

fn message(arguments: &[&str]) -> String {
    let library = env::split_paths(&env::var_os("PROVE_ELVES").unwrap()).next().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_prove")).arg(library).args(arguments).output().unwrap();
    assert!(!output.status.success() && output.stdout.is_empty());
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn each_name_must_be_that_of_a_target() {
    let (_, target) = &libraries()[0];
    assert!(
        message(&["--only", &target.name, "--only", "avx1024"]).contains("no target is named like avx1024")
    );
    assert!(message(&["--onyl", &target.name]).contains("unexpected argument --onyl"));
}
