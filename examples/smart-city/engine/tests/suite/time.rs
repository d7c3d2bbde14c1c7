//! What happens when time passes, and nothing before its time.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use smart_city_engine::{
    audit::Audit,
    engine::{Engine, Input, Output},
};
use smart_city_frame::Kind;
use tokio::sync::oneshot;

use crate::{
    common::{GATE, TestDevice, engine, example, files, is_isolated, message},
    memory::{again, down, isolate},
};

/// The details of the records of an event.
fn records(dir: &Path, event: &str) -> Vec<Value> {
    let text = fs::read_to_string(Audit::path(dir)).unwrap();
    let records = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    records.filter(|record| record["event"] == event).map(|record| record["detail"].clone()).collect()
}

fn tick(engine: &mut Engine, at: Instant) -> Vec<Output> {
    engine.handle_at([Input::Tick], at).unwrap()
}

#[test]
fn the_audit_log_sums_up_once_a_minute() {
    let dir = example();
    let (city, _) = files(dir.path());
    let (mut engine, _) = engine(dir.path());
    let mut gate = TestDevice::new(GATE, 1, dir.path());
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let reading = gate.reading(1, &city, b"1");
    let inputs = [again(&reading), again(&reading), again(&reading), message("up", b"")];
    engine.handle_at(inputs, at(0)).unwrap();
    tick(&mut engine, at(30));
    assert_eq!(records(dir.path(), "refused"), Vec::<Value>::new());
    tick(&mut engine, at(61));
    let first = json!({ "replayed": 2, "topic": 1 });
    assert_eq!(records(dir.path(), "refused"), std::slice::from_ref(&first));
    engine.handle_at([reading], at(62)).unwrap();
    tick(&mut engine, at(63));
    assert_eq!(records(dir.path(), "refused").len(), 1);
    tick(&mut engine, at(122));
    assert_eq!(records(dir.path(), "refused"), [first, json!({ "replayed": 1 })]);

    // A commit without a record is noted, so that a store that is set back is found; and once.
    tick(&mut engine, at(183));
    assert_eq!(records(dir.path(), "stored").len(), 0);
    engine.handle_at([gate.reading(1, &city, b"2")], at(184)).unwrap();
    tick(&mut engine, at(185));
    assert_eq!(records(dir.path(), "stored").len(), 0);
    for later in [244, 305, 366] {
        tick(&mut engine, at(later));
        assert_eq!(records(dir.path(), "stored").len(), 1, "{later}");
    }
}

/// The example waits 2 s for evidence, three times. A device that does not answer when it is to be restored stays isolated.
#[test]
fn a_restoration_without_evidence_recovers_nothing() {
    let dir = example();
    let (city, _) = files(dir.path());
    let (mut engine, _) = engine(dir.path());
    let (mut gate, _) = isolate(&mut engine, dir.path());
    let genuine = fs::read(dir.path().join("code/open_gate.bin")).unwrap();
    let start = Instant::now();
    let at = |ms| start + Duration::from_millis(ms);
    let (reply, _answer) = oneshot::channel();
    let recover = Input::Recover { device: GATE, operator: "kana".to_owned(), reply };
    let sent = down(&engine.handle_at([recover], at(0)).unwrap(), Kind::Instruction);
    assert_eq!(sent.len(), 1);
    // Nor is it sent again for each frame that comes.
    assert_eq!(engine.handle_at([gate.reading(1, &city, b"2")], at(100)).unwrap(), []);
    for (ms, again) in [(1900, 0), (2000, 1), (2001, 0), (3999, 0), (4000, 1), (4001, 0), (6000, 0)] {
        assert_eq!(down(&tick(&mut engine, at(ms)), Kind::Instruction), sent[..again], "{ms}");
        assert!(is_isolated(&mut engine, GATE), "{ms}");
    }
    // It may have opened an epoch that nobody heard of: it is asked for one, and restored in that.
    let mut request = down(&tick(&mut engine, at(6001)), Kind::EpochRequest);
    gate.link.open_epoch_request(GATE, &mut request[0]).unwrap();
    let mut gate = TestDevice { link: TestDevice::new(GATE, 2, dir.path()).link, ..gate };
    let outputs = engine.handle_at([gate.reading(1, &city, b"3")], at(6100)).unwrap();
    let instruction = down(&outputs, Kind::Instruction);
    engine.handle_at([gate.follow(&instruction[0], &genuine)], at(6200)).unwrap();
    assert!(!is_isolated(&mut engine, GATE));
}

