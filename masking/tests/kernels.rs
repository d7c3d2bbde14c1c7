//! The kernels compute TWINE, and the check of their independence finds faults.

use masking::{
    ADD, DOUBLE, ENCRYPT, REFRESH, SCHEDULE_80, SCHEDULE_128, SELECT, TIMES_16,
    check::{CODE, CONSTANTS, INPUT, KEYS, STACK, constants, prove, prove_schedule},
    ir::{Alu, NONE, Op, Reg, SP, Shift},
    kernel::{Kernel, assembly, plane_of_key},
    kernels,
    leakage::{first, pad, with_a_share_over_the_other},
    machine::{Cell, Domain, Machine, Model},
    message::{Bytes, Caller, known},
    plain::{Plain, RUNS, Word},
    random::Random,
};
use std::{collections::BTreeSet, fs, sync::LazyLock};

#[path = "../../twine/src/reference.rs"]
#[allow(unreachable_pub, dead_code, reason = "shared with the tests of twine-cipher")]
mod reference;

fn bytes(random: &mut Random, count: usize) -> Vec<u8> {
    (0..count).map(|_| random.word() as u8).collect()
}

fn words(bytes: &[u8]) -> Vec<u32> {
    let word = |chunk: &[u8]| chunk.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte));
    bytes.chunks(4).map(word).collect()
}

static ALL: LazyLock<Vec<Kernel>> = LazyLock::new(kernels);

fn kernel(name: &str) -> Kernel {
    ALL.iter().find(|kernel| kernel.name == name).unwrap().clone()
}

#[test]
fn the_file_is_what_is_written() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../twine/src/backends/masked/v7m.s");
    assert!(
        fs::read_to_string(file).unwrap() == assembly(&kernels()),
        "run `cargo run -- write ../twine/src/backends/masked/v7m.s` in `masking`"
    );
}

#[test]
fn kernels_compute_twine() {
    let mut random = Random(1);
    let all: Vec<(u32, Kernel)> = (CODE..).step_by(0x10000).zip(ALL.iter().cloned()).collect();
    for len in [16, 10, 16, 10] {
        let key = bytes(&mut random, len);
        let key_words = words(&key);
        let masks: Vec<u32> = words(&bytes(&mut random, len));
        let mut machine = Machine::new(Plain(|_: Model, _: u32, _: &Word| ()));
        for (address, kernel) in &all {
            machine.program(*address, kernel.instructions());
        }
        let address = |name: &str| all.iter().find(|(_, kernel)| kernel.name == name).unwrap().0;
        let masked = |words: &[u32], masks: &[u32]| -> Vec<Word> {
            let first = words.iter().zip(masks).map(|(word, mask)| [word ^ mask; RUNS]);
            first.chain(masks.iter().map(|mask| [*mask; RUNS])).collect()
        };
        machine.put(INPUT, masked(&key_words, &masks));
        for (address, word) in (CONSTANTS..).step_by(4).zip(constants()) {
            machine.memory.insert(address, Cell::Int(word));
        }
        let schedule = if len == 16 { SCHEDULE_128 } else { SCHEDULE_80 };
        machine.call(address(schedule), STACK, &[KEYS, INPUT, CONSTANTS]).unwrap();
        machine.put(INPUT, words(&bytes(&mut random, 16)).into_iter().map(|mask| [mask; RUNS]));
        machine.call(address(REFRESH), STACK, &[KEYS, INPUT]).unwrap();
        let plain = bytes(&mut random, 32);
        machine.put(INPUT, masked(&words(&plain), &words(&bytes(&mut random, 32))));
        machine.call(address(ENCRYPT), STACK, &[KEYS, INPUT]).unwrap();
        let word = |i: u32| match &machine.memory[&(INPUT + 4 * i)] {
            Cell::Data(word) => word[0],
            Cell::Int(word) => *word,
        };
        let output: Vec<u8> = (0..8).flat_map(|i| (word(i) ^ word(i + 8)).to_le_bytes()).collect();
        for (plain, output) in plain.chunks_exact(8).zip(output.chunks_exact(8)) {
            assert_eq!(output, reference::encrypt(&key, plain.try_into().unwrap()));
        }
    }
}

