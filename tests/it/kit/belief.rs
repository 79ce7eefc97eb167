//! The states that a directory may be in, given everything seen so far.

use super::dump::Dump;
use super::life::Life;
use super::process::run_node;
use super::reply;
use super::requests::numbered_input;
use crate::oracle::{Oracle, Request};
use std::path::Path;

/// If more states than this look the same in a dump, the test proves little.
const MAX_CANDIDATES: usize = 64;

/// The states that agree with every reply and every dump so far, nearly always one. A dump does not
/// show which of the released ids are in the state, or what a checkpoint holds. So two prefixes may
/// look the same; both are kept until a later reply or dump tells them apart.
#[derive(Clone, Debug)]
pub struct Belief {
    candidates: Vec<Oracle>,
}

impl Belief {
    /// The belief about a directory that does not exist yet.
    pub fn new() -> Self {
        Self {
            candidates: vec![Oracle::new()],
        }
    }

    /// The belief about a new directory whose processes are all started with autocommit.
    pub fn with_autocommit() -> Self {
        let mut belief = Self::new();
        belief.candidates[0].switch_autocommit_on();
        belief
    }

    pub fn len(&self) -> usize {
        self.candidates.len()
    }

    /// Keeps the states that give these replies; every request must have one.
    pub fn hear(&mut self, life: &Life) -> Result<(), String> {
        assert!(life.unanswered().is_empty(), "a request is unanswered");
        let mut reasons = Vec::new();
        self.candidates.retain_mut(|oracle| {
            let heard = check_replies(oracle, life);
            heard.map_err(|reason| reasons.push(reason)).is_ok()
        });
        if self.candidates.is_empty() {
            return Err(reasons.join("\n"));
        }
        Ok(())
    }

    /// Runs a node on requests until it ends, and reconciles replies and dump with the belief.
    pub fn run(&mut self, data_dir: &Path, sent: Vec<Request>) -> Result<(), String> {
        let finished = run_node(data_dir, &[], numbered_input(0, &sent));
        if !finished.status.success() {
            return Err(format!("a clean run failed: {finished:?}"));
        }
        let life = Life {
            written: sent.len(),
            replies: finished.stdout.lines().map(str::to_owned).collect(),
            sent,
        };
        if life.replies.len() != life.written {
            return Err(format!("a clean run left requests unanswered: {life:?}"));
        }
        self.reconcile(&life, &Dump::read(data_dir)?).map(|_| ())
    }

    /// Keeps the states that agree with the dump and follow a prefix of what was sent with
    /// everything answered. Returns the length of the longest such prefix.
    pub fn reconcile(&mut self, life: &Life, dump: &Dump) -> Result<usize, String> {
        let mut search = Search {
            life,
            dump,
            found: Vec::new(),
            longest: 0,
            reasons: Vec::new(),
        };
        for candidate in self.candidates.drain(..) {
            search.from(candidate);
        }
        if search.found.is_empty() {
            return Err(search.reasons.join("\n"));
        }
        if search.found.len() > MAX_CANDIDATES {
            return Err(format!("{} states look the same", search.found.len()));
        }
        self.candidates = search.found;
        Ok(search.longest)
    }
}

/// Applies the answered requests, and compares each reply.
fn check_replies(oracle: &mut Oracle, life: &Life) -> Result<(), String> {
    for ((request, line), msg_id) in life.sent.iter().zip(&life.replies).zip(0..) {
        let expected = oracle.apply(request);
        reply::check(line, &expected, msg_id)
            .map_err(|reason| format!("reply {msg_id}: {reason}"))?;
    }
    Ok(())
}

struct Search<'a> {
    life: &'a Life,
    dump: &'a Dump,
    found: Vec<Oracle>,
    longest: usize,
    /// Why each candidate was dropped.
    reasons: Vec<String>,
}

impl Search<'_> {
    fn from(&mut self, mut oracle: Oracle) {
        let Life { sent, replies, .. } = self.life;
        if let Err(reason) = check_replies(&mut oracle, self.life) {
            return self.reasons.push(reason);
        }
        let shortest = self.dump.compare(&oracle).err();
        let found_before = self.found.len();
        let mut matches = self.take_if_it_matches(&oracle, replies.len());
        for (request, prefix) in sent[replies.len()..].iter().zip(replies.len() + 1..) {
            if !oracle.apply(request).changes_nothing() {
                matches = self.take_if_it_matches(&oracle, prefix);
            } else if matches {
                self.longest = self.longest.max(prefix);
            }
        }
        if let (Some(reason), true) = (shortest, self.found.len() == found_before) {
            let longest = self.dump.compare(&oracle).err().unwrap_or_default();
            self.reasons.push(format!(
                "no prefix of {} to {} requests gives what the dump shows\nafter those answered: \
                 {reason}\nafter all of them: {longest}",
                replies.len(),
                sent.len(),
            ));
        }
    }

    fn take_if_it_matches(&mut self, oracle: &Oracle, prefix: usize) -> bool {
        if !self.dump.matches(oracle) {
            return false;
        }
        self.longest = self.longest.max(prefix);
        if !self.found.contains(oracle) {
            self.found.push(oracle.clone());
        }
        true
    }
}
