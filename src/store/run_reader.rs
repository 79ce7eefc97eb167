//! Reads the stored index of event ids: whole runs or parts of them.

use std::ops::Bound;

use xxhash_rust::xxh3::Xxh3;

use crate::error::StorageError;
use crate::state::position::Position;
use crate::store::bytes::fingerprint::Fingerprint;
use crate::store::bytes::run::{RunHeader, RunNumber};
use crate::store::bytes::run::{RunKey, decode_run_block};
use crate::store::bytes::tree_name::TreeName;
use crate::store::cache::{RunPart, RunParts};
use crate::store::database::view::KeyValue;
use crate::store::decode;
use crate::store::reader::Reader;

impl Reader {
    /// Returns the finished runs in order, and the keys of an unfinished run that a crash left. A
    /// gap between the positions of two runs is an error.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if a header cannot be read or does not follow the one before it.
    pub(crate) fn runs(&self) -> Result<(Vec<RunHeader>, Vec<RunKey>), StorageError> {
        let mut runs = Vec::new();
        let mut next = Position::FIRST;
        for number in 0..=u32::MAX {
            let Some(header) = decode::run_header(self.trees(), RunNumber(number))? else {
                break;
            };
            decode::fits("the first position of a run", next.0, header.first.0)?;
            next = header.last.next();
            runs.push(header);
        }
        let unfinished = decode::run_key(RunNumber(runs.len() as u32));
        let left = self.trees()[TreeName::Index].range(unfinished.as_slice()..);
        let left = left.map(|stored| parse(&stored?.0));
        Ok((runs, left.collect::<Result<_, _>>()?))
    }

    /// Calls `f` with the entries of a run from one fingerprint to another, both included.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if a block is missing or damaged.
    pub(crate) fn walk_run(
        &self,
        run: &RunHeader,
        (from, to): (Fingerprint, Fingerprint),
        mut f: impl FnMut(Fingerprint, Position),
    ) -> Result<(), StorageError> {
        let within = |fingerprint, position| {
            if (from..=to).contains(&fingerprint) {
                f(fingerprint, position);
            }
        };
        self.walk_run_blocks(run, from, to, within, |_| ())
    }

    /// Returns a part of a run.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if a block is missing or damaged.
    pub(crate) fn run_part(&self, run: &RunHeader, number: u32) -> Result<RunPart, StorageError> {
        let parts = RunParts::of(run);
        let mut positions = Vec::new();
        self.walk_run(run, parts.fingerprints(number), |fingerprint, position| {
            positions.push((fingerprint, position));
        })?;
        Ok(parts.part(positions))
    }

    /// Calls `f` with every entry of a run, and checks that none is missing.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if a block is missing or damaged.
    pub(crate) fn read_run(
        &self,
        run: &RunHeader,
        mut f: impl FnMut(Fingerprint, Position),
    ) -> Result<(), StorageError> {
        let (mut digest, mut blocks, mut entries) = (Xxh3::new(), 0, 0);
        let counted = |fingerprint, position| {
            entries += 1;
            f(fingerprint, position);
        };
        self.walk_run_blocks(run, Fingerprint(0), Fingerprint::MAX, counted, |checksum| {
            digest.update(&checksum.to_le_bytes());
            blocks += 1;
        })?;
        let found = (blocks, entries, digest.digest());
        let expected = (run.blocks, run.last.0 - run.first.0 + 1, run.digest);
        if found == expected {
            return Ok(());
        }
        let what = format!("run {} of the index", run.run.0);
        let expected = format!("blocks, entries and digest {expected:?}");
        Err(StorageError::damaged(what, expected, format!("{found:?}")))
    }

    /// Walks the blocks that may hold fingerprints from `from` to `to`, and passes the checksum of
    /// each to `on_block`.
    fn walk_run_blocks(
        &self,
        run: &RunHeader,
        from: Fingerprint,
        to: Fingerprint,
        mut on_entry: impl FnMut(Fingerprint, Position),
        mut on_block: impl FnMut(u64),
    ) -> Result<(), StorageError> {
        let seen = &self.trees()[TreeName::Index];
        let bound = |fingerprint| RunKey {
            run: run.run,
            fingerprint,
            position: Position::NONE,
        };
        let start = seen.last_up_to(bound(from).bytes())?;
        let start = start.filter(|(key, _)| parse(key).is_ok_and(|key| key.run == run.run));
        let mut expected = start.is_none().then_some(run.first_fingerprint);
        let after = match &start {
            Some((key, _)) => Bound::Excluded(key.to_vec()),
            None => Bound::Included(bound(Fingerprint(0)).bytes().to_vec()),
        };
        // Most look-ups need one block only, so the iterator is made when it is needed.
        let rest = std::iter::once_with(|| seen.range((after, Bound::Unbounded))).flatten();
        for block in start.map(Ok).into_iter().chain(rest) {
            let until = read_block(run, block?, expected, &mut on_entry, &mut on_block)?;
            match until {
                Some(until) if until <= to => expected = Some(until),
                _ => return Ok(()),
            }
        }
        Err(missing(run, expected))
    }
}

/// Reads a block, which must belong to the run and begin with the expected fingerprint. Returns the
/// first fingerprint of the next block, if there is one.
fn read_block(
    run: &RunHeader,
    (key, bytes): KeyValue,
    expected: Option<Fingerprint>,
    on_entry: &mut impl FnMut(Fingerprint, Position),
    on_block: &mut impl FnMut(u64),
) -> Result<Option<Fingerprint>, StorageError> {
    let key = parse(&key)?;
    if key.run != run.run || expected.is_some_and(|expected| expected != key.fingerprint) {
        return Err(missing(run, expected));
    }
    let header = decode_run_block(key, run.first, &bytes, on_entry)?;
    on_block(header.checksum);
    Ok(header.until)
}

fn parse(key: &[u8]) -> Result<RunKey, StorageError> {
    let found = || format!("{} bytes", key.len());
    RunKey::parse(key)
        .ok_or_else(|| StorageError::damaged("a key of the tree index", "20 bytes", found()))
}

fn missing(run: &RunHeader, expected: Option<Fingerprint>) -> StorageError {
    let from = expected.unwrap_or(run.first_fingerprint).0;
    let what = format!("run {} of the index", run.run.0);
    StorageError::damaged(what, format!("a block from {from:x} on"), "none")
}
