//! Tables in Markdown.

use std::fmt::{self, Write as _};

use anyhow::{Context, Result};

use super::{ASSOCIATED_DATA, compared};
use crate::{
    algorithms::{
        AES_GCM_GRAVIOLA, AES_GCM_OPENSSL, AES_GCM_RING, AES_OCB, AES_OTR, ASCON, CHACHA_OPENSSL,
        CHACHA_RING, OPENSSL, TWINE_128, TWINE_OTR, TWINE_OTR_COUNTED,
    },
    results::{Results, Run},
    task::Operation::{self, Decrypt, Encrypt, Open, Seal, Setup},
};

/// Lengths of messages, and their headings.
const MESSAGES: [(usize, &str); 5] =
    [(16, "16 B"), (64, "64 B"), (256, "256 B"), (1500, "1500 B"), (16384, "16 KiB")];

/// What is compared with what.
const RATIOS: [(&str, &str); 9] = [
    (TWINE_OTR, ASCON),
    (TWINE_OTR_COUNTED, ASCON),
    (TWINE_OTR, CHACHA_RING),
    (TWINE_OTR_COUNTED, CHACHA_RING),
    (TWINE_OTR, CHACHA_OPENSSL),
    (AES_OTR, AES_OCB),
    (AES_OTR, AES_GCM_GRAVIOLA),
    (AES_OTR, AES_GCM_OPENSSL),
    (AES_OTR, AES_GCM_RING),
];

/// What the project's README shows.
///
/// # Errors
/// If `results` lacks something.
pub fn front(results: &Results) -> Result<String> {
    let mut text = String::new();
    introduction(&mut text, results)?;
    text.push('\n');
    if !results.peers.iter().any(|peer| peer.name == OPENSSL) {
        text.push_str("OpenSSL is left out: its headers were missing.\n\n");
    }
    costs(&mut text, default_run(results)?)?;
    Ok(text)
}

/// What the benchmark's own README shows.
///
/// # Errors
/// If `results` lacks something.
pub fn details(results: &Results) -> Result<String> {
    let mut text = String::new();
    ratios(&mut text, default_run(results)?)?;
    text.push('\n');
    backends(&mut text, &results.runs)?;
    Ok(text)
}

fn default_run(results: &Results) -> Result<&Run> {
    results.runs.iter().find(|run| !run.forced).context("no results of the default build")
}

fn introduction(text: &mut String, results: &Results) -> fmt::Result {
    let Results { machine, rustc, date, unit, .. } = results;
    let rustc = rustc.split(" (").next().unwrap_or(rustc);
    let peers = results.peers.iter().filter(|peer| peer.name != "openssl" && peer.name != "speck-cipher");
    let peers: Vec<String> = peers
        .map(|peer| {
            if peer.name == OPENSSL {
                peer.version.clone()
            } else {
                format!("{} {}", peer.name, peer.version)
            }
        })
        .collect();
    writeln!(
        text,
        "Measured on {date} on {},\n\
         with {rustc} and no flags for the CPU; each crate chooses its code at run time. [benches](benches) says how.\n\n\
         Core {unit} a byte of message, sealed and opened in place with {ASSOCIATED_DATA} bytes of associated data; \
         less is better. The peers are {}.",
        machine.cpu,
        peers.join(", ")
    )
}

fn headings(text: &mut String, first: &str) -> fmt::Result {
    write!(text, "| {first} |")?;
    for (_, heading) in MESSAGES {
        write!(text, " {heading} |")?;
    }
    writeln!(text, "\n|---|{}", "--:|".repeat(MESSAGES.len()))
}

fn costs(text: &mut String, run: &Run) -> Result<()> {
    headings(text, "seal / open")?;
    for algorithm in compared(run) {
        write!(text, "| {algorithm} |")?;
        for (bytes, _) in MESSAGES {
            let cost = |operation| run.per_byte(algorithm, operation, bytes, ASSOCIATED_DATA);
            write!(text, " {} / {} |", Figure(cost(Seal)?), Figure(cost(Open)?))?;
        }
        writeln!(text)?;
    }
    Ok(())
}

fn ratios(text: &mut String, run: &Run) -> Result<()> {
    headings(text, "times as fast, seal / open")?;
    for (algorithm, peer) in RATIOS {
        if !compared(run).any(|algorithm| algorithm == peer) {
            continue;
        }
        write!(text, "| {algorithm} as {peer} |")?;
        for (bytes, _) in MESSAGES {
            let cost = |algorithm, operation| run.per_byte(algorithm, operation, bytes, ASSOCIATED_DATA);
            let ratio =
                |operation| Ok::<_, anyhow::Error>(cost(peer, operation)? / cost(algorithm, operation)?);
            write!(text, " {} / {} |", Figure(ratio(Seal)?), Figure(ratio(Open)?))?;
        }
        writeln!(text)?;
    }
    Ok(())
}

/// What TWINE costs with each backend; the forced ones only, as the default is one of them.
fn backends(text: &mut String, runs: &[Run]) -> Result<()> {
    const BLOCKS: usize = 1024;
    text.push_str(
        "| TWINE-128 by backend | 1 block | 1024 blocks, encrypt / decrypt | seal 16 B | seal 1500 B | seal 16 KiB \
         | key set-up | expanded key |\n|---|--:|--:|--:|--:|--:|--:|--:|\n",
    );
    for run in runs.iter().filter(|run| run.forced) {
        let block = run.row(TWINE_128, Encrypt, Some(8), 0)?.cost;
        let blocks = |operation: Operation| run.per_byte(TWINE_128, operation, 8 * BLOCKS, 0);
        let seal = |bytes| run.per_byte(TWINE_OTR, Seal, bytes, ASSOCIATED_DATA);
        let setup = run.row(TWINE_128, Setup, None, 0)?;
        writeln!(
            text,
            "| `{}` | {block:.0} | {} / {} | {} | {} | {} | {:.0} | {} B |",
            run.backend,
            Figure(blocks(Encrypt)?),
            Figure(blocks(Decrypt)?),
            Figure(seal(16)?),
            Figure(seal(1500)?),
            Figure(seal(16384)?),
            setup.cost,
            setup.bytes,
        )?;
    }
    text.push_str("\nOne block and key set-up are in cycles, the rest in cycles a byte.\n");
    Ok(())
}

/// A number with as many digits as the measurement deserves.
pub(super) struct Figure(pub(super) f64);

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = match self.0 {
            value if value < 9.995 => 2,
            value if value < 99.95 => 1,
            _ => 0,
        };
        write!(f, "{:.digits$}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::Figure;

    #[test]
    fn figures_have_about_three_digits() {
        let shown = [0.1649, 9.994, 9.996, 99.94, 99.96, 274.84].map(|value| Figure(value).to_string());
        assert_eq!(shown, ["0.16", "9.99", "10.0", "99.9", "100", "275"]);
    }
}
