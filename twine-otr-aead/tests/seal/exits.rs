//! The ways in which the program `seal` can end. None of them may lose data, show them, or say that all is well when it is
//! not.

use super::{
    KEY, KEY_HEX,
    cleanup::ignored_signals,
    output::Output,
    plaintext,
    program::{Room, failed, program, set_mode, succeeded},
};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    env,
    ffi::OsStr,
    fs,
    io::{Read, Write},
    os::unix::{ffi::OsStrExt, fs::PermissionsExt, process::ExitStatusExt},
    path::Path,
    process::{Child, Command, Output as Ended, Stdio},
};
use tempfile::TempDir;

/// More than a pipe holds: who has written as much to the program knows that it reads, and so has made its output.
const MORE_THAN_A_PIPE: usize = 1 << 20;

/// A shell command in which `$0` is the program.
fn shell(room: &Room, line: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", line]).arg(program()).current_dir(room.path(""));
    command.env_remove("TWINE_OTR_KEY").stdin(Stdio::null());
    command
}

/// The program in the middle of its work, all its input written but not ended.
fn working(mut command: Command) -> Child {
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.as_mut().unwrap().write_all(&plaintext(MORE_THAN_A_PIPE)).unwrap();
    child
}

/// Ends the input and waits.
fn end(mut child: Child) -> Ended {
    drop(child.stdin.take());
    child.wait_with_output().unwrap()
}

/// A room with what every command needs.
fn furnished() -> Room {
    let room = Room::new();
    room.write("plain", plaintext(100_000));
    room.works(&["seal", "-k", "key", "-o", "sealed", "plain"]);
    room
}

#[test]
fn a_redirected_input_is_not_replaced() {
    let room = furnished();
    fs::hard_link(room.path("plain"), room.path("second")).unwrap();
    fs::hard_link(room.path("key"), room.path("spare")).unwrap();
    fs::hard_link(room.path("sealed"), room.path("copy")).unwrap();
    for line in [
        "seal -k key -f -o plain < plain",
        "seal -k key -o plain < plain",
        "seal -k key -f -o second < plain",
        "seal -k key -f -o second plain",
        "seal -k key -f -o spare plain",
        "open -k key -f -o sealed < sealed",
        "open -k key -f -o copy sealed",
        "seal -k key -f -o plain /dev/stdin < plain",
        "seal -k /dev/stdin -f -o key plain < key",
    ] {
        room.fails(&mut shell(&room, &format!("\"$0\" {line}")), 1, "it is the input or the key file");
    }
}

#[test]
fn an_input_that_is_the_output_does_not_grow() {
    let room = furnished();
    for line in [
        "seal -k key plain >> plain",
        "seal -k key < plain >> plain",
        "seal -k key plain 1<> plain",
        "open -k key sealed >> sealed",
        "seal -k key plain >> key",
    ] {
        // In blocks of 512 bytes: it would not end.
        let line = format!("ulimit -f 1000; \"$0\" {line}");
        room.fails(
            &mut shell(&room, &line),
            1,
            "standard output: cannot write: it is the input or the key file",
        );
    }
    room.write("empty", "");
    room.fails(&mut shell(&room, "\"$0\" seal -k key empty > empty"), 1, "it is the input or the key file");
}

#[test]
fn closed_outputs_are_noticed() {
    let room = furnished();
    for arguments in
        ["seal -k key plain", "open -k key sealed", "keygen", "--help", "--version", "seal -k key -o - plain"]
    {
        for redirection in [">&-", "1<plain", ">/dev/full"] {
            let line = format!("\"$0\" {arguments} {redirection}");
            room.fails(&mut shell(&room, &line), 1, "standard output: cannot write: ");
        }
        // The status says it where no words can.
        let ended = shell(&room, &format!("\"$0\" {arguments} >&- 2>&-")).output().unwrap();
        assert_eq!(ended.status.code(), Some(1), "{arguments}");
    }
    // Whoever throws the output away may.
    succeeded(shell(&room, "\"$0\" open -k key sealed > /dev/null").output().unwrap());
    // No output that is a file is mistaken for a closed stream, or written over one.
    succeeded(shell(&room, "\"$0\" seal -k key -o one plain >&- <&- 2>&-").output().unwrap());
    assert_eq!(room.works(&["open", "-k", "key", "one"]), room.read("plain"));
}

