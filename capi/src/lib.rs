#![no_std]
#![doc = include_str!("../README.md")]
#![allow(non_camel_case_types, reason = "the names of the types in C")]
#![allow(
    rustdoc::broken_intra_doc_links,
    reason = "the comments become those of the header, where [in] is Doxygen's"
)]
// Contexts of compact keys have another size. So their `init` has another name, and a program with the wrong header does not link.
#![cfg_attr(
    twine_keys = "compact",
    allow(unused_attributes, reason = "the header's generator knows functions by no_mangle")
)]

mod block;
mod chunks;
mod context;
#[cfg(twine_masked)]
mod masked;
mod memory;
mod opener;
mod otr;
mod sealer;
mod stack;
mod status;
#[cfg(test)]
mod tests;

pub use block::*;
pub use chunks::{TWINE_OTR_CHUNK_OPENER_WORDS, TWINE_OTR_CHUNK_SEALER_WORDS};
pub use context::*;
#[cfg(twine_masked)]
pub use masked::{twine80_masked, twine128_masked};
pub use opener::{TWINE_OTR_OPENER_WORDS, twine_otr_opener_counts};
pub use otr::twine_otr_count_blocks;
pub use sealer::{
    TWINE_OTR_PIECES_WORDS, TWINE_OTR_SEALER_WORDS, twine_otr_sealer_counts, twine_otr_state_sequence,
};
pub use status::*;

/// The functions for one key size and one processing of associated data. In C each name begins with that of the module.
macro_rules! family {
    ($name:ident, $prefix:literal, $cipher:ident, $processing:ident, $leaving_nothing:ident) => {
        #[doc = concat!("The functions and types that C calls `", $prefix, "_*`.")]
        pub mod $name {
            use core::ffi::c_int;

            use twine_otr_aead::{
                ChunkOpener, ChunkSealer, Otr, PieceState, Sealer,
                consts::{U7, U8},
                $cipher as Cipher, $processing as Processing,
            };

            use crate::{
                TWINE_OTR_CHUNK_OPENER_WORDS, TWINE_OTR_CHUNK_SEALER_WORDS, TWINE_OTR_CTX_WORDS,
                TWINE_OTR_OPENER_WORDS, TWINE_OTR_PIECES_WORDS, TWINE_OTR_SEALER_WORDS, context,
                stack::{self, $leaving_nothing as leaving_nothing_of_message},
                status, twine_otr_opener_counts, twine_otr_sealer_counts,
            };

            type Algorithm = Otr<Cipher, U7, U8, Processing>;

            crate::otr::functions!($prefix);
            crate::sealer::functions!($prefix);
            crate::opener::functions!($prefix);
            crate::chunks::functions!($prefix);
        }
    };
}

family!(twine128, "twine128", Twine128, Parallel, leaving_nothing_of_message);
family!(twine80, "twine80", Twine80, Parallel, leaving_nothing_of_message);
family!(twine128_serial, "twine128_serial", Twine128, Serial, leaving_nothing_of_message);
family!(twine80_serial, "twine80_serial", Twine80, Serial, leaving_nothing_of_message);
family!(twine128_combined, "twine128_combined", Twine128, Combined, leaving_nothing_of_combined);
family!(twine80_combined, "twine80_combined", Twine80, Combined, leaving_nothing_of_combined);

/// The panic handler, which the compiler requires if this library is a program's only Rust code.
#[cfg(all(feature = "panic-handler", not(test)))]
mod panic_handler {
    #[panic_handler]
    fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
        twine_otr_panic()
    }

    /// A function of its own, which is not inlined: on bare metal a test checks that nothing links it. Bounds checks may remain in hosted
    /// builds. They cannot fail; if one did, the process would abort.
    #[inline(never)]
    #[unsafe(no_mangle)]
    extern "C" fn twine_otr_panic() -> ! {
        #[cfg(target_os = "none")]
        loop {
            core::hint::spin_loop();
        }
        #[cfg(not(target_os = "none"))]
        {
            unsafe extern "C" {
                fn abort() -> !;
            }
            // SAFETY: this is the function of the C library. It takes nothing and does not return.
            unsafe { abort() }
        }
    }
}
