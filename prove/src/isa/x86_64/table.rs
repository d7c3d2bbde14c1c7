//! The instructions that are modelled: all there are for a proof.
//!
//! How an instruction is known to do what its row says is part of the row. [`Evidence::Processor`] rows are compared, in every
//! encoding that a proof executed, with this processor; what it lacks is reported as not compared, and a claim that needs it is
//! conditional.

use super::{Decision, Machine, Next};
use crate::{
    bits::{self, shifted_left, shifted_right, shifted_right_signed},
    fault::Fault,
    graph::Graph,
};
use iced_x86::{Instruction, Mnemonic};

/// How a row is known to be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// By comparison with a processor.
    Processor,
    /// It tells what the processor has, which is what is modelled and cannot be compared.
    Modelled,
}

/// A row.
#[derive(Clone, Copy)]
pub struct Entry {
    pub(crate) semantics: fn(&mut Machine, &Instruction, Decision<'_>) -> Result<Next, Fault>,
    /// How it is known to be right.
    pub evidence: Evidence,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry").field("evidence", &self.evidence).finish_non_exhaustive()
    }
}

/// The row of an instruction, if it has one.
#[must_use]
#[rustfmt::skip]
pub fn find(i: &Instruction) -> Option<Entry> {
    use Mnemonic as M;
    let semantics: fn(&mut Machine, &Instruction, Decision<'_>) -> Result<Next, Fault> = match i.mnemonic() {
        M::Nop | M::Endbr64 => |_, _, _| Ok(Next::Following),
        M::Mov => |m, i, _| m.mov(i),
        M::Movzx => |m, i, _| m.mov_extended(i, bits::zero_extended),
        M::Movsx | M::Movsxd => |m, i, _| m.mov_extended(i, bits::sign_extended),
        M::Lea => |m, i, _| m.lea(i),
        M::Xor => |m, i, _| m.logic(i, Graph::xor),
        M::And | M::Test => |m, i, _| m.logic(i, Graph::and),
        M::Or => |m, i, _| m.logic(i, Graph::or),
        M::Add | M::Adc | M::Sub | M::Sbb | M::Cmp | M::Inc | M::Dec | M::Neg => |m, i, _| m.sum(i),
        M::Not => |m, i, _| m.not(i),
        M::Shl | M::Sal | M::Shr | M::Sar | M::Rol | M::Ror => |m, i, _| m.shift(i),
        M::Shld | M::Shrd => |m, i, _| m.double_shift(i),
        M::Bt | M::Bts => |m, i, _| m.test_bit(i),
        M::Imul => |m, i, _| m.imul(i),
        M::Bswap => |m, i, _| m.bswap(i),
        M::Xchg => |m, i, _| m.xchg(i),
        M::Sete | M::Setne | M::Setb | M::Setae | M::Setbe | M::Seta | M::Sets | M::Setns | M::Seto | M::Setno
        | M::Setl | M::Setge | M::Setle | M::Setg => |m, i, _| m.set_on_condition(i),
        M::Cmove | M::Cmovne | M::Cmovb | M::Cmovae | M::Cmovbe | M::Cmova | M::Cmovs | M::Cmovns | M::Cmovo
        | M::Cmovno | M::Cmovl | M::Cmovge | M::Cmovle | M::Cmovg => |m, i, _| m.mov_on_condition(i),
        M::Je | M::Jne | M::Jb | M::Jae | M::Jbe | M::Ja | M::Js | M::Jns | M::Jo | M::Jno | M::Jl | M::Jge
        | M::Jle | M::Jg => |m, i, decide| m.jump_on_condition(i, decide),
        M::Jmp => |m, i, _| m.jmp(i),
        M::Call => |m, i, _| m.call_instruction(i),
        M::Ret => |m, i, _| m.ret(i),
        M::Push => |m, i, _| m.push_instruction(i),
        M::Pop => |m, i, _| m.pop_instruction(i),
        M::Stosb | M::Stosd | M::Stosq | M::Movsb | M::Movsq => |m, i, _| m.repeated(i),
        M::Movaps | M::Movups | M::Movapd | M::Movupd | M::Movdqa | M::Movdqu | M::Vmovaps | M::Vmovups
        | M::Vmovapd | M::Vmovupd | M::Vmovdqa | M::Vmovdqu | M::Vmovdqa32 | M::Vmovdqa64 | M::Vmovdqu8
        | M::Vmovdqu16 | M::Vmovdqu32 | M::Vmovdqu64 => |m, i, _| m.move_vector(i),
        M::Movq | M::Movd | M::Vmovq | M::Vmovd => |m, i, _| m.move_low(i),
        M::Kmovb | M::Kmovw | M::Kmovd | M::Kmovq => |m, i, _| m.move_mask(i),
        M::Pxor | M::Xorps | M::Xorpd | M::Vpxor | M::Vxorps | M::Vxorpd | M::Vpxord | M::Vpxorq
            => |m, i, _| m.vector_logic(i, Graph::xor),
        M::Pand | M::Andps | M::Andpd | M::Vpand | M::Vandps | M::Vandpd | M::Vpandd | M::Vpandq
            => |m, i, _| m.vector_logic(i, Graph::and),
        M::Por | M::Orps | M::Orpd | M::Vpor | M::Vorps | M::Vorpd | M::Vpord | M::Vporq
            => |m, i, _| m.vector_logic(i, Graph::or),
        M::Pandn | M::Andnps | M::Andnpd | M::Vpandn | M::Vandnps | M::Vandnpd | M::Vpandnd | M::Vpandnq
            => |m, i, _| m.vector_logic(i, |g, a, b| g.and(!a, b)),
        M::Vpternlogd | M::Vpternlogq => |m, i, _| m.ternary_logic(i),
        M::Pshufb | M::Vpshufb => |m, i, _| m.shuffle_bytes(i),
        M::Punpcklbw | M::Vpunpcklbw => |m, i, _| m.interleave(i, 8, false),
        M::Punpckhbw | M::Vpunpckhbw => |m, i, _| m.interleave(i, 8, true),
        M::Punpcklwd | M::Vpunpcklwd => |m, i, _| m.interleave(i, 16, false),
        M::Punpckhwd | M::Vpunpckhwd => |m, i, _| m.interleave(i, 16, true),
        M::Punpckldq | M::Vpunpckldq | M::Unpcklps | M::Vunpcklps => |m, i, _| m.interleave(i, 32, false),
        M::Punpckhdq | M::Vpunpckhdq | M::Unpckhps | M::Vunpckhps => |m, i, _| m.interleave(i, 32, true),
        M::Punpcklqdq | M::Vpunpcklqdq | M::Unpcklpd | M::Vunpcklpd => |m, i, _| m.interleave(i, 64, false),
        M::Punpckhqdq | M::Vpunpckhqdq | M::Unpckhpd | M::Vunpckhpd => |m, i, _| m.interleave(i, 64, true),
        M::Psrlw | M::Vpsrlw => |m, i, _| m.shift_elements(i, 16, shifted_right),
        M::Psrld | M::Vpsrld => |m, i, _| m.shift_elements(i, 32, shifted_right),
        M::Psrlq | M::Vpsrlq => |m, i, _| m.shift_elements(i, 64, shifted_right),
        M::Psllw | M::Vpsllw => |m, i, _| m.shift_elements(i, 16, shifted_left),
        M::Pslld | M::Vpslld => |m, i, _| m.shift_elements(i, 32, shifted_left),
        M::Psllq | M::Vpsllq => |m, i, _| m.shift_elements(i, 64, shifted_left),
        M::Psraw | M::Vpsraw => |m, i, _| m.shift_elements(i, 16, shifted_right_signed),
        M::Psrad | M::Vpsrad => |m, i, _| m.shift_elements(i, 32, shifted_right_signed),
        M::Psrldq | M::Vpsrldq => |m, i, _| m.shift_lanes(i, shifted_right),
        M::Pslldq | M::Vpslldq => |m, i, _| m.shift_lanes(i, shifted_left),
        M::Paddb | M::Vpaddb => |m, i, _| m.add_elements(i, 8, false),
        M::Paddw | M::Vpaddw => |m, i, _| m.add_elements(i, 16, false),
        M::Paddd | M::Vpaddd => |m, i, _| m.add_elements(i, 32, false),
        M::Paddq | M::Vpaddq => |m, i, _| m.add_elements(i, 64, false),
        M::Psubb | M::Vpsubb => |m, i, _| m.add_elements(i, 8, true),
        M::Psubd | M::Vpsubd => |m, i, _| m.add_elements(i, 32, true),
        M::Psubq | M::Vpsubq => |m, i, _| m.add_elements(i, 64, true),
        M::Pcmpeqb | M::Vpcmpeqb => |m, i, _| m.equal_elements(i, 8),
        M::Pcmpeqw | M::Vpcmpeqw => |m, i, _| m.equal_elements(i, 16),
        M::Pcmpeqd | M::Vpcmpeqd => |m, i, _| m.equal_elements(i, 32),
        M::Vpbroadcastb => |m, i, _| m.broadcast(i, 8),
        M::Vpbroadcastw => |m, i, _| m.broadcast(i, 16),
        M::Vpbroadcastd | M::Vbroadcastss => |m, i, _| m.broadcast(i, 32),
        M::Vpbroadcastq | M::Vbroadcastsd => |m, i, _| m.broadcast(i, 64),
        M::Vbroadcasti128 | M::Vbroadcastf128 | M::Vbroadcasti32x4 | M::Vbroadcastf32x4 | M::Vbroadcasti64x2
        | M::Vbroadcastf64x2 => |m, i, _| m.broadcast(i, 128),
        M::Vbroadcasti64x4 | M::Vbroadcastf64x4 => |m, i, _| m.broadcast(i, 256),
        M::Pshufd | M::Vpshufd => |m, i, _| m.permute_by_immediate(i, 128, 32),
        M::Vpermq | M::Vpermpd if i.op_count() == 3 && i.op_kind(2) == iced_x86::OpKind::Immediate8
            => |m, i, _| m.permute_by_immediate(i, 256, 64),
        M::Vextracti128 | M::Vextractf128 | M::Vextracti32x4 | M::Vextractf32x4 | M::Vextracti64x2
        | M::Vextractf64x2 => |m, i, _| m.extract(i, 128),
        M::Vextracti64x4 | M::Vextractf64x4 => |m, i, _| m.extract(i, 256),
        M::Vinserti128 | M::Vinsertf128 | M::Vinserti32x4 | M::Vinsertf32x4 | M::Vinserti64x2 | M::Vinsertf64x2
            => |m, i, _| m.insert(i, 128),
        M::Vinserti64x4 | M::Vinsertf64x4 => |m, i, _| m.insert(i, 256),
        M::Vperm2i128 | M::Vperm2f128 => |m, i, _| m.permute_halves(i),
        M::Vshufi64x2 | M::Vshuff64x2 => |m, i, _| m.shuffle_lanes(i, 64),
        M::Vshufi32x4 | M::Vshuff32x4 => |m, i, _| m.shuffle_lanes(i, 32),
        M::Palignr | M::Vpalignr => |m, i, _| m.align_right(i),
        M::Pblendw | M::Vpblendw => |m, i, _| m.blend(i, 16),
        M::Vpblendd => |m, i, _| m.blend(i, 32),
        M::Vzeroupper => |m, _, _| m.zero_upper(),
        M::Cpuid => return Some(Entry { semantics: |m, _, _| m.cpuid(), evidence: Evidence::Modelled }),
        M::Xgetbv => return Some(Entry { semantics: |m, _, _| m.xgetbv(), evidence: Evidence::Modelled }),
        _ => return None,
    };
    Some(Entry { semantics, evidence: Evidence::Processor })
}
