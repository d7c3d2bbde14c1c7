//! How many frames a second the gateway takes, and how long they are on their way: `cargo xtask bench gateway`.
//!
//! The clients are sockets that do no more than a device or a user must: frames are sealed, receipts opened, all is acknowledged. They and
//! the gateway share the machine.

#[path = "../../engine/tests/common/mod.rs"]
mod common;
#[path = "../tests/process/programs.rs"]
mod programs;

use std::{
    cell::RefCell,
    collections::VecDeque,
    path::Path,
    process::Command,
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use common::{example, number};
use programs::{
    PROGRAM, Process, connect_packet, crowd, crowd_root, free_port, gateway, gateway_at, hundredths, memory,
    mosquitto_with_accounts, packet, publish_packet, text,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use smart_city_frame::{Class, DeviceId, DeviceLink, Epoch, GatewayLink, Header, Kind, RootKey, Stream};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::LocalSet,
    time::{sleep_until, timeout},
};

/// The frames of a device without a receipt, if it sends as fast as it can.
const WINDOW: usize = 16;

/// Before anything is counted.
const WARM_UP: Duration = Duration::from_secs(2);

fn stream() -> Stream {
    Stream { id: 1.try_into().expect("not zero"), class: Class::Public }
}

/// What is counted between two times.
struct Counted {
    from: Instant,
    to: Instant,
    /// Until the receipt, and until the user has it, in microseconds.
    receipts: Vec<u32>,
    readings: Vec<u32>,
}

impl Counted {
    fn micros(&self, since: Instant) -> Option<u32> {
        let now = Instant::now();
        let is_counted = now >= self.from && now < self.to;
        is_counted.then(|| u32::try_from((now - since).as_micros()).unwrap_or(u32::MAX))
    }
}

type Shared = Rc<RefCell<Counted>>;

/// A client of a broker.
struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
    start: usize,
    /// What is to be sent.
    out: Vec<u8>,
}

impl Client {
    async fn connect(port: u16, name: &str, password: &str, filter: Option<&str>) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        let mut client = Self { stream, buffer: Vec::new(), start: 0, out: connect_packet(name, password) };
        client.flush().await?;
        let (first, body) = client.answer().await?;
        ensure!(first == 0x20 && body.get(1) == Some(&0), "{name} is not let in: {body:?}");
        if let Some(filter) = filter {
            client.out = packet(0x82, &[&[0, 1, 0][..], &text(filter), &[1]].concat());
            client.flush().await?;
            let (first, body) = client.answer().await?;
            ensure!(first == 0x90 && body.last() == Some(&1), "{name} may not subscribe: {body:?}");
        }
        Ok(client)
    }

    async fn answer(&mut self) -> Result<(u8, Vec<u8>)> {
        loop {
            if let Some((first, body)) = self.next() {
                return Ok((first, body.to_vec()));
            }
            self.read().await?;
        }
    }

    /// Can be given up at any time.
    async fn read(&mut self) -> Result<()> {
        self.buffer.drain(..self.start);
        self.start = 0;
        ensure!(self.stream.read_buf(&mut self.buffer).await? > 0, "the broker has ended a connection");
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        if !self.out.is_empty() {
            self.stream.write_all(&self.out).await?;
            self.out.clear();
        }
        Ok(())
    }

    /// The next packet that was read: its first byte and its body.
    fn next(&mut self) -> Option<(u8, &mut [u8])> {
        let bytes = self.buffer.get(self.start..)?;
        let (&first, rest) = bytes.split_first()?;
        let (mut len, mut at) = (0, 0);
        loop {
            let byte = *rest.get(at)?;
            len |= usize::from(byte & 0x7F) << (7 * at);
            at += 1;
            if byte & 0x80 == 0 {
                break;
            }
        }
        rest.get(at..at + len)?;
        let body = self.start + 1 + at;
        self.start = body + len;
        Some((first, &mut self.buffer[body..body + len]))
    }

    /// The payload of the next message, which is acknowledged by the next [`flush`](Self::flush); or that another packet was read.
    fn take<T>(&mut self, read: impl FnOnce(&mut [u8]) -> Result<T>) -> Result<Option<Taken<T>>> {
        let mut ack = None;
        let taken = match self.next() {
            None => return Ok(None),
            Some((first, body)) if first >> 4 == 3 => {
                let topic = usize::from(u16::from_be_bytes([body[0], body[1]]));
                let mut at = 2 + topic;
                if first & 6 != 0 {
                    ack = Some([body[at], body[at + 1]]);
                    at += 2;
                }
                // The length of the properties has two bytes at most.
                let properties = match [body[at], body[at + 1]] {
                    [len @ 0..0x80, _] => 1 + usize::from(len),
                    [low, high] => 2 + usize::from(low & 0x7F) + 128 * usize::from(high),
                };
                Taken::Message(read(&mut body[at + properties..])?)
            }
            Some((0x40, _)) => Taken::Acknowledged,
            Some((first, _)) => bail!("a packet {first:#x}"),
        };
        if let Some([high, low]) = ack {
            self.out.extend([0x40, 2, high, low]);
        }
        Ok(Some(taken))
    }
}

