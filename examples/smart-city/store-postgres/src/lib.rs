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

pub mod leases;
mod session;
mod store;
mod tls;

use std::{fmt, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
#[cfg(doc)]
use smart_city_frame::DeviceId;
pub use store::Gateway;
use tokio_postgres::{
    Client, Config, NoTls,
    config::{SslMode, TargetSessionAttrs},
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
    config: Config,
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
}

impl Default for Limits {
    fn default() -> Self {
        Self { attempt: Duration::from_secs(10), patience: Duration::from_secs(60) }
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
    /// Another process has joined as the gateway with this name since.
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
            Self::Member(name) => write!(f, "another process has joined as gateway {name}"),
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
            .field("config", &self.config)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl Database {
    /// The database with this address: `postgres://USER:PASSWORD@HOST:PORT/DATABASE`, or `host=/run/postgresql dbname=...`. With several
    /// hosts, the one that takes writes. With `tls` nothing is said without TLS; without it, nothing with TLS.
    ///
    /// # Errors
    /// If it is no such address, or if it asks for TLS and there is none.
    pub fn new(address: &str, tls: Option<Arc<ClientConfig>>, limits: Limits) -> Result<Self> {
        let mut config: Config = address.parse().context("the address of the database")?;
        ensure!(
            tls.is_some() || config.get_ssl_mode() != SslMode::Require,
            "the address of the database asks for TLS, and it is not said whose certificates count"
        );
        config.ssl_mode(if tls.is_some() { SslMode::Require } else { SslMode::Disable });
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        config.connect_timeout(limits.attempt).tcp_user_timeout(limits.attempt);
        if config.get_application_name().is_none() {
            config.application_name("smart-city-gateway");
        }
        Ok(Self { config, tls, limits })
    }

    /// A connection, which ends with the client.
    async fn connect(&self) -> Result<Client> {
        let client = match &self.tls {
            Some(tls) => {
                let (client, connection) = self.config.connect(tls::Connector(Arc::clone(tls))).await?;
                tokio::spawn(connection);
                client
            }
            None => {
                let (client, connection) = self.config.connect(NoTls).await?;
                tokio::spawn(connection);
                client
            }
        };
        // A transaction of a process that was stopped must not hold others up; and what is committed is on the disk, of any standby that
        // the database waits for, too.
        let limit = self.limits.attempt.as_millis();
        let setup = format!(
            "set statement_timeout = {limit}; set idle_in_transaction_session_timeout = {limit};
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
