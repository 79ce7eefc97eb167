//! `outputs`: shows the released outputs of a directory.

use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use clap::Args;
use exactly_once::inspect::Query;
use exactly_once::node::yield_to_others;
use exactly_once::watermark_of;

use super::connection::is_temporary;
use super::line::write_record;
use super::source::{Source, SourceArgs, is_held};

/// How often it is looked for new outputs.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Show the outputs that commits have released, in order, from any offset on
///
/// Prints a JSON line for each: offset, commit, event id, word and the count that the event's reply
/// gave. Offsets begin at 0, are dense and never change, across restores too: whoever stores the
/// last one with what it did, and asks from the next one on, reads each output exactly once.
/// Pending outputs are never shown. Reads a copy of a directory at rest, and asks the process that
/// holds it otherwise.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  exactly-once outputs --data-dir state
  exactly-once outputs --data-dir state --from 100 --limit 10
  exactly-once outputs --data-dir state --from 100 --follow
  exactly-once outputs --data-dir state | jq -r .word")]
pub(super) struct OutputsArgs {
    #[command(flatten)]
    source: SourceArgs,
    /// The offset of the first output to show: one more than the last that was read
    #[arg(long, value_name = "OFFSET", default_value_t = 0)]
    from: u64,
    /// Show at most so many [default: all]
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Go on showing outputs as they are released, until the limit or a signal; processes that
    /// hold the directory may come and go
    #[arg(long, short)]
    follow: bool,
}

/// Prints the outputs that were asked for.
pub(super) fn run(args: &OutputsArgs) -> anyhow::Result<()> {
    let mut reader = OutputsReader {
        next: args.from,
        left: args.limit.unwrap_or(u64::MAX),
        output: BufWriter::with_capacity(1 << 16, io::stdout().lock()),
    };
    if args.follow {
        // Who follows is as quick as the process that is followed leaves it time to be.
        yield_to_others();
    }
    let mut mark = watermark_of(&args.source.data_dir);
    let mut source = args.source.open()?;
    let mut read = reader.read(&mut source);
    while args.follow && reader.left > 0 {
        let has_ended = match &read {
            Ok(()) => matches!(source, Source::Resting(_)),
            Err(error) if is_temporary(error) => true,
            Err(_) => return read,
        };
        sleep(LOOK_EVERY);
        if has_ended {
            if read.is_ok() {
                // Only a process changes a directory that was at rest when it was read.
                wait_until_not(&mark, &args.source.data_dir);
            }
            mark = watermark_of(&args.source.data_dir);
            source = reopen(&args.source)?;
        }
        read = reader.read(&mut source);
    }
    read
}

/// Shows outputs from one offset on.
struct OutputsReader<W> {
    next: u64,
    left: u64,
    output: W,
}

impl<W: Write> OutputsReader<W> {
    /// Shows what there is, each output whole, and none twice whatever happens.
    fn read(&mut self, source: &mut Source) -> anyhow::Result<()> {
        let query = Query::Outputs {
            from: self.next,
            limit: Some(self.left),
        };
        let read = source.answer(&query, |record| {
            write_record(&mut self.output, record)?;
            self.next += 1;
            self.left -= 1;
            Ok(())
        });
        self.output.flush()?;
        read
    }
}

/// Opens the directory again, whoever holds it now.
fn reopen(source: &SourceArgs) -> anyhow::Result<Source> {
    loop {
        match source.open() {
            // A start may take long.
            Err(error) if is_held(&error) => {}
            opened => return opened,
        }
    }
}

/// Waits until a process has answered something behind a mark.
fn wait_until_not(mark: &Option<Vec<u8>>, directory: &Path) {
    while watermark_of(directory) == *mark {
        sleep(LOOK_EVERY);
    }
}
