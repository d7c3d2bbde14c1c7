//! The gateway's process. See [`USAGE`].
#![forbid(unsafe_code)]

use std::{
    fs,
    io::Write,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use smart_city_gateway::{
    attestation::Signer,
    audit::{self, Audit},
    config::{City, ConfigError, Secrets},
    engine::{Engine, Input, TICK},
    http::{self, App},
    mqtt,
    store::Store,
};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::{Semaphore, mpsc, watch},
};
use zeroize::Zeroizing;

const USAGE: &str = "\
usage: smart-city-gateway --config city.toml --secrets secrets.toml --data DIR
           [--broker mqtt://HOST:PORT] [--mqtt ADDRESS] [--http ADDRESS] [--http-name NAME]...
       smart-city-gateway --config city.toml --secrets secrets.toml --check
       smart-city-gateway --data DIR --verify-audit

--broker        use this broker, as the user `gateway`, instead of the own one
--mqtt          where the own broker listens; 127.0.0.1:1883 if not given, port 0 takes any
--http          where the status page is; 127.0.0.1:8080 if not given
--http-name     a name by which browsers reach the page; without one, addresses and localhost alone
--check         only check the files
--verify-audit  only verify the audit log, of a gateway that does not run

When it is ready it prints a line `ready mqtt=ADDRESS http=ADDRESS`. SIGHUP reads the files again; so does a change of them. SIGTERM
and SIGINT end it. RUST_LOG says what goes to the log, on standard error.";

#[derive(Default)]
struct Arguments {
    config: PathBuf,
    secrets: PathBuf,
    data: PathBuf,
    broker: Option<String>,
    mqtt: Option<SocketAddr>,
    http: Option<SocketAddr>,
    http_names: Vec<String>,
    check: bool,
    verify_audit: bool,
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
                "--broker" => parsed.broker = Some(value()?),
                "--mqtt" => parsed.mqtt = Some(value()?.parse()?),
                "--http" => parsed.http = Some(value()?.parse()?),
                "--http-name" => parsed.http_names.push(value()?),
                "--check" => parsed.check = true,
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
        if (parsed.verify_audit && !data) || (!parsed.verify_audit && !(files && (data || parsed.check))) {
            bail!("an option is missing\n{USAGE}");
        }
        Ok(parsed)
    }
}

fn main() -> Result<()> {
    let arguments = Arguments::parse(std::env::args().skip(1))?;
    if arguments.verify_audit {
        let (_, stored) = Store::open(&arguments.data)?;
        let (head, _) = audit::verify(&Audit::path(&arguments.data), &stored.head)?;
        println!("{} records, the chain is whole", head.n);
        return Ok(());
    }
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
    let filter =
        tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info,mqtt5=error".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    tokio::runtime::Runtime::new()?.block_on(serve(arguments, city, secrets))
}

fn read(config: &Path, secrets: &Path) -> Result<(City, Arc<Secrets>), ConfigError> {
    let city = City::read(config)?;
    let secrets = Secrets::read(secrets, &city)?;
    Ok((city, Arc::new(secrets)))
}

async fn serve(arguments: Arguments, city: City, secrets: Arc<Secrets>) -> Result<()> {
    fs::create_dir_all(&arguments.data)?;
    warn_if_others_read(&arguments.secrets);
    let signer = signer(&secrets.ear_key)?;
    let (engine, before) = Engine::open(&arguments.data, city, Arc::clone(&secrets), signer)?;
    let (jwks, events) = (engine.jwks(), engine.events());
    let (current, secrets_rx) = watch::channel(secrets);
    let descriptors = descriptors();
    let connections = (descriptors / 8).clamp(16, 256);
    let broker = match &arguments.broker {
        Some(url) => host_and_port(url)?,
        None => own_broker(arguments.mqtt, descriptors - connections - OTHER_FILES, secrets_rx.clone()).await?,
    };
    let listener =
        TcpListener::bind(arguments.http.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 8080)))).await?;
    let (keeps_accounts, view) = (arguments.broker.is_some(), engine.view());
    let (inputs, mut is_ready, mut engine) =
        mqtt::start(broker.clone(), &secrets_rx, keeps_accounts, engine, before);

    let audit = Audit::path(&arguments.data);
    let app = App {
        engine: inputs.clone(),
        view,
        names: arguments.http_names.into(),
        // The other half is for all else.
        watchers: Arc::new(Semaphore::new(connections / 2)),
        events,
        secrets: secrets_rx,
        jwks,
        audit,
    };
    let address = listener.local_addr()?;
    tokio::spawn(http::serve(listener, http::router(app), connections));
    tokio::spawn(ticks(inputs.clone()));
    tokio::spawn(watch_files(arguments.config, arguments.secrets, current, inputs));

    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::spawn(async move {
        if is_ready.wait_for(|ready| *ready).await.is_ok() {
            println!("ready mqtt={}:{} http={address}", broker.0, broker.1);
            drop(std::io::stdout().flush());
        }
    });
    tokio::select! {
        ended = &mut engine => ended?.context("the gateway ends: nothing can be stored"),
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    }?;
    // Whatever was not stored was not answered either: there is nothing to wait for.
    std::process::exit(0);
}

