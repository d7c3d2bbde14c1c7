//! The intrinsics of AVX-512 are stable since Rust 1.89; older compilers build without that backend.

use std::{env, process::Command};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(twine_avx512)");
    let is_x86 = matches!(env::var("CARGO_CFG_TARGET_ARCH").as_deref(), Ok("x86" | "x86_64"));
    if is_x86 && minor_version().is_some_and(|minor| minor >= 89) {
        println!("cargo::rustc-cfg=twine_avx512");
    }
}

/// N of Rust 1.N.
fn minor_version() -> Option<u32> {
    let output = Command::new(env::var_os("RUSTC")?).arg("--version").output().ok()?;
    let version = String::from_utf8(output.stdout).ok()?;
    version.strip_prefix("rustc 1.")?.split('.').next()?.parse().ok()
}
