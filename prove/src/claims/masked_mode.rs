//! Whole messages of sealers and openers with two shares, whatever the block cipher is, for all masks.
//!
//! What works with round keys is not executed ([`Shared`]); the proofs about [`masked`] say that it does what is taken to be done. Everything else of
//! the mode is executed as it is linked.

use super::{
    Found, Job,
    blocks::{CONTEXT, FIXED_SIZE},
    counted::{BLOCK_LIMIT, Counted, Counts, FAILURE_LIMIT, WINDOW},
    masked::{self, ENCRYPT, Masked, REFRESH},
    mode::{
        AdProcessing, Direction, ERR_AUTHENTICATION, ERR_REPLAYED, ERR_TOO_OLD, Inputs, Interface, Lengths,
        MOST_NODES, NONCE_SIZE, Selection, TAG_SIZE, pairs,
    },
};
use crate::{
    bits::{self, Bits},
    elf::Image,
    graph::Lit,
    isa::Isa,
    machine::Machine,
    memory::Rights,
    spec::{
        Block,
        otr::{self, Rules},
        shared::{Function, Generator, KEYS_SIZE, Shared},
    },
};
use anyhow::{Context as _, Result, bail, ensure};
use std::{collections::BTreeMap, sync::Arc};

/// What a function returns if there are no random bytes.
const ERR_RANDOM: u32 = -17i32 as u32;
/// Blocks that an opener counts for each attempt, beside those that one without masks counts.
const COMPARISON: u32 = 2;

/// The size of a sealer or an opener, as C declares it.
const CONTEXT_SIZE: usize = 8 * 276;
const KEY: u64 = 0xa000_8000;
const FIXED: u64 = 0xa000_9001;
/// The caller's function for random bytes, and what it gets.
const RANDOM: u64 = 0x7100_0000;
const RANDOM_CONTEXT: u64 = 0x7200_0003;

/// The functions of a sealer or an opener, the one that sets up a key first.
pub(super) fn functions(key_bits: usize, direction: Direction) -> [String; 2] {
    let (of, processes) = match direction {
        Direction::Seal => ("sealer", "seal"),
        Direction::Open => ("opener", "open"),
    };
    ["init", processes].map(|name| format!("twine{key_bits}_masked_{of}_{name}"))
}

/// A sealer or an opener with a key of which nothing is known.
#[derive(Debug)]
pub struct MaskedMessages<I: Isa> {
    /// The processor.
    pub machine: Machine<I>,
    image: Arc<Image>,
    key_bits: usize,
    direction: Direction,
    inputs: Inputs,
    counted: Counted,
    /// The rules of the mode.
    pub rules: Rules,
    /// What the kernels take of the stack.
    stacks: BTreeMap<Function, u64>,
    /// The greatest stack of a message so far, kernels included.
    pub most_stack: u64,
}

impl<I: Isa> MaskedMessages<I> {
    /// Sets up a key of which nothing is known: of a sealer to seal, or of an opener. The kernels take these sizes of stack.
    ///
    /// # Errors
    /// If the function faults, or reports an error, or the file does not have the kernels.
    pub fn new(
        image: &Arc<Image>,
        isa: I,
        key_bits: usize,
        direction: Direction,
        stacks: BTreeMap<Function, u64>,
    ) -> Result<Self> {
        let mut machine = Machine::new(Arc::clone(image), isa);
        let functions = BTreeMap::from([
            (image.function(&masked::schedule(key_bits))?, Function::Schedule),
            (image.function(REFRESH)?, Function::Refresh),
            (image.function(ENCRYPT)?, Function::Encrypt),
            (RANDOM, Function::Random),
        ]);
        machine.shared = Some(Shared::new(functions, Masked::<I>::constants(image)?));
        machine.memory.allow("context", CONTEXT, CONTEXT_SIZE, Rights::Write);
        let interface = if direction == Direction::Seal { Interface::Sealer } else { Interface::Opener };
        let counted = Counted::new(interface, false, CONTEXT..CONTEXT + CONTEXT_SIZE as u64);
        let mut messages = Self {
            machine,
            image: Arc::clone(image),
            key_bits,
            direction,
            inputs: Inputs::default(),
            counted,
            rules: otr::PAPER,
            stacks,
            most_stack: 0,
        };
        messages.restart()?;
        // A few messages, to find where the counts are; of an opener the second one is late, and so goes into the window.
        let lengths = Lengths { text: 20, ad: 3 };
        let are_right = match direction {
            Direction::Seal => messages.seal(lengths)?,
            Direction::Open => messages.open(lengths, 1)? && messages.open(lengths, 0)?,
        };
        ensure!(are_right, "the first messages are not those of the specification");
        messages.counted.find()?;
        messages.restart()?;
        Ok(messages)
    }

