//! Devices that run the firmware in QEMU, each at its bridge. What goes over their serial lines is opened here with their keys: it is
//! what they report.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::SocketAddr,
    os::unix::net::UnixStream,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use smart_city_bridge::{
    board::Board,
    bridge::{Mqtt, carry},
    image::{Image, Parts},
    line::Tap,
};
use smart_city_frame::{
    DeviceId, DeviceLink, Epoch, GatewayLink, Header, Kind, OpenError, Receipt, RootKey, Stream, Verdict,
};
use smart_city_store::Supervision;

use crate::{
    city::{City, DemoDevice, Firmware, STREET, STREET_FUNCTIONS},
    people::number_in,
};

/// A device with the firmware that runs.
#[derive(Debug)]
pub struct FirmwareDevice {
    image: Image,
    board: Board,
    heard: Arc<Mutex<Heard>>,
}

impl FirmwareDevice {
    /// Switches a device on, with its files in `folder`, at the broker.
    ///
    /// # Errors
    /// If it does not start.
    fn start(firmware: &Firmware, device: &DemoDevice, folder: &Path, mqtt: Mqtt) -> Result<Self> {
        fs::create_dir(folder)?;
        let parts = Parts {
            secure: &firmware.secure,
            application: &firmware.street,
            functions: &STREET_FUNCTIONS,
            may_call: false,
            id: device.id,
            root: device.root_key,
            // A second, then two; and a minute without a service.
            supervision: Supervision { pause: 10, watchdog: 60 },
            used: Epoch(0),
            streams: &[STREET.stream()],
        };
        let image = Image::make(&parts, folder)?;
        let mut board = Board::start_for_bridge(&image, folder, &[])?;
        // The line is there when the device has started.
        board.console("device")?;
        let line = UnixStream::connect(folder.join("line")).context("the device has no serial line")?;
        let heard = Arc::new(Mutex::new(Heard::new(device)));
        let up = tap(line.try_clone()?, &heard, Heard::up);
        let down = tap(line, &heard, Heard::down);
        let (id, of_bridge) = (device.id, Arc::clone(&heard));
        thread::spawn(move || {
            if let Err(error) = carry(up, down, id, &mqtt) {
                lock(&of_bridge).fault = Some(error.context("its bridge"));
            }
        });
        Ok(Self { image, board, heard })
    }

    /// Starts each device of a city that runs the firmware, with its files in a folder of its own in `dir`.
    ///
    /// # Errors
    /// If one does not start.
    pub fn start_all(firmware: &Firmware, city: &City, dir: &Path, broker: SocketAddr) -> Result<Vec<Self>> {
        let devices = city.devices.iter().filter(|device| device.runs_firmware());
        let start = |device: &DemoDevice| {
            let mqtt = Mqtt { broker, password: device.password.clone(), shards: None };
            Self::start(firmware, device, &dir.join(device.id.to_string()), mqtt)
        };
        devices.map(start).collect()
    }

    /// What it said and heard so far.
    ///
    /// # Errors
    /// If something came that no device and no gateway says, or its bridge has ended.
    pub fn heard(&self) -> Result<MutexGuard<'_, Heard>> {
        let mut heard = lock(&self.heard);
        heard.fault.take().map_or(Ok(heard), Err)
    }

    /// Alters a bit of the code of a region by the debug port.
    ///
    /// # Errors
    /// If there is no such region or the port does not answer.
    pub fn patch(&mut self, region: u16) -> Result<()> {
        let region = self.image.region(region)?;
        self.board.debug()?.flip(region.address + region.len / 2)
    }

    /// What its console says next of a region that it has examined: what it found, and what it did.
    ///
    /// # Errors
    /// If it says nothing of it.
    pub fn examined(&mut self, region: u16) -> Result<(Verdict, String)> {
        let line = self.board.console("region")?;
        let said = line.strip_prefix(&format!("region {region}: ")).and_then(|said| said.split_once(", "));
        let (verdict, event) = said.with_context(|| format!("nothing of region {region}, but: {line}"))?;
        let verdicts = [Verdict::Intact, Verdict::Altered, Verdict::Unknown];
        let verdict = verdicts.into_iter().find(|known| format!("{known:?}") == verdict);
        Ok((verdict.with_context(|| format!("no verdict: {line}"))?, event.to_owned()))
    }
}

/// What a device has said and heard, as far as it is authentic.
#[derive(Debug)]
pub struct Heard {
    root: RootKey,
    device: DeviceId,
    stream: Stream,
    up: Option<GatewayLink>,
    down: Option<DeviceLink>,
    /// Each frame with a reading, by its epoch and counter: the number of the reading.
    frames: BTreeMap<(Epoch, [u8; 3]), u32>,
    /// The frames with evidence.
    evidence: Vec<(Epoch, [u8; 3])>,
    receipts: Vec<(Epoch, Receipt)>,
    /// When each reading was sent first.
    sent: BTreeMap<u32, Instant>,
    /// Percent, in the last reading.
    brightness: Option<u8>,
    fault: Option<anyhow::Error>,
}

impl Heard {
    fn new(device: &DemoDevice) -> Self {
        Self {
            root: RootKey::new(device.root_key),
            device: device.id,
            stream: STREET.stream(),
            up: None,
            down: None,
            frames: BTreeMap::new(),
            evidence: Vec::new(),
            receipts: Vec::new(),
            sent: BTreeMap::new(),
            brightness: None,
            fault: None,
        }
    }

