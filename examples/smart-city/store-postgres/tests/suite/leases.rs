//! Each shard has one gateway at a time, and what another writes to it is refused.

use std::{collections::BTreeMap, thread, time::Duration};

use smart_city_engine::{
    audit::Head,
    store::{Changes, DeviceRecord, Place as _},
};
use smart_city_frame::DeviceId;
use smart_city_store_postgres::{
    Database, Fenced, Gateway, Limits,
    leases::{Decision, Lease, Member, Offer, View},
    load,
};
use tokio::time::sleep;

use crate::{
    cluster::{Cluster, with},
    proxy::Proxy,
    stores,
    whole::{Whole, gateway, runtime},
};

const LONG: Duration = Duration::from_secs(60);

fn offer(configuration: &str) -> Offer {
    let (url, configuration) = ("https://one.example".to_owned(), configuration.to_owned());
    Offer { url, configuration, is_ready: true }
}

/// A database with so many shards, of which nobody has any.
fn city(cluster: &Cluster, shards: u16) -> Database {
    let database = cluster.database();
    Gateway { shards, ..gateway(&database, "zero") }.create().unwrap();
    database
}

async fn join(database: &Database, name: &str, time: Duration) -> Member {
    Member::join(database.clone(), name, time, &offer("a"), None).await.unwrap()
}

/// Carries out what the members decide, until they have nothing to do; returns how many each has.
async fn settle(members: &mut [&mut Member]) -> Vec<usize> {
    for _ in 0..20 {
        let (mut is_settled, mut counts) = (true, Vec::new());
        for member in &mut *members {
            let view = member.renew(&offer("a")).await.unwrap();
            counts.push(view.held().count());
            let decision = view.decide();
            is_settled &= decision.release.is_empty() && decision.take.is_empty();
            for lease in decision.release {
                member.release(lease).await.unwrap();
            }
            for lease in decision.take {
                assert_eq!(member.take(lease).await.unwrap(), Some(lease.term + 1));
            }
        }
        if is_settled {
            return counts;
        }
    }
    panic!("they come to no end");
}

#[test]
fn gateways_come_and_go_and_all_have_their_share() {
    let cluster = Cluster::shared();
    let database = city(&cluster, 16);
    runtime().block_on(async {
        let mut one = join(&database, "one", LONG).await;
        assert_eq!(settle(&mut [&mut one]).await, [16]);
        let (mut two, mut three) = (join(&database, "two", LONG).await, join(&database, "three", LONG).await);
        assert_eq!(settle(&mut [&mut one, &mut two, &mut three]).await, [6, 5, 5]);
        one.leave().await.unwrap();
        assert_eq!(settle(&mut [&mut two, &mut three]).await, [8, 8]);

        // One that starts again is a new member at once; who had its name before does nothing more.
        let mut again = join(&database, "two", LONG).await;
        assert_eq!(settle(&mut [&mut three, &mut again]).await, [8, 8]);
        let error = two.renew(&offer("a")).await.unwrap_err();
        assert_eq!(error.downcast_ref(), Some(&Fenced::Member("two".to_owned())));
        let lease = again.renew(&offer("a")).await.unwrap().leases[0];
        assert_eq!(two.take(Lease { holder: None, ..lease }).await.unwrap(), None);
        two.release(lease).await.unwrap_err();

        // One that says nothing any more: only when its time is over.
        drop((three, again));
        let mut short = join(&database, "three", Duration::from_secs(4)).await;
        let mut again = join(&database, "two", LONG).await;
        assert_eq!(settle(&mut [&mut short, &mut again]).await, [8, 8]);
        assert!(again.renew(&offer("a")).await.unwrap().decide().take.is_empty());
        sleep(Duration::from_secs(5)).await;
        let view = again.renew(&offer("a")).await.unwrap();
        assert_eq!(view.decide().take.len(), 8);
        let (first, others) =
            view.decide().take.split_first().map(|(first, others)| (*first, others.to_vec())).unwrap();
        assert_eq!(again.take(first).await.unwrap(), Some(first.term + 1));
        // It wakes: what another has taken is not its own any more, the others are.
        assert_eq!(short.take(others[0]).await.unwrap(), None, "before it has said that it is there");
        let held: Vec<_> = short.renew(&offer("a")).await.unwrap().held().collect();
        assert_eq!(held, others.iter().map(|lease| (lease.shard, lease.term)).collect::<Vec<_>>());
        assert_eq!(again.take(others[0]).await.unwrap(), None, "it is there again");
        short.release(first).await.unwrap_err();
    });
}

