//! What is known, and who may see it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Instant,
};

use jiff::Timestamp;
// Readers have their turn among writers that come one after the other, each with the time that the disk takes.
use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use tokio::sync::Notify;

use crate::{
    attribute::Attributes,
    entity::{Origin, Part, View},
    keep::{Keeper, Key, What},
    mapping::{Mapping, Place, Tls},
    problem::{Kind, Problem, Result},
    push::{AllCounts, Operation, Outcome, Push, Pushed},
    query::{self, Effort},
    subscription::Subscription,
};

/// Who decides what a user may see. It is asked for everything that is answered and notified.
pub trait Policy: Send + Sync + 'static {
    /// Whether `user` may see what comes from this source. There is no user who does not see what it wrote itself.
    fn sees(&self, user: &str, source: Source<'_>) -> bool;

    /// What of a user decides who sees what the user writes, in some form. If it is another one after a start, nothing is there any
    /// more of what the user wrote before.
    fn standing(&self, user: &str) -> String;
}

/// Where something comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source<'s> {
    /// A stream of a device.
    Stream {
        /// The name of the stream.
        stream: &'s str,
        /// The device.
        device: &'s str,
        /// It is not isolated, and was not since this came from it.
        device_ok: bool,
        /// The label that this came with, if it came with one.
        label: Option<&'s str>,
    },
    /// The user who wrote it.
    User(&'s str),
}

/// What a device has measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The name of the stream.
    pub stream: String,
    /// The device.
    pub device: String,
    /// When it came.
    pub time: Timestamp,
    /// Exactly what the device sent.
    pub bytes: Vec<u8>,
}

/// What a reading comes with that was measured elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// What says who may see it: [`Policy`] knows what it means.
    pub text: String,
    /// Nobody sees it from then on.
    pub until: Timestamp,
}

/// Publishes notifications over MQTT.
pub trait Publisher: Send + Sync + 'static {
    /// Whether notifications of this user may go to this topic.
    fn accepts(&self, user: &str, topic: &str) -> bool;

    /// Publishes, and does not wait for anything; false if that is not possible.
    fn publish(&self, user: &str, topic: &str, payload: Vec<u8>) -> bool;
}

/// Nobody sees anything: until there is another policy.
pub(crate) struct Nothing;

impl Policy for Nothing {
    fn sees(&self, _: &str, _: Source<'_>) -> bool {
        false
    }

    fn standing(&self, _: &str) -> String {
        String::new()
    }
}

/// A notification, or a request to another broker, that is to be sent now. Report what became of it to [`Broker::done`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    pub(crate) of: Of,
    /// The entities that changed.
    pub(crate) entities: BTreeSet<String>,
    /// Whose it is.
    pub user: String,
    /// Where it goes.
    pub transport: Transport,
    /// Header fields of HTTP.
    pub headers: Vec<(String, String)>,
    /// What is sent.
    pub body: Vec<u8>,
}

/// What a job is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Of {
    /// A subscription of the user, by its id, and its number.
    Subscription(String, u64),
    /// A push to this place.
    Push(Place, Operation),
}

/// Where a notification goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Over HTTP.
    Http {
        /// Host and port.
        authority: String,
        /// Path and query.
        path: String,
        /// With TLS, if it is.
        tls: Option<Tls>,
    },
    /// To a topic of MQTT.
    Mqtt(String),
}

/// Entities that a user may have written, and the memory of these and of the user's subscriptions, in bytes.
pub(crate) const MOST_ENTITIES: usize = 1000;
pub(crate) const MOST_BYTES: usize = 4 << 20;

/// Entities that readings with labels of one stream make at most: nobody here knows how many devices there are elsewhere.
pub(crate) const MOST_LABELLED: usize = 1000;

/// Subscriptions of a user.
pub(crate) const MOST_SUBSCRIPTIONS: usize = 32;

/// Notifications of one user that may be under way.
const UNDER_WAY: usize = 4;

