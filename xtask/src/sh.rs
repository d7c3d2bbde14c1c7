//! Runs commands, shows each one as it could be typed.

use crate::paths;
use anyhow::{Context, Result, bail};
use std::{
    ffi::OsStr,
    fmt::Write as _,
    io::Write as _,
    path::Path,
    process::{Child, Command, Stdio},
};

/// A command, run from the root of the repository.
pub(crate) struct Cmd {
    command: Command,
    shown_env: String,
}

/// The cargo that runs xtask.
pub(crate) fn cargo() -> Cmd {
    Cmd::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

impl Cmd {
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(program);
        command.current_dir(paths::root());
        Self { command, shown_env: String::new() }
    }

    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    pub(crate) fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.command.args(args);
        self
    }

    /// Sets an environment variable.
    pub(crate) fn env(mut self, key: &str, value: impl AsRef<OsStr>) -> Self {
        let value = value.as_ref();
        // Writing to a string does not fail.
        let _ = write!(self.shown_env, "{key}={} ", quote(&value.to_string_lossy()));
        self.command.env(key, value);
        self
    }

    /// Unsets an environment variable.
    pub(crate) fn env_remove(mut self, key: &str) -> Self {
        self.command.env_remove(key);
        self
    }

    /// Runs in another directory than the root.
    pub(crate) fn dir(mut self, dir: &Path) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// Shows the command, runs it, and fails if it fails.
    pub(crate) fn run(mut self) -> Result<()> {
        self.echo();
        let status = self.command.status().with_context(|| self.not_started())?;
        if !status.success() {
            bail!("{} failed: {status}", self.program());
        }
        Ok(())
    }

    /// Runs the command unseen and returns what it printed, if it succeeded.
    pub(crate) fn read(mut self) -> Option<String> {
        let output = self.command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Shows the command and starts it.
    pub(crate) fn spawn(mut self, stdout: Stdio, stderr: Stdio) -> Result<Child> {
        self.echo();
        self.command
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr)
            .spawn()
            .with_context(|| self.not_started())
    }

    fn echo(&self) {
        let mut line = format!("$ {}{}", self.shown_env, quote(&self.program()));
        for arg in self.command.get_args() {
            let _ = write!(line, " {}", quote(&arg.to_string_lossy()));
        }
        println!("{line}");
        // What the command itself prints must follow this line in a log.
        let _ = std::io::stdout().flush();
    }

    fn program(&self) -> String {
        let path = Path::new(self.command.get_program());
        path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
    }

    fn not_started(&self) -> String {
        format!("cannot start {}", self.command.get_program().to_string_lossy())
    }
}

/// `word` as a shell would need it; paths below the root are shown relative to it.
fn quote(word: &str) -> String {
    let root = format!("{}/", paths::root().display());
    let word = word.strip_prefix(&root).unwrap_or(word);
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=/.,:+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word.to_owned() } else { format!("'{word}'") }
}
