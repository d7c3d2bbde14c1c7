//! Memory: bytes of bits at known addresses, in regions that say what may be done there.

use crate::{
    bits::{self, Bits},
    fault::Fault,
    graph::{Graph, Hasher, Lit},
};
use std::{collections::HashMap, ops::Range};

/// What may be done with a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rights {
    /// Reading.
    Read,
    /// Reading and writing.
    Write,
}

/// A part of memory that a function may use.
#[derive(Clone, Debug)]
struct Region {
    name: &'static str,
    range: Range<u64>,
    rights: Rights,
    /// Addresses that were written.
    written: Option<Range<u64>>,
    /// Addresses of which something is known or was asked.
    touched: Option<Range<u64>>,
    /// Where the region may not be written, whatever its rights are.
    fixed: Vec<Range<u64>>,
}

impl Region {
    /// Whether some of `size` bytes at `address` may not be written.
    fn fixes(&self, address: u64, size: usize) -> bool {
        self.fixed.iter().any(|range| address < range.end && range.start < address + size as u64)
    }
}

/// The range, and the other one with what is between.
fn joined(range: Option<Range<u64>>, other: Range<u64>) -> Option<Range<u64>> {
    Some(match range {
        Some(range) => range.start.min(other.start)..range.end.max(other.end),
        None => other,
    })
}

/// The memory that a function sees.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    bytes: HashMap<u64, [Lit; 8], Hasher>,
    regions: Vec<Region>,
    /// The lowest address of the stack that was accessed since the last [`Self::take_lowest`].
    lowest: Option<u64>,
}

/// The name of the region that is the stack.
pub(crate) const STACK: &str = "stack";

impl Memory {
    /// Allows accesses to `size` bytes at `address`, which are unset until something writes them.
    ///
    /// # Panics
    /// If the region overlaps another one.
    pub fn allow(&mut self, name: &'static str, address: u64, size: usize, rights: Rights) {
        let range = address..address + size as u64;
        for region in &self.regions {
            assert!(
                range.end <= region.range.start || region.range.end <= range.start || range.is_empty(),
                "{name} overlaps {}",
                region.name
            );
        }
        self.regions.push(Region { name, range, rights, written: None, touched: None, fixed: Vec::new() });
    }

    /// Takes the right away to write the region anywhere but in `ranges`.
    pub fn allow_writes_in(&mut self, name: &str, ranges: &[Range<u64>]) {
        let mut ranges = ranges.to_vec();
        ranges.sort_unstable_by_key(|range| range.start);
        for region in self.regions.iter_mut().filter(|region| region.name == name) {
            let starts = [region.range.start].into_iter().chain(ranges.iter().map(|range| range.end));
            let ends = ranges.iter().map(|range| range.start).chain([region.range.end]);
            region.fixed = starts.zip(ends).map(|(start, end)| start..end).collect();
            region.fixed.retain(|range| !range.is_empty());
        }
    }

    /// The lowest address of the stack that was accessed since the last call.
    pub(crate) fn take_lowest(&mut self) -> Option<u64> {
        self.lowest.take()
    }

    /// Takes the region away, and what is in it.
    pub fn forget(&mut self, name: &str) {
        for region in self.regions.extract_if(.., |region| region.name == name) {
            for address in region.touched.into_iter().flatten() {
                self.bytes.remove(&address);
            }
        }
    }

    /// Makes what is in the region unset.
    pub fn unset(&mut self, name: &str) {
        for region in self.regions.iter_mut().filter(|region| region.name == name) {
            region.written = None;
            for address in region.touched.take().into_iter().flatten() {
                self.bytes.remove(&address);
            }
        }
    }

    /// Makes what is in the region below `address` unset.
    pub fn unset_below(&mut self, name: &str, address: u64) {
        for region in self.regions.iter().filter(|region| region.name == name) {
            for below in region.touched.clone().into_iter().flatten().take_while(|&below| below < address) {
                self.bytes.remove(&below);
            }
        }
    }

    /// Makes all bytes unset that are not constants.
    pub fn keep_constants(&mut self) {
        self.bytes.retain(|_, byte| byte.iter().all(|bit| bit.value().is_some()));
    }

    /// Changes what may be done with a region.
    pub fn set_rights(&mut self, name: &str, rights: Rights) {
        for region in self.regions.iter_mut().filter(|region| region.name == name) {
            region.rights = rights;
            region.fixed.clear();
        }
    }

    /// From the lowest to the highest address of the region that was written.
    #[must_use]
    pub fn written(&self, name: &str) -> Option<Range<u64>> {
        self.regions.iter().find(|region| region.name == name)?.written.clone()
    }

