//! The results as JSON.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize, Serializer, ser::Error as _};
use serde_json::value::to_raw_value;

use crate::task::{Operation, Task};

/// All results of one machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Results {
    /// On what they were measured.
    pub machine: Machine,
    /// The compiler and its version.
    pub rustc: String,
    /// The day, as YYYY-MM-DD.
    pub date: String,
    /// Of all costs: `cycles` or `nanoseconds`.
    pub unit: String,
    /// The versions of the crates that are compared.
    #[serde(serialize_with = "line_each")]
    pub peers: Vec<Peer>,
    /// The default build, then those with a forced backend of TWINE.
    pub runs: Vec<Run>,
}

/// A CPU.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// Its name, as it gives it.
    pub cpu: String,
    /// Its architecture, as Rust names it.
    pub arch: String,
    /// The features that any of the algorithms makes use of.
    pub features: Vec<String>,
}

/// A crate that TWINE or OTR is compared with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// Its name on the registry.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// What one build was measured to cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// The backend of TWINE that ran.
    pub backend: String,
    /// Whether it was forced: the others are the default.
    pub forced: bool,
    /// So often was each row measured; given is what an eighth of the results are below.
    pub rounds: u64,
    /// What was measured.
    #[serde(serialize_with = "line_each")]
    pub rows: Vec<Row>,
}

/// What an operation costs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// The name of the algorithm.
    pub algorithm: String,
    /// What is done.
    pub operation: Operation,
    /// Bytes of blocks or message; for a set-up of the value that holds the expanded key.
    pub bytes: usize,
    /// Bytes of associated data.
    pub associated_data: usize,
    /// Of one operation, in the unit of the results, without that of repeating it.
    pub cost: f64,
    /// The same by bytes of blocks or message; associated data does not count as such.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_per_byte: Option<f64>,
}

impl Row {
    /// The row of `task`.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "lengths are far below 2^53")]
    pub fn new(task: &Task, cost: f64) -> Self {
        let per_byte = round(cost / task.bytes as f64, 10_000.0);
        Self {
            algorithm: task.algorithm.into(),
            operation: task.operation,
            bytes: task.bytes,
            associated_data: task.associated_data,
            cost: round(cost, 10.0),
            cost_per_byte: (task.operation != Operation::Setup).then_some(per_byte),
        }
    }
}

impl Run {
    /// The row of an operation.
    ///
    /// # Errors
    /// If it was not measured.
    pub fn row(
        &self,
        algorithm: &str,
        operation: Operation,
        bytes: Option<usize>,
        associated_data: usize,
    ) -> Result<&Row> {
        self.rows
            .iter()
            .find(|row| {
                row.algorithm == algorithm
                    && row.operation == operation
                    && bytes.is_none_or(|bytes| row.bytes == bytes)
                    && row.associated_data == associated_data
            })
            .with_context(|| {
                format!("no result for {algorithm}, {}, {bytes:?} bytes, {}", operation.name(), self.backend)
            })
    }

    /// The cost of a byte of an operation.
    ///
    /// # Errors
    /// If it was not measured.
    pub fn per_byte(
        &self,
        algorithm: &str,
        operation: Operation,
        bytes: usize,
        associated_data: usize,
    ) -> Result<f64> {
        self.row(algorithm, operation, Some(bytes), associated_data)?
            .cost_per_byte
            .with_context(|| format!("{algorithm} has no cost per byte"))
    }
}

impl Results {
    /// Reads a file.
    ///
    /// # Errors
    /// If it cannot be read or is not what [`Results::write`] writes.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is not a file of results", path.display()))
    }

    /// Writes a file.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let json = serde_json::to_string_pretty(self)? + "\n";
        fs::write(path, json).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Takes over the runs of `other`, which may be built with fewer peers.
    ///
    /// # Errors
    /// If the two are not of the same machine, compiler and crates.
    pub fn merge(&mut self, other: Self) -> Result<()> {
        let Self { machine, rustc, date: _, unit, peers, runs } = other;
        ensure!(
            (&machine, &rustc, &unit) == (&self.machine, &self.rustc, &self.unit)
                && peers.iter().all(|peer| self.peers.contains(peer)),
            "results of different machines, compilers or crates cannot be merged"
        );
        self.runs.extend(runs);
        Ok(())
    }
}

/// Each item on a line of its own, however many fields it has.
fn line_each<T: Serialize, S: Serializer>(items: &[T], serializer: S) -> Result<S::Ok, S::Error> {
    let lines: Result<Vec<_>, _> = items.iter().map(to_raw_value).collect();
    lines.map_err(S::Error::custom)?.serialize(serializer)
}

/// `value` to one part in `parts` of one.
fn round(value: f64, parts: f64) -> f64 {
    (value * parts).round() / parts
}
