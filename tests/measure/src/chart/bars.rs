//! Horizontal bars on a logarithmic scale.

use plotters::prelude::*;

use super::{EMPHASIS, GRID, INK, PLAIN, short};

const WIDTH_PX: u32 = 860;
const BAR_PX: u32 = 46;
const FRAME_PX: u32 = 120;

/// One bar.
#[derive(Debug, Clone)]
pub struct Bar {
    /// What stands to its left.
    pub name: String,
    /// Its length, above 0.
    pub value: f64,
    /// What stands to its right.
    pub label: String,
    /// Whether it is the one that the picture is about.
    pub is_emphasised: bool,
}

/// A picture of bars, the first one on top, with a title and a name for the axis.
///
/// # Errors
///
/// If it cannot be drawn.
pub fn bars(title: &str, axis: &str, bars: &[Bar]) -> anyhow::Result<String> {
    let mut svg = String::new();
    {
        let size = (WIDTH_PX, FRAME_PX + BAR_PX * bars.len() as u32);
        let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        root.fill(&WHITE)?;
        draw(&root, title, axis, bars)?;
        root.present()?;
    }
    Ok(svg)
}

fn draw(
    root: &DrawingArea<SVGBackend, plotters::coord::Shift>,
    title: &str,
    axis: &str,
    bars: &[Bar],
) -> anyhow::Result<()> {
    let (low, high) = decades(bars);
    let marks = (low..=high).map(|power| 10_f64.powi(power)).collect();
    // Room for a label to the right of the longest bar.
    let values = 10_f64.powi(low)..10_f64.powi(high) * 2.0;
    let text = |size: i32| ("sans-serif", size).into_font().color(&INK);
    let mut chart = ChartBuilder::on(root)
        .caption(title, text(20))
        .margin(12)
        .margin_right(70)
        .x_label_area_size(46)
        .y_label_area_size(200)
        .build_cartesian_2d(
            values.log_scale().with_key_points(marks),
            // A range of segments has its end in it.
            (0..bars.len().saturating_sub(1)).into_segmented(),
        )?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .bold_line_style(GRID)
        .axis_style(INK)
        .label_style(text(14))
        .x_desc(axis)
        .x_label_formatter(&|value| short(*value))
        .y_label_formatter(&|place| name(bars, place))
        .y_labels(bars.len().max(1))
        .draw()?;
    for (index, bar) in bars.iter().enumerate() {
        let place = bars.len() - 1 - index;
        let from = (10_f64.powi(low), SegmentValue::Exact(place));
        let to = (bar.value, SegmentValue::Exact(place + 1));
        let color = if bar.is_emphasised { EMPHASIS } else { PLAIN };
        let mut rectangle = Rectangle::new([from, to], color.filled());
        rectangle.set_margin(8, 8, 0, 0);
        chart.draw_series([rectangle])?;
        let end = (bar.value, SegmentValue::CenterOf(place));
        let label = Text::new(bar.label.clone(), (6, -7), text(14));
        chart.draw_series([EmptyElement::at(end) + label])?;
    }
    Ok(())
}

/// The powers of ten around all values, the lower one so far below that no bar vanishes.
fn decades(bars: &[Bar]) -> (i32, i32) {
    let values = || bars.iter().map(|bar| bar.value.max(1e-9));
    let least = values().fold(f64::INFINITY, f64::min).min(1e9);
    let most = values().fold(least, f64::max);
    let low = (least / 1.5).log10().floor() as i32;
    (low, (most.log10().ceil() as i32).max(low + 1))
}

/// The axis counts from below, the bars from above.
fn name(bars: &[Bar], place: &SegmentValue<usize>) -> String {
    let bar = match place {
        SegmentValue::CenterOf(place) => bars.iter().rev().nth(*place),
        _ => None,
    };
    bar.map(|bar| bar.name.clone()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(value: f64) -> Bar {
        Bar {
            name: "store".to_owned(),
            value,
            label: "many".to_owned(),
            is_emphasised: false,
        }
    }

    #[test]
    fn every_bar_has_some_length() {
        assert_eq!(decades(&[bar(1000.0), bar(2e6)]), (2, 7));
        assert_eq!(decades(&[bar(1600.0)]), (3, 4));
    }

    #[test]
    fn a_picture_of_no_bars_is_a_picture() -> anyhow::Result<()> {
        assert!(bars("title", "axis", &[])?.contains("</svg>"));
        Ok(())
    }
}