#[derive(Clone, Copy, Debug, Default)]
struct Account {
    entities: usize,
    bytes: usize,
    /// Subscriptions that were ever made.
    subscriptions: u64,
    under_way: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Isolation {
    /// How often the device was isolated.
    count: u64,
    is_now: bool,
}

/// What a change was.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) id: String,
    pub(crate) origin: Origin,
    /// The part is new.
    pub(crate) is_new: bool,
    /// The attributes that were written, by URI, and whether each is new.
    pub(crate) attributes: BTreeMap<String, bool>,
}

pub(crate) struct State {
    pub(crate) policy: Arc<dyn Policy>,
    pub(crate) mapping: Arc<Mapping>,
    pub(crate) entities: BTreeMap<String, Vec<Part>>,
    accounts: HashMap<String, Account>,
    /// By user and id: the ids of one user tell nothing of those of another.
    pub(crate) subscriptions: BTreeMap<(String, String), Subscription>,
    pushes: Vec<Push>,
    /// Of each stream with labels the entities that have a part of it, by when that ends.
    labelled: BTreeMap<String, BTreeSet<(Timestamp, String)>>,
    /// Subscriptions that were ever made.
    numbers: u64,
    /// What users changed since it was last kept.
    pub(crate) changed: BTreeSet<Key>,
    /// Where it is kept.
    pub(crate) keeper: Option<Box<dyn Keeper>>,
}

/// By stream and device: where a reading comes from, and until when it is seen.
type Waiting = HashMap<(String, String), (Reading, Origin, Option<Timestamp>)>;

/// A context broker. See [the crate](crate).
pub struct Broker {
    pub(crate) publisher: Box<dyn Publisher>,
    /// Those that were ever isolated.
    devices: RwLock<Arc<HashMap<String, Isolation>>>,
    state: RwLock<State>,
    /// The newest reading of each stream and device that was not looked at yet.
    waiting: Mutex<Waiting>,
    /// Devices that were isolated, of which other brokers must have nothing any more.
    isolated: Mutex<BTreeSet<String>>,
    counts: AllCounts,
    pub(crate) wake: Notify,
    /// Why it ends, if it does.
    failed: OnceLock<String>,
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broker").finish_non_exhaustive()
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a user may see at one moment.
pub(crate) struct Sight<'u> {
    policy: Arc<dyn Policy>,
    devices: Arc<HashMap<String, Isolation>>,
    user: &'u str,
}

impl Sight<'_> {
    fn sees(&self, origin: &Origin) -> bool {
        let device_ok = match origin {
            Origin::Stream { device, isolations, .. } => {
                let isolation = self.devices.get(device).copied().unwrap_or_default();
                !isolation.is_now && isolation.count == *isolations
            }
            Origin::User(_) => true,
        };
        self.policy.sees(self.user, origin.source(device_ok))
    }

    fn view<'a>(&self, id: &'a str, parts: &'a [Part]) -> Option<View<'a>> {
        let now = Timestamp::now();
        let is_there = |part: &&Part| part.until.is_none_or(|until| until > now) && self.sees(&part.origin);
        let parts: Vec<_> = parts.iter().filter(is_there).collect();
        (!parts.is_empty()).then_some(View { id, parts })
    }

    /// Of what devices measured here alone.
    fn measured<'a>(&self, id: &'a str, parts: &'a [Part]) -> Option<View<'a>> {
        let is_measured = |part: &&Part| {
            matches!(part.origin, Origin::Stream { label: None, .. }) && self.sees(&part.origin)
        };
        let parts: Vec<_> = parts.iter().filter(is_measured).collect();
        (!parts.is_empty()).then_some(View { id, parts })
    }
}

