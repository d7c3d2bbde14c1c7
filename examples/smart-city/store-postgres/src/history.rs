//! The history of readings: what of it is removed, and how users' questions are answered.

use std::{
    collections::BTreeMap,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::Result;
use smart_city_engine::store::{Bounds, Query, Reading, Snapshot};
use tokio::join;
use tokio_postgres::{Client, types::Type};

use crate::{
    Database, Parameter,
    session::Session,
    store::{READING, reading, rows, signed},
};

/// Readings of the history that are read at once.
const PAGE: usize = 256;

/// Connections for reading the history, at most.
const READERS: usize = 4;

/// How often one who waits for a connection looks whether it is still wanted.
const LOOK: Duration = Duration::from_millis(100);

/// What is known of the history of a shard. Times are nanoseconds since 1970: of the first and the last reading, or before and after them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct History {
    pub(crate) count: u64,
    pub(crate) times: Option<(i64, i64)>,
}

impl History {
    pub(crate) fn add(&mut self, time: i64) {
        self.count += 1;
        let (first, last) = self.times.unwrap_or((time, time));
        self.times = Some((first.min(time), last.max(time)));
    }

    /// The same, when readings may have been removed since, and it is not known which. There are no more than `count`, and the next removal looks
    /// for their times. To count them takes too long for a commit.
    pub(crate) const fn of_any_time(self) -> Self {
        Self { count: self.count, times: Some((i64::MIN, i64::MAX)) }
    }
}

/// What is removed: of each of these shards so many of the oldest readings from some time to another.
#[derive(Debug, Default)]
pub(crate) struct Removal {
    shards: Vec<i16>,
    most: Vec<i64>,
    from: Vec<i64>,
    to: Vec<i64>,
}

impl Removal {
    /// What is beyond the bounds, but no more than `limit`. Of too many, those shards that have most lose most: one
    /// that has much to say does not take the room of the others.
    pub(crate) fn new(histories: &BTreeMap<i16, History>, bounds: Bounds, limit: u64) -> Result<Self> {
        let mut removal = Self::default();
        let count: u64 = histories.values().map(|history| history.count).sum();
        let excess = count.saturating_sub(bounds.most).min(limit);
        for (shard, most) in level(histories, excess) {
            removal.push(shard, most, (i64::MIN, i64::MAX))?;
        }
        let Some((from, to)) = nanoseconds(bounds) else { return Ok(removal) };
        let mut passed = Vec::new();
        for (shard, history) in histories {
            let Some((first, last)) = history.times else { continue };
            passed.extend((first < from).then(|| (*shard, (i64::MIN, from - 1))));
            passed.extend((last > to).then(|| (*shard, (to + 1, i64::MAX))));
        }
        let left = limit - excess;
        let each = (left / passed.len().max(1) as u64).max(1);
        for (shard, times) in passed.into_iter().take(usize::try_from(left)?) {
            removal.push(shard, each, times)?;
        }
        Ok(removal)
    }

    fn push(&mut self, shard: i16, most: u64, (from, to): (i64, i64)) -> Result<()> {
        self.shards.push(shard);
        self.most.push(signed(most)?);
        self.from.push(from);
        self.to.push(to);
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.shards.is_empty()
    }

    /// Removes it, and says what is left of `histories`.
    pub(crate) async fn run(
        &self,
        client: &Client,
        histories: &BTreeMap<i16, History>,
    ) -> Result<BTreeMap<i16, History>, tokio_postgres::Error> {
        let mut left = histories.clone();
        if self.is_empty() {
            return Ok(left);
        }
        let Self { shards, most, from, to } = self;
        let (removed, times) = join!(
            biased;
            rows(client,
                "with removed as (
                     delete from history where ctid = any(array(
                         select old.ctid from unnest($1, $2, $3, $4) as part (shard, most, first, last), lateral
                         (select ctid from history where shard = part.shard and time + 0 between part.first and part.last
                          order by time + 0, number limit part.most) as old
                     )) returning shard
                 )
                 select shard, count(*) from removed group by shard",
                [
                    (shards, Type::INT2_ARRAY),
                    (most, Type::INT8_ARRAY),
                    (from, Type::INT8_ARRAY),
                    (to, Type::INT8_ARRAY),
                ]
            ),
            rows(client,
                "select shard, (select min(time + 0) from history where history.shard = part.shard),
                 (select max(time + 0) from history where history.shard = part.shard) from unnest($1) as part (shard)",
                [(shards, Type::INT2_ARRAY)]
            ),
        );
        for row in removed? {
            let history = left.entry(row.get(0)).or_default();
            history.count = history.count.saturating_sub(row.get::<_, i64>(1).unsigned_abs());
        }
        for row in times? {
            let history = left.entry(row.get(0)).or_default();
            history.times = row.get::<_, Option<i64>>(1).zip(row.get(2));
            if history.times.is_none() {
                // Fewer were there than it was known of.
                history.count = 0;
            }
        }
        Ok(left)
    }
}

