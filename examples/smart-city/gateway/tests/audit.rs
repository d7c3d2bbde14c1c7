//! Whatever is changed in the audit log is found.

use std::{fs, path::Path};

use serde_json::json;
use smart_city_gateway::audit::{Audit, Head, verify};

fn write(dir: &Path) -> Head {
    let mut audit = Audit::open(dir, &Head::default()).unwrap();
    for i in 0..20 {
        audit.append("counted", json!({ "number": i }));
    }
    audit.flush().unwrap().clone()
}

#[test]
fn every_change_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let head = write(dir.path());
    let path = Audit::path(dir.path());
    let whole = fs::read(&path).unwrap();
    assert_eq!(verify(&path, &head).unwrap(), (head.clone(), whole.len() as u64));
    assert_eq!(head.n, 20);

    // A digit of each line.
    let lines: Vec<&[u8]> = whole.split_inclusive(|byte| *byte == b'\n').collect();
    for i in 0..lines.len() {
        let mut changed = lines.iter().map(|line| line.to_vec()).collect::<Vec<_>>();
        let at = String::from_utf8(changed[i].clone()).unwrap().find("\"number\":").unwrap() + 9;
        changed[i][at] = if changed[i][at] == b'9' { b'8' } else { changed[i][at] + 1 };
        fs::write(&path, changed.concat()).unwrap();
        assert!(verify(&path, &head).is_err(), "line {}", i + 1);
    }
    // A line removed, doubled, two exchanged, the end cut off.
    let variants: [Vec<&[u8]>; 4] = [
        lines.iter().enumerate().filter(|(i, _)| *i != 7).map(|(_, line)| *line).collect(),
        lines[..8].iter().chain(&lines[7..]).copied().collect(),
        [&lines[..7], &[lines[8], lines[7]], &lines[9..]].concat(),
        lines[..19].to_vec(),
    ];
    for variant in variants {
        fs::write(&path, variant.concat()).unwrap();
        assert!(verify(&path, &head).is_err());
        assert!(Audit::open(dir.path(), &head).is_err());
    }
}

/// A line that a loss of power has cut was never built on.
#[test]
fn a_torn_line_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let head = write(dir.path());
    let path = Audit::path(dir.path());
    let whole = fs::read(&path).unwrap();
    fs::write(&path, [&whole[..], b"{\"n\":21,\"ti"].concat()).unwrap();
    let mut audit = Audit::open(dir.path(), &head).unwrap();
    assert_eq!(fs::read(&path).unwrap(), whole);
    audit.append("goes on", json!({}));
    let head = audit.flush().unwrap().clone();
    assert_eq!((head.n, verify(&path, &head).is_ok()), (21, true));
}
