//! Boolean functions as a graph of XOR and AND nodes, in which equal functions become one node.
//!
//! Every bit that is computed is a literal: a node, perhaps complemented. Nodes are hash-consed. Each has a signature, its value
//! under [`SAMPLES`] random assignments of the inputs. A new node whose signature an older one has is merged with it if
//! [`crate::merge`] proves them equal; the signature alone never merges anything.

use crate::merge::Merger;
use std::collections::{BTreeSet, HashMap, HashSet};

/// A bit: the number of a node times two, plus one if it is complemented.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lit(u32);

impl Lit {
    /// False.
    pub const ZERO: Self = Self(0);
    /// True.
    pub const ONE: Self = Self(1);

    /// A constant.
    #[must_use]
    pub fn constant(value: bool) -> Self {
        Self(u32::from(value))
    }

    /// Its value, if it is a constant.
    #[must_use]
    pub fn value(self) -> Option<bool> {
        (self.0 < 2).then_some(self.0 == 1)
    }

    pub(crate) fn node(self) -> usize {
        (self.0 >> 1) as usize
    }

    pub(crate) fn is_complemented(self) -> bool {
        self.0 & 1 == 1
    }

    fn of_node(node: usize) -> Self {
        Self(u32::try_from(node << 1).expect("fewer than 2^31 nodes"))
    }

    fn complemented_if(self, condition: bool) -> Self {
        Self(self.0 ^ u32::from(condition))
    }
}

impl std::ops::Not for Lit {
    type Output = Self;
    fn not(self) -> Self {
        Self(self.0 ^ 1)
    }
}

/// How a node is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Node {
    /// The node 0.
    False,
    /// A variable: all its values are looked at.
    Input,
    /// What nobody has written: it may be copied, but nothing may be computed from it.
    Unset,
    And(Lit, Lit),
    /// Of literals that are not complemented.
    Xor(Lit, Lit),
}

/// Assignments of the inputs that a signature shows.
pub const SAMPLES: usize = 512;
const WORDS: usize = SAMPLES / 64;

/// The values of a bit under [`SAMPLES`] assignments of the inputs.
pub type Signature = [u64; WORDS];

/// Nodes with one signature with which a new one is compared.
const CANDIDATES: usize = 4;

/// What happened to nodes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Statistics {
    /// Gates asked for that no constant decides.
    pub gates: usize,
    /// Nodes merged after exhaustive evaluation.
    pub merged: usize,
    /// Nodes with equal signatures that were not proved equal.
    pub refused: usize,
    /// The most inputs that an evaluation which merged nodes had.
    pub most_leaves: usize,
}

/// The graph.
#[derive(Debug)]
pub struct Graph {
    nodes: Vec<Node>,
    signatures: Vec<Signature>,
    /// The node before with the same signature up to complement; 0 if there is none.
    same: Vec<u32>,
    by_fanin: HashMap<Node, Lit, Hasher>,
    by_signature: HashMap<Signature, u32, Hasher>,
    merger: Merger,
    random: Random,
    used_unset: bool,
    /// What happened so far.
    pub statistics: Statistics,
}

impl Default for Graph {
    fn default() -> Self {
        Self::new()
    }
}

impl Graph {
    /// A graph without inputs.
    #[must_use]
    pub fn new() -> Self {
        Self {
            nodes: vec![Node::False],
            signatures: vec![[0; WORDS]],
            same: vec![0],
            by_fanin: HashMap::default(),
            by_signature: HashMap::from_iter([([0; WORDS], 0)]),
            merger: Merger::default(),
            random: Random::new(1),
            used_unset: false,
            statistics: Statistics::default(),
        }
    }

    /// Nodes so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Never: the constant is a node.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }

    /// A new variable.
    pub fn input(&mut self) -> Lit {
        let signature = std::array::from_fn(|_| self.random.next());
        self.input_with(signature)
    }

    /// A new variable with a signature of the caller's choice, which has no influence on what is proved.
    pub fn input_with(&mut self, signature: Signature) -> Lit {
        self.push(Node::Input, signature)
    }

    /// `count` new variables.
    pub fn inputs(&mut self, count: usize) -> Vec<Lit> {
        (0..count).map(|_| self.input()).collect()
    }

    /// A bit that nobody has written.
    pub fn unset(&mut self) -> Lit {
        let signature = std::array::from_fn(|_| self.random.next());
        self.push(Node::Unset, signature)
    }

