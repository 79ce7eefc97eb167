//! The node: a pipeline that reads requests from an input and writes replies to an output.
//!
//! ```text
//! input -> read and decode -> apply in memory -> persist  -> format and write replies -> output
//!          a thread           the caller's       a thread    a thread
//! ```
//!
//! The two middle stages belong to a [`Handle`], which may be shared. Each client of the control
//! socket has a thread that reads, decodes and applies, and a thread that writes. Turns order the
//! requests of all senders. Each query of a client is answered on its own thread.
//!
//! While one group is persisted, the next is applied and the one after it decoded. The persisting
//! thread hands replies on only after the fdatasync of their group. It does not wait for a slow
//! reader: replies that are not taken wait in an outbox, and while many wait there, no requests of
//! that sender are read.

mod ahead;
mod apply;
mod client;
mod control;
mod decode;
mod decoded;
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
mod socket;
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
pub use control::{ControlServer, ControlSocket, DEFAULT_MAX_CLIENTS};
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
pub use socket::{CONTROL_SOCKET, connect, connect_to};
use stop::StopAtEnd;
pub use stop::{Stop, Stoppable};
pub use times::StageTimes;

/// Serves `input`, and the clients of `control` if there is one, until the input ends or `stop` is
/// requested. Then drops the handle.
///
/// At the end of input every request that was read is carried out, made durable and answered. A
/// last line without a newline is carried out at the end of input, but not after a stop. When this
/// returns, `stop` has been requested.
///
/// An output that takes nothing only stops the reading of the input. At the end this waits for the
/// output; after a signal, until it has taken nothing for 10 s or the next signal comes.
///
/// # Errors
///
/// [`NodeError`], after everything that can still be made durable is durable.
pub fn serve(
    handle: Handle,
    input: impl Read + Send,
    output: impl Into<ReplyOutput>,
    control: Option<ControlSocket>,
    stop: &Stop,
    monitor: &Monitor,
) -> Result<(), NodeError> {
    let pipeline = pipeline_of_node(handle, stop, monitor);
    let health = pipeline.health();
    let (output, outbox) = Output::start(output.into(), stop, monitor)?;
    let low_space = Mutex::new(None);
    let served = std::thread::scope(|scope| {
        // If a thread cannot be started, the others must end.
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
            // Clients are served only as long as the input.
            let _stop = StopAtEnd(stop);
            decode(input, clock, preparer, &batches, &outbox, stop)
        })?;
        let applied = apply(&decoded, &service);
        // If the applier has ended, the decoder must not wait for room in the channel.
        drop(decoded);
        let decoded = decoding
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        applied.map_err(NodeError::from).and(decoded)
    });
    // The pipeline has ended, as its last clone is dropped.
    let served = health.check().map_err(NodeError::from).and(served);
    if served.is_err() {
        stop.limit_waits();
    }
    let written = output.finish(stop);
    served.and(written)
}

/// Serves the clients of `control` until `stop` is requested. Then drops the handle.
///
/// Every request that was read until then is carried out, made durable and answered; a client that
/// takes nothing is waited for only for a few seconds. When this returns, `stop` has been
/// requested.
///
/// # Errors
///
/// [`NodeError::Storage`], after everything that can still be made durable is durable.
pub fn serve_clients(
    handle: Handle,
    control: ControlSocket,
    stop: &Stop,
    monitor: &Monitor,
) -> Result<(), NodeError> {
    let pipeline = pipeline_of_node(handle, stop, monitor);
    let health = pipeline.health();
    let low_space = Mutex::new(None);
    std::thread::scope(|scope| {
        let _stop = StopAtEnd(stop);
        let service = Service {
            pipeline,
            monitor,
            stop,
            low_space: &low_space,
        };
        control.take_clients(scope, service);
    });
    Ok(health.check()?)
}

/// Returns the pipeline of a handle. If it fails, the stop of its node is requested.
fn pipeline_of_node(handle: Handle, stop: &Stop, monitor: &Monitor) -> Pipeline {
    let pipeline = handle.into_pipeline();
    stop.request_on_failure(&pipeline);
    if monitor.keeps_last_state() {
        keep_last_state(&pipeline, monitor);
    }
    pipeline
}

/// Keeps the figures of the last state in the monitor.
fn keep_last_state(pipeline: &Pipeline, monitor: &Monitor) {
    let monitor = monitor.clone();
    pipeline.before_close(
        move |state| match View::of_state(state).and_then(|last| last.stats()) {
            Ok(stats) => monitor.set_last_state(stats),
            Err(error) => warn!("the last figures could not be read: {error}"),
        },
    );
}
