//! Users of another city, with tokens of a real identity provider, at a gateway that runs.

use serde_json::json;
use smart_city_engine::config::UserEntry;

use super::*;
use crate::{common::plain, http_server::raw, provider::Provider};

/// What is agreed with the provider's city. Streams become entities, and are kept.
fn agreed(provider: &Provider) -> String {
    format!(
        "\n[[partners]]\ncity = \"aoba\"\n[partners.login]\nissuer = \"{0}\"\naudience = \"{1}\"\njwks = \"{0}/jwks\"\nleeway = 0\n\
         departments = {{ \"Rescue Service\" = \"rescue\", \"Weather Office\" = \"weather\" }}\nmax_level = 2\n",
        provider.address,
        provider::AUDIENCE
    )
}

const STREAMS: [&str; 3] = ["traffic-flow", "air-quality", "gate-camera"];

/// What each stream is as NGSI-LD: collection, model, property and device.
const MODELS: [(&str, &str, &str, DeviceId); 3] = [
    ("Transportation", "TrafficFlowObserved", "intensity", GATE),
    ("Environment", "AirQualityObserved", "co2", MAST),
    ("Weather", "WeatherObserved", "temperature", GATE),
];

fn city(dir: &Path, more: &str) {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("example/city.toml");
    let mut text = format!("history = {{ hours = 1, most = 100 }}\n{}", fs::read_to_string(example).unwrap());
    for (stream, (_, model, property, _)) in STREAMS.iter().zip(MODELS) {
        text += &format!(
            "\n[ngsi_ld.streams.{stream}]\nmodel = \"{model}\"\nproperties.{property}.from = \"n\"\n"
        );
    }
    // It appears as a whole.
    fs::write(dir.join("new.toml"), text + more).unwrap();
    fs::rename(dir.join("new.toml"), dir.join("city.toml")).unwrap();
}

/// Has both devices send a reading of each stream.
async fn readings(dir: &Path, port: u16, epoch: u16) {
    let (city, _) = files(dir);
    for (device, password, streams) in
        [(GATE, "example-gate-1", &[1, 3][..]), (MAST, "example-weather-mast", &[2])]
    {
        let name = device.to_string();
        let (client, mut received) = client(
            port,
            &name,
            password,
            match device {
                GATE => &["down/70b3d5fffe000001"],
                _ => &["down/70b3d5fffe000002"],
            },
        );
        subscribed(&mut received).await;
        let mut link = DeviceLink::new(&root(device), device, Epoch(epoch));
        for stream in streams {
            let mut buffer = [0; 255];
            let frame = link.seal_reading(city.streams[stream].stream, b"{\"n\":7}", &mut buffer).unwrap();
            send(&client, &format!("up/{device}/{stream}"), frame);
        }
        // The receipt.
        while !next(&mut received).await.0.starts_with("down/") {}
    }
}

async fn ask(gateway: &Gateway, token: &str, request: &str) -> (u16, String) {
    http(&gateway.http, &format!("{request}\nAuthorization: Bearer {token}")).await
}

async fn audit(gateway: &Gateway) -> Vec<Value> {
    let (_, text) = ask(gateway, "example-auditor-token-0000", "GET /audit").await;
    serde_json::from_str(&text).unwrap()
}

