//! What the compiler does not tell the source: on which small cores words are loaded from any address, so that nobody need look
//! where they are.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(otr_unaligned_words)");
    let target = env::var("TARGET").unwrap_or_default();
    if ["thumbv7", "thumbv8m.main", "aarch64"].iter().any(|cores| target.starts_with(cores)) {
        println!("cargo::rustc-cfg=otr_unaligned_words");
    }
}
