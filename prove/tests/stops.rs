//! What a proof must not pass stops it, with a message that says what and where.

use iced_x86::code_asm::{
    CodeAssembler, al, byte_ptr, cl, dword_ptr, eax, ecx, edi, ptr, qword_ptr, r10, rax, rbx, rcx, rdi, rsi,
    rsp, xmm0,
};
use object::Architecture;
use prove::{
    elf::{Convention, Image, Segment},
    fault::Fault,
    isa::x86_64::{Level, Machine},
    memory::Rights,
    spec::uninterpreted::{Call, Cipher},
};
use std::{collections::BTreeMap, sync::Arc};

const CODE: u64 = 0x40_0000;
/// 16 bytes of which nothing is known; the second half is never written.
const SECRET: u64 = 0x1000_0000;

/// Calls code with the address of [`SECRET`].
fn call(code: &[u8]) -> Result<u32, Fault> {
    let segments = vec![Segment { address: CODE, bytes: code.to_vec(), writable: false, executable: true }];
    let image = Image {
        segments,
        symbols: BTreeMap::from([("outside".to_owned(), (0x7000_0000, 0))]),
        ..Image::empty(Architecture::X86_64)
    };
    let mut m = Machine::new(Arc::new(image), Level::Base);
    m.limit = 1000;
    m.memory.allow("secret", SECRET, 16, Rights::Read);
    let secret = m.graph.inputs(64);
    m.memory.set(SECRET, &secret);
    m.call(CODE, &[SECRET])
}

fn run(assemble: impl FnOnce(&mut CodeAssembler) -> Result<(), iced_x86::IcedError>) -> Result<u32, Fault> {
    let mut a = CodeAssembler::new(64).unwrap();
    assemble(&mut a).unwrap();
    call(&a.assemble(CODE).unwrap())
}

fn message(assemble: impl FnOnce(&mut CodeAssembler) -> Result<(), iced_x86::IcedError>) -> String {
    run(assemble).unwrap_err().to_string()
}

#[test]
fn code_that_does_nothing_wrong_returns() {
    let result = run(|a| {
        a.mov(rcx, ptr(rdi))?;
        a.xor(ecx, ecx)?;
        a.lea(eax, dword_ptr(rcx + 7))?;
        a.ret()
    });
    assert_eq!(result, Ok(7));
}

#[test]
fn unknown_instructions_stop() {
    assert_eq!(message(|a| a.rdtsc()), "the instruction rdtsc is not modelled, at 0x400000: rdtsc");
    assert_eq!(
        message(|a| a.sqrtps(xmm0, xmm0)),
        "the instruction sqrtps xmm0,xmm0 is not modelled, at 0x400000: sqrtps xmm0,xmm0"
    );
    assert_eq!(message(|a| a.db(&[0x06])), "not an instruction, at 0x400000: ");
}

#[test]
fn secrets_in_control_flow_stop() {
    assert_eq!(
        message(|a| {
            let mut end = a.create_label();
            a.test(byte_ptr(rdi), 1)?;
            a.jne(end)?;
            a.set_label(&mut end)?;
            a.ret()
        }),
        "a branch depends on a secret, at 0x400003: jne short 0000000000400005h"
    );
    assert_eq!(
        message(|a| a.jmp(qword_ptr(rdi))),
        "a jump depends on a secret, at 0x400000: jmp qword ptr [rdi]"
    );
    assert_eq!(
        message(|a| a.call(qword_ptr(rdi))),
        "a jump depends on a secret, at 0x400000: call qword ptr [rdi]"
    );
    let message = message(|a| {
        a.mov(rax, qword_ptr(rdi))?;
        a.push(rax)?;
        a.ret()
    });
    assert_eq!(message, "a jump depends on a secret, at 0x400004: ret");
}

#[test]
fn secrets_in_addresses_and_shifts_stop() {
    let load = |a: &mut CodeAssembler| a.mov(rcx, qword_ptr(rdi));
    assert_eq!(
        message(|a| load(a).and_then(|()| a.mov(eax, dword_ptr(rsp + rcx)))),
        "an address depends on a secret, at 0x400003: mov eax,[rsp+rcx]"
    );
    assert_eq!(
        message(|a| load(a).and_then(|()| a.mov(byte_ptr(rsp + rcx), al))),
        "an address depends on a secret, at 0x400003: mov [rsp+rcx],al"
    );
    assert_eq!(
        message(|a| load(a).and_then(|()| a.shl(edi, cl))),
        "an amount of shift depends on a secret, at 0x400003: shl edi,cl"
    );
}

#[test]
fn what_is_unset_stops() {
    assert_eq!(
        message(|a| a.mov(rax, qword_ptr(rdi + 8)).and_then(|()| a.add(rax, rdi))),
        "a result depends on memory or a register that was not written, at 0x400004: add rax,rdi"
    );
    assert_eq!(
        message(|a| a.xor(rax, r10)),
        "a result depends on memory or a register that was not written, at 0x400000: xor rax,r10"
    );
    assert_eq!(
        message(|a| a.mov(eax, dword_ptr(rsi))),
        "an address depends on memory or a register that was not written, at 0x400000: mov eax,[rsi]"
    );
    assert_eq!(
        message(|a| a.jmp(rax)),
        "a jump depends on memory or a register that was not written, at 0x400000: jmp rax"
    );
    assert_eq!(message(|a| a.ret()), "what it returns depends on memory or a register that was not written");
}

