//! Compares what the plugin for QEMU wrote of a firmware: for each region hashes of all addresses, and for some the addresses
//! themselves.
//!
//! The firmware runs each of its [`Group`]s with all secrets in turn, a region for each.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs,
    path::Path,
};

use anyhow::{Context, Result, bail, ensure};
use object::{Object, ObjectSegment};
use operations::{CORTEX_M_LENGTHS, Leak, Operation, SECRETS};
use yaxpeax_arch::{Decoder, U8Reader};
use yaxpeax_arm::armv7::{InstDecoder, Instruction, Opcode};

use crate::{leaks, riscv, source::Source};

/// What has a region for each secret.
enum Group {
    Leak(Leak),
    Operation(Operation),
}

/// In the order of the firmware.
fn groups() -> Vec<Group> {
    let leaks = Leak::ALL.into_iter().map(Group::Leak);
    leaks.chain(operations::all(&CORTEX_M_LENGTHS).map(Group::Operation)).collect()
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Leak(leak) => write!(f, "deliberate leak {}", leak.name()),
            Self::Operation(operation) => operation.fmt(f),
        }
    }
}

/// The hashes of all regions, and how many there must be.
fn regions(file: &Path) -> Result<Vec<String>> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let regions: Vec<String> = text
        .lines()
        .map(|line| Some(line.split_once(' ')?.1.to_owned()))
        .collect::<Option<_>>()
        .context("the plugin wrote a line that is none of a region")?;
    ensure!(
        regions.len() == groups().len() * SECRETS,
        "{} regions instead of one for each secret of each operation",
        regions.len()
    );
    Ok(regions)
}

/// The first secret of a group whose region is not that of secret 0.
fn first_different(group: &[String]) -> Option<usize> {
    group.iter().position(|region| *region != group[0])
}

/// The regions to log: of each group that of secret 0, and the first that differs.
pub(crate) fn log(regions_file: &Path) -> Result<String> {
    let mut numbers = Vec::new();
    for (i, group) in regions(regions_file)?.chunks(SECRETS).enumerate() {
        numbers.push((i * SECRETS).to_string());
        numbers.extend(first_different(group).map(|secret| (i * SECRETS + secret).to_string()));
    }
    Ok(numbers.join(":"))
}

/// Checks the firmware's operations, and that deliberate leaks are caught.
pub(crate) fn check(core: &str, elf: &Path, regions_file: &Path, log_file: &Path) -> Result<()> {
    let text = fs::read_to_string(log_file).with_context(|| format!("cannot read {}", log_file.display()))?;
    let log = parse(&text)?;
    let bytes = fs::read(elf).with_context(|| format!("cannot read {}", elf.display()))?;
    let firmware = Firmware {
        file: object::File::parse(&*bytes).with_context(|| format!("{} is no program", elf.display()))?,
        source: Source::new(elf)?,
        core,
    };
    let regions = regions(regions_file)?;
    let mut instructions = 0_u64;
    let mut operations = 0;
    for (i, (group, hashes)) in groups().iter().zip(regions.chunks(SECRETS)).enumerate() {
        let logged = |secret: usize| {
            log.get(&(i * SECRETS + secret))
                .with_context(|| format!("{group}, secret {secret}: not in the log"))
        };
        let reference = logged(0)?;
        let finding = match first_different(hashes) {
            Some(secret) => {
                Some(format!("secret {secret}: {}", firmware.difference(reference, logged(secret)?)?))
            }
            None => firmware.objection(reference)?,
        };
        match group {
            Group::Leak(leak) => {
                println!("{}", leaks::judge(*leak, expected(*leak, core), finding.as_deref())?);
            }
            Group::Operation(_) => {
                if let Some(finding) = finding {
                    bail!("{group}: {finding}");
                }
                let count = hashes[0].split(' ').next().and_then(|count| count.parse::<u64>().ok());
                instructions += count.context("a region without a count of instructions")? * SECRETS as u64;
                operations += 1;
            }
        }
    }
    println!(
        "{operations} operations with {SECRETS} secrets each: equal traces, {instructions} instructions"
    );
    Ok(())
}

/// What a deliberate leak must give on `core`.
fn expected(leak: Leak, core: &str) -> Option<&'static str> {
    match leak {
        Leak::None => None,
        Leak::Branch => Some("another instruction"),
        Leak::Table => Some("another address"),
        // Without the instruction, the compiler calls a function with a loop.
        Leak::Division if core == "Cortex-M0" => Some("another instruction"),
        Leak::Division => Some("division"),
        Leak::Multiplication if core == "Cortex-M3" || is_riscv(core) => Some("multiplication"),
        Leak::Multiplication => None,
    }
}

/// The lines of each logged region.
fn parse(text: &str) -> Result<BTreeMap<usize, Vec<&str>>> {
    let mut regions = BTreeMap::new();
    let mut lines = None;
    for line in text.lines() {
        if let Some(number) = line.strip_prefix("region ") {
            lines = Some(regions.entry(number.parse()?).or_insert_with(Vec::new));
        } else {
            lines.as_mut().context("the log does not start with a region")?.push(line);
        }
    }
    Ok(regions)
}

