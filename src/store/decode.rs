//! Reads single records, sets and blocks from their trees, decodes them and checks them.

use std::path::Path;

use crate::error::{OpenError, StorageError};
use crate::state::position::Position;
use crate::state::position_set::{PositionRange, PositionSet};
use crate::state::settled::{Released, Settled};
use crate::store::bytes::block::Block;
use crate::store::bytes::fingerprint::Fingerprint;
use crate::store::bytes::record::{
    self, CheckpointRecord, FormatRecord, HeadRecord, RunRecord, Scalars, SetRecord,
    SnapshotRecord, TreeDigest,
};
use crate::store::bytes::release_pack::{ReleasePack, StoredRelease};
use crate::store::bytes::run::{RunHeader, RunNumber};
use crate::store::bytes::set_piece::{self, PieceKey};
use crate::store::bytes::tree_name::TreeName;
use crate::store::bytes::{FORMAT, FORMAT_4};
use crate::store::database::tree::Tree;
use crate::store::database::trees::Trees;
use crate::store::database::view::KeyValue;
use crate::store::group::Group;
use crate::store::release::{Release, ReleasedPositions};

/// The numbers of the live sets, which are written piece by piece as they change.
pub(super) const CLOSED_SET: u64 = 1;
pub(super) const RELEASED_SET: u64 = 2;
pub(super) const ABSORBED_SET: u64 = 3;
/// The first number of a set that never changes. The numbers below are kept for live sets.
pub(super) const FIRST_FREE_SET: u64 = 16;

/// The sets that change with the state.
#[derive(Debug, Clone, Default)]
pub(crate) struct LiveSets {
    /// The closed part of the timeline.
    pub(crate) closed: PositionSet,
    pub(crate) settled: Settled,
}

impl LiveSets {
    /// Applies the changes of a group.
    pub(super) fn take(&mut self, group: &Group) {
        if let Some(closed) = &group.closed {
            self.closed = closed.clone();
        }
        let released = group.released.as_ref();
        let released = released.unwrap_or(self.settled.released.closed()).clone();
        self.settled.released = Released::new(released, group.scalars.released_from);
        if let Some(absorbed) = &group.absorbed {
            self.settled.absorbed = absorbed.clone();
        }
    }
}

/// The scalars and the live sets, as they are stored.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) format: FormatRecord,
    pub(crate) record: HeadRecord,
    pub(crate) sets: LiveSets,
}

/// Returns the key of a block of counts; block 0 is the header.
pub(super) fn counts_key(snapshot: u64, number: u32) -> [u8; 12] {
    let mut key = [0; 12];
    key[..8].copy_from_slice(&snapshot.to_be_bytes());
    key[8..].copy_from_slice(&number.to_be_bytes());
    key
}

/// Returns the key of a run's header. The keys of the run's blocks begin with it.
pub(super) fn run_key(run: RunNumber) -> [u8; 4] {
    run.0.to_be_bytes()
}

/// Returns the header of a run of the index, or `None` if the run was never finished.
pub(super) fn run_header(trees: &Trees, run: RunNumber) -> Result<Option<RunHeader>, StorageError> {
    let what = format!("the header of run {} of the index", run.0);
    let record: Option<RunRecord> = get(&trees[TreeName::Index], run_key(run), &what)?;
    Ok(record.map(|record| RunHeader {
        run,
        first: record.first,
        last: record.last,
        first_fingerprint: Fingerprint(record.first_fingerprint),
        blocks: record.blocks,
        digest: record.digest,
    }))
}

pub(super) fn parse_counts_key(key: &[u8]) -> Result<(u64, u32), StorageError> {
    let parse = || {
        let (snapshot, number) = key.split_first_chunk::<8>()?;
        let number = u32::from_be_bytes(number.try_into().ok()?);
        Some((u64::from_be_bytes(*snapshot), number))
    };
    parse().ok_or_else(|| {
        StorageError::damaged(
            "a key of the tree counts",
            "12 bytes",
            format!("{} bytes", key.len()),
        )
    })
}

