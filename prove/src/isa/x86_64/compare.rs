//! Compares what the model does with what this processor does, instruction by instruction.
//!
//! The model executes an instruction once on registers and memory that are inputs of the graph; their signatures are the values
//! with which the processor then executes the same bytes, 160 times. What the instruction branches on, or addresses memory
//! with, is a number, drawn anew some dozen times. All registers, flags that are not undefined, memory around the operand and where
//! the instruction leads must agree. A quarter of the values are edges: all zeros, all ones, one bit, what another operand has.

use super::{Flags, Isa as _, Level, Machine, Next, Outcome, table};
use crate::{
    bits,
    graph::Lit,
    isa::{
        compare::{Mismatch, Reference, Trial, rounds},
        samples::{Values, edge, operand},
    },
    memory::Rights,
};
use anyhow::{Context as _, Result, ensure};
use iced_x86::{
    CpuidFeature, Decoder, DecoderOptions, Encoder, FlowControl, Instruction, InstructionInfoFactory,
    InstructionInfoOptions, Mnemonic, OpAccess, OpKind, Register, code_asm as asm,
};
use object::Architecture;

/// Compares instructions, each encoding once.
pub type Comparison = crate::isa::compare::Comparison<Page>;

/// Offsets in the page: the instruction, where it goes on, where it jumps to, data.
const SLOT: usize = 0x800;
const FOLLOWING: usize = 0x900;
const TAKEN: usize = 0xd00;
const DATA: usize = 0x2000;
const SCRATCH: usize = 0x4000;
const SIZE: usize = 0x8000;
/// The operand in memory, and how much around it is compared.
const OPERAND: usize = SCRATCH + 0x400;
const STACK: usize = SCRATCH + 0x800;
const WINDOWS: [(usize, usize); 2] = [(OPERAND - 0x80, 0x200), (STACK - 0x40, 0x80)];

/// What the page loads and stores, in words of 8 bytes.
const GENERAL: usize = 0;
const FLAGS: usize = 16;
const WAY: usize = 17;
const SAVED: usize = 18;
const MASKS: usize = 24;
const VECTORS: usize = 32;
const WORDS: usize = VECTORS + 32 * 8;

/// Carry, zero, sign, overflow.
const FLAG_BITS: [u32; 4] = [0, 6, 7, 11];

/// A page on which instructions are executed.
#[derive(Debug)]
pub struct Page {
    at: *mut u8,
    has_avx512: bool,
}

#[allow(unsafe_code, reason = "the processor executes what is compared")]
impl Page {
    fn new() -> Result<Self> {
        ensure!(is_x86_feature_detected!("avx"), "this processor has no AVX");
        let has_avx512 = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw");
        // In the lowest 2 GiB, so that the page can address its data by itself.
        let (rights, flags) = (
            libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_32BIT,
        );
        // SAFETY: a new mapping, which nothing else uses.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), SIZE, rights, flags, -1, 0) };
        ensure!(at != libc::MAP_FAILED, "the system gives no memory that can be executed");
        let mut page = Self { at: at.cast(), has_avx512 };
        page.assemble().context("the code around instructions is not assembled")?;
        Ok(page)
    }

    fn address(&self, offset: usize) -> u64 {
        self.at as u64 + offset as u64
    }

