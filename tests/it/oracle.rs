//! The reference model: section 4 of the protocol page as plain sets and lists.
//!
//! It shares no code with the program, knows no files, processes or restarts, and is simple rather
//! than fast. The tests compare the program with it.

pub mod cases;
pub mod wire;

use std::collections::{BTreeMap, BTreeSet};

/// A request whose effect section 4 describes; `init` and malformed lines have none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    Process { event_id: String, word: String },
    Checkpoint { id: String },
    Restore { id: String },
    Commit,
    Rollback,
}

/// What the reply to a request must say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    Accepted {
        word: String,
        count: u64,
    },
    Duplicate {
        word: String,
        count: u64,
    },
    Conflict {
        word: String,
        count: u64,
        original_word: String,
    },
    CheckpointSaved {
        id: String,
    },
    Restored {
        counts: BTreeMap<String, u64>,
    },
    Committed {
        output_count: usize,
    },
    RolledBack {
        discarded_count: usize,
    },
    UnknownCheckpoint,
}

impl Expected {
    /// True if a request with this reply certainly changes nothing.
    pub fn changes_nothing(&self) -> bool {
        match self {
            Self::Duplicate { .. } | Self::Conflict { .. } | Self::UnknownCheckpoint => true,
            Self::Committed {
                output_count: count,
            }
            | Self::RolledBack {
                discarded_count: count,
            } => *count == 0,
            Self::Accepted { .. } | Self::CheckpointSaved { .. } | Self::Restored { .. } => false,
        }
    }
}

/// The output of an event; `count` is the one in its reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    pub event_id: String,
    pub word: String,
    pub count: u64,
}

/// All that a checkpoint saves and a restore brings back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct State {
    /// The word that was counted for each accepted event id.
    events: BTreeMap<String, String>,
    /// The number of `events` that carry each word; a word with none is absent.
    counts: BTreeMap<String, u64>,
    /// Outputs not yet released, in acceptance order.
    pending: Vec<Output>,
}

/// The part of a checkpoint that a dump shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointSize {
    pub name: String,
    pub events: usize,
    /// Pending outputs when the checkpoint was saved.
    pub pending_saved: usize,
    /// Those of them that are still not released.
    pub pending_unreleased: usize,
}

/// All that the requests so far have decided. Equal oracles reply the same to all requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Oracle {
    state: State,
    checkpoints: BTreeMap<String, State>,
    /// Every output ever released, in order; it only grows.
    log: Vec<Output>,
    /// The event ids of `log`.
    released: BTreeSet<String>,
    /// The number of outputs of each commit that released any.
    commit_sizes: Vec<usize>,
    /// True if a commit without a reply follows each event.
    autocommit: bool,
    /// The offsets of the outputs that autocommit released.
    autocommit_offsets: Vec<usize>,
}

impl Oracle {
    pub fn new() -> Self {
        Self::default()
    }