/// Over HTTP, as NGSI-LD and over MQTT each sees what the policy says of the attributes, and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn guests_see_what_the_policy_allows() {
    let (dir, provider) = (example(), Provider::start());
    city(dir.path(), &agreed(&provider));
    let gateway = gateway(dir.path(), None);
    readings(dir.path(), gateway.mqtt, 1).await;
    let (city, _) = files(dir.path());
    let entry = |departments: &[&str], level| UserEntry {
        city: "aoba".to_owned(),
        departments: departments.iter().map(|name| (*name).to_owned()).collect(),
        level,
    };
    let [hiro, _] = provider.user("hiro");
    let guests = [
        ("hiro", hiro, entry(&["rescue"], 2), &["out/aoba:hiro/#"] as &'static [&'static str]),
        (
            "emi",
            provider.machine("emi"),
            entry(&["rescue", "weather"], 1),
            &["out/aoba:emi/#", "#", "out/#", "out/+/+", "out/hana/#"],
        ),
        (
            "nobody",
            provider.machine("nobody"),
            entry(&[], 0),
            &["out/aoba:nobody/+", "out/aoba:emi/#", "down/#", "up/#"],
        ),
        ("ed", provider.machine("ed"), entry(&["rescue", "weather"], 1), &["out/aoba:ed/#", "out/aoba/#"]),
    ];
    let mut clients = Vec::new();
    for (name, token, user, filters) in &guests {
        let expected: Vec<bool> = [1, 2, 3].iter().map(|id| plain(user, &city.streams[id], true)).collect();
        assert!(expected[0] && !expected[2] && expected[1] == (*name != "nobody"), "{expected:?}");
        for ((stream, (collection, model, _, device)), expected) in STREAMS.iter().zip(MODELS).zip(&expected)
        {
            let (status, text) = ask(&gateway, token, &format!("GET /history?stream={stream}")).await;
            assert_eq!((status, text != "[]"), (200, *expected), "{name} {stream}: {text}");
            let entity = format!("GET /ngsi-ld/v1/entities/urn:ngsi-ld:{model}:device:{device}");
            let (status, text) = ask(&gateway, token, &entity).await;
            assert_eq!(status, if *expected { 200 } else { 404 }, "{name} {stream}: {text}");
            let kind = format!("https://smartdatamodels.org/dataModel.{collection}/{model}");
            let queried = ask(&gateway, token, &format!("GET /ngsi-ld/v1/entities?type={kind}")).await;
            let query = "POST /ngsi-ld/v1/entityOperations/query\nContent-Type: application/json";
            let body = json!({ "type": "Query", "entities": [{ "type": kind }] });
            let posted =
                http(&gateway.http, &format!("{query}\nAuthorization: Bearer {token}\n\n{body}")).await;
            for (status, text) in [queried, posted] {
                let entities: Vec<Value> = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"));
                assert_eq!(
                    (status, entities.len()),
                    (200, usize::from(*expected)),
                    "{name} {stream}: {text}"
                );
            }
        }
        let (guest, mut received) = client(gateway.mqtt, &format!("aoba:{name}"), token, filters);
        subscribed(&mut received).await;
        clients.push((guest, received, expected));
    }
    // Nobody of them sends anything.
    for (guest, ..) in &clients {
        for topic in ["up/70b3d5fffe000001/1", "out/hana/traffic-flow", "out/aoba:hiro/traffic-flow"] {
            send(guest, topic, b"forged");
        }
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    readings(dir.path(), gateway.mqtt, 2).await;
    for ((name, ..), (_guest, received, expected)) in guests.iter().zip(&mut clients) {
        let messages = drain(received, Duration::from_millis(700)).await;
        let topics: BTreeSet<String> =
            messages.into_iter().map(|(topic, ..)| topic).filter(|topic| topic.contains('/')).collect();
        let streams = STREAMS.iter().zip(expected).filter(|(_, is)| **is);
        assert_eq!(
            topics,
            streams.map(|(stream, _)| format!("out/aoba:{name}/{stream}")).collect(),
            "{name}"
        );
    }
    // Who did what, by that name, and no token anywhere.
    let audit = audit(&gateway).await;
    for (name, _, user, _) in &guests {
        for over in ["http", "mqtt"] {
            let detail = json!({ "user": format!("aoba:{name}"), "over": over, "departments": user.departments, "level": user.level });
            let is_told = |record: &&Value| {
                record["event"] == "guest logged in"
                    && detail
                        .as_object()
                        .unwrap()
                        .iter()
                        .all(|(name, value)| record["detail"][name] == *value)
            };
            assert_eq!(audit.iter().filter(is_told).count(), 1, "{detail}");
        }
    }
    let log = fs::read_to_string(dir.path().join("log")).unwrap();
    for (_, token, ..) in &guests {
        let signature = token.rsplit('.').next().unwrap();
        assert!(!log.contains(signature) && !json!(audit).to_string().contains(signature));
    }
}