    fn write(&mut self, offset: usize, bytes: &[u8]) {
        assert!(offset + bytes.len() <= SIZE);
        // SAFETY: within the mapping, which is ours.
        unsafe { self.at.add(offset).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) }
    }

    fn read(&self, offset: usize, size: usize) -> Vec<u8> {
        assert!(offset + size <= SIZE);
        // SAFETY: within the mapping, which is ours.
        unsafe { std::slice::from_raw_parts(self.at.add(offset), size) }.to_vec()
    }

    /// Writes the code around the instruction.
    fn assemble(&mut self) -> Result<(), iced_x86::IcedError> {
        use asm::*;
        let general = [rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15];
        let word = |page: &Self, at: usize| page.address(DATA + 8 * at);
        let saved = [rbx, rbp, r12, r13, r14, r15];

        let mut a = CodeAssembler::new(64)?;
        for register in saved {
            a.push(register)?;
        }
        a.mov(qword_ptr(word(self, SAVED)), rsp)?;
        self.vectors(&mut a, true)?;
        a.push(qword_ptr(word(self, FLAGS)))?;
        a.popfq()?;
        for (i, register) in general.into_iter().enumerate() {
            a.mov(register, qword_ptr(word(self, GENERAL + i)))?;
        }
        a.jmp(self.address(SLOT))?;
        let code = a.assemble(self.address(0))?;
        assert!(code.len() <= SLOT);
        self.write(0, &code);

        for (offset, way) in [(FOLLOWING, 0), (TAKEN, 1)] {
            let mut a = CodeAssembler::new(64)?;
            for (i, register) in general.into_iter().enumerate() {
                a.mov(qword_ptr(word(self, GENERAL + i)), register)?;
            }
            a.mov(qword_ptr(word(self, WAY)), way)?;
            a.mov(rsp, qword_ptr(word(self, SAVED)))?;
            a.pushfq()?;
            a.pop(qword_ptr(word(self, FLAGS)))?;
            self.vectors(&mut a, false)?;
            a.vzeroupper()?;
            for register in saved.into_iter().rev() {
                a.pop(register)?;
            }
            a.ret()?;
            let code = a.assemble(self.address(offset))?;
            assert!(code.len() <= 0x400);
            self.write(offset, &code);
        }
        Ok(())
    }

    /// Loads or stores vectors and masks.
    fn vectors(&self, a: &mut asm::CodeAssembler, load: bool) -> Result<(), iced_x86::IcedError> {
        use iced_x86::{Code, MemoryOperand};
        let memory = |at: usize| MemoryOperand::with_displ(self.address(DATA + 8 * at), 4);
        let mut add = |load_code, store_code, register: Register, at: usize| {
            a.add_instruction(if load {
                Instruction::with2(load_code, register, memory(at))?
            } else {
                Instruction::with2(store_code, memory(at), register)?
            })
        };
        if self.has_avx512 {
            for i in 0..32 {
                let code = (Code::EVEX_Vmovdqu64_zmm_k1z_zmmm512, Code::EVEX_Vmovdqu64_zmmm512_k1z_zmm);
                add(code.0, code.1, Register::ZMM0 + i, VECTORS + 8 * i as usize)?;
            }
            for i in 0..8 {
                let code = (Code::VEX_Kmovq_kr_km64, Code::VEX_Kmovq_m64_kr);
                add(code.0, code.1, Register::K0 + i, MASKS + i as usize)?;
            }
        } else {
            for i in 0..16 {
                let code = (Code::VEX_Vmovdqu_ymm_ymmm256, Code::VEX_Vmovdqu_ymmm256_ymm);
                add(code.0, code.1, Register::YMM0 + i, VECTORS + 8 * i as usize)?;
            }
        }
        Ok(())
    }

    /// Executes the instruction.
    fn run(&mut self) {
        // SAFETY: the page holds code that keeps the ABI, and in its middle an instruction that this processor has and that
        // accesses nothing but the page; where it leads is the page again.
        unsafe { std::mem::transmute::<*mut u8, extern "C" fn()>(self.at)() }
    }
}

impl Drop for Page {
    #[allow(unsafe_code, reason = "the mapping is ours")]
    fn drop(&mut self) {
        // SAFETY: the mapping of `new`.
        unsafe { libc::munmap(self.at.cast(), SIZE) };
    }
}

impl Reference for Page {
    type Isa = Level;
    const ARCHITECTURE: Architecture = Architecture::X86_64;
    const SEED: u64 = 77;

    fn isa() -> Level {
        Level::Base
    }

    fn start() -> Result<Self> {
        Self::new()
    }

    /// What depends on where the instruction is: moved to the page.
    fn moved(&self, bytes: &[u8]) -> Result<Vec<u8>> {
        let mut moved = Decoder::new(64, bytes, DecoderOptions::NONE).decode();
        let ip_relative = moved.is_ip_rel_memory_operand();
        let branches = moved.op_count() > 0 && moved.op_kind(0) == OpKind::NearBranch64;
        if !ip_relative && !branches {
            return Ok(bytes.to_vec());
        }
        if ip_relative {
            moved.set_memory_displacement64(self.address(OPERAND));
        }
        if branches {
            moved.set_near_branch64(self.address(TAKEN));
            // The short form does not reach.
            if moved.is_jcc_short() || moved.is_jmp_short() {
                moved.as_near_branch();
            }
        }
        let mut encoder = Encoder::new(64);
        encoder.encode(&moved, self.address(SLOT))?;
        Ok(encoder.take_buffer())
    }

