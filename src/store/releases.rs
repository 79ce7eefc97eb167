//! Reads the output log, release by release, from any offset on.

use std::vec;

use crate::error::StorageError;
use crate::state::position_set::PositionSet;
use crate::state::settled::Released;
use crate::store::bytes::tree_name::TreeName;
use crate::store::database::tree::Entries;
use crate::store::database::view::KeyValue;
use crate::store::decode::{decode_releases, fits};
use crate::store::reader::Reader;
use crate::store::release::Release;

/// The durable releases that end after an offset, in order. The open end of the released positions
/// comes last, if there is one. The first error ends the iteration.
pub(crate) struct Releases<'a> {
    reader: &'a Reader,
    from: u64,
    packs: Option<Entries>,
    /// The remaining releases of the last pack that was read.
    read: vec::IntoIter<Release>,
    /// The offset after that pack, and the number of the last commit up to its end.
    reached: Option<(u64, u64)>,
    /// The offset after the last stored output.
    end: u64,
    open: Option<Release>,
}

impl Reader {
    /// Returns the releases that end after offset `from`. `released` has all released positions,
    /// whose number is `outputs`.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if the first pack cannot be found.
    pub(crate) fn releases(
        &self,
        from: u64,
        released: &Released,
        outputs: u64,
    ) -> Result<Releases<'_>, StorageError> {
        let open = released.open_end(self.durable()).map(|range| Release {
            commit: None,
            first_output: outputs - range.len(),
            released: range.into(),
        });
        let packs = &self.trees()[TreeName::Releases];
        let first = packs.last_up_to(from.to_be_bytes())?;
        let first = first.map_or_else(Vec::new, |(key, _)| key.to_vec());
        Ok(Releases {
            reader: self,
            from,
            packs: Some(packs.range(first..)),
            read: Vec::new().into_iter(),
            reached: None,
            end: open.as_ref().map_or(outputs, |open| open.first_output),
            open: open.filter(|open| open.end() > from),
        })
    }
}

impl Releases<'_> {
    /// Returns the positions of all outputs from the offset on.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if a release cannot be read.
    pub(crate) fn into_positions(self) -> Result<PositionSet, StorageError> {
        let from = self.from;
        let mut positions = PositionSet::default();
        for release in self {
            let release = release?;
            let ranges = release.ranges_from(from);
            ranges.for_each(|range| positions.insert_range(range));
        }
        Ok(positions)
    }

    fn take_pack(&mut self, entry: &KeyValue) -> Result<(), StorageError> {
        let head = self.reader.durable();
        let (pack, releases) = decode_releases(self.reader.trees(), entry, self.from, head)?;
        let (first, commits) = (pack.first_output(), pack.first_commits());
        if self.reached.is_none() && first > self.from {
            let expected = format!("output {}", self.from);
            let found = format!("output {first} as the first");
            return Err(StorageError::damaged("the output log", expected, found));
        }
        let (reached, numbered) = match self.reached {
            Some(reached) => reached,
            None if first == 0 => (0, 0),
            // The packs before this one are not read.
            None => (first, commits),
        };
        fits("the first offset of a pack of releases", reached, first)?;
        fits(
            "the number of the last commit before a pack",
            numbered,
            commits,
        )?;
        self.reached = Some((pack.end(), pack.commits()));
        self.read = releases.into_iter();
        Ok(())
    }

    fn take_next(&mut self) -> Result<(), StorageError> {
        match self.packs.as_mut().and_then(Iterator::next) {
            Some(entry) => entry.and_then(|entry| self.take_pack(&entry)),
            None => {
                self.packs = None;
                let (reached, _) = self.reached.unwrap_or_default();
                fits("the end of the output log", self.end, reached)
            }
        }
    }
}

impl Iterator for Releases<'_> {
    type Item = Result<Release, StorageError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(release) = self.read.next() {
                return Some(Ok(release));
            }
            if self.packs.is_none() {
                return self.open.take().map(Ok);
            }
            if let Err(error) = self.take_next() {
                (self.packs, self.open) = (None, None);
                return Some(Err(error));
            }
        }
    }
}
