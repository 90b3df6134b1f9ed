//! What a crate may depend on.

use std::fs;

use super::tree::{files, root};

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
    let depends = |of: &str, on: &str| {
        let manifest = fs::read_to_string(root().join(of).join("Cargo.toml")).unwrap();
        manifest
            .lines()
            .any(|line| line.starts_with(&format!("{on}.workspace")))
    };
    for (of, on) in [
        ("worker", "engine"),
        ("worker", "coreason"),
        ("engine", "worker"),
        ("engine", "coreason"),
        ("history", "engine"),
    ] {
        assert!(!depends(of, on), "{of} may not depend on {on}");
    }
}
