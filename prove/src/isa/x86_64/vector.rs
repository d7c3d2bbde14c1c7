//! Instructions on vectors.

use super::{Machine, Next};
use crate::{
    bits::{self, Bits},
    fault::Fault,
    graph::{Graph, Lit},
};
use iced_x86::{EncodingKind, Instruction, Mnemonic, OpKind, Register};

/// A shift of one element.
type Shift = fn(&[Lit], usize) -> Bits;

/// Whether the mnemonic moves without asking for alignment.
fn is_unaligned_move(mnemonic: Mnemonic) -> bool {
    use Mnemonic as M;
    matches!(mnemonic, M::Movups | M::Movupd | M::Movdqu | M::Movq | M::Movd | M::Movlps | M::Movhps)
}

/// Whether the mnemonic asks for alignment in every encoding.
fn is_aligned_move(mnemonic: Mnemonic) -> bool {
    use Mnemonic as M;
    matches!(mnemonic, M::Vmovaps | M::Vmovapd | M::Vmovdqa | M::Vmovdqa32 | M::Vmovdqa64)
}

impl Machine {
    /// An instruction without VEX or EVEX leaves what is above 128 bits, and has one source where it has its destination.
    fn is_legacy(i: &Instruction) -> bool {
        i.encoding() == EncodingKind::Legacy
    }

    /// Processors fault where an address must be aligned and is not.
    fn check_alignment(&self, i: &Instruction, size: usize) -> Result<(), Fault> {
        let asked = if Self::is_legacy(i) {
            size == 16 && !is_unaligned_move(i.mnemonic())
        } else {
            is_aligned_move(i.mnemonic())
        };
        if asked && self.address(i)? % size as u64 != 0 {
            return Err(Fault::Abi("the address is not aligned".to_owned()));
        }
        Ok(())
    }

    /// Which of `count` elements in memory the mask takes.
    fn known_mask(&self, i: &Instruction, count: usize) -> Result<Vec<bool>, Fault> {
        let mask = self.register(i.op_mask())?;
        let mask = self.graph.known(&mask[..count], "which addresses are accessed")?;
        Ok((0..count).map(|at| mask >> at & 1 == 1).collect())
    }

    /// The bits of a source of `width`, an element in memory repeated where the encoding says so.
    fn source(&mut self, i: &Instruction, operand: u32, width: usize) -> Result<Bits, Fault> {
        if i.op_kind(operand) != OpKind::Memory {
            let value = self.operand(i, operand)?;
            return Ok(value);
        }
        if i.is_broadcast() {
            let address = self.address(i)?;
            let element = self.memory.read(&mut self.graph, address, i.memory_size().element_size())?;
            return Ok(element.repeat(width / element.len()));
        }
        if i.op_mask() != Register::None {
            // What the mask leaves out is not read.
            let size = i.memory_size().element_size();
            let mut value = Vec::with_capacity(width);
            for (at, chosen) in self.known_mask(i, width / (8 * size))?.into_iter().enumerate() {
                value.extend(if chosen {
                    let address = self.address(i)?.wrapping_add((at * size) as u64);
                    self.memory.read(&mut self.graph, address, size)?
                } else {
                    bits::constant(0, 8 * size)
                });
            }
            return Ok(value);
        }
        self.check_alignment(i, i.memory_size().size())?;
        self.operand(i, operand)
    }

    /// The width of the destination, which is a register, or else of the memory.
    fn vector_width(i: &Instruction) -> usize {
        match i.op_kind(0) {
            OpKind::Register => 8 * i.op_register(0).size(),
            _ => 8 * i.memory_size().size(),
        }
    }

    /// Writes the destination, of `element` bits each if there is a mask.
    fn put(&mut self, i: &Instruction, value: &[Lit], element: usize) -> Result<Next, Fault> {
        let mut value = value.to_vec();
        if i.op_mask() != Register::None && i.op_kind(0) == OpKind::Memory {
            // What the mask leaves out is not written.
            let mask = self.known_mask(i, value.len() / element)?;
            for (at, (value, chosen)) in value.chunks(element).zip(mask).enumerate() {
                if chosen {
                    let address = self.address(i)?.wrapping_add((at * element / 8) as u64);
                    self.memory.write(address, value)?;
                }
            }
            return Ok(Next::Following);
        }
        if i.op_mask() != Register::None {
            let mask = self.register(i.op_mask())?;
            let before = self.register(i.op_register(0))?;
            for (at, (value, before)) in value.chunks_mut(element).zip(before.chunks(element)).enumerate() {
                let before = if i.zeroing_masking() { bits::constant(0, element) } else { before.to_vec() };
                let chosen = self.graph.select_bits(mask[at], value, &before);
                value.copy_from_slice(&chosen);
            }
        }
        match i.op_kind(0) {
            OpKind::Register => self.set_register(i.op_register(0), &value, Self::is_legacy(i))?,
            _ => {
                self.check_alignment(i, value.len() / 8)?;
                let address = self.address(i)?;
                self.memory.write(address, &value)?;
            }
        }
        Ok(Next::Following)
    }

