//! What was taken already, in a file: a restart forgets none of it. With it is the history of what was taken, until its labels expire.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use anyhow::{Context as _, Result};
use redb::{
    Database, ReadableDatabase as _, ReadableTable as _, TableDefinition, WriteTransaction,
    backends::FileBackend,
};
use smart_city_engine::{config::History, store};

use crate::{
    handover::{Reading, stored},
    keys::Thumbprint,
    label::Id,
};

/// Windows by owner, stream, and the owner's key that signs: who has stolen one ends no stream that another key signs.
const WINDOWS: TableDefinition<'_, (&str, &str, &Thumbprint), &[u8]> = TableDefinition::new("windows by key");
/// What the owner has signed, by `owner/stream`, time in microseconds, and id.
const HISTORY: TableDefinition<'_, (&str, i64, u64, u64), &[u8]> = TableDefinition::new("history");
/// The same by owner, and until when it is kept, in seconds.
const ENDS: TableDefinition<'_, (&str, i64, &str, i64, u64, u64), ()> = TableDefinition::new("ends");
/// This city's own epoch, as an owner.
const EPOCH: TableDefinition<'_, (), u64> = TableDefinition::new("epoch");

const FILE: &str = "cities.redb";
/// What is cached of the file, in bytes.
const CACHE: usize = 1 << 20;

/// How many readings of a stream may come in another order than they were signed in.
const WINDOW: usize = 4096;

/// Which readings of a stream were taken: the newest epoch, its highest number, and which of those before it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Window {
    highest: Id,
    /// A bit for each number, at the number modulo its length.
    taken: Vec<u8>,
}

impl Window {
    fn new(epoch: u64) -> Self {
        Self { highest: Id { epoch, sequence: 0 }, taken: vec![0; WINDOW / 8] }
    }

    fn bit(&mut self, sequence: u64) -> (&mut u8, u8) {
        let place = usize::try_from(sequence % WINDOW as u64).unwrap_or(0);
        (&mut self.taken[place / 8], 1 << (place % 8))
    }

    /// Takes a reading that was not taken before; false if it was, or may have been.
    fn take(&mut self, id: Id) -> bool {
        if id.epoch > self.highest.epoch {
            *self = Self::new(id.epoch);
        }
        let Id { epoch, sequence } = self.highest;
        if id.epoch < epoch || id.sequence.saturating_add(WINDOW as u64) <= sequence {
            return false;
        }
        // What is between is as if it was never there.
        let first = sequence.saturating_add(1).max(id.sequence.saturating_sub(WINDOW as u64 - 1));
        for skipped in first..=id.sequence {
            let (byte, bit) = self.bit(skipped);
            *byte &= !bit;
        }
        self.highest.sequence = sequence.max(id.sequence);
        let (byte, bit) = self.bit(id.sequence);
        let is_new = *byte & bit == 0;
        *byte |= bit;
        is_new
    }

    fn to_bytes(&self) -> Vec<u8> {
        let Id { epoch, sequence } = self.highest;
        [&epoch.to_be_bytes()[..], &sequence.to_be_bytes(), &self.taken].concat()
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (epoch, rest) = bytes.split_first_chunk()?;
        let (sequence, taken) = rest.split_first_chunk()?;
        let highest = Id { epoch: u64::from_be_bytes(*epoch), sequence: u64::from_be_bytes(*sequence) };
        (taken.len() == WINDOW / 8).then(|| Self { highest, taken: taken.to_vec() })
    }
}

type Of = (String, String, Thumbprint);

/// What was taken of each stream of each owner, by the key that has signed it.
#[derive(Debug)]
pub(crate) struct Taken {
    file: Arc<Database>,
    windows: BTreeMap<Of, Window>,
    /// Those that the file has not got yet, as they will be.
    changed: BTreeMap<Of, Window>,
    /// Readings that the history has of each owner.
    counts: BTreeMap<String, u64>,
    /// What the history gets with them.
    new: Vec<New>,
}

/// A reading for the history.
#[derive(Debug)]
struct New {
    owner: String,
    /// As `owner/stream`.
    stream: String,
    time: i64,
    id: Id,
    until: i64,
    signed: Vec<u8>,
}

/// Readings that are removed from the history of an owner in one commit, at most, beside as many as were added.
const FORGOTTEN: usize = 1024;

/// The history, to be read while more is taken.
#[derive(Clone, Debug)]
pub(crate) struct Past(Arc<Database>);

impl Past {
    /// Reads what was signed for a stream, `owner/stream`, between two times in microseconds, in the order of its times, as long as `take` says
    /// so.
    pub(crate) fn read(
        &self,
        stream: &str,
        (from, to): (i64, i64),
        mut take: impl FnMut(Reading) -> Result<bool>,
    ) -> Result<()> {
        let read = self.0.begin_read()?;
        let table = read.open_table(HISTORY)?;
        for entry in table.range((stream, from, 0, 0)..=(stream, to, u64::MAX, u64::MAX))? {
            let (_, bytes) = entry?;
            if !take(stored(bytes.value()).context("a reading of the history is damaged")?)? {
                break;
            }
        }
        Ok(())
    }
}

