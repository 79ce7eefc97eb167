//! The log of released outputs, from any offset on.

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::error::StorageError;
use crate::inspect::{InspectError, OutputStatus, Record, Sink, View};
use crate::json_text::{put_number, put_string};
use crate::state::position::Position;
use crate::state::position_set::slice;
use crate::store::entry::Entry;
use crate::store::{Releases, Stored};

/// How much of an id or a word is shown in an error, which has two of each and says what to do.
const SHOWN_CHARS: usize = 80;

/// An output that a commit released. Offsets are dense and never change, so that a consumer that
/// stores the last output it has got reads each output once: see
/// [`View::outputs_after`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CommittedOutput<'a> {
    /// Its place in the log, from 0.
    pub offset: u64,
    /// The commit that released it, from 1; `None` with autocommit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<u64>,
    /// The event's id.
    pub event_id: &'a str,
    /// The event's word.
    pub word: &'a str,
    /// The count that the event's reply gave.
    pub count: u64,
}

/// The last output that a consumer has got, by which the log it came from is known again. As JSON
/// it is what was printed of the output; the number of its commit and further members are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastOutput {
    /// Its place in the log, from 0.
    pub offset: u64,
    /// The event's id.
    pub event_id: String,
    /// The event's word.
    pub word: String,
    /// The count that the event's reply gave.
    pub count: u64,
}

impl LastOutput {
    fn is(&self, output: &CommittedOutput<'_>) -> bool {
        *self == Self::from(output)
    }
}

impl From<&CommittedOutput<'_>> for LastOutput {
    fn from(output: &CommittedOutput<'_>) -> Self {
        Self {
            offset: output.offset,
            event_id: output.event_id.to_owned(),
            word: output.word.to_owned(),
            count: output.count,
        }
    }
}

impl fmt::Display for LastOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (offset, count) = (self.offset, self.count);
        let (event_id, word) = (shortened(&self.event_id), shortened(&self.word));
        write!(
            f,
            "output {offset} (event {event_id:?}, word {word:?}, count {count})"
        )
    }
}

/// The beginning of a text that may be long, for people.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

impl CommittedOutput<'_> {
    /// Appends the output as JSON, as its serialisation is, but quicker: who follows a node that is
    /// busy reads millions a second.
    pub(super) fn put(&self, line: &mut Vec<u8>) {
        line.extend_from_slice(b"{\"offset\":");
        put_number(line, self.offset);
        if let Some(commit) = self.commit {
            line.extend_from_slice(b",\"commit\":");
            put_number(line, commit);
        }
        line.extend_from_slice(b",\"event_id\":");
        put_string(line, self.event_id);
        line.extend_from_slice(b",\"word\":");
        put_string(line, self.word);
        line.extend_from_slice(b",\"count\":");
        put_number(line, self.count);
        line.push(b'}');
    }
}

