//! Names for what several places of the source ask of the target, and for what the compiler does not tell the source.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(otr_small, otr_unaligned_words)");
    // On microcontrollers, code and stack are scarce.
    let arch = env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
    if ["arm", "riscv32"].contains(&arch.as_str()) {
        println!("cargo::rustc-cfg=otr_small");
    }
    // These cores load words from any address, so the code need not look whether an address is aligned.
    let target = env::var("TARGET").unwrap_or_default();
    if ["thumbv7", "thumbv8m.main", "aarch64"].iter().any(|cores| target.starts_with(cores)) {
        println!("cargo::rustc-cfg=otr_unaligned_words");
    }
}
