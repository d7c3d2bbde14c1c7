//! Several gateways beside each other, each with the shards that it has taken.

use std::{sync::Arc, thread, time::Instant};

use jiff::Timestamp;
use smart_city_engine::{
    attestation::Status,
    audit::Head,
    store::{Bounds, Changes, DeviceRecord, Place as _, Query, Reading, Shard, Store},
};
use smart_city_frame::DeviceId;
use smart_city_store_postgres::{Database, Fenced, Gateway, Limits, Load, load};

use crate::{
    cluster::{Cluster, with},
    stores::{self, reading},
    whole::{SHARDS, gateway, runtime},
};

/// The `n`th device of a shard.
fn device(shard: u16, n: usize) -> u8 {
    (0..=u8::MAX).filter(|byte| DeviceId([*byte; 8]).shard(SHARDS) == shard).nth(n).unwrap()
}

fn id(device: u8) -> DeviceId {
    DeviceId([device; 8])
}

fn head(n: u64) -> Head {
    Head { n, hash: String::new() }
}

fn epoch(shard: u16, epoch: u16) -> Changes {
    Changes { epochs: vec![(id(device(shard, 0)), [1; 16], epoch)], ..Changes::default() }
}

struct City {
    cluster: Arc<Cluster>,
    address: String,
    database: Database,
}

impl City {
    fn new() -> Self {
        let cluster = Cluster::shared();
        let address = cluster.address();
        let database = Database::new(&address, None, None, Limits::default()).unwrap();
        Self { cluster, address, database }
    }

    fn create(&self, name: &str) -> (Box<dyn Store>, u64) {
        let (store, stored) = gateway(&self.database, name).create().unwrap();
        (store, stored.next)
    }

    /// Takes a shard from whoever has it, and reads it.
    fn take(&self, shard: u16) -> Shard {
        self.cluster.run(&self.address, &format!("update leases set term = term + 1 where shard = {shard}"));
        runtime().block_on(load(&self.database, shard, self.term(shard))).unwrap()
    }

    fn term(&self, shard: u16) -> i64 {
        let sql = format!("select term from leases where shard = {shard}");
        with(&self.address, async |client| client.query_one(&sql, &[]).await.unwrap().get(0))
    }

    /// The same, for a store.
    fn hold(&self, store: &mut dyn Store, shards: &[u16]) {
        for shard in shards {
            store.hold(&self.take(*shard)).unwrap();
        }
    }
}

#[test]
fn who_opens_has_no_shard_and_touches_nobody_elses() {
    let city = City::new();
    let (mut one, _) = city.create("one");
    city.hold(&mut *one, &[1]);
    one.commit(&epoch(1, 1), &head(1)).unwrap();
    let (mut two, stored) = gateway(&city.database, "two").create().unwrap();
    assert_eq!((stored.shards, stored.history), (Some(SHARDS), (0, None)));
    assert!(stored.epochs.is_empty() && stored.devices.is_empty() && stored.outbox.is_empty());
    let error = two.commit(&epoch(1, 2), &head(1)).unwrap_err();
    assert!(error.to_string().contains("in shard 1, which this gateway does not have"), "{error:#}");
    two.commit(&Changes::default(), &head(1)).unwrap();
    one.commit(&epoch(1, 2), &head(2)).unwrap();
    assert_eq!(city.term(1), 1);

    one.hold(&Shard { number: SHARDS, ..Shard::default() }).unwrap_err();
    // The same gateway again: nobody is fenced off before its log was looked at, and what was opened then is old when somebody has written.
    let (mut late, _) = stores::find(&gateway(&city.database, "one"));
    late.commit(&Changes::default(), &head(9)).unwrap_err();
    one.commit(&Changes::default(), &head(3)).unwrap();
    assert_eq!(late.claim().unwrap_err().downcast_ref(), Some(&Fenced::Gateway("one".to_owned())));
    // Who had opened it before writes no more, wherever it has its devices.
    let (mut again, _) = stores::find(&gateway(&city.database, "one"));
    again.claim().unwrap();
    let error = one.commit(&Changes::default(), &head(4)).unwrap_err();
    assert_eq!(error.downcast_ref(), Some(&Fenced::Gateway("one".to_owned())));
    again.commit(&Changes::default(), &head(4)).unwrap();
}

