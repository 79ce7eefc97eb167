//! Batches of events, read and decoded on a thread of their own.

use std::io::BufRead;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, bounded};
use exactly_once::StorageError;
use parking_lot::Mutex;

use crate::cli::import::plan::Plan;
use crate::cli::import::records::{self, Found, ReadError, Record};
use crate::cli::import::source::{OpenSource, Source};
use crate::cli::status::WrongArguments;

/// Batches that may wait.
const WAITING_BATCHES: usize = 4;

/// A batch is passed on when it has this many bytes of text or this many events.
const ENOUGH_BYTES: usize = 256 << 10;
const ENOUGH_EVENTS: usize = 4_000;

/// A pause begins when no batch has come for this long.
const PAUSE_AFTER: Duration = Duration::from_millis(20);

/// Some events of an input, and what was left out between them.
#[derive(Debug, Default)]
pub(super) struct Batch {
    text: String,
    /// For each event: the end of its id, the end of its word, its line.
    events: Vec<(usize, usize, u64)>,
    /// Number of records, with those that were left out.
    pub(super) records: u64,
    /// Number of records that were left out, and the line and reason of the first.
    pub(super) skipped: u64,
    pub(super) first_skipped: Option<(u64, String)>,
    /// Number of records that are left for the next import.
    pub(super) unfinished: u64,
    /// In the last batch: the offset that one more record would have, unless it is not known.
    pub(super) end: Option<u64>,
}

impl Batch {
    /// Adds an event, and the line of its record.
    pub(super) fn add_event(&mut self, event_id: &str, word: &str, line: u64) {
        self.text.push_str(event_id);
        let end = self.text.len();
        self.text.push_str(word);
        self.events.push((end, self.text.len(), line));
    }

    fn add(&mut self, record: Record<'_>) {
        match record.found {
            Found::Event { event_id, word } => {
                self.add_event(event_id, word, record.line);
            }
            Found::Bad(why) => {
                self.skipped += 1;
                let first = || (record.line, why.to_owned());
                self.first_skipped.get_or_insert_with(first);
            }
            Found::Unfinished => {
                self.unfinished += 1;
                return;
            }
        }
        self.records += 1;
    }

    fn is_empty(&self) -> bool {
        self.records == 0 && self.unfinished == 0
    }

    fn is_full(&self) -> bool {
        self.text.len() >= ENOUGH_BYTES || self.events.len() >= ENOUGH_EVENTS
    }

    /// The events: id, word, and line.
    pub(super) fn events(&self) -> impl Iterator<Item = (&str, &str, u64)> {
        let mut start = 0;
        self.events.iter().map(move |&(end_of_id, end, line)| {
            let event = (
                &self.text[start..end_of_id],
                &self.text[end_of_id..end],
                line,
            );
            start = end;
            event
        })
    }
}

/// Why an input was not read to its end.
#[derive(Debug)]
pub(super) enum EndedEarly {
    Unreadable(std::io::Error),
    NoColumn(String),
}

impl EndedEarly {
    /// The error of an input.
    pub(super) fn of(self, source: &Source) -> anyhow::Error {
        let shown = source.shown();
        match self {
            Self::Unreadable(error) => anyhow::Error::new(error).context(format!(
                "{shown} could not be read to its end; what was read is counted"
            )),
            Self::NoColumn(why) => WrongArguments(format!("{shown}: {why}")).into(),
        }
    }
}

/// The batches of an input, as its thread reads them.
pub(super) struct Batches {
    full: Receiver<Result<Batch, EndedEarly>>,
    /// The one that is being filled, which follows all others.
    present: Arc<Mutex<Batch>>,
}

impl Batches {
    /// Starts to read an input.
    pub(super) fn read(open: OpenSource, plan: Plan) -> Result<Self, StorageError> {
        let (to_send, full) = bounded(WAITING_BATCHES);
        let present = Arc::<Mutex<Batch>>::default();
        let filled = Arc::clone(&present);
        let read = move || read(&plan, open.input, open.dropped, &to_send, &filled);
        let reading = std::thread::Builder::new().spawn(read);
        reading.map_err(StorageError::Thread)?;
        Ok(Self { full, present })
    }

    /// The next batch; `None` after the last. When none is full for a while, gives what has come,
    /// or calls `pause` if that is nothing.
    pub(super) fn next(
        &self,
        mut pause: impl FnMut() -> anyhow::Result<()>,
    ) -> anyhow::Result<Option<Result<Batch, EndedEarly>>> {
        match self.full.try_recv() {
            Ok(batch) => return Ok(Some(batch)),
            Err(TryRecvError::Disconnected) => return Ok(None),
            Err(TryRecvError::Empty) => {}
        }
        loop {
            match self.full.recv_timeout(PAUSE_AFTER) {
                Ok(batch) => return Ok(Some(batch)),
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
                Err(RecvTimeoutError::Timeout) => {
                    let mut present = self.present.lock();
                    // One that became full meanwhile comes first.
                    if let Ok(full) = self.full.try_recv() {
                        return Ok(Some(full));
                    }
                    let batch = std::mem::take(&mut *present);
                    drop(present);
                    if !batch.is_empty() {
                        return Ok(Some(Ok(batch)));
                    }
                    pause().context("sending what was read")?;
                }
            }
        }
    }
}

fn read(
    plan: &Plan,
    input: impl BufRead,
    offset: u64,
    batches: &Sender<Result<Batch, EndedEarly>>,
    present: &Mutex<Batch>,
) {
    let ended = records::read(plan, input, offset, |record| {
        let mut batch = present.lock();
        batch.add(record);
        if !batch.is_full() {
            return true;
        }
        let full = std::mem::take(&mut *batch);
        // While this waits, the present batch is empty, so that none overtakes another.
        drop(batch);
        batches.send(Ok(full)).is_ok()
    });
    let mut batch = std::mem::take(&mut *present.lock());
    let last = match ended {
        // The import has ended.
        Err(ReadError::Enough) => return,
        Err(ReadError::Unreadable(error)) => Some(EndedEarly::Unreadable(error)),
        Err(ReadError::NoColumn(why)) => Some(EndedEarly::NoColumn(why)),
        Ok(end) => {
            batch.end = end;
            None
        }
    };
    let sent = batches.send(Ok(batch));
    if let (Ok(()), Some(last)) = (sent, last) {
        batches.send(Err(last)).unwrap_or_default();
    }
}
