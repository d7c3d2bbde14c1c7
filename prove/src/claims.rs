//! What is proved, and how it is told.

pub mod blocks;
pub mod counted;
pub mod masked;
pub mod masked_mode;
pub mod mode;

use self::mode::{AdProcessing, Interface};
use crate::{
    elf::Image,
    isa::{
        Isa, Outcome,
        aarch64::{self, Core as Aarch64Core},
        riscv::{self, Core as RiscvCore},
        thumb::{self, Core},
        x86_64::{self, Level},
    },
};
use anyhow::{Context as _, Result, bail, ensure};
use object::Architecture;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    sync::Arc,
    time::Instant,
};

/// What became of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// It holds for all inputs.
    Proved,
    /// It holds if instructions that this processor does not have do what the model says.
    Conditional(String),
    /// It does not hold, or is not proved; with the reason.
    Failed(String),
}

/// A claim, and what became of it.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The processor and the backend.
    pub target: String,
    /// What is claimed.
    pub claim: String,
    /// Whether it holds.
    pub status: Status,
    /// Instructions that were executed.
    pub instructions: u64,
    /// What the call took, in bytes of stack: the most so far of its machine.
    pub stack: u64,
    /// Time that the proof took.
    pub seconds: f64,
}

impl Claim {
    /// As a line for people.
    #[must_use]
    pub fn line(&self) -> String {
        let status = match &self.status {
            Status::Proved => "proved",
            Status::Conditional(_) => "conditional",
            Status::Failed(_) => "FAILED",
        };
        let mut line = format!(
            "{:15} {status:11} {:58} {:6} instructions {:5} B of stack {:6.2} s",
            self.target, self.claim, self.instructions, self.stack, self.seconds
        );
        if let Status::Failed(why) = &self.status {
            let _ = write!(line, "\n    {why}");
        }
        line
    }

    /// As a JSON object.
    #[must_use]
    pub fn json(&self) -> String {
        let (status, why) = match &self.status {
            Status::Proved => ("proved", ""),
            Status::Conditional(why) => ("conditional", why.as_str()),
            Status::Failed(why) => ("failed", why.as_str()),
        };
        format!(
            r#"{{"target":{},"claim":{},"status":"{status}","reason":{},"instructions":{},"stackBytes":{},"seconds":{:.3}}}"#,
            quoted(&self.target),
            quoted(&self.claim),
            quoted(why),
            self.instructions,
            self.stack,
            self.seconds
        )
    }
}

/// A JSON string.
fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c < ' ' => {
                let _ = write!(quoted, "\\u{:04x}", c as u32);
            }
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

/// What claims are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The block cipher.
    Blocks,
    /// What has two shares: the kernels, and sealers and openers for messages of these lengths.
    Masked(mode::Selection),
    /// The mode by functions of that sort, with data processed like that and messages of these lengths.
    Messages(Interface, AdProcessing, mode::Selection),
}

/// A processor that is modelled.
#[derive(Clone, Copy, Debug)]
pub enum Processor {
    /// x86-64.
    X86_64(Level),
    /// Cortex-M.
    Thumb(Core),
    /// RISC-V of 32 bits.
    Riscv(RiscvCore),
    /// Arm of 64 bits.
    Aarch64(Aarch64Core),
}

/// Evaluates an expression with what is known of a processor, which has a type for each instruction set.
#[macro_export]
macro_rules! with_isa {
    ($processor:expr, $isa:ident => $value:expr) => {
        match $processor {
            $crate::claims::Processor::X86_64($isa) => $value,
            $crate::claims::Processor::Thumb($isa) => $value,
            $crate::claims::Processor::Riscv($isa) => $value,
            $crate::claims::Processor::Aarch64($isa) => $value,
        }
    };
}