/// The proof for blocks takes round keys as this kernel leaves them.
#[test]
fn new_masks_are_added_to_the_planes_of_all_rounds() {
    let mut random = Random(2);
    let (keys, masks) = ([(); 8 * 36].map(|()| random.word()), [(); 4].map(|()| random.word()));
    let mut machine = Machine::new(Plain(|_: Model, _: u32, _: &Word| ()));
    machine.program(CODE, kernel(REFRESH).instructions());
    machine.put(KEYS, keys.map(|word| [word; RUNS]));
    machine.put(INPUT, masks.map(|word| [word; RUNS]));
    machine.call(CODE, STACK, &[KEYS, INPUT]).unwrap();
    for (i, (address, key)) in (KEYS..).step_by(4).zip(keys).enumerate() {
        let new = machine.memory[&address].data().unwrap();
        assert_eq!(new[0], key ^ masks[plane_of_key(i)], "word {i}");
    }
}

#[test]
fn blocks_are_independent_of_secrets() {
    let report = prove(&kernel(ENCRYPT)).unwrap();
    assert!(report.leaks.is_empty(), "{:?}", &report.leaks[..report.leaks.len().min(9)]);
    assert!(report.has_uniform_shares && report.leaves_public);
    assert!(report.instructions <= 110 * 32, "{} instructions for four blocks", report.instructions);
}

/// And the first new masks after them.
#[test]
fn key_schedules_are_independent_of_secrets() {
    for name in [SCHEDULE_80, SCHEDULE_128] {
        let report = prove(&kernel(name)).unwrap();
        assert!(report.leaks.is_empty(), "{name}: {:?}", &report.leaks[..report.leaks.len().min(9)]);
        assert!(report.has_uniform_shares && report.leaves_public, "{name}");
    }
}

#[test]
fn new_masks_are_independent_of_secrets() {
    let report = prove(&kernel(REFRESH)).unwrap();
    assert!(report.leaks.is_empty(), "{:?}", report.leaks);
    assert!(report.leaves_public);
}

#[test]
fn the_mode_is_independent_of_secrets() {
    for name in [ADD, SELECT, DOUBLE, TIMES_16] {
        let report = prove(&kernel(name)).unwrap();
        assert!(report.leaks.is_empty(), "{name}: {:?}", report.leaks);
        assert!(report.leaves_public, "{name}");
    }
}

/// 2^exponent times a block, as the mode defines it.
fn times(block: [u8; 8], exponent: u32) -> [u8; 8] {
    let double = |x: u64| if x >> 63 == 1 { x << 1 ^ 0x1B } else { x << 1 };
    (0..exponent).fold(u64::from_be_bytes(block), |x, _| double(x)).to_be_bytes()
}

/// What a kernel makes of words in memory, with `arguments`.
fn computed(name: &str, memory: &[u32], arguments: &[u32]) -> Vec<u32> {
    let mut machine = Machine::new(Plain(|_: Model, _: u32, _: &Word| ()));
    machine.program(CODE, kernel(name).instructions());
    machine.put(INPUT, memory.iter().map(|word| [*word; RUNS]));
    machine.call(CODE, STACK, arguments).unwrap();
    let word = |n| machine.memory[&(INPUT + 4 * n as u32)].data().unwrap()[0];
    (0..memory.len()).map(word).collect()
}

#[test]
fn kernels_compute_what_the_mode_needs() {
    let mut random = Random(3);
    for blocks in 1..=5 {
        for _ in 0..20 {
            let bytes = bytes(&mut random, 8 * (2 * blocks + 1));
            let memory = words(&bytes);
            let (x, y) = (INPUT, INPUT + 8 * blocks as u32);
            for (name, op) in [(ADD, (|a, b| a ^ b) as fn(u32, u32) -> u32), (SELECT, |a, b| a & b)] {
                let result = computed(name, &memory, &[x, x, y, y]);
                let (first, rest) = memory.split_at(2 * blocks);
                let expected = first.iter().zip(rest).map(|(a, b)| op(*a, *b));
                assert!(result.iter().copied().eq(expected.chain(rest.iter().copied())), "{name}");
            }
            let block = |n: usize| -> [u8; 8] { bytes[8 * n..8 * n + 8].try_into().unwrap() };
            let others = &memory[2 * blocks..];
            let expected: Vec<u8> = (0..blocks).flat_map(|n| times(block(n), 4)).collect();
            assert_eq!(computed(TIMES_16, &memory, &[x, y]), [&words(&expected)[..], others].concat());
            let expected: Vec<u8> = (0..=blocks).flat_map(|n| times(block(0), n as u32)).collect();
            assert_eq!(computed(DOUBLE, &memory, &[x, y]), [&words(&expected)[..], &others[2..]].concat());
        }
    }
}

