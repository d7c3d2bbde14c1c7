//! Where a city's data goes out to others, and theirs comes in.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    hash::Hash,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Result;
use coset::{CborSerializable as _, cbor::value::Value};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::json;
use smart_city_engine::{
    config::{City, History, StreamEntry, UserEntry},
    distrust::{Distrust, Doubt},
    engine::{AHEAD, About, Handed, Past, Rate, Wanted},
    policy::{Decisions, Policy, class_name, hash},
};
use smart_city_frame::{Class, DeviceId};
use smart_city_requests::Pace;
use tokio::{
    sync::{Notify, watch},
    time::{sleep, timeout},
};

use crate::{
    agreement::{Agreement, MOST_MINUTES, Site},
    handover::{self, Keyring, Opened, Reading, Refusal, Signed},
    keys::{KID, Pairwise, from_partner, to_partner},
    label::{Id, Label},
    replay::{self, Taken},
    send::Answer,
};

/// Readings that may wait for one city. The oldest of more are lost.
pub(crate) const MOST_WAITING: usize = 4096;

/// Readings in one message.
pub(crate) const MOST_TOGETHER: usize = 64;

/// The longest message that is taken.
pub const MOST_BODY: usize = MOST_TOGETHER * (handover::MOST + 8);

/// How far another city's clock may be ahead, in seconds.
const LEEWAY: i64 = 120;

/// How far in the future an owner's gateway may have begun to count, in seconds: who has stolen a key could end the stream with more.
const MOST_AHEAD: i64 = 86_400;

/// How often labels of an owner's streams may change that one city brings, at once and in the long run: each time, it is decided anew for all
/// users. The first one of each stream is not counted, as there are only so many streams; and beside these, each stream may change at once.
const CHANGES: (u32, Duration) = (16, Duration::from_secs(1));

/// Decisions about users that are made anew in one turn: who has many users, and gets many new labels, makes them in more turns. All those about a
/// reading are made, so that at least one is taken in each.
const DECISIONS: usize = 1024;

/// The last labels of a stream for which is known what was decided: one that goes on by another city may come after newer ones.
const LABELS: usize = 4;

/// How long nothing is sent to a city that has looked at nothing of what it got last.
const BUSY: Duration = Duration::from_secs(1);

/// The time between two looks at what is under way when the gateway ends.
const LOOK: Duration = Duration::from_millis(10);

/// Readings of the history that are looked at for one request: many may be there of which the user may see none.
pub(crate) const MOST_LOOKED_AT: usize = 20_000;

/// Labels of which is remembered during one request whether the user may see what has them.
const SIGHT: usize = 256;

/// The number of the stream that [`sole`] knows.
pub const NUMBER: u16 = 1;

/// How long refusals are added up for the audit log, after the first one of a city.
const SUMMARY: Duration = Duration::from_secs(60);

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What holds since the files were read last.
#[derive(Debug, Default)]
struct Config {
    home: String,
    agreement: Agreement,
    users: BTreeMap<String, UserEntry>,
    history: Option<History>,
    streams: BTreeMap<u16, StreamEntry>,
    devices: BTreeMap<DeviceId, Vec<u16>>,
    ring: Keyring,
    /// The key to seal with for each partner.
    sealing: BTreeMap<String, Pairwise>,
}

impl Config {
    fn of(city: &City, agreement: Agreement) -> Self {
        let mut config = Self {
            home: city.home.clone(),
            users: city.users.clone(),
            history: city.history,
            streams: city.streams.clone(),
            devices: city.devices.iter().map(|(id, device)| (*id, device.streams.clone())).collect(),
            ..Self::default()
        };
        let Some(own) = agreement.own.clone() else { return config };
        for (name, partner) in &agreement.partners {
            config.ring.cities.insert(name.clone(), partner.keys.clone());
            for key in from_partner(&city.home, &own, name, &partner.keys) {
                config.ring.sealing.insert(key.kid.to_vec(), (name.clone(), key));
            }
            let key = to_partner(&city.home, &own, name, &partner.keys);
            config.sealing.extend(key.map(|key| (name.clone(), key)));
        }
        Self { agreement, ..config }
    }

    /// Whether a city gets a stream, by the table of what it gets.
    fn sends(&self, partner: &str, owner: &str, stream: &str) -> bool {
        let of = (owner.to_owned(), stream.to_owned());
        self.agreement.partners.get(partner).is_some_and(|partner| partner.send.contains(&of))
    }

    /// The own stream of what waits, if that is the one that it was of when the device sent it, and the device may still send it.
    fn own_stream(&self, number: u16, identity: &str, device: DeviceId) -> Option<&StreamEntry> {
        let sends = self.devices.get(&device).is_some_and(|streams| streams.contains(&number));
        self.streams.get(&number).filter(|entry| sends && entry.identity() == identity)
    }

