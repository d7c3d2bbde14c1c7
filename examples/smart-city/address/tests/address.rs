//! Addresses, and what of them is found before anything is sent.

use std::{io::Write as _, path::Path};

use rumqttc::Transport;
use smart_city_address::Address;

#[test]
fn addresses_are_parsed_and_shown() {
    for (text, host, port, is_tls) in [
        ("mqtt://a", "a", 1883, false),
        ("mqtt://a:1/", "a", 1, false),
        ("mqtt://[::1]", "::1", 1883, false),
        ("mqtt://[fe::1]:2", "fe::1", 2, false),
        ("mqtts://a", "a", 8883, true),
        ("mqtts://[::1]:1", "::1", 1, true),
    ] {
        let address: Address = text.parse().unwrap();
        assert_eq!(address, Address { host: host.to_owned(), port, is_tls });
        assert_eq!(address.to_string().parse::<Address>().unwrap(), address);
    }
    for wrong in ["a:1883", "mqtt://", "mqtts://", "mqtt://a:x", "mqtt://a:0", "mqtt://:1", "http://a"] {
        assert!(wrong.parse::<Address>().is_err(), "{wrong}");
    }
    assert_eq!(Address::default().to_string(), "mqtt://127.0.0.1:1883");
}

#[test]
fn authorities_are_read_before_anything_is_sent() {
    let (plain, tls): (Address, Address) = ("mqtt://a".parse().unwrap(), "mqtts://a".parse().unwrap());
    assert!(matches!(plain.options("x", "", None).unwrap().transport(), Transport::Tcp));
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let options = |address: &Address, path: &Path| address.options("x", "", Some(path));
    for (path, what) in [(file.path(), "no certificate"), (Path::new("/none"), "/none")] {
        let error = format!("{:#}", options(&tls, path).unwrap_err());
        assert!(error.contains(what), "{error}");
    }
    file.write_all(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    assert!(options(&tls, file.path()).is_err());
    assert!(options(&plain, file.path()).is_err());
}
