//! What the gateway decides: everything, in batches, each stored before anything of it leaves.
//!
//! A batch is worked off in memory, then the audit log and the store are written in one go (group commit), then receipts and
//! readings go out. So a loss of power loses nothing that has a receipt, and nothing that goes out was not stored.

mod shards;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs::{self, File},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context as _, Result, bail};
use jiff::{SignedDuration, Timestamp};
use redb::{StorageBackend, backends::FileBackend};
use serde_json::{Value, json};
use smart_city_frame::{
    ALL_REGIONS, Challenge, DeviceId, Epoch, Evidence, GatewayLink, Instruction, OVERHEAD, OpenError, Opened,
    SealError, Verdict,
};
use tokio::sync::{oneshot, watch};

use self::shards::Shards;
pub use crate::device::{Rate, Refusal};
use crate::{
    attestation::{Appraisal, Finding, Signer, Status, appraise, appraise_all},
    audit::{self, Audit},
    config::{City, ConfigError, DeviceEntry, Secrets, StreamEntry, UserEntry, parse_device_id},
    corim::reference_values,
    device::{DENIED, Device, Outstanding, Recovery, UNASKED, Waiting},
    distrust::{self, Distrust, Doubt, Doubts},
    file::Directory,
    memory::{self, Fingerprint, Loss, Memory},
    policy::{Decision, Decisions, Policy, class_name},
    store::{
        self, Bounds, Changes, DeviceRecord, Found, Place, Query, Reading, Shard, Snapshot, Store, unused,
    },
    view::{DeviceView, Event, FlowKey, SAMPLED, Sample, SharedView},
};

/// How often refused frames are summed up in the audit log.
const SUMMARY: Duration = Duration::from_secs(60);

/// The clock is right if it has gone for so long as time goes: what is removed by a wrong one does not come back.
const STEADY: Duration = Duration::from_secs(600);

/// By so much more or less than time goes the clock may go between two batches.
const LEAP: Duration = Duration::from_secs(60);

/// A reading that is further ahead of the clock, in microseconds, was stamped by a wrong one.
pub const AHEAD: i64 = 600_000_000;

/// What comes to the engine.
#[derive(Debug)]
pub enum Input {
    /// A message that came from outside.
    Message {
        /// Its topic.
        topic: String,
        /// The frame.
        payload: Vec<u8>,
    },
    /// Messages that were discarded before they came here, because too many of the same account wait.
    Overload {
        /// The device, if the account is one.
        device: Option<DeviceId>,
        /// How many.
        count: u64,
    },
    /// A message was handed over that had this [`Output::delivery`].
    Delivered(u64),
    /// The files were read again; or they were not good.
    Reload(Result<Box<(City, Arc<Secrets>)>, ConfigError>),
    /// Time has passed: comes every [`TICK`].
    Tick,
    /// An operator instructs a device.
    Instruct {
        /// The device.
        device: DeviceId,
        /// The region of the function to call.
        region: u16,
        /// What the function gets.
        argument: Vec<u8>,
        /// Who wants it.
        operator: String,
        /// Whether it was sent.
        reply: oneshot::Sender<Result<(), Denied>>,
    },
    /// An operator wants to know whether all regions of a device are as they were built.
    Examine {
        /// The device.
        device: DeviceId,
        /// Who wants it.
        operator: String,
        /// Whether the challenge was sent.
        reply: oneshot::Sender<Result<(), Denied>>,
    },
    /// An operator wants an isolated device back.
    Recover {
        /// The device.
        device: DeviceId,
        /// Who wants it.
        operator: String,
        /// Whether it was begun.
        reply: oneshot::Sender<Result<(), Denied>>,
    },
    /// An operator begins or ends a session.
    Session {
        /// Who.
        operator: String,
        /// Whether it begins.
        begins: bool,
        /// It is stored.
        reply: oneshot::Sender<()>,
    },
    /// An operator sends a command to a device that the engine does not know.
    Command {
        /// Where it goes.
        topic: String,
        /// What it says.
        payload: Vec<u8>,
        /// Who wants it.
        operator: String,
        /// It is stored that it was wanted, and goes out; or not.
        reply: oneshot::Sender<Result<(), Denied>>,
    },
    /// A guest logs in.
    Guest {
        /// Who.
        guest: Arc<Guest>,
        /// The session at the broker, for which readings are from now on; none if it is for requests.
        session: Option<u64>,
        /// It is stored; or why the guest is not let in.
        reply: oneshot::Sender<Result<(), Unwelcome>>,
    },
    /// A guest's session at the broker has ended.
    GuestGone {
        /// Whose.
        name: String,
        /// Which one it was: there may be another one by now.
        session: u64,
    },
    /// A user wants readings of before.
    History {
        /// Who.
        reader: Reader,
        /// Which.
        wanted: Wanted,
        /// Those of them that the user may see, to be read by who asks; none if there is nothing to see.
        reply: oneshot::Sender<Result<Option<Excerpt>>>,
    },
    /// A message for a user that is made of readings. Like an instruction it goes out once, and only the newest of a topic waits.
    Tell {
        /// Where it goes.
        topic: String,
        /// What it says.
        payload: Vec<u8>,
    },
    /// For how many messages to users with readings of other cities there is room: what this engine did not read itself must not fill the
    /// memory. If none is under way there is room for one to each user at least, so that it goes on with however many there are. It is less again
    /// when the next readings are [given](Self::Give) alone. What was sent before holds when the answer comes.
    Room(oneshot::Sender<usize>),
    /// Readings that another city has handed over, for which there is [room](Self::Room). They go out once, and are not stored here.
    Give(Vec<Handed>),
    /// Which devices of other cities are not believed from now on, and why: all of them.
    Distrust(Doubts),
    /// What happened beside the engine, for the audit log.
    Note {
        /// In a word.
        event: &'static str,
        /// To whom, and more.
        detail: Value,
    },
    /// The engine has a shard from now on.
    Take(Box<Shard>),
    /// It gives a shard up: how far the links of its devices are is stored, and nothing of them is known here any more.
    Release {
        /// Which one.
        shard: u16,
        /// It is stored. Nothing of the shard is written from here any more.
        reply: oneshot::Sender<()>,
    },
    /// Which devices are isolated whose shards other gateways have.
    Elsewhere(BTreeSet<DeviceId>),
    /// Somebody waits until what came before is stored.
    Stored(oneshot::Sender<()>),
    /// The gateway is about to end: what is written once a minute is written now.
    End(oneshot::Sender<()>),
    /// Somebody wants to know how everything is. [`View`] tells it without the engine.
    Status(oneshot::Sender<Value>),
    /// Somebody wants the last attestation result of a device.
    Attestation(DeviceId, oneshot::Sender<Option<String>>),
}

/// A user of a partner city, who has shown a token of that city and is known by it alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Guest {
    /// `city:subject`: no user of this city has such a name.
    pub name: String,
    /// The attributes, as they count here.
    pub user: UserEntry,
    /// Until when it holds.
    pub until: Timestamp,
    /// The table of `city.toml` that it is by. With another one it does not hold.
    pub agreed: Arc<Value>,
}

/// Guests of one city who may have a session at the broker at once.
pub const MOST_GUESTS: usize = 64;

/// How often guests of one city may log in at once, and in the long run: each login makes a record in the audit log.
const GUEST_LOGINS: (u32, Duration) = (64, Duration::from_secs(1));

/// Guests of whom is told what they receive, when they are gone, too.
const GUESTS_TOLD: usize = 256;

/// Why a guest is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unwelcome {
    /// What it is by was not agreed, is not any more, or it has expired.
    NotAgreed,
    /// Its city has as many guests here as it may have.
    TooMany,
    /// Its city's users log in too often.
    TooOften,
}

impl std::fmt::Display for Unwelcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NotAgreed => "the login has expired, or what it is by is not agreed any more",
            Self::TooMany => "as many users of your city are logged in as may be at once",
            Self::TooOften => "users of your city log in too often",
        })
    }
}

/// A reading that another city has handed over, and what this city has decided about it.
#[derive(Clone, Debug)]
pub struct Handed {
    /// Its stream, as `owner/stream`.
    pub stream: String,
    /// What is said of it.
    pub about: Arc<About>,
    /// What it says.
    pub payload: Vec<u8>,
    /// The users.
    pub users: Arc<[String]>,
    /// The decision for each of them.
    pub decisions: Decisions,
}

impl Handed {
    /// Those who get it.
    pub fn receivers(&self) -> impl Iterator<Item = &String> {
        let each = self.users.iter().zip(&*self.decisions);
        each.filter(|(_, decision)| decision.allowed).map(|(user, _)| user)
    }
}

/// Who reads the history.
#[derive(Clone, Debug)]
pub enum Reader {
    /// The user with this name.
    User(String),
    /// A guest.
    Guest(Arc<Guest>),
}

/// Which readings of the history are wanted.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The name of their stream.
    pub stream: String,
    /// Their device, if it is to be one alone.
    pub device: Option<DeviceId>,
    /// Not before this time.
    pub from: Timestamp,
    /// Not after this time.
    pub to: Timestamp,
    /// As many at most: the oldest of them.
    pub limit: usize,
}

/// A reading of the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Past {
    /// What is said of it.
    pub about: About,
    /// What it says.
    pub payload: Vec<u8>,
}

/// What a user may see of the history, as it was decided. It is read outside the engine, which goes on meanwhile.
#[derive(Debug)]
pub struct Excerpt {
    snapshot: Box<dyn Snapshot>,
    query: Query,
    stream: StreamEntry,
}

