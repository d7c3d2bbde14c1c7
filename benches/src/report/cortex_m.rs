//! The results on Cortex-M and RISC-V: their file, its tables and its chart.

use std::{fmt::Write as _, fs, path::Path};

use anyhow::{Context, Result};
use serde::Deserialize;

use super::{
    chart::{self, Line, Plot},
    peers::{self, Peer},
    ratio,
    tables::Figure,
};
use crate::algorithms::{AES_CCM, AES_GCM, ASCON, CHACHA, TWINE_128, TWINE_OTR};

/// Ours with counted nonces.
const SEALER: &str = "TWINE-128-OTR, sealer";

const OURS: [&str; 2] = [TWINE_OTR, SEALER];

/// What is compared in Rust: an algorithm and the crate.
const CRATES: [(&str, &str); 4] =
    [(ASCON, "ascon-aead"), (CHACHA, "chacha20poly1305"), (AES_GCM, "aes-gcm"), (AES_CCM, "ccm")];

/// What the chart has of C and assembly.
const CHARTED: [&str; 5] = [ASCON, CHACHA, "Schwaemm128-128", "Schwaemm256-128", "Xoodyak"];

/// Who takes less than so much of what ours takes is ahead; the rest is level.
const LEVEL: f64 = 0.99;

/// The lengths of messages in the tables.
pub(super) const MESSAGES: [usize; 4] = [16, 64, 256, 1024];

/// The cores of the tables of all AEADs; the others are shown with TWINE only.
const SHOWN: [&str; 4] = ["Cortex-M4", "Cortex-M0", "RV32IMC", "RV32IMAC with Zbb and Zbkb"];

/// Those of the project's README.
const FRONT: [&str; 3] = ["Cortex-M4", "Cortex-M0", "RV32IMC"];

/// Those of the chart.
const CORTEX_M: [&str; 2] = ["Cortex-M4", "Cortex-M0"];

/// The results on all cores.
#[derive(Debug, Clone, PartialEq)]
pub struct CortexM {
    boards: Vec<Board>,
    /// In C and assembly.
    peers: Vec<Peer>,
}

/// The results on one core.
#[derive(Debug, Clone, PartialEq)]
struct Board {
    head: Head,
    rows: Vec<Row>,
}

/// The first line of a board's results.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    core: String,
    target: String,
    rustc: String,
    date: String,
}

/// A line that a firmware printed, with what was counted.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    algorithm: String,
    /// An operation, or what takes `bytes` of memory.
    operation: String,
    bytes: usize,
    associated_data: usize,
    #[serde(default)]
    instructions: Option<u64>,
    #[serde(default)]
    estimated_cycles: Option<u64>,
}

/// A line is either of the two.
#[derive(Deserialize)]
#[serde(untagged)]
enum Either {
    Head(Head),
    Row(Row),
}

impl CortexM {
    /// Reads a file with a line of JSON for each board, followed by a line for each of its results, and one with a line for each
    /// peer in C or assembly.
    ///
    /// # Errors
    /// If one cannot be read or is something else.
    pub fn read(results: &Path, peers: &Path) -> Result<Self> {
        let text =
            fs::read_to_string(results).with_context(|| format!("cannot read {}", results.display()))?;
        let own = Self::parse(&text);
        let own = own.with_context(|| format!("{} is not a file of results", results.display()))?;
        Ok(Self { peers: peers::read(peers)?, ..own })
    }

    fn parse(text: &str) -> Result<Self> {
        let mut boards: Vec<Board> = Vec::new();
        for line in text.lines() {
            match serde_json::from_str(line).with_context(|| format!("in {line}"))? {
                Either::Head(head) => boards.push(Board { head, rows: Vec::new() }),
                Either::Row(row) => boards.last_mut().context("it begins without a board")?.rows.push(row),
            }
        }
        Ok(Self { boards, peers: Vec::new() })
    }

    fn board(&self, core: &str) -> Result<&Board> {
        self.boards
            .iter()
            .find(|board| board.head.core == core)
            .with_context(|| format!("no results on {core}"))
    }

