//! Counts and prints results.

use core::fmt;

/// Counts what held and what did not, and prints it.
pub struct Report<'a> {
    out: &'a mut dyn fmt::Write,
    passed: u32,
    failed: u32,
}

impl<'a> Report<'a> {
    /// A report that is printed to `out`.
    pub fn new(out: &'a mut dyn fmt::Write) -> Self {
        Self { out, passed: 0, failed: 0 }
    }

    /// Runs the checks of one group; each comes with its number and whether it held. A group without any has failed:
    /// its vectors are missing.
    pub(crate) fn group(
        &mut self,
        name: fmt::Arguments<'_>,
        checks: &mut dyn Iterator<Item = (u32, bool)>,
    ) -> fmt::Result {
        let (mut passed, mut failed) = (0, 0);
        for (number, held) in checks {
            if held {
                passed += 1;
            } else {
                failed += 1;
                writeln!(self.out, "  {name}: case {number} FAILED")?;
            }
        }
        if passed + failed == 0 {
            writeln!(self.out, "  {name}: no cases, FAILED")?;
            failed = 1;
        }
        writeln!(self.out, "{name}: {passed} passed, {failed} failed")?;
        self.passed += passed;
        self.failed += failed;
        Ok(())
    }

    /// Prints the sums, and returns how many checks failed.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn finish(self) -> Result<u32, fmt::Error> {
        writeln!(self.out, "{} passed, {} failed", self.passed, self.failed)?;
        Ok(self.failed)
    }
}
