//! The gateway as one of several that share the devices of a city, by the database that they have in common.
//!
//! One task says again and again that this gateway is there, and nothing keeps it from that. If it cannot for the time of a lease, the gateway
//! ends: others have its devices by then. Another task follows what it sees: it gives shards up and takes some, each with its session at
//! the broker, until all gateways have a fair share.
//!
//! A shard is given up in this order: its session stops, the engine stores how far its links are and forgets them, and the lease ends. It is
//! taken the other way round. So nobody reads what comes for a shard, and nothing of it is acknowledged, without having it.

use std::{
    collections::BTreeMap,
    fmt, mem,
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Error, Result, bail};
use prometheus_client::metrics::gauge::Gauge;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use smart_city_engine::{
    attestation::Signer,
    config::{self, City, ConfigError, Secret, Secrets},
    engine::Input,
    policy::{self, Policy},
    store::Shard,
    view::SharedView,
};
use smart_city_frame::DeviceId;
use smart_city_store_postgres::{
    Database, Fenced, Gateway, Limits, Load,
    leases::{Configuration, Decision, Lease, Member, Offer, View},
};
use tokio::{
    sync::{Notify, mpsc, oneshot, watch},
    task::{JoinHandle, JoinSet},
    time::{sleep, timeout},
};

use crate::{
    exchange::{Limited, lock},
    mqtt::{Name, Session, Sessions},
};

/// The longest time that one try at the database may take. A gateway that was stopped in the middle of one holds others up for so long.
const ATTEMPT: Duration = Duration::from_secs(10);

/// The longest time until it is seen that shards are free.
const LOOK: Duration = Duration::from_secs(1);

/// The pause before another try, if the lease was not renewed.
const PAUSE: Duration = Duration::from_millis(250);

/// The engine is stuck if it has finished nothing for so long, or for the time of [`FAILS`] leases.
const STUCK: Duration = Duration::from_secs(30);

/// Leases for which something must have failed that devices need, until the gateway is not ready.
const FAILS: u32 = 3;

/// Leases for which somebody else must have been ready while this gateway was not, until it gives its shards up. If the broker is away for
/// all, nobody does; and when it is back, the others have the time to be ready again.
const GIVES_UP: u32 = 2;

/// How long a gateway that ends waits for a shard whose links are deleted just then.
const LOADED: Duration = Duration::from_secs(1);

/// Leases for which a gateway that could serve nothing is not ready, unless it can load a shard: it would only fail again.
const RESTS: u32 = 30;

/// What `city.toml` says of the database; none if there is one gateway.
///
/// # Errors
/// If it is no address of a database, or the file with its authorities cannot be read.
pub fn check(city: &City) -> Result<(), ConfigError> {
    let Some(cluster) = &city.cluster else { return Ok(()) };
    if let Some(path) = &cluster.authorities {
        let fault = |error: Error| city.cluster_fault("authorities", format!("{error:#}"));
        smart_city_address::trust(Some(path)).map_err(fault)?;
    }
    let fault = |error: Error| city.cluster_fault("database", format!("{error:#}"));
    database(cluster, None, cluster.lease).map_err(fault)?;
    Ok(())
}

/// Where the store of the gateway with this name is.
///
/// # Errors
/// If the files say nothing of several gateways.
pub fn store(name: &str, city: &City, secrets: &Secrets) -> Result<Gateway> {
    let cluster = city.cluster.as_ref().context("city.toml has no [cluster]")?;
    let password = secrets.database_password.as_ref().map(Secret::as_str);
    let database = database(cluster, password, cluster.lease).context("the database")?;
    Ok(Gateway { database, name: name.to_owned(), shards: cluster.shards })
}

/// The database, of which one try may take so long.
fn database(cluster: &config::Cluster, password: Option<&str>, attempt: Duration) -> Result<Database> {
    let tls = cluster.authorities.as_deref().map(|path| smart_city_address::trust(Some(path))).transpose()?;
    let attempt = attempt.min(ATTEMPT);
    // If it is away for longer, the gateway has ended.
    let limits = Limits { attempt, patience: cluster.lease + attempt, ..Limits::default() };
    Database::new(&cluster.database, password, tls, limits)
}

/// Makes the hash of what decides in a gateway: those with the same hash decide the same. Whoever does not have the key that signs attestation
/// results cannot try by it what is in the files.
#[derive(Clone)]
struct Hash([u8; 32]);

impl Hash {
    fn new(signer: &Signer) -> Self {
        Self(signer.keyed_hash(b"configuration of several gateways"))
    }

    fn of(&self, city: &City, secrets: &Secrets) -> String {
        let mut hash = Sha256::new();
        // Each has the same length always. Not the program's version: another one with the same policy may run beside it.
        for part in [&self.0[..], &city.digest, &secrets.digest, &policy::hash()] {
            hash.update(part);
        }
        hex::encode(hash.finalize())
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hash { .. }")
    }
}

/// What one of several gateways begins with.
#[derive(Clone, Debug)]
pub struct Seat {
    store: Gateway,
    cluster: config::Cluster,
    /// For the lease: there is time for another try before it is over.
    leases: Database,
    /// Of the files that it was started with.
    started: String,
    hash: Hash,
    /// Whether its files were those in force since it started.
    is_in_force: watch::Sender<bool>,
}

