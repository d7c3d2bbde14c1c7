//! The processors: what each instruction does to registers, flags and memory.
//!
//! An instruction set has one table of the instructions that it knows. What is not there stops a proof; what is there is compared
//! with a processor, in the very encodings that a proof met, before the proof counts.

pub mod x86_64;
