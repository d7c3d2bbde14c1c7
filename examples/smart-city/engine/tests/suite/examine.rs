//! Challenges to measure all regions of a device, and what a device finds at its start.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use smart_city_engine::{
    audit::{Audit, lines_after},
    config::City,
    engine::{Denied, Engine, Input, Output},
};
use smart_city_frame::{ALL_REGIONS, Challenge, DeviceLink, Epoch, Instruction, Kind};

use crate::common::{
    Code, GATE, TestDevice, ask, code, engine, evidence, example, files, is_isolated, kind, message, root,
};

/// All code of a device.
struct Regions(Code);

impl Regions {
    /// Evidence of all, sealed.
    fn evidence(&self, genuine: &Self, link: &mut DeviceLink, challenge: Challenge) -> Input {
        self.evidence_of(ALL_REGIONS, genuine, link, challenge)
    }

    fn evidence_of(&self, region: u16, genuine: &Self, link: &mut DeviceLink, challenge: Challenge) -> Input {
        let evidence = evidence(&root(GATE).attest_key(GATE), challenge, region, &self.0, &genuine.0);
        let mut buffer = [0; 64];
        message(format!("up/{GATE}/evidence"), link.seal_evidence(&evidence, &mut buffer).unwrap())
    }
}

/// How the gateway sees the device, and whether it is isolated.
fn state(engine: &mut Engine) -> (String, bool) {
    let status = &ask(engine, Input::Status).0["devices"][0];
    (status["state"].as_str().unwrap().to_owned(), status["isolated"].as_bool().unwrap())
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
    let regions = Regions(code(dir));
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
    assert_eq!(obey(&mut gate.link, &recover(&mut gateway)).0, Some(ALL_REGIONS));
}

/// Evidence names one altered region, and there may be more: a recovery restores all, and ends by evidence of all alone.
#[test]
fn a_recovery_is_of_all_regions() {
    let dir = example();
    let (mut gateway, city, mut gate, genuine) = start(dir.path(), 1);
    let mut altered = Regions(genuine.0.clone());
    for code in altered.0.values_mut() {
        code[0] ^= 1;
    }
    let (_, challenge) = obey(&mut gate.link, &examine(&mut gateway).1);
    gateway.handle([altered.evidence(&genuine, &mut gate.link, challenge)]).unwrap();
    assert_eq!(state(&mut gateway), ("contraindicated".to_owned(), true));

    let (restored, challenge) = obey(&mut gate.link, &recover(&mut gateway));
    assert_eq!(restored, Some(ALL_REGIONS));
    let first = *genuine.0.keys().next().unwrap();
    altered.0.insert(first, genuine.0[&first].clone());
    gateway.handle([altered.evidence(&genuine, &mut gate.link, challenge)]).unwrap();
    assert_eq!(state(&mut gateway), ("contraindicated".to_owned(), true));

    // Nor does evidence of the one region that was named.
    let (_, challenge) = obey(&mut gate.link, &recover(&mut gateway));
    gateway.handle([genuine.evidence_of(first, &genuine, &mut gate.link, challenge)]).unwrap();
    assert_eq!(state(&mut gateway), ("contraindicated".to_owned(), true));

    let (_, challenge) = obey(&mut gate.link, &recover(&mut gateway));
    gateway.handle([genuine.evidence(&genuine, &mut gate.link, challenge)]).unwrap();
    assert_eq!(state(&mut gateway), ("affirming".to_owned(), false));
    let mut gate = TestDevice::new(GATE, 2, dir.path());
    assert_eq!(gateway.handle([gate.reading(1, &city, b"2")]).unwrap().len(), 4);
}

