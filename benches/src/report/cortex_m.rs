//! The results on Cortex-M: their file, its tables and its chart.

use std::{fmt::Write as _, fs, path::Path};

use anyhow::{Context, Result};
use serde::Deserialize;

use super::{
    chart::{self, Line, Plot},
    tables::Figure,
};
use crate::algorithms::{AES_CCM, AES_GCM, ASCON, CHACHA, TWINE_128, TWINE_OTR};

/// What is compared, ours first.
const COMPARED: [&str; 5] = [TWINE_OTR, ASCON, CHACHA, AES_GCM, AES_CCM];

/// The lengths of messages in the tables.
const MESSAGES: [usize; 4] = [16, 64, 256, 1024];

/// The cores of the tables of all AEADs and of the chart; the others are shown with TWINE only.
const SHOWN: [&str; 2] = ["Cortex-M4", "Cortex-M0"];

/// The results on all cores.
#[derive(Debug, Clone, PartialEq)]
pub struct CortexM {
    boards: Vec<Board>,
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
    /// Reads a file: a line of JSON for each board, followed by a line for each of its results.
    ///
    /// # Errors
    /// If it cannot be read or is something else.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("{} is not a file of results", path.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        let mut boards: Vec<Board> = Vec::new();
        for line in text.lines() {
            match serde_json::from_str(line).with_context(|| format!("in {line}"))? {
                Either::Head(head) => boards.push(Board { head, rows: Vec::new() }),
                Either::Row(row) => boards.last_mut().context("it begins without a board")?.rows.push(row),
            }
        }
        Ok(Self { boards })
    }

    fn board(&self, core: &str) -> Result<&Board> {
        self.boards
            .iter()
            .find(|board| board.head.core == core)
            .with_context(|| format!("no results on {core}"))
    }

    /// Everything between the markers of the README.
    ///
    /// # Errors
    /// If something was not measured.
    pub fn markdown(&self) -> Result<String> {
        let Head { rustc, date, .. } = &self.boards.first().context("no results")?.head;
        let mut text = format!(
            "Measured on {date} with {rustc}, opt-level s and LTO: instructions a byte of message, counted in QEMU, sealed / \
             opened in place with 8 bytes of associated data and a key that is set up. Code is what an image grows by with \
             seal and open; all in bytes. [benches/cortex-m](benches/cortex-m) says how, and how to measure on a board.\n"
        );
        for core in SHOWN {
            let board = self.board(core)?;
            write!(text, "\n| {core} |")?;
            for bytes in MESSAGES {
                write!(text, " {bytes} B |")?;
            }
            writeln!(text, " code | key | stack |\n|---|{}", "--:|".repeat(MESSAGES.len() + 3))?;
            for algorithm in COMPARED {
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
        writeln!(
            text,
            "\n| TWINE-128 | 1 block | 4 blocks, a byte | estimated cycles a byte | key set-up | seal 64 B | seal 1024 B |\n\
             |---|{}",
            "--:|".repeat(6)
        )?;
        for board in &self.boards {
            let block = |bytes| board.row(TWINE_128, "encrypt", Some(bytes));
            let four = block(32)?;
            let cycles = four
                .estimated_cycles
                .map_or_else(|| "-".into(), |cycles| Figure(ratio(cycles, 32)).to_string());
            writeln!(
                text,
                "| {} | {} | {} | {cycles} | {} | {} | {} |",
                board.head.core,
                block(8)?.instructions()?,
                Figure(ratio(four.instructions()?, 32)),
                board.row(TWINE_128, "setup", None)?.instructions()?,
                Figure(board.per_byte(TWINE_OTR, "seal", 64)?),
                Figure(board.per_byte(TWINE_OTR, "seal", 1024)?),
            )?;
        }
        text.push_str(
            "\nInstructions, but for the cycles: those are estimated from the trace with Arm's tables, for memory without \
             wait states, on Cortex-M0 with the table of Cortex-M0+; there is none for Cortex-M33.\n",
        );
        Ok(text)
    }

    /// Instructions a byte by length.
    ///
    /// # Errors
    /// If something was not measured.
    pub fn svg(&self) -> Result<String> {
        let mut plots = Vec::new();
        for core in SHOWN {
            let board = self.board(core)?;
            let mut lines = Vec::new();
            for algorithm in COMPARED {
                let points = MESSAGES
                    .iter()
                    .map(|bytes| Ok((chart::length(*bytes), board.per_byte(algorithm, "seal", *bytes)?)))
                    .collect::<Result<_>>()?;
                let width = if algorithm == TWINE_OTR { 4 } else { 2 };
                lines.push(Line { name: algorithm, color: chart::color(algorithm), width, points });
            }
            let title = format!("{core}: sealing, with 8 bytes of associated data");
            plots.push(Plot { title, width: 520, names_width: 165, lines });
        }
        let Head { rustc, date, .. } = &self.boards.first().context("no results")?.head;
        let caption = format!("Less is better. Counted in QEMU, {rustc}, opt-level s, {date}");
        chart::draw(&caption, "instructions", &MESSAGES, &plots)
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
}

impl Row {
    fn instructions(&self) -> Result<u64> {
        self.instructions.with_context(|| format!("{} of {} has no count", self.operation, self.algorithm))
    }
}

#[allow(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn ratio(count: u64, bytes: usize) -> f64 {
    count as f64 / bytes as f64
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
