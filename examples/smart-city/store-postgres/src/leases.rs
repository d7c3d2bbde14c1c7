//! Who has which shard.
//!
//! A gateway [joins](Member::join), says again and again that it is there ([`renew`](Member::renew)), and each time it sees how things are
//! and [decides](View::decide) for itself what it gives up and what it takes, until all have a fair share. Times are of the database's clock
//! alone. Who has not said that it is there for too long has no shards any more; should it wake up, what it writes has an old term.
//!
//! Rows with terms, and not the database's advisory locks: those end with a connection, which says nothing of what is still on its way, and
//! they have no number by which a write that comes too late is known.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use tokio::time::timeout;
use tokio_postgres::{Client, types::Type};

use crate::{Database, Fenced, Parameter};

/// How long a member that has ended is kept in the list.
const KEPT: &str = "interval '1 day'";

/// What a member sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The member.
    pub me: i64,
    /// All that are there, by rising numbers.
    pub members: Vec<i64>,
    /// All shards, by rising numbers.
    pub leases: Vec<Lease>,
}

/// Who has a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The shard.
    pub shard: u16,
    /// The newest term.
    pub term: i64,
    /// Who has it; none if nobody has, or nobody who is there.
    pub holder: Option<i64>,
}

/// What a member should do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// Shards that it has and should give up, when all of them is stored.
    pub release: Vec<Lease>,
    /// Shards that nobody has and that it should take.
    pub take: Vec<Lease>,
}

impl View {
    /// What brings the member to its fair share: all have as many shards, or the first ones, by their numbers, one more. Only who has too many
    /// gives any up, and no more than that.
    #[must_use]
    pub fn decide(&self) -> Decision {
        let Ok(rank) = self.members.binary_search(&self.me) else { return Decision::default() };
        let (shards, members) = (self.leases.len(), self.members.len());
        let share = shards / members + usize::from(rank < shards % members);
        let held_by = |holder| self.leases.iter().filter(move |lease| lease.holder == holder).copied();
        let has = held_by(Some(self.me)).count();
        Decision {
            release: held_by(Some(self.me)).skip(share).collect(),
            take: held_by(None).take(share.saturating_sub(has)).collect(),
        }
    }

    /// The shards that the member has, with their terms.
    pub fn held(&self) -> impl Iterator<Item = (u16, i64)> {
        self.leases
            .iter()
            .filter(|lease| lease.holder == Some(self.me))
            .map(|lease| (lease.shard, lease.term))
    }
}

/// A gateway among those that share a database. When it is dropped, the others wait until its time is over.
#[derive(Debug)]
pub struct Member {
    database: Database,
    client: Option<Client>,
    name: String,
    member: i64,
    /// How long it counts as there after it has said so.
    time: Duration,
}

