//! What every store does, wherever it is.
#![allow(unreachable_pub, reason = "as of what is common")]

use std::{cell::Cell, collections::BTreeMap};

use jiff::{Timestamp, ToSpan as _};
use smart_city_engine::{
    attestation::Status,
    audit::Head,
    memory::Fingerprint,
    store::{Bounds, Changes, DeviceRecord, Found, Place, Query, Reading, Store, Stored},
};
use smart_city_frame::DeviceId;

use crate::common::Random;

/// Is for an empty place.
pub type Test = fn(&dyn Place);

/// Each with its name.
pub const TESTS: [(&str, Test); 7] = [
    ("a new store is empty, and another one each time", a_new_store_is_empty),
    ("what was stored is found", what_was_stored_is_found),
    ("a commit counts as a whole or not at all", a_commit_counts_as_a_whole),
    ("nothing is written if nothing changes", nothing_is_written_if_nothing_changes),
    ("old readings go", old_readings_go),
    ("readings of many devices come in the order of their times", readings_come_in_the_order_of_their_times),
    ("it is as a model of it", it_is_as_a_model_of_it),
];

pub fn create(place: &dyn Place) -> (Box<dyn Store>, Stored) {
    assert!(matches!(place.find().unwrap(), Found::Nothing));
    place.create().unwrap()
}

pub fn find(place: &dyn Place) -> (Box<dyn Store>, Stored) {
    let Found::Whole(store, stored) = place.find().unwrap() else { panic!("there is no store") };
    (store, *stored)
}

pub fn reading(device: u8, time: Timestamp) -> Reading {
    let (key, stream_identity, payload) = ([9; 16], "one".to_owned(), vec![0, 255, device]);
    Reading {
        device: [device; 8],
        key,
        stream: 1,
        stream_identity,
        epoch: 65_535,
        counter: 0xff_ffff,
        time,
        payload,
    }
}

fn id(device: u8) -> DeviceId {
    DeviceId([device; 8])
}

fn head(n: u64) -> Head {
    Head { n, hash: format!("hash {n}") }
}

/// All of the history of a device.
fn past(store: &dyn Store, device: u8, stream: u16) -> Vec<Reading> {
    let (devices, stream_identity, times) = (vec![id(device)], "one".to_owned(), (i64::MIN, i64::MAX));
    let query = Query { devices, stream, stream_identity, times, limit: 5000 };
    store.snapshot().unwrap().read(&query, &|| true).unwrap()
}

fn a_new_store_is_empty(place: &dyn Place) {
    let (mut store, stored) = create(place);
    assert_eq!(store.identity(), stored.identity);
    assert_eq!(stored.identity.len(), 32);
    assert_eq!((store.generation(), stored.generation, stored.head), (0, 0, Head::default()));
    assert!(stored.epochs.is_empty() && stored.devices.is_empty() && stored.outbox.is_empty());
    assert_eq!(stored.history, (0, None));
    assert!(store.outbox(0, 10).unwrap().is_empty() && past(&*store, 1, 1).is_empty());
    drop(store);
    let (store, again) = find(place);
    assert_eq!((store.identity(), again.generation), (&*stored.identity, 0));
}

