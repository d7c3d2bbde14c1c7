//! What texts must look like: URIs, times, names.

use jiff::Timestamp;

use crate::problem::{Problem, Result};

/// The longest URI and the longest name.
const LONGEST: usize = 512;

/// Whether this is an absolute URI: a scheme, a colon, and something that has neither spaces nor what RFC 3986 excludes.
pub(crate) fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let scheme_is_good = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    let rest_is_good = rest.bytes().all(|byte| byte.is_ascii_graphic() && !b"<>\"{}|\\^`".contains(&byte));
    scheme_is_good && !rest.is_empty() && rest_is_good && text.len() <= LONGEST
}

pub(crate) fn uri(text: &str, what: &str) -> Result<String> {
    if is_uri(text) { Ok(text.to_owned()) } else { Err(Problem::bad(format!("{what} is not a URI"))) }
}

/// A name of a type or an attribute (clause 4.6.2), short or as a URI.
pub(crate) fn is_name(text: &str) -> bool {
    let forbidden = |c: char| c.is_whitespace() || c.is_control() || "<>\"'=;()|,[]{}&".contains(c);
    (1..=LONGEST).contains(&text.len()) && !text.starts_with('@') && !text.contains(forbidden)
}

/// A time in UTC (clause 4.6.3).
pub(crate) fn time(text: &str) -> Option<Timestamp> {
    text.parse().ok().filter(|_| text.ends_with('Z') && text.contains('T'))
}

/// A time with milliseconds.
pub(crate) fn print(time: Timestamp) -> String {
    format!("{time:.3}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_names_and_times() {
        for (text, expected) in [
            ("urn:ngsi-ld:Building:1", true),
            ("https://a/b#c", true),
            ("a:b", true),
            ("thisisaninvaliduri", false),
            ("urn:", false),
            ("1a:b", false),
            ("urn:a b", false),
            ("urn:<a>", false),
            ("", false),
        ] {
            assert_eq!(is_uri(text), expected, "{text}");
        }
        assert!(!is_uri(&format!("urn:{}", "a".repeat(LONGEST))));
        for (text, expected) in
            [("speed", true), ("a:b", true), ("", false), ("@id", false), ("a b", false), ("a;b", false)]
        {
            assert_eq!(is_name(text), expected, "{text}");
        }
        assert_eq!(time("2026-01-02T03:04:05Z").map(print).as_deref(), Some("2026-01-02T03:04:05.000Z"));
        assert_eq!(time("2026-01-02T03:04:05+01:00"), None);
        assert_eq!(time("2026-01-02"), None);
        assert_eq!(time("yesterday Z"), None);
    }
}