impl Seat {
    /// The one with this name, by the files; none if there is one gateway.
    ///
    /// # Errors
    /// If there are several and it has no name, or the other way round.
    pub fn new(name: Option<&str>, city: &City, secrets: &Secrets, signer: &Signer) -> Result<Option<Self>> {
        let (cluster, name) = match (&city.cluster, name) {
            (None, None) => return Ok(None),
            (Some(cluster), Some(name)) => (cluster.clone(), name),
            (Some(_), None) => bail!("city.toml has [cluster]: each gateway needs --name, with another name"),
            (None, Some(_)) => bail!("--name is for one of several gateways, and city.toml has no [cluster]"),
        };
        let store = store(name, city, secrets)?;
        let password = secrets.database_password.as_ref().map(Secret::as_str);
        let leases = database(&cluster, password, cluster.lease / 3)?;
        let hash = Hash::new(signer);
        let started = hash.of(city, secrets);
        let is_in_force = watch::Sender::new(false);
        Ok(Some(Self { store, cluster, leases, started, hash, is_in_force }))
    }

    /// Where its store is.
    #[must_use]
    pub const fn place(&self) -> &Gateway {
        &self.store
    }

    /// As what the gateway is known to the broker.
    #[must_use]
    pub fn at_broker(&self) -> Name {
        Name { name: self.store.name.clone(), is_in_force: self.is_in_force.subscribe() }
    }
}

/// Whether files that were read again can be taken over by a gateway that was started with `before` and runs with `running`. If several share
/// a city, files that one refuses must not come into force.
///
/// # Errors
/// If they cannot.
pub fn stays(
    (city, secrets): (&City, &Secrets),
    [config, secrets_file]: [&Path; 2],
    before: Option<&config::Cluster>,
    running: &Secrets,
) -> Result<(), ConfigError> {
    const FIXED: &str = "changes at a start only";
    if city.cluster.as_ref() != before {
        return Err(city.cluster_fault("", FIXED));
    }
    if before.is_none() {
        // The engine says so.
        return Ok(());
    }
    let fault = |file: &Path, field: &str, message: String| ConfigError {
        file: file.to_owned(),
        line: None,
        field: field.to_owned(),
        message,
    };
    if !secrets.gateway_password.matches(running.gateway_password.as_str().as_bytes()) {
        return Err(fault(secrets_file, "gateway_password", FIXED.to_owned()));
    }
    if secrets.ear_key != running.ear_key {
        return Err(fault(secrets_file, "ear_key", FIXED.to_owned()));
    }
    Policy::new(&city.users, &city.streams).map(drop).map_err(|error| fault(config, "", format!("{error:#}")))
}

/// Files that were read, and the hash of what was read.
#[derive(Debug)]
struct Files {
    hash: String,
    content: Box<(City, Arc<Secrets>)>,
}

/// The gateways of a city, as one of them sees them.
#[derive(Debug)]
pub struct Cluster {
    seat: Seat,
    url: String,
    vitals: Vitals,
    now: Mutex<Now>,
}

/// By what it is known how a gateway is.
#[derive(Clone, Debug)]
pub struct Vitals {
    /// 1 if it is connected to its broker.
    pub connected: Gauge,
    /// What the engine has decided last.
    pub view: SharedView,
}

#[derive(Debug)]
struct Now {
    seen: Seen,
    /// The hash of the files that the engine has.
    loaded: String,
    /// The hash of the files that were read last.
    offered: String,
    held: BTreeMap<u16, Held>,
    /// How many shards were given up.
    given_up: u64,
    /// When nothing failed that devices need; none before it was connected to the broker. The accounts there may take much longer.
    worked: Option<Instant>,
    /// When it could load no shard, or gave up those that it could not serve; none if it has loaded one since.
    failed: Option<Instant>,
    /// Whether the engine knows which devices of others are isolated.
    knows_isolated: bool,
    /// Since when somebody offers other files than those in force.
    disagreed: Option<Instant>,
}

impl Now {
    fn new(seen: Seen, files: &str) -> Self {
        let files = files.to_owned();
        let (held, given_up, worked, failed, disagreed) = (BTreeMap::new(), 0, None, None, None);
        let (loaded, offered) = (files.clone(), files);
        Self { seen, loaded, offered, held, given_up, worked, failed, knows_isolated: false, disagreed }
    }

    fn has_seen(&mut self, seen: Seen) {
        let in_force = &seen.view.configuration.hash;
        let is_disagreed = seen.view.members.iter().any(|peer| peer.offer.configuration != *in_force);
        self.disagreed = is_disagreed.then(|| self.disagreed.unwrap_or(seen.asked));
        self.seen = seen;
    }
}

/// What a gateway saw last, and when it asked for that.
#[derive(Clone, Debug)]
struct Seen {
    asked: Instant,
    view: View,
}

/// A shard that the engine has.
#[derive(Debug)]
struct Held {
    term: i64,
    session: Session,
}

/// Another gateway, that has a device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Elsewhere {
    /// Its name; none if nobody has the device now.
    pub gateway: Option<String>,
    /// Where its operators go.
    pub url: Option<String>,
}

