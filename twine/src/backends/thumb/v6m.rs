//! Kernels for ARMv6-M and ARMv8-M without the Main Extension. These have two-operand instructions on r0 to r7, and moves to and from the
//! other registers.
//!
//! # Lanes
//! The lanes are those of the portable backend for 32-bit words. The four exchanges of lanes are nothing, `rev16`, one of neighbouring nibbles,
//! and a rotation by 16.
//!
//! # Registers
//! r0 to r7 hold the pointer to the round keys, the values of the S-box circuit, and plane 1 of both halves. r8 to r12 and lr hold the other
//! planes. Plane 1 of the odd half is added in two parts. If nibbles are exchanged, one part waits on the stack.

use core::{arch::asm, ptr};

use cipher::{Array, InOut, consts::U4};

use super::{Block, RoundKeys, WIDTH, fixslice};

/// `ldr` and `str` take addresses of words.
pub(super) const ALIGNMENT: usize = 4;

/// The order of the nibbles of a round key.
pub(super) fn order(packed: u32) -> u32 {
    <u32 as fixslice::Word>::order(packed)
}

/// Lines of assembly.
macro_rules! lines {
    ($($line:expr)*) => { concat!($($line, "\n",)*) };
}

/// Exchanges the bits of $low under r0 << $shift with those of $high under r0.
macro_rules! exchange {
    ($low:literal, $high:literal, $shift:literal) => {
        lines! {
            concat!("lsrs r3, ", $low, ", #", $shift)
            concat!("eors r3, ", $high)
            "ands r3, r0"
            concat!("eors ", $high, ", r3")
            concat!("lsls r3, r3, #", $shift)
            concat!("eors ", $low, ", r3")
        }
    };
}

/// The part of the transposition of rows and bits of bytes that is within four rows, in r4 to r7.
macro_rules! transpose_4 {
    () => {
        lines! {
            "ldr r0, [sp, #20]"
            exchange!("r4", "r5", 1)
            exchange!("r6", "r7", 1)
            "ldr r0, [sp, #16]"
            exchange!("r4", "r6", 2)
            exchange!("r5", "r7", 2)
        }
    };
}

/// Loads the round keys of the next round into r1 to r4.
#[cfg(not(twine_keys = "compact"))]
macro_rules! load_key {
    () => {
        "ldmia r0!, {{r1-r4}}\n"
    };
}

/// Loads the round keys of the next round into r1 to r4: bit `b` of each nibble, four times.
#[cfg(twine_keys = "compact")]
macro_rules! load_key {
    () => {
        lines! {
            "ldmia r0!, {{r1}}"
            "ldr r5, [sp, #24]"
            "lsrs r2, r1, #1"
            "lsrs r3, r1, #2"
            "lsrs r4, r1, #3"
            "ands r1, r5"
            "ands r2, r5"
            "ands r3, r5"
            "ands r4, r5"
            four_times!("r1") four_times!("r2") four_times!("r3") four_times!("r4")
        }
    };
}

/// $x times 15.
#[cfg(twine_keys = "compact")]
macro_rules! four_times {
    ($x:literal) => {
        lines! { concat!("lsls r5, ", $x, ", #4") concat!("subs ", $x, ", r5, ", $x) }
    };
}

/// Adds $from to $to, one of r8 to lr.
macro_rules! add {
    ($to:literal, $from:literal) => {
        lines! { concat!("mov r5, ", $to) concat!("eors ", $from, ", r5") concat!("mov ", $to, ", ", $from) }
    };
}

/// Exchanges neighbouring nibbles; their mask is in r3.
macro_rules! exchange_nibbles {
    ($x:literal) => {
        lines! {
            concat!("lsrs r5, ", $x, ", #4")
            "ands r5, r3"
            concat!("ands ", $x, ", r3")
            concat!("lsls ", $x, ", ", $x, ", #4")
            concat!("orrs ", $x, ", r5")
        }
    };
}

/// Moves the lanes of the planes in r1 to r4 as $move says, if that takes less than moving the output. The circuit treats all lanes alike.
macro_rules! exchange_lanes {
    (ror_16) => {
        lines! { "movs r5, #16" "rors r1, r5" "rors r2, r5" "rors r3, r5" "rors r4, r5" }
    };
    (rev16) => {
        lines! { "rev16 r1, r1" "rev16 r2, r2" "rev16 r3, r3" "rev16 r4, r4" }
    };
    ($move:ident) => {
        ""
    };
}