fn what_was_stored_is_found(place: &dyn Place) {
    let (mut store, stored) = create(place);
    let time = Timestamp::from_nanosecond(1_800_000_000_123_456_789).unwrap();
    let (one, two) = (stored.next, stored.next + 1);
    let record = DeviceRecord {
        epoch: None,
        isolated: Some(65_535),
        status: Status::Contraindicated,
        result: Some("a \"JWT\"".to_owned()),
        recovered: Some(([3; 16], 7)),
    };
    let history = Bounds { most: 10, times: None };
    let changes = Changes {
        epochs: vec![(id(1), [1; 16], 65_535), (id(1), [2; 16], 0), (id(2), [1; 16], 1), (id(2), [1; 16], 3)],
        devices: vec![(id(1), record.clone()), (id(3), DeviceRecord::default())],
        accepted: vec![(one, reading(1, time))],
        unowed: vec![(two, reading(2, time))],
        delivered: Vec::new(),
        links: Vec::new(),
        history,
    };
    store.commit(&changes, &head(7)).unwrap();
    assert_eq!(store.generation(), 1);
    drop(store);

    let (mut store, mut stored) = find(place);
    stored.epochs.sort_unstable();
    assert_eq!(stored.epochs, [(id(1), [1; 16], 65_535), (id(1), [2; 16], 0), (id(2), [1; 16], 3)]);
    stored.devices.sort_unstable_by_key(|(id, _)| *id);
    assert_eq!(stored.devices, [(id(1), record), (id(3), DeviceRecord::default())]);
    assert_eq!(stored.outbox, [(one, reading(1, time))]);
    assert_eq!(store.outbox(0, 10).unwrap(), stored.outbox);
    assert_eq!((stored.generation, stored.head), (1, head(7)));
    assert!(stored.next > two);
    assert_eq!(stored.history, (2, Some(time.as_microsecond())));
    for device in [1, 2] {
        assert_eq!(past(&*store, device, 1), [reading(device, time)]);
        assert!(past(&*store, device, 2).is_empty());
    }

    // It is delivered, and the store goes on behind a log that knows more.
    store.skip_to(41);
    store.skip_to(5);
    let delivered = Changes { delivered: vec![one, two, u64::MAX >> 1], history, ..Changes::default() };
    store.commit(&delivered, &head(8)).unwrap();
    assert!(store.outbox(0, 10).unwrap().is_empty());
    drop(store);
    let (store, stored) = find(place);
    assert_eq!((store.generation(), stored.generation), (42, 42));
    assert!(stored.outbox.is_empty());
    assert_eq!(past(&*store, 1, 1).len(), 1, "what was delivered is still in the history");
}

fn a_commit_counts_as_a_whole(place: &dyn Place) {
    let (mut store, stored) = create(place);
    let changes = Changes {
        epochs: vec![(id(1), [1; 16], 5), (id(2), [1; 16], 5)],
        accepted: vec![(stored.next, reading(1, Timestamp::UNIX_EPOCH))],
        ..Changes::default()
    };
    store.commit(&changes, &head(1)).unwrap();
    drop(store);
    let [back, twice, overwritten] = [
        |_| Changes { epochs: vec![(id(2), [1; 16], 6), (id(1), [1; 16], 4)], ..Changes::default() },
        |_| Changes { epochs: vec![(id(2), [1; 16], 7), (id(2), [1; 16], 6)], ..Changes::default() },
        |used| Changes { accepted: vec![(used, reading(2, Timestamp::UNIX_EPOCH))], ..Changes::default() },
    ] as [fn(u64) -> Changes; 3];
    for (wrong, expected) in [
        (back(0), "would go back"),
        (twice(0), "would go back"),
        (overwritten(stored.next), "would be overwritten"),
    ] {
        let (mut store, stored) = find(place);
        let mut changes = Changes {
            devices: vec![(id(3), DeviceRecord::default())],
            delivered: stored
                .outbox
                .iter()
                .map(|(number, _)| *number)
                .filter(|_| wrong.accepted.is_empty())
                .collect(),
            ..wrong
        };
        changes.epochs.push((id(4), [1; 16], 1));
        let error = store.commit(&changes, &head(2)).unwrap_err();
        assert!(format!("{error:#}").contains(expected), "{error:#}");
        drop(store);
        let (_, stored) = find(place);
        assert_eq!((stored.generation, stored.head), (1, head(1)));
        assert!(stored.devices.is_empty());
        assert_eq!((stored.epochs.len(), stored.outbox.len()), (2, 1));
        assert!(stored.epochs.iter().all(|(_, _, epoch)| *epoch == 5));
    }
    // The same epoch once more is no step back.
    let (mut store, _) = find(place);
    store.commit(&Changes { epochs: vec![(id(1), [1; 16], 5)], ..Changes::default() }, &head(2)).unwrap();
}

fn nothing_is_written_if_nothing_changes(place: &dyn Place) {
    let (mut store, _) = create(place);
    store.commit(&Changes::default(), &Head::default()).unwrap();
    assert_eq!(store.generation(), 0);
    store.commit(&Changes::default(), &head(1)).unwrap();
    store.commit(&Changes::default(), &head(1)).unwrap();
    assert_eq!(store.generation(), 1);
}

