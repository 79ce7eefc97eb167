//! What `peers` has found, in each of its forms: JSON lines, a table, a record and a picture.

use anyhow::Context;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde::Serialize;

use crate::chart::{Bar, bars};
use crate::contest::{Run, Score, Trial};
use crate::machine::Machine;

/// One system's figures.
#[derive(Debug, Clone, Serialize)]
pub struct Standing {
    /// Its name and version.
    pub system: String,
    /// Events a transaction; none for exactly-once, which groups what is waiting.
    pub batch: Option<usize>,
    /// How many events it answered in the run that has the median rate.
    pub events: u64,
    /// The rate of that run, in events a second.
    pub rate: f64,
    /// The rate of exactly-once, divided by this one's.
    pub ratio: f64,
    /// Bytes that the files take of the disk for each event, after the clean end of that run.
    pub bytes_an_event: f64,
    /// Each run.
    pub runs: Vec<Run>,
    /// The sizes of batches that were tried, with fewer events.
    pub trials: Vec<Trial>,
}

impl Standing {
    /// The figures of a system beside those of exactly-once, which has none beside it.
    ///
    /// # Errors
    ///
    /// If there was no run.
    pub fn new(system: String, score: Score, node: Option<&Self>) -> anyhow::Result<Self> {
        let run = score.median()?;
        Ok(Self {
            system,
            batch: score.batch,
            events: run.events,
            rate: run.rate,
            ratio: node.map_or(1.0, |node| node.rate / run.rate),
            bytes_an_event: run.disk_bytes as f64 / run.events as f64,
            runs: score.runs,
            trials: score.trials,
        })
    }
}

/// All that one run of `peers` has found.
#[derive(Debug, Clone, Serialize)]
pub struct Standings {
    /// The command, without paths.
    pub command: String,
    /// The machine and the day.
    pub machine: Machine,
    /// What was answered, in two lines.
    pub job: String,
    /// The median of a bare 4 KiB write with fdatasync before and after, in microseconds.
    pub bare_us: [f64; 2],
    /// The systems, exactly-once first.
    pub systems: Vec<Standing>,
}

impl Standings {
    /// A line that tells everything but the systems.
    ///
    /// # Errors
    ///
    /// None that can happen.
    pub fn json_line(&self) -> anyhow::Result<String> {
        let mut line = serde_json::to_value(self).context("writing a JSON line")?;
        if let Some(members) = line.as_object_mut() {
            members.remove("systems");
        }
        Ok(line.to_string())
    }

    /// The tables, and the disk below them.
    #[must_use]
    pub fn table(&self) -> String {
        let rows = self.systems.iter().map(|system| row(system).to_vec());
        let [before, after] = self.bare_us;
        format!(
            "{}\n{}\n{NOTE}\n{}\na bare 4 KiB write and fdatasync: p50 {before:.0} us before, \
             {after:.0} us after\n",
            self.job,
            table(HEADER.map(str::to_owned).to_vec(), rows),
            self.trials()
        )
    }

    /// The table of the rates at each size of batches that was tried; none if none was.
    fn trials(&self) -> String {
        let sizes = self.systems.iter().flat_map(|system| &system.trials);
        let mut sizes: Vec<usize> = sizes.map(|trial| trial.batch).collect();
        sizes.sort_unstable();
        sizes.dedup();
        if sizes.is_empty() {
            return String::new();
        }
        let header = sizes.iter().map(|size| grouped(*size as f64));
        let header = [TRIAL_HEADER.to_owned()].into_iter().chain(header);
        let rows = self.systems.iter().map(|system| trial_row(system, &sizes));
        format!("\n{}\n{TRIAL_NOTE}\n", table(header.collect(), rows))
    }

    /// The record: command, day, machine, tables.
    #[must_use]
    pub fn record(&self) -> String {
        format!(
            "$ {}\n{}\nmachine: {}\n\n{}",
            self.command,
            self.machine.date,
            self.machine,
            self.table()
        )
    }

    /// A bar for each system, fastest first, as SVG.
    ///
    /// # Errors
    ///
    /// If it cannot be drawn.
    pub fn svg(&self) -> anyhow::Result<String> {
        let mut systems: Vec<&Standing> = self.systems.iter().collect();
        systems.sort_by(|one, other| other.rate.total_cmp(&one.rate));
        let bar = |system: &&Standing| Bar {
            name: system.system.clone(),
            value: system.rate,
            label: grouped(system.rate),
            is_emphasised: system.batch.is_none(),
        };
        let chart: Vec<Bar> = systems.iter().map(bar).collect();
        bars(
            "Durable, deduplicated, answered events a second",
            "events/s, logarithmic",
            &chart,
        )
    }
}

const HEADER: [&str; 6] = [
    "system",
    "batch",
    "events",
    "events/s",
    "ratio",
    "bytes an event",
];

const NOTE: &str = "\
All do the same job: take events in order of arrival, and answer each with the count of its word
after it and whether its id was a duplicate, once that is on stable storage. Every reply is checked.
exactly-once is a process that reads JSON lines from a file and writes JSON lines to a file; the
others get decoded events, their ids as text, and give values, in batches of the size that was best
for each below, a transaction a batch. The run with the median rate is shown, opening and closing
included. One with fewer events than the rest had no time for more; as stores slow down when they
grow, that favours it. Bytes are those that the files take of the disk after a clean end.";

