//! Fixed-against-random tests over simulated traces of key set-up, new masks and the encryption of four blocks, or of whole messages.
//!
//! A trace has a sample for each word that an attacker is taken to see: its number of set bits. In half of the traces key and blocks are always
//! the same, in the other half they are random. Masks are random in all. For each sample Welch's t says whether the means differ.
//!
//! Of a message, plaintext and associated data are public and random in all traces, and the nonce is always the same. So what is public looks random
//! in all, while the key, L and Q are the same in half of them: of secrets only these are tested. If the key is the same in all traces, the nonce is
//! random in half of them, and with it L. The round keys are then made once, and only get new masks for each message.
//!
//! A forgery is refused, and shows nothing that depends on the key. So all that is public can be the same in all traces, and then whatever follows
//! from the key is tested: also the checksum, TE, TA, the expected tag, what the text would be, and each output of the cipher.

use crate::{
    ENCRYPT, REFRESH, SCHEDULE_80, SCHEDULE_128,
    check::{CODE, CONSTANTS, INPUT, KEYS, STACK, constants},
    ir::{Alu, NONE, Op, SP},
    kernel::Kernel,
    machine::{Cell, Machine, Model},
    message::{Bytes, Caller, Sealed, known},
    plain::{Plain, RUNS, Word},
    random::Random,
};
use anyhow::{Context as _, Result, ensure};
use std::{cell, thread};

/// Above this a sample depends on a secret. Of 100,000 samples that do not, one is above it with a probability of 0.0002.
pub const LIMIT: f64 = 6.0;

/// The nonce block of messages: a one, and seven bytes.
const NONCE: [u32; 2] = [0x0302_0101, 0x0706_0504];

/// What the fixed key and blocks of the long run are made from.
pub const SECRET: u64 = 0x6A09_E667_F3BC_C908;

/// Where the bytes of forgeries come from.
const FORGERY: u64 = 0x3C6E_F372_FE94_F82B;

/// The bytes of a message and of its associated data.
#[derive(Clone, Copy)]
pub struct Lengths {
    /// Those of the message.
    pub message: usize,
    /// Those of the associated data.
    pub data: usize,
}

/// What a trace is of.
#[derive(Clone, Copy)]
pub enum Task {
    /// Four blocks are encrypted.
    Blocks,
    /// A message is sealed, verified and decrypted.
    Message(Lengths),
    /// A message whose nonce, bytes and tag are the same in all traces is refused.
    Forgery(Lengths),
}

/// Each kernel has so much room.
const ROOM: u32 = 0x1_0000;

/// What is the same in all traces, and how many there are.
#[derive(Clone, Copy)]
pub struct Experiment {
    /// The bytes of the key: 16 or 10.
    pub key_len: usize,
    /// What is simulated.
    pub task: Task,
    /// The key is the same in all traces, and only the blocks, or the nonce, are random in half of them. The round keys of messages are made
    /// before the first trace. There is no such forgery.
    pub has_fixed_key: bool,
    /// All masks are random. Else all of them are zero, which is as good as no masking.
    pub is_masked: bool,
    /// A fault: verifying adds both shares of the expected tag.
    pub unmasks_tag: bool,
    /// What the fixed key and blocks are made from. A word that depends on a secret is seen only if its mean for these differs from the mean for
    /// all.
    pub secret: u64,
    /// The number of traces, which is rounded up.
    pub traces: u64,
}

/// What was found about one sample of the traces.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// What is seen.
    pub model: Model,
    /// The number of the instruction since the start.
    pub instruction: u64,
    /// The difference of the means, in standard errors.
    pub t: f64,
}

/// The sums of a sample, for fixed and for random secrets.
#[derive(Clone, Copy)]
struct Sums {
    model: Model,
    at: u32,
    sum: [u64; 2],
    squares: [u64; 2],
}

impl Sums {
    fn add(&mut self, word: &Word) {
        for (class, words) in word.as_chunks::<{ RUNS / 2 }>().0.iter().enumerate() {
            let (mut sum, mut squares) = (0, 0);
            for word in words {
                let count = word.count_ones();
                sum += count;
                squares += count * count;
            }
            self.sum[class] += u64::from(sum);
            self.squares[class] += u64::from(squares);
        }
    }

    fn t(&self, traces: f64) -> f64 {
        let mean = self.sum.map(|sum| sum as f64 / traces);
        // The variance of each mean.
        let [a, b] = [0, 1].map(|i| (self.squares[i] as f64 / traces - mean[i] * mean[i]) / (traces - 1.0));
        let difference = mean[0] - mean[1];
        if difference == 0.0 { 0.0 } else { difference / (a + b).max(0.0).sqrt() }
    }
}

