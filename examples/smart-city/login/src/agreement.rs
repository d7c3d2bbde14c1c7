//! What is agreed with a city about its users' logins: the table `login` of a partner in `city.toml`.

use std::{collections::BTreeMap, fmt, sync::Arc};

use http::Uri;
use serde::Deserialize;
use serde_json::Value;
use smart_city_requests::{ClientConfig, is_of_this_machine};

/// The greatest difference of clocks, in seconds.
const MOST_LEEWAY: u64 = 120;

/// The longest life of a token: a day, in seconds.
const MOST_LIFE: u64 = 86_400;

/// The highest level.
const MOST_LEVEL: u8 = 9;

/// A fault in the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The field.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

/// Who may have made the certificate of a provider.
#[derive(Clone)]
pub struct Trust {
    /// What a connection with TLS takes.
    pub config: Arc<ClientConfig>,
    /// The file with the authorities, by which another one is told.
    pub authorities: Vec<u8>,
}

impl PartialEq for Trust {
    fn eq(&self, other: &Self) -> bool {
        self.authorities == other.authorities
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Trust { .. }")
    }
}

/// Where the keys are.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Place {
    /// Host and port.
    pub(crate) authority: String,
    pub(crate) path: String,
    /// With TLS.
    pub(crate) trust: Option<Trust>,
}

/// What is agreed with a city.
#[derive(Clone, Debug, PartialEq)]
pub struct Agreement {
    /// The table as it was read.
    pub table: Arc<Value>,
    pub(crate) issuer: String,
    pub(crate) audience: String,
    pub(crate) jwks: Place,
    pub(crate) leeway: u64,
    pub(crate) max_life: u64,
    pub(crate) departments: BTreeMap<String, String>,
    pub(crate) max_level: u8,
    pub(crate) departments_claim: String,
    pub(crate) level_claim: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    issuer: String,
    audience: String,
    jwks: String,
    authorities: Option<String>,
    #[serde(default = "leeway")]
    leeway: u64,
    #[serde(default = "max_life")]
    max_life: u64,
    #[serde(default)]
    departments: BTreeMap<String, String>,
    #[serde(default)]
    max_level: u8,
    #[serde(default = "departments_claim")]
    departments_claim: String,
    #[serde(default = "level_claim")]
    level_claim: String,
}

const fn leeway() -> u64 {
    30
}

const fn max_life() -> u64 {
    3600
}

fn departments_claim() -> String {
    "departments".to_owned()
}

fn level_claim() -> String {
    "level".to_owned()
}

impl Agreement {
    /// Reads the table. `trust` is asked for the authorities in the file that the table names.
    ///
    /// # Errors
    /// The first fault that is in it.
    pub fn parse(
        table: &Value,
        departments: impl Fn(&str) -> bool,
        trust: impl FnOnce(&str) -> Result<Trust, String>,
    ) -> Result<Self, Fault> {
        let wrong =
            |field: &str, message: &str| Fault { field: field.to_owned(), message: message.to_owned() };
        let raw = Raw::deserialize(table).map_err(|error| wrong("", &error.to_string()))?;
        for (field, text) in [
            ("issuer", &raw.issuer),
            ("audience", &raw.audience),
            ("departments_claim", &raw.departments_claim),
            ("level_claim", &raw.level_claim),
        ] {
            if text.is_empty() {
                return Err(wrong(field, "is empty"));
            }
        }
        if raw.leeway > MOST_LEEWAY {
            return Err(wrong("leeway", &format!("must be at most {MOST_LEEWAY} seconds")));
        }
        if !(1..=MOST_LIFE).contains(&raw.max_life) {
            return Err(wrong("max_life", &format!("must be 1 to {MOST_LIFE} seconds")));
        }
        if raw.max_level > MOST_LEVEL {
            return Err(wrong("max_level", &format!("a level is 0 to {MOST_LEVEL}")));
        }
        if let Some(name) = raw.departments.values().find(|name| !departments(name)) {
            return Err(wrong("departments", &format!("there is no department `{name}`")));
        }
        let jwks = Place::parse(&raw.jwks, raw.authorities.as_deref(), trust)
            .map_err(|(field, message)| wrong(field, &message))?;
        Ok(Self {
            table: Arc::new(table.clone()),
            issuer: raw.issuer,
            audience: raw.audience,
            jwks,
            leeway: raw.leeway,
            max_life: raw.max_life,
            departments: raw.departments,
            max_level: raw.max_level,
            departments_claim: raw.departments_claim,
            level_claim: raw.level_claim,
        })
    }

    /// Whose tokens these are.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }
}

impl Place {
    fn parse(
        text: &str,
        authorities: Option<&str>,
        trust: impl FnOnce(&str) -> Result<Trust, String>,
    ) -> Result<Self, (&'static str, String)> {
        let wrong = |message: &str| ("jwks", message.to_owned());
        let uri: Uri = text.parse().map_err(|_| wrong("is no address"))?;
        let is_tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(wrong("must begin with https://")),
        };
        let given = uri.authority().filter(|authority| !authority.as_str().contains('@'));
        let given = given.ok_or_else(|| wrong("has no host, or a name and a password"))?;
        let port = given.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let authority = format!("{}:{port}", given.host());
        // What goes to another machine could be changed on its way, and who changes keys makes tokens.
        if !is_tls && !is_of_this_machine(&authority) {
            return Err(wrong(
                "must begin with https://: without TLS only an address of this machine is taken",
            ));
        }
        let wrong = |message: &str| ("authorities", message.to_owned());
        let trust = match authorities {
            Some(file) if is_tls => Some(trust(file).map_err(|message| wrong(&message))?),
            Some(_) => return Err(wrong("are for an address with https://")),
            None if is_tls => return Err(wrong("are missing: who may have made the provider's certificate")),
            None => None,
        };
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Ok(Self { authority, path, trust })
    }
}
