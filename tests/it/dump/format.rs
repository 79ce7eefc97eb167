//! The form of a dump: strict types of every line, their order, times, and tables.

use super::{requests, send, without_digest};
use crate::kit::{dump_of, event, home_and_data_dir, records_in};
use crate::oracle::Request;
use serde::Deserialize;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// A line of a dump; it may have no other member.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
enum Line {
    Meta {
        name: String,
        value: serde_json::Value,
    },
    Count {
        word: String,
        count: u64,
    },
    Checkpoint {
        name: String,
        events: u64,
        pending: u64,
        position: u64,
        outputs: u64,
        timeline: Vec<(u64, u64)>,
        created_at_ms: Option<u64>,
    },
    Commit {
        commit: u64,
        first_offset: u64,
        outputs: u64,
        position: u64,
        committed_at_ms: Option<u64>,
    },
    Switch {
        number: u64,
        kind: String,
        checkpoint: Option<String>,
        position: u64,
        reached: u64,
        events_left: u64,
        events_back: u64,
        last_commit: u64,
        made_at_ms: Option<u64>,
    },
    Output {
        status: String,
        offset: Option<u64>,
        commit: Option<u64>,
        position: u64,
        event_id: String,
        word: String,
        count: u64,
    },
    Event {
        position: u64,
        event_id: String,
        word: String,
        count: u64,
        in_state: bool,
        settled: bool,
    },
}

fn lines(data_dir: &Path, arguments: &[&str]) -> Vec<Line> {
    let dumped = dump_of(data_dir, arguments);
    let is_part = arguments.contains(&"--only");
    match is_part {
        true => records_in(&dumped),
        false => records_in(without_digest(&dumped)),
    }
}

/// The sort key of a line: its section, and its place there.
fn place(line: &Line) -> (usize, bool, u64, &str) {
    match line {
        Line::Meta { .. } => (0, false, 0, ""),
        Line::Count { word, .. } => (1, false, 0, word),
        Line::Checkpoint { name, .. } => (2, false, 0, name),
        Line::Commit { commit, .. } => (3, false, *commit, ""),
        Line::Output {
            offset, position, ..
        } => (5, offset.is_none(), offset.unwrap_or(*position), ""),
        Line::Switch { number, .. } => (4, false, *number, ""),
        Line::Event { position, .. } => (6, false, *position, ""),
    }
}

#[test]
fn every_line_is_of_a_known_type_and_in_its_place() {
    let (_home, data_dir) = home_and_data_dir();
    send(&data_dir, &requests());
    let lines = lines(&data_dir, &[]);
    let places: Vec<_> = lines.iter().map(place).collect();
    assert!(places.is_sorted(), "{places:?}");
    let after_meta = places.iter().filter(|place| place.0 > 0);
    assert!(
        after_meta.is_sorted_by(|a, b| a < b),
        "a line is there twice"
    );
    for section in 0..7 {
        let size = places.iter().filter(|place| place.0 == section).count();
        assert!(size > 1, "section {section} has {size}");
    }
}

/// The value of a figure in the section `meta`.
fn meta(lines: &[Line], wanted: &str) -> Option<u64> {
    lines.iter().find_map(|line| match line {
        Line::Meta { name, value } if name == wanted => value.as_u64(),
        _ => None,
    })
}

#[test]
fn the_figures_are_the_sums_of_the_sections() {
    let (_home, data_dir) = home_and_data_dir();
    send(&data_dir, &requests());
    let lines = lines(&data_dir, &[]);
    let sum = |of: &dyn Fn(&Line) -> u64| Some(lines.iter().map(of).sum::<u64>());
    let meta = |wanted: &str| meta(&lines, wanted);
    let in_state = |line: &Line| matches!(line, Line::Event { in_state: true, .. }).into();
    let counted = |line: &Line| match line {
        Line::Count { count, .. } => *count,
        _ => 0,
    };
    assert_eq!(meta("events"), sum(&counted));
    assert_eq!(meta("events"), sum(&in_state));
    let seen = |line: &Line| matches!(line, Line::Event { .. }).into();
    assert_eq!(meta("position"), sum(&seen));
    let committed = |line: &Line| {
        matches!(line, Line::Output { status, commit: Some(_), .. } if status == "released").into()
    };
    let pending = |line: &Line| {
        matches!(line, Line::Output { status, commit: None, .. } if status == "pending").into()
    };
    let released = |line: &Line| match line {
        Line::Commit { outputs, .. } => *outputs,
        _ => 0,
    };
    assert_eq!(meta("outputs"), sum(&committed));
    assert_eq!(meta("outputs"), sum(&released));
    assert_eq!(meta("pending"), sum(&pending));
}

#[test]
fn each_line_agrees_with_those_before_it_and_with_the_figures() {
    let (_home, data_dir) = home_and_data_dir();
    send(&data_dir, &requests());
    let lines = lines(&data_dir, &[]);
    let (mut next_offset, mut settled_events) = (0, 0);
    for line in &lines {
        match line {
            Line::Commit {
                first_offset,
                outputs,
                position,
                ..
            } => {
                assert_eq!(*first_offset, next_offset);
                next_offset += outputs;
                assert!(next_offset <= *position, "each has an event before it");
            }
            Line::Output { count, .. } => assert!(*count > 0),
            Line::Event { settled, count, .. } => {
                assert!(*count > 0);
                settled_events += u64::from(*settled);
            }
            _ => check_movement(line, &lines),
        }
    }
    assert!(settled_events >= next_offset, "a released event is settled");
}

