//! `compact`: rewrites the database of a directory, so that it takes less disk space.

use std::path::PathBuf;

use anyhow::{Context, ensure};
use clap::Args;
use exactly_once::inspect::{Digest, Filter, Query, View};
use exactly_once::load::{Built, build_next};
use exactly_once::program::{Kept, LockedDirectory};
use indicatif::HumanBytes;
use serde::Serialize;

use crate::cli::commands::backup::copy_state;
use crate::cli::free_space::FloorArgs;
use crate::cli::state::OpenState;
use crate::cli::status::{DONE_BUT_NOT_PRINTED, WrongArguments};
use crate::cli::streams::format::FormatArgs;
use crate::cli::timeout::TimeoutArgs;

/// Rewrite the database of a state, so that it takes less disk space
///
/// No process may have the directory open. The new database is built in a folder of the directory
/// and compared with the old one; then it replaces the old one in one step. The old one is kept
/// until --remove-old or --undo. Until one of them, no second compaction is possible.
/// The directory, its path and its owner stay the same. The databases are numbered from 0 on, and
/// the number is called a generation: the folder generation-N holds number N.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  exactly-once compact --data-dir state --dry-run
  exactly-once compact --data-dir state
  exactly-once compact --data-dir state --remove-old")]
pub(crate) struct CompactArgs {
    /// State directory
    #[arg(long, value_name = "DIR", env = "EXACTLY_ONCE_DATA_DIR")]
    data_dir: PathBuf,
    /// Do everything but the last step, and remove the new database; with --remove-old or --undo,
    /// only print what would be done
    #[arg(long)]
    dry_run: bool,
    /// Only remove the old database of an earlier compaction
    #[arg(long, conflicts_with = "undo")]
    remove_old: bool,
    /// Only go back to the old database; refused if a request was carried out since the compaction
    #[arg(long)]
    undo: bool,
    #[command(flatten)]
    floor: FloorArgs,
    #[command(flatten)]
    timeout: TimeoutArgs,
    #[command(flatten)]
    format: FormatArgs,
}

/// The record of what was done. Databases are named by their generations.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Done {
    Compacted {
        before_bytes: u64,
        after_bytes: u64,
        /// The old database that is kept; `None` if nothing was changed.
        kept_generation: Option<u64>,
    },
    OldRemoved {
        removed_generation: u64,
        bytes: u64,
        /// Files in its folder that this program did not make; they stay.
        other_files: Vec<String>,
    },
    OldKept {
        kept_generation: u64,
        bytes: u64,
        /// Files in its folder that --remove-old would leave.
        other_files: Vec<String>,
    },
    Undone {
        present_generation: u64,
    },
}

impl Done {
    fn sentence(&self) -> String {
        let bytes = |bytes: &u64| HumanBytes(*bytes).to_string();
        match self {
            Self::Compacted {
                before_bytes,
                after_bytes,
                kept_generation,
            } => {
                let (before, after) = (bytes(before_bytes), bytes(after_bytes));
                match kept_generation {
                    None => format!("{after} instead of {before}; nothing was changed"),
                    Some(kept) => format!(
                        "{after} instead of {before}; the old database is kept as generation {kept}"
                    ),
                }
            }
            Self::OldRemoved {
                removed_generation,
                bytes: size,
                other_files,
            } => {
                let size = bytes(size);
                format!("removed generation {removed_generation}, {size}") + &others(other_files)
            }
            Self::OldKept {
                kept_generation,
                bytes: size,
                other_files,
            } => {
                let size = bytes(size);
                format!("generation {kept_generation} is kept, {size}") + &others(other_files)
            }
            Self::Undone { present_generation } => {
                format!("the database is generation {present_generation}")
            }
        }
    }
}

/// What is said of files that this program did not make.
fn others(files: &[String]) -> String {
    match files {
        [] => String::new(),
        files => format!("; other files stay there: {}", files.join(", ")),
    }
}

/// Rewrites the database, removes the old one, or goes back to it.
pub(crate) fn run(args: &CompactArgs) -> anyhow::Result<()> {
    let held = LockedDirectory::lock(&args.data_dir, &args.timeout.storage_timeout())?;
    let kept = held.kept()?;
    match kept {
        Some(kept) if args.remove_old => remove_old(&held, kept, args),
        Some(kept) if args.undo => undo(kept, args),
        None if args.remove_old || args.undo => {
            let why = format!(
                "{} has no old database; there is one from a compaction until --remove-old",
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
    say(
        args,
        &Done::Compacted {
            before_bytes,
            after_bytes,
            kept_generation: (!args.dry_run).then_some(held.generation()),
        },
    )
}

/// Fails if the new database differs from the old one.
fn compare(built: &Built, expected: &Digest, args: &CompactArgs) -> anyhow::Result<()> {
    let copy = built.inspect(&args.timeout.storage_timeout())?;
    ensure!(
        digest(&mut OpenState::Resting(Box::new(copy)))? == *expected,
        "the new database differs from the old one, which is a bug; nothing was changed, report it"
    );
    Ok(())
}

fn remove_old(held: &LockedDirectory, kept: Kept<'_>, args: &CompactArgs) -> anyhow::Result<()> {
    let (number, bytes) = (kept.generation(), kept.bytes()?);
    let other_files = kept.other_files()?.into_iter();
    let other_files = other_files.map(|name| name.to_string_lossy().into_owned());
    let other_files = other_files.collect();
    if args.dry_run {
        return say(
            args,
            &Done::OldKept {
                kept_generation: number,
                bytes,
                other_files,
            },
        );
    }
    // The old database is removed only if the present one can be opened.
    View::of_locked_directory(held, &args.timeout.storage_timeout())?;
    kept.remove()?;
    say(
        args,
        &Done::OldRemoved {
            removed_generation: number,
            bytes,
            other_files,
        },
    )
}

fn undo(kept: Kept<'_>, args: &CompactArgs) -> anyhow::Result<()> {
    if !kept.is_up_to_date()? {
        let why = "requests were carried out since the compaction, and the old database lacks \
                   them; keep the present one, and remove the old one with --remove-old";
        return Err(WrongArguments(why.to_owned()).into());
    }
    let view = View::of_kept(&kept, &args.timeout.storage_timeout())?;
    let format = view.stats()?.format;
    let present_generation = kept.generation();
    if !args.dry_run {
        kept.make_present(format)?;
    }
    say(args, &Done::Undone { present_generation })
}

/// The digest of the whole content of a database.
fn digest(state: &mut OpenState) -> anyhow::Result<Digest> {
    let mut last = Vec::new();
    state.answer(&Query::Dump(Filter::default()), |record| {
        last.clear();
        last.extend_from_slice(record);
        Ok(())
    })?;
    ensure!(
        !last.is_empty(),
        "the dump is empty, which is a bug; report it"
    );
    Ok(serde_json::from_slice(&last)?)
}

fn say(args: &CompactArgs, done: &Done) -> anyhow::Result<()> {
    let printed = args.format.print(done, Done::sentence);
    printed.context(DONE_BUT_NOT_PRINTED)
}
