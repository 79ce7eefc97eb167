//! Many threads share an engine: each call is answered once it is durable, and counted once.

use crate::kit::{PATIENCE, Process, program, run_on, scratch_dir, stats_of};
use crate::sync_before_reply::sync_gate::Bench;
use exactly_once::node::{ControlSocket, Monitor};
use exactly_once::{
    Engine, Handle, Options, Outcome, Pending, Processed, Refusal, Reply, Request, StorageError,
    View,
};
use std::future::Future;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

const THREADS: usize = 64;

fn share(dir: &Path) -> Handle {
    let engine = Engine::open(dir, &Options::default()).expect("the directory can be opened");
    engine.share().expect("there is room for a thread")
}

fn processed(pending: Pending<Result<Processed, Refusal>>) -> (u64, Outcome) {
    let answer = pending.wait().expect("the storage works");
    let processed = answer.expect("the disk has room");
    (processed.count, processed.outcome)
}

fn count(handle: &Handle, word: &str) -> u64 {
    handle.count(word).wait().expect("the storage works")
}

fn contains(handle: &Handle, event_id: &str) -> bool {
    handle.contains(event_id).wait().expect("the storage works")
}

fn checkpoint(checkpoint_id: &str) -> Request<'_> {
    Request::Checkpoint { checkpoint_id }
}

fn restore(checkpoint_id: &str) -> Request<'_> {
    Request::Restore { checkpoint_id }
}

#[test]
fn a_call_is_answered_and_the_last_handle_closes_the_directory() {
    let dir = scratch_dir();
    for round in 0..5_u64 {
        let handle = share(dir.path());
        let other = handle.clone();
        let id = format!("e{round}");
        let (seen, outcome) = processed(handle.process(&id, "w"));
        assert_eq!((seen, outcome), (round + 1, Outcome::Accepted));
        drop(handle);
        let (seen, outcome) = processed(other.process(&id, "w"));
        assert_eq!((seen, outcome), (round + 1, Outcome::Duplicate));
        if round % 2 == 0 {
            other.close().expect("the storage works");
        }
    }
    // No other process has to clean up.
    let view = View::open(dir.path()).expect("there is a state");
    assert_eq!(view.stats().expect("it can be read").events, 5);
}

#[test]
fn events_of_many_threads_are_counted_once_and_each_caller_sees_its_own_in_order() {
    const EVENTS: usize = 150;
    let dir = scratch_dir();
    let handle = share(dir.path());
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let handle = handle.clone();
            scope.spawn(move || {
                let own = format!("w{thread}");
                for event in 0..EVENTS {
                    // All threads send every second event, so 63 times too often.
                    let (_, outcome) = processed(handle.process(&format!("all-{event}"), "all"));
                    assert_ne!(
                        outcome,
                        Outcome::Conflict {
                            original_word: "all".into()
                        }
                    );
                    let id = format!("own-{thread}-{event}");
                    assert!(!contains(&handle, &id));
                    let pending = handle.process(&id, &own);
                    // Earlier calls are seen, even if their results were not read yet.
                    assert_eq!(count(&handle, &own), event as u64 + 1);
                    assert!(contains(&handle, &id));
                    assert_eq!(processed(pending), (event as u64 + 1, Outcome::Accepted));
                }
            });
        }
    });
    assert_eq!(count(&handle, "all"), EVENTS as u64);
    handle.close().expect("the storage works");
    let view = View::open(dir.path()).expect("there is a state");
    let counts = view.counts().expect("they can be read");
    assert_eq!(counts.len(), THREADS + 1);
    assert!(counts.iter().all(|count| count.count == EVENTS as u64));
}

