//! What a sealer or an opener holds beside its key: counts, the replay window, and the nonce that is prepared.
//!
//! Where a library keeps them is not known before. It is found from what a few messages change, and then has to hold for all messages.

use super::mode::Interface;
use crate::{
    bits::{self, Bits},
    graph::{Graph, Lit},
    memory::Memory,
    spec::{Block, Byte},
};
use anyhow::{Context as _, Result, ensure};
use std::{collections::BTreeSet, ops::Range};

/// Blocks that a sealer or an opener may process.
pub(super) const BLOCK_LIMIT: u64 = 1 << 20;
/// Messages that may be forged before an opener stops.
pub(super) const FAILURE_LIMIT: u64 = 1 << 19;
/// Counters below the newest one that an opener knows.
pub(super) const WINDOW: u64 = 64;

/// The counts, as the documentation of the library says how they change.
#[derive(Clone, Debug)]
pub struct Counts {
    /// The counter of a sealer's next message, in 32 bits.
    pub counter: Bits,
    /// Blocks that were processed.
    pub used: u32,
    /// Messages of an opener that were forged.
    pub failures: u32,
    /// Counters of messages that were opened.
    pub opened: BTreeSet<u64>,
    /// A nonce that is enciphered ahead, and what became of it.
    pub prepared: Option<[Block; 2]>,
}

impl Counts {
    /// Those of a fresh key.
    pub(super) fn new() -> Self {
        Self { counter: bits::constant(0, 32), used: 0, failures: 0, opened: BTreeSet::new(), prepared: None }
    }

    /// One more than the greatest counter that was opened.
    pub(super) fn next(&self) -> u64 {
        self.opened.last().map_or(0, |newest| newest + 1)
    }

    /// The words that hold them, with how many bits, the prepared nonce last. Empty if there is none.
    fn words(&self, interface: Interface, can_prepare: bool, is_masked: bool) -> Vec<Word> {
        let number = |name, value: u64, width| Word { name, value: bits::constant(value, width), orders: 1 };
        // It is written with the count, as it was.
        let limit = number("limit of blocks", BLOCK_LIMIT, 32);
        let mut words = match interface {
            Interface::Context => Vec::new(),
            Interface::Sealer => vec![
                Word { name: "counter", value: self.counter.clone(), orders: 1 },
                number("count of blocks", self.used.into(), 32),
            ]
            .into_iter()
            .chain(is_masked.then_some(limit))
            .collect(),
            Interface::Opener => {
                let ages = (0..WINDOW).filter(|age| {
                    let counter = self.next().checked_sub(age + 2);
                    counter.is_some_and(|counter| self.opened.contains(&counter))
                });
                vec![
                    number("count of blocks", self.used.into(), 32),
                    limit,
                    number("count of failures", self.failures.into(), 32),
                    number("next counter", self.next(), 64),
                    number("window", ages.map(|age| 1 << age).sum(), 64),
                ]
            }
        };
        if interface != Interface::Context && can_prepare {
            let zero = [[[Lit::ZERO; 8]; 8]; 2];
            for (name, block) in
                ["prepared nonce", "enciphered nonce"].into_iter().zip(self.prepared.unwrap_or(zero))
            {
                words.push(Word { name, value: block.as_flattened().to_vec(), orders: ORDERS.len() });
            }
        }
        words
    }
}

/// The orders in which a library may keep the bytes of a block: as they come, or in words with the last byte first.
const ORDERS: [[u64; 8]; 4] =
    [[0, 1, 2, 3, 4, 5, 6, 7], [7, 6, 5, 4, 3, 2, 1, 0], [3, 2, 1, 0, 7, 6, 5, 4], [4, 5, 6, 7, 0, 1, 2, 3]];

/// A number, or bytes.
#[derive(Clone, Debug)]
struct Word {
    name: &'static str,
    value: Bits,
    /// How many of the [`ORDERS`] are possible.
    orders: usize,
}

/// The bytes of a context; none where nobody has written any.
type Snapshot = Vec<Option<Byte>>;

