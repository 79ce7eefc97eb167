//! Conflicts are reported on stderr, with the two words.

use crate::kit::{checkpoint, event, exit, home_and_data_dir, numbered_input, restore, run_node};
use crate::oracle::Request;

/// Returns what a node prints on stderr for these requests on a new state.
fn said(requests: &[Request], arguments: &[&str]) -> String {
    let (_home, data_dir) = home_and_data_dir();
    let finished =
        run_node(&data_dir, arguments, numbered_input(1, requests)).expect_status(exit::SUCCESS);
    assert_eq!(finished.stdout.lines().count(), requests.len());
    finished.stderr
}

/// Releases the output of an id, restores to before its event, and sends it with `word`.
fn sent_again_after_release(word: &str) -> Vec<Request> {
    vec![
        checkpoint("before"),
        event("e7", "former"),
        Request::Commit,
        restore("before"),
        event("e7", word),
    ]
}

fn expect_one_line(stderr: &str, parts: &[&str]) {
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    for part in parts {
        assert!(stderr.contains(part), "{part}: {stderr}");
    }
}

#[test]
fn a_duplicate_id_with_another_word_is_told_with_both_words() {
    let requests = [event("e7", "former"), event("e7", "latter")];
    let parts = ["conflict", "e7", "former", "latter"];
    expect_one_line(&said(&requests, &[]), &parts);
}

#[test]
fn a_released_id_sent_again_after_a_restore_with_another_word_is_told_with_both_words() {
    let requests = sent_again_after_release("latter");
    let parts = ["conflict", "e7", "former", "latter"];
    expect_one_line(&said(&requests, &[]), &parts);
}

#[test]
fn the_same_word_again_is_no_conflict() {
    assert_eq!(said(&[event("e7", "a"), event("e7", "a")], &[]), "");
    assert_eq!(said(&sent_again_after_release("former"), &[]), "");
}

#[test]
fn a_quiet_run_tells_no_conflict() {
    for quiet in ["--quiet", "-q"] {
        let duplicate = [event("e7", "former"), event("e7", "latter")];
        assert_eq!(said(&duplicate, &[quiet]), "");
        assert_eq!(said(&sent_again_after_release("latter"), &[quiet]), "");
    }
}

#[test]
fn words_cannot_forge_further_lines_of_the_log() {
    let requests = [
        event("e7", "former"),
        event("e7", "latter\nWARN \u{1b}[2Jforged"),
    ];
    let stderr = said(&requests, &[]);
    expect_one_line(&stderr, &["conflict", "latter"]);
    assert!(!stderr.contains('\u{1b}'), "{stderr:?}");
}