impl State {
    /// What a user may see now. It is asked for with the state at hand: before, it could be that of a city that is gone.
    pub(crate) fn sight<'u>(&self, broker: &Broker, user: &'u str) -> Sight<'u> {
        Sight { policy: Arc::clone(&self.policy), devices: Arc::clone(&broker.devices.read()), user }
    }

    /// An entity as it is seen; none if there is nothing to be seen of it.
    pub(crate) fn view<'a>(&'a self, sight: &Sight<'_>, id: &str) -> Option<View<'a>> {
        let (id, parts) = self.entities.get_key_value(id)?;
        sight.view(id, parts)
    }

    /// All entities as they are seen, by their ids.
    pub(crate) fn views<'a>(&'a self, sight: &Sight<'_>) -> impl Iterator<Item = View<'a>> {
        self.entities.iter().filter_map(|(id, parts)| sight.view(id, parts))
    }

    /// Whether a reading with a label may make a part of an entity, which ends then. One that is not newer than the part may not: by another way
    /// it may come later.
    fn has_place(&mut self, reading: &Reading, id: &str, until: Timestamp) -> bool {
        let Reading { stream, device, time, .. } = reading;
        let ends = self.labelled.entry(stream.to_owned()).or_default();
        let parts = self.entities.get(id).into_iter().flatten();
        let is_same = |part: &&Part| matches!(&part.origin, Origin::Stream { stream: s, device: d, .. } if (s, d) == (stream, device));
        let before = parts.into_iter().find(is_same);
        if before.is_some_and(|part| part.modified >= *time) {
            return false;
        }
        let had_place =
            before.and_then(|part| part.until).is_some_and(|before| ends.remove(&(before, id.to_owned())));
        (had_place || ends.len() < MOST_LABELLED) && ends.insert((until, id.to_owned()))
    }

    /// Removes what nobody sees any more.
    fn expire(&mut self, now: Timestamp) {
        for ends in self.labelled.values_mut() {
            while let Some((until, id)) = ends.pop_first() {
                if until > now {
                    ends.insert((until, id));
                    break;
                }
                let Some(parts) = self.entities.get_mut(&id) else { continue };
                parts.retain(|part| part.until.is_none_or(|until| until > now));
                if parts.is_empty() {
                    self.entities.remove(&id);
                }
            }
        }
        self.labelled.retain(|_, ends| !ends.is_empty());
    }

    /// Who was removed while the request waited leaves nothing behind.
    pub(crate) fn check_user(&self, user: &str) -> Result<()> {
        if self.policy.sees(user, Source::User(user)) { Ok(()) } else { Err(Problem::not_found()) }
    }

    /// Changes the user's own part of an entity, and tells the subscriptions. `edit` also gets what the user sees of the entity. What
    /// others wrote it cannot change: who sees the one part need not be those who see the other. If it fails, or there is no room,
    /// nothing changes.
    pub(crate) fn change<T>(
        &mut self,
        broker: &Broker,
        user: &str,
        id: &str,
        edit: impl FnOnce(Option<&View<'_>>, &mut Option<Part>) -> Result<T>,
    ) -> Result<T> {
        self.check_user(user)?;
        if !self.mapping.may_write(user, id) {
            return Err(Problem::unsupported(
                "this entity is one account's alone, which writes nothing else",
            ));
        }
        let (sight, origin) = (self.sight(broker, user), Origin::User(user.to_owned()));
        let parts = self.entities.get(id).map_or(&[][..], Vec::as_slice);
        let at = parts.iter().position(|part| part.origin == origin);
        let before = at.map(|at| &parts[at]);
        let mut after = before.cloned();
        let result = edit(sight.view(id, parts).as_ref(), &mut after)?;
        let mut account = self.accounts.get(user).copied().unwrap_or_default();
        if let Some(part) = before {
            account.remove(part);
        }
        if let Some(part) = &after {
            account.entities += 1;
            account.bytes += part.size()?;
        }
        account.check()?;
        let change = after.as_ref().and_then(|part| Change::between(id, before, part));
        self.accounts.insert(user.to_owned(), account);
        let parts = self.entities.entry(id.to_owned()).or_default();
        match (at, after) {
            (Some(at), Some(part)) => parts[at] = part,
            (Some(at), None) => drop(parts.remove(at)),
            (None, after) => parts.extend(after),
        }
        if parts.is_empty() {
            self.entities.remove(id);
        }
        self.changed.insert(Key::new(user, What::Entity, id));
        broker.notice(self, change.as_slice());
        Ok(result)
    }

    /// Puts a user's part of an entity in that was kept.
    pub(crate) fn put_part(&mut self, user: String, id: String, part: Part) -> Result<()> {
        let account = self.accounts.entry(user).or_default();
        account.entities += 1;
        account.bytes += part.size()?;
        self.entities.entry(id).or_default().push(part);
        Ok(())
    }

    /// Puts a subscription in, or in the place of one, if its user has room for it.
    pub(crate) fn put_subscription(&mut self, key: (String, String), mut new: Subscription) -> Result<()> {
        let mut account = self.accounts.get(&key.0).copied().unwrap_or_default();
        match self.subscriptions.get(&key) {
            Some(before) => account.bytes = account.bytes.saturating_sub(before.size()),
            None => {
                self.numbers += 1;
                new.number = self.numbers;
            }
        }
        account.bytes += new.size();
        account.check()?;
        self.accounts.insert(key.0.clone(), account);
        self.changed.insert(Key::new(&key.0, What::Subscription, &key.1));
        self.subscriptions.insert(key, new);
        Ok(())
    }

    pub(crate) fn remove_subscription(&mut self, key: &(String, String)) -> Result<()> {
        let before = self.subscriptions.remove(key).ok_or_else(Problem::not_found)?;
        self.changed.insert(Key::new(&key.0, What::Subscription, &key.1));
        if let Some(account) = self.accounts.get_mut(&key.0) {
            account.bytes = account.bytes.saturating_sub(before.size());
        }
        Ok(())
    }

    /// An id for the next subscription of a user.
    pub(crate) fn next_subscription(&mut self, user: &str) -> String {
        let account = self.accounts.entry(user.to_owned()).or_default();
        loop {
            account.subscriptions += 1;
            let id = format!("urn:ngsi-ld:Subscription:{user}:{}", account.subscriptions);
            // It may be there since before the last start, or have been given by the user.
            if !self.subscriptions.contains_key(&(user.to_owned(), id.clone())) {
                return id;
            }
        }
    }
}

