//! The commands as the program itself lists them, so that a test of every command covers later ones
//! too.

use super::process::{binary, run};
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

/// Arguments with which `import` takes requests in their envelopes, and prints nothing.
pub const IMPORT: [&str; 7] = [
    "--id",
    "/body/event_id",
    "--word",
    "/body/word",
    "--input-format",
    "jsonl",
    "--quiet",
];

/// A command, and how it is called.
#[derive(Debug, Clone)]
pub struct Listed {
    /// The words of its name; a subcommand has two.
    pub words: Vec<String>,
    /// The arguments that it requires, as the usage names them: `<NAME>`.
    pub arguments: Vec<String>,
    pub help: String,
    /// True if it only has subcommands.
    has_commands: bool,
}

impl Listed {
    pub fn name(&self) -> String {
        self.words.join(" ")
    }

    /// True if it has this option.
    pub fn has(&self, option: &str) -> bool {
        let lines = self.help.lines().map(str::trim_start);
        let mut options = lines.filter(|line| line.starts_with('-'));
        options.any(|line| line.split([' ', ',']).any(|word| word == option))
    }

    /// A call of it on a directory, with `argument` in the place of each required argument.
    pub fn on(&self, data_dir: &Path, argument: &Path) -> Command {
        let mut command = binary();
        command.args(&self.words).arg("--data-dir").arg(data_dir);
        command.args(self.arguments.iter().map(|_| argument));
        if self.has("--yes") {
            command.arg("--yes");
        }
        match &*self.name() {
            "import" => drop(command.args(IMPORT)),
            _ if self.has("--word") => drop(command.args(["--word", "w1"])),
            _ => {}
        }
        command
    }
}

/// The program itself, every command, and every subcommand.
pub fn all_with_help() -> Vec<Listed> {
    static ALL: OnceLock<Vec<Listed>> = OnceLock::new();
    let all = ALL.get_or_init(|| {
        let mut found = Vec::new();
        add(&[], &mut found);
        found
    });
    assert!(all.len() > 20, "{all:?}");
    all.clone()
}

/// Every command that does something itself.
pub fn commands() -> Vec<Listed> {
    let mut found = all_with_help();
    found.retain(|command| !command.has_commands);
    assert!(found.len() > 15, "{found:?}");
    found
}

/// Every command that ends by itself and needs no node. Of the others, `serve` opens a directory as
/// `run` does, and `ping` opens none; the tests of `service` cover them.
pub fn that_end() -> Vec<Listed> {
    let mut found = commands();
    found.retain(|command| !["serve", "ping"].contains(&&*command.name()));
    found
}

/// Every command that works on a state directory.
pub fn on_directories() -> Vec<Listed> {
    let mut found = that_end();
    found.retain(|command| command.has("--data-dir"));
    assert!(found.len() > 12, "{found:?}");
    found
}

/// Adds a command and its subcommands.
fn add(words: &[String], found: &mut Vec<Listed>) {
    let help = run(binary().args(words).arg("--help"), "").expect_quiet_success();
    let names: Vec<String> = before_the_options(&help)
        .filter_map(first_word)
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect();
    let usage = help.lines().find_map(|line| line.strip_prefix("Usage: "));
    let usage = usage.expect("each help has a usage");
    let after = usage
        .split_once("--data-dir")
        .map_or("", |(_, after)| after);
    let arguments = after.split(' ').skip(2);
    // What is left of a group of options has a line or two brackets.
    let is_argument =
        |word: &&str| word.starts_with('<') && !word.contains('|') && !word.ends_with(">>");
    let arguments = arguments.filter(is_argument);
    found.push(Listed {
        arguments: arguments.map(str::to_owned).collect(),
        words: words.to_vec(),
        has_commands: !names.is_empty(),
        help,
    });
    for name in names {
        add(&[words, &[name]].concat(), found);
    }
}

/// The lines between the usage and the options: the commands in groups, and arguments.
fn before_the_options(help: &str) -> impl Iterator<Item = &str> {
    let after = help.lines().skip_while(|line| !line.starts_with("Usage: "));
    after.take_while(|line| *line != "Options:")
}

/// The name of a command in a line of a list. Lines that continue a description are indented more,
/// and have none.
fn first_word(line: &str) -> Option<&str> {
    let indented = line.strip_prefix("  ")?;
    let word = indented.split(' ').next()?;
    word.starts_with(|first: char| first.is_ascii_lowercase())
        .then_some(word)
}