fn snapshot(g: &Graph, memory: &Memory, context: &Range<u64>) -> Snapshot {
    let byte = |address| {
        let byte = memory.get(address, 1)?.try_into().expect("8 bits");
        let is_set = |byte: &Byte| !byte.iter().any(|&bit| g.is_unset(bit));
        Some(byte).filter(is_set)
    };
    context.clone().map(byte).collect()
}

/// Where each byte of a word is, from the start of the context on.
type Places = Vec<usize>;

/// A sealer or an opener of which is known what it has to hold.
#[derive(Clone, Debug)]
pub(super) struct Counted {
    interface: Interface,
    pub(super) can_prepare: bool,
    context: Range<u64>,
    /// What it holds after set-up.
    base: Snapshot,
    /// Where the words are, when that is known; before, what it has held, and what it had to.
    layout: Vec<Places>,
    seen: Vec<(Snapshot, Vec<Word>)>,
    /// What it has to hold.
    pub(super) counts: Counts,
    /// Where it holds round keys that change, at which another one looks.
    pub(super) round_keys: Range<u64>,
}

/// The bytes before the content of a context, which tell that nobody else is using it.
const MARK: Range<usize> = 0..8;

impl Counted {
    /// One whose key was just set up.
    pub(super) fn new(interface: Interface, can_prepare: bool, context: Range<u64>) -> Self {
        Self {
            interface,
            can_prepare,
            context,
            base: Vec::new(),
            layout: Vec::new(),
            seen: Vec::new(),
            counts: Counts::new(),
            round_keys: 0..0,
        }
    }

    /// The context is as set-up made it. What depends on the key or is the fixed part may not be written from now on, nor
    /// anything but the words, if it is known where they are.
    pub(super) fn start(&mut self, g: &Graph, memory: &mut Memory) {
        self.counts = Counts::new();
        self.base = snapshot(g, memory, &self.context);
        self.seen = vec![(self.base.clone(), self.words())];
        let depends =
            |byte: &Option<Byte>| byte.is_some_and(|byte| byte.iter().any(|bit| bit.value().is_none()));
        let may_change: Vec<usize> = if self.layout.is_empty() {
            (0..self.base.len()).filter(|&at| !depends(&self.base[at])).collect()
        } else {
            // What is never prepared may be erased nevertheless: zeros.
            let is_erased = |at: &usize| !self.can_prepare && self.base[*at] == Some([Lit::ZERO; 8]);
            let zeros = (0..self.base.len()).filter(is_erased);
            MARK.chain(self.layout.iter().flatten().copied()).chain(zeros).collect()
        };
        let address = |at: usize| self.context.start + at as u64;
        let mut addresses: BTreeSet<u64> = may_change.into_iter().map(address).collect();
        addresses.extend(self.round_keys.clone());
        let bytes: Vec<Range<u64>> = addresses.into_iter().map(|at| at..at + 1).collect();
        memory.allow_writes_in("context", &bytes);
    }

    fn is_masked(&self) -> bool {
        !self.round_keys.is_empty()
    }

    fn words(&self) -> Vec<Word> {
        self.counts.words(self.interface, self.can_prepare, self.is_masked())
    }

    /// Remembers what a call has made of the context, to find where its words are.
    pub(super) fn observe(&mut self, g: &Graph, memory: &Memory) {
        self.seen.push((snapshot(g, memory, &self.context), self.words()));
    }

    /// Whether it is known where the words are.
    pub(super) fn is_found(&self) -> bool {
        !self.layout.is_empty()
    }

    /// A counter that an opener has not opened: as a rule the next one, after gaps and late too, and around where numbers need
    /// another byte or bit.
    pub(super) fn any_counter(&self) -> u64 {
        let Counts { opened, .. } = &self.counts;
        let next = self.counts.next();
        let is_late = |age: u64| next.checked_sub(1 + age).filter(|counter| !opened.contains(counter));
        let counter = match opened.len() % 6 {
            0 => is_late(WINDOW),
            1 => Some(next + 2),
            2 => is_late(1),
            5 => [0xfd, 0xfffd, 0x7f_fffd].into_iter().find(|&edge| edge > next),
            _ => None,
        };
        counter.unwrap_or(next)
    }

