//! `outputs`: shows the released outputs of a directory.

use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Args;
use exactly_once::inspect::{LastOutput, Query};
use exactly_once::program::watermark_of;
use exactly_once::program::yield_to_others;
use rustix::fs::{OFlags, fcntl_getfl};

use crate::cli::connection::is_temporary;
use crate::cli::pause::pause;
use crate::cli::state::{OpenState, StateArgs, is_held};
use crate::cli::status::WrongArguments;
use crate::cli::streams::format::FormatArgs;
use crate::cli::streams::table::{RecordKind, Sheet};

/// Time between two looks at a directory at rest, or two attempts to ask a process.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A node that has had outputs is asked again after this time, so that it is not slowed down.
const ASK_EVERY: Duration = Duration::from_millis(10);

/// How long a node waits for the next output before it answers. Only between two answers it is
/// noticed that standard output has no reader.
const WAIT_MS: u64 = 1_000;

/// Show the released outputs in order, from any offset on
///
/// Of each: its offset, commit, event id, word and the count in the event's reply; with autocommit
/// there is no commit. Offsets begin at 0, have no gaps and never change, not even by a restore. A
/// consumer that stores the last line together with its work, and asks for the outputs --after it,
/// reads each output exactly once. It gets an error if the directory was put back from a copy that
/// has other outputs. Pending outputs are never shown. Reads a copy of a directory at rest, or asks
/// the process that has it open.
#[derive(Debug, Args)]
#[command(after_help = r#"Examples:
  exactly-once outputs --data-dir state
  exactly-once outputs --data-dir state --from 100 --limit 10
  exactly-once outputs --data-dir state --after "$(tail -n 1 seen.jsonl)"
  exactly-once outputs --data-dir state --after "$(tail -n 1 seen.jsonl)" --follow >> seen.jsonl
  exactly-once outputs --data-dir state | jq -r .word"#)]
pub(crate) struct OutputsArgs {
    #[command(flatten)]
    state: StateArgs,
    /// Show the outputs after this line, the last one that the consumer got; all if it is empty
    ///
    /// Its offset, event id, word and count are compared with the output log. If the log is shorter
    /// or has another output there, nothing is shown, and the exit status is 2.
    #[arg(long, value_name = "LINE", conflicts_with = "from")]
    after: Option<OsString>,
    /// Offset of the first output to show: one more than the last that was read
    ///
    /// The outputs before it are not compared with those that were read; --after does that.
    #[arg(long, value_name = "OFFSET", default_value_t = 0)]
    from: u64,
    /// Show at most this many [default: all]
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Continue with new outputs as they are released, until the limit or a signal
    ///
    /// The process that has the directory open may end, and another one start. Each time, the log
    /// is compared with the last output that was shown.
    #[arg(long, short)]
    follow: bool,
    #[command(flatten)]
    format: FormatArgs,
}

/// Outputs have no type.
const RELEASED: &[RecordKind] = &[RecordKind {
    optional: &["commit"],
    ..RecordKind::new("", "outputs")
}];

/// Prints the requested outputs.
pub(crate) fn run(args: &OutputsArgs) -> anyhow::Result<()> {
    let mut reader = OutputsReader {
        waits: args.follow,
        from: args.from,
        last: last_line(args.after.as_ref())?,
        left: args.limit.unwrap_or(u64::MAX),
        has_shown: false,
        sheet: Sheet::new(args.format.get(), RELEASED)?,
    };
    if args.follow {
        // A follower must not slow down the process that it follows.
        yield_to_others();
    }
    let directory = args.state.address().directory();
    let mut mark = directory.and_then(watermark_of);
    let mut state = args.state.open()?;
    let mut left_before = reader.left;
    let mut asked_at = Instant::now();
    let mut read = reader.read(&mut state);
    while reader.left > 0 {
        let has_ended = match &read {
            Ok(()) if !args.follow => break,
            Ok(()) => matches!(state, OpenState::Resting(_)),
            // After an interrupted reply, the next query goes on where it ended.
            Err(error) if is_temporary(error) && (args.follow || reader.left < left_before) => true,
            Err(_) => return read,
        };
        let had_outputs = read.is_ok() && reader.left < left_before;
        let every = if had_outputs { ASK_EVERY } else { LOOK_EVERY };
        pause(every.saturating_sub(asked_at.elapsed()))?;
        if has_ended {
            // An open copy takes room on the disk.
            drop(state);
            if read.is_ok() {
                // At rest there is nothing new until a process changes the watermark.
                wait_until_not(&mark, directory)?;
            }
            mark = directory.and_then(watermark_of);
            state = reopen(&args.state)?;
        }
        left_before = reader.left;
        asked_at = Instant::now();
        read = reader.read(&mut state);
    }
    read?;
    Ok(reader.sheet.end()?)
}

