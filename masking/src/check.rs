//! What is proved of each kernel.

use crate::{
    ADD, DOUBLE, ENCRYPT, REFRESH, SCHEDULE_80, SCHEDULE_128, SELECT, TIMES_16, circuit, consts,
    exact::{Bit, Exact, Leak, Word},
    ir::SP,
    kernel::{self, Kernel},
    machine::{Cell, Machine, Model, STACK_SIZE},
};
use anyhow::{Result, bail, ensure};
use std::collections::{BTreeMap, BTreeSet, hash_map::Entry};

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
    /// Each share of blocks that the kernel for blocks stores is uniformly distributed, for all round keys and blocks. Of a key schedule: what
    /// [`prove_schedule`] says about the state after each step. Other kernels have neither.
    pub has_uniform_shares: bool,
    /// When it returns, registers, the inputs of the arithmetic unit, its last result, the bus and the stack have nothing but public numbers.
    pub leaves_public: bool,
}

impl Report {
    /// Of a kernel at which nothing was looked yet.
    fn new(name: &'static str) -> Self {
        Self {
            name,
            instructions: 0,
            seen: BTreeMap::new(),
            leaks: Vec::new(),
            has_uniform_shares: true,
            leaves_public: true,
        }
    }
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
/// - Of the kernel for new masks: the old masks and the new ones are independent; the rest is known.
/// - Of the key schedules, and of the first new masks after them: see [`prove_schedule`].
/// - Of the kernels for blocks of one share: see [`prove_mode`].
///
/// # Errors
/// If the kernel has instructions or values that are not modelled.
pub fn prove(kernel: &Kernel) -> Result<Report> {
    let name = kernel.name;
    if matches!(name, ADD | SELECT | DOUBLE | TIMES_16) {
        return prove_mode(kernel);
    }
    if matches!(name, SCHEDULE_80 | SCHEDULE_128) {
        return prove_schedule(kernel, &kernel::refresh());
    }
    let mut exact = Exact::new();
    let masks: Vec<Vec<Bit>> = (0..4).map(|_| bits(32, || exact.mask())).collect();
    let keys: Vec<Word> =
        (0..8 * consts::ROUNDS).map(|i| under(&mut exact, &masks[kernel::plane_of_key(i)])).collect();
    exact.fix();
    let input = match name {
        REFRESH => fresh_masks(&mut exact),
        _ => both_shares(&mut exact, 8),
    };
    let mut machine = Machine::new(exact);
    machine.program(CODE, kernel.instructions());
    machine.put(KEYS, keys);
    machine.put(INPUT, input);
    machine.call(CODE, STACK, &[KEYS, INPUT])?;
    let instructions = machine.count;
    let has_uniform_shares = name != ENCRYPT
        || [0, 32].into_iter().all(|share| {
            let words = (INPUT + share..).step_by(4).take(8).map(|address| machine.memory[&address].data());
            words.collect::<Option<Vec<_>>>().is_some_and(|words| {
                machine.domain.is_uniform(words.into_iter().flat_map(|word| word.iter()))
            })
        });
    let leaves_public = machine.is_public();
    let Exact { seen, leaks, .. } = machine.domain;
    Ok(Report { name, instructions, seen, leaks, has_uniform_shares, leaves_public })
}

/// Four words of masks.
fn fresh_masks(exact: &mut Exact) -> Vec<Word> {
    (0..4).map(|_| bits(32, || exact.mask()).into()).collect()
}

/// Words of share a and then of share b, whose bits are secrets under masks of their own.
fn both_shares(exact: &mut Exact, words: usize) -> Vec<Word> {
    let masks = bits(32 * words, || exact.mask());
    let secrets = bits(32 * words, || exact.secret());
    let pairs = secrets.chunks(32).zip(masks.chunks(32));
    let (a, b): (Vec<Word>, Vec<Word>) =
        pairs.map(|(secrets, masks)| exact.shares(secrets, masks).into()).unzip();
    [a, b].concat()
}

/// Where new masks of round keys are.
const FRESH: u32 = 0x4000_5000;
/// The code of the kernel for new masks, and its stack.
const REFRESH_CODE: u32 = 0x3001_0000;
const REFRESH_STACK: u32 = 0x4002_0000;

/// Proves of a key schedule, and of the first new masks of the round keys that it makes, that nothing depends on a secret.
///
/// The shares of the key have masks of their own. Steps of four rounds are looked at one after the other. After each of them, and before the first, it
/// is proved that
///
/// - registers, the inputs of the arithmetic unit, its last result and the bus are public,
/// - of the stack, only the shares of the state are not,
/// - share b of the state is uniformly distributed, whatever the secrets are, and the sum of both shares is the same for all masks.
///
/// So the next step may begin with any secrets under new masks: to it, these shares are the same as those that the step before left. What that step
/// has written elsewhere must not be read or overwritten any more. Its round keys get their first new masks at once: the kernel for new masks is
/// public again after each round, so what it shows of a round key depends on no other round.
///
/// # Errors
/// As [`prove`], or if a step uses or leaves more than the state, or a round of new masks leaves anything.
pub fn prove_schedule(kernel: &Kernel, refresh: &Kernel) -> Result<Report> {
    let mut machine = Machine::new(Exact::short());
    machine.program(CODE, kernel.instructions());
    machine.program(REFRESH_CODE, refresh.instructions());
    // The key of TWINE-80 ends in half of a word, whose rest may be anything.
    let words = if kernel.name == SCHEDULE_128 { 4 } else { 3 };
    let input = both_shares(&mut machine.domain, words);
    machine.put(INPUT, input);
    for (address, word) in (CONSTANTS..).step_by(4).zip(constants()) {
        machine.memory.insert(address, Cell::Int(word));
    }
    let mut report = Report::new(kernel.name);
    let (mut gone, mut keys) = (BTreeSet::new(), 0);
    let label = |code: u32, kernel: &Kernel| code + 4 * kernel.label.unwrap_or(0) as u32;
    let (start, refresh_start) = (label(CODE, kernel), label(REFRESH_CODE, refresh));
    machine.enter(STACK, &[KEYS, INPUT, CONSTANTS]);
    let mut from = CODE;
    loop {
        let count = machine.count;
        let is_step = machine.run(from, start)?;
        from = start;
        report.instructions += machine.count - count;
        ensure!(machine.is_public(), "a step leaves something of a share");
        ensure!(
            machine.memory.keys().all(|address| !gone.contains(address)),
            "what an earlier step wrote is overwritten"
        );
        let state = if is_step { Some(State::of(&machine)?) } else { None };
        if let Some(state) = &state {
            report.has_uniform_shares &= state.is_uniform(&mut machine.domain);
        }
        // The first new masks.
        let regs = machine.regs.clone();
        let masks = fresh_masks(&mut machine.domain);
        machine.domain.fix();
        machine.put(FRESH, masks);
        let places = (KEYS..).step_by(4).take(8 * consts::ROUNDS);
        for address in places.clone() {
            if let Entry::Vacant(place) = machine.memory.entry(address) {
                place.insert(Cell::Int(0));
            } else {
                gone.insert(address);
                keys += 1;
            }
        }
        machine.enter(REFRESH_STACK, &[KEYS, FRESH]);
        let mut from = REFRESH_CODE;
        loop {
            let goes_on = machine.run(from, refresh_start)?;
            let frame = REFRESH_STACK - STACK_SIZE..REFRESH_STACK;
            let in_frame = |(address, _): &(&u32, _)| frame.contains(address);
            let leaves_nothing = machine.is_public()
                && machine.memory.iter().filter(in_frame).all(|(_, cell)| cell.data().is_none());
            ensure!(leaves_nothing, "a round of new masks leaves something of a share");
            if !goes_on {
                break;
            }
            from = refresh_start;
        }
        places.chain((FRESH..).step_by(4).take(4)).for_each(|address| {
            machine.memory.remove(&address);
        });
        let Exact { seen, leaks, .. } = &mut machine.domain;
        for (model, count) in seen {
            *report.seen.entry(*model).or_default() += *count;
        }
        report.leaks.append(leaks);
        machine.regs = regs;
        let Some(state) = state else { break };
        state.begin_step(&mut machine, &mut gone)?;
    }
    ensure!(machine.int(SP)? == STACK, "the stack is not restored");
    ensure!(machine.memory.values().all(|cell| cell.data().is_none()), "something is left on the stack");
    ensure!(keys == 8 * consts::ROUNDS, "{keys} words of round keys are written");
    Ok(report)
}

/// Both shares of the state of a key schedule.
struct State {
    address: u32,
    shares: [Vec<Bit>; 2],
}

impl State {
    const SHARE: u32 = 32;