/// An image that has lost what was asked for affirms nothing, although a device without that code measures the same: nothing.
#[test]
fn regions_that_are_gone_affirm_nothing() {
    for asked in [1, ALL_REGIONS] {
        let dir = example();
        let (mut gateway, city, mut gate, _) = start(dir.path(), 1);
        let (sent, outputs) = if asked == ALL_REGIONS {
            examine(&mut gateway)
        } else {
            let (argument, operator) = (b"on".to_vec(), "kana".to_owned());
            let instruct = |reply| Input::Instruct { device: GATE, region: asked, argument, operator, reply };
            ask(&mut gateway, instruct)
        };
        assert_eq!(sent, Ok(()));
        let (_, challenge) = obey(&mut gate.link, &outputs);
        let mut fewer = city.clone();
        let image = fewer.images.get_mut(&city.devices[&GATE].image).unwrap();
        image.retain(|id, _| asked != ALL_REGIONS && *id != asked);
        gateway.handle([Input::Reload(Ok(Box::new((fewer, files(dir.path()).1))))]).unwrap();
        let none = Regions(Code::new());
        gateway.handle([none.evidence_of(asked, &none, &mut gate.link, challenge)]).unwrap();
        assert_eq!(state(&mut gateway), ("contraindicated".to_owned(), true), "{asked}");
    }
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
    // What was asked for before is not asked for again, and its evidence says nothing any more.
    let (_, challenge) = obey(&mut gate.link, &examine(&mut gateway).1);
    gateway.handle([altered.evidence(&genuine, &mut gate.link, Challenge::of_start(Epoch(1)))]).unwrap();
    assert_eq!((refused(&mut gateway), is_isolated(&mut gateway, GATE)), (1, true));
    let result = ask(&mut gateway, |reply| Input::Attestation(GATE, reply)).0;
    let late = Instant::now() + Duration::from_secs(10);
    assert_eq!(gateway.handle_at([Input::Tick], late).unwrap(), []);
    gateway.handle([genuine.evidence(&genuine, &mut gate.link, challenge)]).unwrap();
    assert_eq!((refused(&mut gateway), state(&mut gateway)), (2, ("contraindicated".to_owned(), true)));
    assert_eq!(ask(&mut gateway, |reply| Input::Attestation(GATE, reply)).0, result);

    // While it is being restored it starts again, and says the same; the recovery goes on.
    recover(&mut gateway);
    let mut gate = TestDevice::new(GATE, 2, dir.path());
    let report = altered.evidence(&genuine, &mut gate.link, Challenge::of_start(Epoch(2)));
    let outputs = gateway.handle([report]).unwrap();
    let (restored, challenge) = obey(&mut gate.link, &outputs);
    assert_eq!((restored, refused(&mut gateway)), (Some(ALL_REGIONS), 3));
    // Evidence that does not come in time makes nothing better.
    gateway.handle_at([Input::Tick], late).unwrap();
    assert_eq!(state(&mut gateway), ("contraindicated".to_owned(), true));
    assert_eq!(ask(&mut gateway, |reply| Input::Attestation(GATE, reply)).0, result);
    gateway.handle([genuine.evidence(&genuine, &mut gate.link, challenge)]).unwrap();
    assert_eq!(state(&mut gateway), ("affirming".to_owned(), false));
    assert_eq!(gateway.handle([gate.reading(1, &city, b"2")]).unwrap(), []);
}

/// The records of evidence that nobody has asked for: which region, and what it shows.
fn unasked(dir: &Path) -> Vec<(u64, String)> {
    let lines = lines_after(&Audit::path(dir), 0, 1000).unwrap();
    let unasked = lines.into_iter().filter(|line| line["event"] == "unasked").map(|line| {
        let detail = &line["detail"];
        (detail["region"].as_u64().unwrap(), detail["finding"].as_str().unwrap().to_owned())
    });
    unasked.collect()
}

