//! What several gateways take on this machine, with everything beside each other: `cargo xtask bench cluster`.

use std::{
    collections::BTreeMap,
    fs,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use rustix::process::Signal;
use smart_city_engine::store::DeviceRecord;
use smart_city_frame::Epoch;

use crate::{
    city,
    crowd::{Crowd, Load},
    process::{PATIENCE, cpu_time, memory, seconds_of, wait_for},
    servers::{NAMES, Servers},
};

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Amounts {
    /// For each load, in seconds.
    pub seconds: u64,
    /// Devices that send.
    pub senders: u32,
    /// Devices that are known.
    pub known: u32,
}

const SHARDS: u16 = 16;
const LEASE_SECONDS: u64 = 10;

/// Before anything is counted.
const WARM_UP: Duration = Duration::from_secs(3);

/// Takes of each measurement that is different each time.
const TIMES: usize = 5;

/// Measures all of it.
///
/// # Errors
/// If something does not start, or does not go on.
pub fn run(amounts: Amounts) -> Result<()> {
    println!("{} devices send; leases of {LEASE_SECONDS} s, {SHARDS} shards\n", amounts.senders);
    rates(1, None, amounts)?;
    for gateways in 1..=3 {
        rates(gateways, Some(SHARDS), amounts)?;
    }
    moves(amounts)?;
    // The first is what a gateway takes by itself.
    [1000, amounts.known].into_iter().try_for_each(known)
}

/// A city whose devices are all served.
fn city(
    gateways: usize,
    shards: Option<u16>,
    devices: u32,
    every: Option<Duration>,
) -> Result<(Servers, Crowd)> {
    let mut servers = Servers::start(gateways, devices, shards, LEASE_SECONDS)?;
    for gateway in 0..gateways {
        servers.start_gateway(gateway)?;
    }
    let port = servers.mosquitto.port;
    let crowd = Crowd::start(Load { port, devices, shards, every, epoch: Epoch(1) })?;
    if shards.is_some() {
        servers.wait_until_shared()?;
    }
    crowd.ledger().watch();
    wait_for("receipts", PATIENCE, || Ok(crowd.ledger().back(servers.shards)))?;
    Ok((servers, crowd))
}

/// Frames a second, and what they take, as fast as it goes and at half of that.
fn rates(gateways: usize, shards: Option<u16>, amounts: Amounts) -> Result<()> {
    let kind = if shards.is_some() { "of a cluster" } else { "alone, with a file" };
    let full =
        rate(&format!("{gateways} gateways {kind}, as fast as it goes"), gateways, shards, None, amounts)?;
    let every = Duration::from_secs_f64(2.0 * f64::from(amounts.senders) / full);
    rate(&format!("{gateways} gateways {kind}, half of that"), gateways, shards, Some(every), amounts)?;
    Ok(())
}

/// What was at one time.
struct Moment {
    time: Instant,
    receipts: u64,
    /// Of each kind of process.
    cpu: BTreeMap<String, Duration>,
    /// Commits, bytes of WAL, and bytes of tables.
    database: Option<[i64; 3]>,
}

fn moment(servers: &Servers, crowd: &Crowd) -> Result<Moment> {
    let own = std::process::id();
    let mut cpu = BTreeMap::from([("devices and users".to_owned(), cpu_time(&[own]))]);
    cpu.insert("Mosquitto".to_owned(), cpu_time(&[servers.mosquitto.process.id()]));
    for gateway in servers.gateways.iter().flatten() {
        cpu.insert(format!("gateway {}", gateway.name), cpu_time(&[gateway.process.id()]));
    }
    let mut database = None;
    if let Ok(processes) = servers.database_processes() {
        cpu.insert("PostgreSQL".to_owned(), cpu_time(&processes));
        let sizes = "select coalesce(sum(pg_total_relation_size(relid)), 0)::bigint from pg_stat_user_tables";
        database = Some([
            servers.number("select coalesce(sum(generation), 0)::bigint from gateways")?,
            servers.number("select pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint")?,
            servers.number(sizes)?,
        ]);
    }
    Ok(Moment { time: Instant::now(), receipts: crowd.ledger().receipts(), cpu, database })
}

/// Prints and returns how many frames a second had receipts.
fn rate(
    name: &str,
    gateways: usize,
    shards: Option<u16>,
    every: Option<Duration>,
    amounts: Amounts,
) -> Result<f64> {
    let (servers, mut crowd) = city(gateways, shards, amounts.senders, every)?;
    sleep(WARM_UP);
    let before = moment(&servers, &crowd)?;
    crowd.ledger().delays();
    sleep(Duration::from_secs(amounts.seconds));
    let after = moment(&servers, &crowd)?;
    let mut delays = crowd.ledger().delays();
    crowd.check()?;
    let seconds = (after.time - before.time).as_secs_f64();
    let frames = (after.receipts - before.receipts) as f64;
    let [half, most] = [50, 99].map(|hundredths| 1e3 * seconds_of(&mut delays, hundredths));
    println!(
        "{name}: {:.0} frames/s; half have their receipts within {half:.1} ms, 99 of 100 within {most:.1} ms",
        frames / seconds
    );
    let mut total = Duration::ZERO;
    for (process, time) in &after.cpu {
        let time = time.saturating_sub(before.cpu.get(process).copied().unwrap_or_default());
        total += time;
        println!("  {:6.0} us of a processor for each frame: {process}", time.as_secs_f64() / frames * 1e6);
    }
    println!("  {:6.2} processors were busy with all of it", total.as_secs_f64() / seconds);
    if let Some(([commits, wal, tables], [commits_before, wal_before, tables_before])) =
        after.database.zip(before.database)
    {
        let commits = (commits - commits_before) as f64;
        let for_each = |bytes: i64| bytes as f64 / frames;
        println!("  {:.0} commits/s, {:.1} frames in each", commits / seconds, frames / commits);
        println!(
            "  {:.0} bytes of WAL, and {:.0} of tables, for each reading",
            for_each(wal - wal_before),
            for_each(tables - tables_before)
        );
    }
    Ok(frames / seconds)
}

/// How long nobody hears a device when its shard goes to another gateway.
fn moves(amounts: Amounts) -> Result<()> {
    let every = Some(Duration::from_millis(500));
    let (mut servers, mut crowd) = city(3, Some(SHARDS), amounts.senders, every)?;
    let mut handovers = Vec::new();
    let mut takeovers = Vec::new();
    for time in 0..TIMES {
        let gateway = time % servers.gateways.len();
        for (is_killed, times) in [(false, &mut handovers), (true, &mut takeovers)] {
            let of_it = servers
                .holders()?
                .into_iter()
                .filter(|(_, holder)| holder.name.as_deref() == Some(NAMES[gateway]));
            let moved: Vec<u16> = of_it.map(|(shard, _)| shard).collect();
            crowd.ledger().watch();
            if is_killed {
                servers.gateways[gateway] = None;
            } else {
                stop(&mut servers, gateway)?;
            }
            servers.wait_until_served()?;
            wait_for("receipts", PATIENCE, || Ok(crowd.ledger().back(servers.shards)))?;
            let silences = crowd.ledger().silences();
            times.extend(moved.iter().filter_map(|shard| silences.get(shard)));
            servers.start_gateway(gateway)?;
            servers.wait_until_shared()?;
        }
    }
    crowd.check()?;
    println!("\nThe longest time without a receipt, of each shard that went to another gateway:");
    for (what, times) in [("after SIGTERM", &mut handovers), ("after kill -9", &mut takeovers)] {
        let [median, most, longest] = [50, 90, 100].map(|hundredths| seconds_of(times, hundredths));
        println!(
            "  {what}: median {median:.2} s, 90 of 100 within {most:.2} s, longest {longest:.2} s, of {}",
            times.len()
        );
    }
    Ok(())
}

/// A city with many devices, all of which were heard once.
fn known(devices: u32) -> Result<()> {
    println!(
        "\n{devices} devices that are known. Mosquitto does not have their accounts: it would take too long to make them."
    );
    let begun = Instant::now();
    let mut servers = Servers::start(2, devices, Some(SHARDS), LEASE_SECONDS)?;
    let size = |name: &str| fs::metadata(servers.dir(0).join(name)).map(|file| file.len() as f64 / 1e6);
    let (config, secrets) = (size("city.toml")?, size("secrets.toml")?);
    println!(
        "  city.toml has {config:.1} MB, secrets.toml {secrets:.1} MB; written in {:.1} s",
        seconds(begun)
    );
    let begun = Instant::now();
    servers.launch(0)?;
    serves(&servers)?;
    println!("  a gateway with an empty database has all {SHARDS} shards after {:.1} s", seconds(begun));
    print_memory(&mut servers, 0)?;
    servers.gateways[0] = None;
    let begun = Instant::now();
    fill(&servers, devices)?;
    println!("  the tables are filled in {:.1} s", seconds(begun));
    let begun = Instant::now();
    servers.launch(0)?;
    serves(&servers)?;
    println!("  a gateway with a full one has them after {:.1} s", seconds(begun));
    print_memory(&mut servers, 0)?;
    let begun = Instant::now();
    servers.launch(1)?;
    let half = wait_for("half of the shards", 20 * PATIENCE, || {
        let holders = servers.holders()?;
        let has = holders.values().filter(|holder| holder.name.as_deref() == Some(NAMES[1])).count();
        servers.ended()?.first().map_or(Ok(()), |(_, how)| bail!("a gateway has ended: {how}"))?;
        Ok((has == usize::from(SHARDS) / 2).then_some(()))
    });
    half?;
    serves(&servers)?;
    println!("  a second gateway is started, and has half of them after {:.1} s", seconds(begun));
    print_memory(&mut servers, 0)?;
    print_memory(&mut servers, 1)?;
    let sizes = "select relname::text, pg_total_relation_size(relid) from pg_stat_user_tables order by 2 desc limit 3";
    for row in servers.query(sizes)? {
        println!(
            "  table {} with its indexes: {:.1} MB",
            row.get::<_, &str>(0),
            row.get::<_, i64>(1) as f64 / 1e6
        );
    }
    Ok(())
}

/// Waits until all shards are served, however many devices there are.
fn serves(servers: &Servers) -> Result<()> {
    wait_for("all shards", 20 * PATIENCE, || Ok((servers.served() == usize::from(SHARDS)).then_some(())))
}

fn seconds(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64()
}

fn stop(servers: &mut Servers, gateway: usize) -> Result<()> {
    let process = &mut servers.gateway(gateway)?.process;
    process.signal(Signal::TERM)?;
    process.wait()?;
    servers.gateways[gateway] = None;
    Ok(())
}

fn print_memory(servers: &mut Servers, gateway: usize) -> Result<()> {
    let process = servers.gateway(gateway)?.process.id();
    let [now, most] = ["VmRSS", "VmHWM"].map(|which| memory(process, which));
    let (now, most) = (now? as f64 / 1e3, most? as f64 / 1e3);
    println!("  memory of gateway {}: {now:.0} MB, at most {most:.0} MB", NAMES[gateway]);
    Ok(())
}

/// The database has all devices, as after the first frame of each.
fn fill(servers: &Servers, devices: u32) -> Result<()> {
    const AT_ONCE: u32 = 10_000;
    let record = serde_json::to_string(&DeviceRecord::default())?;
    let sql = [
        "insert into epochs (device, key, shard, epoch) select *, 1 from unnest($1::bytea[], $2::bytea[], $3::int2[])",
        "insert into devices (device, shard, record) select device, shard, $2::text::jsonb from unnest($1::bytea[], $3::int2[]) as new (device, shard)",
    ];
    for first in (0..devices).step_by(AT_ONCE as usize) {
        let numbers = first..devices.min(first + AT_ONCE);
        let ids: Vec<_> = numbers.clone().map(city::device).collect();
        let keys: Vec<Vec<u8>> =
            numbers.map(|number| city::root(number).fingerprint(city::device(number)).to_vec()).collect();
        let shards: Vec<i16> = ids.iter().map(|id| id.shard(SHARDS).cast_signed()).collect();
        let ids: Vec<&[u8]> = ids.iter().map(|id| &id.0[..]).collect();
        servers.in_database(async |client| {
            client.execute(sql[0], &[&ids, &keys, &shards]).await?;
            client.execute(sql[1], &[&ids, &record, &shards]).await?;
            Ok(())
        })?;
    }
    Ok(())
}
