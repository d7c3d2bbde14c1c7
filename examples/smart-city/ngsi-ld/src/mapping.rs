//! How readings become entities of a data model.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
    sync::Arc,
};

use http::Uri;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use smart_city_requests::ClientConfig;

use crate::{
    attribute::{Attributes, Instance, Kind},
    models::{self, Model},
    text,
};

/// Other brokers that get entities.
pub(crate) const MOST_TARGETS: usize = 16;

/// What operators set: what readings mean, where devices are, and where notifications may go.
#[derive(Clone, Debug, Default)]
pub struct Mapping {
    streams: HashMap<String, StreamMapping>,
    /// Longitude and latitude.
    places: HashMap<String, [f64; 2]>,
    endpoints: HashSet<String>,
    /// Accounts that write one entity alone, or none, which nobody else writes.
    confined: HashMap<String, Option<String>>,
    owners: HashMap<String, String>,
    pub(crate) targets: Vec<Target>,
}

/// Another broker, which gets entities of devices.
#[derive(Clone, Debug)]
pub struct Target {
    /// What it is called here.
    pub name: String,
    /// Host and port.
    pub(crate) authority: String,
    /// What comes before `/ngsi-ld/v1`.
    pub(crate) path: String,
    /// How it is checked to be who it should be; none without TLS.
    pub(crate) tls: Option<Tls>,
    /// Who it is for the policy; if it is nobody, it gets what is for all.
    pub partner: Option<Partner>,
}

/// The attributes of a target, as a user has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Partner {
    /// Its city.
    pub city: String,
    /// Its departments.
    pub departments: Vec<String>,
    /// Its level.
    pub level: u8,
}

/// Where a target is: host and port, path, and whether it is with TLS.
pub(crate) type Place = (String, String, bool);

/// Whom a client with TLS trusts.
#[derive(Clone, Debug)]
pub struct Tls(pub Arc<ClientConfig>);

impl PartialEq for Tls {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Tls {}

impl Target {
    /// Its name for the policy. No user has such a name.
    #[must_use]
    pub fn user(&self) -> String {
        format!("push:{}", self.name)
    }

    pub(crate) fn place(&self) -> Place {
        (self.authority.clone(), self.path.clone(), self.tls.is_some())
    }

