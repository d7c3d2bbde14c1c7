//! NGSI-LD over HTTP: the policy decides alike on everything that users can ask, and what they are notified of.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    sync::Arc,
    time::{Duration, Instant},
};

use base64ct::{Base64, Encoding as _};
use jiff::Timestamp;
use serde_json::{Value, json};
use smart_city_engine::{
    config::{City, Secrets},
    engine::{Input, Observer},
};
use smart_city_frame::{Class, DeviceId};
use smart_city_gateway::{
    http,
    ngsi::{self, Teller},
};
use smart_city_ngsi_ld::{Broker, Reading};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    sync::watch,
};

use crate::common::{self, GATE, TestDevice, plain};

/// A connection of a user.
struct Client {
    stream: BufReader<TcpStream>,
    login: String,
}

impl Client {
    async fn new(address: &str, user: &str, password: &str) -> Self {
        let stream = BufReader::new(TcpStream::connect(address).await.unwrap());
        Self { stream, login: Base64::encode_string(format!("{user}:{password}").as_bytes()) }
    }

    /// Status, header fields and body of the answer.
    async fn send(&mut self, line: &str, body: &str) -> (u16, BTreeMap<String, String>, Value) {
        let (method, path) = line.split_once(' ').unwrap();
        let request = format!(
            "{method} /ngsi-ld/v1/{path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic {}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            self.login,
            body.len(),
        );
        self.stream.write_all(request.as_bytes()).await.unwrap();
        let mut line = String::new();
        self.stream.read_line(&mut line).await.unwrap();
        let status = line[9..12].parse().unwrap();
        let mut headers: BTreeMap<String, String> = BTreeMap::new();
        loop {
            line.clear();
            self.stream.read_line(&mut line).await.unwrap();
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            // A field may come more than once.
            let values = headers.entry(name.to_ascii_lowercase()).or_default();
            values.push_str(if values.is_empty() { "" } else { ", " });
            values.push_str(value);
        }
        let mut body = vec![0; headers.get("content-length").map_or(0, |len| len.parse().unwrap())];
        self.stream.read_exact(&mut body).await.unwrap();
        (status, headers, serde_json::from_slice(&body).unwrap_or_default())
    }

    async fn get(&mut self, path: &str) -> (u16, BTreeMap<String, String>, Value) {
        self.send(&format!("GET {path}"), "").await
    }
}

fn ids(list: &Value) -> BTreeSet<String> {
    list.as_array().unwrap().iter().map(|entity| entity["id"].as_str().unwrap().to_owned()).collect()
}

/// Serves the entities of a city over HTTP; returns the address.
async fn serve(broker: &Arc<Broker>, secrets: Secrets) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (sender, secrets) = watch::channel(Arc::new(secrets));
    // For as long as the test takes.
    std::mem::forget(sender);
    // These routes alone let nobody keep a connection: a quarter of the places is for such.
    tokio::spawn(http::serve(listener, None, ngsi::router(Arc::clone(broker), secrets), 256));
    address
}

