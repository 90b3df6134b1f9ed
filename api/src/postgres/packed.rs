//! The Postgres inside the program: unpacked once, whole or not at all, and held against its own list of contents later.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use nix::{
    fcntl::{AT_FDCWD, RenameFlags, renameat2},
    unistd::{geteuid, syncfs},
};
use sha2::{Digest as _, Sha256};

use super::Error;

/// The list in the archive of what it holds, by the name that [`super::archive::pack`] gives it.
const CONTENTS: &str = "contents";

/// A compressed tar that [`super::archive::pack`] made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Packed {
    /// What `postgres --version` says, such as `18.4`.
    pub(super) version: &'static str,
    /// SHA-256 of the archive, in hexadecimal digits.
    pub(super) digest: &'static str,
    pub(super) archive: &'static [u8],
}

/// The one in this program.
#[cfg(feature = "packed-postgres")]
pub(super) const IN_THIS_PROGRAM: Packed = Packed {
    version: env!("COREASON_PACKED_VERSION"),
    digest: env!("COREASON_PACKED_DIGEST"),
    archive: include_bytes!(env!("COREASON_PACKED_FILE")),
};

impl Packed {
    /// Returns the unpacked folder below `parent`, which has `bin` and its like. Unpacks unless it is there and whole.
    ///
    /// One process at a time unpacks; the others wait, and find it done. It is unpacked beside its final place and renamed,
    /// so that whoever sees the folder sees all of it.
    pub(super) fn unpacked(&self, parent: &Path) -> Result<PathBuf, Error> {
        let home = parent.join(format!("postgres-{}-{}", self.version, &self.digest[..12]));
        let refused = |reason: String| Error::NotUnpacked {
            path: home.clone(),
            reason,
        };
        if is_whole(&home).map_err(&refused)? {
            return Ok(home);
        }
        // A cache of one's own, named for the first time. Another user may have to read it.
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(parent)
            .map_err(|error| refused(format!("cannot make {}: {error}", parent.display())))?;
        let _lock = lock(&home.with_added_extension("lock"))
            .map_err(|error| refused(format!("cannot lock it: {error}")))?;
        if !is_whole(&home).map_err(&refused)? {
            self.check().map_err(&refused)?;
            tracing::info!(version = self.version, to = %home.display(), "unpacking Postgres");
            self.unpack(&home)
                .map_err(|error| refused(error.to_string()))?;
            if !is_whole(&home).map_err(&refused)? {
                return Err(refused(
                    "its files are not those of the archive; is something else writing there?"
                        .to_owned(),
                ));
            }
        }
        Ok(home)
    }

    /// Refuses an archive that is not the one that was packed.
    fn check(&self) -> Result<(), String> {
        let found = format!("{:x}", Sha256::digest(self.archive));
        if found == self.digest {
            return Ok(());
        }
        Err(
            "the archive in this program is damaged; fetch the program again, and compare its digest"
                .to_owned(),
        )
    }

    fn unpack(&self, home: &Path) -> io::Result<()> {
        let new = home.with_added_extension("new");
        // What a killed process has left, or a damaged folder that was changed for a whole one.
        remove(&new)?;
        DirBuilder::new().mode(0o755).create(&new)?;
        let unpacked = self.unpack_into(&new).and_then(|()| place(&new, home));
        let removed = remove(&new);
        unpacked.and(removed)
    }

    fn unpack_into(&self, new: &Path) -> io::Result<()> {
        let tar = zstd::Decoder::with_buffer(self.archive)?;
        let mut tar = tar::Archive::new(tar);
        // Exactly the rights in the archive, whatever the umask: another user may have to read it.
        tar.set_preserve_permissions(true);
        tar.set_preserve_mtime(false);
        tar.unpack(new)?;
        let folder = File::open(new)?;
        nix::sys::stat::fchmod(&folder, nix::sys::stat::Mode::from_bits_truncate(0o755))?;
        // A rename may reach the disk before the bytes of the files do.
        syncfs(&folder)?;
        Ok(())
    }
}

/// Moves a folder to its place. A damaged one there is changed for it in one step, because a Postgres may run from it.
fn place(new: &Path, home: &Path) -> io::Result<()> {
    match fs::symlink_metadata(home) {
        Ok(_) => renameat2(AT_FDCWD, new, AT_FDCWD, home, RenameFlags::RENAME_EXCHANGE)?,
        Err(_) => fs::rename(new, home)?,
    }
    let parent = home.parent().unwrap_or(home);
    File::open(parent)?.sync_all()
}

/// Removes a folder or file, if it is there.
fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn lock(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o644)
        .open(path)?;
    file.lock()?;
    Ok(file)
}