    fn parse(
        value: &Value,
        field: &str,
        trust: &dyn Fn(Option<&str>) -> Result<Tls, String>,
    ) -> Result<Self, Fault> {
        let members = table(value, field, &["name", "url", "authorities", "partner"])?;
        let text = |members: &Map<String, Value>, name: &str| match members.get(name) {
            None => Ok(None),
            Some(Value::String(text)) if !text.is_empty() => Ok(Some(text.clone())),
            Some(_) => fault(&format!("{field}.{name}"), "is not a text"),
        };
        let name = text(members, "name")?.filter(|name| {
            name.len() <= 32
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        });
        let Some(name) = name else {
            return fault(field, "needs a `name`: 1 to 32 letters, digits, `-`, `_` and `.`");
        };
        let url = text(members, "url")?.and_then(|url| url.parse::<Uri>().ok());
        let parts =
            url.as_ref().and_then(|url| Some((url.scheme_str()?, url.authority()?, url.path(), url.query())));
        let (scheme, authority, path) = match parts {
            Some((scheme @ ("http" | "https"), authority, path, None))
                if !authority.as_str().contains('@') =>
            {
                (scheme, authority, path.trim_end_matches('/').to_owned())
            }
            _ => return fault(field, "needs a `url` as https://HOST:PORT, without a password and a query"),
        };
        let is_tls = scheme == "https";
        let port = authority.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let authorities = text(members, "authorities")?;
        let tls = match (is_tls, authorities) {
            (true, authorities) => Some(
                trust(authorities.as_deref()).or_else(|why| fault(&format!("{field}.authorities"), why))?,
            ),
            (false, None) => None,
            (false, Some(_)) => return fault(&format!("{field}.authorities"), "are for a url with https"),
        };
        let partner = match members.get("partner") {
            None => None,
            Some(value) => {
                let field = format!("{field}.partner");
                let members = table(value, &field, &["city", "departments", "level"])?;
                let departments = match members.get("departments") {
                    None => Some(Vec::new()),
                    Some(list) => list.as_array().and_then(|names| {
                        names.iter().map(|name| name.as_str().map(str::to_owned)).collect()
                    }),
                };
                let level = members.get("level").map_or(Some(0), Value::as_u64).filter(|level| *level <= 9);
                let level = level.and_then(|level| u8::try_from(level).ok());
                match (members.get("city").and_then(Value::as_str), departments, level) {
                    (Some(city), Some(departments), Some(level)) => {
                        Some(Partner { city: city.to_owned(), departments, level })
                    }
                    _ => return fault(&field, "is { city = \"...\", departments = [...], level = 0 to 9 }"),
                }
            }
        };
        Ok(Self { name, authority: format!("{}:{port}", authority.host()), path, tls, partner })
    }
}

#[derive(Clone, Debug, PartialEq)]
struct StreamMapping {
    model: &'static Model,
    rules: BTreeMap<String, Rule>,
}

/// How a property is made from a member of a reading.
#[derive(Clone, Debug, PartialEq)]
struct Rule {
    from: String,
    unit: Option<String>,
    divide_by: f64,
}

/// What is wrong with a mapping, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The field, as `streams.traffic-flow.model`.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

impl std::error::Error for Fault {}

fn fault<T>(field: &str, message: impl Into<String>) -> Result<T, Fault> {
    Err(Fault { field: field.to_owned(), message: message.into() })
}

fn table<'v>(value: &'v Value, field: &str, known: &[&str]) -> Result<&'v Map<String, Value>, Fault> {
    let Some(members) = value.as_object() else { return fault(field, "is not a table") };
    match members.keys().find(|name| !known.is_empty() && !known.contains(&name.as_str())) {
        Some(name) => fault(field, format!("there is no field `{name}`")),
        None => Ok(members),
    }
}

impl Mapping {
    /// Checks a table with `streams`, `places`, `endpoints` and `push`; whether a stream or a device exists say `is_stream` and `is_device`,
    /// and whom to trust with TLS, by the name of a file or without one, `trust`.
    ///
    /// # Errors
    /// The first fault in it.
    pub fn parse(
        value: &Value,
        is_stream: impl Fn(&str) -> bool,
        is_device: impl Fn(&str) -> bool,
        trust: impl Fn(Option<&str>) -> Result<Tls, String>,
    ) -> Result<Self, Fault> {
        let mut mapping = Self::default();
        let empty = json!({});
        let members = table(value, "", &["streams", "places", "endpoints", "push"])?;
        for (name, value) in table(members.get("streams").unwrap_or(&empty), "streams", &[])? {
            let field = format!("streams.{name}");
            if !is_stream(name) {
                return fault(&field, "there is no such stream");
            }
            mapping.streams.insert(name.clone(), StreamMapping::parse(value, &field)?);
        }
        for (device, value) in table(members.get("places").unwrap_or(&empty), "places", &[])? {
            let field = format!("places.{device}");
            if !is_device(device) {
                return fault(&field, "there is no such device");
            }
            let parts: Option<Vec<f64>> =
                value.as_array().and_then(|parts| parts.iter().map(Value::as_f64).collect());
            match parts.as_deref() {
                Some(&[longitude, latitude]) if longitude.abs() <= 180.0 && latitude.abs() <= 90.0 => {
                    mapping.places.insert(device.clone(), [longitude, latitude]);
                }
                _ => return fault(&field, "is not a longitude and a latitude in degrees"),
            }
        }
        match members.get("endpoints").unwrap_or(&json!([])) {
            Value::Array(endpoints) => {
                for endpoint in endpoints {
                    let port = endpoint.as_str().and_then(|text| text.rsplit_once(':')).map(|(_, port)| port);
                    match (endpoint.as_str(), port.and_then(|port| port.parse::<u16>().ok())) {
                        (Some(text), Some(_)) => drop(mapping.endpoints.insert(text.to_owned())),
                        _ => return fault("endpoints", "an endpoint is HOST:PORT"),
                    }
                }
            }
            _ => return fault("endpoints", "is not a list"),
        }
        let Some(targets) =
            members.get("push").map_or(Some(&[][..]), |push| push.as_array().map(Vec::as_slice))
        else {
            return fault("push", "is not a list of tables");
        };
        if targets.len() > MOST_TARGETS {
            return fault("push", format!("there are at most {MOST_TARGETS}"));
        }
        for (i, value) in targets.iter().enumerate() {
            let field = format!("push[{i}]");
            let target = Target::parse(value, &field, &trust)?;
            if mapping
                .targets
                .iter()
                .any(|other| other.name == target.name || other.place() == target.place())
            {
                return fault(&field, "another one has the same name, or the same url");
            }
            mapping.targets.push(target);
        }
        Ok(mapping)
    }

