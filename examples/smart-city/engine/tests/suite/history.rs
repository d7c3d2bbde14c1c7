//! The history of readings: bounded, and seen by those alone who may see it now.

use std::fs;

use jiff::{Timestamp, ToSpan as _};
use redb::backends::FileBackend;
use smart_city_engine::{
    audit::Head,
    engine::{Engine, Input, Past, Wanted},
    store::{Bounds, Changes, Found, Reading, Store},
};
use smart_city_frame::DeviceId;

use crate::{
    common::{GATE, MAST, TestDevice, ask, engine, example, files},
    memory::instruct,
};

/// The example with a history.
fn with_history(bounds: &str) -> tempfile::TempDir {
    let dir = example();
    let path = dir.path().join("city.toml");
    let city = fs::read_to_string(&path).unwrap();
    fs::write(path, format!("history = {bounds}\n{city}")).unwrap();
    dir
}

fn wanted(stream: &str) -> Wanted {
    let stream = stream.to_owned();
    Wanted { stream, device: None, from: Timestamp::MIN, to: Timestamp::MAX, limit: 100 }
}

fn ask_for(engine: &mut Engine, user: &str, wanted: Wanted) -> Vec<Past> {
    ask(engine, |reply| Input::History { user: user.to_owned(), wanted, reply }).0
}

fn texts(past: Vec<Past>) -> Vec<String> {
    past.into_iter().map(|past| String::from_utf8(past.payload).unwrap()).collect()
}

#[test]
fn users_see_of_the_past_what_they_may_see_now() {
    let dir = with_history("{ hours = 1, most = 100 }");
    let (city, _) = files(dir.path());
    let (mut gateway, _) = engine(dir.path());
    let mut gate = TestDevice::new(GATE, 1, dir.path());
    let mut mast = TestDevice::new(MAST, 1, dir.path());
    for i in 0..3 {
        for stream in 1..=3 {
            let device = if stream == 2 { &mut mast } else { &mut gate };
            let reading = device.reading(stream, &city, format!("{stream} {i}").as_bytes());
            gateway.handle([reading]).unwrap();
        }
    }
    let see = |gateway: &mut Engine| {
        ["hana", "ren", "sora", "nobody"].map(|user| {
            ["traffic-flow", "air-quality", "gate-camera", "none"]
                .map(|stream| ask_for(gateway, user, wanted(stream)).len())
        })
    };
    // As the policy says of each; and it says so of nobody and nothing.
    assert_eq!(see(&mut gateway), [[3, 0, 3, 0], [3, 3, 0, 0], [3, 3, 0, 0], [0; 4]]);
    let all = ask_for(&mut gateway, "hana", wanted("gate-camera"));
    assert_eq!(all[0].about.properties[1], ("device".to_owned(), GATE.to_string()));
    assert_eq!(texts(all.clone()), ["3 0", "3 1", "3 2"]);
    let time = |i: usize| all[i].about.properties[4].1.parse::<Timestamp>().unwrap();
    for (wanted, expected) in [
        (Wanted { from: time(1), ..wanted("gate-camera") }, &["3 1", "3 2"][..]),
        (Wanted { to: time(1), ..wanted("gate-camera") }, &["3 0", "3 1"]),
        (Wanted { limit: 1, ..wanted("gate-camera") }, &["3 0"]),
        (Wanted { device: Some(GATE), ..wanted("gate-camera") }, &["3 0", "3 1", "3 2"]),
        (Wanted { device: Some(MAST), ..wanted("gate-camera") }, &[]),
    ] {
        assert_eq!(texts(ask_for(&mut gateway, "hana", wanted)), expected);
    }

    // It outlives the process; and readings of an isolated device are as if they were not there.
    drop(gateway);
    let (mut gateway, _) = engine(dir.path());
    assert_eq!(see(&mut gateway)[0], [3, 0, 3, 0]);
    let mut gate = TestDevice::new(GATE, 2, dir.path());
    gateway.handle([gate.reading(1, &city, b"1 3")]).unwrap();
    assert_eq!(texts(ask_for(&mut gateway, "ren", wanted("traffic-flow"))).last().unwrap(), "1 3");
    let genuine = gate.code.clone();
    gate.code[0] ^= 1;
    let (sent, outputs) = instruct(&mut gateway);
    sent.unwrap();
    let instruction = outputs.iter().find(|output| output.topic.starts_with("down/")).unwrap();
    gateway.handle([gate.follow(&instruction.payload, &genuine)]).unwrap();
    assert_eq!(see(&mut gateway), [[0, 0, 0, 0], [0, 3, 0, 0], [0, 3, 0, 0], [0; 4]]);
}

