//! Key set-up with sealing and opening of whole messages, TWINE inside, by the functions of the C interface.

use super::{Found, Job};
use crate::{
    bits::{self, Bits},
    elf::Image,
    graph::{Graph, Lit, SAMPLES, Signature},
    isa::x86_64::{Level, Machine},
    memory::Rights,
    spec::{
        Block, Byte,
        otr::{self, Direction},
        to_bytes, twine,
    },
};
use anyhow::{Result, ensure};
use std::{collections::HashMap, sync::Arc, time::Instant};

use super::blocks::{CONTEXT, CONTEXT_SIZE};
const KEY: u64 = 0x2001_0001;
const NONCE: u64 = 0x2003_0003;
const DATA: u64 = 0x2004_0005;
const BUFFER: u64 = 0x2005_0007;
const TAG: u64 = 0x2006_0001;

/// What the functions return.
const OK: u32 = 0;
const FORGED: u32 = -3i32 as u32;

/// A key, set up by the compiled code and by the paper.
#[derive(Debug)]
pub struct Keyed {
    /// The processor, with the context in its memory.
    pub machine: Machine,
    image: Arc<Image>,
    key_bits: usize,
    cipher: Cipher,
}

/// TWINE of the paper, each block once.
#[derive(Debug)]
struct Cipher {
    round_keys: twine::RoundKeys,
    known: HashMap<Block, Block>,
}

impl Cipher {
    fn encrypt(&mut self, g: &mut Graph, block: &Block) -> Block {
        *self.known.entry(*block).or_insert_with(|| twine::encrypt(g, &self.round_keys, block))
    }
}

/// Nonce, associated data and text, of which nothing is known.
struct Message {
    nonce: Bits,
    data: Bits,
    text: Bits,
}

fn flat(bytes: &[Byte]) -> Bits {
    bytes.iter().flatten().copied().collect()
}

impl Keyed {
    /// Sets up a key of `key_bits`, of which nothing is known.
    ///
    /// # Errors
    /// If the function faults, or reports an error.
    pub fn new(image: &Arc<Image>, level: Level, key_bits: usize) -> Result<Self> {
        let mut machine = Machine::new(Arc::clone(image), level);
        let key = machine.graph.inputs(key_bits);
        let round_keys = twine::round_keys(&mut machine.graph, &to_bytes(&key));
        machine.memory.allow("context", CONTEXT, CONTEXT_SIZE, Rights::Write);
        machine.memory.allow("key", KEY, key_bits / 8, Rights::Read);
        machine.memory.set(KEY, &key);
        let status = machine.call(image.function(&format!("twine{key_bits}_otr_init"))?, &[CONTEXT, KEY])?;
        ensure!(status == OK, "key set-up returns {status}");
        machine.memory.forget("key");
        machine.memory.set_rights("context", Rights::Read);
        let cipher = Cipher { round_keys, known: HashMap::new() };
        Ok(Self { machine, image: Arc::clone(image), key_bits, cipher })
    }

    fn message(&mut self, length: usize, data: usize) -> Message {
        let g = &mut self.machine.graph;
        Message { nonce: g.inputs(7 * 8), data: g.inputs(8 * data), text: g.inputs(8 * length) }
    }

    fn specify(&mut self, direction: Direction, message: &Message) -> (Bits, Bits) {
        let (nonce, data, text) =
            (to_bytes(&message.nonce), to_bytes(&message.data), to_bytes(&message.text));
        let cipher = &mut |g: &mut Graph, block: &Block| self.cipher.encrypt(g, block);
        let (out, tag) = otr::crypt(&mut self.machine.graph, cipher, direction, &nonce, &data, &text);
        (flat(&out), flat(&tag))
    }

    /// Writes the arguments to memory, and calls the function.
    fn call(
        &mut self,
        function: &str,
        message: &Message,
        tag: Option<&Bits>,
        decide: &mut dyn FnMut(&mut Graph, Lit) -> Option<bool>,
    ) -> Result<u32> {
        let function = self.image.function(&format!("twine{}_otr_{function}", self.key_bits))?;
        let m = &mut self.machine.memory;
        let tag_rights = if tag.is_some() { Rights::Read } else { Rights::Write };
        let none = Vec::new();
        for (name, address, bits, size, rights) in [
            ("nonce", NONCE, &message.nonce, 7, Rights::Read),
            ("data", DATA, &message.data, message.data.len() / 8, Rights::Read),
            ("buffer", BUFFER, &message.text, message.text.len() / 8, Rights::Write),
            ("tag", TAG, tag.unwrap_or(&none), 8, tag_rights),
        ] {
            m.forget(name);
            m.allow(name, address, size, rights);
            m.set(address, bits);
        }
        let length = |bits: &Bits| bits.len() as u64 / 8;
        let arguments =
            [CONTEXT, NONCE, DATA, length(&message.data), BUFFER, length(&message.text), TAG];
        Ok(self.machine.call_deciding(function, &arguments, decide)?)
    }

