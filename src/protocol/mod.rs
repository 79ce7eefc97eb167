//! The wire: one JSON object a line, in both directions. The only module that knows JSON there.
//!
//! Requests are decoded in batches, on another thread than the one that applies them, into spans
//! of the batch's own text: an event costs no allocation.

mod batch;
mod decode;
mod json;
mod line;
mod line_decoder;
mod members;
mod question;
mod reason;
mod reply;
mod shape;

pub(crate) use batch::{Batch, BatchReader};
pub(crate) use line::{Body, Line};
pub(crate) use reply::{Addressee, AnswerWriter, ErrorCounts, ReplyWriter};
