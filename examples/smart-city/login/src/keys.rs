//! The keys of a provider: fetched beforehand, now and then, and when a token names one that is not there.

use std::{collections::HashMap, convert::Infallible, sync::Arc, time::Duration};

use jsonwebtoken::{Algorithm, DecodingKey, jwk::Jwk};
use serde::Deserialize;
use serde_json::Value;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep_until, timeout, timeout_at},
};

use crate::{agreement::Agreement, fetch};

/// How fast and how often keys are fetched.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// How long a provider may take.
    pub patience: Duration,
    /// How long who logs in waits for keys.
    pub wait: Duration,
    /// Not sooner after one fetch the next one begins.
    pub interval: Duration,
    /// The longest time between two attempts while they fail; each failure doubles it, from `interval` on.
    pub longest: Duration,
    /// So long after one fetch the next one begins, if no token asks for one.
    pub refresh: Duration,
    /// What was fetched before this does not count any more.
    pub stale: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            patience: Duration::from_secs(5),
            wait: Duration::from_secs(1),
            interval: Duration::from_secs(10),
            longest: Duration::from_secs(60),
            refresh: Duration::from_secs(600),
            stale: Duration::from_secs(6 * 3600),
        }
    }
}

/// A key that checks signatures of one algorithm.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) algorithm: Algorithm,
    pub(crate) key: DecodingKey,
    /// What makes it the same: it may be fetched again.
    pub(crate) text: String,
}

/// Keys by their ids.
pub(crate) type Keys = HashMap<String, Key>;

/// What is known of a provider's keys.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    pub(crate) keys: Arc<Keys>,
    /// When they were fetched.
    fetched: Option<Instant>,
    /// The last attempt failed.
    pub(crate) has_failed: bool,
}

impl Known {
    /// Whether there are keys that count.
    pub(crate) fn is_fresh(&self, pace: Pace) -> bool {
        self.fetched.is_some_and(|fetched| fetched.elapsed() < pace.stale)
    }
}

/// The keys in a key set that sign with an algorithm that is taken here. Of those with one id the first counts.
///
/// # Errors
/// If it is no key set.
pub(crate) fn parse(body: &[u8]) -> Result<Keys, String> {
    #[derive(Deserialize)]
    struct Set {
        keys: Vec<Value>,
    }
    let set: Set = serde_json::from_slice(body).map_err(|error| format!("it is no key set: {error}"))?;
    let mut keys = Keys::new();
    for (id, key) in set.keys.iter().filter_map(usable) {
        keys.entry(id).or_insert(key);
    }
    Ok(keys)
}

fn usable(value: &Value) -> Option<(String, Key)> {
    let text = |name: &str| value.get(name).and_then(Value::as_str);
    let (algorithm, names) = match (text("kty")?, text("crv")?) {
        ("EC", "P-256") => (Algorithm::ES256, &["ES256"][..]),
        ("OKP", "Ed25519") => (Algorithm::EdDSA, &["EdDSA", "Ed25519"][..]),
        _ => return None,
    };
    let is_named = value.get("alg").is_none_or(|alg| names.iter().any(|name| alg == name));
    let is_for_signatures = value.get("use").is_none_or(|what| what == "sig")
        && value
            .get("key_ops")
            .is_none_or(|ops| ops.as_array().is_some_and(|ops| ops.iter().any(|op| op == "verify")));
    if !is_named || !is_for_signatures {
        return None;
    }
    // The other fields may be anything.
    let fields = ["kty", "crv", "x", "y"]
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), value.get(name)?.clone())));
    let fields = Value::Object(fields.collect());
    let jwk = Jwk::deserialize(&fields).ok()?;
    let key = DecodingKey::from_jwk(&jwk).ok()?;
    Some((text("kid")?.to_owned(), Key { algorithm, key, text: fields.to_string() }))
}

/// Fetches keys for ever.
pub(crate) async fn keep(
    agreement: Arc<Agreement>,
    pace: Pace,
    known: watch::Sender<Known>,
    wanted: Arc<Notify>,
) -> Infallible {
    let mut failures = 0;
    loop {
        let begin = Instant::now();
        let answer = timeout(pace.patience, fetch::get(&agreement.jwks)).await;
        let keys =
            answer.unwrap_or_else(|_| Err("it takes too long".to_owned())).and_then(|body| parse(&body));
        match keys {
            Ok(keys) => {
                if failures > 0 {
                    tracing::info!(
                        issuer = agreement.issuer,
                        "the keys of a partner's identity provider are there again"
                    );
                }
                failures = 0;
                known.send_replace(Known {
                    keys: Arc::new(keys),
                    fetched: Some(Instant::now()),
                    has_failed: false,
                });
            }
            Err(error) => {
                // Once for a failure, however long it lasts.
                if failures == 0 {
                    tracing::warn!(
                        issuer = agreement.issuer,
                        error,
                        "the keys of a partner's identity provider cannot be fetched"
                    );
                }
                failures += 1;
                known.send_modify(|known| known.has_failed = true);
            }
        }
        let pause = pace.interval.saturating_mul(1 << (failures.max(1) - 1).min(16));
        let soonest = begin + pause.min(pace.longest.max(pace.interval));
        sleep_until(soonest).await;
        if failures == 0 {
            drop(timeout_at(begin + pace.refresh, wanted.notified()).await);
        }
    }
}
