//! Known answers of TWINE, and of OTR over it.
#![no_std]
#![no_main]

#[cortex_m_rt::entry]
fn main() -> ! {
    firmware::board::run(firmware::twine)
}
