//! No two files of a crate need each other to be read.

mod arrows;
mod circle;
mod code;
mod resolve;
mod source;
mod tests;

use std::fmt::Write as _;

use super::tree::files;
use arrows::arrows;
use circle::circles;

/// A crate of the workspace.
struct Crate {
    name: &'static str,
    folder: &'static str,
    /// Its `lib.rs` or `main.rs`, each of which is a tree of modules.
    roots: &'static [&'static str],
}

const fn of(name: &'static str, folder: &'static str, roots: &'static [&'static str]) -> Crate {
    Crate {
        name,
        folder,
        roots,
    }
}

const CRATES: [Crate; 8] = [
    of("history", "history/src", &["history/src/lib.rs"]),
    of("engine", "engine/src", &["engine/src/lib.rs"]),
    of("worker", "worker/src", &["worker/src/lib.rs"]),
    of(
        "worker/macros",
        "worker/macros/src",
        &["worker/macros/src/lib.rs"],
    ),
    of("api", "api/src", &["api/src/lib.rs", "api/src/main.rs"]),
    of("bench", "bench/src", &["bench/src/main.rs"]),
    of("fuzz", "fuzz/src", &["fuzz/src/lib.rs"]),
    of(
        "tests",
        "tests",
        &["tests/integration/main.rs", "tests/node/main.rs"],
    ),
];

#[test]
fn no_two_files_of_a_crate_need_each_other() {
    let mut wrong = String::new();
    for krate in CRATES {
        let files = files(krate.folder, "rs").into_iter().collect();
        let found: String = krate
            .roots
            .iter()
            .flat_map(|root| {
                let arrows = arrows(&files, root);
                circles(&arrows)
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
            })
            .collect();
        if !found.is_empty() {
            let _ = writeln!(wrong, "{}: {found}", krate.name);
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}
