//! Finds what the other commands need, or installs it.
//!
//! For each need the same order: what is there; else Debian's packages, where they can be installed; else the user's
//! own rustup; else a message that says what to install.

use crate::{
    apt, firmware, msrv, paths,
    sh::{self, Cmd},
};
use anyhow::{Context, Result, bail};
use std::{
    env,
    path::{Path, PathBuf},
};

/// Debian's build of a recent compiler and the sources of its library, from which cargo builds `core` and `alloc` for
/// targets that Debian does not package; its linker is lld.
const DEBIAN_TOOLCHAIN: [&str; 4] = ["rustc-web", "rust-web-src", "cargo-web", "lld"];

/// `cargo xtask setup`.
pub(crate) fn main() -> Result<()> {
    for target in THUMB_TARGETS {
        println!("{target}: {}", Toolchain::for_target(target)?.describe());
    }
    println!("QEMU: {}", qemu()?.display());
    println!("Rust {}: {}", msrv::VERSION, msrv::rustc()?.display());
    println!(
        "cargo-hack: {}",
        cargo_hack(true)?.context("cargo-hack is missing after its installation")?.display()
    );
    for board in firmware::BOARDS {
        println!("board: {board}");
    }
    Ok(())
}

/// Bare-metal targets for which the libraries must build.
pub(crate) const THUMB_TARGETS: [&str; 5] = [
    "thumbv6m-none-eabi",
    "thumbv7m-none-eabi",
    "thumbv7em-none-eabi",
    "thumbv7em-none-eabihf",
    "thumbv8m.main-none-eabi",
];

/// What builds for a bare-metal target.
#[derive(Clone, Copy)]
pub(crate) enum Toolchain {
    /// The one that runs xtask: it has the target's libraries.
    Own,
    /// Debian's, which builds them.
    Debian,
}

impl Toolchain {
    /// Finds or installs a toolchain for `target`.
    pub(crate) fn for_target(target: &str) -> Result<Self> {
        if has_target(target) {
            return Ok(Self::Own);
        }
        if DEBIAN_TOOLCHAIN.into_iter().all(apt::is_installed) {
            return Ok(Self::Debian);
        }
        if apt::can_install() {
            apt::install(&DEBIAN_TOOLCHAIN)?;
            return Ok(Self::Debian);
        }
        if paths::find_program("rustup").is_some() {
            Cmd::new("rustup").args(["target", "add", target]).run()?;
            if has_target(target) {
                return Ok(Self::Own);
            }
        }
        bail!(
            "no Rust library for {target}: run `rustup target add {target}`, \
             or on Debian, as root, `apt-get install {}`",
            DEBIAN_TOOLCHAIN.join(" ")
        )
    }

    /// Its cargo.
    pub(crate) fn cargo(self) -> Cmd {
        match self {
            Self::Own => sh::cargo(),
            // RUSTC_BOOTSTRAP: -Z build-std is not stable. RUSTC: must match the library's sources. The library path is
            // that of the cargo that runs xtask.
            Self::Debian => Cmd::new("/usr/bin/cargo")
                .env("RUSTC_BOOTSTRAP", "1")
                .env("RUSTC", "/usr/bin/rustc")
                .env_remove("LD_LIBRARY_PATH")
                .arg("--config")
                .arg(paths::root().join("firmware/build-std.toml")),
        }
    }

    fn describe(self) -> &'static str {
        match self {
            Self::Own => "the installed toolchain",
            Self::Debian => "Debian's toolchain, building core itself",
        }
    }
}

/// Whether the toolchain that runs xtask has the library of `target`.
fn has_target(target: &str) -> bool {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    Cmd::new(rustc)
        .args(["--print", "sysroot"])
        .read()
        .is_some_and(|sysroot| Path::new(&sysroot).join("lib/rustlib").join(target).join("lib").is_dir())
}

/// The emulator of the boards.
pub(crate) fn qemu() -> Result<PathBuf> {
    const PROGRAM: &str = "qemu-system-arm";
    if let Some(path) = paths::find_program(PROGRAM) {
        return Ok(path);
    }
    if apt::can_install() {
        apt::install(&[PROGRAM])?;
    }
    paths::find_program(PROGRAM).with_context(|| {
        format!(
            "{PROGRAM} is not in PATH: install the package qemu-system-arm (Debian, Ubuntu), \
             qemu-system-arm-core (Fedora) or qemu (Homebrew)"
        )
    })
}

/// cargo-hack, if it is there or `install` says to put it below the target directory.
pub(crate) fn cargo_hack(install: bool) -> Result<Option<PathBuf>> {
    let root = paths::target().join("tools");
    let own = root.join("bin").join(format!("cargo-hack{}", env::consts::EXE_SUFFIX));
    let found = || own.is_file().then(|| own.clone()).or_else(|| paths::find_program("cargo-hack"));
    if found().is_none() && install {
        sh::cargo()
            .args(["install", "cargo-hack", "--locked", "--root"])
            .arg(&root)
            .env("CARGO_TARGET_DIR", root.join("build"))
            .run()?;
    }
    Ok(found())
}
