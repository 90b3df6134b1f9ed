//! The archive: a blob store, by its URL.

use std::{
    error::Error,
    fs::File,
    io,
    path::{Path, PathBuf},
};

use engine::{Archive, PutError, limits::ARCHIVE_PUT_MAX};
use futures::{FutureExt as _, future::BoxFuture};
use opendal::{Operator, services::Fs};
use tokio::{task::spawn_blocking, time::timeout};

/// How much each object is compressed: as zstd does unless told.
const LEVEL: i32 = 3;
/// What is behind the name of an object that is compressed.
const COMPRESSED: &str = ".zst";

/// A blob store.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    operator: Operator,
    folder: PathBuf,
}

/// Why a URL is no archive.
#[derive(Debug, thiserror::Error)]
#[error("--archive {url}: {problem}; write one like file:///var/archive")]
pub(crate) struct NoArchive {
    /// The URL.
    url: String,
    /// What is wrong with it.
    problem: String,
}

impl Store {
    /// Opens one; that its service is there is found when the first object is written.
    pub(crate) fn open(url: &str) -> Result<Self, NoArchive> {
        let no = |problem: String| NoArchive {
            url: url.to_owned(),
            problem,
        };
        let Some(path) = url
            .strip_prefix("file://")
            .filter(|path| path.starts_with('/'))
        else {
            return Err(no("it is no folder that begins with file:///".to_owned()));
        };
        // An object is there whole or not at all, also after a crash.
        let service = Fs::default().root(path);
        let operator = Operator::new(service.atomic_write_dir(&format!("{path}/.incoming")));
        Ok(Self {
            operator: operator.map_err(|error| no(error.to_string()))?,
            folder: PathBuf::from(path),
        })
    }
}

impl Store {
    async fn write(&self, name: &str, object: Vec<u8>) -> Result<(), Box<dyn Error + Send + Sync>> {
        let object = spawn_blocking(move || zstd::encode_all(&object[..], LEVEL)).await??;
        self.operator.write(name, object).await?;
        let (folder, name) = (self.folder.clone(), PathBuf::from(name));
        Ok(spawn_blocking(move || keep(&folder, &name)).await??)
    }
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
            let problem = match timeout(ARCHIVE_PUT_MAX, self.write(&name, object)).await {
                Ok(Ok(())) => return Ok(name),
                Ok(Err(error)) => error.to_string(),
                Err(elapsed) => elapsed.to_string(),
            };
            Err(PutError { name, problem })
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_object_is_in_the_folder_whole_or_not_at_all() {
        let folder =
            std::env::temp_dir().join(format!("coreason-archive-{}", uuid::Uuid::new_v4()));
        let store = Store::open(&format!("file://{}", folder.display())).unwrap();
        let put = store.put("a/b.jsonl".to_owned(), b"one\ntwo\n".to_vec());
        assert_eq!(put.await.unwrap(), "a/b.jsonl.zst");
        let object = std::fs::read(folder.join("a/b.jsonl.zst")).unwrap();
        assert_eq!(zstd::decode_all(&object[..]).unwrap(), b"one\ntwo\n");
        std::fs::write(folder.join("c"), "a file where a folder should be").unwrap();
        let error = store.put("c/d".to_owned(), Vec::new()).await.unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("the archive does not take c/d.zst: "),
            "{error}"
        );
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn what_is_no_archive_is_said_so() {
        for url in [
            "",
            "/var/archive",
            "file://relative",
            "ftp://host/x",
            "s3://",
        ] {
            let error = Store::open(url).unwrap_err().to_string();
            assert!(error.contains("file:///var/archive"), "{error}");
        }
    }
}