    /// Whether what waits may go to a city now.
    fn may_be_sent(&self, waiting: &Waiting, to: &str) -> bool {
        match waiting {
            Waiting::Own { stream, identity, device, .. } => {
                self.own_stream(*stream, identity, *device).is_some_and(|entry| {
                    self.sends(to, &self.home, &entry.name)
                        && entry.owner == self.home
                        && Self::is_for(entry, to)
                })
            }
            Waiting::Foreign { opened } => {
                let label = &opened.reading.label;
                let owner = self.agreement.partners.get(&label.owner);
                let narrowing = owner.and_then(|owner| owner.receive.get(&label.stream));
                narrowing.is_some_and(|narrowing| {
                    self.sends(to, &label.owner, &label.stream)
                        && label.is_for(to)
                        // What is public is for everybody, whatever its list is: here the own list counts.
                        && narrowing.shared_with.as_ref().is_none_or(|cities| cities.contains(to))
                        && Self::is_for(&narrowing.apply(label, &self.home), to)
                })
            }
        }
    }

    /// Whether a stream, own or of another city, may be seen in a city at all.
    fn is_for(entry: &StreamEntry, city: &str) -> bool {
        entry.stream.class == Class::Public || entry.partners.iter().any(|partner| partner == city)
    }
}

/// What waits for another city.
#[derive(Clone, Debug)]
enum Waiting {
    Own {
        stream: u16,
        /// Its stream's [identity](StreamEntry::identity): another one may get its number.
        identity: String,
        device: DeviceId,
        sequence: u64,
        time: Timestamp,
        payload: Vec<u8>,
    },
    /// As it came.
    Foreign { opened: Arc<Opened> },
}

impl Waiting {
    /// Whether an own device has measured it for which `is_it` says so.
    fn is_of(&self, is_it: impl FnOnce(&DeviceId) -> bool) -> bool {
        matches!(self, Self::Own { device, .. } if is_it(device))
    }
}

/// What goes to one city.
#[derive(Debug, Default)]
struct Outbox {
    waiting: VecDeque<Waiting>,
    /// What was waiting and is in the request of now.
    under_way: Arc<[Waiting]>,
    /// The own devices that were isolated since that was taken.
    isolated: BTreeSet<DeviceId>,
    pace: Pace,
}

#[derive(Debug, Default)]
struct Outbound {
    outboxes: BTreeMap<String, Outbox>,
    /// The last reading of each own stream.
    sequences: BTreeMap<String, u64>,
    /// Nothing is sent any more.
    ends: bool,
}

impl Outbound {
    /// Takes what goes to a city in one request.
    fn take(&mut self, to: &str) -> Option<Arc<[Waiting]>> {
        let waits = |outbox: &&mut Outbox| !self.ends && !outbox.waiting.is_empty();
        let outbox = self.outboxes.get_mut(to).filter(waits)?;
        outbox.isolated.clear();
        let together = outbox.waiting.len().min(MOST_TOGETHER);
        outbox.under_way = outbox.waiting.drain(..together).collect();
        Some(Arc::clone(&outbox.under_way))
    }

    /// The outbox of a city, if this is what is under way there: it may be another one by now.
    fn of(&mut self, to: &str, under_way: &Arc<[Waiting]>) -> Option<&mut Outbox> {
        self.outboxes.get_mut(to).filter(|outbox| Arc::ptr_eq(&outbox.under_way, under_way))
    }
}

/// Whose a stream is, and its name.
type Of = (String, String);

#[derive(Debug)]
struct Inbound {
    taken: Taken,
    /// What was decided by the last labels of each stream, and under which configuration.
    decided: BTreeMap<Of, VecDeque<Decided>>,
    under: Arc<Config>,
    /// How often labels have changed, by who brought them and whose they are.
    changes: BTreeMap<(String, String), Rate>,
    /// Decisions that were made in this turn.
    made: usize,
}

/// What was decided for each user.
#[derive(Clone, Debug)]
struct Decided {
    entry: StreamEntry,
    users: Arc<[String]>,
    decisions: Decisions,
    /// Those of a device that is not believed.
    held: Decisions,
}

