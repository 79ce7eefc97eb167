//! The way to a node: to the one that runs, or to one that this process becomes while none runs.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::Args;
use exactly_once::client::{Client, NoConnection};
use exactly_once::node::{CONTROL_SOCKET, ControlServer};
use exactly_once::program::check_at_rest;
use exactly_once::{Handle, OpenError, StorageError};
use thiserror::Error;

use crate::cli::address::{Address, AddressArgs};
use crate::cli::connection::tell_of_silence;
use crate::cli::node_args::{NodeArgs, OpenNode};
use crate::cli::state::CannotAsk;
use crate::cli::streams::stderr::say;
use crate::cli::verbosity::Verbosity;

/// After this time without a reply, a line on standard error says so, once.
const NOTICE_AFTER: Duration = Duration::from_secs(10);

/// After a node has ended, this process waits for another one for this long before it opens the
/// directory itself, or for half of the time that it may wait. If the node has not removed its
/// socket, it was killed, and a supervisor starts it again: then this process waits for nearly all
/// of that time.
const GRACE: Duration = Duration::from_secs(1);

/// The options of a command that sends requests.
#[derive(Debug, Args)]
pub(crate) struct DoorArgs {
    #[command(flatten)]
    address: AddressArgs,
    /// Wait this long for a node, such as 500ms or 10s, at the beginning and if it goes away
    #[arg(long, value_name = "TIME", default_value = "10s",
          value_parser = humantime::parse_duration)]
    wait: Duration,
    #[command(flatten, next_help_heading = "Options of the node, if none runs yet")]
    node: NodeArgs,
}

/// A client of a node, and that node if it is this process itself.
pub(crate) struct Door {
    pub(crate) client: Client,
    own: Arc<Mutex<Option<OwnNode>>>,
}

/// The node that this process has become.
struct OwnNode {
    handle: Handle,
    server: ControlServer,
}

/// Why this process has no connection to a node.
#[derive(Debug, Error)]
pub(crate) enum NoNode {
    #[error(transparent)]
    CannotAsk(#[from] CannotAsk),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Storage(#[from] Arc<StorageError>),
    #[error("making the control socket")]
    Socket(#[source] io::Error),
    #[error("the node of this process has ended; start the command again")]
    Ended,
}

impl Door {
    /// Makes a client of the node of a directory or a socket. It connects when it is first used.
    pub(crate) fn new(args: &DoorArgs, verbosity: Verbosity) -> Self {
        let own = Arc::default();
        let mut way = Way {
            address: match args.address.address() {
                Address::Directory(directory) => To::Directory(directory.to_owned()),
                Address::Socket(socket) => To::Socket(socket.to_owned()),
            },
            node: args.node.clone(),
            tells_of_new_state: !verbosity.quiet,
            own: Arc::clone(&own),
            wait: args.wait,
            was_connected: false,
            lost_since: None,
        };
        let client = Client::over(move || way.connect());
        Self {
            client: client
                .with_wait(args.wait)
                .when_silent(NOTICE_AFTER, tell_of_silence),
            own,
        }
    }

    /// The handle of the node that this process has become, if it has.
    pub(crate) fn own_handle(&self) -> Option<Handle> {
        let own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        own.as_ref().map(|own| own.handle.clone())
    }

    /// Ends the node that this process has become, if it has.
    ///
    /// # Errors
    ///
    /// The [`StorageError`] that its storage has met.
    pub(crate) fn close(self) -> Result<(), Arc<StorageError>> {
        let own = self
            .own
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        own.map_or(Ok(()), OwnNode::close)
    }
}

impl OwnNode {
    fn open(directory: &Path, args: &NodeArgs) -> Result<Self, NoNode> {
        let OpenNode {
            handle, monitor, ..
        } = args.open(directory)?;
        let control = args.bind(directory).map_err(NoNode::Socket)?;
        let server = control.serve(&handle, &monitor).map_err(Arc::new)?;
        Ok(Self { handle, server })
    }

    fn close(self) -> Result<(), Arc<StorageError>> {
        drop(self.server);
        self.handle.close()
    }
}

/// Where the node is.
enum To {
    Directory(PathBuf),
    Socket(PathBuf),
}

/// How to connect.
struct Way {
    address: To,
    node: NodeArgs,
    tells_of_new_state: bool,
    own: Arc<Mutex<Option<OwnNode>>>,
    /// How long to wait for a node that has gone away.
    wait: Duration,
    /// True if the last connection was to another process.
    was_connected: bool,
    /// Since when that process is gone; `None` while it is not.
    lost_since: Option<Instant>,
}

impl Way {
    fn connect(&mut self) -> Result<UnixStream, NoConnection> {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(node) = own.take() {
            // It serves this process until its storage fails.
            let ended = node.close().map_err(NoNode::Storage);
            return Err(never(ended.err().unwrap_or(NoNode::Ended)));
        }
        let directory = match &self.address {
            To::Socket(socket) => {
                let connected = Address::Socket(socket).connect();
                return connected.map_err(|error| passing(CannotAsk::at_socket(socket, error)));
            }
            To::Directory(directory) => directory,
        };
        let error = match Address::Directory(directory).connect() {
            Ok(stream) => {
                (self.was_connected, self.lost_since) = (true, None);
                return Ok(stream);
            }
            Err(error) => error,
        };
        if error.kind() == io::ErrorKind::PermissionDenied
            && let Err(held @ OpenError::HeldByWriter { .. }) = check_at_rest(directory)
        {
            return Err(passing(CannotAsk::of(directory, &held.into(), error)));
        }
        if self.was_connected {
            self.lost_since.get_or_insert_with(Instant::now);
        }
        let was_killed = directory.join(CONTROL_SOCKET).exists();
        let grace = match was_killed {
            true => self.wait * 9 / 10,
            false => GRACE.min(self.wait / 2),
        };
        if self.lost_since.is_some_and(|lost| lost.elapsed() < grace) {
            return Err(NoConnection::Yet(error.into()));
        }
        let is_new = matches!(check_at_rest(directory), Err(OpenError::NoState { .. }));
        match OwnNode::open(directory, &self.node) {
            Ok(node) => {
                if is_new && self.tells_of_new_state {
                    say(format_args!("{} is a new state", directory.display()));
                }
                *own = Some(node);
                let connected = Address::Directory(directory).connect();
                connected.map_err(|error| never(NoNode::Socket(error)))
            }
            Err(NoNode::Open(held @ OpenError::HeldByWriter { .. })) => {
                Err(passing(CannotAsk::of(directory, &held.into(), error)))
            }
            Err(NoNode::Open(held @ OpenError::HeldByReader { .. })) => {
                Err(NoConnection::Yet(NoNode::Open(held).into()))
            }
            Err(other) => Err(never(other)),
        }
    }
}

fn never(why: NoNode) -> NoConnection {
    NoConnection::Ever(why.into())
}

fn passing(why: CannotAsk) -> NoConnection {
    match why.may_pass() {
        true => NoConnection::Yet(NoNode::CannotAsk(why).into()),
        false => never(why.into()),
    }
}