/// Also what nobody may have is kept, for those who may see it later; and only as much as is wanted.
#[test]
fn the_newest_readings_stay() {
    let dir = with_history("{ hours = 1, most = 5 }");
    let path = dir.path().join("city.toml");
    let right = fs::read_to_string(&path).unwrap();
    let nobody = right.replace(
        "departments = [\"traffic\", \"rescue\"]\nmin_level = 2",
        "departments = [\"rescue\"]\nmin_level = 9",
    );
    assert_ne!(right, nobody);
    fs::write(&path, nobody).unwrap();
    let (mut gateway, _) = engine(dir.path());
    let mut gate = TestDevice::new(GATE, 1, dir.path());
    let (city, _) = files(dir.path());
    for i in 0..9 {
        gateway.handle([gate.reading(3, &city, i.to_string().as_bytes())]).unwrap();
    }
    assert!(ask_for(&mut gateway, "hana", wanted("gate-camera")).is_empty());
    let reload = |gateway: &mut Engine, text: &str| {
        fs::write(&path, text).unwrap();
        gateway.handle([Input::Reload(Ok(Box::new(files(dir.path()))))]).unwrap();
    };
    reload(&mut gateway, &right);
    assert_eq!(texts(ask_for(&mut gateway, "hana", wanted("gate-camera"))), ["4", "5", "6", "7", "8"]);
    // Less is wanted, then nothing, then a history again.
    reload(&mut gateway, &right.replace("most = 5", "most = 2"));
    assert_eq!(texts(ask_for(&mut gateway, "hana", wanted("gate-camera"))), ["7", "8"]);
    reload(&mut gateway, right.split_once('\n').unwrap().1);
    assert!(ask_for(&mut gateway, "hana", wanted("gate-camera")).is_empty());
    gateway.handle([gate.reading(3, &city, b"9")]).unwrap();
    reload(&mut gateway, &right);
    assert!(ask_for(&mut gateway, "hana", wanted("gate-camera")).is_empty());
}

#[test]
fn old_readings_go() {
    let dir = tempfile::tempdir().unwrap();
    let disk = |file| Ok(FileBackend::new(file)?);
    let (mut store, stored) = Store::create(dir.path(), disk).unwrap();
    assert_eq!((stored.next, stored.history), (0, (0, None)));
    let start = Timestamp::now();
    let at = |i: u64| start + i64::try_from(i).unwrap().minutes();
    let reading = |number: u64| {
        let (key, time) = ([0; 16], at(number));
        (number, Reading { device: [7; 8], key, stream: 1, epoch: 1, counter: 1, time, payload: vec![1] })
    };
    let bounds = |from| Bounds { most: 5000, from };
    let changes =
        Changes { accepted: (0..3000).map(reading).collect(), history: bounds(0), ..Changes::default() };
    store.commit(&changes, &Head::default()).unwrap();
    let times = |store: &Store| {
        let all = store.history(DeviceId([7; 8]), 1, (i64::MIN, i64::MAX), 5000).unwrap();
        (all.len(), all.first().map(|reading| reading.time))
    };
    assert_eq!(times(&store), (3000, Some(at(0))));
    // Not all at once: others wait for it.
    let later = Changes { history: bounds(at(2000).as_microsecond()), ..Changes::default() };
    for left in [1976, 1000, 1000] {
        store.commit(&later, &Head::default()).unwrap();
        assert_eq!(times(&store), (left, Some(at(3000 - u64::try_from(left).unwrap()))));
    }
    let generation = store.generation();
    store.commit(&later, &Head::default()).unwrap();
    assert_eq!(store.generation(), generation, "nothing is written if nothing changes");
    drop(store);
    let Found::Whole(store, stored) = Store::find(dir.path(), disk).unwrap() else { panic!() };
    assert_eq!((stored.next, stored.history), (3000, (1000, Some(at(2000).as_microsecond()))));
    assert_eq!(times(&store), (1000, Some(at(2000))));
    assert!(store.history(DeviceId([7; 8]), 2, (i64::MIN, i64::MAX), 9).unwrap().is_empty());
    assert!(store.history(DeviceId([8; 8]), 1, (i64::MIN, i64::MAX), 9).unwrap().is_empty());
}