    /// From now on `user` writes this entity alone, or none, and nobody else writes it.
    pub fn confine(&mut self, user: &str, id: Option<String>) {
        self.owners.extend(id.clone().map(|id| (id, user.to_owned())));
        self.confined.insert(user.to_owned(), id);
    }

    /// Whether a user may write an entity of this id, as far as it is not one of a device.
    pub(crate) fn may_write(&self, user: &str, id: &str) -> bool {
        match self.confined.get(user) {
            Some(own) => own.as_deref() == Some(id),
            None => !self.owners.contains_key(id),
        }
    }

    /// The brokers that get entities of devices.
    #[must_use]
    pub fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// The ids that entities of a device have, those of the streams for which `sees` says so.
    pub(crate) fn ids(&self, device: &str, sees: impl Fn(&str) -> bool) -> impl Iterator<Item = String> {
        let streams = self.streams.iter().filter(move |(stream, _)| sees(stream));
        streams.map(move |(_, mapping)| id(mapping.model, device))
    }

    /// Whether readings of this stream become entities.
    #[must_use]
    pub fn has(&self, stream: &str) -> bool {
        self.streams.contains_key(stream)
    }

    /// Whether another mapping makes the same of the readings of this stream and device, if it makes anything of them.
    pub(crate) fn agrees(&self, other: &Self, stream: &str, device: &str) -> bool {
        self.has(stream)
            && self.streams.get(stream) == other.streams.get(stream)
            && self.places.get(device) == other.places.get(device)
    }

    /// Whether notifications may go to this host and port.
    pub(crate) fn allows(&self, endpoint: &str) -> bool {
        self.endpoints.contains(endpoint)
    }

    /// The id and the content of the entity that a reading is about; none if the stream has no mapping, or nothing fits it.
    pub(crate) fn entity(
        &self,
        stream: &str,
        device: &str,
        time: Timestamp,
        bytes: &[u8],
    ) -> Option<(String, String, Attributes)> {
        let mapping = self.streams.get(stream)?;
        let model = mapping.model;
        let reading: Map<String, Value> = serde_json::from_slice(bytes).ok()?;
        let mut attributes = Attributes::new();
        for (name, rule) in &mapping.rules {
            if let Some(value) = reading.get(&rule.from).and_then(|value| rule.apply(value))
                && model.range(name).is_some_and(|range| range.has(&value))
            {
                let mut instance = instance(Kind::Property, value, time);
                instance.observed_at = Some(time);
                instance.unit_code.clone_from(&rule.unit);
                attributes.insert(model.iri(name), vec![instance]);
            }
        }
        if attributes.is_empty() {
            return None;
        }
        let mut add =
            |iri: String, kind, value| drop(attributes.insert(iri, vec![instance(kind, value, time)]));
        let observed = json!({ "@type": "DateTime", "@value": text::print(time) });
        add(model.iri("dateObserved"), Kind::Property, observed);
        add(model.iri("refDevice"), Kind::Relationship, Value::from(format!("urn:ngsi-ld:Device:{device}")));
        if let Some(place) = self.places.get(device) {
            let point = json!({ "type": "Point", "coordinates": place });
            add("https://uri.etsi.org/ngsi-ld/location".to_owned(), Kind::GeoProperty, point);
        }
        Some((id(model, device), model.iri(model.name), attributes))
    }
}

