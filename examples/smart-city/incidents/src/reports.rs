//! What other cities have told of their devices.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use anyhow::Result;
use jiff::Timestamp;
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
    file::{Changes, Kept, to_bytes},
    lock,
    stix::{MOST_NAME, Told, identity},
    taxii::PAGE,
};

/// Incidents of one city that are open at once, and of those that were cleared as many more.
pub(crate) const MOST: usize = 1000;

/// Ends of incidents of a city that are taken at once, and how long each takes to be free again. An isolation waits for nothing: without ends
/// there are [so many](MOST) at most, so that this bounds the audit log, too.
const ENDS: (u32, Duration) = (256, Duration::from_secs(1));

/// How often the audit log is told of what is refused, by city.
const SUMMARY: Duration = Duration::from_secs(60);

/// How long after an answer a city is asked again.
pub(crate) const EVERY: Duration = Duration::from_secs(2);

/// The longest time until a collection is read again of which much is read in vain.
const LONGEST: Duration = Duration::from_secs(300);

/// Reports of a city that are shown: the newest, and first those that count.
pub(crate) const SHOWN: usize = 100;

/// How often a collection is read from its beginning, to find what is not in it any more.
pub(crate) const WHOLE: Duration = Duration::from_secs(600);

/// After how long it is read whole again, if that failed.
pub(crate) const AGAIN: Duration = Duration::from_secs(60);

/// How long what was given to the audit log is kept, so that a crash does not lose it.
const SETTLED: Duration = Duration::from_secs(10);

/// Open incidents, by city and id.
pub(crate) const OPEN: &str = "open";
/// What the audit log may not have yet, by number.
const NOTES: &str = "note";

/// How an incident is that an operator has cleared.
const CLEARED: &str = "cleared";

/// What the audit log is told of a report that an operator has restored.
const RESTORED: &str = "restored";

/// Why an object counts nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Refusal {
    /// It is no incident of a device.
    NotUnderstood,
    /// It is another city's, or about another city's device.
    WrongCity,
    /// So many incidents of the city are open already.
    TooMany,
}

/// How it is with a city.
#[derive(Debug, Default)]
struct Standing {
    pace: Pace,
    /// Up to when its collection is read.
    position: Option<Timestamp>,
    /// When it was read from its beginning to its end.
    whole: Option<Instant>,
    /// From where it is read now, and how far that is, if it is not read to its end yet.
    unfinished: Option<(Option<Timestamp>, Walk)>,
    /// How long it is not read after this time, if that is not [as always](EVERY).
    pause: Option<Duration>,
    /// Answers that were understood, and requests without one.
    answers: u64,
    failed: u64,
    /// Why there is none, since the last answer.
    why: Option<String>,
    refused: BTreeMap<Refusal, u64>,
    /// Those of which the audit log knows nothing yet, and when it was told last.
    untold: BTreeMap<Refusal, u64>,
    told: Option<Instant>,
    /// Ends that may be taken, as of a time.
    free: Option<(f64, Instant)>,
}

impl Standing {
    /// Takes an end, if it may be.
    fn takes_end(&mut self, now: Instant) -> bool {
        let (most, each) = (f64::from(ENDS.0), ENDS.1.as_secs_f64());
        let free = self.free.map_or(most, |(free, then)| {
            (free + now.saturating_duration_since(then).as_secs_f64() / each).min(most)
        });
        let takes = free >= 1.0;
        self.free = Some((free - if takes { 1.0 } else { 0.0 }, now));
        takes
    }

    fn refuse(&mut self, refusal: Refusal, count: u64) {
        for counts in [&mut self.refused, &mut self.untold] {
            *counts.entry(refusal).or_default() += count;
        }
    }
}

/// A city's incident.
type Of = (String, String);

/// What a city has told of a device, and has not ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "KeptReport")]
struct Report {
    device: String,
    /// When it was learned, by the own clock.
    since: Timestamp,
    /// The operator for whom it counts nothing any more.
    cleared: Option<String>,
    /// It has ended, and is kept as it was cleared: it may be told again.
    is_over: bool,
}

/// A report as it is kept in the file.
#[derive(Deserialize)]
#[serde(untagged)]
enum KeptReport {
    /// As it was kept at first: the device alone. Nobody knows since when.
    Device(String),
    Whole {
        device: String,
        since: Timestamp,
        #[serde(default)]
        cleared: Option<String>,
        #[serde(default)]
        is_over: bool,
    },
}

