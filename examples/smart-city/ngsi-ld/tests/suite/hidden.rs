//! What may not be seen is as if it were not there: a broker with much that a user may not see, and one where nothing of that ever was,
//! answer each request of the user with the same bytes and send it the same notifications, whatever it asks.

use std::time::Instant;

use super::*;

/// Marsaglia's xorshift, 64 bits.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap()
    }

    fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len())]
    }
}

const IDS: [&str; 7] = [
    "urn:x:1",
    "urn:x:2",
    "urn:x:3",
    TRAFFIC_ID,
    "urn:ngsi-ld:TrafficFlowObserved:device:70b3d5fffe000002",
    "nouri",
    "%ff",
];
const NAMES: [&str; 7] =
    ["a", "b", "location", "T", "https://smartdatamodels.org/dataModel.Transportation/intensity", "(", "@x"];
const VALUES: [&str; 14] = [
    "1",
    "2.5",
    "\"x\"",
    "true",
    "null",
    "\"urn:ngsi-ld:null\"",
    "[1,2]",
    "{\"value\":3,\"b\":4}",
    "{\"object\":\"urn:x:2\"}",
    "{\"type\":\"Point\",\"coordinates\":[1,2]}",
    "{\"languageMap\":{\"en\":\"x\"}}",
    "[{\"value\":1},{\"value\":2,\"datasetId\":\"urn:d:1\"}]",
    "{\"type\":\"Property\"}",
    "{\"unitCode\":\"MTR\",\"observedAt\":\"2026-01-01T00:00:00Z\"}",
];
const PARAMETERS: [&str; 36] = [
    "type=T",
    "type=T,U",
    "type=(T;U)|T",
    "type=https://smartdatamodels.org/dataModel.Transportation/TrafficFlowObserved",
    "type=(",
    "attrs=a",
    "attrs=a,b",
    "id=urn:x:1,urn:x:2",
    "idPattern=x",
    "idPattern=(",
    "q=a",
    "q=a==1",
    "q=a>1;b",
    "q=a%7Cb",
    "q=a~=x",
    "q=((a",
    "q=a.b==4",
    "count=true",
    "limit=1",
    "limit=0",
    "limit=2000",
    "offset=1",
    "options=keyValues",
    "options=concise",
    "options=sysAttrs",
    "options=count",
    "options=noOverwrite",
    "options=update",
    "georel=near;maxDistance==1000000&geometry=Point&coordinates=[1,2]",
    "georel=within&geometry=Polygon&coordinates=[[[0,0],[5,0],[5,5],[0,5],[0,0]]]",
    "details=true",
    "deleteAll=true",
    "datasetId=urn:d:1",
    "lang=en",
    "format=simplified",
    "a=%ff",
];

fn entity(random: &mut Random) -> String {
    let mut members = Vec::new();
    if random.below(8) > 0 {
        members.push(format!("\"id\":\"{}\"", random.of(&IDS)));
    }
    if random.below(8) > 0 {
        members.push(format!("\"type\":{}", random.of(&["\"T\"", "\"U\"", "[\"T\",\"U\"]", "1"])));
    }
    for _ in 0..random.below(4) {
        members.push(format!("\"{}\":{}", random.of(&NAMES), random.of(&VALUES)));
    }
    format!("{{{}}}", members.join(","))
}

fn subscription(random: &mut Random) -> String {
    let mut body = json!({
        "type": "Subscription", "entities": [{ "type": random.of(&["T", "U", "https://smartdatamodels.org/dataModel.Transportation/TrafficFlowObserved"]) }],
        "notification": { "endpoint": { "uri": random.of(&["mqtt://b/out/cid/x", "mqtt://b/out/ann/x"]) } },
    });
    if random.below(2) == 0 {
        body["id"] = json!(random.of(&["urn:s:1", "urn:s:2", "urn:s:3"]));
    }
    if random.below(3) == 0 {
        body["watchedAttributes"] = json!(["a"]);
    }
    if random.below(3) == 0 {
        body["q"] = json!(random.of(&["a", "a>1", "b", "("]));
    }
    body.to_string()
}

