//! See [`fuzz::sealer`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: fuzz::sealer::Input<'_>| input.check());
