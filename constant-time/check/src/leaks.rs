//! Deliberate leaks: a tool that does not catch them does not work.

use anyhow::{Result, ensure};
use operations::Leak;

/// Compares what a tool found for `leak` with what it has to find, a part of the text or nothing, and says which.
pub(crate) fn judge(leak: Leak, expected: Option<&str>, finding: Option<&str>) -> Result<String> {
    let is_right = match (expected, finding) {
        (None, None) => true,
        (Some(expected), Some(finding)) => finding.contains(expected),
        _ => false,
    };
    ensure!(
        is_right,
        "the deliberate leak {:?} gives {finding:?} instead of {expected:?}: this check does not work",
        leak.name()
    );
    Ok(match expected {
        Some(expected) => format!("deliberate leak {}: caught, {expected}", leak.name()),
        None => format!("deliberate leak {}: nothing to report", leak.name()),
    })
}

#[cfg(test)]
mod tests {
    use super::judge;
    use operations::Leak;

    #[test]
    fn only_what_is_expected_is_right() {
        assert!(judge(Leak::None, None, None).is_ok());
        assert!(judge(Leak::None, None, Some("division")).is_err());
        assert!(judge(Leak::Division, Some("division"), Some("division: udiv")).is_ok());
        assert!(judge(Leak::Division, Some("division"), Some("another address")).is_err());
        assert!(judge(Leak::Division, Some("division"), None).is_err());
    }
}
