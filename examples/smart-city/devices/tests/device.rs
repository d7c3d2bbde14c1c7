//! A device and the gateway's end of its link, with a network in between that loses what it likes.

use std::fs;

use smart_city_devices::{
    device::{CAPACITY, Device, Done, Error},
    epoch::EpochFile,
    image::Image,
    sensors::{Random, Sensor},
};
use smart_city_frame::{
    Class, DeviceId, Epoch, GatewayLink, Instruction, OpenError, Receipt, RootKey, Stream, Verdict,
    seal_epoch_request,
};
use tempfile::TempDir;

const ID: DeviceId = DeviceId([0x70, 0xb3, 0xd5, 0xff, 0xfe, 0, 0, 1]);

fn root() -> RootKey {
    RootKey::new([0x42; 16])
}

fn stream() -> Stream {
    Stream { id: 7.try_into().unwrap(), class: Class::Internal }
}

struct Bench {
    dir: TempDir,
    device: Device,
    gateway: GatewayLink,
}

impl Bench {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let device = start(&dir).unwrap();
        let gateway = GatewayLink::new(&root(), ID, device.epoch());
        Self { dir, device, gateway }
    }

    fn measure(&mut self, readings: std::ops::Range<u32>) {
        for reading in readings {
            self.device.measured(stream(), reading.to_string().into_bytes()).unwrap();
        }
    }

    /// Everything that the device sends now: counter and reading.
    fn sent(&mut self) -> Vec<([u8; 3], u32)> {
        let mut all = Vec::new();
        while let Some(mut frame) = self.device.next_frame().unwrap() {
            assert_eq!(frame.topic, "7");
            let opened = self.gateway.open_reading(ID, stream(), &mut frame.bytes).unwrap();
            all.push((opened.counter, std::str::from_utf8(opened.content).unwrap().parse().unwrap()));
        }
        all
    }

    fn receipt(&mut self, counters: &[[u8; 3]]) -> Done {
        let mut receipt = Receipt::new(counters[0]);
        counters.iter().for_each(|counter| receipt.add(*counter));
        let mut buffer = [0; 32];
        self.device.receive(self.gateway.seal_receipt(&receipt, &mut buffer).unwrap()).unwrap()
    }

    fn request_epoch(&mut self) -> Result<Done, Error> {
        let mut buffer = [0; 13];
        self.device.receive(seal_epoch_request(&root(), ID, self.gateway.epoch(), &mut buffer).unwrap())
    }

    /// Instructs, and says whether the evidence is that of the code as built.
    fn instruct(&mut self, instruction: &Instruction<'_>) -> (Done, bool) {
        let mut buffer = [0; 64];
        let (frame, challenge) = self.gateway.seal_instruction(instruction, &mut buffer).unwrap();
        let done = self.device.receive(frame).unwrap();
        let mut frame = self.device.next_frame().unwrap().unwrap();
        assert_eq!(frame.topic, "evidence");
        let evidence = self.gateway.open_evidence(ID, &mut frame.bytes).unwrap().content;
        let region = instruction.examined_region();
        let image = Image::simulated();
        let key = root().attest_key(ID);
        let code = &image.function(region).unwrap().code;
        (done, smart_city_detector::Verifier::new(&key).verify(&evidence, &challenge, region, code))
    }
}

fn start(dir: &TempDir) -> Result<Device, Error> {
    Device::start(ID, root(), &Image::simulated(), EpochFile::new(dir.path().join("epoch")))
}

#[test]
fn readings_are_kept_until_their_receipt() {
    let mut bench = Bench::new();
    bench.measure(0..200);
    let first = bench.sent();
    assert_eq!(first.len(), 64, "no more than a receipt speaks of");
    // The receipt of the oldest is missing: nothing goes on.
    let counters: Vec<[u8; 3]> = first.iter().map(|(counter, _)| *counter).collect();
    assert_eq!(bench.receipt(&counters[1..]), Done::Receipt(63));
    assert_eq!((bench.sent(), bench.device.kept()), (vec![], 137));
    assert_eq!(bench.receipt(&counters[..1]), Done::Receipt(1));
    let second = bench.sent();
    assert_eq!(second.iter().map(|(_, reading)| *reading).collect::<Vec<_>>(), (64..128).collect::<Vec<_>>());
    assert_eq!(bench.receipt(&[second[0].0]), Done::Receipt(1));

    // What had no receipt comes again in the next epoch, in its order, before the rest.
    assert!(matches!(bench.request_epoch(), Ok(Done::NewEpoch(Epoch(2)))));
    assert!(matches!(bench.request_epoch(), Err(Error::Open(OpenError::OtherEpoch(1)))), "once");
    bench.gateway = GatewayLink::new(&root(), ID, Epoch(2));
    let mut all = Vec::new();
    while bench.device.kept() > 0 {
        let sent = bench.sent();
        let counters: Vec<[u8; 3]> = sent.iter().map(|(counter, _)| *counter).collect();
        bench.receipt(&counters);
        all.extend(sent.into_iter().map(|(_, reading)| reading));
    }
    assert_eq!(all, (65..200).collect::<Vec<_>>());
}

#[test]
fn no_epoch_is_used_twice() {
    let mut bench = Bench::new();
    assert_eq!(bench.device.epoch(), Epoch(1));
    assert_eq!(start(&bench.dir).unwrap().epoch(), Epoch(2), "power was lost");
    assert_eq!(bench.device.new_epoch().unwrap(), Epoch(3));

    // What is not stored is not used.
    let path = bench.dir.path().join("epoch");
    for (text, message) in [("65535", "used up"), ("1O", "damaged"), ("", "damaged"), ("65536", "damaged")] {
        fs::write(&path, text).unwrap();
        let error = bench.device.new_epoch().unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
        assert_eq!(bench.device.epoch(), Epoch(3));
        assert!(start(&bench.dir).is_err());
    }
    fs::write(&path, "65534").unwrap();
    assert_eq!(bench.device.new_epoch().unwrap(), Epoch(65535));
}

