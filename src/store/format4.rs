//! Reads a database of format 4 by upgrading its copy to format 5 before anything else reads it.
//!
//! So such a directory can be shown, and `dump | load` converts it. Nothing writes format 4.
//! Version 0.4 may drop this module and what serves it: the second format that
//! `sentinel` knows, and the member `last_commit` of a checkpoint in a dump.

use serde::{Deserialize, Serialize};

use crate::error::StorageError;
use crate::state::position::Position;
use crate::store::bytes::record::{
    self, CheckpointRecord, Digests, FormatRecord, HeadRecord, JournalSize, RunRecord, Scalars,
    SetRecord, SnapshotRecord, SwitchRecord, TreeDigest,
};
use crate::store::bytes::release_pack::{ReleasePack, StoredRelease};
use crate::store::bytes::tree_name::TreeName;
use crate::store::bytes::{FORMAT, FORMAT_4};
use crate::store::database::failed;
use crate::store::database::trees::Trees;
use crate::store::database::view::KeyValue;
use crate::store::decode::{check_digest, fits, parse_number, read_set};
use crate::store::release::Commit;

const READING: &str = "reading a database of format 4";

/// The name of a tree that format 5 does not have.
const COMMITS: &str = "commits";

#[derive(Debug, Deserialize, Serialize)]
struct Scalars4 {
    position: Position,
    open_from: Position,
    last_commit: u64,
    outputs: u64,
    source: Option<Vec<u8>>,
    committed_source: Option<Vec<u8>>,
    counts_digest: u64,
    switches: u64,
}

#[derive(Debug, Deserialize, Serialize)]
struct Digests4 {
    journal: u64,
    sets: TreeDigest,
    counts: TreeDigest,
    checkpoints: TreeDigest,
    commits: TreeDigest,
    index: TreeDigest,
    switches: TreeDigest,
}

#[derive(Debug, Deserialize, Serialize)]
struct HeadRecord4 {
    group: u64,
    next_set: u64,
    scalars: Scalars4,
    digests: Digests4,
    journal: JournalSize,
}

#[derive(Debug, Deserialize, Serialize)]
struct CheckpointRecord4 {
    timeline: SetRecord,
    events: u64,
    position: Position,
    last_commit: u64,
    source: Option<Vec<u8>>,
    committed_source: Option<Vec<u8>>,
    created_at_ms: u64,
}

#[derive(Debug, Deserialize, Serialize)]
struct CommitRecord4 {
    first_output: u64,
    released: SetRecord,
    position: Position,
    committed_at_ms: u64,
}

/// New entries of a tree, as pairs of key and value.
type Entries = Vec<(Vec<u8>, Vec<u8>)>;

/// Upgrades a copy of a database from format 4 to format 5.
///
/// # Errors
///
/// [`StorageError`] if the copy cannot be read or is damaged.
pub(super) fn upgrade(trees: &Trees) -> Result<(), StorageError> {
    let head: HeadRecord4 = meta_record(trees, "head")?;
    let format: FormatRecord = meta_record(trees, "format")?;
    check_digests(trees, &head.digests)?;
    let log = Log::read(trees, &head)?;
    let last_committed_at_ms = log.last_committed_at_ms;
    let digests = write_again(trees, &head.digests, log)?;
    let head = head_again(head, last_committed_at_ms, digests);
    let format = FormatRecord {
        format: FORMAT,
        ..format
    };
    let meta = vec![
        (b"head".to_vec(), record::encode(&head)),
        (b"format".to_vec(), record::encode(&format)),
    ];
    insert(trees, TreeName::Meta, meta)
}

fn meta_record<T: for<'a> Deserialize<'a>>(trees: &Trees, key: &str) -> Result<T, StorageError> {
    let what = format!("the record of the {key}");
    match trees[TreeName::Meta].get(key)? {
        Some(bytes) => record::decode_of(FORMAT_4 as u8, &bytes, &what),
        None => Err(StorageError::damaged(what, "a record", "nothing")),
    }
}

fn check_digests(trees: &Trees, digests: &Digests4) -> Result<(), StorageError> {
    for (name, digest) in [
        (TreeName::Sets, &digests.sets),
        (TreeName::Counts, &digests.counts),
        (TreeName::Checkpoints, &digests.checkpoints),
        (TreeName::Index, &digests.index),
        (TreeName::Switches, &digests.switches),
    ] {
        check_digest(&trees[name], digest)?;
    }
    Ok(())
}

/// Writes every record that differs in format 5, and returns the new digests.
fn write_again(trees: &Trees, digests: &Digests4, log: Log) -> Result<Digests, StorageError> {
    let checkpoints = checkpoints(trees, &log)?;
    let switches = records_again::<SwitchRecord>(trees, TreeName::Switches, |_| true)?;
    let runs = records_again::<RunRecord>(trees, TreeName::Index, |key| key.len() == 4)?;
    let is_header = |key: &[u8]| key.ends_with(&[0; 4]);
    let snapshots = records_again::<SnapshotRecord>(trees, TreeName::Counts, is_header)?;
    let mut new = Digests {
        journal: digests.journal,
        sets: digests.sets,
        ..Digests::default()
    };
    for (name, entries, digest) in [
        (TreeName::Checkpoints, checkpoints, &mut new.checkpoints),
        (TreeName::Switches, switches, &mut new.switches),
        (TreeName::Index, runs, &mut new.index),
        (TreeName::Counts, snapshots, &mut new.counts),
        (TreeName::Releases, log.packs, &mut new.releases),
    ] {
        insert(trees, name, entries)?;
        for entry in trees[name].iter() {
            let (key, value) = entry?;
            digest.add(&key, &value);
        }
    }
    Ok(new)
}

