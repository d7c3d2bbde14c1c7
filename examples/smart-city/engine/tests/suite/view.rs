//! What those are told who watch: what has changed, and no more.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use smart_city_engine::{
    config::City,
    engine::{Engine, Input},
    view::{Known, MOST, SharedView},
};
use smart_city_frame::Kind;

use crate::{
    common::{GATE, MAST, TestDevice, ask, engine, example, files, message},
    memory::down,
};

/// Somebody who watches.
struct Watcher(SharedView, Known);

impl Watcher {
    fn of(engine: &Engine) -> Self {
        Self(engine.view(), Known::default())
    }

    fn told(&mut self) -> Value {
        let (told, _, known) = self.0.changes(self.1);
        self.1 = known;
        told
    }
}

/// A field of each of some.
fn each(told: &Value, list: &str, field: &str) -> Vec<Value> {
    told[list].as_array().unwrap().iter().map(|one| one[field].clone()).collect()
}

fn reload(engine: &mut Engine, dir: &Path) {
    engine.handle([Input::Reload(Ok(Box::new(files(dir)))), Input::Tick]).unwrap();
}

#[test]
fn each_change_is_told_once() {
    let dir = example();
    let (mut engine, _) = engine(dir.path());
    let (city, _) = files(dir.path());
    let mut gate = TestDevice::new(GATE, 1, dir.path());
    let genuine = gate.code.clone();
    let mut watcher = Watcher::of(&engine);
    let all = watcher.told();
    assert_eq!((&all["whole"], &all["more"], &all["city"]), (&json!(true), &json!(false), &json!("midori")));
    assert_eq!(each(&all, "devices", "name"), ["Gate 1", "Weather mast"]);
    assert_eq!(each(&all, "events", "event"), ["started"]);
    assert!(!all.to_string().contains("store"), "the identity of the store is for auditors");
    let nothing = |watcher: &mut Watcher, engine: &mut Engine| {
        engine.handle([Input::Tick]).unwrap();
        let told = watcher.told();
        let lists = ["devices", "events", "samples"].map(|list| told[list].as_array().unwrap().len());
        assert_eq!((lists, &told["whole"]), ([0; 3], &json!(false)), "{told}");
    };
    nothing(&mut watcher, &mut engine);

    // The first frame shows that it is there. More of them change nothing that is told of all devices.
    let reading = |gate: &mut TestDevice| gate.reading(1, &city, b"1");
    engine.handle([reading(&mut gate)]).unwrap();
    engine.handle([Input::Tick]).unwrap();
    let told = watcher.told();
    let expected = json!([{
        "id": GATE.to_string(), "name": "Gate 1", "place": [3, 4], "position": [139.7528, 35.6852], "state": "none",
        "isolated": false, "silent": false,
    }]);
    assert_eq!(told["devices"], expected);
    engine.handle([reading(&mut gate), message("up", b"")]).unwrap();
    nothing(&mut watcher, &mut engine);

    // Altered code, and what is said of it to who may not read the audit log.
    let instruct = |reply| Input::Instruct {
        device: GATE,
        region: 1,
        argument: vec![],
        operator: "kana".to_owned(),
        reply,
    };
    let outputs = ask(&mut engine, instruct).1;
    gate.code[0] ^= 1;
    engine.handle([gate.follow(&outputs[0].payload, &genuine)]).unwrap();
    engine.handle([Input::Tick]).unwrap();
    let told = watcher.told();
    assert_eq!(
        (each(&told, "devices", "isolated"), &told["counts"]["isolated"]),
        (vec![json!(true)], &json!(1))
    );
    assert_eq!(each(&told, "events", "event"), ["isolated"]);
    let detail = json!({ "device": GATE.to_string(), "function": "open_gate", "again": false });
    assert_eq!(told["events"][0]["detail"], detail);
    let recover = |reply| Input::Recover { device: GATE, operator: "kana".to_owned(), reply };
    let outputs = ask(&mut engine, recover).1;
    engine.handle([gate.follow(&down(&outputs, Kind::Instruction)[0], &genuine)]).unwrap();
    engine.handle([Input::Tick]).unwrap();
    let told = watcher.told();
    assert_eq!(each(&told, "devices", "isolated"), [json!(false)]);
    assert_eq!(each(&told, "events", "event"), ["recovery begun", "recovered"]);
    assert!(!told.to_string().contains("kana"), "who did it is for auditors");

    // Faults and reloads.
    let wrong = || Input::Reload(City::read(dir.path()).map(|_| unreachable!()));
    engine.handle([wrong(), Input::Tick]).unwrap();
    let told = watcher.told();
    assert!(told["fault"].is_string() && each(&told, "events", "event") == ["configuration refused"]);
    reload(&mut engine, dir.path());
    let told = watcher.told();
    assert!(told["fault"].is_null() && each(&told, "events", "event") == ["configuration loaded"]);
    assert_eq!((&told["devices"], &told["whole"]), (&json!([]), &json!(false)), "no device is another one");
    let path = dir.path().join("city.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("Weather mast", "Mast")).unwrap();
    reload(&mut engine, dir.path());
    let told = watcher.told();
    assert_eq!((each(&told, "devices", "name"), &told["whole"]), (vec![json!("Mast")], &json!(false)));

    // Who comes later is told what has happened, also after a restart.
    let events = each(&Watcher::of(&engine).told(), "events", "event");
    assert_eq!(events[..4], ["started", "isolated", "recovery begun", "recovered"]);
    drop(engine);
    let (engine, _) = crate::common::engine(dir.path());
    let again = each(&Watcher::of(&engine).told(), "events", "event");
    assert_eq!((&again[..events.len()], &again[events.len()..]), (&events[..], &[json!("started")][..]));
}

/// A device that is taken away goes from what is told, and from the counts.
#[test]
fn all_are_told_anew_if_some_are_gone() {
    let dir = example();
    let (mut engine, _) = engine(dir.path());
    let mut watcher = Watcher::of(&engine);
    watcher.told();
    let (mut city, secrets) = files(dir.path());
    city.devices.remove(&MAST);
    engine.handle([Input::Reload(Ok(Box::new((city, secrets)))), Input::Tick]).unwrap();
    let told = watcher.told();
    assert_eq!((each(&told, "devices", "name"), &told["whole"]), (vec![json!("Gate 1")], &json!(true)));
    let counts = json!({ "devices": 1, "states": { "none": 1 }, "isolated": 0, "silent": 1 });
    assert_eq!(told["counts"], counts);
    assert_eq!(watcher.told()["whole"], json!(false));
}

/// However many devices there are, one answer has a bounded number of them, and together the answers have each once.
#[test]
fn many_are_told_in_parts() {
    let dir = example();
    let (mut engine, _) = engine(dir.path());
    let (mut city, secrets) = files(dir.path());
    let entry = city.devices[&MAST].clone();
    let number = 2 * u32::try_from(MOST).unwrap() + 1;
    let mut known = std::sync::Arc::into_inner(secrets).unwrap();
    for i in 0..number {
        let [_, high, middle, low] = (0x100 + i).to_be_bytes();
        let id = smart_city_frame::DeviceId([0x70, 0xb3, 0xd5, 0xff, 0xfe, high, middle, low]);
        city.devices.insert(id, entry.clone());
        let secret = (crate::common::root(MAST), known.gateway_password.clone());
        known.devices.insert(id, secret);
    }
    engine.handle([Input::Reload(Ok(Box::new((city, known.into())))), Input::Tick]).unwrap();
    let mut watcher = Watcher::of(&engine);
    let mut ids = Vec::new();
    loop {
        let told = watcher.told();
        assert!(told["devices"].as_array().unwrap().len() <= MOST);
        assert_eq!(told["whole"], json!(ids.is_empty()));
        ids.extend(each(&told, "devices", "id").iter().map(|id| id.as_str().unwrap().to_owned()));
        if told["more"] == json!(false) {
            break;
        }
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), MOST * 2 + 3);
}

