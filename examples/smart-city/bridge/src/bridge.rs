//! Carries frames between a device's serial line and its topics. It has no keys, and believes nothing that it carries.

use std::{
    io::{Read, Write},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use rumqttc::{Client, Event, Incoming, MqttOptions, PublishOptions, QoS};
use smart_city_frame::{DeviceId, Up};

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
    /// Into how many shards the gateways of the city divide all devices; none if there is one gateway.
    pub shards: Option<u16>,
}

/// Carries frames until the line ends: what comes from it goes [up](Up) to `.../{stream}` or `.../evidence`, what comes under
/// `down/{device}` goes to it. A thread reads the line; it goes on after an error here until the line ends, and what it reads is lost.
///
/// # Errors
/// When the line has ended, or cannot be used.
pub fn carry(
    from_device: impl Read + Send + 'static,
    mut to_device: impl Write,
    device: DeviceId,
    mqtt: &Mqtt,
) -> Result<()> {
    let name = device.to_string();
    let mut options = MqttOptions::new(&name, (mqtt.broker.ip().to_string(), mqtt.broker.port()));
    options.set_credentials(&name, mqtt.password.clone());
    options.set_keep_alive(30);
    let (client, mut connection) = Client::builder(options).capacity(QUEUE).build();
    let has_ended = Arc::new(AtomicBool::new(false));
    thread::spawn({
        let (client, has_ended) = (client.clone(), Arc::clone(&has_ended));
        let up = Up { device, shards: mqtt.shards };
        move || {
            // How it ended does not matter.
            let _ = line::read_packets(from_device, |packet| {
                publish(&client, up, packet);
                true
            });
            has_ended.store(true, Ordering::Relaxed);
            // So that the loop below looks. If that is over, nobody need look.
            drop(client.try_disconnect_now());
        }
    });
    let mut is_subscribed = true;
    loop {
        // Without a limit of time: it would end a connection that is slowly made.
        let event = connection.recv();
        if has_ended.load(Ordering::Relaxed) {
            bail!("the serial line has ended");
        }
        let Ok(event) = event else { bail!("the client has ended") };
        match event {
            Ok(Event::Incoming(Incoming::ConnAck(_))) => is_subscribed = false,
            Ok(Event::Incoming(Incoming::Publish(publish))) => {
                let packet = line::encode(&publish.payload);
                to_device.write_all(&packet).context("the serial line is closed")?;
            }
            Ok(_) => {}
            Err(_) => thread::sleep(RETRY),
        }
        if !is_subscribed {
            // If there is no room among the frames that wait, there is after the next event.
            is_subscribed = client.try_subscribe(format!("down/{name}"), QoS::AtLeastOnce).is_ok();
        }
    }
}

/// Sends a packet of a device on to the broker. If there is no room it is lost, as it could be on the way.
fn publish(client: &Client, up: Up, mut packet: Vec<u8>) {
    if packet.len() < 2 {
        return;
    }
    let frame = packet.split_off(2);
    let topic = match packet[..] {
        [0, 0] => format!("{up}/evidence"),
        [high, low] => format!("{up}/{}", u16::from_be_bytes([high, low])),
        _ => return,
    };
    drop(client.try_publish(topic, frame, PublishOptions::new(QoS::AtLeastOnce)));
}

#[cfg(test)]
mod tests {
    use std::{
        io::{self, Read as _, Write},
        net::{TcpListener, TcpStream},
        os::unix::net::UnixStream,
        sync::mpsc,
        thread,
        time::Duration,
    };

    use smart_city_frame::DeviceId;

    use super::{Mqtt, QUEUE, carry};
    use crate::line;

    const SUBSCRIBE: u8 = 8;

    /// What takes longer hangs.
    const LIMIT: Duration = Duration::from_secs(60);

    /// A bridge, and where its error will come.
    fn start(
        listener: &TcpListener,
        from_device: UnixStream,
        to_device: impl Write + Send + 'static,
    ) -> mpsc::Receiver<String> {
        let (broker, password) = (listener.local_addr().unwrap(), "secret".to_owned());
        let mqtt = Mqtt { broker, password, shards: None };
        let (sender, errors) = mpsc::channel();
        thread::spawn(move || {
            let error = carry(from_device, to_device, DeviceId([7; 8]), &mqtt).unwrap_err();
            sender.send(error.to_string()).unwrap();
        });
        errors
    }

    /// The broker's end of a connection, whose login it answers after a while.
    fn accept(listener: &TcpListener, delay: Duration) -> TcpStream {
        const CONNECT: u8 = 1;
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        assert_eq!(read_kind(&mut stream), CONNECT);
        thread::sleep(delay);
        // CONNACK: accepted, without properties.
        stream.write_all(&[0x20, 3, 0, 0, 0]).unwrap();
        stream
    }

    /// Reads a packet of MQTT and returns its kind.
    fn read_kind(stream: &mut TcpStream) -> u8 {
        let mut byte = || {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            byte[0]
        };
        let (first, mut len, mut shift) = (byte(), 0, 0);
        loop {
            let next = byte();
            len |= usize::from(next & 0x7F) << shift;
            shift += 7;
            if next & 0x80 == 0 {
                break;
            }
        }
        stream.read_exact(&mut vec![0; len]).unwrap();
        first >> 4
    }

    fn reads_subscription(stream: &mut TcpStream) {
        while read_kind(stream) != SUBSCRIBE {}
    }

    /// Beside more frames than there is room for.
    #[test]
    fn a_slow_broker_is_waited_for() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (line, mut device) = UnixStream::pair().unwrap();
        for _ in 0..2 * QUEUE {
            device.write_all(&line::encode(&[0, 1, 77])).unwrap();
        }
        let errors = start(&listener, line.try_clone().unwrap(), line);
        let mut broker = accept(&listener, Duration::from_millis(1500));
        reads_subscription(&mut broker);
        drop(device);
        assert_eq!(errors.recv_timeout(LIMIT).unwrap(), "the serial line has ended");
    }

    #[test]
    fn a_bridge_ends_that_cannot_write_to_its_line() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }

        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (line, device) = UnixStream::pair().unwrap();
        let errors = start(&listener, line, Closed);
        let mut broker = accept(&listener, Duration::ZERO);
        reads_subscription(&mut broker);
        // PUBLISH: topic x, no properties, a byte.
        broker.write_all(&[0x30, 5, 0, 1, b'x', 0, 77]).unwrap();
        assert_eq!(errors.recv_timeout(LIMIT).unwrap(), "the serial line is closed");
        drop(device);
    }
}
