//! What an instruction of x86-64 reads and writes, and whether its time depends on data.

use iced_x86::{
    Code, Decoder, DecoderOptions, FastFormatter, Instruction, InstructionInfoFactory, Mnemonic, OpAccess,
    Register, UsedMemory,
};

/// The longest instruction, in bytes.
pub(crate) const LONGEST: usize = 15;

/// A decoded instruction.
pub(crate) struct Decoded {
    instruction: Instruction,
    memory: Vec<UsedMemory>,
    /// The register that chooses the elements of memory that are accessed.
    pub(crate) mask: Option<Mask>,
    /// The vector register with the offsets of a gather or scatter.
    pub(crate) offsets: Option<usize>,
    /// Why it must not run on secrets, whatever its trace.
    pub(crate) objection: Option<&'static str>,
}

/// Where a mask of elements is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mask {
    /// k0 to k7.
    Opmask(usize),
    /// The highest bits of the elements of a vector register.
    Vector(usize),
}

/// What an access to memory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Access {
    pub(crate) address: u64,
    pub(crate) size: usize,
    pub(crate) writes: bool,
}

impl Decoded {
    /// Decodes the instruction at the start of `code`, which is at `address`.
    pub(crate) fn new(code: &[u8], address: u64) -> Option<Self> {
        let instruction = Decoder::with_ip(64, code, address, DecoderOptions::NONE).decode();
        if instruction.code() == Code::INVALID {
            return None;
        }
        let mut factory = InstructionInfoFactory::new();
        let memory: Vec<UsedMemory> = factory
            .info(&instruction)
            .used_memory()
            .iter()
            .filter(|memory| memory.access() != OpAccess::NoMemAccess)
            .copied()
            .collect();
        let mask = if memory.is_empty() { None } else { mask(&instruction) };
        let is_gather = memory.iter().any(|memory| memory.vsib_size() != 0);
        let offsets = is_gather.then(|| instruction.memory_index().number());
        Some(Self { objection: objection(&instruction), instruction, memory, mask, offsets })
    }

    /// The accesses to memory; of a gather or scatter only the base, see `offsets`. `register` is the value of each general register at its full width.
    pub(crate) fn accesses(&self, register: impl Fn(Register) -> u64) -> impl Iterator<Item = Access> {
        self.memory.iter().filter_map(move |memory| {
            let address = memory.virtual_address(0, |part, _, _| {
                Some(match part {
                    _ if part.is_vector_register() => 0,
                    // 64-bit code has no segments but these two.
                    Register::ES | Register::CS | Register::SS | Register::DS => 0,
                    Register::FS | Register::GS => register(part),
                    _ => {
                        let value = register(part.full_register());
                        if part.size() == 4 { value & 0xFFFF_FFFF } else { value }
                    }
                })
            })?;
            let writes = !matches!(memory.access(), OpAccess::Read | OpAccess::CondRead);
            Some(Access { address, size: memory.memory_size().size(), writes })
        })
    }

    /// Whether it is a breakpoint.
    pub(crate) fn is_int3(&self) -> bool {
        self.instruction.mnemonic() == Mnemonic::Int3
    }

    /// The instruction in the syntax of Intel.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        FastFormatter::new().format(&self.instruction, &mut text);
        text
    }
}

fn mask(instruction: &Instruction) -> Option<Mask> {
    use Mnemonic::{Maskmovdqu, Vmaskmovdqu, Vmaskmovpd, Vmaskmovps, Vpmaskmovd, Vpmaskmovq};
    match instruction.mnemonic() {
        Vmaskmovpd | Vmaskmovps | Vpmaskmovd | Vpmaskmovq | Maskmovdqu | Vmaskmovdqu => {
            Some(Mask::Vector(instruction.op_register(1).number()))
        }
        // The older gathers have their mask in a vector.
        _ if instruction.is_vsib() && instruction.op_mask() == Register::None => {
            Some(Mask::Vector(instruction.op_register(2).number()))
        }
        _ if instruction.op_mask() != Register::None => Some(Mask::Opmask(instruction.op_mask().number())),
        _ => None,
    }
}

