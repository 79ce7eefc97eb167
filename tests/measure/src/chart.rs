//! Pictures as SVG, drawn without a font: text stays text, and the viewer brings the font.

mod bars;
mod curves;

pub use bars::{Bar, bars};
pub use curves::{Curve, Panel, panels};

use plotters::prelude::RGBColor;

/// A picture lies on white, so that it can be read on any page.
const INK: RGBColor = RGBColor(0x33, 0x33, 0x33);
const GRID: RGBColor = RGBColor(0xdd, 0xdd, 0xdd);
const EMPHASIS: RGBColor = RGBColor(0xc2, 0x41, 0x0c);
const PLAIN: RGBColor = RGBColor(0x4b, 0x6a, 0x88);

/// A number in few characters: 30000000 is `30M`.
fn short(value: f64) -> String {
    let (scaled, unit) = match value.abs() {
        size if size >= 1e9 => (value / 1e9, "G"),
        size if size >= 1e6 => (value / 1e6, "M"),
        size if size >= 1e3 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    // Three digits are enough to tell two marks of an axis apart.
    let rounded = format!("{scaled:.2}");
    let digits = rounded.trim_end_matches('0').trim_end_matches('.');
    format!("{digits}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_keep_their_value() {
        let numbers = [0.0, 0.25, 10.0, 1500.0, 30_000_000.0, 2e9].map(short);
        assert_eq!(numbers, ["0", "0.25", "10", "1.5k", "30M", "2G"]);
    }
}
