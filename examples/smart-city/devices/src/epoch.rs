//! The epoch of a device, in a file that stands for a page of its flash.

use std::{
    fmt,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use smart_city_frame::Epoch;

/// Why there is no new epoch. The device must not seal then.
#[derive(Debug)]
#[non_exhaustive]
pub enum EpochError {
    /// [`Epoch::LAST`] was used: the device needs a new root key.
    UsedUp,
    /// What is stored is no epoch.
    Damaged,
    /// It cannot be read or stored.
    Storage(io::Error),
}

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
    /// See [`EpochError`].
    pub fn advance(&self) -> Result<Epoch, EpochError> {
        let stored = match fs::read_to_string(&self.0) {
            Ok(text) => text.trim_end().parse::<u16>().map_err(|_| EpochError::Damaged)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(EpochError::Damaged),
            Err(error) => return Err(EpochError::Storage(error)),
        };
        let next = Epoch(stored.checked_add(1).ok_or(EpochError::UsedUp)?);
        self.store(next).map_err(EpochError::Storage)?;
        Ok(next)
    }

    fn store(&self, epoch: Epoch) -> io::Result<()> {
        let new = self.0.with_extension("new");
        let mut file = File::create(&new)?;
        writeln!(file, "{}", epoch.0)?;
        file.sync_all()?;
        fs::rename(&new, &self.0)?;
        // The rename itself.
        let directory = self.0.parent().filter(|path| !path.as_os_str().is_empty());
        File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
    }
}

impl fmt::Display for EpochError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UsedUp => f.write_str("all epochs of the root key are used up: the device needs a new one"),
            Self::Damaged => f.write_str("the stored epoch is damaged"),
            Self::Storage(error) => write!(f, "the new epoch is not stored: {error}"),
        }
    }
}

impl std::error::Error for EpochError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Storage(error) => Some(error),
            _ => None,
        }
    }
}
