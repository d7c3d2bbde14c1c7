//! The gateway as a client of a broker, its own or another.
//!
//! What comes in waits in a queue for each account ([`Intake`]), and the engine takes from them in turn: who floods waits behind
//! itself. The broker gets an acknowledgement of a QoS 1 message only after the engine has stored it, and holds no more than
//! [`RECEIVE_MAXIMUM`] unacknowledged, so none is dropped and memory stays bounded. Of QoS 0 an account may have [`SHARE`] waiting; what
//! is beyond is discarded and counted.
//!
//! What goes out never makes the engine wait ([`Outgoing`]): of readings the engine itself gives out only so many, and of
//! what goes to a device only the newest of a kind is worth sending.

use std::{
    collections::{HashMap, VecDeque},
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Result;
use prometheus_client::metrics::{gauge::Gauge, histogram::Histogram};
use rumqttc::{
    AckMode, AsyncClient, Event, EventLoop, Incoming, NetworkOptions, Publish, PublishOptions, QoS,
    SessionMode, SubscribeNoticeError, mqttbytes::v5::PublishProperties,
};
use smart_city_address::Address;
use smart_city_engine::{
    config::{GATEWAY_USER, Secrets, parse_device_id},
    engine::{Engine, Input, Output},
};
use smart_city_frame::{Header, Kind};
use tokio::{
    runtime::Handle,
    sync::{Notify, mpsc, watch},
    task::{JoinHandle, JoinSet},
};

use crate::{
    accounts::{self, RESPONSES},
    metrics::Meters,
};

/// Messages that the broker may send ahead.
const RECEIVE_MAXIMUM: u16 = 1024;

/// Messages that the broker may leave unacknowledged.
const INFLIGHT: u16 = 256;

/// Messages that the client takes ahead.
const QUEUE: usize = 64;

/// Inputs that are not messages: time, operators, deliveries.
const INPUTS: usize = 1024;

/// Inputs that the engine works off before it stores them.
const BATCH: usize = 512;

/// The QoS 0 messages of one account that may wait.
const SHARE: usize = 64;

/// The longest packet: a frame has 255 bytes.
pub const MAX_PACKET: u32 = 4096;

/// What an account may send in the long run and at once.
///
/// A device that was out of reach sends what it kept, at most some thousand frames. The own broker makes an account that sends
/// more wait; at Mosquitto the account is shut out for a while.
#[derive(Debug)]
pub struct Allowance {
    messages: f64,
    since: Instant,
}

impl Allowance {
    const A_SECOND: f64 = 1000.0;
    const AT_ONCE: f64 = 2000.0;

    /// The whole of it.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self { messages: Self::AT_ONCE, since: now }
    }

    /// Takes one message off; returns how long it must wait if the account has sent more than it may.
    pub fn take(&mut self, now: Instant) -> Option<Duration> {
        let grown = now.saturating_duration_since(self.since).as_secs_f64() * Self::A_SECOND;
        self.messages = (self.messages + grown).min(Self::AT_ONCE) - 1.0;
        self.since = now;
        (self.messages < 0.0).then(|| Duration::from_secs_f64(-self.messages / Self::A_SECOND))
    }
}

/// A warning that comes at most every ten seconds, with how often it was left out.
#[derive(Debug, Default)]
pub(crate) struct Limited(Option<(Instant, u64)>);

