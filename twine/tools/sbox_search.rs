//! Search for a small circuit of the TWINE S-box on bit planes: the program that found the one in `src/sbox.rs`.
//!
//! # Two freedoms
//! **Complements.** `S(u) = S'(u ^ a) ^ S(a)` with `S'(v) = S(v ^ a) ^ S(a)`, for any of 16 nibbles `a`. Adding a constant before
//! or after the S-box costs nothing: in `O ^= S(E ^ K)` both constants fold into round keys. So any of the 16 maps `S'` will do;
//! all have `S'(0) = 0`.
//!
//! **Basis.** TWINE is a generalised Feistel cipher. Its rounds only add round keys to nibbles, move whole nibbles, and do
//! `O ^= S(E ^ K)`. Keep all nibbles of state and key in another basis of GF(2)^4, `X' = L X`. Then moves are the same, and the
//! round is `O' ^= L S(L^-1 (E' ^ K'))`. So a circuit of `L S L^-1` does as well, and `L` itself is paid for only where blocks and
//! keys are loaded and stored. (An SPN with a linear layer inside the nibbles lacks this freedom.) An output nibble is an
//! input of a later round, so `L` is the same at both ends. There are 20,160 bases, hence 322,560 pairs of `a` and `L`, here
//! called targets. For each the circuit has to compute `L S' L^-1`.
//!
//! # Normal gates
//! A target maps 0 to 0. Any circuit of AND, OR and XOR gates with free complements becomes one of normal gates, those with
//! `f(0, 0) = 0`, without another gate: complement every value that is 1 for the input 0. Five depend on both operands:
//! `p ^ q`, `p & q`, `p & ~q`, `~p & q`, `p | q`. So values are truth tables of 16 bits (bit `x` is the value for the input `x`)
//! whose bit 0 is clear, and the search sees no complement at all.
//!
//! # Search
//! A beam search over sets of computed functions. It starts with the four inputs; a step adds one normal gate of two functions of
//! the set; of all new sets the best `--width` survive, judged for all targets at once. An output that has been computed counts
//! [`MADE`], one that a single gate would compute counts [`NEAR`], any other 1; a target counts the product over its outputs,
//! and the score is the logarithm of the sum over all targets, plus noise that depends on the seed.
//! A target whose outputs are all computed or one gate away is a hit.
//!
//! Two facts make that fast. First, the S-box is affine equivalent to inversion in GF(16), which commutes with 60 linear maps up to
//! a linear map of its outputs. So only 5,376 different spaces are spanned by the four outputs of targets, each that of 60
//! targets, and progress is kept per space, as a set of its 15 functions. Second, exchanging wires maps targets to targets,
//! so only one of 24 equivalent sets is kept.
//!
//! Gates of a hit that are not needed are dropped. Functions that are gates of several pairs of operands give variants, among
//! which the one printed has the fewest inverted operands, then live values, then depth. Inversions go away by storing
//! values complemented (De Morgan); those of inputs and outputs join the free complements; `--normal-gates` omits this.
//! Live values count those that some later gate reads and the result of the gate itself, in the best order of gates; an output is
//! taken to be added to `O` at once. Every circuit is evaluated on all 16 inputs before it is printed.
//!
//! # Result
//! 13 gates, and 14 in the standard basis. Nothing proves that 12 are impossible. Wider beams, independent bases of input and
//! output (a weaker demand than ours) and a SAT encoding found none in the time they were given.
//!
//! # How to run
//! ```text
//! rustc -O --edition 2024 sbox_search.rs && ./sbox_search
//! ```
//! Seeds count up from `--seed` until a circuit has at most `--gates` gates or `--seconds` have passed. The result depends on
//! nothing but the arguments (and on the time only if it runs out). `--standard-basis` means L = 1.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// The S-box of TWINE.
const SBOX: [u8; 16] = [0xC, 0x0, 0xF, 0xA, 0x2, 0xB, 0x9, 0x5, 0x8, 0x3, 0xD, 0x7, 0x1, 0xE, 0x6, 0x4];

