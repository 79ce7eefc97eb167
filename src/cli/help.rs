//! What the help of several commands shares, and the groups of commands in the help of the program.

use std::fmt::Write;

use clap::Command;
use clap::builder::StyledStr;

/// The heading of options that few users need.
pub(crate) const RARE: &str = "Rare options";

/// The commands in groups, each with its heading.
pub(super) const GROUPS: [(&str, &[&str]); 6] = [
    (
        "Put in",
        &["run", "serve", "send", "import", "commit", "rollback"],
    ),
    (
        "Look",
        &[
            "counts", "get", "outputs", "stats", "dump", "verify", "ping",
        ],
    ),
    ("Checkpoints", &["checkpoints"]),
    ("Keep", &["backup", "load", "compact", "upgrade"]),
    ("Measure", &["bench"]),
    ("Help", &["help", "completions", "man"]),
];

/// Lists the commands in groups in the help of the program.
pub(crate) fn with_groups(mut program: Command) -> Command {
    // This adds the command `help`.
    program.build();
    let text = groups(&program);
    let usage = "exactly-once [OPTIONS]\n       exactly-once <COMMAND>";
    for name in GROUPS.iter().flat_map(|(_, names)| *names) {
        // Otherwise they would come once more, in one list.
        program = program.mut_subcommand(name, |command| command.hide(true));
    }
    let template = "{about-with-newline}\n{usage-heading} {usage}\n\n";
    program
        .override_usage(usage)
        .help_template(StyledStr::from(format!(
            "{template}{text}{{all-args}}{{after-help}}"
        )))
}

fn groups(program: &Command) -> String {
    let header = program.get_styles().get_header();
    let literal = program.get_styles().get_literal();
    let names = GROUPS.iter().flat_map(|(_, names)| *names);
    let width = names.map(|name| name.len()).max().unwrap_or_default();
    let mut text = String::new();
    for (heading, names) in GROUPS {
        writeln!(text, "{header}{heading}:{header:#}").expect("a string takes it");
        for name in names {
            let command = program.find_subcommand(name);
            let about = command.and_then(Command::get_about);
            let about = about.map(StyledStr::to_string).unwrap_or_default();
            let name = format!("{literal}{name}{literal:#}{:1$}", "", width - name.len());
            writeln!(text, "  {name}  {about}").expect("a string takes it");
        }
        text.push('\n');
    }
    text
}
