//! Sorts the milestones of a history in the order in which they happened.

use std::collections::BTreeMap;

use exactly_once::inspect::Milestone;

/// A restore or a rollback.
#[derive(Debug, Clone, Copy)]
struct Switch {
    reached: u64,
    at_ms: u64,
}

/// The sort key of a milestone: its position, then its place among the switches made there, as each
/// of them leads to another state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    position: u64,
    /// How many switches were made at this position before it.
    switches_before: usize,
    is_switch: bool,
    at_ms: u64,
    is_checkpoint: bool,
}

/// The place of the present state, which comes last.
const LAST: Place = Place {
    position: u64::MAX,
    switches_before: usize::MAX,
    is_switch: true,
    at_ms: u64::MAX,
    is_checkpoint: true,
};

/// Sorts milestones. The commits and the switches must each be in order already, as in a history.
///
/// Times are compared only where nothing else decides: requests that were read together have the
/// same time, and clocks are set back.
pub(super) fn in_order(milestones: Vec<Milestone>) -> Vec<Milestone> {
    let mut switches: BTreeMap<u64, Vec<Switch>> = BTreeMap::new();
    for (position, made) in milestones.iter().filter_map(switch_of) {
        switches.entry(position).or_default().push(made);
    }
    let mut counts: BTreeMap<u64, usize> = BTreeMap::new();
    let place = |milestone: Milestone| {
        let place = match switch_of(&milestone) {
            None => place_among(&switches, &milestone),
            Some((position, made)) => {
                let count = counts.entry(position).or_default();
                let switches_before = std::mem::replace(count, *count + 1);
                Place {
                    position,
                    switches_before,
                    is_switch: true,
                    at_ms: made.at_ms,
                    is_checkpoint: false,
                }
            }
        };
        (place, milestone)
    };
    let mut placed: Vec<(Place, Milestone)> = milestones.into_iter().map(place).collect();
    placed.sort_by_key(|(place, _)| *place);
    placed.into_iter().map(|(_, milestone)| milestone).collect()
}

/// A restore or a rollback, and its position.
fn switch_of(milestone: &Milestone) -> Option<(u64, Switch)> {
    match *milestone {
        Milestone::Restore {
            position,
            reached,
            at_ms,
            ..
        }
        | Milestone::Rollback {
            position,
            reached,
            at_ms,
            ..
        } => Some((position, Switch { reached, at_ms })),
        _ => None,
    }
}

/// The place of a checkpoint, a commit or the present state among the switches.
fn place_among(switches: &BTreeMap<u64, Vec<Switch>>, milestone: &Milestone) -> Place {
    let (position, reached, at_ms) = match *milestone {
        Milestone::Checkpoint {
            position,
            reached,
            at_ms,
            ..
        } => (position, Some(reached), at_ms),
        Milestone::Commit {
            position, at_ms, ..
        } => (position, None, at_ms),
        _ => return LAST,
    };
    let here = switches.get(&position).map_or(&[][..], Vec::as_slice);
    Place {
        position,
        switches_before: switches_before(here, position, reached, at_ms),
        is_switch: false,
        at_ms,
        is_checkpoint: reached.is_some(),
    }
}

/// Returns how many of the switches at a position were made before a milestone. They must lead to
/// its state, if that is known. The first such number that fits its time is taken, else the last.
fn switches_before(switches: &[Switch], position: u64, reached: Option<u64>, at_ms: u64) -> usize {
    let reached_after = |count: usize| match count.checked_sub(1) {
        None => position,
        Some(last) => switches[last].reached,
    };
    let mut possible = (0..=switches.len())
        .filter(|&count| reached.is_none_or(|reached| reached == reached_after(count)));
    let in_time = possible
        .clone()
        .find(|&count| switches.get(count).is_none_or(|next| at_ms <= next.at_ms));
    in_time.or(possible.next_back()).unwrap_or(switches.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint(name: &str, position: u64, reached: u64, at_ms: u64) -> Milestone {
        Milestone::Checkpoint {
            name: name.to_owned(),
            position,
            reached,
            events: reached,
            at_ms,
        }
    }

    fn rollback(position: u64, reached: u64, at_ms: u64) -> Milestone {
        Milestone::Rollback {
            position,
            reached,
            events_left: 1,
            at_ms,
        }
    }

    fn commit(commit: u64, position: u64, at_ms: u64) -> Milestone {
        Milestone::Commit {
            commit,
            position,
            outputs: 1,
            at_ms,
        }
    }

    fn present(position: u64) -> Milestone {
        Milestone::Present {
            position,
            reached: position,
            events: position,
        }
    }

    #[track_caller]
    fn assert_order(shuffled: Vec<Milestone>, expected: Vec<Milestone>) {
        assert_eq!(in_order(shuffled), expected);
    }

    #[test]
    fn milestones_go_by_position_and_the_present_state_is_last() {
        let (late, early) = (checkpoint("a", 20, 20, 1), checkpoint("b", 10, 10, 2));
        assert_order(
            vec![
                present(20),
                late.clone(),
                early.clone(),
                commit(1, 15, 9),
                rollback(18, 15, 9),
            ],
            vec![
                early,
                commit(1, 15, 9),
                rollback(18, 15, 9),
                late,
                present(20),
            ],
        );
    }

    #[test]
    fn at_one_time_a_commit_comes_before_a_checkpoint_and_both_before_a_move() {
        let saved = checkpoint("a", 10, 10, 5);
        assert_order(
            vec![saved.clone(), commit(1, 10, 5), rollback(10, 4, 5)],
            vec![commit(1, 10, 5), saved, rollback(10, 4, 5)],
        );
    }

    #[test]
    fn a_checkpoint_comes_after_the_move_that_led_to_its_state_whatever_the_clock_says() {
        let (at_7, at_4) = (checkpoint("a", 10, 7, 1), checkpoint("b", 10, 4, 5));
        let (to_7, to_4) = (rollback(10, 7, 5), rollback(10, 4, 5));
        assert_order(
            vec![at_7.clone(), at_4.clone(), to_7.clone(), to_4.clone()],
            vec![to_7, at_7, to_4, at_4],
        );
    }

    #[test]
    fn moves_stay_in_their_order_when_the_clock_is_set_back() {
        let (first, second) = (rollback(10, 7, 500), rollback(10, 4, 2));
        assert_order(
            vec![first.clone(), second.clone()],
            vec![first.clone(), second.clone()],
        );
    }
}
