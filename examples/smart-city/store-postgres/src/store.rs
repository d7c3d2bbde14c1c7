//! The store of one gateway in the database.

use std::{collections::BTreeMap, pin::pin, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use futures_util::TryStreamExt as _;
use jiff::Timestamp;
use smart_city_engine::{
    audit::Head,
    memory::Fingerprint,
    store::{Bounds, Changes, FORGOTTEN, Found, Place, Reading, Shard, Snapshot, Store, Stored},
};
use smart_city_frame::DeviceId;
use tokio::{
    join,
    time::{Instant, timeout_at},
};
use tokio_postgres::{Client, Row, error::SqlState, types::Type};

use crate::{
    Database, Fenced, Parameter,
    history::{History, Reader, Readers, Removal},
    session::Session,
};

/// Numbers of readings that a store gives out, from one start to the next: years of them.
const BLOCK: u64 = 1 << 40;

pub(crate) const READING: &str = "device, key, stream, stream_identity, epoch, counter, time, payload";

/// What one gateway keeps in the database: the place of its store. It is opened with no shard, and who [claims](Store::claim) it fences off who
/// had opened it before.
#[derive(Clone, Debug)]
pub struct Gateway {
    /// The database.
    pub database: Database,
    /// The gateway's name. No other gateway has it, and it does not change: the audit log is written with the store of this name.
    pub name: String,
    /// Into how many shards the devices of a new database are divided. Another one must have as many.
    pub shards: u16,
}

#[derive(Debug)]
struct PostgresStore {
    session: Session,
    readers: Arc<Readers>,
    state: State,
}

/// What was written last, and what may be written.
#[derive(Debug)]
struct State {
    name: String,
    identity: String,
    generation: u64,
    /// The generation that the database has.
    stored: u64,
    head: Head,
    /// Of how many there are.
    shards: u16,
    held: BTreeMap<i16, Held>,
    /// The block of numbers that new readings may have. No other process has it; none before the store is claimed.
    block: Option<u64>,
}

/// A shard that is held.
#[derive(Debug)]
struct Held {
    term: i64,
    history: History,
}

impl Place for Gateway {
    fn find(&self) -> Result<Found> {
        Ok(match self.open(false)? {
            Some((store, stored)) => Found::Whole(Box::new(store), Box::new(stored)),
            None => Found::Nothing,
        })
    }

    fn create(&self) -> Result<(Box<dyn Store>, Stored)> {
        let (store, stored) = self.open(true)?.context("the gateway was removed from the database")?;
        Ok((Box::new(store), stored))
    }

    fn is_shared(&self) -> bool {
        true
    }
}

impl Gateway {
    /// Opens the store; if it is `new`, it is made before.
    fn open(&self, new: bool) -> Result<Option<(PostgresStore, Stored)>> {
        let mut session = Session::new(self.database.clone())?;
        let readers = Arc::new(Readers::new(&self.database)?);
        let state = session.run(async |client: &Client| {
            Database::migrate(client).await?;
            client.batch_execute("begin").await?;
            let state = self.read(client, new).await?;
            client.batch_execute("commit").await?;
            Ok(state)
        })?;
        Ok(state.map(|state| {
            let stored = Stored {
                identity: state.identity.clone(),
                generation: state.generation,
                head: state.head.clone(),
                next: state.block.unwrap_or_default() * BLOCK,
                shards: Some(state.shards),
                ..Stored::default()
            };
            (PostgresStore { session, readers, state }, stored)
        }))
    }

    /// What the database has of this gateway; if it is `new`, it is made and claimed.
    async fn read(&self, client: &Client, new: bool) -> Result<Option<State>> {
        if new {
            let sql = "
                with new as (
                    insert into settings (shards, blocks) values ($1, 0) on conflict do nothing returning shards
                )
                insert into leases (shard) select generate_series(0, shards - 1) from new";
            execute(client, sql, [(&i16::try_from(self.shards)?, Type::INT2)]).await?;
        }
        let Some(settings) = client.query_typed_opt("select shards from settings", &[]).await? else {
            return Ok(None);
        };
        let shards = u16::try_from(settings.get::<_, i16>(0))?;
        ensure!(
            shards == self.shards,
            "the devices of the database are divided into {shards} shards, and not into {}",
            self.shards
        );
        if new {
            let sql = "insert into gateways (name, identity, block, generation, head_n, head_hash)
                       values ($1, replace(gen_random_uuid()::text, '-', ''), 0, 0, 0, '') on conflict do nothing";
            execute(client, sql, [(&self.name, Type::TEXT)]).await?;
        }
        let Some((identity, generation, head)) = written(client, &self.name).await? else { return Ok(None) };
        let mut state = State {
            name: self.name.clone(),
            identity,
            generation,
            stored: generation,
            head,
            shards,
            held: BTreeMap::new(),
            block: None,
        };
        if new {
            state.block = Some(state.claim(client).await?);
        }
        Ok(Some(state))
    }
}

/// What the gateway with this name has written of itself: the identity of its store, the number of its commits, and the end of its audit
/// log. None if there is no such gateway.
pub(crate) async fn written(client: &Client, name: &str) -> Result<Option<(String, u64, Head)>> {
    let sql = "select identity, generation, head_n, head_hash from gateways where name = $1";
    let found = rows(client, sql, [(&name, Type::TEXT)]).await?;
    let Some(row) = found.first() else { return Ok(None) };
    Ok(Some((row.get(0), unsigned(row.get(1))?, Head { n: unsigned(row.get(2))?, hash: row.get(3) })))
}

/// Reads all that is known of the devices of a shard, for the member that has taken it under this term: a whole [`Load`].
///
/// # Errors
/// As those of [`Load::read`] and [`Load::finish`].
pub async fn load(database: &Database, number: u16, term: i64) -> Result<Shard> {
    Load::read(database, number, term).await?.finish().await
}

/// A shard that was read, and is as it was in the database.
#[derive(Debug)]
pub struct Load {
    client: Client,
    shard: Shard,
    limit: Duration,
    end: Instant,
}

impl Load {
    /// Reads all that is known of the devices of a shard, for the member that has taken it under this term. Whoever does not wait for the end
    /// of it loses nothing.
    ///
    /// # Errors
    /// If the database does not answer, or takes longer than [`Limits::load`](crate::Limits::load): then it may be tried again.
    pub async fn read(database: &Database, number: u16, term: i64) -> Result<Self> {
        let limit = database.limits.load;
        let end = Instant::now() + limit;
        let read = async {
            let client = database.connect().await?;
            client.batch_execute(&format!("set statement_timeout = {}", limit.as_millis())).await?;
            let shard = read_shard(&client, number, term).await?;
            Ok(Self { client, shard, limit, end })
        };
        timeout_at(end, read).await.with_context(|| too_slow(number, limit))?
    }

    /// What it returns of [links](Shard::links) is in the database no more: when it fails, or nobody waits for the end of it, they may be lost,
    /// and those devices open new epochs.
    ///
    /// # Errors
    /// [`Fenced`] if there is a newer term. Or as for [`Load::read`].
    pub async fn finish(self) -> Result<Shard> {
        let Self { client, shard, limit, end } = self;
        let take = take_links(&client, &shard);
        timeout_at(end, take).await.with_context(|| too_slow(shard.number, limit))??;
        Ok(shard)
    }
}

fn too_slow(shard: u16, limit: Duration) -> String {
    format!("shard {shard} was not read within {limit:?}")
}

/// Nobody else writes to the shard meanwhile, so that nothing is locked while rows are on their way: a process that is stopped then would
/// hold up who takes its shard over.
async fn read_shard(client: &Client, number: u16, term: i64) -> Result<Shard> {
    let key = i16::try_from(number)?;
    let shard = || [(&key, Type::INT2)];
    let mut loaded = Shard { number, term, ..Shard::default() };
    let mut epochs = pin!(
        client.query_typed_raw("select device, key, epoch from epochs where shard = $1", shard()).await?
    );
    while let Some(row) = epochs.try_next().await? {
        let epoch = u16::try_from(row.get::<_, i32>(2))?;
        loaded.epochs.push((DeviceId(array(row.get(0))?), array(row.get(1))?, epoch));
    }
    let mut devices = pin!(
        client.query_typed_raw("select device, record::text from devices where shard = $1", shard()).await?
    );
    while let Some(row) = devices.try_next().await? {
        loaded.devices.push((DeviceId(array(row.get(0))?), serde_json::from_str(row.get(1))?));
    }
    let mut links =
        pin!(client.query_typed_raw("select device, state from links where shard = $1", shard()).await?);
    while let Some(row) = links.try_next().await? {
        loaded.links.push((DeviceId(array(row.get(0))?), row.get(1)));
    }
    let sql = "select (select count(*) from outbox where shard = $1), (select min(number + 0) from outbox where shard = $1),
               (select count(*) from history where shard = $1), (select min(time + 0) from history where shard = $1)";
    let counts = client.query_typed_one(sql, &[(&key, Type::INT2)]).await?;
    loaded.outbox = (unsigned(counts.get(0))?, counts.get::<_, Option<i64>>(1).map(unsigned).transpose()?);
    loaded.history =
        (unsigned(counts.get(2))?, counts.get::<_, Option<i64>>(3).map(|time| time.div_euclid(1000)));
    Ok(loaded)
}

/// Each link is used once: only who still has the shard then deletes them, and uses them when they are gone.
async fn take_links(client: &Client, shard: &Shard) -> Result<()> {
    let (number, term) = (shard.number, shard.term);
    let key = i16::try_from(number)?;
    let (begun, newest, deleted, committed) = join!(
        biased;
        client.batch_execute("begin"),
        rows(client, "select term from leases where shard = $1 for share", [(&key, Type::INT2)]),
        execute(client,
            "delete from links where shard = $1 and (select term from leases where shard = $1) = $2",
            [(&key, Type::INT2), (&term, Type::INT8)]
        ),
        client.batch_execute("commit"),
    );
    begun?;
    let newest = newest?.first().with_context(|| format!("the database has no shard {number}"))?.get(0);
    let deleted = deleted?;
    committed?;
    ensure!(term == newest, Fenced::Shard { shard: number, term, newest });
    ensure!(deleted == shard.links.len() as u64, "shard {number} was changed while it was read");
    Ok(())
}

impl State {
    /// Takes a new block, so that nobody else who has opened the store writes any more.
    async fn claim(&self, client: &Client) -> Result<u64> {
        let sql = "
            with new as (
                update settings set blocks = blocks + 1
                where exists (select from gateways where name = $1 and generation = $2) returning blocks
            )
            update gateways set block = blocks from new where name = $1 and generation = $2 returning block";
        let generation = signed(self.stored)?;
        let claimed = rows(client, sql, [(&self.name, Type::TEXT), (&generation, Type::INT8)]).await?;
        let row = claimed.first().ok_or_else(|| Fenced::Gateway(self.name.clone()))?;
        unsigned(row.get(0))
    }

    /// Of so many readings in the history of the city, how many are of the shards that are held: one at least, if there are any.
    fn share(&self, most: u64) -> u64 {
        let share = u128::from(most) * self.held.len() as u128 / u128::from(self.shards);
        u64::try_from(share).unwrap_or(most).max(most.min(1))
    }

    /// The shard of a device, which must be held.
    fn shard(&self, id: DeviceId) -> Result<i16> {
        let shard = i16::try_from(id.shard(self.shards))?;
        ensure!(
            self.held.contains_key(&shard),
            "device {id} is in shard {shard}, which this gateway does not have"
        );
        Ok(shard)
    }

    fn keys(&self) -> Vec<i16> {
        self.held.keys().copied().collect()
    }
}

impl Store for PostgresStore {
    fn identity(&self) -> &str {
        &self.state.identity
    }

    fn generation(&self) -> u64 {
        self.state.generation
    }

    fn claim(&mut self) -> Result<Option<u64>> {
        let Self { session, state, .. } = self;
        let block = session.run(async |client: &Client| state.claim(client).await)?;
        state.block = Some(block);
        Ok(Some(block * BLOCK))
    }

    fn skip_to(&mut self, generation: u64) {
        self.state.generation = generation.max(self.state.generation);
    }

    fn outbox(&mut self, from: u64, limit: usize) -> Result<Vec<(u64, Reading)>> {
        // Of each shard the next ones: however many other gateways have.
        let sql = format!(
            "select number, {READING} from outbox where number = any(array(
                 select next.number from unnest($2) as held (shard), lateral
                 (select number from outbox where shard = held.shard and number + 0 >= $1 order by number + 0 limit $3) as next
                 order by next.number limit $3
             )) order by number"
        );
        // No reading has a greater number than the database can have.
        let (from, limit) = (i64::try_from(from).unwrap_or(i64::MAX), i64::try_from(limit)?);
        let held = self.state.keys();
        self.session.run(async |client: &Client| {
            let parameters: [Parameter<'_>; 3] =
                [(&from, Type::INT8), (&held, Type::INT2_ARRAY), (&limit, Type::INT8)];
            rows(client, &sql, parameters).await?.iter().map(reading).collect()
        })
    }

    fn commit(&mut self, changes: &Changes, head: &Head) -> Result<()> {
        let Self { session, state, .. } = self;
        let write = Write::new(state, changes, head)?;
        if changes.is_empty() && write.removal.is_empty() && *head == state.head {
            return Ok(());
        }
        let histories = session.run(async |client: &Client| write.run(client).await)?;
        state.generation += 1;
        (state.stored, state.head) = (state.generation, head.clone());
        for (shard, held) in &mut state.held {
            held.history = histories.get(shard).copied().unwrap_or_default();
        }
        Ok(())
    }

    fn snapshot(&self) -> Result<Box<dyn Snapshot>> {
        Ok(Box::new(Reader(Arc::clone(&self.readers))))
    }

    fn hold(&mut self, shard: &Shard) -> Result<()> {
        let (count, shards) = (shard.history.0, self.state.shards);
        ensure!(shard.number < shards, "the database has {shards} shards, and no shard {}", shard.number);
        // The last time is not known: the next commit looks for it.
        let times = shard.history.1.map(|first| (first.saturating_mul(1000), i64::MAX));
        let held = Held { term: shard.term, history: History { count, times } };
        self.state.held.insert(shard.number.try_into()?, held);
        Ok(())
    }

    fn let_go(&mut self, shard: u16) {
        self.state.held.retain(|held, _| u16::try_from(*held) != Ok(shard));
    }
}

