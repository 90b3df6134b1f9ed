//! Processes that the bench starts: servers, and programs that are spoken to a line at a time.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, Result};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};

/// How long a process may take to start, to answer, or to end when asked.
const PATIENCE: Duration = Duration::from_mins(2);

/// A process that runs; killed when dropped.
pub(crate) struct Process {
    child: Child,
    pub(crate) pid: u32,
    pipes: Option<Pipes>,
    /// Where it writes what it has to say.
    log: PathBuf,
}

struct Pipes {
    stdin: ChildStdin,
    stdout: Lines<BufReader<ChildStdout>>,
}

impl Process {
    /// Starts a server, which SIGTERM ends. Its log goes to the folder.
    pub(crate) fn server(command: &mut Command, folder: &Path) -> Result<Self> {
        let (log, file) = log(command, folder)?;
        let stderr = file.try_clone()?;
        command.stdin(Stdio::null()).stdout(file).stderr(stderr);
        Self::spawn(command, log)
    }

    /// Starts a program that is spoken to, and ends with its stdin.
    pub(crate) fn program(command: &mut Command, folder: &Path) -> Result<Self> {
        let (log, file) = log(command, folder)?;
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(file);
        let mut process = Self::spawn(command, log)?;
        process.pipes = Some(Pipes {
            stdin: process.child.stdin.take().context("a pipe")?,
            stdout: BufReader::new(process.child.stdout.take().context("a pipe")?).lines(),
        });
        Ok(process)
    }

    fn spawn(command: &mut Command, log: PathBuf) -> Result<Self> {
        let child = command.kill_on_drop(true).spawn().with_context(|| {
            format!("cannot start {}", command.as_std().get_program().display())
        })?;
        Ok(Self {
            pid: child.id().context("it has ended already")?,
            child,
            pipes: None,
            log,
        })
    }

    /// Writes a line to a program.
    pub(crate) async fn tell(&mut self, line: &str) -> Result<()> {
        let pipes = self.pipes.as_mut().context("a program")?;
        Ok(pipes
            .stdin
            .write_all(format!("{line}\n").as_bytes())
            .await?)
    }

    /// Returns the next line that a program says; fails with the end of its log.
    pub(crate) async fn hear(&mut self) -> Result<String> {
        let pipes = self.pipes.as_mut().context("a program")?;
        let line = timeout(PATIENCE, pipes.stdout.next_line())
            .await
            .with_context(|| format!("it says nothing: {}", self.last_words()))??;
        line.with_context(|| format!("it has ended: {}", self.last_words()))
    }

    /// Returns the end of its log.
    pub(crate) fn last_words(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(8)..].join("\n")
    }

    /// Asks it to end and waits until it has.
    pub(crate) async fn stop(mut self) -> Result<()> {
        if self.pipes.take().is_none() {
            kill(Pid::from_raw(self.pid.cast_signed()), Signal::SIGTERM)?;
        }
        if timeout(PATIENCE, self.child.wait()).await.is_err() {
            self.child.kill().await?;
        }
        Ok(())
    }
}

fn log(command: &Command, folder: &Path) -> Result<(PathBuf, File)> {
    let program = Path::new(command.as_std().get_program());
    let name = program.file_name().context("a program")?;
    let path = folder.join(name).with_extension("log");
    let file = File::create(&path)?;
    Ok((path, file))
}
