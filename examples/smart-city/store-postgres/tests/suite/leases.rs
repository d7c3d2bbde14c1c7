//! Each shard has one gateway at a time, and what another writes to it is refused.

use std::{collections::BTreeMap, thread, time::Duration};

use smart_city_engine::{
    audit::Head,
    store::{Changes, Place as _},
};
use smart_city_frame::DeviceId;
use smart_city_store_postgres::{
    Database, Fenced, Gateway, Limits,
    leases::{Lease, Member, Offer},
};
use tokio::time::sleep;

use crate::{
    cluster::Cluster,
    stores,
    whole::{Whole, gateway, runtime},
};

const LONG: Duration = Duration::from_secs(60);

fn offer(configuration: &str) -> Offer {
    Offer { url: "https://one.example".to_owned(), configuration: configuration.to_owned() }
}

/// A database with so many shards, of which nobody has any.
fn city(cluster: &Cluster, shards: u16) -> Database {
    let database = cluster.database();
    Gateway { shards, ..gateway(&database, "zero") }.create().unwrap();
    database
}

async fn join(database: &Database, name: &str, time: Duration) -> Member {
    Member::join(database.clone(), name, time, &offer("a")).await.unwrap()
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
        let mut short = join(&database, "three", Duration::from_millis(700)).await;
        let mut again = join(&database, "two", LONG).await;
        assert_eq!(settle(&mut [&mut short, &mut again]).await, [8, 8]);
        assert!(again.renew(&offer("a")).await.unwrap().decide().take.is_empty());
        sleep(Duration::from_millis(1000)).await;
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
