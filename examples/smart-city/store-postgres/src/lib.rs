//! What gateways of the smart city keep in a PostgreSQL database that they share, in place of a file of each: PostgreSQL 15 or later.
//!
//! The devices are divided into shards by their [addresses](DeviceId::shard), and each shard has one gateway at a time. For each there is a
//! lease with a **term**, which grows with every new holder. [`Gateway`]'s writes name the terms under which it holds its shards, and are
//! refused in the same transaction when there is a newer one: so a gateway that was stopped, and wakes when another has its devices, changes
//! nothing any more. It gets [`Fenced`], and must end.
//!
//! # A database that is slow, or away
//! The engine waits for a commit as it waits for a disk: nothing that is not stored is acknowledged, so devices keep it and send it again.
//! Each try has a time limit ([`Limits::attempt`]), whatever the network does. A try that came to no end, or a database that is away or
//! starts, is tried again over a new connection. A commit has a number, so that one which was taken and whose answer was lost is not done
//! twice. After [`Limits::patience`] the error is the engine's, and the gateway ends. What asks the engine waits as long: operators, logins and the
//! history. Its faults are named in `README.md`.
#![forbid(unsafe_code)]

mod history;
pub mod leases;
mod peek;
mod session;
mod store;
mod tls;

use std::{fmt, net::IpAddr, sync::Arc, time::Duration};

use anyhow::{Context as _, Error, Result, bail, ensure};
#[cfg(doc)]
use smart_city_frame::DeviceId;
pub use store::{Gateway, Load, load};
use tokio::time::timeout;
use tokio_postgres::{
    Client, Config, NoTls,
    config::{Host, SslMode, TargetSessionAttrs},
    types::{ToSql, Type},
};
pub use tokio_rustls::rustls::ClientConfig;

/// Each changes the tables of the one before it. What was released is never changed.
const MIGRATIONS: [&str; 1] = [include_str!("../migrations/1.sql")];

/// Of PostgreSQL.
const OLDEST_VERSION: i32 = 150_000;

/// Who changes the tables holds this advisory lock.
const MIGRATION_LOCK: i64 = 0x7457_696e_4369_7479;

/// A parameter of a statement.
type Parameter<'p> = (&'p (dyn ToSql + Sync), Type);

/// A database, and how to get there.
#[derive(Clone)]
pub struct Database {
    /// One for each host.
    hosts: Vec<Config>,
    tls: Option<Arc<ClientConfig>>,
    limits: Limits,
}

/// How long the database may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For one try.
    pub attempt: Duration,
    /// For all tries until a write is given up.
    pub patience: Duration,
    /// For all that is known of one shard, when it is taken.
    pub load: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let (attempt, patience) = (Duration::from_secs(10), Duration::from_secs(60));
        Self { attempt, patience, load: Duration::from_secs(60) }
    }
}

/// Somebody else writes what this gateway would write: it must end, and may start again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fenced {
    /// Another gateway has a shard.
    Shard {
        /// Which one.
        shard: u16,
        /// The term under which this gateway had it.
        term: i64,
        /// The newest term.
        newest: i64,
    },
    /// Another process has joined as the gateway with this name since; or it was away when another configuration than its own came into force.
    Member(String),
    /// Another process has opened the store of the gateway with this name since, or the name was removed.
    Gateway(String),
}

impl fmt::Display for Fenced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shard { shard, term, newest } => {
                write!(f, "another gateway has shard {shard}: its term is {newest}, and here it was {term}")
            }
            Self::Member(name) => write!(
                f,
                "another process has joined as gateway {name}, or it was away when another configuration came into force"
            ),
            Self::Gateway(name) => {
                write!(f, "another process has opened the store of gateway {name}, or it was removed")
            }
        }
    }
}