#[test]
fn accesses_outside_stop() {
    assert_eq!(
        message(|a| a.mov(eax, dword_ptr(rdi + 13))),
        "4 bytes at 0x1000000d are read, which are not the function's, at 0x400000: mov eax,[rdi+0Dh]"
    );
    assert_eq!(
        message(|a| a.mov(dword_ptr(rdi), 1)),
        "4 bytes at 0x10000000 are written, which are not the function's, at 0x400000: mov dword ptr [rdi],1"
    );
    assert_eq!(
        message(|a| {
            a.mov(qword_ptr(rsp + 8), 1)?;
            a.xor(eax, eax)?;
            a.ret()
        }),
        "it writes above its stack pointer"
    );
}

#[test]
fn accesses_below_the_red_zone_stop() {
    let store = |below: i32| {
        run(|a| {
            a.mov(qword_ptr(rsp - below), rdi)?;
            a.xor(eax, eax)?;
            a.ret()
        })
    };
    assert_eq!(store(128), Ok(0));
    assert_eq!(
        store(136).unwrap_err().to_string(),
        "an access to the stack, 8 B below what interrupts leave alone, at 0x400000: mov [rsp-88h],rdi"
    );
}

/// What a kernel saves of its caller's registers may be a secret of the caller, and what it spills of any other register.
#[test]
fn registers_that_a_kernel_saves_may_be_secret() {
    for register in [rbx, r10] {
        let mut a = CodeAssembler::new(64).unwrap();
        a.push(rax).unwrap();
        a.mov(qword_ptr(rsp), 0).unwrap();
        a.push(register).unwrap();
        a.mov(rbx, rbx).unwrap();
        a.pop(register).unwrap();
        a.pop(rax).unwrap();
        a.ret().unwrap();
        let code = a.assemble(CODE).unwrap();
        let segments = vec![Segment { address: CODE, bytes: code, writable: false, executable: true }];
        let image = Image { segments, ..Image::empty(Architecture::X86_64) };
        let call = call_of_kernel(0, 8);
        let stack = Machine::new(Arc::new(image), Level::Base).call_kernel(&call).unwrap();
        assert_eq!((stack.taken, stack.secret), (24, 16));
    }
}

/// A call with `count` blocks, when the stack pointer is `pointer`.
fn call_of_kernel(count: u64, pointer: u64) -> Call {
    Call {
        kernel: CODE,
        convention: Convention::Words,
        keys: SECRET,
        from: SECRET,
        to: SECRET,
        count,
        pointer,
    }
}

/// A kernel's stack must be erased wherever the stack pointer was when it was called.
#[test]
fn calls_of_kernels_are_told_apart_by_their_stack_pointers() {
    let mut m = Machine::new(Arc::new(Image::empty(Architecture::X86_64)), Level::Base);
    m.memory.allow("blocks", SECRET, 8, Rights::Write);
    let block = m.graph.inputs(64);
    m.memory.set(SECRET, &block);
    let mut cipher = Cipher::default();
    for pointer in [0x2000, 0x1000, 0x3000, 0x1000] {
        let call = call_of_kernel(1, pointer);
        cipher.encipher(&mut m.graph, &mut m.memory, call).unwrap();
    }
    let pointers: Vec<u64> = cipher.calls.values().map(|call| call.pointer).collect();
    assert_eq!(pointers, [0x1000, 0x2000, 0x3000]);
}

#[test]
fn jumps_to_nowhere_and_without_end_stop() {
    assert_eq!(
        message(|a| a.mov(eax, 0x1234).and_then(|()| a.jmp(rax))),
        "a jump to 0x1234, where there is no code"
    );
    assert_eq!(
        message(|a| a.mov(eax, 0x7000_0000).and_then(|()| a.call(rax))),
        "a call of outside, which is not in the file, at 0x70000000: outside"
    );
    assert_eq!(message(|a| a.jmp(CODE)), "it takes too many instructions");
}

#[test]
fn secrets_that_are_left_on_the_stack_stop() {
    let store = |erase: bool| {
        run(|a| {
            a.push(rbx)?;
            a.mov(rax, qword_ptr(rdi))?;
            a.push(rax)?;
            if erase {
                a.mov(qword_ptr(rsp), 0)?;
            }
            a.xor(eax, eax)?;
            a.add(rsp, 8)?;
            a.pop(rbx)?;
            a.ret()
        })
    };
    assert_eq!(store(true), Ok(0));
    assert_eq!(
        store(false).unwrap_err().to_string(),
        "it leaves what depends on secrets in 8 B of stack, from 16 B below its stack pointer on"
    );
}

#[test]
fn registers_of_the_caller_are_checked() {
    assert_eq!(
        message(|a| {
            a.xor(eax, eax)?;
            a.mov(rbx, rdi)?;
            a.ret()
        }),
        "register 3 is not what it was"
    );
}
