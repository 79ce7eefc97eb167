//! `checkpoints`: shows, saves, restores and deletes checkpoints.

mod change;

use std::io::{self, IsTerminal};

use clap::{Args, Subcommand};
use exactly_once::Request;
use exactly_once::inspect::Query;
use serde::{Deserialize, Serialize};

use crate::cli::carry_out::carry_out;
use crate::cli::commands::graph::{self, GraphArgs};
use crate::cli::confirm::is_confirmed;
use crate::cli::free_space::FloorArgs;
use crate::cli::state::StateArgs;
use crate::cli::status::WrongArguments;
use crate::cli::streams::format::FormatArgs;
use crate::cli::streams::table::{RecordKind, Sheet};
use change::Change;

/// Show, compare, draw, save, restore and delete checkpoints
///
/// Works on a directory at rest, or asks the process that has it open.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  exactly-once checkpoints list --data-dir state
  exactly-once checkpoints save before --data-dir state
  exactly-once checkpoints show before --data-dir state
  exactly-once checkpoints diff before --data-dir state
  exactly-once checkpoints restore before --data-dir state --yes
  exactly-once checkpoints delete before --data-dir state --dry-run
  exactly-once checkpoints graph --data-dir state")]
pub(crate) struct CheckpointsArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    List(ListArgs),
    Show(ShowArgs),
    Diff(DiffArgs),
    Save(SaveArgs),
    Restore(RestoreArgs),
    Delete(DeleteArgs),
    Graph(GraphArgs),
}

/// List all checkpoints: name, time, events, pending outputs and position
///
/// The pending outputs are those that would be pending after a restore now.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  exactly-once checkpoints list --data-dir state")]
struct ListArgs {
    #[command(flatten)]
    look: LookArgs,
}

/// Show a checkpoint and its counts
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  exactly-once checkpoints show before --data-dir state")]
struct ShowArgs {
    /// Name of the checkpoint
    name: String,
    #[command(flatten)]
    look: LookArgs,
}

/// Show how a checkpoint differs from another one, or from the present state
///
/// Prints how many events only the first has, only the second and both; then each word whose
/// counts differ.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  exactly-once checkpoints diff before --data-dir state
  exactly-once checkpoints diff before after --data-dir state")]
struct DiffArgs {
    /// Name of the first checkpoint
    first: String,
    /// Name of the second checkpoint [default: the present state]
    second: Option<String>,
    #[command(flatten)]
    look: LookArgs,
}

/// Save the present state as a checkpoint, replacing one of the same name
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  exactly-once checkpoints save before --data-dir state --dry-run
  exactly-once checkpoints save before --data-dir state")]
struct SaveArgs {
    /// Only show the checkpoint that would be replaced, if any
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    change: ChangeArgs,
}

/// Restore the state of a checkpoint: events, counts and pending outputs
///
/// Released outputs stay released, and other checkpoints stay. Asks for confirmation; needs --yes
/// without a terminal.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  exactly-once checkpoints restore before --data-dir state --dry-run
  exactly-once checkpoints restore before --data-dir state --yes")]
struct RestoreArgs {
    /// Do not ask for confirmation
    #[arg(long)]
    yes: bool,
    /// Only show how the checkpoint differs from the present state
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
    #[command(flatten)]
    change: ChangeArgs,
}

/// Delete a checkpoint; the state stays as it is
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  exactly-once checkpoints delete before --data-dir state --dry-run
  exactly-once checkpoints delete before --data-dir state")]
struct DeleteArgs {
    /// Only show the checkpoint that would be deleted
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    change: ChangeArgs,
}

/// The arguments of the commands that save, restore or delete.
#[derive(Debug, Args)]
struct ChangeArgs {
    /// Name of the checkpoint
    name: String,
    #[command(flatten)]
    format: FormatArgs,
    #[command(flatten)]
    floor: FloorArgs,
    #[command(flatten)]
    state: StateArgs,
}

/// The arguments of the commands that only read.
#[derive(Debug, Args)]
struct LookArgs {
    #[command(flatten)]
    state: StateArgs,
    #[command(flatten)]
    format: FormatArgs,
}

impl LookArgs {
    fn show(&self, query: &Query, kinds: &[RecordKind]) -> anyhow::Result<()> {
        show(&self.state, self.format, query, kinds, |_| true)
    }
}

const LISTED: &[RecordKind] = &[RecordKind::new("checkpoint", "checkpoints")];
const SHOWN: &[RecordKind] = &[
    RecordKind::single("checkpoint", "checkpoint"),
    RecordKind::new("count", "counts"),
];
const DIFFERING: &[RecordKind] = &[
    RecordKind::single("events", "events"),
    RecordKind::new("count_differs", "counts that differ"),
];

