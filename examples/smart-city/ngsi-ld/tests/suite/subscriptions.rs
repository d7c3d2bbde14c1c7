//! Subscriptions and notifications: clauses 5.2.12, 5.3.1, 5.8, 6.10, 6.11, 7.2. What is due is looked at here; [`super::http`] sends it.

use std::time::{Duration, Instant};

use smart_city_ngsi_ld::{Job, Transport};

use super::*;

const ENDPOINT: &str = "127.0.0.1:9";

fn city() -> City {
    City::with_endpoints(&[ENDPOINT.to_owned()])
}

fn subscription() -> Value {
    json!({
        "id": "urn:s:1", "type": "Subscription", "entities": [{ "type": "Car" }],
        "notification": { "endpoint": { "uri": format!("http://{ENDPOINT}/notify?a=b"), "accept": "application/json" } },
    })
}

#[expect(clippy::needless_pass_by_value, reason = "all callers make it")]
fn with(changes: Value) -> Value {
    let mut subscription = subscription();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            subscription.as_object_mut().unwrap().remove(name);
        } else {
            subscription[name] = value.clone();
        }
    }
    subscription
}

fn data(job: &Job) -> Value {
    serde_json::from_slice::<Value>(&job.body).unwrap()["data"].take()
}

impl City {
    /// The notifications that are due, each of which succeeds.
    fn due(&self) -> Vec<Job> {
        let now = Instant::now();
        let jobs = self.broker.due(now, self.now);
        jobs.iter().for_each(|job| self.broker.done(job, true, now, self.now));
        jobs
    }

    fn car(&self, user: &str, id: &str, speed: i32) {
        let body = json!({ "id": id, "type": "Car", "speed": speed });
        self.post(user, "POST entityOperations/upsert?options=update", &json!([body]));
    }
}

#[test]
fn c5_8_1_to_c5_8_5_subscriptions_are_kept_for_their_user() {
    let city = city();
    let created = city.post("ann", "POST subscriptions", &subscription());
    assert_eq!(
        (created.is(201), created.header("location")),
        (Value::Null, "/ngsi-ld/v1/subscriptions/urn:s:1".to_owned())
    );
    city.post("ann", "POST subscriptions", &subscription()).fails(409, "AlreadyExists");
    let mut expected = subscription();
    expected["isActive"] = json!(true);
    expected["status"] = json!("active");
    expected["notification"]["status"] = json!("ok");
    assert_eq!(city.get("ann", "subscriptions/urn:s:1").is(200), expected);
    assert_eq!(city.get("ann", "subscriptions").is(200), json!([expected]));
    // For others it is not there, and they may have one with its id.
    for line in ["GET subscriptions/urn:s:1", "DELETE subscriptions/urn:s:1"] {
        city.send("ben", line, &[], "").fails(404, "ResourceNotFound");
    }
    city.post("ben", "PATCH subscriptions/urn:s:1", &json!({ "isActive": false }))
        .fails(404, "ResourceNotFound");
    city.post("ben", "POST subscriptions", &subscription()).is(201);
    city.post("ann", "PATCH subscriptions/urn:s:1", &json!({ "isActive": false, "q": "speed>5" })).is(204);
    let changed = city.get("ann", "subscriptions/urn:s:1").is(200);
    assert_eq!(
        (&changed["status"], &changed["q"], &changed["entities"]),
        (&json!("paused"), &json!("speed>5"), &json!([{ "type": "Car" }]))
    );
    city.post("ann", "PATCH subscriptions/urn:s:1", &json!({ "q": "urn:ngsi-ld:null" })).is(204);
    assert_eq!(city.get("ann", "subscriptions/urn:s:1").is(200).get("q"), None);
    city.post("ann", "PATCH subscriptions/urn:s:1", &json!({ "id": "urn:s:2" })).fails(400, "BadRequestData");
    city.post("ann", "PATCH subscriptions/urn:s:1", &json!({ "notification": 1 }))
        .fails(400, "BadRequestData");
    city.send("ann", "DELETE subscriptions/urn:s:1", &[], "").is(204);
    city.get("ann", "subscriptions/urn:s:1").fails(404, "ResourceNotFound");
    city.get("ann", "subscriptions/nouri").fails(400, "BadRequestData");
    let other = city.post("ann", "POST subscriptions", &with(json!({ "id": null })));
    assert_eq!(other.header("location"), "/ngsi-ld/v1/subscriptions/urn:ngsi-ld:Subscription:ann:1");
    let counted = city.get("ann", "subscriptions?limit=0&count=true");
    assert_eq!(counted.header("ngsild-results-count"), "1");
}

