//! Which files a folder has.

use std::{
    fs, io,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use history::limits::PAYLOAD_BYTES_MAX;

use super::path;
use crate::prelude::*;

/// Folders of these names are passed over wherever they stand: what git and cargo keep.
pub const SKIPPED: [&str; 2] = [".git", "target"];
/// What one file takes in an index beside its path, at most.
const ENTRY_BYTES: usize = 180;

/// Lists the regular files under a folder: paths relative to it, in the order of their bytes (`LC_ALL=C sort`).
///
/// Symbolic links are neither listed nor followed, and folders called `.git` or `target` are passed over.
/// Paths are written as [`path`] says.
#[activity(start_to_close = "10m", retry(max_attempts = 5, initial = "200ms"))]
pub fn list_files(folder: String) -> Result<Vec<String>> {
    let root = Path::new(&folder);
    let mut files = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(inside) = folders.pop() {
        let here = root.join(&inside);
        read(&here, &inside, &mut files, &mut folders).map_err(|error| {
            let here = path::to_text(&here);
            let error_text = format!("{}: {error}", here.trim_end_matches('/'));
            let failure = Error::new(error_text).of_kind("FolderUnreadable");
            match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => failure.non_retryable(),
                _ => failure,
            }
        })?;
    }
    files.sort_unstable_by(|a, b| a.as_os_str().as_bytes().cmp(b.as_os_str().as_bytes()));
    let texts: Vec<String> = files.iter().map(|file| path::to_text(file)).collect();
    let bytes: usize = texts.iter().map(|text| text.len() + ENTRY_BYTES).sum();
    if bytes > PAYLOAD_BYTES_MAX {
        return Err(Error::new(format!(
            "the index of {} files would have up to {bytes} bytes, and a result has at most {PAYLOAD_BYTES_MAX}; \
             index a smaller folder",
            texts.len(),
        ))
        .of_kind("FolderTooLarge")
        .non_retryable());
    }
    Ok(texts)
}

fn read(
    here: &Path,
    inside: &Path,
    files: &mut Vec<PathBuf>,
    folders: &mut Vec<PathBuf>,
) -> io::Result<()> {
    for entry in fs::read_dir(here)? {
        let entry = entry?;
        let name = entry.file_name();
        let kind = entry.file_type()?;
        if kind.is_file() {
            files.push(inside.join(name));
        } else if kind.is_dir() && !SKIPPED.iter().any(|skipped| name == *skipped) {
            folders.push(inside.join(name));
        }
    }
    Ok(())
}
