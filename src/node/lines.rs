//! Lines of a batch with their replies, on the way to their reader.

use std::ops::Range;
use std::sync::Arc;

use crate::driver::Replies;
use crate::inspect::{ProcessStats, Query};
use crate::node::query::PendingQuery;
use crate::protocol::{Addressee, Batch, Body, ReplyWriter};

/// Replies are written as soon as they have this many bytes: while they are in the CPU's cache.
pub(super) const WRITE_BYTES: usize = 128 << 10;

/// Some lines of a batch, with their replies.
#[derive(Debug)]
pub(super) struct Lines {
    pub(super) batch: Arc<Batch>,
    /// Bytes that the whole batch takes, about.
    pub(super) batch_bytes: usize,
    pub(super) lines: Range<usize>,
    /// Of each line that is a request to the processor.
    pub(super) replies: Replies,
    /// Figures of the process when the query came that the lines end with, if they do.
    pub(super) process: Option<ProcessStats>,
}

/// This many lines, of this many bytes, have few replies.
const FEW_LINES: usize = 8;
const FEW_BYTES: usize = 64 << 10;
impl Lines {
    /// True if they have few replies, and short ones.
    pub(super) fn are_few(&self) -> bool {
        self.lines.len() <= FEW_LINES && self.bytes() <= FEW_BYTES
    }

    /// Bytes of memory that they take, about.
    pub(super) fn bytes(&self) -> usize {
        let all = self.batch.lines.len().max(1);
        self.batch_bytes * self.lines.len() / all + self.replies.more_bytes()
    }

    /// Appends the replies, and returns the query that is left to be answered after them. Calls
    /// `write` whenever there is as much to write as is written at once.
    pub(super) fn spell<E>(
        self,
        writer: &mut ReplyWriter,
        out: &mut Vec<u8>,
        mut write: impl FnMut(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<Option<PendingQuery>, E> {
        let Batch { text, lines } = &*self.batch;
        let mut replies = self.replies.into_iter();
        let mut process = self.process;
        let mut pending = None;
        for line in &lines[self.lines] {
            let src = line.src.map(|src| src.of(text));
            let msg_id = line.msg_id;
            let to = Addressee { src, msg_id };
            if let Some(request) = line.body.request(text) {
                let answer = replies.next().expect("every request has been answered");
                writer.reply(out, to, &request, &answer);
            } else if let Body::Query(query) = &line.body {
                // A query without a number gets no answer.
                let Some(msg_id) = msg_id else { continue };
                pending = process.take().map(|process| PendingQuery {
                    query: Query::clone(query),
                    to: writer.reply_later(src, msg_id),
                    process,
                });
            } else {
                writer.reply_to_line(out, to, &line.body, text);
            }
            if out.len() >= WRITE_BYTES {
                write(out)?;
            }
        }
        Ok(pending)
    }
}
