//! What a reload, a restart or a lost file must not make the gateway forget.

use std::{collections::BTreeSet, fs, path::Path, sync::Arc};

use crate::common::{GATE, MAST, TestDevice, ask, engine, example, files, is_isolated, kind, message};
use smart_city_engine::{
    attestation::Signer,
    audit::{Audit, Log},
    config::{City, Secrets},
    engine::{Denied, Engine, Input, Output},
    file::FileStore,
    memory::Loss,
    store::Found,
};
use smart_city_frame::{DeviceLink, Epoch, Kind, RootKey};

pub(crate) fn down(outputs: &[Output], wanted: Kind) -> Vec<Vec<u8>> {
    let frames = outputs.iter().filter(|output| output.topic.starts_with("down/"));
    frames.map(|output| output.payload.clone()).filter(|frame| kind(frame) == wanted).collect()
}

pub(crate) fn readings(outputs: &[Output]) -> usize {
    outputs.iter().filter(|output| output.delivery.is_some()).count()
}

pub(crate) fn instruct(engine: &mut Engine) -> (Result<(), Denied>, Vec<Output>) {
    let operator = || "kana".to_owned();
    let argument = b"on".to_vec();
    ask(engine, |reply| Input::Instruct { device: GATE, region: 1, argument, operator: operator(), reply })
}

pub(crate) fn recover(engine: &mut Engine) -> Vec<Output> {
    let (begun, outputs) =
        ask(engine, |reply| Input::Recover { device: GATE, operator: "kana".to_owned(), reply });
    begun.unwrap();
    outputs
}

pub(crate) fn again(input: &Input) -> Input {
    match input {
        Input::Message { topic, payload, .. } => message(topic.clone(), payload),
        _ => unreachable!(),
    }
}

pub(crate) fn try_open(dir: &Path, after_loss: bool) -> anyhow::Result<(Engine, Vec<Output>)> {
    let (city, secrets) = files(dir);
    let signer = Signer::from_pem(Signer::generate().unwrap().as_bytes()).unwrap();
    let open = if after_loss { Engine::open_after_loss } else { Engine::open };
    open(dir, city, secrets, signer)
}

/// The files with another root key of the gate, or without the gate.
pub(crate) fn reload(dir: &Path, gate: Option<[u8; 16]>) -> Input {
    let (mut city, secrets): (City, Arc<Secrets>) = files(dir);
    let mut secrets = Arc::into_inner(secrets).unwrap();
    let (_, password) = secrets.devices.remove(&GATE).unwrap();
    match gate {
        Some(key) => drop(secrets.devices.insert(GATE, (RootKey::new(key), password))),
        None => drop(city.devices.remove(&GATE)),
    }
    Input::Reload(Ok(Box::new((city, Arc::new(secrets)))))
}

fn gate_key() -> [u8; 16] {
    std::array::from_fn(|i| u8::try_from(i).unwrap())
}

/// Isolates the gate in epoch 1; returns it and a frame of it that was accepted.
pub(crate) fn isolate(engine: &mut Engine, dir: &Path) -> (TestDevice, Input) {
    let (city, _) = files(dir);
    let mut gate = TestDevice::new(GATE, 1, dir);
    let genuine = gate.code.clone();
    let reading = gate.reading(1, &city, b"1");
    assert_eq!(readings(&engine.handle([again(&reading)]).unwrap()), 3);
    gate.code[7] ^= 1;
    let instruction = instruct(engine).1;
    engine.handle([gate.follow(&instruction[0].payload, &genuine)]).unwrap();
    assert!(is_isolated(engine, GATE));
    (gate, reading)
}