/// A commit, by columns as the database takes them.
struct Write<'c> {
    state: &'c State,
    head: &'c Head,
    held: Vec<i16>,
    epochs: Epochs<'c>,
    devices: Devices<'c>,
    owed: Readings<'c>,
    kept: Readings<'c>,
    delivered: Vec<i64>,
    links: Links<'c>,
    /// Of each shard that is held, before anything is removed.
    histories: BTreeMap<i16, History>,
    removal: Removal,
}

#[derive(Default)]
struct Epochs<'c> {
    devices: Vec<&'c [u8]>,
    keys: Vec<&'c [u8]>,
    shards: Vec<i16>,
    epochs: Vec<i32>,
}

#[derive(Default)]
struct Devices<'c> {
    devices: Vec<&'c [u8]>,
    shards: Vec<i16>,
    records: Vec<String>,
}

#[derive(Default)]
struct Links<'c> {
    devices: Vec<&'c [u8]>,
    shards: Vec<i16>,
    states: Vec<&'c [u8]>,
}

#[derive(Default)]
struct Readings<'c> {
    numbers: Vec<i64>,
    shards: Vec<i16>,
    devices: Vec<&'c [u8]>,
    keys: Vec<&'c [u8]>,
    streams: Vec<i32>,
    identities: Vec<&'c str>,
    epochs: Vec<i32>,
    counters: Vec<i64>,
    times: Vec<i64>,
    payloads: Vec<&'c [u8]>,
}

