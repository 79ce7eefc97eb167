//! All that a dump shows of a directory at rest: besides [`Dump`], the order of accepted events,
//! the events of the state and of each checkpoint, and all commits and switches.

use super::queries::{Asked, Due};
use crate::kit::{Dump, dump};
use crate::oracle::{Expected, Oracle, Output, Request};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// Event ids, each with its word.
type Events = BTreeMap<String, String>;

#[derive(Debug, Default)]
pub struct Shown {
    pub dump: Dump,
    /// Every event that was ever accepted, in that order.
    pub journal: Vec<Output>,
    pub events: Events,
    pub checkpoints: BTreeMap<String, Saved>,
    /// For each commit, the number of events accepted before it.
    pub commits: Vec<usize>,
    pub moves: Vec<Moved>,
}

#[derive(Debug)]
pub struct Saved {
    events: Events,
    /// The number of events accepted before it was saved.
    accepted: usize,
}

/// A restore, or a rollback that dropped something.
#[derive(Debug, PartialEq, Eq)]
pub struct Moved {
    /// `None` for a rollback.
    checkpoint: Option<String>,
    /// The numbers of events accepted and of commits made before it.
    accepted: usize,
    commits: usize,
}

/// A point in the history of a directory.
#[derive(Clone, Debug, Default)]
pub struct Point {
    pub oracle: Oracle,
    /// The number of events accepted so far.
    pub accepted: usize,
    /// The number of restores and rollbacks so far.
    pub moves: usize,
}

/// A line of a dump. Other members and types are ignored. Positions count from 1, so the last one
/// is their number.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Line {
    Event(EventLine),
    Checkpoint {
        name: String,
        position: usize,
        /// Ranges of positions, each the first and the last.
        timeline: Vec<(usize, usize)>,
    },
    Commit {
        position: usize,
    },
    Switch {
        checkpoint: Option<String>,
        position: usize,
        last_commit: usize,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct EventLine {
    position: usize,
    event_id: String,
    word: String,
    count: u64,
    in_state: bool,
}

impl Shown {
    pub fn read(dir: &Path) -> Result<Self, String> {
        let mut shown = Self {
            dump: Dump::read(dir)?,
            ..Self::default()
        };
        let mut checkpoints = Vec::new();
        for line in dump::lines(dir, None)? {
            let line: Line = serde_json::from_str(&line).map_err(|e| format!("{e}: {line}"))?;
            match line {
                Line::Event(event) => shown.take_event(event)?,
                Line::Checkpoint {
                    name,
                    position,
                    timeline,
                } => checkpoints.push((name, position, timeline)),
                Line::Commit { position } => shown.commits.push(position),
                Line::Switch {
                    checkpoint,
                    position,
                    last_commit,
                } => shown.moves.push(Moved {
                    checkpoint,
                    accepted: position,
                    commits: last_commit,
                }),
                Line::Other => {}
            }
        }
        for (name, accepted, timeline) in checkpoints {
            let events = shown.events_of(&timeline)?;
            shown.checkpoints.insert(name, Saved { events, accepted });
        }
        Ok(shown)
    }

    fn take_event(&mut self, line: EventLine) -> Result<(), String> {
        let EventLine {
            position,
            event_id,
            word,
            count,
            in_state,
        } = line;
        if in_state {
            let former = self.events.insert(event_id.clone(), word.clone());
            if former.is_some() {
                return Err(format!("the state has {event_id} twice"));
            }
        }
        self.journal.push(Output {
            event_id,
            word,
            count,
        });
        if position == self.journal.len() {
            return Ok(());
        }
        Err(format!("position {position} does not follow"))
    }

    fn events_of(&self, timeline: &[(usize, usize)]) -> Result<Events, String> {
        let mut events = Events::new();
        for position in timeline.iter().flat_map(|&(first, last)| first..=last) {
            let index = position.checked_sub(1);
            let event = index.and_then(|index| self.journal.get(index));
            let event = event.ok_or_else(|| format!("no event is at position {position}"))?;
            let former = events.insert(event.event_id.clone(), event.word.clone());
            if former.is_some() {
                return Err(format!("a checkpoint has {} twice", event.event_id));
            }
        }
        Ok(events)
    }

    /// True if the history goes on from `point` with this request; `due` is the reply of the
    /// point's oracle, which has applied it. Moves the point past the request.
    pub fn goes_on_with(&self, asked: &Asked, due: &Due, point: &mut Point) -> bool {
        let (Asked::Request(request), Due::Reply(expected)) = (asked, due) else {
            return true;
        };
        match (request, expected) {
            (Request::Process { event_id, word }, Expected::Accepted { count, .. }) => {
                let is_next = self.has_next(point, event_id, word, Some(*count));
                point.accepted += 1;
                is_next
            }
            (Request::Checkpoint { id }, _) => {
                let saved = self.checkpoints.get(id);
                saved.is_some_and(|saved| point.accepted <= saved.accepted)
            }
            (Request::Commit, Expected::Committed { output_count: 1.. }) => {
                let sizes = point.oracle.commit_sizes();
                self.commits.get(sizes.len() - 1) == Some(&point.accepted)
                    && self.dump.commit_sizes.starts_with(sizes)
                    && self.dump.log.starts_with(point.oracle.log())
            }
            (Request::Restore { id }, Expected::Restored { .. }) => self.moves_on(Some(id), point),
            (
                Request::Rollback,
                Expected::RolledBack {
                    discarded_count: 1..,
                },
            ) => self.moves_on(None, point),
            _ => true,
        }
    }

    /// True if this event was the next to be accepted, and had this count.
    pub fn has_next(&self, point: &Point, event_id: &str, word: &str, count: Option<u64>) -> bool {
        self.journal.get(point.accepted).is_some_and(|next| {
            next.event_id == event_id
                && next.word == word
                && count.is_none_or(|count| count == next.count)
        })
    }

    fn moves_on(&self, checkpoint: Option<&String>, point: &mut Point) -> bool {
        let moved = Moved {
            checkpoint: checkpoint.cloned(),
            accepted: point.accepted,
            commits: point.oracle.commit_sizes().len(),
        };
        point.moves += 1;
        self.moves.get(point.moves - 1) == Some(&moved)
    }

    /// True if the history ends at this point, and its state is the present one.
    pub fn ends_at(&self, point: &Point) -> bool {
        (point.accepted, point.moves) == (self.journal.len(), self.moves.len())
            && self.dump.matches(&point.oracle)
            && self.compare_events(&point.oracle).is_ok()
    }

    /// Fails if the present state differs from an oracle's; the error says where.
    pub fn compare(&self, oracle: &Oracle) -> Result<(), String> {
        self.dump.compare(oracle)?;
        self.compare_events(oracle)
    }

    /// The caller has compared the names of the checkpoints.
    fn compare_events(&self, oracle: &Oracle) -> Result<(), String> {
        dump::same("events", &self.events, oracle.events(None))?;
        let mut checkpoints = self.checkpoints.iter();
        checkpoints.try_for_each(|(name, saved)| {
            dump::same(name, &saved.events, oracle.events(Some(name)))
        })
    }
}
