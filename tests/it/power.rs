//! Cuts the power of a simulated disk, and checks the state that is left.
//!
//! All that real nodes write and sync below a directory is recorded. From any point of a recording
//! a directory is made as a power cut there may leave it: it has all that was synced, and each
//! 4 KiB page that was not is there, gone or torn. The program must open it, and its state must be
//! the one after some prefix of the requests that has every answered one.
//!
//! `EXACTLY_ONCE_CUTS` is the number of cuts, `EXACTLY_ONCE_SEED` the seed of the first; each cut
//! takes the next one. A seed repeats a cut only if the recorded nodes have the same timing.

pub mod disk;
mod file;
mod log;
mod recording;
mod tally;

use crate::kit::{
    Dump, dump, expect_no_damage, numbered_input, on_all_threads, run_node, scratch_dir, setting,
};
use disk::{Disk, Image, write_image};
use file::PAGE_BYTES;
use log::Event;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use recording::{Fdatasync, Recording, data_dir};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use tally::Tally;

/// One cut in this many goes on, because that takes two more processes.
const CUTS_PER_CONTINUATION: u64 = 4;
/// One cut in this many is verified, because that takes another process.
const CUTS_PER_VERIFICATION: u64 = 3;
/// The simulation has to notice within this many cuts that a sync is missing.
const CUTS_WITHOUT_A_SYNC: u64 = 40;

#[test]
fn after_a_power_cut_the_state_is_that_of_a_prefix_with_every_answered_request() {
    let first = setting("EXACTLY_ONCE_SEED", 1);
    let cuts = setting("EXACTLY_ONCE_CUTS", 200);
    println!("{cuts} power cuts with seeds from {first}");
    let recordings = [&[][..], &["--autocommit"]].map(|arguments| {
        let recording = Recording::make(Fdatasync::Works, arguments);
        println!("{arguments:?}: {recording}");
        recording
    });
    let mut total = Tally::default();
    on_all_threads(
        cuts,
        |number| {
            let seed = first + number;
            let recording = &recordings[number as usize % recordings.len()];
            cut(recording, seed).map_err(|failure| report(seed, &failure))
        },
        |tally| total.add(tally),
    );
    println!("seeds from {first}: {total}");
    total.check();
}

#[test]
fn without_fdatasync_of_the_database_power_cuts_take_answered_requests() {
    expect_losses(&Recording::make(Fdatasync::DoesNothing, &[]));
}

#[test]
fn without_syncs_of_the_directory_power_cuts_take_answered_requests() {
    let recording = Recording::make(Fdatasync::Works, &[]);
    expect_losses(&recording.without_directory_syncs());
}

/// Checks that the simulation finds losses in a recording without some of its syncs.
fn expect_losses(recording: &Recording) {
    let first = setting("EXACTLY_ONCE_SEED", 1);
    let (mut lost, mut refused) = (0, 0);
    on_all_threads(
        CUTS_WITHOUT_A_SYNC,
        |number| match cut(recording, first + number) {
            Err(Failure {
                what: What::Other,
                reason,
                ..
            }) => Err(reason),
            cut => Ok(cut.err()),
        },
        |failure| {
            let counts = failure.filter(|failure| failure.answered > 0);
            let is = |wanted| {
                counts
                    .as_ref()
                    .is_some_and(|failure| failure.what == wanted)
            };
            lost += u64::from(is(What::Lost));
            refused += u64::from(is(What::Refused));
        },
    );
    println!(
        "{CUTS_WITHOUT_A_SYNC} cuts with seeds from {first}: {lost} lost something answered in \
         silence, {refused} were refused"
    );
    assert!(lost + refused > 0, "the simulation found no loss");
}

/// How a cut fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    /// The directory opens without an answered request.
    Lost,
    /// The directory cannot be opened.
    Refused,
    Other,
}

/// A cut that failed, and the disk that it left.
struct Failure {
    what: What,
    /// The number of answered requests.
    answered: usize,
    reason: String,
    image: Image,
}

/// Cuts the power at a point that the seed chooses.
fn cut(recording: &Recording, seed: u64) -> Result<Tally, Failure> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let events = point(recording, seed, &mut rng);
    let mut tally = Tally {
        cuts: 1,
        during_creation: u64::from(events <= recording.creation()),
        before_the_reply: u64::from(recording.is_before_a_reply(events)),
        ..Tally::default()
    };
    let disk = Disk::after(&recording.events[..events]);
    let image = disk.after_power_cut(&mut rng, &mut tally);
    tally.with_a_torn_page = u64::from(tally.torn > 0);
    let home = scratch_dir();
    write_image(&image, home.path());
    let answered = recording.answered(events);
    let data_dir = data_dir(home.path());
    // The client panics if the node hangs, and the report must have the seed then too.
    let judged = catch_unwind(AssertUnwindSafe(|| {
        if seed.is_multiple_of(CUTS_PER_VERIFICATION) {
            expect_no_damage(&data_dir).map_err(|why| (What::Refused, why))?;
        }
        let prefix = judge(recording, answered, &data_dir)?;
        if seed.is_multiple_of(CUTS_PER_CONTINUATION) && prefix.is_certain {
            go_on(recording, prefix.requests, &data_dir).map_err(|why| (What::Other, why))?;
        }
        Ok(prefix.requests)
    }));
    let gave_up = |_| Err((What::Other, "the client gave up, see above".to_owned()));
    let judged = judged.unwrap_or_else(gave_up);
    match judged {
        Ok(prefix) => {
            tally.beyond_the_answered += u64::from(prefix > answered);
            tally.prefixes.insert(prefix);
            Ok(tally)
        }
        Err((what, reason)) => {
            let of = recording.events.len();
            let difference = difference(&image, &disk.cached());
            let reason = format!(
                "seed {seed}, a power cut after event {events} of {of}, with {answered} requests \
                 answered: {reason}\n{difference}"
            );
            Err(Failure {
                what,
                answered,
                reason,
                image,
            })
        }
    }
}

