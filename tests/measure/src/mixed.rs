//! `duplicates mixed`: a stream of new events of which a share repeats any earlier one, or a recent
//! one.
//!
//! Each system answers the same requests from an empty state in one process. Its rate is also
//! measured for each part of the events, from how the file of replies grows.

use std::time::Duration;

use clap::Args;
use comfy_table::Table;

use crate::WORDS;
use crate::chart::{Curve, curves, grouped};
use crate::entrants::Entrants;
use crate::harness::workload::{Event, numbers_with_recent};
use crate::harness::{PAUSE, table};
use crate::reply::expect;
use crate::rounds::{Run, comparison, in_rounds, median};

/// The events of a part, if there are enough of them for four such parts.
const PART: usize = 10_000_000;

/// The amount of work.
#[derive(Debug, Clone, Args)]
pub struct Plan {
    /// Number of events
    #[arg(long, default_value_t = 40_000_000, value_parser = events)]
    events: usize,
    /// Share of events that repeat an earlier one, drawn evenly from all before it
    #[arg(long, default_value_t = 0.02, value_parser = share)]
    share: f64,
    /// Repeat one of the last N new events, drawn evenly from them, instead of any earlier event
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    recent: Option<u64>,
    /// Rounds, in each of which every system answers all events once
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
}

/// Parses a number of events.
fn events(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(events) if events > 0 => Ok(events),
        _ => Err("a number of events is a whole number above 0".to_owned()),
    }
}

/// Parses a share from 0 to below 1; the first event cannot repeat another.
fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if (0.0..1.0).contains(&share) => Ok(share),
        _ => Err("a share is a number from 0 to below 1, such as 0.02".to_owned()),
    }
}

impl Plan {
    /// Returns the numbers of the events, in the order in which they are sent.
    fn numbers(&self) -> impl Iterator<Item = u64> {
        let recent = self.recent.unwrap_or(u64::MAX);
        numbers_with_recent(self.share, recent).take(self.events)
    }

    /// Returns the number of events up to the end of each part.
    fn part_ends(&self) -> Vec<usize> {
        let part = PART.min(self.events.div_ceil(4));
        let whole = (part..self.events).step_by(part);
        whole.chain([self.events]).collect()
    }

    /// Describes the job in one line.
    fn job(&self) -> String {
        let Self { events, runs, .. } = self;
        let share = self.share * 100.0;
        let repeated = match self.recent {
            Some(recent) => format!(" of the last {recent} new events"),
            None => String::new(),
        };
        format!(
            "{events} events, {share} % duplicates{repeated}, UUIDs, {WORDS} words; rounds: {runs}"
        )
    }
}

/// A run of a system, and its rate in each part of the events.
struct PartedRun {
    whole: Run,
    rates: Vec<f64>,
}

/// The results of all systems.
pub struct Results {
    job: String,
    /// The number of events up to the end of each part.
    part_ends: Vec<usize>,
    systems: Vec<String>,
    /// The median rate of each part, for each system.
    rates: Vec<Vec<f64>>,
    whole: Table,
    base_note: String,
}

/// Measures all systems.
pub fn measure(plan: &Plan, entrants: &Entrants) -> anyhow::Result<Results> {
    eprintln!("writing the requests");
    let duplicates = write(plan, entrants)?;
    let runs = in_rounds(entrants.count(), plan.runs, |system| {
        run(plan, entrants, system, duplicates)
    })?;
    let whole = |runs: &Vec<PartedRun>| runs.iter().map(|run| run.whole).collect();
    let whole: Vec<_> = runs.iter().map(whole).collect();
    let (part_ends, base_note) = (plan.part_ends(), entrants.base_note().to_owned());
    let parts = part_ends.len();
    Ok(Results {
        job: plan.job(),
        part_ends,
        base_note,
        systems: entrants.names(),
        rates: runs.iter().map(|runs| medians(runs, parts)).collect(),
        whole: comparison(entrants, &whole, "events/s"),
    })
}