/// What became of what was handed over to and by one city.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Whether something is agreed with it now.
    pub is_partner: bool,
    /// Readings that it took.
    pub sent: u64,
    /// Readings that it refused, by the reason that it gave.
    pub refused_there: BTreeMap<&'static str, u64>,
    /// Readings that it never got: too many waited, or their time was over.
    pub lost: u64,
    /// Readings that it was not to get any more when it was their turn.
    pub withheld: u64,
    /// Requests that were not answered as they should.
    pub failed: u64,
    /// Readings that wait.
    pub waiting: u64,
    /// Readings that were taken from it.
    pub taken: u64,
    /// Readings of it that were refused.
    pub refused: BTreeMap<Refusal, u64>,
    /// Whether it did not take the last request.
    pub is_failing: bool,
    /// When it last took a reading.
    pub last_sent: Option<Timestamp>,
    /// When a reading was last taken from it.
    pub last_taken: Option<Timestamp>,
    /// The streams that it gets.
    pub sends: Vec<String>,
    /// Those of it that are taken, whoever brings them.
    pub takes: Vec<String>,
}

/// What a message has brought.
#[derive(Debug, Default)]
pub struct Given {
    /// How many readings were taken.
    pub taken: u64,
    /// How many were not, and why.
    pub refused: BTreeMap<Refusal, u64>,
    /// Those that were taken, and who of the users may have each.
    pub readings: Vec<(Reading, Handed)>,
}

/// What was refused since the audit log was told of it.
#[derive(Debug, Default)]
struct Note {
    refused: BTreeMap<&'static str, u64>,
    told: Option<Instant>,
}

/// A request to another city.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) to: String,
    pub(crate) site: Site,
    pub(crate) body: Vec<u8>,
    /// The key by which it is sealed.
    key: [u8; KID],
    waiting: Arc<[Waiting]>,
}

/// Where a city's data goes out to others, and theirs comes in.
#[derive(Debug)]
pub struct Gate {
    config: Mutex<Arc<Config>>,
    /// Whom the city does not believe.
    distrusted: Distrust,
    /// Held for moments only: who notes a reading does not wait.
    outbound: Mutex<Outbound>,
    /// Held as long as a message is looked at and stored.
    inbound: Mutex<Inbound>,
    past: replay::Past,
    counts: Mutex<BTreeMap<String, Counts>>,
    /// For the audit log.
    notes: Mutex<BTreeMap<(&'static str, String), Note>>,
    epoch: u64,
    pub(crate) wake: Notify,
    /// Something else is agreed.
    pub(crate) changes: watch::Sender<()>,
    failed: Notify,
}

/// The name under which is counted what nobody known has sealed.
pub(crate) const NOBODY: &str = "unknown";

impl Gate {
    /// A gate that stores in a folder what it must not forget.
    ///
    /// # Errors
    /// If the file there cannot be read or made.
    pub fn open(dir: &Path, distrusted: Distrust) -> Result<Self> {
        let now = u64::try_from(Timestamp::now().as_microsecond()).unwrap_or(0);
        let (taken, epoch) = Taken::open(dir, now)?;
        Ok(Self {
            config: Mutex::default(),
            distrusted,
            outbound: Mutex::default(),
            past: taken.past(),
            inbound: Mutex::new(Inbound {
                taken,
                decided: BTreeMap::new(),
                under: Arc::default(),
                changes: BTreeMap::new(),
                made: 0,
            }),
            counts: Mutex::default(),
            notes: Mutex::default(),
            epoch,
            wake: Notify::new(),
            changes: watch::Sender::new(()),
            failed: Notify::new(),
        })
    }

    fn config(&self) -> Arc<Config> {
        Arc::clone(&lock(&self.config))
    }

    /// From now on these attributes and this agreement hold. What waits for a city with which there is none any more is dropped.
    pub fn configure(&self, city: &City, agreement: Agreement) {
        let config = Arc::new(Config::of(city, agreement));
        let mut outbound = lock(&self.outbound);
        outbound.outboxes.retain(|name, outbox| {
            let partner = config.agreement.partners.get(name);
            let stays = partner.is_some_and(|partner| partner.site.is_some());
            if !stays {
                self.count(name, |counts| counts.withheld += outbox.waiting.len() as u64);
            }
            stays
        });
        for (name, partner) in &config.agreement.partners {
            if partner.site.is_some() {
                outbound.outboxes.entry(name.clone()).or_default();
            }
        }
        // Under this lock, so that nothing is added for a partner that is gone.
        *lock(&self.config) = config;
        drop(outbound);
        self.changes.send_replace(());
    }

    /// A reading of an own stream was accepted.
    pub fn reading(&self, device: DeviceId, stream: u16, time: Timestamp, payload: &[u8]) {
        let mut outbound = lock(&self.outbound);
        let config = self.config();
        let Some(entry) = config.streams.get(&stream) else { return };
        let to = |name: &&String| config.sends(name, &config.home, &entry.name);
        let to: Vec<_> = outbound.outboxes.keys().filter(to).cloned().collect();
        if to.is_empty() {
            return;
        }
        let sequence = outbound.sequences.entry(entry.name.clone()).or_default();
        *sequence += 1;
        let (identity, sequence) = (entry.identity(), *sequence);
        let waiting = Waiting::Own { stream, identity, device, sequence, time, payload: payload.to_vec() };
        for name in to {
            self.queue(&mut outbound, &name, waiting.clone());
        }
    }

