//! Gateways of several cities that hand over to each other.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use base64ct::Encoding as _;
use common::{TestDevice, code};
use smart_city_cities::keys::{Step, public, rotate};
use smart_city_engine::{config::City, engine::Input};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{tls::Authority, *};

pub(super) const OPERATOR: &str = "Authorization: Bearer example-operator-token-0000";

/// A city with the files of the example, but for its name.
pub(super) struct Town {
    pub(super) name: &'static str,
    pub(super) dir: TempDir,
    pub(super) text: String,
}

impl Town {
    pub(super) fn new(name: &'static str) -> Self {
        let dir = example();
        let text = fs::read_to_string(dir.path().join("city.toml")).unwrap();
        let text = text.replace("city = \"midori\"             ", &format!("city = \"{name}\""));
        assert!(text.contains(&format!("[gateway]\ncity = \"{name}\"")));
        // The class of the air is such that the level counts.
        let text = text.replace("partners = [\"aoba\"]", "partners = [\"aoba\", \"hibari\"]");
        let text =
            text + "\n[[cities]]\nid = \"hibari\"\nname = \"Hibari\"\n[handover]\nkeys = \"own.json\"\n";
        fs::write(dir.path().join("own.json"), &*rotate(None, Step::Add).unwrap()).unwrap();
        Self { name, dir, text }
    }

    /// The agreement with others; a gateway that runs takes it over.
    pub(super) fn agree(&self, partners: &[(&Self, String)]) {
        let mut text = self.text.clone();
        for (other, rest) in partners {
            let own = fs::read_to_string(other.dir.path().join("own.json")).unwrap();
            let file = format!("{}.json", other.name);
            fs::write(self.dir.path().join(&file), &*public(&own).unwrap()).unwrap();
            text += &format!(
                "[[partners]]\ncity = \"{}\"\n[partners.handover]\nkeys = \"{file}\"\n{rest}\n",
                other.name
            );
        }
        fs::write(self.dir.path().join("city.toml"), text).unwrap();
    }

    fn city(&self) -> City {
        files(self.dir.path()).0
    }
}

pub(super) const TAKES: &str = "receive = { traffic-flow = {}, air-quality = {} }";

pub(super) async fn metric(gateway: &Gateway, line: &str) {
    any_metric(gateway, &[line]).await;
}

