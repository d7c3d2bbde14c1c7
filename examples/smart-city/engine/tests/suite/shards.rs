//! Engines that share devices: shards come and go, with what is known of their devices.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    fmt::Write as _,
    fs::{self, File},
    io::Write as _,
    ops::Range,
    path::Path,
    time::{Duration, Instant},
};

use crate::{
    common::{Code, Random, ask, code, evidence, example, files, kind, message, number},
    shared::Shared,
};
use jiff::Timestamp;
use redb::backends::FileBackend;
use smart_city_engine::{
    attestation::Signer,
    engine::{Denied, Engine, Input, OUTGOING, Output},
    memory::Loss,
};
use smart_city_frame::{Class, DeviceId, DeviceLink, Epoch, Header, Kind, RootKey, Stream};
use tempfile::TempDir;
use tokio::sync::oneshot;

const SHARDS: u16 = 4;

/// Those that only these tests have.
const SENSORS: u8 = 8;

fn id(sensor: u8) -> DeviceId {
    DeviceId([0x70, 0xb3, 0xd5, 0xff, 0xfe, 1, 0, sensor])
}

fn root(sensor: u8) -> RootKey {
    RootKey::new([0xA0 + sensor; 16])
}

/// Sent by all sensors, for everybody.
fn public() -> Stream {
    Stream { id: 1.try_into().unwrap(), class: Class::Public }
}

/// The example's city with some sensors more.
fn city() -> TempDir {
    let dir = example();
    let (mut city, mut secrets) = (String::new(), String::new());
    for sensor in 0..SENSORS {
        let id = id(sensor);
        write!(city, "\n[[devices]]\nid = \"{id}\"\nname = \"Sensor\"\nplace = [9, {sensor}]\n").unwrap();
        city.push_str("image = \"gate-1.0\"\nstreams = [\"traffic-flow\"]\n");
        let root = hex::encode([0xA0 + sensor; 16]);
        write!(secrets, "\n[devices.{id}]\nroot_key = \"{root}\"\nmqtt_password = \"x{sensor}\"\n").unwrap();
    }
    for (file, more) in [("city.toml", city), ("secrets.toml", secrets)] {
        let mut file = File::options().append(true).open(dir.path().join(file)).unwrap();
        file.write_all(more.as_bytes()).unwrap();
    }
    dir
}

/// Opens an engine of the city in `dir`, with a folder for its audit log.
fn open(dir: &Path, place: &Shared) -> anyhow::Result<Engine> {
    let (city, secrets) = files(dir);
    let data = dir.join(&place.name);
    fs::create_dir_all(&data).unwrap();
    let signer = Signer::from_pem(Signer::generate().unwrap().as_bytes()).unwrap();
    let opened =
        Engine::open_in(place, &data, city, secrets, signer, false, |file| Ok(FileBackend::new(file)?));
    opened.map(|(engine, outputs)| {
        assert_eq!(outputs, [], "it has no device yet");
        engine
    })
}

/// A sensor's end.
struct Sensor {
    sensor: u8,
    link: DeviceLink,
    epoch: u16,
    /// Readings without a receipt, by the counters of their frames.
    kept: BTreeMap<u32, (String, Vec<u8>)>,
}

fn number_of([a, b, c]: [u8; 3]) -> u32 {
    u32::from_be_bytes([0, a, b, c])
}

impl Sensor {
    fn new(sensor: u8) -> Self {
        let mut new = Self {
            sensor,
            link: DeviceLink::new(&root(sensor), id(sensor), Epoch(0)),
            epoch: 0,
            kept: BTreeMap::new(),
        };
        new.new_epoch();
        new
    }

    fn shard(&self) -> u16 {
        id(self.sensor).shard(SHARDS)
    }

    fn new_epoch(&mut self) {
        self.epoch += 1;
        self.link = DeviceLink::new(&root(self.sensor), id(self.sensor), Epoch(self.epoch));
        for (text, _) in std::mem::take(&mut self.kept).into_values() {
            self.measure(&text);
        }
    }

