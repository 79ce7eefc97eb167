//! exactly-once in the contest, as a process from its start to its clean end.

use std::fs;
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
    /// Has exactly-once answer all its events from a file into a file. A trial of a size is a
    /// client that sends so many requests on a pipe and waits for all their replies before it
    /// sends more; how they are grouped into transactions is up to the node.
    ///
    /// # Errors
    ///
    /// If the node fails or has answered wrong.
    pub fn measure_node(&self, binary: &Binary) -> anyhow::Result<Score> {
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
            runs: self.node_runs(binary)?,
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

    fn node_runs(&self, binary: &Binary) -> anyhow::Result<Vec<Run>> {
        let [input, output, state] =
            ["requests.jsonl", "replies.jsonl", "state"].map(|name| self.directory.join(name));
        let count = self.node_events.min(self.events.len());
        request::write_file(&input, self.events[..count].iter().map(request))?;
        let mut runs = Vec::new();
        for number in 1..=self.runs {
            let elapsed = binary.answer(&state, &input, &output)?.elapsed;
            let replies = reply::of_file(&output, &self.decoded[..count])?;
            reply::check("exactly-once", &replies, &self.expected[..count])?;
            let disk_bytes = disk::allocated_bytes(&state)?;
            fs::remove_dir_all(&state).context("removing the state of a run")?;
            let rate = count as f64 / elapsed.as_secs_f64();
            eprintln!("exactly-once, run {number}: {count} events, {rate:.0} events/s");
            runs.push(Run {
                events: count as u64,
                rate,
                disk_bytes,
            });
        }
        for file in [input, output] {
            fs::remove_file(file).context("removing the files of exactly-once")?;
        }
        Ok(runs)
    }
}

fn request(event: &Event) -> (uuid::Uuid, u32) {
    (event.id, event.word)
}
