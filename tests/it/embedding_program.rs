//! The program that embeds the library counts a log and clients correctly, despite kills.

use crate::kit::{PATIENCE, Process, eventually, program, scratch_dir};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use exactly_once::View;

const KILLS: u64 = 5;
const LINES_A_LIFE: u64 = 2_000;
const CLIENTS: u64 = 8;
const POSTS: u64 = 60;
const WORDS: u64 = 7;

struct Running {
    process: Process,
    port: u16,
}

impl Running {
    fn start(directory: &Path, log: &Path) -> Self {
        let mut command = program("tail_and_serve");
        command.arg(directory).arg(log);
        let mut process = Process::start(command.stdout(Stdio::piped()));
        let mut line = String::new();
        let stdout = process.stdout.take().expect("it is piped");
        BufReader::new(stdout)
            .read_line(&mut line)
            .expect("it prints its port");
        let port = line.trim().parse().expect("a port");
        Self { process, port }
    }

    fn connect(&self) -> Client {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).expect("it listens");
        let patience = stream.set_read_timeout(Some(PATIENCE));
        patience.expect("it can be set");
        Client(BufReader::new(stream))
    }
}

struct Client(BufReader<TcpStream>);

impl Client {
    /// Sends a line; `None` if the process is killed before it replies.
    fn ask(&mut self, line: &str) -> Option<String> {
        self.0
            .get_mut()
            .write_all(format!("{line}\n").as_bytes())
            .ok()?;
        self.read()
    }

    fn read(&mut self) -> Option<String> {
        let mut answer = String::new();
        self.0.read_line(&mut answer).ok()?;
        answer.strip_suffix('\n').map(str::to_owned)
    }
}

/// The id of a line of the log. One line in three has the id of an earlier one.
fn id(number: u64) -> String {
    let number = if number % 3 == 2 { number / 2 } else { number };
    format!("log-{number}")
}

#[test]
fn a_log_and_clients_are_counted_once_though_the_program_is_killed() {
    let home = scratch_dir();
    let [directory, log] = ["data", "log"].map(|name| home.path().join(name));
    let mut file = File::create(&log).expect("there is room");
    let mut ids = BTreeSet::new();
    for life in 0..=KILLS {
        let mut running = Running::start(&directory, &log);
        let lines = life * LINES_A_LIFE..(life + 1) * LINES_A_LIFE;
        thread::scope(|scope| {
            for client in 0..CLIENTS {
                let mut connection = running.connect();
                // Each life resends what the one before may have left unanswered.
                scope.spawn(move || {
                    for post in 0..POSTS * (life + 1) {
                        let posted = format!("POST client-{client}-{post} w{}", post % WORDS);
                        if connection.ask(&posted).is_none() {
                            break;
                        }
                    }
                });
            }
            for number in lines {
                let id = id(number);
                writeln!(file, "{id} w{}", number % WORDS).expect("there is room");
                ids.insert(id);
            }
            if life < KILLS {
                thread::sleep(Duration::from_millis(40 * (life + 1)));
                running.process.kill().expect("it is running");
            }
        });
        if life < KILLS {
            running.process.ended();
            continue;
        }
        for client in 0..CLIENTS {
            ids.extend((0..POSTS * (life + 1)).map(|post| format!("client-{client}-{post}")));
        }
        check(&mut running, &ids);
    }
    let view = View::open(&directory).expect("the process was killed at rest");
    let stats = view.stats().expect("it can be read");
    assert_eq!(
        (stats.events, stats.released),
        (ids.len() as u64, ids.len() as u64)
    );
}

/// Waits until everything is counted, and compares counts and outputs with what was sent.
fn check(running: &mut Running, ids: &BTreeSet<String>) {
    let mut client = running.connect();
    let mut counts = BTreeMap::new();
    eventually("everything is counted", || {
        for word in (0..WORDS).map(|word| format!("w{word}")) {
            let count = client.ask(&format!("COUNT {word}")).expect("it answers");
            counts.insert(word, count.parse::<u64>().expect("a number"));
        }
        counts.values().sum::<u64>() >= ids.len() as u64
    });
    let mut listed = vec![client.ask("OUTPUTS 0 1000000").expect("it answers")];
    while listed.last().is_some_and(|line| line != "END") {
        listed.push(client.read().expect("it answers"));
    }
    listed.pop();
    let mut outputs = BTreeMap::<String, u64>::new();
    let mut seen = BTreeSet::new();
    for (line, offset) in listed.iter().zip(0..) {
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!(words[0], format!("{offset}"));
        assert!(seen.insert(words[1].to_owned()), "released twice: {line}");
        *outputs.entry(words[2].to_owned()).or_default() += 1;
    }
    assert_eq!(seen, *ids);
    assert_eq!(outputs, counts);
    running.process.kill().expect("it is running");
    running.process.ended();
}
