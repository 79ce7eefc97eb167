//! Lines of a batch and their answers, which nobody may see before their group is durable.

use std::ops::Range;
use std::sync::Arc;

use crate::inspect::{ProcessStats, Query};
use crate::node::answers::Answers;
use crate::node::client::{Client, Question};
use crate::protocol::{Addressee, Batch, Body, ReplyWriter};
use crate::request::Answer;

/// Some lines of a batch, with their answers.
#[derive(Debug)]
pub(super) struct Answered {
    batch: Arc<Batch>,
    /// The client of the control socket that they are of, if not of the input.
    client: Option<Arc<Client>>,
    lines: Range<usize>,
    /// Of each line that is a request to the processor.
    answers: Answers,
    /// Figures of the process when the question came that the lines end with, if they do.
    process: Option<ProcessStats>,
}

impl Answered {
    /// No line yet of a batch.
    pub(super) fn new(batch: Arc<Batch>, client: Option<Arc<Client>>) -> Self {
        Self::from(batch, client, 0)
    }

    fn from(batch: Arc<Batch>, client: Option<Arc<Client>>, line: usize) -> Self {
        Self {
            answers: Answers::expecting(batch.lines.len() - line),
            batch,
            client,
            lines: line..line,
            process: None,
        }
    }

    /// No line yet of what the batch has behind these lines, if that is any.
    pub(super) fn rest(&self) -> Option<Self> {
        let next = self.lines.end;
        let has_more = next < self.batch.lines.len();
        has_more.then(|| Self::from(Arc::clone(&self.batch), self.client.clone(), next))
    }

    /// Adds the next line, a request to the processor, and returns as [`Answers::push`] does.
    pub(super) fn push(&mut self, answer: Answer) -> usize {
        self.lines.end += 1;
        self.answers.push(answer)
    }

    /// Adds the next line, one that the processor does not answer.
    pub(super) fn push_other(&mut self) {
        self.lines.end += 1;
    }

    /// Says that the last line is a question, which came when the process had these figures.
    pub(super) fn ask(&mut self, process: ProcessStats) {
        self.process = Some(process);
    }

    /// The client of the control socket that the lines are of, if not of the input.
    pub(super) fn client(&self) -> Option<&Arc<Client>> {
        self.client.as_ref()
    }

    /// Appends the replies, and returns the question that is left to be answered after them. Calls
    /// `sent` after each reply, as the replies may take far more memory than the requests.
    pub(super) fn write(
        self,
        writer: &mut ReplyWriter,
        out: &mut Vec<u8>,
        mut sent: impl FnMut(&mut Vec<u8>),
    ) -> Option<Box<Question>> {
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
                // Without a number nobody waits for the answer, and the lines go on behind it.
                let Some(msg_id) = msg_id else { continue };
                question = process.take().map(|process| {
                    Box::new(Question {
                        query: Query::clone(query),
                        to: writer.answer_later(src, msg_id),
                        process,
                    })
                });
            } else {
                writer.answer_line(out, to, &line.body, text);
            }
            sent(out);
        }
        question
    }
}
