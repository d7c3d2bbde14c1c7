//! The example files are good, and each fault in them is found where it is.

use std::{fs, path::Path};

use crate::common;
use smart_city_engine::config::{City, Role, Secrets};
use smart_city_frame::{Class, DeviceId};

fn example() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../gateway/example"))
}

/// The fault that is reported when `from` is replaced by `to` in the example's `name`.
fn fault(name: &str, from: &str, to: &str) -> String {
    let dir = common::example();
    let path = dir.path().join(name);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{from}");
    fs::write(&path, text.replacen(from, to, 1)).unwrap();
    let read = City::read(&dir.path().join("city.toml"))
        .and_then(|city| Secrets::read(&dir.path().join("secrets.toml"), &city));
    let error = read.expect_err("a fault").to_string();
    error.replace(&format!("{}/", dir.path().display()), "")
}

/// The line of the example on which `text` begins.
fn line(name: &str, text: &str) -> usize {
    let content = fs::read_to_string(example().join(name)).unwrap();
    content[..content.find(text).unwrap()].matches('\n').count() + 1
}

#[test]
fn the_example_is_good() {
    let city = City::read(&example().join("city.toml")).unwrap();
    let secrets = Secrets::read(&example().join("secrets.toml"), &city).unwrap();
    assert_eq!((city.streams.len(), city.devices.len(), city.users.len()), (3, 2, 3));
    assert_eq!(city.streams[&3].stream.class, Class::Confidential);
    let gate = DeviceId([0x70, 0xb3, 0xd5, 0xff, 0xfe, 0, 0, 1]);
    assert_eq!(city.devices[&gate].streams, [1, 3]);
    assert!(secrets.users["hana"].matches(b"example-hana"));
    let who = |token: &[u8]| secrets.operator(token).map(|(name, operator)| (name, operator.role));
    assert_eq!(who(b"example-operator-token-0000"), Some(("kana", Role::Operator)));
    assert_eq!(who(b"example-auditor-token-0000"), Some(("mei", Role::Auditor)));
    assert_eq!(who(b"example-viewer-token-0000"), Some(("wall", Role::Viewer)));
    for wrong in [&b""[..], b"example-operator-token-000", b"example-operator-token-0001"] {
        assert_eq!(secrets.operator(wrong), None);
    }
    let shown = format!("{secrets:?} {:?}", secrets.devices[&gate]);
    assert_eq!(shown, "Secrets { .. } (RootKey { .. }, Secret { .. })");
}

