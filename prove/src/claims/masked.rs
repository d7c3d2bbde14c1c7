//! What is masked: a key schedule, new masks and the encryption of four blocks, by the kernels, with all masks being variables.

use super::{Found, Job};
use crate::{
    bits::Bits,
    elf::Image,
    graph::Lit,
    isa::Isa,
    machine::Machine,
    memory::Rights,
    shares::Cuts,
    spec::{
        Block,
        shared::{Function, KEYS_SIZE},
        to_bytes, twine,
    },
};
use anyhow::{Context as _, Result};
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
};

/// What kernels take at once.
const BLOCKS: usize = 4;
/// Words of the round keys of a round.
const WORDS: usize = 8;

/// Where kernels find and leave what they work on: anywhere, aligned as words are.
const KEYS: u64 = 0xa000_0004;
const KEY: u64 = 0xa001_0004;
const MASKS: u64 = 0xa002_0004;
const BUFFER: u64 = 0xa003_0004;

/// The kernel that encrypts.
pub const ENCRYPT: &str = "twine_masked_encrypt";
/// The kernel that makes new masks.
pub const REFRESH: &str = "twine_masked_refresh";

/// The kernel that makes round keys.
#[must_use]
pub fn schedule(key_bits: usize) -> String {
    format!("twine_masked_schedule_{key_bits}")
}

/// For each word of share a of round keys, which word of share b belongs to it, and what the sums of both are.
type Layout = Vec<(usize, Bits)>;

/// A key in two shares, on a processor with the kernels.
#[derive(Debug)]
pub struct Masked<I: Isa> {
    /// The processor.
    pub machine: Machine<I>,
    image: Arc<Image>,
    key_bits: usize,
    /// What the shares of each round key may be shares of: the linear combinations of its nibbles, perhaps complemented.
    round_keys: Vec<HashSet<Lit>>,
    /// What the words of round keys are shares of.
    layout: Option<Layout>,
    /// Both shares of the key, with what is in their last words behind it.
    key: Bits,
    /// Both shares of blocks.
    blocks: Bits,
    /// What becomes of the blocks.
    expected: Bits,
}

/// Variables as share a, and their sum with `value` as share b.
pub(super) fn share<I: Isa>(machine: &mut Machine<I>, value: &[Lit]) -> [Bits; 2] {
    let masks = machine.graph.inputs(value.len());
    let others = machine.graph.xor_bits(value, &masks);
    [masks, others]
}

impl<I: Isa> Masked<I> {
    /// Of a key and blocks of which nothing is known.
    #[must_use]
    pub fn new(image: &Arc<Image>, isa: I, key_bits: usize) -> Self {
        let mut machine = Machine::new(Arc::clone(image), isa);
        let g = &mut machine.graph;
        let key = g.inputs(key_bits);
        let round_keys = twine::round_keys(g, &to_bytes(&key));
        let blocks: Vec<Block> =
            (0..BLOCKS).map(|_| std::array::from_fn(|_| std::array::from_fn(|_| g.input()))).collect();
        let expected =
            blocks.iter().flat_map(|block| twine::encrypt(g, &round_keys, block)).flatten().collect();
        let round_keys = round_keys
            .iter()
            .map(|key| {
                let bits = key.iter().flat_map(|&nibble| twine::combinations(g, nibble));
                bits.flat_map(|bit| [bit, !bit]).collect()
            })
            .collect();
        machine.cuts = Some(Cuts::new(&machine.graph));
        let behind = key_bits.next_multiple_of(32) - key_bits;
        let key = share(&mut machine, &key).map(|mut share| {
            share.extend(machine.graph.inputs(behind));
            share
        });
        let blocks = share(&mut machine, &blocks.into_flattened().into_flattened());
        machine.memory.allow("round keys", KEYS, KEYS_SIZE, Rights::Write);
        let image = Arc::clone(image);
        let layout = None;
        Self {
            machine,
            image,
            key_bits,
            round_keys,
            layout,
            key: key.concat(),
            blocks: blocks.concat(),
            expected,
        }
    }

    fn call(&mut self, kernel: &str, arguments: &[u64]) -> Result<()> {
        self.machine.call(self.image.function(kernel)?, arguments)?;
        Ok(())
    }

    fn round_keys_found(&self) -> Result<Bits> {
        self.machine.memory.get(KEYS, KEYS_SIZE).context("a round key is not written")
    }