/// A function of four bits: bit `x` is its value for the input `x`. Bit 0 is clear in the search.
type Table = u16;

/// The functions of the four inputs.
const INPUTS: [Table; 4] = [0xAAAA, 0xCCCC, 0xF0F0, 0xFF00];

/// The weights of an output that has been computed and of one that is a gate away, against 1.
const MADE: f32 = 20.0;
const NEAR: f32 = 8.0;

/// The weight of a target, by how many of its outputs are made and near.
const WEIGHTS: [[f32; 5]; 5] = {
    let mut weights = [[1.0; 5]; 5];
    let mut i = 0;
    while i < 25 {
        let (p, q) = (i / 5, i % 5);
        if p > 0 {
            weights[p][q] = MADE * weights[p - 1][q];
        } else if q > 0 {
            weights[p][q] = NEAR * weights[p][q - 1];
        }
        i += 1;
    }
    weights[0][0] = 0.0;
    weights
};

/// The noise added to scores is less than 1.5 times this, either way.
const NOISE: f32 = 1.0;

/// A hit may have this many gates too many: some may turn out not to be needed.
const SLACK: usize = 2;

/// How many variants of a circuit are tried.
const VARIANTS: usize = 64;

fn normal_gates(p: Table, q: Table) -> [Table; 5] {
    [p ^ q, p & q, p & !q, !p & q, p | q]
}

/// The nibble whose bit `i` is the parity of `rows[i] & x`.
fn multiply(rows: [u8; 4], x: u8) -> u8 {
    (0..4).fold(0, |y, i| y | ((rows[i] & x).count_ones() as u8 & 1) << i)
}

/// The sums of the subsets of `x`, by subset.
fn sums<T: Copy + Default + std::ops::BitXor<Output = T>>(x: [T; 4]) -> [T; 16] {
    std::array::from_fn(|c| (0..4).filter(|i| c >> i & 1 == 1).fold(T::default(), |sum, i| sum ^ x[i]))
}

/// All bases, as the rows of L; the standard one in all orders if `standard`.
fn bases(standard: bool) -> Vec<[u8; 4]> {
    (0..=u16::MAX)
        .map(|n| [n & 15, n >> 4 & 15, n >> 8 & 15, n >> 12].map(|row| row as u8))
        .filter(|&rows| sums(rows)[1..].iter().all(|&sum| sum != 0))
        .filter(|rows| !standard || rows.iter().all(|row| row.is_power_of_two()))
        .collect()
}

/// The map `L (S(u ^ a) ^ S(a))` as a function of `x = L u`.
struct Target {
    rows: [u8; 4],
    a: u8,
    outputs: [Table; 4],
}

/// The 15 functions spanned by the outputs of some targets, at most 64 of them.
struct Space {
    /// For each function the targets that have it as an output: bit `i` stands for target `i`.
    wanted_by: [u64; 15],
    targets: Vec<Target>,
}

/// All targets, by space, and for each function the spaces that contain it: (space, the function as a set).
struct Targets {
    spaces: Vec<Space>,
    containing: Vec<Vec<(u16, u16)>>,
}

impl Targets {
    fn new(standard: bool) -> Self {
        let mut spaces: Vec<Space> = Vec::new();
        let mut containing = vec![Vec::new(); 1 << 16];
        let mut ids = HashMap::new();
        for rows in bases(standard) {
            for a in 0..16 {
                let mut outputs = [0; 4];
                for u in 0..16 {
                    let (x, y) =
                        (multiply(rows, u), multiply(rows, SBOX[usize::from(u ^ a)] ^ SBOX[usize::from(a)]));
                    for i in 0..4 {
                        outputs[i] |= Table::from(y >> i & 1) << x;
                    }
                }
                let mut functions = sums(outputs);
                functions.sort_unstable();
                let functions = &functions[1..]; // without 0
                let id = *ids.entry(functions.to_vec()).or_insert(spaces.len());
                if id == spaces.len() {
                    spaces.push(Space { wanted_by: [0; 15], targets: Vec::new() });
                    for (place, &f) in functions.iter().enumerate() {
                        containing[usize::from(f)].push((id as u16, 1 << place));
                    }
                }
                let space = &mut spaces[id];
                for (place, f) in functions.iter().enumerate() {
                    space.wanted_by[place] |= u64::from(outputs.contains(f)) << space.targets.len();
                }
                space.targets.push(Target { rows, a, outputs });
            }
        }
        assert!(
            spaces.iter().all(|space| space.targets.len() <= 64),
            "targets are numbered by the bits of a word"
        );
        Self { spaces, containing }
    }
}