    /// Finds where the words are that have changed as they had to.
    ///
    /// # Errors
    /// If one is nowhere.
    pub(super) fn find(&mut self) -> Result<()> {
        let mut layout = Vec::new();
        for (i, word) in self.words().iter().enumerate() {
            let size = word.value.len() / 8;
            let holds = |places: &Places| {
                self.seen.iter().all(|(snapshot, words)| {
                    let bytes = words[i].value.as_chunks().0;
                    places.iter().zip(bytes).all(|(&at, &byte)| snapshot[at] == Some(byte))
                })
            };
            let candidates = (0..=self.base.len() - size).step_by(4).flat_map(|start| {
                ORDERS[..word.orders]
                    .iter()
                    .map(move |order| order[..size].iter().map(|&at| start + at as usize).collect::<Places>())
            });
            let places = candidates.into_iter().find(holds);
            layout.push(places.with_context(|| format!("the context does not hold the {}", word.name))?);
        }
        self.layout = layout;
        Ok(())
    }

    /// Makes the context hold another counter.
    pub(super) fn set_counter(&mut self, memory: &mut Memory, counter: Bits) {
        for (&at, byte) in self.layout[0].iter().zip(counter.as_chunks::<8>().0) {
            memory.set(self.context.start + at as u64, byte);
        }
        self.counts.counter = counter;
    }

    /// Whether anything is prepared.
    pub(super) fn is_prepared(&self, memory: &Memory) -> bool {
        let prepared = self.layout.len().checked_sub(2).filter(|_| self.can_prepare);
        prepared.is_some_and(|i| {
            let mut bytes = self.layout[i].iter().map(|&at| memory.known(self.context.start + at as u64, 1));
            bytes.any(|byte| byte != Some(vec![0]))
        })
    }

    /// The context must be as set-up made it, but for the counts.
    ///
    /// # Errors
    /// If it is not.
    pub(super) fn check(&self, g: &Graph, memory: &Memory) -> Result<()> {
        let found = snapshot(g, memory, &self.context);
        let mut expected = self.base.clone();
        let mut names = vec!["context"; expected.len()];
        for (places, word) in self.layout.iter().zip(self.words()) {
            for (&at, &byte) in places.iter().zip(word.value.as_chunks().0) {
                (expected[at], names[at]) = (Some(byte), word.name);
            }
        }
        // Of masks that were not used some may be left where zeros were.
        let is_free = |at: usize| {
            let is_key = self.round_keys.contains(&(self.context.start + at as u64));
            is_key || self.is_masked() && names[at] == "context" && expected[at] == Some([Lit::ZERO; 8])
        };
        let wrong = (0..found.len()).find(|&at| found[at] != expected[at] && !is_free(at));
        let wrong =
            wrong.map(|at| format!("the {} is not as specified, at byte {at} of the context", names[at]));
        ensure!(wrong.is_none(), wrong.unwrap_or_default());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Counted, Interface, WINDOW};

    #[test]
    fn an_opener_gets_counters_of_all_sorts() {
        let mut counted = Counted::new(Interface::Opener, true, 0..0);
        let (mut late, mut ahead) = (Vec::new(), Vec::new());
        for _ in 0..40 {
            let (counter, next) = (counted.any_counter(), counted.counts.next());
            assert!(counted.counts.opened.insert(counter), "{counter}");
            match counter.checked_sub(next) {
                Some(gap) => ahead.push((counter, gap)),
                None => late.push(next - 1 - counter),
            }
        }
        assert!(late.contains(&1) && late.contains(&WINDOW) && late.iter().all(|age| *age <= WINDOW));
        for edge in [0xff, 0x100, 0xffff, 0x1_0000, 0x7f_ffff, 0x80_0000] {
            assert!(counted.counts.opened.contains(&edge), "{edge:#x}");
        }
        assert!(ahead.iter().any(|(_, gap)| *gap == 0) && ahead.iter().any(|(_, gap)| *gap == 2));
        assert!(counted.counts.next() < 1 << 24);
    }
}
