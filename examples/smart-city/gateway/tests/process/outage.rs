//! Devices that have kept readings while the gateway was away, on links that lose messages; and epochs over restarts.

use std::fmt::Write as _;

use smart_city_devices::{
    client::{self, Input, Report},
    device::{Device, Done},
    epoch::EpochFile,
    image::Image,
};
use smart_city_frame::RootKey;

use super::*;

pub(crate) const PASSWORD: &str = "password-of-a-device";

pub(crate) fn id(device: u16) -> DeviceId {
    let [high, low] = device.to_be_bytes();
    DeviceId([0x70, 0xb3, 0xd5, 0xff, 0xfe, 0xA0, high, low])
}

pub(crate) fn key(device: u16) -> [u8; 16] {
    let [high, low] = device.to_be_bytes();
    [0x42, 0x17, high, low, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]
}

/// Adds so many devices to the example's city, each with the stream `traffic-flow`.
pub(crate) fn add_devices(dir: &Path, devices: u16) {
    let append = |name: &str, text: String| {
        let path = dir.join(name);
        fs::write(&path, fs::read_to_string(&path).unwrap() + &text).unwrap();
    };
    let (mut city, mut secrets) = (String::new(), String::new());
    for device in 0..devices {
        let (id, place) = (id(device), [device % 20, 5 + device / 20]);
        writeln!(city, "\n[[devices]]\nid = \"{id}\"\nname = \"{id}\"\nplace = {place:?}").unwrap();
        writeln!(city, "image = \"gate-1.0\"\nstreams = [\"traffic-flow\"]").unwrap();
        let key: String = key(device).map(|byte| format!("{byte:02x}")).concat();
        writeln!(secrets, "\n[devices.{id}]\nroot_key = \"{key}\"\nmqtt_password = \"{PASSWORD}\"").unwrap();
    }
    append("city.toml", city);
    append("secrets.toml", secrets);
}

/// A device with the epochs in `dir`, before its first connection.
pub(crate) fn device(dir: &Path, device: u16, root: RootKey) -> Device {
    let epochs = EpochFile::new(dir.join(format!("{}.epoch", id(device))));
    Device::start(id(device), root, &Image::simulated(), epochs).unwrap()
}

fn connect(device: Device, port: u16, loss: f64, reports: &mpsc::Sender<Report>) -> client::Handle {
    let options = client::options(&device.id().to_string(), PASSWORD, ("127.0.0.1", port));
    client::run(device, None, options, loss, reports.clone())
}

/// The reading that a message to a user is about, as [`reading`] made it.
pub(crate) fn read(message: &[u8]) -> Option<(String, u32)> {
    let text = String::from_utf8_lossy(message);
    let (_, rest) = text.split_once("reading of ")?;
    let mut words = rest.split_whitespace();
    Some((words.next()?.to_owned(), words.next()?.parse().ok()?))
}

pub(crate) fn reading(device: DeviceId, number: u32) -> Vec<u8> {
    format!("\"reading of {device} {number} .\"").into_bytes()
}

/// Waits for `receipts` receipts; returns how many epochs were opened meanwhile.
pub(crate) async fn receipts(reports: &mut mpsc::Receiver<Report>, mut receipts: usize) -> usize {
    let mut epochs = 0;
    let all = async {
        while receipts > 0 {
            match reports.recv().await.unwrap() {
                Report::Did(_, Done::Receipt(count)) => receipts -= count,
                Report::Did(_, Done::NewEpoch(_)) => epochs += 1,
                Report::Refused(..) | Report::Connected(_) | Report::NotConnected(..) => {}
                other => panic!("{other:?}"),
            }
        }
    };
    let in_time = timeout(Duration::from_secs(300), all).await;
    assert!(in_time.is_ok(), "{receipts} readings have no receipt");
    epochs
}

