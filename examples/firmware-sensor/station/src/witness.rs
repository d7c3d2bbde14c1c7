use std::collections::HashSet;

use sensor_node::frame::{
    BLOCKS, COUNTER, DOWN, INSTRUCTION, Instruction, Keys, REPORT, Report, TAG, UP, counter_of,
};
use twine_otr_aead::{BlockLimit, Opener, Sealer};

/// A frame with an instruction.
pub type InstructionFrame = [u8; 1 + COUNTER + Instruction::LEN + TAG];

/// A station that has its power always, for tests: it sees all that is sent under a pair of keys, and panics if a nonce comes twice, a report is
/// not genuine, there are more of them than the limit allows, or an instruction is opened twice.
#[derive(Debug)]
pub struct Witness {
    keys: Keys,
    sealer: Sealer,
    opener: Opener,
    nonces: HashSet<u32>,
    opened: HashSet<u32>,
    frames: Vec<InstructionFrame>,
}

impl Witness {
    /// Of keys under which nothing was sent.
    #[must_use]
    pub fn new(keys: Keys) -> Self {
        let limit = BlockLimit::MAX;
        Self {
            sealer: Sealer::with_ephemeral_key((&keys.down).into(), DOWN).with_block_limit(limit),
            opener: Opener::new((&keys.up).into(), UP).with_block_limit(limit),
            nonces: HashSet::new(),
            opened: HashSet::new(),
            frames: Vec::new(),
            keys,
        }
    }

    /// The keys.
    #[must_use]
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// A nonce that was sent, with whatever of a frame.
    ///
    /// # Panics
    /// If it came before, or if its counter is so large that more blocks than allowed went before.
    pub fn see_nonce(&mut self, counter: [u8; COUNTER]) {
        let counter = counter_of(counter);
        assert!(self.nonces.insert(counter), "nonce {counter} came twice");
        assert!((counter + 1) * BLOCKS <= self.keys.limit.get(), "more blocks than the limit allows");
    }

    /// A frame that was sent, which is a report.
    ///
    /// # Panics
    /// If it is none, or see [`Witness::see_nonce`].
    pub fn receive(&mut self, frame: &[u8]) -> Report {
        let [REPORT, a, b, c, sealed @ ..] = frame else { panic!("no report: {frame:?}") };
        let counter = [*a, *b, *c];
        self.see_nonce(counter);
        let (report, tag) = sealed.split_first_chunk::<{ Report::LEN }>().expect("shorter than a report");
        let (mut report, tag) = (*report, <[u8; TAG]>::try_from(tag).expect("no tag"));
        let nonce = self.opener.nonce(&counter).expect("as long as a counter");
        let opened =
            self.opener.open_inout_detached(&nonce, &[REPORT], report.as_mut_slice().into(), &tag.into());
        assert_eq!(opened, Ok(()), "a report is not genuine");
        Report::from_bytes(report).expect("no report was sealed")
    }

    /// A frame with an instruction.
    ///
    /// # Panics
    /// After 2^22 of them.
    pub fn instruct(&mut self, instruction: Instruction) -> InstructionFrame {
        let mut message = [instruction as u8];
        let sealed = self.sealer.seal_inout_detached(&[INSTRUCTION], message.as_mut_slice().into());
        let (nonce, tag) = sealed.expect("the key of instructions is used up");
        let mut frame = [INSTRUCTION; 13];
        frame[1..4].copy_from_slice(&nonce[4..]);
        frame[4..5].copy_from_slice(&message);
        frame[5..].copy_from_slice(&tag);
        self.frames.push(frame);
        frame
    }

    /// The frames with instructions so far, also those that never came.
    #[must_use]
    pub fn frames(&self) -> &[InstructionFrame] {
        &self.frames
    }

    /// The node has opened the instruction with this counter.
    ///
    /// # Panics
    /// If it had before.
    pub fn see_opened(&mut self, counter: u32) {
        assert!(self.opened.insert(counter), "instruction {counter} was opened twice");
    }

    /// How many reports came, if only in part.
    #[must_use]
    pub fn reports(&self) -> usize {
        self.nonces.len()
    }

    /// How many instructions were opened.
    #[must_use]
    pub fn opened(&self) -> usize {
        self.opened.len()
    }
}
