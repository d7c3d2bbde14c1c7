//! What is known, and who may see it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard},
    time::Instant,
};

use jiff::Timestamp;
use tokio::sync::Notify;

use crate::{
    attribute::Attributes,
    entity::{Origin, Part, View},
    mapping::Mapping,
    problem::{Kind, Problem, Result},
    subscription::Subscription,
};

/// Who decides what a user may see. It is asked for everything that is answered and notified.
pub trait Policy: Send + Sync + 'static {
    /// Whether `user` may see what comes from this source.
    fn sees(&self, user: &str, source: Source<'_>) -> bool;
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

/// Publishes notifications over MQTT.
pub trait Publisher: Send + Sync + 'static {
    /// Whether notifications of this user may go to this topic.
    fn accepts(&self, user: &str, topic: &str) -> bool;

    /// Publishes, and does not wait for anything; false if that is not possible.
    fn publish(&self, user: &str, topic: &str, payload: Vec<u8>) -> bool;
}

/// There is no MQTT.
#[derive(Clone, Copy, Debug)]
pub struct NoPublisher;

impl Publisher for NoPublisher {
    fn accepts(&self, _: &str, _: &str) -> bool {
        false
    }

    fn publish(&self, _: &str, _: &str, _: Vec<u8>) -> bool {
        false
    }
}

/// A notification that is to be sent now. Report what became of it to [`Broker::done`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    pub(crate) subscription: String,
    /// Whose it is.
    pub user: String,
    /// Where it goes.
    pub transport: Transport,
    /// Header fields of HTTP.
    pub headers: Vec<(String, String)>,
    /// What is sent.
    pub body: Vec<u8>,
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
    },
    /// To a topic of MQTT.
    Mqtt(String),
}

/// Entities that a user may have written, and their memory, in bytes.
pub(crate) const MOST_ENTITIES: usize = 1000;
pub(crate) const MOST_BYTES: usize = 4 << 20;

/// Subscriptions of a user.
pub(crate) const MOST_SUBSCRIPTIONS: usize = 32;

/// Notifications of one user that may be under way.
const UNDER_WAY: usize = 4;

#[derive(Debug, Default)]
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

#[derive(Debug, Default)]
pub(crate) struct State {
    entities: BTreeMap<String, Vec<Part>>,
    accounts: HashMap<String, Account>,
    /// By user and id: the ids of one user tell nothing of those of another.
    pub(crate) subscriptions: BTreeMap<(String, String), Subscription>,
}

/// A context broker. See [the crate](crate).
pub struct Broker {
    policy: Box<dyn Policy>,
    pub(crate) publisher: Box<dyn Publisher>,
    mapping: RwLock<Arc<Mapping>>,
    /// Those that were ever isolated.
    devices: RwLock<Arc<HashMap<String, Isolation>>>,
    state: RwLock<State>,
    /// The newest reading of each stream and device that was not looked at yet, and how often the device had been isolated.
    waiting: Mutex<HashMap<(String, String), (Reading, u64)>>,
    pub(crate) wake: Notify,
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broker").finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

/// What a user may see at one moment.
pub(crate) struct Sight<'b> {
    policy: &'b dyn Policy,
    devices: Arc<HashMap<String, Isolation>>,
    user: &'b str,
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
        let parts: Vec<_> = parts.iter().filter(|part| self.sees(&part.origin)).collect();
        (!parts.is_empty()).then_some(View { id, parts })
    }
}

impl State {
    /// An entity as it is seen; none if there is nothing to be seen of it.
    pub(crate) fn view<'a>(&'a self, sight: &Sight<'_>, id: &str) -> Option<View<'a>> {
        let (id, parts) = self.entities.get_key_value(id)?;
        sight.view(id, parts)
    }

    /// All entities as they are seen, by their ids.
    pub(crate) fn views<'a>(&'a self, sight: &Sight<'_>) -> impl Iterator<Item = View<'a>> {
        self.entities.iter().filter_map(|(id, parts)| sight.view(id, parts))
    }

    /// Takes the parts of an entity that are seen, for a change.
    fn take(&mut self, sight: &Sight<'_>, id: &str) -> Vec<Part> {
        let Some(parts) = self.entities.remove(id) else { return Vec::new() };
        let (seen, hidden): (Vec<_>, Vec<_>) = parts.into_iter().partition(|part| sight.sees(&part.origin));
        if !hidden.is_empty() {
            self.entities.insert(id.to_owned(), hidden);
        }
        seen
    }