/// Keeps the disk that a cut left, and says how to repeat the cut.
fn report(seed: u64, failure: &Failure) -> String {
    // It is written again, because opening the directory has changed it.
    let kept = scratch_dir().keep();
    write_image(&failure.image, &kept);
    format!(
        "{}kept in {}\nreplay it with\n  EXACTLY_ONCE_SEED={seed} EXACTLY_ONCE_CUTS=1 \
         cargo test --test it power",
        failure.reason,
        kept.display(),
    )
}

/// The number of events before the cut, which falls in turn in the first creation, before a sync
/// returns, after it has returned, after the start of a reply, and anywhere.
fn point(recording: &Recording, seed: u64, rng: &mut impl Rng) -> usize {
    let events = &recording.events;
    let mut one_of = |wanted: fn(&Event) -> bool| {
        let numbered = (0..).zip(events).filter(|(_, event)| wanted(event));
        let numbers: Vec<usize> = numbered.map(|(number, _)| number).collect();
        numbers[rng.random_range(0..numbers.len())]
    };
    let is_synced = |event: &Event| matches!(event, Event::Synced { .. });
    match seed % 5 {
        0 => rng.random_range(0..=recording.creation()),
        1 => one_of(is_synced),
        2 => one_of(is_synced) + 1,
        3 => one_of(|event| matches!(event, Event::Reply { .. })) + 1,
        _ => rng.random_range(0..=events.len()),
    }
}

/// A prefix of the requests whose state was found.
struct Prefix {
    requests: usize,
    /// True if no other state gives the same dump, which shows only the sizes of checkpoints.
    is_certain: bool,
}

/// Opens the directory, and finds the shortest prefix of the requests that has every answered one
/// and gives this state.
fn judge(
    recording: &Recording,
    answered: usize,
    data_dir: &Path,
) -> Result<Prefix, (What, String)> {
    let empty = run_node(data_dir, recording.arguments, "");
    if !empty.status.success() || !empty.stdout.is_empty() || empty.stderr.contains("panicked") {
        let reason = format!("an empty run: {empty:?}");
        return Err((What::Refused, reason));
    }
    let dump = Dump::read(data_dir).map_err(|reason| (What::Refused, reason))?;
    let states = &recording.states;
    let mut fitting = (answered..states.len()).filter(|&prefix| dump.matches(&states[prefix]));
    let Some(requests) = fitting.next() else {
        let earlier = (0..answered).rfind(|&prefix| dump.matches(&states[prefix]));
        let reason = format!("no prefix with all of these fits, of the shorter ones {earlier:?}");
        return Err((What::Lost, reason));
    };
    let is_certain = fitting.all(|prefix| states[prefix] == states[requests]);
    Ok(Prefix {
        requests,
        is_certain,
    })
}

/// Sends the requests after the prefix that was found, and compares the state at their end.
fn go_on(recording: &Recording, prefix: usize, data_dir: &Path) -> Result<(), String> {
    let input = numbered_input(prefix as u64, &recording.requests[prefix..]);
    let finished = run_node(data_dir, recording.arguments, input);
    if !finished.status.success() {
        return Err(format!("going on failed: {finished:?}"));
    }
    let last = recording.states.last().expect("it is never empty");
    let went_on = dump::check(data_dir, last);
    went_on.map_err(|reason| format!("going on after {prefix} requests: {reason}"))
}

/// Lists where an image differs from the files that processes saw before the cut.
fn difference(image: &Image, cached: &Image) -> String {
    let mut text = String::new();
    for (name, content) in cached {
        let (Some(Some(found)), Some(content)) = (image.get(name), content) else {
            if !image.contains_key(name) {
                text += &format!("  {name}: gone\n");
            }
            continue;
        };
        let page =
            |content: &[u8], number| content.chunks(PAGE_BYTES).nth(number).map(<[_]>::to_vec);
        let pages = 0..content.len().max(found.len()).div_ceil(PAGE_BYTES);
        let others: Vec<_> = pages
            .filter(|&number| page(content, number) != page(found, number))
            .collect();
        if !others.is_empty() {
            let (now, before) = (found.len(), content.len());
            text += &format!("  {name}: {now} of {before} bytes, not the same pages: {others:?}\n");
        }
    }
    for name in image.keys().filter(|name| !cached.contains_key(*name)) {
        text += &format!("  {name}: there again\n");
    }
    text
}