    fn queue(&self, outbound: &mut Outbound, to: &str, waiting: Waiting) {
        let Some(outbox) = outbound.outboxes.get_mut(to) else { return };
        outbox.waiting.push_back(waiting);
        if outbox.waiting.len() > MOST_WAITING {
            outbox.waiting.pop_front();
            self.count(to, |counts| counts.lost += 1);
        }
        self.wake.notify_one();
    }

    /// An own device is isolated: what of it waits does not go out, nor again what is under way.
    pub fn isolated(&self, device: DeviceId) {
        for (name, outbox) in &mut lock(&self.outbound).outboxes {
            outbox.isolated.insert(device);
            let before = outbox.waiting.len();
            outbox.waiting.retain(|waiting| !waiting.is_of(|of| *of == device));
            let withheld = (before - outbox.waiting.len()) as u64;
            self.count(name, |counts| counts.withheld += withheld);
        }
    }

    fn count(&self, city: &str, change: impl FnOnce(&mut Counts)) {
        change(lock(&self.counts).entry(city.to_owned()).or_default());
    }

    fn note(&self, event: &'static str, city: &str, refused: &BTreeMap<&'static str, u64>) {
        let mut notes = lock(&self.notes);
        let note = notes.entry((event, city.to_owned())).or_default();
        for (reason, count) in refused {
            *note.refused.entry(reason).or_default() += count;
        }
    }

    /// What is for the audit log by now: of each city at most once a minute, so that nobody fills the log.
    pub fn notes(&self, now: Instant) -> Vec<(&'static str, serde_json::Value)> {
        self.notes_if(now, |told| now.saturating_duration_since(told) >= SUMMARY)
    }

    /// What is left for the audit log when the gateway ends.
    pub fn last_notes(&self) -> Vec<(&'static str, serde_json::Value)> {
        self.notes_if(Instant::now(), |_| true)
    }

    /// Sends nothing more, and waits for so long at most until what is under way was answered.
    pub async fn end(&self, patience: Duration) {
        lock(&self.outbound).ends = true;
        let is_under_way =
            || lock(&self.outbound).outboxes.values().any(|outbox| !outbox.under_way.is_empty());
        let answered = async {
            while is_under_way() {
                sleep(LOOK).await;
            }
        };
        drop(timeout(patience, answered).await);
    }

    /// What waits, and is lost when the gateway ends: for the audit log. What is under way may have come to its city nevertheless.
    pub fn loss_notes(&self) -> Vec<(&'static str, serde_json::Value)> {
        let waiting = self.counts().into_iter().filter(|(_, counts)| counts.waiting > 0);
        let note = |(city, counts): (String, Counts)| {
            ("hand-over lost at the end", json!({ "city": city, "readings": counts.waiting }))
        };
        waiting.map(note).collect()
    }

    fn notes_if(
        &self,
        now: Instant,
        is_due: impl Fn(Instant) -> bool,
    ) -> Vec<(&'static str, serde_json::Value)> {
        let mut due = Vec::new();
        for ((event, city), note) in &mut *lock(&self.notes) {
            if note.refused.is_empty() || !note.told.is_none_or(&is_due) {
                continue;
            }
            note.told = Some(now);
            due.push((*event, json!({ "city": city, "refused": std::mem::take(&mut note.refused) })));
        }
        due
    }

    /// What became of all so far, by city. What nobody known has sealed is under `unknown`, which is the name of no city here.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<String, Counts> {
        let (mut all, config) = (lock(&self.counts).clone(), self.config());
        for (name, partner) in &config.agreement.partners {
            let counts = all.entry(name.clone()).or_default();
            counts.is_partner = true;
            let name = |(owner, stream): &Of| {
                if *owner == config.home { stream.clone() } else { format!("{owner}/{stream}") }
            };
            counts.sends = partner.send.iter().map(name).collect();
            counts.takes = partner.receive.keys().cloned().collect();
        }
        for (name, outbox) in &lock(&self.outbound).outboxes {
            let counts = all.entry(name.clone()).or_default();
            counts.waiting = (outbox.waiting.len() + outbox.under_way.len()) as u64;
            counts.is_failing = outbox.pace.is_failing();
        }
        all
    }

