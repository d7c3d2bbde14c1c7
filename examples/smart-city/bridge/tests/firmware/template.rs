//! The templates of an application, in Rust and in C: both do the same.

use smart_city_frame::{ALL_REGIONS, Epoch, Instruction, Receipt, Verdict};

use crate::device::{Device, Made, NEW, stream};

const SET_LEVEL: u16 = 1;

#[test]
fn the_template_in_rust() {
    lives("template");
}

#[test]
fn the_template_in_c() {
    lives("template-c");
}

/// A reading whose frame is too far behind for a receipt comes again in another frame.
#[test]
fn what_gets_no_receipt_is_sealed_again_by_templates() {
    for application in ["template", "template-c"] {
        let mut device = Made::new(application, &["set_level"], NEW).start(&[]);
        let (lost, counter) = device.reading();
        assert_eq!(counter, [0; 3]);
        device.send_receipt(&Receipt::new([0, 0, 64]));
        let is_again = (0..10).any(|_| {
            let (_, mut frame) = device.next();
            let opened = device.link.open_reading(NEW.id, stream(), &mut frame);
            opened.is_ok_and(|opened| opened.content == lost && opened.counter == [0, 0, 1])
        });
        assert!(is_again, "{application}: the reading did not come again");
    }
}

/// Evidence of the start that has no receipt comes again after that of an instruction.
#[test]
fn start_evidence_is_kept_by_templates() {
    for application in ["template", "template-c"] {
        Device::altered(application, &["set_level"], SET_LEVEL).keeps_start_evidence(SET_LEVEL);
    }
}

fn lives(application: &'static str) {
    let mut device = Made::new(application, &["set_level"], NEW).start(&[]);
    // Without a receipt the same frame comes again.
    let (id, first) = device.next();
    assert_eq!((id, &device.next()), (1, &(1, first.clone())));
    assert_eq!(device.open_reading(&mut first.clone()), (vec![0; 5], [0; 3]));
    device.send_receipt(&Receipt::new([0; 3]));
    device.wait_for("the next one", |reading| {
        assert_eq!(reading, [0, 0, 0, 1, 0]);
        true
    });

    let (evidence, is_as_built) = device.instruct(SET_LEVEL, &[7]);
    assert_eq!((evidence.verdict, is_as_built), (Verdict::Intact, true));
    device.wait_for("the level", |reading| reading[4] == 7);
    // An argument that it does not know.
    assert_eq!(device.instruct(SET_LEVEL, &[1, 2]).0.verdict, Verdict::Intact);

    let region = device.made.region(SET_LEVEL);
    device.board.debug().unwrap().flip(region.address + region.len - 1).unwrap();
    let (evidence, is_as_built) = device.instruct(SET_LEVEL, &[8]);
    assert_eq!((evidence.verdict, is_as_built), (Verdict::Altered, false));
    device.wait_for("the level as before", |reading| reading[4] == 7);
    let (evidence, _) = device.examine_all(&Instruction::EXAMINE_ALL);
    assert_eq!((evidence.region, evidence.verdict), (SET_LEVEL, Verdict::Altered));
    let (evidence, is_as_built) = device.instruct(ALL_REGIONS, &SET_LEVEL.to_be_bytes());
    assert_eq!((evidence.verdict, is_as_built), (Verdict::Intact, true));

    device.request_epoch();
    assert_eq!(device.link.epoch(), Epoch(2));
    device.send_receipt(&Receipt::new([0; 3]));
    assert_eq!(device.instruct(SET_LEVEL, &[9]).0.verdict, Verdict::Intact);
    device.wait_for("the level", |reading| reading[4] == 9);
}
