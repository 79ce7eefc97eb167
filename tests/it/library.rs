//! The library without the program takes batches and gives durable replies and typed errors.

use crate::kit::scratch_dir;
use exactly_once::inspect::{InspectError, Record, Section, View};
use exactly_once::load;
use exactly_once::{
    Engine, Holder, MAX_EVENT_ID_BYTES, MAX_SOURCE_BYTES, OpenError, Options, Outcome, Refusal,
    Reply, Request, StorageError,
};
use std::path::Path;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

fn open(dir: &Path) -> Engine {
    Engine::open(dir, &Options::default()).expect("the directory can be opened")
}

fn submit(engine: &mut Engine, requests: &[Request<'_>]) -> Vec<Result<Reply, Refusal>> {
    engine
        .submit(requests, SystemTime::now())
        .expect("the storage works")
}

fn process<'a>(event_id: &'a str, word: &'a str) -> Request<'a> {
    Request::Process { event_id, word }
}

fn checkpoint(checkpoint_id: &str) -> Request<'_> {
    Request::Checkpoint { checkpoint_id }
}

fn restore(checkpoint_id: &str) -> Request<'_> {
    Request::Restore { checkpoint_id }
}

fn advance(source: &str) -> Request<'_> {
    Request::Advance {
        source: source.as_bytes(),
    }
}

fn accepted(count: u64) -> Result<Reply, Refusal> {
    Ok(Reply::Processed {
        count,
        outcome: Outcome::Accepted,
    })
}

fn duplicate(count: u64) -> Result<Reply, Refusal> {
    Ok(Reply::Processed {
        count,
        outcome: Outcome::Duplicate,
    })
}

#[test]
fn one_batch_may_hold_every_kind_of_request() {
    let dir = scratch_dir();
    let mut engine = open(dir.path());
    let answers = submit(
        &mut engine,
        &[
            process("e1", "a"),
            checkpoint("c"),
            process("e2", "a"),
            process("e2", "b"),
            Request::Rollback,
            restore("c"),
            Request::Commit,
            restore("nowhere"),
        ],
    );
    let conflict = Outcome::Conflict {
        original_word: "a".into(),
    };
    let unknown = Refusal::UnknownCheckpoint {
        checkpoint_id: "nowhere".to_owned(),
    };
    assert_eq!(
        answers[..3],
        [accepted(1), Ok(Reply::CheckpointSaved), accepted(2)]
    );
    assert_eq!(
        answers[3],
        Ok(Reply::Processed {
            count: 0,
            outcome: conflict
        })
    );
    assert_eq!(answers[4], Ok(Reply::RolledBack { discarded_count: 2 }));
    assert!(matches!(&answers[5], Ok(Reply::Restored { counts }) if counts.len() == 1));
    assert_eq!(
        answers[6..],
        [Ok(Reply::Committed { output_count: 1 }), Err(unknown)]
    );
}

#[test]
fn an_engine_that_is_dropped_or_closed_can_be_opened_again_at_once() {
    let dir = scratch_dir();
    for round in 0..5_u64 {
        let mut engine = open(dir.path());
        let id = format!("e{round}");
        assert_eq!(
            submit(&mut engine, &[process(&id, "w")]),
            [accepted(round + 1)]
        );
        if round % 2 == 0 {
            engine.close().expect("the storage works");
        }
    }
    let mut engine = open(dir.path());
    assert_eq!(submit(&mut engine, &[process("e0", "w")]), [duplicate(5)]);
}

#[test]
fn a_second_engine_on_the_same_directory_is_refused_by_name() {
    let dir = scratch_dir();
    let mut first = open(dir.path());
    let second = Engine::open(dir.path(), &Options::default());
    let pid = std::process::id();
    assert!(matches!(
        second,
        Err(OpenError::HeldByWriter { holder: Holder::Here(holder), .. }) if holder == pid
    ));
    assert_eq!(submit(&mut first, &[process("e1", "w")]), [accepted(1)]);
}

