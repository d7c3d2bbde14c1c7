//! Three gateways, their broker and their database: some faults under load; and the demo, as one sees it who tries it.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use rustix::process::Signal;
use smart_city_cluster::{
    kill::{self, Kind, Plan},
    process::signal_to,
};

/// `cargo xtask cluster kill` does more of it.
#[test]
fn faults_lose_nothing_and_repeat_nothing() {
    let kinds = vec![
        Kind::GatewayAway,
        Kind::GatewayWoken,
        Kind::GatewayEnded,
        Kind::BrokerKilled,
        Kind::DatabaseKilled,
    ];
    let report = kill::run(&Plan { rounds: kinds.len(), kinds, ..Plan::default() }).unwrap();
    println!("{report}");
    assert!(report.counts.receipts > 0 && report.instructions > 0);
}

/// Where states of links can be taken up twice, nonces repeat: that is found.
#[test]
fn states_that_are_used_twice_are_found() {
    let sabotage = "create function put_back() returns trigger language plpgsql as $$
                    begin insert into links values (old.device, old.shard, old.state) on conflict do nothing; return null; end $$;
                    create trigger put_back after delete on links for each row execute function put_back()";
    let kinds = vec![Kind::GatewayEnded, Kind::GatewayAway];
    let plan = Plan { rounds: 6, kinds, sabotage: Some(sabotage), ..Plan::default() };
    let error = format!("{:#}", kill::run(&plan).unwrap_err());
    assert!(error.contains("have the nonce of"), "{error}");
}

/// Ends with its test, and then ends all that it has started.
struct Demo(Child);

impl Drop for Demo {
    fn drop(&mut self) {
        drop(signal_to(self.0.id(), Signal::TERM));
        drop(self.0.wait());
    }
}

#[test]
fn in_the_demo_a_gateway_is_killed_and_its_devices_are_heard_again() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_smart-city-cluster"));
    command.args(["demo", "--gateways", "3", "--seconds", "120"]).stdout(Stdio::piped());
    let mut demo = Demo(command.spawn().unwrap());
    let mut lines = BufReader::new(demo.0.stdout.take().unwrap()).lines();
    let mut processes: Vec<u32> = Vec::new();
    // The line that one follows who reads it.
    let killed = loop {
        let line = lines.next().unwrap().unwrap();
        let process = line.rsplit_once("(process ").and_then(|(_, rest)| rest.strip_suffix(')'));
        processes.extend(process.map(|process| process.parse::<u32>().unwrap()));
        if let Some(process) = line.strip_prefix("  kill -9 ") {
            break process.parse().unwrap();
        }
    };
    assert!(processes.len() == 3 && processes.contains(&killed), "{processes:?}");
    signal_to(killed, Signal::KILL).unwrap();
    assert!(lines.any(|line| line.unwrap().starts_with("all devices are heard again")));
    // Ctrl-C.
    signal_to(demo.0.id(), Signal::INT).unwrap();
    assert!(lines.any(|line| line.unwrap().starts_with("Stopping")));
    assert!(demo.0.wait().unwrap().success());
    assert!(processes.iter().all(|process| !Path::new("/proc").join(process.to_string()).exists()));
}
