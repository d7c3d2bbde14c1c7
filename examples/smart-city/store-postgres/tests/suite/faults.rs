//! A database that crashes, is away, is slow, loses an answer, or is another than it says.

use std::{
    fs,
    os::unix::fs::chown,
    path::Path,
    sync::atomic::Ordering::SeqCst,
    thread,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use smart_city_engine::{
    audit::Head,
    store::{Changes, Place as _},
};
use smart_city_store_postgres::{Database, Limits};
use tokio_postgres::Client;

use crate::{
    cluster::{Cluster, with},
    proxy::Proxy,
    stores::{self, reading},
    whole::{Whole, gateway},
};

const LIMITS: Limits = Limits {
    attempt: Duration::from_secs(1),
    patience: Duration::from_secs(30),
    load: Duration::from_secs(30),
};

fn whole(address: &str) -> Whole {
    Whole::new(address, "one", LIMITS)
}

fn one(number: u64) -> Changes {
    Changes { accepted: vec![(number, reading(1, Timestamp::UNIX_EPOCH))], ..Changes::default() }
}

fn head(n: u64) -> Head {
    Head { n, hash: String::new() }
}

#[test]
fn a_database_that_crashes_is_waited_for() {
    let cluster = Cluster::start(5432, &[]);
    let place = whole(&cluster.address());
    let (mut store, stored) = stores::create(&place);
    store.commit(&one(stored.next), &head(1)).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| cluster.crash(Duration::from_secs(2)));
        let start = Instant::now();
        for i in 1..200 {
            store.commit(&one(stored.next + i), &head(1 + i)).unwrap();
            thread::sleep(Duration::from_millis(10));
        }
        assert!(start.elapsed() > Duration::from_secs(2));
    });
    drop(store);
    let (_, stored) = stores::find(&place);
    assert_eq!((stored.outbox.len(), stored.generation, stored.head.n), (200, 200, 200));
}

/// It is known again by its number, and by nothing else: what is in it is not written twice.
#[test]
fn a_commit_whose_answer_was_lost_is_not_done_twice() {
    let cluster = Cluster::shared();
    let address = cluster.address();
    let proxy = Proxy::to(cluster.dir());
    let through = proxy.to_address(cluster.dir(), &address);
    let place = Whole::through(&through, &address, "one", LIMITS);
    let (mut store, stored) = stores::create(&place);
    for i in 0..6 {
        let before = proxy.connections.load(SeqCst);
        *proxy.loses_answer_to.lock().unwrap() = (i % 2 == 1).then_some("commit\0");
        store.commit(&one(stored.next + i), &head(i)).unwrap();
        assert_eq!(store.generation(), i + 1);
        assert_eq!(proxy.connections.load(SeqCst) - before, usize::from(i % 2 == 1), "another connection");
    }
    drop(store);
    let (_, stored) = stores::find(&whole(&address));
    assert_eq!((stored.outbox.len(), stored.generation), (6, 6));
}

#[test]
fn a_database_that_says_nothing_is_given_up() {
    let cluster = Cluster::shared();
    let address = cluster.address();
    let proxy = Proxy::to(cluster.dir());
    let through = proxy.to_address(cluster.dir(), &address);
    let limits = Limits { attempt: Duration::from_millis(300), patience: Duration::from_secs(2), ..LIMITS };
    let (mut store, stored) = stores::create(&Whole::through(&through, &address, "one", limits));
    proxy.is_silent.store(true, SeqCst);
    let start = Instant::now();
    store.commit(&one(stored.next), &head(1)).unwrap_err();
    let took = start.elapsed();
    assert!(took > Duration::from_secs(1) && took < Duration::from_secs(4), "{took:?}");
    drop(store);
    proxy.is_silent.store(false, SeqCst);
    let (_, stored) = stores::find(&whole(&address));
    // Nobody was told that it is stored; it may be all the same.
    assert_eq!(stored.generation, stored.outbox.len() as u64);
}

