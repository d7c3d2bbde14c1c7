//! What other brokers get.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use smart_city_ngsi_ld::{Job, Pushed, Transport, mapping::Fault};
use tokio::{io::AsyncWriteExt as _, net::TcpListener, time::timeout};

use super::{http::receiver, *};

const INTENSITY: &str = "https://smartdatamodels.org/dataModel.Transportation/intensity";
const SPEED: &str = "https://smartdatamodels.org/dataModel.Transportation/averageVehicleSpeed";
const OTHER: &str = "70b3d5fffe000002";

/// The mapping of the other tests, with pushes to these places.
fn pushing(pushes: &[(&str, &str)]) -> Mapping {
    let push: Vec<_> =
        pushes.iter().map(|(name, at)| json!({ "name": name, "url": format!("http://{at}/x/") })).collect();
    let traffic = |name: &str, from: &str| json!({ "model": "TrafficFlowObserved", "properties": { name: { "from": from } } });
    let value = json!({
        "streams": {
            "open": traffic("intensity", "vehicles"), "secret": traffic("averageVehicleSpeed", "speed_kmh"),
            "air": { "model": "AirQualityObserved", "properties": { "no2": { "from": "no2" } } },
        },
        "push": push,
    });
    let parsed: Result<_, Fault> = Mapping::parse(&value, |_| true, |_| true, |_| Err(String::new()));
    parsed.unwrap()
}

/// A city that pushes to one that gets what is open, or all.
fn city(name: &str) -> City {
    let city = City::new();
    city.broker.configure(Rules::default(), pushing(&[(name, "127.0.0.1:9")]), |_| true);
    city
}

/// What a request does, and its body.
fn said(job: &Job) -> (&str, Value) {
    let Transport::Http { authority, path, tls: None } = &job.transport else { panic!() };
    assert_eq!(authority, "127.0.0.1:9");
    assert_eq!(job.headers, [("Content-Type".to_owned(), "application/json".to_owned())]);
    let operation = path.strip_prefix("/x/ngsi-ld/v1/entityOperations/").unwrap();
    (operation, serde_json::from_slice(&job.body).unwrap())
}

impl City {
    fn next(&self, after: Duration) -> Option<Job> {
        let mut jobs = self.broker.due(Instant::now() + after, self.now);
        assert!(jobs.len() < 2);
        jobs.pop()
    }

    fn next_now(&self) -> Option<Job> {
        self.next(Duration::ZERO)
    }

    fn ended(&self, job: &Job, succeeded: bool) {
        self.broker.done(job, succeeded, Instant::now(), self.now);
    }

    /// All requests that are due, each of which succeeds.
    fn all(&self) -> Vec<(String, Value)> {
        let mut all = Vec::new();
        while let Some(job) = self.next(Duration::from_millis(200)) {
            let (operation, body) = said(&job);
            all.push((operation.to_owned(), body));
            self.ended(&job, true);
        }
        all
    }

    fn counts(&self) -> Pushed {
        self.broker.pushed().remove(0).1
    }
}

const UPSERT: &str = "upsert?options=update";

