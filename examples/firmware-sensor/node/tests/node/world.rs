//! A node, its flash, and the station at the other end, which has its power always and sees all that is sent.

use std::{cell::RefCell, collections::HashSet, rc::Rc};

use embassy_embedded_hal::adapter::BlockingAsync;
use embassy_futures::block_on;
use sensor_node::{
    Blank, Ciphers, FlashFailed, Node, NodeError, PAGES, Start,
    frame::{BLOCKS, DOWN, INSTRUCTION, Instruction, Keys, Notice, REPORT, Reason, Report, UP, counter_of},
};
use simulated_flash::{Failed, Flash, Memory};
use twine_otr_aead::{BlockLimit, Opener, Sealer};

/// Small pages: they are full soon.
pub(crate) const PAGE: usize = 512;

/// The bytes of one of the two maps.
pub(crate) const MAP: usize = PAGE * PAGES as usize / 2;

/// Not all of the flash is the node's.
pub(crate) const START: usize = PAGE;
#[allow(clippy::cast_possible_truncation, reason = "a page")]
pub(crate) const START_ADDRESS: u32 = START as u32;

pub(crate) type Sim = BlockingAsync<Flash<Chip, { PAGES as usize + 2 }, PAGE>>;

/// What survives a loss of power, and when it is lost.
#[derive(Clone, Debug)]
pub(crate) struct Chip(Rc<RefCell<State>>);

#[derive(Debug)]
struct State {
    words: Vec<u32>,
    /// The changes that still happen, if the power is to be lost.
    left: Option<usize>,
    changes: usize,
}

impl Chip {
    /// Erased.
    pub(crate) fn new() -> Self {
        let words = vec![u32::MAX; (PAGES as usize + 2) * PAGE / 4];
        Self(Rc::new(RefCell::new(State { words, left: None, changes: 0 })))
    }

    /// A chip with keys, of which nothing is used.
    pub(crate) fn provisioned(keys: &Keys) -> Self {
        let chip = Self::new();
        let (mut flash, mut ciphers) = (chip.flash(), Ciphers::new());
        let blank = blank(&mut flash, &mut ciphers, Notice::NoKeys).unwrap();
        block_on(blank.provision(keys.clone())).unwrap();
        chip
    }

    /// Its flash, as the node sees it after a start.
    pub(crate) fn flash(&self) -> Sim {
        let seed = u32::try_from(self.changes() % 1_000_000).unwrap();
        BlockingAsync::new(Flash::new(self.clone(), seed))
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
        let first = (START + map * MAP) / 4;
        damage(&mut self.0.borrow_mut().words[first..first + MAP / 4]);
    }

    /// The bytes.
    pub(crate) fn words(&self) -> Vec<u32> {
        self.0.borrow().words.clone()
    }
}

impl Memory for Chip {
    fn read(&self, index: usize) -> u32 {
        self.0.borrow().words[index]
    }

    fn write(&mut self, index: usize, word: u32) -> Result<(), Failed> {
        let mut state = self.0.borrow_mut();
        if let Some(left) = &mut state.left {
            *left = left.checked_sub(1).ok_or(Failed)?;
        }
        state.changes += 1;
        assert!((START..START + 2 * MAP).contains(&(4 * index)), "outside of the node's pages");
        state.words[index] = word;
        Ok(())
    }
}

/// Marsaglia's xorshift.
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 8
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n as u64).unwrap()
    }

    pub(crate) fn key(&mut self) -> [u8; 16] {
        std::array::from_fn(|_| self.next().to_le_bytes()[0])
    }
}

pub(crate) fn keys(random: &mut Random, limit: u32) -> Keys {
    Keys { up: random.key(), down: random.key(), limit: BlockLimit::new(limit).unwrap() }
}

/// The station's end of a key, and what was seen under it.
#[derive(Debug)]
pub(crate) struct Station {
    pub(crate) keys: Keys,
    sealer: Sealer,
    opener: Opener,
    nonces: HashSet<u32>,
    blocks: u32,
    opened: HashSet<u32>,
    /// The last frames with instructions.
    frames: Vec<[u8; 13]>,
}

impl Station {
    pub(crate) fn new(keys: Keys) -> Self {
        let limit = BlockLimit::MAX;
        Self {
            sealer: Sealer::with_ephemeral_key((&keys.down).into(), DOWN).with_block_limit(limit),
            opener: Opener::new((&keys.up).into(), UP).with_block_limit(limit),
            nonces: HashSet::new(),
            blocks: 0,
            opened: HashSet::new(),
            frames: Vec::new(),
            keys,
        }
    }

