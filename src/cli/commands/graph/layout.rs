//! Where everything is drawn: rows in order, and a column and a lane for each branch.
//!
//! Where branches part, the one with the latest step goes on in the column of both. So the first
//! column leads to the present state, and no column goes on after its last row.

use std::cmp::Reverse;

use exactly_once::inspect::Milestone;

use super::order::in_order;
use super::walk::{Run, Step, Stretch, Walk, What};

/// A history as it is drawn.
#[derive(Debug)]
pub(super) struct Layout {
    /// From the oldest to the newest.
    pub(super) rows: Vec<Row>,
    /// The first one leads to the present state.
    pub(super) branches: Vec<Branch>,
    /// The parts of the journal along which branches are drawn.
    pub(super) runs: Vec<Run>,
    /// The positions of the journal that are drawn.
    pub(super) from: u64,
    pub(super) to: u64,
    /// Number of milestones before the first row.
    pub(super) left_out: usize,
}

/// A line of the drawing.
#[derive(Debug)]
pub(super) struct Row {
    /// The head of the journal then.
    pub(super) position: u64,
    /// The branch that the state was on then.
    pub(super) branch: usize,
    pub(super) what: What,
    /// The branch that begins here, parting from this one.
    pub(super) parting: Option<usize>,
    /// Where it leads, if it is a restore or a rollback.
    pub(super) target: Option<Target>,
}

/// The point that a restore or a rollback leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) branch: usize,
    pub(super) position: u64,
}

/// A branch, which is drawn as one line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Branch {
    /// Its column in a text; no other branch has it in the same rows.
    pub(super) column: usize,
    /// Its lane in an SVG file; no other branch has it at the same positions.
    pub(super) lane: usize,
    pub(super) first_row: usize,
    pub(super) last_row: usize,
}

impl Layout {
    /// Lays out the newest milestones of a history, at most `limit`, and the present state.
    pub(super) fn new(milestones: Vec<Milestone>, limit: usize) -> Self {
        let walk = Walk::along(in_order(milestones));
        let (first, left_out) = first_shown(&walk.steps, limit);
        let from = match first.checked_sub(1) {
            None => 0,
            Some(before) => walk.steps[before].position,
        };
        let (chains, chain_of) = chains(&walk.stretches);
        let is_shown = |&chain: &usize| chains[chain].last_step >= first;
        let shown: Vec<usize> = (0..chains.len()).filter(is_shown).collect();
        let branch_of = |stretch: usize| shown.binary_search(&chain_of[stretch]).ok();
        let steps = walk.steps[first..].iter();
        let mut rows: Vec<Row> = steps
            .filter_map(|step| row(step, from, branch_of))
            .collect();
        let chains: Vec<Chain> = shown.iter().map(|&chain| chains[chain]).collect();
        for (branch, chain) in chains.iter().enumerate() {
            if chain.has_parted && chain.first_step >= first {
                rows[chain.first_step - first].parting = Some(branch);
            }
        }
        let runs = walk.runs.iter().filter_map(|run| {
            let (on, from) = (branch_of(run.on)?, run.from.max(from));
            (from < run.to).then_some(Run { on, from, ..*run })
        });
        Self {
            rows,
            runs: runs.collect(),
            branches: branches(&chains, first, from),
            from,
            to: walk.head,
            left_out,
        }
    }
}

/// The first step that is shown, and how many milestones come before it.
fn first_shown(steps: &[Step], limit: usize) -> (usize, usize) {
    let is_milestone = |what: &What| matches!(what, What::Milestone(_));
    let is_limited = |what: &What| {
        is_milestone(what) && !matches!(what, What::Milestone(Milestone::Present { .. }))
    };
    let count = steps.iter().filter(|step| is_limited(&step.what)).count();
    let left_out = count.saturating_sub(limit);
    if left_out == 0 {
        return (0, 0);
    }
    let mut milestones = (0..steps.len()).filter(|&step| is_milestone(&steps[step].what));
    (milestones.nth(left_out).unwrap_or(steps.len()), left_out)
}

fn row(step: &Step, from: u64, branch_of: impl Fn(usize) -> Option<usize>) -> Option<Row> {
    let target = step.landing.and_then(|landing| {
        let passed = branch_of(landing.passed).filter(|_| landing.reached >= from);
        Some(Target {
            branch: passed.or(branch_of(landing.kept))?,
            position: landing.reached.max(from),
        })
    });
    Some(Row {
        position: step.position,
        branch: branch_of(step.stretch)?,
        what: step.what.clone(),
        parting: None,
        target,
    })
}

