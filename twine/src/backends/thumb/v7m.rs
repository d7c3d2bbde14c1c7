//! Kernels for ARMv7-M, ARMv7E-M and ARMv8-M with the Main Extension.
//!
//! # Lanes
//! The bit of block `k` in lane `p` is bit `k ^ LANES[p]` of a word, with `LANES` = 24, 16, 8, 0, 7, 15, 23, 31. So the four exchanges of lanes
//! are nothing, `rev16`, `rbit`, and a rotation by 16, which is free as part of the following `eor`. The first four bytes of block `k` make row
//! `k` of the transposition. The last four bytes, which `rbit` exchanges with them, make row `7 - k`.
//!
//! # Registers
//! The state has 8 registers, the pointer to the round keys has one, and the S-box circuit has the other 5. It would need one more if plane 1
//! of the odd half were not added in two parts.

use core::{arch::asm, ptr};

use super::{Block, RoundKeys, WIDTH};

/// `ldr` and `str` take any address.
pub(super) const ALIGNMENT: usize = 1;

/// The order of the nibbles of a round key. It is that of the packed key, because lane `p` has the four bits `k ^ LANES[p]`, which are a nibble.
pub(super) fn order(packed: u32) -> u32 {
    packed
}

/// Lines of assembly.
macro_rules! lines {
    ($($line:expr)*) => { concat!($($line, "\n",)*) };
}

/// Exchanges the bits of $low under $mask << $shift with those of $high under $mask.
macro_rules! exchange {
    ($low:literal, $high:literal, $shift:literal, $mask:literal) => {
        lines! {
            concat!("eor r1, ", $high, ", ", $low, ", lsr #", $shift)
            concat!("and r1, r1, #", $mask)
            concat!("eor ", $high, ", ", $high, ", r1")
            concat!("eor ", $low, ", ", $low, ", r1, lsl #", $shift)
        }
    };
}

/// The transposition of rows and bits of bytes is its own inverse. After it, row `i` holds bit `i` of every byte. This is the part within
/// four rows, for both halves of the state: r6 to r9, and r10, r11, r12, lr.
macro_rules! transpose_within_halves {
    () => {
        lines! {
            exchange!("r6", "r7", 1, 0x55555555) exchange!("r8", "r9", 1, 0x55555555)
            exchange!("r10", "r11", 1, 0x55555555) exchange!("r12", "lr", 1, 0x55555555)
            exchange!("r6", "r8", 2, 0x33333333) exchange!("r7", "r9", 2, 0x33333333)
            exchange!("r10", "r12", 2, 0x33333333) exchange!("r11", "lr", 2, 0x33333333)
        }
    };
}

/// The rest of the transposition: the first four registers have the first four rows.
macro_rules! transpose_across_halves {
    ($r0:literal $r1:literal $r2:literal $r3:literal $r4:literal $r5:literal $r6:literal $r7:literal) => {
        lines! {
            exchange!($r0, $r4, 4, 0x0F0F0F0F) exchange!($r1, $r5, 4, 0x0F0F0F0F)
            exchange!($r2, $r6, 4, 0x0F0F0F0F) exchange!($r3, $r7, 4, 0x0F0F0F0F)
        }
    };
}

/// The code between the parts that both transpositions share, and the code after the second one.
#[cfg(not(twine_keys = "compact"))]
macro_rules! transpose_around {
    ({ $($between:expr)* } { $($behind:expr)* }) => {
        lines! {
            transpose_within_halves!()
            $($between)*
            transpose_within_halves!()
            $($behind)*
        }
    };
}

/// The same code with the shared part only once. r2 says which transposition this is.
#[cfg(twine_keys = "compact")]
macro_rules! transpose_around {
    ({ $($between:expr)* } { $($behind:expr)* }) => {
        lines! {
            "movs r2, #0"
            "4:"
            transpose_within_halves!()
            "cmp r2, #0"
            "bne 3f"
            $($between)*
            "movs r2, #1"
            "b 4b"
            "3:"
            $($behind)*
        }
    };
}

/// Loads the round keys of the next round, or of the one before, into r1 to r4.
#[cfg(not(twine_keys = "compact"))]
macro_rules! load_key {
    (next) => {
        "ldmia r0!, {{r1-r4}}\n"
    };
    (previous) => {
        "ldmdb r0!, {{r1-r4}}\n"
    };
}