/// The end of a round, with planes 0, 2 and 3 of the odd half, and plane 1 in its own register. If nibbles are exchanged, this is not done yet
/// for plane 1. r1 = t1 and then y3, r2 = x1 and then y0, r3 = t3, r4 = x3 and then y2, r5 = t0.
macro_rules! circuit {
    (nibbles, $o0:literal $o1:literal $o2:literal $o3:literal) => {
        lines! {
            "str r5, [sp]"
            circuit!(middle)
            circuit!(y0)
            "ldr r3, [sp, #12]"
            exchange_nibbles!("r2") add!($o0, "r2")
            // Where t0 waited on the stack.
            "mov r2, r4"
            "ands r2, r1"
            "ldr r5, [sp]"
            "eors r2, r5"
            exchange_nibbles!("r2")
            concat!("eors ", $o1, ", r2")
            exchange_nibbles!("r4") add!($o2, "r4")
            exchange_nibbles!("r1") add!($o3, "r1")
        }
    };
    ($move:ident, $o0:literal $o1:literal $o2:literal $o3:literal) => {
        lines! {
            concat!("eors ", $o1, ", r5")
            circuit!(middle)
            "mov r5, r4"
            "ands r5, r1"
            concat!("eors ", $o1, ", r5")
            circuit!(y0)
            add!($o0, "r2") add!($o2, "r4") add!($o3, "r1")
        }
    };
    // From t0 on to y3 and y2.
    (middle) => {
        lines! {
            "eors r5, r4"
            "orrs r5, r2"
            "eors r3, r5"
            "eors r1, r3"
            "mov r5, r3"
            "orrs r5, r2"
            "eors r4, r5"
        }
    };
    (y0) => {
        lines! { "orrs r3, r4" "eors r2, r3" }
    };
}

/// Does a round, without its shuffle but with the exchange of lanes. It adds the S-box circuit of `even` and the key to `odd`.
macro_rules! round {
    ($move:ident, $e0:literal $e1:literal $e2:literal $e3:literal, $o0:literal $o1:literal $o2:literal $o3:literal) => {
        lines! {
            load_key!()
            concat!("mov r5, ", $e0)
            "eors r1, r5"
            concat!("eors r2, ", $e1)
            concat!("mov r5, ", $e2)
            "eors r3, r5"
            concat!("mov r5, ", $e3)
            "eors r4, r5"
            exchange_lanes!($move)
            // x0 to x3 are in r1 to r4; r5 = t0, r1 = t1.
            "mov r5, r3"
            "ands r5, r4"
            "eors r5, r1"
            "ands r1, r5"
            circuit!($move, $o0 $o1 $o2 $o3)
        }
    };
}

/// Loads block $i into the lanes of the first round. Its halves go to $low and $to, and are already exchanged as in the transposition.
macro_rules! load {
    ($low:literal, $to:literal, $at:literal) => {
        lines! {
            concat!("ldr ", $low, ", [r1, #", $at, "]")
            concat!("ldr r2, [r1, #", $at, " + 4]")
            // Exchange bytes 3 and 4.
            concat!("lsrs r3, ", $low, ", #24")
            "eors r3, r2"
            "uxtb r3, r3"
            "eors r2, r3"
            "lsls r3, r3, #24"
            concat!("eors ", $low, ", r3")
            exchange!($low, "r2", 4)
            concat!("mov ", $to, ", r2")
        }
    };
}

/// Changes the basis of the planes in r4 to r7, to that of the circuit. The planes 1 and 2 exchange registers.
macro_rules! to_basis {
    () => {
        lines! { "eors r4, r5" "eors r7, r4" "eors r5, r6" }
    };
}

/// The inverse of [`to_basis`].
macro_rules! from_basis {
    () => {
        lines! { "eors r5, r6" "eors r7, r4" "eors r4, r5" }
    };
}

