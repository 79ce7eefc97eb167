//! Lines of a batch and their answers, which are kept from their reader until their group is
//! durable.

use std::ops::Range;
use std::sync::Arc;

use crate::inspect::{ProcessStats, Query};
use crate::node::answers::Answers;
use crate::node::outbox::{Outbox, Part};
use crate::node::question::Question;
use crate::protocol::{Addressee, Batch, Body, ReplyWriter};
use crate::request::Answer;
use crate::store::DurableState;

/// Replies are written as soon as they have this many bytes: while they are in the CPU's cache.
pub(super) const WRITE_BYTES: usize = 128 << 10;

/// Some lines of a batch, with their answers and the outbox that these go into.
#[derive(Debug)]
pub(super) struct Answered {
    outbox: Arc<Outbox>,
    lines: Lines,
}

/// Some lines of a batch, with their answers.
#[derive(Debug)]
pub(super) struct Lines {
    batch: Arc<Batch>,
    /// Bytes that the whole batch takes, about.
    batch_bytes: usize,
    lines: Range<usize>,
    /// Of each line that is a request to the processor.
    answers: Answers,
    /// Figures of the process when the question came that the lines end with, if they do.
    process: Option<ProcessStats>,
}

impl Answered {
    /// No line yet of a batch, of which those before `first_line` were answered.
    pub(super) fn new(
        batch: Arc<Batch>,
        batch_bytes: usize,
        first_line: usize,
        outbox: Arc<Outbox>,
    ) -> Self {
        let lines = Lines {
            answers: Answers::expecting(batch.lines.len() - first_line),
            batch,
            batch_bytes,
            lines: first_line..first_line,
            process: None,
        };
        Self { outbox, lines }
    }

    /// No line yet of what the batch has after these lines, if that is any.
    pub(super) fn rest(&self) -> Option<Self> {
        let Lines {
            batch,
            batch_bytes,
            lines,
            ..
        } = &self.lines;
        let has_more = lines.end < batch.lines.len();
        let outbox = &self.outbox;
        has_more.then(|| {
            Self::new(
                Arc::clone(batch),
                *batch_bytes,
                lines.end,
                Arc::clone(outbox),
            )
        })
    }

    /// Adds the next line, a request to the processor, and returns as [`Answers::push`] does.
    pub(super) fn push(&mut self, answer: Answer) -> usize {
        self.lines.lines.end += 1;
        self.lines.answers.push(answer)
    }

    /// Adds the next line, one that the processor does not answer.
    pub(super) fn push_other(&mut self) {
        self.lines.lines.end += 1;
    }

    /// Says that the last line is a question, which came when the process had these figures.
    pub(super) fn ask(&mut self, process: ProcessStats) {
        self.lines.process = Some(process);
    }

    /// True if the last line is a question, and there is still a reader for the answer.
    pub(super) fn asks(&self) -> bool {
        self.lines.process.is_some() && !self.outbox.is_gone()
    }

    /// Sends the answers on their way, with the durable state that the last line asks about.
    pub(super) fn send(self, state: Option<DurableState>) {
        let Self { outbox, lines } = self;
        let state = state.map(Box::new);
        let lines = Box::new(lines);
        outbox.push(Part::Lines { lines, state });
    }
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
        self.batch_bytes * self.lines.len() / all + self.answers.more_bytes()
    }

    /// Appends the replies, and returns the question that is left to be answered after them. Calls
    /// `write` whenever there is as much to write as is written at once.
    pub(super) fn spell<E>(
        self,
        writer: &mut ReplyWriter,
        out: &mut Vec<u8>,
        mut write: impl FnMut(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<Option<Question>, E> {
        let Batch { text, lines } = &*self.batch;
        let mut answers = self.answers.into_iter();
        let mut process = self.process;
        let mut question = None;
        for line in &lines[self.lines] {
            let src = line.src.map(|src| src.of(text));
            let msg_id = line.msg_id;
            let to = Addressee { src, msg_id };
            if let Some(request) = line.body.request(text) {
                let answer = answers.next().expect("every request has been answered");
                writer.answer(out, to, &request, &answer);
            } else if let Body::Query(query) = &line.body {
                // A question without a number gets no answer.
                let Some(msg_id) = msg_id else { continue };
                question = process.take().map(|process| Question {
                    query: Query::clone(query),
                    to: writer.answer_later(src, msg_id),
                    process,
                });
            } else {
                writer.answer_line(out, to, &line.body, text);
            }
            if out.len() >= WRITE_BYTES {
                write(out)?;
            }
        }
        Ok(question)
    }
}
