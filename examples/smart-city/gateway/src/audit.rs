//! The audit log: a file of JSON lines that only grows, each with the SHA-256 of the line before it.
//!
//! Who changes, removes or moves a line breaks the chain. Who cuts the end off is found by the store, which holds the number and
//! the hash of the last record ([`Head`]) that anything was built on. Who writes both anew is not found: keep copies elsewhere.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufRead, BufReader, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// The last record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Its number; 0 if there is none.
    pub n: u64,
    /// The SHA-256 of its line, in hex; empty if there is none.
    pub hash: String,
}

impl Head {
    fn of(n: u64, line: &[u8]) -> Self {
        Self { n, hash: hex::encode(Sha256::digest(line)) }
    }
}

/// A line of the file.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// From 1, without gaps.
    pub n: u64,
    /// When it was written.
    pub time: Timestamp,
    /// What happened.
    pub event: String,
    /// To whom, and more.
    pub detail: Value,
    /// The hash of the line before.
    pub prev: String,
}

/// The log, open for writing.
#[derive(Debug)]
pub struct Audit {
    file: File,
    head: Head,
    unwritten: Vec<u8>,
}

impl Audit {
    /// Where it is in a data directory.
    #[must_use]
    pub fn path(dir: &Path) -> PathBuf {
        dir.join("audit.jsonl")
    }

    /// Opens the log in `dir` and verifies it; `known` is what the store holds.
    ///
    /// A last line that was not written to its end, by a loss of power, is removed: nothing was built on it.
    ///
    /// # Errors
    /// If the log was changed, or is not there up to `known`.
    pub fn open(dir: &Path, known: &Head) -> Result<Self> {
        let path = Self::path(dir);
        let file = OpenOptions::new().create(true).append(true).open(&path)?;
        let (head, len) = verify(&path, known)?;
        file.set_len(len)?;
        Ok(Self { file, head, unwritten: Vec::new() })
    }

    /// Adds a record. It is durable after [`flush`](Self::flush).
    pub fn append(&mut self, event: &str, detail: Value) {
        tracing::info!(event, %detail, "audit");
        let n = self.head.n + 1;
        let record = Record {
            n,
            time: Timestamp::now(),
            event: event.to_owned(),
            detail,
            prev: std::mem::take(&mut self.head.hash),
        };
        let line = serde_json::to_vec(&record).unwrap_or_default();
        self.head = Head::of(n, &line);
        self.unwritten.extend_from_slice(&line);
        self.unwritten.push(b'\n');
    }

    /// Writes what was added to the disk, and says what the last record is.
    ///
    /// # Errors
    /// If the disk does not take it.
    pub fn flush(&mut self) -> io::Result<&Head> {
        if !self.unwritten.is_empty() {
            self.file.write_all(&self.unwritten)?;
            self.file.sync_data()?;
            self.unwritten.clear();
        }
        Ok(&self.head)
    }
}

/// Verifies the chain from its beginning; returns its head and its length in bytes, without a torn last line.
///
/// # Errors
/// Names the first line that is wrong.
pub fn verify(path: &Path, known: &Head) -> Result<(Head, u64)> {
    let mut reader = BufReader::new(File::open(path)?);
    let (mut head, mut len, mut line) = (Head::default(), 0, Vec::new());
    let mut found = known.n == 0;
    loop {
        line.clear();
        let read = reader.read_until(b'\n', &mut line)?;
        let Some(content) = line.strip_suffix(b"\n") else { break };
        let at = || format!("{}:{}", path.display(), head.n + 1);
        let record: Record = serde_json::from_slice(content).with_context(at)?;
        ensure!(record.n == head.n + 1 && record.prev == head.hash, "{}: the chain is broken", at());
        head = Head::of(record.n, content);
        if head.n == known.n {
            ensure!(head == *known, "{}:{}: this is not the record that was written", path.display(), head.n);
            found = true;
        }
        len += read as u64;
    }
    if !found {
        bail!("{}: the end is missing: {} records of at least {}", path.display(), head.n, known.n);
    }
    Ok((head, len))
}

/// The lines after record `after`, at most `limit`.
///
/// # Errors
/// If the file cannot be read.
pub fn lines_after(path: &Path, after: u64, limit: usize) -> io::Result<Vec<Value>> {
    let mut reader = BufReader::new(File::open(path)?);
    // Records have rising numbers: halve what is left until it is little. `low` is where a line begins.
    let (mut low, mut high) = (0, reader.get_ref().metadata()?.len());
    let mut line = Vec::new();
    while high - low > 65_536 {
        let middle = low + (high - low) / 2;
        reader.seek(SeekFrom::Start(middle))?;
        line.clear();
        let start = middle + reader.read_until(b'\n', &mut line)? as u64;
        line.clear();
        reader.read_until(b'\n', &mut line)?;
        match serde_json::from_slice::<Record>(&line) {
            Ok(record) if record.n <= after.saturating_add(1) => low = start,
            _ => high = middle,
        }
    }
    reader.seek(SeekFrom::Start(low))?;
    let mut lines = Vec::new();
    while lines.len() < limit {
        line.clear();
        if reader.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        let record = serde_json::from_slice::<Value>(&line).ok();
        lines.extend(record.filter(|record| record["n"].as_u64().is_some_and(|n| n > after)));
    }
    Ok(lines)
}
