//! Whole messages, sealed and opened by the functions of the C interface, whatever the block cipher is.
//!
//! The kernels are taken as a function of which nothing is known ([`Cipher`]), in key set-up too. That they are TWINE under that
//! key is proved besides, for each way in which they were called.

use super::{
    Found, Job,
    blocks::{self, CONTEXT, FIXED_SIZE, Keyed, context_size, set_up},
    counted::{BLOCK_LIMIT, Counted, Counts, FAILURE_LIMIT, WINDOW},
};
use crate::{
    bits::{self, Bits},
    elf::Image,
    graph::{Graph, Lit},
    isa::Isa,
    machine::{Machine, Stack},
    memory::{Memory, Rights},
    spec::{
        Block, Byte,
        otr::{self, Rules},
        to_bytes,
        uninterpreted::{Cipher, Shape},
    },
};
use anyhow::{Context as _, Result, bail, ensure};
use std::{collections::BTreeMap, sync::Arc};

pub use crate::spec::otr::{AdProcessing, Direction};

const NONCE: u64 = 0xa001_0000;
const AD: u64 = 0xa002_0000;
const BUFFER: u64 = 0xa003_0000;
const TAG: u64 = 0xa004_0000;
pub(super) const NONCE_SIZE: usize = 7;
pub(super) const TAG_SIZE: usize = 8;

/// A graph with more nodes is left for an empty one.
pub(super) const MOST_NODES: usize = 1_000_000;

/// What `open` returns if the tags differ.
pub(super) const ERR_AUTHENTICATION: u32 = -3i32 as u32;
/// What an opener's returns for a message that it has opened.
pub(super) const ERR_REPLAYED: u32 = -6i32 as u32;
/// What it returns for a message that is too old to know whether it has.
pub(super) const ERR_TOO_OLD: u32 = -7i32 as u32;

/// The lengths of a message and its associated data, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lengths {
    /// Of the message.
    pub text: usize,
    /// Of the associated data.
    pub ad: usize,
}

impl Lengths {
    /// The blocks that a message counts, as the documentation of the library has it.
    pub(super) fn blocks(self) -> u32 {
        let blocks = |bytes: usize| bytes.div_ceil(8).max(1) as u32;
        1 + blocks(self.ad) + blocks(self.text)
    }
}

/// Which lengths are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// Every pair of 0 to 48 bytes of message and 0 to 24 bytes of data, and long ones.
    All,
    /// Those around multiples of the block size; with serial and combined data, which differ in the data alone, few of messages.
    Edges,
}

impl Selection {
    fn short(self, processing: AdProcessing) -> Vec<Lengths> {
        match (self, processing) {
            (Self::All, _) => pairs(&(0..=48).collect::<Vec<_>>(), &(0..=24).collect::<Vec<_>>()),
            (Self::Edges, AdProcessing::Parallel) => {
                pairs(&[0, 1, 7, 8, 9, 15, 16, 17, 24, 25, 31, 32, 33, 48], &[0, 1, 8, 9, 16, 24])
            }
            (Self::Edges, _) => pairs(&[1, 16], &[0, 1, 7, 8, 9, 15, 16, 17, 24, 25, 31, 33]),
        }
    }

    /// Around what `batch` blocks hold, and between.
    fn long(self, batch: usize, processing: AdProcessing) -> Vec<Lengths> {
        let bytes = 8 * batch;
        match (self, processing) {
            (Self::All, _) => pairs(
                &[64, 79, 121, 128, 130, 255, 256, 271, bytes, bytes + 9, 2 * bytes, 2 * bytes + 17],
                &[0, 13, 64, bytes - 8, bytes, 2 * bytes + 1],
            ),
            (Self::Edges, AdProcessing::Parallel) => {
                pairs(&[64, 130, bytes + 9, 2 * bytes + 17], &[0, bytes + 3])
            }
            (Self::Edges, _) => pairs(&[bytes + 9], &[64, bytes + 3, 2 * bytes + 17]),
        }
    }
}