#[test]
fn requests_of_one_call_have_none_of_another_between_them_even_where_they_wait_for_the_disk() {
    const ROUNDS: usize = 60;
    let dir = scratch_dir();
    let handle = share(dir.path());
    thread::scope(|scope| {
        for thread in 0..8 {
            let handle = handle.clone();
            scope.spawn(move || {
                let (name, word) = (format!("c{thread}"), format!("w{thread}"));
                for round in 0..ROUNDS {
                    let id = format!("{thread}-{round}");
                    // A restore waits until all before it is durable. It would drop an event of
                    // another caller that is applied meanwhile.
                    let requests = [
                        checkpoint(&name),
                        Request::Process {
                            event_id: &id,
                            word: &word,
                        },
                        restore(&name),
                        Request::Process {
                            event_id: &id,
                            word: &word,
                        },
                    ];
                    let answers = handle.submit(&requests).wait().expect("the storage works");
                    let accepted = Ok(Reply::Processed {
                        count: round as u64 + 1,
                        outcome: Outcome::Accepted,
                    });
                    assert_eq!(answers.len(), requests.len());
                    assert_eq!((&answers[1], &answers[3]), (&accepted, &accepted));
                }
            });
        }
    });
    let view = handle.view().wait().expect("it can be read");
    let stats = view.stats().expect("it can be read");
    assert_eq!(
        (stats.events, stats.pending),
        (8 * ROUNDS as u64, 8 * ROUNDS as u64)
    );
    assert_eq!(stats.checkpoints, 8);
}

#[test]
fn a_view_shows_one_moment_while_others_go_on() {
    let dir = scratch_dir();
    let handle = share(dir.path());
    let ids: Vec<String> = (0..300).map(|n| format!("e{n}")).collect();
    let first = ids.iter().map(|id| Request::Process {
        event_id: id,
        word: "a",
    });
    let pending = handle.submit(&first.collect::<Vec<_>>());
    let view = handle.view().wait().expect("it can be read");
    // The view was asked for after the events, so it has them.
    pending.wait().expect("the storage works");
    thread::scope(|scope| {
        let busy = handle.clone();
        scope.spawn(move || {
            for round in 0..200 {
                processed(busy.process(&format!("later-{round}"), "b"));
                if round % 10 == 0 {
                    let requests = [checkpoint("later"), Request::Commit];
                    busy.submit(&requests)
                        .wait()
                        .expect("the storage works")
                        .clear();
                }
            }
        });
        scope.spawn(move || {
            for _ in 0..20 {
                let counts = view.counts().expect("they can be read");
                assert_eq!(counts.len(), 1);
                assert_eq!((&*counts[0].word, counts[0].count), ("a", 300));
                assert!(view.event("e7").expect("it can be read").in_state);
                assert!(!view.event("later-1").expect("it can be read").in_state);
                assert_eq!(view.checkpoints().count(), 0);
                assert_eq!(view.stats().expect("it can be read").released, 0);
            }
        });
    });
    assert_eq!(count(&handle, "b"), 200);
}

#[test]
fn what_is_pending_can_be_awaited_and_what_is_dropped_is_carried_out() {
    let dir = scratch_dir();
    let handle = share(dir.path());
    let asynchronous = async {
        for n in 0..20 {
            let answer = handle.process(&format!("e{n}"), "w").await;
            assert!(answer.expect("the storage works").is_ok());
        }
        handle.count("w").await
    };
    assert_eq!(block_on(asynchronous).expect("the storage works"), 20);
    drop(handle.process("dropped", "w"));
    assert_eq!(count(&handle, "w"), 21);
    assert_eq!(handle.submit(&[]).wait().expect("the storage works"), []);
}

/// Runs a future on this thread.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park_timeout(Duration::from_secs(10)),
        }
    }
}

#[test]
fn after_a_failure_of_the_storage_every_call_opens_with_its_first_cause() {
    let dir = scratch_dir();
    let handle = share(dir.path());
    let (counted, _) = processed(handle.process("e1", "w"));
    assert_eq!(counted, 1);
    std::fs::remove_file(dir.path().join("db")).expect("it is there");
    let waiting: Vec<_> = (0..50)
        .map(|n| handle.process(&format!("lost-{n}"), "w"))
        .collect();
    let first = waiting
        .into_iter()
        .map(|pending| pending.wait().expect_err("it is gone"));
    let causes: Vec<_> = first.collect();
    assert!(
        matches!(&*causes[0], StorageError::Removed),
        "{:?}",
        causes[0]
    );
    let later = [
        handle.process("e1", "w").wait().err(),
        handle.submit(&[Request::Commit]).wait().err(),
        handle.count("w").wait().err(),
        handle.contains("e1").wait().err(),
        handle.view().wait().err(),
        handle.source().wait().err(),
        handle.clone().close().err(),
        handle.close().err(),
    ];
    for cause in causes.iter().chain(later.iter().flatten()) {
        assert!(Arc::ptr_eq(cause, &causes[0]), "{cause}");
    }
    assert!(later.iter().all(Option::is_some));
}

