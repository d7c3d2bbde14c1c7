//! What was agreed with other cities, as `city.toml` says it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    sync::Arc,
};

use anyhow::{Context as _, Result, bail, ensure};
use http::Uri;
use serde::{Deserialize, de::DeserializeOwned};
use smart_city_engine::{
    config::{City, ConfigError, MAX_LEVEL, StreamEntry, Table},
    policy,
};
use smart_city_frame::Class;
use smart_city_requests::{ClientConfig, is_of_this_machine};
use zeroize::Zeroizing;

use crate::{
    gate::NOBODY,
    handover::MOST_TYPE,
    keys::{CityKeys, OwnKeys},
    label::{Label, MOST_NAMES, Narrowing},
};

/// How long what is handed over may be taken, in minutes, if the file does not say it, and at most.
const MINUTES: u32 = 60;
pub(crate) const MOST_MINUTES: u32 = 1440;

/// What is handed over to whom, and taken from whom. Without a table `handover` nothing is.
#[derive(Clone, Debug, Default)]
pub struct Agreement {
    pub(crate) own: Option<Arc<OwnKeys>>,
    /// How long what this city hands over may be taken, in seconds.
    pub(crate) life: i64,
    /// The policies by which labels mean what they mean here.
    pub(crate) policies: BTreeSet<[u8; 32]>,
    pub(crate) partners: BTreeMap<String, Partner>,
}

impl Agreement {
    fn narrowing(&self, owner: &str, stream: &str) -> Option<&Narrowing> {
        self.partners.get(owner)?.receive.get(stream)
    }

    /// Whether a stream, as `owner/stream`, is taken.
    #[must_use]
    pub fn takes(&self, stream: &str) -> bool {
        stream.split_once('/').is_some_and(|(owner, stream)| self.narrowing(owner, stream).is_some())
    }

    /// What a stream with such a label is for the policy of the city `home`; none if it is not taken.
    #[must_use]
    pub fn here(&self, label: &Label, home: &str) -> Option<StreamEntry> {
        let narrowing = self.narrowing(&label.owner, &label.stream)?;
        label.is_for(home).then(|| narrowing.apply(label, home))
    }
}

/// What was agreed with one city.
#[derive(Clone, Debug)]
pub(crate) struct Partner {
    pub(crate) keys: CityKeys,
    /// Where it takes what is handed over; none if it gets nothing.
    pub(crate) site: Option<Site>,
    /// What it gets: owners and streams.
    pub(crate) send: BTreeSet<(String, String)>,
    /// What is taken of its own streams, from whomever it comes.
    pub(crate) receive: BTreeMap<String, Narrowing>,
}

/// Where another gateway is.
#[derive(Clone, Debug)]
pub struct Site {
    /// Host and port.
    pub authority: String,
    /// What comes before all paths.
    pub path: String,
    /// How it is checked to be who it should be; none without TLS.
    pub tls: Option<Arc<ClientConfig>>,
}

