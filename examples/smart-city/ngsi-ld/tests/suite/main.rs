//! The broker as its users see it. Tests are named by the clauses of ETSI GS CIM 009 v1.6 that they are about.

mod discovery;
mod entities;
mod hidden;
mod http;
mod kept;
mod labelled;
mod push;
mod queries;
mod reloads;
mod subscriptions;

use std::sync::{Arc, Mutex};

use ::http::{HeaderMap, Request, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};
use smart_city_ngsi_ld::{Broker, Policy, Publisher, Reading, Source, mapping::Mapping};

/// Ann and Ben see what both write, and the stream `open`. Ann alone sees the streams `secret` and `air`. Cid sees nothing of theirs but `open`.
/// Dan sees what Cid writes, and Cid does not see what Dan writes. The other broker `all` could see all streams, and what Ann writes.
#[derive(Default)]
struct Rules {
    /// Who is not there.
    gone: Vec<&'static str>,
    /// Whose standing is another one.
    promoted: Vec<&'static str>,
}

impl Policy for Rules {
    fn sees(&self, user: &str, source: Source<'_>) -> bool {
        if self.gone.contains(&user) {
            return false;
        }
        match source {
            Source::Stream { device_ok: false, .. } => false,
            Source::Stream { stream, .. } => stream == "open" || ["ann", "push:all"].contains(&user),
            Source::User(author) => {
                let both = |names: [&str; 2]| [user, author].iter().all(|name| names.contains(name));
                user == author
                    || both(["ann", "ben"])
                    || [("dan", "cid"), ("push:all", "ann")].contains(&(user, author))
            }
        }
    }

    fn standing(&self, user: &str) -> String {
        let is_promoted = self.promoted.contains(&user);
        format!("{user} {is_promoted}")
    }
}

/// Remembers what was published.
#[derive(Clone, Default)]
struct Published(Arc<Mutex<Vec<(String, Value)>>>);

impl Publisher for Published {
    fn accepts(&self, user: &str, topic: &str) -> bool {
        topic == format!("out/{user}/x")
    }

    fn publish(&self, _: &str, topic: &str, payload: Vec<u8>) -> bool {
        self.0.lock().unwrap().push((topic.to_owned(), serde_json::from_slice(&payload).unwrap()));
        true
    }
}

const DEVICE: &str = "70b3d5fffe000001";
const TRAFFIC: &str = "https://smart-data-models.github.io/dataModel.Transportation/context.jsonld";
const TRAFFIC_ID: &str = "urn:ngsi-ld:TrafficFlowObserved:device:70b3d5fffe000001";

fn mapping(endpoints: &[String]) -> Mapping {
    let value = json!({
        "streams": {
            "open": { "model": "TrafficFlowObserved", "properties": { "intensity": { "from": "vehicles" } } },
            "secret": { "model": "TrafficFlowObserved", "properties": { "averageVehicleSpeed": { "from": "speed_kmh", "unit": "KMH" } } },
            "air": { "model": "AirQualityObserved", "properties": { "no2": { "from": "no2", "unit": "GQ" } } },
        },
        "places": { DEVICE: [139.7, 35.7] },
        "endpoints": endpoints,
    });
    Mapping::parse(&value, |_| true, |_| true, |_| Err(String::new())).unwrap()
}

/// An answer.
#[derive(Clone, Debug, PartialEq)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("{self:?}"))
    }

    /// Checks the status, and gives the body.
    #[track_caller]
    fn is(&self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        if self.text.is_empty() { Value::Null } else { self.json() }
    }

    /// Checks status and type of an error.
    #[track_caller]
    fn fails(&self, status: u16, kind: &str) {
        let body = self.is(status);
        assert_eq!(self.header("content-type"), "application/json");
        let kind = if kind.is_empty() {
            "about:blank".to_owned()
        } else {
            format!("https://uri.etsi.org/ngsi-ld/errors/{kind}")
        };
        assert_eq!(
            (body["type"].as_str(), body["status"].as_u64()),
            (Some(kind.as_str()), Some(status.into()))
        );
        assert!(body["title"].is_string() && body["detail"].is_string(), "{body}");
    }

    fn header(&self, name: &str) -> String {
        let values = self.headers.get_all(name).iter().map(|value| value.to_str().unwrap());
        values.collect::<Vec<_>>().join(" | ")
    }
}

/// A broker and the time there.
struct City {
    broker: Arc<Broker>,
    published: Published,
    now: Timestamp,
}

impl City {
    fn new() -> Self {
        Self::with_endpoints(&[])
    }

    fn with_endpoints(endpoints: &[String]) -> Self {
        let published = Published::default();
        let broker = Arc::new(Broker::new(published.clone()));
        broker.configure(Rules::default(), mapping(endpoints), |_| true);
        Self { broker, published, now: "2026-01-01T00:00:00Z".parse().unwrap() }
    }

    fn measure(&self, stream: &str, bytes: &str) {
        self.measure_at(stream, DEVICE, bytes);
    }

    fn measure_at(&self, stream: &str, device: &str, bytes: &str) {
        let (stream, device) = (stream.to_owned(), device.to_owned());
        self.broker.reading(Reading { stream, device, time: self.now, bytes: bytes.as_bytes().to_vec() });
        self.broker.work();
    }

    fn send(&self, user: &str, line: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let (method, path) = line.split_once(' ').unwrap();
        let mut request = Request::builder().method(method).uri(format!("/ngsi-ld/v1/{path}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response =
            self.broker.respond_at(user, &request.body(body.as_bytes().to_vec()).unwrap(), self.now);
        let (parts, body) = response.into_parts();
        Answer { status: parts.status, headers: parts.headers, text: String::from_utf8(body).unwrap() }
    }

    /// Sends JSON, or JSON-LD if there is a context in it.
    fn post(&self, user: &str, line: &str, body: &Value) -> Answer {
        let has_context = body.get("@context").is_some()
            || body.get(0).is_some_and(|first| first.get("@context").is_some());
        let kind = if has_context { "application/ld+json" } else { "application/json" };
        self.send(user, line, &[("Content-Type", kind)], &body.to_string())
    }

    fn get(&self, user: &str, path: &str) -> Answer {
        self.send(user, &format!("GET {path}"), &[], "")
    }

    /// With the context of traffic.
    fn get_traffic(&self, user: &str, path: &str) -> Answer {
        let link = format!(
            "<{TRAFFIC}>; rel=\"http://www.w3.org/ns/json-ld#context\"; type=\"application/ld+json\""
        );
        self.send(user, &format!("GET {path}"), &[("Link", &link)], "")
    }

    /// The ids that a query finds.
    #[track_caller]
    fn ids(&self, user: &str, query: &str) -> Vec<String> {
        let body = self.get(user, &format!("entities?{query}")).is(200);
        body.as_array().unwrap().iter().map(|entity| entity["id"].as_str().unwrap().to_owned()).collect()
    }
}