/// Says whether a folder has everything of its own list, each of the kind and size that the list says; tools that tidy up old
/// files take them one by one. Programs run from there, so it must be ours or root's and closed to the writing of others.
fn is_whole(home: &Path) -> Result<bool, String> {
    let Ok(metadata) = fs::symlink_metadata(home) else {
        return Ok(false);
    };
    let owner = metadata.uid();
    if owner != 0 && owner != geteuid().as_raw() {
        return Err(format!("the folder is there and belongs to user {owner}"));
    }
    if metadata.mode() & 0o022 != 0 {
        return Err("the folder is there and others may write in it".to_owned());
    }
    let Ok(contents) = fs::read_to_string(home.join(CONTENTS)) else {
        return Ok(false);
    };
    Ok(!contents.is_empty() && contents.lines().all(|line| is_there(home, line)))
}

fn is_there(home: &Path, line: &str) -> bool {
    let Some((kind, path)) = line.split_once(' ') else {
        return false;
    };
    fs::symlink_metadata(home.join(path)).is_ok_and(|metadata| match kind {
        "folder" => metadata.is_dir(),
        "link" => metadata.is_symlink(),
        size => metadata.is_file() && size.parse() == Ok(metadata.len()),
    })
}

#[cfg(test)]
mod tests {
    use std::{
        env,
        fs::Permissions,
        os::unix::fs::{PermissionsExt as _, symlink},
        thread,
    };

    use super::super::archive;
    use super::*;

