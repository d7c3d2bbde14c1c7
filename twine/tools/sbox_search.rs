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
    (0..1 << 16)
        .map(|n: u16| [n & 15, n >> 4 & 15, n >> 8 & 15, n >> 12].map(|row| row as u8))
        .filter(|&rows| sums(rows)[1..].iter().all(|&sum| sum != 0))
        .filter(|rows| !standard || rows.iter().all(|row| row.is_power_of_two()))
        .collect()
}

/// The map `L (S(u ^ a) ^ S(a))` as a function of `x = L u`.
#[derive(Clone, Copy)]
struct Target {
    rows: [u8; 4],
    a: u8,
    /// The places of the outputs among the functions of the space, and the same as a set.
    places: [u8; 4],
    set: u16,
}

/// The 15 functions spanned by the outputs of some targets.
struct Space {
    functions: [Table; 15],
    targets: Vec<Target>,
}

/// All targets, by space, and for each function the spaces that contain it: (space, set of its one place).
struct Targets {
    spaces: Vec<Space>,
    containing: Vec<Vec<(u16, u16)>>,
}

impl Targets {
    fn new(standard: bool) -> Self {
        let mut spaces: Vec<Space> = Vec::new();
        let mut ids = HashMap::new();
        for rows in bases(standard) {
            for a in 0..16 {
                let mut outputs = [0; 4];
                for u in 0..16 {
                    let (x, y) = (multiply(rows, u), multiply(rows, SBOX[usize::from(u ^ a)] ^ SBOX[usize::from(a)]));
                    for i in 0..4 {
                        outputs[i] |= Table::from(y >> i & 1) << x;
                    }
                }
                let mut functions: [Table; 15] = sums(outputs)[1..].try_into().expect("16 - 1 = 15");
                functions.sort_unstable();
                let id = *ids.entry(functions).or_insert(spaces.len());
                if id == spaces.len() {
                    spaces.push(Space { functions, targets: Vec::new() });
                }
                let places = outputs.map(|y| functions.binary_search(&y).expect("y is in its span") as u8);
                let set = places.iter().fold(0, |set, place| set | 1 << place);
                spaces[id].targets.push(Target { rows, a, places, set });
            }
        }
        let mut containing = vec![Vec::new(); 1 << 16];
        for (id, space) in spaces.iter().enumerate() {
            for (place, &f) in space.functions.iter().enumerate() {
                containing[usize::from(f)].push((id as u16, 1 << place));
            }
        }
        Self { spaces, containing }
    }
}

/// What of a space has been computed, and what has been or is a gate away: sets of its functions.
#[derive(Clone, Copy, Default)]
struct Progress {
    made: u16,
    near: u16,
}

