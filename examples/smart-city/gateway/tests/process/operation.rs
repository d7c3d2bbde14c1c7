//! What the people who run a gateway look at.

use super::*;

/// Waits until the answer to a request has this status; returns its text.
async fn answers(address: &str, request: &str, expected: u16) -> String {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let (status, text) = http(address, request).await;
        if status == expected {
            return text;
        }
        assert!(Instant::now() < deadline, "{request}: {status} {text}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A gateway without its broker works, but is not ready; and is again when the broker is back.
#[tokio::test(flavor = "multi_thread")]
async fn monitoring_sees_how_a_gateway_is() {
    let dir = example();
    let (mosquitto, port) = mosquitto(dir.path());
    let gateway = gateway(dir.path(), Some(port));
    let (city, _) = files(dir.path());
    let (gate, mut received) = client(port, &GATE.to_string(), "example-gate-1", &["down/70b3d5fffe000001"]);
    subscribed(&mut received).await;
    let mut link = DeviceLink::new(&root(GATE), GATE, Epoch(1));
    let mut buffer = [0; 255];
    let frame = link.seal_reading(city.streams[&1].stream, b"1", &mut buffer).unwrap();
    for _ in 0..2 {
        send(&gate, &format!("up/{GATE}/1"), frame);
    }
    next(&mut received).await;
    let metrics = async || http(&gateway.http, "GET /metrics").await.1;
    let deadline = Instant::now() + Duration::from_secs(20);
    while !metrics().await.contains("smart_city_messages_refused_total{reason=\"replayed\"} 1\n") {
        assert!(Instant::now() < deadline, "{}", metrics().await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for line in [
        "smart_city_devices{state=\"none\"} 2",
        "smart_city_devices_isolated 0",
        "smart_city_frames_accepted_total 1",
        "smart_city_configuration_fault 0",
        "smart_city_broker_connected 1",
        "smart_city_batch_seconds_bucket{le=\"+Inf\"}",
    ] {
        assert!(metrics().await.contains(&format!("\n{line}")), "{line}: {}", metrics().await);
    }
    assert_eq!(http(&gateway.http, "GET /healthz").await, (200, "ok\n".to_owned()));
    answers(&gateway.http, "GET /readyz", 200).await;

    drop(mosquitto);
    let text = answers(&gateway.http, "GET /readyz", 503).await;
    assert!(text.contains("no connection to the broker"), "{text}");
    assert_eq!(http(&gateway.http, "GET /healthz").await.0, 200);
    assert!(metrics().await.contains("\nsmart_city_broker_connected 0\n"));
    let _mosquitto = mosquitto_at(dir.path(), port);
    answers(&gateway.http, "GET /readyz", 200).await;
}

/// Whatever is logged, and by whatever library: no key, password or token is in it.
async fn logs_no_secret(dir: &Path, broker: Option<u16>) {
    let mut command = Command::new(PROGRAM);
    command.current_dir(dir).env("RUST_LOG", "trace").stderr(fs::File::create(dir.join("log")).unwrap());
    let files = ["--config", "city.toml", "--secrets", "secrets.toml", "--data", "data"];
    command.args(files).args(["--mqtt", "127.0.0.1:0", "--http", "127.0.0.1:0"]);
    if let Some(port) = broker {
        command.arg("--broker").arg(format!("mqtt://127.0.0.1:{port}"));
        command.args(["--broker-passwords", "passwords.sock"]);
    }
    let gateway = ready(dir, command);
    let gate = GATE.to_string();
    for (name, password, expected) in [
        ("hana", "example-hana", "subscribed"),
        ("hana", "example-of-a-wrong-password", "not connected"),
        (&gate, "example-gate-1", "subscribed"),
        (&gate, "example-of-a-wrong-password", "not connected"),
    ] {
        let (_client, mut received) = client(gateway.mqtt, name, password, &["x/#"]);
        assert_eq!(next(&mut received).await.0, expected, "{name}");
    }
    for token in ["example-operator-token-0000", "example-of-a-wrong-token"] {
        http(&gateway.http, &format!("POST /devices/{GATE}/examine\nAuthorization: Bearer {token}")).await;
    }
    let session = cookie(&log_in(&gateway.http, "operator").await).unwrap();
    assert_eq!(status(&ask(&gateway.http, "GET /status", &[&session], "").await), 200);
    let session = session.rsplit('=').next().unwrap();
    // Files with and without a fault.
    let path = dir.join("secrets.toml");
    let text = fs::read_to_string(&path).unwrap();
    let changed = text.replace("example-ren", "example-of-a-new-password");
    let faulty = text.replace("000102030405060708090a0b0c0d0e0f", "example-of-no-key");
    let log = || String::from_utf8_lossy(&fs::read(dir.join("log")).unwrap()).into_owned();
    for (text, event) in [(changed, "configuration loaded"), (faulty, "configuration refused")] {
        fs::write(&path, text).unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        while !log().contains(event) {
            assert!(Instant::now() < deadline, "{event}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    drop(gateway);
    // All passwords and tokens begin so; and how bytes are shown.
    let bytes = |text: &[u8]| format!("{text:?}").trim_matches(['[', ']']).to_owned();
    let key: Vec<u8> = (0..16).collect();
    for secret in
        [session.to_owned(), "example-".to_owned(), bytes(b"example-"), hex::encode(&key), bytes(&key)]
    {
        let log = log();
        let line = log.lines().find(|line| line.contains(&secret));
        assert!(line.is_none(), "{secret}: {line:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_own_broker_no_secret_is_logged() {
    logs_no_secret(example().path(), None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn at_mosquitto_no_secret_is_logged() {
    let dir = example();
    let (_mosquitto, port) = mosquitto(dir.path());
    logs_no_secret(dir.path(), Some(port)).await;
}

/// A request with these headers; returns the whole answer, or its beginning if it goes on for more than two seconds.
async fn ask(address: &str, request: &str, headers: &[&str], body: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let mut text = format!("{request} HTTP/1.1\r\nHost: localhost:80\r\nConnection: close\r\n");
    for header in headers {
        text += &format!("{header}\r\n");
    }
    text += &format!("Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = timeout(Duration::from_secs(2), stream.read_to_end(&mut answer)).await;
    String::from_utf8(answer).unwrap()
}

fn status(answer: &str) -> u16 {
    answer.get(9..12).and_then(|status| status.parse().ok()).unwrap_or(0)
}

/// The cookie that an answer sets.
fn cookie(answer: &str) -> Option<String> {
    let line = answer.lines().find_map(|line| line.strip_prefix("set-cookie: "))?;
    Some(format!("Cookie: {}", line.split(';').next()?))
}

async fn log_in(address: &str, who: &str) -> String {
    ask(address, "POST /session", &[], &format!("{{\"token\":\"example-{who}-token-0000\"}}")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_role_may_do_what_is_its() {
    let dir = example();
    let gateway = gateway(dir.path(), None);
    let device = |what: &str| format!("POST /devices/{GATE}/{what}");
    // For nobody, a viewer, an auditor and an operator.
    for (request, expected) in [
        ("GET /".to_owned(), [200, 200, 200, 200]),
        ("GET /page/main.js".to_owned(), [200, 200, 200, 200]),
        ("GET /page/none.js".to_owned(), [404, 404, 404, 404]),
        ("GET /keys".to_owned(), [200, 200, 200, 200]),
        ("GET /healthz".to_owned(), [200, 200, 200, 200]),
        ("GET /readyz".to_owned(), [200, 200, 200, 200]),
        ("GET /session".to_owned(), [401, 200, 200, 200]),
        ("GET /status".to_owned(), [401, 200, 200, 200]),
        ("GET /metrics".to_owned(), [401, 200, 200, 200]),
        ("GET /streams".to_owned(), [401, 200, 200, 200]),
        ("GET /streams/traffic-flow".to_owned(), [401, 200, 200, 200]),
        ("GET /events".to_owned(), [401, 200, 200, 200]),
        (format!("GET /devices/{GATE}"), [401, 200, 200, 200]),
        (format!("GET /devices/{GATE}/result"), [401, 404, 404, 404]),
        ("GET /audit".to_owned(), [401, 403, 200, 200]),
        (device("instructions"), [401, 403, 403, 409]),
        (device("examine"), [401, 403, 403, 409]),
        (device("recover"), [401, 403, 403, 409]),
    ] {
        for (who, expected) in ["", "viewer", "auditor", "operator"].into_iter().zip(expected) {
            let token = format!("Authorization: Bearer example-{who}-token-0000");
            let headers = if who.is_empty() { &[][..] } else { &[token.as_str()] };
            let answer = ask(&gateway.http, &request, headers, "{\"region\":1}").await;
            assert_eq!(status(&answer), expected, "{who} {request}: {answer}");
        }
    }
}

/// Somebody who has logged in is known by a cookie, until it ends; and the audit log names who it was.
#[tokio::test(flavor = "multi_thread")]
async fn a_login_lasts_until_it_ends() {
    let dir = example();
    let gateway = gateway(dir.path(), None);
    let address = gateway.http.as_str();
    let wrong = log_in(address, "other").await;
    assert!(status(&wrong) == 401 && cookie(&wrong).is_none(), "{wrong}");
    let answer = log_in(address, "operator").await;
    assert!(answer.ends_with("{\"operator\":\"kana\",\"role\":\"operator\"}"), "{answer}");
    assert!(answer.contains("; Path=/; HttpOnly; SameSite=Strict; Max-Age=43200\r\n"), "{answer}");
    assert_eq!(status(&log_in(address, "operator").await), 429, "just now");
    let own = cookie(&answer).unwrap();
    let examine = format!("POST /devices/{GATE}/examine");
    for (origin, expected) in [
        ("X-None: x", 409),
        ("Origin: http://localhost:80", 409),
        ("Origin: http://localhost", 403),
        ("Origin: http://attacker.example", 403),
        ("Origin: null", 403),
    ] {
        let answer = ask(address, &examine, &["Accept: */*", &own, origin], "").await;
        assert_eq!(status(&answer), expected, "{origin}: {answer}");
    }
    // Reading is for the page alone too, but a browser shows its answer to nobody else.
    let other = ["Cookie: other=1; session=0123", "Cookie: sessions=0", "Cookie: session"];
    for (cookie, expected) in [(own.as_str(), 200), (other[0], 401), (other[1], 401), (other[2], 401)] {
        assert_eq!(status(&ask(address, "GET /status", &[cookie], "").await), expected, "{cookie}");
    }
    // A token that is wrong is no reason to look at the cookie.
    let both = [own.as_str(), "Authorization: Bearer wrong"];
    assert_eq!(status(&ask(address, "GET /status", &both, "").await), 401);
    let out = ask(address, "DELETE /session", &[&own], "").await;
    assert!(
        status(&out) == 204 && out.contains("set-cookie: session=; ") && out.contains("Max-Age=0"),
        "{out}"
    );
    assert_eq!(status(&ask(address, "GET /status", &[&own], "").await), 401);

    // A new token ends what began with the old one, and what is being watched.
    let viewer = cookie(&log_in(address, "viewer").await).unwrap();
    let mut watching = TcpStream::connect(address).unwrap();
    let request = format!("GET /events HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{viewer}\r\n\r\n");
    std::io::Write::write_all(&mut watching, request.as_bytes()).unwrap();
    assert_eq!(status(&ask(address, "GET /status", &[&viewer], "").await), 200);
    let output = Command::new(PROGRAM).current_dir(dir.path()).args(["operator", "token", "wall"]).output();
    let token = String::from_utf8(output.unwrap().stdout).unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while status(&ask(address, "GET /status", &[&viewer], "").await) != 401 {
        assert!(Instant::now() < deadline, "it does not end");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let new = format!("Authorization: Bearer {}", token.trim());
    assert_eq!(status(&ask(address, "GET /status", &[&new], "").await), 200);
    // What happens from now on is not for who watches.
    fs::write(dir.path().join("city.toml"), "nonsense").unwrap();
    let watched = tokio::task::spawn_blocking(move || {
        watching.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut all = Vec::new();
        std::io::Read::read_to_end(&mut watching, &mut all).map(|_| all)
    });
    let watched = String::from_utf8(watched.await.unwrap().unwrap()).unwrap();
    assert!(watched.contains("event: changes") && !watched.contains("city.toml:1"), "{watched}");
    assert!(watched.ends_with("0\r\n\r\n"), "the stream ends: {watched}");

    let auditor = "Authorization: Bearer example-auditor-token-0000";
    let audit = ask(address, "GET /audit", &[auditor], "").await;
    let audit: Vec<Value> = serde_json::from_str(audit.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    let acts: Vec<_> = audit
        .iter()
        .filter_map(|record| Some((record["event"].as_str()?, record["detail"]["operator"].as_str()?)))
        .collect();
    let denied = audit.iter().find(|record| record["event"] == "denied").unwrap();
    assert_eq!(denied["detail"]["what"], "examine");
    assert_eq!(denied["detail"]["why"], "the device has not opened an epoch yet");
    let login = ("logged in", "kana");
    assert_eq!(
        acts,
        [login, ("denied", "kana"), ("denied", "kana"), ("logged out", "kana"), ("logged in", "wall")]
    );
}

/// The unit of systemd calls the program as it is; only its folders and ports are others here.
#[test]
fn the_service_starts_a_gateway() {
    let dir = example();
    let unit = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/smart-city-gateway.service"))
        .unwrap();
    let line = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    let line = line.replace("/etc/smart-city", dir.path().to_str().unwrap());
    let line = line.replace("/var/lib/smart-city", dir.path().join("data").to_str().unwrap());
    let line = line.replace(":1883", ":0").replace(":8080", ":0");
    let mut words = line.split_whitespace();
    assert_eq!(words.next(), Some("/usr/local/bin/smart-city-gateway"));
    let mut command = Command::new(PROGRAM);
    command.args(words).stderr(fs::File::create(dir.path().join("log")).unwrap());
    ready(dir.path(), command);
}

/// A user asks for readings of before with the account at the broker, and gets what the policy allows.
#[tokio::test(flavor = "multi_thread")]
async fn users_read_the_history() {
    let dir = example();
    let path = dir.path().join("city.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("history = {{ hours = 1, most = 10 }}\n{text}")).unwrap();
    let gateway = gateway(dir.path(), None);
    let (city, _) = files(dir.path());
    let (gate, mut received) =
        client(gateway.mqtt, &GATE.to_string(), "example-gate-1", &["down/70b3d5fffe000001"]);
    subscribed(&mut received).await;
    let mut link = DeviceLink::new(&root(GATE), GATE, Epoch(1));
    let mut buffer = [0; 255];
    let frame = link.seal_reading(city.streams[&3].stream, b"\xFFimage", &mut buffer).unwrap();
    send(&gate, &format!("up/{GATE}/3"), frame);
    next(&mut received).await;
    let basic = |name: &str, password: &str| {
        use base64ct::{Base64, Encoding as _};
        format!("Authorization: Basic {}", Base64::encode_string(format!("{name}:{password}").as_bytes()))
    };
    let [hana, ren] = [basic("hana", "example-hana"), basic("ren", "example-ren")];
    let query = "GET /history?stream=gate-camera";
    let answer = ask(&gateway.http, query, &[&hana], "").await;
    let readings: Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    let reading = &readings[0];
    assert_eq!(
        (reading["device"].as_str(), reading["payload_base64"].as_str()),
        (Some(&*GATE.to_string()), Some("/2ltYWdl"))
    );
    assert_eq!(
        (reading["class"].as_str(), reading["stream"].as_str()),
        (Some("confidential"), Some("gate-camera"))
    );
    let time = reading["time"].as_str().unwrap();
    for (headers, more, expected, count) in [
        (&[hana.as_str()][..], format!("&device={GATE}&from={time}&to={time}"), 200, 1),
        (&[hana.as_str()], "&limit=0".to_owned(), 200, 0),
        (&[hana.as_str()], "&to=2020-01-01T00:00:00Z".to_owned(), 200, 0),
        (&[hana.as_str()], format!("&device={MAST}"), 200, 0),
        (&[hana.as_str()], "&device=1".to_owned(), 404, 0),
        (&[hana.as_str()], "&from=yesterday".to_owned(), 400, 0),
        (&[hana.as_str()], "&until=1".to_owned(), 400, 0),
        (&[ren.as_str()], String::new(), 200, 0),
        (&[basic("hana", "example-ren").as_str()], String::new(), 401, 0),
        (&[basic("hana", "").as_str()], String::new(), 401, 0),
        (&["Authorization: Basic aGFuYQ=="], String::new(), 401, 0),
        (&["Authorization: Basic ?"], String::new(), 401, 0),
        (&["Authorization: Bearer example-operator-token-0000"], String::new(), 401, 0),
        (&[], String::new(), 401, 0),
    ] {
        let answer = ask(&gateway.http, &format!("{query}{more}"), headers, "").await;
        let body = answer.split("\r\n\r\n").nth(1).unwrap_or_default();
        let readings = serde_json::from_str::<Value>(body).ok().and_then(|body| Some(body.as_array()?.len()));
        assert_eq!((status(&answer), readings.unwrap_or(0)), (expected, count), "{more}: {answer}");
    }
}

/// The events and operators in the audit log.
async fn acts(address: &str) -> Vec<(String, String)> {
    let auditor = "Authorization: Bearer example-auditor-token-0000";
    let audit = ask(address, "GET /audit", &[auditor], "").await;
    let audit: Vec<Value> = serde_json::from_str(audit.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    let act = |record: &Value| {
        Some((record["event"].as_str()?.to_owned(), record["detail"]["operator"].as_str()?.to_owned()))
    };
    audit.iter().filter_map(act).collect()
}

/// Only the end of a session is in the audit log, and nobody ends another's.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_once_and_for_its_operator() {
    let dir = example();
    let gateway = gateway(dir.path(), None);
    let address = gateway.http.as_str();
    let own = cookie(&log_in(address, "operator").await).unwrap();
    let viewer = "Authorization: Bearer example-viewer-token-0000";
    for cookies in ["Cookie: session=x", own.as_str(), "Cookie: other=1"] {
        for _ in 0..30 {
            assert_eq!(status(&ask(address, "DELETE /session", &[viewer, cookies], "").await), 204);
        }
    }
    assert_eq!(status(&ask(address, "GET /status", &[&own], "").await), 200, "another has ended it");
    assert_eq!(acts(address).await, [("logged in".to_owned(), "kana".to_owned())]);
    let operator = "Authorization: Bearer example-operator-token-0000";
    for _ in 0..2 {
        assert_eq!(status(&ask(address, "DELETE /session", &[operator, &own], "").await), 204);
    }
    assert_eq!(status(&ask(address, "GET /status", &[&own], "").await), 401);
    assert_eq!(acts(address).await.len(), 2);
}

/// A stream of events, as it is read.
fn watch_events(address: &str, credential: &str) -> TcpStream {
    let mut watching = TcpStream::connect(address).unwrap();
    let request =
        format!("GET /events HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{credential}\r\n\r\n");
    std::io::Write::write_all(&mut watching, request.as_bytes()).unwrap();
    watching.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut begin = [0; 12];
    std::io::Read::read_exact(&mut watching, &mut begin).unwrap();
    assert_eq!(&begin, b"HTTP/1.1 200");
    watching
}

/// Who has logged out sees nothing more; and a session that has ended does not come back with its operator.
#[tokio::test(flavor = "multi_thread")]
async fn what_ends_with_a_session_stays_ended() {
    let dir = example();
    let gateway = gateway(dir.path(), None);
    let address = gateway.http.as_str();
    let viewer = cookie(&log_in(address, "viewer").await).unwrap();
    let mut watching = watch_events(address, &viewer);
    assert_eq!(status(&ask(address, "DELETE /session", &[&viewer], "").await), 204);
    let (path, city) = (dir.path().join("secrets.toml"), dir.path().join("city.toml"));
    let text = fs::read_to_string(&city).unwrap();
    fs::write(&city, "nonsense").unwrap();
    let watched = tokio::task::spawn_blocking(move || {
        let mut all = Vec::new();
        std::io::Read::read_to_end(&mut watching, &mut all).map(|_| all)
    });
    let watched = String::from_utf8(watched.await.unwrap().expect("the stream ends")).unwrap();
    assert!(!watched.contains("city.toml:1"), "{watched}");
    fs::write(&city, text).unwrap();

    let operator = cookie(&log_in(address, "operator").await).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let removed = Command::new(PROGRAM).current_dir(dir.path()).args(["operator", "remove", "kana"]).output();
    assert!(removed.unwrap().status.success());
    let token = "Authorization: Bearer example-operator-token-0000";
    answers(address, &format!("GET /status\n{token}"), 401).await;
    fs::write(&path, text).unwrap();
    answers(address, &format!("GET /status\n{token}"), 200).await;
    assert_eq!(status(&ask(address, "GET /status", &[&operator], "").await), 401, "the session is back");
}

/// Of too many streams of one operator the oldest ends, and there is room for others.
#[tokio::test(flavor = "multi_thread")]
async fn one_operator_does_not_watch_for_all() {
    let dir = example();
    let gateway = gateway(dir.path(), None);
    let viewer = "Authorization: Bearer example-viewer-token-0000";
    let mut streams: Vec<TcpStream> = (0..150).map(|_| watch_events(&gateway.http, viewer)).collect();
    let _operator = watch_events(&gateway.http, "Authorization: Bearer example-operator-token-0000");
    fs::write(dir.path().join("city.toml"), "nonsense").unwrap();
    let told = tokio::task::spawn_blocking(move || {
        let told = streams.iter_mut().map(|stream| {
            let (mut text, mut buffer) = (String::new(), [0; 4096]);
            while !text.contains("city.toml:1") {
                match std::io::Read::read(stream, &mut buffer) {
                    Ok(0) => return false,
                    Ok(len) => text += &String::from_utf8_lossy(&buffer[..len]),
                    Err(error) => panic!("{error}: {text}"),
                }
            }
            true
        });
        told.collect::<Vec<bool>>()
    });
    assert_eq!(told.await.unwrap(), [vec![false; 142], vec![true; 8]].concat());
}

/// Who guesses is counted and named.
#[tokio::test(flavor = "multi_thread")]
async fn wrong_logins_leave_a_trace() {
    let dir = example();
    let gateway = gateway(dir.path(), None);
    let address = gateway.http.as_str();
    // aGFuYTp3cm9uZw== is `hana:wrong`.
    let basic = "Authorization: Basic aGFuYTp3cm9uZw==";
    for _ in 0..5 {
        assert_eq!(status(&log_in(address, "wrong").await), 401);
        let token = "Authorization: Bearer wrong";
        assert_eq!(status(&ask(address, "GET /status", &[token], "").await), 401);
        assert_eq!(status(&ask(address, "GET /history?stream=x", &[basic], "").await), 401);
        let (_client, mut received) = client(gateway.mqtt, "hana", "wrong", &[]);
        assert_eq!(next(&mut received).await.0, "not connected");
    }
    // Nobody says who it is.
    assert_eq!(status(&ask(address, "GET /status", &[], "").await), 401);
    let metrics = http(address, "GET /metrics").await.1;
    for line in ["{over=\"http\"} 15", "{over=\"mqtt\"} "] {
        let line = format!("smart_city_logins_refused_total{line}");
        assert!(metrics.contains(&line), "{line}: {metrics}");
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let log = fs::read_to_string(dir.path().join("log")).unwrap();
    let warnings: Vec<&str> = log.lines().filter(|line| line.contains("a login is refused")).collect();
    assert!((1..=4).contains(&warnings.len()) && warnings[0].contains("127.0.0.1"), "{log}");
}

/// A gateway that gets no messages of devices is not ready.
#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_without_its_subscription_is_not_ready() {
    let dir = example();
    let (mosquitto, port) = mosquitto(dir.path());
    // The plugin alone refuses subscriptions: to all but its own answers here.
    brokers::somebody_else(port, &["removeRoleACL", "admin", "subscribePattern", "#"]);
    drop(mosquitto);
    let conf = dir.path().join("mosquitto.conf");
    let text = fs::read_to_string(&conf).unwrap();
    assert!(text.contains("\nacl_file "));
    fs::write(&conf, text.replace("\nacl_file ", "\n#acl_file ")).unwrap();
    let mut command = Command::new(find("mosquitto"));
    command.args(["-c", "mosquitto.conf"]).current_dir(dir.path());
    let _mosquitto = Process(command.stderr(Stdio::null()).spawn().unwrap());
    let gateway = gateway(dir.path(), Some(port));
    answers(&gateway.http, "GET /readyz", 503).await;
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let (status, text) = http(&gateway.http, "GET /readyz").await;
        assert!(status == 503 && text.contains("subscription"), "{status} {text}");
    }
    let metrics = http(&gateway.http, "GET /metrics").await.1;
    assert!(metrics.contains("\nsmart_city_broker_connected 1\n"), "{metrics}");
}
