//! The frames of the byte-wise model, given to devices that they are for.

use smart_city_frame::{DeviceId, Epoch};
use smart_city_frame_vectors::{Test, frames};
use smart_city_interface::{Answer, Event, Refusal};

use crate::device::{Identity, NEW, Probe};

/// The devices that the frames from a gateway are for, each with its frames: the changed ones first.
fn devices() -> Vec<(Identity, Vec<Test>)> {
    let mut devices: Vec<(Identity, Vec<Test>)> = Vec::new();
    let down = ["instruction", "receipt", "epoch request"];
    for test in frames().tests.into_iter().filter(|test| down.contains(&test.kind.as_str())) {
        let Some(used) = test.epoch.checked_sub(1) else { continue };
        let identity = Identity {
            id: DeviceId(test.device.as_slice().try_into().unwrap()),
            root: test.root.as_slice().try_into().unwrap(),
            used: Epoch(used),
            supervision: NEW.supervision,
        };
        match devices.iter_mut().find(|(other, _)| *other == identity) {
            Some((_, tests)) => tests.push(test),
            None => devices.push((identity, vec![test])),
        }
    }
    devices.iter_mut().for_each(|(_, tests)| tests.sort_by_key(|test| test.result == "Valid"));
    devices
}

#[test]
fn the_models_frames_are_opened_and_the_changed_ones_refused() {
    let (mut opened, mut refused) = (0, 0);
    for (identity, tests) in devices() {
        let mut probe = Probe::with(identity, &[]);
        assert_eq!(probe.0.link.epoch(), Epoch(identity.used.0 + 1));
        for test in tests {
            let comment = format!("{}: {} ({})", test.tc_id, test.comment, test.result);
            // What is too long for a buffer is refused for its length.
            let (returned, answer) = probe.receive(&test.frame);
            if test.result != "Valid" {
                let too_long = test.frame.len() > smart_city_interface::FRAME_LEN;
                let refusal = if too_long { Refusal::Length } else { Refusal::Frame };
                assert_eq!((returned, answer), (refusal as i32, Vec::new()), "{comment}");
                refused += 1;
                continue;
            }
            opened += 1;
            let event = Answer::from_returned(returned.cast_unsigned()).map(|answer| answer.event);
            match test.kind.as_str() {
                "receipt" => assert_eq!((event, answer), (Some(Event::Receipt), test.payload), "{comment}"),
                // The last epoch has none behind it.
                "epoch request" if test.epoch == Epoch::LAST.0 => {
                    assert_eq!(returned, Refusal::NoEpoch as i32, "{comment}");
                }
                "epoch request" => assert_eq!(event, Some(Event::NewEpoch), "{comment}"),
                _ if test.payload == [0; 2] => assert_eq!(event, Some(Event::Examined), "{comment}"),
                _ => assert!(
                    matches!(event, Some(Event::Ran | Event::Refused | Event::Restored | Event::NotAltered)),
                    "{comment}: {returned}"
                ),
            }
        }
        // None of what was refused has called a function.
        assert!(probe.ask(b'n', &[]) <= 1);
    }
    assert!(opened >= 10 && refused >= 100, "{opened} opened, {refused} refused");
    println!("{opened} frames opened, {refused} changed ones refused");
}