impl Account {
    fn remove(&mut self, part: &Part) {
        self.entities = self.entities.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(part.size().unwrap_or_default());
    }

    fn check(&self) -> Result<()> {
        if self.entities > MOST_ENTITIES || self.bytes > MOST_BYTES {
            return Err(Problem::new(Kind::NoRoom, "the user has no room for more"));
        }
        Ok(())
    }
}

impl Change {
    fn between(id: &str, before: Option<&Part>, after: &Part) -> Option<Self> {
        let is_written = |iri: &String, instances: &Vec<_>| {
            before.and_then(|part| part.attributes.get(iri)).is_none_or(|old| old != instances)
        };
        let written = after.attributes.iter().filter(|(iri, instances)| is_written(iri, instances));
        let is_added = |iri: &String| before.is_none_or(|part| !part.attributes.contains_key(iri));
        let attributes: BTreeMap<_, _> = written.map(|(iri, _)| (iri.clone(), is_added(iri))).collect();
        let change =
            Self { id: id.to_owned(), origin: after.origin.clone(), is_new: before.is_none(), attributes };
        (change.is_new || !change.attributes.is_empty()).then_some(change)
    }
}

impl Broker {
    /// An empty one. Nobody sees anything until it is [configured](Self::configure).
    #[must_use]
    pub fn new(publisher: impl Publisher) -> Self {
        let state = State {
            policy: Arc::new(Nothing),
            mapping: Arc::default(),
            entities: BTreeMap::new(),
            accounts: HashMap::new(),
            subscriptions: BTreeMap::new(),
            pushes: Vec::new(),
            labelled: BTreeMap::new(),
            numbers: 0,
            changed: BTreeSet::new(),
            keeper: None,
        };
        Self {
            publisher: Box::new(publisher),
            devices: RwLock::default(),
            state: RwLock::new(state),
            waiting: Mutex::default(),
            isolated: Mutex::default(),
            counts: AllCounts::default(),
            wake: Notify::new(),
            failed: OnceLock::new(),
        }
    }

