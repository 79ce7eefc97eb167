//! A connection to a running process, over the control socket of its directory.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use anyhow::{Context, bail};
use exactly_once::inspect::Query;
use exactly_once::node;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use thiserror::Error;

use super::exit::{STORAGE, USAGE};

/// Reads at a time.
const BUFFER_BYTES: usize = 1 << 16;

/// A refusal of a running process.
#[derive(Debug, Error)]
#[error("{text}")]
pub(super) struct Refused {
    /// As the protocol has it.
    code: u64,
    text: String,
}

impl Refused {
    /// The exit status of a command that is refused.
    pub(super) fn status(&self) -> u8 {
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

/// Whether it may go well with another connection: the process has ended, or says that it cannot
/// answer now.
pub(super) fn is_temporary(error: &anyhow::Error) -> bool {
    let refused = error.downcast_ref::<Refused>();
    error.is::<Ended>() || refused.is_some_and(Refused::is_temporary)
}

/// The process has ended, and with it the connection.
#[derive(Debug, Error)]
#[error("the process that holds the directory ended before it had answered; try again")]
pub(super) struct Ended;

/// A connection.
pub(super) struct Connection {
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

/// A line that the process answers.
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
    /// Connects to the process that holds a directory.
    pub(super) fn open(directory: &Path) -> io::Result<Self> {
        let requests = node::connect(directory)?;
        Ok(Self {
            replies: BufReader::with_capacity(BUFFER_BYTES, requests.try_clone()?),
            requests,
            line: Vec::new(),
            next_msg_id: 0,
        })
    }

    /// Asks a question: calls `sink` with each record of the answer, as JSON.
    pub(super) fn ask(
        &mut self,
        query: &Query,
        mut sink: impl FnMut(&[u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let begin = format!(
            "{{\"type\": \"record\", \"in_reply_to\": {}, \"record\": ",
            self.next_msg_id
        );
        self.send(query)?;
        loop {
            self.read_line()?;
            // Of a line that is written as they always are, nothing need be parsed.
            let record = self.line.strip_prefix(begin.as_bytes());
            if let Some(record) = record.and_then(|rest| rest.strip_suffix(b"}")) {
                sink(record)?;
                continue;
            }
            let reply = self.reply()?;
            match (reply.kind, reply.record) {
                ("record", Some(record)) => sink(record.get().as_bytes())?,
                ("end", _) => return Ok(()),
                _ => bail!("the process answered with a line of type {:?}", reply.kind),
            }
        }
    }

    /// Makes a request, and waits until it is carried out.
    pub(super) fn request(&mut self, body: &impl Serialize) -> anyhow::Result<()> {
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
        self.requests.write_all(&line).map_err(|_| Ended.into())
    }

    fn read_line(&mut self) -> Result<(), Ended> {
        self.line.clear();
        match self.replies.read_until(b'\n', &mut self.line) {
            Ok(_) if self.line.pop() == Some(b'\n') => Ok(()),
            _ => Err(Ended),
        }
    }

    /// What the line that was read says.
    fn reply(&self) -> anyhow::Result<Reply<'_>> {
        let reply: Reply<'_> = serde_json::from_slice(&self.line)
            .context("the process answered with a line that is no reply")?;
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
