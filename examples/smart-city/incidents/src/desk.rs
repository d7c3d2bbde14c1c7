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
use smart_city_engine::config::City;
use smart_city_frame::{Class, DeviceId};
use tokio::sync::Notify;
use zeroize::Zeroizing;

use crate::{
    agreement::Agreement,
    file::{Kept, to_bytes},
    lock,
    stix::{self, About},
};

/// Incidents that are kept. Of more, those are forgotten first that are over, and the oldest of them first.
pub(crate) const MOST: usize = 1000;

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
    /// Since when, in microseconds, each city is shown it: as an isolation, and then as one that is over.
    shown: BTreeMap<String, (u64, Option<u64>)>,
}

impl Incident {
    fn is_over(&self) -> bool {
        self.recovered.is_some()
    }

    fn about<'a>(&'a self, city: &'a str) -> About<'a> {
        let (device, created, evidence) = (&*self.device, self.created, self.evidence.as_deref());
        About { city, device, created, evidence }
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
    /// The cities with which a stream of a device is shared, of those that may read.
    shared: BTreeMap<DeviceId, BTreeSet<String>>,
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
        let shared = city.devices.iter().map(|(id, device)| {
            let gets = |partner: &&String| device.streams.iter().any(|number| shared_by(number, partner));
            (*id, agreement.readers.keys().filter(gets).cloned().collect())
        });
        let shared = shared.collect();
        Self { home: city.home.clone(), agreement, shared }
    }

    fn is_for(&self, device: &str, partner: &str) -> bool {
        let device = smart_city_engine::config::parse_device_id(device);
        let shared = device.and_then(|device| self.shared.get(&device));
        shared.is_some_and(|cities| cities.contains(partner))
    }
}

#[derive(Debug, Default)]
struct State {
    config: Arc<Config>,
    incidents: BTreeMap<String, Incident>,
    /// The devices that are isolated now.
    isolated: BTreeSet<DeviceId>,
    /// Since when each city has a collection.
    begun: BTreeMap<String, u64>,
    /// The last time at which something was added to a collection.
    last: u64,
    /// How often each city has asked.
    asked: BTreeMap<String, u64>,
}

/// What of a desk is kept beside its incidents.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Begun {
    begun: BTreeMap<String, u64>,
    last: u64,
}

