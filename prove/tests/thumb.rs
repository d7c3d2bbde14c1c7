//! What a proof must not pass stops it on Cortex-M too, with a message that says what and where; and a model that is not QEMU's processor is
//! noticed.

use object::Architecture;
use prove::{
    elf::{Image, Segment},
    fault::Fault,
    isa::{
        Outcome,
        thumb::{Core, Machine, compare::Comparison},
    },
    memory::Rights,
};
use std::sync::Arc;

const CODE: u64 = 0x8000;
/// 16 bytes of which nothing is known; the second half is never written.
const SECRET: u64 = 0x1000_0000;

fn bytes(halfwords: &[u16]) -> Vec<u8> {
    halfwords.iter().flat_map(|halfword| halfword.to_le_bytes()).collect()
}

/// Calls code with the address of [`SECRET`].
fn call(core: Core, halfwords: &[u16]) -> Result<u32, Fault> {
    let segment = Segment { address: CODE, bytes: bytes(halfwords), writable: false, executable: true };
    let image = Image { segments: vec![segment], ..Image::empty(Architecture::Arm) };
    let mut m = Machine::new(Arc::new(image), core);
    m.limit = 1000;
    m.memory.allow("secret", SECRET, 16, Rights::Read);
    let secret = m.graph.inputs(64);
    m.memory.set(SECRET, &secret);
    m.call(CODE, &[SECRET])
}

fn message_on(core: Core, halfwords: &[u16]) -> String {
    call(core, halfwords).unwrap_err().to_string()
}

fn message(halfwords: &[u16]) -> String {
    message_on(Core::V7em, halfwords)
}

/// `ldr r1, [r0]`
const LOAD: u16 = 0x6801;
/// `movs r0, #7`
const SEVEN: u16 = 0x2007;
/// `bx lr`
const RETURN: u16 = 0x4770;

#[test]
fn code_that_does_nothing_wrong_returns() {
    assert_eq!(call(Core::V7em, &[LOAD, SEVEN, RETURN]), Ok(7));
    // The condition of the second `adds` in a block is that the first has set no flags: `cmp r0, r0; ite eq; adds r0, #0; adds r0, #1`.
    assert_eq!(call(Core::V7em, &[SEVEN, 0x4280, 0xbf0c, 0x3000, 0x3001, RETURN]), Ok(7));
}

#[test]
fn unknown_instructions_stop() {
    assert_eq!(
        message(&[0xfbb0, 0xf2f1]),
        "the instruction udiv.w r2, r0, r1 is not modelled, at 0x8000: udiv.w r2, r0, r1"
    );
    assert!(message(&[0xde01]).starts_with("the instruction udf 0x1 is not modelled"));
    assert!(message(&[0xffff, 0xffff]).starts_with("not an instruction"));
}

#[test]
fn secrets_in_control_flow_and_addresses_stop() {
    // tst r1, r1; beq
    assert!(message(&[LOAD, 0x4209, 0xd000]).starts_with("a branch depends on a secret, at 0x8004"));
    // tst r1, r1; it ne; movne r2, #1
    assert!(message(&[LOAD, 0x4209, 0xbf18, 0x2201]).starts_with("a branch depends on a secret, at 0x8006"));
    // cbz r1
    assert!(message(&[LOAD, 0xb101]).starts_with("a branch depends on a secret, at 0x8002"));
    // bx r1
    assert!(message(&[LOAD, 0x4708]).starts_with("a jump depends on a secret, at 0x8002"));
    // ldr r2, [r0, r1]; str r2, [r0, r1]
    assert!(message(&[LOAD, 0x5842]).starts_with("an address depends on a secret, at 0x8002"));
    assert!(message(&[LOAD, 0x5042]).starts_with("an address depends on a secret, at 0x8002"));
    // lsls r2, r1
    assert!(
        message(&[LOAD, 0x2200, 0x408a]).starts_with("an amount of shift depends on a secret, at 0x8004")
    );
}