    /// What the shares of round keys are shares of, if all of this is the specification's; variables take their place.
    fn cut_round_keys(&mut self) -> Result<Option<Layout>> {
        let Machine { graph, memory, cuts, .. } = &mut self.machine;
        let cuts = cuts.as_mut().expect("there are cuts");
        let mut layout = Vec::new();
        for (round, wanted) in self.round_keys.iter().enumerate() {
            let address = KEYS + (4 * WORDS * round) as u64;
            let key = memory.get(address, 4 * WORDS).context("a round key is not written")?;
            let mut words: Vec<Bits> = key.chunks(32).map(<[_]>::to_vec).collect();
            let Some(pairs) = cuts.round_key(graph, &mut words, wanted) else { return Ok(None) };
            layout.extend(pairs);
            memory.set(address, &words.concat());
        }
        Ok(Some(layout))
    }

    /// Where the constants of the key schedule are.
    ///
    /// # Errors
    /// If they are not there.
    pub fn constants(image: &Image) -> Result<u64> {
        // The rest of its name is the compiler's.
        let mut found = image.symbols.iter().filter(|(name, _)| name.contains("MASKED_CONSTANTS"));
        let (_, &(address, _)) = found.next().context("there are no constants of the key schedule")?;
        Ok(address)
    }

    /// Whether the key schedule makes shares of the specification's round keys.
    ///
    /// # Errors
    /// If a kernel faults, or is not there.
    pub fn schedule(&mut self) -> Result<bool> {
        let constants = Self::constants(&self.image)?;
        self.machine.memory.set_rights("round keys", Rights::Write);
        self.machine.memory.forget("key");
        self.machine.memory.allow("key", KEY, self.key.len() / 8, Rights::Read);
        self.machine.memory.set(KEY, &self.key);
        self.call(&schedule(self.key_bits), &[KEYS, KEY, constants])?;
        self.layout = self.cut_round_keys()?;
        Ok(self.layout.is_some())
    }

    /// Whether new masks leave round keys what they are: each word is still a share of the same bits, and has one of the four new masks added, of which
    /// no two words of a share of a round key have the same one. As the shares before were any, this holds however often there are new masks, and what
    /// is proved of the encryption with any shares holds before and after.
    ///
    /// # Errors
    /// As of [`Self::schedule`].
    pub fn refresh(&mut self) -> Result<bool> {
        let masks = self.machine.graph.inputs(4 * 32);
        self.machine.memory.forget("masks");
        self.machine.memory.allow("masks", MASKS, masks.len() / 8, Rights::Read);
        self.machine.memory.set(MASKS, &masks);
        self.machine.memory.set_rights("round keys", Rights::Write);
        let before = self.round_keys_found()?;
        self.call(REFRESH, &[KEYS, MASKS])?;
        let added = self.round_keys_found()?;
        let added = self.machine.graph.xor_bits(&before, &added);
        let masks: BTreeSet<&[Lit]> = masks.chunks(32).collect();
        let mut shares = added.chunks(32 * WORDS / 2);
        let are_masks = shares.all(|share| share.chunks(32).collect::<BTreeSet<_>>() == masks);
        let layout = self.cut_round_keys()?;
        Ok(are_masks && layout.is_some() && layout == self.layout)
    }

    /// Whether four blocks are encrypted as the specification has it.
    ///
    /// # Errors
    /// As of [`Self::schedule`].
    pub fn encrypt(&mut self) -> Result<bool> {
        self.machine.memory.set_rights("round keys", Rights::Read);
        self.machine.memory.forget("blocks");
        self.machine.memory.allow("blocks", BUFFER, self.blocks.len() / 8, Rights::Write);
        self.machine.memory.set(BUFFER, &self.blocks);
        self.call(ENCRYPT, &[KEYS, BUFFER])?;
        let found =
            self.machine.memory.get(BUFFER, self.blocks.len() / 8).context("a block is not written")?;
        let (a, b) = found.split_at(found.len() / 2);
        Ok(self.machine.graph.xor_bits(a, b) == self.expected)
    }
}

/// The claims on the kernels, one after the other. Returns what each takes of the stack.
pub(super) fn run<I: Isa>(job: &Job, isa: I, image: &Arc<Image>) -> (Found, BTreeMap<Function, u64>) {
    let mut masked = Masked::new(image, isa, job.key_bits);
    let (mut claims, mut stacks) = (Vec::new(), BTreeMap::new());
    for (function, name, prove) in [
        (Function::Schedule, "key schedule", Masked::schedule as fn(&mut _) -> _),
        (Function::Refresh, "new masks of round keys", Masked::refresh),
        (Function::Encrypt, "encrypt 4 blocks", Masked::encrypt),
    ] {
        masked.machine.most_stack = 0;
        claims.push(job.claim(
            format!("TWINE-{}, masked: {name}", job.key_bits),
            &mut masked,
            |masked| (masked.machine.executed, masked.machine.most_stack),
            prove,
        ));
        stacks.insert(function, masked.machine.most_stack);
    }
    (Found { claims, encodings: masked.machine.encodings() }, stacks)
}