/// Writes the requests. Returns the number of duplicates among them.
fn write(plan: &Plan, entrants: &Entrants) -> anyhow::Result<usize> {
    let mut distinct = 0;
    // A new event has the lowest number that no earlier one has.
    let numbers = plan
        .numbers()
        .inspect(|number| distinct = distinct.max(number + 1));
    entrants.write(numbers.map(|number| Event::new(number, WORDS)))?;
    Ok(plan.events - usize::try_from(distinct)?)
}

/// Runs a system with all events from an empty state, which is removed after it.
fn run(
    plan: &Plan,
    entrants: &Entrants,
    system: usize,
    duplicates: usize,
) -> anyhow::Result<PartedRun> {
    let answered = entrants.answer(system)?;
    let whole = Run::new(plan.events as u64, &answered);
    eprintln!("{}: {:.0} events/s", entrants.name(system), whole.rate());
    let sizes = check(plan, entrants, system, duplicates)?;
    entrants.remove_replies()?;
    entrants.remove_state(system)?;
    let times: Vec<_> = sizes.iter().map(|size| answered.reached(*size)).collect();
    Ok(PartedRun {
        whole,
        rates: part_rates(&plan.part_ends(), &times),
    })
}

/// Checks the number of the replies and of the duplicates among them. Returns the size of the file
/// of replies at the end of each part, in bytes.
fn check(
    plan: &Plan,
    entrants: &Entrants,
    system: usize,
    duplicates: usize,
) -> anyhow::Result<Vec<u64>> {
    let (ends, mut sizes) = (plan.part_ends(), Vec::new());
    let (mut number, mut size) = (0, 0);
    let lines = entrants.lines()?.inspect(|line| {
        number += 1;
        size += line.as_ref().map_or(0, |line| line.len() as u64 + 1);
        if ends.contains(&number) {
            sizes.push(size);
        }
    });
    let name = entrants.name(system);
    expect(lines, plan.events, Some(duplicates), name)?;
    Ok(sizes)
}

/// Returns the rate of each part, from the times until its last reply. The first part includes the
/// start of the process. Parts that ended at the same look took at most one pause.
fn part_rates(ends: &[usize], times: &[Duration]) -> Vec<f64> {
    let mut before = (0, Duration::ZERO);
    let part = |(&end, &time): (&usize, &Duration)| {
        let (events, elapsed) = (end - before.0, time.saturating_sub(before.1).max(PAUSE));
        before = (end, time);
        events as f64 / elapsed.as_secs_f64()
    };
    ends.iter().zip(times).map(part).collect()
}

/// Returns the median of all rounds for each part.
fn medians(runs: &[PartedRun], parts: usize) -> Vec<f64> {
    let rates = |part| runs.iter().map(|run| run.rates[part]).collect();
    (0..parts).map(|part| median(rates(part))).collect()
}

const NOTE: &str = "\
Each system answers a file of the same events with a file of replies, from an empty state in one
process; start and end are part of the time. Every second round is in reverse order. The rate is the
median of all rounds. A ratio is that of two rates of one round: the median, the lowest and the
highest. MB are the highest memory of a process. The numbers of replies and of duplicates among them
are checked.";

const PART_NOTE: &str = "\
The rate of each part of the events, from the last reply before it to its own last reply; the first
part includes the start of the process. The median of all rounds.";

impl Results {
    /// Returns the tables.
    #[must_use]
    pub fn tables(&self) -> String {
        let (
            Self {
                job,
                whole,
                base_note,
                ..
            },
            parts,
        ) = (self, self.parts());
        format!("{job}\n{whole}\n{NOTE}\n{base_note}\n\n{parts}\n{PART_NOTE}\n")
    }

    /// Makes the table of the rates of each part, with a column for each system.
    fn parts(&self) -> Table {
        let names = self.systems.iter().cloned();
        let header = ["events/s up to event".to_owned()].into_iter().chain(names);
        let mut parts = table(header.collect());
        for (part, end) in self.part_ends.iter().enumerate() {
            let rates = self.rates.iter().map(|rates| grouped(rates[part]));
            parts.add_row([grouped(*end as f64)].into_iter().chain(rates));
        }
        parts
    }

