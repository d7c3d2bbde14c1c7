//! How things are, as of the last tick of the engine: a copy that others read while the engine goes on.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Bound,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::{Duration, Instant},
};

use serde::Serialize;
use serde_json::{Value, json};
use smart_city_frame::DeviceId;

use crate::{attestation::Status, audit::Record, device::Refusal};

/// Stream, user, whether it was allowed, and why not.
pub type FlowKey = (String, String, bool, String);

/// Devices and flows in one answer, at most.
pub const MOST: usize = 1000;

/// Events that are told to who comes later.
pub(crate) const EVENTS: usize = 200;

/// How often a [`Sample`] is taken, and how many are kept: half an hour.
pub(crate) const SAMPLED: Duration = Duration::from_secs(5);
const SAMPLES: usize = 360;

/// What is told of a device.
#[derive(Clone, Debug, Serialize)]
pub struct DeviceView {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) place: [u16; 2],
    pub(crate) position: Option<[f64; 2]>,
    pub(crate) streams: Vec<String>,
    pub(crate) state: Status,
    pub(crate) isolated: bool,
    pub(crate) silent: bool,
    pub(crate) epoch: Option<u16>,
    pub(crate) frames: u64,
    pub(crate) refused: u64,
    pub(crate) reasons: BTreeMap<Refusal, u64>,
    pub(crate) last_seen: Option<jiff::Timestamp>,
}

impl DeviceView {
    /// What is told of it in brief: what does not change with each frame.
    fn brief(&self) -> Value {
        let Self { id, name, place, position, state, isolated, silent, .. } = self;
        json!({
            "id": id, "name": name, "place": place, "position": position,
            "state": state, "isolated": isolated, "silent": silent,
        })
    }

    /// Whether the same is told of both in brief.
    fn is_as(&self, other: &Self) -> bool {
        (&self.name, self.place, self.position) == (&other.name, other.place, other.position)
            && (self.state, self.isolated, self.silent) == (other.state, other.isolated, other.silent)
    }
}

/// What an auditor finds in the audit log, without what is for auditors alone: who did it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Event {
    n: u64,
    time: jiff::Timestamp,
    event: String,
    detail: Value,
}

impl Event {
    /// None if it is not for those who look how everything is.
    pub(crate) fn of(record: &Record) -> Option<Self> {
        let fields: &[&str] = match record.event.as_str() {
            "isolated" => &["device", "function", "again"],
            "recovery begun" | "recovered" => &["device"],
            "distrusted" | "trusted again" if record.detail.get("device").is_none() => {
                &["city", "count", "held"]
            }
            "distrusted" | "trusted again" => &["city", "device", "incident", "held"],
            "attested" if record.detail["status"] == json!(Status::Warning) => {
                &["device", "function", "finding"]
            }
            "started" | "configuration loaded" => &["devices", "users"],
            "configuration refused" => &["fault"],
            "continued after a loss" => &["file", "fault"],
            "refused" => return Some(Self::with(record, record.detail.clone())),
            _ => return None,
        };
        let detail = fields.iter().map(|field| ((*field).to_owned(), record.detail[*field].clone()));
        Some(Self::with(record, detail.collect()))
    }

    fn with(record: &Record, detail: Value) -> Self {
        Self { n: record.n, time: record.time, event: record.event.clone(), detail }
    }
}

/// How much there was to do since the sample before.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Sample {
    pub(crate) time: jiff::Timestamp,
    /// Frames that were accepted, and messages that were refused, a second.
    pub(crate) accepted: f64,
    pub(crate) refused: f64,
    pub(crate) undelivered: u64,
    /// How long a batch took until it was stored, in milliseconds: on average, and the longest.
    pub(crate) mean: Option<f64>,
    pub(crate) longest: Option<f64>,
}

/// What is told of all devices together.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Summary {
    city: String,
    /// What is wrong with the files that were not taken over, if anything is.
    pub fault: Option<String>,
    /// How many devices there are.
    pub counts: Counts,
    /// Frames that were accepted since the start.
    pub accepted: u64,
    /// Messages that were refused since the start.
    pub refused: BTreeMap<Refusal, u64>,
    /// Readings that were not handed over to all who may have them yet.
    pub undelivered: u64,
}

/// Numbers of devices.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Counts {
    /// All.
    pub devices: usize,
    /// By the state of their attestation.
    pub states: BTreeMap<String, usize>,
    /// Those that are isolated.
    pub isolated: usize,
    /// Those of which no frame was accepted for some time.
    pub silent: usize,
}