    /// A frame that was sent: a report under a nonce that was not there before, within the limit.
    pub(crate) fn receive(&mut self, frame: &[u8]) -> Report {
        let [REPORT, a, b, c, sealed @ ..] = frame else { panic!("no report") };
        let counter = counter_of([*a, *b, *c]);
        assert!(self.nonces.insert(counter), "nonce {counter} came twice");
        self.blocks += BLOCKS;
        assert!(self.blocks <= self.keys.limit.get(), "more blocks than the limit allows");
        let mut report: [u8; Report::LEN] = sealed[..Report::LEN].try_into().unwrap();
        let tag: [u8; 8] = sealed[Report::LEN..].try_into().unwrap();
        let nonce = self.opener.nonce(&[*a, *b, *c]).unwrap();
        self.opener
            .open_inout_detached(&nonce, &[REPORT], report.as_mut_slice().into(), &tag.into())
            .unwrap();
        Report::from_bytes(report).unwrap()
    }

    pub(crate) fn instruction(&mut self, instruction: Instruction) -> [u8; 13] {
        let mut message = [instruction as u8];
        let (nonce, tag) =
            self.sealer.seal_inout_detached(&[INSTRUCTION], message.as_mut_slice().into()).unwrap();
        let mut frame = [INSTRUCTION; 13];
        frame[1..4].copy_from_slice(&nonce[4..]);
        frame[4..5].copy_from_slice(&message);
        frame[5..].copy_from_slice(&tag);
        self.frames.push(frame);
        frame
    }

    /// Any of the frames that were sealed, to be sent late or again.
    pub(crate) fn old_frame(&self, random: &mut Random) -> Option<[u8; 13]> {
        let newest = self.frames.len().checked_sub(1)?;
        // More often one of the last.
        let age = if random.below(2) == 0 { random.below(8) } else { random.below(newest + 1) };
        Some(self.frames[newest.saturating_sub(age)])
    }

    /// The node has opened a frame.
    pub(crate) fn opened(&mut self, frame: &[u8; 13]) {
        let counter = counter_of([frame[1], frame[2], frame[3]]);
        assert!(self.opened.insert(counter), "instruction {counter} was opened twice");
    }

    pub(crate) fn has_opened(&self) -> usize {
        self.opened.len()
    }

    pub(crate) fn has_received(&self) -> usize {
        self.nonces.len()
    }
}

/// Starts a node that has keys.
pub(crate) fn start<'a>(flash: &'a mut Sim, ciphers: &'a mut Ciphers) -> Result<Node<'a, Sim>, FlashFailed> {
    match block_on(Node::start(flash, u32::try_from(START).unwrap(), ciphers))? {
        Start::Node(node) => Ok(node),
        Start::Blank(blank) => panic!("no node: {:?}", blank.why()),
    }
}

/// Starts a node that has none.
pub(crate) fn blank<'a>(
    flash: &'a mut Sim,
    ciphers: &'a mut Ciphers,
    why: Notice,
) -> Result<Blank<'a, Sim>, FlashFailed> {
    match block_on(Node::start(flash, u32::try_from(START).unwrap(), ciphers))? {
        Start::Node(_) => panic!("it has keys"),
        Start::Blank(blank) => {
            assert_eq!(blank.why(), why);
            Ok(blank)
        }
    }
}

pub(crate) fn send(node: &mut Node<'_, Sim>, station: &mut Station) -> Result<Report, NodeError> {
    let frame = block_on(node.report(Reason::Reading))?;
    Ok(station.receive(&frame))
}

pub(crate) fn obey(
    node: &mut Node<'_, Sim>,
    station: &mut Station,
    frame: &[u8; 13],
) -> Result<Instruction, NodeError> {
    let instruction = block_on(node.receive(frame))?;
    station.opened(frame);
    Ok(instruction)
}

/// Starts whatever the flash holds. A node that waits for keys gets them, and starts then.
pub(crate) fn start_with<'a>(flash: &'a mut Sim, ciphers: &'a mut Ciphers, keys: &Keys) -> Node<'a, Sim> {
    if let Start::Blank(blank) = block_on(Node::start(flash, START_ADDRESS, ciphers)).unwrap() {
        assert_eq!(blank.why(), Notice::NoKeys);
        block_on(blank.provision(keys.clone())).unwrap();
    }
    start(flash, ciphers).unwrap()
}
