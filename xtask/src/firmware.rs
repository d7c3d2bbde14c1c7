//! `cargo xtask firmware`: builds the firmware and runs it on boards that QEMU emulates.

use crate::{
    boards::{self, Board},
    cortex_m, firmware_sensor, paths,
    tools::Toolchain,
};
use anyhow::{Result, bail};
use std::{
    env,
    path::{Path, PathBuf},
    time::Instant,
};

/// The images, each with its own set of known answers.
const IMAGES: [&str; 2] = ["twine", "aes"];

/// `cargo xtask firmware ...`.
pub(crate) fn main(arguments: &[&str]) -> Result<()> {
    match arguments {
        ["size"] => return cortex_m::size(),
        ["sensor", options @ ..] => return firmware_sensor::main(options),
        _ => {}
    }
    let ["build" | "test", options @ ..] = arguments else {
        bail!(
            "expected `firmware build`, `firmware test`, `firmware size` or `firmware sensor`, see `cargo xtask help`"
        );
    };
    let boards = boards::chosen(options)?;
    if arguments[0] == "test" {
        return test(&boards);
    }
    for board in boards {
        for elf in build(board)? {
            println!("{}", elf.display());
        }
    }
    Ok(())
}

/// Runs the known answers on `boards`; all of them run, also after one has failed.
fn test(boards: &[&Board]) -> Result<()> {
    let mut failed = Vec::new();
    for board in boards {
        println!("\n-- {board}");
        let result =
            build(board).and_then(|images| images.iter().try_for_each(|elf| run(board, elf).map(drop)));
        if let Err(error) = result {
            println!("error on {}: {error:#}", board.name);
            failed.push(board.name);
        }
    }
    if !failed.is_empty() {
        bail!("the firmware failed on {}", failed.join(", "));
    }
    Ok(())
}

/// Runs the known answers on the boards of [`boards::most`].
pub(crate) fn test_most() -> Result<()> {
    test(&boards::most().collect::<Vec<_>>())
}

/// Runs them on the others.
pub(crate) fn test_others() -> Result<()> {
    test(&boards::others().collect::<Vec<_>>())
}

/// Builds the images with known answers for `board` and returns their ELF files.
fn build(board: &Board) -> Result<Vec<PathBuf>> {
    IMAGES.into_iter().map(|image| build_image(board, image)).collect()
}

/// Builds an image for `board` and returns its ELF file.
pub(crate) fn build_image(board: &Board, image: &str) -> Result<PathBuf> {
    let mut cargo = Toolchain::for_target(board.target)?.cargo()?;
    let mut target_dir = paths::target().join("thumb");
    if !board.flags.is_empty() {
        target_dir = target_dir.join(board.name);
        cargo = cargo.env("RUSTFLAGS", board.flags).env_remove("CARGO_ENCODED_RUSTFLAGS");
    }
    cargo
        .args(["build", "--release", "--bin", image, "--target", board.target])
        // Elsewhere a change of dependencies may update the lock file.
        .args(env::var_os("CI").map(|_| "--locked"))
        .arg("--manifest-path")
        .arg(paths::root().join("firmware/Cargo.toml"))
        .arg("--target-dir")
        .arg(&target_dir)
        .run()?;
    Ok(target_dir.join(board.target).join("release").join(image))
}

/// Runs `elf` on `board`. It passes if the firmware exits with success after the line that says that nothing failed:
/// the exit code alone would also pass a firmware that tests nothing. It returns the lines.
pub(crate) fn run(board: &Board, elf: &Path) -> Result<Vec<String>> {
    let start = Instant::now();
    let lines = boards::run(board, elf, &[])?;
    let last = lines.last().map_or("", String::as_str);
    if !all_passed(last) {
        bail!("the firmware ended without its summary; its last line was {last:?}");
    }
    println!("passed in {:.1} s", start.elapsed().as_secs_f64());
    Ok(lines)
}

/// Whether `line` is `N passed, 0 failed` for a number above 0.
pub(crate) fn all_passed(line: &str) -> bool {
    let passed = line.trim_end().strip_suffix(" passed, 0 failed");
    passed.and_then(|number| number.parse::<u32>().ok()).is_some_and(|number| number > 0)
}

#[cfg(test)]
mod tests {
    use super::all_passed;

    #[test]
    fn only_a_full_summary_passes() {
        assert!(all_passed("12 passed, 0 failed"));
        for line in
            ["0 passed, 0 failed", "12 passed, 1 failed", "12 passed, 10 failed", "passed, 0 failed", ""]
        {
            assert!(!all_passed(line), "{line}");
        }
    }
}