    /// A folder that its test removes.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path =
                env::temp_dir().join(format!("coreason-packed-{name}-{}", std::process::id()));
            fs::create_dir_all(path.join("to")).unwrap();
            Self(path)
        }

        /// Packs something of the shape of a Postgres.
        fn packed(&self) -> Packed {
            let from = self.0.join("from");
            for folder in ["bin", "lib/pkgconfig", "share/empty"] {
                fs::create_dir_all(from.join(folder)).unwrap();
            }
            fs::write(from.join("bin/postgres"), "#!/bin/sh\necho up\n").unwrap();
            fs::set_permissions(from.join("bin/postgres"), Permissions::from_mode(0o700)).unwrap();
            fs::write(from.join("lib/libpq.so.5.18"), vec![7; 300_000]).unwrap();
            fs::write(from.join("lib/libpq.a"), "for linking").unwrap();
            fs::write(from.join("lib/pkgconfig/libpq.pc"), "for building").unwrap();
            fs::set_permissions(
                from.join("lib/libpq.so.5.18"),
                Permissions::from_mode(0o600),
            )
            .unwrap();
            if !from.join("lib/libpq.so").is_symlink() {
                symlink("libpq.so.5.18", from.join("lib/libpq.so")).unwrap();
            }
            of(archive::pack(&from).unwrap())
        }

        fn to(&self) -> PathBuf {
            self.0.join("to")
        }

        fn unpacked_names(&self) -> Vec<String> {
            let mut names: Vec<String> = fs::read_dir(self.to())
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn of(archive: Vec<u8>) -> Packed {
        Packed {
            version: "18.4",
            digest: format!("{:x}", Sha256::digest(&archive)).leak(),
            archive: archive.leak(),
        }
    }

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn what_is_packed_comes_out_with_links_and_rights_for_everyone() {
        let folder = Folder::new("whole");

        let home = folder.packed().unpacked(&folder.to()).unwrap();

        assert_eq!(
            fs::read_to_string(home.join("bin/postgres")).unwrap(),
            "#!/bin/sh\necho up\n"
        );
        assert_eq!(
            fs::read_link(home.join("lib/libpq.so")).unwrap(),
            Path::new("libpq.so.5.18")
        );
        assert_eq!(fs::read(home.join("lib/libpq.so")).unwrap().len(), 300_000);
        assert_eq!(mode(&home), 0o755);
        assert_eq!(mode(&home.join("bin")), 0o755);
        assert_eq!(mode(&home.join("bin/postgres")), 0o755);
        assert_eq!(mode(&home.join("lib/libpq.so.5.18")), 0o644);
        assert!(home.join("share/empty").is_dir());
    }

    #[test]
    fn cache_that_does_not_exist_yet_is_made_for_everyone_to_read() {
        let folder = Folder::new("no-cache");
        let cache = folder.0.join("a/b");

        let home = folder.packed().unpacked(&cache).unwrap();

        assert!(is_whole(&home).unwrap());
        assert_eq!((mode(&folder.0.join("a")), mode(&cache)), (0o755, 0o755));
    }

    #[test]
    fn what_is_only_for_building_is_left_out() {
        let folder = Folder::new("lean");

        let home = folder.packed().unpacked(&folder.to()).unwrap();

        assert!(!home.join("lib/libpq.a").exists());
        assert!(!home.join("lib/pkgconfig").exists());
    }

    #[test]
    fn same_files_make_the_same_archive() {
        let (folder, other) = (Folder::new("same"), Folder::new("same-again"));

        assert_eq!(folder.packed().digest, other.packed().digest);
    }

    #[test]
    fn many_at_once_agree_on_one_folder_and_see_all_of_it() {
        let folder = Folder::new("at-once");
        let packed = folder.packed();

        let homes: Vec<PathBuf> = thread::scope(|scope| {
            let unpack = || {
                let home = packed.unpacked(&folder.to()).unwrap();
                assert!(is_whole(&home).unwrap());
                home
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(unpack)).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });

        let name = homes[0].file_name().unwrap().to_str().unwrap();
        assert!(homes.iter().all(|home| *home == homes[0]));
        assert_eq!(
            folder.unpacked_names(),
            [name.to_owned(), format!("{name}.lock")]
        );
    }

    #[test]
    fn unpacked_folder_is_used_as_it_is() {
        let folder = Folder::new("again");
        let packed = folder.packed();
        let home = packed.unpacked(&folder.to()).unwrap();
        let inode = fs::metadata(&home).unwrap().ino();

        packed.unpacked(&folder.to()).unwrap();

        assert_eq!(fs::metadata(&home).unwrap().ino(), inode);
    }

    #[test]
    fn folder_that_lost_a_file_or_a_part_of_one_is_unpacked_again() {
        let folder = Folder::new("damaged");
        let packed = folder.packed();
        let home = packed.unpacked(&folder.to()).unwrap();
        for damage in [
            |home: &Path| fs::remove_file(home.join("lib/libpq.so")),
            |home: &Path| fs::write(home.join("lib/libpq.so.5.18"), "cut"),
            |home: &Path| fs::remove_dir_all(home.join("share")),
            |home: &Path| fs::remove_file(home.join(CONTENTS)),
        ] {
            damage(&home).unwrap();
            assert!(!is_whole(&home).unwrap());

            assert_eq!(packed.unpacked(&folder.to()).unwrap(), home);

            assert!(is_whole(&home).unwrap());
        }
        assert_eq!(folder.unpacked_names().len(), 2, "nothing is left lying");
    }

    #[test]
    fn what_a_killed_process_left_half_unpacked_is_cleared_away() {
        let folder = Folder::new("killed");
        let packed = folder.packed();
        let name = format!("postgres-18.4-{}.new", &packed.digest[..12]);
        fs::create_dir_all(folder.to().join(&name).join("bin")).unwrap();
        fs::write(folder.to().join(&name).join("bin/half"), "half").unwrap();

        let home = packed.unpacked(&folder.to()).unwrap();

        assert!(!home.join("bin/half").exists());
        assert!(!folder.to().join(name).exists());
    }

    #[test]
    fn changed_archive_is_refused_before_anything_is_unpacked() {
        let folder = Folder::new("corrupted");
        let packed = folder.packed();
        let mut archive = packed.archive.to_vec();
        let middle = archive.len() / 2;
        archive[middle] ^= 1;
        let corrupted = Packed {
            archive: archive.leak(),
            ..packed
        };

        let error = corrupted.unpacked(&folder.to()).unwrap_err();

        assert_eq!(error.code(), "POSTGRES_NOT_UNPACKED");
        assert!(error.to_string().contains("is damaged"), "{error}");
        assert_eq!(folder.unpacked_names().len(), 1, "the lock");
    }

    #[test]
    fn archive_that_is_none_is_an_error_even_with_its_digest() {
        let folder = Folder::new("nonsense");
        let whole = folder.packed().archive;
        for archive in [b"nonsense".to_vec(), whole[..whole.len() / 2].to_vec()] {
            let error = of(archive).unpacked(&folder.to()).unwrap_err();

            assert_eq!(error.code(), "POSTGRES_NOT_UNPACKED");
        }
        assert!(
            folder
                .unpacked_names()
                .iter()
                .all(|name| has_extension(name, "lock"))
        );
    }

    fn has_extension(name: &str, extension: &str) -> bool {
        Path::new(name)
            .extension()
            .is_some_and(|found| found == extension)
    }

    #[test]
    fn place_where_nothing_can_be_made_is_named_with_what_to_do() {
        let folder = Folder::new("unwritable");
        let file = folder.0.join("file");
        fs::write(&file, "").unwrap();

        let error = folder.packed().unpacked(&file).unwrap_err();

        assert_eq!(error.code(), "POSTGRES_NOT_UNPACKED");
        assert!(error.to_string().contains("COREASON_CACHE"), "{error}");
    }

    #[test]
    fn folder_that_others_may_write_in_is_not_run_from() {
        let folder = Folder::new("open");
        let packed = folder.packed();
        let home = packed.unpacked(&folder.to()).unwrap();
        fs::set_permissions(&home, Permissions::from_mode(0o777)).unwrap();

        let error = packed.unpacked(&folder.to()).unwrap_err();

        assert!(error.to_string().contains("others may write"), "{error}");
    }
}
