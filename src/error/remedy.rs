//! What an error of the operating system means, and what helps: the one table for every message.
//!
//! An error that the table does not have says so, and sends to `verify`, which reads and changes
//! nothing.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, Stat};
use rustix::io::Errno;
use rustix::process::{Resource, geteuid, getrlimit};

/// What helps against an error that is not of the system, or not in the table.
const UNKNOWN: &str = "the cause is not known: check the directory with `exactly-once verify`";

/// What an error means and what helps, about a path if it is known; one clause without a full stop.
#[must_use]
pub fn remedy(path: Option<&Path>, error: &(dyn Error + 'static)) -> String {
    let Some(errno) = errno_of(error) else {
        return UNKNOWN.to_owned();
    };
    let of_path = match path {
        Some(path) => format!("of {}", path.display()),
        None => "of the state directory".to_owned(),
    };
    match errno {
        Errno::ACCESS | Errno::PERM => missing_right(path),
        Errno::MFILE => format!(
            "this process may not open more files: raise its limit (ulimit -n, now {})",
            limit_of_files()
        ),
        Errno::NOSPC => format!("the disk {of_path} is full: make room there"),
        Errno::DQUOT => format!(
            "the quota of user {} on the disk {of_path} is used up: make room there, or raise it",
            geteuid().as_raw()
        ),
        Errno::ROFS => format!(
            "the file system {of_path} is mounted read-only: find out why (dmesg), and mount it \
             to be written"
        ),
        Errno::STALE => format!("the network file system {of_path} is another now: mount it again"),
        Errno::NOLCK => format!(
            "the file system {of_path} gives no lock: start the lock service of the network file \
             system, or use a local disk"
        ),
        Errno::IO | Errno::UCLEAN => format!(
            "the disk {of_path} cannot read or write: look into the system's log (dmesg), and \
             check the disk"
        ),
        Errno::NXIO | Errno::NODEV | Errno::NOTCONN | Errno::HOSTDOWN | Errno::HOSTUNREACH => {
            out_of_reach(&of_path)
        }
        Errno::TIMEDOUT | Errno::REMOTEIO | Errno::NOMEDIUM | Errno::CONNRESET => {
            out_of_reach(&of_path)
        }
        Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::XDEV => {
            format!("the file system {of_path} cannot do it: use another one, on a local disk")
        }
        errno => fixed(errno).unwrap_or(UNKNOWN).to_owned(),
    }
}

/// The remedies that are about no path.
fn fixed(errno: Errno) -> Option<&'static str> {
    Some(match errno {
        Errno::NFILE => {
            "the system may not open more files: end other programs, or raise its limit (sysctl \
             fs.file-max)"
        }
        Errno::NOMEM => {
            "memory is short: free some, or raise the limit of this process (ulimit -v, or \
             memory.max of the container)"
        }
        Errno::FBIG => "a limit of the size of files is reached: raise it (ulimit -f)",
        Errno::AGAIN => "the system was short of something for a moment: it may go well now",
        Errno::INTR => "a signal came in between: it may go well now",
        Errno::NOTDIR => "a part of the path is no directory: check the path",
        Errno::ISDIR => "a directory has the name of a file: check the path",
        Errno::NOENT => "it is not there: check the path, and whether its disk is mounted",
        Errno::EXIST | Errno::NOTEMPTY => "something has the name already: check the path",
        Errno::LOOP => "the symbolic links of the path lead in a circle: check them",
        Errno::NAMETOOLONG => "the path is too long: use a shorter one",
        Errno::BUSY | Errno::TXTBSY => {
            "something else uses it: find out what (mount, fuser), and end that"
        }
        _ => return None,
    })
}

fn out_of_reach(of_path: &str) -> String {
    format!("the disk {of_path} does not answer: check that it is connected, and mount it again")
}

fn limit_of_files() -> String {
    let limit = getrlimit(Resource::Nofile).current;
    limit.map_or("unlimited".to_owned(), |limit| limit.to_string())
}