    /// What is done instead of the kernels.
    fn shared(&mut self) -> &mut Shared {
        self.machine.shared.as_mut().expect("kernels are not executed")
    }

    /// Begins with an empty graph, and sets up a key of which nothing is known.
    ///
    /// # Errors
    /// As of [`Self::new`].
    pub fn restart(&mut self) -> Result<()> {
        let [init, _] = functions(self.key_bits, self.direction);
        let function = self.image.function(&init)?;
        self.machine.restart();
        self.machine.memory.set_rights("context", Rights::Write);
        self.inputs = Inputs::default();
        let key = self.machine.graph.inputs(self.key_bits);
        self.shared().key.clone_from(&key);
        let m = &mut self.machine;
        self.inputs.reserve(&mut m.graph, Lengths { text: 0, ad: 0 });
        let behind = self.key_bits.next_multiple_of(32) - self.key_bits;
        let shares = masked::share(m, &key).map(|mut share| {
            share.extend(m.graph.inputs(behind));
            share
        });
        let fixed = self.inputs.nonce[..FIXED_SIZE].as_flattened();
        for (name, at, bits) in [("key", KEY, &shares.concat()[..]), ("fixed", FIXED, fixed)] {
            m.memory.allow(name, at, bits.len() / 8, Rights::Read);
            m.memory.set(at, bits);
        }
        let limits: &[u64] = match self.direction {
            Direction::Seal => &[BLOCK_LIMIT],
            Direction::Open => &[BLOCK_LIMIT, FAILURE_LIMIT, WINDOW],
        };
        let random = [RANDOM | I::ABI.code_mark, RANDOM_CONTEXT];
        let status = m.call(function, &[&[CONTEXT, KEY, FIXED], limits, &random].concat())?;
        ensure!(status == 0, "key set-up returns {status}");
        m.memory.forget("key");
        m.memory.forget("fixed");
        let keys = self.shared().keys_at().context("key set-up makes no round keys")?;
        self.counted.round_keys = keys..keys + KEYS_SIZE as u64;
        let m = &mut self.machine;
        self.counted.start(&m.graph, &mut m.memory);
        self.counted.check(&m.graph, &m.memory)?;
        if self.direction == Direction::Seal && self.counted.is_found() {
            // Of a nonce's counter nothing is known.
            let mut counter = m.graph.inputs(8 * (NONCE_SIZE - FIXED_SIZE));
            counter.resize(32, Lit::ZERO);
            self.counted.set_counter(&mut m.memory, counter);
        }
        self.check_stack()
    }

    /// The counts, which a test may make wrong.
    pub fn counts(&mut self) -> &mut Counts {
        &mut self.counted.counts
    }

    /// The context has to hold the counts, and otherwise what set-up has put there.
    fn check_counts(&mut self) -> Result<()> {
        let m = &self.machine;
        if self.counted.is_found() {
            return self.counted.check(&m.graph, &m.memory);
        }
        self.counted.observe(&m.graph, &m.memory);
        Ok(())
    }

    /// What the kernels may have left on the stack must be erased.
    fn check_stack(&mut self) -> Result<()> {
        self.most_stack = self.most_stack.max(self.machine.most_stack);
        for (function, pointer) in std::mem::take(&mut self.shared().calls) {
            let m = &self.machine;
            let taken = self.stacks[&function];
            self.most_stack = self.most_stack.max(m.stack_at(pointer) + taken);
            m.check_erased_below(pointer, taken)?;
        }
        Ok(())
    }

