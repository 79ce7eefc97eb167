//! Stopping a node that waits for input: by a signal, or because another stage has failed.

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{PollFd, PollFlags, poll};

/// A request to stop reading, which also wakes a reader that waits.
#[derive(Debug, Clone)]
pub struct Stop(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    is_requested: AtomicBool,
    wake: PipeReader,
    waker: PipeWriter,
}

impl Stop {
    /// Nothing requested yet.
    ///
    /// # Errors
    ///
    /// What the operating system says if it has no pipe left.
    pub fn new() -> io::Result<Self> {
        let (wake, waker) = io::pipe()?;
        Ok(Self(Arc::new(Inner {
            is_requested: AtomicBool::new(false),
            wake,
            waker,
        })))
    }

    /// Requests the stop. What was read already is still carried out.
    pub fn request(&self) {
        if !self.0.is_requested.swap(true, Ordering::AcqRel) {
            // One byte always fits into an empty pipe.
            (&self.0.waker).write_all(&[0]).unwrap_or_default();
        }
    }

    /// Whether the stop has been requested.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.0.is_requested.load(Ordering::Acquire)
    }

    /// Waits until there is something to read; false if a stop is requested first.
    ///
    /// # Errors
    ///
    /// What the operating system says if it cannot wait.
    pub(super) fn wait_for(&self, input: &impl AsFd) -> io::Result<bool> {
        let mut wanted = [
            PollFd::new(input, PollFlags::IN),
            PollFd::new(&self.0.wake, PollFlags::IN),
        ];
        poll(&mut wanted, None)?;
        let is_stopped = !wanted[1].revents().is_empty();
        if is_stopped {
            self.0.is_requested.store(true, Ordering::Release);
        }
        Ok(!is_stopped)
    }

    /// Lets SIGTERM and SIGINT request the stop; a second one ends the process at once, as if
    /// it were killed, which loses nothing that was answered.
    ///
    /// # Errors
    ///
    /// What the operating system says if a handler cannot be set.
    pub fn request_on_signals(&self) -> io::Result<()> {
        use signal_hook::consts::{SIGINT, SIGTERM};
        for signal in [SIGTERM, SIGINT] {
            let seen = Arc::new(AtomicBool::new(false));
            signal_hook::flag::register_conditional_default(signal, Arc::clone(&seen))?;
            signal_hook::flag::register(signal, seen)?;
            signal_hook::low_level::pipe::register(signal, self.0.waker.try_clone()?)?;
        }
        Ok(())
    }
}

/// Requests a stop when it is dropped: however a stage ends, by a panic too, nobody may go on
/// waiting for what it does.
#[derive(Debug)]
pub(super) struct StopAtEnd<'a>(pub(super) &'a Stop);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.request();
    }
}

/// An input that ends when a stop is requested.
#[derive(Debug)]
pub struct Stoppable<R> {
    input: R,
    stop: Stop,
}

impl<R> Stoppable<R> {
    /// Reads `input` until it ends or the stop is requested.
    pub fn new(input: R, stop: Stop) -> Self {
        Self { input, stop }
    }
}

impl<R: Read + AsFd> Read for Stoppable<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if !self.stop.wait_for(&self.input)? {
                return Ok(0);
            }
            match self.input.read(buffer) {
                // Whoever shares the input has set it not to wait, and has read it first.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return result,
            }
        }
    }
}
