//! An MQTT 5 broker in the gateway's process, with the same rules as Mosquitto as it is shipped here.
//!
//! Who sends more than it may ([`Allowance`]), or more than the gateway takes, is kept waiting: nothing is dropped for it, and others do
//! not notice. A session ends as soon as its account is gone or has another password.
//!
//! `mqtt5` sets no limit to connections that do not log in. So it listens on the loopback interface alone, and connections are accepted
//! in front of it: each is passed on when its CONNECT packet is there, and those that wait for it make room for new ones.
//! Programs on the same machine could go round that; but nobody is let in who does.

use std::{
    collections::HashMap,
    future::Future,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::{Arc, Mutex, OnceLock},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use mqtt5::{
    QoS,
    broker::{
        BrokerConfig, MqttBroker, ResourceLimits,
        auth::{AuthProvider, AuthResult},
        config::StorageConfig,
        events::{BrokerEventHandler, ClientConnectEvent, ClientPublishEvent, PublishAction},
        router::MessageRouter,
    },
    packet::{connect::ConnectPacket, publish::PublishPacket},
    protocol::v5::reason_codes::ReasonCode,
};
use smart_city_engine::config::{GATEWAY_USER, Secret, Secrets, parse_device_id};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;

use crate::{
    connections::{self, Connection},
    metrics::Meters,
    mqtt::{Allowance, Limited, MAX_PACKET, lock},
    places::Places,
};

/// Messages that wait for a subscriber that does not take them; then the oldest are dropped.
pub const CLIENT_QUEUE: usize = 4096;

/// Messages that wait for the gateway, until whoever sends another one is kept waiting.
const AHEAD: usize = 256;

/// The longest time that a sender is kept waiting with one message.
const PATIENCE: Duration = Duration::from_secs(30);

/// The longest time between a connection and the end of its CONNECT packet.
const GREETING: Duration = Duration::from_secs(10);

/// The longest time in which a client takes nothing of what is for it.
const STUCK: Duration = Duration::from_secs(60);

/// Descriptors for a client: its connection, and both ends of the one to the broker.
const EACH: usize = 3;

/// Starts the broker, which may take so many descriptors, by `tasks` that never end. Returns its address, and the one where the gateway
/// itself connects: with TLS that is behind it, on the loopback interface.
///
/// # Errors
/// If the address cannot be used.
pub async fn start(
    address: SocketAddr,
    descriptors: usize,
    secrets: watch::Receiver<Arc<Secrets>>,
    tls: Option<TlsAcceptor>,
    meters: &Meters,
    tasks: &mut JoinSet<()>,
) -> Result<(SocketAddr, SocketAddr)> {
    let listener =
        TcpListener::bind(address).await.with_context(|| format!("the broker's address {address}"))?;
    let address = listener.local_addr()?;
    let strangers = (descriptors / 8).clamp(1, 1024);
    let connections = (descriptors.saturating_sub(strangers) / EACH).max(1);
    let rules = Arc::new(Rules {
        secrets: secrets.clone(),
        sessions: Mutex::default(),
        allowances: Mutex::default(),
        router: OnceLock::new(),
        passed_on: Mutex::default(),
        meters: meters.clone(),
    });
    let config = BrokerConfig {
        bind_addresses: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))],
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
        // Devices keep what has no receipt and the gateway what is not delivered: nothing is worth keeping here, and a session ends
        // with its connection.
        storage_config: StorageConfig {
            enable_persistence: false,
            max_queued_messages_per_client: CLIENT_QUEUE,
            ..StorageConfig::default()
        },
        ..BrokerConfig::default()
    };
    let broker = MqttBroker::with_config(config).await.context("the broker does not start")?;
    let mut broker = broker.with_auth_provider(Arc::clone(&rules) as Arc<dyn AuthProvider>);
    drop(rules.router.set(broker.router()));
    tasks.spawn(revoke(Arc::clone(&rules), secrets));
    let inner = broker.local_addr().context("the broker has no address")?;
    // All come from one address.
    broker.resource_monitor().update_limits(ResourceLimits {
        max_connections: connections,
        max_connections_per_ip: connections,
        max_message_rate_per_client: 0,
        max_bandwidth_per_client: 0,
        max_connection_rate: u32::MAX,
        rate_limit_window: Duration::from_secs(1),
    });
    let own = if tls.is_some() { inner } else { address };
    // The warning that there is no place.
    let full = Arc::<Mutex<Limited>>::default();
    let known = Places::new(connections, connections);
    tasks.spawn(connections::serve(listener, strangers, known, move |stream, connection| {
        greet(stream, connection, tls.clone(), inner, Arc::clone(&rules), Arc::clone(&full))
    }));
    tasks.spawn(async move {
        if let Err(error) = broker.run().await {
            tracing::error!(%error, "the broker ended");
        }
    });
    Ok((address, own))
}

