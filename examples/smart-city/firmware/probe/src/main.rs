//! A hostile application: it does what a test on the host tells it over the serial line, as malware would do that has taken the
//! non-secure world over.
//!
//! A command is a packet: its number (1 byte), up to eight words (4 bytes each, big-endian), and perhaps bytes. Each is answered by
//! a packet, unless the device starts anew.
#![no_std]
#![no_main]

use core::{
    arch::{asm, global_asm},
    mem::transmute,
    ptr, slice,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use cortex_m::peripheral::{Peripherals, SCB};
use cortex_m_rt::{entry, exception};
use smart_city_street::{
    board,
    line::{self, Receiver},
};

type Function = extern "C" fn(u32, u32, u32, u32) -> u32;

/// What an exception handler is to do: address of a function, or an `EXC_RETURN` to forge; then arguments; then the result.
static CALL: [AtomicU32; 6] = [const { AtomicU32::new(0) }; 6];

/// What SysTick is to do: an address, a byte to put there at one time and another at the next; and how often it was done.
static PATCH: [AtomicU32; 4] = [const { AtomicU32::new(0) }; 4];

/// How often the functions below ran, and byte 60 of the code of the one that did, or what `pushes` noted.
#[unsafe(no_mangle)]
static RUNS: [AtomicU32; 2] = [const { AtomicU32::new(0) }; 2];

// Functions that instructions start: each counts, and notes what byte 60 of its code is then. What is behind their returns is
// never run, but measured. Its bytes differ.
macro_rules! function {
    ($name:ident, $len:literal) => {
        global_asm!(
            concat!(".section .text.", stringify!($name), ", \"ax\", %progbits"),
            ".p2align 4",
            concat!(".global ", stringify!($name)),
            concat!(".type ", stringify!($name), ", %function"),
            ".thumb_func",
            concat!(stringify!($name), ":"),
            "movw r2, #:lower16:RUNS",
            "movt r2, #:upper16:RUNS",
            "ldr r3, [r2]",
            "adds r3, #1",
            "str r3, [r2]",
            // Its address has the bit that says Thumb.
            concat!("movw r3, #:lower16:", stringify!($name)),
            concat!("movt r3, #:upper16:", stringify!($name)),
            "ldrb r0, [r3, #59]",
            "str r0, [r2, #4]",
            "bx lr",
            concat!(".set fill, ", stringify!($len), " - (. - ", stringify!($name), ")"),
            ".set value, 1",
            ".rept fill",
            ".byte value & 255",
            ".set value, value * 37 + 11",
            ".endr",
            concat!(".size ", stringify!($name), ", . - ", stringify!($name)),
        );
        unsafe extern "C" {
            fn $name(argument: *const u8, len: u32) -> u32;
        }
    };
}
function!(function_64, 64);
function!(function_256, 256);
function!(function_1024, 1024);
function!(function_4096, 4096);

// Pushes nine words, then notes the first word of its argument: a stack that meets the argument or this code changes what it does.
global_asm!(
    ".section .text.pushes, \"ax\", %progbits",
    ".p2align 4",
    ".global pushes",
    ".type pushes, %function",
    ".thumb_func",
    "pushes:",
    "push {{r4-r7, lr}}",
    "push {{r4-r7}}",
    "ldr r3, [r0]",
    "movw r2, #:lower16:RUNS",
    "movt r2, #:upper16:RUNS",
    "str r3, [r2, #4]",
    "add sp, #16",
    "pop {{r4-r7, pc}}",
    ".space 64 - (. - pushes)",
    ".size pushes, . - pushes",
);

// Calls a function with arguments, a stack pointer, CONTROL and a limit of both stacks, while interrupts are held; and
// leaves its result, the stack pointer and the two limits afterwards.
global_asm!(
    ".section .text.call_on_stack, \"ax\", %progbits",
    ".global call_on_stack",
    ".type call_on_stack, %function",
    ".thumb_func",
    "call_on_stack:",
    "push {{r4-r8, lr}}",
    "mov r4, r0",
    "mov r5, sp",
    "cpsid i",
    "ldr r0, [r4, #20]",
    "ldr r1, [r4, #24]",
    "ldr r2, [r4, #28]",
    "msr CONTROL, r1",
    "isb",
    "mov sp, r0",
    "msr MSPLIM, r2",
    "msr PSPLIM, r2",
    "ldr r6, [r4]",
    "ldr r0, [r4, #4]",
    "ldr r1, [r4, #8]",
    "ldr r2, [r4, #12]",
    "ldr r3, [r4, #16]",
    "blx r6",
    "mov r1, sp",
    "mrs r2, MSPLIM",
    "mrs r3, PSPLIM",
    "stm r4, {{r0-r3}}",
    "movs r0, #0",
    "msr MSPLIM, r0",
    "msr PSPLIM, r0",
    "msr CONTROL, r0",
    "isb",
    "mov sp, r5",
    "cpsie i",
    "pop {{r4-r8, pc}}",
    ".size call_on_stack, . - call_on_stack",
);

unsafe extern "C" {
    fn pushes(argument: *const u8, len: u32) -> u32;

    /// The function, its four arguments, stack pointer, CONTROL, limit.
    fn call_on_stack(call: &mut [u32; 8]);
}

// Calls a function with four arguments as an unprivileged thread, and comes back privileged by SVC.
global_asm!(
    ".section .text.call_unprivileged, \"ax\", %progbits",
    ".global call_unprivileged",
    ".type call_unprivileged, %function",
    ".thumb_func",
    "call_unprivileged:",
    "push {{r4, lr}}",
    "mov r4, r0",
    "movs r0, #1",
    "msr CONTROL, r0",
    "isb",
    "ldr r12, [r4]",
    "ldr r0, [r4, #4]",
    "ldr r1, [r4, #8]",
    "ldr r2, [r4, #12]",
    "ldr r3, [r4, #16]",
    "blx r12",
    "mov r4, r0",
    "svc #0",
    "mov r0, r4",
    "pop {{r4, pc}}",
    ".size call_unprivileged, . - call_unprivileged",
);

unsafe extern "C" {
    /// The function, its four arguments.
    fn call_unprivileged(call: &[u32; 5]) -> u32;
}

global_asm!(
    ".section .text.hangs, \"ax\", %progbits",
    ".global hangs",
    ".type hangs, %function",
    ".thumb_func",
    "hangs:",
    "b hangs",
    ".size hangs, . - hangs",
);

unsafe extern "C" {
    fn hangs(argument: *const u8, len: u32) -> u32;
}

/// Goes to a function that is to return to `link`.
fn go(address: u32, link: u32) -> ! {
    // SAFETY: the test wants it, whatever comes of it.
    unsafe { asm!("mov lr, {}", "bx {}", in(reg) link, in(reg) address, options(noreturn)) }
}

/// Calls a service and the address in its argument while an instruction runs it. If it has two, it is to return to the second.
#[unsafe(no_mangle)]
extern "C" fn calls_back(argument: *const u8, len: u32) -> u32 {
    // SAFETY: the secure world gives `len` bytes.
    let argument = unsafe { slice::from_raw_parts(argument, len as usize) };
    if let Ok([a, b, c, d, link @ ..]) = <[u8; 8]>::try_from(argument) {
        go(u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes(link));
    }
    let Ok(address) = <[u8; 4]>::try_from(argument) else { return 0 };
    let result = function(u32::from_be_bytes(address))(0, 0, 0, 0);
    CALL[5].store(result, Relaxed);
    result
}

/// Keeps them in the image.
#[used]
static FUNCTIONS: [unsafe extern "C" fn(*const u8, u32) -> u32; 7] =
    [function_64, function_256, function_1024, function_4096, calls_back, pushes, hangs];

#[entry]
fn main() -> ! {
    board::set_up_uart();
    // QEMU looks whether the UART can take a byte when anything happens, and otherwise not.
    // SAFETY: nothing else here uses it.
    board::start_timer(&mut unsafe { Peripherals::steal() }.SYST, board::TENTH);
    let mut receiver = Receiver::new();
    line::send(&[b"ready"]);
    loop {
        while let Some((&[command], rest)) = receiver.poll().and_then(<[u8]>::split_first_chunk) {
            obey(command, rest);
        }
        board::wait();
    }
}

fn obey(command: u8, rest: &[u8]) {
    let word = |i: usize| {
        let bytes = rest.get(4 * i..4 * i + 4).and_then(|bytes| bytes.try_into().ok());
        bytes.map_or(0, u32::from_be_bytes)
    };
    let answer = |value: u32| line::send(&[&value.to_be_bytes()]);
    match command {
        // Reads and writes.
        // SAFETY: the test wants it, whatever comes of it.
        b'r' => answer(unsafe { at(word(0)).read_volatile() }),
        b'w' => {
            // SAFETY: as above.
            unsafe { at(word(0)).write_volatile(word(1)) };
            answer(0);
        }
        // Bytes from an address; bytes to an address.
        b'R' => {
            let start = ptr::with_exposed_provenance(word(0) as usize);
            // SAFETY: as above.
            line::send(&[unsafe { slice::from_raw_parts(start, word(1) as usize) }]);
        }
        b'W' => {
            for (address, byte) in (word(0)..).zip(rest.iter().skip(4)) {
                // SAFETY: as above.
                unsafe { ptr::with_exposed_provenance_mut::<u8>(address as usize).write_volatile(*byte) };
            }
            answer(0);
        }
        // Calls an address with four arguments.
        b'c' => answer(function(word(0))(word(1), word(2), word(3), word(4))),
        // Calls it so many times; the last result.
        b'S' => answer((0..word(5)).fold(0, |_, _| function(word(0))(word(1), word(2), word(3), word(4)))),
        // Calls an address with four arguments, unprivileged.
        // SAFETY: the test wants it called, whatever it is.
        b'u' => answer(unsafe { call_unprivileged(&core::array::from_fn(word)) }),
        // Goes to an address that is to return to another.
        b'l' => go(word(0), word(1)),
        // Calls an address on another stack.
        b's' => {
            let mut call: [u32; 8] = core::array::from_fn(word);
            // SAFETY: the test wants it, whatever comes of it.
            unsafe { call_on_stack(&mut call) };
            let [result, pointer, main_limit, process_limit, ..] = call;
            let after = [result, pointer, main_limit, process_limit];
            line::send(&[after.map(u32::to_be_bytes).as_flattened()]);
        }
        // Branches to an address as a function does that returns: by BX.
        // SAFETY: the test wants it, whatever comes of it.
        b'j' => unsafe { asm!("bx {}", in(reg) word(0), options(noreturn)) },
        // Calls an address, and answers the registers afterwards.
        b'k' => {
            let (mut a, mut b, mut c, mut d) = (word(1), word(2), word(3), word(4));
            let mut e = u32::MAX;
            let flags: u32;
            // SAFETY: the test wants it called; it may change what a function may.
            unsafe {
                asm!(
                    "blx {function}",
                    "mrs {function}, apsr",
                    function = inout(reg) word(0) => flags,
                    inout("r0") a,
                    inout("r1") b,
                    inout("r2") c,
                    inout("r3") d,
                    inout("r12") e,
                    out("lr") _,
                );
            }
            line::send(&[[a, b, c, d, e, flags].map(u32::to_be_bytes).as_flattened()]);
        }
        // Calls an address in an exception handler; or goes there, to return to another; or returns from it by a forged EXC_RETURN and, if
        // the second word is one, to a forged place.
        b'h' | b'm' | b'f' => {
            for (i, place) in CALL.iter().enumerate() {
                place.store(word(i), Relaxed);
            }
            CALL[5].store(u32::from(command), Relaxed);
            SCB::set_pendsv();
            cortex_m::asm::dsb();
            cortex_m::asm::isb();
            answer(CALL[5].load(Relaxed));
        }
        // What `calls_back` or a handler got.
        b'g' => answer(CALL[5].load(Relaxed)),
        // How often functions ran, or the byte that the last one saw.
        b'n' => answer(RUNS[(word(0) & 1) as usize].load(Relaxed)),
        // Has SysTick patch a byte every so many cycles; with 0, no more. Answers how often it did.
        b't' => {
            // SAFETY: nothing else here uses it.
            let mut timer = unsafe { Peripherals::steal() }.SYST;
            let count = PATCH[3].load(Relaxed);
            PATCH[3].store(0, Relaxed);
            for (i, place) in PATCH.iter().enumerate().take(3) {
                place.store(word(i + 1), Relaxed);
            }
            board::start_timer(&mut timer, if word(0) > 0 { word(0) } else { board::TENTH });
            answer(count);
        }
        _ => answer(u32::MAX),
    }
}

fn at(address: u32) -> *mut u32 {
    ptr::with_exposed_provenance_mut(address as usize)
}

fn function(address: u32) -> Function {
    // SAFETY: the test wants it called, whatever it is.
    unsafe { transmute::<usize, Function>(address as usize) }
}

#[exception]
fn SysTick() {
    let count = PATCH[3].load(Relaxed);
    let byte = PATCH[1 + (count & 1) as usize].load(Relaxed) as u8;
    let address = ptr::with_exposed_provenance_mut::<u8>(PATCH[0].load(Relaxed) as usize);
    if address.is_null() {
        return;
    }
    // SAFETY: the test wants it.
    unsafe { address.write_volatile(byte) };
    PATCH[3].store(count + 1, Relaxed);
}

#[exception]
fn PendSV() {
    let [address, a, b, c, d, mode] = [0, 1, 2, 3, 4, 5].map(|i: usize| CALL[i].load(Relaxed));
    if mode == u32::from(b'f') {
        let frame = [0, 0, 0, 0, 0, a, a, 1 << 24];
        let stack = if a == 0 { ptr::null() } else { frame.as_ptr() };
        // SAFETY: it leaves the handler in a way that is not its own.
        unsafe {
            asm!("cbz {0}, 2f", "mov sp, {0}", "2:", "bx {1}", in(reg) stack, in(reg) address, options(noreturn))
        };
    }
    if mode == u32::from(b'm') {
        go(address, a);
    }
    CALL[5].store(function(address)(a, b, c, d), Relaxed);
}

// Makes the thread privileged.
global_asm!(
    ".section .text.SVCall, \"ax\", %progbits",
    ".global SVCall",
    ".type SVCall, %function",
    ".thumb_func",
    "SVCall:",
    "movs r0, #0",
    "msr CONTROL, r0",
    "bx lr",
);

#[exception]
unsafe fn DefaultHandler(_: i16) {
    board::receive();
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    cortex_m::asm::udf()
}
