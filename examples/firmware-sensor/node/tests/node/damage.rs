//! What is stored is damaged, full, of another key, or cannot be written.

use embassy_futures::block_on;
use fastrand::Rng;
use sensor_node::{
    Ciphers, FlashFailed, NodeError, STEP_UP,
    frame::{BLOCKS, Instruction, Keys, Notice},
};
use sensor_station::Witness;
use sequential_storage::{
    Error,
    cache::Cache,
    map::{MapConfig, MapStorage},
};
use twine_otr_aead::OpenError;

use crate::world::{Chip, MAP, START_ADDRESS, Sim, blank, keys, obey, send, start, start_with};

fn new(seed: u64) -> (Chip, Witness) {
    let keys = keys(&mut Rng::with_seed(seed), 1 << 20);
    (Chip::provisioned(&keys), Witness::new(keys))
}

/// Runs a node that has keys until its power is lost.
fn live(chip: &Chip, station: &mut Witness, reports: usize) {
    let (mut flash, mut ciphers) = (chip.flash(), Ciphers::new());
    let mut node = start(&mut flash, &mut ciphers).unwrap();
    for _ in 0..reports {
        send(&mut node, station).unwrap();
    }
}

/// Stores an item of somebody else's in one of the maps.
pub(crate) fn store(
    flash: &mut Sim,
    map: usize,
    item: u8,
    value: &[u8],
) -> Result<(), Error<impl Sized + use<>>> {
    let size = u32::try_from(MAP).unwrap();
    let start = START_ADDRESS + u32::try_from(map).unwrap() * size;
    let mut storage =
        MapStorage::<u8, _, _>::new(flash, MapConfig::new(start..start + size), Cache::new_uncached());
    block_on(storage.store_item::<&[u8]>(&mut [0; 96], &item, &value))
}

fn fill(chip: &Chip, map: usize) {
    let mut flash = chip.flash();
    let full = (10..).find_map(|item| store(&mut flash, map, item, &[0x55; 40]).err());
    assert!(matches!(full, Some(Error::FullStorage)));
}

#[test]
fn each_word_of_a_copy() {
    for map in 0..2 {
        for word in 0..MAP / 4 {
            let (chip, mut station) = new(1);
            live(&chip, &mut station, 100);
            chip.damage(map, |words| words[word] ^= 0x0101_0101);
            live(&chip, &mut station, 100);
            chip.damage(1 - map, |words| words.fill(0xDEAD_BEEF));
            live(&chip, &mut station, 1);
        }
    }
}

#[test]
fn both_copies() {
    for damage in [0, 0x5555_5555] {
        let (chip, _) = new(2);
        chip.damage(0, |words| words.fill(damage));
        chip.damage(1, |words| words.fill(damage));
        let (mut flash, mut ciphers) = (chip.flash(), Ciphers::new());
        let new = keys(&mut Rng::with_seed(3), 1 << 20);
        let mut node = start_with(&mut flash, &mut ciphers, &new, &[Notice::NoKeys]);
        send(&mut node, &mut Witness::new(new)).unwrap();
    }
}

#[test]
fn both_states_of_a_key() {
    for item in [1, 2] {
        let (chip, _) = new(4);
        for map in 0..2 {
            // As long as a state, but none.
            store(&mut chip.flash(), map, item, &[0x5A; 32]).map_err(|_| ()).unwrap();
        }
        let (mut flash, mut ciphers) = (chip.flash(), Ciphers::new());
        let new = keys(&mut Rng::with_seed(5), 1 << 20);
        block_on(blank(&mut flash, &mut ciphers, Notice::NoState).unwrap().provision(new.clone())).unwrap();
        let mut node = start(&mut flash, &mut ciphers).unwrap();
        send(&mut node, &mut Witness::new(new)).unwrap();
    }
}

#[test]
fn states_of_another_key() {
    let (chip, mut station) = new(6);
    live(&chip, &mut station, 200);
    let other = keys(&mut Rng::with_seed(7), 1 << 20);
    for map in 0..2 {
        store(&mut chip.flash(), map, 3, &*other.to_bytes()).map_err(|_| ()).unwrap();
    }
    let (mut flash, mut ciphers) = (chip.flash(), Ciphers::new());
    blank(&mut flash, &mut ciphers, Notice::NoState).unwrap();
    // The same keys with another limit are not what the states are of, either.
    let Keys { up, down, .. } = *station.keys();
    let limit = twine_otr_aead::BlockLimit::MAX;
    for map in 0..2 {
        let keys = Keys { up, down, limit };
        store(&mut chip.flash(), map, 3, &*keys.to_bytes()).map_err(|_| ()).unwrap();
    }
    blank(&mut flash, &mut ciphers, Notice::NoState).unwrap();
}

#[test]
fn a_copy_without_room_is_made_anew() {
    for map in 0..2 {
        let (chip, mut station) = new(8);
        live(&chip, &mut station, 10);
        fill(&chip, map);
        live(&chip, &mut station, 200);
        chip.damage(1 - map, |words| words.fill(u32::MAX));
        live(&chip, &mut station, 1);
    }
}

