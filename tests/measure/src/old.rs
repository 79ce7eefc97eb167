//! `duplicates old`: old duplicates, in any order, sent to a process that was just started.
//!
//! Each system first answers all new events and keeps its state. Then it answers the duplicates in
//! rounds, each time as a new process on that state. All replies are checked.

use std::collections::HashMap;
use std::io;
use std::ops::Range;

use clap::{Args, ValueEnum};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::WORDS;
use crate::entrants::Entrants;
use crate::harness::workload::Event;
use crate::reply::{Reply, check, expect};
use crate::rounds::{Run, comparison, in_rounds};

/// The seed of the duplicates.
const SEED: u64 = 2;

/// The amount of work.
#[derive(Debug, Clone, Args)]
pub struct Plan {
    /// New events, each with its own id
    #[arg(long, default_value_t = 5_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    ids: u64,
    /// Duplicates in a round, drawn evenly from all ids
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    duplicates: u64,
    /// Rounds, in each of which every system answers all duplicates once
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Kind of ids
    #[arg(long, default_value = "uuid")]
    id_kind: IdKind,
    /// Prepare at most this many new events in a file at a time (150 bytes each), and send them to
    /// a process of their own
    #[arg(long, default_value_t = 10_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    slice: u64,
}

/// A kind of ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum IdKind {
    /// Random UUIDs, of 36 characters
    Uuid,
    /// Random text of 64 characters that is no UUID
    Text,
}