    /// Another policy and another mapping hold from now on. In the same step everything is dropped that they would be wrong for: what
    /// comes from sources that do not stay as they were, or that are mapped in another way, and all of users who are not there.
    ///
    /// It waits for the requests that are being answered.
    pub fn configure(&self, policy: impl Policy, mapping: Mapping, stays: impl Fn(Source<'_>) -> bool) {
        let mut state = self.state_mut();
        let before = Arc::clone(&state.mapping);
        let State { entities, accounts, subscriptions, changed, labelled, .. } = &mut *state;
        let keeps = |origin: &Origin| {
            let is_mapped = match origin {
                Origin::Stream { stream, device, .. } => mapping.agrees(&before, stream, device),
                Origin::User(_) => true,
            };
            is_mapped && stays(origin.source(true))
        };
        entities.retain(|id, parts| {
            parts.retain(|part| {
                let may_write = match &part.origin {
                    Origin::User(user) => mapping.may_write(user, id),
                    Origin::Stream { .. } => true,
                };
                let is_kept = may_write && keeps(&part.origin);
                if let Origin::User(user) = &part.origin
                    && !is_kept
                {
                    changed.insert(Key::new(user, What::Entity, id));
                    if let Some(account) = accounts.get_mut(user) {
                        account.remove(part);
                    }
                }
                is_kept
            });
            !parts.is_empty()
        });
        *labelled = BTreeMap::new();
        for (id, part) in entities.iter().flat_map(|(id, parts)| parts.iter().map(move |part| (id, part))) {
            if let (Origin::Stream { stream, .. }, Some(until)) = (&part.origin, part.until) {
                labelled.entry(stream.clone()).or_default().insert((until, id.clone()));
            }
        }
        lock(&self.waiting).retain(|_, (_, origin, _)| keeps(origin));
        accounts.retain(|user, _| policy.sees(user, Source::User(user)));
        subscriptions.retain(|(user, id), _| {
            let is_kept = policy.sees(user, Source::User(user));
            if !is_kept {
                changed.insert(Key::new(user, What::Subscription, id));
            }
            is_kept
        });
        state.policy = Arc::new(policy);
        state.mapping = Arc::new(mapping);
        self.configure_pushes(&mut state);
        // If it cannot be kept, nobody sees anything any more, and the broker ends.
        drop(self.keep(&mut state));
    }

    /// What other brokers must have, or must not have any more, with the policy and the mapping of now.
    fn configure_pushes(&self, state: &mut State) {
        let mut old = std::mem::take(&mut state.pushes);
        let targets = state.mapping.targets.clone();
        for target in targets {
            let before = old.iter().position(|push| push.target.name == target.name);
            let mut push = Push::configured(before.map(|at| old.swap_remove(at)), target);
            let user = push.user.clone();
            let sight = state.sight(self, &user);
            let seen = state.entities.iter().filter(|(id, parts)| sight.measured(id, parts).is_some());
            seen.for_each(|(id, _)| push.notice(id));
            state.pushes.push(push);
        }
        self.counts.set(&state.pushes);
        self.wake.notify_one();
    }

    /// What became of the pushes to other brokers, by their names.
    pub fn pushed(&self) -> Vec<(String, Pushed)> {
        self.counts.read()
    }

    pub(crate) fn mapping(&self) -> Arc<Mapping> {
        Arc::clone(&self.state().mapping)
    }

    /// Takes a reading over, and does not wait for anybody: of each stream and device the newest one is kept until it is looked at.
    pub fn reading(&self, reading: Reading) {
        self.wait(reading, None);
    }

    /// As [`reading`](Self::reading), of one that was measured elsewhere. No other broker gets anything of it.
    pub fn labelled(&self, reading: Reading, label: Label) {
        self.wait(reading, Some(label));
    }

    fn wait(&self, reading: Reading, label: Option<Label>) {
        let Isolation { count: isolations, is_now } =
            self.devices.read().get(&reading.device).copied().unwrap_or_default();
        // Of another city something comes while its device is not believed, too. It would be seen after the recovery.
        if is_now && label.is_some() {
            return;
        }
        let (stream, device) = (reading.stream.clone(), reading.device.clone());
        let key = (stream.clone(), device.clone());
        let (label, until) = label.map(|Label { text, until }| (text, until)).unzip();
        let origin = Origin::Stream { stream, device, isolations, label };
        let mut waiting = lock(&self.waiting);
        let is_newer = |before: &(Reading, Origin, _)| until.is_none() || before.0.time < reading.time;
        if waiting.get(&key).is_none_or(is_newer) {
            waiting.insert(key, (reading, origin, until));
        }
        drop(waiting);
        self.wake.notify_one();
    }

    /// Nothing that came from this device is seen any more, from now on, and nothing that comes until it is recovered.
    pub fn isolate(&self, device: &str) {
        let mut devices = self.devices.write();
        let isolation = Arc::make_mut(&mut devices).entry(device.to_owned()).or_default();
        if isolation.is_now {
            return;
        }
        isolation.count += 1;
        isolation.is_now = true;
        drop(devices);
        lock(&self.isolated).insert(device.to_owned());
        self.wake.notify_one();
    }

    /// What comes from this device from now on is seen. What came before its isolation is not.
    pub fn recover(&self, device: &str) {
        let mut devices = self.devices.write();
        if let Some(isolation) = Arc::make_mut(&mut devices).get_mut(device) {
            isolation.is_now = false;
        }
    }

    /// It ends for this reason.
    pub(crate) fn fail(&self, why: String) {
        drop(self.failed.set(why));
        self.wake.notify_one();
    }

    /// Why it ends, if it does.
    pub(crate) fn failure(&self) -> Option<&String> {
        self.failed.get()
    }

    pub(crate) fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read()
    }

