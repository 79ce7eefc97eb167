//! Places labels above a line, so that none covers another.

use std::ops::Range;

use console::measure_text_width;

/// About the width of a character in a font of twelve pixels; a Chinese one has twice this width.
const CHARACTER_WIDTH: f64 = 6.8;
/// Distance between two labels.
const GAP: f64 = 8.0;
/// At most this many labels are above each other. A label without room is only in a tooltip.
const MAX_LEVELS: usize = 6;

/// A label and its place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Label {
    pub(super) text: String,
    pub(super) centre: f64,
    /// Number of levels below it.
    pub(super) level: usize,
}

/// The labels above one line.
#[derive(Debug, Clone, Default)]
pub(super) struct Shelf {
    /// Where the labels of each level begin and end.
    levels: Vec<Vec<Range<f64>>>,
}

impl Shelf {
    /// Finds the lowest free place for a label above a point and within the limits.
    pub(super) fn place(&mut self, text: String, x: f64, limits: Range<f64>) -> Option<Label> {
        let half = text_width(&text) / 2.0 + GAP / 2.0;
        // A label that is wider than the limits begins at their start.
        let centre = x.min(limits.end - half).max(limits.start + half);
        let (start, end) = (centre - half, centre + half);
        let is_free = |taken: &Vec<Range<f64>>| {
            let mut taken = taken.iter();
            taken.all(|taken| taken.end <= start || end <= taken.start)
        };
        let level = self.levels.iter().position(is_free);
        let level = level.unwrap_or(self.levels.len());
        if level == MAX_LEVELS {
            return None;
        }
        if level == self.levels.len() {
            self.levels.push(Vec::new());
        }
        self.levels[level].push(start..end);
        Some(Label {
            text,
            centre,
            level,
        })
    }

    /// Number of levels in use.
    pub(super) fn height(&self) -> usize {
        self.levels.len()
    }
}

/// About the width of a text.
pub(super) fn text_width(text: &str) -> f64 {
    measure_text_width(text) as f64 * CHARACTER_WIDTH
}

#[cfg(test)]
mod tests {
    use super::*;

    fn levels(points: &[f64]) -> Vec<Option<usize>> {
        let mut shelf = Shelf::default();
        let points = points.iter();
        let placed = points.map(|&x| shelf.place("checkpoint".to_owned(), x, 0.0..1000.0));
        placed.map(|label| Some(label?.level)).collect()
    }

    #[test]
    fn labels_that_are_near_are_above_each_other() {
        let near = [500.0, 510.0, 520.0, 600.0];
        assert_eq!(levels(&near), [Some(0), Some(1), Some(2), Some(0)]);
    }

    #[test]
    fn labels_without_room_are_left_out() {
        let placed = levels(&[5.0; 8]);
        assert_eq!(placed.iter().flatten().count(), MAX_LEVELS);
        assert_eq!(placed[MAX_LEVELS..], [None, None]);
    }

    #[test]
    fn labels_stay_within_the_limits() {
        let mut shelf = Shelf::default();
        for x in [0.0, 1000.0] {
            let label = shelf.place("checkpoint".to_owned(), x, 0.0..1000.0);
            let label = label.expect("there is room");
            let half = text_width(&label.text) / 2.0;
            assert!(label.centre - half >= 0.0 && label.centre + half <= 1000.0);
        }
    }
}
