//! The main job on real files: indexed exactly, whatever is killed on the way.

use std::{ffi::OsStr, fs, os::unix::ffi::OsStrExt as _, path::PathBuf};

use tokio::process::Command;

/// A folder of files with ordinary and odd names; removed at the end.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("demo-{}", uuid::Uuid::new_v4().simple()));
        fs::create_dir_all(folder.join("below/target")).unwrap();
        for n in 0..150 {
            let text = "some words\nin lines\n".repeat(n);
            fs::write(folder.join(format!("below/{n}.txt")), text).unwrap();
        }
        let odd: [&[u8]; 8] = [
            b"new\nline",
            b"latin-\xe9",
            b"back\\slash \\x41",
            b"-dash",
            b"'quotes\"",
            b" space ",
            b"gr\xc3\xb6\xc3\x9fe",
            b"below/target/passed over",
        ];
        for name in odd {
            fs::write(folder.join(OsStr::from_bytes(name)), b"a \xff\x00 b\n c").unwrap();
        }
        fs::write(folder.join("empty"), b"").unwrap();
        std::os::unix::fs::symlink("empty", folder.join("link")).unwrap();
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left over lies in the folder for temporary files.
        let _ = fs::remove_dir_all(&self.0);
    }
}

async fn demo(folder: &Folder, words: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_node"))
        .arg("demo")
        .arg(&folder.0)
        .args(words)
        .output()
        .await
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code(),
        text(&output.stdout) + &text(&output.stderr),
    )
}

#[tokio::test]
async fn a_folder_is_indexed_exactly() {
    let (code, said) = demo(&Folder::new(), &[]).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("indexed 158 files"), "{said}");
    assert_eq!(said.matches("exact  ").count(), 6, "{said}");
}

#[tokio::test]
async fn a_program_with_workflows_of_its_own_has_a_demo_too() {
    let folder = Folder::new();
    let output = Command::new(env!("CARGO_BIN_EXE_node"))
        .arg("demo")
        .arg(&folder.0)
        .env("PROGRAM", "alpha")
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("indexed 158 files"), "{output:?}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_not_waited_for() {
    let words = ["--address", "http://127.0.0.1:1"];
    let (code, said) = demo(&Folder::new(), &words).await;
    assert_eq!(code, Some(1), "{said}");
    assert_eq!(said.matches("[UNREACHABLE]").count(), 1, "{said}");
}

#[tokio::test]
async fn the_index_is_exact_whatever_is_killed() {
    let (code, said) = demo(&Folder::new(), &["--crash"]).await;
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(
        said.matches("killed        the engine").count(),
        3,
        "{said}"
    );
    assert_eq!(said.matches("killed        Postgres").count(), 1, "{said}");
    assert_eq!(said.matches("exact  ").count(), 6, "{said}");
}

#[tokio::test]
async fn a_folder_that_does_not_exist_is_named() {
    let gone = Folder(PathBuf::from("/nowhere at all"));
    let (code, said) = demo(&gone, &[]).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("/nowhere at all is no folder"), "{said}");
    assert!(said.contains("[DEMO_NO_FOLDER]"), "{said}");
}