/// What of a space has been made, and what is a gate away but not made: sets of its functions.
#[derive(Clone, Copy, Default)]
struct Progress {
    made: u16,
    near: u16,
}

impl Progress {
    /// The sum of the weights of the targets of `space`, without those of which nothing is made or near; and the hits, by the
    /// number of their outputs that are made.
    fn judge(self, space: &Space) -> (f32, [u64; 5]) {
        let (made, near) = (space.count(self.made), space.count(self.near));
        let mut sum = 0.0;
        for p in 0..=self.made.count_ones().min(4) as usize {
            for q in 0..=self.near.count_ones().min(4 - p as u32) as usize {
                sum += WEIGHTS[p][q] * (made[p] & near[q]).count_ones() as f32;
            }
        }
        (sum, std::array::from_fn(|p| made[p] & near[4 - p]))
    }
}

impl Space {
    /// Counts for all targets at once how many of their outputs are in `set`: entry `n` has the targets with `n`.
    fn count(&self, mut set: u16) -> [u64; 5] {
        let mut counts = [!0, 0, 0, 0, 0];
        while set != 0 {
            let wanted = self.wanted_by[set.trailing_zeros() as usize & 15];
            for n in (1..5).rev() {
                counts[n] = counts[n] & !wanted | counts[n - 1] & wanted;
            }
            counts[0] &= !wanted;
            set &= set - 1;
        }
        counts
    }
}

/// SplitMix64's finaliser.
fn mix(mut z: u64) -> u64 {
    z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ z >> 31
}

/// For each function and each of 24 orders of the wires a hash of the function with its wires in that order.
fn wire_orders() -> Vec<[u64; 24]> {
    let orders: Vec<[usize; 4]> = (0..256)
        .map(|n| [n & 3, n >> 2 & 3, n >> 4 & 3, n >> 6])
        .filter(|order| (0..4).all(|i| order.contains(&i)))
        .collect();
    let images: Vec<[usize; 16]> = orders
        .iter()
        .map(|order| std::array::from_fn(|x| (0..4).fold(0, |y, i| y | (x >> i & 1) << order[i])))
        .collect();
    let reorder = |f: usize, image: &[usize; 16]| (0..16).fold(0, |g, x| g | (f >> x & 1) << image[x]);
    (0..1 << 16)
        .map(|f| {
            std::array::from_fn(|n| mix(0x9E37_79B9_7F4A_7C15u64.wrapping_mul(reorder(f, &images[n]) as u64)))
        })
        .collect()
}

/// A set of computed functions: the inputs, then those of the gates.
#[derive(Clone)]
struct State {
    functions: Vec<Table>,
    /// The sums of the hashes of the functions of the gates, for each order of the wires; the least is the same for all orders.
    hashes: [u64; 24],
}

impl State {
    fn with(&self, f: Table, wires: &[[u64; 24]]) -> Self {
        let mut functions = self.functions.clone();
        functions.push(f);
        Self { functions, hashes: self.hashes_with(f, wires) }
    }

    fn hashes_with(&self, f: Table, wires: &[[u64; 24]]) -> [u64; 24] {
        let row = &wires[usize::from(f)];
        std::array::from_fn(|n| self.hashes[n].wrapping_add(row[n]))
    }
}

/// A state of the next level, not yet made.
struct Child {
    score: f32,
    parent: usize,
    f: Table,
}

/// The best `width` children, and some more.
struct Children {
    width: usize,
    threshold: f32,
    best: Vec<Child>,
}