impl<'c> Write<'c> {
    fn new(state: &'c State, changes: &'c Changes, head: &'c Head) -> Result<Self> {
        let Changes { epochs, devices, accepted, unowed, delivered, links, history } = changes;
        // The last of each. A statement changes a row once.
        let mut newest: BTreeMap<(&DeviceId, &Fingerprint), u16> = BTreeMap::new();
        for (id, key, epoch) in epochs {
            let before = newest.insert((id, key), *epoch);
            ensure!(before <= Some(*epoch), "an epoch of {id} would go back");
        }
        let mut write = Self {
            state,
            head,
            held: state.keys(),
            epochs: Epochs::default(),
            devices: Devices::default(),
            owed: Readings::default(),
            kept: Readings::default(),
            delivered: delivered.iter().copied().map(signed).collect::<Result<_>>()?,
            links: Links::default(),
            histories: state.held.iter().map(|(shard, held)| (*shard, held.history)).collect(),
            removal: Removal::default(),
        };
        for ((id, key), epoch) in newest {
            write.epochs.devices.push(&id.0);
            write.epochs.keys.push(key);
            write.epochs.shards.push(state.shard(*id)?);
            write.epochs.epochs.push(epoch.into());
        }
        for (id, record) in devices {
            write.devices.devices.push(&id.0);
            write.devices.shards.push(state.shard(*id)?);
            write.devices.records.push(serde_json::to_string(record)?);
        }
        for reading in accepted {
            write.owed.push(state, reading)?;
        }
        if history.most > 0 {
            for reading in accepted.iter().chain(unowed) {
                write.kept.push(state, reading)?;
            }
        }
        for (id, link) in links {
            write.links.devices.push(&id.0);
            write.links.shards.push(state.shard(*id)?);
            write.links.states.push(link);
        }
        for (shard, time) in write.kept.shards.iter().zip(&write.kept.times) {
            write.histories.entry(*shard).or_default().add(*time);
        }
        let most = Bounds { most: state.share(history.most), ..*history };
        let limit = FORGOTTEN + write.kept.numbers.len() as u64;
        write.removal = Removal::new(&write.histories, most, limit)?;
        Ok(write)
    }

