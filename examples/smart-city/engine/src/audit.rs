//! The audit log: JSON lines, each with the SHA-256 of the line before it.
//!
//! They are added to one file. When that is long enough it gets another name, [`archives`], and a new file goes on behind it: its
//! first record, [`CONTINUED`], has the hash of the last one of the file before as any other has, and says [what must not be
//! forgotten](crate::memory), so that the gateway itself needs the newest file alone.
//!
//! Who changes, removes or moves a line breaks the chain. Who cuts the end off is found by the store, which holds the number and
//! the hash of the last record ([`Head`]) that anything was built on. A store that was lost or set back is found by the log, which says
//! in each record which [commit](Record::commit) it belongs to. Who writes both anew, or sets both back, is not found: keep copies elsewhere.

use std::{
    collections::VecDeque,
    fs::{self, File},
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write as _},
    ops::RangeInclusive,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use jiff::Timestamp;
use redb::StorageBackend;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{
    memory::Memory,
    store,
    view::{self, Event},
};

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
    /// The store's commit that came next, from 1: a store that has seen less than the one before it was set back.
    pub commit: u64,
    /// What happened.
    pub event: String,
    /// To whom, and more.
    pub detail: Value,
    /// The hash of the line before.
    pub prev: String,
}

/// The event of a record that begins a file behind another.
pub const CONTINUED: &str = "continued";

/// What a log holds, up to its first fault.
#[derive(Debug, Default)]
pub struct Log {
    /// The record before its first one: in another file, if there is one.
    pub before: Head,
    /// The last good record.
    pub head: Head,
    /// The bytes up to its end. What follows without a fault is a line that was not written to its end.
    pub len: u64,
    /// Those of its first record, if that [continues](CONTINUED) another file.
    pub continued: u64,
    /// What must not be forgotten.
    pub memory: Memory,
    /// The last ones of what those are told who look how everything is.
    pub(crate) events: VecDeque<Event>,
    /// Which store the log was written with, and the last record's commit.
    pub store: Option<(String, u64)>,
    /// What is wrong, if anything is.
    pub fault: Option<String>,
}