/// Nothing of it is changed then, and nobody is fenced off.
#[test]
fn a_database_with_another_number_of_shards_is_refused() {
    let city = City::new();
    let (mut one, _) = city.create("one");
    let other = Gateway { shards: 9, ..gateway(&city.database, "one") };
    for error in [other.find().unwrap_err(), other.create().unwrap_err()] {
        assert!(error.to_string().contains("into 4 shards, and not into 9"), "{error:#}");
    }
    one.commit(&Changes::default(), &head(1)).unwrap();
    let error = runtime().block_on(load(&city.database, 7, 1)).unwrap_err();
    assert!(error.to_string().contains("no shard 7"), "{error:#}");
}

/// What one has locked in the middle of a commit is nothing that another needs.
#[test]
fn two_write_beside_each_other() {
    let city = City::new();
    let (mut one, mut two) = (city.create("one").0, city.create("two").0);
    city.hold(&mut *one, &[0, 1]);
    city.hold(&mut *two, &[2, 3]);
    one.commit(&epoch(0, 1), &head(1)).unwrap();
    with(&city.address, async |client| {
        let sql = "begin; select from gateways where name = 'one' for update;
                   select from leases where shard < 2 for share; update epochs set epoch = 7; insert into devices values ('', 1, '{}')";
        client.batch_execute(sql).await.unwrap();
        // Where nobody else may wait: on a thread of its own.
        let commit = thread::spawn(move || two.commit(&epoch(3, 1), &head(1)));
        commit.join().unwrap().unwrap();
        client.batch_execute("rollback").await.unwrap();
    });
}

#[test]
fn a_handover_carries_all_that_is_known() {
    let city = City::new();
    let ((mut one, next), (mut two, _)) = (city.create("one"), city.create("two"));
    city.hold(&mut *one, &[1, 2]);
    let time = Timestamp::from_nanosecond(1_800_000_000_123_456_789).unwrap();
    let record =
        DeviceRecord { isolated: Some(2), status: Status::Contraindicated, ..DeviceRecord::default() };
    let (first, second, other) = (device(1, 0), device(1, 1), device(2, 0));
    let changes = Changes {
        epochs: vec![(id(first), [1; 16], 5), (id(other), [1; 16], 6)],
        devices: vec![(id(first), record.clone()), (id(second), DeviceRecord::default())],
        accepted: vec![(next, reading(first, time)), (next + 1, reading(other, time))],
        unowed: vec![(next + 2, reading(second, time))],
        history: Bounds { most: 100, times: None },
        ..Changes::default()
    };
    one.commit(&changes, &head(1)).unwrap();
    let links = vec![(id(first), vec![1, 2, 3]), (id(second), vec![4])];
    let changes =
        Changes { links: links.clone(), history: Bounds { most: 100, times: None }, ..Changes::default() };
    one.commit(&changes, &head(1)).unwrap();
    one.let_go(1);
    assert_eq!(one.outbox(0, 10).unwrap(), [(next + 1, reading(other, time))]);
    let error = one.commit(&epoch(1, 6), &head(2)).unwrap_err();
    assert!(error.to_string().contains("which this gateway does not have"), "{error:#}");

    // Whoever is not there any more when it was read has taken no link.
    drop(runtime().block_on(Load::read(&city.database, 1, 1)).unwrap());
    let mut shard = city.take(1);
    shard.links.sort();
    shard.devices.sort_by_key(|(id, _)| *id);
    let mut devices = vec![(id(first), record), (id(second), DeviceRecord::default())];
    devices.sort_by_key(|(id, _)| *id);
    let expected = Shard {
        number: 1,
        term: 2,
        epochs: vec![(id(first), [1; 16], 5)],
        devices,
        links,
        outbox: (1, Some(next)),
        history: (2, Some(time.as_microsecond())),
    };
    assert_eq!(shard, expected);
    two.hold(&shard).unwrap();
    assert_eq!(two.outbox(0, 10).unwrap(), [(next, reading(first, time))]);
    two.commit(&Changes { delivered: vec![next], ..epoch(1, 6) }, &head(1)).unwrap();
    assert!(two.outbox(0, 10).unwrap().is_empty());
    one.commit(&Changes { delivered: vec![next + 1], ..epoch(2, 7) }, &head(2)).unwrap();

    // A link is used once, under whatever term.
    for term in [2, 3] {
        city.cluster.run(&city.address, &format!("update leases set term = {term} where shard = 1"));
        let again = runtime().block_on(load(&city.database, 1, term)).unwrap();
        assert_eq!((again.epochs, again.links), (vec![(id(first), [1; 16], 6)], Vec::new()));
    }
}