/// A device is silent as soon as the time is over that the file says, and until it is heard.
#[test]
fn silence_is_told() {
    let dir = example();
    let path = dir.path().join("city.toml");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains("# silent_minutes = 10"));
    fs::write(&path, text.replace("# silent_minutes = 10", "silent_minutes = 3")).unwrap();
    let (mut engine, _) = engine(dir.path());
    let (city, _) = files(dir.path());
    let mut gate = TestDevice::new(GATE, 1, dir.path());
    let (start, clock) = (Instant::now(), Timestamp::now());
    let mut at = |seconds: u32, inputs: Vec<Input>| {
        let (now, clock) =
            (start + Duration::from_secs(seconds.into()), clock + SignedDuration::from_secs(seconds.into()));
        engine.handle_by(inputs, now, clock).unwrap();
        engine.handle_by([Input::Tick], now, clock).unwrap();
        let told = engine.view().summary();
        told.counts.silent
    };
    assert_eq!(at(0, vec![]), 2);
    assert_eq!(at(1, vec![gate.reading(1, &city, b"1")]), 1);
    assert_eq!(at(180, vec![]), 1);
    assert_eq!(at(187, vec![]), 2);
    assert_eq!(at(190, vec![gate.reading(1, &city, b"2")]), 1);
}

/// Rates and times are of the time since the sample before.
#[test]
fn samples_say_how_much_there_was_to_do() {
    let dir = example();
    let (mut engine, _) = engine(dir.path());
    let (city, _) = files(dir.path());
    let mut gate = TestDevice::new(GATE, 1, dir.path());
    let mut watcher = Watcher::of(&engine);
    let start = Instant::now();
    let mut at = |seconds: u64, inputs: Vec<Input>| {
        let now = start + Duration::from_secs(seconds);
        engine.handle_at(inputs, now).unwrap();
        engine.handle_at([Input::Tick], now).unwrap();
        watcher.told()["samples"].clone()
    };
    assert_eq!(at(1, vec![]), json!([]));
    let frames = (0..20).map(|_| gate.reading(1, &city, b"1"));
    assert_eq!(at(2, frames.chain([message("up", b"")]).collect()), json!([]));
    let first = at(10, vec![]);
    assert_eq!(first.as_array().unwrap().len(), 1);
    for (field, about) in [("accepted", 2.0), ("refused", 0.1)] {
        let value = first[0][field].as_f64().unwrap();
        assert!((value / about - 1.0).abs() < 0.01, "{first}");
    }
    let (mean, longest) = (first[0]["mean"].as_f64().unwrap(), first[0]["longest"].as_f64().unwrap());
    assert!(0.0 < mean && mean < longest, "{first}");
    assert_eq!(at(11, vec![]), json!([]));
    assert_eq!(at(20, vec![])[0]["accepted"], json!(0.0));
}
