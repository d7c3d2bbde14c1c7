//! Entities: parts of different sources, and what a user may see of them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    attribute::{Attributes, Instance, MOST_INSTANCES, Reader, Writer},
    broker::Source,
    problem::{Problem, Result},
    text,
};

/// Attributes of one entity.
const MOST_ATTRIBUTES: usize = 256;

/// Types of one entity, and scopes.
const MOST_TYPES: usize = 16;

/// Where a part comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Origin {
    /// A stream of a device, since it was isolated so often.
    Stream {
        stream: String,
        device: String,
        isolations: u64,
        /// What else says who may see it.
        label: Option<String>,
    },
    /// Who wrote it.
    User(String),
}

impl Origin {
    pub(crate) fn source(&self, device_ok: bool) -> Source<'_> {
        match self {
            Self::Stream { stream, device, label, .. } => {
                Source::Stream { stream, device, device_ok, label: label.as_deref() }
            }
            Self::User(user) => Source::User(user),
        }
    }
}

/// What one source says of an entity.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Part {
    pub(crate) origin: Origin,
    /// As URIs.
    pub(crate) types: BTreeSet<String>,
    pub(crate) scopes: Vec<String>,
    pub(crate) attributes: Attributes,
    pub(crate) created: Timestamp,
    pub(crate) modified: Timestamp,
    /// Nobody sees it from then on.
    #[serde(skip)]
    pub(crate) until: Option<Timestamp>,
}

/// An entity as it was sent.
#[derive(Clone, Debug)]
pub(crate) struct Fragment {
    pub(crate) id: Option<String>,
    pub(crate) types: BTreeSet<String>,
    pub(crate) scopes: Option<Vec<String>>,
    /// By URI, in the order of the URIs.
    pub(crate) attributes: BTreeMap<String, Value>,
}

/// A text, or a list of some.
fn one_or_more(value: &Value) -> Option<Vec<&str>> {
    match value {
        Value::String(text) => Some(vec![text]),
        Value::Array(parts) if (1..=MOST_TYPES).contains(&parts.len()) => {
            parts.iter().map(Value::as_str).collect()
        }
        _ => None,
    }
}

/// JSON's null is no value (clause 5.5.4). It is refused whether the entity is there or not.
fn is_null(fragment: &Value) -> bool {
    let is_null = |name: &&str| fragment.get(*name).is_some_and(Value::is_null);
    fragment.is_null() || ["value", "object", "languageMap"].iter().any(is_null)
}

impl Fragment {
    pub(crate) fn parse(members: &Map<String, Value>, reader: &Reader<'_>) -> Result<Self> {
        let mut fragment =
            Self { id: None, types: BTreeSet::new(), scopes: None, attributes: BTreeMap::new() };
        for (name, value) in members {
            match name.as_str() {
                "id" => {
                    fragment.id = Some(text::uri(value.as_str().unwrap_or_default(), "the id of an entity")?);
                }
                "type" => {
                    let names = one_or_more(value)
                        .ok_or_else(|| Problem::bad("the type of an entity is a name or a list of names"))?;
                    fragment.types =
                        names.into_iter().map(|name| reader.context.expand(name)).collect::<Result<_>>()?;
                }
                "scope" => {
                    let scopes = one_or_more(value)
                        .ok_or_else(|| Problem::bad("a scope is a text or a list of texts"))?;
                    fragment.scopes = Some(scopes.into_iter().map(str::to_owned).collect());
                }
                "@context" | "createdAt" | "modifiedAt" => {}
                name => {
                    let iri = reader.context.expand(name)?;
                    if !reader.simplified && reader.fragments(value)?.iter().any(is_null) {
                        return Err(Problem::bad(format!("the value of {name:?} is null")));
                    }
                    if fragment.attributes.insert(iri, value.clone()).is_some() {
                        return Err(Problem::bad(format!("{name:?} is there twice, by two of its names")));
                    }
                }
            }
        }
        if fragment.attributes.len() > MOST_ATTRIBUTES {
            return Err(Problem::bad("an entity has too many attributes"));
        }
        Ok(fragment)
    }

    /// The whole entity that this is.
    pub(crate) fn part(&self, origin: Origin, reader: &Reader<'_>) -> Result<Part> {
        if self.types.is_empty() {
            return Err(Problem::bad("an entity needs a type"));
        }
        let attributes = self.attributes.iter();
        let attributes = attributes.map(|(iri, value)| Ok((iri.clone(), reader.attribute(value)?)));
        Ok(Part {
            origin,
            types: self.types.clone(),
            scopes: self.scopes.clone().unwrap_or_default(),
            attributes: attributes.collect::<Result<_>>()?,
            created: reader.now,
            modified: reader.now,
            until: None,
        })
    }
}