impl Children {
    fn push(&mut self, child: Child) {
        if child.score >= self.threshold {
            self.best.push(child);
            if self.best.len() >= 4 * self.width {
                self.keep_best();
            }
        }
    }

    fn keep_best(&mut self) {
        if self.best.len() > self.width {
            let order = |c: &Child, d: &Child| {
                d.score.total_cmp(&c.score).then((c.parent, c.f).cmp(&(d.parent, d.f)))
            };
            self.best.select_nth_unstable_by(self.width, order);
            self.threshold = self.best[self.width].score;
            self.best.truncate(self.width);
        }
    }
}

/// The beam search and its scratch memory.
struct Search<'a> {
    options: &'a Options,
    targets: &'a Targets,
    wires: Vec<[u64; 24]>,
    deadline: Instant,
    best: Option<Circuit>,
    hits: HashSet<Vec<Table>>,
    /// When a function was last found within reach, a space last changed: counted by `clock`.
    function_seen: Vec<u64>,
    space_seen: Vec<u64>,
    clock: u64,
    progress: Vec<Progress>,
    scores: Vec<f32>,
}

impl<'a> Search<'a> {
    fn new(options: &'a Options, targets: &'a Targets) -> Self {
        let spaces = targets.spaces.len();
        let mut function_seen = vec![0; 1 << 16];
        function_seen[0] = u64::MAX; // the constant 0 is of no use
        Self {
            options,
            targets,
            wires: wire_orders(),
            deadline: Instant::now() + Duration::from_secs(options.seconds),
            best: None,
            hits: HashSet::new(),
            function_seen,
            space_seen: vec![0; spaces],
            clock: 0,
            progress: vec![Progress::default(); spaces],
            scores: vec![0.0; spaces],
        }
    }

    /// Whether the search has ended: a circuit is small enough, or time is over.
    fn ended(&self) -> bool {
        self.best.as_ref().is_some_and(|c| c.gates.len() <= self.options.gates)
            || Instant::now() >= self.deadline
    }

    /// One run of the beam.
    fn run(&mut self, seed: u64) {
        let start = Instant::now();
        let mut beam = vec![State { functions: INPUTS.to_vec(), hashes: [0; 24] }];
        // After level m a hit has m + 1 gates or more. One with too many may still lose some.
        for level in 1..=self.options.gates {
            let mut children =
                Children { width: self.options.width, threshold: f32::NEG_INFINITY, best: Vec::new() };
            let mut seen = HashSet::new();
            for (parent, state) in beam.iter().enumerate() {
                if Instant::now() >= self.deadline {
                    return;
                }
                self.expand(
                    state,
                    |key, f, score| {
                        let noise = [0, 16, 32]
                            .map(|shift| (mix(key ^ mix(seed)) >> shift & 0xFFFF) as f32 / 65536.0);
                        let score = score + NOISE * (noise.iter().sum::<f32>() - 1.5);
                        children.push(Child { score, parent, f });
                    },
                    &mut seen,
                );
            }
            children.keep_best();
            beam = children.best.iter().map(|c| beam[c.parent].with(c.f, &self.wires)).collect();
            eprintln!(
                "seed {seed}: {level} gates, {} sets, {} kept, {:.1?}",
                seen.len(),
                beam.len(),
                start.elapsed()
            );
            if self.ended() {
                return;
            }
        }
    }

