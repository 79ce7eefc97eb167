//! Damages directories at rest, and checks what the program makes of them.
//!
//! A damaged directory must have everything, or `run` must refuse it in one line, or `verify` must
//! report the damage before anything opens it. A count that is silently wrong, a panic or a hang is
//! a failure.
//!
//! `EXACTLY_ONCE_DAMAGES` is the number of damages. `EXACTLY_ONCE_SEED` is the first seed; each
//! damage takes the next one. The kinds are taken in turn. A seed replays a damage as far as the
//! timing of the processes that made the directory repeats itself.

mod harm;
mod history;
mod tally;
mod verify;

use crate::kit::{
    Finished, Snapshot, Source, caught, copy, dump, event, exit, home_and_data_dir, numbered_input,
    on_all_threads, on_directory, reply, run, scratch_dir, setting,
};
use crate::oracle::Request;
use harm::{Harm, Patient};
use history::Variant;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::path::Path;
use std::thread;
use tally::{Outcome, Tally};
use verify::{Is, Verdict, verify};

/// Requests in each life of the two histories. The longer history has more groups.
const LENGTHS: [usize; 2] = [500, 300];
/// Only one case in this many compares every byte before and after `verify`, as that is slow.
const CASES_PER_SNAPSHOT: u64 = 5;
const REQUESTS_TO_GO_ON: usize = 30;

#[test]
fn a_damaged_directory_has_everything_or_is_refused_or_is_named_by_verify() {
    try_out(false);
}

/// The same for directories whose database lies in a folder of its own.
#[test]
fn a_damaged_directory_has_everything_or_is_refused_or_is_named_after_a_compaction_too() {
    try_out(true);
}

fn try_out(is_compacted: bool) {
    let first = setting("EXACTLY_ONCE_SEED", 1);
    let count = setting("EXACTLY_ONCE_DAMAGES", 150);
    let home = scratch_dir();
    let histories = histories(home.path(), is_compacted);
    let mut total = Tally::default();
    on_all_threads(
        count,
        |number| Case::of_seed(&histories, first + number).try_out(),
        |(harm, outcome)| total.add(harm, outcome),
    );
    println!("{count} damages with seeds from {first}: {total}");
    total.check();
}

#[test]
fn an_undamaged_directory_is_clean_and_holds_everything() {
    let home = scratch_dir();
    let [plain, compacted] = ["plain", "compacted"].map(|name| home.path().join(name));
    for path in [&plain, &compacted] {
        std::fs::create_dir(path).expect("it is new");
    }
    let histories = [histories(&plain, false), histories(&compacted, true)];
    for variant in histories.iter().flatten().flatten() {
        let verdict = verify(&variant.path).unwrap_or_else(|reason| panic!("{reason}"));
        let Is::Clean(figures) = verdict.is else {
            panic!("{}: {}", variant.name, verdict.line);
        };
        assert_eq!(figures.compare(&variant.oracle), Ok(()), "{}", variant.name);
    }
}

/// Two histories, each in several variants.
fn histories(home: &Path, is_compacted: bool) -> [Vec<Variant>; 2] {
    let make = |number: usize| {
        let home = home.join(number.to_string());
        std::fs::create_dir(&home).expect("it is new");
        history::make(&home, number as u64, LENGTHS[number], is_compacted)
    };
    thread::scope(|scope| {
        let first = scope.spawn(|| make(0));
        let second = make(1);
        [first.join().expect("it does not panic"), second]
    })
}

/// One damage to one directory.
struct Case<'a> {
    seed: u64,
    harm: Harm,
    variant: &'a Variant,
    other: &'a Variant,
    rng: ChaCha8Rng,
}

impl<'a> Case<'a> {
    fn of_seed(histories: &'a [Vec<Variant>; 2], seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let harms = harm::all();
        let harm = harms[(seed % harms.len() as u64) as usize];
        let which = rng.random_range(0..2);
        let suitable = |variant: &&Variant| {
            let sectors = variant.sectors(harm.place);
            sectors.is_none_or(|sectors| !sectors.is_empty())
        };
        let variants: Vec<_> = histories[which].iter().filter(suitable).collect();
        Self {
            seed,
            harm,
            variant: variants[rng.random_range(0..variants.len())],
            other: &histories[1 - which][0],
            rng,
        }
    }

    /// Damages a copy of the variant, and says how; each call makes the same bytes.
    fn damage(&self, path: &Path) -> String {
        copy(&self.variant.path, path);
        let Self { variant, other, .. } = *self;
        let patient = Patient {
            path,
            variant,
            other,
        };
        patient.suffer(self.harm, &mut self.rng.clone())
    }

