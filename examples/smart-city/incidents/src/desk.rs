//! Tells partners of isolated devices.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use anyhow::Result;
use base64ct::{Base64, Encoding as _};
use http::{HeaderMap, header};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use smart_city_engine::config::{City, parse_device_id};
use smart_city_frame::{Class, DeviceId};
use tokio::sync::Notify;
use zeroize::Zeroizing;

use crate::{
    agreement::Agreement,
    file::{Kept, to_bytes},
    lock,
    stix::{self, About},
};

/// Incidents that are kept though they are over: those that ended last. The last one of each device is not counted on the [day](DAY) of its end,
/// so that its end is told however many there are.
pub(crate) const MOST: usize = 1000;

pub(crate) const DAY: SignedDuration = SignedDuration::from_hours(24);

/// For how long one is kept when it is over.
pub(crate) const AGE: SignedDuration = SignedDuration::from_hours(30 * 24);

/// The longest signed attestation result that becomes evidence.
const MOST_EVIDENCE: usize = 16_384;

/// Between the times of what is shown together: each object has one of its own.
const STEP: u64 = 16;

const INCIDENTS: &str = "incident";
const DESK: &str = "desk";

/// For the audit log: what happened, in a word, and to whom.
pub type Note = (&'static str, Value);

/// An isolation of an own device.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Incident {
    device: String,
    created: Timestamp,
    /// When it was recovered.
    recovered: Option<Timestamp>,
    evidence: Option<String>,
    shown: BTreeMap<String, Shown>,
}

/// Since when, in microseconds, a city is shown an incident.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Shown {
    isolated: u64,
    /// Its end.
    recovered: Option<u64>,
    /// It is not for the city now. When it is again, it is shown anew: the city may have read beyond it.
    #[serde(default)]
    is_hidden: bool,
}

impl Incident {
    fn is_over(&self) -> bool {
        self.recovered.is_some()
    }

    fn about<'a>(&'a self, city: &'a str) -> About<'a> {
        let (device, created, evidence) = (&*self.device, self.created, self.evidence.as_deref());
        About { city, device, created, evidence }
    }

    /// The cities of which it may be to be decided whether they are shown it.
    fn cities<'a>(&'a self, config: &'a Config) -> impl Iterator<Item = &'a String> {
        config.agreement.readers.keys().chain(self.shown.keys())
    }

    /// Whether each city is shown what is for it.
    fn is_settled(&self, config: &Config) -> bool {
        self.cities(config).all(|city| match (self.shown.get(city), self.is_for(city, config)) {
            // What was over before is past.
            (None, is_for) => !is_for || self.is_over(),
            (Some(shown), false) => shown.is_hidden,
            (Some(shown), true) => !shown.is_hidden && shown.recovered.is_some() == self.is_over(),
        })
    }

    /// Shows each city what is for it; returns to whom something is new.
    fn show(&mut self, config: &Config, book: &mut Book, now: Timestamp) -> BTreeSet<String> {
        let (is_over, mut to) = (self.is_over(), BTreeSet::new());
        for city in self.cities(config).cloned().collect::<BTreeSet<_>>() {
            let is_for = self.is_for(&city, config);
            match self.shown.get_mut(&city) {
                Some(shown) if !is_for => {
                    shown.is_hidden = true;
                    continue;
                }
                Some(Shown { recovered: recovered @ None, is_hidden: false, .. }) if is_over => {
                    *recovered = Some(book.added(now));
                }
                Some(Shown { is_hidden: false, .. }) => continue,
                None if !is_for || is_over => continue,
                _ => {
                    let isolated = book.added(now);
                    let recovered = is_over.then(|| book.added(now));
                    self.shown.insert(city.clone(), Shown { isolated, recovered, is_hidden: false });
                }
            }
            to.insert(city);
        }
        to
    }

    /// Since when a city is shown it; none if it is not.
    fn shown_to(&self, city: &str, config: &Config) -> Option<Shown> {
        let shown = self.shown.get(city).filter(|shown| !shown.is_hidden);
        shown.copied().filter(|_| self.is_for(city, config))
    }

