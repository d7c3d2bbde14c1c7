//! Attributes (clause 4.5): properties, geo-properties, relationships and language properties, as they are read and written in the
//! normalized, the concise and the simplified (`keyValues`) representation.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{
    context::Context,
    geo,
    problem::{Problem, Result},
    text,
};

/// What stands for nothing, where something is to be removed (clause 4.5.0).
pub(crate) const NOTHING: &str = "urn:ngsi-ld:null";

/// How deep attributes of attributes go.
const DEEPEST: usize = 4;

/// How deep a value goes.
const DEEPEST_VALUE: usize = 32;

/// Instances of one attribute, by `datasetId`.
pub(crate) const MOST_INSTANCES: usize = 32;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kind {
    Property,
    GeoProperty,
    Relationship,
    LanguageProperty,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Property => "Property",
            Self::GeoProperty => "GeoProperty",
            Self::Relationship => "Relationship",
            Self::LanguageProperty => "LanguageProperty",
        }
    }

    fn of(name: &str) -> Option<Self> {
        [Self::Property, Self::GeoProperty, Self::Relationship, Self::LanguageProperty]
            .into_iter()
            .find(|kind| kind.name() == name)
    }

    /// The member that has the value.
    fn member(self) -> &'static str {
        match self {
            Self::Property | Self::GeoProperty => "value",
            Self::Relationship => "object",
            Self::LanguageProperty => "languageMap",
        }
    }

    fn check(self, value: &Value) -> Result<()> {
        match self {
            Self::Property if value.is_null() || is_nothing(value) => {
                Err(Problem::bad("the value of a Property is missing"))
            }
            Self::Property if depth(value) > DEEPEST_VALUE => Err(Problem::bad("a value is too deep")),
            Self::Property => Ok(()),
            Self::GeoProperty => geo::parse(value).map(|_| ()),
            Self::Relationship => {
                text::uri(value.as_str().unwrap_or_default(), "the object of a Relationship").map(|_| ())
            }
            Self::LanguageProperty => {
                let is_text = |value: &Value| match value {
                    Value::Array(texts) => texts.iter().all(Value::is_string),
                    value => value.is_string(),
                };
                match value.as_object() {
                    Some(map) if !map.is_empty() && map.values().all(is_text) => Ok(()),
                    _ => Err(Problem::bad("a languageMap has a text, or a list of texts, for each language")),
                }
            }
        }
    }
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(parts) => 1 + parts.iter().map(depth).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// An instance of an attribute.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Instance {
    pub(crate) kind: Kind,
    pub(crate) value: Value,
    pub(crate) observed_at: Option<Timestamp>,
    pub(crate) unit_code: Option<String>,
    pub(crate) dataset: Option<String>,
    /// Attributes of this one, by URI.
    pub(crate) nested: BTreeMap<String, Instance>,
    pub(crate) created: Timestamp,
    pub(crate) modified: Timestamp,
}

/// Attributes by URI, each with its instances.
pub(crate) type Attributes = BTreeMap<String, Vec<Instance>>;

/// What representation is read or written, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Normalized,
    Concise,
    Simplified,
}

/// Reads attributes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'c> {
    pub(crate) context: &'c Context,
    pub(crate) now: Timestamp,
    /// Values alone are there, as in the simplified representation.
    pub(crate) simplified: bool,
    /// When values alone were observed.
    pub(crate) observed_at: Option<Timestamp>,
    /// Of a fragment: the members of a value that is an object stay if the fragment does not name them.
    pub(crate) merges: bool,
}

pub(crate) fn is_nothing(value: &Value) -> bool {
    value.as_str() == Some(NOTHING)
}

/// Of which instance a fragment is.
pub(crate) fn dataset(fragment: &Value) -> Option<&str> {
    fragment.get("datasetId").and_then(Value::as_str)
}

/// Whether a fragment says that its instance of an attribute is to be removed.
pub(crate) fn removes(fragment: &Value) -> bool {
    is_nothing(fragment)
        || fragment.get("value").is_some_and(is_nothing)
        || fragment.get("object").is_some_and(is_nothing)
        || fragment
            .get("languageMap")
            .is_some_and(|map| is_nothing(map) || map.get("@none").is_some_and(is_nothing))
}