impl Progress {
    /// The sum over the targets of the space, less 1 for each.
    fn score(self, space: &Space) -> f32 {
        let mut weights = [1.0; 16];
        for place in 0..15 {
            if self.made >> place & 1 == 1 {
                weights[place] = MADE;
            } else if self.near >> place & 1 == 1 {
                weights[place] = NEAR;
            }
        }
        let score = |t: &Target| t.places.iter().map(|&place| weights[usize::from(place & 15)]).product::<f32>() - 1.0;
        space.targets.iter().map(score).sum()
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
        .map(|f| std::array::from_fn(|n| mix(0x9E37_79B9_7F4A_7C15u64.wrapping_mul(reorder(f, &images[n]) as u64))))
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
#[derive(Clone, Copy)]
struct Child {
    score: f32,
    parent: u32,
    f: Table,
}

/// Keeps the best `width` children.
fn keep_best(children: &mut Vec<Child>, width: usize) {
    if children.len() > width {
        let order = |p: &Child, q: &Child| q.score.total_cmp(&p.score).then((p.parent, p.f).cmp(&(q.parent, q.f)));
        children.select_nth_unstable_by(width, order);
        children.truncate(width);
    }
}

struct Options {
    gates: usize,
    width: usize,
    seed: u64,
    standard_basis: bool,
    normal_gates: bool,
    seconds: u64,
}

/// One run of the beam. Returns the circuits of the fewest gates, or of at most `options.gates`, that it found.
fn search(
    options: &Options,
    seed: u64,
    targets: &Targets,
    wires: &[[u64; 24]],
    deadline: Instant,
) -> Option<Circuit> {
    let mut best: Option<Circuit> = None;
    let mut seen_hits = HashSet::new();
    let mut beam = vec![State { functions: INPUTS.to_vec(), hashes: [0; 24] }];
    // Scratch: who saw a function or space last, and progress and score per space.
    let mut function_stamp = vec![0u64; 1 << 16];
    let mut space_stamp = vec![0u64; targets.spaces.len()];
    let mut stamp = 0;
    let mut progress = vec![Progress::default(); targets.spaces.len()];
    let mut scores = vec![0f32; targets.spaces.len()];

    for level in 1..=options.gates {
        let mut children = Vec::new();
        let mut seen = HashSet::new();
        let mut threshold = f32::NEG_INFINITY;
        let start = Instant::now();
        let mut scored = 0;
        for (parent, state) in beam.iter().enumerate() {
            if Instant::now() >= deadline {
                return best;
            }
            stamp += 1;
            let parent_stamp = stamp;
            function_stamp[0] = u64::MAX;
            for &f in &state.functions {
                function_stamp[usize::from(f)] = parent_stamp;
            }
            let mut near = Vec::new();
            for (i, &p) in state.functions.iter().enumerate() {
                for &q in &state.functions[..i] {
                    for f in normal_gates(p, q) {
                        if function_stamp[usize::from(f)] < parent_stamp {
                            function_stamp[usize::from(f)] = parent_stamp;
                            near.push(f);
                        }
                    }
                }
            }
            let mut touched = Vec::new();
            for (functions, made) in [(&state.functions[4..], true), (&near[..], false)] {
                for &f in functions {
                    for &(id, place) in &targets.containing[usize::from(f)] {
                        let p = &mut progress[usize::from(id)];
                        if p.near == 0 {
                            touched.push(usize::from(id));
                        }
                        p.near |= place;
                        if made {
                            p.made |= place;
                        }
                    }
                }
            }
            let mut total = 0.0;
            for &id in &touched {
                scores[id] = progress[id].score(&targets.spaces[id]);
                total += scores[id];
            }

            for &f in &near {
                let key = state.hashes_with(f, wires).into_iter().min().unwrap_or(0);
                if !seen.insert(key) {
                    continue;
                }
                scored += 1;
                stamp += 1;
                let mut changed = Vec::new();
                let mut note = |g: Table, made: bool, progress: &mut [Progress]| {
                    for &(id, place) in &targets.containing[usize::from(g)] {
                        let id = usize::from(id);
                        if space_stamp[id] != stamp {
                            space_stamp[id] = stamp;
                            changed.push((id, progress[id]));
                        }
                        progress[id].near |= place;
                        if made {
                            progress[id].made |= place;
                        }
                    }
                };
                note(f, true, &mut progress);
                let mut new = Vec::new();
                for &p in &state.functions {
                    for g in normal_gates(p, f) {
                        let g_stamp = &mut function_stamp[usize::from(g)];
                        if *g_stamp != parent_stamp && *g_stamp < stamp {
                            *g_stamp = stamp;
                            note(g, false, &mut progress);
                            new.push(g);
                        }
                    }
                }
                let mut sum = total;
                for &(id, old) in &changed {
                    let space = &targets.spaces[id];
                    let now = progress[id];
                    sum += now.score(space) - if old.near == 0 { 0.0 } else { scores[id] };
                    if now.near.count_ones() >= 4 {
                        for target in space.targets.iter().filter(|t| t.set & !now.near == 0) {
                            let gates = level + 4 - (target.set & now.made).count_ones() as usize;
                            if gates <= options.gates + SLACK {
                                let outputs = target.places.map(|place| space.functions[usize::from(place)]);
                                let mut functions = state.functions[4..].to_vec();
                                functions.push(f);
                                let needed = reduce(functions, outputs);
                                if seen_hits.insert((needed.clone(), target.rows)) {
                                    eprintln!("hit {gates} -> {}", needed.len());
                                }
                            }
                        }
                    }
                    progress[id] = old;
                }
                let noise = mix(key ^ mix(seed));
                let noise = [noise & 0xFFFF, noise >> 16 & 0xFFFF, noise >> 32 & 0xFFFF].iter().sum::<u64>() as f32;
                let score = (1.0 + sum).ln() + NOISE * (noise / 65536.0 - 1.5);
                if score > threshold {
                    children.push(Child { score, parent: parent as u32, f });
                    if children.len() >= 4 * options.width {
                        keep_best(&mut children, options.width);
                        threshold = children.iter().map(|c| c.score).fold(f32::INFINITY, f32::min);
                    }
                }
            }
            for id in touched {
                progress[id] = Progress::default();
            }
        }
        keep_best(&mut children, options.width);
        eprintln!("seed {seed} level {level} scored {scored} kept {} {:.1?}", children.len(), start.elapsed());
        beam = children.iter().map(|c| beam[c.parent as usize].with(c.f, wires)).collect();
    }
    best
}