impl Member {
    /// Joins as the gateway with this name. A process of before with the same name does not count any more, and its shards are free.
    ///
    /// # Errors
    /// If the database does not take it.
    pub async fn join(database: Database, name: &str, time: Duration) -> Result<Self> {
        let mut member = Self { database, client: None, name: name.to_owned(), member: 0, time };
        let sql = format!("delete from members where name = $1 or until < clock_timestamp() - {KEPT}");
        member.member = member
            .run(async |member, client| {
                Database::migrate(client).await?;
                client.execute_typed(&sql, &[(&member.name, Type::TEXT)]).await?;
                let sql = "insert into members (name, until)
                           values ($1, clock_timestamp() + make_interval(secs => $2)) returning member";
                let parameters: [Parameter<'_>; 2] =
                    [(&member.name, Type::TEXT), (&member.time.as_secs_f64(), Type::FLOAT8)];
                Ok(client.query_typed_one(sql, &parameters).await?.get(0))
            })
            .await?;
        Ok(member)
    }

    /// Says that it is there, and sees how things are.
    ///
    /// # Errors
    /// [`Fenced::Member`] if another process has joined under the name. Or if the database does not answer: then it may be tried again.
    pub async fn renew(&mut self) -> Result<View> {
        self.run(async |Self { name, member, time, .. }, client| {
            let sql = "update members set until = clock_timestamp() + make_interval(secs => $2) where member = $1";
            let renewed = client
                .execute_typed(sql, &[(member, Type::INT8), (&time.as_secs_f64(), Type::FLOAT8)])
                .await?;
            if renewed == 0 {
                bail!(Fenced::Member(name.clone()));
            }
            let sql = "select member from members where until > clock_timestamp() order by member";
            let members = client.query_typed(sql, &[]).await?.iter().map(|row| row.get(0)).collect();
            let sql = "select l.shard, l.term, m.member from leases l
                       left join members m on m.member = l.member and m.until > clock_timestamp() order by l.shard";
            let mut leases = Vec::new();
            for row in client.query_typed(sql, &[]).await? {
                let shard = u16::try_from(row.get::<_, i16>(0))?;
                leases.push(Lease { shard, term: row.get(1), holder: row.get(2) });
            }
            Ok(View { me: *member, members, leases })
        })
        .await
    }

    /// Takes a shard that nobody has, as it was seen, and returns the new term; none if somebody else was faster, or this member's time is over.
    /// What was being written to the shard meanwhile is written or refused when this returns.
    ///
    /// # Errors
    /// If the database does not answer. It may have been taken all the same, as the next view shows.
    pub async fn take(&mut self, seen: Lease) -> Result<Option<i64>> {
        self.run(async |member, client| {
            let sql = "update leases l set term = term + 1, member = $1 where shard = $2 and term = $3
                       and not exists (select from members m where m.member = l.member and m.until > clock_timestamp())
                       and exists (select from members m where m.member = $1 and m.until > clock_timestamp())
                       returning term";
            let shard = i16::try_from(seen.shard)?;
            let parameters: [Parameter<'_>; 3] =
                [(&member.member, Type::INT8), (&shard, Type::INT2), (&seen.term, Type::INT8)];
            Ok(client.query_typed_opt(sql, &parameters).await?.map(|row| row.get(0)))
        })
        .await
    }

    /// Gives up a shard, for others to take. Nothing more may be on its way to be written: it would be refused when another has it.
    ///
    /// # Errors
    /// If this member does not have it under this term, or the database does not answer.
    pub async fn release(&mut self, lease: Lease) -> Result<()> {
        self.run(async |member, client| {
            let sql = "update leases set member = null where shard = $2 and term = $3 and (member = $1 or member is null)";
            let shard = i16::try_from(lease.shard)?;
            let parameters: [Parameter<'_>; 3] =
                [(&member.member, Type::INT8), (&shard, Type::INT2), (&lease.term, Type::INT8)];
            let released = client.execute_typed(sql, &parameters).await?;
            ensure!(released == 1, "shard {} is another gateway's", lease.shard);
            Ok(())
        })
        .await
    }

    /// Leaves, with nothing more to write: others may take its shards at once.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn leave(mut self) -> Result<()> {
        self.run(async |member, client| {
            let sql = "delete from members where member = $1";
            client.execute_typed(sql, &[(&member.member, Type::INT8)]).await?;
            Ok(())
        })
        .await
    }

    /// Does `work` over the connection, or a new one, within the time of one try.
    async fn run<T>(&mut self, work: impl AsyncFn(&Self, &Client) -> Result<T>) -> Result<T> {
        let client = self.client.take().filter(|client| !client.is_closed());
        let work = async {
            let client = match client {
                Some(client) => client,
                None => self.database.connect().await?,
            };
            let done = work(self, &client).await?;
            Ok::<_, anyhow::Error>((client, done))
        };
        let (client, done) = timeout(self.database.limits.attempt, work).await??;
        self.client = Some(client);
        Ok(done)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn view(me: i64, members: &[i64], holders: &[Option<i64>]) -> View {
        let is_there = |holder: &i64| members.contains(holder);
        let leases = holders.iter().zip(0..);
        let leases = leases.map(|(holder, shard)| Lease { shard, term: 0, holder: holder.filter(is_there) });
        View { me, members: members.to_vec(), leases: leases.collect() }
    }

    /// The longest way from a state to one in which nobody does anything: from each there is one, whoever acts next and however little of
    /// its decision it carries out.
    fn longest(
        members: &[i64],
        holders: &[Option<i64>],
        known: &mut BTreeMap<Vec<Option<i64>>, Option<usize>>,
    ) -> usize {
        if let Some(length) = known.get(holders) {
            return length.expect("it goes round in a circle");
        }
        known.insert(holders.to_vec(), None);
        let mut length = 0;
        for me in members {
            let Decision { release, take } = view(*me, members, holders).decide();
            assert!(release.is_empty() || take.is_empty());
            let (holder, changed) = if take.is_empty() { (None, release) } else { (Some(*me), take) };
            for lease in changed {
                let mut next = holders.to_vec();
                let before = std::mem::replace(&mut next[usize::from(lease.shard)], holder);
                // A shard goes from its holder to nobody, and from nobody who is there to another.
                assert_eq!(
                    before.filter(|holder| members.contains(holder)),
                    if holder.is_none() { Some(*me) } else { None }
                );
                length = length.max(1 + longest(members, &next, known));
            }
        }
        if length == 0 {
            let counts = members
                .iter()
                .map(|member| holders.iter().filter(|holder| **holder == Some(*member)).count());
            let counts: Vec<_> = counts.collect();
            assert_eq!(counts.iter().sum::<usize>(), holders.len(), "nobody has a shard: {holders:?}");
            assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1, "{counts:?}");
        }
        known.insert(holders.to_vec(), Some(length));
        length
    }

    /// All ways in which up to six shards can be held by up to four members, of which some are there, and all orders in which those act.
    #[test]
    fn every_way_leads_to_fair_shares() {
        let mut states = 0;
        for shards in 1..=6u32 {
            for there in 1..1 << 4 {
                let members: Vec<i64> = (0..4).filter(|member| there >> member & 1 == 1).collect();
                let mut known = BTreeMap::new();
                for state in 0..5usize.pow(shards) {
                    let holder = |shard| i64::try_from(state / 5usize.pow(shard) % 5).unwrap();
                    let holders: Vec<_> =
                        (0..shards).map(|shard| Some(holder(shard)).filter(|member| *member < 4)).collect();
                    let excess: usize =
                        members.iter().map(|me| view(*me, &members, &holders).decide().release.len()).sum();
                    let taken = holders
                        .iter()
                        .filter(|holder| !holder.is_some_and(|holder| members.contains(&holder)))
                        .count();
                    // No shard moves that need not.
                    assert_eq!(
                        longest(&members, &holders, &mut known),
                        2 * excess + taken,
                        "{members:?} {holders:?}"
                    );
                    states += 1;
                }
            }
        }
        assert_eq!(states, 15 * (5 + 25 + 125 + 625 + 3125 + 15_625));
    }

    #[test]
    fn who_comes_takes_from_those_who_have_more_and_who_is_gone_does_nothing() {
        let holders: Vec<_> = (0..16).map(|shard| Some(if shard < 8 { 3 } else { 5 })).collect();
        let counts = |me| {
            let Decision { release, take } = view(me, &[3, 5, 9], &holders).decide();
            (release.len(), take.len())
        };
        assert_eq!([3, 5, 9].map(counts), [(2, 0), (3, 0), (0, 0)]);
        assert_eq!(view(4, &[3, 5, 9], &holders).decide(), Decision::default());
        assert_eq!(
            view(3, &[3, 5, 9], &holders).held().collect::<Vec<_>>(),
            (0..8).map(|shard| (shard, 0)).collect::<Vec<_>>()
        );
        // Nobody but one who is there has what another had who is gone.
        assert_eq!(view(5, &[5], &holders).decide().take.len(), 8);
    }
}
