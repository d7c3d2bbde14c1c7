//! Key set-up with encryption and decryption of blocks, by the functions of the C interface.

use super::{
    Found, Job,
    mode::{AdProcessing, Interface, prefix},
};
use crate::{
    bits,
    elf::Image,
    fault::Fault,
    graph::Lit,
    isa::Isa,
    machine::{Machine, Stack},
    memory::Rights,
    spec::{Block, Byte, to_bytes, twine, uninterpreted::Call},
};
use anyhow::{Result, ensure};
use object::Architecture;
use std::{sync::Arc, time::Instant};

/// Where a claim has its buffers: anywhere, as long as they are apart, aligned as C has it, and in a part of memory where no
/// processor has code or data.
pub const CONTEXT: u64 = 0xa000_0000;

/// The size of a context in bytes, of those that C declares for this library.
#[must_use]
pub fn context_size(image: &Image, interface: Option<Interface>) -> usize {
    let words = match image.architecture {
        Architecture::X86_64 | Architecture::Aarch64 => 193,
        _ if image.is_compact() => 20,
        _ => 74,
    };
    let more = match interface {
        None | Some(Interface::Context) => 0,
        Some(Interface::Sealer) => 5,
        Some(Interface::Opener) => 11,
    };
    8 * (words + more)
}

const KEY: u64 = 0xa000_8003;
/// The fixed part of nonces that are counted.
const FIXED: u64 = 0xa000_9001;
const BUFFER: u64 = 0xa002_0005;
const KERNEL_BUFFER: u64 = 0xa003_0000;
const KERNEL_OUTPUT: u64 = 0xa004_0000;

/// What is done with blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Plaintext to ciphertext.
    Encrypt,
    /// Ciphertext to plaintext.
    Decrypt,
}

impl Direction {
    /// As functions have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Encrypt => "encrypt",
            Self::Decrypt => "decrypt",
        }
    }
}

/// A key, set up by the compiled code and by the paper.
#[derive(Debug)]
pub struct Keyed<I: Isa> {
    /// The processor, with the context in its memory.
    pub machine: Machine<I>,
    image: Arc<Image>,
    key_bits: usize,
    round_keys: twine::RoundKeys,
    blocks: Vec<Block>,
    results: [Vec<Block>; 2],
}

/// Calls the function of the C interface that makes a context of a key, or a sealer or an opener, which have the first bytes of
/// nonces and limits as well. The context may not be written afterwards.
///
/// # Errors
/// If it faults, or reports an error.
pub(super) fn set_up<I: Isa>(
    m: &mut Machine<I>,
    function: u64,
    key: &[Lit],
    counted: Option<(&[Lit], &[u64])>,
) -> Result<()> {
    let mut arguments = vec![CONTEXT, KEY];
    m.memory.allow("key", KEY, key.len() / 8, Rights::Read);
    m.memory.set(KEY, key);
    if let Some((fixed, limits)) = counted {
        m.memory.allow("fixed", FIXED, fixed.len() / 8, Rights::Read);
        m.memory.set(FIXED, fixed);
        arguments.push(FIXED);
        arguments.extend(limits);
    }
    m.memory.set_rights("context", Rights::Write);
    let status = m.call(function, &arguments)?;
    ensure!(status == 0, "key set-up returns {status}");
    m.memory.forget("key");
    m.memory.forget("fixed");
    m.memory.set_rights("context", Rights::Read);
    Ok(())
}

/// Bytes of the fixed part of nonces that are counted.
pub(super) const FIXED_SIZE: usize = 4;

impl<I: Isa> Keyed<I> {
    /// Sets up a key of `key_bits`, of which nothing is known, for blocks (with `None`) or for messages.
    ///
    /// # Errors
    /// If the function faults, or reports an error.
    pub fn new(
        image: &Arc<Image>,
        isa: I,
        key_bits: usize,
        of: Option<(Interface, AdProcessing)>,
    ) -> Result<Self> {
        let mut machine = Machine::new(Arc::clone(image), isa);
        let key = machine.graph.inputs(key_bits);
        let round_keys = twine::round_keys(&mut machine.graph, &to_bytes(&key));
        let interface = of.map(|(interface, _)| interface);
        machine.memory.allow("context", CONTEXT, context_size(image, interface), Rights::Write);
        let prefix = of.map_or(String::new(), |(interface, processing)| prefix(interface, processing));
        let function = image.set_up(&format!("twine{key_bits}_{prefix}init"))?;
        let fixed = machine.graph.inputs(8 * FIXED_SIZE);
        let limits = interface.and_then(Interface::limits);
        set_up(&mut machine, function, &key, limits.map(|limits| (&fixed[..], limits)))?;
        Ok(Self {
            machine,
            image: Arc::clone(image),
            key_bits,
            round_keys,
            blocks: Vec::new(),
            results: [const { Vec::new() }; 2],
        })
    }