    /// Seals a reading and keeps it.
    fn measure(&mut self, text: &str) -> Vec<u8> {
        let frame = self.link.seal_reading(public(), text.as_bytes(), &mut [0; 64]).unwrap().to_vec();
        let counter = number_of(Header::parse(&frame).unwrap().counter);
        self.kept.insert(counter, (text.to_owned(), frame.clone()));
        frame
    }

    fn up(&self, frame: &[u8]) -> Input {
        message(format!("up/{}/{}/1", self.shard(), id(self.sensor)), frame)
    }

    /// Takes what came down, and returns the readings that have their receipt now.
    fn hear(&mut self, frame: &[u8]) -> Vec<String> {
        let mut frame = frame.to_vec();
        match kind(&frame) {
            Kind::Receipt => {
                let Ok(receipt) = self.link.open_receipt(id(self.sensor), &mut frame) else {
                    return Vec::new();
                };
                let has = |counter: u32| {
                    let [_, rest @ ..] = counter.to_be_bytes();
                    receipt.has(rest)
                };
                let all = std::mem::take(&mut self.kept);
                let (receipted, kept) = all.into_iter().partition(|(counter, _)| has(*counter));
                self.kept = kept;
                BTreeMap::into_values(receipted).map(|(text, _)| text).collect()
            }
            Kind::EpochRequest => {
                if self.link.open_epoch_request(id(self.sensor), &mut frame).is_ok() {
                    self.new_epoch();
                }
                Vec::new()
            }
            _ => Vec::new(),
        }
    }
}

fn take(engine: &mut Engine, place: &Shared, shard: u16) -> Vec<Output> {
    engine.handle([Input::Take(place.take(shard))]).unwrap()
}

fn release(engine: &mut Engine, shard: u16) {
    ask(engine, |reply| Input::Release { shard, reply });
}

fn down(outputs: &[Output]) -> Vec<&[u8]> {
    outputs
        .iter()
        .filter(|output| output.topic.starts_with("down/"))
        .map(|output| &output.payload[..])
        .collect()
}

fn refused(engine: &mut Engine, why: &str) -> u64 {
    ask(engine, Input::Status).0["refused"][why].as_u64().unwrap_or(0)
}

#[test]
fn an_engine_hears_the_devices_of_its_shards_alone() {
    let dir = city();
    let place = Shared::new(SHARDS).named("one");
    let mut engine = open(dir.path(), &place).unwrap();
    assert_eq!(engine.shards(), Some(SHARDS));
    let mut sensor = Sensor::new(0);
    let frame = sensor.measure("1");
    assert_eq!(engine.handle([sensor.up(&frame)]).unwrap(), []);
    assert_eq!(refused(&mut engine, "elsewhere"), 1);
    for wish in ["instruct", "examine", "recover"] {
        let (device, operator) = (id(0), "kana".to_owned());
        let answer = ask(&mut engine, |reply| match wish {
            "instruct" => Input::Instruct { device, region: 1, argument: Vec::new(), operator, reply },
            "examine" => Input::Examine { device, operator, reply },
            _ => Input::Recover { device, operator, reply },
        });
        assert_eq!(answer.0, Err(Denied::Elsewhere), "{wish}");
    }
    let status = ask(&mut engine, Input::Status).0;
    assert_eq!(status["devices"].as_array().unwrap().len(), 0);

    take(&mut engine, &place, sensor.shard());
    let outputs = engine.handle([sensor.up(&frame)]).unwrap();
    assert_eq!(sensor.hear(down(&outputs)[0]), ["1"]);
    let status = ask(&mut engine, Input::Status).0;
    let ids: Vec<_> = (0..SENSORS).map(id).filter(|id| id.shard(SHARDS) == sensor.shard()).collect();
    assert!(status["devices"].as_array().unwrap().len() >= ids.len());
    // A topic has the device's shard, in one way to write it.
    for topic in [
        format!("up/{}/1", id(0)),
        format!("up/{}/{}/1", (sensor.shard() + 1) % SHARDS, id(0)),
        format!("up/0{}/{}/1", sensor.shard(), id(0)),
        format!("up/{}/{}/1/1", sensor.shard(), id(0)),
        format!("up//{}/1", id(0)),
    ] {
        let before = refused(&mut engine, "topic");
        engine.handle([message(&topic, &sensor.measure("2"))]).unwrap();
        assert_eq!(refused(&mut engine, "topic"), before + 1, "{topic}");
    }
    release(&mut engine, sensor.shard());
    assert_eq!(ask(&mut engine, Input::Status).0["devices"].as_array().unwrap().len(), 0);
    take(&mut engine, &place, sensor.shard());
    // It is not taken twice.
    assert!(engine.handle([Input::Take(place.take(sensor.shard()))]).is_err());
}