impl Reader<'_> {
    /// What is said of each instance of an attribute. A list is one value in the concise representation, unless it is of instances.
    pub(crate) fn fragments<'v>(&self, value: &'v Value) -> Result<&'v [Value]> {
        match value {
            Value::Array(parts) if !self.simplified && parts.iter().any(is_instance) => {
                if parts.len() > MOST_INSTANCES {
                    return Err(Problem::bad("an attribute has too many instances"));
                }
                Ok(parts)
            }
            value => Ok(std::slice::from_ref(value)),
        }
    }

    /// The instances of an attribute.
    pub(crate) fn attribute(&self, value: &Value) -> Result<Vec<Instance>> {
        let (instances, removed) = self.update(value)?;
        if removed.is_empty() {
            Ok(instances)
        } else {
            Err(Problem::bad("the value of an attribute is missing"))
        }
    }

    /// The instances that a fragment of an attribute sets, and the `datasetId`s of those that it removes.
    pub(crate) fn update(&self, value: &Value) -> Result<(Vec<Instance>, Vec<Option<String>>)> {
        let (mut instances, mut removed) = (Vec::<Instance>::new(), Vec::new());
        for fragment in self.fragments(value)? {
            if removes(fragment) {
                removed.push(dataset(fragment).map(str::to_owned));
                continue;
            }
            let instance = self.instance(fragment, 1)?;
            if instances.iter().any(|before| before.dataset == instance.dataset) {
                return Err(Problem::bad("two instances of an attribute have the same datasetId"));
            }
            instances.push(instance);
        }
        Ok((instances, removed))
    }

    fn instance(&self, value: &Value, level: usize) -> Result<Instance> {
        if level > DEEPEST {
            return Err(Problem::bad("attributes of attributes are too deep"));
        }
        let members = match value {
            Value::Object(members) if !self.simplified && !geo::looks_like(value) => members,
            value => return self.bare(value),
        };
        let kind = match members.get("type") {
            Some(kind) => {
                let kind = kind.as_str().and_then(Kind::of);
                kind.ok_or_else(|| {
                    Problem::bad(
                        "the type of an attribute is Property, GeoProperty, Relationship or LanguageProperty",
                    )
                })?
            }
            None if members.contains_key("object") => Kind::Relationship,
            None if members.contains_key("languageMap") => Kind::LanguageProperty,
            None if members.get("value").is_some_and(geo::looks_like) => Kind::GeoProperty,
            None if members.contains_key("value") => Kind::Property,
            None => return self.bare(value),
        };
        let own = members.get(kind.member());
        let own =
            own.ok_or_else(|| Problem::bad(format!("a {} has a member {}", kind.name(), kind.member())))?;
        kind.check(own)?;
        let mut instance = self.of(kind, own.clone());
        instance.observed_at = None;
        for (name, value) in members {
            instance.set(name, value, self, level)?;
        }
        Ok(instance)
    }

    fn of(&self, kind: Kind, value: Value) -> Instance {
        Instance {
            kind,
            value,
            observed_at: self.observed_at,
            unit_code: None,
            dataset: None,
            nested: BTreeMap::new(),
            created: self.now,
            modified: self.now,
        }
    }

    fn bare(&self, value: &Value) -> Result<Instance> {
        let kind = if geo::looks_like(value) { Kind::GeoProperty } else { Kind::Property };
        kind.check(value)?;
        Ok(self.of(kind, value.clone()))
    }
}

/// Whether this is an instance of an attribute, and not a value.
fn is_instance(value: &Value) -> bool {
    ["value", "object", "languageMap", "datasetId"].iter().any(|name| value.get(name).is_some())
        || value.get("type").and_then(Value::as_str).and_then(Kind::of).is_some()
}

/// Languages of a list of preferences that are looked at, and the longest name of one.
const MOST_LANGUAGES: usize = 16;
const LONGEST_LANGUAGE: usize = 35;