    pub(crate) fn state_mut(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write()
    }

    /// Makes entities of the readings that wait, and takes away what other brokers have of devices that were isolated.
    pub fn work(&self) {
        if lock(&self.waiting).is_empty() && lock(&self.isolated).is_empty() {
            return;
        }
        let mut state = self.state_mut();
        let isolated = std::mem::take(&mut *lock(&self.isolated));
        let State { policy, mapping, pushes, .. } = &mut *state;
        for push in pushes {
            for device in &isolated {
                // Of what the other broker may not have anyway it is not told that it is there.
                let user = &push.user;
                let sees = |stream: &str| {
                    let label = None;
                    policy.sees(user, Source::Stream { stream, device, device_ok: true, label })
                };
                let ids: Vec<_> = mapping.ids(device, sees).collect();
                ids.into_iter().for_each(|id| push.withdraw(id));
            }
        }
        // Not before: in between the city could become another one.
        let waiting = std::mem::take(&mut *lock(&self.waiting));
        let mapping = Arc::clone(&state.mapping);
        for (reading, origin, until) in waiting.into_values() {
            let Reading { stream, device, time, bytes } = &reading;
            if let Some((id, kind, attributes)) = mapping.entity(stream, device, *time, bytes)
                && until.is_none_or(|until| state.has_place(&reading, &id, until))
            {
                self.measured(&mut state, &id, kind, attributes, origin, (*time, until));
            }
        }
    }