/// What a command does with a checkpoint.
#[derive(Debug, Clone, Copy)]
enum Verb {
    Save,
    Restore,
    Delete,
}

impl Verb {
    fn request(self, checkpoint_id: &str) -> Request<'_> {
        match self {
            Self::Save => Request::Checkpoint { checkpoint_id },
            Self::Restore => Request::Restore { checkpoint_id },
            Self::Delete => Request::DeleteCheckpoint { checkpoint_id },
        }
    }

    /// The `type` of the record that the command prints when it is done, and the same in words.
    fn done(self) -> (&'static str, &'static str) {
        match self {
            Self::Save => ("checkpoint_saved", "saved checkpoint"),
            Self::Restore => ("restored", "the state is that of checkpoint"),
            Self::Delete => ("checkpoint_deleted", "deleted checkpoint"),
        }
    }
}

/// The record that the command prints when it is done.
#[derive(Debug, Serialize)]
struct Named<'a> {
    r#type: &'a str,
    checkpoint_id: &'a str,
}

/// Carries out the subcommand, and prints its result.
pub(crate) fn run(args: &CheckpointsArgs) -> anyhow::Result<()> {
    match &args.action {
        Action::List(ListArgs { look }) => look.show(&Query::ListCheckpoints, LISTED),
        Action::Show(ShowArgs { name, look }) => {
            let checkpoint_id = name.clone();
            look.show(&Query::ShowCheckpoint { checkpoint_id }, SHOWN)
        }
        Action::Diff(args) => {
            let (first, second) = (args.first.clone(), args.second.clone());
            let query = Query::DiffCheckpoints { first, second };
            args.look.show(&query, DIFFERING)
        }
        Action::Save(args) => save(args),
        Action::Restore(args) => restore(args),
        Action::Delete(args) => delete(args),
        Action::Graph(args) => graph::run(args),
    }
}

fn save(args: &SaveArgs) -> anyhow::Result<()> {
    let ChangeArgs {
        name,
        state,
        format,
        ..
    } = &args.change;
    if args.dry_run {
        // A checkpoint that does not exist yet is not an error.
        return show(state, *format, &Query::ListCheckpoints, LISTED, |record| {
            serde_json::from_slice(record)
                .is_ok_and(|CheckpointName { name: listed }| listed == *name)
        });
    }
    change(&args.change, Verb::Save)
}

fn restore(args: &RestoreArgs) -> anyhow::Result<()> {
    let ChangeArgs {
        name,
        state,
        format,
        ..
    } = &args.change;
    let difference = Query::DiffCheckpoints {
        first: name.clone(),
        second: None,
    };
    if args.dry_run {
        return show(state, *format, &difference, DIFFERING, |_| true);
    }
    if !args.yes {
        if !io::stdin().is_terminal() {
            let why = "a restore without a terminal needs --yes; see --dry-run for what it changes";
            return Err(WrongArguments(why.to_owned()).into());
        }
        let mut changes = Change::default();
        state.answer(&difference, |record| Ok(changes.add(record)?))?;
        let text = format!("{changes}\nMake the state that of checkpoint {name:?}?");
        if !is_confirmed(&text)? {
            return Ok(());
        }
    }
    change(&args.change, Verb::Restore)
}

fn delete(args: &DeleteArgs) -> anyhow::Result<()> {
    if args.dry_run {
        let query = Query::ShowCheckpoint {
            checkpoint_id: args.change.name.clone(),
        };
        let ChangeArgs { state, format, .. } = &args.change;
        let mut is_first = true;
        return show(state, *format, &query, LISTED, |_| {
            std::mem::take(&mut is_first)
        });
    }
    change(&args.change, Verb::Delete)
}

/// Changes the state, and prints what was done.
fn change(args: &ChangeArgs, verb: Verb) -> anyhow::Result<()> {
    let ChangeArgs {
        name,
        floor,
        state,
        format,
    } = args;
    let checkpoint_id = name.as_str();
    carry_out(state, *floor, verb.request(checkpoint_id))?;
    let (r#type, done) = verb.done();
    let record = Named {
        r#type,
        checkpoint_id,
    };
    Ok(format.print(&record, |_| format!("{done} {name:?}"))?)
}

/// The name in the record of a checkpoint.
#[derive(Deserialize)]
struct CheckpointName {
    name: String,
}

/// Prints the wanted records of a query.
fn show(
    state: &StateArgs,
    format: FormatArgs,
    query: &Query,
    kinds: &[RecordKind],
    mut is_wanted: impl FnMut(&[u8]) -> bool,
) -> anyhow::Result<()> {
    let mut sheet = Sheet::new(format.get(), kinds)?;
    state.answer(query, |record| match is_wanted(record) {
        true => sheet.add(record),
        false => Ok(()),
    })?;
    Ok(sheet.end()?)
}