#[test]
fn a_database_that_was_set_back_is_found() {
    let cluster = Cluster::shared();
    let address = cluster.address();
    let (mut store, stored) = stores::create(&whole(&address));
    for i in 0..3 {
        store.commit(&one(stored.next + i), &head(i + 1)).unwrap();
    }
    cluster.run(&address, "update gateways set generation = 1");
    let error = store.commit(&one(stored.next + 3), &head(4)).unwrap_err();
    assert!(error.to_string().contains("was set back: it has seen 1 commits of 3"), "{error:#}");
    cluster.run(&address, "delete from gateways");
    let error = store.commit(&one(stored.next + 3), &head(4)).unwrap_err();
    assert!(error.to_string().contains("it was removed"), "{error:#}");
}

/// What waits for no other machine, as an operator may have set it, is made durable all the same.
#[test]
fn commits_are_durable_whatever_the_database_is_set_to() {
    let cluster = Cluster::shared();
    let address = cluster.address();
    let name = address.rsplit('=').next().unwrap();
    cluster.run(&address, &format!("alter database {name} set synchronous_commit = off"));
    cluster.run(&address, "create table seen (setting text)");
    cluster.run(
        &address,
        "create function see() returns trigger language plpgsql as
         $$ begin insert into seen values (current_setting('synchronous_commit')); return new; end $$",
    );
    let place = whole(&address);
    let (mut store, stored) = stores::create(&place);
    cluster.run(&address, "create trigger seen after insert on outbox for each row execute function see()");
    store.commit(&one(stored.next), &head(1)).unwrap();
    let seen: String = with(&address, async |client| {
        client.query_one("select setting from seen", &[]).await.unwrap().get(0)
    });
    assert_eq!(seen, "on");
}

