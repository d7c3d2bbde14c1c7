//! Who has which shard.
//!
//! A gateway [joins](Member::join), says again and again that it is there ([`renew`](Member::renew)), and each time it sees how things are
//! and [decides](View::decide) for itself what it gives up and what it takes, until all have a fair share. Times are of the database's clock
//! alone. Who has not said that it is there for too long has no shards any more; should it wake up, what it writes has an old term.
//!
//! Rows with terms, and not the database's advisory locks: those end with a connection, which says nothing of what is still on its way, and
//! they have no number by which a write that comes too late is known.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use anyhow::{Error, Result, bail, ensure};
use smart_city_frame::DeviceId;
use tokio::{join, time::timeout};
use tokio_postgres::{Client, Row, types::Type};

use crate::{
    Database, Fenced, Parameter,
    store::{array, execute, rows},
};

/// How long a member that has ended is kept in the list.
const KEPT: &str = "interval '1 day'";

/// What a member says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Where other gateways send their operators for its devices.
    pub url: String,
    /// The hash of the configuration that it has and would apply. Not empty.
    pub configuration: String,
    /// Whether it can serve devices. Who cannot gets no shards as long as somebody can.
    pub is_ready: bool,
}

/// A member that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its number. No other process has it.
    pub member: i64,
    /// The gateway's name.
    pub name: String,
    /// What it said last.
    pub offer: Offer,
}

/// The configuration that is in force: the last one that all members who were there offered at a time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Configuration {
    /// Rises by one each time. 0 before there was any.
    pub version: i64,
    /// As [`Offer::configuration`]; empty before there was any.
    pub hash: String,
}

/// What a member sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The member.
    pub me: i64,
    /// All that are there, by rising numbers.
    pub members: Vec<Peer>,
    /// All shards, by rising numbers; none before a gateway's store was made.
    pub leases: Vec<Lease>,
    /// Which configuration is in force.
    pub configuration: Configuration,
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
    /// gives any up, and no more than that. Who is not ready has no share, unless nobody is ready.
    ///
    /// Who offers another configuration than the one in force keeps what it has, as long as it is ready, and takes nothing; the others share what
    /// is left.
    #[must_use]
    pub fn decide(&self) -> Decision {
        let agrees = |peer: &&Peer| peer.offer.configuration == self.configuration.hash;
        let members = |peers: &[&Peer]| peers.iter().map(|peer| peer.member).collect::<Vec<_>>();
        let agreed: Vec<&Peer> = self.members.iter().filter(agrees).collect();
        let ready: Vec<&Peer> = agreed.iter().filter(|peer| peer.offer.is_ready).copied().collect();
        let some_are_ready = !ready.is_empty();
        let (agreed, ready) = (members(&agreed), members(if some_are_ready { &ready } else { &agreed }));
        let held_by = |holder| self.leases.iter().filter(move |lease| lease.holder == holder).copied();
        if !agreed.contains(&self.me) {
            let is_unready = |peer: &Peer| peer.member == self.me && !peer.offer.is_ready;
            let gives_up = some_are_ready && self.members.iter().any(is_unready);
            let release = held_by(Some(self.me)).filter(|_| gives_up).collect();
            return Decision { release, take: Vec::new() };
        }
        let is_shared = |lease: &&Lease| lease.holder.is_none_or(|holder| agreed.contains(&holder));
        let (shards, members) = (self.leases.iter().filter(is_shared).count(), ready.len());
        let share = ready
            .binary_search(&self.me)
            .map_or(0, |rank| shards / members + usize::from(rank < shards % members));
        let has = held_by(Some(self.me)).count();
        Decision {
            release: held_by(Some(self.me)).skip(share).collect(),
            take: held_by(None).take(share.saturating_sub(has)).collect(),
        }
    }

    /// The shards that the member has, with their terms: those too of which it was not told when it took them.
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
    connection: Connection,
    name: String,
    member: i64,
    /// How long it counts as there after it has said so.
    time: Duration,
    /// The version that what it offers may replace, although it has not had it.
    replaces: Option<i64>,
}

