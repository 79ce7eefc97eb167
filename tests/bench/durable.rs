//! How fast the real binary is, beside what the disk alone can do in the same run.
//!
//! `cargo bench --bench durable` generates a file of `process` requests, has the release binary
//! answer it from a file to a file, several times, each on a new state; then sends lone requests,
//! each one waited for, and between them times one bare 4 KiB write and fdatasync.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use clap::Parser;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const BARE_WRITE_BYTES: usize = 4096;

/// Measures durable requests a second, and the latency of a lone request
#[derive(Debug, Parser)]
struct BenchArgs {
    /// Events in the file; 14,000,000 make an input of 2 GB
    #[arg(long, default_value_t = 3_000_000)]
    events: u64,
    /// The share of events that repeats an earlier one, chosen evenly from all before it
    #[arg(long, default_value_t = 0.02)]
    duplicates: f64,
    /// How many different words there are
    #[arg(long, default_value_t = 10_000)]
    words: u64,
    /// How often the file is answered
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Lone requests, and bare writes between them
    #[arg(long, default_value_t = 3_000)]
    lone: u64,
    /// Where the files and the state are put: the disk that is measured
    #[arg(long, default_value = env!("CARGO_TARGET_TMPDIR"))]
    directory: PathBuf,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> io::Result<()> {
    let args = BenchArgs::parse();
    let directory = tempfile::Builder::new()
        .prefix("bench-")
        .tempdir_in(&args.directory)?;
    let input = directory.path().join("requests.jsonl");
    write_requests(&args, &input)?;
    println!(
        "{} events, UUID ids, {} % duplicates, {} words, {} MB of requests",
        args.events,
        args.duplicates * 100.0,
        args.words,
        fs::metadata(&input)?.len() / 1_000_000
    );
    let mut rates = Vec::new();
    for run in 1..=args.runs {
        let state = directory.path().join("state");
        let answered = answer_file(&input, &directory.path().join("replies.jsonl"), &state)?;
        let rate = args.events as f64 / answered.elapsed.as_secs_f64();
        println!(
            "run {run}: {rate:.0} events/s, peak memory {} MB, state {} MB on disk",
            answered.peak_memory_bytes / 1_000_000,
            size_on_disk(&state)? / 1_000_000
        );
        rates.push(rate);
        fs::remove_dir_all(&state)?;
    }
    println!(
        "median: {:.0} events/s, start and clean end included",
        median(&mut rates)
    );
    compare_latency(&args, directory.path())
}

fn write_requests(args: &BenchArgs, path: &Path) -> io::Result<()> {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut output = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let mut fresh = Vec::new();
    for msg_id in 1..=args.events {
        let is_duplicate = !fresh.is_empty() && random.random_bool(args.duplicates);
        let (id, word) = if is_duplicate {
            fresh[random.random_range(0..fresh.len())]
        } else {
            let uuid = (u128::from(random.next_u64()) << 64) | u128::from(random.next_u64());
            fresh.push((uuid, random.random_range(0..args.words)));
            fresh[fresh.len() - 1]
        };
        let id = uuid::Builder::from_random_bytes(id.to_le_bytes()).into_uuid();
        writeln!(output, "{}", request(msg_id, &id.to_string(), word))?;
    }
    output.flush()
}

fn request(msg_id: u64, event_id: &str, word: u64) -> String {
    format!(
        r#"{{"src":"stream","dest":"processor","body":{{"type":"process","msg_id":{msg_id},"event_id":"{event_id}","word":"word{word}"}}}}"#
    )
}

struct Answered {
    elapsed: Duration,
    peak_memory_bytes: u64,
}

fn answer_file(input: &Path, output: &Path, state: &Path) -> io::Result<Answered> {
    let started = Instant::now();
    let mut node = node(
        state,
        File::open(input)?.into(),
        File::create(output)?.into(),
    )?;
    let mut peak_memory_bytes = 0;
    while node.try_wait()?.is_none() {
        peak_memory_bytes = peak_memory(node.id()).unwrap_or(peak_memory_bytes);
        std::thread::sleep(Duration::from_millis(5));
    }
    let elapsed = started.elapsed();
    assert!(node.wait()?.success(), "the node failed");
    Ok(Answered {
        elapsed,
        peak_memory_bytes,
    })
}

fn node(state: &Path, input: Stdio, output: Stdio) -> io::Result<Child> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_exactly-once"));
    command.arg("run").arg("--data-dir").arg(state);
    command.stdin(input).stdout(output).spawn()
}

/// The most memory that a running process has had so far, as Linux tells it.
fn peak_memory(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kilobytes * 1024)
}

fn size_on_disk(directory: &Path) -> io::Result<u64> {
    fs::read_dir(directory)?
        .map(|entry| Ok(entry?.metadata()?.len()))
        .sum()
}

fn compare_latency(args: &BenchArgs, directory: &Path) -> io::Result<()> {
    let mut node = node(&directory.join("lone"), Stdio::piped(), Stdio::piped())?;
    let mut requests = node.stdin.take().expect("standard input is a pipe");
    let mut replies = BufReader::new(node.stdout.take().expect("standard output is a pipe"));
    let bare = File::create(directory.join("bare"))?;
    bare.write_all_at(&vec![1; BARE_WRITE_BYTES * args.lone as usize], 0)?;
    bare.sync_all()?;
    let (mut lone_us, mut bare_us) = (Vec::new(), Vec::new());
    let mut reply = String::new();
    for number in 0..args.lone {
        let line = format!(
            "{}\n",
            request(number, &format!("lone-{number}"), number % 100)
        );
        let started = Instant::now();
        requests.write_all(line.as_bytes())?;
        replies.read_line(&mut reply)?;
        lone_us.push(started.elapsed().as_secs_f64() * 1e6);
        let started = Instant::now();
        bare.write_all_at(
            &[number as u8; BARE_WRITE_BYTES],
            number * BARE_WRITE_BYTES as u64,
        )?;
        bare.sync_data()?;
        bare_us.push(started.elapsed().as_secs_f64() * 1e6);
    }
    drop(requests);
    assert!(node.wait()?.success(), "the node failed");
    let (lone, bare) = (median(&mut lone_us), median(&mut bare_us));
    println!(
        "a lone request: p50 {lone:.0} us; a bare 4 KiB write and fdatasync: p50 {bare:.0} us; \
         ratio {:.2}",
        lone / bare
    );
    Ok(())
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
