//! Readings that cannot leave wait in the store, not in memory, and come again.

use std::{collections::BTreeMap, sync::Arc};

use crate::common::{GATE, TestDevice, ask, engine, example, files};
use jiff::Timestamp;
use serde_json::json;
use smart_city_engine::{
    audit::Audit,
    config::City,
    engine::{About, Engine, FOREIGN, GIVEN, Handed, Input, OUTGOING, Observer, Output},
    policy::Decision,
};
use smart_city_frame::{Class, DeviceId};
use tokio::sync::{mpsc, oneshot};

const READINGS: usize = 4000;

/// How many messages were given out, and which of them are readings.
fn take(outputs: Vec<Output>, seen: &mut BTreeMap<Vec<u8>, usize>) -> Vec<u64> {
    let readings = outputs.into_iter().filter(|output| output.topic.starts_with("out/"));
    let deliveries = readings.map(|output| {
        *seen.entry(output.payload).or_default() += 1;
        output.delivery.unwrap()
    });
    deliveries.collect()
}

#[test]
fn what_cannot_leave_is_bounded_and_comes_again() {
    let dir = example();
    let (city, _) = files(dir.path());
    let (mut first, _) = engine(dir.path());
    let mut gate = TestDevice::new(GATE, 1, dir.path());
    let mut given = 0;
    for from in (0..READINGS).step_by(500) {
        let inputs: Vec<Input> =
            (from..from + 500).map(|i| gate.reading(1, &city, i.to_string().as_bytes())).collect();
        given += take(first.handle(inputs).unwrap(), &mut BTreeMap::new()).len();
    }
    // Each is for three users.
    assert!((OUTGOING..OUTGOING + 3).contains(&given), "{given} messages are under way");
    assert_eq!(ask(&mut first, Input::Status).0["undelivered"], READINGS);
    drop(first);

    // After a restart too; and whenever some have left there are others, each three times and in order.
    let (mut second, outputs) = engine(dir.path());
    let mut seen = BTreeMap::new();
    let mut under_way = take(outputs, &mut seen);
    let mut last = 0;
    while !under_way.is_empty() {
        assert!(under_way.len() < OUTGOING + 3, "{} messages are under way", under_way.len());
        let left: Vec<u64> = under_way.drain(..under_way.len().min(700)).collect();
        assert!(left.is_sorted() && left[0] >= last);
        last = left[0];
        let outputs = second.handle(left.into_iter().map(Input::Delivered)).unwrap();
        under_way.extend(take(outputs, &mut seen));
    }
    assert_eq!(seen.len(), READINGS);
    assert!(seen.values().all(|count| *count == 3));
    second.handle([Input::Tick]).unwrap();
    assert_eq!(ask(&mut second, Input::Status).0["undelivered"], 0);
    drop(second);
    assert!(engine(dir.path()).1.iter().all(|output| output.delivery.is_none()), "nothing is left");
}

/// Others are given out when less than half of what may be under way is.
#[test]
fn what_waits_is_given_out_when_half_has_left() {
    let dir = example();
    let (city, _) = files(dir.path());
    let (mut engine, _) = engine(dir.path());
    let mut gate = TestDevice::new(GATE, 1, dir.path());
    // Each is for one user.
    let inputs: Vec<Input> = (0..=OUTGOING).map(|_| gate.reading(3, &city, b"1")).collect();
    let given = take(engine.handle(inputs).unwrap(), &mut BTreeMap::new());
    assert_eq!(given.len(), OUTGOING);
    let (half, rest) = given.split_at(OUTGOING / 2);
    assert_eq!(engine.handle(half.iter().copied().map(Input::Delivered)).unwrap(), []);
    assert_eq!(engine.handle([Input::Delivered(rest[0])]).unwrap().len(), 1);
    assert_eq!(engine.handle([Input::Delivered(rest[1])]).unwrap(), []);
}

