//! What outlives the process: epochs, states of devices, and readings that are not delivered yet. In redb.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    fs::{self, File, OpenOptions},
    io,
    ops::Bound,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use p256::elliptic_curve::rand_core::{OsRng, RngCore};
use redb::{
    Database, DatabaseError, ReadTransaction, ReadableDatabase, ReadableTable, ReadableTableMetadata as _,
    StorageBackend, StorageError, TableDefinition, TableError, WriteTransaction,
    backends::{FileBackend, InMemoryBackend},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use smart_city_frame::DeviceId;

use crate::{attestation::Status, audit::Head, memory::Fingerprint};

/// Of an EUI-64 and a fingerprint.
const EPOCHS: TableDefinition<'_, ([u8; 8], Fingerprint), u16> = TableDefinition::new("epochs");
const DEVICES: TableDefinition<'_, [u8; 8], &[u8]> = TableDefinition::new("devices");
const OUTBOX: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("outbox");
/// Readings by device, stream, time in microseconds and number.
const HISTORY: TableDefinition<'_, ([u8; 8], u16, i64, u64), &[u8]> = TableDefinition::new("history");
/// The readings of [`HISTORY`] by number: device, stream and time.
const AGES: TableDefinition<'_, u64, ([u8; 8], u16, i64)> = TableDefinition::new("ages");
const ABOUT: TableDefinition<'_, (), &[u8]> = TableDefinition::new("about");

/// Readings that are removed from the history in one commit, at most, beside as many as were added.
const FORGOTTEN: usize = 1024;

/// What is cached of the file, in bytes: it is read at a start only.
const CACHE: usize = 4 << 20;

/// What is known of a device. It is never removed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRecord {
    /// The newest epoch from which anything was accepted, under the root key that the device has now. Replay windows are not
    /// stored: after a start no more is accepted from it. It is stored apart, for each key.
    #[serde(skip)]
    pub epoch: Option<u16>,
    /// The region that was found altered, if the device is isolated for it.
    pub isolated: Option<u16>,
    /// The last attestation.
    pub status: Status,
    /// Its result, a JWT.
    pub result: Option<String>,
}

/// A reading that was accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// The device's EUI-64.
    pub device: [u8; 8],
    /// The root key under which it was accepted.
    pub key: Fingerprint,
    /// The number of its stream.
    pub stream: u16,
    /// Its stream's [identity](crate::config::StreamEntry::identity). Empty, and so no stream's, in a store of before it was kept.
    #[serde(default)]
    pub stream_identity: String,
    /// The frame's epoch.
    pub epoch: u16,
    /// The frame's counter.
    pub counter: u32,
    /// When it was accepted.
    pub time: jiff::Timestamp,
    /// What it says.
    pub payload: Vec<u8>,
}

/// What one transaction changes.
#[derive(Debug, Default)]
pub struct Changes {
    /// Epochs that were opened.
    pub epochs: Vec<(DeviceId, Fingerprint, u16)>,
    /// Devices of which something else is known now.
    pub devices: Vec<(DeviceId, DeviceRecord)>,
    /// Readings to deliver, by rising numbers.
    pub accepted: Vec<(u64, Reading)>,
    /// Readings for no user, for the history and for observers, by rising numbers.
    pub unowed: Vec<(u64, Reading)>,
    /// Readings that were delivered.
    pub delivered: Vec<u64>,
    /// What stays in the history.
    pub history: Bounds,
}

/// What stays in the history of readings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// As many readings at most; none without a history.
    pub most: u64,
    /// None from before the first and after the second of these times, in microseconds since 1970; any time, if nobody knows the time.
    pub times: Option<(i64, i64)>,
}

impl Bounds {
    /// Whether a reading of this time does not stay.
    fn are_passed(&self, time: i64) -> bool {
        self.times.is_some_and(|(from, to)| time < from || time > to)
    }
}

/// What tells a store and its state from others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct About {
    identity: String,
    generation: u64,
    head: Head,
}

/// The database.
#[derive(Debug)]
pub struct Store {
    database: Database,
    about: About,
    /// How many readings the history has, and the time of the first one.
    history: (u64, Option<i64>),
}

