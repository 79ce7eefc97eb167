//! How long an open takes: until the first reply after SIGKILL, and after a clean end.

use std::time::Duration;

use anyhow::ensure;

use super::ledger::kill_id;
use super::{Growth, Opening};
use crate::conversation::Conversation;
use crate::event::word;

/// More than pipes and buffers hold, so that the node still works when it is killed.
const SENT: u64 = 50_000;

/// Some groups are durable by then.
const ANSWERED: u64 = 5_000;

impl Growth {
    /// Opens after a kill, then after a clean end. All that was sent to the killed process is
    /// sent again to the next, which must have what had been answered; so the state has all of it
    /// afterwards.
    pub(super) fn openings(&mut self) -> anyhow::Result<[Opening; 2]> {
        let counters = self.ledger.kill..self.ledger.kill + SENT;
        self.say("SIGKILL in the middle of work");
        let node = Conversation::start(&self.binary, &self.state())?;
        let killed = node.stream_and_kill(self.kill_events(counters.clone()), ANSWERED)?;
        let answered = killed.replies.lines;
        killed.replies.expect(answered, 0, "before the kill")?;
        ensure!(
            answered < SENT,
            "the node had answered all before it was killed"
        );
        self.ledger.kill += SENT;
        self.say("first reply after SIGKILL");
        let (mut node, first_reply) = self.open()?;
        let again = |from, to| self.kill_events(counters.start + from..counters.start + to);
        let had = node.stream(again(0, answered))?;
        had.expect(0, answered, "what was answered before a kill")?;
        let rest = node.stream(again(answered, SENT))?;
        let unanswered = SENT - answered;
        rest.expect(
            unanswered - rest.duplicates,
            rest.duplicates,
            "the rest of it",
        )?;
        let after_kill = Opening {
            first_reply_seconds: first_reply.as_secs_f64(),
            unanswered,
            survived: rest.duplicates,
            peak_memory_bytes: node.close()?.max(killed.peak_memory_bytes),
        };
        Ok([after_kill, self.after_clean_end()?])
    }

    fn after_clean_end(&mut self) -> anyhow::Result<Opening> {
        self.say("first reply after a clean end");
        let (node, first_reply) = self.open()?;
        Ok(Opening {
            first_reply_seconds: first_reply.as_secs_f64(),
            unanswered: 0,
            survived: 0,
            peak_memory_bytes: node.close()?,
        })
    }

    /// Starts a node with one new event; how long it took until its reply.
    fn open(&mut self) -> anyhow::Result<(Conversation, Duration)> {
        let (id, counter) = self.ledger.next_kill();
        let mut node = Conversation::start(&self.binary, &self.state())?;
        node.ask_new(&id, word(counter, self.plan.words))?;
        let first_reply = node.age();
        Ok((node, first_reply))
    }

    fn kill_events(
        &self,
        counters: std::ops::Range<u64>,
    ) -> impl ExactSizeIterator<Item = (String, u32)> + Send + use<> {
        let words = self.plan.words;
        let event = move |counter| (kill_id(counter), word(counter, words));
        // Only a vector tells its length, as a range of 64 bits may have none that fits.
        let counters: Vec<u64> = counters.collect();
        counters.into_iter().map(event)
    }
}
