//! A client of a running node: it sends requests over a socket of the node, any number before the
//! first reply, and gets the replies in order.
//!
//! ```
//! use exactly_once::client::Client;
//! use exactly_once::{Outcome, Reply, Request};
//! # use exactly_once::node::{ControlSocket, Monitor};
//! # use exactly_once::{Engine, Options};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let state = tempfile::tempdir()?;
//! # let state = state.path();
//! # let handle = Engine::open(state, &Options::default())?.share()?;
//! # let node = ControlSocket::bind(state)?.serve(&handle, &Monitor::new(&handle))?;
//! // The state directory of a node, as of `exactly-once serve --data-dir state`.
//! let mut client = Client::of_directory(state);
//! for number in 0..1000 {
//!     let event_id = format!("e{number}");
//!     client.send(&Request::Process { event_id: &event_id, word: "hello" })?;
//! }
//! while let Some(reply) = client.receive()? {
//!     if let Reply::Processed { count, outcome: Outcome::Accepted } = reply? {
//!         println!("{count}");
//!     }
//! }
//! # drop(node);
//! # handle.close()?;
//! # Ok(())
//! # }
//! ```
//!
//! If the node goes away, the client connects again and sends each event that has no reply once
//! more, in order: that has no further effect. A commit, a checkpoint, a restore or a rollback
//! without a reply may have been carried out, and must not be repeated blindly: then the client
//! ends with [`ClientError::Unclear`].

mod error;
mod link;
mod relay;

use std::collections::VecDeque;
use std::fmt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use crate::inspect::Query;
use crate::node;
use crate::protocol::{put_query, put_request};
use crate::request::{Reply, Request};
pub use error::{ClientError, ErrorReply, NoConnection};
use link::{AfterLoss, Incoming, Link};
pub use relay::{Relay, RelayError, Wanted};

/// How long a node may be silent by default; every reply begins sooner.
const PATIENCE: Duration = Duration::from_secs(600);

/// A client of a node. It connects when it first has something to send, and again after a lost
/// connection.
pub struct Client {
    link: Box<Link>,
    /// Replies that were read before the caller wanted them.
    replies: VecDeque<Result<Reply, ErrorReply>>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unanswered = self.link.unanswered();
        write!(f, "Client {{ unanswered: {unanswered} }}")
    }
}

impl Client {
    /// Makes a client of the node that has a state directory open.
    #[must_use]
    pub fn of_directory(directory: impl Into<PathBuf>) -> Self {
        let directory = directory.into();
        Self::over(move || Ok(node::connect(&directory)?))
    }

    /// Makes a client of the node that listens on a socket at this path.
    #[must_use]
    pub fn of_socket(socket: impl Into<PathBuf>) -> Self {
        let socket = socket.into();
        Self::over(move || Ok(node::connect_to(&socket)?))
    }

    /// Makes a client that gets its connections from `connect`.
    pub fn over(
        connect: impl FnMut() -> Result<UnixStream, NoConnection> + Send + 'static,
    ) -> Self {
        Self {
            link: Box::new(Link::new(Box::new(connect), PATIENCE)),
            replies: VecDeque::new(),
        }
    }

    /// Sets how long to try for a connection that gives a reply, at the beginning and after a loss.
    /// By default it is tried once.
    #[must_use]
    pub fn with_wait(mut self, wait: Duration) -> Self {
        self.link.wait = wait;
        self
    }