impl Limited {
    pub(crate) fn due(&mut self, now: Instant) -> Option<u64> {
        match &mut self.0 {
            Some((last, left_out)) if now.saturating_duration_since(*last) < Duration::from_secs(10) => {
                *left_out += 1;
                None
            }
            last => {
                let left_out = last.take().map_or(0, |(_, left_out)| left_out);
                *last = Some((now, 0));
                Some(left_out)
            }
        }
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A message that came, which is acknowledged when it is stored.
#[derive(Debug)]
struct Ack {
    publish: Publish,
    /// The connection that it came over. On another one the same number may be another message's.
    connection: u64,
}

/// Messages that wait for the engine: a queue for each account, worked off in turn.
#[derive(Debug, Default)]
struct Intake {
    waiting: Mutex<Waiting>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    accounts: HashMap<String, Account>,
    /// Those that have something waiting.
    turn: VecDeque<String>,
}

#[derive(Debug)]
struct Account {
    queue: VecDeque<Ack>,
    /// QoS 0 messages in the queue.
    unacknowledged: usize,
    discarded: u64,
    allowance: Allowance,
}

/// Accounts that are remembered although nothing of them waits.
const REMEMBERED: usize = 65_536;

impl Intake {
    /// Takes a message over; returns the account if it sends more than it may.
    fn push(&self, ack: Ack, now: Instant) -> Option<String> {
        let publish = &ack.publish;
        let topic = String::from_utf8_lossy(&publish.topic);
        let name = topic.split('/').nth(1).unwrap_or_default().to_owned();
        let mut waiting = lock(&self.waiting);
        let Waiting { accounts, turn } = &mut *waiting;
        if accounts.len() >= REMEMBERED && !accounts.contains_key(&name) {
            accounts.retain(|_, account| {
                let silence = now.saturating_duration_since(account.allowance.since);
                !account.queue.is_empty() || silence < Duration::from_secs(10)
            });
        }
        let account = accounts.entry(name.clone()).or_insert_with(|| Account {
            queue: VecDeque::new(),
            unacknowledged: 0,
            discarded: 0,
            allowance: Allowance::new(now),
        });
        let floods = account.allowance.take(now).is_some();
        if publish.qos == QoS::AtMostOnce {
            if account.unacknowledged >= SHARE {
                account.discarded += 1;
                return Some(name).filter(|_| floods);
            }
            account.unacknowledged += 1;
        }
        if account.queue.is_empty() {
            turn.push_back(name.clone());
        }
        account.queue.push_back(ack);
        drop(waiting);
        self.wake.notify_one();
        Some(name).filter(|_| floods)
    }

    /// The next messages, one of each account in turn, each with what is to be acknowledged; and what was discarded.
    fn take(&self, most: usize) -> Vec<(Input, Option<Ack>)> {
        let mut taken = Vec::new();
        let mut waiting = lock(&self.waiting);
        let Waiting { accounts, turn } = &mut *waiting;
        while taken.len() < most
            && let Some(name) = turn.pop_front()
        {
            let Some(account) = accounts.get_mut(&name) else { continue };
            if account.discarded > 0 {
                let count = std::mem::take(&mut account.discarded);
                taken.push((Input::Overload { device: parse_device_id(&name), count }, None));
            }
            let Some(ack) = account.queue.pop_front() else { continue };
            if ack.publish.qos == QoS::AtMostOnce {
                account.unacknowledged -= 1;
            }
            let topic = String::from_utf8_lossy(&ack.publish.topic).into_owned();
            taken.push((Input::Message { topic, payload: ack.publish.payload.to_vec() }, Some(ack)));
            if !account.queue.is_empty() {
                turn.push_back(name);
            }
        }
        if !turn.is_empty() {
            self.wake.notify_one();
        }
        taken
    }
}

/// What goes to the broker.
#[derive(Debug)]
enum Packet {
    Ack(Ack),
    Message(Output),
}

/// What waits for the broker. To put something in never blocks.
#[derive(Debug, Default)]
struct Outgoing {
    waiting: Mutex<Leaving>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct Leaving {
    acks: VecDeque<Ack>,
    /// Topics of devices and kinds of frames, in the order in which they go.
    order: VecDeque<(String, u8)>,
    /// The newest of each: a receipt says all that the one before it said, and everything else is sent again.
    down: HashMap<(String, u8), Output>,
    /// Readings, as many as the engine gives out.
    readings: VecDeque<Output>,
    /// Notifications: the newest of each topic, and of a user only so many.
    told: VecDeque<Output>,
}

/// Topics of one user that may have a notification waiting.
const MOST_TOLD: usize = 32;

fn user(output: &Output) -> Option<&str> {
    output.topic.strip_prefix("out/")?.split('/').next()
}

/// Adds a notification. One of its topic is not worth sending any more; of too many, the user's oldest goes.
fn tell(told: &mut VecDeque<Output>, output: Output) {
    told.retain(|before| before.topic != output.topic);
    let is_of_user = |before: &Output| user(before) == user(&output);
    if told.iter().filter(|before| is_of_user(before)).count() >= MOST_TOLD
        && let Some(oldest) = told.iter().position(is_of_user)
    {
        told.remove(oldest);
    }
    told.push_back(output);
}

impl Outgoing {
    fn push(&self, acks: &mut Vec<Ack>, outputs: Vec<Output>) {
        let mut waiting = lock(&self.waiting);
        // QoS 0 has no acknowledgement.
        waiting.acks.extend(acks.drain(..).filter(|ack| ack.publish.qos != QoS::AtMostOnce));
        for output in outputs {
            if output.delivery.is_some() {
                waiting.readings.push_back(output);
            } else if user(&output).is_some() {
                tell(&mut waiting.told, output);
            } else {
                let kind = match Header::parse(&output.payload).map(|header| header.kind) {
                    Ok(Kind::Receipt) => 0,
                    Ok(Kind::EpochRequest) => 1,
                    _ => 2,
                };
                let key = (output.topic.clone(), kind);
                if waiting.down.insert(key.clone(), output).is_none() {
                    waiting.order.push_back(key);
                }
            }
        }
        drop(waiting);
        self.wake.notify_one();
    }

    async fn next(&self) -> Packet {
        loop {
            if let Some(packet) = self.pop() {
                return packet;
            }
            self.wake.notified().await;
        }
    }

    fn pop(&self) -> Option<Packet> {
        let mut waiting = lock(&self.waiting);
        if let Some(ack) = waiting.acks.pop_front() {
            return Some(Packet::Ack(ack));
        }
        while let Some(key) = waiting.order.pop_front() {
            if let Some(output) = waiting.down.remove(&key) {
                return Some(Packet::Message(output));
            }
        }
        let output = waiting.readings.pop_front().or_else(|| waiting.told.pop_front());
        output.map(Packet::Message)
    }
}

/// The broker that the gateway is a client of.
#[derive(Clone, Debug)]
pub struct Broker {
    /// Its address.
    pub address: Address,
    /// A file with the authorities of which one has made its certificate.
    pub authorities: Option<PathBuf>,
    /// Not the own one: the accounts there are kept by its plugin.
    pub keeps_accounts: bool,
    /// A socket of it where passwords can be tried.
    pub passwords: Option<PathBuf>,
}

/// The engine at work: where it takes inputs, how far the gateway is with its broker, and how it ended.
pub type Running = (mpsc::Sender<Input>, watch::Receiver<Preparation>, JoinHandle<Result<()>>);

/// How far the gateway is with its broker, over the connection that there was last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preparation {
    /// It has not had all answers of the broker yet, over this or any other connection.
    Starts,
    /// It does not have all that it asked the broker for.
    Lacks,
    /// The broker has the subscriptions, and the accounts if they are kept there.
    Done,
}

impl Preparation {
    /// If it is this one, it is a lack from now on.
    fn becomes_lack(self, now: &watch::Sender<Self>) {
        now.send_if_modified(|now| *now == self && std::mem::replace(now, Self::Lacks) == self);
    }
}

/// Connects to the broker and keeps the connection up, by `tasks` that never end; runs the engine in a thread of its own. What is left of
/// before is sent first.
///
/// The handle ends when the engine does: with an error if it could not store something.
///
/// # Errors
/// If the authorities cannot be read.
pub fn start(
    broker: Broker,
    secrets: &watch::Receiver<Arc<Secrets>>,
    engine: Engine,
    before: Vec<Output>,
    meters: &Meters,
    tasks: &mut JoinSet<()>,
) -> Result<Running> {
    let Broker { address, authorities, keeps_accounts, passwords } = broker;
    let password = secrets.borrow().gateway_password.as_str().to_owned();
    let mut options = address.options(GATEWAY_USER, &password, authorities.as_deref())?;
    let mut network = NetworkOptions::new();
    // Else the kernel keeps a receipt back for 40 ms.
    network.set_tcp_nodelay(true);
    options
        .set_network_options(network)
        // What is in flight when the gateway ends the devices send again: they have no receipt of it.
        .set_session_mode(SessionMode::Clean)
        .set_ack_mode(AckMode::Manual)
        .set_keep_alive(30)
        .set_receive_maximum(Some(RECEIVE_MAXIMUM))
        // Without it the client looks through 65,535 places for each message.
        .set_outgoing_inflight_upper_limit(INFLIGHT)
        .set_max_packet_size(Some(MAX_PACKET));
    let (client, event_loop) = AsyncClient::builder(options).capacity(QUEUE).build();
    let (inputs, inputs_rx) = mpsc::channel(INPUTS);
    let (intake, outgoing) = (Arc::<Intake>::default(), Arc::<Outgoing>::default());
    let connection = Arc::<AtomicU64>::default();
    let (connections, connected) = watch::channel(());
    let (preparation, prepared) = watch::channel(Preparation::Starts);
    let (responses, responses_rx) = mpsc::channel(16);
    let (floods, floods_rx) = mpsc::channel(64);
    let at_broker = keeps_accounts.then_some(responses);
    tasks.spawn(receive(
        event_loop,
        Arc::clone(&intake),
        Arc::clone(&outgoing),
        at_broker,
        floods,
        preparation.clone(),
        (Arc::clone(&connection), connections, meters.connected.clone()),
    ));
    let keeper = keeps_accounts.then(|| {
        let requests = accounts::Requests::new(client.clone(), responses_rx, passwords);
        (requests, secrets.clone(), floods_rx)
    });
    tasks.spawn(prepare(client.clone(), keeper, connected, preparation));
    tasks.spawn(send(client, Arc::clone(&outgoing), connection, inputs.clone()));
    let handle = Handle::current();
    let batches = meters.batches.clone();
    let engine = tokio::task::spawn_blocking(move || {
        run(engine, before, inputs_rx, &intake, &outgoing, &batches, &handle)
    });
    Ok((inputs, prepared, engine))
}

/// The engine's thread.
fn run(
    mut engine: Engine,
    before: Vec<Output>,
    mut inputs: mpsc::Receiver<Input>,
    intake: &Intake,
    outgoing: &Outgoing,
    batches: &Histogram,
    runtime: &Handle,
) -> Result<()> {
    let mut acks = Vec::new();
    outgoing.push(&mut acks, before);
    loop {
        let mut batch = Vec::new();
        runtime.block_on(async {
            tokio::select! {
                biased;
                input = inputs.recv() => batch.extend(input),
                () = intake.wake.notified() => {}
            }
        });
        if inputs.is_closed() && inputs.is_empty() && batch.is_empty() {
            return Ok(());
        }
        fill(&mut batch, &mut acks, &mut inputs, intake);
        let start = Instant::now();
        let outputs = engine.handle(batch)?;
        batches.observe(start.elapsed().as_secs_f64());
        outgoing.push(&mut acks, outputs);
    }
}

/// Takes what waits already: messages have at least half of a batch.
fn fill(batch: &mut Vec<Input>, acks: &mut Vec<Ack>, inputs: &mut mpsc::Receiver<Input>, intake: &Intake) {
    while batch.len() < BATCH / 2
        && let Ok(input) = inputs.try_recv()
    {
        batch.push(input);
    }
    for (input, ack) in intake.take(BATCH - batch.len()) {
        batch.push(input);
        acks.extend(ack);
    }
}

async fn receive(
    mut event_loop: EventLoop,
    intake: Arc<Intake>,
    outgoing: Arc<Outgoing>,
    responses: Option<mpsc::Sender<Vec<u8>>>,
    floods: mpsc::Sender<String>,
    preparation: watch::Sender<Preparation>,
    (connection, connections, connected): (Arc<AtomicU64>, watch::Sender<()>, Gauge),
) {
    let (mut lost, mut flooded) = (Limited::default(), Limited::default());
    loop {
        match event_loop.poll().await {
            Ok(Event::Incoming(Incoming::Publish(publish))) if &publish.topic[..] == RESPONSES.as_bytes() => {
                if let Some(responses) = &responses {
                    // One is asked for at a time.
                    drop(responses.try_send(publish.payload.to_vec()));
                }
                let connection = connection.load(Ordering::Relaxed);
                outgoing.push(&mut vec![Ack { publish, connection }], Vec::new());
            }
            Ok(Event::Incoming(Incoming::Publish(publish))) => {
                let ack = Ack { publish, connection: connection.load(Ordering::Relaxed) };
                if let Some(account) = intake.push(ack, Instant::now()) {
                    if let Some(left_out) = flooded.due(Instant::now()) {
                        tracing::warn!(account, left_out, "an account sends more than it may");
                    }
                    drop(floods.try_send(account));
                }
            }
            Ok(Event::Incoming(Incoming::ConnAck(_))) => {
                tracing::info!("connected to the broker");
                connected.set(1);
                connections.send_replace(());
            }
            Ok(_) => {}
            Err(error) => {
                connection.fetch_add(1, Ordering::Relaxed);
                connected.set(0);
                Preparation::Done.becomes_lack(&preparation);
                if let Some(left_out) = lost.due(Instant::now()) {
                    tracing::warn!(%error, left_out, "not connected to the broker");
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
                // An acknowledgement that was about to be handed over when the connection ended.
                event_loop.clean();
            }
        }
    }
}

/// Subscribes at each new connection, and keeps the accounts at a broker that is not the own one.
async fn prepare(
    client: AsyncClient,
    mut keeper: Option<(accounts::Requests, watch::Receiver<Arc<Secrets>>, mpsc::Receiver<String>)>,
    mut connected: watch::Receiver<()>,
    preparation: watch::Sender<Preparation>,
) {
    'connections: while connected.changed().await.is_ok() {
        let mut done = Preparation::Done;
        let mut filters = vec!["up/+/+"];
        filters.extend(keeper.is_some().then_some(RESPONSES));
        for filter in filters {
            let subscribed = async {
                client.subscribe_tracked(filter, QoS::AtLeastOnce).await?.wait_completion_async().await?;
                anyhow::Ok(())
            };
            let Err(error) = subscribed.await else { continue };
            if !matches!(error.downcast_ref(), Some(SubscribeNoticeError::V5SubAckFailure(_))) {
                // The connection ended: nothing can be asked for over it.
                continue 'connections;
            }
            tracing::error!(%error, filter, "the broker refuses a subscription of the gateway");
            done = Preparation::Lacks;
        }
        if let Some((requests, secrets, floods)) = &mut keeper {
            let tried = |has_accounts| {
                if has_accounts {
                    preparation.send_replace(done);
                } else {
                    Preparation::Starts.becomes_lack(&preparation);
                }
            };
            accounts::keep(requests, secrets, floods, &mut connected, accounts::AGAIN, tried).await;
        } else {
            preparation.send_replace(done);
        }
    }
}

async fn send(
    client: AsyncClient,
    outgoing: Arc<Outgoing>,
    connection: Arc<AtomicU64>,
    inputs: mpsc::Sender<Input>,
) {
    let again = Arc::<Mutex<Limited>>::default();
    loop {
        match outgoing.next().await {
            Packet::Ack(ack) if ack.connection == connection.load(Ordering::Relaxed) => {
                drop(client.ack(&ack.publish).await);
            }
            // Of a connection that is gone nothing needs to be acknowledged.
            Packet::Ack(_) => {}
            Packet::Message(output) => match output.delivery {
                Some(number) => {
                    let notice = publish(&client, &output).await;
                    let (client, inputs, again) = (client.clone(), inputs.clone(), Arc::clone(&again));
                    tokio::spawn(async move {
                        confirm(&client, &output, notice, &again).await;
                        drop(inputs.send(Input::Delivered(number)).await);
                    });
                }
                // What is lost with a connection devices ask for again.
                None => drop(publish(&client, &output).await),
            },
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

/// Waits until the broker has the message; sends it again if that becomes unknown.
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
                Err(error) => error.to_string(),
            },
            None => "not taken".to_owned(),
        };
        if let Some(left_out) = lock(again).due(Instant::now()) {
            tracing::warn!(topic = output.topic, error, left_out, "sent again");
        }
        tokio::time::sleep(pause).await;
        pause = (2 * pause).min(Duration::from_secs(10));
        notice = publish(client, output).await;
    }
}

#[cfg(test)]
mod tests {
    use smart_city_frame::{Class, Epoch};