    /// The bytes of a region, from the lowest address on, but for those of which nobody knows.
    pub fn bytes(&self, name: &str) -> impl Iterator<Item = (u64, [Lit; 8])> {
        let region = self.regions.iter().find(|region| region.name == name);
        let touched = region.and_then(|region| region.touched.clone());
        touched.into_iter().flatten().filter_map(|address| Some((address, *self.bytes.get(&address)?)))
    }

    /// Writes whatever the rights are, into one region.
    pub fn set(&mut self, address: u64, bits: &[Lit]) {
        let (bytes, _) = bits.as_chunks::<8>();
        let range = address..address.wrapping_add(bytes.len() as u64);
        for region in &mut self.regions {
            if region.range.start <= range.start && range.end <= region.range.end {
                region.touched = joined(region.touched.take(), range.clone());
            }
        }
        for (i, &byte) in bytes.iter().enumerate() {
            self.bytes.insert(address.wrapping_add(i as u64), byte);
        }
    }

    /// What is at `address`, whatever the rights are; none if some of it is unset.
    #[must_use]
    pub fn get(&self, address: u64, size: usize) -> Option<Bits> {
        let mut found = Vec::with_capacity(8 * size);
        for i in 0..size as u64 {
            found.extend(self.bytes.get(&address.wrapping_add(i))?);
        }
        Some(found)
    }

    /// Bytes that do not depend on any input.
    #[must_use]
    pub fn known(&self, address: u64, size: usize) -> Option<Vec<u8>> {
        bits::bytes(&self.get(address, size)?)
    }

    fn region(&mut self, address: u64, size: usize, write: bool) -> Result<&mut Region, Fault> {
        let end = address.checked_add(size as u64);
        let fits = |region: &&mut Region| {
            region.range.start <= address
                && end.is_some_and(|end| end <= region.range.end)
                && (!write || region.rights == Rights::Write && !region.fixes(address, size))
        };
        let region = self.regions.iter_mut().find(fits).ok_or(Fault::Access { address, size, write })?;
        if region.name == STACK {
            self.lowest = Some(self.lowest.map_or(address, |lowest| lowest.min(address)));
        }
        Ok(region)
    }

    /// Reads as an instruction does. What is unset may be copied, not computed with.
    ///
    /// # Errors
    /// If the bytes are not in one region.
    pub fn read(&mut self, g: &mut Graph, address: u64, size: usize) -> Result<Bits, Fault> {
        if size == 0 {
            return Ok(Vec::new());
        }
        let region = self.region(address, size, false)?;
        region.touched = joined(region.touched.take(), address..address + size as u64);
        let mut read = Vec::with_capacity(8 * size);
        for i in 0..size as u64 {
            let byte = self.bytes.entry(address + i).or_insert_with(|| std::array::from_fn(|_| g.unset()));
            read.extend(*byte);
        }
        Ok(read)
    }

    /// Writes as an instruction does.
    ///
    /// # Errors
    /// If the bytes are not in one region that may be written.
    pub fn write(&mut self, address: u64, bits: &[Lit]) -> Result<(), Fault> {
        let size = bits.len() / 8;
        if size == 0 {
            return Ok(());
        }
        let region = self.region(address, size, true)?;
        region.written = joined(region.written.take(), address..address + size as u64);
        self.set(address, bits);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accesses_stay_in_regions() {
        let mut g = Graph::new();
        let mut memory = Memory::default();
        memory.allow("key", 100, 10, Rights::Read);
        memory.allow("buffer", 110, 10, Rights::Write);
        assert!(memory.read(&mut g, 100, 10).is_ok());
        for (address, size) in [(99, 2), (109, 2), (119, 2), (120, 1), (u64::MAX, 2)] {
            assert!(memory.read(&mut g, address, size).is_err(), "{address}");
            assert!(memory.write(address, &bits::constant(0, 8 * size)).is_err(), "{address}");
        }
        assert!(memory.write(104, &bits::constant(0, 8)).is_err(), "it may only be read");
        memory.allow("context", 200, 20, Rights::Write);
        memory.allow_writes_in("context", &[210..214, 200..208]);
        for (address, size, is_allowed) in [
            (200, 8, true),
            (210, 4, true),
            (207, 2, false),
            (209, 2, false),
            (208, 1, false),
            (214, 6, false),
        ] {
            assert_eq!(memory.write(address, &bits::constant(0, 8 * size)).is_ok(), is_allowed, "{address}");
            assert!(memory.read(&mut g, address, size).is_ok());
        }
        memory.write(112, &bits::constant(0x1234, 16)).unwrap();
        assert_eq!(memory.known(112, 2), Some(vec![0x34, 0x12]));
        assert_eq!(memory.written("buffer"), Some(112..114));
        assert_eq!(memory.known(112, 3), None, "the third is unset");
        let read = memory.read(&mut g, 112, 3).unwrap();
        assert!(!g.is_unset(read[15]) && g.is_unset(read[16]));
    }
}