#[test]
fn a_device_that_was_removed_or_had_another_key_comes_back_as_it_was() {
    for change in [None, Some([7; 16])] {
        let dir = example();
        let (city, _) = files(dir.path());
        let (mut engine, _) = engine(dir.path());
        let mut gate = TestDevice::new(GATE, 3, dir.path());
        let frame = gate.reading(1, &city, b"1");
        let first = engine.handle([again(&frame)]).unwrap();
        // In one batch, as it may come.
        engine.handle([gate.reading(1, &city, b"2"), reload(dir.path(), change)]).unwrap();
        assert_eq!(engine.handle([again(&frame)]).unwrap(), []);
        let back = engine.handle([reload(dir.path(), Some(gate_key())), Input::Tick]).unwrap();
        assert_eq!(down(&back, Kind::EpochRequest).len(), 1);
        assert_eq!(engine.handle([again(&frame), gate.reading(1, &city, b"3")]).unwrap(), []);
        let mut gate = TestDevice::new(GATE, 4, dir.path());
        let second = engine.handle([gate.reading(1, &city, b"4")]).unwrap();
        assert_eq!(readings(&second), 3);
        assert_ne!(down(&first, Kind::Receipt), down(&second, Kind::Receipt));
        assert_eq!(
            engine.handle([reload(dir.path(), change), reload(dir.path(), Some(gate_key()))]).unwrap(),
            []
        );
        drop(engine);
        let (mut engine, _) = try_open(dir.path(), false).unwrap();
        assert_eq!(engine.handle([frame, gate.reading(1, &city, b"5")]).unwrap(), []);
    }
}

/// The same epoch and counter under another root key is another message.
#[test]
fn ids_of_messages_never_come_back() {
    let dir = example();
    let (city, _) = files(dir.path());
    let (mut engine, _) = engine(dir.path());
    let mut ids = BTreeSet::new();
    for key in [gate_key(), [7; 16], [8; 16]] {
        engine.handle([reload(dir.path(), Some(key))]).unwrap();
        let link = DeviceLink::new(&RootKey::new(key), GATE, Epoch(1));
        let mut gate = TestDevice { link, ..TestDevice::new(GATE, 1, dir.path()) };
        for output in engine.handle([gate.reading(3, &city, b"1")]).unwrap() {
            ids.extend(output.about.map(|about| about.properties[0].clone()));
        }
    }
    assert_eq!(ids.len(), 3, "{ids:?}");
    // Under the key it was accepted with, also when it is delivered after the key was changed.
    drop(engine);
    let (_, before) = try_open(dir.path(), false).unwrap();
    let again: BTreeSet<_> =
        before.into_iter().filter_map(|output| Some(output.about?.properties[0].clone())).collect();
    assert_eq!(again, ids);
}

#[test]
fn a_device_comes_back_isolated() {
    for change in [None, Some([7; 16])] {
        let dir = example();
        let (mut gateway, _) = engine(dir.path());
        isolate(&mut gateway, dir.path());
        gateway.handle([reload(dir.path(), change)]).unwrap();
        drop(gateway);
        let (mut gateway, _) = engine(dir.path());
        assert!(is_isolated(&mut gateway, GATE));
        gateway.handle([reload(dir.path(), change), reload(dir.path(), Some(gate_key()))]).unwrap();
        assert!(is_isolated(&mut gateway, GATE));
        assert_eq!(instruct(&mut gateway).0, Err(Denied::Isolated));
    }
}