/// A request: its method with its path, its header fields and its body.
fn request(random: &mut Random) -> (String, Vec<(&'static str, &'static str)>, String) {
    let (id, name) = (random.of(&IDS), random.of(&NAMES).replace(['(', '@'], "%28"));
    let name = form_urlencoded::byte_serialize(name.as_bytes()).collect::<String>();
    let (line, body) = match random.below(22) {
        0 | 1 => ("POST entities".to_owned(), entity(random)),
        2..=4 => ("GET entities".to_owned(), String::new()),
        5 | 6 => (format!("GET entities/{id}"), String::new()),
        7 => (format!("DELETE entities/{id}"), String::new()),
        8 => (format!("{} entities/{id}", random.of(&["PATCH", "PUT"])), entity(random)),
        9 => (format!("{} entities/{id}/attrs", random.of(&["PATCH", "POST"])), entity(random)),
        10 => (
            format!("{} entities/{id}/attrs/{name}", random.of(&["PATCH", "PUT", "DELETE"])),
            random.of(&VALUES).to_owned(),
        ),
        11 | 12 => {
            let elements: Vec<_> = (0..random.below(4)).map(|_| entity(random)).collect();
            let operation = random.of(&["create", "upsert", "update", "merge"]);
            (format!("POST entityOperations/{operation}"), format!("[{}]", elements.join(",")))
        }
        13 => (
            "POST entityOperations/delete".to_owned(),
            format!("[\"{}\",\"{}\"]", random.of(&IDS), random.of(&IDS)),
        ),
        14 => {
            let body = random.of(&[
                "{\"type\":\"Query\",\"entities\":[{\"type\":\"T\"}]}",
                "{\"type\":\"Query\",\"q\":\"a\"}",
                "{\"type\":\"Query\",\"attrs\":[\"b\"]}",
                "{}",
            ]);
            ("POST entityOperations/query".to_owned(), body.to_owned())
        }
        15 => (format!("GET {}", random.of(&["types", "attributes"])), String::new()),
        16 => (format!("GET {}/{name}", random.of(&["types", "attributes"])), String::new()),
        17 => ("POST subscriptions".to_owned(), subscription(random)),
        18 => (
            format!(
                "{} subscriptions/{}",
                random.of(&["GET", "DELETE"]),
                random.of(&["urn:s:1", "urn:s:2", "urn:s:3"])
            ),
            String::new(),
        ),
        19 => ("GET subscriptions".to_owned(), String::new()),
        20 => (
            format!("PATCH subscriptions/{}", random.of(&["urn:s:1", "urn:s:2"])),
            random.of(&["{\"isActive\":false}", "{\"isActive\":true}", "{\"q\":\"a\"}", "[]"]).to_owned(),
        ),
        _ => (
            format!(
                "{} {}",
                random.of(&["GET", "POST", "PUT", "OPTIONS"]),
                random.of(&["", "entities/a/b/c", "x", "temporal/entities", "entityOperations/x"])
            ),
            entity(random),
        ),
    };
    let parameters: Vec<_> = (0..random.below(4)).map(|_| random.of(&PARAMETERS)).collect();
    let parameters =
        parameters.join("&").replace('[', "%5B").replace(']', "%5D").replace('>', "%3E").replace('|', "%7C");
    let mut headers = vec![(
        "Content-Type",
        random.of(&[
            "application/json",
            "application/json",
            "application/json",
            "application/ld+json",
            "text/plain",
        ]),
    )];
    if random.below(4) == 0 {
        headers.push((
            "Accept",
            random.of(&["application/ld+json", "*/*", "text/html", "application/json;q=x"]),
        ));
    }
    if random.below(4) == 0 {
        headers.push(("Link", "<https://smart-data-models.github.io/dataModel.Transportation/context.jsonld>; rel=\"http://www.w3.org/ns/json-ld#context\""));
    }
    // Now and then the body is cut, or a byte of it is another one.
    let mut body = body.into_bytes();
    if random.below(10) == 0 && !body.is_empty() {
        let at = random.below(body.len());
        if random.below(2) == 0 { body.truncate(at) } else { body[at] = b"{}[]\":,x0"[random.below(9)] }
    }
    let line = if parameters.is_empty() { line } else { format!("{line}?{parameters}") };
    (line, headers, String::from_utf8_lossy(&body).into_owned())
}