    /// What the paper makes of the inputs, with the nonce of this counter.
    fn specify(&mut self, lengths: Lengths, counter: &[Lit]) -> (Bits, Block) {
        let Machine { graph, shared, .. } = &mut self.machine;
        let cipher = &mut shared.as_mut().expect("kernels are not executed").cipher;
        self.inputs.reserve(graph, lengths);
        self.inputs.set_counter(counter);
        let Inputs { nonce, ad, text, .. } = &self.inputs;
        let (other, tag) = otr::crypt(
            &self.rules,
            graph,
            &mut |g, block| cipher.encrypt(g, block),
            AdProcessing::Parallel,
            self.direction,
            nonce,
            &ad[..lengths.ad],
            &text[..lengths.text],
        );
        (other.into_flattened(), tag)
    }

    /// Calls the function.
    fn call(&mut self, lengths: Lengths) -> Result<(u32, Bits, Option<Bits>)> {
        let seals = self.direction == Direction::Seal;
        let [_, processes] = functions(self.key_bits, self.direction);
        let function = self.image.function(&processes)?;
        let shared = self.shared();
        shared.calls.clear();
        shared.comparisons = 0;
        let m = &mut self.machine;
        let results: &[&str] = if seals { &["nonce", "tag"] } else { &[] };
        let [nonce, ad, buffer, tag] = self.inputs.place(&mut m.memory, lengths, results);
        let (ad_size, size) = (lengths.ad as u64, lengths.text as u64);
        let arguments = if seals {
            [CONTEXT, ad, ad_size, buffer, size, nonce, tag]
        } else {
            [CONTEXT, nonce, ad, ad_size, buffer, size, tag]
        };
        let status = m.call(function, &arguments)?;
        self.check_stack()?;
        let bytes = if seals { 160 } else { 320 } + if lengths.ad > 0 { 96 } else { 0 };
        let asked = self.shared().asked.take();
        // A message that is too old is refused before that.
        let expected = (status != ERR_TOO_OLD).then_some((RANDOM_CONTEXT, bytes));
        ensure!(asked == expected, "{asked:x?} is asked for random bytes, not {expected:x?}");
        let m = &self.machine;
        let found_nonce = m.memory.get(nonce, NONCE_SIZE);
        if seals && status == ERR_RANDOM {
            ensure!(found_nonce.is_none(), "a nonce is written without random bytes");
        } else {
            let expected = Some(self.inputs.nonce.as_flattened());
            ensure!(found_nonce.as_deref() == expected, "the nonce is not that of the counter");
        }
        let Some(text) = m.memory.get(buffer, lengths.text) else { bail!("the buffer is not written") };
        Ok((status, text, m.memory.get(tag, TAG_SIZE)))
    }

    /// Whether the function makes of a message of these lengths what the paper does, and nothing else.
    ///
    /// # Errors
    /// If the function faults, or is not there, or a sealer or an opener does not hold what it should.
    pub fn check(&mut self, lengths: Lengths) -> Result<bool> {
        match self.direction {
            Direction::Seal => self.seal(lengths),
            Direction::Open => self.open(lengths, self.counted.any_counter()),
        }
    }

    /// Whether nothing but zeros in the buffer of what is opened comes of a call without random bytes.
    fn check_without_random(&mut self, lengths: Lengths) -> Result<bool> {
        let (text, tag) = match self.direction {
            Direction::Seal => (self.inputs.text[..lengths.text].as_flattened().to_vec(), None),
            Direction::Open => {
                (bits::constant(0, 8 * lengths.text), Some(self.inputs.tag.as_flattened().to_vec()))
            }
        };
        for generator in [Generator::Fails, Generator::LeavesPair] {
            self.shared().generator = generator;
            let found = self.call(lengths);
            self.shared().generator = Generator::Writes;
            if found? != (ERR_RANDOM, text.clone(), tag.clone()) {
                return Ok(false);
            }
            self.check_counts()?;
        }
        Ok(true)
    }

    /// Seals, with random bytes of both sorts.
    fn seal(&mut self, lengths: Lengths) -> Result<bool> {
        for generator in [Generator::Writes, Generator::WritesMarks] {
            let counter = self.counted.counts.counter.clone();
            let (text, tag) = self.specify(lengths, &counter);
            if !self.check_without_random(lengths)? {
                return Ok(false);
            }
            self.shared().generator = generator;
            let found = self.call(lengths);
            self.shared().generator = Generator::Writes;
            if found? != (0, text, Some(tag.as_flattened().to_vec())) {
                return Ok(false);
            }
            let counts = &mut self.counted.counts;
            counts.used += lengths.blocks();
            let one = bits::constant(1, counts.counter.len());
            counts.counter = self.machine.graph.add(&counts.counter, &one, Lit::ZERO).bits;
            self.check_counts()?;
        }
        Ok(true)
    }

