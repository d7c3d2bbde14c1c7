//! Streams: long messages in chunks.

use twine_otr_aead::{
    ChunkOpener, ChunkSealer, Key, OpenError, SealError, StreamHeader, Tag, TwineOtr, aead::inout::InOutBuf,
};

use crate::{
    TWINE_OTR_CTX_WORDS,
    context::{self, Context},
    memory::{self, Region, apart},
    otr::{TAG_SIZE, or_zeros},
    sealer::{Algorithm, block_limit},
    status::{Failure, TWINE_OTR_STREAM_HEADER_SIZE},
};

/// Words of 8 bytes in a sealer of chunks.
pub const TWINE_OTR_CHUNK_SEALER_WORDS: usize = TWINE_OTR_CTX_WORDS + 9;

/// Words of 8 bytes in an opener of chunks.
pub const TWINE_OTR_CHUNK_OPENER_WORDS: usize = TWINE_OTR_CTX_WORDS + 10;

type Header = [u8; TWINE_OTR_STREAM_HEADER_SIZE];

fn stream_header([sender @ .., a, b, c, d, e, f, g, h]: Header) -> StreamHeader {
    StreamHeader::counted(sender, u64::from_be_bytes([a, b, c, d, e, f, g, h]))
}

/// # Safety
/// Each pointer is null or points to what it says, at any alignment.
pub(crate) unsafe fn seal_init<X: Context<Content = ChunkSealer<C>>, C: Algorithm + TwineOtr>(
    sealer: *mut X,
    key: *const Key<C>,
    header: *const Header,
    limit: u32,
) -> Result<(), Failure> {
    let set_up = |sealer: &mut ChunkSealer<C>| {
        let limit = block_limit(limit)?;
        // SAFETY: the pointers are not null, so the caller vouches for them. They do not overlap what is written.
        unsafe { sealer.start(&*key, stream_header(*header), limit) };
        Ok(())
    };
    let arguments = || Ok([Region::of(key)?, Region::of(header)?]);
    // SAFETY: by the caller's word.
    unsafe { context::make(sealer, arguments, ChunkSealer::without_key, set_up) }
}

/// Calls `seal` with the sealer, the associated data and the buffer, and writes the tag.
///
/// # Safety
/// Each pointer is null or points to as much as the length beside it, or its type, says.
pub(crate) unsafe fn seal<X: Context<Content = ChunkSealer<C>>, C: Algorithm + TwineOtr>(
    sealer: *mut X,
    (ad, ad_len): (*const u8, usize),
    (buf, len): (*mut u8, usize),
    tag: *mut [u8; TAG_SIZE],
    seal: impl FnOnce(&mut ChunkSealer<C>, &[u8], InOutBuf<'_, '_, u8>) -> Result<Tag<C>, SealError>,
) -> Result<(), Failure> {
    let (buf_region, ad_region, tag_region) =
        (Region::new(buf, len)?, Region::new(ad, ad_len)?, Region::of(tag)?);
    apart(Region::of(sealer)?, &[buf_region, ad_region, tag_region])?;
    apart(buf_region, &[ad_region, tag_region])?;
    // SAFETY: no pointer is null if it has a length, and no length exceeds that of an object. What is written does not overlap what is
    // borrowed with it. The tag is written when nothing is borrowed.
    unsafe {
        context::change(sealer, |sealer| {
            let (ad, buf) = (memory::slice(ad, ad_len), memory::slice_mut(buf, len));
            *tag = seal(sealer, ad, buf.into())?.into();
            Ok(())
        })
    }
}

/// # Safety
/// As for [`seal_init`].
pub(crate) unsafe fn open_init<X: Context<Content = ChunkOpener<C>>, C: Algorithm + TwineOtr>(
    opener: *mut X,
    key: *const Key<C>,
    header: *const Header,
    limit: u32,
    failures: u32,
) -> Result<(), Failure> {
    let set_up = |opener: &mut ChunkOpener<C>| {
        let limit = block_limit(limit)?;
        // SAFETY: as in `seal_init`.
        unsafe { opener.start(&*key, &*header, limit, failures) };
        Ok(())
    };
    let arguments = || Ok([Region::of(key)?, Region::of(header)?]);
    // SAFETY: by the caller's word.
    unsafe { context::make(opener, arguments, ChunkOpener::without_key, set_up) }
}