/// Loads the round keys of the next round, or of the one before, into r1 to r4: bit `b` of each nibble, four times.
#[cfg(twine_keys = "compact")]
macro_rules! load_key {
    (next) => {
        lines! { "ldr r5, [r0], #4" load_key!() }
    };
    (previous) => {
        lines! { "ldr r5, [r0, #-4]!" load_key!() }
    };
    () => {
        lines! {
            "and r1, r5, #0x11111111"
            "lsrs r2, r5, #1"
            "lsrs r3, r5, #2"
            "lsrs r4, r5, #3"
            "and r2, r2, #0x11111111"
            "and r3, r3, #0x11111111"
            "and r4, r4, #0x11111111"
            "rsb r1, r1, r1, lsl #4"
            "rsb r2, r2, r2, lsl #4"
            "rsb r3, r3, r3, lsl #4"
            "rsb r4, r4, r4, lsl #4"
        }
    };
}

/// Moves the lanes of the planes in r1 to r4 as $move says, if that takes instructions. The circuit treats all lanes alike, so its input can
/// be moved instead of its output.
macro_rules! exchange_lanes {
    (nothing) => {
        ""
    };
    (ror_16) => {
        ""
    };
    ($instruction:ident) => {
        lines! {
            concat!(stringify!($instruction), " r1, r1")
            concat!(stringify!($instruction), " r2, r2")
            concat!(stringify!($instruction), " r3, r3")
            concat!(stringify!($instruction), " r4, r4")
        }
    };
}

/// Adds $from to $to, and does the rest of the move.
macro_rules! add {
    (ror_16, $to:literal, $from:literal) => {
        concat!("eor ", $to, ", ", $to, ", ", $from, ", ror #16\n")
    };
    ($move:ident, $to:literal, $from:literal) => {
        concat!("eor ", $to, ", ", $from, "\n")
    };
}

/// Does a round, without its shuffle but with the exchange of lanes. It adds the S-box circuit of `even` and the key to `odd`.
macro_rules! round {
    ($key:ident, $move:ident,
     $e0:literal $e1:literal $e2:literal $e3:literal, $o0:literal $o1:literal $o2:literal $o3:literal) => {
        lines! {
            load_key!($key)
            concat!("eors r1, ", $e0)
            concat!("eors r2, ", $e1)
            concat!("eors r3, ", $e2)
            concat!("eors r4, ", $e3)
            exchange_lanes!($move)
            // x0 to x3 are in r1 to r4; r5 = t0, r1 = t1.
            "and r5, r3, r4"
            "eors r5, r1"
            "ands r1, r5"
            add!($move, $o1, "r5")
            // r5 = t2, r3 = t3, r1 = y3.
            "eors r5, r4"
            "orrs r5, r2"
            "eors r3, r5"
            "eors r1, r3"
            // r4 = y2; y1 = t0 ^ r5.
            "orr r5, r3, r2"
            "eors r4, r5"
            "and r5, r1, r4"
            add!($move, $o1, "r5")
            // r2 = y0.
            "orrs r3, r4"
            "eors r2, r3"
            add!($move, $o0, "r2")
            add!($move, $o2, "r4")
            add!($move, $o3, "r1")
        }
    };
}

/// Changes the basis of four planes, to that of the circuit. The planes 1 and 2 exchange registers.
macro_rules! to_basis {
    ($x0:literal $x1:literal $x2:literal $x3:literal) => {
        lines! {
            concat!("eor ", $x0, ", ", $x1)
            concat!("eor ", $x3, ", ", $x0)
            concat!("eor ", $x1, ", ", $x2)
        }
    };
}

/// The inverse of [`to_basis`], with the registers in the same order.
macro_rules! from_basis {
    ($x0:literal $x1:literal $x2:literal $x3:literal) => {
        lines! {
            concat!("eor ", $x1, ", ", $x2)
            concat!("eor ", $x3, ", ", $x0)
            concat!("eor ", $x0, ", ", $x1)
        }
    };
}

/// [`to_basis`] with a rotation by 16 of all four planes.
macro_rules! rotate_to_basis {
    ($x0:literal $x1:literal $x2:literal $x3:literal) => {
        lines! {
            concat!("ror ", $x1, ", ", $x1, ", #16")
            concat!("ror ", $x2, ", ", $x2, ", #16")
            concat!("eor ", $x0, ", ", $x1, ", ", $x0, ", ror #16")
            concat!("eor ", $x3, ", ", $x0, ", ", $x3, ", ror #16")
            concat!("eor ", $x1, ", ", $x2)
        }
    };
}

