//! The masked S-box: its gadgets, and a search for an order and registers in which nothing leaks.
//!
//! Each AND and OR of the circuit is one of the gadgets of Biryukov and others (*Optimal First-Order Boolean Masking for Embedded IoT Devices*,
//! 2017), which need no randomness: `z0 = (x0 & y0) ^ (x0 | !y1)`, `z1 = (x1 & y0) ^ (x1 | !y1)`, and alike for OR. The operands of each and its
//! shares can be exchanged. The search tries such variants, orders of instructions and registers, and takes only steps that are clean in the
//! models of values, overwritten registers, operands and results. It judges functions of the four secrets and four masks of a nibble by
//! trying them all. If no step is clean, a pad is one: it sets a register to zero, and with it the inputs of the arithmetic unit and its result.

use crate::{
    ir::{Alu, LR, NONE, Op, Reg},
    random::Random,
};

/// A function of a nibble: bit `m` of entry `s` is its value for the secrets `s` and the masks `m`.
type Function = [u16; 16];

const MASKS: [u16; 4] = [0xAAAA, 0xCCCC, 0xF0F0, 0xFF00];

fn combine(a: Function, b: Function, op: impl Fn(u16, u16) -> u16) -> Function {
    std::array::from_fn(|s| op(a[s], b[s]))
}

fn is_independent(f: Function) -> bool {
    f.iter().all(|masks| masks.count_ones() == f[0].count_ones())
}

fn difference_is_independent(a: Function, b: Function) -> bool {
    is_independent(combine(a, b, |a, b| a ^ b))
}

/// The gates: output, operation, inputs, and what is added to the output of an AND or OR. The values 0 to 3 are the inputs of the circuit.
/// The operations are `&`, `|` and `^`. This is `circuit` in `twine/src/sbox.rs`.
const GATES: [(usize, char, usize, usize, Option<usize>); 8] = [
    (4, '&', 2, 3, Some(0)),
    (5, '&', 4, 0, None),
    (6, '^', 3, 4, None),
    (7, '|', 6, 1, Some(2)),
    // y3
    (8, '^', 5, 7, None),
    // y2
    (9, '|', 7, 1, Some(3)),
    // y1
    (10, '&', 8, 9, Some(4)),
    // y0
    (11, '|', 9, 7, Some(1)),
];

/// The outputs y0 to y3.
const OUTPUTS: [usize; 4] = [11, 10, 9, 8];

/// A step of the computation on shares.
#[derive(Clone, Copy)]
struct Step {
    op: Alu,
    result: usize,
    a: usize,
    b: usize,
}

/// Share `half` of value `gate`.
fn share(gate: usize, half: usize) -> usize {
    2 * gate + half
}

