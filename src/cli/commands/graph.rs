//! `checkpoints graph`: draws the timelines that a state has had.
//!
//! The history is read as milestones. [`order`] sorts them, [`walk`] finds the branch of each,
//! [`layout`] gives the branches their columns, and [`text`] and [`svg`], with its [`signs`], draw
//! them.

mod labels;
mod layout;
mod order;
#[cfg(test)]
mod sample;
mod signs;
mod svg;
mod text;
mod walk;
mod words;

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use exactly_once::inspect::{Milestone, Query};

use self::layout::Layout;
use crate::cli::files::replace_file;
use crate::cli::state::StateArgs;
use crate::cli::streams::stdout::Stdout;

/// Draw the timelines: checkpoints, commits, restores and rollbacks, and what each led to
///
/// The oldest comes first. The position is the last one of the journal at that time, and the sign
/// is on the branch that the state was on. The leftmost branch leads to the present state; a
/// restore or a rollback left each of the others. A dotted line leads to a state that was restored
/// later. Checkpoints that were deleted or replaced are not shown, but restores of them are.
///
/// ● checkpoint  ◆ commit  ◀ restore  ◁ rollback  ◉ the present state
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  exactly-once checkpoints graph --data-dir state
  exactly-once checkpoints graph --data-dir state --limit 20
  exactly-once checkpoints graph --data-dir state --svg timelines.svg")]
pub(crate) struct GraphArgs {
    #[command(flatten)]
    state: StateArgs,
    /// Draw as SVG into this file, replacing it; - for standard output
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Show only the newest N signs, and the present state
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
}

/// Reads the history, and draws it.
pub(crate) fn run(args: &GraphArgs) -> anyhow::Result<()> {
    let mut milestones: Vec<Milestone> = Vec::new();
    args.state.answer(&Query::History, |record| {
        milestones.push(serde_json::from_slice(record).context("reading the history")?);
        Ok(())
    })?;
    let layout = Layout::new(milestones, args.limit);
    match &args.svg {
        None => print(&text::draw(&layout)),
        Some(path) if path == Path::new("-") => print(&svg::draw(&layout)),
        Some(path) => replace_file(path, svg::draw(&layout).as_bytes())
            .with_context(|| format!("writing the drawing to {}", path.display())),
    }
}

fn print(drawing: &str) -> anyhow::Result<()> {
    Ok(Stdout::of_text()?.write_all(drawing.as_bytes())?)
}
