//! The node: a pipeline that reads requests from one channel and writes replies to another.
//!
//! ```text
//! input -> read and decode -> apply in memory -> persist  -> spell and write the replies -> output
//!          a thread           the caller's       a thread    a thread
//! ```
//!
//! The two stages in the middle are a [`Handle`]'s, which others may share. Clients
//! of the control socket have a thread each that reads, decodes and applies, and one that writes:
//! turns order what all of them request. Each of their queries is answered on a thread of its
//! own.
//!
//! While one group is persisted, the next is applied and the one after it decoded. Replies leave
//! only after the fdatasync of their group, as the thread that persists is the one that hands them
//! on. It waits for no reader that leaves no room: what is not taken waits in an outbox of its own,
//! and while much is in there, requests of that sender are not read.

mod apply;
mod client;
mod control;
mod decode;
mod deliver;
mod error;
mod ignored_signals;
mod lines;
mod monitor;
mod outbox;
mod output;
mod places;
mod priority;
mod query;
mod service;
mod stop;
mod times;

use std::io::Read;

use crossbeam_channel::bounded;
use parking_lot::Mutex;
use tracing::warn;

use crate::driver::Pipeline;
use crate::engine::Handle;
use crate::inspect::View;
use crate::store::threads;
use apply::apply;
pub use control::{CONTROL_SOCKET, ControlServer, ControlSocket, DEFAULT_MAX_CLIENTS, connect};
use decode::{WAITING_BATCHES, decode};
pub use error::NodeError;
#[doc(hidden)]
pub use ignored_signals::IgnoredSignals;
pub use monitor::Monitor;
use output::Output;
pub use output::ReplyOutput;
#[doc(hidden)]
pub use priority::yield_to_others;
use service::Service;
use stop::StopAtEnd;
pub use stop::{Stop, Stoppable};
pub use times::StageTimes;

/// Serves the protocol until the input ends or `stop` is requested, and lets go of the handle; to
/// the clients of a control socket too, if there is one.
///
/// At the end of input everything that was read is carried out, made durable and answered; a
/// last line without a newline counts at the end of input, and not after a stop. When this
/// returns, `stop` has been requested.
///
/// An output that takes nothing holds up nothing but the reading of the input. At the end it is
/// waited for, after a signal until it has taken nothing for 10 s, or until the next signal.
///
/// # Errors
///
/// [`NodeError`], once everything that can still be made durable is.
pub fn serve(
    handle: Handle,
    input: impl Read + Send,
    output: impl Into<ReplyOutput>,
    control: Option<ControlSocket>,
    stop: &Stop,
    monitor: &Monitor,
) -> Result<(), NodeError> {
    let pipeline = handle.into_pipeline();
    let outcome = pipeline.outcome();
    let stop_at_failure = stop.clone();
    pipeline.when_failed(move || {
        stop_at_failure.request();
        // Nothing may wait without a limit for a reader that takes nothing.
        stop_at_failure.hurry();
    });
    if monitor.keeps_last_state() {
        keep_last_state(&pipeline, monitor);
    }
    let (output, outbox) = Output::start(output.into(), stop, monitor)?;
    let low_space = Mutex::new(None);
    let served = std::thread::scope(|scope| {
        // A thread that cannot be started ends those that were.
        let _stop = StopAtEnd(stop);
        let service = Service {
            pipeline,
            monitor,
            stop,
            low_space: &low_space,
        };
        if let Some(control) = control {
            let service = service.clone();
            threads::start_scoped(scope, "control", move || {
                control.take_clients(scope, service);
            })?;
        }
        let (batches, decoded) = bounded(WAITING_BATCHES);
        let (clock, preparer) = (monitor.clock(), service.pipeline.preparer());
        let decoding = threads::start_scoped(scope, "decode", move || {
            // Clients are not served any longer than the input.
            let _stop = StopAtEnd(stop);
            decode(input, clock, preparer, &batches, &outbox, stop)
        })?;
        let applied = apply(&decoded, &service);
        // Where nothing is applied any more, the decoder must not wait to hand on what it has.
        drop(decoded);
        let decoded = decoding
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        applied.map_err(NodeError::from).and(decoded)
    });
    // The pipeline has ended with the last of those that it was lent to.
    let served = outcome.check().map_err(NodeError::from).and(served);
    if served.is_err() {
        stop.hurry();
    }
    let written = output.finish(stop);
    served.and(written)
}

/// Has the figures of the last state kept.
fn keep_last_state(pipeline: &Pipeline, monitor: &Monitor) {
    let monitor = monitor.clone();
    pipeline.before_close(
        move |state| match View::of_state(state).and_then(|last| last.stats()) {
            Ok(stats) => monitor.set_last_state(stats),
            Err(error) => warn!("the last figures could not be read: {error}"),
        },
    );
}