impl Taken {
    /// The history.
    pub(crate) fn past(&self) -> Past {
        Past(Arc::clone(&self.file))
    }

    /// Has the history get a reading when all is [kept](Self::keep): until its label expires, and for so many hours at most.
    pub(crate) fn remember(&mut self, reading: &Reading, signed: Vec<u8>, hours: u32, now: i64) {
        let label = &reading.label;
        self.new.push(New {
            owner: label.owner.clone(),
            stream: format!("{}/{}", label.owner, label.stream),
            time: reading.time.as_microsecond(),
            id: label.id,
            until: label.expiry.min(now.saturating_add(3600 * i64::from(hours))),
            signed,
        });
    }

    /// Adds to the history, and removes what has expired and what is too much: of each owner the readings that expire first.
    fn keep_history(&self, write: &WriteTransaction, most: u64, now: i64) -> Result<BTreeMap<String, u64>> {
        let (mut history, mut ends) = (write.open_table(HISTORY)?, write.open_table(ENDS)?);
        let mut counts = self.counts.clone();
        for New { owner, stream, time, id, until, signed } in &self.new {
            let Id { epoch, sequence } = *id;
            history.insert((stream.as_str(), *time, epoch, sequence), signed.as_slice())?;
            let is_new =
                ends.insert((owner.as_str(), *until, stream.as_str(), *time, epoch, sequence), ())?.is_none();
            *counts.entry(owner.clone()).or_default() += u64::from(is_new);
        }
        for (owner, count) in &mut counts {
            for _ in 0..FORGOTTEN + self.new.len() {
                let bounds = (owner.as_str(), i64::MIN, "", i64::MIN, 0, 0)..;
                let Some(first) = ends.range(bounds)?.next().transpose()? else { break };
                let (of, until, stream, time, epoch, sequence) = first.0.value();
                if of != owner || (until > now && *count <= most) {
                    break;
                }
                let (stream, rest) = (stream.to_owned(), (time, epoch, sequence));
                drop(first);
                history.remove((stream.as_str(), rest.0, rest.1, rest.2))?;
                ends.remove((owner.as_str(), until, stream.as_str(), rest.0, rest.1, rest.2))?;
                *count -= 1;
            }
        }
        counts.retain(|_, count| *count > 0);
        Ok(counts)
    }

    /// Opens the file in a folder, or makes it; and begins an epoch of this city, with the time in microseconds since 1970.
    pub(crate) fn open(dir: &Path, now: u64) -> Result<(Self, u64)> {
        let path = dir.join(FILE);
        let open = || {
            let backend = FileBackend::new(store::private().truncate(false).open(&path)?)?;
            let file = Database::builder().set_cache_size(CACHE).create_with_backend(backend)?;
            let write = file.begin_write()?;
            let epoch = {
                write.open_table(WINDOWS)?;
                write.open_table(HISTORY)?;
                write.open_table(ENDS)?;
                let mut table = write.open_table(EPOCH)?;
                let before = table.get(())?.map_or(0, |epoch| epoch.value());
                // A clock that was set back begins no epoch again.
                let epoch = now.max(before.saturating_add(1));
                table.insert((), epoch)?;
                epoch
            };
            write.commit()?;
            store::sync_dir(dir)?;
            let mut counts = BTreeMap::<_, u64>::new();
            for entry in file.begin_read()?.open_table(ENDS)?.iter()? {
                let (key, _) = entry?;
                *counts.entry(key.value().0.to_owned()).or_default() += 1;
            }
            let mut windows = BTreeMap::new();
            for entry in file.begin_read()?.open_table(WINDOWS)?.iter()? {
                let (key, value) = entry?;
                let (owner, stream, key) = key.value();
                let window = Window::parse(value.value()).context("a window is damaged")?;
                windows.insert((owner.to_owned(), stream.to_owned(), *key), window);
            }
            let file = Arc::new(file);
            anyhow::Ok((Self { file, windows, changed: BTreeMap::new(), counts, new: Vec::new() }, epoch))
        };
        open().with_context(|| {
            format!(
                "{FILE}: if it is damaged, put back the file as it was at the last stop, or move it away and wait until the labels of before \
                 have expired"
            )
        })
    }

    /// Takes a reading that was not taken before. It counts when it is [kept](Self::keep).
    pub(crate) fn take(&mut self, owner: &str, stream: &str, key: &Thumbprint, id: Id) -> bool {
        let of = (owner.to_owned(), stream.to_owned(), *key);
        let known = self.changed.get(&of).or_else(|| self.windows.get(&of));
        let mut window = known.cloned().unwrap_or_else(|| Window::new(id.epoch));
        let is_new = window.take(id);
        if is_new {
            self.changed.insert(of, window);
        }
        is_new
    }