/// Whoever shows no good token, or wants what is not for guests, is told why not.
#[tokio::test(flavor = "multi_thread")]
async fn guests_may_do_nothing_else() {
    let (dir, provider) = (example(), Provider::start());
    city(dir.path(), &agreed(&provider));
    let gateway = gateway(dir.path(), None);
    let [good, id_token] = provider.user("hiro");
    let elsewhere = provider.machine_for("hiro", "https://gateway.nagi.example");
    for path in
        ["/status", "/events", "/streams", "/audit", "/metrics", "/session", "/devices/70b3d5fffe000001"]
    {
        let (status, text) = ask(&gateway, &good, &format!("GET {path}")).await;
        assert_eq!((status, text.contains("not for users of other cities")), (403, true), "{path}: {text}");
    }
    for (request, status) in [
        ("POST /devices/70b3d5fffe000001/examine", 403),
        ("POST /devices/70b3d5fffe000001/recover", 403),
        ("DELETE /ngsi-ld/v1/entities/urn:a:1", 403),
        ("PATCH /ngsi-ld/v1/entities/urn:a:1", 403),
        ("POST /ngsi-ld/v1/entities", 403),
        ("POST /ngsi-ld/v1/entityOperations/create", 403),
        ("POST /ngsi-ld/v1/subscriptions", 403),
        ("GET /ngsi-ld/v1/subscriptions", 200),
        ("GET /ngsi-ld/v1/types", 200),
        ("GET /history?stream=traffic-flow", 200),
        ("GET /", 200),
        ("GET /healthz", 200),
    ] {
        let (found, text) = ask(&gateway, &good, request).await;
        assert_eq!(found, status, "{request}: {text}");
    }
    let place = good.len() - 10;
    let other = if good[place..].starts_with('A') { "B" } else { "A" };
    let altered = format!("{}{other}{}", &good[..place], &good[place + 1..]);
    for (token, why) in [
        (id_token, "its type is not at+jwt"),
        (elsewhere, "the token is for somebody else"),
        (altered, "the token's signature is wrong"),
        ("a.b.c".to_owned(), "this is no signed token"),
    ] {
        for path in ["/history?stream=traffic-flow", "/ngsi-ld/v1/types", "/status"] {
            let request = format!(
                "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n"
            );
            let answer = raw(&gateway.http, &request).await;
            assert!(answer.starts_with("HTTP/1.1 401 ") && answer.contains(why), "{path}: {answer}");
            assert!(
                answer.to_lowercase().contains("www-authenticate: bearer error=\"invalid_token\""),
                "{answer}"
            );
        }
        let (_, mut refused) = client(gateway.mqtt, "aoba:hiro", &token, &["out/aoba:hiro/#"]);
        assert_eq!(next(&mut refused).await.0, "not connected", "{why}");
    }
    // The right token with another name, and what is none of a guest as the name of one.
    for name in ["aoba:emi", "midori:hiro", "hiro", "hana", "aoba", ":hiro", "gateway"] {
        let (_, mut refused) = client(gateway.mqtt, name, &good, &["out/hana/#"]);
        assert_eq!(next(&mut refused).await.0, "not connected", "{name}");
    }
    let (_, mut refused) = client(gateway.mqtt, "aoba:hiro", "example-sora", &["out/aoba:hiro/#"]);
    assert_eq!(next(&mut refused).await.0, "not connected");
    let (_hiro, mut hiro) = client(gateway.mqtt, "aoba:hiro", &good, &["out/aoba:hiro/#"]);
    assert_eq!(next(&mut hiro).await.0, "subscribed");
}

