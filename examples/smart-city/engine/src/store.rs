//! What outlives the process: epochs, states of devices, and readings that are not delivered yet. The engine keeps it in a [`Store`]: in a
//! [file](crate::file), or in a database that several gateways share.

use std::{
    fmt,
    fs::{File, OpenOptions},
    io,
    path::{Path, PathBuf},
};

use anyhow::Result;
use serde::{Deserialize, Serialize};
use smart_city_frame::DeviceId;

use crate::{attestation::Status, audit::Head, memory::Fingerprint};

/// Readings that are removed from the history in one commit, at most, beside as many as were added.
pub const FORGOTTEN: u64 = 1024;

/// Where a store is, or can be made.
pub trait Place: fmt::Debug {
    /// Opens the store, if there is one, and reads what it holds.
    ///
    /// # Errors
    /// If another gateway has it open, or it cannot be read now.
    fn find(&self) -> Result<Found>;

    /// Makes a new store, where none was found or a damaged one, which is kept under another name.
    ///
    /// # Errors
    /// If it cannot be made.
    fn create(&self) -> Result<(Box<dyn Store>, Stored)>;

    /// Whether several gateways have a store there in common.
    fn is_shared(&self) -> bool {
        false
    }
}

/// A store that is open. No other process writes to it meanwhile, or it refuses what comes from here.
pub trait Store: fmt::Debug + Send {
    /// The random number that tells it from others.
    fn identity(&self) -> &str;

    /// The number of commits.
    fn generation(&self) -> u64;

    /// From now on nobody else who has the store open writes to it. Returns the number of the next reading, if it is another one than what was
    /// read said. Until then nothing was changed.
    ///
    /// # Errors
    /// If somebody has written to it since it was read, or it cannot be written now.
    fn claim(&mut self) -> Result<Option<u64>> {
        // A file is open once.
        Ok(None)
    }

    /// The next commit is at least number `generation + 1`: for a store that goes on behind a log that knows more.
    fn skip_to(&mut self, generation: u64);

    /// Readings that are not delivered, from a number on, at most `limit`.
    ///
    /// # Errors
    /// If they cannot be read.
    fn outbox(&mut self, from: u64, limit: usize) -> Result<Vec<(u64, Reading)>>;

    /// Makes all of `changes` durable, or nothing; with the head of the audit log.
    ///
    /// # Errors
    /// If it is not taken, or if an epoch would be forgotten. Whether it was taken is not known then.
    fn commit(&mut self, changes: &Changes, head: &Head) -> Result<()>;

    /// The history, to be read in any thread while the store goes on. Of all devices, whoever has them.
    ///
    /// # Errors
    /// If it cannot be read.
    fn snapshot(&self) -> Result<Box<dyn Snapshot>>;

    /// From now on commits write to this shard as well, under the term with which it was taken. A store of one gateway has all
    /// devices in shard 0, always.
    ///
    /// # Errors
    /// If it has no such shard.
    fn hold(&mut self, shard: &Shard) -> Result<()>;

    /// From now on commits do not write to this shard any more, and the outbox has nothing of it.
    fn let_go(&mut self, shard: u16);
}

/// The history of a moment, or of a later one.
pub trait Snapshot: fmt::Debug + Send {
    /// Reads what is asked for, in the order of their times, then of devices, then of numbers, as long as it is wanted.
    ///
    /// # Errors
    /// If it cannot be read.
    fn read(&self, query: &Query, is_wanted: &dyn Fn() -> bool) -> Result<Vec<Reading>>;
}

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
    /// The root key and the epoch in which the last recovery ended: evidence under a challenge of it, or of one before, is of what was before
    /// the recovery. It is missing if the store was lost, or has not had the end of the recovery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovered: Option<(Fingerprint, u16)>,
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

/// All that is known of the devices of one shard, read under a new term: for the engine that has it from now on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shard {
    /// Which one.
    pub number: u16,
    /// The term under which it is held.
    pub term: i64,
    /// As [`Stored::epochs`].
    pub epochs: Vec<(DeviceId, Fingerprint, u16)>,
    /// As [`Stored::devices`].
    pub devices: Vec<(DeviceId, DeviceRecord)>,
    /// What the holder before has [let go](Changes::links). It is in the store no more: each may be used once.
    pub links: Vec<(DeviceId, Vec<u8>)>,
    /// How many readings may not have been delivered, and the number of the first of them.
    pub outbox: (u64, Option<u64>),
    /// How many readings the history has, and the time of the first one, in microseconds since 1970.
    pub history: (u64, Option<i64>),
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
    /// How far the links of devices were whose shard is let go next: the engine has none of them any more.
    pub links: Vec<(DeviceId, Vec<u8>)>,
    /// What stays in the history.
    pub history: Bounds,
}

impl Changes {
    /// Whether there is nothing in it but what stays in the history.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self { epochs, devices, accepted, unowed, delivered, links, history: _ } = self;
        epochs.is_empty()
            && devices.is_empty()
            && accepted.is_empty()
            && unowed.is_empty()
            && delivered.is_empty()
            && links.is_empty()
    }
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
    #[must_use]
    pub fn are_passed(&self, time: i64) -> bool {
        self.times.is_some_and(|(from, to)| time < from || time > to)
    }
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
    /// The number of the next reading. No reading has one from there on.
    pub next: u64,
    /// How many readings the history has, and the time of the first one.
    pub history: (u64, Option<i64>),
    /// The last record of the audit log.
    pub head: Head,
    /// Into how many shards all devices are divided, if several gateways share the store. Then the gateway has none of them yet, and what
    /// is said here of devices and readings is empty; none if it has them all.
    pub shards: Option<u16>,
}

/// What is in a place.
#[derive(Debug)]
pub enum Found {
    /// No store.
    Nothing,
    /// One that cannot be read any more, and why.
    Damaged(String),
    /// A store.
    Whole(Box<dyn Store>, Box<Stored>),
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

/// A name in `dir` for what is left of a file that is not used any more.
pub(crate) fn unused(dir: &Path, stem: &str, extension: &str) -> PathBuf {
    let mut names = (1..).map(|n: u32| dir.join(format!("{stem}.lost-{n}.{extension}")));
    names.find(|path| !path.exists()).unwrap_or_default()
}
