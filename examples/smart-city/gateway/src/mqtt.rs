//! The gateway as a client of a broker that is not its own.
//!
//! The broker gets the acknowledgement of a QoS 1 message only after the engine has stored it. One of several gateways has a [session](Session)
//! for each shard that it has, beside its own: the broker keeps what comes for the shard until whoever has it next goes on with the session.

use std::{
    future::ready,
    path::{Path, PathBuf},
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use anyhow::Result;
use prometheus_client::metrics::gauge::Gauge;
use rumqttc::{
    AckMode, AsyncClient, ConnectionError, Event, EventLoop, Incoming, MqttOptions, NetworkOptions,
    PersistedAckMode, PersistedSession, Publish, PublishNoticeError, PublishOptions, QoS, SessionMode,
    SessionStore, SessionStoreError, SessionStoreKey, StateError, SubscribeNoticeError,
    mqttbytes::v5::{DisconnectReasonCode, PublishProperties},
};
use smart_city_address::Address;
use smart_city_engine::{
    config::{GATEWAY_USER, Secrets},
    engine::{FOREIGN, Input, Output},
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::sleep,
};

use crate::{
    accounts::{self, RESPONSES},
    exchange::{Ack, Arrived, Exchange, Limited, MAX_PACKET, Owed, Preparation, ROOM, lock},
    metrics::Meters,
};

/// Messages that the broker may leave unacknowledged.
const INFLIGHT: u16 = 256;

/// Messages that the client takes ahead.
const QUEUE: usize = 64;

/// Messages of a shard that may wait for the engine: a whole batch, however many shards there are. With less room a device that floods would
/// keep the others of its shard waiting for longer, before this gateway sees how much it sends.
const SHARD_ROOM: u16 = 512;

/// The longest packet that is taken: far more than what a broker lets in. On its way here a message grows, as by a topic that its sender
/// has named by an alias. What is too long for the client ends the connection, and the broker sends it again first.
const LONGEST: u32 = 4 * MAX_PACKET;

/// How long the broker keeps what comes for a shard that nobody has, in seconds: a week.
const KEPT: u32 = 7 * 24 * 3600;

/// The broker that the gateway is a client of. Its plugin keeps the accounts.
#[derive(Clone, Debug)]
pub struct Broker {
    /// Where it is, and what is trusted for that. It is read once: files that change meanwhile must not end a gateway.
    options: MqttOptions,
    /// A socket of it where passwords can be tried.
    passwords: Option<PathBuf>,
}

impl Broker {
    /// The one at this address. With TLS one of the authorities in the file has made its certificate, or else one that the system knows.
    ///
    /// # Errors
    /// If the authorities cannot be read.
    pub fn new(address: &Address, authorities: Option<&Path>, passwords: Option<PathBuf>) -> Result<Self> {
        Ok(Self { options: address.options(GATEWAY_USER, "", authorities)?, passwords })
    }

    /// How a session with this client id is made, in which so many messages may be unacknowledged.
    fn options(&self, client: &str, secrets: &Secrets, room: u16) -> MqttOptions {
        let mut options = self.options.clone();
        let mut network = NetworkOptions::new();
        // Else the kernel keeps a receipt back for 40 ms.
        network.set_tcp_nodelay(true);
        options
            .set_credentials(GATEWAY_USER, secrets.gateway_password.as_str().to_owned())
            .set_client_id(client.to_owned())
            .set_network_options(network)
            .set_ack_mode(AckMode::Manual)
            .set_keep_alive(30)
            .set_receive_maximum(Some(room))
            // Without it the client looks through 65,535 places for each message.
            .set_outgoing_inflight_upper_limit(INFLIGHT)
            .set_max_packet_size(Some(LONGEST));
        options
    }
}

/// A gateway of several, at the broker.
#[derive(Clone, Debug)]
pub struct Name {
    /// Its name.
    pub name: String,
    /// Whether its files are those in force: before, it must not keep the accounts.
    pub is_in_force: watch::Receiver<bool>,
}

/// What is at the broker.
#[derive(Debug)]
pub struct Started {
    /// How far the gateway is with it.
    pub prepared: watch::Receiver<Preparation>,
    /// By which the sessions of shards are made.
    pub sessions: Sessions,
}

/// Connects to the broker and keeps the connection up, by `tasks` that never end. One of several gateways takes nothing over it that devices
/// send.
pub fn start(
    broker: Broker,
    one_of_several: Option<Name>,
    secrets: &watch::Receiver<Arc<Secrets>>,
    exchange: &Exchange,
    meters: &Meters,
    tasks: &mut JoinSet<()>,
) -> Started {
    let client_id = one_of_several
        .as_ref()
        .map_or(GATEWAY_USER.to_owned(), |Name { name, .. }| format!("{GATEWAY_USER} {name}"));
    let mut options = broker.options(&client_id, &secrets.borrow(), ROOM);
    // What is in flight when the gateway ends the devices send again: they have no receipt of it.
    options.set_session_mode(SessionMode::Clean);
    let (client, event_loop) = AsyncClient::builder(options).capacity(QUEUE).build();
    let (connections, connected) = watch::channel(());
    let (preparation, prepared) = watch::channel(Preparation::Starts);
    let (responses, responses_rx) = mpsc::channel(16);
    let (floods, floods_rx) = mpsc::channel(64);
    let (inbox, acks) = Inbox::new(exchange, floods.clone());
    tasks.spawn(acknowledge(client.clone(), acks, Arc::clone(&inbox.connection)));
    tasks.spawn(receive(
        event_loop,
        inbox,
        responses,
        preparation.clone(),
        (connections, meters.connected.clone()),
    ));
    let passwords = broker.passwords.clone();
    let keeper =
        (accounts::Requests::new(client.clone(), responses_rx, passwords), secrets.clone(), floods_rx);
    tasks.spawn(prepare(client.clone(), one_of_several, keeper, connected, preparation));
    tasks.spawn(send(client, exchange.clone()));
    let sessions = Sessions {
        broker,
        secrets: secrets.clone(),
        exchange: exchange.clone(),
        floods,
        lost: Arc::default(),
    };
    Started { prepared, sessions }
}

/// Where the messages of a session go.
#[derive(Debug)]
struct Inbox {
    exchange: Exchange,
    /// Takes what is to be acknowledged.
    acks: mpsc::UnboundedSender<Ack>,
    /// The number of the session's connection.
    connection: Arc<AtomicU64>,
    /// Takes accounts that send more than they may.
    floods: mpsc::Sender<String>,
    flooded: Limited,
}

impl Inbox {
    fn new(exchange: &Exchange, floods: mpsc::Sender<String>) -> (Self, mpsc::UnboundedReceiver<Ack>) {
        let (acks, acks_rx) = mpsc::unbounded_channel();
        let (exchange, connection, flooded) = (exchange.clone(), Arc::default(), Limited::default());
        (Self { exchange, acks, connection, floods, flooded }, acks_rx)
    }

    /// The acknowledgement of a message, which QoS 0 does not have.
    fn owed(&self, mut publish: Publish) -> Owed {
        let is_acknowledged = publish.qos != QoS::AtMostOnce;
        // What it says is not kept twice.
        (publish.topic, publish.payload, publish.properties) = Default::default();
        let acknowledgement =
            is_acknowledged.then(|| (self.acks.clone(), (Box::new(publish), self.connection.load(Relaxed))));
        Owed { acknowledgement, ..Owed::default() }
    }

    fn take(&mut self, publish: Publish) {
        let message = Arrived {
            topic: String::from_utf8_lossy(&publish.topic).into_owned(),
            payload: publish.payload.to_vec(),
            is_unacknowledged: publish.qos == QoS::AtMostOnce,
            owed: self.owed(publish),
        };
        if let Some(account) = self.exchange.intake.push(message, Instant::now()) {
            if let Some(left_out) = self.flooded.due(Instant::now()) {
                tracing::warn!(account, left_out, "an account sends more than it may");
            }
            drop(self.floods.try_send(account));
        }
    }

    /// There is no connection any more.
    async fn is_lost(&self, event_loop: &mut EventLoop, pause: Duration) {
        self.connection.fetch_add(1, Relaxed);
        sleep(pause).await;
        // An acknowledgement that was about to be handed over when the connection ended.
        event_loop.clean();
    }
}

/// Acknowledges what came over the connection that there is. Of one that is gone nothing needs to be acknowledged.
async fn acknowledge(
    client: AsyncClient,
    mut acks: mpsc::UnboundedReceiver<Ack>,
    connection: Arc<AtomicU64>,
) {
    while let Some((publish, over)) = acks.recv().await {
        if over == connection.load(Relaxed) {
            drop(client.ack(&publish).await);
        }
    }
}

async fn receive(
    mut event_loop: EventLoop,
    mut inbox: Inbox,
    responses: mpsc::Sender<Vec<u8>>,
    preparation: watch::Sender<Preparation>,
    (connections, connected): (watch::Sender<()>, Gauge),
) {
    let mut lost = Limited::default();
    loop {
        match event_loop.poll().await {
            Ok(Event::Incoming(Incoming::Publish(publish))) if &publish.topic[..] == RESPONSES.as_bytes() => {
                // One is asked for at a time.
                drop(responses.try_send(publish.payload.to_vec()));
                inbox.owed(publish).settle();
            }
            Ok(Event::Incoming(Incoming::Publish(publish))) => inbox.take(publish),
            Ok(Event::Incoming(Incoming::ConnAck(_))) => {
                tracing::info!("connected to the broker");
                connected.set(1);
                connections.send_replace(());
            }
            Ok(_) => {}
            Err(error) => {
                connected.set(0);
                Preparation::Done.becomes_lack(&preparation);
                if let Some(left_out) = lost.due(Instant::now()) {
                    tracing::warn!(%error, left_out, "not connected to the broker");
                }
                inbox.is_lost(&mut event_loop, Duration::from_millis(200)).await;
            }
        }
    }
}

/// Subscribes, and says whether the broker grants it; none if the connection has ended.
async fn subscribe(client: &AsyncClient, filter: &str) -> Option<bool> {
    let subscribed = async {
        client.subscribe_tracked(filter, QoS::AtLeastOnce).await?.wait_completion_async().await?;
        anyhow::Ok(())
    };
    let Err(error) = subscribed.await else { return Some(true) };
    if !matches!(error.downcast_ref(), Some(SubscribeNoticeError::V5SubAckFailure(_))) {
        return None;
    }
    tracing::error!(%error, filter, "the broker refuses a subscription of the gateway");
    Some(false)
}

/// Subscribes at each new connection, and keeps the accounts.
async fn prepare(
    client: AsyncClient,
    mut one_of_several: Option<Name>,
    (mut requests, mut secrets, mut floods): (
        accounts::Requests,
        watch::Receiver<Arc<Secrets>>,
        mpsc::Receiver<String>,
    ),
    mut connected: watch::Receiver<()>,
    preparation: watch::Sender<Preparation>,
) {
    let filters = if one_of_several.is_some() { &[RESPONSES][..] } else { &["up/+/+", RESPONSES] };
    'connections: while connected.changed().await.is_ok() {
        let mut done = Preparation::Done;
        for filter in filters {
            match subscribe(&client, filter).await {
                Some(true) => {}
                Some(false) => done = Preparation::Lacks,
                // Nothing can be asked for over it.
                None => continue 'connections,
            }
        }
        if let Some(Name { is_in_force, .. }) = &mut one_of_several
            && !*is_in_force.borrow()
        {
            Preparation::Starts.becomes_lack(&preparation);
            let mut anew = connected.clone();
            tokio::select! {
                found = is_in_force.wait_for(|is| *is) => if found.is_err() { return },
                _ = anew.changed() => continue,
            }
        }
        let tried = |has_accounts| {
            if has_accounts {
                preparation.send_replace(done);
            } else {
                Preparation::Starts.becomes_lack(&preparation);
            }
        };
        let others = one_of_several.is_some();
        accounts::keep(
            &mut requests,
            &mut secrets,
            &mut floods,
            &connected,
            (accounts::AGAIN, others),
            tried,
        )
        .await;
    }
}

