//! `duplicates lone`: the latency of lone requests for new events on the control socket, alone and
//! beside a stream of old duplicates on standard input.
//!
//! Each system first answers all new events and keeps its state. In each round, a process on that
//! state answers the lone requests of both kinds. All replies are checked.

use std::time::Duration;

use anyhow::Context;
use clap::Args;
use comfy_table::Table;

use crate::WORDS;
use crate::chart::grouped;
use crate::client::Client;
use crate::entrants::Entrants;
use crate::harness::{rank, table};
use crate::new_events::{NewEvents, Preparation};
use crate::rounds::{in_rounds, median};
use crate::stream::Stream;

/// Replies to the stream before the first lone request beside it, so that both meet a node that is
/// busy. At most as many as the plan has duplicates.
const FIRST_REPLIES: u64 = 100_000;

/// The amount of work.
#[derive(Debug, Clone, Args)]
pub struct Plan {
    /// New events before the lone requests, each with its own id
    #[arg(long, default_value_t = 10_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    ids: u64,
    /// Lone requests in a round: this many alone, and this many beside the stream
    #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u64).range(1..))]
    requests: u64,
    /// Duplicates of the stream, drawn evenly from all ids; they are sent again and again
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    duplicates: u64,
    /// Rounds, in each of which every system answers the lone requests of both kinds
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    #[command(flatten)]
    preparation: Preparation,
    /// Seconds after the start of a process within which it must listen on its control socket
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    start_seconds: u64,
}

/// The latencies of lone requests of one kind in one round.
#[derive(Debug, Clone, Copy)]
struct Latencies {
    /// p50, p99, p99.9 and the longest, in milliseconds.
    figures_ms: [f64; 4],
    /// The replies a second to the stream beside them, if there was one.
    rate: Option<f64>,
}

impl Latencies {
    /// Takes at least one latency.
    fn new(mut latencies: Vec<Duration>, rate: Option<f64>) -> Self {
        latencies.sort();
        let at = |share| latencies[rank(latencies.len(), share)].as_secs_f64() * 1e3;
        Self {
            figures_ms: [0.5, 0.99, 0.999, 1.0].map(at),
            rate,
        }
    }
}

/// What a system has shown in one round.
#[derive(Debug, Clone, Copy)]
struct Round {
    alone: Latencies,
    beside: Latencies,
}

/// Returns one kind of the latencies of a round.
type Kind = fn(&Round) -> Latencies;

/// The kinds of lone requests, as the table names them.
const KINDS: [(&str, Kind); 2] = [
    ("alone", |round| round.alone),
    ("beside old duplicates", |round| round.beside),
];

/// Measures all systems, and returns the table.
pub fn measure(plan: &Plan, entrants: &Entrants) -> anyhow::Result<String> {
    let mut events = NewEvents::new(plan.ids, plan.preparation);
    events.send(entrants)?;
    eprintln!("making the duplicates");
    let duplicates = events.duplicates(plan.duplicates).zip(1..);
    let stream = Stream::new(duplicates.map(|(event, number)| event.request(number)));
    let mut next = vec![plan.ids; entrants.count()];
    let rounds = in_rounds(entrants.count(), plan.runs, |system| {
        let name = entrants.name(system);
        let round = run(plan, entrants, system, &stream, &mut next[system]);
        let round = round.with_context(|| format!("measuring {name}"))?;
        let [alone, beside] = KINDS.map(|(_, kind)| kind(&round).figures_ms[0]);
        eprintln!("{name}: {alone:.3} ms alone, {beside:.3} ms beside old duplicates");
        Ok(round)
    })?;
    let names = entrants.names();
    let (job, compared) = (job(plan), comparison(&names, &rounds, entrants.base()));
    let base_note = entrants.base_note();
    Ok(format!("{job}\n{compared}\n{NOTE}\n{base_note}\n"))
}

/// Runs a system once. `next` is the number of its next new event.
fn run(
    plan: &Plan,
    entrants: &Entrants,
    system: usize,
    stream: &Stream,
    next: &mut u64,
) -> anyhow::Result<Round> {
    let mut events = || {
        let numbers = *next..*next + plan.requests;
        *next = numbers.end;
        numbers.map(|number| plan.preparation.id_kind.event(number))
    };
    let node = entrants.start(system)?;
    let within = Duration::from_secs(plan.start_seconds);
    let mut client = Client::connect(&entrants.control_socket(system), within)?;
    let alone = client.ask(events())?;
    let first = FIRST_REPLIES.min(plan.duplicates);
    let (beside, rate) = node.stream_beside(stream, first, || client.ask(events()))?;
    Ok(Round {
        alone: Latencies::new(alone, None),
        beside: Latencies::new(beside, Some(rate)),
    })
}

