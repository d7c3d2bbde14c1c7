//! Values in two shares, and where variables take the place of both.
//!
//! What a masked kernel computes is proved with the masks as further variables. From round to round each share depends on more of them, and
//! soon on too many for exhaustive evaluation. The sum of both shares does not: it is the specification's, which has no masks. So where the
//! sum of two words `a` and `b` is proved, bit by bit, to be a bit `x` of the specification, a new variable `m` takes the place of `a`, and `x ^ m`
//! that of `b`.
//!
//! **Why this proves no more than there is.** What the code computes afterwards is a function `f(inputs, m)`, and `f(inputs, a(inputs))` is what
//! it computes without the new variable, as `x ^ a` is `b`. A claim that holds for all inputs and all `m` holds for `m = a(inputs)`. Whatever
//! still has the old `a` or `b` in it is right as well, since these are functions of the inputs as before. All that may get lost is
//! that `m` has to do with other values, and then a proof fails that could have been found. So it does not matter for what is proved where cuts
//! are made, nor which words are taken for shares of the same value: the sum is proved each time.

use crate::{
    bits::Bits,
    graph::{Graph, Lit},
    memory::Memory,
};
use std::collections::{HashMap, HashSet};

/// The registers in which S-boxes find four words of share a, and then of share b.
const REGISTERS: std::ops::Range<usize> = 1..9;
/// The bytes at the stack pointer where kernels have what S-boxes read and are added to: four words of share a, then of share b, and both again.
const FRAME: u64 = 64;
/// How far a word of share b is from that of share a.
const APART: usize = 4;

/// Cuts the dependence of shares on what they were made from.
#[derive(Clone, Debug)]
pub struct Cuts {
    /// The nodes before this one are the specification's.
    end: usize,
    /// The variables in shares of round keys.
    keys: HashSet<Lit>,
    /// What took the place of two bits.
    taken: HashMap<[Lit; 2], [Lit; 2]>,
    /// The words as they were after the last instruction.
    seen: Vec<Option<Bits>>,
}

impl Cuts {
    /// With the specification being all that is in the graph.
    #[must_use]
    pub fn new(g: &Graph) -> Self {
        Self { end: g.len(), keys: HashSet::new(), taken: HashMap::new(), seen: Vec::new() }
    }

    /// What may take the place of two bits whose sum is a bit of the specification.
    fn bit(&mut self, g: &mut Graph, shares: [Lit; 2]) -> Option<[Lit; 2]> {
        let [a, b] = shares;
        if let Some(&taken) = self.taken.get(&shares) {
            return Some(taken);
        }
        let sum = self.sum(g, a, b)?;
        let mask = g.input();
        let taken = [mask, g.xor(sum, mask)];
        self.taken.insert(shares, taken);
        // What is a variable and a sum already stays as it is.
        self.taken.insert(taken, taken);
        Some(taken)
    }

    /// The sum of two bits, if it is proved to be a bit of the specification. Sums of terms are looked at first, as they depend on less.
    fn sum(&self, g: &mut Graph, a: Lit, b: Lit) -> Option<Lit> {
        // The signature only saves the search for a proof.
        let known = |g: &mut Graph, a, b| {
            if !g.may_be_before(a, b, self.end) {
                return None;
            }
            Some(g.xor(a, b)).filter(|&sum| g.is_before(sum, self.end))
        };
        if let (Some([a0, a1]), Some([b0, b1])) = (g.terms(a), g.terms(b)) {
            for [b0, b1] in [[b0, b1], [b1, b0]] {
                if let (Some(first), Some(second)) = (known(g, a0, b0), known(g, a1, b1)) {
                    return known(g, first, second);
                }
            }
        }
        known(g, a, b)
    }

    /// Cuts the shares of a round key: each bit becomes a variable of its own. Returns which word of share b belongs to each word of share a, with the
    /// sums of both, if all of these are `wanted`.
    pub fn round_key(
        &mut self,
        g: &mut Graph,
        words: &mut [Bits],
        wanted: &HashSet<Lit>,
    ) -> Option<Vec<(usize, Bits)>> {
        let (first, second) = words.split_at_mut(APART);
        let pair = |a: &mut Bits| {
            second.iter_mut().enumerate().find_map(|(place, b)| {
                let sums: Option<Bits> = a.iter().zip(&*b).map(|(&a, &b)| self.sum(g, a, b)).collect();
                let sums = sums.filter(|sums| sums.iter().all(|sum| wanted.contains(sum)))?;
                *a = g.inputs(sums.len());
                *b = g.xor_bits(&sums, a);
                self.keys.extend(&*a);
                Some((place, sums))
            })
        };
        first.iter_mut().map(pair).collect()
    }

    /// Cuts, after an instruction, what it has written: the words of a frame, and those of registers to which it has added a round key.
    pub(crate) fn after(&mut self, g: &mut Graph, memory: &mut Memory, registers: &mut [Bits], frame: u64) {
        let count = REGISTERS.len();
        let address = |place: usize| frame + 4 * (place - count) as u64;
        let mut words: Vec<Option<Bits>> = registers[REGISTERS].iter().cloned().map(Some).collect();
        words.extend((0..FRAME / 4).map(|i| memory.get(frame + 4 * i, 4)));
        self.seen.resize(words.len(), None);
        for place in 0..words.len() {
            if words[place] == self.seen[place] {
                continue;
            }
            let is_register = place < count;
            let first = place & !APART;
            let (Some(a), Some(b)) = (&words[first], &words[first + APART]) else { continue };
            if is_register && !a.iter().any(|&bit| g.adds(bit, &self.keys)) {
                continue;
            }
            let (a, b): (Bits, Bits) = a
                .iter()
                .zip(b)
                .map(|(&a, &b)| {
                    // What depends on few variables needs no cut. Copies of it may have been made before both shares were there.
                    let is_simple = !is_register && g.is_sum_of_inputs(a, 4);
                    let cut = if is_simple { None } else { self.bit(g, [a, b]) };
                    cut.unwrap_or([a, b])
                })
                .map(|[a, b]| (a, b))
                .unzip();
            for (place, word) in [(first, a), (first + APART, b)] {
                if words[place].as_ref() != Some(&word) {
                    if is_register {
                        registers[REGISTERS.start + place].clone_from(&word);
                    } else {
                        memory.set(address(place), &word);
                    }
                    words[place] = Some(word);
                }
            }
        }
        self.seen = words;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_shares_of_the_specification_are_cut() {
        let mut g = Graph::new();
        let (x, y) = (g.input(), g.input());
        let value = g.and(x, y);
        let mut cuts = Cuts::new(&g);
        let masks = g.inputs(3);
        let a = g.and(masks[0], masks[1]);
        let a = g.xor(a, masks[2]);
        let b = g.xor(!value, a);
        let [mask, other] = cuts.bit(&mut g, [a, b]).unwrap();
        assert!(![a, b].contains(&mask) && ![a, b].contains(&other));
        assert_eq!(g.xor(mask, other), !value);
        assert_eq!(cuts.bit(&mut g, [a, b]), Some([mask, other]), "the same shares are the same variables");
        assert_eq!(cuts.bit(&mut g, [mask, other]), Some([mask, other]));
        // A sum that is no bit of the specification, one that only looks like that, and one that is constant.
        let wrong = g.xor(b, masks[0]);
        assert_eq!(cuts.bit(&mut g, [a, wrong]), None);
        let look_alike = g.input_with(g.signature(b));
        assert_eq!(cuts.bit(&mut g, [a, look_alike]), None);
        assert_eq!(cuts.bit(&mut g, [a, !a]), None);
    }
}