/// Stretches that are drawn as one branch, each the heir of the one before.
#[derive(Debug, Clone, Copy)]
struct Chain {
    has_parted: bool,
    first_step: usize,
    last_step: usize,
    from: u64,
    to: u64,
}

/// The chains, in the order of their first stretches, and the chain of each stretch.
fn chains(stretches: &[Stretch]) -> (Vec<Chain>, Vec<usize>) {
    let heirs = heirs(stretches);
    let mut chains: Vec<Chain> = Vec::new();
    let mut chain_of = Vec::with_capacity(stretches.len());
    for (id, stretch) in stretches.iter().enumerate() {
        let inherited = stretch.parent.filter(|&parent| heirs[parent] == Some(id));
        let Some(parent) = inherited else {
            chain_of.push(chains.len());
            chains.push(Chain {
                has_parted: stretch.parent.is_some(),
                first_step: stretch.first_step,
                last_step: stretch.last_step,
                from: stretch.from,
                to: stretch.to,
            });
            continue;
        };
        let chain = chain_of[parent];
        chain_of.push(chain);
        chains[chain].last_step = stretch.last_step;
        chains[chain].to = stretch.to;
    }
    (chains, chain_of)
}

/// The heir of each stretch: of its children, the one with the latest step, counting the steps of
/// all descendants. A child comes after its parent.
fn heirs(stretches: &[Stretch]) -> Vec<Option<usize>> {
    let mut heard_of: Vec<usize> = stretches.iter().map(|s| s.last_step).collect();
    let mut heirs: Vec<Option<usize>> = vec![None; stretches.len()];
    for (id, stretch) in stretches.iter().enumerate().rev() {
        let Some(parent) = stretch.parent else {
            continue;
        };
        heard_of[parent] = heard_of[parent].max(heard_of[id]);
        let is_later = heirs[parent].is_none_or(|heir| heard_of[heir] < heard_of[id]);
        if is_later {
            heirs[parent] = Some(id);
        }
    }
    heirs
}

/// Gives the shown chains their places. `first` is the first step, `from` the first position.
fn branches(chains: &[Chain], first: usize, from: u64) -> Vec<Branch> {
    let rows = |chain: &Chain| {
        let first_row = chain.first_step.saturating_sub(first);
        (first_row, chain.last_step - first)
    };
    let columns = places(&chains.iter().map(rows).collect::<Vec<_>>());
    let positions = |chain: &Chain| (chain.from.max(from), chain.to.max(from));
    let lanes = places(&chains.iter().map(positions).collect::<Vec<_>>());
    let placed = columns.into_iter().zip(lanes);
    chains
        .iter()
        .zip(placed)
        .map(|(chain, (column, lane))| {
            let (first_row, last_row) = rows(chain);
            Branch {
                column,
                lane,
                first_row,
                last_row,
            }
        })
        .collect()
}

