//! Which ids the state has: counters of each space, and nothing that grows.

/// How many ids of each space are in the state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Main ids: the counters below it.
    pub main: u64,
    /// Ids that were restored away and sent again.
    pub back: u64,
    /// `kill-{n}`, sent around a SIGKILL or first after an open.
    pub kill: u64,
    /// `lone-{n}`, sent one at a time.
    pub lone: u64,
}

impl Ledger {
    /// All ids in the state.
    #[must_use]
    pub fn ids(&self) -> u64 {
        self.main + self.back + self.kill + self.lone
    }

    /// Takes the next `kill-` id.
    pub fn next_kill(&mut self) -> (String, u64) {
        self.kill += 1;
        (kill_id(self.kill - 1), self.kill - 1)
    }

    /// Takes the next `lone-` id.
    pub fn next_lone(&mut self) -> (String, u64) {
        self.lone += 1;
        (format!("lone-{}", self.lone - 1), self.lone - 1)
    }
}

/// The id of a counter around a SIGKILL.
#[must_use]
pub fn kill_id(counter: u64) -> String {
    format!("kill-{counter}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_that_is_taken_counts_once() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.next_kill(), ("kill-0".to_owned(), 0));
        assert_eq!(ledger.next_kill(), ("kill-1".to_owned(), 1));
        assert_eq!(ledger.next_lone(), ("lone-0".to_owned(), 0));
        assert_eq!(ledger.ids(), 3);
    }
}