fn get<T: serde::de::DeserializeOwned>(
    tree: &Tree,
    key: impl AsRef<[u8]>,
    what: &str,
) -> Result<Option<T>, StorageError> {
    let bytes = tree.get(key)?;
    bytes.map(|bytes| record::decode(&bytes, what)).transpose()
}

/// Returns the format record, which never changes, or `None` if the database is new.
pub(super) fn format(trees: &Trees) -> Result<Option<FormatRecord>, StorageError> {
    let what = "the record of the format";
    let Some(bytes) = trees[TreeName::Meta].get("format")? else {
        return Ok(None);
    };
    // The caller upgrades a copy of a database of format 4 after this.
    let old = record::decode_of(FORMAT_4 as u8, &bytes, what);
    old.or_else(|_| record::decode(&bytes, what)).map(Some)
}

/// Checks that this program knows the format of a database.
///
/// # Errors
///
/// [`OpenError::UnknownFormat`] if it does not.
pub(super) fn check_format(format: &FormatRecord, path: &Path) -> Result<(), OpenError> {
    if format.format == FORMAT {
        return Ok(());
    }
    let (path, found) = (path.to_owned(), format.format.to_string());
    Err(OpenError::UnknownFormat {
        path,
        found,
        known: FORMAT,
    })
}

/// The head of a stored state.
#[derive(Debug)]
pub(crate) struct StoredHead {
    /// The record of the last transaction, brought forward to the end of the journal, as a group
    /// that is one block writes only that block.
    pub(crate) record: HeadRecord,
    /// The number of the last group that was a transaction.
    pub(super) base: u64,
}

pub(super) fn head(trees: &Trees) -> Result<StoredHead, StorageError> {
    let what = "the record of the head";
    let record = get(&trees[TreeName::Meta], "head", what)?;
    let mut record: HeadRecord =
        record.ok_or_else(|| StorageError::damaged(what, "a record", "nothing"))?;
    let base = record.group;
    let last = trees[TreeName::Journal].last_up_to([u8::MAX; 8])?;
    let last = last.as_ref().map(decode_block).transpose()?;
    let journal = last.as_ref().map_or(0, Block::checksum);
    match last.filter(|last| last.stamp.groups.group > base) {
        Some(last) => {
            // If these differ, a transaction before the block is lost, though the block is there.
            fits("the last transaction's group", last.stamp.groups.base, base)?;
            if record.scalars.released_from.is_some() {
                record.scalars.outputs += last.last().0 - record.scalars.position.0;
            }
            record.scalars.position = last.last();
            record.scalars.counts_digest = last.stamp.counts_digest;
            record.group = last.stamp.groups.group;
            record.digests.journal = journal;
            let from = record.journal.last.0.to_be_bytes();
            for entry in trees[TreeName::Journal].range(from..) {
                let (key, value) = entry?;
                let first = parse_number("a key of the journal", &key)?;
                let bytes = key.len() + value.len();
                record.journal.add(Position(first), bytes as u64);
            }
        }
        None => fits("the journal's digest", record.digests.journal, journal)?,
    }
    Ok(StoredHead { record, base })
}

/// Compares the values that two parts of the store have for the same thing.
pub(super) fn fits(what: &str, expected: u64, found: u64) -> Result<(), StorageError> {
    if expected == found {
        return Ok(());
    }
    let (expected, found) = (expected.to_string(), found.to_string());
    Err(StorageError::damaged(what, expected, found))
}

/// Compares a tree with its stored digest.
///
/// # Errors
///
/// [`StorageError::Damaged`] if the tree holds anything but what was written to it.
pub(super) fn check_digest(tree: &Tree, stored: &TreeDigest) -> Result<(), StorageError> {
    let mut found = TreeDigest::default();
    for entry in tree.iter() {
        let (key, value) = entry?;
        found.add(&key, &value);
    }
    if found == *stored {
        return Ok(());
    }
    let what = format!("the tree {}", tree.name().name());
    Err(StorageError::damaged(
        what,
        stored.to_string(),
        found.to_string(),
    ))
}

