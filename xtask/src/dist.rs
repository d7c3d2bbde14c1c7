//! `cargo xtask capi dist`: the C library, built for each target, in an archive that C programs link without Rust.

use crate::{
    capi::{self, Keys},
    paths,
    sh::Cmd,
    tools::Toolchain,
};
use anyhow::{Context, Result, ensure};
use flate2::{Compression, GzBuilder};
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    env,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

/// What is released.
const NAME: &str = "twine-otr";
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The date of all files: that of a package of cargo's, 2006-07-24. Older ones make some tools complain.
const DATE: u64 = 1_153_704_088;

/// A target that has an archive.
pub(crate) struct Target {
    /// Rust's name, and that of the folder in `lib/`.
    pub(crate) name: &'static str,
    cores: &'static str,
    pub(crate) compiler: Compiler,
    /// What GCC is told, where it has a choice.
    pub(crate) flags: &'static str,
    /// Where in an Arduino library the archive belongs: folders by `build.mcu`, and by the floating-point configuration.
    arduino: &'static [&'static str],
}

/// A C compiler, with a C++ compiler beside it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compiler {
    Arm,
    RiscV,
    X86,
    Aarch64,
}

/// All of them.
pub(crate) const TARGETS: [Target; 11] = [
    Target {
        name: "thumbv6m-none-eabi",
        cores: "Cortex-M0, M0+, M1",
        compiler: Compiler::Arm,
        flags: "-mthumb -mcpu=cortex-m0",
        arduino: &["cortex-m0", "cortex-m0plus"],
    },
    Target {
        name: "thumbv7m-none-eabi",
        cores: "Cortex-M3",
        compiler: Compiler::Arm,
        flags: "-mthumb -mcpu=cortex-m3",
        arduino: &["cortex-m3"],
    },
    Target {
        name: "thumbv7em-none-eabi",
        cores: "Cortex-M4, M7",
        compiler: Compiler::Arm,
        flags: "-mthumb -mcpu=cortex-m4",
        arduino: &["cortex-m4", "cortex-m4/fpv4-sp-d16-softfp"],
    },
    Target {
        name: "thumbv7em-none-eabihf",
        cores: "Cortex-M4, M7, hard-float",
        compiler: Compiler::Arm,
        flags: "-mthumb -mcpu=cortex-m4 -mfloat-abi=hard",
        arduino: &["cortex-m4/fpv4-sp-d16-hard"],
    },
    Target {
        name: "thumbv8m.base-none-eabi",
        cores: "Cortex-M23",
        compiler: Compiler::Arm,
        flags: "-mthumb -mcpu=cortex-m23",
        arduino: &["cortex-m23"],
    },
    Target {
        name: "thumbv8m.main-none-eabi",
        cores: "Cortex-M33, M35P, M55, M85",
        compiler: Compiler::Arm,
        flags: "-mthumb -mcpu=cortex-m33",
        arduino: &["cortex-m33"],
    },
    Target {
        name: "thumbv8m.main-none-eabihf",
        cores: "Cortex-M33, M35P, M55, M85, hard-float",
        compiler: Compiler::Arm,
        flags: "-mthumb -mcpu=cortex-m33 -mfloat-abi=hard",
        arduino: &["cortex-m33/fpv5-sp-d16-hard"],
    },
    Target {
        name: "riscv32imc-unknown-none-elf",
        cores: "RV32IMC: ESP32-C2, C3",
        compiler: Compiler::RiscV,
        flags: "-march=rv32imc -mabi=ilp32",
        arduino: &["esp32c3"],
    },
    Target {
        name: "riscv32imac-unknown-none-elf",
        cores: "RV32IMAC: ESP32-C6, H2, RP2350's Hazard3",
        compiler: Compiler::RiscV,
        flags: "-march=rv32imac -mabi=ilp32",
        arduino: &["esp32c6", "esp32h2"],
    },
    Target {
        name: "x86_64-unknown-linux-gnu",
        cores: "x86-64, Linux",
        compiler: Compiler::X86,
        flags: "",
        arduino: &[],
    },
    Target {
        name: "aarch64-unknown-linux-gnu",
        cores: "64-bit Arm, Linux",
        compiler: Compiler::Aarch64,
        flags: "",
        arduino: &[],
    },
];

