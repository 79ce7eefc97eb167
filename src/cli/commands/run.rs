//! `run`: the node, from standard input to standard output.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context;
use bytesize::ByteSize;
use clap::Args;
use exactly_once::node::{self, CONTROL_SOCKET, ControlSocket, Monitor, Stop, Stoppable};
use exactly_once::program::Scratch;
use exactly_once::{Engine, Options, Statistics};
use tracing::{info, warn};

use crate::cli::commands::metrics_file::MetricsFile;
use crate::cli::files::refuse_inside_a_state;
use crate::cli::free_space::FloorArgs;
use crate::cli::streams::printable::printable;
use crate::cli::streams::progress::Progress;
use crate::cli::streams::stdin::Requests;
use crate::cli::streams::stdout;
use crate::cli::timeout::TimeoutArgs;
use crate::cli::verbosity::Verbosity;

/// Answer requests from standard input on standard output (the default command)
#[derive(Debug, Args)]
#[command(after_help = r#"Examples:
  exactly-once run --data-dir state < requests.jsonl > replies.jsonl
  tail -f queue.jsonl | exactly-once run --data-dir state
  echo '{"type":"commit","msg_id":1}' | exactly-once"#)]
pub(crate) struct RunArgs {
    /// State directory [default: a temporary one, removed at the end]
    #[arg(long, value_name = "DIR", env = "EXACTLY_ONCE_DATA_DIR")]
    data_dir: Option<PathBuf>,
    #[command(flatten)]
    floor: FloorArgs,
    /// Memory for all that is kept only to save time, such as blocks of the journal
    ///
    /// A number of bytes, or a size such as 64MiB or 1GiB. The memory that grows with the state
    /// comes on top; `stats` shows both.
    #[arg(long, value_name = "SIZE", default_value_t = ByteSize(Options::default().memory_bytes))]
    memory: ByteSize,
    /// Store the counts after this many events, or after as many as there are words if that is
    /// more; starts are then quicker
    #[arg(long, value_name = "EVENTS",
          default_value_t = Options::default().snapshot_interval_events,
          value_parser = clap::value_parser!(u64).range(1..))]
    snapshot_every: u64,
    /// Store a run of the index after this many events, for tests of small runs
    #[arg(long, hide = true, value_name = "EVENTS", default_value_t = Options::default().run_events,
          value_parser = clap::value_parser!(u64).range(1..))]
    run_every: u64,
    /// Number of bits in which fingerprints differ in a new directory, for tests of collisions
    #[arg(long, hide = true, value_name = "BITS",
          default_value_t = Options::default().fingerprint_bits,
          value_parser = clap::value_parser!(u32).range(1..=38))]
    fingerprint_bits: u32,
    /// Open sled again after it has written this many bytes, for tests
    #[arg(long, hide = true, value_name = "BYTES",
          default_value_t = Options::default().reopen_bytes)]
    reopen_bytes: u64,
    /// Read ahead for at most this many requests, for tests
    #[arg(long, hide = true, value_name = "REQUESTS",
          default_value_t = Options::default().read_ahead_requests)]
    read_ahead: usize,
    /// Release each output as its event is accepted, as if a commit followed
    ///
    /// The state keeps this from then on, even in later runs without this option.
    #[arg(long)]
    autocommit: bool,
    /// Open a database that has lost answered requests, and print what is gone
    #[arg(long)]
    accept_loss: bool,
    /// Write figures repeatedly to this file, in the text format of Prometheus, for node-exporter's
    /// textfile collector
    #[arg(long, value_name = "FILE")]
    metrics_file: Option<PathBuf>,
    /// Seconds between two writes of the metrics file
    #[arg(long, value_name = "SECONDS", default_value_t = 10, requires = "metrics_file",
          value_parser = clap::value_parser!(u64).range(1..))]
    metrics_every: u64,
    /// Serve at most this many clients of the control socket at a time
    ///
    /// One more place serves a single query at a time, so that a command that only reads always
    /// finds one. Each client takes two threads, a descriptor and about 160 KiB of memory, or up to
    /// 512 KiB while it does not read its replies.
    #[arg(long, value_name = "N", default_value_t = node::DEFAULT_MAX_CLIENTS as u64,
          value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    max_clients: u64,
    #[command(flatten)]
    timeout: TimeoutArgs,
}

