//! Where the events of an import go: to a node, which counts them, or to standard output.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use exactly_once::{Outcome, Reply, Request};
use serde::Serialize;

use crate::cli::import::batch::Batch;
use crate::cli::import::summary::{Difference, Rotated, Tally};
use crate::cli::import::way::Way;
use crate::cli::streams::json_lines::write_line;
use crate::cli::streams::stdout::Stdout;

/// Where the events of an import go.
pub(super) trait Destination {
    /// Called before the first event of an input, with its name, if that is part of the ids.
    fn begin(&mut self, named: Option<Named>);

    /// Takes the events of a batch.
    fn take(&mut self, batch: &Batch) -> anyhow::Result<()>;

    /// Called when no further event of an input is taken, without what became of the others.
    fn give_up(&mut self) -> anyhow::Result<()>;

    /// Called when no further event is there yet.
    fn pause(&mut self) -> anyhow::Result<()>;

    /// Called after the last event of an input, with the offset that one more record would have if
    /// the input was read to its end. Adds what became of its events.
    fn end(&mut self, end: Option<u64>, tally: &mut Tally) -> anyhow::Result<()>;
}

/// At most this many events are sent together.
const MAX_SENT: usize = 4_000;

/// Sends events of an input to a node, and counts what becomes of them.
pub(super) struct Counting<'d> {
    way: Way<'d>,
    outcomes: Outcomes,
}

/// What has become of the events of an input.
struct Outcomes {
    /// The lines of the events without a reply.
    lines: VecDeque<u64>,
    tally: Tally,
    /// The name of the input, if it is part of the ids.
    named: Option<Named>,
    /// At most this many events wait for a reply. It grows with each reply, so that a file that
    /// came under the name of another one is noticed before many of its events are counted.
    window: usize,
}

/// An input whose name is part of the ids.
pub(super) struct Named {
    pub(super) name: String,
    /// The input in messages.
    pub(super) shown: String,
    /// `None` for standard input.
    pub(super) file: Option<File>,
    /// Bytes of the file that were read so far.
    pub(super) read: Arc<AtomicU64>,
}

impl Named {
    /// True if it is a file that has no more bytes than were read.
    fn has_not_grown(&self) -> bool {
        let metadata = self.file.as_ref().and_then(|file| file.metadata().ok());
        let read = self.read.load(Ordering::Relaxed);
        metadata.is_some_and(|metadata| metadata.is_file() && metadata.len() <= read)
    }
}

impl<'d> Counting<'d> {
    pub(super) fn new(way: Way<'d>) -> Self {
        Self {
            way,
            outcomes: Outcomes {
                lines: VecDeque::new(),
                tally: Tally::default(),
                named: None,
                window: 1,
            },
        }
    }

    /// Waits for further replies; false if there are replies to everything.
    fn wait(&mut self) -> anyhow::Result<bool> {
        self.way.wait(|reply| self.outcomes.add(&reply))
    }
}

impl Outcomes {
    /// How many events may be sent now.
    fn room(&self) -> usize {
        match self.named {
            Some(_) => self.window.saturating_sub(self.lines.len()),
            None => usize::MAX,
        }
    }

    /// Adds the reply to the first event without one.
    fn add(&mut self, reply: &Reply) -> anyhow::Result<()> {
        let line = self.lines.pop_front().unwrap_or_default();
        self.window += 1;
        match reply {
            Reply::Processed { outcome, .. } => match outcome {
                Outcome::Accepted => self.tally.new += 1,
                Outcome::Duplicate => self.tally.seen += 1,
                _ if self.named.is_some() => return self.is_other(Difference::Word { line }),
                _ => {
                    self.tally.conflicts += 1;
                    self.tally.first_conflict.get_or_insert(line);
                }
            },
            other => unreachable!("an event is processed, and not {other:?}"),
        }
        Ok(())
    }

    /// Fails, as the input is not the file that was counted under its name.
    fn is_other(&self, difference: Difference) -> anyhow::Result<()> {
        let named = self.named.as_ref().map(|named| named.shown.clone());
        let rotated = Rotated {
            source_name: named.unwrap_or_default(),
            difference,
            new: self.tally.new,
        };
        Err(rotated.into())
    }

    /// The id of an event at the end of the input, if its name is part of ids.
    fn id_at_end(&self, end: u64) -> Option<String> {
        let named = self.named.as_ref()?;
        Some(format!("{}:{end}", named.name))
    }

    /// Fails if something was counted from the end of the input on. Then the input is shorter than
    /// the file that was counted under its name, unless it has grown meanwhile and another import
    /// has read more of it.
    fn check_end(&self, end: u64, is_counted: bool) -> anyhow::Result<()> {
        match is_counted && self.named.as_ref().is_some_and(Named::has_not_grown) {
            true => self.is_other(Difference::End { end }),
            false => Ok(()),
        }
    }
}

impl Destination for Counting<'_> {
    fn begin(&mut self, named: Option<Named>) {
        self.outcomes.named = named;
    }

    fn take(&mut self, batch: &Batch) -> anyhow::Result<()> {
        let mut events = batch.events().peekable();
        let mut sent = Vec::new();
        while events.peek().is_some() {
            while self.outcomes.room() == 0 && self.wait()? {}
            let room = self.outcomes.room().min(MAX_SENT);
            sent.clear();
            sent.extend(events.by_ref().take(room).map(|(event_id, word, line)| {
                self.outcomes.lines.push_back(line);
                Request::Process { event_id, word }
            }));
            self.way.send(&sent)?;
            self.way.look(|reply| self.outcomes.add(&reply))?;
        }
        Ok(())
    }

    fn give_up(&mut self) -> anyhow::Result<()> {
        while self.way.wait(|_| Ok(()))? {}
        Ok(())
    }

    fn pause(&mut self) -> anyhow::Result<()> {
        self.way.flush()?;
        self.way.look(|reply| self.outcomes.add(&reply))
    }

    fn end(&mut self, end: Option<u64>, tally: &mut Tally) -> anyhow::Result<()> {
        while self.wait()? {}
        if let Some(end) = end
            && let Some(event_id) = self.outcomes.id_at_end(end)
        {
            let is_counted = self.way.has(event_id)?;
            self.outcomes.check_end(end, is_counted)?;
        }
        tally.add_outcomes(&self.outcomes.tally);
        Ok(())
    }
}

/// Prints events as requests.
pub(super) struct Printing {
    output: BufWriter<Stdout>,
    msg_id: u64,
}

#[derive(Serialize)]
struct Printed<'a> {
    r#type: &'static str,
    msg_id: u64,
    event_id: &'a str,
    word: &'a str,
}

impl Printing {
    pub(super) fn new(output: BufWriter<Stdout>) -> Self {
        Self { output, msg_id: 0 }
    }
}

impl Destination for Printing {
    fn begin(&mut self, _: Option<Named>) {}

    fn take(&mut self, batch: &Batch) -> anyhow::Result<()> {
        for (event_id, word, _) in batch.events() {
            self.msg_id += 1;
            let request = Printed {
                r#type: "process",
                msg_id: self.msg_id,
                event_id,
                word,
            };
            write_line(&mut self.output, &request)?;
        }
        Ok(())
    }

    fn give_up(&mut self) -> anyhow::Result<()> {
        Ok(())
    }

    fn pause(&mut self) -> anyhow::Result<()> {
        Ok(self.output.flush()?)
    }

    fn end(&mut self, _: Option<u64>, _: &mut Tally) -> anyhow::Result<()> {
        Ok(())
    }
}
