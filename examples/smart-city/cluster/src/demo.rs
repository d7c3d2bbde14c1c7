//! A city with several gateways, for trying: what has which devices, and what happens when a gateway is killed.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    thread::sleep,
    time::{Duration, Instant},
};

use crate::{
    city::OPERATOR_TOKEN,
    crowd::{Crowd, Load},
    process::is_interrupted,
    servers::{NAMES, Servers},
};
use anyhow::{Context as _, Result, bail, ensure};
use smart_city_frame::Epoch;

const DEVICES: u32 = 120;
const SHARDS: u16 = 16;
const LEASE_SECONDS: u64 = 5;

/// Between two readings of a device.
const EVERY: Duration = Duration::from_secs(2);

/// After this time a gateway that has ended is started again.
const AWAY: Duration = Duration::from_secs(15);

/// How often it is looked at what has changed.
const LOOK: Duration = Duration::from_millis(250);

/// Goes on until Ctrl-C, or for so long.
///
/// # Errors
/// If something does not start, or the devices of a gateway that has ended are not heard again.
pub fn run(gateways: usize, time: Option<Duration>) -> Result<()> {
    ensure!((1..=NAMES.len()).contains(&gateways), "there can be 1 to {} gateways", NAMES.len());
    println!("Starting PostgreSQL, Mosquitto, {gateways} gateways and {DEVICES} simulated devices.");
    let mut servers = Servers::start(gateways, DEVICES, Some(SHARDS), LEASE_SECONDS)?;
    for gateway in 0..gateways {
        servers.start_gateway(gateway)?;
    }
    let crowd = Crowd::start(Load {
        port: servers.mosquitto.port,
        devices: DEVICES,
        shards: Some(SHARDS),
        every: Some(EVERY),
        epoch: Epoch(1),
    })?;
    let started = Instant::now();
    let mut city = City {
        servers,
        crowd,
        is_explained: false,
        shown: String::new(),
        outage: None,
        away: BTreeMap::new(),
    };
    while !is_interrupted() && time.is_none_or(|time| started.elapsed() < time) {
        city.look()?;
        sleep(LOOK);
    }
    println!("Stopping all of it.");
    Ok(())
}

fn explain(servers: &Servers) -> Result<()> {
    println!("\nThe pages, on which you log in with the token {OPERATOR_TOKEN}:");
    for gateway in servers.gateways.iter().flatten() {
        println!("  gateway {}: http://{}/ (process {})", gateway.name, gateway.http, gateway.process.id());
    }
    let last = servers.gateways.iter().flatten().next_back().context("there is no gateway")?;
    let (name, process) = (last.name, last.process.id());
    println!("\nKill one, in another terminal:\n  kill -9 {process}");
    println!(
        "Then nobody hears the devices of gateway {name} until its lease of {LEASE_SECONDS} seconds is over. The other gateways take its shards, and \n\
         ask these devices for new epochs. The devices send again what has no receipt. It is said here when all are heard.\n\
         After {} seconds the gateway is started again, and gets a part of the shards. `kill {process}` in its place ends it in an\n\
         orderly way: it hands its shards over at once.\n\
         Stop all of it with Ctrl-C.\n",
        AWAY.as_secs()
    );
    Ok(())
}

struct City {
    servers: Servers,
    crowd: Crowd,
    /// When all shards are served for the first time, it is said what can be tried.
    is_explained: bool,
    /// Who had which shards when that was said.
    shown: String,
    /// Since when devices of a gateway that has ended may not be heard.
    outage: Option<Instant>,
    /// Since when gateways are away.
    away: BTreeMap<usize, Instant>,
}

impl City {
    /// Says what has changed since the last time.
    fn look(&mut self) -> Result<()> {
        self.crowd.check()?;
        if !self.is_explained {
            self.is_explained = self.servers.served() == usize::from(SHARDS);
            return if self.is_explained { explain(&self.servers) } else { Ok(()) };
        }
        let shares = self.shares()?;
        if shares != self.shown {
            println!("shards: {shares}");
            self.shown = shares;
        }
        for (gateway, how) in self.servers.ended()? {
            println!("gateway {} has ended: {how}", NAMES[gateway]);
            self.crowd.ledger().watch();
            let now = Instant::now();
            self.outage.get_or_insert(now);
            self.away.insert(gateway, now);
        }
        if let Some(since) = self.outage
            && let Some(back) = self.crowd.ledger().back(SHARDS)
        {
            println!(
                "all devices are heard again, {:.1} seconds later",
                back.saturating_duration_since(since).as_secs_f64()
            );
            self.outage = None;
        }
        if let Some(fault) = self.crowd.ledger().faults().first() {
            bail!("not as it must be: {fault}");
        }
        let later: Vec<usize> = self
            .away
            .iter()
            .filter(|(_, since)| since.elapsed() > AWAY)
            .map(|(gateway, _)| *gateway)
            .collect();
        for gateway in later {
            self.away.remove(&gateway);
            self.servers.start_gateway(gateway)?;
            let process = self.servers.gateway(gateway)?.process.id();
            println!("gateway {} is started again (process {process})", NAMES[gateway]);
        }
        Ok(())
    }

    /// Who has which shards, in one line.
    fn shares(&self) -> Result<String> {
        let mut shares: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (shard, holder) in self.servers.holders()? {
            shares
                .entry(holder.name.unwrap_or_else(|| "nobody".to_owned()))
                .or_default()
                .push(shard.to_string());
        }
        let mut line = String::new();
        for (name, shards) in shares {
            write!(line, "{}{name} has {}", if line.is_empty() { "" } else { "; " }, shards.join(" "))?;
        }
        Ok(line)
    }
}
