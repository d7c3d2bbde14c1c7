//! `cargo xtask prove`: proofs for all inputs about the C library, by the workspace `prove`.

use crate::{
    capi, paths,
    sh::{self, Cmd},
    tools,
};
use anyhow::{Result, bail};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The functions of the C interface that claims are about.
const FUNCTIONS: [&str; 12] = [
    "twine80_otr_init",
    "twine80_otr_seal",
    "twine80_otr_open",
    "twine128_otr_init",
    "twine128_otr_seal",
    "twine128_otr_open",
    "twine80_init",
    "twine80_encrypt_blocks",
    "twine80_decrypt_blocks",
    "twine128_init",
    "twine128_encrypt_blocks",
    "twine128_decrypt_blocks",
];

/// The C library's functions that the code calls, at addresses where nothing is: the prover knows what the first three do, and
/// stops at the others.
const OUTSIDE: [&str; 6] = ["memcpy", "memmove", "memset", "memcmp", "bcmp", "abort"];

/// `cargo xtask prove ...`.
pub(crate) fn main(arguments: &[&str]) -> Result<()> {
    if !is_x86_64_linux() {
        return Ok(());
    }
    match arguments {
        ["--elf", elf, rest @ ..] => prover().args([elf, "--found"]).args(rest).run(),
        ["--mutants"] => cargo("test")
            .args(["--test", "mutants", "--", "--nocapture"])
            .env("PROVE_ELF", link()?)
            .env("PROVE_MUTANTS", "200")
            .run(),
        [first, ..] if !matches!(*first, "--json" | "--only" | "--edges") => {
            bail!("unexpected argument {first}")
        }
        rest => prove(rest),
    }
}

/// All claims.
fn prove(arguments: &[&str]) -> Result<()> {
    prover().arg(link()?).arg("--soft32").arg(link_soft32()?).args(arguments).run()
}

/// The prover's own tests, mutants among them, and then the claims, with a selection of lengths.
pub(crate) fn test() -> Result<()> {
    let cargo = |command: &str| cargo(command).args(["--all-targets"]);
    sh::cargo().args(["fmt", "--manifest-path", MANIFEST, "--check"]).run()?;
    cargo("clippy").args(["--", "--deny", "warnings"]).run()?;
    if !is_x86_64_linux() {
        return Ok(());
    }
    let elf = link()?;
    cargo("test").env("PROVE_ELF", &elf).run()?;
    prove(&["--edges"])?;
    let program = link_program()?;
    prover().arg(program).args(["--found", "--edges", "--only", "soft64"]).run()
}

const MANIFEST: &str = "prove/Cargo.toml";

fn cargo(command: &str) -> Cmd {
    sh::cargo().args([command, "--manifest-path", MANIFEST, "--target-dir"]).arg(dir())
}

fn prover() -> Cmd {
    cargo("run").args(["--quiet", "--"])
}

fn dir() -> PathBuf {
    paths::target().join("prove")
}

/// Links the static library of the C interface alone.
fn link() -> Result<PathBuf> {
    link_alone(&capi::static_library(sh::cargo(), None, &paths::target())?, "x86-64.elf")
}

/// The same with the portable backend for 32-bit words, which no library for x86-64 has otherwise.
fn link_soft32() -> Result<PathBuf> {
    let cargo = sh::cargo().env("RUSTFLAGS", "--cfg twine_backend=\"soft32\"");
    link_alone(&capi::static_library(cargo, None, &dir().join("soft32"))?, "soft32.elf")
}

fn link_alone(library: &Path, name: &str) -> Result<PathBuf> {
    let elf = dir().join(name);
    fs::create_dir_all(dir())?;
    Cmd::new(tools::c_compiler()?)
        .args(["-nostdlib", "-static", "-no-pie", "-Wl,--gc-sections,-e,0,-z,noexecstack"])
        .args(FUNCTIONS.map(|function| format!("-Wl,-u,{function}")))
        .args(
            OUTSIDE
                .iter()
                .enumerate()
                .map(|(i, name)| format!("-Wl,--defsym={name}={:#x}", 0x7000_0000 + 16 * i)),
        )
        .arg(library)
        .arg("-o")
        .arg(&elf)
        .run()?;
    Ok(elf)
}

/// Links the example in C, with the system's C library, for what is proved of a program that is not made for it.
fn link_program() -> Result<PathBuf> {
    let elf = dir().join("example");
    Cmd::new(tools::c_compiler()?)
        .args(["-static", "-O1", "-Icapi/include", "capi/examples/main.c"])
        .arg(capi::static_library(sh::cargo(), None, &paths::target())?)
        .arg("-o")
        .arg(&elf)
        .run()?;
    Ok(elf)
}

fn is_x86_64_linux() -> bool {
    let is = cfg!(all(target_os = "linux", target_arch = "x86_64"));
    if !is {
        println!("only x86-64 on Linux is modelled so far");
    }
    is
}
