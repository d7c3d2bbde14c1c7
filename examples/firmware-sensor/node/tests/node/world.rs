//! A node, its flash, and the station at the other end, which has its power always and sees all that is sent.

use std::{cell::RefCell, ops::Range, rc::Rc};

use embassy_embedded_hal::adapter::BlockingAsync;
use embassy_futures::block_on;
use fastrand::Rng;
use sensor_node::{
    Blank, Ciphers, FlashFailed, Node, NodeError, PAGES, Start,
    frame::{Instruction, Keys, Notice, Reason, Report, counter_of},
};
use sensor_station::{InstructionFrame, Witness};
use simulated_flash::{Failed, Flash, Memory};
use twine_otr_aead::BlockLimit;

use crate::WORD;

/// Small pages: they are full soon.
pub(crate) const PAGE: usize = 512;

/// The bytes of one of the two maps.
pub(crate) const MAP: usize = PAGE * PAGES as usize / 2;

/// Not all of the flash is the node's.
pub(crate) const START: usize = PAGE;
#[allow(clippy::cast_possible_truncation, reason = "a page")]
pub(crate) const START_ADDRESS: u32 = START as u32;

pub(crate) type Sim = BlockingAsync<Flash<Chip, { PAGES as usize + 2 }, PAGE, WORD>>;

/// What survives a loss of power, and when it is lost.
#[derive(Clone, Debug)]
pub(crate) struct Chip(Rc<RefCell<State>>);

#[derive(Debug)]
struct State {
    words: Vec<u32>,
    /// The changes that still happen, if the power is to be lost.
    left: Option<usize>,
    changes: usize,
    /// Words that cannot be read.
    unreadable: Range<usize>,
    /// Words that ignore what is written.
    fixed: Range<usize>,
}

impl Chip {
    /// Erased.
    pub(crate) fn new() -> Self {
        let words = vec![u32::MAX; (PAGES as usize + 2) * PAGE / 4];
        Self(Rc::new(RefCell::new(State { words, left: None, changes: 0, unreadable: 0..0, fixed: 0..0 })))
    }

    /// A chip with keys, of which nothing is used.
    pub(crate) fn provisioned(keys: &Keys) -> Self {
        let chip = Self::new();
        let (mut flash, mut ciphers) = (chip.flash(), Ciphers::new());
        let blank = blank(&mut flash, &mut ciphers, Notice::NoKeys).unwrap();
        block_on(blank.provision(keys.clone())).unwrap();
        chip
    }

    /// Another chip with the same contents.
    pub(crate) fn copy(&self) -> Self {
        let copy = Self::new();
        (copy.0.borrow_mut().words, copy.0.borrow_mut().changes) = (self.words(), self.changes());
        copy
    }

    /// Its flash, as the node sees it after a start.
    pub(crate) fn flash(&self) -> Sim {
        self.flash_with(self.changes())
    }

    /// With other bits that change first.
    pub(crate) fn flash_with(&self, seed: usize) -> Sim {
        BlockingAsync::new(Flash::new(self.clone(), seed as u64))
    }

    pub(crate) fn changes(&self) -> usize {
        self.0.borrow().changes
    }

    pub(crate) fn lose_power_after(&self, changes: usize) {
        self.0.borrow_mut().left = Some(changes);
    }

    pub(crate) fn power_up(&self) {
        self.0.borrow_mut().left = None;
    }

    pub(crate) fn has_lost_power(&self) -> bool {
        self.0.borrow().left == Some(0)
    }

    /// Changes the bytes of one of the two maps.
    pub(crate) fn damage(&self, map: usize, damage: impl FnOnce(&mut [u32])) {
        damage(&mut self.0.borrow_mut().words[Self::map(map)]);
    }

    /// The words of one of the two maps.
    pub(crate) fn map(map: usize) -> Range<usize> {
        let first = (START + map * MAP) / 4;
        first..first + MAP / 4
    }

