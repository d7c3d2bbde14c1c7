//! See [`fuzz::vectors`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: fuzz::vectors::Input<'_>| input.check());
