//! What is proved of each kernel.

use crate::{
    ENCRYPT, REFRESH, SCHEDULE_128, circuit, consts,
    exact::{Bit, Exact, Leak, Word},
    kernel::{self, Kernel},
    machine::{Cell, Machine, Model},
};
use anyhow::Result;
use std::collections::BTreeMap;

/// Where the arguments are.
pub const KEYS: u32 = 0x4000_0000;
/// Blocks, or a key, or masks.
pub const INPUT: u32 = 0x4000_1000;
/// Constants of the key schedule.
pub const CONSTANTS: u32 = 0x4000_2000;
/// The code.
pub const CODE: u32 = 0x3000_0000;
/// The stack.
pub const STACK: u32 = 0x4001_0000;

/// The constants of the key schedule, as the kernels take them: `MASKED_CONSTANTS` of `twine/src/schedule.rs`.
#[must_use]
pub fn constants() -> Vec<u32> {
    let (_, exchanged) = kernel::pairs();
    let mut words = Vec::new();
    for (step, rounds) in consts::ROUND_CONSTANTS.chunks(4).enumerate() {
        let (mut to_7, mut to_19) = (0, 0);
        for (i, constant) in rounds.iter().enumerate() {
            to_7 |= u32::from(circuit::nibble_to_basis(constant >> 3)) << (8 * ((i + 1) % 4));
            to_19 |= u32::from(circuit::nibble_to_basis(constant & 7)) << (8 * i);
        }
        let all = if step % 2 == 1 { 0x0F0F_0F0F } else { 0 };
        words.extend([to_7, to_19]);
        words.extend(exchanged.map(|bytes| bytes ^ all));
    }
    words
}

/// What was found about a kernel.
pub struct Report {
    /// Its symbol.
    pub name: &'static str,
    /// The instructions that ran.
    pub instructions: u64,
    /// How many words were looked at in each model.
    pub seen: BTreeMap<Model, u64>,
    /// Where a secret is seen.
    pub leaks: Vec<Leak>,
    /// Of the kernel for blocks: each share that it stores is uniformly distributed, for all round keys and blocks.
    pub has_uniform_shares: bool,
}

fn bits(count: usize, mut bit: impl FnMut() -> Bit) -> Vec<Bit> {
    (0..count).map(|_| bit()).collect()
}

/// The sum of secret words and of words of masks.
fn under(exact: &mut Exact, masks: &[Bit]) -> Word {
    let secrets = bits(32, || exact.secret());
    let [word, _] = exact.shares(&secrets, masks);
    word
}

/// Proves what there is to prove about one kernel.
///
/// - Of the kernel for blocks: both shares of all round keys may be anything, and are known to the attacker but for four words of masks, which
///   all rounds share, as the kernel for new masks leaves them. The shares of the blocks have masks of their own.
/// - Of the key schedules: the shares of the key have masks of their own.
/// - Of the kernel for new masks: the old masks and the new ones are independent; the rest is known.
///
/// # Errors
/// If the kernel has instructions or values that are not modelled.
pub fn prove(kernel: &Kernel) -> Result<Report> {
    let name = kernel.name;
    let mut exact = Exact::new();
    let masks: Vec<Vec<Bit>> = (0..4).map(|_| bits(32, || exact.mask())).collect();
    let has_keys = matches!(name, ENCRYPT | REFRESH);
    let keys: Vec<Word> = if has_keys {
        (0..8 * consts::ROUNDS).map(|i| under(&mut exact, &masks[kernel::plane_of_key(i)])).collect()
    } else {
        Vec::new()
    };
    exact.fix();
    let input: Vec<Word> = match name {
        REFRESH => (0..4).map(|_| bits(32, || exact.mask()).into()).collect(),
        _ => {
            let (words, used) = match name {
                ENCRYPT => (8, 8 * 32),
                SCHEDULE_128 => (4, 4 * 32),
                _ => (3, 80),
            };
            let mut masks = bits(used, || exact.mask());
            let mut secrets = bits(used, || exact.secret());
            masks.resize(32 * words, Bit::default());
            secrets.resize(32 * words, Bit::default());
            let pairs = secrets.chunks(32).zip(masks.chunks(32));
            let (a, b): (Vec<Word>, Vec<Word>) =
                pairs.map(|(secrets, masks)| exact.shares(secrets, masks).into()).unzip();
            [a, b].concat()
        }
    };
    let mut machine = Machine::new(exact);
    machine.program(CODE, kernel.instructions());
    machine.put(KEYS, keys);
    machine.put(INPUT, input);
    for (address, word) in (CONSTANTS..).step_by(4).zip(constants()) {
        machine.memory.insert(address, Cell::Int(word));
    }
    machine.call(CODE, STACK, &[KEYS, INPUT, CONSTANTS])?;
    let instructions = machine.count;
    let has_uniform_shares = name == ENCRYPT
        && [0, 32].into_iter().all(|share| {
            let words = (INPUT + share..).step_by(4).take(8).map(|address| machine.memory[&address].data());
            words.collect::<Option<Vec<_>>>().is_some_and(|words| machine.domain.is_uniform(words))
        });
    let Exact { seen, leaks, .. } = machine.domain;
    Ok(Report { name, instructions, seen, leaks, has_uniform_shares })
}