    /// Writes it, in two round trips, if this gateway still holds its shards; and says what the history is then.
    async fn run(&self, client: &Client) -> Result<BTreeMap<i16, History>> {
        let Self { state, head, held, epochs, devices, owed, kept, delivered, links, histories, removal } =
            self;
        let name = &state.name;
        // The locks are kept until the end: who takes a shard over waits for it, and then reads all of it.
        let (begun, gateway, terms) = join!(
            biased;
            client.batch_execute("begin isolation level read committed"),
            rows(client,
                "select block, generation from gateways where name = $1 for update",
                [(name, Type::TEXT)]
            ),
            rows(client,
                "select shard, term from leases where shard = any($1) order by shard for share",
                [(held, Type::INT2_ARRAY)]
            ),
        );
        begun?;
        let terms = terms?;
        ensure!(terms.len() == held.len(), "a lease of this gateway is not in the database any more");
        for row in terms {
            let (shard, newest) = (row.get(0), row.get(1));
            let term = state.held.get(&shard).map(|held| held.term).unwrap_or_default();
            ensure!(term == newest, Fenced::Shard { shard: shard.try_into()?, term, newest });
        }
        let gateway = gateway?
            .into_iter()
            .next()
            .filter(|row| Some(row.get::<_, i64>(0).cast_unsigned()) == state.block);
        let Some(gateway) = gateway else { bail!(Fenced::Gateway(name.clone())) };
        let found = unsigned(gateway.get(1))?;
        let generation = state.generation + 1;
        if found == generation {
            // A try of before was taken, and its answer was lost. This one has locked rows, so that its end waits for any standby.
            client.batch_execute("commit").await?;
            let of_any_time = |(shard, history): (&i16, &History)| (*shard, history.of_any_time());
            return Ok(histories.iter().map(of_any_time).collect());
        }
        ensure!(
            found == state.stored,
            "the database was set back: it has seen {found} commits of {}",
            state.stored
        );

        let (generation, head_n) = (signed(generation)?, signed(head.n)?);
        let (about, epochs, devices, owed, kept, delivered, links, removed, committed) = join!(
            biased;
            execute(client,
                "update gateways set generation = $2, head_n = $3, head_hash = $4 where name = $1",
                [(name, Type::TEXT), (&generation, Type::INT8), (&head_n, Type::INT8), (&head.hash, Type::TEXT)],
            ),
            execute_if(!epochs.devices.is_empty(), client,
                "insert into epochs (device, key, shard, epoch) select * from unnest($1, $2, $3, $4)
                 on conflict (device, key) do update set epoch = excluded.epoch",
                [
                    (&epochs.devices, Type::BYTEA_ARRAY),
                    (&epochs.keys, Type::BYTEA_ARRAY),
                    (&epochs.shards, Type::INT2_ARRAY),
                    (&epochs.epochs, Type::INT4_ARRAY),
                ],
            ),
            execute_if(!devices.devices.is_empty(), client,
                "insert into devices (device, shard, record)
                 select device, shard, record::jsonb from unnest($1, $2, $3) as new (device, shard, record)
                 on conflict (device) do update set record = excluded.record",
                [
                    (&devices.devices, Type::BYTEA_ARRAY),
                    (&devices.shards, Type::INT2_ARRAY),
                    (&devices.records, Type::TEXT_ARRAY),
                ],
            ),
            owed.insert(client, "outbox"),
            kept.insert(client, "history"),
            execute_if(!delivered.is_empty(), client,
                "delete from outbox where number = any($1) and shard = any($2)",
                [(delivered, Type::INT8_ARRAY), (held, Type::INT2_ARRAY)],
            ),
            execute_if(!links.devices.is_empty(), client,
                "insert into links (device, shard, state) select * from unnest($1, $2, $3)
                 on conflict (device) do update set state = excluded.state",
                [
                    (&links.devices, Type::BYTEA_ARRAY),
                    (&links.shards, Type::INT2_ARRAY),
                    (&links.states, Type::BYTEA_ARRAY),
                ],
            ),
            removal.run(client, histories),
            client.batch_execute("commit"),
        );
        // After the first that fails the database takes none of the others, and what it calls a commit is none.
        about?;
        epochs?;
        devices?;
        owed?;
        kept?;
        delivered?;
        links?;
        let histories = removed?;
        committed?;
        Ok(histories)
    }
}