/// All of it.
#[derive(Debug, Default)]
pub struct View {
    pub(crate) summary: Summary,
    /// Each with the number of the last change of what is told of it in brief.
    devices: BTreeMap<DeviceId, (u64, Arc<DeviceView>)>,
    /// The devices by these numbers.
    order: BTreeMap<u64, DeviceId>,
    /// The number of the last change.
    change: u64,
    /// How often devices were taken away.
    removals: u64,
    events: VecDeque<Event>,
    /// With their numbers, from 1.
    samples: VecDeque<(u64, Sample)>,
    /// Readings.
    pub(crate) flows: BTreeMap<FlowKey, u64>,
    /// When it was brought up to date.
    pub(crate) time: Option<Instant>,
}

/// What somebody knows who watches.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known {
    begun: bool,
    removals: u64,
    change: u64,
    event: u64,
    sample: u64,
}

/// A view that the engine writes and others read.
#[derive(Clone, Debug, Default)]
pub struct SharedView(Arc<RwLock<View>>);

/// What of a view is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// The devices behind this one.
    pub after: Option<DeviceId>,
    /// The flows from this number on.
    pub flow: usize,
    /// As many of both, at most [`MOST`].
    pub limit: usize,
}

impl SharedView {
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, View> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps it as it is until the guard is dropped: for the engine, and for a test of who waits meanwhile.
    pub fn write(&self) -> RwLockWriteGuard<'_, View> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is told of all devices together.
    #[must_use]
    pub fn summary(&self) -> Summary {
        self.read().summary.clone()
    }

    /// How old it is; none if it was never made.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        self.read().time.map(|time| time.elapsed())
    }

    /// The summary, and a page of devices and flows.
    #[must_use]
    pub fn page(&self, page: Page) -> Value {
        let (mut value, devices) = {
            let view = self.read();
            let limit = page.limit.min(MOST);
            let start = page.after.map_or(Bound::Unbounded, Bound::Excluded);
            let mut range = view.devices.range((start, Bound::Unbounded));
            let devices: Vec<_> =
                range.by_ref().take(limit).map(|(_, (_, device))| Arc::clone(device)).collect();
            let more = range.next().is_some();
            let mut value = json!(view.summary);
            value["next_device"] = devices.last().filter(|_| more).map(|device| device.id.clone()).into();
            let flows: Vec<_> =
                view.flows.iter().skip(page.flow).take(limit).map(|(key, count)| flow(key, *count)).collect();
            let next = page.flow.saturating_add(flows.len());
            value["next_flow"] = (next < view.flows.len() && limit > 0).then_some(next).into();
            value["flows"] = flows.into();
            (value, devices)
        };
        // Others need not wait for this.
        value["devices"] = json!(devices);
        value
    }

    /// A device.
    #[must_use]
    pub fn device(&self, id: DeviceId) -> Option<Arc<DeviceView>> {
        self.read().devices.get(&id).map(|(_, device)| Arc::clone(device))
    }

    /// What has changed since somebody knew this much, with at most [`MOST`] devices; whether there is more; and what is known then. All
    /// devices are told anew (`whole`) if some were taken away.
    #[must_use]
    pub fn changes(&self, mut known: Known) -> (Value, bool, Known) {
        let view = self.read();
        let whole = !known.begun || known.removals != view.removals;
        if whole {
            known.change = 0;
        }
        let mut range = view.order.range((Bound::Excluded(known.change), Bound::Unbounded));
        let changed: Vec<_> = range.by_ref().take(MOST).collect();
        let more = range.next().is_some();
        let devices = changed.iter().filter_map(|(_, id)| view.devices.get(id));
        let devices: Vec<_> = devices.map(|(_, device)| Arc::clone(device)).collect();
        known.change = changed.last().map_or(known.change, |(change, _)| **change);
        let events: Vec<_> = view.events.iter().filter(|event| event.n > known.event).cloned().collect();
        known.event = events.last().map_or(known.event, |event| event.n);
        let samples = view.samples.iter().filter(|(number, _)| *number > known.sample);
        let samples: Vec<_> = samples.map(|(_, sample)| sample.clone()).collect();
        known.sample = view.samples.back().map_or(0, |(number, _)| *number);
        (known.begun, known.removals) = (true, view.removals);
        let Summary { city, fault, counts, .. } = view.summary.clone();
        drop(view);
        // Others need not wait for this.
        let devices: Vec<_> = devices.iter().map(|device| device.brief()).collect();
        let value = json!({
            "city": city, "fault": fault, "counts": counts, "whole": whole, "more": more,
            "devices": devices, "events": events, "samples": samples,
        });
        (value, more, known)
    }

    /// For each stream the readings, and the users who receive it and who do not; at most [`MOST`], in the order of their names.
    #[must_use]
    pub fn streams(&self) -> Value {
        let mut streams: BTreeMap<&str, (u64, usize, usize)> = BTreeMap::new();
        let view = self.read();
        for ((stream, _, allowed, _), count) in &view.flows {
            let (most, received, refused) = streams.entry(stream).or_default();
            *most = (*most).max(*count);
            *if *allowed { received } else { refused } += 1;
        }
        let line = |(stream, (readings, allowed, refused))| json!({ "stream": stream, "readings": readings, "allowed": allowed, "refused": refused });
        streams.into_iter().take(MOST).map(line).collect()
    }

    /// The flows of a stream, at most [`MOST`].
    #[must_use]
    pub fn flows(&self, stream: &str) -> Value {
        let start = (stream.to_owned(), String::new(), false, String::new());
        let view = self.read();
        let own = view.flows.range(start..).take_while(|((name, ..), _)| name == stream);
        own.take(MOST).map(|(key, count)| flow(key, *count)).collect()
    }
}

