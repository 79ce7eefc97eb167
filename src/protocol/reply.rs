//! Writes replies, in exactly the style that the protocol prescribes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::StorageError;
use crate::inspect::InspectError;
use crate::inspect::json_text::{put_number, put_string};
use crate::protocol::line::Body;
use crate::request::{Outcome, Refusal, Reply, Request};
use crate::state::counts::WordCount;

/// The bytes before the value of a member that is not the first.
macro_rules! name {
    ($name:literal) => {
        concat!(", \"", $name, "\": ").as_bytes()
    };
}

/// The beginning of the body of a reply.
macro_rules! kind {
    ($kind:literal) => {
        concat!("{\"type\": \"", $kind, "\"").as_bytes()
    };
}

/// Every `type` of a request, for error replies.
const REQUEST_TYPES: &str = "process, checkpoint, restore, commit, rollback and init";

/// Every `type` of a request of a client of the control socket, for error replies.
const CONTROL_TYPES: &str = "process, checkpoint, restore, commit, rollback, init, \
     delete_checkpoint, ping, stats, counts, list_checkpoints, show_checkpoint, diff_checkpoints, \
     outputs, get_event, get_word, history and dump";

/// The most characters of an unknown type that a reply shows.
const MAX_SHOWN_CHARS: usize = 64;

/// The codes of error replies, which follow Maelstrom's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ErrorCode {
    /// The connection ends; what has no reply may have been carried out.
    Timeout = 0,
    NotSupported = 10,
    TemporarilyUnavailable = 11,
    MalformedRequest = 12,
    /// Only for queries: the node cannot read what is stored, and another try does not help.
    Crash = 13,
    KeyDoesNotExist = 20,
}

impl ErrorCode {
    const ALL: [Self; 6] = [
        Self::Timeout,
        Self::NotSupported,
        Self::TemporarilyUnavailable,
        Self::MalformedRequest,
        Self::Crash,
        Self::KeyDoesNotExist,
    ];
}

/// Counts the error replies by their code.
#[derive(Debug, Clone, Default)]
pub(crate) struct ErrorCounts(Arc<[AtomicU64; ErrorCode::ALL.len()]>);

impl ErrorCounts {
    fn count(&self, code: ErrorCode) {
        let counts = ErrorCode::ALL.iter().zip(&*self.0);
        for (_, count) in counts.filter(|(of, _)| **of == code) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Returns each code, and the number of error replies that had it.
    pub(crate) fn by_code(&self) -> impl Iterator<Item = (u64, u64)> {
        let counts = ErrorCode::ALL.iter().zip(&*self.0);
        counts.map(|(code, count)| (*code as u64, count.load(Ordering::Relaxed)))
    }
}

/// The receiver of a reply.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Addressee<'a> {
    /// The sender of the request, if it could be read.
    pub(crate) src: Option<&'a str>,
    /// The number of the request, if it had one that could be read.
    pub(crate) msg_id: Option<u64>,
}

impl Addressee<'_> {
    /// No request.
    const NONE: Self = Self {
        src: None,
        msg_id: None,
    };
}

/// Writes replies: bare, or wrapped after an `init` has given a node id.
#[derive(Debug, Clone, Default)]
pub(crate) struct ReplyWriter {
    node: Option<Node>,
    /// True if it writes to a client of the control socket, which may send more types of requests.
    is_control: bool,
    errors: ErrorCounts,
}

#[derive(Debug, Clone)]
struct Node {
    id: String,
    next_msg_id: u64,
}

impl ReplyWriter {
    /// Makes a writer to a client of the control socket.
    pub(crate) fn for_control(errors: ErrorCounts) -> Self {
        Self {
            is_control: true,
            ..Self::for_output(errors)
        }
    }

    /// Makes a writer to the output, which counts the errors that it writes.
    pub(crate) fn for_output(errors: ErrorCounts) -> Self {
        Self {
            errors,
            ..Self::default()
        }
    }

    /// Takes the id of an `init` request: after this, replies are wrapped.
    fn set_node_id(&mut self, id: &str) {
        let next_msg_id = self.node.as_ref().map_or(0, |node| node.next_msg_id);
        self.node = Some(Node {
            id: id.to_owned(),
            next_msg_id,
        });
    }

    /// Writes the reply to a request that the processor has carried out or refused. A request
    /// without a number gets a reply only if it was refused.
    pub(crate) fn reply(
        &mut self,
        out: &mut Vec<u8>,
        to: Addressee<'_>,
        request: &Request<'_>,
        answer: &Result<Reply, Refusal>,
    ) {
        match answer {
            Err(refusal) => self.error(out, to, code_of(refusal), &refusal.to_string()),
            Ok(_) if to.msg_id.is_none() => {}
            Ok(reply) => self.carried_out(out, to, request, reply),
        }
    }

