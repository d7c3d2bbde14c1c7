//! Carries frames between a device's serial line and its topics. It has no keys, and believes nothing that it carries.

use std::{
    io::{Read, Write},
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use rumqttc::{Client, Event, Incoming, MqttOptions, PublishOptions, QoS};
use smart_city_frame::DeviceId;

use crate::line;

/// Until a lost connection is made again.
const RETRY: Duration = Duration::from_secs(1);

/// Frames that wait for the broker. More are lost: the device sends each again until it has a receipt.
const QUEUE: usize = 64;

/// The broker, where the device's account has its EUI-64 as its name.
#[derive(Debug)]
pub struct Mqtt {
    /// Where it is.
    pub broker: SocketAddr,
    /// The account's password.
    pub password: String,
}

/// Carries frames until the line ends: what comes from it goes to `up/{device}/{stream}` or `up/{device}/evidence`, what comes under
/// `down/{device}` goes to it.
///
/// # Errors
/// When the line has ended, or cannot be used.
pub fn carry(
    from_device: impl Read + Send,
    mut to_device: impl Write,
    device: DeviceId,
    mqtt: &Mqtt,
) -> Result<()> {
    let name = device.to_string();
    let mut options = MqttOptions::new(&name, (mqtt.broker.ip().to_string(), mqtt.broker.port()));
    options.set_credentials(&name, mqtt.password.clone());
    options.set_keep_alive(30);
    let (client, mut connection) = Client::builder(options).capacity(QUEUE).build();
    let has_ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let up = client.clone();
        scope.spawn(|| {
            let name = &name;
            // How it ended does not matter.
            let _ = line::read_packets(from_device, move |mut packet| {
                if packet.len() >= 2 {
                    let frame = packet.split_off(2);
                    let topic = match packet[..] {
                        [0, 0] => format!("up/{name}/evidence"),
                        [high, low] => format!("up/{name}/{}", u16::from_be_bytes([high, low])),
                        _ => return true,
                    };
                    // If there is no room it is lost, as it could be on the way.
                    drop(up.try_publish(topic, frame, PublishOptions::new(QoS::AtLeastOnce)));
                }
                true
            });
            has_ended.store(true, Ordering::Relaxed);
        });
        loop {
            match connection.recv_timeout(RETRY) {
                Ok(Ok(Event::Incoming(Incoming::ConnAck(_)))) => {
                    client.try_subscribe(format!("down/{name}"), QoS::AtLeastOnce)?;
                }
                Ok(Ok(Event::Incoming(Incoming::Publish(publish)))) => {
                    let packet = line::encode(&publish.payload);
                    to_device.write_all(&packet).context("the serial line is closed")?;
                }
                Ok(Ok(_)) => {}
                Ok(Err(_)) => thread::sleep(RETRY),
                // Nothing came.
                Err(_) => {}
            }
            if has_ended.load(Ordering::Relaxed) {
                bail!("the serial line has ended");
            }
        }
    })
}
