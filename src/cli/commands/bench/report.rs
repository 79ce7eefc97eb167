//! What a bench tells: one JSON line, or tables.

use std::io::Write;
use std::time::Duration;

use comfy_table::{CellAlignment, Table};
use serde::Serialize;

use super::latency::Latency;
use super::throughput::Throughput;
use super::{BenchArgs, Ids};
use crate::cli::streams::stdout;

/// Everything that was measured, under the names of the JSON line.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "bench")]
pub(super) struct Report {
    events: u64,
    ids: &'static str,
    duplicates: f64,
    words: u64,
    seconds: f64,
    /// The median of the runs.
    events_per_second: f64,
    /// Those of all runs, the slowest first.
    rates: Vec<f64>,
    /// The same while others looked on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    watched_rates: Vec<f64>,
    /// The median of these by that of the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    watched_to_alone: Option<f64>,
    accepted: u64,
    found_again: u64,
    /// Of all positions that the directory has.
    disk_bytes_per_position: f64,
    peak_memory_bytes: Option<u64>,
    index_bytes: u64,
    stages: Vec<Stage>,
    /// How often sled was opened again on the way, and the longest pause that this made.
    reopened: u64,
    longest_reopen_seconds: f64,
    lone: Option<Percentiles>,
    bare: Option<Percentiles>,
    /// The median of a lone request by that of a bare write.
    lone_to_bare: Option<f64>,
}

/// A stage of the pipeline, and how long it was at work.
#[derive(Debug, Serialize)]
struct Stage {
    name: &'static str,
    seconds: f64,
    /// Of the time that passed. Stages overlap, so that together they may have more than all of it.
    share: f64,
}

/// Latencies in microseconds.
#[derive(Debug, Clone, Copy, Serialize)]
struct Percentiles {
    p50_us: f64,
    p99_us: f64,
    p999_us: f64,
}

impl Percentiles {
    /// Of sorted latencies; `None` if there are none.
    fn of(sorted: &[Duration]) -> Option<Self> {
        let last = sorted.len().checked_sub(1)?;
        let at = |share: f64| sorted[(share * last as f64) as usize].as_secs_f64() * 1e6;
        Some(Self {
            p50_us: at(0.5),
            p99_us: at(0.99),
            p999_us: at(0.999),
        })
    }
}

impl Report {
    /// The report of at least one run, and of lone requests.
    pub(super) fn new(
        args: &BenchArgs,
        mut runs: Vec<Throughput>,
        mut watched: Vec<Throughput>,
        latency: Latency,
    ) -> Self {
        let rate = |run: &Throughput| args.events as f64 / run.elapsed.as_secs_f64();
        let rates = |runs: &mut Vec<Throughput>| -> Vec<f64> {
            runs.sort_by_key(|run| std::cmp::Reverse(run.elapsed));
            runs.iter().map(rate).collect()
        };
        let (rates, watched_rates) = (rates(&mut runs), rates(&mut watched));
        let median = |rates: &[f64]| rates.get(rates.len() / 2).copied();
        let medians = median(&watched_rates).zip(median(&rates));
        let watched_to_alone = medians.map(|(watched, alone)| watched / alone);
        let Throughput {
            elapsed,
            stages,
            statistics,
            disk_bytes,
            peak_memory_bytes,
        } = runs.swap_remove(runs.len() / 2);
        let seconds = elapsed.as_secs_f64();
        let stage = |name, time: Duration| Stage {
            name,
            seconds: time.as_secs_f64(),
            share: time.as_secs_f64() / seconds,
        };
        let (lone, bare) = (
            Percentiles::of(&latency.lone),
            Percentiles::of(&latency.bare),
        );
        Self {
            events: args.events,
            ids: match args.ids {
                Ids::Uuid => "uuid",
                Ids::Sequential => "sequential",
                Ids::Replayed => "replayed",
            },
            duplicates: args.duplicates,
            words: args.words,
            seconds,
            events_per_second: args.events as f64 / seconds,
            rates,
            watched_rates,
            watched_to_alone,
            accepted: statistics.accepted,
            found_again: statistics.duplicates,
            disk_bytes_per_position: disk_bytes as f64 / statistics.position.max(1) as f64,
            peak_memory_bytes,
            index_bytes: statistics.index_bytes,
            stages: vec![
                stage("read", stages.read),
                stage("decode", stages.decode),
                stage("apply", stages.apply),
                stage("store", stages.store),
                stage("sync", stages.sync),
                stage("reply", stages.reply),
                stage("reopen", stages.reopen),
            ],
            reopened: stages.reopened,
            longest_reopen_seconds: stages.longest_reopen.as_secs_f64(),
            lone,
            bare,
            lone_to_bare: lone.zip(bare).map(|(lone, bare)| lone.p50_us / bare.p50_us),
        }
    }