/// The combinations of attributes of the test of the policy: 48 users and 54 streams, each sent by a device that is isolated and by one
/// that is not.
fn town(dir: &std::path::Path) -> (City, Secrets, Vec<(DeviceId, u16, bool)>) {
    let names = |names: &[&str]| format!("{names:?}");
    let departments =
        [names(&[]), names(&["traffic"]), names(&["weather", "rescue"]), names(&["traffic", "rescue"])];
    let mut text = "departments = [\"traffic\", \"weather\", \"rescue\"]\n[gateway]\ncity = \"midori\"\n\
         evidence_deadline_ms = 2000\nevidence_attempts = 3\n[[images]]\nid = \"i\"\nregions = []\n"
        .to_owned();
    let mut secrets = "gateway_password = \"x\"\near_key = \"ear-key.pem\"\n".to_owned();
    for city in ["midori", "aoba", "kaede"] {
        write!(text, "[[cities]]\nid = \"{city}\"\nname = \"{city}\"\n").unwrap();
        for (d, departments) in departments.iter().enumerate() {
            for level in 0..4 {
                let id = format!("{city}-{d}-{level}");
                write!(text, "[[users]]\nid = \"{id}\"\ncity = \"{city}\"\ndepartments = {departments}\nlevel = {level}\n").unwrap();
                write!(secrets, "[users.{id}]\nmqtt_password = \"of-{id}\"\n").unwrap();
            }
        }
    }
    let (mut number, mut devices) = (0, Vec::new());
    for class in ["public", "internal", "confidential"] {
        for departments in &departments[1..] {
            for partners in [names(&[]), names(&["aoba"])] {
                for min_level in [0, 2, 3] {
                    number += 1;
                    write!(
                        text,
                        "[[streams]]\nid = {number}\nname = \"stream-{number}\"\nclass = \"{class}\"\nowner = \"midori\"\n\
                         departments = {departments}\npartners = {partners}\nmin_level = {min_level}\n\
                         [ngsi_ld.streams.stream-{number}]\nmodel = \"TrafficFlowObserved\"\n\
                         properties.intensity.from = \"vehicles\"\n",
                    )
                    .unwrap();
                    for device_ok in [true, false] {
                        let place = [number, u16::from(device_ok)];
                        let id = DeviceId(u64::from(number * 2 + place[1]).to_be_bytes());
                        write!(
                            text,
                            "[[devices]]\nid = \"{id}\"\nname = \"d\"\nplace = {place:?}\nimage = \"i\"\nstreams = [\"stream-{number}\"]\n"
                        )
                        .unwrap();
                        write!(secrets, "[devices.{id}]\nroot_key = \"{id}{id}\"\nmqtt_password = \"x\"\n")
                            .unwrap();
                        devices.push((id, number, device_ok));
                    }
                }
            }
        }
    }
    let city = City::of_text(&text, &dir.join("city.toml")).unwrap();
    let secrets = Secrets::of_text(&secrets, &dir.join("secrets.toml"), &city).unwrap();
    (city, secrets, devices)
}