/// Frames go on in the same epoch at another engine; and no nonce of the first one comes again.
#[test]
fn a_handover_opens_no_epoch() {
    let dir = city();
    let place = Shared::new(SHARDS);
    let places = ["one", "two"].map(|name| place.named(name));
    let mut engines = [0, 1].map(|i| open(dir.path(), &places[i]).unwrap());
    let mut sensor = Sensor::new(0);
    let mut sealed = BTreeSet::new();
    for i in 0..40 {
        let (engine, place) = (&mut engines[i % 2], &places[i % 2]);
        assert!(down(&take(engine, place, sensor.shard())).is_empty(), "nothing is asked for");
        let text = i.to_string();
        let frame = sensor.measure(&text);
        let outputs = engine.handle([sensor.up(&frame)]).unwrap();
        let [receipt] = down(&outputs)[..] else { panic!("{outputs:?}") };
        let header = Header::parse(receipt).unwrap();
        assert_eq!((header.kind, header.epoch), (Kind::Receipt, Epoch(1)));
        assert!(sealed.insert(header.counter), "a nonce came twice");
        assert_eq!(sensor.hear(receipt), [text]);
        release(engine, sensor.shard());
        assert_eq!(engine.handle([sensor.up(&frame)]).unwrap(), []);
        // If the receipt was lost, the next engine sends it again, as it was.
        let (engine, place) = (&mut engines[(i + 1) % 2], &places[(i + 1) % 2]);
        take(engine, place, sensor.shard());
        assert_eq!(down(&engine.handle([sensor.up(&frame)]).unwrap()), [receipt]);
        release(engine, sensor.shard());
    }
    assert_eq!(places[0].lock().accepted.len(), 40);
}

/// A frame that was overtaken and came after the handover is never opened: a new epoch is asked for, so that it comes again.
#[test]
fn what_was_overtaken_before_a_handover_comes_again() {
    let dir = city();
    let place = Shared::new(SHARDS).named("one");
    let mut engine = open(dir.path(), &place).unwrap();
    let mut sensor = Sensor::new(0);
    take(&mut engine, &place, sensor.shard());
    let overtaken = sensor.measure("overtaken");
    let frame = sensor.measure("newer");
    let outputs = engine.handle([sensor.up(&frame)]).unwrap();
    assert_eq!(sensor.hear(down(&outputs)[0]), ["newer"]);
    release(&mut engine, sensor.shard());
    take(&mut engine, &place, sensor.shard());
    // That it was accepted is no reason.
    engine.handle([sensor.up(&frame)]).unwrap();
    assert!(
        !down(&engine.handle([Input::Tick]).unwrap()).iter().any(|frame| kind(frame) == Kind::EpochRequest)
    );
    engine.handle([sensor.up(&overtaken)]).unwrap();
    let outputs = engine.handle([Input::Tick]).unwrap();
    let [request] = down(&outputs)[..] else { panic!("{outputs:?}") };
    sensor.hear(request);
    assert_eq!(sensor.epoch, 2);
    let (_, frame) = sensor.kept.values().next().unwrap().clone();
    let outputs = engine.handle([sensor.up(&frame)]).unwrap();
    assert_eq!(sensor.hear(down(&outputs)[0]), ["overtaken"]);
}

