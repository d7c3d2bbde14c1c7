//! The C header and the linker script of the template in C say what this crate says.

use smart_city_interface::{
    Event, FRAME_LEN, READING_LEN, Refusal, Service,
    memory::{CODE, LEDS, Part, RAM, UART, UART_INTERRUPTS, VENEERS},
};

const HEADER: &str = include_str!("../../template-c/smart_city.h");
const LINKER_SCRIPT: &str = include_str!("../../template-c/link.ld");
const BOARD: &str =
    concat!(include_str!("../../template-c/board.h"), include_str!("../../template-c/board.c"));

/// What a constant of the header is defined as.
fn constant(name: &str) -> &'static str {
    let mut words = HEADER.lines().filter_map(|line| line.strip_prefix("#define ")?.split_once(' '));
    words.find(|(own, _)| *own == name).unwrap_or_else(|| panic!("no {name}")).1
}

#[test]
fn the_header_has_the_same_numbers() {
    assert_eq!(constant("SC_FRAME_LEN"), FRAME_LEN.to_string());
    assert_eq!(constant("SC_READING_LEN"), READING_LEN.to_string());
    assert_eq!(constant("SC_VENEERS"), format!("{:#x}", VENEERS.start));
    assert_eq!(Service::ENTRY_LEN, 8);
    let services = [
        ("SC_SEAL_READING", Service::SealReading),
        ("SC_RECEIVE", Service::Receive),
        ("SC_EPOCH", Service::Epoch),
        ("SC_NEW_EPOCH", Service::NewEpoch),
        ("SC_START_EVIDENCE", Service::StartEvidence),
    ];
    assert_eq!(services.len(), Service::COUNT as usize);
    for (name, service) in services {
        assert_eq!(constant(name), (service as u32).to_string(), "{name}");
    }
    for (name, refusal) in [
        ("SC_HANDLER", Refusal::Handler),
        ("SC_BUSY", Refusal::Busy),
        ("SC_POINTER", Refusal::Pointer),
        ("SC_LENGTH", Refusal::Length),
        ("SC_STREAM", Refusal::Stream),
        ("SC_NO_EPOCH", Refusal::NoEpoch),
        ("SC_FRAME", Refusal::Frame),
        ("SC_NEW_EPOCH_OPENED", Refusal::NewEpoch),
        ("SC_TOO_SOON", Refusal::TooSoon),
    ] {
        assert_eq!(constant(name), format!("({})", refusal as i32), "{name}");
    }
    for (name, event) in [
        ("SC_EVENT_RECEIPT", Event::Receipt),
        ("SC_EVENT_RAN", Event::Ran),
        ("SC_EVENT_REFUSED", Event::Refused),
        ("SC_EVENT_RESTORED", Event::Restored),
        ("SC_EVENT_NOT_ALTERED", Event::NotAltered),
        ("SC_EVENT_NEW_EPOCH", Event::NewEpoch),
        ("SC_EVENT_EXAMINED", Event::Examined),
    ] {
        assert_eq!(constant(name), (event as u8).to_string(), "{name}");
    }
}

#[test]
fn the_linker_script_has_the_same_memory() {
    let memory = |name: &str, Part { start, len }| {
        let line = format!("{name} : ORIGIN = {start:#010x}, LENGTH = {len:#x}\n");
        assert!(LINKER_SCRIPT.contains(&line), "{line}");
    };
    memory("FLASH (rx)", CODE);
    memory("RAM (rw)", RAM);
    assert!(BOARD.contains(&format!("UART_DATA REGISTER({:#x})", UART.start)));
    assert!(BOARD.contains(&format!("LEDS REGISTER({:#x})", LEDS.start)));
    for number in UART_INTERRUPTS {
        assert!(BOARD.contains(&format!("[16 + {number}] = uart")), "{number}");
    }
}