impl Log {
    /// Reads and verifies the log; `known` is the record that the store holds. A log that is not there has no records.
    ///
    /// # Errors
    /// If the file cannot be read. What is wrong with its content is its [`fault`](Self::fault).
    pub fn read(path: &Path, known: &Head) -> io::Result<Self> {
        let mut log = Self::default();
        match File::open(path) {
            Ok(file) => log.read_lines(BufReader::new(file), known)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        if log.fault.is_none() && log.head.n < known.n {
            log.fault = Some(format!("the end is missing: {} records of at least {}", log.head.n, known.n));
        }
        Ok(log)
    }

    /// The store that the last start in the file names, whatever is wrong with the file before it.
    pub(crate) fn last_store(path: &Path) -> io::Result<Option<String>> {
        // Who asks has tried to read it before.
        let Ok(file) = File::open(path) else { return Ok(None) };
        let mut last = None;
        for line in BufReader::new(file).split(b'\n') {
            let record = serde_json::from_slice::<Record>(&line?).ok();
            let started = record.filter(names_store);
            last = started.and_then(|record| Some(record.detail["store"].as_str()?.to_owned())).or(last);
        }
        Ok(last)
    }

    fn read_lines(&mut self, mut reader: impl BufRead, known: &Head) -> io::Result<()> {
        let mut line = Vec::new();
        loop {
            line.clear();
            reader.read_until(b'\n', &mut line)?;
            let Some(content) = line.strip_suffix(b"\n") else { return Ok(()) };
            if let Err(error) = self.read_line(content, known) {
                self.fault = Some(format!("line {}: {error:#}", self.head.n - self.before.n + 1));
                return Ok(());
            }
            self.len += line.len() as u64;
            if self.before.n > 0 && self.head.n == self.before.n + 1 {
                self.continued = self.len;
            }
        }
    }

    fn read_line(&mut self, line: &[u8], known: &Head) -> Result<()> {
        let record: Record = serde_json::from_slice(line).context("no record")?;
        if self.head.n == 0 && record.event == CONTINUED {
            let before = Head { n: record.n.saturating_sub(1), hash: record.prev.clone() };
            ensure!(before.n > 0, "it continues nothing");
            ensure!(before.n != known.n || before == *known, "it continues another log");
            (self.before, self.head) = (before.clone(), before);
        }
        ensure!(record.n == self.head.n + 1 && record.prev == self.head.hash, "the chain is broken");
        let head = Head::of(record.n, line);
        ensure!(head.n != known.n || head == *known, "this is not the record that was written");
        self.memory.read(&record)?;
        if let Some(event) = Event::of(&record) {
            view::push(&mut self.events, event, view::EVENTS);
        }
        let identity = if names_store(&record) {
            record.detail["store"].as_str().map(str::to_owned)
        } else {
            self.store.take().map(|(identity, _)| identity)
        };
        self.store = Some((identity.context("the first record does not name a store")?, record.commit));
        self.head = head;
        Ok(())
    }
}

/// Whether a record says with which store the log goes on.
fn names_store(record: &Record) -> bool {
    record.event == "started" || record.event == CONTINUED
}

/// The files of records before those in the file at `path`, with the number of the last record of each, in their order.
///
/// # Errors
/// If the folder cannot be read.
pub fn archives(path: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut archives = Vec::new();
    for entry in fs::read_dir(path.parent().unwrap_or(Path::new(".")))? {
        let entry = entry?;
        let last = entry
            .file_name()
            .to_str()
            .and_then(|name| name.strip_prefix("audit.to-")?.strip_suffix(".jsonl")?.parse().ok());
        archives.extend(last.map(|last| (last, entry.path())));
    }
    archives.sort_unstable();
    Ok(archives)
}

/// Verifies the archives of `log`, which was read from `path`: each by itself, and that each goes on behind the one before it. Returns
/// the numbers of the records that are in no file, in their order: the chain does not show that nothing was changed on the other side
/// of those.
///
/// # Errors
/// If a chain is broken, or a file cannot be read.
pub fn verify_archives(path: &Path, log: &Log) -> Result<Vec<RangeInclusive<u64>>> {
    let mut missing = Vec::new();
    let mut before = log.before.clone();
    for (last, file) in archives(path)?.into_iter().rev() {
        let name = file.display();
        let known = if last >= log.head.n {
            log.head.clone()
        } else if last == before.n {
            before.clone()
        } else {
            Head::default()
        };
        let archive = Log::read(&file, &known)?;
        if let Some(fault) = archive.fault {
            bail!("{name}: {fault}");
        }
        ensure!(archive.head.n == last, "{name}: its last record is number {}", archive.head.n);
        if last >= log.head.n {
            // The file at `path` under its next name, of a rotation that goes on now, or that came to no end.
            let is_newest = archive.head == log.head;
            let is_next = || io::Result::Ok(Log::read(path, &Head::default())?.before == archive.head);
            ensure!(is_newest || is_next()?, "{name}: there is more in it than in its time");
            continue;
        }
        ensure!(last <= before.n, "{name}: records of it are in another file too");
        if last < before.n {
            missing.push(last + 1..=before.n);
        }
        before = archive.before;
    }
    if before.n > 0 {
        missing.push(1..=before.n);
    }
    missing.reverse();
    Ok(missing)
}

/// The log, open for writing.
#[derive(Debug)]
pub struct Audit {
    file: Box<dyn StorageBackend>,
    head: Head,
    len: u64,
    continued: u64,
    commit: u64,
    unwritten: Vec<u8>,
}

impl Audit {
    /// Where it is in a data directory.
    #[must_use]
    pub fn path(dir: &Path) -> PathBuf {
        dir.join("audit.jsonl")
    }

    /// Goes on behind the last good record of `log`, which was read from `file`. What follows it is removed.
    ///
    /// # Errors
    /// If the disk does not take it.
    pub fn open(file: impl StorageBackend, log: &Log) -> Result<Self> {
        if file.len()? != log.len {
            file.set_len(log.len)?;
        }
        let commit = log.store.as_ref().map_or(0, |(_, commit)| *commit);
        let Log { len, continued, .. } = *log;
        Ok(Self {
            file: Box::new(file),
            head: log.head.clone(),
            len,
            continued,
            commit,
            unwritten: Vec::new(),
        })
    }

