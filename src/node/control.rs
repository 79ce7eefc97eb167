//! The control socket: other processes of the same user ask and tell a running node things.
//!
//! Each client has a thread that reads its requests into the same queue as those of standard
//! input, and a thread that writes its replies. Neither can hold up the node: a client whose
//! replies pile up is not read any further, and one that does not take them is dropped.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, Scope};
use std::time::Duration;

use crossbeam_channel::Sender;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use tracing::{info, warn};

use crate::node::client::{Client, TOO_MANY};
use crate::node::{Decoded, Stop, Stoppable};
use crate::processor::Preparer;
use crate::protocol::BatchReader;
use crate::store::FileIdentity;

/// The name of the socket in the state directory.
pub const CONTROL_SOCKET: &str = "control.sock";

/// The longest path of a socket is 107 bytes.
const MAX_PATH_BYTES: usize = 107;

/// Clients that are served at a time.
const MAX_CLIENTS: usize = 64;

/// Descriptors that are not for clients.
const DESCRIPTORS_OF_THE_NODE: u64 = 40;

/// How long the next try waits after a client that could not be taken.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// Connections that may wait to be taken.
const WAITING_CONNECTIONS: i32 = 16;

/// The control socket of a state directory, which only its owner can open. It goes when this does.
#[derive(Debug)]
pub struct ControlSocket {
    listener: UnixListener,
    path: PathBuf,
    /// Which file it is: another one may have taken its name.
    identity: Option<FileIdentity>,
}

impl ControlSocket {
    /// Makes the socket in a directory that this process holds, in place of one that a killed
    /// process has left.
    ///
    /// # Errors
    ///
    /// What the operating system says: that the file system has no sockets, for example.
    pub fn bind(directory: &Path) -> io::Result<Self> {
        let path = directory.join(CONTROL_SOCKET);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let socket = new_socket()?;
        with_address(directory, |address| {
            Ok(rustix::net::bind(&socket, address)?)
        })?;
        let socket = Self {
            listener: socket.into(),
            identity: identity(&path),
            path,
        };
        // Nobody can connect before it is listened to.
        fs::set_permissions(&socket.path, PermissionsExt::from_mode(0o600))?;
        rustix::net::listen(&socket.listener, WAITING_CONNECTIONS)?;
        Ok(socket)
    }

    /// Takes clients until a stop is requested.
    pub(super) fn serve<'scope>(
        self,
        scope: &'scope Scope<'scope, '_>,
        preparer: Preparer,
        batches: Sender<Decoded>,
        clients: &Arc<()>,
        stop: &'scope Stop,
    ) {
        let max_clients = max_clients();
        while matches!(stop.wait_for(&self.listener), Ok(true)) {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) => {
                    warn!("a client could not be taken: {error}");
                    // What is short now, such as descriptors, may not be a moment later.
                    thread::sleep(TRY_AGAIN_AFTER);
                    continue;
                }
            };
            if Arc::strong_count(clients) > max_clients {
                Client::refuse(stream, TOO_MANY);
                continue;
            }
            let (batches, held) = (batches.clone(), Arc::clone(clients));
            let started = Client::start(scope, stream, stop, held);
            let started = started.and_then(|(client, stream)| {
                let reading = move || read(stream, &client, preparer, &batches, stop);
                thread::Builder::new().spawn_scoped(scope, reading)
            });
            if let Err(error) = started {
                warn!("a client could not be served: {error}");
            }
        }
        // The name goes before the lock of the directory does, with which another process may
        // make it anew.
        drop(self);
        drop(batches);
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        if identity(&self.path) == self.identity {
            // One that stays is removed by the next start.
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

/// How many clients are served at a time: fewer where the process may not have many descriptors,
/// of which each client takes two.
fn max_clients() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let for_clients = limit
        .unwrap_or(u64::MAX)
        .saturating_sub(DESCRIPTORS_OF_THE_NODE);
    MAX_CLIENTS.min((for_clients / 2) as usize)
}

/// Connects to the process that holds a directory.
///
/// # Errors
///
/// What the operating system says if nobody listens.
pub fn connect(directory: &Path) -> io::Result<UnixStream> {
    let socket = new_socket()?;
    with_address(directory, |address| {
        Ok(rustix::net::connect(&socket, address)?)
    })?;
    Ok(socket.into())
}

/// Calls `f` with the address of a directory's socket, which may lie deeper than an address is
/// long.
fn with_address(
    directory: &Path,
    f: impl FnOnce(&SocketAddrUnix) -> io::Result<()>,
) -> io::Result<()> {
    let path = directory.join(CONTROL_SOCKET);
    if path.as_os_str().len() <= MAX_PATH_BYTES {
        return f(&SocketAddrUnix::new(&path)?);
    }
    let directory: OwnedFd = fs::File::open(directory)?.into();
    let path = format!("/proc/self/fd/{}/{CONTROL_SOCKET}", directory.as_raw_fd());
    f(&SocketAddrUnix::new(path)?)
}

/// Reads what a client asks until it ends or a stop is requested.
fn read(
    stream: UnixStream,
    client: &Arc<Client>,
    preparer: Preparer,
    batches: &Sender<Decoded>,
    stop: &Stop,
) {
    let decoded = |batch| Decoded::new(batch, preparer, Some(Arc::clone(client)));
    let mut reader = BatchReader::for_control(Stoppable::new(stream, stop.clone()));
    while client.wait_until_replies_go(stop) {
        match reader.read() {
            Ok(Some(batch)) if batch.lines.is_empty() => {}
            Ok(Some(batch)) => {
                if batches.send(decoded(batch)).is_err() {
                    return;
                }
            }
            Ok(None) if stop.is_requested() => return,
            Ok(None) => {
                // Nobody to take it means that the node is ending.
                batches.send(decoded(reader.finish())).unwrap_or_default();
                return;
            }
            Err(error) => {
                info!("a client is gone: {error}");
                return;
            }
        }
    }
}