/// The text in the language that a list prefers, as in the field `Accept-Language`: by its name, by a longer one, or by a shorter one. If
/// there is none, the one without a language, or else the first (clause 4.15).
fn in_one_of<'m>(map: &'m Map<String, Value>, list: &str) -> Option<(&'m String, &'m Value)> {
    let mut wanted: Vec<(f32, &str)> = list
        .split(',')
        .take(MOST_LANGUAGES)
        .map(|range| {
            let mut parts = range.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default();
            (weight(parts), name)
        })
        .filter(|(weight, name)| *weight > 0.0 && name.len() <= LONGEST_LANGUAGE)
        .collect();
    // Of equals the first stays the first.
    wanted.sort_by(|one, other| other.0.total_cmp(&one.0));
    let is_in = |name: &str, key: &str| {
        let start = key.get(..name.len());
        let rest = key.get(name.len()..).unwrap_or_default();
        start.is_some_and(|start| start.eq_ignore_ascii_case(name))
            && (rest.is_empty() || rest.starts_with('-'))
    };
    for (_, mut name) in wanted.into_iter().take_while(|(_, name)| *name != "*") {
        loop {
            let same = map.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
            if let Some(found) = same.or_else(|| map.iter().find(|(key, _)| is_in(name, key))) {
                return Some(found);
            }
            match name.rsplit_once('-') {
                Some((shorter, _)) => name = shorter,
                None => break,
            }
        }
    }
    map.get_key_value("@none").or_else(|| map.iter().next())
}

/// The weight among the parameters of a media type or a language; 1 if there is none that can be read.
pub(crate) fn weight<'p>(mut parameters: impl Iterator<Item = &'p str>) -> f32 {
    let weight = parameters.find_map(|parameter| parameter.strip_prefix("q="));
    let weight = weight.and_then(|weight| weight.parse().ok());
    weight.filter(|weight| (0.0..=1.0).contains(weight)).unwrap_or(1.0)
}

fn merged(value: &Value, patch: &Value) -> Value {
    let (Value::Object(old), Value::Object(new)) = (value, patch) else { return patch.clone() };
    let mut result = old.clone();
    for (name, patch) in new {
        if is_nothing(patch) {
            result.remove(name);
        } else {
            let value = result.get(name).map_or_else(|| patch.clone(), |value| merged(value, patch));
            result.insert(name.clone(), value);
        }
    }
    Value::Object(result)
}

impl Instance {
    /// Takes over a member that is not the value.
    fn set(&mut self, name: &str, value: &Value, reader: &Reader<'_>, level: usize) -> Result<()> {
        let wrong = || Problem::bad(format!("{name:?} of an attribute is not what it must be"));
        match name {
            "type" if value.as_str() == Some(self.kind.name()) => {}
            "type" => return Err(Problem::bad("the type of an attribute cannot change")),
            name if name == self.kind.member() => {}
            "createdAt" | "modifiedAt" | "instanceId" => {}
            "observedAt" if is_nothing(value) => self.observed_at = None,
            "observedAt" => self.observed_at = Some(value.as_str().and_then(text::time).ok_or_else(wrong)?),
            "unitCode" if is_nothing(value) => self.unit_code = None,
            "unitCode" => self.unit_code = Some(value.as_str().ok_or_else(wrong)?.to_owned()),
            "datasetId" => self.dataset = Some(text::uri(value.as_str().unwrap_or_default(), name)?),
            "value" | "object" | "languageMap" => return Err(wrong()),
            name => {
                let iri = reader.context.expand(name)?;
                if removes(value) {
                    self.nested.remove(&iri);
                } else if let Some(nested) = self.nested.get_mut(&iri) {
                    nested.patch_at(value, reader, level + 1)?;
                } else {
                    self.nested.insert(iri, reader.instance(value, level + 1)?);
                }
            }
        }
        Ok(())
    }

    /// Takes a fragment over (clauses 5.5.8, 5.5.12): what it does not name stays.
    pub(crate) fn patch(&mut self, fragment: &Value, reader: &Reader<'_>) -> Result<()> {
        self.patch_at(fragment, reader, 1)
    }

    fn patch_at(&mut self, fragment: &Value, reader: &Reader<'_>, level: usize) -> Result<()> {
        let whole;
        let members = match fragment {
            Value::Object(members) if !reader.simplified && !geo::looks_like(fragment) => members,
            value => {
                whole = Map::from_iter([(self.kind.member().to_owned(), value.clone())]);
                self.observed_at = reader.observed_at.or(self.observed_at);
                &whole
            }
        };
        if let Some(value) = members.get(self.kind.member()) {
            let merges = reader.merges && self.kind != Kind::GeoProperty;
            let value = if merges { merged(&self.value, value) } else { value.clone() };
            self.kind.check(&value)?;
            self.value = value;
        }
        for (name, value) in members {
            self.set(name, value, reader, level)?;
        }
        self.modified = reader.now;
        Ok(())
    }

