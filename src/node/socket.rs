//! The files of the sockets on which a node listens: `control.sock` in its state directory, and
//! perhaps another one.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::store::FileIdentity;
use crate::store::file_changes;

/// The name of the socket in the state directory.
pub const CONTROL_SOCKET: &str = "control.sock";

/// The longest path of a socket on Linux, in bytes.
const MAX_PATH_BYTES: usize = 107;

/// Connections that may wait to be accepted.
const WAITING_CONNECTIONS: i32 = 128;

/// A socket that listens. Dropping it removes its file.
#[derive(Debug)]
pub(super) struct Listener {
    listener: UnixListener,
    path: PathBuf,
    /// Identifies the file, as another file may have taken its name.
    identity: Option<FileIdentity>,
}

impl Listener {
    /// Creates the control socket of a directory that this process has locked. It replaces a socket
    /// that a killed process has left.
    pub(super) fn in_directory(directory: &Path) -> io::Result<Self> {
        let path = directory.join(CONTROL_SOCKET);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        Self::create(path, 0o600)
    }

    /// Creates a socket at a path of the user's choice, with this mode. It replaces a socket on
    /// which no process listens, and nothing else.
    pub(super) fn at(path: &Path, mode: u32) -> io::Result<Self> {
        if let Ok(found) = fs::symlink_metadata(path) {
            if !found.file_type().is_socket() {
                let why = "a file that is no socket has this name; name another path";
                return Err(io::Error::new(ErrorKind::AlreadyExists, why));
            }
            match connect_to(path) {
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                    fs::remove_file(path)?;
                }
                Err(error) => return Err(error),
                Ok(_) => {
                    let why = "another process listens there; stop it, or name another path";
                    return Err(io::Error::new(ErrorKind::AddrInUse, why));
                }
            }
        }
        Self::create(path.to_owned(), mode)
    }

    fn create(path: PathBuf, mode: u32) -> io::Result<Self> {
        let socket = new_socket()?;
        {
            let _file_changes = file_changes();
            with_address(&path, |address| Ok(rustix::net::bind(&socket, address)?))?;
        }
        let listener = Self {
            listener: socket.into(),
            identity: identity(&path),
            path,
        };
        // No client can connect before the call of `listen`.
        fs::set_permissions(&listener.path, PermissionsExt::from_mode(mode))?;
        rustix::net::listen(&listener.listener, WAITING_CONNECTIONS)?;
        Ok(listener)
    }

    pub(super) fn accept(&self) -> io::Result<UnixStream> {
        self.listener.accept().map(|(stream, _)| stream)
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if identity(&self.path) == self.identity {
            // The next start removes a file that stays.
            fs::remove_file(&self.path).unwrap_or_default();
        }
    }
}

fn identity(path: &Path) -> Option<FileIdentity> {
    fs::symlink_metadata(path).map(FileIdentity::from).ok()
}

fn new_socket() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    Ok(socket)
}

/// Connects to the process that has a directory open.
///
/// # Errors
///
/// The error of the operating system, for example if no process listens.
pub fn connect(directory: &Path) -> io::Result<UnixStream> {
    connect_to(&directory.join(CONTROL_SOCKET))
}

/// Connects to the process that listens on the socket at this path.
///
/// # Errors
///
/// The error of the operating system, for example if no process listens.
pub fn connect_to(socket: &Path) -> io::Result<UnixStream> {
    let stream = new_socket()?;
    // A process that is stopped takes no clients, and a connection to it would wait without limit.
    rustix::io::ioctl_fionbio(&stream, true)?;
    with_address(socket, |address| {
        Ok(rustix::net::connect(&stream, address)?)
    })?;
    rustix::io::ioctl_fionbio(&stream, false)?;
    Ok(stream.into())
}

/// Calls `f` with the address of the socket at a path, even if the path is too long for an address.
fn with_address(path: &Path, f: impl FnOnce(&SocketAddrUnix) -> io::Result<()>) -> io::Result<()> {
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(ErrorKind::InvalidInput.into());
    };
    if path.as_os_str().len() <= MAX_PATH_BYTES {
        return f(&SocketAddrUnix::new(path)?);
    }
    let directory: OwnedFd = fs::File::open(directory)?.into();
    let path = Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string());
    f(&SocketAddrUnix::new(path.join(name))?)
}
