//! The other world: its start, and its memory.

use core::{arch::asm, mem::MaybeUninit, ptr};

use cortex_m::{
    cmse::{AccessType, TestTarget},
    register::control::Control,
};
use smart_city_interface::{
    FRAME_LEN, Refusal,
    memory::{CODE, FUNCTION_STACK},
};

use crate::{
    gate,
    isolation::{CODE_REGION, RAM_REGION, SEAL},
};

/// The words of the stack on which services run.
const STACK_WORDS: usize = 4096;

#[repr(C, align(32))]
struct Stack {
    words: MaybeUninit<[u32; STACK_WORDS]>,
    seal: [u32; 2],
}

#[unsafe(link_section = ".uninit.process_stack")]
static mut STACK: Stack = Stack { words: MaybeUninit::uninit(), seal: SEAL };

unsafe extern "C" {
    /// The end of the stack of the start and of exceptions; above it are eight bytes.
    static _stack_start: u32;
}

/// Vector table offset of the other world.
const VTOR_NS: usize = 0xE002_ED08;

/// Starts the other world. It comes back only through the services and for faults, so the stacks are empty, and sealed.
pub(crate) fn start() -> ! {
    // SAFETY: the address is aligned and of memory that the secure world may read.
    let word =
        |address: u32| unsafe { ptr::with_exposed_provenance::<u32>(address as usize).read_volatile() };
    let (stack, reset) = (word(CODE.start), word(CODE.start + 4));
    let base = &raw mut STACK;
    // SAFETY: nothing uses the stack yet, and the main stack no more: what is on it belongs to functions that do not return. Above
    // it are eight bytes for its seal. The registers of the other world are its own.
    unsafe {
        (&raw mut (*base).seal).write_volatile(SEAL);
        ptr::with_exposed_provenance_mut::<u32>(VTOR_NS).write_volatile(CODE.start);
        asm!(
            "msr MSP_NS, {other_stack}",
            "msr CONTROL_NS, {zero}",
            "msr MSPLIM_NS, {zero}",
            "msr PSP, {stack}",
            "msr PSPLIM, {limit}",
            "str {seal}, [{main}]",
            "str {seal}, [{main}, #4]",
            "msr MSP, {main}",
            // The stack pointer is PSP from here on.
            "movs {zero}, #2",
            "msr CONTROL, {zero}",
            "isb",
            "mov r0, {reset}",
            "movs r1, #0",
            "mov r2, r1",
            "mov r3, r1",
            "mov r4, r1",
            "mov r5, r1",
            "mov r6, r1",
            "mov r7, r1",
            "mov r8, r1",
            "mov r9, r1",
            "mov r10, r1",
            "mov r11, r1",
            "mov r12, r1",
            "mov lr, r1",
            "msr apsr_nzcvq, r1",
            "dsb",
            "bxns r0",
            other_stack = in(reg) stack,
            zero = in(reg) 0,
            stack = in(reg) &raw mut (*base).seal,
            limit = in(reg) base,
            main = in(reg) &raw const _stack_start,
            seal = in(reg) SEAL[0],
            reset = in(reg) reset & !1,
            options(noreturn),
        )
    }
}

/// Calls a function of the other world with `len` bytes in `argument`.
///
/// It has a stack of its own, [`FUNCTION_STACK`]: where the caller's stack pointer is, it might overwrite its argument, or its own code
/// after that was measured.
///
/// # Safety
/// As [`gate::call_other`].
pub(crate) unsafe fn call(address: u32, argument: Buffer, len: u32) {
    let is_process = Control::from_bits(control()).spsel().is_psp();
    let (pointer, limit): (u32, u32);
    // SAFETY: it only reads registers.
    unsafe {
        asm!("mrs {}, SP_NS", out(reg) pointer, options(nostack, preserves_flags));
        if is_process {
            asm!("mrs {}, PSPLIM_NS", out(reg) limit, options(nostack, preserves_flags));
        } else {
            asm!("mrs {}, MSPLIM_NS", out(reg) limit, options(nostack, preserves_flags));
        }
    }
    set_stack(is_process, FUNCTION_STACK.end(), FUNCTION_STACK.start);
    // SAFETY: as the caller promises.
    unsafe { gate::call_other(argument.address(), len, address) };
    set_stack(is_process, pointer, limit);
}