/// A bit as a sum of variables and of products of two, in which those that occur twice cancel out.
type Sum = BTreeSet<(u32, u32)>;

/// Words whose bits are sums: whatever their variables are, all at once.
struct Sums;

impl Domain for Sums {
    type Word = Vec<Sum>;

    fn constant(&mut self, value: u32) -> Vec<Sum> {
        (0..32).map(|i| (0..value >> i & 1).map(|_| ONE).collect()).collect()
    }

    fn and(&mut self, a: &Vec<Sum>, b: &Vec<Sum>) -> Vec<Sum> {
        let both = |(a, b): (&Sum, &Sum)| {
            let products = a.iter().flat_map(|a| b.iter().map(move |b| (a, b)));
            products.fold(Sum::new(), |sum, (a, b)| match (*a, *b) {
                (ONE, other) | (other, ONE) => plus(&sum, &Sum::from([other])),
                ((a, 0), (b, 0)) => plus(&sum, &Sum::from([(a.max(b), a.min(b))])),
                _ => panic!("a product of three"),
            })
        };
        a.iter().zip(b).map(both).collect()
    }

    fn xor(&mut self, a: &Vec<Sum>, b: &Vec<Sum>) -> Vec<Sum> {
        a.iter().zip(b).map(|(a, b)| plus(a, b)).collect()
    }

    fn moved(&mut self, a: &Vec<Sum>, from: impl Fn(u8) -> Option<u8>) -> Vec<Sum> {
        (0..32).map(|i| from(i).map_or_else(Sum::new, |from| a[usize::from(from)].clone())).collect()
    }

    fn seen(&mut self, _: Model, _: u32, _: &Vec<Sum>) -> anyhow::Result<()> {
        Ok(())
    }
}

const ONE: (u32, u32) = (0, 0);

fn plus(a: &Sum, b: &Sum) -> Sum {
    a.symmetric_difference(b).copied().collect()
}

/// Words of variables, which no other number has.
fn variables(first: u32, count: u32) -> Vec<Vec<Sum>> {
    (0..count).map(|word| (1..=32).map(|bit| Sum::from([(first + 32 * word + bit, 0)])).collect()).collect()
}

/// What a kernel makes of variables in memory, with `arguments`.
fn computed_for_all(name: &str, memory: &[Vec<Sum>], more: &[Vec<Sum>], arguments: &[u32]) -> Vec<Vec<Sum>> {
    let mut machine = Machine::new(Sums);
    machine.program(CODE, kernel(name).instructions());
    machine.put(INPUT, memory.to_vec());
    machine.put(KEYS, more.to_vec());
    machine.call(CODE, STACK, arguments).unwrap();
    let word = |n| machine.memory[&(INPUT + 4 * n as u32)].data().unwrap().clone();
    (0..memory.len()).map(word).collect()
}

/// Twice a block, whose bytes are an element of GF(2^64) in big-endian order.
fn twice(block: &[Vec<Sum>]) -> Vec<Vec<Sum>> {
    let place = |bit: usize| ((7 - bit / 8) / 4, (7 - bit / 8) % 4 * 8 + bit % 8);
    let at = |bit: usize| &block[place(bit).0][place(bit).1];
    let mut twice = vec![vec![Sum::new(); 32]; 2];
    for bit in 0..64 {
        let low = if bit == 0 { Sum::new() } else { at(bit - 1).clone() };
        let sum = if [0, 1, 3, 4].contains(&bit) { plus(&low, at(63)) } else { low };
        twice[place(bit).0][place(bit).1] = sum;
    }
    twice
}