enum Taken<T> {
    Message(T),
    Acknowledged,
}

/// How a device sends.
#[derive(Clone, Copy)]
struct Load {
    port: u16,
    epoch: Epoch,
    /// Between two frames of a device; as fast as it can without.
    every: Option<Duration>,
    /// Nobody gives receipts: the broker's acknowledgement counts in their place.
    broker_alone: bool,
}

async fn device(
    load: Load,
    (id, password): (DeviceId, String),
    root: RootKey,
    phase: f64,
    counted: Shared,
) -> Result<()> {
    let mut client =
        Client::connect(load.port, &id.to_string(), &password, Some(&format!("down/{id}"))).await?;
    let mut link = DeviceLink::new(&root, id, load.epoch);
    let topic = format!("up/{id}/1");
    let (from, to) = (counted.borrow().from, counted.borrow().to);
    let mut due = from - WARM_UP + load.every.unwrap_or_default().mul_f64(phase);
    let mut on_the_way: VecDeque<([u8; 3], Instant)> = VecDeque::new();
    let mut number = 0_u16;
    sleep_until(due.into()).await;
    let mut buffer = [0; 255];
    while Instant::now() < to {
        while on_the_way.len() < WINDOW && load.every.is_none_or(|_| due <= Instant::now()) {
            let now = load.every.map_or_else(Instant::now, |_| due);
            due += load.every.unwrap_or_default();
            let reading = (now - (from - WARM_UP)).as_micros().to_string();
            let frame = link.seal_reading(stream(), reading.as_bytes(), &mut buffer)?;
            on_the_way.push_back((Header::parse(frame)?.counter, now));
            number = number.checked_add(1).unwrap_or(1);
            client.out.extend(publish_packet(&topic, 1, false, number, frame));
        }
        client.flush().await?;
        let next = load.every.map_or_else(|| Instant::now() + Duration::from_secs(30), |_| due);
        match timeout(next.saturating_duration_since(Instant::now()), client.read()).await {
            Ok(read) => read?,
            Err(_) if load.every.is_some() => {}
            Err(_) => bail!("{id} hears nothing for half a minute"),
        }
        let mut counted = counted.borrow_mut();
        let mut has_receipt = |since| {
            let micros = counted.micros(since);
            counted.receipts.extend(micros);
        };
        while let Some(taken) = client.take(|frame| {
            let header = Header::parse(frame)?;
            ensure!(header.kind == Kind::Receipt, "{id} is asked for something");
            // Late receipts of the load before tell nothing here.
            Ok((header.epoch == load.epoch).then(|| link.open_receipt(id, frame)).transpose()?)
        })? {
            match taken {
                Taken::Message(Some(receipt)) => on_the_way.retain(|(counter, since)| {
                    let has = receipt.has(*counter);
                    if has {
                        has_receipt(*since);
                    }
                    !has
                }),
                Taken::Acknowledged if load.broker_alone => {
                    on_the_way.pop_front().map(|(_, since)| has_receipt(since)).context("too many")?;
                }
                Taken::Message(None) | Taken::Acknowledged => {}
            }
        }
    }
    Ok(())
}

