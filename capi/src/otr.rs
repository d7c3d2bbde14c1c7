//! Authenticated encryption.

use twine_otr_aead::{AeadInOut, aead, count_blocks};

use crate::{
    context::{self, Context},
    memory::{self, Region, apart},
    status::{Failure, TWINE_OTR_NONCE_SIZE, TWINE_OTR_TAG_SIZE},
};

pub(crate) const NONCE_SIZE: usize = TWINE_OTR_NONCE_SIZE;
pub(crate) const TAG_SIZE: usize = TWINE_OTR_TAG_SIZE;

/// Sealing and opening with the sizes of this interface.
pub(crate) trait Aead {
    fn seal(&self, nonce: [u8; NONCE_SIZE], ad: &[u8], buf: &mut [u8])
    -> Result<[u8; TAG_SIZE], aead::Error>;
    fn open(
        &self,
        nonce: [u8; NONCE_SIZE],
        ad: &[u8],
        buf: &mut [u8],
        tag: [u8; TAG_SIZE],
    ) -> Result<(), aead::Error>;
}

impl<O> Aead for O
where
    O: AeadInOut<NonceSize = aead::consts::U7, TagSize = aead::consts::U8>,
{
    fn seal(
        &self,
        nonce: [u8; NONCE_SIZE],
        ad: &[u8],
        buf: &mut [u8],
    ) -> Result<[u8; TAG_SIZE], aead::Error> {
        self.encrypt_inout_detached(&nonce.into(), ad, buf.into()).map(Into::into)
    }

    fn open(
        &self,
        nonce: [u8; NONCE_SIZE],
        ad: &[u8],
        buf: &mut [u8],
        tag: [u8; TAG_SIZE],
    ) -> Result<(), aead::Error> {
        self.decrypt_inout_detached(&nonce.into(), ad, buf.into(), &tag.into())
    }
}

/// # Safety
/// Each pointer is null or points to as much as the length beside it, or its type, says.
pub(crate) unsafe fn seal<X: Context<Content: Aead>>(
    ctx: *const X,
    nonce: *const [u8; NONCE_SIZE],
    (ad, ad_len): (*const u8, usize),
    (buf, len): (*mut u8, usize),
    tag: *mut [u8; TAG_SIZE],
) -> Result<(), Failure> {
    let (buf_region, tag_region, ctx_region) = (Region::new(buf, len)?, Region::of(tag)?, Region::of(ctx)?);
    let (ad_region, _) = (Region::new(ad, ad_len)?, Region::of(nonce)?);
    apart(buf_region, &[tag_region, ad_region, ctx_region])?;
    apart(tag_region, &[ctx_region])?;
    // SAFETY: by the caller's word.
    let cipher = unsafe { context::content(ctx)? };
    // SAFETY: nothing is null where it has a length, no length exceeds an object's, and what is written is apart from what
    // is borrowed with it; the nonce is copied, and the tag written when nothing is borrowed.
    unsafe {
        let (nonce, ad, buf) = (*nonce, memory::slice(ad, ad_len), memory::slice_mut(buf, len));
        *tag = cipher.seal(nonce, ad, buf).map_err(|_| Failure::Argument)?;
    }
    Ok(())
}

/// # Safety
/// As for [`seal`].
pub(crate) unsafe fn open<X: Context<Content: Aead>>(
    ctx: *const X,
    nonce: *const [u8; NONCE_SIZE],
    (ad, ad_len): (*const u8, usize),
    (buf, len): (*mut u8, usize),
    tag: *const [u8; TAG_SIZE],
) -> Result<(), Failure> {
    let try_open = |buf_region| {
        let (ad_region, _, _) = (Region::new(ad, ad_len)?, Region::of(nonce)?, Region::of(tag)?);
        apart(buf_region, &[ad_region])?;
        // SAFETY: by the caller's word.
        let cipher = unsafe { context::content(ctx)? };
        // SAFETY: as in `seal`; the tag is copied like the nonce.
        unsafe {
            let (nonce, tag) = (*nonce, *tag);
            let (ad, buf) = (memory::slice(ad, ad_len), memory::slice_mut(buf, len));
            cipher.open(nonce, ad, buf, tag).map_err(|_| Failure::Authentication)
        }
    };
    // SAFETY: by the caller's word.
    unsafe { or_zeros(ctx, (buf, len), try_open) }
}

