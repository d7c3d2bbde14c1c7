//! The libraries for targets whose ABI has no vector registers: kernels and boot loaders.

use crate::{
    paths,
    sh::Cmd,
    tools::{self, Toolchain},
};
use anyhow::{Context, Result, ensure};
use std::path::Path;

/// The portable backend, which is the only one there, may also be asked for.
const FORCED: &str = r#"build.rustflags=["--cfg", "twine_backend=\"soft\""]"#;

/// Those of our architectures that Rust has libraries for, in all formats of objects, and cargo's configuration.
const TARGETS: [(&str, Option<&str>); 4] = [
    ("x86_64-unknown-none", None),
    ("x86_64-unknown-uefi", Some(FORCED)),
    ("i686-unknown-uefi", None),
    ("aarch64-unknown-none-softfloat", None),
];

/// Builds the C library, which has the code of the cipher and the mode in it, and looks for vector registers in the binary: the
/// code that runs there has not saved them.
pub(crate) fn test() -> Result<()> {
    let objdump = tools::objdump()?;
    for (target, configuration) in TARGETS {
        let dir = paths::target().join("kernels");
        let mut cargo = Toolchain::for_target(target)?.cargo()?;
        if let Some(configuration) = configuration {
            cargo = cargo.args(["--config", configuration]);
        }
        cargo
            .args(["rustc", "--package", "twine-otr-capi", "--profile", "capi"])
            .args(["--crate-type", "staticlib", "--features", "panic-handler", "--target", target])
            .arg("--target-dir")
            .arg(&dir)
            .run()?;
        let dir = dir.join(target).join("capi");
        let files = ["libtwine_otr_capi.a", "twine_otr_capi.lib"].map(|name| dir.join(name));
        let library = files.iter().find(|file| file.is_file()).context("no library was made")?;
        without_vectors(&objdump, target, library)?;
    }
    Ok(())
}

fn without_vectors(objdump: &Path, target: &str, library: &Path) -> Result<()> {
    let text = Cmd::new(objdump).args(["--disassemble", "--no-show-raw-insn"]).arg(library).read();
    let text = text.context("the library cannot be disassembled")?;
    let instructions: Vec<_> = text.lines().filter_map(operands).collect();
    ensure!(instructions.len() > 1000, "only {} instructions were found for {target}", instructions.len());
    let with_vectors = instructions.iter().find(|operands| names_vector(operands));
    ensure!(with_vectors.is_none(), "a vector register in the code for {target}: {with_vectors:?}");
    println!("{target}: {} instructions, no vector register", instructions.len());
    Ok(())
}

/// The operands of an instruction in a line of the disassembly, without the names of symbols.
fn operands(line: &str) -> Option<&str> {
    let mut columns = line.trim().split('\t');
    columns.next()?.trim_end().strip_suffix(':')?;
    let _mnemonic = columns.next()?;
    Some(columns.next().unwrap_or_default().split(['<', '#']).next().unwrap_or_default())
}

/// Whether one of the operands is a vector register: of x86, or of aarch64.
fn names_vector(operands: &str) -> bool {
    operands.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| {
        let name = word.trim_end_matches(|c: char| c.is_ascii_digit());
        let is_name = matches!(name, "mm" | "xmm" | "ymm" | "zmm" | "v" | "q" | "d" | "s" | "h" | "b");
        is_name && name.len() < word.len()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vector_registers_are_found() {
        for line in [
            "     40a: \tmovups\t%xmm0, 0x10(%rsp)",
            "     40a:\tvpxor\t%ymm1, %ymm12, %ymm0",
            "     40a: \tvmovdqu64\t(%rsi), %zmm31",
            "      10:      \tldr\tq0, [x0, #0x10]",
            "      10:      \ttbl\tv0.16b, { v1.16b }, v2.16b",
        ] {
            assert!(names_vector(operands(line).unwrap()), "{line}");
        }
        for line in [
            "     40a: \tcallq\t0x40f <_ZN4core3xmm0E+0xd0>",
            "     40a: \tmovl\t$0xd0, %eax",
            "      10:      \tldp\tx29, x30, [sp], #0x10",
            "      10:      \tret",
        ] {
            assert!(!names_vector(operands(line).unwrap()), "{line}");
        }
        assert_eq!(operands("0000000000000000 <twine128_init>:"), None);
    }
}
