//! Linked programs: what is loaded, and where functions are.

use anyhow::{Context, Result, bail, ensure};
use object::{
    Architecture, Object, ObjectSection, ObjectSegment, ObjectSymbol, SegmentFlags, SymbolFlags, SymbolKind,
    elf::{PF_W, PF_X, R_AARCH64_IRELATIVE, R_X86_64_IRELATIVE, STT_GNU_IFUNC},
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

/// How a kernel is called. The first argument is where the round keys are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Convention {
    /// The second one is where three words are: where the blocks are, where they are to go, and how many they are.
    Words,
    /// The others are where four blocks are, and where they are to go.
    Four,
}

/// What ends the names of functions that set up compact keys.
const COMPACT: &str = "_compact";

/// A linked program without relocations that are left to do.
#[derive(Clone, Debug)]
pub struct Image {
    /// For which processor it is.
    pub architecture: Architecture,
    /// For which of Arm's architectures, by the numbers of the attribute `Tag_CPU_arch`.
    pub arm: Option<u64>,
    /// With which extensions of RISC-V, as the attribute `Tag_RISCV_arch` has them.
    pub riscv: Option<String>,
    /// What is loaded.
    pub segments: Vec<Segment>,
    /// Addresses and sizes of the named functions.
    pub symbols: BTreeMap<String, (u64, u64)>,
    /// The functions among them whose code is chosen when the program starts, as C libraries do it with `memcpy`.
    pub chosen: BTreeSet<String>,
}