/// All steps, and the function of each value, for one variant of the gadgets.
fn steps(variant: u32) -> (Vec<Step>, Vec<Function>) {
    let mut functions = vec![[0; 16]; share(12, 0)];
    for i in 0..4 {
        let secret = |s: usize| if s >> i & 1 == 1 { 0xFFFF } else { 0 };
        functions[share(i, 0)] = std::array::from_fn(|s| secret(s) ^ MASKS[i]);
        functions[share(i, 1)] = [MASKS[i]; 16];
    }
    let mut steps = Vec::new();
    let mut emit = |functions: &mut Vec<Function>, op, a: usize, b: usize, result: Option<usize>| {
        let f = combine(functions[a], functions[b], |a, b| match op {
            Alu::And => a & b,
            Alu::Orr => a | b,
            Alu::Orn => a | !b,
            _ => a ^ b,
        });
        let result = result.unwrap_or_else(|| {
            functions.push([0; 16]);
            functions.len() - 1
        });
        functions[result] = f;
        steps.push(Step { op, result, a, b });
        result
    };
    let mut nonlinear = 0;
    for (output, op, x, y, added) in GATES {
        if op == '^' {
            for half in 0..2 {
                emit(&mut functions, Alu::Eor, share(x, half), share(y, half), Some(share(output, half)));
            }
            continue;
        }
        let choice = variant >> (2 * nonlinear) & 3;
        nonlinear += 1;
        let (x, y) = if choice & 1 == 1 { (y, x) } else { (x, y) };
        let (p, q) = if choice & 2 == 0 { (0, 1) } else { (1, 0) };
        let [x0, x1, y0, y1] = [share(x, p), share(x, q), share(y, p), share(y, q)];
        let terms = if op == '&' {
            [(Alu::And, x0, y0), (Alu::Orn, x0, y1), (Alu::And, x1, y0), (Alu::Orn, x1, y1)]
        } else {
            [(Alu::And, x0, y0), (Alu::Orr, x0, y1), (Alu::Orr, x1, y0), (Alu::And, x1, y1)]
        };
        let terms = terms.map(|(op, a, b)| emit(&mut functions, op, a, b, None));
        for (half, [a, b]) in [(p, [terms[0], terms[1]]), (q, [terms[2], terms[3]])] {
            let target = share(output, half);
            match added {
                None => {
                    emit(&mut functions, Alu::Eor, a, b, Some(target));
                }
                Some(added) => {
                    let sum = emit(&mut functions, Alu::Eor, a, b, None);
                    emit(&mut functions, Alu::Eor, sum, share(added, half), Some(target));
                }
            }
        }
    }
    (steps, functions)
}

/// The masked S-box on r1 to r8: x0 to x3 of share a, then of share b. It may use r9 to r12 and lr.
#[derive(Clone)]
pub struct Sbox {
    /// The instructions.
    pub code: Vec<Op>,
    /// The registers of y0 to y3 of share a, then of share b.
    pub outputs: [Reg; 8],
    /// All outputs, as numbers of [`Self::outputs`], in an order in which they can be the operands of the instructions that follow.
    pub order: [usize; 8],
    /// How many instructions are pads.
    pub pads: usize,
}

const REGISTERS: [Reg; 13] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, LR];

