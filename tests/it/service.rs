//! `serve`, `ping`, and the additional socket.

use crate::kit::{
    Node, SocketClient, accepted, binary, dump_of, event_line, exit, home_and_data_dir, names,
    on_directory, run, run_on, scratch_dir, verified, wait_for,
};
use rustix::process::Signal;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;

/// Starts a node without standard input, and returns it with the line that says that it listens.
fn serve(data_dir: &Path, arguments: &[&str]) -> (Node, String) {
    let node = Node::start_as(&mut on_directory("serve", data_dir, arguments));
    let line = node.read_line();
    (node, line)
}

/// A call of a command on a socket.
fn at_socket(name: &[&str], socket: &Path) -> Command {
    let mut command = binary();
    command.args(name).arg("--socket").arg(socket);
    command
}

#[test]
fn a_node_without_standard_input_serves_until_a_signal_and_ends_well() {
    let (_home, data_dir) = home_and_data_dir();
    for (number, signal) in [Signal::TERM, Signal::INT, Signal::HUP]
        .into_iter()
        .enumerate()
    {
        let (node, line) = serve(&data_dir, &[]);
        let shown = data_dir.display();
        assert_eq!(
            line,
            format!("serving {shown}, listening on {shown}/control.sock")
        );
        let mut client = SocketClient::connect(&data_dir);
        let event_id = format!("e{number}");
        let count = number as u64 + 1;
        assert_eq!(
            client.ask(&event_line(1, &event_id, "w")),
            accepted(1, "w", count)
        );
        node.signal(signal);
        node.wait().expect_all_read();
        assert_eq!(client.next_line(), None);
        assert!(!names(&data_dir).contains(&"control.sock".to_owned()));
    }
    verified(&data_dir);
}

#[test]
fn every_request_that_a_client_has_sent_before_the_signal_is_answered() {
    let (_home, data_dir) = home_and_data_dir();
    let (node, _) = serve(&data_dir, &[]);
    let mut client = SocketClient::connect(&data_dir);
    assert_eq!(client.ask(&event_line(0, "e0", "w")), accepted(0, "w", 1));
    let lines: Vec<String> = (1..500)
        .map(|number| event_line(number, &format!("e{number}"), "w") + "\n")
        .collect();
    client
        .send_raw(lines.concat().as_bytes())
        .expect("the node reads");
    assert_eq!(client.read_line(), accepted(1, "w", 2));
    node.signal(Signal::TERM);
    let mut answered = 2;
    while let Some(line) = client.next_line() {
        assert_eq!(line, accepted(answered, "w", answered + 1));
        answered += 1;
    }
    node.wait().expect_all_read();
    let count = run(&mut on_directory("get", &data_dir, &["--word", "w"]), "");
    let count = count.expect_record()["count"].as_u64();
    assert_eq!(
        count,
        Some(answered),
        "what is in the state was answered, and no more"
    );
}

#[test]
fn a_kill_leaves_a_state_that_the_next_node_serves_on_the_same_sockets() {
    let (home, data_dir) = home_and_data_dir();
    let socket = home.path().join("also.sock");
    let socket_text = socket.to_str().expect("it is text");
    for number in 0..3 {
        let (node, line) = serve(&data_dir, &["--socket", socket_text]);
        assert!(
            line.ends_with(&format!("/control.sock and {socket_text}")),
            "{line}"
        );
        let mut client = SocketClient::over(UnixStream::connect(&socket).expect("it listens"));
        let reply = client.ask(&event_line(1, &format!("e{number}"), "w"));
        assert_eq!(reply, accepted(1, "w", number + 1));
        node.kill();
        assert!(socket.exists(), "a kill leaves the socket");
    }
    verified(&data_dir);
}