    /// What the project's README shows: one table for each platform, with all that was measured on it.
    ///
    /// # Errors
    /// If something was not measured.
    pub fn front(&self) -> Result<String> {
        let Head { rustc, date, .. } = &self.boards.first().context("no results")?.head;
        let mut text = format!(
            "Measured on {date} with {rustc}, opt-level s and LTO, in QEMU, for sealing / opening in place with 8 bytes of associated data. \
             The tables are sorted by what sealing 64 bytes takes.\n\
             - The unit is **estimated cycles** a byte of message on Cortex-M, for memory without wait states, and instructions a byte on RISC-V. \
             Cortex-M0 is estimated with the table of Cortex-M0+.\n\
             - Code and stack are in bytes. They include key set-up, except the stack that creating a sealer takes.\n\
             - The sealer counts nonces and prepares the next one with each message. Its code includes an opener.\n\
             - Of each algorithm in C or assembly, the implementation is shown that seals 64 bytes fastest. These were measured once, \
             with the same counters ([source, commit and compiler](benches/results/cortex-m-peers.jsonl)). They set up the key in each call. \
             The Rust ones set it up once, before.\n\
             - No C or assembly of AES was measured with these counters. Its fixsliced assembly, which is published with 84 cycles a byte for \
             the cipher alone on Cortex-M4, would be far ahead of the AES crates here.\n\n\
             [benches/cortex-m](benches/cortex-m) has the instructions, who is ahead at which length, smaller implementations, other cores, and how \
             to measure on a board.\n"
        );
        for core in FRONT {
            let board = self.board(core)?;
            let mut rows: Vec<(f64, String)> = Vec::new();
            for (algorithm, name) in OURS.map(|name| (name, format!("**{name}**"))).into_iter().chain(
                CRATES.map(|(algorithm, package)| (algorithm, format!("{algorithm}: `{package}`, Rust"))),
            ) {
                rows.push((board.cost_per_byte(algorithm, 64)?[0], board.line(&name, algorithm)?));
            }
            let mut peers = peers::best(&self.peers, core, 64)?;
            // The fastest comes before a smaller one.
            peers.dedup_by_key(|peer| peer.algorithm());
            for peer in peers {
                rows.push((peer.per_byte(64)?[0], peer.line()?));
            }
            rows.sort_by(|(one, _), (other, _)| one.total_cmp(other));
            text.push_str(&board.headings_beside_c()?);
            text.extend(rows.into_iter().map(|(_, row)| row));
        }
        text.push('\n');
        for core in FRONT {
            let row = self.board(core)?.row(TWINE_OTR, "setup", None)?;
            let cycles = row.estimated_cycles.map(|cycles| format!(" or {cycles} estimated cycles"));
            writeln!(
                text,
                "- Setting up a key of TWINE-128-OTR takes {} instructions{} on {core}, and {} bytes of RAM.",
                row.instructions()?,
                cycles.unwrap_or_default(),
                self.board(core)?.row(TWINE_OTR, "key", None)?.bytes
            )?;
        }
        Ok(text)
    }

    /// What the benchmark's own README shows.
    ///
    /// # Errors
    /// If something was not measured.
    pub fn details(&self) -> Result<String> {
        let Head { rustc, date, .. } = &self.boards.first().context("no results")?.head;
        let mut text = format!(
            "Measured on {date} with {rustc}, opt-level s and LTO. **Instructions** a byte of message, for sealing / opening in place with 8 \
             bytes of associated data and a key that is set up. Code, key and stack are in bytes.\n"
        );
        for core in SHOWN {
            let board = self.board(core)?;
            write!(text, "\n| {core} |")?;
            for bytes in MESSAGES {
                write!(text, " {bytes} B |")?;
            }
            writeln!(text, " code | key | stack |\n|---|{}", "--:|".repeat(MESSAGES.len() + 3))?;
            for algorithm in OURS.into_iter().chain(CRATES.map(|(algorithm, _)| algorithm)) {
                write!(text, "| {algorithm} |")?;
                for bytes in MESSAGES {
                    let cost = |operation| board.per_byte(algorithm, operation, bytes);
                    write!(text, " {} / {} |", Figure(cost("seal")?), Figure(cost("open")?))?;
                }
                for memory in ["flash", "key", "stack"] {
                    write!(text, " {} |", board.row(algorithm, memory, None)?.bytes)?;
                }
                writeln!(text)?;
            }
        }
        self.beside_c(&mut text)?;
        self.cipher(&mut text)?;
        Ok(text)
    }

