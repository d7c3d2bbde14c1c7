//! A device on an MQTT broker, with an identity of its own there.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rumqttc::{
    AsyncClient, Event as MqttEvent, EventLoop, Incoming, MqttOptions, PublishOptions, mqttbytes::QoS,
};
use smart_city_frame::{DeviceId, Stream, Up};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::{sleep, sleep_until},
};

use crate::{
    device::{Device, Done, Error, Frame},
    sensors::Random,
};

/// The inputs that a device takes before its sender has to wait.
const QUEUE: usize = 256;

/// Until a lost connection is made again, at first and at most, before jitter.
const RETRY: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(5)];

/// Reports must be taken out.
const UNWATCHED: &str = "nobody watches";

/// What happens to a device.
#[derive(Clone, Debug)]
pub enum Input {
    /// Its sensor has measured something.
    Measured(Stream, Vec<u8>),
    /// Somebody alters a bit of its code: region and byte.
    Patch(u16, usize),
    /// The network delivers its last frame a second time.
    Repeat,
    /// Malware in its application, which has no keys, publishes bytes under a topic.
    Publish(String, Vec<u8>),
}

/// What a device tells the one who watches it. Real devices tell nobody.
#[derive(Debug)]
pub enum Report {
    /// It is connected to the broker.
    Connected(DeviceId),
    /// It has no connection, for another reason than before.
    NotConnected(DeviceId, String),
    /// It obeyed a frame, or opened a new epoch by itself.
    Did(DeviceId, Done),
    /// It did not take a frame or a reading.
    Refused(DeviceId, Error),
    /// It has stopped for good.
    Stopped(DeviceId, anyhow::Error),
}

