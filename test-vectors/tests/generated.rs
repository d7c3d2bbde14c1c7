//! The generator makes what is committed, and what it makes is what it says.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use test_vectors::generate::{self, CheckError, Request, Stream};
use test_vectors::{AdProcessing, AeadFile, Cipher, Error, Validity, reference};

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data")
}

/// An empty directory of this test binary.
fn directory(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if path.exists() {
        fs::remove_dir_all(&path).unwrap();
    }
    fs::create_dir(&path).unwrap();
    path
}

#[test]
fn committed_files_are_up_to_date() {
    generate::check(&data()).unwrap();
}

#[test]
fn check_sees_and_write_mends_every_change() {
    let copy = directory("check");
    let mut texts = Vec::new();
    for entry in fs::read_dir(data()).unwrap() {
        let entry = entry.unwrap();
        let text = fs::read_to_string(entry.path()).unwrap();
        let copy = copy.join(entry.file_name());
        fs::write(&copy, text.replacen('\n', "\n\n", 1)).unwrap();
        texts.push((copy, text));
    }
    assert_eq!(texts.len(), 7);
    for _ in &texts {
        let stale = match generate::check(&copy) {
            Err(CheckError::Stale(path)) => path,
            other => panic!("{other:?}"),
        };
        let (_, text) = texts.iter().find(|(path, _)| *path == stale).unwrap();
        fs::write(&stale, text).unwrap();
    }
    generate::check(&copy).unwrap();

    fs::remove_file(copy.join("twine-otr-long.json")).unwrap();
    assert!(matches!(generate::check(&copy), Err(CheckError::Stale(_))));
    let (path, text) = texts.iter().find(|(path, _)| path.ends_with("twine-otr-short.json")).unwrap();
    fs::write(path, text.trim_end()).unwrap();
    generate::write(&copy).unwrap();
    for (path, text) in &texts {
        assert!(fs::read_to_string(path).unwrap() == *text, "{} is not mended", path.display());
    }

    fs::write(copy.join("twine-otr.json"), "{}").unwrap();
    assert!(matches!(generate::check(&copy), Err(CheckError::File(..))));
    fs::remove_file(copy.join("twine-otr.json")).unwrap();
    assert!(matches!(generate::check(&copy), Err(CheckError::Io(..))));
}

/// The stream is a format: changing it changes every generated file.
#[test]
fn stream() {
    let mut stream = Stream::new("label", 0x0102_0304);
    let mut key = [0; 16];
    key[..5].copy_from_slice(b"label");
    let blocks = [[1, 2, 3, 4, 0, 0, 0, 0], [1, 2, 3, 4, 0, 0, 0, 1]]
        .map(|block| reference::twine::encrypt(&key, block));
    assert_eq!(stream.bytes(11), blocks.concat()[..11]);
    let next = u32::from_be_bytes(blocks[1][3..7].try_into().unwrap());
    assert_eq!(stream.below(1000), usize::try_from(next % 1000).unwrap());
}

#[test]
fn invalid_files_have_every_change() {
    for (file, groups, flags) in
        [(test_vectors::aes_otr_v3_invalid(), 3, 14), (test_vectors::twine_otr_invalid(), 12, 15)]
    {
        assert!(file.tests().all(|(_, test)| test.result == Validity::Invalid));
        assert_eq!(file.test_groups.len(), groups);
        let used: BTreeSet<_> = file.tests().flat_map(|(_, test)| &test.flags).collect();
        assert_eq!(used, file.notes.keys().collect());
        assert_eq!(used.len(), flags);
        for group in &file.test_groups {
            let changes: BTreeSet<_> =
                group.tests.iter().map(|test| test.comment.split_once(": ").unwrap().1).collect();
            assert_eq!(changes.len(), if group.tag_size == 32 { 7 } else { 26 });
        }
    }
}

#[test]
fn more() {
    for cipher in Cipher::ALL {
        for ad_processing in AdProcessing::ALL {
            let request = Request { count: 5, seed: 7, ..Request::new(cipher, ad_processing) };
            let file = generate::more(&request).unwrap();
            assert_eq!(file, generate::more(&request).unwrap());
            assert_ne!(file, generate::more(&Request { seed: 8, ..request }).unwrap());
            assert_eq!(AeadFile::from_json(&file.to_json()).unwrap(), file);
            assert_eq!(file.number_of_tests, 5);
        }
    }
    let request = Request::new(Cipher::Twine80, AdProcessing::Parallel);
    for (nonce_size, tag_size, field) in
        [(0, 8, "ivSize"), (8, 8, "ivSize"), (usize::MAX, 8, "ivSize"), (7, 0, "tagSize"), (7, 9, "tagSize")]
    {
        let error = generate::more(&Request { nonce_size, tag_size, ..request }).unwrap_err();
        assert!(matches!(error, Error::GroupSize { field: found, .. } if found == field), "{error}");
    }
}

