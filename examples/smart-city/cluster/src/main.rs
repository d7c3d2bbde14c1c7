//! `cargo xtask cluster`: several gateways of one city.
#![forbid(unsafe_code)]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use clap::Parser;
use smart_city_cluster::{bench, demo, kill, process};

/// Several gateways of one city on this machine.
#[derive(Debug, Parser)]
enum Command {
    /// Kills servers at random under load, and compares what comes of it with what must come of it
    Kill {
        /// How many faults
        #[arg(long, default_value_t = 100)]
        rounds: usize,
        /// The one that was printed, for the same faults in the same order
        #[arg(long)]
        seed: Option<u64>,
        /// How many gateways
        #[arg(long, default_value_t = 3)]
        gateways: usize,
    },
    /// A city for trying, until Ctrl-C
    Demo {
        /// How many gateways
        #[arg(long, default_value_t = 3)]
        gateways: usize,
        /// How long it goes on
        #[arg(long)]
        seconds: Option<u64>,
    },
    /// What it all takes on this machine
    Bench {
        /// For how many seconds each load is measured
        #[arg(long, default_value_t = 10)]
        seconds: u64,
        /// How many devices send
        #[arg(long, default_value_t = 320)]
        senders: u32,
        /// How many devices are known
        #[arg(long, default_value_t = 1_000_000)]
        known: u32,
    },
}

fn main() -> Result<()> {
    let command = Command::parse();
    process::end_in_order()?;
    match command {
        Command::Kill { rounds, seed, gateways } => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let seed = seed.unwrap_or_else(|| now.subsec_nanos().into());
            println!("seed {seed}");
            let report = kill::run(&kill::Plan { rounds, seed, gateways, ..kill::Plan::default() })?;
            println!("{report}");
            Ok(())
        }
        Command::Bench { seconds, senders, known } => bench::run(bench::Amounts { seconds, senders, known }),
        Command::Demo { gateways, seconds } => demo::run(gateways, seconds.map(Duration::from_secs)),
    }
}