/// With each file lost in each way the gateway refuses to start and writes nothing; told to go on, it has forgotten nothing.
#[test]
fn each_file_knows_that_the_other_was_lost() {
    type Loses = fn(&Path, (&[u8], &[u8]));
    let ways: [(&str, bool, Loses); 8] = [
        ("store.redb: it is not there", true, |dir, _| fs::remove_file(FileStore::path(dir)).unwrap()),
        ("store.redb: it is damaged", true, |dir, _| fs::write(FileStore::path(dir), b"").unwrap()),
        ("store.redb: it is damaged", true, |dir, _| fs::write(FileStore::path(dir), [7; 9000]).unwrap()),
        ("store.redb: it is damaged", true, |dir, _| {
            let store = fs::read(FileStore::path(dir)).unwrap();
            fs::write(FileStore::path(dir), &store[..store.len() / 2]).unwrap();
        }),
        ("store.redb: it was set back", true, |dir, (store, _)| {
            fs::write(FileStore::path(dir), store).unwrap();
        }),
        ("audit.jsonl: the end is missing: 0 records", false, |dir, _| {
            fs::remove_file(Audit::path(dir)).unwrap();
        }),
        ("audit.jsonl: the end is missing", false, |dir, (_, log)| fs::write(Audit::path(dir), log).unwrap()),
        ("audit.jsonl: line 2: the chain is broken", false, |dir, _| {
            let text = fs::read_to_string(Audit::path(dir)).unwrap();
            fs::write(Audit::path(dir), text.replacen("\"devices\":2", "\"devices\":3", 1)).unwrap();
        }),
    ];
    for (fault, is_store, lose) in ways {
        let dir = example();
        let (mut gateway, _) = engine(dir.path());
        gateway
            .handle([TestDevice::new(MAST, 1, dir.path()).reading(2, &files(dir.path()).0, b"1")])
            .unwrap();
        drop(gateway);
        let before =
            (fs::read(FileStore::path(dir.path())).unwrap(), fs::read(Audit::path(dir.path())).unwrap());
        let (mut gateway, _) = engine(dir.path());
        let (mut gate, frame) = isolate(&mut gateway, dir.path());
        drop(gateway);
        lose(dir.path(), (&before.0, &before.1));

        let content = || {
            let files = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
            let mut files: Vec<_> = files.filter(|path| path.is_file()).collect();
            files.sort();
            files.into_iter().map(|path| (fs::read(&path).unwrap(), path)).collect::<Vec<_>>()
        };
        let lost = content();
        let error = try_open(dir.path(), false).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with(fault) && text.contains("--continue-after-loss"), "{text}");
        let loss = error.downcast_ref::<Loss>().unwrap();
        assert_eq!(matches!(loss, Loss::Store(_)), is_store);
        // What opens a store may rewrite where it ended, but nothing else is written.
        let names = |content: Vec<(_, _)>| content.into_iter().map(|(_, path)| path).collect::<Vec<_>>();
        assert_eq!(names(content()), names(lost), "{fault}");

        let (mut gateway, outputs) = try_open(dir.path(), true).unwrap();
        assert!(is_isolated(&mut gateway, GATE), "{fault}");
        assert_eq!(down(&outputs, Kind::EpochRequest).len(), 1, "the mast is asked, {fault}");
        assert_eq!(gateway.handle([again(&frame)]).unwrap(), []);
        recover(&mut gateway);
        let (city, _) = files(dir.path());
        assert_eq!(gateway.handle([frame, gate.reading(1, &city, b"2")]).unwrap(), [], "{fault}");
        let mut next = TestDevice::new(GATE, 2, dir.path());
        assert_eq!(
            down(&gateway.handle([next.reading(1, &city, b"3")]).unwrap(), Kind::Instruction).len(),
            1
        );
        drop(gateway);

        // Both are whole again, and each alone would do.
        let log = Log::read(&Audit::path(dir.path()), &Default::default()).unwrap();
        assert_eq!(log.fault, None);
        let Some(Found::Whole(_, stored)) = FileStore::peek(dir.path()).unwrap() else { panic!("{fault}") };
        assert_eq!(stored.epochs.len(), log.memory.epochs.len(), "{fault}");
        assert!(stored.epochs.iter().all(|(id, key, epoch)| log.memory.epochs[&(*id, *key)] == *epoch));
        let isolated = stored.devices.iter().filter_map(|(id, record)| Some((*id, record.isolated?)));
        assert_eq!(isolated.collect::<Vec<_>>(), [(GATE, 1)], "{fault}");
        assert_eq!(log.memory.isolated.into_iter().collect::<Vec<_>>(), [(GATE, 1)], "{fault}");
        assert!(try_open(dir.path(), true).unwrap_err().to_string().contains("no file was lost"));
        assert!(is_isolated(&mut try_open(dir.path(), false).unwrap().0, GATE));
    }
}