    fn is_for(&self, city: &str, config: &Config) -> bool {
        if let Some(cities) = config.shared_with(&self.device) {
            return cities.contains(city);
        }
        // The device is not there any more: whoever was told of it would take silence for its recovery.
        config.agreement.readers.contains_key(city)
            && self.shown.get(city).is_some_and(|shown| !shown.is_hidden)
    }
}

/// What is in a collection.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// Since when, in microseconds.
    pub(crate) added: u64,
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) version: Timestamp,
    pub(crate) object: Value,
}

impl Entry {
    fn of(added: u64, object: Value) -> Self {
        let text = |name: &str| object[name].as_str().unwrap_or_default();
        let version = ["modified", "created"].iter().find_map(|name| text(name).parse().ok());
        let version = version.unwrap_or_else(|| micros(added));
        Self { added, id: text("id").to_owned(), kind: text("type").to_owned(), version, object }
    }
}

/// A time of so many microseconds since 1970.
pub(crate) fn micros(time: u64) -> Timestamp {
    Timestamp::from_microsecond(i64::try_from(time).unwrap_or(i64::MAX)).unwrap_or(Timestamp::MAX)
}

/// What holds since the files were read last.
#[derive(Debug, Default)]
struct Config {
    home: String,
    agreement: Agreement,
    /// The cities with which a stream of a device is shared, of those that may read. Devices with the same streams have the same.
    shared: BTreeMap<DeviceId, Arc<BTreeSet<String>>>,
}

impl Config {
    /// A stream of this city is shared with all if it is public, and else with its `partners`: as its label says.
    fn of(city: &City, agreement: Agreement) -> Self {
        let shared_by = |number: &u16, partner: &String| {
            city.streams.get(number).is_some_and(|entry| {
                entry.owner == city.home
                    && (entry.stream.class == Class::Public || entry.partners.contains(partner))
            })
        };
        let mut by_streams = BTreeMap::new();
        let shared = city.devices.iter().map(|(id, device)| {
            let gets = |partner: &&String| device.streams.iter().any(|number| shared_by(number, partner));
            let cities = || Arc::new(agreement.readers.keys().filter(gets).cloned().collect());
            (*id, Arc::clone(by_streams.entry(&device.streams).or_insert_with(cities)))
        });
        let shared = shared.collect();
        Self { home: city.home.clone(), agreement, shared }
    }

    /// None if there is no such device.
    fn shared_with(&self, device: &str) -> Option<&BTreeSet<String>> {
        self.shared.get(&parse_device_id(device)?).map(|cities| &**cities)
    }
}

/// What is kept.
#[derive(Clone, Debug, Default)]
struct State {
    incidents: BTreeMap<String, Arc<Incident>>,
    book: Book,
}

/// What of a desk is kept beside its incidents.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Book {
    /// Since when each city has a collection.
    begun: BTreeMap<String, u64>,
    /// The last time at which something was added to a collection.
    last: u64,
    /// Who was told of what, as far as the audit log may not have it yet.
    #[serde(default)]
    told: Vec<Value>,
}

impl Book {
    /// When what comes into a collection now was added, with room for its objects.
    fn added(&mut self, now: Timestamp) -> u64 {
        self.last = u64::try_from(now.as_microsecond()).unwrap_or(0).max(self.last + STEP);
        self.last
    }
}

/// How a city has asked since the start.
#[derive(Clone, Debug, Default)]
struct Asked {
    count: u64,
    last: Option<Timestamp>,
    /// After what it asked last, in microseconds: it has what is before.
    after: Option<u64>,
}

/// Tells partners of isolated devices.
///
/// The engine's thread and requests wait for nobody here: each lock but that of `updates` is held for a moment, and what takes long is made
/// from what was there then.
#[derive(Debug)]
pub struct Desk {
    config: Mutex<Arc<Config>>,
    /// The devices that are isolated now.
    isolated: Mutex<BTreeSet<DeviceId>>,
    state: Mutex<Arc<State>>,
    asked: Mutex<BTreeMap<String, Asked>>,
    /// Who changes the state has it until that is stored.
    updates: Mutex<()>,
    kept: Arc<Kept>,
    /// Something may be to be done.
    pub wake: Notify,
}

