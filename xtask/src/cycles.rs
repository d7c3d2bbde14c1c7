//! Estimates the cycles of a trace, from the tables in Arm's technical reference manuals of the cores.
//!
//! An estimate: it takes memory without wait states, and for the refill of the pipeline, which the tables give as a range, 2
//! cycles on Cortex-M3 and M4. Arm publishes no such table for Cortex-M33.

use std::io::{self, BufRead};

/// A core with a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Core {
    M0Plus,
    M3,
    M4,
}

/// What an instruction is, as far as the tables tell instructions apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// One cycle on every core.
    Simple,
    Load,
    Store,
    /// Loads or stores so many registers.
    Multiple(u64),
    Double,
    Branch,
    Call,
    MultiplyAdd,
    MultiplyLong,
    Divide,
}

/// The cycles of each region in the log of the plugin.
pub(crate) fn estimate(core: Core, log: impl BufRead) -> io::Result<Vec<u64>> {
    let mut regions = Vec::new();
    let mut last: Option<Executed> = None;
    for line in log.lines() {
        let line = line?;
        if line.starts_with("region") {
            regions.push(0);
            last = None;
        } else if let Some(executed) = Executed::parse(&line) {
            let cycles = regions.last_mut().ok_or_else(|| malformed(&line))?;
            *cycles += kind_cycles(core, executed.kind, last.as_ref().map(|last| last.kind));
            if last.is_some_and(|last| executed.pc != last.pc + last.size) {
                *cycles += refill(core, last.map(|last| last.kind));
            }
            last = Some(executed);
        } else if !line.starts_with(' ') {
            return Err(malformed(&line));
        }
    }
    Ok(regions)
}

fn malformed(line: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("no line of a trace: {line}"))
}

/// An executed instruction.
#[derive(Clone, Copy)]
struct Executed {
    pc: u64,
    size: u64,
    kind: Kind,
}

impl Executed {
    /// A line with the address and the code.
    fn parse(line: &str) -> Option<Self> {
        let (pc, code) = line.split_once(' ')?;
        let pc = u64::from_str_radix(pc, 16).ok()?;
        let value = u32::from_str_radix(code, 16).ok()?;
        let size = code.len() as u64 / 2;
        Some(Self { pc, size, kind: if size == 2 { narrow(value) } else { wide(value) } })
    }
}

/// Without what a jump adds. `before` is the instruction before.
fn kind_cycles(core: Core, kind: Kind, before: Option<Kind>) -> u64 {
    let is_small = core == Core::M0Plus;
    match kind {
        Kind::Simple | Kind::Branch | Kind::Call => 1,
        // Loads follow each other in the pipeline.
        Kind::Load if !is_small && before == Some(Kind::Load) => 1,
        Kind::Load => 2,
        Kind::Store => 1 + u64::from(is_small),
        Kind::Multiple(registers) => 1 + registers,
        Kind::Double => 3,
        Kind::MultiplyAdd => 1 + u64::from(core == Core::M3),
        Kind::MultiplyLong => {
            if core == Core::M3 {
                5
            } else {
                1
            }
        }
        Kind::Divide => 12,
    }
}

/// What a jump adds, by the instruction that jumped.
fn refill(core: Core, kind: Option<Kind>) -> u64 {
    match (core, kind) {
        (Core::M0Plus, Some(Kind::Call | Kind::Multiple(_))) => 2,
        (Core::M0Plus, _) => 1,
        (Core::M3 | Core::M4, _) => 2,
    }
}

/// A 16-bit instruction.
fn narrow(code: u32) -> Kind {
    let registers = u64::from((code & 0xFF).count_ones());
    let load_if = |is_load: bool| if is_load { Kind::Load } else { Kind::Store };
    match code >> 11 {
        0b01001 => Kind::Load,
        0b01010 => load_if(code >> 9 & 3 == 3),
        0b01011 => Kind::Load,
        0b01100 | 0b01110 | 0b10000 | 0b10010 => Kind::Store,
        0b01101 | 0b01111 | 0b10001 | 0b10011 => Kind::Load,
        0b11000 | 0b11001 => Kind::Multiple(registers),
        0b10110 | 0b10111 if code & 0x0600 == 0x0400 => Kind::Multiple(registers + u64::from(code >> 8 & 1)),
        0b10110 | 0b10111 if code & 0x0500 == 0x0100 => Kind::Branch,
        0b01000 if code & 0xFF80 == 0x4780 => Kind::Call,
        0b01000 if code & 0xFF80 == 0x4700 => Kind::Branch,
        0b11010..=0b11100 => Kind::Branch,
        _ => Kind::Simple,
    }
}

