//! Which memory, peripherals, exceptions and registers the other world has.

use core::ptr;

use cortex_m::peripheral::{
    Peripherals,
    sau::{SauRegion, SauRegionAttribute},
};
use smart_city_interface::memory::{CODE, FUNCTION_STACK, LEDS, Part, RAM, UART, UART_INTERRUPTS, VENEERS};

use crate::{board, fault};

/// What the other world has, by the number of its SAU region. Whatever is in none is secure.
const REGIONS: [(Part, SauRegionAttribute); 6] = [
    (CODE, SauRegionAttribute::NonSecure),
    (RAM, SauRegionAttribute::NonSecure),
    (VENEERS, SauRegionAttribute::NonSecureCallable),
    (UART, SauRegionAttribute::NonSecure),
    (LEDS, SauRegionAttribute::NonSecure),
    // Apart from the RAM, so that no buffer reaches into it.
    (FUNCTION_STACK, SauRegionAttribute::NonSecure),
];

/// The numbers of the regions from which services read, and to which they write.
pub(crate) const CODE_REGION: u8 = 0;
/// See [`CODE_REGION`].
pub(crate) const RAM_REGION: u8 = 1;

/// Application Interrupt and Reset Control Register.
const AIRCR: usize = 0xE000_ED0C;
const AIRCR_KEY: u32 = 0x05FA << 16;
/// Exceptions of the secure world come first.
const PRIS: u32 = 1 << 14;
/// HardFault, BusFault and NMI of the other world too: here it is 0, so that they are the secure world's.
const BFHFNMINS: u32 = 1 << 13;
/// Only the secure world may reset the device.
const SYSRESETREQS: u32 = 1 << 3;

/// System Control Register: only the secure world may choose deep sleep.
const SCR: usize = 0xE000_ED10;
const SLEEPDEEPS: u32 = 1 << 3;

/// Coprocessor access: no floating point for either world, so that no register of it can tell anything.
const CPACR: usize = 0xE000_ED88;
const NSACR: usize = 0xE000_ED8C;

/// Interrupt Target Non-secure Registers.
const ITNS: usize = 0xE000_E380;

/// The last bytes of both secure stacks, which no exception return and no function return takes for a frame (TFMV-1,
/// CVE-2020-16273).
pub(crate) const SEAL: [u32; 2] = [0xFEF5_EDA5; 2];

pub(crate) fn set_up() {
    board::set_up_console();
    board::start_clock();
    board::set_up_gates();
    set_up_sau();
    // SAFETY: these registers change what the other world may do, and nothing here.
    unsafe {
        let aircr = register(AIRCR).read_volatile() & 0xFFFF & !BFHFNMINS;
        register(AIRCR).write_volatile(AIRCR_KEY | aircr | PRIS | SYSRESETREQS);
        register(SCR).write_volatile(register(SCR).read_volatile() | SLEEPDEEPS);
        register(CPACR).write_volatile(0);
        register(NSACR).write_volatile(0);
        for number in UART_INTERRUPTS.map(usize::from) {
            let itns = register(ITNS + number / 32 * 4);
            itns.write_volatile(itns.read_volatile() | 1 << (number % 32));
        }
    }
    fault::enable();
    cortex_m::asm::dsb();
    cortex_m::asm::isb();
}

fn set_up_sau() {
    // SAFETY: nobody else has them.
    let mut sau = unsafe { Peripherals::steal() }.SAU;
    for (number, (part, attribute)) in (0..).zip(REGIONS) {
        let limit_address = (part.end() - 1) | 0x1F;
        let region = SauRegion { base_address: part.start, limit_address, attribute };
        // A device that is not isolated must not start.
        if sau.set_region(number, region).is_err() {
            fault::restart();
        }
    }
    sau.enable();
}

fn register(address: usize) -> *mut u32 {
    ptr::with_exposed_provenance_mut(address)
}