#[test]
fn of_several_who_take_a_shard_one_has_it() {
    let cluster = Cluster::shared();
    let database = city(&cluster, 16);
    let mut seen = runtime()
        .block_on(async { join(&database, "zero", LONG).await.renew(&offer("a")).await.unwrap().leases[0] });
    for _ in 0..30 {
        let racers = ["one", "two", "three"].map(|name| {
            let database = database.clone();
            thread::spawn(move || {
                runtime().block_on(async {
                    let mut member = join(&database, name, LONG).await;
                    let taken = member.take(seen).await.unwrap();
                    if let Some(term) = taken {
                        member.release(Lease { term, ..seen }).await.unwrap();
                    }
                    taken
                })
            })
        });
        let taken: Vec<_> = racers.into_iter().filter_map(|racer| racer.join().unwrap()).collect();
        assert_eq!(taken, [seen.term + 1]);
        // A term ends when it is given up.
        seen.term += 2;
    }
}

/// Whatever a predecessor was told is stored, its successor finds; and the other way round, nothing that was refused.
#[test]
fn a_handover_in_the_middle_of_writes_loses_nothing() {
    let cluster = Cluster::shared();
    let address = cluster.address();
    let gateway = |name: &str| Whole::new(&address, name, Limits::default());
    drop(stores::create(&gateway("0")));
    let mut epochs: BTreeMap<DeviceId, u16> = BTreeMap::new();
    let mut writes = 0;
    for round in 0..20u8 {
        let (mut store, _) = stores::find(&gateway("0"));
        let writer = thread::spawn(move || {
            let mut stored = BTreeMap::new();
            for n in 0..u16::MAX {
                let id = DeviceId([u8::try_from(n % 50).unwrap(); 8]);
                let epoch = u16::from(round) * 3000 + n;
                let changes = Changes { epochs: vec![(id, [1; 16], epoch)], ..Changes::default() };
                if let Err(error) = store.commit(&changes, &Head { n: u64::from(epoch), hash: String::new() })
                {
                    assert!(error.is::<Fenced>(), "{error:#}");
                    return (stored, n);
                }
                stored.insert(id, epoch);
            }
            panic!("it was never refused");
        });
        thread::sleep(Duration::from_millis(u64::from(round) * 7));
        let other = gateway(&format!("{}", 1 + round));
        let (_, stored) = if round % 2 == 0 { stores::create(&other) } else { other.create().unwrap() };
        let (written, count) = writer.join().unwrap();
        epochs.extend(written);
        writes += usize::from(count);
        let found: BTreeMap<_, _> = stored.epochs.into_iter().map(|(id, _, epoch)| (id, epoch)).collect();
        assert_eq!(found, epochs, "round {round}");
    }
    println!("{writes} writes before they were refused");
    assert!(writes > 20);
}

