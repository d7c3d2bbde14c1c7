//! Known answers of TWINE, and of OTR over it.
#![no_std]
#![no_main]

firmware::image!(firmware::twine);
