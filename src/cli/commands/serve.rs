//! `serve`: the node without standard input, for clients of its sockets.

use std::io::Write;
use std::path::PathBuf;
use std::thread;

use anyhow::Context;
use clap::Args;
use exactly_once::StorageError;
use exactly_once::node::{self, CONTROL_SOCKET, Stop};
use sd_notify::NotifyState;
use tracing::{info, warn};

use crate::cli::node_args::{NodeArgs, OpenNode, ServiceArgs, summary};
use crate::cli::streams::printable::printable;
use crate::cli::streams::stdout;

/// Answer requests of clients until a signal, without standard input
///
/// Clients connect to the socket `control.sock` in the state directory, and to that of --socket. A
/// line on standard output says when it listens. Under systemd it also tells the service manager
/// (Type=notify). SIGTERM, SIGINT and SIGHUP end it: what was read is carried out and answered, and
/// the exit status is 0.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  exactly-once serve --data-dir state
  exactly-once serve --data-dir state --autocommit --socket counts.sock --socket-mode 0660")]
pub(crate) struct ServeArgs {
    /// State directory
    #[arg(long, value_name = "DIR", env = "EXACTLY_ONCE_DATA_DIR")]
    data_dir: PathBuf,
    #[command(flatten)]
    service: ServiceArgs,
    #[command(flatten)]
    node: NodeArgs,
}

/// Serves clients until a signal comes or the storage fails.
pub(crate) fn run(args: &ServeArgs) -> anyhow::Result<()> {
    args.service.check()?;
    // First, so that a signal cannot leave what is made from here on.
    let stop = Stop::new().context("making a pipe")?;
    stop.request_on_signals()
        .context("setting signal handlers")?;
    let OpenNode {
        name,
        handle,
        monitor,
    } = args.node.open(&args.data_dir)?;
    let control = args.node.bind(&args.data_dir);
    let control = control.with_context(|| format!("making the socket {name}/{CONTROL_SOCKET}"))?;
    let control = args.service.add_socket(control)?;
    let metrics = args.service.start_metrics(&args.data_dir, &monitor)?;
    let told = stop.clone();
    let telling = move || {
        if told.wait().is_ok() {
            notify(NotifyState::Stopping);
        }
    };
    let telling = thread::Builder::new().spawn(telling);
    let telling = telling.map_err(StorageError::Thread)?;
    let also = args.service.socket.as_ref().map(|path| path.display());
    let also = also.map_or(String::new(), |path| printable(&format!(" and {path}")));
    let mut output = stdout::text()?;
    writeln!(
        output,
        "serving {name}, listening on {name}/{CONTROL_SOCKET}{also}"
    )?;
    output.flush()?;
    notify(NotifyState::Ready);
    let served = node::serve_clients(handle, control, &stop, &monitor);
    if let Some(metrics) = metrics {
        metrics.finish();
    }
    // The stop has been requested. A panic of the thread, already reported, loses nothing.
    telling.join().unwrap_or_default();
    info!("closed {name}: {}", summary(&monitor.statistics()));
    Ok(served?)
}

/// Tells the service manager, if there is one.
fn notify(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        warn!("the service manager could not be told: {error}");
    }
}
