//! The engine: who receives what, receipts, restarts, attestation, reloads.

use std::{fs, time::Duration, time::Instant};

use crate::common::{GATE, MAST, TestDevice, ask, engine, example, files, key_id, kind, message};
use serde_json::{Value, json};
use smart_city_engine::{
    config::{City, Secrets},
    engine::{Denied, Engine, Input, Output},
    view::Page,
};
use smart_city_frame::{Header, Kind};

fn topics(outputs: &[Output]) -> Vec<&str> {
    outputs.iter().map(|output| output.topic.as_str()).collect()
}

/// The frames of a kind that go to the device.
fn down(outputs: &[Output], wanted: Kind) -> Vec<Vec<u8>> {
    let frames = outputs.iter().filter(|output| output.topic.starts_with("down/"));
    frames.map(|output| output.payload.clone()).filter(|frame| kind(frame) == wanted).collect()
}

fn status(engine: &mut Engine) -> Value {
    ask(engine, Input::Status).0
}

fn refused(engine: &mut Engine, reason: &str) -> u64 {
    status(engine)["refused"][reason].as_u64().unwrap_or(0)
}

#[test]
fn readings_go_to_those_who_may_have_them() {
    let dir = example();
    let (mut engine, _) = engine(dir.path());
    let (city, _) = files(dir.path());
    let (mut gate, mut mast) = (TestDevice::new(GATE, 1, dir.path()), TestDevice::new(MAST, 1, dir.path()));
    let outputs = engine
        .handle([
            gate.reading(1, &city, b"{\"cars\":7}"),
            gate.reading(3, &city, &[0xFF, 0]),
            mast.reading(2, &city, b"21.5"),
        ])
        .unwrap();
    assert_eq!(
        topics(&outputs),
        [
            "down/70b3d5fffe000001",
            "down/70b3d5fffe000002",
            "out/hana/traffic-flow",
            "out/ren/traffic-flow",
            "out/sora/traffic-flow",
            "out/hana/gate-camera",
            "out/ren/air-quality",
            "out/sora/air-quality",
        ]
    );
    // Byte for byte; what the gateway adds goes beside it.
    let about = |i: usize| outputs[i].about.as_deref().unwrap();
    let said = |i: usize, name: &str| {
        about(i).properties.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone()).unwrap()
    };
    assert_eq!([2, 5, 6].map(|i| &outputs[i].payload[..]), [b"{\"cars\":7}", &[0xFF, 0][..], b"21.5"]);
    assert_eq!(
        (&*about(2).content_type, &*about(5).content_type),
        ("application/json", "application/octet-stream")
    );
    assert_eq!(said(2, "id"), format!("{}-1-0", key_id(GATE)));
    assert_eq!(
        (said(5, "class"), said(5, "stream"), said(6, "device")),
        ("confidential".into(), "gate-camera".into(), MAST.to_string())
    );

    // Both frames have a receipt, and one that was not sent has none.
    let receipt = gate.link.open_receipt(GATE, &mut outputs[0].payload.clone()).unwrap();
    assert!(receipt.has([0, 0, 0]) && receipt.has([0, 0, 1]) && !receipt.has([0, 0, 2]));

    let status = status(&mut engine);
    let why = |stream: &str, user: &str| {
        let flows = status["flows"].as_array().unwrap();
        let flow = flows.iter().find(|flow| flow["stream"] == stream && flow["user"] == user).unwrap();
        (flow["allowed"].as_bool().unwrap(), flow["reason"].as_str().unwrap().to_owned())
    };
    assert_eq!(why("gate-camera", "hana"), (true, String::new()));
    assert_eq!(
        why("air-quality", "hana"),
        (false, "no department of the user is one of the stream's".to_owned())
    );
    assert_eq!(
        why("gate-camera", "sora").1,
        "the user's city is neither the owner nor a partner; the user's level is below the stream's"
    );
}