    use super::*;

    const FLOOD: &str = "70b3d5fffe000001";

    fn publish(account: &str, qos: QoS, number: usize) -> Ack {
        let publish = Publish::new(format!("up/{account}/1"), qos, number.to_string(), None);
        Ack { publish, connection: 0 }
    }

    /// Account and number of each message, and how many were discarded.
    fn texts(taken: Vec<(Input, Option<Ack>)>) -> Vec<String> {
        let text = |taken| match taken {
            (Input::Message { topic, payload }, Some(_)) => {
                format!("{} {}", topic.split('/').nth(1).unwrap(), String::from_utf8(payload).unwrap())
            }
            (Input::Overload { device, count }, None) => format!("{} discarded {count}", device.unwrap()),
            other => panic!("{other:?}"),
        };
        taken.into_iter().map(text).collect()
    }

    /// Whether a notice waits; it is taken away.
    async fn is_awake(notify: &Notify) -> bool {
        tokio::time::timeout(Duration::ZERO, notify.notified()).await.is_ok()
    }

    #[test]
    fn an_account_may_send_so_many_messages_at_once_and_a_second() {
        let start = Instant::now();
        let mut allowance = Allowance::new(start);
        assert!((0..2000).all(|_| allowance.take(start).is_none()));
        assert_eq!(allowance.take(start), Some(Duration::from_millis(1)));
        assert_eq!(allowance.take(start), Some(Duration::from_millis(2)));
        // Ten more, of which two are owed.
        let later = start + Duration::from_millis(10);
        assert!((0..8).all(|_| allowance.take(later).is_none()));
        assert_eq!(allowance.take(later), Some(Duration::from_millis(1)));
        let much_later = start + Duration::from_secs(60);
        assert!((0..2000).all(|_| allowance.take(much_later).is_none()));
        assert_eq!(allowance.take(much_later), Some(Duration::from_millis(1)));
    }