/// A backend on the processor on which it runs.
#[derive(Clone, Debug)]
pub struct Target {
    /// As claims have it.
    pub name: String,
    /// The processor.
    pub processor: Processor,
    /// How many blocks the backend takes at once.
    pub batch: usize,
    /// What is in the names of its kernels, which encrypt and decrypt.
    pub kernels: [&'static str; 2],
    /// Whether claims are about what has two shares.
    pub is_masked: bool,
}

impl Target {
    /// The backends in a program, the one with the longest proofs first.
    ///
    /// # Errors
    /// If it is for a processor that is not modelled.
    pub fn of(image: &Image) -> Result<Vec<Self>> {
        match image.architecture {
            Architecture::X86_64 => {
                let all = Level::ALL.into_iter().rev().map(Self::x86_64);
                let is_there = |target: &Self| {
                    image.named_kernels("encrypt").any(|(name, _)| name.contains(target.kernels[0]))
                };
                let found: Vec<Self> = all.filter(is_there).collect();
                ensure!(!found.is_empty(), "the file does not name the kernels of the cipher");
                Ok(found)
            }
            Architecture::Arm => {
                let core = image.arm.and_then(Core::of_attribute);
                let core = core.context("the file does not say for which Cortex-M it is")?;
                // There is no room for a second one on the smallest.
                let decrypt = if core == Core::V6m { PORTABLE } else { "thumb" };
                let small = Self::small(image, core.name(), Processor::Thumb(core), ["thumb", decrypt]);
                if !image.has(masked::ENCRYPT) {
                    return Ok(vec![small]);
                }
                let masked =
                    Self { name: format!("{} masked", core.name()), is_masked: true, ..small.clone() };
                let is_masked_alone = image.kernels("encrypt").is_empty();
                Ok(if is_masked_alone { vec![masked] } else { vec![small, masked] })
            }
            Architecture::Riscv32 => {
                let core = image.riscv.as_deref().and_then(RiscvCore::of_attribute);
                let core = core.context("the file does not say for which RISC-V it is")?;
                Ok(vec![Self::small(image, &core.name(), Processor::Riscv(core), [PORTABLE; 2])])
            }
            Architecture::Aarch64 => Ok(vec![Self {
                name: "aarch64 neon".to_owned(),
                processor: Processor::Aarch64(Aarch64Core),
                batch: 16,
                kernels: ["Neon"; 2],
                is_masked: false,
            }]),
            other => bail!("the file is for {other:?}, which is not modelled"),
        }
    }

    /// The one backend in a program for a small processor.
    fn small(image: &Image, name: &str, processor: Processor, kernels: [&'static str; 2]) -> Self {
        let sort = if image.is_compact() { " compact" } else { "" };
        let name = format!("{name}{sort}");
        Self { name, processor, batch: 4, kernels, is_masked: false }
    }

    /// The portable backend for 32-bit words, in a library for x86-64 that is forced to it.
    #[must_use]
    pub fn soft32() -> Self {
        Self {
            name: "x86-64 soft32".to_owned(),
            processor: Processor::X86_64(Level::Base),
            batch: 4,
            kernels: [PORTABLE; 2],
            is_masked: false,
        }
    }

    /// A backend of x86-64, by its name and what it needs.
    #[must_use]
    pub fn x86_64((name, level): (&str, Level)) -> Self {
        let (batch, kernel) = match level {
            Level::Base => (8, PORTABLE),
            Level::Ssse3 => (16, "Ssse3"),
            Level::Avx2 => (32, "Avx2"),
            Level::Avx512 => (64, "Avx512"),
        };
        let processor = Processor::X86_64(level);
        Self { name: format!("x86-64 {name}"), processor, batch, kernels: [kernel; 2], is_masked: false }
    }

    /// The kernels that ran must be the backend's: at least one, each with at most a batch at a time, and with a whole one if there
    /// were so many blocks. `ran` has the most blocks that each got.
    ///
    /// # Errors
    /// If they are not.
    pub fn check_kernels(
        &self,
        image: &Image,
        direction: blocks::Direction,
        ran: &BTreeMap<u64, u64>,
        blocks: Option<usize>,
    ) -> Result<()> {
        let wanted = self.kernels[direction as usize];
        let most = ran.values().max().context("no kernel of the cipher ran")?;
        for kernel in ran.keys() {
            let mut named = image.named_kernels(direction.name()).filter(|(_, address)| address == kernel);
            ensure!(
                named.any(|(name, _)| name.contains(wanted)),
                "the kernel at {kernel:#x} ran, which is not one of {}",
                self.name
            );
        }
        ensure!(*most <= self.batch as u64, "a kernel got {most} blocks, which are more than a batch");
        if blocks.is_some_and(|blocks| blocks >= self.batch) {
            ensure!(*most == self.batch as u64, "no kernel got more than {most} blocks, which is no batch");
        }
        Ok(())
    }
}

/// What is in the names of the portable kernels.
const PORTABLE: &str = "fixslice";

/// Claims that share a key: one machine.
#[derive(Clone, Debug)]
pub struct Job {
    /// What is proved.
    pub subject: Subject,
    /// Of what code.
    pub target: Target,
    /// The size of the key.
    pub key_bits: usize,
    /// Whether functions that are not in the file are left out.
    pub found_only: bool,
}

/// What a job found.
#[derive(Debug)]
pub struct Found {
    /// Its claims, which do not count before their instructions are compared.
    pub claims: Vec<Claim>,
    /// All instructions that it executed.
    pub encodings: BTreeSet<Vec<u8>>,
}

impl Job {
    /// All jobs for a target, the longest first.
    #[must_use]
    pub fn of(target: &Target, selection: mode::Selection, found_only: bool) -> Vec<Self> {
        let mut jobs = Vec::new();
        if target.is_masked {
            return [128, 80]
                .map(|key_bits| Self {
                    subject: Subject::Masked(selection),
                    target: target.clone(),
                    key_bits,
                    found_only,
                })
                .into();
        }
        let messages = |interface| {
            [AdProcessing::Parallel, AdProcessing::Serial, AdProcessing::Combined]
                .map(|processing| Subject::Messages(interface, processing, selection))
        };
        let all = [Interface::Context, Interface::Opener, Interface::Sealer].into_iter().flat_map(messages);
        for subject in all.chain([Subject::Blocks]) {
            for key_bits in [128, 80] {
                jobs.push(Self { subject, target: target.clone(), key_bits, found_only });
            }
        }
        jobs
    }

