//! Where the events of an import go: to a node, which counts them, or to standard output.

use std::collections::VecDeque;
use std::io::{BufWriter, Write};

use exactly_once::client::{Client, ErrorReply};
use exactly_once::{Outcome, Reply, Request};
use serde::Serialize;

use crate::cli::import::plan::{IdFrom, Plan};
use crate::cli::import::source::Source;
use crate::cli::import::summary::{Rotated, Tally};
use crate::cli::streams::json_lines::write_line;
use crate::cli::streams::stdout::Stdout;

/// Where the events of an import go.
pub(super) trait Destination {
    /// Takes an event.
    fn take(&mut self, event_id: &str, word: &str, line: u64) -> anyhow::Result<()>;

    /// Called when no further event is there yet.
    fn pause(&mut self) -> anyhow::Result<()>;

    /// Called after the last event of an input; adds what became of its events.
    fn end(&mut self, tally: &mut Tally) -> anyhow::Result<()>;
}

/// Replies are looked for after this many events.
const LOOK_EVERY: usize = 256;

/// Sends events to a node, and counts what becomes of them.
pub(super) struct Counting<'c> {
    client: &'c mut Client,
    /// The lines of the events without a reply.
    lines: VecDeque<u64>,
    since_look: usize,
    tally: Tally,
    /// The input whose name is part of the ids.
    named: Option<String>,
    /// At most this many events wait for a reply. It grows with each reply, so that a file that
    /// came under the name of another one is noticed before many of its events are counted.
    window: usize,
}

impl<'c> Counting<'c> {
    pub(super) fn new(client: &'c mut Client, source: &Source, plan: &Plan) -> Self {
        let is_named = matches!(plan.id_from, IdFrom::Offset(_));
        Self {
            client,
            lines: VecDeque::new(),
            since_look: 0,
            tally: Tally::default(),
            named: is_named.then(|| source.shown()),
            window: 1,
        }
    }

    /// Takes the reply to the first event without one.
    fn replied(&mut self, reply: Result<Reply, ErrorReply>) -> anyhow::Result<()> {
        let line = self.lines.pop_front().unwrap_or_default();
        self.window += 1;
        match reply? {
            Reply::Processed { outcome, .. } => match (outcome, &self.named) {
                (Outcome::Accepted, _) => self.tally.new += 1,
                (Outcome::Duplicate, _) => self.tally.seen += 1,
                (Outcome::Conflict { .. }, Some(source)) => {
                    return Err(Rotated {
                        source_name: source.clone(),
                        line,
                        new: self.tally.new,
                    }
                    .into());
                }
                (_, None) => {
                    self.tally.conflicts += 1;
                    self.tally.first_conflict.get_or_insert(line);
                }
                (other, _) => unreachable!("an event is not {other:?}"),
            },
            other => unreachable!("an event is processed, and not {other:?}"),
        }
        Ok(())
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

    fn end(&mut self, tally: &mut Tally) -> anyhow::Result<()> {
        while let Some(reply) = self.client.receive()? {
            self.replied(reply)?;
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

    fn end(&mut self, _: &mut Tally) -> anyhow::Result<()> {
        Ok(())
    }
}
