//! A device with the firmware, and the gateway's end of its link.

use std::{env, fs, path::PathBuf};

use object::{Object as _, ObjectSymbol as _};
use smart_city_allowed_values::{Function, functions};
use smart_city_bridge::{
    board::Board,
    image::{Image, Parts},
};
use smart_city_detector::{Region, Verifier};
use smart_city_frame::{
    Challenge, Class, DeviceId, Epoch, Evidence, GatewayLink, Header, Instruction, OpenError, Receipt,
    RootKey, Stream, seal_epoch_request,
};
use smart_city_store::Supervision;
use tempfile::TempDir;

pub(crate) const ID: DeviceId = DeviceId([0, 0, 0, 0, 0, 0, 0, 7]);
pub(crate) const ROOT: [u8; 16] = *b"a key of 16 byte";

pub(crate) const STREET: [&str; 6] =
    ["lamp_on", "lamp_off", "lamp_dim", "crossing_walk", "crossing_stop", "set_interval"];
pub(crate) const PROBE: [&str; 6] =
    ["function_64", "function_256", "function_1024", "function_4096", "calls_back", "pushes"];

pub(crate) fn stream() -> Stream {
    Stream { id: 1.try_into().unwrap(), class: Class::Internal }
}

/// Who a device is, and what it has used.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) id: DeviceId,
    pub(crate) root: [u8; 16],
    pub(crate) used: Epoch,
    pub(crate) supervision: Supervision,
}

pub(crate) const NEW: Identity =
    Identity { id: ID, root: ROOT, used: Epoch(0), supervision: Supervision { pause: 0, watchdog: 0 } };

/// Where `cargo xtask test city-firmware` has the images.
pub(crate) fn firmware(name: &str) -> PathBuf {
    let folder = env::var_os("SMART_CITY_FIRMWARE").expect("run by `cargo xtask test city-firmware`");
    PathBuf::from(folder).join(name)
}

/// The files of a device, in a folder of their own.
pub(crate) struct Made {
    pub(crate) folder: TempDir,
    pub(crate) image: Image,
    pub(crate) identity: Identity,
    application: &'static str,
    /// The functions of the application as it was built.
    pub(crate) functions: Vec<Function>,
}

impl Made {
    pub(crate) fn new(name: &'static str, names: &[&str], identity: Identity) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let application = firmware(name);
        let parts = Parts {
            secure: &firmware("secure"),
            application: &application,
            functions: names,
            // A function of the probe does, as malware would.
            may_call: name == "probe",
            id: identity.id,
            root: identity.root,
            used: identity.used,
            supervision: identity.supervision,
            streams: &[stream()],
        };
        let image = Image::make(&parts, folder.path()).unwrap();
        let functions = functions(&fs::read(application).unwrap()).unwrap();
        Self { folder, image, identity, application: name, functions }
    }

    pub(crate) fn region(&self, id: u16) -> Region {
        self.image.region(id).unwrap()
    }

    /// The code of a region as it was built.
    pub(crate) fn code(&self, id: u16) -> &[u8] {
        let region = self.region(id);
        let mut functions = self.functions.iter();
        &functions.find(|function| function.address == region.address).unwrap().code
    }

    /// Where the application has the data of this name.
    pub(crate) fn symbol(&self, name: &str) -> u32 {
        symbol(&fs::read(firmware(self.application)).unwrap(), name)
    }

    /// Switches it on.
    pub(crate) fn start(self, options: &[String]) -> Device {
        let mut board = Board::start(&self.image, self.folder.path(), options).unwrap();
        let epoch = epoch_on(&mut board);
        let link = self.link(epoch);
        Device { made: self, board, link }
    }

    pub(crate) fn link(&self, epoch: Epoch) -> GatewayLink {
        GatewayLink::new(&RootKey::new(self.identity.root), self.identity.id, epoch)
    }
}

/// The address of the symbol in an ELF file whose name is `name`, or else contains it.
pub(crate) fn symbol(elf: &[u8], name: &str) -> u32 {
    let file = object::File::parse(elf).unwrap();
    let contains =
        file.symbols().find(|symbol| symbol.size() > 0 && symbol.name().is_ok_and(|own| own.contains(name)));
    let found = file.symbols().find(|symbol| symbol.name() == Ok(name)).or(contains);
    (found.unwrap().address() & !1).try_into().unwrap()
}

/// The same of the secure world.
pub(crate) fn secure_symbol(name: &str) -> u32 {
    symbol(&fs::read(firmware("secure")).unwrap(), name)
}

/// The epoch that the console names next.
pub(crate) fn epoch_on(board: &mut Board) -> Epoch {
    epoch_in(&board.console("device").unwrap()).unwrap()
}

/// The epoch that a line of the console names.
pub(crate) fn epoch_in(line: &str) -> Option<Epoch> {
    let epoch = line.strip_prefix("device ")?.rsplit(' ').next()?;
    epoch.parse().ok().map(Epoch)
}