#[test]
fn the_additional_socket_has_the_mode_that_was_asked_for_and_is_removed() {
    let (home, data_dir) = home_and_data_dir();
    let socket = home.path().join("also.sock");
    let path = socket.to_str().expect("it is text");
    for (arguments, expected) in [
        (&["--socket", path][..], 0o600),
        (&["--socket", path, "--socket-mode", "0660"], 0o660),
    ] {
        let (node, _) = serve(&data_dir, arguments);
        let mode = |path: &Path| {
            fs::symlink_metadata(path)
                .expect("it is there")
                .permissions()
                .mode()
        };
        assert_eq!(mode(&socket) & 0o777, expected);
        assert_eq!(mode(&data_dir.join("control.sock")) & 0o777, 0o600);
        node.signal(Signal::TERM);
        node.wait().expect_all_read();
        assert!(!socket.exists());
    }
    for mode in ["8", "01000", "rw", "-1", ""] {
        let refused = run_on(
            "serve",
            &data_dir,
            &["--socket", path, "--socket-mode", mode],
        );
        assert_eq!(refused.code(), Some(exit::USAGE), "{mode}");
    }
}

#[test]
fn a_path_that_another_process_or_file_uses_is_refused_and_left_as_it_is() {
    let (home, data_dir) = home_and_data_dir();
    let path = |name: &str| home.path().join(name);
    fs::write(path("file"), "mine").expect("there is room");
    let _listener = UnixListener::bind(path("used.sock")).expect("the name is free");
    for (name, cure) in [
        ("file", "a file that is no socket has this name"),
        ("used.sock", "another process listens there"),
        ("missing/a.sock", "No such file"),
    ] {
        for command in ["serve", "run"] {
            let name = path(name);
            let arguments = ["--socket", name.to_str().expect("it is text")];
            let told = run_on(command, &data_dir, &arguments).expect_refusal(exit::USAGE);
            assert!(told.contains(cure), "{told}");
        }
    }
    assert_eq!(
        fs::read_to_string(path("file")).expect("it is there"),
        "mine"
    );
    UnixStream::connect(path("used.sock")).expect("it still listens");
}

