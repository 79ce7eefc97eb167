//! Counts events from an at-least-once stream exactly once, on one machine.
mod engine;
mod error;
pub mod inspect;
mod journal;
pub mod node;
mod processor;
mod protocol;
mod request;
mod seen;
mod snapshots;
mod state;
mod statistics;
mod store;

pub use engine::{Engine, Options};
pub use error::{OpenError, StorageError};
pub use request::*;
pub use statistics::Statistics;
