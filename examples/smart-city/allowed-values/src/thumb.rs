//! Where Thumb code of a function starts code that is not its own.

use std::fmt;

use object::{Object, ObjectSymbol};

/// An instruction by which a function starts other code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaves {
    /// Where it is.
    pub at: u32,
    /// Where it goes; none if a register says it, or if it is a supervisor call.
    pub to: Option<u32>,
}

impl fmt::Display for Leaves {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to {
            Some(to) => write!(f, "at {:#x} it goes to {to:#x}", self.at),
            None => write!(f, "at {:#x} it goes somewhere", self.at),
        }
    }
}

/// Where an image has data between its code, by the symbols `$d` and `$t` of the *ELF for the Arm Architecture*.
pub(crate) struct DataRanges(Vec<(u32, bool)>);

impl DataRanges {
    pub(crate) fn of<'d>(file: &impl Object<'d>) -> Self {
        let mark = |name: &str, of: &str| name == of || name.starts_with(&format!("{of}."));
        let marks = file.symbols().filter_map(|symbol| {
            let name = symbol.name().ok()?;
            let is_data = mark(name, "$d");
            let address = u32::try_from(symbol.address()).ok()?;
            (is_data || mark(name, "$t") || mark(name, "$a")).then_some((address, is_data))
        });
        let mut marks: Vec<_> = marks.collect();
        // Of two at one place code is looked at, to be sure.
        marks.sort_by_key(|(address, is_data)| (*address, !is_data));
        Self(marks)
    }

    fn has(&self, address: u32) -> bool {
        let before = self.0.partition_point(|(mark, _)| *mark <= address);
        before.checked_sub(1).is_some_and(|last| self.0[last].1)
    }
}

/// The instructions of a function that start other code: branches, with and without link, whose target is outside or data; those to what a
/// register or memory says, but for the returns BX LR and POP with PC; supervisor calls; and the last one before data or the end, if it goes on.
///
/// Encodings: *Armv8-M Architecture Reference Manual*, C2.
pub(crate) fn leaves(start: u32, code: &[u8], data: &DataRanges) -> Vec<Leaves> {
    let own = start..start.saturating_add(u32::try_from(code.len()).unwrap_or(u32::MAX));
    let is_own_code = |to: u32| own.contains(&to) && !data.has(to);
    let half = |at: usize| Some(u16::from_le_bytes([*code.get(at)?, *code.get(at + 1)?]));
    let address_of = |at: usize| start.wrapping_add(u32::try_from(at).unwrap_or(u32::MAX));
    let (mut found, mut at) = (Vec::new(), 0);
    // The last instruction, if it goes on to what is behind it. Whoever starts the function comes from before its first one.
    let mut goes_on = Some(start);
    // How many of the next instructions have the condition of an IT.
    let mut conditional = 0;
    while let Some(first) = half(at) {
        let address = address_of(at);
        if data.has(address) {
            found.extend(goes_on.take().map(|last| Leaves { at: last, to: Some(address) }));
            at += 2;
            continue;
        }
        let (target, is_end, len) = if first >> 11 >= 0b11101 {
            // Half an instruction goes on: to what is behind the function.
            let Some(second) = half(at + 2) else {
                goes_on = Some(address);
                break;
            };
            (wide(address, first, second), is_wide_end(first, second), 4)
        } else {
            (narrow(address, first), is_narrow_end(first), 2)
        };
        at += len;
        goes_on = (!is_end || conditional > 0).then_some(address);
        conditional = match first {
            0xBF00..=0xBFFF if first & 0xF != 0 => 4 - (first & 0xF).trailing_zeros(),
            _ => conditional.saturating_sub(1),
        };
        if let Some(to) = target.filter(|to| !to.is_some_and(is_own_code)) {
            found.push(Leaves { at: address, to });
        }
    }
    found.extend(goes_on.map(|last| Leaves { at: last, to: Some(own.end) }));
    found
}