/// A 32-bit instruction, its first halfword high.
fn wide(code: u32) -> Kind {
    let (first, second) = (code >> 16, code & 0xFFFF);
    let is_load = first & 0x10 != 0;
    match first >> 8 {
        0xE8 | 0xE9 if first & 0x40 == 0 => Kind::Multiple(u64::from(second.count_ones())),
        0xE8 if first & 0x1F0 == 0x0D0 && second & 0xFFE0 == 0xF000 => Kind::Branch,
        0xE8 | 0xE9 => Kind::Double,
        0xF8 | 0xF9 => {
            if is_load {
                Kind::Load
            } else {
                Kind::Store
            }
        }
        0xFB if first & 0x80 == 0 => {
            if second >> 12 == 0xF {
                Kind::Simple
            } else {
                Kind::MultiplyAdd
            }
        }
        0xFB if first & 0xD0 == 0x90 => Kind::Divide,
        0xFB => Kind::MultiplyLong,
        0xF0..=0xF7 if second & 0xD000 == 0xD000 => Kind::Call,
        0xF0..=0xF7 if second & 0x8000 != 0 => Kind::Branch,
        _ => Kind::Simple,
    }
}

#[cfg(test)]
mod tests {
    use super::{Core, Kind, estimate, narrow, wide};

    #[test]
    fn instructions_are_told_apart() {
        for (code, kind) in [
            (0x4048, Kind::Simple),      // eors r0, r1
            (0x6808, Kind::Load),        // ldr r0, [r1]
            (0x6008, Kind::Store),       // str r0, [r1]
            (0x5608, Kind::Load),        // ldrsb r0, [r1, r0]
            (0x5408, Kind::Store),       // strb r0, [r1, r0]
            (0xB5F0, Kind::Multiple(5)), // push {r4-r7, lr}
            (0xBDF0, Kind::Multiple(5)), // pop {r4-r7, pc}
            (0xC81E, Kind::Multiple(4)), // ldm r0!, {r1-r4}
            (0xB082, Kind::Simple),      // sub sp, #8
            (0xB108, Kind::Branch),      // cbz r0
            (0xBA08, Kind::Simple),      // rev r0, r1
            (0xD1F2, Kind::Branch),      // bne
            (0x4770, Kind::Branch),      // bx lr
        ] {
            assert_eq!(narrow(code), kind, "{code:04x}");
        }
        for (code, kind) in [
            (0xE92D_4FF0, Kind::Multiple(9)),  // push.w {r4-r11, lr}
            (0xE9DD_34B1, Kind::Double),       // ldrd r3, r4, [sp, #708]
            (0xF8D1_A000, Kind::Load),         // ldr.w r10, [r1]
            (0xF8C5_9004, Kind::Store),        // str.w r9, [r5, #4]
            (0xF001_FE2D, Kind::Call),         // bl
            (0xF47F_AED1, Kind::Branch),       // bne.w
            (0xFBA2_2C03, Kind::MultiplyLong), // umull
            (0xFB02_F303, Kind::Simple),       // mul
            (0xFB02_3303, Kind::MultiplyAdd),  // mla
            (0xFBB0_F0F1, Kind::Divide),       // udiv
            (0xEA8A_0A01, Kind::Simple),       // eor.w
        ] {
            assert_eq!(wide(code), kind, "{code:08x}");
        }
    }

    /// Two loads, a branch that is taken, and one that is not.
    #[test]
    fn cycles_are_added() {
        let log = "region 0\n00000000 6808\n r4 20000000\n00000002 6808\n r4 20000000\n00000004 e000\n00000008 4048\n\
                   region 1\n0000000a d1f2\n0000000c 4048\n";
        let cycles = |core| estimate(core, log.as_bytes()).expect("a trace");
        assert_eq!(cycles(Core::M4), [2 + 1 + 1 + 2 + 1, 2]);
        assert_eq!(cycles(Core::M0Plus), [2 + 2 + 1 + 1 + 1, 2]);
        assert!(estimate(Core::M4, "x".as_bytes()).is_err());
    }
}
