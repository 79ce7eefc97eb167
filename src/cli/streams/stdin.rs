//! Standard input.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use rustix::event::{PollFd, PollFlags, poll};

/// Standard input without the buffer and lock of the standard library.
fn own() -> anyhow::Result<File> {
    let descriptor = io::stdin().as_fd().try_clone_to_owned();
    let descriptor = descriptor.context("using standard input")?;
    Ok(descriptor.into())
}

/// Standard input that waits for data, even if another process has made it non-blocking.
pub(crate) fn waiting() -> anyhow::Result<WaitingFile> {
    Ok(WaitingFile(own()?))
}

/// See [`waiting`].
pub(crate) struct WaitingFile(File);

impl Read for WaitingFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    poll(&mut [PollFd::new(&self.0, PollFlags::IN)], None)?;
                }
                result => return result,
            }
        }
    }
}

/// Standard input for requests, which notes if it ends without any.
pub(crate) struct Requests {
    file: File,
    has_any: bool,
    ended_without_any: Arc<AtomicBool>,
}

impl Requests {
    /// Returns standard input, and a flag that becomes true if it ends without any request.
    pub(crate) fn new() -> anyhow::Result<(Self, Arc<AtomicBool>)> {
        let ended_without_any = Arc::new(AtomicBool::new(false));
        let requests = Self {
            file: own()?,
            has_any: false,
            ended_without_any: Arc::clone(&ended_without_any),
        };
        Ok((requests, ended_without_any))
    }
}

impl Read for Requests {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.has_any = self.has_any || !buffer[..count].trim_ascii().is_empty();
        if count == 0 && !self.has_any {
            self.ended_without_any.store(true, Ordering::Relaxed);
        }
        Ok(count)
    }
}

impl AsFd for Requests {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