/// A log that is at fault where it tells of a store that was lost before says nothing against the one that came after it.
#[test]
fn after_a_loss_of_the_store_a_fault_of_the_log_is_one_of_the_log_alone() {
    type Loses = fn(&Path, &str);
    let ways: [(&str, Loses); 2] = [
        ("the chain is broken", |dir, log| {
            fs::write(Audit::path(dir), log.replacen("\"devices\":2", "\"devices\":3", 1)).unwrap();
        }),
        ("this is not the record that was written", |dir, log| {
            fs::remove_file(Audit::path(dir)).unwrap();
            drop(try_open(dir, true).unwrap());
            fs::write(Audit::path(dir), log).unwrap();
        }),
    ];
    for (fault, lose) in ways {
        let dir = example();
        let (mut gateway, _) = engine(dir.path());
        let (_, frame) = isolate(&mut gateway, dir.path());
        drop(gateway);
        fs::remove_file(FileStore::path(dir.path())).unwrap();
        drop(try_open(dir.path(), true).unwrap());
        lose(dir.path(), &fs::read_to_string(Audit::path(dir.path())).unwrap());

        let error = try_open(dir.path(), false).unwrap_err();
        assert!(matches!(error.downcast_ref(), Some(Loss::Log(_))), "{error}");
        assert!(error.to_string().contains(fault), "{error}");
        let (mut gateway, _) = try_open(dir.path(), true).unwrap();
        assert!(is_isolated(&mut gateway, GATE), "{fault}");
        assert_eq!(gateway.handle([again(&frame)]).unwrap(), []);
    }
}

#[test]
fn with_both_files_at_fault_only_new_keys_help() {
    // In the midst of the log, and in its first record, so that nothing of it is left.
    for (from, to) in [("isolated", "isolatet"), ("\"n\":1,", "\"n\":7,")] {
        let dir = example();
        let (mut gateway, _) = engine(dir.path());
        isolate(&mut gateway, dir.path());
        drop(gateway);
        fs::remove_file(FileStore::path(dir.path())).unwrap();
        let text = fs::read_to_string(Audit::path(dir.path())).unwrap();
        assert!(text.contains(from));
        fs::write(Audit::path(dir.path()), text.replacen(from, to, 1)).unwrap();
        for after_loss in [false, true] {
            let error = try_open(dir.path(), after_loss).unwrap_err();
            assert!(matches!(error.downcast_ref(), Some(Loss::Both(..))), "{error}");
            assert!(error.to_string().contains("a new root key"), "{error}");
            assert!(!FileStore::path(dir.path()).exists());
        }
    }
}

/// A record alone: the configuration is not good.
fn fault() -> Input {
    Input::Reload(City::read(Path::new("/none")).map(|_| unreachable!()))
}

/// The process may end between the log and the store, so the log may be ahead by one commit, and by no more.
#[test]
fn a_store_may_be_one_commit_behind_its_log() {
    type Changes = fn(&mut Engine, &Path, &mut TestDevice);
    let ways: [(usize, Changes); 4] = [
        (0, |_, _, _| ()),
        (1, |engine, _, _| drop(engine.handle([fault()]).unwrap())),
        (2, |engine, _, _| {
            for _ in 0..2 {
                engine.handle([fault()]).unwrap();
            }
        }),
        // A commit without a record, and then one with a record that is made when time passes.
        (2, |engine, dir, gate| {
            engine.handle([gate.reading(3, &files(dir).0, b"2")]).unwrap();
            engine.handle([Input::Tick]).unwrap();
        }),
    ];
    for (number, (commits, change)) in ways.into_iter().enumerate() {
        let dir = example();
        let (mut gateway, _) = engine(dir.path());
        let mut gate = TestDevice::new(GATE, 1, dir.path());
        gateway.handle([gate.reading(1, &files(dir.path()).0, b"1")]).unwrap();
        gateway.handle([Input::Tick]).unwrap();
        let store = fs::read(FileStore::path(dir.path())).unwrap();
        change(&mut gateway, dir.path(), &mut gate);
        drop(gateway);
        fs::write(FileStore::path(dir.path()), store).unwrap();
        match try_open(dir.path(), false) {
            Ok(_) => assert!(commits < 2, "{number}"),
            Err(error) => {
                assert!(matches!(error.downcast_ref(), Some(Loss::Store(_))), "{number}: {error}");
                assert!(commits == 2, "{number}: {error}");
            }
        }
        let names = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
        assert!(names.into_iter().all(|name| !name.to_string_lossy().contains("lost")), "nothing was lost");
    }
}

