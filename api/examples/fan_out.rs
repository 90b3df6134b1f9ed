//! Many activities at once, and their results in order.
//!
//! `coreason workflow start --type count_words --task-queue fan-out --input '["a b", "c"]' --wait`

use coreason::prelude::*;

#[activity]
async fn words(text: String) -> Result<usize> {
    Ok(text.split_whitespace().count())
}

#[workflow]
async fn count_words(wf: Workflow, texts: Vec<String>) -> Result<usize> {
    let counts = try_join_all(texts.into_iter().map(|text| wf.call(words, text))).await?;
    Ok(counts.into_iter().sum())
}

pub(crate) fn worker() -> Worker {
    Worker::new("fan-out").workflow(count_words).activity(words)
}

fn main() -> ExitCode {
    coreason::run(worker())
}
