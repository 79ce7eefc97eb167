//! The same work by several systems in rounds, and how their rates compare.

use std::time::Duration;

use comfy_table::Table;

use crate::chart::grouped;
use crate::entrants::Entrants;
use crate::harness::{rank, table};
use crate::node::Answered;

/// One or more processes of a system, each from its start to its end.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Run {
    events: u64,
    elapsed: Duration,
    peak_memory_bytes: u64,
}

impl Run {
    /// Takes the figures of a process that answered this many events.
    pub(crate) fn new(events: u64, answered: &Answered) -> Self {
        Self {
            events,
            elapsed: answered.elapsed,
            peak_memory_bytes: answered.peak_memory_bytes,
        }
    }

    /// Adds the process that ran next on the same state.
    pub(crate) fn add(&mut self, next: Self) {
        self.events += next.events;
        self.elapsed += next.elapsed;
        self.peak_memory_bytes = self.peak_memory_bytes.max(next.peak_memory_bytes);
    }

    /// Returns the events a second.
    pub(crate) fn rate(&self) -> f64 {
        self.events as f64 / self.elapsed.as_secs_f64()
    }
}

/// Calls `run` once for each system in each round, in reverse order in every second round. Returns
/// the results of each system.
pub(crate) fn in_rounds<T>(
    systems: usize,
    rounds: u32,
    mut run: impl FnMut(usize) -> anyhow::Result<T>,
) -> anyhow::Result<Vec<Vec<T>>> {
    let mut results: Vec<Vec<T>> = (0..systems).map(|_| Vec::new()).collect();
    for round in 0..rounds {
        let mut order: Vec<_> = (0..systems).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for system in order {
            results[system].push(run(system)?);
        }
    }
    Ok(results)
}

/// Returns the median of some numbers, of which there must be at least one.
pub(crate) fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[rank(numbers.len(), 0.5)]
}

/// Returns the ratio of one rate to another in each round.
fn ratios(runs: &[Run], base: &[Run]) -> Vec<f64> {
    let both = runs.iter().zip(base);
    both.map(|(run, base)| run.rate() / base.rate()).collect()
}

/// Makes the table of all systems, of which each has a run in each round. `unit` is that of rates.
pub(crate) fn comparison(entrants: &Entrants, runs: &[Vec<Run>], unit: &str) -> Table {
    let header = ["system", unit, "ratio", "lowest", "highest", "MB"];
    let mut compared = table(header.to_vec());
    for (name, own) in entrants.names().into_iter().zip(runs) {
        let [rate, ratios @ .., memory] = figures(own, &runs[entrants.base()]);
        let ratios = ratios.map(|ratio| format!("{ratio:.2}"));
        let row = [name, grouped(rate)].into_iter().chain(ratios);
        compared.add_row(row.chain([grouped(memory)]));
    }
    compared
}

/// Returns the median rate, the ratio within a round (median, lowest, highest), and the peak memory
/// of all rounds in megabytes.
fn figures(runs: &[Run], base: &[Run]) -> [f64; 5] {
    let ratios = ratios(runs, base);
    let memory_bytes = runs.iter().map(|run| run.peak_memory_bytes).max();
    [
        median(runs.iter().map(Run::rate).collect()),
        median(ratios.clone()),
        ratios.iter().copied().fold(f64::INFINITY, f64::min),
        ratios.iter().copied().fold(0.0, f64::max),
        memory_bytes.unwrap_or_default() as f64 / 1e6,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(events: u64, seconds: u64, megabytes: u64) -> Run {
        Run {
            events,
            elapsed: Duration::from_secs(seconds),
            peak_memory_bytes: megabytes * 1_000_000,
        }
    }

    #[test]
    fn every_second_round_is_in_reverse_order() -> anyhow::Result<()> {
        let mut order = Vec::new();
        let results = in_rounds(2, 3, |system| {
            order.push(system);
            Ok(order.len())
        })?;
        assert_eq!(order, [0, 1, 1, 0, 0, 1]);
        assert_eq!(results, [[1, 4, 5], [2, 3, 6]]);
        Ok(())
    }

    /// The median ratio is not the ratio of the median rates.
    #[test]
    fn a_ratio_is_that_of_two_runs_of_one_round() {
        let runs = [run(60, 1, 7), run(80, 1, 9), run(90, 1, 8)];
        let base = [run(30, 1, 1), run(10, 1, 1), run(20, 1, 1)];
        assert_eq!(figures(&runs, &base), [80.0, 4.5, 2.0, 8.0, 9.0]);
        assert_eq!(figures(&base, &base), [20.0, 1.0, 1.0, 1.0, 1.0]);
    }

    #[test]
    fn a_run_of_several_processes_has_all_their_events_and_the_highest_memory() {
        let mut sum = Run::default();
        for process in [run(10, 1, 5), run(50, 3, 4)] {
            sum.add(process);
        }
        assert_eq!(
            figures(&[sum], &[run(30, 1, 1)]),
            [15.0, 0.5, 0.5, 0.5, 5.0]
        );
    }
}