    fn measured(
        &self,
        state: &mut State,
        id: &str,
        kind: String,
        attributes: Attributes,
        origin: Origin,
        (time, until): (Timestamp, Option<Timestamp>),
    ) {
        let parts = state.entities.entry(id.to_owned()).or_default();
        let same_source = |part: &Part| match (&part.origin, &origin) {
            (Origin::Stream { stream, device, .. }, Origin::Stream { stream: s, device: d, .. }) => {
                (stream, device) == (s, d)
            }
            _ => false,
        };
        let before = parts.iter().position(same_source).map(|at| parts.swap_remove(at));
        // What came before an isolation is forgotten.
        let before = before.filter(|part| part.origin == origin);
        let mut part = Part {
            origin,
            types: BTreeSet::from([kind]),
            scopes: Vec::new(),
            attributes,
            created: before.as_ref().map_or(time, |part| part.created),
            modified: time,
            until,
        };
        if let Some(before) = &before {
            for (iri, instances) in &mut part.attributes {
                if let Some([old]) = before.attributes.get(iri).map(Vec::as_slice) {
                    instances.iter_mut().for_each(|instance| instance.created = old.created);
                    if instances[0].value == old.value && instances[0].observed_at == old.observed_at {
                        instances[0].modified = old.modified;
                    }
                }
            }
        }
        let change = Change::between(id, before.as_ref(), &part);
        parts.push(part);
        self.notice(state, change.as_slice());
    }

    /// Notes for each subscription which entities it is to notify of.
    fn notice(&self, state: &mut State, changes: &[Change]) {
        if changes.is_empty() || (state.subscriptions.is_empty() && state.pushes.is_empty()) {
            return;
        }
        let mut is_any = false;
        let devices = Arc::clone(&self.devices.read());
        let State { policy, entities, subscriptions, pushes, .. } = state;
        for push in pushes {
            let sight = Sight { policy: Arc::clone(policy), devices: Arc::clone(&devices), user: &push.user };
            let is_measured = |change: &&Change| matches!(change.origin, Origin::Stream { label: None, .. });
            let seen = changes.iter().filter(is_measured).filter(|change| sight.sees(&change.origin));
            let seen: Vec<_> = seen.map(|change| change.id.as_str()).collect();
            is_any |= !seen.is_empty();
            seen.into_iter().for_each(|id| push.notice(id));
        }
        for ((user, _), subscription) in subscriptions {
            let sight = Sight { policy: Arc::clone(policy), devices: Arc::clone(&devices), user };
            for change in changes.iter().filter(|change| sight.sees(&change.origin)) {
                let view = entities.get(&change.id).and_then(|parts| sight.view(&change.id, parts));
                if view.is_some_and(|view| {
                    subscription.watches(change, &view)
                        && subscription.query.selects(&view, &Effort::new(query::FOR_CHANGE))
                }) {
                    is_any = true;
                    subscription.notice(&change.id);
                }
            }
        }
        if is_any {
            self.wake.notify_one();
        }
    }

