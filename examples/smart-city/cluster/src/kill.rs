//! Servers are killed, stopped and started at random points under load, and what comes of it is compared with what must come of it.

use std::{
    collections::BTreeMap,
    fmt,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::Signal;
use smart_city_devices::sensors::Random;
use smart_city_frame::Epoch;

use crate::{
    city,
    crowd::{Crowd, Load},
    ledger::{Counts, Fault, Ledger, Tables},
    process::{PATIENCE, seconds_of, wait_for},
    servers::{NAMES, Servers},
};

/// What is killed, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `kill -9` of a gateway, which is started again at once.
    GatewayKilled,
    /// `kill -9` of a gateway, which is started again when others have its devices.
    GatewayAway,
    /// A gateway is stopped for less than a lease.
    GatewayPaused,
    /// A gateway is stopped until others have its devices, and wakes then.
    GatewayWoken,
    /// SIGTERM to a gateway, which is started again when it has ended.
    GatewayEnded,
    /// `kill -9` of Mosquitto.
    BrokerKilled,
    /// Mosquitto is stopped for a short time.
    BrokerPaused,
    /// All of PostgreSQL ends as by a loss of power.
    DatabaseKilled,
    /// All of PostgreSQL is stopped for a short time.
    DatabasePaused,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::GatewayKilled,
        Self::GatewayAway,
        Self::GatewayPaused,
        Self::GatewayWoken,
        Self::GatewayEnded,
        Self::BrokerKilled,
        Self::BrokerPaused,
        Self::DatabaseKilled,
        Self::DatabasePaused,
    ];
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::GatewayKilled => "kill -9 of a gateway, started at once",
            Self::GatewayAway => "kill -9 of a gateway, started after a takeover",
            Self::GatewayPaused => "a gateway stopped for less than a lease",
            Self::GatewayWoken => "a gateway stopped for longer than a lease",
            Self::GatewayEnded => "SIGTERM to a gateway, until it has ended",
            Self::BrokerKilled => "kill -9 of Mosquitto",
            Self::BrokerPaused => "Mosquitto stopped for a short time",
            Self::DatabaseKilled => "PostgreSQL ended as by a loss of power",
            Self::DatabasePaused => "PostgreSQL stopped for a short time",
        })
    }
}

/// What is done.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How many faults.
    pub rounds: usize,
    /// The same seed makes the same faults in the same order; the points of time are of the machine.
    pub seed: u64,
    /// The kinds that come, in any order.
    pub kinds: Vec<Kind>,
    /// How many gateways.
    pub gateways: usize,
    /// How many devices.
    pub devices: u32,
    /// How many shards.
    pub shards: u16,
    /// How long a lease lasts, in seconds.
    pub lease_seconds: u64,
    /// What the database is told when it has its tables: something that must be found.
    pub sabotage: Option<&'static str>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            rounds: 1,
            seed: 1,
            kinds: Kind::ALL.to_vec(),
            gateways: 3,
            devices: 48,
            shards: 16,
            lease_seconds: 2,
            sabotage: None,
        }
    }
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Report {
    /// For each kind how long it took each time until every shard had a receipt of a reading that was made after the fault.
    pub back: BTreeMap<Kind, Vec<Duration>>,
    /// How much there was of everything.
    pub counts: Counts,
    /// In which rounds and why gateways have ended by themselves, and how often.
    pub ended: BTreeMap<String, usize>,
    /// Instructions that operators gave.
    pub instructions: usize,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Until every shard has a receipt of a reading made after the fault, in seconds:")?;
        writeln!(f, "{:48} {:>6} {:>8} {:>8} {:>8}", "", "rounds", "median", "90 %", "longest")?;
        for (kind, times) in &self.back {
            let mut times = times.clone();
            let [median, most, longest] = [50, 90, 100].map(|hundredths| seconds_of(&mut times, hundredths));
            writeln!(f, "{kind:48} {:>6} {median:>8.2} {most:>8.2} {longest:>8.2}", times.len())?;
        }
        let Counts { readings, frames, receipts, deliveries, down, again, lost_by_broker } = self.counts;
        writeln!(
            f,
            "{readings} readings in {frames} frames, {receipts} of them with a receipt; {again} readings are in the history more than once,"
        )?;
        writeln!(
            f,
            "each time by another frame. {deliveries} messages to users; {lost_by_broker} readings did not come to a user, because Mosquitto"
        )?;
        write!(
            f,
            "was killed with them. {down} different frames to devices, {} instructions among them.",
            self.instructions
        )?;
        for (reason, times) in &self.ended {
            write!(f, "\n{times} times a gateway ended by itself: {reason}")?;
        }
        Ok(())
    }
}

