//! A city with many devices: what it takes to know them.

use super::*;

/// Memory after a start and after reloads, and time when nothing happens. `SMART_CITY_KNOWN` says how many devices there are.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_city_fits() {
    let devices = number("SMART_CITY_KNOWN", 5000);
    let dir = example();
    brokers::crowd(dir.path(), devices);
    let gateway = gateway(dir.path(), None);
    // User and system time in hundredths of a second.
    let time = || -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", gateway.process.0.id())).unwrap();
        let fields = stat.rsplit_once(") ").unwrap().1.split_whitespace();
        fields.skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum()
    };
    let loaded = || {
        let log = fs::read_to_string(dir.path().join("log")).unwrap();
        log.matches("configuration loaded").count()
    };
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (start, before) = (memory(&gateway.process), time());
    tokio::time::sleep(Duration::from_secs(5)).await;
    let idle = time() - before;
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
    assert!(
        memories[3] < memories[1] + memories[1] / 4 + 4096,
        "memory grows with each reload: {memories:?}"
    );
    assert!(idle < 25, "{idle} hundredths of 5 s");
}
