//! The stack that a call has used, erased before it returns.
//!
//! Round keys are made in the context and zeroed copies of secrets are the libraries' business, but a compiler keeps what it
//! likes on the stack while it computes. Here it is known where: below the frame of the function that C has called.

use core::{
    ffi::c_int,
    hint::black_box,
    mem::MaybeUninit,
    sync::atomic::{Ordering, compiler_fence},
};

use crate::status::{Failure, code};

/// Whether the stack may be small. Elsewhere vectors make frames larger.
const IS_SMALL: bool = cfg!(any(target_arch = "arm", target_arch = "riscv32"));

/// Bytes that are erased after a key is set up or blocks are processed: at least what the deepest call takes. The tests see
/// if it takes more.
const CIPHER: usize = if IS_SMALL { 448 } else { 8192 };

/// The same after a message is sealed or opened.
const MESSAGE: usize = if IS_SMALL { 704 } else { 10240 };

/// The same with combined associated data, which are processed as messages are, one call further down.
const COMBINED: usize = if IS_SMALL { 896 } else { 10240 };

/// The same after what a sealer or an opener does.
const COUNTED: usize = if IS_SMALL { 864 } else { 10240 };

/// The same after a chunk of a stream is sealed or opened, for which a key may be derived.
const STREAM: usize = if IS_SMALL { 1120 } else { 10240 };

/// Bytes that are erased by one turn of the loop: eight words.
const STRIDE: usize = size_of::<[usize; 8]>();

/// Calls `f`, which sets up a key or processes blocks, and erases what it leaves on the stack.
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

/// Calls `f`, which makes or uses a sealer or an opener, and erases what it leaves on the stack.
#[inline(always)]
pub(crate) fn leaving_nothing_of_counted(f: impl FnOnce() -> Result<(), Failure>) -> c_int {
    let result = call(f);
    erase::<{ COUNTED / STRIDE }>();
    code(result)
}

/// Calls `f`, which seals or opens a chunk, and erases what it leaves on the stack.
#[inline(always)]
pub(crate) fn leaving_nothing_of_stream(f: impl FnOnce() -> Result<(), Failure>) -> c_int {
    let result = call(f);
    erase::<{ STREAM / STRIDE }>();
    code(result)
}

/// All of `f` is in the frame of this function, or below.
#[inline(never)]
fn call(f: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
    f()
}

/// Its frame begins where that of [`call`] did.
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
