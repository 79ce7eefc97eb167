//! The socket as a file of its directory.

use crate::kit::{
    Node, SocketClient, accepted, dial, event_line, exit, home_and_data_dir, node_and_client,
    on_directory, run, scratch_dir,
};
use rustix::process::Signal;
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The longest path that fits into the address of a socket.
const MAX_PATH_BYTES: usize = 107;

fn socket(data_dir: &Path) -> PathBuf {
    data_dir.join("control.sock")
}

/// True if a file of any kind has this path.
fn is_there(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

#[test]
fn only_the_owner_can_open_the_socket_and_it_is_gone_after_a_clean_end() {
    let (_home, data_dir) = home_and_data_dir();
    for number in 0..2 {
        let node = Node::start(Some(&data_dir), &[]);
        let mut client = SocketClient::connect(&data_dir);
        let event_id = format!("e{number}");
        assert_eq!(
            client.ask(&event_line(1, &event_id, "w")),
            accepted(1, "w", number + 1)
        );
        let metadata = fs::symlink_metadata(socket(&data_dir)).expect("it is there");
        assert!(metadata.file_type().is_socket());
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
        let ended = if number == 0 {
            node.finish()
        } else {
            node.signal(Signal::TERM);
            node.wait()
        };
        ended.expect_all_read();
        assert!(!is_there(&socket(&data_dir)), "the socket is still there");
        assert_eq!(client.next_line(), None);
    }
}

#[test]
fn a_socket_left_by_a_kill_refuses_connections_and_is_replaced_by_the_next_start() {
    let (_home, data_dir, node, mut client) = node_and_client();
    assert_eq!(client.ask(&event_line(1, "e1", "w")), accepted(1, "w", 1));
    node.kill();
    assert_eq!(client.next_line(), None);
    assert!(is_there(&socket(&data_dir)), "a kill leaves the socket");
    let refused = dial(&data_dir).map_err(|error| error.kind());
    assert_eq!(refused.err(), Some(io::ErrorKind::ConnectionRefused));
    let node = Node::start(Some(&data_dir), &[]);
    let mut client = SocketClient::connect(&data_dir);
    assert_eq!(client.ask(&event_line(2, "e2", "w")), accepted(2, "w", 2));
    node.finish().expect_all_read();
    assert!(!is_there(&socket(&data_dir)), "the socket is still there");
}

#[test]
fn a_run_on_a_directory_that_is_held_leaves_the_socket_to_the_one_that_holds_it() {
    let (_home, data_dir, node, mut client) = node_and_client();
    let mut command = on_directory("run", &data_dir, &[]);
    run(&mut command, "").expect_refusal(exit::HELD);
    let mut later = SocketClient::connect(&data_dir);
    for (number, client) in (1..).zip([&mut client, &mut later]) {
        let reply = client.ask(&event_line(number, &format!("e{number}"), "w"));
        assert_eq!(reply, accepted(number, "w", number));
    }
    node.finish().expect_all_read();
}

#[test]
fn a_directory_whose_path_is_longer_than_an_address_is_served_too() {
    let home = scratch_dir();
    for bytes in [
        MAX_PATH_BYTES - 1,
        MAX_PATH_BYTES,
        MAX_PATH_BYTES + 1,
        4 * MAX_PATH_BYTES,
    ] {
        let data_dir = of_length(home.path(), bytes);
        let parent = data_dir.parent().expect("it has a parent");
        fs::create_dir_all(parent).expect("it can be made");
        let node = Node::start(Some(&data_dir), &[]);
        let mut client = SocketClient::connect(&data_dir);
        assert_eq!(client.ask(&event_line(1, "e1", "w")), accepted(1, "w", 1));
        assert!(is_there(&socket(&data_dir)));
        node.finish().expect_all_read();
        assert!(!is_there(&socket(&data_dir)), "the socket is still there");
    }
}

/// A new state directory whose socket has a path of this many bytes, or more if `home` is long.
fn of_length(home: &Path, bytes: usize) -> PathBuf {
    /// A name may have at most 255 bytes.
    const MAX_NAME_BYTES: usize = 200;
    let mut data_dir = home.join(bytes.to_string());
    loop {
        let length = socket(&data_dir).as_os_str().len();
        if length >= bytes {
            return data_dir;
        }
        // Each name brings a slash.
        let name = (bytes - length).saturating_sub(1);
        data_dir.push("d".repeat(name.clamp(1, MAX_NAME_BYTES)));
    }
}
