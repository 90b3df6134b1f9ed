//! Each limit has its line in the documentation.

use std::fs;

use super::tree::root;

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