impl std::error::Error for Fenced {}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The configuration hides the password.
        f.debug_struct("Database")
            .field("hosts", &self.hosts)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl Database {
    /// The database with this address: `postgres://USER@HOST:PORT/DATABASE`, or `host=/run/postgresql dbname=...`. With several hosts, the
    /// first one that takes writes. With `tls` nothing is said without TLS; without it, nothing with TLS, and to this machine alone.
    ///
    /// # Errors
    /// If it is no such address, if a password is in it, or if it needs TLS and there is none.
    pub fn new(
        address: &str,
        password: Option<&str>,
        tls: Option<Arc<ClientConfig>>,
        limits: Limits,
    ) -> Result<Self> {
        let config: Config = address.parse().context("the address of the database")?;
        ensure!(
            config.get_password().is_none(),
            "a password is in the address of the database, where it is no secret"
        );
        ensure!(
            tls.is_some() || config.get_ssl_mode() != SslMode::Require,
            "the address of the database asks for TLS, and it is not said whose certificates count"
        );
        let mut hosts = each_host(&config)?;
        ensure!(
            tls.is_some() || hosts.iter().all(is_here),
            "the database is on another machine, and it is not said whose certificates count"
        );
        for config in &mut hosts {
            config.ssl_mode(if tls.is_some() { SslMode::Require } else { SslMode::Disable });
            config.target_session_attrs(TargetSessionAttrs::ReadWrite);
            config.tcp_user_timeout(limits.attempt);
            if let Some(password) = password {
                config.password(password);
            }
        }
        Ok(Self { hosts, tls, limits })
    }

    /// A connection, which ends with the client.
    async fn connect(&self) -> Result<Client> {
        // A host that says nothing leaves time for the others, and for what is to be done.
        let share = self.limits.attempt / u32::try_from(self.hosts.len() + 1)?;
        let mut last = None;
        for config in &self.hosts {
            match timeout(share, self.connect_to(config)).await.map_err(Error::from) {
                Ok(Ok(client)) => return Ok(client),
                Ok(Err(error)) | Err(error) => last = Some(error),
            }
        }
        Err(last.context("the database has no host")?)
    }

    async fn connect_to(&self, config: &Config) -> Result<Client> {
        let client = match &self.tls {
            Some(tls) => {
                let (client, connection) = config.connect(tls::Connector(Arc::clone(tls))).await?;
                tokio::spawn(connection);
                client
            }
            None => {
                let (client, connection) = config.connect(NoTls).await?;
                tokio::spawn(connection);
                client
            }
        };
        // A transaction of a process that was stopped must not hold others up; and what is committed is on the disk, of any standby that
        // the database waits for, too. There is an index for everything, and it is used however little the database knows of the tables.
        let limit = self.limits.attempt.as_millis();
        let setup = format!(
            "set statement_timeout = {limit}; set idle_in_transaction_session_timeout = {limit};
             set enable_seqscan = off; set enable_bitmapscan = off; set jit = off;
             select set_config('synchronous_commit', 'on', false) where current_setting('synchronous_commit') in ('off', 'local')"
        );
        client.batch_execute(&setup).await?;
        Ok(client)
    }

    /// Makes the tables what this version has.
    async fn migrate(client: &Client) -> Result<()> {
        let version: i32 =
            client.query_typed_one("select current_setting('server_version_num')::int", &[]).await?.get(0);
        ensure!(
            version >= OLDEST_VERSION,
            "the database is PostgreSQL {}: it must be 15 or later",
            version / 10_000
        );
        client
            .batch_execute(&format!(
                "begin; select pg_advisory_xact_lock({MIGRATION_LOCK});
                 create table if not exists migrations (number integer primary key, time timestamptz not null default now())"
            ))
            .await?;
        let done = client
            .query_typed_one("select coalesce(max(number), 0) from migrations", &[])
            .await?
            .get::<_, i32>(0);
        let done = usize::try_from(done)?;
        if done > MIGRATIONS.len() {
            bail!("the tables of the database are of a newer version of the gateway");
        }
        for (number, migration) in MIGRATIONS.iter().enumerate().skip(done) {
            client.batch_execute(migration).await?;
            client.batch_execute(&format!("insert into migrations (number) values ({})", number + 1)).await?;
        }
        Ok(client.batch_execute("commit").await?)
    }
}

/// What `config` says, for each of its hosts alone: the driver would give all the time to the first one.
fn each_host(config: &Config) -> Result<Vec<Config>> {
    let (names, addresses, ports) = (config.get_hosts(), config.get_hostaddrs(), config.get_ports());
    let count = names.len().max(addresses.len());
    ensure!(count > 0, "the address of the database has no host");
    ensure!(
        [names.len(), addresses.len()].iter().all(|n| [0, count].contains(n))
            && [0, 1, count].contains(&ports.len()),
        "in the address of the database there are not as many of hosts, addresses and ports"
    );
    let one = |i: usize| {
        let mut one = Config::new();
        match names.get(i) {
            Some(Host::Tcp(name)) => drop(one.host(name)),
            Some(Host::Unix(path)) => drop(one.host_path(path)),
            None => {}
        }
        if let Some(address) = addresses.get(i) {
            one.hostaddr(*address);
        }
        if let Some(port) = ports.get(i).or(ports.first()) {
            one.port(*port);
        }
        if let Some(user) = config.get_user() {
            one.user(user);
        }
        if let Some(name) = config.get_dbname() {
            one.dbname(name);
        }
        if let Some(options) = config.get_options() {
            one.options(options);
        }
        one.application_name(config.get_application_name().unwrap_or("smart-city-gateway"));
        one.ssl_negotiation(config.get_ssl_negotiation());
        one.keepalives(config.get_keepalives()).keepalives_idle(config.get_keepalives_idle());
        one
    };
    Ok((0..count).map(one).collect())
}

/// Whether the one host of `config` is this machine.
fn is_here(config: &Config) -> bool {
    match (config.get_hostaddrs(), config.get_hosts()) {
        ([address, ..], _) => address.is_loopback(),
        ([], [Host::Tcp(name), ..]) => {
            name == "localhost" || name.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
        }
        ([], [Host::Unix(_), ..]) => true,
        ([], []) => false,
    }
}