/// Numbers for monitoring.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Counts {
    /// Shards that this gateway has.
    pub held: usize,
    /// Seconds since its lease was last renewed.
    pub lease_age: f64,
    /// The version of the configuration in force.
    pub version: i64,
    /// Seconds for which a gateway has offered other files than those in force; 0 if none does.
    pub disagreement: f64,
}

impl Cluster {
    /// Joins the others. `url` is where operators find this gateway. In place of the version that it `replaces` its files may come into force
    /// by it alone.
    ///
    /// # Errors
    /// If the database does not take it, or `replaces` is a version that may come later.
    pub async fn join(
        seat: Seat,
        url: String,
        vitals: Vitals,
        replaces: Option<i64>,
    ) -> Result<(Arc<Self>, Member)> {
        // When it is ready it says so.
        let offer = Offer { url: url.clone(), configuration: seat.started.clone(), is_ready: false };
        let (database, name) = (seat.leases.clone(), &seat.store.name);
        let mut member = Member::join(database, name, seat.cluster.lease, &offer, replaces).await?;
        let asked = Instant::now();
        let view = match member.renew(&offer).await {
            Ok(view) => view,
            Err(error) => {
                drop(member.leave().await);
                return Err(error);
            }
        };
        let Configuration { version, hash } = &view.configuration;
        if replaces.is_some_and(|replaced| replaced > *version) {
            drop(member.leave().await);
            bail!("--files-in-force names a version that is not there yet: version {version} is in force");
        }
        if let Some(replaced) = replaces.filter(|replaced| replaced != version && *hash != seat.started) {
            tracing::warn!(version, replaced, "--files-in-force does nothing: another version is in force");
        }
        let seen = Seen { asked, view };
        let now = Mutex::new(Now::new(seen, &seat.started));
        Ok((Arc::new(Self { seat, url, vitals, now }), member))
    }

    /// Whether it can serve devices, or could until lately.
    fn is_working(&self) -> bool {
        self.fails().is_some_and(|time| time < FAILS * self.seat.cluster.lease)
    }

    /// For how long something has failed that devices need; none if it was never connected to the broker.
    fn fails(&self) -> Option<Duration> {
        let mut now = lock(&self.now);
        let has_rested = now.failed.is_none_or(|failed| failed.elapsed() > RESTS * self.seat.cluster.lease);
        let is_connected = self.vitals.connected.get() == 1;
        // One session that fails does not take the others with it.
        let serves = now.held.is_empty() || now.held.values().any(|held| held.session.is_connected());
        if has_rested && is_connected && serves && now.knows_isolated {
            now.worked = Some(Instant::now());
        }
        now.worked.map(|time| time.elapsed())
    }

    /// Who has a device that this gateway does not have; none if this one has it.
    #[must_use]
    pub fn elsewhere(&self, device: DeviceId) -> Option<Elsewhere> {
        let now = lock(&self.now);
        let shard = device.shard(self.seat.cluster.shards);
        if now.held.contains_key(&shard) {
            return None;
        }
        let view = &now.seen.view;
        let lease = view.leases.iter().find(|lease| lease.shard == shard);
        let holder = lease.and_then(|lease| lease.holder).filter(|holder| *holder != view.me);
        let holder = view.members.iter().find(|peer| Some(peer.member) == holder);
        let holder = holder.map(|peer| (peer.name.clone(), peer.offer.url.clone()));
        let (gateway, url) = holder.unzip();
        Some(Elsewhere { gateway, url })
    }

    /// Whether this gateway has the files in force, and what comes for its shards comes here.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let now = lock(&self.now);
        let is_connected = |shard| now.held.get(&shard).is_some_and(|held| held.session.is_connected());
        let view = &now.seen.view;
        now.loaded == view.configuration.hash && view.held().all(|(shard, _)| is_connected(shard))
    }

    /// Whether it has ever had the files in force.
    #[must_use]
    pub fn is_in_force(&self) -> bool {
        *self.seat.is_in_force.borrow()
    }

    /// For monitoring.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let now = lock(&self.now);
        let seconds = |since: Instant| since.elapsed().as_secs_f64();
        Counts {
            held: now.held.len(),
            lease_age: seconds(now.seen.asked),
            version: now.seen.view.configuration.version,
            disagreement: now.disagreed.map_or(0.0, seconds),
        }
    }

    /// For `/status`.
    #[must_use]
    pub fn status(&self) -> Value {
        let now = lock(&self.now);
        let view = &now.seen.view;
        let Configuration { version, hash } = &view.configuration;
        let members = view.members.iter().map(|peer| {
            let Offer { url, configuration, is_ready } = &peer.offer;
            json!({ "name": peer.name, "url": url, "offers": configuration, "is_ready": is_ready })
        });
        let shards = view.leases.iter().map(|Lease { shard, term, holder }| {
            let holder = view.members.iter().find(|peer| Some(peer.member) == *holder).map(|peer| &peer.name);
            let mut value = json!({ "shard": shard, "term": term, "holder": holder });
            if let Some(held) = now.held.get(shard) {
                value["is_connected"] = held.session.is_connected().into();
            }
            value
        });
        json!({
            "name": self.seat.store.name,
            "configuration": {
                "version": version, "hash": hash, "offered": now.offered, "is_applied": now.loaded == *hash,
            },
            "members": members.collect::<Value>(),
            "shards": shards.collect::<Value>(),
        })
    }
}

