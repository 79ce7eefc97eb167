//! Counts events from an at-least-once stream exactly once, across crashes and power cuts, on
//! one machine.
//!
//! Events, an id and a word each, arrive over a channel that may deliver each of them more than
//! once, and the process may be killed at any moment. An answered request is on stable storage:
//! it is never lost and never counted twice. Checkpoints go back and forth, and an output is
//! released at most once on any path through them.
//!
//! ```
//! use std::time::SystemTime;
//!
//! use exactly_once::{Engine, Options, Outcome, Reply, Request};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let state = tempfile::tempdir()?;
//! # let state = state.path();
//! let hello = Request::Process { event_id: "e1", word: "hello" };
//!
//! let mut engine = Engine::open(state, &Options::default())?;
//! let answers = engine.submit(&[hello, Request::Commit], SystemTime::now())?;
//! // Whatever happens from here on, these answers stay true.
//! assert_eq!(answers[0], Ok(Reply::Processed { count: 1, outcome: Outcome::Accepted }));
//! assert_eq!(answers[1], Ok(Reply::Committed { output_count: 1 }));
//! drop(engine);
//!
//! let mut engine = Engine::open(state, &Options::default())?;
//! let answers = engine.submit(&[hello], SystemTime::now())?;
//! assert_eq!(answers[0], Ok(Reply::Processed { count: 1, outcome: Outcome::Duplicate }));
//! # Ok(())
//! # }
//! ```
//!
//! # The map
//!
//! A module uses only those below it in this table.
//!
//! | module | owns | must not know |
//! |---|---|---|
//! | [`node`] | lines from an input and from clients to a handle, and replies back | what a request means |
//! | `protocol` | JSON on the wire | the disk, the processor |
//! | [`load`] | building a directory from a dump | the bytes on disk |
//! | `engine` | the driver as a library: an engine, and a handle that threads share | the wire |
//! | [`verify`] | checking a resting directory | how it is written |
//! | [`inspect`] | views of a state | how it is written |
//! | `driver` | apply, persist, reply: the order of these three | what a request means |
//! | `processor` | deduplicating, applying, collecting, answering | JSON, threads, the clock |
//! | `snapshots` | stored counts, from which counting starts | what a request means |
//! | `journal` | accepted events at positions, in memory and stored | what an event means |
//! | `seen` | which positions carry an id, in memory and stored | whether they count |
//! | `store` | everything durable, its formats, and sled | requests and replies |
//! | `request` | requests, replies, refusals | how they arrive or are kept |
//! | `state` | positions, sets of them, timeline, counts | the disk |
//! | `options` | how a state directory is used | who uses what of it |
//! | `fingerprint` | what the index compares before the ids | where it is kept |
//! | `look_ahead` | reading memory before it is needed | what is in it |
//! | `json_text` | strings and numbers as JSON | who reads them |
//! | `remedy` | what helps against an error of the system | who met it |
//! | `threads` | starting threads, and what is done without them | what they do |
//! | `storage_timeout` | how long the storage is waited for | how it is watched |
//! | `statistics`, `limits`, `error` | figures, limits, failures | everything else |
//!
//! # Invariants
//!
//! 1. No reply before its group's fdatasync has returned: until then it is in a value that only
//!    `store` opens.
//! 2. The state after a restart is the state after some prefix of the requests that contains
//!    every answered one.
//! 3. The counts are the fold of the journal over the timeline; pending is the timeline without
//!    what is settled; settled positions stay settled; positions are never used twice.
//! 4. An event id is in the output log at most once, whatever the path of restores, rollbacks
//!    and crashes.
//! 5. The same requests give the same replies and the same state: no clock, randomness or hash
//!    order is in a reply, a count or an output.
//! 6. Only `store` knows sled; only `protocol` knows the JSON of requests and replies, and
//!    [`inspect`] that of questions and records.

mod driver;
mod engine;
mod error;
mod fingerprint;
pub mod inspect;
mod journal;
mod json_text;
mod limits;
pub mod load;
mod look_ahead;
pub mod node;
mod options;
mod processor;
mod protocol;
mod remedy;
mod request;
mod seen;
mod snapshots;
mod state;
mod statistics;
mod storage_timeout;
mod store;
mod threads;
pub mod verify;

pub use engine::{Engine, Handle, Pending};
pub use error::{Holder, Loss, OpenError, StorageError};
pub use inspect::View;
pub use limits::{MAX_CHECKPOINT_ID_BYTES, MAX_EVENT_ID_BYTES, MAX_SOURCE_BYTES, MAX_WORD_BYTES};
pub use options::Options;
pub use remedy::remedy;
pub use request::{Answer, Outcome, Refusal, Reply, Request};
pub use state::counts::WordCount;
pub use statistics::Statistics;
pub use storage_timeout::{StorageTimeout, WhenStuck};
pub use store::{
    HeldDirectory, Kept, Scratch, panic_becomes_error, remove_leftovers, state_directory_around,
    watermark_of,
};
