//! The gateway's process. See [`USAGE`].
#![forbid(unsafe_code)]

mod commands;

use std::{
    convert::Infallible,
    fs,
    io::Write,
    net::SocketAddr,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Error, Result, bail, ensure};
use axum::Router;
use redb::backends::FileBackend;
use smart_city_address::Address;
use smart_city_engine::{
    attestation::Signer,
    audit::{self, Audit, Log},
    config::{City, ConfigError, Secrets, is_name},
    engine::{Engine, Input, Output, TICK},
    file::FileStore,
    memory::{self, Loss},
    store::{self, Found},
};
use smart_city_gateway::{
    agent::Agent,
    cities,
    cluster::{self, Cluster, Running, Seat, Vitals},
    exchange::{self, Exchange, Preparation},
    guests::{self, Accounts, Guests},
    http::{self, App, Watchers},
    incidents::{self, Incidents},
    kept,
    metrics::Meters,
    mqtt::{self, Broker, Started},
    ngsi::{self, Teller},
    tls::{self, Certificate},
};
use smart_city_login::Pace;
use smart_city_ngsi_ld::MOST_CONNECTIONS;
use smart_city_store_postgres::Gateway;
use tokio::{
    net::TcpListener,
    runtime::Handle,
    signal::unix::{Signal, SignalKind, signal},
    sync::{mpsc, oneshot, watch},
    task::{JoinHandle, JoinSet},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder};
use zeroize::Zeroizing;

