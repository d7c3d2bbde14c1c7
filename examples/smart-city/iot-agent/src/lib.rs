//! Devices that speak as FIWARE's IoT agent for JSON expects it, over MQTT. They seal nothing: what comes from them says so.
//!
//! | topic | direction | payload |
//! |---|---|---|
//! | `/json/{key}/{device}/attrs` | from the device | a JSON object with a member for each attribute, or a list of such objects |
//! | `/json/{key}/{device}/attrs/{attribute}` | from the device | one value: JSON, or else a text |
//! | `/{key}/{device}/cmd` | to the device | a JSON object: the command and its value |
//! | `/json/{key}/{device}/cmdexe` | from the device | a JSON object: the command and what became of it |
//!
//! Source: the user manual of `iotagent-json`, in our own words. A [group](Groups) has the key and the type of its devices. The account of a
//! device at the broker has the name of the device, and nobody else may use its topics. The entity is `urn:ngsi-ld:{type}:{device}`.
//!
//! The member `TimeInstant` is when the device measured. It is `observedAt` of what comes with it; without it that is when the message came.
//! `{command}_status` is `PENDING` when a command was sent and `OK` when its result came, and `{command}_info` is the result.
//!
//! **Nothing is authenticated but the login at the broker**: the broker, and whoever reads or writes between the device and the broker, can
//! read and change what is sent. So each attribute, and the entity, has the property `authenticated` with the value `false`, and a device
//! cannot send an attribute of that name.
#![forbid(unsafe_code)]

use std::{collections::BTreeMap, fmt};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// What says that data is not authenticated.
pub const AUTHENTICATED: &str = "authenticated";

/// The member with the time of a measurement.
const TIME: &str = "TimeInstant";

/// The `@context` of a type that is of no data model.
const CORE: &str = "https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context.jsonld";

/// Attributes that one message may have.
const MOST_ATTRIBUTES: usize = 64;

/// Groups of devices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Groups {
    /// By the names of the devices.
    devices: BTreeMap<String, Group>,
}

/// What devices of a group have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Group {
    key: String,
    kind: String,
    /// The address of the `@context` of the type.
    context: String,
    commands: Vec<String>,
}

/// What is wrong with a table of groups, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The field, as `lamps.key`.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

fn fault<T>(field: impl Into<String>, message: impl Into<String>) -> Result<T, Fault> {
    Err(Fault { field: field.into(), message: message.into() })
}

/// Why a message or a command is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No group has a device of this name, with this key.
    UnknownDevice,
    /// The group has no such command.
    UnknownCommand,
    /// The topic is none of those that a device sends to.
    Topic,
    /// The payload is not the JSON that it should be.
    Payload,
    /// An attribute has a name that it cannot have, or there are more than 64.
    Attribute,
    /// `TimeInstant` is not a time.
    Time,
}

impl Refusal {
    /// A word for it, as a label of a metric.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::UnknownDevice => "device",
            Self::UnknownCommand => "command",
            Self::Topic => "topic",
            Self::Payload => "payload",
            Self::Attribute => "attribute",
            Self::Time => "time",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownDevice => "there is no such device in a group with this key",
            Self::UnknownCommand => "the group of the device has no such command",
            Self::Topic => "no device sends to this topic",
            Self::Payload => "the payload is not as it should be",
            Self::Attribute => {
                "an attribute has a name that it cannot have, or there are too many attributes"
            }
            Self::Time => "TimeInstant is not a time",
        })
    }
}

impl std::error::Error for Refusal {}

