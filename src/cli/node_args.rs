//! The options of a node, and what a command opens with them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytesize::ByteSize;
use clap::Args;
use exactly_once::node::{self, ControlSocket, Monitor};
use exactly_once::{Engine, Handle, OpenError, Options, Statistics, StorageError};
use tracing::info;

use crate::cli::commands::metrics_file::MetricsFile;
use crate::cli::files::refuse_inside_a_state;
use crate::cli::free_space::FloorArgs;
use crate::cli::help::RARE;
use crate::cli::status::WrongArguments;
use crate::cli::streams::printable::printable;
use crate::cli::streams::stderr::say;
use crate::cli::timeout::TimeoutArgs;

/// The options of every command that opens a state directory as a node.
#[derive(Debug, Clone, Args)]
pub(crate) struct NodeArgs {
    /// Release each output as its event is accepted, as if a commit followed
    ///
    /// The state keeps this from then on, even in later runs without this option.
    #[arg(long)]
    autocommit: bool,
    /// Memory for all that is kept only to save time, such as blocks of the journal
    ///
    /// A number of bytes, or a size such as 64MiB or 1GiB. The memory that grows with the state
    /// comes on top; `stats` shows both.
    #[arg(long, value_name = "SIZE", default_value_t = ByteSize(Options::default().memory_bytes))]
    memory: ByteSize,
    #[command(flatten)]
    floor: FloorArgs,
    /// Store the counts after this many events, or after as many as there are words if that is
    /// more; starts are then quicker
    #[arg(long, value_name = "EVENTS", help_heading = RARE,
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
    /// Open a database that has lost answered requests, and print what is gone
    #[arg(long, help_heading = RARE)]
    accept_loss: bool,
    /// Serve at most this many clients of the control socket at a time
    ///
    /// One more place serves a single query at a time, so that a command that only reads always
    /// finds one. Each client takes two threads, a descriptor and about 160 KiB of memory, or up to
    /// 512 KiB while it does not read its replies.
    #[arg(long, value_name = "N", help_heading = RARE,
          default_value_t = node::DEFAULT_MAX_CLIENTS as u64,
          value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    max_clients: u64,
    #[command(flatten)]
    timeout: TimeoutArgs,
}

/// The options of an additional socket and of the file of figures.
#[derive(Debug, Args)]
pub(crate) struct ServiceArgs {
    /// Also listen on a socket with this path, for clients of other users
    ///
    /// Commands that ask a node take it as --socket in place of --data-dir.
    #[arg(long, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,
    /// Mode of that socket's file, in octal; any user who may write to it may connect
    #[arg(long, value_name = "MODE", default_value = "0600", requires = "socket",
          value_parser = parse_mode)]
    socket_mode: u32,
    /// Write figures repeatedly to this file, in the text format of Prometheus, for node-exporter's
    /// textfile collector
    #[arg(long, value_name = "FILE")]
    metrics_file: Option<PathBuf>,
    /// Seconds between two writes of the metrics file
    #[arg(long, value_name = "SECONDS", default_value_t = 10, requires = "metrics_file",
          value_parser = clap::value_parser!(u64).range(1..))]
    metrics_every: u64,
}

fn parse_mode(text: &str) -> Result<u32, String> {
    match u32::from_str_radix(text, 8) {
        Ok(mode) if mode <= 0o777 => Ok(mode),
        _ => Err("a mode is an octal number from 0 to 0777".to_owned()),
    }
}

/// A state directory that this process has opened as a node.
pub(crate) struct OpenNode {
    /// The directory, as it is shown.
    pub(crate) name: String,
    pub(crate) handle: Handle,
    pub(crate) monitor: Monitor,
}

impl NodeArgs {
    fn options(&self) -> Options {
        let mut options = Options::default();
        options.min_free_bytes = self.floor.min_free_bytes;
        options.memory_bytes = self.memory.as_u64();
        options.read_ahead_requests = self.read_ahead;
        options.snapshot_interval_events = self.snapshot_every;
        options.run_events = self.run_every;
        options.fingerprint_bits = self.fingerprint_bits;
        options.reopen_bytes = self.reopen_bytes;
        options.autocommit = self.autocommit;
        options.accept_loss = self.accept_loss;
        options.storage_timeout = self.timeout.storage_timeout();
        options
    }

    /// Opens a directory, and creates the state if there is none.
    pub(crate) fn open(&self, directory: &Path) -> Result<OpenNode, OpenError> {
        let engine = Engine::open(directory, &self.options())?;
        if let Some(loss) = engine.loss() {
            say(format_args!("accepted a loss: {loss}"));
        }
        let Statistics {
            pending, position, ..
        } = engine.statistics();
        let name = printable(&directory.display().to_string());
        info!("opened {name}: durable to position {position}, {pending} pending outputs");
        let handle = engine.share()?;
        Ok(OpenNode {
            name,
            monitor: Monitor::new(&handle),
            handle,
        })
    }

    /// Creates the control socket of a directory that is open.
    pub(crate) fn bind(&self, directory: &Path) -> std::io::Result<ControlSocket> {
        let control = ControlSocket::bind(directory)?;
        Ok(control.with_max_clients(self.max_clients as usize))
    }
}

impl ServiceArgs {
    /// Refuses a metrics file inside a state directory.
    pub(crate) fn check(&self) -> Result<(), WrongArguments> {
        self.metrics_file
            .as_deref()
            .map_or(Ok(()), refuse_inside_a_state)
    }

    /// Adds the additional socket, if there is one.
    pub(crate) fn add_socket(&self, control: ControlSocket) -> anyhow::Result<ControlSocket> {
        let Some(path) = &self.socket else {
            return Ok(control);
        };
        control.and_bind(path, self.socket_mode).map_err(|error| {
            let path = path.display();
            WrongArguments(format!("no socket can be made at {path}: {error}")).into()
        })
    }

    /// Starts to write the metrics file, if one is wanted.
    pub(crate) fn start_metrics(
        &self,
        directory: &Path,
        monitor: &Monitor,
    ) -> Result<Option<MetricsFile>, StorageError> {
        let start = |path: &PathBuf| {
            let every = Duration::from_secs(self.metrics_every);
            MetricsFile::start(path, every, directory, monitor)
        };
        self.metrics_file.as_ref().map(start).transpose()
    }
}

/// What a node has done, for the log.
pub(crate) fn summary(statistics: &Statistics) -> String {
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
