//! See [`fuzz::frame`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: fuzz::frame::Input<'_>| input.check());