    /// Writes the reply to a request that the processor has carried out.
    fn carried_out(
        &mut self,
        out: &mut Vec<u8>,
        to: Addressee<'_>,
        request: &Request<'_>,
        reply: &Reply,
    ) {
        match (reply, request) {
            (Reply::Processed { count, outcome }, Request::Process { word, .. }) => {
                self.begin(out, to, kind!("processed"));
                string_member(out, name!("word"), word);
                number_member(out, name!("count"), *count);
                out.extend_from_slice(match outcome {
                    Outcome::Accepted => b", \"was_duplicate\": false",
                    _ => b", \"was_duplicate\": true",
                });
                if let Outcome::Conflict { original_word } = outcome {
                    string_member(out, name!("original_word"), original_word);
                }
            }
            (Reply::CheckpointSaved, Request::Checkpoint { checkpoint_id }) => {
                self.begin(out, to, kind!("checkpoint_saved"));
                string_member(out, name!("checkpoint_id"), checkpoint_id);
            }
            (Reply::CheckpointDeleted, Request::DeleteCheckpoint { checkpoint_id }) => {
                self.begin(out, to, kind!("checkpoint_deleted"));
                string_member(out, name!("checkpoint_id"), checkpoint_id);
            }
            (Reply::Restored { counts }, _) => {
                self.begin(out, to, kind!("restored"));
                counts_member(out, counts);
            }
            (Reply::Committed { output_count }, _) => {
                self.begin(out, to, kind!("committed"));
                number_member(out, name!("output_count"), *output_count);
            }
            (Reply::RolledBack { discarded_count }, _) => {
                self.begin(out, to, kind!("rolled_back"));
                number_member(out, name!("discarded_count"), *discarded_count);
            }
            (reply, request) => unreachable!("{reply:?} is never the reply to {request:?}"),
        }
        self.end(out);
    }

    /// Writes the reply to a line that is not a request for the processor.
    pub(crate) fn reply_to_line(
        &mut self,
        out: &mut Vec<u8>,
        to: Addressee<'_>,
        body: &Body,
        text: &str,
    ) {
        match body {
            Body::Init { node_id } => {
                self.set_node_id(node_id.of(text));
                if to.msg_id.is_some() {
                    self.begin(out, to, kind!("init_ok"));
                    self.end(out);
                }
            }
            Body::Malformed(why) => self.error(out, to, ErrorCode::MalformedRequest, why),
            Body::Unknown { kind } => {
                let kind: String = kind.of(text).chars().take(MAX_SHOWN_CHARS).collect();
                let types = if self.is_control {
                    CONTROL_TYPES
                } else {
                    REQUEST_TYPES
                };
                let why = format!("type {kind:?} is not supported; there are {types}");
                self.error(out, to, ErrorCode::NotSupported, &why);
            }
            body => unreachable!("{body:?} is a request to the processor"),
        }
    }

    /// Writes a reply that a node has written to a client: its beginning with the type, and its
    /// members after `in_reply_to`.
    pub(crate) fn relayed(
        &mut self,
        out: &mut Vec<u8>,
        to: Addressee<'_>,
        kind: &[u8],
        members: &[u8],
    ) {
        self.begin(out, to, kind);
        out.extend_from_slice(members);
        self.end(out);
    }

    /// Makes the writer of the replies to one query. They all have the same `msg_id` of the node.
    pub(crate) fn reply_later(&mut self, src: Option<&str>, in_reply_to: u64) -> QueryReplies {
        let mut replies = QueryReplies {
            writer: self.clone(),
            src: src.map(str::to_owned),
            in_reply_to,
            before_record: Vec::new(),
            after_record: Vec::new(),
        };
        if let Some(node) = &mut self.node {
            node.next_msg_id += 1;
        }
        let mut before = Vec::new();
        replies.begin(&mut before, kind!("record"));
        before.extend_from_slice(name!("record"));
        replies.before_record = before;
        self.end(&mut replies.after_record);
        replies
    }

    /// Writes why a client is not served: nothing that it has sent was carried out. This is not the
    /// reply to a request.
    pub(crate) fn unavailable(&mut self, out: &mut Vec<u8>, why: &str) {
        self.error(out, Addressee::NONE, ErrorCode::TemporarilyUnavailable, why);
    }

    /// Writes why a client is no longer served: what has no reply may have been carried out.
    pub(crate) fn given_up(&mut self, out: &mut Vec<u8>, why: &str) {
        self.error(out, Addressee::NONE, ErrorCode::Timeout, why);
    }

    /// Writes an error reply, also to a request without a number.
    fn error(&mut self, out: &mut Vec<u8>, to: Addressee<'_>, code: ErrorCode, text: &str) {
        self.errors.count(code);
        self.begin(out, to, kind!("error"));
        number_member(out, name!("code"), code as u64);
        string_member(out, name!("text"), text);
        self.end(out);
    }

