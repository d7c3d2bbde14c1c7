//! Processes of this machine: signals for them, what they take, and how long things last.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::process::CommandExt as _,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    runtime,
    signal::unix::{SignalKind, signal},
};

/// How long a server may take to start or to end, on a machine that has much else to do.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A process that is killed when this is dropped.
#[derive(Debug)]
pub struct Process(Child);

impl Process {
    /// Starts it in a process group of its own: Ctrl-C at a terminal is for the program that starts all.
    ///
    /// # Errors
    /// If there is no such program.
    pub fn start(command: &mut Command) -> Result<Self> {
        let started = command.stdin(Stdio::null()).process_group(0).spawn();
        Ok(Self(started.with_context(|| format!("cannot start {}", command.get_program().display()))?))
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// The first line that it says, for which it was started with a pipe.
    ///
    /// # Errors
    /// If it says nothing in time.
    pub fn first_line(&mut self) -> Result<String> {
        let mut output = BufReader::new(self.0.stdout.take().context("its output is not read")?);
        let (said, line) = mpsc::channel();
        thread::spawn(move || {
            let mut line = String::new();
            drop(said.send(output.read_line(&mut line).map(|_| line)));
            // Whatever it says then is not waited for.
            drop(std::io::copy(&mut output, &mut std::io::sink()));
        });
        Ok(line.recv_timeout(PATIENCE).context("it does not say that it is ready")??)
    }

    /// # Errors
    /// If it has ended.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        signal_to(self.id(), signal)
    }

    /// How it has ended; none if it runs.
    ///
    /// # Errors
    /// If the system does not say it.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.0.try_wait()?)
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// If it goes on.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        wait_for("a process to end", PATIENCE, || self.ended())
    }

    /// Ends it at once: `kill -9`.
    ///
    /// # Errors
    /// If the system does not say that it has ended.
    pub fn kill(&mut self) -> Result<()> {
        self.0.kill()?;
        self.0.wait()?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.kill());
    }
}

/// # Errors
/// If there is no such process.
pub fn signal_to(process: u32, signal: Signal) -> Result<()> {
    let pid = i32::try_from(process).ok().and_then(Pid::from_raw).context("no number of a process")?;
    Ok(kill_process(pid, signal)?)
}

/// A process and those that it has started, which still run.
#[must_use]
pub fn family(process: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let parent = |child: &u32| fields(*child).ok()?.get(1)?.parse::<u32>().ok();
    let children = numbers.filter(|child| parent(child) == Some(process));
    std::iter::once(process).chain(children).collect()
}

/// The time that processes have had of the processors, and those that they have started and that have ended.
#[must_use]
pub fn cpu_time(processes: &[u32]) -> Duration {
    let time = |process: &u32| {
        let fields = fields(*process).unwrap_or_default();
        fields.iter().skip(11).take(4).filter_map(|ticks| ticks.parse::<u64>().ok()).sum::<u64>()
    };
    // In hundredths of a second on every Linux.
    Duration::from_millis(10 * processes.iter().map(time).sum::<u64>())
}

/// What stands in `/proc/PROCESS/stat` behind the name: first the state.
fn fields(process: u32) -> Result<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    let (_, fields) = stat.rsplit_once(") ").context("no such line")?;
    Ok(fields.split_whitespace().map(str::to_owned).collect())
}

/// The memory of a process in kB: `VmRSS` is what it has, `VmHWM` the most that it ever had.
///
/// # Errors
/// If there is no such process.
pub fn memory(process: u32, which: &str) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find(|line| line.starts_with(which)).context("no such line")?;
    Ok(line.split_whitespace().nth(1).context("no number")?.parse()?)
}

static IS_INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// From now on Ctrl-C and SIGTERM do not end this program at once: it ends what it has started before.
///
/// # Errors
/// If the system does not take it.
pub fn end_in_order() -> Result<()> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let [mut interrupt, mut terminate] = {
        let _runtime = runtime.enter();
        [signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?]
    };
    thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        });
        IS_INTERRUPTED.store(true, Relaxed);
    });
    Ok(())
}

/// Whether this program is to end.
#[must_use]
pub fn is_interrupted() -> bool {
    IS_INTERRUPTED.load(Relaxed)
}

/// Waits until there is something.
///
/// # Errors
/// If it does not come in time, or cannot be told, or if this program is to end.
pub fn wait_for<T>(what: &str, patience: Duration, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let end = Instant::now() + patience;
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        ensure!(Instant::now() < end, "waited {patience:?} for {what}");
        ensure!(!is_interrupted(), "interrupted");
        thread::sleep(Duration::from_millis(20));
    }
}

/// The time within which so many of 100 are, in seconds; not a number if there are none.
pub fn seconds_of(times: &mut [Duration], hundredths: usize) -> f64 {
    times.sort_unstable();
    let place = (times.len() * hundredths).div_ceil(100).saturating_sub(1);
    times.get(place).map_or(f64::NAN, Duration::as_secs_f64)
}
