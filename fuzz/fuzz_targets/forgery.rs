//! See [`fuzz::forgery`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: fuzz::forgery::Input<'_>| input.check());