    /// The cities for which something may be due now.
    pub(crate) fn due(&self, now: Instant) -> Vec<String> {
        let outbound = lock(&self.outbound);
        let is_due =
            |outbox: &Outbox| !outbound.ends && !outbox.waiting.is_empty() && outbox.pace.allows(now);
        outbound.outboxes.iter().filter(|(_, outbox)| is_due(outbox)).map(|(name, _)| name.clone()).collect()
    }

    /// The next request to a city, if there is something for it.
    pub(crate) fn job(&self, to: &str, now: Timestamp) -> Option<Job> {
        let config = self.config();
        let key = config.sealing.get(to)?;
        let own = config.agreement.own.as_ref()?;
        let site = config.agreement.partners.get(to)?.site.clone()?;
        loop {
            let taken = lock(&self.outbound).take(to)?;
            let (mut goes, mut withheld, mut lost) = (Vec::new(), 0, 0);
            for waiting in &*taken {
                let Some((signed, expiry)) = self.signed(&config, waiting, to, own) else {
                    withheld += 1;
                    continue;
                };
                if expiry <= now.as_second() {
                    lost += 1;
                    continue;
                }
                match handover::seal(&signed, key, &config.home, to) {
                    Ok(message) => goes.push((waiting.clone(), Value::from(message))),
                    Err(error) => {
                        tracing::error!(to, "a reading is not handed over: {error:#}");
                        lost += 1;
                    }
                }
            }
            let mut outbound = lock(&self.outbound);
            let Some(outbox) = outbound.of(to, &taken) else {
                // The city was removed meanwhile.
                self.count(to, |counts| counts.withheld += taken.len() as u64);
                return None;
            };
            let sealed = goes.len();
            let isolated = std::mem::take(&mut outbox.isolated);
            goes.retain(|(waiting, _)| !waiting.is_of(|device| isolated.contains(device)));
            withheld += (sealed - goes.len()) as u64;
            self.count(to, |counts| {
                counts.withheld += withheld;
                counts.lost += lost;
            });
            let (goes, messages): (Vec<_>, Vec<_>) = goes.into_iter().unzip();
            let body = Value::Array(messages).to_vec().ok()?;
            outbox.under_way = goes.into();
            if outbox.under_way.is_empty() {
                continue;
            }
            outbox.pace.begin();
            let waiting = Arc::clone(&outbox.under_way);
            return Some(Job { to: to.to_owned(), site, body, key: key.kid, waiting });
        }
    }

    /// Whether all of a request may still go to its city, and is sealed with a key that still is its own.
    pub(crate) fn may_go(&self, job: &Job) -> bool {
        let config = self.config();
        let is_partner = config.sealing.get(&job.to).is_some_and(|key| key.kid == job.key);
        is_partner && job.waiting.iter().all(|waiting| config.may_be_sent(waiting, &job.to))
    }

    /// What waits, as its owner signs it, if it may still go there; and when its time is over.
    fn signed(
        &self,
        config: &Config,
        waiting: &Waiting,
        to: &str,
        own: &crate::keys::OwnKeys,
    ) -> Option<(Signed, i64)> {
        if !config.may_be_sent(waiting, to) {
            return None;
        }
        match waiting {
            Waiting::Own { stream, identity, device, sequence, time, payload } => {
                let entry = config.own_stream(*stream, identity, *device)?;
                let expiry = time.as_second().saturating_add(config.agreement.life);
                let label = Label {
                    owner: config.home.clone(),
                    stream: entry.name.clone(),
                    departments: entry.departments.iter().cloned().collect(),
                    class: entry.stream.class,
                    min_level: entry.min_level,
                    shared_with: entry.partners.iter().cloned().collect(),
                    expiry,
                    policy: hash(),
                    id: Id { epoch: self.epoch, sequence: *sequence },
                };
                let reading = Reading {
                    label,
                    device: *device,
                    content_type: entry.content_type.clone(),
                    time: *time,
                    payload: payload.clone(),
                };
                let signed = handover::sign(&reading, own);
                let signed = signed.inspect_err(|error| tracing::error!(to, "{error:#}"));
                Some((signed.ok()?, expiry))
            }
            Waiting::Foreign { opened } => {
                let Reading { label, device, .. } = &opened.reading;
                let is_held = self.distrusted.holds(&label.owner, *device);
                (!is_held).then(|| (opened.signed.clone(), label.expiry))
            }
        }
    }

    /// Whether the last request to a city failed.
    pub(crate) fn is_failing(&self, to: &str) -> bool {
        lock(&self.outbound).outboxes.get(to).is_some_and(|outbox| outbox.pace.is_failing())
    }