impl Site {
    /// From a URL, and the file of the authorities that may have made its certificate.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(url: &str, authorities: Option<&Path>) -> Result<Self> {
        let url: Option<Uri> = url.parse().ok();
        let url = url.filter(|url| url.query().is_none()).context("is not as https://HOST:PORT")?;
        let authority = url.authority().filter(|authority| !authority.as_str().contains('@'));
        let authority = authority.context("is not as https://HOST:PORT, without a password")?;
        let (default, tls) = match (url.scheme_str(), authorities) {
            (Some("https"), Some(file)) => (443, Some(smart_city_address::trust(Some(file))?)),
            (Some("https"), None) => bail!("needs `authorities`: who may have made its certificate"),
            (Some("http"), None) => (80, None),
            (Some("http"), Some(_)) => bail!("is without TLS, and so there are no `authorities`"),
            _ => bail!("is not as https://HOST:PORT"),
        };
        let port = authority.port_u16().unwrap_or(default);
        let authority = format!("{}:{port}", authority.host());
        // The answer is believed, and over the network anybody could give it.
        ensure!(
            tls.is_some() || is_of_this_machine(&authority),
            "is without TLS: only an address of this machine is taken so"
        );
        let path = url.path().trim_end_matches('/').to_owned();
        Ok(Self { authority, path, tls })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawHandover {
    keys: String,
    minutes: Option<u32>,
    #[serde(default)]
    policies: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPartner {
    keys: String,
    url: Option<String>,
    authorities: Option<String>,
    #[serde(default)]
    send: Vec<String>,
    #[serde(default)]
    receive: BTreeMap<String, RawNarrowing>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawNarrowing {
    departments: Option<BTreeSet<String>>,
    class: Option<String>,
    #[serde(default)]
    min_level: u8,
    shared_with: Option<BTreeSet<String>>,
}

fn parse<T: DeserializeOwned>(table: &Table) -> Result<T, ConfigError> {
    T::deserialize(&table.value).map_err(|error| table.fault("", error.to_string()))
}

/// Reads a file that a table names.
fn file<T>(table: &Table, name: &str, parse: impl Fn(&str) -> Result<T>) -> Result<T, ConfigError> {
    let path = table.beside(name);
    let text = fs::read_to_string(&path).map(Zeroizing::new).map_err(anyhow::Error::from);
    text.and_then(|text| parse(&text))
        .map_err(|error| table.fault("keys", format!("{}: {error:#}", path.display())))
}

/// What `city.toml` says of it.
///
/// # Errors
/// The first fault that is in it.
pub fn agreement(city: &City) -> Result<Agreement, ConfigError> {
    let partners =
        city.partners.iter().filter_map(|(name, partner)| Some((name, partner.handover.as_ref()?)));
    let partners: BTreeMap<_, _> = partners.collect();
    let Some(table) = &city.handover else {
        return match partners.into_values().next() {
            Some(table) => Err(table.fault("", "needs a table `handover`, with the own keys".to_owned())),
            None => Ok(Agreement::default()),
        };
    };
    let raw: RawHandover = parse(table)?;
    let minutes = raw.minutes.unwrap_or(MINUTES);
    if !(1..=MOST_MINUTES).contains(&minutes) {
        return Err(table.fault("minutes", format!("must be 1 to {MOST_MINUTES}")));
    }
    let mut policies = BTreeSet::from([policy::hash()]);
    for text in &raw.policies {
        let policy = parse_hash(text)
            .ok_or_else(|| table.fault("policies", format!("`{text}` is not 64 hex digits")))?;
        policies.insert(policy);
    }
    let partners = partners
        .into_iter()
        .map(|(name, table)| Ok((name.clone(), partner(city, name, table)?)))
        .collect::<Result<_, _>>()?;
    let own = Some(Arc::new(file(table, &raw.keys, OwnKeys::parse)?));
    Ok(Agreement { own, life: 60 * i64::from(minutes), policies, partners })
}

fn parse_hash(text: &str) -> Option<[u8; 32]> {
    let mut hash = [0; 32];
    let digits: Vec<u8> =
        text.chars().map(|digit| digit.to_digit(16)?.try_into().ok()).collect::<Option<_>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() || pairs.len() != hash.len() {
        return None;
    }
    for (byte, [high, low]) in hash.iter_mut().zip(pairs) {
        *byte = high << 4 | low;
    }
    Some(hash)
}

fn partner(city: &City, name: &str, table: &Table) -> Result<Partner, ConfigError> {
    if name == NOBODY {
        return Err(
            table.fault("", format!("`{NOBODY}` stands for nobody who is known: no partner is called so"))
        );
    }
    let raw: RawPartner = parse(table)?;
    let keys = file(table, &raw.keys, CityKeys::parse)?;
    let site = match &raw.url {
        Some(url) => {
            let authorities = raw.authorities.as_deref().map(|name| table.beside(name));
            let site = Site::parse(url, authorities.as_deref());
            Some(site.map_err(|error| table.fault("url", format!("`{url}` {error:#}")))?)
        }
        None => None,
    };
    let mut send = BTreeSet::new();
    for stream in &raw.send {
        let fault = |message: &str| table.fault("send", format!("`{stream}`: {message}"));
        let of = match stream.split_once('/') {
            Some((owner, _)) if owner == name => return Err(fault("is its own")),
            Some((owner, stream)) => {
                let owners = city.partners.get(owner).and_then(|owner| owner.handover.as_ref());
                if owners.is_none_or(|owner| owner.value["receive"].get(stream).is_none()) {
                    // Else the files would be refused of whoever removes that city, and all would stay as it was.
                    tracing::warn!(
                        "`{owner}/{stream}` is not handed on to {name}: it is not taken from {owner}"
                    );
                    continue;
                }
                (owner.to_owned(), stream.to_owned())
            }
            None => {
                let entry = city.streams.values().find(|entry| entry.name == *stream);
                let entry = entry.ok_or_else(|| fault("there is no such stream"))?;
                if entry.owner != city.home {
                    return Err(fault("is another city's, which alone can sign it"));
                }
                if entry.stream.class != Class::Public && !entry.partners.iter().any(|city| city == name) {
                    return Err(fault("the city is not among its `partners`"));
                }
                if entry.departments.len().max(entry.partners.len()) > MOST_NAMES {
                    return Err(fault(&format!("a label has at most {MOST_NAMES} departments and cities")));
                }
                if entry.content_type.len() > MOST_TYPE {
                    return Err(fault(&format!("its `content_type` is longer than {MOST_TYPE} bytes")));
                }
                (city.home.clone(), stream.clone())
            }
        };
        send.insert(of);
    }
    if site.is_none() && !send.is_empty() {
        return Err(table.fault("send", "needs a `url`, where it is sent".to_owned()));
    }
    let receive = raw
        .receive
        .into_iter()
        .map(|(stream, raw)| {
            let narrowing =
                narrowing(city, raw).map_err(|message| table.fault(&format!("receive.{stream}"), message))?;
            Ok((stream, narrowing))
        })
        .collect::<Result<_, _>>()?;
    Ok(Partner { keys, site, send, receive })
}

fn narrowing(city: &City, raw: RawNarrowing) -> Result<Narrowing, String> {
    let class = match raw.class.as_deref() {
        None => None,
        Some(name) => {
            let classes = [Class::Public, Class::Internal, Class::Confidential];
            let class = classes.into_iter().find(|class| policy::class_name(*class) == name);
            Some(class.ok_or_else(|| format!("there is no class `{name}`"))?)
        }
    };
    if raw.min_level > MAX_LEVEL {
        return Err(format!("a level is 0 to {MAX_LEVEL}"));
    }
    if let Some(unknown) = raw.departments.iter().flatten().find(|name| !city.departments.contains(*name)) {
        return Err(format!("there is no department `{unknown}`"));
    }
    if let Some(unknown) = raw.shared_with.iter().flatten().find(|name| !city.cities.contains_key(*name)) {
        return Err(format!("there is no city `{unknown}`"));
    }
    Ok(Narrowing {
        departments: raw.departments,
        class,
        min_level: raw.min_level,
        shared_with: raw.shared_with,
    })
}