impl Excerpt {
    /// Reads it, which takes a while, as long as it is wanted.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn read(&self, is_wanted: impl Fn() -> bool) -> Result<Vec<Past>> {
        let past = |reading: Reading| Past { about: about(&reading, &self.stream), payload: reading.payload };
        Ok(self.snapshot.read(&self.query, &is_wanted)?.into_iter().map(past).collect())
    }
}

/// Messages of readings that are given out and not reported as delivered. Of more than that the store alone knows.
pub const OUTGOING: usize = 4096;

/// Messages of readings of other cities for which there is room, beside those; or for what comes at once, if nothing else is there.
pub const GIVEN: usize = 1024;

/// What those are reported by as delivered: no reading of the store has this number.
pub const FOREIGN: u64 = u64::MAX;

/// Devices that were not heard since a start and are asked for a new epoch in one tick, at most: there may be a million. One that sends is asked
/// at once.
const UNHEARD: usize = 256;

/// Readings that are read from the store at once.
const PAGE: usize = 256;

/// The time between two [`Input::Tick`].
pub const TICK: Duration = Duration::from_millis(250);

/// A message to be handed over at least once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Its topic.
    pub topic: String,
    /// What it says.
    pub payload: Vec<u8>,
    /// If it is a reading: what to report as [`Input::Delivered`] when it was handed over.
    pub delivery: Option<u64>,
    /// If it is a reading: what goes beside it.
    pub about: Option<Arc<About>>,
}

/// What the gateway says of a reading, beside its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// The content type of its stream.
    pub content_type: String,
    /// Names and values: `id`, `device`, `stream`, `class` and `time`.
    pub properties: Vec<(String, String)>,
}

/// Why an operator's wish was not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// The registry has no such device.
    UnknownDevice,
    /// Its image has no such region.
    UnknownRegion,
    /// The argument is too long.
    TooLong,
    /// It is isolated.
    Isolated,
    /// It is not isolated.
    NotIsolated,
    /// Another gateway has its shard.
    Elsewhere,
    /// The evidence of the last instruction is still expected.
    Busy,
    /// Nothing came from it in a new epoch since the gateway started.
    NoLink,
    /// The operator has sent as many commands as it may for now.
    TooOften,
}

impl std::fmt::Display for Denied {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::UnknownDevice => "there is no such device",
            Self::UnknownRegion => "its image has no such region",
            Self::TooLong => "the argument is too long",
            Self::Isolated => "the device is isolated",
            Self::NotIsolated => "the device is not isolated",
            Self::Elsewhere => "another gateway has the device",
            Self::Busy => "the evidence of the last instruction is still expected",
            Self::NoLink => "the device has not opened an epoch yet",
            Self::TooOften => "you have sent as many commands as you may for now",
        })
    }
}

/// Commands of an operator at once, and how long each takes to be free again: they fill the audit log, and wait for the broker.
const COMMANDS: (u32, Duration) = (64, Duration::from_secs(1));

/// Is told what the engine has stored, in the engine's thread: it must not wait for anything, and with another city not for long.
pub trait Observer: std::fmt::Debug + Send {
    /// Who and what there is from now on.
    fn city(&mut self, city: &City);
    /// A reading was accepted, whether or not a user may see it.
    fn reading(&mut self, device: DeviceId, stream: u16, time: Timestamp, payload: &[u8]);
    /// Whether a device is isolated from now on.
    fn isolated(&mut self, device: DeviceId, is_isolated: bool);
    /// Why a device of another city is not believed from now on; none if it is.
    fn distrusted(&mut self, _city: &str, _device: DeviceId, _doubt: Option<&Doubt>) {}
}

/// A signed CoRIM, if there is one.
pub type ReferenceValues = Option<Arc<Vec<u8>>>;

/// The gateway without its network.
#[derive(Debug)]
pub struct Engine {
    city: City,
    secrets: Arc<Secrets>,
    /// The secrets for others: those that were taken over, when that is stored.
    current: watch::Sender<Arc<Secrets>>,
    /// Those of the city that was taken over, when that is stored.
    reference_values: watch::Sender<ReferenceValues>,
    policy: Policy,
    signer: Signer,
    store: Box<dyn Store>,
    audit: Audit,
    disk: Disk,
    devices: BTreeMap<DeviceId, Device>,
    /// What is known of devices that the registry does not have now, for when they come back.
    absent: BTreeMap<DeviceId, DeviceRecord>,
    /// The newest epochs under root keys that no device has now.
    past_epochs: BTreeMap<(DeviceId, Fingerprint), u16>,
    /// Devices for which something is to happen when time has passed.
    waiting: Waiting,
    /// Something was not stored: what is in memory is ahead of the store.
    has_failed: bool,
    /// Messages of a reading that were not handed over yet, and its device.
    undelivered: HashMap<u64, (usize, DeviceId)>,
    /// The same of readings whose shard was given up: if it comes back, what is reported of these must not count for others of the reading.
    given_up: HashMap<u64, usize>,
    /// The sum of them.
    outgoing: usize,
    /// Messages of readings of other cities that were not handed over yet.
    given: usize,
    /// All readings from this one on are in the store, and nothing was given out of those that are not [undelivered](Self::undelivered).
    parked: Option<u64>,
    shards: Shards,
    next_number: u64,
    fault: Option<String>,
    /// Frames that were accepted, and messages that were refused, since the start.
    accepted: u64,
    refused: BTreeMap<Refusal, u64>,
    refused_since: BTreeMap<Refusal, u64>,
    /// Guests with a session at the broker, by name, each with the number of the session.
    guests: BTreeMap<String, (u64, Arc<Guest>)>,
    /// How often guests of each city have logged in.
    guest_logins: BTreeMap<String, Rate>,
    /// Guests of whom flows may tell.
    guests_told: BTreeSet<String>,
    /// How often each operator did not get something, since that was last summed up, without a record of its own.
    denials: BTreeMap<String, (Rate, u64)>,
    /// The commands of each operator to devices that the engine does not know.
    commands: BTreeMap<String, Rate>,
    next_summary: Instant,
    /// The clock at the last batch, and since when it goes as time does.
    clock: (Instant, Timestamp),
    steady_since: Instant,
    /// Readings by stream, and whether their device was not isolated, since the flows were added up.
    counted: HashMap<(u16, bool), u64>,
    /// Those of other cities, by stream, with what was decided for each user.
    handed: BTreeMap<String, (Arc<[String]>, Decisions, u64)>,
    view: SharedView,
    /// What is told when it is stored.
    events: Vec<Event>,
    /// When the last sample was taken, and what was counted then.
    sampled: (Instant, u64, u64),
    batches: Batches,
    seen: BTreeSet<DeviceId>,
    observers: Vec<Box<dyn Observer>>,
    distrust: Distrust,
    batch: Batch,
}

/// The batches since the last sample.
#[derive(Debug, Default)]
struct Batches {
    count: u32,
    sum: Duration,
    longest: Duration,
}

/// Opens a file on the disk.
type Open = Box<dyn Fn(File) -> Result<Box<dyn StorageBackend>> + Send>;

/// Where the audit log is.
struct Disk {
    log: PathBuf,
    open: Open,
    /// Keeps other processes out of the folder as long as it is open.
    _lock: File,
}

impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Disk").field("log", &self.log).finish_non_exhaustive()
    }
}

/// What a batch has brought so far.
#[derive(Debug, Default)]
struct Batch {
    changes: Changes,
    /// Devices that were heard, and get their receipts.
    changed: BTreeSet<DeviceId>,
    /// Devices of which something else is to be stored.
    records: BTreeSet<DeviceId>,
    /// Receipts of before, for devices that sent a frame again: they go to those alone that get no new one.
    repeats: BTreeMap<DeviceId, Vec<u8>>,
    /// Who is not believed, if that changes.
    doubts: Option<Doubts>,
    outputs: Vec<Output>,
}

impl Engine {
    /// Opens store and audit log in `dir`, or makes both, and goes on where they end; returns also what was not delivered before.
    ///
    /// # Errors
    /// [`Loss`] if one of the files was lost, changed or set back. Or if the disk or the configuration is at fault.
    pub fn open(
        dir: &Path,
        city: City,
        secrets: Arc<Secrets>,
        signer: Signer,
    ) -> Result<(Self, Vec<Output>)> {
        Self::open_on(dir, city, secrets, signer, false, |file| Ok(FileBackend::new(file)?))
    }

    /// As [`open`](Self::open), but goes on after a loss of one file with what the other knows, and says so in the audit log. What is left of
    /// the file is kept under another name.
    ///
    /// # Errors
    /// If nothing was lost, or so much that recorded frames could be accepted again.
    pub fn open_after_loss(
        dir: &Path,
        city: City,
        secrets: Arc<Secrets>,
        signer: Signer,
    ) -> Result<(Self, Vec<Output>)> {
        Self::open_on(dir, city, secrets, signer, true, |file| Ok(FileBackend::new(file)?))
    }

    /// As [`open`](Self::open) or [`open_after_loss`](Self::open_after_loss), on a disk that may have faults.
    ///
    /// # Errors
    /// As of those.
    pub fn open_on<B: StorageBackend>(
        dir: &Path,
        city: City,
        secrets: Arc<Secrets>,
        signer: Signer,
        after_loss: bool,
        disk: impl Fn(File) -> Result<B> + Clone + Send + 'static,
    ) -> Result<(Self, Vec<Output>)> {
        let place = Directory { dir, disk: disk.clone() };
        Self::open_in(&place, dir, city, secrets, signer, after_loss, disk)
    }