    /// What the parts that these users wrote take.
    fn count(&mut self, parts: &[Part], adds: bool) {
        for part in parts {
            if let Origin::User(user) = &part.origin {
                let account = self.accounts.entry(user.clone()).or_default();
                let size = part.size().unwrap_or_default();
                if adds {
                    account.entities += 1;
                    account.bytes += size;
                } else {
                    account.entities = account.entities.saturating_sub(1);
                    account.bytes = account.bytes.saturating_sub(size);
                }
            }
        }
    }

    fn has_room(&self, parts: &[Part]) -> Result<()> {
        for part in parts {
            part.size()?;
            if let Origin::User(user) = &part.origin
                && let Some(account) = self.accounts.get(user)
                && (account.entities > MOST_ENTITIES || account.bytes > MOST_BYTES)
            {
                return Err(Problem::new(Kind::NoRoom, "the author of this entity has no room for more"));
            }
        }
        Ok(())
    }

    /// Changes what `sight` sees of an entity, and tells the subscriptions. If `edit` fails, or there is no room, nothing changes.
    pub(crate) fn change<T>(
        &mut self,
        broker: &Broker,
        sight: &Sight<'_>,
        id: &str,
        edit: impl FnOnce(&mut Vec<Part>) -> Result<T>,
    ) -> Result<T> {
        let before = self.take(sight, id);
        self.count(&before, false);
        let mut after = before.clone();
        let result = edit(&mut after).and_then(|result| {
            self.count(&after, true);
            self.has_room(&after).map(|()| result).inspect_err(|_| self.count(&after, false))
        });
        let now_there = if result.is_ok() { after } else { before.clone() };
        if result.is_err() {
            self.count(&before, true);
        }
        let changes: Vec<_> =
            now_there.iter().filter_map(|part| Change::between(id, &before, part)).collect();
        if !now_there.is_empty() {
            self.entities.entry(id.to_owned()).or_default().extend(now_there);
        }
        broker.notice(self, &changes);
        result
    }

    /// A number for the next subscription of a user.
    pub(crate) fn next_subscription(&mut self, user: &str) -> u64 {
        let account = self.accounts.entry(user.to_owned()).or_default();
        account.subscriptions += 1;
        account.subscriptions
    }
}

impl Change {
    fn between(id: &str, before: &[Part], after: &Part) -> Option<Self> {
        let before = before.iter().find(|part| part.origin == after.origin);
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
    /// An empty one, which makes entities of no reading until it is [configured](Self::configure).
    #[must_use]
    pub fn new(policy: impl Policy, publisher: impl Publisher) -> Self {
        Self {
            policy: Box::new(policy),
            publisher: Box::new(publisher),
            mapping: RwLock::default(),
            devices: RwLock::default(),
            state: RwLock::default(),
            waiting: Mutex::default(),
            wake: Notify::new(),
        }
    }

    /// Another mapping holds from now on, for what is measured from now on.
    pub fn configure(&self, mapping: Mapping) {
        *self.mapping.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(mapping);
    }

    pub(crate) fn mapping(&self) -> Arc<Mapping> {
        Arc::clone(&read(&self.mapping))
    }

    /// Takes a reading over, and does not wait for anybody: of each stream and device the newest one is kept until it is looked at.
    pub fn reading(&self, reading: Reading) {
        if read(&self.mapping).has(&reading.stream) {
            let isolation = read(&self.devices).get(&reading.device).copied().unwrap_or_default();
            let key = (reading.stream.clone(), reading.device.clone());
            lock(&self.waiting).insert(key, (reading, isolation.count));
            self.wake.notify_one();
        }
    }

    /// Nothing that came from this device is seen any more, from now on, and nothing that comes until it is recovered.
    pub fn isolate(&self, device: &str) {
        let mut devices = self.devices.write().unwrap_or_else(PoisonError::into_inner);
        let isolation = Arc::make_mut(&mut devices).entry(device.to_owned()).or_default();
        isolation.count += u64::from(!isolation.is_now);
        isolation.is_now = true;
    }

    /// What comes from this device from now on is seen. What came before its isolation is not.
    pub fn recover(&self, device: &str) {
        let mut devices = self.devices.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(isolation) = Arc::make_mut(&mut devices).get_mut(device) {
            isolation.is_now = false;
        }
    }

    pub(crate) fn sight<'b>(&'b self, user: &'b str) -> Sight<'b> {
        Sight { policy: &*self.policy, devices: Arc::clone(&read(&self.devices)), user }
    }

    pub(crate) fn state(&self) -> RwLockReadGuard<'_, State> {
        read(&self.state)
    }

