//! Whether two nodes are equal, decided by exhaustive evaluation.
//!
//! A window is the part of the graph between the two nodes and a cut below them. If both nodes have the same value under every
//! assignment of the cut, whether or not that assignment can occur, they are equal. Otherwise nothing is known. Sums are equal
//! besides where their terms are.

use crate::graph::{Lit, Node};
use std::collections::BTreeSet;

/// The largest cuts that are tried, in this order: 2^15 assignments at most.
const LIMITS: [usize; 3] = [8, 12, 15];
/// Nodes in a window.
const MOST_STEPS: usize = 400;

/// The workspace of the search.
#[derive(Debug, Default)]
pub(crate) struct Merger {
    leaves: Vec<u32>,
    inner: Vec<u32>,
    /// For each node, the number of the window in which it is inner, and its place there.
    places: Vec<(u32, u32)>,
    windows: u32,
    values: Vec<u64>,
}

impl Merger {
    /// The number of leaves of a window in which node `a` is node `b`, complemented if `complement`; none if none was found.
    pub(crate) fn prove(&mut self, nodes: &[Node], a: usize, b: usize, complement: bool) -> Option<usize> {
        self.places.resize(nodes.len().max(self.places.len()), (0, 0));
        if !complement && is_sum_zero(nodes, a as u32, b as u32) {
            return Some(0);
        }
        LIMITS.iter().find_map(|&limit| self.window(nodes, a as u32, b as u32, complement, limit))
    }

    fn is_inner(&self, node: u32) -> bool {
        self.places[node as usize].0 == self.windows
    }

    /// What of `node`'s operands is not in the window yet.
    fn missing(&self, nodes: &[Node], node: u32) -> impl Iterator<Item = u32> + use<> {
        let new = |operand: Lit| {
            let operand = operand.node() as u32;
            (operand != 0 && !self.is_inner(operand) && !self.leaves.contains(&operand)).then_some(operand)
        };
        let found = match nodes[node as usize] {
            Node::And(a, b) | Node::Xor(a, b) => {
                let (a, b) = (new(a), new(b));
                [a, if a == b { None } else { b }]
            }
            _ => [None, None],
        };
        found.into_iter().flatten()
    }

    fn window(&mut self, nodes: &[Node], a: u32, b: u32, complement: bool, limit: usize) -> Option<usize> {
        self.windows += 1;
        self.inner.clear();
        self.leaves.clear();
        self.leaves.push(a);
        if b != 0 {
            self.leaves.push(b);
        }
        for step in 1..=MOST_STEPS {
            // The highest first, so that the two cones meet; rather one that adds no leaf.
            let (mut free, mut highest, mut fitting) = (None, None, None);
            for &leaf in &self.leaves {
                if !matches!(nodes[leaf as usize], Node::And(..) | Node::Xor(..)) {
                    continue;
                }
                let missing = self.missing(nodes, leaf).count();
                if missing <= 1 {
                    free = free.max(Some(leaf));
                }
                if self.leaves.len() - 1 + missing <= limit {
                    fitting = fitting.max(Some(leaf));
                }
                highest = highest.max(Some(leaf));
            }
            let Some(wanted) = free.or(highest) else { break };
            let missing = self.missing(nodes, wanted).count();
            let chosen = if self.leaves.len() - 1 + missing <= limit { Some(wanted) } else { fitting };
            let Some(chosen) = chosen else { break };
            let missing = self.missing(nodes, chosen);
            self.leaves.retain(|&leaf| leaf != chosen);
            self.leaves.extend(missing);
            self.places[chosen as usize] = (self.windows, 0);
            self.inner.push(chosen);
            if step % 4 == 0
                && self.is_inner(a)
                && (self.is_inner(b) || step % 8 == 0)
                && let Some(leaves) = self.evaluate(nodes, a, b, complement)
            {
                return Some(leaves);
            }
        }
        self.evaluate(nodes, a, b, complement)
    }