#[test]
fn closed_inputs_are_not_empty() {
    let room = furnished();
    room.write("other", "other");
    room.write("unread", "unread");
    for command in ["seal", "open"] {
        for output in ["", "-o new", "-f -o other"] {
            for redirection in ["<&-", "0>>unread", "< ."] {
                let line = format!("\"$0\" {command} -k key {output} {redirection}");
                room.fails(&mut shell(&room, &line), 1, "standard input: cannot read: ");
            }
        }
    }
    assert_eq!(succeeded(shell(&room, "\"$0\" seal -k key < /dev/null").output().unwrap()).len(), 32);
}

#[test]
fn inputs_that_cannot_be_read_leave_nothing() {
    let room = furnished();
    room.refuses(&["seal", "-k", "key", "-o", "new", "."], ".: cannot read");
    room.refuses(&["open", "-k", "key", "-o", "new", "."], ".: cannot read");
    room.refuses(&["seal", "-k", "key", "-o", "new", "plain/"], "cannot open 'plain/'");
    room.refuses(&["seal", "-k", "key", "-o", "new", ""], "cannot open ''");
}

#[test]
fn a_reader_that_goes_is_noticed() {
    let room = Room::new();
    room.write("plain", plaintext(MORE_THAN_A_PIPE));
    room.works(&["seal", "-k", "key", "-o", "sealed", "plain"]);
    for arguments in [["open", "-k", "key", "sealed"], ["seal", "-k", "key", "plain"]] {
        let mut child =
            room.command(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdout.take().unwrap().read_exact(&mut [0; 1000]).unwrap();
        failed(&child.wait_with_output().unwrap(), 1, "standard output: cannot write: Broken pipe");
    }
}

/// Puts things at the name of the output while the program works, and expects them to be there in the end.
#[test]
fn what_comes_to_the_name_meanwhile_is_kept() {
    type Make = fn(&Room);
    let make: [(&str, Make); 5] = [
        ("a file", |room| room.write("out", "of somebody else")),
        ("a key", |room| fs::rename(room.path("key"), room.path("out")).unwrap()),
        ("a link", |room| std::os::unix::fs::symlink("key", room.path("out")).unwrap()),
        ("a folder", |room| fs::create_dir(room.path("out")).unwrap()),
        ("a FIFO", |room| {
            assert!(Command::new("mkfifo").arg(room.path("out")).status().unwrap().success());
        }),
    ];
    for (what, make) in make {
        for (old, force) in [(false, "-q"), (false, "-f"), (true, "-f")] {
            let room = Room::new();
            if old {
                room.write("out", "old");
            }
            let child = working(room.command(&["seal", "-k", "key", "-o", "out", force]));
            if old {
                fs::remove_file(room.path("out")).unwrap();
            }
            make(&room);
            let kind = fs::symlink_metadata(room.path("out")).unwrap().file_type();
            let before = room.names();
            failed(&end(child), 1, "cannot create 'out': ");
            assert_eq!(fs::symlink_metadata(room.path("out")).unwrap().file_type(), kind, "{what}");
            assert_eq!(room.names(), before, "{what}: something is left");
            if kind.is_file() {
                assert!([b"of somebody else", KEY_HEX.as_bytes()].contains(&&*room.read("out")), "{what}");
            }
        }
    }
}

#[test]
fn an_output_that_was_removed_meanwhile_is_made() {
    let room = Room::new();
    room.write("out", "old");
    let child = working(room.command(&["seal", "-k", "key", "-o", "out", "-f"]));
    fs::remove_file(room.path("out")).unwrap();
    succeeded(end(child));
    assert!(room.works(&["open", "-k", "key", "out"]) == plaintext(MORE_THAN_A_PIPE));
}

const ENDING: [Signal; 9] = [
    Signal::HUP,
    Signal::INT,
    Signal::QUIT,
    Signal::TERM,
    Signal::ALARM,
    Signal::USR1,
    Signal::USR2,
    Signal::XCPU,
    Signal::VTALARM,
];

/// All of them but those that whoever runs the tests had them ignore, as `nohup` does: then the program ignores them too.
fn ending() -> impl Iterator<Item = Signal> {
    let ignored = ignored_signals();
    ENDING.into_iter().filter(move |signal| ignored >> (signal.as_raw() - 1) & 1 == 0)
}

fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

#[test]
fn signals_leave_nothing() {
    for signal in ending() {
        let room = Room::new();
        room.write("old", "old");
        for output in ["new", "old"] {
            let mut child = working(room.command(&["seal", "-k", "key", "-f", "-o", output]));
            // Its input does not end.
            let stdin = child.stdin.take();
            send(&child, signal);
            assert_eq!(child.wait().unwrap().signal(), Some(signal.as_raw()));
            drop(stdin);
            assert_eq!(room.names(), ["key", "old"]);
            assert_eq!(room.read("old"), b"old");
        }
    }
}

/// Nothing else can be done about it than to have given no name.
#[cfg(target_os = "linux")]
#[test]
fn a_killed_process_leaves_nothing() {
    let room = Room::new();
    let child = working(room.command(&["seal", "-k", "key", "-o", "new"]));
    assert_eq!(room.names(), ["key"]);
    send(&child, Signal::KILL);
    assert_eq!(end(child).status.signal(), Some(9));
    assert_eq!(room.names(), ["key"]);
}

#[cfg(target_os = "linux")]
#[test]
fn ignored_signals_stay_ignored() {
    let room = Room::new();
    let child = working(shell(&room, "trap '' HUP; exec \"$0\" seal -k key -o new"));
    send(&child, Signal::HUP);
    succeeded(end(child));
    assert!(room.works(&["open", "-k", "key", "new"]) == plaintext(MORE_THAN_A_PIPE));
}

#[test]
fn a_limit_of_file_sizes_leaves_nothing() {
    let room = furnished();
    for line in ["seal -k key -o new plain", "open -k key -f -o old sealed"] {
        room.write("old", "old");
        // 51,200 bytes.
        let line = format!("ulimit -f 100; exec \"$0\" {line}");
        room.fails(&mut shell(&room, &line), 1, "cannot write: File too large");
    }
}

/// The role of the program in [`temporary_names_go`].
const OUTPUT: &str = "TWINE_TEST_OUTPUT";

/// Where a file cannot be without a name, it has a temporary one.
#[test]
fn temporary_names_go() {
    fn named(path: &Path, replace: bool) -> Output<'_> {
        let output = Output::with(path, replace, &[], |_| Ok(None)).unwrap();
        let entries = fs::read_dir(path.parent().unwrap()).unwrap();
        let temporary =
            entries.filter(|entry| entry.as_ref().unwrap().file_name().as_bytes().starts_with(b".seal-"));
        assert_eq!(temporary.count(), 1);
        output
    }
    if let Some(path) = env::var_os(OUTPUT) {
        let _output = named(Path::new(&path), true);
        println!("ready");
        // Until somebody ends it.
        loop {
            std::thread::park();
        }
    }

    let room = Room::new();
    let path = room.path("out");
    drop(named(&path, false));
    assert_eq!(room.names(), ["key"]);
    let new = named(&path, false);
    new.file().write_all(b"new").unwrap();
    new.commit().unwrap();
    assert_eq!((room.names(), room.read("out")), (vec!["key".into(), "out".into()], b"new".into()));
    let newer = named(&path, true);
    newer.file().write_all(b"newer").unwrap();
    newer.commit().unwrap();
    assert_eq!((room.names(), room.read("out")), (vec!["key".into(), "out".into()], b"newer".into()));
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let late = named(&path, true);
    fs::rename(room.path("key"), &path).unwrap();
    late.commit().unwrap_err();
    assert_eq!((room.names(), room.read("out")), (vec!["out".into()], KEY_HEX.into()));

    for signal in ending() {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["exits::temporary_names_go", "--exact", "--nocapture"])
            .env(OUTPUT, &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = Vec::new();
        let mut stdout = child.stdout.take().unwrap();
        while !said.ends_with(b"ready\n") {
            let mut byte = [0];
            stdout.read_exact(&mut byte).unwrap();
            said.extend(byte);
        }
        assert_eq!(room.names().len(), 2);
        send(&child, signal);
        assert_eq!(child.wait().unwrap().signal(), Some(signal.as_raw()));
        assert_eq!(room.names(), ["out"], "{signal:?}");
    }
}

