//! The second stage: a decoded batch of lines is applied.

use std::ops::Range;
use std::sync::Arc;

use crossbeam_channel::Receiver;

use crate::driver::{Applied, Expected, REPLY_BYTES, Turn};
use crate::error::StorageError;
use crate::inspect::ProcessStats;
use crate::node::deliver::LinesTicket;
use crate::node::outbox::Outbox;
use crate::node::service::Service;
use crate::node::stop::StopAtEnd;
use crate::processor::{Preparation, Preparer};
use crate::protocol::{Batch, Body, Line};
use crate::state::look_ahead::LOOK_AHEAD;

/// Applies batches until no more come.
pub(super) fn apply(
    batches: &Receiver<Decoded>,
    service: &Service<'_>,
) -> Result<(), Arc<StorageError>> {
    let _stop = StopAtEnd(service.stop);
    let mut expected = None;
    for decoded in batches {
        let turn = expected.unwrap_or_else(|| service.pipeline.expect());
        expected = decoded.apply(turn, service, || !batches.is_empty())?;
    }
    Ok(())
}

/// A batch of lines of one sender, with what was worked out ahead of each of them.
pub(super) struct Decoded {
    unanswered: Unanswered,
    preparations: Vec<Preparation>,
}

/// A batch of lines, and how far it has come.
struct Unanswered {
    batch: Arc<Batch>,
    /// Bytes that the batch takes until all its lines are answered, about.
    batch_bytes: usize,
    /// Lines that are applied, but for those whose replies are on their way.
    applied: Range<usize>,
    /// Where the replies go.
    outbox: Arc<Outbox>,
}

/// How far a turn has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TurnProgress {
    GoOn,
    /// The next reply may be large, and the sender has not taken what it was answered before.
    PutOff,
}

impl Decoded {
    pub(super) fn new(batch: Batch, preparer: Preparer, outbox: Arc<Outbox>) -> Self {
        let requests = batch
            .lines
            .iter()
            .map(|line| line.body.request(&batch.text));
        let prepare = |request| preparer.prepare(&request);
        Self {
            preparations: requests
                .map(|r| r.map_or_else(Preparation::default, prepare))
                .collect(),
            unanswered: Unanswered {
                batch_bytes: held_bytes(&batch),
                batch: Arc::new(batch),
                applied: 0..0,
                outbox,
            },
        }
    }

    /// Applies all lines: in one turn or, where their sender does not take its replies, in several.
    /// If `has_next` says so at the end of the last one, a turn for the next batch is expected, and
    /// returned.
    ///
    /// # Errors
    ///
    /// The first [`StorageError`] of the pipeline.
    pub(super) fn apply(
        self,
        mut expected: Expected,
        service: &Service<'_>,
        has_next: impl Fn() -> bool,
    ) -> Result<Option<Expected>, Arc<StorageError>> {
        let Self {
            mut unanswered,
            mut preparations,
        } = self;
        let mut held_bytes = unanswered.batch_bytes;
        loop {
            let lines = unanswered.lines_left();
            let turn = service.pipeline.turn(expected, lines, held_bytes, |turn| {
                let progress = unanswered.apply(turn, &mut preparations, service)?;
                service.tell_space(turn.low_space());
                let has_next = progress == TurnProgress::GoOn && has_next();
                Ok((progress, has_next.then(|| service.pipeline.expect())))
            });
            let (progress, next) = turn?;
            if progress == TurnProgress::GoOn {
                return Ok(next);
            }
            // No turn is expected meanwhile, so that the requests of others go on.
            unanswered.outbox.wait_for_room(service.stop);
            held_bytes = 0;
            expected = service.pipeline.expect();
        }
    }
}

impl Unanswered {
    fn lines_left(&self) -> usize {
        self.batch.lines.len() - self.applied.end
    }

    /// Applies the lines that are left.
    fn apply(
        &mut self,
        turn: &mut Turn<'_>,
        preparations: &mut [Preparation],
        service: &Service<'_>,
    ) -> Result<TurnProgress, StorageError> {
        let batch = Arc::clone(&self.batch);
        let Batch { text, lines } = &*batch;
        let from = self.applied.end;
        let together = preparations[from..].chunks_mut(LOOK_AHEAD);
        for (lines, preparations) in lines[from..].chunks(LOOK_AHEAD).zip(together) {
            turn.look_ahead(preparations);
            for (line, preparation) in lines.iter().zip(&*preparations) {
                let progress = match turn.apply_prepared(preparation)? {
                    Some(applied) => self.go_on(turn, applied)?,
                    None => self.apply_line(turn, line, text, preparation, service)?,
                };
                if progress == TurnProgress::PutOff {
                    return Ok(progress);
                }
            }
        }
        self.end_part(turn, None);
        Ok(TurnProgress::GoOn)
    }

    fn apply_line(
        &mut self,
        turn: &mut Turn<'_>,
        line: &Line,
        text: &str,
        preparation: &Preparation,
        service: &Service<'_>,
    ) -> Result<TurnProgress, StorageError> {
        let Some(request) = line.body.request(text) else {
            self.applied.end += 1;
            if matches!(line.body, Body::Query(_)) && line.msg_id.is_some() {
                self.ask(turn, service)?;
            }
            return Ok(TurnProgress::GoOn);
        };
        let mut applied = turn.apply(&request, preparation)?;
        while applied == Applied::NeedsReceipt {
            self.end_part(turn, None);
            turn.persist()?;
            // All replies before this one are in the outbox now.
            if self.outbox.is_full(service.stop) {
                return Ok(TurnProgress::PutOff);
            }
            applied = turn.apply(&request, preparation)?;
        }
        self.go_on(turn, applied)
    }

    /// Goes on after a line that was applied.
    #[inline]
    fn go_on(
        &mut self,
        turn: &mut Turn<'_>,
        applied: Applied,
    ) -> Result<TurnProgress, StorageError> {
        self.applied.end += 1;
        if applied == Applied::GroupIsFull {
            self.end_part(turn, None);
            turn.end_group()?;
        }
        Ok(TurnProgress::GoOn)
    }

    /// Has the query that came last answered from what is durable with the group in hand:
    /// everything before it, and nothing after it. The persister is not waited for: a client that
    /// only looks delays no other one.
    fn ask(&mut self, turn: &mut Turn<'_>, service: &Service<'_>) -> Result<(), StorageError> {
        turn.set_figures();
        self.end_part(turn, Some(service.monitor.process()));
        turn.end_group()
    }

    /// Has the lines answered that are applied; they end with a query if there are figures of
    /// the process for it.
    fn end_part(&mut self, turn: &mut Turn<'_>, process: Option<ProcessStats>) {
        let end = self.applied.end;
        let lines = std::mem::replace(&mut self.applied, end..end);
        if lines.is_empty() {
            return;
        }
        let ticket = LinesTicket {
            batch: Arc::clone(&self.batch),
            batch_bytes: self.batch_bytes,
            lines,
            process,
            outbox: Arc::clone(&self.outbox),
        };
        turn.end_part(Box::new(ticket), self.lines_left());
    }
}

/// Bytes that a batch takes until all its lines are answered, about.
fn held_bytes(batch: &Batch) -> usize {
    let reasons = batch.lines.iter().map(|line| match &line.body {
        Body::Malformed(why) => why.len(),
        _ => 0,
    });
    let line_bytes = size_of::<Line>() + REPLY_BYTES;
    batch.text.len() + batch.lines.len() * line_bytes + reasons.sum::<usize>()
}
