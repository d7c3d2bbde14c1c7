//! Linked images.

use crate::{ir, kernel::Kernel};
use anyhow::{Context, Result, bail, ensure};
use object::{Object as _, ObjectSegment as _, ObjectSymbol as _};

/// What a linked file has in memory, and where its functions are.
pub struct Image {
    /// Bytes at their addresses.
    parts: Vec<(u32, Vec<u8>)>,
    symbols: Vec<(String, u32)>,
}

impl Image {
    /// Reads an ELF file.
    ///
    /// # Errors
    /// If it is none.
    pub fn read(elf: &[u8]) -> Result<Self> {
        let file = object::File::parse(elf)?;
        let mut parts = Vec::new();
        for segment in file.segments() {
            parts.push((u32::try_from(segment.address())?, segment.data()?.to_vec()));
        }
        let mut symbols = Vec::new();
        for symbol in file.symbols() {
            // Bit 0 says that it is Thumb code.
            symbols.push((symbol.name()?.to_owned(), u32::try_from(symbol.address())? & !1));
        }
        Ok(Self { parts, symbols })
    }

    /// The words from the only symbol on whose name is as `is` says.
    fn words(&self, name: &str, is: impl Fn(&str) -> bool) -> Result<impl Iterator<Item = [u8; 4]>> {
        let mut addresses = self.symbols.iter().filter(|symbol| is(&symbol.0)).map(|symbol| symbol.1);
        let (Some(address), None) = (addresses.next(), addresses.next()) else {
            bail!("the image has no {name}, or has it more than once");
        };
        let bytes = self
            .parts
            .iter()
            .find_map(|(start, bytes)| bytes.get(usize::try_from(address.checked_sub(*start)?).ok()?..));
        let (words, _) = bytes.with_context(|| format!("nothing is at {address:#x}"))?.as_chunks();
        Ok(words.iter().copied())
    }

    /// Checks that the image has the instructions of a kernel.
    ///
    /// # Errors
    /// If it does not.
    pub fn has_kernel(&self, kernel: &Kernel) -> Result<()> {
        let mut words = self.words(kernel.name, |name| name == kernel.name)?;
        for (n, made) in kernel.instructions().enumerate() {
            let word = words.next().context("the image ends within the kernel")?;
            let found = ir::decode(word).with_context(|| format!("instruction {n}"))?;
            ensure!(found == made, "instruction {n} is {found:?} instead of {made:?}");
        }
        Ok(())
    }

    /// Checks that the image has the constants of the key schedules.
    ///
    /// # Errors
    /// If it does not.
    pub fn has_constants(&self, constants: &[u32]) -> Result<()> {
        // The rest of the name is the compiler's.
        let name = "MASKED_CONSTANTS";
        let words = self.words(name, |symbol| symbol.contains(name))?;
        let words: Vec<u32> = words.take(constants.len()).map(u32::from_le_bytes).collect();
        ensure!(words == constants, "{name} are {words:x?} instead of {constants:x?}");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::Op;

    /// A loop that never ends, and a word after it.
    fn image(code: [u8; 12]) -> Image {
        let symbols = [("kernel".to_owned(), 0x104), ("_RMASKED_CONSTANTSE".to_owned(), 0x108)];
        Image {
            parts: vec![(0, vec![0; 4]), (0x100, [&[0; 4], &code[..]].concat())],
            symbols: symbols.into(),
        }
    }

    const CODE: [u8; 12] = [0x4F, 0xF0, 0x00, 0x01, 0x7F, 0xF4, 0xFC, 0xAF, 1, 2, 3, 4];

    #[test]
    fn other_instructions_are_found() {
        let code = vec![Op::MovImm { rd: 1, imm: 0 }, Op::Bne { by: 0 }];
        let kernel = Kernel { name: "kernel", about: "", code, label: Some(0) };
        image(CODE).has_kernel(&kernel).unwrap();
        for bit in 0..64 {
            let mut code = CODE;
            code[bit / 8] ^= 1 << (bit % 8);
            assert!(image(code).has_kernel(&kernel).is_err(), "bit {bit}");
        }
        assert!(image(CODE).has_kernel(&Kernel { name: "other", ..kernel }).is_err());
    }

    #[test]
    fn other_constants_are_found() {
        image(CODE).has_constants(&[0xAFFC_F47F, 0x0403_0201]).unwrap();
        image(CODE).has_constants(&[0xAFFC_F47F, 0x0403_0200]).unwrap_err();
        image(CODE).has_constants(&[0xAFFC_F47F, 0x0403_0201, 0]).unwrap_err();
    }
}
