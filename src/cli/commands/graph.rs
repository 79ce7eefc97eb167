//! `checkpoints graph`: draws the timelines that a state has had.
//!
//! The history comes in as milestones, [`order`] and [`walk`] find out which branch each is on,
//! [`layout`] gives the branches their columns, and [`text`] and [`svg`], with its [`signs`],
//! draw it.

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
/// The oldest comes first. The position is the journal's last one at that time, and the sign stands
/// on the branch that the state was on. The leftmost branch is the way to the present state; the
/// others were left by a restore or a rollback. Dotted is what a later one goes back to.
/// Checkpoints that were deleted or saved anew are not shown, but restores of them are.
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
    /// Draw it as SVG into this file instead, replacing what is there; - is standard output
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Show at most so many, the newest, besides the present state
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
}

/// Draws what happened to the state.
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