/// Waits until one of these lines is among the metrics.
async fn any_metric(gateway: &Gateway, lines: &[&str]) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let (_, text) = http(&gateway.http, "GET /metrics").await;
        if text.lines().any(|found| lines.contains(&found)) {
            return;
        }
        let of_cities: Vec<_> = text.lines().filter(|line| line.contains("city=")).collect();
        assert!(Instant::now() < deadline, "{lines:?}: {of_cities:#?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The records of an event in the audit log.
pub(super) async fn audit(gateway: &Gateway, event: &str) -> Vec<Value> {
    let (_, text) = http(&gateway.http, &format!("GET /audit\n{OPERATOR}")).await;
    let lines: Vec<Value> = serde_json::from_str(&text).unwrap();
    let lines = lines.into_iter().map(|line| match line {
        Value::String(line) => serde_json::from_str(&line).unwrap(),
        line => line,
    });
    lines.filter(|line: &Value| line["event"] == event).map(|line| line["detail"].clone()).collect()
}

/// Waits until an event is so many times in the audit log.
async fn recorded(gateway: &Gateway, event: &str, count: usize) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while audit(gateway, event).await.len() < count {
        assert!(Instant::now() < deadline, "{event}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A device at its broker.
pub(super) struct Connected {
    pub(super) device: TestDevice,
    client: AsyncClient,
    received: mpsc::UnboundedReceiver<Message>,
    genuine: Vec<u8>,
    city: City,
}

impl Connected {
    pub(super) async fn to(gateway: &Gateway, town: &Town, id: DeviceId) -> Self {
        let (filters, password): (&'static [&'static str], _) = match id {
            GATE => (&["down/70b3d5fffe000001"], "example-gate-1"),
            _ => (&["down/70b3d5fffe000002"], "example-weather-mast"),
        };
        let (client, mut received) = client(gateway.mqtt, &id.to_string(), password, filters);
        subscribed(&mut received).await;
        let device = TestDevice::new(id, 1, town.dir.path());
        let genuine = code(town.dir.path())[&1].clone();
        Self { device, client, received, genuine, city: town.city() }
    }

    fn send(&self, input: Input) {
        let Input::Message { topic, payload } = input else { panic!() };
        send(&self.client, &topic, &payload);
    }

    pub(super) fn reading(&mut self, stream: u16, payload: &[u8]) {
        let input = self.device.reading(stream, &self.city, payload);
        self.send(input);
    }

    /// Follows the next instruction.
    pub(super) async fn follow(&mut self) {
        loop {
            let (_, frame, _) = next(&mut self.received).await;
            if Header::parse(&frame).is_ok_and(|header| header.kind == Kind::Instruction) {
                let input = self.device.follow(&frame, &self.genuine);
                return self.send(input);
            }
        }
    }
}

pub(super) async fn post(gateway: &Gateway, what: &str) -> u16 {
    http(&gateway.http, &format!("POST /devices/{GATE}/{what}\n{OPERATOR}")).await.0
}

/// Waits for a message whose payload is this.
pub(super) async fn gets(
    received: &mut mpsc::UnboundedReceiver<Message>,
    topic: &str,
    payload: &[u8],
) -> Message {
    let found = async {
        loop {
            let message = next(received).await;
            if message.0 == topic && message.1 == payload {
                return message;
            }
        }
    };
    timeout(Duration::from_secs(20), found).await.expect("a reading")
}

/// A reading of Midori reaches the users of Aoba and, handed on, those of Hibari whom Midori's label and their own city's table allow.
/// It ends with an isolation, and with the agreement at either end.
#[tokio::test(flavor = "multi_thread")]
async fn three_cities_hand_over() {
    let towns = ["midori", "aoba", "hibari"].map(Town::new);
    let [midori, aoba, hibari] = &towns;
    hibari.agree(&[
        (midori, "receive = { air-quality = { min_level = 1 } }".to_owned()),
        (aoba, String::new()),
    ]);
    let c = gateway(hibari.dir.path(), None);
    let to_hibari =
        format!("url = \"http://{}\"\nsend = [\"midori/traffic-flow\", \"midori/air-quality\"]", c.http);
    aoba.agree(&[(midori, TAKES.to_owned()), (hibari, to_hibari.clone())]);
    let b = gateway(aoba.dir.path(), None);
    let to_aoba = format!("url = \"http://{}\"\nsend = [\"traffic-flow\", \"air-quality\"]", b.http);
    midori.agree(&[(aoba, to_aoba.clone()), (hibari, String::new())]);
    let a = gateway(midori.dir.path(), None);
    let mut at_b = Vec::new();
    for name in ["sora", "hana", "ren"] {
        let filter: &'static [&'static str] = match name {
            "sora" => &["out/sora/#"],
            "hana" => &["out/hana/#"],
            _ => &["out/ren/#"],
        };
        let (client, mut received) = user(b.mqtt, name, filter);
        subscribed(&mut received).await;
        at_b.push((client, received));
    }
    let (_sora_c, mut sora_c) = user(c.mqtt, "sora", &["out/sora/#"]);
    let (_ren_c, mut ren_c) = user(c.mqtt, "ren", &["out/ren/#"]);
    for received in [&mut sora_c, &mut ren_c] {
        subscribed(received).await;
    }
    let mut mast = Connected::to(&a, midori, MAST).await;
    mast.reading(2, b"\"pm10\"");
    let (sora, ren) = (0, 2);
    let (_, _, said) = gets(&mut at_b[sora].1, "out/sora/midori/air-quality", b"\"pm10\"").await;
    assert_eq!(
        (&*said["owner"], &*said["class"], &*said["device"]),
        ("midori", "internal", &*MAST.to_string())
    );
    gets(&mut at_b[ren].1, "out/ren/midori/air-quality", b"\"pm10\"").await;
    // Of the other department.
    assert_eq!(drain(&mut at_b[1].1, Duration::from_millis(500)).await, []);
    // In Hibari the level counts for Midori's own users, too, as its own table says so.
    gets(&mut sora_c, "out/sora/midori/air-quality", b"\"pm10\"").await;
    assert_eq!(drain(&mut ren_c, Duration::from_millis(500)).await, []);
    metric(&a, "smart_city_handed_over_total{city=\"aoba\"} 1").await;
    metric(&b, "smart_city_taken_over_total{city=\"midori\"} 1").await;
    metric(&b, "smart_city_handed_over_total{city=\"hibari\"} 1").await;
    metric(&c, "smart_city_taken_over_total{city=\"aoba\"} 1").await;
    // Hibari does not take this one, which is visible at both ends.
    let mut gate = Connected::to(&a, midori, GATE).await;
    gate.reading(1, b"12");
    gets(&mut at_b[1].1, "out/hana/midori/traffic-flow", b"12").await;
    metric(&c, "smart_city_taken_over_refused_total{city=\"aoba\",reason=\"not_agreed\"} 1").await;
    metric(&b, "smart_city_handed_over_refused_total{city=\"hibari\",reason=\"not_agreed\"} 1").await;
    recorded(&c, "hand-over refused", 1).await;
    recorded(&b, "hand-over refused there", 1).await;
    let refused = serde_json::json!({ "city": "aoba", "refused": { "not_agreed": 1 } });
    assert_eq!(audit(&c, "hand-over refused").await, [refused]);

    // The gate's code is altered: nothing of it goes out until it is recovered.
    assert_eq!(post(&a, "examine").await, 202);
    gate.device.code[0] ^= 1;
    gate.follow().await;
    metric(&a, "smart_city_devices_isolated 1").await;
    gate.reading(1, b"13");
    assert_eq!(drain(&mut at_b[1].1, Duration::from_millis(1500)).await, []);
    assert_eq!(post(&a, "recover").await, 202);
    gate.follow().await;
    metric(&a, "smart_city_devices_isolated 0").await;
    gate.device = TestDevice::new(GATE, 2, midori.dir.path());
    gate.reading(1, b"14");
    gets(&mut at_b[1].1, "out/hana/midori/traffic-flow", b"14").await;

    // Aoba removes Midori, whose data are nobody's there from then on.
    aoba.agree(&[(hibari, "url = \"http://127.0.0.1:9\"".to_owned())]);
    recorded(&b, "configuration loaded", 1).await;
    gate.reading(1, b"15");
    metric(&b, "smart_city_taken_over_refused_total{city=\"unknown\",reason=\"unknown_sender\"} 1").await;
    metric(&a, "smart_city_handed_over_refused_total{city=\"aoba\",reason=\"unknown_sender\"} 1").await;
    // Aoba takes it again, and Midori removes Aoba.
    aoba.agree(&[(midori, TAKES.to_owned()), (hibari, to_hibari)]);
    recorded(&b, "configuration loaded", 2).await;
    gate.reading(1, b"16");
    gets(&mut at_b[1].1, "out/hana/midori/traffic-flow", b"16").await;
    midori.agree(&[(hibari, String::new())]);
    recorded(&a, "configuration loaded", 1).await;
    gate.reading(1, b"17");
    assert_eq!(drain(&mut at_b[1].1, Duration::from_millis(1500)).await, []);
    for (_, received) in &mut at_b {
        let all = drain(received, Duration::from_millis(100)).await;
        assert!(all.iter().all(|(_, payload, _)| payload != b"13" && payload != b"15" && payload != b"17"));
    }
}

/// Who received what another city has handed over, and who did not and why, is told as of own streams. It is in the history and becomes
/// entities, for the same users.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_handed_over_is_visible() {
    let [midori, mut aoba] = ["midori", "aoba"].map(Town::new);
    aoba.text = format!("history = {{ hours = 1, most = 100 }}\n{}", aoba.text);
    aoba.text += "[ngsi_ld.streams.\"midori/air-quality\"]\nmodel = \"AirQualityObserved\"\nproperties.pm10.from = \"pm10\"\n";
    aoba.agree(&[(&midori, TAKES.to_owned())]);
    let b = gateway(aoba.dir.path(), None);
    midori.agree(&[(&aoba, format!("url = \"http://{}\"\nsend = [\"air-quality\"]", b.http))]);
    let a = gateway(midori.dir.path(), None);
    let (_sora, mut sora) = user(b.mqtt, "sora", &["out/sora/#"]);
    subscribed(&mut sora).await;
    let mut mast = Connected::to(&a, &midori, MAST).await;
    mast.reading(2, b"{\"pm10\":12}");
    gets(&mut sora, "out/sora/midori/air-quality", b"{\"pm10\":12}").await;
    // Added up a few times a second.
    let deadline = Instant::now() + Duration::from_secs(20);
    let flows = loop {
        let (_, text) = http(&b.http, "GET /streams/midori%2Fair-quality").await;
        let flows: Vec<Value> = serde_json::from_str(&text).unwrap();
        if !flows.is_empty() {
            break flows;
        }
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let of = |name: &str| flows.iter().find(|flow| flow["user"] == name).unwrap();
    assert_eq!((&of("sora")["allowed"], &of("sora")["count"]), (&true.into(), &1.into()));
    assert_eq!(of("hana")["allowed"], false);
    assert!(of("hana")["reason"].as_str().unwrap().contains("department"), "{flows:?}");
    assert!(http(&b.http, "GET /streams").await.1.contains("midori/air-quality"));
    assert!(http(&b.http, "GET /status").await.1.contains("\"stream\":\"midori/air-quality\""));
    // The audit log has it a moment later.
    let decided = async || {
        let all = audit(&b, "decided").await;
        all.iter().filter(|detail| detail["stream"] == "midori/air-quality").count()
    };
    while decided().await < flows.len() {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(decided().await, flows.len());

    let basic = |user: &str| {
        let login = base64ct::Base64::encode_string(format!("{user}:example-{user}").as_bytes());
        format!("Authorization: Basic {login}")
    };
    let entity = format!("urn:ngsi-ld:AirQualityObserved:device:midori:{MAST}");
    let ask = async |user: &str| {
        let query = format!("GET /history?stream=midori/air-quality\n{}", basic(user));
        let (status, history) = http(&b.http, &query).await;
        assert_eq!(status, 200, "{history}");
        let query = format!("GET /ngsi-ld/v1/entities/{entity}\n{}", basic(user));
        (serde_json::from_str::<Vec<Value>>(&history).unwrap(), http(&b.http, &query).await.0)
    };
    while ask("sora").await.1 != 200 {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (history, _) = ask("sora").await;
    assert_eq!(
        (history.len(), &history[0]["owner"], &history[0]["class"]),
        (1, &"midori".into(), &"internal".into())
    );
    assert_eq!(ask("hana").await, (Vec::new(), 404));
    // Each says how it is with the other.
    let cities = async |gateway: &Gateway| {
        let (_, text) = http(&gateway.http, "GET /cities").await;
        serde_json::from_str::<Value>(&text).unwrap()
    };
    let (here, there) = (cities(&b).await, cities(&a).await);
    let midori_here = &here["midori"];
    assert_eq!((&midori_here["taken"], &midori_here["sends"]), (&1.into(), &serde_json::json!([])));
    assert_eq!(midori_here["takes"], serde_json::json!(["air-quality", "traffic-flow"]));
    assert_eq!((&there["aoba"]["sent"], &there["aoba"]["is_failing"]), (&1.into(), &false.into()));
    assert_eq!(there["aoba"]["sends"], serde_json::json!(["air-quality"]));
    assert!(midori_here["last_taken"].is_string() && there["aoba"]["last_sent"].is_string());
    assert_eq!((&midori_here["is_partner"], &there["aoba"]["is_partner"]), (&true.into(), &true.into()));
    assert_eq!(http(&b.http, "GET /cities\nAuthorization: Bearer x").await.0, 401);
    // The own table of now takes sora away, too.
    let receive = "receive = { air-quality = { min_level = 9 } }";
    aoba.agree(&[(&midori, receive.to_owned())]);
    while ask("sora").await != (Vec::new(), 404) {
        assert!(Instant::now() < deadline + Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// At Mosquitto users get what another city has handed over, each what is its own. What Mosquitto refuses is not sent again for ever.
#[tokio::test(flavor = "multi_thread")]
async fn users_at_mosquitto_get_it_too() {
    let towns = ["midori", "aoba"].map(Town::new);
    let [midori, aoba] = &towns;
    aoba.agree(&[(midori, TAKES.to_owned())]);
    let (broker, port) = mosquitto(aoba.dir.path());
    let b = gateway(aoba.dir.path(), Some(port));
    let to_aoba = format!("url = \"http://{}\"\nsend = [\"traffic-flow\", \"air-quality\"]", b.http);
    midori.agree(&[(aoba, to_aoba)]);
    let a = gateway(midori.dir.path(), None);
    let (_sora, mut sora) = user(port, "sora", &["out/sora/#"]);
    let (_hana, mut hana) = user(port, "hana", &["#", "out/hana/#", "out/sora/midori/+"]);
    for received in [&mut sora, &mut hana] {
        subscribed(received).await;
    }
    let mut mast = Connected::to(&a, midori, MAST).await;
    let mut gate = Connected::to(&a, midori, GATE).await;
    mast.reading(2, b"\"pm10\"");
    let (_, _, said) = gets(&mut sora, "out/sora/midori/air-quality", b"\"pm10\"").await;
    assert_eq!(&*said["owner"], "midori");
    gate.reading(1, b"1");
    gets(&mut sora, "out/sora/midori/traffic-flow", b"1").await;
    gets(&mut hana, "out/hana/midori/traffic-flow", b"1").await;
    let all = drain(&mut hana, Duration::from_millis(500)).await;
    assert!(all.iter().all(|(topic, ..)| !topic.starts_with("out/sora")), "{all:?}");

    // The rules change at the broker, until they are put right.
    let path = aoba.dir.path().join("mosquitto.acl");
    let rules = fs::read_to_string(&path).unwrap();
    let change = async |text: &str| {
        fs::write(&path, text).unwrap();
        let process = rustix::process::Pid::from_child(&broker.0);
        rustix::process::kill_process(process, rustix::process::Signal::HUP).unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
    };
    change(&rules.replace("topic write out/+/#", "topic write out/+/+")).await;
    gate.reading(1, b"2");
    metric(&b, "smart_city_taken_over_total{city=\"midori\"} 3").await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    change(&rules).await;
    gate.reading(1, b"3");
    gets(&mut sora, "out/sora/midori/traffic-flow", b"3").await;
    assert_eq!(drain(&mut sora, Duration::from_secs(3)).await, [], "what was refused comes no more");
}

/// Another city that is away, silent, endless, or answers what it likes, delays nobody here. What it did not get is visible, and it gets it
/// later. One that is started anew takes nothing twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_bad_partner_delays_nobody() {
    let towns = ["midori", "aoba"].map(Town::new);
    let [midori, aoba] = &towns;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let connections = Arc::<AtomicUsize>::default();
    let count = Arc::clone(&connections);
    let bad = tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let number = count.fetch_add(1, Relaxed);
            let answer: &[u8] = match number {
                0 => b"HTTP/1.1 500 no\r\nContent-Length: 0\r\n\r\n",
                1 => b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnone",
                2 => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                _ => b"",
            };
            let mut buffer = [0; 1024];
            drop(stream.read(&mut buffer).await);
            drop(stream.write_all(answer).await);
            if number == 2 {
                tokio::spawn(async move {
                    let chunk = [&b"1000\r\n"[..], &[b' '; 4096], b"\r\n"].concat();
                    while stream.write_all(&chunk).await.is_ok() {}
                });
            } else {
                open.push(stream);
            }
        }
    });
    midori.agree(&[(aoba, format!("url = \"http://127.0.0.1:{port}\"\nsend = [\"traffic-flow\"]"))]);
    let a = gateway(midori.dir.path(), None);
    let (_hana, mut hana) = user(a.mqtt, "hana", &["out/hana/#"]);
    subscribed(&mut hana).await;
    let mut gate = Connected::to(&a, midori, GATE).await;
    let mut slowest = Duration::ZERO;
    let begin = Instant::now();
    let mut number = 0;
    while connections.load(Relaxed) < 4 {
        assert!(begin.elapsed() < Duration::from_secs(60));
        number += 1;
        let payload = number.to_string();
        let sent = Instant::now();
        gate.reading(1, payload.as_bytes());
        gets(&mut hana, "out/hana/traffic-flow", payload.as_bytes()).await;
        slowest = slowest.max(sent.elapsed());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    println!("{number} readings, the slowest was with the user after {slowest:?}");
    assert!(slowest < Duration::from_secs(3), "{slowest:?}");
    metric(&a, "smart_city_handed_over_failed_total{city=\"aoba\"} 3").await;
    metric(&a, "smart_city_handed_over_total{city=\"aoba\"} 0").await;
    assert!(http(&a.http, "GET /status").await.1.contains("\"failed\":3"));

    // The partner comes, and gets what has waited, in its order.
    bad.abort();
    aoba.agree(&[(midori, TAKES.to_owned())]);
    let b = gateway(aoba.dir.path(), None);
    let (_ren, mut ren) = user(b.mqtt, "ren", &["out/ren/#"]);
    subscribed(&mut ren).await;
    midori.agree(&[(aoba, format!("url = \"http://{}\"\nsend = [\"traffic-flow\"]", b.http))]);
    for expected in 1..=number {
        let (topic, payload, _) = timeout(Duration::from_secs(60), ren.recv()).await.unwrap().unwrap();
        assert_eq!((&*topic, payload), ("out/ren/midori/traffic-flow", expected.to_string().into_bytes()));
    }
    metric(&a, "smart_city_readings_to_hand_over{city=\"aoba\"} 0").await;
    metric(&a, &format!("smart_city_handed_over_total{{city=\"aoba\"}} {number}")).await;
}

/// What is not handed over, and what was refused since the audit log was told last, is in it when the gateway has ended.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_at_the_end_is_told() {
    let towns = ["midori", "aoba"].map(Town::new);
    let [midori, aoba] = &towns;
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = silent.local_addr().unwrap();
    midori.agree(&[(aoba, format!("url = \"http://{url}\"\nsend = [\"traffic-flow\"]"))]);
    let mut a = gateway(midori.dir.path(), None);
    for count in 1..=2 {
        http(&a.http, "POST /cities/hand-over").await;
        recorded(&a, "hand-over refused", 1).await;
        metric(
            &a,
            &format!("smart_city_taken_over_refused_total{{city=\"unknown\",reason=\"malformed\"}} {count}"),
        )
        .await;
    }
    let mut gate = Connected::to(&a, midori, GATE).await;
    gate.reading(1, b"1");
    let (_under_way, _) = timeout(Duration::from_secs(20), silent.accept()).await.unwrap().unwrap();
    gate.reading(1, b"2");
    gate.reading(1, b"3");
    metric(&a, "smart_city_readings_to_hand_over{city=\"aoba\"} 3").await;
    let process = rustix::process::Pid::from_child(&a.process.0);
    rustix::process::kill_process(process, rustix::process::Signal::TERM).unwrap();
    let ended = tokio::task::block_in_place(|| a.process.0.wait()).unwrap();
    assert!(ended.success(), "{ended}");
    let log = fs::read_to_string(midori.dir.path().join("data/audit.jsonl")).unwrap();
    let records: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |event: &str| -> Vec<_> {
        records
            .iter()
            .filter(|record| record["event"] == event)
            .map(|record| record["detail"].clone())
            .collect()
    };
    let lost = serde_json::json!({ "city": "aoba", "readings": 3 });
    assert_eq!(of("hand-over lost at the end"), [lost]);
    let refused = serde_json::json!({ "city": "unknown", "refused": { "malformed": 1 } });
    assert_eq!(of("hand-over refused"), [refused.clone(), refused]);
}

/// Nothing goes to a gateway whose certificate is not of the agreed authority.
#[tokio::test(flavor = "multi_thread")]
async fn the_certificate_of_a_partner_is_verified() {
    let towns = ["midori", "aoba"].map(Town::new);
    let [midori, aoba] = &towns;
    let (authority, other) = (Authority::new("authority"), Authority::new("other"));
    authority.certify(aoba.dir.path());
    aoba.agree(&[(midori, TAKES.to_owned())]);
    let options = ["--tls-certificate", "chain.pem", "--tls-key", "key.pem"];
    let b = gateway_with(aoba.dir.path(), None, 0, &options);
    let (_, port) = b.http.rsplit_once(':').unwrap();
    let rest =
        format!("url = \"https://localhost:{port}\"\nauthorities = \"aoba.pem\"\nsend = [\"traffic-flow\"]");
    fs::write(midori.dir.path().join("aoba.pem"), other.0.pem()).unwrap();
    midori.agree(&[(aoba, rest.clone())]);
    let a = gateway(midori.dir.path(), None);
    let mut gate = Connected::to(&a, midori, GATE).await;
    gate.reading(1, b"1");
    let failed =
        [1, 2, 3].map(|count| format!("smart_city_handed_over_failed_total{{city=\"aoba\"}} {count}"));
    any_metric(&a, &failed.each_ref().map(String::as_str)).await;
    metric(&a, "smart_city_handed_over_total{city=\"aoba\"} 0").await;
    fs::write(midori.dir.path().join("aoba.pem"), authority.0.pem()).unwrap();
    midori.agree(&[(aoba, rest + "\n# changed")]);
    metric(&a, "smart_city_handed_over_total{city=\"aoba\"} 1").await;
}

/// Whoever sends something else gets an answer that says why, and no more than that.
#[tokio::test(flavor = "multi_thread")]
async fn strangers_hand_over_nothing() {
    let towns = ["midori", "aoba"].map(Town::new);
    let [midori, aoba] = &towns;
    aoba.agree(&[(midori, TAKES.to_owned())]);
    let b = gateway(aoba.dir.path(), None);
    let post = async |body: &[u8]| {
        let mut stream = tokio::net::TcpStream::connect(&b.http).await.unwrap();
        let head = format!(
            "POST /cities/hand-over HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        drop(stream.write_all(body).await);
        let mut answer = Vec::new();
        drop(timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await);
        String::from_utf8_lossy(&answer).into_owned()
    };
    let malformed = "{\"taken\":0,\"refused\":{\"malformed\":1}}";
    for body in [&b""[..], b"{}", &[0x9f; 1000], b"\x81\x43abc"] {
        let answer = post(body).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with(malformed), "{answer}");
    }
    assert!(post(&vec![0; 2_000_000]).await.starts_with("HTTP/1.1 413"));
    assert_eq!(http(&b.http, "GET /cities/hand-over").await.0, 405);
    metric(&b, "smart_city_taken_over_refused_total{city=\"unknown\",reason=\"malformed\"} 4").await;
}
