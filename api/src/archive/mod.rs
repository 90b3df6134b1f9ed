//! The archive: a blob store, by its URL.

mod https;

use std::{
    error::Error,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use engine::{
    Archive, PutError,
    limits::{ARCHIVE_HELD, ARCHIVE_PUT_MAX},
};
use futures::{FutureExt as _, future::BoxFuture};
use opendal::{
    HttpTransporter, OperationContext, Operator,
    services::{Fs, S3},
};
use tokio::{
    task::spawn_blocking,
    time::{Instant, timeout, timeout_at},
};

use self::https::Https;
use crate::limits::ARCHIVE_ABORT_MAX;

/// How much each object is compressed: as zstd does unless told.
const LEVEL: i32 = 3;
/// What is behind the name of an object that is compressed.
const COMPRESSED: &str = ".zst";
/// Where in a folder objects are while they are written.
const INCOMING: &str = ".incoming";

/// A blob store.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    operator: Operator,
    /// Where it is on this machine, if it is.
    folder: Option<PathBuf>,
}

/// Why a URL is no archive.
#[derive(Debug, thiserror::Error)]
#[error("--archive {url}: {problem}; write one like file:///var/archive or s3://bucket/prefix")]
pub(crate) struct NoArchive {
    /// The URL.
    url: String,
    /// What is wrong with it.
    problem: String,
}

impl Store {
    /// Opens one; that its service is there is found when the first object is written. What is to be known of S3 besides, as its keys, is found
    /// where programs for AWS look for it: in the environment, files and services of the machine.
    pub(crate) fn open(url: &str) -> Result<Self, NoArchive> {
        let opened = match url.split_once("://") {
            Some(("file", path)) if path.starts_with('/') => Self::in_folder(path),
            Some(("s3", place)) if !place.is_empty() && !place.starts_with('/') => {
                let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
                Self::in_bucket(S3::default().bucket(bucket).root(prefix))
            }
            _ => Err("it is neither a folder that begins with file:/// nor a bucket".into()),
        };
        opened.map_err(|problem| NoArchive {
            url: url.to_owned(),
            problem: problem.to_string(),
        })
    }

    fn in_folder(path: &str) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let folder = PathBuf::from(path);
        // A name with a slip, or a disk that is not mounted: what is written there would not be found where it is looked for.
        let found = fs::metadata(&folder).map_err(|error| format!("the folder: {error}"))?;
        if !found.is_dir() {
            return Err("it is no folder".into());
        }
        // An object is there whole or not at all, also after a crash.
        let incoming = folder.join(INCOMING);
        forget_begun(&incoming)?;
        let service = Fs::default()
            .root(path)
            .atomic_write_dir(&incoming.to_string_lossy());
        Ok(Self {
            operator: Operator::new(service)?,
            folder: Some(folder),
        })
    }

    fn in_bucket(service: S3) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let transport = HttpTransporter::new(Https::new()?);
        let context = OperationContext::new().with_http_transport(transport);
        Ok(Self {
            operator: Operator::new(service)?.with_context(context),
            folder: None,
        })
    }

    async fn write(&self, name: &str, object: Vec<u8>) -> Result<(), Box<dyn Error + Send + Sync>> {
        let object = spawn_blocking(move || zstd::encode_all(&object[..], LEVEL)).await??;
        let until = Instant::now() + ARCHIVE_PUT_MAX;
        let mut writer = timeout_at(until, self.operator.writer(name)).await??;
        let written = timeout_at(until, async {
            writer.write(object).await?;
            writer.close().await
        });
        let failed: Box<dyn Error + Send + Sync> = match written.await {
            Ok(Ok(_)) => return self.keep(name, until).await,
            Ok(Err(error)) => error.into(),
            Err(elapsed) => elapsed.into(),
        };
        // Each attempt would leave what it has written so far, on what may be a full disk. What hangs is not waited for once more.
        drop(timeout(ARCHIVE_ABORT_MAX, writer.abort()).await);
        Err(failed)
    }

    /// Sees to it that an object is still there after a loss of power.
    async fn keep(&self, name: &str, until: Instant) -> Result<(), Box<dyn Error + Send + Sync>> {
        if let Some(folder) = self.folder.clone() {
            let name = PathBuf::from(name);
            timeout_at(until, spawn_blocking(move || keep(&folder, &name))).await???;
        }
        Ok(())
    }
}

/// Deletes what a crash has left of objects that were being written, by this process or another one.
fn forget_begun(incoming: &Path) -> io::Result<()> {
    // What is not there any more, somebody else has deleted or written to its end.
    let found = |done: io::Result<()>| match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    };
    let forget = |object: &Path| {
        let age = fs::metadata(object)?.modified()?.elapsed();
        // Another process may be about it.
        if age.is_ok_and(|age| age > ARCHIVE_HELD) {
            fs::remove_file(object)?;
        }
        Ok(())
    };
    found((|| {
        for object in fs::read_dir(incoming)? {
            found(forget(&object?.path()))?;
        }
        Ok(())
    })())
}

/// Sees to it that an object is still in its folder after a loss of power, and that folder in its own.
fn keep(root: &Path, name: &Path) -> io::Result<()> {
    for folder in name.ancestors().skip(1) {
        File::open(root.join(folder))?.sync_all()?;
    }
    Ok(())
}