    /// As [`open_on`](Self::open_on), with the store in `place` and the audit log alone in `dir`.
    ///
    /// # Errors
    /// As of those.
    pub fn open_in<B: StorageBackend>(
        place: &dyn Place,
        dir: &Path,
        city: City,
        secrets: Arc<Secrets>,
        signer: Signer,
        after_loss: bool,
        disk: impl Fn(File) -> Result<B> + Send + 'static,
    ) -> Result<(Self, Vec<Output>)> {
        let policy = Policy::new(&city.users, &city.streams)?;
        // Another gateway may be about to begin a new file, or to write behind what is read here.
        let lock = store::private().truncate(false).open(dir.join("lock"))?;
        lock.try_lock().with_context(|| format!("another gateway runs with this data: {}", dir.display()))?;
        let path = Audit::path(dir);
        let found = place.find()?;
        Audit::end_rotation(&path)?;
        let log = memory::read_log(&path, &found)?;
        let mut loss = Loss::find(&found, &log);
        if place.is_shared() {
            loss = loss.map(Loss::of_database);
        }
        match (&loss, after_loss) {
            (Some(loss @ (Loss::Both(..) | Loss::Database(_))), true) => return Err(loss.clone().into()),
            (Some(loss), false) => return Err(loss.clone().into()),
            (None, true) => bail!("no file was lost: start without --continue-after-loss"),
            _ => {}
        }
        if log.fault.is_some() && path.exists() {
            fs::copy(&path, unused(dir, "audit", "jsonl"))?;
        }
        if loss.is_some() {
            // Those that the log does not go on behind, as it was lost or set back.
            for (last, archive) in audit::archives(&path)? {
                if last > log.before.n {
                    fs::rename(archive, unused(dir, &format!("audit.to-{last}"), "jsonl"))?;
                }
            }
        }
        let (store, stored) = match found {
            Found::Whole(mut store, mut stored) => {
                stored.next = store.claim()?.unwrap_or(stored.next);
                (store, *stored)
            }
            Found::Nothing | Found::Damaged(_) => place.create()?,
        };
        let file = store::private().truncate(false).open(&path).context("audit.jsonl")?;
        store::sync_dir(dir)?;
        let audit = Audit::open(disk(file)?, &log)?;
        let open: Open = Box::new(move |file| Ok(Box::new(disk(file)?)));

        let now = Instant::now();
        let mut engine = Self {
            city,
            current: watch::Sender::new(Arc::clone(&secrets)),
            reference_values: watch::Sender::new(ReferenceValues::default()),
            secrets,
            policy,
            signer,
            store,
            audit,
            disk: Disk { log: path, open, _lock: lock },
            devices: BTreeMap::new(),
            absent: stored.devices.into_iter().collect(),
            past_epochs: BTreeMap::new(),
            waiting: Waiting::default(),
            has_failed: false,
            undelivered: HashMap::new(),
            given_up: HashMap::new(),
            outgoing: 0,
            given: 0,
            parked: stored.outbox.first().map(|(number, _)| *number),
            shards: Shards::new(stored.shards, stored.outbox.len() as u64),
            next_number: stored.next,
            fault: None,
            accepted: 0,
            refused: BTreeMap::new(),
            refused_since: BTreeMap::new(),
            guests: BTreeMap::new(),
            guest_logins: BTreeMap::new(),
            guests_told: BTreeSet::new(),
            denials: BTreeMap::new(),
            commands: BTreeMap::new(),
            next_summary: now + SUMMARY,
            clock: (now, Timestamp::now()),
            steady_since: now,
            counted: HashMap::new(),
            handed: BTreeMap::new(),
            view: SharedView::default(),
            events: Vec::new(),
            sampled: (now, 0, 0),
            batches: Batches::default(),
            seen: BTreeSet::new(),
            observers: Vec::new(),
            distrust: Distrust::default(),
            batch: Batch::default(),
        };
        engine.view.write().tell(log.events.iter().cloned());
        if loss.is_some() {
            engine.store.skip_to(log.store.map_or(0, |(_, commit)| commit));
        }
        engine.audit(
            "started",
            json!({ "store": stored.identity, "devices": engine.city.devices.len(), "users": engine.city.users.len() }),
        );
        engine.remember(&log.memory, &stored.epochs, loss.as_ref());
        engine.note_signing_key(log.memory.signing_key.as_deref());
        engine.take_devices(now);
        engine.view_anew();
        engine.sign_reference_values();
        let outputs = engine.handle([Input::Tick])?;
        Ok((engine, outputs))
    }

    /// Takes over what store and audit log know, and makes each know what the other did: the log is ahead of the store if the
    /// process ended between the two.
    fn remember(&mut self, log: &Memory, stored: &[(DeviceId, Fingerprint, u16)], loss: Option<&Loss>) {
        if let Some(loss) = loss {
            tracing::warn!(%loss, "goes on after a loss");
            let why = match loss {
                Loss::Store(why) | Loss::Log(why) | Loss::Both(why, _) | Loss::Database(why) => why,
            };
            let file = if matches!(loss, Loss::Log(_)) { "audit.jsonl" } else { "store.redb" };
            self.audit("continued after a loss", json!({ "file": file, "fault": why }));
        }
        if self.shards.are_shared {
            // What this log knows may be of devices that another gateway has by now.
            return;
        }
        let mut store = Memory::default();
        for (id, key, epoch) in stored {
            store.opened(*id, *key, *epoch);
        }
        let isolated = self.absent.iter().filter_map(|(id, record)| Some((*id, record.isolated?)));
        store.isolated = isolated.collect();
        let mut all = log.clone();
        if loss.is_some() {
            all.merge(&store);
        } else {
            all.merge(&Memory { isolated: BTreeMap::new(), ..store.clone() });
        }
        for ((id, key), epoch) in &all.epochs {
            if store.epochs.get(&(*id, *key)) != Some(epoch) {
                self.batch.changes.epochs.push((*id, *key, *epoch));
            }
            if log.epochs.get(&(*id, *key)) != Some(epoch) {
                self.audit_epoch("epoch known", *id, *key, *epoch);
            }
        }
        for (id, region) in &all.isolated {
            if !log.isolated.contains_key(id) {
                self.audit("isolated", json!({ "device": id.to_string(), "region": region, "again": true }));
            }
        }
        for id in all.isolated.keys().chain(store.isolated.keys()) {
            let (is, record) = (all.isolated.get(id).copied(), self.absent.entry(*id).or_default());
            if record.isolated != is {
                record.isolated = is;
                record.status = if is.is_some() { Status::Contraindicated } else { Status::Affirming };
                self.batch.records.insert(*id);
            }
        }
        self.past_epochs = all.epochs;
    }

    /// Says which key signs attestation results from now on, if it is another one than `before`.
    fn note_signing_key(&mut self, before: Option<&str>) {
        let key = self.signer.key_id().to_owned();
        if before == Some(&key) {
            return;
        }
        if let Some(before) = before {
            tracing::warn!(
                key,
                before,
                "another key signs attestation results: those of before verify with the old one alone"
            );
        }
        self.audit("signing key", json!({ "key": key, "before": before }));
    }

    /// Makes the devices those of the registry. Those whose root key has not changed go on; of the others is known what was before.
    fn take_devices(&mut self, now: Instant) {
        let (city, secrets) = (&self.city, &self.secrets);
        let key = |id: &DeviceId| {
            let (root, _) = secrets.devices.get(id).filter(|_| city.devices.contains_key(id))?;
            Some(root.fingerprint(*id))
        };
        self.devices.retain(|id, device| {
            let stays = key(id) == Some(device.key);
            if !stays {
                device.stop_waiting(*id, &mut self.waiting);
                let record = std::mem::take(&mut device.record);
                if let Some(epoch) = record.epoch {
                    self.past_epochs.insert((*id, device.key), epoch);
                }
                self.absent.insert(*id, record);
            }
            stays
        });
        for id in city.devices.keys() {
            if self.devices.contains_key(id) || !self.shards.have(*id) {
                continue;
            }
            let Some(key) = key(id) else { continue };
            let record = self.absent.remove(id).unwrap_or_default();
            let record = DeviceRecord { epoch: self.past_epochs.remove(&(*id, key)), ..record };
            let mut device = Device::restored(record, key, now);
            device.wait(*id, &mut self.waiting);
            self.devices.insert(*id, device);
        }
    }

    /// Adds a record to the audit log, which is written with the batch.
    fn audit(&mut self, event: &str, detail: Value) {
        let record = self.audit.append(self.store.generation() + 1, event, detail);
        self.events.extend(Event::of(&record));
    }

    fn audit_epoch(&mut self, event: &str, id: DeviceId, key: Fingerprint, epoch: u16) {
        self.audit(event, json!({ "device": id.to_string(), "key": hex::encode(key), "epoch": epoch }));
    }

    /// How things are, as of the last tick, for others to read while the engine goes on.
    #[must_use]
    pub fn view(&self) -> SharedView {
        self.view.clone()
    }

    /// The secrets that hold now. New ones come when the engine has taken them over and stored that.
    #[must_use]
    pub fn secrets(&self) -> watch::Receiver<Arc<Secrets>> {
        self.current.subscribe()
    }

    /// The key set by which others check attestation results.
    #[must_use]
    pub fn jwks(&self) -> Value {
        self.signer.jwks()
    }

