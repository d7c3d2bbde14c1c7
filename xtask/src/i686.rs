//! The libraries on 32-bit x86: the portable backend with words of 32 bits beside vectors, on the CPU itself.

use crate::{
    paths,
    tools::{self, Toolchain},
};
use anyhow::Result;

pub(crate) const TARGET: &str = "i686-unknown-linux-gnu";

/// Whether this machine runs programs of the target.
pub(crate) const RUNS: bool =
    cfg!(all(target_os = "linux", any(target_arch = "x86", target_arch = "x86_64")));

/// Runs the tests of the cipher, with every backend of the machine, and those of the mode.
pub(crate) fn test() -> Result<()> {
    let cargo = |command| -> Result<_> {
        Ok(Toolchain::for_target(TARGET)?
            .cargo_with_std()
            .args([command, "--package", "twine-cipher", "--package", "otr-mode", "--all-features"])
            .args(["--target", TARGET, "--target-dir"])
            .arg(paths::target().join("i686")))
    };
    if !RUNS {
        println!("this machine does not run programs of {TARGET}: compiled, not run");
        return cargo("check")?.arg("--lib").run();
    }
    cargo("test")?
        .args(["--lib", "--tests"])
        .env("CARGO_TARGET_I686_UNKNOWN_LINUX_GNU_LINKER", tools::linker_i686()?)
        // The programs then need no libraries of the target. The user's own flags are for the host.
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .run()
}
