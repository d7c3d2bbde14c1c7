//! Code with a wrong bit is not proved, unless the bit makes no difference: some do not, such as the upper half of a vector where one
//! block is in the lower. What is proved nevertheless has to compute the same for known inputs, and there are few.
//!
//! The libraries are those that `cargo xtask prove` links, and `PROVE_ELVES` and `PROVE_MASKED` name them. `PROVE_MUTANTS` is how many are made of
//! each backend's kernel and mode.

mod common;
#[path = "common/masked.rs"]
mod common_masked;

use common::libraries;
use common_masked::masked_libraries;
use prove::{
    bits,
    claims::{
        Target,
        blocks::{self, CONTEXT, Keyed, context_size},
        masked::{ENCRYPT, Masked, REFRESH, schedule},
        mode::{self, AdProcessing, Interface, Lengths, Messages},
    },
    elf::Image,
    graph::Random,
    isa::{Isa, thumb::Core},
    machine::Machine,
    memory::Rights,
    with_isa,
};
use std::{collections::BTreeSet, env, sync::Arc, sync::Mutex, thread};

/// The instruction as text, where moves and logic of single and double precision are the same, and its size.
fn meaning<I: Isa>(isa: I, code: &[u8]) -> (usize, String) {
    match isa.decode(code, 0) {
        Some((instruction, size)) => (size, instruction.to_string().replacen("pd ", "ps ", 1)),
        None => (1, "no instruction".to_owned()),
    }
}

/// Where regions with known inputs are.
const FIRST: u64 = CONTEXT + STEP;
const STEP: u64 = 0x1_0000;

/// Known inputs for a mutant that is equal.
const KNOWN: usize = 16;

/// A message whose chunks and data are of every sort but full last blocks.
const LENGTHS: Lengths = Lengths { text: 27, ad: 11 };

fn mutants() -> usize {
    env::var("PROVE_MUTANTS").map_or(24, |count| count.parse().expect("a number"))
}

fn bytes(random: &mut Random, count: usize) -> Vec<u8> {
    (0..count).map(|_| random.next() as u8).collect()
}

