//! Applications that crash or hang.

use std::time::Instant;

use smart_city_store::Supervision;

use crate::device::{Device, Identity, Made, NEW, PROBE, Probe, STREET, epoch_on};

/// As with this many instructions a second the time of the device does not depend on the machine's.
const TIME_BY_INSTRUCTIONS: [&str; 2] = ["-icount", "shift=6"];

fn supervised(supervision: Supervision) -> Identity {
    Identity { supervision, ..NEW }
}

/// Each restart takes an epoch. The pauses before them grow, and power that fails ends that.
#[test]
fn a_crash_loop_is_slowed_down() {
    let identity = supervised(Supervision { pause: 1, watchdog: 0 });
    let mut probe = Probe::with(identity, &[]);
    let mut waited = 0u32;
    let begun = Instant::now();
    for restart in 1..6u16 {
        // A branch to where no code is.
        probe.send(b'j', &[1], &[]);
        let line = probe.0.board.console("pause").unwrap();
        let tenths = 1u32 << (restart - 1);
        assert_eq!(line, format!("pause of {tenths} tenths of a second after {restart} restarts"));
        waited += tenths;
        let epoch = epoch_on(&mut probe.0.board);
        assert_eq!(epoch.0, restart + 1);
        probe.wait_ready();
    }
    assert!(begun.elapsed().as_millis() >= u128::from(waited) * 100, "{:?}", begun.elapsed());
    let Device { made, board, .. } = probe.0;
    board.cut().unwrap();
    let mut board = smart_city_bridge::board::Board::start(&made.image, made.folder.path(), &[]).unwrap();
    assert_eq!(board.console("").unwrap(), "device 0000000000000007 in epoch 7");
}

/// An application that does not call a service any more is started anew, also if it hangs in a function that an instruction has started, with
/// all interrupts held.
#[test]
fn an_application_that_hangs_is_started_anew() {
    let options = TIME_BY_INSTRUCTIONS.map(str::to_owned);
    let identity = supervised(Supervision { pause: 0, watchdog: 2 });
    let mut probe = Probe::with(identity, &options);
    for in_function in [false, true] {
        if in_function {
            // It branches to itself.
            let place = probe.0.made.symbol("hangs") | 1;
            let (frame, _) = probe.0.seal(5, &place.to_be_bytes());
            let (_, len) = (probe.buffer(&frame), frame.len().try_into().unwrap());
            let service = smart_city_interface::Service::Receive.address() | 1;
            probe.send(b'c', &[service, crate::attacks::BUFFER, len, crate::attacks::BUFFER + 0x400, 0], &[]);
        }
        let line = probe.0.board.console("restart after exception").unwrap();
        assert!(line.starts_with("restart after exception 2:"), "{line}");
        let epoch = epoch_on(&mut probe.0.board);
        probe.0.link = probe.0.made.link(epoch);
        probe.wait_ready();
    }
    assert_eq!(PROBE[4], "calls_back");
    // One that calls services goes on: ten times as long.
    let mut device = Made::new("street", &STREET, identity).start(&options);
    for _ in 0..40 {
        device.next();
    }
    assert_eq!(device.board.console_so_far(), "");
}

/// In an outage no receipt comes, so that there is soon no room for another reading, and nothing to be done but to send again.
#[test]
fn an_outage_is_no_hang() {
    let options = TIME_BY_INSTRUCTIONS.map(str::to_owned);
    let identity = supervised(Supervision { pause: 0, watchdog: 2 });
    // Street has room for readings of 16 seconds, and sends ten frames a second at most.
    for (application, functions, frames) in
        [("template", &["set_level"][..], 5), ("template-c", &["set_level"], 5), ("street", &STREET, 200)]
    {
        let mut device = Made::new(application, functions, identity).start(&options);
        for _ in 0..frames {
            device.next();
        }
        assert_eq!(device.board.console_so_far(), "", "{application}");
    }
}