#[cfg(feature = "broker")]
async fn own_broker(
    address: Option<SocketAddr>,
    connections: usize,
    secrets: watch::Receiver<Arc<Secrets>>,
) -> Result<(String, u16)> {
    let address = address.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 1883)));
    let address = smart_city_gateway::broker::start(address, connections, secrets).await?;
    Ok((address.ip().to_string(), address.port()))
}

#[cfg(not(feature = "broker"))]
async fn own_broker(_: Option<SocketAddr>, _: usize, _: watch::Receiver<Arc<Secrets>>) -> Result<(String, u16)> {
    bail!("this gateway was built without a broker: name one with --broker")
}

/// Descriptors of the gateway's own files, and some to spare.
const OTHER_FILES: usize = 64;

/// How many descriptors there may be: as many as the system allows at all. An eighth is for HTTP, at most 256, the rest for MQTT.
fn descriptors() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(65_536);
    usize::try_from(limit).unwrap_or(65_536).clamp(256, 1 << 20)
}

fn host_and_port(url: &str) -> Result<(String, u16)> {
    let address = url.strip_prefix("mqtt://").context("a broker is named as mqtt://HOST:PORT")?;
    let (host, port) = address.trim_end_matches('/').rsplit_once(':').unwrap_or((address, "1883"));
    Ok((host.to_owned(), port.parse().context("the port of the broker")?))
}

/// The key that signs attestation results; made at the first start.
fn signer(path: &Path) -> Result<Signer> {
    use std::os::unix::fs::OpenOptionsExt;
    if !path.exists() {
        let pem = Signer::generate()?;
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(pem.as_bytes())?;
        file.sync_all()?;
    }
    let pem = Zeroizing::new(fs::read(path)?);
    Signer::from_pem(&pem).with_context(|| path.display().to_string())
}

fn warn_if_others_read(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    if fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0) {
        tracing::warn!("{} can be read by others: chmod 600", path.display());
    }
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

/// Reads the files again when they have changed and are at rest, or at SIGHUP.
async fn watch_files(
    config: PathBuf,
    secrets: PathBuf,
    current: watch::Sender<Arc<Secrets>>,
    inputs: mpsc::Sender<Input>,
) {
    use std::os::unix::fs::MetadataExt;
    // To read large files twice a second would keep a core busy.
    let stamp = |path: &Path| {
        let metadata = fs::metadata(path).ok()?;
        Some((metadata.dev(), metadata.ino(), metadata.len(), metadata.mtime(), metadata.mtime_nsec()))
    };
    let content = || (stamp(&config), stamp(&secrets));
    let Ok(mut hangup) = signal(SignalKind::hangup()) else { return };
    let (mut loaded, mut before) = (content(), content());
    loop {
        let asked = tokio::select! {
            _ = hangup.recv() => true,
            () = tokio::time::sleep(Duration::from_millis(500)) => false,
        };
        let now = content();
        if asked || (now != loaded && now == before) {
            let files = read(&config, &secrets);
            let input = files.map(|files| {
                let secrets = Arc::clone(&files.1);
                current.send_replace(secrets);
                Box::new(files)
            });
            loaded = now;
            if inputs.send(Input::Reload(input)).await.is_err() {
                return;
            }
        }
        before = now;
    }
}