    /// The number of leaves if the two are equal for all their values.
    fn evaluate(&mut self, nodes: &[Node], a: u32, b: u32, complement: bool) -> Option<usize> {
        let count = self.leaves.len();
        let words = 1usize << count.saturating_sub(6);
        self.inner.sort_unstable();
        // The constant, the leaves, the inner nodes.
        self.values.clear();
        self.values.resize(words * (1 + count + self.inner.len()), 0);
        let mut outside = [(0, 0); 2];
        let leaves = self.leaves.iter().enumerate().map(|(i, &node)| (1 + i, node));
        let inner = self.inner.iter().enumerate().map(|(i, &node)| (1 + count + i, node));
        for (place, node) in leaves.chain(inner) {
            self.places[node as usize].1 = place as u32;
            for (end, which) in outside.iter_mut().zip([a, b]) {
                if node == which {
                    *end = (place, which);
                }
            }
        }
        for leaf in 0..count {
            for word in 0..words {
                self.values[(1 + leaf) * words + word] = variable(leaf, word);
            }
        }
        for (i, &node) in self.inner.iter().enumerate() {
            let place = 1 + count + i;
            let (done, rest) = self.values.split_at_mut(place * words);
            let operand = |lit: Lit| {
                let at = if lit.node() == 0 { 0 } else { self.places[lit.node()].1 as usize };
                (&done[at * words..][..words], if lit.is_complemented() { !0 } else { 0 })
            };
            match nodes[node as usize] {
                Node::And(x, y) => {
                    let ((x, not_x), (y, not_y)) = (operand(x), operand(y));
                    for word in 0..words {
                        rest[word] = (x[word] ^ not_x) & (y[word] ^ not_y);
                    }
                }
                Node::Xor(x, y) => {
                    let ((x, not_x), (y, not_y)) = (operand(x), operand(y));
                    for word in 0..words {
                        rest[word] = x[word] ^ not_x ^ y[word] ^ not_y;
                    }
                }
                _ => unreachable!("only gates are inner"),
            }
        }
        let value = |(place, _): (usize, u32)| &self.values[place * words..][..words];
        let flip = if complement { !0 } else { 0 };
        let mask = if count < 6 { (1u64 << (1 << count)) - 1 } else { !0 };
        let equal = value(outside[0]).iter().zip(value(outside[1])).all(|(x, y)| (x ^ y ^ flip) & mask == 0);
        equal.then_some(count)
    }
}

/// Whether two nodes are sums of the same terms, however many these are.
fn is_sum_zero(nodes: &[Node], a: u32, b: u32) -> bool {
    let mut terms = BTreeSet::from([a]);
    let toggle = |terms: &mut BTreeSet<u32>, term: u32| {
        if term != 0 && !terms.remove(&term) {
            terms.insert(term);
        }
    };
    toggle(&mut terms, b);
    // No later term has the highest one in it, so that one that is no sum never cancels.
    while let Some(highest) = terms.pop_last() {
        let Node::Xor(x, y) = nodes[highest as usize] else { return false };
        toggle(&mut terms, x.node() as u32);
        toggle(&mut terms, y.node() as u32);
    }
    true
}

/// The `word`-th 64 of all assignments: the value of variable `i`.
fn variable(i: usize, word: usize) -> u64 {
    const WITHIN: [u64; 6] = [
        0xaaaa_aaaa_aaaa_aaaa,
        0xcccc_cccc_cccc_cccc,
        0xf0f0_f0f0_f0f0_f0f0,
        0xff00_ff00_ff00_ff00,
        0xffff_0000_ffff_0000,
        0xffff_ffff_0000_0000,
    ];
    match WITHIN.get(i) {
        Some(&pattern) => pattern,
        None if word >> (i - 6) & 1 == 1 => !0,
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_take_all_assignments() {
        let mut seen = vec![false; 1 << 9];
        for assignment in 0..1 << 9 {
            let value = |i: usize| (variable(i, assignment / 64) >> (assignment % 64) & 1) as usize;
            seen[(0..9).map(|i| value(i) << i).sum::<usize>()] = true;
        }
        assert!(seen.into_iter().all(|seen| seen));
    }
}
