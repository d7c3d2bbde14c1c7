//! What must not be forgotten, in a file: a restart forgets none of it.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context as _, Result};
use redb::{Database, ReadableDatabase as _, TableDefinition, backends::FileBackend};
use serde::{Serialize, de::DeserializeOwned};
use smart_city_engine::store;

/// What is kept, by kind and name.
const KEPT: TableDefinition<'_, (&str, &str), &[u8]> = TableDefinition::new("kept");

const FILE: &str = "incidents.redb";
/// What is cached of the file, in bytes.
const CACHE: usize = 1 << 20;

/// The file of a [`Desk`](crate::Desk) and of [`Reports`](crate::Reports).
#[derive(Debug)]
pub struct Kept(pub(crate) Database);

/// What changes: a kind, and names with what is kept under them now; none if nothing is.
pub(crate) type Changes = (&'static str, BTreeMap<String, Option<Vec<u8>>>);

impl Kept {
    /// Opens the file in a folder, or makes it.
    ///
    /// # Errors
    /// If it cannot be read or made.
    pub fn open(dir: &Path) -> Result<Self> {
        let open = || {
            let backend = FileBackend::new(store::private().truncate(false).open(dir.join(FILE))?)?;
            let file = Database::builder().set_cache_size(CACHE).create_with_backend(backend)?;
            let write = file.begin_write()?;
            write.open_table(KEPT)?;
            write.commit()?;
            store::sync_dir(dir)?;
            anyhow::Ok(Self(file))
        };
        open().with_context(|| {
            format!("{FILE}: if it is damaged, put back the file as it was at the last stop, or move it away")
        })
    }

    /// All of a kind, by name.
    pub(crate) fn all<T: DeserializeOwned>(&self, kind: &str) -> Result<BTreeMap<String, T>> {
        let mut all = BTreeMap::new();
        for entry in self.0.begin_read()?.open_table(KEPT)?.range((kind, "")..)? {
            let (key, value) = entry?;
            let (found, name) = key.value();
            if found != kind {
                break;
            }
            let value = serde_json::from_slice(value.value());
            all.insert(name.to_owned(), value.with_context(|| format!("{FILE}: {kind} {name} is damaged"))?);
        }
        Ok(all)
    }

    /// Keeps all changes, or none of them.
    pub(crate) fn keep(&self, changes: &[Changes]) -> Result<()> {
        let write = self.0.begin_write()?;
        {
            let mut table = write.open_table(KEPT)?;
            for (kind, names) in changes {
                for (name, value) in names {
                    match value {
                        Some(value) => drop(table.insert((*kind, name.as_str()), value.as_slice())?),
                        None => drop(table.remove((*kind, name.as_str()))?),
                    }
                }
            }
        }
        Ok(write.commit()?)
    }
}

/// What is kept of a value.
pub(crate) fn to_bytes(value: &impl Serialize) -> Result<Vec<u8>> {
    Ok(serde_json::to_vec(value)?)
}