    fn begin(&mut self, out: &mut Vec<u8>, to: Addressee<'_>, kind: &[u8]) {
        if let Some(node) = &self.node {
            out.extend_from_slice(b"{\"src\": ");
            put_string(out, &node.id);
            out.extend_from_slice(b", \"dest\": ");
            match to.src {
                Some(src) => put_string(out, src),
                None => out.extend_from_slice(b"null"),
            }
            out.extend_from_slice(b", \"body\": ");
        }
        out.extend_from_slice(kind);
        if let Some(msg_id) = to.msg_id {
            number_member(out, name!("in_reply_to"), msg_id);
        }
        if let Some(node) = &mut self.node {
            number_member(out, name!("msg_id"), node.next_msg_id);
            node.next_msg_id += 1;
        }
    }

    fn end(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(if self.node.is_some() { b"}}\n" } else { b"}\n" });
    }
}

/// Writes the replies to one query: one for each record, and a last one with their number.
#[derive(Debug)]
pub(crate) struct QueryReplies {
    writer: ReplyWriter,
    src: Option<String>,
    in_reply_to: u64,
    before_record: Vec<u8>,
    after_record: Vec<u8>,
}

impl QueryReplies {
    /// Returns the parts of the reply with this record, which must be JSON.
    pub(crate) fn record<'a>(&'a self, record: &'a [u8]) -> [&'a [u8]; 3] {
        [&self.before_record, record, &self.after_record]
    }

    /// Writes the last reply, with the number of records.
    pub(crate) fn end(&self, out: &mut Vec<u8>, records: u64) {
        self.line(out, kind!("end"), |out| {
            number_member(out, name!("records"), records)
        });
    }

    /// Writes the error that ends the records.
    pub(crate) fn error(&self, out: &mut Vec<u8>, error: &InspectError) {
        let code = match error {
            InspectError::UnknownCheckpoint { .. }
            | InspectError::BeyondTheEnd { .. }
            | InspectError::LastOutputGone { .. }
            | InspectError::AnotherOutput { .. } => ErrorCode::KeyDoesNotExist,
            InspectError::TwoBeginnings => ErrorCode::MalformedRequest,
            InspectError::Storage(StorageError::ViewGivenUp { .. }) => {
                ErrorCode::TemporarilyUnavailable
            }
            InspectError::Storage(_)
            | InspectError::NotJson(_)
            | InspectError::Unwritten(_)
            | InspectError::Handle(_) => ErrorCode::Crash,
        };
        self.refuse(out, code, &error.to_string());
    }

    /// Writes why the query gets no more records now.
    pub(crate) fn unavailable(&self, out: &mut Vec<u8>, why: &str) {
        self.refuse(out, ErrorCode::TemporarilyUnavailable, why);
    }

    fn refuse(&self, out: &mut Vec<u8>, code: ErrorCode, why: &str) {
        self.writer.errors.count(code);
        self.line(out, kind!("error"), |out| {
            number_member(out, name!("code"), code as u64);
            string_member(out, name!("text"), why);
        });
    }

    fn line(&self, out: &mut Vec<u8>, kind: &[u8], members: impl FnOnce(&mut Vec<u8>)) {
        self.begin(out, kind);
        members(out);
        self.writer.end(out);
    }

    fn begin(&self, out: &mut Vec<u8>, kind: &[u8]) {
        let to = Addressee {
            src: self.src.as_deref(),
            msg_id: Some(self.in_reply_to),
        };
        self.writer.clone().begin(out, to, kind);
    }
}

fn code_of(refusal: &Refusal) -> ErrorCode {
    match refusal {
        Refusal::Empty { .. } | Refusal::TooLong { .. } => ErrorCode::MalformedRequest,
        Refusal::UnknownCheckpoint { .. } => ErrorCode::KeyDoesNotExist,
        // Only a call of the library is refused with `AfterRefused`, never a line.
        Refusal::LowDisk { .. } | Refusal::AfterRefused => ErrorCode::TemporarilyUnavailable,
    }
}

fn number_member(out: &mut Vec<u8>, name: &[u8], value: u64) {
    out.extend_from_slice(name);
    put_number(out, value);
}

fn string_member(out: &mut Vec<u8>, name: &[u8], value: &str) {
    out.extend_from_slice(name);
    put_string(out, value);
}

fn counts_member(out: &mut Vec<u8>, counts: &[WordCount]) {
    out.extend_from_slice(name!("counts"));
    out.push(b'{');
    for (index, WordCount { word, count }) in counts.iter().enumerate() {
        if index > 0 {
            out.extend_from_slice(b", ");
        }
        put_string(out, word);
        out.extend_from_slice(b": ");
        put_number(out, *count);
    }
    out.push(b'}');
}