/// For all blocks and masks: the proof of what the kernels compute that are made of sums.
#[test]
fn kernels_of_the_mode_compute_it_for_all_inputs() {
    for blocks in 1..=5u32 {
        let memory = variables(0, 4 * blocks + 2);
        let words = 2 * blocks as usize;
        let (x, y) = (INPUT, INPUT + 8 * blocks);
        let (first, rest) = memory.split_at(words);
        for name in [ADD, SELECT] {
            let op = |(a, b)| if name == ADD { Sums.xor(a, b) } else { Sums.and(a, b) };
            let expected = first.iter().zip(rest).map(op).chain(rest.iter().cloned());
            assert!(computed_for_all(name, &memory, &[], &[x, x, y, y]).into_iter().eq(expected), "{name}");
        }
        let mut powers: Vec<Vec<Vec<Sum>>> = vec![memory[..2].to_vec()];
        for n in 0..blocks as usize {
            powers.push(twice(&powers[n]));
        }
        let expected = [powers.concat(), rest[2..].to_vec()].concat();
        assert!(computed_for_all(DOUBLE, &memory, &[], &[x, y]) == expected);
        let times_16 = first.chunks(2).flat_map(|block| twice(&twice(&twice(&twice(block)))));
        let expected: Vec<Vec<Sum>> = times_16.chain(rest.iter().cloned()).collect();
        assert!(computed_for_all(TIMES_16, &memory, &[], &[x, y]) == expected);
    }
    // New masks, which come after the round keys here.
    let (keys, masks) = (variables(0, 8 * 36), variables(32 * 8 * 36, 4));
    let new = computed_for_all(REFRESH, &keys, &masks, &[INPUT, KEYS]);
    for (i, (new, key)) in new.iter().zip(&keys).enumerate() {
        assert!(*new == Sums.xor(key, &masks[plane_of_key(i)]), "word {i}");
    }
}

/// The models in which a kernel of the mode leaks after an instruction of it was exchanged.
fn models_of(name: &str, is: impl Fn(&Op) -> bool, by: &[Op]) -> (BTreeSet<Model>, bool) {
    let mut kernel = kernel(name);
    let place = first(&kernel, is);
    kernel.code.splice(place..=place, by.iter().copied());
    let report = prove(&kernel).unwrap();
    (report.leaks.iter().map(|leak| leak.model).collect(), report.leaves_public)
}

/// Without the zeros at its end, a kernel leaves share a in a register, which then gets share b.
#[test]
fn a_share_that_stays_in_a_register_is_found() {
    for name in [DOUBLE, TIMES_16] {
        let found = models_of(name, |op| matches!(op, Op::MovImm { rd: 12, .. }), &[]);
        assert_eq!(found, (BTreeSet::from([Model::Overwrite]), false), "{name}");
    }
    for name in [ADD, SELECT] {
        let back = Op::Ldm { rn: SP, writes_back: true, list: 0x80F0 };
        let copy = Op::Mov { rd: 12, rm: 4, shift: NONE };
        let (found, is_public) = models_of(name, |op| *op == back, &[copy, back]);
        assert!(found.contains(&Model::Overwrite) && !is_public, "{name}: {found:?}");
    }
}

/// The models in which a kernel leaks after a change to its code.
fn models(change: impl FnOnce(&mut Kernel)) -> BTreeSet<Model> {
    let mut kernel = kernel(ENCRYPT);
    change(&mut kernel);
    prove(&kernel).unwrap().leaks.iter().map(|leak| leak.model).collect()
}

/// A pad is there for the register, and for the last result.
#[test]
fn a_missing_pad_is_found() {
    let found = models(|kernel| {
        kernel.code.remove(pad(kernel));
    });
    assert_eq!(found, BTreeSet::from([Model::Overwrite, Model::Result]));
}

/// The shares of the state are left on the stack, of which nothing is seen in this call.
#[test]
fn shares_that_stay_on_the_stack_are_found() {
    let mut kernel = kernel(ENCRYPT);
    let end = kernel.code.iter().rposition(|op| matches!(op, Op::Ldm { rn: SP, .. })).unwrap();
    let start = kernel.code.iter().rposition(|op| matches!(op, Op::MovImm { .. })).unwrap() + 1;
    let stores = kernel.code.drain(start..end - 1);
    assert!(stores.count() == 8);
    let report = prove(&kernel).unwrap();
    assert!(report.leaks.is_empty() && !report.leaves_public);
}

#[test]
fn a_share_over_the_other_is_found() {
    let found = models(with_a_share_over_the_other);
    assert!(found.contains(&Model::Overwrite), "{found:?}");
}

