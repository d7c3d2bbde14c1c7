//! Code with a wrong bit is not proved, unless the bit makes no difference: some do not, such as the upper half of a vector where one
//! block is in the lower. What is proved nevertheless has to compute the same for known inputs, and there are few.
//!
//! The library is the one that `cargo xtask prove` links, and `PROVE_ELF` names it. `PROVE_MUTANTS` is how many are made of each
//! backend's kernel and mode.

use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic};
use prove::{
    bits,
    claims::{
        Job, Subject,
        blocks::{self, Keyed},
        mode::{self, Lengths, Messages, Selection},
    },
    elf::Image,
    graph::Random,
    isa::x86_64::{Level, Machine},
    memory::Rights,
};
use std::{collections::BTreeSet, env, path::Path, sync::Arc, thread};

fn decode(code: &[u8]) -> Instruction {
    Decoder::new(64, code, DecoderOptions::NONE).decode()
}

/// The instruction as text, where moves and logic of single and double precision are the same.
fn meaning(code: &[u8]) -> (usize, String) {
    let instruction = decode(code);
    (instruction.len(), instruction.to_string().replacen("pd ", "ps ", 1))
}

/// Known inputs for a mutant that is equal.
const KNOWN: usize = 16;

/// A message whose chunks and data are of every sort but full last blocks.
const LENGTHS: Lengths = Lengths { text: 27, ad: 11 };

fn image() -> Image {
    let path = env::var("PROVE_ELF").expect("`cargo xtask prove` sets PROVE_ELF");
    Image::read(Path::new(&path)).unwrap()
}

fn mutants() -> usize {
    env::var("PROVE_MUTANTS").map_or(24, |count| count.parse().expect("a number"))
}

fn bytes(random: &mut Random, count: usize) -> Vec<u8> {
    (0..count).map(|_| random.next() as u8).collect()
}

/// A mutant of one of the instructions, and what is wrong with it.
fn mutate(image: &Image, addresses: &[u64], random: &mut Random) -> (Arc<Image>, String) {
    loop {
        let instruction = addresses[random.below(addresses.len())];
        let code = image.code(instruction, 15).expect("it was executed");
        let (address, bit) = (instruction + random.below(decode(code).len()) as u64, random.below(8) as u32);
        let mut mutant = image.clone();
        mutant.flip(address, bit);
        // Some bits of encodings have no meaning, nor have entries of a table for bits that never occur together: where
        // a mask is applied to what is masked already, say.
        let changed = mutant.code(instruction, 15).expect("it is code");
        let is_table = matches!(decode(code).mnemonic(), Mnemonic::Vpternlogd | Mnemonic::Vpternlogq)
            && address + 1 == instruction + decode(code).len() as u64;
        if !is_table && meaning(code) != meaning(changed) {
            let what = format!("bit {bit} at {address:#x}: {} for {}", decode(changed), decode(code));
            return (Arc::new(mutant), what);
        }
    }
}

/// What became of mutants.
#[derive(Default)]
struct Count {
    differ: usize,
    fault: usize,
    equal: usize,
}

/// Two calls of the C interface with known inputs, the second by the other code. Returns what is in the regions afterwards, of which
/// the first is the key.
fn run(
    images: [&Arc<Image>; 2],
    level: Level,
    functions: [&str; 2],
    regions: &[(u64, Vec<u8>)],
    arguments: &[u64],
) -> Vec<Option<Vec<u8>>> {
    const CONTEXT: u64 = 0x1_0000;
    let [right, other] = images;
    let mut m = Machine::new(Arc::clone(right), level);
    m.memory.allow("context", CONTEXT, 1544, Rights::Write);
    for (at, bytes) in regions {
        m.memory.allow("region", *at, bytes.len(), Rights::Write);
        m.memory.set(*at, &bits::of_bytes(bytes));
    }
    m.call(right.function(functions[0]).unwrap(), &[CONTEXT, regions[0].0]).unwrap();
    m.replace_code(Arc::clone(other));
    let arguments: Vec<u64> = [CONTEXT].iter().chain(arguments).copied().collect();
    m.call(right.function(functions[1]).unwrap(), &arguments).unwrap();
    regions.iter().map(|(at, bytes)| m.memory.known(*at, bytes.len())).collect()
}

