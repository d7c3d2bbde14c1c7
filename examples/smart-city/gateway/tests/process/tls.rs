//! TLS, of the own broker and the HTTP server, and at Mosquitto.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use smart_city_address::Address;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, ServerName, pem::PemObject as _},
    },
};

use super::{
    program::{Running, device_program},
    *,
};

/// Who makes certificates.
pub(super) struct Authority(pub(super) CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(super) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// A new certificate, as `chain.pem` and `key.pem`; returns what it is.
    pub(super) fn certify(&self, dir: &Path) -> CertificateDer<'static> {
        let key = KeyPair::generate().unwrap();
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &self.0).unwrap();
        fs::write(dir.join("key.pem"), key.serialize_pem()).unwrap();
        fs::write(dir.join("chain.pem"), certificate.pem()).unwrap();
        certificate.der().clone()
    }
}

/// The answer to a request by a client that trusts the authorities in `authorities.pem`, and the certificate that the server has shown.
async fn https(
    dir: &Path,
    address: &str,
    request: &str,
) -> std::io::Result<(String, CertificateDer<'static>)> {
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_file_iter(dir.join("authorities.pem")).unwrap() {
        roots.add(root.unwrap()).unwrap();
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let stream = tokio::net::TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    let request = format!("{request} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
    let body = "{\"token\":\"example-viewer-token-0000\"}";
    let length = body.len();
    stream
        .write_all(
            format!("{request}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}")
                .as_bytes(),
        )
        .await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok((answer, stream.get_ref().1.peer_certificates().unwrap()[0].clone()))
}

/// A client like [`client`], that is told only whether it is let in.
async fn is_let_in(address: &str, authorities: Option<&Path>) -> Result<(), String> {
    let address: Address = address.parse().unwrap();
    let options = address.options("hana", "example-hana", authorities).unwrap();
    let (_client, mut events) = AsyncClient::builder(options).capacity(1).build();
    let event = timeout(Duration::from_secs(20), events.poll()).await.expect("an answer");
    event.map(drop).map_err(|error| error.to_string())
}

const LAMP: &[&str] = &[
    "provision",
    "70b3d5fffe000009",
    "--name",
    "Lamp",
    "--place",
    "9,9",
    "--image",
    "gate-1.0",
    "--stream",
    "traffic-flow",
];

#[tokio::test(flavor = "multi_thread")]
async fn the_gateway_speaks_tls_and_takes_new_certificates() {
    let dir = example();
    let path = dir.path();
    let (authority, other) = (Authority::new("authority"), Authority::new("other"));
    fs::write(path.join("authorities.pem"), authority.0.pem()).unwrap();
    fs::write(path.join("other.pem"), other.0.pem()).unwrap();
    let first = authority.certify(path);
    let provisioned = Command::new(PROGRAM).current_dir(path).args(LAMP).output().unwrap();
    assert!(provisioned.status.success(), "{provisioned:?}");
    fs::write(path.join("lamp.toml"), provisioned.stdout).unwrap();
    let gateway = gateway_with(path, None, 0, &["--tls-certificate", "chain.pem", "--tls-key", "key.pem"]);

    // A device with its readings, and one that trusts somebody else.
    let broker = format!("mqtts://localhost:{}", gateway.mqtt);
    let program = device_program();
    let device = Running::start(&program, path, &broker, &["--new-key", "--authorities", "authorities.pem"]);
    device.says("readings with a receipt");
    drop(device);
    let device = Running::start(&program, path, &broker, &["--authorities", "other.pem"]);
    device.says("not connected");
    drop(device);
    let trusted = path.join("authorities.pem");
    assert_eq!(is_let_in(&broker, Some(&trusted)).await, Ok(()));
    assert_eq!(is_let_in(&format!("mqtts://127.0.0.1:{}", gateway.mqtt), Some(&trusted)).await, Ok(()));
    assert!(is_let_in(&broker, Some(&path.join("other.pem"))).await.is_err());
    assert!(is_let_in(&broker.replace("mqtts", "mqtt"), None).await.is_err(), "without TLS nobody is let in");

    let (answer, shown) = https(path, &gateway.http, "POST /session").await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && shown == first, "{answer}");
    assert!(answer.contains("; HttpOnly; SameSite=Strict; Max-Age=43200; Secure\r\n"), "{answer}");
    let cookie = answer.split_once("set-cookie: ").unwrap().1.split(';').next().unwrap().to_owned();
    let (_, session) = cookie.split_once("__Host-session=").unwrap();
    for (cookie, status) in [(cookie.clone(), 200), (format!("session={session}"), 401)] {
        let (answer, _) =
            https(path, &gateway.http, &format!("GET /session HTTP/1.1\r\nCookie: {cookie}\r\nX:"))
                .await
                .unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
    }
    let expiry = async || {
        let request = "GET /metrics HTTP/1.1\r\nAuthorization: Bearer example-viewer-token-0000\r\nX:";
        let (answer, _) = https(path, &gateway.http, request).await.unwrap();
        let value = answer.split_once("\nsmart_city_certificate_expires_timestamp_seconds ").unwrap().1;
        value.lines().next().unwrap().parse::<i64>().unwrap()
    };
    // What the library that makes certificates takes if it is not told anything: the year 4096.
    assert_eq!(expiry().await, 67_090_118_400);
    assert_eq!(http(&gateway.http, "GET /").await.0, 0, "without TLS there is no answer");

    // Files that do not belong together change nothing; a new certificate is shown from then on.
    let log = || fs::read_to_string(path.join("log")).unwrap();
    let until = async |what: &str, count: usize| {
        let deadline = Instant::now() + Duration::from_secs(20);
        while log().matches(what).count() < count {
            assert!(Instant::now() < deadline, "{what}: {}", log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    fs::write(path.join("key.pem"), KeyPair::generate().unwrap().serialize_pem()).unwrap();
    until("the certificate is the one of before", 1).await;
    assert_eq!(https(path, &gateway.http, "GET /").await.unwrap().1, first);
    let second = authority.certify(path);
    until("the certificate was read again", 1).await;
    assert_eq!(https(path, &gateway.http, "GET /").await.unwrap().1, second);
    assert_eq!(is_let_in(&broker, Some(&trusted)).await, Ok(()));
    other.certify(path);
    until("the certificate was read again", 2).await;
    assert!(
        https(path, &gateway.http, "GET /").await.is_err()
            && is_let_in(&broker, Some(&trusted)).await.is_err()
    );
    assert!(!log().contains("PRIVATE"));
}

/// The gateway at a Mosquitto with TLS, whose certificate it verifies.
#[tokio::test(flavor = "multi_thread")]
async fn mosquitto_is_reached_with_tls() {
    let dir = example();
    let path = dir.path();
    let (authority, other) = (Authority::new("authority"), Authority::new("other"));
    fs::write(path.join("authorities.pem"), authority.0.pem()).unwrap();
    fs::write(path.join("other.pem"), other.0.pem()).unwrap();
    authority.certify(path);
    let port = free_port();
    drop(mosquitto_at(path, port));
    let conf = fs::read_to_string(path.join("mosquitto.conf")).unwrap();
    let listener = format!("listener {port} 127.0.0.1\n");
    assert!(conf.contains(&listener));
    let tls = format!("{listener}certfile chain.pem\nkeyfile key.pem\n");
    fs::write(path.join("mosquitto.conf"), conf.replace(&listener, &tls)).unwrap();
    let log = fs::File::create(path.join("mosquitto.log")).unwrap();
    let mut command = Command::new(find("mosquitto"));
    let _mosquitto =
        Process(command.args(["-c", "mosquitto.conf"]).current_dir(path).stderr(log).spawn().unwrap());

    let broker = format!("mqtts://localhost:{port}");
    let gateway =
        gateway_with(path, None, 0, &["--broker", &broker, "--broker-authorities", "authorities.pem"]);
    assert_eq!(is_let_in(&broker, Some(&path.join("authorities.pem"))).await, Ok(()));
    assert_eq!(http(&gateway.http, "GET /readyz").await.0, 200);
    drop(gateway);
    // With others it does not get ready.
    let mut command = Command::new(PROGRAM);
    let files =
        ["--config", "city.toml", "--secrets", "secrets.toml", "--data", "data", "--http", "127.0.0.1:0"];
    command.current_dir(path).args(files).args(["--broker", &broker, "--broker-authorities", "other.pem"]);
    let log = fs::File::create(path.join("log")).unwrap();
    let _gateway = Process(command.stderr(log).spawn().unwrap());
    let deadline = Instant::now() + Duration::from_secs(20);
    while !fs::read_to_string(path.join("log")).unwrap().contains("not connected to the broker") {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// What a process listens at on the loopback interface, over IPv4.
fn ports(process: &Process) -> Vec<u16> {
    let folder = format!("/proc/{}/fd", process.0.id());
    let links = fs::read_dir(folder).unwrap().filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
    let sockets: BTreeSet<String> = links.map(|link| link.to_string_lossy().into_owned()).collect();
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let ports = table.lines().skip(1).filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let is_own = words[3] == "0A" && sockets.contains(&format!("socket:[{}]", words[9]));
        is_own.then(|| u16::from_str_radix(words[1].strip_prefix("0100007F:")?, 16).ok()).flatten()
    });
    ports.collect()
}

/// With TLS nobody is let in without it, not even from the same machine; nor is anybody kept out by those who connect and say nothing.
/// And keys that others can read are told.
#[tokio::test(flavor = "multi_thread")]
async fn tls_is_not_gone_around() {
    use std::{io::Write as _, os::unix::fs::PermissionsExt as _};
    let dir = example();
    let path = dir.path();
    let authority = Authority::new("authority");
    fs::write(path.join("authorities.pem"), authority.0.pem()).unwrap();
    authority.certify(path);
    let signer = smart_city_engine::attestation::Signer::generate().unwrap();
    fs::write(path.join("ear-key.pem"), signer.as_bytes()).unwrap();
    for key in ["key.pem", "ear-key.pem"] {
        fs::set_permissions(path.join(key), fs::Permissions::from_mode(0o644)).unwrap();
    }
    let gateway = gateway_with(path, None, 0, &["--tls-certificate", "chain.pem", "--tls-key", "key.pem"]);
    let log = fs::read_to_string(path.join("log")).unwrap();
    for key in [" key.pem", "ear-key.pem"] {
        assert!(log.contains(&format!("{key} can be read by others")), "{key}: {log}");
    }

    let ports = ports(&gateway.process);
    assert_eq!(ports.len(), 2, "{ports:?}");
    tokio::task::block_in_place(|| {
        for port in ports {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
            stream.write_all(&connect_packet("hana", "example-hana")).unwrap();
            let answer = brokers::read_packet(&mut stream);
            assert!(!matches!(&answer, Some((0x20, body)) if body[1] == 0), "{port}: let in without TLS");
        }
    });
    assert_eq!(
        is_let_in(&format!("mqtts://localhost:{}", gateway.mqtt), Some(&path.join("authorities.pem"))).await,
        Ok(())
    );

    let silent: Vec<TcpStream> = (0..300).map(|_| TcpStream::connect(&gateway.http).unwrap()).collect();
    let answer = timeout(Duration::from_secs(3), https(path, &gateway.http, "GET /healthz")).await;
    assert!(answer.expect("a place").unwrap().0.starts_with("HTTP/1.1 200"));
    drop(silent);
}
