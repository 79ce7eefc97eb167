//! Pictures as SVG. Text stays text in them, and the viewer chooses the font.

use plotters::coord::Shift;
use plotters::coord::ranged1d::{Ranged, ValueFormatter};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

/// The colour of text and axes. Pictures have a white background, to be readable on any page.
const INK: RGBColor = RGBColor(0x33, 0x33, 0x33);
const GRID: RGBColor = RGBColor(0xdd, 0xdd, 0xdd);
const EMPHASIS: RGBColor = RGBColor(0xc2, 0x41, 0x0c);
const PLAIN: RGBColor = RGBColor(0x4b, 0x6a, 0x88);

const BARS_PX: u32 = 860;
const BAR_PX: u32 = 46;
const FRAME_PX: u32 = 120;
const PANELS_PX: (u32, u32) = (1040, 760);
const CURVES_PX: (u32, u32) = (860, 480);

/// The colours of curves, in their order. Further curves begin again.
const CURVES: [RGBColor; 6] = [
    EMPHASIS,
    PLAIN,
    RGBColor(0x3f, 0x7d, 0x3f),
    RGBColor(0x7a, 0x4b, 0x8c),
    RGBColor(0xb0, 0x8a, 0x1e),
    RGBColor(0x22, 0x22, 0x22),
];

/// A name, and a line through points (x, y) with x above 0.
pub type Curve<'a> = (&'a str, Vec<(f64, f64)>);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// A panel with a horizontal axis of type `X`.
type Plane<'a, X> = ChartContext<'a, SVGBackend<'a>, Cartesian2d<X, RangedCoordf64>>;

/// Draws two by two panels, each with a title and at most two curves. All have the same logarithmic
/// horizontal axis, named `axis`. Vertical axes start at 0.
pub fn panels(axis: &str, panels: &[(&str, Vec<Curve<'_>>); 4]) -> anyhow::Result<String> {
    let draw = |root: &Area<'_>| {
        let areas = root.split_evenly((2, 2));
        let mut both = areas.iter().zip(panels);
        both.try_for_each(|(area, (title, curves))| panel(area, axis, title, curves))
    };
    picture(PANELS_PX, draw)
}

/// Draws curves in one panel. Both axes are linear and start at 0; the horizontal one is named
/// `axis`.
pub fn curves(title: &str, axis: &str, curves: &[Curve<'_>]) -> anyhow::Result<String> {
    let width = points(curves).map(|point| point.0).fold(1e-9, f64::max);
    let height = height(curves);
    picture(CURVES_PX, |root| {
        let chart = frame(root, title).build_cartesian_2d(0.0..width * 1.02, 0.0..height)?;
        draw(chart, axis, curves)
    })
}

/// Draws horizontal bars with values above 0 on a logarithmic scale, the last one on top. The bar
/// with the name `subject` has another colour.
pub fn bars(
    title: &str,
    axis: &str,
    bars: &[(String, f64)],
    subject: &str,
) -> anyhow::Result<String> {
    // The powers of ten around all values. The lower one is low enough for every bar to be seen.
    let least = bars.iter().map(|bar| bar.1).fold(1e9, f64::min);
    let most = bars.iter().map(|bar| bar.1).fold(1.0, f64::max);
    let low = (least / 1.5).log10().floor() as i32;
    let high = (most.log10().ceil() as i32).max(low + 1);
    let marks = (low..=high).map(|power| 10_f64.powi(power)).collect();
    // Room for a label to the right of the longest bar.
    let values = 10_f64.powi(low)..10_f64.powi(high) * 2.0;
    let name = |place: &SegmentValue<usize>| match place {
        SegmentValue::CenterOf(place) => bars.get(*place).cloned().unwrap_or_default().0,
        _ => String::new(),
    };
    let size = (BARS_PX, FRAME_PX + BAR_PX * bars.len() as u32);
    picture(size, |root| {
        let mut chart = ChartBuilder::on(root)
            .caption(title, text(20))
            .margin(12)
            .margin_right(70)
            .x_label_area_size(46)
            .y_label_area_size(200)
            .build_cartesian_2d(
                values.log_scale().with_key_points(marks),
                // A range of segments includes its end.
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
            .y_label_formatter(&name)
            .y_labels(bars.len().max(1))
            .draw()?;
        for (place, (name, value)) in bars.iter().enumerate().rev() {
            let from = (10_f64.powi(low), SegmentValue::Exact(place));
            let to = (*value, SegmentValue::Exact(place + 1));
            let color = if name == subject { EMPHASIS } else { PLAIN };
            let mut rectangle = Rectangle::new([from, to], color.filled());
            rectangle.set_margin(8, 8, 0, 0);
            chart.draw_series([rectangle])?;
            let end = EmptyElement::at((*value, SegmentValue::CenterOf(place)));
            chart.draw_series([end + Text::new(grouped(*value), (6, -7), text(14))])?;
        }
        Ok(())
    })
}

fn picture(
    size: (u32, u32),
    draw: impl FnOnce(&Area<'_>) -> anyhow::Result<()>,
) -> anyhow::Result<String> {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        root.fill(&WHITE)?;
        draw(&root)?;
        root.present()?;
    }
    Ok(svg)
}

fn text(size: i32) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&INK)
}

fn panel(area: &Area<'_>, axis: &str, title: &str, curves: &[Curve<'_>]) -> anyhow::Result<()> {
    let mut marks: Vec<f64> = points(curves).map(|point| point.0).collect();
    marks.sort_by(f64::total_cmp);
    marks.dedup();
    let (first, last) = (marks.first().unwrap_or(&1.0), marks.last().unwrap_or(&10.0));
    let width = first / 1.4..last * 1.4;
    let width = width.log_scale().with_key_points(marks);
    let chart = frame(area, title).build_cartesian_2d(width, 0.0..height(curves))?;
    draw(chart, axis, curves)
}

