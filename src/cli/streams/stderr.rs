//! Printing messages on standard error, without a long wait for a reader.
//!
//! Standard error may be a file on a full disk, or a pipe without a reader. Neither may keep a
//! process from answering, or from ending after its storage has failed.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tracing::info;

use crate::cli::streams::printable::{printable, printable_log};

/// How long a line waits for room in a pipe.
const PATIENCE: Duration = Duration::from_secs(1);

/// A longer line is cut: a pipe that has room takes this much at once (`PIPE_BUF` of Linux).
const MAX_LINE_BYTES: usize = 4096;

/// Writes a message as a line, unless there is no room for it in time.
pub(crate) fn say(line: impl Display) {
    tell(format_args!("exactly-once: {line}"));
}

/// Writes a line that is no message of the program itself, unless there is no room for it in time.
pub(crate) fn tell(line: impl Display) {
    let mut text = printable(&line.to_string().replace('\n', " "));
    text.truncate(text.floor_char_boundary(MAX_LINE_BYTES - 1));
    text.push('\n');
    let stderr = io::stderr();
    let mut wanted = [PollFd::new(&stderr, PollFlags::OUT)];
    let patience = Timespec {
        tv_sec: PATIENCE.as_secs() as i64,
        tv_nsec: 0,
    };
    if matches!(poll(&mut wanted, Some(&patience)), Ok(1..)) {
        // A missing reader is not a failure.
        own_stderr().write_all(text.as_bytes()).unwrap_or_default();
    }
}

/// Standard error without the lock of the standard library, which a thread that waits for room may
/// hold.
fn own_stderr() -> Box<dyn Write + Send> {
    match io::stderr().as_fd().try_clone_to_owned() {
        Ok(descriptor) => Box::new(File::from(descriptor)),
        Err(_) => Box::new(io::sink()),
    }
}

/// Standard error for a log, whose lines are made printable.
pub(crate) fn log_output() -> LogOutput {
    LogOutput(own_stderr())
}

/// See [`log_output`].
pub(crate) struct LogOutput(Box<dyn Write + Send>);

impl Write for LogOutput {
    /// Takes whole lines, as the log writes a line at a time.
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        let shown = printable_log(&String::from_utf8_lossy(lines));
        self.0.write_all(shown.as_bytes())?;
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Prints panics in the same way: as one line, without a long wait. A panic of sled becomes an
/// error, which is printed instead.
pub(crate) fn panics_too() {
    std::panic::set_hook(Box::new(|panic| {
        if exactly_once::program::panic_becomes_error() {
            info!("{panic}");
        } else {
            say(format_args!("a bug: {panic}"));
        }
    }));
}
