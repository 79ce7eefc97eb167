//! The trace of a node's calls, and a check that every reply comes after its sync.

use std::fmt::{self, Display};

/// The meaning of one line of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Bytes go into the database file.
    Store(Stage),
    /// The database file is made durable.
    Sync(Stage),
    /// Replies are written.
    Answer(Stage),
    /// A call that promises nothing, such as `sync_file_range`.
    Other,
}

/// Tells a line before its call from one after it. Two lines prove the order of their calls only if
/// a `Return` comes before an `Enter`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Enter,
    Return(i64),
}

impl Step {
    /// Reads a line as the shim writes it.
    pub fn read(line: &str) -> Self {
        let words: Vec<_> = line.split(' ').collect();
        let [stage, call, file, number] = words[..] else {
            panic!("a line of the trace has four words: {line:?}");
        };
        let number = number.parse().expect("its last word is a number");
        let stage = match stage {
            "enter" => Stage::Enter,
            "return" => Stage::Return(number),
            _ => panic!("unknown in a trace: {line:?}"),
        };
        match (call, file) {
            ("pwrite" | "write", "db") => Self::Store(stage),
            ("fdatasync", "db") => Self::Sync(stage),
            ("write", "stdout") => Self::Answer(stage),
            _ => Self::Other,
        }
    }
}

/// A reply as it was read from the other end of the pipe.
#[derive(Clone, Copy, Debug)]
pub struct Reply {
    /// Its length with the newline.
    pub bytes: usize,
    /// True if the request changed the state.
    pub changes_state: bool,
}

/// The number of writes that were checked.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Calls that wrote replies.
    pub answers: usize,
    /// Those of them with a reply to a request that changed the state.
    pub changing_answers: usize,
}

/// The first line that breaks the rule.
#[derive(Debug, PartialEq, Eq)]
pub struct Broken {
    pub line: usize,
    pub why: &'static str,
}

impl Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} of the trace: {}", self.line, self.why)
    }
}

/// What is known at one line of the trace.
#[derive(Default)]
struct Checker {
    /// The number of stores that have begun, and of those that have returned.
    begun: usize,
    returned: usize,
    /// The number of stores that had returned when the sync in progress began.
    syncing: Option<usize>,
    /// The number of stores that are durable, now and when replies were last written.
    durable: usize,
    durable_at_last_answer: usize,
    checked: Checked,
}

/// Checks that every write of replies comes after a sync that began when every store so far had
/// returned. If a reply is to a request that changed the state, a store since the last write of
/// replies is among these.
pub fn check(steps: &[Step], replies: &[Reply]) -> Result<Checked, Broken> {
    let mut checker = Checker::default();
    let mut unsent = replies.iter().copied();
    let mut sending = 0;
    for (index, step) in steps.iter().enumerate() {
        let broken = |why| Broken {
            line: index + 1,
            why,
        };
        if let Step::Answer(Stage::Return(bytes)) = *step {
            let mut bytes = usize::try_from(bytes).map_err(|_| broken("no reply was written"))?;
            // A reply counts as sent with its first byte.
            let mut changes_state = false;
            while sending < bytes {
                let reply = unsent.next().ok_or(broken("an unread reply was written"))?;
                changes_state |= reply.changes_state;
                bytes -= sending;
                sending = reply.bytes;
            }
            sending -= bytes;
            checker.answer(changes_state).map_err(broken)?;
        } else {
            checker.step(*step).map_err(broken)?;
        }
    }
    if sending > 0 || unsent.next().is_some() {
        let line = steps.len();
        let why = "a reply was read that no line writes";
        return Err(Broken { line, why });
    }
    Ok(checker.checked)
}

impl Checker {
    fn step(&mut self, step: Step) -> Result<(), &'static str> {
        match step {
            Step::Store(Stage::Enter) => self.begun += 1,
            Step::Store(Stage::Return(_)) => self.returned += 1,
            Step::Sync(Stage::Enter) => {
                if self.syncing.replace(self.returned).is_some() {
                    return Err("two syncs at once, which cannot be told apart");
                }
            }
            Step::Sync(Stage::Return(result)) => {
                let covered = self.syncing.take().ok_or("a sync ends that never began")?;
                if result == 0 {
                    self.durable = covered;
                }
            }
            Step::Answer(Stage::Enter) if self.durable != self.begun => {
                return Err("replies are written before all that was stored is durable");
            }
            Step::Answer(_) | Step::Other => {}
        }
        Ok(())
    }

    fn answer(&mut self, changes_state: bool) -> Result<(), &'static str> {
        self.checked.answers += 1;
        if changes_state {
            self.checked.changing_answers += 1;
            if self.durable == self.durable_at_last_answer {
                return Err("a reply that changes the state has nothing durable of its own");
            }
        }
        self.durable_at_last_answer = self.durable;
        Ok(())
    }
}

