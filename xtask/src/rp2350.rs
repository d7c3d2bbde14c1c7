//! Whether an image is what the RP2350's boot ROM starts: there is no board to run it on.
//!
//! Sections are those of the datasheet: <https://datasheets.raspberrypi.com/rp2350/rp2350-datasheet.pdf>.

use anyhow::{Context, Result, bail, ensure};
use object::{
    LittleEndian, elf,
    read::elf::{ElfFile32, FileHeader as _, ProgramHeader as _},
};
use std::{fs, ops::Range, path::Path};

/// The flash of a Pico 2, where it is mapped.
const FLASH: Range<u32> = 0x1000_0000..0x1040_0000;
/// The striped banks of the RAM.
const RAM: Range<u32> = 0x2000_0000..0x2008_0000;

/// Bytes of flash in which the boot ROM looks for the first block (section 5.1.5.1).
const SEARCHED: usize = 4096;

const FIRST_WORD: u32 = 0xFFFF_DED3;
const LAST_WORD: u32 = 0xAB12_3579;

/// The cores that an image is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cores {
    Arm,
    RiscV,
}

/// What a block says of its image.
#[derive(Debug, PartialEq, Eq)]
struct ImageDefinition {
    cores: Cores,
    /// Where it starts and the end of its stack, if the block says so.
    start: Option<(u32, u32)>,
}

/// Checks the image in the file `path`.
///
/// # Errors
/// If the boot ROM would not start it, or not as its linker meant it.
pub(crate) fn check(path: &Path, cores: Cores) -> Result<()> {
    let data = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let file = ElfFile32::<LittleEndian>::parse(data.as_slice())?;
    let entry = file.elf_header().e_entry(LittleEndian);
    let mut flash = Vec::new();
    let mut is_executable = false;
    for segment in file.elf_program_headers().iter().filter(|s| s.p_type(LittleEndian) == elf::PT_LOAD) {
        let at = segment.p_vaddr(LittleEndian);
        let runs = at..at + segment.p_memsz(LittleEndian);
        ensure!(lies_in(&runs, &FLASH) || lies_in(&runs, &RAM), "{runs:#x?} is neither in flash nor in RAM");
        let bytes = segment.data(LittleEndian, data.as_slice()).ok().context("a segment is cut off")?;
        if bytes.is_empty() {
            continue;
        }
        let at = segment.p_paddr(LittleEndian);
        let stored = at..at + segment.p_filesz(LittleEndian);
        ensure!(lies_in(&stored, &FLASH), "{stored:#x?} is loaded, but not from flash");
        let start = (stored.start - FLASH.start) as usize;
        if flash.len() < start + bytes.len() {
            flash.resize(start + bytes.len(), 0xFF);
        }
        flash[start..start + bytes.len()].copy_from_slice(bytes);
        is_executable |= segment.p_flags(LittleEndian) & elf::PF_X != 0 && runs.contains(&(entry & !1));
    }
    ensure!(is_executable, "nothing that can be executed is at the entry point {entry:#x}");
    let words: Vec<u32> =
        flash.chunks_exact(4).map(|w| u32::from_le_bytes([w[0], w[1], w[2], w[3]])).collect();
    let definition = parse(&words[..words.len().min(SEARCHED / 4)])?;
    ensure!(definition.cores == cores, "it is for other cores: {definition:?}");
    let (start, stack) = match (cores, definition.start) {
        (Cores::RiscV, Some(start)) => start,
        (Cores::RiscV, None) => bail!("it does not say where it starts"),
        // Without such an item it starts by the vector table, which is at its beginning.
        (Cores::Arm, None) => (words[1], words[0]),
        (Cores::Arm, Some(_)) => bail!("it does not start by its vector table"),
    };
    ensure!(start == entry, "it starts at {start:#x}, but its entry point is {entry:#x}");
    ensure!(start % 2 == u32::from(cores == Cores::Arm), "{start:#x} is no address of such a core's code");
    ensure!(stack % 16 == 0 && RAM.contains(&(stack - 16)), "{stack:#x} is no stack");
    Ok(())
}

fn lies_in(inner: &Range<u32>, outer: &Range<u32>) -> bool {
    outer.start <= inner.start && inner.end <= outer.end
}

/// Reads the first block in these words (section 5.9).
fn parse(words: &[u32]) -> Result<ImageDefinition> {
    let first = words.iter().position(|&word| word == FIRST_WORD).context("there is no block")?;
    let items = &words[first + 1..];
    let mut cores = None;
    let mut start = None;
    let mut at = 0;
    loop {
        let item = items.get(at..).filter(|item| !item.is_empty()).context("the block has no end")?;
        // The types from 0x80 have another byte for their size.
        let size = if item[0] & 0x80 == 0 { item[0] >> 8 & 0xFF } else { item[0] >> 8 & 0xFFFF } as usize;
        match (item[0] & 0xFF, size) {
            // For executables, in the secure state where there is one.
            (0x42, 1) => {
                cores = Some(match item[0] >> 16 {
                    0x1021 => Cores::Arm,
                    0x1101 => Cores::RiscV,
                    other => bail!("images of type {other:#x} are not known"),
                });
            }
            (0x44, 3) => {
                let [_, entry, stack, ..] = *item else { bail!("the block has no end") };
                start = Some((entry, stack));
            }
            (0xFF, size) => {
                ensure!(size == at, "the block has {at} words of items and says {size}");
                ensure!(item.get(1) == Some(&0), "the block is not the only one of its loop");
                ensure!(item.get(2) == Some(&LAST_WORD), "the block does not end after its last item");
                let cores = cores.context("the block does not say what the image is")?;
                return Ok(ImageDefinition { cores, start });
            }
            (kind, size) => bail!("items of type {kind:#x} with {size} words are not known"),
        }
        at += size;
    }
}

#[cfg(test)]
mod tests {
    use super::{Cores, ImageDefinition, parse};

    const RISC_V: [u32; 9] =
        [7, 0xFFFF_DED3, 0x1101_0142, 0x0000_0344, 0x1000_0020, 0x2008_0000, 0x0000_04FF, 0, 0xAB12_3579];

    #[test]
    fn blocks_are_parsed() {
        let start = Some((0x1000_0020, 0x2008_0000));
        assert_eq!(parse(&RISC_V).unwrap(), ImageDefinition { cores: Cores::RiscV, start });
        let arm = parse(&[0xFFFF_DED3, 0x1021_0142, 0x0000_01FF, 0, 0xAB12_3579]).unwrap();
        assert_eq!(arm, ImageDefinition { cores: Cores::Arm, start: None });
    }

    #[test]
    fn what_the_boot_rom_refuses_is_refused() {
        for place in [1, 2, 3, 6, 7, 8] {
            let mut wrong = RISC_V;
            wrong[place] ^= 1 << 9;
            assert!(parse(&wrong).is_err(), "{place}");
        }
        for length in 0..RISC_V.len() {
            assert!(parse(&RISC_V[..length]).is_err(), "{length}");
        }
    }
}
