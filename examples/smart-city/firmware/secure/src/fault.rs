//! What no application does: reaching for the secure world, or leaving the rules of the processor. The device starts anew and says
//! what it was.

use core::{arch::global_asm, mem::MaybeUninit, ptr};

use cortex_m::peripheral::SCB;

use crate::console::say;

/// Configurable, HardFault and SecureFault status of the secure world, and the former of the other one.
const STATUS: [usize; 4] = [0xE000_ED28, 0xE000_ED2C, 0xE000_EDE4, 0xE002_ED28];
const SHCSR: usize = 0xE000_ED24;
const ENABLE_MEMORY_BUS_USAGE_SECURE: u32 = 0b1111 << 16;

/// Says that [`LAST`] was written by [`note`].
const MARK: u32 = 0xFA17_ED00;

/// What a fault was: a mark, the number of the exception, the registers of [`STATUS`]. It outlives a reset.
#[unsafe(link_section = ".uninit.last_fault")]
static mut LAST: MaybeUninit<[u32; 6]> = MaybeUninit::uninit();

// Every exception that has no handler, all of them here, and HardFault. A fault may be one of the stack, so it is begun anew.
global_asm!(
    ".section .text.fault, \"ax\", %progbits",
    ".global DefaultHandler, HardFault",
    ".type DefaultHandler, %function",
    ".type HardFault, %function",
    ".thumb_func",
    "DefaultHandler:",
    ".thumb_func",
    "HardFault:",
    "cpsid i",
    "ldr r0, =_stack_start",
    "msr MSP, r0",
    "mrs r0, ipsr",
    "b note_fault",
    ".pool",
);

/// Has faults come as what they are, not as a HardFault, where nothing holds them back.
pub(crate) fn enable() {
    let shcsr = ptr::with_exposed_provenance_mut::<u32>(SHCSR);
    // SAFETY: it is a register, and the handlers are there.
    unsafe { shcsr.write_volatile(shcsr.read_volatile() | ENABLE_MEMORY_BUS_USAGE_SECURE) };
}

#[unsafe(no_mangle)]
extern "C" fn note_fault(exception: u32) -> ! {
    // SAFETY: they are registers.
    let [cfsr, hfsr, sfsr, other] =
        STATUS.map(|address| unsafe { ptr::with_exposed_provenance::<u32>(address).read_volatile() });
    // SAFETY: nothing else runs any more.
    unsafe {
        (&raw mut LAST).write_volatile(MaybeUninit::new([MARK, exception, cfsr, hfsr, sfsr, other]));
    }
    restart()
}

/// Says what the last fault was, if there was one since power came.
pub(crate) fn report_last() {
    // SAFETY: nobody else uses it now. Any bytes are numbers, and the mark says whether these are the ones of a fault.
    let [mark, exception, cfsr, hfsr, sfsr, other] = unsafe {
        let last = (&raw const LAST).cast::<[u32; 6]>().read_volatile();
        (&raw mut LAST).cast::<u32>().write_volatile(0);
        last
    };
    if mark == MARK {
        say!(
            "restart after exception {exception}: CFSR {cfsr:#x} HFSR {hfsr:#x} SFSR {sfsr:#x} CFSR_NS {other:#x}"
        );
    }
}

/// Resets the device.
pub(crate) fn restart() -> ! {
    SCB::sys_reset()
}