fn kernel(image: &Arc<Image>, name: &str, level: Level) -> Count {
    let mut random = Random::new(3);
    let keyed = || Keyed::new(image, level, 128, "").unwrap();
    let mut subject = keyed();
    let set_up = subject.machine.computing.clone();
    assert!(subject.check(blocks::Direction::Encrypt, 1).unwrap(), "{name}");
    let addresses: Vec<u64> = subject.machine.computing.difference(&set_up).copied().collect();
    assert!(addresses.len() > 1, "{name}");
    let mut count = Count::default();
    for _ in 0..mutants() {
        let (mutant, what) = mutate(image, &addresses, &mut random);
        let mut subject = keyed();
        subject.machine.limit = 20_000;
        subject.machine.replace_code(Arc::clone(&mutant));
        match subject.check(blocks::Direction::Encrypt, 1) {
            Ok(true) => {
                count.equal += 1;
                for _ in 0..KNOWN {
                    let regions = [(0x2_0000, bytes(&mut random, 16)), (0x3_0000, bytes(&mut random, 8))];
                    let functions = ["twine128_init", "twine128_encrypt_blocks"];
                    let [right, wrong] = [image, &mutant]
                        .map(|code| run([image, code], level, functions, &regions, &[0x3_0000, 1]));
                    assert_eq!(right, wrong, "{name}: {what} is proved");
                }
            }
            Ok(false) => count.differ += 1,
            Err(_) => count.fault += 1,
        }
    }
    count
}

fn mode(image: &Arc<Image>, name: &'static str, level: Level) -> Count {
    let mut random = Random::new(4);
    let job = Job { subject: Subject::Messages(Selection::Edges), backend: name, level, key_bits: 128 };
    let mut messages = Messages::new(image, &job).unwrap();
    let set_up: BTreeSet<u64> = messages.machine.computing.clone();
    assert!(messages.check(mode::Direction::Seal, LENGTHS).unwrap(), "{name}");
    let addresses: Vec<u64> = messages.machine.computing.difference(&set_up).copied().collect();
    assert!(addresses.len() > 1, "{name}");
    messages.machine.limit = 20_000;
    let mut count = Count::default();
    for _ in 0..mutants() {
        let (mutant, what) = mutate(image, &addresses, &mut random);
        messages.machine.replace_code(Arc::clone(&mutant));
        match messages.check(mode::Direction::Seal, LENGTHS) {
            Ok(true) => {
                count.equal += 1;
                for _ in 0..KNOWN {
                    let regions: Vec<(u64, Vec<u8>)> = [16, 7, LENGTHS.ad, LENGTHS.text, 8]
                        .into_iter()
                        .enumerate()
                        .map(|(i, size)| (0x2_0000 + 0x1_0000 * i as u64, bytes(&mut random, size)))
                        .collect();
                    let [ad, text] = [LENGTHS.ad, LENGTHS.text].map(|length| length as u64);
                    let arguments = [0x3_0000, 0x4_0000, ad, 0x5_0000, text, 0x6_0000];
                    let functions = ["twine128_otr_init", "twine128_otr_seal"];
                    let [right, wrong] = [image, &mutant]
                        .map(|code| run([image, code], level, functions, &regions, &arguments));
                    assert_eq!(right, wrong, "{name}: {what} is proved");
                }
            }
            Ok(false) => count.differ += 1,
            Err(_) => count.fault += 1,
        }
        messages.machine.replace_code(Arc::clone(image));
    }
    assert!(messages.check(mode::Direction::Seal, LENGTHS).unwrap(), "{name}, after the mutants");
    count
}

/// Makes the mutants of all backends, on two threads.
fn all(what: &str, of: impl Fn(&Arc<Image>, &'static str, Level) -> Count + Sync) {
    let image = Arc::new(image());
    let report = |(name, level): (&'static str, Level)| {
        let Count { differ, fault, equal } = of(&image, name, level);
        println!(
            "{name}: of {} mutants of the {what} {differ} compute something else, {fault} stop the proof, {equal} are equal",
            mutants()
        );
        assert!(differ > 0 && fault > 0 && equal <= mutants() / 6, "{name}");
    };
    let (first, second) = Level::ALL.split_at(2);
    thread::scope(|scope| {
        for half in [first, second] {
            scope.spawn(|| half.iter().copied().for_each(report));
        }
    });
}

#[test]
fn no_mutant_of_a_kernel_is_proved() {
    all("kernel", kernel);
}

#[test]
fn no_mutant_of_the_mode_is_proved() {
    all("mode", mode);
}