const TRIAL_HEADER: &str = "events/s, batches of";

const TRIAL_NOTE: &str = "\
The rate at each size of batches, in one run with fewer events, opening and closing included. What
answers quickly has small ones. exactly-once is asked on a pipe here: so many requests are sent, and
no further one before all are answered; of each reply only `was_duplicate` is checked here.";

fn table(header: Vec<String>, rows: impl Iterator<Item = Vec<String>>) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_HORIZONTAL_ONLY)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(header)
        .add_rows(rows);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn trial_row(system: &Standing, sizes: &[usize]) -> Vec<String> {
    let rate = |size: &usize| {
        let trial = system.trials.iter().find(|trial| trial.batch == *size);
        trial.map_or("-".to_owned(), |trial| grouped(trial.rate))
    };
    let name = [system.system.clone()].into_iter();
    name.chain(sizes.iter().map(rate)).collect()
}

fn row(system: &Standing) -> [String; 6] {
    let batch = system.batch.map(|batch| grouped(batch as f64));
    [
        system.system.clone(),
        batch.unwrap_or_else(|| "its own".to_owned()),
        grouped(system.events as f64),
        grouped(system.rate),
        format!("{:.1}", system.ratio),
        format!("{:.1}", system.bytes_an_event),
    ]
}

/// A whole number with commas between its thousands.
fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The command of a program of this package, from its arguments. Of a path only the last part
/// stays, so that a record tells nothing of where it was made.
#[must_use]
pub fn command(program: &str, arguments: impl Iterator<Item = String>) -> String {
    let mut command = format!("cargo run --release --bin {program} --");
    for argument in arguments {
        let (name, value) = match argument.split_once('=') {
            Some((name, value)) => (format!("{name}="), value),
            None => (String::new(), argument.as_str()),
        };
        let value = value.trim_end_matches('/').rsplit('/').next();
        command += &format!(" {name}{}", value.unwrap_or_default());
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(events: u64, rate: f64) -> Run {
        Run {
            events,
            rate,
            disk_bytes: 40 * events,
        }
    }

    fn trial(batch: usize, rate: f64) -> Trial {
        Trial {
            batch,
            events: 10,
            rate,
        }
    }

    fn standings() -> anyhow::Result<Standings> {
        let node = Score {
            batch: None,
            trials: vec![trial(10, 654_321.0)],
            runs: vec![run(100, 3e6), run(100, 1e6), run(100, 2e6)],
        };
        let node = Standing::new("node".to_owned(), node, None)?;
        let peer = Score {
            batch: Some(10),
            trials: vec![trial(10, 54_321.0), trial(7, 4321.0)],
            runs: vec![run(50, 2e5), run(48, 1e5), run(46, 9e4)],
        };
        let peer = Standing::new("peer".to_owned(), peer, Some(&node))?;
        Ok(Standings {
            command: command("peers", ["--runs".to_owned(), "3".to_owned()].into_iter()),
            machine: Machine::of(std::path::Path::new(".")),
            job: "100 events".to_owned(),
            bare_us: [190.0, 200.0],
            systems: vec![node, peer],
        })
    }

    #[test]
    fn a_ratio_is_to_the_median_of_the_first() -> anyhow::Result<()> {
        let standings = standings()?;
        assert_eq!(standings.systems[0].ratio, 1.0);
        assert_eq!(standings.systems[1].ratio, 20.0);
        assert_eq!(standings.systems[1].events, 48);
        assert_eq!(standings.systems[1].bytes_an_event, 40.0);
        Ok(())
    }

    #[test]
    fn the_record_has_command_machine_and_figures() -> anyhow::Result<()> {
        let record = standings()?.record();
        assert!(record.starts_with("$ cargo run --release --bin peers -- --runs 3\n"));
        for part in ["2,000,000", "100,000", "20.0", "its own", "190 us", "cores"] {
            assert!(record.contains(part), "{part}: {record}");
        }
        Ok(())
    }

    #[test]
    fn the_record_has_the_rate_at_each_size_that_was_tried() -> anyhow::Result<()> {
        let record = standings()?.record();
        let row = |name| {
            let rows = record
                .lines()
                .skip_while(|line| !line.contains(TRIAL_HEADER));
            let mut rows = rows.map(|row| row.split_whitespace().collect::<Vec<_>>());
            rows.find(|row| row.contains(&name)).unwrap_or_default()
        };
        assert_eq!(row("events/s,"), ["events/s,", "batches", "of", "7", "10"]);
        assert_eq!(row("node"), ["node", "-", "654,321"]);
        assert_eq!(row("peer"), ["peer", "4,321", "54,321"]);
        Ok(())
    }

    #[test]
    fn the_picture_names_every_system() -> anyhow::Result<()> {
        let svg = standings()?.svg()?;
        assert!(svg.starts_with("<svg") && svg.contains("node") && svg.contains("100,000"));
        Ok(())
    }

    #[test]
    fn a_command_tells_no_path() {
        let arguments = [
            "--binary",
            "/a/b/node",
            "--text=/a/b/peers.txt",
            "--events",
            "5",
        ];
        assert_eq!(
            command("peers", arguments.map(str::to_owned).into_iter()),
            "cargo run --release --bin peers -- --binary node --text=peers.txt --events 5"
        );
    }
}
