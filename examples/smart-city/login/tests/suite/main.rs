//! Logins with a real identity provider, and with one that does what none should.

mod agreement;
mod fetch;
#[path = "../provider/mod.rs"]
mod provider;
mod real;

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};
use smart_city_login::{Agreement, Logins, Pace};
use tokio::runtime::Handle;

/// So fast that a test need not wait for long.
const FAST: Pace = Pace {
    patience: Duration::from_millis(500),
    wait: Duration::from_millis(1500),
    interval: Duration::from_millis(200),
    longest: Duration::from_millis(400),
    refresh: Duration::from_secs(3600),
    stale: Duration::from_secs(3600),
};

fn table(issuer: &str) -> Value {
    json!({
        "issuer": issuer, "audience": provider::AUDIENCE, "jwks": format!("{issuer}/jwks"), "leeway": 0,
        "departments": { "Rescue Service": "rescue", "Weather Office": "weather" }, "max_level": 2,
    })
}

fn parse(table: &Value) -> Agreement {
    let is_department = |name: &str| ["rescue", "weather", "traffic"].contains(&name);
    Agreement::parse(table, is_department, |_| Err("there is no TLS here".to_owned())).unwrap()
}

/// With one city, `aoba`.
fn logins(agreement: Agreement, pace: Pace) -> Logins {
    let logins = Logins::new(Handle::current(), pace);
    logins.configure(BTreeMap::from([("aoba".to_owned(), agreement)]));
    logins
}
