//! What the gateway must never forget as long as a key could come back.
//!
//! Store and audit log hold it both, each enough of it to go on without the other. Here they are compared at a start.

use std::{collections::BTreeMap, fmt, io, path::Path};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use smart_city_frame::DeviceId;

use crate::{
    audit::{CONTINUED, Head, Log, Record},
    config::parse_device_id,
    store::{Found, Stored},
};

/// Tells a device's root keys apart: [`RootKey::fingerprint`](smart_city_frame::RootKey::fingerprint).
pub type Fingerprint = [u8; 16];

/// Which epochs were opened, which devices are isolated, and what the log alone knows: which key signed attestation results last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// The newest epoch that was ever opened, by device and root key.
    pub epochs: BTreeMap<(DeviceId, Fingerprint), u16>,
    /// The region for which a device is isolated. Its root key does not matter: another one does not mend the code.
    pub isolated: BTreeMap<DeviceId, u16>,
    /// The name of that key; none if no record tells it.
    pub signing_key: Option<String>,
}

/// [`Memory`] in a record.
#[derive(Serialize, Deserialize)]
struct Known {
    store: String,
    epochs: Vec<(String, String, u16)>,
    isolated: BTreeMap<String, u16>,
    /// Not in records of before it was kept.
    signing_key: Option<String>,
}

impl Memory {
    /// Notes that an epoch was opened.
    pub fn opened(&mut self, device: DeviceId, key: Fingerprint, epoch: u16) {
        let newest = self.epochs.entry((device, key)).or_default();
        *newest = epoch.max(*newest);
    }

    /// Takes over what `other` knows. A device is isolated if either says so.
    pub fn merge(&mut self, other: &Self) {
        for ((device, key), epoch) in &other.epochs {
            self.opened(*device, *key, *epoch);
        }
        for (device, region) in &other.isolated {
            self.isolated.entry(*device).or_insert(*region);
        }
    }

    /// As the first record of a file of the audit log has it, with the store of the log.
    #[must_use]
    pub fn to_record(&self, store: &str) -> Value {
        let epochs = self.epochs.iter().map(|((id, key), epoch)| (id.to_string(), hex::encode(key), *epoch));
        let isolated = self.isolated.iter().map(|(id, region)| (id.to_string(), *region));
        json!(Known {
            store: store.to_owned(),
            epochs: epochs.collect(),
            isolated: isolated.collect(),
            signing_key: self.signing_key.clone(),
        })
    }

    /// Takes over what a record of the audit log says; the records must come in their order.
    ///
    /// # Errors
    /// If the record does not have what its kind of event has.
    pub(crate) fn read(&mut self, record: &Record) -> Result<()> {
        let text = |name: &str| record.detail.get(name).and_then(Value::as_str);
        let number = |name: &str| {
            let number = record.detail.get(name).and_then(Value::as_u64);
            number.and_then(|number| u16::try_from(number).ok()).with_context(|| format!("no {name}"))
        };
        let device = || text("device").and_then(parse_device_id).context("no device");
        match record.event.as_str() {
            "epoch opened" | "epoch known" => {
                let mut key = Fingerprint::default();
                hex::decode_to_slice(text("key").unwrap_or_default(), &mut key).context("no key")?;
                self.opened(device()?, key, number("epoch")?);
            }
            CONTINUED => {
                let known: Known =
                    serde_json::from_value(record.detail.clone()).context("not what is known")?;
                for (device, key, epoch) in known.epochs {
                    let mut fingerprint = Fingerprint::default();
                    hex::decode_to_slice(key, &mut fingerprint).context("no key")?;
                    self.opened(parse_device_id(&device).context("no device")?, fingerprint, epoch);
                }
                for (device, region) in known.isolated {
                    self.isolated.insert(parse_device_id(&device).context("no device")?, region);
                }
                self.signing_key = known.signing_key;
            }
            "isolated" => drop(self.isolated.insert(device()?, number("region")?)),
            "signing key" => self.signing_key = Some(text("key").context("no key")?.to_owned()),
            "recovered" => drop(self.isolated.remove(&device()?)),
            _ => {}
        }
        Ok(())
    }
}

