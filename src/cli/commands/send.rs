//! `send`: sends requests to a node, and prints the replies.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, ValueEnum};
use exactly_once::client::{Relay, Wanted};
use exactly_once::program::remedy;
use thiserror::Error;

use crate::cli::door::{Door, DoorArgs};
use crate::cli::streams::stdin;
use crate::cli::streams::stdout;
use crate::cli::verbosity::Verbosity;

/// Send requests to a node, and print the replies
///
/// Reads JSON lines, as `run` does, and prints what the node replies. If no node has the directory
/// open, this command is the node until its input ends, and other clients may connect to it.
///
/// If the node goes away, this connects again and sends each event that has no reply once more, in
/// order, which counts none twice. A commit, a checkpoint, a restore or a rollback without a reply
/// may have been carried out: then this stops with exit status 8 and names the line.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  exactly-once send --data-dir state requests.jsonl
  exactly-once send --data-dir state --replies errors < requests.jsonl && echo all done")]
pub(crate) struct SendArgs {
    /// Files of requests; standard input for - or none
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Which replies to print
    #[arg(long, value_name = "WHICH", default_value = "all")]
    replies: Replies,
    #[command(flatten)]
    door: DoorArgs,
}

/// Which replies are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Replies {
    All,
    Errors,
    None,
}

/// Some requests were refused.
#[derive(Debug, Error)]
#[error("{refused} of {requests} requests were refused; the first: {first}")]
pub(crate) struct SomeRefused {
    requests: u64,
    refused: u64,
    first: String,
}

/// Sends all requests.
pub(crate) fn run(args: &SendArgs, verbosity: Verbosity) -> anyhow::Result<()> {
    let mut door = Door::new(&args.door, verbosity);
    let wanted = match args.replies {
        Replies::All => Wanted::All,
        Replies::Errors => Wanted::Errors,
        Replies::None => Wanted::None,
    };
    let relayed = relay(args, wanted, &mut door);
    // A failed storage explains what else failed.
    door.close()?;
    relayed
}

fn relay(args: &SendArgs, wanted: Wanted, door: &mut Door) -> anyhow::Result<()> {
    // Before there is any request, so that a wrong directory is told at once.
    door.client.connect()?;
    let mut relay = Relay::new(&mut door.client, wanted, stdout::json_lines()?);
    let standard_input = [PathBuf::from("-")];
    let files = match &args.files[..] {
        [] => &standard_input[..],
        files => files,
    };
    let mut first = None;
    for file in files {
        relay.run(open(file)?).with_context(|| shown(file))?;
        let of_file = relay
            .first_refused()
            .map(|why| format!("{}: {why}", shown(file)));
        first = first.or(of_file);
    }
    let (requests, refused) = relay.counts();
    match first {
        None => Ok(()),
        Some(first) => Err(SomeRefused {
            requests,
            refused,
            first,
        }
        .into()),
    }
}

/// The name of an input, for messages.
fn shown(file: &Path) -> String {
    match file == Path::new("-") {
        true => "standard input".to_owned(),
        false => file.display().to_string(),
    }
}

fn open(file: &Path) -> anyhow::Result<Box<dyn Read + Send>> {
    if file == Path::new("-") {
        return Ok(Box::new(stdin::waiting()?));
    }
    let opened = File::open(file).map_err(|error| {
        let cure = remedy(Some(file), &error);
        anyhow::Error::new(error).context(format!("opening {}; {cure}", file.display()))
    });
    Ok(Box::new(opened?))
}