    #[test]
    fn a_warning_comes_every_ten_seconds_at_most() {
        let (start, mut warning) = (Instant::now(), Limited::default());
        let due = [0, 0, 9_999, 10_000, 10_000, 20_000, 40_000]
            .map(|time| warning.due(start + Duration::from_millis(time)));
        assert_eq!(due, [Some(0), None, None, Some(2), None, Some(1), Some(0)]);
    }

    #[tokio::test]
    async fn accounts_are_taken_in_turn() {
        let (intake, now) = (Intake::default(), Instant::now());
        for (account, number) in [("a", 1), ("a", 2), ("b", 1), ("a", 3)] {
            assert_eq!(intake.push(publish(account, QoS::AtLeastOnce, number), now), None);
        }
        assert!(is_awake(&intake.wake).await);
        assert_eq!(texts(intake.take(2)), ["a 1", "b 1"]);
        assert!(is_awake(&intake.wake).await, "more is there");
        assert_eq!(texts(intake.take(10)), ["a 2", "a 3"]);
        assert!(!is_awake(&intake.wake).await);
        assert_eq!(texts(intake.take(10)), [""; 0]);
    }

    #[test]
    fn a_flood_takes_its_own_share() {
        let (intake, now) = (Intake::default(), Instant::now());
        for round in 0..2 {
            for number in 0..SHARE + 10 * (1 - round) {
                assert_eq!(intake.push(publish(FLOOD, QoS::AtMostOnce, number), now), None);
            }
            intake.push(publish(FLOOD, QoS::AtLeastOnce, 1000), now);
            let mut expected: Vec<String> = (0..SHARE).map(|number| format!("{FLOOD} {number}")).collect();
            if round == 0 {
                expected.insert(0, format!("{FLOOD} discarded 10"));
            }
            expected.push(format!("{FLOOD} 1000"));
            assert_eq!(texts(intake.take(1000)), expected, "round {round}");
        }
    }