    /// The names of the function that sets up the key, and of those that claims are about.
    fn functions(&self) -> (String, Vec<String>) {
        let (prefix, names): (_, &[&str]) = match self.subject {
            Subject::Blocks => (String::new(), &["encrypt_blocks", "decrypt_blocks"]),
            Subject::Masked(_) => {
                let functions = [mode::Direction::Seal, mode::Direction::Open]
                    .map(|direction| masked_mode::functions(self.key_bits, direction));
                return (masked::schedule(self.key_bits), functions.concat());
            }
            Subject::Messages(interface, processing, _) => {
                let names: &[&str] = match interface {
                    Interface::Context => &["seal", "open"],
                    Interface::Sealer => &["seal"],
                    Interface::Opener => &["open"],
                };
                (mode::prefix(interface, processing), names)
            }
        };
        let prefix = format!("twine{}_{prefix}", self.key_bits);
        (format!("{prefix}init"), names.iter().map(|name| format!("{prefix}{name}")).collect())
    }

    /// The functions in the image that there are claims about. There is none if the one that sets up the key is not there.
    #[must_use]
    pub fn found_in(&self, image: &Image) -> Vec<String> {
        let (set_up, functions) = self.functions();
        let functions: Vec<String> = match self.subject {
            // Each of them has a function of its own that sets up a key.
            Subject::Masked(_) => {
                let pairs = functions.chunks(2).filter(|pair| pair.iter().all(|name| image.has(name)));
                pairs.flatten().cloned().collect()
            }
            _ => functions.into_iter().filter(|name| image.has(name)).collect(),
        };
        match image.set_up_name(&set_up) {
            Some(set_up) if !functions.is_empty() => [functions, vec![set_up]].concat(),
            _ => Vec::new(),
        }
    }

    /// Whether there is a claim about the function that ends like that.
    fn claims(&self, image: &Image, end: &str) -> bool {
        let (_, functions) = self.functions();
        functions.iter().any(|name| name.ends_with(end) && (!self.found_only || image.has(name)))
    }

    /// Proves what it can.
    #[must_use]
    pub fn run(&self, image: &Arc<Image>) -> Found {
        with_isa!(self.target.processor, isa => self.run_on(isa, image))
    }

    fn run_on<I: Isa>(&self, isa: I, image: &Arc<Image>) -> Found {
        match self.subject {
            Subject::Blocks => blocks::run(self, isa, image),
            Subject::Masked(selection) => masked_mode::run(self, isa, image, selection),
            Subject::Messages(interface, processing, selection) => {
                mode::run(self, isa, image, interface, processing, selection)
            }
        }
    }

    /// Makes a claim of what `prove` finds; `count` tells instructions and stack of `subject`.
    fn claim<T>(
        &self,
        claim: String,
        subject: &mut T,
        count: impl Fn(&T) -> (u64, u64),
        prove: impl FnOnce(&mut T) -> Result<bool>,
    ) -> Claim {
        let start = Instant::now();
        let (before, _) = count(subject);
        let status = match prove(subject) {
            Ok(true) => Status::Proved,
            Ok(false) => Status::Failed("the results are not those of the specification".to_owned()),
            Err(fault) => Status::Failed(format!("{fault:#}")),
        };
        let (executed, stack) = count(subject);
        Claim {
            target: self.target.name.clone(),
            claim,
            status,
            instructions: executed - before,
            stack,
            seconds: start.elapsed().as_secs_f64(),
        }
    }

