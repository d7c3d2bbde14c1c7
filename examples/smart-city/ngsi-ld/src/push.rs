//! Entities of devices at other brokers, each of which gets what the policy allows it, as a user does.
//!
//! Of each entity the other broker gets the newest state, in one request after the other. What it must not have any more, because a device
//! was isolated or the files have changed, is deleted there. What fails holds up nothing else: deletions and the rest have pauses of their own,
//! after a failure a request has half as many entities, and the next one goes on behind it.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use serde_json::Value;
use smart_city_requests::Pace;

use crate::{
    attribute::{Format, Writer},
    broker::{Job, Of, Transport, lock},
    context::Context,
    entity::View,
    mapping::Target,
};

/// Entities in one request.
const MOST_DATA: usize = 500;

/// The time between two requests to one broker: they must not take the processor from the gateway.
const BETWEEN: Duration = Duration::from_millis(100);

/// Attributes by URI. Most entities have the same.
type Names = Arc<BTreeSet<String>>;

/// What became of a push so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pushed {
    /// Entities that the other broker took; each counts as often as it was sent.
    pub sent: u64,
    /// Entities that were deleted there.
    pub withdrawn: u64,
    /// Requests that it did not take.
    pub failed: u64,
    /// Requests of which it took a part: status 207. What it did not take of them is not sent again before it changes.
    pub partly: u64,
    /// Entities that wait.
    pub waiting: u64,
}

/// The same, for others to read at any time.
#[derive(Debug, Default)]
struct Counts {
    sent: AtomicU64,
    withdrawn: AtomicU64,
    failed: AtomicU64,
    partly: AtomicU64,
    waiting: AtomicU64,
}

/// The counts of all, by name.
#[derive(Debug, Default)]
pub(crate) struct AllCounts(Mutex<Vec<(String, Arc<Counts>)>>);

impl AllCounts {
    pub(crate) fn set(&self, pushes: &[Push]) {
        let all = pushes.iter().map(|push| (push.target.name.clone(), Arc::clone(&push.counts)));
        *lock(&self.0) = all.collect();
    }

    pub(crate) fn read(&self) -> Vec<(String, Pushed)> {
        let read = |counts: &Counts| Pushed {
            sent: counts.sent.load(Relaxed),
            withdrawn: counts.withdrawn.load(Relaxed),
            failed: counts.failed.load(Relaxed),
            partly: counts.partly.load(Relaxed),
            waiting: counts.waiting.load(Relaxed),
        };
        lock(&self.0).iter().map(|(name, counts)| (name.clone(), read(counts))).collect()
    }
}

/// What a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Upsert,
    Delete,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Taken,
    /// Status 207.
    Partly,
    Failed,
}

/// A push, and how far it is.
#[derive(Debug)]
pub(crate) struct Push {
    pub(crate) target: Target,
    /// As whom the policy knows the other broker.
    pub(crate) user: String,
    /// Entities to look at. There are no more of them than there are entities of devices.
    pending: BTreeSet<String>,
    /// Entities that the other broker may have, each with the attributes, by URI, that it may have there.
    there: BTreeMap<String, Names>,
    /// All that are in [`there`](Self::there), and that were.
    names: BTreeSet<Names>,
    upserts: Way,
    deletes: Way,
    /// The last entity of the last request.
    last: String,
    counts: Arc<Counts>,
}

/// How far one of both operations is.
#[derive(Debug)]
struct Way {
    pace: Pace,
    /// Entities in a request: fewer after failures.
    most: usize,
}

impl Default for Way {
    fn default() -> Self {
        Self { pace: Pace::default(), most: MOST_DATA }
    }
}

impl Way {
    fn done(&mut self, is_taken: bool, now: Instant) {
        self.most = if is_taken { (2 * self.most).min(MOST_DATA) } else { (self.most / 2).max(1) };
        self.pace.done(is_taken, now);
    }
}

impl Push {
    pub(crate) fn new(target: Target) -> Self {
        Self {
            user: target.user(),
            target,
            pending: BTreeSet::new(),
            there: BTreeMap::new(),
            names: BTreeSet::new(),
            upserts: Way::default(),
            deletes: Way::default(),
            last: String::new(),
            counts: Arc::default(),
        }
    }

    /// Goes on with what may be another target. At the same place there is what was there; all of it is looked at again.
    pub(crate) fn configured(old: Option<Self>, target: Target) -> Self {
        let is_same = |old: &Self| old.target.place() == target.place();
        let mut push = match old {
            Some(old) if is_same(&old) => Self { target, ..old },
            _ => Self::new(target),
        };
        push.pending.extend(push.there.keys().cloned());
        push
    }

    /// Notes that an entity is to be looked at.
    pub(crate) fn notice(&mut self, id: &str) {
        self.pending.insert(id.to_owned());
    }

    /// Notes that an entity is to be deleted there if it is not to be seen, whether or not it is known to be there.
    pub(crate) fn withdraw(&mut self, id: String) {
        self.there.entry(id.clone()).or_default();
        self.pending.insert(id);
    }

    /// The same names once in memory.
    fn shared(&mut self, names: BTreeSet<String>) -> Names {
        if let Some(names) = self.names.get(&names) {
            return Arc::clone(names);
        }
        let names = Arc::new(names);
        self.names.insert(Arc::clone(&names));
        names
    }