/// Without repetitions, by the length of the message.
pub(super) fn pairs(texts: &[usize], ads: &[usize]) -> Vec<Lengths> {
    let mut all: Vec<Lengths> =
        texts.iter().flat_map(|&text| ads.iter().map(move |&ad| Lengths { text, ad })).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// Whose functions seal and open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interface {
    /// A context's, which get each nonce.
    Context,
    /// A sealer's, which count them, and only seal.
    Sealer,
    /// An opener's, which open each of these messages once.
    Opener,
}

impl Interface {
    /// The limits that functions get which set up a key, if nonces are counted: of blocks, of failures, and of the window.
    pub(super) fn limits(self) -> Option<&'static [u64]> {
        match self {
            Self::Context => None,
            Self::Sealer => Some(&[BLOCK_LIMIT]),
            Self::Opener => Some(&[BLOCK_LIMIT, FAILURE_LIMIT, WINDOW]),
        }
    }
}

/// What is in functions' names between the cipher and what they do.
pub(super) fn prefix(interface: Interface, processing: AdProcessing) -> String {
    let processing = match processing {
        AdProcessing::Parallel => "",
        AdProcessing::Serial => "serial_",
        AdProcessing::Combined => "combined_",
    };
    let interface = match interface {
        Interface::Context => "otr_",
        Interface::Sealer => "sealer_",
        Interface::Opener => "opener_",
    };
    format!("{processing}{interface}")
}

/// Inputs that all messages share: what is proved of them is proved of any.
#[derive(Debug, Default)]
pub(super) struct Inputs {
    pub(super) nonce: Vec<Byte>,
    pub(super) ad: Vec<Byte>,
    pub(super) text: Vec<Byte>,
    pub(super) tag: Vec<Byte>,
}

impl Inputs {
    /// At least as many as asked for.
    pub(super) fn reserve(&mut self, g: &mut Graph, lengths: Lengths) {
        let wanted = [
            (&mut self.nonce, NONCE_SIZE),
            (&mut self.ad, lengths.ad),
            (&mut self.text, lengths.text),
            (&mut self.tag, TAG_SIZE),
        ];
        for (bytes, count) in wanted {
            let missing = count.saturating_sub(bytes.len());
            bytes.extend(to_bytes(&g.inputs(8 * missing)));
        }
    }

    /// Makes the nonce that of a counter.
    pub(super) fn set_counter(&mut self, counter: &[Lit]) {
        let bytes = counter.as_chunks::<8>().0;
        for (to, &byte) in self.nonce[FIXED_SIZE..].iter_mut().rev().zip(bytes) {
            *to = byte;
        }
    }

    /// Lays nonce, data, buffer and tag at different places in words, and returns the addresses. Results may be written, and are not set.
    pub(super) fn place(&self, memory: &mut Memory, lengths: Lengths, results: &[&str]) -> [u64; 4] {
        let offset = (lengths.text + lengths.ad) as u64 % 8;
        let at = [NONCE + offset, AD + (offset ^ 3), BUFFER + offset, TAG + (offset ^ 5)];
        let inputs = [
            ("nonce", &self.nonce[..]),
            ("data", &self.ad[..lengths.ad]),
            ("buffer", &self.text[..lengths.text]),
            ("tag", &self.tag[..]),
        ];
        for ((name, bytes), at) in inputs.into_iter().zip(at) {
            let is_result = results.contains(&name);
            let rights = if is_result || name == "buffer" { Rights::Write } else { Rights::Read };
            memory.forget(name);
            memory.allow(name, at, bytes.len(), rights);
            if !is_result {
                memory.set(at, bytes.as_flattened());
            }
        }
        at
    }

    /// The counter in the nonce.
    fn counter(&self) -> Bits {
        self.nonce[FIXED_SIZE..].iter().rev().flatten().copied().collect()
    }
}

