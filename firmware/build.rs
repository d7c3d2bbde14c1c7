//! Puts the memory map of the target's board where the linker finds it, and the known answers where the source
//! includes them.

use std::{env, error::Error, fs, path::PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("vectors.rs"), test_vectors::firmware_source())?;

    if env::var("CARGO_CFG_TARGET_OS")? == "none" {
        let target = env::var("TARGET")?;
        if target.starts_with("riscv32") {
            // The whole memory map is that of the crate qemu-virt.
            println!("cargo::rustc-link-arg-bins=-Tvirt.x");
            return Ok(());
        }
        let board = match target.split('-').next() {
            Some("thumbv6m") => "microbit",
            Some("thumbv7m" | "thumbv7em") => "mps2-an385",
            Some("thumbv8m.main") => "mps2-an505",
            _ => return Err(format!("there is no board for {target}").into()),
        };
        fs::copy(format!("memory/{board}.x"), out.join("memory.x"))?;
        println!("cargo::rustc-link-search={}", out.display());
        println!("cargo::rustc-link-arg-bins=-Tlink.x");
    }
    println!("cargo::rerun-if-changed=memory");
    println!("cargo::rerun-if-changed=build.rs");
    Ok(())
}
