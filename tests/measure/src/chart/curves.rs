//! Four panels of curves over one logarithmic axis.

use std::ops::Range;

use plotters::coord::Shift;
use plotters::prelude::*;

use super::{EMPHASIS, GRID, INK, PLAIN, short};

const SIZE_PX: (u32, u32) = (1040, 760);

/// A named line through points (x, y), x above 0.
#[derive(Debug, Clone)]
pub struct Curve {
    /// What the legend calls it.
    pub name: &'static str,
    /// From left to right.
    pub points: Vec<(f64, f64)>,
}

/// One of the four parts of a picture.
#[derive(Debug, Clone)]
pub struct Panel {
    /// What stands above it, with the unit of y.
    pub title: &'static str,
    /// At most two, as there are two colours.
    pub curves: Vec<Curve>,
}

/// A picture of two by two panels with one name for all horizontal axes, each of which starts
/// at 0 vertically.
///
/// # Errors
///
/// If it cannot be drawn.
pub fn panels(axis: &str, panels: &[Panel; 4]) -> anyhow::Result<String> {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE_PX).into_drawing_area();
        root.fill(&WHITE)?;
        for (area, panel) in root.split_evenly((2, 2)).iter().zip(panels) {
            draw(area, axis, panel)?;
        }
        root.present()?;
    }
    Ok(svg)
}

fn draw(area: &DrawingArea<SVGBackend, Shift>, axis: &str, panel: &Panel) -> anyhow::Result<()> {
    let text = |size: i32| ("sans-serif", size).into_font().color(&INK);
    let marks = marks(panel);
    let mut chart = ChartBuilder::on(area)
        .caption(panel.title, text(17))
        .margin(14)
        .x_label_area_size(44)
        .y_label_area_size(58)
        .build_cartesian_2d(
            width(&marks).log_scale().with_key_points(marks),
            0.0..height(panel),
        )?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .bold_line_style(GRID)
        .axis_style(INK)
        .label_style(text(13))
        .x_desc(axis)
        .x_label_formatter(&|value| short(*value))
        .y_label_formatter(&|value| short(*value))
        .y_labels(6)
        .draw()?;
    for (curve, color) in panel.curves.iter().zip([EMPHASIS, PLAIN]) {
        let line = LineSeries::new(curve.points.iter().copied(), color.stroke_width(2));
        let sample = move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2));
        chart.draw_series(line)?.label(curve.name).legend(sample);
        let dots = curve.points.iter();
        chart.draw_series(dots.map(|point| Circle::new(*point, 3, color.filled())))?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .border_style(GRID)
        .label_font(text(13))
        .draw()?;
    Ok(())
}

/// Every x that has a point, once, in order.
fn marks(panel: &Panel) -> Vec<f64> {
    let points = panel.curves.iter().flat_map(|curve| &curve.points);
    let mut marks: Vec<f64> = points.map(|point| point.0).collect();
    marks.sort_by(f64::total_cmp);
    marks.dedup();
    marks
}

fn width(marks: &[f64]) -> Range<f64> {
    let first = marks.first().copied().unwrap_or(1.0);
    let last = marks.last().copied().unwrap_or(10.0);
    first / 1.4..last * 1.4
}

/// Room for the legend above the highest point.
fn height(panel: &Panel) -> f64 {
    let points = panel.curves.iter().flat_map(|curve| &curve.points);
    let highest = points.map(|point| point.1).fold(0.0, f64::max);
    if highest > 0.0 { highest * 1.3 } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panel(points: &[(f64, f64)]) -> Panel {
        let curve = Curve {
            name: "a curve",
            points: points.to_vec(),
        };
        Panel {
            title: "a panel",
            curves: vec![curve],
        }
    }

    #[test]
    fn four_panels_are_one_picture() -> anyhow::Result<()> {
        let some = panel(&[(1e6, 2.0), (3e6, 4.0), (1e8, 1.0)]);
        let one = panel(&[(1e6, 2.0)]);
        let svg = panels("ids", &[some, one, panel(&[]), panel(&[(1.0, 0.0)])])?;
        assert_eq!(svg.matches("a panel").count(), 4);
        assert!(svg.contains("100M") && svg.contains("</svg>"));
        Ok(())
    }
}
