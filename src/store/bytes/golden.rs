//! Compares the bytes on disk with a golden file: a change of these bytes needs a new format.

use std::fmt::Write;

use crate::state::counts::{WordCount, word_hash};
use crate::state::position::Position;
use crate::state::position_set::{PositionRange, PositionSet};
use crate::store::bytes::block::{Groups, OpenBlock, Stamp};
use crate::store::bytes::counts::encode_counts;
use crate::store::bytes::entry::{Entry, EventId};
use crate::store::bytes::fingerprint::Fingerprint;
use crate::store::bytes::record::{
    self, CheckpointRecord, Digests, FormatRecord, HeadRecord, JournalSize, RunRecord, Scalars,
    SetRecord, SnapshotRecord, SwitchRecord, TreeDigest,
};
use crate::store::bytes::release_pack::{ReleasePack, StoredRelease};
use crate::store::bytes::run::RunNumber;
use crate::store::bytes::run::encode_run;
use crate::store::bytes::set_piece::{self, PieceKey};
use crate::store::directory::watermark::Mark;
use crate::store::release::Commit;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn journal_block() -> Vec<u8> {
    let mut block = OpenBlock::new(Position(300), 0x1234_5678);
    let stamp = Stamp {
        groups: Groups { group: 5, base: 4 },
        counts_digest: 0x9abc_def0,
    };
    for (id, word, count) in [
        ("e1", "hello", 1),
        ("123e4567-e89b-42d3-a456-426614174000", "wörld", 300),
        ("123E4567-E89B-42D3-A456-426614174000", "upper", u64::MAX),
        ("e2", "wörld", 301),
    ] {
        let event_id = EventId::new(id);
        let entry = Entry {
            event_id,
            word,
            count,
        };
        block.push(&entry, word_hash(word), stamp);
    }
    block.seal().bytes.to_vec()
}

fn pieces() -> Vec<(&'static str, Vec<u8>)> {
    let range = |first, last| PositionRange {
        first: Position(first),
        last: Position(last),
    };
    let every_other = (0..2_000).map(|n| range(n * 2, n * 2));
    let sets = [
        ("full piece", PositionSet::from_ranges([range(0, 40_000)])),
        (
            "ranges piece",
            PositionSet::from_ranges([range(1, 3), range(200, 30_000)]),
        ),
        ("bitmap piece", PositionSet::from_ranges(every_other)),
    ];
    let encoded = sets.into_iter().map(|(name, set)| {
        let key = PieceKey { set: 16, piece: 0 };
        let (_, piece) = set.pieces().next().expect("it is not empty");
        (
            name,
            set_piece::encode(key, piece).expect("it is not empty"),
        )
    });
    encoded.collect()
}

fn release_pack() -> Vec<u8> {
    let commit = |number, position, committed_at_ms| Commit {
        number,
        position: Position(position),
        committed_at_ms,
    };
    let ranges = |ranges: &[(u64, u64)]| {
        let ranges = ranges.iter();
        SetRecord::Ranges(ranges.map(|&(a, b)| (Position(a), Position(b))).collect())
    };
    let mut pack = ReleasePack::new(300, 2);
    for (commit, outputs, last, released) in [
        (
            Some(commit(3, 9, 1_700_000_000_001)),
            1,
            9,
            ranges(&[(9, 9)]),
        ),
        (
            Some(commit(4, 900, 1_700_000_000_000)),
            5,
            6,
            ranges(&[(1, 2), (4, 6)]),
        ),
        (
            Some(commit(5, 70_000, 1_700_000_000_300)),
            40_000,
            70_000,
            SetRecord::Pieces(17),
        ),
        (None, 2, 70_002, ranges(&[(70_001, 70_002)])),
    ] {
        let (first_output, last) = (pack.end(), Position(last));
        pack.push(&StoredRelease {
            commit,
            first_output,
            outputs,
            last,
            released,
        });
    }
    pack.bytes()
}

fn head_record() -> HeadRecord {
    let scalars = Scalars {
        position: Position(9),
        open_from: Position(4),
        last_commit: 2,
        last_committed_at_ms: 1_700_000_000_001,
        outputs: 7,
        autocommit: true,
        released_from: Some(Position(8)),
        source: Some(b"offset 9".to_vec()),
        committed_source: None,
        counts_digest: 77,
        switches: 1,
    };
    let digests = Digests {
        journal: 78,
        releases: TreeDigest {
            entries: 2,
            sum: 79,
            bytes: 80,
        },
        ..Digests::default()
    };
    HeadRecord {
        group: 5,
        next_set: 18,
        scalars,
        digests,
        journal: JournalSize {
            blocks: 1,
            bytes: 81,
            last: Position(5),
            last_bytes: 82,
        },
    }
}

fn records() -> Vec<(&'static str, Vec<u8>)> {
    let ranges = SetRecord::Ranges(vec![(Position(1), Position(3)), (Position(5), Position(9))]);
    let checkpoint = CheckpointRecord {
        timeline: ranges.clone(),
        events: 8,
        position: Position(9),
        outputs: 7,
        source: None,
        committed_source: Some(b"offset 3".to_vec()),
        created_at_ms: 1_700_000_000_000,
    };
    let made = SwitchRecord {
        checkpoint_id: Some("before".to_owned()),
        position: Position(9),
        reached: Position(3),
        events_left: 6,
        events_back: 1,
        last_commit: 2,
        made_at_ms: 1_700_000_000_002,
    };
    let snapshot = SnapshotRecord {
        timeline: ranges,
        position: Position(9),
        blocks: 2,
        words: 100,
        digest: u64::MAX - 1,
    };
    let run = RunRecord {
        first: Position(10),
        last: Position(19),
        first_fingerprint: 1 << 37,
        blocks: 2,
        digest: 3,
    };
    vec![
        (
            "format record",
            record::encode(&FormatRecord {
                format: 5,
                seed: 42,
                fingerprint_bits: 38,
            }),
        ),
        ("head record", record::encode(&head_record())),
        ("checkpoint record", record::encode(&checkpoint)),
        ("move record", record::encode(&made)),
        ("snapshot record", record::encode(&snapshot)),
        ("run record", record::encode(&run)),
    ]
}

#[test]
fn the_bytes_on_disk_are_those_of_the_golden_file() {
    let counts = ["a", "b"].map(|word| WordCount {
        word: word.into(),
        count: 300,
    });
    let mut samples = vec![("journal block", journal_block())];
    samples.extend(pieces());
    let entries = [
        (Fingerprint(5), Position(102)),
        (Fingerprint(5), Position(103)),
        (Fingerprint(1 << 30), Position(101)),
    ];
    let run = encode_run(RunNumber(3), Position(101), entries);
    samples.push(("run block", run[0].bytes.clone()));
    samples.push(("counts block", encode_counts(3, &counts)[0].bytes.clone()));
    samples.extend(records());
    samples.push(("release pack", release_pack()));
    let mark = Mark {
        database: 42,
        group: 5,
        position: Position(9),
    };
    samples.push(("watermark slot", mark.bytes().to_vec()));
    let mut found = String::new();
    for (name, bytes) in samples {
        writeln!(found, "{name}: {}", hex(&bytes)).expect("a string takes any text");
    }
    let golden = include_str!("../../../data/golden/disk.txt");
    assert_eq!(
        found, golden,
        "a change of these bytes is a change of the format"
    );
}
