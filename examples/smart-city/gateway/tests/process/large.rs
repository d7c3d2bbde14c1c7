//! A city with many devices: what it takes to know them.

use std::sync::atomic::{AtomicU64, Ordering};

use smart_city_devices::{
    client::{self, Input},
    device::Device,
    epoch::EpochFile,
    image::Image,
};
use smart_city_frame::{Class, Stream};

use super::*;

/// Memory after a start and after reloads, and time when nothing happens. `SMART_CITY_KNOWN` says how many devices there are.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_city_fits() {
    let devices = number("SMART_CITY_KNOWN", 5000);
    let dir = example();
    crowd(dir.path(), devices);
    let gateway = gateway(dir.path(), None);
    let loaded = || {
        let log = fs::read_to_string(dir.path().join("log")).unwrap();
        log.matches("configuration loaded").count()
    };
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (start, before) = (memory(&gateway.process), hundredths(&gateway.process));
    tokio::time::sleep(Duration::from_secs(5)).await;
    let idle = hundredths(&gateway.process) - before;
    let mut memories = vec![start];
    let path = dir.path().join("city.toml");
    for reload in 1..=3 {
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text + "\n").unwrap();
        let since = Instant::now();
        while loaded() < reload {
            assert!(since.elapsed() < Duration::from_secs(120), "it is not read again");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        memories.push(memory(&gateway.process));
    }
    println!(
        "{devices} devices: {memories:?} kB after the start and each reload; idle {idle} hundredths of 5 s"
    );
    let most = 80_000 + 4 * u64::from(devices);
    assert!(memories.iter().all(|memory| *memory < most), "{memories:?}, of {most}");
    // Both are there while the new one is read.
    assert!(
        memories[1..].iter().all(|memory| *memory < start + start / 2 + 4096),
        "memory grows with reloads: {memories:?}"
    );
    assert!(idle < 25, "{idle} hundredths of 5 s");
}

/// How many frames a second the gateway takes from 40 devices, and how many while four clients ask for pages of its status without a
/// pause. `SMART_CITY_KNOWN` says how many devices it knows.
#[tokio::test(flavor = "multi_thread")]
async fn frames_beside_clients_of_the_status() {
    const SENDERS: usize = 40;
    const READINGS: usize = 250;
    let known = number("SMART_CITY_KNOWN", 5000);
    let dir = example();
    let devices = crowd(dir.path(), known);
    let gateway = gateway(dir.path(), None);
    let stream = Stream { id: 1.try_into().unwrap(), class: Class::Public };
    let (reports, mut reported) = mpsc::channel(1024);
    let senders = devices.into_iter().zip(0..).take(SENDERS).map(|((id, password), i)| {
        let epochs = EpochFile::new(dir.path().join(format!("{id}.epoch")));
        let device = Device::start(id, crowd_root(i), &Image::simulated(), epochs).unwrap();
        let options = client::options(&id.to_string(), &password, ("127.0.0.1", gateway.mqtt));
        client::run(device, None, options, 0.0, reports.clone())
    });
    let senders: Vec<client::Handle> = senders.collect();
    let mut send = async |readings: usize| {
        let start = Instant::now();
        let measured = async {
            for _ in 0..readings {
                for sender in &senders {
                    sender.input.send(Input::Measured(stream, b"12".to_vec())).await.unwrap();
                }
            }
        };
        tokio::join!(measured, outage::receipts(&mut reported, SENDERS * readings));
        (SENDERS * readings) as f64 / start.elapsed().as_secs_f64()
    };
    // Until all are connected.
    send(1).await;
    let alone = send(READINGS).await;
    let pages = Arc::<AtomicU64>::default();
    let clients = (0..4).map(|_| {
        let (address, pages) = (gateway.http.clone(), Arc::clone(&pages));
        tokio::spawn(async move {
            loop {
                let (status, page) = http(&address, "GET /status?limit=1000").await;
                assert!(status == 200 && page.ends_with('}'), "{status}: {page}");
                pages.fetch_add(1, Ordering::Relaxed);
            }
        })
    });
    let clients: Vec<_> = clients.collect();
    let beside = send(READINGS).await;
    for client in &clients {
        assert!(!client.is_finished(), "a client has failed");
        client.abort();
    }
    let pages = pages.load(Ordering::Relaxed);
    println!(
        "{known} devices: {alone:.0} frames/s, and {beside:.0} beside four clients, who got {pages} pages"
    );
    assert!(pages >= 4, "nobody asked");
    assert!(beside > alone / 10.0, "{alone} frames/s, and {beside} beside clients of the status");
}
