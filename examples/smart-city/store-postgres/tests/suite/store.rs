//! It is a store as any other, of which one process at a time has the shards.

use std::fs;

use redb::backends::FileBackend;
use smart_city_engine::{
    attestation::Signer,
    audit::{Audit, Head},
    engine::{Engine, Output},
    memory::Loss,
    store::{Changes, Place as _},
};
use smart_city_frame::{DeviceId, Kind};
use smart_city_store_postgres::{Fenced, Limits};

use crate::{
    cluster::Cluster,
    common::{GATE, MAST, TestDevice, example, files, kind},
    stores,
    whole::Whole,
};

fn whole(address: &str, name: &str) -> Whole {
    Whole::new(address, name, Limits::default())
}

#[test]
fn a_database_does_what_every_store_does() {
    let cluster = Cluster::shared();
    for (name, test) in stores::TESTS {
        println!("{name}");
        test(&whole(&cluster.address(), "one"));
    }
}

/// What one writes after another has opened the store changes nothing, whichever of the two woke up.
#[test]
fn writes_of_a_predecessor_are_refused() {
    let cluster = Cluster::shared();
    let (address, id) = (cluster.address(), DeviceId([7; 8]));
    let epoch = |epoch| Changes { epochs: vec![(id, [1; 16], epoch)], ..Changes::default() };
    let head = |n| Head { n, hash: String::new() };
    let (one, two) = (whole(&address, "one"), whole(&address, "two"));
    let (mut first, _) = stores::create(&one);
    first.commit(&epoch(1), &head(1)).unwrap();
    // Another gateway, and then another process of the same.
    let (mut second, stored) = stores::create(&two);
    assert_eq!(stored.epochs, [(id, [1; 16], 1)]);
    for _ in 0..2 {
        let error = first.commit(&epoch(9), &head(2)).unwrap_err();
        assert!(matches!(error.downcast_ref(), Some(Fenced::Shard { term: 1, newest: 2, .. })), "{error:#}");
    }
    second.commit(&epoch(2), &head(1)).unwrap();
    let (mut third, stored) = stores::find(&two);
    assert_eq!(stored.epochs, [(id, [1; 16], 2)]);
    second.commit(&epoch(3), &head(2)).unwrap_err().downcast_ref::<Fenced>().unwrap();
    // Nothing of a device: the audit log alone would be taken, were it not for the terms.
    second.commit(&Changes::default(), &head(2)).unwrap_err().downcast_ref::<Fenced>().unwrap();
    third.commit(&epoch(3), &head(2)).unwrap();
    let (_, stored) = stores::find(&one);
    assert_eq!((stored.epochs, stored.generation), (vec![(id, [1; 16], 3)], 1));
}