async fn send(client: AsyncClient, Exchange { inputs, outgoing, .. }: Exchange) {
    let again = Arc::<Mutex<Limited>>::default();
    loop {
        let output = outgoing.next().await;
        let Some(number) = output.delivery else {
            // What is lost with a connection devices ask for again.
            drop(publish(&client, &output).await);
            continue;
        };
        let notice = publish(&client, &output).await;
        let (client, inputs, again) = (client.clone(), inputs.clone(), Arc::clone(&again));
        tokio::spawn(async move {
            confirm(&client, &output, notice, &again).await;
            drop(inputs.send(Input::Delivered(number)).await);
        });
    }
}

/// By which the sessions of shards are made.
#[derive(Clone, Debug)]
pub struct Sessions {
    broker: Broker,
    secrets: watch::Receiver<Arc<Secrets>>,
    exchange: Exchange,
    floods: mpsc::Sender<String>,
    /// The warning of connections that are lost.
    lost: Arc<Mutex<Limited>>,
}

/// The session of a shard at the broker, which outlives this. When it is dropped, the broker keeps what comes for who has it next.
#[derive(Debug)]
pub struct Session {
    connection: Arc<AtomicU64>,
    subscribed: Arc<AtomicU64>,
    tasks: JoinSet<()>,
}