/// Runs the node until its input ends or a signal stops it.
pub(crate) fn run(args: &RunArgs, verbosity: Verbosity) -> anyhow::Result<()> {
    if let Some(file) = &args.metrics_file {
        refuse_inside_a_state(file)?;
    }
    // First, so that a signal cannot leave what is made from here on.
    let stop = Stop::new().context("making a pipe")?;
    stop.request_on_signals()
        .context("setting signal handlers")?;
    let temporary = StateDirectory::new(args, verbosity)?;
    let directory = temporary.path();
    let mut options = Options::default();
    options.min_free_bytes = args.floor.min_free_bytes;
    options.memory_bytes = args.memory.as_u64();
    options.read_ahead_requests = args.read_ahead;
    options.snapshot_interval_events = args.snapshot_every;
    options.run_events = args.run_every;
    options.fingerprint_bits = args.fingerprint_bits;
    options.reopen_bytes = args.reopen_bytes;
    options.autocommit = args.autocommit;
    options.accept_loss = args.accept_loss;
    options.storage_timeout = args.timeout.storage_timeout();
    let engine = Engine::open(&directory, &options)?;
    if let Some(loss) = engine.loss() {
        crate::cli::streams::stderr::say(format_args!("accepted a loss: {loss}"));
    }
    let Statistics {
        pending, position, ..
    } = engine.statistics();
    let path = printable(&directory.display().to_string());
    info!("opened {path}: durable to position {position}, {pending} pending outputs");
    let handle = engine.share()?;
    let monitor = Monitor::new(&handle);
    let progress = Progress::start(&monitor, verbosity.quiet);
    let (requests, ended_without_any) = Requests::new()?;
    let input = Stoppable::new(requests, stop.clone());
    let output = stdout::for_replies().context("using standard output")?;
    let control = ControlSocket::bind(&directory);
    let control = control
        .inspect_err(|error| warn!("no command can ask this process: {CONTROL_SOCKET}: {error}"))
        .ok()
        .map(|control| control.with_max_clients(args.max_clients as usize));
    let metrics = args.metrics_file.as_ref().map(|path| {
        let every = Duration::from_secs(args.metrics_every);
        MetricsFile::start(path, every, &directory, &monitor)
    });
    let metrics = metrics.transpose()?;
    let served = node::serve(handle, input, output, control, &stop, &monitor);
    if let Some(metrics) = metrics {
        metrics.finish();
    }
    progress.finish();
    info!("closed {path}: {}", summary(&monitor.statistics()));
    served?;
    if ended_without_any.load(Ordering::Relaxed) && !verbosity.quiet {
        crate::cli::streams::stderr::say("standard input was empty: no request was read");
    }
    Ok(())
}

/// What the process has done, for the log.
fn summary(statistics: &Statistics) -> String {
    let Statistics {
        accepted,
        duplicates,
        conflicts,
        pending,
        durable_position,
        ..
    } = statistics;
    format!(
        "{accepted} events accepted, {duplicates} duplicates, {conflicts} conflicts, {pending} \
         pending outputs, durable to position {durable_position}"
    )
}

/// The directory that was named, or a temporary one that is removed when this is dropped.
enum StateDirectory {
    Named(PathBuf),
    Temporary(Scratch),
}

impl StateDirectory {
    fn new(args: &RunArgs, verbosity: Verbosity) -> anyhow::Result<Self> {
        if let Some(path) = &args.data_dir {
            return Ok(Self::Named(path.clone()));
        }
        let temporary = std::env::temp_dir();
        refuse_inside_a_state(&temporary.join("state"))?;
        let directory = Scratch::new_in(&temporary);
        let directory = directory.context(
            "making a temporary directory for the state; name another place with TMPDIR or \
             --data-dir",
        )?;
        if !verbosity.quiet {
            crate::cli::streams::stderr::say(
                "the state is temporary and removed at the end; keep it with --data-dir DIR",
            );
        }
        Ok(Self::Temporary(directory))
    }

    fn path(&self) -> PathBuf {
        match self {
            Self::Named(path) => path.clone(),
            Self::Temporary(directory) => directory.path().join("state"),
        }
    }
}