/// Reads the audit log at `path` beside the store that was found.
///
/// If the log is whole in itself and ahead of the store by more than a commit, or another store's, then the store is at fault, and
/// what it knows of a log is not about this one.
///
/// # Errors
/// If the file cannot be read.
pub fn read_log(path: &Path, store: &Found) -> io::Result<Log> {
    let Found::Whole(_, stored) = store else { return Log::read(path, &Head::default()) };
    let mut log = Log::read(path, &stored.head)?;
    if log.fault.is_some() {
        let alone = Log::read(path, &Head::default())?;
        let is_ahead = alone.store.as_ref().is_some_and(|(identity, commit)| {
            *identity != stored.identity || *commit > stored.generation + 1
        });
        if alone.fault.is_none() && is_ahead {
            return Ok(alone);
        }
        // Up to its fault it may be of a store that was lost before this one was made.
        if Log::last_store(path)?.as_ref() == Some(&stored.identity) {
            log.store = log.store.filter(|(identity, _)| *identity == stored.identity);
        }
    }
    Ok(log)
}

/// Store and audit log do not fit each other. `Display` says what is wrong and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The store is not what it was; the log is whole.
    Store(String),
    /// The log is not what it was; the store is whole.
    Log(String),
    /// Neither is what it was: nobody knows any more which epochs were opened.
    Both(String, String),
    /// The database that several gateways share is not what it was. The log of one of them does not have all that it has forgotten.
    Database(String),
}

/// What is wrong with a store, by the log: it is another one, or was set back.
#[must_use]
pub fn store_fault(stored: &Stored, log: &Log) -> Option<String> {
    let (identity, generation) = log.store.as_ref()?;
    if *identity != stored.identity {
        return Some("it is not the one with which the audit log was written".to_owned());
    }
    let found = stored.generation;
    let is_set_back = found + 1 < *generation;
    is_set_back
        .then(|| format!("it was set back: it has seen {found} commits of at least {}", generation - 1))
}

impl Loss {
    /// What of `store` and `log` was lost, damaged or set back, if anything.
    ///
    /// The log may be ahead of the store by one commit: the process may have ended between the two.
    #[must_use]
    pub fn find(store: &Found, log: &Log) -> Option<Self> {
        let store = match (store, &log.store) {
            (Found::Nothing, _) if log.head.n == 0 && log.fault.is_none() => None,
            (Found::Nothing, _) => Some("it is not there".to_owned()),
            (Found::Damaged(why), _) => Some(format!("it is damaged: {why}")),
            (Found::Whole(_, stored), _) => store_fault(stored, log),
        };
        match (store, log.fault.clone()) {
            (None, None) => None,
            (Some(store), None) => Some(Self::Store(store)),
            (None, Some(log)) => Some(Self::Log(log)),
            (Some(store), Some(log)) => Some(Self::Both(store, log)),
        }
    }

    /// The same, if the store is in a database that several gateways share.
    #[must_use]
    pub fn of_database(self) -> Self {
        match self {
            Self::Store(why) | Self::Both(why, _) => Self::Database(why),
            Self::Log(_) | Self::Database(_) => self,
        }
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(why) => write!(f, "store.redb: {why}")?,
            Self::Log(why) => write!(f, "audit.jsonl: {why}")?,
            Self::Database(why) => {
                return write!(
                    f,
                    "the database: {why}. Nothing was changed. It may have forgotten which epochs were opened, so that recorded frames \
                     could be accepted again. Put it back as it was at its last commit; or give every device a new root key, make a \
                     new database, and start all gateways with new data directories"
                );
            }
            Self::Both(store, log) => {
                return write!(
                    f,
                    "store.redb: {store}; audit.jsonl: {log}. Neither knows any more which epochs were opened, so that recorded \
                     frames could be accepted again. Put back the files as they were at the last stop; or give every device \
                     a new root key, move the data directory away, and start anew"
                );
            }
        }
        f.write_str(
            ". Nothing was changed. Put back the file as it was at the last stop; or start once with --continue-after-loss: \
             then the gateway goes on with what the other file knows, and every device must open a new epoch",
        )
    }
}

impl std::error::Error for Loss {}