/// Why the instruction must not run on secrets, whatever its trace.
fn objection(instruction: &Instruction) -> Option<&'static str> {
    let name = format!("{:?}", instruction.mnemonic()).to_lowercase();
    if name.starts_with("cmps") || name.starts_with("scas") {
        return Some("a comparison of strings, which ends where they differ");
    }
    if matches!(name.as_str(), "div" | "idiv") {
        return Some("division");
    }
    if matches!(name.as_str(), "pdep" | "pext") {
        return Some("its time depends on the mask, on Zen and Zen 2");
    }
    let is_scalar_or_packed =
        ["ps", "pd", "ss", "sd", "ph", "sh"].iter().any(|suffix| name.ends_with(suffix));
    let arithmetic = name.strip_prefix('v').unwrap_or(&name);
    let is_arithmetic =
        ["add", "sub", "mul", "div", "sqrt", "rsqrt", "rcp", "fm", "fnm", "cvt", "dp", "round"]
            .iter()
            .any(|prefix| arithmetic.starts_with(prefix));
    let is_x87 = name.starts_with('f') && !matches!(name.as_str(), "fxsave" | "fxrstor");
    if is_x87 || is_scalar_or_packed && is_arithmetic {
        return Some("floating point, whose time depends on subnormal numbers");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(code: &[u8]) -> Decoded {
        Decoded::new(code, 0x1000).expect("an instruction")
    }

    #[test]
    fn objections() {
        for (code, text) in [
            (&[0xF7, 0xF1][..], "div ecx"),
            (&[0x48, 0xF7, 0xF9], "idiv rcx"),
            (&[0xF3, 0xA6], "repe cmpsb"),
            (&[0xF2, 0xAE], "repne scasb"),
            (&[0x0F, 0x5E, 0xC1], "divps xmm0,xmm1"),
            (&[0xF2, 0x0F, 0x58, 0xC1], "addsd xmm0,xmm1"),
            (&[0xC4, 0xE2, 0xFB, 0xF5, 0xC1], "pdep rax,rax,rcx"),
            (&[0xD8, 0xF1], "fdiv st(0),st(1)"),
        ] {
            let decoded = decode(code);
            assert!(decoded.objection.is_some(), "{text}: {}", decoded.text());
        }
        for (code, text) in [
            (&[0xF3, 0xA4][..], "rep movsb"),
            (&[0xF7, 0xE1], "mul ecx"),
            (&[0x66, 0x0F, 0x38, 0x00, 0xC1], "pshufb xmm0,xmm1"),
            (&[0x0F, 0x57, 0xC1], "xorps xmm0,xmm1"),
            (&[0x0F, 0x28, 0x06], "movaps xmm0,[rsi]"),
            (&[0x66, 0x0F, 0xD4, 0xC1], "paddq xmm0,xmm1"),
        ] {
            let decoded = decode(code);
            assert_eq!(decoded.objection, None, "{text}: {}", decoded.text());
        }
    }

    #[test]
    fn addresses() {
        let register = |register| match register {
            Register::RSI => 0x1_0000_2000,
            Register::RCX => 0x10,
            Register::RSP => 0x8000,
            Register::FS => 0x7000,
            other => panic!("{other:?} is not needed"),
        };
        let accesses = |code: &[u8]| decode(code).accesses(register).collect::<Vec<_>>();
        let read = |address, size| Access { address, size, writes: false };
        assert_eq!(accesses(&[0x8B, 0x44, 0x8E, 0x04]), [read(0x1_0000_2044, 4)], "mov eax,[rsi+4*rcx+4]");
        assert_eq!(accesses(&[0x67, 0x8B, 0x06]), [read(0x2000, 4)], "mov eax,[esi]");
        assert_eq!(
            accesses(&[0x64, 0x48, 0x8B, 0x04, 0x25, 8, 0, 0, 0]),
            [read(0x7008, 8)],
            "mov rax,fs:[8]"
        );
        assert_eq!(accesses(&[0x51]), [Access { address: 0x7FF8, size: 8, writes: true }], "push rcx");
        assert_eq!(accesses(&[0x48, 0x8D, 0x06]), [], "lea rax,[rsi]");
        assert_eq!(accesses(&[0x0F, 0x1F, 0x06]), [], "nop [rsi]");
    }

    #[test]
    fn gathers() {
        // vpgatherdd ymm0, [rsi + ymm1], ymm2
        let decoded = decode(&[0xC4, 0xE2, 0x6D, 0x90, 0x04, 0x0E]);
        assert_eq!((decoded.offsets, decoded.mask), (Some(1), Some(Mask::Vector(2))));
        assert_eq!(decoded.accesses(|_| 0x2000).next().map(|access| access.address), Some(0x2000));
        assert_eq!(decode(&[0x0F, 0x28, 0x06]).offsets, None);
    }

    #[test]
    fn masks() {
        // vpmaskmovq ymm0, ymm3, [rsi] and [rsi], ymm3, ymm0
        assert_eq!(decode(&[0xC4, 0xE2, 0xE5, 0x8C, 0x06]).mask, Some(Mask::Vector(3)));
        assert_eq!(decode(&[0xC4, 0xE2, 0xE5, 0x8E, 0x06]).mask, Some(Mask::Vector(3)));
        // vmovdqu64 [rsi]{k2}, zmm0, and the same between registers
        assert_eq!(decode(&[0x62, 0xF1, 0xFE, 0x4A, 0x7F, 0x06]).mask, Some(Mask::Opmask(2)));
        assert_eq!(decode(&[0x62, 0xF1, 0xFE, 0x4A, 0x7F, 0xC1]).mask, None);
    }
}
