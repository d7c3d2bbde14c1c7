//! `cargo xtask masking`: the masked ciphers, and what the package `masking` proves of the linked kernels.

use crate::{
    capi, paths,
    sh::{self, Cmd},
    tools::{self, Toolchain},
};
use anyhow::Result;
use std::{fs, path::PathBuf};

const MANIFEST: &str = "masking/Cargo.toml";

/// What makes the library have the masked ciphers.
const FLAGS: &str = "--cfg twine_masked";

/// The kernels, by their symbols.
const KERNELS: [&str; 4] =
    ["twine_masked_encrypt", "twine_masked_schedule_128", "twine_masked_schedule_80", "twine_masked_refresh"];

/// The targets that have them.
const TARGETS: [&str; 2] = ["thumbv7em-none-eabi", "thumbv8m.main-none-eabi"];

fn dir() -> PathBuf {
    paths::target().join("masking")
}

fn cargo(command: &str) -> Cmd {
    sh::cargo().args([command, "--manifest-path", MANIFEST, "--target-dir"]).arg(dir())
}

/// Tests the package and the masked ciphers on this machine, and checks the kernels that are linked for boards.
pub(crate) fn test() -> Result<()> {
    cargo("test").run()?;
    sh::cargo()
        .args(["test", "--package", "twine-cipher", "--lib", "--target-dir"])
        .arg(dir().join("host"))
        .env("RUSTFLAGS", FLAGS)
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .run()?;
    let images = TARGETS.into_iter().map(link).collect::<Result<Vec<_>>>()?;
    cargo("run").args(["--", "check"]).args(images).run()
}

/// Links the kernels of the C library for a board.
fn link(target: &str) -> Result<PathBuf> {
    let cargo = Toolchain::for_target(target)?.cargo();
    let cargo = cargo.env("RUSTFLAGS", FLAGS).env_remove("CARGO_ENCODED_RUSTFLAGS");
    let library = capi::static_library(cargo, Some(target), &dir().join("boards"))?;
    let image = dir().join(format!("{target}.elf"));
    fs::create_dir_all(dir())?;
    Cmd::new(tools::gcc_arm()?)
        .args(["-nostdlib", "-static", "-Wl,--gc-sections,-e,0,-z,noexecstack"])
        .args(KERNELS.map(|kernel| format!("-Wl,-u,{kernel}")))
        .arg(library)
        .arg("-o")
        .arg(&image)
        .run()?;
    Ok(image)
}
