//! An MQTT 5 broker in the gateway's process, with the same rules as Mosquitto as it is shipped here.
//!
//! Who sends more than it may ([`Allowance`]), or more than the gateway takes, is kept waiting: nothing is dropped for it, and others do
//! not notice. A session ends as soon as its account is gone or has another password. A user of another city shows a token as password,
//! and its session ends with it.
//!
//! `mqtt5` serves each connection and routes messages to those who subscribed. It would limit neither strangers nor what waits, so the
//! gateway accepts connections itself ([`connections`]), takes what devices send out of `mqtt5`'s hands, and gives it what is for others.

use std::{
    collections::HashMap,
    future::Future,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, OnceLock},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use http::StatusCode;
use mqtt5::{
    QoS,
    broker::{
        BrokerConfig, ResourceLimits, ResourceMonitor,
        auth::{AuthProvider, AuthResult},
        client_handler::ClientHandler,
        config::StorageConfig,
        events::{BrokerEventHandler, ClientConnectEvent, ClientPublishEvent, PublishAction},
        router::MessageRouter,
        storage::client_queue::QueueLimits,
        sys_topics::BrokerStats,
        tls_acceptor::TlsStreamWrapper,
        transport::BrokerTransport,
    },
    packet::{connect::ConnectPacket, publish::PublishPacket},
    protocol::v5::reason_codes::ReasonCode,
};
use prometheus_client::metrics::counter::Counter;
use smart_city_engine::{
    config::{Secret, Secrets, parse_device_id},
    engine::{Input, Output},
};
use smart_city_iot_agent::Groups;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Notify, Semaphore, broadcast, watch},
    task::JoinSet,
    time::{Instant as Time, sleep, timeout},
};
use tokio_rustls::TlsAcceptor;

use crate::{
    connections::{self, Connection},
    exchange::{Allowance, Arrived, Exchange, Limited, MAX_PACKET, Owed, Preparation, ROOM, lock, user},
    guests::{self, Accounts},
    metrics::Meters,
    places::Places,
};

/// Messages that wait for a subscriber that does not take them; then the oldest are dropped.
pub const CLIENT_QUEUE: usize = 4096;

/// The longest time that a sender is kept waiting with one message.
const PATIENCE: Duration = Duration::from_secs(30);

/// The longest time between a connection and the end of its handshake of TLS. The CONNECT packet has as long again.
const GREETING: Duration = Duration::from_secs(10);

/// The longest time in which a client takes nothing of what is for it, in milliseconds.
#[cfg(target_os = "linux")]
const STUCK: u32 = 60_000;

/// Connections of one account: it has one session, and those before it may not have ended yet.
const OF_AN_ACCOUNT: usize = 4;

/// The time that a session has to end when its account has another one.
const TAKEN_OVER: Duration = Duration::from_secs(10);

/// As how many messages a login counts: all routes are searched for what was there of the session before.
const LOGIN: u32 = 100;

/// How often it is looked whether tokens have expired.
const GUESTS: Duration = Duration::from_secs(1);

/// How often what is left of those who went is looked for.
const SWEEP: Duration = Duration::from_secs(60);

/// Starts the broker, which may take so many descriptors, by `tasks` that never end. Returns its address, and that it is ready.
///
/// # Errors
/// If the address cannot be used.
pub async fn start(
    address: SocketAddr,
    descriptors: usize,
    accounts: Accounts,
    tls: Option<TlsAcceptor>,
    exchange: &Exchange,
    meters: &Meters,
    tasks: &mut JoinSet<()>,
) -> Result<(SocketAddr, watch::Receiver<Preparation>)> {
    let listener =
        TcpListener::bind(address).await.with_context(|| format!("the broker's address {address}"))?;
    let address = listener.local_addr()?;
    let strangers = (descriptors / 8).clamp(1, 1024);
    let connections = descriptors.saturating_sub(strangers).max(1);
    let broker = Arc::new(Broker::new(accounts, exchange.clone(), meters.clone()));
    tasks.spawn(revoke(Arc::clone(&broker.rules)));
    tasks.spawn(deliver(Arc::clone(&broker.rules.router), exchange.clone(), meters.dropped.clone()));
    tasks.spawn(sweep(Arc::clone(&broker.rules.router)));
    let known = Places::new(connections, OF_AN_ACCOUNT);
    tasks.spawn(connections::serve(listener, strangers, known, move |stream, connection| {
        serve(stream, connection, tls.clone(), Arc::clone(&broker))
    }));
    meters.connected.set(1);
    Ok((address, watch::channel(Preparation::Done).1))
}