/// The inverse of [`rotate_to_basis`].
macro_rules! rotate_from_basis {
    ($x0:literal $x1:literal $x2:literal $x3:literal) => {
        lines! {
            concat!("ror ", $x2, ", ", $x2, ", #16")
            concat!("ror ", $x0, ", ", $x0, ", #16")
            concat!("eor ", $x1, ", ", $x2, ", ", $x1, ", ror #16")
            concat!("eor ", $x3, ", ", $x0, ", ", $x3, ", ror #16")
            concat!("eor ", $x0, ", ", $x1)
        }
    };
}

/// Puts the bytes b0 b1 b2 b3 | b4 b5 b6 b7 of a block into the lanes of the first round: b4 b2 b1 b0 | b3 b5 b6 b7.
macro_rules! place_first {
    ($low:literal, $high:literal) => {
        lines! {
            concat!("lsr r1, ", $low, ", #24")
            concat!("bfi ", $low, ", ", $high, ", #24, #8")
            concat!("bfi ", $high, ", r1, #0, #8")
            concat!("rev ", $low, ", ", $low)
        }
    };
}

/// The inverse of [`place_first`].
macro_rules! unplace_first {
    ($low:literal, $high:literal) => {
        lines! {
            concat!("rev ", $low, ", ", $low)
            concat!("lsr r1, ", $low, ", #24")
            concat!("bfi ", $low, ", ", $high, ", #24, #8")
            concat!("bfi ", $high, ", r1, #0, #8")
        }
    };
}

/// Puts the bytes b0 b1 b2 b3 | b4 b5 b6 b7 of a block, in r2 and r3, into the lanes of the last round: b2 b7 b4 b6 | b5 b0 b3 b1.
macro_rules! place_last {
    ($low:literal, $high:literal) => {
        lines! {
            concat!("ror ", $low, ", r3, #16")
            "lsrs r1, r2, #16"
            concat!("bfi ", $low, ", r1, #0, #8")
            "lsrs r1, r3, #16"
            concat!("bfi ", $low, ", r1, #24, #8")
            concat!("rev16 ", $high, ", r2")
            concat!("bfi ", $high, ", ", $high, ", #24, #8")
            "lsrs r1, r3, #8"
            concat!("bfi ", $high, ", r1, #0, #8")
        }
    };
}

/// The inverse of [`place_last`]: the block is in r2 and r3.
macro_rules! unplace_last {
    ($low:literal, $high:literal) => {
        lines! {
            concat!("rev16 r2, ", $high)
            concat!("lsr r1, ", $high, ", #24")
            "bfi r2, r1, #8, #8"
            concat!("bfi r2, ", $low, ", #16, #8")
            concat!("ror r3, ", $low, ", #16")
            concat!("bfi r3, ", $high, ", #8, #8")
            concat!("lsr r1, ", $low, ", #24")
            "bfi r3, r1, #16, #8"
        }
    };
}

