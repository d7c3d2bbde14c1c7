//! Another Rust static library in the same program.

use std::ffi::{CStr, c_char};

/// The length of a string, with parts of Rust's library that can panic.
///
/// # Safety
/// `text` ends with a zero.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn other_length(text: *const c_char) -> usize {
    // SAFETY: by the caller's word.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_string_lossy().chars().rev().collect::<String>().len()
}