/// Takes all that comes for it.
async fn subscriber(mut client: Client, is_time: bool, counted: Shared) -> Result<()> {
    let start = counted.borrow().from - WARM_UP;
    loop {
        client.flush().await?;
        client.read().await?;
        while let Some(taken) = client.take(|reading| {
            let micros = if is_time { std::str::from_utf8(reading)?.parse()? } else { 0 };
            Ok(start + Duration::from_micros(micros))
        })? {
            let Taken::Message(since) = taken else { continue };
            let mut counted = counted.borrow_mut();
            let micros = counted.micros(since);
            counted.readings.extend(micros);
        }
    }
}

fn percentiles(times: &mut [u32]) -> String {
    times.sort_unstable();
    let at = |share: f64| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of the length")]
        let place = (times.len() as f64 * share) as usize;
        times.get(place).map_or(f64::NAN, |micros| f64::from(*micros) / 1000.0)
    };
    format!("{:.1} / {:.1} / {:.1} ms", at(0.5), at(0.99), at(0.999))
}

/// Runs a load for `seconds`; prints and returns how many frames a second had receipts.
fn run(
    name: &str,
    load: Load,
    devices: &[(DeviceId, String)],
    seconds: u64,
    (user, password, filter): (&str, &str, &str),
    processes: &[&Process],
) -> Result<f64> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = LocalSet::new();
    local.block_on(&runtime, async {
        // All connect before the first frame.
        let from = Instant::now() + Duration::from_secs(3) + WARM_UP;
        let to = from + Duration::from_secs(seconds);
        let counted = Rc::new(RefCell::new(Counted { from, to, receipts: Vec::new(), readings: Vec::new() }));
        let client = Client::connect(load.port, user, password, Some(filter)).await?;
        let user = tokio::task::spawn_local(subscriber(client, !load.broker_alone, Rc::clone(&counted)));
        let devices: Vec<_> = (0..)
            .zip(devices)
            .map(|(i, entry)| {
                let phase = f64::from(i) / devices.len() as f64;
                let counted = Rc::clone(&counted);
                tokio::task::spawn_local(device(load, entry.clone(), crowd_root(i), phase, counted))
            })
            .collect();
        sleep_until(from.into()).await;
        let times: Vec<u64> = processes.iter().map(|process| hundredths(process)).collect();
        sleep_until(to.into()).await;
        let after: Vec<u64> = processes.iter().map(|process| hundredths(process)).collect();
        for device in devices {
            device.await??;
        }
        user.abort();
        ensure!(
            !user.is_finished() || user.await.is_err_and(|error| error.is_cancelled()),
            "the user has failed"
        );
        let mut counted = counted.borrow_mut();
        let frames = counted.receipts.len() as f64;
        let rate = frames / seconds as f64;
        println!(
            "{name}: {rate:.0} frames/s, {:.0} readings/s",
            counted.readings.len() as f64 / seconds as f64
        );
        let label = if load.broker_alone { "acknowledgement" } else { "receipt" };
        println!("  until the {label}: {} (50 / 99 / 99.9 %)", percentiles(&mut counted.receipts));
        if !load.broker_alone {
            println!("  until the user has it: {}", percentiles(&mut counted.readings));
        }
        for (process, (before, after)) in ["first", "second"].iter().zip(times.iter().zip(after)) {
            println!(
                "  time of the {process} process: {:.0} us a frame",
                (after - before) as f64 / frames * 1e4
            );
        }
        Ok(rate)
    })
}

/// A city of so many devices and one user.
fn city(devices: u32) -> Result<(tempfile::TempDir, Vec<(DeviceId, String)>)> {
    let dir = example();
    let devices = crowd(dir.path(), devices);
    for user in ["ren", "sora"] {
        let command =
            Command::new(PROGRAM).current_dir(dir.path()).args(["user", "remove", user]).status()?;
        ensure!(command.success(), "{user} is not removed");
    }
    Ok((dir, devices))
}

