//! Whatever is changed in the audit log is found.

use std::{
    cell::Cell,
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

use redb::{StorageBackend, backends::FileBackend};
use serde_json::json;
use smart_city_engine::{
    attestation::Signer,
    audit::{Audit, Head, Log, archives, lines_after, lines_in, verify_archives},
    engine::{Engine, Input},
    memory::Memory,
    store,
};

use crate::{
    common::{ask, engine, example, files},
    memory::try_open,
};

fn open(dir: &Path, known: &Head) -> Audit {
    open_at(&Audit::path(dir), known)
}

fn open_at(path: &Path, known: &Head) -> Audit {
    let log = Log::read(path, known).unwrap();
    assert_eq!(log.fault, None);
    let file = store::private().truncate(false).open(path).unwrap();
    Audit::open(FileBackend::new(file).unwrap(), &log).unwrap()
}

fn write(dir: &Path) -> Head {
    let mut audit = open(dir, &Head::default());
    audit.append(1, "started", json!({ "store": "one" }));
    for i in 1..20 {
        audit.append(i, "counted", json!({ "number": i }));
    }
    audit.flush().unwrap().clone()
}

fn fault(dir: &Path, known: &Head) -> Option<String> {
    Log::read(&Audit::path(dir), known).unwrap().fault
}

#[test]
fn every_change_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let head = write(dir.path());
    let path = Audit::path(dir.path());
    let whole = fs::read(&path).unwrap();
    let log = Log::read(&path, &head).unwrap();
    assert_eq!((&log.head, log.len, &log.fault), (&head, whole.len() as u64, &None));
    assert_eq!((head.n, log.store), (20, Some(("one".to_owned(), 19))));

    // A digit of each line.
    let lines: Vec<&[u8]> = whole.split_inclusive(|byte| *byte == b'\n').collect();
    for i in 0..lines.len() {
        let mut changed = lines.iter().map(|line| line.to_vec()).collect::<Vec<_>>();
        let at = String::from_utf8(changed[i].clone()).unwrap().find("\"commit\":").unwrap() + 9;
        changed[i][at] = if changed[i][at] == b'9' { b'8' } else { changed[i][at] + 1 };
        fs::write(&path, changed.concat()).unwrap();
        assert!(fault(dir.path(), &head).is_some(), "line {}", i + 1);
    }
    // A line removed, doubled, two exchanged, the end cut off, and all of it.
    let variants: [Vec<&[u8]>; 5] = [
        lines.iter().enumerate().filter(|(i, _)| *i != 7).map(|(_, line)| *line).collect(),
        lines[..8].iter().chain(&lines[7..]).copied().collect(),
        [&lines[..7], &[lines[8], lines[7]], &lines[9..]].concat(),
        lines[..19].to_vec(),
        Vec::new(),
    ];
    for variant in variants {
        fs::write(&path, variant.concat()).unwrap();
        assert!(fault(dir.path(), &head).is_some());
    }
    fs::remove_file(&path).unwrap();
    assert_eq!(fault(dir.path(), &head).unwrap(), "the end is missing: 0 records of at least 20");
    assert!(!path.exists());
}

/// A line that a loss of power has cut was never built on.
#[test]
fn a_torn_line_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let head = write(dir.path());
    let path = Audit::path(dir.path());
    let whole = fs::read(&path).unwrap();
    fs::write(&path, [&whole[..], b"{\"n\":21,\"ti"].concat()).unwrap();
    let mut audit = open(dir.path(), &head);
    assert_eq!(fs::read(&path).unwrap(), whole);
    audit.append(20, "goes on", json!({}));
    let head = audit.flush().unwrap().clone();
    assert_eq!((head.n, fault(dir.path(), &head)), (21, None));
}

/// A log that cannot be read is no log that is not there.
#[test]
fn what_cannot_be_read_is_not_taken_for_empty() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), b"").unwrap();
    Log::read(&dir.path().join("file/audit.jsonl"), &Head::default()).unwrap_err();
    let none = Log::read(&dir.path().join("audit.jsonl"), &Head::default()).unwrap();
    assert_eq!((none.head.n, none.fault), (0, None));
}

