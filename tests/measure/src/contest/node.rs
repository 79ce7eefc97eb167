//! exactly-once in the contest, as a process from its start to its clean end.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;

use super::{Contest, Run, Score, Trial};
use crate::conversation::Conversation;
use crate::disk;
use crate::event::Event;
use crate::node::Binary;
use crate::reply;
use crate::request;

impl Contest<'_> {
    /// How exactly-once does with each size. A trial of a size is a client that sends so many
    /// requests on a pipe and waits for all their replies before it sends more; how they are
    /// grouped into transactions is up to the node.
    pub(super) fn try_node(&self, binary: &Binary) -> anyhow::Result<Score> {
        let mut trials = Vec::new();
        for &batch in self.batches {
            let trial = self.node_trial(binary, batch)?;
            let Trial { events, rate, .. } = trial;
            eprintln!("exactly-once, {batch} at a time: {events} events, {rate:.0} events/s");
            trials.push(trial);
        }
        Ok(Score {
            batch: None,
            trials,
            runs: Vec::new(),
        })
    }

    /// The replies are checked only for whether they call their event new, as many of them as there
    /// should be in each batch.
    fn node_trial(&self, binary: &Binary, batch: usize) -> anyhow::Result<Trial> {
        let directory = tempfile::tempdir_in(self.directory).context("making a directory")?;
        let (batch, count) = (batch.max(1), self.trial_events.min(self.events.len()));
        let events = self.events[..count].chunks(batch);
        let expected = self.expected[..count].chunks(batch);
        let mut node = Conversation::start(binary, &directory.path().join("state"))?;
        let started = Instant::now();
        for (events, expected) in events.zip(expected) {
            let tally = node.stream(events.iter().map(request))?;
            let new = reply::counted(expected);
            tally.expect(new, expected.len() as u64 - new, "exactly-once")?;
        }
        node.close()?;
        Ok(Trial {
            batch,
            events: count as u64,
            rate: count as f64 / started.elapsed().as_secs_f64(),
        })
    }

    /// Writes the requests that exactly-once gets, into a file that goes with the directory.
    pub(super) fn write_requests(&self) -> anyhow::Result<PathBuf> {
        let path = self.directory.join("requests.jsonl");
        request::write_file(&path, self.node_events().iter().map(request))?;
        Ok(path)
    }

    /// Has exactly-once answer all its events from a file into a file.
    pub(super) fn run_node(&self, binary: &Binary, requests: &Path) -> anyhow::Result<Run> {
        let directory = tempfile::tempdir_in(self.directory).context("making a directory")?;
        let [output, state] = ["replies.jsonl", "state"].map(|name| directory.path().join(name));
        let count = self.node_events().len();
        let elapsed = binary.answer(&state, requests, &output)?.elapsed;
        let replies = reply::of_file(&output, &self.decoded[..count])?;
        reply::check("exactly-once", &replies, &self.expected[..count])?;
        Ok(Run {
            events: count as u64,
            rate: count as f64 / elapsed.as_secs_f64(),
            disk_bytes: disk::allocated_bytes(&state)?,
        })
    }

    fn node_events(&self) -> &[Event] {
        &self.events[..self.node_events.min(self.events.len())]
    }
}

fn request(event: &Event) -> (uuid::Uuid, u32) {
    (event.id, event.word)
}
