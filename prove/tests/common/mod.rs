//! What tests on libraries share.

use prove::{claims::Target, elf::Image};
use std::{env, sync::Arc};

/// Each backend, with the library that has it.
pub(crate) fn libraries() -> Vec<(Arc<Image>, Target)> {
    let paths = env::var_os("PROVE_ELVES").expect("`cargo xtask prove` sets PROVE_ELVES");
    let mut all = Vec::new();
    for path in env::split_paths(&paths).filter(|path| !path.as_os_str().is_empty()) {
        let image = Arc::new(Image::read(&path).unwrap());
        for target in Target::of(&image).unwrap() {
            all.push((Arc::clone(&image), target));
        }
    }
    if let Some(path) = env::var_os("PROVE_SOFT32") {
        all.push((Arc::new(Image::read(path.as_ref()).unwrap()), Target::soft32()));
    }
    all
}
