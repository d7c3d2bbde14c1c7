//! How the other world comes in, and how it is called.
//!
//! A service is entered by an instruction SG in its veneer. The gate then
//!
//! - starts the device anew if the service is to return to what the processor takes for a return from the other world or from an exception:
//!   nothing but what lies on the stacks would keep such a return from going on in the secure world;
//! - refuses an exception handler, before anything is on a stack: a handler may have interrupted a service;
//! - refuses a call while the secure world calls the other one: `PRIMASK` is set then. It is both the lock, as only the secure world
//!   sees it, and what holds interrupts, as 0 is the highest priority of all that can be held.
//!   Threads of the other world must not come in at the same time: an interrupt before the lock may switch them, and their returns,
//!   which are on the one stack here, would be mixed up;
//! - clears what registers and flags say of the secure world before it leaves. The flags GE, which processors with the DSP extension have,
//!   stay as the other world left them: code for `thumbv8m.main` has no instruction that sets them.
//!
//! It is assembly because the compiler's own way, the ABI `cmse-nonsecure-entry`, is not stable, and cannot refuse anything before a
//! stack is used.

use core::arch::global_asm;

use smart_city_interface::{Refusal, Service};

macro_rules! gates {
    ($($service:ident),*) => {
        global_asm!(
            ".section .veneers, \"ax\", %progbits",
            ".p2align 5",
            $(concat!(".thumb_func\nveneer_", stringify!($service), ": sg\nb.w enter_", stringify!($service)),)*
            ".section .text.gate, \"ax\", %progbits",
            $(concat!(
                ".thumb_func\n",
                "enter_", stringify!($service), ":\n",
                // FNC_RETURN, EXC_RETURN, or nothing that has code.
                "lsr.w r12, lr, #24\n",
                "cmp r12, #0xFE\n",
                "bhs forged\n",
                "mrs r12, ipsr\n",
                "cmp r12, #0\n",
                "bne refuse_handler\n",
                "mrs r12, primask\n",
                "cmp r12, #0\n",
                "bne refuse_busy\n",
                "cpsid i\n",
                "push {{r4, lr}}\n",
                "bl ", stringify!($service), "\n",
                "pop {{r4, lr}}\n",
                "b leave",
            ),)*
            ".thumb_func",
            "leave:",
            "movs r1, #0",
            "mov r2, r1",
            "mov r3, r1",
            "mov r12, r1",
            "msr apsr_nzcvq, r1",
            "cpsie i",
            "bxns lr",
            ".thumb_func",
            "forged:",
            "udf #0",
            ".thumb_func",
            "refuse_handler:",
            "mvn r0, #{handler}",
            "bxns lr",
            ".thumb_func",
            "refuse_busy:",
            "mvn r0, #{busy}",
            "bxns lr",
            handler = const !(Refusal::Handler as i32),
            busy = const !(Refusal::Busy as i32),
        );
        // In the order of their numbers, and all of them.
        const _: () = {
            let entries = [$(Service::$service),*];
            assert!(entries.len() == Service::COUNT as usize);
            let mut i = 0;
            while i < entries.len() {
                assert!(entries[i] as usize == i);
                i += 1;
            }
        };
    };
}

gates!(SealReading, Receive, Epoch, NewEpoch, StartEvidence);

// A function of the other world: with two arguments, and nothing of the secure world in any register or flag.
global_asm!(
    ".section .text.call_other, \"ax\", %progbits",
    ".global call_other",
    ".type call_other, %function",
    ".thumb_func",
    "call_other:",
    "push {{r4-r11, lr}}",
    "sub sp, #4",
    "lsrs r2, r2, #1",
    "lsls r2, r2, #1",
    "movs r3, #0",
    "mov r4, r3",
    "mov r5, r3",
    "mov r6, r3",
    "mov r7, r3",
    "mov r8, r3",
    "mov r9, r3",
    "mov r10, r3",
    "mov r11, r3",
    "mov r12, r3",
    "msr apsr_nzcvq, r3",
    "blxns r2",
    "add sp, #4",
    "pop {{r4-r11, pc}}",
);

unsafe extern "C" {
    /// Calls the function of the other world at `address`, and returns when that returns.
    ///
    /// # Safety
    /// `address` must be non-secure code. No state of the secure world may be borrowed that a service uses; services are refused
    /// meanwhile.
    pub(crate) fn call_other(argument: u32, len: u32, address: u32) -> u32;
}