    /// Stores what was taken, and with it shortens the history.
    pub(crate) fn keep(&mut self, history: Option<History>, now: i64) -> Result<()> {
        if self.changed.is_empty() { Ok(()) } else { self.store(history, now) }
    }

    /// Shortens the history, if there is something in it. Whether something was removed: then there may be more.
    pub(crate) fn tidy(&mut self, history: Option<History>, now: i64) -> Result<bool> {
        let before = self.counts.clone();
        if !before.is_empty() {
            self.store(history, now)?;
        }
        Ok(self.counts != before)
    }

    fn store(&mut self, history: Option<History>, now: i64) -> Result<()> {
        let write = self.file.begin_write()?;
        let counts = self.keep_history(&write, history.map_or(0, |history| history.most.into()), now)?;
        {
            let mut table = write.open_table(WINDOWS)?;
            for ((owner, stream, key), window) in &self.changed {
                table.insert((owner.as_str(), stream.as_str(), key), window.to_bytes().as_slice())?;
            }
        }
        write.commit()?;
        self.windows.append(&mut self.changed);
        self.counts = counts;
        self.new.clear();
        Ok(())
    }

    /// Forgets what was not stored.
    pub(crate) fn give_up(&mut self) {
        self.changed.clear();
        self.new.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// As a set of all ids would do it, as long as nothing is older than the window.
    #[test]
    fn nothing_is_taken_twice() {
        let (mut window, mut model) = (Window::new(1), BTreeSet::new());
        let (mut random, mut newest) = (1_u64, 0_u64);
        for i in 0..200_000_u64 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let step = (random >> 33) % 5000;
            let sequence = if i % 3 == 0 { newest + step % 7 } else { newest.saturating_sub(step) };
            let id = Id { epoch: 1 + i / 50_000, sequence };
            if i % 50_000 == 0 {
                newest = 0;
            }
            newest = newest.max(sequence);
            let is_in_window = sequence + 4096 > newest;
            assert_eq!(window.take(id), is_in_window && model.insert(id), "{id:?}");
        }
        assert!(!window.take(Id { epoch: 1, sequence: u64::MAX - 5000 }));
    }

    /// Much may expire at once: it goes in steps, and all of it.
    #[test]
    fn all_that_has_expired_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let (mut taken, _) = Taken::open(dir.path(), 1000).unwrap();
        let history = Some(History { hours: 1, most: 10_000 });
        for i in 0..5000 {
            let (owner, stream, id) = ("a".to_owned(), "a/s".to_owned(), Id { epoch: 1, sequence: i });
            let until = if i < 4000 { 100 } else { 200 };
            taken.new.push(New { owner, stream, time: 0, id, until, signed: Vec::new() });
        }
        assert!(taken.take("a", "s", &[1; 32], Id { epoch: 1, sequence: 1 }));
        taken.keep(history, 0).unwrap();
        assert!(!taken.tidy(history, 99).unwrap());
        let mut steps = 0;
        while taken.tidy(history, 100).unwrap() {
            steps += 1;
        }
        assert_eq!((steps, taken.counts["a"]), (4, 1000));
    }

    #[test]
    fn a_restart_forgets_nothing_and_begins_an_epoch() {
        let dir = tempfile::tempdir().unwrap();
        let id = |sequence| Id { epoch: 7, sequence };
        let (key, other) = ([1; 32], [2; 32]);
        let (mut taken, first) = Taken::open(dir.path(), 1000).unwrap();
        assert_eq!(first, 1000);
        assert!(taken.take("a", "s", &key, id(5)) && !taken.take("a", "s", &key, id(5)));
        taken.give_up();
        assert!(
            taken.take("a", "s", &key, id(5))
                && taken.take("a", "t", &key, id(5))
                && taken.take("b", "s", &key, id(5))
        );
        taken.keep(None, 0).unwrap();
        assert!(taken.take("a", "s", &key, id(6)));
        drop(taken);
        // The clock was set back.
        let (mut taken, second) = Taken::open(dir.path(), 10).unwrap();
        assert_eq!(second, 1001);
        for (owner, stream) in [("a", "s"), ("a", "t"), ("b", "s")] {
            assert!(!taken.take(owner, stream, &key, id(5)), "{owner} {stream}");
            assert!(!taken.take(owner, stream, &key, Id { epoch: 6, sequence: 9 }));
        }
        assert!(taken.take("a", "s", &key, id(6)) && taken.take("a", "s", &key, id(4)));
        // Another key has windows of its own.
        assert!(taken.take("a", "s", &other, id(5)) && !taken.take("a", "s", &other, id(5)));
    }
}