    /// Opens a message whose tag differs, then one whose tag does not, and then it again; and one that is too old. The last forgery has random
    /// bytes of the other sort.
    fn open(&mut self, lengths: Lengths, counter: u64) -> Result<bool> {
        let (text, tag) = self.specify(lengths, &bits::constant(counter, 32));
        if !self.check_without_random(lengths)? {
            return Ok(false);
        }
        let difference = self.machine.graph.xor_bits(self.inputs.tag.as_flattened(), tag.as_flattened());
        let zeros = bits::constant(0, 8 * lengths.text);
        // The results of two blocks differ in the first word, the second or both, or are equal.
        for (differ, generator) in [
            ([true, true], Generator::Writes),
            ([false, true], Generator::Writes),
            ([true, false], Generator::WritesMarks),
            ([false, false], Generator::Writes),
        ] {
            let shared = self.shared();
            shared.compared = Some((difference.clone(), differ));
            shared.generator = generator;
            let found = self.call(lengths);
            let shared = self.shared();
            shared.compared = None;
            shared.generator = Generator::Writes;
            let comparisons = shared.comparisons;
            let is_genuine = differ == [false, false];
            let expected = if is_genuine { (0, &text) } else { (ERR_AUTHENTICATION, &zeros) };
            let (status, found, _) = found?;
            if (status, &found) != expected {
                return Ok(false);
            }
            ensure!(comparisons > 0, "nothing depends on whether the tags differ");
            let counts = &mut self.counted.counts;
            counts.used += lengths.blocks() + COMPARISON;
            if is_genuine {
                counts.opened.insert(counter);
            } else {
                counts.failures += 1;
            }
            self.check_counts()?;
        }
        let too_old = self.counted.counts.next().checked_sub(WINDOW + 2);
        for (counter, error) in
            [(counter, ERR_REPLAYED)].into_iter().chain(too_old.map(|counter| (counter, ERR_TOO_OLD)))
        {
            self.inputs.set_counter(&bits::constant(counter, 32));
            let (status, found, _) = self.call(lengths)?;
            if (status, &found) != (error, &zeros) {
                return Ok(false);
            }
            self.check_counts()?;
        }
        Ok(true)
    }
}

/// The claims on kernels, and on messages of sealers and openers.
pub(super) fn run<I: Isa>(job: &Job, isa: I, image: &Arc<Image>, selection: Selection) -> Found {
    let (Found { mut claims, mut encodings }, stacks) = masked::run(job, isa, image);
    let found = job.found_in(image);
    for (direction, name) in [(Direction::Seal, "sealer"), (Direction::Open, "opener")] {
        if job.found_only && !functions(job.key_bits, direction).iter().all(|name| found.contains(name)) {
            continue;
        }
        let mut messages = match MaskedMessages::new(image, isa, job.key_bits, direction, stacks.clone()) {
            Ok(messages) => messages,
            Err(fault) => {
                claims.extend(job.no_key(&fault).claims);
                continue;
            }
        };
        // Each message of an opener is opened several times.
        let all = match (selection, direction) {
            (Selection::All, _) => pairs(&[0, 5, 16, 27, 81], &[0, 8, 35]),
            (Selection::Edges, Direction::Seal) => pairs(&[5, 27], &[0, 11]),
            (Selection::Edges, Direction::Open) => pairs(&[27], &[11]),
        };
        claims.push(job.claim(
            format!("TWINE-{}-OTR, masked: {name}, {} pairs of lengths", job.key_bits, all.len()),
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
                    match messages.check(lengths) {
                        Ok(true) => {}
                        Ok(false) => bail!(at("the results are not those of the specification".to_owned())),
                        Err(fault) => bail!(at(format!("{fault:#}"))),
                    }
                }
                Ok(true)
            },
        ));
        encodings.extend(messages.machine.encodings());
    }
    Found { claims, encodings }
}
