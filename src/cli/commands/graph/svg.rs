//! Draws a layout as an SVG file: the journal from left to right, and each branch in a lane.

use std::collections::BTreeSet;
use std::iter::successors;

use exactly_once::inspect::Milestone;

use super::labels::{Label, Shelf, text_width};
use super::layout::{Layout, Row};
use super::signs::{ASIDE, Sign, circle, path, run_style};
use super::walk::{RunKind, What};
use super::words;
use crate::cli::streams::printable::printable;

/// All lengths are in the units of the file: pixels, unless it is scaled.
const WIDTH: f64 = 1200.0;
/// The room at the left and at the right of the drawing.
const MARGIN: f64 = 48.0;
/// The room above the first lane, for the title and the legend.
const TOP: f64 = 84.0;
/// The room below the last lane, for the axis.
const BOTTOM: f64 = 56.0;
/// The room above a lane's line, without labels, and below it, where arrows go.
const ABOVE: f64 = 22.0;
const BELOW: f64 = 40.0;
/// Distances of the lowest label from the line, and of each other one from the one below it.
const LABEL_OFFSET: f64 = 17.0;
const LABEL_HEIGHT: f64 = 16.0;

/// At most this many ticks are on the axis, besides the first.
const MAX_TICKS: u64 = 8;
/// At most this many characters of a name are in a label; the tooltip has all of it.
const MAX_NAME_LENGTH: usize = 24;

const INK: &str = "#1f2328";
const PALE: &str = "#d8dee4";
/// The style of text that is centred on its place.
const CENTRED: &str = r#"text-anchor="middle""#;

/// Draws a layout.
pub(super) fn draw(layout: &Layout) -> String {
    let plan = Plan::of(layout);
    let mut page = Page::default();
    page.begin(&plan);
    page.legend(layout.left_out);
    page.axis(layout, &plan);
    page.runs(layout, &plan);
    page.partings(layout, &plan);
    page.arrows(layout, &plan);
    page.leaders(layout, &plan);
    page.markers(layout, &plan);
    page.labels(layout, &plan);
    page.end()
}

/// Where everything is drawn.
struct Plan {
    from: u64,
    to: u64,
    /// The y coordinate of the line of each lane.
    lines: Vec<f64>,
    /// The label of each row, if there is room for one.
    labels: Vec<Option<Label>>,
    /// The y coordinate of the end of the last lane.
    lanes_end: f64,
}

impl Plan {
    fn of(layout: &Layout) -> Self {
        let lanes = layout.branches.iter().map(|branch| branch.lane + 1).max();
        let mut plan = Self {
            from: layout.from,
            to: layout.to,
            lines: Vec::new(),
            labels: vec![None; layout.rows.len()],
            lanes_end: TOP,
        };
        let mut shelves = vec![Shelf::default(); lanes.unwrap_or(0)];
        // Commits get the room that is left, as they are the most and their labels say the least.
        for are_commits in [false, true] {
            for (index, row) in layout.rows.iter().enumerate() {
                let What::Milestone(milestone) = &row.what else {
                    continue;
                };
                if matches!(milestone, Milestone::Commit { .. }) == are_commits {
                    let (x, text) = (plan.x(row.position), label(milestone));
                    let shelf = &mut shelves[layout.branches[row.branch].lane];
                    plan.labels[index] = shelf.place(text, x, 0.0..WIDTH);
                }
            }
        }
        for shelf in &shelves {
            let line = plan.lanes_end + ABOVE + shelf.height() as f64 * LABEL_HEIGHT;
            plan.lines.push(line);
            plan.lanes_end = line + BELOW;
        }
        plan
    }

    /// The x coordinate of a position of the journal.
    fn x(&self, position: u64) -> f64 {
        let length = (self.to - self.from).max(1) as f64;
        let along = (position.clamp(self.from, self.to) - self.from) as f64;
        MARGIN + along / length * (WIDTH - 2.0 * MARGIN)
    }

    /// The y coordinate of the line of a branch.
    fn y(&self, layout: &Layout, branch: usize) -> f64 {
        self.lines[layout.branches[branch].lane]
    }

    fn place(&self, layout: &Layout, row: &Row) -> (f64, f64) {
        (self.x(row.position), self.y(layout, row.branch))
    }
}