    /// Draws the rates of each part over the events, a curve for each system, as SVG.
    pub fn svg(&self) -> anyhow::Result<String> {
        let ends = || self.part_ends.iter().map(|end| *end as f64);
        let points = |rates: &Vec<f64>| ends().zip(rates.iter().copied()).collect();
        let names = self.systems.iter().map(String::as_str);
        let all: Vec<Curve<'_>> = names.zip(self.rates.iter().map(points)).collect();
        curves("Events a second of each part", "events at its end", &all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::workload::numbers;

    fn plan(events: usize) -> Plan {
        Plan {
            events,
            share: 0.5,
            recent: None,
            runs: 1,
        }
    }

    /// The lowest and the highest age occur too; an event of age 1 is the last new one.
    #[test]
    fn a_recent_duplicate_repeats_one_of_the_last_new_events() {
        let ages = |recent| {
            let (plan, mut distinct) = (
                Plan {
                    recent,
                    ..plan(1000)
                },
                0,
            );
            let age = |number| {
                let age = distinct - number;
                distinct = distinct.max(number + 1);
                (age > 0).then_some(age)
            };
            let ages: Vec<u64> = plan.numbers().filter_map(age).collect();
            assert!(ages.len() > 400, "{}", ages.len());
            (ages.iter().min().copied(), ages.iter().max().copied())
        };
        assert_eq!(ages(Some(1)), (Some(1), Some(1)));
        assert_eq!(ages(Some(10)), (Some(1), Some(10)));
        assert!(ages(None).1.is_some_and(|oldest| oldest > 100));
    }

    #[test]
    fn without_recent_duplicates_the_events_are_those_of_the_other_programs() {
        assert!(plan(1000).numbers().eq(numbers(0.5).take(1000)));
    }

    #[test]
    fn the_job_says_which_events_are_repeated() {
        let job = |recent| Plan { recent, ..plan(7) }.job();
        assert!(job(None).contains("50 % duplicates, UUIDs"));
        assert!(job(Some(10)).contains("50 % duplicates of the last 10 new events, UUIDs"));
    }

    #[test]
    fn parts_are_ten_million_events_or_a_quarter_of_fewer() {
        const M: usize = 1_000_000;
        let many = plan(45 * M).part_ends();
        assert_eq!(many, [10 * M, 20 * M, 30 * M, 40 * M, 45 * M]);
        assert_eq!(plan(40 * M).part_ends(), [10 * M, 20 * M, 30 * M, 40 * M]);
        assert_eq!(plan(10).part_ends(), [3, 6, 9, 10]);
        assert_eq!(plan(1).part_ends(), [1]);
    }

    #[test]
    fn the_rate_of_a_part_is_that_between_its_first_and_its_last_reply() {
        let times = [2000, 3000, 3500, 3500].map(Duration::from_millis);
        let rates = part_rates(&[100, 200, 300, 310], &times);
        assert_eq!(rates, [50.0, 100.0, 200.0, 10.0 / PAUSE.as_secs_f64()]);
    }

    #[test]
    fn tables_and_picture_have_each_part_of_each_system() -> anyhow::Result<()> {
        let results = Results {
            job: "310 events".to_owned(),
            part_ends: vec![200, 310],
            systems: vec!["one".to_owned(), "other".to_owned()],
            rates: vec![vec![50.0, 1e6], vec![7.0, 8.0]],
            whole: table(vec!["system"]),
            base_note: "A ratio is one to something.".to_owned(),
        };
        let tables = results.tables();
        let rows = tables.lines().map(|line| line.split_whitespace());
        let rows: Vec<Vec<_>> = rows.map(Iterator::collect).collect();
        assert!(rows.contains(&vec!["200", "50", "7"]), "{tables}");
        assert!(rows.contains(&vec!["310", "1,000,000", "8"]), "{tables}");
        let svg = results.svg()?;
        assert!(
            svg.contains("one") && svg.contains("other") && svg.contains("1M"),
            "{svg}"
        );
        Ok(())
    }
}
