//! Several gateways of one city, at Mosquitto and PostgreSQL: each has a share of the devices, and whatever becomes of one, its devices go on.

use std::{
    os::unix::fs::{PermissionsExt as _, chown},
    process::ExitStatus,
};

use smart_city_devices::client::{self, Input, Report};
use smart_city_engine::attestation::Signer;
use smart_city_frame::RootKey;
use tokio::sync::watch;
use tokio_postgres::NoTls;

use super::{
    outage::{PASSWORD, add_devices, device, id, key, read, reading, receipts},
    postgres::{self, Cluster, with},
    tls::Authority,
    *,
};

const SHARDS: u16 = 12;
const DEVICES: u16 = 36;
const FILES: [&str; 5] =
    ["city.toml", "secrets.toml", "ear-key.pem", "code/open_gate.bin", "code/close_gate.bin"];

/// A city with its broker and its database, for several gateways.
struct City {
    dir: TempDir,
    _postgres: Arc<Cluster>,
    database: String,
    shards: u16,
    _mosquitto: Process,
    /// Of devices and users, and of gateways.
    ports: [u16; 2],
}

impl City {
    fn new() -> Self {
        Self::divided(SHARDS)
    }

    /// With so many shards.
    fn divided(shards: u16) -> Self {
        let dir = example();
        add_devices(dir.path(), DEVICES);
        Self::of(dir, shards)
    }

    /// The one of these files.
    fn of(dir: TempDir, shards: u16) -> Self {
        let postgres = Cluster::shared();
        let database = postgres.address();
        let way = format!("database = \"{database}\"");
        Self::at(dir, postgres, database, &way, shards)
    }