#[test]
fn members_that_are_empty_or_too_long_are_refused_by_name_and_change_nothing() {
    let dir = scratch_dir();
    let mut engine = open(dir.path());
    let long = "x".repeat(MAX_SOURCE_BYTES + 1);
    let too_long = |member, max_bytes| {
        Err(Refusal::TooLong {
            member,
            bytes: long.len(),
            max_bytes,
        })
    };
    let answers = submit(
        &mut engine,
        &[
            process("", "w"),
            process(&long, "w"),
            advance(&long),
            process("e1", "w"),
        ],
    );
    assert!(matches!(
        answers[0],
        Err(Refusal::Empty {
            member: "event_id",
            ..
        })
    ));
    assert_eq!(answers[1], too_long("event_id", MAX_EVENT_ID_BYTES));
    assert_eq!(answers[2], too_long("source", MAX_SOURCE_BYTES));
    assert_eq!(answers[3], accepted(1));
}

#[test]
fn the_source_position_goes_with_the_state() {
    let dir = scratch_dir();
    let mut engine = open(dir.path());
    assert_eq!(engine.source().expect("it works").as_deref(), None);
    submit(
        &mut engine,
        &[
            process("e1", "w"),
            advance("1"),
            checkpoint("c"),
            Request::Commit,
        ],
    );
    submit(&mut engine, &[process("e2", "w"), advance("2")]);
    assert_eq!(
        engine.source().expect("it works").as_deref(),
        Some(&b"2"[..])
    );

    // A rollback goes back to the position of the last commit: the dropped event comes again.
    submit(&mut engine, &[Request::Rollback]);
    assert_eq!(
        engine.source().expect("it works").as_deref(),
        Some(&b"1"[..])
    );

    submit(
        &mut engine,
        &[process("e2", "w"), advance("2"), Request::Commit],
    );
    submit(
        &mut engine,
        &[advance("3"), checkpoint("later"), restore("c")],
    );
    assert_eq!(
        engine.source().expect("it works").as_deref(),
        Some(&b"1"[..])
    );
    drop(engine);

    let mut engine = open(dir.path());
    assert_eq!(
        engine.source().expect("it works").as_deref(),
        Some(&b"1"[..])
    );
    submit(&mut engine, &[restore("later")]);
    assert_eq!(
        engine.source().expect("it works").as_deref(),
        Some(&b"3"[..])
    );
    submit(&mut engine, &[Request::Rollback]);
    assert_eq!(
        engine.source().expect("it works").as_deref(),
        Some(&b"2"[..])
    );
}

#[test]
fn times_come_from_the_caller_and_are_only_shown() {
    let dir = scratch_dir();
    let mut engine = open(dir.path());
    let time = UNIX_EPOCH + Duration::from_secs(7);
    engine
        .submit(&[checkpoint("c")], time)
        .expect("the storage works");
    engine.close().expect("the storage works");
    let view = View::open(dir.path()).expect("there is a state");
    let mut times = Vec::new();
    let read = view.records(Section::Checkpoints, true, |record| {
        if let Record::Checkpoint(checkpoint) = record {
            times.push(checkpoint.created_at_ms);
        }
        Ok::<(), StorageError>(())
    });
    read.expect("the storage works");
    assert_eq!(times, [Some(7_000)]);
}

#[test]
fn a_floor_of_free_space_refuses_everything_until_there_is_room() {
    let dir = scratch_dir();
    let mut full = Options::default();
    full.min_free_bytes = u64::MAX;
    let mut engine = Engine::open(dir.path(), &full).expect("opening is not refused");
    let requests = [
        process("e1", "w"),
        checkpoint("c"),
        Request::Commit,
        advance("1"),
    ];
    let answers = submit(&mut engine, &requests);
    assert!(
        answers
            .iter()
            .all(|answer| matches!(answer, Err(Refusal::LowDisk { .. })))
    );
    drop(engine);
    let mut engine = open(dir.path());
    assert_eq!(submit(&mut engine, &[process("e1", "w")]), [accepted(1)]);
    assert_eq!(engine.source().expect("it works").as_deref(), None);
}

