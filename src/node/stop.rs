//! Stopping a node that waits for input, on a signal or when another stage has failed.

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use smallvec::SmallVec;

use crate::driver::Pipeline;
use crate::node::IgnoredSignals;

/// A request to stop reading, which also wakes a thread that waits for input.
#[derive(Debug, Clone)]
pub struct Stop(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    is_requested: AtomicBool,
    wake: PipeReader,
    waker: PipeWriter,
    /// Has one byte for each signal that came.
    signals: PipeReader,
    signalled: PipeWriter,
    /// When the waits for readers got a limit.
    waits_limited_since: OnceLock<Instant>,
}

impl Stop {
    /// Makes a stop that is not requested.
    ///
    /// # Errors
    ///
    /// The error of the operating system if a pipe cannot be created.
    pub fn new() -> io::Result<Self> {
        let (wake, waker) = io::pipe()?;
        let (signals, signalled) = io::pipe()?;
        Ok(Self(Arc::new(Inner {
            is_requested: AtomicBool::new(false),
            wake,
            waker,
            signals,
            signalled,
            waits_limited_since: OnceLock::new(),
        })))
    }

    /// Requests the stop. What was already read is still carried out.
    pub fn request(&self) {
        if !self.0.is_requested.swap(true, Ordering::AcqRel) {
            // One byte always fits into an empty pipe.
            (&self.0.waker).write_all(&[0]).unwrap_or_default();
        }
    }

    /// True if the stop has been requested.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.0.is_requested.load(Ordering::Acquire)
    }

    /// Gives the waits for readers a limit, as a first signal does.
    pub(super) fn limit_waits(&self) {
        self.0.waits_limited_since.get_or_init(Instant::now);
    }

    /// When the waits for readers got a limit, by a signal or a failure; `None` if they have none.
    pub(super) fn waits_limited_since(&self) -> Option<Instant> {
        if self.signals() > 0 {
            self.limit_waits();
        }
        self.0.waits_limited_since.get().copied()
    }

    /// True after a second signal, which ends the wait for every reader.
    pub(super) fn is_requested_again(&self) -> bool {
        self.signals() > 1
    }

    fn signals(&self) -> u64 {
        rustix::io::ioctl_fionread(&self.0.signals).unwrap_or_default()
    }

    /// Waits until the stop is requested.
    ///
    /// # Errors
    ///
    /// The error of the operating system if it cannot wait.
    pub fn wait(&self) -> io::Result<()> {
        let nothing: [&PipeReader; 0] = [];
        loop {
            match self.wait_for_any(&nothing, None) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                waited => return waited.map(drop),
            }
        }
    }

    /// Waits until there is input to read; false if a stop is requested first.
    ///
    /// # Errors
    ///
    /// Those of [`Stop::wait_for_any`].
    pub(super) fn wait_for(
        &self,
        input: &impl AsFd,
        deadline: Option<Instant>,
    ) -> io::Result<bool> {
        let ready = self.wait_for_any(std::slice::from_ref(input), deadline)?;
        Ok(ready.is_some())
    }

    /// Waits until one of the inputs has something to read, and returns it; `None` if a stop is
    /// requested first.
    ///
    /// # Errors
    ///
    /// The error of the operating system if it cannot wait; [`io::ErrorKind::TimedOut`] if there is
    /// nothing to read before the deadline.
    pub(super) fn wait_for_any<'a, I: AsFd>(
        &self,
        inputs: &'a [I],
        deadline: Option<Instant>,
    ) -> io::Result<Option<&'a I>> {
        let own = [&self.0.wake, &self.0.signals];
        let own = own.map(|pipe| PollFd::new(pipe, PollFlags::IN));
        let wanted = inputs.iter().map(|input| PollFd::new(input, PollFlags::IN));
        let mut wanted: SmallVec<[PollFd<'_>; 4]> = own.into_iter().chain(wanted).collect();
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let timeout = left.map(|left| Timespec {
            tv_sec: left.as_secs() as i64,
            tv_nsec: left.subsec_nanos().into(),
        });
        if poll(&mut wanted, timeout.as_ref())? == 0 {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let is_ready = |polled: &PollFd<'_>| !polled.revents().is_empty();
        let (own, wanted) = wanted.split_at(2);
        if own.iter().any(is_ready) {
            self.0.is_requested.store(true, Ordering::Release);
            return Ok(None);
        }
        Ok(wanted.iter().position(is_ready).map(|at| &inputs[at]))
    }

    /// Requests the stop when a pipeline fails. From then on each wait for a slow reader has a
    /// limit.
    pub(super) fn request_on_failure(&self, pipeline: &Pipeline) {
        let stop = self.clone();
        pipeline.when_failed(move || {
            stop.request();
            stop.limit_waits();
        });
    }

    /// Makes SIGTERM, SIGINT and SIGHUP request the stop, but not a SIGHUP that is ignored, as
    /// under `nohup`. A second signal ends the wait for readers that take nothing.
    ///
    /// # Errors
    ///
    /// The error of the operating system if a handler cannot be set.
    pub fn request_on_signals(&self) -> io::Result<()> {
        let hangup = (!IgnoredSignals::read().contains(SIGHUP)).then_some(SIGHUP);
        for signal in [SIGTERM, SIGINT].into_iter().chain(hangup) {
            let pipe = self.0.signalled.try_clone()?;
            signal_hook::low_level::pipe::register(signal, pipe)?;
        }
        Ok(())
    }
}

/// Requests a stop when it is dropped, also by a panic: when one stage ends, no other one may wait
/// for it.
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
    deadline: Option<Instant>,
}

impl<R> Stoppable<R> {
    /// Reads `input` until it ends or the stop is requested.
    pub fn new(input: R, stop: Stop) -> Self {
        Self {
            input,
            stop,
            deadline: None,
        }
    }

    /// Makes a read fail with [`io::ErrorKind::TimedOut`] if nothing comes before the deadline.
    pub(super) fn until(self, deadline: Option<Instant>) -> Self {
        Self { deadline, ..self }
    }
}

impl<R: Read + AsFd> Read for Stoppable<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if !self.stop.wait_for(&self.input, self.deadline)? {
                return Ok(0);
            }
            match self.input.read(buffer) {
                // Another process shares the input, has made it non-blocking, and has read it
                // first.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return result,
            }
        }
    }
}
