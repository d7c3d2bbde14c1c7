//! `@context` (clauses 4.4, 5.5.7): short names, and the URIs that they stand for.
//!
//! Nothing is fetched. Known are the core context and those of the data models in [`crate::models`]; everything else must be in the
//! request itself. A value keeps its names as they were written.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::{
    entity::value_size,
    models,
    problem::{Kind, Problem, Result},
    text,
};

/// The core context.
pub(crate) const CORE: &str = "https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context-v1.6.jsonld";

const CORE_BASE: &str = "https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context";
const NGSI_LD: &str = "https://uri.etsi.org/ngsi-ld/";
/// What stands for the scopes of an entity, which are no attribute.
pub(crate) const SCOPE: &str = "https://uri.etsi.org/ngsi-ld/scope";
const DEFAULT: &str = "https://uri.etsi.org/ngsi-ld/default-context/";

/// Contexts in one list, and names in one context.
const MOST_CONTEXTS: usize = 16;
const MOST_NAMES: usize = 2000;

/// The longest context, as JSON. It stays with subscriptions, and goes with each element of an answer.
const LONGEST: usize = 16 << 10;

/// Names of the core context, of which each is the end of its URI. They cannot be given another meaning.
const CORE_NAMES: [&str; 93] = [
    "accept",
    "attributeCount",
    "attributeDetails",
    "attributeList",
    "attributeName",
    "attributeNames",
    "attributeTypes",
    "attributes",
    "attrs",
    "createdAt",
    "csf",
    "data",
    "datasetId",
    "deletedAt",
    "detail",
    "endAt",
    "endTimeAt",
    "endpoint",
    "entities",
    "entityCount",
    "entityId",
    "error",
    "errors",
    "expiresAt",
    "format",
    "geoQ",
    "geometry",
    "geoproperty",
    "georel",
    "idPattern",
    "information",
    "instanceId",
    "isActive",
    "lang",
    "lastFailure",
    "lastNotification",
    "lastSuccess",
    "location",
    "management",
    "mode",
    "modifiedAt",
    "notification",
    "notificationTrigger",
    "notifiedAt",
    "notifierInfo",
    "notUpdated",
    "observationInterval",
    "observationSpace",
    "observedAt",
    "operationSpace",
    "operations",
    "propertyNames",
    "q",
    "reason",
    "receiverInfo",
    "refreshRate",
    "registrationName",
    "relationshipNames",
    "scope",
    "scopeQ",
    "startAt",
    "status",
    "subscriptionId",
    "subscriptionName",
    "success",
    "sysAttrs",
    "temporalQ",
    "tenant",
    "throttling",
    "timeAt",
    "timeInterval",
    "timeout",
    "timeproperty",
    "timerel",
    "timesFailed",
    "timesSent",
    "totalCount",
    "triggerReason",
    "typeList",
    "typeName",
    "typeNames",
    "unitCode",
    "updated",
    "uri",
    "watchedAttributes",
    "Attribute",
    "EntityType",
    "GeoProperty",
    "LanguageProperty",
    "Notification",
    "Property",
    "Relationship",
    "Subscription",
];

/// Whether the `@context` of this address is known here: none is fetched.
#[must_use]
pub fn is_context(address: &str) -> bool {
    Context::parse(&Value::from(address)).is_ok()
}

/// An active context.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    /// What was given; the core context if nothing was.
    pub(crate) source: Value,
    /// Terms of the user.
    terms: HashMap<String, String>,
    names: HashMap<String, String>,
    vocabulary: String,
}

impl Context {
    pub(crate) fn core() -> Self {
        Self {
            source: Value::from(CORE),
            terms: HashMap::new(),
            names: HashMap::new(),
            vocabulary: DEFAULT.to_owned(),
        }
    }

    /// Takes a context over: an address of a known one, an object, or a list of these.
    pub(crate) fn parse(source: &Value) -> Result<Self> {
        if source.to_string().len() > LONGEST {
            return Err(Problem::bad("the @context is too long"));
        }
        let mut context = Self { source: source.clone(), ..Self::core() };
        match source {
            Value::Array(parts) if parts.len() > MOST_CONTEXTS => {
                return Err(Problem::bad("there are too many contexts"));
            }
            Value::Array(parts) => parts.iter().try_for_each(|part| context.add(part))?,
            part => context.add(part)?,
        }
        for (term, iri) in &context.terms {
            context.names.insert(iri.clone(), term.clone());
        }
        Ok(context)
    }

