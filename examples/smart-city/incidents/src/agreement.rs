//! What was agreed with other cities about incidents, as `city.toml` says it.

use std::{collections::BTreeMap, fs, sync::Arc};

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};
use smart_city_cities::agreement::Site;
use smart_city_engine::config::{City, ConfigError, Table};
use zeroize::Zeroizing;

/// Tokens are as long as this at least, and at most.
const TOKEN: std::ops::RangeInclusive<usize> = 32..=128;

/// Who is told of incidents here, and who tells them.
#[derive(Clone, Debug, Default)]
pub struct Agreement {
    /// The SHA-256 of the token of each city that may read here.
    pub(crate) readers: BTreeMap<String, [u8; 32]>,
    /// Where incidents of others are.
    pub(crate) sources: BTreeMap<String, Arc<Source>>,
}

/// What becomes of readings of a device that another city has isolated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Trust {
    /// Nobody gets them.
    #[default]
    Hold,
    /// Who gets them is told.
    Mark,
    /// They are as others.
    Ignore,
}

/// Where another city tells of its incidents.
#[derive(Debug)]
pub(crate) struct Source {
    /// The collection.
    pub(crate) site: Site,
    /// With which this city reads there.
    pub(crate) token: Zeroizing<String>,
    pub(crate) trust: Trust,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    reader: Option<String>,
    collection: Option<String>,
    authorities: Option<String>,
    token: Option<String>,
    trust: Option<Trust>,
}

/// What `city.toml` says of it.
///
/// # Errors
/// The first fault that is in it.
pub fn agreement(city: &City) -> Result<Agreement, ConfigError> {
    let mut agreement = Agreement::default();
    for (name, partner) in &city.partners {
        let Some(table) = &partner.incidents else { continue };
        let raw = Raw::deserialize(&table.value).map_err(|error| table.fault("", error.to_string()))?;
        if let Some(text) = &raw.reader {
            let mut hash = [0; 32];
            hex::decode_to_slice(text, &mut hash)
                .map_err(|_| table.fault("reader", "is no SHA-256: 64 hex digits".to_owned()))?;
            agreement.readers.insert(name.clone(), hash);
        }
        if let Some(source) = source(table, &raw)? {
            agreement.sources.insert(name.clone(), Arc::new(source));
        }
    }
    Ok(agreement)
}

fn source(table: &Table, raw: &Raw) -> Result<Option<Source>, ConfigError> {
    let Some(url) = &raw.collection else {
        if raw.token.is_some() || raw.authorities.is_some() || raw.trust.is_some() {
            return Err(table.fault("collection", "is missing: it says where the incidents are".to_owned()));
        }
        return Ok(None);
    };
    let authorities = raw.authorities.as_deref().map(|name| table.beside(name));
    let site = Site::parse(url, authorities.as_deref());
    let site = site.map_err(|error| table.fault("collection", format!("`{url}` {error:#}")))?;
    let name = raw.token.as_ref().ok_or_else(|| table.fault("token", "is missing".to_owned()))?;
    let path = table.beside(name);
    let token =
        token(&path).map_err(|error| table.fault("token", format!("{}: {error:#}", path.display())))?;
    Ok(Some(Source { site, token, trust: raw.trust.unwrap_or_default() }))
}

fn token(path: &std::path::Path) -> Result<Zeroizing<String>> {
    let text = Zeroizing::new(fs::read_to_string(path).context("it cannot be read")?);
    let token = text.trim_end();
    ensure!(token.bytes().all(|byte| byte.is_ascii_graphic()), "a token is of visible ASCII characters");
    ensure!(TOKEN.contains(&token.len()), "a token has {} to {} characters", TOKEN.start(), TOKEN.end());
    Ok(Zeroizing::new(token.to_owned()))
}
