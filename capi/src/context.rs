//! The contexts: the types that C sees, and their contents.

use core::sync::atomic::{Ordering, compiler_fence};

use twine_otr_aead::{Key, SetKey, Twine80, Twine128};

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

/// An expanded key of the block cipher TWINE-128, for the functions twine128_*_blocks. It is used like twine128_otr_ctx, with
/// TWINE128_CTX_INIT.
#[repr(C)]
#[allow(missing_debug_implementations, reason = "secret, and C's")]
pub struct twine128_ctx {
    /// Private.
    opaque: [u64; TWINE_OTR_CTX_WORDS],
}

/// An expanded key of the block cipher TWINE-80, for the functions twine80_*_blocks. It is used like twine128_otr_ctx, with
/// TWINE80_CTX_INIT.
#[repr(C)]
#[allow(missing_debug_implementations, reason = "secret, and C's")]
pub struct twine80_ctx {
    /// Private.
    opaque: [u64; TWINE_OTR_CTX_WORDS],
}

/// A type that C calls a context, and its content.
pub(crate) trait Context: Sized {
    type Content;

    /// The first word of an initialised context. It is one of 2^64 values and differs for each type. So zeros, contexts of another type and
    /// (except by chance) random bytes are refused. The remains of a context of the same type cannot be told from a context.
    const MARK: u64;

    /// The first word while a call changes the context.
    const IN_USE: u64 = !Self::MARK;
}

/// Returns the mark of a type with this name: the FNV-1a hash of 64 bits.
pub(crate) const fn mark(name: &str) -> u64 {
    let (name, mut hash, mut i) = (name.as_bytes(), 0xcbf2_9ce4_8422_2325_u64, 0);
    while i < name.len() {
        hash = (hash ^ name[i] as u64).wrapping_mul(0x0100_0000_01b3);
        i += 1;
    }
    hash
}

/// Makes a type a [`Context`]. This does not compile if the content has no room in it.
macro_rules! context {
    ($context:ty, $content:ty, $name:expr) => {
        impl $crate::context::Context for $context {
            type Content = $content;
            const MARK: u64 = $crate::context::mark($name);
        }

        const _: () = $crate::context::assert_fits::<$context>();
    };
}

pub(crate) use context;

context!(twine128_ctx, Twine128, "twine128_ctx");
context!(twine80_ctx, Twine80, "twine80_ctx");

/// An initialised context.
#[repr(C)]
struct Initialised<X: Context> {
    mark: u64,
    content: X::Content,
}

pub(crate) const fn assert_fits<X: Context>() {
    assert!(
        size_of::<Initialised<X>>() <= size_of::<X>() && align_of::<Initialised<X>>() <= align_of::<X>(),
        "too few words"
    );
}

/// Makes `*context` the expansion of the key at `key`.
///
/// # Safety
/// Each pointer is null or points to what it says, at any alignment; nobody uses the context.
pub(crate) unsafe fn init<X: Context<Content: SetKey>>(
    context: *mut X,
    key: *const u8,
) -> Result<(), Failure> {
    let key = key.cast::<Key<X::Content>>();
    let set_key = |cipher: &mut X::Content| {
        // SAFETY: it is not null, so the caller vouches for it. `make` checks that it does not overlap what is written.
        cipher.set_key(unsafe { &*key });
        Ok(())
    };
    // SAFETY: by the caller's word.
    unsafe { make(context, || Ok([Region::of(key)?]), X::Content::without_key, set_key) }
}

/// Fills `*context` with what `set_up` makes of `content`. The context is refused until all of it is written, also by a call that interrupts
/// this one and after a failure. If `set_up` fails, the context is erased.
///
/// # Safety
/// `context` is null or points to a context, at any alignment, that nobody uses.
#[inline(always)]
pub(crate) unsafe fn make<X: Context, const N: usize>(
    context: *mut X,
    arguments: impl FnOnce() -> Result<[Region; N], Failure>,
    content: impl FnOnce() -> X::Content,
    set_up: impl FnOnce(&mut X::Content) -> Result<(), Failure>,
) -> Result<(), Failure> {
    // SAFETY: by the caller's word.
    unsafe { erase_start(context, size_of::<u64>()) };
    apart(Region::of(context)?, &arguments()?)?;
    let initialised = context.cast::<Initialised<X>>();
    // SAFETY: the pointer is not null and is aligned, so the caller vouches for it. An `Initialised` fits into a context.
    unsafe {
        let place = &raw mut (*initialised).content;
        place.write(content());
        if let Err(failure) = set_up(&mut *place) {
            erase_start(context, size_of::<X>());
            return Err(failure);
        }
        compiler_fence(Ordering::SeqCst);
        (&raw mut (*initialised).mark).write_volatile(X::MARK);
    }
    Ok(())
}

