//! `commit` and `rollback`: release or drop all pending outputs.

use std::io::{self, IsTerminal};

use clap::Args;
use exactly_once::{Reply, Request};
use serde::Serialize;

use crate::cli::carry_out::carry_out;
use crate::cli::commands::stats;
use crate::cli::confirm::is_confirmed;
use crate::cli::free_space::FloorArgs;
use crate::cli::state::StateArgs;
use crate::cli::status::WrongArguments;
use crate::cli::streams::format::{FormatArgs, number_of};

/// Release all pending outputs into the output log
///
/// Prints how many were released. Works on a directory at rest, or asks the process that has it
/// open. With autocommit there is nothing to release.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  exactly-once commit --data-dir state")]
pub(crate) struct CommitArgs {
    #[command(flatten)]
    state: StateArgs,
    #[command(flatten)]
    floor: FloorArgs,
    #[command(flatten)]
    format: FormatArgs,
}

/// Drop all pending outputs, and the events that they came from
///
/// These events leave the state, and are new when they come again. Prints how many they were. Works
/// on a directory at rest, or asks the process that has it open. On a terminal it asks first;
/// elsewhere it needs --yes.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  exactly-once rollback --data-dir state --yes")]
pub(crate) struct RollbackArgs {
    #[command(flatten)]
    state: StateArgs,
    #[command(flatten)]
    floor: FloorArgs,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    format: FormatArgs,
}

/// What was done.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Done {
    Committed { output_count: u64 },
    RolledBack { discarded_count: u64 },
}

impl Done {
    fn sentence(&self) -> String {
        match self {
            Self::Committed { output_count } => {
                format!("released {}", number_of(*output_count, "output"))
            }
            Self::RolledBack { discarded_count } => {
                format!("dropped {}", number_of(*discarded_count, "event"))
            }
        }
    }
}

/// Commits, and prints how many outputs were released.
pub(crate) fn commit(args: &CommitArgs) -> anyhow::Result<()> {
    match carry_out(&args.state, args.floor, Request::Commit)? {
        Reply::Committed { output_count } => {
            let done = Done::Committed { output_count };
            Ok(args.format.print(&done, Done::sentence)?)
        }
        other => unreachable!("a commit is answered, not {other:?}"),
    }
}

/// Rolls back, and prints how many events left the state.
pub(crate) fn rollback(args: &RollbackArgs) -> anyhow::Result<()> {
    if !args.yes {
        if !io::stdin().is_terminal() {
            let why = "a rollback without a terminal needs --yes; `stats` shows how many outputs \
                       are pending";
            return Err(WrongArguments(why.to_owned()).into());
        }
        let pending = stats::ask(&mut args.state.open()?)?.pending;
        let text = format!("Drop {pending} pending outputs, and their events?");
        if !is_confirmed(&text)? {
            return Ok(());
        }
    }
    match carry_out(&args.state, args.floor, Request::Rollback)? {
        Reply::RolledBack { discarded_count } => {
            let done = Done::RolledBack { discarded_count };
            Ok(args.format.print(&done, Done::sentence)?)
        }
        other => unreachable!("a rollback is answered, not {other:?}"),
    }
}