/// A gateway that is one of several.
#[derive(Debug)]
pub struct Running {
    seat: Seat,
    files: mpsc::Sender<Files>,
    leave: oneshot::Sender<()>,
    task: JoinHandle<Result<()>>,
}

impl Running {
    /// Begins, with what leads to the engine, and the secrets that it has taken over.
    #[must_use]
    pub fn start(
        cluster: Arc<Cluster>,
        member: Member,
        inputs: mpsc::Sender<Input>,
        secrets: watch::Receiver<Arc<Secrets>>,
        sessions: Sessions,
    ) -> Self {
        let joined = lock(&cluster.now).seen.clone();
        let acted = joined.asked;
        let (views, mut seen) = watch::channel(joined);
        seen.mark_changed();
        let again = Arc::new(Notify::new());
        let (taken_over, takers) = mpsc::channel(1);
        let (files, files_rx) = mpsc::channel(1);
        let (leave, to_leave) = oneshot::channel();
        let seat = cluster.seat.clone();
        let keeper = Keeper {
            cluster: Arc::clone(&cluster),
            member: member.beside(),
            inputs,
            secrets,
            sessions,
            pending: Vec::new(),
            loading: JoinSet::new(),
            loads: None,
            ends: watch::Sender::new(false),
            taken_over,
            lost: Vec::new(),
            unloaded: BTreeMap::new(),
            outdone: None,
            again: Arc::clone(&again),
            acted,
            warning: Limited::default(),
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(follow_isolated(
            Arc::clone(&cluster),
            member.beside(),
            keeper.inputs.clone(),
            seen.clone(),
        ));
        tasks.spawn(renew(cluster, member, views, again));
        tasks.spawn(keeper.run(seen, files_rx, takers, to_leave));
        let task = tokio::spawn(async move { tasks.join_next().await.context("there is no task")?? });
        Self { seat, files, leave, task }
    }

    /// Until others have its devices, or may have: why the gateway must end.
    pub async fn ended(&mut self) -> Error {
        match (&mut self.task).await {
            Ok(Ok(())) => Error::msg("it has left the other gateways"),
            Ok(Err(error)) => error,
            Err(error) => error.into(),
        }
    }

    /// What takes files that were read: they are applied when all gateways have them.
    pub fn offers(&self) -> impl AsyncFn(Box<(City, Arc<Secrets>)>) + use<> {
        let (seat, files) = (self.seat.clone(), self.files.clone());
        async move |content: Box<(City, Arc<Secrets>)>| {
            let hash = seat.hash.of(&content.0, &content.1);
            drop(files.send(Files { hash, content }).await);
        }
    }

    /// Gives up all shards, so that others have them at once.
    ///
    /// # Errors
    /// Others have them already, or may have.
    pub async fn leave(self) -> Result<()> {
        let _ = self.leave.send(());
        self.task.await?
    }
}

/// Says again and again that the gateway is there.
async fn renew(
    cluster: Arc<Cluster>,
    mut member: Member,
    views: watch::Sender<Seen>,
    again: Arc<Notify>,
) -> Result<()> {
    let lease = cluster.seat.cluster.lease;
    let (mut last, mut warning) = (views.borrow().asked, Limited::default());
    loop {
        let asked = Instant::now();
        let left = lease.checked_sub(last.elapsed()).with_context(|| {
            format!("its lease was not renewed for {} s: others may have its devices by now", lease.as_secs())
        })?;
        if let Some(age) = cluster.vitals.view.age().filter(|age| *age > STUCK.max(FAILS * lease)) {
            bail!("its engine is stuck for {} s: others are to have its devices", age.as_secs());
        }
        let is_ready = cluster.is_working();
        let configuration = lock(&cluster.now).offered.clone();
        let offer = Offer { url: cluster.url.clone(), configuration, is_ready };
        let renewed = timeout(left, member.renew(&offer)).await.map_err(Error::from).flatten();
        let pause = match renewed {
            // Whoever was stopped meanwhile sees what was.
            Ok(_) if asked.elapsed() >= lease => continue,
            Ok(view) => {
                last = asked;
                let seen = Seen { asked, view };
                lock(&cluster.now).has_seen(seen.clone());
                views.send_replace(seen);
                LOOK.min(lease / 3)
            }
            Err(error) if error.is::<Fenced>() => return Err(error),
            Err(error) => {
                if let Some(left_out) = warning.due(Instant::now()) {
                    tracing::warn!(left_out, "the lease was not renewed: {error:#}");
                }
                PAUSE
            }
        };
        tokio::select! {
            () = sleep(pause) => {}
            () = again.notified() => {}
        }
    }
}

/// Tells the engine which devices of others are isolated.
async fn tell_isolated(cluster: &Cluster, member: &mut Member, inputs: &mpsc::Sender<Input>) -> Result<()> {
    loop {
        let before = lock(&cluster.now).given_up;
        let mut isolated = member.isolated().await?;
        let Ok(place) = inputs.reserve().await else {
            // The engine has ended, and says why.
            return std::future::pending().await;
        };
        let now = lock(&cluster.now);
        // What was given up meanwhile the engine knows better.
        if now.given_up == before {
            isolated.retain(|id| !now.held.contains_key(&id.shard(cluster.seat.cluster.shards)));
            place.send(Input::Elsewhere(isolated));
            return Ok(());
        }
    }
}

/// Tells it after each look at the others, whatever else is done meanwhile.
async fn follow_isolated(
    cluster: Arc<Cluster>,
    mut member: Member,
    inputs: mpsc::Sender<Input>,
    mut seen: watch::Receiver<Seen>,
) -> Result<()> {
    let mut warning = Limited::default();
    loop {
        if seen.changed().await.is_err() {
            // Who looks at the others has ended, and says why.
            return std::future::pending().await;
        }
        if let Err(error) = tell_isolated(&cluster, &mut member, &inputs).await
            && let Some(left_out) = warning.due(Instant::now())
        {
            tracing::warn!(left_out, "isolated devices of other gateways are not known: {error:#}");
        }
    }
}

/// Gives shards up and takes some, as the gateway sees the others.
struct Keeper {
    cluster: Arc<Cluster>,
    member: Member,
    inputs: mpsc::Sender<Input>,
    secrets: watch::Receiver<Arc<Secrets>>,
    sessions: Sessions,
    /// Files that are not in force yet, or were not when that was last asked for: when each was read, and the last ones last.
    pending: Vec<(Instant, Files)>,
    /// One at a time, so that the newest view says what comes next: a shard, its term and what is stored of it.
    loading: JoinSet<(u16, i64, Result<Shard>)>,
    /// The shard that is being loaded.
    loads: Option<u16>,
    /// Ends the load of a shard whose links are still in the database.
    ends: watch::Sender<bool>,
    /// Gets the shards with whose session somebody else has gone on.
    taken_over: mpsc::Sender<u16>,
    /// Those shards, as long as it is not seen who has their leases.
    lost: Vec<u16>,
    /// Shards that could not be loaded, and when.
    unloaded: BTreeMap<u16, Instant>,
    /// Since when somebody else is ready and this gateway is not.
    outdone: Option<Instant>,
    /// Has the lease renewed now.
    again: Arc<Notify>,
    /// When something was last done: what was asked for before does not show it.
    acted: Instant,
    warning: Limited,
}

impl Keeper {
    async fn run(
        mut self,
        mut seen: watch::Receiver<Seen>,
        mut files: mpsc::Receiver<Files>,
        mut takers: mpsc::Receiver<u16>,
        mut leave: oneshot::Receiver<()>,
    ) -> Result<()> {
        loop {
            tokio::select! {
                // If it is closed, who looks at the others has ended, and says why.
                Ok(()) = seen.changed() => {
                    let seen = seen.borrow_and_update().clone();
                    self.follow(seen).await?;
                }
                Some(files) = files.recv() => {
                    lock(&self.cluster.now).offered.clone_from(&files.hash);
                    self.pending.retain(|(_, before)| before.hash != files.hash);
                    self.pending.push((Instant::now(), files));
                    self.again.notify_one();
                }
                Some(shard) = takers.recv() => {
                    self.lost.push(shard);
                    self.has_acted();
                }
                Some(loaded) = self.loading.join_next() => {
                    self.loads = None;
                    let (shard, term, loaded) = loaded?;
                    self.take(shard, term, loaded).await?;
                }
                _ = &mut leave => return self.leave().await,
            }
        }
    }

