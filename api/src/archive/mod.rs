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

use uuid::Uuid;

use self::https::Https;
use crate::limits::ARCHIVE_ABORT_MAX;

/// How much each object is compressed: as zstd does unless told.
const LEVEL: i32 = 3;
/// What is behind the name of an object that is compressed.
const COMPRESSED: &str = ".zst";
/// The object that has the name of the archive.
const NAME: &str = "coreason-archive";
/// Where in a folder objects are while they are written.
const INCOMING: &str = ".incoming";

/// A blob store.
#[derive(Debug, Clone)]
pub(crate) enum Store {
    /// On this machine.
    Folder(PathBuf),
    /// A server.
    Bucket(Operator),
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
            Some(("file", path)) if path.starts_with('/') => Ok(Self::in_folder(path)),
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

    fn in_folder(path: &str) -> Self {
        let folder = PathBuf::from(path);
        forget_begun(&folder.join(INCOMING)).unwrap_or_else(|error| {
            tracing::warn!(
                error = &error as &dyn Error,
                "what a crash has left of objects in the archive can't be deleted"
            );
        });
        Self::Folder(folder)
    }

    fn in_bucket(service: S3) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let transport = HttpTransporter::new(Https::new()?);
        let context = OperationContext::new().with_http_transport(transport);
        Ok(Self::Bucket(Operator::new(service)?.with_context(context)))
    }

    async fn write(&self, name: &str, object: Vec<u8>) -> Result<(), Box<dyn Error + Send + Sync>> {
        let until = Instant::now() + ARCHIVE_PUT_MAX;
        let operator = timeout_at(until, self.operator()).await??;
        let mut writer = timeout_at(until, operator.writer(name)).await??;
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
        if let Self::Folder(folder) = self.clone() {
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

impl Store {
    /// Returns what reads and writes. Where a folder is not there it is not made: it has a wrong name, or a disk should be mounted there.
    async fn operator(&self) -> Result<Operator, Box<dyn Error + Send + Sync>> {
        let folder = match self {
            Self::Folder(folder) => folder.clone(),
            Self::Bucket(operator) => return Ok(operator.clone()),
        };
        spawn_blocking(move || {
            if !fs::metadata(&folder)?.is_dir() {
                return Err("it is no folder".into());
            }
            // An object is there whole or not at all, also after a crash.
            let incoming = folder.join(INCOMING);
            let service = Fs::default()
                .root(&folder.to_string_lossy())
                .atomic_write_dir(&incoming.to_string_lossy());
            Ok(Operator::new(service)?)
        })
        .await?
    }

    async fn read_name(&self) -> Result<Option<Uuid>, Box<dyn Error + Send + Sync>> {
        let until = Instant::now() + ARCHIVE_PUT_MAX;
        let operator = timeout_at(until, self.operator()).await??;
        match timeout_at(until, operator.read(NAME)).await? {
            Ok(text) => {
                let text = String::from_utf8(text.to_vec())?;
                Ok(Some(Uuid::parse_str(text.trim())?))
            }
            Err(error) if error.kind() == opendal::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn write_name(&self, name: Uuid) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.write(NAME, format!("{name}\n").into_bytes()).await
    }
}

/// Names the object in an error.
fn failed(name: &str) -> impl FnOnce(Box<dyn Error + Send + Sync>) -> PutError {
    move |problem| PutError {
        name: name.to_owned(),
        problem: problem.to_string(),
    }
}

impl Archive for Store {
    fn name(&self) -> BoxFuture<'_, Result<Option<Uuid>, PutError>> {
        async { self.read_name().await.map_err(failed(NAME)) }.boxed()
    }

    fn begin(&self, name: Uuid) -> BoxFuture<'_, Result<(), PutError>> {
        async move { self.write_name(name).await.map_err(failed(NAME)) }.boxed()
    }

    fn put(&self, name: String, object: Vec<u8>) -> BoxFuture<'_, Result<String, PutError>> {
        async move {
            let name = format!("{name}{COMPRESSED}");
            let compressed = spawn_blocking(move || zstd::encode_all(&object[..], LEVEL)).await;
            let written = match compressed {
                Ok(Ok(object)) => self.write(&name, object).await,
                Ok(Err(error)) => Err(error.into()),
                Err(error) => Err(error.into()),
            };
            written.map_err(failed(&name))?;
            Ok(name)
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
        let folder = std::env::temp_dir().join(format!("coreason-archive-{}", Uuid::new_v4()));
        fs::create_dir(&folder).unwrap();
        let store = Store::open(&format!("file://{}", folder.display())).unwrap();
        let put = store.put("a/b.jsonl".to_owned(), b"one\ntwo\n".to_vec());
        assert_eq!(put.await.unwrap(), "a/b.jsonl.zst");
        let object = fs::read(folder.join("a/b.jsonl.zst")).unwrap();
        assert_eq!(zstd::decode_all(&object[..]).unwrap(), b"one\ntwo\n");
        assert_eq!(store.name().await.unwrap(), None);
        let name = Uuid::new_v4();
        store.begin(name).await.unwrap();
        assert_eq!(store.name().await.unwrap(), Some(name));
        fs::write(folder.join("c"), "a file where a folder should be").unwrap();
        let error = store.put("c/d".to_owned(), Vec::new()).await.unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("the archive does not take or give c/d.zst: "),
            "{error}"
        );
        let left = fs::read_dir(folder.join(".incoming")).unwrap();
        assert_eq!(left.count(), 0, "what was begun of it is gone");
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn what_a_crash_has_left_is_deleted_and_what_another_process_writes_is_not() {
        let folder = std::env::temp_dir().join(format!("coreason-archive-{}", Uuid::new_v4()));
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

    #[tokio::test]
    async fn a_folder_that_is_not_there_is_not_made() {
        let store = Store::open("file:///no/such/folder").unwrap();
        for error in [
            store.name().await.map(drop).unwrap_err(),
            store.begin(Uuid::nil()).await.unwrap_err(),
        ] {
            let text =
                "the archive does not take or give coreason-archive: No such file or directory";
            assert!(error.to_string().starts_with(text), "{error}");
        }
        assert!(!Path::new("/no").exists());
        let file = std::env::current_exe().unwrap();
        let store = Store::open(&format!("file://{}", file.display())).unwrap();
        let error = store.name().await.unwrap_err().to_string();
        assert!(error.ends_with("it is no folder"), "{error}");
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
            let store = Store::open(&url).unwrap();
            let put = store.put("a b/é.jsonl".to_owned(), b"one\ntwo\n".to_vec());
            assert_eq!(put.await.unwrap(), "a b/é.jsonl.zst");
            assert_eq!(store.name().await.unwrap(), None);
            store.begin(Uuid::max()).await.unwrap();
            assert_eq!(store.name().await.unwrap(), Some(Uuid::max()));
            return;
        }
        let folder = std::env::temp_dir().join(format!("coreason-archive-{}", Uuid::new_v4()));
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
