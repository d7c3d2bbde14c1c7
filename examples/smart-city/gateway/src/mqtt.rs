//! The gateway as a client of a broker, its own or another.
//!
//! The broker gets an acknowledgement of a frame only after the engine has stored it, and holds no more than
//! [`RECEIVE_MAXIMUM`] unacknowledged: so a gateway that cannot keep up takes no more, and its memory stays bounded. The other way the
//! engine waits when the broker takes no more.

use std::time::Duration;

use anyhow::Result;
use rumqttc::{
    AckMode, AsyncClient, Event, EventLoop, Incoming, MqttOptions, Publish, PublishOptions, QoS, SessionMode,
};
use tokio::sync::{mpsc, watch};

use crate::{
    config::{GATEWAY_USER, Secret},
    engine::{Engine, Input, Output},
};

/// Frames that the broker may send ahead.
const RECEIVE_MAXIMUM: u16 = 256;

/// Messages that wait for the broker, on top of those that it has not acknowledged.
const QUEUE: usize = 1024;

/// Inputs that the engine works off before it stores them.
const BATCH: usize = 512;

/// The longest packet: a frame has 255 bytes.
pub const MAX_PACKET: u32 = 4096;

/// What goes to the broker.
enum Outgoing {
    Message(Output),
    Ack(Publish),
}

/// Connects to the broker and keeps the connection up; runs the engine in a thread of its own. What is left of before is sent first.
///
/// The receiver becomes true when the broker has the subscription. The handle ends when the engine does: with an error
/// if it could not store something.
pub fn start(
    broker: (String, u16),
    password: &Secret,
    engine: Engine,
    before: Vec<Output>,
) -> (mpsc::Sender<Input>, watch::Receiver<bool>, tokio::task::JoinHandle<Result<()>>) {
    let mut options = MqttOptions::new(GATEWAY_USER, broker);
    options
        .set_credentials(GATEWAY_USER, password.as_str().to_owned())
        // What is in flight when the gateway ends the devices send again: they have no receipt of it.
        .set_session_mode(SessionMode::Clean)
        .set_ack_mode(AckMode::Manual)
        .set_keep_alive(30)
        .set_receive_maximum(Some(RECEIVE_MAXIMUM))
        // Without it the client looks through 65,535 places for each message.
        .set_outgoing_inflight_upper_limit(RECEIVE_MAXIMUM)
        .set_max_packet_size(Some(MAX_PACKET));
    let (client, event_loop) = AsyncClient::builder(options).capacity(QUEUE).build();
    // Room for all that the broker may send ahead: the event loop never waits for the engine.
    let (inputs, inputs_rx) = mpsc::channel(2 * usize::from(RECEIVE_MAXIMUM) + QUEUE);
    let (outputs, outputs_rx) = mpsc::channel(QUEUE);
    let (ready, is_ready) = watch::channel(false);
    tokio::spawn(receive(event_loop, client.clone(), inputs.clone(), ready));
    tokio::spawn(send(client, outputs_rx, inputs.clone()));
    let engine = tokio::task::spawn_blocking(move || run(engine, before, inputs_rx, &outputs));
    (inputs, is_ready, engine)
}

/// The engine's thread.
fn run(
    mut engine: Engine,
    before: Vec<Output>,
    mut inputs: mpsc::Receiver<Input>,
    outputs: &mpsc::Sender<Outgoing>,
) -> Result<()> {
    let mut results = before;
    let mut acks = Vec::new();
    loop {
        let messages = results.into_iter().map(Outgoing::Message);
        for outgoing in acks.drain(..).map(Outgoing::Ack).chain(messages) {
            outputs.blocking_send(outgoing)?;
        }
        let Some(first) = inputs.blocking_recv() else { return Ok(()) };
        let mut batch = vec![first];
        while batch.len() < BATCH
            && let Ok(input) = inputs.try_recv()
        {
            batch.push(input);
        }
        for input in &mut batch {
            if let Input::Message { ack, .. } = input {
                acks.extend(ack.take());
            }
        }
        results = engine.handle(batch)?;
    }
}

async fn receive(
    mut event_loop: EventLoop,
    client: AsyncClient,
    inputs: mpsc::Sender<Input>,
    ready: watch::Sender<bool>,
) {
    loop {
        match event_loop.poll().await {
            Ok(Event::Incoming(Incoming::Publish(publish))) => {
                let input = Input::Message {
                    topic: String::from_utf8_lossy(&publish.topic).into_owned(),
                    payload: publish.payload.to_vec(),
                    ack: Some(publish),
                };
                // Only if the broker does not keep to what it was told.
                if inputs.try_send(input).is_err() {
                    tracing::warn!("the broker sends more than it may");
                    drop(inputs.try_send(Input::Overload));
                }
            }
            Ok(Event::Incoming(Incoming::ConnAck(_))) => {
                tracing::info!("connected to the broker");
                // The queue may be full, and is emptied here.
                tokio::spawn(subscribe(client.clone(), ready.clone()));
            }
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%error, "not connected to the broker");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

async fn subscribe(client: AsyncClient, ready: watch::Sender<bool>) {
    let subscribed = async {
        client.subscribe_tracked("up/+/+", QoS::AtLeastOnce).await?.wait_completion_async().await?;
        anyhow::Ok(())
    };
    match subscribed.await {
        Ok(()) => drop(ready.send(true)),
        Err(error) => tracing::error!(%error, "the broker refuses the subscription of the gateway"),
    }
}

async fn send(client: AsyncClient, mut outputs: mpsc::Receiver<Outgoing>, inputs: mpsc::Sender<Input>) {
    while let Some(outgoing) = outputs.recv().await {
        match outgoing {
            // Of a connection that is gone nothing needs to be acknowledged.
            Outgoing::Ack(publish) => drop(client.ack(&publish).await),
            Outgoing::Message(output) => {
                let options = PublishOptions::new(QoS::AtLeastOnce);
                let notice =
                    client.publish_tracked(output.topic.clone(), output.payload.clone(), options).await;
                tokio::spawn(confirm(client.clone(), output, notice.ok(), inputs.clone()));
            }
        }
    }
}

/// Waits until the broker has the message; sends it again if that becomes unknown.
async fn confirm(
    client: AsyncClient,
    output: Output,
    mut notice: Option<rumqttc::PublishNotice>,
    inputs: mpsc::Sender<Input>,
) {
    let mut pause = Duration::from_millis(100);
    loop {
        match notice {
            Some(notice) => match notice.wait_completion_async().await {
                Ok(()) => break,
                Err(error) => tracing::warn!(topic = output.topic, %error, "sent again"),
            },
            None => tracing::warn!(topic = output.topic, "sent again"),
        }
        tokio::time::sleep(pause).await;
        pause = (2 * pause).min(Duration::from_secs(10));
        let options = PublishOptions::new(QoS::AtLeastOnce);
        notice = client.publish_tracked(output.topic.clone(), output.payload.clone(), options).await.ok();
    }
    if let Some(number) = output.delivery {
        drop(inputs.send(Input::Delivered(number)).await);
    }
}
