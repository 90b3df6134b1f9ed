//! Which code this program runs.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
    sync::OnceLock,
    time::UNIX_EPOCH,
};

use history::BuildId;
use sha2::{Digest as _, Sha256};

/// So much is read of the beginning of the program's file and of its end.
const READ_BYTES: u64 = 1024 * 1024;

/// Returns what tells this program from other builds of it: a digest of its file's length, time of change, beginning and end.
pub(crate) fn own() -> BuildId {
    static OWN: OnceLock<BuildId> = OnceLock::new();
    // A program whose file is gone is taken for one of its own.
    OWN.get_or_init(|| of_program().unwrap_or_else(|_| BuildId::known("unknown")))
        .clone()
}

fn of_program() -> io::Result<BuildId> {
    let mut file = File::open(std::env::current_exe()?)?;
    let about = file.metadata()?;
    let changed = about.modified()?.duration_since(UNIX_EPOCH);
    let mut digest = Sha256::new();
    digest.update(about.len().to_be_bytes());
    digest.update(changed.unwrap_or_default().as_nanos().to_be_bytes());
    let mut part = Vec::new();
    file.by_ref().take(READ_BYTES).read_to_end(&mut part)?;
    file.seek(SeekFrom::Start(about.len().saturating_sub(READ_BYTES)))?;
    file.take(READ_BYTES).read_to_end(&mut part)?;
    digest.update(&part);
    let digest = digest.finalize();
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    let digest = format!("{:016x}", u64::from_be_bytes(first));
    Ok(BuildId::known(digest))
}

#[cfg(test)]
mod tests {
    use super::own;

    #[test]
    fn a_program_has_one_build_id() {
        assert_eq!(own(), own());
        assert_eq!(own().as_str().len(), 16);
    }
}
