//! The secure world of a device: it alone has keys, seals and opens frames, and decides which functions of the other world run.
//!
//! It has no interrupts of its own. After its start it runs only when the other world calls a [service](services), in
//! thread mode, with all interrupts held until it returns.
#![no_std]
#![no_main]

mod board;
mod console;
mod device;
mod fault;
mod gate;
mod isolation;
mod nonsecure;
mod services;

use cortex_m_rt::entry;

use crate::{console::say, device::Device};

#[entry]
fn main() -> ! {
    // Before anything else: until then the other world has no attribute of its own.
    isolation::set_up();
    fault::report_last();
    match Device::start() {
        Ok(device) => services::open(device),
        Err(error) => {
            say!("{error}: nothing starts");
            loop {
                cortex_m::asm::wfi();
            }
        }
    }
    nonsecure::start()
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    // Where, and nothing of the values that led there.
    if let Some(place) = info.location() {
        say!("panic at {}:{}", place.file(), place.line());
    }
    fault::restart()
}