/// Without its state a link ends: recorded frames are refused, and the device is asked for a new epoch.
#[test]
fn a_lost_link_ends_its_epoch() {
    let dir = city();
    let place = Shared::new(SHARDS).named("one");
    let mut first = open(dir.path(), &place).unwrap();
    let mut sensor = Sensor::new(0);
    take(&mut first, &place, sensor.shard());
    let frame = sensor.measure("1");
    first.handle([sensor.up(&frame)]).unwrap();

    let other = place.named("two");
    let mut second = open(dir.path(), &other).unwrap();
    let outputs = take(&mut second, &other, sensor.shard());
    assert!(down(&outputs).is_empty());
    assert!(down(&second.handle([sensor.up(&frame)]).unwrap()).is_empty());
    assert_eq!(refused(&mut second, "epoch_ended"), 1);
    let outputs = second.handle([Input::Tick]).unwrap();
    assert!(down(&outputs).iter().any(|frame| kind(frame) == Kind::EpochRequest));
    // The first one is not let write any more, and does not go on.
    let late = sensor.measure("late");
    for _ in 0..2 {
        assert!(first.handle([sensor.up(&late)]).is_err());
    }
    assert_eq!(place.lock().accepted.len(), 1);
}

/// What is for a user, with its numbers.
fn texts(outputs: &[Output]) -> BTreeMap<String, u64> {
    let readings = outputs.iter().filter(|output| output.topic.starts_with("out/hana/"));
    let text = |output: &Output| String::from_utf8(output.payload.clone()).unwrap();
    readings.map(|output| (text(output), output.delivery.unwrap())).collect()
}

/// Readings of a sensor, in one batch.
fn send(engine: &mut Engine, sensor: &mut Sensor, numbers: Range<usize>) -> Vec<Output> {
    let inputs = numbers.map(|i| {
        let frame = sensor.measure(&format!("{}-{i}", sensor.sensor));
        sensor.up(&frame)
    });
    engine.handle(inputs.collect::<Vec<_>>()).unwrap()
}

/// Two sensors in different shards.
fn apart() -> [Sensor; 2] {
    let first = Sensor::new(0);
    let second = (1..SENSORS).map(Sensor::new).find(|sensor| sensor.shard() != first.shard());
    [first, second.unwrap()]
}

/// Reports some after some as delivered, and what is given out then, until there is nothing more; each may come once.
fn deliver_all(engine: &mut Engine, mut outputs: Vec<Output>, given: &mut BTreeSet<String>) {
    let mut under_way = VecDeque::new();
    loop {
        for text in texts(&outputs).into_keys() {
            assert!(given.insert(text.clone()), "{text} is given out twice");
        }
        under_way.extend(outputs.iter().filter_map(|output| output.delivery));
        assert!(under_way.len() < OUTGOING + 3, "{} messages are under way", under_way.len());
        let delivered = under_way.drain(..under_way.len().min(700)).map(Input::Delivered).collect::<Vec<_>>();
        if delivered.is_empty() {
            return;
        }
        outputs = engine.handle(delivered).unwrap();
    }
}