fn points<'a>(curves: &'a [Curve<'_>]) -> impl Iterator<Item = &'a (f64, f64)> {
    curves.iter().flat_map(|(_, points)| points)
}

/// Returns the upper end of the vertical axis: there is room for the legend above every point.
fn height(curves: &[Curve<'_>]) -> f64 {
    points(curves)
        .map(|point| point.1 * 1.3)
        .fold(1e-9, f64::max)
}

/// Makes room for the title and the marks of a panel.
fn frame<'a, 'b>(area: &'a Area<'b>, title: &str) -> ChartBuilder<'a, 'b, SVGBackend<'b>> {
    let mut chart = ChartBuilder::on(area);
    chart
        .caption(title, text(17))
        .margin(14)
        .x_label_area_size(44)
        .y_label_area_size(58);
    chart
}

/// Draws the axes, the curves and their legend.
fn draw<X>(mut chart: Plane<'_, X>, axis: &str, curves: &[Curve<'_>]) -> anyhow::Result<()>
where
    X: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
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
    for ((name, points), color) in curves.iter().zip(CURVES.into_iter().cycle()) {
        let line = LineSeries::new(points.iter().copied(), color.stroke_width(2));
        let sample = move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2));
        chart.draw_series(line)?.label(*name).legend(sample);
        let dot = |point: &(f64, f64)| Circle::new(*point, 3, color.filled());
        chart.draw_series(points.iter().map(dot))?;
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

/// Writes a number in few characters: 30000000 is `30M`.
fn short(value: f64) -> String {
    let (scaled, unit) = match value.abs() {
        size if size >= 1e9 => (value / 1e9, "G"),
        size if size >= 1e6 => (value / 1e6, "M"),
        size if size >= 1e3 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    // Two decimals are enough to tell two marks of an axis apart.
    let rounded = format!("{scaled:.2}");
    let digits = rounded.trim_end_matches('0').trim_end_matches('.');
    format!("{digits}{unit}")
}

/// Writes a whole number with commas between its thousands.
pub(crate) fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_keep_their_value() {
        let numbers = [0.0, 0.25, 10.0, 1500.0, 30_000_000.0, 2e9].map(short);
        assert_eq!(numbers, ["0", "0.25", "10", "1.5k", "30M", "2G"]);
        assert_eq!(
            [7.0, 123_456.0, 1e6].map(grouped),
            ["7", "123,456", "1,000,000"]
        );
    }

    #[test]
    fn a_picture_of_nothing_is_a_picture() -> anyhow::Result<()> {
        assert!(bars("title", "axis", &[], "")?.contains("</svg>"));
        let empty = || ("a panel", vec![("a curve", Vec::new())]);
        assert!(curves("title", "axis", &[])?.contains("</svg>"));
        let svg = panels("axis", &[empty(), empty(), empty(), empty()])?;
        assert_eq!(svg.matches("a panel").count(), 4);
        Ok(())
    }
}
