//! The new events that each system answers first, to have a state, and duplicates of them.

use std::collections::HashMap;
use std::fmt::{self, Display};
use std::ops::Range;

use clap::{Args, ValueEnum};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::WORDS;
use crate::entrants::Entrants;
use crate::harness::workload::Event;
use crate::reply::{Reply, expect};
use crate::rounds::Run;

/// The seed of the duplicates.
const SEED: u64 = 2;

/// How new events are made and sent.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Preparation {
    /// Kind of ids
    #[arg(long, default_value = "uuid")]
    pub(crate) id_kind: IdKind,
    /// Prepare at most this many new events in a file at a time (150 bytes each), and send them to
    /// a process of their own
    #[arg(long, default_value_t = 10_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) slice: u64,
}

/// A kind of ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum IdKind {
    /// Random UUIDs, of 36 characters
    Uuid,
    /// Random text of 64 characters that is no UUID
    Text,
}

impl IdKind {
    /// Makes the event of a number.
    pub(crate) fn event(self, number: u64) -> Event {
        let event = Event::new(number, WORDS);
        match self {
            Self::Uuid => event,
            Self::Text => Event {
                id: text(number),
                ..event
            },
        }
    }
}

impl Display for IdKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Uuid => "UUIDs",
            Self::Text => "64 characters of text",
        })
    }
}

/// Returns 32 random bytes as hexadecimal digits. They are computed from the number, as a UUID is.
fn text(number: u64) -> String {
    let mut random = ChaCha8Rng::seed_from_u64(number);
    let [one, two, three, four] = std::array::from_fn(|_| random.random::<u64>());
    format!("{one:016x}{two:016x}{three:016x}{four:016x}")
}

/// The events 0, 1, 2 … up to a number, each with its own id.
pub(crate) struct NewEvents {
    count: u64,
    preparation: Preparation,
    /// The count of each word after all events that were added.
    words: HashMap<String, u64>,
}

impl NewEvents {
    pub(crate) fn new(count: u64, preparation: Preparation) -> Self {
        Self {
            count,
            preparation,
            words: HashMap::new(),
        }
    }

    /// Returns the events of these numbers, and counts their words.
    pub(crate) fn add(&mut self, numbers: Range<u64>) -> impl Iterator<Item = Event> {
        let kind = self.preparation.id_kind;
        let events = numbers.map(move |number| kind.event(number));
        events.inspect(|event| *self.words.entry(event.word.clone()).or_default() += 1)
    }

    /// Returns this many duplicates, drawn evenly from all events. They are the same each time.
    pub(crate) fn duplicates(&self, duplicates: u64) -> impl Iterator<Item = Event> {
        let (count, kind) = (self.count, self.preparation.id_kind);
        let mut random = ChaCha8Rng::seed_from_u64(SEED);
        (0..duplicates).map(move |_| kind.event(random.random_range(0..count)))
    }

    /// Returns the reply to a duplicate after all events.
    pub(crate) fn reply(&self, duplicate: &Event) -> Reply {
        Reply {
            count: self.words[&duplicate.word],
            was_duplicate: true,
        }
    }

    /// Sends all events to each system. Returns the sum of its processes as its only run.
    pub(crate) fn send(&mut self, entrants: &Entrants) -> anyhow::Result<Vec<Vec<Run>>> {
        let (count, slice) = (self.count, self.preparation.slice);
        let mut runs = vec![vec![Run::default()]; entrants.count()];
        for from in (0..count).step_by(usize::try_from(slice)?) {
            let to = count.min(from.saturating_add(slice));
            eprintln!("writing new events up to {to}");
            entrants.write(self.add(from..to))?;
            for (system, runs) in runs.iter_mut().enumerate() {
                runs[0].add(answer(entrants, system, to - from)?);
            }
            entrants.remove_requests()?;
        }
        Ok(runs)
    }
}

/// Runs a system with this many new events.
fn answer(entrants: &Entrants, system: usize, events: u64) -> anyhow::Result<Run> {
    let run = Run::new(events, &entrants.answer(system)?);
    let name = entrants.name(system);
    eprintln!("{name}: {:.0} new events/s", run.rate());
    expect(entrants.lines()?, usize::try_from(events)?, Some(0), name)?;
    entrants.remove_replies()?;
    Ok(run)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_text_differ_and_are_no_uuids() {
        let [one, other] = [1, 2].map(|number| IdKind::Text.event(number));
        assert!(one.id.len() == 64 && uuid::Uuid::try_parse(&one.id).is_err());
        assert_ne!(one.id, other.id);
        assert_eq!(one.word, IdKind::Uuid.event(1).word);
    }
}