/// The readings of all devices come through, whatever is lost. `SMART_CITY_DEVICES` says how many devices there are.
async fn after_an_outage(at_mosquitto: bool) {
    const LOSS: f64 = 0.05;
    let (devices, readings) = (number("SMART_CITY_DEVICES", 40), 100);
    let dir = example();
    add_devices(dir.path(), devices);
    let broker = at_mosquitto.then(|| tokio::task::block_in_place(|| mosquitto_with_accounts(dir.path())));
    let port = broker.as_ref().map_or_else(free_port, |(_, port)| *port);
    let (reports, mut reported) = mpsc::channel(1024);
    let stream = files(dir.path()).0.streams[&1].stream;
    let devices_with_readings = (0..devices).map(|number| {
        let mut device = device(dir.path(), number, RootKey::new(key(number)));
        (0..readings).for_each(|i| device.measured(stream, reading(id(number), i)).unwrap());
        device
    });
    let connect = |device| connect(device, port, LOSS, &reports);
    let start_gateway =
        || tokio::task::block_in_place(|| gateway_at(dir.path(), broker.as_ref().map(|_| port), port));
    let (_hana, mut hana) = user(port, "hana", &["out/hana/#"]);
    let (_gateway, _running) = if at_mosquitto {
        // The gateway alone is away: they have sent for a while.
        assert_eq!(next(&mut hana).await.0, "subscribed");
        let running: Vec<client::Handle> = devices_with_readings.map(connect).collect();
        tokio::time::sleep(Duration::from_secs(3)).await;
        (start_gateway(), running)
    } else {
        // The broker, too: who subscribes later than a reading is delivered does not get it.
        let gateway = start_gateway();
        subscribed(&mut hana).await;
        (gateway, devices_with_readings.map(connect).collect())
    };
    let start = Instant::now();
    let epochs = receipts(&mut reported, usize::from(devices) * readings as usize).await;
    let took = start.elapsed();

    let expected = usize::from(devices) * readings as usize;
    let (mut received, mut messages) = (BTreeSet::new(), 0);
    while received.len() < expected {
        let next = timeout(Duration::from_secs(10), hana.recv()).await;
        let Ok(Some((topic, message, _))) = next else {
            panic!("{} of {expected} readings were delivered", received.len());
        };
        if topic.starts_with("out/") {
            messages += 1;
            received.insert(read(&message).unwrap());
        }
    }
    println!(
        "{expected} receipts in {took:.1?}, {messages} messages for {expected} readings, {epochs} new epochs"
    );
    assert!(messages < expected + expected / 20, "too many came twice");
    assert!(epochs <= usize::from(devices) / 10, "lost messages take no epochs");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_outage_at_the_own_broker() {
    after_an_outage(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_outage_at_mosquitto() {
    after_an_outage(true).await;
}

/// Whatever the gateway has forgotten or missed, the next readings of a device come through by themselves.
#[tokio::test(flavor = "multi_thread")]
async fn gaps_between_epochs_heal_by_themselves() {
    let dir = example();
    add_devices(dir.path(), 1);
    let (_mosquitto, port) = tokio::task::block_in_place(|| mosquitto_with_accounts(dir.path()));
    let (_hana, mut hana) = user(port, "hana", &["out/hana/#"]);
    assert_eq!(next(&mut hana).await.0, "subscribed");
    let stream = files(dir.path()).0.streams[&1].stream;
    let (reports, mut reported) = mpsc::channel(64);
    let start = || tokio::task::block_in_place(|| gateway(dir.path(), Some(port)));
    let set_epoch =
        |epoch: u16| fs::write(dir.path().join(format!("{}.epoch", id(0))), epoch.to_string()).unwrap();
    let begin = |key| {
        let device = device(dir.path(), 0, RootKey::new(key)).with_patience(Duration::from_secs(6));
        connect(device, port, 0.0, &reports)
    };
    let mut root_key = key(0);

    let mut running = begin(root_key);
    let mut process = start();
    let steps = ["first contact", "restart", "256 starts", "data lost", "other key", "last epoch"];
    for (number, what) in (0..).zip(steps) {
        match what {
            "restart" => {
                drop(process);
                process = start();
            }
            // Out of reach, while the gateway goes on.
            "256 starts" => {
                drop(running);
                set_epoch(2 + 256);
                running = begin(root_key);
            }
            "data lost" => {
                // Receipts of the gateway's new link are old to the device, which then opens a new epoch.
                drop(process);
                fs::remove_dir_all(dir.path().join("data")).unwrap();
                process = start();
            }
            "other key" => {
                drop((process, running));
                let text = fs::read_to_string(dir.path().join("secrets.toml")).unwrap();
                let hex = |key: [u8; 16]| key.map(|byte| format!("{byte:02x}")).concat();
                let old = hex(root_key);
                root_key[0] ^= 1;
                fs::write(dir.path().join("secrets.toml"), text.replace(&old, &hex(root_key))).unwrap();
                set_epoch(30_000);
                running = begin(root_key);
                process = start();
            }
            "last epoch" => {
                drop(running);
                set_epoch(65_534);
                running = begin(root_key);
            }
            _ => {}
        }
        running.input.send(Input::Measured(stream, reading(id(0), number))).await.unwrap();
        let since = Instant::now();
        receipts(&mut reported, 1).await;
        loop {
            let (topic, message, _) = next(&mut hana).await;
            if topic.starts_with("out/") && read(&message) == Some((id(0).to_string(), number)) {
                break;
            }
        }
        println!("{what}: {:.1?}", since.elapsed());
        assert!(since.elapsed() < Duration::from_secs(15), "{what} took {:?}", since.elapsed());
    }
    drop(process);
}

/// An operator takes a device away, mistypes its key, or loses the store, and mends it: the device, which runs all the time, comes
/// back by itself with all that it measured meanwhile.
async fn a_device_survives_its_operators_mistakes(at_mosquitto: bool) {
    let dir = example();
    let names = ["city.toml", "secrets.toml"].map(|name| dir.path().join(name));
    let content = || names.each_ref().map(|path| fs::read_to_string(path).unwrap());
    let without = content();
    add_devices(dir.path(), 1);
    let with = content();
    let broker = at_mosquitto.then(|| tokio::task::block_in_place(|| mosquitto_with_accounts(dir.path())));
    let port = broker.as_ref().map_or_else(free_port, |(_, port)| *port);
    let start = |options: &[&str]| {
        let broker = broker.as_ref().map(|_| port);
        tokio::task::block_in_place(|| gateway_with(dir.path(), broker, port, options))
    };
    let mut gateway = start(&[]);
    let (_hana, mut hana) = user(port, "hana", &["out/hana/#"]);
    subscribed(&mut hana).await;
    let stream = files(dir.path()).0.streams[&1].stream;
    let (reports, mut reported) = mpsc::channel(64);
    let device = device(dir.path(), 0, RootKey::new(key(0))).with_patience(Duration::from_secs(6));
    let running = connect(device, port, 0.0, &reports);
    let mut number = 0;
    let mut measured = async || {
        running.input.send(Input::Measured(stream, reading(id(0), number))).await.unwrap();
        number += 1;
    };
    let mut arrives = async |count: usize| {
        receipts(&mut reported, count).await;
        let mut numbers = BTreeSet::new();
        while numbers.len() < count {
            let (topic, message, _) = next(&mut hana).await;
            if topic.starts_with("out/") {
                numbers.insert(read(&message).unwrap().1);
            }
        }
        numbers
    };
    measured().await;
    assert_eq!(arrives(1).await, BTreeSet::from([0]));
    let typo = [with[0].clone(), with[1].replacen("4217", "4218", 1)];
    assert_ne!(typo, with);
    for (mistake, first) in [(&without, 1), (&typo, 3)] {
        for (texts, wait) in [(mistake, 3), (&with, 0)] {
            for (path, text) in names.iter().zip(texts) {
                fs::write(path, text).unwrap();
            }
            measured().await;
            tokio::time::sleep(Duration::from_secs(wait)).await;
        }
        assert_eq!(arrives(2).await, BTreeSet::from([first, first + 1]));
    }
    drop(gateway);
    fs::remove_file(dir.path().join("data/store.redb")).unwrap();
    gateway = start(&["--continue-after-loss"]);
    // Who subscribes to the own broker later than a reading is delivered does not get it.
    tokio::time::sleep(Duration::from_secs(1)).await;
    measured().await;
    assert_eq!(arrives(1).await, BTreeSet::from([5]));
    drop(gateway);
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_own_broker_a_device_survives_its_operators_mistakes() {
    a_device_survives_its_operators_mistakes(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn at_mosquitto_a_device_survives_its_operators_mistakes() {
    a_device_survives_its_operators_mistakes(true).await;
}

/// A device that loses its connection goes on in its epoch.
#[tokio::test(flavor = "multi_thread")]
async fn a_reconnection_takes_no_epoch() {
    let dir = example();
    add_devices(dir.path(), 1);
    let (broker, port) = mosquitto(dir.path());
    let stream = files(dir.path()).0.streams[&1].stream;
    let _gateway = tokio::task::block_in_place(|| gateway(dir.path(), Some(port)));
    let (reports, mut reported) = mpsc::channel(64);
    let running = connect(device(dir.path(), 0, RootKey::new(key(0))), port, 0.0, &reports);
    let mut broker = Some(broker);
    for number in 0..4 {
        running.input.send(Input::Measured(stream, reading(id(0), number))).await.unwrap();
        assert_eq!(receipts(&mut reported, 1).await, 0);
        drop(broker.take());
        broker = Some(tokio::task::block_in_place(|| mosquitto_at(dir.path(), port)));
    }
    assert_eq!(fs::read_to_string(dir.path().join(format!("{}.epoch", id(0)))).unwrap(), "1\n");
}
