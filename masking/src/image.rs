//! Linked images.

use anyhow::{Context, Result, bail};
use object::{Object as _, ObjectSection as _, ObjectSymbol as _, SectionKind};
use std::collections::HashMap;

/// What a linked file has in memory, and where its functions are.
pub struct Image {
    /// Bytes at their addresses.
    pub parts: Vec<(u32, Vec<u8>)>,
    symbols: HashMap<String, u32>,
}

impl Image {
    /// Reads an ELF file.
    ///
    /// # Errors
    /// If it is none.
    pub fn read(elf: &[u8]) -> Result<Self> {
        let file = object::File::parse(elf)?;
        let mut parts = Vec::new();
        for section in file.sections() {
            if matches!(section.kind(), SectionKind::Text | SectionKind::ReadOnlyData) {
                parts.push((u32::try_from(section.address())?, section.data()?.to_vec()));
            }
        }
        let mut symbols = HashMap::new();
        for symbol in file.symbols() {
            // Bit 0 says that it is Thumb code.
            symbols.insert(symbol.name()?.to_owned(), u32::try_from(symbol.address())? & !1);
        }
        if parts.is_empty() {
            bail!("no code in the file");
        }
        Ok(Self { parts, symbols })
    }

    /// The address of a function.
    ///
    /// # Errors
    /// If it is not there.
    pub fn function(&self, name: &str) -> Result<u32> {
        self.symbols.get(name).copied().with_context(|| format!("the image has no function {name}"))
    }
}
