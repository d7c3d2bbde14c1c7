//! Measures everything and prints it.
#![no_std]
#![no_main]

cortex_m_benches::entry!(cortex_m_benches::run());

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    cortex_m_benches::fail(format_args!("{info}"))
}
