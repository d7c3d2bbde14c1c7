//! Everything that takes part: the gateway, the devices, the users; and what must be true of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use smart_city_devices::{
    client::{self, Handle, Input, Report},
    device::{Device, Done, Error},
    epoch::EpochFile,
    image::Image,
    sensors::Random,
};
use smart_city_frame::{ALL_REGIONS, DeviceId, RootKey, Verdict};
use tempfile::TempDir;
use tokio::{runtime::Runtime, sync::mpsc};

#[cfg(unix)]
use crate::firmware::FirmwareDevice;
use crate::{
    city::{City, DemoDevice, Firmware, STREET, USERS},
    gateway::Gateway,
    people::{Received, User},
};

/// How long anything may take until the demo has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A device that runs, and what it reported.
#[derive(Debug)]
struct Actor {
    handle: Handle,
    random: Random,
    /// Readings that it was given and neither has a receipt of nor discarded.
    open: usize,
    /// How the functions were found that it was told to run.
    verdicts: Vec<(u16, Verdict)>,
    /// How the regions were found that it restored, and what it discarded then.
    restored: Vec<(u16, Verdict, usize)>,
    /// Epochs that it opened after the first.
    epochs: usize,
}

/// All of it.
#[derive(Debug)]
pub struct Stage {
    /// The gateway.
    pub gateway: Gateway,
    /// The city.
    pub city: City,
    /// The users, as in [`USERS`].
    pub users: Vec<User>,
    /// The devices that are simulated: the first ones.
    actors: Vec<Actor>,
    /// The others.
    #[cfg(unix)]
    pub(crate) firmware: Vec<FirmwareDevice>,
    reports: mpsc::Receiver<Report>,
    /// When each reading was made.
    made: BTreeMap<Received, Instant>,
    /// The readings that must reach those who may see them.
    expected: BTreeSet<Received>,
    /// Somebody pressed Ctrl-C: everything is to be taken down in order.
    is_interrupted: Arc<AtomicBool>,
    /// Runs devices and users.
    _runtime: Runtime,
    _dir: TempDir,
}

impl Stage {
    /// Starts everything with the gateway `program`. The last devices run the firmware, if there is any.
    ///
    /// # Errors
    /// If something does not start.
    pub fn set(program: &Path, firmware: Option<&Firmware>) -> Result<Self> {
        ensure!(cfg!(unix) || firmware.is_none(), "the bridge of devices with the firmware needs a Unix");
        let dir = TempDir::with_prefix("smart-city-")?;
        let city = City::write(dir.path(), firmware)?;
        let gateway =
            Gateway::start(program, &city.config, &city.secrets, city.operator_token.clone(), dir.path())?;
        let runtime = Runtime::new()?;
        let entered = runtime.enter();
        let host = gateway.mqtt.ip().to_string();
        let broker = (host.as_str(), gateway.mqtt.port());

        let users = USERS.iter().zip(&city.passwords).map(|(user, password)| {
            let mut filters = vec![format!("out/{}/#", user.id)];
            // Who has open data only tries to see more.
            if user.departments.is_empty() {
                filters.extend(["#", "out/#", "out/hana/#", "out/+/barriers"].map(str::to_owned));
            }
            User::connect(&runtime, user.id, client::options(user.id, password, broker), filters)
        });
        let users = users.collect();

        let (sender, reports) = mpsc::channel(4096);
        let simulated = city.devices.iter().filter(|device| !device.runs_firmware());
        let actors = (1..).zip(simulated).map(|(seed, device)| {
            let epochs = EpochFile::new(dir.path().join(format!("{}.epoch", device.id)));
            let root = RootKey::new(device.root_key);
            let simulated = Device::start(device.id, root, &Image::simulated(), epochs)?;
            let options = client::options(&device.id.to_string(), &device.password, broker);
            Ok(Actor {
                handle: client::run(simulated, None, options, 0.0, sender.clone()),
                random: Random::new(seed),
                open: 0,
                verdicts: Vec::new(),
                restored: Vec::new(),
                epochs: 0,
            })
        });
        let actors = actors.collect::<Result<_>>()?;
        #[cfg(unix)]
        let firmware = match firmware {
            Some(firmware) => FirmwareDevice::start_all(firmware, &city, dir.path(), gateway.mqtt)?,
            None => Vec::new(),
        };
        let is_interrupted = Arc::<AtomicBool>::default();
        let flag = Arc::clone(&is_interrupted);
        runtime.spawn(async move {
            if tokio::signal::ctrl_c().await.is_ok() {
                flag.store(true, Ordering::Relaxed);
            }
        });
        drop(entered);
        Ok(Self {
            is_interrupted,
            gateway,
            city,
            users,
            actors,
            #[cfg(unix)]
            firmware,
            reports,
            made: BTreeMap::new(),
            expected: BTreeSet::new(),
            _runtime: runtime,
            _dir: dir,
        })
    }

