//! Known answers of OTR over AES.
#![no_std]
#![no_main]

firmware::image!(firmware::aes);
