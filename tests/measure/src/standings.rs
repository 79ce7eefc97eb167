//! The results of `peers`: tables, a record and a picture.

use comfy_table::Table;
use serde::Serialize;

use crate::chart::{bars, grouped};
use crate::contest::{BATCHES, Standing};
use crate::harness::table;
use crate::machine::Machine;
use crate::record::record;

/// All results of one run of `peers`.
#[derive(Debug, Clone, Serialize)]
pub struct Standings {
    /// The command line.
    pub command: String,
    /// The machine and the day.
    pub machine: Machine,
    /// The job, in two lines.
    pub job: String,
    /// The median of a bare 4 KiB write with fdatasync before and after, in microseconds.
    pub bare_us: [f64; 2],
    /// The systems, exactly-once first.
    pub systems: Vec<Standing>,
}

const NOTE: &str = "\
All do the same job: take events in order of arrival, and answer each with the count of its word
after it and whether its id was a duplicate, once that is on stable storage. Every reply is checked.
exactly-once is a process that reads JSON lines from a file and writes JSON lines to a file; the
others get decoded events, their ids as text, and give values, in batches of the size that was best
for each below, a transaction a batch. The run with the median rate is shown, opening and closing
included. One with fewer events than the rest had no time for more; as stores slow down when they
grow, that favours it. Bytes are those that the files take of the disk after a clean end.";

const TRIAL_NOTE: &str = "\
The rate at each size of batches, in one run with fewer events, opening and closing included. What
answers quickly has small ones. exactly-once is asked on a pipe here: this many requests are sent,
and no further one before all are answered.";

impl Standings {
    /// Returns the tables, and the speed of the disk below them.
    #[must_use]
    pub fn tables(&self) -> String {
        let (job, [before, after]) = (&self.job, self.bare_us);
        let (results, trials) = (self.results(), self.trials());
        format!(
            "{job}\n{results}\n{NOTE}\n\n{trials}\n{TRIAL_NOTE}\n\n\
             a bare 4 KiB write and fdatasync: p50 {before:.0} us before, {after:.0} us after\n"
        )
    }

    /// Returns the record: command, day, machine and tables.
    #[must_use]
    pub fn record(&self) -> String {
        record(&self.command, &self.machine, &self.tables())
    }

    /// Draws a bar for each system, the fastest on top, as SVG.
    pub fn svg(&self) -> anyhow::Result<String> {
        let rate = |one: &Standing| (one.system.clone(), one.median().rate);
        let mut rates: Vec<_> = self.systems.iter().map(rate).collect();
        let subject = rates.first().cloned().unwrap_or_default().0;
        rates.sort_by(|one, other| one.1.total_cmp(&other.1));
        let title = "Durable, deduplicated, answered events a second";
        bars(title, "events/s, logarithmic", &rates, &subject)
    }

    fn results(&self) -> Table {
        let header = "system,batch,events,events/s,ratio,bytes an event";
        let mut results = table(header.split(',').collect());
        let first = self
            .systems
            .first()
            .map_or(0.0, |first| first.median().rate);
        for standing in &self.systems {
            let run = standing.median();
            let batch = run.batch.map(|batch| grouped(batch as f64));
            results.add_row([
                standing.system.clone(),
                batch.unwrap_or("its own".to_owned()),
                grouped(run.events as f64),
                grouped(run.rate),
                format!("{:.1}", first / run.rate),
                format!("{:.1}", run.disk_bytes as f64 / run.events as f64),
            ]);
        }
        results
    }

    /// Makes the table of the rates at each batch size.
    fn trials(&self) -> Table {
        let sizes = BATCHES.map(|size| grouped(size as f64));
        let header = ["events/s, batches of".to_owned()].into_iter().chain(sizes);
        let mut trials = table(header.collect());
        for standing in &self.systems {
            let rates = standing.trials.iter().map(|trial| grouped(trial.rate));
            trials.add_row([standing.system.clone()].into_iter().chain(rates));
        }
        trials
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contest::Run;

    fn standing(system: &str, batch: Option<usize>, rate: f64) -> Standing {
        let run = Run {
            batch,
            events: 50,
            rate,
            disk_bytes: 2000,
        };
        Standing {
            system: system.to_owned(),
            trials: vec![run],
            runs: vec![run],
        }
    }

    #[test]
    fn record_and_picture_have_all_figures() -> anyhow::Result<()> {
        let [node, peer] = [("node", None, 2e6), ("peer", Some(10), 1e5)];
        let standings = Standings {
            command: "cargo run".to_owned(),
            machine: Machine::of(std::path::Path::new(".")),
            job: "50 events".to_owned(),
            bare_us: [190.0, 200.0],
            systems: [node, peer]
                .map(|(name, batch, rate)| standing(name, batch, rate))
                .into(),
        };
        let record = standings.record();
        let rows = record.lines().filter(|line| line.starts_with(" peer"));
        let rows: Vec<Vec<_>> = rows.map(|row| row.split_whitespace().collect()).collect();
        assert_eq!(rows[0], ["peer", "10", "50", "100,000", "20.0", "40.0"]);
        assert_eq!(rows[1], ["peer", "100,000"]);
        assert!(record.starts_with("$ cargo run\n2") && record.contains("p50 190 us before"));
        let svg = standings.svg()?;
        assert!(svg.starts_with("<svg") && svg.contains("node") && svg.contains("100,000"));
        Ok(())
    }
}