/// A name lasts when its folder is on the disk too: the folder is synchronised after the file has its name, and if that fails, the
/// program says so.
#[cfg(target_os = "linux")]
#[test]
fn the_folder_is_synchronised() {
    use rustix::fs::{Mode, OFlags, open};
    use std::os::unix::fs::MetadataExt;

    let room = Room::new();
    let path = room.path("out");
    for replace in [false, true] {
        let mut output = Output::new(&path, replace, &[]).unwrap();
        let folder = output.synchronised.take().unwrap().metadata().unwrap();
        let expected = fs::metadata(room.path("")).unwrap();
        assert_eq!((folder.dev(), folder.ino()), (expected.dev(), expected.ino()));
        // What is opened in this way cannot be synchronised.
        output.synchronised = Some(open(room.path(""), OFlags::PATH, Mode::empty()).unwrap().into());
        output.file().write_all(&[u8::from(replace)]).unwrap();
        assert_eq!(output.commit().unwrap_err().raw_os_error(), Some(rustix::io::Errno::BADF.raw_os_error()));
        assert_eq!(room.read("out"), [u8::from(replace)]);
    }
}

#[test]
fn names_that_no_file_can_have_are_refused_at_once() {
    let room = furnished();
    let long = "n".repeat(300);
    let endless = "/proc/self/fd/0/new";
    for name in ["", "new/", ".", "..", "new/.", "plain/", "plain/new", &long, "nowhere/new", "/", endless] {
        let message = format!("cannot create '{name}': ");
        // It reads nothing.
        room.fails(
            room.command(&["seal", "-k", "key", "-f", "-o", name])
                .stdin(fs::File::open("/dev/zero").unwrap()),
            1,
            &message,
        );
        room.refuses(&["keygen", "-o", name], &message);
    }
}