    /// What was asked for before does not show what was done now.
    fn has_acted(&mut self) {
        self.acted = Instant::now();
        self.again.notify_one();
    }

    async fn follow(&mut self, Seen { asked, view }: Seen) -> Result<()> {
        if asked < self.acted {
            self.again.notify_one();
            return Ok(());
        }
        // Before files are in force by which the history is shown, and before it has any shard.
        if !lock(&self.cluster.now).knows_isolated {
            let told = tell_isolated(&self.cluster, &mut self.member, &self.inputs).await;
            if self.passing(told)?.is_none() {
                return Ok(());
            }
            lock(&self.cluster.now).knows_isolated = true;
        }
        self.apply(&view.configuration, asked).await;
        let had: BTreeMap<u16, i64> = view.held().collect();
        let has: BTreeMap<u16, i64> =
            lock(&self.cluster.now).held.iter().map(|(shard, held)| (*shard, held.term)).collect();
        for (shard, term) in &has {
            if had.get(shard) != Some(term) {
                let newest =
                    view.leases.iter().find(|lease| lease.shard == *shard).map_or(0, |lease| lease.term);
                bail!(Fenced::Shard { shard: *shard, term: *term, newest });
            }
        }
        // Whoever has gone on with them does not have the lease.
        for shard in mem::take(&mut self.lost) {
            if let Some(held) = lock(&self.cluster.now).held.get_mut(&shard) {
                tracing::warn!(
                    shard,
                    "somebody else has gone on with its session at the broker: it is taken back"
                );
                held.session = self.session(shard);
            }
        }
        let Decision { mut release, take } = view.decide();
        release.retain(|lease| self.loads != Some(lease.shard));
        let mut ready = view.members.iter().filter(|peer| peer.offer.is_ready);
        if ready.any(|peer| peer.member == view.me) {
            self.outdone = None;
            // Of those that it serves one for each view: meanwhile it serves the others.
            let mut may = true;
            release.retain(|lease| !has.contains_key(&lease.shard) || mem::take(&mut may));
        } else {
            let others = view.members.iter().any(|peer| peer.offer.is_ready);
            self.outdone = others.then(|| self.outdone.unwrap_or_else(Instant::now));
            let limit = GIVES_UP * self.cluster.seat.cluster.lease;
            if self.outdone.is_none_or(|since| since.elapsed() < limit) {
                release.clear();
            }
            if !release.is_empty() {
                lock(&self.cluster.now).failed = Some(Instant::now());
            }
        }
        if !release.is_empty() {
            self.release(&release).await?;
            self.has_acted();
        }
        if lock(&self.cluster.now).loaded == view.configuration.hash && self.cluster.fails().is_some() {
            for lease in take {
                let taken = self.member.take(lease).await;
                self.passing(taken)?;
                self.has_acted();
            }
        }
        let left = had.into_iter().filter(|(shard, _)| {
            !has.contains_key(shard) && release.iter().all(|lease| lease.shard != *shard)
        });
        // One that cannot be loaded keeps no other back.
        let next = left.min_by_key(|(shard, _)| self.unloaded.get(shard).copied());
        if let (None, Some((shard, term))) = (self.loads, next) {
            self.loads = Some(shard);
            let database = self.cluster.seat.store.database.clone();
            let ends = self.ends.subscribe();
            self.loading.spawn(async move { (shard, term, load(&database, shard, term, ends).await) });
        }
        Ok(())
    }

