//! How things are, as of the last tick of the engine: a copy that others read while the engine goes on.

use std::{
    collections::{BTreeMap, btree_map},
    ops::Bound,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::{Duration, Instant},
};

use serde::Serialize;
use serde_json::{Value, json};
use smart_city_frame::DeviceId;

use crate::{attestation::Status, device::Refusal};

/// Stream, user, whether it was allowed, and why not.
pub type FlowKey = (String, String, bool, String);

/// Devices and flows in one answer, at most.
pub const MOST: usize = 1000;

/// What is told of a device.
#[derive(Clone, Debug, Serialize)]
pub struct DeviceView {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) place: [u16; 2],
    pub(crate) state: Status,
    pub(crate) isolated: bool,
    pub(crate) epoch: Option<u16>,
    pub(crate) frames: u64,
    pub(crate) refused: u64,
    pub(crate) reasons: BTreeMap<Refusal, u64>,
    pub(crate) last_seen: Option<jiff::Timestamp>,
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
}

/// All of it.
#[derive(Debug, Default)]
pub struct View {
    pub(crate) summary: Summary,
    told_fault: Option<String>,
    devices: BTreeMap<DeviceId, Arc<DeviceView>>,
    /// Readings.
    pub(crate) flows: BTreeMap<FlowKey, u64>,
    /// When it was brought up to date.
    pub(crate) time: Option<Instant>,
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
            let devices: Vec<_> = range.by_ref().take(limit).map(|(_, device)| Arc::clone(device)).collect();
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
        self.read().devices.get(&id).cloned()
    }
}

impl View {
    /// Everything at once.
    pub(crate) fn all(&self) -> Value {
        let mut value = json!(self.summary);
        value["devices"] = json!(self.devices.values().collect::<Vec<_>>());
        value["flows"] = self.flows.iter().map(|(key, count)| flow(key, *count)).collect();
        value
    }

    pub(crate) fn flow(&self, key: &FlowKey) -> Value {
        flow(key, self.flows.get(key).copied().unwrap_or_default())
    }

    /// The fault of the configuration, if it is another one than the last time.
    pub(crate) fn fault_event(&mut self) -> Option<Value> {
        let fault = &self.summary.fault;
        if self.told_fault == *fault {
            return None;
        }
        self.told_fault.clone_from(fault);
        Some(json!({ "fault": fault }))
    }

    pub(crate) fn put(&mut self, id: DeviceId, device: Arc<DeviceView>) {
        let counts = &mut self.summary.counts;
        *counts.states.entry(device.state.to_string()).or_default() += 1;
        counts.isolated += usize::from(device.isolated);
        let before = match self.devices.entry(id) {
            btree_map::Entry::Occupied(mut entry) => Some(entry.insert(device)),
            btree_map::Entry::Vacant(entry) => {
                entry.insert(device);
                None
            }
        };
        if let Some(before) = before {
            if let Some(count) = counts.states.get_mut(&before.state.to_string()) {
                *count -= 1;
            }
            counts.isolated -= usize::from(before.isolated);
        }
        counts.devices = self.devices.len();
    }

    pub(crate) fn replace(&mut self, city: &str, devices: Vec<(DeviceId, Arc<DeviceView>)>) {
        city.clone_into(&mut self.summary.city);
        self.devices.clear();
        self.summary.counts = Counts::default();
        for (id, device) in devices {
            self.put(id, device);
        }
    }
}

fn flow((stream, user, allowed, reason): &FlowKey, count: u64) -> Value {
    json!({ "stream": stream, "user": user, "allowed": allowed, "reason": reason, "count": count })
}
