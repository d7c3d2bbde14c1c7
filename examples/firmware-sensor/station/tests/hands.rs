//! The station for hands, at the line of a node that this test plays.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    io::{Read as _, Write as _},
    os::unix::net::{UnixListener, UnixStream},
    process::{Command, Stdio},
    time::Duration,
};

use sensor_node::{
    INSTRUCTIONS,
    frame::{Decoder, Frame, INSTRUCTION, Keys, Notice, REPORT, Reason, Report, UP, counter_of, encode},
};
use twine_otr_aead::Sealer;

fn next(line: &mut UnixStream) -> Frame {
    let (mut decoder, mut byte) = (Decoder::new(), [0]);
    loop {
        line.read_exact(&mut byte).unwrap();
        if let Some(frame) = decoder.feed(byte[0]) {
            return frame;
        }
    }
}

fn report(node: &mut Sealer, reason: Reason, acknowledged: Option<u32>) -> Vec<u8> {
    let mut message = Report { reason, acknowledged, output: false, reading: None }.to_bytes();
    let (nonce, tag) = node.seal_inout_detached(&[REPORT], message.as_mut_slice().into()).unwrap();
    [&[REPORT], &nonce[4..], &message, &tag].concat()
}

#[test]
fn an_instruction_is_sent_until_it_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let (account, socket) = (folder.path().join("account"), folder.path().join("line"));
    let listener = UnixListener::bind(&socket).unwrap();
    let mut station = Command::new(env!("CARGO_BIN_EXE_sensor-station"))
        .args([&account, &socket])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut line, _) = listener.accept().unwrap();
    // Nothing takes so long: a station that says nothing hangs.
    line.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut hands = station.stdin.take().unwrap();
    line.write_all(&encode(&Notice::NoKeys.to_frame())).unwrap();
    writeln!(hands, "keys").unwrap();
    let keys = Keys::from_frame(&next(&mut line)).unwrap();
    let mut node = Sealer::with_ephemeral_key((&keys.up).into(), UP);
    line.write_all(&encode(&report(&mut node, Reason::Started, None))).unwrap();
    // It is the node's account when its report has come, which the station does not say to the node.
    while !account.exists() {
        std::thread::yield_now();
    }
    writeln!(hands, "on").unwrap();
    // What a node refuses has no answer.
    for _ in 0..INSTRUCTIONS {
        assert_eq!(next(&mut line)[0], INSTRUCTION);
    }
    let [_, a, b, c, ..] = next(&mut line)[..] else { panic!("no instruction") };
    line.write_all(&encode(&report(&mut node, Reason::Answer, Some(counter_of([a, b, c]))))).unwrap();
    let mut said = String::new();
    let mut output = station.stdout.take().unwrap();
    while !said.contains("answered") {
        let mut some = [0; 64];
        let len = output.read(&mut some).unwrap();
        assert!(len > 0, "{said}");
        said.push_str(std::str::from_utf8(&some[..len]).unwrap());
    }
    // It answers: it is given no other keys.
    writeln!(hands, "keys").unwrap();
    drop(hands);
    output.read_to_string(&mut said).unwrap();
    assert!(station.wait().unwrap().success() && said.contains("it takes others when"), "{said}");
}