    /// A device.
    #[must_use]
    pub fn device(&self, index: usize) -> &DemoDevice {
        &self.city.devices[index]
    }

    /// Has all simulated devices measure in a minute of the day. What the device `distrusted` says must reach nobody.
    ///
    /// # Errors
    /// If a device has stopped.
    pub fn measure(&mut self, minute: u16, distrusted: Option<usize>) -> Result<()> {
        for (index, (actor, device)) in self.actors.iter_mut().zip(&self.city.devices).enumerate() {
            for stream in &device.streams {
                let Some(sensor) = stream.sensor else { continue };
                let reading = sensor.read(minute, &mut actor.random);
                let (stream_name, device) = (stream.name.to_owned(), device.id.to_string());
                let key = Received { stream: stream_name, device, number: minute.into() };
                if distrusted != Some(index) {
                    self.expected.insert(key.clone());
                }
                self.made.insert(key, Instant::now());
                let input = Input::Measured(stream.stream(), reading.into_bytes());
                actor.handle.input.blocking_send(input).ok().context("a device has stopped")?;
                actor.open += 1;
            }
        }
        Ok(())
    }

    fn input(&self, index: usize, input: Input) -> Result<()> {
        self.actors[index].handle.input.blocking_send(input).ok().context("a device has stopped")
    }

    /// Alters a bit of a device's code.
    ///
    /// # Errors
    /// If the device has stopped.
    pub fn patch(&self, index: usize, region: u16) -> Result<()> {
        self.input(index, Input::Patch(region, 100))
    }

    /// Has the network deliver the last frame of a device twice.
    ///
    /// # Errors
    /// If the device has stopped.
    pub fn repeat(&self, index: usize) -> Result<()> {
        self.input(index, Input::Repeat)
    }

    /// Malware on a device, which has its connection but not its keys, sends `count` made-up frames for it, and as many in
    /// the name of another device.
    ///
    /// # Errors
    /// If the device has stopped.
    pub fn forge(&mut self, index: usize, other: usize, count: u32) -> Result<()> {
        for target in [index, other] {
            let device = self.device(target);
            let topic = format!("up/{}/{}", device.id, device.streams[0].id);
            for _ in 0..count {
                let mut frame: Vec<u8> =
                    std::iter::repeat_with(|| self.actors[index].random.byte()).take(60).collect();
                // A reading of class public in the first epoch, as far as the header goes.
                frame[..3].copy_from_slice(&[1 << 5, 0, 1]);
                self.input(index, Input::Publish(topic.clone(), frame))?;
            }
        }
        Ok(())
    }

    /// Takes reports until `is_done`, which `what` says in words.
    pub(crate) fn until(&mut self, what: &str, mut is_done: impl FnMut(&Self) -> Result<bool>) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            while let Ok(report) = self.reports.try_recv() {
                self.take(report)?;
            }
            if is_done(self)? {
                return Ok(());
            }
            ensure!(!self.is_interrupted(), "interrupted");
            ensure!(
                Instant::now() < deadline,
                "in {} seconds it did not happen that {what}",
                PATIENCE.as_secs()
            );
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn take(&mut self, report: Report) -> Result<()> {
        let (id, done) = match report {
            Report::Did(id, done) => (id, done),
            // What is late or comes twice, such as a receipt of the epoch before.
            Report::Connected(_) | Report::NotConnected(..) | Report::Refused(_, Error::Open(_)) => {
                return Ok(());
            }
            Report::Refused(id, error) => bail!("device {id}: {error}"),
            Report::Stopped(id, error) => return Err(error.context(format!("device {id} has stopped"))),
        };
        let index = self.city.devices.iter().position(|device| device.id == id);
        let actor = &mut self.actors[index.context("a strange device reports")?];
        match done {
            Done::Receipt(readings) => actor.open -= readings.min(actor.open),
            Done::Examined { region, verdict } => actor.verdicts.push((region, verdict)),
            Done::Restored { region, verdict, discarded } => {
                actor.open -= discarded.min(actor.open);
                actor.restored.push((region, verdict, discarded));
            }
            Done::NewEpoch(_) => actor.epochs += 1,
        }
        Ok(())
    }

    /// Waits until each device but one has receipts of all that it has measured.
    ///
    /// # Errors
    /// If that takes too long.
    pub fn receipts(&mut self, but: Option<usize>) -> Result<()> {
        self.until("all readings had receipts", |stage| {
            Ok(stage.actors.iter().enumerate().all(|(index, actor)| but == Some(index) || actor.open == 0))
        })
    }