/// A configuration is in force from the time when all who are there offer it; one who has ended does not count.
#[test]
fn a_configuration_is_in_force_when_all_offer_it() {
    let cluster = Cluster::shared();
    let database = city(&cluster, 4);
    let (a, b) = (offer("a"), offer("b"));
    let short = Duration::from_secs(3);
    runtime().block_on(async {
        let mut one = join(&database, "one", LONG).await;
        let view = one.renew(&a).await.unwrap();
        assert_eq!((view.configuration.version, &*view.configuration.hash), (1, "a"));
        let mut two = join(&database, "two", LONG).await;
        let mut ended = join(&database, "three", short).await;
        assert_eq!(settle(&mut [&mut one, &mut two, &mut ended]).await, [2, 1, 1]);

        // The first two have other files: what is in force stays, they keep what they have, and take nothing.
        for (member, has) in [(&mut one, 2), (&mut two, 1)] {
            let view = member.renew(&b).await.unwrap();
            assert_eq!((view.configuration.version, view.held().count()), (1, has));
            assert_eq!(view.decide(), Decision::default());
            let offers: Vec<_> =
                view.members.iter().map(|peer| (&*peer.name, &*peer.offer.configuration)).collect();
            assert_eq!(offers[0], ("one", "b"));
            assert_eq!(offers[2], ("three", "a"));
        }
        // The third one ends, and the others have the same: it is in force, and they share what it had.
        sleep(short + Duration::from_secs(1)).await;
        let view = one.renew(&b).await.unwrap();
        assert_eq!((view.configuration.version, &*view.configuration.hash), (2, "b"));
        assert_eq!(view.decide().take.len(), 0);
        let view = two.renew(&b).await.unwrap();
        let free = view.decide().take[0];

        // One that comes with the old files waits, and holds nobody up.
        let mut late = join(&database, "late", LONG).await;
        let view = late.renew(&a).await.unwrap();
        assert_eq!((view.configuration.version, view.decide()), (2, Decision::default()));
        assert_eq!(late.take(free).await.unwrap(), None);
        assert_eq!(two.take(free).await.unwrap(), Some(free.term + 1));
        assert_eq!(one.renew(&b).await.unwrap().decide(), Decision::default());
        // The one that was away does not have what came into force meanwhile: it is fenced off. With the new files it is not.
        let error = ended.renew(&a).await.unwrap_err();
        assert_eq!(error.downcast_ref(), Some(&Fenced::Member("three".to_owned())));
        let view = ended.renew(&b).await.unwrap();
        assert_eq!(view.members.len(), 4);

        // One more offers something else than it did: nothing changes until all do.
        for (member, version) in [(&mut late, 2), (&mut ended, 2), (&mut one, 2), (&mut two, 3)] {
            let view = member.renew(&offer("c")).await.unwrap();
            assert_eq!(view.configuration.version, version);
        }
    });
}

/// After all have ended, the first one that starts does not bring its own files into force, unless it is told to replace those that are.
#[test]
fn old_files_do_not_come_back_by_being_first() {
    let cluster = Cluster::shared();
    let database = city(&cluster, 4);
    runtime().block_on(async {
        let configuration = |view: View| (view.configuration.version, view.configuration.hash);
        let mut one = join(&database, "one", LONG).await;
        assert_eq!(configuration(one.renew(&offer("a")).await.unwrap()), (1, "a".to_owned()));
        assert_eq!(configuration(one.renew(&offer("b")).await.unwrap()), (2, "b".to_owned()));
        one.leave().await.unwrap();
        let mut old = join(&database, "two", LONG).await;
        let view = old.renew(&offer("a")).await.unwrap();
        assert_eq!(view.decide(), Decision::default());
        assert_eq!(configuration(view), (2, "b".to_owned()));
        // With those in force it may change them.
        assert_eq!(configuration(old.renew(&offer("b")).await.unwrap()).0, 2);
        assert_eq!(configuration(old.renew(&offer("c")).await.unwrap()), (3, "c".to_owned()));
        old.leave().await.unwrap();
        let told = async |replaces| {
            Member::join(database.clone(), "two", LONG, &offer("a"), Some(replaces)).await.unwrap()
        };
        for other in [0, 2, 4] {
            let view = told(other).await.renew(&offer("a")).await.unwrap();
            assert_eq!(configuration(view), (3, "c".to_owned()), "in place of {other}");
        }
        let mut new = told(3).await;
        assert_eq!(configuration(new.renew(&offer("a")).await.unwrap()), (4, "a".to_owned()));
        // From then on it may change it, as everybody who has had what is in force; and who is told the same once more changes nothing.
        assert_eq!(configuration(new.renew(&offer("b")).await.unwrap()), (5, "b".to_owned()));
        assert_eq!(configuration(told(3).await.renew(&offer("a")).await.unwrap()), (5, "b".to_owned()));
        // As long as another one that is there has other files, nothing is replaced.
        let mut one = join(&database, "one", LONG).await;
        one.renew(&offer("b")).await.unwrap();
        let mut waits = told(5).await;
        assert_eq!(configuration(waits.renew(&offer("a")).await.unwrap()), (5, "b".to_owned()));
        one.leave().await.unwrap();
        assert_eq!(configuration(waits.renew(&offer("a")).await.unwrap()), (6, "a".to_owned()));
    });
}

