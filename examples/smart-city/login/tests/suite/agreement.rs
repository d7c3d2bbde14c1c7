//! Faults of the table are found where they are.

use serde_json::{Value, json};
use smart_city_login::Agreement;

use crate::table;

fn fault(field: &str, value: Value) -> Option<(String, String)> {
    let mut table = table("https://id.aoba.example");
    table[field] = value;
    let parsed = Agreement::parse(
        &table,
        |name| name == "rescue" || name == "weather",
        |file| Err(format!("asked for {file:?}")),
    );
    parsed.err().map(|fault| (fault.field, fault.message))
}

#[test]
fn faults_are_found_where_they_are() {
    for (field, value, place, message) in [
        ("issuer", json!(""), "issuer", "is empty"),
        ("issuer", json!(7), "", "invalid type: integer `7`, expected a string"),
        ("audience", json!(""), "audience", "is empty"),
        ("level_claim", json!(""), "level_claim", "is empty"),
        ("departments_claim", json!(""), "departments_claim", "is empty"),
        ("leeway", json!(121), "leeway", "must be at most 120 seconds"),
        ("leeway", json!(-1), "", "invalid value: integer `-1`, expected u64"),
        ("max_life", json!(0), "max_life", "must be 1 to 86400 seconds"),
        ("max_life", json!(86_401), "max_life", "must be 1 to 86400 seconds"),
        ("max_level", json!(10), "max_level", "a level is 0 to 9"),
        ("departments", json!({ "Parks": "parks" }), "departments", "there is no department `parks`"),
        ("jwks", json!("no address"), "jwks", "is no address"),
        ("jwks", json!("/jwks"), "jwks", "must begin with https://"),
        ("jwks", json!("ftp://id.aoba.example/jwks"), "jwks", "must begin with https://"),
        ("jwks", json!("https://a:b@id.aoba.example/jwks"), "jwks", "has no host, or a name and a password"),
        (
            "jwks",
            json!("http://id.aoba.example/jwks"),
            "jwks",
            "must begin with https://: without TLS only an address of this machine is taken",
        ),
        ("jwks", json!("https://id.aoba.example/jwks"), "authorities", "are missing"),
        ("authorities", json!("aoba.pem"), "authorities", "asked for \"aoba.pem\""),
        ("jwk", json!(""), "", "unknown field `jwk`"),
    ] {
        let (found, text) = fault(field, value.clone()).unwrap_or_else(|| panic!("{field} = {value}"));
        assert_eq!((found.as_str(), text.starts_with(message)), (place, true), "{field} = {value}: {text}");
    }
}

#[test]
fn without_tls_only_this_machine_is_asked() {
    for (host, is_here) in [
        ("127.0.0.1", true),
        ("127.0.0.1:8080", true),
        ("localhost:1", true),
        ("[::1]:80", true),
        ("127.0.0.1.example", false),
        ("10.0.0.1", false),
        ("localhost.example", false),
        ("[::2]", false),
    ] {
        assert_eq!(fault("jwks", json!(format!("http://{host}/jwks"))).is_none(), is_here, "{host}");
    }
    let mut table = table("http://127.0.0.1:80");
    table["authorities"] = "aoba.pem".into();
    let parsed = Agreement::parse(&table, |_| true, |_| panic!("there is no TLS"));
    assert_eq!(parsed.unwrap_err().field, "authorities");
}
