//! `duplicates old`: old duplicates, in any order, sent to a process that was just started.
//!
//! Each system first answers all new events and keeps its state. Then it answers the duplicates in
//! rounds, each time as a new process on that state. All replies are checked.

use std::io;

use clap::Args;

use crate::WORDS;
use crate::entrants::Entrants;
use crate::harness::workload::Event;
use crate::new_events::{NewEvents, Preparation};
use crate::reply::check;
use crate::rounds::{Run, comparison, in_rounds};

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
    #[command(flatten)]
    preparation: Preparation,
}

/// The events of a plan.
struct Workload {
    plan: Plan,
    events: NewEvents,
}

impl Workload {
    fn new(plan: &Plan) -> Self {
        Self {
            plan: plan.clone(),
            events: NewEvents::new(plan.ids, plan.preparation),
        }
    }

    /// Returns the duplicates, the same each time.
    fn duplicates(&self) -> impl Iterator<Item = Event> {
        self.events.duplicates(self.plan.duplicates)
    }

    /// Compares the replies to the duplicates with the expected ones.
    fn check(
        &self,
        system: &str,
        replies: impl Iterator<Item = io::Result<String>>,
    ) -> anyhow::Result<()> {
        let expected = self.duplicates().zip(1..);
        let expected =
            expected.map(|(event, number)| self.events.reply(&event).line(number, &event.word));
        check(system, replies.map_while(Result::ok), expected)
    }
}

/// Measures all systems, and returns the tables.
pub fn measure(plan: &Plan, entrants: &Entrants) -> anyhow::Result<String> {
    let mut workload = Workload::new(plan);
    let built = workload.events.send(entrants)?;
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
    let Plan {
        ids,
        duplicates,
        runs,
        preparation,
    } = plan;
    let kind = preparation.id_kind;
    format!(
        "{duplicates} duplicates of {ids} events with ids of {kind}, {WORDS} words; rounds: {runs}"
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
    use crate::new_events::IdKind;
    use crate::reply::{Reply, lines};

    fn workload(id_kind: IdKind) -> Workload {
        let plan = Plan {
            ids: 50,
            duplicates: 20,
            runs: 1,
            preparation: Preparation { id_kind, slice: 30 },
        };
        let mut workload = Workload::new(&plan);
        assert_eq!(
            workload.events.add(0..30).count() + workload.events.add(30..50).count(),
            50
        );
        workload
    }

    /// Returns the replies to the duplicates, with counts from the events themselves.
    fn replies(workload: &Workload) -> Vec<Reply> {
        let new: Vec<_> = (0..50)
            .map(|number| workload.plan.preparation.id_kind.event(number))
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
