//! A device at an MQTT broker, by the bridge.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rumqttc::{Client, Connection, Event, Incoming, MqttOptions, PublishOptions, QoS};
use smart_city_bridge::board::Board;
use smart_city_detector::Verifier;
use smart_city_frame::{Instruction, RootKey, Verdict};

use crate::device::{ID, Made, NEW, ROOT, STREET, epoch_on, stream};

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A broker that lets everybody do everything.
fn mosquitto(dir: &Path) -> (Process, u16) {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = dir.join("mosquitto.conf");
    fs::write(&config, format!("listener {port} 127.0.0.1\nallow_anonymous true\n")).unwrap();
    let system = Path::new("/usr/sbin/mosquitto");
    let program = if system.exists() { system } else { Path::new("mosquitto") };
    let child = Command::new(program).arg("-c").arg(config).stderr(Stdio::null()).spawn().unwrap();
    let process = Process(child);
    let deadline = Instant::now() + Duration::from_secs(30);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < deadline, "no broker");
        thread::sleep(Duration::from_millis(20));
    }
    (process, port)
}

/// The next message under a topic of the device, and its last part.
fn next(connection: &mut Connection) -> (String, Vec<u8>) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while Instant::now() < deadline {
        if let Ok(Ok(Event::Incoming(Incoming::Publish(publish)))) =
            connection.recv_timeout(Duration::from_secs(1))
        {
            let topic = String::from_utf8(publish.topic.to_vec()).unwrap();
            let last = topic.strip_prefix(&format!("up/{ID}/")).unwrap().to_owned();
            return (last, publish.payload.to_vec());
        }
    }
    panic!("no message");
}

#[test]
fn a_device_takes_part_over_mqtt() {
    let made = Made::new("street", &STREET, NEW);
    let (_mosquitto, port) = mosquitto(made.folder.path());
    let (client, mut connection) =
        Client::builder(MqttOptions::new("gateway", ("127.0.0.1", port))).capacity(16).build();
    client.subscribe("up/#", QoS::AtLeastOnce).unwrap();
    while !matches!(connection.recv().unwrap().unwrap(), Event::Incoming(Incoming::SubAck(_))) {}

    let mut board = Board::start_for_bridge(&made.image, made.folder.path(), &[]).unwrap();
    let mut link = made.link(epoch_on(&mut board));
    let password = made.folder.path().join("password");
    fs::write(&password, "secret\n").unwrap();
    let bridge = Command::new(env!("CARGO_BIN_EXE_smart-city-bridge"))
        .args(["--device", &ID.to_string(), "--line"])
        .arg(made.folder.path().join("line"))
        .args(["--broker", &format!("127.0.0.1:{port}"), "--password-file"])
        .arg(&password)
        .spawn()
        .unwrap();
    let mut bridge = Process(bridge);

    let (topic, mut frame) = next(&mut connection);
    assert_eq!(topic, "1");
    assert_eq!(link.open_reading(ID, stream(), &mut frame).unwrap().content.len(), 6);

    let mut buffer = [0; 64];
    let instruction = Instruction { region: 1, argument: &[] };
    let (frame, challenge) = link.seal_instruction(&instruction, &mut buffer).unwrap();
    client.publish(format!("down/{ID}"), frame.to_vec(), PublishOptions::new(QoS::AtLeastOnce)).unwrap();
    let evidence = loop {
        let (topic, mut frame) = next(&mut connection);
        if topic == "evidence" {
            break link.open_evidence(ID, &mut frame).unwrap().content;
        }
    };
    assert_eq!(evidence.verdict, Verdict::Intact);
    let key = RootKey::new(ROOT).attest_key(ID);
    assert!(Verifier::new(&key).verify(&evidence, &challenge, 1, made.code(1)));

    // Without its device it ends.
    board.cut().unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while bridge.0.try_wait().unwrap().is_none() {
        assert!(Instant::now() < deadline, "the bridge goes on without a device");
        thread::sleep(Duration::from_millis(50));
    }
}
