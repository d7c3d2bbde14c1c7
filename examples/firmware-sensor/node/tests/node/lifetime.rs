//! A key lasts as long as is computed.

use embassy_futures::block_on;
use fastrand::Rng;
use sensor_node::{
    Ciphers, INSTRUCTIONS, NodeError, STEP_DOWN, STEP_UP,
    frame::{BLOCKS, Instruction},
};
use sensor_station::Witness;
use twine_otr_aead::{OpenError, SealError};

use crate::world::{Chip, keys, obey, send, start};

const LIMIT: u32 = 1 << 13;

const USED_UP: NodeError = NodeError::Seal(SealError::LimitReached);

fn new(seed: u64) -> (Chip, Witness) {
    let keys = keys(&mut Rng::with_seed(seed), LIMIT);
    (Chip::provisioned(&keys), Witness::new(keys))
}

#[test]
fn for_all_its_blocks_without_a_restart() {
    let (chip, mut station) = new(1);
    let (mut flash, mut ciphers) = (chip.flash(), Ciphers::new());
    let mut node = start(&mut flash, &mut ciphers).unwrap();
    let reports = (0..).take_while(|_| send(&mut node, &mut station).is_ok()).count();
    assert_eq!(u32::try_from(reports).unwrap(), LIMIT / BLOCKS);
    assert_eq!(send(&mut node, &mut station), Err(USED_UP));
    // It still obeys.
    let frame = station.instruct(Instruction::Forget);
    assert_eq!(obey(&mut node, &mut station, &frame), Ok(Instruction::Forget));
}

#[test]
fn for_four_instructions_in_fifteen_blocks_without_a_restart() {
    let (chip, mut station) = new(9);
    let (mut flash, mut ciphers) = (chip.flash(), Ciphers::new());
    let mut node = start(&mut flash, &mut ciphers).unwrap();
    let mut obeyed = 0;
    let error = loop {
        let frame = station.instruct(Instruction::On);
        match obey(&mut node, &mut station, &frame) {
            Ok(_) => obeyed += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error, NodeError::Open(OpenError::LimitReached));
    // One of four is opened twice.
    assert_eq!(obeyed, LIMIT / (BLOCKS * (INSTRUCTIONS + 1)) * INSTRUCTIONS);
}

#[test]
fn for_a_start_each_step_without_a_stop() {
    let (chip, mut station) = new(2);
    let mut starts = 0;
    loop {
        let (mut flash, mut ciphers) = (chip.flash(), Ciphers::new());
        let mut node = start(&mut flash, &mut ciphers).unwrap();
        match send(&mut node, &mut station) {
            Ok(_) => starts += 1,
            Err(error) => {
                assert_eq!(error, USED_UP);
                break;
            }
        }
    }
    assert_eq!(starts, LIMIT / STEP_UP);
}

#[test]
fn for_as_many_starts_in_the_other_direction() {
    let (chip, mut station) = new(3);
    let mut starts = 0;
    loop {
        let (mut flash, mut ciphers) = (chip.flash(), Ciphers::new());
        let mut node = start(&mut flash, &mut ciphers).unwrap();
        // Those that may have been opened before are refused.
        let opened = loop {
            let frame = station.instruct(Instruction::On);
            match obey(&mut node, &mut station, &frame) {
                Err(NodeError::Open(OpenError::Replayed | OpenError::TooOld)) => {}
                opened => break opened,
            }
        };
        match opened {
            Ok(_) => starts += 1,
            Err(error) => {
                assert_eq!(error, NodeError::Open(OpenError::TooManyFailures));
                break;
            }
        }
    }
    assert_eq!(starts, LIMIT / STEP_DOWN);
}

#[test]
fn as_if_it_had_not_stopped_if_it_stops_in_order() {
    let (chip, mut station) = new(4);
    let mut reports = 0;
    'life: loop {
        let (mut flash, mut ciphers) = (chip.flash(), Ciphers::new());
        let mut node = start(&mut flash, &mut ciphers).unwrap();
        for _ in 0..7 {
            if send(&mut node, &mut station).is_err() {
                break 'life;
            }
            reports += 1;
        }
        let frame = station.instruct(Instruction::Stop);
        obey(&mut node, &mut station, &frame).unwrap();
        block_on(node.stop()).unwrap();
        assert_eq!(send(&mut node, &mut station), Err(USED_UP), "a node that has stopped seals");
    }
    assert_eq!(reports, LIMIT / BLOCKS);
}

#[test]
fn starts_without_instructions_cost_none() {
    let (chip, mut station) = new(5);
    for _ in 0..20 {
        let (mut flash, mut ciphers) = (chip.flash(), Ciphers::new());
        let mut node = start(&mut flash, &mut ciphers).unwrap();
        send(&mut node, &mut station).unwrap();
    }
    let (mut flash, mut ciphers) = (chip.flash(), Ciphers::new());
    let mut node = start(&mut flash, &mut ciphers).unwrap();
    let frame = station.instruct(Instruction::On);
    assert_eq!(obey(&mut node, &mut station, &frame), Ok(Instruction::On));
}

#[test]
fn after_a_loss_of_power_no_more_instructions_are_refused_than_were_reserved() {
    let (chip, mut station) = new(6);
    for _ in 0..20 {
        let (mut flash, mut ciphers) = (chip.flash(), Ciphers::new());
        let mut node = start(&mut flash, &mut ciphers).unwrap();
        let refused = (0..).take_while(|_| {
            let frame = station.instruct(Instruction::On);
            obey(&mut node, &mut station, &frame).is_err()
        });
        assert!(refused.count() < INSTRUCTIONS as usize);
    }
}

#[test]
fn a_frame_that_comes_again_at_each_start_refuses_no_instructions() {
    let (chip, mut station) = new(7);
    let old = station.instruct(Instruction::On);
    let mut forged = station.instruct(Instruction::Off);
    forged[7] ^= 1;
    let (mut flash, mut ciphers) = (chip.flash(), Ciphers::new());
    let mut node = start(&mut flash, &mut ciphers).unwrap();
    assert_eq!(obey(&mut node, &mut station, &old), Ok(Instruction::On));
    drop(node);
    for frame in [old, forged] {
        for _ in 0..20 {
            let mut node = start(&mut flash, &mut ciphers).unwrap();
            assert!(obey(&mut node, &mut station, &frame).is_err());
        }
    }
    let mut node = start(&mut flash, &mut ciphers).unwrap();
    let refused = (0..).take_while(|_| {
        let frame = station.instruct(Instruction::On);
        obey(&mut node, &mut station, &frame).is_err()
    });
    assert!(refused.count() < INSTRUCTIONS as usize);
}
