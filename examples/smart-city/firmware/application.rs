//! The build script of an application: puts its memory map where the linker finds it.

use std::{env, error::Error, fs, path::PathBuf};

use smart_city_interface::memory::{CODE, RAM};

fn main() -> Result<(), Box<dyn Error>> {
    if env::var("CARGO_CFG_TARGET_OS")? == "none" {
        let out = PathBuf::from(env::var("OUT_DIR")?);
        let map = format!(
            "MEMORY {{
                FLASH : ORIGIN = {:#x}, LENGTH = {:#x}
                RAM : ORIGIN = {:#x}, LENGTH = {:#x}
            }}",
            CODE.start, CODE.len, RAM.start, RAM.len
        );
        fs::write(out.join("memory.x"), map)?;
        println!("cargo::rustc-link-search={}", out.display());
        println!("cargo::rustc-link-arg-bins=-Tlink.x");
    }
    println!("cargo::rerun-if-changed=../application.rs");
    Ok(())
}
