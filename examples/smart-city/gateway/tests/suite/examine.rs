//! Challenges to measure all regions of a device, and what a device finds at its start.

use std::{collections::BTreeMap, path::Path};

use smart_city_detector::{AllowedValues, Detector, Region, Verifier};
use smart_city_frame::{Challenge, DeviceLink, Epoch, Instruction, Kind};
use smart_city_gateway::{
    config::City,
    engine::{Denied, Engine, Input, Output},
};

use crate::common::{GATE, TestDevice, ask, engine, example, files, is_isolated, kind, message, root};

/// All code of a device.
struct Regions(BTreeMap<u16, Vec<u8>>);

impl Regions {
    fn new(city: &City) -> Self {
        let image = &city.images[&city.devices[&GATE].image];
        Self(image.iter().map(|(id, region)| (*id, region.code.clone())).collect())
    }

    /// Evidence of all, sealed.
    fn evidence(&self, genuine: &Self, link: &mut DeviceLink, challenge: Challenge) -> Input {
        let key = root(GATE).attest_key(GATE);
        let entry = |(id, code): (&u16, &Vec<u8>)| {
            let value = Verifier::new(&key).allowed_value(*id, code);
            Region { id: *id, address: 0, len: code.len().try_into().unwrap(), value }.to_bytes()
        };
        let table: Vec<u8> = genuine.0.iter().flat_map(entry).collect();
        let detector = Detector::new(&key, AllowedValues::new(&table).unwrap());
        let evidence = detector.examine_all(challenge, |region| &self.0[&region.id]);
        let mut buffer = [0; 64];
        message(format!("up/{GATE}/evidence"), link.seal_evidence(&evidence, &mut buffer).unwrap())
    }
}

fn examine(engine: &mut Engine) -> (Result<(), Denied>, Vec<Output>) {
    ask(engine, |reply| Input::Examine { device: GATE, operator: "kana".to_owned(), reply })
}

fn recover(engine: &mut Engine) -> Vec<Output> {
    let recover = |reply| Input::Recover { device: GATE, operator: "kana".to_owned(), reply };
    let (begun, outputs) = ask(engine, recover);
    assert_eq!(begun, Ok(()));
    outputs
}

/// Opens the one instruction in `outputs`, and returns it and its challenge.
fn obey(link: &mut DeviceLink, outputs: &[Output]) -> (Option<u16>, Challenge) {
    let instruction = outputs.iter().find(|output| kind(&output.payload) == Kind::Instruction).unwrap();
    let mut frame = instruction.payload.clone();
    let (instruction, challenge) = link.open_instruction(GATE, &mut frame).unwrap();
    (instruction.restored_region(), challenge)
}

fn start(dir: &Path, epoch: u16) -> (Engine, City, TestDevice, Regions) {
    let (mut engine, _) = engine(dir);
    let (city, _) = files(dir);
    let mut gate = TestDevice::new(GATE, epoch, dir);
    engine.handle([gate.reading(1, &city, b"1")]).unwrap();
    let regions = Regions::new(&city);
    assert!(regions.0.len() > 1);
    (engine, city, gate, regions)
}

#[test]
fn all_regions_are_examined_and_the_altered_one_is_restored() {
    let dir = example();
    let (mut gateway, _, mut gate, genuine) = start(dir.path(), 1);
    let (sent, outputs) = examine(&mut gateway);
    assert_eq!(sent, Ok(()));
    assert_eq!(examine(&mut gateway).0, Err(Denied::Busy));
    let mut frame = outputs[0].payload.clone();
    let (instruction, challenge) = gate.link.open_instruction(GATE, &mut frame).unwrap();
    assert_eq!(instruction, Instruction::EXAMINE_ALL);
    gateway.handle([genuine.evidence(&genuine, &mut gate.link, challenge)]).unwrap();
    let status = &ask(&mut gateway, Input::Status).0["devices"][0];
    assert_eq!((&status["state"], &status["isolated"]), (&"affirming".into(), &false.into()));

    // The evidence names what is restored then.
    let second = *genuine.0.keys().nth(1).unwrap();
    let mut altered = Regions(genuine.0.clone());
    altered.0.get_mut(&second).unwrap()[0] ^= 1;
    let (_, challenge) = obey(&mut gate.link, &examine(&mut gateway).1);
    gateway.handle([altered.evidence(&genuine, &mut gate.link, challenge)]).unwrap();
    assert!(is_isolated(&mut gateway, GATE));
    assert_eq!(examine(&mut gateway).0, Err(Denied::Isolated));
    assert_eq!(obey(&mut gate.link, &recover(&mut gateway)).0, Some(second));
}

/// An image with a region less than the device has, or with other code, affirms nothing. Then no region is named, and all are restored.
#[test]
fn other_reference_values_affirm_nothing() {
    let dir = example();
    let (mut gateway, _, mut gate, genuine) = start(dir.path(), 1);
    let mut fewer = Regions(genuine.0.clone());
    fewer.0.pop_last();
    let (_, challenge) = obey(&mut gate.link, &examine(&mut gateway).1);
    gateway.handle([fewer.evidence(&fewer, &mut gate.link, challenge)]).unwrap();
    assert!(is_isolated(&mut gateway, GATE));
    let (restored, challenge) = obey(&mut gate.link, &recover(&mut gateway));
    assert_eq!(restored, Some(0));
    gateway.handle([genuine.evidence(&genuine, &mut gate.link, challenge)]).unwrap();
    assert!(!is_isolated(&mut gateway, GATE));
}

/// A device says by itself what it has found at its start. Only altered code has consequences, and none that hinder a recovery.
#[test]
fn what_is_found_at_a_start_isolates() {
    let dir = example();
    let (mut gateway, city, mut gate, genuine) = start(dir.path(), 1);
    let refused =
        |gateway: &mut Engine| ask(gateway, Input::Status).0["refused"]["not_asked"].as_u64().unwrap_or(0);
    // Nobody asked for that everything is as it was built.
    gateway.handle([genuine.evidence(&genuine, &mut gate.link, Challenge::of_start(Epoch(1)))]).unwrap();
    assert_eq!((refused(&mut gateway), is_isolated(&mut gateway, GATE)), (1, false));
    let mut altered = Regions(genuine.0.clone());
    altered.0.get_mut(&1).unwrap()[3] ^= 4;
    // Of another epoch than the frame's.
    gateway.handle([altered.evidence(&genuine, &mut gate.link, Challenge::of_start(Epoch(2)))]).unwrap();
    assert_eq!((refused(&mut gateway), is_isolated(&mut gateway, GATE)), (2, false));
    gateway.handle([altered.evidence(&genuine, &mut gate.link, Challenge::of_start(Epoch(1)))]).unwrap();
    assert_eq!((refused(&mut gateway), is_isolated(&mut gateway, GATE)), (2, true));

    // While it is being restored it starts again, and says the same; the recovery goes on.
    recover(&mut gateway);
    let mut gate = TestDevice::new(GATE, 2, dir.path());
    let report = altered.evidence(&genuine, &mut gate.link, Challenge::of_start(Epoch(2)));
    let outputs = gateway.handle([report]).unwrap();
    let (restored, challenge) = obey(&mut gate.link, &outputs);
    assert_eq!((restored, refused(&mut gateway)), (Some(1), 3));
    gateway.handle([genuine.evidence(&genuine, &mut gate.link, challenge)]).unwrap();
    // Evidence of all is none of the one that was restored.
    assert!(is_isolated(&mut gateway, GATE));
    assert_eq!(gateway.handle([gate.reading(1, &city, b"2")]).unwrap(), []);
}
