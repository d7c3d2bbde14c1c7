//! Which backend runs. `--cfg twine_backend="..."` forces one:
//!
//! | value | backend |
//! |---|---|
//! | `soft` | the portable one, [`fixslice`], with the words of the target (the default as yet) |
//! | `soft32` | the same with 32-bit words, 4 blocks at once |
//! | `soft64` | the same with 64-bit words, 8 blocks at once |

pub(crate) mod fixslice;

/// The word of the portable backend: that of the target's registers.
#[cfg(any(
    twine_backend = "soft64",
    all(not(twine_backend = "soft32"), any(target_pointer_width = "64", target_arch = "wasm32"))
))]
pub(crate) type Word = u64;

/// The word of the portable backend: that of the target's registers.
#[cfg(not(any(
    twine_backend = "soft64",
    all(not(twine_backend = "soft32"), any(target_pointer_width = "64", target_arch = "wasm32"))
)))]
pub(crate) type Word = u32;