    /// The next request, if there is something to be told.
    pub(crate) fn job<'v>(&mut self, now: Instant, view: impl Fn(&str) -> Option<View<'v>>) -> Option<Job> {
        let ways = [&self.deletes, &self.upserts];
        let [can_delete, can_upsert] = ways.map(|way| way.pace.allows(now));
        if ways.iter().any(|way| way.pace.is_under_way()) || !(can_delete || can_upsert) {
            return None;
        }
        let (gone, data) = self.look(can_delete, &view);
        let (operation, entities, body) = if can_delete && !gone.is_empty() {
            (Operation::Delete, gone.clone(), Value::from(gone))
        } else if can_upsert {
            let (ids, entities): (Vec<_>, Vec<_>) = data.into_iter().unzip();
            for id in &ids {
                // Whatever becomes of the request, it may be there then. It has all the names of before, or it would be gone.
                let names = view(id).iter().flat_map(View::names).map(str::to_owned).collect();
                let names = self.shared(names);
                self.there.insert(id.clone(), names);
            }
            (Operation::Upsert, ids, Value::from(entities))
        } else {
            return None;
        };
        if let Some(last) = entities.last() {
            self.last.clone_from(last);
        }
        let entities: BTreeSet<String> = entities.into_iter().collect();
        for id in &entities {
            self.pending.remove(id);
        }
        self.count_waiting();
        if entities.is_empty() {
            return None;
        }
        self.way(operation).pace.begin();
        let path = match operation {
            Operation::Upsert => "upsert?options=update",
            Operation::Delete => "delete",
        };
        let transport = Transport::Http {
            authority: self.target.authority.clone(),
            path: format!("{}/ngsi-ld/v1/entityOperations/{path}", self.target.path),
            tls: self.target.tls.clone(),
        };
        Some(Job {
            of: Of::Push(self.target.place(), operation),
            entities,
            user: self.user.clone(),
            transport,
            headers: vec![("Content-Type".to_owned(), "application/json".to_owned())],
            body: body.to_string().into_bytes(),
        })
    }

    /// What is to be deleted and what is to be sent next, from behind the last request on. What is neither to be seen nor there is done with.
    fn look<'v>(
        &mut self,
        can_delete: bool,
        view: impl Fn(&str) -> Option<View<'v>>,
    ) -> (Vec<String>, Vec<(String, Value)>) {
        let context = Context::core();
        let writer = Writer { context: &context, format: Format::Normalized, system: false, language: None };
        let (mut gone, mut data, mut done) = (Vec::new(), Vec::new(), Vec::new());
        let behind = self.pending.range::<str, _>((Bound::Excluded(self.last.as_str()), Bound::Unbounded));
        let before = self.pending.range::<str, _>((Bound::Unbounded, Bound::Included(self.last.as_str())));
        for id in behind.chain(before) {
            let seen = view(id);
            let names: BTreeSet<&str> = seen.iter().flat_map(View::names).collect();
            // An upsert takes no attribute away: what has lost one is deleted first.
            let has_lost = |there: &Names| there.iter().any(|name| !names.contains(name.as_str()));
            let is_gone = self.there.get(id).is_some_and(|there| seen.is_none() || has_lost(there));
            match &seen {
                _ if is_gone => gone.push(id.clone()),
                Some(seen) => data.push((id.clone(), seen.to_json(&writer, None))),
                None => done.push(id.clone()),
            }
            if can_delete && gone.len() >= self.deletes.most || data.len() >= self.upserts.most {
                break;
            }
        }
        for id in &done {
            self.pending.remove(id);
        }
        (gone, data)
    }

    /// Takes over what became of a request.
    pub(crate) fn done(&mut self, operation: Operation, job: &Job, outcome: Outcome, now: Instant) {
        let counts = &self.counts;
        let count = job.entities.len() as u64;
        // What was to be deleted and was not there is not there.
        let is_taken = outcome != Outcome::Failed;
        match (operation, is_taken) {
            (Operation::Upsert, true) => drop(counts.sent.fetch_add(count, Relaxed)),
            (Operation::Delete, true) => {
                counts.withdrawn.fetch_add(count, Relaxed);
                job.entities.iter().for_each(|id| drop(self.there.remove(id)));
            }
            (_, false) => drop(counts.failed.fetch_add(1, Relaxed)),
        }
        if (operation, outcome) == (Operation::Upsert, Outcome::Partly) {
            counts.partly.fetch_add(1, Relaxed);
        }
        // What was deleted may be there again, and be seen.
        if !is_taken || operation == Operation::Delete {
            self.pending.extend(job.entities.iter().cloned());
        }
        self.way(operation).done(is_taken, now);
        for way in [&mut self.upserts, &mut self.deletes] {
            way.pace.not_before = way.pace.not_before.max(now.checked_add(BETWEEN));
        }
        self.count_waiting();
    }

    fn way(&mut self, operation: Operation) -> &mut Way {
        match operation {
            Operation::Upsert => &mut self.upserts,
            Operation::Delete => &mut self.deletes,
        }
    }

    fn count_waiting(&self) {
        self.counts.waiting.store(self.pending.len() as u64, Relaxed);
    }
}