/// Waits for the CONNECT packet, and lets in whoever sends it, if there is a place.
async fn greet(
    mut stream: TcpStream,
    connection: Arc<Connection>,
    tls: Option<TlsAcceptor>,
    broker: SocketAddr,
    rules: Arc<Rules>,
    full: Arc<Mutex<Limited>>,
) {
    let ended = if let Some(tls) = tls {
        let greeting = async {
            let mut stream = tls.accept(stream).await?;
            let connect = read_connect(&mut stream).await?;
            anyhow::Ok((stream, connect))
        };
        let Ok(Ok((stream, connect))) = timeout(GREETING, greeting).await else { return };
        let (from, to) = tokio::io::split(stream);
        let_in(from, to, &connect, broker, &connection, &rules, &full).await
    } else {
        let Ok(Ok(connect)) = timeout(GREETING, read_connect(&mut stream)).await else { return };
        let (from, to) = stream.into_split();
        let_in(from, to, &connect, broker, &connection, &rules, &full).await
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection to the broker ended");
    }
}

/// Lets a client in that has sent its CONNECT packet, if there is a place.
async fn let_in(
    from_client: impl AsyncRead + Unpin,
    to_client: impl AsyncWrite + Unpin,
    connect: &[u8],
    broker: SocketAddr,
    connection: &Connection,
    rules: &Rules,
    full: &Mutex<Limited>,
) -> Result<()> {
    // From here on it is not turned away for others. An account has one session.
    if connection.let_in("") {
        let broker = TcpStream::connect(broker).await?;
        let from = broker.local_addr()?;
        lock(&rules.passed_on).insert(from, connection.address);
        let ended = pass_on(from_client, to_client, connect, broker).await;
        lock(&rules.passed_on).remove(&from);
        return ended;
    }
    if let Some(left_out) = lock(full).due(Instant::now()) {
        tracing::warn!(left_out, "a client is turned away: the broker has as many as it has descriptors for");
    }
    Ok(())
}

/// The first packet of a connection: CONNECT, as long as the broker takes it.
async fn read_connect(stream: &mut (impl AsyncRead + Unpin)) -> Result<Vec<u8>> {
    let mut packet = vec![stream.read_u8().await?];
    ensure!(packet[0] == 0x10, "no CONNECT packet");
    let mut len = 0;
    for shift in [0, 7, 14, 21] {
        let byte = stream.read_u8().await?;
        packet.push(byte);
        len |= u64::from(byte & 127) << shift;
        if byte < 128 {
            ensure!(len <= u64::from(MAX_PACKET), "a CONNECT packet of {len} bytes");
            ensure!(stream.take(len).read_to_end(&mut packet).await? as u64 == len, "half a CONNECT packet");
            return Ok(packet);
        }
    }
    bail!("no length")
}

/// Passes on what both sides send, until one of them ends.
async fn pass_on(
    mut from_client: impl AsyncRead + Unpin,
    mut to_client: impl AsyncWrite + Unpin,
    connect: &[u8],
    mut broker: TcpStream,
) -> Result<()> {
    broker.set_nodelay(true)?;
    broker.write_all(connect).await?;
    let (mut from_broker, mut to_broker) = broker.split();
    tokio::select! {
        ended = async {
            // The broker may keep a sender waiting.
            copy(&mut from_client, &mut to_broker, Duration::MAX).await?;
            // It has all that the client sent, and ends the connection itself.
            sleep(STUCK).await;
            Ok(())
        } => ended,
        ended = copy(&mut from_broker, &mut to_client, STUCK) => ended,
    }
}

