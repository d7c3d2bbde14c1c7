//! What a proof must not pass stops it on RISC-V too, with a message that says what and where; and a model that is not QEMU's processor is
//! noticed.

use object::Architecture;
use prove::{
    elf::{Image, Segment},
    fault::Fault,
    isa::{
        Outcome,
        riscv::{Core, Machine, compare::Comparison},
    },
    memory::Rights,
};
use std::{collections::BTreeMap, sync::Arc};

const CODE: u64 = 0x8000;
/// 16 bytes of which nothing is known; the second half is never written.
const SECRET: u64 = 0x1000_0000;

/// Instructions of two bytes or, where their lowest bits are 11, four.
fn bytes(instructions: &[u32]) -> Vec<u8> {
    let size = |instruction: &u32| if instruction & 3 == 3 { 4 } else { 2 };
    instructions.iter().flat_map(|it| it.to_le_bytes().into_iter().take(size(it))).collect()
}

/// Calls code with the address of [`SECRET`].
fn call(core: Core, instructions: &[u32]) -> Result<u32, Fault> {
    let segment = Segment { address: CODE, bytes: bytes(instructions), writable: false, executable: true };
    let image = Image {
        segments: vec![segment],
        symbols: BTreeMap::from([("__global_pointer$".to_owned(), (SECRET + 4, 0))]),
        ..Image::empty(Architecture::Riscv32)
    };
    let mut m = Machine::new(Arc::new(image), core);
    m.limit = 1000;
    m.memory.allow("secret", SECRET, 16, Rights::Read);
    let secret = m.graph.inputs(64);
    m.memory.set(SECRET, &secret);
    m.call(CODE, &[SECRET])
}

fn message(instructions: &[u32]) -> String {
    call(Core::most(), instructions).unwrap_err().to_string()
}

/// `lw a1, 0(a0)`
const LOAD: u32 = 0x410c;
/// `li a0, 7`
const SEVEN: u32 = 0x451d;
/// `ret`
const RETURN: u32 = 0x8082;

#[test]
fn code_that_does_nothing_wrong_returns() {
    assert_eq!(call(Core::most(), &[LOAD, SEVEN, RETURN]), Ok(7));
    // lw a2, -4(gp)
    assert_eq!(call(Core::most(), &[0xffc1_a603, SEVEN, RETURN]), Ok(7));
    // What is written to the register that is zero is lost: addi zero, a0, 7; mv a0, zero.
    assert_eq!(call(Core::most(), &[0x0075_0013, 0x0000_0513, RETURN]), Ok(0));
}

#[test]
fn unknown_instructions_stop() {
    // div a2, a0, a1; clz a2, a1; ebreak
    assert_eq!(
        message(&[0x02b5_4633]),
        "the instruction div x12, x10, x11 is not modelled, at 0x8000: div x12, x10, x11"
    );
    assert!(message(&[0x6005_9613]).starts_with("the instruction clz x12, x11 is not modelled"));
    assert!(message(&[0x9002]).starts_with("the instruction ebreak is not modelled"));
    assert!(message(&[0]).starts_with("not an instruction"));
    // andn a0, a1, a2 on a core that does not have it.
    let core = Core::of_attribute("rv32i2p1_m2p0_c2p0").unwrap();
    let fault = call(core, &[0x40c5_f533]).unwrap_err().to_string();
    assert!(fault.starts_with("not an instruction, at 0x8000"), "{fault}");
}

#[test]
fn secrets_in_control_flow_addresses_and_factors_stop() {
    // bnez a1; jr a1
    assert!(message(&[LOAD, 0xe581]).starts_with("a branch depends on a secret, at 0x8002"));
    assert!(message(&[LOAD, 0x8582]).starts_with("a jump depends on a secret, at 0x8002"));
    // lw a2, 0(a1); sw a2, 0(a1)
    assert!(message(&[LOAD, 0x4190]).starts_with("an address depends on a secret, at 0x8002"));
    assert!(message(&[LOAD, 0xc190]).starts_with("an address depends on a secret, at 0x8002"));
    // sll a2, a0, a1; mul a2, a0, a1
    assert!(message(&[LOAD, 0x00b5_1633]).starts_with("an amount of shift depends on a secret, at 0x8002"));
    assert!(message(&[LOAD, 0x02b5_0633]).starts_with("a factor depends on a secret, at 0x8002"));
}

#[test]
fn what_is_unset_stops() {
    // lw a2, 8(a0); add a2, a2, a0
    let result = "a result depends on memory or a register that was not written, at 0x8002";
    assert!(message(&[0x4510, 0x962a]).starts_with(result));
    // lw a0, 8(a0)
    assert_eq!(
        message(&[0x4508, RETURN]),
        "what it returns depends on memory or a register that was not written"
    );
}

