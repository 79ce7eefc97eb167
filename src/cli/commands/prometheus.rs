//! Figures in the text format of Prometheus.

use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use anyhow::Context;
use exactly_once::inspect::{ProcessStats, Stats, TreeStats};
use prometheus::{Counter, Gauge, GaugeVec, IntCounterVec, Opts, Registry, TextEncoder};

use crate::cli::address::Address;

/// Formats figures for Prometheus, each with the path of the state directory or socket as a label.
pub(crate) fn text(stats: &Stats, address: Address<'_>) -> anyhow::Result<String> {
    let (label, path) = match address {
        Address::Directory(directory) => ("data_dir", directory),
        Address::Socket(socket) => ("socket", socket),
    };
    let labels = HashMap::from([(label.to_owned(), label_of(path))]);
    let registry = Registry::new_custom(Some("exactly_once".to_owned()), Some(labels))?;
    let process = stats.process.iter();
    let free_bytes = address.directory().map(free_bytes).transpose()?;
    let of_disk = "Free bytes on the disk of the state directory.";
    let free_bytes = free_bytes.map(|bytes| ("free_bytes", of_disk, bytes as f64));
    let gauges = gauges(stats)
        .into_iter()
        .chain(free_bytes)
        .chain(last_commit(stats));
    for (name, help, value) in gauges.chain(process.clone().flat_map(gauges_of_process)) {
        let gauge = Gauge::new(name, help)?;
        gauge.set(value);
        registry.register(Box::new(gauge))?;
    }
    let counters = counters(stats).into_iter();
    for (name, help, value) in counters.chain(process.clone().flat_map(counters_of_process)) {
        let counter = Counter::new(name, help)?;
        counter.inc_by(value);
        registry.register(Box::new(counter))?;
    }
    add_trees(&registry, &stats.trees)?;
    add_build(&registry, stats)?;
    process
        .take(1)
        .try_for_each(|process| add_errors(&registry, process))?;
    Ok(TextEncoder::new().encode_to_string(&registry.gather())?)
}

/// Returns the whole path, as two processes may be given the same relative one. Bytes that are not
/// UTF-8 are written as in a string of C.
fn label_of(path: &Path) -> String {
    let whole = path.canonicalize();
    let whole = whole.unwrap_or_else(|_| path.to_owned());
    let mut label = String::new();
    for chunk in whole.as_os_str().as_bytes().utf8_chunks() {
        label.push_str(chunk.valid());
        for byte in chunk.invalid() {
            label.push_str(&format!("\\x{byte:02x}"));
        }
    }
    label
}

fn free_bytes(directory: &Path) -> anyhow::Result<u64> {
    let disk = rustix::fs::statvfs(directory).context("reading the free space of the disk")?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

fn add_trees(registry: &Registry, trees: &[TreeStats]) -> anyhow::Result<()> {
    let of_trees: [Metric<OfTree>; 2] = [
        (
            "tree_entries",
            "Number of entries of a tree of the database.",
            |tree| tree.entries,
        ),
        (
            "tree_bytes",
            "Bytes of the keys and values of a tree.",
            |tree| tree.bytes,
        ),
    ];
    for (name, help, value) in of_trees {
        let gauges = GaugeVec::new(Opts::new(name, help), &["tree"])?;
        for tree in trees {
            let gauge = gauges.with_label_values(&[&tree.name]);
            gauge.set(value(tree) as f64);
        }
        registry.register(Box::new(gauges))?;
    }
    Ok(())
}

/// Adds the version of the program and the format of the directory.
fn add_build(registry: &Registry, stats: &Stats) -> anyhow::Result<()> {
    let help = "Always 1, with the version of the program and the format of the directory.";
    let build = GaugeVec::new(Opts::new("build_info", help), &["version", "format"])?;
    let process = stats.process.as_ref();
    let version = process.map_or(env!("CARGO_PKG_VERSION"), |process| &process.version);
    let format = stats.format.to_string();
    build.with_label_values(&[version, &format]).set(1.0);
    registry.register(Box::new(build))?;
    Ok(())
}

fn add_errors(registry: &Registry, process: &ProcessStats) -> anyhow::Result<()> {
    let help = "Error replies since the start; a request with code 11 may succeed later.";
    let errors = IntCounterVec::new(Opts::new("errors_total", help), &["code"])?;
    for (code, count) in &process.errors {
        errors
            .with_label_values(&[&code.to_string()])
            .inc_by(*count);
    }
    registry.register(Box::new(errors))?;
    Ok(())
}

/// A name, a help text, and a value.
type Metric<T> = (&'static str, &'static str, T);

/// Reads a figure of a tree.
type OfTree = fn(&TreeStats) -> u64;

fn gauges(stats: &Stats) -> [Metric<f64>; 4] {
    [
        ("events", "Events in the state.", stats.events as f64),
        ("pending_outputs", "Pending outputs.", stats.pending as f64),
        ("checkpoints", "Checkpoints.", stats.checkpoints as f64),
        (
            "disk_bytes",
            "Bytes of the database file.",
            stats.disk_bytes as f64,
        ),
    ]
}

fn last_commit(stats: &Stats) -> Option<Metric<f64>> {
    let help = "Time of the last commit that released outputs, in seconds since 1970.";
    let at_ms = stats.last_commit_ms?;
    Some(("last_commit_timestamp_seconds", help, at_ms as f64 / 1000.0))
}

fn gauges_of_process(process: &ProcessStats) -> [Metric<f64>; 6] {
    let rate = "Events per second, over the last seconds.";
    let index = "Bytes of memory that the index of event ids takes.";
    let memory = "The memory budget of the process.";
    let cache = "Bytes in use of the memory budget.";
    let clients = "Clients of the control socket.";
    [
        (
            "uptime_seconds",
            "Seconds since the start of the process.",
            process.uptime_seconds,
        ),
        ("events_per_second", rate, process.events_per_second),
        ("index_bytes", index, process.index_bytes as f64),
        ("memory_budget_bytes", memory, process.memory_bytes as f64),
        ("cache_bytes", cache, process.cache_bytes as f64),
        ("clients", clients, process.clients as f64),
    ]
}

fn counters(stats: &Stats) -> [Metric<f64>; 4] {
    let position = "Durable events that were ever accepted.";
    [
        (
            "released_outputs_total",
            "Released outputs.",
            stats.released as f64,
        ),
        (
            "commits_total",
            "Commits that released outputs.",
            stats.commits as f64,
        ),
        (
            "switches_total",
            "Restores and rollbacks.",
            stats.switches as f64,
        ),
        ("position_total", position, stats.position as f64),
    ]
}

fn counters_of_process(process: &ProcessStats) -> [Metric<f64>; 5] {
    let conflicts = "Conflicts since the start: events whose id came with another word.";
    let syncs = "Waits for a group to be durable, since the start.";
    let sync_seconds = "Total seconds of these waits.";
    [
        (
            "accepted_total",
            "Events accepted since the start.",
            process.accepted as f64,
        ),
        (
            "duplicates_total",
            "Duplicates since the start.",
            process.duplicates as f64,
        ),
        ("conflicts_total", conflicts, process.conflicts as f64),
        ("syncs_total", syncs, process.syncs as f64),
        ("sync_seconds_total", sync_seconds, process.sync_seconds),
    ]
}
