//! Devices and users, many of them in one thread. Of a device there is no more than its frames: it keeps what has no receipt, opens
//! new epochs when it is asked to, and shows evidence.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, bail};
use smart_city_detector::{AllowedValues, Detector};
use smart_city_devices::image::Image;
use smart_city_frame::{
    ALL_REGIONS, AttestKey, Challenge, DeviceId, DeviceLink, Epoch, Header, Kind, OpenError, Receipt,
    RootKey, SealError,
};
use tokio::{
    runtime,
    sync::watch,
    task::{JoinSet, LocalSet},
    time::{sleep, timeout},
};

use crate::{
    city::{self, STREAMS, USERS},
    ledger::{Frame, Ledger},
    mqtt::{Client, Taken},
};

/// The frames of a device without a receipt.
const WINDOW: usize = 16;
/// How far the counters of these are from each other. A receipt speaks of the 64 up to the newest.
const REACH: u32 = 48;

/// When a frame without a receipt is sent again: the same bytes.
const AGAIN: Duration = Duration::from_secs(1);

/// Until a connection is tried again, and how long a try may take.
const RETRY: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(3);

/// What the clients of a city do.
#[derive(Clone, Debug)]
pub struct Load {
    /// Where the broker is.
    pub port: u16,
    /// How many devices.
    pub devices: u32,
    /// Into how many shards they are divided; none without a cluster, where topics do not name them.
    pub shards: Option<u16>,
    /// Between two readings of a device; without it as many as get receipts.
    pub every: Option<Duration>,
    /// The epoch in which devices begin.
    pub epoch: Epoch,
}

/// The clients of a city, which go on until this is dropped.
#[derive(Debug)]
pub struct Crowd {
    shared: Arc<Shared>,
    devices: u32,
    stop: Option<watch::Sender<()>>,
    thread: Option<JoinHandle<Result<()>>>,
}

#[derive(Debug)]
struct Shared {
    ledger: Mutex<Ledger>,
    /// Whether devices measure.
    measures: AtomicBool,
    /// How often a user has subscribed.
    subscriptions: AtomicUsize,
}

impl Shared {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Crowd {
    /// Starts all clients. They connect as soon as the broker has their accounts.
    ///
    /// # Errors
    /// If there is no thread for them.
    pub fn start(load: Load) -> Result<Self> {
        let shared = Arc::new(Shared {
            ledger: Mutex::default(),
            measures: AtomicBool::new(true),
            subscriptions: AtomicUsize::new(0),
        });
        let (stop, stopped) = watch::channel(());
        let devices = load.devices;
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = thread::Builder::new().name("crowd".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            move || LocalSet::new().block_on(&runtime, run(load, shared, stopped))
        })?;
        Ok(Self { shared, devices, stop: Some(stop), thread: Some(thread) })
    }

