//! The operating-system user that runs Postgres, which refuses to run as root.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use nix::unistd::{Uid, User, geteuid};

use super::Error;

/// The users tried when root starts us, best first.
const USERS: [&str; 2] = ["postgres", "nobody"];

/// Who runs Postgres.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Account {
    /// The user who started us.
    Ourselves,
    /// Another, unprivileged user, because root started us.
    Other { name: String, uid: u32, gid: u32 },
}

impl Account {
    /// Chooses the account: whoever owns the cluster already, else the first of [`USERS`] that exists.
    pub(super) fn choose(pgdata: &Path) -> Result<Self, Error> {
        if !geteuid().is_root() {
            return Ok(Self::Ourselves);
        }
        if let Some(owner) = fs::metadata(pgdata)
            .ok()
            .filter(|metadata| metadata.uid() != 0)
        {
            let user = User::from_uid(Uid::from_raw(owner.uid())).ok().flatten();
            let name = user.map_or_else(|| owner.uid().to_string(), |user| user.name);
            return Ok(Self::Other {
                name,
                uid: owner.uid(),
                gid: owner.gid(),
            });
        }
        USERS
            .iter()
            .find_map(|name| User::from_name(name).ok().flatten())
            .map(|user| Self::Other {
                name: user.name,
                uid: user.uid.as_raw(),
                gid: user.gid.as_raw(),
            })
            .ok_or(Error::NoAccount)
    }

    /// Returns its name.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Ourselves => {
                let user = User::from_uid(geteuid()).ok().flatten();
                user.map_or_else(|| geteuid().to_string(), |user| user.name)
            }
            Self::Other { name, .. } => name.clone(),
        }
    }

    /// Lets the command run as this account. The standard library drops the supplementary groups of root with the uid.
    pub(super) fn run(&self, command: &mut Command) {
        if let Self::Other { uid, gid, .. } = self {
            command.uid(*uid).gid(*gid);
        }
    }

    /// Hands a file or folder over to this account.
    pub(super) fn own(&self, path: &Path) -> io::Result<()> {
        match self {
            Self::Ourselves => Ok(()),
            Self::Other { uid, gid, .. } => chown(path, Some(*uid), Some(*gid)),
        }
    }

    /// Checks that this account can walk every folder down to `path`, which must be absolute.
    pub(super) fn check_reach(&self, path: &Path) -> Result<(), Error> {
        let Self::Other { name, uid, gid } = self else {
            return Ok(());
        };
        let closed = path
            .ancestors()
            .filter(|folder| !may_enter(folder, *uid, *gid))
            .last();
        closed.map_or(Ok(()), |closed| {
            Err(Error::ClosedFolder {
                user: name.clone(),
                path: path.to_owned(),
                closed: closed.to_owned(),
            })
        })
    }
}

/// A folder that does not exist yet is made by us and counts as open.
fn may_enter(folder: &Path, uid: u32, gid: u32) -> bool {
    fs::metadata(folder).map_or(true, |metadata| search_bit(&metadata, uid, gid))
}

fn search_bit(metadata: &fs::Metadata, uid: u32, gid: u32) -> bool {
    let bit = if metadata.uid() == uid {
        0o100
    } else if metadata.gid() == gid {
        0o010
    } else {
        0o001
    };
    metadata.mode() & bit != 0
}
