//! Who signs: a key in a file, and beside it what was signed last. A database in which that is not found any more is not signed.

use std::{
    fs, io,
    io::Write as _,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use uuid::Uuid;

use super::{
    checkpoint::Checkpoint,
    note::{Malformed, Note, PublicKey, SigningKey},
};

/// The name of the keys that are made here.
const NAME: &str = "coreason";

/// Why a key can't be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file can't be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It holds something else.
    #[error("{}: {problem}", path.display())]
    Malformed {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        problem: Malformed,
    },
    /// It is gone.
    #[error("{}: the key is gone, and what it has signed last is still beside it; if another one follows it by now (`next_key` in the view sealed_checkpoint), start with that one, --seal-key; else restore it, or, if it is lost for good, have a new one follow it with `coreason audit rotate-key --lost --new FILE`", .0.display())]
    Gone(PathBuf),
    /// Others can read it.
    #[error("{}: others may read this key; take that from them with `chmod 600`", .0.display())]
    Open(PathBuf),
    /// What is beside the key is no checkpoint of its own.
    #[error("{}: this is not what the key has signed last", .0.display())]
    Memory(PathBuf),
    /// The machine gives no random numbers.
    #[error("no key can be made: {0}")]
    Random(getrandom::Error),
}

/// Why a log is not signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Another key signs it.
    #[error(
        "another key signs this log: the last `next-key` in the view sealed_checkpoint, if there was a rotation; start all processes with that one (--seal-key), or have this one follow it with `coreason audit rotate-key`; if there was none, the log is to be looked at"
    )]
    OtherKey,
    /// The key signs the log of another database.
    #[error(
        "this key signs the log of another database; give a key to each. Where it is this one, and its log was begun anew more than once, move the file with what the key has signed last (KEY.checkpoint) away"
    )]
    OtherLog,
    /// Another key has followed this one, on record.
    #[error(
        "another key has followed this one, and one that was followed can't come back: make a new one"
    )]
    Followed,
    /// The log has lost what was signed.
    #[error(
        "the log has lost what this key has signed: the database was restored to an earlier state, or somebody has deleted from it; look at it, and begin another log with `coreason audit begin-log --discard`"
    )]
    Lost,
    /// The log is not what was signed.
    #[error(
        "the log is not what was signed: somebody has changed it; see `coreason audit verify --key`, and begin another log with `coreason audit begin-log --discard` when you have; where a key that was lost is followed, stop the processes that still have it"
    )]
    Altered,
}

/// Signs checkpoints, and remembers the last.
#[derive(Debug)]
pub struct Signer {
    key: SigningKey,
    /// Where the last checkpoint is kept.
    memory: PathBuf,
    last: Mutex<Option<Checkpoint>>,
}

impl Signer {
    /// Opens the key in a file, which is made if it never was there.
    ///
    /// # Errors
    /// When the file can't be read or made, others may read it, it holds something else, or it is gone: what it has signed last is still there.
    pub fn open(path: &Path) -> Result<Self, KeyError> {
        let is_there = |path: &Path| path.try_exists().map_err(at(path));
        if !is_there(path)? {
            if is_there(&memory_of(path))? {
                return Err(KeyError::Gone(path.to_owned()));
            }
            let key = SigningKey::generate(NAME).map_err(KeyError::Random)?;
            create(path, &format!("{}\n", key.secret_text())).map_err(at(path))?;
        }
        Self::open_known(path)
    }

    /// Opens the key in a file that has to be there.
    ///
    /// # Errors
    /// When the file can't be read, others may read it, or it holds something else.
    pub fn open_known(path: &Path) -> Result<Self, KeyError> {
        let text = fs::read_to_string(path).map_err(at(path))?;
        let key: SigningKey = text.parse().map_err(|problem| KeyError::Malformed {
            path: path.to_owned(),
            problem,
        })?;
        let mode = fs::metadata(path).map_err(at(path))?.mode();
        if mode & 0o077 != 0 {
            return Err(KeyError::Open(path.to_owned()));
        }
        let memory = memory_of(path);
        let last = match fs::read_to_string(&memory) {
            Ok(text) => {
                let is_ours = |note: Note| {
                    let public = [key.public()];
                    let (text, _) = note.verify(&public)?;
                    Checkpoint::read(text).ok()
                };
                let last = text.parse().ok().and_then(is_ours);
                Some(last.ok_or_else(|| KeyError::Memory(memory.clone()))?)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(source) => return Err(at(&memory)(source)),
        };
        Ok(Self {
            key,
            memory,
            last: Mutex::new(last),
        })
    }

    /// Returns the key by which its signatures are known.
    pub fn public(&self) -> PublicKey {
        self.key.public()
    }

    /// Signs a checkpoint, with one key or, where another follows it, with both.
    pub(crate) fn sign(signers: &[&Self], checkpoint: &Checkpoint) -> Note {
        let keys: Vec<&SigningKey> = signers.iter().map(|signer| &signer.key).collect();
        Note::sign(checkpoint.text(), &keys)
    }

    /// Returns what was signed last.
    pub(crate) fn remembered(&self) -> Option<Checkpoint> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.clone()
    }