/// Copies until the end, and says that it is the end, as long as none of it takes longer than `patience` to be taken.
async fn copy(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    patience: Duration,
) -> Result<()> {
    let mut buffer = vec![0; MAX_PACKET as usize];
    loop {
        let len = from.read(&mut buffer).await?;
        let write = async {
            to.write_all(&buffer[..len]).await?;
            // TLS may keep what the connection does not take at once.
            if len == 0 { to.shutdown().await } else { to.flush().await }
        };
        timeout(patience, write).await.context("nothing is taken")??;
        if len == 0 {
            return Ok(());
        }
    }
}

/// Who may connect, and what each may send and receive.
struct Rules {
    secrets: watch::Receiver<Arc<Secrets>>,
    /// With which password each account has connected.
    sessions: Mutex<HashMap<String, Secret>>,
    allowances: Mutex<HashMap<String, Allowance>>,
    router: OnceLock<Arc<MessageRouter>>,
    /// The connections that are passed on: from where to the broker, and from where to the gateway.
    passed_on: Mutex<HashMap<SocketAddr, IpAddr>>,
    meters: Meters,
}

fn password<'s>(secrets: &'s Secrets, user: &str) -> Option<&'s Secret> {
    if user == GATEWAY_USER {
        Some(&secrets.gateway_password)
    } else if let Some(device) = parse_device_id(user) {
        secrets.devices.get(&device).map(|(_, password)| password)
    } else {
        secrets.users.get(user)
    }
}

/// Ends the sessions of accounts that are gone or have another password.
async fn revoke(rules: Arc<Rules>, mut secrets: watch::Receiver<Arc<Secrets>>) {
    while secrets.changed().await.is_ok() {
        let current = Arc::clone(&secrets.borrow_and_update());
        let names: Vec<String> = {
            let sessions = lock(&rules.sessions);
            let revoked = sessions.iter().filter(|(name, used)| !rules.still_is(&current, name, used));
            revoked.map(|(name, _)| name.clone()).collect()
        };
        for name in names {
            rules.end_session(&name).await;
        }
    }
}

impl Rules {
    fn still_is(&self, secrets: &Secrets, user: &str, used: &Secret) -> bool {
        // The gateway's own password changes at a start only.
        user == GATEWAY_USER
            || password(secrets, user).is_some_and(|password| password.matches(used.as_str().as_bytes()))
    }

    async fn end_session(&self, user: &str) {
        if let Some(router) = self.router.get() {
            tracing::info!(user, "the session ends: the account is not what it was");
            router.unregister_client(user).await;
        }
    }

    /// Whether somebody is let in who has connected to the broker itself from this address.
    fn admit(&self, connect: &ConnectPacket, from: SocketAddr) -> AuthResult {
        let address = lock(&self.passed_on).get(&from).copied();
        // With TLS the gateway comes directly, and nobody else may.
        if address.is_none() && connect.username.as_deref() != Some(GATEWAY_USER) {
            return AuthResult::fail(ReasonCode::NotAuthorized);
        }
        let result = self.admit_account(connect);
        if !result.authenticated {
            self.meters.refused_login("mqtt", address);
        }
        result
    }

    fn admit_account(&self, connect: &ConnectPacket) -> AuthResult {
        let (Some(user), Some(given)) = (connect.username.as_deref(), connect.password.as_deref()) else {
            return AuthResult::fail(ReasonCode::BadUsernameOrPassword);
        };
        // Else one could take the session of another over.
        if connect.client_id != user {
            let reason = "the client id must be the user name";
            return AuthResult::fail_with_reason(ReasonCode::ClientIdentifierNotValid, reason);
        }
        let secrets = self.secrets.borrow();
        let Some(password) = password(&secrets, user).filter(|password| password.matches(given)) else {
            return AuthResult::fail(ReasonCode::BadUsernameOrPassword);
        };
        lock(&self.sessions).insert(user.to_owned(), password.clone());
        AuthResult::success_with_user(user)
    }

    /// Keeps a sender waiting that has sent more than it may, or as long as the gateway does not keep up.
    async fn hold_back(&self, user: &str) {
        let now = Instant::now();
        let pause = {
            let mut allowances = lock(&self.allowances);
            let allowance = match allowances.get_mut(user) {
                Some(allowance) => allowance,
                None => allowances.entry(user.to_owned()).or_insert_with(|| Allowance::new(now)),
            };
            allowance.take(now)
        };
        if let Some(pause) = pause {
            sleep(pause).await;
        }
        let Some(router) = self.router.get() else { return };
        let queue = router.queue_handle(GATEWAY_USER);
        wait_for_room(now, || queue.count()).await;
    }
}