impl Archive for Store {
    fn put(&self, name: String, object: Vec<u8>) -> BoxFuture<'_, Result<String, PutError>> {
        async move {
            let name = format!("{name}{COMPRESSED}");
            match self.write(&name, object).await {
                Ok(()) => Ok(name),
                Err(error) => Err(PutError {
                    name,
                    problem: error.to_string(),
                }),
            }
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use hyper::server::conn::http1;
    use hyper_util::rt::TokioIo;
    use s3s::{auth::SimpleAuth, service::S3ServiceBuilder};
    use tokio::{net::TcpListener, process::Command};

    use super::*;

    #[tokio::test]
    async fn an_object_is_in_the_folder_whole_or_not_at_all() {
        let folder =
            std::env::temp_dir().join(format!("coreason-archive-{}", uuid::Uuid::new_v4()));
        fs::create_dir(&folder).unwrap();
        let store = Store::open(&format!("file://{}", folder.display())).unwrap();
        let put = store.put("a/b.jsonl".to_owned(), b"one\ntwo\n".to_vec());
        assert_eq!(put.await.unwrap(), "a/b.jsonl.zst");
        let object = fs::read(folder.join("a/b.jsonl.zst")).unwrap();
        assert_eq!(zstd::decode_all(&object[..]).unwrap(), b"one\ntwo\n");
        fs::write(folder.join("c"), "a file where a folder should be").unwrap();
        let error = store.put("c/d".to_owned(), Vec::new()).await.unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("the archive does not take c/d.zst: "),
            "{error}"
        );
        let left = fs::read_dir(folder.join(".incoming")).unwrap();
        assert_eq!(left.count(), 0, "what was begun of it is gone");
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn what_a_crash_has_left_is_deleted_and_what_another_process_writes_is_not() {
        let folder =
            std::env::temp_dir().join(format!("coreason-archive-{}", uuid::Uuid::new_v4()));
        let incoming = folder.join(INCOMING);
        fs::create_dir_all(&incoming).unwrap();
        fs::write(incoming.join("under way"), "half").unwrap();
        let left = File::create(incoming.join("left")).unwrap();
        left.set_modified(SystemTime::now() - Duration::from_hours(1))
            .unwrap();

        Store::open(&format!("file://{}", folder.display())).unwrap();

        let mut there = fs::read_dir(&incoming).unwrap();
        let there = there.by_ref().map(|entry| entry.unwrap().file_name());
        assert_eq!(there.collect::<Vec<_>>(), ["under way"]);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_folder_that_is_not_there_is_not_made() {
        let error = Store::open("file:///no/such/folder")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("the folder: No such file or directory"),
            "{error}"
        );
        assert!(!Path::new("/no").exists());
        let file = std::env::current_exe().unwrap();
        let error = Store::open(&format!("file://{}", file.display()))
            .unwrap_err()
            .to_string();
        assert!(error.contains("it is no folder"), "{error}");
    }

    /// A name of the environment that says where this test runs itself.
    const ITSELF: &str = "COREASON_TEST_ARCHIVE";

    /// A server that speaks S3, and its address.
    async fn s3(folder: &Path, key: &str, secret: &str) -> String {
        let mut service = S3ServiceBuilder::new(s3s_fs::FileSystem::new(folder).unwrap());
        service.set_auth(SimpleAuth::from_single(key, secret));
        let service = service.build();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let stream = TokioIo::new(stream);
                tokio::spawn(http1::Builder::new().serve_connection(stream, service.clone()));
            }
        });
        address
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_object_is_in_a_bucket_with_the_keys_of_the_environment() {
        let name = "archive::tests::an_object_is_in_a_bucket_with_the_keys_of_the_environment";
        if let Ok(url) = std::env::var(ITSELF) {
            let put = Store::open(&url).unwrap();
            let put = put.put("a b/é.jsonl".to_owned(), b"one\ntwo\n".to_vec());
            assert_eq!(put.await.unwrap(), "a b/é.jsonl.zst");
            return;
        }
        let folder =
            std::env::temp_dir().join(format!("coreason-archive-{}", uuid::Uuid::new_v4()));
        fs::create_dir_all(folder.join("histories")).unwrap();
        let server = s3(&folder, "key", "secret").await;
        let put = async |url: &str, secret: &str| {
            let mut itself = Command::new(std::env::current_exe().unwrap());
            itself.args(["--exact", name, "--nocapture"]);
            itself.env(ITSELF, url).env("AWS_ENDPOINT_URL", &server);
            itself.env("AWS_REGION", "eu-central-1");
            itself.env("AWS_ACCESS_KEY_ID", "key");
            itself.env("AWS_SECRET_ACCESS_KEY", secret);
            let output = itself.output().await.unwrap();
            let told = [output.stdout, output.stderr].concat();
            (
                output.status.success(),
                String::from_utf8_lossy(&told).into_owned(),
            )
        };

        let kept = put("s3://histories/of/us", "secret").await;
        let refused = put("s3://histories", "stranger").await;

        assert!(kept.0, "{}", kept.1);
        let object = fs::read(folder.join("histories/of/us/a b/é.jsonl.zst")).unwrap();
        assert_eq!(zstd::decode_all(&object[..]).unwrap(), b"one\ntwo\n");
        assert!(
            !refused.0 && refused.1.contains("SignatureDoesNotMatch"),
            "{}",
            refused.1
        );
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn what_is_no_archive_is_said_so() {
        for url in [
            "",
            "/var/archive",
            "file://relative",
            "ftp://host/x",
            "s3://",
            "s3:///prefix",
        ] {
            let error = Store::open(url).unwrap_err().to_string();
            assert!(error.contains("file:///var/archive"), "{error}");
        }
    }
}
