//! Draws a layout as text: a line for each row, the oldest first, with the branches side by side.

use exactly_once::inspect::Milestone;

use super::layout::{Layout, Row};
use super::walk::What;
use super::words;

/// At most this many branches are drawn side by side, so that a line of a terminal has room for the
/// description too. A sign says that there are more.
const MAX_COLUMNS: usize = 12;

const MORE: char = '…';
const KEPT: char = '┊';
const ACROSS: char = '─';

/// The titles of the columns.
const POSITION: &str = "position";
const BRANCHES: &str = "branches";
const TIME: &str = "time";
const WHAT: &str = "what";

/// The width of a time.
const TIME_WIDTH: usize = "1970-01-01T00:00:00Z".len();

/// Draws a layout. Each line ends with a newline.
pub(super) fn draw(layout: &Layout) -> String {
    let graphs = graphs(layout);
    let branches_width = graphs.iter().map(|graph| graph.chars().count()).max();
    let widths = Widths {
        position: POSITION.len().max(layout.to.to_string().len()),
        branches: BRANCHES.len().max(branches_width.unwrap_or(0)),
    };
    let mut drawing = widths.line(POSITION, BRANCHES, TIME, WHAT);
    if layout.left_out > 0 {
        let count = layout.left_out;
        let said = format!("{count} earlier ones left out, --limit shows more");
        drawing += &widths.line("", "", "", &said);
    }
    let mut last = None;
    for (row, graph) in layout.rows.iter().zip(&graphs) {
        let position = row.position.to_string();
        drawing += &match &row.what {
            What::Milestone(milestone) => {
                let time = words::time(milestone).unwrap_or_default();
                widths.line(&position, graph, &time, &words::sentence(milestone))
            }
            What::Parting if last == Some(row.position) => widths.line("", graph, "", ""),
            What::Parting => widths.line(&position, graph, "", ""),
        };
        last = Some(row.position);
    }
    drawing
}

/// The widths of the columns that depend on their content.
struct Widths {
    position: usize,
    branches: usize,
}

impl Widths {
    fn line(&self, position: &str, graph: &str, time: &str, what: &str) -> String {
        let Self {
            position: position_width,
            branches,
        } = *self;
        let line =
            format!("{position:>position_width$}  {graph:<branches$}  {time:<TIME_WIDTH$}  {what}");
        format!("{}\n", line.trim_end())
    }
}

/// Draws the branches of each row.
fn graphs(layout: &Layout) -> Vec<String> {
    let mut beginning: Vec<usize> = (0..layout.branches.len()).collect();
    beginning.sort_by_key(|&branch| layout.branches[branch].first_row);
    let mut beginning = beginning.into_iter().peekable();
    let mut alive: Vec<usize> = Vec::new();
    let mut graphs = Vec::with_capacity(layout.rows.len());
    for (index, row) in layout.rows.iter().enumerate() {
        alive.retain(|&branch| layout.branches[branch].last_row >= index);
        while let Some(branch) = beginning.next_if(|&b| layout.branches[b].first_row <= index) {
            alive.push(branch);
        }
        let column = |branch: usize| layout.branches[branch].column;
        let columns: Vec<usize> = alive.iter().map(|&branch| column(branch)).collect();
        graphs.push(graph(
            row,
            column(row.branch),
            row.parting.map(column),
            &columns,
        ));
    }
    graphs
}

/// Draws one row: its sign, the branch that parts there, and the columns of all other branches.
fn graph(row: &Row, column: usize, parting: Option<usize>, columns: &[usize]) -> String {
    // Each column, and the gap after it.
    let mut cells = [' '; 2 * MAX_COLUMNS];
    let mut set = |cell: usize, character: char| {
        if let Some(cell) = cells.get_mut(cell) {
            *cell = character;
        }
    };
    if let Some(parting) = parting {
        let (left, right) = (column.min(parting), column.max(parting));
        let between = (2 * left + 1)..(2 * right).min(2 * MAX_COLUMNS);
        between.for_each(|cell| set(cell, ACROSS));
    }
    columns.iter().for_each(|&column| set(2 * column, KEPT));
    if let Some(parting) = parting {
        set(2 * parting, if parting > column { '╮' } else { '╭' });
    }
    let sign = sign(&row.what, parting.map(|parting| parting > column));
    set(2 * column, sign);
    let mut graph: String = cells.into_iter().collect();
    if columns.iter().any(|&column| column >= MAX_COLUMNS) {
        graph.push(MORE);
    }
    if column >= MAX_COLUMNS {
        graph.extend([' ', sign]);
    }
    graph.truncate(graph.trim_end().len());
    graph
}