/// Checks a line of a checkpoint or of a switch.
fn check_movement(line: &Line, lines: &[Line]) {
    let most = |wanted| meta(lines, wanted).unwrap_or_default();
    match line {
        Line::Checkpoint {
            events,
            pending,
            position,
            outputs,
            timeline,
            ..
        } => {
            assert!(*outputs <= most("outputs"));
            let sizes = timeline.iter().map(|(first, last)| last - first + 1);
            assert_eq!(sizes.sum::<u64>(), *events);
            assert!(pending <= events);
            assert!(timeline.iter().all(|(_, last)| last <= position));
        }
        Line::Switch {
            kind,
            checkpoint,
            position,
            reached,
            events_left,
            events_back,
            last_commit,
            ..
        } => {
            assert_eq!(kind == "restore", checkpoint.is_some());
            assert!(reached <= position && events_left + events_back <= *position);
            assert!(*last_commit <= most("last_commit"));
        }
        _ => {}
    }
}

#[test]
fn incidentals_are_times_and_two_figures_and_nothing_else_changes() {
    let now_ms = || {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.expect("the clock is set").as_millis() as u64
    };
    let (_home, data_dir) = home_and_data_dir();
    let began = now_ms();
    send(&data_dir, &requests());
    let ended = now_ms();
    let mut times = 0;
    let mut shown = |time: Option<u64>| {
        let time = time.expect("the time was asked for");
        assert!((began..=ended).contains(&time), "{began} {time} {ended}");
        times += 1;
    };
    for line in lines(&data_dir, &["--incidentals"]) {
        match line {
            Line::Checkpoint { created_at_ms, .. } => shown(created_at_ms),
            Line::Commit {
                committed_at_ms, ..
            } => shown(committed_at_ms),
            Line::Switch { made_at_ms, .. } => shown(made_at_ms),
            _ => {}
        }
    }
    assert_eq!(times, 3 + 2 + 2, "checkpoints, commits and switches");
    for line in lines(&data_dir, &[]) {
        let (Line::Checkpoint {
            created_at_ms: time,
            ..
        }
        | Line::Commit {
            committed_at_ms: time,
            ..
        }
        | Line::Switch {
            made_at_ms: time, ..
        }) = line
        else {
            continue;
        };
        assert_eq!(time, None);
    }
    let stripped: String = without_digest(&dump_of(&data_dir, &["--incidentals"]))
        .lines()
        .filter(|line| !line.contains(r#""groups""#) && !line.contains(r#""fingerprint_seed""#))
        .map(|line| without_time(line) + "\n")
        .collect();
    assert_eq!(stripped, without_digest(&dump_of(&data_dir, &[])));
}

/// A line without its last member, if that is a time.
fn without_time(line: &str) -> String {
    match line.rsplit_once(",\"") {
        Some((start, last)) if last.contains("_at_ms\":") => format!("{start}}}"),
        _ => line.to_owned(),
    }
}

#[test]
fn a_table_shows_the_same_words() {
    let (_home, data_dir) = home_and_data_dir();
    let unusual = ["\u{fc}ber", "\u{65e5}\u{672c}", "\"", "a|b", "two words"];
    let mut requests = requests();
    requests.extend(unusual.map(|word| event(format!("id of {word}"), word)));
    send(&data_dir, &requests);
    for section in ["counts", "outputs", "events", "checkpoints"] {
        let table = dump_of(&data_dir, &["--only", section, "--format", "table"]);
        for line in lines(&data_dir, &["--only", section]) {
            let cells = match line {
                Line::Count { word, count } => vec![word, count.to_string()],
                Line::Checkpoint { name, events, .. } => vec![name, events.to_string()],
                Line::Output { event_id, word, .. } | Line::Event { event_id, word, .. } => {
                    vec![event_id, word]
                }
                Line::Meta { .. } | Line::Commit { .. } | Line::Switch { .. } => {
                    panic!("not in {section}")
                }
            };
            let is_row = |row: &str| cells.iter().all(|cell| row.contains(&**cell));
            assert!(table.lines().any(is_row), "{cells:?} is not in {table}");
        }
    }
}

#[test]
fn a_table_of_nothing_says_so() {
    let (_home, data_dir) = home_and_data_dir();
    send(&data_dir, &[Request::Commit]);
    for section in [
        "counts",
        "outputs",
        "events",
        "checkpoints",
        "commits",
        "switches",
    ] {
        let table = dump_of(&data_dir, &["--only", section, "--format", "table"]);
        assert_eq!(table, format!("{section}: none\n"));
    }
}

#[test]
fn words_that_would_steer_a_terminal_are_escaped_in_a_table() {
    let (_home, data_dir) = home_and_data_dir();
    send(&data_dir, &[event("e\u{1b}[2J", "w\u{1b}]0;title\u{7}\r")]);
    for section in ["counts", "outputs", "events"] {
        let table = dump_of(&data_dir, &["--only", section, "--format", "table"]);
        let control = table.chars().find(|c| c.is_control() && *c != '\n');
        assert_eq!(control, None, "{section}: {table:?}");
    }
}