    /// Scores the children of `state` that are not in `seen`.
    fn expand(&mut self, state: &State, mut child: impl FnMut(u64, Table, f32), seen: &mut HashSet<u64>) {
        self.clock += 1;
        let reach_time = self.clock;
        for &f in &state.functions {
            self.function_seen[usize::from(f)] = reach_time;
        }
        let mut reach = Vec::new();
        for (i, &p) in state.functions.iter().enumerate() {
            for f in state.functions[..i].iter().flat_map(|&q| normal_gates(p, q)) {
                if self.function_seen[usize::from(f)] < reach_time {
                    self.function_seen[usize::from(f)] = reach_time;
                    reach.push(f);
                }
            }
        }
        let mut before = Vec::new();
        state.functions[4..].iter().for_each(|&f| self.note(f, true, &mut before));
        reach.iter().for_each(|&f| self.note(f, false, &mut before));
        let mut total = 0.0;
        for &(id, _) in &before {
            self.scores[id] = self.progress[id].judge(&self.targets.spaces[id]).0;
            total += self.scores[id];
        }

        let mut changed = Vec::new();
        for &f in &reach {
            let key = state.hashes_with(f, &self.wires).into_iter().min().expect("24 orders");
            if !seen.insert(key) {
                continue;
            }
            self.clock += 1;
            self.note(f, true, &mut changed);
            for g in state.functions.iter().flat_map(|&p| normal_gates(p, f)) {
                let time = self.function_seen[usize::from(g)];
                if time != reach_time && time < self.clock {
                    self.function_seen[usize::from(g)] = self.clock;
                    self.note(g, false, &mut changed);
                }
            }
            let mut sum = total;
            for (id, old) in changed.drain(..) {
                let now = std::mem::replace(&mut self.progress[id], old);
                let (score, hits) = now.judge(&self.targets.spaces[id]);
                sum += score - self.scores[id];
                for (made, hits) in hits.into_iter().enumerate().filter(|(_, hits)| *hits != 0) {
                    if state.functions.len() + 1 - made <= self.options.gates + SLACK {
                        self.examine(state, f, id, hits);
                    }
                }
            }
            child(key, f, (1.0 + sum.max(0.0)).ln());
        }
        for (id, _) in before {
            self.progress[id] = Progress::default();
            self.scores[id] = 0.0;
        }
    }

    /// Notes progress in the spaces that contain `f`, with what it was in `changed`.
    fn note(&mut self, f: Table, made: bool, changed: &mut Vec<(usize, Progress)>) {
        for &(id, place) in &self.targets.containing[usize::from(f)] {
            let id = usize::from(id);
            if self.space_seen[id] != self.clock {
                self.space_seen[id] = self.clock;
                changed.push((id, self.progress[id]));
            }
            let progress = &mut self.progress[id];
            if made {
                progress.made |= place;
                progress.near &= !place;
            } else {
                progress.near |= place;
            }
        }
    }

    /// Keeps the best circuit of those targets of a space, `hits`, whose outputs are all made or near once `f` is added.
    fn examine(&mut self, state: &State, f: Table, id: usize, hits: u64) {
        for i in (0..64).filter(|i| hits >> i & 1 == 1) {
            let target = &self.targets.spaces[id].targets[i];
            let outputs = target.outputs;
            let mut functions = [&state.functions[4..], &[f], &outputs[..]].concat();
            functions.sort_unstable();
            functions.dedup();
            if !self.hits.insert(functions.clone()) {
                continue;
            }
            let functions = needed(functions, outputs);
            if self.best.as_ref().is_some_and(|best| best.gates.len() < functions.len()) {
                continue;
            }
            for circuit in circuits(&functions, outputs, target, self.options.normal_gates) {
                if self.best.as_ref().is_none_or(|best| circuit.rank() < best.rank()) {
                    self.best = Some(circuit);
                }
            }
        }
    }
}

/// `functions` so ordered that each is a normal gate of inputs and earlier ones, if possible.
fn ordered(mut functions: Vec<Table>) -> Option<Vec<Table>> {
    let mut order = INPUTS.to_vec();
    while !functions.is_empty() {
        let next = functions.iter().position(|&f| !gates_of(f, &order).is_empty())?;
        order.push(functions.remove(next));
    }
    Some(order.split_off(4))
}

/// A subset of `functions` that still computes the outputs, from which none can be left out; in order.
fn needed(mut functions: Vec<Table>, outputs: [Table; 4]) -> Vec<Table> {
    let mut i = 0;
    while i < functions.len() {
        let mut fewer = functions.clone();
        if !outputs.contains(&fewer.remove(i)) && ordered(fewer.clone()).is_some() {
            functions = fewer;
            i = 0;
        } else {
            i += 1;
        }
    }
    ordered(functions).expect("hits can be computed")
}