    /// Whether `bit` is one that nobody has written.
    #[must_use]
    pub fn is_unset(&self, bit: Lit) -> bool {
        self.nodes[bit.node()] == Node::Unset
    }

    /// Whether anything was computed from an unset bit since the last call.
    pub fn take_used_unset(&mut self) -> bool {
        std::mem::take(&mut self.used_unset)
    }

    /// Whether `bit` is a node before `end` that is no constant, perhaps complemented.
    pub(crate) fn is_before(&self, bit: Lit, end: usize) -> bool {
        (1..end).contains(&bit.node())
    }

    /// Whether a node before `end` that is no constant has the values of `a ^ b` in all samples, perhaps complemented.
    pub(crate) fn may_be_before(&self, a: Lit, b: Lit, end: usize) -> bool {
        let mut found = self.by_signature.get(&canonical(self.combine(a, b, |x, y| x ^ y))).copied();
        while let Some(node) = found.filter(|&node| node != 0) {
            if (node as usize) < end {
                return true;
            }
            found = Some(self.same[node as usize]);
        }
        false
    }

    /// What `bit` is the sum of, if it is a node that is a sum.
    pub(crate) fn terms(&self, bit: Lit) -> Option<[Lit; 2]> {
        match self.nodes[bit.node()] {
            Node::Xor(a, b) => Some([a.complemented_if(bit.is_complemented()), b]),
            _ => None,
        }
    }

    /// Whether `bit` is a variable, or a sum of at most `most`.
    pub(crate) fn is_sum_of_inputs(&self, bit: Lit, most: usize) -> bool {
        let (mut open, mut count) = (vec![bit], 0);
        while let Some(bit) = open.pop() {
            match self.nodes[bit.node()] {
                Node::Input if count < most => count += 1,
                Node::Xor(a, b) => open.extend([a, b]),
                _ => return false,
            }
        }
        true
    }

    /// Whether `bit` is a sum of one of `terms` and something else.
    pub(crate) fn adds(&self, bit: Lit, terms: &HashSet<Lit>) -> bool {
        matches!(self.nodes[bit.node()], Node::Xor(a, b) if terms.contains(&a) || terms.contains(&b))
    }

    /// The values of `bit` under the random assignments.
    #[must_use]
    pub fn signature(&self, bit: Lit) -> Signature {
        let mask = if bit.is_complemented() { !0 } else { 0 };
        self.signatures[bit.node()].map(|word| word ^ mask)
    }

    /// Conjunction.
    pub fn and(&mut self, a: Lit, b: Lit) -> Lit {
        let (a, b) = (a.min(b), a.max(b));
        match a {
            Lit::ZERO => Lit::ZERO,
            Lit::ONE => b,
            _ if a == b => a,
            _ if a == !b => Lit::ZERO,
            _ => self.make(Node::And(a, b)),
        }
    }

    /// Exclusive or.
    pub fn xor(&mut self, a: Lit, b: Lit) -> Lit {
        let complement = a.is_complemented() ^ b.is_complemented();
        let (a, b) = (a.complemented_if(a.is_complemented()), b.complemented_if(b.is_complemented()));
        let (a, b) = (a.min(b), a.max(b));
        if a == b {
            return Lit::constant(complement);
        }
        if a == Lit::ZERO {
            return b.complemented_if(complement);
        }
        // x ^ (x ^ y) = y
        if let Node::Xor(c, d) = self.nodes[b.node()] {
            if c == a {
                return d.complemented_if(complement);
            }
            if d == a {
                return c.complemented_if(complement);
            }
        }
        self.make(Node::Xor(a, b)).complemented_if(complement)
    }

    /// Disjunction.
    pub fn or(&mut self, a: Lit, b: Lit) -> Lit {
        !self.and(!a, !b)
    }

    /// `then` if `condition`, else `otherwise`.
    pub fn select(&mut self, condition: Lit, then: Lit, otherwise: Lit) -> Lit {
        match condition {
            Lit::ONE => then,
            Lit::ZERO => otherwise,
            _ if then == otherwise => then,
            _ => {
                let difference = self.xor(then, otherwise);
                let changed = self.and(condition, difference);
                self.xor(otherwise, changed)
            }
        }
    }

    /// Whether `bit` is the disjunction of `bits`, none a constant, by cases: the first that is set, or none.
    pub fn is_any(&mut self, bit: Lit, bits: &[Lit]) -> bool {
        self.is_difference(bit, bits, &vec![Lit::ZERO; bits.len()])
    }