    pub(crate) fn state_mut(&self) -> std::sync::RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes entities of the readings that wait.
    pub fn work(&self) {
        let waiting = std::mem::take(&mut *lock(&self.waiting));
        if waiting.is_empty() {
            return;
        }
        let mapping = self.mapping();
        let mut state = self.state_mut();
        for ((stream, device), (reading, isolations)) in waiting {
            let entity = mapping.entity(&stream, &device, reading.time, &reading.bytes);
            if let Some((id, kind, attributes)) = entity {
                let origin = Origin::Stream { stream, device, isolations };
                self.measured(&mut state, &id, kind, attributes, origin, reading.time);
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
        time: Timestamp,
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
        let before: Vec<Part> = before.into_iter().filter(|part| part.origin == origin).collect();
        let mut part = Part {
            origin,
            types: BTreeSet::from([kind]),
            scopes: Vec::new(),
            attributes,
            created: before.first().map_or(time, |part| part.created),
            modified: time,
        };
        if let Some(before) = before.first() {
            for (iri, instances) in &mut part.attributes {
                if let Some([old]) = before.attributes.get(iri).map(Vec::as_slice) {
                    instances.iter_mut().for_each(|instance| instance.created = old.created);
                    if instances[0].value == old.value && instances[0].observed_at == old.observed_at {
                        instances[0].modified = old.modified;
                    }
                }
            }
        }
        let change = Change::between(id, &before, &part);
        parts.push(part);
        self.notice(state, change.as_slice());
    }

    /// Notes for each subscription which entities it is to notify of.
    fn notice(&self, state: &mut State, changes: &[Change]) {
        if changes.is_empty() || state.subscriptions.is_empty() {
            return;
        }
        let mut is_any = false;
        let State { entities, subscriptions, .. } = state;
        for ((user, _), subscription) in subscriptions {
            let sight = self.sight(user);
            let mut noticed = Vec::new();
            for change in changes.iter().filter(|change| subscription.watches(change)) {
                let view = entities.get(&change.id).and_then(|parts| {
                    if sight.sees(&change.origin) { sight.view(&change.id, parts) } else { None }
                });
                if view.is_some_and(|view| subscription.query.selects(&view)) {
                    noticed.push(change.id.clone());
                }
            }
            is_any |= !noticed.is_empty();
            noticed.into_iter().for_each(|id| subscription.notice(id));
        }
        if is_any {
            self.wake.notify_one();
        }
    }

    /// The notifications that are to be sent now. Each is made of what its user may see now, and not of what it was when it changed.
    pub fn due(&self, now: Instant, time: Timestamp) -> Vec<Job> {
        let mapping = self.mapping();
        let mut state = self.state_mut();
        let State { entities, subscriptions, accounts } = &mut *state;
        let mut jobs = Vec::new();
        for ((user, id), subscription) in subscriptions {
            let account = accounts.entry(user.clone()).or_default();
            if account.under_way >= UNDER_WAY || !subscription.is_due(now, time) {
                continue;
            }
            let sight = self.sight(user);
            let views = |pending: &BTreeSet<String>, all: bool| -> Vec<View<'_>> {
                if all {
                    entities.iter().filter_map(|(id, parts)| sight.view(id, parts)).collect()
                } else {
                    let each = pending.iter().filter_map(|id| entities.get_key_value(id));
                    each.filter_map(|(id, parts)| sight.view(id, parts)).collect()
                }
            };
            let job = subscription.job(id, &mapping, now, time, views);
            account.under_way += usize::from(job.is_some());
            jobs.extend(job);
        }
        jobs
    }

    /// Takes over what became of a notification.
    pub fn done(&self, job: &Job, succeeded: bool, now: Instant, time: Timestamp) {
        let mut state = self.state_mut();
        if let Some(account) = state.accounts.get_mut(&job.user) {
            account.under_way = account.under_way.saturating_sub(1);
        }
        if let Some(subscription) = state.subscriptions.get_mut(&(job.user.clone(), job.subscription.clone()))
        {
            subscription.done(succeeded, now, time);
        }
        drop(state);
        self.wake.notify_one();
    }
}
