//! The contexts: what C sees of them, and what is in them.

use core::marker::PhantomData;

use twine_cipher::{Twine80, Twine128};
use twine_otr_aead::{Twine80Otr, Twine128Otr};
use zeroize::Zeroize;

use crate::{
    memory::{Region, apart},
    status::Failure,
};

/// Words of 8 bytes in a context: the expanded key of the vector instructions, or the portable one.
#[cfg(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64"))]
pub const TWINE_OTR_CTX_WORDS: usize = 193;
/// Words of 8 bytes in a context: the expanded key of 64-bit processors without vector instructions that are used here.
#[cfg(all(
    not(twine_keys = "compact"),
    any(target_pointer_width = "64", target_arch = "wasm32"),
    not(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64"))
))]
pub const TWINE_OTR_CTX_WORDS: usize = 146;
/// Words of 8 bytes in a context: the expanded key of 32-bit processors.
#[cfg(all(
    not(twine_keys = "compact"),
    not(any(target_pointer_width = "64", target_arch = "wasm32")),
    not(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64"))
))]
pub const TWINE_OTR_CTX_WORDS: usize = 74;
/// Words of 8 bytes in a context: the compact key.
#[cfg(all(
    twine_keys = "compact",
    not(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64"))
))]
pub const TWINE_OTR_CTX_WORDS: usize = 20;

/// A key of TWINE-OTR, 128 bits, expanded.
///
/// To be declared by the caller, on the stack or elsewhere, and used only through the functions `twine128_otr_*`. It holds
/// no pointers: a copy by assignment or memcpy works like the original, and has to be cleared like it.
#[repr(C)]
#[allow(missing_debug_implementations, reason = "secret, and C's")]
pub struct twine128_otr_ctx {
    /// Private.
    opaque: [u64; TWINE_OTR_CTX_WORDS],
}

/// A key of TWINE-OTR, 80 bits, expanded. As twine128_otr_ctx.
#[repr(C)]
#[allow(missing_debug_implementations, reason = "secret, and C's")]
pub struct twine80_otr_ctx {
    /// Private.
    opaque: [u64; TWINE_OTR_CTX_WORDS],
}

/// A key of the block cipher TWINE-128, expanded. As twine128_otr_ctx, for the functions twine128_*_blocks.
#[repr(C)]
#[allow(missing_debug_implementations, reason = "secret, and C's")]
pub struct twine128_ctx {
    /// Private.
    opaque: [u64; TWINE_OTR_CTX_WORDS],
}

/// A key of the block cipher TWINE-80, expanded. As twine128_otr_ctx, for the functions twine80_*_blocks.
#[repr(C)]
#[allow(missing_debug_implementations, reason = "secret, and C's")]
pub struct twine80_ctx {
    /// Private.
    opaque: [u64; TWINE_OTR_CTX_WORDS],
}

/// What C calls a context, and what lies in it.
pub(crate) trait Context: Sized {
    /// The keyed cipher.
    type Cipher;

    /// What the first word of an initialised context is: one of 2^64, and different for each type, so that zeros and,
    /// but for an accident, garbage are refused.
    const MARK: u64;
}

impl Context for twine128_otr_ctx {
    type Cipher = Twine128Otr;
    const MARK: u64 = 0x9e1c_77f0_5b3d_c28a;
}

impl Context for twine80_otr_ctx {
    type Cipher = Twine80Otr;
    const MARK: u64 = 0xc4a8_1db6_f297_6e35;
}

impl Context for twine128_ctx {
    type Cipher = Twine128;
    const MARK: u64 = 0x6bd5_e309_8c41_fa97;
}

impl Context for twine80_ctx {
    type Cipher = Twine80;
    const MARK: u64 = 0xf372_0a9e_61d8_4b5c;
}

/// An initialised context.
#[repr(C)]
struct State<X: Context> {
    mark: u64,
    cipher: X::Cipher,
}

/// Evaluated for each context that is used: its cipher fits.
struct Layout<X>(PhantomData<X>);

impl<X: Context> Layout<X> {
    const FITS: () = assert!(
        size_of::<State<X>>() <= size_of::<X>() && align_of::<State<X>>() <= align_of::<X>(),
        "TWINE_OTR_CTX_WORDS is too small"
    );
}

/// Makes `*context` the expansion of the key at `key`.
///
/// # Safety
/// Each pointer is null or points to what it says; `context` may be written, and holds nothing that needs to be kept.
pub(crate) unsafe fn init<X: Context, const N: usize>(
    context: *mut X,
    key: *const [u8; N],
    new: impl FnOnce(&[u8; N]) -> X::Cipher,
) -> Result<(), Failure> {
    let () = Layout::<X>::FITS;
    apart(Region::of(context)?, &[Region::of(key)?])?;
    let state = context.cast::<State<X>>();
    // SAFETY: the pointers are not null and aligned, and the regions are apart; so what the caller vouches for is enough.
    // A `State` fits into a context.
    unsafe {
        (&raw mut (*state).cipher).write(new(&*key));
        (&raw mut (*state).mark).write(X::MARK);
    }
    Ok(())
}

/// The cipher in `*context`, which is not to be written while it is in use.
///
/// # Safety
/// `context` is null or points to a context.
pub(crate) unsafe fn cipher<'a, X: Context>(context: *const X) -> Result<(&'a X::Cipher, Region), Failure> {
    let region = Region::of(context)?;
    let state = context.cast::<State<X>>();
    // SAFETY: the pointer is not null and aligned, so the caller vouches for what it points to; with the mark there, `init`
    // has made the rest.
    unsafe {
        if (&raw const (*state).mark).read() != X::MARK {
            return Err(Failure::Context);
        }
        Ok((&(*state).cipher, region))
    }
}

/// Overwrites `*context` with zeros; nothing if the pointer is null.
///
/// # Safety
/// `context` is null or points to a context that nobody uses.
pub(crate) unsafe fn clear<X: Context>(context: *mut X) {
    if context.is_null() || !context.is_aligned() {
        return;
    }
    // SAFETY: the caller vouches for it; every context is `TWINE_OTR_CTX_WORDS` words, as the assertion says.
    unsafe {
        const { assert!(size_of::<X>() == 8 * TWINE_OTR_CTX_WORDS) };
        (*context.cast::<[u64; TWINE_OTR_CTX_WORDS]>()).zeroize();
    }
}
