//! The figures of all sizes as four panels over the number of ids.

use super::Size;
use crate::chart::{Curve, Panel, panels};

/// The picture of some sizes, as SVG.
///
/// # Errors
///
/// If it cannot be drawn.
pub fn picture(sizes: &[Size]) -> anyhow::Result<String> {
    let curve = |name, y: &dyn Fn(&Size) -> Option<f64>| Curve {
        name,
        points: points(sizes, y),
    };
    let panel = |title, curves| Panel { title, curves };
    panels(
        "ids, logarithmic",
        &[
            panel(
                "events a second",
                vec![
                    curve("new", &|size| size.ingest.rate),
                    curve("replayed", &|size| size.replay.rate),
                ],
            ),
            panel(
                "peak memory, bytes",
                vec![
                    curve("highest of all phases", &|size| {
                        Some(size.peak_memory_bytes as f64)
                    }),
                    curve("first request after a clean end", &|size| {
                        Some(size.after_clean_end.peak_memory_bytes as f64)
                    }),
                ],
            ),
            panel(
                "seconds to the first reply",
                vec![
                    curve("after SIGKILL", &|size| {
                        Some(size.after_kill.first_reply_seconds)
                    }),
                    curve("after a clean end", &|size| {
                        Some(size.after_clean_end.first_reply_seconds)
                    }),
                ],
            ),
            panel(
                "bytes on disk an id",
                vec![curve("after the ingest", &|size| Some(size.bytes_an_id))],
            ),
        ],
    )
}

fn points(sizes: &[Size], y: &dyn Fn(&Size) -> Option<f64>) -> Vec<(f64, f64)> {
    let point = |size: &Size| Some((size.ids as f64, y(size)?));
    sizes.iter().filter_map(point).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two lines as `scale` has written them.
    const RECORDED: &str = include_str!("../../data/sizes.jsonl");

    #[test]
    fn recorded_sizes_can_be_read_and_drawn() -> anyhow::Result<()> {
        let sizes: Vec<Size> = RECORDED
            .lines()
            .map(serde_json::from_str)
            .collect::<Result<_, _>>()?;
        assert_eq!(sizes.len(), 2);
        let svg = picture(&sizes)?;
        for part in [
            "replayed",
            "after SIGKILL",
            "bytes on disk an id",
            "20k",
            "50k",
        ] {
            assert!(svg.contains(part), "{part}");
        }
        Ok(())
    }
}
