//! Requests one at a time, with a bare write after each, so that both meet the same disk.

use super::{Growth, Lone};
use crate::conversation::Conversation;
use crate::disk::BareFile;
use crate::event::word;
use crate::quantile::{Latency, median};

impl Growth {
    /// Times lone requests with new ids.
    pub(super) fn lone(&mut self) -> anyhow::Result<Lone> {
        self.say(&format!("{} lone requests", self.plan.lone));
        let path = self.directory.join("bare");
        let mut bare = BareFile::create(&path, self.plan.lone)?;
        let mut node = Conversation::start(&self.binary, &self.state())?;
        // The open is no part of a request's latency.
        self.ask_lone(&mut node)?;
        let (mut lone_us, mut bare_us) = (Vec::new(), Vec::new());
        for _ in 0..self.plan.lone {
            lone_us.push(self.ask_lone(&mut node)?);
            bare_us.push(bare.write_us()?);
        }
        std::fs::remove_file(path)?;
        let latency = Latency::of(&mut lone_us);
        let bare_p50_us = median(&mut bare_us);
        Ok(Lone {
            latency,
            bare_p50_us,
            ratio: latency.p50_us / bare_p50_us,
            peak_memory_bytes: node.close()?,
        })
    }

    /// Sends one new event and waits for its reply; how long that took, in microseconds.
    pub(super) fn ask_lone(&mut self, node: &mut Conversation) -> anyhow::Result<f64> {
        let (id, counter) = self.ledger.next_lone();
        let elapsed = node.ask_new(&id, word(counter, self.plan.words))?;
        Ok(elapsed.as_secs_f64() * 1e6)
    }
}