const USAGE: &str = "\
usage: smart-city-gateway --config city.toml --secrets secrets.toml --data DIR
           [--broker mqtt[s]://HOST:PORT [--broker-passwords PATH] [--broker-authorities FILE]] [--mqtt ADDRESS]
           [--http ADDRESS] [--http-name NAME]... [--tls-certificate FILE --tls-key FILE] [--continue-after-loss]
           [--name NAME [--http-url URL] [--files-in-force VERSION]]
       smart-city-gateway --config city.toml --secrets secrets.toml --check
       smart-city-gateway --data DIR --verify-audit [--config city.toml --secrets secrets.toml --name NAME]
       smart-city-gateway provision | rotate | remove | user ... | operator ... | city-keys ...
                                                                      change the files; each has --help

--broker        use this broker, as the user `gateway`, instead of the own one
--broker-passwords
                the socket of that broker where passwords are tried, so that one which somebody else has changed is found
--broker-authorities
                for a broker with TLS: who may have made its certificate, in PEM; without it, whom the system knows
--mqtt          where the own broker listens; 127.0.0.1:1883 if not given, port 0 takes any
--http          where the status page is; 127.0.0.1:8080 if not given
--http-name     a name by which browsers reach the page; without one, addresses and localhost alone
--name          of several gateways of a city, which city.toml has in [cluster], the one with this name; no two have the same
--http-url      where its operators are sent to when they ask another gateway; the address of --http if not given
--files-in-force
                when none of several gateways has the files any more that are in force: these ones may come into force in place of
                this version, and of no other. Without it a gateway that starts with other ones waits, so that old files do not come back
--tls-certificate, --tls-key
                the certificate, up to its authority, and its key, in PEM: the own broker and the HTTP server speak TLS then
--check         only check the files
--verify-audit  only verify the audit log, and change nothing; its end is verified only while no gateway runs on it, or by the database
                if several gateways have one
--continue-after-loss
                for one start, when the gateway has said that the store or the audit log was lost, changed or set back: go on
                with what the other one knows. What is left of the file is kept in DIR as `*.lost-N.*`

When its broker has answered it prints a line `ready mqtt=ADDRESS http=ADDRESS`. SIGHUP reads the files again; so does a change of them. SIGTERM
and SIGINT end it. RUST_LOG says what goes to the log, on standard error.";

#[derive(Default)]
struct Arguments {
    config: PathBuf,
    secrets: PathBuf,
    data: PathBuf,
    broker: Option<Address>,
    passwords: Option<PathBuf>,
    authorities: Option<PathBuf>,
    tls: tls::Files,
    mqtt: Option<SocketAddr>,
    http: Option<SocketAddr>,
    http_names: Vec<String>,
    name: Option<String>,
    url: Option<String>,
    check: bool,
    verify_audit: bool,
    after_loss: bool,
    files_in_force: Option<i64>,
}

impl Arguments {
    fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self> {
        let mut parsed = Self::default();
        let mut arguments = arguments.into_iter();
        while let Some(name) = arguments.next() {
            let mut value = || arguments.next().with_context(|| format!("{name} needs a value\n{USAGE}"));
            match name.as_str() {
                "--config" => parsed.config = value()?.into(),
                "--secrets" => parsed.secrets = value()?.into(),
                "--data" => parsed.data = value()?.into(),
                "--broker" => parsed.broker = Some(value()?.parse().context("--broker")?),
                "--broker-passwords" => parsed.passwords = Some(value()?.into()),
                "--broker-authorities" => parsed.authorities = Some(value()?.into()),
                "--tls-certificate" => parsed.tls.chain = value()?.into(),
                "--tls-key" => parsed.tls.key = value()?.into(),
                "--mqtt" => parsed.mqtt = Some(value()?.parse()?),
                "--http" => parsed.http = Some(value()?.parse()?),
                "--http-name" => parsed.http_names.push(value()?),
                "--name" => parsed.name = Some(value()?),
                "--http-url" => parsed.url = Some(value()?),
                "--check" => parsed.check = true,
                "--continue-after-loss" => parsed.after_loss = true,
                "--files-in-force" => {
                    let version =
                        value()?.parse().context("--files-in-force is the version to be replaced")?;
                    parsed.files_in_force = Some(version);
                }
                "--verify-audit" => parsed.verify_audit = true,
                "--help" | "-h" => {
                    println!("{USAGE}");
                    std::process::exit(0);
                }
                _ => bail!("there is no option {name}\n{USAGE}"),
            }
        }
        let files = !parsed.config.as_os_str().is_empty() && !parsed.secrets.as_os_str().is_empty();
        let data = !parsed.data.as_os_str().is_empty();
        let is_complete = if parsed.verify_audit {
            // By the database, if it is said which.
            data && (parsed.name.is_none() || files)
        } else {
            files && (data || parsed.check)
        };
        if !is_complete {
            bail!("an option is missing\n{USAGE}");
        }
        ensure!(
            parsed.passwords.is_none() || parsed.broker.is_some(),
            "--broker-passwords is of the broker that --broker names\n{USAGE}"
        );
        ensure!(
            parsed.authorities.is_none() || parsed.broker.as_ref().is_some_and(|broker| broker.is_tls),
            "--broker-authorities is of a broker that --broker names with mqtts://\n{USAGE}"
        );
        ensure!(
            parsed.name.as_deref().is_none_or(is_name),
            "--name is 1 to 32 of a-z, 0-9, `-`, `_` and `.`\n{USAGE}"
        );
        ensure!(
            parsed.files_in_force.is_none() || parsed.name.is_some(),
            "--files-in-force is of a gateway with --name\n{USAGE}"
        );
        let is_url = |url: &str| ["http://", "https://"].iter().any(|start| url.starts_with(start));
        ensure!(
            parsed.url.as_deref().is_none_or(|url| parsed.name.is_some() && is_url(url)),
            "--http-url is http://HOST:PORT or https://HOST:PORT, of a gateway with --name\n{USAGE}"
        );
        let [chain, key] = [&parsed.tls.chain, &parsed.tls.key].map(|path| path.as_os_str().is_empty());
        ensure!(chain == key, "--tls-certificate and --tls-key belong together\n{USAGE}");
        Ok(parsed)
    }
}

/// What goes to the log if `RUST_LOG` does not say it.
const LOGGED: &str = "info,mqtt5=error";

/// Lines of the log that may wait until they are written.
const LOG_LINES: usize = 8192;

fn main() -> ExitCode {
    // Nobody waits until a line is written, but for the last ones: when `_written` is dropped, and for about a second at most.
    let log = NonBlockingBuilder::default().buffered_lines_limit(LOG_LINES);
    let (mut log, _written) = log.finish(std::io::stderr());
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| LOGGED.into());
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(log.clone());
    // That something cannot be logged would be told on standard error, which panics if that cannot be written.
    subscriber.log_internal_errors(false).init();
    std::panic::set_hook(Box::new(|panic| tracing::error!("{panic}")));
    match run(log.error_counter()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            drop(writeln!(log, "Error: {error:?}"));
            ExitCode::FAILURE
        }
    }
}