/// How many readings each shard loses, if `excess` go in all and those that have most come down to one level.
fn level(histories: &BTreeMap<i16, History>, excess: u64) -> Vec<(i16, u64)> {
    let above =
        |level: u64| -> u64 { histories.values().map(|history| history.count.saturating_sub(level)).sum() };
    let (mut low, mut high) = (0, histories.values().map(|history| history.count).max().unwrap_or_default());
    while low < high {
        let middle = low.midpoint(high);
        if above(middle) > excess {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    // Of those that are left at the level the first ones lose one more.
    let mut rest = excess - above(low).min(excess);
    let mut losses = Vec::new();
    for (shard, history) in histories {
        let more = u64::from(rest > 0 && history.count >= low);
        rest -= more;
        losses.push((*shard, history.count.saturating_sub(low) + more));
    }
    losses.retain(|(_, loss)| *loss > 0);
    losses
}

/// Connections for reading the history, in the threads that ask. They are made when they are needed; who finds none that is free waits.
#[derive(Debug)]
pub(crate) struct Readers {
    free: Mutex<Vec<Session>>,
    returned: Condvar,
}

impl Readers {
    pub(crate) fn new(database: &Database) -> Result<Self> {
        let sessions = (0..READERS).map(|_| Session::new(database.clone()));
        Ok(Self { free: Mutex::new(sessions.collect::<Result<_>>()?), returned: Condvar::new() })
    }

    fn free(&self) -> MutexGuard<'_, Vec<Session>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A session, when there is one; none if that is not wanted any more.
    fn wait(&self, is_wanted: &dyn Fn() -> bool) -> Option<Session> {
        let mut free = self.free();
        loop {
            if let Some(session) = free.pop() {
                return Some(session);
            }
            if !is_wanted() {
                return None;
            }
            let waited = self.returned.wait_timeout(free, LOOK);
            free = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// The history, for one who asks.
#[derive(Debug)]
pub(crate) struct Reader(pub(crate) Arc<Readers>);

impl Snapshot for Reader {
    fn read(&self, query: &Query, is_wanted: &dyn Fn() -> bool) -> Result<Vec<Reading>> {
        let Self(readers) = self;
        let Some(mut session) = readers.wait(is_wanted) else { return Ok(Vec::new()) };
        let found = read(&mut session, query, is_wanted);
        readers.free().push(session);
        readers.returned.notify_one();
        found
    }
}

fn read(session: &mut Session, query: &Query, is_wanted: &dyn Fn() -> bool) -> Result<Vec<Reading>> {
    let Query { devices, stream, stream_identity, times: (from, to), limit } = query;
    let sql = format!(
        "select number, {READING} from history
         where device = any($1) and stream = $2 and stream_identity = $3 and time between $4 and $5
         and (time, device, number) > ($6, $7, $8) order by time, device, number limit $9"
    );
    let devices: Vec<&[u8]> = devices.iter().map(|device| &device.0[..]).collect();
    let (stream, from, to) = (i32::from(*stream), start(*from), end(*to));
    let mut found: Vec<Reading> = Vec::new();
    let mut last = (i64::MIN, [0; 8], i64::MIN);
    while found.len() < *limit && is_wanted() {
        let most = PAGE.min(limit - found.len());
        let page: Vec<(u64, Reading)> = session.run(async |client: &Client| {
            let limit = i64::try_from(most)?;
            let parameters: [Parameter<'_>; 9] = [
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
            rows(client, &sql, parameters).await?.iter().map(reading).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    /// All ways in which up to four shards can have up to five readings each.
    #[test]
    fn those_who_have_most_lose_most() {
        for shards in 0..=4 {
            for state in 0..6u64.pow(shards) {
                let count = |shard| state / 6u64.pow(shard) % 6;
                let histories: BTreeMap<_, _> = (0..shards)
                    .map(|shard| {
                        (i16::try_from(shard).unwrap(), History { count: count(shard), times: None })
                    })
                    .collect();
                let all: u64 = histories.values().map(|history| history.count).sum();
                for excess in 0..=all {
                    let losses: BTreeMap<_, _> = level(&histories, excess).into_iter().collect();
                    assert_eq!(losses.values().sum::<u64>(), excess, "{histories:?}");
                    let left = |shard| histories[shard].count - losses.get(shard).unwrap_or(&0);
                    // Who has lost any has at most one less than anybody else.
                    let most = histories.keys().map(left).max().unwrap_or_default();
                    assert!(losses.keys().all(|shard| left(shard) + 1 >= most), "{histories:?} {losses:?}");
                }
            }
        }
    }
}
