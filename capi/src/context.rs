//! The contexts: what C sees of them, and what is in them.

use core::{
    marker::PhantomData,
    sync::atomic::{Ordering, compiler_fence},
};

use twine_otr_aead::{Key, KeySizeUser, Twine80, Twine80Otr, Twine128, Twine128Otr};

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
/// TWINE128_OTR_CTX_INIT makes one that is refused until it is initialised.
#[repr(C)]
#[allow(missing_debug_implementations, reason = "secret, and C's")]
pub struct twine128_otr_ctx {
    /// Private.
    opaque: [u64; TWINE_OTR_CTX_WORDS],
}

/// A key of TWINE-OTR, 80 bits, expanded. As twine128_otr_ctx, with TWINE80_OTR_CTX_INIT.
#[repr(C)]
#[allow(missing_debug_implementations, reason = "secret, and C's")]
pub struct twine80_otr_ctx {
    /// Private.
    opaque: [u64; TWINE_OTR_CTX_WORDS],
}

/// A key of the block cipher TWINE-128, expanded. As twine128_otr_ctx, with TWINE128_CTX_INIT, for the
/// functions twine128_*_blocks.
#[repr(C)]
#[allow(missing_debug_implementations, reason = "secret, and C's")]
pub struct twine128_ctx {
    /// Private.
    opaque: [u64; TWINE_OTR_CTX_WORDS],
}

/// A key of the block cipher TWINE-80, expanded. As twine128_otr_ctx, with TWINE80_CTX_INIT, for the
/// functions twine80_*_blocks.
#[repr(C)]
#[allow(missing_debug_implementations, reason = "secret, and C's")]
pub struct twine80_ctx {
    /// Private.
    opaque: [u64; TWINE_OTR_CTX_WORDS],
}

/// What C calls a context, and what lies in it.
pub(crate) trait Context: Sized {
    /// The keyed cipher.
    type Cipher: SetKey;

    /// What the first word of an initialised context is: one of 2^64, and different for each type, so that zeros, contexts of
    /// another type and, but for an accident, random bytes are refused. What is left of a context of the same type is not told
    /// from one.
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

/// A cipher whose round keys are made where they are to stay.
pub(crate) trait SetKey: KeySizeUser + Sized {
    /// To be given a key before it is used. Not secret.
    fn without_key() -> Self;
    fn set_key(&mut self, key: &Key<Self>);
}

macro_rules! set_key {
    ($($cipher:ty, $otr:ty;)*) => {$(
        impl SetKey for $cipher {
            #[inline(always)]
            fn without_key() -> Self {
                Self::without_key()
            }

            #[inline(always)]
            fn set_key(&mut self, key: &Key<Self>) {
                self.set_key(key);
            }
        }

        impl SetKey for $otr {
            #[inline(always)]
            fn without_key() -> Self {
                Self::without_key(<$cipher>::without_key())
            }

            #[inline(always)]
            fn set_key(&mut self, key: &Key<Self>) {
                self.set_key_with(|cipher| cipher.set_key(key));
            }
        }
    )*};
}

set_key! {
    Twine80, Twine80Otr;
    Twine128, Twine128Otr;
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

/// Makes `*context` the expansion of the key at `key`. It is refused from the beginning on, by whatever interrupts this or
/// comes after a failure, until all of it is there.
///
/// # Safety
/// Each pointer is null or points to what it says, at any alignment; nobody uses the context.
pub(crate) unsafe fn init<X: Context>(context: *mut X, key: *const u8) -> Result<(), Failure> {
    let () = Layout::<X>::FITS;
    // SAFETY: by the caller's word.
    unsafe { erase_start(context, size_of::<u64>()) };
    let key = key.cast::<Key<X::Cipher>>();
    apart(Region::of(context)?, &[Region::of(key)?])?;
    let state = context.cast::<State<X>>();
    // SAFETY: the pointers are not null and aligned, and the regions are apart; so what the caller vouches for is enough.
    // A `State` fits into a context.
    unsafe {
        let cipher = &raw mut (*state).cipher;
        cipher.write(X::Cipher::without_key());
        (*cipher).set_key(&*key);
        compiler_fence(Ordering::SeqCst);
        (&raw mut (*state).mark).write_volatile(X::MARK);
    }
    Ok(())
}

/// The cipher in `*context`, which is not to be written while it is in use.
///
/// # Safety
/// `context` is null or points to a context.
pub(crate) unsafe fn cipher<'a, X: Context>(context: *const X) -> Result<&'a X::Cipher, Failure> {
    Region::of(context)?;
    let state = context.cast::<State<X>>();
    // SAFETY: the pointer is not null and aligned, so the caller vouches for what it points to; with the mark there, `init`
    // has made the rest.
    unsafe {
        if (&raw const (*state).mark).read() != X::MARK {
            return Err(Failure::Context);
        }
        Ok(&(*state).cipher)
    }
}

/// Overwrites `*context` with zeros, at any alignment; nothing if the pointer is null.
///
/// # Safety
/// `context` is null or points to as many bytes as a context has, which nobody uses.
pub(crate) unsafe fn clear<X: Context>(context: *mut X) {
    // SAFETY: by the caller's word.
    unsafe { erase_start(context, size_of::<X>()) }
}

/// Overwrites the first `len` bytes of `*context` with zeros, from the first to the last, before anything that follows.
///
/// # Safety
/// As of [`clear`]; `len` is not more than a context's.
unsafe fn erase_start<X: Context>(context: *mut X, len: usize) {
    if Region::new(context, size_of::<X>()).is_err() {
        return;
    }
    let bytes = context.cast::<u8>();
    for i in 0..len {
        // SAFETY: by the caller's word; bytes have no alignment.
        unsafe { bytes.add(i).write_volatile(0) };
    }
    compiler_fence(Ordering::SeqCst);
}
