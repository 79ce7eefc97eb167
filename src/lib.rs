//! Counts events from an at-least-once stream exactly once, across crashes and power cuts, on
//! one machine.
//!
//! An event is an id and a word. The channel that delivers events may deliver each of them more
//! than once, and the process may be killed at any moment. A reply is given only when everything it
//! says is on stable storage: an answered request is never lost and never counted twice. A
//! checkpoint can be restored at any time, and an output is released at most once on any path
//! through checkpoints.
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
//! let replies = engine.submit(&[hello, Request::Commit], SystemTime::now())?;
//! // Neither a kill nor a power cut can take these replies back.
//! assert_eq!(replies[0], Ok(Reply::Processed { count: 1, outcome: Outcome::Accepted }));
//! assert_eq!(replies[1], Ok(Reply::Committed { output_count: 1 }));
//! drop(engine);
//!
//! let mut engine = Engine::open(state, &Options::default())?;
//! let replies = engine.submit(&[hello], SystemTime::now())?;
//! assert_eq!(replies[0], Ok(Reply::Processed { count: 1, outcome: Outcome::Duplicate }));
//! # Ok(())
//! # }
//! ```
//!
//! # Reading
//!
//! An open [`Engine`] answers from what is durable. A [`View`] shows one durable moment, and can be
//! read on another thread while requests go on. [`View::open`] shows a state directory that no
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
//! A consumer that must read each output once stores the last output that it has read, and asks for
//! those after it: [`View::outputs_after`].
//!
//! # Many threads
//!
//! [`Engine::share`] gives a [`Handle`]; each thread takes a clone of it. A call returns a
//! [`Pending`], whose result cannot be read before it is on stable storage. Calls that come
//! together share one wait for the disk: the more threads call at once, the more requests each wait
//! makes durable.
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
//!                 let reply = pending.wait().expect("the storage works");
//!                 let processed = reply.expect("the disk has room");
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
//! A [`Pending`] is also a [`Future`], for any runtime: `handle.process("e1", "hello").await`.
//!
//! A state directory cannot be opened twice. With a control socket, the commands of the program
//! (`stats`, `outputs --follow`, `checkpoints save`) ask the process that has it open.
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
//! # Clients
//!
//! A program that is not the node itself sends its requests over a socket: [`client::Client`]. It
//! connects again if the node goes away, and repeats what has no reply and may be repeated.
//!
//! # Source positions
//!
//! If your input can be read again, such as a file or a queue with offsets, go on from
//! [`Engine::source`] after a start: this source position is part of the state.
//! [`Request::Advance`] sets it, in one batch with the events before it.
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
//!     for reply in engine.submit(&[event, advance], SystemTime::now())? {
//!         // The position stays where it was if the event before it is refused.
//!         reply?;
//!     }
//! }
//! assert_eq!(engine.source()?.as_deref(), Some(&b"3"[..]));
//! # Ok(())
//! # }
//! ```
//!
//! # Autocommit
//!
//! An output is pending until a [`Request::Commit`] releases it. In a state directory with
//! autocommit each output is released with its event, and no commit is stored. Only a checkpoint
//! from the time before autocommit can bring pending outputs back; the next event releases them.
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
//! assert_eq!(engine.view()?.stats()?.released, 1);
//! # Ok(())
//! # }
//! ```
//!
//! # Errors
//!
//! A [`Refusal`] answers a request that was not carried out; nothing has changed. An [`OpenError`]
//! says why a state directory cannot be opened, and what helps. A [`StorageError`] is final:
//! every later call fails too. Open the directory in a new process to learn which requests without
//! a reply took effect. Conflicts and warnings are logged with the crate
//! `tracing`.
//!
//! ```
//! # use std::time::SystemTime;
//! # use exactly_once::{Engine, OpenError, Options, Refusal, Request};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let state = tempfile::tempdir()?;
//! # let state = state.path();
//! let mut engine = Engine::open(state, &Options::default())?;
//! let restore = Request::Restore { checkpoint_id: "before" };
//! let replies = engine.submit(&[restore], SystemTime::now())?;
//! assert!(matches!(replies[0], Err(Refusal::UnknownCheckpoint { .. })));
//!
//! let again = Engine::open(state, &Options::default());
//! assert!(matches!(again, Err(OpenError::HeldByWriter { .. })));
//! # Ok(())
//! # }
//! ```
//!
//! # Features
//!
//! `cli`, on by default, is the program. A library does without the crates that only the program
//! uses: `exactly-once = { version = "0.2", default-features = false }`.
//!
//! # Glossary
//!
//! One word for one thing, in the code, the documentation and what the program prints.
//!
//! | word | meaning |
//! |---|---|
//! | event | an id and a word, as the channel delivers it, perhaps more than once |
//! | accepted | said of an event that changed the state; otherwise it is a *duplicate* (its id is in the state with the same word) or a *conflict* (with another word) |
//! | entry | an accepted event in the journal: id, word, and the count in its reply |
//! | journal | all entries, in the order in which they were accepted |
//! | position | the place of an entry in the journal, from 1; never used twice |
//! | head | the last position in use |
//! | timeline | the set of positions whose events count, now or in a checkpoint |
//! | state | the timeline, its counts, and what is settled |
//! | count | the number of events of the timeline that carry a word |
//! | snapshot | stored counts of one timeline, from which counting starts |
//! | output | what an accepted event gives: id, word and count; *pending*, then *released* |
//! | commit | the request that releases all pending outputs |
//! | output log | the released outputs, each at its *offset*, from 0 |
//! | settled | said of a position whose output is released, or whose id was released at another position (*absorbed*) |
//! | checkpoint | a named copy of a timeline that can be *restored* |
//! | rollback | the request that drops all events whose outputs are pending |
//! | switch | a restore or a rollback: the state becomes that of another timeline |
//! | request | what a client asks to be carried out; a *query* is a request that changes nothing |
//! | reply | what answers a request, once all that it says is durable; a *refusal* says why nothing was applied |
//! | record | one thing that a query or a dump shows, a JSON object |
//! | source position | where an input that can be read again has to be read on |
//! | group | the requests that one write makes durable together |
//! | apply | to carry out a request in memory |
//! | persist | to write a group and wait for fdatasync; what is persisted is *durable* |
//! | receipt | the proof that a group is durable |
//! | index | finds positions by event id, through a *fingerprint*; stored in *runs* |
//! | cache | what is kept of stored blocks and runs in memory, within a *budget* |
//! | part | what is read of a run at a time |
//! | window | the requests of one sender that are read ahead together |
//! | plan | the blocks and parts that a window needs, to be read in order |
//! | excerpt | one entry of a block, or what a part has of one fingerprint, read ahead for a window |
//! | view | one durable moment of a state, to be read while requests go on |
//! | state directory | all files of one state: lock, sentinel (which marks the directory as ours), watermark, control socket, and the database |
//! | generation | one database of a state directory; a compaction or a load makes the next |
//! | watermark | a small file that says up to which group replies have been given |
//! | node | the program that answers requests on standard input and on its *control socket* |
//! | client | a program that sends requests |
//! | engine | an open state directory, for one thread |
//! | handle | an open state directory, for many threads |
//! | consumer | a program that reads released outputs |
//! | fold | to add up events into counts |
//! | block | many entries under one checksum |
//! | tree | a part of the database, with sorted keys |
//! | digest | a checksum of many values |
//!
//! # The map
//!
//! A module uses only those below it in this table. The third column names crates and modules that
//! a module must not use; a test checks it.
//!
//! | module | owns | must not know |
//! |---|---|---|
//! | [`client`] | requests to a node over its socket, and their replies | `sled`, `serde_json`, `engine`, `store` |
//! | [`node`] | lines from an input and from clients to a handle, and replies back | `sled`, `serde_json`, `store::bytes` |
//! | `protocol` | JSON of requests and replies | `sled`, `store`, `processor`, `std::fs` |
//! | [`load`] | building a directory from a dump | `sled`, `bincode`, `protocol` |
//! | `engine` | the driver as a library: an engine, and a handle that threads share | `sled`, `serde_json`, `std::fs` |
//! | [`verify`] | checking a resting directory | `sled`, `processor`, `driver` |
//! | [`inspect`] | views of a state, queries and records | `sled`, `processor`, `driver`, `std::thread` |
//! | `driver` | apply, persist, reply: the order of these three | `sled`, `serde_json`, `std::fs` |
//! | `processor` | deduplicating, applying, collecting | `sled`, `serde_json`, `std::thread`, `std::time` |
//! | `journal` | entries at positions, in memory and stored, and folding them into counts | `sled`, `serde_json`, `index` |
//! | `index` | which positions carry an id, in memory and stored | `sled`, `serde_json`, `journal` |
//! | `store` | everything durable: its bytes, sled, and the files of the directory | `serde_json`, `request` |
//! | `store::database` | every call of sled | `bincode`, `store::group` |
//! | `store::directory` | the files around the database | `sled`, `bincode`, `store::database` |
//! | `store::bytes` | the disk format | `std::fs`, `store::database`, `store::directory` |
//! | `request` | requests, replies, refusals | `serde`, `store` |
//! | `state` | positions, sets of them, timeline, counts, limits | `std::fs`, `store` |
//! | `error` | failures, and what helps against an error of the system | `sled`, `store`, `state` |
//!
//! # Invariants
//!
//! 1. No reply is given before the fdatasync of its group has returned. Until then it is in a value
//!    that only `store` opens.
//! 2. The state after a restart is the state after some prefix of the requests that contains
//!    every answered one.
//! 3. The counts are the fold of the journal over the timeline; pending is the timeline without
//!    what is settled; settled positions stay settled; positions are never used twice.
//! 4. An event id is in the output log at most once, whatever the path of restores, rollbacks
//!    and crashes.
//! 5. The same requests give the same replies and the same state. No clock, randomness or hash
//!    order is in a reply, a count or an output.
//! 6. Only `store` knows sled; only `protocol` knows the JSON of requests and replies, and
//!    [`inspect`] that of queries and records.

#![doc = include_str!("how_it_works.md")]

pub mod client;
mod driver;
mod engine;
mod error;
mod index;
pub mod inspect;
mod journal;
pub mod load;
pub mod node;
mod processor;
pub mod protocol;
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
        FORMAT, Kept, LockedDirectory, Scratch, check_at_rest, panic_becomes_error,
        remove_leftovers, state_directory_around, watermark_of,
    };
}