    #[test]
    fn who_sends_more_than_it_may_is_named() {
        let (intake, now) = (Intake::default(), Instant::now());
        for qos in [QoS::AtLeastOnce, QoS::AtMostOnce] {
            let name = format!("{qos:?}");
            assert!((0..2000).all(|number| intake.push(publish(&name, qos, number), now).is_none()));
            assert_eq!(intake.push(publish(&name, qos, 2000), now), Some(name));
        }
    }

    #[test]
    fn of_too_many_accounts_the_silent_ones_are_forgotten() {
        let (intake, start) = (Intake::default(), Instant::now());
        let push = |account: usize, seconds| {
            let now = start + Duration::from_secs(seconds);
            intake.push(publish(&account.to_string(), QoS::AtLeastOnce, 0), now);
            lock(&intake.waiting).accounts.len()
        };
        for account in 0..REMEMBERED {
            push(account, 0);
        }
        push(1, 5);
        while !intake.take(BATCH).is_empty() {}
        assert_eq!(push(0, 10), REMEMBERED, "a known one takes no place");
        // One of which a message waits, one that was there lately, and the new one.
        assert_eq!(push(REMEMBERED, 10), 3);
        assert_eq!(push(REMEMBERED + 1, 100), 4, "there is place");
    }

    #[test]
    fn of_a_devices_frames_the_newest_of_each_kind_goes() {
        let outgoing = Outgoing::default();
        let frame = |kind, number| {
            let header = Header { kind, class: Class::Public, epoch: Epoch(1), counter: [0; 3] };
            [&header.to_bytes()[..], &[0; 8], &[number]].concat()
        };
        let output = |topic: &str, payload, delivery| Output {
            topic: topic.to_owned(),
            payload,
            delivery,
            about: None,
        };
        let down = |topic, kind, number| output(topic, frame(kind, number), None);
        let mut acks = vec![publish("a", QoS::AtMostOnce, 1), publish("a", QoS::AtLeastOnce, 2)];
        outgoing.push(
            &mut acks,
            vec![
                output("out/hana/x", vec![7], Some(1)),
                down("down/a", Kind::Receipt, 1),
                down("down/a", Kind::EpochRequest, 2),
                down("down/b", Kind::Receipt, 3),
                down("down/a", Kind::Instruction, 4),
                output("out/ren/x", vec![8], Some(2)),
                down("down/a", Kind::Receipt, 5),
            ],
        );
        assert!(acks.is_empty());
        let packets: Vec<(String, u8)> = std::iter::from_fn(|| outgoing.pop())
            .map(|packet| match packet {
                Packet::Ack(ack) => ("ack".to_owned(), ack.publish.payload[0]),
                Packet::Message(output) => (output.topic, *output.payload.last().unwrap()),
            })
            .collect();
        let packets: Vec<(&str, u8)> = packets.iter().map(|(topic, last)| (topic.as_str(), *last)).collect();
        assert_eq!(
            packets,
            [
                ("ack", b'2'),
                ("down/a", 5),
                ("down/a", 2),
                ("down/b", 3),
                ("down/a", 4),
                ("out/hana/x", 7),
                ("out/ren/x", 8)
            ]
        );
    }

