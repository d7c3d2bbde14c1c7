//! The name and the password that a user has at the broker, in a request (HTTP Basic, RFC 7617).

use base64ct::{Base64, Encoding as _};
use http::{HeaderMap, header};
use smart_city_engine::config::Secrets;
use zeroize::Zeroizing;

/// The user whose name and password these are.
pub(crate) fn user(headers: &HeaderMap, secrets: &Secrets) -> Option<String> {
    let given = headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Basic ")?;
    let given = Zeroizing::new(Base64::decode_vec(given.trim()).ok()?);
    let (name, password) = given.split_at_checked(given.iter().position(|byte| *byte == b':')?)?;
    let name = std::str::from_utf8(name).ok()?;
    secrets.users.get(name)?.matches(&password[1..]).then(|| name.to_owned())
}
