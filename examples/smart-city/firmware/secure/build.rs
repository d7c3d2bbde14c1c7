//! Puts the memory map where the linker finds it.

use std::{env, error::Error, fs, path::PathBuf};

use smart_city_interface::memory::{SECURE_CODE, SECURE_RAM, VENEERS};

fn main() -> Result<(), Box<dyn Error>> {
    if env::var("CARGO_CFG_TARGET_OS")? == "none" {
        let out = PathBuf::from(env::var("OUT_DIR")?);
        // Above the stack are the eight bytes of its seal.
        let map = format!(
            "MEMORY {{
                FLASH : ORIGIN = {:#x}, LENGTH = {:#x}
                VENEERS : ORIGIN = {:#x}, LENGTH = {:#x}
                RAM : ORIGIN = {:#x}, LENGTH = {:#x}
            }}
            _stack_start = ORIGIN(RAM) + LENGTH(RAM) - 8;
            SECTIONS {{ .veneers ORIGIN(VENEERS) : {{ KEEP(*(.veneers)) }} > VENEERS }} INSERT AFTER .text;",
            SECURE_CODE.start, SECURE_CODE.len, VENEERS.start, VENEERS.len, SECURE_RAM.start, SECURE_RAM.len
        );
        fs::write(out.join("memory.x"), map)?;
        println!("cargo::rustc-link-search={}", out.display());
        println!("cargo::rustc-link-arg-bins=-Tlink.x");
    }
    println!("cargo::rerun-if-changed=build.rs");
    Ok(())
}
