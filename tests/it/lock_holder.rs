//! A command on a directory that a node has open names the node and the user who can ask it, also
//! when the node belongs to another user or runs in another container.

use crate::kit::{
    CommandHome, EachCommand, Finished, Homes, Node, REQUEST, binary, exit, input_of,
    install_program, run, set_mode,
};
use rustix::process::geteuid;
use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// Two users that own no other file of the tests.
const OWNER: u32 = 65_533;
const OTHER: u32 = 65_532;

/// The commands that ask a running node: all but those that need the directory for themselves.
fn asking() -> impl Iterator<Item = EachCommand> {
    let alone = ["", "run", "load", "compact", "upgrade", "verify"];
    let all = EachCommand::all().into_iter();
    all.filter(move |command| !alone.contains(&&*command.name))
}

fn as_other(command: &EachCommand, program: &Path, home: &CommandHome) -> Finished {
    let mut command = command.command(program, home.path());
    command.env("TMPDIR", home.path());
    run(command.uid(OTHER).gid(OTHER), input_of([REQUEST]))
}

#[test]
fn a_node_of_another_user_is_named_at_once_with_the_user_who_can_ask_it() {
    if !geteuid().is_root() {
        // Only root can run a process as another user.
        return;
    }
    let homes = Homes::new();
    let home = homes.make();
    let program = install_program(home.path());
    set_mode(&home.state(), 0o755);
    for entry in fs::read_dir(home.state()).expect("it is there") {
        let path = entry.expect("it can be read").path();
        chown(path, Some(OWNER), Some(OWNER)).expect("root may do it");
    }
    chown(home.state(), Some(OWNER), Some(OWNER)).expect("root may do it");
    let mut node = Command::new(&program);
    node.args(["run", "-q", "--data-dir", "state"]);
    node.current_dir(home.path()).uid(OWNER).gid(OWNER);
    let node = Node::start_as(&mut node);
    node.ask(REQUEST);
    let mut asked = 0;
    for command in asking() {
        let finished = as_other(&command, &program, &home);
        let is_to_write = ["save", "restore", "delete", "commit", "rollback"];
        if is_to_write.iter().any(|verb| command.name.ends_with(verb)) {
            // It already fails when it opens the lock file.
            let line = finished.expect_refusal(exit::UNUSABLE);
            assert!(line.contains("user 65532 may not write to"), "{line}");
            continue;
        }
        let line = finished.expect_refusal(exit::HELD);
        let told = format!(
            "state is held by process {} of user {OWNER}, and only that user can ask it; run this \
             command as user {OWNER}",
            node.pid()
        );
        assert!(line.contains(&told), "{command:?}: {line}");
        assert!(!line.contains("stop that process"), "{command:?}: {line}");
        asked += 1;
    }
    assert!(asked >= 8, "{asked}");
    node.finish().expect_quiet_success();
}

/// A node that has answered a request, and that names its directory by a relative path.
fn node_in(home: &CommandHome) -> Node {
    let mut node = binary();
    node.args(["run", "-q", "--data-dir", "state"]);
    let node = Node::start_as(node.current_dir(home.path()));
    node.ask(REQUEST);
    node
}

#[test]
fn a_process_that_does_not_listen_is_told_once_with_the_reason() {
    let homes = Homes::new();
    let home = homes.make();
    let node = node_in(&home);
    fs::remove_file(home.state().join("control.sock")).expect("it is there");
    let stats = EachCommand::named("stats");
    let line = stats.run(home.path(), |_| ()).expect_refusal(exit::HELD);
    let told = format!(
        "state is held by process {}, and nothing answers",
        node.pid()
    );
    assert_eq!(line.matches(&told).count(), 1, "{line}");
    assert_eq!(line.matches("is held by").count(), 1, "{line}");
    assert!(line.contains("No such file"), "{line}");
    node.finish().expect_quiet_success();
}

#[test]
fn a_holder_in_another_container_is_not_named_as_a_process_of_this_one() {
    let homes = Homes::new();
    let home = homes.make();
    let node = node_in(&home);
    let run_beside = || {
        let command = EachCommand::named("run");
        command.run(home.path(), |_| ()).expect_refusal(exit::HELD)
    };
    let of_here = format!("state is held by process {};", node.pid());
    assert!(run_beside().contains(&of_here));
    // A node in a container writes this, where it is process 1.
    let lock = home.state().join("lock");
    let said = fs::read_to_string(&lock).expect("the node has written it");
    let elsewhere = said
        .replace("pid:[", "pid:[9")
        .replacen(&node.pid().to_string(), "1", 1);
    fs::write(&lock, elsewhere).expect("it is ours");
    let line = run_beside();
    assert!(
        line.contains("in another container or on another machine"),
        "{line}"
    );
    assert!(!line.contains("held by process"), "{line}");
    // A node of an earlier version writes only its process id.
    fs::write(&lock, format!("{}\n", node.pid())).expect("it is ours");
    assert!(run_beside().contains(&of_here));
    node.finish().expect_quiet_success();
}
