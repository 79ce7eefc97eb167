//! Section 4, row by row, and the sequences that expose wrong shortcuts.
//!
//! The oracle checks all replies of every sequence and a dump at its end; the literal replies here
//! check the oracle too. The `msg_id` of a request is the number of its step.

use super::{answers, with_body};
use crate::kit::{ErrorReply, accepted, duplicate, event_line, restored, scratch_dir};
use crate::model::play::play_and_dump;
use crate::model::sequence::parse;
use crate::oracle::cases::CASES;
use crate::oracle::wire::object;
use std::collections::BTreeMap;

/// The last reply to a sequence that is played on a new state.
fn last_reply(sequence: &str) -> String {
    let dir = scratch_dir();
    let played = play_and_dump(&dir.path().join("data"), &parse(sequence));
    let played = played.unwrap_or_else(|reason| panic!("{sequence}\n{reason}"));
    played.last_reply.expect("a sequence has a request")
}

fn conflict(msg_id: u64, word: &str, count: u64, original_word: &str) -> String {
    let end = format!(r#"true, "original_word": "{original_word}"}}"#);
    accepted(msg_id, word, count).replace("false}", &end)
}

fn committed(msg_id: u64, output_count: u64) -> String {
    format!(r#"{{"type": "committed", "in_reply_to": {msg_id}, "output_count": {output_count}}}"#)
}

fn rolled_back(msg_id: u64, discarded: u64) -> String {
    format!(r#"{{"type": "rolled_back", "in_reply_to": {msg_id}, "discarded_count": {discarded}}}"#)
}

#[test]
fn a_new_event_adds_one_to_the_count_of_its_word() {
    assert_eq!(
        last_reply("p e1 a; p e2 a; p e3 b; p e4 a"),
        accepted(4, "a", 3)
    );
}

#[test]
fn a_duplicate_changes_nothing_and_has_the_count_of_now() {
    assert_eq!(last_reply("p e1 a; p e2 a; p e1 a"), duplicate(3, "a", 2));
}

#[test]
fn a_duplicate_stays_one_after_its_output_was_committed() {
    assert_eq!(last_reply("p e1 a; k; p e1 a"), duplicate(3, "a", 1));
    assert_eq!(last_reply("p e1 a; k; p e1 a; k"), committed(4, 0));
}

#[test]
fn a_duplicate_id_with_a_different_word_names_the_original_word() {
    assert_eq!(
        last_reply("p e1 a; p e2 b; p e3 b; p e1 b"),
        conflict(4, "b", 2, "a")
    );
}

#[test]
fn a_conflict_with_a_word_never_counted_has_count_zero_and_counts_nothing() {
    assert_eq!(last_reply("p e1 a; p e1 b"), conflict(2, "b", 0, "a"));
    assert_eq!(
        last_reply("p e1 a; p e1 b; p e1 b"),
        conflict(3, "b", 0, "a")
    );
    assert_eq!(
        last_reply("p e1 a; p e1 b; c c0; r c0"),
        restored(4, r#"{"a": 1}"#)
    );
}

#[test]
fn a_checkpoint_commits_nothing() {
    assert_eq!(last_reply("p e1 a; c c0; k"), committed(3, 1));
}

#[test]
fn a_checkpoint_name_used_again_is_replaced() {
    assert_eq!(
        last_reply("p e1 a; c c0; p e2 b; c c0; b; r c0"),
        restored(6, r#"{"a": 1, "b": 1}"#)
    );
}

#[test]
fn a_checkpoint_of_nothing_restores_to_nothing() {
    assert_eq!(last_reply("c c0; p e1 a; r c0"), restored(3, "{}"));
}

#[test]
fn a_restore_takes_seen_ids_counts_and_pending_outputs_back_together() {
    let back = "p e1 a; c c0; p e2 a; p e3 b; r c0";
    assert_eq!(last_reply(back), restored(5, r#"{"a": 1}"#));
    assert_eq!(last_reply(&format!("{back}; p e1 a")), duplicate(6, "a", 1));
    assert_eq!(last_reply(&format!("{back}; k")), committed(6, 1));
}

#[test]
fn an_event_accepted_after_the_checkpoint_is_new_again_after_the_restore() {
    assert_eq!(
        last_reply("p e1 a; c c0; p e2 a; r c0; p e2 a"),
        accepted(5, "a", 2)
    );
    assert_eq!(
        last_reply("p e1 a; c c0; p e2 a; r c0; p e2 a; k"),
        committed(6, 2)
    );
    assert_eq!(
        last_reply("p e1 a; c c0; p e2 a; r c0; p e2 b"),
        accepted(5, "b", 1)
    );
}

#[test]
fn a_restore_drops_pending_outputs_that_no_checkpoint_has() {
    assert_eq!(last_reply("c c0; p e1 a; r c0; k"), committed(4, 0));
    assert_eq!(
        last_reply("c c0; p e1 a; c c1; r c0; r c1; k"),
        committed(6, 1)
    );
}

#[test]
fn restored_words_come_in_byte_order_and_leave_out_zero_counts() {
    let words = ["b", "a", "é", "Z", "\u{1f600}", "\u{ffff}", "aa", " ", "~"];
    let mut lines: Vec<_> = (1..)
        .zip(words)
        .map(|(number, word)| event_line(number, word, word))
        .collect();
    lines.push(with_body(r#"{"type":"checkpoint","checkpoint_id":"c"}"#));
    lines.push(event_line(90, "gone", "gone"));
    lines.push(with_body(
        r#"{"type":"restore","msg_id":91,"checkpoint_id":"c"}"#,
    ));
    let expected = "{\" \": 1, \"Z\": 1, \"a\": 1, \"aa\": 1, \"b\": 1, \"~\": 1, \"é\": 1, \
                    \"\u{ffff}\": 1, \"\u{1f600}\": 1}";
    assert_eq!(answers(&lines).pop(), Some(restored(91, expected)));
}

#[test]
fn a_restored_line_may_be_longer_than_a_request_may_be() {
    let words: Vec<_> = (0..1200).map(|number| format!("{number:01024}")).collect();
    let mut lines: Vec<_> = words
        .iter()
        .map(|word| event_line(1, word.trim_start(), word))
        .collect();
    lines
        .iter_mut()
        .zip(0..)
        .for_each(|(line, n)| *line = event_line(1, &format!("e{n}"), &words[n]));
    lines.push(with_body(r#"{"type":"checkpoint","checkpoint_id":"c"}"#));
    lines.push(with_body(
        r#"{"type":"restore","msg_id":2,"checkpoint_id":"c"}"#,
    ));
    let counts: BTreeMap<_, _> = words.iter().map(|word| (&**word, "1".to_owned())).collect();
    let last = answers(&lines).pop().expect("there are replies");
    assert!(last.len() > 1 << 20);
    assert_eq!(last, restored(2, &object(counts)));
}

#[test]
fn a_released_output_is_never_released_twice() {
    let sent_again = "c c0; p e1 a; k; r c0; p e1 a";
    assert_eq!(last_reply(sent_again), accepted(5, "a", 1));
    assert_eq!(last_reply(&format!("{sent_again}; k")), committed(6, 0));
    assert_eq!(last_reply(&format!("{sent_again}; b")), rolled_back(6, 0));
    assert_eq!(
        last_reply(&format!("{sent_again}; p e2 a; k")),
        committed(7, 1)
    );
}

#[test]
fn an_event_released_before_counts_again_with_the_word_now_sent() {
    assert_eq!(
        last_reply("c c0; p e1 a; k; r c0; p e1 b"),
        accepted(5, "b", 1)
    );
    assert_eq!(
        last_reply("c c0; p e1 a; k; r c0; p e1 b; p e1 a"),
        conflict(6, "a", 0, "b")
    );
    assert_eq!(
        last_reply("c c0; p e1 a; k; r c0; p e1 b; k"),
        committed(6, 0)
    );
}

#[test]
fn newer_checkpoints_stay_after_restoring_an_older_one() {
    let there = "c c0; p e1 a; c c1; p e2 b; c c2; r c0; r c2";
    assert_eq!(last_reply(there), restored(7, r#"{"a": 1, "b": 1}"#));
    assert_eq!(
        last_reply(&format!("{there}; r c1; p e2 a")),
        accepted(9, "a", 2)
    );
}

#[test]
fn a_restored_checkpoint_has_pending_only_what_no_commit_has_released_since() {
    assert_eq!(last_reply("p e1 a; c c0; k; r c0; k"), committed(5, 0));
    assert_eq!(
        last_reply("p e1 a; c c0; p e2 a; k; r c0; k"),
        committed(6, 0)
    );
    assert_eq!(
        last_reply("c c1; p e1 a; p e2 a; c c0; r c1; p e2 a; k; r c0; k"),
        committed(9, 1)
    );
}

#[test]
fn restoring_an_unknown_checkpoint_is_error_20_and_changes_nothing() {
    let reply = ErrorReply::of(&last_reply("p e1 a; r c0"));
    assert_eq!((reply.code, reply.in_reply_to), (20, Some(2)));
    assert_eq!(
        last_reply("p e1 a; c c1; p e2 a; r c0; p e2 a"),
        duplicate(5, "a", 2)
    );
}

#[test]
fn a_commit_releases_everything_pending_in_acceptance_order() {
    assert_eq!(
        last_reply("p e3 c; p e1 a; p e2 b; p e1 a; k"),
        committed(5, 3)
    );
    assert_eq!(last_reply("p e3 c; k; p e1 a; p e2 b; k"), committed(5, 2));
}

#[test]
fn a_commit_of_nothing_succeeds_with_zero() {
    assert_eq!(last_reply("k"), committed(1, 0));
    assert_eq!(last_reply("p e1 a; k; k"), committed(3, 0));
}

#[test]
fn a_rollback_makes_the_events_it_discards_new_again() {
    assert_eq!(last_reply("p e1 a; p e2 a; b"), rolled_back(3, 2));
    assert_eq!(last_reply("p e1 a; p e2 a; b; p e2 a"), accepted(4, "a", 1));
    assert_eq!(last_reply("p e1 a; b; p e1 b"), accepted(3, "b", 1));
    assert_eq!(last_reply("p e1 a; b; c c0; r c0"), restored(4, "{}"));
}

#[test]
fn a_rollback_keeps_events_without_a_pending_output() {
    assert_eq!(
        last_reply("p e1 a; k; p e2 a; b; p e1 a"),
        duplicate(5, "a", 1)
    );
    assert_eq!(
        last_reply("c c0; p e1 a; k; r c0; p e2 b; p e1 a; b; p e1 a"),
        duplicate(8, "a", 1)
    );
}

#[test]
fn a_rollback_of_nothing_succeeds_with_zero() {
    assert_eq!(last_reply("b"), rolled_back(1, 0));
    assert_eq!(last_reply("p e1 a; k; b"), rolled_back(3, 0));
}

#[test]
fn a_checkpoint_survives_a_rollback_and_brings_its_outputs_back() {
    assert_eq!(last_reply("p e1 a; c c0; b; r c0; k"), committed(5, 1));
    assert_eq!(
        last_reply("p e1 a; c c0; b; p e1 a; k; r c0; k"),
        committed(7, 0)
    );
}

#[test]
fn a_restored_output_keeps_the_count_that_its_reply_gave() {
    // The dump at the end compares the count in the log: e2 had count 2 when first accepted.
    assert_eq!(
        last_reply("p e1 a; p e2 a; c c0; b; p e2 a; r c0; k"),
        committed(7, 2)
    );
}

#[test]
fn state_checkpoints_and_outputs_survive_a_clean_restart_and_a_kill() {
    for stop in ["x", "X"] {
        let start = format!("p e1 a; k; p e2 a; c c0; p e3 b; {stop}");
        assert_eq!(
            last_reply(&format!("{start}; p e3 b")),
            duplicate(7, "b", 1)
        );
        assert_eq!(
            last_reply(&format!("{start}; p e1 b")),
            conflict(7, "b", 1, "a")
        );
        assert_eq!(last_reply(&format!("{start}; k")), committed(7, 2));
        assert_eq!(last_reply(&format!("{start}; b")), rolled_back(7, 2));
        assert_eq!(
            last_reply(&format!("{start}; r c0")),
            restored(7, r#"{"a": 2}"#)
        );
        assert_eq!(
            last_reply(&format!("{start}; r c0; {stop}; k")),
            committed(9, 1)
        );
    }
}

/// Plays the row with real restarts at each `x`, and once more with a restart after every step.
fn check_case(shortcut: &str) {
    let case = CASES
        .iter()
        .find(|case| case.shortcut == shortcut)
        .expect("the row is there");
    let steps = case.sequence.split(';').count();
    assert_eq!(last_reply(case.sequence), case.reply_to(steps));
    let restarting = case.sequence.replace("; x", "").replace("; ", "; x; ");
    let number = restarting.split(';').count();
    assert_eq!(last_reply(&restarting), case.reply_to(number));
}

#[test]
fn an_id_may_stand_at_several_positions() {
    check_case("an index that keeps one position an id");
}

#[test]
fn accepting_an_id_looks_at_every_older_position() {
    check_case("looking only at the newest older position when accepting");
}

#[test]
fn a_released_id_stays_released_whatever_word_it_is_sent_with() {
    check_case("comparing words when an id was released before");
}

#[test]
fn restoring_looks_at_every_position_of_an_id() {
    check_case("looking only at the newest position when restoring");
}

#[test]
fn a_rollback_is_no_cut_of_the_timeline_at_the_last_commit() {
    check_case("rollback as a cut of the timeline at the last commit");
}

#[test]
fn a_commit_takes_only_what_is_pending_of_what_came_since_the_last_one() {
    check_case("a commit that takes everything since the last one");
}

#[test]
fn what_was_settled_without_a_commit_stays_settled_after_a_start() {
    check_case("settled positions rebuilt from the commits at start");
}

#[test]
fn after_a_start_ids_outside_the_timeline_are_known_too() {
    check_case("after a start, an index of the timeline only");
}

#[test]
fn a_restore_discards_nothing_that_came_later() {
    check_case("a restore that discards what came later");
}