/// Made when it is needed, and anew when it has ended.
#[derive(Debug)]
struct Connection {
    database: Database,
    client: Option<Arc<Client>>,
}

impl Member {
    /// Joins as the gateway with this name. A process of before with the same name does not count any more, and its shards are free. What
    /// it offers can come into force by it alone if no configuration is in force yet, or in place of the version that it `replaces`; else it
    /// has to have what is in force first.
    ///
    /// # Errors
    /// If the database does not take it.
    pub async fn join(
        database: Database,
        name: &str,
        time: Duration,
        offer: &Offer,
        replaces: Option<i64>,
    ) -> Result<Self> {
        let mut connection = Connection { database, client: None };
        let sql = format!(
            "with gone as (delete from members where name <> $1 and until < clock_timestamp() - {KEPT})
             insert into members (name, until, url, configuration, ready, agreed)
             values ($1, clock_timestamp() + make_interval(secs => $2), $3, $4, $5, false)
             on conflict (name) do update set member = default, until = excluded.until, url = excluded.url,
             configuration = excluded.configuration, ready = excluded.ready, agreed = excluded.agreed
             returning member"
        );
        let joined = connection.run(|client| async move {
            Database::migrate(&client).await?;
            let parameters: [Parameter<'_>; 5] = [
                (&name, Type::TEXT),
                (&time.as_secs_f64(), Type::FLOAT8),
                (&offer.url, Type::TEXT),
                (&offer.configuration, Type::TEXT),
                (&offer.is_ready, Type::BOOL),
            ];
            Ok(client.query_typed_one(&sql, &parameters).await?.get(0))
        });
        let member = joined.await?;
        Ok(Self { connection, name: name.to_owned(), member, time, replaces })
    }

    /// The same member over another connection: so that nothing which takes long keeps it from saying that it is there.
    #[must_use]
    pub fn beside(&self) -> Self {
        let connection = Connection { database: self.connection.database.clone(), client: None };
        let Self { name, member, time, replaces, .. } = self;
        Self { connection, name: name.clone(), member: *member, time: *time, replaces: *replaces }
    }

    /// Says that it is there and what it offers, and sees how things are. If all who are there offer the same, it is in force from now on:
    /// but one that has not had what is in force since it joined changes nothing, so that old files do not come back by being first, unless it
    /// replaces that very version. It does so once: the next version is another one.
    ///
    /// # Errors
    /// [`Fenced::Member`] if another process has joined under the name; or if its time was over, and another configuration than the one it
    /// offers is in force: what it has was applied before. Or if the database does not answer: then it may be tried again.
    pub async fn renew(&mut self, offer: &Offer) -> Result<View> {
        let Self { connection, name, member, time, replaces } = self;
        let work = connection.run(|client| async move {
            // In one statement, so that whoever is stopped in the middle of it holds nobody up.
            let renew = "
                with me as (
                    update members set until = clock_timestamp() + make_interval(secs => $2), url = $3, configuration = $4,
                        ready = $5, agreed = agreed or (select hash in ($4, members.configuration) from configuration)
                    where member = $1 and (until > clock_timestamp() or $4 = (select hash from configuration))
                    returning agreed
                ), changed as (
                    update configuration set version = version + 1, hash = $4 from me
                    where hash <> $4 and (me.agreed or version in (0, $6)) and not exists (
                        select from members other
                        where other.member <> $1 and other.until > clock_timestamp() and other.configuration <> $4
                    )
                )
                select from me";
            let seconds = time.as_secs_f64();
            let (renewed, configuration, members, leases) = join!(
                biased;
                rows(&client, renew, [
                    (member, Type::INT8),
                    (&seconds, Type::FLOAT8),
                    (&offer.url, Type::TEXT),
                    (&offer.configuration, Type::TEXT),
                    (&offer.is_ready, Type::BOOL),
                    (replaces, Type::INT8),
                ]),
                client.query_typed_one("select version, hash from configuration", &[]),
                rows(&client,
                    "select member, name, url, configuration, ready from members where until > clock_timestamp() order by member",
                    []
                ),
                rows(&client,
                    "select l.shard, l.term, m.member from leases l
                     left join members m on m.member = l.member and m.until > clock_timestamp() order by l.shard",
                    []
                ),
            );
            if renewed?.is_empty() {
                bail!(Fenced::Member(name.clone()));
            }
            let configuration = configuration?;
            let peer = |row: &Row| {
                let offer = Offer { url: row.get(2), configuration: row.get(3), is_ready: row.get(4) };
                Peer { member: row.get(0), name: row.get(1), offer }
            };
            let lease = |row: &Row| {
                let shard = u16::try_from(row.get::<_, i16>(0))?;
                Ok(Lease { shard, term: row.get(1), holder: row.get(2) })
            };
            Ok(View {
                me: *member,
                members: members?.iter().map(peer).collect(),
                leases: leases?.iter().map(lease).collect::<Result<_>>()?,
                configuration: Configuration { version: configuration.get(0), hash: configuration.get(1) },
            })
        });
        work.await
    }