/// A device that runs.
pub(crate) struct Device {
    pub(crate) made: Made,
    pub(crate) board: Board,
    pub(crate) link: GatewayLink,
}

impl Device {
    pub(crate) fn street() -> Self {
        Made::new("street", &STREET, NEW).start(&[])
    }

    /// The next packet: a stream's number, 0 for evidence, and a frame.
    pub(crate) fn next(&mut self) -> (u16, Vec<u8>) {
        let mut packet = self.board.receive().unwrap();
        let frame = packet.split_off(2);
        (u16::from_be_bytes(packet.try_into().unwrap()), frame)
    }

    /// The next reading, with its counter. Evidence before it is an error.
    pub(crate) fn reading(&mut self) -> (Vec<u8>, [u8; 3]) {
        let (id, mut frame) = self.next();
        assert_eq!(id, 1);
        self.open_reading(&mut frame)
    }

    pub(crate) fn open_reading(&mut self, frame: &mut [u8]) -> (Vec<u8>, [u8; 3]) {
        let opened = self.link.open_reading(self.made.identity.id, stream(), frame).unwrap();
        (opened.content.to_vec(), opened.counter)
    }

    pub(crate) fn send_receipt(&mut self, receipt: &Receipt) {
        let mut buffer = [0; 64];
        let frame = self.link.seal_receipt(receipt, &mut buffer).unwrap();
        self.board.send(frame).unwrap();
    }

    /// The frame of an instruction, and what its evidence is made under.
    pub(crate) fn seal(&mut self, region: u16, argument: &[u8]) -> (Vec<u8>, Challenge) {
        let mut buffer = [0; 255];
        let (frame, challenge) =
            self.link.seal_instruction(&Instruction { region, argument }, &mut buffer).unwrap();
        (frame.to_vec(), challenge)
    }

    /// Sends an instruction, and returns its evidence, and whether it shows the code as it was built. It gets its receipt, as do
    /// readings that come meanwhile.
    pub(crate) fn instruct(&mut self, region: u16, argument: &[u8]) -> (Evidence, bool) {
        let instruction = Instruction { region, argument };
        let (evidence, challenge) = self.obeyed(&instruction);
        (evidence, self.shows(&evidence, &challenge, instruction.examined_region()))
    }

    /// The same for an instruction that is about all regions.
    pub(crate) fn examine_all(&mut self, instruction: &Instruction<'_>) -> (Evidence, bool) {
        let (evidence, challenge) = self.obeyed(instruction);
        let key = RootKey::new(self.made.identity.root).attest_key(self.made.identity.id);
        let regions = self.made.image.regions.iter().map(|region| (region.id, self.made.code(region.id)));
        (evidence, Verifier::new(&key).verify_all(&evidence, &challenge, regions))
    }

    fn obeyed(&mut self, instruction: &Instruction<'_>) -> (Evidence, Challenge) {
        let (frame, challenge) = self.seal(instruction.region, instruction.argument);
        self.board.send(&frame).unwrap();
        for _ in 0..200 {
            let (id, mut frame) = self.next();
            if id > 0 {
                self.take(&mut frame);
            } else if let Some(evidence) = self.take_evidence(&mut frame) {
                return (evidence, challenge);
            }
        }
        panic!("no evidence came; the console says:\n{}", self.board.console_so_far());
    }

    /// Opens a reading and sends its receipt, unless it was sent before.
    pub(crate) fn take(&mut self, frame: &mut [u8]) -> Option<Vec<u8>> {
        let opened = self.link.open_reading(self.made.identity.id, stream(), frame).ok()?;
        let (reading, receipt) = (opened.content.to_vec(), Receipt::new(opened.counter));
        self.send_receipt(&receipt);
        Some(reading)
    }

    /// The next frame with evidence. Readings that come before it get their receipts.
    pub(crate) fn next_evidence(&mut self) -> Vec<u8> {
        for _ in 0..200 {
            let (id, mut frame) = self.next();
            if id == 0 {
                return frame;
            }
            self.take(&mut frame);
        }
        panic!("no evidence came; the console says:\n{}", self.board.console_so_far());
    }

    /// Opens evidence and sends its receipt. None if it came before: then its receipt was late.
    pub(crate) fn take_evidence(&mut self, frame: &mut [u8]) -> Option<Evidence> {
        let counter = Header::parse(frame).unwrap().counter;
        let opened = self.link.open_evidence(self.made.identity.id, frame);
        self.send_receipt(&Receipt::new(counter));
        match opened {
            Ok(opened) => Some(opened.content),
            Err(error) => {
                assert_eq!(error, OpenError::Replayed);
                None
            }
        }
    }

    /// Opens evidence; returns it, and whether it shows the code as it was built.
    pub(crate) fn evidence(
        &mut self,
        frame: &mut [u8],
        challenge: &Challenge,
        region: u16,
    ) -> (Evidence, bool) {
        let evidence = self.link.open_evidence(self.made.identity.id, frame).unwrap().content;
        (evidence, self.shows(&evidence, challenge, region))
    }

