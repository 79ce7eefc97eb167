//! `compact`: writes a directory anew, which takes less of the disk.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use clap::Args;
use exactly_once::HeldDirectory;
use exactly_once::inspect::{Digest, Filter, Inspection, Query};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde::Serialize;

use super::backup::copy_state;
use super::exit::WrongArguments;
use super::files::{parent_of, size};
use super::line::write_line;
use super::source::Source;
use super::timeout::TimeoutArgs;

/// Write a directory anew, so that it takes less of the disk
///
/// Only at rest. The new directory is built beside the old one, verified, and compared with it;
/// then both change places in one step. The old one is kept, as DIR.before-compaction, until
/// --remove-old.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  exactly-once compact --data-dir state --dry-run
  exactly-once compact --data-dir state
  exactly-once compact --data-dir state --remove-old")]
pub(super) struct CompactArgs {
    /// Where the state lives
    #[arg(long, value_name = "DIR", env = "EXACTLY_ONCE_DATA_DIR")]
    data_dir: PathBuf,
    /// Do everything but change places, and remove the new directory again; with --remove-old, only
    /// say what would be removed
    #[arg(long)]
    dry_run: bool,
    /// Only remove the old directory that an earlier compaction has kept
    #[arg(long)]
    remove_old: bool,
    #[command(flatten)]
    timeout: TimeoutArgs,
}

/// What was done, as the command says it.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Done<'a> {
    Compacted {
        before_bytes: u64,
        after_bytes: u64,
        /// Where the old directory is; `None` if all is as it was.
        old: Option<&'a Path>,
    },
    OldRemoved {
        old: &'a Path,
    },
    OldKept {
        old: &'a Path,
        bytes: u64,
    },
}

/// Writes the directory anew, or removes what was kept.
pub(super) fn run(args: &CompactArgs) -> anyhow::Result<()> {
    let timeout = args.timeout.storage_timeout();
    let held = HeldDirectory::lock(&args.data_dir, &timeout)?;
    // Where it really is, as what stands beside it must be on the same file system.
    let data_dir = fs::canonicalize(&args.data_dir).context("finding the directory")?;
    let mut old = OsString::from(&data_dir);
    old.push(".before-compaction");
    let old = PathBuf::from(old);
    if args.remove_old {
        return remove_old(&held, &old, args);
    }
    if old.exists() {
        let why = format!(
            "{} is there already, from an earlier compaction; remove it with --remove-old",
            old.display()
        );
        return Err(WrongArguments(why).into());
    }
    let mut source = Source::Resting(Box::new(Inspection::of_held(&held, &timeout)?));
    let before = digest(&mut source)?;
    copy_state(&mut source, &old, args.timeout)?;
    let compared = compare(&old, &before, &data_dir, args);
    if args.dry_run || compared.is_err() {
        fs::remove_dir_all(&old).context("removing the new directory")?;
    }
    let (before_bytes, after_bytes) = compared?;
    let old = (!args.dry_run).then_some(&*old);
    say(&Done::Compacted {
        before_bytes,
        after_bytes,
        old,
    })
}

/// Compares the new directory with the old one, and has both change places unless it is a dry run.
/// Returns how many bytes the old one and the new one have.
fn compare(
    new: &Path,
    expected: &Digest,
    data_dir: &Path,
    args: &CompactArgs,
) -> anyhow::Result<(u64, u64)> {
    let copy = Inspection::open(new, &args.timeout.storage_timeout())?;
    ensure!(
        digest(&mut Source::Resting(Box::new(copy)))? == *expected,
        "the new directory differs from the old one, which is a bug: nothing was changed"
    );
    let bytes = (size(data_dir)?, size(new)?);
    let mode = fs::metadata(data_dir)?.permissions();
    fs::set_permissions(new, mode).context("setting the mode of the new directory")?;
    if !args.dry_run {
        // From here on the names are those that the directories have at the end.
        renameat_with(CWD, new, CWD, data_dir, RenameFlags::EXCHANGE)
            .context("having both directories change places, which this file system may not do")?;
        sync_parent(data_dir)?;
    }
    Ok(bytes)
}

fn remove_old(held: &HeldDirectory, old: &Path, args: &CompactArgs) -> anyhow::Result<()> {
    if !old.exists() {
        let why = format!("there is no {}: nothing was compacted", old.display());
        return Err(WrongArguments(why).into());
    }
    if args.dry_run {
        let bytes = size(old)?;
        return say(&Done::OldKept { old, bytes });
    }
    // What is kept is removed only beside a directory that can be opened.
    Inspection::of_held(held, &args.timeout.storage_timeout())?;
    fs::remove_dir_all(old).with_context(|| format!("removing {}", old.display()))?;
    sync_parent(old)?;
    say(&Done::OldRemoved { old })
}

/// The digest of all that a directory holds.
fn digest(source: &mut Source) -> anyhow::Result<Digest> {
    let mut last = Vec::new();
    source.answer(&Query::Dump(Filter::default()), |record| {
        last.clear();
        last.extend_from_slice(record);
        Ok(())
    })?;
    ensure!(!last.is_empty(), "the dump is empty");
    Ok(serde_json::from_slice(&last)?)
}

fn sync_parent(path: &Path) -> anyhow::Result<()> {
    let directory = File::open(parent_of(path)).context("opening the directory above")?;
    directory.sync_all().context("syncing the directory above")
}

fn say(done: &Done<'_>) -> anyhow::Result<()> {
    Ok(write_line(&mut io::stdout().lock(), done)?)
}
