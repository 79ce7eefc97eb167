//! Standard output. It may be closed, another process may have made it non-blocking, and it may be
//! a terminal, which printed text must not control.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use exactly_once::node::ReplyOutput;
use memchr::memrchr;
use rustix::event::{PollFd, PollFlags, poll};
use thiserror::Error;

use crate::cli::streams::printable::printable_json;

/// Size of the write buffer.
const BUFFER_BYTES: usize = 1 << 16;

/// True if the process was started without a standard output.
static WAS_CLOSED: AtomicBool = AtomicBool::new(false);

// Before `main`, the standard library replaces a closed descriptor by /dev/null, which then cannot
// be told from a /dev/null that the caller chose. Little code may run so early: this is one system
// call and one atomic store.
ctor_lite::ctor! {
    unsafe fn look_before_main() {
        let flags = rustix::io::fcntl_getfd(rustix::stdio::stdout());
        WAS_CLOSED.store(flags.is_err(), Ordering::Relaxed);
    }
}

/// The process was started without a standard output.
#[derive(Debug, Error)]
#[error(
    "standard output is closed, so nothing can be printed; redirect it, for example to /dev/null"
)]
pub(crate) struct Closed;

/// A write to standard output failed.
#[derive(Debug, Error)]
#[error("standard output could not be written")]
struct Unwritable(#[source] io::Error);

/// Fails if the process was started without a standard output.
pub(crate) fn check_open() -> Result<(), Closed> {
    if WAS_CLOSED.load(Ordering::Relaxed) {
        return Err(Closed);
    }
    Ok(())
}

/// Standard output for JSON lines, with a large buffer.
pub(crate) fn json_lines() -> io::Result<BufWriter<Stdout>> {
    Ok(buffered(Stdout::of_json()?))
}

/// Standard output for text, with a large buffer.
pub(crate) fn text() -> io::Result<BufWriter<Stdout>> {
    Ok(buffered(Stdout::of_text()?))
}

fn buffered(stdout: Stdout) -> BufWriter<Stdout> {
    BufWriter::with_capacity(BUFFER_BYTES, stdout)
}

/// Standard output for the replies of a node, which waits for room in its own way.
pub(crate) fn for_replies() -> io::Result<ReplyOutput> {
    let descriptor = io::stdout().as_fd().try_clone_to_owned()?;
    let is_terminal = descriptor.is_terminal();
    let output = ReplyOutput::from(descriptor);
    Ok(match is_terminal {
        true => output.formatted_by(printable_json),
        false => output,
    })
}

/// Standard output without the buffer and lock of the standard library.
#[derive(Debug)]
pub(crate) struct Stdout {
    file: WaitingFile,
    /// The incomplete last line, if lines are made printable.
    line: Option<Vec<u8>>,
}

impl Stdout {
    /// For text in which text from outside is printable already.
    pub(crate) fn of_text() -> io::Result<Self> {
        let descriptor = io::stdout().as_fd().try_clone_to_owned()?;
        Ok(Self {
            file: WaitingFile(descriptor.into()),
            line: None,
        })
    }

    /// For JSON lines, which are made printable only on a terminal.
    pub(crate) fn of_json() -> io::Result<Self> {
        let stdout = Self::of_text()?;
        let line = stdout.file.0.is_terminal().then(Vec::new);
        Ok(Self { line, ..stdout })
    }
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(line) = &mut self.line else {
            return self.file.write(bytes);
        };
        line.extend_from_slice(bytes);
        if let Some(end) = memrchr(b'\n', line) {
            let rest = line.split_off(end + 1);
            let whole = std::mem::replace(line, rest);
            let shown = printable_json(&String::from_utf8_lossy(&whole));
            self.file.write_all(shown.as_bytes())?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl AsRawFd for Stdout {
    fn as_raw_fd(&self) -> RawFd {
        self.file.0.as_raw_fd()
    }
}

/// An output that waits for room, even if another process has made the same pipe or terminal
/// non-blocking.
#[derive(Debug)]
struct WaitingFile(File);

impl Write for WaitingFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.0.write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    poll(&mut [PollFd::new(&self.0, PollFlags::OUT)], None)?;
                }
                result => return result.map_err(unwritable),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn unwritable(error: io::Error) -> io::Error {
    io::Error::new(error.kind(), Unwritable(error))
}