    fn to_json(&self, view: &Writer<'_>) -> Value {
        let value = match (&self.value, view.language) {
            (Value::Object(map), Some(language)) if self.kind == Kind::LanguageProperty => {
                return self.in_language(map, language, view);
            }
            (value, _) => value,
        };
        if view.format == Format::Simplified {
            return match self.kind {
                Kind::LanguageProperty => json!({ "languageMap": value }),
                _ => value.clone(),
            };
        }
        let mut members = self.members(view);
        let is_bare = view.format == Format::Concise
            && members.is_empty()
            && match self.kind {
                Kind::Property => !is_instance(value) && !value.is_object() && !value.is_array(),
                Kind::GeoProperty => true,
                Kind::Relationship | Kind::LanguageProperty => false,
            };
        if is_bare {
            return value.clone();
        }
        if view.format == Format::Normalized {
            members.insert("type".to_owned(), Value::from(self.kind.name()));
        }
        members.insert(self.kind.member().to_owned(), value.clone());
        Value::Object(members)
    }

    /// As a Property in one language, or in the one that is there (clause 4.15).
    fn in_language(&self, map: &Map<String, Value>, language: &str, view: &Writer<'_>) -> Value {
        let Some((language, value)) = in_one_of(map, language) else { return Value::Null };
        if view.format == Format::Simplified {
            return value.clone();
        }
        let mut members = self.members(view);
        if view.format == Format::Normalized {
            members.insert("type".to_owned(), Value::from("Property"));
        }
        members.insert("value".to_owned(), value.clone());
        members.insert("lang".to_owned(), Value::from(language.as_str()));
        Value::Object(members)
    }

    /// All but type and value.
    fn members(&self, view: &Writer<'_>) -> Map<String, Value> {
        let mut members = Map::new();
        let mut text = |name: &str, value: Option<String>| {
            members.extend(value.map(|value| (name.to_owned(), Value::from(value))));
        };
        text("observedAt", self.observed_at.map(text::print));
        text("unitCode", self.unit_code.clone());
        text("datasetId", self.dataset.clone());
        if view.system {
            text("createdAt", Some(text::print(self.created)));
            text("modifiedAt", Some(text::print(self.modified)));
        }
        for (iri, nested) in &self.nested {
            members.insert(view.context.compact(iri), nested.to_json(view));
        }
        members
    }
}

/// Writes attributes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Writer<'c> {
    pub(crate) context: &'c Context,
    pub(crate) format: Format,
    /// With `createdAt` and `modifiedAt`.
    pub(crate) system: bool,
    pub(crate) language: Option<&'c str>,
}