/// Returns the content of `*context`, which must not be written while the content is in use.
///
/// # Safety
/// `context` is null or points to a context.
pub(crate) unsafe fn content<'a, X: Context>(context: *const X) -> Result<&'a X::Content, Failure> {
    Region::of(context)?;
    let initialised = context.cast::<Initialised<X>>();
    // SAFETY: the pointer is not null and is aligned, so the caller vouches for what it points to. If the mark is there, `make` has written
    // the rest.
    unsafe {
        if (&raw const (*initialised).mark).read() != X::MARK {
            return Err(Failure::Context);
        }
        Ok(&(*initialised).content)
    }
}

/// Calls `f` with the content of `*context`. Meanwhile the context is refused. So an interrupt handler that uses it too gets an error, and
/// not the same nonce.
///
/// # Safety
/// `context` is null or points to a context.
#[inline(always)]
pub(crate) unsafe fn change<X: Context, T>(
    context: *mut X,
    f: impl FnOnce(&mut X::Content) -> Result<T, Failure>,
) -> Result<T, Failure> {
    Region::of(context)?;
    let initialised = context.cast::<Initialised<X>>();
    // SAFETY: as in `content`. Nobody else gets the content, because its mark is not there.
    unsafe {
        let mark = &raw mut (*initialised).mark;
        if mark.read_volatile() != X::MARK {
            return Err(Failure::Context);
        }
        mark.write_volatile(X::IN_USE);
        compiler_fence(Ordering::SeqCst);
        let result = f(&mut (*initialised).content);
        compiler_fence(Ordering::SeqCst);
        // If the context was cleared meanwhile, although that is not allowed, it stays cleared.
        if mark.read_volatile() != X::IN_USE {
            return Err(Failure::Context);
        }
        mark.write_volatile(X::MARK);
        result
    }
}

/// Erases `*context` before a call makes another one there, unless another call uses it: then it is refused already.
///
/// # Safety
/// As for [`clear`].
pub(crate) unsafe fn give_up<X: Context>(context: *mut X) -> Result<(), Failure> {
    Region::of(context)?;
    // SAFETY: the pointer is not null and is aligned, so the caller vouches for what it points to.
    unsafe {
        if context.cast::<u64>().read_volatile() != X::IN_USE {
            clear(context);
        }
    }
    Ok(())
}

/// Overwrites `*context` with zeros, at any alignment. Does nothing if the pointer is null.
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
/// As for [`clear`]; `len` is not more than a context's.
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

#[cfg(test)]
mod tests {
    use core::ptr;

    use super::{Context, TWINE_OTR_CTX_WORDS, give_up, twine128_ctx};
    use crate::status::Failure;

    #[test]
    fn a_context_in_use_is_not_given_up() {
        let mut ctx = twine128_ctx { opaque: [7; TWINE_OTR_CTX_WORDS] };
        ctx.opaque[0] = twine128_ctx::IN_USE;
        // SAFETY: null, or a context that nobody uses.
        unsafe {
            assert_eq!(give_up(ptr::null_mut::<twine128_ctx>()), Err(Failure::Argument));
            assert_eq!(give_up(&raw mut ctx), Ok(()));
            assert_eq!(ctx.opaque[1..], [7; TWINE_OTR_CTX_WORDS - 1]);
            ctx.opaque[0] = twine128_ctx::MARK;
            assert_eq!(give_up(&raw mut ctx), Ok(()));
        }
        assert_eq!(ctx.opaque, [0; TWINE_OTR_CTX_WORDS]);
    }
}