/// Gives each extent the lowest place that no overlapping or touching extent has. Of those with the
/// same start, the longest gets the lowest.
fn places<T: Ord + Copy>(extents: &[(T, T)]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..extents.len()).collect();
    order.sort_by_key(|&extent| (extents[extent].0, Reverse(extents[extent].1)));
    let mut ends: Vec<T> = Vec::new();
    let mut places = vec![0; extents.len()];
    for extent in order {
        let (start, end) = extents[extent];
        let place = ends.iter().position(|&taken_to| taken_to < start);
        places[extent] = place.unwrap_or(ends.len());
        match place {
            Some(place) => ends[place] = end,
            None => ends.push(end),
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::super::sample::{History, random, saved_twice};
    use super::super::walk::RunKind;
    use super::*;

    /// The column of each row, and of the branch that parts there.
    fn columns(layout: &Layout) -> Vec<(usize, Option<usize>)> {
        let column = |branch: usize| layout.branches[branch].column;
        let rows = layout.rows.iter();
        rows.map(|row| (column(row.branch), row.parting.map(column)))
            .collect()
    }

    /// The branch, start, end and kind of each run.
    fn runs(layout: &Layout) -> Vec<(usize, u64, u64, RunKind)> {
        let runs = layout.runs.iter();
        runs.map(|run| (run.on, run.from, run.to, run.kind))
            .collect()
    }

    fn target(branch: usize, position: u64) -> Option<Target> {
        Some(Target { branch, position })
    }

    #[test]
    fn an_empty_history_has_only_the_present_state() {
        let layout = Layout::new(History::default().end(), 100);
        assert_eq!(columns(&layout), [(0, None)]);
        assert_eq!((layout.from, layout.to, layout.left_out), (0, 0, 0));
        assert!(layout.runs.is_empty());
        let nothing = Layout::new(Vec::new(), 100);
        assert!(nothing.rows.is_empty());
    }

    #[test]
    fn a_history_without_moves_is_one_line() {
        let mut history = History::default();
        history.accept(10).checkpoint("a").accept(5).commit();
        let layout = Layout::new(history.end(), 100);
        assert_eq!(columns(&layout), [(0, None), (0, None), (0, None)]);
        assert_eq!(runs(&layout), [(0, 0, 15, RunKind::Events)]);
    }

    #[test]
    fn a_restore_leaves_a_branch_aside() {
        let mut history = History::default();
        history.accept(10).checkpoint("a").accept(30).restore("a");
        history.accept(5);
        let layout = Layout::new(history.end(), 100);
        assert_eq!(columns(&layout), [(0, Some(1)), (1, None), (0, None)]);
        assert_eq!(layout.rows[1].target, target(0, 10));
        assert_eq!(
            runs(&layout),
            [
                (0, 0, 10, RunKind::Events),
                (1, 10, 40, RunKind::Events),
                (0, 10, 40, RunKind::Kept),
                (0, 40, 45, RunKind::Events),
            ]
        );
    }

    #[test]
    fn a_restore_of_a_newer_checkpoint_goes_forward_to_its_branch() {
        let mut history = History::default();
        history
            .accept(10)
            .checkpoint("a")
            .accept(30)
            .checkpoint("b");
        history.restore("a").accept(5).restore("b").accept(5);
        let layout = Layout::new(history.end(), 100);
        let rows = [
            (0, Some(1)), // a
            (0, None),    // b
            (0, None),    // restore a
            (1, None),    // restore b
            (0, None),    // the present state
        ];
        assert_eq!(columns(&layout), rows);
        assert_eq!(layout.rows[3].target, target(0, 40));
        assert!(runs(&layout).contains(&(1, 10, 40, RunKind::Kept)));
        assert!(runs(&layout).contains(&(0, 40, 45, RunKind::Kept)));
    }

    #[test]
    fn a_rollback_to_nothing_parts_at_position_0() {
        let mut history = History::default();
        history.accept(10).rollback().accept(5);
        let layout = Layout::new(history.end(), 100);
        assert_eq!(columns(&layout), [(0, Some(1)), (1, None), (0, None)]);
        assert_eq!(layout.rows[0].what, What::Parting);
        assert_eq!(layout.rows[0].position, 0);
        assert_eq!(layout.rows[1].target, target(0, 0));
    }

    #[test]
    fn a_point_without_a_milestone_gets_a_row() {
        let mut history = History::default();
        history.accept(10).checkpoint("a").accept(30).restore("a");
        history.accept(5).delete("a");
        let layout = Layout::new(history.end(), 100);
        assert_eq!(columns(&layout), [(0, Some(1)), (1, None), (0, None)]);
        assert_eq!(layout.rows[0].what, What::Parting);
        assert_eq!(layout.rows[0].position, 10);
    }

    #[test]
    fn rollbacks_one_after_the_other_take_two_columns() {
        let mut history = History::default();
        for _ in 0..50 {
            history.accept(10).commit().accept(10).rollback();
        }
        let layout = Layout::new(history.end(), 100);
        let two = [(0, Some(1)), (1, None)];
        let last = [(0, None)];
        let expected: Vec<_> = two.repeat(50).into_iter().chain(last).collect();
        assert_eq!(columns(&layout), expected);
        assert!(layout.branches.iter().all(|branch| branch.lane < 2));
    }

    #[test]
    fn restores_of_one_checkpoint_again_and_again_take_two_columns() {
        let mut history = History::default();
        history.accept(10).checkpoint("a");
        for _ in 0..50 {
            history.accept(10).restore("a");
        }
        let layout = Layout::new(history.end(), 100);
        assert!(layout.branches.iter().all(|branch| branch.column < 2));
    }

    #[test]
    fn restores_within_what_a_restore_left_have_columns_of_their_own() {
        let mut history = saved_twice();
        history.accept(10).restore("b").accept(10).restore("a");
        let layout = Layout::new(history.end(), 100);
        let rows = [
            (0, Some(1)), // a
            (1, Some(2)), // b
            (2, None),    // restore b
            (1, None),    // restore a
            (0, None),    // the present state
        ];
        assert_eq!(columns(&layout), rows);
    }

    #[test]
    fn moves_at_one_position_stay_apart() {
        let mut history = saved_twice();
        history.restore("a").restore("b").restore("b").restore("a");
        history.checkpoint("c").accept(5);
        let layout = Layout::new(history.end(), 100);
        let targets: Vec<_> = layout.rows.iter().filter_map(|row| row.target).collect();
        let positions: Vec<u64> = targets.iter().map(|target| target.position).collect();
        assert_eq!(positions, [10, 20, 20, 10]);
        let rows = [
            (0, Some(1)), // a
            (1, None),    // b
            (1, None),    // restore a
            (0, None),    // restore b
            (1, None),    // restore b
            (1, None),    // restore a
            (0, None),    // c
            (0, None),    // the present state
        ];
        assert_eq!(columns(&layout), rows);
    }

    #[test]
    fn a_limit_keeps_the_newest_and_what_they_go_back_to() {
        let mut history = saved_twice();
        history.accept(10).restore("a").accept(10).checkpoint("c");
        let layout = Layout::new(history.end(), 2);
        assert_eq!(layout.left_out, 2);
        assert_eq!((layout.from, layout.to), (20, 40));
        assert_eq!(columns(&layout), [(1, None), (0, None), (0, None)]);
        assert_eq!(layout.rows[0].target, target(0, 20));
        let only_present = Layout::new(
            Vec::from([Milestone::Present {
                position: 3,
                reached: 3,
                events: 3,
            }]),
            0,
        );
        assert_eq!(only_present.rows.len(), 1);
    }

    #[test]
    fn whatever_happened_no_two_branches_share_a_place() {
        let (mut moves, mut partings, mut empty_visits) = (0, 0, 0);
        for seed in 0..500 {
            let milestones = random(seed);
            for limit in [usize::MAX, 7, 0] {
                let layout = Layout::new(milestones.clone(), limit);
                assert_apart(&layout, seed);
                moves += layout
                    .rows
                    .iter()
                    .filter(|row| row.target.is_some())
                    .count();
                partings += layout.rows.iter().filter(|r| r.parting.is_some()).count();
                empty_visits += layout
                    .rows
                    .windows(2)
                    .filter(|two| two.iter().all(|row| row.target.is_some()))
                    .filter(|two| two[0].position == two[1].position)
                    .count();
            }
        }
        assert!(moves > 1000 && partings > 1000 && empty_visits > 100);
    }

    #[track_caller]
    fn assert_apart(layout: &Layout, seed: u64) {
        for (index, row) in layout.rows.iter().enumerate() {
            let alive = layout.branches.iter().enumerate();
            let alive = alive.filter(|(_, b)| (b.first_row..=b.last_row).contains(&index));
            let (alive, mut columns): (Vec<usize>, Vec<usize>) =
                alive.map(|(id, branch)| (id, branch.column)).unzip();
            assert!(alive.contains(&row.branch), "seed {seed}, row {index}");
            let parting = row.parting.is_none_or(|parting| alive.contains(&parting));
            assert!(
                parting && row.parting != Some(row.branch),
                "seed {seed}, row {index}"
            );
            columns.sort_unstable();
            columns.dedup();
            assert_eq!(columns.len(), alive.len(), "seed {seed}, row {index}");
        }
        let last = layout.rows.last().expect("there is the present state");
        let place = layout.branches[last.branch];
        assert_eq!(
            (last.branch, place.column, place.lane),
            (0, 0, 0),
            "seed {seed}"
        );
        for (index, run) in layout.runs.iter().enumerate() {
            for other in &layout.runs[index + 1..] {
                let is_together = run.from < other.to && other.from < run.to;
                let lane = |run: &Run| layout.branches[run.on].lane;
                let is_apart = !is_together || lane(run) != lane(other);
                assert!(is_apart, "seed {seed}: {run:?} and {other:?}");
            }
        }
    }
}
