//! The store of one gateway in the database.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail, ensure};
use jiff::Timestamp;
use smart_city_engine::{
    audit::Head,
    memory::Fingerprint,
    store::{Bounds, Changes, FORGOTTEN, Found, Place, Query, Reading, Shard, Snapshot, Store, Stored},
};
use smart_city_frame::DeviceId;
use tokio::join;
use tokio_postgres::{Client, Row, error::SqlState, types::Type};

use crate::{Database, Fenced, Parameter, session::Session};

/// Numbers of readings that a store gives out, from one start to the next: years of them.
const BLOCK: u64 = 1 << 40;

/// Readings of the history that are read at once.
const PAGE: usize = 256;

const READING: &str = "device, key, stream, stream_identity, epoch, counter, time, payload";

/// What one gateway keeps in the database: the place of its store. Who opens it takes all shards, and fences off who had them.
#[derive(Clone, Debug)]
pub struct Gateway {
    /// The database.
    pub database: Database,
    /// The gateway's name. No other gateway has it, and it does not change: the audit log is written with the store of this name.
    pub name: String,
}

/// Shards, each with the term under which it is held.
type Held = BTreeMap<u16, i64>;

#[derive(Debug)]
struct PostgresStore {
    session: Session,
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
    held: Held,
    /// The block of numbers that new readings may have. No other process has it.
    block: u64,
    history: History,
}

/// What is known of the history, of the shards that are held. Times are nanoseconds since 1970.
#[derive(Clone, Copy, Debug, Default)]
struct History {
    count: u64,
    times: Option<(i64, i64)>,
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
}

impl Gateway {
    /// Opens the store; if it is `new`, it is made before.
    fn open(&self, new: bool) -> Result<Option<(PostgresStore, Stored)>> {
        let mut session = Session::new(self.database.clone())?;
        let read = session.run(async |client: &Client| {
            Database::migrate(client).await?;
            self.read(client, new).await
        })?;
        Ok(read.map(|(state, stored)| (PostgresStore { session, state }, stored)))
    }

