//! With the feature `packed-postgres`: packs a folder with a Postgres into the archive that the program embeds.

#[cfg(feature = "packed-postgres")]
#[path = "src/postgres/archive.rs"]
mod archive;

#[cfg(feature = "packed-postgres")]
mod packed {
    use std::{
        env, fs,
        path::{Path, PathBuf},
        process::Command,
    };

    use sha2::{Digest as _, Sha256};

    use super::archive;

    const FOLDER: &str = "COREASON_PACK_POSTGRES";
    const FOLDER_CHANGED: &str = "cargo::rerun-if-env-changed=COREASON_PACK_POSTGRES";

    /// Returns what cargo is told: what this depends on, and what the program may know of its Postgres.
    pub(super) fn told() -> Result<Vec<String>, String> {
        let folder = env::var_os(FOLDER).map(PathBuf::from).ok_or_else(|| {
            format!(
                "the feature `packed-postgres` packs the Postgres in the folder {FOLDER}, which is not set; build with \
                 `scripts/pack`, which fetches one, or name a folder with `bin`, `lib` and `share`"
            )
        })?;
        let version = version(&folder)?;
        let archive = archive::pack(&folder)
            .map_err(|error| format!("cannot pack {FOLDER}={}: {error}", folder.display()))?;
        let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo names no OUT_DIR")?)
            .join("postgres.tar.zst");
        fs::write(&out, &archive)
            .map_err(|error| format!("cannot write {}: {error}", out.display()))?;
        Ok(vec![
            FOLDER_CHANGED.to_owned(),
            "cargo::rerun-if-changed=build.rs".to_owned(),
            "cargo::rerun-if-changed=src/postgres/archive.rs".to_owned(),
            format!("cargo::rerun-if-changed={}", folder.display()),
            format!("cargo::rustc-env=COREASON_PACKED_VERSION={version}"),
            format!(
                "cargo::rustc-env=COREASON_PACKED_DIGEST={:x}",
                Sha256::digest(&archive)
            ),
            format!("cargo::rustc-env=COREASON_PACKED_FILE={}", out.display()),
        ])
    }

    /// Reads `postgres (PostgreSQL) 18.4` as `18.4`.
    fn version(folder: &Path) -> Result<String, String> {
        let program = folder.join("bin/postgres");
        let output = Command::new(&program)
            .arg("--version")
            .output()
            .map_err(|error| {
                format!(
                    "{FOLDER}={} has no Postgres that runs: {}: {error}",
                    folder.display(),
                    program.display()
                )
            })?;
        let text = String::from_utf8_lossy(&output.stdout);
        text.split("(PostgreSQL) ")
            .nth(1)
            .and_then(|rest| rest.split_whitespace().next())
            .map(str::to_owned)
            .ok_or_else(|| format!("`{} --version` answers {text:?}", program.display()))
    }
}

#[cfg(feature = "packed-postgres")]
fn told() -> Vec<String> {
    packed::told().unwrap_or_else(|problem| {
        let again = "cargo::rerun-if-env-changed=COREASON_PACK_POSTGRES".to_owned();
        vec![again, format!("cargo::error={problem}")]
    })
}

#[cfg(not(feature = "packed-postgres"))]
fn told() -> Vec<String> {
    vec!["cargo::rerun-if-changed=build.rs".to_owned()]
}

fn main() -> std::io::Result<()> {
    use std::io::Write as _;

    told()
        .iter()
        .try_for_each(|line| writeln!(std::io::stdout(), "{line}"))
}