#[test]
fn faults_are_found_where_they_are() {
    for (from, to, field, message) in [
        ("owner = \"midori\"", "owner = \"midoro\"", "streams[0].owner", "there is no city `midoro`"),
        ("class = \"public\"", "class = \"open\"", "streams[0].class", "unknown variant `open`"),
        ("level = 2                       #", "level = 10 #", "users[0].level", "a level is 0 to 9"),
        (
            "departments = [\"traffic\", \"weather\"",
            "partners = [{ city = \"nagi\" }]\ndepartments = [\"traffic\", \"weather\"",
            "partners[0].city",
            "there is no city `nagi`",
        ),
        (
            "departments = [\"traffic\", \"weather\"",
            "partners = [{ city = \"midori\" }]\ndepartments = [\"traffic\", \"weather\"",
            "partners[0].city",
            "the gateway's own city is no partner",
        ),
        (
            "departments = [\"traffic\", \"weather\"",
            "partners = [{ city = \"aoba\" }, { city = \"aoba\" }]\ndepartments = [\"traffic\", \"weather\"",
            "partners[1].city",
            "this city is there twice",
        ),
        ("level = 2                       #", "level = \"2\" #", "users[0].level", "invalid type: string"),
        ("level = 2                       #", "leve = 2 #", "users[0]", "unknown field `leve`"),
        ("id = \"ren\"", "id = \"hana\"", "users[1].id", "`hana` is there twice"),
        ("id = \"ren\"", "id = \"gateway\"", "users[1].id", "`gateway` is there twice"),
        ("id = \"ren\"", "id = \"70b3d5fffe000009\"", "users[1].id", "must not be an EUI-64"),
        (
            "content_type = \"application/json\"",
            "content_type = \"json\"",
            "streams[0].content_type",
            "no media type",
        ),
        (
            "content_type = \"application/json\"",
            "content_type = \"/json\"",
            "streams[0].content_type",
            "no media type",
        ),
        (
            "content_type = \"application/json\"",
            "content_type = \"text/ plain\"",
            "streams[0].content_type",
            "no media type",
        ),
        ("id = \"ren\"", "id = \"out/+\"", "users[1].id", "a name is 1 to 32"),
        (
            "departments = [\"weather\"]",
            "departments = [\"wether\"]",
            "users[1].departments",
            "there is no department `wether`",
        ),
        ("image = \"gate-1.0\"", "image = \"gate-1.1\"", "devices[0].image", "there is no image `gate-1.1`"),
        (
            "code = \"code/close_gate.bin\"",
            "code = \"code/none.bin\"",
            "images[0].regions[1].code",
            "none.bin: No such file",
        ),
        ("\"70b3d5fffe000002\"", "\"70b3d5fffe00000\"", "devices[1].id", "16 hex digits"),
        ("\"70b3d5fffe000002\"", "\"70b3d5fffe000001\"", "devices[1].id", "is there twice"),
        (
            "streams = [\"air-quality\"]",
            "streams = [\"air\"]",
            "devices[1].streams",
            "there is no stream `air`",
        ),
        (
            "partners = [\"aoba\"]",
            "partners = [\"midori\"]",
            "streams[1].partners",
            "the owner is no partner",
        ),
        (
            "evidence_deadline_ms = 2000",
            "evidence_deadline_ms = 0",
            "gateway.evidence_deadline_ms",
            "must be 1 to 86400000",
        ),
        (
            "evidence_deadline_ms = 2000",
            "evidence_deadline_ms = 86400001",
            "gateway.evidence_deadline_ms",
            "must be 1 to 86400000",
        ),
        ("audit_file_kb = 65536", "audit_file_kb = 0", "gateway.audit_file_kb", "must be at least 1"),
        ("# silent_minutes = 10", "silent_minutes = 0", "gateway.silent_minutes", "must be at least 1"),
        (
            "[139.7528, 35.6852]",
            "[139.7528, 90.5]",
            "devices[0].position",
            "a longitude and a latitude in degrees",
        ),
        (
            "[139.7528, 35.6852]",
            "[-181.0, 35.6852]",
            "devices[0].position",
            "a longitude and a latitude in degrees",
        ),
        (
            "[139.7528, 35.6852]",
            "[nan, 35.6852]",
            "devices[0].position",
            "a longitude and a latitude in degrees",
        ),
        (
            "departments = [\"traffic\", \"weather\", \"rescue\"]",
            "history = { hours = 0, most = 1 }\ndepartments = [\"traffic\", \"weather\", \"rescue\"]",
            "history.hours",
            "must be at least 1",
        ),
        (
            "departments = [\"traffic\", \"weather\", \"rescue\"]",
            "history = { hours = 1, most = 0 }\ndepartments = [\"traffic\", \"weather\", \"rescue\"]",
            "history.most",
            "must be at least 1",
        ),
        (
            "departments = [\"traffic\", \"weather\", \"rescue\"]",
            "history = { hours = 876001, most = 1 }\ndepartments = [\"traffic\", \"weather\", \"rescue\"]",
            "history.hours",
            "must be at most 876000",
        ),
        ("evidence_attempts = 3", "evidence_attempts = 0", "gateway.evidence_attempts", "must be 1 to 100"),
        ("evidence_attempts = 3", "evidence_attempts = 101", "gateway.evidence_attempts", "must be 1 to 100"),
        ("place = [7, 1]", "place = [3, 4]", "devices[1].place", "another device is there"),
        ("place = [7, 1]", "place = [1024, 1]", "devices[1].place", "a place is 0 to 1023"),
        ("place = [7, 1]", "place = [7, 65535]", "devices[1].place", "a place is 0 to 1023"),
        ("id = \"ren\"", "id = \"70b3d5fffe0000ff\"", "users[1].id", "must not be an EUI-64"),
        ("id = \"ren\"", "id = \"70b3d5fffe000001\"", "users[1].id", "must not be an EUI-64"),
        ("id = \"ren\"", "id = \"abcdefghijklmnopqrstuvwxyz0123456\"", "users[1].id", "a name is 1 to 32"),
        ("id = \"ren\"", "id = \"\"", "users[1].id", "a name is 1 to 32"),
        (
            "departments = [\"weather\"]",
            "departments = [\"weather\", \"weather\"]",
            "users[1].departments",
            "is there twice",
        ),
        (
            "streams = [\"air-quality\"]",
            "streams = [\"air-quality\", \"air-quality\"]",
            "devices[1].streams",
            "is there twice",
        ),
    ] {
        let error = fault("city.toml", from, to);
        let start = format!("city.toml:{}: {field}", line("city.toml", from));
        assert!(error.starts_with(&start) && error.contains(message), "{error}\nis not\n{start}: {message}");
    }
}