/// The program that sends events from many threads.
fn many_threads(dir: &Path, threads: usize, events: u64, timeout: u64) -> Command {
    let mut command = program("many_threads");
    let numbers = [threads.to_string(), events.to_string(), timeout.to_string()];
    command.arg(dir).args(numbers);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The lines of an output, without a last one that is cut off.
fn whole_lines(output: impl Read) -> impl Iterator<Item = String> {
    let mut output = BufReader::new(output);
    std::iter::from_fn(move || {
        let mut line = String::new();
        output.read_line(&mut line).expect("it is text");
        line.strip_suffix('\n').map(str::to_owned)
    })
}

/// Reads a line: a thread, its event, and the count in the reply.
fn acknowledged(line: &str) -> (u64, u64, u64) {
    let numbers = line.split(' ').map(|word| word.parse().expect("a number"));
    let numbers: Vec<u64> = numbers.collect();
    (numbers[0], numbers[1], numbers[2])
}

#[test]
fn what_sixty_four_threads_were_answered_is_there_after_a_kill_and_counted_once() {
    let home = scratch_dir();
    let dir = home.path().join("data");
    let mut answered = [0; THREADS];
    for kill in 1..=8_u64 {
        let mut command = many_threads(&dir, THREADS, u64::MAX >> 40, 60);
        let mut process = Process::start(&mut command);
        let output = process.stdout.take().expect("it is piped");
        let mut lines = whole_lines(output);
        for line in lines.by_ref().take(kill as usize * 300) {
            let (thread, event, count) = acknowledged(&line);
            assert_eq!(count, count.max(event + 1), "no count is lost: {line}");
            let last = &mut answered[thread as usize];
            *last = event.max(*last);
        }
        process.kill().expect("it is running");
        // The events that it wrote before the kill were answered too.
        for line in lines {
            let (thread, event, _) = acknowledged(&line);
            let last = &mut answered[thread as usize];
            *last = event.max(*last);
        }
        process.ended();
        let engine = Engine::open(&dir, &Options::default()).expect("it can be opened");
        for (thread, &last) in answered.iter().enumerate() {
            for event in 0..=last {
                let id = format!("{thread}-{event}");
                assert!(
                    engine.contains(&id).expect("it can be read"),
                    "{id} is lost"
                );
            }
            // Each thread has at most one more unanswered event; sent again, it counts once.
            let counted = engine.count(&format!("w{thread}")).expect("it works");
            assert!(
                (last + 1..=last + 2).contains(&counted),
                "{thread}: {counted}, {last}"
            );
        }
        engine.close().expect("the storage works");
    }
}

#[test]
fn a_storage_that_does_not_return_fails_every_call_and_the_program_goes_on() {
    let bench = Bench::new();
    let dir = bench.data_dir();
    let mut command = many_threads(&dir, 8, u64::MAX >> 40, 1);
    bench.watch(&mut command);
    let mut process = Process::start(&mut command);
    let output = process.stdout.take().expect("it is piped");
    let mut lines = BufReader::new(output).lines().map_while(Result::ok);
    lines.by_ref().take(100).for_each(drop);
    bench.close_gate();
    // The program ends by itself, although the stuck call never returns.
    let reading = thread::spawn(move || lines.count());
    process.ended();
    reading.join().expect("it reads to the end");
    let mut said = String::new();
    let mut stderr = process.stderr.take().expect("it is piped");
    stderr.read_to_string(&mut said).expect("it is text");
    assert!(
        said.contains("failed: the storage has been stuck for 1 s"),
        "{said}"
    );
    bench.open_gate();
    Engine::open(&dir, &Options::default()).expect("it can be opened");
}

#[test]
fn commands_ask_a_program_that_serves_the_control_socket_of_its_handle() {
    let home = scratch_dir();
    let dir = home.path().join("data");
    let handle = share(&dir);
    let monitor = Monitor::new(&handle);
    let socket = ControlSocket::bind(&dir).expect("the file system has sockets");
    let server = socket.serve(&handle, &monitor).expect("there is room");
    for n in 0..10 {
        processed(handle.process(&format!("e{n}"), "w"));
    }
    let stats = stats_of(&dir);
    assert_eq!(
        (&stats["events"], &stats["process"]["accepted"]),
        (&10.into(), &10.into())
    );
    run_on("checkpoints", &dir, &["save", "c"]).expect_quiet_success();
    let view = handle.view().wait().expect("it can be read");
    assert_eq!(view.checkpoints().count(), 1);
    drop(server);
    assert!(!dir.join("control.sock").exists());
    handle.close().expect("the storage works");
    View::open(&dir).expect("it is at rest");
}

#[test]
fn a_handle_that_closes_the_directory_closes_it_for_its_clones() {
    let dir = scratch_dir();
    let handle = share(dir.path());
    let clone = handle.clone();
    let pending = clone.process("e1", "w");
    handle.close().expect("the storage works");
    assert_eq!(processed(pending), (1, Outcome::Accepted));
    let late = clone.process("e2", "w").wait();
    assert!(matches!(
        &*late.expect_err("it is closed"),
        StorageError::Closed
    ));
    // The clone that is left does not lock the directory.
    let again = share(dir.path());
    assert_eq!(processed(again.process("e2", "w")), (2, Outcome::Accepted));
}

#[test]
fn a_source_position_is_refused_after_a_refused_event_and_told_by_a_handle() {
    let dir = scratch_dir();
    let handle = share(dir.path());
    let advance = |source: &'static [u8]| Request::Advance { source };
    let event = |event_id| Request::Process {
        event_id,
        word: "w",
    };
    let answers = handle.submit(&[event("e1"), advance(b"1"), event(""), advance(b"2")]);
    let answers = answers.wait().expect("the storage works");
    assert_eq!(answers[1], Ok(Reply::Advanced));
    assert_eq!(answers[3], Err(Refusal::AfterRefused));
    assert_eq!(
        handle.source().wait().expect("it works").as_deref(),
        Some(&b"1"[..])
    );
    let answers = handle
        .submit(&[advance(b"2")])
        .wait()
        .expect("the storage works");
    assert_eq!(answers, [Ok(Reply::Advanced)]);
    let view = handle.view().wait().expect("it can be read");
    assert_eq!(view.source(), Some(&b"2"[..]));
}

#[test]
fn a_call_by_a_thread_that_unwinds_costs_the_others_nothing() {
    struct AtTheEnd(Handle);
    impl Drop for AtTheEnd {
        fn drop(&mut self) {
            processed(self.0.process("while unwinding", "w"));
        }
    }
    let dir = scratch_dir();
    let handle = share(dir.path());
    let clone = handle.clone();
    let unwound = thread::spawn(move || {
        let _end = AtTheEnd(clone);
        std::panic::resume_unwind(Box::new("nothing is printed of this"));
    });
    assert!(unwound.join().is_err());
    assert_eq!(count(&handle, "w"), 1);
}

#[test]
fn duplicates_whose_answers_are_dropped_are_persisted_all_the_same() {
    let dir = scratch_dir();
    let handle = share(dir.path());
    processed(handle.process("e1", "w"));
    thread::scope(|scope| {
        for _ in 0..4 {
            let handle = handle.clone();
            scope.spawn(move || {
                for _ in 0..50_000 {
                    drop(handle.process("e1", "w"));
                }
            });
        }
        let started = Instant::now();
        for _ in 0..5 {
            assert_eq!(count(&handle, "w"), 1);
        }
        assert!(started.elapsed() < PATIENCE, "a call waited for all others");
    });
}
