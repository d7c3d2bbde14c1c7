//! What other cities have told of their devices.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use anyhow::Result;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use smart_city_engine::{
    config::parse_device_id,
    distrust::{Doubt, Doubts},
};
use smart_city_requests::Pace;
use tokio::sync::{Notify, watch};

use crate::{
    agreement::{Agreement, Source, Trust},
    desk::Note,
    file::{Kept, to_bytes},
    lock,
    stix::{Told, identity},
};

/// Devices of one city of which something is known. Of more, those that are isolated no more are forgotten, the oldest first.
pub(crate) const MOST: usize = 1000;

/// How far ahead of the own clock times of another city may be.
const AHEAD: SignedDuration = SignedDuration::from_hours(24);

/// Changes of a city that are taken at once, and how long each takes to be free again: each is a record of the audit log.
const CHANGES: (u32, Duration) = (64, Duration::from_secs(1));

/// How often the audit log is told of what is refused, by city.
const SUMMARY: Duration = Duration::from_secs(60);

/// How long after an answer a city is asked again.
pub(crate) const EVERY: Duration = Duration::from_secs(2);

const REPORTS: &str = "report";
const POSITIONS: &str = "position";

/// The newest that a city has said of a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Report {
    incident: String,
    modified: Timestamp,
    is_over: bool,
}

/// Why an object counts nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Refusal {
    /// It is no incident of a device.
    NotUnderstood,
    /// It is another city's, or about another city's device.
    WrongCity,
    /// It is older than what is known.
    Old,
    /// Its time is more than a day ahead.
    Future,
    /// So many devices of the city are isolated already.
    TooMany,
}

/// How it is with a city.
#[derive(Debug, Default)]
struct Standing {
    pace: Pace,
    /// Answers that were understood, and requests without one.
    answers: u64,
    failed: u64,
    /// Why there is none, since the last answer.
    why: Option<String>,
    refused: BTreeMap<Refusal, u64>,
    /// Those of which the audit log knows nothing yet, and when it was told last.
    untold: BTreeMap<Refusal, u64>,
    told: Option<Instant>,
    /// Changes that may be taken, as of a time.
    free: Option<(f64, Instant)>,
}

impl Standing {
    fn take(&mut self, now: Instant) -> bool {
        let (most, each) = (f64::from(CHANGES.0), CHANGES.1.as_secs_f64());
        let free = self.free.map_or(most, |(free, then)| {
            (free + now.saturating_duration_since(then).as_secs_f64() / each).min(most)
        });
        let takes = free >= 1.0;
        self.free = Some((free - if takes { 1.0 } else { 0.0 }, now));
        takes
    }
}

/// A city's device.
type Of = (String, String);

#[derive(Debug, Default)]
struct State {
    home: String,
    agreement: Agreement,
    reports: BTreeMap<Of, Report>,
    /// Up to when the collection of a city is read, by city and collection.
    positions: BTreeMap<Of, Timestamp>,
    standings: BTreeMap<String, Standing>,
}

/// What is to be asked.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) city: String,
    pub(crate) home: String,
    pub(crate) source: Arc<Source>,
    pub(crate) after: Option<Timestamp>,
}

/// What an answer has brought.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) objects: Vec<Value>,
    /// When the last one was added there.
    pub(crate) last: Option<Timestamp>,
    /// There is more, under this name.
    pub(crate) next: Option<String>,
}

/// What other cities have told of their devices.
#[derive(Debug)]
pub struct Reports {
    state: Mutex<State>,
    kept: Arc<Kept>,
    doubts: watch::Sender<Doubts>,
    notes: Mutex<Vec<Note>>,
    pub(crate) failed: Notify,
}

fn key((first, second): &Of) -> String {
    format!("{first}\n{second}")
}

fn of_key<T>(all: BTreeMap<String, T>) -> BTreeMap<Of, T> {
    let split = |(key, value): (String, T)| {
        let (first, second) = key.split_once('\n')?;
        Some(((first.to_owned(), second.to_owned()), value))
    };
    all.into_iter().filter_map(split).collect()
}

impl Reports {
    /// With what is kept.
    ///
    /// # Errors
    /// If that cannot be read.
    pub fn open(kept: Arc<Kept>) -> Result<Self> {
        let (reports, positions) = (of_key(kept.all(REPORTS)?), of_key(kept.all(POSITIONS)?));
        let state = State { reports, positions, ..State::default() };
        Ok(Self {
            state: Mutex::new(state),
            kept,
            doubts: watch::Sender::default(),
            notes: Mutex::default(),
            failed: Notify::new(),
        })
    }

