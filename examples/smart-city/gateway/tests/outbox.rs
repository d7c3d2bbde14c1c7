//! Readings that cannot leave wait in the store, not in memory, and come again.

mod common;

use std::collections::BTreeMap;

use common::{GATE, TestDevice, ask, engine, example, files};
use smart_city_gateway::engine::{Input, OUTGOING, Output};

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
    assert!(given <= OUTGOING + 3 && given > OUTGOING / 2, "{given} messages are under way");
    assert_eq!(ask(&mut first, Input::Status).0["undelivered"], READINGS);
    drop(first);

    // After a restart too; and whenever some have left there are others, each three times and in order.
    let (mut second, outputs) = engine(dir.path());
    let mut seen = BTreeMap::new();
    let mut under_way = take(outputs, &mut seen);
    let mut last = 0;
    while !under_way.is_empty() {
        assert!(under_way.len() <= OUTGOING + 3, "{} messages are under way", under_way.len());
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
