//! What users wrote is there again after a start.

use std::{
    collections::BTreeMap,
    io,
    sync::mpsc::{Receiver, Sender, channel},
    time::Duration,
};

use smart_city_ngsi_ld::{Keeper, Key};

use super::*;

type Records = BTreeMap<Key, Vec<u8>>;

/// Keeps it in memory, and counts how often.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<(Records, usize)>>);

impl Keeper for Kept {
    fn keep(&self, changes: &[(Key, Option<Vec<u8>>)]) -> io::Result<()> {
        let (records, times) = &mut *self.0.lock().unwrap();
        *times += 1;
        for (key, record) in changes.iter().cloned() {
            match record {
                Some(record) => drop(records.insert(key, record)),
                None => drop(records.remove(&key)),
            }
        }
        Ok(())
    }
}

impl Kept {
    fn records(&self) -> Records {
        self.0.lock().unwrap().0.clone()
    }

    /// A broker that starts with what is kept.
    fn start_with(&self, rules: Rules) -> City {
        let city = City::new();
        city.broker.configure(rules, mapping(&[]), |_| false);
        city.broker.restore(self.clone(), self.records()).unwrap();
        city
    }

    fn start(&self) -> City {
        self.start_with(Rules::default())
    }
}

fn subscription(user: &str) -> Value {
    json!({
        "type": "Subscription", "entities": [{ "type": "T" }], "q": "n>1;name~=x.*", "expiresAt": "2026-01-01T00:00:10Z",
        "notification": { "attributes": ["n"], "endpoint": { "uri": format!("mqtt://b/out/{user}/x") } },
        "@context": { "T": "https://a.example/T", "n": "https://a.example/n" },
    })
}

/// A start changes nothing that users see of it.
#[test]
fn a_start_gives_the_same_answers() {
    let kept = Kept::default();
    let mut city = kept.start();
    // Numbers, times and texts that are not the same if they are read in another way.
    let entity = json!({
        "id": "urn:a:1", "type": ["T", "https://b.example/U"], "scope": ["/x", "/y"],
        "n": [
            { "type": "Property", "value": 0.123_456_789_012_345_68, "datasetId": "urn:d:1", "unitCode": "KMH" },
            { "type": "Property", "value": 1.7976931348623157e308, "observedAt": "2026-01-01T00:00:00.123456Z" },
        ],
        "m": { "type": "Property", "value": 18_446_744_073_709_551_615_u64, "by": { "type": "Relationship", "object": "urn:a:2" } },
        "l": { "type": "LanguageProperty", "languageMap": { "en": "a\u{0}b", "ja": ["あ", "\u{10FFFF}"] } },
        "g": { "type": "GeoProperty", "value": { "type": "Point", "coordinates": [139.7528, 35.6852] } },
        "@context": { "T": "https://a.example/T", "n": "https://a.example/n" },
    });
    city.post("ann", "POST entities", &entity).is(201);
    let second = json!({ "id": "urn:a:2", "type": "T", "n": 1 });
    city.post("ann", "POST entities", &second).is(201);
    city.post("cid", "POST entities", &second).is(201);
    city.post("ann", "POST subscriptions", &subscription("ann")).is(201);
    city.now = "2026-01-01T00:00:01.5Z".parse().unwrap();
    city.post("ben", "POST entities/urn:a:1/attrs", &json!({ "m": 2, "k": [1, 2] })).is(204);
    city.post("ann", "PATCH entities/urn:a:1/attrs/m", &json!({ "value": 3 })).is(204);
    city.post("ben", "POST subscriptions", &subscription("ben")).is(201);
    city.post("ben", "PATCH subscriptions/urn:ngsi-ld:Subscription:ben:1", &json!({ "isActive": false }))
        .is(204);
    city.get("ann", "entities/urn:a:2").is(200);
    let answers = |city: &City| {
        let mut all = Vec::new();
        for user in ["ann", "ben", "cid", "dan"] {
            for path in [
                "entities/urn:a:1?options=sysAttrs",
                "entities/urn:a:2?options=sysAttrs",
                "types",
                "subscriptions",
            ] {
                all.push(city.get(user, path));
            }
            all.push(city.get_traffic(user, "attributes?details=true"));
        }
        all
    };
    let mut before = answers(&city);
    for seconds in ["02", "20"] {
        let time: Timestamp = format!("2026-01-01T00:00:{seconds}Z").parse().unwrap();
        city.now = time;
        before = answers(&city);
        city = City { now: time, ..kept.start() };
        assert_eq!(answers(&city), before);
    }
    // What has expired is still there, and says so; and a broker that goes on gives no id twice.
    let expired = city.get("ann", "subscriptions/urn:ngsi-ld:Subscription:ann:1").is(200);
    assert_eq!((&expired["status"], &expired["q"]), (&json!("expired"), &json!("n>1;name~=x.*")));
    let mut other = subscription("ann");
    other.as_object_mut().unwrap().remove("expiresAt");
    let made = city.post("ann", "POST subscriptions", &other);
    assert_eq!(
        (made.status.as_u16(), made.header("location")),
        (201, "/ngsi-ld/v1/subscriptions/urn:ngsi-ld:Subscription:ann:2".into())
    );
    drop(before);
}