/// Whether nothing behind an instruction of 16 bits runs after it, if it has no condition.
const fn is_narrow_end(code: u16) -> bool {
    // B; BX; POP with PC; MOV to PC; UDF
    code >> 11 == 0b11100
        || code & 0xFF80 == 0x4700
        || code >> 8 == 0xBD
        || code & 0xFF87 == 0x4687
        || code >> 8 == 0xDE
}

/// The same for one of 32 bits.
const fn is_wide_end(first: u16, second: u16) -> bool {
    // B; UDF
    first >> 11 == 0b11110 && second & 0xD000 == 0x9000
        || first & 0xFFF0 == 0xF7F0 && second & 0xF000 == 0xA000
        || is_wide_pop(first, second)
        || loads_pc(first, second)
}

/// POP with PC, of several registers.
const fn is_wide_pop(first: u16, second: u16) -> bool {
    first == 0xE8BD && second >> 15 == 1
}

/// Whether one of 32 bits has PC from memory, other than by [`is_wide_pop`].
const fn loads_pc(first: u16, second: u16) -> bool {
    // TBB, TBH
    first & 0xFFF0 == 0xE8D0 && second & 0xFFE0 == 0xF000
        // LDR, with each way to say the address
        || first & 0xFF70 == 0xF850 && second >> 12 == 15
        // LDM, LDMDB
        || (first & 0xFFD0 == 0xE890 || first & 0xFFD0 == 0xE910) && second >> 15 == 1 && first != 0xE8BD
}

/// Where an instruction of 16 bits goes; none if it goes on, and none in it if a register says it.
fn narrow(address: u32, code: u16) -> Option<Option<u32>> {
    let code = u32::from(code);
    let to = |offset: i32| Some(Some(address.wrapping_add(4).wrapping_add_signed(offset)));
    match code >> 8 {
        // SVC
        0b1101_1111 => Some(None),
        // UDF
        0b1101_1110 => None,
        // B, with a condition
        0b1101_0000..0b1101_1110 => to(signed(code << 1, 9)),
        // B
        0b1110_0000..0b1110_1000 => to(signed(code << 1, 12)),
        // CBZ, CBNZ
        0b1011_0001 | 0b1011_0011 | 0b1011_1001 | 0b1011_1011 => {
            to(signed(code >> 3 & 0x40 | code >> 2 & 0x3E, 8))
        }
        // BX and BLX, but BX LR
        0b0100_0111 => (code >> 3 & 0x1F != 14).then_some(None),
        // MOV and ADD with PC as their destination
        0b0100_0100 | 0b0100_0110 => (code & 0x87 == 0x87).then_some(None),
        _ => None,
    }
}

/// The same for one of 32 bits.
fn wide(address: u32, first: u16, second: u16) -> Option<Option<u32>> {
    if loads_pc(first, second) {
        return Some(None);
    }
    let (first, second) = (u32::from(first), u32::from(second));
    if first >> 11 != 0b11110 || second >> 15 == 0 {
        return None;
    }
    let sign = first >> 10 & 1;
    let (j1, j2) = (second >> 13 & 1, second >> 11 & 1);
    let offset = match (second >> 14 & 1, second >> 12 & 1) {
        // BL, B
        (1, 1) | (0, 1) => {
            let (i1, i2) = (1 ^ j1 ^ sign, 1 ^ j2 ^ sign);
            signed(sign << 24 | i1 << 23 | i2 << 22 | (first & 0x3FF) << 12 | (second & 0x7FF) << 1, 25)
        }
        // B, with a condition; with one of the last two it is something else.
        (0, 0) if first >> 7 & 7 != 7 => {
            signed(sign << 20 | j2 << 19 | j1 << 18 | (first & 0x3F) << 12 | (second & 0x7FF) << 1, 21)
        }
        _ => return None,
    };
    Some(Some(address.wrapping_add(4).wrapping_add_signed(offset)))
}

/// The lowest `bits` of a number, the highest of them as its sign.
const fn signed(value: u32, bits: u32) -> i32 {
    i32::from_ne_bytes((value << (32 - bits)).to_ne_bytes()) >> (32 - bits)
}

