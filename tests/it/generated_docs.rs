//! `completions` and `man`, which come from the definition of the arguments.

use crate::kit::{binary, commands, exit, run};
use std::collections::BTreeSet;

/// The names of the commands directly below the program.
fn top_commands() -> BTreeSet<String> {
    let words = commands::commands().into_iter();
    words.map(|command| command.words[0].clone()).collect()
}

#[test]
fn every_shell_can_complete_every_command() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = run(binary().args(["completions", shell]), "").expect_quiet_success();
        for name in commands::commands()
            .iter()
            .flat_map(|command| &command.words)
        {
            assert!(script.contains(name), "{name} is not in that of {shell}");
        }
        assert!(script.contains("data-dir"), "{shell}");
    }
}

#[test]
fn the_manual_has_a_page_for_the_program_and_for_every_command() {
    let page = run(binary().arg("man"), "").expect_quiet_success();
    assert!(
        page.contains(".TH exactly-once 1") && page.contains("Exit status"),
        "{page}"
    );
    for name in top_commands() {
        let page = run(binary().args(["man", &name]), "").expect_quiet_success();
        let title = format!(".TH exactly-once-{name} 1");
        assert!(page.contains(&title) && page.contains("SYNOPSIS"), "{page}");
    }
    let refused = run(binary().args(["man", "nothing"]), "").expect_status(exit::USAGE);
    assert!(refused.stderr.contains("outputs"), "{}", refused.stderr);
}