/// What a store holds at a start.
#[derive(Debug, Default)]
pub struct Stored {
    /// A random number, in hex, that this store has got when it was made.
    pub identity: String,
    /// The number of its commits.
    pub generation: u64,
    /// The newest epoch of each device and root key that was ever heard.
    pub epochs: Vec<(DeviceId, Fingerprint, u16)>,
    /// All devices of which anything was ever known; their [`epoch`](DeviceRecord::epoch) is none here.
    pub devices: Vec<(DeviceId, DeviceRecord)>,
    /// Readings that may not have been delivered.
    pub outbox: Vec<(u64, Reading)>,
    /// The number of the next reading.
    pub next: u64,
    /// How many readings the history has, and the time of the first one.
    pub history: (u64, Option<i64>),
    /// The last record of the audit log.
    pub head: Head,
}

/// What is in a data directory.
#[derive(Debug)]
pub enum Found {
    /// No store.
    Nothing,
    /// One that cannot be read any more, and why.
    Damaged(String),
    /// A store.
    Whole(Store, Box<Stored>),
}

impl Store {
    /// Where it is in a data directory.
    #[must_use]
    pub fn path(dir: &Path) -> PathBuf {
        dir.join("store.redb")
    }

    /// Opens the store in `dir`, if there is one, and reads what it holds. `disk` is how its file is written.
    ///
    /// # Errors
    /// If another process has it open, or the disk cannot be read.
    pub fn find<B: StorageBackend>(dir: &Path, disk: impl Fn(File) -> Result<B>) -> Result<Found> {
        let file = match File::options().read(true).write(true).open(Self::path(dir)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
            Err(error) => return Err(error).context("store.redb"),
        };
        if file.metadata()?.len() == 0 {
            return Ok(Found::Damaged("it is empty".to_owned()));
        }
        let opened = builder().set_check_integrity_on_open(true).create_with_backend(disk(file)?);
        Self::found(opened)
    }

    /// Reads the store in `dir` without a change of the file; none if a running gateway has it open.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn peek(dir: &Path) -> Result<Option<Found>> {
        let bytes = match File::open(Self::path(dir)) {
            Ok(file) => {
                let backend = FileBackend::new(file)?;
                match builder().open_read_only_with_backend(backend) {
                    Err(DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch) => {
                        return Ok(None);
                    }
                    // What is wrong with it, if anything, is found below.
                    _ => fs::read(Self::path(dir))?,
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Some(Found::Nothing)),
            Err(error) => return Err(error).context("store.redb"),
        };
        if bytes.is_empty() {
            return Ok(Some(Found::Damaged("it is empty".to_owned())));
        }
        // After a kill it must be repaired before it can be read: a copy is.
        let copy = InMemoryBackend::new();
        copy.set_len(bytes.len() as u64)?;
        copy.write(0, &bytes)?;
        Self::found(builder().set_check_integrity_on_open(true).create_with_backend(copy)).map(Some)
    }