    /// From now on this agreement holds. What a city has told with which there is none any more counts nothing, and is kept for when there is
    /// one again.
    pub fn configure(&self, home: &str, agreement: Agreement) {
        let mut state = lock(&self.state);
        home.clone_into(&mut state.home);
        let before = std::mem::replace(&mut state.agreement, agreement);
        let State { agreement, standings, .. } = &mut *state;
        standings.retain(|city, _| agreement.sources.contains_key(city));
        for (city, source) in &agreement.sources {
            let standing = standings.entry(city.clone()).or_default();
            // What failed by another agreement may work by this one.
            if before.sources.get(city).is_none_or(|before| !before.is_as(source)) {
                standing.pace = Pace::default();
            }
        }
        self.publish(&state);
    }

    /// The devices that are not believed, by the own policy, from time to time.
    #[must_use]
    pub fn doubts(&self) -> watch::Receiver<Doubts> {
        self.doubts.subscribe()
    }

    /// What is for the audit log.
    pub fn notes(&self, now: Instant) -> Vec<Note> {
        let mut notes = std::mem::take(&mut *lock(&self.notes));
        for (city, standing) in &mut lock(&self.state).standings {
            let is_due = standing.told.is_none_or(|told| now.saturating_duration_since(told) >= SUMMARY);
            if !standing.untold.is_empty() && is_due {
                standing.told = Some(now);
                let refused = std::mem::take(&mut standing.untold);
                notes.push(("incidents refused", json!({ "city": city, "refused": refused })));
            }
        }
        notes
    }

    /// For who looks how everything is: of each city that is asked, how that goes, and how many of its devices are isolated.
    #[must_use]
    pub fn status(&self) -> BTreeMap<String, Value> {
        let state = lock(&self.state);
        let status = state.standings.iter().map(|(city, standing)| {
            let Standing { answers, failed, why, refused, .. } = standing;
            let open = state.of(city).filter(|(_, report)| !report.is_over).count();
            let value = json!({
                "answers": answers, "failed": failed, "failing": why, "refused": refused, "isolated": open,
            });
            (city.clone(), value)
        });
        status.collect()
    }

    /// Waits until something cannot be stored: from then on nothing can, until the gateway is started again.
    pub async fn failed(&self) {
        self.failed.notified().await;
    }

    /// The cities that are to be asked now. Each is under way then, until it is [done](Self::done).
    pub(crate) fn due(&self, now: Instant) -> Vec<Job> {
        let mut state = lock(&self.state);
        let State { home, agreement, positions, standings, .. } = &mut *state;
        let due = standings.iter_mut().filter(|(_, standing)| standing.pace.allows(now));
        let job = |(city, standing): (&String, &mut Standing)| {
            let source = Arc::clone(agreement.sources.get(city)?);
            standing.pace.begin();
            let after = positions.get(&(city.clone(), source.collection())).copied();
            Some(Job { city: city.clone(), home: home.clone(), source, after })
        };
        due.filter_map(job).collect()
    }

    /// Takes over an answer. Returns whether to go on: not if it was by an agreement that holds no more, or brought too much at once.
    ///
    /// # Errors
    /// If it cannot be stored. Then nothing of it counts.
    pub(crate) fn take(&self, job: &Job, page: &Page, now: Timestamp, clock: Instant) -> Result<bool> {
        let mut state = lock(&self.state);
        let state = &mut *state;
        let holds = |source: &Arc<Source>| Arc::ptr_eq(source, &job.source);
        if !state.agreement.sources.get(&job.city).is_some_and(holds) {
            return Ok(false);
        }
        let mut standing = state.standings.remove(&job.city).unwrap_or_default();
        let mut next: BTreeMap<Of, Report> =
            state.of(&job.city).map(|(of, report)| (of.clone(), report.clone())).collect();
        let before = next.clone();
        let (mut notes, mut is_whole) = (Vec::new(), true);
        for object in page.objects.iter().filter(|object| object["type"] == "incident") {
            match judge(&job.city, object, &next, now) {
                Ok(None) => {}
                Ok(Some(_)) if !standing.take(clock) => {
                    // It comes again.
                    is_whole = false;
                    break;
                }
                Ok(Some((of, report))) => {
                    let state = if report.is_over { "recovered" } else { "isolated" };
                    let detail =
                        json!({ "city": of.0, "device": of.1, "incident": report.incident, "state": state });
                    notes.push(("incident learned", detail));
                    next.insert(of, report);
                }
                Err(refusal) => {
                    for counts in [&mut standing.refused, &mut standing.untold] {
                        *counts.entry(refusal).or_default() += 1;
                    }
                }
            }
        }
        forget(&mut next);
        state.standings.insert(job.city.clone(), standing);
        let gone = before.keys().filter(|of| !next.contains_key(*of)).map(|of| Ok((key(of), None)));
        let new = next.iter().filter(|(of, report)| before.get(*of) != Some(*report));
        let new = new.map(|(of, report)| Ok((key(of), Some(to_bytes(report)?))));
        let reports: BTreeMap<_, _> = gone.chain(new).collect::<Result<_>>()?;
        let at = (job.city.clone(), job.source.collection());
        // A position that is far ahead would skip what comes.
        let last =
            page.last.filter(|last| is_whole && now.checked_add(AHEAD).is_ok_and(|most| *last <= most));
        let last = last.filter(|last| state.positions.get(&at).is_none_or(|before| before < last));
        let positions = last.map(|last| Ok((key(&at), Some(to_bytes(&last)?)))).into_iter();
        let positions: BTreeMap<_, _> = positions.collect::<Result<_>>()?;
        if !(reports.is_empty() && positions.is_empty())
            && let Err(error) = self.kept.keep(&[(REPORTS, reports), (POSITIONS, positions)])
        {
            self.failed.notify_one();
            return Err(error);
        }
        state.reports.retain(|(city, _), _| *city != job.city);
        state.reports.append(&mut next);
        if let Some(last) = last {
            state.positions.insert(at, last);
        }
        lock(&self.notes).append(&mut notes);
        self.publish(state);
        Ok(is_whole)
    }

