//! What a proof must not pass stops it on 64-bit Arm too, with a message that says what and where; and a model that is not QEMU's
//! processor is noticed.

use object::Architecture;
use prove::{
    elf::{Image, Segment},
    fault::Fault,
    isa::{
        Outcome,
        aarch64::{Core, Machine, compare::Comparison},
    },
    memory::Rights,
};
use std::sync::Arc;

const CODE: u64 = 0x8000;
/// 32 bytes of which nothing is known; the second half is never written.
const SECRET: u64 = 0x1000_0000;

/// Calls code with the address of [`SECRET`].
fn call(instructions: &[u32]) -> Result<u32, Fault> {
    let bytes = instructions.iter().flat_map(|instruction| instruction.to_le_bytes()).collect();
    let segment = Segment { address: CODE, bytes, writable: false, executable: true };
    let image = Image { segments: vec![segment], ..Image::empty(Architecture::Aarch64) };
    let mut m = Machine::new(Arc::new(image), Core);
    m.limit = 1000;
    m.memory.allow("secret", SECRET, 32, Rights::Read);
    let secret = m.graph.inputs(128);
    m.memory.set(SECRET, &secret);
    m.call(CODE, &[SECRET])
}

fn message(instructions: &[u32]) -> String {
    call(instructions).unwrap_err().to_string()
}

/// `ldr x1, [x0]`
const LOAD: u32 = 0xf940_0001;
/// `mov w0, #7`
const SEVEN: u32 = 0x5280_00e0;
/// `ret`
const RETURN: u32 = 0xd65f_03c0;

#[test]
fn code_that_does_nothing_wrong_returns() {
    assert_eq!(call(&[LOAD, SEVEN, RETURN]), Ok(7));
    // eor v0.16b, v0.16b, v0.16b after ldr q0, [x0]; umov w0, v0.s[1]
    assert_eq!(call(&[0x3dc0_0000, 0x6e20_1c00, 0x0e0c_3c00, RETURN]), Ok(0));
}

#[test]
fn unknown_instructions_stop() {
    // udiv x2, x0, x1; fadd d0, d0, d1
    assert_eq!(
        message(&[0x9ac1_0802]),
        "the instruction udiv x2, x0, x1 is not modelled, at 0x8000: udiv x2, x0, x1"
    );
    assert!(message(&[0x1e61_2800]).starts_with("the instruction fadd d0, d0, d1 is not modelled"));
    assert!(message(&[0xffff_ffff]).starts_with("not an instruction, at 0x8000"));
}

#[test]
fn secrets_in_control_flow_addresses_and_factors_stop() {
    // cbz x1; tbnz x1, #3; br x1
    assert!(message(&[LOAD, 0xb400_0041]).starts_with("a branch depends on a secret, at 0x8004"));
    assert!(message(&[LOAD, 0x3718_0041]).starts_with("a branch depends on a secret, at 0x8004"));
    assert!(message(&[LOAD, 0xd61f_0020]).starts_with("a jump depends on a secret, at 0x8004"));
    // cmp x1, #0; b.eq
    assert!(
        message(&[LOAD, 0xf100_003f, 0x5400_0040]).starts_with("a branch depends on a secret, at 0x8008")
    );
    // ldr x2, [x0, x1]; str x2, [x1]; ld1 {v0.16b}, [x1]
    for access in [0xf861_6802, 0xf900_0022, 0x4c40_7020] {
        assert!(message(&[LOAD, access]).starts_with("an address depends on a secret, at 0x8004"));
    }
    // lsl x2, x0, x1; mul x2, x0, x1
    assert!(message(&[LOAD, 0x9ac1_2002]).starts_with("an amount of shift depends on a secret, at 0x8004"));
    assert!(message(&[LOAD, 0x9b01_7c02]).starts_with("a factor depends on a secret, at 0x8004"));
}