fn old_readings_go(place: &dyn Place) {
    let (mut store, stored) = create(place);
    let first = stored.next;
    let start = Timestamp::now();
    let at = |i: u64| start + i64::try_from(i).unwrap().minutes();
    let bounds = |from| Bounds { most: 5000, times: Some((from, i64::MAX)) };
    let accepted = (0..3000).map(|i| (first + i, reading(7, at(i)))).collect();
    store.commit(&Changes { accepted, history: bounds(0), ..Changes::default() }, &Head::default()).unwrap();
    let times = |store: &dyn Store| {
        let all = past(store, 7, 1);
        (all.len(), all.first().map(|reading| reading.time))
    };
    assert_eq!(times(&*store), (3000, Some(at(0))));
    // Not all at once: others wait for it.
    let later = Changes { history: bounds(at(2000).as_microsecond()), ..Changes::default() };
    for left in [1976, 1000, 1000] {
        store.commit(&later, &Head::default()).unwrap();
        assert_eq!(times(&*store), (left, Some(at(3000 - u64::try_from(left).unwrap()))));
    }
    let generation = store.generation();
    store.commit(&later, &Head::default()).unwrap();
    assert_eq!(store.generation(), generation, "nothing is written if nothing changes");
    drop(store);
    let (mut store, stored) = find(place);
    assert!(stored.next >= first + 3000);
    assert_eq!(stored.history, (1000, Some(at(2000).as_microsecond())));
    assert_eq!(times(&*store), (1000, Some(at(2000))));
    assert!(past(&*store, 7, 2).is_empty() && past(&*store, 8, 1).is_empty());

    // As many as there may be, and one more; then none.
    let (mut next, mut time) = (stored.next, 3000);
    for (new, most, left) in [(2, 1001, 1001), (1, 1001, 1001), (0, 7, 7), (0, 0, 0), (1, 0, 0), (1, 5, 1)] {
        let unowed = (0..new).map(|i| (next + i, reading(7, at(time + i)))).collect();
        (next, time) = (next + new, time + new);
        let history = Bounds { most, times: None };
        store.commit(&Changes { unowed, history, ..Changes::default() }, &Head::default()).unwrap();
        assert_eq!(times(&*store).0, left, "{new} more, {most} at most");
    }
    // One of a time that is still to come goes, too.
    let history = Bounds { most: 5, times: Some((0, start.as_microsecond())) };
    store.commit(&Changes { history, ..Changes::default() }, &Head::default()).unwrap();
    assert_eq!(times(&*store), (0, None));
    drop(store);
    assert_eq!(find(place).1.history, (0, None));
}

/// What is wanted of many devices is merged by time; and it is little that is read for a little.
fn readings_come_in_the_order_of_their_times(place: &dyn Place) {
    let (mut store, stored) = create(place);
    let mut random = Random(7);
    let mut all = Vec::new();
    for number in 0..600 {
        let device = u8::try_from(random.below(20)).unwrap();
        let time = Timestamp::from_microsecond(1000 + i64::try_from(random.below(200)).unwrap()).unwrap();
        let stream_identity = ["one", "other"][random.below(2)].to_owned();
        let stream = 1 + u16::from(random.one_in(4));
        let counter = u32::try_from(number).unwrap();
        all.push((
            stored.next + number,
            Reading { stream, stream_identity, counter, ..reading(device, time) },
        ));
    }
    let history = Bounds { most: 5000, times: None };
    let changes = Changes { accepted: all.clone(), history, ..Changes::default() };
    store.commit(&changes, &Head::default()).unwrap();
    all.sort_by_key(|(number, reading)| (reading.time, reading.device, *number));
    for (devices, (from, to), limit) in [
        (0..20, (0, i64::MAX), 5000),
        (3..17, (i64::MIN, i64::MAX), 20),
        (0..20, (1050, 1100), 5000),
        (0..20, (1050, 1100), 40),
        (0..20, (1100, 1050), 40),
        (5..6, (0, i64::MAX), 5000),
        (0..20, (0, i64::MAX), 0),
        (0..0, (0, i64::MAX), 9),
    ] {
        let query = Query {
            devices: devices.clone().map(id).collect(),
            stream: 1,
            stream_identity: "one".to_owned(),
            times: (from, to),
            limit,
        };
        let of_stream = |reading: &Reading| reading.stream == 1 && reading.stream_identity == "one";
        let expected: Vec<Reading> = all
            .iter()
            .map(|(_, reading)| reading.clone())
            .filter(|reading| of_stream(reading) && devices.contains(&reading.device[0]))
            .filter(|reading| (from..=to).contains(&reading.time.as_microsecond()))
            .take(limit)
            .collect();
        let asked = Cell::new(0);
        let is_wanted = || asked.replace(asked.get() + 1) < 5000;
        let found = store.snapshot().unwrap().read(&query, &is_wanted).unwrap();
        assert_eq!(found, expected, "{query:?}");
        // Half of the readings under the number are the other stream's.
        assert!(asked.get() <= 4 * limit + 1, "{} steps for {limit}", asked.get());
        // Who does not wait any more gets nothing, and at once.
        assert!(store.snapshot().unwrap().read(&query, &|| false).unwrap().is_empty());
    }
}