/// Whether this can be a part of a topic, a name of an attribute or of a command.
fn is_word(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

fn is_attribute(name: &str) -> bool {
    is_word(name)
        && name.starts_with(|first: char| first.is_ascii_alphabetic())
        && !matches!(name, "id" | "type" | "scope" | AUTHENTICATED | TIME)
}

/// What a device sends to.
enum Topic<'t> {
    Attributes,
    Attribute(&'t str),
    Result,
}

/// Key, device and kind of a topic that a device sends to.
fn parse(topic: &str) -> Option<(&str, &str, Topic<'_>)> {
    let mut parts = topic.strip_prefix("/json/")?.split('/');
    let (key, device) = (parts.next()?, parts.next()?);
    let kind = match (parts.next()?, parts.next()) {
        ("attrs", None) => Topic::Attributes,
        ("attrs", Some(name)) => Topic::Attribute(name),
        ("cmdexe", None) => Topic::Result,
        _ => return None,
    };
    parts.next().is_none().then_some((key, device, kind))
}

impl Groups {
    /// Checks a table: by its name, each group has `key`, `type` and `devices`, and may have `context` and `commands`. Whether there is an
    /// account of a device says `has_account`, and whether a `@context` of this address is known `is_context`.
    ///
    /// # Errors
    /// The first fault in it.
    pub fn parse(
        value: &Value,
        has_account: impl Fn(&str) -> bool,
        is_context: impl Fn(&str) -> bool,
    ) -> Result<Self, Fault> {
        let mut groups = Self::default();
        let Some(tables) = value.as_object() else { return fault("", "is not a table") };
        for (name, value) in tables {
            let Some(members) = value.as_object() else { return fault(name, "is not a table") };
            let known = ["key", "type", "context", "devices", "commands"];
            if let Some(other) = members.keys().find(|other| !known.contains(&other.as_str())) {
                return fault(name, format!("there is no field `{other}`"));
            }
            let text = |field: &str| members.get(field).and_then(Value::as_str);
            let words = |field: &str| {
                let list = members.get(field).map_or(Some(Vec::new()), |list| {
                    list.as_array()?.iter().map(|word| word.as_str().map(str::to_owned)).collect()
                });
                list.map_or_else(|| fault(format!("{name}.{field}"), "is not a list of texts"), Ok)
            };
            let word = |field: &str| match text(field).filter(|text| is_word(text)) {
                Some(text) => Ok(text.to_owned()),
                None => fault(format!("{name}.{field}"), "is 1 to 64 letters, digits, `-`, `_` and `.`"),
            };
            let context = members.get("context").map_or(Some(CORE), Value::as_str);
            let Some(context) = context.filter(|context| is_context(context)) else {
                return fault(format!("{name}.context"), "is not the address of a known @context");
            };
            let group = Group {
                key: word("key")?,
                kind: word("type")?,
                context: context.to_owned(),
                commands: words("commands")?,
            };
            if let Some(command) = group.commands.iter().find(|command| !is_attribute(&info(command))) {
                return fault(format!("{name}.commands"), format!("{command:?} cannot be a command"));
            }
            for device in words("devices")? {
                let field = format!("{name}.devices");
                if !has_account(&device) {
                    return fault(field, format!("there is no user {device:?} with `sends_only`"));
                }
                if groups.devices.insert(device.clone(), group.clone()).is_some() {
                    return fault(field, format!("{device:?} is in a group already"));
                }
            }
        }
        Ok(groups)
    }

    /// Whether the topic is one that these devices have, and no topic of others. It may be that nobody may use it.
    #[must_use]
    pub fn is_topic(topic: &str) -> bool {
        topic.starts_with('/')
    }

    /// The id of the entity of a device.
    #[must_use]
    pub fn entity_of(&self, device: &str) -> Option<String> {
        self.devices.get(device).map(|group| id(group, device))
    }

    fn group(&self, device: &str, key: &str) -> Option<&Group> {
        self.devices.get(device).filter(|group| group.key == key)
    }

    /// Whether an account may send to this topic.
    #[must_use]
    pub fn may_publish(&self, account: &str, topic: &str) -> bool {
        parse(topic).is_some_and(|(key, device, _)| device == account && self.group(device, key).is_some())
    }

    /// Whether an account may receive this topic.
    #[must_use]
    pub fn may_subscribe(&self, account: &str, filter: &str) -> bool {
        self.devices.get(account).is_some_and(|group| filter == command_topic(group, account))
    }

    /// The device of a message, and the entity that it makes, to be created or updated.
    ///
    /// # Errors
    /// If it is not a message of a known device, as it should be.
    pub fn entity(&self, topic: &str, payload: &[u8], now: Timestamp) -> Result<(String, Value), Refusal> {
        let (key, device, kind) = parse(topic).ok_or(Refusal::Topic)?;
        let group = self.group(device, key).ok_or(Refusal::UnknownDevice)?;
        let mut attributes = Map::new();
        match kind {
            Topic::Attributes => match serde_json::from_slice(payload).map_err(|_| Refusal::Payload)? {
                Value::Array(list) => {
                    for members in list {
                        measured(members, now, &mut attributes)?;
                    }
                }
                members => measured(members, now, &mut attributes)?,
            },
            Topic::Attribute(name) => {
                let text = || Some(Value::from(std::str::from_utf8(payload).ok()?));
                let value = serde_json::from_slice(payload).ok().or_else(text).ok_or(Refusal::Payload)?;
                measured(json!({ name: value }), now, &mut attributes)?;
            }
            Topic::Result => {
                let results: Map<String, Value> =
                    serde_json::from_slice(payload).map_err(|_| Refusal::Payload)?;
                for (command, result) in results {
                    if !group.commands.contains(&command) {
                        return Err(Refusal::UnknownCommand);
                    }
                    add(&mut attributes, &status(&command), &"OK".into(), now)?;
                    // Without a text the result of before would stay.
                    let result = if result.is_null() { "".into() } else { result };
                    add(&mut attributes, &info(&command), &result, now)?;
                }
            }
        }
        // A message without an attribute says nothing.
        if attributes.is_empty() {
            return Err(Refusal::Payload);
        }
        Ok((device.to_owned(), entity(group, device, attributes)))
    }

    /// The topic and the payload of a command to a device, and the entity that says that it was sent.
    ///
    /// # Errors
    /// If there is no such device or command.
    pub fn command(
        &self,
        device: &str,
        command: &str,
        value: &Value,
        now: Timestamp,
    ) -> Result<(String, Vec<u8>, Value), Refusal> {
        let group = self.devices.get(device).ok_or(Refusal::UnknownDevice)?;
        if !group.commands.iter().any(|known| known == command) {
            return Err(Refusal::UnknownCommand);
        }
        let mut attributes = Map::new();
        add(&mut attributes, &status(command), &"PENDING".into(), now)?;
        let payload = json!({ command: value }).to_string().into_bytes();
        Ok((command_topic(group, device), payload, entity(group, device, attributes)))
    }
}

/// The attributes with how far a command is, and with its result.
fn status(command: &str) -> String {
    format!("{command}_status")
}

fn info(command: &str) -> String {
    format!("{command}_info")
}

fn command_topic(group: &Group, device: &str) -> String {
    format!("/{}/{device}/cmd", group.key)
}

/// Adds what a device measured at one time.
fn measured(members: Value, now: Timestamp, attributes: &mut Map<String, Value>) -> Result<(), Refusal> {
    let Value::Object(mut members) = members else { return Err(Refusal::Payload) };
    let time = match members.remove(TIME) {
        None => now,
        Some(time) => time.as_str().and_then(|time| time.parse().ok()).ok_or(Refusal::Time)?,
    };
    members.into_iter().try_for_each(|(name, value)| add(attributes, &name, &value, time))
}

/// Adds an attribute. One that has no value is left out.
fn add(
    attributes: &mut Map<String, Value>,
    name: &str,
    value: &Value,
    time: Timestamp,
) -> Result<(), Refusal> {
    if !is_attribute(name) {
        return Err(Refusal::Attribute);
    }
    let time = format!("{time:.3}");
    // Of a list the newest counts, wherever it stands.
    let is_old = |before: &Value| before["observedAt"].as_str().is_some_and(|before| *before > *time);
    if value.is_null() || attributes.get(name).is_some_and(is_old) {
        return Ok(());
    }
    let is_place = name == "location" && value.get("coordinates").is_some();
    let kind = if is_place { "GeoProperty" } else { "Property" };
    let attribute = json!({
        "type": kind,
        "value": value,
        "observedAt": time,
        AUTHENTICATED: unauthenticated(),
    });
    attributes.insert(name.to_owned(), attribute);
    if attributes.len() > MOST_ATTRIBUTES { Err(Refusal::Attribute) } else { Ok(()) }
}

fn unauthenticated() -> Value {
    json!({ "type": "Property", "value": false })
}

fn id(group: &Group, device: &str) -> String {
    format!("urn:ngsi-ld:{}:{device}", group.kind)
}

fn entity(group: &Group, device: &str, mut entity: Map<String, Value>) -> Value {
    entity.insert(AUTHENTICATED.to_owned(), unauthenticated());
    entity.insert("id".to_owned(), id(group, device).into());
    entity.insert("type".to_owned(), group.kind.as_str().into());
    entity.insert("@context".to_owned(), group.context.as_str().into());
    Value::Object(entity)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups() -> Groups {
        let table = json!({
            "lamps": { "key": "K1", "type": "Streetlight", "devices": ["lamp-1", "lamp-2"], "commands": ["switch"] },
            "air": { "key": "K2", "type": "AirQualityObserved", "devices": ["box"], "context": "https://a.example/c" },
        });
        Groups::parse(&table, |_| true, |_| true).unwrap()
    }

    fn now() -> Timestamp {
        Timestamp::from_second(1_700_000_000).unwrap()
    }

    const NOW: &str = "2023-11-14T22:13:20.000Z";

    fn property(value: impl Into<Value>, time: &str) -> Value {
        let value = value.into();
        let no = json!({ "type": "Property", "value": false });
        json!({ "type": "Property", "value": value, "observedAt": time, "authenticated": no })
    }

    fn entity(topic: &str, payload: &str) -> Result<Value, Refusal> {
        groups().entity(topic, payload.as_bytes(), now()).map(|(device, entity)| {
            assert_eq!(Some(device.as_str()), topic.split('/').nth(3));
            entity
        })
    }

    #[test]
    fn attributes_become_an_entity_that_says_what_it_is() {
        let no = json!({ "type": "Property", "value": false });
        let expected = |attributes: Value| {
            let mut entity = json!({
                "@context": CORE, "id": "urn:ngsi-ld:Streetlight:lamp-1", "type": "Streetlight", "authenticated": no
            });
            entity.as_object_mut().unwrap().extend(attributes.as_object().unwrap().clone());
            entity
        };
        let topic = "/json/K1/lamp-1/attrs";
        assert_eq!(
            entity(topic, r#"{"power":12.5,"state":"on","faults":["a",{"b":1}],"none":null}"#).unwrap(),
            expected(json!({
                "power": property(12.5, NOW),
                "state": property("on", NOW),
                "faults": property(json!(["a", { "b": 1 }]), NOW),
            }))
        );
        // Of a list the newest counts; each has its own time.
        let list = r#"[{"power":1,"state":"on","TimeInstant":"2022-01-02T03:04:05Z"},{"power":2}]"#;
        assert_eq!(
            entity(topic, list).unwrap(),
            expected(json!({
                "power": property(2, NOW), "state": property("on", "2022-01-02T03:04:05.000Z"),
            }))
        );
        let list = r#"[{"power":2,"TimeInstant":"2024-01-02T03:04:06Z"},{"power":1,"TimeInstant":"2024-01-02T03:04:05Z"}]"#;
        assert_eq!(entity(topic, list).unwrap()["power"]["value"], 2);
        let place = r#"{"location":{"type":"Point","coordinates":[1,2]}}"#;
        assert_eq!(entity(topic, place).unwrap()["location"]["type"], "GeoProperty");
        assert_eq!(entity(topic, r#"{"location":"there"}"#).unwrap()["location"]["type"], "Property");
        // One attribute: JSON, or else a text.
        for (payload, value) in [("7", json!(7)), ("\"7\"", json!("7")), ("dim light", json!("dim light"))] {
            let entity = entity("/json/K1/lamp-1/attrs/state", payload).unwrap();
            assert_eq!(entity, expected(json!({ "state": property(value, NOW) })));
        }
        assert_eq!(entity("/json/K2/box/attrs", "{\"no2\":1}").unwrap()["@context"], "https://a.example/c");
    }

    #[test]
    fn commands_and_results() {
        let groups = groups();
        let (topic, payload, sent) = groups.command("lamp-2", "switch", &json!({ "to": 1 }), now()).unwrap();
        assert_eq!((topic.as_str(), payload.as_slice()), ("/K1/lamp-2/cmd", &br#"{"switch":{"to":1}}"#[..]));
        assert_eq!(sent["id"], "urn:ngsi-ld:Streetlight:lamp-2");
        assert_eq!(sent["switch_status"], property("PENDING", NOW));
        let done = entity("/json/K1/lamp-2/cmdexe", r#"{"switch":"is on"}"#).unwrap();
        assert_eq!(done["switch_status"], property("OK", NOW));
        assert_eq!(done["switch_info"], property("is on", NOW));
        let done = entity("/json/K1/lamp-2/cmdexe", r#"{"switch":null}"#).unwrap();
        assert_eq!(
            (&done["switch_status"]["value"], &done["switch_info"]["value"]),
            (&"OK".into(), &"".into())
        );
        for (device, command, expected) in [
            ("lamp-3", "switch", Refusal::UnknownDevice),
            ("lamp-1", "explode", Refusal::UnknownCommand),
            ("box", "switch", Refusal::UnknownCommand),
        ] {
            assert_eq!(groups.command(device, command, &Value::Null, now()), Err(expected));
        }
    }

    #[test]
    fn what_is_not_as_it_should_be_is_refused() {
        let many: Map<_, _> = (0..=MOST_ATTRIBUTES).map(|i| (format!("a{i}"), json!(i))).collect();
        let many = Value::Object(many).to_string();
        let most = many.replace(",\"a64\":64", "");
        assert!(entity("/json/K1/lamp-1/attrs", &most).is_ok());
        let attrs = "/json/K1/lamp-1/attrs";
        for (topic, payload, expected) in [
            ("/json/K2/lamp-1/attrs", "{\"a\":1}", Refusal::UnknownDevice),
            ("/json/K1/lamp-3/attrs", "{\"a\":1}", Refusal::UnknownDevice),
            ("/json/K1/lamp-1", "{\"a\":1}", Refusal::Topic),
            ("/json/K1/lamp-1/attrs/a/b", "1", Refusal::Topic),
            ("/json/K1/lamp-1/cmdexe/a", "{\"switch\":1}", Refusal::Topic),
            ("/json/K1/lamp-1/cmd", "{\"a\":1}", Refusal::Topic),
            ("/ul/K1/lamp-1/attrs", "{\"a\":1}", Refusal::Topic),
            ("json/K1/lamp-1/attrs", "{\"a\":1}", Refusal::Topic),
            (attrs, "", Refusal::Payload),
            (attrs, "{}", Refusal::Payload),
            (attrs, "[]", Refusal::Payload),
            (attrs, "{\"a\":null}", Refusal::Payload),
            (attrs, "{\"a\":1", Refusal::Payload),
            (attrs, "7", Refusal::Payload),
            (attrs, "[{\"a\":1},2]", Refusal::Payload),
            (attrs, "{\"authenticated\":true}", Refusal::Attribute),
            (attrs, "{\"id\":\"x\"}", Refusal::Attribute),
            (attrs, "{\"type\":\"x\"}", Refusal::Attribute),
            (attrs, "{\"@context\":\"x\"}", Refusal::Attribute),
            (attrs, "{\"\":1}", Refusal::Attribute),
            (attrs, "{\"a b\":1}", Refusal::Attribute),
            (attrs, "{\"1a\":1}", Refusal::Attribute),
            (attrs, &many, Refusal::Attribute),
            (attrs, "{\"a\":1,\"TimeInstant\":\"yesterday\"}", Refusal::Time),
            (attrs, "{\"a\":1,\"TimeInstant\":5}", Refusal::Time),
            ("/json/K1/lamp-1/attrs/authenticated", "true", Refusal::Attribute),
            ("/json/K1/lamp-1/attrs/TimeInstant", "x", Refusal::Time),
            ("/json/K1/lamp-1/cmdexe", "{\"explode\":1}", Refusal::UnknownCommand),
            ("/json/K1/lamp-1/cmdexe", "{}", Refusal::Payload),
            ("/json/K1/lamp-1/cmdexe", "[]", Refusal::Payload),
        ] {
            assert_eq!(entity(topic, payload), Err(expected), "{topic} {payload}");
        }
        assert_eq!(groups().entity("/json/K1/lamp-1/attrs/a", &[0xff], now()), Err(Refusal::Payload));
    }

    #[test]
    fn each_account_has_its_own_topics() {
        let groups = groups();
        for (account, topic, expected) in [
            ("lamp-1", "/json/K1/lamp-1/attrs", true),
            ("lamp-1", "/json/K1/lamp-1/attrs/a", true),
            ("lamp-1", "/json/K1/lamp-1/cmdexe", true),
            ("lamp-1", "/json/K1/lamp-2/attrs", false),
            ("lamp-1", "/json/K2/lamp-1/attrs", false),
            ("lamp-1", "/K1/lamp-1/cmd", false),
            ("hana", "/json/K1/hana/attrs", false),
        ] {
            assert_eq!(groups.may_publish(account, topic), expected, "{account} {topic}");
        }
        for (account, filter, expected) in [
            ("lamp-1", "/K1/lamp-1/cmd", true),
            ("lamp-1", "/K1/lamp-2/cmd", false),
            ("lamp-1", "/K2/lamp-1/cmd", false),
            ("lamp-1", "/+/lamp-1/cmd", false),
            ("lamp-1", "/json/K1/lamp-1/attrs", false),
            ("hana", "/K1/hana/cmd", false),
        ] {
            assert_eq!(groups.may_subscribe(account, filter), expected, "{account} {filter}");
        }
        let nobody = Groups::default();
        assert!(!nobody.may_publish("lamp-1", "/json/K1/lamp-1/attrs"));
        assert!(!nobody.may_subscribe("lamp-1", "/K1/lamp-1/cmd"));
    }

    #[test]
    fn faults_of_the_table() {
        let parse = |table: &Value| Groups::parse(table, |name| name == "a", |address| address == CORE);
        let good = json!({ "key": "K", "type": "T", "devices": ["a"] });
        let group = |name: &str, value: Value| {
            let mut group = good.clone();
            group[name] = value;
            json!({ "g": group })
        };
        for (table, field, message) in [
            (json!([]), "", "is not a table"),
            (json!({ "g": 1 }), "g", "is not a table"),
            (group("other", json!(1)), "g", "there is no field `other`"),
            (group("key", json!("a/b")), "g.key", "is 1 to 64"),
            (group("key", json!("")), "g.key", "is 1 to 64"),
            (group("type", json!("a b")), "g.type", "is 1 to 64"),
            (group("context", json!(1)), "g.context", "is not the address"),
            (group("context", json!("https://b.example")), "g.context", "is not the address"),
            (group("devices", json!("a")), "g.devices", "is not a list of texts"),
            (group("devices", json!([1])), "g.devices", "is not a list of texts"),
            (group("devices", json!(["b"])), "g.devices", "there is no user \"b\""),
            (group("devices", json!(["a", "a"])), "g.devices", "\"a\" is in a group already"),
            (group("commands", json!(["a b"])), "g.commands", "\"a b\" cannot be a command"),
            (group("commands", json!(["a".repeat(60)])), "g.commands", "\"aaa"),
        ] {
            let fault = parse(&table).unwrap_err();
            assert_eq!(fault.field, field, "{fault:?}");
            assert!(fault.message.starts_with(message), "{fault:?}");
        }
        let groups = parse(&json!({ "g": good })).unwrap();
        assert!(groups.may_publish("a", "/json/K/a/attrs"));
        assert_eq!(parse(&json!({})), Ok(Groups::default()));
    }
}
