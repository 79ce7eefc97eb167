//! The report of a bench, as one JSON line or as tables.

use std::io::Write;
use std::time::Duration;

use comfy_table::Table;
use serde_json::{Value, json};

use super::args::BenchArgs;
use super::harness::latency::Percentiles;
use super::harness::{rank, table};
use super::old_duplicates::OldDuplicates;
use super::throughput::Throughput;
use crate::cli::streams::stdout;

/// Builds the report of at least one run, and of the lone requests.
pub(super) fn report(
    args: &BenchArgs,
    mut runs: Vec<Throughput>,
    mut watched: Vec<Throughput>,
    old: Vec<OldDuplicates>,
    [lone, bare]: [Option<Percentiles>; 2],
) -> Value {
    let rate = |run: &Throughput| args.events as f64 / run.elapsed.as_secs_f64();
    // From the slowest to the fastest.
    let rates = |runs: &mut Vec<Throughput>| -> Vec<f64> {
        runs.sort_by_key(|run| std::cmp::Reverse(run.elapsed));
        runs.iter().map(rate).collect()
    };
    let (rates, watched_rates) = (rates(&mut runs), rates(&mut watched));
    let median = |rates: &[f64]| rates.get(rank(rates.len(), 0.5)).copied();
    let medians = median(&watched_rates).zip(median(&rates));
    let run = runs.swap_remove(rank(runs.len(), 0.5));
    let (statistics, stages) = (run.statistics, run.stages);
    let seconds = run.elapsed.as_secs_f64();
    // Stages overlap, so their shares may add up to more than 1.
    let stage = |name, time: Duration| {
        let time = time.as_secs_f64();
        json!({"name": name, "seconds": time, "share": time / seconds})
    };
    let mut report = json!({
        "type": "bench",
        "events": args.events,
        "ids": format!("{:?}", args.ids).to_lowercase(),
        "duplicates": args.duplicates,
        "words": args.words,
        "seconds": seconds,
        "events_per_second": args.events as f64 / seconds,
        "rates": rates,
        "accepted": statistics.accepted,
        "found_again": statistics.duplicates,
        "disk_bytes_per_position": run.disk_bytes as f64 / statistics.position.max(1) as f64,
        "peak_memory_bytes": run.peak_memory_bytes,
        "index_bytes": statistics.index_bytes,
        "stages": [
            stage("read", stages.read),
            stage("decode", stages.decode),
            stage("apply", stages.apply),
            stage("store", stages.store),
            stage("sync", stages.sync),
            stage("reply", stages.reply),
            stage("reopen", stages.reopen),
        ],
        "reopened": stages.reopened,
        "longest_reopen_seconds": stages.longest_reopen.as_secs_f64(),
        "lone": lone,
        "bare": bare,
        "lone_to_bare": lone.zip(bare).map(|(lone, bare)| lone.p50_us / bare.p50_us),
    });
    if let Some(old) = old_duplicates(args, old) {
        report["old_duplicates"] = old;
    }
    if let Some((watched, alone)) = medians {
        report["watched_rates"] = json!(watched_rates);
        report["watched_to_alone"] = json!(watched / alone);
    }
    report
}

/// The report of the old events that new processes answered, if there were any.
fn old_duplicates(args: &BenchArgs, mut runs: Vec<OldDuplicates>) -> Option<Value> {
    let rate = |run: &OldDuplicates| args.old_duplicates as f64 / run.elapsed.as_secs_f64();
    // From the slowest to the fastest.
    runs.sort_by_key(|run| std::cmp::Reverse(run.elapsed));
    let run = runs.get(rank(runs.len(), 0.5))?;
    Some(json!({
        "events": args.old_duplicates,
        "seconds": run.elapsed.as_secs_f64(),
        "events_per_second": rate(run),
        "rates": runs.iter().map(rate).collect::<Vec<_>>(),
        "peak_memory_bytes": runs.iter().filter_map(|run| run.peak_memory_bytes).max(),
    }))
}

/// Prints the report as tables.
pub(super) fn print_tables(report: &Value) -> anyhow::Result<()> {
    let list = |name: &str| report[name].as_array().cloned().unwrap_or_default();
    let longest = number(&report["longest_reopen_seconds"]);
    let reopened = match number(&report["reopened"]) {
        0.0 => "never".to_owned(),
        times => format!("{times} times, {longest:.2} s at most"),
    };
    let what = format!(
        "{} events, {} ids, {} % duplicates, {} words",
        report["events"],
        report["ids"].as_str().unwrap_or_default(),
        number(&report["duplicates"]) * 100.0,
        report["words"]
    );
    let disk = number(&report["disk_bytes_per_position"]);
    let mut figures = table::<&str>(Vec::new());
    for (name, value) in [
        ("answered", what),
        ("rate", whole(&report["events_per_second"]) + " events/s"),
        ("rates of all runs", listed(&report["rates"])),
        ("disk", format!("{disk:.1} bytes an accepted event")),
        ("peak memory", megabytes(&report["peak_memory_bytes"])),
        ("index of ids", megabytes(&report["index_bytes"])),
        ("sled opened again", reopened),
    ] {
        figures.add_row([name, &value]);
    }
    add_old_duplicates(&mut figures, &report["old_duplicates"]);
    if let Some(ratio) = report["watched_to_alone"].as_f64() {
        let rates = format!(
            "{}; {ratio:.2} of the rate",
            listed(&report["watched_rates"])
        );
        figures.add_row(["rates while watched", &rates]);
    }
    let mut stages = table(vec!["stage", "seconds", "of the time"]);
    for stage in list("stages") {
        let seconds = format!("{:.2}", number(&stage["seconds"]));
        let share = format!("{:.0} %", number(&stage["share"]) * 100.0);
        stages.add_row([stage["name"].as_str().unwrap_or_default(), &seconds, &share]);
    }
    let mut output = stdout::text()?;
    writeln!(output, "{figures}\n\n{stages}")?;
    if let Some(ratio) = report["lone_to_bare"].as_f64() {
        let mut latencies = table(vec!["microseconds", "p50", "p99", "p99.9"]);
        for (name, of) in [
            ("a lone request", "lone"),
            ("a bare 4 KiB write and fdatasync", "bare"),
        ] {
            let shown = ["p50_us", "p99_us", "p999_us"].map(|at| whole(&report[of][at]));
            latencies.add_row(std::iter::once(name.to_owned()).chain(shown));
        }
        latencies.add_row(["ratio", &format!("{ratio:.2}")]);
        writeln!(output, "\n{latencies}")?;
    }
    Ok(output.flush()?)
}

/// Adds the rows of the old events, if there were any.
fn add_old_duplicates(figures: &mut Table, old: &Value) {
    if old.is_null() {
        return;
    }
    let what = format!("{} in any order, by a new process", old["events"]);
    let rate = whole(&old["events_per_second"]) + " events/s";
    figures.add_row(["old duplicates", &what]);
    figures.add_row(["rate", &rate]);
    figures.add_row(["rates of all runs", &listed(&old["rates"])]);
    figures.add_row(["peak memory", &megabytes(&old["peak_memory_bytes"])]);
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_default()
}

fn whole(value: &Value) -> String {
    format!("{:.0}", number(value))
}

fn megabytes(value: &Value) -> String {
    let bytes = value.as_f64();
    bytes.map_or("unknown".into(), |bytes| format!("{:.0} MB", bytes / 1e6))
}

/// The numbers of a list, in whole numbers.
fn listed(list: &Value) -> String {
    let numbers = list.as_array().into_iter().flatten();
    numbers.map(whole).collect::<Vec<_>>().join(", ")
}