    fn compare(&mut self, trial: &mut Trial<Level>, bytes: &[u8]) -> Result<Outcome, String> {
        let i = Decoder::with_ip(64, bytes, self.address(SLOT), DecoderOptions::NONE).decode();
        let entry = table::find(&i).ok_or("not modelled")?;
        if entry.evidence == table::Evidence::Modelled {
            return Ok(Outcome::Modelled);
        }
        if !is_here(&i) {
            return Ok(Outcome::NotHere);
        }
        self.write(SLOT, bytes);
        // jmp to what follows.
        let after = SLOT + bytes.len();
        let mut jump = vec![0xe9];
        jump.extend(((FOLLOWING - after - 5) as i32).to_le_bytes());
        self.write(after, &jump);

        // First everything unknown; where that cannot be, numbers: rcx, all general registers and flags, everything.
        let sorts =
            [(Known::Addresses, 1, 160), (Known::Rcx, 48, 8), (Known::General, 48, 8), (Known::All, 48, 8)];
        rounds(&sorts, |known, _, samples| self.round(trial, &i, known, samples).map(|()| true))?;
        Ok(Outcome::Same)
    }
}

impl Page {
    /// Executes the instruction in the model once, and on the processor `samples` times.
    fn round(
        &mut self,
        trial: &mut Trial<Level>,
        i: &Instruction,
        known: Known,
        samples: usize,
    ) -> Result<(), Mismatch> {
        let page = self;
        trial.renew();
        let m: &mut Machine = &mut trial.machine;
        let random = &mut trial.random;
        let used = Used::of(i);

        // Registers and flags.
        let mut start = vec![Vec::new(); WORDS];
        for word in 0..WORDS {
            let is_vector = word >= VECTORS;
            let vector = word.wrapping_sub(VECTORS) / 8;
            let register = match word {
                ..16 => used.general[word],
                MASKS..VECTORS => page.has_avx512 && used.masks[word - MASKS],
                VECTORS.. => {
                    let exists = page.has_avx512 || vector < 16 && (word - VECTORS) % 8 < 4;
                    exists && used.vectors[vector]
                }
                _ => false,
            };
            let symbolic = register
                && match known {
                    Known::Addresses => true,
                    Known::Rcx => word != 1,
                    Known::General => is_vector,
                    Known::All => false,
                };
            start[word] = match word {
                FLAGS..MASKS => Vec::new(),
                _ if symbolic => operand(&mut m.graph, random, 64),
                MASKS..VECTORS if !page.has_avx512 => bits::constant(0, 64),
                VECTORS.. if !page.has_avx512 && (vector >= 16 || (word - VECTORS) % 8 >= 4) => {
                    bits::constant(0, 64)
                }
                // Amounts of shift are small, and often large.
                1 if random.below(2) == 0 => bits::constant(random.below(80) as u64, 64),
                _ => bits::constant(edge(random, 0), 64),
            };
        }
        let flags: [Lit; 4] = std::array::from_fn(|_| match known {
            Known::Addresses | Known::Rcx => m.graph.input(),
            _ => Lit::constant(random.below(2) == 1),
        });

        // Memory.
        let scratch = page.address(SCRATCH);
        m.memory.forget("scratch");
        m.memory.allow("scratch", scratch, SIZE - SCRATCH, Rights::Write);
        let mut memory = Vec::new();
        for (offset, size) in WINDOWS {
            for at in (offset..offset + size).step_by(8) {
                let in_operand =
                    (OPERAND..OPERAND + 64).contains(&at) || (STACK - 8..STACK + 8).contains(&at);
                let word = if in_operand && !matches!(known, Known::General | Known::All) {
                    operand(&mut m.graph, random, 64)
                } else {
                    bits::constant(random.next(), 64)
                };
                memory.push((at, word));
            }
        }

        // What has to be a number.
        let mut fix = |register: usize, value: u64| start[register] = bits::constant(value, 64);
        fix(4, page.address(STACK));
        let is_lea = i.mnemonic() == Mnemonic::Lea;
        if used.accesses_operand && !is_lea && !i.is_ip_rel_memory_operand() {
            let (base, index) = (i.memory_base(), i.memory_index());
            if base == index || base == Register::None {
                return Err(Mismatch::Differs("such an address is not compared".to_owned()));
            }
            let mut rest = page.address(OPERAND).wrapping_sub(i.memory_displacement64());
            if index != Register::None {
                let value = random.below(7) as u64;
                fix(index.number(), value);
                rest = rest.wrapping_sub(value * u64::from(i.memory_index_scale()));
            }
            fix(base.number(), rest);
        }
        if i.has_rep_prefix() && i.is_string_instruction() {
            fix(1, random.below(6) as u64);
            fix(6, page.address(OPERAND + 0x100));
            fix(7, page.address(OPERAND));
        }
        let taken = page.address(TAKEN);
        let is_indirect = matches!(i.flow_control(), FlowControl::IndirectBranch | FlowControl::IndirectCall);
        if is_indirect && i.op_kind(0) == OpKind::Register {
            fix(i.op_register(0).number(), taken);
        }
        for (at, word) in &mut memory {
            let is_target = is_indirect && i.op_kind(0) == OpKind::Memory && *at == OPERAND
                || i.flow_control() == FlowControl::Return && *at == STACK;
            if is_target {
                *word = bits::constant(taken, 64);
            }
        }

        // The model.
        for register in 0..16 {
            m.state.general[register].clone_from(&start[register]);
        }
        for mask in 0..8 {
            m.state.masks[mask].clone_from(&start[MASKS + mask]);
        }
        for vector in 0..32 {
            m.state.vectors[vector] = start[VECTORS + 8 * vector..][..8].concat();
        }
        let [carry, zero, sign, overflow] = flags;
        m.state.flags = Flags { carry, overflow, sign, zero_of: vec![!zero] };
        for (at, word) in &memory {
            m.memory.set(page.address(*at), word);
        }
        m.graph.take_used_unset();
        let next = match Level::step(m, i, &mut |_, _| None) {
            Ok(Next::Following) => i.next_ip(),
            Ok(Next::To(address)) => address,
            Err(fault) => return Err(Mismatch::Model(fault.to_string())),
        };
        let way = match next {
            _ if next == i.next_ip() => 0,
            _ if next == taken => 1,
            _ => return Err(Mismatch::Differs(format!("the model goes to {next:#x}"))),
        };
        let zero = m.graph.any(&m.state.flags.zero_of.clone());
        let after_flags = [m.state.flags.carry, !zero, m.state.flags.sign, m.state.flags.overflow];
        let mut after = vec![Vec::new(); WORDS];
        after[..16].clone_from_slice(&m.state.general);
        for mask in 0..8 {
            after[MASKS + mask].clone_from(&m.state.masks[mask]);
        }
        for vector in 0..32 {
            for word in 0..8 {
                after[VECTORS + 8 * vector + word] = m.state.vectors[vector][64 * word..][..64].to_vec();
            }
        }
        let mut after_memory = Vec::new();
        for (at, _) in &memory {
            after_memory.push(m.memory.get(page.address(*at), 8).expect("it was set"));
        }

        // The processor. All values of one word stand side by side.
        let g = &m.graph;
        let before: Vec<Values> = start.iter().map(|word| Values::of(g, word)).collect();
        let expected: Vec<Values> = after.iter().map(|word| Values::of(g, word)).collect();
        let memory_before: Vec<Values> = memory.iter().map(|(_, word)| Values::of(g, word)).collect();
        let memory_expected: Vec<Values> = after_memory.iter().map(|word| Values::of(g, word)).collect();
        let flags_before = Values::of(g, &flags);
        // What is undefined is not compared.
        let defined: Vec<bool> = after_flags.iter().map(|&flag| !g.is_unset(flag)).collect();
        let flags_expected = Values::of(g, &after_flags);
        let count = if page.has_avx512 { WORDS } else { VECTORS + 16 * 8 };
        for sample in 0..samples {
            let mut words: Vec<u64> = before.iter().map(|values| values.at(sample)).collect();
            let flags = flags_before.at(sample);
            words[FLAGS] =
                0x202 | FLAG_BITS.iter().enumerate().map(|(i, bit)| (flags >> i & 1) << bit).sum::<u64>();
            words[WAY] = 7;
            let bytes: Vec<u8> = words[..count].iter().flat_map(|word| word.to_le_bytes()).collect();
            page.write(DATA, &bytes);
            for ((at, _), values) in memory.iter().zip(&memory_before) {
                page.write(*at, &values.at(sample).to_le_bytes());
            }
            page.run();
            let bytes = page.read(DATA, 8 * count);
            let found: Vec<u64> =
                bytes.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().expect("8"))).collect();
            let differs = |what: String, expected: u64, found: u64| {
                Err(Mismatch::Differs(format!("{what} is {found:#x}, and {expected:#x} in the model")))
            };
            for word in (0..count).filter(|word| !(FLAGS..MASKS).contains(word)) {
                let is_outside = word >= VECTORS && !page.has_avx512 && (word - VECTORS) % 8 >= 4;
                let expected = expected[word].at(sample);
                if !is_outside && found[word] != expected {
                    return differs(format!("word {word} of the registers"), expected, found[word]);
                }
            }
            if found[WAY] != way {
                return differs("the way".to_owned(), way, found[WAY]);
            }
            for (i, bit) in FLAG_BITS.into_iter().enumerate() {
                let (expected, found) = (flags_expected.at(sample) >> i & 1, found[FLAGS] >> bit & 1);
                if defined[i] && expected != found {
                    return differs(format!("bit {bit} of the flags"), expected, found);
                }
            }
            for ((at, _), values) in memory.iter().zip(&memory_expected) {
                let bytes = page.read(*at, 8).try_into().expect("8 bytes");
                if u64::from_le_bytes(bytes) != values.at(sample) {
                    return differs("memory".to_owned(), values.at(sample), u64::from_le_bytes(bytes));
                }
            }
        }
        Ok(())
    }
}