    /// Keeps what was signed last, once it is in the database.
    pub(crate) fn remember(&self, note: &Note) -> Result<(), crate::store::Error> {
        let last = Checkpoint::read(note.unverified()).ok();
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = last;
        replace(&self.memory, &note.to_string()).map_err(|source| crate::store::Error::SealMemory {
            path: self.memory.clone(),
            source,
        })
    }

    /// Takes the first checkpoint of a log for what was signed last, where this key has begun that log in the place of the one that it signed.
    pub(crate) fn go_over(&self, log: Uuid, first: &Note) {
        let public = [self.public()];
        let signed = first.verify(&public);
        let Some(first) = signed.and_then(|(text, _)| Checkpoint::read(text).ok()) else {
            return;
        };
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let is_replaced = |last: &Checkpoint| first.replaces == Some(last.log);
        if first.log == log && last.as_ref().is_some_and(is_replaced) {
            *last = Some(first);
        }
    }

    /// Says whether a checkpoint has another key follow this one, which has signed that.
    pub(crate) fn is_followed(&self, by: &Note) -> bool {
        let public = self.public();
        let signed = by.verify(std::slice::from_ref(&public));
        let checkpoint = signed.and_then(|(text, _)| Checkpoint::read(text).ok());
        checkpoint.is_some_and(|it| it.next_key.is_some_and(|next| next != public))
    }

    /// Says whether the latest checkpoint of a log may be followed: it is of this key, and no older than what was signed last.
    pub(crate) fn check(
        &self,
        log: Uuid,
        latest: Option<(&Note, &Checkpoint)>,
    ) -> Result<(), Refusal> {
        let last = self.remembered();
        if latest.is_some_and(|(_, latest)| latest.log != log) {
            return Err(Refusal::Altered);
        }
        if last.as_ref().is_some_and(|last| last.log != log) {
            return Err(Refusal::OtherLog);
        }
        let Some((note, latest)) = latest else {
            return if last.is_some() {
                Err(Refusal::Lost)
            } else {
                Ok(())
            };
        };
        let public = self.public();
        let is_followed = latest.next_key.as_ref().is_some_and(|next| *next != public);
        if is_followed || note.verify(std::slice::from_ref(&public)).is_none() {
            return Err(Refusal::OtherKey);
        }
        match last {
            Some(last) if last.size > latest.size || last.at > latest.at => Err(Refusal::Lost),
            Some(last) if last.size == latest.size && last.root != latest.root => {
                Err(Refusal::Altered)
            }
            _ => Ok(()),
        }
    }
}

/// Names a file in an error.
fn at(path: &Path) -> impl FnOnce(io::Error) -> KeyError {
    let path = path.to_owned();
    move |source| KeyError::Io { path, source }
}

/// Returns where it is kept what a key has signed last.
fn memory_of(path: &Path) -> PathBuf {
    let mut memory = path.as_os_str().to_owned();
    memory.push(".checkpoint");
    PathBuf::from(memory)
}

/// Writes a file that only its owner may read, unless another process has just written it.
fn create(path: &Path, text: &str) -> io::Result<()> {
    put(path, text, |new, path| match fs::hard_link(new, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    })
}

/// The same in the place of what was there, whole or not at all.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    put(path, text, |new, path| fs::rename(new, path))
}

/// Writes a file beside another one, puts it in its place, and sees to it that it is still there after a crash. What is beside it goes in any case.
fn put(
    path: &Path,
    text: &str,
    place: impl FnOnce(&Path, &Path) -> io::Result<()>,
) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}", Uuid::new_v4()));
    let new = PathBuf::from(name);
    let placed = written(&new, text).and_then(|()| place(&new, path));
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => placed?,
    }
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    fs::File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

fn written(new: &Path, text: &str) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    let mut file = (options.write(true).create_new(true).mode(0o600)).open(new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
