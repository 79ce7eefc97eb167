//! `load`: builds a state directory from a dump.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use exactly_once::load::{LoadError, Loaded, load};
use exactly_once::program::remedy;
use serde::Serialize;

use crate::cli::free_space::FloorArgs;
use crate::cli::status::DONE_BUT_NOT_PRINTED;
use crate::cli::streams::format::{FormatArgs, number_of};
use crate::cli::streams::stdin;
use crate::cli::timeout::TimeoutArgs;

/// Build a new state directory from a dump
///
/// Takes one whole dump in JSON lines; its digest must be right, and nothing may follow it. `dump |
/// load | dump` gives the same dump again. Times are kept if the dump was made with --incidentals,
/// and are those of 1970 otherwise. The directory becomes a state when it is whole. A command that
/// does not finish leaves nothing; after SIGKILL, the next command that names the directory removes
/// the rest.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  exactly-once dump --data-dir state --incidentals | exactly-once load --data-dir copy
  exactly-once load state.jsonl --data-dir other")]
pub(crate) struct LoadArgs {
    /// Dump to read [default: standard input]
    #[arg(value_name = "FILE")]
    dump: Option<PathBuf>,
    /// New directory; either missing or empty
    #[arg(long, value_name = "DIR", env = "EXACTLY_ONCE_DATA_DIR")]
    data_dir: PathBuf,
    #[command(flatten)]
    floor: FloorArgs,
    #[command(flatten)]
    timeout: TimeoutArgs,
    #[command(flatten)]
    format: FormatArgs,
}

/// The record of what was loaded.
#[derive(Debug, Serialize)]
struct Shown {
    r#type: &'static str,
    positions: u64,
    outputs: u64,
    checkpoints: u64,
}

/// Prints what a new directory contains. `type` says how the directory was made.
pub(crate) fn say(format: FormatArgs, r#type: &'static str, loaded: Loaded) -> anyhow::Result<()> {
    let shown = Shown {
        r#type,
        positions: loaded.positions,
        outputs: loaded.outputs,
        checkpoints: loaded.checkpoints,
    };
    let sentence = |shown: &Shown| {
        let Shown {
            positions,
            outputs,
            checkpoints,
            ..
        } = shown;
        format!(
            "{}: {} that were ever accepted, {}, {}",
            r#type.replace('_', " "),
            number_of(*positions, "event"),
            number_of(*outputs, "released output"),
            number_of(*checkpoints, "checkpoint"),
        )
    };
    let printed = format.print(&shown, sentence);
    printed.context(DONE_BUT_NOT_PRINTED)
}

/// Builds the directory, and prints what it contains.
pub(crate) fn run(args: &LoadArgs) -> anyhow::Result<()> {
    const BUFFER_BYTES: usize = 1 << 20;
    let input: Box<dyn BufRead> = match &args.dump {
        None => Box::new(BufReader::with_capacity(BUFFER_BYTES, stdin::waiting()?)),
        Some(path) => {
            let file = File::open(path);
            let file = file.map_err(|error| {
                let cure = remedy(Some(path), &error);
                anyhow::Error::new(error).context(format!("opening {}; {cure}", path.display()))
            })?;
            Box::new(BufReader::with_capacity(BUFFER_BYTES, file))
        }
    };
    let options = args.floor.options(args.timeout);
    let loaded = load(&args.data_dir, input, &options).map_err(|error| match error {
        LoadError::Input(source) => {
            let input = args.dump.as_deref().unwrap_or(Path::new("standard input"));
            let cure = remedy(Some(input), &source);
            anyhow::Error::new(source).context(format!("the dump could not be read; {cure}"))
        }
        other => other.into(),
    })?;
    say(args.format, "loaded", loaded)
}