#[test]
fn accesses_outside_stop() {
    // lw a2, 16(a0); sw a2, 0(a0)
    assert!(message(&[0x4910]).starts_with("4 bytes at 0x10000010 are read, which are not the function's"));
    assert!(
        message(&[0xc110]).starts_with("4 bytes at 0x10000000 are written, which are not the function's")
    );
    // sw a0, 0(sp)
    assert_eq!(message(&[0xc02a, SEVEN, RETURN]), "it writes above its stack pointer");
    // sw a0, -4(sp)
    let below = "an access to the stack, 4 B below what interrupts leave alone, at 0x8000";
    assert!(message(&[0xfea1_2e23]).starts_with(below));
    // jalr a0
    assert!(message(&[0x9502]).starts_with("a jump to 0x10000000, where there is no code"));
}

#[test]
fn addresses_that_are_not_aligned_stop() {
    // lw a1, 1(a0)
    assert!(message(&[0x0015_2583]).starts_with("an access to 0x10000001, which is no multiple of 4"));
}

#[test]
fn what_is_left_of_secrets_and_registers_stops() {
    // addi sp, sp, -16; sw a1, 12(sp); addi sp, sp, 16
    assert_eq!(
        message(&[LOAD, 0x1141, 0xc62e, 0x0141, SEVEN, RETURN]),
        "it leaves what depends on secrets in 4 B of stack, from 4 B below its stack pointer on"
    );
    // mv s0, a0
    assert_eq!(message(&[0x842a, SEVEN, RETURN]), "register 8 is not what it was");
}

#[test]
fn the_processor_does_what_the_model_does() {
    let mut comparison = Comparison::new();
    let same = [
        // c.and s0, a5; c.and a0, a2; c.sub a0, a2; add t5, t6; lui a0; auipc a0; c.lui a0
        0x8c7d,
        0x8d71,
        0x8d11,
        0x9f7e,
        0x757d,
        0x8000_0517,
        0x657d,
        // sltu a0, a1, a2; slti a0, a1, -3; sltiu a0, a1, -3; sra a0, a1, a2; mul and mulhu a0, a1, a2
        0x00c5_b533,
        0xffd5_a513,
        0xffd5_b513,
        0x40c5_d533,
        0x02b5_0633,
        0x02c5_b533,
        // bltu a0, a1; bge a0, a1 back; c.beqz a0 back; c.bnez a0; beq a0, a1 by -2
        0x40b5_6063,
        0xfeb5_5de3,
        0xd975,
        0xe111,
        0xfeb5_0fe3,
        // jal to what follows, by -1 MiB and by almost 1 MiB; c.jal back; c.j
        0x0040_00ef,
        0x8000_00ef,
        0x7fff_f0ef,
        0x3fe5,
        0xa201,
        // jalr a0, -3(a1); c.jalr a1
        0xffd5_8567,
        0x9582,
        // lhu a0, 2(a1); lb a1, -1(a1); sh a1, -2(a1); lw t6, 0(t6); c.lwsp and c.swsp a0
        0x0025_d503,
        0xfff5_8583,
        0xfeb5_9f23,
        0x000f_af83,
        0x4532,
        0xc62a,
        // c.addi16sp; c.addi4spn a0; fence rw, rw
        0x7139,
        0x0808,
        0x0330_000f,
        // Of a0, a1, a2: sh3add, andn, xnor, orn, max, maxu, min, minu
        0x20c5_e533,
        0x40c5_f533,
        0x40c5_c533,
        0x40c5_e533,
        0x0ac5_e533,
        0x0ac5_f533,
        0x0ac5_c533,
        0x0ac5_d533,
        // sext.b, sext.h, zext.h, rol, ror, rori, rev8, brev8, pack, packh
        0x6045_9513,
        0x6055_9513,
        0x0805_c533,
        0x60c5_9533,
        0x60c5_d533,
        0x61f5_d513,
        0x6985_d513,
        0x6875_d513,
        0x08c5_c533,
        0x08c5_f533,
    ];
    for code in same {
        assert_eq!(comparison.check(&bytes(&[code])), Outcome::Same, "{code:04x}");
    }
    // Neither `div` nor an absolute address is modelled or compared, and c.lwsp to the register that is zero is reserved.
    for code in [0x02b5_4633, 0x0000_2503, 0x4032] {
        assert!(matches!(comparison.check(&bytes(&[code])), Outcome::Different(_)), "{code:04x}");
    }
    // sub a0, a1, a2
    let after = bytes(&[0x40c5_8533]);
    assert_eq!(comparison.check(&after), Outcome::Same, "after what could not be compared");
    assert_eq!(comparison.count(), (same.len() + 4, 0));
}
