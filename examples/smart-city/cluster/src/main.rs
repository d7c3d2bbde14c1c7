//! `cargo xtask cluster`: several gateways of one city.
#![forbid(unsafe_code)]

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use clap::{Parser, Subcommand};
use smart_city_cluster::kill;

/// Several gateways of one city on this machine.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
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
}

fn main() -> Result<()> {
    match Arguments::parse().command {
        Command::Kill { rounds, seed, gateways } => {
            let seed = seed.unwrap_or_else(|| {
                SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| u64::from(time.subsec_nanos()))
            });
            println!("seed {seed}");
            let plan = kill::Plan { rounds, seed, gateways, ..kill::Plan::default() };
            println!("{}", kill::run(&plan)?);
            Ok(())
        }
    }
}