/// Calls `try_open`, and zeroes the buffer if it fails for any reason. It does not if the buffer itself is refused or overlaps the context.
///
/// # Safety
/// As for [`seal`]; of the buffer nothing is borrowed when `try_open` has returned.
#[inline(always)]
pub(crate) unsafe fn or_zeros<X>(
    ctx: *const X,
    (buf, len): (*mut u8, usize),
    try_open: impl FnOnce(Region) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let buf_region = Region::new(buf, len)?;
    // Such a buffer is not zeroed: a context with its mark and other round keys would be one with a known key.
    apart(buf_region, &[Region::around(ctx)])?;
    let result = try_open(buf_region);
    if result.is_err() {
        // SAFETY: the buffer is not null if it has a length; the caller vouches for the rest.
        unsafe { buf.write_bytes(0, len) };
    }
    result
}

/// Counts the blocks of a message against the limit under a key, which is 2^20 by default. The result is 1, plus the blocks of 8 bytes of the
/// message (at least 1), plus those of its associated data (at least 1). A message that fails to open counts as much as one that is sealed.
///
/// @param[in] ad_len  The length of the associated data in bytes.
/// @param[in] len     The length of the message in bytes.
/// @return The blocks, at least 3.
#[must_use]
#[unsafe(no_mangle)]
pub extern "C" fn twine_otr_count_blocks(ad_len: usize, len: usize) -> u64 {
    count_blocks(ad_len, len)
}

