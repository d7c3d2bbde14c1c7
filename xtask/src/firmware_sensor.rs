//! The example `firmware-sensor`, which has a workspace of its own.

use crate::{
    paths,
    sh::{self, Cmd},
    tools::{self, Toolchain},
};
use anyhow::{Context as _, Result, bail};
use std::{env, path::PathBuf};

const MANIFEST: &str = "examples/firmware-sensor/Cargo.toml";

/// QEMU's board: the package, and its target.
const QEMU: (&str, &str) = ("sensor-qemu", "thumbv7em-none-eabi");

/// The real boards.
const BOARDS: [(&str, &str); 2] =
    [("sensor-nrf52840-dk", "thumbv7em-none-eabi"), ("sensor-rp2040", "thumbv6m-none-eabi")];

/// For `cargo xtask test`: a few lives on this machine, and a few kills of QEMU.
pub(crate) fn test() -> Result<()> {
    sh::cargo().args(["fmt", "--manifest-path", MANIFEST, "--all", "--check"]).run()?;
    cargo("clippy").args(["--all-targets", "--", "--deny", "warnings"]).run()?;
    cargo("test").run()?;
    power_cuts(30)
}

/// `cargo xtask firmware sensor [--kills N]`: the same for longer.
pub(crate) fn main(options: &[&str]) -> Result<()> {
    let kills = match options {
        [] => 1000,
        ["--kills", number] => number.parse().context("--kills needs a number")?,
        _ => bail!("expected `firmware sensor [--kills N]`"),
    };
    cargo("test")
        .args([
            "--package",
            "sensor-node",
            "--test",
            "node",
            "--test",
            "bytes",
            "anywhere",
            "--",
            "--nocapture",
        ])
        .env("SENSOR_LIVES", (10 * kills).to_string())
        .run()?;
    power_cuts(kills)
}

/// Builds the node for all real boards; none of them is there to run it.
pub(crate) fn build_boards() -> Result<()> {
    BOARDS.into_iter().try_for_each(|(package, target)| build(package, target).map(drop))
}

fn power_cuts(kills: u32) -> Result<()> {
    let firmware = build(QEMU.0, QEMU.1)?;
    cargo("build").args(["--package", "sensor-station", "--bin", "sensor-power-cuts"]).run()?;
    let program =
        host_target_dir().join("debug").join(format!("sensor-power-cuts{}", env::consts::EXE_SUFFIX));
    Cmd::new(program)
        .arg("--qemu")
        .arg(tools::qemu()?)
        .args(["--kills", &kills.to_string()])
        .arg(firmware)
        .run()
}

/// Builds the node for a board and returns its ELF file.
fn build(package: &str, target: &str) -> Result<PathBuf> {
    let target_dir = paths::target().join("firmware-sensor-board");
    Toolchain::for_target(target)?
        .cargo()?
        .args(["build", "--manifest-path", MANIFEST, "--package", package, "--profile", "firmware"])
        .args(["--target", target, "--target-dir"])
        .arg(&target_dir)
        .args(locked())
        .run()?;
    Ok(target_dir.join(target).join("firmware").join(package))
}

fn host_target_dir() -> PathBuf {
    paths::target().join("firmware-sensor")
}

/// A cargo command on what runs on this machine.
fn cargo(command: &str) -> Cmd {
    sh::cargo()
        .args([command, "--manifest-path", MANIFEST, "--target-dir"])
        .arg(host_target_dir())
        .args(locked())
}

/// Elsewhere a change of dependencies may update the lock file.
fn locked() -> Option<&'static str> {
    env::var_os("CI").map(|_| "--locked")
}
