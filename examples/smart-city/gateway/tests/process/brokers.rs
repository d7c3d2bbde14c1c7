//! What must hold at both brokers alike, as they are shipped.

use std::io::Write as _;

use rumqttc::{
    AckMode, EventLoop, SessionMode,
    mqttbytes::v5::{LastWill, SubscribeReasonCode},
};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
use smart_city_frame::{Class, Stream};

use super::*;

/// The gateway at its own broker or at Mosquitto.
fn at(dir: &Path, own: bool) -> (Option<Process>, Gateway) {
    if own {
        let gateway = gateway(dir, None);
        (None, gateway)
    } else {
        let (process, port) = mosquitto(dir);
        (Some(process), gateway(dir, Some(port)))
    }
}

pub(crate) fn connection(
    port: u16,
    name: &str,
    user: &str,
    password: &str,
    will: Option<&str>,
) -> (AsyncClient, EventLoop) {
    let mut options = MqttOptions::new(name, ("127.0.0.1", port));
    options.set_credentials(user, password.to_owned());
    if let Some(topic) = will {
        options.set_last_will(LastWill::new(topic, &b"last will"[..], QoS::AtLeastOnce, false, None));
    }
    AsyncClient::builder(options).capacity(16).build()
}

/// Whether the broker takes a message, and says so. Nothing of the client comes before: it would keep to what the broker says.
pub(crate) fn is_taken(
    port: u16,
    (user, password): (&str, &str),
    topic: &str,
    retain: bool,
    payload: &[u8],
) -> bool {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    stream.write_all(&connect_packet(user, password)).unwrap();
    assert!(matches!(read_packet(&mut stream), Some((0x20, body)) if body[1] == 0), "{user} is not let in");
    stream.write_all(&publish_packet(topic, 1, retain, 1, payload)).unwrap();
    while let Some((first, body)) = read_packet(&mut stream) {
        if first >> 4 == 4 {
            // Success, or nobody who subscribes.
            return matches!(body.get(2), None | Some(0 | 0x10));
        }
    }
    false
}

async fn connects(port: u16, name: &str, user: &str, password: &str) -> Result<(), String> {
    let (_client, mut events) = connection(port, name, user, password, None);
    match timeout(Duration::from_secs(5), events.poll()).await.unwrap() {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("{error:?}")),
    }
}