/// A context with a key of which nothing is known, and what is proved of the kernels that work with it.
#[derive(Debug)]
pub struct Messages<I: Isa> {
    /// The processor.
    pub machine: Machine<I>,
    image: Arc<Image>,
    key_bits: usize,
    interface: Interface,
    processing: AdProcessing,
    counted: Option<Counted>,
    keyed: Keyed<I>,
    inputs: Inputs,
    /// The rules of the mode.
    pub rules: Rules,
    /// The greatest stack of a message so far, kernels included.
    pub most_stack: u64,
    /// What the kernels take of the stack, for each way in which they were called.
    kernels: BTreeMap<Shape, Stack>,
    /// The kernels that were called, with the most blocks that one got.
    kernels_called: BTreeMap<u64, u64>,
}

impl<I: Isa> Messages<I> {
    /// Sets up a key of which nothing is known.
    ///
    /// # Errors
    /// If the function faults, or reports an error, or the file does not tell where the kernels are.
    pub fn new(
        image: &Arc<Image>,
        isa: I,
        key_bits: usize,
        interface: Interface,
        processing: AdProcessing,
    ) -> Result<Self> {
        let keyed = Keyed::new(image, isa, key_bits, Some((interface, processing)))?;
        let kernels = image.kernels("encrypt");
        ensure!(!kernels.is_empty(), "the file does not name the kernels of the cipher");
        let mut machine = Machine::new(Arc::clone(image), isa);
        machine.cipher = Some(Cipher::new(kernels));
        let size = context_size(image, Some(interface));
        machine.memory.allow("context", CONTEXT, size, Rights::Write);
        // Where data are processed before the nonce, it cannot be enciphered ahead.
        let can_prepare = processing != AdProcessing::Combined;
        let counted =
            interface.limits().map(|_| Counted::new(interface, can_prepare, CONTEXT..CONTEXT + size as u64));
        let mut messages = Self {
            machine,
            image: Arc::clone(image),
            key_bits,
            interface,
            processing,
            counted,
            keyed,
            inputs: Inputs::default(),
            rules: otr::PAPER,
            most_stack: 0,
            kernels: BTreeMap::new(),
            kernels_called: BTreeMap::new(),
        };
        messages.restart()?;
        messages.find_counts()?;
        Ok(messages)
    }

    /// Processes a few messages to find where the context holds the counts, and sets up another key.
    fn find_counts(&mut self) -> Result<()> {
        let lengths = Lengths { text: 20, ad: 3 };
        let are_right = match self.interface {
            Interface::Context => return Ok(()),
            Interface::Sealer => self.seal(lengths)?,
            // The second one is late, and so goes into the window.
            Interface::Opener => self.open_counted(lengths, 1)? && self.open_counted(lengths, 0)?,
        };
        ensure!(are_right, "the first messages are not those of the specification");
        self.counted.as_mut().expect("nonces are counted").find()?;
        self.restart()
    }

    /// The counts of a sealer or an opener, which a test may make wrong.
    pub fn counts(&mut self) -> Option<&mut Counts> {
        self.counted.as_mut().map(|counted| &mut counted.counts)
    }

    fn function(&self, name: &str) -> String {
        format!("twine{}_{}{name}", self.key_bits, prefix(self.interface, self.processing))
    }

    /// Begins with an empty graph, as that of many messages is large, and sets up a key of which nothing is known.
    ///
    /// # Errors
    /// As of [`Self::new`].
    pub fn restart(&mut self) -> Result<()> {
        let function = self.image.set_up(&self.function("init"))?;
        let m = &mut self.machine;
        m.restart();
        self.inputs = Inputs::default();
        let key = m.graph.inputs(self.key_bits);
        self.inputs.reserve(&mut m.graph, Lengths { text: 0, ad: 0 });
        let fixed = self.inputs.nonce[..FIXED_SIZE].as_flattened();
        set_up(m, function, &key, self.interface.limits().map(|limits| (fixed, limits)))?;
        if let Some(counted) = &mut self.counted {
            m.memory.set_rights("context", Rights::Write);
            counted.start(&m.graph, &mut m.memory);
            counted.check(&m.graph, &m.memory)?;
            if self.interface == Interface::Sealer && counted.is_found() {
                // Of a nonce's counter nothing is known.
                let mut counter = m.graph.inputs(8 * (NONCE_SIZE - FIXED_SIZE));
                counter.resize(32, Lit::ZERO);
                counted.set_counter(&mut m.memory, counter);
            }
        }
        self.check_kernels()
    }

