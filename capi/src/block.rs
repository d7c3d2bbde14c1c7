//! The block cipher alone.

use core::ffi::c_int;

use twine_cipher::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, BlockSizeUser, array::Array, consts::U8};

use crate::{
    context::{self, Context, twine80_ctx, twine128_ctx},
    memory::{self, Region, apart},
    stack,
    status::Failure,
};

/// Calls `f` with the cipher and the blocks.
///
/// # Safety
/// Each pointer is null or points to what it says: `buf` to `count` blocks.
unsafe fn blocks<X: Context>(
    ctx: *const X,
    buf: *mut u8,
    count: usize,
    f: impl FnOnce(&X::Content, &mut [Array<u8, U8>]),
) -> Result<(), Failure> {
    let buf_region = memory::array_region(buf.cast::<Array<u8, U8>>(), count)?;
    apart(buf_region, &[Region::of(ctx)?])?;
    // SAFETY: by the caller's word.
    let cipher = unsafe { context::content(ctx)? };
    // SAFETY: the buffer is not null if it has a length, its length does not exceed an object's, and it is apart from the
    // context; blocks are arrays of bytes.
    f(cipher, unsafe { memory::slice_mut(buf.cast(), count) });
    Ok(())
}

/// # Safety
/// As for [`blocks`].
unsafe fn encrypt<X>(ctx: *const X, buf: *mut u8, count: usize) -> c_int
where
    X: Context<Content: BlockCipherEncrypt + BlockSizeUser<BlockSize = U8>>,
{
    // SAFETY: by the caller's word.
    stack::leaving_nothing(|| unsafe {
        blocks(ctx, buf, count, |cipher, blocks| cipher.encrypt_blocks(blocks))
    })
}

/// # Safety
/// As for [`blocks`].
unsafe fn decrypt<X>(ctx: *const X, buf: *mut u8, count: usize) -> c_int
where
    X: Context<Content: BlockCipherDecrypt + BlockSizeUser<BlockSize = U8>>,
{
    // SAFETY: by the caller's word.
    stack::leaving_nothing(|| unsafe {
        blocks(ctx, buf, count, |cipher, blocks| cipher.decrypt_blocks(blocks))
    })
}

/// Initialises a context of the block cipher with a key.
///
/// A block cipher is a building block. It does not hide that blocks are equal, and it does not authenticate them. To protect messages, use
/// twine128_otr_seal. Never use one key for both.
///
/// cbindgen:ptrs-as-arrays=[[key; 16]]
///
/// @param[out] ctx  The context. Its previous contents do not matter. It must not overlap the key.
/// @param[in]  key  The key, 16 bytes. They are copied: the caller may erase them afterwards.
/// @return TWINE_OTR_OK, or TWINE_OTR_ERR_ARGUMENT if a pointer is null or misaligned or the two overlap. The context, whatever
///         it was, is refused then, and its first 8 bytes are zero.
///
/// # Safety
/// Each pointer is null or points to what it says.
#[must_use]
#[unsafe(no_mangle)]
#[cfg_attr(twine_keys = "compact", unsafe(export_name = "twine128_init_compact"))]
pub unsafe extern "C" fn twine128_init(ctx: *mut twine128_ctx, key: *const u8) -> c_int {
    // SAFETY: by the caller's word.
    stack::leaving_nothing(|| unsafe { context::init(ctx, key) })
}

/// Encrypts blocks in place, each by itself. One call for many blocks takes less time than many calls.
///
/// @param[in]     ctx    An initialised context.
/// @param[in,out] buf    The blocks, 8 bytes each, one after the other. May be null if count is 0. They must not overlap *ctx.
/// @param[in]     count  The number of blocks, not of bytes.
/// @return TWINE_OTR_OK; or TWINE_OTR_ERR_ARGUMENT or TWINE_OTR_ERR_CONTEXT, and then nothing has been written.
///
/// # Safety
/// Each pointer is null or points to what it says.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn twine128_encrypt_blocks(
    ctx: *const twine128_ctx,
    buf: *mut u8,
    count: usize,
) -> c_int {
    // SAFETY: by the caller's word.
    unsafe { encrypt(ctx, buf, count) }
}

/// Decrypts blocks in place, each by itself. As twine128_encrypt_blocks.
///
/// # Safety
/// Each pointer is null or points to what it says.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn twine128_decrypt_blocks(
    ctx: *const twine128_ctx,
    buf: *mut u8,
    count: usize,
) -> c_int {
    // SAFETY: by the caller's word.
    unsafe { decrypt(ctx, buf, count) }
}

/// Erases a context of the block cipher. As twine128_otr_clear.
///
/// # Safety
/// The pointer is null or points to a context that nobody uses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn twine128_clear(ctx: *mut twine128_ctx) {
    // SAFETY: by the caller's word.
    unsafe { context::clear(ctx) }
}

/// As twine128_init, with a key of 80 bits (10 bytes).
///
/// cbindgen:ptrs-as-arrays=[[key; 10]]
///
/// # Safety
/// Each pointer is null or points to what it says.
#[must_use]
#[unsafe(no_mangle)]
#[cfg_attr(twine_keys = "compact", unsafe(export_name = "twine80_init_compact"))]
pub unsafe extern "C" fn twine80_init(ctx: *mut twine80_ctx, key: *const u8) -> c_int {
    // SAFETY: by the caller's word.
    stack::leaving_nothing(|| unsafe { context::init(ctx, key) })
}

/// As twine128_encrypt_blocks, with a key of 80 bits.
///
/// # Safety
/// Each pointer is null or points to what it says.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn twine80_encrypt_blocks(
    ctx: *const twine80_ctx,
    buf: *mut u8,
    count: usize,
) -> c_int {
    // SAFETY: by the caller's word.
    unsafe { encrypt(ctx, buf, count) }
}

/// As twine128_decrypt_blocks, with a key of 80 bits.
///
/// # Safety
/// Each pointer is null or points to what it says.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn twine80_decrypt_blocks(
    ctx: *const twine80_ctx,
    buf: *mut u8,
    count: usize,
) -> c_int {
    // SAFETY: by the caller's word.
    unsafe { decrypt(ctx, buf, count) }
}

/// As twine128_clear, with a key of 80 bits.
///
/// # Safety
/// The pointer is null or points to a context that nobody uses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn twine80_clear(ctx: *mut twine80_ctx) {
    // SAFETY: by the caller's word.
    unsafe { context::clear(ctx) }
}