/// Readings that were not delivered go with their shard, and each is given out by who has it.
#[test]
fn the_outbox_goes_with_its_shard() {
    let dir = city();
    let place = Shared::new(SHARDS).named("one");
    let other = place.named("two");
    let (mut first, mut second) = (open(dir.path(), &place).unwrap(), open(dir.path(), &other).unwrap());
    let mut moves = Sensor::new(0);
    let mut stays = (1..SENSORS).map(Sensor::new).find(|sensor| sensor.shard() != moves.shard()).unwrap();
    for shard in [moves.shard(), stays.shard()] {
        take(&mut first, &place, shard);
    }
    let outputs = send(&mut first, &mut moves, 0..10);
    let given = texts(&outputs);
    assert_eq!(given.len(), 10);
    // For three users each: what one has got stays owed to the others.
    let [delivered, partly] = ["0-0", "0-1"].map(|text| given[text]);
    first
        .handle(vec![
            Input::Delivered(delivered),
            Input::Delivered(delivered),
            Input::Delivered(delivered),
            Input::Delivered(partly),
        ])
        .unwrap();
    let kept = texts(&send(&mut first, &mut stays, 0..10));
    release(&mut first, moves.shard());
    assert_eq!(ask(&mut first, Input::Status).0["undelivered"], 10);
    // Reports of what is another's now mean nothing.
    first
        .handle(given.values().flat_map(|number| [Input::Delivered(*number), Input::Delivered(*number)]))
        .unwrap();
    first.handle([Input::Tick]).unwrap();
    assert_eq!(place.lock().outbox.len(), 19);

    let outputs = take(&mut second, &other, moves.shard());
    let again: Vec<String> = texts(&outputs).into_keys().collect();
    assert_eq!(again, (1..10).map(|i| format!("0-{i}")).collect::<Vec<_>>());
    assert_eq!(ask(&mut second, Input::Status).0["undelivered"], 9);
    second.handle(outputs.iter().filter_map(|output| output.delivery).map(Input::Delivered)).unwrap();
    second.handle([Input::Tick]).unwrap();

    // The first one gets it back with more than may be under way, beside what it had itself: nothing is given out twice or left out.
    let mut outputs = Vec::new();
    for from in (10..OUTGOING).step_by(500) {
        outputs.extend(send(&mut second, &mut moves, from..from + 500));
    }
    release(&mut second, moves.shard());
    let mut given: BTreeSet<String> = kept.keys().cloned().collect();
    let mut under_way = take(&mut first, &place, moves.shard());
    under_way.extend(send(&mut first, &mut stays, 10..20));
    deliver_all(&mut first, under_way, &mut given);
    assert_eq!(given.len(), 20 + (10..OUTGOING).step_by(500).count() * 500);
    first.handle(kept.values().flat_map(|number| [0; 3].map(|_| Input::Delivered(*number)))).unwrap();
    first.handle([Input::Tick]).unwrap();
    assert_eq!(
        (ask(&mut first, Input::Status).0["undelivered"].as_u64(), place.lock().outbox.len()),
        (Some(0), 0)
    );
}

/// What is under way of a shard takes no room any more when the shard is gone.
#[test]
fn a_shard_that_goes_leaves_room() {
    let dir = city();
    let place = Shared::new(SHARDS).named("one");
    let mut engine = open(dir.path(), &place).unwrap();
    let [mut moves, mut stays] = apart();
    for shard in [moves.shard(), stays.shard()] {
        take(&mut engine, &place, shard);
    }
    // Each is for three users.
    send(&mut engine, &mut moves, 0..OUTGOING / 2);
    assert_eq!(texts(&send(&mut engine, &mut stays, 0..10)).len(), 0, "there is no room");
    release(&mut engine, moves.shard());
    let under_way = engine.handle([Input::Tick]).unwrap();
    let mut given = BTreeSet::new();
    deliver_all(&mut engine, under_way, &mut given);
    assert_eq!(given.len(), 10);
}

/// Readings of a shard that is taken may have smaller numbers than all that the engine has given out, and than what waits.
#[test]
fn a_shard_may_come_with_older_readings() {
    let dir = city();
    let place = Shared::new(SHARDS).named("one");
    let other = place.named("two");
    let (mut first, mut second) = (open(dir.path(), &place).unwrap(), open(dir.path(), &other).unwrap());
    let [mut moves, mut stays] = apart();
    take(&mut first, &place, moves.shard());
    send(&mut first, &mut moves, 0..10);
    release(&mut first, moves.shard());

    take(&mut second, &other, stays.shard());
    let mut under_way = Vec::new();
    for from in (0..OUTGOING / 2).step_by(512) {
        under_way.extend(send(&mut second, &mut stays, from..from + 512));
    }
    assert!(texts(&under_way).len() < OUTGOING / 2, "some wait");
    under_way.extend(take(&mut second, &other, moves.shard()));
    let mut given = BTreeSet::new();
    deliver_all(&mut second, under_way, &mut given);
    second.handle([Input::Tick]).unwrap();
    assert_eq!((given.len(), place.lock().outbox.len()), (OUTGOING / 2 + 10, 0));
}