    /// With a database to which gateways come in this way.
    fn at(dir: TempDir, postgres: Arc<Cluster>, database: String, way: &str, shards: u16) -> Self {
        let mut city = fs::File::options().append(true).open(dir.path().join("city.toml")).unwrap();
        let table = format!("\n[cluster]\n{way}\nshards = {shards}\nlease_seconds = 2\n");
        std::io::Write::write_all(&mut city, table.as_bytes()).unwrap();
        fs::write(dir.path().join("ear-key.pem"), Signer::generate().unwrap().as_bytes()).unwrap();
        let ports = [free_port(), free_port()];
        let listeners = [("listener 1883\n", ports[0]), ("listener 1884 127.0.0.1\n", ports[1])];
        let mosquitto = mosquitto_with(dir.path(), "mosquitto-cluster", &listeners);
        Self { dir, _postgres: postgres, database, shards, _mosquitto: mosquitto, ports }
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The folder of a gateway with its own copy of the files, which it may have from before.
    fn files(&self, name: &str) -> PathBuf {
        let folder = self.folder(name);
        if !folder.exists() {
            fs::create_dir_all(folder.join("code")).unwrap();
            for file in FILES {
                fs::copy(self.dir.path().join(file), folder.join(file)).unwrap();
            }
        }
        folder
    }

    fn gateway(&self, name: &str) -> Gateway {
        self.gateway_by(self.ports[1], name)
    }

    /// One that comes to the broker by another port.
    fn gateway_by(&self, port: u16, name: &str) -> Gateway {
        gateway_with(&self.files(name), Some(port), 0, &["--name", name])
    }

    /// One that finds no broker, and so never says that it is ready.
    fn without_broker(&self, name: &str) -> Process {
        let files = "--config city.toml --secrets secrets.toml --data data --http 127.0.0.1:0";
        let mut command = Command::new(PROGRAM);
        command.current_dir(self.files(name)).args(files.split_whitespace()).args(["--name", name]);
        command.args(["--broker", &format!("mqtt://127.0.0.1:{}", free_port())]).stderr(Stdio::null());
        Process(command.spawn().unwrap())
    }

    fn gateways<const N: usize>(&self, names: [&str; N]) -> [Gateway; N] {
        tokio::task::block_in_place(|| {
            std::thread::scope(|scope| {
                let started = names.map(|name| scope.spawn(move || self.gateway(name)));
                started.map(|gateway| gateway.join().unwrap())
            })
        })
    }

    /// What a gateway says that does not start, or ends.
    fn says(&self, gateway: &str, options: &str) -> (bool, String) {
        let mut command = Command::new(PROGRAM);
        command.current_dir(self.folder(gateway)).args(options.split_whitespace());
        let output = command.env_remove("RUST_BACKTRACE").output().unwrap();
        (output.status.success(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    }

    /// How often a gateway has written.
    fn commits(&self, gateway: &str) -> i64 {
        let sql = format!("select generation from gateways where name = '{gateway}'");
        let query = || with(&self.database, async |client| client.query_one(&sql, &[]).await.unwrap().get(0));
        tokio::task::block_in_place(query)
    }

    fn log(&self, gateway: &str) -> String {
        fs::read_to_string(self.folder(gateway).join("log")).unwrap()
    }
}

async fn status(gateway: &Gateway) -> Value {
    serde_json::from_str(&http(&gateway.http, "GET /status").await.1).unwrap_or_default()
}

/// The shards of which everything comes to a gateway.
async fn shards_of(gateway: &Gateway) -> BTreeSet<u16> {
    let status = status(gateway).await;
    let shards = status["cluster"]["shards"].as_array().into_iter().flatten();
    let own = shards.filter(|shard| shard["is_connected"] == true);
    own.map(|shard| u16::try_from(shard["shard"].as_u64().unwrap()).unwrap()).collect()
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !holds().await {
        assert!(start.elapsed() < Duration::from_secs(60), "{what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until these gateways have equal shares; returns those.
async fn shares<const N: usize>(gateways: [&Gateway; N]) -> [BTreeSet<u16>; N] {
    let mut shares = [const { BTreeSet::new() }; N];
    until("all have the same share", async || {
        for (share, gateway) in shares.iter_mut().zip(gateways) {
            *share = shards_of(gateway).await;
        }
        let all: BTreeSet<u16> = shares.iter().flatten().copied().collect();
        shares.iter().all(|share| share.len() == usize::from(SHARDS) / N) && all.len() == usize::from(SHARDS)
    })
    .await;
    for gateway in gateways {
        until("it is ready", async || http(&gateway.http, "GET /readyz").await.0 == 200).await;
    }
    shares
}

/// The devices of some shards.
fn devices_of(shards: &BTreeSet<u16>) -> impl Iterator<Item = u16> {
    (0..DEVICES).filter(|device| shards.contains(&id(*device).shard(SHARDS)))
}

fn signal(gateway: &Gateway, name: &str) {
    let pid = gateway.process.0.id().to_string();
    assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
}

async fn ended(gateway: &mut Gateway) -> ExitStatus {
    let mut status = None;
    until("the gateway ends", async || {
        status = gateway.process.0.try_wait().unwrap();
        status.is_some()
    })
    .await;
    status.unwrap()
}

/// Simulated devices that measure, and a user who gets all that they have measured.
struct Street {
    devices: Vec<client::Handle>,
    reports: mpsc::Receiver<Report>,
    hana: mpsc::UnboundedReceiver<Message>,
    stream: smart_city_frame::Stream,
    measured: u32,
    received: BTreeSet<(String, u32)>,
}

impl Street {
    async fn new(city: &City) -> Self {
        let (_, mut hana) = user(city.ports[0], "hana", &["out/hana/#"]);
        subscribed(&mut hana).await;
        let (report, reports) = mpsc::channel(4096);
        let connect = |number| {
            let device = device(city.dir.path(), number, RootKey::new(key(number)));
            let options = client::options(&id(number).to_string(), PASSWORD, ("127.0.0.1", city.ports[0]));
            client::run(device, Some(city.shards), options, 0.0, report.clone())
        };
        let devices = (0..DEVICES).map(connect).collect();
        let stream = files(city.dir.path()).0.streams[&1].stream;
        Self { devices, reports, hana, stream, measured: 0, received: BTreeSet::new() }
    }

    /// Each device measures something some times.
    async fn measure(&mut self, times: u32) {
        for number in self.measured..self.measured + times {
            for (device, handle) in (0..).zip(&self.devices) {
                let reading = reading(id(device), number);
                handle.input.send(Input::Measured(self.stream, reading)).await.unwrap();
            }
        }
        self.measured += times;
    }

    /// Waits until all that was measured in the last `times` has receipts, and all that ever was has come to the user; returns how many
    /// epochs were opened.
    async fn all_arrive(&mut self, times: u32) -> usize {
        let epochs = receipts(&mut self.reports, usize::from(DEVICES) * times as usize).await;
        while self.received.len() < usize::from(DEVICES) * self.measured as usize {
            let (_, message, _) = next(&mut self.hana).await;
            self.received.extend(read(&message));
        }
        epochs
    }
}

/// Three gateways have a third of the devices each. One ends, and its devices go on in their epochs; one is killed, and its devices begin
/// new ones. No reading is lost.
#[tokio::test(flavor = "multi_thread")]
async fn the_devices_of_a_gateway_go_on_when_it_ends() {
    let city = tokio::task::block_in_place(City::new);
    let [mut a, mut b, mut c] = city.gateways(["a", "b", "c"]);
    let [of_a, of_b, of_c] = shares([&a, &b, &c]).await;
    let mut street = Street::new(&city).await;
    street.measure(5).await;
    assert_eq!(street.all_arrive(5).await, 0, "new epochs");
    for (gateway, shards) in [(&a, &of_a), (&b, &of_b), (&c, &of_c)] {
        let accepted = 5 * devices_of(shards).count();
        until("all of its devices are accepted", async || status(gateway).await["accepted"] == accepted)
            .await;
    }

    street.measure(5).await;
    signal(&b, "-TERM");
    street.measure(5).await;
    assert!(ended(&mut b).await.success());
    assert_eq!(street.all_arrive(10).await, 0, "new epochs");
    let [_, of_c] = shares([&a, &c]).await;

    c.process.0.kill().unwrap();
    street.measure(5).await;
    let epochs = street.all_arrive(5).await;
    assert_eq!(
        epochs,
        devices_of(&of_c).count(),
        "one new epoch for each device of the gateway that was killed"
    );
    shares([&a]).await;
    let verify = "--data data --verify-audit --config city.toml --secrets secrets.toml --name a";
    let whole = (true, " records, the chain is whole\n");
    let (good, said) = tokio::task::block_in_place(|| city.says("a", verify));
    assert!((good, said.ends_with(whole.1)) == (whole.0, true), "while it runs: {said}");
    signal(&a, "-TERM");
    assert!(ended(&mut a).await.success());
    tokio::task::block_in_place(|| what_was_lost_is_noticed(&city, verify));
}

/// By the database, that the audit log was cut; and by the log, that the database was lost. It goes on after the one and not after the other.
fn what_was_lost_is_noticed(city: &City, verify: &str) {
    let path = city.folder("a").join("data/audit.jsonl");
    let log = fs::read_to_string(&path).unwrap();
    assert!(city.says("a", verify).0);
    let last = log.trim_end().rfind('\n').unwrap();
    fs::write(&path, &log[..=last]).unwrap();
    let alone =
        city.says("a", "--data data --verify-audit --config city.toml --secrets secrets.toml --name b");
    assert!(!alone.0, "by another gateway: {}", alone.1);
    let broker = city.ports[1];
    let start = format!(
        "--config city.toml --secrets secrets.toml --data data --http 127.0.0.1:0 --broker mqtt://127.0.0.1:{broker} --name a"
    );
    for options in [verify, &start] {
        let (good, said) = city.says("a", options);
        assert!(!good && said.contains("audit.jsonl: "), "{options}: {said}");
    }
    let folder = city.folder("a");
    drop(gateway_with(&folder, Some(broker), 0, &["--name", "a", "--continue-after-loss"]));
    let (good, said) = city.says("a", verify);
    assert!(good, "{said}");

    let lost = "drop schema public cascade; create schema public";
    with(&city.database, async |client| client.batch_execute(lost).await.unwrap());
    for options in [start.clone(), format!("{start} --continue-after-loss")] {
        let (good, said) = city.says("a", &options);
        assert!(!good && said.contains("the database: it is not there"), "{options}: {said}");
    }
    for (from, to, expected) in [
        (" --name a", "", "each gateway needs --name"),
        (&*format!("--broker mqtt://127.0.0.1:{broker}"), "", "name it with --broker"),
        (
            "--config city.toml --secrets secrets.toml",
            "--config ../alone.toml --secrets secrets.toml",
            "city.toml has no [cluster]",
        ),
    ] {
        let alone = fs::read_to_string(city.folder("a").join("city.toml")).unwrap();
        let (alone, _) = alone.rsplit_once("[cluster]").unwrap();
        fs::write(city.dir.path().join("alone.toml"), alone.replace("code/", "a/code/")).unwrap();
        let (good, said) = city.says("a", &start.replace(from, to));
        assert!(!good && said.contains(expected), "{expected}: {said}");
    }
}

const OPERATOR: &str = "Authorization: Bearer example-operator-token-0000";

/// Who was stopped for longer than its lease ends when it wakes, and has written nothing.
#[tokio::test(flavor = "multi_thread")]
async fn gateways_agree_and_one_that_was_stopped_ends() {
    let city = tokio::task::block_in_place(City::new);
    let [mut a, mut b] = city.gateways(["a", "b"]);
    let [_, of_b] = shares([&a, &b]).await;

    // Everybody may send what is theirs, and to no gateway but by its shard.
    let [(gate, secret), _, hana, ..] = USERS;
    for (account, topic, allowed) in [
        ((gate, secret), format!("up/3/{gate}/1"), true),
        ((gate, secret), format!("up/3/{gate}/evidence"), true),
        ((gate, secret), format!("up/{gate}/1"), false),
        ((gate, secret), format!("up/3/{MAST}/2"), false),
        ((gate, secret), format!("up/3/4/{gate}/1"), false),
        ((gate, secret), format!("down/{gate}"), false),
        (hana, "up/3/hana/1".to_owned(), false),
        (hana, "out/hana/x".to_owned(), false),
        (hana, "$CONTROL/dynamic-security/v1".to_owned(), false),
    ] {
        let port = city.ports[0];
        let taken =
            tokio::task::block_in_place(|| brokers::is_taken(port, account, &topic, false, b"no frame"));
        assert_eq!(taken, allowed, "{}, {topic}", account.0);
    }

    // Operators are sent to the gateway that has the device.
    let device = id(devices_of(&of_b).next().unwrap());
    until("one knows what the other one has taken", async || {
        let status = status(&a).await;
        let shard = &status["cluster"]["shards"][usize::from(device.shard(SHARDS))];
        shard["holder"] == "b"
    })
    .await;
    for (request, expected) in [
        (format!("POST /devices/{device}/examine\n{OPERATOR}"), 409),
        (format!("POST /devices/{device}/recover\n{OPERATOR}"), 409),
        (format!("GET /devices/{device}"), 200),
        (format!("GET /devices/{device}/result"), 404),
    ] {
        let (status, body) = http(&a.http, &request).await;
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, &body["gateway"]), (421, &Value::from("b")), "{request}");
        let address = body["url"].as_str().unwrap().strip_prefix("http://").unwrap();
        until(&request, async || http(address, &request).await.0 == expected).await;
    }
    assert_eq!(http(&a.http, &format!("POST /devices/70b3d5fffe00ffff/examine\n{OPERATOR}")).await.0, 404);
    // What would be kept in the folder of one gateway is not there.
    for path in ["/ngsi-ld/v1/entities", "/taxii2/", "/handover"] {
        assert_eq!(http(&a.http, &format!("GET {path}\n{OPERATOR}")).await.0, 404, "{path}");
    }

    // New files are in force when both have them.
    let version = async |gateway: &Gateway| {
        let status = status(gateway).await;
        let configuration = &status["cluster"]["configuration"];
        (configuration["version"].as_u64().unwrap(), configuration["is_applied"] == true)
    };
    let change_in = |gateway: &str, file: &str, from: &str, to: &str| {
        let path = city.folder(gateway).join(file);
        fs::write(&path, fs::read_to_string(&path).unwrap().replace(from, to)).unwrap();
    };
    let change = |gateway: &str, from: &str, to: &str| change_in(gateway, "city.toml", from, to);
    assert_eq!((version(&a).await, version(&b).await), ((1, true), (1, true)));
    let (gate, north) = ("name = \"Gate 1\"", "name = \"North gate\"");
    change("a", gate, north);
    until("it is offered", async || {
        let status = status(&a).await;
        let configuration = &status["cluster"]["configuration"];
        configuration["offered"] != configuration["hash"]
    })
    .await;
    assert!(http(&a.http, "GET /readyz").await.0 == 200 && version(&a).await == (1, true));
    change("b", gate, north);
    until("it is in force", async || (version(&a).await, version(&b).await) == ((2, true), (2, true))).await;
    let streets =
        [http(&a.http, "GET /status?limit=1000").await.1, http(&b.http, "GET /status?limit=1000").await.1];
    assert!(streets.iter().any(|text| text.contains("North gate")) && !streets.concat().contains("Gate 1"));
    // What changes at a start only is not even offered.
    for (file, from, to, expected) in [
        ("city.toml", "lease_seconds = 2", "lease_seconds = 3", "cluster: changes at a start only"),
        (
            "secrets.toml",
            "example-gateway-password",
            "another-gateway-password",
            "gateway_password: changes at a start only",
        ),
    ] {
        change_in("a", file, from, to);
        let says = async || status(&a).await["fault"].as_str().is_some_and(|fault| fault.contains(expected));
        until(expected, says).await;
        let configuration = &status(&a).await["cluster"]["configuration"];
        assert_eq!(configuration["offered"], configuration["hash"]);
        change_in("a", file, to, from);
        until("the fault is gone", async || status(&a).await["fault"].is_null()).await;
    }

    signal(&b, "-STOP");
    shares([&a]).await;
    let before = city.commits("b");
    signal(&b, "-CONT");
    assert!(!ended(&mut b).await.success());
    assert_eq!(city.commits("b"), before);
    let log = city.log("b");
    // The engine may have found out first.
    let reasons = ["its lease was not renewed for 2 s", "another gateway has shard"];
    assert!(reasons.iter().any(|reason| log.contains(reason)), "{log}");

    // With other files it starts, takes nothing, and tells nobody what it would not decide any more.
    change("b", north, gate);
    let [mut b] = city.gateways(["b"]);
    let basic = "GET /history?stream=traffic-flow\nAuthorization: Basic aGFuYTpleGFtcGxlLWhhbmE=";
    for (request, expected) in
        [("GET /readyz", 503), (basic, 503), ("GET /status", 503), ("GET /keys", 503), ("GET /", 200)]
    {
        assert_eq!(http(&b.http, request).await.0, expected, "{request}");
    }
    let member = async |name: &str| {
        let status = status(&a).await;
        let members = status["cluster"]["members"].as_array().cloned().unwrap_or_default();
        members.into_iter().find(|member| member["name"] == name).unwrap_or_default()
    };
    until("it is there", async || member("b").await["is_ready"] == true).await;
    assert_ne!(member("b").await["offers"], status(&a).await["cluster"]["configuration"]["hash"]);
    assert_eq!(shards_of(&a).await.len(), usize::from(SHARDS));
    change("b", gate, north);
    let before = shares([&a, &b]).await;
    assert_eq!(version(&b).await, (2, true));

    // One that finds no broker has no share.
    let c = city.without_broker("c");
    until("it is there", async || member("c").await["is_ready"] == false).await;
    let says = async || status(&b).await["cluster"]["members"].as_array().is_some_and(|all| all.len() == 3);
    until("the other one sees it", says).await;
    assert_eq!(shares([&a, &b]).await, before);
    drop(c);

    // Somebody who goes on with the session of a shard ends no gateway.
    let shard = *before[0].first().unwrap();
    let client_id = format!("gateway shard {shard}");
    let (_, mut thief) =
        brokers::connection(city.ports[1], &client_id, "gateway", "example-gateway-password", None);
    thief.poll().await.unwrap();
    drop(thief);
    // Mosquitto says why it closes the connection, or it just does.
    let said = ["it is taken back", "the session of a shard is not connected"];
    until("it is lost", async || said.iter().any(|text| city.log("a").contains(text))).await;
    assert_eq!(shares([&a, &b]).await, before);

    // When all have ended, old files do not come back by being first.
    for gateway in [&mut a, &mut b] {
        signal(gateway, "-TERM");
        assert!(ended(gateway).await.success());
    }
    change("b", north, gate);
    let [mut b] = city.gateways(["b"]);
    assert_eq!((http(&b.http, "GET /status").await.0, http(&b.http, "GET /readyz").await.0), (503, 503));
    signal(&b, "-TERM");
    assert!(ended(&mut b).await.success());
    // Only in place of the version that is named: the option may stay there.
    let told = ["--name", "b", "--files-in-force", "2"];
    let start =
        || tokio::task::block_in_place(|| gateway_with(&city.folder("b"), Some(city.ports[1]), 0, &told));
    let said = || city.log("b").matches("--files-in-force does nothing").count();
    for _ in 0..2 {
        let mut b = start();
        shares([&b]).await;
        assert_eq!((version(&b).await, said()), ((3, true), 0));
        signal(&b, "-TERM");
        assert!(ended(&mut b).await.success());
    }
    change("b", gate, north);
    let mut b = start();
    assert_eq!((http(&b.http, "GET /status").await.0, said()), (503, 1));
    signal(&b, "-TERM");
    assert!(ended(&mut b).await.success());
    let later = format!(
        "--config city.toml --secrets secrets.toml --data data --http 127.0.0.1:0 --broker mqtt://127.0.0.1:{} --name b --files-in-force 9",
        city.ports[1]
    );
    let (good, said) = tokio::task::block_in_place(|| city.says("b", &later));
    assert!(!good && said.contains("a version that is not there yet"), "{said}");
}

/// The links are in the database no more then. Whoever has the shard next gets them all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_ends_while_it_loads_a_shard_gives_its_links_back() {
    let city = tokio::task::block_in_place(City::new);
    let [a] = city.gateways(["a"]);
    shares([&a]).await;
    let mut street = Street::new(&city).await;
    street.measure(2).await;
    assert_eq!(street.all_arrive(2).await, 0, "new epochs");
    // The second gateway gets the second half, and loads it in order. At the last one the database commits, whoever is there, when it may.
    let last = (0..DEVICES).map(|device| id(device).shard(SHARDS)).max().unwrap();
    assert!(last > SHARDS / 2);
    let (client, connection) = tokio_postgres::connect(&city.database, NoTls).await.unwrap();
    tokio::spawn(connection);
    let holds = format!(
        "create function wait() returns trigger language plpgsql as
         $$ begin perform pg_advisory_xact_lock(1); return old; end $$;
         create constraint trigger waits after delete on links deferrable initially deferred
         for each row when (old.shard = {last}) execute function wait();
         select pg_advisory_lock(1)"
    );
    client.batch_execute(&holds).await.unwrap();
    let [mut b] = city.gateways(["b"]);
    let waits = "select exists (select from pg_stat_activity where datname = current_database() and wait_event = 'advisory')";
    until("it loads the last one", async || client.query_one(waits, &[]).await.unwrap().get(0)).await;
    signal(&b, "-TERM");
    until("it gives up the others", async || city.log("b").contains("given up")).await;
    client.batch_execute("select pg_advisory_unlock(1)").await.unwrap();
    street.measure(2).await;
    assert!(ended(&mut b).await.success());
    shares([&a]).await;
    assert_eq!(street.all_arrive(2).await, 0, "new epochs");
}

/// A way to another port, as long as it is open.
async fn way_to(port: u16) -> (u16, watch::Sender<bool>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let own = listener.local_addr().unwrap().port();
    let (open, is_open) = watch::channel(true);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut is_open = is_open.clone();
            tokio::spawn(async move {
                let carries = async {
                    let mut server = tokio::net::TcpStream::connect(("127.0.0.1", port)).await?;
                    tokio::io::copy_bidirectional(&mut client, &mut server).await
                };
                tokio::select! {
                    biased;
                    _ = is_open.wait_for(|is| !is) => {}
                    _ = carries => {}
                }
            });
        }
    });
    (own, open)
}

