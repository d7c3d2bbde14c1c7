//! What an attacker tries who has taken the application over. Whatever it is, either nothing comes of it, or the device starts anew, in
//! a new epoch and with all keys where they were.

use smart_city_bridge::gdb::Access;
use smart_city_frame::{OpenError, Verdict};
use smart_city_interface::{
    FRAME_LEN, Refusal, Service,
    memory::{
        CODE, EPOCHS, FUNCTION_STACK, PROVISIONING, RAM, SECURE_CODE, SECURE_COPY, SECURE_RAM, UART, VENEERS,
    },
};

use crate::device::{ID, NEW, Probe, epoch_on, secure_symbol, stream};

/// SFSR: entered elsewhere than at SG.
const INVEP: u32 = 1;
/// Reached for what is secure.
const AUVIOL: u32 = 8;

/// Where an attack has a buffer of its own.
pub(crate) const BUFFER: u32 = RAM.start + 0x8000;

/// The clock goes on by 64 ns with each instruction, so that interrupts come in the middle of anything, however slow the machine is.
const TIME_BY_INSTRUCTIONS: [&str; 2] = ["-icount", "shift=6"];

/// The other address of the same memory or peripheral, for the other world.
const fn alias(address: u32) -> u32 {
    address ^ 1 << 28
}

impl Probe {
    /// What the command is answered with, which starts the device anew; returns the fault.
    fn fault(&mut self, command: u8, words: &[u32]) -> Fault {
        self.send(command, words, &[]);
        self.fault_said()
    }

    /// The same, but when the secure world comes to `place`, its stack pointer is set to `pointer`.
    fn fault_of_stack(&mut self, command: u8, words: &[u32], place: u32, pointer: u32) -> Fault {
        const SP: usize = 13;
        let mut debugger = self.0.board.debug().unwrap();
        debugger.set_breakpoint(place).unwrap();
        self.send(command, words, &[]);
        debugger.run().unwrap();
        debugger.set_register(SP, pointer).unwrap();
        debugger.remove_breakpoint(place).unwrap();
        drop(debugger);
        self.fault_said()
    }

    /// The fault after which the device has started anew.
    fn fault_said(&mut self) -> Fault {
        let before = self.0.link.epoch();
        let line = self.0.board.console("restart after exception").unwrap();
        let number = |name: &str| {
            let mut rest = line.split([' ', ':']).skip_while(|word| *word != name).skip(1);
            let digits = rest.next().unwrap();
            match digits.strip_prefix("0x") {
                Some(hex) => u32::from_str_radix(hex, 16).unwrap(),
                None => digits.parse().unwrap(),
            }
        };
        let fault = Fault {
            exception: number("exception"),
            cfsr: number("CFSR"),
            // Whether the address is known differs.
            sfsr: number("SFSR") & !0x40,
        };
        let epoch = epoch_on(&mut self.0.board);
        assert!(epoch > before);
        self.0.link = self.0.made.link(epoch);
        self.wait_ready();
        fault
    }

    /// Has the secure world give all memory to the application, as far as SAU goes: in place of a step of the new epoch that it opens.
    fn switch_sau_off(&mut self, flash_step: u32) {
        const SAU_CTRL: u32 = 0xE000_EDD0;
        const ALLNS: u32 = 2;
        // The gateway's, as there is no other after a fault.
        let request = self.request();
        let (place, len) = (self.buffer(&request), request.len().try_into().unwrap());
        let mut debugger = self.0.board.debug().unwrap();
        debugger.set_breakpoint(flash_step).unwrap();
        self.send(b'c', &[Service::Receive.address() | 1, place, len, place + 0x400, 0], &[]);
        debugger.run().unwrap();
        debugger.set_register(0, SAU_CTRL).unwrap();
        debugger.set_register(1, ALLNS).unwrap();
        debugger.remove_breakpoint(flash_step).unwrap();
        drop(debugger);
        assert!(self.answer() > 0);
        let epoch = self.0.link.epoch();
        self.0.link = self.0.made.link(smart_city_frame::Epoch(epoch.0 + 1));
    }

