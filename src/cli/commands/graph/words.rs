//! The description and the time of a milestone.

use exactly_once::inspect::{Milestone, time_of};

use crate::cli::streams::printable::printable;

/// Describes a milestone in a few words.
pub(super) fn sentence(milestone: &Milestone) -> String {
    match milestone {
        Milestone::Checkpoint {
            name,
            position,
            reached,
            events,
            ..
        } => {
            let state = state(*position, *reached, *events);
            format!("checkpoint {}, {state}", printable(name))
        }
        Milestone::Commit {
            commit, outputs, ..
        } => format!("commit {commit}, {}", counted(*outputs, "output")),
        Milestone::Restore {
            checkpoint,
            reached,
            events_left,
            events_back,
            ..
        } => {
            let change = change(*reached, *events_left, *events_back);
            format!("restore {}: {change}", printable(checkpoint))
        }
        Milestone::Rollback {
            reached,
            events_left,
            ..
        } => format!("rollback: {}", change(*reached, *events_left, 0)),
        Milestone::Present {
            position,
            reached,
            events,
        } => format!("present state, {}", state(*position, *reached, *events)),
    }
}

/// The time of a milestone in RFC 3339, UTC; `None` for the present state.
pub(super) fn time(milestone: &Milestone) -> Option<String> {
    let ms = match *milestone {
        Milestone::Checkpoint { at_ms, .. }
        | Milestone::Commit { at_ms, .. }
        | Milestone::Restore { at_ms, .. }
        | Milestone::Rollback { at_ms, .. } => at_ms,
        Milestone::Present { .. } => return None,
    };
    Some(humantime::format_rfc3339_seconds(time_of(ms)).to_string())
}

/// The number of events of a state, and its last position if that is before the head.
fn state(position: u64, reached: u64, events: u64) -> String {
    match (events, reached) {
        (0, _) => "no events".to_owned(),
        (_, reached) if reached == position => counted(events, "event"),
        _ => format!("{} up to {reached}", counted(events, "event")),
    }
}

/// Describes where a restore or a rollback leads, and what it changes.
fn change(reached: u64, dropped: u64, brought_back: u64) -> String {
    let to = match reached {
        0 => "back to nothing".to_owned(),
        _ => format!("back to {reached}"),
    };
    let dropped_events = counted(dropped, "event");
    match (dropped, brought_back) {
        (0, 0) => format!("{to}, nothing changed"),
        (_, 0) => format!("{to}, {dropped_events} dropped"),
        (0, _) => format!("{to}, {} brought back", counted(brought_back, "event")),
        _ => format!("{to}, {dropped_events} dropped, {brought_back} brought back"),
    }
}

fn counted(count: u64, noun: &str) -> String {
    match count {
        1 => format!("1 {noun}"),
        _ => format!("{count} {noun}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn restore(reached: u64, events_left: u64, events_back: u64) -> String {
        sentence(&Milestone::Restore {
            checkpoint: "a\x1b[2J".to_owned(),
            position: 50,
            reached,
            events_left,
            events_back,
            at_ms: 0,
        })
    }

    #[test]
    fn a_restore_says_what_it_changed_and_steers_no_terminal() {
        let name = r"restore a\u{1b}[2J: ";
        let said = [
            (restore(40, 0, 0), "back to 40, nothing changed"),
            (restore(40, 1, 0), "back to 40, 1 event dropped"),
            (restore(40, 0, 2), "back to 40, 2 events brought back"),
            (
                restore(40, 3, 1),
                "back to 40, 3 events dropped, 1 brought back",
            ),
            (restore(0, 3, 0), "back to nothing, 3 events dropped"),
        ];
        for (said, expected) in said {
            assert_eq!(said, format!("{name}{expected}"));
        }
    }

    #[test]
    fn a_time_beyond_the_year_9999_is_its_end() {
        let commit = |at_ms| Milestone::Commit {
            commit: 1,
            position: 1,
            outputs: 1,
            at_ms,
        };
        let (first, last) = (time(&commit(0)), time(&commit(u64::MAX)));
        assert_eq!(first.as_deref(), Some("1970-01-01T00:00:00Z"));
        assert_eq!(last.as_deref(), Some("9999-12-31T23:59:59Z"));
    }
}
