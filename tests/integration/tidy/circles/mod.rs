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
struct Room {
    name: &'static str,
    folder: &'static str,
    /// Its `lib.rs` or `main.rs`, each of which is a tree of modules.
    roots: &'static [&'static str],
}

const fn room(name: &'static str, folder: &'static str, roots: &'static [&'static str]) -> Room {
    Room {
        name,
        folder,
        roots,
    }
}

const CRATES: [Room; 8] = [
    room("history", "history/src", &["history/src/lib.rs"]),
    room("engine", "engine/src", &["engine/src/lib.rs"]),
    room("worker", "worker/src", &["worker/src/lib.rs"]),
    room(
        "worker/macros",
        "worker/macros/src",
        &["worker/macros/src/lib.rs"],
    ),
    room("api", "api/src", &["api/src/lib.rs", "api/src/main.rs"]),
    room("bench", "bench/src", &["bench/src/main.rs"]),
    room("fuzz", "fuzz/src", &["fuzz/src/lib.rs"]),
    room(
        "tests",
        "tests",
        &["tests/integration/main.rs", "tests/node/main.rs"],
    ),
];

/// Crates whose files are not yet free of circles. One that is free leaves the list.
const STILL_IN_CIRCLES: [&str; 0] = [];

#[test]
fn no_two_files_of_a_crate_need_each_other() {
    let mut wrong = String::new();
    for room in CRATES {
        let files = files(room.folder, "rs").into_iter().collect();
        let found: String = room
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
        match (STILL_IN_CIRCLES.contains(&room.name), found.as_str()) {
            (true, "") => {
                let _ = writeln!(
                    wrong,
                    "{}: free of circles, take it out of the list",
                    room.name
                );
            }
            (false, "") | (true, _) => {}
            (false, found) => {
                let _ = writeln!(wrong, "{}: {found}", room.name);
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}
