//! `backup`: a copy of a state, also of one that a process is changing.

use std::io::{self, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::Context;
use clap::Args;
use exactly_once::Options;
use exactly_once::inspect::{Filter, Query};
use exactly_once::load::{LoadError, Loaded, build};
use exactly_once::verify::verify;

use super::line::write_record;
use super::load::say;
use super::source::{Source, SourceArgs};
use super::timeout::TimeoutArgs;

/// Make a copy of a state in a new directory
///
/// The copy is of one moment, with everything that was durable then; a process that holds the
/// directory goes on meanwhile. It is opened and verified before it gets its name.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  exactly-once backup copy --data-dir state")]
pub(super) struct BackupArgs {
    /// The new directory; it must not exist, or be empty
    #[arg(value_name = "DIR")]
    copy: PathBuf,
    #[command(flatten)]
    source: SourceArgs,
}

/// Makes the copy, and prints what it holds.
pub(super) fn run(args: &BackupArgs) -> anyhow::Result<()> {
    let loaded = copy_state(&mut args.source.open()?, &args.copy, args.source.timeout)?;
    say("backed_up", loaded)
}

/// Makes a copy of a state in a new directory, which gets its name when it has been verified.
pub(super) fn copy_state(
    source: &mut Source,
    copy: &Path,
    timeout: TimeoutArgs,
) -> anyhow::Result<Loaded> {
    const BUFFER_BYTES: usize = 1 << 16;
    let query = Query::Dump(Filter {
        incidentals: true,
        ..Filter::default()
    });
    let options = Options {
        storage_timeout: timeout.storage_timeout(),
        ..Options::default()
    };
    let (dump, dumping) = io::pipe().context("making a pipe")?;
    let (dumped, built) = thread::scope(|scope| {
        let building = scope.spawn(|| {
            let dump = BufReader::with_capacity(BUFFER_BYTES, dump);
            build(copy, dump, &options)
        });
        let mut output = BufWriter::with_capacity(BUFFER_BYTES, dumping);
        let dumped = source.answer(&query, |record| Ok(write_record(&mut output, record)?));
        let dumped = dumped.and_then(|()| Ok(output.flush()?));
        drop(output);
        let built = building.join();
        (
            dumped,
            built.unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
        )
    });
    // Where one of both fails, the other one finds the pipe closed, and knows no more than that.
    let built = match (dumped, built) {
        (Ok(()), built) => built?,
        (Err(error), Err(LoadError::CutOff { .. }) | Ok(_)) => return Err(error),
        (Err(_), Err(error)) => return Err(error.into()),
    };
    let report = verify(built.directory(), &timeout.storage_timeout(), |_| ())?;
    anyhow::ensure!(
        report.clean,
        "the copy is not right, which is a bug, and was removed: {:?}",
        report.findings
    );
    Ok(built.put_in_place()?)
}
