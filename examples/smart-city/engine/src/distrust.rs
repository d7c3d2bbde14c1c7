//! Devices of other cities whose readings are not believed now, because the city whose they are has said so.
//!
//! It is the one place that says so: whoever gives out what another city has handed over asks [`Distrust::of`] for its owner and its device,
//! as the engine asks of an own device whether it is isolated. What came before is meant, too. Who decides it is beside the engine, which
//! [takes it over](crate::engine::Input::Distrust), has it in the audit log, and tells its [observers](crate::engine::Observer::distrusted).

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
};

use serde_json::{Value, json};
use smart_city_frame::DeviceId;

/// Why a device of another city is not believed, and what becomes of its readings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// The report's id, by which the audit logs of both cities can be joined.
    pub incident: String,
    /// Whether nobody gets its readings. Otherwise they are marked.
    pub is_held: bool,
}

/// Owners and their devices, with the doubts about them.
pub type Doubts = BTreeMap<(String, DeviceId), Doubt>;

/// The doubts of the moment, which the engine writes and others read.
#[derive(Clone, Debug, Default)]
pub struct Distrust(Arc<RwLock<Doubts>>);

impl Distrust {
    fn read(&self) -> RwLockReadGuard<'_, Doubts> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why a device of another city is not believed; none if it is.
    #[must_use]
    pub fn of(&self, owner: &str, device: DeviceId) -> Option<Doubt> {
        let doubts = self.read();
        // Mostly there are none.
        if doubts.is_empty() { None } else { doubts.get(&(owner.to_owned(), device)).cloned() }
    }

    /// Whether nobody gets what a device of another city has measured.
    #[must_use]
    pub fn holds(&self, owner: &str, device: DeviceId) -> bool {
        self.of(owner, device).is_some_and(|doubt| doubt.is_held)
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> Doubts {
        self.read().clone()
    }

    /// From now on these hold; returns those of before. The engine does it when it has stored that.
    #[must_use]
    pub fn replace(&self, doubts: Doubts) -> Doubts {
        std::mem::replace(&mut *self.0.write().unwrap_or_else(PoisonError::into_inner), doubts)
    }
}

/// What changes: whose device, the doubt of before, and that of now.
pub(crate) fn changes<'a>(
    before: &'a Doubts,
    now: &'a Doubts,
) -> impl Iterator<Item = (&'a (String, DeviceId), Option<&'a Doubt>, Option<&'a Doubt>)> {
    let gone = before.iter().filter(|(source, _)| !now.contains_key(source));
    let gone = gone.map(|(source, doubt)| (source, Some(doubt), None));
    let current = now.iter().map(|(source, doubt)| (source, before.get(source), Some(doubt)));
    gone.chain(current).filter(|(_, before, now)| before != now)
}

/// What the audit log says of a change: the event, and its detail.
pub(crate) fn record(
    (city, device): &(String, DeviceId),
    before: Option<&Doubt>,
    now: Option<&Doubt>,
) -> (&'static str, Value) {
    let event = if now.is_some() { "distrusted" } else { "trusted again" };
    let doubt = now.or(before);
    let (incident, is_held) = (doubt.map(|doubt| &*doubt.incident), doubt.map(|doubt| doubt.is_held));
    (event, json!({ "city": city, "device": device.to_string(), "incident": incident, "held": is_held }))
}
