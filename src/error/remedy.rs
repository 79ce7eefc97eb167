//! The table of remedies: for each error of the operating system, what it means and what helps.
//!
//! For an error that is not in the table, the remedy is to run `verify`, which changes nothing.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, Stat};
use rustix::io::Errno;
use rustix::process::{Resource, geteuid, getrlimit};

/// The remedy if the error is not one of the system, or is not in the table.
const UNKNOWN: &str = "the cause is unknown: check the directory with `exactly-once verify`";

/// Returns what an error means and what helps, as one clause without a full stop. Names the path,
/// if it is given.
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
            "the quota of user {} on the disk {of_path} is used up: make room there, or raise the \
             quota",
            geteuid().as_raw()
        ),
        Errno::ROFS => format!(
            "the file system {of_path} is mounted read-only: find out why (dmesg), then mount it \
             writable"
        ),
        Errno::STALE => {
            format!("the network file system {of_path} has changed on its server: mount it again")
        }
        Errno::NOLCK => format!(
            "the file system {of_path} cannot lock files: start the lock service of the network \
             file system, or use a local disk"
        ),
        Errno::IO | Errno::UCLEAN => format!(
            "the disk {of_path} failed to read or write: read the system's log (dmesg), and \
             check the disk"
        ),
        Errno::NXIO | Errno::NODEV | Errno::NOTCONN | Errno::HOSTDOWN | Errno::HOSTUNREACH => {
            out_of_reach(&of_path)
        }
        Errno::TIMEDOUT | Errno::REMOTEIO | Errno::NOMEDIUM | Errno::CONNRESET => {
            out_of_reach(&of_path)
        }
        Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::XDEV => {
            format!("the file system {of_path} does not allow this: use another, on a local disk")
        }
        errno => fixed(errno).unwrap_or(UNKNOWN).to_owned(),
    }
}

/// Returns the remedies that name no path.
fn fixed(errno: Errno) -> Option<&'static str> {
    Some(match errno {
        Errno::NFILE => {
            "the system has reached its limit of open files: end other programs, or raise it \
             (sysctl fs.file-max)"
        }
        Errno::NOMEM => {
            "there is too little memory: free some, or raise the limit of this process (ulimit -v, \
             or memory.max of the container)"
        }
        Errno::FBIG => "a file has reached the limit of its size: raise the limit (ulimit -f)",
        Errno::AGAIN => "the system briefly lacked a resource: a new attempt may succeed",
        Errno::INTR => "a signal interrupted the call: a new attempt may succeed",
        Errno::NOTDIR => "a part of the path is not a directory: check the path",
        Errno::ISDIR => "a directory is where a file should be: check the path",
        Errno::NOENT => "it does not exist: check the path, and whether its disk is mounted",
        Errno::EXIST | Errno::NOTEMPTY => "the name is already in use: check the path",
        Errno::LOOP => "the symbolic links of the path lead in a circle: check them",
        Errno::NAMETOOLONG => "the path is too long: use a shorter one",
        Errno::BUSY | Errno::TXTBSY => {
            "it is in use: find out by what (mount, fuser), and end that use"
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

/// Returns the number of a system error: from the error, from its sources or from their texts.
pub(crate) fn errno_of(error: &(dyn Error + 'static)) -> Option<Errno> {
    if let Some(error) = error.downcast_ref::<io::Error>()
        && let Some(errno) = Errno::from_io_error(error)
    {
        return Some(errno);
    }
    let below = error.source().and_then(errno_of);
    below.or_else(|| errno_in(&error.to_string()))
}

/// Returns the number of a system error from a text that a library has made of the error.
pub(crate) fn errno_in(text: &str) -> Option<Errno> {
    let number_between = |start, end| {
        let (_, after) = text.split_once(start)?;
        let (number, _) = after.split_once(end)?;
        number.parse().ok().map(Errno::from_raw_os_error)
    };
    number_between("Os { code: ", ",").or_else(|| number_between("(os error ", ")"))
}

/// Returns which right is missing on which file, and how to grant it.
fn missing_right(path: Option<&Path>) -> String {
    let user = geteuid().as_raw();
    let Some((culprit, right)) = path.and_then(find_culprit) else {
        return format!(
            "user {user} lacks a right there, or a security rule of the system forbids it: compare \
             `ls -ln` with `id`"
        );
    };
    let Ok(stat) = rustix::fs::stat(&culprit) else {
        return format!(
            "user {user} may not {right} {}: grant that right (chown, chmod)",
            culprit.display()
        );
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
        "user {user} may not {right} {} (owner {owner}, group {group}, mode {:04o}): grant that \
         right (chown, chmod){or_owner}",
        culprit.display(),
        mode & 0o7777
    )
}

/// Finds the first place where this user lacks a right, and that right: on the way to a path, then
/// at the path, in it, and beside it.
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

/// Returns an existing path with the right that this user lacks on it, if any.
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