    fn found(opened: Result<Database, DatabaseError>) -> Result<Found> {
        let database = match opened {
            Ok(database) => database,
            Err(error @ (DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch)) => {
                return Err(error).context("another gateway runs with this data");
            }
            Err(DatabaseError::Storage(StorageError::Io(error)))
                if !matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData) =>
            {
                return Err(error).context("store.redb");
            }
            Err(error) => return Ok(Found::Damaged(error.to_string())),
        };
        match Stored::read(&database) {
            Ok(stored) => {
                let Stored { identity, generation, head, .. } = &stored;
                let about = About { identity: identity.clone(), generation: *generation, head: head.clone() };
                Ok(Found::Whole(Self { database, about, history: stored.history }, Box::new(stored)))
            }
            Err(error) => Ok(Found::Damaged(format!("{error:#}"))),
        }
    }

    /// Makes a new store in `dir`, where none is.
    ///
    /// # Errors
    /// If the disk does not take it.
    pub fn create<B: StorageBackend>(dir: &Path, disk: impl Fn(File) -> Result<B>) -> Result<(Self, Stored)> {
        // It appears as a whole: power that fails leaves nothing that looks like a damaged store.
        let new = dir.join("store.new");
        let database = builder()
            .create_with_backend(disk(private().truncate(true).open(&new)?)?)
            .context("store.redb cannot be made")?;
        let mut identity = [0; 16];
        OsRng.fill_bytes(&mut identity);
        let about = About { identity: hex::encode(identity), generation: 0, head: Head::default() };
        let write = database.begin_write()?;
        write.open_table(EPOCHS)?;
        write.open_table(DEVICES)?;
        write.open_table(OUTBOX)?;
        write.open_table(HISTORY)?;
        write.open_table(AGES)?;
        write.open_table(ABOUT)?.insert((), serde_json::to_vec(&about)?.as_slice())?;
        write.commit()?;
        fs::rename(new, Self::path(dir))?;
        sync_dir(dir)?;
        let stored = Stored { identity: about.identity.clone(), ..Stored::default() };
        Ok((Self { database, about, history: stored.history }, stored))
    }

    /// The random number that tells it from others.
    #[must_use]
    pub fn identity(&self) -> &str {
        &self.about.identity
    }

    /// The number of commits.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.about.generation
    }

    /// The next commit is at least number `generation + 1`: for a store that goes on behind a log that knows more.
    pub fn skip_to(&mut self, generation: u64) {
        self.about.generation = generation.max(self.about.generation);
    }

    /// Readings that are not delivered, from a number on, at most `limit`.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn outbox(&self, from: u64, limit: usize) -> Result<Vec<(u64, Reading)>> {
        let read = self.database.begin_read()?;
        let table = read.open_table(OUTBOX)?;
        let readings = table.range(from..)?.take(limit).map(|entry| {
            let (number, reading) = entry?;
            Ok((number.value(), parse(reading.value())?))
        });
        readings.collect()
    }

    /// Makes all of `changes` durable, or nothing; with the head of the audit log.
    ///
    /// # Errors
    /// If the disk does not take it, or if an epoch would be forgotten.
    pub fn commit(&mut self, changes: &Changes, head: &Head) -> Result<()> {
        let Changes { epochs, devices, accepted, unowed, delivered, history } = changes;
        let is_nothing = epochs.is_empty()
            && devices.is_empty()
            && accepted.is_empty()
            && unowed.is_empty()
            && delivered.is_empty()
            && !self.is_over(*history);
        if is_nothing && *head == self.about.head {
            return Ok(());
        }
        let about = About {
            identity: self.about.identity.clone(),
            generation: self.about.generation + 1,
            head: head.clone(),
        };
        let write = self.database.begin_write()?;
        let mut kept = self.history;
        {
            let mut table = write.open_table(EPOCHS)?;
            for (id, key, epoch) in epochs {
                let before = table.insert((id.0, *key), epoch)?.map(|before| before.value());
                ensure!(before <= Some(*epoch), "an epoch of {id} would go back");
            }
            let mut table = write.open_table(DEVICES)?;
            for (id, record) in devices {
                table.insert(id.0, serde_json::to_vec(record)?.as_slice())?;
            }
            let mut table = write.open_table(OUTBOX)?;
            for (number, reading) in accepted {
                if table.insert(number, serde_json::to_vec(reading)?.as_slice())?.is_some() {
                    bail!("the reading {number} would be overwritten");
                }
            }
            for number in delivered {
                table.remove(number)?;
            }
            if history.most > 0 || self.history.0 > 0 {
                let new = accepted.iter().chain(unowed).filter(|_| history.most > 0);
                kept = keep(&write, self.history.0, new, *history)?;
            }
            write.open_table(ABOUT)?.insert((), serde_json::to_vec(&about)?.as_slice())?;
        }
        write.commit()?;
        (self.about, self.history) = (about, kept);
        Ok(())
    }

    /// Whether something of the history is to be removed.
    fn is_over(&self, bounds: Bounds) -> bool {
        let (count, first) = self.history;
        count > bounds.most || first.is_some_and(|first| bounds.are_passed(first))
    }

    /// The history as it is now, to be read in any thread while the store goes on.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn snapshot(&self) -> Result<Snapshot> {
        Ok(Snapshot(self.database.begin_read()?))
    }
}

/// The history of a moment. What is removed from the store meanwhile takes its room until this is dropped.
pub struct Snapshot(ReadTransaction);

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot").finish_non_exhaustive()
    }
}

/// Which readings of the history are read.
#[derive(Clone, Debug)]
pub struct Query {
    /// Those of these devices.
    pub devices: Vec<DeviceId>,
    /// The number of their stream.
    pub stream: u16,
    /// Its [identity](crate::config::StreamEntry::identity).
    pub stream_identity: String,
    /// Not before and not after these times, in microseconds since 1970.
    pub times: (i64, i64),
    /// As many at most: the oldest of them.
    pub limit: usize,
}