/// A gate, as the normal ones are written: `p ^ q`, `p | q`, or an AND, one operand of which may be inverted.
#[derive(Clone, Copy)]
struct Gate {
    operator: char,
    /// Places of the operands: inputs first, then gates.
    operands: [usize; 2],
    inverted: [bool; 2],
}

impl Gate {
    fn evaluate(&self, values: &[bool]) -> bool {
        let [p, q] = [0, 1].map(|i| values[self.operands[i]] ^ self.inverted[i]);
        match self.operator {
            '^' => p ^ q,
            '&' => p & q,
            _ => p | q,
        }
    }

    /// The same gate on values stored complemented or not.
    fn complemented(&self, operands: [bool; 2], result: bool) -> Self {
        let mut gate = *self;
        if self.operator == '^' {
            gate.inverted = [operands[0] ^ operands[1] ^ result, false];
        } else {
            // De Morgan: complementing the result exchanges AND and OR and complements the operands.
            gate.operator = if (self.operator == '&') ^ result { '&' } else { '|' };
            gate.inverted = [0, 1].map(|i| self.inverted[i] ^ operands[i] ^ result);
        }
        gate
    }

    fn inversions(&self) -> usize {
        self.inverted.iter().filter(|&&inverted| inverted).count()
    }
}

/// All normal gates of two of `values` that compute `f`.
fn gates_of(f: Table, values: &[Table]) -> Vec<Gate> {
    const GATES: [(char, [bool; 2]); 5] =
        [('^', [false; 2]), ('&', [false; 2]), ('&', [false, true]), ('&', [true, false]), ('|', [false; 2])];
    let mut gates = Vec::new();
    for (i, &p) in values.iter().enumerate() {
        for (j, &q) in values[..i].iter().enumerate() {
            for (result, (operator, inverted)) in normal_gates(p, q).into_iter().zip(GATES) {
                if result == f {
                    gates.push(Gate { operator, operands: [i, j], inverted });
                }
            }
        }
    }
    gates
}

/// `L S(u) = gates(L u ^ input_complement) ^ output_complement`.
struct Circuit {
    rows: [u8; 4],
    gates: Vec<Gate>,
    outputs: [usize; 4],
    input_complement: u8,
    output_complement: u8,
    live: usize,
}

/// The circuits with these functions, without those that obviously have more inversions than others.
fn circuits(functions: &[Table], outputs: [Table; 4], target: &Target, normal_gates: bool) -> Vec<Circuit> {
    let values = [&INPUTS, functions].concat();
    let mut variants = vec![Vec::new()];
    for place in 4..values.len() {
        let gates = gates_of(values[place], &values[..place]);
        variants =
            variants.iter().flat_map(|v| gates.iter().map(|&gate| [&v[..], &[gate]].concat())).collect();
        variants.truncate(VARIANTS);
    }
    let outputs = outputs.map(|y| values.iter().position(|&f| f == y).expect("outputs are computed"));
    let mut found = Vec::new();
    let mut fewest = usize::MAX;
    for gates in variants {
        let mut stored = vec![false; values.len()];
        if !normal_gates {
            let mut best = (usize::MAX, stored);
            for inputs in 0..16 {
                complement(&gates, &mut [0, 1, 2, 3].map(|i| inputs >> i & 1 == 1).to_vec(), 0, &mut best);
            }
            stored = best.1;
        }
        let gates: Vec<Gate> = (4..)
            .zip(&gates)
            .map(|(place, gate)| gate.complemented(gate.operands.map(|i| stored[i]), stored[place]))
            .collect();
        let inversions = gates.iter().map(Gate::inversions).sum();
        if inversions > fewest {
            continue;
        }
        fewest = inversions;
        let nibble = |places: [usize; 4]| (0..4).fold(0, |n, i| n | u8::from(stored[places[i]]) << i);
        let mut circuit = Circuit {
            rows: target.rows,
            gates,
            outputs,
            input_complement: multiply(target.rows, target.a) ^ nibble([0, 1, 2, 3]),
            output_complement: multiply(target.rows, SBOX[usize::from(target.a)]) ^ nibble(outputs),
            live: 0,
        };
        circuit.sort_rows();
        circuit.sort_gates();
        assert!(circuit.is_right(), "the search found a wrong circuit");
        found.push(circuit);
    }
    found
}