/// A mutant of one of the instructions, and what is wrong with it.
fn mutate<I: Isa>(image: &Image, isa: I, addresses: &[u64], random: &mut Random) -> (Arc<Image>, String) {
    loop {
        let instruction = addresses[random.below(addresses.len())];
        let (size, before) = meaning(isa, image.code(instruction, 15).expect("it was executed"));
        let (address, bit) = (instruction + random.below(size) as u64, random.below(8) as u32);
        let mut mutant = image.clone();
        mutant.flip(address, bit);
        // Some bits of encodings have no meaning, nor have entries of a table for bits that never occur together: where
        // a mask is applied to what is masked already, say.
        let after = meaning(isa, mutant.code(instruction, 15).expect("it is code"));
        let is_table = before.starts_with("vpternlog") && address + 1 == instruction + size as u64;
        if !is_table && (size, &before) != (after.0, &after.1) {
            let what = format!("bit {bit} at {address:#x}: {} for {before}", after.1);
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

/// Two calls of the C interface with known inputs, the second by the other code. Returns what is in the regions and in the context
/// afterwards. The arguments are those after the context.
fn run<I: Isa>(
    images: [&Arc<Image>; 2],
    isa: I,
    functions: [&str; 2],
    regions: &[(u64, Vec<u8>)],
    arguments: [&[u64]; 2],
) -> Vec<Option<Vec<u8>>> {
    let [right, other] = images;
    let mut m = Machine::new(Arc::clone(right), isa);
    let size = context_size(right, Some(Interface::Sealer));
    m.memory.allow("context", CONTEXT, size, Rights::Write);
    let [init, arguments] = arguments.map(|arguments| [&[CONTEXT], arguments].concat());
    for (at, bytes) in regions {
        m.memory.allow("region", *at, bytes.len(), Rights::Write);
        m.memory.set(*at, &bits::of_bytes(bytes));
    }
    m.call(right.set_up(functions[0]).unwrap(), &init).unwrap();
    m.replace_code(Arc::clone(other));
    m.call(right.function(functions[1]).unwrap(), &arguments).unwrap();
    let context = (0..size as u64).map(|at| m.memory.known(CONTEXT + at, 1));
    regions.iter().map(|(at, bytes)| m.memory.known(*at, bytes.len())).chain(context).collect()
}

fn kernel<I: Isa>(image: &Arc<Image>, isa: I, name: &str) -> Count {
    let mut random = Random::new(3);
    let keyed = || Keyed::new(image, isa, 128, None).unwrap();
    let mut subject = keyed();
    let set_up = subject.machine.computing.clone();
    assert!(subject.check(blocks::Direction::Encrypt, 1).unwrap(), "{name}");
    let addresses: Vec<u64> = subject.machine.computing.difference(&set_up).copied().collect();
    assert!(addresses.len() > 1, "{name}");
    let mut count = Count::default();
    for _ in 0..mutants() {
        let (mutant, what) = mutate(image, isa, &addresses, &mut random);
        let mut subject = keyed();
        subject.machine.limit = 20_000;
        subject.machine.replace_code(Arc::clone(&mutant));
        match subject.check(blocks::Direction::Encrypt, 1) {
            Ok(true) => {
                count.equal += 1;
                for _ in 0..KNOWN {
                    let regions = [(FIRST, bytes(&mut random, 16)), (FIRST + STEP, bytes(&mut random, 8))];
                    let functions = ["twine128_init", "twine128_encrypt_blocks"];
                    let [right, wrong] = [image, &mutant].map(|code| {
                        run([image, code], isa, functions, &regions, [&[FIRST], &[FIRST + STEP, 1]])
                    });
                    assert_eq!(right, wrong, "{name}: {what} is proved");
                }
            }
            Ok(false) => count.differ += 1,
            Err(_) => count.fault += 1,
        }
    }
    count
}

fn mode<I: Isa>(image: &Arc<Image>, isa: I, name: &str, interface: Interface) -> Count {
    let mut random = Random::new(4);
    let mut messages = Messages::new(image, isa, 128, interface, AdProcessing::Parallel).unwrap();
    let set_up = std::mem::take(&mut messages.machine.computing);
    assert!(messages.check(mode::Direction::Seal, LENGTHS).unwrap(), "{name}");
    let seal = &messages.machine.computing;
    // A sealer was used before, to find where its counts are.
    let used_before = if interface == Interface::Sealer { BTreeSet::new() } else { set_up };
    let addresses: Vec<u64> = seal.difference(&used_before).copied().collect();
    assert!(addresses.len() > 1, "{name}");
    messages.machine.limit = 20_000;
    let mut count = Count::default();
    for _ in 0..mutants() {
        let (mutant, what) = mutate(image, isa, &addresses, &mut random);
        if interface == Interface::Sealer {
            // The mutant before has left it in any state.
            messages.restart().unwrap();
        }
        messages.machine.replace_code(Arc::clone(&mutant));
        match messages.check(mode::Direction::Seal, LENGTHS) {
            Ok(true) => {
                count.equal += 1;
                for _ in 0..KNOWN {
                    let regions: Vec<(u64, Vec<u8>)> = [16, 7, LENGTHS.ad, LENGTHS.text, 8, 4]
                        .into_iter()
                        .enumerate()
                        .map(|(i, size)| (FIRST + STEP * i as u64, bytes(&mut random, size)))
                        .collect();
                    let [ad, text] = [LENGTHS.ad, LENGTHS.text].map(|length| length as u64);
                    let [key, nonce, data, buffer, tag, fixed] = [0, 1, 2, 3, 4, 5].map(|i| FIRST + STEP * i);
                    let (functions, arguments): (_, [&[u64]; 2]) = match interface {
                        Interface::Sealer => (
                            ["twine128_sealer_init", "twine128_sealer_seal"],
                            [&[key, fixed, 1 << 20], &[data, ad, buffer, text, nonce, tag]],
                        ),
                        _ => (
                            ["twine128_otr_init", "twine128_otr_seal"],
                            [&[key], &[nonce, data, ad, buffer, text, tag]],
                        ),
                    };
                    let [right, wrong] =
                        [image, &mutant].map(|code| run([image, code], isa, functions, &regions, arguments));
                    assert_eq!(right, wrong, "{name}: {what} is proved");
                }
            }
            Ok(false) => count.differ += 1,
            Err(_) => count.fault += 1,
        }
        messages.machine.replace_code(Arc::clone(image));
    }
    if interface == Interface::Sealer {
        messages.restart().unwrap();
    }
    assert!(messages.check(mode::Direction::Seal, LENGTHS).unwrap(), "{name}, after the mutants");
    count
}

/// Makes the mutants of all backends, on two threads.
fn all(what: &str, of: impl Fn(&Arc<Image>, &Target) -> Count + Sync) {
    let left = Mutex::new(libraries());
    let next = || left.lock().ok().and_then(|mut left| left.pop());
    let work = || {
        while let Some((image, target)) = next() {
            let (Count { differ, fault, equal }, name) = (of(&image, &target), &target.name);
            println!(
                "{name}: of {} mutants of the {what} {differ} compute something else, {fault} stop the proof, {equal} are equal",
                mutants()
            );
            assert!(differ > 0 && fault > 0 && equal <= mutants() / 6, "{name}");
        }
    };
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(work);
        }
    });
}

