//! The progress bar of an import, on a terminal.

use std::io::{self, IsTerminal};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::import::source::{OpenSource, Source};
use crate::cli::streams::printable::printable;
use crate::cli::verbosity::Verbosity;

const REDRAW_EVERY: Duration = Duration::from_millis(200);

const BAR: &str = "{msg} {wide_bar} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left";
const COUNTER: &str = "{spinner} {msg} {bytes}, {bytes_per_sec}";

/// A bar that a thread draws until this is dropped.
pub(super) struct Progress(Option<(Sender<()>, JoinHandle<()>)>);

impl Progress {
    /// Starts drawing how much of an input is read, if standard error is a terminal.
    pub(super) fn start(open: &OpenSource, source: &Source, verbosity: Verbosity) -> Self {
        if verbosity.quiet || !io::stderr().is_terminal() {
            return Self(None);
        }
        let (read, bytes) = (open.read.clone(), open.bytes);
        let shown = printable(&source.shown());
        let (finished, is_finished) = channel();
        let thread = Builder::new().spawn(move || {
            let template = if bytes.is_some() { BAR } else { COUNTER };
            let style = ProgressStyle::with_template(template);
            let style = style.expect("the template is well-formed");
            let bar = bytes.map_or_else(ProgressBar::no_length, ProgressBar::new);
            let bar = bar.with_style(style).with_message(shown);
            while is_finished.recv_timeout(REDRAW_EVERY) == Err(RecvTimeoutError::Timeout) {
                bar.set_position(read.load(Ordering::Relaxed));
            }
            bar.finish_and_clear();
        });
        // If no thread can be started, nothing is drawn.
        Self(thread.ok().map(|thread| (finished, thread)))
    }

    /// Removes the bar.
    pub(super) fn finish(self) {
        drop(self);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((finished, thread)) = self.0.take() {
            drop(finished);
            // A panic of the drawing thread must not fail the command.
            thread.join().unwrap_or_default();
        }
    }
}