/// Makes the table of all systems, of which each has the same number of rounds.
fn comparison(names: &[String], rounds: &[Vec<Round>], base: usize) -> Table {
    let header = ["system", "lone requests", "p50 ms", "p99 ms", "p99.9 ms"];
    let header = [&header[..], &["longest ms", "ratio", "duplicates/s"]].concat();
    let mut compared = table(header);
    for (name, own) in names.iter().zip(rounds) {
        for (kind_name, kind) in KINDS {
            let latencies = |rounds: &[Round]| -> Vec<_> { rounds.iter().map(kind).collect() };
            let figures = figures(&latencies(own), &latencies(&rounds[base]));
            compared.add_row(
                [name.clone(), kind_name.to_owned()]
                    .into_iter()
                    .chain(figures),
            );
        }
    }
    compared
}

/// Returns the figures of a row: the median of each over all rounds. The ratio is that of two p50
/// of one round.
fn figures(own: &[Latencies], base: &[Latencies]) -> Vec<String> {
    let of = |figure: usize| own.iter().map(move |round| round.figures_ms[figure]);
    let both = of(0).zip(base);
    let ratio = median(both.map(|(own, base)| own / base.figures_ms[0]).collect());
    let rates: Vec<_> = own.iter().filter_map(|round| round.rate).collect();
    let rate = (!rates.is_empty()).then(|| grouped(median(rates)));
    let latencies = (0..4).map(|figure| format!("{:.3}", median(of(figure).collect())));
    let others = [format!("{ratio:.2}"), rate.unwrap_or_default()];
    latencies.chain(others).collect()
}

/// Describes the job in one line.
fn job(plan: &Plan) -> String {
    let Plan {
        ids,
        requests,
        duplicates,
        runs,
        preparation,
        ..
    } = plan;
    let kind = preparation.id_kind;
    format!(
        "{requests} lone requests alone and {requests} beside {duplicates} old duplicates, after \
         {ids} events\nwith ids of {kind}, {WORDS} words; rounds: {runs}"
    )
}

const NOTE: &str = "\
Each system keeps the state of all events. In each round, its process is started anew. As soon as it
listens on its control socket, a client sends requests for new events there, each after the reply to
the one before it: first alone, then beside a stream of old duplicates on standard input. The
duplicates are in any order, and are sent again and again, as fast as the process takes them. Every
second round is in reverse order. Each figure is the median of all rounds: `longest` is that of the
longest latency of each round, and a ratio is that of two p50 of one round. duplicates/s is the rate
of the stream during the lone requests. Every reply is checked: those to lone requests are new, and
those to the stream are duplicates, as many as were sent.";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::new_events::IdKind;

    fn latencies(milliseconds: impl Iterator<Item = u64>, rate: Option<f64>) -> Latencies {
        Latencies::new(milliseconds.map(Duration::from_millis).collect(), rate)
    }

    #[test]
    fn latencies_have_their_percentiles_and_the_longest() {
        let many = latencies((1..=2000).rev(), None);
        assert_eq!(many.figures_ms, [1000.0, 1980.0, 1998.0, 2000.0]);
        assert_eq!(latencies(7..8, None).figures_ms, [7.0; 4]);
    }

    /// The median ratio is not the ratio of the medians.
    #[test]
    fn figures_are_medians_of_all_rounds_and_ratios_those_within_a_round() {
        let rounds = |p50: [u64; 3]| p50.map(|p50| latencies(p50..p50 + 1, Some(p50 as f64 * 1e3)));
        let (own, base) = (rounds([60, 80, 90]), rounds([30, 10, 20]));
        let figures = figures(&own, &base);
        assert_eq!(figures[..4], ["80.000"; 4]);
        assert_eq!(figures[4..], ["4.50", "80,000"]);
    }

    #[test]
    fn each_system_has_a_row_for_each_kind_and_only_the_stream_has_a_rate() {
        let round = |alone, beside| Round {
            alone: latencies(alone..alone + 1, None),
            beside: latencies(beside..beside + 1, Some(4e5)),
        };
        let names = ["one", "other"].map(str::to_owned);
        let table = comparison(&names, &[vec![round(1, 10)], vec![round(2, 30)]], 0);
        let table = table.to_string();
        let rows: Vec<Vec<_>> = table
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        let alone = ["other", "alone", "2.000", "2.000", "2.000", "2.000", "2.00"];
        assert!(rows.contains(&alone.to_vec()), "{table}");
        let beside = rows.iter().filter(|row| row.contains(&"beside"));
        let ends: Vec<_> = beside.map(|row| row[row.len() - 2..].to_vec()).collect();
        assert_eq!(ends, [["1.00", "400,000"], ["3.00", "400,000"]], "{table}");
    }

    #[test]
    fn the_job_names_all_amounts() {
        let plan = Plan {
            ids: 50,
            requests: 6,
            duplicates: 20,
            runs: 2,
            preparation: Preparation {
                id_kind: IdKind::Text,
                slice: 30,
            },
            start_seconds: 1,
        };
        let job = job(&plan);
        for part in ["6 lone", "20 old", "50 events", "of text", "rounds: 2"] {
            assert!(job.contains(part), "{job}");
        }
    }
}
