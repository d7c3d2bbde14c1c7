//! Random histories of a gateway against a model: reloads, removed devices, other keys and back, isolation, kills, power that fails,
//! and files that are lost or set back; with evidence that is late or unasked, and an enemy who sends every frame again. No frame may be
//! accepted twice, no isolated device be heard, no altered code be acknowledged without an isolation, no nonce of the gateway come back with
//! other bytes, and every device must come back in the end.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    sync::{Arc, Mutex},
};

use crate::common::{
    self, Code, GATE, MAST, Random, code, evidence, example, files, is_isolated, kind, message,
};
use anyhow::Result;
use redb::StorageBackend;
use smart_city_engine::{
    attestation::Signer,
    audit::{self, Audit, Head, Log},
    config::{City, Secrets},
    engine::{Engine, Input, Output},
    file::FileStore,
    memory::Loss,
};
use smart_city_frame::{
    ALL_REGIONS, Challenge, DeviceId, DeviceLink, Epoch, Evidence, Header, Kind, RootKey,
};
use tempfile::TempDir;
use tokio::sync::oneshot;

enum Change {
    Write(u64, Vec<u8>),
    SetLen(u64),
}

impl Change {
    fn apply(&self, file: &File) {
        match self {
            Self::Write(offset, data) => file.write_all_at(data, *offset).unwrap(),
            Self::SetLen(len) => file.set_len(*len).unwrap(),
        }
    }
}

/// The disk of a machine whose power may fail: what was not synced then survives or not, each change for itself.
#[derive(Default)]
struct Power {
    is_off: bool,
    operations: u64,
    /// The operation at which it fails.
    fails_at: Option<u64>,
    /// What is not synced, of each file.
    pending: Vec<(File, Vec<Change>)>,
}

impl Power {
    fn operation(&mut self) -> io::Result<()> {
        self.operations += 1;
        self.is_off |= self.fails_at == Some(self.operations);
        if self.is_off {
            return Err(io::Error::other("no power"));
        }
        Ok(())
    }

    /// The process is gone; `keep` says what survives of what was not synced.
    fn off(&mut self, mut keep: impl FnMut() -> bool) {
        self.is_off = true;
        for (file, changes) in &mut self.pending {
            changes.drain(..).filter(|_| keep()).for_each(|change| change.apply(file));
        }
    }
}

#[derive(Clone)]
struct Disk {
    power: Arc<Mutex<Power>>,
    number: usize,
    /// What a read shows.
    content: Arc<Mutex<Vec<u8>>>,
}

impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Disk")
    }
}

impl Disk {
    fn open(power: &Arc<Mutex<Power>>, file: File) -> Result<Self> {
        let mut content = vec![0; usize::try_from(file.metadata()?.len())?];
        file.read_exact_at(&mut content, 0)?;
        let mut state = power.lock().unwrap();
        state.pending.push((file, Vec::new()));
        let number = state.pending.len() - 1;
        Ok(Self { power: Arc::clone(power), number, content: Arc::new(Mutex::new(content)) })
    }

    fn change(&self, change: Change) -> io::Result<()> {
        let mut power = self.power.lock().unwrap();
        let result = power.operation();
        // What was being written when the power failed may be there too.
        power.pending[self.number].1.push(change);
        result
    }
}

