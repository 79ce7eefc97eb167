//! A connection to a running process, over the control socket of its state directory.

use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use exactly_once::inspect::Query;
use exactly_once::node;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use thiserror::Error;

use crate::cli::status::{STORAGE, USAGE};
use crate::cli::streams::stderr::say;

/// Size of the read buffer.
const BUFFER_BYTES: usize = 1 << 16;

/// After this time without a reply, a line on standard error says so, once.
const NOTICE_AFTER: Duration = Duration::from_secs(10);

/// After this time without a reply, the command gives up; every reply begins sooner.
const PATIENCE: Duration = Duration::from_secs(600);

/// A running process refused a request.
#[derive(Debug, Error)]
#[error("{text}")]
pub(crate) struct Refused {
    /// The error code of the protocol.
    code: u64,
    text: String,
}

impl Refused {
    /// The exit status of a command whose request was refused.
    pub(crate) fn status(&self) -> u8 {
        const CRASH: u64 = 13;
        if self.is_temporary() || self.code == CRASH {
            STORAGE
        } else {
            USAGE
        }
    }

    fn is_temporary(&self) -> bool {
        const TEMPORARILY_UNAVAILABLE: u64 = 11;
        self.code == TEMPORARILY_UNAVAILABLE
    }
}

/// True if a new connection may succeed: the process has ended, or cannot answer now.
pub(crate) fn is_temporary(error: &anyhow::Error) -> bool {
    let refused = error.downcast_ref::<Refused>();
    matches!(error.downcast_ref(), Some(Broken::Ended))
        || refused.is_some_and(Refused::is_temporary)
}

/// Why no further line came.
#[derive(Debug, Error)]
enum Broken {
    /// The connection ended without a last line that gives a reason.
    #[error("the process that has the directory open ended before it replied; try again")]
    Ended,
    #[error(
        "the process that has the directory open has sent nothing for {} s; if it is stopped, \
         continue or end it, and try again",
        PATIENCE.as_secs()
    )]
    Silent,
}

/// A connection to the control socket of a process.
pub(crate) struct Connection {
    replies: BufReader<UnixStream>,
    requests: UnixStream,
    line: Vec<u8>,
    next_msg_id: u64,
}

#[derive(Serialize)]
struct Request<'a, B> {
    src: &'a str,
    dest: &'a str,
    body: Numbered<'a, B>,
}

#[derive(Serialize)]
struct Numbered<'a, B> {
    #[serde(flatten)]
    body: &'a B,
    msg_id: u64,
}

/// A line of a reply.
#[derive(Deserialize)]
struct Reply<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    record: Option<&'a RawValue>,
    code: Option<u64>,
    text: Option<String>,
}

impl Connection {
    /// Connects to the process that has a directory open.
    pub(crate) fn open(directory: &Path) -> io::Result<Self> {
        let requests = node::connect(directory)?;
        requests.set_read_timeout(Some(NOTICE_AFTER))?;
        Ok(Self {
            replies: BufReader::with_capacity(BUFFER_BYTES, requests.try_clone()?),
            requests,
            line: Vec::new(),
            next_msg_id: 0,
        })
    }

    /// Sends a query, and calls `sink` with each record of the reply, as JSON.
    pub(crate) fn ask(
        &mut self,
        query: &Query,
        mut sink: impl FnMut(&[u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        self.send(query)?;
        loop {
            self.read_line()?;
            let reply = self.reply()?;
            match (reply.kind, reply.record) {
                ("record", Some(record)) => sink(record.get().as_bytes())?,
                ("end", _) => return Ok(()),
                _ => bail!(
                    "the process sent a line of type {:?}; use a command of its version",
                    reply.kind
                ),
            }
        }
    }

    /// Sends a request, and waits until it is carried out.
    pub(crate) fn request(&mut self, body: &impl Serialize) -> anyhow::Result<()> {
        self.send(body)?;
        self.read_line()?;
        self.reply().map(drop)
    }

    fn send(&mut self, body: &impl Serialize) -> anyhow::Result<()> {
        let request = Request {
            src: "cli",
            dest: "processor",
            body: Numbered {
                body,
                msg_id: self.next_msg_id,
            },
        };
        self.next_msg_id += 1;
        let mut line = serde_json::to_vec(&request)?;
        line.push(b'\n');
        if self.requests.write_all(&line).is_err() {
            // If the process closed the connection, its last line gives the reason.
            self.read_line()?;
            self.reply()?;
            return Err(Broken::Ended.into());
        }
        Ok(())
    }

    fn read_line(&mut self) -> Result<(), Broken> {
        self.line.clear();
        let mut is_told = false;
        let since = Instant::now();
        loop {
            match self.replies.read_until(b'\n', &mut self.line) {
                Ok(_) if self.line.pop() == Some(b'\n') => return Ok(()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                _ => return Err(Broken::Ended),
            }
            if since.elapsed() > PATIENCE {
                return Err(Broken::Silent);
            }
            if !std::mem::replace(&mut is_told, true) {
                say(format_args!(
                    "waiting for the process that has the directory open, which has sent nothing \
                     for {} s",
                    NOTICE_AFTER.as_secs()
                ));
            }
        }
    }

    /// Parses the line that was read last; a refusal is an error.
    fn reply(&self) -> anyhow::Result<Reply<'_>> {
        let reply: Reply<'_> = serde_json::from_slice(&self.line)
            .context("the process sent a line that is no reply; use a command of its version")?;
        if reply.kind == "error" {
            return Err(Refused {
                code: reply.code.unwrap_or_default(),
                text: reply.text.unwrap_or_default(),
            }
            .into());
        }
        Ok(reply)
    }
}