/// Does all of it. What comes of it is told on the way.
///
/// # Errors
/// If anything is not as it must be.
pub fn run(plan: &Plan) -> Result<Report> {
    let all = Kill::start(plan).and_then(|mut kill| {
        let done = kill.all(plan);
        // Why, if something is not as it must be and nobody knows.
        if done.is_err() && plan.sabotage.is_none() {
            kill.keep_files();
        }
        done?;
        Ok(kill.report)
    });
    all.with_context(|| format!("with the seed {}", plan.seed))
}

struct Kill {
    servers: Servers,
    crowd: Crowd,
    random: Random,
    lease: Duration,
    report: Report,
}

impl Kill {
    fn start(plan: &Plan) -> Result<Self> {
        let mut servers = Servers::start(plan.gateways, plan.devices, Some(plan.shards), plan.lease_seconds)?;
        for gateway in 0..plan.gateways {
            servers.start_gateway(gateway)?;
        }
        let crowd = Crowd::start(Load {
            port: servers.mosquitto.port,
            devices: plan.devices,
            shards: Some(plan.shards),
            every: Some(Duration::from_millis(200)),
            epoch: Epoch(1),
        })?;
        let lease = Duration::from_secs(plan.lease_seconds);
        Ok(Self { servers, crowd, random: Random::new(plan.seed), lease, report: Report::default() })
    }

    fn all(&mut self, plan: &Plan) -> Result<()> {
        if let Some(sql) = plan.sabotage {
            self.servers.in_database(async |client| Ok(client.batch_execute(sql).await?))?;
        }
        self.servers.wait_until_served()?;
        self.subscribed(0)?;
        let mut left = Vec::new();
        for round in 1..=plan.rounds {
            // Each kind comes once before one comes again.
            if left.is_empty() {
                left.clone_from(&plan.kinds);
            }
            let kind = left.swap_remove(self.place(left.len()));
            let took = self.round(kind).with_context(|| format!("round {round}: {kind}"))?;
            println!("{round:4}  {kind:48} {:6.2} s", took.as_secs_f64());
            self.report.back.entry(kind).or_default().push(took);
            // All that there is takes its time: sometimes.
            if round % 10 == 0 {
                self.compare().with_context(|| format!("after round {round}"))?;
            }
        }
        self.end()
    }

    /// One fault, until all is as before; how long it took until every shard was heard again.
    fn round(&mut self, kind: Kind) -> Result<Duration> {
        self.examine()?;
        sleep(Duration::from_secs_f64(self.random.unit()));
        let gateway = self.place(self.servers.gateways.len());
        if kind == Kind::BrokerKilled {
            // What is not delivered then is excused for ever.
            let now = Instant::now();
            self.delivered("deliveries", |ledger| ledger.is_delivered(now))?;
        }
        let began = Instant::now();
        self.inject(kind, gateway)?;
        let back = wait_for("a receipt in each shard", PATIENCE, || {
            self.start_ended(kind)?;
            let ledger = self.crowd.ledger();
            nothing(ledger.faults())?;
            Ok(ledger.back(self.servers.shards))
        })?;
        self.start_ended(kind)?;
        self.servers.wait_until_served()?;
        self.crowd.check()?;
        nothing(self.crowd.ledger().faults())?;
        Ok(back.saturating_duration_since(began))
    }