    /// Adds a record, which belongs to the store's next commit. It is durable after [`flush`](Self::flush).
    pub fn append(&mut self, commit: u64, event: &str, detail: Value) -> Record {
        tracing::info!(event, %detail, "audit");
        self.commit = commit;
        let n = self.head.n + 1;
        let record = Record {
            n,
            time: Timestamp::now(),
            commit,
            event: event.to_owned(),
            detail,
            prev: std::mem::take(&mut self.head.hash),
        };
        let line = serde_json::to_vec(&record).unwrap_or_default();
        self.head = Head::of(n, &line);
        self.unwritten.extend_from_slice(&line);
        self.unwritten.push(b'\n');
        record
    }

    /// The commit of the last record.
    #[must_use]
    pub const fn commit(&self) -> u64 {
        self.commit
    }

    /// Whether what follows the first record of what is known is as long as `limit`, and as that: however much is known, a new file is
    /// begun for what has happened alone, and no more is written again than was new.
    #[must_use]
    pub fn is_full(&self, limit: u64) -> bool {
        self.len - self.continued >= limit.max(self.continued)
    }

    /// Goes on in a new file in place of the one at `path`, which becomes an archive. `detail` is what the first record of the new one
    /// says: the store, and what must not be forgotten. `open` opens it.
    ///
    /// At each moment there is a whole file at `path`.
    ///
    /// # Errors
    /// If the disk does not take it. Then nothing more may be added.
    pub fn rotate(
        &mut self,
        path: &Path,
        commit: u64,
        detail: Value,
        open: impl FnOnce(File) -> Result<Box<dyn StorageBackend>>,
    ) -> Result<()> {
        self.flush()?;
        let archive = path.with_file_name(format!("audit.to-{}.jsonl", self.head.n));
        self.append(commit, CONTINUED, detail);
        let new = path.with_extension("new");
        let mut file = store::private().truncate(true).open(&new)?;
        file.write_all(&self.unwritten)?;
        file.sync_all()?;
        (self.len, self.unwritten) = (self.unwritten.len() as u64, Vec::new());
        self.continued = self.len;
        fs::hard_link(path, &archive)?;
        fs::rename(new, path)?;
        store::sync_dir(path.parent().unwrap_or(Path::new(".")))?;
        self.file = open(file)?;
        Ok(())
    }

    /// Removes what a rotation has left that came to no end: a second name of the file at `path`.
    ///
    /// # Errors
    /// If the disk does not take it.
    pub fn end_rotation(path: &Path) -> Result<()> {
        let Ok(file) = fs::metadata(path) else { return Ok(()) };
        for (_, archive) in archives(path)? {
            let other = fs::metadata(&archive)?;
            if (other.dev(), other.ino()) == (file.dev(), file.ino()) {
                fs::remove_file(archive)?;
            }
        }
        Ok(())
    }

    /// Writes what was added to the disk, and says what the last record is.
    ///
    /// # Errors
    /// If the disk does not take it. Then nothing more may be added.
    pub fn flush(&mut self) -> Result<&Head> {
        if !self.unwritten.is_empty() {
            self.file.write(self.len, &self.unwritten)?;
            self.file.sync_data()?;
            self.len += self.unwritten.len() as u64;
            self.unwritten.clear();
        }
        Ok(&self.head)
    }
}

/// The lines after record `after`, at most `limit`, of the file at `path` and its [`archives`].
///
/// # Errors
/// If a file cannot be read.
pub fn lines_after(path: &Path, mut after: u64, limit: usize) -> io::Result<Vec<Value>> {
    // It is opened first: what is archived from now on is in it.
    let newest = File::open(path)?;
    let mut lines = Vec::new();
    for (last, path) in archives(path)? {
        if last > after && lines.len() < limit {
            lines.extend(lines_in(File::open(path)?, after, limit - lines.len())?);
            after = lines.last().and_then(|line| line["n"].as_u64()).unwrap_or(after);
        }
    }
    lines.extend(lines_in(newest, after, limit - lines.len())?);
    Ok(lines)
}

/// As [`lines_after`], of a file that is open. It reads little more than those lines, however long the file is.
///
/// # Errors
/// As of that.
pub fn lines_in(mut file: impl Read + Seek, after: u64, limit: usize) -> io::Result<Vec<Value>> {
    // Records have rising numbers: halve what is left until it is little. `low` is where a line begins.
    let (mut low, mut high) = (0, file.seek(SeekFrom::End(0))?);
    let mut reader = BufReader::new(file);
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
