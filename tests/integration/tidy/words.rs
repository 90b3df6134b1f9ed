//! Names of modules, and what is left for later.

use std::path::Path;

use super::tree::files;

#[test]
fn no_module_is_a_drawer_for_everything() {
    for folder in [
        "history/src",
        "engine/src",
        "worker/src",
        "worker/macros/src",
        "api/src",
        "bench/src",
        "tests/integration",
    ] {
        for (name, _) in files(folder, "rs") {
            let stem = Path::new(&name)
                .file_stem()
                .unwrap()
                .to_string_lossy()
                .into_owned();
            assert!(
                !["util", "utils", "helpers", "common", "misc"].contains(&stem.as_str()),
                "{name}: name the idea"
            );
        }
    }
}

#[test]
fn what_is_left_for_later_names_its_issue() {
    for folder in ["history/src", "engine/src", "worker/src", "api/src"] {
        for (name, text) in files(folder, "rs") {
            for line in text
                .lines()
                .filter(|line| line.contains(concat!("TO", "DO")))
            {
                assert!(line.contains('#'), "{name}: {line}");
            }
        }
    }
}