    /// How a request ended. Returns whether it is the first time after another end.
    pub(crate) fn done(&self, city: &str, ended: Result<(), String>, now: Instant) -> bool {
        let mut state = lock(&self.state);
        let Some(standing) = state.standings.get_mut(city) else { return false };
        standing.pace.done(ended.is_ok(), now);
        standing.pace.not_before = now.checked_add(EVERY);
        let was_failing = standing.why.is_some();
        *(if ended.is_ok() { &mut standing.answers } else { &mut standing.failed }) += 1;
        standing.why = ended.err();
        was_failing != standing.why.is_some()
    }

    fn publish(&self, state: &State) {
        let mut doubts = Doubts::new();
        for ((city, device), report) in &state.reports {
            let source = state.agreement.sources.get(city).filter(|source| source.trust != Trust::Ignore);
            if let (Some(source), Some(device), false) = (source, parse_device_id(device), report.is_over) {
                let is_held = source.trust == Trust::Hold;
                doubts.insert((city.clone(), device), Doubt { incident: report.incident.clone(), is_held });
            }
        }
        self.doubts.send_if_modified(|before| {
            let changes = *before != doubts;
            *before = doubts;
            changes
        });
    }
}

impl State {
    fn of(&self, city: &str) -> impl Iterator<Item = (&Of, &Report)> {
        self.reports.iter().filter(move |((of, _), _)| of == city)
    }
}

/// What an incident says that is new, and of which device; none if it is known.
fn judge(
    city: &str,
    object: &Value,
    known: &BTreeMap<Of, Report>,
    now: Timestamp,
) -> Result<Option<(Of, Report)>, Refusal> {
    let Told { incident, by, modified, about, is_over } = Told::of(object).ok_or(Refusal::NotUnderstood)?;
    if by != identity(city) {
        return Err(Refusal::WrongCity);
    }
    let device = match about {
        Some((of, device)) if of == city => device,
        Some(_) => return Err(Refusal::WrongCity),
        // It may be revoked with no more than its id.
        None => {
            let mut same = known.iter().filter(|(_, report)| report.incident == incident);
            let ((_, device), _) = same.next().ok_or(Refusal::NotUnderstood)?;
            device.clone()
        }
    };
    if parse_device_id(&device).is_none() {
        return Err(Refusal::NotUnderstood);
    }
    if now.checked_add(AHEAD).is_ok_and(|most| modified > most) {
        return Err(Refusal::Future);
    }
    let (of, report) = ((city.to_owned(), device), Report { incident, modified, is_over });
    match known.get(&of) {
        Some(before) if *before == report => return Ok(None),
        // Who sends again what was, or says two things of one time, changes nothing.
        Some(before) if before.modified >= modified => return Err(Refusal::Old),
        _ => {}
    }
    let is_full = known.values().filter(|report| !report.is_over).count() >= MOST;
    if is_full && !is_over && !known.contains_key(&of) {
        return Err(Refusal::TooMany);
    }
    Ok(Some((of, report)))
}

/// Forgets what is too much of one city.
fn forget(reports: &mut BTreeMap<Of, Report>) {
    let mut over: Vec<_> = reports.iter().filter(|(_, report)| report.is_over).collect();
    over.sort_by_key(|(_, report)| report.modified);
    let too_many = reports.len().saturating_sub(MOST);
    let gone: Vec<_> = over.into_iter().take(too_many).map(|(of, _)| of.clone()).collect();
    for of in gone {
        reports.remove(&of);
    }
}