    /// Whether `bit` says that two words differ, of which the first has no constants, by cases: the first place where they do, or none.
    pub fn is_difference(&mut self, bit: Lit, a: &[Lit], b: &[Lit]) -> bool {
        let mut assumed = HashMap::new();
        for (&a, &b) in a.iter().zip(b) {
            if a.value().is_some() {
                return false;
            }
            let equal = b.complemented_if(a.is_complemented());
            assumed.insert(a.node(), !equal);
            if self.under(bit, &assumed) != Lit::ONE {
                return false;
            }
            assumed.insert(a.node(), equal);
        }
        self.under(bit, &assumed) == Lit::ZERO
    }

    /// Whether `bit` depends on the variable `input`, by how it is made.
    pub(crate) fn depends_on(&self, bit: Lit, input: Lit) -> bool {
        let (mut seen, mut open) = (HashSet::new(), vec![bit.node()]);
        while let Some(node) = open.pop() {
            if node == input.node() {
                return true;
            }
            // What is older than the variable was made without it.
            if node > input.node()
                && seen.insert(node)
                && let Node::And(a, b) | Node::Xor(a, b) = self.nodes[node]
            {
                open.extend([a.node(), b.node()]);
            }
        }
        false
    }

    /// The bit where nodes have the values that are assumed.
    fn under(&mut self, bit: Lit, assumed: &HashMap<usize, Lit>) -> Lit {
        let (mut cone, mut open) = (BTreeSet::new(), vec![bit.node()]);
        while let Some(node) = open.pop() {
            if !assumed.contains_key(&node)
                && cone.insert(node)
                && let Node::And(a, b) | Node::Xor(a, b) = self.nodes[node]
            {
                open.extend([a.node(), b.node()]);
            }
        }
        let mut found = assumed.clone();
        for node in cone {
            let of = |lit: Lit, found: &HashMap<usize, Lit>| {
                found[&lit.node()].complemented_if(lit.is_complemented())
            };
            let value = match self.nodes[node] {
                Node::And(a, b) => {
                    let (a, b) = (of(a, &found), of(b, &found));
                    self.and(a, b)
                }
                Node::Xor(a, b) => {
                    let (a, b) = (of(a, &found), of(b, &found));
                    self.xor(a, b)
                }
                _ => Lit::of_node(node),
            };
            found.insert(node, value);
        }
        found[&bit.node()].complemented_if(bit.is_complemented())
    }

    /// The node, an older one that is proved equal, or a new one.
    fn make(&mut self, node: Node) -> Lit {
        self.statistics.gates += 1;
        if let Some(&known) = self.by_fanin.get(&node) {
            return known;
        }
        let (signature, a, b) = match node {
            Node::And(a, b) => (self.combine(a, b, |x, y| x & y), a, b),
            Node::Xor(a, b) => (self.combine(a, b, |x, y| x ^ y), a, b),
            _ => unreachable!("only gates are made"),
        };
        if self.is_unset(a) || self.is_unset(b) {
            self.used_unset = true;
        }
        let new = self.nodes.len();
        let mut candidate = self.by_signature.get(&canonical(signature)).copied();
        if candidate.is_some() {
            self.nodes.push(node);
            for _ in 0..CANDIDATES {
                let Some(old) = candidate.map(|old| old as usize) else { break };
                let complement = self.signatures[old] != signature;
                if let Some(leaves) = self.merger.prove(&self.nodes, new, old, complement) {
                    self.nodes.pop();
                    self.statistics.merged += 1;
                    self.statistics.most_leaves = self.statistics.most_leaves.max(leaves);
                    let old = Lit::of_node(old).complemented_if(complement);
                    self.by_fanin.insert(node, old);
                    return old;
                }
                candidate = (old != 0).then(|| self.same[old]);
            }
            self.nodes.pop();
            self.statistics.refused += 1;
        }
        let made = self.push(node, signature);
        self.by_fanin.insert(node, made);
        made
    }

    fn combine(&self, a: Lit, b: Lit, f: impl Fn(u64, u64) -> u64) -> Signature {
        let (a, b) = (self.signature(a), self.signature(b));
        std::array::from_fn(|i| f(a[i], b[i]))
    }

    fn push(&mut self, node: Node, signature: Signature) -> Lit {
        let new = self.nodes.len();
        let lit = Lit::of_node(new);
        self.nodes.push(node);
        self.signatures.push(signature);
        let before = self.by_signature.insert(canonical(signature), new as u32);
        self.same.push(before.unwrap_or(0));
        lit
    }
}

