//! Reading a state: from a resting directory, or by asking the process that has it open.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use clap::Args;
use exactly_once::client::Client;
use exactly_once::inspect::{Query, View};
use exactly_once::node::CONTROL_SOCKET;
use exactly_once::program::remedy;
use exactly_once::{Holder, OpenError};
use thiserror::Error;

use crate::cli::address::{Address, AddressArgs};
use crate::cli::connection::connect;
use crate::cli::timeout::TimeoutArgs;

/// How long to wait for the socket of the process that has locked the directory, which it makes
/// after it has opened the database.
const PATIENCE: Duration = Duration::from_secs(10);
/// Time between two attempts.
const TRY_EVERY: Duration = Duration::from_millis(20);

/// The state directory of a command, or the node to ask, and how long to wait for the storage.
#[derive(Debug, Args)]
pub(crate) struct StateArgs {
    #[command(flatten)]
    address: AddressArgs,
    #[command(flatten)]
    pub(crate) timeout: TimeoutArgs,
}

impl StateArgs {
    /// Where the state is found.
    pub(crate) fn address(&self) -> Address<'_> {
        self.address.address()
    }

    /// Opens a copy of the directory, or connects to the process that has it open.
    pub(crate) fn open(&self) -> anyhow::Result<OpenState> {
        either(
            self.address(),
            |directory| {
                let timeout = self.timeout.storage_timeout();
                let view = View::open_within(directory, &timeout)?;
                Ok(OpenState::Resting(Box::new(view)))
            },
            |client| Ok(OpenState::Live(client)),
        )
    }

    /// Opens the state and answers one query: calls `sink` with each record as JSON.
    pub(crate) fn answer(
        &self,
        query: &Query,
        sink: impl FnMut(&[u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        self.open()?.answer(query, sink)
    }
}

/// Calls `resting` with a directory, or, if another process has it open, `live` with a client of
/// that process.
pub(crate) fn either<T>(
    address: Address<'_>,
    mut resting: impl FnMut(&Path) -> anyhow::Result<T>,
    live: impl FnOnce(Client) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let deadline = Instant::now() + PATIENCE;
    let directory = match address {
        Address::Directory(directory) => directory,
        Address::Socket(socket) => {
            let connected = connect(address);
            return live(connected.map_err(|error| CannotAsk::at_socket(socket, error))?);
        }
    };
    loop {
        let held = match resting(directory) {
            Err(error) if is_held(&error) => error,
            result => return result,
        };
        match connect(address) {
            Ok(client) => return live(client),
            Err(why) => {
                let no_answer = CannotAsk::of(directory, &held, why);
                if !no_answer.may_pass() || Instant::now() > deadline {
                    return Err(no_answer.into());
                }
                sleep(TRY_EVERY);
            }
        }
    }
}

/// True if another process has the directory open and may answer later.
pub(crate) fn is_held(error: &anyhow::Error) -> bool {
    match error.downcast_ref::<CannotAsk>() {
        Some(no_answer) => no_answer.may_pass(),
        None => holder(error).is_some(),
    }
}

fn holder(error: &anyhow::Error) -> Option<&Holder> {
    match error.downcast_ref() {
        Some(OpenError::HeldByWriter { holder, .. }) => Some(holder),
        _ => None,
    }
}

/// The process that has the directory open cannot be asked.
#[derive(Debug, Error)]
pub(crate) enum CannotAsk {
    /// It belongs to another user.
    #[error(
        "{directory} is held by {holder} of user {user}, and only that user can ask it; run this \
         command as user {user}"
    )]
    OfAnotherUser {
        directory: String,
        holder: String,
        user: u32,
        source: io::Error,
    },
    /// It does not listen: it is starting or ending, or it is not a node.
    #[error(
        "{directory} is held by {holder}, and nothing answers on its control socket \
         {CONTROL_SOCKET}; wait until that process has started or ended, or stop it"
    )]
    NotListening {
        directory: String,
        holder: String,
        source: io::Error,
    },
    /// No process listens on a socket.
    #[error(
        "no node listens on {socket}; start one with `exactly-once serve --data-dir DIR --socket \
         {socket}`"
    )]
    NothingAt { socket: String, source: io::Error },
    /// This process cannot connect to a socket.
    #[error("the socket {socket} cannot be used; {remedy}")]
    UnableAt {
        socket: String,
        remedy: String,
        source: io::Error,
    },
    /// This process cannot connect to it.
    #[error("{directory} is held by {holder}, which cannot be asked; {remedy}")]
    Unable {
        directory: String,
        holder: String,
        remedy: String,
        source: io::Error,
    },
}

impl CannotAsk {
    pub(crate) fn of(directory: &Path, held: &anyhow::Error, source: io::Error) -> Self {
        use io::ErrorKind::{ConnectionRefused, NotFound, PermissionDenied, WouldBlock};
        let socket = directory.join(CONTROL_SOCKET);
        let owner = fs::metadata(&socket).map(|socket| socket.uid());
        let remedy = || remedy(Some(&socket), &source);
        let holder = holder(held).map_or_else(String::new, Holder::to_string);
        let directory = directory.display().to_string();
        match (source.kind(), owner) {
            (PermissionDenied, Ok(user)) => Self::OfAnotherUser {
                directory,
                holder,
                user,
                source,
            },
            (NotFound | ConnectionRefused | WouldBlock, _) => Self::NotListening {
                directory,
                holder,
                source,
            },
            _ => Self::Unable {
                directory,
                holder,
                remedy: remedy(),
                source,
            },
        }
    }

    pub(crate) fn at_socket(socket: &Path, source: io::Error) -> Self {
        use io::ErrorKind::{ConnectionRefused, NotFound, WouldBlock};
        let remedy = remedy(Some(socket), &source);
        let socket = socket.display().to_string();
        match source.kind() {
            NotFound | ConnectionRefused | WouldBlock => Self::NothingAt { socket, source },
            _ => Self::UnableAt {
                socket,
                remedy,
                source,
            },
        }
    }

    /// True if a later attempt may succeed.
    pub(crate) fn may_pass(&self) -> bool {
        matches!(self, Self::NotListening { .. } | Self::NothingAt { .. })
    }

    /// True if no process has the state open.
    pub(crate) fn is_not_running(&self) -> bool {
        matches!(self, Self::NothingAt { .. })
    }
}

/// A state that is open for queries.
pub(crate) enum OpenState {
    Resting(Box<View>),
    Live(Client),
}

impl OpenState {
    /// Answers a query: calls `sink` with each record as JSON.
    pub(crate) fn answer(
        &mut self,
        query: &Query,
        sink: impl FnMut(&[u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        match self {
            Self::Resting(view) => view.answer(query, sink),
            Self::Live(client) => client.ask(query, sink),
        }
    }
}