/// What stands in the ids of entities of devices, behind the model.
const DEVICE: &str = ":device:";

fn id(model: &Model, device: &str) -> String {
    format!("urn:ngsi-ld:{}{DEVICE}{device}", model.name)
}

/// Whether an id is one that readings alone may make, whether or not there is such an entity.
pub(crate) fn is_of_a_device(id: &str) -> bool {
    let rest = id.strip_prefix("urn:ngsi-ld:").and_then(|rest| rest.split_once(DEVICE));
    rest.is_some_and(|(model, _)| models::model(model).is_some())
}

fn instance(kind: Kind, value: Value, time: Timestamp) -> Instance {
    let nested = BTreeMap::new();
    Instance {
        kind,
        value,
        observed_at: None,
        unit_code: None,
        dataset: None,
        nested,
        created: time,
        modified: time,
    }
}

impl StreamMapping {
    fn parse(value: &Value, field: &str) -> Result<Self, Fault> {
        let members = table(value, field, &["model", "properties"])?;
        let name = members.get("model").and_then(Value::as_str).unwrap_or_default();
        let Some(model) = models::model(name) else {
            let message = "is not TrafficFlowObserved, WeatherObserved or AirQualityObserved";
            return fault(&format!("{field}.model"), message);
        };
        let mut rules = BTreeMap::new();
        for (name, value) in table(members.get("properties").unwrap_or(&json!({})), field, &[])? {
            let field = format!("{field}.properties.{name}");
            if model.range(name).is_none() {
                return fault(&field, format!("{} has no such property", model.name));
            }
            rules.insert(name.clone(), Rule::parse(value, &field)?);
        }
        if rules.is_empty() {
            return fault(field, "needs properties");
        }
        Ok(Self { model, rules })
    }
}

impl Rule {
    fn parse(value: &Value, field: &str) -> Result<Self, Fault> {
        let members = table(value, field, &["from", "unit", "divide_by"])?;
        let text = |name: &str| match members.get(name) {
            None => Ok(None),
            Some(Value::String(text)) if !text.is_empty() => Ok(Some(text.clone())),
            Some(_) => fault(&format!("{field}.{name}"), "is not a text"),
        };
        let Some(from) = text("from")? else { return fault(field, "needs `from`, the name in the reading") };
        let divide_by = match members.get("divide_by") {
            None => 1.0,
            Some(value) => match value.as_f64().filter(|number| *number > 0.0 && number.is_finite()) {
                Some(number) => number,
                None => return fault(&format!("{field}.divide_by"), "is not a number above 0"),
            },
        };
        Ok(Self { from, unit: text("unit")?, divide_by })
    }