    /// Damages a directory and judges the outcome; the error is the report to print.
    fn try_out(&self) -> Result<(Harm, Outcome), String> {
        let (home, data_dir) = home_and_data_dir();
        let done = self.damage(&data_dir);
        caught(|| self.judge(&data_dir))
            .map(|outcome| (self.harm, outcome))
            .map_err(|reason| {
                let kept = home.keep().join("damaged");
                self.damage(&kept);
                self.report(&done, &reason, &kept)
            })
    }

    fn report(&self, done: &str, reason: &str, kept: &Path) -> String {
        let Self {
            seed,
            harm,
            variant,
            ..
        } = self;
        format!(
            "seed {seed}, {harm:?}, {}: {done}\n{reason}\nit is as it was before anything opened \
             it in {}\nreplay it with\n  EXACTLY_ONCE_SEED={seed} EXACTLY_ONCE_DAMAGES=1 cargo \
             test --test it damaged_directory_has",
            variant.name,
            kept.display(),
        )
    }

    fn judge(&self, data_dir: &Path) -> Result<Outcome, String> {
        let verdict = self.verify(data_dir)?;
        let opened = on(data_dir, "")?;
        match opened.code() {
            Some(exit::SUCCESS) => {}
            Some(exit::UNUSABLE | exit::STORAGE) if matches!(verdict.is, Is::Clean(_)) => {
                return Err(format!(
                    "verify called it clean, and run refused it: {opened:?}"
                ));
            }
            Some(exit::UNUSABLE | exit::STORAGE) => return refusal(&opened),
            _ => return Err(format!("it neither opened nor refused: {opened:?}")),
        }
        let difference = self.compare(data_dir).err();
        if let Some(crash) = difference.as_deref().filter(|text| is_crash(text)) {
            return Err(crash.to_owned());
        }
        match (verdict.is, difference) {
            (Is::Clean(figures), None) => {
                figures.compare(&self.variant.oracle)?;
                Ok(Outcome::Whole)
            }
            (Is::Damaged | Is::Unusable, None) => Ok(Outcome::OnlyVerifyMinds),
            (Is::Damaged, Some(_)) => Ok(Outcome::Named),
            (Is::Clean(_) | Is::Unusable, Some(difference)) => {
                Err(format!("{difference}\nbut verify said: {}", verdict.line))
            }
        }
    }

    fn verify(&self, data_dir: &Path) -> Result<Verdict, String> {
        if !self.seed.is_multiple_of(CASES_PER_SNAPSHOT) {
            return verify(data_dir);
        }
        let before = Snapshot::of(data_dir);
        let verdict = verify(data_dir)?;
        if Snapshot::of(data_dir) == before {
            return Ok(verdict);
        }
        Err("verify changed the directory".to_owned())
    }

    /// Fails if the state, or what follows from it, differs from the oracle's.
    fn compare(&self, data_dir: &Path) -> Result<(), String> {
        let mut oracle = self.variant.oracle.clone();
        dump::check(data_dir, &oracle)?;
        let requests = self.requests_to_go_on();
        let finished = on(data_dir, &numbered_input(1, &requests))?;
        let mut replies = finished.stdout.lines();
        for (request, msg_id) in requests.iter().zip(1..) {
            let reply = replies.next();
            let reply = reply.ok_or_else(|| format!("no reply to {request:?}: {finished:?}"))?;
            reply::check(reply, &oracle.apply(request), msg_id)?;
        }
        if !finished.status.success() {
            return Err(format!("the next run failed: {finished:?}"));
        }
        dump::check(data_dir, &oracle)
    }

    /// Sends events again, restores each checkpoint, and releases what is pending then.
    fn requests_to_go_on(&self) -> Vec<Request> {
        let mut source = Source::new(self.seed);
        let mut requests: Vec<_> = (0..REQUESTS_TO_GO_ON).map(|_| source.next()).collect();
        requests.push(event("new", "new"));
        let names = self.variant.oracle.checkpoints().map(|saved| saved.name);
        requests.extend(names.map(|id| Request::Restore { id }));
        requests.push(Request::Commit);
        requests
    }
}

/// Runs a node on all of `input`. The node may refuse, but must not crash.
fn on(data_dir: &Path, input: &str) -> Result<Finished, String> {
    let finished = run(&mut on_directory("run", data_dir, &[]), input);
    if finished.code().is_none() || is_crash(&finished.stderr) {
        return Err(format!("it crashed: {finished:?}"));
    }
    Ok(finished)
}

/// True if a text reports a panic, or the end of a process by a signal.
fn is_crash(text: &str) -> bool {
    let signs = ["panicked at", "a bug:", "signal: "];
    signs.iter().any(|sign| text.contains(sign))
}

fn refusal(finished: &Finished) -> Result<Outcome, String> {
    let is_one_line = finished.stderr.lines().count() == 1 && finished.stderr.ends_with('\n');
    if is_one_line && finished.stdout.is_empty() {
        return Ok(Outcome::Refused);
    }
    Err(format!("a refusal is one line on stderr: {finished:?}"))
}
