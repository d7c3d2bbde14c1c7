//! Code with a wrong bit is not proved, unless the bit makes no difference: some do not, such as the upper half of a vector where one
//! block is in the lower. What is proved nevertheless has to compute the same for known keys and blocks, and there are few.
//!
//! The library is the one that `cargo xtask prove` links, and `PROVE_ELF` names it.

use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic};
use prove::{
    bits,
    claims::blocks::{Direction, Keyed},
    elf::Image,
    graph::Random,
    isa::x86_64::{Level, Machine},
    memory::Rights,
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

/// Known keys and blocks for a mutant that is equal.
const KNOWN: usize = 16;

fn bytes<const N: usize>(random: &mut Random) -> [u8; N] {
    std::array::from_fn(|_| random.next() as u8)
}

/// The block under the key, set up by the right code and encrypted by the other.
fn run(right: &Image, other: &Arc<Image>, level: Level, key: &[u8; 16], block: &[u8; 8]) -> Vec<u8> {
    let mut m = Machine::new(Arc::new(right.clone()), level);
    for (name, address, size) in [("context", 0x1_0000, 1544), ("key", 0x2_0000, 16), ("block", 0x3_0000, 8)]
    {
        m.memory.allow(name, address, size, Rights::Write);
    }
    m.memory.set(0x2_0000, &bits::of_bytes(key));
    m.memory.set(0x3_0000, &bits::of_bytes(block));
    m.call(right.function("twine128_init").unwrap(), &[0x1_0000, 0x2_0000]).unwrap();
    m.replace_code(Arc::clone(other));
    m.call(right.function("twine128_encrypt_blocks").unwrap(), &[0x1_0000, 0x3_0000, 1]).unwrap();
    m.memory.known(0x3_0000, 8).unwrap()
}

#[test]
fn no_mutant_is_proved() {
    let path = env::var("PROVE_ELF").expect("`cargo xtask prove` sets PROVE_ELF");
    let image = Image::read(Path::new(&path)).unwrap();
    let mut random = Random::new(3);
    for (name, level) in Level::ALL {
        let keyed = || Keyed::new(&Arc::new(image.clone()), level, 128, "").unwrap();
        let mut subject = keyed();
        let set_up = subject.machine.computing.clone();
        assert!(subject.check(Direction::Encrypt, 1).unwrap(), "{name}");
        let addresses: Vec<u64> = subject.machine.computing.difference(&set_up).copied().collect();
        assert!(addresses.len() > 1, "{name}");
        let (mut differ, mut fault, mut equal) = (0, 0, 0);
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
            let mutant = Arc::new(mutant);
            subject.machine.replace_code(Arc::clone(&mutant));
            match subject.check(Direction::Encrypt, 1) {
                Ok(true) => {
                    equal += 1;
                    for _ in 0..KNOWN {
                        let (key, block) = (bytes::<16>(&mut random), bytes::<8>(&mut random));
                        assert_eq!(
                            run(&image, &mutant, level, &key, &block),
                            run(&image, &Arc::new(image.clone()), level, &key, &block),
                            "{name}: bit {bit} at {address:#x} is proved"
                        );
                    }
                }
                Ok(false) => differ += 1,
                Err(_) => fault += 1,
            }
        }
        println!(
            "{name}: of {MUTANTS} mutants {differ} compute something else, {fault} stop the proof, {equal} are equal"
        );
        assert!(differ > 0 && fault > 0 && equal <= MUTANTS / 6, "{name}");
    }
}
