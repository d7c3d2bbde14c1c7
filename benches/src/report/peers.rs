//! AEADs in C and assembly on Cortex-M and RISC-V, measured once with the counters of this project: cited, and not built here.

use std::{
    fmt::{Display, Write as _},
    fs,
    path::Path,
};

use anyhow::{Context, Result};
use serde::Deserialize;

use super::tables::Figure;

/// What of its algorithm is shown beside the fastest: the smallest that takes at most so many times as long,
const SLOWER: f64 = 1.25;
/// if it has at most so much of its code.
const SMALLER: f64 = 0.75;

/// An implementation, built with some flags.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Peer {
    core: String,
    pub(super) name: String,
    pub(super) source: String,
    pub(super) compiler: String,
    /// The lengths of the messages of all figures.
    message: Vec<usize>,
    associated_data: usize,
    instructions: Costs,
    /// Where there is a model of the core.
    #[serde(default)]
    estimated_cycles: Option<Costs>,
    /// What an image grows by, key handling included.
    pub(super) code: u64,
    pub(super) stack: u64,
}

/// For each length of message.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Costs {
    seal: Vec<u64>,
    open: Vec<u64>,
}

/// Reads a file with a line of JSON for each.
pub(super) fn read(path: &Path) -> Result<Vec<Peer>> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    parse(&text).with_context(|| format!("{} is not a file of peers", path.display()))
}

fn parse(text: &str) -> Result<Vec<Peer>> {
    let peers: Vec<Peer> = text
        .lines()
        .map(|line| serde_json::from_str(line).with_context(|| format!("in {line}")))
        .collect::<Result<_>>()?;
    for peer in &peers {
        let is_complete = |Costs { seal, open }: &Costs| [seal.len(), open.len()] == [peer.message.len(); 2];
        anyhow::ensure!(
            peer.core.starts_with('m') == peer.estimated_cycles.is_some(),
            "{} has estimated cycles on a core without a model, or none on another",
            peer.name
        );
        anyhow::ensure!(
            peer.associated_data == super::ASSOCIATED_DATA && is_complete(peer.costs()),
            "figures of {} are missing, or of other associated data",
            peer.name
        );
    }
    Ok(peers)
}

impl Peer {
    /// Whether it ran on this core.
    pub(super) fn is_on(&self, core: &str) -> bool {
        let number = core.strip_prefix("Cortex-M");
        number.map_or(self.core == core, |number| self.core.strip_prefix('m') == Some(number))
    }

    /// What is compared: estimated cycles, or where there are none, instructions.
    fn costs(&self) -> &Costs {
        self.estimated_cycles.as_ref().unwrap_or(&self.instructions)
    }

    /// The algorithm, as its designers call it.
    pub(super) fn algorithm(&self) -> &str {
        let word = self.name.split(' ').next().unwrap_or_default();
        match word {
            "ascon-c" => "Ascon-AEAD128",
            "ascon128a" => "Ascon-128a",
            "chachapoly" => "ChaCha20-Poly1305",
            "gift-cofb" => "GIFT-COFB",
            "romulusn" => "Romulus-N",
            "schwaemm128128" | "schwaemm128128v2" => "Schwaemm128-128",
            "schwaemm256128" | "schwaemm256128v2" => "Schwaemm256-128",
            "tinyjambu128" => "TinyJAMBU-128",
            "xoodyak" => "Xoodyak",
            other => other,
        }
    }

    /// A row of a table.
    pub(super) fn line(&self) -> Result<String> {
        let flags = self.compiler.rsplit(' ').next().unwrap_or_default();
        let name = format!("{}: `{}`, {flags}", self.algorithm(), self.name);
        row(&name, super::cortex_m::MESSAGES.map(|bytes| self.per_byte(bytes)), self.code, self.stack)
    }

