//! PostgreSQL, Mosquitto and the gateways of a city on this machine, each with its folder.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Write as _,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::Signal;
use serde_json::Value;
use smart_city_demo::gateway::Gateway as Program;
use smart_city_engine::store::private;
use smart_city_frame::DeviceId;
use tempfile::TempDir;
use tokio_postgres::Client;

use crate::{
    city::{Cluster, GATEWAY_PASSWORD, OPERATOR_TOKEN, Plan, ear_key},
    ledger::{Frame, Row, Tables},
    postgres::{self, Cluster as Postgres},
    process::{PATIENCE, Process, family, signal_to, wait_for},
};

/// What gateways are called, in their order.
pub const NAMES: [&str; 9] = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];

/// All servers of a city. They end when this is dropped.
#[derive(Debug)]
pub struct Servers {
    /// The gateways. Those that were not started, or were ended, are none.
    pub gateways: Vec<Option<Gateway>>,
    /// The broker.
    pub mosquitto: Mosquitto,
    database: Option<Database>,
    files: TempDir,
    http_ports: Vec<u16>,
    /// Into how many shards the devices are divided.
    pub shards: u16,
}

/// A gateway that was started.
#[derive(Debug)]
pub struct Gateway {
    /// Its name.
    pub name: &'static str,
    /// Its process.
    pub process: Process,
    /// Its page is at `http://` and this.
    pub http: String,
    /// How long its log was when it was started.
    log_before: usize,
}

/// The broker.
#[derive(Debug)]
pub struct Mosquitto {
    /// For devices and users.
    pub port: u16,
    /// For gateways.
    pub gateways_port: u16,
    /// Its process.
    pub process: Process,
    dir: PathBuf,
}

struct Database {
    server: Postgres,
    address: String,
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Who has a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The gateway's name; none if nobody has it, or somebody who has not said for too long that he is there.
    pub name: Option<String>,
    /// The term.
    pub term: i64,
}

impl Servers {
    /// Starts PostgreSQL and Mosquitto, and writes the files of the gateways. With no `shards` the gateway is to be alone, with a store of its own.
    ///
    /// # Errors
    /// If a server does not start, or a file cannot be written.
    pub fn start(gateways: usize, devices: u32, shards: Option<u16>, lease_seconds: u64) -> Result<Self> {
        ensure!(gateways <= NAMES.len(), "there can be {} gateways", NAMES.len());
        let files = tempfile::tempdir()?;
        let database = shards.map(|_| {
            let server = Postgres::start(5432, &["max_wal_size=4GB"]);
            Ok::<_, anyhow::Error>(Database { address: server.address(), server })
        });
        let database = database.transpose()?;
        let cluster = database.as_ref().zip(shards).map(|(database, shards)| Cluster {
            database: database.address.clone(),
            shards,
            lease_seconds,
        });
        let plan = Plan { devices, cluster };
        let ear_key = ear_key()?;
        for name in &NAMES[..gateways] {
            let dir = files.path().join(name);
            plan.write(&dir)?;
            private().open(dir.join("ear-key.pem"))?.write_all(ear_key.as_bytes())?;
        }
        let mosquitto = Mosquitto::prepare(files.path().join("mosquitto"), shards.is_some())?;
        let http_ports = (0..gateways).map(|_| free_port()).collect::<Result<_>>()?;
        let shards = shards.unwrap_or(1);
        let gateways = (0..gateways).map(|_| None).collect();
        Ok(Self { gateways, mosquitto, database, files, http_ports, shards })
    }

    /// The folder of a gateway.
    #[must_use]
    pub fn dir(&self, gateway: usize) -> PathBuf {
        self.files.path().join(NAMES[gateway])
    }

