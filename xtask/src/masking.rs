//! `cargo xtask masking`: the masked AEAD in C and on emulated boards, and what the package `masking` proves of the kernels. The flag that makes
//! the libraries have what is masked is here.

use crate::{
    boards::{Board, CORTEX_M},
    capi, firmware, paths,
    qemu_trace::Plugin,
    sh::{self, Cmd},
};
use anyhow::{Result, ensure};
use std::path::PathBuf;

const MANIFEST: &str = "masking/Cargo.toml";

/// What makes the libraries have what is masked.
pub(crate) const FLAGS: &str = "--cfg twine_masked";

/// The simulated traces of each experiment that must show nothing: 2^20.
const TRACES: &str = "1048576";

/// The targets that have the kernels and are tested.
const TARGETS: [&str; 2] = ["thumbv7em-none-eabi", "thumbv8m.main-none-eabi"];

fn dir() -> PathBuf {
    paths::target().join("masking")
}

fn cargo(command: &str) -> Cmd {
    sh::cargo().args([command, "--manifest-path", MANIFEST, "--target-dir"]).arg(dir())
}

/// A command on the workspace of the libraries, with what is masked. It has a folder of its own: the flag is also for dependencies.
pub(crate) fn workspace(command: &str) -> Cmd {
    sh::cargo()
        .args([command, "--target-dir"])
        .arg(dir().join("host"))
        .env("RUSTFLAGS", FLAGS)
        .env("RUSTDOCFLAGS", FLAGS)
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
}

/// Lets clippy look at the package, at what is masked without features, and at its known answers.
pub(crate) fn lint() -> Result<()> {
    let strict = ["--", "--deny", "warnings"];
    cargo("clippy").arg("--all-targets").args(strict).run()?;
    workspace("clippy")
        .args(["--lib", "--no-default-features"])
        .args(paths::libraries())
        .args(strict)
        .run()?;
    workspace("clippy").args(["--lib", "--manifest-path", "firmware/Cargo.toml"]).args(strict).run()
}

/// Tests the package, and what is masked in C and on boards, and checks the kernels in the images for these boards.
pub(crate) fn test() -> Result<()> {
    cargo("test").run()?;
    let boards = CORTEX_M.iter().filter(|board| TARGETS.contains(&board.target));
    capi::test_masked(FLAGS, boards.clone())?;
    let plugin = Plugin::build()?;
    let images =
        boards.map(|board| known_answers(&plugin, &board.with_flags(FLAGS))).collect::<Result<Vec<_>>>()?;
    ensure!(images.len() == TARGETS.len(), "there is not a board for each target");
    cargo("run").args(["--", "check"]).args(images).run()
}

/// `cargo xtask leakage`: writes what simulated traces show into the page about masking.
pub(crate) fn leakage() -> Result<()> {
    let docs = paths::root().join("docs");
    sh::cargo()
        .args(["run", "--release", "--manifest-path", MANIFEST, "--target-dir"])
        .arg(dir().join("native"))
        .args(["--", "leakage", TRACES])
        .arg(docs.join("masking.md"))
        .arg(docs.join("masking.svg"))
        .env("RUSTFLAGS", "-Ctarget-cpu=native")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .run()
}

/// What the image of known answers seals and opens for its costs, and the most instructions for each byte.
const COSTS: [(&str, u64, u64); 4] =
    [("sealing", 64, 350), ("opening", 64, 560), ("sealing", 1024, 150), ("opening", 1024, 300)];

/// Runs known answers on a board, says what the AEAD costs there, and returns the image.
fn known_answers(plugin: &Plugin, board: &Board) -> Result<PathBuf> {
    println!("\n-- {board}");
    let image = firmware::build_image(board, "twine")?;
    let (lines, regions) = plugin.run(board, &image, None)?;
    ensure!(firmware::all_passed(lines.last().map_or("", String::as_str)), "known answers failed");
    let groups = lines.iter().filter(|line| line.contains(", masked, ")).count();
    ensure!(groups == 12, "the image has {groups} groups of checks of what is masked instead of 12");
    ensure!(regions.len() == COSTS.len(), "the image has {} regions", regions.len());
    for ((what, bytes, most), region) in COSTS.into_iter().zip(regions) {
        let each = region.instructions as f64 / bytes as f64;
        println!(
            "{what} {bytes} bytes, and 8 of associated data: {} instructions, {each:.1} a byte",
            region.instructions
        );
        ensure!(region.instructions <= most * bytes, "more than {most} instructions a byte");
    }
    Ok(image)
}
