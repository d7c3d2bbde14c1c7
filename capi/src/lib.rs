#![no_std]
#![doc = include_str!("../README.md")]
#![allow(non_camel_case_types, reason = "the names of the types in C")]

mod block;
mod context;
mod memory;
mod otr;
mod status;

pub use block::*;
pub use context::*;
pub use otr::*;
pub use status::*;

/// The compiler wants one. Nothing reaches it: on the linked code it is tested that this symbol is not there.
#[cfg(all(feature = "panic-handler", not(test)))]
mod panic_handler {
    #[panic_handler]
    fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
        twine_otr_panic()
    }

    /// A name of its own, that no inlining hides.
    #[inline(never)]
    #[unsafe(no_mangle)]
    extern "C" fn twine_otr_panic() -> ! {
        loop {
            core::hint::spin_loop();
        }
    }
}