/// What the log says of an isolation holds, if the process ended before the store had it: in both directions.
#[test]
fn an_isolation_or_recovery_that_only_the_log_has_is_taken_over() {
    let dir = example();
    let (city, _) = files(dir.path());
    let (mut gateway, _) = engine(dir.path());
    let mut gate = TestDevice::new(GATE, 1, dir.path());
    let genuine = gate.code.clone();
    gateway.handle([gate.reading(1, &city, b"1")]).unwrap();
    gate.code[7] ^= 1;
    let instruction = instruct(&mut gateway).1.remove(0).payload;
    gateway.handle([Input::Tick]).unwrap();
    let store = fs::read(FileStore::path(dir.path())).unwrap();
    gateway.handle([gate.follow(&instruction, &genuine)]).unwrap();
    drop(gateway);
    fs::write(FileStore::path(dir.path()), store).unwrap();

    let (mut gateway, _) = try_open(dir.path(), false).unwrap();
    assert!(is_isolated(&mut gateway, GATE));
    recover(&mut gateway);
    let mut gate = TestDevice { link: TestDevice::new(GATE, 2, dir.path()).link, ..gate };
    let outputs = gateway.handle([gate.reading(1, &city, b"2")]).unwrap();
    let restore = down(&outputs, Kind::Instruction).remove(0);
    gateway.handle([Input::Tick]).unwrap();
    let store = fs::read(FileStore::path(dir.path())).unwrap();
    gateway.handle([gate.follow(&restore, &genuine)]).unwrap();
    assert!(!is_isolated(&mut gateway, GATE));
    drop(gateway);
    let log = fs::read(Audit::path(dir.path())).unwrap();
    fs::write(FileStore::path(dir.path()), store).unwrap();

    let (mut gateway, _) = try_open(dir.path(), false).unwrap();
    assert!(!is_isolated(&mut gateway, GATE));
    drop(gateway);
    // What it knew from the log it has stored, and the log was not told again.
    let Some(Found::Whole(_, stored)) = FileStore::peek(dir.path()).unwrap() else { panic!() };
    assert!(stored.devices.iter().all(|(_, record)| record.isolated.is_none()));
    let after = fs::read(Audit::path(dir.path())).unwrap();
    let more = String::from_utf8(after[log.len()..].to_vec()).unwrap();
    assert!(!more.contains("\"isolated\"") && !more.contains("\"epoch known\""), "{more}");
}

/// The last record alone cannot be cut off, if there are more of its commit.
#[test]
fn one_record_of_several_cannot_be_cut_off() {
    let dir = example();
    let (mut gateway, _) = engine(dir.path());
    gateway.handle([fault(), fault()]).unwrap();
    drop(gateway);
    let log = fs::read_to_string(Audit::path(dir.path())).unwrap();
    let last = log.trim_end().rfind('\n').unwrap() + 1;
    fs::write(Audit::path(dir.path()), &log[..last]).unwrap();
    let error = try_open(dir.path(), false).unwrap_err();
    assert!(matches!(error.downcast_ref(), Some(Loss::Log(_))), "{error}");
}

/// Store and log of two histories with one beginning do not fit, also if their commits have the numbers that they may have.
#[test]
fn files_of_two_histories_do_not_fit() {
    let dir = example();
    let (gateway, _) = engine(dir.path());
    drop(gateway);
    let read =
        || (fs::read(FileStore::path(dir.path())).unwrap(), fs::read(Audit::path(dir.path())).unwrap());
    let (store, log) = read();
    let open = || {
        let (mut gateway, _) = try_open(dir.path(), false).unwrap();
        gateway.handle([fault()]).unwrap();
        gateway
    };
    drop(open());
    let (other, _) = read();
    fs::write(FileStore::path(dir.path()), store).unwrap();
    fs::write(Audit::path(dir.path()), log).unwrap();
    let mut gateway = open();
    gateway.handle([fault()]).unwrap();
    drop(gateway);
    fs::write(FileStore::path(dir.path()), other).unwrap();
    let error = try_open(dir.path(), false).unwrap_err();
    assert!(matches!(error.downcast_ref(), Some(Loss::Log(_))), "{error}");
}