/// The signature or its complement, the same one for both.
fn canonical(signature: Signature) -> Signature {
    if signature[0] & 1 == 1 { signature.map(|word| !word) } else { signature }
}

/// Random numbers that are the same in each run: splitmix64.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A sequence for each seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    #[allow(clippy::should_implement_trait, reason = "it never ends")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, nearly uniform.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

/// A fast hash for the maps of the graph; nobody attacks them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Hasher;

impl std::hash::BuildHasher for Hasher {
    type Hasher = Folded;
    fn build_hasher(&self) -> Folded {
        Folded(0)
    }
}

#[derive(Debug)]
pub(crate) struct Folded(u64);

impl std::hash::Hasher for Folded {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }
    fn write_u32(&mut self, value: u32) {
        self.write_u64(u64::from(value));
    }
    fn write_u64(&mut self, value: u64) {
        let product = u128::from(self.0 ^ value ^ 0x9e37_79b9_7f4a_7c15) * 0xa076_1d64_78bd_642f;
        self.0 = (product as u64) ^ ((product >> 64) as u64);
    }
    fn write_isize(&mut self, value: isize) {
        self.write_u64(value as u64);
    }
    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_functions_are_one_node() {
        let mut g = Graph::new();
        let (a, b, c) = (g.input(), g.input(), g.input());
        let (ab, bc) = (g.xor(a, b), g.xor(b, c));
        let (left, right) = (g.xor(ab, c), g.xor(a, bc));
        assert_eq!(left, right);
        // De Morgan, and a multiplexer in two ways.
        let by_or = g.or(a, b);
        let by_and = g.and(!a, !b);
        assert_eq!(by_or, !by_and);
        let selected = g.select(a, b, c);
        let (then, otherwise) = (g.and(a, b), g.and(!a, c));
        assert_eq!(g.or(then, otherwise), selected);
        assert!(g.statistics.merged > 0);
    }

    #[test]
    fn long_sums_are_one_node() {
        let mut g = Graph::new();
        let terms = g.inputs(100);
        let sum = |g: &mut Graph, terms: &mut dyn Iterator<Item = &Lit>| {
            terms.fold(Lit::ZERO, |sum, &term| g.xor(sum, term))
        };
        let up = sum(&mut g, &mut terms.iter());
        assert_eq!(sum(&mut g, &mut terms.iter().rev()), up);
        assert_ne!(sum(&mut g, &mut terms[1..].iter().rev()), up);
    }

    /// As comparisons in constant time have it: the sign of x | -x.
    #[test]
    fn a_disjunction_is_recognised() {
        let mut g = Graph::new();
        let x = g.inputs(64);
        let zero = crate::bits::constant(0, 64);
        let negated = g.subtract(&zero, &x, Lit::ONE).bits;
        let any = g.or(x[63], negated[63]);
        assert!(g.is_any(any, &x));
        assert!(!g.is_any(!any, &x) && !g.is_any(negated[63], &x));
        assert!(!g.is_any(any, &x[1..]) && !g.is_any(any, &x[..63]));
        let more = g.inputs(1);
        let more = g.or(any, more[0]);
        assert!(!g.is_any(more, &x));
    }

    #[test]
    fn constants_are_recognised() {
        let mut g = Graph::new();
        let (a, b) = (g.input(), g.input());
        let both = g.and(a, b);
        let neither = g.and(!a, !b);
        assert_eq!(g.and(both, neither), Lit::ZERO);
    }

    /// Inputs that look equal, and functions of them that differ in one of 2^20 assignments only.
    #[test]
    fn a_signature_alone_merges_nothing() {
        let mut g = Graph::new();
        let (a, b) = (g.input_with([5; WORDS]), g.input_with([5; WORDS]));
        assert_ne!(a, b);
        let c = g.input();
        assert_ne!(g.and(a, c), g.and(b, c));
        let mut all = Lit::ONE;
        for _ in 0..20 {
            let input = g.input();
            all = g.and(all, input);
        }
        assert_ne!(all, Lit::ZERO, "it is 0 under all samples");
        assert_ne!(g.xor(all, c), c);
        assert!(g.statistics.refused > 0);
    }

    #[test]
    fn what_is_unset_may_be_copied_only() {
        let mut g = Graph::new();
        let (a, unset) = (g.input(), g.unset());
        assert_eq!(g.and(unset, Lit::ONE), unset);
        assert!(!g.take_used_unset());
        g.xor(unset, a);
        assert!(g.take_used_unset() && !g.take_used_unset());
    }
}