    #[test]
    fn notifications_go_behind_readings_and_only_so_many_wait() {
        let outgoing = Outgoing::default();
        let output = |topic: String, delivery| Output { topic, payload: Vec::new(), delivery, about: None };
        let tell = |user: &str, i: usize| output(format!("out/{user}/NGSI-LD-{i}"), None);
        let mut outputs: Vec<_> = (0..40).map(|i| tell("hana", i)).collect();
        // The newest of its topic, which goes to the end.
        outputs.extend([tell("ren", 0), tell("hana", 20), output("out/ren/x".to_owned(), Some(1))]);
        outgoing.push(&mut Vec::new(), outputs);
        let sent: Vec<_> = std::iter::from_fn(|| outgoing.pop())
            .map(|packet| match packet {
                Packet::Message(output) => output.topic,
                Packet::Ack(ack) => panic!("{ack:?}"),
            })
            .collect();
        let of_hana = (8..40).filter(|i| *i != 20).map(|i| format!("out/hana/NGSI-LD-{i}"));
        let expected: Vec<_> = ["out/ren/x".to_owned()]
            .into_iter()
            .chain(of_hana)
            .chain(["out/ren/NGSI-LD-0".to_owned(), "out/hana/NGSI-LD-20".to_owned()])
            .collect();
        assert_eq!(sent, expected);
    }

    #[test]
    fn a_batch_is_of_messages_and_other_inputs() {
        let (intake, now) = (Intake::default(), Instant::now());
        let (sender, mut inputs) = mpsc::channel(INPUTS);
        for number in 0..600 {
            intake.push(publish("a", QoS::AtLeastOnce, number), now);
        }
        for _ in 0..400 {
            sender.try_send(Input::Tick).unwrap();
        }
        let mut sizes = || {
            let mut batch = vec![Input::Tick];
            let mut acks = Vec::new();
            fill(&mut batch, &mut acks, &mut inputs, &intake);
            let ticks = batch.iter().filter(|input| matches!(input, Input::Tick)).count();
            assert_eq!(acks.len(), batch.len() - ticks);
            (ticks, acks.len())
        };
        assert_eq!([sizes(), sizes(), sizes()], [(256, 256), (146, 344), (1, 0)]);
    }
}