fn run(lost_lines: ErrorCounter) -> Result<()> {
    if is_command(std::env::args().skip(1)) {
        return <commands::Arguments as clap::Parser>::parse().run();
    }
    let arguments = Arguments::parse(std::env::args().skip(1))?;
    if arguments.verify_audit {
        println!("{}", verify_audit(&arguments)?);
        return Ok(());
    }
    let runtime = tokio::runtime::Runtime::new()?;
    // First of all: until then SIGHUP ends the process, and systemd does not start a service again that ends so.
    let hangup = {
        let _runtime = runtime.enter();
        signal(SignalKind::hangup())?
    };
    // Before they are read: what changes from now on is read again.
    let stamps = stamps(&arguments.config, &arguments.secrets);
    let (city, secrets) = read(&arguments.config, &arguments.secrets)?;
    if arguments.check {
        println!(
            "{} devices, {} streams, {} users",
            city.devices.len(),
            city.streams.len(),
            city.users.len()
        );
        return Ok(());
    }
    let ended = runtime.block_on(serve(arguments, hangup, stamps, city, secrets, lost_lines));
    // Whatever was not stored was not answered either: there is nothing to wait for.
    runtime.shutdown_background();
    ended
}

/// Whether these are the arguments of a command that changes the files, which may follow their names.
fn is_command(mut arguments: impl Iterator<Item = String>) -> bool {
    while let Some(argument) = arguments.next() {
        match argument.split_once('=').map_or(argument.as_str(), |(name, _)| name) {
            "--config" | "--secrets" if argument.contains('=') => {}
            "--config" | "--secrets" => drop(arguments.next()),
            _ => return commands::Arguments::have(&argument),
        }
    }
    false
}

/// An audit log, whether its end is verified, and what is wrong with the store.
type Verified = (Log, bool, Option<Loss>);

/// By the store beside it. Beside a running gateway nothing is known of the log's end.
fn by_file(dir: &Path) -> Result<Verified> {
    let found = FileStore::peek(dir)?;
    let log = memory::read_log(&Audit::path(dir), found.as_ref().unwrap_or(&Found::Nothing))?;
    let loss = found.as_ref().and_then(|found| Loss::find(found, &log));
    Ok((log, found.is_some(), loss))
}

/// By the database of several gateways. One that runs writes to its log and then there.
fn by_database(dir: &Path, store: &Gateway) -> Result<Verified> {
    const TRIES: usize = 100;
    let peek = || store.peek()?.with_context(|| format!("the database knows no gateway {}", store.name));
    for _ in 0..TRIES {
        let stored = peek()?;
        let log = Log::read(&Audit::path(dir), &stored.head)?;
        if peek()?.generation == stored.generation {
            let loss = memory::store_fault(&stored, &log).map(Loss::Database);
            return Ok((log, true, loss));
        }
    }
    bail!("the gateway writes so often that its log and the database cannot be compared: try again")
}

/// What is to be said of an audit log that is whole.
fn verify_audit(arguments: &Arguments) -> Result<String> {
    let dir = &arguments.data;
    let path = Audit::path(dir);
    let (log, is_end_verified, loss) = match &arguments.name {
        None => by_file(dir)?,
        Some(name) => {
            let (city, secrets) = read(&arguments.config, &arguments.secrets)?;
            by_database(dir, &cluster::store(name, &city, &secrets)?)?
        }
    };
    if let Some(fault) = &log.fault {
        bail!("audit.jsonl: {fault}");
    }
    ensure!(log.head.n > 0, "there is no audit log in {}", dir.display());
    if let Some(loss) = loss {
        bail!("the chain of the audit log is whole, but not the store: {loss}");
    }
    let missing = audit::verify_archives(&path, &log)?;
    let (first, between): (Vec<_>, Vec<_>) = missing.into_iter().partition(|range| *range.start() == 1);
    if !between.is_empty() {
        let ranges: Vec<_> =
            between.iter().map(|range| format!("{} to {}", range.start(), range.end())).collect();
        bail!("the chain is broken: the records {} are in no file here", ranges.join(", "));
    }
    let missing = first.first().map(|range| format!("; the first {} are in no file here", range.end()));
    let missing = missing.unwrap_or_default();
    let end = if is_end_verified { "" } else { "; a gateway runs on it, so that its end is not verified" };
    Ok(format!("{} records, the chain is whole{missing}{end}", log.head.n))
}