    /// The tables in estimated cycles, or in instructions where no model of the core is, and who is ahead.
    fn beside_c(&self, text: &mut String) -> Result<()> {
        text.push_str(
            "\nBeside C and assembly, a byte, sealed / opened, in **estimated cycles** on Cortex-M and in instructions on RISC-V: of each \
             algorithm the implementation that seals 64 bytes fastest, and, if there is one with three quarters of its code or less, \
             the smallest that takes at most a quarter more. They were measured once, by the same counters, and are not built here \
             ([source, commit and compiler of all](../results/cortex-m-peers.jsonl)). They take the key with each call; \
             TWINE-128-OTR has it set up, which takes what the last table says, once, and the RAM of the first.\n",
        );
        for core in SHOWN {
            let board = self.board(core)?;
            text.push_str(&board.headings_beside_c()?);
            for algorithm in OURS {
                text.push_str(&board.line(&format!("**{algorithm}**"), algorithm)?);
            }
            for peer in peers::best(&self.peers, core, 64)? {
                text.push_str(&peer.line()?);
            }
            self.who_is_ahead(text, board)?;
        }
        Ok(())
    }

    /// Says for each of ours who takes less, by more than what could be another compiler's doing.
    fn who_is_ahead(&self, text: &mut String, board: &Board) -> Result<()> {
        let core = &board.head.core;
        for algorithm in OURS {
            for (place, does) in ["sealing", "opening"].into_iter().enumerate() {
                let mut ahead = Vec::new();
                for bytes in MESSAGES {
                    let limit = board.cost_per_byte(algorithm, bytes)?[place] * LEVEL;
                    let mut names: Vec<&str> = Vec::new();
                    for peer in self.peers.iter().filter(|peer| peer.is_on(core)) {
                        if peer.per_byte(bytes)?[place] < limit {
                            names.push(peer.algorithm());
                        }
                    }
                    for (algorithm, _) in CRATES {
                        if board.cost_per_byte(algorithm, bytes)?[place] < limit {
                            names.push(algorithm);
                        }
                    }
                    names.sort_unstable();
                    names.dedup();
                    let names = if names.is_empty() { "nobody".into() } else { names.join(", ") };
                    ahead.push(format!("at {bytes} B {names}"));
                }
                writeln!(
                    text,
                    "\n**Ahead of {algorithm} on {core}** by more than 1 %, {does}: {}.",
                    ahead.join("; ")
                )?;
            }
        }
        Ok(())
    }

    /// The table of the cipher and of key set-up.
    fn cipher(&self, text: &mut String) -> Result<()> {
        writeln!(
            text,
            "\n| TWINE-128 | 1 block | 4 blocks, a byte | estimated cycles a byte | key set-up | the same in cycles | with the mode's \
             | in cycles |\n|---|{}",
            "--:|".repeat(7)
        )?;
        for board in &self.boards {
            let block = |bytes| board.row(TWINE_128, "encrypt", Some(bytes));
            let four = block(32)?;
            let cycles = four
                .estimated_cycles
                .map_or_else(|| "-".into(), |cycles| Figure(ratio(cycles, 32)).to_string());
            let set_up = |algorithm| -> Result<String> {
                let row = board.row(algorithm, "setup", None)?;
                let cycles = row.estimated_cycles.map_or_else(|| "-".into(), |cycles| cycles.to_string());
                Ok(format!("{} | {cycles}", row.instructions()?))
            };
            writeln!(
                text,
                "| {} | {} | {} | {cycles} | {} | {} |",
                board.head.core,
                block(8)?.instructions()?,
                Figure(ratio(four.instructions()?, 32)),
                set_up(TWINE_128)?,
                set_up(TWINE_OTR)?,
            )?;
        }
        text.push_str("\nWhat is not called cycles is in instructions.\n");
        Ok(())
    }

    /// Estimated cycles a byte by length.
    ///
    /// # Errors
    /// If something was not measured.
    pub fn svg(&self) -> Result<String> {
        let mut plots = Vec::new();
        for core in CORTEX_M {
            let board = self.board(core)?;
            let mut lines = Vec::new();
            let points = |cost: &dyn Fn(usize) -> Result<[f64; 2]>| -> Result<Vec<(f64, f64)>> {
                MESSAGES.into_iter().map(|bytes| Ok((chart::length(bytes), cost(bytes)?[0]))).collect()
            };
            for (algorithm, width) in [(SEALER, 4), (TWINE_OTR, 3), (AES_GCM, 2)] {
                let points = points(&|bytes| board.cost_per_byte(algorithm, bytes))?;
                lines.push(Line { name: algorithm, color: chart::color(algorithm), width, points });
            }
            let mut peers = peers::best(&self.peers, core, 64)?;
            peers.dedup_by_key(|peer| peer.algorithm());
            for peer in peers.into_iter().filter(|peer| CHARTED.contains(&peer.algorithm())) {
                let in_rust = CRATES.iter().find(|(algorithm, _)| *algorithm == peer.algorithm());
                let points = points(&|bytes| {
                    let mut cost = peer.per_byte(bytes)?;
                    if let Some((algorithm, _)) = in_rust {
                        cost[0] = cost[0].min(board.cost_per_byte(algorithm, bytes)?[0]);
                    }
                    Ok(cost)
                })?;
                let color = chart::color(peer.algorithm());
                lines.push(Line { name: peer.algorithm(), color, width: 2, points });
            }
            let title = format!("{core}: sealing");
            plots.push(Plot { title, width: 520, names_width: 185, lines });
        }
        let Head { rustc, date, .. } = &self.boards.first().context("no results")?.head;
        let caption = format!(
            "Less is better. With 8 bytes of associated data; estimated from traces in QEMU, {rustc}, {date}. AES-128-GCM is in Rust, of others the \
             fastest is shown"
        );
        chart::draw(&caption, "estimated cycles", &MESSAGES, &plots)
    }
}

