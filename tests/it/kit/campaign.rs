//! What the tests that repeat themselves by chance have in common: how often they do, on which
//! threads, and that a failure is reported and not lost.

use super::process::Process;
use super::wait::PATIENCE;
use rand::{Rng, RngExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::sleep;
use std::time::Duration;

/// The cores of the smallest machine this suite is meant for.
const THREADS: usize = 2;

/// A number from the environment.
pub fn setting(name: &str, default: u64) -> u64 {
    let Ok(text) = std::env::var(name) else {
        return default;
    };
    text.parse()
        .unwrap_or_else(|_| panic!("{name} is not a number: {text:?}"))
}

/// Does the jobs `0..count` and panics with the reports of those that failed; the first failure
/// keeps further jobs from starting.
pub fn on_all_threads<T: Send>(
    count: u64,
    job: impl Fn(u64) -> Result<T, String> + Sync,
    take: impl FnMut(T) + Send,
) {
    let next = AtomicU64::new(0);
    let (take, reports) = (Mutex::new(take), Mutex::new(Vec::new()));
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::SeqCst);
            if number >= count || !reports.lock().expect("nothing panics with it").is_empty() {
                return;
            }
            match job(number) {
                Ok(done) => take.lock().expect("nothing panics with it")(done),
                Err(report) => reports.lock().expect("nothing panics with it").push(report),
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(work);
        }
    });
    let reports = reports.into_inner().expect("nothing panics with it");
    assert!(reports.is_empty(), "{}", reports.join("\n"));
}

/// A hang or a broken reply ends in a panic of the client; a report has to name its seed too.
pub fn caught<T>(run: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(run))
        .unwrap_or_else(|_| Err("the client gave up, see above".to_owned()))
}

/// Kills a command at a random moment of its life, which takes `whole`, or shortly after.
pub fn kill_within(command: &mut Command, whole: Duration, rng: &mut impl Rng) {
    let mut process = Process::start(command.stdout(Stdio::null()).stderr(Stdio::null()));
    sleep(whole.mul_f64(rng.random_range(0.0..1.2)).min(PATIENCE));
    process.end();
}
