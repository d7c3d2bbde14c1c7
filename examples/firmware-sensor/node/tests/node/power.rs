//! The power is lost.

use embassy_futures::block_on;
use fastrand::Rng;
use sensor_node::{
    Ciphers, FlashFailed, Node, NodeError, Start,
    frame::{Instruction, Keys, Notice},
};
use sensor_station::{InstructionFrame, Witness};
use sequential_storage::{
    cache::{Cache, Uncached},
    map::{MapConfig, MapStorage},
};
use twine_otr_aead::{OpenError, SealError};

use crate::damage::store;
use crate::world::{Chip, MAP, START_ADDRESS, Sim, blank, keys, obey, old_frame, send, start, start_with};

/// A life in which all that is stored is stored several times, and pages are full: all that it does, in order. Whether it came to the end.
fn life(chip: &Chip, station: &mut Witness, next: &mut usize) -> Result<(), NodeError> {
    const END: usize = 300;
    let mut flash = chip.flash();
    let mut ciphers = Ciphers::new();
    let mut node = start(&mut flash, &mut ciphers)?;
    while *next < END {
        let step = *next;
        *next += 1;
        send(&mut node, station)?;
        if step.is_multiple_of(3) {
            let frame =
                station.instruct(if step.is_multiple_of(2) { Instruction::On } else { Instruction::Off });
            match obey(&mut node, station, &frame) {
                // After a loss of power as many may be refused as were reserved.
                Ok(_) | Err(NodeError::Open(OpenError::Replayed | OpenError::TooOld)) => {}
                Err(error) => return Err(error),
            }
        }
        if step % 70 == 69 {
            block_on(node.stop())?;
            drop(node);
            node = start(&mut flash, &mut ciphers)?;
        }
    }
    Ok(())
}

#[test]
fn at_each_change_of_a_word() {
    let keys = keys(&mut Rng::with_seed(1), 1 << 20);
    let whole = Chip::provisioned(&keys);
    let before = whole.changes();
    life(&whole, &mut Witness::new(keys.clone()), &mut 0).unwrap();
    let changes = whole.changes() - before;
    // Pages were erased, some of them several times.
    assert!(changes > 3_000, "{changes}");
    for cut in 0..changes {
        let chip = Chip::provisioned(&keys);
        let mut station = Witness::new(keys.clone());
        let mut next = 0;
        chip.lose_power_after(cut);
        // Without an error if all was stored: the last bits that change may be none.
        let _ = life(&chip, &mut station, &mut next);
        assert!(chip.has_lost_power(), "cut {cut}");
        chip.power_up();
        // Of all frames so far, none is opened that was.
        let (mut flash, mut ciphers) = (chip.flash(), Ciphers::new());
        let mut node = start(&mut flash, &mut ciphers).unwrap();
        for frame in station.frames().to_vec() {
            let _ = obey(&mut node, &mut station, &frame);
        }
        drop(node);
        life(&chip, &mut station, &mut next).unwrap();
        assert!(station.reports() >= 299 && station.opened() > 80, "cut {cut}");
    }
}

/// A chip with keys of which much is used, from a step of the life on, and the station's end.
fn used(keys: &Keys, mut from: usize) -> (Chip, Witness) {
    let (chip, mut station) = (Chip::provisioned(keys), Witness::new(keys.clone()));
    life(&chip, &mut station, &mut from).unwrap();
    (chip, station)
}

fn forget(chip: &Chip) -> Result<(), FlashFailed> {
    let (mut flash, mut ciphers) = (chip.flash(), Ciphers::new());
    block_on(start(&mut flash, &mut ciphers)?.forget())
}

/// How many changes `f` makes.
fn changes(chip: &Chip, f: impl FnOnce(&Chip)) -> usize {
    let before = chip.changes();
    f(chip);
    chip.changes() - before
}