impl Snapshot {
    /// Reads them, in the order of their times, as long as they are wanted. However many devices there are, it reads one of each more
    /// than it returns, beside those that another stream had under the number.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn read(&self, query: &Query, is_wanted: impl Fn() -> bool) -> Result<Vec<Reading>> {
        let Query { devices, stream, stream_identity, times: (from, to), limit } = query;
        let mut found = Vec::new();
        let table = match self.0.open_table(HISTORY) {
            // A store of before there was a history.
            Err(TableError::TableDoesNotExist(_)) => return Ok(found),
            table => table?,
        };
        // The next reading of a device, by its key.
        let next = |device: [u8; 8], start: Bound<_>| -> Result<Option<Reverse<_>>> {
            let range = (start, Bound::Included((device, *stream, *to, u64::MAX)));
            let first = table.range(range)?.next().transpose()?;
            Ok(first.map(|(key, _)| {
                let (device, _, time, number) = key.value();
                Reverse((time, device, number))
            }))
        };
        let mut heads = BinaryHeap::new();
        for DeviceId(device) in devices {
            heads.extend(next(*device, Bound::Included((*device, *stream, *from, 0)))?);
        }
        while found.len() < *limit && is_wanted() {
            let Some(Reverse((time, device, number))) = heads.pop() else { break };
            let key = (device, *stream, time, number);
            if let Some(value) = table.get(key)? {
                let reading: Reading = parse(value.value())?;
                found.extend(Some(reading).filter(|reading| reading.stream_identity == *stream_identity));
            }
            heads.extend(next(device, Bound::Excluded(key))?);
        }
        Ok(found)
    }
}

/// Adds readings to the history, and removes those that are beyond its bounds. Returns how many there are, and the time of the first.
fn keep<'r>(
    write: &WriteTransaction,
    mut count: u64,
    new: impl Iterator<Item = &'r (u64, Reading)>,
    bounds: Bounds,
) -> Result<(u64, Option<i64>)> {
    let (mut history, mut ages) = (write.open_table(HISTORY)?, write.open_table(AGES)?);
    let before = count;
    for (number, reading) in new {
        let time = reading.time.as_microsecond();
        history.insert(
            (reading.device, reading.stream, time, *number),
            serde_json::to_vec(reading)?.as_slice(),
        )?;
        ages.insert(number, (reading.device, reading.stream, time))?;
        count += 1;
    }
    let mut left = FORGOTTEN as u64 + (count - before);
    loop {
        let Some((number, (device, stream, time))) =
            ages.first()?.map(|(number, age)| (number.value(), age.value()))
        else {
            return Ok((0, None));
        };
        if (count <= bounds.most && !bounds.are_passed(time)) || left == 0 {
            return Ok((count, Some(time)));
        }
        ages.remove(number)?;
        history.remove((device, stream, time, number))?;
        count -= 1;
        left -= 1;
    }
}

impl Stored {
    fn read(database: &Database) -> Result<Self> {
        let read = database.begin_read()?;
        let about = read.open_table(ABOUT)?.get(())?.context("it does not say what it is")?;
        let About { identity, generation, head } = parse(about.value())?;
        let mut stored = Self { identity, generation, head, ..Self::default() };
        for entry in read.open_table(EPOCHS)?.iter()? {
            let (key, epoch) = entry?;
            let (id, key) = key.value();
            stored.epochs.push((DeviceId(id), key, epoch.value()));
        }
        for entry in read.open_table(DEVICES)?.iter()? {
            let (id, record) = entry?;
            stored.devices.push((DeviceId(id.value()), parse(record.value())?));
        }
        for entry in read.open_table(OUTBOX)?.iter()? {
            let (number, reading) = entry?;
            stored.outbox.push((number.value(), parse(reading.value())?));
        }
        let mut newest = stored.outbox.last().map(|(number, _)| *number);
        match read.open_table(AGES) {
            // A store of before there was a history.
            Err(TableError::TableDoesNotExist(_)) => {}
            ages => {
                let ages = ages?;
                newest = newest.max(ages.last()?.map(|(number, _)| number.value()));
                stored.history = (ages.len()?, ages.first()?.map(|(_, age)| age.value().2));
            }
        }
        stored.next = newest.map_or(0, |newest| newest + 1);
        Ok(stored)
    }
}

fn builder() -> redb::Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE);
    builder
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    Ok(serde_json::from_slice(bytes)?)
}

/// To open a file for reading and writing, or to make it, so that nobody else may read it.
#[must_use]
pub fn private() -> OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = File::options();
    options.read(true).write(true).create(true).mode(0o600);
    options
}

/// Makes durable what was made or renamed in a directory.
///
/// # Errors
/// If the disk does not take it.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