impl Sessions {
    /// Goes on with the session of a shard. If somebody else does, `taken_over` gets its number, and nothing more comes here.
    #[must_use]
    pub fn go_on(&self, shard: u16, taken_over: mpsc::Sender<u16>) -> Session {
        let client_id = format!("{GATEWAY_USER} shard {shard}");
        let mut options = self.broker.options(&client_id, &self.secrets.borrow(), SHARD_ROOM);
        options
            .set_session_mode(SessionMode::Persistent)
            .set_session_expiry_interval(Some(KEPT))
            .set_session_store(Empty);
        let (client, event_loop) = AsyncClient::builder(options).capacity(QUEUE).build();
        let (inbox, acks) = Inbox::new(&self.exchange, self.floods.clone());
        let (connections, connected) = watch::channel(());
        let connection = Arc::clone(&inbox.connection);
        let subscribed = Arc::new(AtomicU64::new(u64::MAX));
        let mut tasks = JoinSet::new();
        tasks.spawn(acknowledge(client.clone(), acks, Arc::clone(&connection)));
        let filter = format!("up/{shard}/+/+");
        tasks.spawn(keep_subscribed(
            client,
            filter,
            connected,
            (Arc::clone(&connection), Arc::clone(&subscribed)),
        ));
        let lost = Arc::clone(&self.lost);
        tasks.spawn(async move {
            receive_shard(event_loop, inbox, connections, &lost).await;
            let _ = taken_over.send(shard).await;
        });
        Session { connection, subscribed, tasks }
    }
}