/// The models in which more instructions in the first round of the loop leak, after r1 and r5 have both shares of a plane.
fn models_with(more: &[Op]) -> BTreeSet<Model> {
    models(|kernel| {
        let load = first(kernel, |op| matches!(op, Op::Ldm { rn: 0, .. }));
        kernel.code.splice(load..load, more.iter().copied());
    })
}

#[test]
fn a_sum_of_both_shares_is_found() {
    let found = models_with(&[Op::Reg { op: Alu::Eor, rd: 9, rn: 1, rm: 5, shift: NONE }]);
    assert!(found.contains(&Model::Value), "{found:?}");
}

/// Both shares are operands, one after the other, of instructions whose results are zero.
#[test]
fn both_shares_as_operands_are_found() {
    let none_of = |rn| Op::Imm { op: Alu::And, rd: 9, rn, imm: 0 };
    assert_eq!(models_with(&[none_of(1), none_of(5)]), BTreeSet::from([Model::Operand]));
}

/// Both shares are results, one after the other, and operands at different inputs.
#[test]
fn both_shares_as_results_are_found() {
    let found = models_with(&[
        Op::MovImm { rd: 9, imm: 0 },
        Op::MovImm { rd: 10, imm: 0 },
        Op::Imm { op: Alu::Eor, rd: 9, rn: 1, imm: 0 },
        Op::Mov { rd: 10, rm: 5, shift: NONE },
    ]);
    assert_eq!(found, BTreeSet::from([Model::Result]));
}

/// Both shares are stored again where they are, one after the other.
#[test]
fn both_shares_on_the_bus_are_found() {
    let found = models_with(&[Op::Str { rt: 1, rn: SP, offset: 0 }, Op::Str { rt: 5, rn: SP, offset: 16 }]);
    assert_eq!(found, BTreeSet::from([Model::Bus]));
}

/// A share that is stored over another word of the same share makes words that depend on each other.
#[test]
fn shares_that_are_not_uniform_are_found() {
    let mut kernel = kernel(ENCRYPT);
    let store = kernel.code.iter().rposition(|op| matches!(op, Op::Strd { rn: 1, .. })).unwrap();
    let Op::Strd { rt, offset, .. } = kernel.code[store] else { unreachable!() };
    kernel.code[store] = Op::Strd { rt, rt2: rt, rn: 1, offset };
    let report = prove(&kernel).unwrap();
    assert!(!report.has_uniform_shares);
}

/// A key schedule with another instruction after the last one that stores `offset` on the stack.
fn schedule_with(name: &str, offset: u16, more: impl Fn(Reg) -> Op) -> Kernel {
    let mut kernel = kernel(name);
    let place = kernel
        .code
        .iter()
        .rposition(|op| matches!(op, Op::Str { rn: SP, offset: place, .. } if *place == offset));
    let place = place.unwrap();
    let Op::Str { rt, .. } = kernel.code[place] else { unreachable!() };
    kernel.code.insert(place + 1, more(rt));
    kernel
}

#[test]
fn faults_in_key_schedules_are_found() {
    for name in [SCHEDULE_80, SCHEDULE_128] {
        // A pad stands alone in the S-box. Between shares there are many zeros in turn.
        let mut changed = kernel(name);
        let pad = changed
            .code
            .windows(3)
            .position(|ops| matches!(ops, [Op::Reg { .. }, Op::MovImm { imm: 0, .. }, Op::Reg { .. }]));
        changed.code.remove(pad.unwrap() + 1);
        let leaks = prove(&changed).unwrap().leaks;
        let found: BTreeSet<Model> = leaks.iter().map(|leak| leak.model).collect();
        assert_eq!(found, BTreeSet::from([Model::Overwrite, Model::Result]), "{name}, without a pad");
        let mut changed = kernel(name);
        with_a_share_over_the_other(&mut changed);
        assert!(!prove(&changed).unwrap().leaks.is_empty(), "{name}, a share over the other");
        // Share b of the last word of the state, also where it is share b of the word before: one mask for two secrets, of which nothing is seen
        // before the next step.
        let last = 64 + 32 + 28;
        let report =
            prove(&schedule_with(name, last, |rt| Op::Str { rt, rn: SP, offset: last - 4 })).unwrap();
        assert!(!report.has_uniform_shares, "{name}");
        // The same on the stack behind the state, where it stays.
        let left = prove(&schedule_with(name, last, |rt| Op::Str { rt, rn: SP, offset: last + 48 }));
        assert!(left.is_err_and(|error| error.to_string().contains("on the stack")), "{name}");
        // Round keys written over those of the step before.
        let mut changed = kernel(name);
        let next =
            changed.code.iter().position(|op| matches!(op, Op::Imm { op: Alu::Add, rd: 0, rn: 0, .. }));
        changed.code[next.unwrap()] = Op::Imm { op: Alu::Add, rd: 0, rn: 0, imm: 3 * 32 };
        assert!(prove(&changed).is_err_and(|error| error.to_string().contains("overwritten")), "{name}");
    }
}

