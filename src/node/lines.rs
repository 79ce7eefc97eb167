//! Lines of a batch with their replies, on the way to the client or the output.

use std::ops::Range;
use std::sync::Arc;

use crate::driver::Replies;
use crate::inspect::{ProcessStats, Query};
use crate::node::query::PendingQuery;
use crate::protocol::{Addressee, Batch, Body, ReplyWriter};

/// Replies are written as soon as they have this many bytes, while they are in the CPU's cache.
pub(super) const WRITE_BYTES: usize = 128 << 10;

/// Some lines of a batch, with their replies.
#[derive(Debug)]
pub(super) struct Lines {
    pub(super) batch: Arc<Batch>,
    /// About how many bytes the whole batch takes.
    pub(super) batch_bytes: usize,
    pub(super) lines: Range<usize>,
    /// One reply for each line that is a request to the processor.
    pub(super) replies: Replies,
    /// Figures of the process when the last line was applied, if that line is a query.
    pub(super) process: Option<ProcessStats>,
}

/// At most this many lines, with at most this many bytes, have few and short replies.
const FEW_LINES: usize = 8;
const FEW_BYTES: usize = 64 << 10;

impl Lines {
    /// True if the replies are few and short.
    pub(super) fn are_few(&self) -> bool {
        self.lines.len() <= FEW_LINES && self.bytes() <= FEW_BYTES
    }

    /// About how many bytes of memory the lines take.
    pub(super) fn bytes(&self) -> usize {
        let all = self.batch.lines.len().max(1);
        self.batch_bytes * self.lines.len() / all + self.replies.more_bytes()
    }

    /// Appends the replies to `out`, and returns the query to answer after them. Calls `write`
    /// whenever `out` has at least [`WRITE_BYTES`].
    pub(super) fn spell<E>(
        self,
        writer: &mut ReplyWriter,
        out: &mut Vec<u8>,
        mut write: impl FnMut(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<Option<PendingQuery>, E> {
        let Batch { text, lines, .. } = &*self.batch;
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
                // A query without a `msg_id` gets no reply.
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
