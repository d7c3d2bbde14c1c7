//! Linked programs: what is loaded, and where functions are.

use anyhow::{Context, Result, bail, ensure};
use object::{
    Architecture, Object, ObjectSection, ObjectSegment, ObjectSymbol, SegmentFlags, SymbolFlags,
    elf::{PF_W, PF_X, R_X86_64_IRELATIVE, STT_GNU_IFUNC},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// A part of the image.
#[derive(Clone, Debug)]
pub struct Segment {
    /// Where it is loaded.
    pub address: u64,
    /// What is loaded, zeros that the file does not hold included.
    pub bytes: Vec<u8>,
    /// Whether the program may write it.
    pub writable: bool,
    /// Whether it holds code.
    pub executable: bool,
}

/// A linked program without relocations that are left to do.
#[derive(Clone, Debug)]
pub struct Image {
    /// For which processor it is.
    pub architecture: Architecture,
    /// What is loaded.
    pub segments: Vec<Segment>,
    /// Addresses and sizes of the named functions.
    pub symbols: BTreeMap<String, (u64, u64)>,
    /// The functions among them whose code is chosen when the program starts, as C libraries do it with `memcpy`.
    pub chosen: BTreeSet<String>,
}

impl Image {
    /// Reads the file.
    ///
    /// # Errors
    /// If it is none, or not linked.
    pub fn read(path: &Path) -> Result<Self> {
        let data = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let file = object::File::parse(&*data).with_context(|| path.display().to_string())?;
        ensure!(file.kind() == object::ObjectKind::Executable, "{} is not linked", path.display());
        ensure!(file.is_little_endian(), "{} is big-endian", path.display());
        if file.dynamic_relocations().is_some_and(|mut relocations| relocations.next().is_some()) {
            bail!("{} leaves relocations to be done when it is loaded", path.display());
        }
        let mut segments = Vec::new();
        for segment in file.segments() {
            let SegmentFlags::Elf { p_flags } = segment.flags() else { bail!("not an ELF file") };
            let mut bytes = segment.data()?.to_vec();
            bytes.resize(usize::try_from(segment.size())?, 0);
            segments.push(Segment {
                address: segment.address(),
                bytes,
                writable: p_flags & PF_W != 0,
                executable: p_flags & PF_X != 0,
            });
        }
        // Where the address of a chosen function is to go, stands that of the function that chooses, which has its name.
        for section in
            file.sections().filter(|section| matches!(section.name(), Ok(".rela.plt" | ".rela.iplt")))
        {
            for entry in section.data()?.as_chunks::<24>().0 {
                let words = entry.as_chunks::<8>().0;
                let [slot, kind, address] = [0, 1, 2].map(|i| u64::from_le_bytes(words[i]));
                ensure!(kind == u64::from(R_X86_64_IRELATIVE), "a relocation of type {kind} is left");
                let holds = |segment: &&mut Segment| {
                    slot.checked_sub(segment.address).is_some_and(|at| at + 8 <= segment.bytes.len() as u64)
                };
                let segment =
                    segments.iter_mut().find(holds).context("a relocation is outside of all segments")?;
                let at = usize::try_from(slot - segment.address)?;
                segment.bytes[at..at + 8].copy_from_slice(&address.to_le_bytes());
            }
        }
        let is_chosen =
            |flags| matches!(flags, SymbolFlags::Elf { st_info, .. } if st_info & 0xf == STT_GNU_IFUNC);
        let chosen = file
            .symbols()
            .filter(|symbol| is_chosen(symbol.flags()))
            .filter_map(|symbol| Some(symbol.name().ok()?.to_owned()))
            .collect();
        let symbols = file
            .symbols()
            .filter(|symbol| !symbol.is_undefined())
            .filter_map(|symbol| Some((symbol.name().ok()?.to_owned(), (symbol.address(), symbol.size()))))
            .filter(|(name, _)| !name.is_empty())
            .collect();
        Ok(Self { architecture: file.architecture(), segments, symbols, chosen })
    }

    /// Whether there is a function `name`.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.symbols.contains_key(name)
    }

    /// Where the function `name` begins.
    ///
    /// # Errors
    /// If there is none.
    pub fn function(&self, name: &str) -> Result<u64> {
        let (address, _) =
            self.symbols.get(name).with_context(|| format!("there is no {name} in the file"))?;
        Ok(*address)
    }

    /// Where the functions begin that encrypt blocks in one backend each, and that modes call.
    #[must_use]
    pub fn kernels(&self) -> BTreeSet<u64> {
        let is_kernel = |name: &str| {
            name.contains("twine_cipher")
                && name.contains("encrypt")
                && (name.contains("kernel") || name.contains("fixslice"))
        };
        let kernels = self.symbols.iter().filter(|(name, _)| is_kernel(name));
        kernels.map(|(_, (address, _))| *address).collect()
    }

    /// Up to `size` bytes of code at `address`; fewer where the segment ends, none where there is no code.
    #[must_use]
    pub fn code(&self, address: u64, size: usize) -> Option<&[u8]> {
        let segment = self.segments.iter().filter(|segment| segment.executable).find(|segment| {
            (segment.address..segment.address + segment.bytes.len() as u64).contains(&address)
        })?;
        let start = (address - segment.address) as usize;
        Some(&segment.bytes[start..segment.bytes.len().min(start + size)])
    }

    /// Flips a bit of the code, for a mutant.
    ///
    /// # Panics
    /// If there is no code.
    pub fn flip(&mut self, address: u64, bit: u32) {
        let holds = |segment: &&mut Segment| {
            segment.executable
                && (segment.address..segment.address + segment.bytes.len() as u64).contains(&address)
        };
        let segment = self.segments.iter_mut().find(holds).expect("code");
        segment.bytes[(address - segment.address) as usize] ^= 1 << bit;
    }
}