/// A device that is isolated is it at every engine.
#[test]
fn isolation_goes_with_the_shard() {
    let dir = city();
    let place = Shared::new(SHARDS).named("one");
    let other = place.named("two");
    let (mut first, mut second) = (open(dir.path(), &place).unwrap(), open(dir.path(), &other).unwrap());
    let mut sensor = Sensor::new(0);
    take(&mut first, &place, sensor.shard());
    let frame = sensor.measure("1");
    first.handle([sensor.up(&frame)]).unwrap();
    let (sent, outputs) = ask(&mut first, |reply| Input::Instruct {
        device: id(0),
        region: 1,
        argument: Vec::new(),
        operator: "kana".to_owned(),
        reply,
    });
    sent.unwrap();
    let mut frame = down(&outputs)[0].to_vec();
    let (_, challenge) = sensor.link.open_instruction(id(0), &mut frame).unwrap();
    let as_built = code(dir.path());
    let altered = Code::from([(1, vec![0; 8]), (2, as_built[&2].clone())]);
    let evidence = evidence(&root(0).attest_key(id(0)), challenge, 1, &altered, &as_built);
    let frame = sensor.link.seal_evidence(&evidence, &mut [0; 64]).unwrap().to_vec();
    first.handle([message(format!("up/{}/{}/evidence", sensor.shard(), id(0)), &frame)]).unwrap();
    release(&mut first, sensor.shard());
    assert_eq!(place.lock().links.len(), 0, "no link of it is used any more");

    let outputs = take(&mut second, &other, sensor.shard());
    assert_eq!(outputs, []);
    let frame = sensor.measure("2");
    second.handle([sensor.up(&frame)]).unwrap();
    assert_eq!(refused(&mut second, "isolated"), 1);
    let recovered =
        ask(&mut second, |reply| Input::Recover { device: id(0), operator: "kana".to_owned(), reply });
    recovered.0.unwrap();
}

/// An audit log that is not the one with which the database was written is found, and one that is lost; and the log does not help if the
/// database is not what it was.
#[test]
fn a_log_and_a_shared_store_belong_together() {
    let dir = city();
    let place = Shared::new(SHARDS).named("one");
    drop(open(dir.path(), &place).unwrap());
    fs::remove_file(dir.path().join("one/audit.jsonl")).unwrap();
    let error = open(dir.path(), &place).unwrap_err();
    assert!(matches!(error.downcast_ref(), Some(Loss::Log(_))), "{error}");

    let place = Shared::new(SHARDS).named("two");
    drop(open(dir.path(), &place).unwrap());
    let empty = Shared::new(SHARDS).named("two");
    let error = open(dir.path(), &empty).unwrap_err();
    assert!(matches!(error.downcast_ref(), Some(Loss::Database(_))), "{error}");
    let (city, secrets) = files(dir.path());
    let signer = Signer::from_pem(Signer::generate().unwrap().as_bytes()).unwrap();
    let forced = Engine::open_in(&empty, &dir.path().join("two"), city, secrets, signer, true, |file| {
        Ok(FileBackend::new(file)?)
    });
    let error = forced.unwrap_err();
    assert!(matches!(error.downcast_ref(), Some(Loss::Database(_))), "{error}");
}

