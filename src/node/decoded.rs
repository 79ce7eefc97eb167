//! A batch of decoded lines, and how it is applied.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use crate::driver::{Announced, Applied, REPLY_BYTES, Turn, is_worth_it};
use crate::error::StorageError;
use crate::inspect::{ProcessStats, Query};
use crate::node::deliver::LinesTicket;
use crate::node::outbox::Outbox;
use crate::node::service::Service;
use crate::processor::{Preparation, Preparer};
use crate::protocol::{Batch, Body, Line};
use crate::state::look_ahead::LOOK_AHEAD;
use crate::store::cache::Excerpts;

/// A batch of lines of one sender, with a preparation for each line.
pub(super) struct Decoded {
    unanswered: Unanswered,
    preparations: Vec<Preparation>,
}

/// A batch of lines, and how many of them are applied and answered.
struct Unanswered {
    batch: Arc<Batch>,
    /// About how many bytes the batch takes until all its lines are answered.
    batch_bytes: usize,
    /// Applied lines whose replies are not handed on yet.
    applied: Range<usize>,
    /// The outbox for the replies.
    outbox: Arc<Outbox>,
    /// How long the next line waits until more than this many outputs are released; `None` if it
    /// does not wait.
    awaited: Option<(Duration, u64)>,
}

/// How a turn ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TurnProgress {
    GoOn,
    /// The next reply may be large, and the sender has not taken its earlier replies.
    PutOff,
    /// The next line is a query for outputs that are not there yet.
    WaitForOutputs,
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
                awaited: None,
            },
        }
    }

    pub(super) fn preparations(&self) -> &[Preparation] {
        &self.preparations
    }

    /// About how many bytes the batch takes until all its lines are answered.
    pub(super) fn bytes(&self) -> usize {
        self.unanswered.batch_bytes + size_of_val(&*self.preparations)
    }

    /// Applies all lines, using what was read ahead for them: in one turn, or in several if the
    /// sender does not take its replies. If
    /// `has_next` is true at the end of the last turn, announces a turn for the next batch and
    /// returns it. Also returns true if the next batches should be read ahead.
    ///
    /// # Errors
    ///
    /// The first [`StorageError`] that the pipeline has met.
    pub(super) fn apply(
        self,
        mut announced: Announced,
        service: &Service<'_>,
        excerpts: Option<&Arc<Excerpts>>,
        has_next: impl Fn() -> bool,
    ) -> Result<(Option<Announced>, bool), Arc<StorageError>> {
        let events = self.preparations.len();
        let Self {
            mut unanswered,
            mut preparations,
        } = self;
        let mut held_bytes = unanswered.batch_bytes;
        let mut reads = 0;
        loop {
            let lines = unanswered.lines_left();
            let turn = service.pipeline.turn(announced, lines, held_bytes, |turn| {
                let _used = service.pipeline.using(excerpts);
                let before = service.pipeline.reads();
                let progress = unanswered.apply(turn, &mut preparations, service)?;
                reads += service.pipeline.reads() - before;
                service.log_space(turn.low_space());
                let has_next = progress == TurnProgress::GoOn && has_next();
                Ok((progress, has_next.then(|| service.pipeline.announce())))
            });
            let (progress, next) = turn?;
            if progress == TurnProgress::GoOn {
                return Ok((next, is_worth_it(reads, events)));
            }
            // No turn is announced meanwhile, so that the requests of other senders go on.
            match unanswered.awaited {
                Some((time, known)) => service.wait_for_outputs(known, time),
                None => unanswered.outbox.wait_for_room(service.stop),
            }
            held_bytes = 0;
            announced = service.pipeline.announce();
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
        let Batch { text, lines, .. } = &*batch;
        let from = self.applied.end;
        let together = preparations[from..].chunks_mut(LOOK_AHEAD);
        for (lines, preparations) in lines[from..].chunks(LOOK_AHEAD).zip(together) {
            turn.look_ahead(preparations);
            for (line, preparation) in lines.iter().zip(&*preparations) {
                let progress = match turn.apply_prepared(preparation)? {
                    Some(applied) => self.go_on(turn, applied)?,
                    None => self.apply_line(turn, line, text, preparation, service)?,
                };
                if progress != TurnProgress::GoOn {
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
            if let Body::Query(query) = &line.body
                && line.msg_id.is_some()
            {
                return self.ask(query, turn, service);
            }
            self.applied.end += 1;
            return Ok(TurnProgress::GoOn);
        };
        let mut applied = turn.apply(&request, preparation)?;
        while applied == Applied::NeedsReceipt {
            self.end_part(turn, None);
            turn.persist()?;
            // All earlier replies are in the outbox now.
            if self.outbox.is_full(service.stop) {
                return Ok(TurnProgress::PutOff);
            }
            applied = turn.apply(&request, preparation)?;
        }
        self.go_on(turn, applied)
    }

    /// Counts a line that was applied, and ends the group if it is full.
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

    /// Ends the group, so that the last line, a query, is answered from what is durable with it:
    /// every earlier request and no later one. This does not wait for the persister: a query delays
    /// no other client. A query for outputs that are not there yet is put off, once.
    fn ask(
        &mut self,
        query: &Query,
        turn: &mut Turn<'_>,
        service: &Service<'_>,
    ) -> Result<TurnProgress, StorageError> {
        let has_waited = self.awaited.take().is_some();
        if let Some((time, next)) = query.awaited_output()
            && !has_waited
            && turn.outputs() == next
        {
            self.end_part(turn, None);
            self.awaited = Some((time, next));
            return Ok(TurnProgress::WaitForOutputs);
        }
        self.applied.end += 1;
        turn.set_figures();
        self.end_part(turn, Some(service.monitor.process()));
        turn.end_group()?;
        Ok(TurnProgress::GoOn)
    }

    /// Ends a part: the applied lines are answered once the group is durable. `process` has figures
    /// of the process if the last line is a query.
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

/// About how many bytes a batch takes until all its lines are answered.
fn held_bytes(batch: &Batch) -> usize {
    let reasons = batch.lines.iter().map(|line| match &line.body {
        Body::Malformed(why) => why.len(),
        _ => 0,
    });
    let line_bytes = size_of::<Line>() + REPLY_BYTES;
    batch.text.len() + batch.lines.len() * line_bytes + reasons.sum::<usize>()
}