/// Who is not ready has no share as long as another is, and gives up what it has; if nobody is, all keep their shares.
#[test]
fn who_is_not_ready_has_no_share() {
    let cluster = Cluster::shared();
    let database = city(&cluster, 4);
    let unready = Offer { is_ready: false, ..offer("a") };
    runtime().block_on(async {
        let (mut one, mut two) = (join(&database, "one", LONG).await, join(&database, "two", LONG).await);
        assert_eq!(settle(&mut [&mut one, &mut two]).await, [2, 2]);
        assert_eq!(two.renew(&unready).await.unwrap().decide().release.len(), 2);
        assert_eq!(one.renew(&unready).await.unwrap().decide(), Decision::default());
        assert_eq!(two.renew(&unready).await.unwrap().decide(), Decision::default());
    });
}

/// Whatever of it is asked for once more does what it would have done.
#[test]
fn what_was_done_is_found_when_its_answer_was_lost() {
    let cluster = Cluster::shared();
    let address = cluster.address();
    let proxy = Proxy::to(cluster.dir());
    let way = proxy.to_address(cluster.dir(), &address);
    let database = Database::new(&way, None, None, Limits::default()).unwrap();
    gateway(&database, "zero").create().unwrap();
    let lose = |part| *proxy.loses_answer_to.lock().unwrap() = Some(part);
    runtime().block_on(async {
        let (mut one, mut two) = (join(&database, "one", LONG).await, join(&database, "two", LONG).await);
        lose("with me as");
        one.renew(&offer("b")).await.unwrap_err();
        let view = two.renew(&offer("b")).await.unwrap();
        assert_eq!((view.configuration.version, view.members[0].offer.configuration.as_str()), (1, "b"));

        let view = one.renew(&offer("b")).await.unwrap();
        let seen = view.decide().take[0];
        let taken = Lease { shard: seen.shard, term: seen.term + 1, holder: Some(view.me) };
        lose("with taken as");
        one.take(seen).await.unwrap_err();
        assert_eq!(one.renew(&offer("b")).await.unwrap().leases[0], taken);
        assert_eq!(one.take(seen).await.unwrap(), Some(taken.term));
        assert_eq!(two.take(seen).await.unwrap(), None);

        lose("update leases set member = null");
        one.release(taken).await.unwrap_err();
        let free = Lease { term: taken.term + 1, holder: None, ..taken };
        assert_eq!(one.renew(&offer("b")).await.unwrap().leases[0], free);
        one.release(taken).await.unwrap();
        assert_eq!(one.take(seen).await.unwrap(), None, "it was seen before");
        assert_eq!(two.take(free).await.unwrap(), Some(free.term + 1));
        one.release(taken).await.unwrap_err();
    });
}

