//! `ping`: checks that a node answers.

use std::io::Write;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use clap::Args;
use exactly_once::OpenError;
use exactly_once::inspect::Query;
use exactly_once::program::check_at_rest;
use thiserror::Error;

use crate::cli::address::{Address, AddressArgs};
use crate::cli::connection::connect;
use crate::cli::state::CannotAsk;
use crate::cli::streams::printable::printable;
use crate::cli::streams::stdout;

/// A running node must reply within this time.
const PATIENCE: Duration = Duration::from_secs(10);

/// Time between two attempts.
const TRY_EVERY: Duration = Duration::from_millis(50);

/// Check that a node is running and answers
///
/// Never copies or changes a state. Exit status: 0 if the node has replied, which it does after all
/// earlier requests are durable; 6 if no node is running; 4 if a process has the directory open and
/// does not listen; 5 if it does not reply within 10 s, or says that it cannot answer; 3 if the
/// directory has no state or is no state directory.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  exactly-once serve --data-dir state & exactly-once ping --data-dir state --wait 10s; kill $!")]
pub(crate) struct PingArgs {
    #[command(flatten)]
    address: AddressArgs,
    /// Try again for this long until a node replies, such as 500ms or 10s
    #[arg(long, value_name = "TIME", default_value = "0s",
          value_parser = humantime::parse_duration)]
    wait: Duration,
}

/// No process has a directory open.
#[derive(Debug, Error)]
#[error(
    "no node is running on {directory}; start one with `exactly-once serve --data-dir {directory}`"
)]
pub(crate) struct NotRunning {
    directory: String,
}

/// Asks the node until it replies or the time is over.
pub(crate) fn run(args: &PingArgs) -> anyhow::Result<()> {
    let address = args.address.address();
    let deadline = Instant::now() + args.wait;
    loop {
        match ping(address) {
            Err(_) if Instant::now() < deadline => sleep(TRY_EVERY),
            replied => break replied?,
        }
    }
    let (Address::Directory(path) | Address::Socket(path)) = address;
    let mut output = stdout::text()?;
    writeln!(
        output,
        "a node answers at {}",
        printable(&path.display().to_string())
    )?;
    Ok(output.flush()?)
}

fn ping(address: Address<'_>) -> anyhow::Result<()> {
    match (connect(address), address) {
        (Ok(client), _) => client.with_patience(PATIENCE).ask(&Query::Ping, |_| Ok(())),
        (Err(error), Address::Socket(socket)) => Err(CannotAsk::at_socket(socket, error).into()),
        (Err(error), Address::Directory(directory)) => Err(why_not(directory, error)),
    }
}

/// Why the node of a directory cannot be asked.
fn why_not(directory: &Path, error: std::io::Error) -> anyhow::Error {
    match check_at_rest(directory) {
        Ok(()) => NotRunning {
            directory: directory.display().to_string(),
        }
        .into(),
        Err(held @ OpenError::HeldByWriter { .. }) => {
            CannotAsk::of(directory, &held.into(), error).into()
        }
        Err(unusable) => unusable.into(),
    }
}
