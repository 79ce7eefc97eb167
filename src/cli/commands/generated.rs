//! `completions` and `man`: texts made from the definition of the arguments.

use std::io::Write;

use anyhow::Context;
use clap::{Args, Command};
use clap_complete::Shell;

use crate::cli::status::WrongArguments;
use crate::cli::streams::stdout::Stdout;

/// Print a completion script for a shell
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  exactly-once completions bash > ~/.local/share/bash-completion/completions/exactly-once
  exactly-once completions fish > ~/.config/fish/completions/exactly-once.fish")]
pub(crate) struct CompletionsArgs {
    /// Shell that reads the script
    shell: Shell,
}

/// Print a page of the manual
///
/// Without a command, prints the page of the program.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  exactly-once man > exactly-once.1
  exactly-once man verify > exactly-once-verify.1")]
pub(crate) struct ManArgs {
    /// Command that the page describes
    command: Option<String>,
}

/// Prints the script.
pub(crate) fn completions(args: &CompletionsArgs, mut program: Command) -> anyhow::Result<()> {
    let name = program.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut program, name, &mut script);
    Ok(Stdout::of_text()?.write_all(&script)?)
}

/// Prints the page.
pub(crate) fn man(args: &ManArgs, mut program: Command) -> anyhow::Result<()> {
    program.build();
    let page = match &args.command {
        None => program,
        Some(name) => program
            .find_subcommand(name)
            .cloned()
            .map(|command| {
                let title = format!("{}-{}", program.get_name(), command.get_name());
                command.display_name(title)
            })
            .ok_or_else(|| {
                let named: Vec<&str> = program.get_subcommands().map(Command::get_name).collect();
                WrongArguments(format!(
                    "there is no command {name:?}; name one of {}",
                    named.join(", ")
                ))
            })?,
    };
    let mut roff = Vec::new();
    clap_mangen::Man::new(page)
        .render(&mut roff)
        .context("making the page")?;
    Ok(Stdout::of_text()?.write_all(&roff)?)
}
