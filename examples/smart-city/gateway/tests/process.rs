//! The gateway's process with real clients, at its own broker and at Mosquitto.

#[path = "process/agent.rs"]
mod agent;
#[path = "process/brokers.rs"]
mod brokers;
#[path = "process/cities.rs"]
mod cities;
#[path = "process/cluster.rs"]
mod cluster;
#[path = "../../engine/tests/common/mod.rs"]
mod common;
#[path = "process/guests.rs"]
mod guests;
#[path = "process/http.rs"]
mod http_server;
#[path = "process/incidents.rs"]
mod incidents;
#[path = "process/kept.rs"]
mod kept;
#[path = "process/large.rs"]
mod large;
#[path = "process/operation.rs"]
mod operation;
#[path = "process/outage.rs"]
mod outage;
#[path = "process/places.rs"]
mod places;
#[allow(dead_code, reason = "each user takes its part")]
#[path = "../../store-postgres/tests/suite/cluster.rs"]
mod postgres;
#[path = "process/program.rs"]
mod program;
#[path = "process/programs.rs"]
mod programs;
#[path = "../../login/tests/provider/mod.rs"]
mod provider;
#[path = "process/push.rs"]
mod push;
#[path = "process/tls.rs"]
mod tls;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{BufRead, BufReader},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use common::{GATE, MAST, example, files, key_id, number, root};
use programs::*;
use rumqttc::{AsyncClient, Event, Incoming, MqttOptions, PublishOptions, QoS};
use serde_json::Value;
use smart_city_frame::{DeviceId, DeviceLink, Epoch, Header, Kind};
use tempfile::TempDir;
use tokio::{sync::mpsc, time::timeout};

const USERS: [(&str, &str); 5] = [
    ("70b3d5fffe000001", "example-gate-1"),
    ("70b3d5fffe000002", "example-weather-mast"),
    ("hana", "example-hana"),
    ("ren", "example-ren"),
    ("sora", "example-sora"),
];

/// Topic, payload and properties: the user properties, and the content type.
type Message = (String, Vec<u8>, BTreeMap<String, String>);