/// Checks that the trees fit together: sled can silently lose a transaction from the middle of its
/// log.
///
/// # Errors
///
/// [`StorageError::Damaged`], file_changes what does not fit.
pub(super) fn check_fit(
    trees: &Trees,
    record: &HeadRecord,
    sets: &LiveSets,
) -> Result<ReleasePack, StorageError> {
    let scalars = &record.scalars;
    let released = &sets.settled.released;
    let open = released.open_end(scalars.position);
    let open = open.map_or(0, PositionRange::len);
    fits(
        "the number of released outputs",
        scalars.outputs,
        released.closed().len() + open,
    )?;
    let pack = last_pack(trees)?;
    fits(
        "the number of the last commit",
        scalars.last_commit,
        pack.commits(),
    )?;
    fits(
        "the number of outputs in the log",
        scalars.outputs,
        pack.end() + open,
    )?;
    let moves = trees[TreeName::Switches].last_up_to([u8::MAX; 8])?;
    let moves = moves.map_or(Ok(0), |(key, _)| parse_number("a switch's key", &key))?;
    fits("the number of the last switch", scalars.switches, moves)?;
    for set in [&sets.closed, released.closed(), &sets.settled.absorbed] {
        check_within(set, scalars.position)?;
    }
    // A switch relies on these trees. The others are larger and are checked where they are read.
    check_digest(&trees[TreeName::Sets], &record.digests.sets)?;
    check_digest(&trees[TreeName::Checkpoints], &record.digests.checkpoints)?;
    Ok(pack)
}

/// Checks that a set has no position after the head.
fn check_within(set: &PositionSet, head: Position) -> Result<(), StorageError> {
    if set.last() <= Some(head) {
        return Ok(());
    }
    let expected = format!("positions up to {head}");
    Err(StorageError::damaged(
        "a position set",
        expected,
        "a later one",
    ))
}

/// Returns the last pack of releases, or an empty one if there is none.
fn last_pack(trees: &Trees) -> Result<ReleasePack, StorageError> {
    match trees[TreeName::Releases].last_up_to([u8::MAX; 8])? {
        Some((key, bytes)) => {
            let first_output = parse_number("a key of the tree releases", &key)?;
            ReleasePack::read(first_output, &bytes, |_| ())
        }
        None => Ok(ReleasePack::new(0, 0)),
    }
}

/// Reads a pack from its entry in the tree, without the releases that end at or before offset
/// `from`.
pub(super) fn decode_releases(
    trees: &Trees,
    (key, bytes): &KeyValue,
    from: u64,
    head: Position,
) -> Result<(ReleasePack, Vec<Release>), StorageError> {
    let first_output = parse_number("a key of the tree releases", key)?;
    let mut stored = Vec::new();
    let pack = ReleasePack::read(first_output, bytes, |release| {
        if release.first_output + release.outputs > from {
            stored.push(release);
        }
    })?;
    let releases = stored.into_iter().map(|r| read_release(trees, r, head));
    Ok((pack, releases.collect::<Result<_, _>>()?))
}

fn read_release(
    trees: &Trees,
    stored: StoredRelease,
    head: Position,
) -> Result<Release, StorageError> {
    let released = match &stored.released {
        SetRecord::Ranges(ranges) => {
            check_ranges(ranges, head)?;
            let ranges = ranges.iter();
            let ranges = ranges.map(|&(first, last)| PositionRange { first, last });
            ReleasedPositions::Ranges(ranges.collect())
        }
        SetRecord::Pieces(_) => read_set(trees, &stored.released, head)?.into(),
    };
    fits("the outputs of a release", stored.outputs, released.len())?;
    Ok(Release {
        commit: stored.commit,
        first_output: stored.first_output,
        released,
    })
}

