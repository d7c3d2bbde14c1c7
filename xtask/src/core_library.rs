//! The library of a target for which Debian's toolchain has only the sources, built once. With cargo's `-Z build-std` alone, each folder,
//! profile and flag builds it anew, which takes longer than what is built on it.

use crate::{paths, sh::Cmd, tools};
use anyhow::{Context, Result, ensure};
use std::{
    fs,
    path::{Path, PathBuf},
    process,
};

/// A package with nothing in it, which is compiled like firmware.
const SEED: &str = r#"[package]
name = "seed"
edition = "2024"

[lib]
path = "seed.rs"

[profile.release]
codegen-units = 1
opt-level = "s"
panic = "abort"

[workspace]
"#;

/// Returns a compiler that is `rustc`, of this version, and has the library of `target`, too. If that has not been built yet, `cargo` does it.
///
/// Processes may do this at the same time: what they make is the same, and gets its name when it is complete.
pub(crate) fn compiler(rustc: &str, version: &str, cargo: Cmd, target: &str) -> Result<PathBuf> {
    let dir = paths::target().join("core").join(version.replace(' ', "-"));
    let targets = dir.join("sysroot/lib/rustlib");
    let libraries = targets.join(target).join("lib");
    let compiler = dir.join("rustc");
    if libraries.exists() {
        return Ok(compiler);
    }

    let own = dir.join(format!("{target}-{}", process::id()));
    if own.exists() {
        // Of a process with this number that was stopped.
        fs::remove_dir_all(&own)?;
    }
    fs::create_dir_all(&own)?;
    fs::write(own.join("Cargo.toml"), SEED)?;
    fs::write(own.join("seed.rs"), "#![no_std]\n")?;
    cargo
        .args(["build", "--release", "--target", target, "--target-dir", "build"])
        // So that it can be optimised at link time.
        .env("RUSTFLAGS", "-Cembed-bitcode=yes")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .dir(&own)
        .run()?;
    let built = own.join("libraries");
    fs::create_dir(&built)?;
    for file in fs::read_dir(own.join("build").join(target).join("release/deps"))? {
        let path = file?.path();
        let name = path.file_name().context("a file has a name")?;
        let is_wanted = |name: &str| name.ends_with(".rlib") && !name.starts_with("libseed-");
        if name.to_str().is_some_and(is_wanted) {
            fs::copy(&path, built.join(name))?;
        }
    }

    let script = own.join("rustc");
    // A target directory may be moved.
    fs::write(&script, format!("#!/bin/sh\nexec {rustc} --sysroot \"${{0%/*}}/sysroot\" \"$@\"\n"))?;
    Cmd::new("chmod").arg("+x").arg(&script).read().context("chmod failed")?;
    fs::rename(script, &compiler)?;
    // Programs that run while something is built are linked with the library of this machine.
    let host = tools::host()?;
    let (from, to) = (Path::new("/usr/lib/rustlib").join(&host), targets.join(&host));
    fs::create_dir_all(targets.join(target))?;
    // Without -T a second link would be made within the folder that the first one leads to.
    Cmd::new("ln").arg("-sT").arg(from).arg(&to).read();
    ensure!(to.is_dir(), "cannot link to the library of {host}");
    if let Err(error) = fs::rename(built, &libraries) {
        ensure!(libraries.is_dir(), "cannot keep the library of {target}: {error}");
    }
    fs::remove_dir_all(own)?;
    Ok(compiler)
}
