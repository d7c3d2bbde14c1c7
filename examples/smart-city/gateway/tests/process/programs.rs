//! The gateway's process and Mosquitto, a large city for them, and packets of MQTT.
#![allow(dead_code, reason = "each user takes its part")]

use std::{
    fmt::Write as _,
    fs,
    io::{BufRead, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use smart_city_frame::{DeviceId, RootKey};

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_smart-city-gateway");

/// A process that ends with its test.
pub(crate) struct Process(pub(crate) Child);

impl Drop for Process {
    fn drop(&mut self) {
        // SIGKILL.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

pub(crate) struct Gateway {
    pub(crate) process: Process,
    pub(crate) mqtt: u16,
    pub(crate) http: String,
}

pub(crate) fn gateway(dir: &Path, broker: Option<u16>) -> Gateway {
    gateway_at(dir, broker, 0)
}

/// A gateway of which the own broker, if it has one, is at the port `own`.
pub(crate) fn gateway_at(dir: &Path, broker: Option<u16>, own: u16) -> Gateway {
    gateway_with(dir, broker, own, &[])
}

pub(crate) fn gateway_with(dir: &Path, broker: Option<u16>, own: u16, options: &[&str]) -> Gateway {
    let mut command = Command::new(PROGRAM);
    command
        .current_dir(dir)
        .arg("--config")
        .arg(dir.join("city.toml"))
        .arg("--secrets")
        .arg(dir.join("secrets.toml"));
    command.arg("--data").arg(dir.join("data")).args(["--mqtt", &format!("127.0.0.1:{own}")]);
    command.args(["--http", "127.0.0.1:0"]).args(options);
    if let Some(port) = broker {
        command.args(["--broker", &format!("mqtt://127.0.0.1:{port}")]);
        // Other brokers of the tests have none.
        if dir.join("passwords.sock").exists() {
            command.args(["--broker-passwords", "passwords.sock"]);
        }
    }
    let log = fs::File::options().create(true).append(true).open(dir.join("log")).unwrap();
    command.stderr(log);
    ready(dir, command)
}

/// Starts a gateway and waits until it is ready.
pub(crate) fn ready(dir: &Path, mut command: Command) -> Gateway {
    let mut process = Process(command.stdout(Stdio::piped()).spawn().unwrap());
    let mut line = String::new();
    BufReader::new(process.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let parts = line.trim().strip_prefix("ready mqtt=").and_then(|rest| rest.split_once(" http="));
    let parts = parts.and_then(|(mqtt, http)| Some((mqtt.rsplit_once(':')?.1, http)));
    let (mqtt, http) = parts.unwrap_or_else(|| {
        panic!("{line:?}: {}", fs::read_to_string(dir.join("log")).unwrap_or_default());
    });
    Gateway { process, mqtt: mqtt.parse().unwrap(), http: http.to_owned() }
}

/// Debian's Mosquitto with the files that the gateway ships.
pub(crate) fn mosquitto(dir: &Path) -> (Process, u16) {
    let port = free_port();
    (mosquitto_at(dir, port), port)
}

/// Mosquitto with the accounts of the files in `dir`, as a gateway has left them.
pub(crate) fn mosquitto_with_accounts(dir: &Path) -> (Process, u16) {
    let (process, port) = mosquitto(dir);
    drop(gateway(dir, Some(port)));
    (process, port)
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A program of Mosquitto.
pub(crate) fn find(name: &str) -> PathBuf {
    let places = ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/opt/homebrew/sbin"];
    let path = places.iter().map(|place| Path::new(place).join(name)).find(|path| path.exists());
    path.unwrap_or_else(|| {
        panic!("this test needs {name}: install Mosquitto, as by `apt-get install mosquitto`")
    })
}

pub(crate) fn mosquitto_at(dir: &Path, port: u16) -> Process {
    mosquitto_with(dir, "mosquitto", &[("listener 1883\n", port)])
}

/// With the shipped files of this name, and other ports for these lines.
pub(crate) fn mosquitto_with(dir: &Path, name: &str, listeners: &[(&str, u16)]) -> Process {
    let from = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut conf = fs::read_to_string(from.join(name).with_extension("conf")).unwrap();
    for (line, port) in listeners {
        assert!(conf.contains(line));
        conf = conf.replace(line, &format!("listener {port} 127.0.0.1\n"));
    }
    // Where the plugin is depends on the machine's kind.
    let shipped = "/usr/lib/x86_64-linux-gnu/mosquitto_dynamic_security.so";
    assert!(conf.contains(shipped));
    let places = ["x86_64-linux-gnu", "aarch64-linux-gnu", "arm-linux-gnueabihf", ""];
    let places = places.map(|place| format!("/usr/lib/{place}/mosquitto_dynamic_security.so"));
    let plugin = places.into_iter().find(|path| Path::new(path).exists()).expect("Mosquitto's plugin");
    let conf = conf.replace(shipped, &plugin);
    fs::write(dir.join("mosquitto.conf"), format!("user root\n{conf}")).unwrap();
    let acl = Path::new(name).with_extension("acl");
    fs::copy(from.join(&acl), dir.join(&acl)).unwrap();
    let init = ["dynsec", "init", "dynamic-security.json", "gateway", "example-gateway-password"];
    let made = Command::new(find("mosquitto_ctrl")).args(init).current_dir(dir).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    let log = fs::File::create(dir.join("mosquitto.log")).unwrap();
    let mut command = Command::new(find("mosquitto"));
    let process =
        Process(command.args(["-c", "mosquitto.conf"]).current_dir(dir).stderr(log).spawn().unwrap());
    let start = Instant::now();
    while TcpStream::connect(("127.0.0.1", listeners[0].1)).is_err() {
        assert!(start.elapsed() < Duration::from_secs(20), "Mosquitto does not start");
        std::thread::sleep(Duration::from_millis(20));
    }
    process
}

/// A city with the example's devices and `count` more, which send the stream `traffic-flow`.
pub(crate) fn crowd(dir: &Path, count: u32) -> Vec<(DeviceId, String)> {
    crowd_of(dir, 0..count)
}

pub(crate) fn crowd_id(i: u32) -> DeviceId {
    let [_, high, middle, low] = (0x100 + i).to_be_bytes();
    DeviceId([0x70, 0xb3, 0xd5, 0xff, 0xfe, high, middle, low])
}

/// Adds those with these numbers.
pub(crate) fn crowd_of(dir: &Path, numbers: impl IntoIterator<Item = u32>) -> Vec<(DeviceId, String)> {
    let (mut city, mut secrets) = (String::new(), String::new());
    let mut devices = Vec::new();
    for i in numbers {
        let id = crowd_id(i);
        writeln!(city, "\n[[devices]]\nid = \"{id}\"\nname = \"Sensor {i}\"").unwrap();
        writeln!(city, "place = [{}, {}]\nimage = \"gate-1.0\"", 10 + i % 1000, i / 1000).unwrap();
        writeln!(city, "streams = [\"traffic-flow\"]").unwrap();
        writeln!(secrets, "\n[devices.{id}]\nroot_key = \"{:032x}\"", 0xABC0_0000 + i).unwrap();
        writeln!(secrets, "mqtt_password = \"password-{i}\"").unwrap();
        devices.push((id, format!("password-{i}")));
    }
    for (file, more) in [("city.toml", city), ("secrets.toml", secrets)] {
        let mut file = fs::File::options().append(true).open(dir.join(file)).unwrap();
        file.write_all(more.as_bytes()).unwrap();
    }
    devices
}

pub(crate) fn crowd_root(i: u32) -> RootKey {
    RootKey::new(u128::from(0xABC0_0000 + i).to_be_bytes())
}

pub(crate) fn text(text: &str) -> Vec<u8> {
    [&u16::try_from(text.len()).unwrap().to_be_bytes(), text.as_bytes()].concat()
}

/// A packet of MQTT with less than 16,384 bytes.
pub(crate) fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let byte = |number: usize| u8::try_from(number).unwrap();
    let len = body.len();
    let len = if len < 128 { vec![byte(len)] } else { vec![byte(len % 128) | 128, byte(len / 128)] };
    [&[first], &len[..], body].concat()
}

pub(crate) fn connect_packet(user: &str, password: &str) -> Vec<u8> {
    connect_packet_of(5, user, password)
}

/// Of a version of MQTT: 4 is 3.1.1.
pub(crate) fn connect_packet_of(version: u8, user: &str, password: &str) -> Vec<u8> {
    let head = [&text("MQTT")[..], &[version, 0xC2, 0, 60], no_properties(version)].concat();
    packet(0x10, &[head, text(user), text(user), text(password)].concat())
}

pub(crate) fn publish_packet(topic: &str, qos: u8, retain: bool, id: u16, payload: &[u8]) -> Vec<u8> {
    let id = id.to_be_bytes();
    let id = if qos > 0 { &id[..] } else { &[] };
    packet(0x30 | qos << 1 | u8::from(retain), &[&text(topic)[..], id, no_properties(5), payload].concat())
}

/// What a packet of this version has in place of properties.
pub(crate) const fn no_properties(version: u8) -> &'static [u8] {
    if version == 5 { &[0] } else { &[] }
}

/// Memory of a process in kB.
pub(crate) fn memory(process: &Process) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", process.0.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// The time that a process has had of the processors, in hundredths of a second.
pub(crate) fn hundredths(process: &Process) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.0.id())).unwrap();
    let fields = stat.rsplit_once(") ").unwrap().1.split_whitespace();
    fields.skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum()
}
