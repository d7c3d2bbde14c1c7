//! The history of readings: bounded, and seen by those alone who may see it now.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use jiff::{Timestamp, ToSpan as _};
use redb::{Database, ReadableTable as _, TableDefinition};
use smart_city_engine::{
    config::{City, History},
    engine::{Engine, Input, Past, Reader, Wanted},
    file::FileStore,
    store::Found,
};
use smart_city_frame::{Class, DeviceId, Kind};
use tokio::sync::oneshot;

use crate::{
    common::{GATE, MAST, TestDevice, ask, engine, example, files},
    memory::{down, instruct},
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
    let (excerpt, _) =
        ask(engine, |reply| Input::History { reader: Reader::User(user.to_owned()), wanted, reply });
    excerpt.unwrap().map_or_else(Vec::new, |excerpt| excerpt.read(|| true).unwrap())
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

/// The example's files after a change.
fn changed(dir: &Path, change: impl FnOnce(&mut City)) -> Input {
    let (mut city, secrets) = files(dir);
    change(&mut city);
    Input::Reload(Ok(Box::new((city, secrets))))
}

/// Another stream that has got the number of a stream has none of its readings, whoever asks; the same one has them, when it is back.
#[test]
fn a_stream_has_its_own_readings_alone() {
    let dir = with_history("{ hours = 1, most = 100 }");
    let (mut gateway, _) = engine(dir.path());
    let (city, _) = files(dir.path());
    let mut gate = TestDevice::new(GATE, 1, dir.path());
    gateway.handle([gate.reading(3, &city, b"camera")]).unwrap();
    let everybody = |gateway: &mut Engine| {
        let each = ["hana", "ren", "sora"].map(|user| {
            let streams = ["gate-camera", "noise", "traffic-flow", "air-quality"];
            streams.map(|stream| ask_for(gateway, user, wanted(stream)).len()).iter().sum::<usize>()
        });
        each.iter().sum::<usize>()
    };
    assert_eq!(everybody(&mut gateway), 1);
    let other = |name: Option<&'static str>, class: Option<Class>, owner: Option<&'static str>| {
        changed(dir.path(), |city| {
            let stream = city.streams.get_mut(&3).unwrap();
            stream.name = name.unwrap_or(&stream.name).to_owned();
            stream.stream.class = class.unwrap_or(stream.stream.class);
            stream.owner = owner.unwrap_or(&stream.owner).to_owned();
            stream.partners.clear();
        })
    };
    let gone = changed(dir.path(), |city| {
        city.streams.remove(&3);
        city.devices.get_mut(&GATE).unwrap().streams.retain(|stream| *stream != 3);
    });
    // The device does not send it any more.
    let not_sent = changed(dir.path(), |city| {
        city.devices.get_mut(&GATE).unwrap().streams.retain(|stream| *stream != 3);
    });
    for reload in [
        gone,
        not_sent,
        other(Some("noise"), Some(Class::Public), None),
        other(None, Some(Class::Public), None),
        other(Some("noise"), None, None),
        other(None, None, Some("aoba")),
    ] {
        gateway.handle([reload]).unwrap();
        assert_eq!(everybody(&mut gateway), 0);
    }
    // The other one has its own readings.
    gateway.handle([other(Some("noise"), Some(Class::Public), None)]).unwrap();
    let (mut city, _) = files(dir.path());
    city.streams.get_mut(&3).unwrap().stream.class = Class::Public;
    gateway.handle([gate.reading(3, &city, b"noise")]).unwrap();
    assert_eq!(texts(ask_for(&mut gateway, "sora", wanted("noise"))), ["noise"]);
    // What was sent is back with the stream.
    gateway.handle([changed(dir.path(), |_| ())]).unwrap();
    assert_eq!(texts(ask_for(&mut gateway, "hana", wanted("gate-camera"))), ["camera"]);
    // A store of before it was kept does not say of which stream a reading is.
    drop(gateway);
    forget_streams(dir.path());
    let (mut gateway, outputs) = engine(dir.path());
    assert_eq!(everybody(&mut gateway), 0);
    assert!(outputs.iter().all(|output| output.delivery.is_none()));
}

/// Makes the store one of before the streams of readings were kept.
fn forget_streams(dir: &Path) {
    const HISTORY: TableDefinition<'_, ([u8; 8], u16, i64, u64), &[u8]> = TableDefinition::new("history");
    const OUTBOX: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("outbox");
    let without = |bytes: &[u8]| {
        let mut reading: serde_json::Value = serde_json::from_slice(bytes).unwrap();
        reading.as_object_mut().unwrap().remove("stream_identity").unwrap();
        serde_json::to_vec(&reading).unwrap()
    };
    let database = Database::open(FileStore::path(dir)).unwrap();
    let write = database.begin_write().unwrap();
    {
        let mut table = write.open_table(HISTORY).unwrap();
        let entries = table.iter().unwrap().map(Result::unwrap);
        let all: Vec<_> = entries.map(|(key, value)| (key.value(), without(value.value()))).collect();
        assert!(!all.is_empty());
        for (key, value) in all {
            table.insert(key, value.as_slice()).unwrap();
        }
        let mut table = write.open_table(OUTBOX).unwrap();
        let entries = table.iter().unwrap().map(Result::unwrap);
        let all: Vec<_> = entries.map(|(key, value)| (key.value(), without(value.value()))).collect();
        assert!(!all.is_empty());
        for (key, value) in all {
            table.insert(key, value.as_slice()).unwrap();
        }
    }
    write.commit().unwrap();
}

/// However much is wanted of the history, messages are decided meanwhile.
#[test]
fn the_history_keeps_no_message_waiting() {
    const DEVICES: u16 = 20;
    let dir = with_history("{ hours = 1, most = 10000 }");
    let (mut city, secrets) = files(dir.path());
    let mut entry = city.devices[&GATE].clone();
    let devices = (0..DEVICES).map(|i| DeviceId([0x70, 0xb3, 0xd5, 0xff, 0xfe, 0, 1, i.to_be_bytes()[1]]));
    let mut secrets = std::sync::Arc::into_inner(secrets).unwrap();
    let (_, password) = secrets.devices.remove(&GATE).unwrap();
    city.devices.remove(&GATE);
    let mut links = Vec::new();
    for (i, id) in devices.enumerate() {
        entry.place = [i.try_into().unwrap(), 500];
        city.devices.insert(id, entry.clone());
        let key = || smart_city_frame::RootKey::new([u8::try_from(i + 100).unwrap(); 16]);
        secrets.devices.insert(id, (key(), password.clone()));
        links.push((id, smart_city_frame::DeviceLink::new(&key(), id, smart_city_frame::Epoch(1))));
    }
    let signer = smart_city_engine::attestation::Signer::generate().unwrap();
    let signer = smart_city_engine::attestation::Signer::from_pem(signer.as_bytes()).unwrap();
    let (mut gateway, _) =
        Engine::open(dir.path(), city.clone(), std::sync::Arc::new(secrets), signer).unwrap();
    let mut buffer = [0; 255];
    let mut frame = |(id, link): &mut (DeviceId, smart_city_frame::DeviceLink)| {
        let frame = link.seal_reading(city.streams[&1].stream, b"reading", &mut buffer).unwrap();
        crate::common::message(format!("up/{id}/1"), frame)
    };
    for _ in 0..100 {
        gateway.handle(links.iter_mut().map(&mut frame).collect::<Vec<_>>()).unwrap();
    }
    let mut answers = Vec::new();
    let mut inputs: Vec<Input> = (0..200)
        .map(|_| {
            let (reply, answer) = oneshot::channel();
            answers.push(answer);
            let wanted = Wanted { limit: 1000, ..wanted("traffic-flow") };
            Input::History { reader: Reader::User("ren".to_owned()), wanted, reply }
        })
        .collect();
    inputs.push(frame(&mut links[0]));
    let start = Instant::now();
    let outputs = gateway.handle(inputs).unwrap();
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    assert_eq!(down(&outputs, Kind::Receipt).len(), 1);
    // It is read while the engine goes on, and is what it was.
    let excerpts: Vec<_> = answers.iter_mut().map(|answer| answer.try_recv().unwrap().unwrap()).collect();
    for excerpt in [&excerpts[0], &excerpts[199]] {
        let past = excerpt.as_ref().unwrap().read(|| true).unwrap();
        assert_eq!(past.len(), 1000);
        assert!(past.is_sorted_by_key(|past| past.about.properties[4].1.parse::<Timestamp>().unwrap()));
    }
}

/// A clock that is wrong for a while removes nothing, and what was stamped by it goes when it is right.
#[test]
fn a_wrong_clock_neither_removes_nor_keeps_readings() {
    let hours = |hours: i64| hours.hours();
    for leap in [24 * 365, -24 * 365] {
        let dir = with_history("{ hours = 1, most = 100 }");
        let (mut gateway, _) = engine(dir.path());
        let (city, _) = files(dir.path());
        let mut gate = TestDevice::new(GATE, 1, dir.path());
        let (start, right) = (Instant::now(), Timestamp::now());
        let at = |minutes: u64| start + Duration::from_secs(60 * minutes);
        let clock = |minutes: u64| right + i64::try_from(minutes).unwrap().minutes();
        let see = |gateway: &mut Engine, minutes: u64| {
            let (reply, mut answer) = oneshot::channel();
            let input = Input::History {
                reader: Reader::User("ren".to_owned()),
                wanted: wanted("traffic-flow"),
                reply,
            };
            gateway.handle_by([input], at(minutes), clock(minutes)).unwrap();
            let excerpt = answer.try_recv().unwrap().unwrap();
            texts(excerpt.map_or_else(Vec::new, |excerpt| excerpt.read(|| true).unwrap()))
        };
        let stored = |dir: &Path| {
            let Some(Found::Whole(_, stored)) = FileStore::peek(dir).unwrap() else { panic!() };
            stored.history.0
        };
        // It is right for long, wrong for five minutes, and right again.
        let run = |gateway: &mut Engine, minutes: std::ops::Range<u64>, leap: i64| {
            for minute in minutes {
                gateway.handle_by([Input::Tick], at(minute), clock(minute) + hours(leap)).unwrap();
            }
        };
        run(&mut gateway, 0..15, 0);
        gateway.handle_by([gate.reading(1, &city, b"right")], at(15), clock(15)).unwrap();
        let wrong = gate.reading(1, &city, b"wrong");
        gateway.handle_by([wrong], at(16), clock(16) + hours(leap)).unwrap();
        run(&mut gateway, 16..20, leap);
        run(&mut gateway, 20..29, 0);
        gateway.handle_by([gate.reading(1, &city, b"after")], at(29), clock(29)).unwrap();
        // Nothing was removed; what has a wrong time is not shown.
        assert_eq!(see(&mut gateway, 29), ["right", "after"], "{leap}");
        run(&mut gateway, 30..75, 0);
        assert_eq!(see(&mut gateway, 75), ["right", "after"], "{leap}");
        run(&mut gateway, 76..78, 0);
        // The first one is over, and so is the one behind it.
        assert_eq!(see(&mut gateway, 78), ["after"], "{leap}");
        drop(gateway);
        assert_eq!(stored(dir.path()), 1, "{leap}");
    }
}

/// What is over is not shown, also if it is not yet removed, as in the first minutes after a start.
#[test]
fn what_is_over_is_not_shown() {
    let dir = with_history("{ hours = 1, most = 100 }");
    let (mut gateway, _) = engine(dir.path());
    let (city, _) = files(dir.path());
    let mut gate = TestDevice::new(GATE, 1, dir.path());
    let now = Timestamp::now();
    for (minutes, text) in [(-61, "over"), (-59, "young"), (9, "ahead"), (11, "of the future")] {
        let clock = now + i64::from(minutes).minutes();
        gateway.handle_by([gate.reading(1, &city, text.as_bytes())], Instant::now(), clock).unwrap();
    }
    assert_eq!(texts(ask_for(&mut gateway, "ren", wanted("traffic-flow"))), ["young", "ahead"]);
    // The longest time that there can be is no fault.
    gateway
        .handle([changed(dir.path(), |city| city.history = Some(History { hours: u32::MAX, most: 100 }))])
        .unwrap();
    let start = Instant::now();
    for minutes in [0, 11, 12] {
        let later = Duration::from_secs(60 * minutes);
        let clock = now + i64::try_from(minutes).unwrap().minutes();
        gateway.handle_by([Input::Tick], start + later, clock).unwrap();
    }
    let seen = texts(ask_for(&mut gateway, "ren", wanted("traffic-flow")));
    assert_eq!(seen, ["over", "young", "ahead"]);
}