#[test]
fn at_each_change_while_keys_are_given() {
    let mut random = Rng::with_seed(2);
    let (old, new) = (keys(&mut random, 1 << 20), keys(&mut random, 1 << 20));
    let provision = |chip: &Chip| {
        let (mut flash, mut ciphers) = (chip.flash(), Ciphers::new());
        block_on(blank(&mut flash, &mut ciphers, Notice::NoKeys)?.provision(new.clone()))
    };
    // One that has had other keys, and ones of which the power was lost while they were erased.
    let (forgetful, _) = used(&old, 250);
    let needed = changes(&forgetful.copy(), |chip| forget(chip).unwrap());
    for erased in [needed / 4, needed / 2, needed] {
        let leftovers = forgetful.copy();
        leftovers.lose_power_after(erased);
        let _ = forget(&leftovers);
        leftovers.power_up();
        for cut in 0..changes(&leftovers.copy(), |chip| provision(chip).unwrap()) {
            let chip = leftovers.copy();
            chip.lose_power_after(cut);
            let _ = provision(&chip);
            assert!(chip.has_lost_power(), "cut {cut}");
            chip.power_up();
            let (mut flash, mut ciphers) = (chip.flash(), Ciphers::new());
            let mut node = start_with(&mut flash, &mut ciphers, &new, &[Notice::NoKeys]);
            // It opens under the new keys, and no others.
            send(&mut node, &mut Witness::new(new.clone())).unwrap();
        }
    }
}

/// A node whose states are damaged gets new keys: at any time it has these, or waits for some. Under the old ones it never goes on.
#[test]
fn at_each_change_while_keys_are_given_to_a_node_without_states() {
    let mut random = Rng::with_seed(5);
    let (old, new) = (keys(&mut random, 1 << 20), keys(&mut random, 1 << 20));
    let provision = |chip: &Chip| {
        let (mut flash, mut ciphers) = (chip.flash(), Ciphers::new());
        block_on(blank(&mut flash, &mut ciphers, Notice::NoState)?.provision(new.clone()))
    };
    let (mut with_old, mut without) = (0, 0);
    // With the newest states in either page, and with the damaged ones behind good ones: these are in the other page, or in the same.
    for (from, item) in [150, 180, 210, 240, 270].into_iter().flat_map(|from| [(from, 1), (from, 2)]) {
        let (damaged, _) = used(&old, from);
        for map in 0..2 {
            store(&mut damaged.flash(), map, item, &[0x5A; 32]).map_err(|_| ()).unwrap();
        }
        for cut in 0..changes(&damaged.copy(), |chip| provision(chip).unwrap()) {
            let chip = damaged.copy();
            chip.lose_power_after(cut);
            let _ = provision(&chip);
            assert!(chip.has_lost_power(), "from {from}, cut {cut}");
            chip.power_up();
            let (mut flash, mut ciphers) = (chip.flash(), Ciphers::new());
            if let Start::Blank(blank) =
                block_on(Node::start(&mut flash, START_ADDRESS, &mut ciphers)).unwrap()
            {
                let is_there = usize::from(blank.why() == Notice::NoState);
                (with_old, without) = (with_old + is_there, without + 1 - is_there);
            }
            let reasons = [Notice::NoKeys, Notice::NoState];
            let mut node = start_with(&mut flash, &mut ciphers, &new, &reasons);
            send(&mut node, &mut Witness::new(new.clone())).unwrap();
        }
    }
    assert!(with_old > 0 && without > 0, "{with_old} {without}");
}

#[test]
fn keys_are_removed_before_anything_is_erased() {
    let old = keys(&mut Rng::with_seed(4), 1 << 20);
    for from in [150, 180, 210, 240, 270] {
        let (whole, _) = used(&old, from);
        let (mut kept, mut forgotten) = (0, 0);
        for cut in 0.. {
            let chip = whole.copy();
            let (mut flash, mut ciphers) = (chip.flash(), Ciphers::new());
            let node = start(&mut flash, &mut ciphers).unwrap();
            let before = chip.words();
            chip.lose_power_after(cut);
            let _ = block_on(node.forget());
            if !chip.has_lost_power() {
                break;
            }
            chip.power_up();
            let is_erased = before.iter().zip(chip.words()).any(|(before, after)| after & !before != 0);
            match block_on(Node::start(&mut flash, START_ADDRESS, &mut ciphers)).unwrap() {
                Start::Node(_) => {
                    assert!(!is_erased, "from {from}, cut {cut}");
                    kept += 1;
                }
                Start::Blank(blank) => {
                    assert_eq!(blank.why(), Notice::NoKeys);
                    forgotten += 1;
                }
            }
        }
        assert!(kept > 0 && forgotten > 100, "{kept} {forgotten}");
    }
}

