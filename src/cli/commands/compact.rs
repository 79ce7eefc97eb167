//! `compact`: writes the database of a directory anew, which takes less of the disk.

use std::path::PathBuf;

use anyhow::{Context, ensure};
use clap::Args;
use exactly_once::inspect::{Digest, Filter, Query, View};
use exactly_once::load::{Built, build_next};
use exactly_once::program::{Kept, LockedDirectory};
use serde::Serialize;

use crate::cli::commands::backup::copy_state;
use crate::cli::free_space::FloorArgs;
use crate::cli::state::OpenState;
use crate::cli::status::{DONE_BUT_NOT_PRINTED, WrongArguments};
use crate::cli::streams::json_lines::print_line;
use crate::cli::timeout::TimeoutArgs;

/// Write the database of a directory anew, so that it takes less of the disk
///
/// No process may hold the directory. The new database is built in the directory, in a folder of
/// its own, and compared with the old one; then it takes the place of the old one in one step. The
/// old one is kept until --remove-old, before which no second compaction is made, and --undo makes
/// it the present one again. The directory itself, its path and its owner stay. Databases have
/// numbers, called generations: the first is 0, and the folder generation-N holds number N.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  exactly-once compact --data-dir state --dry-run
  exactly-once compact --data-dir state
  exactly-once compact --data-dir state --remove-old")]
pub(crate) struct CompactArgs {
    /// Where the state lives
    #[arg(long, value_name = "DIR", env = "EXACTLY_ONCE_DATA_DIR")]
    data_dir: PathBuf,
    /// Do everything but the last step, and remove the new database again; with --remove-old or
    /// --undo, only say what would be done
    #[arg(long)]
    dry_run: bool,
    /// Remove the old database that an earlier compaction has kept, and do nothing else
    #[arg(long, conflicts_with = "undo")]
    remove_old: bool,
    /// Go back to the old database, and do nothing else; refused if a request was carried out since
    /// the compaction
    #[arg(long)]
    undo: bool,
    #[command(flatten)]
    floor: FloorArgs,
    #[command(flatten)]
    timeout: TimeoutArgs,
}

/// What was done, as the command says it. Databases are named by their numbers: 0 is the first,
/// and each compaction makes the next.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Done {
    Compacted {
        before_bytes: u64,
        after_bytes: u64,
        /// The old database that is kept; `None` if all is as it was.
        kept_generation: Option<u64>,
    },
    OldRemoved {
        removed_generation: u64,
        bytes: u64,
        /// Files in its folder that were not made by this program, and stay.
        other_files: Vec<String>,
    },
    OldKept {
        kept_generation: u64,
        bytes: u64,
        /// Files in its folder that --remove-old leaves.
        other_files: Vec<String>,
    },
    Undone {
        present_generation: u64,
    },
}

/// Writes the database anew, removes what was kept, or goes back to it.
pub(crate) fn run(args: &CompactArgs) -> anyhow::Result<()> {
    let held = LockedDirectory::lock(&args.data_dir, &args.timeout.storage_timeout())?;
    let kept = held.kept()?;
    match kept {
        Some(kept) if args.remove_old => remove_old(&held, kept, args),
        Some(kept) if args.undo => undo(kept, args),
        None if args.remove_old || args.undo => {
            let why = format!(
                "{} keeps no old database; there is one from a compaction until --remove-old",
                args.data_dir.display()
            );
            Err(WrongArguments(why).into())
        }
        Some(kept) => {
            let or_undo = match kept.is_up_to_date()? {
                true => ", or go back to it with --undo",
                false => ", then compact again",
            };
            let why = format!(
                "{} still has the old database of an earlier compaction; remove it with \
                 --remove-old{or_undo}",
                args.data_dir.display()
            );
            Err(WrongArguments(why).into())
        }
        None => compact(&held, args),
    }
}

fn compact(held: &LockedDirectory, args: &CompactArgs) -> anyhow::Result<()> {
    let timeout = args.timeout.storage_timeout();
    let mut state = OpenState::Resting(Box::new(View::of_locked_directory(held, &timeout)?));
    let before = digest(&mut state)?;
    let built = copy_state(&mut state, args.floor, args.timeout, |dump, options| {
        build_next(held, dump, options)
    })?;
    compare(&built, &before, args)?;
    let (before_bytes, after_bytes) = (held.bytes()?, built.bytes()?);
    if !args.dry_run {
        built.put_in_place()?;
    }
    say(&Done::Compacted {
        before_bytes,
        after_bytes,
        kept_generation: (!args.dry_run).then_some(held.generation()),
    })
}

/// Compares the new database with the old one.
fn compare(built: &Built, expected: &Digest, args: &CompactArgs) -> anyhow::Result<()> {
    let copy = built.inspect(&args.timeout.storage_timeout())?;
    ensure!(
        digest(&mut OpenState::Resting(Box::new(copy)))? == *expected,
        "the new database differs from the old one, which is a bug: nothing was changed"
    );
    Ok(())
}

fn remove_old(held: &LockedDirectory, kept: Kept<'_>, args: &CompactArgs) -> anyhow::Result<()> {
    let (number, bytes) = (kept.generation(), kept.bytes()?);
    let other_files = kept.other_files()?.into_iter();
    let other_files = other_files.map(|name| name.to_string_lossy().into_owned());
    let other_files = other_files.collect();
    if args.dry_run {
        return say(&Done::OldKept {
            kept_generation: number,
            bytes,
            other_files,
        });
    }
    // What is kept is removed only beside a database that can be opened.
    View::of_locked_directory(held, &args.timeout.storage_timeout())?;
    kept.remove()?;
    say(&Done::OldRemoved {
        removed_generation: number,
        bytes,
        other_files,
    })
}

fn undo(kept: Kept<'_>, args: &CompactArgs) -> anyhow::Result<()> {
    if !kept.is_up_to_date()? {
        let why = "requests were carried out since the compaction, and the old database has not \
                   seen them; keep the present one, and remove the old one with --remove-old";
        return Err(WrongArguments(why.to_owned()).into());
    }
    View::of_kept(&kept, &args.timeout.storage_timeout())?;
    let present_generation = kept.generation();
    if !args.dry_run {
        kept.make_present()?;
    }
    say(&Done::Undone { present_generation })
}

/// The digest of all that a database holds.
fn digest(state: &mut OpenState) -> anyhow::Result<Digest> {
    let mut last = Vec::new();
    state.answer(&Query::Dump(Filter::default()), |record| {
        last.clear();
        last.extend_from_slice(record);
        Ok(())
    })?;
    ensure!(!last.is_empty(), "the dump is empty");
    Ok(serde_json::from_slice(&last)?)
}

fn say(done: &Done) -> anyhow::Result<()> {
    print_line(done).context(DONE_BUT_NOT_PRINTED)
}