pub(super) fn live_sets(trees: &Trees, scalars: &Scalars) -> Result<LiveSets, StorageError> {
    let released = read_pieces(trees, RELEASED_SET)?;
    Ok(LiveSets {
        closed: read_pieces(trees, CLOSED_SET)?,
        settled: Settled {
            released: Released::new(released, scalars.released_from),
            absorbed: read_pieces(trees, ABSORBED_SET)?,
        },
    })
}

pub(super) fn checkpoint_record(
    trees: &Trees,
    name: &str,
) -> Result<Option<CheckpointRecord>, StorageError> {
    get(&trees[TreeName::Checkpoints], name, "a checkpoint")
}

pub(super) fn snapshot_record(
    trees: &Trees,
    snapshot: u64,
) -> Result<Option<SnapshotRecord>, StorageError> {
    get(
        &trees[TreeName::Counts],
        counts_key(snapshot, 0),
        "the header of a counts snapshot",
    )
}

/// Reads a stored set and checks that it has no position after `head`.
pub(super) fn read_set(
    trees: &Trees,
    set: &SetRecord,
    head: Position,
) -> Result<PositionSet, StorageError> {
    let ranges = match set {
        SetRecord::Ranges(ranges) => ranges,
        SetRecord::Pieces(number) => {
            let set = read_pieces(trees, *number)?;
            check_within(&set, head)?;
            return Ok(set);
        }
    };
    check_ranges(ranges, head)?;
    let mut set = PositionSet::default();
    for &(first, last) in ranges {
        set.insert_range(PositionRange { first, last });
    }
    Ok(set)
}

/// Checks that stored ranges are in growing order and end at or before `head`.
fn check_ranges(ranges: &[(Position, Position)], head: Position) -> Result<(), StorageError> {
    let mut after = Position::NONE;
    for &(first, last) in ranges {
        if !(after < first && first <= last && last <= head) {
            let expected = format!("growing ranges up to {head}");
            let found = format!("{first} to {last}");
            return Err(StorageError::damaged(
                "a stored position set",
                expected,
                found,
            ));
        }
        after = last;
    }
    Ok(())
}

pub(super) fn parse_piece_key(key: &[u8]) -> Result<PieceKey, StorageError> {
    let found = || format!("{} bytes", key.len());
    let parsed = PieceKey::parse(key);
    parsed.ok_or_else(|| StorageError::damaged("a key of the tree sets", "16 bytes", found()))
}

fn read_pieces(trees: &Trees, set: u64) -> Result<PositionSet, StorageError> {
    let mut pieces = Vec::new();
    for stored in trees[TreeName::Sets].with_prefix(set) {
        let (key, bytes) = stored?;
        let piece_key = parse_piece_key(&key)?;
        pieces.push((piece_key.piece, set_piece::decode(piece_key, &bytes)?));
    }
    Ok(PositionSet::from_pieces(pieces))
}

pub(super) fn decode_block((key, bytes): &KeyValue) -> Result<Block, StorageError> {
    let first = parse_number("a key of the journal", key)?;
    Block::open(Position(first), bytes)
}

/// Reads a key that is a big-endian number.
pub(super) fn parse_number(what: &str, key: &[u8]) -> Result<u64, StorageError> {
    let found = || format!("{} bytes", key.len());
    let number = key.try_into().map(u64::from_be_bytes);
    number.map_err(|_| StorageError::damaged(what, "8 bytes", found()))
}

/// Returns the block if it begins at `first` and has the checksum of the block before it, if that
/// is known.
pub(super) fn follows(
    block: Block,
    first: Position,
    previous: Option<u64>,
) -> Result<Block, StorageError> {
    if block.first != first {
        return Err(gap(first));
    }
    match previous {
        Some(found) if found != block.previous_checksum => {
            let what = format!("the journal before position {first}");
            fits(&what, block.previous_checksum, found).map(|()| block)
        }
        _ => Ok(block),
    }
}

pub(super) fn gap(position: Position) -> StorageError {
    StorageError::damaged(
        "the journal",
        format!("an event at position {position}"),
        "none",
    )
}
