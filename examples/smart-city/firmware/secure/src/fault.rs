//! What no application does: reaching for the secure world, or leaving the rules of the processor. The device starts anew and says
//! what it was.

use core::{arch::global_asm, mem::MaybeUninit, ptr};

use cortex_m::peripheral::SCB;

use crate::{board, console::say};

/// Configurable, HardFault and SecureFault status of the secure world, and the former of the other one.
const STATUS: [usize; 4] = [0xE000_ED28, 0xE000_ED2C, 0xE000_EDE4, 0xE002_ED28];
const SHCSR: usize = 0xE000_ED24;
const ENABLE_MEMORY_BUS_USAGE_SECURE: u32 = 0b1111 << 16;

/// Says that [`LAST`] was written by [`note`].
const MARK: u32 = 0xFA17_ED00;

/// What a fault was: a mark, the number of the exception, the registers of [`STATUS`]. It outlives a reset.
#[unsafe(link_section = ".uninit.last_fault")]
static mut LAST: MaybeUninit<[u32; 6]> = MaybeUninit::uninit();

/// Says that the second word of [`RESTARTS`] counts.
const COUNTS: u32 = 0x5EC0_0D5A;

/// How often the device has started anew by itself, since power came or since it ran for [`LONG`]. It outlives a reset.
#[unsafe(link_section = ".uninit.restarts")]
static mut RESTARTS: MaybeUninit<[u32; 2]> = MaybeUninit::uninit();

/// Tenths of a second after which a restart is the first one again; no pause is longer. Then an application that crashes again and again
/// takes an epoch an hour: they last for seven years.
const LONG: u32 = 36_000;

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

/// Waits before anything is used up, if the device has started anew by itself: for `first` tenths of a second, then twice as long each time.
pub(crate) fn pause(first: u16) {
    let restarts = restarts();
    let Some(before) = restarts.checked_sub(1) else { return };
    let tenths = u32::from(first).saturating_mul(1u32.checked_shl(before).unwrap_or(u32::MAX)).min(LONG);
    if tenths > 0 {
        say!("pause of {tenths} tenths of a second after {restarts} restarts");
        while board::clock() < tenths {}
        // How long it runs is counted without it.
        board::start_clock();
    }
}

/// How often the device has started anew by itself, see [`RESTARTS`].
pub(crate) fn restarts() -> u32 {
    // SAFETY: nobody else uses it now. Any bytes are numbers, and the mark says whether the second one counts.
    let [mark, restarts] = unsafe { (&raw const RESTARTS).cast::<[u32; 2]>().read_volatile() };
    if mark == COUNTS { restarts } else { 0 }
}

/// Resets the device.
pub(crate) fn restart() -> ! {
    let restarts = if board::clock() < LONG { restarts() } else { 0 };
    // SAFETY: nothing else runs any more.
    unsafe {
        (&raw mut RESTARTS).write_volatile(MaybeUninit::new([COUNTS, restarts.saturating_add(1)]));
    }
    SCB::sys_reset()
}