    /// Starts gateways again that have ended by themselves, as whoever watches over services does.
    fn start_ended(&mut self, kind: Kind) -> Result<()> {
        for (gateway, reason) in self.servers.ended()? {
            // A lease may be over before the database is there again.
            let expected = matches!(kind, Kind::DatabaseKilled | Kind::DatabasePaused);
            ensure!(expected, "gateway {} has ended by itself: {reason}", NAMES[gateway]);
            self.ended(kind, &reason);
            self.servers.start_gateway(gateway)?;
        }
        Ok(())
    }

    fn inject(&mut self, kind: Kind, gateway: usize) -> Result<()> {
        let Self { servers, crowd, .. } = self;
        match kind {
            Kind::GatewayKilled | Kind::GatewayAway => {
                servers.gateway(gateway)?.process.kill()?;
                crowd.ledger().watch();
                if kind == Kind::GatewayAway {
                    self.taken_over(gateway)?;
                }
                self.servers.start_gateway(gateway)
            }
            Kind::GatewayPaused => {
                let time = self.lease.mul_f64(0.5 * self.random.unit());
                let process = &self.servers.gateway(gateway)?.process;
                process.signal(Signal::STOP)?;
                self.crowd.ledger().watch();
                sleep(time);
                process.signal(Signal::CONT)
            }
            Kind::GatewayWoken => {
                // One that has just started may have no devices yet, and nobody would replace it.
                wait_for("a gateway with devices", PATIENCE, || {
                    let holders = servers.holders()?;
                    let has = holders.values().any(|holder| holder.name.as_deref() == Some(NAMES[gateway]));
                    Ok(has.then_some(()))
                })?;
                servers.gateway(gateway)?.process.signal(Signal::STOP)?;
                crowd.ledger().watch();
                self.taken_over(gateway)?;
                sleep(self.lease.mul_f64(self.random.unit()));
                self.wakes(gateway)
            }
            Kind::GatewayEnded => {
                let process = &mut servers.gateway(gateway)?.process;
                process.signal(Signal::TERM)?;
                let status = process.wait()?;
                crowd.ledger().watch();
                ensure!(status.success(), "SIGTERM: {status}: {}", servers.last_words(gateway));
                servers.start_gateway(gateway)
            }
            Kind::BrokerKilled => {
                let before = crowd.subscriptions();
                servers.mosquitto.process.kill()?;
                crowd.ledger().watch();
                sleep(Duration::from_secs_f64(self.random.unit()));
                servers.mosquitto.start_again()?;
                self.subscribed(before)?;
                self.crowd.ledger().broker_was_killed();
                Ok(())
            }
            Kind::BrokerPaused => {
                servers.mosquitto.process.signal(Signal::STOP)?;
                crowd.ledger().watch();
                sleep(Duration::from_secs_f64(self.random.unit()));
                servers.mosquitto.process.signal(Signal::CONT)
            }
            Kind::DatabaseKilled => {
                let pause = Duration::from_secs_f64(self.random.unit());
                crowd.ledger().watch();
                servers.crash_database(pause)
            }
            Kind::DatabasePaused => {
                servers.signal_to_database(Signal::STOP)?;
                crowd.ledger().watch();
                sleep(Duration::from_secs_f64(self.random.unit()));
                servers.signal_to_database(Signal::CONT)
            }
        }
    }

    /// Waits until others have all shards of a gateway that says nothing.
    fn taken_over(&self, gateway: usize) -> Result<()> {
        wait_for("a takeover", PATIENCE, || {
            let holders = self.servers.holders()?;
            let others = |holder: &Option<String>| holder.as_ref().is_some_and(|name| name != NAMES[gateway]);
            Ok(holders.values().all(|holder| others(&holder.name)).then_some(()))
        })
    }