    /// Whether evidence shows the code of the region as it was built.
    fn shows(&self, evidence: &Evidence, challenge: &Challenge, region: u16) -> bool {
        self.shows_code(evidence, challenge, region, self.made.code(region))
    }

    /// Whether evidence shows this code of the region.
    pub(crate) fn shows_code(
        &self,
        evidence: &Evidence,
        challenge: &Challenge,
        region: u16,
        code: &[u8],
    ) -> bool {
        let key = RootKey::new(self.made.identity.root).attest_key(self.made.identity.id);
        Verifier::new(&key).verify(evidence, challenge, region, code)
    }

    /// A device whose application was altered, in the last byte of a region, while it had no power.
    pub(crate) fn altered(application: &'static str, names: &[&str], region: u16) -> Self {
        let mut made = Made::new(application, names, NEW);
        let code = made.code(region).to_vec();
        let path = made.folder.path().join("altered");
        let mut elf = fs::read(firmware(application)).unwrap();
        let at = elf.windows(code.len()).position(|window| window == code).unwrap();
        elf[at + code.len() - 1] ^= 0x80;
        fs::write(&path, elf).unwrap();
        made.image.set_application(path);
        let mut board = Board::start(&made.image, made.folder.path(), &[]).unwrap();
        assert_eq!(board.console("region").unwrap(), format!("region {region} is altered"));
        let link = made.link(epoch_on(&mut board));
        Self { made, board, link }
    }

    /// Instructs a device that has sent evidence of its start. That comes again, as it has no receipt.
    pub(crate) fn keeps_start_evidence(&mut self, region: u16) {
        let of_start = self.next_evidence();
        let (frame, _) = self.seal(region, &[]);
        self.board.send(&frame).unwrap();
        let mut answer = self.next_evidence();
        while answer == of_start {
            answer = self.next_evidence();
        }
        for _ in 0..10 {
            if self.next_evidence() == of_start {
                return;
            }
        }
        panic!("evidence of the start did not come again");
    }

    /// Ends the epoch; the device will be in the next one.
    pub(crate) fn end_epoch(&mut self) {
        let ended = self.link.epoch();
        let mut buffer = [0; 64];
        let root = RootKey::new(self.made.identity.root);
        let frame = seal_epoch_request(&root, self.made.identity.id, ended, &mut buffer).unwrap();
        self.board.send(frame).unwrap();
        self.link = self.made.link(Epoch(ended.0 + 1));
    }

    /// Ends the epoch, and follows the device into the next one.
    pub(crate) fn request_epoch(&mut self) {
        let ended = self.link.epoch();
        self.end_epoch();
        for _ in 0..200 {
            let (id, mut frame) = self.next();
            let epoch = Header::parse(&frame).unwrap().epoch;
            if epoch > ended {
                assert_eq!((id, epoch.0), (1, ended.0 + 1));
                self.open_reading(&mut frame);
                return;
            }
        }
        panic!("no new epoch came");
    }

    /// Waits for a reading for which `holds`.
    pub(crate) fn wait_for(&mut self, what: &str, holds: impl Fn(&[u8]) -> bool) {
        for _ in 0..200 {
            let (id, mut frame) = self.next();
            if id == 0 {
                assert_eq!(self.take_evidence(&mut frame), None);
            } else if self.take(&mut frame).is_some_and(|reading| holds(&reading)) {
                return;
            }
        }
        panic!("no reading says: {what}");
    }
}

/// A device whose application does what the test tells it.
pub(crate) struct Probe(pub(crate) Device);

impl Probe {
    pub(crate) fn start() -> Self {
        Self::with(NEW, &[])
    }

    pub(crate) fn with(identity: Identity, options: &[String]) -> Self {
        let mut probe = Self(Made::new("probe", &PROBE, identity).start(options));
        probe.wait_ready();
        probe
    }

    pub(crate) fn wait_ready(&mut self) {
        assert_eq!(self.0.board.receive().unwrap(), b"ready");
    }

    pub(crate) fn send(&mut self, command: u8, words: &[u32], bytes: &[u8]) {
        let mut packet = vec![command];
        words.iter().for_each(|word| packet.extend(word.to_be_bytes()));
        packet.extend(bytes);
        self.0.board.send(&packet).unwrap();
    }

    pub(crate) fn ask(&mut self, command: u8, words: &[u32]) -> u32 {
        self.send(command, words, &[]);
        self.answer()
    }

    pub(crate) fn answer(&mut self) -> u32 {
        let answer = self.0.board.receive().unwrap();
        u32::from_be_bytes(answer.try_into().expect("a word"))
    }

    pub(crate) fn write(&mut self, address: u32, bytes: &[u8]) {
        for (i, chunk) in (0..).zip(bytes.chunks(200)) {
            self.send(b'W', &[address + 200 * i], chunk);
            assert_eq!(self.answer(), 0);
        }
    }

    pub(crate) fn read(&mut self, address: u32, len: u32) -> Vec<u8> {
        self.send(b'R', &[address, len], &[]);
        self.0.board.receive().unwrap()
    }
}
