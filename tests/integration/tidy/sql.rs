//! Where statements live.

use super::tree::files;

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