impl Part {
    /// As much memory as it takes, and rather more; and not more than so many attributes.
    pub(crate) fn size(&self) -> Result<usize> {
        if self.attributes.len() > MOST_ATTRIBUTES
            || self.attributes.values().any(|instances| instances.len() > MOST_INSTANCES)
            || self.types.len() > MOST_TYPES
            || self.scopes.len() > MOST_TYPES
        {
            return Err(Problem::bad("an entity has too many attributes, instances of one, types or scopes"));
        }
        let texts = self.types.iter().chain(&self.scopes).map(|text| text.len() + 64).sum::<usize>();
        let attributes =
            self.attributes.iter().map(|(iri, all)| 128 + iri.len() + all.iter().map(size).sum::<usize>());
        Ok(1024 + texts + attributes.sum::<usize>())
    }
}

fn size(instance: &Instance) -> usize {
    let texts = [&instance.unit_code, &instance.dataset].into_iter().flatten().map(String::len);
    // A node of such a map has room for eleven.
    let node = if instance.nested.is_empty() { 0 } else { 11 * size_of::<Instance>() };
    let nested =
        instance.nested.iter().map(|(iri, nested)| iri.len() + 2 * size_of::<Instance>() + size(nested));
    size_of::<Instance>() + value_size(&instance.value) + texts.sum::<usize>() + node + nested.sum::<usize>()
}

/// As much memory as a value takes, and rather more: an object takes much, however few members it has.
pub(crate) fn value_size(value: &Value) -> usize {
    match value {
        Value::String(text) => 64 + text.len(),
        Value::Array(parts) => 64 + parts.iter().map(value_size).sum::<usize>(),
        Value::Object(members) => {
            640 + members.iter().map(|(name, value)| 64 + name.len() + value_size(value)).sum::<usize>()
        }
        _ => 64,
    }
}

/// An entity as a user sees it: with the parts that the user may see, of which there is at least one.
#[derive(Clone, Debug)]
pub(crate) struct View<'a> {
    pub(crate) id: &'a str,
    pub(crate) parts: Vec<&'a Part>,
}

impl<'a> View<'a> {
    pub(crate) fn has_type(&self, iri: &str) -> bool {
        self.parts.iter().any(|part| part.types.contains(iri))
    }

    pub(crate) fn types(&self) -> BTreeSet<&'a str> {
        self.parts.iter().flat_map(|part| &part.types).map(String::as_str).collect()
    }

    /// If several parts have it: that which was modified last. Of two at once it is always the same one, whatever else there is.
    pub(crate) fn attribute(&self, iri: &str) -> Option<&'a [Instance]> {
        let modified = |instances: &[Instance]| instances.iter().map(|instance| instance.modified).max();
        let each = self.parts.iter().filter_map(|part| Some((&part.origin, part.attributes.get(iri)?)));
        let newest = each.max_by_key(|(origin, instances)| (modified(instances), *origin));
        newest.map(|(_, instances)| instances.as_slice())
    }

    pub(crate) fn names(&self) -> BTreeSet<&'a str> {
        self.parts.iter().flat_map(|part| part.attributes.keys()).map(String::as_str).collect()
    }

    pub(crate) fn created(&self) -> Timestamp {
        self.parts.iter().map(|part| part.created).min().unwrap_or_default()
    }

    pub(crate) fn modified(&self) -> Timestamp {
        self.parts.iter().map(|part| part.modified).max().unwrap_or_default()
    }

    /// With these attributes alone, if any are named.
    pub(crate) fn to_json(&self, writer: &Writer<'_>, attributes: Option<&[String]>) -> Value {
        let one_or_all =
            |mut texts: Vec<Value>| if texts.len() == 1 { texts.remove(0) } else { Value::Array(texts) };
        let mut members = Map::new();
        members.insert("id".to_owned(), Value::from(self.id));
        let types = self.types().into_iter().map(|iri| Value::from(writer.context.compact(iri)));
        members.insert("type".to_owned(), one_or_all(types.collect()));
        let scopes: BTreeSet<&str> =
            self.parts.iter().flat_map(|part| &part.scopes).map(String::as_str).collect();
        if !scopes.is_empty() {
            members.insert("scope".to_owned(), one_or_all(scopes.into_iter().map(Value::from).collect()));
        }
        if writer.system {
            members.insert("createdAt".to_owned(), Value::from(text::print(self.created())));
            members.insert("modifiedAt".to_owned(), Value::from(text::print(self.modified())));
        }
        for iri in self.names() {
            if attributes.is_none_or(|names| names.iter().any(|name| name == iri))
                && let Some(instances) = self.attribute(iri)
            {
                members.insert(writer.context.compact(iri), writer.attribute(instances));
            }
        }
        Value::Object(members)
    }
}