#[test]
fn no_mutant_of_a_kernel_is_proved() {
    all("kernel", |image, target| with_isa!(target.processor, isa => kernel(image, isa, &target.name)));
}

#[test]
fn no_mutant_of_the_mode_is_proved() {
    all(
        "mode",
        |image, target| with_isa!(target.processor, isa => mode(image, isa, &target.name, Interface::Context)),
    );
}

#[test]
fn no_mutant_of_a_sealer_is_proved() {
    all(
        "sealer",
        |image, target| with_isa!(target.processor, isa => mode(image, isa, &target.name, Interface::Sealer)),
    );
}

/// Where known inputs of masked kernels are: a key with both shares, masks, round keys and blocks, with their sizes.
const SHARES: [(u64, usize); 4] =
    [(0xa000_0000, 32), (0xa001_0000, 16), (0xa002_0000, 1152), (0xa003_0000, 64)];

/// What the kernels make of known inputs, one after the other, with so many new masks.
fn run_masked(
    image: &Arc<Image>,
    core: Core,
    key_bits: usize,
    inputs: &[Vec<u8>],
    refreshes: usize,
) -> Vec<u8> {
    let mut m = Machine::new(Arc::clone(image), core);
    for ((at, size), bytes) in SHARES.into_iter().zip(inputs) {
        m.memory.allow("region", at, size, Rights::Write);
        m.memory.set(at, &bits::of_bytes(bytes));
    }
    let [key, masks, round_keys, blocks] = SHARES.map(|(at, _)| at);
    let constants = Masked::<Core>::constants(image).unwrap();
    let kernel = |name: &str| image.function(name).unwrap();
    m.call(kernel(&schedule(key_bits)), &[round_keys, key, constants]).unwrap();
    for _ in 0..refreshes {
        m.call(kernel(REFRESH), &[round_keys, masks]).unwrap();
    }
    m.call(kernel(ENCRYPT), &[round_keys, blocks]).unwrap();
    let blocks = m.memory.known(SHARES[3].0, SHARES[3].1).unwrap();
    blocks[..32].iter().zip(&blocks[32..]).map(|(a, b)| a ^ b).collect()
}

/// All that is claimed of the kernels.
fn check_masked(masked: &mut Masked<Core>) -> anyhow::Result<bool> {
    Ok(masked.schedule()? && masked.refresh()? && masked.encrypt()?)
}

/// Mutants of any instruction that the kernels execute. Those that only erase a register or load what is not used, so that words do not meet
/// there, may be others without any difference in the results. So more of these mutants are rightly proved.
fn masked_kernels(image: &Arc<Image>, core: Core, name: &str, key_bits: usize) {
    let name = format!("{name}, TWINE-{key_bits}");
    let mut random = Random::new(5);
    let mut masked = Masked::new(image, core, key_bits);
    let steps = [Masked::schedule as fn(&mut _) -> _, Masked::refresh, Masked::encrypt];
    let addresses = steps.map(|step| {
        let before = masked.machine.addresses();
        assert!(step(&mut masked).unwrap(), "{name}");
        masked.machine.addresses().difference(&before).copied().collect::<Vec<u64>>()
    });
    masked.machine.limit = 20_000;
    let (mut differ, mut fault, mut equal) = (0, 0, 0);
    for n in 0..mutants() {
        let (mutant, what) = mutate(image, core, &addresses[n % steps.len()], &mut random);
        masked.machine.replace_code(Arc::clone(&mutant));
        match check_masked(&mut masked) {
            Ok(true) => {
                equal += 1;
                for known in 0..KNOWN {
                    let inputs = SHARES.map(|(_, size)| bytes(&mut random, size));
                    let [right, wrong] =
                        [image, &mutant].map(|code| run_masked(code, core, key_bits, &inputs, known % 3));
                    assert_eq!(right, wrong, "{name}: {what} is proved");
                }
            }
            Ok(false) => differ += 1,
            Err(_) => fault += 1,
        }
    }
    println!(
        "{name}: of {} mutants of the masked kernels {differ} compute something else, {fault} stop the proof, {equal} are equal",
        mutants()
    );
    assert!(differ > 0 && fault > 0 && equal <= mutants() / 3, "{name}");
    masked.machine.replace_code(Arc::clone(image));
    assert!(check_masked(&mut masked).unwrap(), "{name}, after the mutants");
}

#[test]
fn no_mutant_of_a_masked_kernel_is_proved() {
    for (image, core, name) in masked_libraries() {
        for key_bits in [128, 80] {
            masked_kernels(&image, core, &name, key_bits);
        }
    }
}