/// Tries to store the results of all further gates complemented or not. `stored` holds the choice for inputs and earlier gates, at
/// the cost of `inversions`; `best` the fewest inversions so far, with the choice for all values.
fn complement(gates: &[Gate], stored: &mut Vec<bool>, inversions: usize, best: &mut (usize, Vec<bool>)) {
    if inversions >= best.0 {
        return;
    }
    let Some(gate) = gates.get(stored.len() - 4) else {
        *best = (inversions, stored.clone());
        return;
    };
    for result in [false, true] {
        let inversions =
            inversions + gate.complemented(gate.operands.map(|i| stored[i]), result).inversions();
        stored.push(result);
        complement(gates, stored, inversions, best);
        stored.pop();
    }
}

impl Circuit {
    /// Less is better.
    fn rank(&self) -> [usize; 4] {
        [self.gates.len(), self.inversions(), self.live, self.depth()]
    }

    fn inversions(&self) -> usize {
        self.gates.iter().map(Gate::inversions).sum()
    }

    fn non_linear(&self) -> usize {
        self.gates.iter().filter(|gate| gate.operator != '^').count()
    }

    fn depth(&self) -> usize {
        let mut depths = vec![0; 4];
        for gate in &self.gates {
            depths.push(1 + gate.operands.map(|i| depths[i]).into_iter().max().expect("two operands"));
        }
        depths.into_iter().max().expect("four inputs")
    }

    /// Whether it computes the S-box, by evaluation on all inputs.
    fn is_right(&self) -> bool {
        (0..16).all(|u| {
            let x = multiply(self.rows, u) ^ self.input_complement;
            let mut values: Vec<bool> = (0..4).map(|i| x >> i & 1 == 1).collect();
            for gate in &self.gates {
                values.push(gate.evaluate(&values));
            }
            let y = (0..4).fold(0, |y, i| y | u8::from(values[self.outputs[i]]) << i);
            y ^ self.output_complement == multiply(self.rows, SBOX[usize::from(u)])
        })
    }

    /// Renames the values: that at `order[i]` gets the place `i`.
    fn reorder(&mut self, order: &[usize]) {
        let place = |value: usize| order.iter().position(|&i| i == value).expect("orders are permutations");
        self.gates = order.iter().filter(|&&i| i >= 4).map(|i| self.gates[i - 4]).collect();
        self.gates.iter_mut().for_each(|gate| gate.operands = gate.operands.map(place));
        self.outputs = self.outputs.map(place);
    }

    /// Exchanges wires, at input and output alike, so that the rows of L ascend (and the standard basis is written as such).
    fn sort_rows(&mut self) {
        let mut order = [0, 1, 2, 3];
        order.sort_unstable_by_key(|&i| self.rows[i]);
        let nibble = |n: u8| (0..4).fold(0, |sorted, i| sorted | (n >> order[i] & 1) << i);
        (self.input_complement, self.output_complement) =
            (nibble(self.input_complement), nibble(self.output_complement));
        self.rows = order.map(|i| self.rows[i]);
        self.outputs = order.map(|i| self.outputs[i]);
        self.reorder(&[&order[..], &(4..self.gates.len() + 4).collect::<Vec<_>>()].concat());
    }

