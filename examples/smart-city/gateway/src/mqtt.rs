//! The gateway as a client of a broker that is not its own.
//!
//! The broker gets the acknowledgement of a QoS 1 message only after the engine has stored it.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Result;
use prometheus_client::metrics::gauge::Gauge;
use rumqttc::{
    AckMode, AsyncClient, Event, EventLoop, Incoming, NetworkOptions, Publish, PublishNoticeError,
    PublishOptions, QoS, SessionMode, SubscribeNoticeError, mqttbytes::v5::PublishProperties,
};
use smart_city_address::Address;
use smart_city_engine::{
    config::{GATEWAY_USER, Secrets},
    engine::{FOREIGN, Input, Output},
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};

use crate::{
    accounts::{self, RESPONSES},
    exchange::{Arrived, Exchange, Limited, MAX_PACKET, Owed, Packet, Preparation, ROOM, lock},
    metrics::Meters,
};

/// Messages that the broker may leave unacknowledged.
const INFLIGHT: u16 = 256;

/// Messages that the client takes ahead.
const QUEUE: usize = 64;

/// The broker that the gateway is a client of. Its plugin keeps the accounts.
#[derive(Clone, Debug)]
pub struct Broker {
    /// Its address.
    pub address: Address,
    /// A file with the authorities of which one has made its certificate.
    pub authorities: Option<PathBuf>,
    /// A socket of it where passwords can be tried.
    pub passwords: Option<PathBuf>,
}

/// Connects to the broker and keeps the connection up, by `tasks` that never end. Returns how far it is.
///
/// # Errors
/// If the authorities cannot be read.
pub fn start(
    broker: Broker,
    secrets: &watch::Receiver<Arc<Secrets>>,
    exchange: &Exchange,
    meters: &Meters,
    tasks: &mut JoinSet<()>,
) -> Result<watch::Receiver<Preparation>> {
    let Broker { address, authorities, passwords } = broker;
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
        .set_receive_maximum(Some(ROOM))
        // Without it the client looks through 65,535 places for each message.
        .set_outgoing_inflight_upper_limit(INFLIGHT)
        .set_max_packet_size(Some(MAX_PACKET));
    let (client, event_loop) = AsyncClient::builder(options).capacity(QUEUE).build();
    let connection = Arc::<AtomicU64>::default();
    let (connections, connected) = watch::channel(());
    let (preparation, prepared) = watch::channel(Preparation::Starts);
    let (responses, responses_rx) = mpsc::channel(16);
    let (floods, floods_rx) = mpsc::channel(64);
    tasks.spawn(receive(
        event_loop,
        exchange.clone(),
        responses,
        floods,
        preparation.clone(),
        (Arc::clone(&connection), connections, meters.connected.clone()),
    ));
    let keeper =
        (accounts::Requests::new(client.clone(), responses_rx, passwords), secrets.clone(), floods_rx);
    tasks.spawn(prepare(client.clone(), keeper, connected, preparation));
    tasks.spawn(send(client, exchange.clone(), connection));
    Ok(prepared)
}

async fn receive(
    mut event_loop: EventLoop,
    exchange: Exchange,
    responses: mpsc::Sender<Vec<u8>>,
    floods: mpsc::Sender<String>,
    preparation: watch::Sender<Preparation>,
    (connection, connections, connected): (Arc<AtomicU64>, watch::Sender<()>, Gauge),
) {
    let (mut lost, mut flooded) = (Limited::default(), Limited::default());
    loop {
        match event_loop.poll().await {
            Ok(Event::Incoming(Incoming::Publish(publish))) if &publish.topic[..] == RESPONSES.as_bytes() => {
                // One is asked for at a time.
                drop(responses.try_send(publish.payload.to_vec()));
                exchange.outgoing.push(&mut vec![owed(publish, &connection)], Vec::new());
            }
            Ok(Event::Incoming(Incoming::Publish(publish))) => {
                let message = Arrived {
                    topic: String::from_utf8_lossy(&publish.topic).into_owned(),
                    payload: publish.payload.to_vec(),
                    is_unacknowledged: publish.qos == QoS::AtMostOnce,
                    owed: owed(publish, &connection),
                };
                if let Some(account) = exchange.intake.push(message, Instant::now()) {
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

/// The acknowledgement of a message, which QoS 0 does not have.
fn owed(publish: Publish, connection: &AtomicU64) -> Owed {
    let is_acknowledged = publish.qos != QoS::AtMostOnce;
    let acknowledgement = is_acknowledged.then(|| (Box::new(publish), connection.load(Ordering::Relaxed)));
    Owed { acknowledgement, ..Owed::default() }
}

/// Subscribes at each new connection, and keeps the accounts.
async fn prepare(
    client: AsyncClient,
    (mut requests, mut secrets, mut floods): (
        accounts::Requests,
        watch::Receiver<Arc<Secrets>>,
        mpsc::Receiver<String>,
    ),
    mut connected: watch::Receiver<()>,
    preparation: watch::Sender<Preparation>,
) {
    'connections: while connected.changed().await.is_ok() {
        let mut done = Preparation::Done;
        for filter in ["up/+/+", RESPONSES] {
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
        let tried = |has_accounts| {
            if has_accounts {
                preparation.send_replace(done);
            } else {
                Preparation::Starts.becomes_lack(&preparation);
            }
        };
        accounts::keep(&mut requests, &mut secrets, &mut floods, &connected, accounts::AGAIN, tried).await;
    }
}

async fn send(client: AsyncClient, Exchange { inputs, outgoing, .. }: Exchange, connection: Arc<AtomicU64>) {
    let again = Arc::<Mutex<Limited>>::default();
    loop {
        match outgoing.next().await {
            Packet::Ack(publish, over) if over == connection.load(Ordering::Relaxed) => {
                drop(client.ack(&publish).await);
            }
            // Of a connection that is gone nothing needs to be acknowledged.
            Packet::Ack(..) => {}
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
        tokio::time::sleep(pause).await;
        pause = (2 * pause).min(Duration::from_secs(10));
        notice = publish(client, output).await;
    }
}
