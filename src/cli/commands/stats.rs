//! `stats`: figures of a state, and of the process that has it open.

use std::io::{self, IsTerminal};
use std::time::Duration;

use clap::Args;
use comfy_table::Table;
use console::Term;
use exactly_once::inspect::{ProcessStats, Query, Stats};
use exactly_once::program::watermark_of;
use exactly_once::program::yield_to_others;
use indicatif::{HumanBytes, HumanCount, HumanDuration};

use crate::cli::commands::prometheus;
use crate::cli::connection::is_temporary;
use crate::cli::pause::pause;
use crate::cli::state::{OpenState, StateArgs};
use crate::cli::streams::format::{FormatArgs, OutputFormat, print_text};
use crate::cli::streams::json_lines::print_line;
use crate::cli::streams::stdout::Stdout;
use crate::cli::streams::table::new_table;

/// Time after which a process that cannot answer now is asked again.
const PAUSE: Duration = Duration::from_millis(100);

/// Show figures of a state, and of the process that has it open
///
/// Events, outputs, checkpoints, disk use, and the rate and the memory of the process. Reads a copy
/// of a directory at rest, or asks the process that has it open. All figures are durable and of one
/// moment. Accepted events, duplicates and conflicts are counted from the start of the process.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  exactly-once stats --data-dir state
  exactly-once stats --data-dir state --trees
  exactly-once stats --data-dir state --prometheus
  exactly-once stats --data-dir state --watch --every 2")]
pub(crate) struct StatsArgs {
    #[command(flatten)]
    state: StateArgs,
    #[command(flatten)]
    format: FormatArgs,
    /// Also show the trees of the database in a table; JSON lines always have them
    #[arg(long, conflicts_with = "prometheus")]
    trees: bool,
    /// Use the text format of Prometheus
    #[arg(long, conflicts_with = "format")]
    prometheus: bool,
    /// Show the figures repeatedly; a table is drawn in the same place of a terminal
    #[arg(long, conflicts_with = "prometheus")]
    watch: bool,
    /// Seconds between two updates
    #[arg(long, value_name = "SECONDS", default_value_t = 1, requires = "watch",
          value_parser = clap::value_parser!(u64).range(1..))]
    every: u64,
}

/// Prints the figures once, or until the command is stopped.
pub(crate) fn run(args: &StatsArgs) -> anyhow::Result<()> {
    if args.watch {
        return watch(args);
    }
    let stats = ask(&mut args.state.open()?)?;
    if args.prometheus {
        let text = prometheus::text(&stats, args.state.address())?;
        return Ok(print_text(text.trim_end())?);
    }
    args.print(&stats)
}

impl StatsArgs {
    fn print(&self, stats: &Stats) -> anyhow::Result<()> {
        match self.format.get() {
            OutputFormat::Table => print_text(&tables(stats, self.trees))?,
            OutputFormat::Jsonl => print_line(stats)?,
        }
        Ok(())
    }
}

/// Reads the figures of a state.
pub(crate) fn ask(state: &mut OpenState) -> anyhow::Result<Stats> {
    let mut found = None;
    state.answer(&Query::Stats, |record| {
        found = Some(serde_json::from_slice(record)?);
        Ok(())
    })?;
    found.ok_or_else(|| anyhow::anyhow!("the reply has no figures, which is a bug; report it"))
}

/// Shows the figures until the command is stopped or its output has no reader. The process may end
/// and another one start meanwhile.
fn watch(args: &StatsArgs) -> anyhow::Result<()> {
    yield_to_others();
    let state = &args.state;
    let is_drawn = io::stdout().is_terminal() && args.format.get() == OutputFormat::Table;
    let terminal = Term::read_write_pair(io::stdin(), Stdout::of_text()?);
    let mut shown_lines = 0;
    // The watermark and the figures of a directory at rest, which is copied again only if the
    // watermark has changed.
    let mut resting: Option<(Option<Vec<u8>>, Stats)> = None;
    loop {
        let address = state.address();
        let mark = address.directory().and_then(watermark_of);
        let is_live = address.connect().is_ok();
        let stats = match resting
            .take()
            .filter(|(before, _)| !is_live && *before == mark)
        {
            Some((_, stats)) => stats,
            None => match state.open().and_then(|mut state| ask(&mut state)) {
                Err(error) if is_temporary(&error) => {
                    pause(PAUSE)?;
                    continue;
                }
                asked => asked?,
            },
        };
        if stats.process.is_none() {
            resting = Some((mark, stats.clone()));
        }
        if is_drawn {
            let text = tables(&stats, args.trees);
            // Lines beyond the height of the terminal could not be redrawn.
            let rows = terminal
                .size_checked()
                .map_or(usize::MAX, |(rows, _)| rows.into());
            let room = rows.saturating_sub(1);
            let mut lines: Vec<&str> = text.lines().take(room).collect();
            if let Some(last) = lines.last_mut().filter(|_| text.lines().count() > room) {
                *last = " ...";
            }
            terminal.clear_last_lines(shown_lines)?;
            terminal.write_line(&lines.join("\n"))?;
            shown_lines = lines.len();
        } else {
            args.print(&stats)?;
        }
        pause(Duration::from_secs(args.every))?;
    }
}

/// Formats the figures as tables.
fn tables(stats: &Stats, has_trees: bool) -> String {
    let count = |count: u64| HumanCount(count).to_string();
    let mut state = new_table();
    for (name, value) in [
        ("events in the state", count(stats.events)),
        ("durable position", count(stats.position)),
        ("pending outputs", count(stats.pending)),
        ("released outputs", count(stats.released)),
        ("commits", count(stats.commits)),
        (
            "autocommit",
            if stats.autocommit { "on" } else { "off" }.to_owned(),
        ),
        ("checkpoints", count(stats.checkpoints)),
        ("restores and rollbacks", count(stats.switches)),
        ("disk", HumanBytes(stats.disk_bytes).to_string()),
    ] {
        state.add_row([name, &value]);
    }
    if let Some(process) = &stats.process {
        add_process(&mut state, process);
    }
    if !has_trees {
        return state.to_string();
    }
    let mut trees = new_table();
    trees.set_header(["tree", "entries", "bytes"]);
    for tree in &stats.trees {
        let bytes = HumanBytes(tree.bytes).to_string();
        trees.add_row([&*tree.name, &count(tree.entries), &bytes]);
    }
    format!("{state}\n\n{trees}")
}

fn add_process(table: &mut Table, process: &ProcessStats) {
    let count = |count: u64| HumanCount(count).to_string();
    let uptime = Duration::try_from_secs_f64(process.uptime_seconds).unwrap_or_default();
    for (name, value) in [
        ("process", process.pid.to_string()),
        ("running for", HumanDuration(uptime).to_string()),
        ("events a second", count(process.events_per_second as u64)),
        ("accepted since start", count(process.accepted)),
        ("duplicates since start", count(process.duplicates)),
        ("conflicts since start", count(process.conflicts)),
        (
            "index in memory",
            HumanBytes(process.index_bytes).to_string(),
        ),
        (
            "memory budget in use",
            format!(
                "{} of {}",
                HumanBytes(process.cache_bytes),
                HumanBytes(process.memory_bytes)
            ),
        ),
        ("reads for old events", count(process.reads)),
        ("reads ahead", count(process.reads_ahead)),
        ("clients", count(process.clients)),
    ] {
        table.add_row([name, &value]);
    }
}