    /// Instructs a device to run a function and waits until it has examined it; returns what it found.
    ///
    /// # Errors
    /// If that takes too long.
    pub fn instruct(&mut self, index: usize, region: u16) -> Result<Verdict> {
        let before = self.actors[index].verdicts.len();
        self.gateway.instruct(self.device(index).id, region)?;
        self.until("the device examined its code", |stage| Ok(stage.actors[index].verdicts.len() > before))?;
        let (found, verdict) = self.actors[index].verdicts[before];
        ensure!(found == region, "the device examined region {found}, not {region}");
        Ok(verdict)
    }

    /// Waits until the gateway sees a device so, and its signed result says the same.
    ///
    /// # Errors
    /// If that takes too long.
    pub fn seen(&mut self, index: usize, state: &str, isolated: bool) -> Result<()> {
        let id = self.device(index).id;
        self.until(&format!("the gateway saw {id} as {state}, isolated: {isolated}"), |stage| {
            let device = stage.gateway.device(id)?;
            Ok(device.state == state && device.isolated == isolated)
        })?;
        let result = self.gateway.result(id)?;
        ensure!(result == state, "the signed result says {result}, not {state}");
        Ok(())
    }

    /// Has a device recovered, and waits until it has restored its code and opened a new epoch; returns how many readings it
    /// discarded.
    ///
    /// # Errors
    /// If that takes too long, or if the code is not intact then.
    pub fn recover(&mut self, index: usize) -> Result<usize> {
        let (restored, epochs) = (self.actors[index].restored.len(), self.actors[index].epochs);
        self.gateway.recover(self.device(index).id)?;
        self.until("the device restored its code and opened a new epoch", |stage| {
            Ok(stage.actors[index].restored.len() > restored && stage.actors[index].epochs > epochs)
        })?;
        let (found, verdict, discarded) = self.actors[index].restored[restored];
        ensure!(
            (found, verdict) == (ALL_REGIONS, Verdict::Intact),
            "region {found} is {verdict:?} after recovery"
        );
        Ok(discarded)
    }

    /// Waits until all users have what they must have of the simulated devices.
    ///
    /// # Errors
    /// What a user lacks, or has and must not have.
    pub fn delivered(&mut self) -> Result<()> {
        let missing = |stage: &Self| {
            USERS.iter().zip(&stage.users).any(|(user, client)| {
                let inbox = client.inbox();
                stage.expected_of(user.id).any(|reading| !inbox.readings.contains(reading))
            })
        };
        // What is missing is told below.
        let _ = self.until("all users had their readings", |stage| Ok(!missing(stage)));
        for (user, client) in USERS.iter().zip(&self.users) {
            let inbox = client.inbox();
            let expected: BTreeSet<&Received> = self.expected_of(user.id).collect();
            let is_simulated = |reading: &&Received| reading.stream != STREET.name;
            let got: BTreeSet<&Received> = inbox.readings.iter().filter(is_simulated).collect();
            if let Some(reading) = expected.difference(&got).next() {
                bail!(
                    "{} lacks {} readings, such as {reading:?}",
                    user.id,
                    expected.difference(&got).count()
                );
            }
            if let Some(reading) = got.difference(&expected).next() {
                bail!(
                    "{} has {} readings too many, such as {reading:?}",
                    user.id,
                    got.difference(&expected).count()
                );
            }
            ensure!(inbox.foreign.is_empty(), "{} received {:?}", user.id, inbox.foreign);
        }
        Ok(())
    }

    /// What a user must have received.
    fn expected_of(&self, user: &str) -> impl Iterator<Item = &Received> {
        let streams = self.city.streams.iter();
        let allowed: Vec<&str> = streams
            .filter(|stream| USERS.iter().any(|other| other.id == user && stream.refusal(other).is_none()))
            .map(|stream| stream.name)
            .collect();
        self.expected.iter().filter(move |reading| allowed.contains(&reading.stream.as_str()))
    }

    /// How many readings of a stream had to be given to somebody or refused, by simulated devices.
    #[must_use]
    pub fn expected(&self, stream: &str) -> usize {
        self.expected.iter().filter(|reading| reading.stream == stream).count()
    }

    /// The times from the sensor to each user, ascending.
    #[must_use]
    pub fn latencies(&self) -> Vec<Duration> {
        let mut all: Vec<Duration> = self
            .users
            .iter()
            .flat_map(|user| {
                let inbox = user.inbox();
                let times = inbox.times.iter();
                times.filter_map(|(reading, at)| Some(*at - *self.made.get(reading)?)).collect::<Vec<_>>()
            })
            .collect();
        all.sort_unstable();
        all
    }

    /// Whether somebody pressed Ctrl-C.
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        self.is_interrupted.load(Ordering::Relaxed)
    }

    /// How many readings simulated devices have made.
    #[must_use]
    pub fn made(&self) -> usize {
        self.made.len()
    }

    /// The device with this number.
    #[must_use]
    pub fn id(&self, index: usize) -> DeviceId {
        self.device(index).id
    }
}