impl Target {
    pub(crate) fn named(name: &str) -> Result<&'static Self> {
        const ALL: &[Target] = &TARGETS;
        ALL.iter().find(|target| target.name == name).with_context(|| format!("no archive for {name}"))
    }

    /// How `TWINE_OTR_ARCHIVE` names it.
    pub(crate) fn identifier(&self) -> String {
        self.name.replace(['-', '.'], "_")
    }

    fn has_os(&self) -> bool {
        self.name.contains("linux")
    }
}

impl Keys {
    const ALL: [Self; 2] = [Self::Expanded, Self::Compact];

    /// As files and packages are called.
    pub(crate) fn library(self) -> &'static str {
        match self {
            Self::Expanded => "twine-otr",
            Self::Compact => "twine-otr-compact",
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Expanded => "expanded",
            Self::Compact => "compact",
        }
    }
}

/// `cargo xtask capi dist`.
pub(crate) fn main() -> Result<()> {
    let dir = paths::target().join("dist");
    let tarball = make(paths::root(), &build_dir(), &dir, &TARGETS.iter().collect::<Vec<_>>())?;
    println!("{}", tarball.display());
    Ok(())
}

/// Where cargo builds the archives.
pub(crate) fn build_dir() -> PathBuf {
    paths::target().join("dist").join("build")
}

/// Makes what is released for `targets`, from the repository at `root`, in the folder `dir`. Cargo builds in `build_dir`.
pub(crate) fn make(root: &Path, build_dir: &Path, dir: &Path, targets: &[&Target]) -> Result<PathBuf> {
    let mut files = BTreeMap::new();
    let mut compilers: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for target in targets {
        let toolchain = Toolchain::for_target(target.name)?;
        compilers.entry(toolchain.rustc_version()?).or_default().push(target.name);
        for keys in Keys::ALL {
            let archive = build(root, build_dir, target, &toolchain, keys)?;
            let archive = fs::read(&archive).with_context(|| format!("cannot read {}", archive.display()))?;
            if keys == Keys::Expanded {
                for folder in target.arduino {
                    files.insert(format!("arduino/src/{folder}/libtwine-otr.a"), archive.clone());
                }
            }
            let lib = format!("lib/{}", target.name);
            files.insert(format!("{lib}/lib{}.a", keys.library()), archive);
            let description = description(root, target, keys)?;
            files.insert(format!("{lib}/pkgconfig/{}.pc", keys.library()), description.into());
        }
    }
    let compilers = compilers.iter().map(|(compiler, targets)| format!("{compiler}: {}", targets.join(", ")));
    texts(root, &mut files, &compilers.collect::<Vec<_>>().join("; "))?;
    let sums = sums(&files)?;
    files.insert("SHA256SUMS".to_owned(), sums.into());
    fs::create_dir_all(dir)?;
    let tarball = dir.join(format!("{NAME}-{VERSION}.tar.gz"));
    fs::write(&tarball, pack(&files)?)?;
    Ok(tarball)
}

