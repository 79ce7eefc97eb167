//! Sends events from many threads over one handle, and prints a line when each is on stable
//! storage. Tests kill this program.
//!
//!     many_threads DIR THREADS EVENTS STORAGE_TIMEOUT_SECONDS
//!
//! Each thread sends EVENTS events and waits for each. A line is `THREAD EVENT COUNT`.

use std::error::Error;
use std::io::{Write, stdout};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use exactly_once::{Engine, Handle, Options, StorageError};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [dir, threads, events, timeout] = &arguments[..] else {
        return Err("four arguments: DIR THREADS EVENTS STORAGE_TIMEOUT_SECONDS".into());
    };
    let (threads, events) = (threads.parse()?, events.parse()?);
    let mut options = Options::default();
    options.snapshot_interval_events = 100;
    options.run_events = 30;
    options.storage_timeout.limit = Duration::from_secs(timeout.parse()?);
    let handle = Engine::open(dir, &options)?.share()?;
    let senders: Vec<_> = (0..threads)
        .map(|thread| {
            let handle = handle.clone();
            thread::spawn(move || send(&handle, thread, events))
        })
        .collect();
    let mut failed = None;
    for sender in senders {
        failed = sender.join().expect("it does not panic").err().or(failed);
    }
    if let Some(error) = failed {
        eprintln!("failed: {error}");
    }
    Ok(handle.close()?)
}

fn send(handle: &Handle, thread: u32, events: u32) -> Result<(), Arc<StorageError>> {
    for event in 0..events {
        let pending = handle.process(&format!("{thread}-{event}"), &format!("w{thread}"));
        let processed = pending.wait()?.expect("the disk has room");
        let line = format!("{thread} {event} {}\n", processed.count);
        // The program goes on without a reader.
        stdout().write_all(line.as_bytes()).unwrap_or_default();
    }
    Ok(())
}
