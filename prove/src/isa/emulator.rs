//! A program in QEMU's user mode that executes the instructions that it is told, on registers and memory that it is told.

use anyhow::{Context as _, Result, bail, ensure};
use std::{
    env, fs,
    io::{Read as _, Write as _},
    path::PathBuf,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

/// The program, in another process.
#[derive(Debug)]
pub(crate) struct Emulator {
    child: Child,
    to: ChildStdin,
    from: ChildStdout,
    /// Its files, until it has answered once.
    files: Option<Folder>,
}

/// A folder that is removed on drop.
#[derive(Debug)]
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // What stays of it harms nobody.
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Emulator {
    /// Assembles `source` by `assembler` with its arguments, and starts it by `qemu` with its own.
    pub(crate) fn start(
        source: &str,
        (assembler, arguments): (&str, &[&str]),
        (qemu, qemu_arguments): (&str, &[&str]),
    ) -> Result<Self> {
        let files = Folder(env::temp_dir().join(format!("prove-{}-{qemu}", std::process::id())));
        fs::create_dir_all(&files.0)?;
        let (path, program) = (files.0.join("processor.s"), files.0.join("processor"));
        fs::write(&path, source)?;
        let assembled = Command::new(assembler)
            .args(["-nostdlib", "-static", "-Wl,-N"])
            .args(arguments)
            .arg(&path)
            .arg("-o")
            .arg(&program)
            .output()
            .with_context(|| format!("{assembler} does not start"))?;
        let why = String::from_utf8_lossy(&assembled.stderr);
        ensure!(assembled.status.success(), "processor.s is not assembled: {why}");
        let child = Command::new(qemu)
            .args(qemu_arguments)
            .arg(&program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut child = child.with_context(|| format!("{qemu} does not start"))?;
        let (Some(to), Some(from)) = (child.stdin.take(), child.stdout.take()) else { bail!("no pipes") };
        Ok(Self { child, to, from, files: Some(files) })
    }

    /// What the program answers, in `size` bytes.
    pub(crate) fn ask(&mut self, message: &[u8], size: usize) -> Result<Vec<u8>> {
        self.to.write_all(message)?;
        let mut answer = vec![0; size];
        self.from.read_exact(&mut answer).context("the processor stops")?;
        self.files = None;
        Ok(answer)
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        // It may have ended before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
