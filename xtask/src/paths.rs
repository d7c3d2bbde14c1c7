//! Where things are.

use std::{
    env,
    path::{Path, PathBuf},
    sync::LazyLock,
};

/// The root of the repository.
pub(crate) fn root() -> &'static Path {
    static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
        // What cargo says now, not when xtask was compiled: a target directory may be moved or shared.
        let xtask = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        Path::new(&xtask).parent().expect("xtask is a folder of the repository").to_owned()
    });
    &ROOT
}

/// Cargo's target directory; all that xtask makes is below it.
pub(crate) fn target() -> PathBuf {
    // The current directory is the caller's here and in cargo alike, so a relative path means the same.
    match env::var_os("CARGO_TARGET_DIR") {
        Some(path) => env::current_dir().map_or_else(|_| PathBuf::from(&path), |dir| dir.join(&path)),
        None => root().join("target"),
    }
}

/// The file of the program `name` in `PATH`.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let file = format!("{name}{}", env::consts::EXE_SUFFIX);
    env::split_paths(&env::var_os("PATH")?).map(|dir| dir.join(&file)).find(|path| path.is_file())
}

/// The published libraries.
pub(crate) const LIBRARIES: [&str; 4] = ["twine-cipher", "otr-mode", "twine-otr-aead", "twine-otr-capi"];

/// `-p` for each of the libraries.
pub(crate) fn libraries() -> impl Iterator<Item = String> {
    LIBRARIES.into_iter().flat_map(|name| ["--package".to_owned(), name.to_owned()])
}