fn at(offset: u64) -> usize {
    usize::try_from(offset).unwrap()
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.content.lock().unwrap().len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let content = self.content.lock().unwrap();
        let from = content.get(at(offset)..at(offset) + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(from);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(Change::SetLen(len))?;
        self.content.lock().unwrap().resize(at(len), 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut power = self.power.lock().unwrap();
        power.operation()?;
        let (file, changes) = &mut power.pending[self.number];
        changes.drain(..).for_each(|change| change.apply(file));
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.change(Change::Write(offset, data.to_vec()))?;
        let mut content = self.content.lock().unwrap();
        let end = at(offset) + data.len();
        if content.len() < end {
            content.resize(end, 0);
        }
        content[at(offset)..end].copy_from_slice(data);
        Ok(())
    }
}

/// The two root keys that a device and the registry may have, one of them by a typing error.
fn root(id: DeviceId, key: usize) -> RootKey {
    let mut bytes = [0x42; 16];
    (bytes[0], bytes[1]) = (id.0[7], u8::try_from(key).unwrap());
    RootKey::new(bytes)
}

/// A device of the model, and what the registry says of it.
struct Device {
    id: DeviceId,
    stream: u16,
    key: usize,
    /// The newest epoch of each key, as in its flash.
    epochs: [u16; 2],
    link: DeviceLink,
    is_altered: bool,
    /// Evidence without a receipt, and whether it must isolate. None if it was altered before a recovery: then it need not, and may.
    evidence: Vec<(Evidence, Option<bool>)>,
    /// In the registry, and with which key.
    listed: Option<usize>,
    is_isolated: bool,
    recovers: bool,
}

impl Device {
    fn new(id: DeviceId, stream: u16) -> Self {
        let link = DeviceLink::new(&root(id, 0), id, Epoch(1));
        let (listed, epochs) = (Some(0), [1, 0]);
        Self {
            id,
            stream,
            key: 0,
            epochs,
            link,
            is_altered: false,
            evidence: Vec::new(),
            listed,
            is_isolated: false,
            recovers: false,
        }
    }

    fn new_epoch(&mut self) {
        self.epochs[self.key] += 1;
        self.link = DeviceLink::new(&root(self.id, self.key), self.id, Epoch(self.epochs[self.key]));
    }

    /// Makes evidence, and keeps it until there is a receipt of it.
    fn examine(&mut self, challenge: Challenge, region: u16, code: &Code) {
        let mut own = code.clone();
        for code in own.values_mut() {
            code[3] ^= u8::from(self.is_altered);
        }
        let key = root(self.id, self.key).attest_key(self.id);
        let evidence = evidence(&key, challenge, region, &own, code);
        self.evidence.push((evidence, Some(self.is_altered)));
    }

    /// Takes a frame from the gateway; returns whether there is evidence then.
    fn receive(&mut self, frame: &[u8], code: &Code) -> bool {
        let mut frame = frame.to_vec();
        match kind(&frame) {
            Kind::EpochRequest => {
                if self.link.open_epoch_request(self.id, &mut frame).is_ok() {
                    self.new_epoch();
                }
                false
            }
            Kind::Instruction => {
                let Ok((instruction, challenge)) = self.link.open_instruction(self.id, &mut frame) else {
                    return false;
                };
                self.is_altered &= instruction.restored_region().is_none();
                self.examine(challenge, instruction.examined_region(), code);
                true
            }
            _ => false,
        }
    }

    /// What was found before its recovery need not isolate it any more.
    fn was_recovered(&mut self) {
        for (_, isolates) in &mut self.evidence {
            *isolates = isolates.filter(|isolates| !isolates);
        }
    }
}

#[derive(Debug, Default)]
struct Counts {
    accepted: u64,
    replays: u64,
    nonces: u64,
    reloads: u64,
    ends: u64,
    faults: u64,
    noticed: u64,
    unnoticed: u64,
    isolated: u64,
    recovered: u64,
    /// Evidence that was sent long after it was made, or was not asked for.
    late: u64,
    /// Isolated for it.
    isolated_late: u64,
    /// Files of the audit log before the newest, at most at a start.
    archives: u64,
}

/// Device, key, whether it is an epoch request, epoch and counter.
type Nonce = (DeviceId, usize, bool, u16, [u8; 3]);

struct World {
    dir: TempDir,
    city: City,
    secrets: Arc<Secrets>,
    pem: String,
    code: Code,
    random: Random,
    power: Arc<Mutex<Power>>,
    engine: Option<Engine>,
    devices: Vec<Device>,
    next_reading: usize,
    /// Whose each reading is, by its number.
    whose: Vec<usize>,
    accepted: BTreeSet<usize>,
    /// Everything that was ever sent to the gateway.
    sent: Vec<(String, Vec<u8>)>,
    /// Everything that the gateway ever sealed.
    sealed: BTreeMap<Nonce, Vec<u8>>,
    /// Store and log at earlier ends.
    copies: Vec<(Vec<u8>, Vec<u8>)>,
    counts: Counts,
    /// Whose evidence was on its way when the process ended.
    in_question: Option<usize>,
}

impl World {
    fn new(seed: u64) -> Self {
        let dir = example();
        let (city, secrets) = files(dir.path());
        let code = code(dir.path());
        let mut world = Self {
            dir,
            city,
            secrets,
            pem: Signer::generate().unwrap().to_string(),
            code,
            random: Random(seed),
            power: Arc::default(),
            engine: None,
            devices: vec![Device::new(GATE, 1), Device::new(MAST, 2)],
            next_reading: 0,
            whose: Vec::new(),
            accepted: BTreeSet::new(),
            sent: Vec::new(),
            sealed: BTreeMap::new(),
            copies: Vec::new(),
            counts: Counts::default(),
            in_question: None,
        };
        world.restart(false);
        world
    }

    fn config(&self) -> (City, Arc<Secrets>) {
        let mut city = self.city.clone();
        city.audit_file_bytes = 20_000;
        let mut devices = BTreeMap::new();
        for device in &self.devices {
            match device.listed {
                Some(key) => {
                    let password = self.secrets.devices[&device.id].1.clone();
                    devices.insert(device.id, (root(device.id, key), password));
                }
                None => drop(city.devices.remove(&device.id)),
            }
        }
        let secrets = Secrets {
            operators: self.secrets.operators.clone(),
            gateway_password: self.secrets.gateway_password.clone(),
            ear_key: self.secrets.ear_key.clone(),
            users: self.secrets.users.clone(),
            senders: self.secrets.senders.clone(),
            database_password: None,
            digest: self.secrets.digest,
            devices,
        };
        (city, Arc::new(secrets))
    }

    fn start(&mut self, after_loss: bool) -> Result<()> {
        let (city, secrets) = self.config();
        let signer = Signer::from_pem(self.pem.as_bytes()).unwrap();
        self.power = Arc::default();
        if !after_loss && self.random.one_in(8) {
            self.power.lock().unwrap().fails_at = Some(1 + self.random.next() % 40);
        }
        let power = Arc::clone(&self.power);
        let dir = self.dir.path().to_owned();
        let disk = move |file| Disk::open(&power, file);
        let (engine, outputs) = Engine::open_on(&dir, city, secrets, signer, after_loss, disk)?;
        self.engine = Some(engine);
        let path = Audit::path(&dir);
        let log = Log::read(&path, &Head::default())?;
        assert_eq!(
            (audit::verify_archives(&path, &log)?, log.fault),
            (Vec::new(), None),
            "the chain is whole"
        );
        self.counts.archives = self.counts.archives.max(audit::archives(&path)?.len() as u64);
        for device in &mut self.devices {
            device.recovers = false;
        }
        // What was accepted when the last process ended, without a word of it, counts from now on.
        let readings = outputs.iter().filter(|output| output.delivery.is_some()).map(number);
        self.accepted.extend(readings);
        self.sealed(&outputs);
        self.deliver(&outputs);
        Ok(())
    }

    /// Ends the process, with what is on its way to the disk or without.
    fn end(&mut self) {
        self.counts.ends += 1;
        let (kill, mut random) = (self.random.one_in(2), self.random.clone());
        self.random.next();
        self.power.lock().unwrap().off(|| kill || random.one_in(2));
        self.engine = None;
        let read = |path| fs::read(path).unwrap_or_default();
        self.copies.push((read(FileStore::path(self.dir.path())), read(Audit::path(self.dir.path()))));
    }

    /// Starts again, until it runs. `may_be_lost` is whether a file was lost before.
    fn restart(&mut self, may_be_lost: bool) {
        loop {
            match self.start(false) {
                Ok(()) => break self.counts.unnoticed += u64::from(may_be_lost),
                Err(error) => match error.downcast_ref::<Loss>() {
                    Some(loss) => {
                        assert!(may_be_lost, "nothing was lost: {loss}");
                        assert!(!matches!(loss, Loss::Both(..)), "{loss}");
                        self.counts.noticed += 1;
                        self.start(true).unwrap();
                        break;
                    }
                    None => {
                        assert!(self.power.lock().unwrap().is_off, "{error:#}");
                        self.end();
                    }
                },
            }
        }
        for i in 0..self.devices.len() {
            if self.devices[i].listed.is_some() {
                let (is, was) = (self.is_isolated(i), self.devices[i].is_isolated);
                assert!(is || !was || self.in_question == Some(i), "an isolation was forgotten");
                self.devices[i].is_isolated = is;
                if was && !is {
                    self.devices[i].was_recovered();
                }
            }
        }
    }

    /// Asks the gateway, on a disk that has no fault just now.
    fn is_isolated(&mut self, i: usize) -> bool {
        let fails_at = self.power.lock().unwrap().fails_at.take();
        let is = is_isolated(self.engine.as_mut().unwrap(), self.devices[i].id);
        self.power.lock().unwrap().fails_at = fails_at;
        is
    }

    fn lose_a_file(&mut self) {
        let (store, log) = (FileStore::path(self.dir.path()), Audit::path(self.dir.path()));
        let copy = self.random.below(self.copies.len());
        match self.random.below(7) {
            0 => drop(fs::remove_file(store)),
            1 => drop(fs::remove_file(log)),
            2 | 3 if !self.copies[copy].0.is_empty() => fs::write(store, &self.copies[copy].0).unwrap(),
            4 => fs::write(log, &self.copies[copy].1).unwrap(),
            5 => {
                let text = fs::read(&log).unwrap_or_default();
                let lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
                let left = lines.len() - self.random.below(lines.len().min(9) + 1);
                fs::write(log, lines[..left].concat()).unwrap();
            }
            _ => {
                let text = fs::read(&store).unwrap_or_default();
                fs::write(store, &text[..text.len() / 2]).unwrap();
            }
        }
    }

    /// Hands inputs over and checks what comes of them. Returns whether the gateway goes on.
    fn handle(&mut self, inputs: Vec<Input>) -> Option<Vec<Output>> {
        let Ok(outputs) = self.engine.as_mut().unwrap().handle(inputs) else {
            self.counts.faults += 1;
            self.engine.as_mut().unwrap().handle([Input::Tick]).unwrap_err();
            self.end();
            self.restart(false);
            return None;
        };
        let mut numbers = BTreeMap::new();
        for output in outputs.iter().filter(|output| output.delivery.is_some()) {
            let reading = number(output);
            let first = *numbers.entry(reading).or_insert(output.delivery);
            assert_eq!(first, output.delivery, "reading {reading} was accepted twice");
        }
        for reading in numbers.into_keys() {
            assert!(self.accepted.insert(reading), "reading {reading} was accepted twice");
            assert!(!self.devices[self.whose[reading]].is_isolated, "an isolated device was heard");
            self.counts.accepted += 1;
        }
        self.sealed(&outputs);
        Some(outputs)
    }

    /// No nonce under a key has two frames.
    fn sealed(&mut self, outputs: &[Output]) {
        for output in outputs.iter().filter(|output| output.topic.starts_with("down/")) {
            let header = Header::parse(&output.payload).unwrap();
            let (id, epoch) = (device_id(&output.topic), header.epoch.0);
            let opens = |key: &usize| {
                let (mut link, mut frame) =
                    (DeviceLink::new(&root(id, *key), id, Epoch(epoch)), output.payload.clone());
                match header.kind {
                    Kind::Receipt => link.open_receipt(id, &mut frame).is_ok(),
                    Kind::EpochRequest => link.open_epoch_request(id, &mut frame).is_ok(),
                    _ => link.open_instruction(id, &mut frame).is_ok(),
                }
            };
            let key = (0..2).find(opens).expect("a frame for the device");
            let nonce = (id, key, header.kind == Kind::EpochRequest, epoch, header.counter);
            let before = self.sealed.entry(nonce).or_insert_with(|| output.payload.clone());
            assert_eq!(*before, output.payload, "two frames under one nonce: {nonce:?}");
        }
        self.counts.nonces = self.sealed.len() as u64;
    }

    /// The devices get what is for them, mostly, and answer.
    fn deliver(&mut self, outputs: &[Output]) {
        for output in outputs.iter().filter(|output| output.topic.starts_with("down/")) {
            let i = self.devices.iter().position(|device| device.id == device_id(&output.topic)).unwrap();
            if self.random.one_in(5) {
                continue;
            }
            // It may be late.
            if self.devices[i].receive(&output.payload, &self.code) && !self.random.one_in(5) {
                self.evidence(i, false);
            }
        }
    }

    /// A device sends the newest evidence that has no receipt.
    fn evidence(&mut self, i: usize, is_late: bool) {
        if self.devices[i].listed.is_some() {
            // With a file that was lost an older isolation may have come back while it was not in the registry.
            let (is, was) = (self.is_isolated(i), self.devices[i].is_isolated);
            assert!(is || !was, "an isolation was forgotten");
            self.devices[i].is_isolated = is;
        }
        let device = &mut self.devices[i];
        let Some((evidence, isolates)) = device.evidence.pop() else { return };
        let (was, id, topic) = (device.is_isolated, device.id, format!("up/{}/evidence", device.id));
        let mut buffer = [0; 64];
        let frame = device.link.seal_evidence(&evidence, &mut buffer).unwrap().to_vec();
        let counter = Header::parse(&frame).unwrap().counter;
        self.sent.push((topic.clone(), frame.clone()));
        self.in_question = Some(i);
        let outputs = self.handle(vec![message(topic, &frame)]);
        self.in_question = None;
        let is_listed = self.devices[i].listed.is_some();
        let is = if outputs.is_some() && is_listed { self.is_isolated(i) } else { was };
        let device = &mut self.devices[i];
        let has_receipt = outputs.iter().flatten().any(|output| {
            let mut frame = output.payload.clone();
            let is_receipt = output.topic == format!("down/{id}") && kind(&frame) == Kind::Receipt;
            is_receipt && device.link.open_receipt(id, &mut frame).is_ok_and(|receipt| receipt.has(counter))
        });
        if !has_receipt {
            device.evidence.push((evidence, isolates));
        }
        let Some(outputs) = outputs else { return };
        assert!(
            is || !has_receipt || isolates != Some(true),
            "altered code has a receipt and no consequence"
        );
        assert!(was || !is || isolates != Some(false), "isolated for code as it was built");
        assert!(
            is || !was || (isolates == Some(false) && device.recovers),
            "isolated no more, without a recovery"
        );
        if is_listed {
            (device.is_isolated, device.recovers) = (is, device.recovers && is);
        }
        if was && !is {
            self.counts.recovered += 1;
            device.was_recovered();
        }
        self.counts.isolated += u64::from(is && !was);
        self.counts.late += u64::from(is_late && has_receipt);
        self.counts.isolated_late += u64::from(is_late && is && !was);
        self.deliver(&outputs);
    }

    fn reading(&mut self, i: usize) -> Input {
        let (number, device) = (self.next_reading, &mut self.devices[i]);
        self.next_reading += 1;
        self.whose.push(i);
        let stream = self.city.streams[&device.stream].stream;
        let mut buffer = [0; 64];
        let text = format!("\"reading-{number}\"");
        let frame = device.link.seal_reading(stream, text.as_bytes(), &mut buffer).unwrap();
        let topic = format!("up/{}/{}", device.id, device.stream);
        self.sent.push((topic.clone(), frame.to_vec()));
        message(topic, frame)
    }

    fn replay(&mut self) -> Input {
        self.counts.replays += 1;
        let (topic, frame) = &self.sent[self.random.below(self.sent.len())];
        message(topic.clone(), frame)
    }

    fn change_registry(&mut self, i: usize) -> Input {
        self.counts.reloads += 1;
        let to = self.random.below(4);
        let device = &mut self.devices[i];
        let listed = [None, Some(0), Some(0), Some(1)][to];
        device.recovers &= device.listed == listed;
        device.listed = listed;
        Input::Reload(Ok(Box::new(self.config())))
    }

    fn step(&mut self) {
        let i = self.random.below(self.devices.len());
        let (reply, _answer) = oneshot::channel();
        let id = self.devices[i].id;
        let operator = || "kana".to_owned();
        let outputs = match self.random.below(18) {
            0..=3 => {
                let input = self.reading(i);
                let lost = self.random.one_in(6);
                if lost { Some(Vec::new()) } else { self.handle(vec![input]) }
            }
            4 => {
                // All at once, and a reload in their midst.
                let mut inputs = vec![self.reading(0), self.reading(1), self.replay()];
                inputs.push(self.change_registry(i));
                inputs.push(self.replay());
                self.handle(inputs)
            }
            5 => {
                let input = self.change_registry(i);
                self.handle(vec![input])
            }
            6 => self.handle(vec![Input::Tick]),
            7 => {
                self.end();
                self.restart(false);
                None
            }
            8 if self.random.one_in(2) => {
                self.end();
                self.lose_a_file();
                self.restart(true);
                None
            }
            9 => {
                // It says what it finds at its start.
                let device = &mut self.devices[i];
                device.new_epoch();
                if self.random.one_in(2) {
                    device.is_altered |= self.random.one_in(2);
                    let start = Challenge::of_start(Epoch(device.epochs[device.key]));
                    device.examine(start, ALL_REGIONS, &self.code);
                    self.evidence(i, true);
                }
                None
            }
            what @ (10 | 14) => {
                self.devices[i].is_altered |= self.random.one_in(2);
                let input = if what == 10 {
                    Input::Instruct { device: id, region: 1, argument: vec![1], operator: operator(), reply }
                } else {
                    Input::Examine { device: id, operator: operator(), reply }
                };
                self.handle(vec![input])
            }
            15 => {
                self.evidence(i, true);
                None
            }
            11 if self.devices[i].is_isolated => {
                self.devices[i].recovers = self.devices[i].listed.is_some();
                self.handle(vec![Input::Recover { device: id, operator: operator(), reply }])
            }
            12 if self.random.one_in(4) => {
                let device = &mut self.devices[i];
                device.key ^= 1;
                device.evidence.clear();
                device.new_epoch();
                None
            }
            13 if self.random.one_in(3) => {
                let power = Arc::clone(&self.power);
                let mut power = power.lock().unwrap();
                power.fails_at = Some(power.operations + 1 + self.random.next() % 12);
                None
            }
            _ => {
                let replays = if self.sent.is_empty() { 0 } else { 8 };
                let inputs: Vec<Input> = (0..replays).map(|_| self.replay()).collect();
                self.handle(inputs)
            }
        };
        self.deliver(&outputs.unwrap_or_default());
    }

    /// In the end everybody is heard again, and nothing that was ever sent is accepted.
    fn finish(&mut self) {
        self.power.lock().unwrap().fails_at = None;
        for i in 0..self.devices.len() {
            let key = self.devices[i].key;
            self.devices[i].listed = Some(key);
        }
        let reload = Input::Reload(Ok(Box::new(self.config())));
        let outputs = self.handle(vec![reload]).unwrap();
        self.deliver(&outputs);
        for i in 0..self.devices.len() {
            let (mut is_heard, id) = (false, self.devices[i].id);
            self.devices[i].is_isolated = self.is_isolated(i);
            for _ in 0..40 {
                if self.devices[i].is_isolated {
                    self.devices[i].recovers = true;
                    let (reply, _answer) = oneshot::channel();
                    let recover = Input::Recover { device: id, operator: "kana".to_owned(), reply };
                    let outputs = self.handle(vec![recover]).unwrap();
                    self.deliver(&outputs);
                }
                self.devices[i].new_epoch();
                let input = self.reading(i);
                let outputs = self.handle(vec![input]).unwrap();
                is_heard = outputs.iter().any(|output| output.delivery.is_some());
                self.deliver(&outputs);
                if is_heard {
                    break;
                }
                // Made-up epochs may have taken what new ones cost; it grows again.
                std::thread::sleep(std::time::Duration::from_millis(25));
            }
            assert!(is_heard, "{id} does not come back");
        }
        self.end();
        self.restart(false);
        self.power.lock().unwrap().fails_at = None;
        let all: Vec<Input> = self.sent.iter().map(|(topic, frame)| message(topic.clone(), frame)).collect();
        self.counts.replays += all.len() as u64;
        let before = self.counts.accepted;
        self.handle(all).unwrap();
        assert_eq!(self.counts.accepted, before);
    }
}

fn device_id(topic: &str) -> DeviceId {
    smart_city_engine::config::parse_device_id(topic.trim_start_matches("down/")).unwrap()
}

/// The number of the reading in a message to a user.
fn number(output: &Output) -> usize {
    let text = String::from_utf8_lossy(&output.payload);
    let digits = text.split_once("reading-").unwrap().1;
    digits[..digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len())].parse().unwrap()
}