impl From<KeptReport> for Report {
    fn from(kept: KeptReport) -> Self {
        match kept {
            KeptReport::Device(device) => {
                Self { device, since: Timestamp::now(), cleared: None, is_over: false }
            }
            KeptReport::Whole { device, since, cleared, is_over } => Self { device, since, cleared, is_over },
        }
    }
}

/// How far a collection is read that is longer than what is read at once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Walk {
    /// There is more, under this name.
    pub(crate) next: Option<String>,
    /// How many objects there were.
    pub(crate) count: usize,
    /// The open incidents that are in it.
    seen: BTreeSet<String>,
    /// Something of it was not taken, and must come again.
    lacks: bool,
}

#[derive(Debug, Default)]
struct State {
    home: String,
    agreement: Agreement,
    open: BTreeMap<Of, Report>,
    standings: BTreeMap<String, Standing>,
}

/// What is to be asked.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) city: String,
    pub(crate) home: String,
    pub(crate) source: Arc<Source>,
    /// From where on; from the beginning if it is none.
    pub(crate) after: Option<Timestamp>,
    pub(crate) walk: Walk,
}

/// The last that a collection says of an incident.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Word {
    /// This device is isolated.
    Isolated(String),
    Over,
    /// It is refused: what is known stays.
    Refused,
}

/// What was read of a collection.
#[derive(Debug, Default)]
pub(crate) struct Read {
    words: BTreeMap<String, Word>,
    refused: BTreeMap<Refusal, u64>,
    /// How many objects there were.
    pub(crate) count: usize,
    /// Up to when that is, by the time when each was added there.
    last: Option<Timestamp>,
    /// There is nothing behind it.
    pub(crate) is_to_end: bool,
    /// There is more, under this name, which is read the next time.
    pub(crate) next: Option<String>,
}

impl Read {
    /// The last object of an answer was added then. A time ahead of the own clock could skip what comes.
    pub(crate) fn reaches(&mut self, last: Option<Timestamp>, now: Timestamp) {
        self.last = last.filter(|last| *last <= now).or(self.last);
    }

    /// Takes up objects of the collection of a city, in their order there.
    pub(crate) fn add(&mut self, city: &str, objects: &[Value]) {
        self.count += objects.len();
        for object in objects.iter().filter(|object| object["type"] == "incident") {
            match (judge(city, object), object["id"].as_str()) {
                (Ok((incident, word)), _) => drop(self.words.insert(incident, word)),
                (Err(refusal), id) => {
                    *self.refused.entry(refusal).or_default() += 1;
                    if let Some(id) = id.filter(|id| id.len() <= MOST_NAME) {
                        self.words.entry(id.to_owned()).or_insert(Word::Refused);
                    }
                }
            }
        }
    }
}

/// What is for the audit log, by number, and when it was given to it.
type Notes = BTreeMap<u64, (Value, Option<Instant>)>;

/// What other cities have told of their devices.
#[derive(Debug)]
pub struct Reports {
    state: Mutex<State>,
    kept: Arc<Kept>,
    /// Who has it stores. It is locked before all others, and nobody has another one while storing.
    storing: Mutex<()>,
    doubts: watch::Sender<Doubts>,
    notes: Mutex<Notes>,
    pub(crate) failed: Notify,
}

fn key((city, incident): &Of) -> String {
    format!("{city}\n{incident}")
}

fn number(note: u64) -> String {
    format!("{note:020}")
}

