//! See [`fuzz::seal`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: fuzz::seal::Input<'_>| input.check());