impl Desk {
    /// With what is kept.
    ///
    /// # Errors
    /// If that cannot be read.
    pub fn open(kept: Arc<Kept>) -> Result<Self> {
        let book = kept.all(DESK)?.remove("").unwrap_or_default();
        let state = Arc::new(State { incidents: kept.all(INCIDENTS)?, book });
        Ok(Self {
            config: Mutex::default(),
            isolated: Mutex::default(),
            state: Mutex::new(state),
            asked: Mutex::default(),
            updates: Mutex::default(),
            kept,
            wake: Notify::new(),
        })
    }

    fn config(&self) -> Arc<Config> {
        Arc::clone(&lock(&self.config))
    }

    fn state(&self) -> Arc<State> {
        Arc::clone(&lock(&self.state))
    }

    /// From now on these attributes and this agreement hold.
    pub fn configure(&self, city: &City, agreement: Agreement) {
        let config = Arc::new(Config::of(city, agreement));
        *lock(&self.config) = config;
        self.wake.notify_one();
    }

    /// Whether an own device is isolated from now on.
    pub fn isolated(&self, device: DeviceId, is_isolated: bool) {
        let mut isolated = lock(&self.isolated);
        let is_new = if is_isolated { isolated.insert(device) } else { isolated.remove(&device) };
        if is_new {
            self.wake.notify_one();
        }
    }

    /// Isolated devices of which there is no incident yet.
    #[must_use]
    pub fn unreported(&self) -> Vec<DeviceId> {
        let (isolated, state) = (lock(&self.isolated).clone(), self.state());
        let open: BTreeSet<_> = state.open().map(|(_, incident)| &*incident.device).collect();
        isolated.into_iter().filter(|device| !open.contains(&*device.to_string())).collect()
    }

    /// Makes incidents what devices are now, and shows them to those for whom they are; with the signed attestation results of the devices
    /// that are [not reported](Self::unreported) yet. All of it is stored then.
    ///
    /// # Errors
    /// If it cannot be stored. Then nothing has changed.
    pub fn update(&self, evidence: &BTreeMap<DeviceId, Option<String>>, now: Timestamp) -> Result<()> {
        let _turn = lock(&self.updates);
        let (config, isolated, mut next) = (self.config(), lock(&self.isolated).clone(), self.state());
        State::follow(&mut next, &config.home, &isolated, evidence, now);
        State::show(&mut next, &config, now);
        State::forget(&mut next, now);
        self.keep(next)
    }

    /// What is for the audit log: who was told of what. It is kept until it is [recorded](Self::recorded) there.
    #[must_use]
    pub fn notes(&self) -> Vec<Note> {
        self.state().book.told.iter().map(|detail| ("incident told", detail.clone())).collect()
    }

    /// The audit log has these.
    ///
    /// # Errors
    /// If that cannot be stored.
    pub fn recorded(&self, notes: &[Note]) -> Result<()> {
        let _turn = lock(&self.updates);
        let mut next = self.state();
        let is_recorded = |told: &Value| notes.iter().any(|(_, detail)| detail == told);
        if next.book.told.iter().any(is_recorded) {
            Arc::make_mut(&mut next).book.told.retain(|told| !is_recorded(told));
        }
        self.keep(next)
    }

    /// Stores what has changed. Then it holds.
    fn keep(&self, next: Arc<State>) -> Result<()> {
        let before = self.state();
        if Arc::ptr_eq(&before, &next) {
            return Ok(());
        }
        let gone = before.incidents.keys().filter(|id| !next.incidents.contains_key(*id));
        let gone = gone.map(|id| Ok((id.clone(), None)));
        let is_kept = |id: &String, incident: &Arc<Incident>| {
            before.incidents.get(id).is_some_and(|before| Arc::ptr_eq(before, incident))
        };
        let new = next.incidents.iter().filter(|(id, incident)| !is_kept(id, incident));
        let new = new.map(|(id, incident)| Ok((id.clone(), Some(to_bytes(&**incident)?))));
        let incidents = gone.chain(new).collect::<Result<_>>()?;
        let book = BTreeMap::from([(String::new(), Some(to_bytes(&next.book)?))]);
        self.kept.keep(&[(INCIDENTS, incidents), (DESK, book)])?;
        *lock(&self.state) = next;
        Ok(())
    }

