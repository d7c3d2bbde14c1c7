//! The folder with what the gateway keeps: who may read it, and what is said if something of it was lost.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use smart_city_engine::{
    audit::{Audit, archives},
    engine::Input,
    file::FileStore,
};

use crate::common::{ask, engine, example};

fn gateway(dir: &Path, options: &[&str]) -> (Child, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_smart-city-gateway"));
    command.arg("--config").arg(dir.join("city.toml")).arg("--secrets").arg(dir.join("secrets.toml"));
    command.arg("--data").arg(dir.join("data")).args(["--mqtt", "127.0.0.1:0", "--http", "127.0.0.1:0"]);
    let mut child = command.args(options).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    (child, line)
}

fn verify(dir: &Path) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_smart-city-gateway"));
    let output = command.arg("--data").arg(dir).arg("--verify-audit").output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

#[test]
fn the_process_keeps_its_files_and_says_what_was_lost() {
    let dir = example();
    let data = dir.path().join("data");
    fs::create_dir(dir.path().join("empty")).unwrap();
    let (good, text) = verify(&dir.path().join("empty"));
    assert!(!good && text.contains("there is no audit log"), "{text}");
    assert_eq!(fs::read_dir(dir.path().join("empty")).unwrap().count(), 0);

    let (mut child, line) = gateway(dir.path(), &[]);
    assert!(line.starts_with("ready "), "{line}");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    for file in [FileStore::path(&data), Audit::path(&data), dir.path().join("ear-key.pem")] {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
    let (good, text) = verify(&data);
    assert!(good && text.contains("a gateway runs on it"), "{text}");
    child.kill().unwrap();
    child.wait().unwrap();
    // The store was not closed, and is not repaired by looking at it.
    let before = fs::read(FileStore::path(&data)).unwrap();
    let (good, text) = verify(&data);
    assert!(good && text.ends_with("the chain is whole\n"), "{text}");
    assert_eq!(fs::read(FileStore::path(&data)).unwrap(), before);

    fs::remove_file(FileStore::path(&data)).unwrap();
    assert!(!verify(&data).0);
    let (mut child, line) = gateway(dir.path(), &[]);
    let mut text = String::new();
    child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    assert!(line.is_empty() && !child.wait().unwrap().success());
    assert!(text.contains("store.redb: it is not there") && text.contains("--continue-after-loss"), "{text}");
    let (mut child, line) = gateway(dir.path(), &["--continue-after-loss"]);
    assert!(line.starts_with("ready "), "{line}");
    child.kill().unwrap();
    child.wait().unwrap();
    std::thread::sleep(Duration::from_millis(10));
    assert!(verify(&data).0);
}

/// A key that cannot be made is named.
#[test]
fn the_file_that_is_at_fault_is_named() {
    let dir = example();
    let path = dir.path().join("secrets.toml");
    let secrets = fs::read_to_string(&path).unwrap();
    fs::write(&path, secrets.replace("\"ear-key.pem\"", "\"not-there/ear-key.pem\"")).unwrap();
    let (mut child, line) = gateway(dir.path(), &[]);
    let mut text = String::new();
    child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    assert!(line.is_empty() && !child.wait().unwrap().success());
    assert!(text.contains("not-there/ear-key.pem"), "{text}");
}

#[test]
fn older_files_of_the_audit_log_are_verified_if_they_are_there() {
    let dir = example();
    let city = fs::read_to_string(dir.path().join("city.toml")).unwrap();
    fs::write(dir.path().join("city.toml"), city.replace("audit_file_kb = 65536", "audit_file_kb = 1"))
        .unwrap();
    let (mut engine, _) = engine(dir.path());
    for _ in 0..40 {
        ask(&mut engine, |reply| Input::Session { operator: "kana".to_owned(), begins: true, reply });
    }
    drop(engine);
    let archives = archives(&Audit::path(dir.path())).unwrap();
    assert!(archives.len() > 3, "{archives:?}");
    let (good, text) = verify(dir.path());
    assert!(good && text.ends_with(" records, the chain is whole\n"), "{text}");
    fs::remove_file(&archives[0].1).unwrap();
    let (good, text) = verify(dir.path());
    let missing = format!("the chain is whole; the first {} are in no file here\n", archives[0].0);
    assert!(good && text.ends_with(&missing), "{text}");
    // One between others is no older file that is kept elsewhere.
    let between = fs::read(&archives[2].1).unwrap();
    fs::remove_file(&archives[2].1).unwrap();
    let (good, text) = verify(dir.path());
    let missing = format!("the records {} to {} are in no file here", archives[1].0 + 1, archives[2].0);
    assert!(!good && text.contains(&missing), "{text}");
    fs::write(&archives[2].1, between).unwrap();
    assert!(verify(dir.path()).0);
    fs::write(&archives[1].1, "").unwrap();
    assert!(!verify(dir.path()).0);
}