    /// The reference values of the images that hold now, for others, as a signed [CoRIM](crate::corim); none without images.
    #[must_use]
    pub fn reference_values(&self) -> watch::Receiver<ReferenceValues> {
        self.reference_values.subscribe()
    }

    fn sign_reference_values(&self) {
        let signed = reference_values(&self.city, &self.signer);
        let signed =
            signed.inspect_err(|error| tracing::error!("the reference values are not signed: {error:#}"));
        self.reference_values.send_replace(signed.ok().flatten().map(Arc::new));
    }

    /// Which devices of other cities are not believed, as it is from time to time.
    #[must_use]
    pub fn distrusted(&self) -> Distrust {
        self.distrust.clone()
    }

    /// From now on `observer` is told, too, what is stored; at once, who and what there is, and which devices are isolated.
    pub fn observe(&mut self, mut observer: impl Observer + 'static) {
        observer.city(&self.city);
        let known = self
            .devices
            .iter()
            .map(|(id, device)| (*id, &device.record))
            .chain(self.absent.iter().map(|(id, record)| (*id, record)));
        for (id, _) in known.filter(|(_, record)| record.isolated.is_some()) {
            observer.isolated(id, true);
        }
        for ((city, device), doubt) in &self.distrust.all() {
            observer.distrusted(city, *device, Some(doubt));
        }
        self.observers.push(Box::new(observer));
    }

    /// Works a batch off, stores it, and returns what is to be published now.
    ///
    /// # Errors
    /// If the disk does not take it. Then nothing of the batch counts, and the process must end: what it holds in memory is
    /// ahead of the store.
    pub fn handle(&mut self, inputs: impl IntoIterator<Item = Input>) -> Result<Vec<Output>> {
        self.handle_at(inputs, Instant::now())
    }

    /// As [`handle`](Self::handle), at the time `now`.
    ///
    /// # Errors
    /// As of that.
    pub fn handle_at(
        &mut self,
        inputs: impl IntoIterator<Item = Input>,
        now: Instant,
    ) -> Result<Vec<Output>> {
        self.handle_by(inputs, now, Timestamp::now())
    }

    /// As [`handle_at`](Self::handle_at), with what the clock shows at that time, which may be wrong.
    ///
    /// # Errors
    /// As of that.
    pub fn handle_by(
        &mut self,
        inputs: impl IntoIterator<Item = Input>,
        now: Instant,
        clock: Timestamp,
    ) -> Result<Vec<Output>> {
        if self.has_failed {
            bail!("something was not stored before");
        }
        let begin = Instant::now();
        self.read_clock(now, clock);
        let (mut replies, mut results, mut stored, mut rooms) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (mut logins, mut releases) = (Vec::new(), Vec::new());
        let mut ticked = false;
        for input in inputs {
            match input {
                Input::Message { topic, payload } => self.message(&topic, payload, now),
                Input::Overload { device, count } => self.refuse(device, Refusal::Overload, count),
                Input::Delivered(number) => self.delivered(number),
                Input::Reload(files) => self.reload(files, now),
                Input::Tick => {
                    ticked = true;
                    self.tick(now);
                }
                Input::Instruct { device, region, argument, operator, reply } => {
                    let result = self.is_here(device);
                    let result =
                        result.and_then(|()| self.instruct(device, region, &argument, &operator, now));
                    replies.push((reply, self.told("instruct", device, &operator, result, now)));
                }
                Input::Examine { device, operator, reply } => {
                    let result = self.is_here(device).and_then(|()| self.examine(device, &operator, now));
                    replies.push((reply, self.told("examine", device, &operator, result, now)));
                }
                Input::Recover { device, operator, reply } => {
                    let result = self.is_here(device).and_then(|()| self.recover(device, &operator, now));
                    replies.push((reply, self.told("recover", device, &operator, result, now)));
                }
                Input::Session { operator, begins, reply } => {
                    let event = if begins { "logged in" } else { "logged out" };
                    self.audit(event, json!({ "operator": operator }));
                    stored.push(reply);
                }
                Input::Command { topic, payload, operator, reply } => {
                    replies.push((reply, self.command(topic, payload, &operator, now)));
                }
                Input::Guest { guest, session, reply } => {
                    logins.push((reply, self.guest(guest, session, now)));
                }
                Input::GuestGone { name, session } => {
                    if self.guests.get(&name).is_some_and(|(current, _)| *current == session) {
                        self.guest_gone(&name, "the session has ended");
                    }
                }
                Input::History { reader, wanted, reply } => {
                    // Without what came in this batch, which is not stored yet. Who asked may be gone.
                    if !reply.is_closed() {
                        drop(reply.send(self.history(&reader, &wanted)));
                    }
                }
                Input::Tell { topic, payload } => {
                    self.batch.outputs.push(Output { topic, payload, delivery: None, about: None });
                }
                Input::Room(reply) => rooms.push(reply),
                Input::Give(readings) => readings.into_iter().for_each(|handed| self.give(handed)),
                Input::Distrust(doubts) => self.distrust(doubts),
                Input::Note { event, detail } => self.audit(event, detail),
                Input::Take(shard) => self.take(*shard, now)?,
                Input::Release { shard, reply } => releases.push((shard, reply)),
                Input::Elsewhere(isolated) => self.shards.isolated_elsewhere = isolated,
                Input::Stored(reply) => stored.push(reply),
                Input::End(reply) => {
                    self.summarize();
                    stored.push(reply);
                }
                Input::Status(reply) => {
                    self.emit();
                    drop(reply.send(self.view.read().all()));
                }
                Input::Attestation(device, reply) => {
                    let device = self.devices.get(&device);
                    results.push((reply, device.and_then(|device| device.record.result.clone())));
                }
            }
        }
        let Batch { mut changes, changed, records, mut repeats, doubts, outputs } =
            std::mem::take(&mut self.batch);
        if changed.is_empty() && changes.accepted.is_empty() && !ticked {
            // That something was delivered can wait: at worst it is delivered again.
            self.batch.changes.delivered = std::mem::take(&mut changes.delivered);
        }
        changes.history = self.bounds(now);
        changes.devices = records.iter().filter_map(|id| Some((*id, self.record(*id)?.clone()))).collect();
        self.store_changes(&changes)?;
        self.has_failed = true;
        if self.audit.is_full(self.city.audit_file_bytes) {
            let detail = self.memory().to_record(self.store.identity());
            let commit = self.store.generation() + 1;
            self.audit.rotate(&self.disk.log, commit, detail, &self.disk.open)?;
        }
        self.has_failed = false;
        let took = begin.elapsed();
        self.batches.count += 1;
        self.batches.sum += took;
        self.batches.longest = self.batches.longest.max(took);

        // From here on it is stored.
        if !self.events.is_empty() {
            self.view.write().tell(self.events.drain(..));
        }
        self.tell_observers(&changes);
        if let Some(doubts) = doubts {
            self.tell_doubts(doubts);
        }
        // Not before: who is told of room relies on it that what came before holds.
        for reply in rooms {
            let _ = reply.send(GIVEN.max(self.policy.users().len()).saturating_sub(self.given));
        }
        if !Arc::ptr_eq(&self.current.borrow(), &self.secrets) {
            self.current.send_replace(Arc::clone(&self.secrets));
            self.sign_reference_values();
        }
        let mut all: Vec<Output> = Vec::new();
        for id in &changed {
            let Some(device) = self.devices.get_mut(id) else { continue };
            if let Some(receipt) = device.seal_receipt(now) {
                repeats.remove(id);
                all.push(down(*id, receipt));
            }
            device.wait(*id, &mut self.waiting);
        }
        all.extend(repeats.into_iter().map(|(id, receipt)| down(id, receipt)));
        all.extend(outputs);
        self.unpark(&mut all)?;
        self.seen.extend(changed);
        self.seen.extend(records);
        // Who asked may be gone.
        for (reply, answer) in replies {
            let _ = reply.send(answer);
        }
        for (reply, result) in results {
            let _ = reply.send(result);
        }
        for (reply, result) in logins {
            let _ = reply.send(result);
        }
        for reply in stored {
            let _ = reply.send(());
        }
        // The batch may have sealed something for a device of the shard.
        for (shard, reply) in releases {
            self.release(shard, now)?;
            let _ = reply.send(());
        }
        Ok(all)
    }

    /// Makes changes durable, with what the audit log says of them.
    fn store_changes(&mut self, changes: &Changes) -> Result<()> {
        self.has_failed = true;
        let head = self.audit.flush()?;
        self.store.commit(changes, head)?;
        self.has_failed = false;
        Ok(())
    }

    /// Takes note of the clock, and whether it was set since the last batch.
    fn read_clock(&mut self, now: Instant, clock: Timestamp) {
        let (then, before) = self.clock;
        let leap = clock.duration_since(before).as_micros()
            - now.saturating_duration_since(then).as_micros().cast_signed();
        if leap.unsigned_abs() > LEAP.as_micros() {
            tracing::warn!(%before, now = %clock, "the clock was set: the history is not shortened by it for a while");
            self.steady_since = now;
        }
        self.clock = (now, clock);
    }

    /// The times, in microseconds, of readings that belong to the history; none without one.
    fn times(&self) -> Option<(i64, i64)> {
        let hours = self.city.history?.hours;
        let clock = self.clock.1.as_microsecond();
        let age = i64::from(hours).saturating_mul(3_600_000_000);
        Some((clock.saturating_sub(age), clock.saturating_add(AHEAD)))
    }