/// A key schedule with other instructions at the end of each step, after which r1 to r4 are zeros.
fn schedule_that_ends_with(name: &str, more: &[Op]) -> Kernel {
    let mut kernel = kernel(name);
    let end = kernel.code.iter().rposition(|op| matches!(op, Op::Bne { .. })).unwrap();
    let zeros = (1..5).map(|rd| Op::MovImm { rd, imm: 0 });
    // Before what is done with public words: the constants, the round keys and the comparison.
    let place = end - 6;
    kernel.code.splice(place..place, more.iter().copied().chain(zeros));
    kernel
}

/// Share b must be uniformly distributed and the sum of both shares must have no masks: each of both alone is not enough.
#[test]
fn states_that_are_no_shares_of_secrets_are_found() {
    let load = |rt, offset| Op::Ldr { rt, rn: SP, offset };
    let store = |rt, offset| Op::Str { rt, rn: SP, offset };
    let add = |rm| Op::Reg { op: Alu::Eor, rd: 2, rn: 2, rm, shift: NONE };
    let (a6, b6, b7) = (64 + 24, 96 + 24, 96 + 28);
    // One mask for two secrets.
    let same_mask = [load(2, a6), load(3, b6), load(4, b7), add(3), add(4), store(2, a6), store(4, b6)];
    // A secret under the masks of two, of which one is left in the sum.
    let mask_in_sum = [load(2, a6), load(4, b7), add(4), store(2, a6)];
    for name in [SCHEDULE_80, SCHEDULE_128] {
        assert!(prove(&schedule_that_ends_with(name, &[])).unwrap().has_uniform_shares, "{name}");
        for more in [&same_mask[..], &mask_in_sum] {
            let report = prove(&schedule_that_ends_with(name, more)).unwrap();
            assert!(!report.has_uniform_shares, "{name}: {more:?}");
        }
    }
}

/// What is left in a register at the end of a step, or of a round of new masks, would meet the shares of the next one.
#[test]
fn shares_that_stay_between_steps_are_found() {
    for name in [SCHEDULE_80, SCHEDULE_128] {
        let left = schedule_that_ends_with(name, &[Op::Ldr { rt: 11, rn: SP, offset: 64 }]);
        let error = prove(&left).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("a step leaves"), "{name}: {error}");
        let mut refresh = kernel(REFRESH);
        let end = refresh.code.iter().rposition(|op| matches!(op, Op::MovImm { rd: 11, .. })).unwrap();
        refresh.code.drain(end - 9..=end);
        let error = prove_schedule(&kernel(name), &refresh).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("a round of new masks leaves"), "{name}: {error}");
    }
}

/// Share a of a plane is added to share b of it, in which each bit has moved to the place of the next one. With new masks before, all bits have
/// different masks. As a key schedule leaves them, four bits have the same one.
#[test]
fn a_fault_in_the_first_new_masks_is_found() {
    let mut refresh = kernel(REFRESH);
    let load = first(&refresh, |op| matches!(op, Op::Ldr { rn: 0, .. }));
    let public = Op::Ldr { rt: 12, rn: SP, offset: 4 };
    let zero = |rd| Op::MovImm { rd, imm: 0 };
    let more = [
        Op::Ldr { rt: 6, rn: 0, offset: 0 },
        public,
        Op::Ldr { rt: 7, rn: 0, offset: 28 },
        public,
        Op::Mov { rd: 7, rm: 7, shift: Shift::Ror(1) },
        zero(8),
        Op::Reg { op: Alu::Eor, rd: 8, rn: 6, rm: 7, shift: NONE },
        zero(6),
        zero(7),
        zero(8),
    ];
    refresh.code.splice(load..load, more);
    assert!(prove(&refresh).unwrap().leaks.is_empty());
    for name in [SCHEDULE_80, SCHEDULE_128] {
        let report = prove_schedule(&kernel(name), &refresh).unwrap();
        assert!(report.leaks.iter().any(|leak| leak.model == Model::Value), "{name}");
    }
}

