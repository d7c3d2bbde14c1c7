//! What tests on libraries share.

use prove::{
    claims::{Processor, Target},
    elf::Image,
    isa::thumb::Core,
};
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

/// The libraries with what is masked.
pub(crate) fn masked_libraries() -> Vec<(Arc<Image>, Core, String)> {
    let paths = env::var_os("PROVE_MASKED").expect("`cargo xtask prove` sets PROVE_MASKED");
    let read = |path: std::path::PathBuf| {
        let image = Arc::new(Image::read(&path).unwrap());
        let [target] = &Target::of(&image).unwrap()[..] else { panic!("one target") };
        let Processor::Thumb(core) = target.processor else { panic!("a Cortex-M") };
        (image, core, target.name.clone())
    };
    env::split_paths(&paths).filter(|path| !path.as_os_str().is_empty()).map(read).collect()
}