/// The vectors leave more than half of 256 KiB of flash to the firmware.
#[test]
fn firmware_source_is_small() {
    let source = test_vectors::firmware_source();
    // Where addresses have 32 bits. The compiler stores equal byte strings once.
    let structs =
        source.matches(" BlockVector {").count() * 24 + source.matches(" AeadVector {").count() * 56;
    let strings: BTreeSet<_> = source.lines().flat_map(|line| line.split(": b\"").skip(1)).collect();
    let bytes: usize = strings.iter().map(|string| literal_size(string)).sum();
    assert!((60_000..120_000).contains(&(structs + bytes)), "{structs} + {bytes} bytes");
}

/// The size of the byte string literal whose content `text` begins with.
fn literal_size(text: &str) -> usize {
    let (mut size, mut characters) = (0, text.chars());
    while let Some(character) = characters.next().filter(|&character| character != '"') {
        if character == '\\' && characters.next() == Some('x') {
            characters.nth(1);
        }
        size += 1;
    }
    size
}

/// Compiles the emitted source without `std` and prints its vectors: they are those of the files.
#[test]
fn firmware_source() {
    let directory = directory("firmware");
    fs::write(directory.join("source.rs"), test_vectors::firmware_source()).unwrap();
    let library = "//! Vectors.\n#![no_std]\n#![deny(missing_docs, warnings)]\ninclude!(\"source.rs\");\n";
    fs::write(directory.join("vectors.rs"), library).unwrap();
    let print = r#"
        fn main() {
            for v in vectors::BLOCK_VECTORS {
                println!("block {:?} {:?} {:?}", v.key, v.plaintext, v.ciphertext);
            }
            for (name, list) in vectors::AEAD_VECTORS {
                for v in *list {
                    println!(
                        "{name} {} {:?} {:?} {} {} {:?} {:?} {:?} {:?} {:?} {:?}",
                        v.id, v.cipher, v.ad_processing, v.valid, v.tag_size, v.key, v.nonce, v.ad, v.msg, v.ct, v.tag,
                    );
                }
            }
        }"#;
    fs::write(directory.join("print.rs"), print).unwrap();
    let run = |command: &mut Command| {
        let output = command.current_dir(&directory).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    run(Command::new(&rustc).args(["--edition=2024", "--crate-type=lib", "vectors.rs"]));
    run(Command::new(&rustc).args(["--edition=2024", "--extern=vectors=libvectors.rlib", "print.rs"]));
    let printed = run(&mut Command::new(directory.join("print")));

    let mut expected = String::new();
    for (_, test) in test_vectors::twine().tests() {
        writeln!(expected, "block {:?} {:?} {:?}", test.key, test.pt, test.ct).unwrap();
    }
    for (name, file, step) in [
        ("aes-otr-v3", test_vectors::aes_otr_v3(), 3),
        ("twine-otr", test_vectors::twine_otr(), 1),
        ("twine-otr-short", test_vectors::twine_otr_short(), 1),
        ("twine-otr-invalid", test_vectors::twine_otr_invalid(), 1),
    ] {
        let short = file.tests().filter(|(_, test)| test.msg.len() <= 64 && test.aad.len() <= 64);
        for (group, test) in short.step_by(step) {
            let valid = test.result == Validity::Valid;
            let msg: &[u8] = if valid { &test.msg } else { &[] };
            writeln!(
                expected,
                "{name} {} {:?} {:?} {valid} {} {:?} {:?} {:?} {msg:?} {:?} {:?}",
                test.tc_id,
                group.cipher,
                group.ad_processing,
                group.tag_size / 8,
                test.key,
                test.iv,
                test.aad,
                test.ct,
                test.tag,
            )
            .unwrap();
        }
    }
    assert!(printed == expected, "the emitted vectors differ from those of the files");
    assert_eq!(printed.lines().count(), 402 + 90 + 72 + 180 + 792);
}
