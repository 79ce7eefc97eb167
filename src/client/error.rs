//! What a client meets.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::time::Duration;

use thiserror::Error;

/// A node's error reply: the request was not carried out, and nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{text}")]
#[non_exhaustive]
pub struct ErrorReply {
    /// The error code of the protocol.
    pub code: u64,
    /// What is wrong, and what helps.
    pub text: String,
}

impl ErrorReply {
    /// True if the same request may succeed later: the disk is nearly full, the node cannot answer
    /// now, or it has given this client up.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        const TIMEOUT: u64 = 0;
        self.is_unavailable() || self.code == TIMEOUT
    }

    /// True if the node could not carry the request out now.
    pub(super) fn is_unavailable(&self) -> bool {
        const TEMPORARILY_UNAVAILABLE: u64 = 11;
        self.code == TEMPORARILY_UNAVAILABLE
    }

    /// True if a query met damage.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        const CRASH: u64 = 13;
        self.code == CRASH
    }
}

/// Why there is no connection.
#[derive(Debug)]
#[non_exhaustive]
pub enum NoConnection {
    /// A later attempt may succeed.
    Yet(Box<dyn Error + Send + Sync>),
    /// No attempt can succeed.
    Ever(Box<dyn Error + Send + Sync>),
}

impl From<io::Error> for NoConnection {
    /// Takes an error of the system for one that may pass, unless access is denied.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::PermissionDenied | ErrorKind::InvalidInput => Self::Ever(error.into()),
            _ => Self::Yet(error.into()),
        }
    }
}

/// Why a client can go on no longer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ClientError {
    /// No node could be reached in time. What has no reply may have been carried out.
    #[error(
        "no node has answered for {}; start one, or wait longer",
        shown(*waited)
    )]
    Unreachable {
        /// How long the client has tried.
        waited: Duration,
        /// Why the last attempt failed.
        source: Box<dyn Error + Send + Sync>,
    },
    /// No connection is possible.
    #[error(transparent)]
    NoConnection(Box<dyn Error + Send + Sync>),
    /// The connection ended before the reply to a request that must not be repeated blindly: it may
    /// or may not have been carried out. All requests before it that have no reply are events, and
    /// may be sent again.
    #[error(
        "the node ended before it replied to a request of type {kind}, which may or may not have \
         been carried out; look at the state before you send it again"
    )]
    Unclear {
        /// The type of the request.
        kind: &'static str,
        /// How many requests before it have no reply.
        before: usize,
    },
    /// The connection ended before the reply to a query.
    #[error("the process that has the directory open ended before it replied; try again")]
    Ended,
    /// The node does not serve this client, or not any longer.
    #[error(transparent)]
    Refused(ErrorReply),
    /// The node has sent nothing for a long time.
    #[error(
        "the process that has the directory open has sent nothing for {}; if it is stopped, \
         continue or end it, and try again",
        shown(*waited)
    )]
    Silent {
        /// How long the client has waited.
        waited: Duration,
    },
    /// The node has sent something else than the expected reply.
    #[error(
        "the process that has the directory open sent a line that is not the expected reply; use a \
         client of its version"
    )]
    NotAReply,
    /// A source position cannot be sent to a node: it belongs to the process that opens the state.
    #[error("a source position cannot be sent to a node; open the state directory instead")]
    NotInTheProtocol,
    /// The system cannot wait for the connection.
    #[error("waiting for the connection")]
    System(#[source] io::Error),
}

/// A time in whole seconds, or in milliseconds if it is shorter than one.
fn shown(time: Duration) -> String {
    match time.as_secs() {
        0 => format!("{} ms", time.as_millis()),
        seconds => format!("{seconds} s"),
    }
}
