#![no_std]
#![doc = include_str!("../README.md")]
#![allow(non_camel_case_types, reason = "the names of the types in C")]
#![allow(
    rustdoc::broken_intra_doc_links,
    reason = "the comments become those of the header, where [in] is Doxygen's"
)]
// Contexts of compact keys have another size: so their `init` has another name, and with the other header nothing links.
#![cfg_attr(
    twine_keys = "compact",
    allow(unused_attributes, reason = "the header's generator knows functions by no_mangle")
)]

mod block;
mod context;
mod memory;
mod otr;
mod stack;
mod status;
#[cfg(test)]
mod tests;

pub use block::*;
pub use context::*;
pub use otr::*;
pub use status::*;

/// What the compiler wants of a program's only Rust code.
#[cfg(all(feature = "panic-handler", not(test)))]
mod panic_handler {
    #[panic_handler]
    fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
        twine_otr_panic()
    }

    /// A name of its own, that no inlining hides: on bare metal it is tested that nothing links it. Elsewhere bounds checks
    /// of vector code, which always hold, may stay.
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
            // SAFETY: the C library's, which takes nothing and does not return.
            unsafe { abort() }
        }
    }
}
