//! Reads the output log from any offset on, and the pending outputs.

use std::ops::Range;

use crate::error::StorageError;
use crate::inspect::output::{LastOutput, ReleasedOutput};
use crate::inspect::record::{Output, OutputStatus, Record};
use crate::inspect::{InspectError, Sink, View};
use crate::state::position::Position;
use crate::state::position_set::slice;
use crate::store::bytes::entry::Entry;
use crate::store::{Releases, Stored};

impl View {
    /// Calls `sink` with released outputs in the order of their offsets, from offset `from` on, at
    /// most `limit` of them. `from` may be the offset that the next output will have. This does not
    /// check what a consumer has read before; [`Self::outputs_after`] does.
    ///
    /// # Errors
    ///
    /// [`InspectError::BeyondTheEnd`] if `from` is larger, a [`StorageError`] if something stored
    /// cannot be read, or the error of `sink`.
    pub fn outputs<E: From<InspectError> + From<StorageError>>(
        &self,
        from: u64,
        limit: u64,
        mut sink: impl FnMut(&ReleasedOutput<'_>) -> Result<(), E>,
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
                sink(&ReleasedOutput {
                    offset: place.offset,
                    commit: place.commit,
                    event_id,
                    word: entry.word,
                    count: entry.count,
                })
            })
        })
    }

    /// Does the same as [`Self::outputs`], from the output after the last one that a consumer has
    /// read. The output log must have that one: otherwise the directory is another one, or was put
    /// back from a copy.
    ///
    /// # Errors
    ///
    /// [`InspectError::LastOutputGone`] or [`InspectError::AnotherOutput`] if the log does not have
    /// that output, a [`StorageError`] if something stored cannot be read, or the error of `sink`.
    pub fn outputs_after<E: From<InspectError> + From<StorageError>>(
        &self,
        last: &LastOutput,
        limit: u64,
        sink: impl FnMut(&ReleasedOutput<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.check_last(last)?;
        self.outputs(last.offset + 1, limit, sink)
    }

    /// Checks that the output log has the last output that a consumer has read.
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

    /// Calls `f` with the released outputs whose offsets are in a range, in their order.
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

    /// Returns the releases from the one that has the output at an offset on.
    pub(super) fn releases(&self, from: u64) -> Result<Releases<'_>, StorageError> {
        let Stored { record, sets, .. } = &self.stored;
        let outputs = record.scalars.outputs;
        self.reader.releases(from, &sets.settled.released, outputs)
    }
}

/// The place of an output in the output log.
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
        sink(&Record::Output(Output {
            status: place.map_or(OutputStatus::Pending, |_| OutputStatus::Released),
            offset: place.map(|place| place.offset),
            commit: place.and_then(|place| place.commit),
            position: position.0,
            event_id: event_id.into(),
            word: entry.word.into(),
            count: entry.count,
        }))
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
            let output = ReleasedOutput { offset, commit, event_id, word, count };
            let mut line = Vec::new();
            output.put(&mut line);
            prop_assert_eq!(line, serde_json::to_vec(&output).expect("it can be spelled"));
        }
    }
}
