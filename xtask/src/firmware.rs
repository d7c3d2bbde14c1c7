//! `cargo xtask firmware`: builds the firmware and runs it on boards that QEMU emulates.

use crate::{
    paths,
    setup::{self, Toolchain},
    sh::Cmd,
};
use anyhow::{Context, Result, bail};
use std::{
    env, fmt,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::Stdio,
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

/// A board of QEMU's.
struct Board {
    /// QEMU's name of it.
    machine: &'static str,
    core: &'static str,
    target: &'static str,
}

impl fmt::Display for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}, {})", self.machine, self.core, self.target)
    }
}

/// The boards, one for each generation of cores. Their memories are in `firmware/memory/`.
const BOARDS: [Board; 4] = [
    Board { machine: "microbit", core: "Cortex-M0", target: "thumbv6m-none-eabi" },
    Board { machine: "mps2-an385", core: "Cortex-M3", target: "thumbv7m-none-eabi" },
    Board { machine: "mps2-an386", core: "Cortex-M4", target: "thumbv7em-none-eabi" },
    Board { machine: "mps2-an505", core: "Cortex-M33", target: "thumbv8m.main-none-eabi" },
];

/// The images, each with its own set of known answers.
const IMAGES: [&str; 2] = ["twine", "aes"];

/// The tests take seconds; a board that says nothing for so long hangs.
const SILENCE_LIMIT: Duration = Duration::from_secs(120);

/// `cargo xtask firmware ...`.
pub(crate) fn main(arguments: &[&str]) -> Result<()> {
    let ["build" | "test", options @ ..] = arguments else {
        bail!("expected `firmware build` or `firmware test`, see `cargo xtask help`");
    };
    let boards = chosen(options)?;
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

/// The boards that `--board` options name, all if there are none.
fn chosen(options: &[&str]) -> Result<Vec<&'static Board>> {
    const ALL: &[Board] = &BOARDS;
    let mut boards = Vec::new();
    let mut rest = options;
    while let ["--board", name, tail @ ..] = rest {
        let board = ALL.iter().find(|board| board.machine == *name);
        boards.push(board.with_context(|| {
            format!("no board {name}; there are {}", BOARDS.map(|board| board.machine).join(", "))
        })?);
        rest = tail;
    }
    match rest {
        [] if boards.is_empty() => Ok(ALL.iter().collect()),
        [] => Ok(boards),
        ["--board"] => bail!("--board needs the name of a board"),
        [other, ..] => bail!("unknown option {other}"),
    }
}

/// Runs the known answers on `boards`; all of them run, also after one has failed.
fn test(boards: &[&Board]) -> Result<()> {
    let qemu = setup::qemu()?;
    let mut failed = Vec::new();
    for board in boards {
        println!("\n-- {board}");
        let result = build(board).and_then(|images| images.iter().try_for_each(|elf| run(&qemu, board, elf)));
        if let Err(error) = result {
            println!("error on {}: {error:#}", board.machine);
            failed.push(board.machine);
        }
    }
    if !failed.is_empty() {
        bail!("the firmware failed on {}", failed.join(", "));
    }
    Ok(())
}

/// Runs the known answers on all boards.
pub(crate) fn test_all() -> Result<()> {
    test(&chosen(&[])?)
}

/// Builds the images for `board` and returns their ELF files.
fn build(board: &Board) -> Result<[PathBuf; IMAGES.len()]> {
    let target_dir = paths::target().join("thumb");
    Toolchain::for_target(board.target)?
        .cargo()
        .args(["build", "--release", "--bins", "--target", board.target])
        // Elsewhere a change of dependencies may update the lock file.
        .args(env::var_os("CI").map(|_| "--locked"))
        .arg("--manifest-path")
        .arg(paths::root().join("firmware/Cargo.toml"))
        .arg("--target-dir")
        .arg(&target_dir)
        .run()?;
    Ok(IMAGES.map(|image| target_dir.join(board.target).join("release").join(image)))
}

/// Runs `elf` on `board`. It passes if the firmware exits with success after the line that says that nothing failed:
/// the exit code alone would also pass a firmware that tests nothing.
fn run(qemu: &Path, board: &Board, elf: &Path) -> Result<()> {
    let start = Instant::now();
    let mut child = Cmd::new(qemu)
        .args([
            "-M",
            board.machine,
            "-nographic",
            "-semihosting-config",
            "enable=on,target=native",
            "-kernel",
        ])
        .arg(elf)
        .spawn(Stdio::piped(), Stdio::inherit())?;
    let stdout = child.stdout.take().context("QEMU's output is not captured")?;
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    let mut last = String::new();
    loop {
        match lines.recv_timeout(SILENCE_LIMIT) {
            Ok(line) => {
                println!("{line}");
                last = line;
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                child.kill()?;
                child.wait()?;
                bail!("no output for {} s: the firmware hangs", SILENCE_LIMIT.as_secs());
            }
        }
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("the firmware failed ({status})");
    }
    if !all_passed(&last) {
        bail!("the firmware ended without its summary; its last line was {last:?}");
    }
    println!("passed in {:.1} s", start.elapsed().as_secs_f64());
    Ok(())
}

/// Whether `line` is `N passed, 0 failed` for a number above 0.
fn all_passed(line: &str) -> bool {
    let passed = line.trim_end().strip_suffix(" passed, 0 failed");
    passed.and_then(|number| number.parse::<u32>().ok()).is_some_and(|number| number > 0)
}

#[cfg(test)]
mod tests {
    use super::{all_passed, chosen};

    #[test]
    fn only_a_full_summary_passes() {
        assert!(all_passed("12 passed, 0 failed"));
        for line in
            ["0 passed, 0 failed", "12 passed, 1 failed", "12 passed, 10 failed", "passed, 0 failed", ""]
        {
            assert!(!all_passed(line), "{line}");
        }
    }

    #[test]
    fn boards_are_chosen_by_name() {
        let machines =
            |options: &[&str]| -> Vec<_> { chosen(options).unwrap().iter().map(|b| b.machine).collect() };
        assert_eq!(machines(&["--board", "mps2-an505", "--board", "microbit"]), ["mps2-an505", "microbit"]);
        assert_eq!(machines(&[]).len(), 4);
        assert!(chosen(&["--board", "none"]).is_err());
        assert!(chosen(&["--board"]).is_err());
        assert!(chosen(&["--boards"]).is_err());
    }
}