fn read(config: &Path, secrets: &Path) -> Result<(City, Arc<Secrets>), ConfigError> {
    let city = City::read(config)?;
    smart_city_gateway::check(&city)?;
    let secrets = Secrets::read(secrets, &city)?;
    Ok((city, Arc::new(secrets)))
}

/// Opens the engine: with its store in the data directory, or in the database that several gateways share.
fn open(
    arguments: &Arguments,
    seat: Option<&Seat>,
    city: City,
    secrets: Arc<Secrets>,
    signer: Signer,
) -> Result<(Engine, Vec<Output>)> {
    let (dir, after_loss) = (&arguments.data, arguments.after_loss);
    let disk = |file| Ok(FileBackend::new(file)?);
    match seat {
        None => Engine::open_on(dir, city, secrets, signer, after_loss, disk),
        // It waits for the database.
        Some(seat) => tokio::task::block_in_place(|| {
            Engine::open_in(seat.place(), dir, city, secrets, signer, after_loss, disk)
        }),
    }
}

async fn serve(
    arguments: Arguments,
    hangup: Signal,
    stamps: Stamps,
    city: City,
    secrets: Arc<Secrets>,
    lost_lines: ErrorCounter,
) -> Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&arguments.data)?;
    for path in [&arguments.secrets, &arguments.data, &secrets.ear_key, &arguments.tls.key] {
        if others_read(path) {
            tracing::warn!("{} can be read by others: chmod go=", path.display());
        }
    }
    let signer = signer(&secrets.ear_key)?;
    let seat = Seat::new(arguments.name.as_deref(), &city, &secrets, &signer)?;
    ensure!(
        seat.is_none() || arguments.broker.is_some(),
        "city.toml has [cluster]: the gateways need a broker that they share, so name it with --broker"
    );
    let (table, running) = (city.cluster.clone(), Arc::clone(&secrets));
    let is_new = !FileStore::path(&arguments.data).exists();
    let (mut engine, mut before) = open(&arguments, seat.as_ref(), city, secrets, signer)?;
    let teller = Teller::default();
    let (entities, watcher) = ngsi::entities(teller.clone());
    let groups = watcher.groups();
    engine.observe(watcher);
    let guests = Arc::new(Guests::new(Handle::current(), Pace::default()));
    engine.observe(guests::Watcher(Arc::clone(&guests)));
    kept::restore(&arguments.data, &entities, is_new)?;
    let (gate, watcher) = cities::gate(&arguments.data, engine.distrusted())?;
    engine.observe(watcher);
    let incidents = Incidents::open(&arguments.data)?;
    engine.observe(incidents::Watcher(incidents.clone()));
    // Before anything of other cities goes out.
    let doubts = incidents.reports.doubts().borrow_and_update().clone();
    if !doubts.is_empty() {
        before.extend(engine.handle([Input::Distrust(doubts)])?);
    }
    let (jwks, secrets) = (engine.jwks(), engine.secrets());
    let reference_values = engine.reference_values();
    let shares = Shares::of(descriptors());
    let certificate = if arguments.tls == tls::Files::default() {
        None
    } else {
        Some(Certificate::read(arguments.tls.clone())?)
    };
    let acceptor = certificate.as_ref().map(Certificate::acceptor).transpose()?;
    let mut tasks = JoinSet::new();
    let mut meters = Meters::default();
    meters.lost_lines = Some(lost_lines);
    meters.certificate.clone_from(&certificate);
    meters.entities = Some(Arc::clone(&entities));
    meters.gate = Some(Arc::clone(&gate));
    meters.incidents = Some(incidents.clone());
    let agent = Agent::new(groups, Arc::clone(&entities), &meters, arguments.broker.is_none());
    let address = arguments.http.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 8080)));
    let listener = TcpListener::bind(address).await.with_context(|| format!("HTTP at {address}"))?;
    let view = engine.view();
    let (exchange, engine) = exchange::start(engine, before, agent.clone(), &meters);
    guests.connect(exchange.inputs.clone());
    let http = listener.local_addr()?;
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let (mut cluster, mut several) = (None, None);
    let (mqtt, mut prepared) = if let Some(address) = arguments.broker {
        let broker = Broker::new(&address, arguments.authorities.as_deref(), arguments.passwords)?;
        let name = seat.as_ref().map(Seat::at_broker);
        let Started { prepared, sessions } =
            mqtt::start(broker, name, &secrets, &exchange, &meters, &mut tasks);
        // Last of all that can fail: others leave it a share from now on.
        if let Some(seat) = seat {
            let scheme = if acceptor.is_some() { "https" } else { "http" };
            let url = arguments.url.unwrap_or_else(|| format!("{scheme}://{http}"));
            let vitals = Vitals { connected: meters.connected.clone(), view: view.clone() };
            let joined = Cluster::join(seat, url, vitals, arguments.files_in_force).await;
            let (joined, member) = joined.context("the other gateways")?;
            cluster = Some(Arc::clone(&joined));
            let inputs = exchange.inputs.clone();
            several = Some(Running::start(joined, member, inputs, secrets.clone(), sessions));
        }
        (address, prepared)
    } else {
        let accounts = Accounts { secrets: secrets.clone(), guests: Arc::clone(&guests) };
        let tls = acceptor.clone();
        own_broker(arguments.mqtt, shares.mqtt, accounts, tls, &exchange, &meters, &mut tasks).await?
    };
    meters.cluster.clone_from(&cluster);
    let inputs = exchange.inputs;

    teller.connect(inputs.clone());
    let ends = Arc::clone(&entities).run(shares.deliveries);
    tasks.spawn(async move { tracing::error!("{}", ends.await) });

    let audit = Audit::path(&arguments.data);
    tasks.spawn(cities::send(Arc::clone(&gate), inputs.clone()));
    let hand_over = cities::router(Arc::clone(&gate), Arc::clone(&entities), inputs.clone());
    // What these keep is in the folder of one gateway.
    let others = if cluster.is_some() {
        Router::new()
    } else {
        ngsi::router(entities, secrets.clone())
            .merge(hand_over)
            .merge(incidents::router(Arc::clone(&incidents.desk)))
    };
    tasks.spawn(incidents.clone().run(inputs.clone()));
    let app = App {
        engine: inputs.clone(),
        agent,
        view,
        names: arguments.http_names.into(),
        watchers: Arc::new(Watchers::new(shares.watchers)),
        sessions: Arc::default(),
        guests,
        incidents: incidents.clone(),
        readers: http::readers(),
        is_tls: acceptor.is_some(),
        secrets,
        jwks,
        reference_values,
        audit,
        meters,
        prepared: prepared.clone(),
        cluster,
    };
    tasks.spawn(Arc::clone(&app.sessions).keep(app.secrets.clone()));
    tasks.spawn(http::serve(listener, acceptor, http::router(app, others), shares.http));
    tasks.spawn(ticks(inputs.clone()));
    if let Some(certificate) = certificate {
        tasks.spawn(watch_certificate(certificate, arguments.tls));
    }

    tokio::spawn(async move {
        if prepared.wait_for(|now| *now != Preparation::Starts).await.is_ok() {
            // As it is given to a socket: the colons of an IPv6 address stand between brackets.
            let mqtt = mqtt.to_string();
            let mqtt = mqtt.split_once("://").map_or("", |(_, mqtt)| mqtt);
            let mut out = std::io::stdout();
            drop(writeln!(out, "ready mqtt={mqtt} http={http}").and_then(|()| out.flush()));
        }
    });
    let offers = several.as_ref().map(Running::offers);
    let take = async |content: Result<Box<(City, Arc<Secrets>)>, ConfigError>| match (content, &offers) {
        (Ok(content), Some(offers)) => offers(content).await,
        (content, _) => {
            if inputs.send(Input::Reload(content)).await.is_err() {
                // The engine has ended, and says why.
                std::future::pending::<()>().await;
            }
        }
    };
    let read = || {
        let (city, secrets) = read(&arguments.config, &arguments.secrets)?;
        let files = [&*arguments.config, &arguments.secrets];
        cluster::stays((&city, &secrets), files, table.as_ref(), &running)?;
        Ok(Box::new((city, secrets)))
    };
    tokio::select! {
        ended = end(engine, tasks) => return ended,
        error = ended(several.as_mut()) => return Err(error.context("the gateway ends")),
        // In this thread, as at the start: the allocator gives memory of a thread to no other, and parsing takes much.
        never = watch_files([&arguments.config, &arguments.secrets], stamps, hangup, read, take) => match never {},
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    let (reply, written) = oneshot::channel();
    let written = async {
        if let Some(several) = several
            && let Err(error) = timeout(LEAVING, several.leave()).await.map_err(Error::from).flatten()
        {
            tracing::error!("the shards are not given up: {error:#}");
        }
        cities::record_rest(&gate, &inputs).await;
        if let Err(error) = incidents.record(&inputs).await {
            tracing::error!("incidents cannot be stored: {error:#}");
        }
        drop(inputs.send(Input::End(reply)).await);
        drop(written.await);
    };
    drop(timeout(PARTING, written).await);
    Ok(())
}