impl Reports {
    /// With what is kept.
    ///
    /// # Errors
    /// If that cannot be read.
    pub fn open(kept: Arc<Kept>) -> Result<Self> {
        let of = |(key, report): (String, Report)| {
            let (city, incident) = key.split_once('\n')?;
            Some(((city.to_owned(), incident.to_owned()), report))
        };
        let open = kept.all(OPEN)?.into_iter().filter_map(of).collect();
        let note = |(name, detail): (String, Value)| Some((name.parse().ok()?, (detail, None)));
        let notes = kept.all(NOTES)?.into_iter().filter_map(note).collect();
        Ok(Self {
            state: Mutex::new(State { open, ..State::default() }),
            kept,
            storing: Mutex::default(),
            doubts: watch::Sender::default(),
            notes: Mutex::new(notes),
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
            // What failed or was read by another agreement says nothing of this one, so the whole is read. Until it could be, what is new in
            // the same collection is read from where that was.
            let before = before.sources.get(city);
            if before.is_none_or(|before| !Arc::ptr_eq(before, source)) {
                (standing.pace, standing.whole) = (Pace::default(), None);
                (standing.unfinished, standing.pause) = (None, None);
            }
            let place = |source: &Source| (source.site.authority.clone(), source.site.path.clone());
            if before.is_none_or(|before| place(before) != place(source)) {
                standing.position = None;
            }
        }
        self.publish(&state);
    }

    /// The devices that are not believed, by the own policy, from time to time.
    #[must_use]
    pub fn doubts(&self) -> watch::Receiver<Doubts> {
        self.doubts.subscribe()
    }

    /// What is for the audit log. It comes again after a restart soon after that.
    pub fn notes(&self, now: Instant) -> Vec<Note> {
        let mut notes = Vec::new();
        for (detail, given) in lock(&self.notes).values_mut().filter(|(_, given)| given.is_none()) {
            *given = Some(now);
            let event = match detail["state"].as_str() {
                Some(CLEARED) => "incident cleared",
                Some(RESTORED) => "incident restored",
                _ => "incident learned",
            };
            notes.push((event, detail.clone()));
        }
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

    /// Forgets what the audit log has.
    ///
    /// # Errors
    /// If that cannot be stored.
    pub(crate) fn settle(&self, now: Instant) -> Result<()> {
        let _storing = lock(&self.storing);
        let has = |given: &Option<Instant>| {
            given.is_some_and(|given| now.saturating_duration_since(given) >= SETTLED)
        };
        let gone = lock(&self.notes)
            .iter()
            .filter(|(_, (_, given))| has(given))
            .map(|(note, _)| *note)
            .collect::<Vec<_>>();
        self.keep(&[(NOTES, gone.iter().map(|note| (number(*note), None)).collect())])?;
        lock(&self.notes).retain(|note, _| !gone.contains(note));
        Ok(())
    }

    fn keep(&self, changes: &[Changes]) -> Result<()> {
        if changes.iter().all(|(_, names)| names.is_empty()) {
            return Ok(());
        }
        self.kept.keep(changes).inspect_err(|_| self.failed.notify_one())
    }

    /// An operator says that a report counts nothing any more, whether or not its city ends it. Returns whether there is such a report.
    ///
    /// # Errors
    /// If it cannot be stored. Then it still counts.
    pub fn clear(&self, city: &str, incident: &str, operator: &str) -> Result<bool> {
        let _storing = lock(&self.storing);
        let of = (city.to_owned(), incident.to_owned());
        let Some(mut report) = lock(&self.state).open.get(&of).cloned() else { return Ok(false) };
        if report.cleared.is_some() {
            return Ok(true);
        }
        report.cleared = Some(operator.to_owned());
        let mut changes = BTreeMap::from([(of.clone(), Some(report.clone()))]);
        {
            let state = lock(&self.state);
            let cleared = || state.of(city).filter(|(_, report)| report.cleared.is_some());
            if cleared().count() >= MOST {
                let first = cleared().min_by_key(|(_, report)| (!report.is_over, report.since));
                changes.extend(first.map(|(of, _)| (of.clone(), None)));
            }
        }
        self.decide(&of, &report, CLEARED, operator, changes)?;
        Ok(true)
    }

    /// An operator says that a report which was [cleared](Self::clear) counts again, until its city ends it. Returns whether there is such a report.
    ///
    /// # Errors
    /// If it cannot be stored. Then it still counts nothing.
    pub fn restore(&self, city: &str, incident: &str, operator: &str) -> Result<bool> {
        let _storing = lock(&self.storing);
        let of = (city.to_owned(), incident.to_owned());
        let Some(mut report) = lock(&self.state).open.get(&of).cloned() else { return Ok(false) };
        if report.cleared.take().is_none() {
            return Ok(true);
        }
        let kept = (!report.is_over).then(|| report.clone());
        self.decide(&of, &report, RESTORED, operator, BTreeMap::from([(of.clone(), kept)]))?;
        Ok(true)
    }

    /// Stores what an operator has decided about a report.
    fn decide(
        &self,
        (city, incident): &Of,
        report: &Report,
        decision: &str,
        operator: &str,
        changes: BTreeMap<Of, Option<Report>>,
    ) -> Result<()> {
        let device = &report.device;
        let detail = json!({ "city": city, "device": device, "incident": incident, "state": decision, "operator": operator });
        self.store(changes, vec![detail])?;
        self.publish(&lock(&self.state));
        Ok(())
    }

    /// Stores what changes of open incidents, together with what the audit log is told of it. Then it holds.
    fn store(&self, changes: BTreeMap<Of, Option<Report>>, details: Vec<Value>) -> Result<()> {
        let first = lock(&self.notes).last_key_value().map_or(0, |(last, _)| last + 1);
        let notes: BTreeMap<u64, Value> = (first..).zip(details).collect();
        let open =
            changes.iter().map(|(of, report)| Ok((key(of), report.as_ref().map(to_bytes).transpose()?)));
        let kept = notes.iter().map(|(note, detail)| Ok((number(*note), Some(to_bytes(detail)?))));
        self.keep(&[(OPEN, open.collect::<Result<_>>()?), (NOTES, kept.collect::<Result<_>>()?)])?;
        lock(&self.notes).extend(notes.into_iter().map(|(note, detail)| (note, (detail, None))));
        let mut state = lock(&self.state);
        for (of, report) in changes {
            match report {
                Some(report) => drop(state.open.insert(of, report)),
                None => drop(state.open.remove(&of)),
            }
        }
        Ok(())
    }

    /// For who looks how everything is: of each city that is asked, how that goes, how many of its devices are isolated, and what it has told
    /// last of them that has not ended.
    #[must_use]
    pub fn status(&self) -> BTreeMap<String, Value> {
        let state = lock(&self.state);
        let status = state.standings.iter().map(|(city, standing)| {
            let Standing { answers, failed, why, refused, .. } = standing;
            let mut open: Vec<_> = state.of(city).filter(|(_, report)| !report.is_over).collect();
            let isolated: BTreeSet<_> = open.iter().map(|(_, report)| &report.device).collect();
            open.sort_by_key(|(_, report)| (report.cleared.is_some(), Reverse(report.since)));
            let trust = state.agreement.sources.get(city).map(|source| source.trust);
            let shown = open.into_iter().take(SHOWN).map(|((_, incident), report)| {
                let Report { device, since, cleared, .. } = report;
                let is_cleared = cleared.is_some();
                // Who did it is for auditors.
                json!({ "incident": incident, "device": device, "since": since, "trust": trust, "cleared": is_cleared })
            });
            let reports: Vec<_> = shown.collect();
            let value = json!({
                "answers": answers, "failed": failed, "failing": why, "refused": refused, "isolated": isolated.len(),
                "reports": reports,
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
        let State { home, agreement, standings, .. } = &mut *state;
        let due = standings.iter_mut().filter(|(_, standing)| standing.pace.allows(now));
        let job = |(city, standing): (&String, &mut Standing)| {
            let source = Arc::clone(agreement.sources.get(city)?);
            standing.pace.begin();
            let is_recent = standing.whole.is_some_and(|whole| now.saturating_duration_since(whole) < WHOLE);
            let position = standing.position.filter(|_| is_recent);
            let (after, walk) = standing.unfinished.take().unwrap_or((position, Walk::default()));
            Some(Job { city: city.clone(), home: home.clone(), source, after, walk })
        };
        due.filter_map(job).collect()
    }

    /// Takes over what was read; nothing if it was by an agreement that holds no more.
    ///
    /// # Errors
    /// If it cannot be stored. Then nothing of it counts.
    pub(crate) fn take(&self, job: &Job, read: &Read, now: Timestamp, clock: Instant) -> Result<()> {
        let _storing = lock(&self.storing);
        let mut state = lock(&self.state);
        if !state.holds(job) {
            return Ok(());
        }
        let known: BTreeMap<Of, Report> =
            state.of(&job.city).map(|(of, report)| (of.clone(), report.clone())).collect();
        let Some(standing) = state.standings.get_mut(&job.city) else { return Ok(()) };
        for (refusal, count) in &read.refused {
            standing.refuse(*refusal, *count);
        }
        let is_whole = job.after.is_none() && read.is_to_end;
        let mut walk = job.walk.clone();
        walk.count += read.count;
        let mut changes: BTreeMap<Of, Option<Report>> = BTreeMap::new();
        for (of, report) in &known {
            let word = read.words.get(&of.1);
            if word.is_some() {
                walk.seen.insert(of.1.clone());
            }
            // What is nowhere in the collection its city has forgotten.
            let is_over = word.map_or(is_whole && !walk.seen.contains(&of.1), |word| *word == Word::Over);
            // What was cleared stays so, also if its city ends it and tells it again.
            let is_again = report.is_over && matches!(word, Some(Word::Isolated(_)));
            if is_again || is_over && !report.is_over && standing.takes_end(clock) {
                let stays = report.cleared.is_some();
                changes.insert(of.clone(), stays.then(|| Report { is_over, ..report.clone() }));
            } else if is_over && !report.is_over {
                // It comes again.
                walk.lacks = true;
            }
        }
        let mut count = known
            .iter()
            .filter(|(of, report)| report.cleared.is_none() && !changes.contains_key(*of))
            .count();
        for (incident, word) in &read.words {
            let of = (job.city.clone(), incident.clone());
            let Word::Isolated(device) = word else { continue };
            if known.contains_key(&of) {
                continue;
            }
            if count < MOST {
                count += 1;
                walk.seen.insert(incident.clone());
                let device = device.clone();
                changes.insert(of, Some(Report { device, since: now, cleared: None, is_over: false }));
            } else {
                standing.refuse(Refusal::TooMany, 1);
                walk.lacks = true;
            }
        }
        drop(state);

        let details = changes.iter().map(|(of, report)| {
            let state = match (report, read.words.get(&of.1)) {
                (Some(Report { is_over: false, .. }), _) => "isolated",
                (_, Some(_)) => "recovered",
                (_, None) => "gone",
            };
            let device = report.as_ref().or_else(|| known.get(of)).map(|report| &report.device);
            let mut detail = json!({ "city": of.0, "device": device, "incident": of.1, "state": state });
            if let Some(operator) = report.as_ref().and_then(|report| report.cleared.as_ref()) {
                // It counts nothing, whatever its city tells of it.
                detail["cleared"] = json!(operator);
            }
            detail
        });
        let details = details.collect();
        self.store(changes, details)?;

        let mut state = lock(&self.state);
        if state.holds(job)
            && let Some(standing) = state.standings.get_mut(&job.city)
        {
            let pages = u32::try_from(walk.count.div_ceil(PAGE)).unwrap_or(u32::MAX).max(1);
            let goes_on = if read.next.is_some() {
                walk.next.clone_from(&read.next);
                standing.unfinished = Some((job.after, walk));
                true
            } else if read.is_to_end && !walk.lacks {
                // Only from an empty collection something earlier may come.
                let before = standing.position.filter(|_| walk.count > 0);
                standing.position = read.last.or(job.after).or(before);
                if is_whole {
                    standing.whole = Some(clock);
                }
                standing.position != job.after
            } else {
                false
            };
            // What is much, and is read again from the same place, is not read all the time.
            standing.pause = (!goes_on).then(|| EVERY.saturating_mul(pages).min(LONGEST));
        }
        self.publish(&state);
        Ok(())
    }

    /// How a request ended. Returns whether it is the first time after another end.
    pub(crate) fn done(&self, job: &Job, ended: Result<(), String>, now: Instant) -> bool {
        let mut state = lock(&self.state);
        if !state.holds(job) {
            return false;
        }
        let Some(standing) = state.standings.get_mut(&job.city) else { return false };
        standing.pace.done(ended.is_ok(), now);
        let mut pause = standing.pause.take();
        if job.after.is_none() && standing.position.is_some() && (pause.is_some() || ended.is_err()) {
            // The whole waits, and what is new is read meanwhile.
            let again = pause.take().map_or(AGAIN, |pause| pause.max(AGAIN));
            standing.whole = now.checked_sub(WHOLE.saturating_sub(again));
        }
        standing.pace.not_before = now.checked_add(pause.unwrap_or(EVERY));
        let was_failing = standing.why.is_some();
        *(if ended.is_ok() { &mut standing.answers } else { &mut standing.failed }) += 1;
        standing.why = ended.err();
        was_failing != standing.why.is_some()
    }

    fn publish(&self, state: &State) {
        let mut doubts = Doubts::new();
        for ((city, incident), report) in state.open.iter().filter(|(_, report)| report.cleared.is_none()) {
            let source = state.agreement.sources.get(city).filter(|source| source.trust != Trust::Ignore);
            if let (Some(source), Some(device)) = (source, parse_device_id(&report.device)) {
                let is_held = source.trust == Trust::Hold;
                doubts.insert((city.clone(), device), Doubt { incident: incident.clone(), is_held });
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
        self.open.iter().filter(move |((of, _), _)| of == city)
    }

    /// Whether a request is by the agreement that holds now.
    fn holds(&self, job: &Job) -> bool {
        self.agreement.sources.get(&job.city).is_some_and(|source| Arc::ptr_eq(source, &job.source))
    }
}

/// What an object says of which incident.
fn judge(city: &str, object: &Value) -> Result<(String, Word), Refusal> {
    let Told { incident, by, about, is_over } = Told::of(object).ok_or(Refusal::NotUnderstood)?;
    if by != identity(city) || about.as_ref().is_some_and(|(of, _)| of != city) {
        return Err(Refusal::WrongCity);
    }
    // It may be revoked with no more than its id.
    if is_over {
        return Ok((incident, Word::Over));
    }
    let device = about.map(|(_, device)| device).filter(|device| parse_device_id(device).is_some());
    Ok((incident, Word::Isolated(device.ok_or(Refusal::NotUnderstood)?)))
}
