//! Proves, for all inputs, that compiled code computes TWINE and OTR.
//!
//! A compiled function is executed one instruction at a time on bits that are nodes of a graph of XOR and AND
//! ([`graph`]); what does not depend on inputs stays a number, so that its path is that of a processor. What the papers say is built in the same
//! graph before ([`spec`]), and nodes that are the same function become one node, after exhaustive evaluation (`merge`). If
//! the outputs of both are the same nodes, the function computes what the papers say.
//!
//! | module | what it holds |
//! |---|---|
//! | [`graph`] | bits as a graph in which equal functions become one node |
//! | `merge` | whether two nodes are equal |
//! | [`bits`] | words of bits |
//! | [`memory`] | memory in regions |
//! | [`elf`] | linked programs |
//! | [`machine`] | calls of functions, from one instruction to the next |
//! | [`isa`] | what instructions do, and whether processors do the same |
//! | [`spec`] | TWINE and OTR, from the papers |
//! | [`claims`] | what is proved |
//! | [`shares`] | values in two shares |
//! | [`fault`] | why a proof stops |

pub mod bits;
pub mod claims;
pub mod elf;
pub mod fault;
pub mod graph;
pub mod isa;
pub mod machine;
pub mod memory;
mod merge;
pub mod shares;
pub mod spec;