/// Waits until not too many messages are `ahead`, but not longer than [`PATIENCE`].
async fn wait_for_room(since: Instant, ahead: impl Fn() -> usize) {
    while ahead() > AHEAD && since.elapsed() < PATIENCE {
        sleep(Duration::from_millis(2)).await;
    }
}

/// What a user may send.
#[must_use]
pub fn may_publish(user: &str, topic: &str) -> bool {
    if user == GATEWAY_USER {
        topic.starts_with("out/") || topic.starts_with("down/")
    } else {
        let below = topic.strip_prefix("up/").and_then(|rest| rest.strip_prefix(user));
        let what = below.and_then(|rest| rest.strip_prefix('/'));
        parse_device_id(user).is_some() && what.is_some_and(|what| !what.is_empty() && !what.contains('/'))
    }
}

/// What a user may receive.
#[must_use]
pub fn may_subscribe(user: &str, filter: &str) -> bool {
    if user == GATEWAY_USER {
        filter.starts_with("up/")
    } else if parse_device_id(user).is_some() {
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
        Box::pin(std::future::ready(Ok(self.admit(connect, from))))
    }

    fn authorize_publish<'a>(&'a self, _: &str, user: Option<&'a str>, topic: &'a str) -> Answer<'a, bool> {
        Box::pin(async move {
            let Some(user) = user else { return false };
            if user != GATEWAY_USER {
                self.hold_back(user).await;
            }
            may_publish(user, topic)
        })
    }

    fn authorize_subscribe<'a>(
        &'a self,
        _: &str,
        user: Option<&'a str>,
        filter: &'a str,
    ) -> Answer<'a, bool> {
        Box::pin(std::future::ready(user.is_some_and(|user| may_subscribe(user, filter))))
    }
}

