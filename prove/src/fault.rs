//! Why a proof stops. Nothing of this is ever skipped.

use std::fmt;

/// What was met that ends the execution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Control flow, an address or an amount of shift that depends on an input.
    Secret(&'static str),
    /// The same of what nobody has written, or something was computed from it.
    Unset(&'static str),
    /// Bytes that are no instruction.
    Undecodable,
    /// An instruction that is not in the table.
    Unknown(String),
    /// An address outside of all regions, or one that must not be written.
    Access {
        /// The first byte.
        address: u64,
        /// Bytes.
        size: usize,
        /// Whether it was to be written.
        write: bool,
    },
    /// An access to the stack below what the ABI keeps from being overwritten, by so many bytes.
    BelowStack(u64),
    /// An access where the processor wants another address.
    Alignment {
        /// The first byte.
        address: u64,
        /// What it must be a multiple of.
        size: usize,
    },
    /// A jump to where there is no code.
    NoCode(u64),
    /// A call of a function that is not in the file.
    Missing(String),
    /// More instructions than the claim allows.
    TooLong,
    /// What is not as the claim's ABI has it.
    Abi(String),
    /// The fault at an instruction.
    At {
        /// The instruction's.
        address: u64,
        /// The instruction.
        instruction: String,
        /// The fault.
        fault: Box<Fault>,
    },
}

impl Fault {
    /// The fault, and where.
    #[must_use]
    pub fn at(self, address: u64, instruction: String) -> Self {
        Self::At { address, instruction, fault: Box::new(self) }
    }

    /// The fault alone.
    #[must_use]
    pub fn kind(&self) -> &Self {
        match self {
            Self::At { fault, .. } => fault.kind(),
            other => other,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret(what) => write!(f, "{what} depends on a secret"),
            Self::Unset(what) => write!(f, "{what} depends on memory or a register that was not written"),
            Self::Undecodable => write!(f, "not an instruction"),
            Self::Unknown(what) => write!(f, "the instruction {what} is not modelled"),
            Self::Access { address, size, write } => {
                let what = if *write { "written" } else { "read" };
                write!(f, "{size} bytes at {address:#x} are {what}, which are not the function's")
            }
            Self::BelowStack(below) => {
                write!(f, "an access to the stack, {below} B below what interrupts leave alone")
            }
            Self::Alignment { address, size } => {
                write!(f, "an access to {address:#x}, which is no multiple of {size}")
            }
            Self::NoCode(address) => write!(f, "a jump to {address:#x}, where there is no code"),
            Self::Missing(name) => write!(f, "a call of {name}, which is not in the file"),
            Self::TooLong => write!(f, "it takes too many instructions"),
            Self::Abi(what) => write!(f, "{what}"),
            Self::At { address, instruction, fault } => write!(f, "{fault}, at {address:#x}: {instruction}"),
        }
    }
}

impl std::error::Error for Fault {}
