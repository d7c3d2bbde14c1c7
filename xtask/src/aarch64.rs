//! The NEON backend on machines of other architectures: its tests under user-mode QEMU.

use crate::{
    paths,
    sh::Cmd,
    tools::{self, Toolchain},
};
use anyhow::{Context, Result, bail};
use std::{path::PathBuf, process::Stdio};

pub(crate) const TARGET: &str = "aarch64-unknown-linux-gnu";

/// Whether this machine can emulate the target and does not run it anyway.
pub(crate) const IS_EMULATED: bool = cfg!(all(target_os = "linux", not(target_arch = "aarch64")));

/// Runs the tests of the cipher on a CPU that has NEON and nothing more, then its unit tests on one with the SHA3
/// extension, which adds three vectors with one instruction.
pub(crate) fn test() -> Result<()> {
    if cfg!(target_arch = "aarch64") {
        println!("this machine is one: the other steps test NEON");
        return Ok(());
    }
    if !IS_EMULATED {
        println!("QEMU emulates processes on Linux only: compiled, not run");
        return cargo(&Toolchain::for_target(TARGET)?, "check").arg("--lib").run();
    }
    let toolchain = Toolchain::for_target(TARGET)?;
    let (qemu, linker) = (tools::qemu_aarch64()?, tools::linker_aarch64()?);
    let cargo = |command| {
        cargo(&toolchain, command)
            .env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", &linker)
            // QEMU then needs no libraries of the target. The user's own flags are for the host.
            .env("RUSTFLAGS", "-C target-feature=+crt-static --cfg twine_backend=\"neon\"")
            .env("TWINE_FORCED_BACKEND", "neon")
    };
    cargo("test")
        .args(["--lib", "--tests"])
        .env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER", format!("{} -cpu cortex-a53", qemu.display()))
        .run()?;

    // Flags for this crate alone: those in RUSTFLAGS would build the standard library again.
    let build = cargo("rustc")
        .args(["--lib", "--profile", "test", "--message-format", "json-render-diagnostics"])
        .args(["--", "-C", "target-feature=+sha3", "--deny", "warnings"])
        .spawn(Stdio::piped(), Stdio::inherit())?;
    let output = build.wait_with_output()?;
    if !output.status.success() {
        bail!("cargo failed: {}", output.status);
    }
    let tests = executable(&String::from_utf8_lossy(&output.stdout))
        .context("cargo does not say where the tests are that it has built")?;
    Cmd::new(qemu).args(["-cpu", "max"]).arg(tests).run()
}

/// A cargo command on the cipher for the target.
fn cargo(toolchain: &Toolchain, command: &str) -> Cmd {
    toolchain
        .cargo_with_std()
        .args([command, "--package", "twine-cipher", "--all-features", "--target", TARGET, "--target-dir"])
        .arg(paths::target().join("aarch64"))
}

/// The file that cargo names in its messages.
fn executable(messages: &str) -> Option<PathBuf> {
    let (_, rest) = messages.split_once(r#""executable":""#)?;
    Some(rest.split_once('"')?.0.into())
}

#[cfg(test)]
mod tests {
    use super::executable;

    #[test]
    fn the_executable_is_found_in_the_messages() {
        let library = r#"{"reason":"compiler-artifact","executable":null,"fresh":true}"#;
        let tests = r#"{"reason":"compiler-artifact","executable":"/a/deps/b-1","fresh":true}"#;
        assert_eq!(executable(&format!("{library}\n{tests}\n")), Some("/a/deps/b-1".into()));
        assert_eq!(executable(library), None);
    }
}
