//! Working as the owner of the state directory: the owner, who runs the node, must be able to use
//! the files that root makes there.

use std::ffi::CString;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use clap::ArgMatches;
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Gid, Uid, User};
use rustix::process::DumpableBehavior;
use thiserror::Error;

/// The name of the argument that is the state directory, in every command.
const DATA_DIR: &str = "data_dir";

/// The owner of the first of these files that exists is the owner of the directory.
const FILES_OF_OWNER: [&str; 2] = ["db", "sentinel"];

/// The owner that root has become.
static WORKS_AS: OnceLock<Owner> = OnceLock::new();

/// Root may not become the owner of the directory.
#[derive(Debug, Error)]
#[error(
    "{} belongs to user {user}, and this process may not become that user; run it as user {user}, \
     or give it the capabilities SETUID and SETGID",
    path.display()
)]
pub(crate) struct CannotBecomeOwner {
    path: PathBuf,
    user: u32,
    source: io::Error,
}

/// The owner of a directory, and the mode of the files in it.
#[derive(Debug)]
struct Owner {
    path: PathBuf,
    user: u32,
    group: u32,
    mode: u32,
}

/// If the user is root, becomes the owner of the directory that the arguments name. Must be called
/// before any file is opened and any thread is started.
pub(crate) fn work_as_owner(matches: &ArgMatches) -> anyhow::Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let owner = data_dir(matches).and_then(|path| Owner::of(&path));
    let Some(owner) = owner.filter(|owner| owner.user != 0) else {
        return Ok(());
    };
    owner.become_owner().map_err(|source| CannotBecomeOwner {
        path: owner.path.clone(),
        user: owner.user,
        source,
    })?;
    WORKS_AS.get_or_init(|| owner);
    Ok(())
}

/// The text to add to an error of a missing permission, if root works as another user.
pub(crate) fn note_on_user() -> Option<String> {
    let owner = WORKS_AS.get()?;
    Some(format!(
        "root started this process, but it works as user {}, the owner of the files in {}",
        owner.user,
        owner.path.display()
    ))
}

/// The state directory that the arguments name.
fn data_dir(matches: &ArgMatches) -> Option<PathBuf> {
    match matches.subcommand() {
        Some((_, matches)) => data_dir(matches),
        None => matches
            .try_get_one::<PathBuf>(DATA_DIR)
            .ok()
            .flatten()
            .cloned(),
    }
}

impl Owner {
    /// The owner of a directory; `None` if it does not exist yet.
    fn of(path: &Path) -> Option<Self> {
        let mut files = FILES_OF_OWNER.iter().map(|name| path.join(name));
        let of = |metadata: Metadata| Self {
            path: path.to_owned(),
            user: metadata.uid(),
            group: metadata.gid(),
            mode: metadata.mode(),
        };
        // A symbolic link is skipped, as it may lead to a file of any user.
        let of_file = |file: PathBuf| fs::symlink_metadata(file).ok();
        let found = files.find_map(|file| of_file(file).filter(Metadata::is_file));
        found.or_else(|| fs::metadata(path).ok()).map(of)
    }

    fn become_owner(&self) -> io::Result<()> {
        let (user, group) = (Uid::from_raw(self.user), Gid::from_raw(self.group));
        match User::from_uid(user)? {
            Some(named) => nix::unistd::initgroups(&CString::new(named.name)?, group)?,
            None => nix::unistd::setgroups(&[group])?,
        }
        nix::unistd::setresgid(group, group, group)?;
        nix::unistd::setresuid(user, user, user)?;
        umask(self.umask());
        // After a change of user, the system would deny the process its own entries in /proc.
        Ok(rustix::process::set_dumpable_behavior(
            DumpableBehavior::Dumpable,
        )?)
    }

    /// Gives new files the permissions of the files in the directory, and new directories those and
    /// the right to enter for each user who may read. The owner may always read and write.
    fn umask(&self) -> Mode {
        let mode = self.mode | 0o600;
        Mode::from_bits_truncate(!(mode | (mode & 0o444) >> 2) & 0o777)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_files_and_directories_get_the_rights_that_the_files_have() {
        for (mode, file, directory) in [
            (0o100_644, 0o644, 0o755),
            (0o100_640, 0o640, 0o750),
            (0o100_600, 0o600, 0o700),
            (0o100_444, 0o644, 0o755),
            (0o040_755, 0o644, 0o755),
        ] {
            let owner = Owner {
                path: PathBuf::new(),
                user: 1,
                group: 1,
                mode,
            };
            let umask = owner.umask().bits();
            assert_eq!(0o666 & !umask, file);
            assert_eq!(0o777 & !umask, directory);
        }
    }
}
