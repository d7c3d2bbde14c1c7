//! Devices that speak as FIWARE's IoT agent expects, at the own broker.

use super::{kept::ask, *};

const GROUPS: &str = "\n[ngsi_ld.iot_agent.lamps]\nkey = \"K1\"\ntype = \"Streetlight\"\ndevices = [\"lamp-1\", \"lamp-2\"]\n\
    commands = [\"switch\", \"dim\"]\n";
const LAMP: &str = "urn:ngsi-ld:Streetlight:lamp-1";

/// The example, with two lamps, and somebody of their department.
fn city(groups: &str) -> TempDir {
    let dir = example();
    let (city, secrets) = (dir.path().join("city.toml"), dir.path().join("secrets.toml"));
    let (mut users, mut passwords) = (String::new(), String::new());
    for (name, level) in [("lamp-1", 1), ("lamp-2", 1), ("nora", 1), ("low", 0)] {
        let sends_only = name.starts_with("lamp");
        users += &format!(
            "\n[[users]]\nid = \"{name}\"\ncity = \"midori\"\ndepartments = [\"rescue\"]\nlevel = {level}\nsends_only = {sends_only}\n"
        );
        passwords += &format!("\n[users.{name}]\nmqtt_password = \"example-{name}\"\n");
    }
    fs::write(&city, fs::read_to_string(&city).unwrap() + &users + groups).unwrap();
    fs::write(&secrets, fs::read_to_string(&secrets).unwrap() + &passwords).unwrap();
    dir
}