    /// The results of the paper for the first `count` blocks.
    fn specify(&mut self, direction: Direction, count: usize) -> Vec<Block> {
        let g = &mut self.machine.graph;
        while self.blocks.len() < count {
            let block: Vec<Byte> = to_bytes(&g.inputs(64));
            self.blocks.push(block.try_into().expect("8 bytes"));
        }
        let results = &mut self.results[direction as usize];
        for block in &self.blocks[results.len()..count.max(results.len())] {
            results.push(match direction {
                Direction::Encrypt => twine::encrypt(g, &self.round_keys, block),
                Direction::Decrypt => twine::decrypt(g, &self.round_keys, block),
            });
        }
        results[..count].to_vec()
    }

    /// Whether the function makes of `count` blocks, of which nothing is known, what the paper does, and nothing else.
    ///
    /// # Errors
    /// If the function faults, or is not there.
    pub fn check(&mut self, direction: Direction, count: usize) -> Result<bool> {
        let expected = self.specify(direction, count);
        self.run(direction, count, &expected).map_err(Into::into)
    }

    /// The same without what the paper has to say, which is known.
    fn run(&mut self, direction: Direction, count: usize, expected: &[Block]) -> Result<bool, Fault> {
        let name = format!("twine{}_{}_blocks", self.key_bits, direction.name());
        let function = self.image.function(&name).map_err(|_| Fault::Missing(name))?;
        let m = &mut self.machine;
        m.memory.forget("buffer");
        m.memory.allow("buffer", BUFFER, 8 * count, Rights::Write);
        let blocks: bits::Bits = self.blocks[..count].iter().flatten().flatten().copied().collect();
        m.memory.set(BUFFER, &blocks);
        let status = m.call(function, &[CONTEXT, BUFFER, count as u64])?;
        let expected: bits::Bits = expected.iter().flatten().flatten().copied().collect();
        Ok(status == 0 && m.memory.get(BUFFER, 8 * count) == Some(expected))
    }
}

impl<I: Isa> Keyed<I> {
    /// Proves that a kernel makes of blocks, of which nothing is known, what the paper does, and nothing else, when it is called like
    /// that. Returns what it takes of the stack.
    ///
    /// # Errors
    /// If it does not.
    pub fn check_kernel(&mut self, call: &Call) -> Result<Stack> {
        let count = call.count as usize;
        let expected = self.specify(Direction::Encrypt, count).into_flattened().into_flattened();
        let m = &mut self.machine;
        let blocks: bits::Bits = self.blocks[..count].iter().flatten().flatten().copied().collect();
        let is_apart = call.from != call.to;
        let from = KERNEL_BUFFER + call.from % 64;
        let to = if is_apart { KERNEL_OUTPUT + call.to % 64 } else { from };
        m.memory.forget("blocks");
        m.memory.forget("results");
        m.memory.allow("blocks", from, 8 * count, if is_apart { Rights::Read } else { Rights::Write });
        if is_apart {
            m.memory.allow("results", to, 8 * count, Rights::Write);
        }
        m.memory.set(from, &blocks);
        let stack = m.call_kernel(&Call { from, to, ..*call })?;
        ensure!(m.memory.get(to, 8 * count) == Some(expected), "the kernel is not TWINE for {count} blocks");
        Ok(stack)
    }
}

/// The claims on blocks: one, a part of a batch, a batch, and a batch and a rest.
pub(super) fn run<I: Isa>(job: &Job, isa: I, image: &Arc<Image>) -> Found {
    let start = Instant::now();
    let mut keyed = match Keyed::new(image, isa, job.key_bits, None) {
        Ok(keyed) => keyed,
        Err(fault) => return job.no_key(&fault),
    };
    let mut claims = Vec::new();
    let (mut set_up, mut seconds) = (keyed.machine.executed, start.elapsed().as_secs_f64());
    for direction in [Direction::Encrypt, Direction::Decrypt] {
        if !job.claims(image, &format!("{}_blocks", direction.name())) {
            continue;
        }
        for count in [1, 5, job.target.batch, job.target.batch + 3] {
            let plural = if count == 1 { "" } else { "s" };
            let name = format!("TWINE-{}: {} {count} block{plural}", job.key_bits, direction.name());
            let mut claim = job.claim(
                name,
                &mut keyed,
                |keyed| (keyed.machine.executed, keyed.machine.most_stack),
                |keyed| {
                    keyed.machine.kernels_executed.clear();
                    let is_right = keyed.check(direction, count)?;
                    let ran = &keyed.machine.kernels_executed;
                    job.target.check_kernels(image, direction, ran, Some(count))?;
                    Ok(is_right)
                },
            );
            // Key set-up is part of each claim, and told with the first.
            claim.instructions += std::mem::take(&mut set_up);
            claim.seconds += std::mem::take(&mut seconds);
            claims.push(claim);
        }
    }
    Found { claims, encodings: keyed.machine.encodings() }
}