#[cfg(test)]
mod tests {
    use super::{DataRanges, Leaves, leaves};

    /// Where code at 0x1000 leaves: what GNU's assembler makes of each instruction.
    fn targets(code: &[u8]) -> Vec<Option<u32>> {
        let found = leaves(0x1000, code, &DataRanges(Vec::new()));
        found.into_iter().map(|Leaves { to, .. }| to).collect()
    }

    /// bx lr
    const RETURN: [u8; 2] = [0x70, 0x47];

    #[test]
    fn what_goes_outside_is_found() {
        for (name, code, to) in [
            ("bl 0x2000", &[0x00, 0xf0, 0xfe, 0xff][..], Some(0x2000)),
            ("bl 0x800", &[0xff, 0xf7, 0xfe, 0xfb], Some(0x800)),
            ("bl 0x801000", &[0xff, 0xf3, 0xfe, 0xf7], Some(0x80_1000)),
            ("b.w 0x2000", &[0x00, 0xf0, 0xfe, 0xbf], Some(0x2000)),
            ("bne.w 0x2000", &[0x40, 0xf0, 0xfe, 0x87], Some(0x2000)),
            ("bne.w 0x800", &[0x7f, 0xf4, 0xfe, 0xab], Some(0x800)),
            ("b 0x1100", &[0x7e, 0xe0], Some(0x1100)),
            ("b 0xf00", &[0x7e, 0xe7], Some(0xf00)),
            ("beq 0x1080", &[0x3e, 0xd0], Some(0x1080)),
            ("cbz r1, 0x1060", &[0x71, 0xb3], Some(0x1060)),
            ("cbnz r7, 0x1006", &[0x0f, 0xb9], Some(0x1006)),
            ("blx r3", &[0x98, 0x47], None),
            ("bx r3", &[0x18, 0x47], None),
            ("mov pc, r3", &[0x9f, 0x46], None),
            ("svc 1", &[0x01, 0xdf], None),
            ("tbb [pc, r0]", &[0xdf, 0xe8, 0x00, 0xf0], None),
            ("tbb [r1, r0]", &[0xd1, 0xe8, 0x00, 0xf0], None),
            ("tbh [pc, r0, lsl #1]", &[0xdf, 0xe8, 0x10, 0xf0], None),
            ("tbh [r1, r0, lsl #1]", &[0xd1, 0xe8, 0x10, 0xf0], None),
            ("ldr.w pc, [r1, #8]", &[0xd1, 0xf8, 0x08, 0xf0], None),
            ("ldr.w pc, [r1, #-4]", &[0x51, 0xf8, 0x04, 0xfc], None),
            ("ldr.w pc, [r1], #4", &[0x51, 0xf8, 0x04, 0xfb], None),
            ("ldr.w pc, [r1, #4]!", &[0x51, 0xf8, 0x04, 0xff], None),
            ("ldr.w pc, [r1, r2, lsl #2]", &[0x51, 0xf8, 0x22, 0xf0], None),
            ("ldr.w pc, [pc, #16]", &[0xdf, 0xf8, 0x10, 0xf0], None),
            ("ldr.w pc, [sp], #4", &[0x5d, 0xf8, 0x04, 0xfb], None),
            ("ldmia.w r1, {r4, pc}", &[0x91, 0xe8, 0x10, 0x80], None),
            ("ldmia.w r1!, {r4, pc}", &[0xb1, 0xe8, 0x10, 0x80], None),
            ("ldmdb r1, {r4, pc}", &[0x11, 0xe9, 0x10, 0x80], None),
            ("ldmdb sp, {r4, pc}", &[0x1d, 0xe9, 0x10, 0x80], None),
        ] {
            let code = &[code, &RETURN].concat()[..];
            assert_eq!(targets(code), [to], "{name}");
            // Behind a narrow and a wide instruction that go on: two places later.
            let moved = to.map(|to| to + 6);
            let before = [&[0x00, 0xbf][..], &[0xaf, 0xf3, 0x00, 0x80], code].concat();
            assert_eq!(targets(&before), [moved], "{name} behind others");
        }
    }