#[tokio::test(flavor = "multi_thread")]
async fn all_combinations_over_http() {
    let dir = common::example();
    let (city, secrets, devices) = town(dir.path());
    let (broker, mut watcher) = ngsi::entities(Teller::default());
    watcher.city(&city);
    let address = serve(&broker, secrets).await;
    let entity = |id: &DeviceId| format!("urn:ngsi-ld:TrafficFlowObserved:device:{id}");
    let kind = "https://smartdatamodels.org/dataModel.Transportation/TrafficFlowObserved";

    for user in city.users.keys() {
        let mut client = Client::new(&address, user, &format!("of-{user}")).await;
        let body = json!({
            "type": "Subscription", "entities": [{ "type": kind }],
            "notification": { "endpoint": { "uri": format!("mqtt://broker/out/{user}/NGSI-LD") } },
        });
        assert_eq!(client.send("POST subscriptions", &body.to_string()).await.0, 201);
    }
    for (id, stream, _) in &devices {
        watcher.reading(*id, *stream, Timestamp::now(), br#"{"vehicles":5}"#);
    }
    broker.work();
    // The readings are there, and notifications wait: now the devices are isolated.
    for (id, ..) in devices.iter().filter(|(.., device_ok)| !device_ok) {
        watcher.isolated(*id, true);
    }
    let mut notified: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    // A notification has at most a hundred of those that changed.
    for _ in 0..2 {
        for job in broker.due(Instant::now(), Timestamp::now()) {
            let message: Value = serde_json::from_slice(&job.body).unwrap();
            notified.entry(job.user.clone()).or_default().extend(ids(&message["body"]["data"]));
            broker.done(&job, true, Instant::now(), Timestamp::now());
        }
    }

    let mut combinations = [0, 0];
    for user in city.users.keys() {
        // A connection that waited for its turn would have ended.
        let client = &mut Client::new(&address, user, &format!("of-{user}")).await;
        let mut expected = BTreeSet::new();
        for (id, stream, device_ok) in &devices {
            let allowed = plain(&city.users[user], &city.streams[stream], *device_ok);
            let (status, _, body) = client.get(&format!("entities/{}", entity(id))).await;
            assert_eq!(status, if allowed { 200 } else { 404 }, "{user} {stream} {device_ok}: {body}");
            combinations[usize::from(allowed)] += 1;
            if allowed {
                expected.insert(entity(id));
            } else {
                // As if it had never been there.
                let (status, _, other) =
                    client.get(&format!("entities/{}", entity(&DeviceId([0xFF; 8])))).await;
                assert_eq!((status, other), (404, body));
            }
        }
        let (_, headers, found) = client.get(&format!("entities?type={kind}&limit=1000&count=true")).await;
        assert_eq!(
            (ids(&found), headers["ngsild-results-count"].clone()),
            (expected.clone(), expected.len().to_string())
        );
        let (_, headers, _) = client.get(&format!("entities?type={kind}&limit=0&count=true&q={kind}")).await;
        assert_eq!(headers["ngsild-results-count"], "0");
        let mut pages = BTreeSet::new();
        for offset in (0..).step_by(7) {
            let (_, headers, page) =
                client.get(&format!("entities?type={kind}&limit=7&offset={offset}")).await;
            pages.extend(ids(&page));
            if !headers.get("link").is_some_and(|link| link.contains("next")) {
                break;
            }
        }
        assert_eq!(pages, expected);
        let query = json!({ "type": "Query", "entities": [{ "type": kind }] }).to_string();
        let (_, _, found) = client.send("POST entityOperations/query?limit=1000", &query).await;
        assert_eq!(ids(&found), expected);
        let (status, _, details) = client.get(&format!("types/{}", kind.replace('/', "%2F"))).await;
        assert_eq!(
            (status, details["entityCount"].as_u64()),
            match expected.len() {
                0 => (404, None),
                count => (200, Some(count as u64)),
            }
        );
        assert_eq!(notified.remove(user).unwrap_or_default(), expected, "{user} was notified");
    }
    println!("{} combinations refused, {} allowed", combinations[0], combinations[1]);
    assert_eq!(combinations.iter().sum::<i32>(), 54 * 48 * 2);
    assert!(combinations.iter().all(|count| *count > 500));
}

/// What another broker gets is what a user with its attributes would see; and what is for all, if it has none.
#[test]
fn other_brokers_get_what_the_policy_allows() {
    let dir = common::example();
    let (town, _, devices) = town(dir.path());
    // Sixteen brokers at a time.
    let users: Vec<_> = town.users.iter().collect();
    for users in users.chunks(15) {
        let mut table = json!({
            "streams": town.ngsi_ld.as_ref().unwrap().value["streams"],
            "push": [{ "name": "all", "url": "http://127.0.0.1:9/all" }],
        });
        for (name, user) in users {
            table["push"].as_array_mut().unwrap().push(json!({
                "name": name, "url": format!("http://127.0.0.1:9/{name}"),
                "partner": { "city": user.city, "departments": user.departments, "level": user.level },
            }));
        }
        let mut city = town.clone();
        city.ngsi_ld.as_mut().unwrap().value = table;
        let (broker, mut watcher) = ngsi::entities(Teller::default());
        watcher.city(&city);
        assert_eq!(broker.pushed().len(), users.len() + 1);
        for (id, stream, _) in &devices {
            watcher.reading(*id, *stream, Timestamp::now(), br#"{"vehicles":5}"#);
        }
        for (id, ..) in devices.iter().filter(|(.., device_ok)| !device_ok) {
            watcher.isolated(*id, true);
        }
        broker.work();
        let mut got: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut withdrawn = BTreeMap::new();
        for _ in 0..4 {
            // Later than the pause between two requests.
            for job in broker.due(Instant::now() + Duration::from_secs(1), Timestamp::now()) {
                let message: Value = serde_json::from_slice(&job.body).unwrap();
                match message[0].as_str() {
                    None => got.entry(job.user.clone()).or_default().extend(ids(&message)),
                    Some(_) => drop(withdrawn.insert(job.user.clone(), message)),
                }
                broker.done(&job, true, Instant::now(), Timestamp::now());
            }
        }
        let entity = |id: &DeviceId| Value::from(format!("urn:ngsi-ld:TrafficFlowObserved:device:{id}"));
        let mut check = |name: &str, allows: &dyn Fn(u16) -> bool| {
            let of = |ok: bool| {
                devices.iter().filter(move |(_, stream, device_ok)| *device_ok == ok && allows(*stream))
            };
            let expected: BTreeSet<_> =
                of(true).map(|(id, ..)| entity(id).as_str().unwrap().to_owned()).collect();
            assert_eq!(got.remove(&format!("push:{name}")).unwrap_or_default(), expected, "{name}");
            // Of what it could not see before it is not told that it is isolated.
            let expected: Vec<_> = of(false).map(|(id, ..)| entity(id)).collect();
            let found = withdrawn.remove(&format!("push:{name}")).unwrap_or(json!([]));
            assert_eq!(found, json!(expected), "{name}");
        };
        check("all", &|stream| city.streams[&stream].stream.class == Class::Public);
        for (name, user) in users {
            check(name, &|stream| plain(user, &city.streams[&stream], true));
        }
    }
}

/// Faults in what is said of other brokers are found where they are.
#[test]
fn faults_of_pushes_are_named() {
    let dir = common::example();
    let path = dir.path().join("city.toml");
    let plain = std::fs::read_to_string(&path).unwrap();
    let push = "[[ngsi_ld.push]]\nname = \"aoba\"\nurl = \"http://a.example:1026\"\n";
    let partner = |text: &str| format!("{push}partner = {text}\n");
    std::fs::write(dir.path().join("empty.pem"), "").unwrap();
    for (text, expected) in [
        (push.to_owned(), ""),
        (partner("{ city = \"aoba\", departments = [\"traffic\"], level = 2 }"), ""),
        (push.replace("http", "https"), ""),
        (push.replace("aoba", "a b"), "push[0]: needs a `name`"),
        (push.replace("http:", "mqtt:"), "push[0]: needs a `url`"),
        (push.replace("a.example", "u:p@a.example"), "push[0]: needs a `url`"),
        (push.replace(":1026", "/a?b=c"), "push[0]: needs a `url`"),
        (push.to_owned() + push, "push[1]: another one has the same name"),
        (
            push.to_owned() + &push.replace("aoba", "b"),
            "push[1]: another one has the same name, or the same url",
        ),
        (push.to_owned() + "authorities = \"x.pem\"\n", "push[0].authorities: are for a url with https"),
        (push.replace("http", "https") + "authorities = \"x.pem\"\n", "push[0].authorities: "),
        (push.replace("http", "https") + "authorities = \"empty.pem\"\n", "push[0].authorities: "),
        (push.to_owned() + "to = 1\n", "push[0]: there is no field `to`"),
        (partner("{ city = \"x\" }"), "push[0].partner: there is no city"),
        (partner("{ city = \"aoba\", departments = [\"x\"] }"), "push[0].partner: there is no department"),
        (partner("{ city = \"aoba\", level = 10 }"), "push[0].partner: is {"),
        (partner("{ departments = [] }"), "push[0].partner: is {"),
    ] {
        std::fs::write(&path, format!("{plain}\n{text}")).unwrap();
        let found = ngsi::mapping(&City::read(&path).unwrap()).map(drop).map_err(|error| error.to_string());
        let found = found.err().unwrap_or_default();
        assert!(found.contains(expected) && found.is_empty() == expected.is_empty(), "{text}: {found}");
    }
}

/// What a user writes is seen as a confidential stream of the user's city, departments and level would be; and by the user.
#[tokio::test(flavor = "multi_thread")]
async fn what_users_write() {
    let dir = common::example();
    let (city, secrets, _) = town(dir.path());
    let (broker, mut watcher) = ngsi::entities(Teller::default());
    watcher.city(&city);
    let address = serve(&broker, secrets).await;
    let mut clients = Vec::new();
    for user in city.users.keys() {
        let mut client = Client::new(&address, user, &format!("of-{user}")).await;
        // All of them take the same name for it: that one is there already is known to those alone who see it.
        let body = json!({ "id": format!("urn:note:{user}"), "type": "Note", "by": user }).to_string();
        assert_eq!(client.send("POST entities", &body).await.0, 201);
        clients.push((user, client));
    }
    for (user, client) in &mut clients {
        let expected = city.users.iter().filter(|(author, written)| {
            let reader = &city.users[*user];
            let shares = reader.departments.iter().any(|name| written.departments.contains(name));
            author == user || (reader.city == written.city && shares && reader.level >= written.level)
        });
        let expected: BTreeSet<_> = expected.map(|(author, _)| format!("urn:note:{author}")).collect();
        let (_, _, found) = client.get("entities?type=Note&limit=1000").await;
        assert_eq!(ids(&found), expected, "{user}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn users_log_in() {
    let dir = common::example();
    let (city, secrets) = common::files(dir.path());
    let (broker, mut watcher) = ngsi::entities(Teller::default());
    watcher.city(&city);
    let address = serve(&broker, Arc::into_inner(secrets).unwrap()).await;
    for (user, password, status) in [
        ("hana", "example-hana", 200),
        ("hana", "example-ren", 401),
        ("nobody", "example-hana", 401),
        ("hana", "", 401),
        ("", "", 401),
        // Neither devices nor the gateway are users.
        ("70b3d5fffe000001", "example-gate-1", 401),
        ("gateway", "example-gateway-password", 401),
    ] {
        let mut client = Client::new(&address, user, password).await;
        let (found, headers, _) = client.get("types").await;
        assert_eq!(found, status, "{user} {password}");
        assert_eq!(headers.contains_key("www-authenticate"), status == 401);
    }
    let mut client = Client::new(&address, "hana", "example-hana").await;
    client.login = "!".to_owned();
    assert_eq!(client.get("types").await.0, 401);
    let mut client = Client::new(&address, "hana", "example-hana").await;
    assert_eq!(client.send("POST entities", &"x".repeat(2 << 20)).await.0, 413);
}

/// An end of `city.toml` by which readings become entities.
const MAPPING: &str = "
[ngsi_ld.streams.traffic-flow]
model = \"TrafficFlowObserved\"
properties.intensity.from = \"vehicles\"
";

/// What the engine tells: readings, who and what there is, and at once who is isolated.
#[test]
fn the_engine_tells_of_readings_reloads_and_isolations() {
    let dir = common::example();
    let path = dir.path().join("city.toml");
    let plain = std::fs::read_to_string(&path).unwrap();
    let (mut engine, _) = common::engine(dir.path());
    let (broker, watcher) = ngsi::entities(Teller::default());
    engine.observe(watcher);
    let mut device = TestDevice::new(GATE, 1, dir.path());
    let genuine = device.code.clone();
    let (city, _) = common::files(dir.path());
    let status_at = |broker: &Broker, user: &str| {
        broker.work();
        let uri = format!("/ngsi-ld/v1/entities/urn:ngsi-ld:TrafficFlowObserved:device:{GATE}");
        let request = axum::http::Request::get(uri).body(Vec::new()).unwrap();
        broker.respond(user, &request).status().as_u16()
    };
    let status = |user: &str| status_at(&broker, user);
    engine.handle([device.reading(1, &city, br#"{"vehicles":5}"#)]).unwrap();
    assert_eq!(status("ren"), 404, "there is no mapping yet");
    std::fs::write(&path, plain.clone() + MAPPING).unwrap();
    let reload = || {
        let (city, secrets) = common::files(dir.path());
        Input::Reload(Ok(Box::new((city, secrets))))
    };
    engine.handle([reload()]).unwrap();
    engine.handle([device.reading(1, &city, br#"{"vehicles":6}"#)]).unwrap();
    assert_eq!((status("ren"), status("nobody")), (200, 404));
    let uri =
        "/ngsi-ld/v1/entities?georel=near;maxDistance==10&geometry=Point&coordinates=[139.7528,35.6852]";
    let near = axum::http::Request::get(uri).body(Vec::new()).unwrap();
    let found = String::from_utf8(broker.respond("ren", &near).into_body()).unwrap();
    assert!(found.contains(&GATE.to_string()), "its position is that of its entry: {found}");

    // Its code is altered: what it sent is gone, for those too who may have everything else of it.
    device.code[0] ^= 1;
    let region = 1;
    let instruct =
        |reply| Input::Instruct { device: GATE, region, argument: vec![], operator: "kana".into(), reply };
    let (answer, outputs) = common::ask(&mut engine, instruct);
    answer.unwrap();
    engine.handle([device.follow(&outputs.last().unwrap().payload, &genuine)]).unwrap();
    assert!(common::is_isolated(&mut engine, GATE));
    assert_eq!(status("ren"), 404);

    // A gateway that starts knows it.
    drop(engine);
    let (mut engine, _) = common::engine(dir.path());
    let (broker, watcher) = ngsi::entities(Teller::default());
    engine.observe(watcher);
    let device = GATE.to_string();
    broker.reading(Reading {
        stream: "traffic-flow".into(),
        device,
        time: Timestamp::now(),
        bytes: br#"{"vehicles":7}"#.to_vec(),
    });
    assert_eq!(status_at(&broker, "ren"), 404);
    broker.recover(&GATE.to_string());
    assert_eq!(status_at(&broker, "ren"), 200, "only the isolation kept it away");
    drop(engine);

    // A fault in the mapping is found where it is.
    std::fs::write(&path, plain.clone() + &MAPPING.replace("intensity", "density")).unwrap();
    let error = ngsi::mapping(&City::read(&path).unwrap()).unwrap_err().to_string();
    let line = plain.matches('\n').count() + 2;
    let expected = format!(
        ":{line}: ngsi_ld.streams.traffic-flow.properties.density: TrafficFlowObserved has no such property"
    );
    assert!(error.ends_with(&expected), "{error}");
    let places = format!("[ngsi_ld.places]\n{GATE} = [139.7, 35.7]\n");
    std::fs::write(&path, plain.clone() + MAPPING + &places).unwrap();
    let error = ngsi::mapping(&City::read(&path).unwrap()).unwrap_err().to_string();
    assert!(error.contains("ngsi_ld.places: where a device is says its entry"), "{error}");
    assert_eq!(city.streams[&1].stream.class, Class::Public);
}

/// What was written or measured under other attributes is shown to nobody, whatever the new ones are.
#[test]
fn a_reload_shows_nothing_of_before() {
    let dir = common::example();
    let path = dir.path().join("city.toml");
    let plain = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, plain + MAPPING).unwrap();
    let (city, _) = common::files(dir.path());
    let (broker, mut watcher) = ngsi::entities(Teller::default());
    let ask = |user: &str, method: &str, path: &str, body: &str| {
        let request = axum::http::Request::builder().method(method).uri(format!("/ngsi-ld/v1/{path}"));
        let request = request.header("Content-Type", "application/json").body(body.as_bytes().to_vec());
        broker.respond(user, &request.unwrap()).status().as_u16()
    };
    let note = r#"{"id":"urn:n:1","type":"Note"}"#;
    let traffic = format!("entities/urn:ngsi-ld:TrafficFlowObserved:device:{GATE}");
    let seen = || {
        ["hana", "ren"].map(|user| (ask(user, "GET", "entities/urn:n:1", ""), ask(user, "GET", &traffic, "")))
    };
    let fill = |watcher: &mut dyn Observer| {
        watcher.city(&city);
        ask("hana", "DELETE", "entities/urn:n:1", "");
        assert_eq!(ask("hana", "POST", "entities", note), 201);
        watcher.reading(GATE, 1, Timestamp::now(), br#"{"vehicles":5}"#);
        broker.work();
        assert_eq!(seen()[0], (200, 200));
    };
    let hana = city.users["hana"].clone();
    let ren = city.users["ren"].clone();
    let mut lower = city.clone();
    lower.users.insert("hana".to_owned(), ren.clone());
    let mut without = city.clone();
    without.users.remove("hana");
    let mut other_stream = city.clone();
    other_stream.streams.get_mut(&1).unwrap().min_level += 1;
    let mut no_device = city.clone();
    no_device.devices.remove(&GATE);
    let mut elsewhere = city.clone();
    elsewhere.devices.get_mut(&GATE).unwrap().position = None;
    let mut no_mapping = city.clone();
    no_mapping.ngsi_ld = None;
    assert_ne!(hana, ren);
    for (name, reload, notes, measured) in [
        ("nothing", &city, 200, 200),
        ("hana is as ren", &lower, 404, 200),
        ("hana is removed", &without, 404, 200),
        ("the stream is another", &other_stream, 200, 404),
        ("the device is removed", &no_device, 200, 404),
        ("the device is elsewhere", &elsewhere, 200, 404),
        ("there is no mapping", &no_mapping, 200, 404),
    ] {
        fill(&mut watcher);
        watcher.city(reload);
        let [of_hana, of_ren] = seen();
        assert_eq!(of_ren, (404, measured), "{name}");
        if reload.users.contains_key("hana") {
            assert_eq!(of_hana, (notes, measured), "{name}");
        }
        // Nor does it come back.
        watcher.city(&city);
        assert_eq!(seen()[0], (notes, measured), "{name}");
    }
}
