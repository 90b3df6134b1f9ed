//! Sealed histories, as who verifies them meets them: on the command line, with a file and a public key.

use std::{
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use engine::{Config, Engine, seal::Signer};
use nix::sys::signal::Signal;

use crate::{
    command_line::{audit, audit_offline},
    support::{Node, PATIENCE, Server, scratch},
};

/// Seals what a server has committed, with a key in a file.
pub(crate) async fn seal(server: &Server, key: &Path) {
    let postgres = server.connect().await;
    let is_sealed = "SELECT EXISTS (SELECT FROM sealed_run) AND NOT EXISTS (SELECT FROM tombstone WHERE leaf IS NULL)";
    seal_until(&server.database_url(), key, &postgres, is_sealed).await;
}

/// Seals what is in a database, until that says so.
async fn seal_until(url: &str, key: &Path, postgres: &tokio_postgres::Client, is_sealed: &str) {
    let engine = Engine::open(Config {
        signer: Some(Arc::new(Signer::open(key).unwrap())),
        seal_every: Duration::from_millis(20),
        ..Config::new(url, "http://127.0.0.1:1")
    })
    .await
    .unwrap();
    let sealed = async {
        while !(postgres.query_one(is_sealed, &[]).await.unwrap()).get::<_, bool>(0) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, sealed).await.unwrap();
    engine.close().await;
}

/// A folder for what the commands read and write; it goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = scratch();
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    /// The public key of somebody who has signed nothing.
    fn stranger(&self) -> String {
        let key = Signer::open(Path::new(&self.file("other"))).unwrap();
        key.public().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs a command on a database that has to work; returns what it prints.
async fn printed(verb: &str, url: &str, words: &[&str]) -> String {
    let (code, out, err) = audit(verb, url, words).await;
    assert_eq!(code, 0, "{verb} {words:?}: {err}");
    out
}

/// Runs `coreason audit verify` on files; returns the exit status and all that it says.
async fn offline(words: &[&str]) -> (i32, String) {
    let (code, out, err) = audit_offline(words).await;
    (code, out + &err)
}

/// A server with a closed workflow `w` that is sealed, and its public key in the file `pub`.
async fn sealed(folder: &Folder) -> (Server, String) {
    let server = Server::start().await;
    server.client.start("refusal", "w").await;
    server.client.result("w").await;
    let url = server.database_url();
    let early = audit("prove", &url, &["w"]).await;
    assert!(
        early.0 == 1 && early.2.contains("[NOT_SEALED]"),
        "{early:?}"
    );
    seal(&server, Path::new(&folder.file("key"))).await;
    let public = printed("key", &url, &["--seal-key", &folder.file("key")]).await;
    std::fs::write(folder.file("pub"), &public).unwrap();
    (server, public.trim().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_is_proved_to_who_has_the_public_key_and_nothing_else() {
    let folder = Folder::new();
    let (server, public) = sealed(&folder).await;
    let url = server.database_url();
    let proof = folder.file("proof");
    assert_eq!(printed("prove", &url, &["w", "--out", &proof]).await, "");
    let again = audit("prove", &url, &["w", "--out", &proof]).await;
    assert!(again.0 == 2 && again.2.contains("exists"), "{again:?}");
    let nobody = audit("prove", &url, &["nobody"]).await;
    assert!(
        nobody.0 == 1 && nobody.2.contains("[WORKFLOW_NOT_FOUND]"),
        "{nobody:?}"
    );
    let turned = audit("prove-consistency", &url, &["1", "0"]).await;
    assert!(
        turned.0 == 2 && turned.2.contains("the earlier one"),
        "{turned:?}"
    );
    let mode = std::fs::metadata(&proof).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "a proof has what users gave");
    let grown = printed("prove-consistency", &url, &["0"]).await;
    std::fs::write(folder.file("grown"), &grown).unwrap();
    // As other programs write it, in one line and another order.
    let grown: serde_json::Value = serde_json::from_str(&grown).unwrap();
    std::fs::write(folder.file("grown-line"), grown.to_string()).unwrap();
    server.stop().await;

    // The key as a file, and as such.
    for key in [&folder.file("pub"), &public] {
        let (code, said) = offline(&["--offline", &proof, "--key", key]).await;
        assert_eq!(code, 0, "{said}");
        assert!(
            said.starts_with("the history of workflow w in namespace default, run ")
                && said.contains(&public),
            "{said}"
        );
        for file in ["grown", "grown-line"] {
            let (code, said) = offline(&["--offline", &folder.file(file), "--key", key]).await;
            assert_eq!(code, 0, "{said}");
            assert!(said.starts_with("the log was only appended to"), "{said}");
        }
    }
    let (code, said) = offline(&["--offline", &proof, "--key", &folder.stranger()]).await;
    assert!(code == 1 && said.contains("[NOT_PROVED]"), "{said}");
    let changed = std::fs::read_to_string(&proof).unwrap().replacen(
        "WorkflowExecutionStarted",
        "WorkflowExecutionFailed",
        1,
    );
    std::fs::write(folder.file("changed"), changed).unwrap();
    let (code, said) = offline(&["--offline", &folder.file("changed"), "--key", &public]).await;
    assert!(code == 1 && said.contains("[NOT_PROVED]"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_and_its_database_are_held_against_what_was_sealed() {
    let folder = Folder::new();
    let (server, public) = sealed(&folder).await;
    let url = server.database_url();
    let (dump, kept, stranger) = (folder.file("dump"), folder.file("kept"), folder.stranger());
    printed("dump", &url, &[&dump]).await;
    std::fs::write(&kept, printed("checkpoint", &url, &[]).await).unwrap();

    let (code, said) =
        offline(&["--offline", &dump, "--key", &public, "--checkpoint", &kept]).await;
    assert!(
        code == 0 && said.contains("1 runs") && said.contains("0 problems"),
        "{said}"
    );
    let (code, said) = offline(&["--offline", &dump, "--key", &stranger]).await;
    assert!(code == 1 && said.contains("CHECKPOINT_BROKEN"), "{said}");
    let (code, said) = offline(&["--offline", &folder.file("pub"), "--key", &public]).await;
    assert!(code == 1 && said.contains("[DUMP_UNREADABLE]"), "{said}");
    let run = "01a205b3-d7b0-7000-aa45-04e0e5517f43";
    let empty = folder.file("empty");
    std::fs::write(&empty, "").unwrap();
    for (words, wrong) in [
        (&["--offline", &dump][..], "--key"),
        (
            &["--offline", &folder.file("nothing"), "--key", &public],
            "nothing",
        ),
        (&["--offline", &dump, "--key", "x"], "neither a public key"),
        (
            &["--offline", &dump, "--key", &public, "--checkpoint", &dump],
            "signed note",
        ),
        (
            &["--offline", &dump, "--key", &public, "--run-id", run],
            "--run-id",
        ),
    ] {
        let (code, said) = offline(words).await;
        assert!(
            code == 2 && said.contains(wrong),
            "{words:?}: {code} {said}"
        );
    }

    let sound = printed("verify", &url, &["--key", &public, "--json"]).await;
    assert!(sound.contains("\"problems\":0"), "{sound}");
    let everything = "DELETE FROM history; DELETE FROM execution; DELETE FROM current_run";
    server
        .connect()
        .await
        .batch_execute(everything)
        .await
        .unwrap();
    // A run of which every trace is gone is nothing to a chain.
    printed("verify", &url, &[]).await;
    let found = audit("verify", &url, &["--key", &public]).await;
    assert!(found.0 == 1 && found.1.contains("ROW_REMOVED"), "{found:?}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_no_longer_is_in_the_archive_with_its_proof_before_it_is_deleted() {
    let folder = Folder::new();
    let (server, public) = sealed(&folder).await;
    let postgres = server.connect().await;
    let old = "UPDATE namespace SET retention = '1 minute'; UPDATE visibility SET closed_at = closed_at - interval '1 hour'";
    server.client.list(&[]).await;
    // What this server itself would delete: it has no archive.
    let url = server.database_url();
    let database = server.halt().await;
    postgres.batch_execute(old).await.unwrap();
    let archive = folder.file("archive");
    std::fs::create_dir(&archive).unwrap();
    let options = [
        "--seal-key",
        &folder.file("key"),
        "--archive",
        &format!("file://{archive}"),
    ];
    let mut node = Node::start_with(&url, &folder.0.join("ledger"), &options, "127.0.0.1");
    let gone = async {
        let gone = "SELECT archive FROM deletion WHERE reason = 'Retention'";
        loop {
            if let Some(row) = postgres.query_opt(gone, &[]).await.unwrap() {
                break row.get::<_, String>(0);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let object = tokio::time::timeout(PATIENCE, gone).await.unwrap();
    node.signal(Signal::SIGTERM);
    assert!(node.ended().success());
    let key = folder.file("key");
    let is_sealed = "SELECT bool_and(is_sealed) FROM deletion";
    seal_until(&url, Path::new(&key), &postgres, is_sealed).await;
    let compressed = format!("{archive}/{object}");
    let left: i64 = postgres
        .query_one("SELECT count(*) FROM execution", &[])
        .await
        .unwrap()
        .get(0);
    assert_eq!(left, 0);

    let text = zstd::decode_all(&std::fs::read(&compressed).unwrap()[..]).unwrap();
    let file = folder.file("object.jsonl");
    std::fs::write(&file, &text).unwrap();
    for file in [&compressed, &file] {
        let (code, said) = offline(&["--offline", file, "--key", &public]).await;
        assert!(
            code == 0 && said.starts_with("1 runs, ") && said.contains("0 problems"),
            "{said}"
        );
    }
    let (code, said) = offline(&["--offline", &file, "--key", &folder.stranger()]).await;
    assert!(
        code == 1 && said.contains("line 1: ") && said.contains("[AUDIT_FAILED]"),
        "{said}"
    );
    let changed = String::from_utf8(text)
        .unwrap()
        .replacen("refusal", "approval", 1);
    std::fs::write(&file, changed).unwrap();
    let (code, said) = offline(&["--offline", &file, "--key", &public]).await;
    assert!(
        code == 1 && said.contains("line 1: the history is not the one that was sealed"),
        "{said}"
    );
    // Who has no archive deletes nothing from now on.
    let without = "SELECT expire_runs(1::smallint, clock_timestamp(), 1, 1::bigint)";
    let refused = postgres.query_one(without, &[]).await.unwrap_err();
    let refused = refused.as_db_error().unwrap().message().to_owned();
    assert!(refused.contains("this process has no archive"), "{refused}");
    // That they were archived is under the seal.
    printed("verify", &url, &["--key", &public]).await;
    postgres
        .batch_execute("UPDATE tombstone SET archive = 'elsewhere'")
        .await
        .unwrap();
    let found = audit("verify", &url, &["--key", &public]).await;
    assert!(
        found.0 == 1 && found.1.contains("TOMBSTONE_BROKEN"),
        "{found:?}"
    );
    drop(postgres);
    database.remove().await;
}