/// The longest time that the engine has for its last records.
const PARTING: Duration = Duration::from_secs(5);

/// How much of it one of several gateways may take to give up its shards.
const LEAVING: Duration = Duration::from_secs(3);

/// Waits until one of several gateways must end.
async fn ended(several: Option<&mut Running>) -> Error {
    match several {
        Some(several) => several.ended().await,
        None => std::future::pending().await,
    }
}

/// Waits until the engine ends, or a task without which the gateway would be there and not work.
async fn end(engine: JoinHandle<Result<()>>, mut tasks: JoinSet<()>) -> Result<()> {
    let task = async {
        let ended = tasks.join_next().await;
        // It may have ended because the engine has, which says why.
        tokio::time::sleep(Duration::from_secs(1)).await;
        ended
    };
    tokio::select! {
        ended = engine => ended?.context("the gateway ends: nothing can be stored"),
        Some(ended) = task => {
            ended?;
            bail!("the gateway ends: a task of it has ended")
        }
    }
}

/// Starts the own broker. Returns where it is, and how far.
#[cfg(feature = "broker")]
async fn own_broker(
    address: Option<SocketAddr>,
    descriptors: usize,
    accounts: Accounts,
    tls: Option<TlsAcceptor>,
    exchange: &Exchange,
    meters: &Meters,
    tasks: &mut JoinSet<()>,
) -> Result<(Address, watch::Receiver<Preparation>)> {
    let address = address.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 1883)));
    let (address, prepared) =
        smart_city_gateway::broker::start(address, descriptors, accounts, tls, exchange, meters, tasks)
            .await?;
    Ok((Address { host: address.ip().to_string(), port: address.port(), is_tls: false }, prepared))
}

