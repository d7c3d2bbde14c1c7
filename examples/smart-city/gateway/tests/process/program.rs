//! The program itself: how it is called, and what it takes of the machine.

use std::io::{Read as _, Write as _};

use super::{brokers::connect_packet, *};

fn run(dir: &Path, arguments: &str) -> (bool, String) {
    let output = Command::new(PROGRAM).current_dir(dir).args(arguments.split_whitespace()).output().unwrap();
    (output.status.success(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

#[test]
fn it_explains_itself_and_checks_files() {
    let dir = example();
    for option in ["--help", "-h"] {
        let (good, text) = run(dir.path(), option);
        assert!(good && text.starts_with("usage: smart-city-gateway"), "{text}");
    }
    let (good, text) = run(dir.path(), "--config city.toml --secrets secrets.toml");
    assert!(!good && text.contains("an option is missing"), "{text}");
    let before = fs::read_dir(dir.path()).unwrap().count();
    let (good, text) = run(dir.path(), "--config city.toml --secrets secrets.toml --check");
    assert_eq!((good, text.as_str()), (true, "2 devices, 3 streams, 3 users\n"));
    let (good, text) = run(dir.path(), "--config secrets.toml --secrets secrets.toml --check");
    assert!(!good && text.contains("secrets.toml:"), "{text}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), before, "nothing is made");
}

/// A gateway with limits of the shell's `ulimit`.
fn limited(dir: &Path, limit: &str) -> Gateway {
    let script = format!(
        "ulimit {limit} && exec \"$0\" --config city.toml --secrets secrets.toml --data data \
         --mqtt 127.0.0.1:0 --http 127.0.0.1:0"
    );
    let mut command = Command::new("sh");
    command.args(["-c", &script, PROGRAM]).current_dir(dir);
    command.stderr(fs::File::create(dir.join("log")).unwrap());
    ready(dir, command)
}

/// However few descriptors a process has at first.
#[test]
fn it_takes_as_many_descriptors_as_it_may() {
    let dir = example();
    let gateway = limited(dir.path(), "-S -n 100");
    let limits = fs::read_to_string(format!("/proc/{}/limits", gateway.process.0.id())).unwrap();
    let limit = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let numbers: Vec<&str> = limit.split_whitespace().skip(3).take(2).collect();
    assert_eq!(numbers[0], numbers[1], "{limit}");
    assert_ne!(numbers[0], "100");
}

/// The broker lets in as many clients as leave descriptors for all else.
#[test]
fn it_keeps_descriptors_for_what_is_not_the_broker() {
    let dir = example();
    let devices = brokers::crowd(dir.path(), 200);
    let gateway = limited(dir.path(), "-n 256");
    let mut clients = Vec::new();
    for (id, password) in devices {
        let mut client = TcpStream::connect(("127.0.0.1", gateway.mqtt)).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        client.write_all(&connect_packet(&id.to_string(), &password)).unwrap();
        if matches!(brokers::read_packet(&mut client), Some((0x20, body)) if body[1] == 0) {
            clients.push(client);
        }
    }
    // An eighth is for HTTP, 64 for files, an eighth of the rest for those that have not said yet who they are; a client takes three,
    // and the gateway is one too.
    assert_eq!(clients.len(), (256 - 32 - 64 - 20) / 3 - 1);
}

/// Whoever connects and does not log in takes neither descriptors nor time of others, and does not fill the log.
#[test]
fn connections_that_never_log_in_harm_nobody() {
    let dir = example();
    let gateway = limited(dir.path(), "-n 256");
    let login = connect_packet("hana", "example-hana");
    let idle: Vec<_> = (0..300)
        .map(|i| {
            let mut stream = TcpStream::connect(("127.0.0.1", gateway.mqtt)).unwrap();
            // One half says nothing, the other begins to log in.
            let begin = [&[][..], &login[..9]][i % 2];
            stream.write_all(begin).unwrap();
            stream
        })
        .collect();
    let answer = |mut stream: TcpStream, request: &[u8]| {
        // Less than the time after which those who do not log in are turned away.
        stream.set_read_timeout(Some(Duration::from_secs(8))).unwrap();
        stream.write_all(request).unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer[..4]).expect("an answer");
        if answer[0] == b'H' {
            stream.read_exact(&mut answer[4..]).unwrap();
        }
        answer
    };
    let mqtt = TcpStream::connect(("127.0.0.1", gateway.mqtt)).unwrap();
    let welcome = answer(mqtt, &login);
    assert_eq!((welcome[0], welcome[3]), (0x20, 0), "{welcome:?}");
    let page = TcpStream::connect(&gateway.http).unwrap();
    let request = b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert_eq!(&answer(page, request), b"HTTP/1.1 200");
    drop(idle);
    let log = fs::read_to_string(dir.path().join("log")).unwrap();
    assert!(log.lines().count() < 100, "{} lines in the log", log.lines().count());
}