impl View {
    /// Everything at once.
    pub(crate) fn all(&self) -> Value {
        let mut value = json!(self.summary);
        value["devices"] = json!(self.devices.values().map(|(_, device)| device).collect::<Vec<_>>());
        value["flows"] = self.flows.iter().map(|(key, count)| flow(key, *count)).collect();
        value
    }

    pub(crate) fn put(&mut self, id: DeviceId, device: Arc<DeviceView>) {
        let before = self.devices.get(&id);
        let change =
            before.filter(|(_, before)| before.is_as(&device)).map_or(self.change + 1, |(change, _)| *change);
        self.change = self.change.max(change);
        self.forget(id);
        let counts = &mut self.summary.counts;
        *counts.states.entry(device.state.to_string()).or_default() += 1;
        counts.isolated += usize::from(device.isolated);
        counts.silent += usize::from(device.silent);
        self.order.insert(change, id);
        self.devices.insert(id, (change, device));
        counts.devices = self.devices.len();
    }

    fn forget(&mut self, id: DeviceId) {
        let Some((change, device)) = self.devices.remove(&id) else { return };
        self.order.remove(&change);
        let counts = &mut self.summary.counts;
        if let Some(count) = counts.states.get_mut(&device.state.to_string()) {
            *count -= 1;
        }
        counts.isolated -= usize::from(device.isolated);
        counts.silent -= usize::from(device.silent);
        counts.devices = self.devices.len();
    }

    pub(crate) fn replace(&mut self, city: &str, devices: BTreeMap<DeviceId, Arc<DeviceView>>) {
        city.clone_into(&mut self.summary.city);
        let gone: Vec<_> = self.devices.keys().filter(|id| !devices.contains_key(id)).copied().collect();
        self.removals += u64::from(!gone.is_empty());
        for id in gone {
            self.forget(id);
        }
        for (id, device) in devices {
            self.put(id, device);
        }
    }

    pub(crate) fn remove(&mut self, devices: &[DeviceId]) {
        self.removals += u64::from(!devices.is_empty());
        devices.iter().for_each(|id| self.forget(*id));
    }

    /// The devices that are not told as silent, and were last heard before `time`.
    pub(crate) fn not_heard_since(&self, time: jiff::Timestamp) -> impl Iterator<Item = DeviceId> {
        let is_late =
            move |device: &DeviceView| !device.silent && device.last_seen.is_none_or(|seen| seen < time);
        self.devices.iter().filter(move |(_, (_, device))| is_late(device)).map(|(id, _)| *id)
    }

    pub(crate) fn tell(&mut self, events: impl IntoIterator<Item = Event>) {
        for event in events {
            push(&mut self.events, event, EVENTS);
        }
    }

    pub(crate) fn sample(&mut self, sample: Sample) {
        let number = self.samples.back().map_or(0, |(number, _)| *number) + 1;
        push(&mut self.samples, (number, sample), SAMPLES);
    }
}

/// Keeps the last ones.
pub(crate) fn push<T>(all: &mut VecDeque<T>, new: T, most: usize) {
    if all.len() >= most {
        all.pop_front();
    }
    all.push_back(new);
}

fn flow((stream, user, allowed, reason): &FlowKey, count: u64) -> Value {
    json!({ "stream": stream, "user": user, "allowed": allowed, "reason": reason, "count": count })
}