    /// The oracle after these requests.
    pub fn after<'a>(requests: impl IntoIterator<Item = &'a Request>) -> Self {
        let mut oracle = Self::new();
        for request in requests {
            oracle.apply(request);
        }
        oracle
    }

    pub fn apply(&mut self, request: &Request) -> Expected {
        match request {
            Request::Process { event_id, word } => {
                let expected = self.process(event_id, word);
                self.autocommit_if_on();
                expected
            }
            Request::Checkpoint { id } => self.checkpoint(id),
            Request::Restore { id } => self.restore(id),
            Request::Commit => self.commit(),
            Request::Rollback => self.rollback(),
        }
    }

    fn process(&mut self, event_id: &str, word: &str) -> Expected {
        if let Some(original) = self.state.events.get(event_id) {
            let count = self.state.counts.get(word).copied().unwrap_or(0);
            let word = word.to_owned();
            if *original == word {
                return Expected::Duplicate { word, count };
            }
            return Expected::Conflict {
                word,
                count,
                original_word: original.clone(),
            };
        }
        let count = self.state.add(event_id, word);
        if !self.released.contains(event_id) {
            self.state.pending.push(Output {
                event_id: event_id.to_owned(),
                word: word.to_owned(),
                count,
            });
        }
        Expected::Accepted {
            word: word.to_owned(),
            count,
        }
    }

    fn checkpoint(&mut self, id: &str) -> Expected {
        self.checkpoints.insert(id.to_owned(), self.state.clone());
        Expected::CheckpointSaved { id: id.to_owned() }
    }

    fn restore(&mut self, id: &str) -> Expected {
        let Some(saved) = self.checkpoints.get(id) else {
            return Expected::UnknownCheckpoint;
        };
        self.state = saved.clone();
        self.state
            .pending
            .retain(|output| !self.released.contains(&output.event_id));
        Expected::Restored {
            counts: self.state.counts.clone(),
        }
    }

    /// Commits now, and from now on after each event.
    pub fn switch_autocommit_on(&mut self) {
        self.autocommit = true;
        self.autocommit_if_on();
    }

    fn autocommit_if_on(&mut self) {
        if self.autocommit {
            let first = self.log.len();
            self.release();
            self.autocommit_offsets.extend(first..self.log.len());
        }
    }

    fn commit(&mut self) -> Expected {
        let output_count = self.release();
        if output_count > 0 {
            self.commit_sizes.push(output_count);
        }
        Expected::Committed { output_count }
    }

    fn release(&mut self) -> usize {
        let outputs = std::mem::take(&mut self.state.pending);
        let output_count = outputs.len();
        for output in outputs {
            let is_first = self.released.insert(output.event_id.clone());
            assert!(
                is_first,
                "the oracle itself released {} twice",
                output.event_id
            );
            self.log.push(output);
        }
        output_count
    }

    fn rollback(&mut self) -> Expected {
        let outputs = std::mem::take(&mut self.state.pending);
        for output in &outputs {
            self.state.remove(&output.event_id);
        }
        Expected::RolledBack {
            discarded_count: outputs.len(),
        }
    }

    pub fn counts(&self) -> &BTreeMap<String, u64> {
        &self.state.counts
    }

    /// The word that the state has counted for an event id.
    pub fn word_of(&self, event_id: &str) -> Option<&str> {
        self.state.events.get(event_id).map(String::as_str)
    }

    pub fn pending(&self) -> &[Output] {
        &self.state.pending
    }

    pub fn log(&self) -> &[Output] {
        &self.log
    }

    pub fn commit_sizes(&self) -> &[usize] {
        &self.commit_sizes
    }

    pub fn has_autocommit(&self) -> bool {
        self.autocommit
    }

    /// The offsets of the outputs that autocommit released, not a commit request.
    pub fn autocommit_offsets(&self) -> &[usize] {
        &self.autocommit_offsets
    }

    /// The checkpoints in byte order of their names.
    pub fn checkpoints(&self) -> impl Iterator<Item = CheckpointSize> + '_ {
        self.checkpoints.iter().map(|(name, saved)| CheckpointSize {
            name: name.clone(),
            events: saved.events.len(),
            pending_saved: saved.pending.len(),
            pending_unreleased: self.unreleased(saved),
        })
    }

    fn unreleased(&self, saved: &State) -> usize {
        saved
            .pending
            .iter()
            .filter(|output| !self.released.contains(&output.event_id))
            .count()
    }

    /// True if an output of this event id is in the log.
    pub fn is_released(&self, event_id: &str) -> bool {
        self.released.contains(event_id)
    }

    /// The word in the log for this event id.
    pub fn released_word(&self, event_id: &str) -> Option<&str> {
        self.log
            .iter()
            .find(|output| output.event_id == event_id)
            .map(|output| &*output.word)
    }

    /// The event ids and words of a checkpoint, or of the state if none is named.
    pub fn events(&self, checkpoint: Option<&str>) -> &BTreeMap<String, String> {
        match checkpoint {
            None => &self.state.events,
            Some(name) => &self.checkpoints[name].events,
        }
    }

    pub fn has_checkpoint(&self, id: &str) -> bool {
        self.checkpoints.contains_key(id)
    }

    /// True if restoring `id` would drop an event that the state has now.
    pub fn restore_goes_back(&self, id: &str) -> bool {
        let saved = self.checkpoints.get(id);
        saved.is_some_and(|saved| !is_subset(&self.state.events, &saved.events))
    }

    /// True if restoring `id` would bring an event that the state lacks now.
    pub fn restore_goes_forward(&self, id: &str) -> bool {
        let saved = self.checkpoints.get(id);
        saved.is_some_and(|saved| !is_subset(&saved.events, &self.state.events))
    }

    /// True if an output that was pending in checkpoint `id` has been released since.
    pub fn restore_meets_a_release(&self, id: &str) -> bool {
        let saved = self.checkpoints.get(id);
        saved.is_some_and(|saved| self.unreleased(saved) < saved.pending.len())
    }
}

