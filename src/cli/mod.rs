//! The command line: one file a subcommand, and what they share.

mod dump;
mod events;
mod exit;
mod progress;
mod run;

use std::io;
use std::process::ExitCode;

use clap::{ArgAction, Args, Parser, Subcommand};
use tracing::level_filters::LevelFilter;

const EXAMPLES: &str = "\
Examples:
  exactly-once --data-dir state < requests.jsonl > replies.jsonl
  exactly-once events book.txt --redeliver 0.2 | exactly-once run --data-dir state
  exactly-once dump --data-dir state --only counts --format table

Exit status:
  0  everything that was read is done, durable and answered
  1  the input could not be read, or nobody reads the output any more
  2  the arguments are wrong
  3  the directory cannot be used: not ours, of an unknown format, unreadable, or without state
  4  another process holds the directory
  5  the storage failed or is damaged";

/// Counts events from an at-least-once stream exactly once, across crashes and power cuts.
///
/// Reads requests as JSON lines from standard input and writes replies to standard output. A
/// reply is written only when all it says is on stable storage. Without a subcommand: `run`.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: run::RunArgs,
    #[command(flatten)]
    talk: Talk,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::RunArgs),
    Dump(dump::DumpArgs),
    Events(events::EventsArgs),
}

/// How much is said on standard error.
#[derive(Debug, Clone, Copy, Args)]
struct Talk {
    /// Say nothing on standard error but errors
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Say more on standard error; twice for much more
    #[arg(long, short, global = true, action = ArgAction::Count)]
    verbose: u8,
}

/// Parses the arguments, does the work, and says how it ended.
pub(crate) fn main() -> ExitCode {
    let cli = Cli::parse();
    start_log(cli.talk);
    let result = match cli.command {
        None => run::run(&cli.run, cli.talk),
        Some(Command::Run(args)) => run::run(&args, cli.talk),
        Some(Command::Dump(args)) => dump::run(&args),
        Some(Command::Events(args)) => events::run(&args),
    };
    exit::status(result)
}

fn start_log(talk: Talk) {
    let level = match (talk.quiet, talk.verbose) {
        (true, _) => LevelFilter::ERROR,
        (false, 0) => LevelFilter::WARN,
        (false, 1) => LevelFilter::INFO,
        (false, _) => LevelFilter::DEBUG,
    };
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(io::stderr)
        .with_target(false)
        .with_ansi(io::IsTerminal::is_terminal(&io::stderr()))
        .init();
}
