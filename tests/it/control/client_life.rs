//! One life of a node to which clients and standard input send requests at the same time.

use super::queries::Asked;
use crate::kit::{Finished, Node, PATIENCE, SocketClient};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The most requests that a client sends at once.
const MAX_AT_ONCE: usize = 3;

/// Standard input sends a request after this many replies to clients.
const ANSWERS_PER_LINE: usize = 3;

#[derive(Debug)]
pub struct Plan {
    pub arguments: &'static [&'static str],
    /// The requests of each client.
    pub clients: Vec<Vec<Asked>>,
    pub stdin: Vec<Asked>,
    /// The life ends `delay` after the clients have this many replies.
    pub answers: usize,
    pub delay: Duration,
    /// True if the life ends by SIGKILL, and not by the end of standard input.
    pub is_kill: bool,
}

/// A request that was sent, and its reply.
#[derive(Debug)]
pub struct Sent {
    pub asked: Asked,
    /// A moment before it was sent.
    pub at: Instant,
    pub answer: Option<Answer>,
}

impl Sent {
    pub fn answered_at(&self) -> Option<Instant> {
        self.answer.as_ref().map(|answer| answer.at)
    }
}

/// All lines of the reply to a request.
#[derive(Debug)]
pub struct Answer {
    pub lines: Vec<String>,
    /// A moment after they arrived.
    pub at: Instant,
}

/// What was sent in a life, and what may have taken effect.
#[derive(Debug)]
pub struct Life {
    pub is_kill: bool,
    /// The number of requests sent.
    pub sent: usize,
    /// For each client, and standard input, the first of its requests, as many as may have taken
    /// effect, without unanswered queries. The `msg_id` of an answered one is its place here.
    pub sequences: Vec<Vec<Sent>>,
}

/// Runs a node as planned; `rng` seeds the choices of the clients.
pub fn live(data_dir: &Path, plan: Plan, rng: &mut ChaCha8Rng) -> Result<Life, String> {
    let node = Node::start(Some(data_dir), plan.arguments);
    let clients = plan.clients.into_iter().map(|asked| {
        let rng = ChaCha8Rng::seed_from_u64(rng.random_range(0..u64::MAX));
        (SocketClient::connect(data_dir), asked, rng)
    });
    // All clients are connected before the first of them sends.
    let clients: Vec<_> = clients.collect();
    let (to_counter, answers) = channel();
    let begin = |(client, asked, rng)| {
        let to_counter = to_counter.clone();
        thread::spawn(move || work(client, asked, rng, &to_counter))
    };
    let clients: Vec<JoinHandle<Vec<Sent>>> = clients.into_iter().map(begin).collect();
    drop(to_counter);
    let mut stdin = feed(&node, plan.stdin, &answers, plan.answers);
    // The delay lets the end come at any point of the node's work.
    thread::sleep(plan.delay);
    let ended = if plan.is_kill {
        node.kill()
    } else {
        node.finish()
    };
    let mut sequences: Vec<Vec<Sent>> = clients.into_iter().map(joined).collect();
    hear(&mut stdin, &ended)?;
    sequences.push(stdin);
    let sent = sequences.iter().map(Vec::len).sum();
    let sequences = sequences
        .into_iter()
        .map(|sequence| possible(sequence, plan.is_kill));
    check_end(&ended, plan.is_kill)?;
    Ok(Life {
        is_kill: plan.is_kill,
        sent,
        sequences: sequences.collect(),
    })
}

fn joined(client: JoinHandle<Vec<Sent>>) -> Vec<Sent> {
    let sent = client.join();
    sent.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Sends requests on standard input until clients have this many replies.
fn feed(node: &Node, asked: Vec<Asked>, answers: &Receiver<()>, until: usize) -> Vec<Sent> {
    let mut asked = asked.into_iter();
    let mut sent = Vec::new();
    for count in 0..until {
        let is_turn = count.is_multiple_of(ANSWERS_PER_LINE);
        if let Some(asked) = is_turn.then(|| asked.next()).flatten() {
            let line = asked.line(sent.len() as u64);
            sent.push(now(asked));
            node.send(&line);
        }
        match answers.recv_timeout(PATIENCE) {
            Ok(()) => {}
            Err(RecvTimeoutError::Timeout) => panic!("no client is answered"),
            // The clients have nothing more to ask, or the node is gone.
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    sent
}

/// Stores the replies to what was sent on standard input.
fn hear(stdin: &mut [Sent], ended: &Finished) -> Result<(), String> {
    let lines = ended.complete_lines();
    if lines.len() > stdin.len() {
        return Err(format!("{} replies to {stdin:?}", lines.len()));
    }
    for (sent, line) in stdin.iter_mut().zip(lines) {
        sent.answer = Some(Answer {
            lines: vec![line],
            at: Instant::now(),
        });
    }
    Ok(())
}

fn check_end(ended: &Finished, is_kill: bool) -> Result<(), String> {
    let is_planned = match ended.status.signal() {
        Some(signal) => is_kill && signal == 9,
        None => !is_kill && ended.status.success(),
    };
    if is_planned && !ended.stderr.contains("a bug: ") {
        return Ok(());
    }
    Err(format!(
        "the process ended with {}: {}",
        ended.status, ended.stderr
    ))
}

/// Returns the requests that may have taken effect.
fn possible(mut sent: Vec<Sent>, is_kill: bool) -> Vec<Sent> {
    if !is_kill {
        // At a clean end, every request that was read has been answered.
        let answered = sent.iter().take_while(|one| one.answer.is_some());
        sent.truncate(answered.count());
    }
    sent.retain(|one| one.answer.is_some() || !one.asked.is_query());
    sent
}

/// Runs a client: it sends a few requests, reads some replies, and so on until it has nothing more
/// to ask or the node is gone.
fn work(
    mut client: SocketClient,
    asked: Vec<Asked>,
    mut rng: ChaCha8Rng,
    to_counter: &Sender<()>,
) -> Vec<Sent> {
    let mut asked = asked.into_iter();
    let mut sent = Vec::new();
    let mut answered = 0;
    loop {
        let count = rng.random_range(1..=MAX_AT_ONCE);
        let mut lines = String::new();
        for asked in asked.by_ref().take(count) {
            lines += &(asked.line(sent.len() as u64) + "\n");
            sent.push(now(asked));
        }
        // If this fails, nothing more arrives after what is on its way.
        client.send_raw(lines.as_bytes()).unwrap_or_default();
        let is_last = asked.as_slice().is_empty();
        let left = if is_last {
            0
        } else {
            rng.random_range(0..=MAX_AT_ONCE)
        };
        while sent.len() - answered > left {
            let Some(lines) = client.next_answer() else {
                return sent;
            };
            let at = Instant::now();
            sent[answered].answer = Some(Answer { lines, at });
            answered += 1;
            // The send fails only if the counting has ended, which is not an error.
            to_counter.send(()).unwrap_or_default();
        }
        if is_last {
            return sent;
        }
    }
}

/// A request that is sent now.
fn now(asked: Asked) -> Sent {
    Sent {
        asked,
        at: Instant::now(),
        answer: None,
    }
}
