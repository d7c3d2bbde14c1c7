//! Operations with many secrets, and deliberate leaks, for the plugin to trace.
#![no_std]
#![no_main]

firmware::image!(firmware::constant_time);