/// What `mqtt5` needs to serve a connection.
struct Broker {
    rules: Arc<Rules>,
    config: Arc<BrokerConfig>,
    stats: Arc<BrokerStats>,
    resources: Arc<ResourceMonitor>,
    /// Nothing is ever sent: the broker ends with the process.
    shutdown: broadcast::Sender<()>,
}

impl Broker {
    fn new(accounts: Accounts, exchange: Exchange, meters: Meters) -> Self {
        let rules = Arc::new(Rules::new(accounts, exchange, meters));
        let config = Arc::new(BrokerConfig {
            max_packet_size: MAX_PACKET as usize,
            // It takes retained messages all the same, but for `on_client_publish`.
            retain_available: false,
            event_handler: Some(Arc::clone(&rules) as Arc<dyn BrokerEventHandler>),
            shared_subscription_available: false,
            sys_topics_enabled: false,
            topic_alias_maximum: 0,
            maximum_qos: 1,
            max_subscriptions_per_client: 16,
            client_channel_capacity: 256,
            max_outbound_inflight: 256,
            // Devices keep what has no receipt and the gateway what is not delivered: nothing is worth keeping here, and a session
            // ends with its connection.
            storage_config: StorageConfig { enable_persistence: false, ..StorageConfig::default() },
            ..BrokerConfig::default()
        });
        let none = ResourceLimits {
            max_connections: usize::MAX,
            max_connections_per_ip: usize::MAX,
            max_message_rate_per_client: 0,
            max_bandwidth_per_client: 0,
            max_connection_rate: u32::MAX,
            rate_limit_window: Duration::from_secs(1),
        };
        let (stats, resources) = (Arc::new(BrokerStats::new()), Arc::new(ResourceMonitor::new(none)));
        Self { rules, config, stats, resources, shutdown: broadcast::channel(1).0 }
    }
}

/// Serves a connection to its end.
async fn serve(
    stream: TcpStream,
    connection: Arc<Connection>,
    tls: Option<TlsAcceptor>,
    broker: Arc<Broker>,
) {
    let Ok(from) = stream.peer_addr() else { return };
    // Where the system has this, it ends the connection itself.
    #[cfg(target_os = "linux")]
    let _ = rustix::net::sockopt::set_tcp_user_timeout(&stream, STUCK);
    let transport = match tls {
        None => BrokerTransport::tcp(stream),
        Some(tls) => {
            let Ok(Ok(stream)) = timeout(GREETING, tls.accept(stream)).await else { return };
            BrokerTransport::tls(TlsStreamWrapper::new(stream))
        }
    };
    let rules = &broker.rules;
    let stranger = Stranger::new(rules, from, connection);
    let handler = ClientHandler::new(
        transport,
        from,
        Arc::clone(&broker.config),
        Arc::clone(&rules.router),
        Arc::clone(rules) as Arc<dyn AuthProvider>,
        None,
        Arc::clone(&broker.stats),
        Arc::clone(&broker.resources),
        broker.shutdown.subscribe(),
    );
    tokio::select! {
        ended = handler.run() => if let Err(error) = ended {
            tracing::debug!(%error, "a connection to the broker ended");
        },
        // It may wait for a client that takes nothing, or have messages of a client that may send none any more.
        () = stranger.ends.notify.notified() => {}
        () = is_over(rules, &stranger.ends) => {}
    }
    if let Some((name, session)) = stranger.ends.guest.get() {
        let is_last =
            lock(&rules.sessions).get(name).is_some_and(|last| Arc::ptr_eq(&last.ends, &stranger.ends));
        if is_last {
            rules.end_session(name).await;
            // So many names come and go.
            lock(&rules.allowances).remove(name);
        }
        rules.accounts.guests.end(session).await;
    }
}

/// Waits until a guest's session may not go on: its token has expired, or something else is agreed with its city.
async fn is_over(rules: &Rules, ends: &End) {
    ends.is_guest.notified().await;
    let mut changes = rules.accounts.guests.changes();
    while ends.guest.get().is_some_and(|(_, session)| rules.accounts.guests.holds(session)) {
        drop(timeout(GUESTS, changes.changed()).await);
    }
}

