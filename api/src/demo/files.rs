//! The files of a folder, as `find` sees them. What git and cargo keep is passed over, as the workflow does.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::{Path, PathBuf},
    process::Stdio,
};

use tokio::{io::AsyncWriteExt as _, process::Command};
use worker::activities::file::{list::SKIPPED, path::to_text};

use super::Error;

/// The regular files below a folder, by their paths relative to it, in byte order.
#[derive(Debug)]
pub(super) struct Files {
    folder: PathBuf,
    paths: Vec<OsString>,
}

impl Files {
    /// Runs `find` on a folder.
    pub(super) async fn find(folder: &Path) -> Result<Self, Error> {
        let unusable = || Error::NoFolder(shown(folder.as_os_str()));
        let folder = std::fs::canonicalize(folder).map_err(|_| unusable())?;
        if !folder.is_dir() || folder.to_str().is_none() {
            return Err(unusable());
        }
        let mut find = Command::new("find");
        find.current_dir(&folder).arg(".").args(["-type", "d", "("]);
        for (at, skipped) in SKIPPED.iter().enumerate() {
            find.args(if at == 0 {
                &["-name"] as &[&str]
            } else {
                &["-o", "-name"]
            })
            .arg(skipped);
        }
        find.args([")", "-prune", "-o", "-type", "f", "-printf", "%P\\0"]);
        let mut paths: Vec<OsString> = zero_separated(&output(find, "find", Vec::new()).await?);
        paths.sort_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
        Ok(Self { folder, paths })
    }

    /// Returns the folder.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns how many there are.
    pub(super) fn len(&self) -> usize {
        self.paths.len()
    }

    /// Returns their paths as the index writes them.
    pub(super) fn names(&self) -> Vec<String> {
        self.paths
            .iter()
            .map(|path| to_text(Path::new(path)))
            .collect()
    }

    /// Says of each file whether it is plain ASCII text.
    pub(super) fn are_ascii(&self) -> Vec<bool> {
        let is_text = |bytes: Vec<u8>| {
            bytes
                .iter()
                .all(|byte| matches!(byte, b' '..=b'~' | b'\t'..=b'\r'))
        };
        self.paths
            .iter()
            .map(|path| std::fs::read(self.folder.join(path)).is_ok_and(is_text))
            .collect()
    }

    /// Runs a command in the folder with the paths on its input, each ended by a zero byte.
    pub(super) async fn feed(
        &self,
        command: &'static str,
        arguments: &[&str],
    ) -> Result<Vec<u8>, Error> {
        let mut process = Command::new(command);
        process
            .current_dir(&self.folder)
            .args(arguments)
            .env("LC_ALL", "C");
        let input = self
            .paths
            .iter()
            .flat_map(|path| path.as_bytes().iter().copied().chain([0]))
            .collect();
        output(process, command, input).await
    }
}

/// Returns what a command says of an input.
pub(super) async fn fed(
    command: &'static str,
    arguments: &[&str],
    input: &[u8],
) -> Result<String, Error> {
    let mut process = Command::new(command);
    process.args(arguments).env("LC_ALL", "C");
    Ok(
        String::from_utf8_lossy(&output(process, command, input.to_vec()).await?)
            .trim()
            .to_owned(),
    )
}

/// Returns the parts of zero-separated bytes.
pub(super) fn zero_separated(bytes: &[u8]) -> Vec<OsString> {
    bytes
        .split(|&byte| byte == 0)
        .filter(|part| !part.is_empty())
        .map(|part| OsString::from_vec(part.to_vec()))
        .collect()
}

/// Returns a path as text for people.
pub(super) fn shown(path: &OsStr) -> String {
    crate::terminal::one_line(&path.to_string_lossy())
}

async fn output(
    mut process: Command,
    command: &'static str,
    input: Vec<u8>,
) -> Result<Vec<u8>, Error> {
    let failed = |problem: String| Error::Command { command, problem };
    let mut child = process
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    let stdin = child.stdin.take();
    let feeding = tokio::spawn(async move {
        if let Some(mut stdin) = stdin {
            // A command that fails early closes its input; its status says why.
            let _ = stdin.write_all(&input).await;
        }
    });
    let output = child
        .wait_with_output()
        .await
        .map_err(|error| failed(error.to_string()))?;
    feeding.abort();
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(failed(format!(
        "{}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    )))
}