async fn the_same_is_allowed(own: bool) {
    let dir = example();
    let (_broker, gateway) = at(dir.path(), own);
    let port = gateway.mqtt;
    let (gate, mast) = ("70b3d5fffe000001", "70b3d5fffe000002");
    for (user, topic, allowed) in [
        (gate, "up/70b3d5fffe000001/1", true),
        (gate, "up/70b3d5fffe000001/evidence", true),
        (gate, "up/70b3d5fffe000002/2", false),
        (gate, "up/70b3d5fffe000001", false),
        (gate, "up/70b3d5fffe000001/1/2", false),
        (gate, "down/70b3d5fffe000001", false),
        (gate, "out/70b3d5fffe000001/x", false),
        (mast, "up/70b3d5fffe000001/1", false),
        ("hana", "up/hana/x", false),
        ("hana", "up/hana/evidence", false),
        ("hana", "out/hana/x", false),
        ("hana", "out/ren/x", false),
        ("hana", "down/hana", false),
        ("hana", "up/70b3d5fffe000001/1", false),
        ("hana", "$CONTROL/dynamic-security/v1", false),
    ] {
        let account = *USERS.iter().find(|(name, _)| *name == user).unwrap();
        let taken = tokio::task::block_in_place(|| is_taken(port, account, topic, false, b"no frame"));
        assert_eq!(taken, allowed, "{user}, {topic}");
    }
    for (len, retain, allowed) in
        [(4000, false, true), (4200, false, false), (0, true, false), (1, true, false), (30, true, false)]
    {
        let (topic, payload) = (format!("up/{gate}/1"), vec![0; len]);
        let taken = tokio::task::block_in_place(|| is_taken(port, USERS[0], &topic, retain, &payload));
        assert_eq!(taken, allowed, "{len} bytes, {retain}");
    }
    // A last will is a message too.
    let refused = async |id: DeviceId| {
        let status = http(&gateway.http, &format!("GET /devices/{id}")).await.1;
        serde_json::from_str::<Value>(&status).unwrap()["refused"].as_u64().unwrap()
    };
    let (_hana, mut hana) = user(port, "hana", &["out/hana/#"]);
    assert_eq!(next(&mut hana).await.0, "subscribed");
    let before = refused(GATE).await;
    for topic in ["up/70b3d5fffe000002/2", "out/hana/x", "up/70b3d5fffe000001/1"] {
        let (_client, mut events) = connection(port, gate, gate, "example-gate-1", Some(topic));
        timeout(Duration::from_secs(5), events.poll()).await.unwrap().unwrap();
    }
    let start = Instant::now();
    while refused(GATE).await == before {
        assert!(start.elapsed() < Duration::from_secs(20), "its own last will does not come");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(drain(&mut hana, Duration::from_millis(600)).await.is_empty(), "a last will for another user");
    assert_eq!(refused(MAST).await, 0, "a last will of another device");
    // Who may connect. Mosquitto takes the user's name for the client id, whatever that was.
    connects(port, "hana", "hana", "example-hana").await.unwrap();
    assert!(connects(port, "hana", "hana", "example-ren").await.is_err());
    assert!(connects(port, "nobody", "nobody", "").await.is_err());
    if own {
        let told = connects(port, "mine", "hana", "example-hana").await.unwrap_err();
        assert!(told.contains("ClientIdentifierNotValid"), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn own_broker_has_the_rules() {
    the_same_is_allowed(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mosquitto_has_the_rules() {
    the_same_is_allowed(false).await;
}

/// What the own broker says that it takes, and keeps to.
#[tokio::test(flavor = "multi_thread")]
async fn own_broker_has_limits() {
    const FILTERS: usize = 16;
    const ON_THEIR_WAY: usize = 256;
    const READINGS: usize = 300;
    let dir = example();
    let gateway = gateway(dir.path(), None);
    let (city, _) = files(dir.path());
    let mut options = MqttOptions::new("hana", ("127.0.0.1", gateway.mqtt));
    options.set_credentials("hana", "example-hana").set_ack_mode(AckMode::Manual);
    options.set_session_mode(SessionMode::Persistent).set_session_expiry_interval(Some(100_000));
    let (hana, mut events) = AsyncClient::builder(options).capacity(512).build();
    let Event::Incoming(Incoming::ConnAck(welcome)) = events.poll().await.unwrap() else { panic!() };
    let said = welcome.properties.unwrap();
    assert_eq!((said.max_qos, said.retain_available, said.max_packet_size), (Some(1), Some(0), Some(4096)));
    assert_eq!((said.shared_subscription_available, said.topic_alias_max), (Some(0), Some(0)));
    assert_eq!(said.session_expiry_interval, Some(0), "nothing is kept for who is away");
    let mut refusals = Vec::new();
    for i in 0..=FILTERS {
        let filter = if i == 0 { "out/hana/#".to_owned() } else { format!("out/hana/stream-{i}") };
        hana.subscribe(filter, QoS::AtLeastOnce).await.unwrap();
        refusals.push(loop {
            if let Event::Incoming(Incoming::SubAck(ack)) = events.poll().await.unwrap() {
                break !matches!(ack.return_codes[0], SubscribeReasonCode::Success(_));
            }
        });
    }
    assert_eq!(refusals, [vec![false; FILTERS], vec![true]].concat());

    let (gate, _down) = user(gateway.mqtt, USERS[0].0, &[]);
    let mut link = DeviceLink::new(&root(GATE), GATE, Epoch(1));
    for _ in 0..READINGS {
        let mut buffer = [0; 64];
        let frame = link.seal_reading(city.streams[&1].stream, b"12", &mut buffer).unwrap();
        send(&gate, &format!("up/{GATE}/1"), frame);
    }
    let start = Instant::now();
    while {
        let status = http(&gateway.http, &format!("GET /devices/{GATE}")).await.1;
        serde_json::from_str::<Value>(&status).unwrap()["frames"] != READINGS
    } {
        assert!(start.elapsed() < Duration::from_secs(20), "they are not accepted");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // All that come while no other is acknowledged.
    let received = async |events: &mut EventLoop| {
        let mut received = Vec::new();
        while let Ok(event) = timeout(Duration::from_secs(1), events.poll()).await {
            if let Event::Incoming(Incoming::Publish(publish)) = event.unwrap() {
                received.push(publish);
            }
        }
        received
    };
    let first = received(&mut events).await;
    assert_eq!(first.len(), ON_THEIR_WAY);
    for publish in &first {
        hana.ack(publish).await.unwrap();
    }
    let rest = received(&mut events).await;
    assert_eq!(rest.len(), READINGS - ON_THEIR_WAY);
    for publish in &rest {
        hana.ack(publish).await.unwrap();
    }
    assert!(received(&mut events).await.is_empty());
    assert!(!dir.path().join("mqtt_storage").exists(), "nothing is kept in files");
}

/// Who sends more than it may waits at the own broker; nothing is lost.
#[tokio::test(flavor = "multi_thread")]
async fn own_broker_keeps_a_sender_waiting() {
    const MESSAGES: u16 = 4000;
    let dir = example();
    let gateway = gateway(dir.path(), None);
    let time = tokio::task::block_in_place(|| {
        let mut stream = TcpStream::connect(("127.0.0.1", gateway.mqtt)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.write_all(&connect_packet(USERS[0].0, USERS[0].1)).unwrap();
        assert_eq!(read_packet(&mut stream).unwrap().0, 0x20);
        let (start, mut answers) = (Instant::now(), BufReader::new(stream.try_clone().unwrap()));
        std::thread::spawn(move || {
            let topic = format!("up/{}/1", USERS[0].0);
            for id in 1..=MESSAGES {
                stream.write_all(&publish_packet(&topic, 1, false, id, b"no frame")).unwrap();
            }
        });
        for id in 1..=MESSAGES {
            let (first, body) = read_packet(&mut answers).expect("an acknowledgement");
            assert_eq!((first, u16::from_be_bytes([body[0], body[1]])), (0x40, id));
        }
        start.elapsed()
    });
    // 2,000 at once, and 1,000 a second.
    assert!(time > Duration::from_millis(1990), "{time:?}");
}

/// Who has another password, or is gone, loses the session at once.
async fn revocation_ends_sessions(own: bool) {
    let dir = example();
    let (_broker, gateway) = at(dir.path(), own);
    let port = gateway.mqtt;
    let (_hana, mut hana) = user(port, "hana", &["out/hana/#"]);
    let (_ren, mut ren) = user(port, "ren", &["out/ren/#"]);
    let (_mast, mut mast) = user(port, "70b3d5fffe000002", &["down/70b3d5fffe000002"]);
    let (_sora, mut sora) = user(port, "sora", &["out/sora/#"]);
    for received in [&mut hana, &mut ren, &mut mast, &mut sora] {
        assert_eq!(next(received).await.0, "subscribed");
    }
    let cut = |text: &str, from: &str| {
        let start = text.find(from).unwrap();
        let end = text[start + 2..].find("\n[").map_or(text.len(), |end| start + 2 + end + 1);
        format!("{}{}", &text[..start], &text[end..])
    };
    let read = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
    let secrets = read("secrets.toml").replace("example-hana", "another-password");
    let secrets = cut(&cut(&secrets, "[users.ren]"), "[devices.70b3d5fffe000002]");
    let city = read("city.toml");
    let city = cut(&city, "[[users]]\nid = \"ren\"");
    let city = cut(&city, "[[devices]]\nid = \"70b3d5fffe000002\"");
    fs::write(dir.path().join("city.toml"), city).unwrap();
    fs::write(dir.path().join("secrets.toml"), secrets).unwrap();
    for received in [&mut hana, &mut ren, &mut mast] {
        assert_eq!(next(received).await.0, "not connected");
    }
    assert!(connects(port, "hana", "hana", "example-hana").await.is_err(), "the old password");
    connects(port, "hana", "hana", "another-password").await.unwrap();
    assert!(drain(&mut sora, Duration::from_millis(100)).await.is_empty(), "others go on");
}

#[tokio::test(flavor = "multi_thread")]
async fn own_broker_ends_revoked_sessions() {
    revocation_ends_sessions(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mosquitto_ends_revoked_sessions() {
    revocation_ends_sessions(false).await;
}

/// Files that are not taken over change nothing at the broker, whichever of the two has the fault, and who finds it.
async fn a_refused_reload_changes_no_account(own: bool) {
    let dir = example();
    let (_broker, gateway) = at(dir.path(), own);
    let port = gateway.mqtt;
    let (_hana, mut hana) = user(port, "hana", &["out/hana/#"]);
    assert_eq!(next(&mut hana).await.0, "subscribed");
    let files = ["city.toml", "secrets.toml"].map(|name| dir.path().join(name));
    let texts = files.each_ref().map(|path| fs::read_to_string(path).unwrap());
    let secrets = texts[1].replace("example-hana", "another-password");
    let fault = async || {
        let status = http(&gateway.http, "GET /status?limit=0").await.1;
        serde_json::from_str::<Value>(&status).unwrap()["fault"].as_str().unwrap_or_default().to_owned()
    };
    let until = async |wanted: &str| {
        let start = Instant::now();
        while if wanted.is_empty() { !fault().await.is_empty() } else { !fault().await.contains(wanted) } {
            assert!(start.elapsed() < Duration::from_secs(20), "{wanted}: {}", fault().await);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    for (wanted, city, secrets) in [
        (
            "there is no city",
            texts[0].replacen("owner = \"midori\"", "owner = \"nowhere\"", 1),
            secrets.clone(),
        ),
        ("there is no such user", texts[0].clone(), secrets.replace("[users.ren]", "[users.rem]")),
        // It is good, but not for a gateway that runs.
        (
            "gateway_password",
            texts[0].clone(),
            secrets.replace("example-gateway-password", "new-gateway-password"),
        ),
        ("ear_key", texts[0].clone(), secrets.replace("ear-key.pem", "new-key.pem")),
    ] {
        fs::write(&files[0], city).unwrap();
        fs::write(&files[1], secrets).unwrap();
        until(wanted).await;
        assert!(drain(&mut hana, Duration::from_secs(1)).await.is_empty(), "{wanted}: a session ended");
        assert!(connects(port, "hana", "hana", "another-password").await.is_err(), "{wanted}");
        // Connects anew by itself after the one above took its name.
        connects(port, "sora", "sora", "example-sora").await.unwrap();
        fs::write(&files[0], &texts[0]).unwrap();
        fs::write(&files[1], &texts[1]).unwrap();
        until("").await;
    }
    fs::write(&files[1], secrets).unwrap();
    assert_eq!(next(&mut hana).await.0, "not connected");
    connects(port, "hana", "hana", "another-password").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn own_broker_keeps_accounts_at_a_refused_reload() {
    a_refused_reload_changes_no_account(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mosquitto_keeps_accounts_at_a_refused_reload() {
    a_refused_reload_changes_no_account(false).await;
}

/// A process's TCP sockets.
fn sockets(Process(child): &Process) -> Vec<TcpStream> {
    let process = pidfd_open(Pid::from_child(child), PidfdFlags::empty()).unwrap();
    let mut sockets = Vec::new();
    for entry in fs::read_dir(format!("/proc/{}/fd", child.id())).unwrap() {
        let path = entry.unwrap().path();
        if !fs::read_link(&path).is_ok_and(|to| to.to_string_lossy().starts_with("socket:")) {
            continue;
        }
        let number = path.file_name().unwrap().to_str().unwrap().parse().unwrap();
        let socket = pidfd_getfd(&process, number, PidfdGetfdFlags::empty());
        sockets.push(socket.expect("a process may look at its children: CAP_SYS_PTRACE").into());
    }
    // Others have no such address.
    sockets.retain(|socket: &TcpStream| socket.local_addr().is_ok());
    sockets
}

/// The connections among them, as their addresses here and there; each must send small packets at once, or a lone device waits
/// for its receipt until the packet before it is acknowledged, some 40 ms.
fn connections_without_delay(process: &Process) -> Vec<(u16, u16)> {
    let mut connections = Vec::new();
    for socket in sockets(process) {
        // Others listen.
        if let (Ok(here), Ok(there)) = (socket.local_addr(), socket.peer_addr()) {
            assert!(socket.nodelay().unwrap(), "{here} to {there}");
            connections.push((here.port(), there.port()));
        }
    }
    connections
}

/// Gives the plugin a command, as the gateway does, but not for it.
pub(crate) fn somebody_else(port: u16, command: &[&str]) {
    let done = Command::new(find("mosquitto_ctrl"))
        .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-u", "gateway"])
        .args(["-P", "example-gateway-password", "dynsec"])
        .args(command)
        .output()
        .unwrap();
    assert!(done.status.success(), "{done:?}");
}

/// Waits until something is so.
async fn until(holds: impl AsyncFn() -> bool) {
    let start = Instant::now();
    while !holds().await {
        assert!(start.elapsed() < Duration::from_secs(60), "it does not come");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// What somebody else has changed at Mosquitto is put right, by a gateway that runs and by one that starts: another password, a role that
/// an account has lost or got, and what a role denies. Nobody else loses the session for it.
#[tokio::test(flavor = "multi_thread")]
async fn mosquitto_passwords_and_roles_are_put_right() {
    let dir = example();
    let (_mosquitto, port) = mosquitto(dir.path());
    let mut running = gateway(dir.path(), Some(port));
    let path = dir.path().join("secrets.toml");
    let sends = |name: &str| {
        let account = *USERS.iter().find(|(user, _)| *user == name).unwrap();
        let topic = format!("up/{name}/x");
        tokio::task::block_in_place(|| is_taken(port, account, &topic, false, b"no frame"))
    };
    let (_sora, mut sora) = user(port, "sora", &["out/sora/#"]);
    assert_eq!(next(&mut sora).await.0, "subscribed");
    for restarts in [false, true] {
        let mut compare = || {
            if restarts {
                tokio::task::block_in_place(|| {
                    drop(running.process.0.kill());
                    // Until then it has the store.
                    drop(running.process.0.wait());
                    running = gateway(dir.path(), Some(port));
                });
            } else {
                let text = fs::read_to_string(&path).unwrap();
                fs::write(&path, text + "\n").unwrap();
            }
        };
        // A changed role may have ended the session.
        drain(&mut sora, Duration::from_millis(300)).await;
        somebody_else(port, &["setClientPassword", "hana", "mine"]);
        assert!(connects(port, "hana", "hana", "example-hana").await.is_err());
        compare();
        until(async || connects(port, "hana", "hana", "example-hana").await.is_ok()).await;
        assert!(connects(port, "hana", "hana", "mine").await.is_err(), "restarts: {restarts}");

        somebody_else(port, &["removeClientRole", "hana", "user"]);
        assert!(sends("hana"), "the user has no role");
        compare();
        until(async || !sends("hana")).await;

        somebody_else(port, &["addClientRole", "70b3d5fffe000001", "user"]);
        assert!(!sends("70b3d5fffe000001"), "the device has another role too");
        compare();
        until(async || sends("70b3d5fffe000001")).await;

        assert_eq!(drain(&mut sora, Duration::from_millis(100)).await, [], "others go on");
        somebody_else(port, &["removeRoleACL", "user", "publishClientSend", "#"]);
        assert!(sends("ren"), "the role denies nothing");
        compare();
        until(async || !sends("ren")).await;
    }
    let log = fs::read_to_string(dir.path().join("log")).unwrap();
    assert!(!log.contains("are not those of secrets.toml") && !log.contains("ERROR"), "{log}");
}

/// At a start the gateway puts right what it finds at Mosquitto, however many accounts there are.
#[tokio::test(flavor = "multi_thread")]
async fn mosquitto_accounts_are_put_right_at_a_start() {
    let dir = example();
    let devices = crowd(dir.path(), 20);
    let (_mosquitto, port) = tokio::task::block_in_place(|| mosquitto_with_accounts(dir.path()));
    for account in ["hana", &devices[19].0.to_string()] {
        somebody_else(port, &["disableClient", account]);
    }
    assert!(connects(port, "hana", "hana", "example-hana").await.is_err());
    let path = dir.path().join("secrets.toml");
    let secrets = fs::read_to_string(&path).unwrap();
    fs::write(&path, secrets.replace("\"password-", "\"changed-")).unwrap();
    let _gateway = tokio::task::block_in_place(|| gateway(dir.path(), Some(port)));
    connects(port, "hana", "hana", "example-hana").await.unwrap();
    for (id, old) in devices {
        let id = id.to_string();
        connects(port, &id, &id, &old.replace("password-", "changed-")).await.unwrap();
        assert!(connects(port, &id, &id, &old).await.is_err(), "{id}");
    }
    let log = fs::read_to_string(dir.path().join("log")).unwrap();
    assert!(!log.contains("are not those of secrets.toml"), "{log}");
}

async fn nothing_is_held_back(own: bool) {
    use std::io::Read as _;
    let dir = example();
    let (broker, gateway) = at(dir.path(), own);
    let (_gate, mut gate) = user(gateway.mqtt, "70b3d5fffe000001", &["down/70b3d5fffe000001"]);
    assert_eq!(next(&mut gate).await.0, "subscribed");
    let mut page = TcpStream::connect(&gateway.http).unwrap();
    page.write_all(b"GET /keys HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    page.read_exact(&mut [0; 15]).unwrap();
    for socket in sockets(&gateway.process) {
        let address = socket.local_addr().unwrap();
        assert!(address.ip().is_loopback(), "{address}: nobody asked for it");
    }
    let connections = connections_without_delay(&gateway.process);
    let to_broker = connections.iter().filter(|(_, there)| *there == gateway.mqtt);
    let of_page = connections.iter().filter(|(_, there)| *there == page.local_addr().unwrap().port());
    let its_own = usize::from(!own);
    assert_eq!((to_broker.count(), of_page.count()), (its_own, 1), "{connections:?}");
    let connections = broker.map_or(connections, |broker| connections_without_delay(&broker));
    let of_broker = connections.iter().filter(|(here, _)| *here == gateway.mqtt);
    // The device's, and the gateway's if the broker is another process.
    assert_eq!(of_broker.count(), 1 + its_own, "{connections:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn own_broker_holds_nothing_back() {
    nothing_is_held_back(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mosquitto_holds_nothing_back() {
    nothing_is_held_back(false).await;
}

/// What users receive is what devices said, byte for byte.
async fn readings_are_not_altered(own: bool) {
    let dir = example();
    let (_broker, gateway) = at(dir.path(), own);
    let (city, _) = files(dir.path());
    let (_hana, mut hana) = user(gateway.mqtt, "hana", &["out/hana/#"]);
    assert_eq!(next(&mut hana).await.0, "subscribed");
    let mut payloads: Vec<Vec<u8>> = [
        "36",
        "12345678901234567890123",
        "1.10",
        "{\"a\":1,\"a\":2}",
        " [1 ]\n",
        "\u{feff}{}",
        "\"\\ud800\"",
        "",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec();
    payloads.push((0..=240).collect());
    let mut random = 0x9E37_79B9_7F4A_7C15u64;
    for _ in 0..100 {
        let mut payload = Vec::new();
        for _ in 0..random % 242 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            payload.push((random >> 56) as u8);
        }
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        payloads.push(payload);
    }
    let (gate, _down) = user(gateway.mqtt, "70b3d5fffe000001", &[]);
    let mut link = DeviceLink::new(&root(GATE), GATE, Epoch(1));
    let mut buffer = [0; 255];
    for (i, payload) in payloads.iter().enumerate() {
        let stream = if i % 2 == 0 { 1 } else { 3 };
        let frame = link.seal_reading(city.streams[&stream].stream, payload, &mut buffer).unwrap();
        send(&gate, &format!("up/{GATE}/{stream}"), frame);
        let (topic, received, about) = next(&mut hana).await;
        assert_eq!(received, *payload, "payload {i}");
        let (name, class, kind) = [
            ("traffic-flow", "public", "application/json"),
            ("gate-camera", "confidential", "application/octet-stream"),
        ][i % 2];
        assert_eq!(topic, format!("out/hana/{name}"));
        let id = format!("{}-1-{i}", key_id(GATE));
        for (property, value) in [
            ("id", &*id),
            ("device", &GATE.to_string()),
            ("stream", name),
            ("class", class),
            ("content type", kind),
        ] {
            assert_eq!(about.get(property).map(String::as_str), Some(value), "{property} of payload {i}");
        }
        about["time"].parse::<jiff::Timestamp>().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn own_broker_readings_are_not_altered() {
    readings_are_not_altered(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mosquitto_readings_are_not_altered() {
    readings_are_not_altered(false).await;
}

/// Sends payloads as fast as the connection takes them, over new connections too, until told to stop.
fn flood(
    (port, up): (u16, &str),
    (user, password): (&str, &str),
    qos: u8,
    mut payload: impl FnMut() -> Vec<u8>,
    stop: &Mutex<bool>,
) -> u64 {
    let topic = format!("{up}/{user}/1");
    let mut sent = 0;
    while !*stop.lock().unwrap() {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { continue };
        drop(stream.set_write_timeout(Some(Duration::from_millis(200))));
        let mut answers = stream.try_clone().unwrap();
        std::thread::spawn(move || drop(std::io::copy(&mut answers, &mut std::io::sink())));
        let mut went = stream.write_all(&connect_packet(user, password));
        std::thread::sleep(Duration::from_millis(20));
        while went.is_ok() && !*stop.lock().unwrap() {
            let messages: Vec<u8> =
                (1..=200).flat_map(|id| publish_packet(&topic, qos, false, id, &payload())).collect();
            went = stream.write_all(&messages);
            sent += if went.is_ok() { 200 } else { 0 };
        }
        drop(stream.shutdown(std::net::Shutdown::Both));
    }
    sent
}

/// One account without frame keys floods, at QoS 0 and at QoS 1; others do not notice. `SMART_CITY_FLOOD` says for how many
/// seconds each.
async fn a_flood_harms_nobody(own: bool) {
    let dir = example();
    let devices = crowd(dir.path(), 20);
    let (_broker, gateway) = at(dir.path(), own);
    let devices = (0..).zip(devices).collect();
    let payload = || [&[0x20, 0, 1, 0, 0, 0, 7][..], &[0xAB; 40]].concat();
    let with: Vec<Flood> = vec![(0, Box::new(payload)), (1, Box::new(payload))];
    floods((&gateway, dir.path()), (gateway.mqtt, "up"), devices, with, Duration::from_secs(5)).await;
}

/// A QoS, and payloads.
pub(crate) type Flood = (u8, Box<dyn FnMut() -> Vec<u8> + Send>);

/// One account floods with one after the other, and these devices of a [crowd](crowd_of) do not notice: each frame has its receipt in time. Their
/// topics are below `up` at a broker with this port.
pub(crate) async fn floods(
    (gateway, dir): (&Gateway, &Path),
    (port, up): (u16, &str),
    devices: Vec<(u32, (DeviceId, String))>,
    with: Vec<Flood>,
    time: Duration,
) {
    let seconds = number("SMART_CITY_FLOOD", 3);
    let number_of = devices.len();
    let stop = Arc::new(Mutex::new(false));
    let honest = devices.into_iter().map(|(i, (id, password))| {
        let (stop, topic) = (Arc::clone(&stop), format!("{up}/{id}/1"));
        let filter: &'static [&'static str] = Box::leak(Box::new([&*format!("down/{id}").leak()]));
        tokio::spawn(async move {
            let (client, mut received) = client(port, &id.to_string(), &password, filter);
            assert_eq!(next(&mut received).await.0, "subscribed");
            let mut link = DeviceLink::new(&crowd_root(i), id, Epoch(1));
            let stream = Stream { id: 1.try_into().unwrap(), class: Class::Public };
            let (mut slowest, mut count, mut buffer) = (Duration::ZERO, 0, [0; 64]);
            while !*stop.lock().unwrap() {
                let frame = link.seal_reading(stream, b"12", &mut buffer).unwrap().to_vec();
                let (sent, counter) = (Instant::now(), Header::parse(&frame).unwrap().counter);
                send(&client, &topic, &frame);
                loop {
                    let message = timeout(time, received.recv()).await;
                    let (topic, mut frame, _) = message.expect("a receipt in time").unwrap();
                    assert!(topic.starts_with("down/"), "{topic}");
                    if link.open_receipt(id, &mut frame).is_ok_and(|receipt| receipt.has(counter)) {
                        break;
                    }
                }
                (slowest, count) = (slowest.max(sent.elapsed()), count + 1);
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            (slowest, count)
        })
    });
    let honest: Vec<_> = honest.collect();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = memory(&gateway.process);
    for (qos, payload) in with {
        let over = Arc::new(Mutex::new(false));
        let (flag, up) = (Arc::clone(&over), up.to_owned());
        let flooding = tokio::task::spawn_blocking(move || flood((port, &up), USERS[0], qos, payload, &flag));
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        *over.lock().unwrap() = true;
        println!("QoS {qos}: {} messages of the flood taken off its hands", flooding.await.unwrap());
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    *stop.lock().unwrap() = true;
    let (mut slowest, mut count) = (Duration::ZERO, 0);
    for device in honest {
        let (time, readings) = device.await.unwrap();
        (slowest, count) = (slowest.max(time), count + readings);
    }
    println!("{count} readings of {number_of} devices, the slowest receipt after {slowest:?}");
    let after = memory(&gateway.process);
    assert!(after < before + 65_536, "memory grew from {before} to {after} kB");
    let log = fs::read_to_string(dir.join("log")).unwrap();
    assert!(log.lines().count() < 2000, "{} lines in the log", log.lines().count());
}

/// An account sends messages of all lengths around those that the broker still takes, and one that is longer on its way to the gateway than it
/// was: the gateway takes them, and goes on with what comes behind them. The account's topics are below `up`, at a broker with this port.
pub(crate) async fn the_longest_messages_harm_nobody(dir: &Path, (port, up): (u16, &str)) {
    let (user, password) = USERS[0];
    let topic = format!("{up}/{user}/1");
    let send_all = |version: u8, packets: &[Vec<u8>]| {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        stream.write_all(&connect_packet_of(version, user, password)).unwrap();
        assert!(matches!(read_packet(&mut stream), Some((0x20, body)) if body[1] == 0));
        let sent = packets.iter().try_for_each(|packet| stream.write_all(packet));
        // The broker answers, or has closed the connection for what is too long.
        sent.is_ok_and(|()| stream.write_all(&packet(0xC0, &[])).is_ok())
            && std::iter::from_fn(|| read_packet(&mut stream)).any(|(first, _)| first == 0xD0)
    };
    let mut taken = BTreeSet::new();
    for (version, qos) in [(4u8, 0), (4, 1), (5, 0), (5, 1)] {
        for len in 4085..=4097 {
            let id: &[u8] = if qos > 0 { &[0, 1] } else { &[] };
            let mut body = [&text(&topic)[..], id, no_properties(version)].concat();
            body.resize(len, 0xAB);
            if tokio::task::block_in_place(|| send_all(version, &[packet(0x30 | qos << 1, &body)])) {
                taken.insert(len);
            }
        }
    }
    assert!(taken.contains(&4090) && !taken.contains(&4097), "{taken:?}");
    // The second one names the topic by its alias.
    let long = format!("{up}/{user}/{}", "x".repeat(3900));
    let alias = [3, 0x23, 0, 1];
    let [first, second] = [(long.as_str(), 0), ("", 4000)]
        .map(|(topic, len)| packet(0x30, &[&text(topic)[..], &alias, &vec![0xAB; len]].concat()));
    assert!(tokio::task::block_in_place(|| send_all(5, &[first, second])));

    let (gate, mut received) = super::user(port, user, &["down/70b3d5fffe000001"]);
    assert_eq!(next(&mut received).await.0, "subscribed");
    let mut link = DeviceLink::new(&root(GATE), GATE, Epoch(1));
    let mut buffer = [0; 64];
    let stream = files(dir).0.streams[&1].stream;
    send(&gate, &topic, link.seal_reading(stream, b"12", &mut buffer).unwrap());
    while !Header::parse(&next(&mut received).await.1).is_ok_and(|header| header.kind == Kind::Receipt) {}
    let log = fs::read_to_string(dir.join("log")).unwrap();
    // Neither the gateway nor the session of a shard.
    assert!(!log.contains("not connected to the broker"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn mosquitto_the_longest_messages_harm_nobody() {
    let dir = example();
    let (_broker, gateway) = at(dir.path(), false);
    the_longest_messages_harm_nobody(dir.path(), (gateway.mqtt, "up")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn own_broker_a_flood_harms_nobody() {
    a_flood_harms_nobody(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mosquitto_a_flood_harms_nobody() {
    a_flood_harms_nobody(false).await;
}

/// QoS 1.
const GRANTED: u8 = 1;

/// A broker of the test, which lets the gateway in, answers each subscription with `code` and acknowledges no message. `next` gets each
/// packet behind the answer to it: the number of its connection, its type, its body, and where more may be sent. It tells whether the
/// connection goes on.
fn silent_broker(
    code: u8,
    mut next: impl FnMut(usize, u8, Vec<u8>, &mut TcpStream) -> bool + Send + 'static,
) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            while let Some((first, body)) = read_packet(&mut reader) {
                let kind = first >> 4;
                let answer: &[u8] = match kind {
                    1 => &[0x20, 3, 0, 0, 0],
                    8 => &[0x90, 4, body[0], body[1], 0, code],
                    12 => &[0xD0, 0],
                    _ => &[],
                };
                // Nothing may be sent any more.
                drop(stream.write_all(answer));
                if !next(number, kind, body, &mut stream) {
                    break;
                }
            }
        }
    });
    port
}

/// A gateway whose connection ends before the accounts are there is not deaf at the next one: it subscribes again.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_ends_among_the_accounts_is_made_anew() {
    let dir = example();
    let (filters, subscribed) = std::sync::mpsc::channel();
    let port = silent_broker(GRANTED, move |number, kind, body, _| {
        if kind == 8 {
            let filter = String::from_utf8(body[5..body.len() - 1].to_vec()).unwrap();
            drop(filters.send((number, filter)));
        }
        // The first request.
        kind != 3 || number > 0
    });
    let _gateway = tokio::task::block_in_place(|| gateway(dir.path(), Some(port)));
    for number in 0..2 {
        for filter in ["up/+/+", "$CONTROL/dynamic-security/v1/response"] {
            let next = subscribed.recv_timeout(Duration::from_secs(30)).expect("a subscription");
            assert_eq!(next, (number, filter.to_owned()));
        }
    }
}

/// A gateway that may not subscribe says so, and its page is there.
#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_that_is_refused_is_told() {
    const NOT_AUTHORIZED: u8 = 0x87;
    let dir = example();
    let port = silent_broker(NOT_AUTHORIZED, |_, _, _, _| true);
    let _gateway = tokio::task::block_in_place(|| gateway(dir.path(), Some(port)));
    let log = fs::read_to_string(dir.path().join("log")).unwrap();
    assert_eq!(log.matches("the broker refuses a subscription of the gateway").count(), 2, "{log}");
}

/// What came over a connection that is gone is not acknowledged on the next one: its number may be another message's there.
#[tokio::test(flavor = "multi_thread")]
async fn no_message_is_acknowledged_on_another_connection() {
    let dir = example();
    let (sender, packets) = std::sync::mpsc::channel();
    let port = silent_broker(GRANTED, move |number, kind, body, stream| {
        let _ = sender.send((number, kind));
        if (number, kind) == (0, 8) && body[5..].starts_with(b"up/") {
            let topic = format!("up/{GATE}/1");
            let messages = (1..=1000).flat_map(|id| publish_packet(&topic, 1, false, id, b"no frame"));
            stream.write_all(&messages.collect::<Vec<_>>()).unwrap();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
        }
        true
    });
    let _gateway = tokio::task::block_in_place(|| gateway(dir.path(), Some(port)));
    // Until the first request about accounts on the second connection, and somewhat longer.
    let mut seen = Vec::new();
    while !seen.contains(&(1, 3)) {
        seen.push(packets.recv_timeout(Duration::from_secs(30)).expect("a packet on the second connection"));
        assert!(seen.iter().all(|(number, _)| *number < 2), "it comes again: {seen:?}");
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    seen.extend(packets.try_iter());
    let acks = seen.iter().filter(|packet| **packet == (1, 4)).count();
    let connections = seen.iter().map(|(number, _)| number + 1).max();
    assert_eq!((acks, connections), (0, Some(2)));
}

pub(crate) fn read_packet(reader: &mut impl std::io::Read) -> Option<(u8, Vec<u8>)> {
    let mut byte = || {
        let mut byte = [0];
        reader.read_exact(&mut byte).ok().map(|()| byte[0])
    };
    let first = byte()?;
    let (mut len, mut shift) = (0, 0);
    loop {
        let part = byte()?;
        len |= usize::from(part & 127) << shift;
        shift += 7;
        if part < 128 {
            break;
        }
    }
    let mut body = vec![0; len];
    reader.read_exact(&mut body).ok()?;
    Some((first, body))
}

/// A reading that the broker does not acknowledge stays undelivered, and comes again after a kill.
#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_withholds_acknowledgements_loses_nothing() {
    let dir = example();
    let (city, _) = files(dir.path());
    let mut link = DeviceLink::new(&root(GATE), GATE, Epoch(1));
    let mut buffer = [0; 64];
    let frame = link.seal_reading(city.streams[&1].stream, b"once", &mut buffer).unwrap().to_vec();
    let (published, packets) = std::sync::mpsc::channel();
    let mut frame = Some(frame);
    let port = silent_broker(GRANTED, move |_, kind, body, stream| {
        if kind == 3 {
            drop(published.send(body));
        } else if kind == 8
            && let Some(frame) = frame.take()
        {
            stream.write_all(&publish_packet(&format!("up/{GATE}/1"), 1, false, 9, &frame)).unwrap();
        }
        true
    });
    let out = |packets: &std::sync::mpsc::Receiver<Vec<u8>>| {
        let mut readings = BTreeSet::new();
        while readings.len() < 3 {
            let packet = packets.recv_timeout(Duration::from_secs(10)).expect("the reading is given out");
            let topic = &packet[2..2 + usize::from(packet[1])];
            if topic.starts_with(b"out/") {
                assert!(packet.ends_with(b"once"));
                readings.insert(topic.to_vec());
            }
        }
        readings
    };
    let undelivered = async |address: &str| {
        let status = http(address, "GET /status").await.1;
        serde_json::from_str::<Value>(&status).unwrap()["undelivered"].clone()
    };
    let first = tokio::task::block_in_place(|| gateway(dir.path(), Some(port)));
    let before = tokio::task::block_in_place(|| out(&packets));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(undelivered(&first.http).await, 1);
    drop(first);
    let second = tokio::task::block_in_place(|| gateway(dir.path(), Some(port)));
    assert_eq!(tokio::task::block_in_place(|| out(&packets)), before);
    assert_eq!(undelivered(&second.http).await, 1);
}

/// With the broker out of reach, and much to say to it, the gateway answers.
#[tokio::test(flavor = "multi_thread")]
async fn a_broker_out_of_reach_stops_nothing() {
    let dir = example();
    let devices = crowd(dir.path(), 2000);
    fs::create_dir(dir.path().join("data")).unwrap();
    {
        let (city, secrets) = files(dir.path());
        let signer = smart_city_engine::attestation::Signer::generate().unwrap();
        let signer = smart_city_engine::attestation::Signer::from_pem(signer.as_bytes()).unwrap();
        let (mut engine, _) =
            smart_city_engine::engine::Engine::open(&dir.path().join("data"), city.clone(), secrets, signer)
                .unwrap();
        let frames = devices.iter().zip(0..).map(|((id, _), i)| {
            let mut buffer = [0; 64];
            let mut link = DeviceLink::new(&crowd_root(i), *id, Epoch(1));
            let frame = link.seal_reading(city.streams[&1].stream, b"12", &mut buffer).unwrap();
            common::message(format!("up/{id}/1"), frame)
        });
        engine.handle(frames.collect::<Vec<_>>()).unwrap();
    }
    // Nobody listens there.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let page = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut command = Command::new(PROGRAM);
    command
        .arg("--config")
        .arg(dir.path().join("city.toml"))
        .arg("--secrets")
        .arg(dir.path().join("secrets.toml"));
    command.arg("--data").arg(dir.path().join("data")).args(["--http", &page.to_string()]);
    command
        .args(["--broker", &format!("mqtt://127.0.0.1:{port}")])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let process = Process(command.spawn().unwrap());
    let start = Instant::now();
    while TcpStream::connect(page).is_err() {
        assert!(start.elapsed() < Duration::from_secs(60), "the gateway does not start");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // Long enough for every device to be asked for an epoch several times.
    tokio::time::sleep(Duration::from_secs(4)).await;
    let good = "Authorization: Bearer example-operator-token-0000";
    for (request, expected) in [
        ("GET /status".to_owned(), 200),
        (format!("POST /devices/{GATE}/recover\n{good}"), 409),
        (
            format!(
                "POST /devices/{GATE}/instructions\nContent-Type: application/json\n{good}\n\n{{\"region\":1}}"
            ),
            409,
        ),
    ] {
        let (status, body) = http(&page.to_string(), &request).await;
        assert_eq!(status, expected, "{request}: {body}");
        if expected == 200 {
            // 2,000 readings, each for three users.
            assert_eq!(serde_json::from_str::<Value>(&body).unwrap()["undelivered"], 2000);
        }
    }
    println!("{} kB with 2,000 devices and the broker out of reach", memory(&process));
}
