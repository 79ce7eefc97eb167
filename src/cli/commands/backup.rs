//! `backup`: copies a state, even while a process changes it.

use std::io::{self, BufReader, BufWriter, PipeReader, Write};
use std::path::PathBuf;
use std::thread;

use anyhow::Context;
use clap::Args;
use exactly_once::inspect::{Filter, Query};
use exactly_once::load::{Built, LoadError, build};
use exactly_once::{Options, StorageError};

use crate::cli::commands::load::say;
use crate::cli::free_space::FloorArgs;
use crate::cli::state::{OpenState, StateArgs};
use crate::cli::streams::format::FormatArgs;
use crate::cli::streams::json_lines::write_record;
use crate::cli::timeout::TimeoutArgs;

/// Copy a state into a new directory
///
/// The copy is of one moment, with everything that was durable then; a process that has the
/// directory open goes on meanwhile. The copy is opened and verified before it becomes a state; a
/// command that does not finish leaves nothing.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  exactly-once backup copy --data-dir state")]
pub(crate) struct BackupArgs {
    /// New directory; either missing or empty
    #[arg(value_name = "DIR")]
    copy: PathBuf,
    #[command(flatten)]
    floor: FloorArgs,
    #[command(flatten)]
    format: FormatArgs,
    #[command(flatten)]
    state: StateArgs,
}

/// Makes the copy, and prints what it contains.
pub(crate) fn run(args: &BackupArgs) -> anyhow::Result<()> {
    let timeout = args.state.timeout;
    let mut state = args.state.open()?;
    let built = copy_state(&mut state, args.floor, timeout, |dump, options| {
        build(&args.copy, dump, options)
    })?;
    ensure_sound(&built, "copy", timeout)?;
    say(args.format, "backed_up", built.put_in_place()?)
}

/// Builds a copy of a state from a dump, while the dump is being made.
pub(crate) fn copy_state(
    state: &mut OpenState,
    floor: FloorArgs,
    timeout: TimeoutArgs,
    build: impl FnOnce(BufReader<PipeReader>, &Options) -> Result<Built, LoadError> + Send,
) -> anyhow::Result<Built> {
    const BUFFER_BYTES: usize = 1 << 16;
    let query = Query::Dump(Filter {
        incidentals: true,
        ..Filter::default()
    });
    let options = floor.options(timeout);
    let (dump, dumping) = io::pipe().context("making a pipe")?;
    let (dumped, built) = thread::scope(|scope| {
        let building = thread::Builder::new().spawn_scoped(scope, || {
            let dump = BufReader::with_capacity(BUFFER_BYTES, dump);
            build(dump, &options)
        });
        let building = building.map_err(StorageError::Thread)?;
        let mut output = BufWriter::with_capacity(BUFFER_BYTES, dumping);
        let dumped = state.answer(&query, |record| Ok(write_record(&mut output, record)?));
        let dumped = dumped.and_then(|()| Ok(output.flush()?));
        drop(output);
        let built = building.join();
        let built = built.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Ok::<_, StorageError>((dumped, built))
    })?;
    // If one side fails, the other finds the pipe closed and cannot tell why.
    match (dumped, built) {
        (Ok(()), built) => Ok(built?),
        (Err(error), Err(LoadError::CutOff { .. } | LoadError::Empty) | Ok(_)) => Err(error),
        (Err(_), Err(error)) => Err(error.into()),
    }
}

/// Verifies a database that was built. `what` names it.
pub(crate) fn ensure_sound(built: &Built, what: &str, timeout: TimeoutArgs) -> anyhow::Result<()> {
    let report = built.verify(&timeout.storage_timeout(), |_| ())?;
    let findings = report.findings.iter();
    let told: Vec<&str> = findings.map(|finding| &*finding.text).collect();
    anyhow::ensure!(
        report.clean,
        "the {what} has errors, which is a bug, and was removed; report it: {}",
        told.join("; ")
    );
    Ok(())
}