/// Encrypts four blocks.
///
/// # Safety
/// As [`super::Kernel`] says.
#[inline(never)]
pub(super) unsafe fn encrypt(keys: &RoundKeys, input: *const [Block; WIDTH], output: *mut [Block; WIDTH]) {
    // SAFETY: it reads the round keys and the input and writes the output, after all is read. It keeps all registers but
    // those named, and the stack.
    unsafe {
        asm!(
            "add r3, r0, #{keys_size}",
            "push {{r2-r11}}",
            // The odd planes of the first round are in r10, r12, r11, lr, the even ones in r6, r8, r7, r9.
            "ldr r10, [r1, #0]",
            "ldr r9, [r1, #4]",
            "ldr r11, [r1, #8]",
            "ldr r8, [r1, #12]",
            "ldr r12, [r1, #16]",
            "ldr r7, [r1, #20]",
            "ldr lr, [r1, #24]",
            "ldr r6, [r1, #28]",
            place_first!("r10", "r9"),
            place_first!("r11", "r8"),
            place_first!("r12", "r7"),
            place_first!("lr", "r6"),
            transpose_around!({
                transpose_across_halves!("r10" "r11" "r12" "lr" "r6" "r7" "r8" "r9")
                to_basis!("r6" "r7" "r8" "r9")
                to_basis!("r10" "r11" "r12" "lr")
                "2:"
                round!(next, nothing, "r6" "r8" "r7" "r9", "r10" "r12" "r11" "lr")
                round!(next, rev16, "r10" "r12" "r11" "lr", "r6" "r8" "r7" "r9")
                round!(next, rbit, "r6" "r8" "r7" "r9", "r10" "r12" "r11" "lr")
                round!(next, ror_16, "r10" "r12" "r11" "lr", "r6" "r8" "r7" "r9")
                "ldr r1, [sp, #4]"
                "cmp r0, r1"
                "bne 2b"
                rotate_from_basis!("r6" "r7" "r8" "r9")
                from_basis!("r10" "r11" "r12" "lr")
            } {
                transpose_across_halves!("r6" "r7" "r8" "r9" "r10" "r11" "r12" "lr")
            }),
            "pop {{r4, r5}}",
            unplace_last!("r6", "lr"),
            "str r2, [r4, #0]",
            "str r3, [r4, #4]",
            unplace_last!("r7", "r12"),
            "str r2, [r4, #8]",
            "str r3, [r4, #12]",
            unplace_last!("r8", "r11"),
            "str r2, [r4, #16]",
            "str r3, [r4, #20]",
            unplace_last!("r9", "r10"),
            "str r2, [r4, #24]",
            "str r3, [r4, #28]",
            "pop {{r4-r11}}",
            keys_size = const size_of::<RoundKeys>(),
            inout("r0") ptr::from_ref(keys) => _,
            inout("r1") input => _,
            inout("r2") output => _,
            out("r3") _,
            out("r12") _,
            out("lr") _,
        );
    }
}

/// Decrypts four blocks: the same rounds, from the last to the first.
///
/// # Safety
/// As [`super::Kernel`] says.
#[inline(never)]
pub(super) unsafe fn decrypt(keys: &RoundKeys, input: *const [Block; WIDTH], output: *mut [Block; WIDTH]) {
    // SAFETY: as in `encrypt`.
    unsafe {
        asm!(
            "push {{r0, r2, r4-r11}}",
            "add r0, r0, #{keys_size}",
            "mov r4, r1",
            "ldr r2, [r4, #0]",
            "ldr r3, [r4, #4]",
            place_last!("r6", "lr"),
            "ldr r2, [r4, #8]",
            "ldr r3, [r4, #12]",
            place_last!("r7", "r12"),
            "ldr r2, [r4, #16]",
            "ldr r3, [r4, #20]",
            place_last!("r8", "r11"),
            "ldr r2, [r4, #24]",
            "ldr r3, [r4, #28]",
            place_last!("r9", "r10"),
            transpose_around!({
                transpose_across_halves!("r6" "r7" "r8" "r9" "r10" "r11" "r12" "lr")
                rotate_to_basis!("r6" "r7" "r8" "r9")
                to_basis!("r10" "r11" "r12" "lr")
                "2:"
                round!(previous, ror_16, "r10" "r12" "r11" "lr", "r6" "r8" "r7" "r9")
                round!(previous, rbit, "r6" "r8" "r7" "r9", "r10" "r12" "r11" "lr")
                round!(previous, rev16, "r10" "r12" "r11" "lr", "r6" "r8" "r7" "r9")
                round!(previous, nothing, "r6" "r8" "r7" "r9", "r10" "r12" "r11" "lr")
                "ldr r1, [sp]"
                "cmp r0, r1"
                "bne 2b"
                from_basis!("r6" "r7" "r8" "r9")
                from_basis!("r10" "r11" "r12" "lr")
            } {
                transpose_across_halves!("r10" "r11" "r12" "lr" "r6" "r7" "r8" "r9")
            }),
            unplace_first!("r10", "r9"),
            unplace_first!("r11", "r8"),
            unplace_first!("r12", "r7"),
            unplace_first!("lr", "r6"),
            "pop {{r4, r5}}",
            "str r10, [r5, #0]",
            "str r9, [r5, #4]",
            "str r11, [r5, #8]",
            "str r8, [r5, #12]",
            "str r12, [r5, #16]",
            "str r7, [r5, #20]",
            "str lr, [r5, #24]",
            "str r6, [r5, #28]",
            "pop {{r4-r11}}",
            keys_size = const size_of::<RoundKeys>(),
            inout("r0") ptr::from_ref(keys) => _,
            inout("r1") input => _,
            inout("r2") output => _,
            out("r3") _,
            out("r12") _,
            out("lr") _,
        );
    }
}
