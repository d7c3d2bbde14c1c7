//! What it takes to measure a function before it runs, in instructions, counted in QEMU.

use std::{env, fs};

use smart_city_frame::Verdict;
use smart_city_interface::Service;

use crate::device::{NEW, PROBE, Probe, secure_symbol};

/// The aim; what it takes now is printed.
const INSTRUCTIONS_A_BYTE: f64 = 60.0;

#[test]
fn measuring_takes_few_instructions_a_byte() {
    let trace = env::var("SMART_CITY_TRACE").expect("run by `cargo xtask test city-firmware`");
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("regions");
    let plugin = format!("{trace},out={}", out.display());
    let mut probe = Probe::with(NEW, &["-plugin".to_owned(), plugin]);
    // Each twice: the number does not depend on what came before.
    let functions: Vec<(u16, u32)> =
        (1..).zip(&PROBE).take(4).map(|(id, _)| (id, probe.0.made.region(id).len)).collect();
    for (id, _) in functions.iter().chain(&functions) {
        assert_eq!(probe.instruct(*id, &[]).0, Verdict::Intact);
    }
    probe.0.board.end().unwrap();

    let text = fs::read_to_string(out).unwrap();
    let counts: Vec<u64> =
        text.lines().map(|line| line.split(' ').nth(1).unwrap().parse().unwrap()).collect();
    assert_eq!(counts.len(), 8, "{text}");
    assert_eq!(counts[..4], counts[4..]);
    println!("measuring a function before it runs, Cortex-M33:");
    for ((_, len), count) in functions.iter().zip(&counts) {
        println!("{len:6} bytes {count:8} instructions");
    }
    let [(first, from), .., (last, to)] = [(functions[0].1, counts[0]), (functions[3].1, counts[3])];
    let slope = (to - from) as f64 / f64::from(last - first);
    println!("{slope:.1} a byte and {:.0} for each function", from as f64 - slope * f64::from(first));
    assert!(slope <= INSTRUCTIONS_A_BYTE, "{slope:.1} instructions a byte");
}

/// What services use of their stack, of which the rest is as it was when power came.
#[test]
fn the_stack_is_great_enough() {
    const STACK: u32 = 16 * 1024;
    let mut probe = Probe::start();
    assert_eq!(probe.instruct(4, &[0xAA; 239]).0, Verdict::Intact);
    let (restore, _) = probe.0.seal(0, &[0, 4]);
    assert!(probe.receive(&restore).0 > 0);
    let reading = probe.buffer(&[0xAA; 241]);
    assert_eq!(probe.call(Service::SealReading, [1, reading, 241, reading]), 255);
    // Its memory is read while it opens a new epoch: at other times the debug port sees what the application sees.
    let mut debugger = probe.0.board.debug().unwrap();
    debugger.set_breakpoint(secure_symbol("flash_step")).unwrap();
    probe.send(b'c', &[Service::NewEpoch.address() | 1], &[]);
    debugger.run().unwrap();
    let bottom = secure_symbol("nonsecure5STACK");
    let bytes: Vec<u8> =
        (0..STACK / 1024).flat_map(|i| debugger.read(bottom + 1024 * i, 1024).unwrap()).collect();
    let unused = bytes.iter().take_while(|byte| **byte == 0).count();
    let used = bytes.len() - unused;
    println!("services use {used} bytes of their stack of {STACK}");
    assert!(used > 500, "this is not the stack");
    assert!(used <= 4096, "the stack takes {used} bytes");
}
