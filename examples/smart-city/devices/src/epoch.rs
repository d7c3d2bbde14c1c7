//! The epoch of a device, in a file that stands for a page of its flash.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use smart_city_frame::Epoch;

/// Where the greatest epoch is that was ever used.
#[derive(Debug)]
pub struct EpochFile(PathBuf);

impl EpochFile {
    /// The file need not be there yet.
    #[must_use]
    pub const fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Stores a new epoch and then returns it: 1 at first, and one more each time.
    ///
    /// The file is replaced as a whole, and is on the disk before this returns: power that fails at any time costs an epoch
    /// at most.
    ///
    /// # Errors
    /// If it cannot be stored, if the file is damaged, or if there are no more epochs. Then the device must not seal.
    pub fn advance(&self) -> io::Result<Epoch> {
        let stored = match fs::read_to_string(&self.0) {
            Ok(text) => {
                text.trim_end().parse::<u16>().map_err(|_| io::Error::other("the stored epoch is damaged"))?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
        let next = stored.checked_add(1).ok_or_else(|| io::Error::other("all epochs are used up"))?;
        let new = self.0.with_extension("new");
        let mut file = File::create(&new)?;
        writeln!(file, "{next}")?;
        file.sync_all()?;
        fs::rename(&new, &self.0)?;
        // The rename itself.
        File::open(self.0.parent().unwrap_or(Path::new(".")))?.sync_all()?;
        Ok(Epoch(next))
    }
}