    /// Takes a shard that nobody has, as it was seen, and returns the new term, which is one more; none if somebody else was faster, if this
    /// member's time is over, or if it offers another configuration than the one in force. It may be called again when it has failed.
    /// What was being written to the shard meanwhile is written or refused when this returns.
    ///
    /// # Errors
    /// If the database does not answer. It may have been taken all the same, as the next view shows.
    pub async fn take(&mut self, seen: Lease) -> Result<Option<i64>> {
        let member = self.member;
        let work = self.connection.run(|client| async move {
            let sql = "
                with taken as (
                    update leases l set term = term + 1, member = $1 where shard = $2 and term = $3
                    and not exists (select from members m where m.member = l.member and m.until > clock_timestamp())
                    and exists (
                        select from members m join configuration c on c.hash = m.configuration
                        where m.member = $1 and m.until > clock_timestamp()
                    )
                    returning term
                )
                select term from taken
                union all select term from leases where shard = $2 and term = $3 + 1 and member = $1";
            let shard = i16::try_from(seen.shard)?;
            let parameters: [Parameter<'_>; 3] =
                [(&member, Type::INT8), (&shard, Type::INT2), (&seen.term, Type::INT8)];
            Ok(rows(&client, sql, parameters).await?.first().map(|row| row.get(0)))
        });
        work.await
    }

    /// Gives up a shard, for others to take. Its term ends with that: nothing more may be on its way to be written, it would be refused.
    /// It may be called again when it has failed.
    ///
    /// # Errors
    /// If this member does not have it under this term, or the database does not answer.
    pub async fn release(&mut self, lease: Lease) -> Result<()> {
        let member = self.member;
        let work = self.connection.run(|client| async move {
            let sql = "
                update leases set member = null, term = $3 + 1
                where shard = $2 and ((member = $1 and term = $3) or (member is null and term = $3 + 1))";
            let shard = i16::try_from(lease.shard)?;
            let parameters: [Parameter<'_>; 3] =
                [(&member, Type::INT8), (&shard, Type::INT2), (&lease.term, Type::INT8)];
            let released = execute(&client, sql, parameters).await?;
            ensure!(released == 1, "shard {} is another gateway's", lease.shard);
            Ok(())
        });
        work.await
    }

    /// All devices of the city that are isolated, whoever has them.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn isolated(&mut self) -> Result<BTreeSet<DeviceId>> {
        let work = self.connection.run(|client| async move {
            let devices = rows(&client, "select device from devices where isolated", []).await?;
            devices.iter().map(|row| Ok(DeviceId(array(row.get(0))?))).collect()
        });
        work.await
    }

    /// Leaves, with nothing more to write: others may take its shards at once.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn leave(mut self) -> Result<()> {
        let member = self.member;
        let work = self.connection.run(|client| async move {
            execute(&client, "delete from members where member = $1", [(&member, Type::INT8)]).await?;
            Ok(())
        });
        work.await
    }
}