/// After a loss the store counts on behind its log, so that copies of the time before are still known to be old.
#[test]
fn a_copy_from_before_a_loss_stays_an_old_one() {
    let dir = example();
    drop(engine(dir.path()));
    let store = || fs::read(FileStore::path(dir.path())).unwrap();
    let go_on = |after_loss| {
        let (mut gateway, _) = try_open(dir.path(), after_loss).unwrap();
        gateway.handle([fault()]).unwrap();
    };
    let older = store();
    (0..3).for_each(|_| go_on(false));
    let newer = store();
    (0..3).for_each(|_| go_on(false));
    fs::write(FileStore::path(dir.path()), older).unwrap();
    go_on(true);
    fs::write(FileStore::path(dir.path()), newer).unwrap();
    let error = try_open(dir.path(), false).unwrap_err();
    assert!(error.to_string().starts_with("store.redb: it was set back"), "{error}");
}

/// A store of another gateway is not taken for one that is ahead of its log.
#[test]
fn a_store_of_another_gateway_does_not_fit() {
    let [dir, other] = [example(), example()];
    drop(engine(dir.path()));
    let (mut gateway, _) = engine(other.path());
    for _ in 0..3 {
        gateway.handle([fault()]).unwrap();
    }
    drop(gateway);
    fs::copy(FileStore::path(other.path()), FileStore::path(dir.path())).unwrap();
    let error = try_open(dir.path(), false).unwrap_err();
    assert!(matches!(error.downcast_ref(), Some(Loss::Store(_) | Loss::Both(..))), "{error}");
    assert!(error.to_string().contains("not the one with which the audit log was written"), "{error}");
}

#[test]
fn what_was_not_delivered_outlives_restarts() {
    let dir = example();
    let (city, _) = files(dir.path());
    let (mut first, _) = engine(dir.path());
    let mut gate = TestDevice::new(GATE, 1, dir.path());
    let outputs = first.handle([gate.reading(3, &city, b"1"), gate.reading(3, &city, b"2")]).unwrap();
    let numbers: Vec<u64> = outputs.iter().filter_map(|output| output.delivery).collect();
    assert_eq!(numbers.len(), 2);
    drop(first);
    // Given out is not delivered.
    let (mut second, _) = engine(dir.path());
    second.handle([Input::Tick]).unwrap();
    drop(second);
    let (mut third, before) = engine(dir.path());
    assert_eq!(before.iter().filter_map(|output| output.delivery).collect::<Vec<_>>(), numbers);
    // A number is not used again.
    let mut gate = TestDevice::new(GATE, 2, dir.path());
    let outputs = third.handle([gate.reading(3, &city, b"3")]).unwrap();
    assert!(outputs.iter().filter_map(|output| output.delivery).all(|number| !numbers.contains(&number)));
    drop(third);
    assert_eq!(readings(&engine(dir.path()).1), 3);
}

/// An epoch that an isolated device opens for its recovery is stored too.
#[test]
fn an_epoch_of_an_isolated_device_is_stored() {
    let dir = example();
    let (city, _) = files(dir.path());
    let (mut first, _) = engine(dir.path());
    isolate(&mut first, dir.path());
    drop(first);
    let (mut second, _) = engine(dir.path());
    recover(&mut second);
    let mut gate = TestDevice::new(GATE, 2, dir.path());
    let outputs = second.handle([gate.reading(1, &city, b"1")]).unwrap();
    assert_eq!(down(&outputs, Kind::Instruction).len(), 1);
    drop(second);
    let (mut third, _) = engine(dir.path());
    recover(&mut third);
    // The same epoch again would give another instruction under the nonce of the first.
    assert_eq!(third.handle([gate.reading(1, &city, b"2")]).unwrap(), []);
    let mut gate = TestDevice::new(GATE, 3, dir.path());
    assert_eq!(down(&third.handle([gate.reading(1, &city, b"3")]).unwrap(), Kind::Instruction).len(), 1);
}