impl Board {
    fn row(&self, algorithm: &str, operation: &str, bytes: Option<usize>) -> Result<&Row> {
        self.rows
            .iter()
            .find(|row| {
                row.algorithm == algorithm
                    && row.operation == operation
                    && bytes.is_none_or(|bytes| row.bytes == bytes)
            })
            .with_context(|| format!("no {operation} of {algorithm} on {} ({bytes:?} bytes)", self.head.core))
    }

    fn per_byte(&self, algorithm: &str, operation: &str, bytes: usize) -> Result<f64> {
        Ok(ratio(self.row(algorithm, operation, Some(bytes))?.instructions()?, bytes))
    }

    /// The beginning of a table in estimated cycles, or in instructions where no model of the core is.
    fn headings_beside_c(&self) -> Result<String> {
        let unit = if self.has_cycles() { "estimated cycles" } else { "instructions" };
        let mut text = format!("\n| {}, {unit} |", self.head.core);
        for bytes in MESSAGES {
            write!(text, " {bytes} B |")?;
        }
        writeln!(text, " code | stack |\n|---|{}", "--:|".repeat(MESSAGES.len() + 2))?;
        Ok(text)
    }

    /// A row of that table.
    fn line(&self, name: &str, algorithm: &str) -> Result<String> {
        let costs = MESSAGES.map(|bytes| self.cost_per_byte(algorithm, bytes));
        let bytes = |memory| self.row(algorithm, memory, None).map(|row| row.bytes);
        peers::row(name, costs, bytes("flash")?, bytes("stack")?)
    }

    /// Whether there is a model of the core.
    fn has_cycles(&self) -> bool {
        self.rows.iter().any(|row| row.estimated_cycles.is_some())
    }

    /// To seal and to open: estimated cycles, or instructions where no model of the core is.
    fn cost_per_byte(&self, algorithm: &str, bytes: usize) -> Result<[f64; 2]> {
        let cost = |operation| {
            if !self.has_cycles() {
                return self.per_byte(algorithm, operation, bytes);
            }
            let cycles = self.row(algorithm, operation, Some(bytes))?.estimated_cycles;
            let cycles =
                cycles.with_context(|| format!("{operation} of {algorithm} has no estimated cycles"))?;
            Ok(ratio(cycles, bytes))
        };
        Ok([cost("seal")?, cost("open")?])
    }
}

impl Row {
    fn instructions(&self) -> Result<u64> {
        self.instructions.with_context(|| format!("{} of {} has no count", self.operation, self.algorithm))
    }
}

#[cfg(test)]
mod tests {
    use super::CortexM;

    const HEAD: &str = r#"{"core":"Cortex-M4","target":"t","rustc":"rustc 1","date":"2026-01-01"}"#;
    const ROW: &str =
        r#"{"algorithm":"A","operation":"seal","bytes":16,"associated_data":8,"instructions":32}"#;

    #[test]
    fn lines_are_boards_and_their_results() {
        let results = CortexM::parse(&format!("{HEAD}\n{ROW}\n{HEAD}\n")).unwrap();
        assert_eq!(results.boards.len(), 2);
        let cost = results.board("Cortex-M4").unwrap().per_byte("A", "seal", 16).unwrap();
        assert!((cost - 2.0).abs() < 1e-9);
        assert!(results.board("Cortex-M4").unwrap().row("A", "open", None).is_err());
        for wrong in [ROW, "{}", "x"] {
            assert!(CortexM::parse(wrong).is_err(), "{wrong}");
        }
    }
}