    /// The two sources of an instruction, of which the last operands are `immediates`.
    fn two(&mut self, i: &Instruction, immediates: u32) -> Result<(Bits, Bits), Fault> {
        let width = Self::vector_width(i);
        let last = i.op_count() - immediates - 1;
        let first = if Self::is_legacy(i) { 0 } else { last - 1 };
        Ok((self.source(i, first, width)?, self.source(i, last, width)?))
    }

    /// A whole vector.
    pub(super) fn move_vector(&mut self, i: &Instruction) -> Result<Next, Fault> {
        use Mnemonic as M;
        let element = match i.mnemonic() {
            M::Vmovdqu8 => 8,
            M::Vmovdqu16 => 16,
            M::Vmovdqu32 | M::Vmovdqa32 | M::Vmovaps | M::Vmovups => 32,
            _ => 64,
        };
        let value = self.source(i, 1, Self::vector_width(i))?;
        self.put(i, &value, element)
    }

    /// The lowest 32 or 64 bits, zeros above.
    pub(super) fn move_low(&mut self, i: &Instruction) -> Result<Next, Fault> {
        let width = if matches!(i.mnemonic(), Mnemonic::Movd | Mnemonic::Vmovd) { 32 } else { 64 };
        let value = self.operand(i, 1)?[..width].to_vec();
        let is_vector = i.op_kind(0) == OpKind::Register && i.op_register(0).is_vector_register();
        let value = if is_vector { bits::zero_extended(&value, 128) } else { value };
        match i.op_kind(0) {
            OpKind::Register => self.set_register(i.op_register(0), &value, Self::is_legacy(i))?,
            _ => self.set_operand(i, 0, &value)?,
        }
        Ok(Next::Following)
    }

    /// Between a mask and another register.
    pub(super) fn move_mask(&mut self, i: &Instruction) -> Result<Next, Fault> {
        let width = match i.mnemonic() {
            Mnemonic::Kmovb => 8,
            Mnemonic::Kmovw => 16,
            Mnemonic::Kmovd => 32,
            _ => 64,
        };
        let value = self.operand(i, 1)?[..width].to_vec();
        let value = match i.op_kind(0) {
            OpKind::Register if i.op_register(0).is_gpr() => {
                bits::zero_extended(&value, 8 * i.op_register(0).size())
            }
            _ => value,
        };
        self.set_operand(i, 0, &value)?;
        Ok(Next::Following)
    }

    pub(super) fn vector_logic(
        &mut self,
        i: &Instruction,
        f: impl Fn(&mut Graph, Lit, Lit) -> Lit,
    ) -> Result<Next, Fault> {
        use Mnemonic as M;
        let (a, b) = self.two(i, 0)?;
        let result = self.graph.zip(&a, &b, f);
        let is_double = matches!(i.mnemonic(), M::Vpxord | M::Vpandd | M::Vpord | M::Vpandnd | M::Vxorps);
        self.put(i, &result, if is_double { 32 } else { 64 })
    }

    /// Any function of three bits.
    pub(super) fn ternary_logic(&mut self, i: &Instruction) -> Result<Next, Fault> {
        let width = Self::vector_width(i);
        let (a, b) = (self.source(i, 0, width)?, self.source(i, 1, width)?);
        let c = self.source(i, 2, width)?;
        let table = i.immediate8();
        let g = &mut self.graph;
        let result: Bits = (0..width)
            .map(|bit| {
                let (a, b, c) = (a[bit], b[bit], c[bit]);
                // By its algebraic normal form.
                let mut sum = Lit::ZERO;
                for monomial in 0..8u8 {
                    let below = (0..8).filter(|input| input & !monomial == 0);
                    if below.filter(|input| table >> input & 1 == 1).count() % 2 == 1 {
                        let mut product = Lit::ONE;
                        for (place, factor) in [(4, a), (2, b), (1, c)] {
                            if monomial & place != 0 {
                                product = g.and(product, factor);
                            }
                        }
                        sum = g.xor(sum, product);
                    }
                }
                sum
            })
            .collect();
        self.put(i, &result, if i.mnemonic() == Mnemonic::Vpternlogd { 32 } else { 64 })
    }