/// Subscriptions go on to notify.
#[test]
fn a_subscription_notifies_after_a_start() {
    let kept = Kept::default();
    let body = json!({
        "type": "Subscription", "watchedAttributes": ["n"], "notification": { "endpoint": { "uri": "mqtt://b/out/ann/x" } },
    });
    kept.start().post("ann", "POST subscriptions", &body).is(201);
    let city = kept.start();
    city.post("ben", "POST entities", &json!({ "id": "urn:a:1", "type": "T", "n": 5 })).is(201);
    let jobs = city.broker.due(std::time::Instant::now(), city.now);
    assert_eq!(jobs.len(), 1);
    assert_eq!(serde_json::from_slice::<Value>(&jobs[0].body).unwrap()["body"]["data"][0]["n"]["value"], 5);
}

#[test]
fn what_is_deleted_does_not_come_back() {
    let kept = Kept::default();
    let city = kept.start();
    for id in ["urn:a:1", "urn:a:2"] {
        city.post("ann", "POST entities", &json!({ "id": id, "type": "T", "n": 1 })).is(201);
    }
    city.post("ann", "POST subscriptions", &subscription("ann")).is(201);
    city.send("ann", "DELETE entities/urn:a:1", &[], "").is(204);
    city.send("ann", "DELETE entities/urn:a:2/attrs/n", &[], "").is(204);
    city.send("ann", "DELETE subscriptions/urn:ngsi-ld:Subscription:ann:1", &[], "").is(204);
    let city = kept.start();
    city.get("ann", "entities/urn:a:1").is(404);
    assert_eq!(city.get("ann", "entities/urn:a:2").is(200).get("n"), None);
    assert_eq!(city.get("ann", "subscriptions").is(200), json!([]));
    assert_eq!(kept.records().len(), 1);
}

