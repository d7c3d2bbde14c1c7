//! What is proved.

pub mod blocks;
