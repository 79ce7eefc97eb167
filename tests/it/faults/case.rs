//! One call that fails, and the checks of the result.

use super::workload::{Origin, Start, command};
use crate::crash::life::Home;
use crate::kit::{
    Aim, Beginning, Belief, Deed, Dump, Fault, Finished, Hit, Life, Node, PATIENCE, caught, exit,
    expect_no_reply, scratch_dir,
};
use crate::oracle::Request;
use std::fmt;
use std::fs;
use std::path::Path;

pub const FAULTS: [Fault; 4] = [Fault::Io, Fault::NoSpace, Fault::HalfTheSpace, Fault::Gone];

/// The only call that no group waits for. A thread makes it about once a second, and the next group
/// learns its result.
const LATE: &str = "fdatasync watermark";

/// The call that fails, and how.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub origin: Origin,
    pub number: u64,
    pub fault: Fault,
}

/// An accepted result of a case; any other result fails the test.
#[derive(Debug)]
pub struct Outcome {
    /// The call that failed; `None` if the node made fewer calls.
    pub hit: Option<Hit>,
    pub status: i32,
    /// What the process printed on stderr.
    pub stderr: String,
    /// The number of requests that were answered.
    pub answered: usize,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {} {:?}", self.origin, self.number, self.fault)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.hit {
            Some(hit) => write!(f, "{hit}: ")?,
            None => write!(f, "not reached: ")?,
        }
        write!(
            f,
            "status {}, {} answered: {}",
            self.status, self.answered, self.stderr
        )
    }
}

/// The calls that can fail, in the order in which an undisturbed run makes them.
pub fn calls_of(start: &Start) -> Vec<String> {
    let temporary = scratch_dir();
    let home = Home::below(temporary.path());
    start.write(temporary.path());
    let never = Case {
        origin: start.origin,
        number: u64::MAX,
        fault: Fault::Io,
    };
    let trace = temporary.path().join("trace");
    let (_, ended) = never
        .run(&home, start, Some(&trace))
        .unwrap_or_else(|reason| panic!("{reason}"));
    assert!(ended.status.success(), "{}", ended.stderr);
    let trace = fs::read_to_string(trace).expect("the library writes it");
    trace.lines().map(str::to_owned).collect()
}

impl Case {
    /// Parses a case from the form in which it is displayed.
    pub fn read(text: &str) -> Option<Self> {
        let words: Vec<_> = text.split(' ').collect();
        let [origin, number, fault] = words[..] else {
            return None;
        };
        let origins = [Origin::Fresh, Origin::Killed];
        Some(Self {
            origin: origins
                .into_iter()
                .find(|known| format!("{known:?}") == origin)?,
            number: number.parse().ok()?,
            fault: FAULTS
                .into_iter()
                .find(|known| format!("{known:?}") == fault)?,
        })
    }

    /// Plays the case; the error is the report to print.
    pub fn try_on(self, start: &Start) -> Result<Outcome, String> {
        caught(|| self.play(start)).map_err(|reason| {
            format!(
                "{self}: {reason}\nreplay it with\n  EXACTLY_ONCE_FAULT='{self}' cargo test \
                 --test it faults -- --nocapture"
            )
        })
    }

    pub fn play(self, start: &Start) -> Result<Outcome, String> {
        let temporary = scratch_dir();
        let home = Home::below(temporary.path());
        let belief = start.write(temporary.path());
        let (life, ended) = self.run(&home, start, None)?;
        let outcome = Outcome {
            hit: Hit::read(&home.note),
            status: ended
                .status
                .code()
                .ok_or_else(|| format!("{}: {}", ended.status, ended.stderr))?,
            stderr: ended.stderr,
            answered: life.replies.len(),
        };
        let judged = judge_end(&outcome, start.requests.len()).map_err(str::to_owned);
        let judged = judged.and_then(|()| judge_state(&home.data, &life, belief, &start.requests));
        judged
            .map_err(|reason| format!("{reason}\n{outcome}"))
            .map(|()| outcome)
    }

    /// Sends the requests to a node one at a time, until it stops replying.
    fn run(
        self,
        home: &Home,
        start: &Start,
        trace: Option<&Path>,
    ) -> Result<(Life, Finished), String> {
        let mut command = command(&home.data);
        let aim = Aim {
            beginning: Beginning::Start,
            number: self.number,
            deed: Deed::Fail(self.fault),
        };
        aim.arm(&mut command, &home.data, &home.note);
        if let Some(trace) = trace {
            command.env("CALLS_TRACE", trace);
        }
        let node = Node::start_as(&mut command);
        let mut life = Life::default();
        for request in &start.requests {
            // The first request may be answered although the open met the fault, and went on.
            let is_sound = !life.replies.is_empty() && Hit::read(&home.note).is_none();
            node.send(&request.line(life.sent.len() as u64));
            life.sent.push(request.clone());
            let Ok(line) = node.read_line_within(PATIENCE) else {
                break;
            };
            life.replies
                .push(line.ok_or_else(|| format!("no reply within {PATIENCE:?}"))?);
            let hit = Hit::read(&home.note).filter(|hit| is_sound && hit.call != LATE);
            if let Some(hit) = hit {
                return Err(format!("answered though its group met {hit}: {life:?}"));
            }
        }
        let ended = node.finish();
        life.replies.extend(ended.complete_lines());
        life.written = ended.written;
        Ok((life, ended))
    }
}

/// Fails unless the process ended in an accepted way.
fn judge_end(outcome: &Outcome, requests: usize) -> Result<(), &'static str> {
    let Outcome {
        hit,
        status,
        stderr,
        answered,
    } = outcome;
    if stderr.contains("a bug: ") {
        return Err("it panicked");
    }
    match *status {
        exit::SUCCESS if *answered != requests => Err("it ended well without having answered all"),
        exit::SUCCESS if !stderr.is_empty() => Err("it ended well and printed on stderr"),
        exit::SUCCESS => Ok(()),
        exit::UNUSABLE | exit::STORAGE if hit.is_none() => Err("it failed though no call did"),
        exit::UNUSABLE | exit::STORAGE if stderr.lines().count() != 1 => {
            Err("it did not print exactly one line")
        }
        exit::UNUSABLE | exit::STORAGE => Ok(()),
        _ => Err("it ended with another status"),
    }
}

/// Fails unless a plain start finds the state after a prefix with every answered request, and goes
/// on from there.
fn judge_state(
    data_dir: &Path,
    life: &Life,
    mut belief: Belief,
    requests: &[Request],
) -> Result<(), String> {
    if life.replies.is_empty() {
        // There may be no state to dump yet.
        expect_no_reply(data_dir)?;
    }
    belief.reconcile(life, &Dump::read(data_dir)?)?;
    let is_event = |request: &&Request| matches!(request, Request::Process { .. });
    let mut again: Vec<_> = requests.iter().filter(is_event).cloned().collect();
    again.push(Request::Commit);
    belief.run(data_dir, again)
}
