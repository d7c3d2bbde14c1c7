//! The tasks under criterion, in wall-clock time: `cargo xtask bench criterion [FILTER]`.

use std::time::{Duration, Instant};

use benches::{Task, algorithms, task::Operation};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

fn group(criterion: &mut Criterion, name: &str, tasks: Vec<Task>) {
    let mut group = criterion.benchmark_group(name);
    for mut task in tasks {
        let function = format!("{}/{}", task.algorithm, task.operation.name());
        let id = match task.operation {
            Operation::Setup => BenchmarkId::from_parameter(task.algorithm),
            Operation::Encrypt | Operation::Decrypt => {
                BenchmarkId::new(function, format!("{} B", task.bytes))
            }
            Operation::Seal | Operation::Open => {
                BenchmarkId::new(function, format!("{} B + {} B", task.bytes, task.associated_data))
            }
        };
        if task.operation == Operation::Setup {
            group.throughput(Throughput::Elements(1));
        } else {
            group.throughput(Throughput::Bytes(task.bytes as u64));
        }
        group.bench_function(id, |bencher| bencher.iter_custom(|iterations| time(&mut task, iterations)));
    }
    group.finish();
}

/// The time of so many repetitions, in as many batches as the buffers of the task need.
fn time(task: &mut Task, mut iterations: u64) -> Duration {
    let mut elapsed = Duration::ZERO;
    while iterations > 0 {
        let batch = usize::try_from(iterations).map_or(task.capacity, |all| all.min(task.capacity));
        task.prepare(batch);
        let start = Instant::now();
        task.run(batch);
        elapsed += start.elapsed();
        iterations -= batch as u64;
    }
    elapsed
}

fn all(criterion: &mut Criterion) {
    group(criterion, "block", algorithms::block());
    group(criterion, "aead", algorithms::aead());
    group(criterion, "setup", algorithms::setup());
}

criterion_group! {
    name = benches;
    // There are many tasks: half a second for each.
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(400));
    targets = all
}
criterion_main!(benches);