/// What is a number in a round, besides addresses.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Known {
    Addresses,
    Rcx,
    General,
    All,
}

/// The registers that an instruction reads or writes.
struct Used {
    general: [bool; 16],
    vectors: [bool; 32],
    masks: [bool; 8],
    accesses_operand: bool,
}

impl Used {
    fn of(i: &Instruction) -> Self {
        let mut factory = InstructionInfoFactory::new();
        let info = factory.info_options(i, InstructionInfoOptions::NONE);
        let mut used =
            Self { general: [false; 16], vectors: [false; 32], masks: [false; 8], accesses_operand: false };
        for register in info.used_registers() {
            let register = register.register();
            if register.is_gpr() {
                used.general[register.full_register().number()] = true;
            } else if register.is_vector_register() {
                used.vectors[register.number()] = true;
            } else if register.is_k() {
                used.masks[register.number()] = true;
            }
        }
        used.accesses_operand = (0..i.op_count()).any(|operand| {
            i.op_kind(operand) == OpKind::Memory
                && !matches!(info.op_access(operand), OpAccess::None | OpAccess::NoMemAccess)
        });
        used
    }
}

/// Whether this processor has the instruction.
fn is_here(i: &Instruction) -> bool {
    i.cpuid_features().iter().all(|feature| match feature {
        CpuidFeature::INTEL8086
        | CpuidFeature::INTEL186
        | CpuidFeature::INTEL286
        | CpuidFeature::INTEL386
        | CpuidFeature::INTEL486
        | CpuidFeature::X64
        | CpuidFeature::CMOV
        | CpuidFeature::MULTIBYTENOP
        | CpuidFeature::CET_IBT
        | CpuidFeature::SSE
        | CpuidFeature::SSE2 => true,
        CpuidFeature::SSE3 => is_x86_feature_detected!("sse3"),
        CpuidFeature::SSSE3 => is_x86_feature_detected!("ssse3"),
        CpuidFeature::SSE4_1 => is_x86_feature_detected!("sse4.1"),
        CpuidFeature::AVX => is_x86_feature_detected!("avx"),
        CpuidFeature::AVX2 => is_x86_feature_detected!("avx2"),
        CpuidFeature::AVX512F => is_x86_feature_detected!("avx512f"),
        CpuidFeature::AVX512BW => is_x86_feature_detected!("avx512bw"),
        CpuidFeature::AVX512DQ => is_x86_feature_detected!("avx512dq"),
        CpuidFeature::AVX512VL => is_x86_feature_detected!("avx512vl"),
        _ => false,
    })
}
