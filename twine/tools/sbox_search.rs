//! Search for a small circuit of the TWINE S-box on bit planes, as `src/sbox.rs` needs one.
//!
//! # Two freedoms
//! **Complements.** For any nibble `a` let `S'(u) = S(u ^ a) ^ S(a)`, so that `S(u) = S'(u ^ a) ^ S(a)`. Adding a constant before
//! or after the S-box costs nothing: in `O ^= S(E ^ K)` it folds into a round key. So a circuit of any of the 16 maps `S'`
//! will do. All have `S'(0) = 0`.
//!
//! **Basis.** TWINE is a generalised Feistel cipher: its rounds add round keys to nibbles, move whole nibbles, and do
//! `O ^= S(E ^ K)`. Keep all nibbles of state and key in another basis of GF(2)^4, `X' = L X`. Then the moves stay as they are,
//! and the round is `O' ^= L S(L^-1 (E' ^ K'))`. So a circuit of `L S L^-1` does as well, and `L` itself is paid for only where
//! blocks and keys are loaded and stored. As a nibble that was `O` is `E` of a later round, `L` is the same at both ends.
//! There are 20,160 bases, hence 322,560 pairs of `a` and `L`, here called targets: maps `L S' L^-1`.
//!
//! # Normal gates
//! A target maps 0 to 0. Any circuit for it of two-input gates, with complements for free, becomes one of as many normal gates,
//! those with `f(0, 0) = 0`: complement every value that is 1 for the input 0. Five depend on both operands:
//! `p ^ q`, `p & q`, `p & ~q`, `~p & q`, `p | q`. So values are truth tables of 16 bits (bit `x` is the value for the input `x`)
//! whose bit 0 is clear, and the search sees no complement.
//!
//! # Search
//! A beam search over sets of computed functions. It starts with the four inputs; a step adds one normal gate of two functions of
//! the set; of all new sets the best `--width` survive, judged for all targets at once. The weight of a target is the product over
//! its outputs of [`MADE`] for one in the set, [`NEAR`] for one that a single gate would add, and 1 for others. The score of a
//! set is the logarithm of the sum over all targets, plus noise that depends on the seed. A target whose outputs are all made or
//! near is a hit.
//!
//! Two facts make that fast. First, the S-box is affine equivalent to inversion in GF(16), which 60 pairs of linear maps before and
//! after leave as it is. So the outputs of all targets span only 5,376 different spaces, each for 60 targets. Progress is kept by
//! space, as sets of its 15 functions, and only spaces that change are judged again, all 60 targets in one word. Second,
//! exchanging wires maps targets to targets, so one of 24 equivalent sets is enough.
//!
//! Gates of a hit that are not needed are dropped. Functions that are gates of several pairs of operands give variants; the one
//! printed has the fewest gates, then inverted operands, then live values, then the least depth. Inverted operands go away by
//! storing values complemented (De Morgan); complements of inputs and outputs join the free ones. Live values are those that a
//! later gate reads, and the result of the current gate, in the best order of the gates; an output is taken to be added to `O` at
//! once. Every circuit is evaluated on all 16 inputs before it is printed.
//!
//! # Result
//! 13 gates, and 14 in the standard basis; there are several circuits of either size. Nothing proves that 12 are impossible. Wider
//! beams, independent bases of input and output (a weaker demand) and a SAT encoding found none in the time they were given.
//!
//! # How to run
//! ```text
//! rustc -O --edition 2024 sbox_search.rs && ./sbox_search
//! ```
//! Seeds count up from `--seed` until a circuit has at most `--gates` gates (13, or 14 with `--standard-basis`) or `--seconds`
//! have passed. Unless time runs out, the result depends on the arguments alone. Not every seed succeeds: of 1 and 2 only 2, the
//! default, finds 13 gates with the default width. `--standard-basis` means L = 1; `--normal-gates` leaves inverted operands as
//! the search found them.

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
const NOISE: f32 = 1.2;

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

/// All targets, by space.
struct Targets {
    spaces: Vec<Space>,
    /// For functions the spaces that contain them: (space, the function as a set). The first entry is empty.
    containing: Vec<Vec<(u16, u16)>>,
    /// For each function its place in `containing`. (Two levels, so that most look-ups stay in a small table.)
    index: Vec<u16>,
    /// See [`wire_orders`].
    wires: Vec<[u64; 24]>,
}