/// A process that was stopped, and wakes when another has its shard, changes nothing, and takes no link from it.
#[test]
fn a_predecessor_that_wakes_changes_nothing() {
    let city = City::new();
    let ((mut one, next), (mut two, _)) = (city.create("one"), city.create("two"));
    city.hold(&mut *one, &[0, 1]);
    let links = vec![(id(device(1, 0)), vec![7])];
    one.commit(&Changes { links: links.clone(), ..epoch(1, 1) }, &head(1)).unwrap();
    city.cluster.run(&city.address, "update leases set term = 9 where shard = 1");
    // All of its writes, of whatever shard.
    for (n, changes) in (2..).zip([
        epoch(1, 2),
        epoch(0, 2),
        Changes { links: vec![(id(device(1, 0)), vec![8])], ..Changes::default() },
        Changes {
            accepted: vec![(next, reading(device(0, 0), Timestamp::UNIX_EPOCH))],
            ..Changes::default()
        },
        Changes::default(),
    ]) {
        let error = one.commit(&changes, &head(n)).unwrap_err();
        assert_eq!(error.downcast_ref(), Some(&Fenced::Shard { shard: 1, term: 1, newest: 9 }));
    }
    let error = runtime().block_on(load(&city.database, 1, 1)).unwrap_err();
    assert_eq!(error.downcast_ref(), Some(&Fenced::Shard { shard: 1, term: 1, newest: 9 }));

    let shard = runtime().block_on(load(&city.database, 1, 9)).unwrap();
    assert_eq!((&shard.epochs, &shard.links), (&vec![(id(device(1, 0)), [1; 16], 1)], &links));
    two.hold(&shard).unwrap();
    two.commit(&epoch(1, 2), &head(1)).unwrap();
    let (_, stored) = stores::find(&gateway(&city.database, "one"));
    assert_eq!((stored.generation, stored.head), (1, head(1)));
    assert_eq!(city.take(0).outbox, (0, None));
}

/// Each keeps its part of the city's history, and of that no shard takes the room of another.
#[test]
fn the_history_is_shared() {
    let city = City::new();
    let ((mut one, mut next), (mut two, mut other)) = (city.create("one"), city.create("two"));
    city.hold(&mut *one, &[0, 1]);
    city.hold(&mut *two, &[2]);
    let add = |store: &mut dyn Store, next: &mut u64, shard: u16, most: u64, count: u64| {
        let at = |n| Timestamp::from_microsecond(i64::try_from(n).unwrap()).unwrap();
        let unowed = (0..count).map(|n| (*next + n, reading(device(shard, 0), at(*next + n)))).collect();
        *next += count;
        let changes = Changes { unowed, history: Bounds { most, times: None }, ..Changes::default() };
        store.commit(&changes, &Head::default()).unwrap();
    };
    let found = |store: &dyn Store| -> Vec<usize> {
        (0..SHARDS).map(|shard| past(store, device(shard, 0)).len()).collect()
    };
    add(&mut *one, &mut next, 0, 40, 8);
    add(&mut *one, &mut next, 1, 40, 30);
    add(&mut *two, &mut other, 2, 40, 30);
    assert_eq!(found(&*one), [8, 12, 10, 0], "20 for two of four shards, 10 for one");
    // It is the oldest of those that have most that go.
    let oldest = past(&*one, device(1, 0))[0].time.as_microsecond();
    assert_eq!(u64::try_from(oldest).unwrap(), next - 12);
    add(&mut *one, &mut next, 0, 40, 9);
    assert_eq!(found(&*one), [10, 10, 10, 0]);

    // With a shard goes its history, uncounted.
    one.let_go(1);
    city.hold(&mut *two, &[1]);
    add(&mut *one, &mut next, 0, 40, 1);
    add(&mut *two, &mut other, 2, 40, 1);
    assert_eq!(found(&*one), [10, 10, 10, 0]);
    // One at least, if there is a history; none, if there is none.
    add(&mut *one, &mut next, 0, 1, 1);
    assert_eq!(found(&*one)[0], 1);
    add(&mut *two, &mut other, 2, 0, 1);
    assert_eq!(found(&*one), [1, 0, 0, 0]);
}