    /// Calls a service as an application does; returns what it returns.
    pub(crate) fn call(&mut self, service: Service, arguments: [u32; 4]) -> i32 {
        let [a, b, c, d] = arguments;
        self.ask(b'c', &[service.address() | 1, a, b, c, d]).cast_signed()
    }

    /// Calls a service so many times; the last result.
    pub(crate) fn call_often(&mut self, service: Service, arguments: [u32; 4], times: u32) -> i32 {
        let [a, b, c, d] = arguments;
        let mut result = 0;
        // No answer takes too long to come.
        for start in (0..times).step_by(2048) {
            let times = (times - start).min(2048);
            result = self.ask(b'S', &[service.address() | 1, a, b, c, d, times]).cast_signed();
        }
        result
    }

    /// Puts bytes into the application's RAM, and returns where.
    pub(crate) fn buffer(&mut self, bytes: &[u8]) -> u32 {
        self.write(BUFFER, bytes);
        BUFFER
    }

    /// Passes a frame to the secure world; returns what it says, and the answer.
    pub(crate) fn receive(&mut self, frame: &[u8]) -> (i32, Vec<u8>) {
        self.write(BUFFER, frame);
        let len = frame.len().try_into().unwrap();
        let returned = self.call(Service::Receive, [BUFFER, len, BUFFER + 0x400, 0]);
        let answer = match returned.cast_unsigned() & 0xFF {
            len @ 1.. if returned > 0 => self.read(BUFFER + 0x400, len),
            _ => Vec::new(),
        };
        (returned, answer)
    }