/// From any record on, however long the log is.
#[test]
fn lines_are_found_by_their_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let mut audit = open(dir.path(), &Head::default());
    for i in 1..=3000u64 {
        audit.append(i, if i == 1 { "started" } else { "counted" }, json!({ "store": "one", "number": i }));
    }
    audit.flush().unwrap();
    let path = Audit::path(dir.path());
    assert!(fs::metadata(&path).unwrap().len() > 6 * 65_536);
    for after in (0..20).chain((20..2980).step_by(37)).chain(2980..3010) {
        for limit in [0, 1, 100] {
            let lines = lines_after(&path, after, limit).unwrap();
            let numbers: Vec<u64> = lines.iter().map(|line| line["n"].as_u64().unwrap()).collect();
            let expected: Vec<u64> = (after + 1..=3000).take(limit).collect();
            assert_eq!(numbers, expected, "{limit} after {after}");
        }
    }
}

/// A file that counts what is read of it.
struct Counted<'a>(File, &'a Cell<usize>);

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.0.read(buffer)?;
        self.1.set(self.1.get() + read);
        Ok(read)
    }
}

impl Seek for Counted<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.seek(to)
    }
}

/// Who asks for a few lines of a log of 4 MB does not have all of it read.
#[test]
fn little_is_read_for_a_few_lines() {
    const LINES: u64 = 24_000;
    let dir = tempfile::tempdir().unwrap();
    let mut audit = open(dir.path(), &Head::default());
    for i in 1..=LINES {
        audit.append(i, if i == 1 { "started" } else { "counted" }, json!({ "store": "one", "number": i }));
    }
    audit.flush().unwrap();
    let path = Audit::path(dir.path());
    assert!(fs::metadata(&path).unwrap().len() > 4 << 20);
    for after in [0, 1, 500, LINES / 2, LINES - 500, LINES - 1, LINES, 2 * LINES] {
        let read = Cell::new(0);
        let lines = lines_in(Counted(File::open(&path).unwrap(), &read), after, 10).unwrap();
        assert_eq!(lines.len() as u64, LINES.saturating_sub(after).min(10));
        // The last 65,536 bytes, and a buffer or two for each time that it halves what is left.
        assert!(read.get() < 65_536 + 8 * 3 * 8192, "{} bytes for the lines after {after}", read.get());
    }
}

/// However much must not be forgotten, a new file is begun for what happened alone.
#[test]
fn a_file_is_not_full_by_what_was_known_before() {
    let dir = tempfile::tempdir().unwrap();
    let (dir, path) = (dir.path(), Audit::path(dir.path()));
    let mut audit = open(dir, &Head::default());
    audit.append(1, "started", json!({ "store": "one" }));
    audit.flush().unwrap();
    assert!(audit.is_full(100) && !audit.is_full(1000));
    let epochs: Vec<_> = (0..20).map(|i| (format!("70b3d5fffe0000{i:02x}"), "00".repeat(16), 1)).collect();
    let known = json!({ "store": "one", "epochs": epochs, "isolated": {} });
    let open_file = |file| Ok(Box::new(FileBackend::new(file)?) as Box<dyn StorageBackend>);
    audit.rotate(&path, 2, known, open_file).unwrap();
    let first = fs::metadata(&path).unwrap().len();
    assert!(first > 1000);
    // Also after a restart.
    let head = audit.flush().unwrap().clone();
    let mut again = open(dir, &head);
    while fs::metadata(&path).unwrap().len() < 2 * first {
        assert!(!audit.is_full(100) && !again.is_full(100) && !again.is_full(first + 100));
        again.append(3, "counted", json!({}));
        let head = again.flush().unwrap().clone();
        audit = open(dir, &head);
    }
    assert!(audit.is_full(100) && again.is_full(100) && !again.is_full(first + 1000));
}