/// Gives to those who subscribed what the gateway sends.
async fn deliver(router: Arc<MessageRouter>, Exchange { inputs, outgoing, .. }: Exchange, dropped: Counter) {
    let mut crowded = Limited::default();
    loop {
        let Output { topic, payload, delivery, about } = outgoing.next().await;
        let mut message = PublishPacket::new(topic, payload, QoS::AtLeastOnce);
        if let Some(about) = about {
            message.properties.set_content_type(about.content_type.clone());
            for (name, value) in &about.properties {
                message.properties.add_user_property(name.clone(), value.clone());
            }
        }
        if let Some(user) = user(&message.topic_name)
            && router.queue_handle(user).count() >= CLIENT_QUEUE
        {
            dropped.inc();
            if let Some(left_out) = crowded.due(Instant::now()) {
                tracing::warn!(user, left_out, "of what a user does not take the oldest is dropped");
            }
        }
        // For who does not take it at once it goes into a queue, and is not waited for.
        router.route_message_with_deadline(&message, None, Time::now()).await;
        if let Some(number) = delivery {
            drop(inputs.send(Input::Delivered(number)).await);
        }
    }
}

/// Frees what is left of sessions that have ended.
async fn sweep(router: Arc<MessageRouter>) {
    loop {
        sleep(SWEEP).await;
        router.sweep_sessions().await;
    }
}

/// Who may connect, and what each may send and receive.
struct Rules {
    accounts: Accounts,
    /// The newest session of each account.
    sessions: Mutex<HashMap<String, Session>>,
    /// Held while a guest's session begins, so that the last one of the engine is the last one here.
    beginning: tokio::sync::Mutex<()>,
    allowances: Mutex<HashMap<String, Allowance>>,
    router: Arc<MessageRouter>,
    /// The connections whose CONNECT packet is not there yet, and what ends each.
    strangers: Mutex<HashMap<SocketAddr, Ended>>,
    /// Messages that the engine has not taken.
    room: Arc<Semaphore>,
    exchange: Exchange,
    /// The warning that there is no place.
    full: Mutex<Limited>,
    meters: Meters,
}

/// A connection, and what ends it.
type Ended = (Arc<Connection>, Arc<End>);

/// What ends a connection, and what ends with it.
#[derive(Debug, Default)]
struct End {
    notify: Notify,
    /// The guest whose it is, by name, and that there is one.
    guest: OnceLock<(String, guests::Session)>,
    is_guest: Notify,
}

/// With what an account has connected, and what ends the connection.
struct Session {
    shown: Shown,
    ends: Arc<End>,
}

/// What proves who it is.
#[derive(Clone, Debug)]
enum Shown {
    Password(Secret),
    Token(guests::Session),
}

/// A connection among [`Rules::strangers`], and its place until it ends.
struct Stranger<'a> {
    rules: &'a Rules,
    from: SocketAddr,
    ends: Arc<End>,
    _connection: Arc<Connection>,
}

impl<'a> Stranger<'a> {
    fn new(rules: &'a Rules, from: SocketAddr, connection: Arc<Connection>) -> Self {
        let ends = Arc::<End>::default();
        lock(&rules.strangers).insert(from, (Arc::clone(&connection), Arc::clone(&ends)));
        Self { rules, from, ends, _connection: connection }
    }
}

impl Drop for Stranger<'_> {
    fn drop(&mut self) {
        lock(&self.rules.strangers).remove(&self.from);
    }
}

/// Says why a token is refused.
fn no_guest(why: guests::Refused) -> AuthResult {
    let code = match why.status() {
        StatusCode::SERVICE_UNAVAILABLE => ReasonCode::ServerUnavailable,
        StatusCode::TOO_MANY_REQUESTS => ReasonCode::QuotaExceeded,
        _ => ReasonCode::BadUsernameOrPassword,
    };
    AuthResult::fail_with_reason(code, why.to_string())
}