#[test]
fn what_is_wrong_is_refused_for_its_reason() {
    let dir = example();
    let (mut engine, _) = engine(dir.path());
    let (city, _) = files(dir.path());
    let mut gate = TestDevice::new(GATE, 1, dir.path());
    let Input::Message { payload: frame, .. } = gate.reading(1, &city, b"7") else { unreachable!() };
    let mut changed = frame.clone();
    changed[6] ^= 1;
    let gate_1 = format!("up/{GATE}/1");
    for (topic, payload, reason) in [
        ("up/70b3d5fffe000001/1/2", &frame[..], "topic"),
        ("up/70B3D5FFFE000001/1", &frame, "topic"),
        ("up/70b3d5fffe000009/1", &frame, "unknown_device"),
        ("up/70b3d5fffe000001/2", &frame, "unknown_stream"),
        ("up/70b3d5fffe000001/01", &frame, "unknown_stream"),
        ("up/70b3d5fffe000001/3", &frame, "other_class"),
        ("up/70b3d5fffe000001/evidence", &frame, "other_kind"),
        (&gate_1, &frame[..12], "header"),
        (&gate_1, &changed, "rejected"),
    ] {
        let before = refused(&mut engine, reason);
        assert_eq!(engine.handle([message(topic, payload)]).unwrap(), [], "{topic}");
        assert_eq!(refused(&mut engine, reason), before + 1, "{topic}: {reason}");
    }
    let outputs = engine.handle([message(&gate_1, &frame)]).unwrap();
    assert_eq!(outputs.len(), 4);
    // What comes again is answered with the receipt that may be lost, and reaches nobody.
    assert_eq!(engine.handle([message(&gate_1, &frame)]).unwrap(), outputs[..1]);
    assert_eq!(refused(&mut engine, "replayed"), 1);
}

#[test]
fn a_restart_accepts_nothing_old_and_delivers_what_was_not() {
    let dir = example();
    let (city, _) = files(dir.path());
    let mut gate = TestDevice::new(GATE, 1, dir.path());
    let (mut first, _) = engine(dir.path());
    let inputs: Vec<Input> = (0..3).map(|i| gate.reading(3, &city, &[b'0' + i])).collect();
    let Input::Message { payload: replay, .. } = gate.reading(3, &city, b"5") else { unreachable!() };
    let outputs = first.handle(inputs).unwrap();
    let numbers: Vec<u64> = outputs.iter().filter_map(|output| output.delivery).collect();
    assert_eq!(numbers.len(), 3);
    // The broker has taken over the second, and that is stored; then the process is gone.
    first.handle([Input::Delivered(numbers[1]), Input::Tick]).unwrap();
    drop(first);

    let (mut second, before) = engine(dir.path());
    let readings = before.iter().filter(|output| output.delivery.is_some());
    let read: Vec<&[u8]> = readings.map(|output| &output.payload[..]).collect();
    assert_eq!(read, [b"0", b"2"]);

    // Neither what was accepted nor what is new in the old epoch.
    let topic = format!("up/{GATE}/3");
    assert_eq!(second.handle([message(&topic, &replay)]).unwrap(), []);
    assert_eq!(refused(&mut second, "epoch_ended"), 1);
    // The device is asked, obeys and goes on.
    let mut requests = down(&before, Kind::EpochRequest);
    gate.link.open_epoch_request(GATE, &mut requests[0]).unwrap();
    let mut gate = TestDevice::new(GATE, 2, dir.path());
    let outputs = second.handle([gate.reading(3, &city, b"6")]).unwrap();
    assert_eq!(topics(&outputs), ["down/70b3d5fffe000001", "out/hana/gate-camera"]);
    assert_eq!(status(&mut second)["devices"][0]["epoch"], 2);

    // The epoch that was followed is stored: a third gateway takes nothing of it either.
    let replay = gate.reading(3, &city, b"7");
    drop(second);
    let (mut third, _) = engine(dir.path());
    assert_eq!(third.handle([replay]).unwrap(), []);
    assert_eq!(refused(&mut third, "epoch_ended"), 1);
}

/// Forgers in epochs to come neither use the current one up nor try for ever.
#[test]
fn tries_in_other_epochs_are_limited() {
    let dir = example();
    let (mut engine, _) = engine(dir.path());
    let (city, _) = files(dir.path());
    let mut gate = TestDevice::new(GATE, 1, dir.path());
    engine.handle([gate.reading(1, &city, b"1")]).unwrap();
    let Input::Message { payload: mut forged, topic, .. } = gate.reading(1, &city, b"2") else {
        unreachable!()
    };
    forged[2] = 9;
    engine.handle((0..2000).map(|_| message(&topic, &forged))).unwrap();
    let (rejected, limit) = (refused(&mut engine, "rejected"), refused(&mut engine, "limit"));
    assert!((1..=16).contains(&rejected) && rejected + limit == 2000, "{rejected} were tried");
    assert_eq!(engine.handle([gate.reading(1, &city, b"3")]).unwrap().len(), 4);
    // A genuine one is opened as soon as they stop.
    std::thread::sleep(Duration::from_millis(500));
    let mut gate = TestDevice::new(GATE, 1000, dir.path());
    assert_eq!(engine.handle([gate.reading(1, &city, b"4")]).unwrap().len(), 4);
}