impl State {
    /// Adds a new event and returns the new count of its word.
    fn add(&mut self, event_id: &str, word: &str) -> u64 {
        let former = self.events.insert(event_id.to_owned(), word.to_owned());
        assert!(
            former.is_none(),
            "the oracle itself accepted {event_id} twice"
        );
        let count = self.counts.entry(word.to_owned()).or_insert(0);
        *count += 1;
        *count
    }

    /// Removes an event, and its word if no other event carries it.
    fn remove(&mut self, event_id: &str) {
        let word = self
            .events
            .remove(event_id)
            .expect("the event of a pending output is in the state");
        let count = self
            .counts
            .get_mut(&word)
            .expect("an event's word is counted");
        *count -= 1;
        if *count == 0 {
            self.counts.remove(&word);
        }
    }
}

fn is_subset(part: &BTreeMap<String, String>, whole: &BTreeMap<String, String>) -> bool {
    part.keys().all(|event_id| whole.contains_key(event_id))
}

#[cfg(test)]
mod tests {
    use super::cases::{CASES, Case};
    use super::*;
    use crate::model::sequence::{Step, parse};
    use std::fmt::Write as _;

    fn played(sequence: &str) -> (Oracle, Option<Expected>) {
        let mut oracle = Oracle::new();
        let mut last = None;
        for step in parse(sequence) {
            if let Step::Request(request) = step {
                last = Some(oracle.apply(&request));
            }
        }
        (oracle, last)
    }

    fn rendered(outputs: &[Output]) -> String {
        let mut text = String::new();
        for Output {
            event_id,
            word,
            count,
        } in outputs
        {
            let separator = if text.is_empty() { "" } else { ", " };
            write!(text, "{separator}{event_id}/{word}/{count}").expect("a string takes it");
        }
        if text.is_empty() {
            "-".to_owned()
        } else {
            text
        }
    }

    fn check(case: &Case) {
        let (oracle, last) = played(case.sequence);
        let reply = last
            .expect("a case has a request")
            .body(1)
            .expect("a case succeeds")
            .plain();
        assert_eq!(reply, case.reply_to(1), "{}", case.shortcut);
        let counts = wire::object(
            oracle
                .counts()
                .iter()
                .map(|(word, n)| (&**word, n.to_string())),
        );
        assert_eq!(counts, case.counts, "{}", case.shortcut);
        assert_eq!(
            rendered(oracle.pending()),
            case.pending,
            "{}",
            case.shortcut
        );
        assert_eq!(rendered(oracle.log()), case.log, "{}", case.shortcut);
    }

    #[test]
    fn the_oracle_answers_every_row_of_the_cases_page() {
        CASES.iter().for_each(check);
    }

    #[test]
    fn a_restored_pending_output_keeps_the_count_its_reply_gave() {
        let (oracle, _) = played("p e1 a; p e2 a; c c0; b; p e2 a; r c0; k");
        assert_eq!(rendered(oracle.log()), "e1/a/1, e2/a/2");
    }

    #[test]
    fn a_rollback_keeps_the_events_whose_output_is_released() {
        let (oracle, last) = played("p e1 a; k; p e2 a; p e3 b; b");
        assert_eq!(last, Some(Expected::RolledBack { discarded_count: 2 }));
        assert_eq!(oracle.counts(), &BTreeMap::from([("a".to_owned(), 1)]));
    }

    #[test]
    fn an_output_that_only_a_checkpoint_holds_can_be_released_later() {
        let (oracle, _) = played("p e1 a; c c0; b; k; r c0; k");
        assert_eq!(rendered(oracle.log()), "e1/a/1");
        assert_eq!(oracle.commit_sizes(), [1]);
    }

    #[test]
    fn an_id_released_through_another_path_is_not_pending_in_a_restored_checkpoint() {
        let (oracle, _) = played("p e1 a; p e2 a; c c0; b; p e1 b; k; r c0");
        assert_eq!(rendered(oracle.pending()), "e2/a/2");
        assert_eq!(rendered(oracle.log()), "e1/b/1");
        let sizes: Vec<_> = oracle.checkpoints().collect();
        assert_eq!(
            (sizes[0].pending_saved, sizes[0].pending_unreleased),
            (2, 1)
        );
    }
}