/// The gateway itself does not come over a connection, so nobody has its name.
fn password<'s>(secrets: &'s Secrets, user: &str) -> Option<&'s Secret> {
    if let Some(device) = parse_device_id(user) {
        secrets.devices.get(&device).map(|(_, password)| password)
    } else {
        secrets.users.get(user).or_else(|| secrets.senders.get(user))
    }
}

/// Ends the sessions of accounts that are gone or have another password.
async fn revoke(rules: Arc<Rules>) {
    let mut secrets = rules.accounts.secrets.clone();
    while secrets.changed().await.is_ok() {
        let current = Arc::clone(&secrets.borrow_and_update());
        let names: Vec<String> = {
            let sessions = lock(&rules.sessions);
            let revoked =
                sessions.iter().filter(|(name, session)| !rules.still_is(&current, name, &session.shown));
            revoked.map(|(name, _)| name.clone()).collect()
        };
        for name in names {
            rules.end_session(&name).await;
        }
    }
}

impl Rules {
    fn new(accounts: Accounts, exchange: Exchange, meters: Meters) -> Self {
        let queues = QueueLimits { max_messages: CLIENT_QUEUE, ..QueueLimits::default() };
        Self {
            accounts,
            sessions: Mutex::default(),
            beginning: tokio::sync::Mutex::default(),
            allowances: Mutex::default(),
            router: Arc::new(MessageRouter::new().with_fallback_queue_limits(queues)),
            strangers: Mutex::default(),
            room: Arc::new(Semaphore::new(ROOM.into())),
            exchange,
            full: Mutex::default(),
            meters,
        }
    }

    fn still_is(&self, secrets: &Secrets, user: &str, shown: &Shown) -> bool {
        match shown {
            Shown::Password(used) => {
                password(secrets, user).is_some_and(|password| password.matches(used.as_str().as_bytes()))
            }
            Shown::Token(session) => self.accounts.guests.holds(session),
        }
    }

    async fn end_session(&self, user: &str) {
        tracing::info!(
            user,
            "the session ends: the account is not what it was, or a message of it was not taken"
        );
        self.router.unregister_client(user).await;
        // What waits is for nobody.
        self.router.queue_handle(user).clear(None);
        if let Some(session) = lock(&self.sessions).remove(user) {
            session.ends.notify.notify_one();
        }
    }

    /// Lets somebody in who has an account, if there is a place.
    async fn admit(&self, connect: &ConnectPacket, from: SocketAddr) -> AuthResult {
        let (user, shown) = match self.account(connect).await {
            Ok(account) => account,
            Err(refused) => {
                self.meters.refused_login("mqtt", Some(from.ip().to_canonical()));
                return refused;
            }
        };
        let stranger = lock(&self.strangers).remove(&from);
        // From here on it is not turned away for others.
        if let Some((_, ends)) = stranger.filter(|(connection, _)| connection.let_in(&user)) {
            let mut _beginning = None;
            if let Shown::Token(session) = &shown {
                _beginning = Some(self.beginning.lock().await);
                drop(ends.guest.set((user.clone(), session.clone())));
                ends.is_guest.notify_one();
                if let Err(why) = self.accounts.guests.begin(session).await {
                    return no_guest(why);
                }
            }
            let before = lock(&self.sessions).insert(user.clone(), Session { shown, ends });
            if let Some(before) = before {
                tokio::spawn(async move {
                    sleep(TAKEN_OVER).await;
                    before.ends.notify.notify_one();
                });
            }
            return AuthResult::success_with_user(user);
        }
        if let Some(left_out) = lock(&self.full).due(Instant::now()) {
            tracing::warn!(
                left_out,
                "a client is turned away: its account has several connections, or the broker has as many as it has descriptors for"
            );
        }
        AuthResult::fail(ReasonCode::ServerBusy)
    }

    /// Whose login it is, and with what.
    async fn account(&self, connect: &ConnectPacket) -> Result<(String, Shown), AuthResult> {
        let wrong = || AuthResult::fail(ReasonCode::BadUsernameOrPassword);
        let (Some(user), Some(given)) = (connect.username.as_deref(), connect.password.as_deref()) else {
            return Err(wrong());
        };
        // Else one could take the session of another over.
        if connect.client_id != user {
            let reason = "the client id must be the user name";
            return Err(AuthResult::fail_with_reason(ReasonCode::ClientIdentifierNotValid, reason));
        }
        // No name of this city has a colon.
        if user.contains(':') {
            let token = std::str::from_utf8(given).map_err(|_| wrong())?;
            let session = self.accounts.guests.verify(user, token).await.map_err(no_guest)?;
            return Ok((user.to_owned(), Shown::Token(session)));
        }
        let secrets = self.accounts.secrets.borrow();
        let password = password(&secrets, user).filter(|password| password.matches(given));
        Ok((user.to_owned(), Shown::Password(password.ok_or_else(wrong)?.clone())))
    }