    /// Who asks, by the name of a city and its token (HTTP Basic, RFC 7617).
    #[must_use]
    pub fn reader(&self, headers: &HeaderMap) -> Option<String> {
        let given = headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Basic ")?;
        let given = Zeroizing::new(Base64::decode_vec(given.trim()).ok()?);
        let (name, token) = std::str::from_utf8(&given).ok()?.split_once(':')?;
        let hash: [u8; 32] = Sha256::digest(token).into();
        // What the hash of a guess is like helps nobody to the next guess.
        let is_reader = self.config().agreement.readers.get(name) == Some(&hash);
        is_reader.then(|| name.to_owned())
    }

    /// What another city is shown now; none if it has no collection.
    pub(crate) fn collection(&self, partner: &str) -> Option<Collection> {
        let (config, state) = (self.config(), self.state());
        let begun = *state.book.begun.get(partner)?;
        let is_reader = config.agreement.readers.contains_key(partner);
        is_reader.then(|| Collection { partner: partner.to_owned(), begun, config, state })
    }

    /// A city asks, for what was added after a time.
    pub(crate) fn asks(&self, partner: &str, after: Option<u64>) {
        let mut asked = lock(&self.asked);
        let asked = asked.entry(partner.to_owned()).or_default();
        asked.count += 1;
        asked.last = Some(Timestamp::now());
        asked.after = after.or(asked.after);
    }

    /// For who looks how everything is: of each city that may read, how often it has asked, when it did last and after what, and how many
    /// open incidents it is shown.
    #[must_use]
    pub fn status(&self) -> BTreeMap<String, Value> {
        let (config, state, asked) = (self.config(), self.state(), lock(&self.asked).clone());
        let status = config.agreement.readers.keys().map(|city| {
            let open =
                state.open().filter(|(_, incident)| incident.shown_to(city, &config).is_some()).count();
            let Asked { count, last, after } = asked.get(city).cloned().unwrap_or_default();
            let value =
                json!({ "asked": count, "last": last, "added_after": after.map(micros), "open": open });
            (city.clone(), value)
        });
        status.collect()
    }
}

/// What a city is shown at a moment.
#[derive(Debug)]
pub(crate) struct Collection {
    partner: String,
    /// Since when the city has it.
    begun: u64,
    config: Arc<Config>,
    state: Arc<State>,
}

impl Collection {
    /// The own city.
    pub(crate) fn home(&self) -> &str {
        &self.config.home
    }

    /// The objects in their order; without incidents of which nothing was added after a time.
    pub(crate) fn entries(&self, after: Option<u64>) -> Vec<Entry> {
        let mut entries = Vec::new();
        let mut add = |added: u64, objects: Vec<Value>| {
            entries.extend((added..).zip(objects).map(|(added, object)| Entry::of(added, object)));
        };
        add(self.begun, stix::common(self.home()));
        for incident in self.state.incidents.values() {
            let Some(Shown { isolated, recovered, .. }) = incident.shown_to(&self.partner, &self.config)
            else {
                continue;
            };
            if after.is_some_and(|after| recovered.unwrap_or(isolated + STEP) <= after) {
                continue;
            }
            let about = incident.about(self.home());
            let mut objects = about.around();
            objects.push(about.incident(incident.created, false));
            add(isolated, objects);
            if let (Some(added), Some(modified)) = (recovered, incident.recovered) {
                add(added, vec![about.incident(modified, true)]);
            }
        }
        // Observables have no versions: each is there once.
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.added));
        let mut seen = BTreeSet::new();
        entries.retain(|entry| entry.object.get("created").is_some() || seen.insert(entry.id.clone()));
        entries.reverse();
        entries
    }
}

impl State {
    fn open(&self) -> impl Iterator<Item = (&String, &Arc<Incident>)> {
        self.incidents.iter().filter(|(_, incident)| !incident.is_over())
    }