/// Messages whose ciphertexts and tags are those of `Twine128Otr`: the bytes of associated data and of the message, and what is made of them.
const MESSAGES: [(usize, usize, &str); 6] = [
    (
        12,
        44,
        "9ea7ce6ed75ac48d7948e90889c8b5cbbd65e4d924a8541d846cccb6d197259c01b67c0e1d2cdd06d258c305\
         80821c70cf249091",
    ),
    (0, 36, "9ea7ce6ed75ac48d7948e90889c8b5cbbd65e4d924a8541d846cccb6d197259c1cc5034bc1d9eb07eaab28ba"),
    (
        40,
        100,
        "9ea7ce6ed75ac48d7948e90889c8b5cbbd65e4d924a8541d846cccb6d197259cd258c3053351043e22cd7dc20bef048d\
         8118f1e810503e954cb127e500d6a47a2738e671b3c9dfd4f06a46fbb8d2b0944e1a22428c1947380b502f2553c318f0\
         f5fcb76130ecb36ced9979af",
    ),
    (
        8,
        64,
        "9ea7ce6ed75ac48d7948e90889c8b5cbbd65e4d924a8541d846cccb6d197259cd258c3053351043e22cd7dc20bef048d\
         4cb127e500d6a47a8118f1e810503e95280e98cbf15da82c",
    ),
    (33, 0, "c58b5b481621444e"),
    (0, 7, "adcc275d8ccf4cc80cfabaaadf3b54"),
];

#[test]
fn kernels_compute_messages() {
    let all: Vec<(u32, Kernel)> = (CODE..).step_by(0x10000).zip(ALL.iter().cloned()).collect();
    let address =
        |name: &str| all.iter().find(|(_, kernel)| kernel.name == name).map(|(address, _)| *address);
    let mut machine = Machine::new(Plain(|_: Model, _: u32, _: &Word| ()));
    for (address, kernel) in &all {
        machine.program(*address, kernel.instructions());
    }
    let mut random = Random(4);
    let of_all_runs = |words: &[u32]| -> Vec<Word> { words.iter().map(|word| [*word; RUNS]).collect() };
    let key: Vec<u8> = (0..16).collect();
    let masks: Vec<u32> = (0..4).map(|_| random.word()).collect();
    let share: Vec<u32> = words(&key).iter().zip(&masks).map(|(word, mask)| word ^ mask).collect();
    machine.put(INPUT, of_all_runs(&[share, masks].concat()));
    for (address, word) in (CONSTANTS..).step_by(4).zip(constants()) {
        machine.memory.insert(address, Cell::Int(word));
    }
    machine.call(address(SCHEDULE_128).unwrap(), STACK, &[KEYS, INPUT, CONSTANTS]).unwrap();
    let text = |start: u8, len: usize| {
        let mut all =
            (start..=255).collect::<Vec<u8>>().chunks_exact(4).map(words).collect::<Vec<_>>().into_iter();
        Bytes::new(len, || [all.next().unwrap()[0]; RUNS])
    };
    let nonce = known([0x0302_0101, 0x0706_0504]);
    let (machine, random) = (&mut machine, &mut random);
    let mut caller = Caller { machine, addresses: &address, random, is_masked: true, unmasks_tag: false };
    for (data_len, len, expected) in MESSAGES {
        let (data, message) = (text(0x20, data_len), text(0x40, len));
        let sealed = caller.seal(nonce, &data, &message).unwrap();
        let tag = sealed.tag.iter().flat_map(|word| word[0].to_le_bytes());
        let found: String =
            sealed.ciphertext.first().into_iter().chain(tag).map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(found, expected);
        let mut wrong = sealed.clone();
        wrong.tag[1][0] ^= 1;
        let [x, y] = caller.verify(nonce, &data, &wrong).unwrap();
        assert!(x[1][0] != y[1][0] || x[0][0] != y[0][0]);
        assert_eq!(x[0][1..], y[0][1..]);
        let [x, y] = caller.verify(nonce, &data, &sealed).unwrap();
        assert_eq!(x, y);
        assert_eq!(caller.open(&sealed).unwrap(), message);
    }
}