    /// Starts a gateway, and waits until it says that it is ready.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start_gateway(&mut self, gateway: usize) -> Result<()> {
        self.launch(gateway)?;
        let line = self.gateway(gateway)?.process.first_line()?;
        let is_ready = line.starts_with("ready ");
        ensure!(is_ready, "gateway {} did not start: {}", NAMES[gateway], self.last_words(gateway));
        Ok(())
    }

    /// Starts a gateway, and waits for nothing.
    ///
    /// # Errors
    /// If there is no such program.
    pub fn launch(&mut self, gateway: usize) -> Result<()> {
        let (name, dir) = (NAMES[gateway], self.dir(gateway));
        let http = format!("127.0.0.1:{}", self.http_ports[gateway]);
        let mut command = Command::new(Program::program()?);
        command.current_dir(&dir);
        command.args([
            "--config",
            "city.toml",
            "--secrets",
            "secrets.toml",
            "--data",
            "data",
            "--http",
            &http,
        ]);
        command.args(["--broker", &format!("mqtt://127.0.0.1:{}", self.mosquitto.gateways_port)]);
        command.arg("--broker-passwords").arg(self.mosquitto.dir.join("passwords.sock"));
        if self.database.is_some() {
            command.args(["--name", name]);
        }
        let log = File::options().create(true).append(true).open(dir.join("log"))?;
        let log_before = usize::try_from(log.metadata()?.len())?;
        let process = Process::start(command.stdout(Stdio::piped()).stderr(log))?;
        self.gateways[gateway] = Some(Gateway { name, process, http, log_before });
        Ok(())
    }

    /// Why a gateway has ended, or the last line of its log.
    #[must_use]
    pub fn last_words(&self, gateway: usize) -> String {
        let log = fs::read(self.dir(gateway).join("log")).unwrap_or_default();
        let before = self.gateways[gateway].as_ref().map_or(0, |gateway| gateway.log_before);
        let log = String::from_utf8_lossy(log.get(before..).unwrap_or_default());
        let Some(at) = log.rfind("Error: ") else {
            return log.lines().next_back().unwrap_or_default().to_owned();
        };
        // Where in the program it was is in the log, and so are lines of other threads.
        let is_of_it = |line: &&str| {
            !line.starts_with("Stack") && !line.starts_with(|first: char| first.is_ascii_digit())
        };
        let words = log[at..].lines().take_while(is_of_it).flat_map(str::split_whitespace);
        words.collect::<Vec<&str>>().join(" ")
    }

    /// A gateway that was started.
    ///
    /// # Errors
    /// If it was not.
    pub fn gateway(&mut self, gateway: usize) -> Result<&mut Gateway> {
        self.gateways[gateway].as_mut().with_context(|| format!("gateway {} was not started", NAMES[gateway]))
    }

    /// Gateways that have ended by themselves, and why. They are none from then on.
    ///
    /// # Errors
    /// If the system does not say it.
    pub fn ended(&mut self) -> Result<Vec<(usize, String)>> {
        let mut ended = Vec::new();
        for index in 0..self.gateways.len() {
            let Some(gateway) = &mut self.gateways[index] else { continue };
            if let Some(status) = gateway.process.ended()? {
                ended.push((index, format!("{status}: {}", self.last_words(index))));
                self.gateways[index] = None;
            }
        }
        Ok(ended)
    }

    /// Waits until every shard has a gateway that hears its devices.
    ///
    /// # Errors
    /// If that does not come.
    pub fn wait_until_served(&self) -> Result<()> {
        let mut served = 0;
        let all = wait_for("gateways that serve all shards", PATIENCE, || {
            served = self.served();
            Ok((served == usize::from(self.shards)).then_some(()))
        });
        all.with_context(|| format!("{served} of {} shards are served", self.shards))
    }

    /// Waits until every gateway has a fair share of the shards, and hears their devices.
    ///
    /// # Errors
    /// If that does not come.
    pub fn wait_until_shared(&self) -> Result<()> {
        let share = usize::from(self.shards) / self.gateways.iter().flatten().count().max(1);
        wait_for("fair shares", PATIENCE, || {
            let mut gateways = self.gateways.iter().flatten();
            Ok(gateways.all(|gateway| gateway.served().is_ok_and(|served| served >= share)).then_some(()))
        })?;
        self.wait_until_served()
    }

    /// How many shards have a gateway that hears their devices.
    #[must_use]
    pub fn served(&self) -> usize {
        self.gateways.iter().flatten().filter_map(|gateway| gateway.served().ok()).sum()
    }

    /// Who has each shard, as the database says.
    ///
    /// # Errors
    /// If it does not say it.
    pub fn holders(&self) -> Result<BTreeMap<u16, Holder>> {
        let sql = "select l.shard, l.term, m.name from leases l
                   left join members m on m.member = l.member and m.until > clock_timestamp()";
        let rows = self.query(sql)?;
        let holder = |row: &tokio_postgres::Row| {
            Ok((u16::try_from(row.get::<_, i16>(0))?, Holder { term: row.get(1), name: row.get(2) }))
        };
        rows.iter().map(holder).collect()
    }

    /// How often a gateway has written.
    ///
    /// # Errors
    /// If the database does not say it.
    pub fn commits(&self, name: &str) -> Result<i64> {
        let rows = self.query("select name, generation from gateways")?;
        let row = rows.iter().find(|row| row.get::<_, &str>(0) == name);
        Ok(row.with_context(|| format!("the database has no gateway {name}"))?.get(1))
    }

    /// What the database has.
    ///
    /// # Errors
    /// If it does not say it.
    pub fn tables(&self) -> Result<Tables> {
        let device = |bytes: &[u8]| Ok::<_, anyhow::Error>(DeviceId(bytes.try_into()?));
        let rows = |table: &str| {
            let rows =
                self.query(&format!("select number, device, epoch, counter, key, payload from {table}"))?;
            let row = |row: &tokio_postgres::Row| {
                let (epoch, counter) =
                    (u16::try_from(row.get::<_, i32>(2))?, u32::try_from(row.get::<_, i64>(3))?);
                let frame = Frame { device: device(row.get(1))?, epoch, counter };
                Ok(Row { number: row.get(0), frame, key: row.get(4), payload: row.get(5) })
            };
            rows.iter().map(row).collect::<Result<Vec<Row>>>()
        };
        // The other way round a reading could be delivered in between, and not be seen.
        let (outbox, history) = (rows("outbox")?, rows("history")?);
        let epochs = self.query("select device, key, epoch from epochs")?;
        let epochs = epochs.iter().map(|row| Ok(((device(row.get(0))?, row.get(1)), row.get(2))));
        Ok(Tables { outbox, history, epochs: epochs.collect::<Result<_>>()? })
    }

    /// One number that the database says.
    ///
    /// # Errors
    /// If it does not say it.
    pub fn number(&self, sql: &str) -> Result<i64> {
        Ok(self.query(sql)?.first().context("no row")?.get(0))
    }

    /// What the database answers.
    ///
    /// # Errors
    /// If there is none, or it does not answer.
    pub fn query(&self, sql: &str) -> Result<Vec<tokio_postgres::Row>> {
        self.in_database(async |client: &Client| Ok(client.query(sql, &[]).await?))
    }

    /// Does something in the database.
    ///
    /// # Errors
    /// If there is none, or it is not done.
    pub fn in_database<T>(&self, work: impl AsyncFn(&Client) -> Result<T>) -> Result<T> {
        let database = self.database.as_ref().context("this city has no database")?;
        postgres::with(&database.address, work)
    }

    /// The processes of the database.
    ///
    /// # Errors
    /// If there is none.
    pub fn database_processes(&self) -> Result<Vec<u32>> {
        let database = self.database.as_ref().context("this city has no database")?;
        let file = fs::read_to_string(database.server.dir().join("data/postmaster.pid"))?;
        Ok(family(file.lines().next().context("an empty file")?.parse()?))
    }

    /// The database ends as by a loss of power, and starts again after a pause.
    ///
    /// # Errors
    /// If there is none.
    pub fn crash_database(&self, pause: Duration) -> Result<()> {
        let database = self.database.as_ref().context("this city has no database")?;
        database.server.crash(pause);
        database.server.wait();
        Ok(())
    }

    /// All processes of the database stop, or go on.
    ///
    /// # Errors
    /// If there are none.
    pub fn signal_to_database(&self, signal: Signal) -> Result<()> {
        // One that ended meanwhile needs no signal.
        self.database_processes()?.into_iter().for_each(|process| drop(signal_to(process, signal)));
        Ok(())
    }

    /// Logs and data are not removed at the end; they are in this folder.
    pub fn keep_files(&mut self) -> &Path {
        self.files.disable_cleanup(true);
        self.files.path()
    }

    /// Verifies the audit log of a gateway that does not run.
    ///
    /// # Errors
    /// If it is not as it must be.
    pub fn verify_audit(&self, gateway: usize) -> Result<()> {
        let mut command = Command::new(Program::program()?);
        let name = NAMES[gateway];
        command.current_dir(self.dir(gateway)).args(["--data", "data", "--verify-audit"]);
        if self.database.is_some() {
            // The database knows the end of the log.
            command.args(["--config", "city.toml", "--secrets", "secrets.toml", "--name", name]);
        }
        let said = command.output()?;
        let error = String::from_utf8_lossy(&said.stderr);
        ensure!(said.status.success(), "the audit log of gateway {name}: {error}");
        Ok(())
    }
}