    /// What stays in the history.
    fn bounds(&self, now: Instant) -> Bounds {
        let is_steady = now.saturating_duration_since(self.steady_since) >= STEADY;
        let most = self.city.history.map_or(0, |history| history.most.into());
        Bounds { most, times: self.times().filter(|_| is_steady) }
    }

    /// What a user may see of the history: of each device that has the stream, by the attributes that hold now, and whether it is
    /// isolated now. None if there is nothing.
    fn history(&self, reader: &Reader, wanted: &Wanted) -> Result<Option<Excerpt>> {
        let stream = self.city.streams.iter().find(|(_, stream)| stream.name == wanted.stream);
        let user = match reader {
            Reader::User(name) => self.city.users.get(name),
            Reader::Guest(guest) => Some(&guest.user).filter(|_| self.is_welcome(guest)),
        };
        let (Some((number, stream)), Some(user)) = (stream, user) else { return Ok(None) };
        let Some((first, last)) = self.times() else { return Ok(None) };
        let may_see = |(id, entry): &(&DeviceId, &DeviceEntry)| {
            wanted.device.is_none_or(|device| device == **id)
                && entry.streams.contains(number)
                && self.policy.decide_for(user, *number, !self.is_isolated(**id)).allowed
        };
        let devices: Vec<_> = self.city.devices.iter().filter(may_see).map(|(id, _)| *id).collect();
        if devices.is_empty() {
            return Ok(None);
        }
        let query = Query {
            devices,
            stream: *number,
            stream_identity: stream.identity(),
            times: (wanted.from.as_microsecond().max(first), wanted.to.as_microsecond().min(last)),
            limit: wanted.limit,
        };
        Ok(Some(Excerpt { snapshot: self.store.snapshot()?, query, stream: stream.clone() }))
    }

    /// Whether a device is isolated, here or where its shard is.
    fn is_isolated(&self, id: DeviceId) -> bool {
        let device = self.devices.get(&id);
        device.map_or_else(
            || self.shards.isolated_elsewhere.contains(&id),
            |device| device.record.isolated.is_some(),
        )
    }

    /// Whether what a guest is by still holds.
    fn is_welcome(&self, guest: &Guest) -> bool {
        let partner = self.city.partners.get(&guest.user.city);
        let login = partner.and_then(|partner| partner.login.as_ref());
        guest.until > self.clock.1 && login.is_some_and(|login| login.value == *guest.agreed)
    }

    fn guest(&mut self, guest: Arc<Guest>, session: Option<u64>, now: Instant) -> Result<(), Unwelcome> {
        if !self.is_welcome(&guest) {
            return Err(Unwelcome::NotAgreed);
        }
        let Guest { name, user, until, .. } = &*guest;
        let of_city = self.guests.values().filter(|(_, guest)| guest.user.city == user.city).count();
        if session.is_some() && of_city >= MOST_GUESTS && !self.guests.contains_key(name) {
            return Err(Unwelcome::TooMany);
        }
        if !self.guest_logins.entry(user.city.clone()).or_default().take(GUEST_LOGINS, now) {
            return Err(Unwelcome::TooOften);
        }
        let detail = json!({
            "user": name, "over": if session.is_some() { "mqtt" } else { "http" },
            "departments": user.departments, "level": user.level, "until": until,
        });
        self.audit("guest logged in", detail);
        if let Some(session) = session {
            // What came before was not for it.
            self.add_up();
            self.guests_told.insert(name.clone());
            self.guests.insert(name.clone(), (session, guest));
            if self.guests_told.len() > GUESTS_TOLD {
                let gone = |name: &String| !self.guests.contains_key(name) && self.guests_told.contains(name);
                self.view.write().flows.retain(|(_, user, ..), _| !gone(user));
                self.guests_told.retain(|name| self.guests.contains_key(name));
            }
        }
        Ok(())
    }

    /// Nothing is for this guest any more.
    fn guest_gone(&mut self, name: &str, why: &str) {
        self.add_up();
        self.guests.remove(name);
        self.audit("guest gone", json!({ "user": name, "why": why }));
    }

    /// Ends what does not hold any more.
    fn end_guests(&mut self) {
        let ended = self.guests.values().filter(|(_, guest)| !self.is_welcome(guest));
        let ended: Vec<_> = ended.map(|(_, guest)| Arc::clone(guest)).collect();
        for guest in ended {
            let has_expired = guest.until <= self.clock.1;
            self.guest_gone(
                &guest.name,
                if has_expired { "it has expired" } else { "it is not agreed any more" },
            );
        }
    }

    /// The guests who may have a reading.
    fn invited(&self, stream: u16, device_ok: bool) -> impl Iterator<Item = &str> {
        let may = move |guest: &Guest| self.policy.decide_for(&guest.user, stream, device_ok).allowed;
        self.guests.iter().filter(move |(_, (_, guest))| may(guest)).map(|(name, _)| name.as_str())
    }

    /// What must not be forgotten.
    fn memory(&self) -> Memory {
        let signing_key = Some(self.signer.key_id().to_owned());
        let mut memory = Memory { epochs: self.past_epochs.clone(), signing_key, ..Memory::default() };
        for (id, device) in &self.devices {
            if let Some(epoch) = device.record.epoch {
                memory.opened(*id, device.key, epoch);
            }
        }
        let records = self.devices.iter().map(|(id, device)| (id, &device.record)).chain(&self.absent);
        memory.isolated = records.filter_map(|(id, record)| Some((*id, record.isolated?))).collect();
        memory
    }

    /// Tells the observers what a batch changed.
    fn tell_observers(&mut self, changes: &Changes) {
        if self.observers.is_empty() {
            return;
        }
        // A number that another stream has got in this batch would name that one.
        let is_same = |(_, reading): &&(u64, Reading)| self.stream_of(reading).is_some();
        let accepted: Vec<_> = changes.accepted.iter().chain(&changes.unowed).filter(is_same).collect();
        for observer in &mut self.observers {
            if !Arc::ptr_eq(&self.current.borrow(), &self.secrets) {
                observer.city(&self.city);
            }
            for (_, reading) in &accepted {
                observer.reading(DeviceId(reading.device), reading.stream, reading.time, &reading.payload);
            }
            for (id, record) in &changes.devices {
                observer.isolated(*id, record.isolated.is_some());
            }
        }
    }

    /// Takes over who is not believed from now on.
    fn distrust(&mut self, doubts: Doubts) {
        let before = self.batch.doubts.take().unwrap_or_else(|| self.distrust.all());
        for (event, detail) in distrust::records(&before, &doubts) {
            self.audit(event, detail);
        }
        self.batch.doubts = Some(doubts);
    }

    /// Lets who is not believed be known.
    fn tell_doubts(&mut self, doubts: Doubts) {
        let before = self.distrust.replace(doubts);
        for ((city, device), _, now) in distrust::changes(&before, &self.distrust.all()) {
            for observer in &mut self.observers {
                observer.distrusted(city, *device, now);
            }
        }
    }

    /// What is known of a device, whether the registry has it or not.
    fn record(&self, id: DeviceId) -> Option<&DeviceRecord> {
        self.devices.get(&id).map(|device| &device.record).or_else(|| self.absent.get(&id))
    }

    fn message(&mut self, topic: &str, mut payload: Vec<u8>, now: Instant) {
        let (device, result) = match self.route(topic) {
            Ok((id, Some(stream))) => (Some(id), self.reading(id, stream, &mut payload, now)),
            Ok((id, None)) => (Some(id), self.evidence(id, &mut payload, now)),
            Err((device, refusal)) => (device, Err(refusal)),
        };
        if let Err(refusal) = result {
            tracing::debug!(topic, ?refusal, "refused");
            self.refuse(device, refusal, 1);
        }
        if let Some(id) = device {
            if result == Err(Refusal::EpochEnded)
                && let Some(device) = self.devices.get_mut(&id)
            {
                device.hurry(now);
            }
            if result == Err(Refusal::Replayed)
                && let Some(frame) = self.devices.get_mut(&id).and_then(|device| device.repeated_receipt(now))
            {
                self.batch.repeats.insert(id, frame);
            }
            self.restore_if_possible(id, now);
            self.wait(id);
        }
    }

    /// Notes when something is to happen with a device, if so.
    fn wait(&mut self, id: DeviceId) {
        if let Some(device) = self.devices.get_mut(&id) {
            device.wait(id, &mut self.waiting);
        }
    }

    /// Whose message it is, and of which stream; none if it is evidence.
    fn route(&self, topic: &str) -> Result<(DeviceId, Option<u16>), (Option<DeviceId>, Refusal)> {
        let mut parts = topic.split('/');
        let is_up = parts.next() == Some("up");
        let shard = if self.shards.are_shared { parts.next() } else { None };
        let (true, Some(id), Some(what), None) = (is_up, parts.next(), parts.next(), parts.next()) else {
            return Err((None, Refusal::Topic));
        };
        let id = parse_device_id(id).ok_or((None, Refusal::Topic))?;
        if shard.is_some_and(|shard| shard != self.shards.of(id).to_string()) {
            return Err((Some(id), Refusal::Topic));
        }
        let device = self.city.devices.get(&id).ok_or((None, Refusal::UnknownDevice))?;
        if !self.shards.have(id) {
            return Err((Some(id), Refusal::Elsewhere));
        }
        if what == "evidence" {
            return Ok((id, None));
        }
        let stream = what.parse().ok().filter(|stream: &u16| stream.to_string() == what);
        let stream = stream.filter(|stream| device.streams.contains(stream));
        stream.map(|stream| (id, Some(stream))).ok_or((Some(id), Refusal::UnknownStream))
    }