#[test]
fn every_command_that_asks_a_node_finds_it_by_its_socket_too() {
    let home = scratch_dir();
    // The path of a socket may be too long for an address.
    let deep = home.path().join("d".repeat(150));
    fs::create_dir(&deep).expect("there is room");
    let (data_dir, socket) = (home.path().join("state"), deep.join("s"));
    let (node, _) = serve(
        &data_dir,
        &["--socket", socket.to_str().expect("it is text")],
    );
    let mut client = SocketClient::connect(&data_dir);
    client.ask(&event_line(1, "e1", "w"));
    client.ask(r#"{"type":"checkpoint","msg_id":2,"checkpoint_id":"c"}"#);
    client.ask(r#"{"type":"commit","msg_id":3}"#);
    for call in [
        &["dump"][..],
        &["get", "e1"],
        &["outputs"],
        &["checkpoints", "list"],
        &["checkpoints", "show", "c"],
        &["checkpoints", "diff", "c"],
        &["checkpoints", "graph"],
    ] {
        let by_directory = run(on(call, &data_dir).args(["--storage-timeout", "9"]), "");
        let by_directory = by_directory.expect_quiet_success();
        assert_ne!(by_directory, "");
        assert_eq!(
            run(&mut at_socket(call, &socket), "").expect_quiet_success(),
            by_directory
        );
    }
    let stats = run(&mut at_socket(&["stats"], &socket), "").expect_record();
    assert_eq!(stats["events"], 1);
    let metrics = run(&mut at_socket(&["stats", "--prometheus"], &socket), "");
    assert!(metrics.expect_quiet_success().contains(r#"socket="/"#));
    let saved = run(&mut at_socket(&["checkpoints", "save", "d"], &socket), "");
    saved.expect_quiet_success();
    let copy = home.path().join("copy");
    let mut backup = at_socket(&["backup"], &socket);
    run(backup.arg(&copy), "").expect_quiet_success();
    assert_eq!(dump_of(&copy, &[]), dump_of(&data_dir, &[]));
    node.signal(Signal::TERM);
    node.wait().expect_all_read();
    let told = run(&mut at_socket(&["stats"], &socket), "").expect_refusal(exit::NOT_RUNNING);
    assert!(told.contains("no node listens on"), "{told}");
}

fn on(call: &[&str], data_dir: &Path) -> Command {
    let mut command = binary();
    command.args(call).arg("--data-dir").arg(data_dir);
    command
}

#[test]
fn ping_says_by_its_status_whether_a_node_answers() {
    let (home, data_dir) = home_and_data_dir();
    let ping = |arguments: &[&str]| run_on("ping", &data_dir, arguments);
    ping(&[]).expect_refusal(exit::UNUSABLE);
    let (node, _) = serve(&data_dir, &[]);
    let said = ping(&[]).expect_quiet_success();
    assert_eq!(said, format!("a node answers at {}\n", data_dir.display()));
    node.signal(Signal::STOP);
    let stopped = ping(&[]).expect_refusal(exit::STORAGE);
    assert!(stopped.contains("has sent nothing for 10 s"), "{stopped}");
    node.signal(Signal::CONT);
    node.kill();
    let before = fs::read(data_dir.join("db")).expect("it is there");
    let told = ping(&[]).expect_refusal(exit::NOT_RUNNING);
    assert!(told.contains("exactly-once serve --data-dir"), "{told}");
    assert_eq!(fs::read(data_dir.join("db")).expect("it is there"), before);
    let socket = home.path().join("none.sock");
    run(&mut at_socket(&["ping"], &socket), "").expect_refusal(exit::NOT_RUNNING);
    let foreign = home.path().join("foreign");
    fs::create_dir(&foreign).expect("there is room");
    fs::write(foreign.join("file"), "mine").expect("there is room");
    run_on("ping", &foreign, &[]).expect_refusal(exit::UNUSABLE);
}

#[test]
fn ping_waits_for_a_node_that_starts_later() {
    let (_home, data_dir) = home_and_data_dir();
    let waiting = on_directory("ping", &data_dir, &["--wait", "60s"]);
    let waiting = Node::start_as(&mut { waiting });
    let (node, _) = serve(&data_dir, &[]);
    assert!(waiting.read_line().starts_with("a node answers at "));
    waiting.wait().expect_all_read();
    drop(node);
}

#[test]
fn a_process_that_has_the_directory_open_and_does_not_listen_is_told_from_none() {
    let (_home, data_dir) = home_and_data_dir();
    let (node, _) = serve(&data_dir, &[]);
    fs::remove_file(data_dir.join("control.sock")).expect("it is there");
    let told = run_on("ping", &data_dir, &[]).expect_refusal(exit::HELD);
    assert!(
        told.contains("nothing answers on its control socket"),
        "{told}"
    );
    drop(node);
}

#[test]
fn the_service_manager_is_told_when_the_node_listens_and_when_it_ends() {
    let (home, data_dir) = home_and_data_dir();
    let manager = UnixDatagram::bind(home.path().join("notify")).expect("the name is free");
    manager
        .set_read_timeout(Some(crate::kit::PATIENCE))
        .expect("it is not zero");
    let message = || {
        let mut bytes = [0; 256];
        let length = manager.recv(&mut bytes).expect("a message comes");
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    };
    let mut command = on_directory("serve", &data_dir, &[]);
    let node = Node::start_as(command.env("NOTIFY_SOCKET", home.path().join("notify")));
    assert_eq!(message().trim(), "READY=1");
    SocketClient::connect(&data_dir).ask(&event_line(1, "e1", "w"));
    node.signal(Signal::TERM);
    assert_eq!(message().trim(), "STOPPING=1");
    node.read_line();
    node.wait().expect_all_read();
}

#[test]
fn a_node_without_standard_input_is_told_by_a_failed_storage_to_end() {
    let (_home, data_dir) = home_and_data_dir();
    let mut node = on_directory("serve", &data_dir, &["--metrics-file", "/dev/null"]);
    let limited = "ulimit -f 100; exec \"$@\"";
    let mut shell = Command::new("sh");
    shell
        .args(["-c", limited, "sh"])
        .arg(node.get_program())
        .args(node.get_args());
    node = shell;
    let node = Node::start_as(&mut node);
    node.read_line();
    let mut client = SocketClient::connect(&data_dir);
    let word = "w".repeat(1000);
    let mut number = 0;
    let send = |client: &mut SocketClient, number: u64| {
        let line = event_line(number, &format!("e{number}"), &format!("{word}{number}"));
        client.send_raw(format!("{line}\n").as_bytes()).is_ok() && client.next_line().is_some()
    };
    wait_for("the file may not grow further", || {
        number += 1;
        (!send(&mut client, number)).then_some(())
    });
    node.wait().expect_status(exit::STORAGE);
}
