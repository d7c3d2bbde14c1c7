//! What a reading carries wherever it goes: whose it is, who may see it, until when, and by which policy.

use std::{collections::BTreeSet, num::NonZeroU16};

use base64ct::{Base64, Encoding as _};
use coset::{CborSerializable as _, cbor::value::Value};
use smart_city_engine::{
    config::{MAX_LEVEL, StreamEntry},
    policy::class_name,
};
use smart_city_frame::{Class, Stream};

/// Departments, or cities, in a label at most.
pub(crate) const MOST_NAMES: usize = 64;

/// The names of claims (RFC 8392) that a label has in its CBOR.
const OWNER: i64 = 1;
const STREAM: i64 = 2;
const EXPIRY: i64 = 4;
const ID: i64 = 7;

/// A label. What it says of who may see the reading means what it means in `city.toml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The city whose it is.
    pub owner: String,
    /// The stream, as its owner calls it.
    pub stream: String,
    /// The departments that it is for.
    pub departments: BTreeSet<String>,
    /// For whom it is.
    pub class: Class,
    /// The level that a user needs.
    pub min_level: u8,
    /// The cities that may have it, beside the owner.
    pub shared_with: BTreeSet<String>,
    /// Nobody takes it from then on, in seconds since 1970.
    pub expiry: i64,
    /// The SHA-256 of the policy that gives the rest its meaning.
    pub policy: [u8; 32],
    /// When its owner began to count, and the number of the reading in its stream since.
    pub id: Id,
}

/// What a reading of a stream has alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id {
    /// Grows with each start of the owner's gateway.
    pub epoch: u64,
    /// Grows with each reading.
    pub sequence: u64,
}

fn names(names: &BTreeSet<String>) -> Value {
    Value::Array(names.iter().map(|name| name.as_str().into()).collect())
}

/// As in `city.toml`.
fn is_name(name: &str) -> bool {
    let is_good =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'.');
    (1..=32).contains(&name.len()) && name.bytes().all(is_good)
}

impl Label {
    /// As it is signed.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let mut id = self.id.epoch.to_be_bytes().to_vec();
        id.extend(self.id.sequence.to_be_bytes());
        Value::Map(vec![
            (OWNER.into(), self.owner.as_str().into()),
            (STREAM.into(), self.stream.as_str().into()),
            (EXPIRY.into(), self.expiry.into()),
            (ID.into(), id.into()),
            ("departments".into(), names(&self.departments)),
            ("class".into(), class_name(self.class).into()),
            ("min_level".into(), self.min_level.into()),
            ("shared_with".into(), names(&self.shared_with)),
            ("policy".into(), self.policy.to_vec().into()),
        ])
    }

    /// Reads what [`to_value`](Self::to_value) gives, and nothing else.
    #[must_use]
    pub fn parse(value: &Value) -> Option<Self> {
        let members = value.as_map()?;
        let member = |name: Value| members.iter().find(|(key, _)| *key == name).map(|(_, value)| value);
        let name = |value: &Value| value.as_text().filter(|name| is_name(name)).map(str::to_owned);
        let names = |value: &Value| {
            let names = value.as_array().filter(|names| names.len() <= MOST_NAMES)?;
            names.iter().map(name).collect::<Option<BTreeSet<_>>>()
        };
        let class = member("class".into())?.as_text()?;
        let classes = [Class::Public, Class::Internal, Class::Confidential];
        let id: [u8; 16] = member(ID.into())?.as_bytes()?.as_slice().try_into().ok()?;
        let number = u128::from_be_bytes(id);
        let label = Self {
            owner: name(member(OWNER.into())?)?,
            stream: name(member(STREAM.into())?)?,
            departments: names(member("departments".into())?)?,
            class: classes.into_iter().find(|known| class_name(*known) == class)?,
            min_level: member("min_level".into())?.as_integer()?.try_into().ok()?,
            shared_with: names(member("shared_with".into())?)?,
            expiry: member(EXPIRY.into())?.as_integer()?.try_into().ok()?,
            policy: member("policy".into())?.as_bytes()?.as_slice().try_into().ok()?,
            id: Id {
                epoch: u64::try_from(number >> 64).ok()?,
                sequence: u64::try_from(number & u128::from(u64::MAX)).ok()?,
            },
        };
        (label.min_level <= MAX_LEVEL && label.to_value() == *value).then_some(label)
    }

    /// What of it says who may see a reading, in some form: the same text means the same.
    #[must_use]
    pub fn text(&self) -> String {
        let nothing = Self { expiry: 0, policy: [0; 32], id: Id { epoch: 0, sequence: 0 }, ..self.clone() };
        nothing.to_value().to_vec().map(|bytes| Base64::encode_string(&bytes)).unwrap_or_default()
    }

    /// Reads what [`text`](Self::text) gives.
    #[must_use]
    pub fn of_text(text: &str) -> Option<Self> {
        Self::parse(&Value::from_slice(&Base64::decode_vec(text).ok()?).ok()?)
    }

    /// Whether a city may have it.
    #[must_use]
    pub fn is_for(&self, city: &str) -> bool {
        self.class == Class::Public || self.owner == city || self.shared_with.contains(city)
    }
}

/// What a city adds to the labels of a stream that it takes: everything in it makes those fewer who may see it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Narrowing {
    /// No other departments.
    pub departments: Option<BTreeSet<String>>,
    /// At least this class.
    pub class: Option<Class>,
    /// At least this level.
    pub min_level: u8,
    /// It goes on to no other cities.
    pub shared_with: Option<BTreeSet<String>>,
}

impl Narrowing {
    /// What a stream with such a label is for the policy of the city `home`.
    #[must_use]
    pub fn apply(&self, label: &Label, home: &str) -> StreamEntry {
        // Everybody may see what is public, whatever its lists and its level are: to count, they take another class. The level counts
        // for users of the owner's city, too, if it is confidential.
        let least = match &self.departments {
            _ if self.min_level > 0 => Class::Confidential,
            Some(_) => Class::Internal,
            None => Class::Public,
        };
        let both = |labels: &BTreeSet<String>, own: &Option<BTreeSet<String>>| match own {
            Some(own) if label.class == Class::Public => own.clone(),
            Some(own) => own & labels,
            None => labels.clone(),
        };
        let mut partners = both(&label.shared_with, &self.shared_with);
        if label.is_for(home) {
            partners.insert(home.to_owned());
        }
        partners.remove(&label.owner);
        StreamEntry {
            stream: Stream {
                id: NonZeroU16::MIN,
                class: label.class.max(least).max(self.class.unwrap_or(Class::Public)),
            },
            name: format!("{}/{}", label.owner, label.stream),
            owner: label.owner.clone(),
            departments: both(&label.departments, &self.departments).into_iter().collect(),
            min_level: self.min_level.max(label.min_level),
            partners: partners.into_iter().collect(),
            content_type: String::new(),
        }
    }
}