const USER: (&str, &str, &str) = ("hana", "example-hana", "out/hana/#");

fn own_broker(dir: &Path, devices: &[(DeviceId, String)], seconds: u64) -> Result<()> {
    let gateway = gateway(dir, None);
    let load = Load { port: gateway.mqtt, epoch: Epoch(1), every: None, broker_alone: false };
    let most = run("own broker, as fast as it goes", load, devices, seconds, USER, &[&gateway.process])?;
    let every = Duration::from_secs_f64(2.0 * devices.len() as f64 / most);
    let load = Load { epoch: Epoch(2), every: Some(every), ..load };
    run("own broker, half of that", load, devices, seconds, USER, &[&gateway.process])?;
    Ok(())
}

fn at_mosquitto(dir: &Path, devices: &[(DeviceId, String)], seconds: u64) -> Result<()> {
    let (mosquitto, port) = mosquitto_with_accounts(dir);
    let gateway = gateway_at(dir, Some(port), free_port());
    let load = Load { port, epoch: Epoch(3), every: None, broker_alone: false };
    let processes = [&gateway.process, &mosquitto];
    let most = run("Mosquitto (second), as fast as it goes", load, devices, seconds, USER, &processes)?;
    let every = Duration::from_secs_f64(2.0 * devices.len() as f64 / most);
    let half = Load { epoch: Epoch(4), every: Some(every), ..load };
    run("Mosquitto (second), half of that", half, devices, seconds, USER, &processes)?;
    drop(gateway);
    let alone = Load { epoch: Epoch(5), broker_alone: true, ..load };
    let subscriber = ("gateway", "example-gateway-password", "up/+/+");
    run("Mosquitto alone, to one subscriber", alone, devices, seconds, subscriber, &[&mosquitto])?;
    Ok(())
}

/// How long it takes to open a frame, without anything else.
fn opening() -> Result<()> {
    const FRAMES: usize = 20_000;
    let (root, id) = (crowd_root(0), DeviceId([0x70, 0xb3, 0xd5, 0xff, 0xfe, 0, 0, 9]));
    for len in [2, 16, 64] {
        let mut best = f64::INFINITY;
        for epoch in 1..=10 {
            let mut device = DeviceLink::new(&root, id, Epoch(epoch));
            let mut link = GatewayLink::new(&root, id, Epoch(epoch));
            let frames: Result<Vec<Vec<u8>>, _> = (0..FRAMES)
                .map(|_| {
                    device.seal_reading(stream(), &vec![7; len], &mut [0; 255]).map(|frame| frame.to_vec())
                })
                .collect();
            let mut frames = frames?;
            let start = Instant::now();
            for frame in &mut frames {
                link.open_reading(id, stream(), frame)?;
            }
            best = best.min(start.elapsed().as_secs_f64());
        }
        println!("opening a frame with a payload of {len} bytes: {:.2} us", best / FRAMES as f64 * 1e6);
    }
    Ok(())
}

fn known(devices: u32) -> Result<()> {
    let (dir, _) = city(devices)?;
    let gateway = gateway(dir.path(), None);
    std::thread::sleep(Duration::from_secs(2));
    println!("{devices} known devices: {:.0} MB", memory(&gateway.process) as f64 / 1024.0);
    Ok(())
}

fn main() -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?;
    let (devices, seconds) = (number("SMART_CITY_SENDERS", 1000), number("SMART_CITY_SECONDS", 10));
    println!("{devices} devices, and one user who receives all");
    opening()?;
    {
        let (dir, devices) = city(devices)?;
        own_broker(dir.path(), &devices, seconds)?;
    }
    {
        let (dir, devices) = city(devices)?;
        at_mosquitto(dir.path(), &devices, seconds)?;
    }
    known(10_000)?;
    known(100_000)
}