    fn add(&mut self, part: &Value) -> Result<()> {
        match part {
            Value::String(url) if is_core(url) => Ok(()),
            Value::String(url) => {
                let mut is_known = false;
                for model in models::models_at(url) {
                    is_known = true;
                    self.terms.extend(model.names().map(|name| (name.to_owned(), model.iri(name))));
                }
                if !is_known {
                    let detail = "this @context is not known here, and none is fetched: send its content in the request";
                    return Err(Problem::new(Kind::LdContextNotAvailable, detail));
                }
                Ok(())
            }
            Value::Object(terms) => self.add_terms(terms),
            _ => Err(Problem::bad("an @context is an address, an object, or a list of these")),
        }
    }

    fn add_terms(&mut self, terms: &Map<String, Value>) -> Result<()> {
        if terms.len() + self.terms.len() > MOST_NAMES {
            return Err(Problem::bad("the @context has too many names"));
        }
        let wrong = |name: &str| Problem::bad(format!("the @context has a wrong entry: {name:?}"));
        let mut given = HashMap::new();
        for (name, value) in terms {
            let iri = match value {
                Value::Object(definition) => definition.get("@id").unwrap_or(&Value::Null),
                value => value,
            };
            match (name.as_str(), iri) {
                ("@vocab", Value::String(iri)) if text::is_uri(iri) => self.vocabulary.clone_from(iri),
                ("@version" | "@protected" | "@base" | "@language", _)
                    if !value.is_object() && !value.is_array() => {}
                (name, _) if !text::is_name(name) => return Err(wrong(name)),
                // Another name of a keyword, or none any more.
                (_, Value::String(iri)) if iri.starts_with('@') => {}
                (name, Value::Null) => {
                    self.terms.remove(name);
                }
                (name, Value::String(iri)) => {
                    given.insert(name, iri.as_str());
                }
                (name, _) => return Err(wrong(name)),
            }
        }
        let mut added = Vec::new();
        for (name, iri) in &given {
            // A prefix may be of this object or of one before, and is not itself made of one.
            let full = match iri.split_once(':') {
                Some((prefix, rest)) if !rest.starts_with("//") => {
                    let known = given.get(prefix).copied().filter(|prefix| text::is_uri(prefix));
                    let known = known.or_else(|| self.terms.get(prefix).map(String::as_str));
                    known.map_or_else(|| (*iri).to_owned(), |prefix| format!("{prefix}{rest}"))
                }
                Some(_) => (*iri).to_owned(),
                None => format!("{}{iri}", self.vocabulary),
            };
            if !text::is_uri(&full) {
                return Err(wrong(name));
            }
            added.push(((*name).to_owned(), full));
        }
        self.terms.extend(added);
        Ok(())
    }

    /// The URI that a name stands for.
    pub(crate) fn expand(&self, name: &str) -> Result<String> {
        if !text::is_name(name) {
            return Err(Problem::bad(format!("{name:?} is not a name of a type or an attribute")));
        }
        Ok(self.expanded(name))
    }

    fn expanded(&self, name: &str) -> String {
        if let Some(iri) = core_iri(name).or_else(|| self.terms.get(name).cloned()) {
            return iri;
        }
        match name.split_once(':') {
            Some(("ngsi-ld", rest)) => format!("{NGSI_LD}{rest}"),
            Some((prefix, rest)) if !rest.starts_with("//") => match self.terms.get(prefix) {
                Some(prefix) => format!("{prefix}{rest}"),
                None => name.to_owned(),
            },
            Some(_) => name.to_owned(),
            None => format!("{}{name}", self.vocabulary),
        }
    }

    /// The shortest name that stands for this URI.
    pub(crate) fn compact(&self, iri: &str) -> String {
        let core = iri.strip_prefix(NGSI_LD).filter(|name| CORE_NAMES.contains(name));
        let dublin = ["description", "title"].into_iter().find(|name| core_iri(name).as_deref() == Some(iri));
        let short = core
            .or(dublin)
            .or_else(|| self.names.get(iri).map(String::as_str))
            .or_else(|| iri.strip_prefix(self.vocabulary.as_str()));
        match short {
            Some(short) if text::is_name(short) && self.expanded(short) == iri => short.to_owned(),
            _ => iri.to_owned(),
        }
    }

    /// As much memory as it takes, roughly.
    pub(crate) fn size(&self) -> usize {
        let each = self.terms.iter().chain(&self.names);
        value_size(&self.source) + each.map(|(name, iri)| name.len() + iri.len() + 128).sum::<usize>()
    }

    /// Its address, if it has one.
    pub(crate) fn link(&self) -> Option<&str> {
        match &self.source {
            Value::String(url) => Some(url),
            Value::Array(parts) => match &parts[..] {
                [Value::String(url)] => Some(url),
                [Value::String(url), Value::String(core)] if is_core(core) => Some(url),
                _ => None,
            },
            _ => None,
        }
    }

