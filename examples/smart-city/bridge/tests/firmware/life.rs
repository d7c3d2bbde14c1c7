//! What a device does all day, and when its code is altered.

use smart_city_frame::{ALL_REGIONS, Challenge, Epoch, Header, Instruction, Receipt, Verdict};
use smart_city_interface::memory::CODE;

use crate::device::{Device, Made, NEW, STREET, stream};

const LAMP_ON: u16 = 1;
const LAMP_OFF: u16 = 2;
const LAMP_DIM: u16 = 3;
const CROSSING_WALK: u16 = 4;
const CROSSING_STOP: u16 = 5;
const SET_INTERVAL: u16 = 6;

#[test]
fn a_day_in_the_street() {
    lives(Device::street());
}

/// Another of Arm's boards, with two cores, of which the firmware uses the first.
#[test]
fn a_day_on_another_board() {
    let mut made = Made::new("street", &STREET, NEW);
    made.image.machine = "mps2-an521";
    lives(made.start(&[]));
}

fn lives(mut device: Device) {
    assert_eq!(device.link.epoch(), Epoch(1));
    let (first, counter) = device.reading();
    assert_eq!((first.len(), counter), (6, [0, 0, 0]));

    // Each function runs, and what it did is in the readings.
    let brightness = |percent: u8| move |reading: &[u8]| reading[4] == percent;
    let is_walking = |walks: u8| move |reading: &[u8]| reading[5] == walks;
    let runs = |device: &mut Device, region, argument: &[u8]| {
        let (evidence, is_as_built) = device.instruct(region, argument);
        assert_eq!((evidence.verdict, evidence.region, is_as_built), (Verdict::Intact, region, true));
    };
    runs(&mut device, SET_INTERVAL, &[0, 1]);
    runs(&mut device, LAMP_ON, &[]);
    device.wait_for("the lamp is on", brightness(100));
    runs(&mut device, LAMP_DIM, &[35]);
    device.wait_for("the lamp is dimmed", brightness(35));
    // No argument that it knows.
    runs(&mut device, LAMP_DIM, &[101]);
    runs(&mut device, CROSSING_WALK, b"with an argument that it does not look at");
    device.wait_for("people walk", is_walking(1));
    device.wait_for("the lamp is as it was", brightness(35));
    runs(&mut device, CROSSING_STOP, &[]);
    device.wait_for("people stop", is_walking(0));
    runs(&mut device, LAMP_OFF, &[]);
    device.wait_for("the lamp is off", brightness(0));

    // A function that there is not.
    let (frame, _) = device.seal(7, &[]);
    device.board.send(&frame).unwrap();
    let evidence = loop {
        let mut frame = device.next_evidence();
        if let Some(evidence) = device.take_evidence(&mut frame) {
            break evidence;
        }
    };
    assert_eq!((evidence.verdict, evidence.region), (Verdict::Unknown, 7));

    device.request_epoch();
    assert_eq!(device.link.epoch(), Epoch(2));
    runs(&mut device, LAMP_ON, &[]);
    device.wait_for("the lamp is on again", brightness(100));
}

/// A reading is sent again until its receipt, and no more after it.
#[test]
fn receipts_end_the_sending() {
    let mut device = Device::street();
    let (_, mut first) = device.next();
    let sent = first.clone();
    let (_, counter) = device.open_reading(&mut first);
    // Nobody acknowledges it: the same bytes come again.
    while device.next().1 != sent {}
    let mut receipt = Receipt::new(counter);
    device.send_receipt(&receipt);
    // From here on all have a receipt at once: each comes a single time. What was sent before the device got the receipt is passed over.
    let mut seen = Vec::new();
    for i in 0..60 {
        let (_, mut frame) = device.next();
        assert!(i < 40 || !seen.contains(&frame), "a frame with a receipt came again");
        seen.push(frame.clone());
        if let Ok(opened) =
            device.link.open_reading(NEW.id, stream(), &mut frame).map(|opened| opened.counter)
        {
            receipt.add(opened);
        }
        device.send_receipt(&receipt);
    }
}

