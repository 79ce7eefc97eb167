//! The tests that drive the real binary, against an oracle that shares no code with it.

mod client;
mod crash;
mod library;
mod model;
mod oracle;
mod protocol;
