//! Where a command finds a state: in a directory, or at a node that listens on a socket.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use clap::Args;
use exactly_once::node;

/// The state directory of a command, or the node to ask.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(crate) struct AddressArgs {
    /// State directory
    #[arg(long, value_name = "DIR", env = "EXACTLY_ONCE_DATA_DIR")]
    data_dir: Option<PathBuf>,
    /// Ask the node that listens on this socket, whatever its state directory is
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
}

/// Where a state is found.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Address<'a> {
    /// A state directory, at rest or open in another process.
    Directory(&'a Path),
    /// The socket of a node.
    Socket(&'a Path),
}

impl<'a> Address<'a> {
    /// The state directory; `None` for a socket.
    pub(crate) fn directory(self) -> Option<&'a Path> {
        match self {
            Self::Directory(directory) => Some(directory),
            Self::Socket(_) => None,
        }
    }

    /// Connects to the process that has the state open.
    pub(crate) fn connect(self) -> io::Result<UnixStream> {
        match self {
            Self::Directory(directory) => node::connect(directory),
            Self::Socket(socket) => node::connect_to(socket),
        }
    }
}

impl AddressArgs {
    pub(crate) fn address(&self) -> Address<'_> {
        match (&self.socket, &self.data_dir) {
            (Some(socket), _) => Address::Socket(socket),
            (None, Some(directory)) => Address::Directory(directory),
            (None, None) => unreachable!("one of the two arguments is required"),
        }
    }
}