/// The functions and types of the mode without counting for C, for a family of functions.
macro_rules! functions {
    ($prefix:literal) => {
        /// An expanded key of TWINE-OTR.
        ///
        /// The caller declares it, on the stack or elsewhere, and uses it only through the functions `twine128_otr_*`. It holds no pointers. A
        /// copy by assignment or memcpy works like the original, and must be cleared too.
        /// TWINE128_OTR_CTX_INIT makes one that is refused until it is initialised.
        #[repr(C)]
        #[allow(missing_debug_implementations, reason = "secret, and C's")]
        pub struct otr_ctx {
            /// Private.
            opaque: [u64; TWINE_OTR_CTX_WORDS],
        }

        /// Initialises a context with a key.
        ///
        /// A context that is already initialised may be initialised again, with the same or another key. It is refused from the first write on,
        /// until the whole new key is written. So an interrupt handler or a fault in between finds no context of mixed keys.
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
        #[cfg_attr(not(twine_keys = "compact"), unsafe(export_name = concat!($prefix, "_otr_init")))]
        #[cfg_attr(twine_keys = "compact", unsafe(export_name = concat!($prefix, "_otr_init_compact")))]
        pub unsafe extern "C" fn otr_init(ctx: *mut otr_ctx, key: *const u8) -> c_int {
            // SAFETY: by the caller's word.
            stack::leaving_nothing(|| unsafe { context::init(ctx, key) })
        }

        /// Encrypts a message in place, and makes the tag that authenticates it and its associated data.
        ///
        /// The nonce must never be used again under this key. Use a counter that survives a reset. See the limits above.
        ///
        /// cbindgen:ptrs-as-arrays=[[nonce; 7], [tag; 8]]
        ///
        /// @param[in]     ctx     An initialised context.
        /// @param[in]     nonce   The nonce, 7 bytes. The receiver needs it too; it is not secret.
        /// @param[in]     ad      The associated data. It is authenticated, but not encrypted. May be null if ad_len is 0.
        /// @param[in]     ad_len  Its length in bytes.
        /// @param[in,out] buf     The message; afterwards the ciphertext, of the same length. May be null if len is 0. It must not
        ///                        overlap ad, tag or *ctx.
        /// @param[in]     len     Its length in bytes.
        /// @param[out]    tag     The tag, 8 bytes. It must not overlap buf or *ctx.
        /// @return TWINE_OTR_OK; or TWINE_OTR_ERR_ARGUMENT or TWINE_OTR_ERR_CONTEXT, and then nothing has been written: buf is still
        ///         the plaintext and must not be sent.
        ///
        /// # Safety
        /// Each pointer is null or points to what it says.
        #[must_use]
        #[unsafe(export_name = concat!($prefix, "_otr_seal"))]
        pub unsafe extern "C" fn otr_seal(
            ctx: *const otr_ctx,
            nonce: *const u8,
            ad: *const u8,
            ad_len: usize,
            buf: *mut u8,
            len: usize,
            tag: *mut u8,
        ) -> c_int {
            // SAFETY: by the caller's word.
            leaving_nothing_of_message(|| unsafe {
                $crate::otr::seal(ctx, nonce.cast(), (ad, ad_len), (buf, len), tag.cast())
            })
        }

        /// Decrypts a message in place, if its tag is right. If not, the buffer is zero afterwards.
        ///
        /// The tag is compared in constant time.
        ///
        /// cbindgen:ptrs-as-arrays=[[nonce; 7], [tag; 8]]
        ///
        /// @param[in]     ctx     An initialised context.
        /// @param[in]     nonce   The nonce that the message was sealed with, 7 bytes.
        /// @param[in]     ad      The associated data that the message was sealed with. May be null if ad_len is 0.
        /// @param[in]     ad_len  Its length in bytes.
        /// @param[in,out] buf     The ciphertext; afterwards the message, of the same length, or zeros. May be null if len is 0. It
        ///                        must not overlap ad or *ctx.
        /// @param[in]     len     Its length in bytes.
        /// @param[in]     tag     The tag, 8 bytes.
        /// @return TWINE_OTR_OK; TWINE_OTR_ERR_AUTHENTICATION if the tag is wrong; TWINE_OTR_ERR_ARGUMENT; or TWINE_OTR_ERR_CONTEXT.
        ///         On any of these errors buf is zero, unless buf and len themselves were refused, or buf overlaps *ctx: then nothing
        ///         has been written. If buf overlaps ad, what they share is zero too.
        ///
        /// # Safety
        /// Each pointer is null or points to what it says.
        #[must_use]
        #[unsafe(export_name = concat!($prefix, "_otr_open"))]
        pub unsafe extern "C" fn otr_open(
            ctx: *const otr_ctx,
            nonce: *const u8,
            ad: *const u8,
            ad_len: usize,
            buf: *mut u8,
            len: usize,
            tag: *const u8,
        ) -> c_int {
            // SAFETY: by the caller's word.
            leaving_nothing_of_message(|| unsafe {
                $crate::otr::open(ctx, nonce.cast(), (ad, ad_len), (buf, len), tag.cast())
            })
        }

        /// Erases a context. It has to be initialised before it can be used again; until then it is refused.
        ///
        /// The compiler cannot leave this out, unlike a memset before the end of a scope.
        ///
        /// @param[out] ctx  The context, initialised or not, or a copy of one, at any alignment. Null is allowed, and does nothing.
        ///
        /// # Safety
        /// The pointer is null or points to a context that nobody uses.
        #[unsafe(export_name = concat!($prefix, "_otr_clear"))]
        pub unsafe extern "C" fn otr_clear(ctx: *mut otr_ctx) {
            // SAFETY: by the caller's word.
            unsafe { context::clear(ctx) }
        }

        context::context!(otr_ctx, Algorithm, concat!($prefix, "_otr_ctx"));
    };
}

pub(crate) use functions;
