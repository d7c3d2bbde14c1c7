//! `cargo xtask setup`: installs what the other commands need.

use crate::{
    aarch64, i686, msrv,
    tools::{self, Toolchain},
};
use anyhow::Result;

/// `cargo xtask setup`.
pub(crate) fn main() -> Result<()> {
    for target in tools::THUMB_TARGETS.iter().chain(&tools::RISC_V_TARGETS) {
        println!("{target}: {}", Toolchain::for_target(target)?.describe());
    }
    println!("QEMU: {}, {}", tools::qemu()?.display(), tools::qemu_riscv()?.display());
    println!("C: {}, {}", tools::c_compiler()?.display(), tools::cxx_compiler()?.display());
    println!("C for bare metal: {}, {}", tools::gcc_arm()?.display(), tools::gcc_riscv()?.display());
    println!("make and CMake: {}, {}", tools::make()?.display(), tools::cmake()?.display());
    println!("pkg-config and LLD: {}, {}", tools::pkg_config()?.display(), tools::lld()?.display());
    if aarch64::IS_EMULATED {
        println!("{}: {}", aarch64::TARGET, Toolchain::for_target(aarch64::TARGET)?.describe());
        println!("its QEMU: {}", tools::qemu_aarch64()?.display());
        println!("its linker: {}", tools::linker_aarch64()?.display());
    }
    if i686::RUNS {
        println!("{}: {}", i686::TARGET, Toolchain::for_target(i686::TARGET)?.describe());
        println!("its linker: {}", tools::linker_i686()?.display());
    }
    println!("{}: {}", tools::WASM_TARGET, Toolchain::for_target(tools::WASM_TARGET)?.describe());
    println!("C++: {}", tools::cxx()?.display());
    println!("Rust {}: {}", msrv::VERSION, msrv::rustc()?.display());
    for tool in ["cargo-hack", "cargo-mutants"] {
        println!("{tool}: {}", tools::tool(tool)?.display());
    }
    Ok(())
}