    /// The epoch of its last reading.
    #[must_use]
    pub fn epoch(&self) -> Option<Epoch> {
        self.up.as_ref().map(GatewayLink::epoch)
    }

    /// The epoch of the gateway's last receipt.
    #[must_use]
    pub fn answered(&self) -> Option<Epoch> {
        self.down.as_ref().map(DeviceLink::epoch)
    }

    /// How bright its lamp is by its last reading, in percent.
    #[must_use]
    pub const fn brightness(&self) -> Option<u8> {
        self.brightness
    }

    /// How many readings it has sent.
    #[must_use]
    pub fn count(&self) -> usize {
        self.sent.len()
    }

    /// The readings of which the gateway has given a receipt.
    #[must_use]
    pub fn stored(&self) -> BTreeSet<u32> {
        let stored = self.frames.iter().filter(|((epoch, counter), _)| self.is_stored(*epoch, *counter));
        stored.map(|(_, number)| *number).collect()
    }

    fn is_stored(&self, epoch: Epoch, counter: [u8; 3]) -> bool {
        self.receipts.iter().any(|(of, receipt)| *of == epoch && receipt.has(counter))
    }

    /// How often it has sent evidence of which the gateway has given a receipt.
    #[must_use]
    pub fn attested(&self) -> usize {
        self.evidence.iter().filter(|(epoch, counter)| self.is_stored(*epoch, *counter)).count()
    }

    /// The readings that came no further than an epoch that has ended: the gateway had not taken them.
    #[must_use]
    pub fn lost(&self) -> BTreeSet<u32> {
        let of = |has_ended: bool| {
            let frames =
                self.frames.iter().filter(move |((epoch, _), _)| (Some(*epoch) != self.epoch()) == has_ended);
            frames.map(|(_, number)| *number).collect::<BTreeSet<u32>>()
        };
        let (ended, now, stored) = (of(true), of(false), self.stored());
        ended.into_iter().filter(|number| !now.contains(number) && !stored.contains(number)).collect()
    }

    /// The readings that were sent before a time, have no receipt and may still get one.
    #[must_use]
    pub fn open(&self, before: Instant) -> BTreeSet<u32> {
        let (lost, stored) = (self.lost(), self.stored());
        let sent = self.sent.iter().filter(|(_, at)| **at < before).map(|(number, _)| *number);
        sent.filter(|number| !lost.contains(number) && !stored.contains(number)).collect()
    }

    /// Takes what the device sends: the number of a stream, and a frame.
    fn up(&mut self, packet: &[u8]) -> Result<()> {
        let (stream, frame) = packet.split_at_checked(2).context("a short packet")?;
        let epoch = Header::parse(frame)?.epoch;
        if self.epoch() < Some(epoch) {
            self.up = Some(GatewayLink::new(&self.root, self.device, epoch));
        }
        let link = self.up.as_mut().context("no epoch")?;
        let mut frame = frame.to_vec();
        if stream == [0, 0] {
            // It is sent again until its receipt, and the gateway appraises it.
            if let Ok(opened) = link.open_evidence(self.device, &mut frame) {
                self.evidence.push((epoch, opened.counter));
            }
            return Ok(());
        }
        ensure!(stream == self.stream.id.get().to_be_bytes(), "a strange stream: {stream:?}");
        match link.open_reading(self.device, self.stream, &mut frame) {
            Ok(opened) => {
                let number = number_in(opened.content).context("a strange reading")?;
                self.brightness = opened.content.get(4).copied();
                self.frames.insert((epoch, opened.counter), number);
                self.sent.entry(number).or_insert_with(Instant::now);
                Ok(())
            }
            // It is sent again until its receipt.
            Err(OpenError::Replayed | OpenError::TooOld) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes what comes to the device: a frame.
    fn down(&mut self, frame: &[u8]) -> Result<()> {
        let Header { kind, epoch, .. } = Header::parse(frame)?;
        if kind != Kind::Receipt {
            return Ok(());
        }
        if self.down.as_ref().is_none_or(|link| link.epoch() < epoch) {
            self.down = Some(DeviceLink::new(&self.root, self.device, epoch));
        }
        let link = self.down.as_mut().context("no epoch")?;
        match link.open_receipt(self.device, &mut frame.to_vec()) {
            Ok(receipt) => self.receipts.push((epoch, receipt)),
            // The gateway repeats its last receipt for a frame that comes again.
            Err(OpenError::Replayed | OpenError::OtherEpoch(_)) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

/// Has packets of a line taken by `take`.
fn tap(
    line: UnixStream,
    heard: &Arc<Mutex<Heard>>,
    take: fn(&mut Heard, &[u8]) -> Result<()>,
) -> Tap<UnixStream, impl FnMut(&[u8]) + Send + use<>> {
    let heard = Arc::clone(heard);
    Tap::new(line, move |packet: &[u8]| {
        let mut heard = lock(&heard);
        if let Err(error) = take(&mut heard, packet) {
            heard.fault = Some(error);
        }
    })
}

fn lock(heard: &Mutex<Heard>) -> MutexGuard<'_, Heard> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}
