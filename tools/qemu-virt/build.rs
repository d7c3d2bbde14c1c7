//! Puts the linker script where the linker finds it.

use std::{env, error::Error};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=virt.x");
    println!("cargo::rustc-link-search={}", env::var("CARGO_MANIFEST_DIR")?);
    Ok(())
}