/// A standby has what was committed before anybody is told so: even if the server ended while it waited for one, and has it after its start.
#[test]
fn a_commit_that_was_found_waits_for_a_standby_again() {
    let cluster = Cluster::start(5432, &[]);
    let address = cluster.address();
    let (mut store, stored) = stores::create(&whole(&address));
    let set = |value: &str| {
        cluster.run(&address, &format!("alter system set synchronous_standby_names = '{value}'"));
        cluster.run(&address, "select pg_reload_conf()");
    };
    let wait = |sql: &str| {
        let end = Instant::now() + Duration::from_secs(60);
        with(&address, async |client| {
            while !client.query_one(sql, &[]).await.unwrap().get::<_, bool>(0) {
                assert!(Instant::now() < end, "{sql}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
    };
    let waits = "select exists (select from pg_stat_activity where wait_event = 'SyncRep')";
    set("none");
    wait("select current_setting('synchronous_standby_names') = 'none'");
    thread::scope(|scope| {
        let committed = scope.spawn(|| store.commit(&one(stored.next), &head(1)).unwrap());
        wait(waits);
        cluster.crash(Duration::ZERO);
        cluster.wait();
        assert_eq!(with(&address, async |client| outbox(client).await), 1, "it is on this disk");
        wait(waits);
        assert!(!committed.is_finished());
        set("");
        committed.join().unwrap();
    });
    assert_eq!(with(&address, async |client| outbox(client).await), 1);
}

async fn outbox(client: &Client) -> i64 {
    client.query_one("select count(*) from outbox", &[]).await.unwrap().get(0)
}

/// One that says nothing, and one that is not there, before one that answers.
#[test]
fn every_host_has_its_share_of_the_time() {
    let cluster = Cluster::shared();
    let (silent, nobody) = (Proxy::to(cluster.dir()), tempfile::tempdir().unwrap());
    silent.is_silent.store(true, SeqCst);
    let server = cluster.dir().display().to_string();
    let hosts = format!("{},{},{server}", silent.dir().display(), nobody.path().display());
    let address = cluster.address().replacen(&server, &hosts, 1);
    let limits = Limits { attempt: Duration::from_secs(6), patience: Duration::from_secs(20), ..LIMITS };
    let (mut store, _) =
        gateway(&Database::new(&address, None, None, limits).unwrap(), "one").create().unwrap();
    store.commit(&Changes::default(), &head(1)).unwrap();
    assert_eq!(silent.connections.load(SeqCst), 1);
    silent.is_silent.store(false, SeqCst);
}

#[test]
fn what_cannot_be_an_address_is_refused() {
    let refused = |address: &str| {
        let refused = Database::new(address, None, None, LIMITS);
        format!("{:#}", refused.expect_err(address))
    };
    assert!(refused("host=/run password=1").contains("a password is in the address"));
    assert!(refused("user=city").contains("no host"));
    assert!(refused("host=/run,/tmp hostaddr=127.0.0.1").contains("as many"));
    assert!(refused("host=/run,/tmp,/var port=1,2").contains("as many"));
    for elsewhere in ["host=db.example", "host=/run,10.0.0.1", "host=localhost hostaddr=10.0.0.1"] {
        assert!(refused(elsewhere).contains("on another machine"), "{elsewhere}");
    }
    for here in ["host=/run,localhost port=1,2", "postgres://city@127.0.0.1:5433/city", "hostaddr=::1"] {
        let database = Database::new(here, Some("a secret"), None, LIMITS).unwrap();
        assert!(!format!("{database:?}").contains("a secret"));
    }
}

/// A certificate for `localhost`, and the authority that has made it, in a directory that the server reads.
fn certificate(dir: &Path) {
    let authority_key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new([]).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    fs::write(dir.join("authority.pem"), authority.self_signed(&authority_key).unwrap().pem()).unwrap();
    let key = KeyPair::generate().unwrap();
    let issuer = Issuer::new(authority, authority_key);
    let signed = CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    fs::write(dir.join("server.pem"), signed.pem()).unwrap();
    fs::write(dir.join("server.key"), key.serialize_pem()).unwrap();
}

#[test]
fn nothing_is_said_to_another_database() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    certificate(dir.path());
    certificate(other.path());
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let key = dir.path().join("server.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    if let Some((user, group)) = crate::cluster::account() {
        chown(&key, Some(user), Some(group)).unwrap();
    }
    assert_eq!(fs::metadata(&key).unwrap().mode() & 0o077, 0);
    let option = |name: &str, file: &str| format!("{name}={}", dir.path().join(file).display());
    let cluster = Cluster::start(
        port,
        &[
            "ssl=on",
            &option("ssl_cert_file", "server.pem"),
            &option("ssl_key_file", "server.key"),
            "listen_addresses=127.0.0.1",
        ],
    );
    let limits = Limits { attempt: Duration::from_secs(2), patience: Duration::from_millis(100), ..LIMITS };
    let address =
        |host: &str| format!("host={host} hostaddr=127.0.0.1 port={port} user=city dbname=postgres");
    let trust = |dir: &Path| Some(smart_city_address::trust(Some(&dir.join("authority.pem"))).unwrap());
    let find =
        |host: &str, tls| gateway(&Database::new(&address(host), None, tls, limits).unwrap(), "one").find();
    find("localhost", trust(dir.path())).unwrap();
    for (host, tls) in [("localhost", trust(other.path())), ("elsewhere", trust(dir.path()))] {
        let error = format!("{:#}", find(host, tls).unwrap_err());
        assert!(error.contains("invalid peer certificate"), "{error}");
    }
    drop(cluster);
    // A database without TLS, when there must be TLS; and the other way round.
    let cluster = Cluster::start(port, &["listen_addresses=127.0.0.1"]);
    let error = format!("{:#}", find("localhost", trust(dir.path())).unwrap_err());
    assert!(error.contains("TLS"), "{error}");
    drop(cluster);
    let required = format!("{} sslmode=require", address("localhost"));
    Database::new(&required, None, None, limits).unwrap_err();
    Database::new("http://localhost", None, None, limits).unwrap_err();
}