/// Calls `open` with the opener, the associated data, the buffer and the tag, and zeroes the buffer if it fails.
///
/// # Safety
/// As for [`seal`].
pub(crate) unsafe fn open<X: Context<Content = ChunkOpener<C>>, C: Algorithm + TwineOtr>(
    opener: *mut X,
    (ad, ad_len): (*const u8, usize),
    (buf, len): (*mut u8, usize),
    tag: *const [u8; TAG_SIZE],
    open: impl FnOnce(&mut ChunkOpener<C>, &[u8], InOutBuf<'_, '_, u8>, &Tag<C>) -> Result<(), OpenError>,
) -> Result<(), Failure> {
    let try_open = |buf_region| {
        let (ad_region, _) = (Region::new(ad, ad_len)?, Region::of(tag)?);
        apart(buf_region, &[ad_region])?;
        apart(Region::of(opener)?, &[ad_region])?;
        // SAFETY: as in `seal`; the tag is copied.
        unsafe {
            let tag = (*tag).into();
            context::change(opener, |opener| {
                let (ad, buf) = (memory::slice(ad, ad_len), memory::slice_mut(buf, len));
                Ok(open(opener, ad, buf.into(), &tag)?)
            })
        }
    };
    // SAFETY: by the caller's word.
    unsafe { or_zeros(opener, (buf, len), try_open) }
}

/// # Safety
/// The pointer is null or points to what it says.
pub(crate) unsafe fn check_complete<X: Context<Content = ChunkOpener<C>>, C: Algorithm + TwineOtr>(
    opener: *const X,
) -> Result<(), Failure> {
    // SAFETY: by the caller's word.
    if unsafe { context::content(opener) }?.is_complete() { Ok(()) } else { Err(Failure::Incomplete) }
}