#[test]
fn another_broker_gets_what_it_may_see_of_what_devices_measured() {
    for (name, has_speed) in [("some", false), ("all", true)] {
        let city = city(name);
        city.measure("open", r#"{"vehicles":5}"#);
        city.measure("secret", r#"{"speed_kmh":50}"#);
        city.measure("air", r#"{"no2":7}"#);
        // What users write is theirs.
        city.post("ann", "POST entities", &json!({ "id": "urn:a:1", "type": "T" })).is(201);
        let all = city.all();
        assert_eq!(all.len(), 1);
        let (operation, body) = &all[0];
        let entity = body.as_array().unwrap().iter().find(|entity| entity["id"] == TRAFFIC_ID).unwrap();
        assert_eq!(
            (operation.as_str(), body.as_array().unwrap().len()),
            (UPSERT, if has_speed { 2 } else { 1 })
        );
        assert_eq!((&entity[INTENSITY]["value"], entity.get(SPEED).is_some()), (&json!(5), has_speed));
        assert_eq!(
            entity["type"],
            "https://smartdatamodels.org/dataModel.Transportation/TrafficFlowObserved"
        );
        // A broker takes it as it is.
        let taken = City::new();
        let mut copy = entity.clone();
        copy["id"] = json!("urn:a:2");
        taken.post("ann", &format!("POST entityOperations/{UPSERT}"), &json!([copy])).is(201);
    }
}

/// One request after the other, and of each entity the newest.
#[test]
fn the_newest_of_each_entity_goes_out() {
    let city = city("some");
    city.measure("open", r#"{"vehicles":1}"#);
    let first = city.next_now().unwrap();
    for vehicles in 2..200 {
        city.measure("open", &format!("{{\"vehicles\":{vehicles}}}"));
        city.measure_at("open", OTHER, &format!("{{\"vehicles\":{vehicles}}}"));
    }
    assert_eq!((city.next(Duration::from_secs(3600)), city.counts().waiting), (None, 0));
    city.ended(&first, true);
    let all = city.all();
    assert_eq!((all.len(), all[0].1.as_array().unwrap().len()), (1, 2));
    assert!(all[0].1.as_array().unwrap().iter().all(|entity| entity[INTENSITY]["value"] == 199));
    // A request has at most 500, and the next one comes a little later.
    for i in 0..1250 {
        city.measure_at("open", &format!("device-{i}"), r#"{"vehicles":1}"#);
    }
    let counts: Vec<_> = city.all().iter().map(|(_, body)| body.as_array().unwrap().len()).collect();
    assert_eq!((counts, city.counts().sent), (vec![500, 500, 250], 1253));
    city.measure("open", r#"{"vehicles":1}"#);
    assert_eq!(city.next_now(), None);
}

/// What fails is sent again, as it is then, after a pause that gets longer.
#[test]
fn what_fails_is_sent_again() {
    let city = city("some");
    for (i, pause) in [1, 2, 4, 8].into_iter().enumerate() {
        city.measure("open", &format!("{{\"vehicles\":{i}}}"));
        let job = city.next(Duration::from_secs(100)).unwrap();
        assert_eq!(said(&job).1[0][INTENSITY]["value"], i);
        city.ended(&job, false);
        assert_eq!(city.next(Duration::from_millis(pause * 1000 - 500)), None);
        assert_eq!((city.counts().failed, city.counts().waiting), (i as u64 + 1, 1));
    }
    let job = city.next(Duration::from_secs(8)).unwrap();
    city.ended(&job, true);
    assert_eq!(city.next(Duration::from_secs(3600)), None);
    assert_eq!(city.counts(), Pushed { sent: 1, failed: 4, ..Pushed::default() });
}

/// A deletion that is always refused delays no reading of others, and one entity that is always refused no other entity.
#[test]
fn what_always_fails_holds_up_nothing_else() {
    let city = city("some");
    city.measure("open", r#"{"vehicles":1}"#);
    city.all();
    city.broker.isolate(DEVICE);
    city.broker.work();
    let mut after = Duration::ZERO;
    for vehicles in 0..20 {
        city.measure_at("open", OTHER, &format!("{{\"vehicles\":{vehicles}}}"));
        let mut has_gone = false;
        after += Duration::from_millis(200);
        while let Some(job) = city.next(after) {
            let (operation, body) = said(&job);
            has_gone |= operation == UPSERT && body[0][INTENSITY]["value"] == vehicles;
            city.ended(&job, operation == UPSERT);
            after += Duration::from_millis(200);
        }
        assert!(has_gone, "{vehicles}");
    }
    assert_eq!(city.counts().withdrawn, 0);

    let city = self::city("some");
    for i in 0..1250 {
        city.measure_at("open", &format!("device-{i}"), r#"{"vehicles":1}"#);
    }
    let mut taken = BTreeSet::new();
    for minutes in 0..60 {
        while let Some(job) = city.next(Duration::from_secs(600 * minutes)) {
            let body = said(&job).1;
            let ids = || body.as_array().unwrap().iter().map(|entity| entity["id"].as_str().unwrap());
            let is_bad = ids().any(|id| id.ends_with("device-7"));
            if !is_bad {
                taken.extend(ids().map(str::to_owned));
            }
            city.ended(&job, !is_bad);
            if is_bad {
                break;
            }
        }
    }
    assert_eq!((taken.len(), city.counts().waiting), (1249, 1));
}

/// What comes from an isolated device is taken away, also if it was sent before the last start, or is just being sent; and comes back with a
/// reading after the recovery.
#[test]
fn what_comes_from_an_isolated_device_is_taken_away() {
    let isolated = |city: &City| {
        city.broker.isolate(DEVICE);
        city.broker.work();
    };
    let delete = |ids: &[&str]| ("delete".to_owned(), json!(ids));
    let air = TRAFFIC_ID.replace("TrafficFlow", "AirQuality");
    let city_of = city;
    let city = city_of("some");
    city.measure("open", r#"{"vehicles":5}"#);
    assert_eq!(city.all().len(), 1);
    isolated(&city);
    assert_eq!(city.all(), [delete(&[TRAFFIC_ID])]);
    city.measure("open", r#"{"vehicles":6}"#);
    assert_eq!(city.all(), []);
    city.broker.recover(DEVICE);
    city.measure("open", r#"{"vehicles":7}"#);
    assert_eq!(city.all()[0].1[0][INTENSITY]["value"], 7);

    // A broker that has just started does not know what is there. Of what the other one may not see it says nothing.
    let city = city_of("some");
    isolated(&city);
    assert_eq!(city.all(), [delete(&[TRAFFIC_ID])]);
    let city = city_of("all");
    isolated(&city);
    assert_eq!(city.all(), [delete(&[&air, TRAFFIC_ID])]);

    // One that is under way, whether it arrives or nobody knows; and a deletion that fails.
    for succeeded in [true, false] {
        let city = city_of("some");
        city.measure("open", r#"{"vehicles":5}"#);
        let job = city.next_now().unwrap();
        isolated(&city);
        assert_eq!(city.next_now(), None);
        city.ended(&job, succeeded);
        for _ in 0..2 {
            let job = city.next(Duration::from_secs(100)).unwrap();
            assert_eq!(said(&job), ("delete", json!([TRAFFIC_ID])));
            city.ended(&job, false);
        }
        let job = city.next(Duration::from_secs(100)).unwrap();
        city.ended(&job, true);
        assert_eq!((city.next(Duration::from_secs(3600)), city.counts().withdrawn), (None, 1));
    }
}

/// With other rules, another mapping or without the device the other broker has what it may have then, and no attribute more.
#[test]
fn a_reload_takes_away_what_is_not_for_the_other_broker_any_more() {
    let all = || pushing(&[("all", "127.0.0.1:9")]);
    let filled = || {
        let city = city("all");
        city.measure("open", r#"{"vehicles":5}"#);
        city.measure("secret", r#"{"speed_kmh":50}"#);
        assert_eq!(city.all().len(), 1);
        city
    };
    // Nothing is different: it is sent once more.
    let city = filled();
    city.broker.configure(Rules::default(), all(), |_| true);
    assert_eq!(city.all().iter().map(|(operation, _)| operation.as_str()).collect::<Vec<_>>(), [UPSERT]);
    // A part is gone, or all, or the other broker is nobody any more.
    let is_secret = |source: Source<'_>| matches!(source, Source::Stream { stream: "secret", .. });
    let city = filled();
    city.broker.configure(Rules::default(), all(), |source| !is_secret(source));
    let requests = city.all();
    assert_eq!(requests[0], ("delete".to_owned(), json!([TRAFFIC_ID])));
    assert_eq!((requests.len(), requests[1].0.as_str()), (2, UPSERT));
    assert!(requests[1].1[0].get(SPEED).is_none() && requests[1].1[0].get(INTENSITY).is_some());
    for rules in [Rules::default(), Rules { gone: vec!["push:all"], ..Rules::default() }] {
        let city = filled();
        let stays = !rules.gone.is_empty();
        city.broker.configure(rules, all(), |_| stays);
        assert_eq!(city.all(), [("delete".to_owned(), json!([TRAFFIC_ID]))]);
    }
    // Another place has nothing yet, and one that is not named any more keeps what it has.
    let city = filled();
    city.broker.configure(Rules::default(), pushing(&[]), |_| true);
    assert_eq!((city.all(), city.broker.pushed()), (vec![], vec![]));
    city.broker.configure(Rules::default(), all(), |_| true);
    assert_eq!(city.all().len(), 1);
}

/// Brokers that are not there, say nothing, refuse, or answer without an end: none delays another one, users or readings. What is slow
/// gets the newest when it is well again.
#[tokio::test(flavor = "multi_thread")]
async fn bad_brokers_delay_nobody() {
    let (silent, mut to_silent) = receiver(None).await;
    let (refusing, mut to_refusing) = receiver(Some(500)).await;
    let (redirecting, mut to_redirecting) = receiver(Some(307)).await;
    let (partly, mut to_partly) = receiver(Some(207)).await;
    let (good, mut to_good) = receiver(Some(204)).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endless = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                drop(stream.write_all(b"HTTP/1.1 204 X\r\n").await);
                while stream.write_all(b"X: y\r\n").await.is_ok() {}
            });
        }
    });
    let city = City::new();
    let pushes = [
        ("dead", "127.0.0.1:9"),
        ("silent", &silent),
        ("refusing", &refusing),
        ("redirecting", &redirecting),
        ("endless", &endless),
        ("partly", &partly),
        ("good", &good),
    ];
    city.broker.configure(Rules::default(), pushing(&pushes), |_| true);
    let running = tokio::spawn(Arc::clone(&city.broker).run(smart_city_ngsi_ld::MOST_CONNECTIONS));
    for vehicles in 0..20 {
        let start = Instant::now();
        let (stream, device) = ("open".to_owned(), DEVICE.to_owned());
        let bytes = format!("{{\"vehicles\":{vehicles}}}").into_bytes();
        city.broker.reading(Reading { stream, device, time: city.now, bytes });
        for to in [&mut to_good, &mut to_partly] {
            let text = timeout(Duration::from_secs(3), to.recv()).await.unwrap().unwrap();
            assert!(text.contains(&format!("\"value\":{vehicles}}}")), "{text}");
        }
        city.get(
            "ann",
            "entities?attrs=https%3A%2F%2Fsmartdatamodels.org%2FdataModel.Transportation%2Fintensity",
        )
        .is(200);
        assert!(start.elapsed() < Duration::from_secs(3));
    }
    for to in [&mut to_silent, &mut to_refusing, &mut to_redirecting] {
        assert!(to.recv().await.is_some());
    }
    let deadline = Instant::now() + Duration::from_secs(20);
    let counts = || city.broker.pushed().into_iter().collect::<std::collections::BTreeMap<_, _>>();
    let bad = BTreeSet::from(["dead", "silent", "refusing", "redirecting", "endless"]);
    // The silent one has five seconds, and the last answers of the good ones may not be counted yet.
    let are_done = || {
        let counts = counts();
        bad.iter().all(|name| counts[*name].failed > 0)
            && ["good", "partly"].iter().all(|name| counts[*name].sent == 20)
    };
    while !are_done() {
        assert!(Instant::now() < deadline, "{:?}", counts());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let counts = counts();
    assert!(bad.iter().all(|name| counts[*name].sent == 0 && counts[*name].waiting <= 1), "{counts:?}");
    assert_eq!((counts["good"].sent, counts["good"].failed, counts["good"].partly), (20, 0, 0));
    assert_eq!((counts["partly"].sent, counts["partly"].partly), (20, 20));
    running.abort();
}
