//! The store of one gateway, in a file of its data directory: in redb.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    fmt,
    fs::{self, File},
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

use crate::{
    audit::Head,
    memory::Fingerprint,
    store::{
        Bounds, Changes, FORGOTTEN, Found, Place, Query, Reading, Shard, Snapshot, Store, Stored, private,
        sync_dir, unused,
    },
};

/// Of an EUI-64 and a fingerprint.
const EPOCHS: TableDefinition<'_, ([u8; 8], Fingerprint), u16> = TableDefinition::new("epochs");
const DEVICES: TableDefinition<'_, [u8; 8], &[u8]> = TableDefinition::new("devices");
const OUTBOX: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("outbox");
/// Readings by device, stream, time in microseconds and number.
const HISTORY: TableDefinition<'_, ([u8; 8], u16, i64, u64), &[u8]> = TableDefinition::new("history");
/// The readings of [`HISTORY`] by number: device, stream and time.
const AGES: TableDefinition<'_, u64, ([u8; 8], u16, i64)> = TableDefinition::new("ages");
const ABOUT: TableDefinition<'_, (), &[u8]> = TableDefinition::new("about");

/// What is cached of the file, in bytes: it is read at a start only.
const CACHE: usize = 4 << 20;

/// What tells a store and its state from others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct About {
    identity: String,
    generation: u64,
    head: Head,
}

/// The database.
#[derive(Debug)]
pub struct FileStore {
    database: Database,
    about: About,
    /// How many readings the history has, and the time of the first one.
    history: (u64, Option<i64>),
}

/// A data directory, as a place of a store.
pub struct Directory<'d, D> {
    /// Where it is.
    pub dir: &'d Path,
    /// How a file is written: the disk may have faults.
    pub disk: D,
}

impl<D> fmt::Debug for Directory<'_, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Directory").field("dir", &self.dir).finish_non_exhaustive()
    }
}

impl<B: StorageBackend, D: Fn(File) -> Result<B>> Place for Directory<'_, D> {
    fn find(&self) -> Result<Found> {
        FileStore::find(self.dir, &self.disk)
    }

    fn create(&self) -> Result<(Box<dyn Store>, Stored)> {
        let damaged = FileStore::path(self.dir);
        if damaged.exists() {
            fs::rename(damaged, unused(self.dir, "store", "redb"))?;
        }
        let (store, stored) = FileStore::create(self.dir, &self.disk)?;
        Ok((Box::new(store), stored))
    }
}

impl FileStore {
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
        match read(&database) {
            Ok(stored) => {
                let Stored { identity, generation, head, .. } = &stored;
                let about = About { identity: identity.clone(), generation: *generation, head: head.clone() };
                let store = Self { database, about, history: stored.history };
                Ok(Found::Whole(Box::new(store), Box::new(stored)))
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

    /// Whether something of the history is to be removed.
    fn is_over(&self, bounds: Bounds) -> bool {
        let (count, first) = self.history;
        count > bounds.most || first.is_some_and(|first| bounds.are_passed(first))
    }
}

impl Store for FileStore {
    fn identity(&self) -> &str {
        &self.about.identity
    }

    fn generation(&self) -> u64 {
        self.about.generation
    }

    fn skip_to(&mut self, generation: u64) {
        self.about.generation = generation.max(self.about.generation);
    }

    fn outbox(&mut self, from: u64, limit: usize) -> Result<Vec<(u64, Reading)>> {
        let read = self.database.begin_read()?;
        let table = read.open_table(OUTBOX)?;
        let readings = table.range(from..)?.take(limit).map(|entry| {
            let (number, reading) = entry?;
            Ok((number.value(), parse(reading.value())?))
        });
        readings.collect()
    }

    fn commit(&mut self, changes: &Changes, head: &Head) -> Result<()> {
        let Changes { epochs, devices, accepted, unowed, delivered, links, history } = changes;
        // A state that is put back with a copy of the file would repeat nonces.
        ensure!(links.is_empty(), "a file has no links of devices");
        if changes.is_empty() && !self.is_over(*history) && *head == self.about.head {
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

    fn snapshot(&self) -> Result<Box<dyn Snapshot>> {
        Ok(Box::new(Moment(self.database.begin_read()?)))
    }

    fn hold(&mut self, shard: &Shard) -> Result<()> {
        ensure!(shard.number == 0, "a file has shard 0 alone");
        Ok(())
    }

    fn let_go(&mut self, _: u16) {}
}

/// The history of a moment. What is removed from the store meanwhile takes its room until this is dropped.
struct Moment(ReadTransaction);

impl fmt::Debug for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Moment").finish_non_exhaustive()
    }
}

impl Snapshot for Moment {
    /// However many devices there are, it reads one of each more than it returns, beside those that another stream had under the number.
    fn read(&self, query: &Query, is_wanted: &dyn Fn() -> bool) -> Result<Vec<Reading>> {
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
    let mut left = FORGOTTEN + (count - before);
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

fn read(database: &Database) -> Result<Stored> {
    let read = database.begin_read()?;
    let about = read.open_table(ABOUT)?.get(())?.context("it does not say what it is")?;
    let About { identity, generation, head } = parse(about.value())?;
    let mut stored = Stored { identity, generation, head, ..Stored::default() };
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

fn builder() -> redb::Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE);
    builder
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    Ok(serde_json::from_slice(bytes)?)
}