    fn text(&self, message: &Message) -> Option<Bits> {
        self.machine.memory.get(BUFFER, message.text.len() / 8)
    }

    /// Whether sealing makes the ciphertext and the tag of the paper.
    ///
    /// # Errors
    /// If the function faults, or is not there.
    pub fn seal(&mut self, length: usize, data: usize) -> Result<bool> {
        let message = self.message(length, data);
        let (ciphertext, tag) = self.specify(Direction::Seal, &message);
        let status = self.call("seal", &message, None, &mut |_, _| None)?;
        Ok(status == OK && self.text(&message) == Some(ciphertext) && self.machine.memory.get(TAG, 8) == Some(tag))
    }

    /// Whether opening accepts exactly if the tag is that of the paper, then makes the plaintext of the paper, and otherwise leaves
    /// zeros.
    ///
    /// # Errors
    /// If the function faults, or is not there.
    pub fn open(&mut self, length: usize, data: usize) -> Result<bool> {
        let message = self.message(length, data);
        let (plaintext, expected) = self.specify(Direction::Open, &message);
        let tag = nearly(&mut self.machine.graph, &expected);
        let differs = differs(&mut self.machine.graph, &tag, &expected);
        for accepted in [true, false] {
            let mut decisions = 0;
            let status = self.call("open", &message, Some(&tag), &mut |_, condition| {
                decisions += 1;
                // No other decision is taken.
                if condition == differs {
                    Some(!accepted)
                } else {
                    (condition == !differs).then_some(accepted)
                }
            })?;
            let text = if accepted { plaintext.clone() } else { bits::constant(0, plaintext.len()) };
            let expected_status = if accepted { OK } else { FORGED };
            if decisions != 1 || status != expected_status || self.text(&message) != Some(text) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Inputs that look like `bits`, with one of them another or none: nothing would show what depends on whether words of random
/// bits are equal. As with all signatures, this only guides the search.
fn nearly(g: &mut Graph, bits: &[Lit]) -> Bits {
    let different = |sample: usize| if sample % 3 == 0 { None } else { Some(sample / 3 * 5 % bits.len()) };
    bits.iter()
        .enumerate()
        .map(|(at, &bit)| {
            let mut signature: Signature = g.signature(bit);
            for sample in 0..SAMPLES {
                if different(sample) == Some(at) {
                    signature[sample / 64] ^= 1 << (sample % 64);
                }
            }
            g.input_with(signature)
        })
        .collect()
}

/// Whether two tags differ; byte by byte, so that other ways to say it can merge.
fn differs(g: &mut Graph, a: &[Lit], b: &[Lit]) -> Lit {
    let mut all_equal = Lit::ONE;
    for (a, b) in a.chunks(8).zip(b.chunks(8)) {
        let difference = g.xor_bits(a, b);
        let equal = !g.any(&difference);
        all_equal = g.and(all_equal, equal);
    }
    !all_equal
}

/// Lengths of message and associated data in bytes: each way through the mode, and more than a batch of pairs on most backends.
const LENGTHS: [(usize, usize); 7] = [(0, 0), (5, 3), (8, 8), (16, 0), (23, 17), (32, 24), (61, 9)];

/// The claims on messages.
pub(super) fn run(job: &Job, image: &Arc<Image>) -> Found {
    let start = Instant::now();
    let mut keyed = match Keyed::new(image, job.level, job.key_bits) {
        Ok(keyed) => keyed,
        Err(fault) => return job.no_key(&fault),
    };
    let mut claims = Vec::new();
    let (mut set_up, mut seconds) = (keyed.machine.executed, start.elapsed().as_secs_f64());
    for (length, data) in LENGTHS {
        for seals in [true, false] {
            let what = if seals { "seal" } else { "open" };
            let name = format!("TWINE-{}-OTR: {what} {length} B, {data} B of associated data", job.key_bits);
            let mut claim = job.claim(
                name,
                &mut keyed,
                |keyed| &keyed.machine,
                |keyed| if seals { keyed.seal(length, data) } else { keyed.open(length, data) },
            );
            claim.instructions += std::mem::take(&mut set_up);
            claim.seconds += std::mem::take(&mut seconds);
            claims.push(claim);
        }
    }
    Found { claims, instructions: keyed.machine.instructions() }
}
