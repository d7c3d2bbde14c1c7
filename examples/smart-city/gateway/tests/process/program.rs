//! The program itself: how it is called, and what it takes of the machine.

use std::{
    io::{Read as _, Write as _},
    sync::mpsc,
    thread,
};

use super::*;

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
    let devices = crowd(dir.path(), 200);
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
    // An eighth is for HTTP, another for deliveries, 64 for files, an eighth of the rest for those that have not said yet who they are.
    assert_eq!(clients.len(), 256 - 32 - 32 - 64 - 16);
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
    let request = b"GET /keys HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert_eq!(&answer(page, request), b"HTTP/1.1 200");
    drop(idle);
    let log = fs::read_to_string(dir.path().join("log")).unwrap();
    assert!(log.lines().count() < 100, "{} lines in the log", log.lines().count());
}

/// What a command of the gateway prints.
fn made(dir: &Path, arguments: &[&str]) -> String {
    let output = Command::new(PROGRAM).current_dir(dir).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The program of the simulated device, which cargo builds for its own package's tests alone. With the features of the whole workspace,
/// and the profile of the tests, so that nothing is compiled anew.
pub(super) fn device_program() -> PathBuf {
    let folder = Path::new(PROGRAM).parent().unwrap();
    // A folder has the name of its profile, but for one.
    let profile = match folder.file_name().unwrap().to_str().unwrap() {
        "debug" => "dev",
        name => name,
    };
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--workspace", "--bin", "smart-city-device", "--profile", profile]);
    cargo.arg("--target-dir").arg(folder.parent().unwrap()).current_dir(env!("CARGO_MANIFEST_DIR"));
    assert!(cargo.status().unwrap().success());
    folder.join("smart-city-device")
}

/// A simulated device that runs, and the lines that it has printed.
pub(super) struct Running {
    process: Process,
    lines: mpsc::Receiver<String>,
}

impl Running {
    pub(super) fn start(program: &Path, dir: &Path, broker: &str, more: &[&str]) -> Self {
        let mut command = Command::new(program);
        command.current_dir(dir).args(["--device", "lamp.toml", "--data", "device", "--broker", broker]);
        command.args(["--every", "0.2"]).args(more).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Process(command.spawn().unwrap());
        let (sender, lines) = mpsc::channel();
        let output = BufReader::new(process.0.stdout.take().unwrap());
        thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { process, lines }
    }

    /// Waits for a line.
    pub(super) fn says(&self, what: &str) {
        let deadline = Instant::now() + Duration::from_secs(20);
        let mut said = String::new();
        while !said.contains(what) {
            let left = deadline.saturating_duration_since(Instant::now());
            said += &self.lines.recv_timeout(left).unwrap_or_else(|_| panic!("{what}: {said}"));
        }
    }
}

/// Sends a request until it is accepted: it has to wait for the evidence of the one before.
async fn taken(gateway: &Gateway, request: &str) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while http(&gateway.http, request).await.0 != 202 {
        assert!(Instant::now() < deadline, "{request}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Somebody with nothing but the programs connects a device: its readings arrive, altered code is found, a restart takes the next epoch,
/// and another root key is used as soon as both sides have it.
#[tokio::test(flavor = "multi_thread")]
async fn a_device_is_connected_by_commands_alone() {
    const LAMP: &str = "70b3d5fffe000009";
    let dir = example();
    let path = dir.path();
    let program = device_program();
    let image = Command::new(&program).current_dir(path).args(["--code", "simulated"]).output().unwrap();
    let city =
        fs::read_to_string(path.join("city.toml")).unwrap() + std::str::from_utf8(&image.stdout).unwrap();
    fs::write(path.join("city.toml"), city).unwrap();
    let gateway = gateway(path, None);
    let broker = format!("mqtt://127.0.0.1:{}", gateway.mqtt);

    let provision = ["provision", LAMP, "--name", "Lamp", "--place", "9,8", "--image", "simulated"];
    let file = made(path, &[&provision[..], &["--stream", "traffic-flow"]].concat());
    fs::write(path.join("lamp.toml"), &file).unwrap();
    assert!(files(path).0.devices.values().any(|device| device.name == "Lamp" && device.place == [9, 8]));
    let password = made(path, &["user", "add", "yui", "--city", "midori", "--level", "1"]);
    let (_yui, mut received) = client(gateway.mqtt, "yui", Box::leak(password.trim().into()), &["out/yui/#"]);
    subscribed(&mut received).await;

    let mut device = Running::start(&program, path, &broker, &["--new-key"]);
    device.says("starts in epoch 1");
    device.says("readings with a receipt");
    let (topic, reading, said) = next(&mut received).await;
    assert_eq!((topic.as_str(), said["device"].as_str()), ("out/yui/traffic-flow", LAMP));
    assert!(serde_json::from_slice::<Value>(&reading).unwrap()["vehicles"].is_number());

    let instruct = format!(
        "POST /devices/{LAMP}/instructions\nContent-Type: application/json\n\
         Authorization: Bearer example-operator-token-0000\n\n{{\"region\":2,\"argument\":\"open\"}}"
    );
    taken(&gateway, &instruct).await;
    device.says("`open_gate`: it is as it was built, and ran");
    device.process.0.stdin.take().unwrap().write_all(b"what\npatch 2 17\n").unwrap();
    device.says("a line is");
    taken(&gateway, &instruct).await;
    device.says("`open_gate`: it is altered, and did not run");

    let recover = format!("POST /devices/{LAMP}/recover\nAuthorization: Bearer example-operator-token-0000");
    taken(&gateway, &recover).await;
    device.says("restored all functions, which is Intact now");
    device.says("begins epoch 2");
    device.says("readings with a receipt");

    // A new process knows of the epochs before by the file alone.
    drop(device);
    let device = Running::start(&program, path, &broker, &[]);
    device.says("starts in epoch 3");
    device.says("readings with a receipt");
    let file = made(path, &["rotate", LAMP]);
    device.says("not connected");
    drop(device);
    fs::write(path.join("lamp.toml"), &file).unwrap();
    let device = Running::start(&program, path, &broker, &[]);
    device.says("starts in epoch 4");
    device.says("readings with a receipt");

    // And if the gateway does not run when the key is rotated.
    let port = gateway.mqtt;
    drop(gateway);
    let file = made(path, &["rotate", LAMP]);
    let gateway = gateway_at(path, None, port);
    drop(device);
    fs::write(path.join("lamp.toml"), &file).unwrap();
    let device = Running::start(&program, path, &broker, &[]);
    device.says("starts in epoch 5");
    device.says("readings with a receipt");
    made(path, &["remove", LAMP]);
    device.says("not connected");
    drop(gateway);
    for command in [&["user", "remove", "yui"][..], &["user", "remove", "yui"]] {
        let output = Command::new(PROGRAM).current_dir(path).args(command).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.success(), error.is_empty(), "{error}");
    }
}

/// The start takes a while after the files were read. What changes meanwhile is read as soon as it is over.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_during_the_start_is_noticed() {
    let dir = example();
    let path = dir.path().join("city.toml");
    // The gateway waits for its key as long as nobody writes it.
    let key = dir.path().join("ear-key.pem");
    assert!(Command::new("mkfifo").arg(&key).status().unwrap().success());
    let during = thread::spawn(move || {
        let mut fifo = fs::File::options().write(true).open(key).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace("name = \"Gate 1\"", "name = \"North gate\"")).unwrap();
        fifo.write_all(smart_city_engine::attestation::Signer::generate().unwrap().as_bytes()).unwrap();
    });
    let gateway = gateway(dir.path(), None);
    during.join().unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while !http(&gateway.http, "GET /status").await.1.contains("North gate") {
        assert!(Instant::now() < deadline, "it is not read");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// What a command makes would be in the files, and with nobody.
#[test]
fn nothing_is_made_for_nobody() {
    let dir = example();
    let before = fs::read_to_string(dir.path().join("secrets.toml")).unwrap();
    for to in ["/dev/null", "/dev/full"] {
        let out = fs::File::options().write(true).open(to).unwrap();
        let mut command = Command::new(PROGRAM);
        let output =
            command.current_dir(dir.path()).args(["user", "password", "hana"]).stdout(out).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && error.contains("nothing was changed"), "{to}: {error}");
    }
    let script = format!("{PROGRAM} rotate {GATE} >&-");
    assert!(!Command::new("sh").current_dir(dir.path()).args(["-c", &script]).status().unwrap().success());
    assert_eq!(fs::read_to_string(dir.path().join("secrets.toml")).unwrap(), before);
}

/// A terminal is a character device, as that which takes nothing is; and as this one, which takes all.
#[test]
fn what_is_made_goes_to_a_terminal() {
    let dir = example();
    let out = fs::File::options().write(true).open("/dev/zero").unwrap();
    let mut command = Command::new(PROGRAM);
    command.current_dir(dir.path()).args(["user", "password", "hana"]).stdout(out);
    assert!(command.status().unwrap().success());
}

/// Starts a gateway that logs into a pipe.
fn logging_into(dir: &Path, log: std::io::PipeWriter, options: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(["--config", "city.toml", "--secrets", "secrets.toml", "--data", "data"]).args(options);
    command.current_dir(dir).env("RUST_LOG", "trace").stdout(Stdio::piped()).stderr(log);
    command
}

/// A log that nobody reads, or that cannot be written, neither ends nor stops the gateway.
#[tokio::test(flavor = "multi_thread")]
async fn it_goes_on_without_its_log() {
    let examine = format!("POST /devices/{GATE}/examine\nAuthorization: Bearer example-operator-token-0000");
    for is_closed in [true, false] {
        let dir = example();
        let (reader, writer) = std::io::pipe().unwrap();
        let command = logging_into(dir.path(), writer, &["--mqtt", "127.0.0.1:0", "--http", "127.0.0.1:0"]);
        let mut gateway = ready(dir.path(), command);
        let reader = (!is_closed).then_some(reader);
        // More than there is room for in a pipe. Each is a record of the audit log, and so a line of the log.
        for i in 0..1000 {
            assert_eq!(http(&gateway.http, &examine).await.0, 409, "closed: {is_closed}, {i}");
        }
        assert_eq!(http(&gateway.http, "GET /healthz").await.0, 200);
        let pid = gateway.process.0.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let deadline = Instant::now() + Duration::from_secs(20);
        let ended = loop {
            if let Some(ended) = gateway.process.0.try_wait().unwrap() {
                break ended;
            }
            assert!(Instant::now() < deadline, "it does not end");
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        assert!(ended.success(), "{ended}");
        drop(reader);
    }
}

/// It tells its log that there is no broker, and connects when there is one, whether the log can be written or not.
#[tokio::test(flavor = "multi_thread")]
async fn it_reaches_a_broker_without_its_log() {
    let dir = example();
    let port = free_port();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let broker = format!("mqtt://127.0.0.1:{port}");
    let options = ["--broker", &broker, "--http", "127.0.0.1:0"];
    let mut process = Process(logging_into(dir.path(), writer, &options).spawn().unwrap());
    tokio::time::sleep(Duration::from_secs(1)).await;
    let _mosquitto = tokio::task::block_in_place(|| mosquitto_at(dir.path(), port));
    let (sender, lines) = mpsc::channel();
    let mut output = BufReader::new(process.0.stdout.take().unwrap());
    thread::spawn(move || {
        let mut line = String::new();
        output.read_line(&mut line).map(|_| sender.send(line))
    });
    let line = tokio::task::block_in_place(|| lines.recv_timeout(Duration::from_secs(20)));
    assert!(line.as_ref().is_ok_and(|line| line.starts_with("ready")), "{line:?}");
}

/// From its first moments on SIGHUP has it read the files again.
#[tokio::test(flavor = "multi_thread")]
async fn a_hangup_during_the_start_does_not_end_it() {
    let dir = example();
    // The gateway waits for its key as long as nobody writes it.
    let key = dir.path().join("ear-key.pem");
    assert!(Command::new("mkfifo").arg(&key).status().unwrap().success());
    let mut command = Command::new(PROGRAM);
    command.args(["--config", "city.toml", "--secrets", "secrets.toml", "--data", "data"]);
    command.args(["--mqtt", "127.0.0.1:0", "--http", "127.0.0.1:0"]).current_dir(dir.path());
    command.stdout(Stdio::piped()).stderr(fs::File::create(dir.path().join("log")).unwrap());
    let mut process = Process(command.spawn().unwrap());
    let mut fifo = fs::File::options().write(true).open(key).unwrap();
    let pid = process.0.id().to_string();
    assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
    fifo.write_all(smart_city_engine::attestation::Signer::generate().unwrap().as_bytes()).unwrap();
    drop(fifo);
    let mut line = String::new();
    BufReader::new(process.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("ready"), "{line:?}");
    let deadline = Instant::now() + Duration::from_secs(20);
    while !fs::read_to_string(dir.path().join("log")).unwrap().contains("configuration loaded") {
        assert!(Instant::now() < deadline, "the files are not read again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
