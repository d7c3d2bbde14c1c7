//! What a firmware executes between the marks of the crate `qemu-trace`, by the plugin for QEMU beside it.

use crate::{
    boards::{self, Board},
    paths,
    sh::Cmd,
    tools,
};
use anyhow::{Context, Result, ensure};
use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// The plugin, compiled.
pub(crate) struct Plugin {
    library: PathBuf,
}

/// What was executed in one region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Region {
    pub(crate) instructions: u64,
    /// Of the sequence of their addresses.
    pub(crate) pc_hash: u64,
    /// Accesses to memory.
    pub(crate) accesses: u64,
    /// Of their sequence: addresses, sizes and directions.
    pub(crate) address_hash: u64,
}

impl Plugin {
    /// Compiles the plugin with the host's C compiler.
    pub(crate) fn build() -> Result<Self> {
        let folder = paths::target().join("qemu-trace");
        fs::create_dir_all(&folder)?;
        let library = folder.join(format!("{}trace{}", env::consts::DLL_PREFIX, env::consts::DLL_SUFFIX));
        let mut compiler = Cmd::new(tools::c_compiler()?)
            .args(["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]);
        if cfg!(target_os = "macos") {
            // QEMU has the functions when it loads the plugin.
            compiler = compiler.args(["-undefined", "dynamic_lookup"]);
        }
        compiler.arg("-o").arg(&library).arg(paths::root().join("tools/qemu-trace/trace.c")).run()?;
        Ok(Self { library })
    }

    /// The plugin, for who starts QEMU itself.
    pub(crate) fn path(&self) -> &Path {
        &self.library
    }

    /// Runs `elf` on `board` and returns the lines that it prints and its regions, in the order of execution. The sequences
    /// go to the file `log`, if there is one.
    pub(crate) fn run(
        &self,
        board: &Board,
        elf: &Path,
        log: Option<&Path>,
    ) -> Result<(Vec<String>, Vec<Region>)> {
        let out = self.library.with_file_name(format!("{}.regions", board.name));
        let lines = self.record(board, elf, &out, log, None)?;
        Ok((lines, regions(&out)?))
    }

    /// The same, with a clock that each instruction moves by one cycle.
    pub(crate) fn run_in_time(&self, board: &Board, elf: &Path) -> Result<(Vec<String>, Vec<Region>)> {
        let out = self.library.with_file_name(format!("{}.regions", board.name));
        let plugin = self.option(&out, None, None)?;
        let lines = boards::run(board, elf, &["-plugin".into(), plugin, "-icount".into(), "shift=0".into()])?;
        Ok((lines, regions(&out)?))
    }

    /// Runs `elf` on `board` and returns the lines that it prints. What the plugin writes is in the file `out`; sequences go to
    /// the file `log`, if there is one: those of the regions `only`, such as `0:64`, or of all.
    pub(crate) fn record(
        &self,
        board: &Board,
        elf: &Path,
        out: &Path,
        log: Option<&Path>,
        only: Option<&str>,
    ) -> Result<Vec<String>> {
        boards::run(board, elf, &["-plugin".into(), self.option(out, log, only)?])
    }

    /// What QEMU is told of the plugin.
    fn option(&self, out: &Path, log: Option<&Path>, only: Option<&str>) -> Result<String> {
        let mut plugin = format!("{},out={}", self.library.display(), out.display());
        if let Some(log) = log {
            plugin += &format!(",log={}", log.display());
        }
        if let Some(only) = only {
            plugin += &format!(",only={only}");
        }
        let separators = 1 + usize::from(log.is_some()) + usize::from(only.is_some());
        ensure!(
            plugin.matches(',').count() == separators,
            "QEMU's options cannot have a comma in a path: {plugin}"
        );
        Ok(plugin)
    }
}

/// What the plugin wrote into this file.
fn regions(file: &Path) -> Result<Vec<Region>> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let regions = text.lines().map(|line| {
        parse(line).with_context(|| format!("the plugin wrote a line that is none of a region: {line}"))
    });
    regions.collect()
}

/// A line of the plugin: the number of the region and what is in [`Region`].
fn parse(line: &str) -> Option<Region> {
    let fields: Vec<&str> = line.split(' ').collect();
    let [_number, instructions, pc_hash, accesses, address_hash] = fields[..] else { return None };
    Some(Region {
        instructions: instructions.parse().ok()?,
        pc_hash: u64::from_str_radix(pc_hash, 16).ok()?,
        accesses: accesses.parse().ok()?,
        address_hash: u64::from_str_radix(address_hash, 16).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::{Region, parse};

    #[test]
    fn regions_are_parsed() {
        let region = Region { instructions: 12, pc_hash: 0xAB, accesses: 3, address_hash: u64::MAX };
        assert_eq!(parse("7 12 00000000000000ab 3 ffffffffffffffff"), Some(region));
        for line in ["", "7 12 00000000000000ab 3", "7 x 00000000000000ab 3 ffffffffffffffff"] {
            assert_eq!(parse(line), None, "{line}");
        }
    }
}