    /// Opens a frame of a device. If it is of a newer epoch, that is stored with the batch.
    fn open_frame<T>(
        &mut self,
        id: DeviceId,
        frame: &mut [u8],
        now: Instant,
        open: impl FnMut(&mut GatewayLink, &mut [u8]) -> Result<T, OpenError>,
    ) -> Result<T, Refusal> {
        let (Some(device), Some((root, _))) = (self.devices.get_mut(&id), self.secrets.devices.get(&id))
        else {
            return Err(Refusal::UnknownDevice);
        };
        let before = device.record.epoch;
        let result = device.open(id, root, frame, now, open);
        let key = device.key;
        if device.record.epoch != before && device.recovery == Some(Recovery::Restoring) {
            // It cannot open any more what was sealed in the epoch before.
            device.recovery = Some(Recovery::NeedsEpoch);
        }
        if let Some(epoch) = device.record.epoch.filter(|epoch| Some(*epoch) != before) {
            self.batch.changes.epochs.push((id, key, epoch));
            self.seen.insert(id);
            self.audit_epoch("epoch opened", id, key, epoch);
        }
        result
    }

    /// Notes that a frame was opened and gets a receipt when the batch is stored.
    fn accept(&mut self, id: DeviceId, counter: [u8; 3]) {
        if let Some(device) = self.devices.get_mut(&id) {
            device.accepted(counter);
            device.last_seen = Some(self.clock.1);
            self.accepted += 1;
            self.batch.changed.insert(id);
        }
    }

    fn reading(&mut self, id: DeviceId, stream: u16, frame: &mut [u8], now: Instant) -> Result<(), Refusal> {
        let device = self.devices.get(&id).ok_or(Refusal::UnknownDevice)?;
        let key = device.key;
        let entry = self.city.streams.get(&stream).ok_or(Refusal::UnknownStream)?;
        let (stream, stream_identity) = (entry.stream, entry.identity());
        let (isolated, recovery) = (device.record.isolated.is_some(), device.recovery);
        if isolated && recovery.is_none() {
            return Err(Refusal::Isolated);
        }
        let opened = self.open_frame(id, frame, now, |link, frame| {
            let Opened { counter, content } = link.open_reading(id, stream, frame)?;
            Ok((link.epoch(), counter, content.to_vec()))
        });
        if isolated {
            // It may have told the new epoch that a recovery needs, but it counts no more than before.
            return Err(Refusal::Isolated);
        }
        let (epoch, counter, payload) = opened?;
        self.accept(id, counter);
        let [a, b, c] = counter;
        let counter = u32::from_be_bytes([0, a, b, c]);
        // Each of a batch has its own, so that users can go on behind any.
        let before = self.batch.changes.accepted.len() + self.batch.changes.unowed.len();
        let time = self.clock.1.checked_add(Duration::from_micros(before as u64)).unwrap_or(self.clock.1);
        let (device, stream, epoch) = (id.0, stream.id.get(), epoch.0);
        let reading = Reading { device, key, stream, stream_identity, epoch, counter, time, payload };
        let device_ok = self.devices.get(&id).is_some_and(|device| device.record.isolated.is_none());
        *self.counted.entry((reading.stream, device_ok)).or_default() += 1;
        let number = self.next_number;
        if self.policy.decide(reading.stream, device_ok).iter().any(|decision| decision.allowed)
            || self.invited(reading.stream, device_ok).next().is_some()
        {
            self.next_number += 1;
            // Behind what waits already, and no more than may be under way.
            if self.parked.is_some() || self.outgoing >= OUTGOING {
                // Those of a shard that was taken may have greater numbers.
                self.parked = Some(self.parked.map_or(number, |parked| parked.min(number)));
            } else {
                let mut outputs = std::mem::take(&mut self.batch.outputs);
                self.deliver(number, &reading, &mut outputs);
                self.batch.outputs = outputs;
            }
            self.batch.changes.accepted.push((number, reading));
            if let Some(outbox) = self.shards.outbox_of(id) {
                *outbox += 1;
            }
        } else if self.city.history.is_some() || !self.observers.is_empty() {
            self.next_number += 1;
            self.batch.changes.unowed.push((number, reading));
        }
        Ok(())
    }

    /// The stream of a reading, if there still is that one and the device still has it: its number may be another's now.
    fn stream_of(&self, reading: &Reading) -> Option<&StreamEntry> {
        let device = self.city.devices.get(&DeviceId(reading.device))?;
        let stream = self.city.streams.get(&reading.stream)?;
        let is_same =
            stream.identity() == reading.stream_identity && device.streams.contains(&reading.stream);
        is_same.then_some(stream)
    }

    /// Addresses a reading to all who may have it, byte for byte; false if there are none.
    fn deliver(&mut self, number: u64, reading: &Reading, outputs: &mut Vec<Output>) -> bool {
        let id = DeviceId(reading.device);
        let Some(stream) = self.stream_of(reading) else { return false };
        let device_ok = self.devices.get(&id).is_some_and(|device| device.record.isolated.is_none());
        let decisions = self.policy.decide(reading.stream, device_ok);
        let about = Arc::new(about(reading, stream));
        let before = outputs.len();
        let users = self.policy.users().iter().zip(&*decisions).filter(|(_, decision)| decision.allowed);
        let users = users.map(|(user, _)| user.as_str());
        for user in users.chain(self.invited(reading.stream, device_ok)) {
            outputs.push(Output {
                topic: format!("out/{user}/{}", stream.name),
                payload: reading.payload.clone(),
                delivery: Some(number),
                about: Some(Arc::clone(&about)),
            });
        }
        let mut count = outputs.len() - before;
        if count == 0 {
            return false;
        }
        count += self.given_up.remove(&number).unwrap_or_default();
        self.undelivered.insert(number, (count, id));
        self.outgoing += count;
        true
    }

    /// Addresses a reading of another city to all who may have it.
    fn give(&mut self, handed: Handed) {
        let foreign = |user: &String| Output {
            topic: format!("out/{user}/{}", handed.stream),
            payload: handed.payload.clone(),
            delivery: Some(FOREIGN),
            about: Some(Arc::clone(&handed.about)),
        };
        let before = self.batch.outputs.len();
        self.batch.outputs.extend(handed.receivers().map(foreign));
        self.given += self.batch.outputs.len() - before;
        let before = self.handed.get(&handed.stream);
        if before.is_some_and(|(_, decisions, _)| !Arc::ptr_eq(decisions, &handed.decisions)) {
            self.add_up();
        }
        let Handed { stream, users, decisions, .. } = handed;
        let (.., count) = self.handed.entry(stream).or_insert((users, decisions, 0));
        *count += 1;
    }

    /// Gives out what waits in the store, as far as there is room.
    fn unpark(&mut self, outputs: &mut Vec<Output>) -> Result<()> {
        while let Some(from) = self.parked
            && self.outgoing < OUTGOING / 2
        {
            let page = self.store.outbox(from, PAGE)?;
            self.parked = (page.len() == PAGE).then(|| page[PAGE - 1].0 + 1);
            let removed: BTreeSet<_> = self.batch.changes.delivered.iter().copied().collect();
            for (number, reading) in &page {
                // Of a shard that was taken since, there may be older ones than those that were given out.
                let is_new = !self.undelivered.contains_key(number) && !removed.contains(number);
                if is_new && !self.deliver(*number, reading, outputs) {
                    // Nobody may have it any more.
                    self.is_delivered(*number, DeviceId(reading.device));
                }
            }
        }
        Ok(())
    }

    fn delivered(&mut self, number: u64) {
        if number == FOREIGN {
            self.given = self.given.saturating_sub(1);
        }
        if let Some((left, id)) = self.undelivered.get_mut(&number) {
            let id = *id;
            *left -= 1;
            self.outgoing -= 1;
            if *left == 0 {
                self.undelivered.remove(&number);
                self.is_delivered(number, id);
            }
        } else if let Some(left) = self.given_up.get_mut(&number) {
            *left -= 1;
            if *left == 0 {
                self.given_up.remove(&number);
            }
        }
    }

    /// A reading of this device is in the outbox no more.
    fn is_delivered(&mut self, number: u64, id: DeviceId) {
        self.batch.changes.delivered.push(number);
        if let Some(outbox) = self.shards.outbox_of(id) {
            *outbox = outbox.saturating_sub(1);
        }
    }

