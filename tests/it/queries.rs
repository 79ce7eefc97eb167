//! The commands that show one part of a state: `outputs`, `checkpoints` and `get`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::kit::{
    Node, Snapshot, carry_out, checkpoint, event, exit, home_and_data_dir, names, record_in,
    records_in, restore, run_on, scratch_dir,
};
use crate::oracle::{Oracle, Output, Request};

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Released {
    offset: u64,
    commit: u64,
    event_id: String,
    word: String,
    count: u64,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Found {
    event_id: String,
    in_state: bool,
    position: Option<u64>,
    word: Option<String>,
    count: Option<u64>,
    released: bool,
}

/// Requests that leave events in several timelines, several commits, and pending outputs.
fn requests() -> Vec<Request> {
    let events = |numbers: std::ops::Range<u64>| {
        numbers.map(|number| event(format!("e{number}"), format!("w{}", number % 7)))
    };
    let mut requests = vec![checkpoint("empty")];
    requests.extend(events(0..20));
    requests.push(Request::Commit);
    requests.extend(events(20..30));
    requests.push(checkpoint("later"));
    requests.push(restore("empty"));
    requests.extend(events(10..40).step_by(3));
    requests.push(Request::Commit);
    requests.push(checkpoint("between"));
    requests.push(restore("later"));
    requests.extend(events(40..45));
    requests.extend([Request::Rollback, Request::Commit]);
    requests.extend(events(50..51));
    requests.push(Request::Commit);
    requests.extend(events(60..64));
    requests
}

/// Carries out the requests in a directory whose index has runs of a few events, and returns the
/// oracle after them.
fn made(data_dir: &Path) -> Oracle {
    let requests = requests();
    let oracle = Oracle::after(&requests);
    carry_out(data_dir, &["--run-every", "4"], requests);
    oracle
}

fn outputs(data_dir: &Path, arguments: &[&str]) -> Vec<Released> {
    records_in(&run_on("outputs", data_dir, arguments).expect_quiet_success())
}

/// The output log according to the oracle.
fn expected(oracle: &Oracle) -> Vec<Released> {
    let sizes = oracle.commit_sizes().iter().zip(1_u64..);
    let commits = sizes.flat_map(|(&size, commit)| std::iter::repeat_n(commit, size));
    let log = oracle.log().iter().zip(commits).zip(0..);
    let released = |((output, commit), offset): ((&Output, u64), u64)| Released {
        offset,
        commit,
        event_id: output.event_id.clone(),
        word: output.word.clone(),
        count: output.count,
    };
    log.map(released).collect()
}

#[test]
fn outputs_are_the_log_from_any_offset_on_and_no_further_than_the_limit() {
    let (_home, data_dir) = home_and_data_dir();
    let oracle = made(&data_dir);
    let log = expected(&oracle);
    assert!(log.last().is_some_and(|last| last.commit == 3) && !oracle.pending().is_empty());
    let before = Snapshot::of(&data_dir);
    assert_eq!(outputs(&data_dir, &[]), log);
    for from in [0, 1, 19, 20, 21, 25, log.len() - 1, log.len()] {
        for limit in [0, 1, 7, 100] {
            let arguments = [from.to_string(), limit.to_string()];
            let shown = outputs(
                &data_dir,
                &["--from", &arguments[0], "--limit", &arguments[1]],
            );
            let until = log.len().min(from + limit);
            assert_eq!(shown, log[from..until], "from {from}, at most {limit}");
        }
    }
    assert_eq!(Snapshot::of(&data_dir), before, "a query changes nothing");
}

#[test]
fn an_offset_beyond_the_end_is_refused_with_where_the_end_is() {
    let (_home, data_dir) = home_and_data_dir();
    let end = made(&data_dir).log().len();
    let from = (end + 1).to_string();
    let refused = run_on("outputs", &data_dir, &["--from", &from]);
    assert_eq!((refused.code(), &*refused.stdout), (Some(exit::USAGE), ""));
    let told = format!("no output {from}: the log ends before {end}");
    assert!(refused.stderr.contains(&told), "{}", refused.stderr);
}

#[test]
fn get_finds_what_the_state_has_of_an_id_and_of_a_word() {
    let (_home, data_dir) = home_and_data_dir();
    let oracle = made(&data_dir);
    let mut positions = Vec::new();
    for number in 0..66 {
        let id = format!("e{number}");
        let shown = run_on("get", &data_dir, &[&id]).expect_quiet_success();
        let found: Found = record_in(&shown);
        assert_eq!(found.word.as_deref(), oracle.word_of(&id), "{shown}");
        assert_eq!(found.in_state, oracle.word_of(&id).is_some(), "{shown}");
        assert_eq!(found.released, oracle.is_released(&id), "{shown}");
        assert_eq!(found.event_id, id);
        assert_eq!(
            found.in_state,
            found.position.is_some() && found.count.is_some()
        );
        positions.extend(found.position.zip(found.count));
    }
    let seen = |record: &Value| {
        let is_in_state = record["in_state"].as_bool().expect("it says so");
        is_in_state.then(|| record["position"].as_u64().expect("a number"))
    };
    let dumped = run_on("dump", &data_dir, &["--only", "events"]).expect_records();
    let dumped: Vec<u64> = dumped.iter().filter_map(seen).collect();
    let mut found: Vec<u64> = positions.iter().map(|(position, _)| *position).collect();
    found.sort_unstable();
    assert_eq!(
        found, dumped,
        "each event of the state is found at its position"
    );
    for number in 0..9 {
        let word = format!("w{number}");
        let shown = run_on("get", &data_dir, &["--word", &word]);
        let count = oracle.counts().get(&word).copied().unwrap_or(0);
        let expected = format!("{{\"word\":\"{word}\",\"count\":{count}}}\n");
        assert_eq!(shown.expect_quiet_success(), expected);
    }
}

#[test]
fn counts_come_with_the_most_frequent_word_first_whether_a_node_runs_or_not() {
    let (_home, data_dir) = home_and_data_dir();
    let oracle = made(&data_dir);
    let mut all: Vec<(&String, u64)> = oracle.counts().iter().map(|(w, &c)| (w, c)).collect();
    all.sort_by(|(w1, c1), (w2, c2)| c2.cmp(c1).then(w1.cmp(w2)));
    assert!(all.first().map(|first| first.1) > all.last().map(|last| last.1));
    let record =
        |&(word, count): &(&String, u64)| json!({"type": "count", "word": word, "count": count});
    let all: Vec<Value> = all.iter().map(record).collect();
    let check = || {
        let shown = |arguments: &[&str]| run_on("counts", &data_dir, arguments).expect_records();
        assert_eq!(shown(&[]), all);
        for top in [0, 1, 3, all.len(), 100] {
            let expected = &all[..top.min(all.len())];
            assert_eq!(shown(&["--top", &top.to_string()]), expected);
        }
        let one: Vec<&Value> = all.iter().filter(|count| count["word"] == "w3").collect();
        assert_eq!(shown(&["--prefix", "w3"]).iter().collect::<Vec<_>>(), one);
        assert_eq!(shown(&["--prefix", "v"]), [] as [Value; 0]);
    };
    check();
    let _node = Node::start(Some(&data_dir), &[]);
    check();
}

#[test]
fn a_table_of_counts_fits_on_a_screen_and_says_if_there_are_more() {
    let (_home, data_dir) = home_and_data_dir();
    let counted = |words: u64| {
        let events = (0..words).map(|number| event(format!("e{number}"), format!("w{number}")));
        carry_out(&data_dir, &["-q"], events);
        run_on("counts", &data_dir, &["--format", "table"]).expect_quiet_success()
    };
    let whole = counted(20);
    assert_eq!(whole.lines().count(), 21, "{whole}");
    let cut = counted(21);
    assert_eq!(cut.lines().count(), 22, "{cut}");
    assert!(
        cut.ends_with("\nThere are more words; --top N shows N of them.\n"),
        "{cut}"
    );
    let asked = run_on("counts", &data_dir, &["--format", "table", "--top", "30"]);
    assert_eq!(asked.expect_quiet_success().lines().count(), 22);
}

/// The number of these events that carry each word.
fn counted(events: &BTreeMap<String, String>) -> BTreeMap<&str, u64> {
    let mut counts = BTreeMap::new();
    for word in events.values() {
        *counts.entry(&**word).or_default() += 1;
    }
    counts
}

fn records(data_dir: &Path, arguments: &[&str]) -> Vec<Value> {
    run_on("checkpoints", data_dir, arguments).expect_records()
}

#[test]
fn checkpoints_are_listed_and_shown_with_what_they_have() {
    let (_home, data_dir) = home_and_data_dir();
    let oracle = made(&data_dir);
    let listed = records(&data_dir, &["list"]);
    let expected: Vec<_> = oracle.checkpoints().collect();
    assert_eq!(listed.len(), expected.len());
    for (listed, expected) in listed.iter().zip(expected) {
        assert_eq!(listed["name"], *expected.name);
        assert_eq!(listed["events"], expected.events);
        assert_eq!(listed["pending"], expected.pending_unreleased);
        let time = listed["created_at"].as_str().expect("a time");
        assert!(time.starts_with("20") && time.ends_with('Z'), "{time}");
        let shown = records(&data_dir, &["show", &expected.name]);
        assert_eq!(shown[0], *listed);
        let counts: Vec<_> = counted(oracle.events(Some(&expected.name)))
            .into_iter()
            .map(|(word, count)| json!({"type": "count", "word": word, "count": count}))
            .collect();
        assert_eq!(shown[1..], counts);
    }
}

#[test]
fn checkpoints_differ_by_their_events_wherever_these_are_in_the_journal() {
    let (_home, data_dir) = home_and_data_dir();
    let oracle = made(&data_dir);
    for (first, second) in [
        ("empty", None),
        ("later", None),
        ("later", Some("empty")),
        ("between", Some("later")),
        ("later", Some("later")),
    ] {
        let arguments: Vec<&str> = ["diff", first].into_iter().chain(second).collect();
        let shown = records(&data_dir, &arguments);
        let (a, b) = (oracle.events(Some(first)), oracle.events(second));
        let both = a.keys().filter(|id| b.contains_key(*id)).count();
        let mut expected = vec![json!({
            "type": "events",
            "only_in_first": a.len() - both,
            "only_in_second": b.len() - both,
            "in_both": both,
        })];
        let (a, b) = (counted(a), counted(b));
        let words: BTreeSet<&str> = a.keys().chain(b.keys()).copied().collect();
        for word in words {
            let count = |counts: &BTreeMap<&str, u64>| counts.get(word).copied().unwrap_or(0);
            let (first, second) = (count(&a), count(&b));
            if first != second {
                expected.push(json!({
                    "type": "count_differs", "word": word, "first": first, "second": second,
                }));
            }
        }
        assert_eq!(shown, expected, "{first} and {second:?}");
    }
}

#[test]
fn an_unknown_checkpoint_is_refused_by_its_name() {
    let (_home, data_dir) = home_and_data_dir();
    made(&data_dir);
    for action in [&["show", "nothing"][..], &["diff", "later", "nothing"]] {
        let refused = run_on("checkpoints", &data_dir, action);
        assert_eq!((refused.code(), &*refused.stdout), (Some(exit::USAGE), ""));
        assert!(
            refused.stderr.contains("no checkpoint \"nothing\""),
            "{}",
            refused.stderr
        );
    }
}

#[test]
fn a_directory_without_state_is_refused_and_not_created() {
    let home = scratch_dir();
    let data_dir = home.path().join("none");
    for (name, arguments) in [("outputs", &[][..]), ("get", &["e1"])] {
        let refused = run_on(name, &data_dir, arguments);
        assert_eq!(
            refused.code(),
            Some(exit::UNUSABLE),
            "{name}: {}",
            refused.stderr
        );
        assert_eq!(names(home.path()).len(), 0);
    }
}