/// A device that runs.
#[derive(Debug)]
pub struct Handle {
    /// What happens to it.
    pub input: mpsc::Sender<Input>,
    tasks: [JoinHandle<()>; 2],
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// The options of a client of the broker at `host`:`port` with the user `name`.
#[must_use]
pub fn options(name: &str, password: &str, (host, port): (&str, u16)) -> MqttOptions {
    let mut options = MqttOptions::new(name, (host, port));
    options.set_credentials(name, password.to_owned());
    paced(options)
}

/// The options with the pace of a device.
#[must_use]
pub fn paced(mut options: MqttOptions) -> MqttOptions {
    options.set_keep_alive(30);
    // As many as may wait for receipts; without a limit the client looks through 65,535 places for each message.
    options.set_outgoing_inflight_upper_limit(64);
    options
}

/// Runs a device until the handle is dropped, in a city with so many [shards](Up::shards). Reports go to `reports`, which must be taken out.
///
/// Of what it sends and of what comes a share of `loss`, from 0 to 1, is lost on the way.
#[must_use]
pub fn run(
    device: Device,
    shards: Option<u16>,
    options: MqttOptions,
    loss: f64,
    reports: mpsc::Sender<Report>,
) -> Handle {
    let (client, events) = AsyncClient::builder(options).capacity(QUEUE).build();
    let (input, inputs) = mpsc::channel(QUEUE);
    let (down, frames) = mpsc::channel(QUEUE);
    let (connection, connected) = watch::channel(Err(String::new()));
    let random = Random::new(u64::from_be_bytes(device.id().0));
    let up = Up { device: device.id(), shards };
    let network = Network { client, up, loss, random: random.clone(), frames, connected };
    let tasks = [
        tokio::spawn(listen(events, loss, random, down, connection)),
        tokio::spawn(async move {
            let id = device.id();
            if let Err(error) = live(device, network, inputs, &reports).await {
                let _ = reports.send(Report::Stopped(id, error)).await;
            }
        }),
    ];
    Handle { input, tasks }
}

/// Passes on what comes from the broker. It waits for nobody, so that the connection stays up.
async fn listen(
    mut events: EventLoop,
    loss: f64,
    mut random: Random,
    frames: mpsc::Sender<Vec<u8>>,
    connection: watch::Sender<Connection>,
) {
    let mut pause = RETRY[0];
    let mut connected_at = None;
    loop {
        match events.poll().await {
            Ok(MqttEvent::Incoming(Incoming::ConnAck(_))) => {
                connected_at = Some(Instant::now());
                connection.send_modify(|connection| *connection = Ok(()));
            }
            Ok(MqttEvent::Incoming(Incoming::Publish(publish))) if random.unit() >= loss => {
                // If there are too many this one is lost, as it could be on the way.
                drop(frames.try_send(publish.payload.to_vec()));
            }
            Ok(_) => {}
            Err(error) => {
                let error = Err(error.to_string());
                connection.send_if_modified(|connection| {
                    let differs = *connection != error;
                    *connection = error;
                    differs
                });
                // A broker that takes each connection and ends it at once is not asked without a pause.
                if connected_at.take().is_some_and(|time: Instant| time.elapsed() > RETRY[1]) {
                    pause = RETRY[0];
                }
                sleep(pause.mul_f64(0.5 + random.unit())).await;
                pause = (2 * pause).min(RETRY[1]);
            }
        }
        if connection.is_closed() {
            return;
        }
    }
}

/// Whether there is a connection to the broker, and why not.
type Connection = Result<(), String>;

/// What a device has of its network.
struct Network {
    client: AsyncClient,
    /// Under what it sends.
    up: Up,
    loss: f64,
    random: Random,
    /// Frames from the gateway.
    frames: mpsc::Receiver<Vec<u8>>,
    connected: watch::Receiver<Connection>,
}

async fn live(
    mut device: Device,
    mut network: Network,
    mut inputs: mpsc::Receiver<Input>,
    reports: &mpsc::Sender<Report>,
) -> Result<()> {
    let mut last: Option<Frame> = None;
    loop {
        let wake_at = device.wake_at();
        let wake = async {
            match wake_at {
                Some(time) => sleep_until(time.into()).await,
                None => std::future::pending().await,
            }
        };
        let is_connected = network.connected.borrow().is_ok();
        let done = tokio::select! {
            input = inputs.recv() => match input {
                None => return Ok(()),
                Some(Input::Measured(stream, reading)) => device.measured(stream, reading).err().map(Err),
                Some(Input::Patch(region, byte)) => {
                    device.patch(region, byte);
                    None
                }
                Some(Input::Repeat) => {
                    if let Some(frame) = &last {
                        send(&network.client, format!("{}/{}", network.up, frame.topic), frame.bytes.clone()).await?;
                    }
                    None
                }
                Some(Input::Publish(topic, bytes)) => {
                    send(&network.client, topic, bytes).await?;
                    None
                }
            },
            Some(mut frame) = network.frames.recv() => Some(device.receive(&mut frame, Instant::now())),
            changed = network.connected.changed() => {
                if changed.is_err() {
                    // The handle is dropped.
                    return Ok(());
                }
                let connection = network.connected.borrow_and_update().clone();
                let is_connected = connection.is_ok();
                let report = match connection {
                    Ok(()) => Report::Connected(device.id()),
                    Err(error) => Report::NotConnected(device.id(), error),
                };
                reports.send(report).await.context(UNWATCHED)?;
                if is_connected {
                    network.client.subscribe(format!("down/{}", device.id()), QoS::AtLeastOnce).await?;
                    device.reconnected();
                }
                None
            }
            () = wake, if is_connected => None,
        };
        let epoch = device.epoch();
        // Without a connection nothing is sealed that nobody could receive.
        while network.connected.borrow().is_ok()
            && let Some(frame) = device.next_frame(Instant::now())?
        {
            if network.random.unit() >= network.loss {
                let options = PublishOptions::new(QoS::AtLeastOnce);
                // If the client's queue is full the frame is lost, as it could be on the way.
                drop(network.client.try_publish(
                    format!("{}/{}", network.up, frame.topic),
                    frame.bytes.clone(),
                    options,
                ));
            }
            last = Some(frame);
        }
        let opened = (device.epoch() != epoch).then(|| Ok(Done::NewEpoch(device.epoch())));
        for done in done.into_iter().chain(opened) {
            let report = match done {
                Ok(done) => Report::Did(device.id(), done),
                Err(error @ Error::Epoch(_)) => return Err(error.into()),
                Err(error) => Report::Refused(device.id(), error),
            };
            reports.send(report).await.context(UNWATCHED)?;
        }
    }
}

async fn send(client: &AsyncClient, topic: String, bytes: Vec<u8>) -> Result<()> {
    Ok(client.publish(topic, bytes, PublishOptions::new(QoS::AtLeastOnce)).await?)
}
