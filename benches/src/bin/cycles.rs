//! Measures every task in cycles, prints a table and writes JSON. See `--help`.

use std::{
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use benches::{
    Task, algorithms,
    clock::Clock,
    machine,
    results::{Machine, Results, Row, Run},
    task::{self, Operation},
};
use lexopt::prelude::*;

const HELP: &str = "\
Usage: cycles [OPTIONS]

  --seconds N   measure that long, 40 if not given
  --only TEXT   only algorithms with names that start with TEXT
  --forced      TWINE's backend was forced when this was built
  --json FILE   write the results to FILE
  --date DATE   the day, for FILE
  --backend     only print TWINE's backend
  --help        this text
";

/// A sample has at least so many cycles or nanoseconds where the buffers allow it: the steps of a counter are small then.
const SAMPLE: f64 = 30_000.0;

struct Options {
    seconds: u64,
    only: String,
    forced: bool,
    json: Option<PathBuf>,
    date: String,
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let mut options =
        Options { seconds: 40, only: String::new(), forced: false, json: None, date: "unknown".into() };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("seconds") => options.seconds = parser.value()?.parse()?,
            Long("only") => options.only = parser.value()?.string()?,
            Long("forced") => options.forced = true,
            Long("json") => options.json = Some(parser.value()?.into()),
            Long("date") => options.date = parser.value()?.string()?,
            Long("backend") => {
                println!("{}", twine_cipher::backend());
                return Ok(());
            }
            Long("help") => {
                print!("{HELP}");
                return Ok(());
            }
            other => return Err(other.unexpected().into()),
        }
    }
    measure(&options)
}

fn measure(options: &Options) -> Result<()> {
    let tasks = [algorithms::block(), algorithms::aead(), algorithms::setup()];
    let mut measured: Vec<Measured> = [task::nothing()]
        .into_iter()
        .chain(tasks.into_iter().flatten().filter(|task| task.algorithm.starts_with(&options.only)))
        .map(Measured::new)
        .collect();
    ensure!(measured.len() > 1, "no algorithm starts with {}", options.only);

    for measured in &mut measured {
        measured.calibrate();
    }
    // Round robin, so that whatever disturbs for a while disturbs all alike.
    let end = Instant::now() + Duration::from_secs(options.seconds);
    let mut rounds = 0;
    while rounds == 0 || Instant::now() < end {
        for measured in &mut measured {
            measured.sample();
        }
        rounds += 1;
    }

    let nothing = measured[0].cost()?;
    let rows = measured[1..].iter().map(|measured| Ok(Row::new(&measured.task, measured.cost()? - nothing)));
    let run = Run {
        backend: twine_cipher::backend().into(),
        forced: options.forced,
        rounds,
        rows: rows.collect::<Result<_>>()?,
    };
    let machine = Machine::this();
    println!(
        "{}; TWINE's backend: {}; what an eighth of {rounds} rounds are below, in {}",
        machine.cpu,
        run.backend,
        Clock::UNIT
    );
    print(&run);
    if let Some(path) = &options.json {
        let results = Results {
            machine,
            rustc: machine::rustc()?,
            date: options.date.clone(),
            unit: Clock::UNIT.into(),
            peers: machine::peers().context("which crates were measured is unknown")?,
            runs: vec![run],
        };
        results.write(path)?;
    }
    Ok(())
}

struct Measured {
    task: Task,
    repetitions: usize,
    /// Of so many repetitions each.
    times: Vec<f64>,
}

impl Measured {
    fn new(task: Task) -> Self {
        Self { task, repetitions: 1, times: Vec::new() }
    }

    /// Finds a number of repetitions for a sample of the right length.
    fn calibrate(&mut self) {
        while self.repetitions < self.task.capacity {
            self.times.clear();
            for _ in 0..20 {
                self.sample();
            }
            if self.time().is_some_and(|time| time >= SAMPLE) {
                break;
            }
            self.repetitions = (2 * self.repetitions).min(self.task.capacity);
        }
        self.times.clear();
    }

    fn sample(&mut self) {
        let Self { task, repetitions, times } = self;
        // Once unmeasured, to have code, data and predictions in their caches.
        task.prepare(*repetitions);
        task.run(*repetitions);
        task.prepare(*repetitions);
        times.extend(Clock.time(|| task.run(*repetitions)));
    }

    /// The time that an eighth of all are below. Disturbances add; but what disturbs the clock alone makes single times too short.
    fn time(&self) -> Option<f64> {
        let mut times = self.times.clone();
        times.sort_by(f64::total_cmp);
        times.get(times.len() / 8).copied()
    }

    /// Of one repetition.
    #[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
    fn cost(&self) -> Result<f64> {
        let Task { algorithm, operation, bytes, .. } = &self.task;
        let time = self.time().with_context(|| {
            format!("{algorithm}, {}, {bytes} bytes: disturbed in every round", operation.name())
        })?;
        Ok(time / self.repetitions as f64)
    }
}

fn print(run: &Run) {
    println!(
        "{:24} {:>8} {:>7} {:>5} {:>12} {:>10}",
        "algorithm",
        "",
        "bytes",
        "AD",
        Clock::UNIT,
        "per byte"
    );
    for row in &run.rows {
        print!(
            "{:24} {:>8} {:>7} {:>5} {:>12.1}",
            row.algorithm,
            row.operation.name(),
            row.bytes,
            if matches!(row.operation, Operation::Seal | Operation::Open) {
                row.associated_data.to_string()
            } else {
                String::new()
            },
            row.cost,
        );
        match row.cost_per_byte {
            Some(per_byte) => println!(" {per_byte:>10.3}"),
            None => println!(),
        }
    }
}
