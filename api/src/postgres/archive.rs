//! Packs a Postgres into one archive. The build script includes this file, and the tests of [`super::packed`] use it.

use std::{
    fmt::Write as _,
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

/// Lists what the archive holds, a line per entry; its first entry, so that a folder can be held against it later.
const CONTENTS: &str = "contents";

/// Below these lies what running Postgres takes.
const FOLDERS: [&str; 3] = ["bin", "lib", "share"];

/// What is only for building against Postgres.
const LEFT_OUT: [&str; 2] = ["pkgconfig", "pgxs"];

const LEVEL: i32 = 19;

/// Distances over which repetition is found, as a power of two: two libraries repeat much of one another.
const WINDOW_LOG: u32 = 26;

enum Kind {
    Folder,
    File { executable: bool, bytes: Vec<u8> },
    Link(PathBuf),
}

/// Returns a compressed tar of `bin`, `lib` and `share` below a folder. The same files make the same bytes: entries are
/// sorted, and nothing of their owners and times goes in.
pub(super) fn pack(root: &Path) -> io::Result<Vec<u8>> {
    let mut entries = Vec::new();
    for folder in FOLDERS {
        read(root, Path::new(folder), &mut entries)?;
    }
    let mut contents = String::new();
    for (path, kind) in &entries {
        let path = path.display();
        let written = match kind {
            Kind::Folder => writeln!(contents, "folder {path}"),
            Kind::File { bytes, .. } => writeln!(contents, "{} {path}", bytes.len()),
            Kind::Link(_) => writeln!(contents, "link {path}"),
        };
        written.map_err(io::Error::other)?;
    }
    let contents = Kind::File {
        executable: false,
        bytes: contents.into_bytes(),
    };
    entries.insert(0, (PathBuf::from(CONTENTS), contents));

    let mut compressed = zstd::Encoder::new(Vec::new(), LEVEL)?;
    compressed.include_checksum(true)?;
    compressed.window_log(WINDOW_LOG)?;
    let mut tar = tar::Builder::new(compressed);
    for (path, kind) in &entries {
        append(&mut tar, path, kind)?;
    }
    tar.into_inner()?.finish()
}

/// Adds what lies at a path below the root, in the order of names.
fn read(root: &Path, path: &Path, entries: &mut Vec<(PathBuf, Kind)>) -> io::Result<()> {
    let at = |error: io::Error| {
        io::Error::new(
            error.kind(),
            format!("{}: {error}", root.join(path).display()),
        )
    };
    let full = root.join(path);
    let metadata = fs::symlink_metadata(&full).map_err(at)?;
    if metadata.is_symlink() {
        let target = fs::read_link(&full).map_err(at)?;
        if target.is_absolute() {
            return Err(at(io::Error::other(
                "a link to an absolute path means nothing elsewhere",
            )));
        }
        entries.push((path.to_owned(), Kind::Link(target)));
    } else if metadata.is_dir() {
        entries.push((path.to_owned(), Kind::Folder));
        let mut names = fs::read_dir(&full)
            .map_err(at)?
            .map(|entry| entry.map(|entry| entry.file_name()))
            .collect::<io::Result<Vec<_>>>()
            .map_err(at)?;
        names.sort_unstable();
        for name in names {
            let is_static = Path::new(&name)
                .extension()
                .is_some_and(|extension| extension == "a");
            if !is_static && !LEFT_OUT.iter().any(|left_out| name == *left_out) {
                read(root, &path.join(name), entries)?;
            }
        }
    } else {
        let file = Kind::File {
            executable: metadata.permissions().mode() & 0o100 != 0,
            bytes: fs::read(&full).map_err(at)?,
        };
        entries.push((path.to_owned(), file));
    }
    Ok(())
}

fn append<W: io::Write>(tar: &mut tar::Builder<W>, path: &Path, kind: &Kind) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_mtime(0);
    header.set_size(0);
    header.set_mode(0o755);
    match kind {
        Kind::Folder => {
            header.set_entry_type(tar::EntryType::Directory);
            tar.append_data(&mut header, path, io::empty())
        }
        Kind::Link(target) => {
            header.set_entry_type(tar::EntryType::Symlink);
            tar.append_link(&mut header, path, target)
        }
        Kind::File { executable, bytes } => {
            header.set_entry_type(tar::EntryType::Regular);
            header.set_size(bytes.len() as u64);
            header.set_mode(if *executable { 0o755 } else { 0o644 });
            tar.append_data(&mut header, path, bytes.as_slice())
        }
    }
}