#[test]
fn what_is_unset_stops() {
    // ldr x2, [x0, #16]; add x2, x2, x0; eor v0.16b, v1.16b, v2.16b
    let result = "a result depends on memory or a register that was not written, at 0x8004";
    assert!(message(&[0xf940_0802, 0x8b00_0042]).starts_with(result));
    assert!(message(&[LOAD, 0x6e22_1c20]).starts_with(result));
}

#[test]
fn accesses_outside_stop() {
    // ldr x2, [x0, #32]; str x2, [x0]; str x0, [sp]
    assert!(
        message(&[0xf940_1002]).starts_with("8 bytes at 0x10000020 are read, which are not the function's")
    );
    assert!(
        message(&[0xf900_0002])
            .starts_with("8 bytes at 0x10000000 are written, which are not the function's")
    );
    assert_eq!(message(&[0xf900_03e0, SEVEN, RETURN]), "it writes above its stack pointer");
    // stur x0, [sp, #-8]
    let below = "an access to the stack, 8 B below what interrupts leave alone, at 0x8000";
    assert!(message(&[0xf81f_83e0]).starts_with(below));
    // sub sp, sp, #8
    assert!(message(&[0xd100_23ff]).starts_with("an access to 0x"));
}

#[test]
fn what_is_left_of_secrets_and_registers_stops() {
    // str x1, [sp, #-16]!; add sp, sp, #16
    assert_eq!(
        message(&[LOAD, 0xf81f_0fe1, 0x9100_43ff, SEVEN, RETURN]),
        "it leaves what depends on secrets in 8 B of stack, from 16 B below its stack pointer on"
    );
    // mov x19, x0; fmov d8, x0
    assert_eq!(message(&[0xaa00_03f3, SEVEN, RETURN]), "register 19 is not what it was");
    assert_eq!(message(&[0x9e67_0008, SEVEN, RETURN]), "register 48 is not what it was");
}

