//! Puts the memory map of the board where the linker finds it.

use std::{env, error::Error, fs, path::PathBuf};

/// The maps of real boards, and of those that QEMU emulates.
const MAPS: &str = "memory";
const QEMU_MAPS: &str = "../../firmware/memory";

/// The features that are names of boards.
const BOARDS: [&str; 10] = [
    "nrf52840-dk",
    "nucleo-f411re",
    "nucleo-f446re",
    "microbit-v1",
    "microbit-v2",
    "lpc55s69-evk",
    "rp2040",
    "rp2350",
    "rp2350-riscv",
    "virt",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={MAPS}");
    println!("cargo::rerun-if-changed={QEMU_MAPS}");
    println!("cargo::rerun-if-changed=build.rs");
    if env::var("CARGO_CFG_TARGET_OS")? != "none" {
        return Ok(());
    }
    let target = env::var("TARGET")?;
    let is_chosen = |board: &&str| {
        env::var_os(format!("CARGO_FEATURE_{}", board.to_uppercase().replace('-', "_"))).is_some()
    };
    let chosen: Vec<&str> = BOARDS.into_iter().filter(is_chosen).collect();
    let is_riscv = |board: &str| ["rp2350-riscv", "virt"].contains(&board);
    let (maps, board) = match (chosen.as_slice(), target.split('-').next()) {
        ([board], _) if is_riscv(board) != target.starts_with("riscv") => {
            return Err(format!("{board} is no board for {target}").into());
        }
        ([board], _) => (MAPS, *board),
        ([], Some("riscv32imc" | "riscv32imac")) => {
            // The whole memory map is that of the crate qemu-virt.
            println!("cargo::rustc-link-arg-bins=-Tvirt.x");
            return Ok(());
        }
        ([], Some("thumbv6m")) => (QEMU_MAPS, "microbit"),
        ([], Some("thumbv7m" | "thumbv7em")) => (QEMU_MAPS, "mps2-an385"),
        ([], Some("thumbv8m.main")) => (QEMU_MAPS, "mps2-an505"),
        ([], _) => return Err(format!("there is no board for {target}").into()),
        (several, _) => return Err(format!("one board at a time, not {}", several.join(" and ")).into()),
    };
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::copy(format!("{maps}/{board}.x"), out.join("memory.x"))?;
    println!("cargo::rustc-link-search={}", out.display());
    println!("cargo::rustc-link-arg-bins=-Tlink.x");
    Ok(())
}