/// Tells partners of isolated devices.
#[derive(Debug)]
pub struct Desk {
    state: Mutex<State>,
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
        let Begun { begun, last } = kept.all(DESK)?.remove("").unwrap_or_default();
        let state = State { incidents: kept.all(INCIDENTS)?, begun, last, ..State::default() };
        Ok(Self { state: Mutex::new(state), kept, wake: Notify::new() })
    }

    /// From now on these attributes and this agreement hold.
    pub fn configure(&self, city: &City, agreement: Agreement) {
        lock(&self.state).config = Arc::new(Config::of(city, agreement));
        self.wake.notify_one();
    }

    /// Whether an own device is isolated from now on.
    pub fn isolated(&self, device: DeviceId, is_isolated: bool) {
        let isolated = &mut lock(&self.state).isolated;
        if is_isolated {
            isolated.insert(device)
        } else {
            isolated.remove(&device)
        };
        self.wake.notify_one();
    }

    /// Isolated devices of which there is no incident yet.
    #[must_use]
    pub fn unreported(&self) -> Vec<DeviceId> {
        let state = lock(&self.state);
        let open: BTreeSet<_> = state.open().map(|(_, incident)| incident.device.clone()).collect();
        state.isolated.iter().filter(|device| !open.contains(&device.to_string())).copied().collect()
    }

    /// Makes incidents what devices are now, shows them to those for whom they are, and returns what is for the audit log; with the signed
    /// attestation results of the devices that are [not reported](Self::unreported) yet. All of it is stored then.
    ///
    /// # Errors
    /// If it cannot be stored. Then nothing has changed.
    pub fn update(&self, evidence: &BTreeMap<DeviceId, Option<String>>, now: Timestamp) -> Result<Vec<Note>> {
        let mut state = lock(&self.state);
        let mut next = State {
            config: Arc::clone(&state.config),
            incidents: state.incidents.clone(),
            isolated: BTreeSet::new(),
            begun: state.begun.clone(),
            last: state.last,
            asked: BTreeMap::new(),
        };
        let mut changed = next.follow(&state.isolated, evidence, now);
        let (shown, notes) = next.show(now);
        changed.extend(shown);
        changed.extend(next.forget(now));
        if changed.is_empty() && (&next.begun, next.last) == (&state.begun, state.last) {
            return Ok(notes);
        }
        let values = changed.into_iter().map(|id| {
            let value = next.incidents.get(&id).map(to_bytes).transpose()?;
            Ok((id, value))
        });
        let begun = to_bytes(&Begun { begun: next.begun.clone(), last: next.last })?;
        let values = values.collect::<Result<_>>()?;
        self.kept.keep(&[(INCIDENTS, values), (DESK, BTreeMap::from([(String::new(), Some(begun))]))])?;
        (state.incidents, state.begun, state.last) = (next.incidents, next.begun, next.last);
        Ok(notes)
    }

    /// Who asks, by the name of a city and its token (HTTP Basic, RFC 7617).
    #[must_use]
    pub fn reader(&self, headers: &HeaderMap) -> Option<String> {
        let given = headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Basic ")?;
        let given = Zeroizing::new(Base64::decode_vec(given.trim()).ok()?);
        let (name, token) = std::str::from_utf8(&given).ok()?.split_once(':')?;
        let hash: [u8; 32] = Sha256::digest(token).into();
        // What the hash of a guess is like helps nobody to the next guess.
        let is_reader = lock(&self.state).config.agreement.readers.get(name) == Some(&hash);
        is_reader.then(|| name.to_owned())
    }

    /// The name of the own city, and the objects in the collection of another one, in their order; without incidents of which nothing was
    /// added after a time.
    pub(crate) fn collection(&self, partner: &str, after: Option<u64>) -> Option<(String, Vec<Entry>)> {
        let mut state = lock(&self.state);
        *state.asked.entry(partner.to_owned()).or_default() += 1;
        let config = Arc::clone(&state.config);
        let begun = *state.begun.get(partner).filter(|_| config.agreement.readers.contains_key(partner))?;
        let mut entries = Vec::new();
        let mut add = |added: u64, objects: Vec<Value>| {
            entries.extend((added..).zip(objects).map(|(added, object)| Entry::of(added, object)));
        };
        add(begun, stix::common(&config.home));
        for incident in state.incidents.values() {
            let Some((isolated, recovered)) = incident.shown.get(partner) else { continue };
            let is_past = after.is_some_and(|after| recovered.unwrap_or(isolated + STEP) <= after);
            if is_past || !config.is_for(&incident.device, partner) {
                continue;
            }
            let about = incident.about(&config.home);
            let mut objects = about.around();
            objects.push(about.incident(incident.created, false));
            add(*isolated, objects);
            if let (Some(added), Some(modified)) = (recovered, incident.recovered) {
                add(*added, vec![about.incident(modified, true)]);
            }
        }
        // Observables have no versions: each is there once.
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.added));
        let mut seen = BTreeSet::new();
        entries.retain(|entry| entry.object.get("created").is_some() || seen.insert(entry.id.clone()));
        entries.reverse();
        Some((config.home.clone(), entries))
    }

    /// For who looks how everything is: of each city that may read, how often it has asked, and how many open incidents it is shown.
    #[must_use]
    pub fn status(&self) -> BTreeMap<String, Value> {
        let state = lock(&self.state);
        let status = state.config.agreement.readers.keys().map(|city| {
            let shown = |incident: &&Incident| {
                incident.shown.contains_key(city) && state.config.is_for(&incident.device, city)
            };
            let open = state.open().map(|(_, incident)| incident).filter(shown).count();
            (city.clone(), json!({ "asked": state.asked.get(city).unwrap_or(&0), "open": open }))
        });
        status.collect()
    }
}

impl State {
    fn open(&self) -> impl Iterator<Item = (&String, &Incident)> {
        self.incidents.iter().filter(|(_, incident)| !incident.is_over())
    }