    /// The claim that key set-up did not get through.
    fn no_key(&self, fault: &anyhow::Error) -> Found {
        let claim = Claim {
            target: self.target.name.clone(),
            claim: format!("TWINE-{}: key set-up", self.key_bits),
            status: Status::Failed(format!("{fault:#}")),
            instructions: 0,
            stack: 0,
            seconds: 0.0,
        };
        Found { claims: vec![claim], encodings: BTreeSet::new() }
    }
}

/// Compares the instructions of proofs with processors: with this one where it is an x86-64, and with QEMU's.
#[derive(Debug, Default)]
pub struct Comparer {
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    x86_64: x86_64::compare::Comparison,
    thumb: thumb::compare::Comparison,
    riscv: riscv::compare::Comparison,
    aarch64: aarch64::compare::Comparison,
}

impl Comparer {
    /// Without anything compared.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lowers claims whose instructions differ, or cannot be compared here.
    pub fn lower(&mut self, processor: Processor, found: &mut Found) {
        let (mut lacking, mut differing) = (0, None);
        for bytes in &found.encodings {
            match self.check(processor, bytes) {
                Outcome::Same | Outcome::Modelled => {}
                Outcome::NotHere => lacking += 1,
                Outcome::Different(what) => differing = Some(format!("{}: {what}", named(processor, bytes))),
            }
        }
        for claim in &mut found.claims {
            if let Some(what) = &differing {
                let before = if let Status::Failed(why) = &claim.status { why.as_str() } else { "" };
                let line = if before.is_empty() { "" } else { "\n    " };
                claim.status =
                    Status::Failed(format!("{before}{line}the model is not the processor: {what}"));
            } else if lacking > 0 && claim.status == Status::Proved {
                let why = self.lacking(processor).unwrap_or("this processor does not have them");
                claim.status =
                    Status::Conditional(format!("{lacking} encodings could not be compared: {why}"));
            }
        }
    }

    fn check(&mut self, processor: Processor, bytes: &[u8]) -> Outcome {
        match processor {
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Processor::X86_64(_) => self.x86_64.check(bytes),
            #[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
            Processor::X86_64(_) => Outcome::NotHere,
            Processor::Thumb(_) => self.thumb.check(bytes),
            Processor::Riscv(_) => self.riscv.check(bytes),
            Processor::Aarch64(_) => self.aarch64.check(bytes),
        }
    }

    /// Why nothing is compared.
    fn lacking(&self, processor: Processor) -> Option<&str> {
        match processor {
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Processor::X86_64(_) => self.x86_64.lacking(),
            #[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
            Processor::X86_64(_) => None,
            Processor::Thumb(_) => self.thumb.lacking(),
            Processor::Riscv(_) => self.riscv.lacking(),
            Processor::Aarch64(_) => self.aarch64.lacking(),
        }
    }

    /// What was compared.
    #[must_use]
    pub fn summary(&self) -> String {
        let mut summary = String::new();
        for (what, (all, lacking)) in [
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            ("of x86-64 were compared with this processor", self.x86_64.count()),
            ("of Thumb were compared with QEMU", self.thumb.count()),
            ("of RISC-V were compared with QEMU", self.riscv.count()),
            ("of aarch64 were compared with QEMU", self.aarch64.count()),
        ] {
            if all > 0 {
                let _ = writeln!(summary, "{} encodings {what}, {lacking} more could not be.", all - lacking);
            }
        }
        summary
    }
}

/// An instruction as text, with what stands before it if that makes it what it is.
fn named(processor: Processor, bytes: &[u8]) -> String {
    fn named<I: Isa>(isa: I, mut bytes: &[u8]) -> String {
        let mut text = String::new();
        while let Some((instruction, size)) = isa.decode(bytes, 0).filter(|_| !bytes.is_empty()) {
            let _ = write!(text, "{}{instruction}", if text.is_empty() { "" } else { "; " });
            bytes = &bytes[size..];
        }
        text
    }
    with_isa!(processor, isa => named(isa, bytes))
}

#[cfg(test)]
mod tests {
    use super::{
        Job, Subject, Target,
        blocks::context_size,
        mode::{AdProcessing, Interface, Selection},
        quoted,
    };
    use crate::elf::Image;
    use object::Architecture;