/// What an engine has opened before it had a shard is not taken for what it knows now.
#[test]
fn what_the_log_knows_of_a_shard_that_another_had_does_not_count() {
    let dir = city();
    let place = Shared::new(SHARDS).named("one");
    let other = place.named("two");
    let mut sensor = Sensor::new(0);
    let mut first = open(dir.path(), &place).unwrap();
    take(&mut first, &place, sensor.shard());
    let frame = sensor.measure("1");
    first.handle([sensor.up(&frame)]).unwrap();
    release(&mut first, sensor.shard());
    drop(first);
    let mut second = open(dir.path(), &other).unwrap();
    take(&mut second, &other, sensor.shard());
    sensor.new_epoch();
    let frame = sensor.measure("2");
    second.handle([sensor.up(&frame)]).unwrap();
    release(&mut second, sensor.shard());
    // It starts with what it knew, and changes nothing by it.
    let mut first = open(dir.path(), &place).unwrap();
    take(&mut first, &place, sensor.shard());
    let frame = sensor.measure("3");
    let outputs = first.handle([sensor.up(&frame)]).unwrap();
    assert_eq!(sensor.hear(down(&outputs)[0]), ["2", "3"]);
    assert_eq!(sensor.epoch, 2);
}

/// An engine of a random history.
struct Member {
    place: Shared,
    engine: Option<Engine>,
    held: BTreeSet<u16>,
    /// Another has what it had, and it does not know.
    is_stale: bool,
}

/// Releases, kills, engines that were stopped and go on when others have their shards; lost and repeated messages, and an enemy who sends
/// every frame again. Nothing is accepted twice, no nonce comes twice, all that has a receipt is stored and given out, and in the end
/// every reading has its receipt.
#[test]
fn no_history_of_several_engines_repeats_or_loses_anything() {
    for seed in 1..=number("SMART_CITY_HISTORIES", 6) {
        history(seed);
    }
}