#[test]
fn altered_functions_do_not_run_until_they_are_restored() {
    let mut bench = Bench::new();
    let open_gate = Instruction { region: 2, argument: b"" };
    let intact = Done::Examined { region: 2, verdict: Verdict::Intact };
    assert_eq!(bench.instruct(&open_gate), (intact, true));
    assert_eq!(bench.device.runs(2), 1);

    assert!(bench.device.patch(2, 700));
    assert!(!bench.device.patch(2, 5000) && !bench.device.patch(9, 0));
    // Readings go on, other functions run: the detector looks when it is asked.
    bench.measure(0..3);
    assert_eq!(bench.sent().len(), 3);
    let other = Instruction { region: 1, argument: b"" };
    assert!(bench.instruct(&other).1);
    let altered = Done::Examined { region: 2, verdict: Verdict::Altered };
    assert_eq!(bench.instruct(&open_gate), (altered, false));
    assert_eq!((bench.device.runs(1), bench.device.runs(2)), (1, 1), "the altered one did not run");

    // What it measured meanwhile is not believed.
    let restored = Done::Restored { region: 2, verdict: Verdict::Intact, discarded: 3 };
    assert_eq!(bench.instruct(&Instruction::restore(&[0, 2])), (restored, true));
    assert_eq!((bench.device.kept(), bench.device.runs(2)), (0, 1), "restoring runs nothing");
    assert_eq!(bench.instruct(&open_gate), (intact, true));
    assert_eq!(bench.device.runs(2), 2);
    // To restore what is intact costs nothing.
    bench.measure(0..3);
    let restored = Done::Restored { region: 2, verdict: Verdict::Intact, discarded: 0 };
    assert_eq!(bench.instruct(&Instruction::restore(&[0, 2])), (restored, true));
    assert_eq!(bench.device.kept(), 3);
}

#[test]
fn what_the_image_does_not_have_is_unknown_and_does_not_run() {
    let mut bench = Bench::new();
    let mut buffer = [0; 64];
    for instruction in [Instruction { region: 99, argument: b"" }, Instruction::restore(&[0, 99])] {
        let frame = bench.gateway.seal_instruction(&instruction, &mut buffer).unwrap().0;
        let done = bench.device.receive(frame).unwrap();
        let (Done::Examined { region, verdict } | Done::Restored { region, verdict, .. }) = done else {
            panic!("{done:?}")
        };
        assert_eq!((region, verdict), (99, Verdict::Unknown));
    }
    assert_eq!(bench.device.runs(99), 0);
}

#[test]
fn nothing_from_others_does_anything() {
    let mut bench = Bench::new();
    bench.measure(0..3);
    bench.sent();
    let mut stranger = GatewayLink::new(&RootKey::new([0x43; 16]), ID, bench.device.epoch());
    let mut buffer = [0; 64];
    let frame = stranger.seal_instruction(&Instruction { region: 2, argument: b"" }, &mut buffer).unwrap().0;
    assert!(matches!(bench.device.receive(frame), Err(Error::Open(OpenError::Rejected))));
    let frame = stranger.seal_receipt(&Receipt::new([0; 3]), &mut buffer).unwrap();
    assert!(matches!(bench.device.receive(frame), Err(Error::Open(OpenError::Rejected))));
    assert!(matches!(bench.device.receive(&mut []), Err(Error::Open(OpenError::Header(_)))));
    assert_eq!((bench.device.kept(), bench.device.runs(2), bench.device.epoch()), (3, 0, Epoch(1)));
    // 1,024 of them cost an epoch.
    for _ in 0..1022 {
        let frame = stranger.seal_receipt(&Receipt::new([0; 3]), &mut buffer).unwrap();
        bench.device.receive(frame).unwrap_err();
    }
    let frame = stranger.seal_receipt(&Receipt::new([0; 3]), &mut buffer).unwrap();
    assert_eq!(bench.device.receive(frame).unwrap(), Done::NewEpoch(Epoch(2)));
}

#[test]
fn memory_is_bounded() {
    let mut bench = Bench::new();
    bench.measure(0..u32::try_from(CAPACITY).unwrap());
    assert!(matches!(bench.device.measured(stream(), vec![0]), Err(Error::Full)));
    assert!(matches!(bench.device.measured(stream(), vec![0; 300]), Err(Error::Seal(_))));
}

#[test]
fn sensors_are_plausible_and_the_same_for_a_seed() {
    let read = |sensor: Sensor, minute, seed| sensor.read(minute, &mut Random::new(seed));
    for sensor in [Sensor::Traffic, Sensor::Gate, Sensor::Weather, Sensor::Air] {
        for minute in 0..1440 {
            let reading = read(sensor, minute, 7);
            assert_eq!(reading, read(sensor, minute, 7));
            assert!(
                reading.len() < 100 && reading.starts_with(&format!("{{\"minute\":{minute},")),
                "{reading}"
            );
        }
    }
    let vehicles = |minute| -> u32 {
        let reading = read(Sensor::Traffic, minute, 7);
        let (_, after) = reading.split_once("\"vehicles\":").unwrap();
        after.split_once(',').unwrap().0.parse().unwrap()
    };
    assert!(vehicles(495) > 3 * vehicles(180), "more in the morning than at night");
    assert_ne!(read(Sensor::Air, 0, 7), read(Sensor::Air, 0, 8));
}