    #[test]
    fn contexts_are_as_large_as_the_header_has_them() {
        let header = include_str!("../../capi/include/twine-otr.h");
        let sizes = |name: &str| -> Vec<usize> {
            let lines = header.lines().filter_map(|line| line.strip_prefix(&format!("#define {name} ")));
            lines
                .map(|value| value.trim_matches(['(', ')']).rsplit(' ').next().unwrap().parse().unwrap())
                .collect()
        };
        let words = |image: &Image, interface| context_size(image, interface) / 8;
        let [x86_64, aarch64, arm, riscv] =
            [Architecture::X86_64, Architecture::Aarch64, Architecture::Arm, Architecture::Riscv32]
                .map(Image::empty);
        let mut compact = arm.clone();
        compact.symbols.insert("twine128_init_compact".to_owned(), (0, 0));
        // In the order of the header: vectors, other 64-bit processors, 32-bit ones, and compact keys.
        assert_eq!(
            sizes("TWINE_OTR_CTX_WORDS"),
            [words(&x86_64, None), 146, words(&arm, None), words(&compact, None)]
        );
        assert_eq!((words(&x86_64, None), words(&arm, None)), (words(&aarch64, None), words(&riscv, None)));
        for image in [x86_64, arm, compact] {
            let more = |interface| words(&image, Some(interface)) - words(&image, None);
            assert_eq!(more(Interface::Context), 0);
            assert_eq!(sizes("TWINE_OTR_SEALER_WORDS"), [more(Interface::Sealer)]);
            assert_eq!(sizes("TWINE_OTR_OPENER_WORDS"), [more(Interface::Opener)]);
        }
    }

    #[test]
    fn what_a_file_has_is_looked_at_and_nothing_else() {
        let mut image = Image::empty(Architecture::X86_64);
        for name in [
            "twine128_otr_init",
            "twine128_otr_open",
            "twine80_otr_seal",
            "twine80_decrypt_blocks",
            "twine80_init",
        ] {
            image.symbols.insert(name.to_owned(), (0, 0));
        }
        let subject = Subject::Messages(Interface::Context, AdProcessing::Parallel, Selection::Edges);
        let job = |subject, key_bits| Job { subject, target: Target::soft32(), key_bits, found_only: true };
        let messages = job(subject, 128);
        assert_eq!(messages.found_in(&image), ["twine128_otr_open", "twine128_otr_init"]);
        assert!(messages.claims(&image, "open") && !messages.claims(&image, "seal"));
        assert!(Job { found_only: false, ..messages }.claims(&image, "seal"));
        assert!(job(subject, 80).found_in(&image).is_empty(), "nothing sets up a key");
        assert_eq!(job(Subject::Blocks, 80).found_in(&image), ["twine80_decrypt_blocks", "twine80_init"]);
    }

    #[test]
    fn what_is_masked_is_looked_at_beside_the_others() {
        let names = |image: &Image| -> Vec<String> {
            Target::of(image).unwrap().into_iter().map(|target| target.name).collect()
        };
        let mut image = Image { arm: Some(13), ..Image::empty(Architecture::Arm) };
        let add = |name: &str, image: &mut Image| image.symbols.insert(name.to_owned(), (0, 0));
        assert_eq!(names(&image), ["thumbv7em"]);
        add("twine_masked_encrypt", &mut image);
        assert_eq!(names(&image), ["thumbv7em masked"]);
        add("twine_cipher_thumb_kernel_encrypt", &mut image);
        assert_eq!(names(&image), ["thumbv7em", "thumbv7em masked"]);

        let target = Target::of(&image).unwrap().pop().unwrap();
        let subject = Subject::Masked(Selection::Edges);
        let job = Job { subject, target, key_bits: 80, found_only: true };
        add("twine_masked_schedule_80", &mut image);
        add("twine80_masked_sealer_init", &mut image);
        add("twine80_masked_opener_init", &mut image);
        add("twine80_masked_opener_open", &mut image);
        let found = job.found_in(&image);
        let opener = ["twine80_masked_opener_init", "twine80_masked_opener_open"];
        assert_eq!(found, [&opener[..], &["twine_masked_schedule_80"]].concat(), "no sealer seals");
        assert!(Job { key_bits: 128, ..job }.found_in(&image).is_empty());
    }

    #[test]
    fn strings_are_quoted_for_json() {
        assert_eq!(quoted("a \"b\" \\ \n"), r#""a \"b\" \\ \u000a""#);
    }
}
