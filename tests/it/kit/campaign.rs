//! What tests that repeat random cases share: how often, on which threads, and how failures are
//! reported.

use super::process::Process;
use super::wait::PATIENCE;
use rand::{Rng, RngExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::sleep;
use std::time::Duration;

/// The number of cores of the smallest machine that this suite is meant for.
const THREADS: usize = 2;

/// Returns a number from the environment, or `default`; panics if the text is no number.
pub fn setting(name: &str, default: u64) -> u64 {
    let Ok(text) = std::env::var(name) else {
        return default;
    };
    text.parse()
        .unwrap_or_else(|_| panic!("{name} is not a number: {text:?}"))
}

/// Does the jobs `0..count`, and panics with the reports of those that failed. No job starts after
/// the first failure.
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
            if number >= count || !reports.lock().expect("no thread panics").is_empty() {
                return;
            }
            match job(number) {
                Ok(done) => take.lock().expect("no thread panics")(done),
                Err(report) => reports.lock().expect("no thread panics").push(report),
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(work);
        }
    });
    let reports = reports.into_inner().expect("no thread panics");
    assert!(reports.is_empty(), "{}", reports.join("\n"));
}

/// Turns a panic, such as after a hang, into an error, so that its report names the seed.
pub fn caught<T>(run: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(run))
        .unwrap_or_else(|_| Err("the client gave up, see above".to_owned()))
}

/// Kills a command at a random moment of its life, which takes `whole`, or shortly afterwards.
pub fn kill_within(command: &mut Command, whole: Duration, rng: &mut impl Rng) {
    let mut process = Process::start(command.stdout(Stdio::null()).stderr(Stdio::null()));
    sleep(whole.mul_f64(rng.random_range(0.0..1.2)).min(PATIENCE));
    process.end();
}