/// Sets the stack pointer of the other world's thread, and its limit.
fn set_stack(is_process: bool, pointer: u32, limit: u32) {
    // SAFETY: the registers are the other world's. Without a limit any pointer can be set.
    unsafe {
        if is_process {
            asm!(
                "msr PSPLIM_NS, {zero}", "msr SP_NS, {pointer}", "msr PSPLIM_NS, {limit}",
                zero = in(reg) 0, pointer = in(reg) pointer, limit = in(reg) limit,
                options(nostack, preserves_flags),
            );
        } else {
            asm!(
                "msr MSPLIM_NS, {zero}", "msr SP_NS, {pointer}", "msr MSPLIM_NS, {limit}",
                zero = in(reg) 0, pointer = in(reg) pointer, limit = in(reg) limit,
                options(nostack, preserves_flags),
            );
        }
    }
}

/// Bytes that were copied from the other world, once: nothing that it does later changes them.
pub(crate) struct Copied {
    bytes: [u8; FRAME_LEN],
    len: usize,
}

impl Copied {
    /// Copies `len` bytes from `address`.
    ///
    /// # Errors
    /// [`Refusal::Length`], and [`Refusal::Pointer`] if not all of them are memory that the caller may read.
    pub(crate) fn take(address: u32, len: u32) -> Result<Self, Refusal> {
        let mut copied = Self { bytes: [0; FRAME_LEN], len: len as usize };
        let bytes = copied.bytes.get_mut(..copied.len).ok_or(Refusal::Length)?;
        if bytes.is_empty() {
            return Ok(copied);
        }
        let target = target(address, len)?;
        if !target.ns_readable() || ![Some(CODE_REGION), Some(RAM_REGION)].contains(&target.sau_region()) {
            return Err(Refusal::Pointer);
        }
        for (address, byte) in (address..).zip(bytes) {
            // SAFETY: it is memory of the other world, as a whole.
            *byte = unsafe { ptr::with_exposed_provenance::<u8>(address as usize).read_volatile() };
        }
        Ok(copied)
    }

    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        // The length was checked.
        self.bytes.get_mut(..self.len).unwrap_or_default()
    }
}

/// A buffer of [`FRAME_LEN`] bytes in the RAM of the other world.
#[derive(Clone, Copy)]
pub(crate) struct Buffer(u32);

impl Buffer {
    /// Checks all of it.
    ///
    /// # Errors
    /// [`Refusal::Pointer`]
    pub(crate) fn check(address: u32) -> Result<Self, Refusal> {
        let target = target(address, FRAME_LEN as u32)?;
        let is_ram = target.ns_read_and_writable() && target.sau_region() == Some(RAM_REGION);
        if is_ram { Ok(Self(address)) } else { Err(Refusal::Pointer) }
    }

    pub(crate) const fn address(self) -> u32 {
        self.0
    }

    /// Writes `bytes`, as many as it takes.
    pub(crate) fn write(self, bytes: &[u8]) {
        for (address, byte) in (self.0..).zip(bytes.iter().take(FRAME_LEN)) {
            // SAFETY: it is RAM of the other world, as a whole.
            unsafe { ptr::with_exposed_provenance_mut::<u8>(address as usize).write_volatile(*byte) };
        }
    }
}

/// The attributes of a range for who called a service, if they are the same from its first to its last byte. What is secure is neither
/// readable nor writable.
fn target(address: u32, len: u32) -> Result<TestTarget, Refusal> {
    let access = if is_privileged() { AccessType::NonSecure } else { AccessType::NonSecureUnprivileged };
    let pointer = ptr::with_exposed_provenance_mut(address as usize);
    TestTarget::check_range(pointer, len as usize, access).ok_or(Refusal::Pointer)
}

/// Whether the thread of the other world is privileged.
fn is_privileged() -> bool {
    Control::from_bits(control()).npriv().is_privileged()
}

/// `CONTROL` of the other world.
fn control() -> u32 {
    let control: u32;
    // SAFETY: it only reads a register.
    unsafe { asm!("mrs {}, CONTROL_NS", out(reg) control, options(nomem, nostack, preserves_flags)) };
    control
}