#[test]
fn evidence_counts_once_and_ends_a_recovery_with_a_receipt() {
    let dir = example();
    let (city, _) = files(dir.path());
    let (mut gateway, _) = engine(dir.path());
    let (mut gate, _) = isolate(&mut gateway, dir.path());
    let genuine = fs::read(dir.path().join("code/open_gate.bin")).unwrap();
    let instruction = down(&recover(&mut gateway), Kind::Instruction).remove(0);
    let evidence = gate.follow(&instruction, &genuine);
    // A device follows an instruction once.
    gate.link.open_instruction(GATE, &mut instruction.clone()).unwrap_err();
    let outputs = gateway.handle([again(&evidence)]).unwrap();
    assert!(!is_isolated(&mut gateway, GATE));
    let mut receipt = down(&outputs, Kind::Receipt);
    assert!(gate.link.open_receipt(GATE, &mut receipt[0]).unwrap().has([0, 0, 2]));
    // Neither in the ended epoch nor in the next one.
    assert_eq!(down(&gateway.handle([again(&evidence)]).unwrap(), Kind::Receipt), Vec::<Vec<u8>>::new());
    let mut gate = TestDevice::new(GATE, 2, dir.path());
    assert_eq!(readings(&gateway.handle([gate.reading(1, &city, b"1")]).unwrap()), 3);
    let count = |event: &str| fs::read_to_string(Audit::path(dir.path())).unwrap().matches(event).count();
    let attested = count("\"event\":\"attested\"");
    gateway.handle([evidence, Input::Tick]).unwrap();
    assert_eq!(count("\"event\":\"attested\""), attested);
    assert_eq!(count("\"operator\":\"kana\""), 2);
}

/// An audit record alone moves the head that the store holds.
#[test]
fn a_record_alone_cannot_be_cut_off() {
    let dir = example();
    let (mut gateway, _) = engine(dir.path());
    let before = fs::read(Audit::path(dir.path())).unwrap();
    gateway.handle([fault()]).unwrap();
    drop(gateway);
    assert!(fs::read(Audit::path(dir.path())).unwrap().len() > before.len());
    fs::write(Audit::path(dir.path()), before).unwrap();
    let error = try_open(dir.path(), false).unwrap_err();
    assert!(matches!(error.downcast_ref(), Some(Loss::Log(_))), "{error}");
}

/// Nothing is sent again, warned of or asked for before its time.
#[test]
fn nothing_happens_before_its_deadline() {
    let dir = example();
    let (city, _) = files(dir.path());
    let (mut gateway, _) = engine(dir.path());
    let mut gate = TestDevice::new(GATE, 1, dir.path());
    gateway.handle([gate.reading(1, &city, b"1")]).unwrap();
    instruct(&mut gateway).0.unwrap();
    // A commit without a record, and something to sum up.
    let reading = gate.reading(1, &city, b"2");
    gateway.handle([again(&reading)]).unwrap();
    gateway.handle([reading]).unwrap();
    for _ in 0..20 {
        assert_eq!(gateway.handle([Input::Tick]).unwrap(), []);
    }
    assert_eq!(instruct(&mut gateway).0, Err(Denied::Busy));
    drop(gateway);
    let (mut gateway, before) = engine(dir.path());
    assert_eq!(down(&before, Kind::EpochRequest).len(), 1);
    assert_eq!(gateway.handle([Input::Tick]).unwrap(), []);
    let log = fs::read_to_string(Audit::path(dir.path())).unwrap();
    for event in ["attested", "refused", "stored"] {
        assert!(!log.contains(&format!("\"event\":\"{event}\"")), "{log}");
    }
}
