//! `cargo xtask constant-time`: looks for branches, addresses and times that depend on secrets, in binaries.
//!
//! The work is done by the package `check` of the workspace `constant-time`, which also has the programs that it looks at.

use crate::{
    boards::{Board, CORTEX_M, RISC_V},
    firmware, paths,
    qemu_trace::Plugin,
    sh::{self, Cmd},
    tools,
};
use anyhow::{Context, Result, bail};
use std::{env, fs, path::PathBuf};

/// The backends of TWINE on x86-64, those that are traced longest first.
#[cfg(target_arch = "x86_64")]
const BACKENDS: [&str; 5] = ["soft32", "soft64", "ssse3", "avx2", "avx512"];

#[cfg(not(target_arch = "x86_64"))]
const BACKENDS: [&str; 0] = [];

/// Valgrind does not know its instructions.
const UNKNOWN_TO_VALGRIND: &str = "avx512";

/// `cargo xtask constant-time ...`.
pub(crate) fn main(arguments: &[&str]) -> Result<()> {
    let (all, tools) = match arguments {
        ["--all", tools @ ..] => (true, tools),
        tools => (false, tools),
    };
    let trace = || trace_extent(if all { "all" } else { "some" });
    match tools {
        [] => {
            valgrind()?;
            trace()?;
            cortex_m()?;
            riscv()
        }
        ["valgrind"] => valgrind(),
        ["trace"] => trace(),
        ["cortex-m"] => cortex_m(),
        ["riscv"] => riscv(),
        _ => bail!("expected `constant-time [--all] [valgrind | trace | cortex-m | riscv]`"),
    }
}

/// Known answers under valgrind, with each backend that it knows.
pub(crate) fn valgrind() -> Result<()> {
    under_valgrind(|backend| backend != UNKNOWN_TO_VALGRIND)
}

/// The same with the backend that every machine has.
pub(crate) fn valgrind_portable() -> Result<()> {
    under_valgrind(|backend| backend == "soft64")
}

fn under_valgrind(is_wanted: impl Fn(&str) -> bool) -> Result<()> {
    if !is_x86_64_linux() {
        return Ok(());
    }
    tools::valgrind()?;
    let check = check()?;
    for (backend, subject) in subjects(is_wanted)? {
        println!("\n-- {backend}");
        Cmd::new(&check).arg("valgrind").arg(subject).run()?;
    }
    Ok(())
}

/// What is left on the stack, with each backend.
pub(crate) fn stack() -> Result<()> {
    if !is_x86_64_linux() {
        return Ok(());
    }
    for (backend, subject) in subjects(|_| true)? {
        println!("\n-- {backend}");
        Cmd::new(subject).arg("stack").run()?;
    }
    Ok(())
}

/// Some operations step by step, with each backend.
pub(crate) fn trace() -> Result<()> {
    trace_extent("some")
}

fn trace_extent(extent: &str) -> Result<()> {
    cargo("test").args(["--package", "check"]).run()?;
    if !is_x86_64_linux() {
        return Ok(());
    }
    let subjects = subjects(|_| true)?;
    Cmd::new(check()?).args(["trace", extent]).args(subjects.into_iter().map(|(_, subject)| subject)).run()
}

fn is_x86_64_linux() -> bool {
    let is = cfg!(all(target_os = "linux", target_arch = "x86_64"));
    if !is {
        println!("this tool looks at programs for Linux on x86-64, on such a machine");
    }
    is
}

/// All operations on each board with a Cortex-M.
pub(crate) fn cortex_m() -> Result<()> {
    on_boards(&CORTEX_M)
}

/// All operations on the smallest core, and on Cortex-M3. M4 and M33 have the same kernels as M3, where the most opcodes are refused.
pub(crate) fn some_cortex_m() -> Result<()> {
    on_boards(&CORTEX_M[..2])
}

/// All operations on the others.
pub(crate) fn other_cortex_m() -> Result<()> {
    on_boards(&CORTEX_M[2..])
}

/// All operations on each RISC-V core.
pub(crate) fn riscv() -> Result<()> {
    on_boards(&RISC_V)
}

/// All operations on the RISC-V core that has the least.
pub(crate) fn smallest_riscv() -> Result<()> {
    on_boards(&RISC_V[..1])
}

/// All operations on the others.
pub(crate) fn other_riscv() -> Result<()> {
    on_boards(&RISC_V[1..])
}

fn on_boards(boards: &[Board]) -> Result<()> {
    let (plugin, check) = (Plugin::build()?, check()?);
    for board in boards {
        println!("\n-- {board}");
        let elf = firmware::build_image(board, "constant-time")?;
        let file = |extension| target().join(board.name).with_extension(extension);
        let (regions, log) = (file("regions"), file("log"));
        plugin.record(board, &elf, &regions, None, None)?;
        // The addresses themselves of as few as possible: hashes tell whether they are equal.
        let only = Cmd::new(&check).arg("cortex-m-log").arg(&regions).read();
        let only = only.context("the firmware did not run every operation with every secret")?;
        plugin.record(board, &elf, &regions, Some(&log), Some(&only))?;
        Cmd::new(&check).args(["cortex-m", board.core]).args([&elf, &regions, &log]).run()?;
        fs::remove_file(log)?;
    }
    Ok(())
}

/// Builds the program that looks at the others.
fn check() -> Result<PathBuf> {
    cargo("build").args(["--package", "check"]).run()?;
    Ok(target().join("release/check"))
}

/// A cargo command on the workspace, with the compiler's flags of nobody but this command: what is checked has to be known.
fn cargo(command: &str) -> Cmd {
    sh::cargo()
        .args([command, "--release"])
        .args(env::var_os("CI").map(|_| "--locked"))
        .arg("--manifest-path")
        .arg(paths::root().join("constant-time/Cargo.toml"))
        .arg("--target-dir")
        .arg(target())
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("RUSTFLAGS")
}

fn target() -> PathBuf {
    paths::target().join("constant-time")
}

/// Builds the subject with each wanted backend forced that this machine has.
fn subjects(is_wanted: impl Fn(&str) -> bool) -> Result<Vec<(&'static str, PathBuf)>> {
    let version = Cmd::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into())).arg("-vV").read();
    let host = version.as_ref().and_then(|text| text.lines().find_map(|line| line.strip_prefix("host: ")));
    let host = host.context("rustc does not say for which host it compiles")?;
    let mut subjects = Vec::new();
    for backend in BACKENDS.into_iter().filter(|backend| is_wanted(backend)) {
        cargo("build")
            // With a target, cargo gives the flags to what is checked and not to build scripts, which are then compiled once.
            .args(["--package", "subject", "--target", host])
            .env("RUSTFLAGS", format!("--cfg twine_backend=\"{backend}\""))
            .run()?;
        let subject = target().join(format!("subject-{backend}"));
        fs::copy(target().join(host).join("release/subject"), &subject)?;
        if Cmd::new(&subject).arg("backend").read().as_deref() == Some(backend) {
            subjects.push((backend, subject));
        } else {
            println!("this machine has no {backend}");
        }
    }
    Ok(subjects)
}
