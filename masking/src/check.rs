//! What is proved of each kernel.

use crate::{
    ADD, DOUBLE, ENCRYPT, REFRESH, SCHEDULE_128, SELECT, TIMES_16, circuit, consts,
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
    /// Each share of blocks that the kernel for blocks stores is uniformly distributed, for all round keys and blocks. Other kernels store none.
    pub has_uniform_shares: bool,
    /// When it returns, registers, the inputs of the arithmetic unit, its last result and the bus have nothing but public numbers.
    pub leaves_public: bool,
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
/// - Of the kernels for blocks of one share: see [`prove_mode`].
///
/// # Errors
/// If the kernel has instructions or values that are not modelled.
pub fn prove(kernel: &Kernel) -> Result<Report> {
    let name = kernel.name;
    if matches!(name, ADD | SELECT | DOUBLE | TIMES_16) {
        return prove_mode(kernel);
    }
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
    let has_uniform_shares = name != ENCRYPT
        || [0, 32].into_iter().all(|share| {
            let words = (INPUT + share..).step_by(4).take(8).map(|address| machine.memory[&address].data());
            words.collect::<Option<Vec<_>>>().is_some_and(|words| machine.domain.is_uniform(words))
        });
    let leaves_public = machine.is_public();
    let Exact { seen, leaks, .. } = machine.domain;
    Ok(Report { name, instructions, seen, leaks, has_uniform_shares, leaves_public })
}

/// Where results of the kernels for blocks of one share are.
const RESULT: u32 = 0x4000_3000;

/// What the second operand of a kernel for blocks of one share is.
#[derive(Clone, Copy)]
enum Second {
    /// A share, as the first one is.
    Share,
    /// The share that the first one is, from its second block on.
    Next,
    /// Public words. Their bits are of no matter in a sum, and in a selection they are the first ones of each block.
    Public,
}

/// Proves that a kernel for blocks of one share can be called for share a and then for share b.
///
/// Each secret has a mask of its own, also those of what was where the results go to. One block and several, results elsewhere and in place,
/// and all kinds of operands are tried.
///
/// # Errors
/// As [`prove`].
fn prove_mode(kernel: &Kernel) -> Result<Report> {
    let mut report = Report {
        name: kernel.name,
        instructions: 0,
        seen: BTreeMap::new(),
        leaks: Vec::new(),
        has_uniform_shares: true,
        leaves_public: true,
    };
    let seconds: &[Second] = match kernel.name {
        ADD => &[Second::Share, Second::Next, Second::Public],
        _ => &[Second::Public],
    };
    for second in seconds {
        for result in [RESULT, INPUT] {
            for blocks in [1, 2, 4] {
                prove_call(kernel, *second, result, blocks, &mut report)?;
            }
        }
    }
    Ok(report)
}

fn prove_call(kernel: &Kernel, second: Second, result: u32, blocks: u32, report: &mut Report) -> Result<()> {
    const SECOND: u32 = CONSTANTS;
    let mut machine = Machine::new(Exact::new());
    machine.program(CODE, kernel.instructions());
    // One block more is where a kernel may write behind the others.
    let words = 2 * (blocks + 1);
    for address in [INPUT, RESULT, SECOND] {
        let exact = &mut machine.domain;
        let pairs = (0..words).map(|_| {
            let (secrets, masks) = (bits(32, || exact.secret()), bits(32, || exact.mask()));
            exact.shares(&secrets, &masks).into()
        });
        let (a, b): (Vec<Word>, Vec<Word>) = pairs.unzip();
        machine.put(address, a);
        machine.put(address + 4 * words, b);
    }
    if let Second::Public = second {
        for word in 0..2 * words {
            let value = if word % 2 == 0 { 0x0000_FFFF } else { 0 };
            machine.memory.insert(SECOND + 4 * word, Cell::Int(value));
        }
    }
    for share in 0..2 {
        let at = |address: u32| address + 4 * words * share;
        let arguments = match kernel.name {
            ADD | SELECT => {
                let y = if let Second::Next = second { at(INPUT) + 8 } else { at(SECOND) };
                vec![at(result), at(INPUT), y, at(result) + 8 * blocks]
            }
            _ => vec![at(INPUT), at(INPUT) + 8 * blocks],
        };
        machine.call(CODE, STACK, &arguments)?;
        report.leaves_public &= machine.is_public();
    }
    report.instructions += machine.count;
    for (model, count) in &machine.domain.seen {
        *report.seen.entry(*model).or_default() += count;
    }
    report.leaks.append(&mut machine.domain.leaks);
    Ok(())
}
