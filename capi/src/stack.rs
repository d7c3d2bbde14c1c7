//! Erasing the stack that a call has used, before it returns.
//!
//! The libraries make round keys in place and erase their own copies of secrets. But a compiler may put any value on the stack while it
//! computes. Here it is known where such values are: below the frame of the function that C has called.

use core::{
    ffi::c_int,
    hint::black_box,
    mem::MaybeUninit,
    sync::atomic::{Ordering, compiler_fence},
};

use crate::status::{Failure, code};

/// Whether the stack may be small. On other targets vectors make frames larger.
const IS_SMALL: bool = cfg!(any(target_arch = "arm", target_arch = "riscv32"));

/// The bytes that are erased after the key of a context is set up or blocks are processed. They are at least as many as the deepest call
/// takes, which the tests check.
const CIPHER: usize = if IS_SMALL { 448 } else { 8192 };

/// The bytes that are erased after a message is sealed or opened.
const MESSAGE: usize = if IS_SMALL { 704 } else { 10240 };

/// The bytes that are erased after a message with combined associated data. This is processed as a message is, one call deeper.
const COMBINED: usize = if IS_SMALL { 896 } else { 10240 };

/// The bytes that are erased after the key of a sealer or an opener is set up.
const COUNTED_INIT: usize = if IS_SMALL { 384 } else { 8192 };

/// The bytes that are erased after any other call of a sealer or an opener.
const COUNTED: usize = if IS_SMALL { 864 } else { 10240 };

/// The bytes that are erased after a stream begins, which derives keys.
const STREAM_INIT: usize = if IS_SMALL { 576 } else { 10240 };

/// The bytes that are erased after a chunk of a stream is sealed or opened. A chunk may derive a key.
const STREAM: usize = if IS_SMALL { 1120 } else { 10240 };

/// The bytes that are erased after a call of a sealer or an opener with masks.
#[cfg(twine_masked)]
const MASKED: usize = if IS_SMALL { 1280 } else { 10240 };

/// The bytes that one turn of the loop erases: eight words.
const STRIDE: usize = size_of::<[usize; 8]>();

/// Calls `f`, which sets up the key of a context or processes blocks, and erases what it leaves on the stack.
#[inline(always)]
pub(crate) fn leaving_nothing(f: impl FnOnce() -> Result<(), Failure>) -> c_int {
    let result = call(f);
    erase::<{ CIPHER / STRIDE }>();
    code(result)
}

/// Calls `f`, which seals or opens a message, and erases what it leaves on the stack.
#[inline(always)]
pub(crate) fn leaving_nothing_of_message(f: impl FnOnce() -> Result<(), Failure>) -> c_int {
    let result = call(f);
    erase::<{ MESSAGE / STRIDE }>();
    code(result)
}

/// Calls `f`, which seals or opens a message with combined associated data, and erases what it leaves on the stack.
#[inline(always)]
pub(crate) fn leaving_nothing_of_combined(f: impl FnOnce() -> Result<(), Failure>) -> c_int {
    let result = call(f);
    erase::<{ COMBINED / STRIDE }>();
    code(result)
}

/// Calls `f`, which sets up the key of a sealer or an opener, and erases what it leaves on the stack.
#[inline(always)]
pub(crate) fn leaving_nothing_of_counted_init(f: impl FnOnce() -> Result<(), Failure>) -> c_int {
    let result = call(f);
    erase::<{ COUNTED_INIT / STRIDE }>();
    code(result)
}

/// Calls `f`, which uses a sealer or an opener or its state, and erases what it leaves on the stack.
#[inline(always)]
pub(crate) fn leaving_nothing_of_counted(f: impl FnOnce() -> Result<(), Failure>) -> c_int {
    let result = call(f);
    erase::<{ COUNTED / STRIDE }>();
    code(result)
}

/// Calls `f`, which uses a sealer or an opener with masks, and erases what it leaves on the stack.
#[cfg(twine_masked)]
#[inline(always)]
pub(crate) fn leaving_nothing_of_masked(f: impl FnOnce() -> Result<(), Failure>) -> c_int {
    let result = call(f);
    erase::<{ MASKED / STRIDE }>();
    code(result)
}

/// Calls `f`, which begins a stream, and erases what it leaves on the stack.
#[inline(always)]
pub(crate) fn leaving_nothing_of_stream_init(f: impl FnOnce() -> Result<(), Failure>) -> c_int {
    let result = call(f);
    erase::<{ STREAM_INIT / STRIDE }>();
    code(result)
}

/// Calls `f`, which seals or opens a chunk, and erases what it leaves on the stack.
#[inline(always)]
pub(crate) fn leaving_nothing_of_stream(f: impl FnOnce() -> Result<(), Failure>) -> c_int {
    let result = call(f);
    erase::<{ STREAM / STRIDE }>();
    code(result)
}

/// Calls `f`. All of `f` is in the frame of this function or below it.
#[inline(never)]
fn call(f: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
    f()
}

/// Erases the stack. The frame of this function begins where that of [`call`] did.
#[inline(never)]
fn erase<const STRIDES: usize>() {
    let mut frame = [const { MaybeUninit::<[usize; 8]>::uninit() }; STRIDES];
    for words in &mut frame {
        let words = words.as_mut_ptr().cast::<usize>();
        macro_rules! erase_words {
            ($($i:literal)*) => {
                // SAFETY: there are eight words.
                unsafe { $(words.add($i).write_volatile(0);)* }
            };
        }
        erase_words!(0 1 2 3 4 5 6 7);
    }
    compiler_fence(Ordering::SeqCst);
    black_box(&frame);
}
