//! The command line: a module for each subcommand, and what they share.

mod address;
mod carry_out;
mod cleanup;
mod commands;
mod confirm;
mod connection;
mod door;
mod exit;
mod files;
mod free_space;
mod help;
mod import;
mod node_args;
mod owner;
mod pause;
mod state;
mod status;
mod streams;
mod timeout;
mod verbosity;

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use exactly_once::StorageError;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};

use commands::{
    backup, bench, checkpoints, commit, compact, counts, dump, generated, get, load, outputs, ping,
    run, send, serve, stats, upgrade, verify,
};
use streams::stdout::{self, Stdout};
use streams::{printable, stderr};
use verbosity::Verbosity;

const EXAMPLES: &str = "\
Examples:
  exactly-once --data-dir state < requests.jsonl > replies.jsonl
  exactly-once import --data-dir state --id /id --word /level app.jsonl
  exactly-once counts --data-dir state --top 10
  exactly-once checkpoints list --data-dir state
  exactly-once outputs --data-dir state --from 100
  exactly-once get --data-dir state --word the
  exactly-once stats --data-dir state --watch
  exactly-once verify --data-dir state
  exactly-once bench

Exit status:
  0  success; each request that was read was carried out or refused, and answered
  1  the input could not be read, or is not text or not a whole dump; or the output could not be
     written
  2  the arguments are wrong, or name something that does not exist
  3  the directory cannot be used: it is not a state directory, has an unknown format, cannot be
     read, holds no state, or lacks its database or has a wrong sentinel
  4  another process holds the directory
  5  the storage failed, does not respond, is damaged or has lost answered requests; or a thread
     could not be started; or a running process cannot answer now
  6  no node is running
  7  send, import: the input was read to its end, and some requests were refused or some records
     left out
  8  the node ended before it replied to a request that must not be repeated blindly
  9  an import found another file under the name of an earlier one
  10 and above: what verify found, see verify --help";

/// The version of the program, and that of the files that it writes.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (disk format 5)");

/// Count events from an at-least-once stream exactly once, across crashes and power cuts
///
/// Reads requests as JSON lines from standard input and writes replies to standard output. A
/// reply is written only when all it says is on stable storage. The default command is `run`.
///
/// On a terminal, invisible and control characters in JSON are shown as \u escapes, which mean the
/// same. In paths, U+FFFD replaces bytes that are not UTF-8.
///
/// When root runs a command on another user's state directory, the command works as that user. New
/// files and backups belong to that user, who must be allowed to write there.
#[derive(Debug, Parser)]
#[command(version = VERSION, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: run::RunArgs,
    #[command(flatten)]
    verbosity: Verbosity,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::RunArgs),
    Serve(serve::ServeArgs),
    Ping(ping::PingArgs),
    Send(send::SendArgs),
    Import(import::ImportArgs),
    Commit(commit::CommitArgs),
    Rollback(commit::RollbackArgs),
    Counts(counts::CountsArgs),
    Dump(dump::DumpArgs),
    Load(load::LoadArgs),
    Backup(backup::BackupArgs),
    Compact(compact::CompactArgs),
    Upgrade(upgrade::UpgradeArgs),
    Checkpoints(checkpoints::CheckpointsArgs),
    Outputs(outputs::OutputsArgs),
    Get(get::GetArgs),
    Stats(stats::StatsArgs),
    Verify(verify::VerifyArgs),
    Bench(bench::BenchArgs),
    Completions(generated::CompletionsArgs),
    Man(generated::ManArgs),
}

/// Log lines that may wait to be written: at most a few megabytes. Further lines are dropped.
const WAITING_LOG_LINES: usize = 10_000;

/// Parses the arguments, carries out the command and returns its exit status.
pub(crate) fn main() -> ExitCode {
    stderr::panics_too();
    fail_writes_at_a_size_limit();
    let parsed = help::with_groups(Cli::command()).try_get_matches();
    let parsed = parsed.and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, matches)));
    let result = match parsed {
        Ok((cli, matches)) => owner::work_as_owner(&matches).and_then(|()| carry_out(cli)),
        Err(error) if error.use_stderr() => return refuse(&error),
        Err(help) => print_help(&help),
    };
    exit::report(result)
}

/// Prints why the arguments cannot be used.
fn refuse(error: &clap::Error) -> ExitCode {
    let text = error.render().to_string();
    let lines = text.lines().map(printable::printable);
    if text.lines().eq(lines.clone()) {
        error.exit();
    }
    // Text from the arguments must not control the terminal.
    lines.for_each(|line| eprintln!("{line}"));
    status::USAGE.into()
}