impl Targets {
    fn new(standard: bool) -> Self {
        let mut spaces: Vec<Space> = Vec::new();
        let mut containing = vec![Vec::new()];
        let mut index = vec![0; 1 << 16];
        let mut ids = HashMap::new();
        for rows in bases(standard) {
            for a in 0..16 {
                let mut outputs = [0; 4];
                for u in 0..16 {
                    let (x, y) =
                        (multiply(rows, u), multiply(rows, SBOX[usize::from(u ^ a)] ^ SBOX[usize::from(a)]));
                    for (i, output) in outputs.iter_mut().enumerate() {
                        *output |= Table::from(y >> i & 1) << x;
                    }
                }
                let mut functions = sums(outputs);
                functions.sort_unstable();
                let functions = &functions[1..]; // without 0
                let id = *ids.entry(functions.to_vec()).or_insert(spaces.len());
                if id == spaces.len() {
                    spaces.push(Space { wanted_by: [0; 15], targets: Vec::new() });
                    for (place, &f) in functions.iter().enumerate() {
                        let index = &mut index[usize::from(f)];
                        if *index == 0 {
                            *index = containing.len() as u16;
                            containing.push(Vec::new());
                        }
                        containing[usize::from(*index)].push((id as u16, 1 << place));
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
        Self { spaces, containing, index, wires: wire_orders() }
    }
}

/// What of a space has been made, and what is a gate away but not made: sets of its functions.
#[derive(Clone, Copy, Default)]
struct Progress {
    made: u16,
    near: u16,
}

impl Progress {
    /// The sum of the weights of the targets of `space`.
    fn score(self, space: &Space) -> f32 {
        let (made, near) = (space.count(self.made), space.count(self.near));
        let mut sum = 0.0;
        for p in 0..=self.made.count_ones().min(4) as usize {
            for q in 0..=self.near.count_ones().min(4 - p as u32) as usize {
                sum += WEIGHTS[p][q] * (made[p] & near[q]).count_ones() as f32;
            }
        }
        sum
    }

    /// The targets of `space` whose outputs are all made or near.
    fn hits(self, space: &Space) -> impl Iterator<Item = &Target> {
        let all = space.count(self.made | self.near)[4];
        (0..).zip(&space.targets).filter(move |(i, _)| all >> i & 1 == 1).map(|(_, target)| target)
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

/// The best `width` children, which score `threshold` or more, and some others.
struct Children {
    width: usize,
    threshold: f32,
    best: Vec<Child>,
}

impl Children {
    fn push(&mut self, child: Child) {
        self.best.push(child);
        if self.best.len() >= 4 * self.width {
            self.keep_best();
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
    deadline: Instant,
    best: Option<Circuit>,
    hits: HashSet<Vec<Table>>,
    /// Counts the sets that were looked at on this level.
    clock: u32,
    /// For each function when it was last found to be made or near.
    seen: Vec<u32>,
    tracks: Vec<Track>,
}

/// What is known of a space in the set that is being expanded, and when it last changed.
#[derive(Clone, Default)]
struct Track {
    changed: u32,
    progress: Progress,
    score: f32,
}

impl<'a> Search<'a> {
    fn new(options: &'a Options, targets: &'a Targets) -> Self {
        let mut seen = vec![0; 1 << 16];
        seen[0] = u32::MAX; // the constant 0 is of no use
        Self {
            options,
            targets,
            deadline: Instant::now() + Duration::from_secs(options.seconds),
            best: None,
            hits: HashSet::new(),
            clock: 0,
            seen,
            tracks: vec![Track::default(); targets.spaces.len()],
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
        let wires = &self.targets.wires;
        let mut beam = vec![State { functions: INPUTS.to_vec(), hashes: [0; 24] }];
        // A hit has at least one gate more than the set from which it was found.
        for level in 1..self.options.gates {
            let mut children =
                Children { width: self.options.width, threshold: f32::NEG_INFINITY, best: Vec::new() };
            let mut known = HashSet::new();
            let mut sets = 0;
            self.clock = 0;
            self.seen[1..].fill(0);
            for (parent, state) in beam.iter().enumerate() {
                if Instant::now() >= self.deadline {
                    return;
                }
                self.expand(state, |f, score| {
                    sets += 1;
                    if score + 1.5 * NOISE < children.threshold {
                        return; // without noise and key, which take time
                    }
                    let key = state.hashes_with(f, wires).into_iter().min().expect("24 orders");
                    let random = mix(key ^ mix(seed));
                    let noise: f32 =
                        [0, 16, 32].map(|i| (random >> i & 0xFFFF) as f32 / 65536.0).iter().sum();
                    let score = score + NOISE * (noise - 1.5);
                    if score >= children.threshold && known.insert(key) {
                        children.push(Child { score, parent, f });
                    }
                });
            }
            children.keep_best();
            beam = children.best.iter().map(|c| beam[c.parent].with(c.f, wires)).collect();
            let (kept, time) = (beam.len(), start.elapsed());
            eprintln!("seed {seed}, {level} gates: {kept} of {sets} sets, {time:.1?}");
            if self.ended() {
                return;
            }
        }
    }

    /// Calls `child` for each set that one more gate makes of `state`, with the function of the gate and the score.
    /// Examines hits.
    fn expand(&mut self, state: &State, mut child: impl FnMut(Table, f32)) {
        self.clock += 1;
        let start = self.clock;
        for &f in &state.functions {
            self.seen[usize::from(f)] = start;
        }
        let mut near = Vec::new();
        for (i, &p) in state.functions.iter().enumerate() {
            for f in state.functions[..i].iter().flat_map(|&q| normal_gates(p, q)) {
                if self.seen[usize::from(f)] < start {
                    self.seen[usize::from(f)] = start;
                    near.push(f);
                }
            }
        }
        let mut tracked = Vec::new();
        for &f in &state.functions[4..] {
            self.note(f, true, &mut tracked);
        }
        for &f in &near {
            self.note(f, false, &mut tracked);
        }
        let mut total = 0.0;
        for &(id, _) in &tracked {
            let track = &mut self.tracks[id];
            track.score = track.progress.score(&self.targets.spaces[id]);
            total += track.score;
        }

        let mut changed = Vec::new();
        for &f in &near {
            self.clock += 1;
            self.note(f, true, &mut changed);
            for g in state.functions.iter().flat_map(|&p| normal_gates(p, f)) {
                let seen = &mut self.seen[usize::from(g)];
                if *seen != start && *seen < self.clock {
                    *seen = self.clock;
                    self.note(g, false, &mut changed);
                }
            }
            let mut sum = total;
            for (id, before) in changed.drain(..) {
                let progress = std::mem::replace(&mut self.tracks[id].progress, before);
                let space = &self.targets.spaces[id];
                sum += progress.score(space) - self.tracks[id].score;
                if (progress.made | progress.near).count_ones() >= 4 {
                    progress.hits(space).for_each(|target| self.examine(state, f, target));
                }
            }
            child(f, (1.0 + sum.max(0.0)).ln());
        }
        for (id, _) in tracked {
            self.tracks[id] = Track::default();
        }
    }

    /// Notes in all spaces that contain `f` that it is made or near, and in `changed` what was known of them before.
    fn note(&mut self, f: Table, made: bool, changed: &mut Vec<(usize, Progress)>) {
        for &(id, place) in &self.targets.containing[usize::from(self.targets.index[usize::from(f)])] {
            let track = &mut self.tracks[usize::from(id)];
            if track.changed != self.clock {
                track.changed = self.clock;
                changed.push((usize::from(id), track.progress));
            }
            if made {
                track.progress.made |= place;
                track.progress.near &= !place;
            } else {
                track.progress.near |= place;
            }
        }
    }

    /// Prunes a hit: `target`, whose outputs are all made or near once `f` is added. Keeps its circuit if it is the best.
    fn examine(&mut self, state: &State, f: Table, target: &Target) {
        let mut functions = [&state.functions[4..], &[f], &target.outputs].concat();
        functions.sort_unstable();
        functions.dedup();
        if functions.len() > self.options.gates + SLACK || !self.hits.insert(functions.clone()) {
            return;
        }
        let functions = needed(functions, target.outputs);
        if self.best.as_ref().is_some_and(|best| best.gates.len() < functions.len()) {
            return;
        }
        for circuit in circuits(&functions, target, self.options.normal_gates) {
            if self.best.as_ref().is_none_or(|best| circuit.rank() < best.rank()) {
                self.best = Some(circuit);
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
fn circuits(functions: &[Table], target: &Target, normal_gates: bool) -> Vec<Circuit> {
    let values = [&INPUTS, functions].concat();
    let mut variants = vec![Vec::new()];
    for place in 4..values.len() {
        let gates = gates_of(values[place], &values[..place]);
        variants =
            variants.iter().flat_map(|v| gates.iter().map(|&gate| [&v[..], &[gate]].concat())).collect();
        variants.truncate(VARIANTS);
    }
    let outputs = target.outputs.map(|y| values.iter().position(|&f| f == y).expect("outputs are computed"));
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
            width: 40_000,
            seed: 2,
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
                "--gates" => options.gates = number(4..=18)? as usize,
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