    /// What was done and seen.
    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.shared.ledger()
    }

    /// Whether devices measure from now on.
    pub fn measure(&self, measures: bool) {
        self.shared.measures.store(measures, Relaxed);
    }

    /// How often a user has subscribed, after each connection once.
    #[must_use]
    pub fn subscriptions(&self) -> usize {
        self.shared.subscriptions.load(Relaxed)
    }

    /// How many devices there are.
    #[must_use]
    pub fn devices(&self) -> u32 {
        self.devices
    }

    /// # Errors
    /// If a client has given up: something came that cannot be.
    pub fn check(&mut self) -> Result<()> {
        if self.thread.as_ref().is_some_and(JoinHandle::is_finished)
            && let Some(thread) = self.thread.take()
        {
            let ended = thread.join().map_err(|_| anyhow::anyhow!("a client has failed"))?;
            return ended.and_then(|()| bail!("the clients have ended"));
        }
        Ok(())
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

async fn run(load: Load, shared: Arc<Shared>, mut stopped: watch::Receiver<()>) -> Result<()> {
    let mut clients = JoinSet::new();
    for user in 0..USERS.len() {
        clients.spawn_local(receive(load.port, user, Arc::clone(&shared)));
    }
    for number in 0..load.devices {
        clients.spawn_local(live(load.clone(), number, Arc::clone(&shared)));
    }
    tokio::select! {
        ended = clients.join_next() => ended.context("nobody is there")??,
        _ = stopped.changed() => Ok(()),
    }
}

/// A connection, as soon as the broker gives one.
async fn connect(port: u16, name: &str, filter: &str) -> Client {
    let password = city::password(name);
    loop {
        match timeout(PATIENCE, Client::connect(port, name, &password, filter)).await {
            Ok(Ok(client)) => return client,
            Ok(Err(_)) | Err(_) => sleep(RETRY).await,
        }
    }
}

/// A user, who takes all that comes.
async fn receive(port: u16, user: usize, shared: Arc<Shared>) -> Result<()> {
    let name = USERS[user];
    loop {
        let mut client = connect(port, name, &format!("out/{name}/#")).await;
        while client.flush().await.is_ok() && client.read().await.is_ok() {
            while let Ok(Some(taken)) = client.take(|payload| {
                shared.ledger().delivered(user, payload);
                Ok(())
            }) {
                if taken == Taken::Subscribed {
                    shared.subscriptions.fetch_add(1, Relaxed);
                }
            }
        }
    }
}

/// A frame that has no receipt.
struct Sealed {
    reading: u64,
    stream: usize,
    bytes: Vec<u8>,
    /// The last time; none if it is to be sent now.
    sent: Option<Instant>,
}

/// A device.
struct Device {
    id: DeviceId,
    shard: u16,
    /// What its topics begin with.
    up: String,
    root: RootKey,
    code: Code,
    link: DeviceLink,
    /// Readings that are not sealed in this epoch, and their streams.
    waiting: VecDeque<(u64, usize)>,
    sealed: BTreeMap<u32, Sealed>,
    shared: Arc<Shared>,
}

/// The code of a device, as it was built.
struct Code {
    image: Image,
    table: Vec<u8>,
    key: AttestKey,
}

async fn live(load: Load, number: u32, shared: Arc<Shared>) -> Result<()> {
    let mut device = Device::new(&load, number, shared)?;
    let name = device.id.to_string();
    let filter = format!("down/{name}");
    let every = load.every.unwrap_or(AGAIN);
    let mut due = Instant::now() + every.mul_f64(f64::from(number) / f64::from(load.devices));
    loop {
        let mut client = connect(load.port, &name, &filter).await;
        // What was on its way may be lost.
        device.sealed.values_mut().for_each(|sealed| sealed.sent = None);
        loop {
            let now = Instant::now();
            while due <= now {
                due += every;
                if load.every.is_some() {
                    device.measure();
                }
            }
            while load.every.is_none() && device.kept() < WINDOW && device.measure() {}
            device.send(&mut client, now)?;
            let again =
                device.sealed.values().filter_map(|sealed| sealed.sent).min().map(|sent| sent + AGAIN);
            let next = again.map_or(due, |again| again.min(due));
            let came = async {
                client.flush().await?;
                client.read().await
            };
            // Nothing of what is to be sent is lost when this is given up: it waits for a broker that takes nothing.
            if let Ok(Err(_)) = timeout(next.saturating_duration_since(now), came).await {
                break;
            }
            let mut evidence = None;
            while let Ok(Some(_)) = client.take(|frame| {
                evidence = device.obey(frame)?.or(evidence.take());
                Ok(())
            }) {}
            if let Some(frame) = evidence {
                client.publish(&format!("{}/evidence", device.up), &frame)?;
            }
        }
    }
}

impl Device {
    fn new(load: &Load, number: u32, shared: Arc<Shared>) -> Result<Self> {
        let (id, root) = (city::device(number), city::root(number));
        let shard = id.shard(load.shards.unwrap_or(1));
        let up = if load.shards.is_some() { format!("up/{shard}/{id}") } else { format!("up/{id}") };
        let (image, key) = (Image::simulated(), root.attest_key(id));
        let table = image.table(&key);
        AllowedValues::new(&table).map_err(|error| anyhow!("the table of device {id}: {error:?}"))?;
        let link = DeviceLink::new(&root, id, load.epoch);
        let code = Code { image, table, key };
        Ok(Self {
            id,
            shard,
            up,
            root,
            code,
            link,
            waiting: VecDeque::new(),
            sealed: BTreeMap::new(),
            shared,
        })
    }

    /// Readings without a receipt.
    fn kept(&self) -> usize {
        self.waiting.len() + self.sealed.len()
    }

    /// Whether it has measured something.
    fn measure(&mut self) -> bool {
        let measures = self.shared.measures.load(Relaxed);
        if measures {
            let (reading, stream) = self.shared.ledger().make(self.shard);
            self.waiting.push_back((reading, stream));
        }
        measures
    }

    /// Sends what is new, as far as a receipt can speak of it, and again what was sent too long ago.
    fn send(&mut self, client: &mut Client, now: Instant) -> Result<()> {
        let mut buffer = [0; 64];
        while self.sealed.len() < WINDOW
            && let Some(&(reading, stream)) = self.waiting.front()
        {
            let payload = reading.to_string();
            let bytes =
                match self.link.seal_reading(STREAMS[stream].stream(), payload.as_bytes(), &mut buffer) {
                    Ok(bytes) => bytes.to_vec(),
                    Err(SealError::LimitReached) => {
                        self.new_epoch();
                        continue;
                    }
                    Err(error) => return Err(error.into()),
                };
            self.waiting.pop_front();
            let [a, b, c] = Header::parse(&bytes)?.counter;
            let counter = u32::from_be_bytes([0, a, b, c]);
            self.shared.ledger().seal(self.frame(counter), reading);
            self.sealed.insert(counter, Sealed { reading, stream, bytes, sent: None });
            if counter - self.sealed.keys().next().unwrap_or(&counter) >= REACH {
                break;
            }
        }
        for sealed in self.sealed.values_mut() {
            if sealed.sent.is_none_or(|sent| sent + AGAIN <= now) {
                sealed.sent = Some(now);
                client.publish(&format!("{}/{}", self.up, STREAMS[sealed.stream].id), &sealed.bytes)?;
            }
        }
        Ok(())
    }

    fn frame(&self, counter: u32) -> Frame {
        Frame { device: self.id, epoch: self.link.epoch().0, counter }
    }

    /// What a gateway has sent; evidence, if it asks for that.
    fn obey(&mut self, frame: &mut [u8]) -> Result<Option<Vec<u8>>> {
        self.shared.ledger().down(self.id, frame);
        let header = Header::parse(frame)?;
        let opened = match header.kind {
            Kind::Receipt => {
                self.link.open_receipt(self.id, frame).map(|receipt| self.take_receipt(&receipt))
            }
            Kind::EpochRequest => self.link.open_epoch_request(self.id, frame).map(|()| self.new_epoch()),
            _ => match self.link.open_instruction(self.id, frame) {
                Ok((instruction, challenge)) => {
                    let region = instruction.examined_region();
                    return Ok(Some(self.evidence(region, challenge)?));
                }
                Err(error) => Err(error),
            },
        };
        match opened {
            // It is of before, or was sent twice.
            Ok(()) | Err(OpenError::Replayed | OpenError::TooOld | OpenError::OtherEpoch(_)) => {}
            Err(_) => self.shared.ledger().not_opened(self.id, &header),
        }
        Ok(None)
    }

    fn take_receipt(&mut self, receipt: &Receipt) {
        let has = |counter: u32| {
            let [_, counter @ ..] = counter.to_be_bytes();
            receipt.has(counter)
        };
        let stored: Vec<u32> = self.sealed.keys().copied().filter(|counter| has(*counter)).collect();
        for counter in stored {
            self.sealed.remove(&counter);
            self.shared.ledger().receipt(self.frame(counter));
        }
    }

    /// All that has no receipt is sealed again.
    fn new_epoch(&mut self) {
        let sealed = std::mem::take(&mut self.sealed).into_values().rev();
        sealed.for_each(|sealed| self.waiting.push_front((sealed.reading, sealed.stream)));
        let epoch = Epoch(self.link.epoch().0.saturating_add(1));
        self.link = DeviceLink::new(&self.root, self.id, epoch);
    }

    fn evidence(&mut self, region: u16, challenge: Challenge) -> Result<Vec<u8>> {
        let Code { image, table, key } = &self.code;
        let table = AllowedValues::new(table)
            .map_err(|error| anyhow!("the table of device {}: {error:?}", self.id))?;
        let code = |region| image.function(region).map_or(&[][..], |function| &function.code);
        let detector = Detector::new(key, table);
        let evidence = match region {
            ALL_REGIONS => detector.examine_all(challenge, |region| code(region.id)),
            _ => detector.examine(challenge, region, code(region)),
        };
        Ok(self.link.seal_evidence(&evidence, &mut [0; 64])?.to_vec())
    }
}