    /// In each 16 bytes, bytes at the places that the second source tells.
    pub(super) fn shuffle_bytes(&mut self, i: &Instruction) -> Result<Next, Fault> {
        let (table, index) = self.two(i, 0)?;
        let g = &mut self.graph;
        let mut result = Vec::with_capacity(table.len());
        for (table, index) in table.chunks(128).zip(index.chunks(128)) {
            for index in index.chunks(8) {
                let mut chosen: Vec<Bits> = table.chunks(8).map(<[Lit]>::to_vec).collect();
                for &bit in &index[..4] {
                    chosen = chosen.chunks(2).map(|pair| g.select_bits(bit, &pair[1], &pair[0])).collect();
                }
                result.extend(chosen[0].iter().map(|&value| g.and(value, !index[7])));
            }
        }
        self.put(i, &result, 8)
    }

    /// In each 16 bytes, the elements of the lower or the higher half of both sources in turn.
    pub(super) fn interleave(&mut self, i: &Instruction, element: usize, high: bool) -> Result<Next, Fault> {
        let (a, b) = self.two(i, 0)?;
        let mut result = Vec::with_capacity(a.len());
        for (a, b) in a.chunks(128).zip(b.chunks(128)) {
            let half = if high { 64..128 } else { 0..64 };
            for (a, b) in a[half.clone()].chunks(element).zip(b[half].chunks(element)) {
                result.extend(a);
                result.extend(b);
            }
        }
        self.put(i, &result, element)
    }

    pub(super) fn shift_elements(
        &mut self,
        i: &Instruction,
        element: usize,
        shift: Shift,
    ) -> Result<Next, Fault> {
        let last = i.op_count() - 1;
        let value = self.source(i, last - 1, Self::vector_width(i))?;
        let by = self.operand(i, last)?;
        let by = &by[..by.len().min(64)];
        let by = usize::try_from(self.graph.known(by, "an amount of shift")?).unwrap_or(usize::MAX);
        let by = by.min(element);
        let result: Bits = value.chunks(element).flat_map(|value| shift(value, by)).collect();
        self.put(i, &result, element)
    }

    /// In each 16 bytes, all of them, by bytes.
    pub(super) fn shift_lanes(&mut self, i: &Instruction, shift: Shift) -> Result<Next, Fault> {
        let last = i.op_count() - 1;
        let value = self.source(i, last - 1, Self::vector_width(i))?;
        let by = 8 * usize::from(i.immediate8()).min(16);
        let result: Bits = value.chunks(128).flat_map(|lane| shift(lane, by)).collect();
        self.put(i, &result, 128)
    }

    pub(super) fn add_elements(
        &mut self,
        i: &Instruction,
        element: usize,
        subtract: bool,
    ) -> Result<Next, Fault> {
        let (a, b) = self.two(i, 0)?;
        let g = &mut self.graph;
        let sum = |(a, b): (&[Lit], &[Lit])| {
            if subtract { g.subtract(a, b, Lit::ONE).bits } else { g.add(a, b, Lit::ZERO).bits }
        };
        let result: Bits = a.chunks(element).zip(b.chunks(element)).flat_map(sum).collect();
        self.put(i, &result, element)
    }

    /// All ones where elements are equal. With EVEX the destination is a mask, which is not modelled.
    pub(super) fn equal_elements(&mut self, i: &Instruction, element: usize) -> Result<Next, Fault> {
        if i.op_register(0).is_k() {
            return Err(Fault::Unknown(i.to_string()));
        }
        let (a, b) = self.two(i, 0)?;
        let g = &mut self.graph;
        let equal = |(a, b): (&[Lit], &[Lit])| {
            let differ = g.xor_bits(a, b);
            let equal = !g.any(&differ);
            vec![equal; element]
        };
        let result: Bits = a.chunks(element).zip(b.chunks(element)).flat_map(equal).collect();
        self.put(i, &result, element)
    }

    /// The lowest element everywhere.
    pub(super) fn broadcast(&mut self, i: &Instruction, element: usize) -> Result<Next, Fault> {
        let value = self.operand(i, 1)?[..element].to_vec();
        let width = Self::vector_width(i);
        let masked = if element >= 128 { if Self::is_64_bit_group(i) { 64 } else { 32 } } else { element };
        self.put(i, &value.repeat(width / element), masked)
    }