    /// Takes over what became of a request: how many were taken and refused there; none if it was not answered as it should. What the city
    /// has not looked at, as it is busy, is sent again.
    pub(crate) fn done(&self, job: &Job, answer: Option<Answer>, now: Instant) {
        let answer = answer.map(|answer| answer.of_at_most(job.waiting.len() as u64));
        let looked_at = answer.as_ref().map_or(0, Answer::looked_at);
        let again = job.waiting.iter().skip(looked_at);
        let mut outbound = lock(&self.outbound);
        if let Some(outbox) = outbound.of(&job.to, &job.waiting) {
            outbox.under_way = Arc::default();
            outbox.pace.done(answer.is_some(), now);
            outbox.pace.not_before = (answer.is_some() && looked_at == 0).then(|| now + BUSY);
            let isolated = std::mem::take(&mut outbox.isolated);
            let (withheld, again): (Vec<_>, Vec<_>) =
                again.cloned().partition(|waiting| waiting.is_of(|device| isolated.contains(device)));
            self.count(&job.to, |counts| counts.withheld += withheld.len() as u64);
            again.into_iter().rev().for_each(|waiting| outbox.waiting.push_front(waiting));
            while outbox.waiting.len() > MOST_WAITING {
                outbox.waiting.pop_front();
                self.count(&job.to, |counts| counts.lost += 1);
            }
        } else {
            self.count(&job.to, |counts| counts.withheld += again.len() as u64);
        }
        drop(outbound);
        self.count(&job.to, |counts| match &answer {
            None => counts.failed += 1,
            Some(Answer { taken, refused }) => {
                counts.sent += taken;
                if *taken > 0 {
                    counts.last_sent = Some(Timestamp::now());
                }
                for (reason, count) in refused {
                    *counts.refused_there.entry(reason).or_default() += count;
                }
            }
        });
        if let Some(Answer { refused, .. }) = answer {
            self.note("hand-over refused there", &job.to, &refused);
        }
        self.wake.notify_one();
    }

    /// Looks at a message of another city, from its beginning, as far as there is room for messages to users, labels do not change too often, and
    /// there is not too much to decide.
    /// What was taken is stored before this returns, and is never taken again. The rest may come again.
    ///
    /// # Errors
    /// If it cannot be stored. Then nothing was taken.
    pub fn receive(&self, body: &[u8], now: Timestamp, mut room: usize) -> Result<Given> {
        let mut given = Given::default();
        let messages = match Value::from_slice(body) {
            Ok(Value::Array(messages)) if messages.len() <= MOST_TOGETHER => messages,
            _ => vec![Value::Null],
        };
        let mut inbound = lock(&self.inbound);
        let config = self.config();
        if !Arc::ptr_eq(&config, &inbound.under) {
            inbound.decided.clear();
            inbound.under = Arc::clone(&config);
        }
        inbound.made = 0;
        let (mut counted, mut accepted) = (Vec::new(), Vec::new());
        for message in &messages {
            // All of them may get it.
            if room < config.users.len() || inbound.made >= DECISIONS {
                break;
            }
            let opened = match message.as_bytes() {
                Some(message) => handover::open(message, &config.home, &config.ring),
                None => Err((None, Refusal::Malformed)),
            };
            let checked = opened.and_then(|opened| match check(&opened, &config, now) {
                Ok(entry) => Ok((opened, entry)),
                Err(refusal) => Err((Some(opened.from), refusal)),
            });
            let (opened, entry) = match checked {
                Ok(checked) => checked,
                Err((from, refusal)) => {
                    counted.push((from, Some(refusal)));
                    continue;
                }
            };
            let Some(decided) = inbound.decide(&opened, entry, &config) else {
                if opened.from == opened.reading.label.owner {
                    break;
                }
                // Behind it are readings of others, which do not wait for this one's owner.
                counted.push((Some(opened.from), Some(Refusal::LabelsChange)));
                continue;
            };
            let (label, from) = (&opened.reading.label, Some(opened.from.clone()));
            if !inbound.taken.take(&label.owner, &label.stream, &opened.key, label.id) {
                counted.push((from, Some(Refusal::Replayed)));
                continue;
            }
            let doubt = self.distrusted.of(&label.owner, opened.reading.device);
            let (reading, handed) = decided.hand(&opened.reading, doubt.as_ref());
            room -= handed.receivers().count();
            counted.push((from, None));
            given.readings.push((reading, handed));
            accepted.push(opened);
        }
        if let Some(History { hours, .. }) = config.history {
            for Opened { reading, signed, .. } in &accepted {
                inbound.taken.remember(reading, signed.bytes.clone(), hours, now.as_second());
            }
        }
        if let Err(error) = inbound.taken.keep(config.history, now.as_second()) {
            inbound.taken.give_up();
            self.failed.notify_one();
            return Err(error);
        }
        for opened in accepted {
            self.hand_on(opened, &config);
        }
        drop(inbound);
        self.add_up(counted, &mut given);
        Ok(given)
    }

