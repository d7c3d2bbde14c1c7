//! Gateways of several cities of which one isolates a device.

use sha2::{Digest as _, Sha256};
use smart_city_incidents::ROOT;

use common::TestDevice;

use super::{cities::*, *};

/// What a partner may read with this.
const TOKEN: &str = "0123456789abcdef0123456789abcdef";

fn reader() -> String {
    format!("\n[partners.incidents]\nreader = \"{}\"\n", hex::encode(Sha256::digest(TOKEN)))
}

/// Where another gateway tells of its incidents.
fn source(of: &str, rest: &str) -> String {
    format!(
        "\n[partners.incidents]\ncollection = \"http://{of}{ROOT}city/collections/incidents\"\ntoken = \"token\"\n{rest}\n"
    )
}

/// Waits until it is so, and says how long that took.
async fn until(what: &str, is_so: impl AsyncFn() -> bool) -> Duration {
    let begin = Instant::now();
    while !is_so().await {
        assert!(begin.elapsed() < Duration::from_secs(20), "{what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    begin.elapsed()
}

/// The incidents of an event of the audit log.
async fn incidents(gateway: &Gateway, event: &str) -> Vec<String> {
    let of = |detail: &Value| detail["incident"].as_str().unwrap().to_owned();
    audit(gateway, event).await.iter().map(of).collect()
}

async fn counts(gateway: &Gateway, event: &str, count: usize) -> bool {
    audit(gateway, event).await.len() >= count
}

/// What has a city, of what it has learned.
async fn learned(gateway: &Gateway) -> Value {
    let (_, text) = http(&gateway.http, "GET /status").await;
    serde_json::from_str::<Value>(&text).unwrap()["incidents"]["learned"]["midori"].clone()
}

/// The gate of Midori is altered.
async fn isolate(a: &Gateway, gate: &mut Connected) -> Instant {
    gate.device.code[0] ^= 1;
    // The gateway may not have its first reading yet, without which it does not know how to reach it.
    until("it is examined", async || post(a, "examine").await == 202).await;
    gate.follow().await;
    let since = Instant::now();
    metric(a, "smart_city_devices_isolated 1").await;
    since
}

/// What Midori has isolated is held back in Aoba and marked in Hibari within seconds, until Midori says that it is recovered; over restarts,
/// and until the agreement ends. The audit logs name the same incidents.
#[tokio::test(flavor = "multi_thread")]
async fn what_one_city_isolates_others_distrust() {
    let towns = ["midori", "aoba", "hibari"].map(Town::new);
    let [midori, aoba, hibari] = &towns;
    for town in [aoba, hibari] {
        fs::write(town.dir.path().join("token"), TOKEN).unwrap();
        town.agree(&[(midori, TAKES.to_owned())]);
    }
    let (b, c) = (gateway(aoba.dir.path(), None), gateway(hibari.dir.path(), None));
    let to = |gateway: &Gateway| {
        format!("url = \"http://{}\"\nsend = [\"traffic-flow\"]{}", gateway.http, reader())
    };
    midori.agree(&[(aoba, to(&b)), (hibari, to(&c))]);
    let a = gateway(midori.dir.path(), None);
    let from = |trust: &str| TAKES.to_owned() + &source(&a.http, trust);
    aoba.agree(&[(midori, from(""))]);
    hibari.agree(&[(midori, from("trust = \"mark\""))]);
    for gateway in [&b, &c] {
        until("it reads", async || learned(gateway).await["answers"].as_u64() > Some(0)).await;
    }
    let (_hana, mut hana) = user(b.mqtt, "hana", &["out/hana/#"]);
    let (_ren, mut ren) = user(c.mqtt, "ren", &["out/ren/#"]);
    subscribed(&mut hana).await;
    subscribed(&mut ren).await;
    let mut gate = Connected::to(&a, midori, GATE).await;
    gate.reading(1, b"1");
    gets(&mut hana, "out/hana/midori/traffic-flow", b"1").await;
    let (.., said) = gets(&mut ren, "out/ren/midori/traffic-flow", b"1").await;
    assert!(!said.contains_key("distrusted"));

    let since = isolate(&a, &mut gate).await;
    for gateway in [&b, &c] {
        until("it distrusts", async || counts(gateway, "distrusted", 1).await).await;
    }
    let took = since.elapsed();
    println!("distrusted in both cities after {took:?}");
    assert!(took < Duration::from_secs(5), "{took:?}");
    let told = incidents(&a, "incident told").await;
    assert_eq!(told.len(), 1);
    for gateway in [&b, &c] {
        assert_eq!(incidents(gateway, "distrusted").await, told);
        assert_eq!(incidents(gateway, "incident learned").await, told);
        assert_eq!(learned(gateway).await["isolated"], 1);
    }
    // Who has Midori's keys may hand over what it likes of the gate: here Midori's own files, on another gateway.
    drop(gate);
    let other = Town { dir: copy(midori), ..Town::new("midori") };
    let elsewhere = gateway(other.dir.path(), None);
    let mut gate = Connected::to(&elsewhere, &other, GATE).await;
    gate.reading(1, b"2");
    let (.., said) = gets(&mut ren, "out/ren/midori/traffic-flow", b"2").await;
    assert_eq!(said.get("distrusted"), told.first());
    metric(&b, "smart_city_taken_over_total{city=\"midori\"} 2").await;
    assert_eq!(drain(&mut hana, Duration::from_millis(500)).await, []);

    // A restart forgets nothing, while Midori is away.
    drop(b);
    let files = midori.dir.path();
    drop(a);
    let b = gateway(aoba.dir.path(), None);
    other.agree(&[(aoba, to(&b)), (hibari, to(&c))]);
    let (_hana, mut hana) = user(b.mqtt, "hana", &["out/hana/#"]);
    subscribed(&mut hana).await;
    until("it says that it hears nothing", async || learned(&b).await["failing"].is_string()).await;
    gate.reading(1, b"3");
    metric(&b, "smart_city_taken_over_total{city=\"midori\"} 1").await;
    assert_eq!(drain(&mut hana, Duration::from_millis(500)).await, []);
    assert_eq!(
        incidents(&b, "distrusted").await,
        [told[0].clone(), told[0].clone()],
        "said again at the start"
    );
    drop(gate);
    drop(elsewhere);

    // Midori comes back, and recovers the gate.
    midori.agree(&[(aoba, to(&b)), (hibari, to(&c))]);
    let a = gateway(files, None);
    let from = |trust: &str| TAKES.to_owned() + &source(&a.http, trust);
    aoba.agree(&[(midori, from(""))]);
    hibari.agree(&[(midori, from("trust = \"mark\""))]);
    let mut gate = Connected::to(&a, midori, GATE).await;
    gate.device = TestDevice::new(GATE, 2, files);
    assert_eq!(post(&a, "recover").await, 202);
    // It opens the epoch that a recovery takes, and reaches nobody.
    gate.reading(1, b"4");
    gate.follow().await;
    metric(&a, "smart_city_devices_isolated 0").await;
    let since = Instant::now();
    for gateway in [&b, &c] {
        until("it trusts again", async || counts(gateway, "trusted again", 1).await).await;
        assert_eq!(incidents(gateway, "trusted again").await, told);
    }
    println!("trusted again in both cities after {:?}", since.elapsed());
    assert_eq!(
        incidents(&a, "incident told").await,
        [told[0].clone(), told[0].clone()],
        "told once, and its end once"
    );
    gate.device = TestDevice::new(GATE, 3, files);
    gate.reading(1, b"5");
    gets(&mut hana, "out/hana/midori/traffic-flow", b"5").await;
    let (.., said) = gets(&mut ren, "out/ren/midori/traffic-flow", b"5").await;
    assert!(!said.contains_key("distrusted"));

    // Another one. It ends in Hibari with the agreement there, and Midori tells Aoba nothing any more.
    isolate(&a, &mut gate).await;
    until("it distrusts", async || counts(&b, "distrusted", 3).await && counts(&c, "distrusted", 2).await)
        .await;
    // An operator of Aoba knows better.
    let (_, text) = http(&b.http, "GET /cities").await;
    let cities: Value = serde_json::from_str(&text).unwrap();
    let report = &cities["midori"]["incidents"]["reports"][0];
    assert_eq!((&report["device"], &report["trust"]), (&GATE.to_string().into(), &"hold".into()));
    let incident = report["incident"].as_str().unwrap();
    let decide = async |incident: &str, by: &str, how: &str| {
        http(&b.http, &format!("POST /cities/midori/incidents/{incident}/{how}\n{by}")).await.0
    };
    for (incident, by, expected) in [
        (incident, "Authorization: Bearer example-viewer-token-0000", 403),
        (incident, "", 401),
        (&*told[0], OPERATOR, 404),
        (incident, OPERATOR, 202),
    ] {
        for how in if expected == 202 { &["clear"][..] } else { &["clear", "restore"] } {
            assert_eq!(decide(incident, by, how).await, expected, "{incident} {by} {how}");
        }
    }
    until("it trusts again", async || counts(&b, "trusted again", 2).await).await;
    let cleared = serde_json::json!({
        "city": "midori", "device": GATE.to_string(), "incident": incident, "state": "cleared", "operator": "kana",
    });
    assert_eq!(audit(&b, "incident cleared").await, [cleared]);
    assert_eq!(decide(incident, OPERATOR, "restore").await, 202);
    until("it distrusts", async || counts(&b, "distrusted", 4).await).await;
    assert_eq!(audit(&b, "incident restored").await.len(), 1);
    hibari.agree(&[(midori, TAKES.to_owned())]);
    until("it trusts again", async || counts(&c, "trusted again", 2).await).await;
    midori.agree(&[(hibari, to(&c))]);
    until("it hears nothing", async || {
        learned(&b).await["failing"].as_str().is_some_and(|why| why.contains("401"))
    })
    .await;
    let login = format!("Authorization: Basic {}", base64(&format!("aoba:{TOKEN}")));
    let ask = format!("GET {ROOT}\n{login}\nAccept: application/taxii+json;version=2.1");
    assert_eq!(http(&a.http, &ask).await.0, 401);
    assert_eq!(
        http(&a.http, &ask.replace("aoba", "hibari")).await.0,
        401,
        "the name is part of what is encoded"
    );
    let ask = ask.replace(&base64(&format!("aoba:{TOKEN}")), &base64(&format!("hibari:{TOKEN}")));
    assert_eq!(http(&a.http, &ask).await.0, 200);
    assert_eq!(
        http(&a.http, &format!("GET {ROOT}\n{OPERATOR}")).await.0,
        401,
        "operators of Midori have /audit"
    );
}

/// The files of a city, without its data.
fn copy(town: &Town) -> TempDir {
    let dir = example();
    for entry in fs::read_dir(town.dir.path()).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            fs::copy(entry.path(), dir.path().join(entry.file_name())).unwrap();
        }
    }
    dir
}