fn checked(trace: &[&str], replies: &[(usize, bool)]) -> Result<Checked, Broken> {
    let steps: Vec<_> = trace.iter().map(|line| Step::read(line)).collect();
    let replies = replies.iter().map(|&(bytes, changes_state)| Reply {
        bytes,
        changes_state,
    });
    check(&steps, &replies.collect::<Vec<_>>())
}

const STORE: [&str; 2] = ["enter pwrite db 9", "return pwrite db 9"];
const SYNC: [&str; 2] = ["enter fdatasync db 0", "return fdatasync db 0"];
const FAILED_SYNC: [&str; 2] = ["enter fdatasync db 0", "return fdatasync db -1"];
const ANSWER: [&str; 2] = ["enter write stdout 7", "return write stdout 7"];
const HALF_ANSWER: [&str; 2] = ["enter write stdout 7", "return write stdout 3"];
const FLUSH: [&str; 2] = ["enter sync_file_range db 9", "return sync_file_range db 0"];

#[test]
fn the_checker_accepts_replies_after_their_sync() {
    let good = [STORE, FLUSH, SYNC, ANSWER, ANSWER, STORE, SYNC, ANSWER].concat();
    let expected = Checked {
        answers: 3,
        changing_answers: 2,
    };
    let replies = [(7, true), (7, false), (7, true)];
    assert_eq!(checked(&good, &replies), Ok(expected));
    let two_in_one = [(3, false), (4, true), (7, false), (7, true)];
    assert!(checked(&good, &two_in_one).is_ok());
}

#[test]
fn the_checker_refuses_a_reply_that_comes_before_its_sync_has_returned() {
    let early = "replies are written before all that was stored is durable";
    let mut entered_only = [STORE, SYNC].concat();
    entered_only.pop();
    entered_only.extend(ANSWER);
    for (trace, line) in [
        ([STORE, ANSWER, SYNC].concat(), 3),
        ([SYNC, STORE, ANSWER].concat(), 5),
        ([STORE, FLUSH, ANSWER].concat(), 5),
        ([STORE, FAILED_SYNC, ANSWER].concat(), 5),
        (
            [SYNC, ["enter pwrite db 9", SYNC[0]], [SYNC[1], ANSWER[0]]].concat(),
            6,
        ),
        // The store returns only after the sync has begun, which may have missed it.
        (
            [[STORE[0], SYNC[0]], [STORE[1], SYNC[1]], ANSWER].concat(),
            5,
        ),
        (entered_only, 4),
    ] {
        let refused = Err(Broken { line, why: early });
        assert_eq!(checked(&trace, &[(7, true)]), refused, "{trace:?}");
    }
}

#[test]
fn the_checker_refuses_a_reply_whose_state_is_stored_only_after_it() {
    let trace = [STORE, SYNC, ANSWER, ANSWER, STORE, SYNC].concat();
    let refused = Err(Broken {
        line: 8,
        why: "a reply that changes the state has nothing durable of its own",
    });
    assert_eq!(checked(&trace, &[(7, true), (7, true)]), refused);
    assert!(checked(&trace, &[(7, true), (7, false)]).is_ok());
    // The second write ends the first reply and begins another one.
    let trace = [STORE, SYNC, HALF_ANSWER, ANSWER].concat();
    assert!(checked(&trace, &[(7, true), (3, true)]).is_err());
    assert!(checked(&trace, &[(7, true), (3, false)]).is_ok());
}

#[test]
fn the_checker_refuses_a_trace_that_lacks_replies_or_has_others() {
    let trace = [STORE, SYNC, ANSWER].concat();
    for replies in [&[(7, true), (7, true)][..], &[(9, true)], &[(6, true)]] {
        assert!(checked(&trace, replies).is_err(), "{replies:?}");
    }
}