    async fn read(&self, client: &Client, new: bool) -> Result<Option<(State, Stored)>> {
        let name: &[Parameter<'_>] = &[(&self.name, Type::TEXT)];
        if new {
            let sql = "insert into gateways (name, identity, block, generation, head_n, head_hash)
                       values ($1, replace(gen_random_uuid()::text, '-', ''), 0, 0, 0, '') on conflict do nothing";
            client.execute_typed(sql, name).await?;
        }
        let sql = "with new as (update settings set blocks = blocks + 1 returning shards, blocks)
                   update gateways set block = blocks from new where name = $1
                   returning shards, block, identity, generation, head_n, head_hash";
        let Some(row) = client.query_typed_opt(sql, name).await? else { return Ok(None) };
        let sql = "update leases set term = term + 1, member = null returning shard, term";
        let held = client.query_typed(sql, &[]).await?.iter().map(lease).collect::<Result<Held>>()?;
        let history = read_history(client, &keys(&held)?).await?;
        let generation = unsigned(row.get(3))?;
        let state = State {
            name: self.name.clone(),
            shards: u16::try_from(row.get::<_, i16>(0))?,
            block: unsigned(row.get(1))?,
            identity: row.get(2),
            generation,
            stored: generation,
            head: Head { n: unsigned(row.get(4))?, hash: row.get(5) },
            held,
            history,
        };
        let stored = Stored {
            identity: state.identity.clone(),
            generation,
            head: state.head.clone(),
            next: state.block * BLOCK,
            history: (history.count, history.times.map(|(first, _)| first.div_euclid(1000))),
            ..load(client, &keys(&state.held)?).await?
        };
        Ok(Some((state, stored)))
    }
}

/// What the database has of these shards.
async fn load(client: &Client, shards: &[i16]) -> Result<Stored> {
    let shards: &[Parameter<'_>] = &[(&shards, Type::INT2_ARRAY)];
    let mut stored = Stored::default();
    for row in
        client.query_typed("select device, key, epoch from epochs where shard = any($1)", shards).await?
    {
        stored.epochs.push((
            DeviceId(array(row.get(0))?),
            array(row.get(1))?,
            u16::try_from(row.get::<_, i32>(2))?,
        ));
    }
    for row in
        client.query_typed("select device, record::text from devices where shard = any($1)", shards).await?
    {
        stored.devices.push((DeviceId(array(row.get(0))?), serde_json::from_str(row.get(1))?));
    }
    let sql = format!("select number, {READING} from outbox where shard = any($1) order by number");
    stored.outbox = client.query_typed(&sql, shards).await?.iter().map(reading).collect::<Result<_>>()?;
    Ok(stored)
}

async fn read_history(client: &Client, shards: &[i16]) -> Result<History> {
    let sql = "select count(*), min(time), max(time) from history where shard = any($1)";
    let row = client.query_typed_one(sql, &[(&shards, Type::INT2_ARRAY)]).await?;
    Ok(History { count: unsigned(row.get(0))?, times: row.get::<_, Option<i64>>(1).zip(row.get(2)) })
}

impl State {
    /// Whether something of the history is to be removed.
    fn is_over(&self, bounds: Bounds) -> bool {
        let History { count, times } = self.history;
        count > bounds.most
            || times
                .zip(nanoseconds(bounds))
                .is_some_and(|((first, last), (from, to))| first < from || last > to)
    }

    /// The shard of a device, which must be held.
    fn shard(&self, id: DeviceId) -> Result<i16> {
        let shard = id.shard(self.shards);
        ensure!(
            self.held.contains_key(&shard),
            "device {id} is in shard {shard}, which this gateway does not have"
        );
        Ok(i16::try_from(shard)?)
    }
}

impl Store for PostgresStore {
    fn identity(&self) -> &str {
        &self.state.identity
    }

    fn generation(&self) -> u64 {
        self.state.generation
    }

    fn skip_to(&mut self, generation: u64) {
        self.state.generation = generation.max(self.state.generation);
    }

    fn outbox(&mut self, from: u64, limit: usize) -> Result<Vec<(u64, Reading)>> {
        let sql = format!(
            "select number, {READING} from outbox where number >= $1 and shard = any($2) order by number limit $3"
        );
        // No reading has a greater number than the database can have.
        let (from, limit) = (i64::try_from(from).unwrap_or(i64::MAX), i64::try_from(limit)?);
        let shards = keys(&self.state.held)?;
        self.session.run(async |client: &Client| {
            let parameters: &[Parameter<'_>] =
                &[(&from, Type::INT8), (&shards, Type::INT2_ARRAY), (&limit, Type::INT8)];
            client.query_typed(&sql, parameters).await?.iter().map(reading).collect()
        })
    }

    fn commit(&mut self, changes: &Changes, head: &Head) -> Result<()> {
        let Self { session, state } = self;
        if changes.is_empty() && !state.is_over(changes.history) && *head == state.head {
            return Ok(());
        }
        let write = Write::new(state, changes, head)?;
        let history = session.run(async |client: &Client| write.run(client).await)?;
        state.generation += 1;
        (state.stored, state.head, state.history) = (state.generation, head.clone(), history);
        Ok(())
    }

    fn snapshot(&self) -> Result<Box<dyn Snapshot>> {
        Ok(Box::new(Reader(self.session.database.clone())))
    }

    fn hold(&mut self, shard: &Shard) -> Result<()> {
        self.state.held.insert(shard.number, shard.term);
        Ok(())
    }

    fn let_go(&mut self, shard: u16) {
        self.state.held.remove(&shard);
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
    bounds: Bounds,
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
        let Changes { epochs, devices, accepted, unowed, delivered, links: _, history } = changes;
        // The last of each. A statement changes a row once.
        let mut newest: BTreeMap<(&DeviceId, &Fingerprint), u16> = BTreeMap::new();
        for (id, key, epoch) in epochs {
            let before = newest.insert((id, key), *epoch);
            ensure!(before <= Some(*epoch), "an epoch of {id} would go back");
        }
        let mut write = Self {
            state,
            head,
            held: keys(&state.held)?,
            epochs: Epochs::default(),
            devices: Devices::default(),
            owed: Readings::default(),
            kept: Readings::default(),
            delivered: delivered.iter().copied().map(signed).collect::<Result<_>>()?,
            bounds: *history,
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
        Ok(write)
    }

    /// Writes it, in two round trips, if this gateway still holds its shards; and says what the history is then.
    async fn run(&self, client: &Client) -> Result<History> {
        let Self { state, head, held, epochs, devices, owed, kept, delivered, bounds } = self;
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
            let (shard, newest) = lease(&row)?;
            let term = state.held.get(&shard).copied().unwrap_or_default();
            ensure!(term == newest, Fenced::Shard { shard, term, newest });
        }
        let gateway =
            gateway?.into_iter().next().filter(|row| row.get::<_, i64>(0).cast_unsigned() == state.block);
        let Some(gateway) = gateway else { bail!(Fenced::Gateway(name.clone())) };
        let found = unsigned(gateway.get(1))?;
        let generation = state.generation + 1;
        if found == generation {
            // A try of before was taken, and its answer was lost.
            client.batch_execute("rollback").await?;
            return read_history(client, held).await;
        }
        ensure!(
            found == state.stored,
            "the database was set back: it has seen {found} commits of {}",
            state.stored
        );

        let (generation, head_n) = (signed(generation)?, signed(head.n)?);
        let (from, to) = nanoseconds(*bounds).unwrap_or((i64::MIN, i64::MAX));
        let added = kept.numbers.len() as u64;
        let count = state.history.count + added;
        let most = FORGOTTEN + added;
        let excess = count.saturating_sub(bounds.most).min(most);
        let (excess, passed) = (signed(excess)?, signed(most - excess)?);
        let has_history = count > 0;
        let (about, epochs, devices, owed, kept, delivered, too_many, too_old, history, committed) = join!(
                   biased;
                   execute(client,
                       "update gateways set generation = $2, head_n = $3, head_hash = $4 where name = $1",
                       [(name, Type::TEXT), (&generation, Type::INT8), (&head_n, Type::INT8), (&head.hash, Type::TEXT)],
        true,
                   ),
                   execute(
                       client,
                       "insert into epochs (device, key, shard, epoch) select * from unnest($1, $2, $3, $4)
                        on conflict (device, key) do update set epoch = excluded.epoch",
                       [
                           (&epochs.devices, Type::BYTEA_ARRAY),
                           (&epochs.keys, Type::BYTEA_ARRAY),
                           (&epochs.shards, Type::INT2_ARRAY),
                           (&epochs.epochs, Type::INT4_ARRAY),
                       ],
                       !epochs.devices.is_empty(),
                   ),
                   execute(
                       client,
                       "insert into devices (device, shard, record)
                 select device, shard, record::jsonb from unnest($1, $2, $3) as new (device, shard, record)
                 on conflict (device) do update set record = excluded.record",
                       [
                           (&devices.devices, Type::BYTEA_ARRAY),
                           (&devices.shards, Type::INT2_ARRAY),
                           (&devices.records, Type::TEXT_ARRAY),
                       ],
                       !devices.devices.is_empty(),
                   ),
                   owed.insert(client, "outbox"),
                   kept.insert(client, "history"),
                   execute(
                       client,
                       "delete from outbox where number = any($1) and shard = any($2)",
                       [(delivered, Type::INT8_ARRAY), (held, Type::INT2_ARRAY)],
                       !delivered.is_empty(),
                   ),
                   execute(
                       client,
                       "delete from history where (device, stream, time, number) in
                        (select device, stream, time, number from history where shard = any($1) order by time, number limit $2)",
                       [(held, Type::INT2_ARRAY), (&excess, Type::INT8)],
                       excess > 0,
                   ),
                   execute(
                       client,
                       "delete from history where (device, stream, time, number) in
                 (select device, stream, time, number from history
                  where shard = any($1) and (time < $2 or time > $3) order by time, number limit $4)",
                       [(held, Type::INT2_ARRAY), (&from, Type::INT8), (&to, Type::INT8), (&passed, Type::INT8)],
                       has_history && bounds.times.is_some(),
                   ),
                   rows(client,
                       "select min(time), max(time) from history where shard = any($1) and $2",
                       [(held, Type::INT2_ARRAY), (&has_history, Type::BOOL)]
                   ),
                   client.batch_execute("commit"),
               );
        // After the first that fails the database takes none of the others, and what it calls a commit is none.
        about?;
        epochs?;
        devices?;
        owed?;
        kept?;
        delivered?;
        let removed = too_many? + too_old?;
        let history = history?;
        committed?;
        let times = history.first().and_then(|row| row.get::<_, Option<i64>>(0).zip(row.get(1)));
        Ok(History { count: count.saturating_sub(removed), times })
    }
}

impl<'c> Readings<'c> {
    fn push(&mut self, state: &State, (number, reading): &'c (u64, Reading)) -> Result<()> {
        let Reading { device, key, stream, stream_identity, epoch, counter, time, payload } = reading;
        // Those of a reading that comes twice are the same; and whatever is wrong here must not touch another gateway's.
        ensure!(
            number / BLOCK == state.block,
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
        let inserted = execute(client, &sql, parameters, !self.numbers.is_empty()).await;
        inserted.map_err(|error| {
            let is_there = error.code() == Some(&SqlState::UNIQUE_VIOLATION);
            let error = anyhow::Error::from(error);
            if is_there { error.context("a reading would be overwritten") } else { error }
        })
    }
}

/// Changes rows, if there is anything to change, and says how many.
async fn execute<const N: usize>(
    client: &Client,
    sql: &str,
    parameters: [Parameter<'_>; N],
    is_needed: bool,
) -> Result<u64, tokio_postgres::Error> {
    if is_needed { client.execute_typed(sql, &parameters).await } else { Ok(0) }
}

async fn rows<const N: usize>(
    client: &Client,
    sql: &str,
    parameters: [Parameter<'_>; N],
) -> Result<Vec<Row>, tokio_postgres::Error> {
    client.query_typed(sql, &parameters).await
}

/// Reads the history over connections of its own, in the thread that asks.
#[derive(Debug)]
struct Reader(Database);

impl Snapshot for Reader {
    fn read(&self, query: &Query, is_wanted: &dyn Fn() -> bool) -> Result<Vec<Reading>> {
        let Query { devices, stream, stream_identity, times: (from, to), limit } = query;
        let sql = format!(
            "select number, {READING} from history
             where device = any($1) and stream = $2 and stream_identity = $3 and time between $4 and $5
             and (time, device, number) > ($6, $7, $8) order by time, device, number limit $9"
        );
        let devices: Vec<&[u8]> = devices.iter().map(|device| &device.0[..]).collect();
        let (stream, from, to) = (i32::from(*stream), start(*from), end(*to));
        let mut session = Session::new(self.0.clone())?;
        let mut found: Vec<Reading> = Vec::new();
        let mut last = (i64::MIN, [0; 8], i64::MIN);
        while found.len() < *limit && is_wanted() {
            let most = PAGE.min(limit - found.len());
            let page: Vec<(u64, Reading)> = session.run(async |client: &Client| {
                let limit = i64::try_from(most)?;
                let parameters: &[Parameter<'_>] = &[
                    (&devices, Type::BYTEA_ARRAY),
                    (&stream, Type::INT4),
                    (stream_identity, Type::TEXT),
                    (&from, Type::INT8),
                    (&to, Type::INT8),
                    (&last.0, Type::INT8),
                    (&&last.1[..], Type::BYTEA),
                    (&last.2, Type::INT8),
                    (&limit, Type::INT8),
                ];
                client.query_typed(&sql, parameters).await?.iter().map(reading).collect()
            })?;
            let is_last = page.len() < most;
            for (number, reading) in page {
                last = (i64::try_from(reading.time.as_nanosecond())?, reading.device, signed(number)?);
                found.push(reading);
            }
            if is_last {
                break;
            }
        }
        Ok(found)
    }
}

/// The first nanosecond of a microsecond.
fn start(microsecond: i64) -> i64 {
    microsecond.saturating_mul(1000)
}

/// The last nanosecond of a microsecond.
fn end(microsecond: i64) -> i64 {
    microsecond.saturating_mul(1000).saturating_add(999)
}

fn nanoseconds(bounds: Bounds) -> Option<(i64, i64)> {
    bounds.times.map(|(from, to)| (start(from), end(to)))
}

/// A number and a reading from [`READING`].
fn reading(row: &Row) -> Result<(u64, Reading)> {
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

/// A shard and a term.
fn lease(row: &Row) -> Result<(u16, i64)> {
    Ok((u16::try_from(row.get::<_, i16>(0))?, row.get(1)))
}

fn keys(held: &Held) -> Result<Vec<i16>> {
    held.keys().map(|shard| Ok(i16::try_from(*shard)?)).collect()
}

fn array<const N: usize>(bytes: &[u8]) -> Result<[u8; N]> {
    bytes.try_into().context("bytes in the database are not as many as they must be")
}

fn signed(number: u64) -> Result<i64> {
    number.try_into().context("a number is too great for the database")
}

fn unsigned(number: i64) -> Result<u64> {
    number.try_into().context("a number in the database is negative")
}