    /// Keeps a sender waiting that has sent more than it may.
    async fn hold_back(&self, user: &str, messages: u32) {
        let now = Instant::now();
        let pause = {
            let mut allowances = lock(&self.allowances);
            let allowance = match allowances.get_mut(user) {
                Some(allowance) => allowance,
                None => allowances.entry(user.to_owned()).or_insert_with(|| Allowance::new(now)),
            };
            allowance.take(messages, now)
        };
        if let Some(pause) = pause {
            sleep(pause).await;
        }
    }

    /// Hands a message over to the engine, or to the agent of devices that it does not know, as soon as there is room; false if there is none for
    /// long.
    async fn take(&self, event: ClientPublishEvent) -> bool {
        if Groups::is_topic(&event.topic) {
            let taken = self.exchange.agent.take(&event.topic, &event.payload);
            return timeout(PATIENCE, taken).await.unwrap_or(false);
        }
        let room = Arc::clone(&self.room).acquire_owned();
        let Ok(Ok(place)) = timeout(PATIENCE, room).await else { return false };
        let message = Arrived {
            topic: String::from(&*event.topic),
            payload: event.payload.into(),
            is_unacknowledged: event.qos == QoS::AtMostOnce,
            owed: Owed { _place: Some(place), ..Owed::default() },
        };
        self.exchange.intake.push(message, Instant::now());
        true
    }
}

/// What a user may send.
#[must_use]
pub fn may_publish(user: &str, topic: &str) -> bool {
    let below = topic.strip_prefix("up/").and_then(|rest| rest.strip_prefix(user));
    let what = below.and_then(|rest| rest.strip_prefix('/'));
    parse_device_id(user).is_some() && what.is_some_and(|what| !what.is_empty() && !what.contains('/'))
}

/// What a user may receive.
#[must_use]
pub fn may_subscribe(user: &str, filter: &str) -> bool {
    if parse_device_id(user).is_some() {
        filter.strip_prefix("down/") == Some(user)
    } else {
        let below = filter.strip_prefix("out/").and_then(|rest| rest.strip_prefix(user));
        below.is_some_and(|rest| rest.starts_with('/'))
    }
}

type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

impl AuthProvider for Rules {
    fn authenticate<'a>(
        &'a self,
        connect: &'a ConnectPacket,
        from: SocketAddr,
    ) -> Answer<'a, mqtt5::Result<AuthResult>> {
        Box::pin(async move {
            let result = self.admit(connect, from).await;
            if result.authenticated {
                self.hold_back(&connect.client_id, LOGIN).await;
            }
            Ok(result)
        })
    }

    fn authorize_publish<'a>(&'a self, _: &str, user: Option<&'a str>, topic: &'a str) -> Answer<'a, bool> {
        Box::pin(async move {
            let Some(user) = user else { return false };
            self.hold_back(user, 1).await;
            may_publish(user, topic) || self.exchange.agent.may_publish(user, topic)
        })
    }

    fn authorize_subscribe<'a>(
        &'a self,
        _: &str,
        user: Option<&'a str>,
        filter: &'a str,
    ) -> Answer<'a, bool> {
        Box::pin(async move {
            let Some(user) = user else { return false };
            self.hold_back(user, 1).await;
            let receives = !self.accounts.secrets.borrow().senders.contains_key(user);
            (receives && may_subscribe(user, filter)) || self.exchange.agent.may_subscribe(user, filter)
        })
    }
}

