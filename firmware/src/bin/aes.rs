//! Known answers of OTR over AES.
#![no_std]
#![no_main]

#[cortex_m_rt::entry]
fn main() -> ! {
    firmware::board::run(firmware::aes)
}
