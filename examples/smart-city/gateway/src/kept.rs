//! What users wrote over NGSI-LD, in a file of its own beside the engine's store: the engine knows nothing of it.

use std::{fs, io, path::Path};

use anyhow::{Context as _, Result, anyhow};
use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition, backends::FileBackend};
use smart_city_engine::store;
use smart_city_ngsi_ld::{Broker, Keeper, Key, What};

/// Records by user, [kind](name) and id.
const RECORDS: TableDefinition<'_, (&str, &str, &str), &[u8]> = TableDefinition::new("records");

const FILE: &str = "entities.redb";

/// What is cached of the file, in bytes: it is read at a start only.
const CACHE: usize = 4 << 20;

fn name(what: What) -> &'static str {
    match what {
        What::Entity => "entity",
        What::Subscription => "subscription",
    }
}

type Record = (Key, Vec<u8>);

#[derive(Debug)]
struct Kept(Database);

impl Keeper for Kept {
    fn keep(&self, changes: &[(Key, Option<Vec<u8>>)]) -> io::Result<()> {
        self.put(changes).map_err(io::Error::other)
    }
}

impl Kept {
    /// Makes a new one, which appears as a whole.
    fn create(dir: &Path) -> Result<()> {
        let new = dir.join("entities.new");
        let database =
            builder().create_with_backend(FileBackend::new(store::private().truncate(true).open(&new)?)?)?;
        let write = database.begin_write()?;
        write.open_table(RECORDS)?;
        write.commit()?;
        drop(database);
        fs::rename(new, dir.join(FILE))?;
        Ok(store::sync_dir(dir)?)
    }

    fn open(dir: &Path) -> Result<(Self, Vec<Record>)> {
        let database = builder().set_check_integrity_on_open(true).open(dir.join(FILE))?;
        let mut records = Vec::new();
        for entry in database.begin_read()?.open_table(RECORDS)?.iter()? {
            let (key, record) = entry?;
            let (user, kind, id) = key.value();
            let what = [What::Entity, What::Subscription].into_iter().find(|what| name(*what) == kind);
            let what = what.with_context(|| format!("there is a {kind} in it, of which nothing is known"))?;
            records.push((Key { user: user.to_owned(), what, id: id.to_owned() }, record.value().to_vec()));
        }
        Ok((Self(database), records))
    }

    fn put(&self, changes: &[(Key, Option<Vec<u8>>)]) -> Result<(), redb::Error> {
        let write = self.0.begin_write()?;
        {
            let mut table = write.open_table(RECORDS)?;
            for (Key { user, what, id }, record) in changes {
                let key = (user.as_str(), name(*what), id.as_str());
                match record {
                    Some(record) => drop(table.insert(key, record.as_slice())?),
                    None => drop(table.remove(key)?),
                }
            }
        }
        Ok(write.commit()?)
    }
}

fn builder() -> redb::Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE);
    builder
}

/// Has what users wrote kept in `dir`, and puts in what was kept there. `is_new` says that there was nothing in `dir` before this start.
///
/// # Errors
/// If the file cannot be read.
pub fn restore(dir: &Path, entities: &Broker, is_new: bool) -> Result<()> {
    if !dir.join(FILE).exists() {
        if !is_new {
            tracing::warn!(
                "{FILE} is not there: if users wrote entities and subscriptions before, they are lost"
            );
        }
        Kept::create(dir).with_context(|| format!("{FILE} cannot be made"))?;
    }
    let opened = Kept::open(dir);
    let restored =
        opened.and_then(|(kept, records)| entities.restore(kept, records).map_err(|error| anyhow!(error)));
    restored.map_err(|error| {
        anyhow!(
            "{FILE}: {error:#}. If it is damaged, put back the file as it was at the last stop; or move it away: then the gateway goes on \
             without the entities and subscriptions that users wrote"
        )
    })
}