impl Connection {
    /// Does `work` within the time of one try.
    async fn run<T, F: Future<Output = Result<T>>>(
        &mut self,
        work: impl FnOnce(Arc<Client>) -> F,
    ) -> Result<T> {
        let Self { database, client } = self;
        // When it fails the connection ends, and what was begun with it.
        let connected = client.take().filter(|client| !client.is_closed());
        let work = async {
            let connected = match connected {
                Some(connected) => connected,
                None => Arc::new(database.connect().await?),
            };
            let done = work(Arc::clone(&connected)).await?;
            Ok::<_, Error>((connected, done))
        };
        let (connected, done) = timeout(database.limits.attempt, work).await??;
        *client = Some(connected);
        Ok(done)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// How a member is there.
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Kind {
        Ready,
        Disagrees,
        /// It offers what is in force, and is not ready.
        Unready,
    }

    use Kind::{Disagrees, Ready, Unready};

    fn view(me: i64, members: &[(i64, Kind)], holders: &[Option<i64>]) -> View {
        let peer = |(member, kind): &(i64, Kind)| {
            let configuration = if *kind == Disagrees { "b" } else { "a" }.to_owned();
            let offer = Offer { url: String::new(), configuration, is_ready: *kind != Unready };
            Peer { member: *member, name: String::new(), offer }
        };
        let leases = holders.iter().zip(0..);
        let leases = leases.map(|(holder, shard)| Lease { shard, term: 0, holder: there(members, *holder) });
        View {
            me,
            members: members.iter().map(peer).collect(),
            leases: leases.collect(),
            configuration: Configuration { version: 1, hash: "a".to_owned() },
        }
    }

    fn there(members: &[(i64, Kind)], holder: Option<i64>) -> Option<i64> {
        holder.filter(|holder| members.iter().any(|(member, _)| member == holder))
    }

    /// The longest way from a state to one in which nobody does anything: from each there is one, whoever acts next and however little of
    /// its decision it carries out.
    fn longest(
        members: &[(i64, Kind)],
        holders: &[Option<i64>],
        known: &mut BTreeMap<Vec<Option<i64>>, Option<usize>>,
    ) -> usize {
        if let Some(length) = known.get(holders) {
            return length.expect("it goes round in a circle");
        }
        known.insert(holders.to_vec(), None);
        let mut length = 0;
        let some_are_ready = members.iter().any(|(_, kind)| *kind == Ready);
        for (me, kind) in members {
            let Decision { release, take } = view(*me, members, holders).decide();
            assert!(release.is_empty() || take.is_empty() && *kind != Disagrees);
            assert!(take.is_empty() || *kind == Ready || *kind == Unready && !some_are_ready);
            let (holder, changed) = if take.is_empty() { (None, release) } else { (Some(*me), take) };
            for lease in changed {
                let mut next = holders.to_vec();
                let before = std::mem::replace(&mut next[usize::from(lease.shard)], holder);
                // A shard goes from its holder to nobody, and from nobody who is there to another.
                assert_eq!(there(members, before), if holder.is_none() { Some(*me) } else { None });
                length = length.max(1 + longest(members, &next, known));
            }
        }
        let who = if some_are_ready { Ready } else { Unready };
        let counts = members
            .iter()
            .filter(|(_, kind)| *kind == who)
            .map(|(me, _)| holders.iter().filter(|holder| **holder == Some(*me)).count());
        if let (0, Some((least, most))) = (length, counts.clone().min().zip(counts.max())) {
            assert!(
                holders.iter().all(|holder| there(members, *holder).is_some()),
                "nobody has one: {holders:?}"
            );
            assert!(most - least <= 1, "{members:?} {holders:?}");
            let is_unready = |holder| some_are_ready && members.contains(&(holder, Unready));
            assert!(!holders.iter().flatten().any(|holder| is_unready(*holder)), "{members:?} {holders:?}");
        }
        known.insert(holders.to_vec(), Some(length));
        length
    }

    /// All ways in which up to six shards can be held by up to four members, of which some are there; or up to five shards, if not all who
    /// are there offer what is in force, and four, if not all are ready; and all orders in which those act.
    #[test]
    fn every_way_leads_to_fair_shares() {
        let mut states = 0;
        for kinds in 1..4usize.pow(4) {
            let kind = |member| {
                let kind = kinds / 4usize.pow(u32::try_from(member).unwrap()) % 4;
                Some((member, *[Ready, Disagrees, Unready].get(kind.checked_sub(1)?)?))
            };
            let members: Vec<(i64, Kind)> = (0..4).filter_map(kind).collect();
            let are = |kind| members.iter().any(|(_, found)| *found == kind);
            let most = if are(Unready) {
                4
            } else if are(Disagrees) {
                5
            } else {
                6u32
            };
            for shards in 1..=most {
                let mut known = BTreeMap::new();
                for state in 0..5usize.pow(shards) {
                    let holder = |shard| i64::try_from(state / 5usize.pow(shard) % 5).unwrap();
                    let holders: Vec<_> =
                        (0..shards).map(|shard| Some(holder(shard)).filter(|member| *member < 4)).collect();
                    let releases =
                        members.iter().map(|(me, _)| view(*me, &members, &holders).decide().release.len());
                    let free = holders.iter().filter(|holder| there(&members, **holder).is_none()).count();
                    // No shard moves that need not; and none if there is nobody to take it.
                    let expected =
                        if are(Ready) || are(Unready) { 2 * releases.sum::<usize>() + free } else { 0 };
                    assert_eq!(longest(&members, &holders, &mut known), expected, "{members:?} {holders:?}");
                    states += 1;
                }
            }
        }
        assert_eq!(states, 255 * (5 + 25 + 125 + 625) + 80 * 3125 + 15 * 15_625);
    }

    #[test]
    fn who_disagrees_and_is_not_ready_gives_up_what_others_can_serve() {
        let releases = |is_ready, other| {
            let mut view = view(1, &[(1, Disagrees), (2, other)], &[Some(1), Some(1), Some(2)]);
            view.members[0].offer.is_ready = is_ready;
            let Decision { release, take } = view.decide();
            assert!(take.is_empty());
            release.len()
        };
        assert_eq!([releases(true, Ready), releases(false, Unready), releases(false, Ready)], [0, 0, 2]);
    }

    #[test]
    fn who_comes_takes_from_those_who_have_more_and_who_is_gone_does_nothing() {
        let holders: Vec<_> = (0..16).map(|shard| Some(if shard < 8 { 3 } else { 5 })).collect();
        let all = [(3, Ready), (5, Ready), (9, Ready)];
        let counts = |me| {
            let Decision { release, take } = view(me, &all, &holders).decide();
            (release.len(), take.len())
        };
        assert_eq!([3, 5, 9].map(counts), [(2, 0), (3, 0), (0, 0)]);
        assert_eq!(view(4, &all, &holders).decide(), Decision::default());
        assert_eq!(
            view(3, &all, &holders).held().collect::<Vec<_>>(),
            (0..8).map(|shard| (shard, 0)).collect::<Vec<_>>()
        );
        // Nobody but one who is there has what another had who is gone.
        assert_eq!(view(5, &[(5, Ready)], &holders).decide().take.len(), 8);
    }
}