#[test]
fn two_copies_without_room() {
    let (chip, mut station) = new(9);
    live(&chip, &mut station, 10);
    fill(&chip, 0);
    fill(&chip, 1);
    // One is made anew as long as the other one has everything.
    live(&chip, &mut station, 200);
}

#[test]
fn flash_that_is_written_no_more() {
    let (chip, mut station) = new(10);
    let (mut flash, mut ciphers) = (chip.flash(), Ciphers::new());
    let mut node = start(&mut flash, &mut ciphers).unwrap();
    chip.lose_power_after(0);
    // What is reserved is not lost.
    for _ in 0..STEP_UP / BLOCKS {
        send(&mut node, &mut station).unwrap();
    }
    for _ in 0..3 {
        assert_eq!(send(&mut node, &mut station), Err(NodeError::Flash(FlashFailed)));
    }
    let refused = (0..100).find_map(|_| {
        let frame = station.instruct(Instruction::On);
        obey(&mut node, &mut station, &frame).err()
    });
    assert_eq!(refused, Some(NodeError::Flash(FlashFailed)));
    drop(node);
    let (mut again, mut ciphers) = (chip.flash(), Ciphers::new());
    assert!(start(&mut again, &mut ciphers).is_err());
    // If it is written again, all goes on.
    chip.power_up();
    live(&chip, &mut station, 100);
}

#[test]
fn flash_that_fails_for_a_while() {
    let (chip, mut station) = new(11);
    let (mut flash, mut ciphers) = (chip.flash(), Ciphers::new());
    let mut node = start(&mut flash, &mut ciphers).unwrap();
    for round in 0..2_000 {
        if round % 10 == 0 {
            chip.lose_power_after(round % 37);
        }
        match send(&mut node, &mut station) {
            Ok(_) | Err(NodeError::Flash(FlashFailed)) => {}
            Err(error) => panic!("{error:?}"),
        }
        if round % 10 == 5 {
            chip.power_up();
        }
    }
    assert!(station.reports() > 1_000);
}

#[test]
fn frames_that_are_no_instructions() {
    let (chip, mut station) = new(12);
    let (mut flash, mut ciphers) = (chip.flash(), Ciphers::new());
    let mut node = start(&mut flash, &mut ciphers).unwrap();
    let frame = station.instruct(Instruction::On);
    for bit in 0..8 * frame.len() {
        let mut forged = frame;
        forged[bit / 8] ^= 1 << (bit % 8);
        let refused = obey(&mut node, &mut station, &forged).unwrap_err();
        let expected = if bit < 8 { NodeError::Malformed } else { NodeError::Open(OpenError::Rejected) };
        assert_eq!(refused, expected, "bit {bit}");
        assert!(!node.output());
    }
    assert_eq!(block_on(node.receive(&frame[1..])), Err(NodeError::Malformed));
    assert_eq!(obey(&mut node, &mut station, &frame), Ok(Instruction::On));
    assert_eq!(obey(&mut node, &mut station, &frame), Err(NodeError::Open(OpenError::Replayed)));
}

#[test]
fn a_copy_that_takes_nothing_leaves_the_other_one_as_it_is() {
    let (chip, mut station) = new(13);
    live(&chip, &mut station, 100);
    for map in 0..2 {
        let other = Chip::map(1 - map);
        chip.fail_to_write(Chip::map(map));
        let fail = || assert!(start(&mut chip.flash(), &mut Ciphers::new()).is_err());
        // The good one may have been the first that was written.
        fail();
        let before = chip.words();
        fail();
        fail();
        assert_eq!(chip.words()[other.clone()], before[other]);
        chip.fail_to_write(0..0);
        live(&chip, &mut station, 1);
    }
}

#[test]
fn flash_that_cannot_be_read_is_not_without_keys() {
    let (chip, mut station) = new(14);
    live(&chip, &mut station, 100);
    let both = Chip::map(0).start..Chip::map(1).end;
    let before = chip.words();
    for word in both.clone() {
        chip.fail_to_read(word..both.end);
        let (mut flash, mut ciphers) = (chip.flash(), Ciphers::new());
        assert!(start(&mut flash, &mut ciphers).is_err(), "word {word}");
    }
    chip.fail_to_read(both);
    let (mut flash, mut ciphers) = (chip.flash(), Ciphers::new());
    assert!(start(&mut flash, &mut ciphers).is_err());
    chip.fail_to_read(0..0);
    assert!(before.iter().any(|word| *word != u32::MAX));
    live(&chip, &mut station, 1);
}

#[test]
fn keys_are_removed_from_the_copy_that_can_be_read() {
    for map in 0..2 {
        let (chip, mut station) = new(15);
        live(&chip, &mut station, 100);
        let (mut flash, mut ciphers) = (chip.flash(), Ciphers::new());
        let node = start(&mut flash, &mut ciphers).unwrap();
        chip.fail_to_read(Chip::map(map));
        assert_eq!(block_on(node.forget()), Err(FlashFailed));
        chip.fail_to_read(0..0);
        chip.damage(map, |words| words.fill(u32::MAX));
        blank(&mut flash, &mut ciphers, Notice::NoKeys).unwrap();
    }
}