/// Builds an archive. Both keys share all that does not depend on them, Rust's own library above all.
fn build(
    root: &Path,
    build_dir: &Path,
    target: &Target,
    toolchain: &Toolchain,
    keys: Keys,
) -> Result<PathBuf> {
    let cargo = if target.has_os() { toolchain.cargo_with_core() } else { toolchain.cargo()? };
    let mut remap = vec![format!("--remap-path-prefix={}=.", root.display())];
    let home = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".cargo")));
    if let Some(home) = home {
        remap.push(format!("--remap-path-prefix={}=cargo", home.display()));
    }
    // The packages that know of them.
    let (cipher, library): (_, &[_]) = match keys {
        Keys::Expanded => (None, &[]),
        Keys::Compact => (
            Some(r#"profile.capi.package.twine-cipher.rustflags=['--cfg=twine_keys="compact"']"#),
            &["--", "--cfg", r#"twine_keys="compact""#],
        ),
    };
    let cargo = cargo
        .args(cipher.map(|flags| format!("--config={flags}")))
        .args(["-Zprofile-rustflags", "--locked"])
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_ENCODED_RUSTFLAGS", remap.join("\u{1f}"))
        .dir(root);
    capi::static_library_with(cargo, Some(target.name), build_dir, library)
}

/// The file of an archive for pkg-config.
fn description(root: &Path, target: &Target, keys: Keys) -> Result<String> {
    let definitions = match keys {
        Keys::Expanded => "",
        Keys::Compact => " -DTWINE_OTR_KEYS_COMPACT",
    };
    let text = fs::read_to_string(root.join("capi/dist/pkgconfig/twine-otr.pc"))?;
    Ok(text
        .replace("@VERSION@", VERSION)
        .replace("@KEYS@", keys.name())
        .replace("@TARGET@", target.name)
        .replace("@LIBRARY@", keys.library())
        .replace("@ARCHIVE@", &target.identifier())
        .replace("@DEFINITIONS@", definitions))
}

/// Adds all that is no archive and not made for one.
fn texts(root: &Path, files: &mut BTreeMap<String, Vec<u8>>, compilers: &str) -> Result<()> {
    let minor = VERSION.rsplit_once('.').context("a version has three numbers")?.0;
    let readme = fs::read_to_string(root.join("capi/README.md"))?;
    let sizes = section(&readme, "RAM, flash and stack")?;
    let read = |path: &Path| -> Result<Vec<u8>> {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let text = text
            .replace("@VERSION@", VERSION)
            .replace("@MINOR_VERSION@", minor)
            .replace("@COMPILERS@", compilers)
            .replace("@TABLE@\n", &table())
            .replace("@SIZES@\n", sizes);
        Ok(text.into())
    };
    let source = root.join("capi/dist");
    for file in all_files(&source)? {
        let name = file.strip_prefix(&source)?.to_str().context("names are in ASCII")?.replace('\\', "/");
        let name = match name.strip_prefix("cmake/") {
            _ if name.starts_with("pkgconfig/") => continue,
            Some(name) => format!("lib/cmake/twine-otr/{name}"),
            None => name,
        };
        files.insert(name, read(&file)?);
    }
    for name in ["LICENSE-APACHE", "LICENSE-MIT"] {
        files.insert(name.to_owned(), read(&root.join(name))?);
    }
    for name in ["node.c", "node.h"] {
        files.insert(format!("examples/{name}"), read(&root.join("capi/examples").join(name))?);
    }
    let header = fs::read_to_string(root.join("capi/include/twine-otr.h"))?;
    files.insert("include/twine-otr.h".to_owned(), checking(&header)?.into());
    for name in ["twine-otr.h", "twine-otr-target.h"] {
        let header = files.get(&format!("include/{name}")).context("it was added")?.clone();
        files.insert(format!("arduino/src/{name}"), header);
    }
    for name in ["LICENSE-APACHE", "LICENSE-MIT"] {
        files.insert(format!("arduino/{name}"), read(&root.join(name))?);
    }
    Ok(())
}

/// What a README has below a heading, up to the next one.
fn section<'a>(readme: &'a str, heading: &str) -> Result<&'a str> {
    let start = format!("\n## {heading}\n");
    let (_, rest) = readme.split_once(&start).with_context(|| format!("the README has no {heading}"))?;
    Ok(rest.split_once("\n## ").map_or(rest, |(section, _)| section))
}

/// The header, that includes the check of the archive.
fn checking(header: &str) -> Result<String> {
    let guard = "#define TWINE_OTR_H\n";
    ensure!(header.matches(guard).count() == 1, "the header has no guard TWINE_OTR_H");
    Ok(header.replace(guard, &format!("{guard}\n#include \"twine-otr-target.h\"\n")))
}

/// All files below `dir`.
pub(crate) fn all_files(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(all_files(&path)?);
        } else {
            files.push(path);
        }
    }
    Ok(files)
}

