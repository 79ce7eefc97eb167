//! Phases from a file to a file: new events, the last ones again, and any of them again.

use std::fs;

use anyhow::Context;

use super::{Answering, Growth};
use crate::event::{Event, Space, draws};
use crate::request;
use crate::tally::Tally;

/// What all events of a file must be.
enum Expected {
    New,
    Duplicates,
}

impl Growth {
    /// Sends new events until there are `ids` main ids. The figures are those of the last slice,
    /// but the peak of memory that of all. The first slice takes the odd rest, so that the last
    /// one is as large as it can be.
    pub(super) fn ingest(&mut self, ids: u64) -> anyhow::Result<Answering> {
        let (mut peak, slice) = (0, self.plan.slice);
        let mut last = None;
        while self.ledger.main < ids {
            let rest = ids - self.ledger.main;
            let count = if rest.is_multiple_of(slice) {
                slice
            } else {
                rest % slice
            };
            let counters = self.ledger.main..self.ledger.main + count;
            let mut answering = self.answer(counters, Expected::New, "ingest")?;
            self.ledger.main += count;
            peak = answering.peak_memory_bytes.max(peak);
            answering.peak_memory_bytes = peak;
            last = Some(answering);
        }
        last.context("each of the --ids must be larger than the one before")
    }

    /// Sends the last main events again.
    pub(super) fn replay(&self) -> anyhow::Result<Answering> {
        let count = self.plan.slice.min(self.ledger.main);
        let counters = self.ledger.main - count..self.ledger.main;
        self.answer(counters, Expected::Duplicates, "replay")
    }

    /// Sends main events again, drawn evenly from all.
    pub(super) fn random(&self) -> anyhow::Result<Answering> {
        let counters = draws(self.plan.random, self.ledger.main);
        self.answer(counters, Expected::Duplicates, "random duplicates")
    }

    fn answer(
        &self,
        counters: impl Iterator<Item = u64>,
        expected: Expected,
        phase: &str,
    ) -> anyhow::Result<Answering> {
        let [input, output] =
            ["requests.jsonl", "replies.jsonl"].map(|name| self.directory.join(name));
        let mut count = 0;
        let counted = counters.inspect(|_| count += 1);
        request::write_file(&input, counted.map(|counter| self.event(counter)))?;
        self.say(&format!("{phase} of {count} events"));
        let answered = self.binary.answer(&self.state(), &input, &output)?;
        let tally = Tally::of_file(&output)?;
        for file in [&input, &output] {
            fs::remove_file(file).context("removing requests and replies")?;
        }
        match expected {
            Expected::New => tally.expect(count, 0, phase)?,
            Expected::Duplicates => tally.expect(0, count, phase)?,
        }
        Ok(Answering::new(count, &answered))
    }

    fn event(&self, counter: u64) -> (uuid::Uuid, u32) {
        let Event { id, word } = Space::Main.event(counter, self.plan.words);
        (id, word)
    }
}
