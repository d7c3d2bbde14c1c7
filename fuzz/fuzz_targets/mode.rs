//! See [`fuzz::mode`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: fuzz::mode::Input<'_>| input.check());
