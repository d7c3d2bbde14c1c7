//! What the compiler does not tell the source: whether it has the intrinsics of AVX-512, which are stable since Rust 1.89,
//! which Thumb instructions the target has, and, for a test, whether it optimises.

use std::{env, process::Command};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(twine_avx512)");
    let is_x86 = matches!(env::var("CARGO_CFG_TARGET_ARCH").as_deref(), Ok("x86" | "x86_64"));
    if is_x86 && minor_version().is_some_and(|minor| minor >= 89) {
        println!("cargo::rustc-cfg=twine_avx512");
    }

    println!("cargo::rustc-check-cfg=cfg(twine_optimized)");
    if env::var("OPT_LEVEL").is_ok_and(|level| level != "0") {
        println!("cargo::rustc-cfg=twine_optimized");
    }

    println!("cargo::rustc-check-cfg=cfg(twine_thumb, values(none(), \"v6m\", \"v7m\"))");
    let target = env::var("TARGET").unwrap_or_default();
    let kernels = match target.split('-').next() {
        Some("thumbv6m" | "thumbv8m.base") => Some("v6m"),
        Some("thumbv7m" | "thumbv7em" | "thumbv8m.main") => Some("v7m"),
        _ => None,
    };
    let is_chosen = env::var("CARGO_CFG_TWINE_BACKEND").map_or(true, |forced| forced == "thumb");
    if let (Some(kernels), true) = (kernels, is_chosen) {
        println!("cargo::rustc-cfg=twine_thumb");
        println!("cargo::rustc-cfg=twine_thumb=\"{kernels}\"");
    }
}

/// N of Rust 1.N.
fn minor_version() -> Option<u32> {
    let output = Command::new(env::var_os("RUSTC")?).arg("--version").output().ok()?;
    let version = String::from_utf8(output.stdout).ok()?;
    version.strip_prefix("rustc 1.")?.split('.').next()?.parse().ok()
}