/// Evidence is made once and so is kept: the same frame comes until its receipt, and no more after it.
#[test]
fn lost_evidence_comes_again() {
    let mut device = Device::street();
    let region = device.made.region(LAMP_ON);
    device.board.debug().unwrap().flip(region.address).unwrap();
    let (frame, challenge) = device.seal(LAMP_ON, &[]);
    device.board.send(&frame).unwrap();
    let lost = device.next_evidence();
    // All that the gateway can do is to send the same frame again, which is refused.
    device.board.send(&frame).unwrap();
    let mut again = device.next_evidence();
    assert_eq!(again, lost);
    let (evidence, is_as_built) = device.evidence(&mut again, &challenge, LAMP_ON);
    assert_eq!((evidence.verdict, is_as_built), (Verdict::Altered, false));
    device.send_receipt(&Receipt::new(Header::parse(&lost).unwrap().counter));
    // Ten seconds of readings: one repetition may have been on its way.
    let mut repeated = 0;
    let mut readings = 0;
    while readings < 20 {
        let (id, mut frame) = device.next();
        if id == 0 {
            repeated += 1;
        } else {
            readings += usize::from(device.take(&mut frame).is_some());
        }
    }
    assert!(repeated <= 1, "evidence with a receipt came {repeated} times");
}

/// A reading whose frame is too far behind for a receipt comes again in another frame.
#[test]
fn what_gets_no_receipt_is_sealed_again() {
    let mut device = Device::street();
    let (lost, counter) = device.reading();
    assert_eq!(counter, [0; 3]);
    device.instruct(SET_INTERVAL, &[0, 1]);
    for _ in 0..300 {
        let (_, mut frame) = device.next();
        // The first frame comes again and again, and is not opened a second time.
        let Ok(opened) = device.link.open_reading(NEW.id, stream(), &mut frame) else { continue };
        if opened.content == lost {
            assert!(opened.counter >= [0, 0, 64]);
            return;
        }
        let receipt = Receipt::new(opened.counter);
        device.send_receipt(&receipt);
    }
    panic!("the reading did not come again");
}

#[test]
fn altered_code_does_not_run_until_it_is_restored() {
    let mut device = Device::street();
    device.instruct(SET_INTERVAL, &[0, 1]);
    let region = device.made.region(LAMP_ON);
    // The first byte, the last one, and each in between.
    for byte in [0, region.len - 1].into_iter().chain(1..region.len - 1) {
        device.board.debug().unwrap().flip(region.address + byte).unwrap();
        let (evidence, is_as_built) = device.instruct(LAMP_ON, &[]);
        assert_eq!((evidence.verdict, is_as_built), (Verdict::Altered, false), "byte {byte}");
        // It did not run.
        device.wait_for("the lamp is off", |reading| {
            assert_eq!(reading[4], 0);
            true
        });
        // Others do.
        let (evidence, is_as_built) = device.instruct(LAMP_OFF, &[]);
        assert_eq!((evidence.verdict, is_as_built), (Verdict::Intact, true));
        device.board.debug().unwrap().flip(region.address + byte).unwrap();
    }

    device.board.debug().unwrap().flip(region.address).unwrap();
    assert_eq!(device.instruct(LAMP_ON, &[]).0.verdict, Verdict::Altered);
    let (evidence, is_as_built) = device.instruct(0, &LAMP_ON.to_be_bytes());
    assert_eq!((evidence.verdict, evidence.region, is_as_built), (Verdict::Intact, LAMP_ON, true));
    assert_eq!(device.board.console("region 1: Intact").unwrap(), "region 1: Intact, Restored");
    let code = device.board.debug().unwrap().read(region.address, region.len).unwrap();
    assert_eq!(code, device.made.code(LAMP_ON));
    // To restore a function does not run it.
    device.wait_for("the lamp is off", |reading| {
        assert_eq!(reading[4], 0);
        true
    });
    device.request_epoch();
    assert_eq!(device.instruct(LAMP_ON, &[]).0.verdict, Verdict::Intact);
    device.wait_for("the lamp is on", |reading| reading[4] == 100);
}