    /// Whether the function makes of a message of these lengths what the paper does, and nothing else.
    ///
    /// # Errors
    /// If the function faults, or is not there.
    pub fn check(&mut self, direction: Direction, lengths: Lengths) -> Result<bool> {
        match direction {
            Direction::Seal => self.seal(lengths),
            Direction::Open => match &mut self.counted {
                None => self.open(lengths),
                Some(counted) => {
                    let counter = counted.any_counter();
                    self.open_counted(lengths, counter)
                }
            },
        }
    }

    /// What the paper makes of the inputs.
    fn specify(&mut self, direction: Direction, lengths: Lengths) -> (Bits, Block) {
        let Machine { graph, cipher, .. } = &mut self.machine;
        let cipher = cipher.as_mut().expect("the cipher is not executed");
        self.inputs.reserve(graph, lengths);
        let Inputs { nonce, ad, text, .. } = &self.inputs;
        let (other, tag) = otr::crypt(
            &self.rules,
            graph,
            &mut |g, block| cipher.encrypt(g, block),
            self.processing,
            direction,
            nonce,
            &ad[..lengths.ad],
            &text[..lengths.text],
        );
        (other.into_flattened(), tag)
    }

    /// Calls the function.
    fn call(
        &mut self,
        direction: Direction,
        lengths: Lengths,
        decide: &mut dyn FnMut(&mut Graph, Lit) -> Option<bool>,
    ) -> Result<(u32, Bits, Option<Bits>)> {
        let name = match direction {
            Direction::Seal => "seal",
            Direction::Open => "open",
        };
        let function = self.image.function(&self.function(name))?;
        let m = &mut self.machine;
        if let Some(cipher) = &mut m.cipher {
            // Those of a call that did not return.
            cipher.calls.clear();
        }
        let returns_nonce = self.interface == Interface::Sealer;
        let results: &[&str] = match direction {
            Direction::Seal if returns_nonce => &["nonce", "tag"],
            Direction::Seal => &["tag"],
            Direction::Open => &[],
        };
        let [nonce, ad, buffer, tag] = self.inputs.place(&mut m.memory, lengths, results);
        let (ad_size, size) = (lengths.ad as u64, lengths.text as u64);
        let arguments = if returns_nonce {
            [CONTEXT, ad, ad_size, buffer, size, nonce, tag]
        } else {
            [CONTEXT, nonce, ad, ad_size, buffer, size, tag]
        };
        let status = m.call_deciding(function, &arguments, decide)?;
        self.check_kernels()?;
        let m = &self.machine;
        let expected = self.inputs.nonce.as_flattened();
        ensure!(
            m.memory.get(nonce, NONCE_SIZE).as_deref() == Some(expected),
            "the nonce is not that of the counter"
        );
        let Some(text) = m.memory.get(buffer, lengths.text) else { bail!("the buffer is not written") };
        Ok((status, text, m.memory.get(tag, TAG_SIZE)))
    }

    fn seal(&mut self, lengths: Lengths) -> Result<bool> {
        let m = &mut self.machine;
        if let Some(counted) = &self.counted {
            self.inputs.reserve(&mut m.graph, lengths);
            self.inputs.set_counter(&counted.counts.counter);
        }
        let (text, tag) = self.specify(Direction::Seal, lengths);
        let found = self.call(Direction::Seal, lengths, &mut |_, _| None)?;
        if let Some(counted) = &mut self.counted {
            let m = &mut self.machine;
            let counts = &mut counted.counts;
            counts.used += lengths.blocks();
            let one = bits::constant(1, counts.counter.len());
            counts.counter = m.graph.add(&counts.counter, &one, Lit::ZERO).bits;
            // What was prepared serves once. Then the next one is, if there was room.
            let prepares = !counted.is_found() || counted.is_prepared(&m.memory);
            self.prepare(prepares, |counted| counted.counts.counter.clone());
            self.check_counts()?;
        }
        Ok(found == (0, text, Some(tag.as_flattened().to_vec())))
    }

