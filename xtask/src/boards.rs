//! The boards that QEMU emulates, and how a firmware runs on one.

use crate::{sh::Cmd, tools};
use anyhow::{Context, Result, bail};
use std::{
    fmt,
    io::{BufRead, BufReader},
    path::Path,
    process::Stdio,
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

/// A board of QEMU's.
pub(crate) struct Board {
    /// QEMU's name of it.
    pub(crate) machine: &'static str,
    pub(crate) core: &'static str,
    pub(crate) target: &'static str,
}

impl fmt::Display for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}, {})", self.machine, self.core, self.target)
    }
}

/// The boards, one for each generation of cores. Their memories are in `firmware/memory/`.
pub(crate) const BOARDS: [Board; 4] = [
    Board { machine: "microbit", core: "Cortex-M0", target: "thumbv6m-none-eabi" },
    Board { machine: "mps2-an385", core: "Cortex-M3", target: "thumbv7m-none-eabi" },
    Board { machine: "mps2-an386", core: "Cortex-M4", target: "thumbv7em-none-eabi" },
    Board { machine: "mps2-an505", core: "Cortex-M33", target: "thumbv8m.main-none-eabi" },
];

/// Everything takes seconds; a board that says nothing for so long hangs.
const SILENCE_LIMIT: Duration = Duration::from_secs(120);

/// The boards that `--board` options name, all if there are none.
pub(crate) fn chosen(options: &[&str]) -> Result<Vec<&'static Board>> {
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

/// Runs `elf` on `board`, with further arguments for QEMU, and returns the lines that it prints, which are shown as well.
///
/// # Errors
/// If the firmware does not exit with success.
pub(crate) fn run(board: &Board, elf: &Path, qemu_arguments: &[String]) -> Result<Vec<String>> {
    let mut child = Cmd::new(tools::qemu()?)
        .args(["-M", board.machine, "-nographic", "-semihosting-config", "enable=on,target=native"])
        .args(qemu_arguments)
        .arg("-kernel")
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
    let mut printed = Vec::new();
    loop {
        match lines.recv_timeout(SILENCE_LIMIT) {
            Ok(line) => {
                println!("{line}");
                printed.push(line);
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
    Ok(printed)
}

#[cfg(test)]
mod tests {
    use super::chosen;

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
