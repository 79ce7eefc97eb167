//! The signs of a drawing, as shapes of an SVG file.

use exactly_once::inspect::Milestone;

use super::walk::RunKind;

/// The colours of the way to the present state, and of everything else.
const WAY: &str = "#0969da";
pub(super) const ASIDE: &str = "#8c959f";

/// A sign of the drawing, from the widest to the narrowest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sign {
    Way,
    Aside,
    Kept,
    Present,
    Checkpoint,
    Commit,
    Restore,
    Rollback,
}

impl Sign {
    /// The sign of a milestone.
    pub(super) fn of(milestone: &Milestone) -> Self {
        match milestone {
            Milestone::Checkpoint { .. } => Self::Checkpoint,
            Milestone::Commit { .. } => Self::Commit,
            Milestone::Restore { .. } => Self::Restore,
            Milestone::Rollback { .. } => Self::Rollback,
            Milestone::Present { .. } => Self::Present,
        }
    }

    /// Distance from its point to its text in the legend.
    pub(super) fn width(self) -> f64 {
        match self {
            Self::Way | Self::Aside | Self::Kept => 34.0,
            Self::Restore | Self::Rollback | Self::Present => 20.0,
            Self::Checkpoint | Self::Commit => 14.0,
        }
    }

    /// Draws the sign at a point.
    pub(super) fn shape(self, x: f64, y: f64) -> String {
        match self {
            Self::Way => run_shape(x, y, &run_style(RunKind::Events, true)),
            Self::Aside => run_shape(x, y, &run_style(RunKind::Events, false)),
            Self::Kept => run_shape(x, y, &run_style(RunKind::Kept, false)),
            Self::Present => {
                let style = r##"fill="#fff8c5" stroke="#bf8700" stroke-width="3""##;
                circle(x, y, 11.0, style)
            }
            Self::Checkpoint => {
                let style = r##"fill="#ffffff" stroke="#1a7f37" stroke-width="3""##;
                circle(x, y, 7.0, style)
            }
            Self::Commit => {
                let way = format!("M{x:.1} {:.1}l4.5 4.5l-4.5 4.5l-4.5 -4.5Z", y - 4.5);
                path(&way, r##"fill="#8250df""##)
            }
            Self::Restore => triangle(x, y, "#cf222e"),
            Self::Rollback => triangle(x, y, "#ffffff"),
        }
    }
}

/// Draws a line or an area.
pub(super) fn path(way: &str, style: &str) -> String {
    format!(r#"<path d="{way}" {style}/>"#)
}

pub(super) fn circle(x: f64, y: f64, radius: f64, style: &str) -> String {
    format!(r#"<circle cx="{x:.1}" cy="{y:.1}" r="{radius}" {style}/>"#)
}

/// Draws a triangle to the right of a point, pointing to the left.
fn triangle(x: f64, y: f64, fill: &str) -> String {
    let style = format!(r##"fill="{fill}" stroke="#cf222e" stroke-width="1.5""##);
    path(&format!("M{:.1} {y:.1}l11 -6v12Z", x + 4.0), &style)
}

fn run_shape(x: f64, y: f64, style: &str) -> String {
    path(&format!("M{x:.1} {y:.1}h28"), style)
}

/// The style of a part of a branch, on the way to the present state or aside.
pub(super) fn run_style(kind: RunKind, is_way: bool) -> String {
    let colour = if is_way { WAY } else { ASIDE };
    match kind {
        RunKind::Events => format!(r#"stroke="{colour}" stroke-width="5""#),
        RunKind::Kept => {
            format!(r#"stroke="{colour}" stroke-width="2" stroke-dasharray="2 4""#)
        }
    }
}