/// The line of the last output that a consumer got; empty if it got none.
fn last_line(after: Option<&OsString>) -> Result<Vec<u8>, WrongArguments> {
    let line = after.map_or(&b""[..], |line| line.as_bytes().trim_ascii());
    if line.is_empty() {
        return Ok(Vec::new());
    }
    match serde_json::from_slice::<LastOutput>(line) {
        Ok(_) => Ok(line.to_owned()),
        Err(error) if error.is_eof() => Err(WrongArguments(
            "the line of --after is cut off, as its consumer was stopped while writing it; remove \
             that line (sed -i '$d' FILE), and go on after the one before it"
                .to_owned(),
        )),
        Err(error) => Err(WrongArguments(format!(
            "the line of --after is no output ({error}); give the last line that `outputs` \
             printed, or an empty one for all outputs; --from takes an offset"
        ))),
    }
}

/// Prints outputs, each after the one before it.
struct OutputsReader {
    /// True if a node is asked to wait for the next output.
    waits: bool,
    /// The offset of the first output, used while `last` is empty.
    from: u64,
    /// The last output, as it was printed; empty if there is none.
    last: Vec<u8>,
    left: u64,
    has_shown: bool,
    sheet: Sheet<'static>,
}

impl OutputsReader {
    /// Prints the outputs that follow. After an error, a further call goes on after the last
    /// output.
    fn read(&mut self, state: &mut OpenState) -> anyhow::Result<()> {
        let (query, next) = self.query()?;
        let mut is_first = true;
        let read = state.answer(&query, |record| {
            ensure!(
                !std::mem::take(&mut is_first) || is_at(record, next),
                "the process that has the directory open sent another output than number {next}; \
                 use a command of its version"
            );
            if !std::mem::replace(&mut self.has_shown, true) && is_within_a_line() {
                self.sheet.begin_line()?;
            }
            self.sheet.add(record)?;
            self.last.clear();
            self.last.extend_from_slice(record);
            self.left -= 1;
            Ok(())
        });
        self.sheet.flush()?;
        read
    }

    /// Returns the query for the outputs that follow, and the offset of the first of them.
    fn query(&self) -> anyhow::Result<(Query, u64)> {
        let limit = Some(self.left);
        let (from, after, next) = if self.last.is_empty() {
            (Some(self.from), None, self.from)
        } else {
            let last: LastOutput = serde_json::from_slice(&self.last)
                .context("the process sent a bad output; use a command of its version")?;
            let next = last.offset.saturating_add(1);
            (None, Some(last), next)
        };
        let wait_ms = self.waits.then_some(WAIT_MS);
        let query = Query::Outputs {
            from,
            after,
            limit,
            wait_ms,
        };
        Ok((query, next))
    }
}

/// True if standard output appends to a file whose last line lacks its newline, because the
/// consumer was killed or the disk was full.
fn is_within_a_line() -> bool {
    let flags = fcntl_getfl(io::stdout()).unwrap_or(OFlags::empty());
    let last_byte = || {
        let file = File::open("/proc/self/fd/1").ok()?;
        let metadata = file.metadata().ok().filter(Metadata::is_file)?;
        let mut byte = [0];
        let at = metadata.len().checked_sub(1)?;
        file.read_exact_at(&mut byte, at).ok().map(|()| byte)
    };
    flags.contains(OFlags::APPEND) && last_byte().is_some_and(|byte| byte != [b'\n'])
}

/// Opens the state again, or waits until another process has started.
fn reopen(state: &StateArgs) -> anyhow::Result<OpenState> {
    loop {
        match state.open() {
            // The start of that process may take long.
            Err(error) if is_held(&error) => pause(LOOK_EVERY)?,
            opened => return opened,
        }
    }
}

/// Waits until the watermark is not `mark`, as another process has answered requests.
fn wait_until_not(mark: &Option<Vec<u8>>, directory: Option<&Path>) -> io::Result<()> {
    while directory.and_then(watermark_of) == *mark {
        pause(LOOK_EVERY)?;
    }
    Ok(())
}

/// True if a record is the output at an offset.
fn is_at(record: &[u8], offset: u64) -> bool {
    serde_json::from_slice(record).is_ok_and(|output: LastOutput| output.offset == offset)
}