    /// The notifications that are to be sent now. Each is made of what its user may see now, and not of what it was when it changed.
    pub fn due(&self, now: Instant, time: Timestamp) -> Vec<Job> {
        let mut state = self.state_mut();
        state.expire(time);
        // Nobody sees anything then, and other brokers would lose what they have.
        if self.failure().is_some() {
            return Vec::new();
        }
        let devices = Arc::clone(&self.devices.read());
        let State { policy, mapping, entities, subscriptions, accounts, pushes, .. } = &mut *state;
        let mut jobs = Vec::new();
        for push in pushes {
            let user = push.user.clone();
            let sight = Sight { policy: Arc::clone(policy), devices: Arc::clone(&devices), user: &user };
            jobs.extend(push.job(now, |id| {
                let (id, parts) = entities.get_key_value(id)?;
                sight.measured(id, parts)
            }));
        }
        for ((user, id), subscription) in subscriptions {
            let account = accounts.entry(user.clone()).or_default();
            if account.under_way >= UNDER_WAY || !subscription.is_due(now, time) {
                continue;
            }
            let sight = Sight { policy: Arc::clone(policy), devices: Arc::clone(&devices), user };
            let views = |pending: &BTreeSet<String>, all: bool| -> Vec<View<'_>> {
                if all {
                    entities.iter().filter_map(|(id, parts)| sight.view(id, parts)).collect()
                } else {
                    let each = pending.iter().filter_map(|id| entities.get_key_value(id));
                    each.filter_map(|(id, parts)| sight.view(id, parts)).collect()
                }
            };
            let job = subscription.job(id, mapping, now, time, views);
            account.under_way += usize::from(job.is_some());
            jobs.extend(job);
        }
        jobs
    }

    /// Takes over whether a notification was sent.
    pub fn done(&self, job: &Job, succeeded: bool, now: Instant, time: Timestamp) {
        self.ended(job, if succeeded { Outcome::Taken } else { Outcome::Failed }, now, time);
    }

    /// Takes over what became of a job.
    pub(crate) fn ended(&self, job: &Job, outcome: Outcome, now: Instant, time: Timestamp) {
        let mut state = self.state_mut();
        match &job.of {
            Of::Subscription(id, number) => {
                if let Some(account) = state.accounts.get_mut(&job.user) {
                    account.under_way = account.under_way.saturating_sub(1);
                }
                let key = (job.user.clone(), id.clone());
                if let Some(subscription) =
                    state.subscriptions.get_mut(&key).filter(|of| of.number == *number)
                {
                    subscription.done(
                        if outcome == Outcome::Failed { Err(&job.entities) } else { Ok(()) },
                        now,
                        time,
                    );
                }
            }
            Of::Push(place, operation) => {
                if let Some(push) = state.pushes.iter_mut().find(|push| push.target.place() == *place) {
                    push.done(*operation, job, outcome, now);
                }
            }
        }
        drop(state);
        self.wake.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use http::Request;
    use serde_json::json;

    use super::*;

    struct Open;

    impl Policy for Open {
        fn sees(&self, _: &str, source: Source<'_>) -> bool {
            !matches!(source, Source::Stream { device_ok: false, .. })
        }

        fn standing(&self, _: &str) -> String {
            String::new()
        }
    }

    impl Publisher for Open {
        fn accepts(&self, _: &str, _: &str) -> bool {
            false
        }

        fn publish(&self, _: &str, _: &str, _: Vec<u8>) -> bool {
            false
        }
    }

    /// What a user sees is asked for when the request has its turn, and not before.
    #[test]
    fn a_request_that_waited_does_not_see_what_was_isolated_meanwhile() {
        let broker = Broker::new(Open);
        let mapping = json!({ "streams": { "s": { "model": "TrafficFlowObserved", "properties": { "intensity": { "from": "n" } } } } });
        broker.configure(
            Open,
            Mapping::parse(&mapping, |_| true, |_| true, |_| Err(String::new())).unwrap(),
            |_| true,
        );
        let (stream, device) = ("s".to_owned(), "d".to_owned());
        broker.reading(Reading { stream, device, time: Timestamp::UNIX_EPOCH, bytes: b"{\"n\":1}".to_vec() });
        broker.work();
        let ask = || {
            let uri = "/ngsi-ld/v1/entities/urn:ngsi-ld:TrafficFlowObserved:device:d";
            broker.respond("ann", &Request::get(uri).body(Vec::new()).unwrap()).status().as_u16()
        };
        assert_eq!(ask(), 200);
        std::thread::scope(|scope| {
            let state = broker.state_mut();
            let asked = scope.spawn(ask);
            // Long enough for it to come to the lock; if it does not, the test says less, and does not fail.
            std::thread::sleep(std::time::Duration::from_millis(200));
            broker.isolate("d");
            drop(state);
            assert_eq!(asked.join().unwrap(), 404);
        });
    }
}
