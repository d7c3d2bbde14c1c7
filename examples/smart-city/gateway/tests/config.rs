//! The example files are good, and each fault in them is found where it is.

use std::{fs, path::Path};

use smart_city_frame::{Class, DeviceId};
use smart_city_gateway::config::{City, Secrets};

fn example() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/example"))
}

/// The fault that is reported when `from` is replaced by `to` in the example's `name`.
fn fault(name: &str, from: &str, to: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("code")).unwrap();
    for file in ["city.toml", "secrets.toml", "code/open_gate.bin", "code/close_gate.bin"] {
        let mut content = fs::read(example().join(file)).unwrap();
        if file == name {
            let text = String::from_utf8(content).unwrap();
            assert!(text.contains(from), "{from}");
            content = text.replacen(from, to, 1).into_bytes();
        }
        fs::write(dir.path().join(file), content).unwrap();
    }
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
    let shown = format!("{secrets:?} {:?}", secrets.devices[&gate]);
    assert_eq!(shown, "Secrets { .. } (RootKey { .. }, Secret { .. })");
}

#[test]
fn faults_are_found_where_they_are() {
    for (from, to, field, message) in [
        ("owner = \"midori\"", "owner = \"midoro\"", "streams[0].owner", "there is no city `midoro`"),
        ("class = \"public\"", "class = \"open\"", "streams[0].class", "unknown variant `open`"),
        ("level = 2                       #", "level = 10 #", "users[0].level", "a level is 0 to 9"),
        ("level = 2                       #", "level = \"2\" #", "users[0].level", "invalid type: string"),
        ("level = 2                       #", "leve = 2 #", "users[0]", "unknown field `leve`"),
        ("id = \"ren\"", "id = \"hana\"", "users[1].id", "`hana` is there twice"),
        ("id = \"ren\"", "id = \"gateway\"", "users[1].id", "`gateway` is there twice"),
        ("id = \"ren\"", "id = \"70b3d5fffe000009\"", "users[1].id", "must not be an EUI-64"),
        ("content_type = \"application/json\"", "content_type = \"json\"", "streams[0].content_type", "no media type"),
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
            "must not be 0",
        ),
        ("evidence_attempts = 3", "evidence_attempts = 0", "gateway.evidence_attempts", "must not be 0"),
    ] {
        let error = fault("city.toml", from, to);
        let start = format!("city.toml:{}: {field}", line("city.toml", from));
        assert!(error.starts_with(&start) && error.contains(message), "{error}\nis not\n{start}: {message}");
    }
}

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
        ("example-operator-token-0000", "short", "operator_token", "less than 16"),
    ] {
        let error = fault("secrets.toml", from, to);
        let start = format!("secrets.toml:{}: {field}: ", line("secrets.toml", from));
        assert!(error.starts_with(&start) && error.contains(message), "{error}\nis not\n{start}{message}");
        assert!(!error.contains("00010203") && !error.contains("123456789"), "{error}");
    }
    let error = fault("secrets.toml", "[users.ren]\nmqtt_password = \"example-ren\"\n", "");
    assert_eq!(error, "secrets.toml: users.ren: is missing");
    // Nothing of a line that is no TOML is shown.
    let error =
        fault("secrets.toml", "\"000102030405060708090a0b0c0d0e0f\"", "000102030405060708090a0b0c0d0e0f");
    assert!(!error.contains("0102"), "{error}");
}
