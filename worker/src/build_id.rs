//! Which code this program runs.

use std::{fs::File, io, sync::OnceLock};

use history::BuildId;
use sha2::{Digest as _, Sha256};

/// Returns what tells this program from other builds of it: a digest of its file, the same for every copy. A program whose file
/// can't be read, because it is gone for example, is taken for one build with its like.
///
/// The first call reads all of the file, which takes some tenths of a second for a large one: begin with it early, beside other things.
pub fn own() -> BuildId {
    static OWN: OnceLock<BuildId> = OnceLock::new();
    OWN.get_or_init(|| of_program().unwrap_or_else(|_| BuildId::known("unknown")))
        .clone()
}

fn of_program() -> io::Result<BuildId> {
    // What runs, even if its file has been replaced since.
    of(File::open("/proc/self/exe").or_else(|_| File::open(std::env::current_exe()?))?)
}

fn of(mut file: impl io::Read) -> io::Result<BuildId> {
    let mut digest = Sha256::new();
    let mut part = vec![0; 256 * 1024];
    loop {
        match file.read(&mut part)? {
            0 => break,
            read => digest.update(&part[..read]),
        }
    }
    let digest = digest.finalize();
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    let digest = format!("{:016x}", u64::from_be_bytes(first));
    Ok(BuildId::known(digest))
}

#[cfg(test)]
mod tests {
    use super::{of, own};

    #[test]
    fn a_program_has_one_build_id() {
        assert_eq!(own(), own());
        assert_eq!(own().as_str().len(), 16);
    }

    #[test]
    fn one_byte_in_the_middle_makes_another_build() {
        let mut program = vec![7; 5_000_000];
        let before = of(&program[..]).unwrap();
        program[2_500_000] = 8;
        assert_ne!(of(&program[..]).unwrap(), before);
    }
}