    fn of(machine: &Machine<Exact>) -> Result<Self> {
        let address = machine.int(SP)? + u32::from(kernel::STATE);
        let share = |n| {
            let words = (address + n * Self::SHARE..).step_by(4).take(8);
            let words = words.map(|address| machine.memory.get(&address).and_then(Cell::data));
            words
                .collect::<Option<Vec<_>>>()
                .map(|words| words.into_iter().flat_map(|word| word.iter().cloned()).collect())
        };
        let (Some(a), Some(b)) = (share(0), share(1)) else { bail!("there is no state") };
        Ok(Self { address, shares: [a, b] })
    }

    /// Whether share b is uniformly distributed, whatever the secrets are, and the sum of both is the same for all masks.
    fn is_uniform(&self, exact: &mut Exact) -> bool {
        let [a, b] = &self.shares;
        exact.is_uniform(b.iter().filter(|bit| !bit.is_constant()))
            && a.iter().zip(b).all(|(a, b)| exact.has_secret_sum(a, b))
    }

    /// Makes the shares those of new secrets under new masks, and takes away what else is not public.
    fn begin_step(self, machine: &mut Machine<Exact>, gone: &mut BTreeSet<u32>) -> Result<()> {
        let mut exact = Exact::short();
        let mut shares = [Vec::new(), Vec::new()];
        let [a, b] = self.shares;
        for (a, b) in a.into_iter().zip(b) {
            let (a, b) = if b.is_constant() {
                ensure!(a.is_constant(), "a bit of the state has no mask");
                (a, b)
            } else {
                let (secret, mask) = (exact.secret(), exact.mask());
                (exact.sum(&secret, &mask), mask)
            };
            shares[0].push(a);
            shares[1].push(b);
        }
        machine.domain = exact;
        let places = self.address..self.address + 2 * Self::SHARE;
        machine.memory.retain(|address, cell| {
            if cell.data().is_some() && !places.contains(address) {
                gone.insert(*address);
            }
            cell.data().is_none()
        });
        ensure!(
            gone.range(places.start - u32::from(kernel::STATE)..STACK).next().is_none(),
            "more than the state is left on the stack"
        );
        machine.put(self.address, shares.concat().chunks(32));
        Ok(())
    }
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
    let mut report = Report::new(kernel.name);
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