    /// A gateway of which others have the devices wakes: it must write nothing, and end.
    fn wakes(&mut self, gateway: usize) -> Result<()> {
        let name = NAMES[gateway];
        let before = self.servers.commits(name)?;
        let process = &mut self.servers.gateway(gateway)?.process;
        process.signal(Signal::CONT)?;
        let status = process.wait().context("a gateway that others have replaced")?;
        ensure!(!status.success(), "a gateway that others have replaced ended with {status}");
        let after = self.servers.commits(name)?;
        ensure!(before == after, "gateway {name} was replaced, and has written: {before}, then {after}");
        let reason = self.servers.last_words(gateway);
        self.ended(Kind::GatewayWoken, &reason);
        self.servers.start_gateway(gateway)
    }

    /// An operator has the code of some device measured: an instruction among the frames.
    fn examine(&mut self) -> Result<()> {
        let number = self.below(self.crowd.devices());
        for gateway in self.servers.gateways.iter().flatten() {
            if gateway.examine(city::device(number))? {
                self.report.instructions += 1;
                break;
            }
        }
        Ok(())
    }

    /// Waits until all users have subscribed since there were so many subscriptions.
    fn subscribed(&self, before: usize) -> Result<()> {
        let all = before + city::USERS.len();
        wait_for("users", PATIENCE, || Ok((self.crowd.subscriptions() >= all).then_some(())))
    }

    fn ended(&mut self, kind: Kind, reason: &str) {
        *self.report.ended.entry(format!("{kind}: {reason}")).or_default() += 1;
    }

    /// All that was measured gets its receipt, and comes to all who may see it; then it is looked at everything.
    fn end(&mut self) -> Result<()> {
        self.crowd.measure(false);
        self.delivered("all receipts and deliveries", Ledger::is_done)?;
        let tables = self.compare()?;
        self.report.counts = self.crowd.ledger().counts(&tables);
        for (shard, holder) in self.servers.holders()? {
            ensure!(holder.name.is_some(), "nobody has shard {shard}");
        }
        for gateway in 0..self.servers.gateways.len() {
            let process = &mut self.servers.gateway(gateway)?.process;
            process.signal(Signal::TERM)?;
            let status = process.wait()?;
            ensure!(status.success(), "SIGTERM: {status}: {}", self.servers.last_words(gateway));
            self.servers.verify_audit(gateway)?;
        }
        Ok(())
    }

    /// Waits until users have so much, or says what they do not have.
    fn delivered(&self, what: &str, is_enough: impl Fn(&Ledger) -> bool) -> Result<()> {
        let all = wait_for(what, PATIENCE, || Ok(is_enough(&self.crowd.ledger()).then_some(())));
        if all.is_err() {
            nothing(&self.crowd.ledger().undelivered())?;
        }
        all
    }

    /// Compares what the database has with what devices know.
    fn compare(&self) -> Result<Tables> {
        // Devices get no receipt meanwhile.
        let mut ledger = self.crowd.ledger();
        let tables = self.servers.tables()?;
        nothing(&ledger.check(&tables))?;
        Ok(tables)
    }

    fn below(&mut self, bound: u32) -> u32 {
        u32::from_be_bytes(std::array::from_fn(|_| self.random.byte())) % bound
    }

    /// One of so many places.
    fn place(&mut self, places: usize) -> usize {
        self.below(u32::try_from(places).unwrap_or(u32::MAX)) as usize
    }

    /// Logs and data stay where they are, for who looks for the reason.
    fn keep_files(&mut self) {
        println!("what the servers have said and stored is in {}", self.servers.keep_files().display());
    }
}

/// # Errors
/// If there is a fault.
fn nothing(faults: &[Fault]) -> Result<()> {
    if faults.is_empty() {
        return Ok(());
    }
    let first: Vec<String> = faults.iter().take(10).map(ToString::to_string).collect();
    bail!("{} faults: {}", faults.len(), first.join("; "))
}
