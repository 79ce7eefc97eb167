//! `run`: the node, from standard input to standard output.

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use anyhow::Context;
use clap::Args;
use exactly_once::node::{self, CONTROL_SOCKET, Stop, Stoppable};
use exactly_once::program::Scratch;
use tracing::{info, warn};

use crate::cli::files::refuse_inside_a_state;
use crate::cli::node_args::{NodeArgs, OpenNode, ServiceArgs, summary};
use crate::cli::streams::progress::Progress;
use crate::cli::streams::stderr::say;
use crate::cli::streams::stdin::Requests;
use crate::cli::streams::stdout;
use crate::cli::verbosity::Verbosity;

/// Answer requests from standard input on standard output (default)
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
    node: NodeArgs,
    #[command(flatten)]
    service: ServiceArgs,
}

/// What is said to a person at a terminal.
const TYPE_REQUESTS: &str = "type requests, each in a line, such as \
     {\"type\":\"process\",\"msg_id\":1,\"event_id\":\"e1\",\"word\":\"hello\"}; end with Ctrl-D; \
     `exactly-once help` lists all commands";

/// Runs the node until its input ends or a signal stops it.
pub(crate) fn run(args: &RunArgs, verbosity: Verbosity) -> anyhow::Result<()> {
    args.service.check()?;
    // First, so that a signal cannot leave what is made from here on.
    let stop = Stop::new().context("making a pipe")?;
    stop.request_on_signals()
        .context("setting signal handlers")?;
    let temporary = StateDirectory::new(args, verbosity)?;
    let directory = temporary.path();
    let OpenNode {
        name,
        handle,
        monitor,
    } = args.node.open(&directory)?;
    if io::stdin().is_terminal() && !verbosity.quiet {
        say(TYPE_REQUESTS);
    }
    let progress = Progress::start(&monitor, verbosity.quiet);
    let (requests, ended_without_any) = Requests::new()?;
    let input = Stoppable::new(requests, stop.clone());
    let output = stdout::for_replies().context("using standard output")?;
    let control = args.node.bind(&directory);
    let control = control
        .inspect_err(|error| warn!("no command can ask this process: {CONTROL_SOCKET}: {error}"))
        .ok();
    let control = control.map(|control| args.service.add_socket(control));
    let control = control.transpose()?;
    let metrics = args.service.start_metrics(&directory, &monitor)?;
    let served = node::serve(handle, input, output, control, &stop, &monitor);
    if let Some(metrics) = metrics {
        metrics.finish();
    }
    progress.finish();
    info!("closed {name}: {}", summary(&monitor.statistics()));
    served?;
    if ended_without_any.load(Ordering::Relaxed) && !verbosity.quiet {
        say(
            "standard input was empty: no request was read; `exactly-once serve` needs no \
             standard input",
        );
    }
    Ok(())
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
            say("the state is temporary and removed at the end; keep it with --data-dir DIR");
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