    /// As it stands in an answer: with the core context at its end.
    pub(crate) fn to_json(&self) -> Value {
        let mut parts = match &self.source {
            Value::Array(parts) => parts.clone(),
            part => vec![part.clone()],
        };
        if !parts.last().and_then(Value::as_str).is_some_and(is_core) {
            parts.push(Value::from(CORE));
        }
        if let [only] = &parts[..] { only.clone() } else { Value::Array(parts) }
    }
}

fn is_core(url: &str) -> bool {
    let version = url.strip_prefix(CORE_BASE).and_then(|rest| rest.strip_suffix(".jsonld"));
    version.is_some_and(|version| {
        version.is_empty()
            || version.strip_prefix("-v1.").is_some_and(|minor| {
                (1..=2).contains(&minor.len()) && minor.bytes().all(|byte| byte.is_ascii_digit())
            })
    })
}

fn core_iri(name: &str) -> Option<String> {
    match name {
        "description" | "title" => Some(format!("http://purl.org/dc/terms/{name}")),
        name if CORE_NAMES.contains(&name) => Some(format!("{NGSI_LD}{name}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_have_the_uris_of_the_context_and_go_back() {
        let context = Context::parse(&json!([
            { "ex": "https://example.org/", "speed": "ex:speed", "lane": { "@id": "https://example.org/lane", "@type": "@id" } },
            CORE,
        ]))
        .unwrap();
        for (name, iri) in [
            ("speed", "https://example.org/speed"),
            ("lane", "https://example.org/lane"),
            ("other", "https://uri.etsi.org/ngsi-ld/default-context/other"),
            ("location", "https://uri.etsi.org/ngsi-ld/location"),
            ("description", "http://purl.org/dc/terms/description"),
        ] {
            assert_eq!(context.expand(name).unwrap(), iri);
            assert_eq!(context.compact(iri), name);
        }
        assert_eq!(context.expand("ex:x").unwrap(), "https://example.org/x");
        assert_eq!(context.expand("https://a/b").unwrap(), "https://a/b");
        assert_eq!(context.compact("https://a/b"), "https://a/b");
        assert_eq!(context.link(), None);
    }

    #[test]
    fn the_core_context_cannot_be_given_another_meaning() {
        let context = Context::parse(&json!({ "location": "https://example.org/place" })).unwrap();
        assert_eq!(context.expand("location").unwrap(), "https://uri.etsi.org/ngsi-ld/location");
        assert_eq!(context.compact("https://example.org/place"), "https://example.org/place");
    }

    #[test]
    fn a_vocabulary_stands_for_all_other_names() {
        let context = Context::parse(&json!({ "@vocab": "https://example.org/", "a": "b" })).unwrap();
        assert_eq!(context.expand("speed").unwrap(), "https://example.org/speed");
        assert_eq!(context.expand("a").unwrap(), "https://example.org/b");
        assert_eq!(
            context.compact("https://uri.etsi.org/ngsi-ld/default-context/x"),
            "https://uri.etsi.org/ngsi-ld/default-context/x"
        );
    }

    #[test]
    fn known_contexts_are_not_fetched_and_others_are_not_available() {
        let url = "https://smart-data-models.github.io/dataModel.Weather/context.jsonld";
        let weather = Context::parse(&json!([url, CORE])).unwrap();
        assert_eq!(
            weather.expand("temperature").unwrap(),
            "https://smartdatamodels.org/dataModel.Weather/temperature"
        );
        assert_eq!(weather.expand("dateObserved").unwrap(), "https://smartdatamodels.org/dateObserved");
        assert_eq!(weather.link(), Some(url));
        for core in [CORE, "https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context.jsonld"] {
            assert!(Context::parse(&json!(core)).is_ok());
        }
        let kind = |source: Value| Context::parse(&source).unwrap_err().kind;
        assert_eq!(kind(json!("https://example.org/context.jsonld")), Kind::LdContextNotAvailable);
        assert_eq!(kind(json!(format!("{CORE_BASE}-v1.6x.jsonld"))), Kind::LdContextNotAvailable);
        for wrong in [
            json!(1),
            json!({ "a": 1 }),
            json!({ "a": "b c" }),
            json!({ "@x": "a:b" }),
            json!(vec!["a"; 17]),
            json!({ "@version": [1.1] }),
            json!({ "@base": {} }),
            json!({ "@id": "a:b" }),
            json!({ "a": "b:c".repeat(6000) }),
        ] {
            assert_eq!(kind(wrong), Kind::BadRequestData);
        }
    }
}