/// Before a key is used up the device is asked for a new epoch.
#[test]
fn a_key_that_is_nearly_used_up_is_replaced() {
    let dir = example();
    let (mut engine, _) = engine(dir.path());
    let (city, _) = files(dir.path());
    let mut gate = TestDevice::new(GATE, 1, dir.path());
    for sent in 1.. {
        let batch = (0..100).map(|_| gate.reading(1, &city, &[7; 241]));
        let mut outputs = engine.handle(batch).unwrap();
        let delivered: Vec<u64> = outputs.iter().filter_map(|output| output.delivery).collect();
        engine.handle(delivered.into_iter().map(Input::Delivered)).unwrap();
        outputs.extend(engine.handle([Input::Tick]).unwrap());
        if let [request, ..] = &mut down(&outputs, Kind::EpochRequest)[..] {
            gate.link.open_epoch_request(GATE, request).unwrap();
            // 2^20 blocks, 34 for each.
            assert!((28_000..30_840).contains(&(sent * 100)), "{sent}00 readings");
            break;
        }
    }
    let mut gate = TestDevice::new(GATE, 2, dir.path());
    assert_eq!(engine.handle([gate.reading(1, &city, b"1")]).unwrap().len(), 4);
    assert_eq!(down(&engine.handle([Input::Tick]).unwrap(), Kind::EpochRequest).len(), 0);
}