#[test]
fn c5_8_1_wrong_subscriptions() {
    let mut city = city();
    let endpoint = |uri: &str| json!({ "notification": { "endpoint": { "uri": uri } } });
    for (wrong, status, kind) in [
        (json!({ "type": null }), 400, "BadRequestData"),
        (json!({ "type": "Other" }), 400, "BadRequestData"),
        (json!({ "id": "nouri" }), 400, "BadRequestData"),
        (json!({ "entities": null }), 400, "BadRequestData"),
        (json!({ "entities": [] }), 400, "BadRequestData"),
        (json!({ "entities": [{ "id": "urn:a:1" }] }), 400, "BadRequestData"),
        (json!({ "entities": [{ "type": "Car", "id": "x" }] }), 400, "BadRequestData"),
        (json!({ "watchedAttributes": [] }), 400, "BadRequestData"),
        (json!({ "notification": null }), 400, "BadRequestData"),
        (json!({ "notification": {} }), 400, "BadRequestData"),
        (json!({ "notification": { "endpoint": {} } }), 400, "BadRequestData"),
        (
            json!({ "notification": { "endpoint": { "uri": format!("http://{ENDPOINT}"), "accept": "text/html" } } }),
            422,
            "OperationNotSupported",
        ),
        (
            json!({ "notification": { "format": "x", "endpoint": { "uri": format!("http://{ENDPOINT}") } } }),
            400,
            "BadRequestData",
        ),
        (endpoint("nouri"), 400, "BadRequestData"),
        (endpoint("ftp://127.0.0.1:9/"), 422, "OperationNotSupported"),
        (endpoint("https://127.0.0.1:9/"), 422, "OperationNotSupported"),
        // Where operators have not allowed it.
        (endpoint("http://127.0.0.1:22/"), 400, "BadRequestData"),
        (endpoint("http://127.0.0.1/"), 400, "BadRequestData"),
        (endpoint("http://127.0.0.1:9@10.0.0.1:80/"), 400, "BadRequestData"),
        (endpoint("mqtt://b/out/ben/x"), 400, "BadRequestData"),
        (endpoint("mqtt://b/out/+/x"), 400, "BadRequestData"),
        (json!({ "expiresAt": "2025-01-01T00:00:00Z" }), 400, "BadRequestData"),
        (json!({ "expiresAt": "x" }), 400, "BadRequestData"),
        (json!({ "throttling": -1 }), 400, "BadRequestData"),
        (json!({ "timeInterval": 0 }), 400, "BadRequestData"),
        (json!({ "timeInterval": 5, "throttling": 5 }), 400, "BadRequestData"),
        (json!({ "q": "(" }), 400, "BadRequestData"),
        (json!({ "geoQ": { "georel": "x" } }), 400, "BadRequestData"),
        (json!({ "notificationTrigger": ["x"] }), 400, "BadRequestData"),
        (json!({ "notificationTrigger": ["entityDeleted"] }), 422, "OperationNotSupported"),
        (json!({ "scopeQ": "/a" }), 422, "OperationNotSupported"),
        (json!({ "isActive": "yes" }), 400, "BadRequestData"),
        (json!({ "colour": "red" }), 400, "BadRequestData"),
    ] {
        let answer = city.post("ann", "POST subscriptions", &with(wrong.clone()));
        assert_eq!(answer.status.as_u16(), status, "{wrong}: {}", answer.text);
        answer.fails(status, kind);
    }
    for name in ["Content-Length", "Host", "Transfer-Encoding", "a b", "x\r\ny"] {
        let mut wrong = subscription();
        wrong["notification"]["endpoint"]["receiverInfo"] = json!([{ "key": name, "value": "1" }]);
        city.post("ann", "POST subscriptions", &wrong).fails(400, "BadRequestData");
    }
    for i in 0..32 {
        city.post("ann", "POST subscriptions", &with(json!({ "id": format!("urn:s:{i}") }))).is(201);
    }
    city.post("ann", "POST subscriptions", &with(json!({ "id": null }))).fails(507, "");
    city.post("ben", "POST subscriptions", &with(json!({ "id": null, "expiresAt": "2026-01-02T00:00:00Z" })))
        .is(201);
    city.now = "2026-01-02T00:00:01Z".parse().unwrap();
    assert_eq!(city.get("ben", "subscriptions").is(200)[0]["status"], "expired");
}