impl BrokerEventHandler for Rules {
    /// The account may have changed while the connection was made.
    fn on_client_connect<'a>(&'a self, event: ClientConnectEvent) -> Answer<'a, ()> {
        Box::pin(async move {
            let used = lock(&self.sessions).get(&*event.client_id).cloned();
            let secrets = Arc::clone(&self.secrets.borrow());
            if !used.is_some_and(|used| self.still_is(&secrets, &event.client_id, &used)) {
                self.end_session(&event.client_id).await;
            }
        })
    }

    /// Ends the session of who sends a retained message, as Mosquitto does, without an acknowledgement: QoS 0 has none, and nobody
    /// may subscribe to the topic.
    fn on_client_publish<'a>(&'a self, event: ClientPublishEvent) -> Answer<'a, PublishAction> {
        Box::pin(async move {
            if event.retain {
                self.end_session(&event.client_id).await;
                return PublishAction::Transform(PublishPacket::new("retained", "", QoS::AtMostOnce));
            }
            PublishAction::Continue
        })
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tokio::io::DuplexStream;
    use tokio_rustls::{
        TlsConnector,
        rustls::{
            ClientConfig, RootCertStore, ServerConfig,
            crypto::ring,
            pki_types::{PrivateKeyDer, ServerName},
        },
    };

    use super::*;

    #[tokio::test]
    async fn a_connection_begins_with_a_whole_connect_packet() {
        let long = [&[0x10, 0x80, 0x20][..], &[7; 4096]].concat();
        for whole in [&[0x10, 2, 1, 2][..], &[0x10, 0], &long] {
            let mut stream = &[whole, &[9]].concat()[..];
            assert_eq!(read_connect(&mut stream).await.unwrap(), whole);
            assert_eq!(stream, [9]);
        }
        let too_long = [&[0x10, 0x81, 0x20][..], &[7; 4097]].concat();
        for other in [&[][..], &[0x20, 0], &[0x10, 2, 1], &[0x10, 0x80, 0x80, 0x80, 0x80, 0], &too_long] {
            assert!(read_connect(&mut &*other).await.is_err(), "{other:?}");
        }
    }

    /// Nobody takes anything at the other end.
    #[tokio::test]
    async fn who_takes_nothing_is_not_waited_for() {
        let (_other, mut stuck) = tokio::io::duplex(1);
        assert!(copy(&mut &[1, 2][..], &mut stuck, Duration::from_millis(10)).await.is_err());
        let (mut other, mut stream) = tokio::io::duplex(2);
        copy(&mut &[1, 2][..], &mut stream, STUCK).await.unwrap();
        drop(stream);
        let mut taken = Vec::new();
        other.read_to_end(&mut taken).await.unwrap();
        assert_eq!(taken, [1, 2]);
    }

    /// A connection with TLS, which takes 2 kB at a time.
    async fn with_tls() -> (impl AsyncRead + Unpin, tokio_rustls::server::TlsStream<DuplexStream>) {
        let provider = Arc::new(ring::default_provider());
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let server = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let server = server.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let server = server.with_single_cert(vec![made.cert.der().clone()], key).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let client = ClientConfig::builder_with_provider(provider);
        let client = client.with_safe_default_protocol_versions().unwrap();
        let client = client.with_root_certificates(roots).with_no_client_auth();
        let (here, there) = tokio::io::duplex(2048);
        let name = ServerName::try_from("localhost").unwrap();
        let (server, client) = tokio::join!(
            TlsAcceptor::from(Arc::new(server)).accept(here),
            TlsConnector::from(Arc::new(client)).connect(name, there)
        );
        (client.unwrap(), server.unwrap())
    }

    /// A client that reads late gets all, without anything more being sent, and the end too.
    #[tokio::test]
    async fn nothing_stays_in_tls() {
        let sent: Vec<u8> = (0..10_000u16).map(|i| i.to_be_bytes()[1]).collect();
        for ends in [false, true] {
            let (mut client, mut server) = with_tls().await;
            let (mut from, mut more) = tokio::io::duplex(sent.len());
            from.write_all(&sent).await.unwrap();
            let copied = tokio::spawn(async move {
                let copied = copy(&mut more, &mut server, STUCK).await;
                (copied, server)
            });
            sleep(Duration::from_millis(50)).await;
            let mut received = vec![0; sent.len()];
            let all = timeout(Duration::from_secs(5), client.read_exact(&mut received)).await;
            assert!(all.is_ok() && received == sent, "it stays away");
            if ends {
                drop(from);
                assert_eq!(client.read(&mut received).await.unwrap(), 0);
                copied.await.unwrap().0.unwrap();
            }
        }
    }

    #[tokio::test]
    async fn a_sender_waits_until_there_is_room_or_its_time_is_over() {
        let looks = Cell::new(0);
        let ahead = |first: &'static [usize]| {
            looks.set(0);
            let looks = &looks;
            move || {
                looks.set(looks.get() + 1);
                first.get(looks.get() - 1).copied().unwrap_or(0)
            }
        };
        wait_for_room(Instant::now(), ahead(&[AHEAD + 1, AHEAD + 1, AHEAD, AHEAD + 1])).await;
        assert_eq!(looks.get(), 3);
        let since = Instant::now().checked_sub(PATIENCE).unwrap();
        wait_for_room(since, ahead(&[AHEAD + 1, AHEAD + 1])).await;
        assert_eq!(looks.get(), 1);
    }

    #[tokio::test]
    async fn who_has_sent_more_than_it_may_waits() {
        const DEVICE: &str = "70b3d5fffe000001";
        const WAIT: Duration = Duration::from_millis(300);
        let example = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("example");
        let city = smart_city_engine::config::City::read(&example.join("city.toml")).unwrap();
        let secrets = Secrets::read(&example.join("secrets.toml"), &city).unwrap();
        let start = Instant::now();
        let mut spent = Allowance::new(start);
        while spent.take(start).is_none_or(|pause| pause < WAIT) {}
        let rules = Rules {
            secrets: watch::channel(Arc::new(secrets)).1,
            sessions: Mutex::default(),
            allowances: Mutex::new(HashMap::from([(DEVICE.to_owned(), spent)])),
            router: OnceLock::new(),
            passed_on: Mutex::default(),
            meters: Meters::default(),
        };
        assert!(rules.authorize_publish("", Some(DEVICE), "up/70b3d5fffe000001/1").await);
        assert!(start.elapsed() >= WAIT);
    }
}