fn head_again(head: HeadRecord4, last_committed_at_ms: u64, digests: Digests) -> HeadRecord {
    let scalars = head.scalars;
    HeadRecord {
        group: head.group,
        next_set: head.next_set,
        scalars: Scalars {
            position: scalars.position,
            open_from: scalars.open_from,
            last_commit: scalars.last_commit,
            last_committed_at_ms,
            outputs: scalars.outputs,
            autocommit: false,
            released_from: None,
            source: scalars.source,
            committed_source: scalars.committed_source,
            counts_digest: scalars.counts_digest,
            switches: scalars.switches,
        },
        digests,
        journal: head.journal,
    }
}

/// The output log, which in format 4 had one entry for each commit.
#[derive(Default)]
struct Log {
    packs: Entries,
    /// The offset after the last output of each commit.
    ends: Vec<u64>,
    last_committed_at_ms: u64,
}

impl Log {
    fn read(trees: &Trees, head: &HeadRecord4) -> Result<Self, StorageError> {
        let entries: Vec<KeyValue> = trees.database.call(READING, |open| {
            let commits = open.db.open_tree(COMMITS).map_err(failed(READING))?;
            let entries = commits.iter().collect::<sled::Result<_>>();
            entries.map_err(failed(READING))
        })?;
        let mut digest = TreeDigest::default();
        let mut log = Self::default();
        let mut pack = ReleasePack::new(0, 0);
        for ((key, bytes), number) in entries.iter().zip(1..) {
            digest.add(key, bytes);
            let found = parse_number("a commit's key", key)?;
            fits("the number of a commit", number, found)?;
            let what = format!("commit {number}");
            let record: CommitRecord4 = record::decode_of(FORMAT_4 as u8, bytes, &what)?;
            let released = read_set(trees, &record.released, record.position)?;
            fits("the offset of a commit", pack.end(), record.first_output)?;
            if let Some(full) = pack.begin_next_if_full() {
                log.packs.push((full.key().to_vec(), full.bytes()));
            }
            pack.push(&StoredRelease {
                commit: Some(Commit {
                    number,
                    position: record.position,
                    committed_at_ms: record.committed_at_ms,
                }),
                first_output: record.first_output,
                outputs: released.len(),
                last: released.last().unwrap_or(Position::NONE),
                released: record.released,
            });
            log.ends.push(pack.end());
            log.last_committed_at_ms = record.committed_at_ms;
        }
        fits(
            "the digest of the commits",
            head.digests.commits.sum,
            digest.sum,
        )?;
        if !log.ends.is_empty() {
            log.packs.push((pack.key().to_vec(), pack.bytes()));
        }
        Ok(log)
    }

    /// Returns the number of outputs released by this commit and those before it.
    fn outputs_at(&self, commit: u64) -> Result<u64, StorageError> {
        let Some(index) = commit.checked_sub(1) else {
            return Ok(0);
        };
        let end = self.ends.get(index as usize).copied();
        end.ok_or_else(|| {
            let expected = format!("one of {} commits", self.ends.len());
            StorageError::damaged(
                "the last commit of a checkpoint",
                expected,
                commit.to_string(),
            )
        })
    }
}

fn checkpoints(trees: &Trees, log: &Log) -> Result<Entries, StorageError> {
    let entries = trees[TreeName::Checkpoints].iter().map(|entry| {
        let (key, bytes) = entry?;
        let old: CheckpointRecord4 = record::decode_of(FORMAT_4 as u8, &bytes, "a checkpoint")?;
        let new = CheckpointRecord {
            timeline: old.timeline,
            events: old.events,
            position: old.position,
            outputs: log.outputs_at(old.last_commit)?,
            source: old.source,
            committed_source: old.committed_source,
            created_at_ms: old.created_at_ms,
        };
        Ok((key.to_vec(), record::encode(&new)))
    });
    entries.collect()
}

/// Encodes again the records of a tree whose members are the same in both formats.
fn records_again<T: Serialize + for<'a> Deserialize<'a>>(
    trees: &Trees,
    name: TreeName,
    is_record: impl Fn(&[u8]) -> bool,
) -> Result<Entries, StorageError> {
    let mut entries = Entries::new();
    for entry in trees[name].iter() {
        let (key, bytes) = entry?;
        if is_record(&key) {
            let record: T = record::decode_of(FORMAT_4 as u8, &bytes, name.name())?;
            entries.push((key.to_vec(), record::encode(&record)));
        }
    }
    Ok(entries)
}

fn insert(trees: &Trees, name: TreeName, entries: Entries) -> Result<(), StorageError> {
    let tree = &trees[name];
    let insert = |(key, value): (Vec<u8>, Vec<u8>)| tree.insert(READING, key, &value);
    entries.into_iter().try_for_each(insert)
}