#[test]
fn what_is_unset_stops() {
    // ldr r2, [r0, #8]; adds r2, r2, r0
    let result = "a result depends on memory or a register that was not written, at 0x8002";
    assert!(message(&[0x6882, 0x1812]).starts_with(result));
    assert_eq!(
        message(&[0x6880, RETURN]),
        "what it returns depends on memory or a register that was not written"
    );
}

#[test]
fn accesses_outside_stop() {
    // ldr.w r2, [r0, #13]
    let outside = "4 bytes at 0x1000000d are read, which are not the function's, at 0x8000";
    assert!(message(&[0xf8d0, 0x200d]).starts_with(outside));
    // str r2, [r0]
    assert!(
        message(&[0x6002]).starts_with("4 bytes at 0x10000000 are written, which are not the function's")
    );
    // str r0, [sp]; movs r0, #7
    assert_eq!(message(&[0x9000, SEVEN, RETURN]), "it writes above its stack pointer");
    // str r0, [sp, #-4]
    let below = "an access to the stack, 4 B below what interrupts leave alone, at 0x8000";
    assert!(message(&[0xf84d, 0x0c04]).starts_with(below));
    // push {r0}; pop {r0}; ldr r0, [sp, #-4]
    let below = "an access to the stack, 4 B below what interrupts leave alone, at 0x8004";
    assert!(message(&[0xb401, 0xbc01, 0xf85d, 0x0c04]).starts_with(below));
}

#[test]
fn addresses_that_are_not_aligned_stop() {
    // ldr.w r1, [r0, #1]
    let word = [0xf8d0, 0x1001, SEVEN, RETURN];
    assert_eq!(call(Core::V7m, &word), Ok(7));
    assert!(message_on(Core::V6m, &word).starts_with("an access to 0x10000001, which is no multiple of 4"));
    // adds r0, #2; ldmia r0!, {r1, r2}
    let words = "an access to 0x10000002, which is no multiple of 4, at 0x8002";
    assert!(message(&[0x3002, 0xc806]).starts_with(words));
    // sub.w sp, sp, #2
    assert!(message(&[0xf1ad, 0x0d02]).starts_with("an access to 0x"));
}

#[test]
fn code_without_the_mark_of_thumb_stops() {
    // blx r0
    assert!(message(&[0x4780]).starts_with("a jump to 0x10000000, where there is no code"));
}

#[test]
fn what_is_left_of_secrets_and_registers_stops() {
    // push {r1}; add sp, #4
    assert_eq!(
        message(&[LOAD, 0xb402, 0xb001, SEVEN, RETURN]),
        "it leaves what depends on secrets in 4 B of stack, from 4 B below its stack pointer on"
    );
    // mov r4, r0
    assert_eq!(message(&[0x4604, SEVEN, RETURN]), "register 4 is not what it was");
}

#[test]
fn the_processor_does_what_the_model_does() {
    let mut comparison = Comparison::new();
    let same: [&[u16]; 12] = [
        // adds r2, r2, r0; sbcs r1, r0; add.w r12, r1, r2, lsr #32; ands.w r1, r0, #0x80000000
        &[0x1812],
        &[0x4181],
        &[0xeb01, 0x0c12],
        &[0xf010, 0x4100],
        // itee mi; it ne and adds r0, #1
        &[0xbf4a],
        &[0xbf18, 0x3001],
        // b to itself + 4; beq before; cbnz after
        &[0xe000],
        &[0xd0f0],
        &[0xb900],
        // ldr r1, [pc, #8]; stmdb r3!, {r1, r4, r7}; pop {r2, pc}
        &[0x4902],
        &[0xe923, 0x0092],
        &[0xbd04],
    ];
    for code in same {
        assert_eq!(comparison.check(&bytes(code)), Outcome::Same, "{code:04x?}");
    }
    // The model refuses a stack pointer that a processor of this profile accepts, and has no `udiv`.
    for code in [&[0xf1ad, 0x0d02][..], &[0xfbb0, 0xf2f1]] {
        assert!(matches!(comparison.check(&bytes(code)), Outcome::Different(_)), "{code:04x?}");
    }
    assert_eq!(comparison.check(&bytes(&[0x1813])), Outcome::Same, "after what could not be compared");
    assert_eq!(comparison.count(), (15, 0));
}