    /// Has the engine take over the files that are in force, or were when it was asked, if they are here.
    async fn apply(&mut self, configuration: &Configuration, asked: Instant) {
        if let Some(at) = self.pending.iter().position(|(_, files)| files.hash == configuration.hash) {
            let (_, Files { hash, content }) = self.pending.remove(at);
            let secrets = Arc::clone(&content.1);
            self.tell(Input::Reload(Ok(content))).await;
            self.ask(Input::Stored).await;
            let mut now = lock(&self.cluster.now);
            if Arc::ptr_eq(&secrets, &self.secrets.borrow()) {
                now.loaded = hash;
                tracing::info!(version = configuration.version, "the configuration is in force");
            } else if now.offered == hash {
                // The engine says why it does not take them over. Others must know that this gateway does not have them.
                now.offered = now.loaded.clone();
                self.again.notify_one();
            }
        }
        // Those of before are not offered any more, and so do not come into force.
        if self.pending.last().is_some_and(|(read, _)| *read < asked) {
            self.pending.drain(..self.pending.len() - 1);
        }
        if lock(&self.cluster.now).loaded == configuration.hash {
            self.cluster.seat.is_in_force.send_if_modified(|is| !mem::replace(is, true));
        } else if let Some(left_out) = self.warning.due(Instant::now()) {
            tracing::warn!(
                version = configuration.version,
                left_out,
                "other files are in force: this gateway takes no shard until all gateways have the same ones"
            );
        }
    }

    /// Goes on with a shard of which this gateway has the lease, and that was loaded.
    async fn take(&mut self, shard: u16, term: i64, loaded: Result<Shard>) -> Result<()> {
        let loaded = self.passing(loaded.with_context(|| format!("shard {shard}")))?;
        let Some(loaded) = loaded else {
            // It is tried again when the lease is next renewed.
            self.unloaded.insert(shard, Instant::now());
            let mut now = lock(&self.cluster.now);
            if now.held.is_empty() {
                now.failed = Some(Instant::now());
            }
            return Ok(());
        };
        self.unloaded.remove(&shard);
        lock(&self.cluster.now).failed = None;
        self.have(loaded).await;
        let session = self.session(shard);
        lock(&self.cluster.now).held.insert(shard, Held { term, session });
        tracing::info!(shard, term, "taken");
        self.has_acted();
        Ok(())
    }

    /// Has the engine take a shard over.
    async fn have(&self, loaded: Shard) {
        self.tell(Input::Take(Box::new(loaded))).await;
        self.ask(Input::Stored).await;
    }

    fn session(&self, shard: u16) -> Session {
        self.sessions.go_on(shard, self.taken_over.clone())
    }

    /// Gives shards up.
    async fn release(&mut self, leases: &[Lease]) -> Result<()> {
        let mut stored = Vec::new();
        for lease in leases {
            let held = {
                let mut now = lock(&self.cluster.now);
                now.given_up += 1;
                now.held.remove(&lease.shard)
            };
            if let Some(Held { session, .. }) = held {
                session.stop().await;
            }
            let (reply, is_stored) = oneshot::channel();
            self.tell(Input::Release { shard: lease.shard, reply }).await;
            stored.push(is_stored);
        }
        for (lease, is_stored) in leases.iter().zip(stored) {
            answer(is_stored).await;
            // Only now it knows all that was found out about the shard's devices.
            lock(&self.cluster.now).given_up += 1;
            let released = self.member.release(*lease).await;
            if self.passing(released)?.is_some() {
                tracing::info!(shard = lease.shard, term = lease.term, "given up");
            }
        }
        Ok(())
    }

