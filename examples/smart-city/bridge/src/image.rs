//! What the memory of a device has when it is made: the two worlds' images, the provisioning, the secure copy, the first epoch.

use std::{
    fs::{self, File},
    io::Read as _,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use object::{Object as _, ObjectSegment as _, elf, read::elf::ProgramHeader as _};
use smart_city_allowed_values::{functions, regions, regions_with_calls, table};
use smart_city_detector::Region;
use smart_city_frame::{DeviceId, Epoch, RootKey, Stream};
use smart_city_interface::memory::{CODE, EPOCHS, PROVISIONING};
use smart_city_store::{Epochs, FlashError, Page, Pages, Provisioning, Supervision};

/// What a device is made of.
#[derive(Debug)]
pub struct Parts<'a> {
    /// The ELF file of the secure world.
    pub secure: &'a Path,
    /// The ELF file of the non-secure world.
    pub application: &'a Path,
    /// The functions of the application that instructions start: regions 1, 2, ... in this order.
    pub functions: &'a [&'a str],
    /// Whether they may start other code, which is not measured.
    pub may_call: bool,
    /// The device.
    pub id: DeviceId,
    /// Its root key.
    pub root: [u8; 16],
    /// What it does about an application that crashes or hangs.
    pub supervision: Supervision,
    /// The last epoch that was used with it: 0 for a new root key.
    pub used: Epoch,
    /// Its streams.
    pub streams: &'a [Stream],
}

/// The files of a device.
#[derive(Clone, Debug)]
pub struct Image {
    pub(crate) secure: PathBuf,
    pub(crate) application: PathBuf,
    pub(crate) copy: PathBuf,
    pub(crate) provisioning: PathBuf,
    pub(crate) flash: PathBuf,
    /// The board, by QEMU's name: the firmware runs on `mps2-an505` and `mps2-an521`.
    pub machine: &'static str,
    /// The regions, from 1.
    pub regions: Vec<Region>,
}

/// The memory of the board in which the epochs are, all of it.
pub(crate) const FLASH_LEN: u64 = 16 << 20;

impl Image {
    /// Makes the files of a new device in `folder`.
    ///
    /// # Errors
    /// If the images are none, or have no such functions, or a file cannot be written.
    pub fn make(parts: &Parts<'_>, folder: &Path) -> Result<Self> {
        let elf = fs::read(parts.application)
            .with_context(|| format!("cannot read {}", parts.application.display()))?;
        let attest_key = RootKey::new(parts.root).attest_key(parts.id);
        let names: Vec<String> = parts.functions.iter().map(|&name| name.to_owned()).collect();
        let regions = if parts.may_call { regions_with_calls } else { regions };
        let regions = regions(&functions(&elf)?, &names, &attest_key)?;

        let mut bytes = vec![0xFF; PROVISIONING.len as usize];
        let Parts { id, root, supervision, streams, .. } = parts;
        let written = Provisioning::write(*id, root, *supervision, streams, &table(&regions), &mut bytes);
        written.context("the provisioning is too long")?;

        let image = Self {
            secure: parts.secure.to_owned(),
            application: parts.application.to_owned(),
            copy: folder.join("copy"),
            provisioning: folder.join("provisioning"),
            flash: folder.join("flash"),
            machine: "mps2-an505",
            regions,
        };
        fs::write(&image.copy, code(&elf)?)?;
        fs::write(&image.provisioning, bytes)?;
        let mut flash = Memory { bytes: vec![0; EPOCHS.len as usize], erasures: 0 };
        Epochs::new(&mut flash).provision(parts.used)?;
        image.write_flash(&flash)?;
        Ok(image)
    }

    /// Uses epochs up, as the device does by as many starts, until the next one needs a page erased. Returns how many.
    ///
    /// # Errors
    /// If there are not as many, or the file cannot be read or written.
    pub fn fill_page(&self) -> Result<u16> {
        let mut flash = self.flash()?;
        let mut used = 0;
        loop {
            let mut next = flash.clone();
            Epochs::new(&mut next).advance()?;
            if next.erasures > flash.erasures {
                break;
            }
            (flash, used) = (next, used + 1);
        }
        self.write_flash(&flash)?;
        Ok(used)
    }

    fn flash(&self) -> Result<Memory> {
        let mut bytes = vec![0; EPOCHS.len as usize];
        File::open(&self.flash)?.read_exact(&mut bytes)?;
        Ok(Memory { bytes, erasures: 0 })
    }

    fn write_flash(&self, flash: &Memory) -> Result<()> {
        fs::write(&self.flash, &flash.bytes)?;
        Ok(File::options().write(true).open(&self.flash)?.set_len(FLASH_LEN)?)
    }

    /// Has the device run another application than its secure copy, as if its flash had been altered while it had no power.
    pub fn set_application(&mut self, elf: PathBuf) {
        self.application = elf;
    }

    /// The region of the function with this place in [`Parts::functions`], from 1.
    ///
    /// # Errors
    /// If there is none.
    pub fn region(&self, id: u16) -> Result<Region> {
        self.regions.iter().find(|region| region.id == id).copied().context("no such region")
    }
}

/// The bytes of an application as they are in flash, from its first address.
fn code(elf: &[u8]) -> Result<Vec<u8>> {
    let file = object::read::elf::ElfFile32::<object::Endianness>::parse(elf)?;
    let endian = file.endian();
    let mut code = Vec::new();
    for segment in file.segments() {
        let header = segment.elf_program_header();
        let data = segment.data()?;
        if header.p_type(endian) != elf::PT_LOAD || data.is_empty() {
            continue;
        }
        let start = header.p_paddr(endian);
        let len = u32::try_from(data.len())?;
        ensure!(CODE.has(start, len), "a segment at {start:#x} is not in the flash of the application");
        let at = (start - CODE.start) as usize;
        if code.len() < at + data.len() {
            code.resize(at + data.len(), 0xFF);
        }
        code[at..at + data.len()].copy_from_slice(data);
    }
    Ok(code)
}

/// Two pages, one behind the other, as the firmware has them.
#[derive(Clone)]
struct Memory {
    bytes: Vec<u8>,
    erasures: u32,
}

impl Memory {
    fn word(page: Page, word: usize) -> std::ops::Range<usize> {
        let start = if page == Page::A { 0 } else { EPOCHS.len as usize / 2 } + 4 * word;
        start..start + 4
    }
}

impl Pages for &mut Memory {
    const WORDS: usize = EPOCHS.len as usize / 8;

    fn read(&self, page: Page, word: usize) -> u32 {
        let bytes = self.bytes[Memory::word(page, word)].try_into();
        bytes.map_or(0, u32::from_le_bytes)
    }

    fn program(&mut self, page: Page, word: usize, value: u32) -> Result<(), FlashError> {
        let value = self.read(page, word) & value;
        self.bytes[Memory::word(page, word)].copy_from_slice(&value.to_le_bytes());
        Ok(())
    }

    fn erase(&mut self, page: Page) -> Result<(), FlashError> {
        self.erasures += 1;
        (0..Self::WORDS).for_each(|word| self.bytes[Memory::word(page, word)].fill(0xFF));
        Ok(())
    }
}