/// The gateway that has the store open may be about to begin a new file of the log: another one that is started leaves it alone.
#[test]
fn a_second_gateway_changes_nothing() {
    let dir = example();
    let (first, _) = engine(dir.path());
    let archive = dir.path().join("audit.to-2.jsonl");
    fs::hard_link(Audit::path(dir.path()), &archive).unwrap();
    let error = try_open(dir.path(), false).unwrap_err();
    assert!(format!("{error:#}").contains("another gateway runs"), "{error:#}");
    assert!(archive.exists());
    drop(first);
    drop(engine(dir.path()));
    assert!(!archive.exists());
}

/// Who has results of before is told by the log which key they were signed with, also in another file.
#[test]
fn another_signing_key_is_in_the_log() {
    let dir = example();
    let signer = || Signer::generate().unwrap();
    let [one, two] = [signer(), signer()];
    let open = |pem: &[u8]| {
        let (mut city, secrets) = files(dir.path());
        city.audit_file_bytes = 1;
        let signer = Signer::from_pem(pem).unwrap();
        let key = signer.key_id().to_owned();
        let (mut engine, _) = Engine::open(dir.path(), city, secrets, signer).unwrap();
        assert_eq!(engine.jwks()["keys"][0]["kid"], key.as_str());
        for _ in 0..20 {
            let operator = "kana".to_owned();
            ask(&mut engine, |reply| Input::Session { operator, begins: true, reply });
        }
        key
    };
    let [first, _, second] = [&one, &one, &two].map(|pem| open(pem.as_bytes()));
    let path = Audit::path(dir.path());
    assert!(archives(&path).unwrap().len() > 3);
    let mut lines = lines_after(&path, 0, 1000).unwrap();
    lines.retain(|line| line["event"] == "signing key");
    let said: Vec<_> = lines.iter().map(|line| line["detail"].clone()).collect();
    assert_eq!(said, [json!({ "key": first, "before": null }), json!({ "key": second, "before": first })]);
}

/// Goes on in a new file.
fn rotate(dir: &Path, audit: &mut Audit) {
    let open = |file| Ok(Box::new(FileBackend::new(file)?) as Box<dyn StorageBackend>);
    audit.rotate(&Audit::path(dir), 30, Memory::default().to_record("one"), open).unwrap();
}