/// What nobody may have any more when it could leave is left out.
#[test]
fn what_nobody_may_have_any_more_is_dropped() {
    let dir = example();
    let (city, _) = files(dir.path());
    let (mut first, _) = engine(dir.path());
    let mut gate = TestDevice::new(GATE, 1, dir.path());
    assert_eq!(first.handle([gate.reading(3, &city, b"1")]).unwrap().len(), 2);
    drop(first);
    let path = dir.path().join("city.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("min_level = 2", "min_level = 3")).unwrap();
    let (mut second, outputs) = engine(dir.path());
    assert!(outputs.iter().all(|output| output.delivery.is_none()));
    second.handle([Input::Tick]).unwrap();
    assert_eq!(ask(&mut second, Input::Status).0["undelivered"], 0);
    drop(second);
    std::fs::write(&path, text).unwrap();
    assert!(engine(dir.path()).1.iter().all(|output| output.delivery.is_none()), "it is gone");
}

/// The example's files with another stream under the number of the camera, which everybody may see.
fn noise_instead_of_the_camera(dir: &std::path::Path) -> Input {
    let (mut city, secrets) = files(dir);
    let stream = city.streams.get_mut(&3).unwrap();
    (stream.name, stream.stream.class) = ("noise".to_owned(), Class::Public);
    Input::Reload(Ok(Box::new((city, secrets))))
}

/// What waits is of the stream under whose number it was sent, not of the one that has the number when it could leave.
#[test]
fn what_waits_is_not_given_out_as_another_streams() {
    let dir = example();
    let (city, _) = files(dir.path());
    let (mut engine, _) = engine(dir.path());
    let mut gate = TestDevice::new(GATE, 1, dir.path());
    // Each is for one user. The last ones wait in the store.
    let inputs: Vec<Input> = (0..OUTGOING + 10).map(|_| gate.reading(3, &city, b"1")).collect();
    let given = take(engine.handle(inputs).unwrap(), &mut BTreeMap::new());
    assert_eq!(given.len(), OUTGOING);
    let count = |engine: &mut Engine| ask(engine, Input::Status).0["undelivered"].as_u64().unwrap();
    assert_eq!(count(&mut engine), OUTGOING as u64 + 10);
    engine.handle([noise_instead_of_the_camera(dir.path())]).unwrap();
    let mut seen = BTreeMap::new();
    take(engine.handle(given.into_iter().map(Input::Delivered)).unwrap(), &mut seen);
    engine.handle([Input::Tick]).unwrap();
    assert!(seen.is_empty() && count(&mut engine) == 0, "{seen:?}");
}

/// Notes of which streams it was told readings.
#[derive(Debug)]
struct Notes(mpsc::UnboundedSender<u16>);

impl Observer for Notes {
    fn city(&mut self, _: &City) {}

    fn reading(&mut self, _: DeviceId, stream: u16, _: Timestamp, _: &[u8]) {
        self.0.send(stream).unwrap();
    }

    fn isolated(&mut self, _: DeviceId, _: bool) {}
}

/// In one batch with the change of files the observer is told of the new ones first, and takes the numbers for theirs.
#[test]
fn the_observer_is_not_told_of_another_stream() {
    let dir = example();
    let (city, _) = files(dir.path());
    let (mut engine, _) = engine(dir.path());
    let (notes, mut noted) = mpsc::unbounded_channel();
    engine.observe(Notes(notes));
    let mut gate = TestDevice::new(GATE, 1, dir.path());
    let readings = [gate.reading(3, &city, b"1"), gate.reading(1, &city, b"2")];
    engine.handle(readings.into_iter().chain([noise_instead_of_the_camera(dir.path())])).unwrap();
    assert_eq!((noted.try_recv(), noted.try_recv().ok()), (Ok(1), None));
}

/// What no user may see, another city may.
#[test]
fn observers_are_told_of_readings_that_no_user_may_see() {
    let dir = example();
    let (mut city, secrets) = files(dir.path());
    city.streams.get_mut(&3).unwrap().min_level = 9;
    let (mut engine, _) = engine(dir.path());
    let (notes, mut noted) = mpsc::unbounded_channel();
    engine.observe(Notes(notes));
    let mut gate = TestDevice::new(GATE, 1, dir.path());
    let reading = gate.reading(3, &city, b"1");
    let mut seen = BTreeMap::new();
    take(engine.handle([Input::Reload(Ok(Box::new((city, secrets)))), reading]).unwrap(), &mut seen);
    assert_eq!((noted.try_recv(), seen), (Ok(3), BTreeMap::new()));
    assert_eq!(ask(&mut engine, Input::Status).0["undelivered"], 0);
}

/// Readings of other cities have room of their own: they do not take that of the city's, and do not fill the memory.
#[test]
fn what_other_cities_hand_over_is_bounded() {
    let dir = example();
    let (city, _) = files(dir.path());
    let (mut engine, _) = engine(dir.path());
    let handed = |i: usize| Handed {
        stream: "aoba/x".to_owned(),
        about: Arc::new(About { content_type: String::new(), properties: Vec::new() }),
        payload: format!("foreign {i}").into_bytes(),
        users: ["hana".to_owned(), "ren".to_owned()].into(),
        decisions: [
            Decision { allowed: true, reason: String::new() },
            Decision { allowed: false, reason: "why".to_owned() },
        ]
        .into(),
    };
    let room = |engine: &mut Engine| {
        let (reply, mut room) = oneshot::channel();
        engine.handle([Input::Room(reply)]).unwrap();
        room.try_recv().unwrap()
    };
    assert_eq!(room(&mut engine), GIVEN);
    engine.handle([Input::Give((0..=GIVEN).map(handed).collect())]).unwrap();
    assert_eq!(room(&mut engine), 0);
    engine.handle((0..=GIVEN).map(|_| Input::Delivered(FOREIGN))).unwrap();
    assert_eq!(room(&mut engine), GIVEN);
    let readings = (1..GIVEN).map(handed).collect();
    let mut given = take(engine.handle([Input::Give(readings)]).unwrap(), &mut BTreeMap::new());
    assert_eq!(room(&mut engine), 1);
    let last = engine.handle([Input::Give(vec![handed(GIVEN)])]).unwrap();
    given.extend(take(last, &mut BTreeMap::new()));
    assert_eq!((given.len(), room(&mut engine)), (GIVEN, 0));
    // All of the city's own still go out.
    let mut gate = TestDevice::new(GATE, 1, dir.path());
    let inputs: Vec<Input> = (0..OUTGOING).map(|_| gate.reading(3, &city, b"1")).collect();
    assert_eq!(take(engine.handle(inputs).unwrap(), &mut BTreeMap::new()).len(), OUTGOING);
    engine.handle(given.into_iter().take(2).map(Input::Delivered)).unwrap();
    assert_eq!(room(&mut engine), 2);
    let status = ask(&mut engine, Input::Status).0;
    assert_eq!(status["undelivered"], OUTGOING);
    // Who received it, and who did not and why, is told as of own streams.
    let flows = status["flows"].as_array().unwrap().iter().filter(|flow| flow["stream"] == "aoba/x");
    let flows: Vec<_> = flows.map(|flow| (&flow["user"], &flow["reason"], &flow["count"])).collect();
    let count = json!(2 * GIVEN + 1);
    assert_eq!(flows, [(&json!("hana"), &json!(""), &count), (&json!("ren"), &json!("why"), &count)]);
    let log = std::fs::read_to_string(Audit::path(dir.path())).unwrap();
    let decided = log.lines().filter(|line| line.contains("\"decided\"") && line.contains("aoba/x")).count();
    assert_eq!(decided, 2);
}
