//! Users, who write down what they receive.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use rumqttc::{AsyncClient, Event, Incoming, MqttOptions, mqttbytes::QoS};
use serde::Deserialize;
use tokio::{runtime::Runtime, task::JoinHandle, time::sleep};

/// A reading that a user got.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Received {
    /// The part of the topic behind the user.
    pub stream: String,
    /// The device.
    pub device: String,
    /// The minute of the day that it is about; of a device with the firmware the vehicles that it has counted so far.
    pub number: u32,
}

/// What a user got so far.
#[derive(Debug, Default)]
pub struct Inbox {
    /// Each reading once.
    pub readings: BTreeSet<Received>,
    /// When each came, in the order in which they came.
    pub times: Vec<(Received, Instant)>,
    /// Readings that came again.
    pub again: u64,
    /// What came under other topics than the user's own, or was no reading.
    pub foreign: Vec<String>,
}

/// A user at the broker.
#[derive(Debug)]
pub struct User {
    inbox: Arc<Mutex<Inbox>>,
    task: JoinHandle<()>,
}

/// What the simulated sensors say.
#[derive(Deserialize)]
struct Reading {
    minute: u32,
}

/// What a reading is told apart by: see [`Received::number`].
#[must_use]
pub fn number_in(reading: &[u8]) -> Option<u32> {
    match *reading {
        // Vehicles, brightness of the lamp, whether people walk.
        [a, b, c, d, _, _] => Some(u32::from_be_bytes([a, b, c, d])),
        _ => serde_json::from_slice(reading).ok().map(|Reading { minute }| minute),
    }
}

impl User {
    /// Connects as `name` and subscribes to `filters`; returns when the broker has answered.
    ///
    /// # Panics
    /// If the thread that takes the messages has.
    pub fn connect(
        runtime: &Runtime,
        name: &'static str,
        options: MqttOptions,
        filters: Vec<String>,
    ) -> Self {
        let inbox = Arc::<Mutex<Inbox>>::default();
        let own = Arc::clone(&inbox);
        let (ready, is_ready) = std::sync::mpsc::channel();
        let task = runtime.spawn(async move {
            let (client, mut events) = AsyncClient::builder(options).capacity(64).build();
            let mut answers = 0;
            loop {
                match events.poll().await {
                    Ok(Event::Incoming(Incoming::ConnAck(_))) => {
                        for filter in &filters {
                            let _ = client.subscribe(filter.clone(), QoS::AtLeastOnce).await;
                        }
                    }
                    Ok(Event::Incoming(Incoming::SubAck(_))) => {
                        answers += 1;
                        if answers == filters.len() {
                            let _ = ready.send(());
                        }
                    }
                    Ok(Event::Incoming(Incoming::Publish(publish))) => {
                        let properties = publish.properties.unwrap_or_default();
                        let device =
                            properties.user_properties.into_iter().find(|(name, _)| name == "device");
                        lock(&own).take(name, &publish.topic, device.map(|(_, id)| id), &publish.payload);
                    }
                    Ok(_) => {}
                    Err(_) => sleep(Duration::from_millis(200)).await,
                }
            }
        });
        let _ = is_ready.recv_timeout(Duration::from_secs(10));
        Self { inbox, task }
    }

    /// What came so far.
    pub fn inbox(&self) -> MutexGuard<'_, Inbox> {
        lock(&self.inbox)
    }
}

impl Drop for User {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock(inbox: &Mutex<Inbox>) -> MutexGuard<'_, Inbox> {
    inbox.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Inbox {
    fn take(&mut self, user: &str, topic: &[u8], device: Option<String>, payload: &[u8]) {
        let topic = String::from_utf8_lossy(topic);
        let stream = topic.strip_prefix(&format!("out/{user}/"));
        let (Some(stream), Some(device), Some(number)) = (stream, device, number_in(payload)) else {
            self.foreign.push(topic.into_owned());
            return;
        };
        let received = Received { stream: stream.to_owned(), device, number };
        if self.readings.insert(received.clone()) {
            self.times.push((received, Instant::now()));
        } else {
            self.again += 1;
        }
    }
}