impl Gateway {
    /// What `GET /status` says.
    ///
    /// # Errors
    /// If it does not answer.
    pub fn status(&self) -> Result<Value> {
        let url = format!("http://{}/status?limit=0", self.http);
        let request = agent().get(url).header("Authorization", format!("Bearer {OPERATOR_TOKEN}"));
        Ok(request.call()?.body_mut().read_json()?)
    }

    /// How many shards it has and hears.
    fn served(&self) -> Result<usize> {
        let status = self.status()?;
        let shards = status["cluster"]["shards"].as_array().context("no shards")?;
        Ok(shards.iter().filter(|shard| shard["is_connected"] == true).count())
    }

    /// Has all code of a device measured, as an operator. False if this gateway cannot do it now: it has just started, another one has the device,
    /// or the device has no epoch or something else to answer.
    ///
    /// # Errors
    /// If it does not answer, or refuses it for another reason.
    pub fn examine(&self, device: DeviceId) -> Result<bool> {
        let url = format!("http://{}/devices/{device}/examine", self.http);
        let request = agent().post(url).header("Authorization", format!("Bearer {OPERATOR_TOKEN}"));
        let mut answer = request.send_json(Value::Object(serde_json::Map::new()))?;
        match answer.status().as_u16() {
            200..300 => Ok(true),
            409 | 421 | 503 => Ok(false),
            status => {
                bail!("gateway {} answers {status}: {}", self.name, answer.body_mut().read_to_string()?)
            }
        }
    }
}

fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(10)));
    config.http_status_as_error(false).build().into()
}

impl Mosquitto {
    /// Starts it with the files that the project ships, for a cluster or for a gateway that is alone; the ports are other ones.
    fn prepare(dir: PathBuf, in_cluster: bool) -> Result<Self> {
        fs::create_dir(&dir)?;
        let stem = if in_cluster { "mosquitto-cluster" } else { "mosquitto" };
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../gateway");
        let acl = format!("{stem}.acl");
        fs::copy(from.join(&acl), dir.join(&acl))?;
        let port = free_port()?;
        let gateways_port = if in_cluster { free_port()? } else { port };
        let mut conf = String::new();
        for line in fs::read_to_string(from.join(format!("{stem}.conf")))?.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            conf += &match words[..] {
                ["listener", "1883", ..] => format!("listener {port} 127.0.0.1"),
                ["listener", "1884", ..] => format!("listener {gateways_port} 127.0.0.1"),
                ["plugin", _] => format!("plugin {}", plugin()?.display()),
                _ => line.to_owned(),
            };
            conf.push('\n');
        }
        // As root it would become another user, who may not write here.
        fs::write(dir.join("mosquitto.conf"), format!("user root\n{conf}"))?;
        let init = ["dynsec", "init", "dynamic-security.json", "gateway", GATEWAY_PASSWORD];
        let made = Command::new(find("mosquitto_ctrl")?).args(init).current_dir(&dir).output()?;
        ensure!(made.status.success(), "{made:?}");
        Ok(Self { process: run(&dir, port)?, port, gateways_port, dir })
    }

    /// Starts it again, after it was ended.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start_again(&mut self) -> Result<()> {
        self.process = run(&self.dir, self.port)?;
        Ok(())
    }
}

fn run(dir: &Path, port: u16) -> Result<Process> {
    let log = File::options().create(true).append(true).open(dir.join("log"))?;
    let mut command = Command::new(find("mosquitto")?);
    let mut process = Process::start(command.args(["-c", "mosquitto.conf"]).current_dir(dir).stderr(log))?;
    wait_for("Mosquitto", PATIENCE, || {
        if let Some(status) = process.ended()? {
            bail!("Mosquitto ends: {status}: {}", fs::read_to_string(dir.join("log"))?);
        }
        Ok(TcpStream::connect(("127.0.0.1", port)).ok())
    })?;
    Ok(process)
}

/// A program of Mosquitto.
fn find(name: &str) -> Result<PathBuf> {
    let places = ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"]
        .map(|place| Path::new(place).join(name));
    places
        .into_iter()
        .find(|path| path.exists())
        .with_context(|| format!("{name} is missing: install Mosquitto"))
}

fn plugin() -> Result<PathBuf> {
    let places = ["x86_64-linux-gnu", "aarch64-linux-gnu", "arm-linux-gnueabihf", ""];
    let places = places.map(|place| Path::new("/usr/lib").join(place).join("mosquitto_dynamic_security.so"));
    places.into_iter().find(|path| path.exists()).context("Mosquitto's plugin `dynamic security` is missing")
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