/// A line for each file, as `sha256sum` prints and checks them.
fn sums(files: &BTreeMap<String, Vec<u8>>) -> Result<String> {
    let mut sums = String::new();
    for (name, contents) in files {
        writeln!(sums, "{}  {name}", sha256(contents))?;
    }
    Ok(sums)
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Nothing in it depends on when, where and by whom it is made.
fn pack(files: &BTreeMap<String, Vec<u8>>) -> Result<Vec<u8>> {
    let gzip = GzBuilder::new().mtime(0).operating_system(255).write(Vec::new(), Compression::best());
    let mut tar = tar::Builder::new(gzip);
    for (name, contents) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(contents.len() as u64);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(DATE);
        tar.append_data(&mut header, format!("{NAME}-{VERSION}/{name}"), contents.as_slice())?;
    }
    Ok(tar.into_inner()?.finish()?)
}

/// Which archive is for which processor, as the READMEs have it.
pub(crate) fn table() -> String {
    let mut table = "| core | flags of GCC and Clang | archives |\n|---|---|---|\n".to_owned();
    for Target { name, cores, flags, .. } in &TARGETS {
        let flags = if flags.is_empty() { String::new() } else { format!("`{flags}`") };
        // Writing to a string does not fail.
        let _ = writeln!(table, "| {cores} | {flags} | `lib/{name}/` |");
    }
    table
}

/// Copies what the repository has, without what is built, to `to`.
pub(crate) fn copy_repository(to: &Path) -> Result<()> {
    let names = Cmd::new("git").args(["ls-files", "--cached", "--others", "--exclude-standard"]).read();
    for name in names.context("the files of the repository are not known")?.lines() {
        let from = paths::root().join(name);
        // One that is deleted and not yet committed so.
        if !from.is_file() {
            continue;
        }
        let file = to.join(name);
        let contents = fs::read(&from)?;
        // What has not changed is not built again.
        if fs::read(&file).is_ok_and(|old| old == contents) {
            continue;
        }
        fs::create_dir_all(file.parent().context("it is in a folder")?)?;
        fs::write(&file, contents)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packing_is_reproducible_and_sorted() {
        let files: BTreeMap<String, Vec<u8>> =
            [("b".to_owned(), vec![1, 2]), ("a/c".to_owned(), vec![])].into();
        let packed = pack(&files).unwrap();
        assert_eq!(packed, pack(&files).unwrap());
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(packed.as_slice()));
        let entries: Vec<_> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let header = entry.as_ref().unwrap().header();
                assert_eq!(
                    (header.mtime().unwrap(), header.uid().unwrap(), header.gid().unwrap()),
                    (DATE, 0, 0)
                );
                header.path().unwrap().display().to_string()
            })
            .collect();
        assert_eq!(entries, [format!("twine-otr-{VERSION}/a/c"), format!("twine-otr-{VERSION}/b")]);
    }

    #[test]
    fn the_header_includes_the_check_once() {
        let header = checking("/* */\n#ifndef TWINE_OTR_H\n#define TWINE_OTR_H\n\nint x;\n#endif\n").unwrap();
        assert!(header.contains("#define TWINE_OTR_H\n\n#include \"twine-otr-target.h\"\n\nint x;"));
        assert!(checking("int x;\n").is_err());
    }

    #[test]
    fn a_section_ends_before_the_next_one() {
        let readme = "# A\n\n## B\nb\n### c\n\n## D\nd\n";
        assert_eq!(section(readme, "B").unwrap(), "b\n### c\n");
        assert_eq!(section(readme, "D").unwrap(), "d\n");
        assert!(section(readme, "C").is_err());
    }

    #[test]
    fn the_readme_has_the_table() {
        let readme = fs::read_to_string(paths::root().join("capi/README.md")).unwrap();
        assert!(readme.contains(&table()), "capi/README.md needs this table:\n{}", table());
    }

    #[test]
    fn both_readmes_have_the_lines_for_a_project() {
        let read = |name| fs::read_to_string(paths::root().join(name)).unwrap();
        let (readme, of_release) = (read("capi/README.md"), read("capi/dist/README.md"));
        let (minor, _) = VERSION.rsplit_once('.').unwrap();
        for language in ["cmake", "make"] {
            let start = format!("\n```{language}\n");
            let (_, rest) = of_release.split_once(&start).unwrap();
            let lines = rest.split_once("```\n").unwrap().0.replace("@MINOR_VERSION@", minor);
            assert!(
                readme.contains(&format!("{start}{lines}")),
                "capi/README.md needs these lines:\n{lines}"
            );
        }
    }
}