/// The error's number, from itself, from what caused it, or from what a library has written of it.
pub(crate) fn errno_of(error: &(dyn Error + 'static)) -> Option<Errno> {
    if let Some(error) = error.downcast_ref::<io::Error>()
        && let Some(errno) = Errno::from_io_error(error)
    {
        return Some(errno);
    }
    let below = error.source().and_then(errno_of);
    below.or_else(|| errno_in(&error.to_string()))
}

/// The number of an error in the text that a library has made of it.
pub(crate) fn errno_in(text: &str) -> Option<Errno> {
    let number_between = |start, end| {
        let (_, after) = text.split_once(start)?;
        let (number, _) = after.split_once(end)?;
        number.parse().ok().map(Errno::from_raw_os_error)
    };
    number_between("Os { code: ", ",").or_else(|| number_between("(os error ", ")"))
}

/// Which right is missing on which file, and who can give it.
fn missing_right(path: Option<&Path>) -> String {
    let user = geteuid().as_raw();
    let Some((culprit, right)) = path.and_then(find_culprit) else {
        return format!(
            "user {user} lacks a right there, or a rule of the system forbids it: compare `ls -ln` \
             with `id`"
        );
    };
    let Ok(stat) = rustix::fs::stat(&culprit) else {
        return format!("user {user} may not {right} {}", culprit.display());
    };
    let Stat {
        st_uid: owner,
        st_gid: group,
        st_mode: mode,
        ..
    } = stat;
    let or_owner = match owner {
        0 => String::new(),
        owner => format!(", or run it as user {owner}"),
    };
    format!(
        "user {user} may not {right} {} (owner {owner}, group {group}, mode {:04o}): give that \
         right (chown, chmod){or_owner}",
        culprit.display(),
        mode & 0o7777
    )
}

/// The first file or directory on the way to a path that this user lacks a right of, and which one;
/// then what is in it, if it is a directory.
fn find_culprit(path: &Path) -> Option<(PathBuf, &'static str)> {
    let mut above: Vec<&Path> = path.ancestors().skip(1).collect();
    above.reverse();
    let above = above.into_iter().filter(|path| *path != Path::new(""));
    for directory in above {
        if is_denied(directory, Access::EXEC_OK) {
            return Some((directory.to_owned(), "enter"));
        }
    }
    if !path.exists() {
        let parent = path.parent().filter(|parent| *parent != Path::new(""));
        return lacks(parent.unwrap_or(Path::new(".")));
    }
    let entries = path.read_dir().into_iter().flatten().flatten();
    let inside = |path: PathBuf| lacks(&path);
    let beside = || lacks(path.parent().filter(|parent| parent.is_dir())?);
    lacks(path)
        .or_else(|| entries.map(|entry| entry.path()).find_map(inside))
        .or_else(beside)
}

/// The right that this user lacks of something that is there.
fn lacks(path: &Path) -> Option<(PathBuf, &'static str)> {
    let mut rights = vec![(Access::READ_OK, "read"), (Access::WRITE_OK, "write to")];
    if path.is_dir() {
        rights.insert(0, (Access::EXEC_OK, "enter"));
    }
    let mut lacked = rights.into_iter();
    let (_, right) = lacked.find(|(access, _)| is_denied(path, *access))?;
    Some((path.to_owned(), right))
}

fn is_denied(path: &Path, access: Access) -> bool {
    let found = rustix::fs::accessat(CWD, path, access, AtFlags::EACCESS);
    matches!(found, Err(Errno::ACCESS | Errno::PERM))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_an_error_is_found_wherever_it_stands() {
        let plain = io::Error::from_raw_os_error(28);
        assert_eq!(errno_of(&plain), Some(Errno::NOSPC));
        for written in [format!("no lock: {plain:?}"), format!("{plain} at a path")] {
            assert_eq!(errno_of(&io::Error::other(written)), Some(Errno::NOSPC));
        }
        assert_eq!(errno_of(&io::Error::other("something else")), None);
    }

    #[test]
    fn no_remedy_begins_with_a_copy() {
        let known = (1..200).map(io::Error::from_raw_os_error);
        for error in known.chain([io::Error::other("something else")]) {
            let remedy = remedy(Some(Path::new("/state")), &error);
            assert!(!remedy.contains("copy"), "{error}: {remedy}");
            assert!(remedy.contains(": "), "{error}: {remedy}");
        }
    }
}
