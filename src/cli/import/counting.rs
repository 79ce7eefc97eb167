//! Where the events of an import go: to a node, which counts them, or to standard output.

use std::collections::VecDeque;
use std::io::{BufWriter, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use exactly_once::client::{Client, ErrorReply};
use exactly_once::inspect::Query;
use exactly_once::{Outcome, Reply, Request};
use serde::{Deserialize, Serialize};

use crate::cli::import::source::Source;
use crate::cli::import::summary::{Difference, Rotated, Tally};
use crate::cli::streams::json_lines::write_line;
use crate::cli::streams::stdout::Stdout;

/// Where the events of an import go.
pub(super) trait Destination {
    /// Called before the first event of an input, with its name, if that is part of the ids.
    fn begin(&mut self, named: Option<Named>);

    /// Takes an event.
    fn take(&mut self, event_id: &str, word: &str, line: u64) -> anyhow::Result<()>;

    /// Called when no further event is there yet.
    fn pause(&mut self) -> anyhow::Result<()>;

    /// Called after the last event of an input, with the offset that one more record would have if
    /// the input was read to its end. Adds what became of its events.
    fn end(&mut self, end: Option<u64>, tally: &mut Tally) -> anyhow::Result<()>;
}

/// Replies are looked for after this many events.
const LOOK_EVERY: usize = 256;

/// Sends events of an input to a node, and counts what becomes of them.
pub(super) struct Counting<'c> {
    client: &'c mut Client,
    /// The lines of the events without a reply.
    lines: VecDeque<u64>,
    since_look: usize,
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
    pub(super) source: Source,
    /// Bytes of the file that were read so far.
    pub(super) read: Arc<AtomicU64>,
}

/// The part of the record of an event that matters here.
#[derive(Deserialize)]
struct FoundEvent {
    in_state: bool,
}

impl<'c> Counting<'c> {
    pub(super) fn new(client: &'c mut Client) -> Self {
        Self {
            client,
            lines: VecDeque::new(),
            since_look: 0,
            tally: Tally::default(),
            named: None,
            window: 1,
        }
    }

    /// Takes the reply to the first event without one.
    fn replied(&mut self, reply: Result<Reply, ErrorReply>) -> anyhow::Result<()> {
        let line = self.lines.pop_front().unwrap_or_default();
        self.window += 1;
        match reply? {
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
        let named = self.named.as_ref().map(|named| named.source.shown());
        let rotated = Rotated {
            source_name: named.unwrap_or_default(),
            difference,
            new: self.tally.new,
        };
        Err(rotated.into())
    }

    /// Fails if something was counted from the end of the input on. Then the input is shorter than
    /// the file that was counted under its name, unless it has grown meanwhile and another import
    /// has read more of it.
    fn check_end(&mut self, end: u64) -> anyhow::Result<()> {
        let Some(Named { name, source, read }) = &self.named else {
            return Ok(());
        };
        let mut is_counted = false;
        let event_id = format!("{name}:{end}");
        let found = |record: &[u8]| {
            let found: FoundEvent = serde_json::from_slice(record)?;
            is_counted = found.in_state;
            anyhow::Ok(())
        };
        self.client.ask(&Query::GetEvent { event_id }, found)?;
        match is_counted && source.ends_at(read.load(Ordering::Relaxed)) {
            true => self.is_other(Difference::End { end }),
            false => Ok(()),
        }
    }

    fn look(&mut self) -> anyhow::Result<()> {
        self.since_look = 0;
        while let Some(reply) = self.client.try_receive()? {
            self.replied(reply)?;
        }
        Ok(())
    }
}

impl Destination for Counting<'_> {
    fn begin(&mut self, named: Option<Named>) {
        self.named = named;
    }

    fn take(&mut self, event_id: &str, word: &str, line: u64) -> anyhow::Result<()> {
        while self.named.is_some() && self.lines.len() >= self.window {
            if let Some(reply) = self.client.receive()? {
                self.replied(reply)?;
            }
        }
        self.client.send(&Request::Process { event_id, word })?;
        self.lines.push_back(line);
        self.since_look += 1;
        if self.since_look >= LOOK_EVERY {
            self.look()?;
        }
        Ok(())
    }

    fn pause(&mut self) -> anyhow::Result<()> {
        self.client.flush()?;
        self.look()
    }

    fn end(&mut self, end: Option<u64>, tally: &mut Tally) -> anyhow::Result<()> {
        while let Some(reply) = self.client.receive()? {
            self.replied(reply)?;
        }
        if let Some(end) = end {
            self.check_end(end)?;
        }
        tally.add_outcomes(&self.tally);
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

    fn take(&mut self, event_id: &str, word: &str, _: u64) -> anyhow::Result<()> {
        self.msg_id += 1;
        let request = Printed {
            r#type: "process",
            msg_id: self.msg_id,
            event_id,
            word,
        };
        Ok(write_line(&mut self.output, &request)?)
    }

    fn pause(&mut self) -> anyhow::Result<()> {
        Ok(self.output.flush()?)
    }

    fn end(&mut self, _: Option<u64>, _: &mut Tally) -> anyhow::Result<()> {
        Ok(())
    }
}