    /// Instructs the probe; returns the verdict, whether the evidence shows the code as it was built, and how often functions ran so far.
    pub(crate) fn instruct(&mut self, region: u16, argument: &[u8]) -> (Verdict, bool, u32) {
        let (frame, challenge) = self.0.seal(region, argument);
        let (returned, mut answer) = self.receive(&frame);
        assert!(returned > 0, "{returned}");
        let (evidence, is_as_built) = self.0.evidence(&mut answer, &challenge, region);
        (evidence.verdict, is_as_built, self.ask(b'n', &[]))
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Fault {
    exception: u32,
    cfsr: u32,
    sfsr: u32,
}

const SECURE_FAULT: Fault = Fault { exception: 7, cfsr: 0, sfsr: AUVIOL };

#[test]
fn secure_memory_is_neither_read_nor_written() {
    let mut probe = Probe::start();
    let secure = [
        ("code", SECURE_CODE.start),
        ("code's last word", VENEERS.start - 4),
        ("an entry point", VENEERS.start),
        ("behind the entry points", VENEERS.end()),
        ("root key", PROVISIONING.start + 16),
        ("copy of the application", SECURE_COPY.start),
        ("RAM", SECURE_RAM.start),
        ("stack", SECURE_RAM.end() - 16),
        ("epochs", EPOCHS.start),
        ("UART0", 0x5020_0000),
        ("gate of the code", 0x5800_7000),
        ("gates of the peripherals", 0x5008_0084),
        ("own code's other address", alias(CODE.start)),
        ("own RAM's other address", alias(RAM.start)),
        ("own UART's other address", alias(UART.start)),
        ("before the own code", CODE.start - 4),
        ("behind the own code", CODE.end()),
        ("behind the own RAM", RAM.end()),
        ("before the stack of functions", FUNCTION_STACK.start - 4),
    ];
    // The same memory again, by the addresses for this world.
    let aliases = secure[..10].iter().map(|(name, address)| (*name, alias(*address)));
    for (name, address) in secure.into_iter().chain(aliases) {
        assert_eq!(probe.fault(b'r', &[address]), SECURE_FAULT, "{name} is read at {address:#x}");
        assert_eq!(probe.fault(b'w', &[address, 0]), SECURE_FAULT, "{name} is written at {address:#x}");
    }
    // What is its own is not refused.
    assert_eq!(probe.ask(b'w', &[RAM.end() - 4, 77]), 0);
    assert_eq!(probe.ask(b'r', &[RAM.end() - 4]), 77);
    probe.ask(b'r', &[CODE.end() - 4]);
}

/// SAU comes first for all of the above. So the debug port switches it off, which no application can, and the gates of the memory and of
/// the peripherals hold alone.
#[test]
fn gates_hold_without_sau() {
    const BUS_FAULT: u32 = 5;
    let mut probe = Probe::start();
    let flash_step = secure_symbol("flash_step");
    let places = [
        SECURE_CODE.start,
        PROVISIONING.start + 16,
        SECURE_COPY.start,
        SECURE_RAM.start,
        SECURE_RAM.end() - 16,
    ];
    for address in places.map(alias) {
        for command in [b'r', b'w'] {
            probe.switch_sau_off(flash_step);
            let fault = probe.fault(command, &[address, 0]);
            assert_eq!(fault.exception, BUS_FAULT, "{address:#x}: {fault:?}");
        }
    }
    // The gates of peripherals give 0, and take nothing: UART0 goes on.
    probe.switch_sau_off(flash_step);
    let control = alias(0x5020_0000) + 8;
    assert_eq!(probe.ask(b'r', &[control]), 0);
    assert_eq!(probe.ask(b'w', &[control, 0]), 0);
    // What is its own is there.
    assert_eq!(probe.ask(b'w', &[RAM.end() - 4, 77]), 0);
    assert_eq!(probe.ask(b'r', &[RAM.end() - 4]), 77);
    assert_eq!(probe.fault(b'r', &[alias(SECURE_RAM.start)]).exception, BUS_FAULT);
}

/// The processor's own registers that are the secure world's read as 0 for the other one, and keep what they have.
#[test]
fn the_partition_is_not_changed() {
    let mut probe = Probe::start();
    let epoch = probe.0.link.epoch();
    for (name, address) in [
        ("SAU_CTRL", 0xE000_EDD0),
        ("SAU_RNR", 0xE000_EDD8),
        ("SAU_RBAR", 0xE000_EDDC),
        ("SAU_RLAR", 0xE000_EDE0),
        ("SFSR", 0xE000_EDE4),
        ("NVIC_ITNS1", 0xE000_E384),
        ("NSACR", 0xE000_ED8C),
        ("VTOR_NS by the secure world's way", 0xE002_ED08),
    ] {
        assert_eq!(probe.ask(b'r', &[address]), 0, "{name}");
        probe.ask(b'w', &[address, u32::MAX]);
        assert_eq!(probe.ask(b'r', &[address]), 0, "{name}");
    }
    // A reset, and exceptions of the secure world taken over: AIRCR with its key.
    for value in [0x05FA_0004, 0x05FA_2000] {
        probe.ask(b'w', &[0xE000_ED0C, value]);
    }
    assert_eq!(probe.ask(b'r', &[0xE000_ED0C]) & 0x6008, 0);
    assert_eq!(probe.call(Service::Epoch, [0; 4]), i32::from(epoch.0));
    assert_eq!(probe.fault(b'r', &[SECURE_RAM.start]), SECURE_FAULT);
}

#[test]
fn secure_code_is_entered_at_its_entry_points_alone() {
    let mut probe = Probe::start();
    let past_sg = (0..Service::COUNT).map(|i| VENEERS.start + 8 * i + 4);
    let others = [SECURE_CODE.start + 0x400, SECURE_CODE.start + 0x1002, VENEERS.end(), alias(VENEERS.start)];
    for address in past_sg.chain(others) {
        let fault = probe.fault(b'c', &[address | 1, 0, 0, 0, 0]);
        assert_eq!(fault, Fault { exception: 7, cfsr: 0, sfsr: INVEP }, "branch to {address:#x}");
    }
    // Between the two halves of SG.
    let fault = probe.fault(b'c', &[VENEERS.start + 3]);
    assert_eq!(fault, Fault { exception: 7, cfsr: 0, sfsr: INVEP });
    // A data section, and a function that the application may not call itself.
    let start = secure_symbol("flash_step");
    assert_eq!(
        probe.fault(b'c', &[start | 1, EPOCHS.start, 0]),
        Fault { exception: 7, cfsr: 0, sfsr: INVEP }
    );
    assert!(probe.call(Service::Epoch, [0; 4]) > 0);
}

/// Calls of services that are to return by what the processor takes for a return from the other world, or from an exception: by threads,
/// by handlers, and by functions that an instruction has started.
#[test]
fn no_service_returns_to_the_secure_world() {
    let mut probe = Probe::start();
    let links = [
        0xFEFF_FFFF,
        0xFEFF_FFFE,
        0xFFFF_FFFD,
        0xFFFF_FFFC,
        0xFFFF_FFF9,
        0xFFFF_FFF1,
        0xFFFF_FFBC,
        0xFFFF_FFB8,
        0xFFFF_FFB0,
        0xFFFF_FFFF,
        0xFE00_0000,
    ];
    for service in
        [Service::SealReading, Service::Receive, Service::Epoch, Service::NewEpoch, Service::StartEvidence]
    {
        for link in links {
            for command in [b'l', b'm'] {
                let fault = probe.fault(command, &[service.address() | 1, link]);
                assert_eq!(fault.exception, 6, "{service:?} to {link:#x}: {fault:?}");
            }
        }
        let words = [service.address() | 1, links[0]].map(u32::to_be_bytes);
        let (frame, _) = probe.0.seal(5, words.as_flattened());
        probe.write(BUFFER, &frame);
        let call =
            [Service::Receive.address() | 1, BUFFER, frame.len().try_into().unwrap(), BUFFER + 0x400, 0];
        // All exceptions are held then, so it is a HardFault.
        assert_eq!(probe.fault(b'c', &call).exception, 3, "{service:?}");
    }
    assert!(probe.call(Service::Epoch, [0; 4]) > 0);
}

/// What an unprivileged thread of the application may not read or write by the application's own MPU, no service reads or writes for it.
#[test]
fn unprivileged_callers_have_their_own_rights() {
    const PRIVILEGED: u32 = RAM.start + 0xC000;
    let mut probe = Probe::start();
    // Code, and RAM but for some: base and attributes, limit and enable.
    let end = PRIVILEGED + 0x1000;
    let regions = [
        (CODE.start | 0b110, (CODE.end() - 32) | 1),
        (RAM.start | 0b011, (PRIVILEGED - 32) | 1),
        (PRIVILEGED | 0b001, (end - 32) | 1),
        (end | 0b011, (RAM.end() - 32) | 1),
    ];
    for (number, (base, limit)) in (0..).zip(regions) {
        probe.ask(b'w', &[0xE000_ED98, number]);
        probe.ask(b'w', &[0xE000_ED9C, base]);
        probe.ask(b'w', &[0xE000_EDA0, limit]);
    }
    // With the usual map for the privileged.
    probe.ask(b'w', &[0xE000_ED94, 0b101]);
    probe.write(PRIVILEGED, b"secret");
    probe.write(BUFFER, b"abcdef");
    let service = Service::SealReading.address() | 1;
    for (reading, frame, expected) in [
        (BUFFER, BUFFER + 0x400, 20),
        (PRIVILEGED, BUFFER + 0x400, Refusal::Pointer as i32),
        (BUFFER, PRIVILEGED, Refusal::Pointer as i32),
        // Across the border.
        (PRIVILEGED - 3, BUFFER + 0x400, Refusal::Pointer as i32),
        (BUFFER, PRIVILEGED - 200, Refusal::Pointer as i32),
        (PRIVILEGED - 6, BUFFER + 0x400, 20),
    ] {
        let unprivileged = probe.ask(b'u', &[service, 1, reading, 6, frame]).cast_signed();
        assert_eq!(unprivileged, expected, "{reading:#x} to {frame:#x}");
    }
    // The privileged may.
    assert_eq!(probe.call(Service::SealReading, [1, PRIVILEGED, 6, BUFFER + 0x400]), 20);
    let mut frame = probe.read(BUFFER + 0x400, 20);
    assert_eq!(probe.0.open_reading(&mut frame).0, b"secret");
}

/// Returns from functions and exceptions that the secure world has not begun.
#[test]
fn no_return_to_the_secure_world_is_forged() {
    let mut probe = Probe::start();
    // A return from a function that nobody called, by a thread and by a handler.
    for command in [b'j', b'f', b'c', b'h'] {
        for address in [0xFEFF_FFFF, 0xFEFF_FFFE] {
            let fault = probe.fault(command, &[address]);
            assert!([3, 6, 7].contains(&fault.exception), "{address:#x}: {fault:?}");
        }
    }
    // Returns from an exception to a secure thread, on either of its stacks, with either set of registers, and to a secure handler.
    for exc_return in [
        0xFFFF_FFFD,
        0xFFFF_FFFC,
        0xFFFF_FFF9,
        0xFFFF_FFF8,
        0xFFFF_FFDC,
        0xFFFF_FFD8,
        0xFFFF_FFF0,
        0xFFFF_FFF1,
    ] {
        let fault = probe.fault(b'f', &[exc_return]);
        assert!([3, 6, 7].contains(&fault.exception), "{exc_return:#x}: {fault:?}");
    }
    // To a thread of its own, but at a secure place.
    for place in [secure_symbol("flash_step"), VENEERS.start + 4, SECURE_CODE.start + 0x400] {
        let fault = probe.fault(b'f', &[0xFFFF_FFB8, place]);
        assert_eq!(fault.exception, 7, "{place:#x}: {fault:?}");
    }
}

#[test]
fn buffers_must_be_the_callers_own_as_a_whole() {
    let mut probe = Probe::start();
    let epoch = probe.0.link.epoch();
    let len = u32::try_from(FRAME_LEN).unwrap();
    let pointer = Refusal::Pointer as i32;
    let no_buffers = [
        ("RAM of the secure world", SECURE_RAM.start),
        ("its stack", SECURE_RAM.end() - len),
        ("its code", SECURE_CODE.start),
        ("entry points", VENEERS.start),
        ("root key", PROVISIONING.start),
        ("epochs", EPOCHS.start),
        ("its RAM's other address", alias(SECURE_RAM.start)),
        ("its code's other address", alias(SECURE_CODE.start)),
        ("the own RAM's other address", alias(RAM.start)),
        ("from before the RAM into it", RAM.start - 1),
        ("from within the RAM beyond it", RAM.end() - len + 1),
        ("from the last byte of RAM", RAM.end() - 1),
        ("the peripheral", UART.start),
        ("registers of the processor", 0xE000_ED00),
        ("nothing", 0),
        ("around the end of addresses", u32::MAX - 100),
        ("the last address", u32::MAX),
    ];
    for (name, address) in no_buffers {
        // Where the secure world would write, and where it would read.
        assert_eq!(probe.call(Service::SealReading, [1, BUFFER, 6, address]), pointer, "to {name}");
        assert_eq!(probe.call(Service::Receive, [BUFFER, 30, address, 0]), pointer, "to {name}");
        assert_eq!(probe.call(Service::SealReading, [1, address, len, BUFFER]), pointer, "from {name}");
        assert_eq!(probe.call(Service::Receive, [address, len, BUFFER, 0]), pointer, "from {name}");
    }
    // Code is not written by the secure world, and may be read.
    assert_eq!(probe.call(Service::SealReading, [1, BUFFER, 6, CODE.start]), pointer);
    assert_eq!(probe.call(Service::SealReading, [1, CODE.start, 6, BUFFER]), 20);
    let length = Refusal::Length as i32;
    for len in [242, 255, 256, 257, 0xFFFF, 0x8000_0000, u32::MAX] {
        assert_eq!(probe.call(Service::SealReading, [1, BUFFER, len, BUFFER]), length, "{len}");
    }
    for (stream, refusal) in [(0, Refusal::Stream), (2, Refusal::Stream), (0x1_0001, Refusal::Stream)] {
        assert_eq!(probe.call(Service::SealReading, [stream, BUFFER, 6, BUFFER]), refusal as i32);
    }

    // The first and the last that are right, unaligned, and on top of each other.
    for (reading, frame) in [
        (RAM.end() - 6, RAM.end() - len),
        (BUFFER + 1, BUFFER + 0x403),
        (BUFFER + 7, BUFFER),
        (RAM.end() - 1, BUFFER),
    ] {
        let len = if reading == RAM.end() - 1 { 1 } else { 6 };
        probe.write(reading, &b"abcdef"[..len as usize]);
        assert_eq!(probe.call(Service::SealReading, [1, reading, len, frame]), 14 + len.cast_signed());
        let mut frame = probe.read(frame, 14 + len);
        assert_eq!(probe.0.open_reading(&mut frame).0, b"abcdef"[..len as usize]);
    }
    // An empty reading is nowhere.
    assert_eq!(probe.call(Service::SealReading, [1, SECURE_RAM.start, 0, BUFFER]), 14);
    assert_eq!(probe.call(Service::Epoch, [0; 4]), i32::from(epoch.0));
}

/// The limits PSPLIM and MSPLIM hold: a stack of the secure world that is full is a fault, and overwrites nothing that is below it. No
/// caller can fill one, so the debug port moves the stack pointer.
#[test]
fn full_stacks_are_faults() {
    let stack_overflow = Fault { exception: 3, cfsr: 1 << 20, sfsr: 0 };
    let mut probe = Probe::start();
    // Services run on the process stack, and begin with pushes.
    let process_stack = secure_symbol("nonsecure5STACK");
    let call = [Service::SealReading.address() | 1, 1, BUFFER, 6, BUFFER + 0x400];
    let service = secure_symbol("SealReading");
    assert_eq!(probe.fault_of_stack(b'c', &call, service, process_stack + 4), stack_overflow);
    // The start runs on the main stack: that of the device after another fault.
    let main_stack = secure_symbol("_stack_end");
    let start = secure_symbol("main");
    assert_eq!(probe.fault_of_stack(b'r', &[SECURE_CODE.start], start, main_stack + 4), stack_overflow);
}

#[test]
fn services_are_for_threads_and_one_at_a_time() {
    let mut probe = Probe::start();
    let epoch = i32::from(probe.0.link.epoch().0);
    for service in
        [Service::SealReading, Service::Receive, Service::Epoch, Service::NewEpoch, Service::StartEvidence]
    {
        let returned = probe.ask(b'h', &[service.address() | 1, 1, BUFFER, 6, BUFFER]);
        assert_eq!(returned.cast_signed(), Refusal::Handler as i32, "{service:?} from a handler");
        // From a function that an instruction has started.
        let address = (service.address() | 1).to_be_bytes();
        assert_eq!(probe.instruct(5, &address), (Verdict::Intact, true, 0));
        let returned = probe.ask(b'g', &[]);
        assert_eq!(returned.cast_signed(), Refusal::Busy as i32, "{service:?} from a function");
    }
    // The lock is open again.
    assert_eq!(probe.call(Service::Epoch, [0; 4]), epoch);
    // And such a function returns to the secure world only as it should.
    let (frame, _) = probe.0.seal(5, &0x1000_0401u32.to_be_bytes());
    probe.write(BUFFER, &frame);
    let words = [Service::Receive.address() | 1, BUFFER, frame.len().try_into().unwrap(), BUFFER + 0x400, 0];
    let fault = probe.fault(b'c', &words);
    // All exceptions are held then, so it is a HardFault.
    assert_eq!(fault, Fault { exception: 3, cfsr: 0, sfsr: INVEP });
}

#[test]
fn registers_tell_nothing() {
    let mut probe = Probe::start();
    probe.write(BUFFER, b"abcdef");
    let services = [
        (Service::SealReading, [1, BUFFER, 6, BUFFER + 0x400]),
        (Service::Receive, [BUFFER, 30, BUFFER + 0x400, 0]),
        (Service::Epoch, [7; 4]),
    ];
    for (service, [a, b, c, d]) in services {
        probe.send(b'k', &[service.address() | 1, a, b, c, d], &[]);
        let after = probe.0.board.receive().unwrap();
        // All that a function need not preserve but its result, and the flags.
        assert_eq!(after[4..], [0; 20], "{service:?}");
    }
}

/// A function is patched by an interrupt, again and again. What is measured is what runs.
#[test]
fn code_does_not_change_between_check_and_call() {
    let mut probe = Probe::with(NEW, &TIME_BY_INSTRUCTIONS.map(str::to_owned));
    let region = probe.0.made.region(4);
    let original = u32::from(probe.0.made.code(4)[60]);
    assert_eq!(probe.instruct(4, &[]), (Verdict::Intact, true, 1));
    let mut runs = 1;
    let mut seen = [0; 2];
    // Every 781 instructions, at a byte that is measured among the first; measuring the others takes 200,000.
    probe.ask(b't', &[1000, region.address + 60, original ^ 1, original]);
    for _ in 0..40 {
        let (verdict, is_as_built, now) = probe.instruct(4, &[]);
        let ran = now - runs;
        runs = now;
        match verdict {
            Verdict::Intact => {
                assert_eq!((ran, is_as_built), (1, true));
                // What it was when it ran.
                assert_eq!(probe.ask(b'n', &[1]), original);
            }
            _ => assert_eq!((ran, is_as_built), (0, false)),
        }
        seen[usize::from(verdict == Verdict::Intact)] += 1;
    }
    let patched = probe.ask(b't', &[0; 4]);
    assert!(seen[0] > 0 && seen[1] > 0, "it was altered {} times of 40", seen[0]);
    assert!(patched > 200, "patched {patched} times");
}

/// A function has a stack of its own, wherever its caller's is: pushes neither change its argument nor its code after that was measured.
#[test]
fn a_function_has_its_own_stack() {
    /// What a function's argument is put into, by whom it is called.
    const ARGUMENT: u32 = BUFFER + 0x400;
    let mut probe = Probe::start();
    let region = probe.0.made.region(6);
    let code = probe.0.made.code(6).to_vec();
    // Above the argument, and above instructions behind the pushes.
    for (i, stack) in (0..).zip([ARGUMENT + 8, region.address + 40, FUNCTION_STACK.end()]) {
        // The main stack, and the process stack.
        for control in [0, 2] {
            let noted: u32 = 0xA500_0000 | i << 8 | control;
            let (frame, challenge) = probe.0.seal(6, &noted.to_le_bytes());
            probe.write(BUFFER, &frame);
            let (len, limit) = (frame.len().try_into().unwrap(), stack - 64);
            let service = Service::Receive.address() | 1;
            probe.send(b's', &[service, BUFFER, len, ARGUMENT, 0, stack, control, limit], &[]);
            let after = probe.0.board.receive().unwrap();
            let after: Vec<u32> =
                after.chunks(4).map(|word| u32::from_be_bytes(word.try_into().unwrap())).collect();
            // Its caller's stack is as it was.
            assert_eq!(after[1..], [stack, limit, limit], "stack at {stack:#x}");
            let mut answer = probe.read(ARGUMENT, after[0] & 0xFF);
            let (evidence, is_as_built) = probe.0.evidence(&mut answer, &challenge, 6);
            assert_eq!((evidence.verdict, is_as_built), (Verdict::Intact, true));
            assert_eq!(probe.ask(b'n', &[1]), noted, "stack at {stack:#x}, CONTROL {control}");
            assert_eq!(probe.read(region.address, region.len), code, "stack at {stack:#x}");
        }
    }
    // No buffer meets that stack.
    let len = u32::try_from(FRAME_LEN).unwrap();
    for address in [FUNCTION_STACK.start, FUNCTION_STACK.end() - len, FUNCTION_STACK.end() - 1] {
        assert_eq!(probe.call(Service::Receive, [BUFFER, 30, address, 0]), Refusal::Pointer as i32);
    }
}

/// The secure world reads each byte of an argument once: it has read all of them when it writes its answer, and what is changed behind
/// the reading, as by another master of the bus, changes nothing.
#[test]
fn arguments_are_fetched_once() {
    const ANSWER: u32 = BUFFER + 0x400;
    let mut probe = Probe::start();
    let is_read_once = |probe: &mut Probe, argument: &[u8], at: u32, call: &[u32]| {
        probe.write(BUFFER, argument);
        let mut debugger = probe.0.board.debug().unwrap();
        debugger.set_watchpoint(Access::Read, BUFFER + at).unwrap();
        debugger.set_watchpoint(Access::Write, ANSWER).unwrap();
        probe.send(b'c', call, &[]);
        assert_eq!(debugger.run().unwrap(), Some((Access::Read, BUFFER + at)), "byte {at}");
        debugger.remove_watchpoint(Access::Read, BUFFER + at).unwrap();
        debugger.step().unwrap();
        debugger.flip(BUFFER + at).unwrap();
        debugger.set_watchpoint(Access::Read, BUFFER + at).unwrap();
        assert_eq!(debugger.run().unwrap(), Some((Access::Write, ANSWER)), "byte {at}");
        debugger.remove_watchpoint(Access::Read, BUFFER + at).unwrap();
        debugger.remove_watchpoint(Access::Write, ANSWER).unwrap();
        drop(debugger);
        probe.answer().cast_signed()
    };
    for at in 0..6 {
        let call = [Service::SealReading.address() | 1, 1, BUFFER, 6, ANSWER];
        assert_eq!(is_read_once(&mut probe, b"abcdef", at, &call), 20);
        let mut frame = probe.read(ANSWER, 20);
        assert_eq!(probe.0.open_reading(&mut frame).0, b"abcdef");
    }
    // Header, payload, tag.
    for at in [0, 2, 5, 6, 7, 8, 15] {
        let (frame, _) = probe.0.seal(1, &[]);
        let call = [Service::Receive.address() | 1, BUFFER, frame.len().try_into().unwrap(), ANSWER, 0];
        assert!(is_read_once(&mut probe, &frame, at, &call) > 0, "byte {at}");
    }
}

/// An application that has all the frames it wants.
#[test]
fn frames_come_once_and_unchanged() {
    let mut probe = Probe::start();
    let refused = (Refusal::Frame as i32, Vec::new());
    let (frame, challenge) = probe.0.seal(1, b"argument");
    for bit in 0..8 * frame.len() {
        let mut changed = frame.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(probe.receive(&changed), refused, "bit {bit}");
    }
    for len in 0..frame.len() {
        assert_eq!(probe.receive(&frame[..len]), refused, "{len} bytes");
    }
    assert_eq!(probe.ask(b'n', &[]), 0);
    let (returned, mut answer) = probe.receive(&frame);
    assert!(returned > 0);
    assert_eq!(probe.0.evidence(&mut answer, &challenge, 1).0.verdict, Verdict::Intact);
    assert_eq!(probe.ask(b'n', &[]), 1);
    // Again, and evidence and readings as if they came from the gateway.
    assert_eq!(probe.receive(&frame), refused);
    let (frame, _) = probe.0.seal(1, &[]);
    let (_, up) = probe.receive(&frame);
    assert_eq!(probe.receive(&up), refused);
    assert_eq!(probe.call(Service::SealReading, [1, BUFFER, 6, BUFFER]), 20);
    let mut reading = probe.read(BUFFER, 20);
    assert_eq!(probe.receive(&reading), refused);
    assert_eq!(probe.ask(b'n', &[]), 2);
    // Up, what the application changes does not open.
    reading[7] ^= 1;
    let opened = probe.0.link.open_reading(ID, stream(), &mut reading).map(|opened| opened.counter);
    assert_eq!(opened, Err(OpenError::Rejected));
}

/// An application that holds instructions back, to have them obeyed when it suits it.
#[test]
fn no_instruction_runs_after_a_later_one() {
    let mut probe = Probe::start();
    let (first, _) = probe.0.seal(1, &[]);
    let (second, _) = probe.0.seal(1, &[]);
    let (third, challenge) = probe.0.seal(2, &[]);
    assert!(probe.receive(&second).0 > 0);
    assert_eq!(probe.receive(&first), (Refusal::Frame as i32, Vec::new()));
    assert_eq!(probe.ask(b'n', &[]), 1);
    let (_, mut answer) = probe.receive(&third);
    assert_eq!(probe.0.evidence(&mut answer, &challenge, 2).0.verdict, Verdict::Intact);
    assert_eq!(probe.ask(b'n', &[]), 2);
    // In a new epoch counters begin anew.
    let epoch = probe.call(Service::NewEpoch, [0; 4]);
    probe.0.link = probe.0.made.link(smart_city_frame::Epoch(epoch.try_into().unwrap()));
    assert_eq!(probe.instruct(1, &[]), (Verdict::Intact, true, 3));
}