/// Evidence of altered code isolates, and any other is recorded, although the gateway has started since it asked, has asked for something else,
/// or has never asked. What is of the time before a recovery isolates nobody again.
#[test]
fn evidence_whose_challenge_is_gone_is_not_lost() {
    const AS_BUILT: &str = "the code is as it was built, but the evidence came late";
    let has_receipt =
        |outputs: &[Output]| outputs.iter().any(|output| kind(&output.payload) == Kind::Receipt);
    for (restarts, is_altered, of_all) in [
        (false, false, false),
        (false, true, true),
        (true, false, true),
        (true, true, false),
        (true, true, true),
    ] {
        let dir = example();
        let (mut gateway, city, mut gate, genuine) = start(dir.path(), 1);
        let mut code = Regions(genuine.0.clone());
        code.0.get_mut(&2).unwrap()[3] ^= if is_altered { 4 } else { 0 };
        let asked = if of_all { ALL_REGIONS } else { 2 };
        let (_, challenge) = obey(&mut gate.link, &examine(&mut gateway).1);
        let mut late = Instant::now();
        if restarts {
            drop(gateway);
            gateway = engine(dir.path()).0;
            gate = TestDevice::new(GATE, 2, dir.path());
        } else {
            while examine(&mut gateway).0 == Err(Denied::Busy) {
                late += Duration::from_secs(10);
                gateway.handle_at([Input::Tick], late).unwrap();
            }
        }
        let evidence = code.evidence_of(asked, &genuine, &mut gate.link, challenge);
        let outputs = gateway.handle([evidence]).unwrap();
        assert!(has_receipt(&outputs));
        assert_eq!(is_isolated(&mut gateway, GATE), is_altered, "restarts: {restarts}");
        let expected = if is_altered { vec![] } else { vec![(u64::from(asked), AS_BUILT.to_owned())] };
        assert_eq!(unasked(dir.path()), expected);
        // It is worth no more than before.
        assert_ne!(state(&mut gateway).0, "affirming");
        let heard = gateway.handle([gate.reading(1, &city, b"2")]).unwrap();
        assert_eq!(heard.is_empty(), is_altered);
    }
}

#[test]
fn evidence_of_before_a_recovery_isolates_nobody() {
    let dir = example();
    let (mut gateway, city, mut gate, genuine) = start(dir.path(), 1);
    let mut altered = Regions(genuine.0.clone());
    altered.0.get_mut(&2).unwrap()[3] ^= 4;
    // The first of them is on its way for long.
    let (_, first) = obey(&mut gate.link, &examine(&mut gateway).1);
    let mut late = Instant::now();
    let (_, second) = loop {
        late += Duration::from_secs(10);
        gateway.handle_at([Input::Tick], late).unwrap();
        if let (Ok(()), outputs) = examine(&mut gateway) {
            break obey(&mut gate.link, &outputs);
        }
    };
    gateway.handle([altered.evidence(&genuine, &mut gate.link, second)]).unwrap();
    let (_, challenge) = obey(&mut gate.link, &recover(&mut gateway));
    gateway.handle([genuine.evidence(&genuine, &mut gate.link, challenge)]).unwrap();
    assert!(!is_isolated(&mut gateway, GATE));
    let mut gate = TestDevice::new(GATE, 2, dir.path());
    gateway.handle([gate.reading(1, &city, b"2")]).unwrap();
    gateway.handle([altered.evidence(&genuine, &mut gate.link, first)]).unwrap();
    assert!(!is_isolated(&mut gateway, GATE));
    assert_eq!(unasked(dir.path()), [(2, "the code is not what was built".to_owned())]);
    drop(gateway);
    let (mut gateway, _, mut gate, _) = start(dir.path(), 3);
    gateway.handle([altered.evidence(&genuine, &mut gate.link, Challenge::of_start(Epoch(1)))]).unwrap();
    assert!(!is_isolated(&mut gateway, GATE), "after a restart");
    // What is found in the new epoch is of now.
    gateway.handle([altered.evidence(&genuine, &mut gate.link, Challenge::of_start(Epoch(2)))]).unwrap();
    assert!(is_isolated(&mut gateway, GATE));
}

/// A device can not fill the disk with what changes nothing: it is counted, and only the first few have records.
#[test]
fn evidence_that_changes_nothing_has_few_records() {
    let dir = example();
    let (mut gateway, _, mut gate, genuine) = start(dir.path(), 1);
    for _ in 0..100 {
        gateway.handle([genuine.evidence(&genuine, &mut gate.link, Challenge::of_start(Epoch(1)))]).unwrap();
    }
    assert_eq!(unasked(dir.path()).len(), 4);
    assert_eq!(ask(&mut gateway, Input::Status).0["refused"]["not_asked"], 100);
}
