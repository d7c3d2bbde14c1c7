//! See [`fuzz::capi`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: fuzz::capi::Input<'_>| input.check());