/// The text of the file so far.
#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn path(&mut self, way: &str, style: &str) {
        self.line(&path(way, style));
    }

    fn words(&mut self, x: f64, y: f64, style: &str, words: &str) {
        let words = escaped(words);
        self.line(&format!(
            r#"<text x="{x:.1}" y="{y:.1}" fill="{INK}" {style}>{words}</text>"#
        ));
    }

    fn begin(&mut self, plan: &Plan) {
        let height = plan.lanes_end + BOTTOM;
        self.line(r#"<svg xmlns="http://www.w3.org/2000/svg" role="img""#);
        self.line(r#"  font-family="Helvetica, Arial, sans-serif" font-size="12""#);
        self.line(&format!(
            r#"  width="{WIDTH}" height="{height:.1}" viewBox="0 0 {WIDTH} {height:.1}">"#
        ));
        self.line("<title>The timelines of a state</title>");
        self.line(r#"<defs><marker id="arrow" markerUnits="userSpaceOnUse" orient="auto""#);
        self.line(r#"  refX="7" refY="4" markerWidth="8" markerHeight="8">"#);
        self.path("M0 0L8 4L0 8Z", &format!(r#"fill="{ASIDE}""#));
        self.line("</marker></defs>");
        self.line(r##"<rect width="100%" height="100%" fill="#ffffff"/>"##);
    }

    fn end(mut self) -> String {
        self.line("</svg>");
        self.text
    }

    fn legend(&mut self, left_out: usize) {
        let title = match left_out {
            0 => "Timelines".to_owned(),
            1 => "Timelines, without 1 earlier milestone".to_owned(),
            count => format!("Timelines, without {count} earlier milestones"),
        };
        let style = r#"font-size="17" font-weight="bold""#;
        self.words(MARGIN, 32.0, style, &title);
        let y = 60.0;
        let mut x = MARGIN + 8.0;
        let signs: [(Sign, &str); 8] = [
            (Sign::Checkpoint, "checkpoint"),
            (Sign::Commit, "commit"),
            (Sign::Restore, "restore"),
            (Sign::Rollback, "rollback"),
            (Sign::Present, "present state"),
            (Sign::Way, "events on the way to it"),
            (Sign::Aside, "other events"),
            (Sign::Kept, "kept for a restore or rollback"),
        ];
        for (sign, said) in signs {
            self.line(&sign.shape(x, y));
            let text_x = x + sign.width();
            self.words(text_x, y + 4.0, "", said);
            x = text_x + text_width(said) + 26.0;
        }
    }

    /// Draws the axis of positions.
    fn axis(&mut self, layout: &Layout, plan: &Plan) {
        let y = plan.lanes_end;
        let (left, right) = (MARGIN, WIDTH - MARGIN);
        let (ink, pale) = (format!(r#"stroke="{INK}""#), format!(r#"stroke="{PALE}""#));
        self.path(&format!("M{left:.1} {y:.1}H{right:.1}"), &ink);
        for tick in ticks(layout.from, layout.to) {
            let x = plan.x(tick);
            self.path(&format!("M{x:.1} {TOP}V{y:.1}"), &pale);
            self.words(x, y + 18.0, CENTRED, &tick.to_string());
        }
        self.words(WIDTH / 2.0, y + 40.0, CENTRED, "position in the journal");
    }

    /// Draws the branches: kept states first, as events are drawn over them.
    fn runs(&mut self, layout: &Layout, plan: &Plan) {
        for kind in [RunKind::Kept, RunKind::Events] {
            for run in layout.runs.iter().filter(|run| run.kind == kind) {
                let (from, to) = (plan.x(run.from), plan.x(run.to));
                let y = plan.y(layout, run.on);
                let style = run_style(kind, run.on == 0);
                self.path(&format!("M{from:.1} {y:.1}H{to:.1}"), &style);
            }
        }
    }

    /// Draws the lines from the lane of a branch to that of a branch that parts from it.
    fn partings(&mut self, layout: &Layout, plan: &Plan) {
        for row in &layout.rows {
            let (x, y) = plan.place(layout, row);
            if let Some(parting) = row.parting {
                let to = plan.y(layout, parting);
                let style = format!(r#"stroke="{ASIDE}" stroke-width="2""#);
                self.path(&format!("M{x:.1} {y:.1}V{to:.1}"), &style);
            }
            if row.what == What::Parting {
                let style = format!(r#"fill="{ASIDE}""#);
                self.line(&circle(x, y, 3.5, &style));
            }
        }
    }

    /// Draws the arrows of restores and rollbacks, below the lines, as labels are above.
    fn arrows(&mut self, layout: &Layout, plan: &Plan) {
        let line = format!(r#"fill="none" stroke="{ASIDE}" stroke-dasharray="5 3""#);
        let style = format!(r#"{line} marker-end="url(#arrow)""#);
        for row in &layout.rows {
            let Some(target) = row.target else {
                continue;
            };
            let (x, y) = plan.place(layout, row);
            let (to_x, to_y) = (plan.x(target.position), plan.y(layout, target.branch));
            if (x, y) == (to_x, to_y) {
                continue;
            }
            let (start, bend) = (y + 8.0, y + BELOW - 4.0);
            let (to_bend, end) = (to_y + BELOW - 4.0, to_y + 10.0);
            let way = format!(
                "M{x:.1} {start:.1}C{x:.1} {bend:.1} {to_x:.1} {to_bend:.1} {to_x:.1} {end:.1}"
            );
            self.path(&way, &style);
        }
    }

    /// Draws the lines from markers to labels that are not just above them.
    fn leaders(&mut self, layout: &Layout, plan: &Plan) {
        for (row, label) in layout.rows.iter().zip(&plan.labels) {
            let (x, y) = plan.place(layout, row);
            if let Some(label) = label.as_ref().filter(|label| label.level > 0) {
                let (from, to) = (y - 9.0, label_y(y, label) + 3.0);
                let style = format!(r#"stroke="{PALE}""#);
                self.path(&format!("M{x:.1} {from:.1}V{to:.1}"), &style);
            }
        }
    }

    /// Draws the signs of the milestones, each with a tooltip.
    fn markers(&mut self, layout: &Layout, plan: &Plan) {
        let mut milestones: Vec<(Sign, &Row, &Milestone)> = Vec::new();
        for row in &layout.rows {
            if let What::Milestone(milestone) = &row.what {
                milestones.push((Sign::of(milestone), row, milestone));
            }
        }
        // The wide ones first, so that narrower ones at the same point are drawn over them.
        milestones.sort_by_key(|&(sign, ..)| sign);
        let mut drawn = BTreeSet::new();
        for (sign, row, milestone) in milestones {
            let (x, y) = plan.place(layout, row);
            let said = escaped(&said(row, milestone));
            // A second one at the same point would only hide the tooltip of the first.
            let lane = layout.branches[row.branch].lane;
            let is_new = drawn.insert((sign, lane, row.position));
            let shape = if is_new {
                sign.shape(x, y)
            } else {
                String::new()
            };
            self.line(&format!("<g><title>{said}</title>{shape}</g>"));
        }
    }

    /// Draws the labels, each with a white rim over the lines around it.
    fn labels(&mut self, layout: &Layout, plan: &Plan) {
        let rim = r##"stroke="#ffffff" stroke-width="3" paint-order="stroke""##;
        let style = format!("{CENTRED} {rim}");
        for (row, label) in layout.rows.iter().zip(&plan.labels) {
            let Some(label) = label else {
                continue;
            };
            let (x, y) = (label.centre, label_y(plan.y(layout, row.branch), label));
            self.words(x, y, &style, &label.text);
        }
    }
}

fn label_y(line: f64, label: &Label) -> f64 {
    line - LABEL_OFFSET - label.level as f64 * LABEL_HEIGHT
}

/// The label of a milestone.
fn label(milestone: &Milestone) -> String {
    match milestone {
        Milestone::Checkpoint { name, .. } => shortened(name),
        Milestone::Commit {
            commit, outputs, ..
        } => format!("#{commit}, {outputs} out"),
        Milestone::Restore { checkpoint, .. } => format!("restore {}", shortened(checkpoint)),
        Milestone::Rollback { .. } => "rollback".to_owned(),
        Milestone::Present { .. } => "present".to_owned(),
    }
}

/// The tooltip of a milestone: all that is known of it.
fn said(row: &Row, milestone: &Milestone) -> String {
    let sentence = words::sentence(milestone);
    let position = row.position;
    match words::time(milestone) {
        None => format!("{sentence}; position {position}"),
        Some(time) => format!("{sentence}; position {position}, {time}"),
    }
}

fn shortened(name: &str) -> String {
    let name = printable(name);
    match name.char_indices().nth(MAX_NAME_LENGTH) {
        None => name,
        Some((end, _)) => format!("{}…", name[..end].trim_end()),
    }
}

/// Escapes a text for XML, without the characters that XML 1.0 does not allow.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\u{fffe}' | '\u{ffff}' => {}
            control if control.is_control() => {}
            other => escaped.push(other),
        }
    }
    escaped
}

/// Round positions at even distances.
fn ticks(from: u64, to: u64) -> Vec<u64> {
    let powers = (0..19).map(|exponent| 10_u64.pow(exponent));
    let mut steps = powers.flat_map(|power| [power, 2 * power, 5 * power]);
    // The largest step is more than a quarter of all positions, so one fits.
    let step = steps.find(|step| (to - from) / step <= MAX_TICKS);
    let Some(step) = step else {
        return vec![from];
    };
    let first = from.div_ceil(step).checked_mul(step);
    successors(first, |tick| tick.checked_add(step))
        .take_while(|&tick| tick <= to)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::sample::{History, random};
    use super::*;

    /// Checks that each tag is closed, and returns the values of the attributes.
    #[track_caller]
    fn attributes(drawing: &str) -> Vec<&str> {
        let mut open = Vec::new();
        let mut values = Vec::new();
        for piece in drawing.split('<').skip(1) {
            let (tag, _) = piece.split_once('>').expect("a tag ends");
            let name = tag.split_whitespace().next().expect("a tag has a name");
            match name.strip_prefix('/') {
                Some(closed) => assert_eq!(open.pop(), Some(closed)),
                None if tag.ends_with('/') => {}
                None => open.push(name),
            }
            values.extend(tag.split('"').skip(1).step_by(2));
            assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        }
        assert!(open.is_empty(), "{open:?}");
        values
    }

    #[track_caller]
    fn assert_well_formed(drawing: &str) {
        for value in attributes(drawing) {
            assert!(!value.contains("NaN") && !value.contains("inf"), "{value}");
        }
        let is_allowed = |c: char| c == '\n' || !c.is_control();
        assert!(drawing.chars().all(is_allowed));
        assert!(drawing.starts_with("<svg ") && drawing.ends_with("</svg>\n"));
    }

    fn drawn(history: &History) -> String {
        draw(&Layout::new(history.end(), 100))
    }

    #[test]
    fn an_empty_history_is_a_point() {
        let drawing = drawn(&History::default());
        assert_well_formed(&drawing);
        assert!(drawing.contains("<title>present state, no events; position 0</title>"));
        assert_well_formed(&draw(&Layout::new(Vec::new(), 100)));
    }

    #[test]
    fn every_name_is_there_and_escaped() {
        let mut history = History::default();
        let names = [
            (
                r#"<b>"x" & y</b>"#,
                "&lt;b&gt;&quot;x&quot; &amp; y&lt;/b&gt;",
            ),
            ("\u{1b}[2J\n", r"\u{1b}[2J\n"),
            ("a\u{fffe}\u{ffff}b", "checkpoint ab,"),
            ("名前", "名前"),
            (
                "one that is longer than a label",
                "one that is longer than a label",
            ),
        ];
        for (name, _) in names {
            history.accept(3).checkpoint(name);
        }
        history.restore(names[0].0);
        let drawing = drawn(&history);
        assert_well_formed(&drawing);
        for (_, escaped) in names {
            assert!(drawing.contains(escaped), "{escaped} in {drawing}");
        }
        assert!(drawing.contains(">one that is longer than…</text>"));
        assert!(!drawing.contains("<b>"));
    }

    #[test]
    fn a_restore_has_an_arrow_back_and_an_elbow_to_what_it_left() {
        let mut history = History::default();
        history.accept(10).checkpoint("a").accept(30).restore("a");
        history.accept(10);
        let drawing = drawn(&history);
        assert_well_formed(&drawing);
        assert_eq!(drawing.matches("marker-end").count(), 1);
        // It is at a fifth of the width, and leads from the first lane to the second.
        assert!(drawing.contains(r#"<path d="M268.8 122.0V"#), "{drawing}");
    }

    #[test]
    fn whatever_happened_it_is_well_formed() {
        for seed in 0..200 {
            for limit in [usize::MAX, 5, 0] {
                let layout = Layout::new(random(seed), limit);
                assert_well_formed(&draw(&layout));
            }
        }
    }

    #[test]
    fn positions_up_to_the_last_there_can_be_have_ticks() {
        assert_eq!(ticks(0, 0), [0]);
        assert_eq!(ticks(7, 7), [7]);
        assert_eq!(ticks(0, 8), (0..=8).collect::<Vec<_>>());
        assert_eq!(ticks(3, 45), [5, 10, 15, 20, 25, 30, 35, 40, 45]);
        assert_eq!(ticks(u64::MAX, u64::MAX), [u64::MAX]);
        for to in [1, 99, 12_345, u64::MAX / 3, u64::MAX] {
            let count = ticks(0, to).len();
            assert!((2..=10).contains(&count), "{count} up to {to}");
        }
    }
}
