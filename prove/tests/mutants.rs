//! Code with a wrong bit is not proved.
//!
//! The library is the one that `cargo xtask prove` links, and `PROVE_ELF` names it.

use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic};
use prove::{
    claims::blocks::{Direction, Keyed},
    elf::Image,
    graph::Random,
    isa::x86_64::Level,
};
use std::{env, path::Path, sync::Arc};

fn decode(code: &[u8]) -> Instruction {
    Decoder::new(64, code, DecoderOptions::NONE).decode()
}

/// The instruction as text, where moves and logic of single and double precision are the same.
fn meaning(code: &[u8]) -> (usize, String) {
    let instruction = decode(code);
    (instruction.len(), instruction.to_string().replacen("pd ", "ps ", 1))
}

/// Of each backend.
const MUTANTS: usize = 24;

#[test]
fn no_mutant_is_proved() {
    let path = env::var("PROVE_ELF").expect("`cargo xtask prove` sets PROVE_ELF");
    let image = Image::read(Path::new(&path)).unwrap();
    let mut random = Random::new(3);
    for (name, level) in Level::ALL {
        let keyed = || Keyed::new(&Arc::new(image.clone()), level, 128).unwrap();
        let mut subject = keyed();
        let set_up = subject.machine.computing.clone();
        assert!(subject.check(Direction::Encrypt, 1).unwrap(), "{name}");
        let addresses: Vec<u64> = subject.machine.computing.difference(&set_up).copied().collect();
        assert!(addresses.len() > 1, "{name}");
        let (mut differ, mut fault) = (0, 0);
        for _ in 0..MUTANTS {
            let (address, bit, mutant) = loop {
                let instruction = addresses[random.below(addresses.len())];
                let code = image.code(instruction, 15).expect("it was executed");
                let (address, bit) =
                    (instruction + random.below(decode(code).len()) as u64, random.below(8) as u32);
                let mut mutant = image.clone();
                mutant.flip(address, bit);
                // Some bits of encodings have no meaning, nor have entries of a table for bits that never occur together: where
                // a mask is applied to what is masked already, say.
                let changed = mutant.code(instruction, 15).expect("it is code");
                let is_table = matches!(decode(code).mnemonic(), Mnemonic::Vpternlogd | Mnemonic::Vpternlogq)
                    && address + 1 == instruction + decode(code).len() as u64;
                if !is_table && meaning(code) != meaning(changed) {
                    break (address, bit, mutant);
                }
            };
            let mut subject = keyed();
            subject.machine.limit = 20_000;
            subject.machine.replace_code(Arc::new(mutant));
            match subject.check(Direction::Encrypt, 1) {
                Ok(true) => panic!("{name}: bit {bit} at {address:#x} makes no difference"),
                Ok(false) => differ += 1,
                Err(_) => fault += 1,
            }
        }
        println!("{name}: of {MUTANTS} mutants {differ} compute something else, {fault} stop the proof");
        assert!(differ > 0 && fault > 0, "{name}");
    }
}