/// Each sort of instruction, with its text.
const SAME: [(u32, &str); 126] = [
    (0x3000_91a3, "adr x3, . + 0x1235"),
    (0x9000_0003, "adrp x3, 0x5000"),
    (0x3144_8c41, "adds w1, w2, #0x123, lsl #12"),
    (0xd100_83ff, "sub sp, sp, #32"),
    (0x9100_03bf, "mov sp, x29"),
    (0xf200_f041, "ands x1, x2, #0x5555555555555555"),
    (0x3200_9c41, "orr w1, w2, #0xff00ff"),
    (0xd24c_5c41, "eor x1, x2, #0xfff0000000000fff"),
    (0x92c0_0061, "movn x1, #3, lsl #32"),
    (0x52a0_00e1, "movz w1, #7, lsl #16"),
    (0xf2f5_79a1, "movk x1, #0xabcd, lsl #48"),
    (0x9345_2c41, "sbfx x1, x2, #5, #7"),
    (0x331b_1841, "bfi w1, w2, #5, #7"),
    (0xd344_0841, "ubfiz x1, x2, #60, #3"),
    (0x531f_7c41, "lsr w1, w2, #31"),
    (0x937f_fc41, "asr x1, x2, #63"),
    (0xb348_5c41, "bfxil x1, x2, #8, #16"),
    (0x93c3_3441, "extr x1, x2, x3, #13"),
    (0x1382_0c41, "ror w1, w2, #3"),
    (0x1400_0040, "b . + 0x100"),
    (0x97ff_ffc0, "bl . - 0x100"),
    (0xd61f_00a0, "br x5"),
    (0xd63f_03c0, "blr x30"),
    (0xd65f_00e0, "ret x7"),
    (0xd503_201f, "nop"),
    (0x5400_0048, "b.hi . + 8"),
    (0x54ff_ffcb, "b.lt . - 8"),
    (0x3400_0081, "cbz w1, . + 16"),
    (0xb5ff_ff81, "cbnz x1, . - 16"),
    (0xb640_0021, "tbz x1, #40, . + 4"),
    (0x3718_0041, "tbnz w1, #3, . + 8"),
    (0x8ae3_1c41, "bic x1, x2, x3, ror #7"),
    (0x2aa3_1041, "orn w1, w2, w3, asr #4"),
    (0x6a23_0041, "bics w1, w2, w3"),
    (0x8b03_fc41, "add x1, x2, x3, lsl #63"),
    (0x6b83_7c41, "subs w1, w2, w3, asr #31"),
    (0x8b23_cc41, "add x1, x2, w3, sxtw #3"),
    (0xeb23_03ff, "cmp sp, w3, uxtb"),
    (0xfa5f_c825, "ccmp x1, #31, #5, gt"),
    (0x3a42_1028, "ccmn w1, w2, #8, ne"),
    (0x9a83_d041, "csel x1, x2, x3, le"),
    (0x1a9f_9441, "csinc w1, w2, wzr, ls"),
    (0xda83_6041, "csinv x1, x2, x3, vs"),
    (0x5a83_a441, "csneg w1, w2, w3, ge"),
    (0xdac0_0041, "rbit x1, x2"),
    (0xdac0_0441, "rev16 x1, x2"),
    (0x5ac0_0841, "rev w1, w2"),
    (0xdac0_0841, "rev32 x1, x2"),
    (0xdac0_0c41, "rev x1, x2"),
    (0x9ac3_2041, "lsl x1, x2, x3"),
    (0x1ac3_2841, "asr w1, w2, w3"),
    (0x9ac3_2c41, "ror x1, x2, x3"),
    (0x9b03_1041, "madd x1, x2, x3, x4"),
    (0x1b03_9041, "msub w1, w2, w3, w4"),
    (0x9ba3_1041, "umaddl x1, w2, w3, x4"),
    (0x9bc3_7c41, "umulh x1, x2, x3"),
    (0xa9ff_0861, "ldp x1, x2, [x3, #-16]!"),
    (0x2888_0be1, "stp w1, w2, [sp], #64"),
    (0xad41_0861, "ldp q1, q2, [x3, #32]"),
    (0x6d01_27e8, "stp d8, d9, [sp, #16]"),
    (0x3dc0_07e1, "ldr q1, [sp, #16]"),
    (0x3d00_1441, "str b1, [x2, #5]"),
    (0xbc40_4441, "ldr s1, [x2], #4"),
    (0x3cdf_9041, "ldur q1, [x2, #-7]"),
    (0x3940_2441, "ldrb w1, [x2, #9]"),
    (0x3980_2441, "ldrsb x1, [x2, #9]"),
    (0x79c0_0441, "ldrsh w1, [x2, #2]"),
    (0xb89f_cc41, "ldrsw x1, [x2, #-4]!"),
    (0x7823_6841, "strh w1, [x2, x3]"),
    (0xf863_7841, "ldr x1, [x2, x3, lsl #3]"),
    (0xb863_5841, "ldr w1, [x2, w3, uxtw #2]"),
    (0x3ca3_d841, "str q1, [x2, w3, sxtw #4]"),
    (0x08df_fc41, "ldarb w1, [x2]"),
    (0xc89f_fc41, "stlr x1, [x2]"),
    (0x4c40_2041, "ld1 {v1.16b, v2.16b, v3.16b, v4.16b}, [x2]"),
    (0x0c9f_a05f, "st1 {v31.8b, v0.8b}, [x2], #16"),
    (0x4c40_8061, "ld2 {v1.16b, v2.16b}, [x3]"),
    (0x4c9f_8461, "st2 {v1.8h, v2.8h}, [x3], #32"),
    (0x0c00_8861, "st2 {v1.2s, v2.2s}, [x3]"),
    (0x4ddf_c841, "ld1r {v1.4s}, [x2], #4"),
    (0x4d40_cc41, "ld1r {v1.2d}, [x2]"),
    (0x4e23_1c41, "and v1.16b, v2.16b, v3.16b"),
    (0x0e63_1c41, "bic v1.8b, v2.8b, v3.8b"),
    (0x4ee3_1c41, "orn v1.16b, v2.16b, v3.16b"),
    (0x6e23_1c41, "eor v1.16b, v2.16b, v3.16b"),
    (0x6e63_1c41, "bsl v1.16b, v2.16b, v3.16b"),
    (0x6ea3_1c41, "bit v1.16b, v2.16b, v3.16b"),
    (0x2ee3_1c41, "bif v1.8b, v2.8b, v3.8b"),
    (0x4ea3_8441, "add v1.4s, v2.4s, v3.4s"),
    (0x6ee3_8441, "sub v1.2d, v2.2d, v3.2d"),
    (0x6e63_8c41, "cmeq v1.8h, v2.8h, v3.8h"),
    (0x4e20_0841, "rev64 v1.16b, v2.16b"),
    (0x6e60_0841, "rev32 v1.8h, v2.8h"),
    (0x0e20_1841, "rev16 v1.8b, v2.8b"),
    (0x6e20_5841, "not v1.16b, v2.16b"),
    (0x4e03_3841, "zip1 v1.16b, v2.16b, v3.16b"),
    (0x4e43_7841, "zip2 v1.8h, v2.8h, v3.8h"),
    (0x0e03_1841, "uzp1 v1.8b, v2.8b, v3.8b"),
    (0x4ec3_5841, "uzp2 v1.2d, v2.2d, v3.2d"),
    (0x4e83_2841, "trn1 v1.4s, v2.4s, v3.4s"),
    (0x4e03_6841, "trn2 v1.16b, v2.16b, v3.16b"),
    (0x6e03_2841, "ext v1.16b, v2.16b, v3.16b, #5"),
    (0x4e03_0041, "tbl v1.16b, {v2.16b}, v3.16b"),
    (0x4e0f_0441, "dup v1.16b, v2.b[7]"),
    (0x4e04_0c41, "dup v1.4s, w2"),
    (0x4e0e_1c41, "ins v1.h[3], w2"),
    (0x6e0c_6441, "ins v1.s[1], v2.s[3]"),
    (0x0e13_3c41, "umov w1, v2.b[9]"),
    (0x4e18_3c41, "umov x1, v2.d[1]"),
    (0x4f07_e601, "movi v1.16b, #0xf0"),
    (0x6f05_e641, "movi v1.2d, #0xff00ffff0000ff00"),
    (0x4f00_6421, "movi v1.4s, #1, lsl #24"),
    (0x4f00_a461, "movi v1.8h, #3, lsl #8"),
    (0x6f00_d4e1, "mvni v1.4s, #7, msl #16"),
    (0x4f11_0441, "sshr v1.8h, v2.8h, #15"),
    (0x6f0c_0441, "ushr v1.16b, v2.16b, #4"),
    (0x4f7f_5441, "shl v1.2d, v2.2d, #63"),
    (0x6f0c_5441, "sli v1.16b, v2.16b, #4"),
    (0x6f37_4441, "sri v1.4s, v2.4s, #9"),
    (0x1e26_0041, "fmov w1, s2"),
    (0x9e66_0041, "fmov x1, d2"),
    (0x9eae_0041, "fmov x1, v2.d[1]"),
    (0x1e27_0041, "fmov s1, w2"),
    (0x9e67_0041, "fmov d1, x2"),
    (0x9eaf_0041, "fmov v1.d[1], x2"),
    (0x1e60_4041, "fmov d1, d2"),
];

#[test]
fn the_processor_does_what_the_model_does() {
    let mut comparison = Comparison::new();
    for (code, text) in SAME {
        assert_eq!(comparison.check(&code.to_le_bytes()), Outcome::Same, "{text}");
    }
    // Neither `sdiv` nor `addv` is modelled; a branch to itself, and an index that is the base, are not compared.
    for code in [0x9ac3_0c41u32, 0x0e31_b841, 0x1400_0000, 0xf861_7821] {
        assert!(matches!(comparison.check(&code.to_le_bytes()), Outcome::Different(_)), "{code:08x}");
    }
    let after = 0xcb03_0041u32;
    assert_eq!(comparison.check(&after.to_le_bytes()), Outcome::Same, "after what could not be compared");
    assert_eq!(comparison.count(), (SAME.len() + 5, 0));
}
