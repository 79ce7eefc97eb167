//! A message names the cure that fits the command, says that an empty input is empty, and is in
//! words.

use crate::kit::{
    CallHome, Node, SocketClient, binary, event_line, exit, home_and_data_dir, on_directory,
    printing_calls, run, run_on, scratch_dir, without_number,
};
use std::fs;

#[test]
fn a_command_that_needs_a_state_is_told_to_name_the_one_there_is_and_not_to_make_one() {
    for call in printing_calls() {
        let needs_a_state =
            call.iter().any(|word| word == "STATE") && !["run", "send"].contains(&&*call[0]);
        if !needs_a_state {
            continue;
        }
        let home = CallHome::new("state");
        let state = home.path("STATE");
        fs::remove_dir_all(&state).expect("it is ours");
        fs::create_dir(&state).expect("the name is free");
        fs::write(state.join("foreign"), "mine").expect("there is room");
        let finished = home.call(binary(), &call);
        let told = finished.expect_refusal(exit::UNUSABLE);
        assert!(
            told.contains("`exactly-once run` or `serve` was given"),
            "{call:?}: {told}"
        );
        assert!(!told.contains("new"), "{call:?}: {told}");
    }
}

#[test]
fn a_copy_that_has_no_place_is_told_so_in_words_that_fit_the_command() {
    let home = CallHome::new("state");
    let used = home.path("NEW");
    fs::create_dir(&used).expect("the name is free");
    fs::write(used.join("foreign"), "mine").expect("there is room");
    for call in [
        &["backup", "NEW", "--data-dir", "STATE"][..],
        &["load", "DUMP", "--data-dir", "NEW"],
    ] {
        let finished = home.call(binary(), call);
        let told = finished.expect_refusal(exit::UNUSABLE);
        let cure = "is not empty; name a directory that does not exist yet, or an empty one";
        assert!(told.ends_with(cure), "{told}");
    }
}

#[test]
fn an_input_without_any_request_is_told_to_be_empty_unless_only_errors_are_wanted() {
    const SAID: &str = "exactly-once: standard input was empty: no request was read; `exactly-once \
                        serve` needs no standard input\n";
    let (home, data_dir) = home_and_data_dir();
    let told = |arguments: &[&str], input: &str| -> String {
        let finished = run(&mut on_directory("run", &data_dir, arguments), input);
        let finished = finished.expect_status(exit::SUCCESS);
        assert_eq!(finished.stdout.trim(), "");
        finished.stderr
    };
    for nothing in ["", "\n", " \r\n\n"] {
        assert_eq!(told(&[], nothing), SAID);
        assert_eq!(told(&["-q"], nothing), "");
    }
    let unnumbered = without_number(&event_line(1, "e", "w"), 1);
    assert_ne!(unnumbered, event_line(1, "e", "w"));
    assert_eq!(told(&[], &format!("{unnumbered}\n")), "");
    // A signal is not the end of the input, so no message comes.
    let stopped = Node::start_as(&mut on_directory("run", &data_dir, &[]));
    drop(SocketClient::connect(&data_dir));
    stopped.signal(rustix::process::Signal::TERM);
    stopped.wait().expect_quiet_success();
    let load = run_on("load", &home.path().join("copy"), &[]);
    assert!(
        load.expect_refusal(exit::INPUT_OR_OUTPUT)
            .contains("the input is empty")
    );
}

#[test]
fn how_a_run_begins_and_ends_is_told_in_words() {
    let home = scratch_dir();
    let node = Node::start(Some(&home.path().join("data")), &["-v"]);
    node.ask(&event_line(1, "e", "w"));
    let told = node.finish().stderr;
    for words in [
        "data: durable to position 0, 0 pending outputs",
        "1 events accepted, 0 duplicates, 0 conflicts, 1 pending outputs, durable to position 1",
    ] {
        assert!(told.contains(words), "{told}");
    }
    assert!(!told.contains(['{', '}']), "{told}");
}
