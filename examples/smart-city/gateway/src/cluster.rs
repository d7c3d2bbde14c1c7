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
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Error, Result, bail};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use smart_city_engine::{
    attestation::Signer,
    config::{self, City, ConfigError, Secret, Secrets},
    engine::Input,
};
use smart_city_frame::DeviceId;
use smart_city_store_postgres::{
    Database, Fenced, Gateway, Limits,
    leases::{Configuration, Decision, Lease, Member, Offer, View},
    load,
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

/// The pause before another try, if the lease was not renewed.
const PAUSE: Duration = Duration::from_millis(250);

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

/// The hash of what a gateway reads, with the key that signs attestation results: gateways with the same hash decide the same.
#[must_use]
pub fn hash(city: &City, secrets: &Secrets, key_id: &str) -> String {
    let mut hash = Sha256::new();
    // The others are as long as they are.
    hash.update(city.digest);
    hash.update(secrets.digest);
    hash.update(key_id);
    hex::encode(hash.finalize())
}

/// What one of several gateways begins with.
#[derive(Clone, Debug)]
pub struct Seat {
    store: Gateway,
    cluster: config::Cluster,
    /// For the lease: there is time for another try before it is over.
    leases: Database,
    /// Of the files that it was started with.
    hash: String,
    /// The key that signs attestation results.
    key_id: String,
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
        let key_id = signer.key_id().to_owned();
        let hash = hash(city, secrets, &key_id);
        Ok(Some(Self { store, cluster, leases, hash, key_id }))
    }

    /// Where its store is.
    #[must_use]
    pub const fn place(&self) -> &Gateway {
        &self.store
    }
}

/// Whether files that were read again say the same of several gateways as those of `before`.
///
/// # Errors
/// If they do not.
pub fn stays(city: &City, before: Option<&config::Cluster>) -> Result<(), ConfigError> {
    if city.cluster.as_ref() == before {
        Ok(())
    } else {
        Err(city.cluster_fault("", "changes at a start only"))
    }
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
    /// Whether its files were those in force since it started.
    is_in_force: watch::Sender<bool>,
    now: Mutex<Now>,
}

#[derive(Debug)]
struct Now {
    seen: Seen,
    /// The hash of the files that the engine has.
    loaded: String,
    /// The hash of the files that were read last.
    offered: String,
    held: BTreeMap<u16, Held>,
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
}

impl Cluster {
    /// Joins the others. `url` is where operators find this gateway.
    ///
    /// # Errors
    /// If the database does not take it.
    pub async fn join(seat: Seat, url: String) -> Result<(Arc<Self>, Member)> {
        let offer = Offer { url: url.clone(), configuration: seat.hash.clone() };
        let mut member =
            Member::join(seat.leases.clone(), &seat.store.name, seat.cluster.lease, &offer).await?;
        let asked = Instant::now();
        let seen = Seen { asked, view: member.renew(&offer).await? };
        let (loaded, offered) = (seat.hash.clone(), seat.hash.clone());
        let now = Mutex::new(Now { seen, loaded, offered, held: BTreeMap::new() });
        Ok((Arc::new(Self { seat, url, is_in_force: watch::Sender::new(false), now }), member))
    }

    /// As what the gateway is known to the broker.
    #[must_use]
    pub fn at_broker(&self) -> Name {
        Name { name: self.seat.store.name.clone(), is_in_force: self.is_in_force.subscribe() }
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
        *self.is_in_force.borrow()
    }