    fn is_64_bit_group(i: &Instruction) -> bool {
        use Mnemonic as M;
        matches!(
            i.mnemonic(),
            M::Vbroadcasti64x2 | M::Vbroadcastf64x2 | M::Vbroadcasti64x4 | M::Vbroadcastf64x4
        )
    }

    /// Elements of the last source at the places that the immediate tells, in each `lane` bits.
    pub(super) fn permute_by_immediate(
        &mut self,
        i: &Instruction,
        lane: usize,
        element: usize,
    ) -> Result<Next, Fault> {
        let value = self.source(i, 1, Self::vector_width(i))?;
        let order = usize::from(i.immediate8());
        let mut result = Vec::with_capacity(value.len());
        for value in value.chunks(lane) {
            for place in 0..4 {
                let from = (order >> (2 * place) & 3) * element;
                result.extend(&value[from..from + element]);
            }
        }
        self.put(i, &result, element)
    }

    /// A part of `part` bits.
    pub(super) fn extract(&mut self, i: &Instruction, part: usize) -> Result<Next, Fault> {
        if i.op_mask() != Register::None {
            return Err(Fault::Unknown(i.to_string()));
        }
        let value = self.operand(i, 1)?;
        let at = usize::from(i.immediate8()) % (value.len() / part) * part;
        self.put(i, &value[at..at + part], part)
    }

    /// A part of `part` bits from the second source.
    pub(super) fn insert(&mut self, i: &Instruction, part: usize) -> Result<Next, Fault> {
        if i.op_mask() != Register::None {
            return Err(Fault::Unknown(i.to_string()));
        }
        let (mut value, new) = (self.operand(i, 1)?, self.operand(i, 2)?);
        let at = usize::from(i.immediate8()) % (value.len() / part) * part;
        value[at..at + part].copy_from_slice(&new[..part]);
        self.put(i, &value, part)
    }

    /// Half of one source, half of the other, or zeros.
    pub(super) fn permute_halves(&mut self, i: &Instruction) -> Result<Next, Fault> {
        let (a, b) = (self.operand(i, 1)?, self.operand(i, 2)?);
        let halves = [&a[..128], &a[128..], &b[..128], &b[128..]];
        let order = i.immediate8();
        let half = |order: u8| {
            if order & 8 != 0 { bits::constant(0, 128) } else { halves[usize::from(order & 3)].to_vec() }
        };
        self.put(i, &[half(order), half(order >> 4)].concat(), 64)
    }

    /// 128 bits of each source at the places that the immediate tells.
    pub(super) fn shuffle_lanes(&mut self, i: &Instruction, element: usize) -> Result<Next, Fault> {
        let width = Self::vector_width(i);
        let (a, b) = (self.source(i, 1, width)?, self.source(i, 2, width)?);
        let order = usize::from(i.immediate8());
        let lanes = width / 128;
        let select = lanes.trailing_zeros() as usize;
        let mut result = Vec::with_capacity(width);
        for place in 0..lanes {
            let from = 128 * (order >> (select * place) & (lanes - 1));
            let source = if place < lanes / 2 { &a } else { &b };
            result.extend(&source[from..from + 128]);
        }
        self.put(i, &result, element)
    }

    /// 16 bytes out of the two sources side by side, in each 16 bytes.
    pub(super) fn align_right(&mut self, i: &Instruction) -> Result<Next, Fault> {
        let (a, b) = self.two(i, 1)?;
        let by = 8 * usize::from(i.immediate8()).min(32);
        let mut result = Vec::with_capacity(a.len());
        for (a, b) in a.chunks(128).zip(b.chunks(128)) {
            let both = bits::zero_extended(&[b, a].concat(), 512);
            result.extend(&both[by..by + 128]);
        }
        self.put(i, &result, 8)
    }

    /// Elements of either source, as the immediate tells.
    pub(super) fn blend(&mut self, i: &Instruction, element: usize) -> Result<Next, Fault> {
        let (mut a, b) = self.two(i, 1)?;
        let mask = i.immediate8();
        for (at, (a, b)) in a.chunks_mut(element).zip(b.chunks(element)).enumerate() {
            if mask >> (at % 8) & 1 == 1 {
                a.copy_from_slice(b);
            }
        }
        self.put(i, &a, element)
    }

    /// Zeros above 128 bits of the first 16 registers.
    pub(super) fn zero_upper(&mut self) -> Result<Next, Fault> {
        for vector in &mut self.state.vectors[..16] {
            vector[128..].fill(Lit::ZERO);
        }
        Ok(Next::Following)
    }
}
