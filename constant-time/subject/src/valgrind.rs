//! Requests to memcheck, which marks memory as undefined: every branch and address that depends on it is then reported.

use std::arch::asm;

use operations::declassified::Output;

/// Requests of memcheck start with its letters.
const MEMCHECK: usize = (b'M' as usize) << 24 | (b'C' as usize) << 16;
const MAKE_UNDEFINED: usize = MEMCHECK + 1;
const MAKE_DEFINED: usize = MEMCHECK + 2;
const RUNNING_ON_VALGRIND: usize = 0x1001;

/// Asks valgrind, which knows the instructions; without valgrind they do nothing, and the answer is 0.
fn request(number: usize, address: usize, len: usize) -> usize {
    let arguments = [number, address, len, 0, 0, 0];
    let mut answer = 0;
    // SAFETY: the rotations add up to twice 64 bits, and exchanging a register with itself does nothing. Valgrind reads the
    // six arguments, and writes but `rdx`.
    unsafe {
        asm!(
            "rol rdi, 3",
            "rol rdi, 13",
            "rol rdi, 61",
            "rol rdi, 51",
            "xchg rbx, rbx",
            inout("rdx") answer,
            in("rax") arguments.as_ptr(),
            options(nostack),
        );
    }
    answer
}

/// Whether valgrind runs this process.
pub(crate) fn is_running() -> bool {
    request(RUNNING_ON_VALGRIND, 0, 0) != 0
}

/// Marks `bytes` as secret.
pub(crate) fn make_secret(bytes: &[u8]) {
    request(MAKE_UNDEFINED, bytes.as_ptr().addr(), bytes.len());
}

/// Marks `bytes` as public, because they are an `output`.
pub(crate) fn declassify(_output: Output, bytes: &[u8]) {
    request(MAKE_DEFINED, bytes.as_ptr().addr(), bytes.len());
}