/// The address of an instruction; `None` if the line is of an access.
fn address(line: &str) -> Option<u64> {
    u64::from_str_radix(line.split_once(' ')?.0, 16).ok()
}

/// Whether the core is not an Arm.
fn is_riscv(core: &str) -> bool {
    core.starts_with("RV32")
}

struct Firmware<'a> {
    file: object::File<'a>,
    source: Source,
    core: &'a str,
}

/// An instruction.
struct Decoded {
    text: String,
    /// Why it must not run on secrets, whatever its trace.
    objection: Option<&'static str>,
}

impl Firmware<'_> {
    /// How `found` differs from `reference`.
    fn difference(&self, reference: &[&str], found: &[&str]) -> Result<String> {
        let index = reference.iter().zip(found).take_while(|(reference, found)| reference == found).count();
        let is_access = |lines: &[&str]| lines.get(index).is_some_and(|line| line.starts_with(' '));
        let kind = if is_access(reference) && is_access(found) { "address" } else { "instruction" };
        let mut text = format!("another {kind} than for secret 0");
        if let Some(address) = found[..index].iter().rev().find_map(|line| address(line)) {
            text += &format!(", after {} at {}", self.decode(address)?.text, self.source.describe(address));
        }
        Ok(text)
    }

    /// Why an instruction among `lines` must not run on secrets, whatever its trace.
    fn objection(&self, lines: &[&str]) -> Result<Option<String>> {
        let distinct: BTreeSet<_> = lines.iter().filter_map(|line| address(line)).collect();
        for address in distinct {
            let instruction = self.decode(address)?;
            if let Some(objection) = instruction.objection {
                let (text, place) = (instruction.text, self.source.describe(address));
                return Ok(Some(format!("{objection}: {text} at {place}")));
            }
        }
        Ok(None)
    }

    /// The instruction at `address`. The plugin's log has its code as well, but QEMU 7.2 sometimes gives it half of it.
    fn decode(&self, address: u64) -> Result<Decoded> {
        // The longest, or what is left of a segment.
        let code = [4, 2].into_iter().find_map(|len| {
            self.file.segments().find_map(|segment| segment.data_range(address, len).ok().flatten())
        });
        let code = code.with_context(|| format!("no code at {address:#x}"))?;
        if is_riscv(self.core) {
            let code = riscv::code(code).with_context(|| format!("half an instruction at {address:#x}"))?;
            return Ok(Decoded { text: format!("{code:08x}"), objection: riscv::variable_latency(code) });
        }
        let instruction = decode(code).with_context(|| format!("at {}", self.source.describe(address)))?;
        let objection = variable_latency(self.core, instruction.opcode);
        Ok(Decoded { text: instruction.to_string(), objection })
    }
}

fn decode(code: &[u8]) -> Result<Instruction> {
    let instruction = InstDecoder::default_thumb().decode(&mut U8Reader::new(code));
    instruction.map_err(|error| anyhow::anyhow!("unknown instruction {code:02x?}: {error}"))
}

/// The instructions whose time depends on their operands, by Arm's technical reference manuals of the cores.
fn variable_latency(core: &str, opcode: Opcode) -> Option<&'static str> {
    match opcode {
        Opcode::UDIV | Opcode::SDIV => Some("division"),
        Opcode::UMULL | Opcode::SMULL | Opcode::UMLAL | Opcode::SMLAL if core == "Cortex-M3" => {
            Some("long multiplication, which ends early on Cortex-M3")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{decode, expected, parse, variable_latency};
    use operations::Leak;
    use yaxpeax_arm::armv7::Opcode;

    #[test]
    fn instructions_are_decoded() {
        for (code, opcode) in [
            (&[0xB0, 0xFB, 0xF1, 0xF0][..], Opcode::UDIV),
            (&[0x90, 0xFB, 0xF1, 0xF0], Opcode::SDIV),
            (&[0xA0, 0xFB, 0x02, 0x23], Opcode::UMULL),
            (&[0x80, 0xFB, 0x02, 0x23], Opcode::SMULL),
            (&[0xE0, 0xFB, 0x02, 0x23], Opcode::UMLAL),
            (&[0xC0, 0xFB, 0x02, 0x23], Opcode::SMLAL),
            (&[0x48, 0x43], Opcode::MUL),
            (&[0xF0, 0xB5, 0x00, 0x00], Opcode::PUSH),
        ] {
            assert_eq!(decode(code).expect("an instruction").opcode, opcode, "{code:02x?}");
        }
    }

    #[test]
    fn long_multiplication_is_objected_to_on_m3_only() {
        for opcode in [Opcode::UMULL, Opcode::SMULL, Opcode::UMLAL, Opcode::SMLAL] {
            assert!(variable_latency("Cortex-M3", opcode).is_some());
            assert!(variable_latency("Cortex-M4", opcode).is_none());
        }
        assert!(expected(Leak::Multiplication, "Cortex-M3").is_some());
    }

    #[test]
    fn log_is_split_by_regions() {
        let log = parse("region 0\n0000041c b5f0\n w4 20003fec\nregion 64\n0000041c b5f0\n").expect("a log");
        assert_eq!(log[&0].len(), 2);
        assert_eq!(log[&64], ["0000041c b5f0"]);
    }
}
