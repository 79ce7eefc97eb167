//! Figures in the text format of Prometheus, and a file of them that is kept up to date.

use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use exactly_once::StorageError;
use exactly_once::inspect::{ProcessStats, Stats, TreeStats};
use prometheus::{Gauge, GaugeVec, IntCounter, Opts, Registry, TextEncoder};
use tracing::warn;

use super::connection::Connection;
use super::files::replace_file;
use super::source::Source;
use super::stats;

/// Figures as Prometheus reads them.
pub(super) fn text(stats: &Stats) -> anyhow::Result<String> {
    let registry = Registry::new_custom(Some("exactly_once".to_owned()), None)?;
    let process = stats.process.iter();
    let gauges = gauges(stats).into_iter();
    for (name, help, value) in gauges.chain(process.clone().flat_map(gauges_of_process)) {
        let gauge = Gauge::new(name, help)?;
        gauge.set(value);
        registry.register(Box::new(gauge))?;
    }
    let counters = counters(stats).into_iter();
    for (name, help, value) in counters.chain(process.flat_map(counters_of_process)) {
        let counter = IntCounter::new(name, help)?;
        counter.inc_by(value);
        registry.register(Box::new(counter))?;
    }
    let of_trees: [Metric<OfTree>; 2] = [
        (
            "tree_entries",
            "Entries of a tree of the database.",
            |tree| tree.entries,
        ),
        ("tree_bytes", "Bytes of a tree's keys and values.", |tree| {
            tree.bytes
        }),
    ];
    for (name, help, value) in of_trees {
        let gauges = GaugeVec::new(Opts::new(name, help), &["tree"])?;
        for tree in &stats.trees {
            let gauge = gauges.with_label_values(&[&tree.name]);
            gauge.set(value(tree) as f64);
        }
        registry.register(Box::new(gauges))?;
    }
    Ok(TextEncoder::new().encode_to_string(&registry.gather())?)
}

/// A name, what it is of, and the value.
type Metric<T> = (&'static str, &'static str, T);

/// What one of them is of a tree.
type OfTree = fn(&TreeStats) -> u64;

fn gauges(stats: &Stats) -> [Metric<f64>; 4] {
    [
        ("events", "Events in the state.", stats.events as f64),
        (
            "pending_outputs",
            "Outputs that wait for a commit.",
            stats.pending as f64,
        ),
        (
            "checkpoints",
            "Checkpoints that there are.",
            stats.checkpoints as f64,
        ),
        (
            "disk_bytes",
            "Bytes of the database's file.",
            stats.disk_bytes as f64,
        ),
    ]
}

fn gauges_of_process(process: &ProcessStats) -> [Metric<f64>; 4] {
    let rate = "Events a second, over the last seconds.";
    let index = "Bytes of memory that the index of event ids takes.";
    let clients = "Clients of the control socket.";
    [
        (
            "uptime_seconds",
            "How long the process has run.",
            process.uptime_seconds,
        ),
        ("events_per_second", rate, process.events_per_second),
        ("index_bytes", index, process.index_bytes as f64),
        ("clients", clients, process.clients as f64),
    ]
}

fn counters(stats: &Stats) -> [Metric<u64>; 4] {
    let position = "Events that were ever accepted, and are durable.";
    [
        (
            "committed_outputs_total",
            "Outputs that were released.",
            stats.committed,
        ),
        (
            "commits_total",
            "Commits that released something.",
            stats.commits,
        ),
        ("moves_total", "Restores and rollbacks.", stats.moves),
        ("position_total", position, stats.position),
    ]
}

fn counters_of_process(process: &ProcessStats) -> [Metric<u64>; 3] {
    let conflicts = "Events that came with another word since the start.";
    [
        (
            "accepted_total",
            "Events accepted since the start.",
            process.accepted,
        ),
        (
            "duplicates_total",
            "Events found again since the start.",
            process.duplicates,
        ),
        ("conflicts_total", conflicts, process.conflicts),
    ]
}

/// A file of figures, for node-exporter's textfile collector, that a thread writes again and again.
pub(super) struct MetricsFile {
    finished: Sender<()>,
    thread: JoinHandle<()>,
}

impl MetricsFile {
    /// Starts to write the figures of the process that holds a directory: this one.
    pub(super) fn start(
        path: &Path,
        every: Duration,
        directory: &Path,
    ) -> Result<Self, StorageError> {
        let (finished, is_finished) = channel();
        let (path, directory) = (path.to_owned(), directory.to_owned());
        let thread = std::thread::Builder::new().spawn(move || {
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
        let thread = thread.map_err(StorageError::Thread)?;
        Ok(Self { finished, thread })
    }

    /// Leaves the last figures standing.
    pub(super) fn finish(self) {
        drop(self.finished);
        // Metrics that panicked are no reason to fail.
        self.thread.join().unwrap_or_default();
    }
}

fn write(path: &Path, directory: &Path) -> anyhow::Result<()> {
    let connection = Connection::open(directory).context("connecting to the control socket")?;
    let stats = stats::ask(&mut Source::Live(connection))?;
    replace_file(path, text(&stats)?.as_bytes())
}
