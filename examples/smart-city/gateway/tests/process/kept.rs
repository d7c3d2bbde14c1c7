//! What users wrote over NGSI-LD, after a kill, with other files, and without its file.

use base64ct::{Base64, Encoding as _};
use serde_json::json;

use super::*;

const SUBSCRIPTION: &str = r#"{"type":"Subscription","entities":[{"type":"Note"}],"notification":{"endpoint":{"uri":"mqtt://x/out/hana/NGSI-LD"}}}"#;

pub(crate) async fn ask(gateway: &Gateway, user: &str, line: &str, body: &str) -> (u16, Value) {
    let login = Base64::encode_string(format!("{user}:example-{user}").as_bytes());
    let (method, path) = line.split_once(' ').unwrap();
    let request = format!(
        "{method} /ngsi-ld/v1/{path}\nContent-Type: application/json\nAuthorization: Basic {login}\n\n{body}"
    );
    let (status, body) = http(&gateway.http, &request).await;
    (status, serde_json::from_str(&body).unwrap_or_default())
}

fn ids(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|element| element["id"].as_str().unwrap()).collect()
}

/// Starts a gateway that must not start; returns what it says.
fn refused(dir: &Path) -> String {
    let mut command = Command::new(PROGRAM);
    command.current_dir(dir).args(["--config", "city.toml", "--secrets", "secrets.toml", "--data", "data"]);
    let output = command.args(["--mqtt", "127.0.0.1:0", "--http", "127.0.0.1:0"]).output().unwrap();
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

/// Every answer that somebody got holds after a kill. Each round kills the gateway while users write.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_is_there_after_a_kill() {
    let dir = example();
    let (mut expected, mut subscriptions) = (BTreeSet::new(), 0);
    for round in 0..4 {
        let gateway = Arc::new(gateway(dir.path(), None));
        let (_, found) = ask(&gateway, "hana", "GET entities?type=Note&limit=1000", "").await;
        let found: BTreeSet<_> = ids(&found).into_iter().map(str::to_owned).collect();
        assert!(found.is_superset(&expected), "{expected:?} {found:?}");
        // What was not answered may be there, or not.
        assert!(found.len() <= expected.len() + round, "{expected:?} {found:?}");
        expected = found;
        let (_, own) = ask(&gateway, "hana", "GET subscriptions", "").await;
        assert_eq!(ids(&own).len(), subscriptions);
        assert_eq!(ask(&gateway, "hana", "POST subscriptions", SUBSCRIPTION).await.0, 201);
        subscriptions += 1;
        let writer = tokio::spawn({
            let gateway = Arc::clone(&gateway);
            async move {
                let mut answered = Vec::new();
                for n in 0.. {
                    let id = format!("urn:n:{round}:{n}");
                    let body = json!({ "id": id, "type": "Note", "text": "x".repeat(100) }).to_string();
                    match timeout(Duration::from_secs(1), ask(&gateway, "hana", "POST entities", &body)).await
                    {
                        Ok((201, _)) => answered.push(id),
                        _ => break,
                    }
                }
                answered
            }
        });
        tokio::time::sleep(Duration::from_millis(300)).await;
        let id = gateway.process.0.id().to_string();
        assert!(Command::new("kill").args(["-9", &id]).status().unwrap().success());
        let answered = writer.await.unwrap_or_default();
        println!("{} answers before the kill", answered.len());
        expected.extend(answered);
    }
    assert!(expected.len() > 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_files_and_lost_ones() {
    let dir = example();
    let path = dir.path().join("city.toml");
    let gateway_here = || gateway(dir.path(), None);
    let running = gateway_here();
    for user in ["hana", "ren"] {
        let body = json!({ "id": format!("urn:n:{user}"), "type": "Note" }).to_string();
        assert_eq!(ask(&running, user, "POST entities", &body).await.0, 201);
    }
    assert_eq!(ask(&running, "hana", "POST subscriptions", SUBSCRIPTION).await.0, 201);
    drop(running);

    // A change of the files while the gateway is stopped is as a reload.
    let city = fs::read_to_string(&path).unwrap();
    let at = city.find("id = \"hana\"").unwrap();
    let level = at + city[at..].find("level = ").unwrap();
    let lower = format!("{}level = 0{}", &city[..level], &city[level + "level = 0".len()..]);
    assert_ne!(lower, city);
    for text in [&lower, &city] {
        fs::write(&path, text).unwrap();
        let running = gateway_here();
        assert_eq!(ask(&running, "hana", "GET entities/urn:n:hana", "").await.0, 404);
        assert_eq!(ask(&running, "ren", "GET entities/urn:n:ren", "").await.0, 200);
        assert_eq!(ids(&ask(&running, "hana", "GET subscriptions", "").await.1).len(), 1);
    }

    // A file that cannot be read stops the start, however often it is tried.
    let file = dir.path().join("data/entities.redb");
    let good = fs::read(&file).unwrap();
    let mut flipped = good.clone();
    flipped[0] ^= 1;
    for damaged in [Vec::new(), good[..good.len() / 2].to_vec(), flipped, b"text".to_vec()] {
        fs::write(&file, &damaged).unwrap();
        for _ in 0..2 {
            let said = refused(dir.path());
            assert!(said.contains("entities.redb: ") && said.contains("move it away"), "{said}");
        }
    }
    fs::write(&file, &good).unwrap();
    assert_eq!(ask(&gateway_here(), "ren", "GET entities/urn:n:ren", "").await.0, 200);

    // Without the file there is nothing, which the log says once.
    fs::rename(&file, dir.path().join("away")).unwrap();
    let before = fs::read_to_string(dir.path().join("log")).unwrap();
    assert!(!before.contains("is not there"), "{before}");
    for _ in 0..2 {
        let running = gateway_here();
        assert_eq!(ask(&running, "ren", "GET entities/urn:n:ren", "").await.0, 404);
    }
    let log = fs::read_to_string(dir.path().join("log")).unwrap();
    assert_eq!(log.matches("entities.redb is not there").count(), 1, "{log}");
}