/// It goes on, and others have its devices, in the epochs that they are in.
#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_loses_its_broker_for_long_gives_its_shards_up() {
    let city = tokio::task::block_in_place(City::new);
    let (port, is_open) = way_to(city.ports[1]).await;
    let mut a = tokio::task::block_in_place(|| city.gateway_by(port, "a"));
    // Of two who make them at once, one does it again after some seconds.
    until("the accounts are made", async || city.log("a").contains("the broker has the accounts")).await;
    let [b] = city.gateways(["b"]);
    let [of_a, _] = shares([&a, &b]).await;
    let mut street = Street::new(&city).await;
    street.measure(2).await;
    assert_eq!(street.all_arrive(2).await, 0, "new epochs");
    let given_up = || city.log("a").matches("given up").count();
    let before = given_up();
    is_open.send_replace(false);
    street.measure(2).await;
    shares([&b]).await;
    assert_eq!(street.all_arrive(2).await, 0, "new epochs");
    assert_eq!(given_up() - before, of_a.len());
    assert!(a.process.0.try_wait().unwrap().is_none(), "it has ended");
}

/// A gateway for which there is no shard has one when another gateway ends.
#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_without_a_shard_takes_over() {
    let city = tokio::task::block_in_place(|| City::divided(2));
    let [mut a, b] = city.gateways(["a", "b"]);
    let have = async |expected: &[(&Gateway, usize)]| {
        let counts: Vec<_> = expected.iter().map(|(_, count)| count).collect();
        until(&format!("they have {counts:?} shards"), async || {
            let mut have = true;
            for (gateway, count) in expected {
                have &= shards_of(gateway).await.len() == *count
                    && http(&gateway.http, "GET /readyz").await.0 == 200;
            }
            have
        })
        .await;
    };
    have(&[(&a, 1), (&b, 1)]).await;
    let [c] = city.gateways(["c"]);
    let is_there = async || {
        let status = status(&a).await;
        let members = status["cluster"]["members"].as_array().into_iter().flatten();
        members.filter(|member| member["is_ready"] == true).count() == 3
    };
    until("it is there", is_there).await;
    let mut street = Street::new(&city).await;
    street.measure(2).await;
    assert_eq!(street.all_arrive(2).await, 0, "new epochs");
    have(&[(&a, 1), (&b, 1), (&c, 0)]).await;

    signal(&a, "-TERM");
    street.measure(2).await;
    assert!(ended(&mut a).await.success());
    have(&[(&b, 1), (&c, 1)]).await;
    assert_eq!(street.all_arrive(2).await, 0, "new epochs");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_comes_to_its_database_by_tls() {
    let (keys, authority, port) = (tempfile::tempdir().unwrap(), Authority::new("database"), free_port());
    let path = |name: &str| keys.path().join(name);
    authority.certify(keys.path());
    fs::write(path("authority.pem"), authority.0.pem()).unwrap();
    fs::set_permissions(keys.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(path("key.pem"), fs::Permissions::from_mode(0o600)).unwrap();
    if let Some((user, group)) = postgres::account() {
        chown(path("key.pem"), Some(user), Some(group)).unwrap();
    }
    let option = |name: &str, file: &str| format!("{name}={}", path(file).display());
    let [certificate, key] = [option("ssl_cert_file", "chain.pem"), option("ssl_key_file", "key.pem")];
    let options = ["ssl=on", &certificate, &key, "listen_addresses=127.0.0.1"];
    let city = tokio::task::block_in_place(|| {
        let server = Cluster::start(port, &options);
        let database = format!("host={} port={port} user=city dbname=postgres", server.dir().display());
        let way = format!(
            "database = \"host=localhost hostaddr=127.0.0.1 port={port} user=city dbname=postgres\"\nauthorities = \"{}\"",
            path("authority.pem").display()
        );
        let dir = example();
        add_devices(dir.path(), DEVICES);
        City::at(dir, Arc::new(server), database, &way, SHARDS)
    });
    let [a] = city.gateways(["a"]);
    shares([&a]).await;
    let connections =
        "select count(*) filter (where ssl), count(*) from pg_stat_activity join pg_stat_ssl using (pid)
                       where application_name = 'smart-city-gateway'";
    let (by_tls, all): (i64, i64) = tokio::task::block_in_place(|| {
        with(&city.database, async |client| {
            let row = client.query_one(connections, &[]).await.unwrap();
            (row.get(0), row.get(1))
        })
    });
    assert!(by_tls >= 3 && by_tls == all, "{by_tls} of {all}");
}

/// With a table that cannot be read. No link is lost by that.
#[tokio::test(flavor = "multi_thread")]
async fn a_load_that_fails_is_tried_again() {
    let city = tokio::task::block_in_place(City::new);
    let [mut a] = city.gateways(["a"]);
    shares([&a]).await;
    let mut street = Street::new(&city).await;
    street.measure(2).await;
    assert_eq!(street.all_arrive(2).await, 0, "new epochs");
    signal(&a, "-TERM");
    assert!(ended(&mut a).await.success());
    let rename = |from: &str, to: &str| {
        let sql = format!("alter table {from} rename to {to}");
        let work = async |client: &tokio_postgres::Client| client.batch_execute(&sql).await.unwrap();
        tokio::task::block_in_place(|| with(&city.database, work));
    };
    rename("links", "hidden");
    let [b] = city.gateways(["b"]);
    until("it has failed", async || city.log("b").contains("tried again: shard")).await;
    street.measure(2).await;
    assert!(shards_of(&b).await.is_empty() && http(&b.http, "GET /readyz").await.0 == 503);
    rename("hidden", "links");
    shares([&b]).await;
    assert_eq!(street.all_arrive(2).await, 0, "new epochs");
}

/// Whoever floods does not keep the other devices of its shard waiting for long, although the database takes its time for each commit: the
/// broker has all of them in one queue.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_harms_nobody_in_its_shard() {
    const MANY: u16 = 64;
    let dir = example();
    let numbers: Vec<u32> = (0..).filter(|i| crowd_id(*i).shard(MANY) == GATE.shard(MANY)).take(10).collect();
    let devices: Vec<_> =
        numbers.iter().copied().zip(crowd_of(dir.path(), numbers.iter().copied())).collect();
    let city = tokio::task::block_in_place(|| City::of(dir, MANY));
    let [gateway] = city.gateways(["a"]);
    until("all shards are there", async || shards_of(&gateway).await.len() == usize::from(MANY)).await;
    let slow = "create function slow() returns trigger language plpgsql as
                $$ begin perform pg_sleep(0.02); return new; end $$;
                create trigger slow before update on gateways for each row execute function slow()";
    tokio::task::block_in_place(|| {
        with(&city.database, async |client| client.batch_execute(slow).await.unwrap());
    });
    let mut link = DeviceLink::new(&root(GATE), GATE, Epoch(1));
    let stream = files(city.dir.path()).0.streams[&1].stream;
    // What is refused costs no commit. When the key is used up it is.
    let mut frame = Vec::new();
    let frame = move || {
        if let Ok(next) = link.seal_reading(stream, b"12", &mut [0; 64]) {
            frame = next.to_vec();
        }
        frame.clone()
    };
    let place = (city.ports[0], &*format!("up/{}", GATE.shard(MANY)));
    let time = Duration::from_secs(20);
    brokers::floods((&gateway, &city.folder("a")), place, devices, vec![(1, Box::new(frame))], time).await;
    assert!(city.log("a").contains("an account sends more than it may"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_longest_messages_do_not_silence_a_shard() {
    let city = tokio::task::block_in_place(City::new);
    let [gateway] = city.gateways(["a"]);
    shares([&gateway]).await;
    let up = format!("up/{}", GATE.shard(SHARDS));
    brokers::the_longest_messages_harm_nobody(&city.folder("a"), (city.ports[0], &up)).await;
}