impl Image {
    /// Without anything.
    #[must_use]
    pub fn empty(architecture: Architecture) -> Self {
        Self {
            architecture,
            arm: None,
            riscv: None,
            segments: Vec::new(),
            symbols: BTreeMap::new(),
            chosen: BTreeSet::new(),
        }
    }

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
                let is_chosen = [R_X86_64_IRELATIVE, R_AARCH64_IRELATIVE].map(u64::from).contains(&kind);
                ensure!(is_chosen, "a relocation of type {kind} is left");
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
            .filter_map(|symbol| {
                // That a function is Thumb code is a bit of its address.
                let is_thumb = file.architecture() == Architecture::Arm && symbol.kind() == SymbolKind::Text;
                let address = symbol.address() & !u64::from(is_thumb);
                Some((symbol.name().ok()?.to_owned(), (address, symbol.size())))
            })
            .filter(|(name, _)| !name.is_empty())
            .collect();
        let attributes = |name: &str| file.section_by_name(name).and_then(|section| section.data().ok());
        let arm = attributes(".ARM.attributes").and_then(arm_architecture);
        let riscv = attributes(".riscv.attributes").and_then(riscv_architecture);
        Ok(Self { architecture: file.architecture(), arm, riscv, segments, symbols, chosen })
    }

    /// Whether there is a function `name`.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.symbols.contains_key(name)
    }

    /// Where the function or symbol `name` begins.
    ///
    /// # Errors
    /// If there is none.
    pub fn function(&self, name: &str) -> Result<u64> {
        let (address, _) =
            self.symbols.get(name).with_context(|| format!("there is no {name} in the file"))?;
        Ok(*address)
    }

    /// Where the function `name` begins that sets up a key; that of contexts with compact keys has a suffix.
    ///
    /// # Errors
    /// If there is none.
    pub fn set_up(&self, name: &str) -> Result<u64> {
        self.function(&self.set_up_name(name).unwrap_or_else(|| name.to_owned()))
    }

    /// The whole name of that function, if it is there.
    #[must_use]
    pub fn set_up_name(&self, name: &str) -> Option<String> {
        [format!("{name}{COMPACT}"), name.to_owned()].into_iter().find(|name| self.has(name))
    }

    /// Whether contexts have compact keys.
    #[must_use]
    pub fn is_compact(&self) -> bool {
        self.symbols.keys().any(|name| name.starts_with("twine") && name.ends_with(COMPACT))
    }

    /// Where the functions begin that encrypt or decrypt blocks (`direction`) in one backend each, and that modes call.
    #[must_use]
    pub fn kernels(&self, direction: &str) -> BTreeMap<u64, Convention> {
        self.named_kernels(direction)
            .map(|(name, address)| {
                let takes_four = name.contains("thumb") && name.contains("kernel");
                (address, if takes_four { Convention::Four } else { Convention::Words })
            })
            .collect()
    }

    /// The same with their names.
    pub fn named_kernels(&self, direction: &str) -> impl Iterator<Item = (&str, u64)> {
        let is_kernel = move |name: &str| {
            name.contains("twine_cipher")
                && name.contains(direction)
                && ["kernel", "Kernels", "fixslice"].iter().any(|part| name.contains(part))
        };
        let symbols = self.symbols.iter().map(|(name, (address, _))| (name.as_str(), *address));
        symbols.filter(move |(name, _)| is_kernel(name))
    }

    /// The functions of the C interface.
    pub fn interface(&self) -> impl Iterator<Item = &str> {
        let is_of_interface = |name: &str| {
            ["twine80_", "twine128_", "twine_otr_"].iter().any(|prefix| name.starts_with(prefix))
        };
        let functions = self.symbols.iter().filter(|(_, (address, _))| self.code(*address, 1).is_some());
        functions.map(|(name, _)| name.as_str()).filter(move |name| is_of_interface(name))
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

/// `Tag_CPU_arch` of the build attributes.
fn arm_architecture(section: &[u8]) -> Option<u64> {
    // Before it are numbers, or names of processors.
    number(&mut attribute(section, b"aeabi", 6, |tag| matches!(tag, 4 | 5))?)
}

/// `Tag_RISCV_arch` of the build attributes.
fn riscv_architecture(section: &[u8]) -> Option<String> {
    let name = attribute(section, b"riscv", 5, |tag| tag % 2 == 1)?;
    String::from_utf8(text(&mut &*name)?.to_vec()).ok()
}

/// What follows the tag `wanted` in the build attributes of a whole file.
fn attribute<'a>(
    section: &'a [u8],
    vendor: &[u8],
    wanted: u64,
    is_text: impl Fn(u64) -> bool,
) -> Option<&'a [u8]> {
    // The version, a size, the vendor, the tag of a whole file, and a size.
    let attributes = section.strip_prefix(b"A")?.get(4..)?.strip_prefix(vendor)?;
    let mut attributes = attributes.strip_prefix(b"\0\x01")?.get(4..)?;
    loop {
        let tag = number(&mut attributes)?;
        if tag == wanted {
            return Some(attributes);
        }
        if is_text(tag) {
            text(&mut attributes)?;
        } else {
            number(&mut attributes)?;
        }
    }
}

/// A number of 7 bits in each byte.
fn number(bytes: &mut &[u8]) -> Option<u64> {
    let (mut number, mut shift) = (0, 0);
    loop {
        let byte = *bytes.split_off_first()?;
        number |= u64::from(byte & 0x7f).checked_shl(shift)?;
        shift += 7;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
}

/// What is before the next zero.
fn text<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = bytes.iter().position(|&byte| byte == 0)?;
    let text = bytes.split_off(..end)?;
    bytes.split_off_first()?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::{arm_architecture, riscv_architecture};

    #[test]
    fn the_architecture_is_found() {
        let section = b"A\x2b\0\0\0aeabi\0\x01\x21\0\0\0\x05cortex-m0\0\x06\x0c\x07\x4d";
        assert_eq!(arm_architecture(section), Some(12));
        assert_eq!(arm_architecture(b"A\x10\0\0\0aeabi\0\x01\x06\0\0\0"), None);
        let section = b"A\x26\0\0\0riscv\0\x01\x1c\0\0\0\x04\x10\x05rv32i2p1_m2p0_c2p0\0";
        assert_eq!(riscv_architecture(section).as_deref(), Some("rv32i2p1_m2p0_c2p0"));
        assert_eq!(riscv_architecture(&section[..section.len() - 1]), None);
    }
}