    /// The next nonce is enciphered ahead, or none.
    fn prepare(&mut self, prepares: bool, counter: impl FnOnce(&Counted) -> Bits) {
        let Some(counted) = &mut self.counted else { return };
        let Machine { graph, cipher, .. } = &mut self.machine;
        let cipher = cipher.as_mut().expect("the cipher is not executed");
        counted.counts.prepared = (prepares && counted.can_prepare).then(|| {
            let mut inputs = Inputs { nonce: self.inputs.nonce.clone(), ..Inputs::default() };
            inputs.set_counter(&counter(counted));
            let block = otr::nonce_block(&self.rules, &inputs.nonce);
            [block, cipher.encrypt(graph, &block)]
        });
    }

    /// The context has to hold the counts, and otherwise what set-up has put there.
    fn check_counts(&mut self) -> Result<()> {
        let m = &self.machine;
        match &mut self.counted {
            Some(counted) if counted.is_found() => counted.check(&m.graph, &m.memory),
            Some(counted) => {
                counted.observe(&m.graph, &m.memory);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Opens with an opener a message whose tag differs, then one whose tag does not, and then it again; and one that is too old.
    fn open_counted(&mut self, lengths: Lengths, counter: u64) -> Result<bool> {
        self.inputs.reserve(&mut self.machine.graph, lengths);
        self.inputs.set_counter(&bits::constant(counter, 32));
        if !self.open(lengths)? {
            return Ok(false);
        }
        let next = self.counts().expect("nonces are counted").next();
        let too_old = next.checked_sub(WINDOW + 2).map(|counter| (counter, ERR_TOO_OLD));
        for (counter, error) in [(counter, ERR_REPLAYED)].into_iter().chain(too_old) {
            self.inputs.set_counter(&bits::constant(counter, 32));
            let (status, found, _) = self.call(Direction::Open, lengths, &mut |_, _| None)?;
            if (status, found) != (error, bits::constant(0, 8 * lengths.text)) {
                return Ok(false);
            }
            self.check_counts()?;
        }
        Ok(true)
    }

    /// What a message, whose tag differs or not, changes in an opener.
    fn count_opened(&mut self, lengths: Lengths, differ: bool) -> Result<()> {
        let counter = bits::value(&self.inputs.counter());
        if let Some(counts) = self.counts() {
            counts.used += lengths.blocks();
            if differ {
                counts.failures += 1;
            } else {
                counts.opened.insert(counter.context("an opener's counter is known")?);
                self.prepare(true, |counted| bits::constant(counted.counts.next(), 32));
            }
        }
        self.check_counts()
    }

    /// Opens twice: if the tags differ, and if not. This is the only decision, though it may be looked at more than once.
    fn open(&mut self, lengths: Lengths) -> Result<bool> {
        let (text, tag) = self.specify(Direction::Open, lengths);
        let differences = self.machine.graph.xor_bits(self.inputs.tag.as_flattened(), tag.as_flattened());
        // The cases of `is_any` begin with the highest word: where code negates a number of several words, they decide what is borrowed
        // from it.
        let words = differences.chunks(8 * I::ABI.word).rev();
        let differences = words.flatten().copied().collect::<Bits>();
        for differ in [true, false] {
            let mut decisions = 0;
            let decide = &mut |g: &mut Graph, condition: Lit| {
                decisions += 1;
                let same = |g: &mut Graph, condition| g.is_any(condition, &differences);
                if same(g, condition) {
                    Some(differ)
                } else if same(g, !condition) {
                    Some(!differ)
                } else {
                    None
                }
            };
            let (status, found, _) = self.call(Direction::Open, lengths, decide)?;
            let expected = if differ {
                (ERR_AUTHENTICATION, bits::constant(0, 8 * lengths.text))
            } else {
                (0, text.clone())
            };
            if (status, found) != expected {
                return Ok(false);
            }
            ensure!(decisions > 0, "nothing depends on whether the tags differ");
            self.count_opened(lengths, differ)?;
        }
        Ok(true)
    }

    /// Proves of each way in which kernels were called since the last time that they are TWINE.
    fn check_kernels(&mut self) -> Result<()> {
        self.most_stack = self.most_stack.max(self.machine.most_stack);
        let cipher = self.machine.cipher.as_mut().expect("the cipher is not executed");
        for ((shape, _), call) in std::mem::take(&mut cipher.calls) {
            let most = self.kernels_called.entry(call.kernel).or_default();
            *most = call.count.max(*most);
            let stack = match self.kernels.get(&shape) {
                Some(&stack) => stack,
                None => *self.kernels.entry(shape).or_insert(self.keyed.check_kernel(&call)?),
            };
            self.most_stack = self.most_stack.max(self.machine.stack_at(call.pointer) + stack.taken);
            self.machine.check_erased_below(call.pointer, stack.secret)?;
        }
        Ok(())
    }
}

/// The claims on messages, short ones and long ones.
pub(super) fn run<I: Isa>(
    job: &Job,
    isa: I,
    image: &Arc<Image>,
    interface: Interface,
    processing: AdProcessing,
    selection: Selection,
) -> Found {
    let mut messages = match Messages::new(image, isa, job.key_bits, interface, processing) {
        Ok(messages) => messages,
        Err(fault) => return job.no_key(&fault),
    };
    let mut claims = Vec::new();
    for (what, all) in
        [("short", selection.short(processing)), ("long", selection.long(job.target.batch, processing))]
    {
        for direction in [Direction::Seal, Direction::Open] {
            let verb = match (interface, direction) {
                (Interface::Context, Direction::Seal) => "seal",
                (Interface::Context, Direction::Open) => "open",
                (Interface::Sealer, Direction::Seal) => "sealer",
                (Interface::Opener, Direction::Open) => "opener",
                (Interface::Sealer, Direction::Open) | (Interface::Opener, Direction::Seal) => continue,
            };
            if !job.claims(image, if direction == Direction::Seal { "seal" } else { "open" }) {
                continue;
            }
            let processed = match processing {
                AdProcessing::Parallel => "",
                AdProcessing::Serial => "serial, ",
                AdProcessing::Combined => "combined, ",
            };
            let name = format!(
                "TWINE-{}-OTR: {processed}{verb}, {} {what} pairs of lengths",
                job.key_bits,
                all.len()
            );
            claims.push(job.claim(
                name,
                &mut messages,
                |messages| (messages.machine.executed, messages.most_stack),
                |messages| {
                    for &lengths in &all {
                        if messages.machine.graph.len() > MOST_NODES {
                            messages.restart()?;
                        }
                        let at = |what| {
                            format!("{what}, with {} B of message and {} B of data", lengths.text, lengths.ad)
                        };
                        let is_right = messages.check(direction, lengths).and_then(|is_right| {
                            let called = std::mem::take(&mut messages.kernels_called);
                            job.target.check_kernels(image, blocks::Direction::Encrypt, &called, None)?;
                            Ok(is_right)
                        });
                        match is_right {
                            Ok(true) => {}
                            Ok(false) => {
                                bail!(at("the results are not those of the specification".to_owned()))
                            }
                            Err(fault) => bail!(at(format!("{fault:#}"))),
                        }
                    }
                    Ok(true)
                },
            ));
        }
    }
    let mut encodings = messages.machine.encodings();
    encodings.extend(messages.keyed.machine.encodings());
    Found { claims, encodings }
}