    #[test]
    fn what_stays_is_left() {
        for (name, code) in [
            ("bl to its own start", &[0xff, 0xf7, 0xfe, 0xff][..]),
            ("b to itself", &[0xfe, 0xe7]),
            ("bx lr", &[0x70, 0x47]),
            ("pop {r4, pc}", &[0x10, 0xbd]),
            ("udf", &[0x00, 0xde]),
            ("mov r8, r3", &[0x98, 0x46]),
            ("msr apsr_nzcvq, r3", &[0x83, 0xf3, 0x00, 0x88]),
            ("movw r2, #4660", &[0x41, 0xf2, 0x34, 0x22]),
            ("pop.w {r4, r8, pc}", &[0xbd, 0xe8, 0x10, 0x81]),
            ("ldmia.w r1!, {r4, r8}", &[0xb1, 0xe8, 0x10, 0x01]),
            ("ldr.w r8, [r1, #8]", &[0xd1, 0xf8, 0x08, 0x80]),
            ("ldrd r0, r1, [r2]", &[0xd2, 0xe9, 0x00, 0x01]),
            ("pld [r1, #8]", &[0x91, 0xf8, 0x08, 0xf0]),
            ("tt r0, r1", &[0x41, 0xe8, 0x00, 0xf0]),
        ] {
            assert_eq!(targets(&[code, &RETURN].concat()), [], "{name}");
        }
        assert_eq!(targets(&[0x70, 0x47, 0xf0]), [], "an odd byte at its end");
    }

    #[test]
    fn the_last_instruction_ends_the_function() {
        for (name, code) in [
            ("b to itself", &[0xfe, 0xe7][..]),
            ("b.w to itself", &[0xff, 0xf7, 0xfe, 0xbf]),
            ("bx lr", &RETURN),
            ("pop {r4, pc}", &[0x10, 0xbd]),
            ("pop.w {r4, r8, pc}", &[0xbd, 0xe8, 0x10, 0x81]),
            ("udf", &[0x00, 0xde]),
            ("udf.w", &[0xf0, 0xf7, 0x00, 0xa0]),
            ("bx lr behind it eq; moveq r0, r1", &[0x08, 0xbf, 0x08, 0x46, 0x70, 0x47]),
        ] {
            assert_eq!(targets(code), [], "{name}");
        }
        for (name, code) in [
            ("mov r8, r3", &[0x98, 0x46][..]),
            ("movw r2, #4660", &[0x41, 0xf2, 0x34, 0x22]),
            ("bl to its own start", &[0xff, 0xf7, 0xfe, 0xff]),
            ("beq to itself", &[0xfe, 0xd0]),
            ("pop {r4}", &[0x10, 0xbc]),
            ("it eq; bxeq lr", &[0x08, 0xbf, 0x70, 0x47]),
            ("it ne; popne {r4, pc}", &[0x18, 0xbf, 0x10, 0xbd]),
            ("half of an instruction of 32 bits", &[0x70, 0x47, 0x00, 0xf0]),
        ] {
            let end = 0x1000 + u32::try_from(code.len()).unwrap();
            assert_eq!(targets(code), [Some(end)], "{name}");
        }
    }

    #[test]
    fn data_is_not_looked_at() {
        let code = [0x70, 0x47, 0x98, 0x47, 0x98, 0x47, 0x70, 0x47];
        let marks = DataRanges(vec![(0x1000, false), (0x1002, true), (0x1004, false)]);
        assert_eq!(leaves(0x1000, &code, &marks), [Leaves { at: 0x1004, to: None }]);
    }

    #[test]
    fn data_is_not_run() {
        let marks = DataRanges(vec![(0x1000, false), (0x1002, true)]);
        let data = [0x70, 0x47];
        for (name, code) in [("nop", [0x00, 0xbf]), ("b to the next", [0xff, 0xe7])] {
            let found = leaves(0x1000, &[code, data].concat(), &marks);
            assert_eq!(found, [Leaves { at: 0x1000, to: Some(0x1002) }], "{name}");
        }
    }
}
