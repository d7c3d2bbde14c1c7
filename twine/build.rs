//! Names for what several places of the source ask of the target, and for what the compiler does not tell the source:
//! - `twine_simd`: the target has vector instructions that a backend uses, those of "x86" or of "neon".
//! - `twine_avx512`: the compiler has the intrinsics of AVX-512, which are stable since Rust 1.89.
//! - `twine_thumb`: the target has the Thumb instructions of the kernels "v6m" or "v7m".
//! - `twine_optimized`: the compiler optimises. Only a test asks for this.

use std::{env, process::Command};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(twine_simd, values(none(), \"x86\", \"neon\"))");
    println!("cargo::rustc-check-cfg=cfg(twine_avx512)");
    let (arch, endian) = (cfg("ARCH"), cfg("ENDIAN"));
    let features = cfg("FEATURE");
    let has = |feature| features.split(',').any(|enabled| enabled == feature);
    if has("sse2") {
        println!("cargo::rustc-cfg=twine_simd");
        println!("cargo::rustc-cfg=twine_simd=\"x86\"");
        if minor_version().is_some_and(|minor| minor >= 89) {
            println!("cargo::rustc-cfg=twine_avx512");
        }
    } else if arch == "aarch64" && endian == "little" && has("neon") {
        println!("cargo::rustc-cfg=twine_simd");
        println!("cargo::rustc-cfg=twine_simd=\"neon\"");
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

/// What the target has, as `target_arch` and the like say it; empty if they say nothing.
fn cfg(name: &str) -> String {
    env::var(format!("CARGO_CFG_TARGET_{name}")).unwrap_or_default()
}

/// N of Rust 1.N.
fn minor_version() -> Option<u32> {
    let output = Command::new(env::var_os("RUSTC")?).arg("--version").output().ok()?;
    let version = String::from_utf8(output.stdout).ok()?;
    version.strip_prefix("rustc 1.")?.split('.').next()?.parse().ok()
}