impl BrokerEventHandler for Rules {
    /// The account may have changed while the connection was made.
    fn on_client_connect<'a>(&'a self, event: ClientConnectEvent) -> Answer<'a, ()> {
        Box::pin(async move {
            let used = lock(&self.sessions).get(&*event.client_id).map(|session| session.shown.clone());
            let secrets = Arc::clone(&self.accounts.secrets.borrow());
            if !used.is_some_and(|used| self.still_is(&secrets, &event.client_id, &used)) {
                self.end_session(&event.client_id).await;
            }
        })
    }

    /// Takes what devices send: nobody else may send anything.
    ///
    /// Ends the session of who sends a retained message, as Mosquitto does, and of whose message was not taken, without an acknowledgement: QoS 0
    /// has none, and nobody may subscribe to the topic.
    fn on_client_publish<'a>(&'a self, event: ClientPublishEvent) -> Answer<'a, PublishAction> {
        Box::pin(async move {
            let client = Arc::clone(&event.client_id);
            if !event.retain && self.take(event).await {
                return PublishAction::Handled;
            }
            self.end_session(&client).await;
            PublishAction::Transform(PublishPacket::new("not taken", "", QoS::AtMostOnce))
        })
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;
    use crate::{agent::Agent, exchange::Intake};

    const DEVICE: &str = "70b3d5fffe000001";

    fn rules() -> Rules {
        let example = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("example");
        let city = smart_city_engine::config::City::read(&example.join("city.toml")).unwrap();
        let secrets = Secrets::read(&example.join("secrets.toml"), &city).unwrap();
        let exchange = Exchange {
            inputs: mpsc::channel(1).0,
            intake: Arc::new(Intake::new(false)),
            outgoing: Arc::default(),
            agent: Agent::idle(),
        };
        let guests =
            guests::Guests::new(tokio::runtime::Handle::current(), smart_city_login::Pace::default());
        let accounts = Accounts { secrets: watch::channel(Arc::new(secrets)).1, guests: Arc::new(guests) };
        Rules::new(accounts, exchange, Meters::default())
    }

    #[tokio::test]
    async fn who_has_sent_more_than_it_may_waits() {
        const WAIT: Duration = Duration::from_millis(300);
        let start = Instant::now();
        let mut spent = Allowance::new(start);
        while spent.take(1, start).is_none_or(|pause| pause < WAIT) {}
        let rules = Rules { allowances: Mutex::new(HashMap::from([(DEVICE.to_owned(), spent)])), ..rules() };
        assert!(rules.authorize_publish("", Some(DEVICE), "up/70b3d5fffe000001/1").await);
        assert!(start.elapsed() >= WAIT);
    }

    /// Whatever its connection is at.
    #[tokio::test]
    async fn whose_session_ends_is_cut_off() {
        let rules = rules();
        let ends = Arc::<End>::default();
        let shown = Shown::Password(rules.accounts.secrets.borrow().users["hana"].clone());
        let session = Session { shown, ends: Arc::clone(&ends) };
        lock(&rules.sessions).insert("hana".to_owned(), session);
        rules.end_session("ren").await;
        assert!(timeout(Duration::ZERO, ends.notify.notified()).await.is_err(), "it is another's");
        rules.end_session("hana").await;
        assert!(timeout(Duration::ZERO, ends.notify.notified()).await.is_ok());
        assert!(lock(&rules.sessions).is_empty());
    }

    /// The engine has not stored what was taken.
    #[tokio::test]
    async fn a_sender_waits_until_there_is_room() {
        let rules = Arc::new(rules());
        let send = || {
            let rules = Arc::clone(&rules);
            let event = ClientPublishEvent {
                client_id: DEVICE.into(),
                user_id: Some(DEVICE.into()),
                topic: format!("up/{DEVICE}/1").into(),
                payload: vec![1].into(),
                qos: QoS::AtLeastOnce,
                retain: false,
                packet_id: Some(1),
                response_topic: None,
                correlation_data: None,
            };
            async move { rules.on_client_publish(event).await }
        };
        for _ in 0..ROOM {
            assert!(matches!(send().await, PublishAction::Handled));
        }
        let waits = tokio::spawn(send());
        sleep(Duration::from_millis(50)).await;
        assert!(!waits.is_finished());
        let taken = rules.exchange.intake.take(1);
        sleep(Duration::from_millis(50)).await;
        assert!(!waits.is_finished(), "it is taken, but not stored");
        drop(taken);
        assert!(matches!(waits.await.unwrap(), PublishAction::Handled));
        assert_eq!(rules.exchange.intake.take(usize::MAX).len(), usize::from(ROOM));
    }
}
