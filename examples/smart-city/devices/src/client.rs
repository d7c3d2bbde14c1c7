//! A device on an MQTT broker, with an identity of its own there.

use std::time::Duration;

use anyhow::{Context, Result};
use rumqttc::{
    AsyncClient, Event as MqttEvent, EventLoop, Incoming, MqttOptions, PublishOptions, mqttbytes::QoS,
};
use smart_city_frame::{DeviceId, Stream};
use tokio::{sync::mpsc, task::JoinHandle, time::sleep};

use crate::device::{Device, Done, Error, Frame};

/// The inputs that a device takes before its sender has to wait.
const QUEUE: usize = 256;

/// Until a lost connection is made again.
const RETRY: Duration = Duration::from_millis(200);

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
    /// A frame came from the gateway.
    Down(Vec<u8>),
    /// The connection is there, for the first time or again.
    Connected,
}

/// What a device tells the one who watches it. Real devices tell nobody.
#[derive(Debug)]
pub enum Report {
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
    options.set_keep_alive(30);
    // As many as may wait for receipts; without a limit the client looks through 65,535 places for each message.
    options.set_outgoing_inflight_upper_limit(64);
    options
}

/// Runs a device until the handle is dropped. Reports go to `reports`, which must be taken out.
#[must_use]
pub fn run(device: Device, options: MqttOptions, reports: mpsc::Sender<Report>) -> Handle {
    let (client, events) = AsyncClient::builder(options).capacity(QUEUE).build();
    let (input, inputs) = mpsc::channel(QUEUE);
    let tasks = [
        tokio::spawn(listen(events, input.clone())),
        tokio::spawn(async move {
            let id = device.id();
            if let Err(error) = live(device, &client, inputs, &reports).await {
                let _ = reports.send(Report::Stopped(id, error)).await;
            }
        }),
    ];
    Handle { input, tasks }
}

/// Passes on what comes from the broker.
async fn listen(mut events: EventLoop, input: mpsc::Sender<Input>) {
    loop {
        let event = match events.poll().await {
            Ok(MqttEvent::Incoming(Incoming::ConnAck(_))) => Input::Connected,
            Ok(MqttEvent::Incoming(Incoming::Publish(publish))) => Input::Down(publish.payload.to_vec()),
            Ok(_) => continue,
            Err(_) => {
                sleep(RETRY).await;
                continue;
            }
        };
        if input.send(event).await.is_err() {
            return;
        }
    }
}

async fn live(
    mut device: Device,
    client: &AsyncClient,
    mut inputs: mpsc::Receiver<Input>,
    reports: &mpsc::Sender<Report>,
) -> Result<()> {
    let up = format!("up/{}", device.id());
    let mut last: Option<Frame> = None;
    let mut connections = 0;
    while let Some(input) = inputs.recv().await {
        let done = match input {
            Input::Measured(stream, reading) => device.measured(stream, reading).err().map(Err),
            Input::Patch(region, byte) => {
                device.patch(region, byte);
                None
            }
            Input::Repeat => {
                if let Some(frame) = &last {
                    send(client, format!("{up}/{}", frame.topic), frame.bytes.clone()).await?;
                }
                None
            }
            Input::Publish(topic, bytes) => {
                send(client, topic, bytes).await?;
                None
            }
            Input::Down(mut frame) => Some(device.receive(&mut frame)),
            Input::Connected => {
                client.subscribe(format!("down/{}", device.id()), QoS::AtLeastOnce).await?;
                connections += 1;
                // What was under way may be lost with the old connection.
                (connections > 1).then(|| device.new_epoch().map(Done::NewEpoch))
            }
        };
        // Before the first connection nothing is sealed that nobody could receive.
        if connections > 0 {
            while let Some(frame) = device.next_frame()? {
                send(client, format!("{up}/{}", frame.topic), frame.bytes.clone()).await?;
                last = Some(frame);
            }
        }
        let report = match done {
            None => continue,
            Some(Ok(done)) => Report::Did(device.id(), done),
            Some(Err(error @ Error::Epoch(_))) => return Err(error.into()),
            Some(Err(error)) => Report::Refused(device.id(), error),
        };
        reports.send(report).await.context("nobody watches")?;
    }
    Ok(())
}

async fn send(client: &AsyncClient, topic: String, bytes: Vec<u8>) -> Result<()> {
    Ok(client.publish(topic, bytes, PublishOptions::new(QoS::AtLeastOnce)).await?)
}