/// Words of all runs: the first half has `fixed`, if there is one.
fn words(random: &mut Random, fixed: Option<&[u32]>, count: usize) -> Vec<Word> {
    (0..count)
        .map(|i| {
            let mut word: Word = std::array::from_fn(|_| random.word());
            if let Some(fixed) = fixed {
                word[..RUNS / 2].fill(fixed[i]);
            }
            word
        })
        .collect()
}

/// Both shares of secret words.
fn shares(random: &mut Random, secrets: &[Word], is_masked: bool) -> Vec<Word> {
    let masks = masks(random, secrets.len(), is_masked);
    let first = secrets.iter().zip(&masks).map(|(a, b)| std::array::from_fn(|run| a[run] ^ b[run]));
    first.chain(masks.iter().copied()).collect()
}

pub(crate) fn masks(random: &mut Random, count: usize, is_masked: bool) -> Vec<Word> {
    if is_masked { words(random, None, count) } else { vec![[0; RUNS]; count] }
}

impl Experiment {
    /// Simulates the traces, with all processors of this machine, and returns what was found about each sample, in order.
    ///
    /// # Errors
    /// If a kernel is missing, or does what is not modelled, or if traces have different numbers of samples.
    ///
    /// # Panics
    /// If a sample of one trace is at another instruction, or of another model, than in the others.
    pub fn run(self, kernels: &[Kernel]) -> Result<Vec<Sample>> {
        let threads = thread::available_parallelism().map_or(1, usize::from) as u64;
        let batches = self.traces.div_ceil(RUNS as u64 * threads);
        let parts = thread::scope(|scope| {
            let start = |seed| scope.spawn(move || self.batches(kernels, seed, batches));
            let threads: Vec<_> = (0..threads).map(start).collect();
            threads.into_iter().map(|thread| thread.join().expect("a thread")).collect::<Result<Vec<_>>>()
        })?;
        let traces = (batches * threads * RUNS as u64 / 2) as f64;
        let (mut sums, mut instruction, mut at) = (parts[0].clone(), 0, 0);
        for part in &parts[1..] {
            ensure!(part.len() == sums.len(), "threads see different numbers of samples");
            for (sums, part) in sums.iter_mut().zip(part) {
                ensure!((part.model, part.at) == (sums.model, sums.at), "threads see different samples");
                for class in 0..2 {
                    sums.sum[class] += part.sum[class];
                    sums.squares[class] += part.squares[class];
                }
            }
        }
        let samples = sums.iter().map(|sums| {
            if sums.at != at {
                (instruction, at) = (instruction + 1, sums.at);
            }
            Sample { model: sums.model, instruction, t: sums.t(traces) }
        });
        Ok(samples.collect())
    }