impl<'c> Readings<'c> {
    fn push(&mut self, state: &State, (number, reading): &'c (u64, Reading)) -> Result<()> {
        let Reading { device, key, stream, stream_identity, epoch, counter, time, payload } = reading;
        // Those of a reading that comes twice are the same; and whatever is wrong here must not touch another gateway's.
        ensure!(
            Some(number / BLOCK) == state.block,
            "the number {number} is not this store's: a reading would be overwritten"
        );
        self.numbers.push(signed(*number)?);
        self.shards.push(state.shard(DeviceId(*device))?);
        self.devices.push(device);
        self.keys.push(key);
        self.streams.push((*stream).into());
        self.identities.push(stream_identity);
        self.epochs.push((*epoch).into());
        self.counters.push((*counter).into());
        self.times.push(i64::try_from(time.as_nanosecond()).context("a reading's time is out of bounds")?);
        self.payloads.push(payload);
        Ok(())
    }

    async fn insert(&self, client: &Client, table: &str) -> Result<u64> {
        let sql = format!(
            "insert into {table} (number, shard, {READING}) select * from unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
        );
        let parameters: [Parameter<'_>; 10] = [
            (&self.numbers, Type::INT8_ARRAY),
            (&self.shards, Type::INT2_ARRAY),
            (&self.devices, Type::BYTEA_ARRAY),
            (&self.keys, Type::BYTEA_ARRAY),
            (&self.streams, Type::INT4_ARRAY),
            (&self.identities, Type::TEXT_ARRAY),
            (&self.epochs, Type::INT4_ARRAY),
            (&self.counters, Type::INT8_ARRAY),
            (&self.times, Type::INT8_ARRAY),
            (&self.payloads, Type::BYTEA_ARRAY),
        ];
        let inserted = execute_if(!self.numbers.is_empty(), client, &sql, parameters).await;
        inserted.map_err(|error| {
            let is_there = error.code() == Some(&SqlState::UNIQUE_VIOLATION);
            let error = anyhow::Error::from(error);
            if is_there { error.context("a reading would be overwritten") } else { error }
        })
    }
}

