//! The files of a device, as the program makes them that goes with a real board.

use std::{fs, path::Path, process::Command};

use crate::device::{ID, Made, NEW, ROOT, STREET, firmware};

fn provision(folder: &Path, root: &str, streams: &str) -> (bool, String) {
    let key = folder.join("root-key");
    fs::write(&key, root).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_smart-city-bridge"))
        .args(["provision", "--device", "0000000000000007", "--root-key-file"])
        .arg(key)
        .arg("--secure")
        .arg(firmware("secure"))
        .arg("--application")
        .arg(firmware("street"))
        .args([
            "--functions",
            &STREET.join(","),
            "--streams",
            streams,
            "--pause",
            "0",
            "--watchdog",
            "0",
            "--folder",
        ])
        .arg(folder)
        .output()
        .unwrap();
    (output.status.success(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn the_program_makes_what_the_tests_run() {
    assert_eq!(ID.0, [0, 0, 0, 0, 0, 0, 0, 7]);
    let made = Made::new("street", &STREET, NEW);
    let folder = tempfile::tempdir().unwrap();
    let root: String = ROOT.iter().map(|byte| format!("{byte:02x}")).collect();
    let (is_made, said) = provision(folder.path(), &format!("{root}\n"), "1:internal");
    assert!(is_made && said.contains("region 6: set_interval"), "{said}");
    for (file, other) in [("provisioning", "provisioning"), ("copy", "copy"), ("epochs", "flash")] {
        let bytes = fs::read(folder.path().join(file)).unwrap();
        assert_eq!(bytes, fs::read(made.folder.path().join(other)).unwrap()[..bytes.len()], "{file}");
        assert!(bytes.len() >= 1024);
    }
    assert!(!provision(folder.path(), &root[1..], "1:internal").0);
    assert!(!provision(folder.path(), &root, "0:internal").0);
    assert!(!provision(folder.path(), &root, "1:secret").0);
}
