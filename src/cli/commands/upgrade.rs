//! `upgrade`: builds a database of the present disk format beside one of an older format.

use std::path::PathBuf;

use anyhow::{Context, ensure};
use clap::Args;
use exactly_once::inspect::{Filter, Query, View};
use exactly_once::load::{Built, build_next};
use exactly_once::program::{FORMAT, LockedDirectory};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::cli::commands::backup::{copy_state, ensure_sound};
use crate::cli::free_space::FloorArgs;
use crate::cli::state::OpenState;
use crate::cli::status::DONE_BUT_NOT_PRINTED;
use crate::cli::streams::format::{FormatArgs, number_of};
use crate::cli::timeout::TimeoutArgs;

/// Move a state directory of an older disk format to the present one
///
/// No process may have the directory open. The new database is built in a folder of the directory,
/// checked as by `verify`, and compared with the old one; then it replaces the old one in one step.
/// The old one is kept: `compact --remove-old` removes it, and `compact --undo` goes back to it, as
/// long as no request was carried out since.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  exactly-once upgrade --data-dir state --dry-run
  exactly-once upgrade --data-dir state")]
pub(crate) struct UpgradeArgs {
    /// State directory
    #[arg(long, value_name = "DIR", env = "EXACTLY_ONCE_DATA_DIR")]
    data_dir: PathBuf,
    /// Do everything but the last step, and remove the new database
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    floor: FloorArgs,
    #[command(flatten)]
    timeout: TimeoutArgs,
    #[command(flatten)]
    format: FormatArgs,
}

/// The record of what was done.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Done {
    /// The directory has the present format.
    UpToDate { format: u32 },
    Upgraded {
        from_format: u32,
        format: u32,
        positions: u64,
        /// The old database that is kept; `None` if nothing was changed.
        kept_generation: Option<u64>,
    },
}

impl Done {
    fn sentence(&self) -> String {
        match self {
            Self::UpToDate { format } => format!("the format is {format} already"),
            Self::Upgraded {
                from_format,
                format,
                positions,
                kept_generation,
            } => {
                let what = format!(
                    "from format {from_format} to {format}, {}",
                    number_of(*positions, "event")
                );
                match kept_generation {
                    None => format!("{what}; nothing was changed"),
                    Some(kept) => {
                        format!("{what}; the old database is kept as generation {kept}")
                    }
                }
            }
        }
    }
}

/// Builds the new database, and puts it in place.
pub(crate) fn run(args: &UpgradeArgs) -> anyhow::Result<()> {
    let timeout = args.timeout.storage_timeout();
    let held = LockedDirectory::lock_of_any_format(&args.data_dir, &timeout)?;
    let mut old = OpenState::Resting(Box::new(View::of_locked_directory(&held, &timeout)?));
    let before = content(&mut old)?;
    let done = if before.format == FORMAT {
        Done::UpToDate { format: FORMAT }
    } else {
        let built = copy_state(&mut old, args.floor, args.timeout, |dump, options| {
            build_next(&held, dump, options)
        })?;
        let after = check(&built, args)?;
        ensure!(
            after.digest == before.digest,
            "the new database differs from the old one, which is a bug; nothing was changed, \
             report it"
        );
        if !args.dry_run {
            built.put_in_place()?;
        }
        Done::Upgraded {
            from_format: before.format,
            format: after.format,
            positions: after.positions,
            kept_generation: (!args.dry_run).then_some(held.generation()),
        }
    };
    let printed = args.format.print(&done, Done::sentence);
    printed.context(DONE_BUT_NOT_PRINTED)
}

/// Verifies the new database, and returns what is in it.
fn check(built: &Built, args: &UpgradeArgs) -> anyhow::Result<Content> {
    let timeout = args.timeout.storage_timeout();
    ensure_sound(built, "new database", args.timeout)?;
    content(&mut OpenState::Resting(Box::new(built.inspect(&timeout)?)))
}

/// What two databases may differ in that hold the same state.
const OF_DATABASE: [&str; 3] = ["format", "groups", "fingerprint_seed"];

/// What a database contains, whatever its format is.
struct Content {
    format: u32,
    positions: u64,
    /// The digest of everything else in a dump.
    digest: [u8; 32],
}

fn content(state: &mut OpenState) -> anyhow::Result<Content> {
    let mut content = Content {
        format: 0,
        positions: 0,
        digest: [0; 32],
    };
    let mut digest = Sha256::new();
    let query = Query::Dump(Filter {
        incidentals: true,
        ..Filter::default()
    });
    state.answer(&query, |record| {
        if let Some(number) = meta(record, "format") {
            content.format = number as u32;
        }
        content.positions = meta(record, "position").unwrap_or(content.positions);
        let of_database = OF_DATABASE.iter().any(|name| meta(record, name).is_some());
        if !of_database && !record.starts_with(br#"{"type":"digest""#) {
            digest.update(record);
            digest.update(b"\n");
        }
        Ok(())
    })?;
    content.digest = digest.finalize().into();
    Ok(content)
}

/// The number that a record of the section meta has under this name.
fn meta(record: &[u8], name: &str) -> Option<u64> {
    let number = str::from_utf8(record).ok()?;
    let number = number.strip_prefix(&format!(r#"{{"type":"meta","name":"{name}","value":"#))?;
    number.strip_suffix('}')?.parse().ok()
}
