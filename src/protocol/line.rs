//! A decoded line: what it asks for, and where its strings stand in its batch's text.

use std::borrow::Cow;
use std::ops::Range;

use crate::inspect::Query;
use crate::protocol::json::{place, text_of};
use crate::request::Request;

/// The most bytes that a line may have, without its newline.
pub(super) const MAX_LINE_BYTES: usize = 1 << 20;

/// A piece of a batch's text. 32 bits are enough, because a batch has the bytes of one read and at
/// most one line more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(super) start: u32,
    pub(super) end: u32,
}

impl Span {
    /// Returns the piece of `text`, which must be the text of the span's batch.
    pub(crate) fn of(self, text: &str) -> &str {
        &text[self.start as usize..self.end as usize]
    }
}

impl From<Range<usize>> for Span {
    fn from(Range { start, end }: Range<usize>) -> Self {
        Self {
            start: start as u32,
            end: end as u32,
        }
    }
}

/// One line, decoded.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    /// How many lines of its batch came before it, blank ones too.
    pub(crate) at: u32,
    /// The sender, if the line names one that can be read.
    pub(crate) src: Option<Span>,
    /// The request's number, if the line has one that can be read.
    pub(crate) msg_id: Option<u64>,
    pub(crate) body: Body,
}

/// What a line asks for.
#[derive(Debug, Clone)]
pub(crate) enum Body {
    Process {
        event_id: Span,
        word: Span,
    },
    Checkpoint {
        checkpoint_id: Span,
    },
    Restore {
        checkpoint_id: Span,
    },
    DeleteCheckpoint {
        checkpoint_id: Span,
    },
    Commit,
    Rollback,
    /// A query of a client of the control socket.
    Query(Box<Query>),
    Init {
        node_id: Span,
    },
    /// A `type` that the protocol does not have.
    Unknown {
        kind: Span,
    },
    /// Not a request; the string says why.
    Malformed(Box<str>),
}

impl Body {
    /// Returns the request for the processor; `None` if the reply needs no processor.
    pub(crate) fn request<'a>(&self, text: &'a str) -> Option<Request<'a>> {
        self.request_from(|span| span.of(text))
    }

    /// Does the same as [`request`](Self::request), with `text` giving the text of each span.
    pub(super) fn request_from<'a>(&self, text: impl Fn(Span) -> &'a str) -> Option<Request<'a>> {
        Some(match *self {
            Self::Process { event_id, word } => Request::Process {
                event_id: text(event_id),
                word: text(word),
            },
            Self::Checkpoint { checkpoint_id } => Request::Checkpoint {
                checkpoint_id: text(checkpoint_id),
            },
            Self::Restore { checkpoint_id } => Request::Restore {
                checkpoint_id: text(checkpoint_id),
            },
            Self::DeleteCheckpoint { checkpoint_id } => Request::DeleteCheckpoint {
                checkpoint_id: text(checkpoint_id),
            },
            Self::Commit => Request::Commit,
            Self::Rollback => Request::Rollback,
            Self::Query(_) | Self::Init { .. } | Self::Unknown { .. } | Self::Malformed(_) => {
                return None;
            }
        })
    }
}

/// Makes a line in which nothing can be read.
pub(super) fn malformed(number: u64, reason: impl std::fmt::Display) -> Line {
    let body = Body::Malformed(format!("line {number}: {reason}").into());
    Line {
        at: 0,
        src: None,
        msg_id: None,
        body,
    }
}

/// The strings of a batch. A string without escapes stays in its place in `text`. Any other string
/// is unescaped into `side`, which is appended to the text later.
pub(super) struct Strings<'a> {
    pub(super) text: &'a str,
    pub(super) side: &'a mut String,
}

impl Strings<'_> {
    /// Returns the place of the text that a JSON string of the batch spells, and unescapes it if
    /// necessary. Returns `None` if the value is no string, or has a lone surrogate.
    pub(super) fn span(&mut self, value: &str) -> Option<Span> {
        Some(match text_of(value)? {
            Cow::Borrowed(plain) => place(self.text, plain).into(),
            Cow::Owned(unescaped) => {
                let start = self.text.len() + self.side.len();
                self.side.push_str(&unescaped);
                (start..start + unescaped.len()).into()
            }
        })
    }

    /// Returns the text of a span.
    pub(super) fn get(&self, span: Span) -> &str {
        let (start, end) = (span.start as usize, span.end as usize);
        match start.checked_sub(self.text.len()) {
            Some(from) => &self.side[from..end - self.text.len()],
            None => &self.text[start..end],
        }
    }
}