impl Session {
    /// Whether what comes for the shard comes here.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.subscribed.load(Relaxed) == self.connection.load(Relaxed)
    }

    /// Ends the connection. When this returns nothing is acknowledged any more.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
    }
}

/// What a client has to know of the session of a shard with which it goes on: nothing. It publishes nothing, and what was not acknowledged
/// comes again.
#[derive(Debug)]
struct Empty;

type Done<'a, T> = Pin<Box<dyn Future<Output = Result<T, SessionStoreError>> + Send + 'a>>;

impl SessionStore for Empty {
    fn load<'a>(&'a self, key: &'a SessionStoreKey) -> Done<'a, Option<PersistedSession>> {
        let session = PersistedSession {
            format_version: 1,
            client_id: key.client_id().to_owned(),
            clean_start: false,
            session_expiry_interval: Some(KEPT),
            outgoing_inflight_upper_limit: Some(INFLIGHT),
            ack_mode: PersistedAckMode::Manual,
            last_pkid: 0,
            last_puback: 0,
            replay: Vec::new(),
            incoming_qos2: Vec::new(),
        };
        Box::pin(ready(Ok(Some(session))))
    }

    fn save<'a>(&'a self, _: &'a SessionStoreKey, _: &'a PersistedSession) -> Done<'a, ()> {
        Box::pin(ready(Ok(())))
    }

    fn clear<'a>(&'a self, _: &'a SessionStoreKey) -> Done<'a, ()> {
        Box::pin(ready(Ok(())))
    }
}