fn base64(text: &str) -> String {
    use base64ct::{Base64, Encoding as _};
    Base64::encode_string(text.as_bytes())
}

/// A program of PyPI, which `cargo xtask` has installed in an environment of its own.
fn python(environment: &str, program: &str) -> Command {
    let target = Path::new(PROGRAM).ancestors().nth(3).unwrap();
    let path = target.join("python").join(environment).join("bin").join(program);
    assert!(
        path.exists(),
        "this test takes {}, as `cargo xtask test smart-city` installs it",
        path.display()
    );
    Command::new(path)
}

/// Others' programs read what is told, and find it good: by each of their requests, and by the strictest rules of the standard.
#[tokio::test(flavor = "multi_thread")]
async fn other_programs_read_incidents() {
    let towns = ["midori", "aoba"].map(Town::new);
    let [midori, aoba] = &towns;
    midori.agree(&[(aoba, reader())]);
    let a = gateway(midori.dir.path(), None);
    let mut gate = Connected::to(&a, midori, GATE).await;
    gate.reading(1, b"1");
    isolate(&a, &mut gate).await;
    until("it is told", async || counts(&a, "incident told", 1).await).await;
    let read = || {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../incidents/tests/python/read.py");
        let mut command = python("taxii2-client", "python");
        command.arg(script).args([&format!("http://{}{ROOT}", a.http), "aoba", TOKEN]);
        let read = command.output().unwrap();
        assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
        serde_json::from_slice::<Value>(&read.stdout).unwrap()
    };
    let validate = |found: &Value| {
        let bundle = serde_json::json!({
            "type": "bundle", "id": "bundle--5d0092c5-5f74-4287-9642-33f4c354e56d", "objects": found["objects"],
        });
        let path = midori.dir.path().join("bundle.json");
        fs::write(&path, bundle.to_string()).unwrap();
        let validated =
            python("stix2-validator", "stix2_validator").arg("--strict").arg(path).output().unwrap();
        let said = String::from_utf8_lossy(&validated.stdout).into_owned();
        assert!(validated.status.success() && said.contains("STIX JSON: Valid"), "{said}\n{bundle:#}");
    };
    let found = read();
    validate(&found);
    let objects = found["objects"].as_array().unwrap();
    let kinds: BTreeSet<_> = objects.iter().map(|object| object["type"].as_str().unwrap()).collect();
    let expected = [
        "artifact",
        "course-of-action",
        "extension-definition",
        "identity",
        "incident",
        "marking-definition",
        "observed-data",
        "relationship",
        "user-account",
    ];
    assert_eq!(kinds, BTreeSet::from(expected));
    assert_eq!((objects.len(), found["pages"].as_u64()), (11, Some(4)));
    let ids = |of: &str| -> Vec<Value> {
        found[of].as_array().unwrap().iter().map(|object| object["id"].clone()).collect()
    };
    assert_eq!(ids("manifest"), ids("objects"));
    assert_eq!((&found["one"], &found["later"]), (&found["incidents"], &serde_json::json!({})));
    assert_eq!(found["incidents"][0]["id"], *incidents(&a, "incident told").await[0]);
    // The evidence is what the gateway has signed, which its key checks.
    let artifact = objects.iter().find(|object| object["type"] == "artifact").unwrap();
    let (_, signed) = http(&a.http, &format!("GET /devices/{GATE}/result")).await;
    assert_eq!(artifact["payload_bin"], base64(&signed));

    assert_eq!(post(&a, "recover").await, 202);
    gate.follow().await;
    until("its end is told", async || counts(&a, "incident told", 2).await).await;
    let after = read();
    validate(&after);
    assert_eq!(after["versions_of_one"].as_array().unwrap().len(), 2);
    assert_eq!(
        (&after["one"][0]["id"], &after["one"][0]["created"]),
        (&found["one"][0]["id"], &found["one"][0]["created"])
    );
    assert!(after["one"][0]["modified"].as_str() > found["one"][0]["modified"].as_str());
}