/// What is just within the limits is taken.
#[test]
fn limits_are_exact() {
    let dir = common::example();
    let change = |name: &str, pairs: &[(&str, &str)]| {
        let path = dir.path().join(name);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(path, pairs.iter().fold(text, |text, (from, to)| text.replace(from, to))).unwrap();
    };
    let name = "abcdefghijklmnopqrstuvwxyz-_.012";
    assert_eq!(name.len(), 32);
    let level = "level = 2                       #";
    change(
        "city.toml",
        &[("\"ren\"", &format!("\"{name}\"")), ("[7, 1]", "[1023, 0]"), (level, "level = 9 #")],
    );
    change("city.toml", &[("_ms = 2000", "_ms = 86400000"), ("attempts = 3", "attempts = 100")]);
    change("secrets.toml", &[("users.ren", &format!("users.\"{name}\""))]);
    let city = City::read(&dir.path().join("city.toml")).unwrap();
    Secrets::read(&dir.path().join("secrets.toml"), &city).unwrap();
}

const CLUSTER: &str = "[cluster]\ndatabase = \"host=db user=city dbname=city\"\nshards = 16\n";

/// Several gateways share what is in their database, and nothing that is in the folder of one.
#[test]
fn what_several_gateways_share_is_checked() {
    let end = "[[cities]]\nid = \"midori\"";
    let with = |table: &str| {
        let dir = common::example();
        let path = dir.path().join("city.toml");
        fs::write(&path, fs::read_to_string(&path).unwrap().replacen(end, &format!("{table}\n{end}"), 1))
            .unwrap();
        City::read(&path)
    };
    let city = with(CLUSTER).unwrap();
    let cluster = city.cluster.clone().unwrap();
    assert_eq!((cluster.shards, cluster.lease.as_secs(), cluster.authorities), (16, 10, None));
    let first = line("city.toml", end);
    let fault = city.cluster_fault("database", "a fault").to_string();
    assert!(fault.ends_with(&format!("city.toml:{first}: cluster.database: a fault")), "{fault}");
    let cluster = with(&format!("{CLUSTER}lease_seconds = 300\nauthorities = \"database.pem\""))
        .unwrap()
        .cluster
        .unwrap();
    assert_eq!(cluster.lease.as_secs(), 300);
    assert!(cluster.authorities.unwrap().ends_with("database.pem"));
    for (table, at, field, message) in [
        (CLUSTER.replace("16", "0"), 2, "cluster.shards", "must be 1 to 1024"),
        (CLUSTER.replace("16", "1025"), 2, "cluster.shards", "must be 1 to 1024"),
        (format!("{CLUSTER}lease_seconds = 1"), 3, "cluster.lease_seconds", "must be 2 to 300"),
        (format!("{CLUSTER}lease_seconds = 301"), 3, "cluster.lease_seconds", "must be 2 to 300"),
        (format!("{CLUSTER}leases = 3"), 3, "cluster", "unknown field `leases`"),
        ("[cluster]\nshards = 16".to_owned(), 0, "cluster", "missing field `database`"),
        (
            format!("{CLUSTER}[ngsi_ld]"),
            0,
            "cluster",
            "`ngsi_ld` keeps something in the folder of one gateway",
        ),
        (
            format!("{CLUSTER}[handover]"),
            0,
            "cluster",
            "`handover` keeps something in the folder of one gateway",
        ),
        (format!("{CLUSTER}[[partners]]\ncity = \"aoba\""), 0, "cluster", "`partners` keeps something"),
    ] {
        let error = with(&table).unwrap_err().to_string();
        let start = format!("city.toml:{}: {field}", first + at);
        assert!(error.contains(&start) && error.contains(message), "{error}\nis not\n{start}: {message}");
    }
}

