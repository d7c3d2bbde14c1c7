//! Another city holds: what was written and measured under the one before is not shown under the new one.

use super::*;

impl City {
    /// The users of `gone` are not there any more, and other attributes have the sources that do not stay.
    pub(crate) fn reload(&self, gone: &[&'static str], stays: impl Fn(Source<'_>) -> bool) {
        self.broker.configure(Rules { gone: gone.to_vec(), promoted: Vec::new() }, mapping(&[]), stays);
    }
}

fn note() -> Value {
    json!({ "id": "urn:n:1", "type": "Note", "a": 1 })
}

fn subscription() -> Value {
    json!({
        "type": "Subscription", "entities": [{ "type": "Note" }], "notification": { "endpoint": { "uri": "mqtt://b/out/ann/x" } },
    })
}

#[test]
fn what_a_user_wrote_goes_with_the_attributes_that_it_had() {
    let city = City::new();
    for user in ["ann", "cid"] {
        city.post(user, "POST entities", &note()).is(201);
    }
    city.post("ann", "POST subscriptions", &subscription()).is(201);
    for i in 2..=1000 {
        city.post("ann", "POST entities", &json!({ "id": format!("urn:n:{i}"), "type": "Note" })).is(201);
    }
    city.reload(&[], |_| true);
    city.get("ben", "entities/urn:n:1").is(200);
    city.reload(&[], |source| source != Source::User("ann"));
    for user in ["ann", "ben"] {
        city.get(user, "entities/urn:n:1").fails(404, "ResourceNotFound");
        assert_eq!(city.get(user, "types").is(200)["typeList"], json!([]));
    }
    city.get("cid", "entities/urn:n:1").is(200);
    // The user is still there, with its subscriptions and all of its room.
    assert_eq!(city.get("ann", "subscriptions").is(200).as_array().unwrap().len(), 1);
    for i in 1..=1000 {
        city.post("ann", "POST entities", &json!({ "id": format!("urn:n:{i}"), "type": "Note" })).is(201);
    }
}

#[test]
fn who_was_removed_finds_nothing_on_return() {
    let city = City::new();
    city.post("ann", "POST entities", &note()).is(201);
    city.post("ann", "POST subscriptions", &subscription()).is(201);
    city.reload(&["ann"], |source| source != Source::User("ann"));
    // A request that was under way, and whose user was there when it came.
    city.post("ann", "POST entities", &note()).fails(404, "ResourceNotFound");
    city.post("ann", "POST subscriptions", &subscription()).fails(404, "ResourceNotFound");
    city.reload(&[], |source| source != Source::User("ann"));
    assert_eq!(city.get("ann", "types").is(200)["typeList"], json!([]));
    assert_eq!(city.get("ann", "subscriptions").is(200), json!([]));
    city.post("ben", "POST entities", &note()).is(201);
    assert_eq!(city.broker.due(std::time::Instant::now(), city.now), []);
    // Not even that there was a subscription before.
    let created = city.post("ann", "POST subscriptions", &subscription());
    assert_eq!(created.header("location"), "/ngsi-ld/v1/subscriptions/urn:ngsi-ld:Subscription:ann:1");
}

#[test]
fn what_was_measured_goes_with_its_stream_its_device_and_its_mapping() {
    let path = format!("entities/{TRAFFIC_ID}");
    let other = |city: &City, mapping: &Value, stays: &dyn Fn(Source<'_>) -> bool| {
        let mapping = Mapping::parse(mapping, |_| true, |_| true, |_| Err(String::new())).unwrap();
        city.broker.configure(Rules::default(), mapping, stays);
    };
    let mapped = |model: &str, property: &str, place: f64| {
        json!({
            "streams": { "open": { "model": model, "properties": { property: { "from": "vehicles" } } } },
            "places": { DEVICE: [place, 35.7] },
        })
    };
    let same = mapped("TrafficFlowObserved", "intensity", 139.7);
    for (mapping, stays, status) in [
        (same.clone(), true, 200),
        (same.clone(), false, 404),
        (json!({}), true, 404),
        (mapped("TrafficFlowObserved", "occupancy", 139.7), true, 404),
        (mapped("TrafficFlowObserved", "intensity", 139.8), true, 404),
        (mapped("WeatherObserved", "temperature", 139.7), true, 404),
    ] {
        let city = City::new();
        city.measure("open", r#"{"vehicles":7}"#);
        let all = |_: Source<'_>| stays;
        other(&city, &mapping, &all);
        assert_eq!(city.get("cid", &path).status.as_u16(), status, "{mapping} {stays}");
        // It does not come back with the mapping, and a new reading does come.
        other(&city, &same, &|_| true);
        assert_eq!(city.get("cid", &path).status.as_u16(), status, "{mapping} {stays}");
        city.measure("open", r#"{"vehicles":8}"#);
        city.get("cid", &path).is(200);
        // Nor does what waited.
        let (stream, device) = ("open".to_owned(), DEVICE.to_owned());
        city.broker.reading(Reading { stream, device, time: city.now, bytes: br#"{"vehicles":9}"#.to_vec() });
        other(&city, &mapping, &all);
        city.broker.work();
        assert_eq!(city.get("cid", &path).status.as_u16(), status, "{mapping} {stays}");
    }
}
