//! On what something is measured.

use std::{env::consts, fs, process::Command};

use anyhow::{Context, Result, ensure};

use crate::{
    algorithms::PEERS,
    results::{Machine, Peer},
};

impl Machine {
    /// This one.
    #[must_use]
    pub fn this() -> Self {
        Self {
            cpu: cpu().unwrap_or_else(|| "unknown CPU".into()),
            arch: consts::ARCH.into(),
            features: features(),
        }
    }
}

/// The model by name and, where the name is that of a family only, by numbers.
fn cpu() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let field = |name: &str| {
        let line = text.lines().find(|line| line.split(':').next().is_some_and(|key| key.trim() == name))?;
        Some(line.split_once(':')?.1.trim())
    };
    let name = field("model name")?;
    Some(match (field("cpu family"), field("model")) {
        (Some(family), Some(model)) => format!("{name} (family {family}, model {model})"),
        _ => name.into(),
    })
}

#[cfg(target_arch = "x86_64")]
fn features() -> Vec<String> {
    macro_rules! detected {
        ($($name:tt),+) => {
            [$(($name, std::arch::is_x86_feature_detected!($name))),+]
        };
    }
    detected![
        "ssse3",
        "aes",
        "pclmulqdq",
        "avx2",
        "vaes",
        "vpclmulqdq",
        "avx512f",
        "avx512bw",
        "avx512vl",
        "avx512vbmi",
        "gfni"
    ]
    .into_iter()
    .filter(|(_, is_there)| *is_there)
    .map(|(name, _)| name.into())
    .collect()
}

#[cfg(not(target_arch = "x86_64"))]
fn features() -> Vec<String> {
    Vec::new()
}

/// The compiler that cargo runs here.
///
/// # Errors
/// If it does not run.
pub fn rustc() -> Result<String> {
    let program = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(program).arg("--version").output().context("cannot run rustc")?;
    ensure!(output.status.success(), "rustc --version failed");
    Ok(String::from_utf8(output.stdout)?.trim().into())
}

/// The peers' versions, as the lock file has them, and that of OpenSSL itself.
///
/// # Errors
/// If one is not there.
pub fn peers() -> Result<Vec<Peer>> {
    let lock = include_str!("../Cargo.lock");
    PEERS
        .into_iter()
        .map(|name| {
            let entry = format!("name = \"{name}\"\nversion = \"");
            let version = lock.split_once(&entry).and_then(|(_, rest)| rest.split('"').next());
            let version = version.with_context(|| format!("{name} is not in the lock file"))?;
            Ok(Peer { name: name.into(), version: version.into() })
        })
        .chain(openssl().map(Ok))
        .collect()
}

#[cfg(all(feature = "openssl", target_arch = "x86_64"))]
fn openssl() -> Option<Peer> {
    Some(Peer { name: crate::algorithms::OPENSSL.into(), version: openssl::version::version().into() })
}

#[cfg(not(all(feature = "openssl", target_arch = "x86_64")))]
fn openssl() -> Option<Peer> {
    None
}