#[cfg(not(feature = "broker"))]
async fn own_broker(
    _: Option<SocketAddr>,
    _: usize,
    _: Accounts,
    _: Option<TlsAcceptor>,
    _: &Exchange,
    _: &Meters,
    _: &mut JoinSet<()>,
) -> Result<(Address, watch::Receiver<Preparation>)> {
    bail!("this gateway was built without a broker: name one with --broker")
}

/// Descriptors of the gateway's own files, and some to spare.
const OTHER_FILES: usize = 64;

/// What the descriptors are for.
#[derive(Debug, PartialEq, Eq)]
struct Shares {
    /// HTTP connections.
    http: usize,
    /// Those of them that may watch events.
    watchers: usize,
    /// Notifications and pushes.
    deliveries: usize,
    /// The own broker.
    mqtt: usize,
}

impl Shares {
    fn of(descriptors: usize) -> Self {
        let http = (descriptors / 8).min(256);
        let deliveries = (descriptors / 8).min(MOST_CONNECTIONS);
        Self { http, watchers: http / 2, deliveries, mqtt: descriptors - http - deliveries - OTHER_FILES }
    }
}

/// How many descriptors there may be: as many as the system allows at all.
fn descriptors() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(65_536);
    usize::try_from(limit).unwrap_or(65_536).clamp(256, 1 << 20)
}

/// The key that signs attestation results; made at the first start.
fn signer(path: &Path) -> Result<Signer> {
    let read_or_make = || {
        if !path.exists() {
            make_key(path)?;
            tracing::info!("{} was made: it signs attestation results", path.display());
        }
        Signer::from_pem(&Zeroizing::new(fs::read(path)?))
    };
    read_or_make().with_context(|| path.display().to_string())
}