fn run(seeds: std::ops::Range<u64>, steps: usize) {
    let start = std::time::Instant::now();
    let mut total: BTreeMap<&str, u64> = BTreeMap::new();
    let count = seeds.end - seeds.start;
    for seed in seeds {
        let result = std::panic::catch_unwind(|| {
            let mut world = World::new((seed + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
            (0..steps).for_each(|_| world.step());
            world.finish();
            world.counts
        });
        let counts = result.unwrap_or_else(|error| {
            println!("history {seed}");
            std::panic::resume_unwind(error)
        });
        for (name, count) in [
            ("accepted", counts.accepted),
            ("replays", counts.replays),
            ("nonces", counts.nonces),
            ("reloads", counts.reloads),
            ("ends", counts.ends),
            ("faults of the disk", counts.faults),
            ("losses noticed", counts.noticed),
            ("losses that changed nothing", counts.unnoticed),
            ("isolated", counts.isolated),
            ("recovered", counts.recovered),
            ("late evidence", counts.late),
            ("isolated by late evidence", counts.isolated_late),
            ("older files of the audit log", counts.archives),
        ] {
            *total.entry(name).or_default() += count;
        }
    }
    println!("{count} histories of {steps} steps in {:?}: {total:?}", start.elapsed());
    // Not everything happens in a few.
    assert!(
        count < 24 || total.values().all(|happened| *happened > 0),
        "something did not happen: {total:?}"
    );
}

/// `SMART_CITY_HISTORIES` says how many, `SMART_CITY_FROM` which is the first.
#[test]
fn no_history_repeats_anything() {
    let from = common::number("SMART_CITY_FROM", 0);
    run(from..from + common::number("SMART_CITY_HISTORIES", 24), 120);
}
