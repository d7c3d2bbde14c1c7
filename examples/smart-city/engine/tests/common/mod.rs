//! The example city, its devices and a gateway on it.
#![allow(dead_code, unreachable_pub, reason = "each test uses its part")]

use std::{collections::BTreeMap, fmt::Debug, fs, path::Path, str::FromStr, sync::Arc};

use smart_city_detector::{AllowedValues, Detector, Region, Verifier};
use smart_city_engine::{
    attestation::Signer,
    config::{City, Secrets, StreamEntry, UserEntry},
    engine::{Engine, Input, Output},
};
use smart_city_frame::{
    ALL_REGIONS, AttestKey, Challenge, Class, DeviceId, DeviceLink, Epoch, Evidence, Header, Kind, RootKey,
};
use tempfile::TempDir;
use tokio::sync::oneshot;

pub const GATE: DeviceId = DeviceId([0x70, 0xb3, 0xd5, 0xff, 0xfe, 0, 0, 1]);
pub const MAST: DeviceId = DeviceId([0x70, 0xb3, 0xd5, 0xff, 0xfe, 0, 0, 2]);

/// How much of something a test does: `usual`, or what the environment says. `cargo xtask soak` sets all of these.
pub fn number<N: FromStr<Err: Debug>>(variable: &str, usual: N) -> N {
    std::env::var(variable).map_or(usual, |text| text.parse().expect(variable))
}

/// Marsaglia's xorshift, 64 bits.
#[derive(Clone)]
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    #[expect(clippy::cast_possible_truncation, reason = "below the bound")]
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

/// Every file of the example, in a new directory.
pub fn example() -> TempDir {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../gateway/example");
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("code")).unwrap();
    for file in ["city.toml", "secrets.toml", "code/open_gate.bin", "code/close_gate.bin"] {
        fs::copy(from.join(file), dir.path().join(file)).unwrap();
    }
    dir
}

pub fn files(dir: &Path) -> (City, Arc<Secrets>) {
    let city = City::read(&dir.join("city.toml")).unwrap();
    let secrets = Secrets::read(&dir.join("secrets.toml"), &city).unwrap();
    (city, Arc::new(secrets))
}

/// Opens an engine on the files and the data in `dir`.
pub fn engine(dir: &Path) -> (Engine, Vec<Output>) {
    let (city, secrets) = files(dir);
    let signer = Signer::from_pem(Signer::generate().unwrap().as_bytes()).unwrap();
    Engine::open(dir, city, secrets, signer).unwrap()
}

pub fn message(topic: impl Into<String>, payload: &[u8]) -> Input {
    Input::Message { topic: topic.into(), payload: payload.to_vec() }
}

/// What the engine answers to a question.
pub fn ask<T>(engine: &mut Engine, input: impl FnOnce(oneshot::Sender<T>) -> Input) -> (T, Vec<Output>) {
    let (reply, mut answer) = oneshot::channel();
    let outputs = engine.handle([input(reply)]).unwrap();
    (answer.try_recv().unwrap(), outputs)
}

/// Whether a device of the registry is isolated.
pub fn is_isolated(engine: &mut Engine, id: DeviceId) -> bool {
    let status = ask(engine, Input::Status).0;
    let devices = status["devices"].as_array().unwrap();
    let device = devices.iter().find(|device| device["id"] == id.to_string()).unwrap();
    device["isolated"].as_bool().unwrap()
}

pub fn kind(frame: &[u8]) -> Kind {
    Header::parse(frame).unwrap().kind
}

/// Root keys of the example's secrets.
pub fn root(id: DeviceId) -> RootKey {
    let first = if id == GATE { 0x00 } else { 0x10 };
    RootKey::new(std::array::from_fn(|i| first + u8::try_from(i).unwrap()))
}

/// How the ids of a device's messages begin: with its name and its root key's fingerprint.
pub fn key_id(id: DeviceId) -> String {
    format!("{id}-{}", hex::encode(&root(id).fingerprint(id)[..8]))
}

/// Code by region.
pub type Code = BTreeMap<u16, Vec<u8>>;

/// The code of the example's image.
pub fn code(dir: &Path) -> Code {
    let file = |name| fs::read(dir.join("code").join(name)).unwrap();
    Code::from([(1, file("open_gate.bin")), (2, file("close_gate.bin"))])
}

/// What a device with this `code`, and a table for `as_built`, says of a region, or of all.
pub fn evidence(
    key: &AttestKey,
    challenge: Challenge,
    region: u16,
    code: &Code,
    as_built: &Code,
) -> Evidence {
    let entry = |(id, code): (&u16, &Vec<u8>)| {
        let (len, value) = (code.len().try_into().unwrap(), Verifier::new(key).allowed_value(*id, code));
        Region { id: *id, address: 0, len, value }.to_bytes()
    };
    let table: Vec<u8> = as_built.iter().flat_map(entry).collect();
    let detector = Detector::new(key, AllowedValues::new(&table).unwrap());
    let code = |region: u16| code.get(&region).map_or(&[][..], Vec::as_slice);
    if region == ALL_REGIONS {
        detector.examine_all(challenge, |region| code(region.id))
    } else {
        detector.examine(challenge, region, code(region))
    }
}

/// A device's end, with its code.
pub struct TestDevice {
    pub id: DeviceId,
    pub link: DeviceLink,
    /// Of region 1.
    pub code: Vec<u8>,
    pub close_gate: Vec<u8>,
}

impl TestDevice {
    pub fn new(id: DeviceId, epoch: u16, dir: &Path) -> Self {
        let [code, close_gate] = [1, 2].map(|region| code(dir)[&region].clone());
        Self { id, link: DeviceLink::new(&root(id), id, Epoch(epoch)), code, close_gate }
    }

    pub fn reading(&mut self, stream: u16, city: &City, payload: &[u8]) -> Input {
        let stream = city.streams[&stream].stream;
        let mut buffer = [0; 255];
        let frame = self.link.seal_reading(stream, payload, &mut buffer).unwrap();
        message(format!("up/{}/{}", self.id, stream.id), frame)
    }

    /// Follows an instruction: restores if that is it, examines the code, answers.
    pub fn follow(&mut self, frame: &[u8], genuine: &[u8]) -> Input {
        let mut frame = frame.to_vec();
        let (instruction, challenge) = self.link.open_instruction(self.id, &mut frame).unwrap();
        if instruction.restored_region().is_some() {
            self.code = genuine.to_vec();
        }
        let key = root(self.id).attest_key(self.id);
        let [code, as_built] = [&self.code[..], genuine]
            .map(|code| Code::from([(1, code.to_vec()), (2, self.close_gate.clone())]));
        let evidence = evidence(&key, challenge, instruction.examined_region(), &code, &as_built);
        let mut buffer = [0; 64];
        let frame = self.link.seal_evidence(&evidence, &mut buffer).unwrap();
        message(format!("up/{}/evidence", self.id), frame)
    }
}

/// Open data: everyone. Internal: city and department. Confidential: and level. Partner city: listed, department, level.
pub fn plain(user: &UserEntry, stream: &StreamEntry, device_ok: bool) -> bool {
    let department = user.departments.iter().any(|name| stream.departments.contains(name));
    let level = user.level >= stream.min_level;
    let rule = if stream.stream.class == Class::Public {
        true
    } else if user.city == stream.owner {
        department && (stream.stream.class == Class::Internal || level)
    } else {
        stream.partners.contains(&user.city) && department && level
    };
    rule && device_ok
}
