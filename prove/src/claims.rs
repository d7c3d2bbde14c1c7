//! What is proved, and how it is told.

pub mod blocks;
pub mod mode;

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
use crate::isa::x86_64::compare::Comparison;
use crate::{
    elf::Image,
    isa::x86_64::{Level, table::Outcome},
};
use anyhow::Result;
use iced_x86::Instruction;
use std::{collections::BTreeSet, fmt::Write as _, sync::Arc, time::Instant};

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

/// The backend that has to be forced on x86-64.
const SOFT32: &str = "soft32";

/// What claims are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The block cipher.
    Blocks,
    /// The mode, with messages of these lengths.
    Messages(mode::Selection),
}

/// Claims that share a key: one machine.
#[derive(Clone, Copy, Debug)]
pub struct Job {
    /// What is proved.
    pub subject: Subject,
    /// The backend's name.
    pub backend: &'static str,
    /// The CPU on which it runs.
    pub level: Level,
    /// The size of the key.
    pub key_bits: usize,
}

/// What a job found.
#[derive(Debug)]
pub struct Found {
    /// Its claims, which do not count before their instructions are compared.
    pub claims: Vec<Claim>,
    /// All instructions that it executed, with their bytes.
    pub instructions: Vec<(Instruction, Vec<u8>)>,
}

impl Job {
    /// All jobs of a library that chooses the backend by what the CPU has, the longest first.
    #[must_use]
    pub fn all(selection: mode::Selection) -> Vec<Self> {
        Self::of(&mut Level::ALL.into_iter().rev(), selection)
    }

    /// All jobs of a library with the backend `soft32`.
    #[must_use]
    pub fn soft32(selection: mode::Selection) -> Vec<Self> {
        Self::of(&mut [(SOFT32, Level::Base)].into_iter(), selection)
    }

    fn of(
        backends: &mut dyn Iterator<Item = (&'static str, Level)>,
        selection: mode::Selection,
    ) -> Vec<Self> {
        let mut jobs = Vec::new();
        for (backend, level) in backends {
            for subject in [Subject::Messages(selection), Subject::Blocks] {
                for key_bits in [128, 80] {
                    jobs.push(Self { subject, backend, level, key_bits });
                }
            }
        }
        jobs
    }

    /// Whether the image has the functions.
    #[must_use]
    pub fn is_in(&self, image: &Image) -> bool {
        match self.subject {
            Subject::Blocks => image.has(&format!("twine{}_init", self.key_bits)),
            Subject::Messages(_) => image.has(&format!("twine{}_otr_init", self.key_bits)),
        }
    }

    /// The target, as claims have it.
    #[must_use]
    pub fn target(&self) -> String {
        format!("x86-64 {}", self.backend)
    }

    /// How many blocks the backend takes at once.
    fn batch(&self) -> usize {
        match self.level {
            Level::Base if self.backend == SOFT32 => 4,
            Level::Base => 8,
            Level::Ssse3 => 16,
            Level::Avx2 => 32,
            Level::Avx512 => 64,
        }
    }

    /// Proves what it can.
    #[must_use]
    pub fn run(&self, image: &Arc<Image>) -> Found {
        match self.subject {
            Subject::Blocks => blocks::run(self, image),
            Subject::Messages(selection) => mode::run(self, image, selection),
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
            target: self.target(),
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
            target: self.target(),
            claim: format!("TWINE-{}: key set-up", self.key_bits),
            status: Status::Failed(format!("{fault:#}")),
            instructions: 0,
            stack: 0,
            seconds: 0.0,
        };
        Found { claims: vec![claim], instructions: Vec::new() }
    }
}

/// Compares the instructions of proofs with this processor, where it is of that kind.
#[derive(Debug, Default)]
pub struct Comparer {
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    comparison: Comparison,
}

impl Comparer {
    /// Without anything compared.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lowers claims whose instructions differ, or cannot be compared here.
    pub fn lower(&mut self, found: &mut Found) {
        let (mut lacking, mut differing) = (BTreeSet::new(), None);
        for (instruction, bytes) in &found.instructions {
            match self.check(instruction, bytes) {
                Outcome::Same | Outcome::Modelled => {}
                Outcome::NotHere => {
                    lacking.insert(bytes);
                }
                Outcome::Different(what) => differing = Some(format!("{instruction}: {what}")),
            }
        }
        for claim in &mut found.claims {
            if claim.status != Status::Proved {
                continue;
            }
            if let Some(what) = &differing {
                claim.status = Status::Failed(format!("the model is not this processor: {what}"));
            } else if !lacking.is_empty() {
                claim.status = Status::Conditional(format!(
                    "{} encodings could not be compared, as this processor does not have them",
                    lacking.len()
                ));
            }
        }
    }

    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    fn check(&mut self, instruction: &Instruction, bytes: &[u8]) -> Outcome {
        self.comparison.check(instruction, bytes)
    }

    #[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
    fn check(&mut self, _: &Instruction, _: &[u8]) -> Outcome {
        Outcome::NotHere
    }

    /// What was compared.
    #[must_use]
    pub fn summary(&self) -> String {
        #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
        let (all, lacking) = self.comparison.count();
        #[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
        let (all, lacking) = (0, 0);
        format!(
            "{} encodings of instructions were compared with this processor, {lacking} more it lacks.",
            all - lacking
        )
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn strings_are_quoted_for_json() {
        assert_eq!(quoted("a \"b\" \\ \n"), r#""a \"b\" \\ \u000a""#);
    }
}