/// The engine with its store in the database: readings, a receipt, a restart, and another gateway in its place.
#[test]
fn the_engine_goes_on_at_another_gateway() {
    let cluster = Cluster::shared();
    let address = cluster.address();
    let (dir, other) = (example(), example());
    let signer = || Signer::from_pem(Signer::generate().unwrap().as_bytes()).unwrap();
    let open = |name: &str, dir: &std::path::Path| -> (Engine, Vec<Output>) {
        let ((city, secrets), place) = (files(dir), whole(&address, name));
        Engine::open_in(&place, dir, city, secrets, signer(), false, |file| Ok(FileBackend::new(file)?))
            .unwrap()
    };
    let (city, _) = files(dir.path());
    let readings = |outputs: &[Output]| -> Vec<Vec<u8>> {
        let mut readings: Vec<_> = outputs.iter().filter(|output| output.delivery.is_some()).collect();
        readings.dedup_by_key(|output| output.delivery);
        readings.iter().map(|output| output.payload.clone()).collect()
    };
    let (mut engine, _) = open("one", dir.path());
    let (mut gate, mut mast) = (TestDevice::new(GATE, 1, dir.path()), TestDevice::new(MAST, 4, dir.path()));
    let outputs = engine.handle([gate.reading(1, &city, b"12"), mast.reading(2, &city, b"40")]).unwrap();
    assert_eq!(readings(&outputs), [b"12", b"40"]);
    assert_eq!(outputs.iter().filter(|output| kind_of(output) == Some(Kind::Receipt)).count(), 2);
    drop(engine);
    let (engine, outputs) = open("one", dir.path());
    assert_eq!(readings(&outputs), [b"12", b"40"], "nobody has said that they were delivered");

    // The first one is stopped; another gateway has the devices, and knows what was accepted.
    let mut stopped = engine;
    let (mut engine, outputs) = open("two", other.path());
    assert_eq!(readings(&outputs), [b"12", b"40"]);
    let old = gate.reading(1, &city, b"13");
    assert!(readings(&engine.handle([old]).unwrap()).is_empty(), "its replay window is lost");
    let mut gate = TestDevice::new(GATE, 2, dir.path());
    assert_eq!(readings(&engine.handle([gate.reading(1, &city, b"14")]).unwrap()), [b"14"]);
    // It wakes, and accepts nothing.
    let error = stopped.handle([gate.reading(1, &city, b"15")]).unwrap_err();
    assert!(error.is::<Fenced>(), "{error:#}");
    drop(stopped);
    drop(engine);
    // What is its own still fits: its log, and what the database knows of it.
    let (_, outputs) = open("one", dir.path());
    assert_eq!(readings(&outputs), [b"12".to_vec(), b"40".to_vec(), b"14".to_vec()]);
}

/// The database knows the end of each gateway's log, and the log how far the database was.
#[test]
fn a_lost_log_or_database_is_noticed() {
    let cluster = Cluster::shared();
    let (address, dir) = (cluster.address(), example());
    let open = |address: &str, after_loss| {
        let ((city, secrets), place) = (files(dir.path()), whole(address, "one"));
        let signer = Signer::from_pem(Signer::generate().unwrap().as_bytes()).unwrap();
        let disk = |file| Ok(FileBackend::new(file)?);
        Engine::open_in(&place, dir.path(), city, secrets, signer, after_loss, disk)
    };
    let (city, _) = files(dir.path());
    let (mut engine, _) = open(&address, false).unwrap();
    let mut gate = TestDevice::new(GATE, 7, dir.path());
    engine.handle([gate.reading(1, &city, b"12")]).unwrap();
    drop(engine);
    let loss = |address: &str| open(address, false).unwrap_err().downcast::<Loss>().unwrap();
    let path = Audit::path(dir.path());
    let log = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    assert!(matches!(loss(&address), Loss::Log(_)));
    fs::write(&path, &log).unwrap();
    assert!(matches!(loss(&cluster.address()), Loss::Store(_)), "another database");
    drop(open(&address, false).unwrap());

    // With a new one it goes on behind the epochs that its log knows.
    let new = cluster.address();
    let (mut engine, _) = open(&new, true).unwrap();
    for (epoch, is_accepted) in [(7, false), (8, true)] {
        let mut gate = TestDevice::new(GATE, epoch, dir.path());
        let outputs = engine.handle([gate.reading(1, &city, b"13")]).unwrap();
        assert_eq!(outputs.iter().any(|output| output.delivery.is_some()), is_accepted, "{epoch}");
    }
}

fn kind_of(output: &Output) -> Option<Kind> {
    output.topic.starts_with("down/").then(|| kind(&output.payload))
}

#[test]
fn a_database_of_a_newer_version_is_left_alone() {
    let cluster = Cluster::shared();
    let address = cluster.address();
    let place = whole(&address, "one");
    drop(stores::create(&place));
    cluster.run(&address, "insert into migrations (number) values (99)");
    let error = place.find().unwrap_err();
    assert!(error.to_string().contains("newer version"), "{error:#}");
}
