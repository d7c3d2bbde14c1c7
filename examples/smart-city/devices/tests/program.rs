//! The program of a simulated device, without a broker. With one it is tested where the gateway is.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    os::unix::{fs::PermissionsExt as _, process::ExitStatusExt as _},
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

const FILE: &str = "id = \"70b3d5fffe000001\"\nroot_key = \"000102030405060708090a0b0c0d0e0f\"\n\
                    mqtt_password = \"example\"\nstreams = [\"1:public\"]\n";

fn program(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_smart-city-device"));
    command.current_dir(dir).stdin(Stdio::null());
    command
}

/// A folder with the file of a device.
fn folder(mode: u32) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("device.toml");
    fs::write(&path, FILE).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    dir
}

/// Runs a device at a port where nobody listens, until it has said that it is not connected.
fn start(dir: &Path, more: &[&str]) -> (Child, Vec<String>) {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut command = program(dir);
    command.args([
        "--device",
        "device.toml",
        "--data",
        "data",
        "--broker",
        &format!("mqtt://127.0.0.1:{port}"),
    ]);
    let mut child = command.args(more).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        lines.push(line.unwrap());
        if lines.last().unwrap().contains("not connected") {
            break;
        }
    }
    (child, lines)
}

fn end(child: Child) -> Output {
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    child.wait_with_output().unwrap()
}

/// Runs a device that must end with an error.
fn fails(command: &mut Command, what: &str) {
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && text.contains(what), "{text}");
}

fn device(dir: &Path) -> Command {
    let mut command = program(dir);
    command.args(["--device", "device.toml", "--data", "data"]);
    command
}

#[test]
fn it_says_that_it_is_not_connected_and_ends_when_told_to() {
    let dir = folder(0o600);
    for epoch in 1..3 {
        let new = if epoch == 1 { &["--new-key"][..] } else { &[] };
        let (child, lines) = start(dir.path(), new);
        assert!(lines[0].ends_with(&format!("device 70b3d5fffe000001 starts in epoch {epoch}")), "{lines:?}");
        assert!(lines.iter().any(|line| line.contains("measured for stream 1: {")), "{lines:?}");
        assert!(lines.last().unwrap().contains("refused"), "{lines:?}");
        assert!(!lines.concat().contains("example"));
        let output = end(child);
        assert!(output.status.signal() == Some(15) && output.stderr.is_empty(), "{output:?}");
    }
    assert_eq!(fs::metadata(dir.path().join("data")).unwrap().permissions().mode() & 0o777, 0o700);
}

/// Each would use an epoch a second time, or at the same time.
#[test]
fn no_epoch_is_used_twice() {
    let dir = folder(0o600);
    fails(&mut device(dir.path()), "data has no epoch");
    let (child, _) = start(dir.path(), &["--new-key"]);
    fails(&mut device(dir.path()), "another process keeps a device in data");
    end(child);
    fails(device(dir.path()).arg("--new-key"), "data has an epoch");
    end(start(dir.path(), &[]).0);
    // A folder by a name that was not meant, or from a copy that lacks the file.
    fs::remove_file(dir.path().join("data/epoch")).unwrap();
    fails(&mut device(dir.path()), "give the device a new one");
    assert!(!dir.path().join("data/epoch").exists());
}

#[test]
fn keys_that_others_can_read_are_named() {
    let dir = folder(0o640);
    let output = end(start(dir.path(), &["--new-key"]).0);
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.starts_with("warning: others may read or write device.toml"), "{text}");
}

#[test]
fn it_ends_with_an_error_if_it_cannot_go_on() {
    let dir = folder(0o600);
    fails(&mut program(dir.path()), "--device <FILE>");
    fails(
        program(dir.path()).args(["--device", "none", "--data", "data"]),
        "none does not say what this device is",
    );
    fails(device(dir.path()).args(["--every", "0"]), "less than a millisecond");
    // Nobody reads what it prints.
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    fails(device(dir.path()).arg("--new-key").stdout(full), "standard output");
    for (epoch, what) in [("65535\n", "used up"), ("1 2\n", "the epoch in data")] {
        fs::write(dir.path().join("data/epoch"), epoch).unwrap();
        fails(&mut device(dir.path()), what);
    }
}

/// Whatever standard input is, the device goes on.
#[test]
fn what_is_no_line_of_standard_input_is_told() {
    let dir = folder(0o600);
    let mut command = device(dir.path());
    let mut child = command
        .arg("--new-key")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(&[&[0xFF; 1000][..], b"\n\xFE\nrepeat\nwhat\n"].concat()).unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    // Four parts of the long line, and two others.
    assert_eq!(lines.filter(|line| line.contains("a line is")).take(6).count(), 6);
    end(child);
}

/// Nobody takes what it prints, and it goes on all the same: it still connects to whoever listens.
#[test]
fn whoever_does_not_take_the_output_keeps_it_from_nothing() {
    let dir = folder(0o600);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let broker = format!("mqtt://{}", listener.local_addr().unwrap());
    let mut command = device(dir.path());
    command.args(["--new-key", "--every", "0.001", "--broker", &broker]).stdin(Stdio::piped());
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    // More than any pipe takes, and than may wait.
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(5) {
        drop(listener.accept().unwrap());
    }
    let (connection, _) = listener.accept().unwrap();
    drop(connection);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let left_out = lines.find(|line| line.contains("left out: ")).expect("it says how many");
    assert!(left_out.contains("lines that nobody took"), "{left_out}");
    end(child);
}

#[test]
fn it_writes_the_code_of_simulated_devices() {
    let dir = tempfile::tempdir().unwrap();
    let output = program(dir.path()).args(["--code", "simulated"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let entry: toml::Table = text.parse().unwrap();
    let regions = entry["images"][0]["regions"].as_array().unwrap();
    assert_eq!(regions.len(), 4);
    // What is there already is not replaced by other code.
    assert!(program(dir.path()).args(["--code", "simulated"]).status().unwrap().success());
    fs::write(dir.path().join("simulated/open_gate.bin"), "other").unwrap();
    fails(program(dir.path()).args(["--code", "simulated"]), "open_gate.bin is there");
    fs::remove_file(dir.path().join("simulated/open_gate.bin")).unwrap();
    fails(program(dir.path()).args(["--code", "a\"b"]), "name is not of");
    assert!(program(dir.path()).args(["--code", "simulated"]).status().unwrap().success());
    for region in regions {
        let code = fs::read(dir.path().join(region["code"].as_str().unwrap())).unwrap();
        assert!(code.len() > 100, "{region:?}");
    }
}