    /// For monitoring.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let now = lock(&self.now);
        let (lease_age, version) =
            (now.seen.asked.elapsed().as_secs_f64(), now.seen.view.configuration.version);
        Counts { held: now.held.len(), lease_age, version }
    }

    /// For `/status`.
    #[must_use]
    pub fn status(&self) -> Value {
        let now = lock(&self.now);
        let view = &now.seen.view;
        let Configuration { version, hash } = &view.configuration;
        let members = view.members.iter().map(
            |peer| json!({ "name": peer.name, "url": peer.offer.url, "offers": peer.offer.configuration }),
        );
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
            taken_over,
            again: Arc::clone(&again),
            acted,
            warning: Limited::default(),
        };
        let mut tasks = JoinSet::new();
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
            let hash = hash(&content.0, &content.1, &seat.key_id);
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
        let offer = Offer { url: cluster.url.clone(), configuration: lock(&cluster.now).offered.clone() };
        let renewed = timeout(left, member.renew(&offer)).await.map_err(Error::from).flatten();
        let pause = match renewed {
            // Whoever was stopped meanwhile sees what was.
            Ok(_) if asked.elapsed() >= lease => continue,
            Ok(view) => {
                last = asked;
                let seen = Seen { asked, view };
                lock(&cluster.now).seen = seen.clone();
                views.send_replace(seen);
                lease / 3
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

/// Gives shards up and takes some, as the gateway sees the others.
struct Keeper {
    cluster: Arc<Cluster>,
    member: Member,
    inputs: mpsc::Sender<Input>,
    secrets: watch::Receiver<Arc<Secrets>>,
    sessions: Sessions,
    /// Files that are not in force yet, or were not when that was last asked for: when each was read, and the last ones last.
    pending: Vec<(Instant, Files)>,
    /// Gets the shards with whose session somebody else has gone on.
    taken_over: mpsc::Sender<u16>,
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
                found = seen.changed() => {
                    found?;
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
                    bail!("somebody else has gone on with the session of shard {shard} at the broker");
                }
                _ = &mut leave => return self.leave().await,
            }
        }
    }

    async fn follow(&mut self, Seen { asked, view }: Seen) -> Result<()> {
        if asked < self.acted {
            self.again.notify_one();
            return Ok(());
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
        let Decision { release, take } = view.decide();
        if !release.is_empty() {
            self.acted = Instant::now();
            self.release(&release).await?;
        }
        let mut taken: Vec<(u16, i64)> = had
            .into_iter()
            .filter(|(shard, _)| {
                !has.contains_key(shard) && release.iter().all(|lease| lease.shard != *shard)
            })
            .collect();
        if lock(&self.cluster.now).loaded == view.configuration.hash {
            for lease in take {
                self.acted = Instant::now();
                let term = self.member.take(lease).await;
                taken.extend(self.passing(term)?.flatten().map(|term| (lease.shard, term)));
            }
        }
        for (shard, term) in taken {
            self.take(shard, term).await?;
        }
        if asked < self.acted {
            self.acted = Instant::now();
            self.again.notify_one();
        }
        let isolated = self.member.isolated().await;
        if let Some(mut isolated) = self.passing(isolated)? {
            isolated.retain(|id| self.cluster.elsewhere(*id).is_some());
            self.tell(Input::Elsewhere(isolated)).await;
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
            // If it does not take them over, it says why.
            if Arc::ptr_eq(&secrets, &self.secrets.borrow()) {
                lock(&self.cluster.now).loaded = hash;
                tracing::info!(version = configuration.version, "the configuration is in force");
            }
        }
        // Those of before are not offered any more, and so do not come into force.
        if self.pending.last().is_some_and(|(read, _)| *read < asked) {
            self.pending.drain(..self.pending.len() - 1);
        }
        if lock(&self.cluster.now).loaded == configuration.hash {
            self.cluster.is_in_force.send_if_modified(|is| !std::mem::replace(is, true));
        } else if let Some(left_out) = self.warning.due(Instant::now()) {
            tracing::warn!(
                version = configuration.version,
                left_out,
                "other files are in force: this gateway takes no shard until all gateways have the same ones"
            );
        }
    }

    /// Goes on with a shard of which this gateway has the lease.
    async fn take(&mut self, shard: u16, term: i64) -> Result<()> {
        let loaded = load(&self.cluster.seat.store.database, shard, term).await;
        let Some(loaded) = self.passing(loaded.with_context(|| format!("shard {shard}")))? else {
            return Ok(());
        };
        self.acted = Instant::now();
        self.tell(Input::Take(Box::new(loaded))).await;
        self.ask(Input::Stored).await;
        let session =
            self.sessions.go_on(shard, self.cluster.seat.cluster.shards, self.taken_over.clone())?;
        lock(&self.cluster.now).held.insert(shard, Held { term, session });
        tracing::info!(shard, term, "taken");
        Ok(())
    }

    /// Gives shards up.
    async fn release(&mut self, leases: &[Lease]) -> Result<()> {
        let mut stored = Vec::new();
        for lease in leases {
            let held = lock(&self.cluster.now).held.remove(&lease.shard);
            if let Some(Held { session, .. }) = held {
                session.stop().await;
            }
            let (reply, is_stored) = oneshot::channel();
            self.tell(Input::Release { shard: lease.shard, reply }).await;
            stored.push(is_stored);
        }
        for (lease, is_stored) in leases.iter().zip(stored) {
            answer(is_stored).await;
            let released = self.member.release(*lease).await;
            if self.passing(released)?.is_some() {
                tracing::info!(shard = lease.shard, term = lease.term, "given up");
            }
        }
        Ok(())
    }

    /// Gives up all shards, so that others have them at once.
    async fn leave(mut self) -> Result<()> {
        let held = |(shard, held): (&u16, &Held)| Lease { shard: *shard, term: held.term, holder: None };
        let leases: Vec<Lease> = lock(&self.cluster.now).held.iter().map(held).collect();
        self.release(&leases).await?;
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
        let hashes = [hash(&city, &secrets, "a"), hash(&other, &secrets, "a"), hash(&city, &secrets, "b")];
        assert_eq!(hash(&city, &secrets, "a"), hashes[0]);
        assert!(hashes[0] != hashes[1] && hashes[0] != hashes[2] && hashes[1] != hashes[2]);
        stays(&city, files(CLUSTER).0.cluster.as_ref()).unwrap();
        for before in [None, other.cluster.as_ref()] {
            let error = stays(&city, before).unwrap_err();
            assert_eq!(
                (error.field.as_str(), error.message.as_str()),
                ("cluster", "changes at a start only")
            );
        }
    }

    /// This is `a`, which has shard 0 in the database, and in its engine no shard yet; `b` has shards 1 and 2.
    fn cluster() -> Cluster {
        let (city, secrets) = files(CLUSTER);
        let store = store("a", &city, &secrets).unwrap();
        let leases = store.database.clone();
        let seat =
            Seat { store, cluster: city.cluster.unwrap(), leases, hash: "h".into(), key_id: String::new() };
        let peer = |member, name: &str| Peer {
            member,
            name: name.to_owned(),
            offer: Offer { url: format!("http://{name}"), configuration: "h".to_owned() },
        };
        let holders = (0..).zip([Some(7), Some(9), Some(9), None]);
        let leases = holders.map(|(shard, holder)| Lease { shard, term: 3, holder }).collect();
        let configuration = Configuration { version: 2, hash: "h".to_owned() };
        let view = View { me: 7, members: vec![peer(7, "a"), peer(9, "b")], leases, configuration };
        let seen = Seen { asked: Instant::now(), view };
        let now = Now { seen, loaded: "h".into(), offered: "h".into(), held: BTreeMap::new() };
        Cluster { seat, url: "http://a".into(), is_in_force: watch::Sender::new(true), now: Mutex::new(now) }
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
        assert_eq!(status["members"][1], json!({ "name": "b", "url": "http://b", "offers": "h" }));
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
}