#[test]
fn c5_8_6_notifications() {
    let city = city();
    let mut body = subscription();
    body["notification"]["attributes"] = json!(["speed"]);
    body["notification"]["format"] = json!("keyValues");
    body["notification"]["endpoint"]["receiverInfo"] =
        json!([{ "key": "Authorization", "value": "x" }, { "key": "Link", "value": "y" }]);
    city.post("ann", "POST subscriptions", &body).is(201);
    city.post("ann", "POST entities", &json!({ "id": "urn:b:1", "type": "Bus", "speed": 1 })).is(201);
    assert_eq!(city.due(), []);
    city.post("ann", "POST entities", &json!({ "id": "urn:c:1", "type": "Car", "speed": 1, "other": 2 }))
        .is(201);
    city.car("ben", "urn:c:2", 2);
    let jobs = city.due();
    assert_eq!(jobs.len(), 1);
    let job = &jobs[0];
    assert_eq!(
        job.transport,
        Transport::Http { authority: ENDPOINT.to_owned(), path: "/notify?a=b".to_owned(), tls: None }
    );
    let link = "<https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context-v1.6.jsonld>; rel=\"http://www.w3.org/ns/json-ld#context\"; type=\"application/ld+json\"";
    let expected = [("Content-Type", "application/json"), ("Link", link), ("Authorization", "x")];
    assert_eq!(job.headers, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let notification: Value = serde_json::from_slice(&job.body).unwrap();
    assert_eq!(
        notification,
        json!({
            "id": "urn:ngsi-ld:Notification:urn:s:1:1767225600000-1", "type": "Notification", "subscriptionId": "urn:s:1",
            "notifiedAt": "2026-01-01T00:00:00.000Z",
            "data": [{ "id": "urn:c:1", "type": "Car", "speed": 1 }, { "id": "urn:c:2", "type": "Car", "speed": 2 }],
        })
    );
    assert_eq!(city.due(), []);
    let status = &city.get("ann", "subscriptions/urn:s:1").is(200)["notification"];
    assert_eq!(
        (&status["timesSent"], &status["lastSuccess"], &status["status"]),
        (&json!(1), &json!("2026-01-01T00:00:00.000Z"), &json!("ok"))
    );
    // Deleting is not notified of.
    city.send("ann", "DELETE entities/urn:c:1", &[], "").is(204);
    assert_eq!(city.due(), []);
}

#[test]
fn c5_8_6_what_is_watched() {
    for (changes, created, speed, plate) in [
        (json!({}), 1, 1, 1),
        (json!({ "watchedAttributes": ["speed"] }), 1, 1, 0),
        (json!({ "watchedAttributes": ["plate"] }), 0, 0, 1),
        (json!({ "entities": null, "watchedAttributes": ["speed"] }), 1, 1, 0),
        (json!({ "q": "speed>5" }), 0, 1, 1),
        (json!({ "entities": [{ "type": "Car", "id": "urn:c:1" }] }), 1, 1, 1),
        (json!({ "entities": [{ "type": "Car", "idPattern": "9$" }] }), 0, 0, 0),
        (json!({ "entities": [{ "type": "Bus" }] }), 0, 0, 0),
        (json!({ "notificationTrigger": ["entityCreated"] }), 1, 0, 0),
        (json!({ "notificationTrigger": ["attributeCreated"] }), 1, 0, 1),
        (json!({ "notificationTrigger": ["attributeUpdated"] }), 0, 1, 0),
        (json!({ "notificationTrigger": ["entityUpdated"] }), 0, 1, 1),
        (json!({ "isActive": false }), 0, 0, 0),
        (
            json!({ "geoQ": { "georel": "near;maxDistance==5", "geometry": "Point", "coordinates": [0, 0] } }),
            0,
            0,
            0,
        ),
    ] {
        let city = city();
        city.post("ann", "POST subscriptions", &with(changes.clone())).is(201);
        city.car("ann", "urn:c:1", 1);
        assert_eq!(city.due().len(), created, "{changes}");
        city.car("ann", "urn:c:1", 10);
        assert_eq!(city.due().len(), speed, "{changes}");
        city.post("ann", "POST entities/urn:c:1/attrs", &json!({ "plate": "x" })).is(204);
        assert_eq!(city.due().len(), plate, "{changes}");
    }
}

#[test]
fn c5_2_12_throttling_intervals_and_expiry() {
    let mut city = city();
    city.post("ann", "POST subscriptions", &with(json!({ "throttling": 60 }))).is(201);
    city.post(
        "ann",
        "POST subscriptions",
        &with(json!({ "id": "urn:s:2", "timeInterval": 60, "expiresAt": "2026-01-01T01:00:00Z" })),
    )
    .is(201);
    let start = Instant::now();
    assert_eq!(city.broker.due(start, city.now), []);
    city.car("ann", "urn:c:1", 1);
    // The interval began when there was nothing to tell.
    let jobs = city.broker.due(start, city.now);
    assert_eq!(jobs.len(), 1);
    city.broker.done(&jobs[0], true, start, city.now);
    city.car("ann", "urn:c:1", 2);
    assert_eq!(city.broker.due(start + Duration::from_secs(59), city.now), []);
    let jobs = city.broker.due(start + Duration::from_secs(61), city.now);
    assert_eq!(jobs.iter().map(data).collect::<Vec<_>>()[0][0]["speed"]["value"], 2);
    assert_eq!(jobs.len(), 2);
    jobs.iter().for_each(|job| city.broker.done(job, true, start, city.now));
    city.now = "2026-01-01T01:00:01Z".parse().unwrap();
    assert_eq!(city.broker.due(start + Duration::from_secs(3600), city.now), []);
}

#[test]
fn c7_2_notifications_over_mqtt_and_as_json_ld() {
    let city = city();
    let mut body = subscription();
    body["notification"]["endpoint"] =
        json!({ "uri": "mqtt://broker/out/ann/x", "accept": "application/ld+json" });
    body["@context"] = json!({ "Car": "https://example.org/Car" });
    city.post("ann", "POST subscriptions", &body).is(201);
    let entity = json!({ "id": "urn:c:1", "type": "Car", "speed": 1, "@context": { "Car": "https://example.org/Car" } });
    city.post("ann", "POST entities", &entity).is(201);
    let jobs = city.due();
    assert_eq!(jobs[0].transport, Transport::Mqtt("out/ann/x".to_owned()));
    let message: Value = serde_json::from_slice(&jobs[0].body).unwrap();
    assert_eq!(message["metadata"], json!({ "Content-Type": "application/ld+json" }));
    assert_eq!(message["body"]["data"][0]["type"], "Car");
    assert_eq!(message["body"]["@context"][0], json!({ "Car": "https://example.org/Car" }));
}

/// A subscription is told what its user sees, of what its user sees change.
#[test]
fn notifications_follow_the_policy() {
    let city = city();
    let traffic = json!({
        "id": "urn:s:1", "type": "Subscription", "entities": [{ "type": "https://smartdatamodels.org/dataModel.Transportation/TrafficFlowObserved" }],
        "notification": { "endpoint": { "uri": format!("http://{ENDPOINT}/") } },
    });
    for user in ["ann", "cid"] {
        city.post(user, "POST subscriptions", &traffic).is(201);
    }
    let users = |jobs: Vec<Job>| jobs.into_iter().map(|job| job.user).collect::<Vec<_>>();
    city.measure("secret", r#"{"speed_kmh":50}"#);
    assert_eq!(users(city.due()), ["ann"]);
    city.measure("open", r#"{"vehicles":7}"#);
    let jobs = city.due();
    let speed = "https://smartdatamodels.org/dataModel.Transportation/averageVehicleSpeed";
    assert_eq!(data(&jobs[0])[0][speed]["value"], 50);
    assert_eq!(data(&jobs[1])[0].get(speed), None);
    assert_eq!(users(jobs), ["ann", "cid"]);
    // Nobody is told of a car that only others see.
    city.post("cid", "POST subscriptions", &with(json!({ "id": "urn:s:2" }))).is(201);
    city.car("ann", "urn:c:1", 1);
    assert_eq!(city.due(), []);
}

/// Also what waits to be sent: at once nobody gets anything of an isolated device, and after its recovery only what is new.
#[test]
fn isolated_devices_disappear_everywhere_at_once() {
    let city = city();
    let traffic = "https://smartdatamodels.org/dataModel.Transportation/TrafficFlowObserved";
    let body = with(json!({ "entities": [{ "type": traffic }] }));
    city.post("cid", "POST subscriptions", &body).is(201);
    let counts = || {
        let path = format!("entities?type={traffic}&count=true");
        let answer = city.get("cid", &path);
        let types = city.get("cid", "types").is(200)["typeList"].as_array().unwrap().len();
        let one = city.get("cid", &format!("entities/{TRAFFIC_ID}")).status.as_u16();
        (answer.header("ngsild-results-count"), answer.is(200).as_array().unwrap().len(), types, one)
    };
    city.measure("open", r#"{"vehicles":7}"#);
    assert_eq!(counts(), ("1".to_owned(), 1, 1, 200));
    let nothing = ("0".to_owned(), 0, 0, 404);
    city.broker.isolate(DEVICE);
    assert_eq!((counts(), city.due()), (nothing.clone(), vec![]));
    // What comes now, or waited, is not seen either.
    city.measure("open", r#"{"vehicles":8}"#);
    assert_eq!((counts(), city.due()), (nothing.clone(), vec![]));
    city.broker.isolate(DEVICE);
    city.broker.recover(DEVICE);
    let (_, recovered) = (city.broker.recover("70b3d5fffe000009"), counts());
    // A reading that came while it was isolated would be seen: the engine accepts none.
    assert_eq!(recovered.3, 200);
}

/// Other devices are not touched, and what came before the isolation stays away.
#[test]
fn what_came_before_an_isolation_stays_away() {
    let city = city();
    city.measure("open", r#"{"vehicles":7}"#);
    city.measure_at("open", "70b3d5fffe000002", r#"{"vehicles":1}"#);
    let path = format!("entities/{TRAFFIC_ID}");
    let other = "entities/urn:ngsi-ld:TrafficFlowObserved:device:70b3d5fffe000002";
    city.broker.isolate(DEVICE);
    city.broker.recover(DEVICE);
    city.get("cid", &path).fails(404, "ResourceNotFound");
    city.get("cid", other).is(200);
    city.measure("open", r#"{"vehicles":9}"#);
    let entity = city.get_traffic("cid", &format!("{path}?options=keyValues&attrs=intensity")).is(200);
    assert_eq!(entity["intensity"], 9);
}

/// Only so many notifications of a user are under way, and what fails is tried less and less often.
#[test]
fn failures_pause_and_users_have_their_share() {
    let city = city();
    for i in 0..6 {
        city.post("ann", "POST subscriptions", &with(json!({ "id": format!("urn:s:{i}") }))).is(201);
    }
    city.post("ben", "POST subscriptions", &subscription()).is(201);
    city.car("ann", "urn:c:1", 1);
    let start = Instant::now();
    let jobs = city.broker.due(start, city.now);
    let of = |jobs: &[Job], user: &str| jobs.iter().filter(|job| job.user == user).count();
    assert_eq!((of(&jobs, "ann"), of(&jobs, "ben")), (4, 1));
    assert_eq!(city.broker.due(start, city.now), []);
    jobs.iter().for_each(|job| city.broker.done(job, false, start, city.now));
    let jobs = city.broker.due(start, city.now);
    assert_eq!((of(&jobs, "ann"), of(&jobs, "ben")), (2, 0));
    jobs.iter().for_each(|job| city.broker.done(job, true, start, city.now));
    // Each failure doubles the pause.
    let mut pauses = Vec::new();
    let mut at = start;
    for _ in 0..3 {
        city.car("ann", "urn:c:1", 2);
        let pause = (0..100).find(|pause| {
            let jobs = city.broker.due(at + Duration::from_secs(*pause), city.now);
            let of_ben = jobs.iter().any(|job| job.user == "ben");
            jobs.iter().for_each(|job| {
                city.broker.done(job, job.user != "ben", at + Duration::from_secs(*pause), city.now);
            });
            of_ben
        });
        pauses.push(pause.unwrap());
        at += Duration::from_secs(pause.unwrap());
        city.car("ann", "urn:c:1", 3);
    }
    assert_eq!(pauses, [1, 2, 4]);
    let status = &city.get("ben", "subscriptions/urn:s:1").is(200)["notification"];
    assert_eq!((&status["status"], &status["timesFailed"]), (&json!("failed"), &json!(4)));
}

/// A notification has at most a hundred entities; the others come with the next one.
#[test]
fn notifications_are_bounded() {
    let city = city();
    city.post("ann", "POST subscriptions", &subscription()).is(201);
    let batch: Value =
        (0..250).map(|i| json!({ "id": format!("urn:c:{i:03}"), "type": "Car", "speed": 1 })).collect();
    city.post("ann", "POST entityOperations/create", &batch).is(201);
    let sizes: Vec<_> =
        (0..4).flat_map(|_| city.due()).map(|job| data(&job).as_array().unwrap().len()).collect();
    assert_eq!(sizes, [100, 100, 50]);
}

/// What failed is told again, also without another change.
#[test]
fn a_notification_that_fails_loses_no_change() {
    let city = city();
    city.post("ann", "POST subscriptions", &subscription()).is(201);
    city.car("ann", "urn:c:1", 1);
    let start = Instant::now();
    let first = city.broker.due(start, city.now);
    city.car("ann", "urn:c:2", 2);
    city.broker.done(&first[0], false, start, city.now);
    assert_eq!(city.broker.due(start, city.now), []);
    let again = city.broker.due(start + Duration::from_secs(1), city.now);
    let ids: Vec<_> = data(&again[0]).as_array().unwrap().iter().map(|car| car["id"].clone()).collect();
    assert_eq!(ids, ["urn:c:1", "urn:c:2"]);
    city.broker.done(&again[0], true, start, city.now);
    assert_eq!(city.broker.due(start + Duration::from_secs(9), city.now), []);
    // Operators take the endpoint away, and give it back.
    city.car("ann", "urn:c:3", 3);
    city.broker.configure(Rules::default(), mapping(&[]), |_| true);
    assert_eq!(city.broker.due(start, city.now), []);
    city.broker.configure(Rules::default(), mapping(&[ENDPOINT.to_owned()]), |_| true);
    assert_eq!(data(&city.broker.due(start + Duration::from_secs(1), city.now)[0])[0]["id"], "urn:c:3");
}

/// What became of a notification says nothing of a later subscription with the same id.
#[test]
fn a_later_subscription_begins_anew() {
    let city = city();
    city.post("ann", "POST subscriptions", &subscription()).is(201);
    city.car("ann", "urn:c:1", 1);
    let job = city.broker.due(Instant::now(), city.now).remove(0);
    city.send("ann", "DELETE subscriptions/urn:s:1", &[], "").is(204);
    city.post("ann", "POST subscriptions", &subscription()).is(201);
    city.broker.done(&job, false, Instant::now(), city.now);
    assert_eq!(city.get("ann", "subscriptions/urn:s:1").is(200)["notification"]["status"], "ok");
}

/// What subscriptions take is of the same room as entities.
#[test]
fn subscriptions_take_room() {
    let city = city();
    let large = |id: &str, n: usize| {
        let mut body = with(json!({ "id": id }));
        body["notification"]["endpoint"]["notifierInfo"] = vec![json!({ "a": 0 }); n].into();
        body
    };
    city.post("ann", "POST subscriptions", &large("urn:s:1", 2200)).fails(400, "BadRequestData");
    city.post("ann", "POST subscriptions", &large("urn:s:1", 1800)).is(201);
    city.post("ann", "POST subscriptions", &large("urn:s:2", 1800)).fails(507, "");
    city.post("ann", "POST subscriptions", &large("urn:s:2", 10)).is(201);
    let notification = large("urn:s:2", 1800)["notification"].take();
    city.post("ann", "PATCH subscriptions/urn:s:2", &json!({ "notification": notification })).fails(507, "");
    city.post(
        "ann",
        "PATCH subscriptions/urn:s:2",
        &json!({ "description": "x".repeat(4096), "notification": large("", 1800)["notification"] }),
    )
    .fails(400, "BadRequestData");
    city.post("ben", "POST subscriptions", &large("urn:s:1", 1800)).is(201);
    // An entity finds no room either, until the subscription is gone.
    let entity = json!({ "id": "urn:a:1", "type": "T", "a": { "value": vec![json!({ "a": 0 }); 3000] } });
    city.post("ann", "POST entities", &entity).fails(507, "");
    city.send("ann", "DELETE subscriptions/urn:s:1", &[], "").is(204);
    city.post("ann", "POST entities", &entity).is(201);
    // Patterns are charged as they are compiled, and contexts as they are kept.
    let patterns = json!(vec![json!({ "type": "T", "idPattern": "a" }); 60]);
    let made = (0..32).filter(|i| {
        let body = with(json!({ "id": format!("urn:p:{i}"), "entities": patterns }));
        city.post("cid", "POST subscriptions", &body).status.is_success()
    });
    assert!((4..10).contains(&made.count()));
    let context: serde_json::Map<_, _> = (0..900).map(|i| (format!("a{i}"), json!("b:c"))).collect();
    let made = (0..32).filter(|i| {
        let body = with(json!({ "id": format!("urn:p:{i}"), "@context": context }));
        city.post("dan", "POST subscriptions", &body).status.is_success()
    });
    assert!((4..20).contains(&made.count()));
}

/// A change costs little, whatever is asked; what would take longer is not notified of.
#[test]
fn what_a_change_computes_is_bounded() {
    let city = city();
    let slow = vec!["text~=(a|b|c|d)*(e|f|g|h)$"; 60].join("|") + "|speed";
    for (id, q) in [("urn:s:1", slow.as_str()), ("urn:s:2", "text~=a")] {
        city.post("ann", "POST subscriptions", &with(json!({ "id": id, "q": q }))).is(201);
    }
    let car = json!({ "id": "urn:c:1", "type": "Car", "speed": 1, "text": "a".repeat(4000) });
    city.post("ann", "POST entities", &car).is(201);
    let jobs = city.due();
    let ids = |jobs: &[Job]| {
        jobs.iter()
            .map(|job| serde_json::from_slice::<Value>(&job.body).unwrap()["subscriptionId"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(&jobs), ["urn:s:2"]);
    city.post("ann", "PATCH entities/urn:c:1/attrs", &json!({ "text": "a" })).is(204);
    assert_eq!(ids(&city.due()), ["urn:s:1", "urn:s:2"]);
}