    /// Gives up all shards, so that others have them at once.
    async fn leave(mut self) -> Result<()> {
        self.ends.send_replace(true);
        let held = |(shard, held): (&u16, &Held)| Lease { shard: *shard, term: held.term, holder: None };
        let leases: Vec<Lease> = lock(&self.cluster.now).held.iter().map(held).collect();
        self.release(&leases).await?;
        // The links of one that was loaded are in the database no more: the engine stores them again. Others take none of the shards before
        // this gateway has left.
        if let Ok(Some(loaded)) = timeout(LOADED, self.loading.join_next()).await
            && let (shard, term, Ok(loaded)) = loaded?
        {
            self.have(loaded).await;
            self.release(&[Lease { shard, term, holder: None }]).await?;
        }
        self.member.leave().await
    }

    async fn tell(&self, input: Input) {
        if self.inputs.send(input).await.is_err() {
            // The engine has ended, and says why.
            std::future::pending::<()>().await;
        }
    }

    async fn ask<T>(&self, input: impl FnOnce(oneshot::Sender<T>) -> Input) -> T {
        let (reply, answered) = oneshot::channel();
        self.tell(input(reply)).await;
        answer(answered).await
    }

    /// What was done in the database; none if it was not and may be tried again, as the next view shows.
    fn passing<T>(&mut self, done: Result<T>) -> Result<Option<T>> {
        match done {
            Ok(done) => Ok(Some(done)),
            Err(error) if error.is::<Fenced>() => Err(error),
            Err(error) => {
                if let Some(left_out) = self.warning.due(Instant::now()) {
                    tracing::warn!(left_out, "tried again: {error:#}");
                }
                Ok(None)
            }
        }
    }
}

/// Loads a shard, unless `ends` says that the gateway is about to end before its links are deleted.
async fn load(database: &Database, shard: u16, term: i64, mut ends: watch::Receiver<bool>) -> Result<Shard> {
    let read = tokio::select! {
        read = Load::read(database, shard, term) => read?,
        _ = ends.wait_for(|ends| *ends) => bail!("the gateway is about to end"),
    };
    read.finish().await
}

/// What the engine answers. If it does not, it has ended, and says why.
async fn answer<T>(answered: oneshot::Receiver<T>) -> T {
    match answered.await {
        Ok(answer) => answer,
        Err(_) => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use smart_city_store_postgres::leases::Peer;

    use super::*;

    const CLUSTER: &str = "database = \"host=localhost user=city\"\nshards = 4\n";

    /// The example's files with this table.
    fn files(table: &str) -> (City, Secrets) {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("example");
        let text = fs::read_to_string(example.join("city.toml")).unwrap();
        let path = example.join("city.toml");
        let city = City::of_text(&format!("{text}\n[cluster]\n{table}"), &path).unwrap();
        let secrets = Secrets::read(&example.join("secrets.toml"), &city).unwrap();
        (city, secrets)
    }

    #[test]
    fn the_database_is_checked_with_the_files() {
        check(&files(CLUSTER).0).unwrap();
        for (from, to, field, message) in [
            ("user=city", "user=city password=hushhush", "database", "a password is in the address"),
            ("localhost", "db.example", "database", "whose certificates count"),
            ("host=localhost", "hots=localhost", "database", "hots"),
            ("shards", "authorities = \"not-there.pem\"\nshards", "authorities", "not-there.pem"),
        ] {
            let error = check(&files(&CLUSTER.replace(from, to)).0).unwrap_err();
            assert_eq!(error.field, format!("cluster.{field}"));
            assert!(error.line.is_some() && error.message.contains(message), "{error}");
            assert!(!error.to_string().contains("hushhush"), "{error}");
        }
    }

    #[test]
    fn gateways_with_the_same_files_and_key_have_the_same_hash() {
        let ((city, secrets), (other, _)) = (files(CLUSTER), files(&CLUSTER.replace('4', "5")));
        let key = || Hash::new(&Signer::from_pem(Signer::generate().unwrap().as_bytes()).unwrap());
        let (a, b) = (key(), key());
        let hashes = [a.of(&city, &secrets), a.of(&other, &secrets), b.of(&city, &secrets)];
        assert_eq!(a.of(&city, &secrets), hashes[0]);
        assert!(hashes[0] != hashes[1] && hashes[0] != hashes[2] && hashes[1] != hashes[2]);
        assert_eq!(format!("{a:?}"), "Hash { .. }");
    }

    #[test]
    fn files_that_the_engine_would_refuse_are_not_offered() {
        let ((city, secrets), (other, mut changed)) = (files(CLUSTER), files(&CLUSTER.replace('4', "5")));
        let paths = ["city.toml", "secrets.toml"].map(Path::new);
        let fault = |before: Option<&config::Cluster>, running: &Secrets| {
            let error = stays((&city, &secrets), paths, before, running).unwrap_err();
            assert_eq!(error.message, "changes at a start only");
            error.field
        };
        let table = city.cluster.as_ref();
        stays((&city, &secrets), paths, table, &changed).unwrap();
        assert_eq!([None, other.cluster.as_ref()].map(|before| fault(before, &secrets)), ["cluster"; 2]);
        changed.ear_key = "other.pem".into();
        assert_eq!(fault(table, &changed), "ear_key");
        changed.gateway_password = secrets.users["hana"].clone();
        assert_eq!(fault(table, &changed), "gateway_password");
    }

    /// This is `a`, which has shard 0 in the database, and in its engine no shard yet; `b` has shards 1 and 2.
    fn cluster() -> Cluster {
        let (city, secrets) = files(CLUSTER);
        let store = store("a", &city, &secrets).unwrap();
        let leases = store.database.clone();
        let (cluster, started) = (city.cluster.unwrap(), "h".to_owned());
        let is_in_force = watch::Sender::new(true);
        let seat = Seat { store, cluster, leases, started, hash: Hash([0; 32]), is_in_force };
        let peer = |member, name: &str| Peer {
            member,
            name: name.to_owned(),
            offer: Offer { url: format!("http://{name}"), configuration: "h".to_owned(), is_ready: true },
        };
        let holders = (0..).zip([Some(7), Some(9), Some(9), None]);
        let leases = holders.map(|(shard, holder)| Lease { shard, term: 3, holder }).collect();
        let configuration = Configuration { version: 2, hash: "h".to_owned() };
        let view = View { me: 7, members: vec![peer(7, "a"), peer(9, "b")], leases, configuration };
        let seen = Seen { asked: Instant::now(), view };
        let now = Mutex::new(Now { knows_isolated: true, ..Now::new(seen, "h") });
        let (connected, view) = (Gauge::default(), SharedView::default());
        connected.set(1);
        let vitals = Vitals { connected, view };
        Cluster { seat, url: "http://a".into(), vitals, now }
    }

    #[test]
    fn it_is_known_who_has_a_device() {
        let cluster = cluster();
        let device =
            |shard| (0..).map(|i: u64| DeviceId(i.to_be_bytes())).find(|id| id.shard(4) == shard).unwrap();
        let b = Elsewhere { gateway: Some("b".to_owned()), url: Some("http://b".to_owned()) };
        // What this one does not have yet, nobody has.
        for (shard, expected) in
            [(0, Elsewhere::default()), (1, b.clone()), (2, b), (3, Elsewhere::default())]
        {
            assert_eq!(cluster.elsewhere(device(shard)), Some(expected), "shard {shard}");
        }
        let status = cluster.status();
        assert_eq!(
            status["members"][1],
            json!({ "name": "b", "url": "http://b", "offers": "h", "is_ready": true })
        );
        let holders: Vec<_> = (0..4).map(|shard| status["shards"][shard]["holder"].as_str()).collect();
        assert_eq!(holders, [Some("a"), Some("b"), Some("b"), None]);
        assert_eq!(status["configuration"]["is_applied"], true);
    }

    /// As long as it has not taken all that it has the leases of, or other files are in force.
    #[test]
    fn a_gateway_is_not_ready_before_its_devices_are_served() {
        let cluster = cluster();
        assert!(!cluster.is_ready());
        lock(&cluster.now).seen.view.leases[0].holder = None;
        assert!(cluster.is_ready());
        lock(&cluster.now).seen.view.configuration.hash = "other".to_owned();
        assert!(!cluster.is_ready());
        assert_eq!(cluster.status()["configuration"]["is_applied"], false);
        assert_eq!((cluster.counts().held, cluster.counts().version), (0, 2));
    }

    /// What fails for a short time gives nothing up.
    #[test]
    fn a_gateway_that_fails_for_long_is_not_working() {
        let cluster = cluster();
        let lease = cluster.seat.cluster.lease;
        let ago = |leases: u32| Instant::now().checked_sub(leases * lease).unwrap();
        assert!(cluster.is_working());
        cluster.vitals.connected.set(0);
        assert!(cluster.is_working());
        lock(&cluster.now).worked = Some(ago(FAILS));
        assert!(!cluster.is_working());
        cluster.vitals.connected.set(1);
        assert!(cluster.is_working());
        lock(&cluster.now).failed = Some(ago(RESTS - 1));
        assert!(cluster.is_working());
        lock(&cluster.now).worked = Some(ago(FAILS));
        assert!(!cluster.is_working());
        lock(&cluster.now).failed = Some(ago(RESTS + 1));
        assert!(cluster.is_working(), "it has rested");
        cluster.vitals.connected.set(0);
        lock(&cluster.now).worked = None;
        assert!(!cluster.is_working(), "it was not connected to the broker yet");
    }

    #[test]
    fn it_is_known_for_how_long_somebody_has_other_files() {
        let cluster = cluster();
        let seen = lock(&cluster.now).seen.clone();
        let with = |offers: &str| {
            let mut seen = seen.clone();
            seen.view.members[1].offer.configuration = offers.to_owned();
            lock(&cluster.now).has_seen(seen);
            cluster.counts().disagreement
        };
        assert_eq!(with("h"), 0.0);
        let first = with("other");
        assert!(first > 0.0 && with("another") > first);
        assert_eq!(with("h"), 0.0);
    }
}