    /// These words cannot be read from now on.
    pub(crate) fn fail_to_read(&self, words: Range<usize>) {
        self.0.borrow_mut().unreadable = words;
    }

    /// These words ignore what is written from now on.
    pub(crate) fn fail_to_write(&self, words: Range<usize>) {
        self.0.borrow_mut().fixed = words;
    }

    /// The bytes.
    pub(crate) fn words(&self) -> Vec<u32> {
        self.0.borrow().words.clone()
    }
}

impl Memory for Chip {
    fn read(&self, index: usize) -> Result<u32, Failed> {
        let state = self.0.borrow();
        if state.unreadable.contains(&index) {
            return Err(Failed);
        }
        Ok(state.words[index])
    }

    fn write(&mut self, index: usize, word: u32) -> Result<(), Failed> {
        let mut state = self.0.borrow_mut();
        if let Some(left) = &mut state.left {
            *left = left.checked_sub(1).ok_or(Failed)?;
        }
        state.changes += 1;
        assert!((START..START + 2 * MAP).contains(&(4 * index)), "outside of the node's pages");
        if !state.fixed.contains(&index) {
            state.words[index] = word;
        }
        Ok(())
    }
}

pub(crate) fn keys(random: &mut Rng, limit: u32) -> Keys {
    let mut keys = Keys { up: [0; 16], down: [0; 16], limit: BlockLimit::new(limit).unwrap() };
    random.fill(&mut keys.up);
    random.fill(&mut keys.down);
    keys
}

pub(crate) fn send(node: &mut Node<'_, Sim>, station: &mut Witness) -> Result<Report, NodeError> {
    let frame = block_on(node.report(Reason::Reading))?;
    Ok(station.receive(&frame))
}

pub(crate) fn obey(
    node: &mut Node<'_, Sim>,
    station: &mut Witness,
    frame: &InstructionFrame,
) -> Result<Instruction, NodeError> {
    let instruction = block_on(node.receive(frame))?;
    station.see_opened(counter_of([frame[1], frame[2], frame[3]]));
    Ok(instruction)
}

/// Any of the frames that were sealed, to be sent late or again.
pub(crate) fn old_frame(station: &Witness, random: &mut Rng) -> Option<InstructionFrame> {
    let newest = station.frames().len().checked_sub(1)?;
    // More often one of the last.
    let age = if random.usize(..2) == 0 { random.usize(..8) } else { random.usize(..newest + 1) };
    Some(station.frames()[newest.saturating_sub(age)])
}

/// Starts whatever the flash holds. A node that waits for keys, and may for one of these reasons, gets them and starts then.
pub(crate) fn start_with<'a>(
    flash: &'a mut Sim,
    ciphers: &'a mut Ciphers,
    keys: &Keys,
    reasons: &[Notice],
) -> Node<'a, Sim> {
    if let Start::Blank(blank) = block_on(Node::start(flash, START_ADDRESS, ciphers)).unwrap() {
        assert!(reasons.contains(&blank.why()), "{:?}", blank.why());
        block_on(blank.provision(keys.clone())).unwrap();
    }
    start(flash, ciphers).unwrap()
}

/// Starts a node that has keys.
pub(crate) fn start<'a>(flash: &'a mut Sim, ciphers: &'a mut Ciphers) -> Result<Node<'a, Sim>, FlashFailed> {
    match block_on(Node::start(flash, START_ADDRESS, ciphers))? {
        Start::Node(node) => Ok(node),
        Start::Blank(blank) => panic!("no node: {:?}", blank.why()),
    }
}

/// Starts a node that waits for keys.
pub(crate) fn blank<'a>(
    flash: &'a mut Sim,
    ciphers: &'a mut Ciphers,
    why: Notice,
) -> Result<Blank<'a, Sim>, FlashFailed> {
    match block_on(Node::start(flash, START_ADDRESS, ciphers))? {
        Start::Node(_) => panic!("it has keys"),
        Start::Blank(blank) => {
            assert_eq!(blank.why(), why);
            Ok(blank)
        }
    }
}