/// Everything that comes is counted where it belongs, for those who ask.
#[test]
fn what_happens_is_counted() {
    let dir = example();
    let (mut engine, _) = engine(dir.path());
    let (city, _) = files(dir.path());
    let (mut gate, mut mast) = (TestDevice::new(GATE, 1, dir.path()), TestDevice::new(MAST, 1, dir.path()));
    let genuine = gate.code.clone();
    assert_eq!(engine.jwks()["keys"].as_array().unwrap().len(), 1);
    let view = engine.view();
    let page = |after, flow, limit| view.page(Page { after, flow, limit });
    assert_eq!(
        page(None, 0, 0)["counts"],
        json!({ "devices": 2, "states": { "none": 2 }, "isolated": 0, "silent": 2 })
    );

    let readings = [gate.reading(1, &city, b"1"), gate.reading(1, &city, b"2"), gate.reading(3, &city, b"3")];
    engine.handle(readings).unwrap();
    let bad = format!("up/{GATE}/9");
    engine.handle([message(&bad, b""), message(&bad, b""), message("up", b""), Input::Tick]).unwrap();
    assert_eq!(page(None, 0, 10)["flows"].as_array().unwrap().len(), 6);
    assert_eq!(
        view.streams(),
        json!([
            { "stream": "gate-camera", "readings": 1, "allowed": 1, "refused": 2 },
            { "stream": "traffic-flow", "readings": 2, "allowed": 3, "refused": 0 },
        ])
    );
    let camera = view.flows("gate-camera");
    assert!(camera.as_array().unwrap().iter().all(|flow| flow["stream"] == "gate-camera"));
    assert_eq!(
        (&camera[0]["user"], &camera[1]["user"], &camera[3]),
        (&json!("hana"), &json!("ren"), &Value::Null)
    );
    assert_eq!((view.flows("gate"), view.flows("z")), (json!([]), json!([])));
    // What is in the same batch counts too.
    let (reply, mut answer) = tokio::sync::oneshot::channel();
    engine.handle([mast.reading(2, &city, b"4"), Input::Status(reply)]).unwrap();
    let status = answer.try_recv().unwrap();
    assert_eq!(status["undelivered"], 4);
    assert_eq!(status["refused"], json!({ "unknown_stream": 2, "topic": 1 }));
    let counted = |status: &Value, stream: &str| -> Vec<u64> {
        let flows = status["flows"].as_array().unwrap().iter();
        flows.filter(|flow| flow["stream"] == stream).map(|flow| flow["count"].as_u64().unwrap()).collect()
    };
    assert_eq!((counted(&status, "traffic-flow"), counted(&status, "air-quality")), (vec![2; 3], vec![1; 3]));
    let device = json!(view.device(GATE).unwrap());
    assert_eq!((&device["frames"], &device["refused"]), (&json!(3), &json!(2)));
    assert_eq!(device["reasons"], json!({ "unknown_stream": 2 }));
    assert_eq!(status["devices"][0], device);

    // By pages: devices after one, flows from a number on.
    assert_eq!(page(None, 0, 1000)["next_flow"], Value::Null);
    let first = page(None, 0, 1);
    assert_eq!((&first["next_device"], &first["next_flow"]), (&json!(GATE.to_string()), &json!(1)));
    assert_eq!(first["devices"][0]["id"], GATE.to_string());
    let last = page(Some(GATE), 8, 1);
    assert_eq!((&last["next_device"], &last["next_flow"]), (&Value::Null, &Value::Null));
    assert_eq!((&last["devices"][0]["id"], &last["devices"][1]), (&json!(MAST.to_string()), &Value::Null));
    assert_eq!(last["flows"].as_array().unwrap().len(), 1);
    assert_eq!(page(None, 0, 0)["next_flow"], Value::Null, "who asks for none needs no next one");

    // States move with the devices, as soon as that is stored.
    let outputs = instruct(&mut engine, 1).1;
    engine.handle([gate.follow(&outputs[0].payload, &genuine)]).unwrap();
    engine.handle([Input::Tick]).unwrap();
    let states = json!({ "none": 1, "affirming": 1, });
    let counts = json!({ "devices": 2, "states": states, "isolated": 0, "silent": 0 });
    assert_eq!(page(None, 0, 0)["counts"], counts);
    gate.code[0] ^= 1;
    let outputs = instruct(&mut engine, 1).1;
    engine.handle([gate.follow(&outputs[0].payload, &genuine)]).unwrap();
    engine.handle([Input::Tick]).unwrap();
    let states = json!({ "none": 1, "affirming": 0, "contraindicated": 1 });
    let counts = json!({ "devices": 2, "states": states, "isolated": 1, "silent": 0 });
    assert_eq!(page(None, 0, 0)["counts"], counts);
    let outputs =
        ask(&mut engine, |reply| Input::Recover { device: GATE, operator: "kana".to_owned(), reply }).1;
    let evidence = gate.follow(&down(&outputs, Kind::Instruction)[0], &genuine);
    engine.handle([evidence]).unwrap();
    engine.handle([Input::Tick]).unwrap();
    assert_eq!(page(None, 0, 0)["counts"]["isolated"], 0);
}

/// Who is denied something again and again does not fill the audit log, and how often it was is in it.
#[test]
fn what_is_denied_does_not_fill_the_log() {
    let dir = example();
    let (mut engine, _) = engine(dir.path());
    let start = Instant::now();
    let wish = |operator: &str| {
        let (reply, answer) = tokio::sync::oneshot::channel();
        let operator = operator.to_owned();
        (Input::Instruct { device: GATE, region: 1, argument: vec![], operator, reply }, answer)
    };
    for seconds in [0, 30] {
        for _ in 0..500 {
            let (input, mut answer) = wish("kana");
            engine.handle_at([input], start + Duration::from_secs(seconds)).unwrap();
            assert_eq!(answer.try_recv().unwrap(), Err(Denied::NoLink));
        }
    }
    // Another one is not affected.
    engine.handle_at([wish("yui").0], start).unwrap();
    engine.handle_at([Input::Tick], start + Duration::from_secs(70)).unwrap();
    engine.handle_at([Input::Tick], start + Duration::from_secs(140)).unwrap();
    // What was only counted is not lost with the end.
    let later = start + Duration::from_secs(150);
    for _ in 0..20 {
        engine.handle_at([wish("mei").0], later).unwrap();
    }
    let (reply, mut written) = tokio::sync::oneshot::channel();
    engine.handle_at([Input::End(reply)], later).unwrap();
    written.try_recv().unwrap();
    let log = fs::read_to_string(dir.path().join("audit.jsonl")).unwrap();
    let of = |event: &str, operator: &str| {
        let records = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let is_it = |record: &Value| record["event"] == event && record["detail"]["operator"] == operator;
        records.filter(is_it).collect::<Vec<_>>()
    };
    assert_eq!((of("denied", "kana").len(), of("denied", "yui").len()), (16, 1));
    let more = of("denied more often", "kana");
    assert_eq!((more.len(), more[0]["detail"]["count"].as_u64()), (1, Some(984)));
    assert!(of("denied more often", "yui").is_empty());
    assert_eq!(of("denied more often", "mei")[0]["detail"]["count"], 4);
}

