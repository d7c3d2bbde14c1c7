//! What the comparisons of the model with processors share.
//!
//! A [`Reference`] executes what the model executes. Each encoding is compared once.

use super::{Isa, Outcome, samples::Values};
use crate::{
    bits::Bits,
    elf::Image,
    graph::{Graph, Random},
    machine::Machine,
};
use anyhow::Result;
use object::Architecture;
use std::{array, collections::HashMap, fmt::LowerHex, sync::Arc};

/// A processor with which the model is compared.
pub trait Reference: Sized {
    /// The instruction set.
    type Isa: Isa;
    /// As ELF files have it.
    const ARCHITECTURE: Architecture;
    /// Where random values begin.
    const SEED: u64;

    /// What the model executes: of several processors the one that refuses least.
    fn isa() -> Self::Isa;

    /// Finds or starts it.
    ///
    /// # Errors
    /// If there is none, with the reason.
    fn start() -> Result<Self>;

    /// The encoding that is compared for `bytes`: another one if it depends on the place of the instruction.
    ///
    /// # Errors
    /// If there is none.
    fn moved(&self, bytes: &[u8]) -> Result<Vec<u8>> {
        Ok(bytes.to_vec())
    }

    /// Compares an encoding.
    ///
    /// # Errors
    /// With what is different, or why it cannot be compared.
    fn compare(&mut self, trial: &mut Trial<Self::Isa>, bytes: &[u8]) -> Result<Outcome, String>;
}

/// The model in a comparison.
#[derive(Debug)]
pub struct Trial<I: Isa> {
    /// The processor as it is modelled.
    pub machine: Machine<I>,
    /// What registers and memory hold.
    pub random: Random,
    empty: Arc<Image>,
    isa: I,
}

impl<I: Isa> Trial<I> {
    /// Begins with an empty graph where this one is large.
    pub fn renew(&mut self) {
        if self.machine.graph.len() > 300_000 {
            self.machine = Machine::new(Arc::clone(&self.empty), self.isa);
        }
    }
}

/// Compares instructions, each encoding once.
#[derive(Debug)]
pub struct Comparison<R: Reference> {
    reference: Option<R>,
    /// Why there is none, after one was looked for.
    lacking: Option<String>,
    known: HashMap<Vec<u8>, Outcome>,
    trial: Trial<R::Isa>,
}

impl<R: Reference> Default for Comparison<R> {
    fn default() -> Self {
        Self::new()
    }
}

impl<R: Reference> Comparison<R> {
    /// Without a processor yet: it starts with the first instruction.
    #[must_use]
    pub fn new() -> Self {
        let empty = Arc::new(Image::empty(R::ARCHITECTURE));
        let machine = Machine::new(Arc::clone(&empty), R::isa());
        let trial = Trial { machine, random: Random::new(R::SEED), empty, isa: R::isa() };
        Self { reference: None, lacking: None, known: HashMap::new(), trial }
    }

    /// Encodings compared, and of those the ones that could not be.
    #[must_use]
    pub fn count(&self) -> (usize, usize) {
        (self.known.len(), self.known.values().filter(|&outcome| *outcome == Outcome::NotHere).count())
    }

    /// Why nothing is compared.
    #[must_use]
    pub fn lacking(&self) -> Option<&str> {
        self.lacking.as_deref()
    }

    /// The outcome for an instruction, perhaps with what makes it what it is before it.
    pub fn check(&mut self, bytes: &[u8]) -> Outcome {
        if self.reference.is_none() && self.lacking.is_none() {
            match R::start() {
                Ok(reference) => self.reference = Some(reference),
                Err(error) => self.lacking = Some(format!("{error:#}")),
            }
        }
        let moved = match self.reference.as_ref().map_or(Ok(bytes.to_vec()), |it| it.moved(bytes)) {
            Ok(moved) => moved,
            Err(error) => return Outcome::Different(error.to_string()),
        };
        if let Some(outcome) = self.known.get(&moved) {
            return outcome.clone();
        }
        let outcome = match self.reference.take() {
            None => Outcome::NotHere,
            Some(mut reference) => match reference.compare(&mut self.trial, &moved) {
                Ok(outcome) => {
                    self.reference = Some(reference);
                    outcome
                }
                // The processor may have stopped: the next instruction gets another one.
                Err(what) => Outcome::Different(what),
            },
        };
        self.known.insert(moved, outcome.clone());
        outcome
    }
}

/// Why a round ends the comparison.
#[derive(Debug)]
pub(crate) enum Mismatch {
    /// The model needs a number where there is none.
    Model(String),
    Differs(String),
}

impl From<anyhow::Error> for Mismatch {
    fn from(error: anyhow::Error) -> Self {
        Self::Differs(format!("{error:#}"))
    }
}

/// Compares in rounds of the first sort in which the model executes the instruction: what is a number in it, how many rounds,
/// and how many samples in each. `round` tells whether it has compared anything.
pub(crate) fn rounds<K: Copy>(
    sorts: &[(K, usize, usize)],
    mut round: impl FnMut(K, usize, usize) -> Result<bool, Mismatch>,
) -> Result<(), String> {
    let mut last = String::new();
    'sorts: for &(known, rounds, samples) in sorts {
        let mut is_compared = false;
        for number in 0..rounds {
            match round(known, number, samples) {
                Ok(compared) => is_compared |= compared,
                Err(Mismatch::Model(fault)) => {
                    last = fault;
                    continue 'sorts;
                }
                Err(Mismatch::Differs(what)) => return Err(what),
            }
        }
        if is_compared {
            return Ok(());
        }
    }
    Err(format!("the model does not execute it: {last}"))
}

/// The values of registers and memory, word by word, in each sample.
pub(crate) fn values<T: Copy, const WORDS: usize>(
    g: &Graph,
    words: &[Bits],
    samples: usize,
    as_word: impl Fn(u64) -> T,
) -> Vec<[T; WORDS]> {
    let words: Vec<Values> = words.iter().map(|word| Values::of(g, word)).collect();
    (0..samples).map(|sample| array::from_fn(|word| as_word(words[word].at(sample)))).collect()
}

/// Compares what a processor made of registers and memory with what the model makes.
pub(crate) fn agree<T: PartialEq + LowerHex, const WORDS: usize>(
    found: &[[T; WORDS]],
    expected: &[[T; WORDS]],
) -> Result<(), Mismatch> {
    for (found, expected) in found.iter().zip(expected) {
        if let Some(word) = (0..WORDS).find(|&word| found[word] != expected[word]) {
            return Err(Mismatch::Differs(format!(
                "word {word} of registers, flags and memory is {:#x}, and {:#x} in the model",
                found[word], expected[word]
            )));
        }
    }
    Ok(())
}