fn history(seed: u64) {
    let dir = city();
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let shared = Shared::new(SHARDS);
    let mut members: Vec<_> = ["one", "two", "three"]
        .iter()
        .map(|name| Member {
            place: shared.named(name),
            engine: None,
            held: BTreeSet::new(),
            is_stale: false,
        })
        .collect();
    let mut sensors: Vec<_> = (0..SENSORS).map(Sensor::new).collect();
    let start = Instant::now();
    let mut sent: Vec<(usize, Vec<u8>)> = Vec::new();
    let mut receipted: BTreeSet<String> = BTreeSet::new();
    let mut given: BTreeSet<String> = BTreeSet::new();
    let mut nonces: HashMap<(usize, Epoch, [u8; 3]), Vec<u8>> = HashMap::new();
    let mut measured = 0;
    let steps = 1500;
    for step in 0..steps + 3000 {
        let now = start + Duration::from_millis(100 * step);
        // In the end all engines run, nothing is lost, and time goes.
        let is_calm = step >= steps;
        let which = random.below(members.len());
        let has_holder = |members: &[Member], shard: u16| {
            members.iter().any(|member| !member.is_stale && member.held.contains(&shard))
        };
        let member = &mut members[which];
        if member.engine.is_none() {
            if is_calm || random.one_in(4) {
                member.engine = Some(open(dir.path(), &member.place).unwrap());
            }
            continue;
        }
        let mut inputs = Vec::new();
        let mut reply = None;
        match random.below(if is_calm { 8 } else { 12 }) {
            0..=3 => {
                let sensor = random.below(sensors.len());
                let frame = match random.below(3) {
                    0 if !is_calm => {
                        measured += 1;
                        sensors[sensor].measure(&format!("{measured}"))
                    }
                    1 if !sent.is_empty() => sent[random.below(sent.len())].1.clone(),
                    _ => {
                        let kept: Vec<_> =
                            sensors[sensor].kept.values().map(|(_, frame)| frame.clone()).collect();
                        let Some(frame) = kept.get(random.below(kept.len().max(1))) else { continue };
                        frame.clone()
                    }
                };
                sent.push((sensor, frame.clone()));
                if is_calm || !random.one_in(5) {
                    inputs.push(sensors[sensor].up(&frame));
                }
            }
            4 => inputs.push(Input::Tick),
            5..=7 => {
                // It takes what nobody has; or, as its time is over for the others, what a member that stopped has.
                let shard = u16::try_from(random.below(usize::from(SHARDS))).unwrap();
                let member = &members[which];
                if member.is_stale || member.held.contains(&shard) {
                    continue;
                }
                let from_stopped = !is_calm && random.one_in(6);
                if has_holder(&members, shard) && !from_stopped {
                    continue;
                }
                for other in members.iter_mut().filter(|other| other.held.contains(&shard)) {
                    other.is_stale = true;
                }
                let member = &mut members[which];
                inputs.push(Input::Take(member.place.take(shard)));
                member.held.insert(shard);
            }
            8 | 9 => {
                let Some(shard) = member.held.iter().nth(random.below(member.held.len().max(1))).copied()
                else {
                    continue;
                };
                let (sender, receiver) = oneshot::channel();
                inputs.push(Input::Release { shard, reply: sender });
                reply = Some((shard, receiver));
            }
            10 if random.one_in(4) => {
                (member.engine, member.is_stale) = (None, false);
                member.held.clear();
            }
            _ => {}
        }
        let member = &mut members[which];
        let Some(engine) = &mut member.engine else { continue };
        let is_something = !inputs.is_empty();
        let outputs = engine.handle_by(inputs, now, Timestamp::now());
        let outputs = match outputs {
            Ok(outputs) => outputs,
            Err(error) => {
                assert!(member.is_stale, "{seed}: {error:#}");
                (member.engine, member.is_stale) = (None, false);
                member.held.clear();
                continue;
            }
        };
        if let Some((shard, mut receiver)) = reply {
            receiver.try_recv().unwrap();
            assert!(!member.is_stale || !is_something);
            member.held.remove(&shard);
        }
        let mut delivered = Vec::new();
        for output in outputs {
            let is_lost = !is_calm && random.one_in(5);
            if let Some(device) = output.topic.strip_prefix("down/") {
                let sensor = (0..SENSORS).position(|sensor| id(sensor).to_string() == device).unwrap();
                let header = Header::parse(&output.payload).unwrap();
                if header.kind != Kind::EpochRequest {
                    let before =
                        nonces.insert((sensor, header.epoch, header.counter), output.payload.clone());
                    assert!(
                        before.is_none_or(|before| before == output.payload),
                        "{seed}: a nonce came twice"
                    );
                }
                if !is_lost {
                    let texts = sensors[sensor].hear(&output.payload);
                    let lock = shared.lock();
                    for text in &texts {
                        assert!(
                            lock.accepted.values().any(|payload| payload == text.as_bytes()),
                            "{seed}: {text} is not stored"
                        );
                    }
                    receipted.extend(texts);
                }
            } else if !is_lost {
                given.insert(format!("{} {}", output.topic, String::from_utf8(output.payload).unwrap()));
                delivered.extend(output.delivery.map(Input::Delivered));
            }
        }
        if !member.is_stale {
            let more = engine.handle_by(delivered, now, Timestamp::now()).unwrap();
            assert!(more.iter().all(|output| output.topic.starts_with("out/")), "{seed}");
            let numbers = more.iter().filter_map(|output| output.delivery).map(Input::Delivered);
            given.extend(
                more.iter()
                    .map(|output| format!("{} {}", output.topic, String::from_utf8_lossy(&output.payload))),
            );
            engine.handle_by(numbers.collect::<Vec<_>>(), now, Timestamp::now()).unwrap();
        }
    }
    for sensor in &sensors {
        assert_eq!(sensor.kept.len(), 0, "{seed}: readings of sensor {} have no receipt", sensor.sensor);
    }
    assert!(measured > 50 && receipted.len() == measured, "{seed}: {} of {measured}", receipted.len());
    for text in &receipted {
        let is_owed = shared.lock().outbox.values().any(|reading| reading.payload == text.as_bytes());
        assert!(
            given.contains(&format!("out/hana/traffic-flow {text}")) || is_owed,
            "{seed}: {text} was not given out"
        );
    }
}
