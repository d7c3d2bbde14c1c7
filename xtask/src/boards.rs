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
#[derive(Clone)]
pub(crate) struct Board {
    /// How it is chosen on the command line.
    pub(crate) name: &'static str,
    pub(crate) core: &'static str,
    pub(crate) target: &'static str,
    qemu: Qemu,
    /// Flags for the compiler, beyond those of the target.
    pub(crate) flags: &'static str,
}

/// Which emulator has the board.
#[derive(Clone)]
enum Qemu {
    /// That of Arm, which calls it as we do.
    Arm,
    /// That of RISC-V, with what its core has besides the base.
    RiscV(&'static str),
}

impl Board {
    const fn arm(name: &'static str, core: &'static str, target: &'static str) -> Self {
        Self { name, core, target, qemu: Qemu::Arm, flags: "" }
    }

    /// The same board, with flags for the compiler.
    pub(crate) fn with_flags(&self, flags: &'static str) -> Self {
        Self { flags, ..self.clone() }
    }

    /// An emulator that is about to run a firmware on it.
    fn emulator(&self) -> Result<Cmd> {
        let emulator = match self.qemu {
            Qemu::Arm => Cmd::new(tools::qemu()?).args(["-M", self.name]),
            Qemu::RiscV(extensions) => Cmd::new(tools::qemu_riscv()?)
                .args(["-M", "virt", "-bios", "none", "-cpu"])
                .arg(format!("rv32,{extensions}")),
        };
        Ok(emulator.args(["-semihosting-config", "enable=on,target=native"]))
    }
}

impl fmt::Display for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}, {})", self.name, self.core, self.target)
    }
}

/// The boards with a Cortex-M, one for each generation of cores. Their memories are in `firmware/memory/`.
pub(crate) const CORTEX_M: [Board; 4] = [
    Board::arm("microbit", "Cortex-M0", "thumbv6m-none-eabi"),
    Board::arm("mps2-an385", "Cortex-M3", "thumbv7m-none-eabi"),
    Board::arm("mps2-an386", "Cortex-M4", "thumbv7em-none-eabi"),
    Board::arm("mps2-an505", "Cortex-M33", "thumbv8m.main-none-eabi"),
];

/// QEMU's board `virt` with the instructions of some RISC-V cores, and no others: what a core lacks is a trap.
pub(crate) const RISC_V: [Board; 3] = [
    // As ESP32-C3.
    Board {
        name: "virt-imc",
        core: "RV32IMC",
        target: "riscv32imc-unknown-none-elf",
        qemu: Qemu::RiscV("a=off,f=off,d=off,zba=off,zbb=off,zbc=off,zbs=off"),
        flags: "",
    },
    // As ESP32-C6.
    Board {
        name: "virt-imac",
        core: "RV32IMAC",
        target: "riscv32imac-unknown-none-elf",
        qemu: Qemu::RiscV("f=off,d=off,zba=off,zbb=off,zbc=off,zbs=off"),
        flags: "",
    },
    // As Hazard3 in the RP2350.
    Board {
        name: "virt-zbb",
        core: "RV32IMAC with Zbb and Zbkb",
        target: "riscv32imac-unknown-none-elf",
        qemu: Qemu::RiscV("f=off,d=off,zba=off,zbb=on,zbc=off,zbs=off,zbkb=on"),
        flags: HAZARD3,
    },
];

/// For the compiler: what Hazard3 in the RP2350 has besides RV32IMAC, as far as it matters here.
pub(crate) const HAZARD3: &str = "-Ctarget-feature=+zbb,+zbkb";

/// Those that differ least from another one: the same assembly runs on Cortex-M3, M4 and M33, and RV32IMC has the least of the RISC-V
/// cores.
const LIKE_ANOTHER: [&str; 4] = ["mps2-an385", "mps2-an505", "virt-imac", "virt-zbb"];

/// Those that differ most.
pub(crate) fn most() -> impl Iterator<Item = &'static Board> {
    all().filter(|board| !LIKE_ANOTHER.contains(&board.name))
}

/// The others.
pub(crate) fn others() -> impl Iterator<Item = &'static Board> {
    all().filter(|board| LIKE_ANOTHER.contains(&board.name))
}

/// All of them.
pub(crate) fn all() -> impl Iterator<Item = &'static Board> {
    const ARM: &[Board] = &CORTEX_M;
    const OTHERS: &[Board] = &RISC_V;
    ARM.iter().chain(OTHERS)
}

/// Everything takes seconds; a board that says nothing for so long hangs.
const SILENCE_LIMIT: Duration = Duration::from_secs(120);

/// The boards that `--board` options name, all if there are none.
pub(crate) fn chosen(options: &[&str]) -> Result<Vec<&'static Board>> {
    let mut boards = Vec::new();
    let mut rest = options;
    while let ["--board", name, tail @ ..] = rest {
        boards.push(all().find(|board| board.name == *name).with_context(|| {
            let names: Vec<_> = all().map(|board| board.name).collect();
            format!("no board {name}; there are {}", names.join(", "))
        })?);
        rest = tail;
    }
    match rest {
        [] if boards.is_empty() => Ok(all().collect()),
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
    let mut child = board
        .emulator()?
        .arg("-nographic")
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
        let names =
            |options: &[&str]| -> Vec<_> { chosen(options).unwrap().iter().map(|b| b.name).collect() };
        assert_eq!(names(&["--board", "mps2-an505", "--board", "microbit"]), ["mps2-an505", "microbit"]);
        assert_eq!(names(&[]).len(), 7);
        assert!(chosen(&["--board", "none"]).is_err());
        assert!(chosen(&["--board"]).is_err());
        assert!(chosen(&["--boards"]).is_err());
    }
}