#[test]
fn at_each_change_while_keys_are_forgotten() {
    let mut random = Rng::with_seed(3);
    let (old, new) = (keys(&mut random, 1 << 20), keys(&mut random, 1 << 20));
    let (mut forgotten, mut all) = (0, 0);
    // With the newest states in either page.
    let cuts = [150, 180, 210, 240, 270].into_iter().flat_map(|from| {
        let needed = changes(&used(&old, from).0, |chip| forget(chip).unwrap());
        (0..needed).map(move |cut| (from, cut))
    });
    for (from, cut) in cuts {
        all += 1;
        let (chip, mut station) = used(&old, from);
        chip.lose_power_after(cut);
        let _ = forget(&chip);
        assert!(chip.has_lost_power(), "cut {cut}");
        chip.power_up();
        let (mut flash, mut ciphers) = (chip.flash(), Ciphers::new());
        let at = START_ADDRESS;
        let is_forgotten = match block_on(Node::start(&mut flash, at, &mut ciphers)).unwrap() {
            // It goes on with the keys: behind all that was used.
            Start::Node(mut node) => {
                send(&mut node, &mut station).unwrap();
                false
            }
            Start::Blank(_) => {
                // Nothing of the keys is left.
                assert!(chip.words() == Chip::new().words(), "cut {cut}");
                true
            }
        };
        forgotten += usize::from(is_forgotten);
        if !is_forgotten {
            forget(&chip).unwrap();
        }
        let mut node = start_with(&mut flash, &mut ciphers, &new, &[Notice::NoKeys]);
        send(&mut node, &mut Witness::new(new.clone())).unwrap();
    }
    assert!(forgotten > 0 && forgotten < all, "{forgotten}");
    // Nothing of the keys is left.
    let (chip, _) = used(&old, 150);
    forget(&chip).unwrap();
    assert_eq!(chip.words(), Chip::new().words());
}

/// Random lives. `SENSOR_LIVES` says how many.
#[test]
fn anywhere() {
    let lives = std::env::var("SENSOR_LIVES").map_or(150, |number| number.parse().unwrap());
    let mut total = Totals::default();
    for life in 0..lives {
        live(life, &mut total);
    }
    println!("{total:?}");
    assert!(total.sent > lives * 10 && total.opened > lives && total.cuts > lives, "{total:?}");
    assert!(total.damaged > lives / 2 && total.used_up > 0 && total.refused > 0, "{total:?}");
}

/// What happened.
#[derive(Debug, Default)]
struct Totals {
    sent: u64,
    opened: u64,
    refused: u64,
    cuts: u64,
    damaged: u64,
    used_up: u64,
}

fn live(life: u64, total: &mut Totals) {
    let mut random = Rng::with_seed(life + 1);
    let limit =
        u32::try_from(1 + random.usize(..if life.is_multiple_of(2) { 4_000 } else { 40_000 })).unwrap();
    let keys = keys(&mut random, limit);
    let (chip, mut station) = (Chip::provisioned(&keys), Witness::new(keys));
    // A second copy may be missing as long as the power was lost since the last one was seen to be complete.
    let mut is_complete = true;
    for _ in 0..40 {
        if random.usize(..2) == 0 {
            chip.lose_power_after(random.usize(..400));
            is_complete = false;
        } else if is_complete && random.usize(..2) == 0 {
            damage(&chip, &mut random);
            total.damaged += 1;
            is_complete = false;
        }
        match session(&chip, &mut station, &mut random, total) {
            Ok(()) => is_complete = true,
            Err(NodeError::Flash(FlashFailed)) => {
                assert!(chip.has_lost_power(), "life {life}");
                total.cuts += 1;
            }
            Err(error) => panic!("life {life}: {error:?}"),
        }
        if chip.has_lost_power() {
            is_complete = false;
        }
        chip.power_up();
    }
    assert!(chip.changes() > 0);
}