/// What was let go is there after a crash of the database, and what was taken then is not there a second time.
#[test]
fn a_database_that_crashes_between_gives_each_link_once() {
    let cluster = Cluster::start(5432, &[]);
    let database = city(&cluster, 1);
    let place = |name: &str| Gateway { shards: 1, ..gateway(&database, name) };
    let link = (DeviceId([7; 8]), vec![1, 2, 3]);
    let crash = || {
        cluster.crash(Duration::ZERO);
        cluster.wait();
    };
    runtime().block_on(async {
        let mut one = join(&database, "one", LONG).await;
        let seen = one.renew(&offer("a")).await.unwrap().leases[0];
        let term = one.take(seen).await.unwrap().unwrap();
        let shard = load(&database, 0, term).await.unwrap();
        // The store has a runtime of its own.
        let (place, links) = (place("one"), vec![link.clone()]);
        let writer = thread::spawn(move || {
            let (mut store, _) = place.create().unwrap();
            store.hold(&shard).unwrap();
            store.commit(&Changes { links, ..Changes::default() }, &Head::default()).unwrap();
        });
        writer.join().unwrap();
        one.release(Lease { term, ..seen }).await.unwrap();
        crash();
        let mut two = join(&database, "two", LONG).await;
        let seen = two.renew(&offer("a")).await.unwrap().leases[0];
        let term = two.take(seen).await.unwrap().unwrap();
        assert_eq!(load(&database, 0, term).await.unwrap().links, [link]);
        crash();
        assert_eq!(load(&database, 0, term).await.unwrap().links, []);
    });
}

/// A process that sleeps in the middle of a commit holds up who takes its shard for no longer than a try may take.
#[test]
fn a_transaction_that_sleeps_is_ended() {
    let cluster = Cluster::shared();
    let address = cluster.address();
    let limits = Limits { attempt: Duration::from_secs(1), ..Limits::default() };
    let database = Database::new(&address, None, None, limits).unwrap();
    gateway(&database, "zero").create().unwrap();
    with(&address, async |client| {
        // With more time for what is not to fail.
        let patient = Database::new(&address, None, None, Limits::default()).unwrap();
        let mut ready = join(&patient, "one", LONG).await;
        let seen = ready.renew(&offer("a")).await.unwrap().leases[0];
        let mut one = join(&database, "one", LONG).await;
        let sleeps = "set idle_in_transaction_session_timeout = 4000; begin; select from leases for share";
        client.batch_execute(sleeps).await.unwrap();
        one.take(seen).await.unwrap_err();
        let taken = loop {
            if let Ok(taken) = one.take(seen).await {
                break taken;
            }
        };
        assert_eq!(taken, Some(1));
        client.batch_execute("insert into epochs values ('', '', 0, 1); commit").await.unwrap_err();
    });
}

/// Whoever has them; and while another task says that the gateway is there.
#[test]
fn all_know_which_devices_are_isolated() {
    let cluster = Cluster::shared();
    let address = cluster.address();
    let (mut store, _) = stores::create(&Whole::new(&address, "one", Limits::default()));
    let database = Database::new(&address, None, None, Limits::default()).unwrap();
    let ids = [1, 2, 3].map(|byte| DeviceId([byte; 8]));
    let runtime = runtime();
    let mut member = runtime.block_on(join(&database, "two", LONG));
    let mut beside = member.beside();
    for expected in [vec![], vec![ids[0], ids[2]], vec![ids[1], ids[2]], vec![]] {
        let record = |id: DeviceId| DeviceRecord {
            isolated: expected.contains(&id).then_some(0),
            ..DeviceRecord::default()
        };
        let devices = ids.map(|id| (id, record(id))).to_vec();
        store.commit(&Changes { devices, ..Changes::default() }, &Head::default()).unwrap();
        let (isolated, returned) = runtime.block_on(async {
            let renews = tokio::spawn(async move {
                let view = member.renew(&offer("a")).await.unwrap();
                assert_eq!(view.members.len(), 1);
                member
            });
            (beside.isolated().await.unwrap(), renews.await.unwrap())
        });
        member = returned;
        assert_eq!(isolated, expected.into_iter().collect());
    }
}