/// Sends with QoS 1; returns when it is acknowledged, and whether it was.
async fn send_to(port: u16, account: &str, topic: &str, payload: &str) -> bool {
    let account = (account.to_owned(), format!("example-{account}"));
    let (topic, payload) = (topic.to_owned(), payload.to_owned());
    let taken = move || brokers::is_taken(port, (&account.0, &account.1), &topic, false, payload.as_bytes());
    tokio::task::spawn_blocking(taken).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_they_send_is_an_entity_that_says_that_it_is_not_authenticated() {
    let dir = city(GROUPS);
    let gateway = gateway(dir.path(), None);
    assert!(send_to(gateway.mqtt, "lamp-1", "/json/K1/lamp-1/attrs", r#"{"power":12,"state":"on"}"#).await);
    assert!(send_to(gateway.mqtt, "lamp-1", "/json/K1/lamp-1/attrs/state", "off").await);
    // It is stored when it is acknowledged, and the policy holds as for what users write.
    let path = format!("GET entities/{LAMP}");
    let (status, lamp) = ask(&gateway, "nora", &path, "").await;
    assert_eq!(status, 200, "{lamp}");
    assert_eq!((&lamp["power"]["value"], &lamp["state"]["value"]), (&12.into(), &"off".into()));
    for marked in [&lamp, &lamp["power"], &lamp["state"]] {
        assert_eq!(marked["authenticated"]["value"], false);
    }
    for user in ["hana", "ren", "sora", "low"] {
        assert_eq!(ask(&gateway, user, &path, "").await.0, 404, "{user}");
    }
    // Nobody has the topics of another, and what is wrong changes nothing.
    for (account, topic) in [
        ("lamp-2", "/json/K1/lamp-1/attrs"),
        ("nora", "/json/K1/lamp-1/attrs"),
        ("nora", "/json/K1/nora/attrs"),
        ("lamp-1", "/json/K2/lamp-1/attrs"),
        ("lamp-1", "/K1/lamp-1/cmd"),
        ("lamp-1", "up/lamp-1/1"),
    ] {
        assert!(!send_to(gateway.mqtt, account, topic, r#"{"power":99}"#).await, "{account} {topic}");
    }
    for payload in ["{\"power\":", "{\"authenticated\":true}", "{\"id\":\"urn:x\"}"] {
        send_to(gateway.mqtt, "lamp-1", "/json/K1/lamp-1/attrs", payload).await;
    }
    assert_eq!(ask(&gateway, "nora", &path, "").await.1, lamp);
    // Nobody makes it look authenticated, and a lamp's password opens nothing else.
    let forged =
        format!(r#"[{{"id":"{LAMP}","type":"Streetlight","power":{{"type":"Property","value":99}}}}]"#);
    let upsert = "POST entityOperations/upsert?options=update";
    assert_eq!(ask(&gateway, "nora", upsert, &forged).await.0, 207);
    let (status, _) = ask(&gateway, "nora", &format!("PATCH entities/{LAMP}/attrs"), r#"{"power":99}"#).await;
    assert_eq!(status, 422);
    assert_eq!(ask(&gateway, "nora", &path, "").await.1, lamp);
    for line in ["GET entities?type=Streetlight", upsert] {
        assert_eq!(ask(&gateway, "lamp-1", line, &forged).await.0, 401);
    }
    let (_lamp, mut received) = client(gateway.mqtt, "lamp-1", "example-lamp-1", &["out/lamp-1/#"]);
    let (gate, mut link) =
        (user(gateway.mqtt, "70b3d5fffe000001", &[]).0, DeviceLink::new(&root(GATE), GATE, Epoch(1)));
    let mut buffer = [0; 255];
    let (city, _) = files(dir.path());
    let frame = link.seal_reading(city.streams[&1].stream, b"1", &mut buffer).unwrap();
    send(&gate, &format!("up/{GATE}/1"), frame);
    let got = drain(&mut received, Duration::from_millis(700)).await;
    assert!(got.iter().all(|(topic, ..)| !topic.starts_with("out/")), "{got:?}");
    let (_, metrics) = http(&gateway.http, "GET /metrics").await;
    for line in ["{result=\"written\"} 2", "{result=\"payload\"} 1", "{result=\"attribute\"} 2"] {
        let line = format!("smart_city_unauthenticated_messages_total{line}");
        assert!(metrics.contains(&line), "{line}\n{metrics}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_reach_the_device_and_are_in_the_audit_log() {
    let dir = city(GROUPS);
    let gateway = gateway(dir.path(), None);
    let (lamp, mut received) =
        client(gateway.mqtt, "lamp-1", "example-lamp-1", &["/K1/lamp-1/cmd", "/K1/lamp-2/cmd", "/+/+/cmd"]);
    subscribed(&mut received).await;
    let post = async |path: &str, token: &str, body: &str| {
        let headers =
            format!("Authorization: Bearer example-{token}-token-0000\nContent-Type: application/json");
        http(&gateway.http, &format!("POST /unauthenticated/{path}\n{headers}\n\n{body}")).await.0
    };
    for (path, token, body, expected) in [
        ("lamp-1/switch", "operator", r#"{"to":"on"}"#, 202),
        ("lamp-1/dim", "operator", "7", 202),
        ("lamp-2/switch", "operator", "1", 202),
        ("lamp-1/explode", "operator", "1", 404),
        ("lamp-3/switch", "operator", "1", 404),
        ("nora/switch", "operator", "1", 404),
        ("lamp-1/switch", "viewer", "1", 403),
        ("lamp-1/switch", "auditor", "1", 403),
        ("lamp-1/switch", "nobody", "1", 401),
        ("lamp-1/switch", "operator", &format!("\"{}\"", "x".repeat(3000)), 413),
    ] {
        assert_eq!(post(path, token, body).await, expected, "{path} {token}");
    }
    let messages: Vec<_> = drain(&mut received, Duration::from_millis(700))
        .await
        .into_iter()
        .filter(|(topic, ..)| topic.starts_with('/'))
        .map(|(topic, payload, _)| (topic, String::from_utf8(payload).unwrap()))
        .collect();
    let expected = [r#"{"switch":{"to":"on"}}"#, r#"{"dim":7}"#]
        .map(|text| ("/K1/lamp-1/cmd".to_owned(), text.to_owned()));
    assert_eq!(messages, expected);
    let path = format!("GET entities/{LAMP}?options=keyValues");
    assert_eq!(ask(&gateway, "nora", &path, "").await.1["switch_status"], "PENDING");
    send(&lamp, "/json/K1/lamp-1/cmdexe", br#"{"switch":"is on"}"#);
    let start = Instant::now();
    loop {
        let (_, entity) = ask(&gateway, "nora", &path, "").await;
        if (&entity["switch_status"], &entity["switch_info"]) == (&"OK".into(), &"is on".into()) {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "{entity}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let log = fs::read_to_string(dir.path().join("data/audit.jsonl")).unwrap();
    let commands: Vec<_> = log.lines().filter(|line| line.contains("\"commanded\"")).collect();
    assert_eq!(commands.len(), 3, "{commands:?}");
    assert!(commands[0].contains("kana") && commands[0].contains("/K1/lamp-1/cmd"), "{}", commands[0]);
}

/// Off by default; on and off again by a reload.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_group_there_is_no_such_topic() {
    let dir = city("");
    let gateway = gateway(dir.path(), None);
    let attempt = || send_to(gateway.mqtt, "lamp-1", "/json/K1/lamp-1/attrs", r#"{"power":1}"#);
    assert!(!attempt().await);
    let path = dir.path().join("city.toml");
    let without = fs::read_to_string(&path).unwrap();
    for (text, expected) in [(format!("{without}{GROUPS}"), true), (without, false)] {
        fs::write(&path, text).unwrap();
        let start = Instant::now();
        while attempt().await != expected {
            assert!(start.elapsed() < Duration::from_secs(20), "the files are not taken over");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

#[test]
fn a_fault_in_a_group_is_told() {
    for (groups, expected) in [
        (
            GROUPS.replace("lamp-2", "lamp-9"),
            "ngsi_ld.iot_agent.lamps.devices: there is no user \"lamp-9\" with",
        ),
        (format!("{GROUPS}context = \"https://a.example\"\n"), "ngsi_ld.iot_agent.lamps.context"),
    ] {
        let dir = city(&groups);
        let output = Command::new(PROGRAM)
            .current_dir(dir.path())
            .args(["--config", "city.toml", "--secrets", "secrets.toml", "--check"])
            .output()
            .unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && told.contains(expected), "{told}");
    }
}
