//! The wire format: one JSON object a line, in both directions. No other module knows it.
//!
//! A *request* changes the state, a *query* is a request that changes nothing, and a *reply*
//! answers a request. A *line* is one line of input.
//!
//! One thread decodes lines in batches, and another one applies the requests. A decoded line
//! refers to its batch's text by spans, so that an event costs no allocation as long as its line
//! looks like the line before it; `shape` decodes those. Any other line costs a few allocations:
//! serde_json reads it, and `members` and `json` add what the protocol demands beyond JSON.
//!
#![doc = include_str!("protocol.md")]

mod batch;
mod decode;
mod json;
mod line;
mod line_decoder;
mod members;
mod query;
mod reason;
mod reply;
mod reply_line;
mod request_writer;
mod shape;

pub(crate) use batch::{Batch, BatchReader};
pub(crate) use line::{Body, Line};
pub(crate) use reply::{Addressee, ErrorCounts, QueryReplies, ReplyWriter};
pub(crate) use reply_line::ReplyLine;
pub(crate) use request_writer::{put_query, put_request};
