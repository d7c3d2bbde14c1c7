//! Operations with many secrets, and deliberate leaks, for the plugin to trace.
#![no_std]
#![no_main]

#[cortex_m_rt::entry]
fn main() -> ! {
    firmware::board::run(firmware::constant_time)
}
