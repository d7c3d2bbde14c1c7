//! See [`fuzz::backends`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: fuzz::backends::Input<'_>| input.check());