#[test]
fn what_is_denied_says_why() {
    for (denied, text) in [
        (Denied::UnknownDevice, "there is no such device"),
        (Denied::TooLong, "the argument is too long"),
        (Denied::NoLink, "the device has not opened an epoch yet"),
        (Denied::TooOften, "you have sent as many commands as you may for now"),
    ] {
        assert_eq!(denied.to_string(), text);
    }
}

/// Others get new secrets when they hold, and not before.
#[test]
fn secrets_come_when_they_are_taken_over() {
    let dir = example();
    let (mut engine, _) = engine(dir.path());
    let mut secrets = engine.secrets();
    engine.handle([Input::Tick]).unwrap();
    assert!(!secrets.has_changed().unwrap());
    let path = dir.path().join("secrets.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("example-gateway-password", "another-password")).unwrap();
    engine.handle([Input::Reload(Ok(Box::new(files(dir.path()))))]).unwrap();
    assert!(!secrets.has_changed().unwrap(), "it is refused");
    fs::write(&path, text.replace("example-hana", "another-password")).unwrap();
    engine.handle([Input::Reload(Ok(Box::new(files(dir.path()))))]).unwrap();
    assert!(secrets.has_changed().unwrap());
    assert!(secrets.borrow_and_update().users["hana"].matches(b"another-password"));
}

fn instruct(engine: &mut Engine, region: u16) -> (Result<(), Denied>, Vec<Output>) {
    ask(engine, |reply| Input::Instruct {
        device: GATE,
        region,
        argument: b"on".to_vec(),
        operator: "kana".to_owned(),
        reply,
    })
}

fn gate_status(engine: &mut Engine) -> (String, bool) {
    let gate = &status(engine)["devices"][0];
    (gate["state"].as_str().unwrap().to_owned(), gate["isolated"].as_bool().unwrap())
}

#[test]
fn a_tampered_device_is_found_isolated_and_recovered() {
    let dir = example();
    let (mut gateway, _) = engine(dir.path());
    let (city, _) = files(dir.path());
    let mut gate = TestDevice::new(GATE, 1, dir.path());
    let genuine = gate.code.clone();
    assert_eq!(instruct(&mut gateway, 1).0, Err(Denied::NoLink));
    gateway.handle([gate.reading(1, &city, b"1")]).unwrap();
    assert_eq!(instruct(&mut gateway, 9).0, Err(Denied::UnknownRegion));
    assert_eq!(instruct(&mut gateway, 0).0, Err(Denied::UnknownRegion));

    let (sent, outputs) = instruct(&mut gateway, 1);
    assert_eq!(sent, Ok(()));
    assert_eq!(instruct(&mut gateway, 1).0, Err(Denied::Busy));
    let evidence = gate.follow(&outputs[0].payload, &genuine);
    assert_eq!(down(&gateway.handle([evidence]).unwrap(), Kind::Receipt).len(), 1);
    assert_eq!(gate_status(&mut gateway), ("affirming".to_owned(), false));

    gate.code[7] ^= 1;
    let outputs = instruct(&mut gateway, 1).1;
    gateway.handle([gate.follow(&outputs[0].payload, &genuine)]).unwrap();
    assert_eq!(gate_status(&mut gateway), ("contraindicated".to_owned(), true));
    let result = ask(&mut gateway, |reply| Input::Attestation(GATE, reply)).0;
    assert_eq!(result.unwrap().split('.').count(), 3);
    // Nothing of it is accepted, no receipt, no new epoch, no instruction.
    assert_eq!(gateway.handle([gate.reading(1, &city, b"2")]).unwrap(), []);
    let mut restarted = TestDevice::new(GATE, 2, dir.path());
    assert_eq!(gateway.handle([restarted.reading(1, &city, b"2")]).unwrap(), []);
    assert_eq!((refused(&mut gateway, "isolated"), instruct(&mut gateway, 1).0), (2, Err(Denied::Isolated)));
    assert_eq!(status(&mut gateway)["devices"][0]["epoch"], 1);

    // Restored, measured again, and in a new epoch only.
    let (begun, outputs) =
        ask(&mut gateway, |reply| Input::Recover { device: GATE, operator: "kana".to_owned(), reply });
    assert_eq!(begun, Ok(()));
    let evidence = gate.follow(&down(&outputs, Kind::Instruction)[0], &genuine);
    gateway.handle([evidence]).unwrap();
    assert_eq!(gate_status(&mut gateway), ("affirming".to_owned(), false));
    assert_eq!(gateway.handle([gate.reading(1, &city, b"3")]).unwrap(), []);
    let mut request = down(&gateway.handle([Input::Tick]).unwrap(), Kind::EpochRequest);
    gate.link.open_epoch_request(GATE, &mut request[0]).unwrap();
    let mut gate = TestDevice::new(GATE, 2, dir.path());
    assert_eq!(gateway.handle([gate.reading(1, &city, b"4")]).unwrap().len(), 4);
}

/// A frame that comes again beside a new one is not answered with the receipt of before: it would go instead of the new one.
#[test]
fn a_repeated_receipt_does_not_follow_a_new_one() {
    let dir = example();
    let (mut gateway, _) = engine(dir.path());
    let (city, _) = files(dir.path());
    let mut gate = TestDevice::new(GATE, 1, dir.path());
    let first = gate.reading(1, &city, b"1");
    gateway.handle([crate::memory::again(&first)]).unwrap();
    for is_first in [true, false] {
        let new = gate.reading(1, &city, b"2");
        let Input::Message { payload, .. } = &new else { panic!("{new:?}") };
        let counter = Header::parse(payload).unwrap().counter;
        let old = crate::memory::again(&first);
        let outputs = gateway.handle(if is_first { [old, new] } else { [new, old] }).unwrap();
        let mut receipts = down(&outputs, Kind::Receipt);
        assert_eq!(receipts.len(), 1);
        assert!(gate.link.open_receipt(GATE, &mut receipts[0]).unwrap().has(counter));
    }
}

/// A gateway that has lost the link of an isolated device needs an epoch before it can restore the device.
#[test]
fn isolation_outlives_a_restart() {
    let dir = example();
    let (city, _) = files(dir.path());
    let mut gate = TestDevice::new(GATE, 1, dir.path());
    let genuine = gate.code.clone();
    let (mut first, _) = engine(dir.path());
    first.handle([gate.reading(1, &city, b"1")]).unwrap();
    gate.code.reverse();
    let outputs = instruct(&mut first, 1).1;
    first.handle([gate.follow(&outputs[0].payload, &genuine)]).unwrap();
    drop(first);

    let (mut second, before) = engine(dir.path());
    assert_eq!(gate_status(&mut second), ("contraindicated".to_owned(), true));
    assert_eq!(down(&before, Kind::EpochRequest), Vec::<Vec<u8>>::new());
    ask(&mut second, |reply| Input::Recover { device: GATE, operator: "kana".to_owned(), reply }).0.unwrap();
    let requests = down(&second.handle([Input::Tick]).unwrap(), Kind::EpochRequest);
    gate.link.open_epoch_request(GATE, &mut requests[0].clone()).unwrap();
    let mut gate = TestDevice { link: TestDevice::new(GATE, 2, dir.path()).link, ..gate };
    // What it sends tells the epoch, and is not accepted.
    let outputs = second.handle([gate.reading(1, &city, b"2")]).unwrap();
    assert_eq!(topics(&outputs), ["down/70b3d5fffe000001"]);
    second.handle([gate.follow(&down(&outputs, Kind::Instruction)[0], &genuine)]).unwrap();
    assert_eq!(gate_status(&mut second), ("affirming".to_owned(), false));
    assert_eq!(second.handle([gate.reading(1, &city, b"3")]).unwrap(), []);
}

#[test]
fn missing_evidence_warns_and_is_asked_for_again() {
    let dir = example();
    let text = fs::read_to_string(dir.path().join("city.toml")).unwrap();
    let text = text.replace("evidence_deadline_ms = 2000", "evidence_deadline_ms = 20");
    fs::write(dir.path().join("city.toml"), text).unwrap();
    let (mut gateway, _) = engine(dir.path());
    let (city, _) = files(dir.path());
    let mut gate = TestDevice::new(GATE, 1, dir.path());
    let genuine = gate.code.clone();
    gateway.handle([gate.reading(1, &city, b"1")]).unwrap();
    let first = instruct(&mut gateway, 1).1;
    for again in [1, 1, 0] {
        std::thread::sleep(Duration::from_millis(30));
        let outputs = gateway.handle([Input::Tick]).unwrap();
        let frames = down(&outputs, Kind::Instruction);
        assert_eq!(frames.len(), again);
        assert!(
            frames.iter().all(|frame| *frame == first[0].payload),
            "the same frame, which a device opens once"
        );
        assert_eq!(gate_status(&mut gateway), ("warning".to_owned(), false));
    }
    // Evidence that comes late is appraised all the same.
    gate.code[0] ^= 1;
    gateway.handle([gate.follow(&first[0].payload, &genuine)]).unwrap();
    assert_eq!(gate_status(&mut gateway), ("contraindicated".to_owned(), true));
}

/// Evidence says something of the instruction that it answers, and of no other.
#[test]
fn evidence_of_another_instruction_is_not_asked_for() {
    let dir = example();
    let text = fs::read_to_string(dir.path().join("city.toml")).unwrap();
    let text = text.replace("evidence_deadline_ms = 2000", "evidence_deadline_ms = 20");
    let text = text.replace("evidence_attempts = 3", "evidence_attempts = 1");
    fs::write(dir.path().join("city.toml"), text).unwrap();
    let (mut gateway, _) = engine(dir.path());
    let (city, _) = files(dir.path());
    let mut gate = TestDevice::new(GATE, 1, dir.path());
    let genuine = gate.code.clone();
    gateway.handle([gate.reading(1, &city, b"1")]).unwrap();
    let first = instruct(&mut gateway, 1).1;
    let late = gate.follow(&first[0].payload, &genuine);
    std::thread::sleep(Duration::from_millis(30));
    gateway.handle([Input::Tick]).unwrap();
    let (sent, second) = instruct(&mut gateway, 1);
    assert_eq!(sent, Ok(()));
    gateway.handle([late]).unwrap();
    assert_eq!(refused(&mut gateway, "not_asked"), 1);
    assert_eq!(gate_status(&mut gateway), ("warning".to_owned(), false));
    gateway.handle([gate.follow(&second[0].payload, &genuine)]).unwrap();
    assert_eq!(gate_status(&mut gateway), ("affirming".to_owned(), false));
}

#[test]
fn a_reload_changes_decisions_and_a_fault_nothing() {
    let dir = example();
    let (mut gateway, _) = engine(dir.path());
    let (city, _) = files(dir.path());
    let mut gate = TestDevice::new(GATE, 1, dir.path());
    let camera = ["down/70b3d5fffe000001", "out/hana/gate-camera"];
    assert_eq!(topics(&gateway.handle([gate.reading(3, &city, b"1")]).unwrap()), camera);

    let path = dir.path().join("city.toml");
    let text = fs::read_to_string(&path).unwrap();
    let read = || {
        let city = City::read(&path)?;
        let secrets = Secrets::read(&dir.path().join("secrets.toml"), &city)?;
        Ok(Box::new((city, secrets.into())))
    };
    fs::write(&path, text.replace("min_level = 2", "min_level = 12")).unwrap();
    gateway.handle([Input::Reload(read())]).unwrap();
    let fault = status(&mut gateway)["fault"].as_str().unwrap().to_owned();
    assert!(fault.ends_with("city.toml:69: streams[2].min_level: a level is 0 to 9"), "{fault}");
    assert_eq!(topics(&gateway.handle([gate.reading(3, &city, b"2")]).unwrap()), camera);

    // The link goes on in its epoch: nothing is lost by a reload.
    fs::write(&path, text.replace("min_level = 2", "min_level = 3")).unwrap();
    gateway.handle([Input::Reload(read())]).unwrap();
    assert_eq!(topics(&gateway.handle([gate.reading(3, &city, b"3")]).unwrap()), [camera[0]]);
    assert_eq!(status(&mut gateway)["fault"], Value::Null);

    let log = fs::read_to_string(dir.path().join("audit.jsonl")).unwrap();
    for event in ["started", "epoch opened", "decided", "configuration refused", "configuration loaded"] {
        assert!(log.contains(&format!("\"event\":\"{event}\"")), "{event}");
    }
}
