//! Devices of other cities that are not believed.

use std::fs;

use crate::common::{GATE, MAST, engine, example};
use jiff::Timestamp;
use serde_json::{Value, json};
use smart_city_engine::{
    config::City,
    distrust::{Doubt, Doubts},
    engine::{Input, Observer},
};
use smart_city_frame::DeviceId;
use tokio::sync::mpsc;

/// Notes what it is told: the city, the device, and the incident.
#[derive(Debug)]
struct Notes(mpsc::UnboundedSender<(String, DeviceId, Option<String>)>);

impl Observer for Notes {
    fn city(&mut self, _: &City) {}

    fn reading(&mut self, _: DeviceId, _: u16, _: Timestamp, _: &[u8]) {}

    fn isolated(&mut self, _: DeviceId, _: bool) {}

    fn distrusted(&mut self, city: &str, device: DeviceId, doubt: Option<&Doubt>) {
        self.0.send((city.to_owned(), device, doubt.map(|doubt| doubt.incident.clone()))).unwrap();
    }
}

fn doubts<const N: usize>(doubts: [(&str, DeviceId, &str, bool); N]) -> Doubts {
    let doubt = |(city, device, incident, is_held): (&str, _, &str, _)| {
        ((city.to_owned(), device), Doubt { incident: incident.to_owned(), is_held })
    };
    doubts.map(doubt).into()
}

/// Each change is in the audit log, with the id by which it can be joined with the other city's; then all know it. What stays is not told.
#[test]
fn who_is_not_believed_is_known_and_recorded() {
    let dir = example();
    let (mut engine, _) = engine(dir.path());
    let distrusted = engine.distrusted();
    let told = |engine: &mut smart_city_engine::engine::Engine| {
        let (notes, noted) = mpsc::unbounded_channel();
        engine.observe(Notes(notes));
        noted
    };
    let mut first = told(&mut engine);
    let set = doubts([("aoba", GATE, "incident--1", true), ("hibari", GATE, "incident--2", false)]);
    engine.handle([Input::Distrust(set)]).unwrap();
    assert!(
        distrusted.holds("aoba", GATE)
            && !distrusted.holds("aoba", MAST)
            && !distrusted.holds("midori", GATE)
    );
    assert_eq!(
        distrusted.of("hibari", GATE).map(|doubt| (doubt.incident, doubt.is_held)),
        Some(("incident--2".into(), false))
    );
    let told_of = |city: &str, incident: Option<&str>| (city.to_owned(), GATE, incident.map(str::to_owned));
    assert_eq!(first.try_recv(), Ok(told_of("aoba", Some("incident--1"))));
    assert_eq!(first.try_recv(), Ok(told_of("hibari", Some("incident--2"))));

    // In one batch each is compared with the one before.
    let kept = doubts([("hibari", GATE, "incident--2", false)]);
    let other = doubts([("hibari", GATE, "incident--2", true)]);
    engine.handle([Input::Distrust(kept), Input::Distrust(other)]).unwrap();
    assert!(distrusted.of("aoba", GATE).is_none() && distrusted.holds("hibari", GATE));
    assert_eq!(first.try_recv(), Ok(told_of("aoba", None)));
    assert_eq!(first.try_recv(), Ok(told_of("hibari", Some("incident--2"))));
    assert!(first.try_recv().is_err());
    // Who comes later is told what there is.
    let mut second = told(&mut engine);
    assert_eq!(second.try_recv(), Ok(told_of("hibari", Some("incident--2"))));
    assert!(second.try_recv().is_err());

    let log = fs::read_to_string(dir.path().join("audit.jsonl")).unwrap();
    let records = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let records = records.filter(|record| record["event"].as_str().unwrap().contains("trusted"));
    let records: Vec<_> = records.map(|record| json!([record["event"], record["detail"]])).collect();
    let detail = |city: &str, incident: &str, is_held: bool| json!({ "city": city, "device": GATE.to_string(), "incident": incident, "held": is_held });
    let expected = [
        json!(["distrusted", detail("aoba", "incident--1", true)]),
        json!(["distrusted", detail("hibari", "incident--2", false)]),
        json!(["trusted again", detail("aoba", "incident--1", true)]),
        json!(["distrusted", detail("hibari", "incident--2", true)]),
    ];
    assert_eq!(records, expected);
}
