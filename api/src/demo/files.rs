//! The files of a folder, as `find` sees them.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::{Path, PathBuf},
    process::Stdio,
};

use tokio::{io::AsyncWriteExt as _, process::Command};

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
        let folder = std::fs::canonicalize(folder).map_err(|_| Error::NoFolder(folder.display().to_string()))?;
        if !folder.is_dir() {
            return Err(Error::NoFolder(folder.display().to_string()));
        }
        let mut find = Command::new("find");
        find.current_dir(&folder).args([".", "-type", "f", "-printf", "%P\\0"]);
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

    /// Returns their paths.
    pub(super) fn paths(&self) -> &[OsString] {
        &self.paths
    }

    /// Runs a command in the folder with the paths on its input, each ended by a zero byte.
    pub(super) async fn feed(&self, command: &'static str, arguments: &[&str]) -> Result<Vec<u8>, Error> {
        let mut process = Command::new(command);
        process.current_dir(&self.folder).args(arguments).env("LC_ALL", "C");
        let input = self.paths.iter().flat_map(|path| path.as_bytes().iter().copied().chain([0])).collect();
        output(process, command, input).await
    }
}

/// Returns the parts of zero-separated bytes.
pub(super) fn zero_separated(bytes: &[u8]) -> Vec<OsString> {
    bytes.split(|&byte| byte == 0).filter(|part| !part.is_empty()).map(|part| OsString::from_vec(part.to_vec())).collect()
}

/// Returns a path as text for people.
pub(super) fn shown(path: &OsStr) -> String {
    crate::cli::one_line(&path.to_string_lossy())
}

async fn output(mut process: Command, command: &'static str, input: Vec<u8>) -> Result<Vec<u8>, Error> {
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
    let output = child.wait_with_output().await.map_err(|error| failed(error.to_string()))?;
    feeding.abort();
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(failed(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim())))
}