/// Random commits, between which the store is opened anew now and then.
fn it_is_as_a_model_of_it(place: &dyn Place) {
    let (mut store, stored) = create(place);
    let mut random = Random(42);
    let mut epochs: BTreeMap<(DeviceId, Fingerprint), u16> = BTreeMap::new();
    let (mut devices, mut outbox) = (BTreeMap::new(), BTreeMap::new());
    let (mut next, mut commits) = (stored.next, 0);
    for n in 1..150 {
        let mut changes = Changes { history: Bounds { most: 50, times: None }, ..Changes::default() };
        for _ in 0..random.below(4) {
            let key = (id(u8::try_from(random.below(9)).unwrap()), [u8::from(random.one_in(2)); 16]);
            let epoch = epochs.entry(key).or_default();
            *epoch += u16::try_from(random.below(300)).unwrap();
            changes.epochs.push((key.0, key.1, *epoch));
        }
        for device in (0..9).map(id).filter(|_| random.one_in(9)).collect::<Vec<_>>() {
            let isolated = random.one_in(2).then_some(3);
            let record = DeviceRecord { isolated, ..DeviceRecord::default() };
            devices.insert(device, record.clone());
            changes.devices.push((device, record));
        }
        for _ in 0..random.below(5) {
            let reading = reading(u8::try_from(random.below(9)).unwrap(), Timestamp::now());
            if random.one_in(3) {
                changes.unowed.push((next, reading));
            } else {
                outbox.insert(next, reading.clone());
                changes.accepted.push((next, reading));
            }
            next += 1;
        }
        for number in outbox.keys().copied().filter(|_| random.one_in(6)).collect::<Vec<_>>() {
            // What came with this commit is delivered later.
            if changes.accepted.iter().all(|(new, _)| *new != number) {
                outbox.remove(&number);
                changes.delivered.push(number);
            }
        }
        commits += 1;
        store.commit(&changes, &head(n)).unwrap();
        let from = next.saturating_sub(20);
        let expected: Vec<_> =
            outbox.range(from..).take(5).map(|(number, reading)| (*number, reading.clone())).collect();
        assert_eq!(store.outbox(from, 5).unwrap(), expected);
        if random.one_in(12) {
            drop(store);
            let (again, stored) = find(place);
            assert_eq!(
                (stored.generation, stored.head, &*stored.identity),
                (commits, head(n), again.identity())
            );
            let known: BTreeMap<_, _> =
                stored.epochs.into_iter().map(|(id, key, epoch)| ((id, key), epoch)).collect();
            assert_eq!(known, epochs);
            assert_eq!(stored.devices.into_iter().collect::<BTreeMap<_, _>>(), devices);
            assert_eq!(stored.outbox, outbox.clone().into_iter().collect::<Vec<_>>());
            assert!(stored.history.0 <= 50 && stored.next >= outbox.keys().last().map_or(0, |last| last + 1));
            (store, next) = (again, stored.next);
        }
    }
}
