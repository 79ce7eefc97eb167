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
//! # Reading
//!
//! An open [`Engine`] says at any time what is durable. A [`View`] shows one durable moment, and
//! can be read on another thread while requests go on; [`View::open`] shows a directory that no
//! process has open.
//!
//! ```
//! # use std::time::SystemTime;
//! # use exactly_once::{Engine, Options, Request};
//! use exactly_once::View;
//! use exactly_once::inspect::InspectError;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let state = tempfile::tempdir()?;
//! # let state = state.path();
//! # let mut engine = Engine::open(state, &Options::default())?;
//! let event = |event_id| Request::Process { event_id, word: "hello" };
//! engine.submit(&[event("e1"), event("e2"), Request::Commit], SystemTime::now())?;
//! assert_eq!(engine.count("hello")?, 2);
//! assert!(engine.contains("e2")?);
//!
//! let view: View = engine.view()?;
//! engine.submit(&[event("e3")], SystemTime::now())?;
//! let read = std::thread::spawn(move || {
//!     assert_eq!(view.counts()?[0].count, 2);
//!     // From this offset on, at most this many.
//!     view.outputs(0, 100, |output| {
//!         println!("{} {} {}", output.offset, output.event_id, output.count);
//!         Ok::<(), InspectError>(())
//!     })
//! });
//! read.join().expect("it does not panic")?;
//! # Ok(())
//! # }
//! ```
//!
//! A consumer of the outputs that must read each of them once keeps the last one that it has got,
//! and asks for those after it: [`View::outputs_after`].
//!
//! # Many threads
//!
//! [`Engine::share`] gives a [`Handle`], of which each thread takes a clone. A call returns a
//! [`Pending`]: its result cannot be read before it is on stable storage. Calls that come together
//! share one wait for the disk: the more threads call at once, the more requests each wait makes
//! durable.
//!
//! ```
//! # use exactly_once::{Engine, Options};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let state = tempfile::tempdir()?;
//! # let state = state.path();
//! let handle = Engine::open(state, &Options::default())?.share()?;
//! let threads: Vec<_> = (0..4)
//!     .map(|_| {
//!         let handle = handle.clone();
//!         // All of them send the same events.
//!         std::thread::spawn(move || {
//!             for number in 0..10 {
//!                 let pending = handle.process(&format!("e{number}"), "hello");
//!                 let answer = pending.wait().expect("the storage works");
//!                 let processed = answer.expect("the disk has room");
//!                 println!("{} {:?}", processed.count, processed.outcome);
//!             }
//!         })
//!     })
//!     .collect();
//! for thread in threads {
//!     thread.join().expect("it does not panic");
//! }
//! assert_eq!(handle.count("hello").wait()?, 10);
//! handle.close()?;
//! # Ok(())
//! # }
//! ```
//!
//! A [`Pending`] is a [`Future`] too, for any runtime: `handle.process("e1", "hello").await`. A
//! directory that is open cannot be opened a second time; with a control socket the commands of the
//! program (`stats`, `outputs --follow`, `checkpoints save`) can ask the process that has it open.
//!
//! ```
//! # use exactly_once::{Engine, Options};
//! use exactly_once::node::{ControlSocket, Monitor};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let state = tempfile::tempdir()?;
//! # let state = state.path();
//! let handle = Engine::open(state, &Options::default())?.share()?;
//! let socket = ControlSocket::bind(state)?;
//! let server = socket.serve(&handle, &Monitor::new(&handle))?;
//! // ... until it ends:
//! drop(server);
//! handle.close()?;
//! # Ok(())
//! # }
//! ```
//!
//! # Source positions
//!
//! A source that can be read again, such as a file or a queue with offsets, is read again from
//! [`Engine::source`] after a start: the position is part of the state. [`Request::Advance`] sets
//! it, in the batch with the events that came before it.
//!
//! ```
//! # use std::time::SystemTime;
//! # use exactly_once::{Engine, Options, Request};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let state = tempfile::tempdir()?;
//! # let state = state.path();
//! let lines = ["hello", "world", "hello"];
//! let mut engine = Engine::open(state, &Options::default())?;
//! let next: usize = match engine.source()? {
//!     Some(source) => String::from_utf8(source)?.parse()?,
//!     None => 0,
//! };
//! for (number, word) in lines.iter().enumerate().skip(next) {
//!     let event = Request::Process { event_id: &format!("line {number}"), word };
//!     let source = (number + 1).to_string();
//!     let advance = Request::Advance { source: source.as_bytes() };
//!     for answer in engine.submit(&[event, advance], SystemTime::now())? {
//!         // The position stays where it was if the event before it is refused.
//!         answer?;
//!     }
//! }
//! assert_eq!(engine.source()?.as_deref(), Some(&b"3"[..]));
//! # Ok(())
//! # }
//! ```
//!
//! # Autocommit
//!
//! Outputs wait for a [`Request::Commit`], unless the directory has autocommit: then each is
//! released with its event, nothing is pending, and no record of a commit is kept. (What an older
//! checkpoint has pending comes back with it, until the next event.)
//!
//! ```
//! # use std::time::SystemTime;
//! # use exactly_once::{Engine, Options, Request};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let state = tempfile::tempdir()?;
//! # let state = state.path();
//! let mut options = Options::default();
//! options.autocommit = true;
//! let mut engine = Engine::open(state, &options)?;
//! let hello = Request::Process { event_id: "e1", word: "hello" };
//! engine.submit(&[hello], SystemTime::now())?;
//! assert_eq!(engine.view()?.stats()?.committed, 1);
//! # Ok(())
//! # }
//! ```
//!
//! # Errors
//!
//! A request that is not carried out is answered with a [`Refusal`], and nothing has changed. An
//! [`OpenError`] says what stands in the way of opening a directory, and what helps. A
//! [`StorageError`] is final: whether what was not answered took effect is decided by the next open
//! in a new process. With a handle, every call fails with the first of them. What is logged, such
//! as an event that comes again with another word, goes to the crate `tracing`.
//!
//! ```
//! # use std::time::SystemTime;
//! # use exactly_once::{Engine, OpenError, Options, Refusal, Request};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let state = tempfile::tempdir()?;
//! # let state = state.path();
//! let mut engine = Engine::open(state, &Options::default())?;
//! let restore = Request::Restore { checkpoint_id: "before" };
//! let answers = engine.submit(&[restore], SystemTime::now())?;
//! assert!(matches!(answers[0], Err(Refusal::UnknownCheckpoint { .. })));
//!
//! let again = Engine::open(state, &Options::default());
//! assert!(matches!(again, Err(OpenError::HeldByWriter { .. })));
//! # Ok(())
//! # }
//! ```
//!
//! # Features
//!
//! `cli`, on by default, is the program. A library needs none of the crates that only the program
//! uses: `exactly-once = { version = "0.2", default-features = false }`.
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
//!    [`inspect`] that of queries and records.

mod driver;
mod engine;
mod error;
mod index;
pub mod inspect;
mod journal;
pub mod load;
pub mod node;
mod processor;
mod protocol;
mod request;
mod state;
mod store;
pub mod verify;

pub use engine::{Engine, Handle, Pending};
pub use error::{Holder, Loss, OpenError, StorageError};
pub use inspect::View;
pub use processor::statistics::Statistics;
pub use request::{Outcome, Processed, Refusal, Reply, Request};
pub use state::counts::WordCount;
pub use state::limits::{
    MAX_CHECKPOINT_ID_BYTES, MAX_EVENT_ID_BYTES, MAX_SOURCE_BYTES, MAX_WORD_BYTES,
};
pub use store::{OnTimeout, Options, StorageTimeout};

/// What only the program needs; it may change with every version.
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod program {
    pub use crate::error::remedy::remedy;
    pub use crate::node::{IgnoredSignals, yield_to_others};
    pub use crate::store::{
        Kept, LockedDirectory, Scratch, panic_becomes_error, remove_leftovers,
        state_directory_around, watermark_of,
    };
}