    /// Finds the order of the gates with the fewest live values, by dynamic programming over sets of computed values.
    fn sort_gates(&mut self) {
        let values = self.gates.len() + 4;
        let operands = |place: usize| self.gates[place - 4].operands.map(|i| 1usize << i);
        let mut users = vec![0; values];
        for place in 4..values {
            self.gates[place - 4].operands.iter().for_each(|&i| users[i] |= 1usize << place);
        }
        // By set of computed gates: the most values that were live so far, and the last gate.
        let mut best = vec![(usize::MAX, 0); 1 << (values - 4)];
        best[0] = (4, 0);
        for gates in 1..best.len() {
            let set = gates << 4 | 15;
            let live = (0..values).filter(|i| set >> i & 1 == 1 && users[*i] & !set != 0).count();
            for place in (4..values).filter(|place| set >> place & 1 == 1) {
                let (before, _) = best[gates ^ 1 << (place - 4)];
                let result = usize::from(users[place] & !set == 0);
                if before < usize::MAX && operands(place).iter().all(|operand| set & operand != 0) {
                    best[gates] = best[gates].min((before.max(live + result), place));
                }
            }
        }
        let mut gates = best.len() - 1;
        self.live = best[gates].0;
        let mut order = Vec::new();
        while gates != 0 {
            order.push(best[gates].1);
            gates ^= 1 << (best[gates].1 - 4);
        }
        order.extend([3, 2, 1, 0]);
        order.reverse();
        self.reorder(&order);
    }
}

impl fmt::Display for Circuit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [gates, inversions, live, depth] = self.rank();
        writeln!(
            f,
            "{gates} gates, {} of them non-linear, {inversions} inverted operands",
            self.non_linear()
        )?;
        writeln!(f, "depth {depth}, at most {live} live values")?;
        writeln!(f, "rows of L: {}", self.rows.map(|row| format!("{row:#06b}")).join(", "))?;
        writeln!(
            f,
            "input complement {:#06b}, output complement {:#06b}",
            self.input_complement, self.output_complement
        )?;
        let name = |value: usize| match self.outputs.iter().position(|&place| place == value) {
            Some(i) => format!("y{i}"),
            None if value < 4 => format!("x{value}"),
            None => format!("t{}", (4..value).filter(|place| !self.outputs.contains(place)).count()),
        };
        for (place, gate) in (4..).zip(&self.gates) {
            let [p, q] =
                [0, 1].map(|i| ["", "~"][usize::from(gate.inverted[i])].to_owned() + &name(gate.operands[i]));
            writeln!(f, "{} = {p} {} {q}", name(place), gate.operator)?;
        }
        Ok(())
    }
}

const USAGE: &str =
    "usage: sbox_search [--gates N] [--width W] [--seed S] [--seconds T] [--standard-basis] [--normal-gates]";

struct Options {
    gates: usize,
    width: usize,
    seed: u64,
    seconds: u64,
    standard_basis: bool,
    normal_gates: bool,
}

impl Options {
    fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            gates: 0,
            width: 20_000,
            seed: 1,
            seconds: 600,
            standard_basis: false,
            normal_gates: false,
        };
        let mut arguments = arguments.into_iter();
        while let Some(name) = arguments.next() {
            let mut number = |range: std::ops::RangeInclusive<u64>| {
                let value = arguments.next().and_then(|value| value.parse().ok());
                value.filter(|value| range.contains(value)).ok_or(format!(
                    "{name} wants a number from {} to {}",
                    range.start(),
                    range.end()
                ))
            };
            match name.as_str() {
                "--gates" => options.gates = number(4..=20)? as usize,
                "--width" => options.width = number(1..=10_000_000)? as usize,
                "--seed" => options.seed = number(0..=1 << 32)?,
                "--seconds" => options.seconds = number(1..=10_000_000)?,
                "--standard-basis" => options.standard_basis = true,
                "--normal-gates" => options.normal_gates = true,
                _ => return Err(format!("unknown argument {name}")),
            }
        }
        if options.gates == 0 {
            options.gates = if options.standard_basis { 14 } else { 13 };
        }
        Ok(options)
    }
}

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("{error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let targets = Targets::new(options.standard_basis);
    let mut search = Search::new(&options, &targets);
    for seed in options.seed.. {
        search.run(seed);
        if search.ended() {
            break;
        }
    }
    match search.best {
        Some(circuit) => {
            print!("{circuit}");
            if circuit.gates.len() <= options.gates { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        None => {
            eprintln!("no circuit found");
            ExitCode::FAILURE
        }
    }
}
