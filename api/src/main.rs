//! The `coreason` binary: the built-in workflows on the task queue `default`.

use std::process::ExitCode;

fn main() -> ExitCode {
    coreason::run(worker::workflows::register(worker::Worker::new("default")))
}