/// From a start to a stop, or to a loss of power.
fn session(
    chip: &Chip,
    station: &mut Witness,
    random: &mut Rng,
    total: &mut Totals,
) -> Result<(), NodeError> {
    let (mut flash, mut ciphers) = (chip.flash(), Ciphers::new());
    let mut node = start(&mut flash, &mut ciphers)?;
    // All so far, of which none may be opened that was.
    for frame in station.frames().to_vec() {
        receive(&mut node, station, &frame, total)?;
    }
    for _ in 0..random.usize(..60) {
        match random.usize(..8) {
            0..5 => match send(&mut node, station) {
                Ok(_) => total.sent += 1,
                Err(NodeError::Seal(SealError::LimitReached)) => total.used_up += 1,
                Err(error) => return Err(error),
            },
            5 => {
                station.instruct(Instruction::On);
            }
            _ => {
                let Some(frame) = old_frame(station, random) else { continue };
                receive(&mut node, station, &frame, total)?;
            }
        }
    }
    if random.usize(..3) == 0 {
        block_on(node.stop())?;
    }
    Ok(())
}

fn receive(
    node: &mut Node<'_, Sim>,
    station: &mut Witness,
    frame: &InstructionFrame,
    total: &mut Totals,
) -> Result<(), NodeError> {
    match obey(node, station, frame) {
        Ok(_) => total.opened += 1,
        Err(NodeError::Open(
            OpenError::Replayed | OpenError::TooOld | OpenError::LimitReached | OpenError::TooManyFailures,
        )) => total.refused += 1,
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Damages one of the two maps.
fn damage(chip: &Chip, random: &mut Rng) {
    let map = random.usize(..2);
    let kind = random.usize(..5);
    chip.damage(map, |words| {
        let words = match random.usize(..3) {
            0 => words,
            half => {
                let (one, other) = words.split_at_mut(words.len() / 2);
                if half == 1 { one } else { other }
            }
        };
        match kind {
            0 => words.fill(u32::MAX),
            1 => words.fill(0),
            2 => words.fill_with(|| random.u32(..)),
            3 => {
                for _ in 0..1 + random.usize(..20) {
                    words[random.usize(..words.len())] ^= 1 << random.usize(..32);
                }
            }
            // The end of what is written: the newest item.
            _ => {
                let written = words.iter().rposition(|word| *word != u32::MAX).unwrap_or(0);
                let end = (written + 1).min(words.len());
                words[end.saturating_sub(1 + random.usize(..12))..end].fill(0);
            }
        }
    });
}

/// Why a node has two maps: one is no memory that keeps what it has confirmed. If this fails, the map has become better, and README.md is to be
/// changed.
#[test]
fn one_map_alone_loses_what_it_has_confirmed() {
    type Map = MapStorage<u8, Sim, Cache<Uncached, Uncached, Uncached, u8>>;
    /// Stores one value after the other in two items, in turn, behind a third one, and returns how many were confirmed.
    fn fill(map: &mut Map) -> u8 {
        let is_stored = |value: &u8| {
            let item = if *value == 1 { 3 } else { value % 2 };
            block_on(map.store_item::<&[u8]>(&mut [0; 96], &item, &&[*value; 32][..])).is_ok()
        };
        u8::try_from((1..=13).take_while(is_stored).count()).unwrap()
    }
    let map = |chip: &Chip, seed: usize| {
        let size = u32::try_from(MAP).unwrap();
        let config = MapConfig::new(START_ADDRESS..START_ADDRESS + size);
        MapStorage::new(chip.flash_with(seed), config, Cache::new_uncached())
    };
    let mut lost = 0;
    let all = changes(&Chip::new(), |chip| {
        fill(&mut map(chip, 1));
    });
    for cut in 0..16 * all {
        let chip = Chip::new();
        chip.lose_power_after(cut % all);
        let confirmed = fill(&mut map(&chip, cut));
        chip.power_up();
        let found = [1, 0, 3].map(|item| {
            let mut buffer = [0; 96];
            let found = block_on(map(&chip, 1).fetch_item::<&[u8]>(&mut buffer, &item));
            found.ok().flatten().map_or(0, |value| value[0])
        });
        let is_there = confirmed < 3 || found[2] == 1 && found[0].max(found[1]) >= confirmed;
        lost += u32::from(!is_there);
    }
    println!("{lost} of {}", 16 * all);
    assert!(lost > 0);
}
