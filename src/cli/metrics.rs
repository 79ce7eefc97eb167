//! Figures in the text format of Prometheus, and a file of them that is kept up to date.

use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use exactly_once::inspect::{Query, Stats};
use prometheus::{Gauge, GaugeVec, IntCounter, Opts, Registry, TextEncoder};
use tracing::warn;

use super::connection::Connection;
use super::files::replace_file;

/// Figures as Prometheus reads them.
pub(super) fn text(stats: &Stats) -> anyhow::Result<String> {
    let registry = Registry::new_custom(Some("exactly_once".to_owned()), None)?;
    let gauge = |name: &str, help: &str, value: f64| -> anyhow::Result<()> {
        let gauge = Gauge::new(name, help)?;
        gauge.set(value);
        Ok(registry.register(Box::new(gauge))?)
    };
    let counter = |name: &str, help: &str, value: u64| -> anyhow::Result<()> {
        let counter = IntCounter::new(name, help)?;
        counter.inc_by(value);
        Ok(registry.register(Box::new(counter))?)
    };
    gauge("events", "Events in the state.", stats.events as f64)?;
    gauge(
        "pending_outputs",
        "Outputs that wait for a commit.",
        stats.pending as f64,
    )?;
    counter(
        "committed_outputs_total",
        "Outputs that were released.",
        stats.committed,
    )?;
    counter(
        "commits_total",
        "Commits that released something.",
        stats.commits,
    )?;
    gauge(
        "checkpoints",
        "Checkpoints that there are.",
        stats.checkpoints as f64,
    )?;
    counter("moves_total", "Restores and rollbacks.", stats.moves)?;
    counter(
        "position_total",
        "Events that were ever accepted, and are durable.",
        stats.position,
    )?;
    gauge(
        "disk_bytes",
        "Bytes of the database's file.",
        stats.disk_bytes as f64,
    )?;
    let of_tree = |name: &str, help: &str| -> anyhow::Result<GaugeVec> {
        let gauges = GaugeVec::new(Opts::new(name, help), &["tree"])?;
        registry.register(Box::new(gauges.clone()))?;
        Ok(gauges)
    };
    let entries = of_tree("tree_entries", "Entries of a tree of the database.")?;
    let bytes = of_tree("tree_bytes", "Bytes of a tree's keys and values.")?;
    for tree in &stats.trees {
        entries
            .with_label_values(&[&tree.name])
            .set(tree.entries as f64);
        bytes
            .with_label_values(&[&tree.name])
            .set(tree.bytes as f64);
    }
    if let Some(process) = &stats.process {
        gauge(
            "uptime_seconds",
            "How long the process has run.",
            process.uptime_seconds,
        )?;
        counter(
            "accepted_total",
            "Events accepted since the start.",
            process.accepted,
        )?;
        counter(
            "duplicates_total",
            "Events found again since the start.",
            process.duplicates,
        )?;
        counter(
            "conflicts_total",
            "Events that came with another word since the start.",
            process.conflicts,
        )?;
        let rate = "Events a second, over the last seconds.";
        gauge("events_per_second", rate, process.events_per_second)?;
        let index = "Bytes of memory that the index of event ids takes.";
        gauge("index_bytes", index, process.index_bytes as f64)?;
        gauge(
            "clients",
            "Clients of the control socket.",
            process.clients as f64,
        )?;
    }
    Ok(TextEncoder::new().encode_to_string(&registry.gather())?)
}

/// A file of figures, for node-exporter's textfile collector, that a thread writes again and again.
pub(super) struct MetricsFile {
    finished: Sender<()>,
    thread: JoinHandle<()>,
}

impl MetricsFile {
    /// Starts to write the figures of the process that holds a directory: this one.
    pub(super) fn start(path: &Path, every: Duration, directory: &Path) -> Self {
        let (finished, is_finished) = channel();
        let (path, directory) = (path.to_owned(), directory.to_owned());
        let thread = std::thread::spawn(move || {
            loop {
                let written = write(&path, &directory);
                if is_finished.recv_timeout(every) != Err(RecvTimeoutError::Timeout) {
                    // A process that is ending answers nobody any more.
                    return;
                }
                if let Err(error) = written {
                    let path = path.display();
                    warn!("the metrics in {path} are not up to date: {error:#}");
                }
            }
        });
        Self { finished, thread }
    }

    /// Leaves the last figures standing.
    pub(super) fn finish(self) {
        drop(self.finished);
        // Metrics that panicked are no reason to fail.
        self.thread.join().unwrap_or_default();
    }
}

fn write(path: &Path, directory: &Path) -> anyhow::Result<()> {
    let mut stats: Option<Stats> = None;
    Connection::open(directory)
        .context("connecting to the control socket")?
        .ask(&Query::Stats, |record| {
            stats = Some(serde_json::from_slice(record)?);
            Ok(())
        })?;
    let text = text(&stats.context("there were no figures")?)?;
    replace_file(path, text.as_bytes())
}