/// A client that subscribes whenever it is connected. What comes goes into the channel.
fn client(
    port: u16,
    user: &str,
    password: &str,
    filters: &'static [&'static str],
) -> (AsyncClient, mpsc::UnboundedReceiver<Message>) {
    let mut options = MqttOptions::new(user, ("127.0.0.1", port));
    options.set_credentials(user, password.to_owned()).set_keep_alive(60);
    let (client, mut event_loop) = AsyncClient::builder(options).capacity(4096).build();
    let (messages, received) = mpsc::unbounded_channel();
    let subscriber = client.clone();
    tokio::spawn(async move {
        loop {
            match event_loop.poll().await {
                Ok(Event::Incoming(Incoming::ConnAck(_))) => {
                    for filter in filters {
                        subscriber.try_subscribe(*filter, QoS::AtLeastOnce).unwrap();
                    }
                }
                Ok(Event::Incoming(Incoming::SubAck(_))) => {
                    drop(messages.send(("subscribed".to_owned(), Vec::new(), BTreeMap::new())));
                }
                Ok(Event::Incoming(Incoming::Publish(publish))) => {
                    let topic = String::from_utf8(publish.topic.to_vec()).unwrap();
                    let said = publish.properties.unwrap_or_default();
                    let mut properties: BTreeMap<_, _> = said.user_properties.into_iter().collect();
                    properties.extend(said.content_type.map(|kind| ("content type".to_owned(), kind)));
                    if messages.send((topic, publish.payload.to_vec(), properties)).is_err() {
                        return;
                    }
                }
                Ok(_) => {}
                Err(_) => {
                    drop(messages.send(("not connected".to_owned(), Vec::new(), BTreeMap::new())));
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    });
    (client, received)
}

fn user(
    port: u16,
    name: &str,
    filters: &'static [&'static str],
) -> (AsyncClient, mpsc::UnboundedReceiver<Message>) {
    let (_, password) = USERS.iter().find(|(user, _)| *user == name).unwrap();
    client(port, name, password, filters)
}

async fn next(received: &mut mpsc::UnboundedReceiver<Message>) -> Message {
    timeout(Duration::from_secs(20), received.recv()).await.expect("a message").unwrap()
}

/// Waits until a client is let in and has subscribed, if the broker is not there yet.
async fn subscribed(received: &mut mpsc::UnboundedReceiver<Message>) {
    let wait = async { while next(received).await.0 != "subscribed" {} };
    timeout(Duration::from_secs(60), wait).await.expect("a subscription");
}

/// All messages until none comes for a while.
async fn drain(received: &mut mpsc::UnboundedReceiver<Message>, silence: Duration) -> Vec<Message> {
    let mut all = Vec::new();
    let wait = async {
        while let Ok(Some(message)) = timeout(silence, received.recv()).await {
            all.push(message);
        }
    };
    timeout(Duration::from_secs(60), wait).await.expect("silence after some messages");
    all
}

fn send(client: &AsyncClient, topic: &str, payload: &[u8]) {
    client.try_publish(topic, payload.to_vec(), PublishOptions::new(QoS::AtLeastOnce)).unwrap();
}

/// Whoever subscribes to what is not theirs receives nothing but what is; and cannot send what is not theirs.
async fn nobody_sees_what_is_not_theirs(dir: &Path, port: u16) {
    const GREEDY: &[&str] =
        &["#", "out/#", "out/+/+", "out/hana/#", "up/#", "down/#", "$share/x/out/#", "out/ren/+"];
    const DEVICE: &[&str] = &["#", "up/#", "down/+", "out/#"];
    let (city, _) = files(dir);
    let (hana_client, mut hana) = user(port, "hana", &["out/hana/#"]);
    let (ren_client, mut ren) = user(port, "ren", GREEDY);
    let (mast, mut mast_received) = user(port, "70b3d5fffe000002", DEVICE);
    let (gate, mut gate_received) = user(port, "70b3d5fffe000001", &["down/70b3d5fffe000001"]);
    for received in [&mut hana, &mut ren, &mut mast_received, &mut gate_received] {
        assert_eq!(next(received).await.0, "subscribed");
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut link = DeviceLink::new(&root(GATE), GATE, Epoch(1));
    let mut buffer = [0; 255];
    for stream in [3, 1, 3] {
        let frame = link.seal_reading(city.streams[&stream].stream, b"\"seen\"", &mut buffer).unwrap();
        send(&gate, &format!("up/{GATE}/{stream}"), frame);
    }
    // Another device and users try to send as the gate, as the gateway, and to each other.
    let frame = link.seal_reading(city.streams[&3].stream, b"\"forged way\"", &mut buffer).unwrap().to_vec();
    let ways = [
        (&mast, "down/70b3d5fffe000001"),
        (&ren_client, "out/hana/gate-camera"),
        (&hana_client, "out/ren/x"),
    ];
    for (client, topic) in
        ways.into_iter().chain([(&mast, "up/70b3d5fffe000001/3"), (&ren_client, "up/70b3d5fffe000001/3")])
    {
        send(client, topic, &frame);
    }
    let topics = |messages: &[Message]| {
        let mut topics: Vec<String> = messages.iter().map(|(topic, ..)| topic.clone()).collect();
        topics.retain(|topic| topic.contains('/'));
        topics.sort();
        topics
    };
    let silence = Duration::from_millis(700);
    let hana = topics(&drain(&mut hana, silence).await);
    assert_eq!(hana, ["out/hana/gate-camera", "out/hana/gate-camera", "out/hana/traffic-flow"]);
    // Once for each filter that covers it, at some brokers.
    let ren: BTreeSet<String> = topics(&drain(&mut ren, silence).await).into_iter().collect();
    assert_eq!(ren, BTreeSet::from(["out/ren/traffic-flow".to_owned()]));
    assert_eq!(topics(&drain(&mut mast_received, silence).await), Vec::<String>::new());
    for (topic, payload, _) in drain(&mut gate_received, silence).await {
        assert!(topic != "down/70b3d5fffe000001" || Header::parse(&payload).unwrap().kind == Kind::Receipt);
    }
    // The frame that came the wrong way was not accepted; the right way it is new.
    send(&gate, &format!("up/{GATE}/3"), &frame);
    // A wrong password, and another's name as the client's.
    let (_, mut wrong) = client(port, "hana", "example-ren", &["out/hana/#"]);
    assert_eq!(next(&mut wrong).await.0, "not connected");
}

#[tokio::test(flavor = "multi_thread")]
async fn own_broker_shows_nobody_what_is_not_theirs() {
    let dir = example();
    let gateway = gateway(dir.path(), None);
    nobody_sees_what_is_not_theirs(dir.path(), gateway.mqtt).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mosquitto_shows_nobody_what_is_not_theirs() {
    let dir = example();
    let (_mosquitto, port) = mosquitto(dir.path());
    let _gateway = gateway(dir.path(), Some(port));
    nobody_sees_what_is_not_theirs(dir.path(), port).await;
}

/// `GET` or `POST` without a library: one answer, then the connection ends.
async fn http(address: &str, request: &str) -> (u16, String) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let (line, rest) = request.split_once('\n').unwrap_or((request, ""));
    let (headers, body) = rest.split_once("\n\n").unwrap_or((rest, ""));
    let mut text = format!(
        "{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n",
        body.len()
    );
    // Whoever looks and does not say as whom is the viewer.
    if line.starts_with("GET ") && !headers.contains("Authorization: ") {
        text += "Authorization: Bearer example-viewer-token-0000\r\n";
    }
    for header in headers.lines() {
        text += &format!("{header}\r\n");
    }
    stream.write_all(format!("{text}\r\n{body}").as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // Events never end.
    let _ = timeout(Duration::from_secs(2), stream.read_to_end(&mut answer)).await;
    // One answer is not a text: a signed CoRIM.
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.get(9..12).and_then(|status| status.parse().ok()).unwrap_or(0);
    (status, answer.split_once("\r\n\r\n").map_or(String::new(), |(_, body)| body.to_owned()))
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_need_a_token_and_files_are_read_again() {
    let dir = example();
    let gateway = gateway(dir.path(), None);
    let address = gateway.http.as_str();
    let wish = format!("POST /devices/{GATE}/instructions\nContent-Type: application/json");
    let body = "{\"region\":1,\"argument\":\"on\"}";
    let good = "Authorization: Bearer example-operator-token-0000";
    for (request, status) in [
        ("GET /".to_owned(), 200),
        ("GET /keys".to_owned(), 200),
        ("GET /reference-values".to_owned(), 200),
        (format!("GET /devices/{GATE}/result"), 404),
        ("GET /audit".to_owned(), 403),
        (format!("GET /audit\n{good}"), 200),
        (format!("{wish}\n\n{body}"), 401),
        (format!("{wish}\nAuthorization: Bearer example-operator-token-0001\n\n{body}"), 401),
        (format!("{wish}\n{good}\n\n{body}"), 409),
        (format!("{wish}\n{good}\n\n{{\"region\":1,\"argument_hex\":\"00ff80\"}}"), 409),
        (format!("{wish}\n{good}\n\n{{\"region\":1,\"argument_hex\":\"0\"}}"), 422),
        (format!("{wish}\n{good}\n\n{{\"region\":1,\"argument\":\"a\",\"argument_hex\":\"00\"}}"), 422),
        (format!("POST /devices/{GATE}/recover"), 401),
        (format!("POST /devices/{GATE}/recover\nAuthorization: Bearer "), 401),
        (format!("POST /devices/{GATE}/recover\nAuthorization: Bearer"), 401),
        (format!("POST /devices/{GATE}/recover\n{}", &good[..good.len() - 1]), 401),
        (format!("POST /devices/{GATE}/recover\n{good}0"), 401),
        (format!("POST /devices/{GATE}/examine"), 401),
        (format!("POST /devices/{GATE}/examine\nAuthorization: Bearer "), 401),
        (format!("POST /devices/{GATE}/examine\nAuthorization: Bearer"), 401),
        (format!("POST /devices/{GATE}/examine\n{}", &good[..good.len() - 1]), 401),
        (format!("POST /devices/{GATE}/examine\n{good}0"), 401),
        (format!("{wish}\n{good}\n\n{{\"regoin\":1}}"), 422),
        (format!("POST /devices/{GATE}/examine\n{good}"), 409),
        (format!("POST /devices/70b3d5fffe000009/examine\n{good}"), 404),
        (format!("POST /devices/{GATE}/recover\n{good}"), 409),
        (format!("POST /devices/70b3d5fffe000009/recover\n{good}"), 404),
    ] {
        assert_eq!(http(address, &request).await.0, status, "{request}");
    }

    let status = async || serde_json::from_str::<Value>(&http(address, "GET /status").await.1).unwrap();
    let until = async |what: &str, holds: &dyn Fn(&Value) -> bool| {
        let start = Instant::now();
        while !holds(&status().await) {
            assert!(start.elapsed() < Duration::from_secs(20), "{what}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let path = dir.path().join("city.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("owner = \"midori\"", "owner = \"nowhere\"")).unwrap();
    until("the fault is shown", &|status| {
        status["fault"]
            .as_str()
            .is_some_and(|fault| fault.contains("streams[0].owner: there is no city `nowhere`"))
    })
    .await;
    assert_eq!(status().await["devices"].as_array().unwrap().len(), 2);
    fs::write(&path, text.replace("name = \"Gate 1\"", "name = \"North gate\"")).unwrap();
    until("the change is taken", &|status| {
        status["fault"].is_null() && status["devices"][0]["name"] == "North gate"
    })
    .await;
    let audit = http(address, &format!("GET /audit\n{good}")).await.1;
    assert!(audit.contains("configuration refused") && audit.contains("configuration loaded"), "{audit}");
    assert!(http(address, "GET /events").await.1.contains("event: changes\ndata: {"));

    let log = fs::read_to_string(dir.path().join("log")).unwrap();
    let secrets = fs::read_to_string(dir.path().join("secrets.toml")).unwrap();
    let is_secret = |text: &&str| *text != "ear-key.pem" && text.len() > "operator".len();
    for secret in secrets.split('"').skip(1).step_by(2).filter(is_secret) {
        assert!(!log.contains(secret) && !audit.contains(secret), "a secret is shown");
    }
}

/// An instruction's argument reaches the device byte for byte, as a text or in hex.
#[tokio::test(flavor = "multi_thread")]
async fn arguments_are_not_altered() {
    let dir = example();
    let gateway = gateway(dir.path(), None);
    let (city, _) = files(dir.path());
    let (gate, mut received) = user(gateway.mqtt, "70b3d5fffe000001", &["down/70b3d5fffe000001"]);
    assert_eq!(next(&mut received).await.0, "subscribed");
    let mut link = DeviceLink::new(&root(GATE), GATE, Epoch(1));
    let mut buffer = [0; 255];
    let frame = link.seal_reading(city.streams[&1].stream, b"12", &mut buffer).unwrap();
    send(&gate, &format!("up/{GATE}/1"), frame);
    let all: Vec<u8> = (0..=255).collect();
    let text = "\"\\\u{0}\u{feff}\u{d7ff}\u{1f6b2}\r\n\u{7f}";
    for (argument, field) in [&all[..239], &all[17..], b"", b"\xff", b"\xc3\x28\0\r\n", b"\xed\xa0\x80"]
        .map(|bytes| (bytes, serde_json::json!({ "region": 1, "argument_hex": hex::encode(bytes) })))
        .into_iter()
        .chain([(text.as_bytes(), serde_json::json!({ "region": 1, "argument": text }))])
    {
        let request = format!(
            "POST /devices/{GATE}/instructions\nContent-Type: application/json\n\
             Authorization: Bearer example-operator-token-0000\n\n{field}"
        );
        let start = Instant::now();
        // As soon as the device has opened its epoch.
        while http(&gateway.http, &request).await.0 != 202 {
            assert!(start.elapsed() < Duration::from_secs(20), "{field}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let evidence = loop {
            let (_, mut frame, _) = next(&mut received).await;
            if let Ok((instruction, challenge)) = link.open_instruction(GATE, &mut frame) {
                assert_eq!((instruction.region, instruction.argument), (1, argument), "{field}");
                let (key, code) = (root(GATE).attest_key(GATE), common::code(dir.path()));
                break common::evidence(&key, challenge, 1, &code, &code);
            }
        };
        // Else the next one would have to wait.
        let frame = link.seal_evidence(&evidence, &mut buffer).unwrap();
        send(&gate, &format!("up/{GATE}/evidence"), frame);
    }
}

/// A subscriber that takes nothing harms no other, and costs no more memory than its queue.
#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_subscriber_harms_nobody() {
    const READINGS: u32 = 12_000;
    const WINDOW: u32 = 100;
    let dir = example();
    let gateway = gateway(dir.path(), None);
    let (city, _) = files(dir.path());
    // Subscribed, and then never polled again.
    let mut options = MqttOptions::new("hana", ("127.0.0.1", gateway.mqtt));
    options.set_credentials("hana", "example-hana").set_keep_alive(600);
    let (stalled, mut event_loop) = AsyncClient::builder(options).capacity(8).build();
    stalled.subscribe("out/hana/#", QoS::AtLeastOnce).await.unwrap();
    while !matches!(event_loop.poll().await.unwrap(), Event::Incoming(Incoming::SubAck(_))) {}

    let (_ren, mut ren) = user(gateway.mqtt, "ren", &["out/ren/#"]);
    assert_eq!(next(&mut ren).await.0, "subscribed");
    let (gate, _down) = user(gateway.mqtt, "70b3d5fffe000001", &[]);
    let mut link = DeviceLink::new(&root(GATE), GATE, Epoch(1));
    let (mut memories, mut buffer) = (Vec::new(), [0; 255]);
    let payload = |i: u32| format!("[{i},\"{}\"]", "x".repeat(200));
    let received = |i: u32, (_, message, _): Message| assert_eq!(message, payload(i).as_bytes());
    for i in 0..READINGS {
        let stream = city.streams[&1].stream;
        let frame = link.seal_reading(stream, payload(i).as_bytes(), &mut buffer).unwrap();
        send(&gate, &format!("up/{GATE}/1"), frame);
        // Almost in step with the one who reads, so that nothing waits elsewhere.
        if i >= WINDOW {
            received(i - WINDOW, next(&mut ren).await);
        }
        if i % 1000 == 999 {
            memories.push(memory(&gateway.process));
        }
    }
    for i in READINGS - WINDOW..READINGS {
        received(i, next(&mut ren).await);
    }
    println!("memory in kB after each 1,000 readings: {memories:?}");
    // Until then queues and the database's cache fill.
    assert!(memories[11] < memories[7] + 1024, "memory grows: {memories:?}");
    // The last deliveries are reported after the messages are there.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let status: Value = serde_json::from_str(&http(&gateway.http, "GET /status").await.1).unwrap();
    assert_eq!((&status["undelivered"], &status["devices"][0]["frames"]), (&0.into(), &READINGS.into()));

    // What the stalled one gets in the end is bounded: the rest was dropped.
    let mut taken = 0;
    while let Ok(event) = timeout(Duration::from_secs(1), event_loop.poll()).await {
        taken += u32::from(matches!(event, Ok(Event::Incoming(Incoming::Publish(_)))));
    }
    println!("the stalled subscriber got {taken} of {READINGS}");
    // The queue, a channel before it, and what is on its way.
    assert!(taken <= 4096 + 256 + 256, "more was kept than there is room for");
}

/// What a device and its wire have seen.
#[derive(Default)]
struct Seen {
    /// Readings that have a receipt.
    receipted: BTreeSet<u64>,
    /// Frames by kind, epoch and counter: what a nonce and its key are made of.
    nonces: BTreeMap<(bool, bool, Epoch, [u8; 3]), Vec<u8>>,
    epochs: u16,
    replays: u64,
}

impl Seen {
    fn wire(&mut self, up: bool, frame: &[u8]) {
        let header = Header::parse(frame).unwrap();
        let key = (up, header.kind == Kind::EpochRequest, header.epoch, header.counter);
        let other = self.nonces.entry(key).or_insert_with(|| frame.to_vec());
        assert_eq!(other, frame, "a nonce is there twice: {header:?}");
    }
}

/// A device that keeps what has no receipt, obeys epoch requests, and has an enemy that sends its frames again.
async fn device(
    id: DeviceId,
    stream: u16,
    port: u16,
    dir: PathBuf,
    seen: Arc<Mutex<Seen>>,
    stop: Arc<Mutex<bool>>,
) {
    let (city, _) = files(&dir);
    let stream = city.streams[&stream].stream;
    let topic = format!("up/{id}/{}", stream.id);
    let filters: &[&str] = if id == GATE { &["down/70b3d5fffe000001"] } else { &["down/70b3d5fffe000002"] };
    let (client, mut received) = user(port, &id.to_string(), filters);
    let (mut epoch, mut next_reading) = (1, 0u64);
    let mut link = DeviceLink::new(&root(id), id, Epoch(epoch));
    let mut kept: BTreeMap<[u8; 3], u64> = BTreeMap::new();
    let mut sent: Vec<Vec<u8>> = Vec::new();
    let mut last_receipt = Instant::now();
    let seal = |link: &mut DeviceLink, reading: u64, kept: &mut BTreeMap<[u8; 3], u64>| {
        let mut buffer = [0; 64];
        let frame = link.seal_reading(stream, reading.to_string().as_bytes(), &mut buffer).unwrap().to_vec();
        kept.insert(Header::parse(&frame).unwrap().counter, reading);
        seen.lock().unwrap().wire(true, &frame);
        send(&client, &topic, &frame);
        frame
    };
    let mut random = 88_172_645_463_325_252u64 ^ u64::from(stream.id.get());
    loop {
        let stopping = *stop.lock().unwrap();
        if stopping && kept.is_empty() {
            return;
        }
        if !stopping && kept.len() < 32 {
            sent.push(seal(&mut link, next_reading, &mut kept));
            next_reading += 1;
        }
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        if random.is_multiple_of(3) && !sent.is_empty() {
            let at = usize::try_from(random / 3 % sent.len() as u64).unwrap();
            send(&client, &topic, &sent[at]);
            seen.lock().unwrap().replays += 1;
        }
        let mut new_epoch = last_receipt.elapsed() > Duration::from_secs(3) && !kept.is_empty();
        while let Ok(Some((topic, mut frame, _))) = timeout(Duration::from_millis(5), received.recv()).await {
            if !topic.starts_with("down/") {
                continue;
            }
            seen.lock().unwrap().wire(false, &frame);
            match Header::parse(&frame).unwrap().kind {
                Kind::Receipt => {
                    if let Ok(receipt) = link.open_receipt(id, &mut frame) {
                        last_receipt = Instant::now();
                        let mut seen = seen.lock().unwrap();
                        kept.retain(|counter, reading| {
                            let has = receipt.has(*counter);
                            if has {
                                seen.receipted.insert(*reading);
                            }
                            !has
                        });
                    }
                }
                Kind::EpochRequest => new_epoch |= link.open_epoch_request(id, &mut frame).is_ok(),
                other => panic!("{other:?}"),
            }
        }
        if new_epoch {
            epoch += 1;
            seen.lock().unwrap().epochs = epoch;
            link = DeviceLink::new(&root(id), id, Epoch(epoch));
            last_receipt = Instant::now();
            for reading in std::mem::take(&mut kept).into_values() {
                sent.push(seal(&mut link, reading, &mut kept));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_loses_nothing_and_accepts_nothing_twice() {
    const KILLS: usize = 12;
    let dir: TempDir = example();
    let (_mosquitto, port) = mosquitto_with_accounts(dir.path());
    let (_ren, mut ren) = user(port, "ren", &["out/ren/#"]);
    assert_eq!(next(&mut ren).await.0, "subscribed");
    let stop = Arc::new(Mutex::new(false));
    let seen: Vec<Arc<Mutex<Seen>>> = (0..2).map(|_| Arc::default()).collect();
    let devices = [(GATE, 1), (MAST, 2)].into_iter().zip(&seen).map(|((id, stream), seen)| {
        tokio::spawn(device(id, stream, port, dir.path().to_owned(), Arc::clone(seen), Arc::clone(&stop)))
    });
    let devices: Vec<_> = devices.collect();

    let seed = 0x2545_F491_4F6C_DD1Du64;
    let mut random = seed;
    for kill in 0..KILLS {
        let gateway = tokio::task::block_in_place(|| gateway(dir.path(), Some(port)));
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // Now and then before the devices were asked, mostly in the midst of it.
        let life = if kill % 4 == 3 { random >> 33 & 0x7F } else { 300 + (random >> 33 & 0x3FF) };
        tokio::time::sleep(Duration::from_millis(life)).await;
        drop(gateway);
    }
    let _gateway = tokio::task::block_in_place(|| gateway(dir.path(), Some(port)));
    *stop.lock().unwrap() = true;
    for device in devices {
        timeout(Duration::from_secs(30), device).await.expect("all readings get receipts").unwrap();
    }

    // What the user received, of both devices.
    let (mut readings, mut times) = ([BTreeSet::new(), BTreeSet::new()], BTreeMap::new());
    let messages = drain(&mut ren, Duration::from_secs(1)).await;
    for (topic, payload, about) in messages.iter().filter(|(topic, ..)| topic.starts_with("out/ren/")) {
        let reading: u64 = std::str::from_utf8(payload).unwrap().parse().unwrap();
        readings[usize::from(topic.ends_with("air-quality"))].insert(reading);
        // Delivered again after a kill it has the time at which it was accepted; accepted again it would have a new one.
        let first = times.entry(about["id"].clone()).or_insert_with(|| about["time"].clone());
        assert_eq!(*first, about["time"], "accepted twice: {about:?}");
    }
    let mut total = 0;
    for (seen, readings) in seen.iter().zip(&readings) {
        let seen = seen.lock().unwrap();
        let lost: Vec<_> = seen.receipted.difference(readings).collect();
        assert!(lost.is_empty(), "seed {seed:x}: receipted and not delivered: {lost:?}");
        assert!(
            seen.epochs as usize > KILLS / 2 && seen.replays > 50,
            "{} epochs, {} replays",
            seen.epochs,
            seen.replays
        );
        total += seen.receipted.len();
    }
    println!("{total} readings with receipts, {} messages, {} frames accepted", messages.len(), times.len());
    assert!(total > 200, "{total}");
}