    #[cfg(test)]
    pub(crate) fn past(&self) -> &replay::Past {
        &self.past
    }

    /// Removes from the history what has expired, in steps, so that others have a turn between them. Whether there may be more.
    ///
    /// # Errors
    /// If that cannot be stored.
    pub fn tidy(&self, now: Timestamp) -> Result<bool> {
        let history = self.config().history;
        let tidied = lock(&self.inbound).taken.tidy(history, now.as_second());
        tidied.inspect_err(|_| self.failed.notify_one())
    }

    /// What a user may see of what other cities have handed over: by the label of each reading, as long as that has not expired, and by this
    /// city's own table of now. It is read as long as it is wanted, and no more than so many readings of the time that is wanted.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn history(
        &self,
        user: &str,
        wanted: &Wanted,
        now: Timestamp,
        is_wanted: impl Fn() -> bool,
    ) -> Result<Vec<Past>> {
        let (config, mut found) = (self.config(), Vec::new());
        let (Some(user), Some(history)) = (config.users.get(user), config.history) else { return Ok(found) };
        let hours = SignedDuration::from_hours(history.hours.into());
        let first = now.checked_sub(hours).unwrap_or(Timestamp::MIN).max(wanted.from);
        let times = (first.as_microsecond(), wanted.to.as_microsecond());
        let (mut looked_at, mut sight) = (0, HashMap::new());
        self.past.read(&wanted.stream, times, |reading| {
            let label = &reading.label;
            let is_wanted_one = wanted.device.is_none_or(|device| device == reading.device);
            let entry = config.agreement.here(label, &config.home);
            if let Some(entry) = entry.filter(|_| is_wanted_one && label.expiry > now.as_second()) {
                let doubt = self.distrusted.of(&label.owner, reading.device);
                let device_ok = doubt.as_ref().is_none_or(|doubt| !doubt.is_held);
                let about = about(&reading, &entry, doubt.as_ref());
                let as_here = (entry, device_ok);
                let is_allowed = match sight.get(&as_here) {
                    Some(known) => *known,
                    None => {
                        let policy = sole(&as_here.0, &BTreeMap::new())?;
                        let is_allowed = policy.decide_for(user, NUMBER, device_ok).allowed;
                        forget_any(&mut sight, SIGHT);
                        sight.insert(as_here, is_allowed);
                        is_allowed
                    }
                };
                if is_allowed && found.len() < wanted.limit {
                    found.push(Past { about, payload: reading.payload });
                }
            }
            looked_at += 1;
            Ok(found.len() < wanted.limit && looked_at < MOST_LOOKED_AT && is_wanted())
        })?;
        Ok(found)
    }

    /// Waits until something cannot be stored: from then on nothing can, until the gateway is started again.
    pub async fn failed(&self) {
        self.failed.notified().await;
    }

    /// To how many users a reading of another city may go.
    #[must_use]
    pub fn users(&self) -> usize {
        self.config().users.len()
    }

    /// Who may have sent a message, by the name of its first key: nothing is proved by it. None if it is no partner.
    #[must_use]
    pub fn sender(&self, body: &[u8]) -> Option<String> {
        let Ok(Value::Array(messages)) = Value::from_slice(body) else { return None };
        let config = self.config();
        handover::sender(messages.first()?.as_bytes()?, &config.ring).map(str::to_owned)
    }

    /// Queues what goes on to others.
    fn hand_on(&self, opened: Opened, config: &Config) {
        let mut outbound = lock(&self.outbound);
        let label = &opened.reading.label;
        let goes = |name: &&String| {
            **name != opened.from && **name != label.owner && config.sends(name, &label.owner, &label.stream)
        };
        let to: Vec<_> = outbound.outboxes.keys().filter(goes).cloned().collect();
        let opened = Arc::new(opened);
        for name in to {
            self.queue(&mut outbound, &name, Waiting::Foreign { opened: Arc::clone(&opened) });
        }
    }

    fn add_up(&self, counted: Vec<(Option<String>, Option<Refusal>)>, given: &mut Given) {
        for (from, refusal) in counted {
            let from = from.unwrap_or_else(|| NOBODY.to_owned());
            match refusal {
                None => {
                    given.taken += 1;
                    self.count(&from, |counts| {
                        counts.taken += 1;
                        counts.last_taken = Some(Timestamp::now());
                    });
                }
                Some(refusal) => {
                    *given.refused.entry(refusal).or_default() += 1;
                    self.count(&from, |counts| *counts.refused.entry(refusal).or_default() += 1);
                    self.note("hand-over refused", &from, &BTreeMap::from([(refusal.name(), 1)]));
                }
            }
        }
    }
}