impl Writer<'_> {
    pub(crate) fn attribute(&self, instances: &[Instance]) -> Value {
        match instances {
            [only] => only.to_json(self),
            several => several.iter().map(|instance| instance.to_json(self)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(context: &Context) -> Reader<'_> {
        Reader { context, now: Timestamp::UNIX_EPOCH, simplified: false, observed_at: None, merges: false }
    }

    fn written(value: &Value, format: Format) -> Value {
        let context = Context::core();
        let instances = reader(&context).attribute(value).unwrap();
        Writer { context: &context, format, system: false, language: None }.attribute(&instances)
    }

    /// Clauses 4.5.2 to 4.5.4 and 4.5.18: each kind, in each representation, and read again from two of them.
    #[test]
    fn representations() {
        let point = json!({ "type": "Point", "coordinates": [1.0, 2.0] });
        let full = json!({
            "type": "Property", "value": 5, "unitCode": "KMH", "observedAt": "2026-01-01T00:00:00.000Z",
            "source": { "type": "Relationship", "object": "urn:a:1" }
        });
        let short = json!({
            "value": 5, "unitCode": "KMH", "observedAt": "2026-01-01T00:00:00.000Z", "source": { "object": "urn:a:1" }
        });
        for (normalized, concise, simplified) in [
            (json!({ "type": "Property", "value": 5 }), json!(5), json!(5)),
            (full, short, json!(5)),
            (json!({ "type": "Property", "value": [1, 2] }), json!({ "value": [1, 2] }), json!([1, 2])),
            (
                json!({ "type": "Property", "value": { "type": "x" } }),
                json!({ "value": { "type": "x" } }),
                json!({ "type": "x" }),
            ),
            (json!({ "type": "GeoProperty", "value": point }), point.clone(), point.clone()),
            (
                json!({ "type": "Relationship", "object": "urn:a:1" }),
                json!({ "object": "urn:a:1" }),
                json!("urn:a:1"),
            ),
            (
                json!({ "type": "LanguageProperty", "languageMap": { "en": "a", "ja": "b" } }),
                json!({ "languageMap": { "en": "a", "ja": "b" } }),
                json!({ "languageMap": { "en": "a", "ja": "b" } }),
            ),
            (
                json!([{ "type": "Property", "value": 1 }, { "type": "Property", "value": 2, "datasetId": "urn:d:1" }]),
                json!([1, { "value": 2, "datasetId": "urn:d:1" }]),
                json!([1, 2]),
            ),
        ] {
            for source in [&normalized, &concise] {
                assert_eq!(written(source, Format::Normalized), normalized);
                assert_eq!(written(source, Format::Concise), concise);
                assert_eq!(written(source, Format::Simplified), simplified);
            }
        }
    }

    #[test]
    fn wrong_attributes_are_refused() {
        let context = Context::core();
        let mut deep = json!({ "value": 1 });
        for _ in 0..DEEPEST {
            deep = json!({ "value": 1, "a": deep });
        }
        let mut nested = json!(1);
        for _ in 0..=DEEPEST_VALUE {
            nested = json!([nested]);
        }
        for wrong in [
            json!(null),
            json!({ "type": "Unknown", "value": 1 }),
            json!({ "type": 5, "value": 1 }),
            json!({ "type": "Property" }),
            json!({ "type": "Property", "object": "urn:a:1" }),
            json!({ "type": "Property", "value": null }),
            json!({ "type": "Property", "value": NOTHING }),
            json!({ "value": 1, "object": "urn:a:1" }),
            json!({ "type": "Relationship", "object": "no uri" }),
            json!({ "type": "Relationship", "object": 1 }),
            json!({ "type": "GeoProperty", "value": 1 }),
            json!({ "type": "Point", "coordinates": [] }),
            json!({ "languageMap": {} }),
            json!({ "languageMap": { "en": 1 } }),
            json!({ "value": 1, "observedAt": "now" }),
            json!({ "value": 1, "unitCode": 1 }),
            json!({ "value": 1, "datasetId": "x" }),
            json!({ "value": 1, "a b": 1 }),
            json!([{ "value": 1 }, { "value": 2 }]),
            json!(vec![json!({ "value": 1 }); MOST_INSTANCES + 1]),
            deep,
            nested,
        ] {
            assert!(reader(&context).attribute(&wrong).is_err(), "{wrong}");
        }
    }

    /// Clause 4.15.
    #[test]
    fn a_language_is_chosen() {
        let context = Context::core();
        let instances =
            reader(&context).attribute(&json!({ "languageMap": { "en": "a", "ja": "b" } })).unwrap();
        let long = format!("{}ja", "fr,".repeat(MOST_LANGUAGES));
        for (language, expected) in [
            ("ja", json!("b")),
            ("en", json!("a")),
            ("fr", json!("a")),
            ("*", json!("a")),
            ("JA", json!("b")),
            // A list, as of preferences.
            ("fr,ja", json!("b")),
            ("en;q=0.2,ja;q=0.9", json!("b")),
            ("fr, ja;q=0.5, *;q=0.1", json!("b")),
            ("ja;q=0, fr", json!("a")),
            ("*, ja;q=0.5", json!("a")),
            // A longer name than there is.
            ("ja-JP", json!("b")),
            ("ja-Jpan-JP", json!("b")),
            ("jam", json!("a")),
            (&long, json!("a")),
        ] {
            let writer = Writer {
                context: &context,
                format: Format::Simplified,
                system: false,
                language: Some(language),
            };
            assert_eq!(writer.attribute(&instances), expected);
        }
        // A shorter one, and one that ends within a letter.
        let regional =
            reader(&context).attribute(&json!({ "languageMap": { "de": "a", "en-US": "b" } })).unwrap();
        let odd = reader(&context).attribute(&json!({ "languageMap": { "é": "a", "ja": "b" } })).unwrap();
        for (instances, language) in [(regional, "en"), (odd, "j,ja")] {
            let writer = Writer {
                context: &context,
                format: Format::Simplified,
                system: false,
                language: Some(language),
            };
            assert_eq!(writer.attribute(&instances), "b");
        }
        let writer =
            Writer { context: &context, format: Format::Normalized, system: false, language: Some("ja") };
        assert_eq!(writer.attribute(&instances), json!({ "type": "Property", "value": "b", "lang": "ja" }));
    }
}
