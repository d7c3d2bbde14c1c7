//! The firmware in QEMU: its life, what it refuses, what measuring takes, and how it comes back when power fails.

mod attacks;
mod bridge;
mod cost;
mod device;
mod epochs;
mod frames;
mod life;
mod power;
mod provision;
mod supervision;
mod template;