impl View {
    /// Calls `sink` with released outputs in order of their offsets: from `from` on, at most
    /// `limit`. `from` may be the offset that the next output will have. Nothing tells whether the
    /// outputs before it are those that a consumer has got.
    ///
    /// # Errors
    ///
    /// [`InspectError`], or whatever `sink` returns.
    pub fn outputs<E: From<InspectError> + From<StorageError>>(
        &self,
        from: u64,
        limit: u64,
        mut sink: impl FnMut(&CommittedOutput<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let end = self.stored.record.scalars.outputs;
        if from > end {
            return Err(InspectError::BeyondTheEnd { from, end }.into());
        }
        let until = end.min(from.saturating_add(limit));
        if from == until {
            return Ok(());
        }
        self.released(from..until, |place, _, entry| {
            entry.event_id.with_text(|event_id| {
                sink(&CommittedOutput {
                    offset: place.offset,
                    commit: place.commit,
                    event_id,
                    word: entry.word,
                    count: entry.count,
                })
            })
        })
    }

    /// As [`Self::outputs`], from the one after the last output that a consumer has got,
    /// which must be in the log. No state can tell that it was put back from a copy; what is in the
    /// log can.
    ///
    /// # Errors
    ///
    /// [`InspectError::LastOutputGone`] or [`InspectError::AnotherOutput`] if the log does not have
    /// that output, another [`InspectError`], or whatever `sink` returns.
    pub fn outputs_after<E: From<InspectError> + From<StorageError>>(
        &self,
        last: &LastOutput,
        limit: u64,
        sink: impl FnMut(&CommittedOutput<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.check_last(last)?;
        self.outputs(last.offset + 1, limit, sink)
    }

    /// Checks that the log has the last output that a consumer has got.
    fn check_last(&self, last: &LastOutput) -> Result<(), InspectError> {
        let end = self.stored.record.scalars.outputs;
        if last.offset >= end {
            let last = Box::new(last.clone());
            return Err(InspectError::LastOutputGone { last, end });
        }
        self.outputs(last.offset, 1, |output| {
            if last.is(output) {
                return Ok(());
            }
            Err(InspectError::AnotherOutput {
                last: Box::new(last.clone()),
                found: Box::new(output.into()),
            })
        })
    }

    /// Calls `sink` with every output, the released ones first.
    pub(super) fn all_outputs<E: From<StorageError>>(&self, sink: Sink<'_, E>) -> Result<(), E> {
        self.released(0..u64::MAX, |place, position, entry| {
            output(position, &entry, Some(place), sink)
        })?;
        self.walk(
            &self.stored.sets.settled.missing_of(&self.timeline),
            |position, entry| output(position, &entry, None, sink),
        )
    }

    /// Walks the released outputs whose offsets are in a range.
    fn released<E: From<StorageError>>(
        &self,
        offsets: Range<u64>,
        mut f: impl FnMut(Place, Position, Entry<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        for release in self.releases(offsets.start)? {
            let release = release?;
            if release.first_output >= offsets.end {
                break;
            }
            let skip = offsets.start.saturating_sub(release.first_output);
            let mut place = Place {
                offset: release.first_output + skip,
                commit: release.commit.map(|commit| commit.number),
            };
            let ranges = slice(release.released.ranges(), skip, offsets.end - place.offset);
            self.reader.walk(ranges, |position, entry| {
                let result = f(place, position, entry);
                place.offset += 1;
                result
            })?;
        }
        Ok(())
    }

    /// The releases of the outputs from an offset on.
    pub(super) fn releases(&self, from: u64) -> Result<Releases<'_>, StorageError> {
        let Stored { record, sets, .. } = &self.stored;
        let outputs = record.scalars.outputs;
        self.reader.releases(from, &sets.settled.released, outputs)
    }
}

/// Where an output is in the log.
#[derive(Debug, Clone, Copy)]
struct Place {
    offset: u64,
    commit: Option<u64>,
}

fn output<E>(
    position: Position,
    entry: &Entry<'_>,
    place: Option<Place>,
    sink: Sink<'_, E>,
) -> Result<(), E> {
    entry.event_id.with_text(|event_id| {
        sink(&Record::Output {
            status: place.map_or(OutputStatus::Pending, |_| OutputStatus::Committed),
            offset: place.map(|place| place.offset),
            commit: place.and_then(|place| place.commit),
            position: position.0,
            event_id,
            word: entry.word,
            count: entry.count,
        })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_output_is_put_as_it_is_serialized(
            (offset, commit, count) in any::<(u64, Option<u64>, u64)>(),
            event_id in any::<String>(),
            word in any::<String>(),
        ) {
            let (event_id, word) = (&*event_id, &*word);
            let output = CommittedOutput { offset, commit, event_id, word, count };
            let mut line = Vec::new();
            output.put(&mut line);
            prop_assert_eq!(line, serde_json::to_vec(&output).expect("it can be spelled"));
        }
    }
}
