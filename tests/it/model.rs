//! The program answers random sequences of requests, stops and kills as the oracle does.
//!
//! `EXACTLY_ONCE_SEQUENCES` is the number of sequences, `EXACTLY_ONCE_SEED` the first seed, and
//! `EXACTLY_ONCE_SEQUENCE` one sequence to play instead, in the notation of `sequence`.

pub mod play;
pub mod reached;
pub mod sequence;

use crate::kit::{caught, home_and_data_dir, on_all_threads, setting};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use reached::Reached;
use sequence::{Step, notation, parse};

/// A dump takes a process, and most differences show in a reply.
const SEQUENCES_PER_DUMP: u64 = 4;
/// Fewer sequences than this may miss something by chance.
const ENOUGH_TO_REACH_ALL: u64 = 100;

#[test]
fn random_sequences_are_answered_as_the_oracle_answers_them() {
    if let Ok(sequence) = std::env::var("EXACTLY_ONCE_SEQUENCE") {
        return run(&parse(&sequence), true).unwrap_or_else(|reason| panic!("{reason}"));
    }
    let first = setting("EXACTLY_ONCE_SEED", 1);
    let count = setting("EXACTLY_ONCE_SEQUENCES", 300);
    let mut reached = Reached::default();
    on_all_threads(
        count,
        |number| try_seed(first + number),
        |one| reached.add(&one),
    );
    println!("{count} sequences from seed {first} reached {reached}");
    if count >= ENOUGH_TO_REACH_ALL {
        assert_eq!(reached.missing(), Vec::<&str>::new(), "never reached");
    }
}

/// Plays the sequence of one seed; an error is the report to print.
fn try_seed(seed: u64) -> Result<Reached, String> {
    let steps = sequence::random(&mut ChaCha8Rng::seed_from_u64(seed));
    let with_dump = seed.is_multiple_of(SEQUENCES_PER_DUMP);
    match run(&steps, with_dump) {
        Ok(()) => Ok(Reached::by(&steps)),
        Err(reason) => Err(report(seed, &steps, &reason)),
    }
}

fn run(steps: &[Step], with_dump: bool) -> Result<(), String> {
    let (_home, data_dir) = home_and_data_dir();
    let play = if with_dump {
        play::play_and_dump
    } else {
        play::play
    };
    caught(|| play(&data_dir, steps)).map(|_| ())
}

fn report(seed: u64, steps: &[Step], reason: &str) -> String {
    let (shortest, why) = shrink(steps.to_vec(), reason.to_owned());
    format!(
        "seed {seed} failed: {reason}\n  {}\nreplay it with\n  EXACTLY_ONCE_SEED={seed} \
         EXACTLY_ONCE_SEQUENCES=1 cargo test --test it random_sequences\nshortest found: {why}\n  \
         EXACTLY_ONCE_SEQUENCE='{}' cargo test --test it random_sequences",
        notation(steps),
        notation(&shortest),
    )
}

/// Leaves out one step at a time as long as the rest still fails, for any reason.
fn shrink(mut steps: Vec<Step>, mut reason: String) -> (Vec<Step>, String) {
    let mut at = 0;
    while at < steps.len() && steps.len() > 1 {
        let mut shorter = steps.clone();
        shorter.remove(at);
        match run(&shorter, true) {
            // A removal may make an earlier step superfluous too.
            Err(why) => (steps, reason, at) = (shorter, why, 0),
            Ok(()) => at += 1,
        }
    }
    (steps, reason)
}