/// Each file is verified by itself, and with the others.
#[test]
fn the_chain_goes_on_over_files() {
    let dir = tempfile::tempdir().unwrap();
    let (dir, path) = (dir.path(), Audit::path(dir.path()));
    let head = write(dir);
    let mut audit = open(dir, &head);
    rotate(dir, &mut audit);
    for i in 0..20 {
        audit.append(30 + i, "counted", json!({}));
    }
    rotate(dir, &mut audit);
    audit.append(60, "counted", json!({}));
    let last = audit.flush().unwrap().clone();
    drop(audit);
    assert_eq!(last.n, 43);
    let archives = archives(&path).unwrap();
    let expected = [20, 41].map(|last| (last, dir.join(format!("audit.to-{last}.jsonl"))));
    assert_eq!(archives, expected);

    // The newest file has all that the gateway needs; what it was built on is known by the hash.
    let log = Log::read(&path, &last).unwrap();
    assert_eq!((&log.fault, log.before.n, &log.head), (&None, 41, &last));
    assert_eq!(log.store, Some(("one".to_owned(), 60)));
    for (n, hash, expected) in [
        (41, log.before.hash.clone(), None),
        (40, "other".to_owned(), None),
        (41, "other".to_owned(), Some("line 1: it continues another log".to_owned())),
    ] {
        assert_eq!(fault(dir, &Head { n, hash }), expected);
    }
    let lines = |after, limit| lines_after(&path, after, limit).unwrap();
    for after in 0..45 {
        for limit in [0, 1, 5, 22, 100] {
            let numbers: Vec<u64> =
                lines(after, limit).iter().map(|line| line["n"].as_u64().unwrap()).collect();
            assert_eq!(numbers, (after + 1..=43).take(limit).collect::<Vec<_>>(), "{limit} after {after}");
        }
    }
    assert_eq!(verify_archives(&path, &log).unwrap(), []);

    // Each change of an archive is found, and one that is kept elsewhere is named.
    for (_, archive) in &archives {
        let whole = fs::read(archive).unwrap();
        let cut = whole.iter().rposition(|byte| *byte == b'{').unwrap();
        let mut changed = whole.clone();
        changed[cut / 2] ^= 1;
        let longer = [&whole[..], &whole[cut..]].concat();
        for wrong in [&whole[..cut], &changed, &longer] {
            fs::write(archive, wrong).unwrap();
            verify_archives(&path, &log).unwrap_err();
        }
        fs::write(archive, whole).unwrap();
    }
    // Also if the one behind it is not there; what is in none is named.
    let [first, second] = [0, 1].map(|i: usize| fs::read(&archives[i].1).unwrap());
    fs::remove_file(&archives[1].1).unwrap();
    assert_eq!(verify_archives(&path, &log).unwrap(), [21..=41]);
    fs::write(&archives[0].1, String::from_utf8(first).unwrap().replacen("\"number\":7", "\"number\":8", 1))
        .unwrap();
    verify_archives(&path, &log).unwrap_err();
    fs::remove_file(&archives[0].1).unwrap();
    assert_eq!(verify_archives(&path, &log).unwrap(), [1..=41]);
    // Records that are in another file too; and such as nobody has written behind the last one.
    fs::write(&archives[1].1, second).unwrap();
    for (name, is_good) in
        [("audit.to-43.jsonl", true), ("audit.to-30.jsonl", false), ("audit.to-44.jsonl", false)]
    {
        fs::copy(&path, dir.join(name)).unwrap();
        if name != "audit.to-43.jsonl" {
            let mut other = open_at(&dir.join(name), &last);
            other.append(61, "more", json!({}));
            other.flush().unwrap();
        }
        assert_eq!(verify_archives(&path, &log).is_ok(), is_good, "{name}");
        fs::remove_file(dir.join(name)).unwrap();
    }
    assert_eq!(verify_archives(&path, &log).unwrap(), [1..=20]);
    assert_eq!(lines(0, 100).len(), 23);
    // A gateway goes on in a new file after `log` was read.
    let mut audit = open(dir, &last);
    audit.append(61, "counted", json!({}));
    rotate(dir, &mut audit);
    assert_eq!(verify_archives(&path, &log).unwrap(), [1..=20]);
    audit.append(62, "counted", json!({}));
    let last = audit.flush().unwrap().clone();
    drop(audit);
    fs::remove_file(&archives[1].1).unwrap();
    let log = Log::read(&path, &last).unwrap();
    assert_eq!((log.before.n, verify_archives(&path, &log).unwrap()), (44, vec![1..=41]));

    // A file that begins with a continuation of nothing is no log.
    let text = fs::read_to_string(&path).unwrap().replacen("\"n\":45", "\"n\":1", 1);
    fs::write(&path, text).unwrap();
    assert_eq!(fault(dir, &Head::default()).unwrap(), "line 1: it continues nothing");
}

/// The power fails between the two names of a file.
#[test]
fn half_a_rotation_is_undone() {
    let dir = tempfile::tempdir().unwrap();
    let (dir, path) = (dir.path(), Audit::path(dir.path()));
    Audit::end_rotation(&path).unwrap();
    let head = write(dir);
    let mut audit = open(dir, &head);
    rotate(dir, &mut audit);
    let last = audit.flush().unwrap().clone();
    drop(audit);
    fs::hard_link(&path, dir.join("audit.to-21.jsonl")).unwrap();
    Audit::end_rotation(&path).unwrap();
    assert_eq!(archives(&path).unwrap(), [(20, dir.join("audit.to-20.jsonl"))]);
    assert_eq!(fault(dir, &last), None);
}