/// Stores a block from the lanes of the last round, b6 b4 b7 b2 | b5 b0 b3 b1, with the mask of a word's outer bytes in r7.
macro_rules! store {
    ($from:literal, $high:literal, $at:literal) => {
        lines! {
            concat!("mov r1, ", $from)
            exchange!("r1", $high, 4)
            concat!("rev16 r2, ", $high)
            "ands r2, r7"
            concat!("lsrs r3, ", $high, ", #24")
            "lsls r3, r3, #8"
            "orrs r2, r3"
            "lsrs r3, r1, #24"
            "lsls r3, r3, #16"
            "orrs r2, r3"
            "uxtb r3, r1"
            "lsls r3, r3, #16"
            "rev16 r1, r1"
            "ands r1, r7"
            "orrs r1, r3"
            concat!("uxtb r3, ", $high)
            "lsls r3, r3, #8"
            "orrs r1, r3"
            "ldr r3, [sp, #8]"
            concat!("str r2, [r3, #", $at, "]")
            concat!("str r1, [r3, #", $at, " + 4]")
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
            "push {{r6, r7}}",
            "mov r6, r8",
            "mov r7, r9",
            "push {{r6, r7}}",
            "mov r6, r10",
            "mov r7, r11",
            "push {{r6, r7}}",
            "mov r6, r12",
            "mov r7, lr",
            "push {{r6, r7}}",
            // On the stack: the keys, and later t0; the input, and later the end of the keys; the output; four masks.
            "mov r6, r4",
            "ands r6, r5",
            "push {{r6}}",
            "push {{r0-r5}}",
            "movs r0, r3",
            load!("r4", "r8", 0),
            load!("r5", "r9", 8),
            load!("r6", "r10", 16),
            load!("r7", "r11", 24),
            // The odd planes of the first round go to r11, r7, r12, lr, the even ones to r8, r6, r9, r10.
            transpose_4!(),
            to_basis!(),
            "mov r12, r5",
            "mov lr, r7",
            "mov r2, r4",
            "mov r1, r6",
            "mov r4, r8",
            "mov r5, r9",
            "mov r6, r10",
            "mov r7, r11",
            "mov r11, r2",
            transpose_4!(),
            to_basis!(),
            "mov r8, r4",
            "mov r9, r5",
            "mov r10, r7",
            "mov r7, r1",
            "ldr r0, [sp]",
            "movs r1, #{keys_words}",
            "lsls r1, r1, #2",
            "adds r1, r1, r0",
            "str r1, [sp, #4]",
            "2:",
            round!(nothing, "r8" "r6" "r9" "r10", "r11" "r7" "r12" "lr"),
            round!(rev16, "r11" "r7" "r12" "lr", "r8" "r6" "r9" "r10"),
            round!(nibbles, "r8" "r6" "r9" "r10", "r11" "r7" "r12" "lr"),
            round!(ror_16, "r11" "r7" "r12" "lr", "r8" "r6" "r9" "r10"),
            "ldr r1, [sp, #4]",
            "cmp r0, r1",
            "beq 3f",
            "b 2b",
            "3:",
            // The odd planes of the paper's last round.
            "mov r4, r8",
            "mov r5, r9",
            "mov r8, r7",
            "mov r7, r10",
            "movs r3, #16",
            "rors r4, r3",
            "rors r5, r3",
            "rors r6, r3",
            "rors r7, r3",
            from_basis!(),
            transpose_4!(),
            "mov r9, r4",
            "mov r10, r5",
            "mov r1, r6",
            "mov r2, r7",
            // The even ones.
            "mov r4, r11",
            "mov r5, r12",
            "mov r6, r8",
            "mov r7, lr",
            "mov r11, r1",
            "mov r12, r2",
            from_basis!(),
            transpose_4!(),
            "mov lr, r7",
            "ldr r0, [sp, #12]",
            "movs r7, #255",
            "lsls r7, r7, #16",
            "rev r1, r7",
            "orrs r7, r1",
            "mvns r7, r7",
            store!("r9", "r4", 0),
            store!("r10", "r5", 8),
            store!("r11", "r6", 16),
            "mov r4, lr",
            store!("r12", "r4", 24),
            "add sp, #28",
            "pop {{r6, r7}}",
            "mov r12, r6",
            "mov lr, r7",
            "pop {{r6, r7}}",
            "mov r10, r6",
            "mov r11, r7",
            "pop {{r6, r7}}",
            "mov r8, r6",
            "mov r9, r7",
            "pop {{r6, r7}}",
            keys_words = const size_of::<RoundKeys>() / 4,
            inout("r0") ptr::from_ref(keys) => _,
            inout("r1") input => _,
            inout("r2") output => _,
            inout("r3") 0x0F0F_0F0F_u32 => _,
            inout("r4") 0x3333_3333_u32 => _,
            inout("r5") 0x5555_5555_u32 => _,
        );
    }
}

/// Decrypts four blocks. This is portable code in the same lanes, because the modes on such small devices do not need decryption.
///
/// # Safety
/// As [`super::Kernel`] says.
pub(super) unsafe fn decrypt(keys: &RoundKeys, input: *const [Block; WIDTH], output: *mut [Block; WIDTH]) {
    // SAFETY: by the caller's word.
    let blocks = unsafe { InOut::<Array<Block, U4>>::from_raw(input.cast(), output.cast()) };
    fixslice::decrypt(&keys.0, blocks.into_buf());
}