/// Changes rows, and says how many.
pub(crate) async fn execute<const N: usize>(
    client: &Client,
    sql: &str,
    parameters: [Parameter<'_>; N],
) -> Result<u64, tokio_postgres::Error> {
    client.execute_typed(sql, &parameters).await
}

async fn execute_if<const N: usize>(
    is_needed: bool,
    client: &Client,
    sql: &str,
    parameters: [Parameter<'_>; N],
) -> Result<u64, tokio_postgres::Error> {
    if is_needed { execute(client, sql, parameters).await } else { Ok(0) }
}

pub(crate) async fn rows<const N: usize>(
    client: &Client,
    sql: &str,
    parameters: [Parameter<'_>; N],
) -> Result<Vec<Row>, tokio_postgres::Error> {
    client.query_typed(sql, &parameters).await
}

/// A number and a reading from [`READING`].
pub(crate) fn reading(row: &Row) -> Result<(u64, Reading)> {
    let reading = Reading {
        device: array(row.get(1))?,
        key: array(row.get(2))?,
        stream: u16::try_from(row.get::<_, i32>(3))?,
        stream_identity: row.get(4),
        epoch: u16::try_from(row.get::<_, i32>(5))?,
        counter: u32::try_from(row.get::<_, i64>(6))?,
        time: Timestamp::from_nanosecond(row.get::<_, i64>(7).into())?,
        payload: row.get(8),
    };
    Ok((unsigned(row.get(0))?, reading))
}

pub(crate) fn array<const N: usize>(bytes: &[u8]) -> Result<[u8; N]> {
    bytes.try_into().context("bytes in the database are not as many as they must be")
}

pub(crate) fn signed(number: u64) -> Result<i64> {
    number.try_into().context("a number is too great for the database")
}

pub(crate) fn unsigned(number: i64) -> Result<u64> {
    number.try_into().context("a number in the database is negative")
}