/// Whatever of the files is another, the digest is, too.
#[test]
fn digests_are_of_all_that_is_read() {
    let dir = common::example();
    let digests = || {
        let city = City::read(&dir.path().join("city.toml")).unwrap();
        let secrets = Secrets::read(&dir.path().join("secrets.toml"), &city).unwrap();
        [city.digest, secrets.digest]
    };
    let mut seen = vec![digests()];
    for (file, changes) in [
        ("city.toml", [true, false]),
        ("secrets.toml", [false, true]),
        ("code/open_gate.bin", [true, false]),
        ("code/close_gate.bin", [true, false]),
    ] {
        let before = seen[seen.len() - 1];
        assert_eq!(digests(), before);
        let path = dir.path().join(file);
        fs::write(&path, [&fs::read(&path).unwrap()[..], b"\n"].concat()).unwrap();
        let now = digests();
        assert_eq!([now[0] != before[0], now[1] != before[1]], changes, "{file}");
        seen.push(now);
    }
    // A byte that goes from the end of one file to the beginning of the next.
    let [open, close] =
        ["open_gate", "close_gate"].map(|name| dir.path().join("code").join(name).with_extension("bin"));
    let before = digests();
    let (mut first, second) = (fs::read(&open).unwrap(), fs::read(&close).unwrap());
    let byte = first.pop().unwrap();
    fs::write(&open, first).unwrap();
    fs::write(&close, [&[byte][..], &second].concat()).unwrap();
    assert_ne!(digests()[0], before[0]);
}

/// A confidential stream names its level itself: no level would be level 0, and so everybody's.
#[test]
fn a_confidential_stream_needs_a_level() {
    let error = fault("city.toml", "min_level = 2\n", "\n");
    assert!(error.contains("streams[2].min_level: a confidential stream needs one"), "{error}");
}

const TOKEN: &str = "\"df7f0fb6027b9eebc6ac527d0a72c494cde3f4797f04076133d13631fe09fe6b\"";
const EMPTY: &str = "\"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"";

#[test]
fn faults_of_secrets_show_no_secret() {
    for (from, to, field, message) in [
        (
            "\"000102030405060708090a0b0c0d0e0f\"",
            "\"0001020304050607\"",
            "devices.70b3d5fffe000001.root_key",
            "is not 32 hex digits",
        ),
        (
            "\"000102030405060708090a0b0c0d0e0f\"",
            "123456789",
            "devices.70b3d5fffe000001.root_key",
            "invalid type: integer ",
        ),
        ("[users.ren]", "[users.rem]", "users.rem", "there is no such user"),
        ("mqtt_password = \"example-ren\"", "123456789 = 1", "users.ren", "unknown field, expected"),
        (TOKEN, "\"example-operator-token-0000\"", "operators.kana.token_sha256", "is not 64 hex digits"),
        (TOKEN, EMPTY, "operators.kana.token_sha256", "is that of an empty token"),
        ("\"operator\"", "\"123456789\"", "operators.kana.role", "is not `viewer`, `auditor` or `operator`"),
        ("[operators.kana]", "[operators.Kana]", "operators.Kana", "a name is 1 to 32"),
        ("\"example-gate-1\"", "\"\"", "devices.70b3d5fffe000001.mqtt_password", "is empty"),
        ("\"example-ren\"", "\"\"", "users.ren.mqtt_password", "is empty"),
        ("\"example-gateway-password\"", "\"\"", "gateway_password", "is empty"),
        (
            "\"101112131415161718191a1b1c1d1e1f\"",
            "\"000102030405060708090a0b0c0d0e0f\"",
            "devices.70b3d5fffe000002.root_key",
            "is another device's too",
        ),
        (
            "\"101112131415161718191a1b1c1d1e1f\"",
            "\"00000000000000000000000000000000\"",
            "devices.70b3d5fffe000002.root_key",
            "is all zeros",
        ),
    ] {
        let error = fault("secrets.toml", from, to);
        let start = format!("secrets.toml:{}: {field}: ", line("secrets.toml", from));
        assert!(error.starts_with(&start) && error.contains(message), "{error}\nis not\n{start}{message}");
        assert!(!error.contains("00010203") && !error.contains("123456789"), "{error}");
    }
    let error = fault("secrets.toml", "[users.ren]\nmqtt_password = \"example-ren\"\n", "");
    assert_eq!(error, "secrets.toml: users.ren: is missing");
    let twice = format!("[operators.other]\nrole = \"viewer\"\ntoken_sha256 = {TOKEN}\n[operators.kana]");
    let error = fault("secrets.toml", "[operators.kana]", &twice);
    assert!(error.ends_with(": operators.other.token_sha256: is another operator's too"), "{error}");
    // Nothing of a line that is no TOML is shown.
    let error =
        fault("secrets.toml", "\"000102030405060708090a0b0c0d0e0f\"", "000102030405060708090a0b0c0d0e0f");
    assert!(!error.contains("0102"), "{error}");
}
