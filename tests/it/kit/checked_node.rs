//! A node whose replies are all compared with an oracle's.

use super::node::Node;
use super::reply;
use crate::oracle::{Expected, Oracle, Request};
use std::path::Path;

/// A node, and the state that it must have.
pub struct CheckedNode {
    pub node: Node,
    pub oracle: Oracle,
    pub next_msg_id: u64,
}

impl CheckedNode {
    /// Starts a node on a directory in which the state is the oracle's.
    pub fn start(data_dir: &Path, arguments: &[&str], oracle: Oracle) -> Self {
        Self {
            node: Node::start(Some(data_dir), arguments),
            oracle,
            next_msg_id: 1,
        }
    }

    /// Sends a request, and compares its reply with the oracle's.
    #[track_caller]
    pub fn ask(&mut self, request: &Request) {
        let line = self.node.ask(&request.line(self.next_msg_id));
        let expected = self.oracle.apply(request);
        assert_ne!(expected, Expected::UnknownCheckpoint, "no request fails");
        reply::assert_is(&line, &expected, self.next_msg_id);
        self.next_msg_id += 1;
    }

    /// Ends the node cleanly; returns the state that its directory must hold.
    #[track_caller]
    pub fn stop(self) -> Oracle {
        self.node.finish().expect_all_read();
        self.oracle
    }
}