    pub(super) fn print_table(&self) -> anyhow::Result<()> {
        let mut figures = table(["", ""]);
        let megabytes = |bytes: u64| format!("{:.0} MB", bytes as f64 / 1e6);
        let what = format!(
            "{} events, {} ids, {} % duplicates, {} words",
            self.events,
            self.ids,
            self.duplicates * 100.0,
            self.words
        );
        let listed = |rates: &[f64]| {
            let rates: Vec<String> = rates.iter().map(|rate| format!("{rate:.0}")).collect();
            rates.join(", ")
        };
        let rate = format!("{:.0} events/s", self.events_per_second);
        let disk = format!(
            "{:.1} bytes an accepted event",
            self.disk_bytes_per_position
        );
        let memory = self.peak_memory_bytes.map_or("unknown".into(), megabytes);
        let index = megabytes(self.index_bytes);
        let reopened = match self.reopened {
            0 => "never".to_owned(),
            times => format!(
                "{times} times, {:.2} s at most",
                self.longest_reopen_seconds
            ),
        };
        for (name, value) in [
            ("answered", what),
            ("rate", rate),
            ("rates of all runs", listed(&self.rates)),
            ("disk", disk),
            ("peak memory", memory),
            ("index of ids", index),
            ("sled opened again", reopened),
        ] {
            figures.add_row([name.to_owned(), value]);
        }
        if let Some(ratio) = self.watched_to_alone {
            let rates = format!("{}; {ratio:.2} of that", listed(&self.watched_rates));
            figures.add_row(["rates while watched".to_owned(), rates]);
        }
        let mut stages = table(["stage", "seconds", "of the time"]);
        for Stage {
            name,
            seconds,
            share,
        } in &self.stages
        {
            let share = format!("{:.0} %", share * 100.0);
            stages.add_row([(*name).to_owned(), format!("{seconds:.2}"), share]);
        }
        let mut output = stdout::text()?;
        writeln!(output, "{figures}\n\n{stages}")?;
        if let Some(latencies) = self.latencies() {
            writeln!(output, "\n{latencies}")?;
        }
        Ok(output.flush()?)
    }

    fn latencies(&self) -> Option<Table> {
        let mut latencies = table(["microseconds", "p50", "p99", "p99.9"]);
        for (name, percentiles) in [
            ("a lone request", self.lone?),
            ("a bare 4 KiB write and fdatasync", self.bare?),
        ] {
            let Percentiles {
                p50_us,
                p99_us,
                p999_us,
            } = percentiles;
            let shown = [p50_us, p99_us, p999_us].map(|time| format!("{time:.0}"));
            latencies.add_row(std::iter::once(name.to_owned()).chain(shown));
        }
        let ratio = format!("{:.2}", self.lone_to_bare?);
        latencies.add_row(["ratio".to_owned(), ratio]);
        Some(latencies)
    }
}

/// An empty table, with figures to the right.
fn table<const COLUMNS: usize>(header: [&str; COLUMNS]) -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::UTF8_HORIZONTAL_ONLY);
    if header.iter().any(|name| !name.is_empty()) {
        table.set_header(header);
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}