/// The sign of a row. A branch that parts there goes to the right or to the left.
fn sign(what: &What, parts_to_the_right: Option<bool>) -> char {
    let milestone = match (what, parts_to_the_right) {
        (What::Milestone(milestone), _) => milestone,
        (What::Parting, Some(false)) => return '┤',
        (What::Parting, _) => return '├',
    };
    match milestone {
        Milestone::Checkpoint { .. } => '●',
        Milestone::Commit { .. } => '◆',
        Milestone::Restore { .. } => '◀',
        Milestone::Rollback { .. } => '◁',
        Milestone::Present { .. } => '◉',
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{History, random, saved_twice};
    use super::*;

    #[track_caller]
    fn assert_drawn(history: &History, limit: usize, expected: &str) {
        let drawing = draw(&Layout::new(history.end(), limit));
        assert_eq!(format!("\n{drawing}"), expected, "\n{drawing}");
    }

    #[test]
    fn an_empty_history() {
        assert_drawn(
            &History::default(),
            100,
            "
position  branches  time                  what
       0  ◉                               present state, no events
",
        );
    }

    #[test]
    fn a_restore_and_a_rollback() {
        let mut history = History::default();
        history.accept(10).checkpoint("before").accept(15).commit();
        history.accept(15).restore("before").accept(5).commit();
        history.accept(10).rollback().accept(3);
        assert_drawn(
            &history,
            100,
            "
position  branches  time                  what
      10  ●─╮       2023-11-14T22:13:21Z  checkpoint before, 10 events
      25  ┊ ◆       2023-11-14T22:13:22Z  commit 1, 25 outputs
      40  ┊ ◀       2023-11-14T22:13:23Z  restore before: back to 10, 30 events dropped
      45  ◆─╮       2023-11-14T22:13:24Z  commit 2, 5 outputs
      55  ┊ ◁       2023-11-14T22:13:25Z  rollback: back to 45, 10 events dropped
      58  ◉                               present state, 18 events
",
        );
    }

    #[test]
    fn a_restore_of_a_newer_checkpoint() {
        let mut history = History::default();
        history
            .accept(10)
            .checkpoint("a")
            .accept(30)
            .checkpoint("b");
        history
            .restore("a")
            .accept(5)
            .restore("b")
            .checkpoint("c")
            .accept(5);
        assert_drawn(
            &history,
            100,
            "
position  branches  time                  what
      10  ●─╮       2023-11-14T22:13:21Z  checkpoint a, 10 events
      40  ● ┊       2023-11-14T22:13:22Z  checkpoint b, 40 events
      40  ◀ ┊       2023-11-14T22:13:23Z  restore a: back to 10, 30 events dropped
      45  ┊ ◀       2023-11-14T22:13:24Z  restore b: back to 40, 5 events dropped, 30 brought back
      45  ●         2023-11-14T22:13:25Z  checkpoint c, 40 events up to 40
      50  ◉                               present state, 45 events
",
        );
    }

    #[test]
    fn three_restores_of_one_checkpoint() {
        let mut history = History::default();
        history.accept(10).checkpoint("a").accept(10).restore("a");
        history.accept(10).restore("a").accept(10).restore("a");
        assert_drawn(
            &history,
            100,
            "
position  branches  time                  what
      10  ●─╮       2023-11-14T22:13:21Z  checkpoint a, 10 events
      20  ┊ ◀       2023-11-14T22:13:22Z  restore a: back to 10, 10 events dropped
          ├─╮
      30  ┊ ◀       2023-11-14T22:13:23Z  restore a: back to 10, 10 events dropped
          ├─╮
      40  ┊ ◀       2023-11-14T22:13:24Z  restore a: back to 10, 10 events dropped
      40  ◉                               present state, 10 events up to 10
",
        );
    }

    #[test]
    fn the_newest_of_a_long_history() {
        let mut history = saved_twice();
        history.accept(10).restore("a").accept(10).checkpoint("c");
        assert_drawn(
            &history,
            2,
            "
position  branches  time                  what
                                          2 earlier ones left out, --limit shows more
      30  ┊ ◀       2023-11-14T22:13:23Z  restore a: back to 10, 20 events dropped
      40  ●         2023-11-14T22:13:24Z  checkpoint c, 20 events
      40  ◉                               present state, 20 events
",
        );
    }

    #[test]
    fn more_branches_than_fit_are_hinted_at() {
        let mut history = History::default();
        let names: Vec<String> = (0..14).map(|number| format!("c{number}")).collect();
        for name in &names {
            history.accept(10).checkpoint(name);
        }
        for name in &names {
            history.accept(10).restore(name);
        }
        let graphs = graphs(&Layout::new(history.end(), 100));
        let at = |row: usize| graphs[row].as_str();
        assert_eq!(at(2), "●─┊─┊─╮");
        assert_eq!(at(10), "●─┊─┊─┊─┊─┊─┊─┊─┊─┊─┊─╮");
        assert_eq!(at(11), "●─┊─┊─┊─┊─┊─┊─┊─┊─┊─┊─┊─…");
        assert_eq!(at(14), "┊ ┊ ┊ ┊ ┊ ┊ ┊ ┊ ┊ ┊ ┊ ┊ … ◀");
        assert_eq!(at(15), "┊ ◀ ┊ ┊ ┊ ┊ ┊ ┊ ┊ ┊ ┊ ┊ …");
        assert_eq!(at(26), "┊                       … ◀");
        assert_eq!(at(28), "◉");
    }

    #[test]
    fn whatever_happened_each_line_is_as_wide_as_it_may_be() {
        for seed in 0..200 {
            let layout = Layout::new(random(seed), usize::MAX);
            for graph in graphs(&layout) {
                assert!(graph.chars().count() <= 2 * MAX_COLUMNS + 3, "seed {seed}");
                assert_eq!(graph.trim_end(), graph, "seed {seed}");
            }
            assert_eq!(draw(&layout).lines().count(), layout.rows.len() + 1);
        }
    }
}
