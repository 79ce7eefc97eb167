//! Checkpoints one at a time, and a restore behind many events.

use std::collections::HashMap;

use anyhow::{Context, ensure};
use serde::Deserialize;

use super::{Checkpoints, Growth, Restore};
use crate::conversation::Conversation;
use crate::event::{Event, Space};
use crate::quantile::Latency;
use crate::request::Request;

const SAVES: u64 = 200;

/// As many checkpoints as are kept at a time.
const NAMES: u64 = 4;

/// The checkpoint that is restored.
const BACK: &str = "back";

#[derive(Debug, Deserialize)]
struct Restored {
    counts: HashMap<String, u64>,
}

impl Growth {
    /// Times saves and a restore.
    pub(super) fn checkpoints(&mut self) -> anyhow::Result<Checkpoints> {
        self.say(&format!("{SAVES} checkpoints"));
        let mut node = Conversation::start(&self.binary, &self.state())?;
        let mut saves_us = Vec::new();
        for number in 0..SAVES {
            // Each has something to save that the one before had not.
            self.ask_lone(&mut node)?;
            saves_us.push(save(&mut node, &format!("checkpoint-{}", number % NAMES))?);
        }
        Ok(Checkpoints {
            latency: Latency::of(&mut saves_us),
            restore: self.restore(&mut node)?,
            peak_memory_bytes: node.close()?,
        })
    }

    /// Saves, sends new events, goes back behind them, and sends them again, which must be new
    /// again. The counts that come back must be those of all that was in the state.
    fn restore(&mut self, node: &mut Conversation) -> anyhow::Result<Restore> {
        let count = self.plan.restore_back.min(self.ledger.main / 2);
        self.say(&format!("restore behind {count} events"));
        save(node, BACK)?;
        node.stream(self.back_events(count))?
            .expect(count, 0, "events after a checkpoint")?;
        let (reply, elapsed) = node.ask(&Request::Restore(BACK))?;
        let restored: Restored = serde_json::from_slice(reply).with_context(|| {
            let start = String::from_utf8_lossy(&reply[..reply.len().min(200)]);
            format!("expected the reply to a restore, found {start}")
        })?;
        let total: u64 = restored.counts.values().sum();
        let expected = self.ledger.ids();
        ensure!(
            total == expected,
            "a restore brought back counts of {total} events in all, not {expected}"
        );
        node.stream(self.back_events(count))?
            .expect(count, 0, "events again after a restore")?;
        self.ledger.back += count;
        Ok(Restore {
            events_back: count,
            seconds: elapsed.as_secs_f64(),
        })
    }

    fn back_events(
        &self,
        count: u64,
    ) -> impl ExactSizeIterator<Item = (uuid::Uuid, u32)> + Send + use<> {
        let words = self.plan.words;
        let counters: Vec<u64> = (self.ledger.back..self.ledger.back + count).collect();
        counters.into_iter().map(move |counter| {
            let Event { id, word } = Space::Back.event(counter, words);
            (id, word)
        })
    }
}

/// Saves a checkpoint; how long that took, in microseconds.
fn save(node: &mut Conversation, name: &str) -> anyhow::Result<f64> {
    let (reply, elapsed) = node.ask(&Request::Checkpoint(name))?;
    ensure!(
        reply.starts_with(b"{\"type\": \"checkpoint_saved\""),
        "expected a saved checkpoint, found {}",
        String::from_utf8_lossy(reply)
    );
    Ok(elapsed.as_secs_f64() * 1e6)
}