#[test]
fn no_request_and_no_notification_tells_what_may_not_be_seen() {
    let requests: usize = std::env::var("SMART_CITY_REQUESTS").map_or(50_000, |text| text.parse().unwrap());
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let (mut full, mut bare) = (City::new(), City::new());
    let (mut statuses, mut notifications, mut hidden) = (std::collections::BTreeMap::new(), 0, 0);
    // It is isolated, so that nobody sees what it measured.
    full.measure_at("open", "70b3d5fffe000003", r#"{"vehicles":3}"#);
    full.broker.isolate("70b3d5fffe000003");
    for i in 0..requests {
        if i % 5000 == 4999 {
            full.broker.recover("70b3d5fffe000003");
            full.broker.isolate("70b3d5fffe000003");
        }
        match i % 1000 {
            // Others come and go, or get other attributes; what they wrote goes with that.
            250 => full.reload(&["ann", "dan"], |source| {
                source != Source::User("ann") && source != Source::User("dan")
            }),
            500 => full.reload(&[], |source| source != Source::User("ben")),
            // Cid was away, and comes back to nothing.
            750 => {
                for city in [&full, &bare] {
                    city.reload(&["cid"], |source| source != Source::User("cid"));
                    city.reload(&[], |_| true);
                    assert_eq!(city.get("cid", "subscriptions").is(200), json!([]));
                }
            }
            _ => {}
        }
        full.now += jiff::SignedDuration::from_millis(10);
        bare.now = full.now;
        // Others do much in one of the two.
        for _ in 0..random.below(3) {
            let (line, headers, body) = request(&mut random);
            let body = body.replace("out/cid/x", "out/ann/x");
            hidden += usize::from(
                full.send(random.of(&["ann", "ben", "dan"]), &line, &headers, &body).status.is_success(),
            );
        }
        match random.below(12) {
            0 => full.measure("secret", &format!("{{\"speed_kmh\":{}}}", random.below(90))),
            1 => full.measure_at("air", "70b3d5fffe000002", &format!("{{\"no2\":{}}}", random.below(90))),
            2 => {
                let reading = format!("{{\"vehicles\":{}}}", random.below(90));
                full.measure("open", &reading);
                bare.measure("open", &reading);
            }
            _ => {}
        }
        let (line, headers, body) = request(&mut random);
        let [one, other] = [&full, &bare].map(|city| city.send("cid", &line, &headers, &body));
        assert_eq!(one, other, "request {i}: {line}\n{headers:?}\n{body}");
        *statuses.entry(one.status.as_u16()).or_insert(0) += 1;
        assert_ne!(one.status.as_u16(), 500);
        let now = Instant::now();
        let [one, other] = [&full, &bare].map(|city| {
            let jobs = city.broker.due(now, city.now);
            jobs.iter().for_each(|job| city.broker.done(job, true, now, city.now));
            let of_cid = jobs.into_iter().filter(|job| job.user == "cid");
            of_cid.map(|job| (job.transport, job.headers, job.body)).collect::<Vec<_>>()
        });
        assert_eq!(one, other, "after request {i}: {line}");
        notifications += one.len();
    }
    println!(
        "{requests} requests: {statuses:?}, {notifications} notifications, {hidden} changes and answers that were hidden"
    );
    // The test would say nothing if everything failed.
    if requests >= 10_000 {
        for status in [200, 201, 204, 207, 400, 403, 404, 405, 406, 409, 415, 422] {
            assert!(statuses.get(&status).is_some_and(|count| *count > 10), "{status}: {statuses:?}");
        }
        assert!(notifications > 100 && hidden > 1000);
    }
}