    /// A time for what happens to a device now, which is after all that was said of it before.
    fn time_of(&self, device: &str, now: Timestamp) -> Timestamp {
        let of_device = self.incidents.values().filter(|incident| incident.device == device);
        let last = of_device.map(|incident| incident.recovered.unwrap_or(incident.created)).max();
        let now = now.as_millisecond().max(last.map_or(i64::MIN, |last| last.as_millisecond() + 1));
        Timestamp::from_millisecond(now).unwrap_or(Timestamp::MAX)
    }

    /// Makes incidents what devices are.
    fn follow(
        state: &mut Arc<Self>,
        home: &str,
        isolated: &BTreeSet<DeviceId>,
        evidence: &BTreeMap<DeviceId, Option<String>>,
        now: Timestamp,
    ) {
        let names: BTreeSet<_> = isolated.iter().map(DeviceId::to_string).collect();
        let open = state.open().map(|(id, incident)| (incident.device.clone(), id.clone()));
        let open: BTreeMap<_, _> = open.collect();
        for (device, id) in open.iter().filter(|(device, _)| !names.contains(*device)) {
            let time = state.time_of(device, now);
            if let Some(incident) = Arc::make_mut(state).incidents.get_mut(id) {
                Arc::make_mut(incident).recovered = Some(time);
            }
        }
        for (device, evidence) in evidence {
            let name = device.to_string();
            if !names.contains(&name) || open.contains_key(&name) {
                continue;
            }
            let created = state.time_of(&name, now);
            let id = stix::incident(home, &name, created);
            let evidence = evidence.clone().filter(|evidence| evidence.len() <= MOST_EVIDENCE);
            let incident =
                Incident { device: name, created, recovered: None, evidence, shown: BTreeMap::new() };
            Arc::make_mut(state).incidents.insert(id, Arc::new(incident));
        }
    }

    /// Shows each city what is new for it, and notes that.
    fn show(state: &mut Arc<Self>, config: &Config, now: Timestamp) {
        for city in config.agreement.readers.keys() {
            if !state.book.begun.contains_key(city) {
                let book = &mut Arc::make_mut(state).book;
                let added = book.added(now);
                book.begun.insert(city.clone(), added);
            }
        }
        let due = state.incidents.iter().filter(|(_, incident)| !incident.is_settled(config));
        let due: Vec<_> = due.map(|(id, _)| id.clone()).collect();
        for id in due {
            let Self { incidents, book } = Arc::make_mut(state);
            let Some(incident) = incidents.get_mut(&id).map(Arc::make_mut) else { continue };
            let to = incident.show(config, book, now);
            if !to.is_empty() {
                let state = if incident.is_over() { "recovered" } else { "isolated" };
                book.told
                    .push(json!({ "incident": id, "device": incident.device, "state": state, "to": to }));
            }
        }
    }

    /// Forgets what is over for too long, or is too much.
    fn forget(state: &mut Arc<Self>, now: Timestamp) {
        // What ended far ahead of now did so by a clock that was wrong.
        let is_old = |recovered: Timestamp| now.duration_since(recovered).abs() > AGE;
        let over =
            state.incidents.iter().filter_map(|(id, incident)| Some((incident.recovered?, id, incident)));
        let (old, over): (Vec<_>, Vec<_>) = over.partition(|(recovered, ..)| is_old(*recovered));
        let mut gone: Vec<_> = old.into_iter().map(|(_, id, _)| id.clone()).collect();
        if over.len() > MOST {
            let mut last = BTreeMap::new();
            for incident in state.incidents.values() {
                let last = last.entry(&*incident.device).or_insert(incident.created);
                *last = incident.created.max(*last);
            }
            let is_last = |incident: &Incident| last.get(&*incident.device) == Some(&incident.created);
            let is_of_today = |recovered: Timestamp| now.duration_since(recovered).abs() < DAY;
            let counts = |recovered, incident: &Incident| !is_last(incident) || !is_of_today(recovered);
            let mut past: Vec<_> =
                over.into_iter().filter(|(recovered, _, incident)| counts(*recovered, incident)).collect();
            past.sort_by_key(|(recovered, ..)| *recovered);
            let too_many = past.len().saturating_sub(MOST);
            gone.extend(past.into_iter().take(too_many).map(|(_, id, _)| id.clone()));
        }
        for id in gone {
            Arc::make_mut(state).incidents.remove(&id);
        }
    }
}