    fn evidence(&mut self, id: DeviceId, frame: &mut [u8], now: Instant) -> Result<(), Refusal> {
        let Opened { counter, content: evidence } =
            self.open_frame(id, frame, now, |link, frame| link.open_evidence(id, frame))?;
        self.accept(id, counter);
        let (Some(device), Some((root, _))) = (self.devices.get_mut(&id), self.secrets.devices.get(&id))
        else {
            return Err(Refusal::UnknownDevice);
        };
        let answers = |outstanding: &mut Outstanding| {
            let challenge = &outstanding.challenge;
            (challenge.epoch(), challenge.counter()) == (evidence.epoch, evidence.counter)
        };
        let asked = device.outstanding.take_if(answers);
        let is_asked = asked.is_some();
        let (challenge, region, late) = match asked {
            Some(asked) => (asked.challenge, asked.region, asked.deadline.is_none()),
            // What a device has found at its start; or the gateway has asked, and started or asked for something else since.
            None => (Challenge::named_in(&evidence), evidence.region, true),
        };
        let image = self.city.devices.get(&id).and_then(|entry| self.city.images.get(&entry.image));
        let code_of = |id: u16| image.and_then(|regions| regions.get(&id)).map(|region| &region.code[..]);
        let key = root.attest_key(id);
        let finding = if region == ALL_REGIONS {
            let all = image.into_iter().flatten().map(|(id, region)| (*id, &region.code[..]));
            appraise_all(&key, all, &challenge, &evidence, late)
        } else {
            let code = code_of(region).unwrap_or_default();
            appraise(&key, code, &challenge, region, &evidence, late)
        };
        // Of all regions the device names the one that is altered.
        let is_named = region == ALL_REGIONS && code_of(evidence.region).is_some();
        let region = if is_named { evidence.region } else { region };
        // Unasked evidence affirms nothing, as it may be of any time. To an isolated device it adds nothing, and must not end a recovery.
        let changes = finding == Finding::Altered
            && device.record.isolated.is_none()
            && device
                .record
                .recovered
                .is_none_or(|(key, epoch)| key != device.key || evidence.epoch > Epoch(epoch));
        if !is_asked && !changes {
            if device.unasked.take(UNASKED, now) {
                let detail = json!({
                    "device": id.to_string(), "region": region, "finding": finding.to_string(),
                    "nonce": hex::encode(challenge.nonce()),
                });
                self.audit("unasked", detail);
            }
            return Err(Refusal::NotAsked);
        }
        self.appraised(id, (region, challenge.nonce()), finding, Some(&evidence), now);
        Ok(())
    }

    /// Draws the consequences of an appraisal of a region, with the nonce of what it was asked for by.
    fn appraised(
        &mut self,
        id: DeviceId,
        (region, nonce): (u16, [u8; 7]),
        finding: Finding,
        evidence: Option<&Evidence>,
        now: Instant,
    ) {
        let image = self.city.devices.get(&id).and_then(|entry| self.city.images.get(&entry.image));
        let function = match image.and_then(|regions| regions.get(&region)) {
            Some(region) => region.name.clone(),
            None if region == ALL_REGIONS => "all functions".to_owned(),
            None => String::new(),
        };
        let verdict: Option<Verdict> = evidence.map(|evidence| evidence.verdict);
        let appraisal = Appraisal { device: id, region, function: &function, nonce, finding, verdict };
        let result = self.signer.sign(&appraisal, SystemTime::now());
        let detail = json!({
            "device": id.to_string(), "region": region, "function": function, "finding": finding.to_string(),
            "status": finding.status(), "nonce": hex::encode(nonce),
        });
        self.audit("attested", detail);
        let Some(device) = self.devices.get_mut(&id) else { return };
        let ends_isolation = evidence.is_some()
            && finding != Finding::Altered
            && region == ALL_REGIONS
            && device.recovery == Some(Recovery::Restoring);
        if device.record.isolated.is_some() && finding != Finding::Altered && !ends_isolation {
            // Its status and the signed result stay those that it was isolated with.
            return;
        }
        self.batch.records.insert(id);
        match result {
            Ok(result) => device.record.result = Some(result),
            Err(error) => tracing::error!(%error, "an attestation result was not signed"),
        }
        device.record.status = finding.status();
        match finding.status() {
            Status::Contraindicated => {
                let again = device.record.isolated.replace(region).is_some();
                // Of an isolated device nothing is expected but what a recovery asks for.
                (device.recovery, device.outstanding) = (None, None);
                tracing::error!(device = %id, region, again, "ALERT: the code is not what was built; the device is isolated");
                let detail = json!({
                    "device": id.to_string(), "region": region, "function": function, "again": again,
                });
                self.audit("isolated", detail);
            }
            Status::Affirming | Status::Warning if ends_isolation => {
                (device.record.isolated, device.recovery) = (None, None);
                device.record.recovered = device.record.epoch.map(|epoch| (device.key, epoch));
                device.record.status = Status::Affirming;
                // The evidence is stored with the batch, and nothing of the batch goes out before.
                if let Some(receipt) = device.seal_receipt(now) {
                    self.batch.repeats.remove(&id);
                    self.batch.outputs.push(down(id, receipt));
                }
                device.end_epoch(now);
                self.audit("recovered", json!({ "device": id.to_string(), "region": region }));
            }
            _ => {}
        }
    }

    /// Has a command sent, and noted in the audit log.
    fn command(
        &mut self,
        topic: String,
        payload: Vec<u8>,
        operator: &str,
        now: Instant,
    ) -> Result<(), Denied> {
        if !self.commands.entry(operator.to_owned()).or_default().take(COMMANDS, now) {
            return Err(Denied::TooOften);
        }
        let command = String::from_utf8_lossy(&payload);
        self.audit("commanded", json!({ "operator": operator, "topic": topic, "command": command }));
        self.batch.outputs.push(Output { topic, payload, delivery: None, about: None });
        Ok(())
    }

    /// Notes in the audit log what an operator wanted and did not get. What was done has a record of its own. Nobody fills the log with it.
    fn told(
        &mut self,
        what: &str,
        device: DeviceId,
        operator: &str,
        result: Result<(), Denied>,
        now: Instant,
    ) -> Result<(), Denied> {
        if let Err(denied) = result {
            let (rate, left_out) = self.denials.entry(operator.to_owned()).or_default();
            if !rate.take(DENIED, now) {
                *left_out += 1;
                return result;
            }
            let detail = json!({
                "device": device.to_string(), "operator": operator, "what": what, "why": denied.to_string(),
            });
            self.audit("denied", detail);
        }
        result
    }

    fn instruct(
        &mut self,
        id: DeviceId,
        region: u16,
        argument: &[u8],
        operator: &str,
        now: Instant,
    ) -> Result<(), Denied> {
        let entry = self.city.devices.get(&id).ok_or(Denied::UnknownDevice)?;
        if !self.city.images.get(&entry.image).is_some_and(|regions| regions.contains_key(&region)) {
            return Err(Denied::UnknownRegion);
        }
        if self.devices.get(&id).is_some_and(|device| device.record.isolated.is_some()) {
            return Err(Denied::Isolated);
        }
        self.send_instruction(id, &Instruction { region, argument }, Some(operator), now)
    }

    fn examine(&mut self, id: DeviceId, operator: &str, now: Instant) -> Result<(), Denied> {
        if self.devices.get(&id).is_some_and(|device| device.record.isolated.is_some()) {
            return Err(Denied::Isolated);
        }
        self.send_instruction(id, &Instruction::EXAMINE_ALL, Some(operator), now)
    }

    fn recover(&mut self, id: DeviceId, operator: &str, now: Instant) -> Result<(), Denied> {
        let device = self.devices.get_mut(&id).ok_or(Denied::UnknownDevice)?;
        if device.record.isolated.is_none() {
            return Err(Denied::NotIsolated);
        }
        device.recovery = Some(Recovery::NeedsEpoch);
        if device.link().is_none() {
            device.ask_epoch(now);
        }
        self.seen.insert(id);
        self.audit("recovery begun", json!({ "device": id.to_string(), "operator": operator }));
        self.restore_if_possible(id, now);
        self.wait(id);
        Ok(())
    }

    /// Sends the instruction to restore as soon as there is an epoch to seal it in: all regions, as evidence has named one that is
    /// altered, and there may be more.
    fn restore_if_possible(&mut self, id: DeviceId, now: Instant) {
        let Some(device) = self.devices.get_mut(&id) else { return };
        let needs_restoring =
            device.record.isolated.is_some() && device.recovery == Some(Recovery::NeedsEpoch);
        if !needs_restoring || device.link().is_none() {
            return;
        }
        device.outstanding = None;
        if self.send_instruction(id, &Instruction::restore(&ALL_REGIONS.to_be_bytes()), None, now).is_ok()
            && let Some(device) = self.devices.get_mut(&id)
        {
            device.recovery = Some(Recovery::Restoring);
        }
    }

    fn send_instruction(
        &mut self,
        id: DeviceId,
        instruction: &Instruction<'_>,
        operator: Option<&str>,
        now: Instant,
    ) -> Result<(), Denied> {
        let device = self.devices.get_mut(&id).ok_or(Denied::UnknownDevice)?;
        if device.outstanding.as_ref().is_some_and(|outstanding| outstanding.deadline.is_some()) {
            return Err(Denied::Busy);
        }
        let mut buffer = vec![0; 2 + instruction.argument.len() + OVERHEAD];
        let sealed = device.link().ok_or(Denied::NoLink)?.seal_instruction(instruction, &mut buffer);
        let challenge = match sealed {
            Ok((_, challenge)) => challenge,
            Err(SealError::LimitReached) => {
                device.ask_epoch(now);
                device.wait(id, &mut self.waiting);
                return Err(Denied::NoLink);
            }
            Err(_) => return Err(Denied::TooLong),
        };
        let detail = json!({
            "device": id.to_string(), "region": instruction.region, "argument": hex::encode(instruction.argument),
            "nonce": hex::encode(challenge.nonce()), "operator": operator,
        });
        self.batch.outputs.push(down(id, buffer.clone()));
        device.outstanding = Some(Outstanding {
            challenge,
            region: instruction.examined_region(),
            frame: buffer,
            sent: 1,
            deadline: Some(now + Duration::from_millis(self.city.evidence_deadline_ms)),
        });
        device.wait(id, &mut self.waiting);
        self.audit("instructed", detail);
        Ok(())
    }

