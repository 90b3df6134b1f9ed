//! The rules of the house that a machine can check.

use std::{
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// Returns the files under a folder with their text, paths from the root.
fn files(folder: &str, extension: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                let name = path
                    .strip_prefix(root())
                    .unwrap()
                    .to_string_lossy()
                    .into_owned();
                found.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found
}

#[test]
fn all_sql_is_in_the_store() {
    for (name, text) in files("engine/src", "rs")
        .into_iter()
        .chain(files("worker/src", "rs"))
        .chain(files("history/src", "rs"))
    {
        if name.starts_with("engine/src/store/") {
            continue;
        }
        for word in ["sqlx::query", "query!(", ".batch_execute(", "client.query"] {
            assert!(
                !text.contains(word),
                "{name} has `{word}`; statements live in engine/src/store"
            );
        }
    }
}

#[test]
fn history_depends_on_nothing_that_does_io() {
    const ALLOWED: [&str; 7] = [
        "base64",
        "bytes",
        "serde",
        "serde_json",
        "sha2",
        "thiserror",
        "uuid",
    ];
    let manifest = fs::read_to_string(root().join("history/Cargo.toml")).unwrap();
    let (_, dependencies) = manifest.split_once("[dependencies]").unwrap();
    let dependencies = dependencies.split("\n[").next().unwrap();
    for line in dependencies.lines().filter(|line| !line.trim().is_empty()) {
        let name = line.split(['.', ' ', '=']).next().unwrap();
        assert!(ALLOWED.contains(&name), "history may not depend on {name}");
    }
    for (name, text) in files("history/src", "rs") {
        for word in [
            "SystemTime::now",
            "Instant::now",
            "std::fs",
            "std::net",
            "async fn",
            "thread_rng",
            "Uuid::new_v4",
        ] {
            let in_tests = name.contains("/tests");
            assert!(
                in_tests || !text.contains(word),
                "{name} has `{word}`; the core is pure"
            );
        }
    }
}

#[test]
fn the_worker_knows_no_engine_and_nothing_points_back() {
    let depends = |room: &str, on: &str| {
        let manifest = fs::read_to_string(root().join(room).join("Cargo.toml")).unwrap();
        manifest
            .lines()
            .any(|line| line.starts_with(&format!("{on}.workspace")))
    };
    for (room, on) in [
        ("worker", "engine"),
        ("worker", "coreason"),
        ("engine", "worker"),
        ("engine", "coreason"),
        ("history", "engine"),
    ] {
        assert!(!depends(room, on), "{room} may not depend on {on}");
    }
}

#[test]
fn every_limit_is_in_the_table() {
    let table = fs::read_to_string(root().join("docs/limits.md")).unwrap();
    for file in [
        "history/src/limits.rs",
        "engine/src/limits.rs",
        "api/src/limits.rs",
    ] {
        let text = fs::read_to_string(root().join(file)).unwrap();
        for name in text
            .lines()
            .filter_map(|line| line.strip_prefix("pub const "))
            .filter_map(|line| line.split(':').next())
        {
            assert!(
                table.contains(&format!("::{name}`")) || table.contains(&format!("`{name}`")),
                "{name} of {file} is not in docs/limits.md"
            );
        }
    }
}

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