    /// A value stays as it is, unless it is to be divided.
    #[expect(clippy::float_cmp, reason = "exactly 1 divides nothing")]
    fn apply(&self, value: &Value) -> Option<Value> {
        if self.divide_by == 1.0 {
            return Some(value.clone());
        }
        serde_json::Number::from_f64(value.as_f64()? / self.divide_by).map(Value::Number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(value: &Value) -> Result<Mapping, Fault> {
        Mapping::parse(
            value,
            |stream| stream == "weather",
            |device| device == "70b3d5fffe000001",
            |_| Err("no TLS".to_owned()),
        )
    }

    fn good() -> Value {
        json!({
            "streams": { "weather": { "model": "WeatherObserved", "properties": {
                "temperature": { "from": "celsius", "unit": "CEL" },
                "relativeHumidity": { "from": "humidity", "divide_by": 100 },
            } } },
            "places": { "70b3d5fffe000001": [139.7, 35.7] },
            "endpoints": ["127.0.0.1:9000"],
        })
    }

    #[test]
    fn a_reading_becomes_an_entity() {
        let mapping = parse(&good()).unwrap();
        let time = "2026-01-02T03:04:05Z".parse().unwrap();
        let entity = |bytes: &[u8]| mapping.entity("weather", "70b3d5fffe000001", time, bytes);
        let (id, kind, attributes) = entity(br#"{"minute":5,"celsius":16.4,"humidity":68}"#).unwrap();
        assert_eq!(id, "urn:ngsi-ld:WeatherObserved:device:70b3d5fffe000001");
        assert!(
            is_of_a_device(&id)
                && !is_of_a_device("urn:ngsi-ld:WeatherObserved:x")
                && !is_of_a_device("urn:x:device:y")
        );
        assert_eq!(kind, "https://smartdatamodels.org/dataModel.Weather/WeatherObserved");
        let value = |name: &str| &attributes[&models::model("WeatherObserved").unwrap().iri(name)][0];
        assert_eq!(
            (&value("temperature").value, value("temperature").unit_code.as_deref()),
            (&json!(16.4), Some("CEL"))
        );
        assert_eq!(value("relativeHumidity").value, json!(0.68));
        assert_eq!(value("dateObserved").value["@value"], "2026-01-02T03:04:05.000Z");
        assert_eq!(
            attributes["https://uri.etsi.org/ngsi-ld/location"][0].value["coordinates"],
            json!([139.7, 35.7])
        );
        // What does not fit is left out, and nothing is made of nothing.
        let (.., attributes) = entity(br#"{"celsius":16.4,"humidity":168}"#).unwrap();
        assert_eq!(attributes.len(), 4);
        for bytes in [&b"{}"[..], b"[1]", b"\xff", br#"{"celsius":"warm"}"#] {
            assert!(entity(bytes).is_none());
        }
        assert!(mapping.entity("other", "70b3d5fffe000001", time, b"{}").is_none());
    }

    #[test]
    fn faults_are_named() {
        let with = |pointer: &str, value: Value| {
            let mut mapping = good();
            *mapping.pointer_mut(pointer).unwrap() = value;
            parse(&mapping).unwrap_err().to_string()
        };
        for (pointer, value, expected) in [
            ("/streams", json!({ "x": {} }), "streams.x: there is no such stream"),
            ("/streams/weather/model", json!("Weather"), "streams.weather.model: is not TrafficFlowObserved"),
            ("/streams/weather/properties", json!({}), "streams.weather: needs properties"),
            (
                "/streams/weather/properties",
                json!({ "x": {} }),
                "streams.weather.properties.x: WeatherObserved has no such",
            ),
            (
                "/streams/weather/properties/temperature",
                json!({}),
                "streams.weather.properties.temperature: needs `from`",
            ),
            ("/streams/weather/properties/temperature/unit", json!(1), "temperature.unit: is not a text"),
            ("/streams/weather/properties/temperature", json!({ "form": "x" }), "there is no field `form`"),
            (
                "/streams/weather/properties/relativeHumidity/divide_by",
                json!(0),
                "divide_by: is not a number above 0",
            ),
            ("/places", json!({ "x": [1, 2] }), "places.x: there is no such device"),
            ("/places/70b3d5fffe000001", json!([1, 91]), "is not a longitude"),
            ("/endpoints", json!(["localhost"]), "endpoints: an endpoint is HOST:PORT"),
            ("/endpoints", json!({}), "endpoints: is not a list"),
            ("", json!([]), ": is not a table"),
        ] {
            let found = with(pointer, value);
            assert!(found.contains(expected), "{found}");
        }
    }
}