    fn tick(&mut self, now: Instant) {
        self.end_guests();
        for id in self.waiting.due(now, UNHEARD) {
            let (Some(device), Some((root, _))) = (self.devices.get_mut(&id), self.secrets.devices.get(&id))
            else {
                continue;
            };
            if let Some(frame) = device.epoch_request(id, root, now) {
                self.batch.outputs.push(down(id, frame));
            }
            let is_late =
                |outstanding: &mut Outstanding| outstanding.deadline.is_some_and(|time| time <= now);
            if let Some(mut outstanding) = device.outstanding.take_if(is_late) {
                let asked = (outstanding.region, outstanding.challenge.nonce());
                self.appraised(id, asked, Finding::Missing, None, now);
                let Some(device) = self.devices.get_mut(&id) else { continue };
                if outstanding.sent < self.city.evidence_attempts {
                    outstanding.sent += 1;
                    outstanding.deadline = Some(now + Duration::from_millis(self.city.evidence_deadline_ms));
                    self.batch.outputs.push(down(id, outstanding.frame.clone()));
                } else {
                    outstanding.deadline = None;
                    if device.recovery == Some(Recovery::Restoring) {
                        // The device may have opened an epoch that nobody has heard of.
                        device.recovery = Some(Recovery::NeedsEpoch);
                        device.end_epoch(now);
                    } else {
                        // It may have rejected so many forged frames that it opens nothing else than this.
                        device.ask_forced_epoch(now);
                    }
                }
                device.outstanding = Some(outstanding);
            }
            self.wait(id);
        }
        if now >= self.next_summary {
            self.next_summary = now + SUMMARY;
            self.summarize();
        }
        self.sample(now);
        self.emit();
    }

    /// Writes what was only counted into the audit log.
    fn summarize(&mut self) {
        let denials =
            self.denials.iter_mut().map(|(operator, (_, count))| (operator.clone(), std::mem::take(count)));
        let denials: Vec<_> = denials.filter(|(_, count)| *count > 0).collect();
        for (operator, count) in denials {
            self.audit("denied more often", json!({ "operator": operator, "count": count }));
        }
        let refused = std::mem::take(&mut self.refused_since);
        if !refused.is_empty() {
            self.audit("refused", json!(refused));
        } else if self.store.generation() > self.audit.commit() {
            // So that a store that is set back is found, were it only by readings.
            self.audit("stored", json!({}));
        }
    }

    /// Brings the view up to date.
    fn emit(&mut self) {
        self.add_up();
        let seen = std::mem::take(&mut self.seen);
        let devices: Vec<_> = seen.into_iter().filter_map(|id| Some((id, self.device_view(id)?))).collect();
        let undelivered = self.shards.outbox();
        let mut view = self.view.write();
        let summary = &mut view.summary;
        summary.refused.clone_from(&self.refused);
        summary.accepted = self.accepted;
        summary.undelivered = undelivered;
        summary.fault.clone_from(&self.fault);
        view.time = Some(Instant::now());
        for (id, device) in devices {
            view.put(id, device);
        }
    }

    /// Takes a sample of how much there is to do, and looks which devices have fallen silent.
    fn sample(&mut self, now: Instant) {
        let (since, accepted, refused) = self.sampled;
        let seconds = now.saturating_duration_since(since).as_secs_f64();
        if seconds < SAMPLED.as_secs_f64() {
            return;
        }
        self.sampled = (now, self.accepted, self.refused.values().sum());
        let Batches { count, sum, longest } = std::mem::take(&mut self.batches);
        let silent_since = self.silent_since();
        let mut view = self.view.write();
        let sample = Sample {
            time: self.clock.1,
            accepted: (self.sampled.1 - accepted) as f64 / seconds,
            refused: (self.sampled.2 - refused) as f64 / seconds,
            undelivered: view.summary.undelivered,
            mean: sum.checked_div(count).map(millis),
            longest: (count > 0).then(|| millis(longest)),
        };
        view.sample(sample);
        self.seen.extend(view.not_heard_since(silent_since));
    }

    /// Who was last heard before this is silent.
    fn silent_since(&self) -> Timestamp {
        let time = SignedDuration::from_mins(self.city.silent_minutes.into());
        self.clock.1.checked_sub(time).unwrap_or(Timestamp::MIN)
    }

    /// Makes the view of all devices anew.
    fn view_anew(&mut self) {
        let devices = self.devices.keys().filter_map(|id| Some((*id, self.device_view(*id)?))).collect();
        self.view.write().replace(&self.city.home, devices);
    }

    /// Adds what was counted by stream to the flows of each user.
    fn add_up(&mut self) {
        let mut view = self.view.write();
        let commit = self.store.generation() + 1;
        let mut tell = |stream: &str, user: String, decision: Decision, count: u64| {
            let key: FlowKey = (stream.to_owned(), user, decision.allowed, decision.reason);
            let sum = view.flows.entry(key.clone()).or_insert_with(|| {
                let detail = json!({ "stream": key.0, "user": key.1, "allowed": key.2, "reason": key.3 });
                self.audit.append(commit, "decided", detail);
                0
            });
            *sum += count;
        };
        for (stream, (users, decisions, count)) in std::mem::take(&mut self.handed) {
            for (user, decision) in users.iter().zip(&*decisions) {
                tell(&stream, user.clone(), decision.clone(), count);
            }
        }
        for ((stream, device_ok), count) in std::mem::take(&mut self.counted) {
            let decisions = self.policy.decide(stream, device_ok);
            let Some(entry) = self.city.streams.get(&stream) else { continue };
            let users = self.policy.users().iter().cloned().zip(decisions.iter().cloned());
            let guests = self.guests.iter();
            let guests = guests.map(|(name, (_, guest))| {
                (name.clone(), self.policy.decide_for(&guest.user, stream, device_ok))
            });
            for (user, decision) in users.chain(guests) {
                tell(&entry.name, user, decision, count);
            }
        }
    }

    fn device_view(&self, id: DeviceId) -> Option<Arc<DeviceView>> {
        let (device, entry) = (self.devices.get(&id)?, self.city.devices.get(&id)?);
        Some(Arc::new(DeviceView {
            id: id.to_string(),
            name: entry.name.clone(),
            place: entry.place,
            position: entry.position,
            streams: entry
                .streams
                .iter()
                .filter_map(|number| Some(self.city.streams.get(number)?.name.clone()))
                .collect(),
            state: device.record.status,
            isolated: device.record.isolated.is_some(),
            silent: device.last_seen.is_none_or(|seen| seen < self.silent_since()),
            epoch: device.record.epoch,
            frames: device.frames,
            refused: device.refused_frames(),
            reasons: device.refused.clone(),
            last_seen: device.last_seen,
        }))
    }

    fn refuse(&mut self, device: Option<DeviceId>, refusal: Refusal, count: u64) {
        *self.refused_since.entry(refusal).or_default() += count;
        *self.refused.entry(refusal).or_default() += count;
        if let Some((id, device)) = device.and_then(|id| Some((id, self.devices.get_mut(&id)?))) {
            self.seen.insert(id);
            *device.refused.entry(refusal).or_default() += count;
        }
    }

    /// Takes new files over as a whole; a fault in them changes nothing but what is said of it.
    fn reload(&mut self, files: Result<Box<(City, Arc<Secrets>)>, ConfigError>, now: Instant) {
        let taken = files.map_err(|error| error.to_string()).and_then(|files| {
            let (city, secrets) = &*files;
            // Who is connected as the gateway, or has its public key, would not know of it.
            if !secrets.gateway_password.matches(self.secrets.gateway_password.as_str().as_bytes()) {
                return Err("gateway_password: changes at a start only".to_owned());
            }
            if secrets.ear_key != self.secrets.ear_key {
                return Err("ear_key: changes at a start only".to_owned());
            }
            let policy = Policy::new(&city.users, &city.streams).map_err(|error| format!("{error:#}"))?;
            Ok((files, policy))
        });
        let (files, policy) = match taken {
            Ok(taken) => taken,
            Err(fault) => {
                tracing::error!(fault, "the configuration is not changed");
                self.audit("configuration refused", json!({ "fault": fault }));
                self.fault = Some(fault);
                return;
            }
        };
        self.add_up();
        let (city, secrets) = *files;
        (self.city, self.secrets, self.policy, self.fault) = (city, secrets, policy, None);
        self.end_guests();
        self.take_devices(now);
        let detail = json!({ "devices": self.city.devices.len(), "users": self.city.users.len() });
        self.audit("configuration loaded", detail);
        self.view_anew();
    }
}

/// What is said of a reading.
fn about(reading: &Reading, stream: &StreamEntry) -> About {
    let id = DeviceId(reading.device);
    About {
        content_type: stream.content_type.clone(),
        properties: vec![
            // Epochs and counters come again under another root key.
            (
                "id".to_owned(),
                format!("{id}-{}-{}-{}", hex::encode(&reading.key[..8]), reading.epoch, reading.counter),
            ),
            ("device".to_owned(), id.to_string()),
            ("stream".to_owned(), stream.name.clone()),
            ("class".to_owned(), class_name(stream.stream.class).to_owned()),
            ("time".to_owned(), reading.time.to_string()),
        ],
    }
}

fn millis(time: Duration) -> f64 {
    1000.0 * time.as_secs_f64()
}

fn down(id: DeviceId, payload: Vec<u8>) -> Output {
    Output { topic: format!("down/{id}"), payload, delivery: None, about: None }
}
