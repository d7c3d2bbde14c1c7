//! Tables of a real image: this test's own.

use std::{env, fs, process::Command};

use smart_city_allowed_values::{Function, Leaves, functions, regions, regions_with_calls, table};
use smart_city_detector::{AllowedValues, AttestKey, Detector, Verdict, Verifier};

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn open_the_gate(argument: u32) -> u32 {
    argument.wrapping_mul(0x9E37_79B9) ^ argument.rotate_left(7)
}

/// A name that an image has.
const NAME: &str = "open_the_gate";

#[test]
fn the_table_has_the_functions_of_the_image() {
    assert_ne!(open_the_gate(3), open_the_gate(4));
    let elf = fs::read(env::current_exe().unwrap()).unwrap();
    let functions = functions(&elf).unwrap();
    let function = functions.iter().find(|function| function.name == NAME).unwrap();
    assert!(!function.code.is_empty());

    let key = AttestKey::from_bytes([0x42; 16]);
    // What this image starts is not known: it is none of an Arm Cortex-M.
    let regions = regions_with_calls(&functions, &[NAME.to_owned()], &key).unwrap();
    let bytes = table(&regions);
    let detector = Detector::new(&key, AllowedValues::new(&bytes).unwrap());
    assert_eq!(regions[0].value, Verifier::new(&key).allowed_value(1, &function.code));
    assert_eq!(detector.check(1, &function.code), Verdict::Intact);
    let mut altered = function.code.clone();
    altered[0] ^= 1;
    assert_eq!(detector.check(1, &altered), Verdict::Altered);
}

#[test]
fn what_is_wrong_is_named() {
    let key = AttestKey::from_bytes([0x42; 16]);
    assert_eq!(functions(b"no image").unwrap_err().to_string(), "the image is no ELF file");
    let error = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        regions(&[], &names, &key).unwrap_err().to_string()
    };
    assert_eq!(error(&[]), "no functions are named");
    assert_eq!(error(&["start"]), "the image has no function start");
    let twins = [1, 2].map(|address| Function {
        name: "twin".to_owned(),
        address,
        code: vec![0],
        leaves: Some(Vec::new()),
    });
    let error = regions(&twins, &["twin".to_owned()], &key).unwrap_err();
    assert_eq!(error.to_string(), "there are functions twin at 0x1 and 0x2");

    let leaves = vec![Leaves { at: 0x12, to: Some(0x34) }, Leaves { at: 0x14, to: None }];
    let calling =
        [Function { name: "calling".to_owned(), address: 0x10, code: vec![0], leaves: Some(leaves) }];
    let error = regions(&calling, &["calling".to_owned()], &key).unwrap_err();
    let text =
        "calling starts code that is not measured with it: at 0x12 it goes to 0x34; in all 2 such places";
    assert_eq!(error.to_string(), text);
    assert_eq!(regions_with_calls(&calling, &["calling".to_owned()], &key).unwrap().len(), 1);
}

#[test]
fn the_command_writes_a_table() {
    let directory = env!("CARGO_TARGET_TMPDIR");
    let [key, out] = ["key", "table"].map(|name| format!("{directory}/{name}"));
    fs::write(&key, "42".repeat(16) + "\n").unwrap();
    let run = |image: &str, names: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_allowed-values"))
            .args(["table", "--key-file", &key, "--out", &out])
            .arg(image)
            .args(names)
            .output()
            .unwrap()
    };
    let image = format!("{directory}/thumb.elf");
    fs::write(&image, thumb_image()).unwrap();
    assert!(run(&image, &[NAME]).status.success());
    let bytes = fs::read(&out).unwrap();
    let region = AllowedValues::new(&bytes).unwrap().get(1).unwrap();
    let functions = functions(&fs::read(&image).unwrap()).unwrap();
    let function = functions.iter().find(|function| function.name == NAME).unwrap();
    let verifier_key = AttestKey::from_bytes([0x42; 16]);
    assert_eq!(region.value, Verifier::new(&verifier_key).allowed_value(1, &function.code));

    let failed = run(&image, &["no such function"]);
    assert!(!failed.status.success());
    assert!(String::from_utf8_lossy(&failed.stderr).contains("no function no such function"));
    fs::write(&key, "42").unwrap();
    assert!(!run(&image, &[NAME]).status.success());
}

#[test]
fn what_is_not_for_arm_is_refused() {
    let key = AttestKey::from_bytes([0x42; 16]);
    let of = |elf: &[u8]| regions(&functions(elf).unwrap(), &[NAME.to_owned()], &key);
    assert_eq!(of(&thumb_image()).unwrap().len(), 1);
    let mut other = thumb_image();
    // RISC-V
    other[18] = 243;
    assert_eq!(of(&other).unwrap_err().to_string(), "open_the_gate is no code for an Arm Cortex-M");
}

/// An ELF file of 32 bits for Arm that has one function, `bx lr`, named [`NAME`].
fn thumb_image() -> Vec<u8> {
    const HEADER: u32 = 52;
    // Its length, too, is a multiple of 4: the sections are behind it.
    let names = format!("\0{NAME}\0\0");
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    // The name, the address with the bit that says Thumb, the size, a global function of section 1.
    let symbols = [words(&[0; 4]), words(&[1, 1, 2, 1 << 16 | 0x12])].concat();
    let contents = [vec![0x70, 0x47, 0, 0], symbols, names.into_bytes()];
    let lens = contents.each_ref().map(|content| u32::try_from(content.len()).unwrap());
    let offsets = [HEADER, HEADER + lens[0], HEADER + lens[0] + lens[1]];
    let sections = offsets[2] + lens[2];
    let mut elf = b"\x7FELF\x01\x01\x01".to_vec();
    elf.resize(16, 0);
    // An object for Arm, version 1; no entry, no segments; sections, flags; their sizes and numbers.
    elf.extend(words(&[40 << 16 | 1, 1, 0, 0, sections, 0x0500_0000, HEADER, 40 << 16, 3 << 16 | 4]));
    elf.extend(contents.concat());
    elf.extend(words(&[0; 10]));
    elf.extend(words(&[0, 1, 6, 0, offsets[0], lens[0], 0, 0, 2, 0]));
    elf.extend(words(&[0, 2, 0, 0, offsets[1], lens[1], 3, 1, 4, 16]));
    elf.extend(words(&[0, 3, 0, 0, offsets[2], lens[2], 0, 0, 1, 0]));
    elf
}