#[test]
fn names_are_any_bytes() {
    let room = furnished();
    for name in [&b"\xff\xfe"[..], b"a b\nc", b"./-o", "\u{e9}".as_bytes(), &[b'n'; 255]] {
        let name = OsStr::from_bytes(name);
        let run = |command: &str, output: &OsStr, input: &OsStr| {
            let mut command = room.command(&[command, "-k", "key", "-o"]);
            succeeded(command.arg(output).arg(input).output().unwrap())
        };
        run("seal", name, OsStr::new("plain"));
        assert_eq!(run("open", OsStr::new("-"), name), room.read("plain"));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn outputs_may_be_elsewhere() {
    let room = furnished();
    let shared = TempDir::new_in("/dev/shm").unwrap();
    let path = shared.path().join("out");
    for force in ["-q", "-f"] {
        room.works(&["open", "-k", "key", force, "-o", path.to_str().unwrap(), "sealed"]);
        assert_eq!(fs::read(&path).unwrap(), room.read("plain"));
        assert_eq!(fs::read_dir(shared.path()).unwrap().count(), 1);
    }
    room.refuses(&["seal", "-k", "key", "-o", "/proc/new", "plain"], "cannot create '/proc/new': ");
    room.refuses(&["keygen", "-o", "/proc/new"], "cannot create '/proc/new': ");
}

#[test]
fn modes_do_not_depend_on_the_mask() {
    for mask in ["000", "022", "077"] {
        let room = furnished();
        room.write("old", "old");
        set_mode(&room.path("old"), 0o666);
        let line = format!(
            "umask {mask}; \"$0\" seal -k key -o new plain && \"$0\" open -k key -f -o old sealed && \"$0\" keygen -o made"
        );
        succeeded(shell(&room, &line).output().unwrap());
        for name in ["new", "old", "made"] {
            let mode = fs::metadata(room.path(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o7777, 0o600, "{name} with umask {mask}");
        }
    }
}

#[test]
fn keys_that_others_can_read_are_named() {
    let room = furnished();
    for mode in [0o644, 0o640, 0o604, 0o620, 0o602, 0o777] {
        set_mode(&room.path("key"), mode);
        for arguments in [["seal", "-k", "key", "plain"], ["open", "-k", "key", "sealed"]] {
            let ended = room.command(&arguments).output().unwrap();
            assert!(ended.status.success());
            let warning = format!(
                "seal: warning: the key file 'key' is open to others (mode {mode:04o}): make it private with chmod 600\n"
            );
            assert_eq!(String::from_utf8_lossy(&ended.stderr), warning);
        }
    }
    for mode in [0o600, 0o400, 0o700] {
        set_mode(&room.path("key"), mode);
        room.works(&["seal", "-k", "key", "plain"]);
    }
    // What is no file has no such mode.
    set_mode(&room.path("key"), 0o644);
    succeeded(shell(&room, "cat key | \"$0\" seal -k /dev/stdin plain").output().unwrap());
}

#[cfg(target_os = "linux")]
#[test]
fn no_core_is_written() {
    let room = Room::new();
    let child = working(shell(&room, "ulimit -c unlimited 2>/dev/null; exec \"$0\" seal -k key -o new"));
    let limits = fs::read_to_string(format!("/proc/{}/limits", child.id())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    let core: Vec<_> = core.split_whitespace().skip(4).take(2).collect();
    // One byte: the system then starts no program for the core either.
    assert!(core == ["1", "1"] || core == ["0", "0"], "{core:?}");
    succeeded(end(child));
}

/// Where in the memory of a process `bytes` are.
#[cfg(target_os = "linux")]
fn places(child: &Child, bytes: &[u8]) -> Vec<String> {
    use std::os::unix::fs::FileExt;
    let maps = fs::read_to_string(format!("/proc/{}/maps", child.id())).unwrap();
    let memory = fs::File::open(format!("/proc/{}/mem", child.id())).unwrap();
    let mut places = Vec::new();
    for map in maps.lines().filter(|map| map.contains(" rw")) {
        let (start, end) = map.split_once(' ').unwrap().0.split_once('-').unwrap();
        let [start, end] = [start, end].map(|digits| u64::from_str_radix(digits, 16).unwrap());
        let mut content = vec![0; usize::try_from(end - start).unwrap()];
        memory.read_exact_at(&mut content, start).unwrap();
        places.extend(content.windows(bytes.len()).filter(|window| *window == bytes).map(|_| map.into()));
    }
    places
}

/// The key of the user does more than one file: it is not left in memory while the data, and whoever reads them, take
/// their time.
#[cfg(target_os = "linux")]
#[test]
fn the_users_key_does_not_stay() {
    let room = Room::new();
    let text = plaintext(MORE_THAN_A_PIPE);
    room.write("plain", &text);
    room.works(&["seal", "-k", "key", "-o", "sealed", "plain"]);
    for arguments in [["seal", "-k", "key", "plain"], ["open", "-k", "key", "sealed"]] {
        let mut child = room.command(&arguments).stdout(Stdio::piped()).spawn().unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut [0; 1000]).unwrap();
        // It does look: the buffers hold what is being sealed, or was opened.
        let shown = text.chunks(1 << 16).any(|chunk| !places(&child, &chunk[100..200]).is_empty());
        assert!(shown, "{arguments:?}");
        for secret in [&KEY[..], KEY_HEX.as_bytes()] {
            assert_eq!(places(&child, secret), Vec::<String>::new(), "{arguments:?}");
        }
        assert!(child.wait_with_output().unwrap().status.success());
    }
}