impl IdKind {
    /// Makes the event of a number.
    fn event(self, number: u64) -> Event {
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

/// Returns 32 random bytes as hexadecimal digits. They are computed from the number, as a UUID is.
fn text(number: u64) -> String {
    let mut random = ChaCha8Rng::seed_from_u64(number);
    let [one, two, three, four] = std::array::from_fn(|_| random.random::<u64>());
    format!("{one:016x}{two:016x}{three:016x}{four:016x}")
}

/// The events of a plan.
struct Workload {
    plan: Plan,
    /// The count of each word after all new events.
    counts: HashMap<String, u64>,
}

impl Workload {
    fn new(plan: &Plan) -> Self {
        Self {
            plan: plan.clone(),
            counts: HashMap::new(),
        }
    }

    /// Returns the new events of these numbers, and counts their words.
    fn add(&mut self, numbers: Range<u64>) -> impl Iterator<Item = Event> {
        let kind = self.plan.id_kind;
        let events = numbers.map(move |number| kind.event(number));
        events.inspect(|event| *self.counts.entry(event.word.clone()).or_default() += 1)
    }

    /// Returns the duplicates, the same each time.
    fn duplicates(&self) -> impl Iterator<Item = Event> {
        let Plan { ids, id_kind, .. } = self.plan;
        let mut random = ChaCha8Rng::seed_from_u64(SEED);
        (0..self.plan.duplicates).map(move |_| id_kind.event(random.random_range(0..ids)))
    }

    /// Compares the replies to the duplicates with the expected ones.
    fn check(
        &self,
        system: &str,
        replies: impl Iterator<Item = io::Result<String>>,
    ) -> anyhow::Result<()> {
        let expected = self.duplicates().zip(1..).map(|(event, number)| {
            let reply = Reply {
                count: self.counts[&event.word],
                was_duplicate: true,
            };
            reply.line(number, &event.word)
        });
        check(system, replies.map_while(Result::ok), expected)
    }
}

/// Measures all systems, and returns the tables.
pub fn measure(plan: &Plan, entrants: &Entrants) -> anyhow::Result<String> {
    let mut workload = Workload::new(plan);
    let built = build(&mut workload, entrants)?;
    eprintln!("writing the duplicates");
    entrants.write(workload.duplicates())?;
    let answered = in_rounds(entrants.count(), plan.runs, |system| {
        answer(&workload, entrants, system)
    })?;
    let duplicates = comparison(entrants, &answered, "duplicates/s");
    let new = comparison(entrants, &built, "new events/s");
    let (job, base_note) = (job(plan), entrants.base_note());
    Ok(format!(
        "{job}\n{duplicates}\n{NOTE}\n{base_note}\n\n{new}\n{NEW_NOTE}\n"
    ))
}

/// Sends all new events to each system. Returns the sum of its processes as its only run.
fn build(workload: &mut Workload, entrants: &Entrants) -> anyhow::Result<Vec<Vec<Run>>> {
    let Plan { ids, slice, .. } = workload.plan;
    let mut built = vec![vec![Run::default()]; entrants.count()];
    for from in (0..ids).step_by(usize::try_from(slice)?) {
        let to = ids.min(from + slice);
        eprintln!("writing new events up to {to}");
        entrants.write(workload.add(from..to))?;
        for (system, runs) in built.iter_mut().enumerate() {
            runs[0].add(answer_new(entrants, system, to - from)?);
        }
        entrants.remove_requests()?;
    }
    Ok(built)
}

/// Runs a system with this many new events.
fn answer_new(entrants: &Entrants, system: usize, events: u64) -> anyhow::Result<Run> {
    let run = Run::new(events, &entrants.answer(system)?);
    let name = entrants.name(system);
    eprintln!("{name}: {:.0} new events/s", run.rate());
    expect(entrants.lines()?, usize::try_from(events)?, Some(0), name)?;
    entrants.remove_replies()?;
    Ok(run)
}

/// Runs a system with all duplicates.
fn answer(workload: &Workload, entrants: &Entrants, system: usize) -> anyhow::Result<Run> {
    let run = Run::new(workload.plan.duplicates, &entrants.answer(system)?);
    let name = entrants.name(system);
    eprintln!("{name}: {:.0} duplicates/s", run.rate());
    workload.check(name, entrants.lines()?)?;
    entrants.remove_replies()?;
    Ok(run)
}

/// Describes the job in one line.
fn job(plan: &Plan) -> String {
    let ids = match plan.id_kind {
        IdKind::Uuid => "UUIDs",
        IdKind::Text => "64 characters of text",
    };
    let Plan { duplicates, .. } = plan;
    format!(
        "{duplicates} duplicates of {} events with ids of {ids}, {WORDS} words; rounds: {}",
        plan.ids, plan.runs
    )
}

const NOTE: &str = "\
Each system keeps the state of all events. In each round, its process is started anew, answers a
file of the duplicates in any order with a file of replies, and ends; start and end are part of the
time. Every second round is in reverse order. The rate is the median of all rounds. A ratio is that
of two rates of one round: the median, the lowest and the highest. MB are the highest memory of a
process. Every reply is checked.";

const NEW_NOTE: &str = "\
The same for all new events, which were sent once before; the time is the sum of their processes.";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reply::lines;

    fn workload(id_kind: IdKind) -> Workload {
        let plan = Plan {
            ids: 50,
            duplicates: 20,
            runs: 1,
            id_kind,
            slice: 30,
        };
        let mut workload = Workload::new(&plan);
        assert_eq!(
            workload.add(0..30).count() + workload.add(30..50).count(),
            50
        );
        workload
    }

    #[test]
    fn ids_of_text_differ_and_are_no_uuids() {
        let [one, other] = [1, 2].map(|number| IdKind::Text.event(number));
        assert!(one.id.len() == 64 && uuid::Uuid::try_parse(&one.id).is_err());
        assert_ne!(one.id, other.id);
        assert_eq!(one.word, IdKind::Uuid.event(1).word);
    }

    /// Returns the replies to the duplicates, with counts from the events themselves.
    fn replies(workload: &Workload) -> Vec<Reply> {
        let new: Vec<_> = (0..50)
            .map(|number| workload.plan.id_kind.event(number))
            .collect();
        let reply = |event: Event| {
            assert!(new.iter().any(|new| new.id == event.id));
            let same_word = new.iter().filter(|new| new.word == event.word);
            Reply {
                count: same_word.count() as u64,
                was_duplicate: true,
            }
        };
        workload.duplicates().map(reply).collect()
    }

    fn checked(workload: &Workload, replies: &[Reply]) -> anyhow::Result<()> {
        let events: Vec<_> = workload.duplicates().collect();
        workload.check("system", lines(&events, replies).map(Ok))
    }

    #[test]
    fn duplicates_are_answered_with_the_count_after_all_new_events() -> anyhow::Result<()> {
        for kind in [IdKind::Uuid, IdKind::Text] {
            let workload = workload(kind);
            checked(&workload, &replies(&workload))?;
        }
        Ok(())
    }

    #[test]
    fn a_wrong_reply_is_an_error_that_says_that_the_figures_are_worth_nothing() {
        let workload = workload(IdKind::Uuid);
        let right = replies(&workload);
        for wrong in [
            Reply {
                count: right[7].count + 1,
                ..right[7]
            },
            Reply {
                was_duplicate: false,
                ..right[7]
            },
        ] {
            let mut replies = right.clone();
            replies[7] = wrong;
            let error = checked(&workload, &replies).map_err(|error| error.to_string());
            assert!(error.is_err_and(|error| error.contains("worth nothing")));
        }
        assert!(checked(&workload, &right[1..]).is_err());
    }
}
