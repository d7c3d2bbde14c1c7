//! The mode on ciphers of widths of their own, whatever backend is behind them: a program of its own, as it takes long to compile and need
//! not be tested with each backend.

#[path = "widths/ahead.rs"]
mod ahead;
#[path = "widths/model.rs"]
mod model;
