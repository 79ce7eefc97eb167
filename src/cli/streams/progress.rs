//! The progress line of `run` on standard error.

use std::io::{self, IsTerminal};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use exactly_once::Statistics;
use exactly_once::node::Monitor;
use indicatif::{HumanCount, ProgressBar, ProgressStyle};

const REDRAW_EVERY: Duration = Duration::from_millis(200);

/// A progress line that a thread draws until it is finished.
pub(crate) struct Progress {
    drawing: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Progress {
    /// Starts drawing, if standard error is a terminal and standard input is not.
    pub(crate) fn start(monitor: &Monitor, quiet: bool) -> Self {
        let is_wanted = !quiet && io::stderr().is_terminal() && !io::stdin().is_terminal();
        let drawing = is_wanted.then(|| {
            let (finished, is_finished) = channel();
            let monitor = monitor.clone();
            let thread = Builder::new().spawn(move || {
                let style = ProgressStyle::with_template("{spinner} {wide_msg}");
                let style = style.expect("the template is well-formed");
                let bar = ProgressBar::new_spinner().with_style(style);
                let started = Instant::now();
                while is_finished.recv_timeout(REDRAW_EVERY) == Err(RecvTimeoutError::Timeout) {
                    bar.set_message(line(&monitor.statistics(), started.elapsed()));
                    bar.tick();
                }
                bar.finish_with_message(line(&monitor.statistics(), started.elapsed()));
            });
            // If no thread can be started, nothing is drawn.
            thread.ok().map(|thread| (finished, thread))
        });
        Self {
            drawing: drawing.flatten(),
        }
    }

    /// Draws the last figures and leaves them on the screen.
    pub(crate) fn finish(self) {
        if let Some((finished, thread)) = self.drawing {
            drop(finished);
            // A panic of the drawing thread must not fail the command.
            thread.join().unwrap_or_default();
        }
    }
}

/// Returns the text of the line. It fits in 80 columns up to a billion events; the end of a longer
/// one is not drawn.
fn line(statistics: &Statistics, elapsed: Duration) -> String {
    let events = statistics.accepted + statistics.duplicates;
    let rate = HumanCount((events as f64 / elapsed.as_secs_f64()) as u64);
    let (events, pending) = (HumanCount(events), HumanCount(statistics.pending));
    let duplicates = HumanCount(statistics.duplicates);
    let mut line = format!("{events} events, {rate}/s, {pending} pending, {duplicates} duplicates");
    if statistics.conflicts > 0 {
        line += &format!(", {} conflicts", HumanCount(statistics.conflicts));
    }
    line
}