/// Code that was altered while the device had no power is found at its start.
#[test]
fn altered_code_is_found_at_the_start() {
    let mut device = Device::altered("street", &STREET, CROSSING_WALK);
    let region = device.made.region(CROSSING_WALK);
    let mut altered = device.made.code(CROSSING_WALK).to_vec();
    *altered.last_mut().unwrap() ^= 0x80;
    assert_eq!(device.board.console_so_far(), "");
    // The gateway hears of it without having asked, and in the next epoch again.
    for epoch in [1, 2] {
        let challenge = Challenge::of_start(Epoch(epoch));
        let mut frame = device.next_evidence();
        while Header::parse(&frame).unwrap().epoch != Epoch(epoch) {
            frame = device.next_evidence();
        }
        let (evidence, is_as_built) = device.evidence(&mut frame, &challenge, CROSSING_WALK);
        let found = (evidence.epoch, evidence.counter, evidence.region, evidence.verdict);
        assert_eq!(found, (Epoch(epoch), challenge.counter(), CROSSING_WALK, Verdict::Altered));
        assert!(!is_as_built);
        assert!(device.shows_code(&evidence, &challenge, CROSSING_WALK, &altered));
        if epoch == 1 {
            device.end_epoch();
        }
    }
    assert_eq!(device.instruct(CROSSING_WALK, &[]).0.verdict, Verdict::Altered);
    assert_eq!(device.instruct(0, &CROSSING_WALK.to_be_bytes()).0.verdict, Verdict::Intact);
    assert_eq!(device.instruct(CROSSING_WALK, &[]).0.verdict, Verdict::Intact);
    assert!(CODE.has(region.address, region.len));
    // Nothing is said any more: the next epoch begins with a reading.
    device.request_epoch();
}

/// Evidence of the start that has no receipt comes again after that of an instruction.
#[test]
fn start_evidence_is_kept_beside_that_of_an_instruction() {
    Device::altered("street", &STREET, CROSSING_WALK).keeps_start_evidence(CROSSING_WALK);
}

/// A challenge to measure all regions starts none of them, and names the first that is altered; and all are restored at once.
#[test]
fn all_regions_are_measured_on_a_challenge() {
    let mut device = Device::street();
    let (evidence, is_as_built) = device.examine_all(&Instruction::EXAMINE_ALL);
    assert_eq!((evidence.region, evidence.verdict, is_as_built), (ALL_REGIONS, Verdict::Intact, true));
    assert_eq!(device.board.console("region").unwrap(), "region 0: Intact, Examined");
    for id in [SET_INTERVAL, LAMP_OFF] {
        let region = device.made.region(id);
        device.board.debug().unwrap().flip(region.address + region.len - 1).unwrap();
        let (evidence, is_as_built) = device.examine_all(&Instruction::EXAMINE_ALL);
        assert_eq!((evidence.region, evidence.verdict, is_as_built), (id, Verdict::Altered, false));
    }
    // Others still run, and these do not.
    assert_eq!(device.instruct(LAMP_ON, &[]).0.verdict, Verdict::Intact);
    assert_eq!(device.instruct(LAMP_OFF, &[]).0.verdict, Verdict::Altered);
    let (evidence, is_as_built) = device.examine_all(&Instruction::restore(&[0, 0]));
    assert_eq!((evidence.region, evidence.verdict, is_as_built), (ALL_REGIONS, Verdict::Intact, true));
    device.board.console("region 0: Intact, Restored").unwrap();
    let (evidence, _) = device.examine_all(&Instruction::restore(&[0, 0]));
    assert_eq!(evidence.verdict, Verdict::Intact);
    device.board.console("region 0: Intact, NotAltered").unwrap();
    assert_eq!(device.instruct(LAMP_OFF, &[]).0.verdict, Verdict::Intact);
}

/// The application has a table of its functions, which the secure world does not look at.
#[test]
fn a_table_in_the_application_does_not_matter() {
    let mut device = Device::street();
    let table = device.made.symbol("FUNCTIONS");
    let other = device.made.region(CROSSING_WALK).address | 1;
    device.board.debug().unwrap().write(table, &other.to_le_bytes().repeat(6)).unwrap();
    assert_eq!(device.instruct(LAMP_ON, &[]).0.verdict, Verdict::Intact);
    device.wait_for("the lamp is on", |reading| {
        assert_eq!(reading[5], 0);
        reading[4] == 100
    });
}
