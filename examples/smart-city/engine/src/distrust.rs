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

/// So many changes at once have a record each. Of more, as at the start of a gateway that has learned much, each city has one.
const SINGLE: usize = 64;

/// What the audit log says of what changes: events, and their details.
pub(crate) fn records(before: &Doubts, now: &Doubts) -> Vec<(&'static str, Value)> {
    if changes(before, now).nth(SINGLE).is_none() {
        return changes(before, now).map(|(source, before, now)| record(source, before, now)).collect();
    }
    let mut devices = BTreeMap::<_, Vec<_>>::new();
    for ((city, device), before, now) in changes(before, now) {
        let is_held = now.or(before).is_some_and(|doubt| doubt.is_held);
        devices.entry((event(now), city, is_held)).or_default().push(device.to_string());
    }
    let records = devices.into_iter().map(|((event, city, is_held), devices)| {
        (event, json!({ "city": city, "count": devices.len(), "devices": devices, "held": is_held }))
    });
    records.collect()
}

fn event(now: Option<&Doubt>) -> &'static str {
    if now.is_some() { "distrusted" } else { "trusted again" }
}

fn record(
    (city, device): &(String, DeviceId),
    before: Option<&Doubt>,
    now: Option<&Doubt>,
) -> (&'static str, Value) {
    let doubt = now.or(before);
    let (incident, is_held) = (doubt.map(|doubt| &*doubt.incident), doubt.map(|doubt| doubt.is_held));
    (event(now), json!({ "city": city, "device": device.to_string(), "incident": incident, "held": is_held }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_changes_are_one_record_of_each_city() {
        let doubts = |city: &str, count: u8, is_held| {
            let doubt = move |n| {
                let doubt = Doubt { incident: format!("incident--{n}"), is_held };
                ((city.to_owned(), DeviceId([n; 8])), doubt)
            };
            (0..count).map(doubt).collect::<Vec<_>>()
        };
        let none = Doubts::new();
        let few: Doubts = doubts("a", 64, true).into_iter().collect();
        let records_of_few = records(&none, &few);
        assert_eq!(records_of_few.len(), 64);
        assert_eq!(records_of_few[1].1["incident"], "incident--1");
        let many: Doubts = doubts("a", 64, true).into_iter().chain(doubts("b", 1, false)).collect();
        for (before, now, event) in [(&none, &many, "distrusted"), (&many, &none, "trusted again")] {
            let records = records(before, now);
            let about = |(event, detail): &(&'static str, Value)| {
                (
                    *event,
                    detail["city"].clone(),
                    detail["count"].as_u64(),
                    detail["devices"].as_array().unwrap().len(),
                    detail["held"].clone(),
                )
            };
            let expected = [
                (event, json!("a"), Some(64), 64, json!(true)),
                (event, json!("b"), Some(1), 1, json!(false)),
            ];
            assert_eq!(records.iter().map(about).collect::<Vec<_>>(), expected);
        }
        assert!(records(&many, &many).is_empty());
    }
}