    /// Sets how long the node may send nothing while a reply is due; 600 s by default.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.link.patience = patience;
        self
    }

    /// Sets what is called, once, when the node has sent nothing for this long while a reply is
    /// due.
    #[must_use]
    pub fn when_silent(
        mut self,
        after: Duration,
        tell: impl FnMut(Duration) + Send + 'static,
    ) -> Self {
        self.link.tell = Some((after, Box::new(tell)));
        self
    }

    /// Number of requests that were sent and whose replies were not received yet.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.link.unanswered() + self.replies.len()
    }

    /// Connects, if there is no connection. It is not necessary: every other call connects too.
    ///
    /// # Errors
    ///
    /// [`ClientError`] if there is no connection in time.
    pub fn connect(&mut self) -> Result<(), ClientError> {
        self.link.connect()
    }

    /// Sends a request again if the connection ends before its reply, even if it is not an event. A
    /// commit that is carried out twice releases only what is still pending, and a checkpoint or a
    /// rollback acts on the state of its last time.
    ///
    /// # Errors
    ///
    /// [`ClientError`], as for [`Client::send`].
    pub fn send_again_if_lost(&mut self, request: &Request<'_>) -> Result<(), ClientError> {
        self.add(request, AfterLoss::Repeat)
    }

    /// Sends a request. It is written when enough requests have gathered, or at the latest by
    /// [`Client::receive`] or [`Client::flush`]. While very many have no reply, this reads replies
    /// first, and keeps them for [`Client::receive`].
    ///
    /// # Errors
    ///
    /// [`ClientError`]. [`ClientError::NotInTheProtocol`] changes nothing. After any other one,
    /// requests without a reply may have been carried out.
    pub fn send(&mut self, request: &Request<'_>) -> Result<(), ClientError> {
        self.add(request, after_loss(request))
    }

    fn add(&mut self, request: &Request<'_>, after_loss: AfterLoss) -> Result<(), ClientError> {
        while !self.link.has_room() {
            let reply = self.next_reply()?;
            self.replies.extend(reply);
        }
        let put = |line: &mut Vec<u8>, msg_id| put_request(line, msg_id, request);
        self.link.add(after_loss, put)
    }

    /// Writes all requests, without waiting for their replies.
    ///
    /// # Errors
    ///
    /// [`ClientError`], as for [`Client::send`].
    pub fn flush(&mut self) -> Result<(), ClientError> {
        self.link.exchange(false, None)
    }

    /// Waits for the next reply; `None` if there is one for each request that was sent.
    ///
    /// # Errors
    ///
    /// [`ClientError`]; what has no reply may have been carried out.
    pub fn receive(&mut self) -> Result<Option<Result<Reply, ErrorReply>>, ClientError> {
        match self.replies.pop_front() {
            Some(reply) => Ok(Some(reply)),
            None => self.next_reply(),
        }
    }

    /// Returns the next reply, if it has come.
    ///
    /// # Errors
    ///
    /// [`ClientError`], as for [`Client::receive`].
    pub fn try_receive(&mut self) -> Result<Option<Result<Reply, ErrorReply>>, ClientError> {
        match self.replies.pop_front() {
            Some(reply) => Ok(Some(reply)),
            None => self.read_reply(),
        }
    }

    /// Sends requests and waits for their replies. Replies to earlier requests come first.
    ///
    /// # Errors
    ///
    /// [`ClientError`], as for [`Client::send`].
    pub fn submit(
        &mut self,
        requests: &[Request<'_>],
    ) -> Result<Vec<Result<Reply, ErrorReply>>, ClientError> {
        for request in requests {
            self.send(request)?;
        }
        let mut replies = Vec::new();
        while let Some(reply) = self.receive()? {
            replies.push(reply);
        }
        Ok(replies)
    }

    /// Sends a query, and calls `sink` with each record of the reply, as JSON. Replies to earlier
    /// requests are kept for [`Client::receive`].
    ///
    /// # Errors
    ///
    /// The error of `sink`; an [`ErrorReply`] if the node refuses the query; [`ClientError::Ended`]
    /// if it ends before the last record, after which the query may be sent again; or any other
    /// [`ClientError`].
    pub fn ask<E: From<ErrorReply> + From<ClientError>>(
        &mut self,
        query: &Query,
        mut sink: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        while let Some(reply) = self.next_reply()? {
            self.replies.push_back(reply);
        }
        let put = |line: &mut Vec<u8>, msg_id| {
            put_query(line, msg_id, query);
            true
        };
        self.link.add(AfterLoss::Ask, put)?;
        while self.link.unanswered() > 0 {
            let Some(Incoming { line, .. }) = self.link.take()? else {
                self.link.exchange(true, None)?;
                continue;
            };
            if let Some(record) = line.record() {
                let taken = sink(record.as_bytes());
                if taken.is_err() {
                    self.link.abandon();
                    return taken;
                }
            } else if let Some((code, text)) = line.error() {
                return Err(ErrorReply { code, text }.into());
            } else if line.kind != "end" {
                return Err(ClientError::NotAReply.into());
            }
        }
        Ok(())
    }

    fn next_reply(&mut self) -> Result<Option<Result<Reply, ErrorReply>>, ClientError> {
        while self.link.unanswered() > 0 {
            let reply = self.read_reply()?;
            if reply.is_some() {
                return Ok(reply);
            }
            self.link.exchange(true, None)?;
        }
        Ok(None)
    }

    /// Returns the next reply of those that the link has read.
    fn read_reply(&mut self) -> Result<Option<Result<Reply, ErrorReply>>, ClientError> {
        let Some(Incoming { line, .. }) = self.link.take()? else {
            return Ok(None);
        };
        match (line.reply(), line.error()) {
            (Some(reply), _) => Ok(Some(Ok(reply))),
            (None, Some((code, text))) => Ok(Some(Err(ErrorReply { code, text }))),
            (None, None) => Err(ClientError::NotAReply),
        }
    }
}

/// What is done with a request if the connection ends before its reply.
fn after_loss(request: &Request<'_>) -> AfterLoss {
    match request {
        Request::Process { .. } => AfterLoss::Repeat,
        Request::Checkpoint { .. } => AfterLoss::Stop("checkpoint"),
        Request::Restore { .. } => AfterLoss::Stop("restore"),
        Request::DeleteCheckpoint { .. } => AfterLoss::Stop("delete_checkpoint"),
        Request::Commit => AfterLoss::Stop("commit"),
        Request::Rollback => AfterLoss::Stop("rollback"),
        Request::Advance { .. } => AfterLoss::Stop("advance"),
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;
    use std::io::{BufRead, BufReader, Write};
    use std::thread;

    use super::*;

    /// Answers a query on a connection, or ends it first.
    fn serve(stream: UnixStream, is_answered: bool) {
        let mut lines = BufReader::new(&stream);
        let mut line = String::new();
        lines
            .read_line(&mut line)
            .expect("the client sends a query");
        if is_answered {
            let msg_id = line.rsplit(':').next().expect("it ends with its number");
            let msg_id = msg_id.trim_end().trim_end_matches('}');
            let end = format!("{{\"type\": \"end\", \"in_reply_to\": {msg_id}, \"records\": 0}}\n");
            (&stream)
                .write_all(end.as_bytes())
                .expect("the client reads");
        }
    }

    #[test]
    fn a_query_may_be_sent_again_after_a_node_ended_before_it_replied() {
        let mut connections = 0;
        let mut client = Client::over(move || {
            let (ours, other) = UnixStream::pair()?;
            connections += 1;
            let is_answered = connections == 3;
            thread::spawn(move || serve(other, is_answered));
            Ok(ours)
        })
        .with_wait(Duration::from_secs(60));
        let mut ask = || client.ask(&Query::Ping, |_| Ok::<(), Box<dyn Error>>(()));
        for _ in 0..2 {
            let error = ask().expect_err("the node ends");
            assert!(matches!(error.downcast_ref(), Some(ClientError::Ended)));
        }
        ask().expect("the node answers");
    }
}
