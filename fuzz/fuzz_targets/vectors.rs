//! See [`fuzz::vectors`].
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| fuzz::vectors::check(text));