fn make_key(path: &Path) -> Result<()> {
    let pem = Signer::generate()?;
    // It appears as a whole.
    let new = path.with_extension("new");
    let mut file = store::private().truncate(true).open(&new)?;
    file.write_all(pem.as_bytes())?;
    file.sync_all()?;
    fs::rename(new, path)?;
    store::sync_dir(folder(path))?;
    Ok(())
}

/// The folder that a file is in.
fn folder(path: &Path) -> &Path {
    path.parent().filter(|dir| *dir != Path::new("")).unwrap_or(Path::new("."))
}

fn others_read(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0)
}

async fn ticks(inputs: mpsc::Sender<Input>) {
    let mut interval = tokio::time::interval(TICK);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        if inputs.send(Input::Tick).await.is_err() {
            return;
        }
    }
}

/// Has the files taken when they have changed and are at rest, or at SIGHUP.
async fn watch_files<T>(
    [config, secrets]: [&Path; 2],
    read_at: Stamps,
    mut hangup: Signal,
    read: impl Fn() -> T,
    take: impl AsyncFn(T),
) -> Infallible {
    let mut files = Watched::new(read_at);
    loop {
        let asked = tokio::select! {
            _ = hangup.recv() => true,
            () = tokio::time::sleep(Duration::from_millis(500)) => false,
        };
        if files.are_due(stamps(config, secrets), asked) {
            take(read()).await;
        }
    }
}

/// Reads the certificate again when its files have changed and are at rest.
async fn watch_certificate(certificate: Arc<Certificate>, files: tls::Files) {
    let now = || stamps(&files.chain, &files.key);
    let mut watched = Watched::new(now());
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        if watched.are_due(now(), false) {
            match certificate.renew() {
                Ok(()) => tracing::info!("the certificate was read again"),
                Err(error) => tracing::error!("the certificate is the one of before: {error:#}"),
            }
        }
    }
}

/// Files as they were when they were read, and when they were looked at.
struct Watched<S> {
    loaded: S,
    before: S,
}

impl<S: Copy + PartialEq> Watched<S> {
    fn new(now: S) -> Self {
        Self { loaded: now, before: now }
    }

    /// Whether they are to be read: they have changed and are at rest, or it was `asked`.
    fn are_due(&mut self, now: S, asked: bool) -> bool {
        let are_due = asked || (now != self.loaded && now == self.before);
        if are_due {
            self.loaded = now;
        }
        self.before = now;
        are_due
    }
}

/// Those of two files.
type Stamps = [Option<Stamp>; 2];

fn stamps(first: &Path, second: &Path) -> Stamps {
    [first, second].map(Stamp::of)
}