/// A batch is kept at once, also if a part of it fails; and what changes nothing is not kept.
#[test]
fn a_batch_is_kept_at_once() {
    let kept = Kept::default();
    let city = kept.start();
    let batch: Vec<_> =
        (0..500).map(|i| json!({ "id": format!("urn:a:{i}"), "type": "T" })).chain([json!({})]).collect();
    city.post("ann", "POST entityOperations/create", &json!(batch)).is(207);
    city.get("ann", "entities?type=T").is(200);
    city.post("ann", "POST entities", &json!({ "id": "urn:a:1", "type": "T" })).is(409);
    city.post("cid", "PATCH entities/urn:a:1", &json!({ "n": 1 })).is(404);
    city.measure("open", r#"{"vehicles":5}"#);
    assert_eq!((kept.records().len(), kept.0.lock().unwrap().1), (500, 1));
    // The room of a user is as much as before.
    let city = kept.start();
    let batch: Vec<_> = (500..1001).map(|i| json!({ "id": format!("urn:a:{i}"), "type": "T" })).collect();
    let answer = city.post("ann", "POST entityOperations/create", &json!(batch)).is(207);
    assert_eq!(
        (answer["errors"].as_array().unwrap().len(), &answer["errors"][0]["error"]["status"]),
        (1, &json!(507))
    );
}

/// Who is removed, or gets another standing, meanwhile or while the broker runs, leaves nothing behind that could come back.
#[test]
fn what_was_written_in_another_standing_is_gone() {
    let filled = || {
        let kept = Kept::default();
        let city = kept.start();
        for user in ["ann", "ben"] {
            let id = format!("urn:a:{user}");
            city.post(user, "POST entities", &json!({ "id": id, "type": "T" })).is(201);
            city.post(user, "POST subscriptions", &subscription(user)).is(201);
        }
        (kept, city)
    };
    let promoted = || Rules { promoted: vec!["ann"], ..Rules::default() };
    let gone = || Rules { gone: vec!["ann"], ..Rules::default() };
    for (rules, subscriptions) in [(promoted(), 1), (gone(), 0)] {
        let (kept, _) = filled();
        drop(kept.start_with(rules));
        let city = kept.start();
        city.get("ann", "entities/urn:a:ann").is(404);
        city.get("ann", "entities/urn:a:ben").is(200);
        assert_eq!(city.get("ann", "subscriptions").is(200).as_array().unwrap().len(), subscriptions);
        assert_eq!(kept.records().len(), 2 + subscriptions);
    }
    for (rules, subscriptions) in [(promoted(), 1), (gone(), 0)] {
        let (kept, city) = filled();
        city.broker.configure(rules, mapping(&[]), |source| source != Source::User("ann"));
        assert_eq!(kept.records().len(), 2 + subscriptions);
        // What is written in the new standing is kept with that.
        if subscriptions == 1 {
            city.post("ann", "POST entities", &json!({ "id": "urn:a:new", "type": "T" })).is(201);
            kept.start_with(promoted()).get("ann", "entities/urn:a:new").is(200);
            kept.start().get("ann", "entities/urn:a:new").is(404);
        }
    }
}

/// Tells that it begins, and goes on when it may; with an error if nobody says that.
struct Slow(Sender<()>, Mutex<Receiver<()>>);

impl Keeper for Slow {
    fn keep(&self, _: &[(Key, Option<Vec<u8>>)]) -> io::Result<()> {
        self.0.send(()).unwrap();
        self.1.lock().unwrap().recv().map_err(|_| io::Error::other("the disk is full"))
    }
}

#[test]
fn nobody_sees_what_is_not_kept_yet() {
    let city = City::new();
    let ((begun, begins), (end, ends)) = (channel(), channel());
    city.broker.restore(Slow(begun, Mutex::new(ends)), []).unwrap();
    std::thread::scope(|scope| {
        let written =
            scope.spawn(|| city.post("ann", "POST entities", &json!({ "id": "urn:a:1", "type": "T" })));
        begins.recv().unwrap();
        let seen = scope.spawn(|| city.get("ben", "entities/urn:a:1"));
        std::thread::sleep(Duration::from_millis(200));
        assert!(!seen.is_finished() && !written.is_finished());
        end.send(()).unwrap();
        written.join().unwrap().is(201);
        seen.join().unwrap().is(200);
    });
}

/// If something cannot be kept, who wrote it is told so, nobody sees it, and the broker ends with the reason.
#[tokio::test]
async fn what_cannot_be_kept_ends_the_broker() {
    let city = City::new();
    let ((begun, _begins), (end, ends)) = (channel(), channel());
    city.broker.restore(Slow(begun, Mutex::new(ends)), []).unwrap();
    let subscription = json!({
        "type": "Subscription", "entities": [{ "type": "T" }], "notification": { "endpoint": { "uri": "mqtt://b/out/ben/x" } },
    });
    end.send(()).unwrap();
    city.post("ben", "POST subscriptions", &subscription).is(201);
    drop(end);
    city.post("ann", "POST entities", &json!({ "id": "urn:a:1", "type": "T" })).fails(500, "");
    for user in ["ann", "ben"] {
        city.get(user, "entities/urn:a:1").is(404);
    }
    let why = tokio::time::timeout(
        Duration::from_secs(5),
        Arc::clone(&city.broker).run(smart_city_ngsi_ld::MOST_CONNECTIONS),
    )
    .await
    .unwrap();
    assert_eq!(why, "what users wrote cannot be stored: the disk is full");
    assert!(city.published.0.lock().unwrap().is_empty());
}

#[test]
fn what_cannot_be_read_is_an_error() {
    let kept = Kept::default();
    let city = kept.start();
    city.post("ann", "POST entities", &json!({ "id": "urn:a:1", "type": "T" })).is(201);
    city.post("ann", "POST subscriptions", &subscription("ann")).is(201);
    for (key, record) in kept.records() {
        let mut other = key.clone();
        other.user = "ben".to_owned();
        // A subscription does not say whose it is.
        let is_entity = key.what == smart_city_ngsi_ld::What::Entity;
        for (key, record) in [(key.clone(), record[1..].to_vec()), (key, b"[]".to_vec())]
            .into_iter()
            .chain(is_entity.then_some((other, record)))
        {
            let error = City::new().broker.restore(kept.clone(), [(key, record)]).unwrap_err().to_string();
            assert!(error.starts_with("what is kept of "), "{error}");
        }
    }
}
