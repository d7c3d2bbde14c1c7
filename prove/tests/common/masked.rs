//! What tests on libraries with what is masked share.

use prove::{
    claims::{Processor, Target},
    elf::Image,
    isa::thumb::Core,
};
use std::{env, path::PathBuf, sync::Arc};

/// The libraries with what is masked.
pub(crate) fn masked_libraries() -> Vec<(Arc<Image>, Core, String)> {
    let paths = env::var_os("PROVE_MASKED").expect("`cargo xtask prove` sets PROVE_MASKED");
    let read = |path: PathBuf| {
        let image = Arc::new(Image::read(&path).unwrap());
        let [target] = &Target::of(&image).unwrap()[..] else { panic!("one target") };
        let Processor::Thumb(core) = target.processor else { panic!("a Cortex-M") };
        (image, core, target.name.clone())
    };
    env::split_paths(&paths).filter(|path| !path.as_os_str().is_empty()).map(read).collect()
}