/// At once, by a reload; with the token; and not while the provider is away.
#[tokio::test(flavor = "multi_thread")]
async fn sessions_of_guests_end() {
    let (dir, provider) = (example(), Provider::start());
    city(dir.path(), &agreed(&provider));
    let gateway = gateway(dir.path(), None);
    let good = provider.machine("hiro");
    let (_hiro, mut hiro) = client(gateway.mqtt, "aoba:hiro", &good, &["out/aoba:hiro/#"]);
    assert_eq!(next(&mut hiro).await.0, "subscribed");
    let request = "GET /history?stream=traffic-flow";
    assert_eq!(ask(&gateway, &good, request).await.0, 200);

    // It expires four seconds after it was made.
    let short = provider.machine("short");
    let begin = Instant::now();
    let (_short, mut ends) = client(gateway.mqtt, "aoba:short", &short, &["out/aoba:short/#"]);
    assert_eq!(next(&mut ends).await.0, "subscribed");
    assert_eq!(next(&mut ends).await.0, "not connected");
    assert!(begin.elapsed() < Duration::from_secs(9), "{:?}", begin.elapsed());
    assert_eq!(next(&mut ends).await.0, "not connected", "it does not come back");
    assert_eq!(ask(&gateway, &short, request).await.0, 401);

    // The provider is down: who is there stays, and who comes with a known key is let in.
    provider.keys("slow");
    let ed = provider.machine("ed");
    let begin = Instant::now();
    assert_eq!(ask(&gateway, &ed, request).await.0, 200);
    provider.get("/test/rotate");
    let (status, text) = ask(&gateway, &provider.machine("emi"), request).await;
    assert!(status == 401 || status == 503, "{status} {text}");
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    provider.keys("good");

    // The same agreement, with more around it.
    city(dir.path(), &format!("\n# A comment.\n{}", agreed(&provider)));
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(drain(&mut hiro, Duration::from_millis(100)).await, []);
    assert_eq!(ask(&gateway, &good, request).await.0, 200);

    for (what, name, filters, other) in [
        (
            "a lower level",
            "ed",
            &["out/aoba:ed/#"] as &'static [&'static str],
            agreed(&provider).replace("max_level = 2", "max_level = 1"),
        ),
        ("no partner", "emi", &["out/aoba:emi/#"], String::new()),
        ("no logins", "nobody", &["out/aoba:nobody/#"], "\n[[partners]]\ncity = \"aoba\"\n".to_owned()),
    ] {
        // A client for each: those of before connect again and again.
        let token = provider.machine(name);
        let (_client, mut received) = client(gateway.mqtt, &format!("aoba:{name}"), &token, filters);
        subscribed(&mut received).await;
        let begin = Instant::now();
        city(dir.path(), &other);
        assert_eq!(next(&mut received).await.0, "not connected", "{what}");
        assert!(begin.elapsed() < Duration::from_secs(5), "{what}: {:?}", begin.elapsed());
        let (status, text) = ask(&gateway, &token, request).await;
        assert_eq!(status, if what == "a lower level" { 200 } else { 401 }, "{what}: {text}");
        city(dir.path(), &agreed(&provider));
        while ask(&gateway, &token, request).await.0 != 200 {
            assert!(begin.elapsed() < Duration::from_secs(20), "{what}: it is agreed again");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    assert_eq!(next(&mut hiro).await.0, "not connected");
    let audit = audit(&gateway).await;
    let gone: Vec<&Value> = audit.iter().filter(|record| record["event"] == "guest gone").collect();
    assert!(gone.iter().any(|record| record["detail"]["user"] == "aoba:short"), "{gone:?}");
    assert!(gone.iter().any(|record| record["detail"]["why"] == "it is not agreed any more"), "{gone:?}");
}

/// At Mosquitto guests have no accounts: they use HTTP.
#[tokio::test(flavor = "multi_thread")]
async fn at_mosquitto_guests_use_http() {
    let (dir, provider) = (example(), Provider::start());
    city(dir.path(), &agreed(&provider));
    let (_mosquitto, port) = mosquitto(dir.path());
    let gateway = gateway(dir.path(), Some(port));
    readings(dir.path(), port, 1).await;
    let good = provider.machine("hiro");
    let (status, text) = ask(&gateway, &good, "GET /history?stream=air-quality").await;
    assert_eq!((status, text != "[]"), (200, true), "{text}");
    let (_, mut refused) = client(port, "aoba:hiro", &good, &["out/aoba:hiro/#"]);
    assert_eq!(next(&mut refused).await.0, "not connected");
}

/// Faults in the agreement are found where they are, and change nothing.
#[test]
fn faults_of_agreements_are_found() {
    let (dir, provider) = (example(), Provider::start());
    let good = agreed(&provider);
    let check = |text: &str| {
        city(dir.path(), text);
        let mut command = Command::new(PROGRAM);
        command.current_dir(dir.path()).args([
            "--config",
            "city.toml",
            "--secrets",
            "secrets.toml",
            "--check",
        ]);
        let output = command.output().unwrap();
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    };
    assert!(check(&good).0);
    fs::write(dir.path().join("aoba.pem"), "nothing").unwrap();
    let twice = format!("{good}{}", good.replace("\"aoba\"", "\"nagi\""));
    let nagi = "\n[[cities]]\nid = \"nagi\"\nname = \"Nagi\"\n";
    for (text, message) in [
        (good.replace("max_level = 2", "max_level = 10"), "partners[0].login.max_level: a level is 0 to 9"),
        (
            good.replace("\"weather\"", "\"parks\""),
            "partners[0].login.departments: there is no department `parks`",
        ),
        (good.replace("audience", "audiences"), "partners[0].login: unknown field `audiences`"),
        (
            good.replace("jwks = \"http:", "authorities = \"aoba.pem\"\njwks = \"https:"),
            "partners[0].login.authorities: ",
        ),
        (
            good.replace("jwks = \"http:", "authorities = \"none.pem\"\njwks = \"https:"),
            "partners[0].login.authorities: ",
        ),
        (format!("{twice}{nagi}"), "login.issuer: is another city's too"),
    ] {
        let (is_good, error) = check(&text);
        assert!(!is_good && error.contains(message), "{message}: {error}");
    }
}
