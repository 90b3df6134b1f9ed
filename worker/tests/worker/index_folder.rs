//! The built-in index of a folder, against the tools that everybody has.

use std::{
    fs,
    os::unix::{ffi::OsStrExt as _, fs::symlink},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use history::task::{ActivityTaskAnswer, FromWorker};
use serde_json::{Value, json};
use worker::{
    Worker,
    activities::file::{FileCount, path},
    workflows,
};

use crate::support::{Hosted, Script, payloads, value};

fn worker() -> Worker {
    workflows::register(Worker::new("q"))
}

/// A folder of this test's own.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("index-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &[u8], content: &[u8]) {
        let path = self.0.join(std::ffi::OsStr::from_bytes(name));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn text(&self) -> Value {
        json!(self.0.to_str().unwrap())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn tricky(name: &str) -> Folder {
    let folder = Folder::new(name);
    folder.file(b"empty", b"");
    folder.file(b"no line feed at the end", b"one two");
    folder.file(b"only white space", b" \t\r\n\x0b\x0c \n");
    folder.file(
        b"sub/binary",
        b"\x00\x01\x02\xff\xfe a\x00b \x80\xa0\x85 c\n\x7f \x1b[0m",
    );
    folder.file("café/naïve.txt".as_bytes(), "der Bär, 中文 字\n".as_bytes());
    folder.file(b"latin-\xe9", b"not UTF-8 in its name\n");
    folder.file(b"back\\slash", b"x\n");
    folder.file(b"line\nfeed", b"y\n");
    folder.file(b"-starts-with-a-dash", b"z\n");
    let large: Vec<u8> = (0..700_000_u32).flat_map(u32::to_le_bytes).collect();
    folder.file(b"large", &large);
    folder.file(b".git/config", b"passed over");
    folder.file(b"sub/target/debug", b"passed over");
    folder.file(b"target.txt", b"kept");
    symlink("large", folder.0.join("link")).unwrap();
    folder
}

async fn run(
    hosted: &mut Hosted,
    activity: &str,
    arguments: &[Value],
) -> Result<Value, history::Failure> {
    hosted.attempt(activity, arguments);
    loop {
        match hosted.answer().await {
            FromWorker::ActivityTask {
                answer: ActivityTaskAnswer::Completed { result },
                ..
            } => return Ok(value(&result)),
            FromWorker::ActivityTask {
                answer: ActivityTaskAnswer::Failed { failure },
                ..
            } => return Err(*failure),
            FromWorker::ActivityTask {
                answer: ActivityTaskAnswer::Heartbeat { .. },
                ..
            } => {}
            other => panic!("{other:?}"),
        }
    }
}

/// Runs a shell command on a file and returns the first word of what it prints.
fn tool(command: &str, file: &Path) -> String {
    let output = Command::new("sh")
        .args(["-c", command])
        .env("LC_ALL", "C")
        .stdin(Stdio::from(fs::File::open(file).unwrap()))
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_whitespace().next().unwrap().to_owned()
}

#[tokio::test]
async fn the_counts_of_tricky_files_are_those_of_wc_and_sha256sum() {
    let folder = tricky("counts");
    let mut hosted = Hosted::new(worker());
    let files = run(&mut hosted, "list_files", &[folder.text()])
        .await
        .unwrap();
    let files: Vec<String> = serde_json::from_value(files).unwrap();
    assert_eq!(files.len(), 11, "{files:?}");
    for file in files {
        let counted = run(&mut hosted, "count_file", &[folder.text(), json!(file)]).await;
        let counted: FileCount = serde_json::from_value(counted.unwrap()).unwrap();
        let whole = folder.0.join(path::from_text(&file).unwrap());
        // What can't be printed is taken out first, as wc's versions differ in what they make of it.
        let words = r"tr -d '\000-\010\016-\037\177-\377' | wc -w";
        let expected = [
            tool("wc -c", &whole),
            tool("wc -l", &whole),
            tool(words, &whole),
            tool("sha256sum", &whole),
        ];
        let found = [
            counted.bytes.to_string(),
            counted.lines.to_string(),
            counted.words.to_string(),
            counted.sha256,
        ];
        assert_eq!(found, expected, "{file}");
    }
}

#[tokio::test]
async fn the_list_is_that_of_find_in_the_order_of_sort() {
    let folder = tricky("list");
    let files = run(&mut Hosted::new(worker()), "list_files", &[folder.text()]).await;
    let files: Vec<String> = serde_json::from_value(files.unwrap()).unwrap();
    let find =
        r"find . \( -name .git -o -name target \) -type d -prune -o -type f -print0 | sort -z";
    let found = Command::new("sh")
        .args(["-c", find])
        .env("LC_ALL", "C")
        .current_dir(&folder.0)
        .output()
        .unwrap();
    let expected: Vec<String> = found
        .stdout
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
        .map(|name| path::to_text(Path::new(std::ffi::OsStr::from_bytes(&name[2..]))))
        .collect();
    assert_eq!(files, expected);
}

#[tokio::test]
async fn a_folder_or_a_file_that_is_not_there_fails_for_good() {
    let mut hosted = Hosted::new(worker());
    let failure = run(&mut hosted, "list_files", &[json!("/no/such/folder")])
        .await
        .unwrap_err();
    assert!(
        failure.message.starts_with("/no/such/folder: No such file"),
        "{}",
        failure.message
    );
    for file in ["gone", "../../etc/passwd"] {
        let failure = run(&mut hosted, "count_file", &[json!("/tmp"), json!(file)])
            .await
            .unwrap_err();
        let for_good = matches!(
            failure.info,
            history::FailureInfo::Application {
                non_retryable: true,
                ..
            }
        );
        assert!(for_good, "{failure:?}");
    }
}

fn counted(path: &str, bytes: u64) -> Value {
    json!({ "path": path, "bytes": bytes, "lines": 1, "words": 2, "sha256": "00" })
}

/// Plays the workflow up to the wait for the approval, with 51 files in two children.
async fn up_to_the_approval() -> Script {
    let input = json!({ "folder": "/f", "settle_ms": 500, "approval_deadline_ms": 9000 });
    let mut run = Script::start(worker(), "index_folder", &[input]);
    assert_eq!(
        run.turn().await,
        ["ScheduleActivityTask list_files#1 \"/f\""]
    );
    let files: Vec<String> = (0..51).map(|n| format!("{n:02}")).collect();
    run.activity_completed("1", json!(files));
    let children = run.turn().await;
    assert_eq!(children.len(), 2);
    assert_eq!(
        children[1],
        "StartChildWorkflowExecution w/2-abcdef01 \"/f\" [\"50\"]"
    );
    for (child, result) in [
        ("w/1-abcdef01", counted("00", 10)),
        ("w/2-abcdef01", counted("50", 5)),
    ] {
        run.child_started(child);
        run.child_ended(
            child,
            "ChildWorkflowExecutionCompleted",
            json!({ "result": payloads(&[json!([result])]) }),
        );
    }
    assert_eq!(run.turn().await, ["StartTimer #1 500ms"]);
    run.timer_fired("1");
    assert_eq!(run.turn().await, ["StartTimer #2 9000ms"]);
    run
}

async fn index(mut run: Script) -> Value {
    let turn = run.turn().await;
    run.replays().await;
    let result = turn[0].strip_prefix("CompleteWorkflowExecution ").unwrap();
    serde_json::from_str(result).unwrap()
}

#[tokio::test]
async fn an_approved_index_has_all_files_and_their_sums() {
    let mut run = up_to_the_approval().await;
    run.signaled("approve", json!({ "by": "ann" }));
    assert_eq!(
        index(run).await,
        json!({
            "folder": "/f", "approved": true, "approved_by": "ann",
            "totals": { "files": 2, "bytes": 15, "lines": 2, "words": 4 },
            "files": [counted("00", 10), counted("50", 5)],
        })
    );
}

#[tokio::test]
async fn without_approval_in_time_the_index_is_returned_unapproved() {
    let mut run = up_to_the_approval().await;
    run.timer_fired("2");
    assert_eq!(index(run).await["approved"], json!(false));
}

#[tokio::test]
async fn an_approval_needs_no_message() {
    let mut run = up_to_the_approval().await;
    run.event(
        "WorkflowExecutionSignaled",
        json!({ "signal_name": "approve" }),
    );
    assert_eq!(index(run).await["approved"], json!(true));
}

#[tokio::test]
async fn a_batch_counts_each_file_in_an_activity_of_its_own() {
    let mut run = Script::start(worker(), "index_batch", &[json!("/f"), json!(["a", "b"])]);
    assert_eq!(
        run.turn().await,
        [
            "ScheduleActivityTask count_file#1 \"/f\" \"a\"",
            "ScheduleActivityTask count_file#2 \"/f\" \"b\""
        ]
    );
    run.activity_completed("2", counted("b", 2));
    run.activity_completed("1", counted("a", 1));
    let expected = format!(
        "CompleteWorkflowExecution {}",
        json!([counted("a", 1), counted("b", 2)])
    );
    assert_eq!(run.turn().await, [expected]);
    run.replays().await;
}