#[test]
fn nothing_that_is_stored_becomes_a_blob_however_long_it_is() {
    let dir = scratch_dir();
    let mut options = Options::default();
    options.snapshot_interval_events = 500;
    let mut engine = Engine::open(dir.path(), &options).expect("the directory can be opened");
    let source = "s".repeat(MAX_SOURCE_BYTES);
    for round in 0..40 {
        let texts: Vec<(String, String, String)> = (0..100)
            .map(|n| {
                let number = round * 100 + n;
                (
                    format!("{number:0>512}"),
                    format!("{number:0>1024}"),
                    format!("{number:0>256}"),
                )
            })
            .collect();
        for (id, word, name) in &texts {
            let requests = [process(id, word), advance(&source), checkpoint(name)];
            submit(
                &mut engine,
                &requests[..if id.ends_with('0') { 3 } else { 2 }],
            );
        }
        submit(&mut engine, &[Request::Commit]);
    }
    engine.close().expect("the storage works");
    let blobs = std::fs::read_dir(dir.path().join("blobs")).expect("sled made it");
    assert_eq!(blobs.count(), 0);
}

#[test]
fn an_open_engine_says_what_is_durable_and_its_views_stay_as_they_are() {
    let dir = scratch_dir();
    let mut engine = open(dir.path());
    assert_eq!(engine.count("a").expect("it works"), 0);
    assert!(!engine.contains("e1").expect("it can be read"));
    submit(
        &mut engine,
        &[
            process("e1", "a"),
            process("e2", "a"),
            checkpoint("c"),
            process("e3", "b"),
            advance("3"),
            Request::Commit,
        ],
    );
    let before = engine.view().expect("it can be read");
    submit(&mut engine, &[restore("c"), process("e4", "a")]);
    assert_eq!(
        (
            engine.count("a").expect("it works"),
            engine.count("b").expect("it works")
        ),
        (3, 0)
    );
    for (id, is_there) in [("e1", true), ("e2", true), ("e3", false), ("e4", true)] {
        assert_eq!(
            engine.contains(id).expect("it can be read"),
            is_there,
            "{id}"
        );
    }
    let counted = |view: &View| {
        let counts = view.counts().expect("they can be read").into_iter();
        counts
            .map(|c| (c.word.to_string(), c.count))
            .collect::<Vec<_>>()
    };
    let after = engine.view().expect("it can be read");
    let shown = thread::spawn(move || (counted(&before), counted(&after), before, after));
    let (old, new, before, after) = shown.join().expect("a view can be sent");
    assert_eq!(old, [("a".to_owned(), 2), ("b".to_owned(), 1)]);
    assert_eq!(new, [("a".to_owned(), 3)]);
    let mut outputs = Vec::new();
    let read = before.outputs::<InspectError>(1, 10, |output| {
        outputs.push((output.offset, output.event_id.to_owned()));
        Ok(())
    });
    read.expect("they can be read");
    assert_eq!(outputs, [(1, "e2".to_owned()), (2, "e3".to_owned())]);
    assert_eq!(after.stats().expect("it can be read").switches, 1);
    // A dump of an open directory can be loaded.
    let mut dump = Vec::new();
    after.dump(&mut dump).expect("it can be read");
    let copy = dir.path().with_extension("copy");
    let loaded = load::load(&copy, &dump[..], &Options::default()).expect("it is whole");
    assert_eq!((loaded.positions, loaded.outputs), (4, 3));
    std::fs::remove_dir_all(copy).expect("it is there");
}

/// In an earlier version an `Advance` alone made its position final although a restore had brought
/// back a pending output. The rollback after it then lost the event.
#[test]
fn with_autocommit_a_source_position_is_not_committed_past_what_is_pending() {
    let dir = scratch_dir();
    let mut engine = open(dir.path());
    let before = [
        process("e1", "a"),
        advance("1"),
        checkpoint("c"),
        Request::Rollback,
    ];
    submit(&mut engine, &before);
    engine.close().expect("the storage works");
    let mut options = Options::default();
    options.autocommit = true;
    let mut engine = Engine::open(dir.path(), &options).expect("it can be opened");
    let source = |engine: &Engine| engine.source().expect("it works");
    submit(
        &mut engine,
        &[restore("c"), advance("2"), Request::Rollback],
    );
    assert!(!engine.contains("e1").expect("it can be read"));
    assert_eq!(source(&engine), None, "e1 has to be read again");
    // An event makes the position before it final.
    submit(
        &mut engine,
        &[restore("c"), process("e2", "a"), Request::Rollback],
    );
    assert_eq!(source(&engine).as_deref(), Some(&b"1"[..]));
    assert_eq!(engine.count("a").expect("it works"), 2);
}