/// All of the history of a device.
fn past(store: &dyn Store, device: u8) -> Vec<Reading> {
    store.snapshot().unwrap().read(&all_of(device), &|| true).unwrap()
}

fn all_of(device: u8) -> Query {
    let (devices, stream_identity) = (vec![id(device)], "one".to_owned());
    Query { devices, stream: 1, stream_identity, times: (i64::MIN, i64::MAX), limit: 5000 }
}

/// What a former holder's clock did to its readings is mended by the next holder: it does not know the last time before it has looked.
#[test]
fn readings_of_the_future_go_after_a_handover() {
    let city = City::new();
    let ((mut one, next), (mut two, _)) = (city.create("one"), city.create("two"));
    city.hold(&mut *one, &[0]);
    let at = |n| Timestamp::from_microsecond(n).unwrap();
    let unowed =
        [10, 20, 999].into_iter().zip(next..).map(|(n, number)| (number, reading(device(0, 0), at(n))));
    let history = Bounds { most: 100, times: None };
    one.commit(&Changes { unowed: unowed.collect(), history, ..Changes::default() }, &head(1)).unwrap();
    city.hold(&mut *two, &[0]);
    let idle = Changes { history: Bounds { most: 100, times: Some((15, 100)) }, ..Changes::default() };
    for _ in 0..3 {
        two.commit(&idle, &head(1)).unwrap();
    }
    let left: Vec<_> = past(&*two, device(0, 0)).iter().map(|reading| reading.time).collect();
    assert_eq!((left, two.generation()), (vec![at(20)], 1), "and then nothing is written any more");
}

/// More who ask for the history than there are connections: all are answered, and the database has no more than a few.
#[test]
fn many_read_the_history_over_few_connections() {
    let city = City::new();
    let (mut one, next) = city.create("one");
    city.hold(&mut *one, &[0]);
    let history = Bounds { most: 100, times: None };
    let unowed = vec![(next, reading(device(0, 0), Timestamp::UNIX_EPOCH))];
    one.commit(&Changes { unowed, history, ..Changes::default() }, &head(1)).unwrap();
    let store = &*one;
    thread::scope(|scope| {
        let snapshots = (0..20).map(|_| store.snapshot().unwrap()).collect::<Vec<_>>();
        let readers = snapshots
            .into_iter()
            .map(|snapshot| scope.spawn(move || snapshot.read(&all_of(device(0, 0)), &|| true)));
        for reader in readers.collect::<Vec<_>>() {
            assert_eq!(reader.join().unwrap().unwrap().len(), 1);
        }
    });
    let sql = "select count(*) from pg_stat_activity
               where datname = current_database() and application_name = 'smart-city-gateway'";
    let connections: i64 =
        with(&city.address, async |client| client.query_one(sql, &[]).await.unwrap().get(0));
    assert!((2..=5).contains(&connections), "{connections}");
}

/// As many devices as a shard of a great city has, each with all that can be known of it.
#[test]
fn a_great_shard_is_read() {
    const DEVICES: usize = 62_500;
    let city = City::new();
    drop(city.create("one"));
    let all = format!(
        "from (select decode(lpad(to_hex(n), 16, '0'), 'hex') as id from generate_series(1, {DEVICES}) as n) as new"
    );
    let record = DeviceRecord { result: Some("r".repeat(1000)), ..DeviceRecord::default() };
    let record = serde_json::to_string(&record).unwrap();
    for sql in [
        format!("insert into epochs select id, decode(repeat('01', 16), 'hex'), 0, 7 {all}"),
        format!("insert into devices select id, 0, '{record}' {all}"),
        format!("insert into links select id, 0, decode(repeat('02', 100), 'hex') {all}"),
    ] {
        city.cluster.run(&city.address, &sql);
    }
    let start = Instant::now();
    let shard = city.take(0);
    println!("{DEVICES} devices in {:?}", start.elapsed());
    assert_eq!([shard.epochs.len(), shard.devices.len(), shard.links.len()], [DEVICES; 3]);
}