    fn batches(self, kernels: &[Kernel], seed: u64, batches: u64) -> Result<Vec<Sums>> {
        let Self { key_len, task, has_fixed_key, is_masked, unmasks_tag, secret, .. } = self;
        let mut random = Random(secret);
        let fixed: Vec<u32> = (0..12).map(|_| random.word()).collect();
        let (fixed_key, fixed_blocks) = fixed.split_at(4);
        let mut random = Random(0xBB67_AE85_84CA_A73B ^ seed << 32);
        let mut sums: Vec<Sums> = Vec::new();
        // Nothing is counted before the first trace.
        let count = cell::Cell::new(None::<usize>);
        let see = |model, at, word: &Word| {
            let Some(n) = count.get() else { return };
            count.set(Some(n + 1));
            if n == sums.len() {
                sums.push(Sums { model, at, sum: [0; 2], squares: [0; 2] });
            }
            assert!((sums[n].model, sums[n].at) == (model, at), "sample {n} is another one than before");
            sums[n].add(word);
        };
        let mut machine = Machine::new(Plain(see));
        let places = || (CODE..).step_by(ROOM as usize);
        for (address, kernel) in places().zip(kernels) {
            machine.program(address, kernel.instructions());
        }
        let address = |name: &str| {
            let found = places().zip(kernels).find(|(_, kernel)| kernel.name == name);
            Ok::<_, anyhow::Error>(found.with_context(|| format!("there is no {name}"))?.0)
        };
        let schedule = address(if key_len == 16 { SCHEDULE_128 } else { SCHEDULE_80 })?;
        let (refresh, encrypt) = (address(REFRESH)?, address(ENCRYPT)?);
        let has_old_keys = has_fixed_key && matches!(task, Task::Message(_));
        let mut samples = None;
        for batch in 0..batches {
            if !(has_old_keys && batch > 0) {
                machine.reset();
                for (address, word) in (CONSTANTS..).step_by(4).zip(constants()) {
                    machine.memory.insert(address, Cell::Int(word));
                }
                let mut key = words(&mut random, Some(fixed_key), key_len.div_ceil(4));
                if has_fixed_key {
                    key.iter_mut().zip(fixed_key).for_each(|(word, fixed)| word.fill(*fixed));
                }
                machine.put(INPUT, shares(&mut random, &key, is_masked));
                count.set((!has_old_keys).then_some(0));
                machine.call(schedule, STACK, &[KEYS, INPUT, CONSTANTS])?;
            }
            match task {
                Task::Blocks => {
                    machine.put(INPUT, masks(&mut random, 4, is_masked));
                    machine.call(refresh, STACK, &[KEYS, INPUT])?;
                    let blocks = words(&mut random, Some(fixed_blocks), 8);
                    machine.put(INPUT, shares(&mut random, &blocks, is_masked));
                    machine.call(encrypt, STACK, &[KEYS, INPUT])?;
                }
                Task::Message(Lengths { message, data }) => {
                    let mut nonce = known(NONCE);
                    if has_old_keys {
                        count.set(Some(0));
                        // Half of the nonce is enough: L is another one with each nonce.
                        nonce[1][RUNS / 2..].fill_with(|| random.word());
                    }
                    let data = Bytes::new(data, || std::array::from_fn(|_| random.word()));
                    let text = Bytes::new(message, || std::array::from_fn(|_| random.word()));
                    let (machine, random) = (&mut machine, &mut random);
                    let addresses = &|name: &str| address(name).ok();
                    let mut caller = Caller { machine, addresses, random, is_masked, unmasks_tag };
                    let sealed = caller.seal(nonce, &data, &text)?;
                    caller.verify(nonce, &data, &sealed)?;
                    ensure!(caller.open(&sealed)? == text, "the message is another one");
                }
                Task::Forgery(Lengths { message, data }) => {
                    ensure!(!has_fixed_key, "nothing differs between forgeries under the same key");
                    let mut public = Random(FORGERY);
                    let mut word = || [public.word(); RUNS];
                    let (data, ciphertext) = (Bytes::new(data, &mut word), Bytes::new(message, &mut word));
                    let forged = Sealed { ciphertext, tag: [word(), word()] };
                    let (machine, random) = (&mut machine, &mut random);
                    let addresses = &|name: &str| address(name).ok();
                    let mut caller = Caller { machine, addresses, random, is_masked, unmasks_tag };
                    let [x, y] = caller.verify(known(NONCE), &data, &forged)?;
                    let is_refused = |run: usize| (0..2).any(|word| x[word][run] != y[word][run]);
                    ensure!((0..RUNS).all(is_refused), "a forgery is taken for genuine");
                }
            }
            let seen = count.get();
            ensure!(*samples.get_or_insert(seen) == seen, "traces have different numbers of samples");
        }
        Ok(sums)
    }
}

/// The number of the first instruction in the loop that is as `is` says.
///
/// # Panics
/// If there is none.
pub fn first(kernel: &Kernel, is: impl Fn(&Op) -> bool) -> usize {
    let found = (kernel.label.unwrap_or(0)..kernel.code.len()).find(|n| is(&kernel.code[*n]));
    found.expect("every kernel with a loop has such an instruction")
}

/// The first pad in the loop of the kernel for blocks: a zero where the register's old value and its new one must not meet.
#[must_use]
pub fn pad(kernel: &Kernel) -> usize {
    first(kernel, |op| matches!(op, Op::MovImm { imm: 0, .. }))
}

/// A fault: a pad keeps what is in its register. As a pad does, it still clears the inputs of the arithmetic unit and the last result.
pub fn with_a_pad_that_keeps_its_register(kernel: &mut Kernel) {
    let pad = pad(kernel);
    kernel.code[pad] = Op::Imm { op: Alu::Add, rd: 0, rn: 0, imm: 0 };
}

/// A fault: a register gets a plane of one share after that of the other.
pub fn with_a_share_over_the_other(kernel: &mut Kernel) {
    let load = first(kernel, |op| matches!(op, Op::Ldrd { rn: SP, .. }));
    if let Op::Ldrd { rt, offset, .. } = kernel.code[load] {
        kernel.code.insert(load, Op::Ldr { rt, rn: SP, offset: offset ^ 16 });
    }
}

/// A fault in the kernel for sums: when it returns, a register has something of a share.
pub fn with_a_share_left(kernel: &mut Kernel) {
    kernel.code.insert(kernel.code.len() - 1, Op::Mov { rd: 12, rm: 4, shift: NONE });
}

/// The greatest |t|.
#[must_use]
pub fn greatest(samples: &[Sample]) -> f64 {
    samples.iter().map(|sample| sample.t.abs()).fold(0.0, f64::max)
}