    /// Estimated cycles a byte to seal and to open a message of this length, or where there are none, instructions.
    pub(super) fn per_byte(&self, bytes: usize) -> Result<[f64; 2]> {
        let place = self.message.iter().position(|&other| other == bytes);
        let place = place.with_context(|| format!("{} was not measured with {bytes} bytes", self.name))?;
        let Costs { seal, open } = self.costs();
        Ok([seal[place], open[place]].map(|cost| super::ratio(cost, bytes)))
    }
}

/// A row of a table: what is sealed and opened, by length, and memory.
pub(super) fn row<const N: usize>(
    name: &str,
    costs: [Result<[f64; 2]>; N],
    code: impl Display,
    stack: impl Display,
) -> Result<String> {
    let mut text = format!("| {name} |");
    for cost in costs {
        let [seal, open] = cost?;
        write!(text, " {} / {} |", Figure(seal), Figure(open))?;
    }
    writeln!(text, " {code} | {stack} |")?;
    Ok(text)
}

/// Of each algorithm on a core the fastest with a message of this length, and a small one beside it.
pub(super) fn best<'a>(peers: &'a [Peer], core: &str, bytes: usize) -> Result<Vec<&'a Peer>> {
    let mut all: Vec<(&Peer, f64)> = Vec::new();
    for peer in peers.iter().filter(|peer| peer.is_on(core)) {
        all.push((peer, peer.per_byte(bytes)?[0]));
    }
    all.sort_by(|(_, one), (_, other)| one.total_cmp(other));
    let mut best: Vec<&Peer> = Vec::new();
    for &(fastest, cost) in &all {
        if best.iter().any(|peer| peer.algorithm() == fastest.algorithm()) {
            continue;
        }
        best.push(fastest);
        let smaller = all.iter().filter(|(peer, other)| {
            peer.algorithm() == fastest.algorithm()
                && *other <= cost * SLOWER
                && super::ratio(peer.code, 1) <= super::ratio(fastest.code, 1) * SMALLER
        });
        best.extend(smaller.map(|(peer, _)| *peer).min_by_key(|peer| peer.code));
    }
    Ok(best)
}

#[cfg(test)]
mod tests {
    use super::{best, parse};

    fn line(name: &str, cycles: u64, code: u64) -> String {
        format!(
            r#"{{"core":"m4","name":"{name}","source":"s","compiler":"c","message":[16],"associated_data":8,"instructions":{{"seal":[1],"open":[1]}},"estimated_cycles":{{"seal":[{cycles}],"open":[{cycles}]}},"code":{code},"stack":1}}"#
        )
    }

    #[test]
    fn the_fastest_and_a_small_one_of_each_algorithm_are_shown() {
        let lines = [
            line("xoodyak a", 100, 1000),
            line("xoodyak b", 124, 700),
            line("xoodyak c", 120, 740),
            line("xoodyak d", 126, 10),
            line("tinyjambu128 a", 90, 100),
            line("tinyjambu128 b", 91, 80),
        ];
        let peers = parse(&lines.join("\n")).unwrap();
        let names = |core| {
            best(&peers, core, 16).unwrap().into_iter().map(|peer| peer.name.as_str()).collect::<Vec<_>>()
        };
        assert_eq!(names("Cortex-M4"), ["tinyjambu128 a", "xoodyak a", "xoodyak b"]);
        assert_eq!(names("Cortex-M0"), [""; 0]);
        let riscv = lines[0].replace("m4", "RV32IMC").replace("xoodyak a", "ascon-c");
        let (start, rest) = riscv.split_once(r#""estimated_cycles""#).unwrap();
        let riscv = [start, rest.split_once("},").unwrap().1].concat();
        let riscv = parse(&riscv).unwrap();
        assert_eq!(best(&riscv, "RV32IMC", 16).unwrap()[0].per_byte(16).unwrap(), [1.0 / 16.0; 2]);
        assert!(best(&peers, "Cortex-M4", 64).is_err());
        for wrong in [
            r#"{"core":"m4"}"#,
            &lines[0].replace("[16]", "[16,64]"),
            &lines[0].replace(":8,", ":0,"),
            &lines[0].replace("m4", "RV32IMC"),
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
