//! The libraries' tests under sanitizers, and what the fuzz targets need to be built with one.

use crate::{
    paths,
    sh::{self, Cmd},
    tools,
};
use anyhow::Result;

/// Whether the toolchain has the sanitizers' run-time libraries for this machine.
pub(crate) const ARE_HERE: bool = cfg!(all(
    any(target_os = "linux", target_os = "macos"),
    any(target_arch = "x86_64", target_arch = "aarch64")
));

/// The tests of the libraries under AddressSanitizer, which sees accesses out of bounds and after the end of a lifetime,
/// and leaks. The unit tests of the cipher run every backend of the machine, the others the chosen one; the fuzz
/// targets run the mode on every backend under the same sanitizer.
pub(crate) fn test() -> Result<()> {
    if !ARE_HERE {
        println!("the compiler has no sanitizers for this machine: not run");
        return Ok(());
    }
    cargo("test", "-Zsanitizer=address")?
        .args(["--lib", "--tests", "--all-features"])
        .args(paths::libraries())
        .arg("--target-dir")
        .arg(paths::target().join("sanitizers"))
        .env("ASAN_OPTIONS", "detect_stack_use_after_return=1")
        // It reads all memory of a process, of which the sanitizer maps terabytes.
        .args(["--", "--skip", "the_users_key_does_not_stay"])
        .run()
}

/// A cargo command for this machine with `flags` that no stable compiler has without a nudge. As the target is named, they do
/// not reach build scripts and procedural macros.
pub(crate) fn cargo(command: &str, flags: &str) -> Result<Cmd> {
    Ok(sh::cargo()
        .arg(command)
        .args(["--target", &tools::host()?])
        .env("RUSTC_BOOTSTRAP", "1")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env("RUSTFLAGS", flags))
}