/// What a reading that was opened is here, if it is taken.
fn check(opened: &Opened, config: &Config, now: Timestamp) -> Result<StreamEntry, Refusal> {
    let label = &opened.reading.label;
    let now = now.as_second();
    if !config.agreement.policies.contains(&label.policy) {
        return Err(Refusal::UnknownPolicy);
    }
    if label.expiry <= now {
        return Err(Refusal::Expired);
    }
    let starts = i64::try_from(label.id.epoch / 1_000_000).unwrap_or(i64::MAX);
    if label.expiry - now > 60 * i64::from(MOST_MINUTES) + LEEWAY
        || starts - now > MOST_AHEAD
        || opened.reading.time.as_second() - now > AHEAD / 1_000_000
    {
        return Err(Refusal::TooLong);
    }
    if !label.is_for(&config.home) || !label.is_for(&opened.from) {
        return Err(Refusal::NotShared);
    }
    let owner = config.agreement.partners.get(&label.owner).ok_or(Refusal::UnknownOwner)?;
    let narrowing = owner.receive.get(&label.stream).ok_or(Refusal::NotAgreed)?;
    Ok(narrowing.apply(label, &config.home))
}

/// The policy of this city with one stream alone.
///
/// # Errors
/// If they do not fit each other, which is a fault of this program.
pub fn sole(entry: &StreamEntry, users: &BTreeMap<String, UserEntry>) -> Result<Policy> {
    Policy::new(users, &BTreeMap::from([(NUMBER, entry.clone())]))
}

/// Makes room for one more among at most so many. Any one goes: whichever it is, the others stay known, so that a few more than there is room for
/// are not all forgotten before they come again.
pub fn forget_any<K: Clone + Eq + Hash, V>(known: &mut HashMap<K, V>, most: usize) {
    if known.len() >= most
        && let Some(any) = known.keys().next().cloned()
    {
        known.remove(&any);
    }
}

impl Inbound {
    /// Who gets a reading with such a label, by the policy of this city; none if labels change too often.
    fn decide(&mut self, opened: &Opened, entry: StreamEntry, config: &Config) -> Option<Decided> {
        let Label { owner, stream, .. } = &opened.reading.label;
        let before = self.decided.entry((owner.clone(), stream.clone())).or_default();
        if let Some(decided) = before.iter().find(|decided| decided.entry == entry) {
            return Some(decided.clone());
        }
        if !before.is_empty() {
            let streams = config.agreement.partners.get(owner).map_or(0, |owner| owner.receive.len());
            let burst = CHANGES.0.saturating_add(streams.try_into().unwrap_or(u32::MAX));
            let changes = self.changes.entry((opened.from.clone(), owner.clone())).or_default();
            if !changes.take((burst, CHANGES.1), Instant::now()) {
                return None;
            }
        }
        let (users, decisions, held) = match sole(&entry, &config.users) {
            Ok(policy) => (policy.users().into(), policy.decide(NUMBER, true), policy.decide(NUMBER, false)),
            Err(error) => {
                tracing::error!("what was handed over reaches nobody: {error:#}");
                Default::default()
            }
        };
        self.made += decisions.len() + held.len();
        let decided = Decided { entry, users, decisions, held };
        before.push_back(decided.clone());
        if before.len() > LABELS {
            before.pop_front();
        }
        Some(decided)
    }
}

impl Decided {
    fn hand(&self, reading: &Reading, doubt: Option<&Doubt>) -> (Reading, Handed) {
        let decisions = if doubt.is_some_and(|doubt| doubt.is_held) { &self.held } else { &self.decisions };
        let handed = Handed {
            stream: self.entry.name.clone(),
            about: Arc::new(about(reading, &self.entry, doubt)),
            payload: reading.payload.clone(),
            users: Arc::clone(&self.users),
            decisions: Arc::clone(decisions),
        };
        (reading.clone(), handed)
    }
}

/// What is said of a reading.
fn about(reading: &Reading, entry: &StreamEntry, doubt: Option<&Doubt>) -> About {
    let Label { owner, stream, id: Id { epoch, sequence }, .. } = &reading.label;
    let properties = [
        ("id", format!("{owner}/{stream}/{epoch}/{sequence}")),
        ("device", reading.device.to_string()),
        ("stream", entry.name.clone()),
        ("class", class_name(entry.stream.class).to_owned()),
        ("time", reading.time.to_string()),
        ("owner", owner.clone()),
    ];
    let doubt = doubt.map(|doubt| ("distrusted", doubt.incident.clone()));
    About {
        content_type: reading.content_type.clone(),
        properties: properties.into_iter().chain(doubt).map(|(name, text)| (name.to_owned(), text)).collect(),
    }
}