/// Tries to schedule one variant.
fn attempt(variant: u32, random: &mut Random, most_pads: usize) -> Option<Sbox> {
    let (mut todo, functions) = steps(variant);
    let mut uses = vec![0; functions.len()];
    for step in &todo {
        uses[step.a] += 1;
        uses[step.b] += 1;
    }
    for output in OUTPUTS {
        uses[share(output, 0)] += 1;
        uses[share(output, 1)] += 1;
    }
    let mut holds: Vec<Option<usize>> = vec![None; REGISTERS.len()];
    let mut old: Vec<Option<Function>> = vec![None; REGISTERS.len()];
    for i in 0..8 {
        let value = share(i % 4, i / 4);
        holds[i] = Some(value);
        old[i] = Some(functions[value]);
    }
    // The last result is x3 of share b. What was at the inputs of the arithmetic unit has masks of its own.
    let (mut operands, mut result): (Option<[Function; 2]>, Function) = (None, functions[share(3, 1)]);
    let (mut code, mut pads, mut after_pad) = (Vec::new(), 0, false);
    while !todo.is_empty() {
        let place = |value: usize| holds.iter().position(|held| *held == Some(value));
        let mut best: Option<(u64, usize, Step, usize, usize, usize)> = None;
        for (number, step) in todo.iter().enumerate() {
            let f = functions[step.result];
            if !difference_is_independent(result, f) {
                continue;
            }
            for (a, b) in [(step.a, step.b), (step.b, step.a)] {
                if step.op == Alu::Orn && a != step.a {
                    continue;
                }
                let (Some(from_a), Some(from_b)) = (place(a), place(b)) else { continue };
                let clean = operands.is_none_or(|[x, y]| {
                    difference_is_independent(x, functions[a]) && difference_is_independent(y, functions[b])
                });
                if !clean || !difference_is_independent(functions[a], functions[b]) {
                    continue;
                }
                let dies = |value: usize| uses[value] == 1;
                let freed = u64::from(dies(a)) + u64::from(dies(b));
                for (register, held) in holds.iter().enumerate() {
                    if held.is_some_and(|held| uses[held] > usize::from(held == a || held == b)) {
                        continue;
                    }
                    if old[register].is_some_and(|old| !difference_is_independent(old, f)) {
                        continue;
                    }
                    let score = freed * 1000 + random.number() % 1500;
                    if best.is_none_or(|best| score > best.0) {
                        best = Some((score, number, Step { a, b, ..*step }, register, from_a, from_b));
                    }
                }
            }
        }
        let Some((_, number, step, register, from_a, from_b)) = best else {
            if after_pad || pads == most_pads {
                return None;
            }
            let dead: Vec<usize> =
                (0..REGISTERS.len()).filter(|r| holds[*r].is_none_or(|held| uses[held] == 0)).collect();
            if dead.is_empty() {
                return None;
            }
            let register = dead[random.below(dead.len())];
            code.push(Op::MovImm { rd: REGISTERS[register], imm: 0 });
            (holds[register], old[register]) = (None, Some([0; 16]));
            (operands, result) = (Some([[0; 16]; 2]), [0; 16]);
            (pads, after_pad) = (pads + 1, true);
            continue;
        };
        after_pad = false;
        code.push(Op::Reg {
            op: step.op,
            rd: REGISTERS[register],
            rn: REGISTERS[from_a],
            rm: REGISTERS[from_b],
            shift: NONE,
        });
        uses[step.a] -= 1;
        uses[step.b] -= 1;
        holds[register] = Some(step.result);
        let f = functions[step.result];
        (old[register], operands, result) = (Some(f), Some([functions[step.a], functions[step.b]]), f);
        todo.swap_remove(number);
    }
    let mut outputs = [0; 8];
    for (i, output) in outputs.iter_mut().enumerate() {
        *output = REGISTERS[holds.iter().position(|held| *held == Some(share(OUTPUTS[i % 4], i / 4)))?];
    }
    let output = |i: usize| functions[share(OUTPUTS[i % 4], i / 4)];
    let order = orders().find(|order| {
        operands.is_some_and(|[_, operand]| difference_is_independent(operand, output(order[0])))
            && order.windows(2).all(|next| difference_is_independent(output(next[0]), output(next[1])))
    })?;
    Some(Sbox { code, outputs, order, pads })
}

/// Orders of the outputs. The pairs of planes 0 and 1 and of planes 2 and 3 stay together. The third pair has not the planes of the first, and
/// the fourth not those of the second, so that no register gets a plane of both shares in turn.
fn orders() -> impl Iterator<Item = [usize; 8]> {
    (0..64).map(|n| {
        let first = n / 16 * 2;
        let pairs = [first, first ^ 2, first ^ 4, first ^ 6];
        // The third pair has other planes than the first.
        let pairs = [pairs[0], pairs[1], pairs[3], pairs[2]];
        std::array::from_fn(|i| pairs[i / 2] + ((i % 2) ^ (n >> (i / 2) & 1)))
    })
}

/// The variants of the gadgets that have no value that depends on a secret.
#[must_use]
pub fn clean_variants() -> Vec<u32> {
    (0..1 << 12)
        .filter(|variant| {
            let (steps, functions) = steps(*variant);
            steps.iter().all(|step| is_independent(functions[step.result]))
        })
        .collect()
}

/// Schedules of the S-box with at most `most_pads` pads, one after the other.
pub fn search(seed: u64, most_pads: usize) -> impl Iterator<Item = Sbox> {
    let clean = clean_variants();
    let mut random = Random(seed);
    std::iter::from_fn(move || {
        loop {
            let variant = clean[random.below(clean.len())];
            if let Some(sbox) = attempt(variant, &mut random, most_pads) {
                return Some(sbox);
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variants_are_those_of_the_exhaustive_search() {
        assert_eq!(clean_variants().len(), 1408);
    }
}
