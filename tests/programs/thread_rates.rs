//! Measures threads that share one handle. Each waits for every reply.
//!
//!     cargo run --release --example thread_rates [DIRECTORY [SECONDS]]
//!
//! Prints a JSON line for one thread and one for 64: events a second, and the 99th percentiles of
//! `process` and of `count`, which another thread calls at the same time.

use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use exactly_once::{Engine, Handle, Options};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let place = arguments.next().unwrap_or_else(|| ".".to_owned());
    let seconds = arguments.next().map_or(Ok(5), |text| text.parse())?;
    for threads in [1, 64] {
        let home = tempfile::tempdir_in(&place)?;
        let handle = Engine::open(home.path().join("state"), &Options::default())?.share()?;
        let measured = measure(&handle, threads, Duration::from_secs(seconds));
        handle.close()?;
        let [process, count] = measured.map(Latencies::sorted);
        println!(
            "{{\"threads\": {threads}, \"events_per_second\": {}, \"process_p99_us\": {}, \
             \"count_p99_us\": {}}}",
            process.0.len() as u64 / seconds,
            process.p99_us(),
            count.p99_us(),
        );
    }
    Ok(())
}

#[derive(Default)]
struct Latencies(Vec<Duration>);

impl Latencies {
    fn sorted(mut self) -> Self {
        self.0.sort_unstable();
        self
    }

    fn p99_us(&self) -> u128 {
        let at = self.0.len().saturating_sub(1) * 99 / 100;
        self.0.get(at).map_or(0, Duration::as_micros)
    }
}

/// Returns the latencies of `process` in all threads, and of `count` in one more.
fn measure(handle: &Handle, threads: u64, time: Duration) -> [Latencies; 2] {
    let is_over = AtomicBool::new(false);
    let repeat = |call: &dyn Fn(u64)| {
        let mut latencies = Latencies::default();
        for number in 0.. {
            if is_over.load(Ordering::Relaxed) {
                break;
            }
            let started = Instant::now();
            call(number);
            latencies.0.push(started.elapsed());
        }
        latencies
    };
    thread::scope(|scope| {
        let processing: Vec<_> = (0..threads)
            .map(|thread| {
                let process = move |number| {
                    let pending = handle.process(&format!("{thread}-{number}"), "word");
                    let answer = pending.wait().expect("the storage works");
                    answer.expect("it is taken");
                };
                scope.spawn(move || repeat(&process))
            })
            .collect();
        let counting = scope.spawn(|| {
            repeat(&|_| {
                let count = handle.count("word").wait();
                count.expect("the storage works");
            })
        });
        thread::sleep(time);
        is_over.store(true, Ordering::Relaxed);
        let mut processed = Latencies::default();
        for thread in processing {
            processed
                .0
                .extend(thread.join().expect("it does not panic").0);
        }
        [processed, counting.join().expect("it does not panic")]
    })
}
