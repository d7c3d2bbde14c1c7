//! The gateway's HTTP server.

use super::*;

/// Sends a request as it is; returns all of the answer.
pub(crate) async fn raw(address: &str, request: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = timeout(Duration::from_secs(2), stream.read_to_end(&mut answer)).await;
    String::from_utf8(answer).unwrap()
}

/// A page of another site reads nothing, although the browser that shows it reaches the gateway; nor shows the gateway as its own.
#[tokio::test(flavor = "multi_thread")]
async fn other_sites_see_nothing() {
    let dir = example();
    let gateway = gateway_with(dir.path(), None, 0, &["--http-name", "city", "--http-name", "city.example"]);
    for path in ["/", "/status", "/events", "/keys"] {
        for (host, status) in [
            ("attacker.example", 421),
            ("127.0.0.1.attacker.example", 421),
            ("localhost.attacker.example", 421),
            ("town", 421),
            ("citycity.example", 421),
            ("", 421),
            ("city", 200),
            ("city.example:8080", 200),
            ("localhost", 200),
            ("localhost:8080", 200),
            ("127.0.0.1:8080", 200),
            ("[::1]:8080", 200),
        ] {
            let request = format!(
                "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\
                 Authorization: Bearer example-viewer-token-0000\r\n\r\n"
            );
            let answer = raw(&gateway.http, &request).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path}, {host}: {answer}");
            assert!(answer.contains("frame-ancestors 'none'"), "{answer}");
            if path == "/events" && status == 200 {
                break;
            }
        }
    }
    // Where errors are ProblemDetails, these are too.
    for (host, status) in [("attacker.example", 421), ("localhost", 403)] {
        let request = format!(
            "POST /ngsi-ld/v1/entities HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
            if status == 421 { host } else { "attacker.example" },
        );
        let answer = raw(&gateway.http, &request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert!(answer.contains("application/json") && answer.contains("about:blank"), "{answer}");
    }
    // A body has a length (clause 6.3.4 of NGSI-LD), and the answer nothing but the status.
    for (method, length, expected) in
        [("POST", "Transfer-Encoding: chunked", "411 "), ("PUT", "X: x", "411 "), ("DELETE", "X: x", "404 ")]
    {
        let request = format!(
            "{method} /ngsi-ld/v1/entities/urn:a:1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Authorization: Basic aGFuYTpleGFtcGxlLWhhbmE=\r\n{length}\r\n\r\n{}",
            if method == "POST" { "0\r\n\r\n" } else { "" },
        );
        let answer = raw(&gateway.http, &request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {expected}")), "{answer}");
        assert_eq!(answer.ends_with("\r\n\r\n"), expected == "411 ", "{answer}");
    }
    assert!(
        raw(&gateway.http, "GET /status HTTP/1.1\r\nConnection: close\r\n\r\n")
            .await
            .starts_with("HTTP/1.1 4")
    );
}

/// Connections that do nothing end; while they are there, devices and users connect.
#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_end() {
    use std::io::{Read as _, Write as _};
    let dir = example();
    let gateway = gateway(dir.path(), None);
    let mut idle: Vec<TcpStream> = (0..600).map(|_| TcpStream::connect(&gateway.http).unwrap()).collect();
    // Some have begun a request, and one has an answer.
    for stream in idle.iter_mut().skip(1).step_by(2) {
        stream.write_all(b"GET /status HTTP/1.1\r\nHost: local").unwrap();
    }
    idle[0].write_all(b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let (_hana, mut hana) = user(gateway.mqtt, "hana", &["out/hana/#"]);
    assert_eq!(next(&mut hana).await.0, "subscribed");
    let files = fs::read_dir(format!("/proc/{}/fd", gateway.process.0.id())).unwrap().count();
    assert!(files < 256 + 64, "{files} descriptors");
    tokio::task::block_in_place(|| {
        for stream in &mut idle[..200] {
            stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            let mut rest = Vec::new();
            // The end, and no time-out.
            if let Err(error) = stream.read_to_end(&mut rest) {
                assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
            }
        }
    });
    drop(idle);
    assert_eq!(http(&gateway.http, "GET /status").await.0, 200);
}

/// Whoever has no account keeps nobody else out, however many connections there are; and who has one keeps the place.
#[tokio::test(flavor = "multi_thread")]
async fn strangers_make_room() {
    use std::io::{Read as _, Write as _};
    let dir = example();
    let gateway = gateway(dir.path(), None);
    let known =
        "GET /session HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer example-viewer-token-0000\r\n\r\n";
    let answer = |stream: &mut TcpStream, request: &str| {
        stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = [0; 4096];
        let len = stream.read(&mut answer).expect("an answer");
        String::from_utf8_lossy(&answer[..len]).into_owned()
    };
    let mut viewer = TcpStream::connect(&gateway.http).unwrap();
    assert!(answer(&mut viewer, known).starts_with("HTTP/1.1 200"));
    let strangers: Vec<TcpStream> = (0..300)
        .map(|_| {
            let mut stream = TcpStream::connect(&gateway.http).unwrap();
            // They do something, and so are not idle.
            drop(stream.write_all(b"GET /keys HTTP/1.1\r\nHost: localhost\r\n\r\n"));
            stream
        })
        .collect();
    assert_eq!(http(&gateway.http, "GET /healthz").await, (200, "ok\n".to_owned()));
    assert!(answer(&mut viewer, known).starts_with("HTTP/1.1 200"), "the known one has its place");
    drop(strangers);
}

/// Monitoring asks by any name.
#[tokio::test(flavor = "multi_thread")]
async fn health_is_told_under_any_name() {
    let dir = example();
    let gateway = gateway(dir.path(), None);
    for (path, status) in [("/healthz", 200), ("/readyz", 200), ("/metrics", 421), ("/healthz/", 421)] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: gateway-7:8080\r\nConnection: close\r\n\r\n");
        let answer = raw(&gateway.http, &request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {answer}");
    }
}