    /// A time for what happens to a device now, which is after all that was said of it before.
    fn time_of(&self, device: &str, now: Timestamp) -> Timestamp {
        let of_device = self.incidents.values().filter(|incident| incident.device == device);
        let last = of_device.map(|incident| incident.recovered.unwrap_or(incident.created)).max();
        let now = now.as_millisecond().max(last.map_or(i64::MIN, |last| last.as_millisecond() + 1));
        Timestamp::from_millisecond(now).unwrap_or(Timestamp::MAX)
    }

    /// Makes incidents what devices are; returns which have changed.
    fn follow(
        &mut self,
        isolated: &BTreeSet<DeviceId>,
        evidence: &BTreeMap<DeviceId, Option<String>>,
        now: Timestamp,
    ) -> BTreeSet<String> {
        let names: BTreeSet<_> = isolated.iter().map(DeviceId::to_string).collect();
        let over = self.open().filter(|(_, incident)| !names.contains(&incident.device));
        let over: Vec<_> = over.map(|(id, incident)| (id.clone(), incident.device.clone())).collect();
        let mut changed = BTreeSet::new();
        for (id, device) in over {
            let time = self.time_of(&device, now);
            if let Some(incident) = self.incidents.get_mut(&id) {
                incident.recovered = Some(time);
            }
            changed.insert(id);
        }
        for device in isolated {
            let (name, Some(evidence)) = (device.to_string(), evidence.get(device)) else { continue };
            if self.open().any(|(_, incident)| incident.device == name) {
                continue;
            }
            let created = self.time_of(&name, now);
            let id = stix::incident(&self.config.home, &name, created);
            let evidence = evidence.clone().filter(|evidence| evidence.len() <= MOST_EVIDENCE);
            let incident =
                Incident { device: name, created, recovered: None, evidence, shown: BTreeMap::new() };
            self.incidents.insert(id.clone(), incident);
            changed.insert(id);
        }
        changed
    }

    /// Shows each what is new for it; returns which incidents are, and notes of it.
    fn show(&mut self, now: Timestamp) -> (BTreeSet<String>, Vec<Note>) {
        let config = Arc::clone(&self.config);
        let mut last = self.last;
        let mut added = || {
            last = u64::try_from(now.as_microsecond()).unwrap_or(0).max(last + STEP);
            last
        };
        for city in config.agreement.readers.keys() {
            if !self.begun.contains_key(city) {
                self.begun.insert(city.clone(), added());
            }
        }
        let (mut changed, mut notes) = (BTreeSet::new(), Vec::new());
        for (id, incident) in &mut self.incidents {
            let mut to = BTreeSet::new();
            for city in config.agreement.readers.keys() {
                if !config.is_for(&incident.device, city) {
                    continue;
                }
                match incident.shown.get_mut(city) {
                    // What was over before is past.
                    None if incident.recovered.is_none() => {
                        incident.shown.insert(city.clone(), (added(), None));
                        to.insert(city.clone());
                    }
                    Some((_, over @ None)) if incident.recovered.is_some() => {
                        *over = Some(added());
                        to.insert(city.clone());
                    }
                    _ => {}
                }
            }
            if !to.is_empty() {
                let state = if incident.recovered.is_some() { "recovered" } else { "isolated" };
                let detail = json!({ "incident": id, "device": incident.device, "state": state, "to": to });
                notes.push(("incident told", detail));
                changed.insert(id.clone());
            }
        }
        self.last = last;
        (changed, notes)
    }

    /// Forgets what is too old or too much; returns which incidents.
    fn forget(&mut self, now: Timestamp) -> BTreeSet<String> {
        let is_old = |incident: &Incident| {
            incident.recovered.is_some_and(|recovered| now.duration_since(recovered) > AGE)
        };
        let mut gone: BTreeSet<_> = self
            .incidents
            .iter()
            .filter(|(_, incident)| is_old(incident))
            .map(|(id, _)| id.clone())
            .collect();
        let left = self.incidents.iter().filter(|(id, _)| !gone.contains(*id));
        let mut left: Vec<_> =
            left.map(|(id, incident)| (!incident.is_over(), incident.created, id.clone())).collect();
        left.sort();
        let too_many = left.len().saturating_sub(MOST);
        gone.extend(left.into_iter().take(too_many).map(|(_, _, id)| id));
        self.incidents.retain(|id, _| !gone.contains(id));
        gone
    }
}
