//! Entities of devices at another broker, over TLS.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    },
};

use super::{tls::Authority, *};

/// Another broker: takes requests over TLS, and answers each with 204. Returns its port, the requests, and how many connections came.
async fn other_broker(dir: &Path) -> (u16, mpsc::UnboundedReceiver<(String, Value)>, Arc<AtomicUsize>) {
    let chain = CertificateDer::pem_file_iter(dir.join("chain.pem")).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(dir.join("key.pem")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let acceptor = TlsAcceptor::from(Arc::new(config.with_single_cert(chain, key).unwrap()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, requests) = mpsc::unbounded_channel();
    let connections = Arc::<AtomicUsize>::default();
    let count = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            count.fetch_add(1, Relaxed);
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let (mut text, mut buffer) = (Vec::new(), [0; 4096]);
            loop {
                let n = stream.read(&mut buffer).await.unwrap_or(0);
                text.extend_from_slice(&buffer[..n]);
                let all = String::from_utf8_lossy(&text).into_owned();
                let Some((head, body)) = all.split_once("\r\n\r\n") else {
                    assert!(n > 0);
                    continue;
                };
                if let Ok(body) = serde_json::from_str(body) {
                    drop(sender.send((head.to_owned(), body)));
                    break;
                }
            }
            drop(stream.write_all(b"HTTP/1.1 204 X\r\nConnection: close\r\n\r\n").await);
            drop(stream.shutdown().await);
        }
    });
    (port, requests, connections)
}

async fn until(gateway: &Gateway, path: &str, expected: &str) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let (_, text) = http(&gateway.http, &format!("GET {path}")).await;
        if text.contains(expected) {
            return;
        }
        assert!(Instant::now() < deadline, "{expected}: {text}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn entities_go_to_another_broker_whose_certificate_is_verified() {
    let dir = example();
    let path = dir.path();
    let (authority, other) = (Authority::new("authority"), Authority::new("other"));
    fs::write(path.join("authorities.pem"), other.0.pem()).unwrap();
    authority.certify(path);
    let (port, mut requests, connections) = other_broker(path).await;
    let mut city = fs::read_to_string(path.join("city.toml")).unwrap();
    city += &format!(
        "\n[ngsi_ld.streams.traffic-flow]\nmodel = \"TrafficFlowObserved\"\nproperties.intensity.from = \"vehicles\"\n\
         [[ngsi_ld.push]]\nname = \"aoba\"\nurl = \"https://localhost:{port}/there/\"\nauthorities = \"authorities.pem\"\n"
    );
    fs::write(path.join("city.toml"), &city).unwrap();
    let gateway = gateway(path, None);
    let (files, _) = files(path);
    let (gate, mut received) =
        client(gateway.mqtt, &GATE.to_string(), "example-gate-1", &["down/70b3d5fffe000001"]);
    subscribed(&mut received).await;
    let mut link = DeviceLink::new(&root(GATE), GATE, Epoch(1));
    let mut buffer = [0; 255];
    let mut measure = |vehicles: u32| {
        let reading = format!("{{\"vehicles\":{vehicles}}}");
        let frame = link.seal_reading(files.streams[&1].stream, reading.as_bytes(), &mut buffer).unwrap();
        send(&gate, &format!("up/{GATE}/1"), frame);
    };
    // The other broker has a certificate of somebody who is not trusted: it gets nothing.
    measure(1);
    until(&gateway, "/metrics", "smart_city_pushes_failed_total{to=\"aoba\"} 1\n").await;
    until(&gateway, "/metrics", "smart_city_entities_to_push{to=\"aoba\"} 1\n").await;
    assert!(connections.load(Relaxed) > 0 && requests.try_recv().is_err());

    // With the right authority it gets the newest, and what comes then.
    fs::write(path.join("authorities.pem"), authority.0.pem()).unwrap();
    fs::write(path.join("city.toml"), city.clone() + "# changed\n").unwrap();
    let id = format!("urn:ngsi-ld:TrafficFlowObserved:device:{GATE}");
    let intensity = "https://smartdatamodels.org/dataModel.Transportation/intensity";
    for vehicles in 1..4 {
        if vehicles > 1 {
            measure(vehicles);
        }
        let (head, body) = timeout(Duration::from_secs(20), requests.recv()).await.unwrap().unwrap();
        let expected = format!(
            "POST /there/ngsi-ld/v1/entityOperations/upsert?options=update HTTP/1.1\r\nhost: localhost:{port}\r\n"
        );
        assert!(head.to_lowercase().starts_with(&expected.to_lowercase()), "{head}");
        assert_eq!(
            (&body[0]["id"], &body[0][intensity]["value"]),
            (&id.clone().into(), &vehicles.into()),
            "{body}"
        );
    }
    until(&gateway, "/metrics", "smart_city_pushed_entities_total{to=\"aoba\"} 3\n").await;
    until(&gateway, "/status", "\"sent\":3").await;

    // A stream that is not for all any more is taken away there.
    let traffic = city.find("name = \"traffic-flow\"").unwrap();
    let class = traffic + city[traffic..].find("class = \"public\"").unwrap();
    let mut internal = city.clone();
    internal.replace_range(
        class..class + "class = \"public\"".len(),
        "class = \"internal\"\ndepartments = [\"traffic\"]",
    );
    fs::write(path.join("city.toml"), internal).unwrap();
    let (head, body) = timeout(Duration::from_secs(20), requests.recv()).await.unwrap().unwrap();
    assert!(head.starts_with("POST /there/ngsi-ld/v1/entityOperations/delete HTTP/1.1"), "{head}");
    assert_eq!(body, serde_json::json!([id]));
    until(&gateway, "/metrics", "smart_city_withdrawn_entities_total{to=\"aoba\"} 1\n").await;
}