/// Until somebody else goes on with the session.
async fn receive_shard(
    mut event_loop: EventLoop,
    mut inbox: Inbox,
    connections: watch::Sender<()>,
    lost: &Mutex<Limited>,
) {
    const TAKEN_OVER: DisconnectReasonCode = DisconnectReasonCode::SessionTakenOver;
    loop {
        match event_loop.poll().await {
            Ok(Event::Incoming(Incoming::Publish(publish))) => inbox.take(publish),
            Ok(Event::Incoming(Incoming::ConnAck(_))) => {
                connections.send_replace(());
            }
            Ok(_) => {}
            Err(ConnectionError::MqttState(StateError::ServerDisconnect {
                reason_code: TAKEN_OVER, ..
            })) => {
                // Two who take it from each other do so once a second.
                inbox.is_lost(&mut event_loop, Duration::from_secs(1)).await;
                return;
            }
            Err(error) => {
                if let Some(left_out) = lock(lost).due(Instant::now()) {
                    tracing::warn!(%error, left_out, "the session of a shard is not connected to the broker");
                }
                // There may be many of them.
                inbox.is_lost(&mut event_loop, Duration::from_secs(1)).await;
            }
        }
    }
}

/// Subscribes at each new connection, until the broker grants it, and says over which it has.
async fn keep_subscribed(
    client: AsyncClient,
    filter: String,
    mut connected: watch::Receiver<()>,
    (connection, subscribed): (Arc<AtomicU64>, Arc<AtomicU64>),
) {
    while connected.changed().await.is_ok() {
        let over = connection.load(Relaxed);
        while over == connection.load(Relaxed) {
            match subscribe(&client, &filter).await {
                Some(true) => subscribed.store(over, Relaxed),
                Some(false) => {
                    sleep(Duration::from_secs(5)).await;
                    continue;
                }
                None => {}
            }
            break;
        }
    }
}

async fn publish(client: &AsyncClient, output: &Output) -> Option<rumqttc::PublishNotice> {
    let mut options = PublishOptions::new(QoS::AtLeastOnce);
    if let Some(about) = &output.about {
        options = options.properties(PublishProperties {
            content_type: Some(about.content_type.clone()),
            user_properties: about.properties.clone(),
            ..PublishProperties::default()
        });
    }
    client.publish_tracked(output.topic.clone(), output.payload.clone(), options).await.ok()
}

/// Waits until the broker has the message; sends it again if that becomes unknown. One of another city that it refuses is given up.
async fn confirm(
    client: &AsyncClient,
    output: &Output,
    mut notice: Option<rumqttc::PublishNotice>,
    again: &Mutex<Limited>,
) {
    let mut pause = Duration::from_millis(100);
    loop {
        let error = match notice {
            Some(notice) => match notice.wait_completion_async().await {
                Ok(()) => return,
                // Nobody waits for it in the store, and what the broker refuses once it refuses again.
                Err(error @ PublishNoticeError::V5PubAck(_)) if output.delivery == Some(FOREIGN) => {
                    if let Some(left_out) = lock(again).due(Instant::now()) {
                        tracing::error!(topic = output.topic, %error, left_out, "the broker refuses a message");
                    }
                    return;
                }
                Err(error) => error.to_string(),
            },
            None => "not taken".to_owned(),
        };
        if let Some(left_out) = lock(again).due(Instant::now()) {
            tracing::warn!(topic = output.topic, error, left_out, "sent again");
        }
        sleep(pause).await;
        pause = (2 * pause).min(Duration::from_secs(10));
        notice = publish(client, output).await;
    }
}