/// The functions and types of streams for C, for a family of functions.
macro_rules! functions {
    ($prefix:literal) => {
        /// The sealer of a stream of chunks. As twine128_sealer, for the functions twine128_chunk_sealer_*, with TWINE128_CHUNK_SEALER_INIT.
        #[repr(C)]
        #[allow(missing_debug_implementations, reason = "secret, and C's")]
        pub struct chunk_sealer {
            /// Private.
            opaque: [u64; TWINE_OTR_CHUNK_SEALER_WORDS],
        }

        /// The opener of a stream of chunks. As twine128_sealer, for the functions twine128_chunk_opener_*, with TWINE128_CHUNK_OPENER_INIT.
        #[repr(C)]
        #[allow(missing_debug_implementations, reason = "secret, and C's")]
        pub struct chunk_opener {
            /// Private.
            opaque: [u64; TWINE_OTR_CHUNK_OPENER_WORDS],
        }

        /// Begins a stream, which is one long message in chunks. Each chunk has its own tag, so neither end ever holds more than one chunk. A chunk
        /// may have any length that fits into a segment. A chunk that was changed, dropped, repeated or moved does not open. A missing end is
        /// detected, see twine128_chunk_opener_check_complete.
        ///
        /// A stream that is interrupted, for example by a restart, cannot continue. The message must begin again as a new stream.
        ///
        /// cbindgen:ptrs-as-arrays=[[key; 16], [header; 16]]
        ///
        /// @param[out] sealer         The sealer. Its previous contents do not matter. It must not overlap key or header.
        /// @param[in]  key            The key, 16 bytes. Use it for streams only, and for at most 2^20 of them.
        /// @param[in]  header         16 bytes that differ from those of every other stream under the key: random bytes, or 8 bytes of the sender
        ///                            and a counter. They are sent before the first chunk. **A header must never be used again**, not even after a
        ///                            restart. Store it as used before the first chunk is sealed.
        /// @param[in]  segment_limit  The limit of blocks under the key of a segment, TWINE_OTR_BLOCK_LIMIT_SEGMENT as a rule. A chunk cannot
        ///                            exceed it either. The opener must have the same limit.
        /// @return TWINE_OTR_OK, or TWINE_OTR_ERR_ARGUMENT. Whatever the sealer was, it is refused then, and its first 8 bytes are zero.
        ///
        /// # Safety
        /// Each pointer is null or points to what it says.
        #[must_use]
        #[cfg_attr(not(twine_keys = "compact"), unsafe(export_name = concat!($prefix, "_chunk_sealer_init")))]
        #[cfg_attr(twine_keys = "compact", unsafe(export_name = concat!($prefix, "_chunk_sealer_init_compact")))]
        pub unsafe extern "C" fn chunk_sealer_init(
            sealer: *mut chunk_sealer,
            key: *const u8,
            header: *const u8,
            segment_limit: u32,
        ) -> c_int {
            // SAFETY: by the caller's word.
            stack::leaving_nothing_of_stream_init(|| unsafe {
                $crate::chunks::seal_init(sealer, key.cast(), header.cast(), segment_limit)
            })
        }

        /// Encrypts a chunk that is not the last one in place, and makes its tag.
        ///
        /// cbindgen:ptrs-as-arrays=[[tag; 8]]
        ///
        /// @param[in,out] sealer  The sealer.
        /// @param[in]     ad      The associated data of the chunk. May be null if ad_len is 0. It must not overlap *sealer.
        /// @param[in]     ad_len  Its length in bytes.
        /// @param[in,out] buf     The chunk; afterwards its ciphertext. May be null if len is 0. It must not overlap ad, tag or *sealer.
        /// @param[in]     len     Its length in bytes.
        /// @param[out]    tag     The tag, 8 bytes. It must not overlap buf or *sealer.
        /// @return TWINE_OTR_OK; or TWINE_OTR_ERR_ARGUMENT, TWINE_OTR_ERR_CONTEXT, TWINE_OTR_ERR_LIMIT or TWINE_OTR_ERR_FINISHED, and then nothing
        ///         has been written, and another chunk can be sealed.
        ///
        /// # Safety
        /// Each pointer is null or points to what it says.
        #[must_use]
        #[unsafe(export_name = concat!($prefix, "_chunk_sealer_seal"))]
        pub unsafe extern "C" fn chunk_sealer_seal(
            sealer: *mut chunk_sealer,
            ad: *const u8,
            ad_len: usize,
            buf: *mut u8,
            len: usize,
            tag: *mut u8,
        ) -> c_int {
            // SAFETY: by the caller's word.
            stack::leaving_nothing_of_stream(|| unsafe {
                $crate::chunks::seal(sealer, (ad, ad_len), (buf, len), tag.cast(), ChunkSealer::seal_chunk)
            })
        }

        /// Encrypts the last chunk in place, and makes its tag. As twine128_chunk_sealer_seal.
        ///
        /// cbindgen:ptrs-as-arrays=[[tag; 8]]
        ///
        /// # Safety
        /// Each pointer is null or points to what it says.
        #[must_use]
        #[unsafe(export_name = concat!($prefix, "_chunk_sealer_seal_last"))]
        pub unsafe extern "C" fn chunk_sealer_seal_last(
            sealer: *mut chunk_sealer,
            ad: *const u8,
            ad_len: usize,
            buf: *mut u8,
            len: usize,
            tag: *mut u8,
        ) -> c_int {
            // SAFETY: by the caller's word.
            stack::leaving_nothing_of_stream(|| unsafe {
                $crate::chunks::seal(sealer, (ad, ad_len), (buf, len), tag.cast(), ChunkSealer::seal_last)
            })
        }

        /// Erases a sealer of chunks. As twine128_otr_clear.
        ///
        /// # Safety
        /// The pointer is null or points to a sealer that nobody uses.
        #[unsafe(export_name = concat!($prefix, "_chunk_sealer_clear"))]
        pub unsafe extern "C" fn chunk_sealer_clear(sealer: *mut chunk_sealer) {
            // SAFETY: by the caller's word.
            unsafe { context::clear(sealer) }
        }

        /// Begins to open a stream. Two openers of one stream open it twice. To prevent that, remember the headers of the streams that were opened.
        ///
        /// cbindgen:ptrs-as-arrays=[[key; 16], [header; 16]]
        ///
        /// @param[out] opener         The opener. Its previous contents do not matter. It must not overlap key or header.
        /// @param[in]  key            The key, 16 bytes.
        /// @param[in]  header         The header that was received, 16 bytes.
        /// @param[in]  segment_limit  As for the sealer.
        /// @param[in]  failure_limit  The attempts that may fail in the whole stream, TWINE_OTR_FAILURE_LIMIT_DEFAULT as a rule.
        /// @return As twine128_chunk_sealer_init.
        ///
        /// # Safety
        /// Each pointer is null or points to what it says.
        #[must_use]
        #[cfg_attr(not(twine_keys = "compact"), unsafe(export_name = concat!($prefix, "_chunk_opener_init")))]
        #[cfg_attr(twine_keys = "compact", unsafe(export_name = concat!($prefix, "_chunk_opener_init_compact")))]
        pub unsafe extern "C" fn chunk_opener_init(
            opener: *mut chunk_opener,
            key: *const u8,
            header: *const u8,
            segment_limit: u32,
            failure_limit: u32,
        ) -> c_int {
            // SAFETY: by the caller's word.
            stack::leaving_nothing_of_stream_init(|| unsafe {
                $crate::chunks::open_init(opener, key.cast(), header.cast(), segment_limit, failure_limit)
            })
        }

        /// Decrypts the next chunk, which is not the last one, in place. If it is not the next one, or its tag is wrong, the buffer is zero
        /// afterwards, and another copy of the chunk can be tried. A chunk that is opened is genuine and in the right place. Only
        /// twine128_chunk_opener_check_complete says whether the message is complete.
        ///
        /// cbindgen:ptrs-as-arrays=[[tag; 8]]
        ///
        /// @param[in,out] opener  The opener.
        /// @param[in]     ad      The associated data of the chunk. May be null if ad_len is 0. It must not overlap *opener.
        /// @param[in]     ad_len  Its length in bytes.
        /// @param[in,out] buf     The ciphertext; afterwards the chunk, or zeros. May be null if len is 0. It must not overlap ad or *opener.
        /// @param[in]     len     Its length in bytes.
        /// @param[in]     tag     The tag, 8 bytes.
        /// @return TWINE_OTR_OK; TWINE_OTR_ERR_AUTHENTICATION; TWINE_OTR_ERR_FINISHED; TWINE_OTR_ERR_LIMIT, also if the blocks of failed attempts
        ///         would exceed the limit; TWINE_OTR_ERR_FAILURES; TWINE_OTR_ERR_ARGUMENT; or TWINE_OTR_ERR_CONTEXT. On any of these errors buf is
        ///         zero, unless buf and len themselves were refused, or buf overlaps *opener. Then nothing has been written.
        ///
        /// # Safety
        /// Each pointer is null or points to what it says.
        #[must_use]
        #[unsafe(export_name = concat!($prefix, "_chunk_opener_open"))]
        pub unsafe extern "C" fn chunk_opener_open(
            opener: *mut chunk_opener,
            ad: *const u8,
            ad_len: usize,
            buf: *mut u8,
            len: usize,
            tag: *const u8,
        ) -> c_int {
            // SAFETY: by the caller's word.
            stack::leaving_nothing_of_stream(|| unsafe {
                $crate::chunks::open(opener, (ad, ad_len), (buf, len), tag.cast(), ChunkOpener::open_chunk)
            })
        }

        /// Decrypts the last chunk in place. As twine128_chunk_opener_open.
        ///
        /// cbindgen:ptrs-as-arrays=[[tag; 8]]
        ///
        /// # Safety
        /// Each pointer is null or points to what it says.
        #[must_use]
        #[unsafe(export_name = concat!($prefix, "_chunk_opener_open_last"))]
        pub unsafe extern "C" fn chunk_opener_open_last(
            opener: *mut chunk_opener,
            ad: *const u8,
            ad_len: usize,
            buf: *mut u8,
            len: usize,
            tag: *const u8,
        ) -> c_int {
            // SAFETY: by the caller's word.
            stack::leaving_nothing_of_stream(|| unsafe {
                $crate::chunks::open(opener, (ad, ad_len), (buf, len), tag.cast(), ChunkOpener::open_last)
            })
        }

        /// Checks that the last chunk was opened, and so the whole message. **Call this when no more chunks come**: if it fails, the stream was cut
        /// short.
        ///
        /// @param[in] opener  The opener.
        /// @return TWINE_OTR_OK; TWINE_OTR_ERR_INCOMPLETE if the last chunk was not opened; or TWINE_OTR_ERR_ARGUMENT or TWINE_OTR_ERR_CONTEXT.
        ///
        /// # Safety
        /// The pointer is null or points to what it says.
        #[must_use]
        #[unsafe(export_name = concat!($prefix, "_chunk_opener_check_complete"))]
        pub unsafe extern "C" fn chunk_opener_check_complete(opener: *const chunk_opener) -> c_int {
            // SAFETY: by the caller's word.
            status::code(unsafe { $crate::chunks::check_complete(opener) })
        }

        /// Erases an opener of chunks. As twine128_otr_clear.
        ///
        /// # Safety
        /// The pointer is null or points to an opener that nobody uses.
        #[unsafe(export_name = concat!($prefix, "_chunk_opener_clear"))]
        pub unsafe extern "C" fn chunk_opener_clear(opener: *mut chunk_opener) {
            // SAFETY: by the caller's word.
            unsafe { context::clear(opener) }
        }

        context::context!(chunk_sealer, ChunkSealer<Algorithm>, concat!($prefix, "_chunk_sealer"));
        context::context!(chunk_opener, ChunkOpener<Algorithm>, concat!($prefix, "_chunk_opener"));
    };
}

pub(crate) use functions;