/// Prints the text of `--help` or `--version`.
fn print_help(help: &clap::Error) -> anyhow::Result<()> {
    stdout::check_open()?;
    let text = help.render();
    let text = if console::colors_enabled() {
        text.ansi().to_string()
    } else {
        text.to_string()
    };
    Ok(Stdout::of_text()?.write_all(text.as_bytes())?)
}

/// Carries out the command.
fn carry_out(cli: Cli) -> anyhow::Result<()> {
    // First, so that nothing changes if the result cannot be printed.
    stdout::check_open()?;
    // Dropped on return, which writes all log lines before the final error is printed.
    let _log = start_log(&cli)?;
    cleanup::clean_up_on_signals(match &cli.command {
        // The node handles these signals itself.
        None | Some(Command::Run(_) | Command::Serve(_)) => &[SIGTERM, SIGINT, SIGHUP],
        Some(_) => &[],
    })?;
    match cli.command {
        None => run::run(&cli.run, cli.verbosity),
        Some(Command::Run(args)) => run::run(&args, cli.verbosity),
        Some(Command::Serve(args)) => serve::run(&args),
        Some(Command::Ping(args)) => ping::run(&args),
        Some(Command::Send(args)) => send::run(&args, cli.verbosity),
        Some(Command::Import(args)) => import::run(&args, cli.verbosity),
        Some(Command::Commit(args)) => commit::commit(&args),
        Some(Command::Rollback(args)) => commit::rollback(&args),
        Some(Command::Counts(args)) => counts::run(&args),
        Some(Command::Dump(args)) => dump::run(&args),
        Some(Command::Load(args)) => load::run(&args),
        Some(Command::Backup(args)) => backup::run(&args),
        Some(Command::Compact(args)) => compact::run(&args),
        Some(Command::Upgrade(args)) => upgrade::run(&args),
        Some(Command::Checkpoints(args)) => checkpoints::run(&args),
        Some(Command::Outputs(args)) => outputs::run(&args),
        Some(Command::Get(args)) => get::run(&args),
        Some(Command::Stats(args)) => stats::run(&args),
        Some(Command::Verify(args)) => verify::run(&args, cli.verbosity),
        Some(Command::Bench(args)) => bench::run(&args, cli.verbosity),
        Some(Command::Completions(args)) => generated::completions(&args, Cli::command()),
        Some(Command::Man(args)) => generated::man(&args, Cli::command()),
    }
}

/// Makes a write beyond the limit of file sizes (`ulimit -f`) fail, as a write to a full disk does.
/// Otherwise SIGXFSZ would end the process without a message.
fn fail_writes_at_a_size_limit() {
    let caught = signal_hook::flag::register(SIGXFSZ, Arc::default());
    // If the signal cannot be caught, such a write ends the process, which loses no reply.
    caught.map(drop).unwrap_or_default();
}

/// Starts logging to standard error on a thread of its own. If standard error is full or has no
/// reader, lines are lost, but the process does not wait.
fn start_log(cli: &Cli) -> Result<WorkerGuard, StorageError> {
    // An import counts its conflicts itself.
    let is_quiet = cli.verbosity.quiet || matches!(cli.command, Some(Command::Import(_)));
    let level = match (is_quiet, cli.verbosity.verbose) {
        (true, false) => LevelFilter::ERROR,
        (false, false) => LevelFilter::WARN,
        (_, true) => LevelFilter::INFO,
    };
    let (writer, guard) = start_log_thread()?;
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(writer)
        .log_internal_errors(false)
        .with_target(false)
        .with_ansi(console::colors_enabled_stderr())
        .init();
    Ok(guard)
}

/// Starts the thread that logs. Its library panics if the thread cannot start; only the returned
/// error is printed then, not the panic.
fn start_log_thread() -> Result<(NonBlocking, WorkerGuard), StorageError> {
    std::panic::set_hook(Box::new(|_| ()));
    let started = std::panic::catch_unwind(|| {
        NonBlockingBuilder::default()
            .buffered_lines_limit(WAITING_LOG_LINES)
            .finish(stderr::log_output())
    });
    stderr::panics_too();
    started.map_err(|_| StorageError::Thread(io::ErrorKind::WouldBlock.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_names_the_disk_format() {
        let format = format!("(disk format {})", exactly_once::program::FORMAT);
        assert!(VERSION.ends_with(&format), "{VERSION}");
    }

    #[test]
    fn every_command_is_in_one_group_of_the_help() {
        let grouped = help::GROUPS.iter().flat_map(|(_, names)| *names);
        let mut grouped: Vec<&str> = grouped.copied().collect();
        let program = Cli::command();
        let commands = program.get_subcommands().map(clap::Command::get_name);
        let mut commands: Vec<&str> = commands.chain(["help"]).collect();
        grouped.sort_unstable();
        commands.sort_unstable();
        assert_eq!(grouped, commands);
    }
}