/// What changes with a file. The time of its last change cannot be set, as that of its content can.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        let changed = (metadata.ctime(), metadata.ctime_nsec());
        Some(Self { inode: metadata.ino(), size: metadata.size(), changed })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn parse(line: &str) -> Result<Arguments, String> {
        let words = line.split_whitespace().map(str::to_owned);
        Arguments::parse(words).map_err(|error| error.to_string())
    }

    #[test]
    fn options_that_belong_together_are_all_there() {
        let files = "--config city.toml --secrets secrets.toml";
        for line in [
            format!("{files} --data data"),
            format!("{files} --check"),
            "--verify-audit --data d".into(),
            format!("--verify-audit --data d --name a {files}"),
            format!("{files} --data data --name a --http-url https://a.example"),
        ] {
            parse(&line).unwrap();
        }
        for (line, expected) in [
            ("", "an option is missing"),
            (files, "an option is missing"),
            ("--config city.toml --data data", "an option is missing"),
            ("--secrets secrets.toml --data data", "an option is missing"),
            ("--data data", "an option is missing"),
            ("--check", "an option is missing"),
            ("--verify-audit", "an option is missing"),
            (&format!("{files} --verify-audit"), "an option is missing"),
            (&format!("{files} --check --broker-passwords socket"), "--broker-passwords is of the broker"),
            (
                &format!("{files} --check --broker mqtt://a --broker-authorities x"),
                "--broker-authorities is of",
            ),
            (&format!("{files} --check --broker-authorities x"), "--broker-authorities is of"),
            ("--verify-audit --data d --name a", "an option is missing"),
            (&format!("{files} --check --name A"), "--name is 1 to 32"),
            (&format!("{files} --check --http-url http://a"), "--http-url is"),
            (&format!("{files} --check --files-in-force 1"), "--files-in-force is of"),
            (&format!("{files} --check --name a --files-in-force"), "--files-in-force needs a value"),
            (&format!("{files} --files-in-force --name a"), "--files-in-force is the version"),
            (&format!("{files} --check --name a --http-url javascript:a"), "--http-url is"),
            (&format!("{files} --check --broker http://a"), "--broker"),
            (&format!("{files} --check --tls-key x"), "--tls-certificate and --tls-key belong"),
            (&format!("{files} --check --tls-certificate x"), "--tls-certificate and --tls-key belong"),
            ("--data", "--data needs a value"),
            ("--date data", "there is no option --date"),
        ] {
            let error = parse(line).err().unwrap();
            assert!(error.starts_with(expected), "{line}: {error}");
        }
        let parsed =
            parse(&format!("{files} --data data --http-name a --http-name b --mqtt 127.0.0.1:1")).unwrap();
        assert_eq!((parsed.data, parsed.http_names), ("data".into(), vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(parsed.mqtt, Some(SocketAddr::from(([127, 0, 0, 1], 1))));
        let parsed = parse(&format!("{files} --data data --broker mqtt://a --broker-passwords socket"));
        assert_eq!(parsed.unwrap().passwords, Some("socket".into()));
        let tls = "--tls-certificate c --tls-key k --broker mqtts://a --broker-authorities b";
        let parsed = parse(&format!("{files} --data data {tls}")).unwrap();
        assert_eq!(parsed.tls, tls::Files { chain: "c".into(), key: "k".into() });
        assert_eq!(parsed.authorities, Some("b".into()));
    }

    /// Whatever the gateway is made of ends it, with the reason.
    #[tokio::test]
    async fn no_part_ends_alone() {
        let storing = || tokio::spawn(std::future::pending());
        for (engine, fails, expected) in [
            (storing(), true, "panic"),
            (storing(), false, "a task of it has ended"),
            (tokio::spawn(async { bail!("no space") }), true, "nothing can be stored: no space"),
        ] {
            let mut tasks = JoinSet::new();
            tasks.spawn(std::future::pending());
            tasks.spawn(async move { assert!(!fails) });
            let error = format!("{:#}", end(engine, tasks).await.unwrap_err());
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn descriptors_are_shared_out() {
        assert_eq!(Shares::of(256), Shares { http: 32, watchers: 16, deliveries: 32, mqtt: 128 });
        assert_eq!(Shares::of(20_000), Shares { http: 256, watchers: 128, deliveries: 272, mqtt: 19_408 });
    }

    #[test]
    fn a_command_may_follow_the_names_of_the_files() {
        let is_command = |line: &str| is_command(line.split_whitespace().map(str::to_owned));
        for line in ["provision x", "user add", "--config a user add", "--secrets=b --config a remove x"] {
            assert!(is_command(line), "{line}");
        }
        for line in
            ["", "--config", "--config provision", "--config a --secrets b --check", "--check provision"]
        {
            assert!(!is_command(line), "{line}");
        }
    }

    #[test]
    fn files_are_read_when_they_are_at_rest_or_one_asks() {
        let mut files = Watched::new(0);
        let due = [0, 1, 2, 2, 2, 3].map(|now| files.are_due(now, false));
        assert_eq!(due, [false, false, false, true, false, false]);
        assert!(files.are_due(4, true) && files.are_due(4, true));
        assert!(!files.are_due(4, false));
    }

    #[test]
    fn files_are_where_they_are_and_for_whom_they_are() {
        assert_eq!(folder(Path::new("key.pem")), Path::new("."));
        assert_eq!(folder(Path::new("a/b/key.pem")), Path::new("a/b"));
        let file = tempfile::NamedTempFile::new().unwrap();
        for (mode, expected) in [(0o600, false), (0o700, false), (0o640, true), (0o601, true)] {
            fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(others_read(file.path()), expected, "{mode:o}");
        }
        assert!(!others_read(Path::new("not there")));
    }
}