/// A device that starts anew while it is to be restored cannot open the instruction any more: it gets another one.
#[test]
fn a_restoration_goes_on_in_the_next_epoch() {
    let dir = example();
    let (city, _) = files(dir.path());
    let (mut engine, _) = engine(dir.path());
    let (gate, _) = isolate(&mut engine, dir.path());
    let genuine = fs::read(dir.path().join("code/open_gate.bin")).unwrap();
    let first = down(&crate::memory::recover(&mut engine), Kind::Instruction);
    let mut gate = TestDevice { link: TestDevice::new(GATE, 2, dir.path()).link, ..gate };
    let outputs = engine.handle([gate.reading(1, &city, b"1")]).unwrap();
    let second = down(&outputs, Kind::Instruction);
    assert!(second.len() == 1 && second != first);
    engine.handle([gate.follow(&second[0], &genuine)]).unwrap();
    assert!(!is_isolated(&mut engine, GATE));
}

/// Evidence that is missing once is not asked for again before its time.
#[test]
fn an_instruction_is_sent_again_after_each_deadline() {
    let dir = example();
    let (city, _) = files(dir.path());
    let (mut engine, _) = engine(dir.path());
    let mut gate = TestDevice::new(GATE, 1, dir.path());
    engine.handle([gate.reading(1, &city, b"1")]).unwrap();
    let start = Instant::now();
    let at = |ms| start + Duration::from_millis(ms);
    let (reply, _answer) = oneshot::channel();
    let (argument, operator) = (b"on".to_vec(), "kana".to_owned());
    let instruct = Input::Instruct { device: GATE, region: 1, argument, operator, reply };
    let sent = down(&engine.handle_at([instruct], at(0)).unwrap(), Kind::Instruction);
    for (ms, again) in
        [(1999, 0), (2000, 1), (2001, 0), (3999, 0), (4000, 1), (4001, 0), (6000, 0), (9000, 0)]
    {
        assert_eq!(down(&tick(&mut engine, at(ms)), Kind::Instruction), sent[..again], "{ms}");
    }
    // A device that is silent keeps its epoch.
    assert_eq!(engine.handle_at([gate.reading(1, &city, b"2")], at(9001)).unwrap().len(), 4);
}

/// A device that sends in an ended epoch is there: it is asked soon, and who sends anything else changes nothing.
#[test]
fn a_device_that_is_there_is_asked_soon() {
    let dir = example();
    let (city, _) = files(dir.path());
    let mut gate = TestDevice::new(GATE, 1, dir.path());
    let (mut first, _) = engine(dir.path());
    first.handle([gate.reading(1, &city, b"1")]).unwrap();
    drop(first);
    let (mut engine, _) = engine(dir.path());
    let mut now = Instant::now();
    // After the one at the start: half a second, one, two and four. The next pause is of eight seconds.
    for _ in 0..4 {
        while down(&tick(&mut engine, now), Kind::EpochRequest).is_empty() {
            now += Duration::from_millis(100);
        }
    }
    engine.handle_at([message(format!("up/{GATE}/1"), b"no frame")], now).unwrap();
    now += Duration::from_secs(2);
    assert_eq!(tick(&mut engine, now), []);
    engine.handle_at([gate.reading(1, &city, b"2")], now).unwrap();
    assert_eq!(tick(&mut engine, now + Duration::from_millis(900)), []);
    let requests = down(&tick(&mut engine, now + Duration::from_millis(1100)), Kind::EpochRequest);
    assert_eq!(requests.len(), 1);
}
