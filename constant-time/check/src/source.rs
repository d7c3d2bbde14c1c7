//! Where an address is in the source.

use std::{fmt::Write as _, path::Path};

use addr2line::{Loader, demangle_auto};
use anyhow::{Result, anyhow};

/// The symbols and lines of a program.
pub(crate) struct Source {
    loader: Loader,
}

impl Source {
    /// Of the program in the file `path`.
    pub(crate) fn new(path: &Path) -> Result<Self> {
        let loader =
            Loader::new(path).map_err(|error| anyhow!("no symbols in {}: {error}", path.display()))?;
        Ok(Self { loader })
    }

    /// The address of the symbol, and the lines of the instruction at `address` of the file, the innermost first.
    pub(crate) fn describe(&self, address: u64) -> String {
        let mut text = format!("{address:#x}");
        if let Some(symbol) = self.loader.find_symbol(address) {
            let _ = write!(text, " in {}", demangle_auto(symbol.into(), None));
        }
        let Ok(mut frames) = self.loader.find_frames(address) else { return text };
        while let Ok(Some(frame)) = frames.next() {
            let Some((file, line)) =
                frame.location.and_then(|location| Some((location.file?, location.line?)))
            else {
                continue;
            };
            let _ = write!(text, "\n      {file}:{line}");
        }
        text
    }
}
